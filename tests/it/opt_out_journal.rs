//! The journal of opt-outs outside the database: what was said after a copy holds in the database restored from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grannpost::actions::{key, person_merge, unsubscribe};
use grannpost::ambient::Clock;
use grannpost::domain::daemon_role::Roles;
use grannpost::domain::delivery_token::TokenKey;
use grannpost::domain::unsubscribe_token;
use grannpost::simulator::{GatewayOptions, InboundMessage, MailSink, MailSinkOptions, SimulatedGateway};
use grannpost::store::{self, setting};
use grannpost::{app, config};
use serde_json::{Value, json};

use crate::support::child::{self, ServeProcess};
use crate::support::faults::tell;
use crate::support::{Api, Database, Kind, SECRET, TestApp, on_both_databases, root, settings};

/// A daemon with a gateway, a mail sink and a journal that outlive its database.
struct House {
    gateway: SimulatedGateway,
    mail: MailSink,
    config: PathBuf,
    journal: PathBuf,
    copy: PathBuf,
    key: String,
    token_key: TokenKey,
    database: Database,
}

impl House {
    async fn build(kind: Kind) -> Self {
        let wall = Arc::new(|| Clock::System.now());
        let any = "127.0.0.1:0".parse().unwrap();
        let gateway = SimulatedGateway::start(any, GatewayOptions::new(wall.clone())).await.unwrap();
        let mail = MailSink::start(any, MailSinkOptions::new(wall)).await.unwrap();
        let database = Database::new(kind);
        let folder = database.folder.path();
        let journal = folder.join("words");
        let settings = settings(&database.url, &gateway.base_url(), &mail.url());
        let text = format!("{settings}opt_outs.journal_file = \"{}\"\n", journal.display());
        let config = folder.join("grannpost.toml");
        std::fs::write(&config, &text).unwrap();
        let desk = app::open(Arc::new(config::from_toml(&[&text]).unwrap()), Clock::System, true).await.unwrap();
        let mut session = desk.store.begin().await.unwrap();
        let key = key::add(&desk, &mut session, &root(), ("house", "admin", "")).await.unwrap().secret;
        let token_key = setting::get(&mut session, setting::TOKEN_KEY).await.unwrap().unwrap();
        session.commit().await.unwrap();
        desk.store.close().await;
        let token_key = data_encoding::BASE64.decode(token_key.as_bytes()).unwrap().try_into().unwrap();
        let copy = folder.join("copy");
        Self { gateway, mail, config, journal, copy, key, token_key: TokenKey::new(token_key), database }
    }

    fn serve(&self) -> (ServeProcess, Api) {
        let daemon = ServeProcess::start(&self.config);
        let inbound = format!("{}/hooks/sms/elks/{SECRET}/inbound", daemon.base);
        self.gateway.change(|gateway| gateway.sms_url = Some(inbound));
        let api = Api::new(daemon.base.clone(), self.key.clone());
        (daemon, api)
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let out = child::run(&self.config, arguments);
        let words = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.success(), words)
    }

    fn back_up(&self) {
        let (done, words) = self.run(&["backup", self.copy.to_str().unwrap()]);
        assert!(done, "{words}");
    }

    fn restore(&self, daemon: ServeProcess) -> (ServeProcess, Api) {
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        let (done, words) = self.run(&["restore", self.copy.to_str().unwrap()]);
        assert!(done && words.contains("i paus"), "{words}");
        self.serve()
    }

    /// An SMS by the hook, and what became of its sender.
    async fn text(&self, api: &Api, person: &Person, text: &str, done: impl Fn(&Value) -> bool) {
        let message = InboundMessage {
            id: format!("s{}", grannpost::ambient::new_id(&Clock::System).replace('-', "")),
            from: person.mobile.clone(),
            to: "+46766860000".into(),
            text: text.into(),
        };
        assert_eq!(self.gateway.post_inbound(message).await.code, Some(204));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done(&api.get(&format!("/contact-persons/{}", person.id)).await.json) {
            assert!(Instant::now() < deadline, "{text} was never read");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn unsubscribe(&self, api: &Api, person: &Person) {
        let token = unsubscribe_token::encode(&self.token_key, &person.id);
        let url = format!("{}/u/{token}", api.base());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(url).form(&[("List-Unsubscribe", "One-Click")]).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Sends an alert and a letter to everybody, and gives the numbers and addresses that they went to.
    async fn alert_and_letter(&self, api: &Api) -> (Vec<String>, Vec<String>) {
        let (sms, letters) = (self.gateway.journal().len(), self.mail.journal().len());
        let alert = json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "Befäl", "undo_seconds": 0 });
        let alert = api.post("/alerts", alert).await;
        assert_eq!(alert.status, 201, "{}", alert.text);
        let letter = json!({ "subject": "Läget", "body_markdown": "Lås.", "areas": ["2326"], "no_registry_number": true,
            "signature": { "name": "Eva Ek", "title": "Chef" } });
        let letter = api.post("/letters", letter).await;
        let id = letter.json["id"].as_str().unwrap_or_else(|| panic!("{}", letter.text));
        let sent = api.post(&format!("/letters/{id}/send"), json!({ "undo_seconds": 0 })).await;
        assert!(sent.status.is_success(), "{}", sent.text);
        for path in [format!("/alerts/{}", alert.json["id"].as_str().unwrap()), format!("/letters/{id}")] {
            let deadline = Instant::now() + Duration::from_secs(30);
            while !["handed_over", "done"].contains(&api.get(&path).await.json["state"].as_str().unwrap()) {
                assert!(Instant::now() < deadline, "{path} was never handed over");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let sms = self.gateway.journal().messages_from(sms).into_iter().map(|sms| sms.to).collect();
        let letters = self.mail.journal().letters().into_iter().skip(letters);
        (sms, letters.map(|letter| letter.to).collect())
    }

    fn verify(&self) {
        let (whole, words) = self.run(&["verify"]);
        assert!(whole, "{words}");
    }
}

#[derive(Debug, Clone)]
struct Person {
    id: String,
    mobile: String,
    email: String,
}

async fn person(api: &Api, at: usize) -> Person {
    let names = ["Anna Ask", "Bo Berg", "Cia Dal", "David Ek", "Elin Fors", "Folke Gran", "Gun Hed"];
    let email = format!("person{at}@example.org");
    let body = json!({ "name": names[at], "mobile": format!("070-174 06 0{at}"), "email": email, "municipality": "2326",
        "watch_area": "Hackås", "households": 4, "address": format!("Byvägen {at}") });
    let made = api.post("/contact-persons", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let text = |name: &str| made.json[name].as_str().unwrap().to_owned();
    Person { id: text("id"), mobile: text("mobile"), email }
}

async fn persons(api: &Api) -> Vec<Person> {
    let mut made = Vec::new();
    for at in 0..7 {
        made.push(person(api, at).await);
    }
    made
}

fn has_opted_out(person: &Value) -> bool {
    person["opt_outs"].as_array().is_some_and(|outs| !outs.is_empty())
}

fn assert_holds_nobody(bytes: &[u8], persons: &[Person]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    for person in persons {
        for word in [&person.mobile[1..], &person.mobile[3..], &person.email, &person.id, &person.id.replace('-', "")] {
            assert!(!text.contains(&word.to_lowercase()), "{word} stands in the journal");
        }
    }
    for word in ["anna", "berg", "example", "byvägen", "hackås"] {
        assert!(!text.contains(word), "{word} stands in the journal");
    }
}

on_both_databases! {
    async fn what_was_said_after_a_copy_holds_in_the_database_restored_from_it(kind: Kind) {
        let house = House::build(kind).await;
        let (daemon, api) = house.serve();
        let people = persons(&api).await;
        let [stops, erased, unsubscribes, starts, pauses, stays @ ..] = &people[..] else { panic!("seven") };
        house.text(&api, starts, "STOP", has_opted_out).await;
        house.back_up();
        house.text(&api, stops, "Stop", has_opted_out).await;
        house.text(&api, starts, "START", |person| !has_opted_out(person)).await;
        assert_eq!(api.delete(&format!("/contact-persons/{}", erased.id)).await.status, 204);
        house.unsubscribe(&api, unsubscribes).await;
        let until = Clock::System.now().checked_add(jiff::SignedDuration::from_hours(48)).unwrap().to_string();
        assert_eq!(api.patch(&format!("/contact-persons/{}", pauses.id), json!({ "paused_until": until })).await.status, 200);
        assert_holds_nobody(&std::fs::read(&house.journal).unwrap(), &people);

        let (daemon, api) = house.restore(daemon);
        assert_eq!(api.get(&format!("/contact-persons/{}", erased.id)).await.status, 200, "the copy knows nothing");
        let (done, words) = house.run(&["resume"]);
        assert!(done, "{words}");
        assert!(words.contains("och 1 radering gjordes om"), "{words}");
        assert!(words.contains("1 avanmälning"), "STOP came from the gateway, the letters' end from the journal: {words}");
        assert!(words.contains("2 sms hämtades"), "{words}");
        assert_eq!(api.get(&format!("/contact-persons/{}", erased.id)).await.status, 404);
        assert!(has_opted_out(&api.get(&format!("/contact-persons/{}", stops.id)).await.json));
        assert!(!has_opted_out(&api.get(&format!("/contact-persons/{}", starts.id)).await.json), "the last word wins");

        let (sms, letters) = house.alert_and_letter(&api).await;
        for (who, person) in [("stopped", stops), ("erased", erased), ("paused", pauses)] {
            assert!(!sms.contains(&person.mobile), "who {who} gets no alert");
        }
        for (who, person) in [("unsubscribed", unsubscribes), ("erased", erased), ("paused", pauses)] {
            assert!(!letters.contains(&person.email), "who {who} gets no letter");
        }
        assert!(sms.contains(&starts.mobile) && sms.contains(&unsubscribes.mobile) && letters.contains(&stops.email));
        assert!(stays.iter().all(|person| sms.contains(&person.mobile) && letters.contains(&person.email)));
        let confirmations = house.gateway.journal().messages();
        let to_stopped = confirmations.iter().filter(|sms| sms.to == stops.mobile).count();
        assert_eq!(to_stopped, 1, "a STOP that is fetched is not confirmed again");
        let file = format!("name,mobile,municipality,watch_area,households\nBo Berg,{},2326,Hackås,4\n", erased.mobile);
        let again = api.send_bytes(reqwest::Method::POST, "/api/v1/imports?dry_run=true", "text/csv", file.into()).await;
        assert_eq!((&again.json["counts"]["new"], &again.json["counts"]["ask"]), (&json!(0), &json!(1)), "{}", again.text);
        house.verify();
        let (done, words) = house.run(&["resume"]);
        assert!(done && !words.contains("gjordes om"), "once is enough: {words}");
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        tell("G9 words", &format!("{kind:?}"), &(0..1), "opt-outs, pauses and erasures after the copy hold");
    }

    async fn without_its_journal_a_restored_database_sends_only_after_an_explicit_act_and_a_stop_still_holds(kind: Kind) {
        let house = House::build(kind).await;
        let (daemon, api) = house.serve();
        let people = persons(&api).await;
        api.patch(&format!("/contact-persons/{}", people[6].id), json!({ "opt_outs": [{ "channel": "email", "source": "brev" }] })).await;
        // Until the table knows that the journal has it, its absence would be no loss.
        tokio::time::sleep(Duration::from_secs(2)).await;
        house.back_up();
        house.text(&api, &people[0], "AVSLUTA", has_opted_out).await;
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        std::fs::remove_file(&house.journal).unwrap();
        assert!(house.run(&["restore", house.copy.to_str().unwrap()]).0);
        let (daemon, api) = house.serve();
        let (done, words) = house.run(&["resume"]);
        assert!(!done && words.contains("saknas eller är inte hel") && words.contains("--without-journal"), "{words}");
        let ready = reqwest::Client::new().get(format!("{}/readyz", daemon.base)).send().await.unwrap();
        assert_eq!(ready.status(), 503, "still paused");
        let (done, words) = house.run(&["resume", "--without-journal"]);
        assert!(done && words.contains("1 sms hämtades"), "{words}");
        assert!(has_opted_out(&api.get(&format!("/contact-persons/{}", people[0].id)).await.json), "by the gateway's history");
        let log = api.get("/audit?limit=1000").await.text;
        assert!(log.contains("dispatch.caught_up") && log.contains("\"without_journal\":true"), "it is logged");
        let (sms, _) = house.alert_and_letter(&api).await;
        assert!(!sms.contains(&people[0].mobile) && sms.contains(&people[1].mobile));
        house.verify();
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    }

    async fn a_journal_with_another_key_or_a_silent_gateway_holds_a_restored_database_back(kind: Kind) {
        let house = House::build(kind).await;
        let (daemon, api) = house.serve();
        let people = persons(&api).await;
        house.back_up();
        api.delete(&format!("/contact-persons/{}", people[0].id)).await;
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        let key = PathBuf::from(format!("{}.key", house.journal.display()));
        let right = std::fs::read(&key).unwrap();
        std::fs::write(&key, data_encoding::BASE64.encode(&[9; 32])).unwrap();
        assert!(house.run(&["restore", house.copy.to_str().unwrap()]).0);
        let (daemon, _) = house.serve();
        let (done, words) = house.run(&["resume"]);
        assert!(!done && words.contains("nyckeln är inte den"), "{words}");
        let (_, words) = house.run(&["check"]);
        assert!(words.contains("FEL") && words.contains("journal"), "{words}");
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
        std::fs::write(&key, right).unwrap();
        let (daemon, api) = house.serve();
        house.gateway.change(|gateway| gateway.history = grannpost::simulator::HistoryMode::Code(500));
        let (done, words) = house.run(&["resume"]);
        assert!(!done && words.contains("--without-history"), "{words}");
        let (done, words) = house.run(&["resume", "--without-history"]);
        assert!(done && words.contains("1 radering gjordes om") && words.contains("är inte läst"), "{words}");
        assert_eq!(api.get(&format!("/contact-persons/{}", people[0].id)).await.status, 404);
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    }

    async fn a_line_cut_by_a_crash_and_a_disk_that_takes_nothing_for_a_while_lose_no_word(kind: Kind) {
        let house = House::build(kind).await;
        let (daemon, api) = house.serve();
        let people = persons(&api).await;
        house.back_up();
        api.delete(&format!("/contact-persons/{}", people[0].id)).await;
        let mut bytes = std::fs::read(&house.journal).unwrap();
        bytes.extend(b"1795000000000 alerts_off 0123");
        std::fs::write(&house.journal, bytes).unwrap();
        api.delete(&format!("/contact-persons/{}", people[1].id)).await;
        // A file that is not there cannot be written, as on a disk that is gone.
        let away = house.journal.with_extension("away");
        std::fs::rename(&house.journal, &away).unwrap();
        assert_eq!(api.delete(&format!("/contact-persons/{}", people[2].id)).await.status, 204, "the word holds all the same");
        let waiting = |metrics: &str| metrics.contains("grannpost_opt_outs_unjournalled") && !metrics.contains("grannpost_opt_outs_unjournalled 0");
        let metrics = async || reqwest::get(format!("{}/metrics", daemon.base)).await.unwrap().text().await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !waiting(&metrics().await) {
            assert!(Instant::now() < deadline, "nobody is told that a word waits");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::fs::rename(&away, &house.journal).unwrap();
        while waiting(&metrics().await) {
            assert!(Instant::now() < deadline, "the word that waited was never written");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (daemon, api) = house.restore(daemon);
        let (done, words) = house.run(&["resume"]);
        assert!(done && words.contains("3 raderingar gjordes om") && words.contains("1 rad"), "{words}");
        for person in &people[..3] {
            assert_eq!(api.get(&format!("/contact-persons/{}", person.id)).await.status, 404);
        }
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    }

    async fn a_no_is_of_the_address_only_when_nobody_else_in_the_restored_register_has_said_it(kind: Kind) {
        let house = House::build(kind).await;
        let (daemon, api) = house.serve();
        let people = persons(&api).await;
        let [moved, alone, together, ..] = &people[..] else { panic!("seven") };
        let shared = json!({ "name": "Maj Hed", "mobile": together.mobile, "municipality": "2326", "watch_area": "Hackås", "households": 2 });
        let with_them = api.post("/contact-persons", shared).await.json["id"].as_str().unwrap().to_owned();
        house.back_up();
        let no = json!({ "opt_outs": [{ "channel": "sms", "source": "ringde" }] });
        // The number goes to somebody whom the copy does not know, and they say no.
        api.patch(&format!("/contact-persons/{}", moved.id), json!({ "mobile": "070-174 06 20" })).await;
        let new = json!({ "name": "Nya Person", "mobile": moved.mobile, "municipality": "2326", "watch_area": "Hackås", "households": 2 });
        let new = api.post("/contact-persons", new).await.json["id"].as_str().unwrap().to_owned();
        assert_eq!(api.patch(&format!("/contact-persons/{new}"), no.clone()).await.status, 200);
        assert_eq!(api.patch(&format!("/contact-persons/{}", together.id), no).await.status, 200);
        let (daemon, api) = house.restore(daemon);
        let (done, words) = house.run(&["resume"]);
        assert!(done && words.contains("2 avanmälningar"), "{words}");
        let has_said_no = async |id: &str| has_opted_out(&api.get(&format!("/contact-persons/{id}")).await.json);
        assert!(has_said_no(&moved.id).await, "an SMS to that number would come to who said no");
        assert!(has_said_no(&together.id).await);
        assert!(!has_said_no(&with_them).await, "who shares a telephone with somebody who said no has not said it");
        assert!(!has_said_no(&alone.id).await);
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    }

    async fn every_way_to_say_no_and_yes_again_comes_into_the_journal(kind: Kind) {
        let folder = tempfile::TempDir::new().unwrap();
        let journal = folder.path().join("words");
        let app = TestApp::spawn_with(kind, &format!("opt_outs.journal_file = \"{}\"\n", journal.display())).await;
        let people = persons(&app.api).await;
        let path = |at: usize| format!("/contact-persons/{}", people[at].id);
        let codes = || -> Vec<String> {
            let text = std::fs::read_to_string(&journal).unwrap();
            text.lines().skip(1).map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
        };
        let mut before = codes().len();
        let mut new = || {
            let all = codes();
            let new = all[before..].to_vec();
            before = all.len();
            new
        };
        let out = |channel: &str| json!({ "opt_outs": [{ "channel": channel, "source": "ringde" }] });
        app.api.patch(&path(0), out("sms")).await;
        assert_eq!(new(), ["kept_out", "alerts_off"]);
        app.api.patch(&path(0), json!({ "opt_outs": [] })).await;
        assert_eq!(new(), ["let_in", "alerts_on"]);
        app.api.patch(&path(0), json!({ "letters": false })).await;
        assert_eq!(new(), ["letters_off"]);
        app.api.patch(&path(0), json!({ "note": "ny" })).await;
        assert_eq!(new(), Vec::<String>::new(), "nothing was said");
        app.api.patch(&path(1), json!({ "paused_until": "2026-12-24T00:00:00Z" })).await;
        assert_eq!(new(), ["paused"]);
        let mut session = app.desk.store.begin().await.unwrap();
        unsubscribe::end_by_complaint(&app.desk, &mut session, &people[1].id).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(new(), ["letters_off", "kept_out"]);
        let mut session = app.desk.store.begin().await.unwrap();
        let edit = grannpost::actions::contact_person::Edit::default();
        person_merge::merge(&app.desk, &mut session, &root(), (&people[2].id, &people[1].id), &edit).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(new(), ["kept_out", "letters_off", "paused", "merged"], "the record that stays takes the wishes over");
        app.api.delete(&path(2)).await;
        let said = new();
        assert!(said.contains(&"erased".to_owned()) && !said.contains(&"alerts_off".to_owned()), "{said:?}");
        app.api.patch(&path(6), out("email")).await;
        assert_eq!(new(), ["kept_out", "letters_off"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_put_back_by_other_means_starts_paused_since_its_journal_knows_more() {
    let house = House::build(Kind::Sqlite).await;
    let (daemon, api) = house.serve();
    let people = persons(&api).await;
    house.back_up();
    api.delete(&format!("/contact-persons/{}", people[0].id)).await;
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    let file = house.database.folder.path().join("test.db");
    std::fs::copy(&house.copy, &file).unwrap();
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
    }
    let (daemon, api) = house.serve();
    let ready = reqwest::get(format!("{}/readyz", daemon.base)).await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("restored"));
    let (done, words) = house.run(&["resume"]);
    assert!(done && words.contains("1 radering gjordes om"), "{words}");
    assert_eq!(api.get(&format!("/contact-persons/{}", people[0].id)).await.status, 404);
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_taken_away_is_written_again_from_the_database() {
    let house = House::build(Kind::Sqlite).await;
    let (daemon, api) = house.serve();
    let people = persons(&api).await;
    house.back_up();
    api.delete(&format!("/contact-persons/{}", people[0].id)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    std::fs::remove_file(&house.journal).unwrap();
    let (daemon, _) = house.serve();
    let (daemon, api) = house.restore(daemon);
    let (done, words) = house.run(&["resume"]);
    assert!(done && words.contains("1 radering gjordes om"), "{words}");
    assert_eq!(api.get(&format!("/contact-persons/{}", people[0].id)).await.status, 404);
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_resumes_a_restored_database_from_the_pages() {
    let app = TestApp::spawn(Kind::Sqlite).await;
    let people = persons(&app.api).await;
    let mut session = app.desk.store.begin().await.unwrap();
    store::backup::mark_restored(&mut session, app.clock.now_ms()).await.unwrap();
    session.commit().await.unwrap();
    // Said after the copy, by another daemon: the journal has it, and this database has not.
    let journal = app.desk.store.journal().open().unwrap();
    let at = app.clock.now_ms();
    let word = journal.key().word(at, &people[0].id, grannpost::domain::opt_out_journal::Word::AlertsOff);
    assert!(journal.write(vec![word]).await);
    let mut admin = app.signed_in("admin", "").await;
    let page = admin.get("/admin/resume").await;
    assert!(page.says("Först görs det om som har sagts sedan kopian togs"), "{}", page.html);
    let page = admin.submit(&page, "/admin/resume", &[]).await;
    assert!(page.says("1 avanmälning och 0 raderingar från tiden efter kopian är gjorda om"), "{}", page.html);
    assert!(has_opted_out(&app.api.get(&format!("/contact-persons/{}", people[0].id)).await.json));
    assert_eq!(app.verify().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_erased_again_who_stand_in_an_audience_that_was_being_written_out_when_the_copy_was_made() {
    let mut app = TestApp::spawn_with(Kind::Sqlite, "database.rows_at_once = 90\n").await;
    app.load_sample().await;
    app.restart_as(Roles::parse("web").unwrap()).await;
    let new = json!({ "text": "Röd skåpbil söks", "areas": ["jamtland"], "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
    assert_eq!(app.api.post("/alerts", new).await.status, 201);
    let person = app.api.get("/contact-persons?limit=1").await.json["items"][0]["id"].as_str().unwrap().to_owned();
    let mut session = app.desk.store.begin().await.unwrap();
    store::backup::mark_restored(&mut session, app.clock.now_ms()).await.unwrap();
    session.commit().await.unwrap();
    let journal = app.desk.store.journal().open().unwrap();
    let word = journal.key().word(app.clock.now_ms(), &person, grannpost::domain::opt_out_journal::Word::Erased);
    assert!(journal.write(vec![word]).await);
    let mut admin = app.signed_in("admin", "").await;
    let page = admin.get("/admin/resume").await;
    let page = admin.submit(&page, "/admin/resume", &[]).await;
    assert!(page.says("0 avanmälningar och 1 radering från tiden efter kopian är gjorda om"), "{}", page.html);
    assert_eq!(app.api.get(&format!("/contact-persons/{person}")).await.status, 404);
    assert_eq!(app.verify().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_journal_is_kept_a_restored_database_is_resumed_by_an_explicit_act() {
    let house = House::build(Kind::Sqlite).await;
    let text = std::fs::read_to_string(&house.config).unwrap();
    let text = text
        .replace(&format!("opt_outs.journal_file = \"{}\"", house.journal.display()), "opt_outs.journal_file = \"\"");
    std::fs::write(&house.config, text).unwrap();
    let (_, words) = house.run(&["check"]);
    assert!(words.contains("VARNING: ingen"), "{words}");
    let (daemon, _) = house.serve();
    house.back_up();
    let (daemon, _) = house.restore(daemon);
    let (done, words) = house.run(&["resume"]);
    assert!(!done && words.contains("--without-journal"), "{words}");
    let (done, words) = house.run(&["resume", "--without-journal"]);
    assert!(done, "{words}");
    assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
}
