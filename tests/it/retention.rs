//! Stories of what is disposed of (gallring): nothing without a decision, what is personal when its time is over, and no figure of the past.

use std::time::Duration;

use grannpost::actions::retention;
use grannpost::ambient::Clock;
use grannpost::domain::retention::Rule;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Kind, TestApp, child, on_both_databases};

const EVA: &str = "+46701740601";

const DECIDED: &str = r#"
retention.observations.decision = "Beslut 2026-1"
retention.recipients.decision = "Beslut 2026-2"
retention.imports.decision = "Beslut 2026-3"
retention.mail.decision = "Beslut 2026-4"
"#;
const YEAR: Duration = Duration::from_secs(366 * 24 * 3_600);

/// An alert that somebody has answered and passed on, and a file that was imported, everything of it over; the alert's id.
async fn an_old_alert(kind: Kind, more: &str) -> (TestApp, String) {
    let app = TestApp::with_two_persons(kind, more).await;
    let csv = "name,mobile,municipality,watch_area\nSiv Sund,070-174 06 11,2326,Hackås\n";
    assert_eq!(app.api.send_bytes(Method::POST, "/api/v1/imports", "text/csv", csv.into()).await.status, 201);
    let id = app.alert(&["2326"], json!({ "spread": "households" })).await;
    app.sms("s1", EVA, "Såg bilen vid Hackås bensinmack ABC 123").await;
    app.sms("s2", EVA, "SPRITT 14").await;
    let seen = app.observations("", 1).await;
    let answer = format!("/observations/{}/reply", seen[0]["id"].as_str().unwrap());
    assert_eq!(app.api.post(&answer, json!({ "text": "Tack Eva, vi åker dit." })).await.status, 201);
    app.alert_when(&id, |alert| alert["reach"]["contact_persons"] == 2).await;
    app.database.until_none("SELECT id FROM message WHERE state <> 'done'").await;
    (app, id)
}

on_both_databases! {
    async fn nothing_is_disposed_of_without_a_decision_and_the_page_says_what_would_be(kind: Kind) {
        let (app, id) = an_old_alert(kind, "").await;
        app.advance(2 * YEAR);
        assert_eq!(retention::run(&app.desk, || true).await.unwrap(), []);
        let rows = app.api.get(&format!("/alerts/{id}/deliveries?limit=1")).await;
        assert!(rows.json["items"][0]["address"].as_str().unwrap().starts_with("+46"), "{}", rows.text);
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/admin/retention").await;
        assert_eq!(page.html.matches("Avstängd").count(), 5, "{}", page.html);
        assert!(page.says("retention.observations.decision") && page.says("365 dagar efter kalenderårets slut"), "{}", page.html);
    }

    async fn what_has_been_kept_long_enough_goes_and_every_figure_stays(kind: Kind) {
        let (app, id) = an_old_alert(kind, DECIDED).await;
        let before = app.api.get(&format!("/alerts/{id}")).await.json;
        assert_eq!(retention::run(&app.desk, || true).await.unwrap(), [], "nothing is old yet");
        app.advance(YEAR);
        let young: Vec<Rule> = retention::run(&app.desk, || true).await.unwrap().into_iter().map(|(rule, _)| rule).collect();
        assert_eq!(young, [Rule::Imports], "a year that has not ended since 2026-12-31 keeps the others");
        app.advance(YEAR);
        let removed = retention::run(&app.desk, || true).await.unwrap();
        let rules: Vec<Rule> = removed.iter().map(|(rule, _)| *rule).collect();
        assert_eq!(rules, [Rule::Observations, Rule::Recipients], "{removed:?}");
        assert_eq!(retention::run(&app.desk, || true).await.unwrap(), [], "a second run finds nothing");

        let after = app.api.get(&format!("/alerts/{id}")).await.json;
        for figure in ["state", "counts", "audience", "reach"] {
            assert_eq!(after[figure], before[figure], "{figure}");
        }
        let rows = app.api.get(&format!("/alerts/{id}/deliveries?limit=1000")).await;
        assert!(!rows.text.contains("+46") && rows.text.contains("disposed-"), "{}", rows.text);
        for (table, column) in [("inbound_sms", "raw"), ("observation", "text"), ("observation", "place"), ("message_recipient", "contact_person_id"), ("import_row", "cells")] {
            let left = app.database.texts(&format!("SELECT {column} FROM {table} WHERE COALESCE({column}, '') <> ''")).await;
            assert_eq!(left, [""; 0], "{table}.{column}");
        }
        let senders = app.database.texts("SELECT sender FROM observation UNION SELECT contact_person_id FROM spread_confirmation").await;
        assert!(senders.iter().all(|sender| sender.starts_with("disposed-")), "{senders:?}");
        let log = app.api.get("/audit?action=retention.removed").await;
        assert!(log.text.contains("Beslut 2026-1") && log.text.contains("Beslut 2026-2"), "{}", log.text);
        assert_eq!(app.verify().await, Vec::<String>::new());

        let follow_up = app.api.post(&format!("/alerts/{id}/follow-ups"), json!({ "kind": "update", "text": "Nytt." })).await;
        assert_eq!((follow_up.status.as_u16(), &follow_up.json["code"]), (409, &json!("alert.nobody_has_it")), "{}", follow_up.text);
        let mut admin = app.signed_in("admin", "").await;
        for path in [format!("/alerts/{id}"), format!("/alerts/{id}/report"), "/observations".to_owned(), "/admin/retention".to_owned()] {
            assert_eq!(admin.get(&path).await.status, 200, "{path}");
        }
        let found = app.api.get("/contact-persons?q=eva").await;
        assert_eq!(found.json["items"][0]["mobile"], EVA, "the register is not touched");
    }

    async fn the_program_says_what_would_go_and_removes_it_when_asked_to(kind: Kind) {
        // The verb goes by the machine's clock, which is later than this.
        let long_ago = Clock::fake("2020-01-10T01:31:00Z".parse().unwrap());
        let app = TestApp::spawn_at(kind, "retention.imports.decision = \"Beslut 2026-3\"", long_ago).await;
        let csv = "name,mobile,municipality,watch_area\nSiv Sund,070-174 06 11,2326,Hackås\n";
        assert_eq!(app.api.send_bytes(Method::POST, "/api/v1/imports", "text/csv", csv.into()).await.status, 201);
        let config = app.config_file();
        let said = |arguments: &[&str]| {
            let output = child::run(&config, arguments);
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let shown = said(&["retention"]);
        for line in ["Importerade filer: 1 att gallra (90 dagar; Beslut 2026-3)", "Övrig inkommande post: 0 att gallra (180 dagar; avstängd, inget beslut)"] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        let rules: Value = serde_json::from_str(&said(&["retention", "--json"])).unwrap();
        let imports = rules["rules"].as_array().unwrap().iter().find(|one| one["rule"] == "imports").unwrap();
        assert_eq!((&imports["waiting"], &imports["decision"], &imports["from_year_end"]), (&json!(1), &json!("Beslut 2026-3"), &json!(false)));
        assert_ne!(app.database.texts("SELECT item FROM import_row WHERE item <> '{}'").await, [""; 0], "nothing is gone by looking");
        assert_eq!(said(&["retention", "--remove"]).trim(), "Importerade filer: 1 gallrade");
        assert_eq!(app.database.texts("SELECT item FROM import_row WHERE item <> '{}'").await, [""; 0]);
        assert_eq!(said(&["retention", "--remove"]).trim(), "Inget att gallra under de regler som har ett beslut.");
        let removed: Value = serde_json::from_str(&said(&["--json", "retention", "--remove"])).unwrap();
        assert_eq!(removed, json!({ "removed": [] }));
        let wrong = child::run(&config, &["retention", "--now"]);
        assert_eq!(wrong.status.code(), Some(2));
        let log = app.api.get("/audit?action=retention.removed").await;
        assert!(log.json["items"].as_array().unwrap().len() == 1 && log.text.contains("Beslut 2026-3"), "{}", log.text);
    }
}
