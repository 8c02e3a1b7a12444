//! Stories of an import through the pages, from the file to taking it back; and of the register as a file.

use crate::support::browser::{Browser, Page};
use crate::support::{TestApp, on_both_databases};
use serde_json::{Value, json};

/// A person made through the API.
async fn made(app: &TestApp, person: Value) {
    let answer = app.api.post("/contact-persons", person).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

const MESSY: &[u8] = include_bytes!("../data/register-messy.csv");
const MESSY_CP1252: &[u8] = include_bytes!("../data/register-messy-cp1252.csv");
const SAMPLE: &[u8] = include_bytes!("../../data/register-sample.csv");

/// Uploads a file and goes on to what it would do.
async fn reviewed(browser: &mut Browser, file: &[u8]) -> (Page, Page) {
    let page = browser.get("/register/import").await;
    let read = browser.upload(&page, "/register/import", file).await;
    assert_eq!(read.status, 200, "{}", read.html);
    let mut fields = columns(&read);
    fields.push(("go".to_owned(), "preview".to_owned()));
    let path = read.path.clone();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let review = browser.submit(&read, &path, &fields).await;
    assert!(review.path.ends_with("/preview") && review.status == 200, "{} {}", review.path, review.html);
    (read, review)
}

/// How a file is read, as the form on its page stands.
fn columns(page: &Page) -> Vec<(String, String)> {
    let mut fields = vec![
        ("shown_encoding".to_owned(), page.after("name=\"shown_encoding\" value=\"").unwrap()),
        ("shown_delimiter".to_owned(), page.after("name=\"shown_delimiter\" value=\"").unwrap()),
    ];
    for select in page.html.split("<select ").skip(1) {
        let name = select.split("name=\"").nth(1).unwrap().split('"').next().unwrap();
        let select = select.split("</select>").next().unwrap();
        let chosen = select
            .split("<option value=\"")
            .skip(1)
            .find(|option| option.split('>').next().unwrap().contains(" selected"));
        fields.push((name.to_owned(), chosen.map_or("", |option| option.split('"').next().unwrap()).to_owned()));
    }
    fields
}

/// Presses the button of the page that shows what would be done.
async fn import(browser: &mut Browser, review: &Page, answers: &[(&str, &str)]) -> Page {
    let key = review.after("name=\"key\" value=\"").unwrap();
    let path = review.path.replace("/preview", "/store");
    let fields: Vec<(&str, &str)> = std::iter::once(("key", key.as_str())).chain(answers.iter().copied()).collect();
    browser.submit(review, &path, &fields).await
}

const COUNTS: &str = "Nya 32 · Ändrade 1 · Oförändrade 1 · Behöver svar 21 · Avvisade 1 · Överhoppade 3 · Hopslagna 1";

on_both_databases! {
    async fn the_messy_register_is_looked_at_imported_answered_and_taken_back(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        assert_eq!(app.api.send_bytes(reqwest::Method::POST, "/api/v1/imports", "text/csv", SAMPLE.to_vec()).await.status, 201);
        let mut admin = app.signed_in("admin", "").await;
        let (read, review) = reviewed(&mut admin, MESSY).await;
        assert!(read.says("UTF-8 med BOM, semikolon, 60 rader"), "{}", read.html);
        assert!(review.says(COUNTS) && review.says("Importera 33"), "{}", review.html);
        for words in ["<del>701745006</del>", "Numret har förstörts av kalkylprogrammet", "Mobil (förslag)", "Har tackat nej. Ska personen spärras?", "<del>11</del>", "<ins>14</ins>"] {
            assert!(review.says(words), "{words}: {}", review.html);
        }
        assert!(review.says("1\u{202f}098 i registret finns inte i filen"), "{}", review.html);
        assert!(app.api.get("/contact-persons?q=0701745001").await.json["items"].as_array().unwrap().is_empty(), "nothing is stored yet");

        let wrong = import(&mut admin, &review, &[("answer.8", "import"), ("field.8.mobile", "070-17")]).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.says("Rad 8: ") && wrong.says("href=\"#row-8\"") && wrong.says("value=\"070-17\""), "{}", wrong.html);
        assert!(app.api.get("/contact-persons?q=0701745001").await.json["items"].as_array().unwrap().is_empty(), "all of it or nothing");

        let answers = [("answer.8", "import"), ("field.8.mobile", "070-174 50 08"), ("answer.11", "import"), ("answer.33", "skip"), ("answer.17", "later")];
        let report = import(&mut admin, &review, &answers).await;
        assert!(report.path.starts_with("/register/imports/") && report.says("Importen är sparad."), "{} {}", report.path, report.html);
        assert!(report.says("Nya 34 · Ändrade 1 · Oförändrade 1 · Behöver svar 18 · Avvisade 1 · Överhoppade 4 · Hopslagna 1"), "{}", report.html);
        let found = app.api.get("/contact-persons?q=0701745011").await;
        assert_eq!(found.json["items"].as_array().unwrap().len(), 1, "the offer was taken: {}", found.text);
        let again = import(&mut admin, &review, &answers).await;
        assert_eq!(again.path, report.path, "a second click imports nothing more");

        let path = report.path.split('?').next().unwrap().to_owned();
        let missing = admin.get(&format!("{path}/missing")).await;
        assert!(missing.status == 200 && missing.says("Visa fler"), "{}", missing.html);
        let rejects = report.links().into_iter().find(|link| link.ends_with("rejected.csv")).unwrap();
        let rejects = admin.get(&rejects).await;
        assert_eq!(rejects.headers["content-type"], "text/csv; charset=utf-8");
        assert!(rejects.html.contains("Namn saknas"), "{}", rejects.html);
        let answered = admin.submit(&report, &format!("{path}/answers"), &[("all.households_date", "skip"), ("answer.54", "later"), ("answer.17", "import"), ("field.17.mobile", "")]).await;
        assert!(answered.says("Svaren är sparade.") && answered.says("Behöver svar 15") && answered.says("Överhoppade 6"), "{}", answered.html);
        let undone = admin.submit(&answered, &format!("{path}/undo"), &[]).await;
        assert!(undone.says("Hela importen är ångrad.") && undone.says("Hela importen ångrades kl. 02.31"), "{}", undone.html);
        assert!(app.api.get("/contact-persons?q=0701745001").await.json["items"].as_array().unwrap().is_empty());
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn an_old_encoding_is_found_and_all_questions_of_a_kind_are_answered_at_once(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut admin = app.signed_in("admin", "").await;
        let (read, review) = reviewed(&mut admin, MESSY_CP1252).await;
        assert!(read.says("Windows-1252, semikolon, 60 rader") && read.says("Åsa"), "{}", read.html);
        assert!(review.says("Troligt skrivfel i e-post (") && !review.says("\u{fffd}"), "{}", review.html);
        let before: usize = review.html.matches("class=\"question\"").count();
        let kinds: Vec<String> = review.html.split("name=\"all.").skip(1).map(|rest| format!("all.{}", rest.split('"').next().unwrap())).collect();
        assert!(!kinds.is_empty());
        let answers: Vec<(&str, &str)> = kinds.iter().map(|kind| (kind.as_str(), "skip")).collect();
        let report = import(&mut admin, &review, &answers).await;
        assert_eq!(report.status, 200, "{}", report.html);
        let after = report.html.matches("class=\"question\"").count();
        assert!(after < before && after > 0, "{before} {after}");
    }

    async fn how_a_file_is_read_can_be_set_and_is_remembered_for_the_same_headings(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut admin = app.signed_in("admin", "").await;
        let file = "Namn;Mobil;Kommun;Område;Fastighet\nNils Nord;070-174 50 31;Berg;Hackås;Näset 1:4\n".as_bytes();
        let page = admin.get("/register/import").await;
        let read = admin.upload(&page, "/register/import", file).await;
        assert!(read.says("Nils Nord") && read.says("1 kolumner används inte"), "{}", read.html);
        let path = read.path.clone();
        let mut fields = columns(&read);
        let set = |fields: &mut Vec<(String, String)>, name: &str, value: &str| {
            fields.iter_mut().find(|(known, _)| known == name).unwrap().1 = value.to_owned();
        };
        set(&mut fields, "column.4", "mobile");
        let sent = fields.clone();
        let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let twice = admin.submit(&read, &path, &sent).await;
        assert!(twice.status == 422 && twice.says("har samma uppgift som en tidigare kolumn"), "{}", twice.html);
        set(&mut fields, "column.4", "address");
        fields.push(("go".to_owned(), "preview".to_owned()));
        let sent: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let review = admin.submit(&read, &path, &sent).await;
        assert!(review.says("Nya 1 ·"), "{}", review.html);
        assert_eq!(import(&mut admin, &review, &[]).await.status, 200);
        let next = "Namn;Mobil;Kommun;Område;Fastighet\nSiv Sund;070-174 50 32;Berg;Hackås;Näset 1:5\n".as_bytes();
        let (_, review) = reviewed(&mut admin, next).await;
        assert!(review.says("Nya 1 ·"), "{}", review.html);
        import(&mut admin, &review, &[]).await;
        let siv = app.api.get("/contact-persons?q=siv%20sund").await;
        assert_eq!(siv.json["items"][0]["address"], "Näset 1:5", "the column is remembered: {}", siv.text);

        let commas = "Namn,Mobil,Kommun,Område\nBo Berg,070-174 50 33,Berg,Hackås\n".as_bytes();
        let page = admin.get("/register/import").await;
        let read = admin.upload(&page, "/register/import", commas).await;
        let wrong = [("shown_encoding", "utf-8"), ("shown_delimiter", ","), ("encoding", "utf-8"), ("delimiter", ";"), ("go", "again")];
        let wrong = admin.submit(&read, &read.path.clone(), &wrong).await;
        assert_eq!(wrong.path, read.path);
        let right = [("shown_encoding", "utf-8"), ("shown_delimiter", ";"), ("encoding", "utf-8"), ("delimiter", ","), ("go", "preview")];
        let review = admin.submit(&wrong, &read.path.clone(), &right).await;
        assert!(review.says("Nya 1 ·"), "{} {}", review.path, review.html);
        let dropped = admin.submit(&review, &format!("{}/drop", read.path), &[]).await;
        assert_eq!((dropped.path.as_str(), admin.get(&read.path).await.status.as_u16()), ("/register/import", 404));
    }

    async fn a_file_without_headings_is_imported_when_its_columns_are_named(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut admin = app.signed_in("admin", "").await;
        let file = "Nils Nord;070-174 50 31;Berg;Hackås;nils@example.org\nSiv Sund;070-174 50 32;Berg;Hackås;\n".as_bytes();
        let page = admin.get("/register/import").await;
        let read = admin.upload(&page, "/register/import", file).await;
        assert!(read.status == 422 && read.says("Filen har ingen rubrikrad.") && read.says("name=\"without_headings\""), "{}", read.html);
        let path = read.path.clone();
        let again = [("delimiter", ";"), ("encoding", "utf-8"), ("without_headings", "yes"), ("go", "again")];
        let read = admin.submit(&read, &path, &again).await;
        assert!(read.says("2 rader") && read.says("Nils Nord") && read.says("3 kolumner används inte"), "number and address are known: {}", read.html);
        let mut fields = columns(&read);
        fields.extend([("without_headings", "yes"), ("shown_without_headings", "yes"), ("go", "preview")].map(|(name, value)| (name.to_owned(), value.to_owned())));
        let sent = |fields: &[(String, String)]| fields.to_vec();
        let first = sent(&fields);
        let first: Vec<(&str, &str)> = first.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let nameless = admin.submit(&read, &path, &first).await;
        assert!(nameless.status == 422 && nameless.says("Välj vilken kolumn som är namnet."), "{}", nameless.html);
        for (column, field) in [("column.0", "name"), ("column.2", "municipality"), ("column.3", "watch_area")] {
            fields.iter_mut().find(|(known, _)| known == column).unwrap().1 = field.to_owned();
        }
        let named: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let review = admin.submit(&read, &path, &named).await;
        assert!(review.says("Nya 2 ·"), "{}", review.html);
        assert_eq!(import(&mut admin, &review, &[]).await.status, 200);
        let nils = app.api.get("/contact-persons?q=nils%20nord").await;
        assert_eq!((&nils.json["items"][0]["mobile"], &nils.json["items"][0]["email"]), (&json!("+46701745031"), &json!("nils@example.org")), "{}", nils.text);

        let query = "/api/v1/imports?dry_run=true&without_headings=true&columns=name,mobile,municipality,watch_area,email";
        let dry = app.api.send_bytes(reqwest::Method::POST, query, "text/csv", file.to_vec()).await;
        assert_eq!((&dry.json["rows"], &dry.json["counts"]["same"]), (&json!(2), &json!(2)), "{}", dry.text);
    }

    async fn what_is_no_register_is_refused_with_what_to_do(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/register/import").await;
        for (file, words) in [(b"".as_slice(), "Välj en fil som inte är tom."), (b"PK\x03\x04\x00\x00\x00\x00".as_slice(), "Spara den som CSV")] {
            let refused = admin.upload(&page, "/register/import", file).await;
            assert!(refused.status == 422 && refused.says(words) && refused.says("href=\"#file\""), "{}", refused.html);
        }
        let unclear = admin.upload(&page, "/register/import", b"a|b\n1|2\n").await;
        assert!(unclear.says("ingen rubrikrad"), "{}", unclear.html);
        let plain = admin.submit(&page, "/register/import", &[]).await;
        assert_eq!(plain.status, 415);
        let mut forged = page.clone();
        forged.html = forged.html.replace(&page.form_token(), "0000");
        assert_eq!(admin.upload(&forged, "/register/import", MESSY).await.status, 403);
    }

    async fn a_file_on_its_way_is_ones_own_and_for_whole_administrators(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let (mut admin, mut other) = (app.signed_in("admin", "").await, app.signed_in("admin", "").await);
        let (read, review) = reviewed(&mut admin, MESSY).await;
        for path in [read.path.clone(), review.path.clone(), format!("{}/rejected.csv", read.path)] {
            assert_eq!(other.get(&path).await.status, 404, "{path}");
        }
        assert_eq!(import(&mut other, &review, &[]).await.status, 403, "nor with the other's form");
        let mut part = app.signed_in("admin", "2326").await;
        let page = part.get("/account").await;
        assert_eq!(part.get("/register/import").await.status, 403, "the register is imported as a whole");
        assert_eq!(part.upload(&page, "/register/import", MESSY).await.status, 403);
    }

    async fn the_register_leaves_with_chosen_columns_and_a_reason_in_the_log(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        made(&app, json!({ "name": "=HYPERLINK(\"http://x\")", "mobile": "070-174 50 41", "note": "hemlig anteckning", "municipality": "2326", "watch_area": "Hackås" })).await;
        made(&app, json!({ "name": "Hemlig Handling", "municipality": "2326", "watch_area": "Hackås", "protected_identity": true })).await;
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/register/export").await;
        let refused = admin.submit(&page, "/register/export", &[("reason", " ")]).await;
        assert!(refused.status == 422 && refused.says("Ange varför") && refused.says("Välj minst en kolumn"), "{}", refused.html);
        let file = admin.submit(&page, "/register/export", &[("reason", "A1/2026"), ("columns", "mobile"), ("columns", "name")]).await;
        assert_eq!(file.headers["content-disposition"], "attachment; filename=\"kontaktombud.csv\"");
        assert_eq!(file.html.trim_start_matches('\u{feff}'), "name,mobile\r\n\"'=HYPERLINK(\"\"http://x\"\")\",070-174 50 41\r\n");
        let all = admin.submit(&page, "/register/export", &[("reason", "A1/2026"), ("columns", "name"), ("with_protected", "yes")]).await;
        assert!(all.html.contains("Hemlig Handling"));
        let log = app.api.get("/audit?limit=1000").await;
        let entry = log.json["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "register.exported").unwrap().clone();
        assert!(entry.to_string().contains("A1/2026"), "{entry}");
        let mut chief = app.signed_in("chief", "").await;
        assert_eq!(chief.get("/register/export").await.status, 403);
    }
}
