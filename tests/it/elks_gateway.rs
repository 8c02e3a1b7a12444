//! The 46elks gateway over real sockets: one table of bytes, and every fault of the fact sheet.

use std::time::{Duration, Instant};

use grannpost::ambient::Clock;
use grannpost::config;
use grannpost::provider::{Accepted, HandOverError, HistoryWindow, OutgoingSms, ReceiptState, SmsGateway};
use grannpost::simulator::{
    Answer, Fate, GatewayOptions, HistoryMode, RateLimit, ReceiptPlan, Reply, Rubbish, SimulatedGateway, WallClock,
};
use jiff::{Timestamp, ToSpan};

use crate::wire::{ScriptedHttp, Then};

fn now() -> Timestamp {
    Clock::System.now()
}

pub fn wall_clock() -> WallClock {
    std::sync::Arc::new(now)
}

/// A simulated gateway that sends no receipts by itself.
pub async fn simulated() -> SimulatedGateway {
    let mut options = GatewayOptions::new(wall_clock());
    options.behaviour.receipts = ReceiptPlan::silent();
    SimulatedGateway::start("127.0.0.1:0".parse().unwrap(), options).await.unwrap()
}

fn gateway_config(base_url: &str, more: &str) -> config::Gateway {
    let text = format!(
        "[sms]\nroute = [\"elks\"]\n[sms.gateways.elks]\nkind = \"46elks\"\nbase_url = \"{base_url}\"\n\
         username = \"simulator\"\npassword = \"simulator\"\nsender = \"+46766860000\"\n\
         callback_secret = \"0123456789abcdef0123456789abcdef\"\n{more}"
    );
    config::from_toml(&[&text]).unwrap().sms.gateways.remove("elks").unwrap()
}

fn gateway_at(base_url: &str) -> SmsGateway {
    SmsGateway::new("elks", &gateway_config(base_url, ""), "").unwrap()
}

/// A gateway that waits no longer than two seconds for an answer.
fn hasty_gateway_at(base_url: &str) -> SmsGateway {
    SmsGateway::new("elks", &gateway_config(base_url, "timeout_seconds = 2"), "").unwrap()
}

fn sms(to: &str) -> OutgoingSms {
    OutgoingSms {
        to: to.to_owned(),
        from: None,
        text: "Hej på dig & alla".to_owned(),
        receipt_url: None,
        token: None,
        expires_at: None,
    }
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
async fn bytes_of_an_answer_give_their_outcome_after_exactly_one_request() {
    let table: &[(&[u8], (&str, &str))] = &[
        (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"id\":\"s1\"}", ("accepted", "")),
        (b"HTTP/1.1 200 OK\r\n\r\n{\"id\":\"s1\"}", ("accepted", "")),
        (b"HTTP/1.0 200 OK\r\n\r\n{\"id\":\"s1\"}", ("accepted", "")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"id\":\"s1\"}\r\n0\r\n\r\n", ("accepted", "")),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"id\":\"s1\"}",
            ("accepted", ""),
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"id\":\"s1\"}", ("in doubt", "gateway.answer_unreadable")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"id\":\"s1\"}",
            ("in doubt", "gateway.answer_unreadable"),
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ("in doubt", "gateway.answer_unreadable")),
        (b"", ("in doubt", "http.connection_lost")),
        (b"HTTP/1.1 200 OK\r\nContent-Len", ("in doubt", "http.connection_lost")),
        (b"SMTP 220 hello\r\n\r\n", ("in doubt", "http.connection_lost")),
        (
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 17\r\n\r\nInvalid to number",
            ("rejected", "gateway.number_invalid"),
        ),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 99\r\n\r\nInvalid", ("rejected", "gateway.rejected")),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", ("misconfigured", "gateway.unauthorized")),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n", ("throttled", "gateway.throttled")),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", ("in doubt", "gateway.failed")),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", ("throttled", "gateway.throttled")),
    ];
    for (bytes, expected) in table {
        let server = ScriptedHttp::start(vec![(bytes, Then::HangUp)]).await;
        let outcome = gateway_at(&server.base_url()).send(&sms("+46701740605"), now()).await;
        assert_eq!(&told(outcome), expected, "{}", String::from_utf8_lossy(bytes));
        assert_eq!(server.requests().len(), 1, "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_send_is_one_form_with_the_account_and_never_keeps_the_text_at_the_gateway() {
    let server = ScriptedHttp::start(vec![]).await;
    let mut message = sms("+46701740605");
    message.receipt_url = Some("https://grannpost.example.org/hooks/sms/elks/x/receipt/y".to_owned());
    let _ = gateway_at(&server.base_url()).send(&message, now()).await;
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST /a1/sms HTTP/1.1"));
    let mut headers: Vec<&str> = lines.collect();
    headers.sort_unstable();
    let host = format!("host: {}", server.address);
    assert_eq!(
        headers,
        [
            "accept: */*",
            "authorization: Basic c2ltdWxhdG9yOnNpbXVsYXRvcg==",
            "content-length: 175",
            "content-type: application/x-www-form-urlencoded",
            host.as_str(),
            concat!("user-agent: grannpost/", env!("CARGO_PKG_VERSION")),
        ]
    );
    assert_eq!(
        body,
        "from=%2B46766860000&to=%2B46701740605&message=Hej+p%C3%A5+dig+%26+alla&dontlog=message\
         &whendelivered=https%3A%2F%2Fgrannpost.example.org%2Fhooks%2Fsms%2Felks%2Fx%2Freceipt%2Fy"
    );
}

#[tokio::test]
async fn an_accepted_message_is_in_the_journal_under_the_id_that_was_told() {
    let simulated = simulated().await;
    let accepted = gateway_at(&simulated.base_url()).send(&sms("+46701740605"), now()).await.unwrap();
    let journal = simulated.journal().messages();
    assert_eq!(accepted.gateway_ref.as_deref(), Some(journal[0].id.as_str()));
    assert_eq!(accepted.parts, Some(1));
    assert_eq!((journal[0].to.as_str(), journal[0].text.as_str()), ("+46701740605", "Hej på dig & alla"));
    assert!(journal[0].dontlog && journal[0].from == "+46766860000");
}

#[tokio::test]
async fn a_lost_answer_is_in_doubt_and_the_message_went_once() {
    let replies = [
        (Reply::Reset, "http.connection_lost"),
        (Reply::Close, "http.connection_lost"),
        (Reply::Silence, "http.timeout"),
        (Reply::StallInBody, "gateway.answer_unreadable"),
        (Reply::TrickleHeaders(50), "http.timeout"),
        (Reply::TrickleBody(50), "gateway.answer_unreadable"),
    ];
    let mut cases = Vec::new();
    for (reply, code) in replies {
        let simulated = simulated().await;
        let gateway = hasty_gateway_at(&simulated.base_url());
        gateway.send(&sms("+46701740600"), now()).await.unwrap();
        simulated.answer_next([Answer::accept_then(reply.clone())]);
        cases.push((reply, code, simulated, gateway));
    }
    let outcomes = cases.into_iter().map(|(reply, code, simulated, gateway)| async move {
        let started = Instant::now();
        assert_eq!(told(gateway.send(&sms("+46701740605"), now()).await), ("in doubt", code), "{reply:?}");
        assert!(started.elapsed() < Duration::from_secs(8), "{reply:?}");
        assert_eq!((simulated.journal().len(), simulated.calls()), (2, 2), "{reply:?}");
        assert!(simulated.journal().duplicates().is_empty());
    });
    futures_util::future::join_all(outcomes).await;
}

#[tokio::test]
async fn a_connection_that_breaks_before_acceptance_is_in_doubt_too_as_nobody_can_tell() {
    for reply in [Reply::Reset, Reply::Close, Reply::Silence] {
        let simulated = simulated().await;
        simulated.answer_next([Answer::drop_then(reply.clone())]);
        let outcome = hasty_gateway_at(&simulated.base_url()).send(&sms("+46701740605"), now()).await;
        assert_eq!(told(outcome).0, "in doubt", "{reply:?}");
        assert_eq!((simulated.journal().len(), simulated.calls()), (0, 1), "{reply:?}");
    }
}

#[tokio::test]
async fn rubbish_with_status_200_is_in_doubt() {
    let simulated = simulated().await;
    let gateway = gateway_at(&simulated.base_url());
    let kinds = [
        Rubbish::Empty,
        Rubbish::Html,
        Rubbish::Huge,
        Rubbish::InvalidUtf8,
        Rubbish::NullId,
        Rubbish::NoId,
        Rubbish::CutJson,
    ];
    for kind in kinds {
        simulated.answer_next([Answer::accept_then(Reply::Rubbish(kind))]);
        let outcome = gateway.send(&sms("+46701740605"), now()).await;
        assert_eq!(told(outcome), ("in doubt", "gateway.answer_unreadable"), "{kind:?}");
    }
    assert_eq!(simulated.journal().len(), kinds.len());
    let first = simulated.journal().messages().remove(0).id;
    simulated.answer_next([Answer::accept_then(Reply::Rubbish(Rubbish::DuplicateId))]);
    assert_eq!(gateway.send(&sms("+46701740605"), now()).await.unwrap().gateway_ref, Some(first));
}

#[tokio::test]
async fn refusals_in_plain_text_have_their_class_and_take_no_message() {
    let simulated = simulated().await;
    let gateway = gateway_at(&simulated.base_url());
    let refusals = [
        (400, "Invalid to number", ("rejected", "gateway.number_invalid")),
        (402, "", ("misconfigured", "gateway.no_credit")),
        (403, "Not enough credits", ("misconfigured", "gateway.no_credit")),
        (404, "Not found", ("rejected", "gateway.rejected")),
        (500, "Internal server error", ("in doubt", "gateway.failed")),
        (502, "Bad gateway", ("in doubt", "gateway.failed")),
        (503, "Later", ("throttled", "gateway.throttled")),
    ];
    for (code, text, expected) in refusals {
        simulated.answer_next([Answer::refuse(code, text)]);
        assert_eq!(told(gateway.send(&sms("+46701740605"), now()).await), expected, "{code} {text}");
    }
    assert!(simulated.journal().is_empty());
}

#[tokio::test]
async fn the_simulator_itself_refuses_what_the_real_gateway_refuses() {
    let simulated = simulated().await;
    let gateway = gateway_at(&simulated.base_url());
    let long = OutgoingSms { text: "x".repeat(1_601), ..sms("+46701740605") };
    let empty = OutgoingSms { text: String::new(), ..sms("+46701740605") };
    for (message, expected) in [
        (sms("0701740605"), ("rejected", "gateway.number_invalid")),
        (sms("+46"), ("rejected", "gateway.number_invalid")),
        (long, ("rejected", "gateway.text_too_long")),
        (empty, ("rejected", "gateway.request_refused")),
    ] {
        assert_eq!(told(gateway.send(&message, now()).await), expected, "{message:?}");
    }
    simulated.change(|behaviour| behaviour.balance = Some(5_200));
    assert_eq!(told(gateway.send(&sms("+46701740605"), now()).await).0, "accepted");
    assert_eq!(told(gateway.send(&sms("+46701740605"), now()).await), ("misconfigured", "gateway.no_credit"));
    assert!(gateway.balance().await.unwrap().amount.abs() < f64::EPSILON);
    let stranger = gateway_config(&simulated.base_url(), "");
    let stranger = config::Gateway { password: config::Secret::new("wrong".to_owned()), ..stranger };
    let stranger = SmsGateway::new("elks", &stranger, "").unwrap();
    assert_eq!(told(stranger.send(&sms("+46701740605"), now()).await), ("misconfigured", "gateway.unauthorized"));
    assert_eq!(stranger.balance().await.unwrap_err().code(), "gateway.unauthorized");
    assert_eq!(simulated.journal().len(), 1);
}

#[tokio::test]
async fn a_rate_limit_is_throttling_with_the_wish_in_seconds_as_a_date_or_none() {
    let simulated = simulated().await;
    let gateway = gateway_at(&simulated.base_url());
    let soon = (now() + 30.seconds()).to_zoned(jiff::tz::TimeZone::UTC);
    let soon = soon.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let limit = |retry_after: Option<&str>| RateLimit { per_second: 1, retry_after: retry_after.map(str::to_owned) };
    simulated.change(|behaviour| behaviour.rate_limit = Some(limit(None)));
    gateway.send(&sms("+46701740605"), now()).await.unwrap();
    for (wish, expected) in
        [(Some("7"), Some(7..8)), (Some(soon.as_str()), Some(28..31)), (Some("soon"), None), (None, None)]
    {
        simulated.change(|behaviour| behaviour.rate_limit = Some(RateLimit { per_second: 0, ..limit(wish) }));
        let Err(HandOverError::Throttled { after, .. }) = gateway.send(&sms("+46701740606"), now()).await else {
            panic!("not throttled: {wish:?}");
        };
        match expected {
            Some(range) => assert!(range.contains(&after.unwrap().as_secs()), "{wish:?} {after:?}"),
            None => assert_eq!(after, None, "{wish:?}"),
        }
    }
    assert_eq!(simulated.journal().len(), 1);
}

#[tokio::test]
async fn what_cannot_have_left_is_tried_again() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    assert_eq!(
        told(gateway_at(&closed).send(&sms("+46701740605"), now()).await),
        ("retry, down", "http.connect_failed")
    );
    let unknown = hasty_gateway_at("http://grannpost.invalid").send(&sms("+46701740605"), now()).await;
    assert!(matches!(told(unknown), ("retry, down", "http.name_unknown" | "http.connect_timeout")));
    // Nobody accepts: the queue of this listener is full, and more connections are left unanswered.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let waiting = [tokio::net::TcpStream::connect(address).await.unwrap()];
    let black_hole = hasty_gateway_at(&format!("http://{address}")).send(&sms("+46701740605"), now()).await;
    assert_eq!(told(black_hole), ("retry, down", "http.connect_timeout"));
    drop(waiting);
}

#[tokio::test]
async fn tls_is_never_given_up_for_plain_text_or_a_wrong_certificate() {
    let simulated = simulated().await;
    let plain = simulated.base_url().replace("http://", "https://");
    assert_eq!(told(gateway_at(&plain).send(&sms("+46701740605"), now()).await).0, "retry, down");
    let (server, _) = crate::mail_relay::tls_server("localhost", &crate::mail_relay::CertificateKind::Good);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let untrusted = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(server);
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    assert_eq!(
        told(gateway_at(&untrusted).send(&sms("+46701740605"), now()).await),
        ("retry, down", "http.tls_failed")
    );
    assert_eq!(simulated.calls(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_breaks_under_a_request_never_makes_a_second_one() {
    let accepted: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"id\":\"s1\"}";
    // The second request is read on the kept connection and the connection is closed without a word.
    let server = ScriptedHttp::start(vec![(accepted, Then::KeepOpen)]).await;
    let gateway = gateway_at(&server.base_url());
    gateway.send(&sms("+46701740605"), now()).await.unwrap();
    assert_eq!(told(gateway.send(&sms("+46701740606"), now()).await), ("in doubt", "http.connection_lost"));
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_connection_that_the_gateway_closed_meanwhile_is_not_met() {
    let accepted: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"id\":\"s1\"}";
    let server = ScriptedHttp::start(vec![(accepted, Then::HangUp), (accepted, Then::HangUp)]).await;
    let gateway = gateway_at(&server.base_url());
    gateway.send(&sms("+46701740605"), now()).await.unwrap();
    // A round trip to the same process is time enough for the FIN to arrive and be seen.
    let other = ScriptedHttp::start(vec![(accepted, Then::HangUp)]).await;
    gateway_at(&other.base_url()).send(&sms("+46701740605"), now()).await.unwrap();
    gateway.send(&sms("+46701740606"), now()).await.unwrap();
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = ScriptedHttp::start(vec![]).await;
    let location = format!("HTTP/1.1 307 Moved\r\nLocation: {}/a1/sms\r\nContent-Length: 0\r\n\r\n", target.base_url());
    let server = ScriptedHttp::start(vec![(location.as_bytes(), Then::HangUp)]).await;
    let outcome = gateway_at(&server.base_url()).send(&sms("+46701740605"), now()).await;
    assert_eq!(told(outcome), ("misconfigured", "gateway.address_wrong"));
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn with_an_egress_proxy_everything_goes_through_it() {
    let accepted: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"id\":\"s1\"}";
    let proxy = ScriptedHttp::start(vec![(accepted, Then::KeepOpen)]).await;
    let config = gateway_config("http://127.0.0.1:9", "");
    let gateway = SmsGateway::new("elks", &config, &proxy.base_url()).unwrap();
    gateway.send(&sms("+46701740605"), now()).await.unwrap();
    assert!(proxy.requests()[0].starts_with("POST http://127.0.0.1:9/a1/sms HTTP/1.1\r\n"), "{:?}", proxy.requests());
}

fn window_around_now() -> HistoryWindow {
    HistoryWindow { newer_than: now() - 1.hour(), older_than: None, to: None }
}

#[tokio::test]
async fn a_listing_goes_through_every_page_and_says_that_it_is_complete() {
    let simulated = simulated().await;
    let gateway = gateway_at(&simulated.base_url());
    for n in 0..250 {
        gateway.send(&sms(&format!("+467017406{:02}", n % 50)), now()).await.unwrap();
    }
    let listing = gateway.list(&window_around_now()).await.unwrap();
    assert!(listing.complete);
    let listed: Vec<&str> = listing.rows.iter().map(|row| row.gateway_ref.as_str()).collect();
    let journal = simulated.journal().messages();
    assert_eq!(listed, journal.iter().rev().map(|sms| sms.id.as_str()).collect::<Vec<_>>());
    assert_eq!(simulated.history_calls(), 3);
    let one_number = HistoryWindow { to: Some("+46701740600".to_owned()), ..window_around_now() };
    let listing = gateway.list(&one_number).await.unwrap();
    assert!(listing.complete && listing.rows.len() == 5 && listing.rows.iter().all(|row| row.to == "+46701740600"));
    let older = HistoryWindow { older_than: Some(journal[100].arrived_at()), ..window_around_now() };
    assert_eq!(gateway.list(&older).await.unwrap().rows.len(), 100);
    let newer = HistoryWindow { newer_than: journal[100].arrived_at(), ..window_around_now() };
    assert_eq!(gateway.list(&newer).await.unwrap().rows.len(), 149);
}

#[tokio::test]
async fn a_listing_that_breaks_off_gives_what_it_has_and_is_not_complete() {
    let simulated = simulated().await;
    let gateway = gateway_at(&simulated.base_url());
    for _ in 0..101 {
        gateway.send(&sms("+46701740605"), now()).await.unwrap();
    }
    simulated.change(|behaviour| behaviour.history = HistoryMode::FirstPageOnly);
    let listing = gateway.list(&window_around_now()).await.unwrap();
    assert_eq!((listing.complete, listing.rows.len()), (false, 100));
}

#[tokio::test]
async fn a_look_up_that_fails_proves_nothing_and_says_why() {
    let simulated = simulated().await;
    let gateway = hasty_gateway_at(&simulated.base_url());
    let id = gateway.send(&sms("+46701740605"), now()).await.unwrap().gateway_ref.unwrap();
    let modes = [
        (HistoryMode::Code(404), "gateway.history_missing"),
        (HistoryMode::Code(500), "gateway.history_failed"),
        (HistoryMode::Code(429), "gateway.throttled"),
        (HistoryMode::Rubbish, "gateway.history_unreadable"),
        (HistoryMode::Silence, "http.timeout"),
    ];
    for (mode, code) in modes {
        simulated.change(|behaviour| behaviour.history = mode.clone());
        assert_eq!(gateway.list(&window_around_now()).await.unwrap_err().code(), code, "{mode:?}");
        assert_eq!(gateway.look_up(&id).await.unwrap_err().code(), code, "{mode:?}");
    }
    simulated.change(|behaviour| behaviour.history = HistoryMode::On);
    assert_eq!(gateway.look_up("s00").await.unwrap_err().code(), "gateway.history_missing");
    assert_eq!(gateway.look_up("../me").await.unwrap_err().code(), "gateway.id_unusable");
    let off = SmsGateway::new("elks", &gateway_config(&simulated.base_url(), "history = false"), "").unwrap();
    assert_eq!(off.list(&window_around_now()).await.unwrap_err().code(), "gateway.history_off");
}

#[tokio::test]
async fn the_history_tells_the_state_that_was_reported() {
    let simulated = simulated().await;
    let gateway = gateway_at(&simulated.base_url());
    let mut ids = Vec::new();
    for to in ["+46701740605", "+46701740606", "+46701740607"] {
        ids.push(gateway.send(&sms(to), now()).await.unwrap().gateway_ref.unwrap());
    }
    simulated.report(&ids[0], Fate::Delivered).await;
    simulated.report(&ids[1], Fate::Failed).await;
    let states: Vec<_> = gateway.list(&window_around_now()).await.unwrap().rows.iter().map(|row| row.receipt).collect();
    assert_eq!(states, [Some(ReceiptState::Sent), Some(ReceiptState::Failed), Some(ReceiptState::Delivered)]);
    let row = gateway.look_up(&ids[0]).await.unwrap();
    assert_eq!(
        (row.to.as_str(), row.from.as_str(), row.receipt),
        ("+46701740605", "+46766860000", Some(ReceiptState::Delivered))
    );
}

#[tokio::test]
async fn a_listing_by_a_gateway_that_repeats_itself_ends_and_is_not_complete() {
    let page: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 48\r\n\r\n{\"data\":[],\"next\":\"2026-11-20T02:31:00.000000\"}\n";
    let server = ScriptedHttp::start(vec![(page, Then::KeepOpen); 3]).await;
    let listing = gateway_at(&server.base_url()).list(&window_around_now()).await.unwrap();
    assert_eq!((listing.complete, server.requests().len()), (false, 2));
}

fn listing(rows: &[(&str, &str)], next: Option<&str>) -> Vec<u8> {
    let data: Vec<_> =
        rows.iter().map(|(id, at)| serde_json::json!({"id": id, "to": "+46701740605", "created": at})).collect();
    let body = serde_json::json!({"data": data, "next": next}).to_string();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_gateway_that_ignores_the_window_is_not_asked_for_its_whole_past() {
    let window = HistoryWindow {
        newer_than: "2026-11-20T02:31:00Z".parse().unwrap(),
        older_than: Some("2026-11-20T02:32:00Z".parse().unwrap()),
        to: None,
    };
    let first = listing(
        &[("s4", "2026-11-20T02:33:00"), ("s3", "2026-11-20T02:31:30"), ("s2", "2026-11-20T02:31:10")],
        Some("2026-11-20T02:31:10"),
    );
    let repeated =
        listing(&[("s2", "2026-11-20T02:31:10"), ("s1", "2026-11-20T02:30:00")], Some("2026-11-20T02:30:00"));
    let past = listing(&[("s0", "2026-11-20T01:00:00")], Some("2026-11-20T01:00:00"));
    let disordered =
        listing(&[("s2", "2026-11-20T02:31:10"), ("s3", "2026-11-20T02:31:30")], Some("2026-11-20T02:31:10"));
    for (pages, ids, complete) in
        [(vec![&first, &repeated, &past], vec!["s3", "s2"], true), (vec![&disordered, &past], vec!["s2", "s3"], false)]
    {
        let server = ScriptedHttp::start(pages.iter().map(|page| (page.as_slice(), Then::KeepOpen)).collect()).await;
        let listing = gateway_at(&server.base_url()).list(&window).await.unwrap();
        let listed: Vec<_> = listing.rows.iter().map(|row| row.gateway_ref.as_str()).collect();
        assert_eq!((listed, listing.complete), (ids, complete));
        assert_eq!(server.requests().len(), pages.len());
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_may_be_the_one_that_is_looked_for() {
    let server =
        ScriptedHttp::start(vec![(&listing(&[("s1", "2026-11-20T02:31:00"), ("", "x")], None), Then::KeepOpen)]).await;
    let window = HistoryWindow { newer_than: "2026-11-20T02:00:00Z".parse().unwrap(), older_than: None, to: None };
    let listing = gateway_at(&server.base_url()).list(&window).await.unwrap();
    assert_eq!((listing.rows.len(), listing.complete), (1, false));
    let request = server.requests().remove(0);
    assert!(request.starts_with("GET /a1/sms?end=2026-11-20T02%3A00%3A00.000000&limit=100 HTTP/1.1\r\n"), "{request}");
}
