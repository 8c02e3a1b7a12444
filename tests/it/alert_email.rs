//! The other channel by itself: an alert goes by e-mail to those of whom it has been known for a while that no SMS reached them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use grannpost::actions::{alert_email, key};
use grannpost::ambient::Clock;
use grannpost::simulator::{Fate, GatewayOptions, MailSink, MailSinkOptions, ReceiptPlan, SimulatedGateway};
use grannpost::{app, config};
use serde_json::{Value, json};

use crate::support::child::{self, ServeProcess};
use crate::support::faults::{Draw, seeds};
use crate::support::register::load_sample;
use crate::support::{Api, Database, Kind, TestApp, on_both_databases, root, settings};

const EVA: &str = "+46701740601";
const NILS: &str = "+46701740609";
const AFTER: &str = "alerts.email_instead_after_seconds = 300\nreplies.automatic = false";
const MINUTE: Duration = Duration::from_secs(60);
/// Persons that an alert was written to by e-mail, each as often as it was.
const WRITTEN: &str = "SELECT r.contact_person_id FROM message_recipient r JOIN message m ON m.id = r.message_id \
                       WHERE m.kind = 'test' AND r.channel = 'email' ORDER BY r.contact_person_id";

impl TestApp {
    /// Eva and Nils, and what the gateway says of their numbers.
    async fn with_fates(kind: Kind, more: &str, fates: &[(&str, Fate)]) -> Self {
        let app = Self::with_two_persons(kind, more).await;
        app.gateway.change(|gateway| {
            let fates = fates.iter().map(|(number, fate)| ((*number).to_owned(), *fate));
            gateway.receipts.fate_by_number.extend(fates);
        });
        app
    }

    /// Sends an alert to both and waits until all is handed over and so many are known not to have arrived.
    async fn alert_missed(&self, more: Value, undelivered: i64) -> String {
        let mut body =
            json!({ "text": "Röd skåpbil söks", "areas": ["2326", "2321"], "decided_by": "Befäl", "undo_seconds": 0 });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.api.post("/alerts", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json["id"].as_str().unwrap().to_owned();
        let is_out =
            |alert: &Value| alert["handed_over_at"].is_string() && alert["counts"]["undelivered"] == undelivered;
        self.alert_when(&id, is_out).await;
        id
    }

    /// The e-mail addresses that the sink took something for, once they are so many, in order.
    async fn until_mails(&self, count: usize) -> Vec<String> {
        self.mail.journal().wait_for(count).await;
        // The relay has it before we know: a clock that is moved meanwhile would let the lease run out.
        self.database.until_none("SELECT state FROM delivery WHERE channel = 'email' AND state = 'sending'").await;
        let mut to: Vec<String> = self.mail.journal().letters().into_iter().map(|letter| letter.to).collect();
        to.sort();
        to
    }

    /// A follow-up of an alert; its id.
    async fn is_over(&self, id: &str, kind: &str) -> String {
        let body = json!({ "kind": kind, "text": "Bilen är funnen", "undo_seconds": 0 });
        let made = self.api.post(&format!("/alerts/{id}/follow-ups"), body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["id"].as_str().unwrap().to_owned()
    }
}

on_both_databases! {
    async fn whom_no_sms_reached_gets_the_alert_by_e_mail_by_itself_and_once(kind: Kind) {
        let app = TestApp::with_fates(kind, AFTER, &[(EVA, Fate::Failed), (NILS, Fate::SentOnly)]).await;
        let id = app.alert_missed(json!({}), 1).await;
        let mut operator = app.signed_in("operator", "").await;
        let path = format!("/alerts/{id}");
        let page = operator.get(&path).await;
        assert!(page.says("Annars går den av sig själv 5 minuter efter det att"), "{}", page.html);
        app.advance(MINUTE * 4);
        assert_eq!(alert_email::sweep(&app.desk).await.unwrap(), 0, "not yet");
        app.advance(MINUTE * 2);
        alert_email::sweep(&app.desk).await.unwrap();
        assert_eq!(app.until_mails(1).await, ["2326@example.org"], "she, and not he, who may have it");
        let page = app.page_until(&mut operator, &path, "1 av 1 skickade").await;
        assert!(page.says("Skickat med e-post av sig självt kl. 02.37 till 1: ") && !page.says("email-instead"), "{}", page.html);
        let report = operator.get(&format!("{path}/report")).await;
        assert!(report.says("Skickat med e-post av sig självt kl. 02.37 till 1"), "{}", report.html);
        let logged = "SELECT actor FROM audit WHERE action = 'alert.sent_by_email' ORDER BY id";
        assert_eq!(app.database.texts(logged).await, ["grannpost"]);

        // What is learnt later is taken in a later round.
        let late = app.gateway.journal().messages().into_iter().find(|sms| sms.to == NILS).unwrap();
        app.gateway.report(&late.id, Fate::Failed).await;
        app.alert_when(&id, |alert| alert["counts"]["undelivered"] == 2).await;
        assert_eq!(alert_email::sweep(&app.desk).await.unwrap(), 0, "he waits as long as she did");
        app.advance(MINUTE * 6);
        alert_email::sweep(&app.desk).await.unwrap();
        assert_eq!(app.until_mails(2).await, ["2321@example.org", "2326@example.org"]);
        app.advance(MINUTE * 6);
        assert_eq!(alert_email::sweep(&app.desk).await.unwrap(), 0, "nobody twice");
        assert_eq!(app.database.texts(logged).await, ["grannpost", "grannpost"]);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn who_follows_the_alert_does_it_sooner_and_nobody_gets_it_twice(kind: Kind) {
        let app = TestApp::with_fates(kind, AFTER, &[(EVA, Fate::Failed), (NILS, Fate::Failed)]).await;
        let id = app.alert_missed(json!({}), 2).await;
        let mut operator = app.signed_in("operator", "").await;
        let page = operator.get(&format!("/alerts/{id}")).await;
        app.advance(MINUTE * 6);
        let action = format!("/alerts/{id}/email");
        let (swept, again, pressed) = tokio::join!(
            alert_email::sweep(&app.desk),
            alert_email::sweep(&app.desk),
            operator.submit(&page, &action, &[])
        );
        assert_eq!(pressed.status, 200, "{}", pressed.html);
        assert!([0, 2].contains(&(swept.unwrap() + again.unwrap())), "all or none of them");
        let written = app.database.texts(WRITTEN).await;
        assert_eq!((written.len(), written.iter().collect::<BTreeSet<_>>().len()), (2, 2), "{written:?}");
        assert_eq!(app.until_mails(2).await, ["2321@example.org", "2326@example.org"]);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn neither_a_drill_nor_what_has_run_out_goes_by_itself(kind: Kind) {
        let app = TestApp::with_fates(kind, AFTER, &[(EVA, Fate::Failed), (NILS, Fate::Failed)]).await;
        app.alert_missed(json!({ "text": "Övning", "drill": true }), 2).await;
        app.alert_missed(json!({ "text": "Kort", "expires_in_minutes": 3 }), 2).await;
        app.advance(MINUTE * 6);
        assert_eq!(alert_email::sweep(&app.desk).await.unwrap(), 0);
        assert_eq!(app.database.texts(WRITTEN).await, Vec::<String>::new());
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_an_operator_stopped_or_a_pause_held_is_left_to_people(kind: Kind) {
        let fates = [(EVA, Fate::Failed), (NILS, Fate::SentOnly)];
        let slow = format!("{AFTER}\nmail.rate_per_second = 1");
        let app = TestApp::with_fates(kind, &slow, &fates).await;
        let stopped = app.alert_missed(json!({}), 1).await;
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/admin/gateways").await;
        admin.submit(&page, "/admin/pause", &[("reason", "Något är fel")]).await;
        let page = admin.get(&format!("/alerts/{stopped}")).await;
        admin.submit(&page, &format!("/alerts/{stopped}/email"), &[]).await;
        admin.submit(&page, &format!("/alerts/{stopped}/email/stop"), &[]).await;
        let late = app.gateway.journal().messages().into_iter().find(|sms| sms.to == NILS).unwrap();
        app.gateway.report(&late.id, Fate::Failed).await;
        app.alert_when(&stopped, |alert| alert["counts"]["undelivered"] == 2).await;
        app.advance(MINUTE * 6);
        assert_eq!(alert_email::sweep(&app.desk).await.unwrap(), 0, "paused");
        let page = admin.get("/admin/resume").await;
        admin.submit(&page, "/admin/resume", &[]).await;
        assert_eq!(alert_email::sweep(&app.desk).await.unwrap(), 0, "out before the pause, and stopped");
        let page = admin.get(&format!("/alerts/{stopped}")).await;
        assert!(page.says("email-instead") && !page.says("av sig själv"), "{}", page.html);

        app.advance(MINUTE);
        app.gateway.change(|gateway| { gateway.receipts.fate_by_number.insert(NILS.to_owned(), Fate::Failed); });
        app.alert_missed(json!({ "text": "Blå bil söks" }), 2).await;
        app.advance(MINUTE * 6);
        alert_email::sweep(&app.desk).await.unwrap();
        assert_eq!(app.until_mails(2).await, ["2321@example.org", "2326@example.org"], "what came after it goes");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_ended_alert_is_not_written_to_anybody(kind: Kind) {
        let app = TestApp::with_fates(kind, AFTER, &[(EVA, Fate::Failed)]).await;
        for over in ["all_clear", "correction"] {
            let id = app.alert_missed(json!({ "text": format!("Röd bil {over}") }), 1).await;
            app.is_over(&id, over).await;
        }
        app.advance(MINUTE * 6);
        assert_eq!(alert_email::sweep(&app.desk).await.unwrap(), 0);
        assert_eq!(app.database.texts(WRITTEN).await, Vec::<String>::new());
    }

    async fn who_has_the_alert_by_e_mail_only_hears_in_the_same_way_that_it_was_wrong(kind: Kind) {
        let app = TestApp::with_fates(kind, AFTER, &[(EVA, Fate::Failed)]).await;
        let id = app.alert_missed(json!({}), 1).await;
        app.advance(MINUTE * 6);
        alert_email::sweep(&app.desk).await.unwrap();
        app.until_mails(1).await;
        let wrong = app.is_over(&id, "correction").await;
        app.alert_when(&wrong, |alert| alert["state"] == "done" && alert["counts"]["delivered"] == 1).await;
        app.advance(MINUTE * 6);
        alert_email::sweep(&app.desk).await.unwrap();
        assert_eq!(app.until_mails(2).await, ["2326@example.org", "2326@example.org"], "she, and not he, whose phone has it");
        let letter = app.mail.journal().letters().pop().unwrap();
        assert!(String::from_utf8_lossy(&letter.message).contains("Bilen"), "what follows, and not the first once more");
        app.advance(MINUTE * 6);
        assert_eq!(alert_email::sweep(&app.desk).await.unwrap(), 0, "once");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_daemon_looks_by_itself(kind: Kind) {
        let app = TestApp::with_fates(kind, "alerts.email_instead_after_seconds = 1", &[(EVA, Fate::Failed)]).await;
        app.alert_missed(json!({}), 1).await;
        app.advance(MINUTE);
        assert_eq!(app.until_mails(1).await, ["2326@example.org"]);
    }

    async fn a_daemon_killed_while_it_writes_by_itself_writes_to_nobody_twice(kind: Kind) {
        for seed in seeds(2, 10) {
            killed_while_it_writes(kind, seed).await;
        }
    }
}

async fn killed_while_it_writes(kind: Kind, seed: u64) {
    let wall = || Arc::new(|| Clock::System.now());
    let any = "127.0.0.1:0".parse().unwrap();
    let gateway = SimulatedGateway::start(any, GatewayOptions { seed, ..GatewayOptions::new(wall()) }).await.unwrap();
    gateway.change(|gateway| gateway.receipts = ReceiptPlan { delivered: 0.5, failed: 0.5, ..ReceiptPlan::default() });
    let mail = MailSink::start(any, MailSinkOptions::new(wall())).await.unwrap();
    let database = Database::new(kind);
    let text = settings(&database.url, &gateway.base_url(), &mail.url())
        .replace("email_instead_after_seconds = 0", "email_instead_after_seconds = 1")
        .replace("mail.rate_per_second = 2000", "mail.rate_per_second = 100");
    let file = database.folder.path().join("grannpost.toml");
    std::fs::write(&file, format!("{text}dispatch.lease_seconds = 1\ndispatch.in_doubt_grace_seconds = 1\n")).unwrap();
    let desk = app::open(Arc::new(config::from_toml(&[&text]).unwrap()), Clock::System, true).await.unwrap();
    load_sample(&desk).await;
    let mut session = desk.store.begin().await.unwrap();
    let secret = key::add(&desk, &mut session, &root(), ("mail", "admin", "")).await.unwrap().secret;
    session.commit().await.unwrap();
    desk.store.close().await;

    let mut daemon = ServeProcess::start(&file);
    let body =
        json!({ "text": "Röd skåpbil söks", "areas": ["2321", "2309"], "decided_by": "Befäl", "undo_seconds": 0 });
    let made = Api::new(daemon.base.clone(), secret).post("/alerts", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mut draw = Draw::new(seed);
    for _ in 0..3 {
        let before = mail.journal().len();
        let until = before + 1 + draw.below(20);
        tokio::time::timeout(Duration::from_secs(5), mail.journal().wait_for(until)).await.ok();
        daemon.kill();
        daemon = ServeProcess::start(&file);
    }
    database
        .until_none("SELECT state FROM delivery WHERE channel = 'sms' AND state IN ('queued', 'sending', 'accepted')")
        .await;
    let missed = "SELECT r.contact_person_id FROM message_recipient r JOIN message m ON m.id = r.message_id \
                  JOIN contact_person p ON p.id = r.contact_person_id LEFT JOIN delivery d ON d.id = r.delivery_id \
                  WHERE m.kind = 'alert' AND p.email IS NOT NULL AND p.alerts = 1 AND p.alerts_opt_out_at IS NULL \
                  AND (d.state IN ('undelivered', 'failed') OR r.not_reached = 'no_mobile') ";
    database
        .until_none(&format!("{missed} AND r.contact_person_id NOT IN ({})", WRITTEN.split(" ORDER").next().unwrap()))
        .await;
    database.until_none("SELECT state FROM delivery WHERE channel = 'email' AND state IN ('queued', 'sending')").await;
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    let written = database.texts(WRITTEN).await;
    assert_eq!(
        written.len(),
        written.iter().collect::<BTreeSet<_>>().len(),
        "seed {seed}: somebody is written to twice"
    );
    assert_eq!(mail.journal().duplicates(), [], "seed {seed}");
    assert!(!mail.journal().is_empty(), "seed {seed}");
    let verified = child::run(&file, &["verify"]);
    assert!(verified.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&verified.stdout));
}
