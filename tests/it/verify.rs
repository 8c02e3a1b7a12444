//! What `verify` finds: each of its six invariants broken by hand, and an audit log tampered with in every way.

use std::process::Command;

use grannpost::store::audit::{self, GENESIS, Stored};
use rand::prelude::*;
use serde_json::json;

use crate::support::child::{ServeProcess, log_file, run};
use crate::support::{Api, Kind, TestApp, on_both_databases};

/// One alert and one letter to a municipality, sent and done; the daemon stopped, nothing broken yet.
async fn quiet_app(kind: Kind, more: &str) -> TestApp {
    let mut app = TestApp::spawn_with(kind, more).await;
    for (name, mobile) in [("Ett", "070-174 06 01"), ("Två", "070-174 06 02"), ("Tre", "070-174 06 03")] {
        let new =
            json!({ "name": name, "mobile": mobile, "municipality": "2326", "watch_area": "Hackås", "households": 4 });
        let made = app.api.post("/contact-persons", new).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let alert =
        json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
    let made = app.api.post("/alerts", alert).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json["id"].as_str().unwrap();
    app.alert_when(id, |alert| alert["state"] == "done").await;
    let decided = json!({ "decided_by": "RLC-befäl", "reason": "Redan gripen", "areas": ["2326"] });
    assert_eq!(app.api.post("/decisions", decided).await.status, 201);
    app.all_is_sealed().await;
    app.stop().await;
    assert_eq!(app.verify().await, Vec::<String>::new());
    app
}

impl TestApp {
    /// Waits until the sealer has sealed everything.
    async fn all_is_sealed(&self) {
        for _ in 0..600 {
            if self.database.texts("SELECT id FROM audit WHERE seq IS NULL").await.is_empty() {
                return;
            }
            self.desk.wakeup.wait(std::time::Duration::from_millis(50)).await;
        }
        panic!("the log is never sealed");
    }

    /// Breaks the database and says which invariants are reported.
    async fn broken_by(&self, sql: &str) -> Vec<u8> {
        assert!(self.database.execute(sql).await > 0, "nothing was broken by {sql}");
        self.broken().await
    }
}

/// The delivery that the tests break.
const FIRST: &str = "(SELECT MIN(id) FROM delivery)";

on_both_databases! {
    async fn verify_finds_a_person_without_a_delivery(kind: Kind) {
        let app = quiet_app(kind, "").await;
        let sql = format!("DELETE FROM message_recipient WHERE delivery_id = {FIRST}");
        assert!(app.broken_by(&sql).await.contains(&1));
    }

    async fn verify_finds_a_person_who_was_taken_off_a_delivery_in_silence(kind: Kind) {
        let app = quiet_app(kind, "").await;
        app.database.execute(&format!("UPDATE delivery SET persons = persons - 1 WHERE id = {FIRST}")).await;
        let sql = format!("UPDATE message_recipient SET delivery_id = NULL WHERE delivery_id = {FIRST}");
        assert!(app.broken_by(&sql).await.contains(&1));
    }

    async fn verify_finds_a_counter_that_differs_from_the_rows(kind: Kind) {
        let app = quiet_app(kind, "").await;
        assert_eq!(app.broken_by("UPDATE message_count SET deliveries = deliveries + 1 WHERE state = 'delivered'").await, [2]);
    }

    async fn verify_finds_a_reach_that_differs_from_the_rows(kind: Kind) {
        let app = quiet_app(kind, "").await;
        assert_eq!(app.broken_by("UPDATE message SET reach_persons = reach_persons + 1").await, [2]);
    }

    async fn verify_finds_an_attempt_after_expiry_stop_opt_out_or_before_its_time(kind: Kind) {
        for sql in [
            "UPDATE delivery SET expires_at = 1",
            "UPDATE message SET stopped_at = 1",
            "UPDATE message SET sends_at = NULL",
            "UPDATE message SET sends_at = 9000000000000",
            "UPDATE contact_person SET alerts_opt_out_at = 1",
            "UPDATE contact_person SET erased_at = 1",
        ] {
            let app = quiet_app(kind, "").await;
            assert_eq!(app.broken_by(sql).await, [3], "{sql}");
        }
    }

    async fn verify_finds_a_history_that_went_back(kind: Kind) {
        for sql in [
            format!("UPDATE delivery_event SET from_state = 'delivered' WHERE delivery_id = {FIRST} AND version = 1"),
            format!("DELETE FROM delivery_event WHERE delivery_id = {FIRST} AND version = 1"),
            format!("UPDATE delivery_event SET at = at - 100000 WHERE delivery_id = {FIRST} AND version = 2"),
            format!("UPDATE delivery SET state = 'undelivered' WHERE id = {FIRST}"),
        ] {
            let app = quiet_app(kind, "").await;
            assert!(app.broken_by(&sql).await.contains(&4), "{sql}");
        }
    }

    async fn verify_finds_what_the_log_does_not_have(kind: Kind) {
        for sql in [
            format!("UPDATE delivery_event SET reason = 'changed' WHERE delivery_id = {FIRST} AND version = 1"),
            format!("UPDATE delivery_event SET batch = 'unknown' WHERE delivery_id = {FIRST} AND version = 1"),
            "INSERT INTO decision (id, outcome, decided_by, created_by, created_at) VALUES ('d', 'not_sent', 'x', 'x', 1)".to_owned(),
            "UPDATE decision SET id = 'other' WHERE message_id IS NULL".to_owned(),
        ] {
            let app = quiet_app(kind, "").await;
            assert_eq!(app.broken_by(&sql).await, [5], "{sql}");
        }
    }

    async fn verify_finds_a_lease_that_nobody_rescued(kind: Kind) {
        let app = quiet_app(kind, "").await;
        let sql = format!("UPDATE delivery SET state = 'sending', lease_owner = 'gone', lease_until_at = 1 WHERE id = {FIRST}");
        assert!(app.broken_by(&sql).await.contains(&6));
    }

    async fn the_verb_ends_with_1_and_shows_the_broken_line(kind: Kind) {
        let app = quiet_app(kind, "").await;
        let verify = || {
            let output = Command::new(env!("CARGO_BIN_EXE_grannpost"))
                .args(["verify", "--config"])
                .arg(app.config_file())
                .current_dir(app.database.folder.path())
                .output()
                .unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        assert_eq!(verify().0, Some(0), "{}", verify().1);
        let message = app.database.texts("SELECT id FROM message").await.remove(0);
        app.database.execute("UPDATE message_count SET deliveries = deliveries + 1 WHERE state = 'delivered'").await;
        let (code, shown) = verify();
        assert_eq!(code, Some(1), "{shown}");
        assert!(shown.contains(&message), "{shown}");
    }

    async fn two_hundred_tamperings_with_the_log_are_two_hundred_found(kind: Kind) {
        let anchor = tempfile::NamedTempFile::new().unwrap();
        let app = quiet_app(kind, &format!("audit.anchor_file = \"{}\"", anchor.path().display())).await;
        let log = app.log().await;
        assert!(log.len() > 5, "there is something to tamper with");
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (what, tampered) = tamper(&log, &mut rng);
            app.put_log(&tampered).await;
            assert!(app.broken().await.contains(&5), "seed {seed}: {what} is not found");
        }
        app.put_log(&log).await;
        assert_eq!(app.broken().await, Vec::<u8>::new(), "the log as it was is whole");
    }

    async fn an_anchor_file_that_is_gone_or_changed_is_found(kind: Kind) {
        let anchor = tempfile::NamedTempFile::new().unwrap();
        let app = quiet_app(kind, &format!("audit.anchor_file = \"{}\"", anchor.path().display())).await;
        let text = std::fs::read_to_string(anchor.path()).unwrap();
        for changed in [text.replacen("\"seq\":", "\"seq\":1", 1), text.replacen("\"at\":", "\"at\":1", 1), "{}\n".to_owned()] {
            std::fs::write(anchor.path(), changed).unwrap();
            assert_eq!(app.broken().await, [5]);
        }
        std::fs::write(anchor.path(), signed_by_a_stranger(&app.log().await)).unwrap();
        assert_eq!(app.broken().await, [5], "a stranger's signature proves nothing");
        std::fs::remove_file(anchor.path()).unwrap();
        assert_eq!(app.broken().await, [5]);
        std::fs::write(anchor.path(), text).unwrap();
        assert_eq!(app.broken().await, Vec::<u8>::new());
    }

    async fn anchors_that_cannot_be_written_are_said_by_check_and_once_by_the_daemon_until_they_can(kind: Kind) {
        const SAID: &str = "the audit anchor could not be written";
        let folder = tempfile::tempdir().unwrap();
        let anchors = folder.path().join("log/heads.jsonl");
        let mut app = TestApp::spawn_with(kind, &format!("audit.anchor_file = \"{}\"", anchors.display())).await;
        let key = app.key("admin", "").await;
        app.stop().await;
        let config = app.database.folder.path().join("grannpost.toml");
        std::fs::write(&config, app.settings()).unwrap();
        let check = || {
            let checked = run(&config, &["check"]);
            (checked.status.code(), String::from_utf8(checked.stdout).unwrap())
        };
        let (code, words) = check();
        assert_eq!((code, words.contains("FEL   bevis för loggkedjan: går inte att skriva i")), (Some(1), true), "{words}");

        std::fs::create_dir(anchors.parent().unwrap()).unwrap();
        let (code, words) = check();
        assert_eq!((code, words.contains("ok    bevis för loggkedjan: skrivs i")), (Some(0), true), "{words}");
        std::fs::remove_dir(anchors.parent().unwrap()).expect("the file is the daemon's to make");

        let daemon = ServeProcess::start(&config);
        let api = Api::new(daemon.base.clone(), key);
        let add = async |mobile: &str| {
            let new = json!({ "name": "Ett", "mobile": mobile, "municipality": "2326", "watch_area": "Hackås" });
            let made = api.post("/contact-persons", new).await;
            assert_eq!(made.status, 201, "{}", made.text);
            app.all_is_sealed().await;
        };
        for mobile in ["070-174 06 01", "070-174 06 02", "070-174 06 03"] {
            add(mobile).await;
        }
        std::fs::create_dir(anchors.parent().unwrap()).unwrap();
        app.until("the newest head is anchored", async || app.broken().await.is_empty()).await;
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        let log = std::fs::read_to_string(log_file(&config)).unwrap();
        assert_eq!(log.matches(SAID).count(), 1, "{log}");
    }
}

/// The head as it is, signed with a key that is not ours.
fn signed_by_a_stranger(log: &[Stored]) -> String {
    use ed25519_dalek::Signer as _;
    let last = log.last().unwrap();
    let head = audit::Head { seq: last.seq.unwrap(), hash: last.hash.clone().unwrap() };
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    let signature = key.sign(&grannpost::actions::audit_chain::signed_bytes(&head, 1));
    json!({ "seq": head.seq, "hash": head.hash, "at": 1, "key": base64(key.verifying_key().as_bytes()),
        "signature": base64(&signature.to_bytes()) })
    .to_string()
}

impl TestApp {
    async fn log(&self) -> Vec<Stored> {
        let mut session = self.desk.store.read().await.unwrap();
        audit::sealed_after(&mut session, 0, 100_000).await.unwrap()
    }

    /// Replaces the whole log.
    async fn put_log(&self, log: &[Stored]) {
        let text = |value: &str| format!("'{}'", value.replace('\'', "''"));
        let mut sql = "DELETE FROM audit;".to_owned();
        for entry in log {
            let fields = [
                text(&entry.id),
                entry.at.to_string(),
                text(&entry.actor),
                text(&entry.action),
                text(&entry.object_kind),
                text(&entry.object_id),
                text(&entry.detail),
                entry.seq.map_or("NULL".to_owned(), |seq| seq.to_string()),
                entry.hash.as_deref().map_or("NULL".to_owned(), text),
            ];
            sql += &format!("INSERT INTO audit VALUES ({});", fields.join(", "));
        }
        self.database.execute(&sql).await;
    }
}

/// One random change of a log, and what it was.
fn tamper(log: &[Stored], rng: &mut StdRng) -> (&'static str, Vec<Stored>) {
    let mut log = log.to_vec();
    let at = rng.random_range(0..log.len());
    let other = (at + rng.random_range(1..log.len())) % log.len();
    let what = match rng.random_range(0..16) {
        0 => changed("id", || log[at].id.push('0')),
        1 => changed("at", || log[at].at += rng.random_range(1..1_000_000)),
        2 => changed("actor", || log[at].actor.push('x')),
        3 => changed("action", || log[at].action.push('x')),
        4 => changed("object_kind", || log[at].object_kind.push('x')),
        5 => changed("object_id", || log[at].object_id.push('x')),
        6 => changed("detail", || log[at].detail.push(' ')),
        7 => changed("hash", || log[at].hash = Some(GENESIS.to_owned())),
        8 => changed("seq", || log[at].seq = Some(1_000_000)),
        9 => changed("a field that flows into the next", || {
            let moved = log[at].action.pop().unwrap();
            log[at].object_kind.insert(0, moved);
        }),
        10 => changed("an entry deleted", || drop(log.remove(at))),
        11 => changed("an entry deleted and the chain made again", || {
            log.remove(at);
            chain_again(&mut log);
        }),
        12 => changed("two entries exchanged", || {
            let (seq, hash) = (log[at].seq, log[at].hash.clone());
            (log[at].seq, log[at].hash) = (log[other].seq, log[other].hash.clone());
            (log[other].seq, log[other].hash) = (seq, hash);
        }),
        13 => changed("the tail cut off", || log.truncate(at)),
        14 => changed("an entry changed and the chain made again", || {
            log[at].actor.push('x');
            chain_again(&mut log);
        }),
        _ => changed("an entry forged into the middle", || {
            let mut forged = log[at].clone();
            forged.id.push('f');
            log.insert(at, forged);
            chain_again(&mut log);
        }),
    };
    (what, log)
}

fn changed(what: &'static str, change: impl FnOnce()) -> &'static str {
    change();
    what
}

/// What somebody does who knows the algorithm.
fn chain_again(log: &mut [Stored]) {
    let mut previous = GENESIS.to_owned();
    for (entry, seq) in log.iter_mut().zip(1..) {
        let hash = entry.chained(&previous, seq);
        (entry.seq, entry.hash) = (Some(seq), Some(hash.clone()));
        previous = hash;
    }
}
