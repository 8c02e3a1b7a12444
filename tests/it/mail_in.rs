//! Stories of mail that comes in: bounces, complaints, automatic replies and people, through the verb and the daemon.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use grannpost::actions::extract;
use grannpost::actions::observation_export::{self, ExportWish};
use grannpost::ambient::Clock;
use grannpost::inbound::mail::Spool;
use grannpost::simulator::{MailSink, MailSinkOptions};
use grannpost::store;
use grannpost::store::inbound_mail::InboundMail;
use serde_json::{Value, json};

use crate::support::child::{BINARY, ServeProcess};
use crate::support::postfix::{Postfix, open_to_all};
use crate::support::{TestApp, on_both_databases, root};

/// A report as Postfix writes it, about the letter with this Message-ID.
pub fn report(action: &str, status: &str, said: &str, message_id: &str) -> String {
    format!(
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.net (Mail Delivery System)\r\nSubject: Undelivered Mail Returned to Sender\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nThis is the mail system at host mx.example.net.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n\
         Final-Recipient: rfc822; somebody.else@example.com\r\nAction: {action}\r\nStatus: {status}\r\nDiagnostic-Code: smtp; {said}\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message_id}\r\n\r\n--b--\r\n"
    )
}

const GONE: &str = "550 5.1.1 <anna.ek@example.org>: Recipient address rejected: User unknown";

/// The report of a letter to an address that is not there.
pub fn hard() -> String {
    report("failed", "5.1.1", GONE, "<unknown@example.org>")
}

/// A letter on its way, and what is known of it.
pub struct Sent {
    pub id: String,
    pub return_path: String,
    message_id: String,
}

impl TestApp {
    /// Somebody in Duved who reads letters; gives the id.
    pub async fn add_letter_reader(&self, name: &str, email: &str, with_address: bool) -> String {
        let mut person =
            json!({ "name": name, "email": email, "municipality": "2321", "watch_area": "Duved", "households": 5 });
        if with_address {
            person.as_object_mut().unwrap().extend(
                json!({ "address": "Skolvägen 3", "postcode": "837 71", "place": "Duved" })
                    .as_object()
                    .unwrap()
                    .clone(),
            );
        }
        let made = self.api.post("/contact-persons", person).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["id"].as_str().unwrap().to_owned()
    }

    /// The counts of a letter's audience, from a draft.
    async fn letter_audience(&self) -> Value {
        let letter =
            json!({ "subject": "Läget", "body_markdown": "Hej", "areas": ["2321"], "no_registry_number": true });
        let made = self.api.post("/letters", letter).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["audience"].clone()
    }

    /// Sends a letter to the one reader there is by e-mail, and waits until the relay has it.
    pub async fn send_one_letter(&self) -> Sent {
        let before = self.mail.journal().len();
        let letter =
            json!({ "subject": "Läget", "body_markdown": "Hej", "areas": ["2321"], "no_registry_number": true });
        let made = self.api.post("/letters", letter).await;
        let id = made.json["id"].as_str().unwrap().to_owned();
        let sent = self.api.post(&format!("/letters/{id}/send"), json!({ "undo_seconds": 0 })).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        self.mail.journal().wait_for(before + 1).await;
        self.delivery_when(&id, |delivery| delivery["state"] == "accepted").await;
        let mail = self.mail.journal().letters().pop().unwrap();
        let text = String::from_utf8_lossy(&mail.message).into_owned();
        let line = text.lines().find(|line| line.starts_with("Message-ID: ")).unwrap();
        Sent { id, return_path: mail.from.clone(), message_id: line["Message-ID: ".len()..].trim().to_owned() }
    }

    /// The first delivery of a letter, once `done` says so of it.
    pub async fn delivery_when(&self, letter: &str, done: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..400 {
            last = self.api.get(&format!("/letters/{letter}/deliveries")).await.json["items"][0].clone();
            if done(&last) {
                return last;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        panic!("the delivery never came there: {last:#}");
    }

    /// Keeps a mail as the verb does, at the story's own time.
    pub async fn bring(&self, recipient: &str, mail: &str) {
        let mut spool = Spool::new(recipient, 1_000_000);
        spool.add(mail.as_bytes()).unwrap();
        spool.keep(&self.desk.store, &self.desk.clock, "pipe").await.unwrap();
    }

    /// Brings a mail and waits until everything is read; gives what the folder holds then.
    async fn read_in(&self, recipient: &str, mail: &str, folder: &str) -> Vec<InboundMail> {
        self.bring(recipient, mail).await;
        self.all_read().await;
        self.folder(folder).await
    }

    /// Waits until no mail lies unread.
    pub async fn all_read(&self) {
        for _ in 0..600 {
            let mut session = self.desk.store.read().await.unwrap();
            let (unread, _) = store::inbound_mail::waiting(&mut session).await.unwrap();
            drop(session);
            if unread == 0 {
                return;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        panic!("mail lies unread");
    }

    /// Waits until so many mails are on disk.
    pub async fn mail_came(&self, mails: usize) {
        for _ in 0..600 {
            if self.database.texts("SELECT id FROM inbound_mail").await.len() >= mails {
                return;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        panic!("the mail never came");
    }

    /// The mails in a folder.
    pub async fn folder(&self, folder: &str) -> Vec<InboundMail> {
        let mut session = self.desk.store.read().await.unwrap();
        store::inbound_mail::page(&mut session, folder, ("", 1000)).await.unwrap()
    }
}

/// Pipes a mail into the verb; gives its exit code.
pub fn pipe(config: &Path, arguments: &[&str], mail: &[u8]) -> i32 {
    let mut child = Command::new(BINARY)
        .arg("receive-mail")
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The other end may be gone already, which is a story of its own.
    let _ = child.stdin.take().unwrap().write_all(mail);
    child.wait().unwrap().code().unwrap()
}

on_both_databases! {
    async fn a_bounce_ends_the_delivery_and_the_next_letter_goes_on_paper(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = app.add_letter_reader("Anna Ek", "Anna.Ek@example.org", true).await;
        let sent = app.send_one_letter().await;
        let config = app.config_file();
        let code = pipe(&config, &["--recipient", &sent.return_path.to_uppercase()], hard().as_bytes());
        assert_eq!(code, 0);
        let delivery = app.delivery_when(&sent.id, |delivery| delivery["state"] == "undelivered").await;
        assert_eq!(delivery["reason"], "bounce.hard");
        assert!(delivery["detail"].as_str().unwrap().contains("User unknown"), "{delivery}");
        let audience = app.letter_audience().await;
        assert_eq!((&audience["by_email"], &audience["on_paper"]), (&json!(0), &json!(1)), "{audience}");
        let shown = app.api.get(&format!("/deliveries/{}", delivery["id"].as_str().unwrap())).await;
        assert_eq!(shown.json["receipts"][0]["word"], "failed hard 5.1.1", "{}", shown.text);
        let log = app.api.get("/audit?action=contact_person.email_unusable").await;
        assert!(log.text.contains(&person), "{}", log.text);
        let changed = app.api.patch(&format!("/contact-persons/{person}"), json!({ "email": "anna@example.org" })).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        assert_eq!(app.letter_audience().await["by_email"], 1, "another address is usable at once");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_same_mail_again_is_one_and_a_database_that_is_away_says_try_again(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let config = app.config_file();
        for _ in 0..2 {
            assert_eq!(pipe(&config, &["--recipient", "brev@example.org"], b"From: anna@example.org\n\nJag har sett bilen."), 0);
        }
        app.all_read().await;
        assert_eq!(app.folder("replies").await.len(), 1);
        let away = app.database.folder.path().join("away.toml");
        std::fs::write(&away, "database.url = \"postgres://nobody@127.0.0.1:1/none\"\n").unwrap();
        assert_eq!(pipe(&away, &[], b"From: anna@example.org\n\nHej"), 75);
        std::fs::write(&away, "database.uril = \"x\"\n").unwrap();
        assert_eq!(pipe(&away, &[], b"From: anna@example.org\n\nHej"), 75, "a mail is kept by who brings it until this is mended");
    }

    async fn a_forged_bounce_changes_nothing_and_lies_in_the_tray(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_letter_reader("Anna Ek", "anna.ek@example.org", false).await;
        let sent = app.send_one_letter().await;
        let (local, domain) = sent.return_path.split_once('@').unwrap();
        let last = if local.ends_with('a') { 'b' } else { 'a' };
        let forged = format!("{}{last}@{domain}", &local[..local.len() - 1]);
        let tray = app.read_in(&forged, &hard(), "tray").await;
        assert_eq!((tray.len(), tray[0].token_state.as_deref(), tray[0].delivery_id), (1, Some("forged"), None));
        let tray = app.read_in("", &hard(), "tray").await;
        let mut states: Vec<_> = tray.iter().filter_map(|mail| mail.token_state.as_deref()).collect();
        states.sort_unstable();
        assert_eq!(states, ["forged", "none"]);
        assert_eq!(app.delivery_when(&sent.id, |_| true).await["state"], "accepted");
        assert_eq!(app.letter_audience().await["by_email"], 1);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_report_is_matched_by_envelope_id_and_message_id_where_the_recipient_is_lost(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_letter_reader("Anna Ek", "anna.ek@example.org", false).await;
        let sent = app.send_one_letter().await;
        app.bring("", &report("delivered", "2.0.0", "250 Ok", &sent.message_id)).await;
        app.delivery_when(&sent.id, |delivery| delivery["state"] == "delivered").await;
        let letter = app.api.get(&format!("/letters/{}", sent.id)).await;
        assert_eq!(letter.json["counts"]["delivered"], 1, "{}", letter.text);

        let sent = app.send_one_letter().await;
        let token = sent.return_path.trim_start_matches("bounce+").split('@').next().unwrap().to_owned();
        let by_envelope = hard().replace("Reporting-MTA", &format!("Original-Envelope-Id: {token}\r\nReporting-MTA"));
        app.bring("", &by_envelope).await;
        app.delivery_when(&sent.id, |delivery| delivery["state"] == "undelivered").await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_delay_is_a_note_and_a_late_bounce_adds_to_the_address_without_moving_what_is_final(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = app.add_letter_reader("Anna Ek", "anna.ek@example.org", false).await;
        let sent = app.send_one_letter().await;
        let delayed = report("delayed", "4.4.1", "connect to mx: Connection timed out", &sent.message_id);
        assert_eq!(app.read_in(&sent.return_path, &delayed, "reports").await.len(), 1);
        let delivery = app.delivery_when(&sent.id, |_| true).await;
        assert_eq!(delivery["state"], "accepted");
        let shown = app.api.get(&format!("/deliveries/{}", delivery["id"].as_str().unwrap())).await;
        assert_eq!(shown.json["receipts"][0]["word"], "delayed", "{}", shown.text);
        app.advance(Duration::from_secs(121 * 3600));
        app.delivery_when(&sent.id, |delivery| delivery["state"] == "unconfirmed").await;
        app.read_in(&sent.return_path, &hard(), "reports").await;
        assert_eq!(app.delivery_when(&sent.id, |_| true).await["state"], "unconfirmed");
        assert_eq!(app.letter_audience().await["not_reached"], 1, "no postal address either");
        let mut session = app.desk.store.begin().await.unwrap();
        let held = extract::of_person(&app.desk, &mut session, &root(), &person).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(held["mail"].as_array().unwrap().len(), 2, "{held:#}");
        let health = &held["channel_health"][0];
        assert_eq!((&health["channel"], &health["undelivered"], &health["hard"]), (&json!("email"), &json!(1), &json!(1)), "{health}");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_passes_counts_three_times_in_a_month_and_what_was_wrong_with_us_marks_nobody(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_letter_reader("Anna Ek", "anna.ek@example.org", true).await;
        for _ in 0..4 {
            let sent = app.send_one_letter().await;
            let ours = report("failed", "5.7.1", "550 5.7.1 blocked, user unknown", &sent.message_id);
            app.read_in(&sent.return_path, &ours, "reports").await;
            let delivery = app.delivery_when(&sent.id, |delivery| delivery["state"] == "undelivered").await;
            assert_eq!(delivery["reason"], "bounce.ours");
        }
        for letters in 1..=3 {
            assert_eq!(app.letter_audience().await["by_email"], 1, "after {letters}");
            let sent = app.send_one_letter().await;
            let full = report("failed", "5.2.2", "552 5.2.2 mailbox full", &sent.message_id);
            app.bring(&sent.return_path, &full).await;
            // The same letter twice counts once.
            app.read_in(&sent.return_path, &full.replace("mailbox", "Mailbox"), "reports").await;
        }
        assert_eq!(app.letter_audience().await["on_paper"], 1);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn letters_frozen_before_the_address_was_lost_are_not_handed_over(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.add_letter_reader("Anna Ek", "anna.ek@example.org", false).await;
        let first = app.send_one_letter().await;
        let letter = json!({ "subject": "Nästa", "body_markdown": "Hej", "areas": ["2321"], "no_registry_number": true });
        let made = app.api.post("/letters", letter).await;
        let id = made.json["id"].as_str().unwrap().to_owned();
        app.api.post(&format!("/letters/{id}/send"), json!({ "undo_seconds": 60 })).await;
        app.read_in(&first.return_path, &hard(), "reports").await;
        app.advance(Duration::from_secs(61));
        let delivery = app.delivery_when(&id, |delivery| delivery["state"] == "suppressed").await;
        assert_eq!(delivery["reason"], "address.unusable");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_complaint_ends_letters_and_an_automatic_reply_changes_nothing(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = app.add_letter_reader("Anna Ek", "anna.ek@example.org", true).await;
        let sent = app.send_one_letter().await;
        let away = "Return-Path: <>\nFrom: Anna Ek <anna.ek@example.org>\nSubject: Autosvar: Läget\nAuto-Submitted: auto-replied\n\nAdressen finns inte längre.";
        assert_eq!(app.read_in(&sent.return_path, away, "automatic").await.len(), 1);
        let mut admin = app.signed_in("admin", "").await;
        let list = admin.get("/register/mail?folder=automatic").await;
        assert!(list.says("Autosvar: Läget") && list.says("Automatiskt svar"), "{}", list.html);
        let mail = list.after("<a href=\"/register/mail/").unwrap();
        let open = admin.get(&format!("/register/mail/{mail}")).await;
        assert!(open.says("Adressen finns inte längre.") && !open.says("lägg undan"), "{}", open.html);
        assert!(!admin.get("/register/mail").await.says("Autosvar"), "nobody has to read it");
        assert_eq!(app.delivery_when(&sent.id, |_| true).await["state"], "accepted");
        let complaint = format!(
            "From: <feedback@mail.example>\nSubject: FW: Läget\nContent-Type: multipart/report; report-type=feedback-report; boundary=f\n\n\
             --f\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n\n--f\nContent-Type: message/rfc822\n\nMessage-ID: {}\nSubject: x\n\n--f--\n",
            sent.message_id
        );
        app.read_in("abuse@example.org", &complaint, "reports").await;
        let shown = app.api.get(&format!("/contact-persons/{person}")).await;
        assert!(shown.text.contains("complaint"), "{}", shown.text);
        assert_eq!(app.letter_audience().await["not_reached"], 1);
        assert_eq!(app.mail.journal().len(), 1, "no mail is sent in answer");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_a_person_answers_becomes_an_observation_of_theirs(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = app.add_letter_reader("Anna Ek", "anna.ek@example.org", false).await;
        let sent = app.send_one_letter().await;
        let answer = format!(
            "From: Anna Ek <Anna.Ek@example.org>\nIn-Reply-To: {}\nSubject: SV: Läget\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nJag s=E5g en r=F6d sk=E5pbil.\n\nDen 20 nov. skrev Polisen:\n> Hej\n",
            sent.message_id
        );
        let replies = app.read_in("grannsamverkan@example.org", &answer, "replies").await;
        assert_eq!((replies.len(), replies[0].contact_person_id.as_deref()), (1, Some(person.as_str())));
        let id = replies[0].observation_id.clone().unwrap();
        let mut session = app.desk.store.read().await.unwrap();
        let observation = store::observation::get(&mut session, &id).await.unwrap().unwrap();
        assert_eq!(observation.text, "Jag såg en röd skåpbil.");
        assert_eq!(observation.contact_person_id.as_deref(), Some(person.as_str()));
        assert_eq!(observation.message_id.as_deref(), Some(sent.id.as_str()));
    }

    async fn a_mail_goes_to_an_investigator_as_it_came_and_not_beyond_its_senders_erasure(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = app.add_letter_reader("Anna Ek", "anna.ek@example.org", false).await;
        let sent = app.send_one_letter().await;
        let answer = format!(
            "From: Anna Ek <anna.ek@example.org>\nIn-Reply-To: {}\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nBilden visar bilen.\n--b\nContent-Type: image/png\nContent-Disposition: attachment; filename=bil.png\n\nBILDENS-OKTETTER\n--b--\n",
            sent.message_id
        );
        let replies = app.read_in("grannsamverkan@example.org", &answer, "replies").await;
        let id = replies[0].observation_id.clone().unwrap();
        for with_informant in [true, false] {
            let wish = ExportWish { ids: vec![id.clone()], reason: "K 1234-26".to_owned(), with_informant };
            let mut session = app.desk.store.begin().await.unwrap();
            let archive = observation_export::export(&app.desk, &mut session, &root(), &wish).await.unwrap();
            session.commit().await.unwrap();
            let archive = String::from_utf8_lossy(&archive).into_owned();
            assert!(archive.contains("Bilden visar bilen."));
            for of_mail in [format!("{id}.eml"), "BILDENS-OKTETTER".to_owned(), "Anna Ek".to_owned()] {
                assert_eq!(archive.contains(&of_mail), with_informant, "{of_mail}");
            }
        }
        assert_eq!(app.api.delete(&format!("/contact-persons/{person}")).await.status, 204);
        let mut session = app.desk.store.read().await.unwrap();
        let erased = store::inbound_mail::get(&mut session, &replies[0].id).await.unwrap().unwrap();
        assert_eq!((erased.sender.as_str(), erased.observation_id.as_deref()), ("", Some(id.as_str())), "that it came stays");
        assert_eq!(store::inbound_mail::parts(&mut session, &erased.id, 100).await.unwrap(), Vec::<String>::new());
        let observation = store::observation::get(&mut session, &id).await.unwrap().unwrap();
        assert_eq!(observation.text, "Bilden visar bilen.");
        assert!(!observation.sender.contains("anna"), "{}", observation.sender);
    }

    async fn a_mail_that_stops_the_reader_is_left_alone_in_the_end(kind: Kind) {
        let mut app = TestApp::spawn(kind).await;
        app.stop().await;
        app.bring("brev@example.org", "From: a@example.org\n\nEtt").await;
        app.database.execute("UPDATE inbound_mail SET tries = 3").await;
        app.bring("brev@example.org", "From: a@example.org\n\nTvå").await;
        let config = app.config_file();
        let daemon = ServeProcess::start(&config);
        app.all_read().await;
        drop(daemon);
        assert_eq!(app.folder("replies").await.len(), 1);
        let tray = app.folder("tray").await;
        assert_eq!((tray.len(), tray[0].state.as_str()), (1, "unreadable"));
    }

    async fn a_storm_of_bounces_is_read_once_each_across_kills(kind: Kind) {
        let mut app = TestApp::spawn_with(kind, "mail.concurrency = 20").await;
        app.load_sample().await;
        let letter = json!({ "subject": "Läget", "body_markdown": "Hej", "areas": ["jamtland"], "no_registry_number": true });
        let made = app.api.post("/letters", letter).await;
        let id = made.json["id"].as_str().unwrap().to_owned();
        app.api.post(&format!("/letters/{id}/send"), json!({ "undo_seconds": 0 })).await;
        app.mail.journal().wait_for(944).await;
        for _ in 0..400 {
            if app.api.get(&format!("/letters/{id}")).await.json["counts"]["accepted"] == 944 {
                break;
            }
            app.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        app.stop().await;
        for (at, mail) in app.mail.journal().letters().iter().enumerate() {
            let bounce = match at % 3 {
                0 => hard(),
                1 => report("failed", "5.2.2", "552 5.2.2 mailbox full", "<x@example.org>"),
                _ => report("failed", "5.7.1", "554 5.7.1 blocked by policy", "<x@example.org>"),
            };
            app.bring(&mail.from, &bounce).await;
        }
        let config = app.config_file();
        for _ in 0..2 {
            let daemon = ServeProcess::start(&config);
            app.desk.wakeup.wait(Duration::from_millis(300)).await;
            daemon.kill();
        }
        let daemon = ServeProcess::start(&config);
        app.all_read().await;
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        assert_eq!((app.folder("reports").await.len(), app.folder("tray").await.len()), (944, 0));
        let states = app.database.texts("SELECT reason FROM delivery WHERE state = 'undelivered'").await;
        let count = |reason: &str| states.iter().filter(|of| *of == reason).count();
        assert_eq!((count("bounce.hard"), count("bounce.soft"), count("bounce.ours")), (315, 315, 314));
        let marked = app.database.texts("SELECT email_unusable_reason FROM contact_person WHERE email_unusable IS NOT NULL").await;
        assert!(marked.len() >= 315 && marked.iter().all(|reason| reason == "bounce.hard"), "{}", marked.len());
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_postfix_sends_back_is_understood_and_brought_in_by_its_pipe(kind: Kind) {
        let any = "127.0.0.1:0".parse().unwrap();
        let far = MailSink::start(any, MailSinkOptions::new(Arc::new(|| Clock::System.now()))).await.unwrap();
        let refusals = [
            ("anna@example.com", "550 5.1.1 <anna@example.com>: Recipient address rejected: User unknown", "bounce.hard"),
            ("bo@example.com", "550 no such user here", "bounce.hard"),
            ("cia@example.com", "552 5.2.2 <cia@example.com>: Mailbox full", "bounce.soft"),
            ("dan@example.com", "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked", "bounce.ours"),
            ("eva@example.com", "550 Rejected", "bounce.unclear"),
        ];
        far.change(|far| far.rcpt_by_address.extend(refusals.map(|(to, said, _)| (to.to_owned(), said.to_owned()))));
        let folder = tempfile::TempDir::new().unwrap();
        let config = folder.path().join("grannpost.toml");
        let postfix = Postfix::start(far.address().port(), &config).await;
        let app = TestApp::spawn_with(kind, &format!("mail.url = \"{}\"", postfix.url)).await;
        std::fs::write(&config, format!("database.url = \"{}\"\n", app.database.url)).unwrap();
        open_to_all(folder.path());
        open_to_all(app.database.folder.path());
        for (email, ..) in refusals {
            app.add_letter_reader("Namn", email, false).await;
        }
        app.add_letter_reader("Namn", "frida@example.com", false).await;
        let letter = json!({ "subject": "Läget", "body_markdown": "Hej", "areas": ["2321"], "no_registry_number": true });
        let made = app.api.post("/letters", letter).await;
        let id = made.json["id"].as_str().unwrap().to_owned();
        app.api.post(&format!("/letters/{id}/send"), json!({ "undo_seconds": 0 })).await;
        let mut rows = Vec::new();
        for _ in 0..600 {
            rows = app.api.get(&format!("/letters/{id}/deliveries")).await.json["items"].as_array().unwrap().clone();
            if rows.iter().filter(|row| row["state"] == "undelivered").count() == refusals.len() {
                break;
            }
            app.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        for (email, _, reason) in refusals {
            let row = rows.iter().find(|row| row["address"] == email).unwrap();
            assert_eq!((&row["state"], &row["reason"]), (&json!("undelivered"), &json!(reason)), "{row}\n{}", postfix.log());
        }
        assert!(rows.iter().any(|row| row["address"] == "frida@example.com" && row["state"] == "accepted"));
        far.journal().wait_for(1).await;
        assert_eq!(app.folder("tray").await.len(), 1, "the one that says nothing");
        let marked = app.database.texts("SELECT email FROM contact_person WHERE email_unusable = email ORDER BY email").await;
        assert_eq!(marked, ["anna@example.com", "bo@example.com"]);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_mail_tray_is_read_and_emptied_over_the_api(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut ids = Vec::new();
        for words in ["Goods", "Offers"] {
            ids.push(app.strange_mail(words).await);
            // Ids are in the order of the clock.
            app.advance(Duration::from_secs(1));
        }
        let list = app.api.get("/mail-tray?limit=1").await.json;
        assert_eq!((&list["items"][0]["id"], &list["items"][0]["subject"]), (&json!(ids[1]), &json!("Offers")), "newest first: {list:#}");
        let rest = app.api.get(&format!("/mail-tray?after={}", list["next"].as_str().unwrap())).await.json;
        assert_eq!((&rest["items"][0]["id"], &rest["next"]), (&json!(ids[0]), &Value::Null));
        let one = app.api.get(&format!("/mail-tray/{}", ids[0])).await.json;
        assert_eq!((one["text"].as_str().map(str::trim), &one["state"], &one["kind"]), (Some("Goods"), &json!("read"), &json!("unknown")), "{one:#}");
        for _ in 0..2 {
            let resolved = app.api.post(&format!("/mail-tray/{}/resolve", ids[0]), json!({})).await;
            assert!(resolved.status == 200 && resolved.json["resolved_at"].is_string(), "{}", resolved.text);
        }
        assert_eq!(app.api.get("/mail-tray").await.json["items"].as_array().unwrap().len(), 1);
        assert_eq!(app.api.get("/mail-tray?folder=automatic").await.json["items"], json!([]));
        assert_eq!(app.api.get("/mail-tray?folder=reports").await.status, 422);
        assert_eq!(app.api.post("/mail-tray/x/resolve", json!({})).await.status, 404);
        let log = app.database.texts("SELECT action FROM audit WHERE object_kind = 'mail' ORDER BY action").await;
        let wanted = ["mail.put_aside", "mail.read", "mail.tray_read", "mail.tray_read", "mail.tray_read", "mail.tray_read"];
        assert_eq!(log, wanted, "who looked stands in the log");
    }

    async fn the_pages_tell_what_came_back_and_let_people_work_with_it(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let person = app.add_letter_reader("Anna Ek", "anna.ek@example.org", true).await;
        let sent = app.send_one_letter().await;
        app.read_in(&sent.return_path, &hard(), "reports").await;
        let mut browser = app.signed_in("admin", "").await;
        let page = browser.get(&format!("/register/persons/{person}")).await;
        for words in ["Fungerar inte", "Brev går på papper.", "adressen finns inte: 1", "e-posten fungerar inte"] {
            assert!(page.says(words), "{words}: {}", page.html);
        }
        let calls = browser.get("/register/calls").await;
        assert!(calls.says("Anna Ek") && calls.says("brev kommer tillbaka"), "{}", calls.html);
        let again = browser.submit(&page, &format!("/register/persons/{person}/email-usable"), &[]).await;
        assert!(again.says("brev går till e-postadressen igen"), "{}", again.html);
        assert_eq!(app.letter_audience().await["by_email"], 1);
        let tray = app.read_in("bounce+x@bounces.example.org", &hard(), "tray").await;
        let list = browser.get("/register/mail").await;
        assert!(list.says("Studs med en adress som inte är vår"), "{}", list.html);
        let mail = browser.get(&format!("/register/mail/{}", tray[0].id)).await;
        assert!(mail.says("This is the mail system at host") && mail.says("User unknown"), "{}", mail.html);
        let rest = browser.submit(&mail, &format!("/register/mail/{}/done", tray[0].id), &[]).await;
        assert!(rest.says("Inget att läsa just nu"), "{}", rest.html);
    }

}
