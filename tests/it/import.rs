//! Stories of the register as a file, through the API.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use grannpost::actions::import::{self, RegisterFile};
use grannpost::register_file::survey::{Overrides, Survey};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::Answer;
use crate::support::{Kind, TestApp, on_both_databases, root};

const SAMPLE: &[u8] = include_bytes!("../../data/register-sample.csv");
const MESSY: &[u8] = include_bytes!("../data/register-messy.csv");
const MESSY_CP1252: &[u8] = include_bytes!("../data/register-messy-cp1252.csv");
const EXPECTED: &str = include_str!("../data/register-messy-expected.csv");

impl TestApp {
    async fn import(&self, file: &[u8]) -> Answer {
        self.api.send_bytes(Method::POST, "/api/v1/imports", "text/csv", file.to_vec()).await
    }

    async fn dry_run(&self, file: &[u8]) -> Answer {
        self.api.send_bytes(Method::POST, "/api/v1/imports?dry_run=true", "text/csv", file.to_vec()).await
    }

    async fn with_sample(kind: Kind) -> Self {
        let app = Self::spawn(kind).await;
        let imported = app.import(SAMPLE).await;
        assert_eq!(imported.status, 201, "{}", imported.text);
        assert_eq!(imported.json["counts"], counts(&[("new", 1_100)]));
        app
    }

    async fn areas(&self) -> HashMap<String, Value> {
        let areas = self.api.get("/areas").await.json;
        areas["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|area| (area["code"].as_str().unwrap().into(), area.clone()))
            .collect()
    }

    async fn persons(&self) -> i64 {
        self.areas().await["jamtland"]["contact_persons"].as_i64().unwrap()
    }

    /// The contact persons with this number.
    async fn with_number(&self, number: &str) -> Vec<Value> {
        self.api.get(&format!("/contact-persons?q={number}")).await.json["items"].as_array().unwrap().clone()
    }
}

fn counts(some: &[(&str, u64)]) -> Value {
    let mut all: BTreeMap<&str, u64> =
        ["new", "warn", "ask", "reject", "skip", "dup", "same", "update"].map(|action| (action, 0)).into();
    all.extend(some.iter().copied());
    json!(all)
}

/// Row, line, action, mobile, email, codes and message of each expected row.
fn expected() -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(EXPECTED.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn outcomes(answer: &Value) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let codes = |item: &Value| item["codes"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(";");
    let items = answer["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            vec![
                item["row"].to_string(),
                item["line"].to_string(),
                text(&item["action"]),
                text(&item["fields"]["mobile"]),
                text(&item["fields"]["email"]),
                codes(item),
                text(&item["message"]),
            ]
        })
        .collect()
}

on_both_databases! {
    async fn the_sample_register_gives_the_figures_that_are_known(kind: Kind) {
        let app = TestApp::with_sample(kind).await;
        let areas = app.areas().await;
        let whole = &areas["jamtland"];
        assert_eq!((&whole["contact_persons"], &whole["households"], &whole["by_sms"]), (&json!(1_100), &json!(10_050), &json!(1_030)));
        assert_eq!(areas.values().filter(|area| area["kind"] == "watch_area").count(), 163);
        let audience = app.api.post("/audiences", json!({ "areas": ["2321", "2309"], "channel": "sms" })).await;
        assert_eq!((&audience.json["contact_persons"], &audience.json["by_sms"]), (&json!(255), &json!(240)));
        let again = app.import(SAMPLE).await;
        assert_eq!(again.json["counts"], counts(&[("same", 1_100)]));
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn every_messy_row_has_its_outcome_and_a_dry_run_stores_nothing(kind: Kind) {
        let app = TestApp::with_sample(kind).await;
        let dry = app.dry_run(MESSY).await;
        assert_eq!(dry.status, 200, "{}", dry.text);
        assert_eq!(outcomes(&dry.json), expected());
        assert_eq!(dry.json["id"], Value::Null);
        assert_eq!(dry.json["file"]["encoding"], "utf-8");
        assert_eq!(app.persons().await, 1_100);

        let mut windows = expected();
        windows[27][2] = "ask".into();
        windows[27][5] = "two_emails;lost_letter".into();
        windows[27][6] = "Bokstäver har gått förlorade: R?ta Kazlauskien?. Skriv in texten igen.".into();
        assert_eq!(outcomes(&app.dry_run(MESSY_CP1252).await.json), windows);

        let stored = app.import(MESSY).await;
        assert_eq!(stored.status, 201);
        assert_eq!(outcomes(&stored.json), expected());
        let first = [("new", 12), ("warn", 20), ("ask", 21), ("reject", 1), ("skip", 3), ("dup", 1), ("same", 1), ("update", 1)];
        assert_eq!(stored.json["counts"], counts(&first));
        assert_eq!(stored.json["missing"], 1_098);
        assert_eq!(app.persons().await, 1_132);
        let changed = &app.with_number("0701743059").await[0];
        assert_eq!((&changed["address"], &changed["households"]), (&json!("Kyrkvägen 3"), &json!(14)));
        let again = app.import(MESSY).await;
        assert_eq!(again.json["counts"], counts(&[("ask", 21), ("reject", 1), ("skip", 3), ("dup", 1), ("same", 34)]));
        assert_eq!(app.persons().await, 1_132);
    }

    async fn held_rows_are_answered_and_a_new_question_is_asked(kind: Kind) {
        let app = TestApp::with_sample(kind).await;
        let import = app.import(MESSY).await;
        let path = format!("/imports/{}/answers", import.json["id"].as_str().unwrap());
        let answers = json!({ "answers": [
            { "row": 8, "action": "import", "fields": { "mobile": "070-174 50 08" } },
            { "row": 11, "action": "import", "fields": { "mobile": "070-174 50 11" } },
            { "row": 15, "action": "import", "fields": { "municipality": "2321" } },
            { "row": 17, "action": "import" },
            { "row": 21, "action": "skip" },
            { "row": 33, "action": "skip" },
            { "row": 39, "action": "import" },
            { "row": 42, "action": "import" },
            { "row": 48, "action": "import", "fields": { "municipality": "Åre" } },
            { "row": 53, "action": "import", "fields": { "households": 4, "alerts": false } },
            { "row": 54, "action": "skip", "fields": {} },
            { "row": 23, "action": "import", "fields": { "email": "per.strom@example.org" } },
        ] });
        let answered = app.api.post(&path, answers.clone()).await;
        assert_eq!(answered.status, 200, "{}", answered.text);
        let item = |row: usize| &answered.json["items"][row - 1];
        let brief = |row: usize| (item(row)["action"].as_str().unwrap(), item(row)["fields"]["mobile"].as_str().unwrap_or(""));
        assert_eq!(brief(8), ("new", "+46701745008"));
        assert_eq!(brief(15), ("warn", "+4799950015"));
        assert_eq!(brief(17).1, "");
        assert_eq!(brief(21), ("skip", ""));
        assert_eq!(brief(33), ("skip", ""));
        assert_eq!((item(39)["action"].as_str(), &item(39)["fields"]["households"]), (Some("update"), &json!(12)));
        assert_eq!((item(42)["action"].as_str(), &item(42)["fields"]["mobile"]), (Some("update"), &json!("+46701745002")));
        assert_eq!(item(48)["fields"]["watch_area"], "Järpen Centrum");
        assert_eq!((&item(53)["fields"]["households"], &item(53)["fields"]["alerts"]), (&json!(4), &json!(false)));
        assert_eq!(item(23)["codes"], json!(["possible_duplicate:register"]));
        assert_eq!(answered.json["counts"]["ask"], 21 - 11);
        assert_eq!(app.persons().await, 1_132 + 6);
        assert_eq!(app.with_number("0701745033").await, Vec::<Value>::new());

        let twice = app.api.post(&path, answers).await;
        assert!(twice.names_field("answers.0.row"), "{}", twice.text);
        let blocked = app.import("Namn;Mobil;Adress;Kommun;Område\nH. Embretsen;0701745033;Nyvägen 1;Östersund;Söder\n".as_bytes()).await;
        assert_eq!(blocked.json["items"][0]["codes"], json!(["opted_out"]));
    }

    async fn a_wrong_answer_changes_nothing(kind: Kind) {
        let app = TestApp::with_sample(kind).await;
        let import = app.import(MESSY).await;
        let path = format!("/imports/{}/answers", import.json["id"].as_str().unwrap());
        let answer = |row: i64, action: &str, fields: Value| json!({ "answers": [
            { "row": 17, "action": "import" },
            { "row": row, "action": action, "fields": fields },
        ] });
        for (body, field) in [
            (answer(1, "import", json!({})), "answers.1.row"),
            (answer(99, "skip", json!({})), "answers.1.row"),
            (answer(17, "skip", json!({})), "answers.1.row"),
            (answer(8, "keep", json!({})), "answers.1.action"),
            (answer(8, "import", json!({ "shoe_size": 44 })), "answers.1.fields.shoe_size"),
            (answer(8, "import", json!({ "mobile": "070-174 50" })), "answers.1.fields.mobile"),
            (answer(8, "import", json!({ "mobile": [] })), "answers.1.fields.mobile"),
            (answer(49, "import", json!({ "municipality": "Sundsvall" })), "answers.1.fields.municipality"),
            (answer(29, "import", json!({ "note": "121212-1212" })), "answers.1.fields.note"),
        ] {
            let refused = app.api.post(&path, body).await;
            assert!(refused.names_field(field), "{field}: {}", refused.text);
        }
        assert_eq!(app.persons().await, 1_132);
        let open = app.api.post(&path, json!({ "answers": [{ "row": 48, "action": "import" }] })).await;
        assert_eq!(open.json["items"][47]["action"], "ask", "the municipality is still to be chosen");
    }

    async fn a_whole_import_is_undone_until_something_was_sent(kind: Kind) {
        let app = TestApp::with_sample(kind).await;
        let before = app.with_number("0701743059").await;
        let import = app.import(MESSY).await;
        let id = import.json["id"].as_str().unwrap();
        let undone = app.api.post(&format!("/imports/{id}/undo"), json!({})).await;
        assert_eq!((undone.status.as_u16(), &undone.json["state"]), (200, &json!("undone")), "{}", undone.text);
        assert_eq!(app.persons().await, 1_100);
        let after = app.with_number("0701743059").await;
        assert_eq!((&after[0]["address"], &after[0]["households"]), (&before[0]["address"], &before[0]["households"]));
        let refused = app.api.post(&format!("/imports/{id}/answers"), json!({ "answers": [] })).await;
        assert_eq!(refused.status, 409);

        let import = app.import(MESSY).await;
        let id = import.json["id"].as_str().unwrap();
        let alert = json!({ "text": "Övning av sändlistan i området i kväll", "areas": ["2380"], "decided_by": "Vakthavande befäl", "undo_seconds": 0 });
        let alert = app.api.post("/alerts", alert).await;
        app.alert_when(alert.json["id"].as_str().unwrap(), |alert| alert["state"] == "done").await;
        let refused = app.api.post(&format!("/imports/{id}/undo"), json!({})).await;
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (409, &json!("import.sent")));
        assert_eq!(app.persons().await, 1_132);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn who_has_left_is_never_brought_back(kind: Kind) {
        let app = TestApp::with_sample(kind).await;
        let erased = app.with_number("0701740644").await[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(app.api.delete(&format!("/contact-persons/{erased}")).await.status, 204);
        let left = app.with_number("0701743628").await[0]["id"].as_str().unwrap().to_owned();
        let opt_outs = json!({ "opt_outs": [{ "channel": "sms", "source": "telefon" }], "alerts": false });
        assert_eq!(app.api.patch(&format!("/contact-persons/{left}"), opt_outs).await.status, 200);
        let again = app.import(SAMPLE).await;
        assert_eq!(again.json["counts"], counts(&[("same", 1_099), ("ask", 1)]));
        assert_eq!(again.json["items"][1]["codes"], json!(["opted_out"]));
        assert_eq!(again.json["items"][3]["codes"], json!(["in_register", "opt_out_kept"]));
        assert_eq!(app.persons().await, 1_099);
        let person = app.api.get(&format!("/contact-persons/{left}")).await.json;
        assert_eq!((&person["alerts"], &person["opt_outs"][0]["source"]), (&json!(false), &json!("telefon")));

        let path = format!("/imports/{}/answers", again.json["id"].as_str().unwrap());
        let answered = app.api.post(&path, json!({ "answers": [{ "row": 2, "action": "import" }] })).await;
        assert_eq!(answered.json["items"][1]["action"], "new", "{}", answered.text);
        let back = &app.with_number("0701740644").await[0];
        assert_eq!(back["opt_outs"].as_array().unwrap().len(), 2, "what was said before still holds");
    }

    async fn a_file_that_is_no_register_is_refused_with_its_reason(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        for (file, code) in [
            (b"".to_vec(), "import.empty"),
            (b"PK\x03\x04rest of a workbook".to_vec(), "import.not_text"),
            (b"1;2;3\n4;5;6\n".to_vec(), "import.no_headings"),
            (b"Namn;Mobil\n\"Anna;070\n".to_vec(), "import.unclosed_quote"),
            (format!("Namn;Mobil\n{}", "x".repeat(70_000)).into_bytes(), "import.row_too_long"),
            (format!("Namn;Mobil\n{}", ";".repeat(10_000)).into_bytes(), "import.too_many_columns"),
        ] {
            let refused = app.import(&file).await;
            assert!(refused.names_field("file"), "{}", refused.text);
            assert_eq!(refused.json["fields"][0]["code"], code);
        }
        let big = vec![b'a'; 64 * 1024 * 1024 + 1];
        assert_eq!(app.import(&big).await.status, 413);
        let wrong = app.api.send_bytes(Method::POST, "/api/v1/imports", "application/json", b"{}".to_vec()).await;
        assert_eq!(wrong.status, 415);
        assert_eq!(app.api.get("/imports/none").await.status, 404);
        assert_eq!(app.api.post("/imports/none/undo", json!({})).await.status, 404);
        let odd = app.api.send_bytes(Method::POST, "/api/v1/imports?encoding=ebcdic", "text/csv", MESSY.to_vec()).await;
        assert!(odd.names_field("encoding"), "{}", odd.text);
        for (role, area) in [("operator", ""), ("chief", ""), ("auditor", ""), ("admin", "2380")] {
            let other = app.api.with_key(&app.key(role, area).await);
            let refused = other.send_bytes(Method::POST, "/api/v1/imports?dry_run=true", "text/csv", MESSY.to_vec()).await;
            assert_eq!(refused.status, 403, "{role} {area}");
            assert_eq!(other.get("/contact-persons/export").await.status, 403);
        }
        assert_eq!(app.persons().await, 0);
    }

    async fn a_repeated_request_imports_once(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let import = |key: &'static str| {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = client.post(format!("{}/api/v1/imports", app.api.base())).header("idempotency-key", key);
            let request = request.bearer_auth(app.api.key()).header("content-type", "text/csv").body(SAMPLE.to_vec());
            async move { request.send().await.unwrap().text().await.unwrap() }
        };
        let first = import("one").await;
        assert_eq!(import("one").await, first);
        let other: Value = serde_json::from_str(&import("two").await).unwrap();
        assert_eq!(other["counts"], counts(&[("same", 1_100)]));
        assert_eq!(app.persons().await, 1_100);
    }

    async fn an_exported_register_is_read_back_unchanged(kind: Kind) {
        let app = TestApp::with_sample(kind).await;
        app.import(MESSY).await;
        let hostile = json!({ "name": "=HYPERLINK(\"https://example.org\";\"Klicka\")", "note": "+cmd|' /C calc'!A0", "address": "@SUM(1)",
            "mobile": "+47 999 50 099", "municipality": "2380", "watch_area": "-Söder" });
        let made = app.api.post("/contact-persons", hostile).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let file = app.api.get("/contact-persons/export").await;
        assert_eq!(file.status, 200);
        assert!(file.text.starts_with("\u{feff}name,mobile,email,address,"));
        let mut reader = csv::Reader::from_reader(file.text.trim_start_matches('\u{feff}').as_bytes());
        let is_inert = |cell: &str| !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\0']);
        assert!(reader.records().all(|record| record.unwrap().iter().all(is_inert)));
        let back = app.import(file.text.as_bytes()).await;
        assert_eq!(back.json["counts"], counts(&[("same", 1_133)]), "{:#}", back.json["items"]);
    }

    async fn an_import_that_died_leaves_nothing_behind(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let survey = Survey::of(SAMPLE, &Overrides::default()).unwrap();
        let file = RegisterFile { bytes: SAMPLE, survey: &survey };
        let (import, view) = import::write_unseen(&app.desk, &root(), file, &|_| {}).await.unwrap();
        assert_eq!((view.rows, app.persons().await), (1_100, 0), "nothing is shown before it is published");
        assert_eq!(app.api.get(&format!("/imports/{}", import.id)).await.status, 404);
        let meanwhile = app.import(SAMPLE).await;
        assert_eq!((meanwhile.status.as_u16(), &meanwhile.json["code"]), (409, &json!("import.running")));
        app.advance(Duration::from_secs(20));
        let after = app.import(MESSY).await;
        assert_eq!(after.status, 201, "{}", after.text);
        assert_eq!(after.json["items"][50]["action"], "new", "no watch area of the dead import is left");
        assert_eq!(app.api.get(&format!("/imports/{}", import.id)).await.status, 404);
        assert_eq!(app.persons().await, after.json["counts"]["new"].as_i64().unwrap() + after.json["counts"]["warn"].as_i64().unwrap());
    }

    async fn who_is_missing_from_a_full_file_is_listed(kind: Kind) {
        let app = TestApp::with_sample(kind).await;
        let text = std::str::from_utf8(SAMPLE).unwrap();
        let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("Anna Hedin,070-174 31 68")).collect();
        let import = app.import(without.join("\n").as_bytes()).await;
        assert_eq!(import.json["missing"], 1);
        let id = import.json["id"].as_str().unwrap();
        let missing = app.api.get(&format!("/imports/{id}/missing")).await.json;
        assert_eq!(missing["items"].as_array().unwrap().len(), 1);
        assert_eq!(missing["items"][0]["name"], "Anna Hedin");
    }
}

/// On one database: the rows are many, and the statements are those of the stories above.
#[tokio::test(flavor = "multi_thread")]
async fn a_very_large_file_is_written_unseen_and_published_at_once() {
    let app = TestApp::spawn(Kind::Sqlite).await;
    let mut file = "Namn;E-post;Adress;Kommun;Område\n".to_owned();
    for at in 0..20_100 {
        file.push_str(&format!("Person Ek{at};p{at}@example.org;Byvägen {at};Östersund;Område {}\n", at % 40));
    }
    let watch = async {
        let mut seen = Vec::new();
        for _ in 0..40 {
            seen.push(app.persons().await);
            app.desk.wakeup.wait(Duration::from_millis(25)).await;
        }
        seen
    };
    let (imported, seen) = tokio::join!(app.import(file.as_bytes()), watch);
    assert_eq!(imported.status, 201, "{}", &imported.text[..200.min(imported.text.len())]);
    assert_eq!(imported.json["counts"], counts(&[("new", 20_100)]));
    assert_eq!(imported.json["left_out"], 20_100);
    assert!(seen.iter().all(|persons| matches!(persons, 0 | 20_100)), "nothing is shown before the last: {seen:?}");
    assert_eq!(app.persons().await, 20_100);
    let id = imported.json["id"].as_str().unwrap();
    let page = app.api.get(&format!("/imports/{id}?limit=2&after=5")).await.json;
    assert_eq!((page["items"][0]["row"].as_i64(), page["next"].as_i64()), (Some(6), Some(7)));
    assert_eq!(app.api.post(&format!("/imports/{id}/undo"), json!({})).await.status, 200);
    assert_eq!(app.persons().await, 0);
}

/// Runs the program with a database in `folder`.
fn grannpost(folder: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let config = folder.join("grannpost.toml");
    std::fs::write(&config, format!("[database]\nurl = \"sqlite:{}\"\n", folder.join("cli.db").display())).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_grannpost"));
    command.current_dir(folder).arg("--config").arg(config).args(arguments).output().unwrap()
}

#[test]
fn the_command_line_imports_reports_and_exports() {
    let folder = tempfile::TempDir::new().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let (sample, messy) = (format!("{root}/data/register-sample.csv"), format!("{root}/tests/data/register-messy.csv"));
    let run = |arguments: &[&str]| {
        let output = grannpost(folder.path(), arguments);
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, out, err) = run(&["import", &sample]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("Nya 1100 · Ändrade 0"), "{out}");
    let (_, out, _) = run(&["--json", "import", "--dry-run", &messy]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(outcomes(&report), expected());
    let rejects = folder.path().join("rejects.csv");
    let (code, out, _) = run(&["import", &messy, "--rejects", rejects.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert!(out.contains("Rad 23 (Behöver svar): Menade du per.strom@example.org?"), "{out}");
    assert!(std::fs::read_to_string(rejects).unwrap().trim_end().ends_with(",Namn saknas"));
    let file = folder.path().join("export.csv");
    assert_eq!(run(&["export", file.to_str().unwrap()]).0, Some(0));
    let (_, out, _) = run(&["--json", "import", "--dry-run", file.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["counts"], counts(&[("same", 1_132)]));
    let id = report["items"][0]["contact_person_id"].as_str().unwrap();
    let (code, out, _) = run(&["export", "--contact-person", id]);
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["contact_person"]["id"], id);
    assert_eq!(run(&["import", "nowhere.csv"]).0, Some(2));
    std::fs::write(folder.path().join("no.csv"), "1;2;3\n").unwrap();
    let (code, _, err) = run(&["import", "no.csv"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("Filen har ingen rubrikrad"), "{err}");
}
