//! The mail relay over real sockets: every class of failure, the pool, TLS, and letters as they arrive.

use std::sync::Arc;
use std::time::Duration;

use grannpost::config;
use grannpost::provider::mail_message::ListHeaders;
use grannpost::provider::{Accepted, HandOverError, MailRelay, Mailbox, OutgoingMail};
use grannpost::simulator::{AfterDot, MailBehaviour, MailSink, MailSinkOptions};
use mail_parser::MessageParser;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::elks_gateway::wall_clock;
use crate::wire::{scripted_smtp, tunnel_to};

fn letter(to: &str) -> OutgoingMail {
    OutgoingMail {
        message_id: format!("{}@bounces.example.org", to.replace(|c: char| !c.is_ascii_alphanumeric(), ".")),
        date: "2026-11-20T03:31:00+01:00[Europe/Stockholm]".parse().unwrap(),
        from: Mailbox::parse("Polisområde Jämtland <grannsamverkan@example.org>"),
        reply_to: None,
        to: Mailbox { name: Some("Åsa Öberg".to_owned()), address: to.to_owned() },
        return_path: "bounce+t0k3n=1@bounces.example.org".to_owned(),
        envelope_id: Some("t0k3n".to_owned()),
        subject: "Brev om inbrott på Frösön".to_owned(),
        text: "Hej!\n.\n..Två punkter\n".to_owned(),
        html: Some("<p>Hej!</p>\n.\n".to_owned()),
        list: Some(ListHeaders {
            name: "Grannsamverkan Jämtland".to_owned(),
            id: "grannsamverkan.example.org".to_owned(),
            unsubscribe_url: "https://grannpost.example.org/u/0123".to_owned(),
            unsubscribe_address: None,
            owner_address: None,
        }),
        auto_submitted: false,
    }
}

fn mail_config(url: &str, more: &str) -> config::Mail {
    config::from_toml(&[&format!("[mail]\nurl = \"{url}\"\ntimeout_seconds = 60\n{more}")]).unwrap().mail
}

/// A relay that is waited for two seconds at each answer but the last.
fn hasty_relay_at(url: &str, final_dot_seconds: u32) -> MailRelay {
    let more = format!("final_dot_timeout_seconds = {final_dot_seconds}");
    let mut config = mail_config(url, &more);
    config.timeout_seconds = 2;
    MailRelay::new(&config, "").unwrap()
}

fn relay_at(url: &str) -> MailRelay {
    MailRelay::new(&mail_config(url, ""), "").unwrap()
}

async fn sink(change: impl FnOnce(&mut MailBehaviour)) -> MailSink {
    sink_with(|options| change(&mut options.behaviour)).await
}

async fn sink_with(change: impl FnOnce(&mut MailSinkOptions)) -> MailSink {
    let mut options = MailSinkOptions::new(wall_clock());
    change(&mut options);
    MailSink::start("127.0.0.1:0".parse().unwrap(), options).await.unwrap()
}

fn told(outcome: Result<Accepted, HandOverError>) -> (&'static str, &'static str) {
    match outcome {
        Ok(_) => ("accepted", ""),
        Err(HandOverError::Retry { reason, provider_down: true, .. }) => ("retry, down", reason.code),
        Err(HandOverError::Retry { reason, .. }) => ("retry", reason.code),
        Err(HandOverError::Throttled { reason, .. }) => ("throttled", reason.code),
        Err(HandOverError::Rejected { reason }) => ("rejected", reason.code),
        Err(HandOverError::Misconfigured { reason }) => ("misconfigured", reason.code),
        Err(HandOverError::InDoubt { reason }) => ("in doubt", reason.code),
    }
}

#[tokio::test]
async fn a_letter_arrives_byte_for_byte_with_its_envelope_and_delivery_notes_asked_for() {
    let sink = sink(|_| {}).await;
    let relay = relay_at(&sink.url());
    let mail = letter("asa@exempel.example.org");
    let accepted = relay.send(&mail).await.unwrap();
    assert_eq!(accepted.gateway_ref.as_deref(), Some("250 2.0.0 OK: queued as 4F2A"));
    let arrived = sink.journal().letters().remove(0);
    let composed = relay.compose(&mail).unwrap();
    assert_eq!(
        String::from_utf8(arrived.message.clone()).unwrap(),
        String::from_utf8(composed.message.clone()).unwrap()
    );
    assert_eq!((arrived.from.as_str(), arrived.to.as_str()), (mail.return_path.as_str(), "asa@exempel.example.org"));
    assert_eq!(arrived.from_parameters, format!("SIZE={} RET=HDRS ENVID=t0k3n", composed.message.len()));
    assert_eq!(arrived.to_parameters, "NOTIFY=FAILURE,DELAY ORCPT=rfc822;asa@exempel.example.org");
    assert_eq!(arrived.message_id, mail.message_id);
    let parsed = MessageParser::default().parse(&arrived.message).unwrap();
    assert_eq!(parsed.body_text(0).unwrap().replace("\r\n", "\n"), mail.text);
}

#[tokio::test]
async fn a_relay_that_offers_nothing_gets_a_plain_seven_bit_letter_without_parameters() {
    let sink = sink(|behaviour| {
        behaviour.extensions = grannpost::simulator::Extensions {
            pipelining: false,
            eight_bit_mime: false,
            smtputf8: false,
            dsn: false,
            size: None,
            starttls: false,
            auth: false,
        };
    })
    .await;
    relay_at(&sink.url()).send(&letter("asa@example.org")).await.unwrap();
    let arrived = sink.journal().letters().remove(0);
    assert_eq!((arrived.from_parameters.as_str(), arrived.to_parameters.as_str()), ("", ""));
    assert!(arrived.message.is_ascii());
}

#[tokio::test]
async fn a_refusal_at_any_stage_has_its_class_and_leaves_nothing_in_the_journal() {
    type Change = fn(&mut MailBehaviour);
    let table: &[(Change, (&str, &str))] = &[
        (|b| b.greeting = Some("421 busy".to_owned()), ("retry, down", "relay.busy")),
        (|b| b.greeting = Some("554 no".to_owned()), ("retry, down", "relay.refuses_us")),
        (|b| b.hello = Some("451 later".to_owned()), ("retry, down", "relay.busy")),
        (|b| b.mail = Some("451 4.3.0 later".to_owned()), ("retry, down", "relay.busy")),
        (|b| b.mail = Some("550 5.7.1 not you".to_owned()), ("misconfigured", "relay.sender_refused")),
        (|b| b.mail = Some("530 5.7.0 log in".to_owned()), ("misconfigured", "relay.unauthorized")),
        (|b| b.rcpt = Some("450 4.2.0 later".to_owned()), ("retry", "relay.deferred")),
        (|b| b.rcpt = Some("421 4.7.0 closing".to_owned()), ("retry, down", "relay.busy")),
        (|b| b.rcpt = Some("550 5.1.1 unknown".to_owned()), ("rejected", "relay.address_unknown")),
        (|b| b.data = Some("451 later".to_owned()), ("retry", "relay.deferred")),
        (|b| b.data = Some("554 no".to_owned()), ("rejected", "relay.rejected")),
        (|b| b.final_dot = Some("451 4.7.1 later".to_owned()), ("retry", "relay.deferred")),
        (|b| b.final_dot = Some("554 5.6.0 content".to_owned()), ("rejected", "relay.content_refused")),
        (|b| b.extensions.size = Some(500), ("rejected", "relay.too_large")),
        (|b| b.reset_in_data = true, ("retry, down", "relay.connection_lost")),
    ];
    for (change, expected) in table {
        for pipelining in [true, false] {
            let sink = sink(|behaviour| {
                behaviour.extensions.pipelining = pipelining;
                change(behaviour);
            })
            .await;
            let relay = relay_at(&sink.url());
            let outcome = relay.send(&letter("asa@example.org")).await;
            // A reset in the middle may also be seen only when the reply to the final dot is awaited.
            if *expected == ("retry, down", "relay.connection_lost") {
                assert!(matches!(told(outcome).0, "retry, down" | "in doubt"));
            } else {
                assert_eq!(&told(outcome), expected);
            }
            assert!(sink.journal().is_empty());
            sink.change(|behaviour| *behaviour = MailBehaviour::default());
            // What was offered is asked for anew with the next connection.
            let relay = if expected.1 == "relay.too_large" { relay_at(&sink.url()) } else { relay };
            assert_eq!(told(relay.send(&letter("asa@example.org")).await).0, "accepted", "{expected:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_recipient_costs_no_connection_and_the_others_go_on() {
    let sink = sink(|behaviour| {
        for n in 0..10 {
            behaviour.rcpt_by_address.insert(format!("dead{n}@example.org"), "550 5.1.1 no such user".to_owned());
        }
    })
    .await;
    let relay = relay_at(&sink.url());
    for n in 0..10 {
        let refused = relay.send(&letter(&format!("dead{n}@example.org"))).await.unwrap_err();
        assert_eq!(refused.reason().detail.as_deref(), Some("550 5.1.1 no such user"));
        relay.send(&letter(&format!("alive{n}@example.org"))).await.unwrap();
    }
    assert_eq!((sink.journal().len(), sink.connections()), (10, 1));
}

#[tokio::test]
async fn a_greylisted_letter_goes_at_the_second_try_with_the_same_message_id() {
    let sink = sink(|behaviour| behaviour.greylist = 1).await;
    let relay = relay_at(&sink.url());
    let mail = letter("asa@example.org");
    assert_eq!(told(relay.send(&mail).await), ("retry", "relay.deferred"));
    relay.send(&mail).await.unwrap();
    assert_eq!(sink.journal().letters()[0].message_id, mail.message_id);
}

#[tokio::test]
async fn a_connection_lost_after_the_final_dot_is_in_doubt_and_never_sent_again_by_itself() {
    for after_dot in [AfterDot::Reset, AfterDot::Close, AfterDot::Silence] {
        let sink = sink(|_| {}).await;
        let relay = hasty_relay_at(&sink.url(), 3);
        relay.send(&letter("first@example.org")).await.unwrap();
        sink.change(|behaviour| behaviour.after_dot = after_dot);
        let code = if after_dot == AfterDot::Silence { "relay.timeout" } else { "relay.connection_lost" };
        assert_eq!(told(relay.send(&letter("asa@example.org")).await), ("in doubt", code), "{after_dot:?}");
        assert_eq!(sink.journal().len(), 2);
        assert!(sink.journal().duplicates().is_empty());
    }
}

#[tokio::test]
async fn the_answer_to_the_final_dot_is_waited_for_longer_than_any_other() {
    let sink = sink(|behaviour| behaviour.final_dot_delay_ms = 3_000).await;
    hasty_relay_at(&sink.url(), 60).send(&letter("asa@example.org")).await.unwrap();
    let slow = self::sink(|behaviour| behaviour.answer_delay_ms = 5_000).await;
    let outcome = hasty_relay_at(&slow.url(), 60).send(&letter("asa@example.org")).await;
    assert_eq!(told(outcome), ("retry, down", "relay.timeout"));
}

#[tokio::test]
async fn a_relay_that_hangs_up_between_letters_is_called_again_without_anybody_noticing() {
    for (hang_up, full) in [(true, 0), (false, 1)] {
        let sink = sink(|behaviour| {
            behaviour.hang_up_when_idle = hang_up;
            behaviour.letters_per_connection = full;
        })
        .await;
        let relay = relay_at(&sink.url());
        for n in 0..5 {
            relay.send(&letter(&format!("a{n}@example.org"))).await.unwrap();
        }
        assert_eq!((sink.journal().len(), sink.connections()), (5, 5));
        assert!(sink.journal().duplicates().is_empty());
    }
}

#[tokio::test]
async fn connections_are_bounded_carry_their_number_of_letters_and_close_when_idle() {
    let sink = sink(|behaviour| behaviour.final_dot_delay_ms = 10).await;
    let relay = MailRelay::new(&mail_config(&sink.url(), "concurrency = 4\nmessages_per_connection = 5"), "").unwrap();
    let letters = (0..60).map(|n| {
        let relay = relay.clone();
        tokio::spawn(async move { relay.send(&letter(&format!("a{n}@example.org"))).await })
    });
    for sent in letters.collect::<Vec<_>>() {
        sent.await.unwrap().unwrap();
    }
    assert_eq!(sink.journal().len(), 60);
    assert!(sink.connections() >= 12, "{}", sink.connections());
    // One that says good-bye may still be open while its successor greets.
    assert!(sink.most_open_connections() <= 8, "{}", sink.most_open_connections());
    assert!(relay.idle_sessions() <= 4);
    relay.send(&letter("last@example.org")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), sink.wait_until_alone()).await.unwrap();
    assert_eq!(relay.idle_sessions(), 0);
    relay.send(&letter("later@example.org")).await.unwrap();
}

#[tokio::test]
async fn a_dead_relay_is_tried_again() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = relay_at(&format!("smtp://{closed}")).send(&letter("asa@example.org")).await;
    assert_eq!(told(outcome), ("retry, down", "relay.connect_failed"));
}

#[tokio::test]
async fn only_an_address_that_needs_smtputf8_fails_where_it_is_not_offered() {
    let sink = sink(|behaviour| behaviour.extensions.smtputf8 = false).await;
    let relay = relay_at(&sink.url());
    assert_eq!(told(relay.send(&letter("åsa@example.org")).await), ("rejected", "relay.no_smtputf8"));
    relay.send(&letter("asa@räksmörgås.example.org")).await.unwrap();
    sink.change(|behaviour| behaviour.extensions.smtputf8 = true);
    let fresh = relay_at(&sink.url());
    fresh.send(&letter("åsa@räksmörgås.example.org")).await.unwrap();
    let letters = sink.journal().letters();
    assert_eq!(letters[0].to, "asa@xn--rksmrgs-5wao1o.example.org");
    assert_eq!(letters[1].to, "åsa@xn--rksmrgs-5wao1o.example.org");
    assert!(
        letters[1].from_parameters.contains("SMTPUTF8 BODY=8BITMIME") && !letters[1].to_parameters.contains("ORCPT")
    );
    assert!(!letters[0].from_parameters.contains("SMTPUTF8"));
}

#[tokio::test]
async fn what_real_relays_write_is_understood_and_what_none_writes_is_no_acceptance() {
    type Script = Vec<&'static [u8]>;
    let accepted: Script = vec![b"220-welcome\r\n220 \r\n", b"250 relay\r\n", b"250\r\n", b"250 ok\r\n", b"354\r\n"];
    let cases: Vec<(Script, (&str, &str))> = vec![
        (vec![b"220 hi\r\n", b"502 what\r\n", b"250 relay\r\n", b"450 wait\r\n"], ("retry, down", "relay.busy")),
        (
            vec![b"220 hi\r\n", b"250 relay\r\n", b"250 ok\r\n", b"550 5.1.1 ok\xe4nd\r\n"],
            ("rejected", "relay.address_unknown"),
        ),
        (vec![b"hello\r\n"], ("retry, down", "relay.reply_unreadable")),
        (vec![b"220 hi\r\n", b"250-relay\r\n251 other\r\n"], ("retry, down", "relay.reply_unreadable")),
        (vec![b"220 hi\r\n", b"250- \r\n250 \r\n", b"550 5.7.1 no\r\n"], ("misconfigured", "relay.sender_refused")),
        (
            vec![b"220 hi\r\n", b"250 relay\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n"],
            ("retry, down", "relay.reply_unreadable"),
        ),
        (accepted, ("in doubt", "relay.connection_lost")),
    ];
    for (script, expected) in cases {
        let (address, heard) = scripted_smtp(script.clone()).await;
        let outcome = relay_at(&format!("smtp://{address}")).send(&letter("asa@example.org")).await;
        assert_eq!(told(outcome), expected, "{script:?} {:?}", heard.lock().unwrap());
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum CertificateKind {
    Good,
    Expired,
}

/// A server's TLS settings for `name`, and the root that signed its certificate.
pub fn tls_server(name: &str, kind: &CertificateKind) -> (Arc<ServerConfig>, CertificateDer<'static>) {
    grannpost::provider::http::install_tls_provider();
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if *kind == CertificateKind::Expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let certificate = params.signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (Arc::new(config), root_certificate.der().clone())
}

async fn tls_sink(name: &str, kind: &CertificateKind) -> (MailSink, CertificateDer<'static>) {
    let (tls, root) = tls_server(name, kind);
    let sink = sink_with(|options| {
        options.tls = Some(tls);
        options.behaviour.extensions.starttls = true;
        options.behaviour.extensions.auth = true;
    })
    .await;
    (sink, root)
}

fn required(sink: &MailSink) -> String {
    format!("smtp://localhost:{}?tls=required", sink.address().port())
}

#[tokio::test]
async fn a_letter_goes_inside_tls_when_it_is_required_and_the_certificate_is_right() {
    let (sink, root) = tls_sink("localhost", &CertificateKind::Good).await;
    let relay = MailRelay::trusting(&mail_config(&required(&sink), ""), "", &[root]).unwrap();
    relay.send(&letter("asa@example.org")).await.unwrap();
    assert!(sink.journal().letters()[0].encrypted);
}

#[tokio::test]
async fn no_letter_goes_when_required_tls_is_missing_untrusted_expired_or_for_another_name() {
    let plain = sink(|_| {}).await;
    let relay = relay_at(&format!("{}?tls=required", plain.url()));
    assert_eq!(told(relay.send(&letter("asa@example.org")).await), ("misconfigured", "relay.no_starttls"));
    for (name, kind, trusted) in [
        ("localhost", CertificateKind::Good, false),
        ("localhost", CertificateKind::Expired, true),
        ("other.example.org", CertificateKind::Good, true),
    ] {
        let (sink, root) = tls_sink(name, &kind).await;
        let roots = if trusted { vec![root] } else { vec![] };
        let relay = MailRelay::trusting(&mail_config(&required(&sink), ""), "", &roots).unwrap();
        let outcome = relay.send(&letter("asa@example.org")).await;
        assert_eq!(told(outcome), ("retry, down", "relay.tls_failed"), "{name} {kind:?} {trusted}");
        assert!(sink.journal().is_empty());
    }
    assert!(plain.journal().is_empty());
}

#[tokio::test]
async fn replies_that_were_pushed_in_before_tls_end_the_session() {
    let (address, heard) =
        scripted_smtp(vec![b"220 hi\r\n", b"250-relay\r\n250 STARTTLS\r\n", b"220 go\r\n250 injected\r\n"]).await;
    let relay = relay_at(&format!("smtp://{address}?tls=required"));
    assert_eq!(told(relay.send(&letter("asa@example.org")).await), ("retry, down", "relay.tls_failed"));
    assert_eq!(heard.lock().unwrap().last().map(String::as_str), Some("STARTTLS"));
}

#[tokio::test]
async fn tls_from_the_first_byte_carries_letters_and_a_login() {
    let (tls, root) = tls_server("localhost", &CertificateKind::Good);
    let sink = sink_with(|options| {
        (options.tls, options.implicit_tls) = (Some(tls), true);
        options.login = Some(("anna".to_owned(), "p@ss ord".to_owned()));
        options.behaviour.extensions.auth = true;
    })
    .await;
    let url = format!("smtps://anna@localhost:{}", sink.address().port());
    let config = mail_config(&url, "password = \"p@ss ord\"");
    MailRelay::trusting(&config, "", std::slice::from_ref(&root))
        .unwrap()
        .send(&letter("asa@example.org"))
        .await
        .unwrap();
    let arrived = sink.journal().letters().remove(0);
    assert_eq!((arrived.encrypted, arrived.login.as_deref()), (true, Some("anna")));
    let wrong = mail_config(&url, "password = \"wrong\"");
    let outcome =
        MailRelay::trusting(&wrong, "", std::slice::from_ref(&root)).unwrap().send(&letter("asa@example.org")).await;
    assert_eq!(told(outcome), ("misconfigured", "relay.unauthorized"));
    sink.change(|behaviour| behaviour.extensions.auth = false);
    let outcome = MailRelay::trusting(&config, "", &[root]).unwrap().send(&letter("asa@example.org")).await;
    assert_eq!(told(outcome), ("misconfigured", "relay.no_login"));
}

#[tokio::test]
async fn a_relay_on_another_machine_is_reached_through_the_proxy_with_tls_whenever_it_is_offered() {
    let (sink, root) = tls_sink("relay.example.org", &CertificateKind::Good).await;
    let (proxy, asked) = tunnel_to(sink.address()).await;
    let proxy = format!("http://{proxy}");
    let config = mail_config("smtp://relay.example.org:587", "");
    let relay = MailRelay::trusting(&config, &proxy, &[root]).unwrap();
    relay.send(&letter("asa@example.org")).await.unwrap();
    assert!(sink.journal().letters()[0].encrypted);
    assert!(asked.lock().unwrap()[0].starts_with("CONNECT relay.example.org:587 HTTP/1.1\r\n"));
    // The handshake fails for want of the root, and the letter does not go in plain text instead.
    let distrusting = MailRelay::new(&config, &proxy).unwrap();
    assert_eq!(told(distrusting.send(&letter("asa@example.org")).await), ("retry, down", "relay.tls_failed"));
    sink.change(|behaviour| behaviour.extensions.starttls = false);
    distrusting.send(&letter("asa@example.org")).await.unwrap();
    // A password is another matter.
    let login = mail_config("smtp://anna:hemligt@relay.example.org:587", "");
    let outcome = MailRelay::new(&login, &proxy).unwrap().send(&letter("asa@example.org")).await;
    assert_eq!(told(outcome), ("misconfigured", "relay.login_needs_tls"));
    assert_eq!(sink.journal().len(), 2);
    let direct = MailRelay::new(&mail_config(&format!("{}?proxy=none", sink.url()), ""), "http://127.0.0.1:9").unwrap();
    direct.send(&letter("asa@example.org")).await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_relay_out_of_reach() {
    let proxy = crate::wire::ScriptedHttp::start(vec![(
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        crate::wire::Then::HangUp,
    )])
    .await;
    let relay = MailRelay::new(&mail_config("smtp://relay.example.org", ""), &proxy.base_url()).unwrap();
    assert_eq!(told(relay.send(&letter("asa@example.org")).await), ("retry, down", "relay.proxy_refused"));
}

#[tokio::test]
async fn a_relay_on_this_machine_may_have_the_password_in_plain_text_in_either_mechanism() {
    let hello: [&'static [u8]; 2] = [b"250-relay\r\n250 AUTH LOGIN\r\n", b"250-relay\r\n250 AUTH=PLAIN\r\n"];
    let [login, plain] = hello;
    let login: Vec<&'static [u8]> =
        vec![b"220 hi\r\n", login, b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", b"235 ok\r\n", b"450 wait\r\n"];
    let plain: Vec<&'static [u8]> = vec![b"220 hi\r\n", plain, b"235 ok\r\n", b"450 wait\r\n"];
    for (script, expected) in
        [(login, vec!["AUTH LOGIN", "YW5uYQ==", "aGVtbGlndA=="]), (plain, vec!["AUTH PLAIN AGFubmEAaGVtbGlndA=="])]
    {
        let (address, heard) = scripted_smtp(script).await;
        let relay = relay_at(&format!("smtp://anna:hemligt@{address}"));
        assert_eq!(told(relay.send(&letter("asa@example.org")).await), ("retry, down", "relay.busy"));
        let heard = heard.lock().unwrap().clone();
        assert_eq!(heard[1..=expected.len()], expected);
        assert!(heard[expected.len() + 1].starts_with("MAIL FROM:<bounce+"), "{heard:?}");
    }
}

#[tokio::test]
async fn closing_the_pool_says_good_bye_and_later_letters_still_go() {
    let sink = sink(|_| {}).await;
    let relay = relay_at(&sink.url());
    relay.send(&letter("asa@example.org")).await.unwrap();
    assert_eq!(relay.idle_sessions(), 1);
    relay.close().await;
    tokio::time::timeout(Duration::from_secs(20), sink.wait_until_alone()).await.unwrap();
    relay.send(&letter("bo@example.org")).await.unwrap();
    assert_eq!((sink.journal().len(), sink.connections()), (2, 2));
}
