//! Bad input: every field and parameter of the API with hostile values. Never a 5xx, never a panic: a 422 that names the
//! field, or stored and shown inertly.

use std::io::{BufRead as _, Write as _};

use reqwest::Method;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;

use crate::support::openapi::operations;
use crate::support::things::{Things, alert_body, body_for, letter_body, person_body};
use crate::support::{Answer, Kind, TestApp, on_both_databases};

/// One key calls here as fast as the machine can.
const MANY_CALLS: &str = "server.calls_per_second = 100000\nserver.call_burst = 100000";

/// Values as JSON text, because some of them are no JSON that a library would write.
fn hostile_values() -> Vec<String> {
    let long = format!("\"{}\"", "a".repeat(100_000));
    let marks = format!("\"a{}\"", "\u{301}".repeat(5_000));
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let too_nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let texts = [
        r#""""#,
        r#"" ""#,
        r#""\u0000""#,
        r#""a\u0000b""#,
        r#""\u001b[31m""#,
        r#""\u0007\u0008\u007f\u0085""#,
        r#""\ud800""#,
        r#""\udc00x""#,
        r#""\ud83d""#,
        r#""\u202eabc\u2066\u200f""#,
        r#""\ufeff\ufffe\uffff""#,
        r#""\u2028\u2029""#,
        r#""'; DROP TABLE contact_person; --""#,
        r#""\" OR 1=1 --""#,
        r#""%' ESCAPE '""#,
        r#""<script>alert(1)</script>""#,
        r#""</textarea><img src=x onerror=alert(1)>""#,
        r#""=HYPERLINK(\"http://x\")""#,
        r#""+cmd|' /C calc'!A0""#,
        r#""@SUM(1)""#,
        r#""%s%n%d{0}{{7*7}}${7*7}""#,
        r#""😀👩‍👩‍👧🇸🇪""#,
        r#""\r\nBcc: x@example.org""#,
        r#""../../etc/passwd""#,
        r#""a@b@c, <d@example.org>""#,
        r#""NaN""#,
        r#""-1""#,
        r#""99999999999999999999""#,
        r#""２３２６""#,
        r#""٠٧٠١٧٤٠٦٠١""#,
        r#""19121212-1212""#,
        r#""9999-99-99""#,
        r#""-999999-01-01T00:00:00Z""#,
        r#""2026-11-20T01:31:00+99:99""#,
        "null",
        "true",
        "-1",
        "0",
        "1.5",
        "1e308",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "[]",
        "{}",
        "[[[]]]",
        r#"[""]"#,
        "[null]",
        "[1]",
        r#"["\u0000"]"#,
        r#"["2326","2326"]"#,
        r#"{"a":{"b":1}}"#,
        r#"{"\u0000":1}"#,
        r#"[{"name":"\u0000","email":"\r\n"}]"#,
        r#"[{"channel":"\u001b","source":"<b>"}]"#,
    ];
    texts.into_iter().map(str::to_owned).chain([long, marks, nested, too_nested]).collect()
}

/// An operation, a right body, and its fields; `!` marks one that is shown as it was written.
fn bodies() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let person = vec![
        "name!",
        "mobile",
        "phone2",
        "email",
        "email2",
        "address!",
        "postcode",
        "place!",
        "municipality",
        "watch_area",
        "households",
        "language",
        "letters",
        "alerts",
        "note!",
        "protected_identity",
        "paused_until",
        "opt_outs",
        "unknown",
    ];
    let alert = vec![
        "text!",
        "areas",
        "decided_by!",
        "kind",
        "spread",
        "expires_in_minutes",
        "send_at",
        "undo_seconds",
        "drill",
        "expected_recipients",
        "unknown",
    ];
    let mut letter = letter_body();
    letter["signature"] = json!({ "name": "Anna", "title": "Chef" });
    letter["copy_recipients"] = json!([{ "name": "Bo", "email": "bo@example.org" }]);
    let letter_fields = vec![
        "subject!",
        "body_markdown!",
        "areas",
        "registry_number",
        "no_registry_number",
        "subject_code",
        "dated",
        "signature",
        "signature.name",
        "signature.title",
        "copy_recipients",
        "copy_recipients.0.name",
        "copy_recipients.0.email",
        "send_at",
        "unknown",
    ];
    vec![
        ("POST /contact-persons", person_body(), person.clone()),
        ("PATCH /contact-persons/{id}", person_body(), person),
        ("POST /alerts", alert_body(), alert.clone()),
        ("PATCH /alerts/{id}", alert_body(), alert),
        ("POST /texts/sms", body_for("POST /texts/sms"), vec!["text", "unknown"]),
        ("POST /audiences", body_for("POST /audiences"), vec!["areas", "channel", "unknown"]),
        ("POST /decisions", body_for("POST /decisions"), vec!["decided_by!", "reason!", "areas", "outcome", "unknown"]),
        ("POST /alerts/{id}/approve", json!({ "revision": 1 }), vec!["revision", "reason", "unknown"]),
        ("POST /alerts/{id}/return", json!({ "revision": 1, "reason": "x" }), vec!["revision", "reason", "unknown"]),
        ("POST /alerts/{id}/send-unreviewed", json!({ "reason": "x" }), vec!["reason", "unknown"]),
        (
            "POST /alerts/{id}/follow-ups",
            body_for("POST /alerts/{id}/follow-ups"),
            vec!["kind", "text!", "decided_by!", "expires_in_minutes", "undo_seconds", "unknown"],
        ),
        ("POST /alerts/{id}/in-doubt", json!({ "as": "give_up" }), vec!["as", "unknown"]),
        ("POST /deliveries/{id}/resolve", json!({ "as": "give_up" }), vec!["as", "unknown"]),
        (
            "PATCH /observations/{id}",
            json!({ "state": "assessed" }),
            vec![
                "state",
                "tags",
                "owner",
                "place!",
                "seen_at",
                "archived",
                "contact_person_id",
                "alert_id",
                "kind",
                "unknown",
            ],
        ),
        ("POST /observations/{id}/reply", json!({ "text": "Tack" }), vec!["text", "kind", "to", "unknown"]),
        ("POST /letters", letter.clone(), letter_fields.clone()),
        ("PATCH /letters/{id}", letter, letter_fields),
        ("POST /letters/{id}/test", json!({ "email": "a@example.org" }), vec!["email", "unknown"]),
        (
            "POST /letters/{id}/send",
            json!({ "undo_seconds": 0 }),
            vec!["expected_recipients", "undo_seconds", "unknown"],
        ),
        (
            "POST /imports/{id}/answers",
            json!({ "answers": [{ "row": 1, "action": "skip", "fields": { "name": "Ny" } }] }),
            vec![
                "answers",
                "answers.0.row",
                "answers.0.action",
                "answers.0.fields",
                "answers.0.fields.name",
                "unknown",
            ],
        ),
    ]
}

/// The body as text with one field replaced by raw JSON.
fn with_field(body: &Value, field: &str, raw: &str) -> String {
    const MARK: &str = "here stands the hostile value";
    let mut body = body.clone();
    let pointer = format!("/{}", field.replace('.', "/"));
    match body.pointer_mut(&pointer) {
        Some(place) => *place = json!(MARK),
        None => body[field] = json!(MARK),
    }
    body.to_string().replace(&format!("\"{MARK}\""), raw)
}

/// Whether the answer is one that bad input may have.
fn is_fair(answer: &Answer, field: &str, raw: &str) -> Result<(), String> {
    let code = answer.status.as_u16();
    let root = field.split('.').next().unwrap();
    match code {
        200 | 201 => Ok(()),
        // What is no JSON or no Unicode at all has no fields.
        400 if serde_json::from_str::<Value>(raw).is_err() => Ok(()),
        // States and counts that the rest of the request does not fit.
        403 | 409 => Ok(()),
        422 => {
            let fields = answer.json["fields"].as_array().cloned().unwrap_or_default();
            let named = fields.iter().any(|named| {
                let name = named["name"].as_str().unwrap_or_default();
                // What stands in one field may make another wrong: a letter without number, a place in no municipality.
                name.split(['.', '[']).next() == Some(root) || (raw == "null" && !name.is_empty())
            });
            if named { Ok(()) } else { Err(format!("422 names {fields:?}")) }
        }
        _ => Err(format!("{code} {}", answer.text)),
    }
}

/// A text without what normalisation may change: form, blanks, invisible characters.
fn bare(text: &str) -> String {
    text.nfkc().filter(|c| !c.is_whitespace() && !c.is_control() && !matches!(*c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}')).collect()
}

fn is_inert(answer: &Answer, field: &str, raw: &str) -> Result<(), String> {
    let Ok(Value::String(sent)) = serde_json::from_str::<Value>(raw) else { return Ok(()) };
    let Some(shown) = answer.json[field].as_str() else { return Ok(()) };
    if shown.contains(['\0', '\u{1b}']) {
        return Err(format!("shows control characters: {shown:?}"));
    }
    if bare(shown) != bare(&sent) {
        return Err(format!("{sent:?} is shown as {shown:?}"));
    }
    Ok(())
}

/// The id an operation is about, in a fresh state where it needs one.
async fn id_for(app: &TestApp, things: &Things, path: &str) -> String {
    if path == "/alerts/{id}/follow-ups" || path.ends_with("/send") {
        let body = if path.starts_with("/letters") { letter_body() } else { alert_body() };
        let collection = path.split('/').nth(1).unwrap();
        let made = app.api.post(&format!("/{collection}"), body).await;
        return made.json["id"].as_str().unwrap().to_owned();
    }
    if path.contains("{id}") { things.id_for(path).to_owned() } else { String::new() }
}

on_both_databases! {
    async fn no_field_of_the_api_takes_a_hostile_value_badly(kind: Kind) {
        let app = TestApp::spawn_with(kind, MANY_CALLS).await;
        let things = app.things().await;
        let values = hostile_values();
        let mut bad = Vec::new();
        for (operation, body, fields) in bodies() {
            let (method, path) = operation.split_once(' ').unwrap();
            let method: Method = method.parse().unwrap();
            for field in fields {
                let (field, is_shown) = field.strip_suffix('!').map_or((field, false), |field| (field, true));
                for raw in &values {
                    let target = format!("/api/v1{}", path.replace("{id}", &id_for(&app, &things, path).await));
                    let sent = with_field(&body, field, raw).into_bytes();
                    let answer = app.api.send_bytes(method.clone(), &target, "application/json", sent).await;
                    let mut verdict = is_fair(&answer, field, raw);
                    if verdict.is_ok() && is_shown && answer.status.is_success() {
                        verdict = is_inert(&answer, field, raw);
                    }
                    if let Err(why) = verdict {
                        let raw: String = raw.chars().take(60).collect();
                        bad.push(format!("{operation} {field} = {raw}: {}", why.chars().take(300).collect::<String>()));
                    }
                }
            }
        }
        assert!(bad.is_empty(), "{} bad:\n{}", bad.len(), bad.join("\n"));
        assert_eq!(app.api.get("/contact-persons?limit=1").await.status, 200, "the register is still there");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn no_parameter_takes_a_hostile_value_badly(kind: Kind) {
        let app = TestApp::spawn_with(kind, MANY_CALLS).await;
        let things = app.things().await;
        let long = "a".repeat(8_000);
        let values = [
            "", "%00", "%ff%fe", "%", "%zz", "'", "%27%20OR%201=1--", "%25", "_", "%5C", "%5C%25", "-1", "0", "1001", "1.5",
            "99999999999999999999", "9223372036854775807", "-9223372036854775808", "%F0%9F%98%80", "%E2%80%AE", "%0d%0aX:%20y", "null",
            "true", "[]", "..%2f..%2fetc", "%ED%A0%80", &long,
        ];
        let mut bad = Vec::new();
        for operation in operations(&app.api).await.iter().filter(|operation| operation.method == Method::GET && operation.path != "/events") {
            let right = if operation.path.contains("{id}") { operation.at(things.id_for(&operation.path)) } else { operation.path.clone() };
            for value in values {
                for name in &operation.query {
                    let answer = app.api.get(&format!("{right}?{name}={value}")).await;
                    let is_fair = matches!(answer.status.as_u16(), 200 | 400 | 409) || answer.names_field(name);
                    if !is_fair {
                        bad.push(format!("{} {name}={value:.40}: {} {:.300}", operation.name(), answer.status, answer.text));
                    }
                }
                if operation.path.contains("{id}") && !value.is_empty() {
                    let answer = app.api.get(&operation.at(value)).await;
                    if !matches!(answer.status.as_u16(), 400 | 404) {
                        bad.push(format!("{} id={value:.40}: {} {:.300}", operation.name(), answer.status, answer.text));
                    }
                }
            }
        }
        assert!(bad.is_empty(), "{} bad:\n{}", bad.len(), bad.join("\n"));
    }

    async fn too_large_is_413_another_type_415_a_bad_key_401_and_another_method_405(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let large = format!("{{\"text\":\"{}\"}}", "a".repeat(1024 * 1024)).into_bytes();
        let stranger = app.api.with_key("gp_0000000000000000000000000000000000000000");
        for operation in operations(&app.api).await {
            let target = format!("/api/v1{}", operation.at("x"));
            let name = operation.name();
            if operation.takes_json {
                let post = |kind: &'static str, body: Vec<u8>| app.api.send_bytes(operation.method.clone(), &target, kind, body);
                assert_problem(&post("application/json", large.clone()).await, 413, &name);
                assert_problem(&post("text/plain", b"{}".to_vec()).await, 415, &name);
                assert_problem(&post("application/json", b"{".to_vec()).await, 400, &name);
                assert_problem(&post("application/json", b"\xff\xfe".to_vec()).await, 400, &name);
            }
            assert_problem(&stranger.call(operation.method.clone(), &operation.at("x"), None, &[]).await, 401, &name);
            assert_problem(&app.api.send_bytes(Method::TRACE, &target, "text/plain", Vec::new()).await, 405, &name);
        }
        assert_problem(&app.api.get("/nothing").await, 404, "an unknown path");
    }

    async fn who_writes_a_whole_body_before_reading_still_gets_the_answer(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let address = app.api.base().trim_start_matches("http://").to_owned();
        let (wrong, right) = ("grp_wrong".to_owned(), app.api.key().to_owned());
        for (key, kind, expected) in [(wrong, "application/json", "401"), (right.clone(), "text/csv", "415"), (right, "application/json", "413")] {
            let (address, body) = (address.clone(), vec![b' '; 4 << 20]);
            let answer = tokio::task::spawn_blocking(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                let head = format!(
                    "POST /api/v1/alerts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&body).unwrap();
                let mut line = String::new();
                std::io::BufReader::new(stream).read_line(&mut line).unwrap();
                line
            });
            let line = answer.await.unwrap();
            assert!(line.contains(expected), "{expected}: {line}");
        }
    }

    async fn paging_by_one_gives_everything_once(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut things = app.things().await;
        for number in 2..8 {
            let mut person = person_body();
            person["mobile"] = json!(format!("070-174 06 0{number}"));
            person["email"] = json!(format!("p{number}@example.org"));
            assert_eq!(app.api.post("/contact-persons", person).await.status, 201);
            let made = app.api.post("/alerts", alert_body()).await;
            things.alert = made.json["id"].as_str().unwrap().to_owned();
            assert_eq!(app.api.post("/letters", letter_body()).await.status, 201);
            assert_eq!(app.api.post("/decisions", body_for("POST /decisions")).await.status, 201);
            app.observation().await;
        }
        let sent = app.api.post(&format!("/letters/{}/send", things.letter), json!({})).await;
        assert_eq!(sent.status, 200, "{}", sent.text);
        for path in [
            "/contact-persons".to_owned(), "/contact-persons?q=Eva".to_owned(), "/alerts".to_owned(), "/letters".to_owned(),
            "/observations".to_owned(), "/decisions".to_owned(), format!("/alerts/{}/deliveries", things.alert),
            format!("/alerts/{}/deliveries?state=queued", things.alert), format!("/letters/{}/deliveries", things.letter),
            "/audit?until=2026-11-20T01:31:00.001Z".to_owned(),
        ] {
            let with = if path.contains('?') { '&' } else { '?' };
            let ids = |page: &Answer| -> Vec<String> {
                page.json["items"].as_array().unwrap_or_else(|| panic!("{path}: {}", page.text)).iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
            };
            app.advance(std::time::Duration::from_millis(5));
            let whole = app.api.get(&format!("{path}{with}limit=1000")).await;
            assert_eq!(whole.json["next"], Value::Null, "{path}");
            let whole = ids(&whole);
            assert!(whole.len() > 5, "{path} has {}", whole.len());
            let mut seen = Vec::new();
            let mut after = String::new();
            loop {
                let page = app.api.get(&format!("{path}{with}limit=1{after}")).await;
                seen.extend(ids(&page));
                match page.json["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
                assert!(seen.len() <= whole.len(), "{path} never ends");
            }
            assert_eq!(seen, whole, "{path}");
        }
    }
}

fn assert_problem(answer: &Answer, code: u16, what: &str) {
    assert_eq!(answer.status.as_u16(), code, "{what}: {}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
    assert_eq!(answer.json["status"], code, "{what}");
    for field in ["type", "title", "detail", "code"] {
        assert!(answer.json[field].is_string(), "{what} has no {field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_lists_every_call_of_the_contract_and_no_other() {
    let app = TestApp::spawn(Kind::Sqlite).await;
    let document = app.api.send_bytes(Method::GET, "/api/openapi.json", "text/plain", Vec::new()).await;
    assert!(document.json["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document.json["openapi"]);
    let mut listed: Vec<String> =
        operations(&app.api).await.iter().map(crate::support::openapi::Operation::name).collect();
    listed.sort();
    let mut expected: Vec<&str> = crate::roles::OPERATIONS.iter().map(|(operation, _)| *operation).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let pages = app.api.send_bytes(Method::GET, "/api/docs/", "text/plain", Vec::new()).await;
    assert_eq!(pages.status, 200);
}
