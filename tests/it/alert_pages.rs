//! Stories of alerts through the pages: written, confirmed, undone, followed, stopped, reviewed, without scripts.

use std::time::Duration;

use crate::support::api::Events;
use crate::support::browser::{Browser, Page};
use crate::support::{TestApp, on_both_databases};
use grannpost::actions::channel_health;
use grannpost::simulator::{Fate, ReceiptPlan};
use reqwest::Method;
use serde_json::json;

/// What an operator fills in.
fn filled<'a>(areas: &[&'a str], text: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut fields: Vec<(&str, &str)> = areas.iter().map(|area| ("areas", *area)).collect();
    fields.extend([
        ("text", text),
        ("kind", "observation"),
        ("spread", "households"),
        ("validity", "06:00"),
        ("decided_by", "other"),
        ("decided_by_other", "RLC-befäl"),
    ]);
    fields
}

/// Every hidden field of the form that sends, as the browser would send it back.
fn hidden(page: &Page) -> Vec<(String, String)> {
    let (_, form) = page.html.split_once("action=\"/alerts/send\"").unwrap();
    let form = form.split("</form>").next().unwrap();
    let inputs = form.split("<input type=\"hidden\" name=\"").skip(1);
    let text =
        |value: &str| value.replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&");
    inputs
        .map(|input| {
            let (name, rest) = input.split_once("\" value=\"").unwrap();
            (name.to_owned(), text(rest.split('"').next().unwrap()))
        })
        .filter(|(name, _)| name != "form_token")
        .collect()
}

/// Presses the button of the page that asks.
async fn send(browser: &mut Browser, page: &Page, proof: &str) -> Page {
    let mut fields = hidden(page);
    fields.push(("proof".to_owned(), proof.to_owned()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.submit(page, "/alerts/send", &fields).await
}

/// An alert that an operator has sent to two municipalities.
async fn sent(browser: &mut Browser) -> (String, Page) {
    let page = browser.get("/alerts/new").await;
    let page = browser.submit(&page, "/alerts/confirm", &filled(&["2321", "2309"], "Röd skåpbil söks i Järpen")).await;
    assert_eq!(page.status, 200, "{}", page.html);
    let page = send(browser, &page, "").await;
    let id = page.path.strip_prefix("/alerts/").unwrap_or_else(|| panic!("{}", page.html)).to_owned();
    (id, page)
}

/// Id and revision of the draft that a page shows.
fn draft_of(page: &Page) -> (String, String) {
    let value = |name: &str| page.after(&format!("name=\"{name}\" value=\"")).unwrap();
    (value("draft"), value("draft_revision"))
}

fn refs(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

on_both_databases! {
    async fn an_operator_sends_an_alert_to_two_municipalities_without_scripts(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        assert!(page.says("Nytt sms-utskick") && page.says("data-map=\"2321\""), "{}", page.html);
        let page = browser.submit(&page, "/alerts/new", &filled(&["2321", "2309"], "Röd skåpbil söks i Järpen")).await;
        assert!(page.says(">240<") && page.says("1\u{202f}996") && page.says("15 nås inte"), "{}", page.html);
        assert!(page.says("Polisen 20/11 kl. 02.31: Röd skåpbil söks i Järpen."), "{}", page.html);
        let page = browser.submit(&page, "/alerts/confirm", &filled(&["2321", "2309"], "Röd skåpbil söks i Järpen")).await;
        assert!(page.says("Skicka sms till 240 i Krokom och Åre") && page.says("RLC-befäl") && !page.says("id=\"proof\""), "{}", page.html);
        let page = send(&mut browser, &page, "").await;
        assert!(page.path.starts_with("/alerts/0"), "{} {}", page.path, page.html);
        assert!(page.says("Går i väg om") && page.says("Ångra: skicka inte till 240 i Krokom och Åre"), "{}", page.html);
        assert_eq!(app.gateway.journal().len(), 0, "nothing has left");
        app.advance(Duration::from_secs(11));
        let id = page.path.strip_prefix("/alerts/").unwrap().to_owned();
        app.alert_when(&id, |alert| alert["state"] == "done").await;
        let page = browser.get(&page.path).await;
        assert!(page.says("<h2>Klart</h2>") && page.says("kontaktombud nådda av 240 sms"), "{}", page.html);
        assert_eq!(app.gateway.journal().len(), 240);
        let list = browser.get("/alerts").await;
        assert!(list.says(&format!("href=\"/alerts/{id}\"")) && list.says("240 av 240"), "{}", list.html);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn the_report_says_who_decided_what_went_how_it_went_and_what_is_unknown(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| gateway.receipts = ReceiptPlan::silent());
        let mut browser = app.signed_in("operator", "").await;
        let (id, _) = sent(&mut browser).await;
        app.advance(Duration::from_secs(11));
        app.alert_when(&id, |alert| alert["counts"]["accepted"] == 240).await;
        let page = browser.get(&format!("/alerts/{id}/report")).await;
        for words in [
            "Händelserapport: sms till 240 i Krokom och Åre",
            "<dd>RLC-befäl</dd>",
            "Polisen 20/11 kl. 02.31: Röd skåpbil söks i Järpen.",
            "0 kontaktombud, som uppger 0 hushåll. 15 kontaktombud i områdena kunde inte få sms.",
            "240 sms som vi inte vet om de kom fram",
            "<td class=\"number\">240</td><td class=\"number\">0</td><td class=\"number\">0</td>",
            "Sms-utskick skapat",
            "kontrollsumman",
        ] {
            assert!(page.says(words), "{words} {}", page.html);
        }
        assert!(!page.says("Hela loggen"), "an operator may not read it all");
        assert!(!page.says("+46"), "no contact person stands in it");
    }

    async fn a_second_click_sends_nothing_more(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        let asked = browser.submit(&page, "/alerts/confirm", &filled(&["2326"], "Inbrott i Hackås")).await;
        let first = send(&mut browser, &asked, "").await;
        let second = send(&mut browser, &asked, "").await;
        assert_eq!(first.path, second.path, "{}", second.html);
        assert_eq!(app.api.get("/alerts").await.json["items"].as_array().unwrap().len(), 1);
    }

    async fn what_is_missing_is_said_at_its_field_and_nothing_typed_is_lost(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        let page = browser.submit(&page, "/alerts/confirm", &[("text", "Pappas bil är borta"), ("kind", "information")]).await;
        assert_eq!(page.status, 422);
        assert!(page.title().starts_with("Fel: "), "{}", page.title());
        for words in ["Välj minst ett område", "Välj om texten får spridas", "Ange vem som har beslutat", "Pappas bil är borta"] {
            assert!(page.says(words), "{words} {}", page.html);
        }
        let mut fields = filled(&["2326"], "Offret heter 19900101-0017");
        fields.retain(|(name, _)| *name != "spread");
        let page = browser.submit(&page, "/alerts/confirm", &fields).await;
        assert_eq!(page.status, 422, "{}", page.html);
        assert!(page.says("Välj om texten får spridas"));
        assert_eq!(app.api.get("/alerts").await.json["items"].as_array().unwrap().len(), 0);
    }

    async fn an_offending_character_is_named_and_replaced_by_one_button(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        let mut fields = filled(&["2326"], "Skåpbil ”Volvo” söks");
        let page = browser.submit(&page, "/alerts/new", &fields).await;
        assert!(page.says("<mark>”</mark> (typografiskt citattecken), tecken 9, 2 gånger"), "{}", page.html);
        fields.push(("replace", "”"));
        let page = browser.submit(&page, "/alerts/new", &fields).await;
        assert!(page.says("Skåpbil &#34;Volvo&#34; söks</textarea>") && !page.says("typografiskt"), "{}", page.html);
    }

    async fn a_place_outside_the_areas_is_said_and_added_by_one_button(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        let mut fields = filled(&["2309"], "Inbrott i Järpen");
        let page = browser.submit(&page, "/alerts/new", &fields).await;
        assert!(page.says("Texten nämner Järpen, men Åre är inte valt.") , "{}", page.html);
        let code = page.after("name=\"add_area\" value=\"").unwrap();
        fields.push(("add_area", &code));
        let page = browser.submit(&page, "/alerts/new", &fields).await;
        assert!(!page.says("är inte valt") && page.says("Krokom och Åre"), "{}", page.html);
    }

    async fn a_wide_alert_asks_for_the_name_of_a_municipality_and_a_whole_one_for_its_own(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        let asked = browser.submit(&page, "/alerts/confirm", &filled(&["2380"], "Inbrott i Brunflo")).await;
        assert!(asked.says("Skriv namnet på en kommun som får sms"), "{}", asked.html);
        for wrong in ["", "437", "Åre"] {
            let page = send(&mut browser, &asked, wrong).await;
            assert_eq!(page.status, 422, "{wrong} {}", page.html);
            assert!(page.says("id=\"proof-fault\""), "{}", page.html);
        }
        assert_eq!(app.api.get("/alerts").await.json["items"].as_array().unwrap().len(), 0);
        let page = send(&mut browser, &asked, "östersund").await;
        assert!(page.path.starts_with("/alerts/0"), "{}", page.html);
        let page = browser.get("/alerts/new").await;
        let asked = browser.submit(&page, "/alerts/confirm", &filled(&["jamtland"], "Bedragare ringer")).await;
        assert!(asked.says("Skriv HELA JÄMTLAND") && asked.says("Skicka sms till 1\u{202f}030 i hela Jämtland"), "{}", asked.html);
        assert_eq!(send(&mut browser, &asked, "Östersund").await.status, 422);
        assert!(send(&mut browser, &asked, "Hela Jämtland").await.path.starts_with("/alerts/0"));
    }

    async fn an_alert_is_undone_before_anything_has_left(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let (id, page) = sent(&mut browser).await;
        let page = browser.submit(&page, &format!("/alerts/{id}/stop"), &[]).await;
        assert!(page.says("240 stoppades. 0 var redan lämnade"), "{}", page.html);
        app.advance(Duration::from_secs(60));
        app.desk.wakeup.wait(Duration::from_millis(300)).await;
        assert_eq!(app.gateway.journal().len(), 0);
    }

    async fn what_did_not_arrive_is_shown_by_reason_with_a_list_to_call(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|behaviour| behaviour.receipts = ReceiptPlan { delivered: 0.0, failed: 1.0, ..ReceiptPlan::default() });
        let mut browser = app.signed_in("operator", "").await;
        let (id, _) = sent(&mut browser).await;
        app.advance(Duration::from_secs(11));
        app.alert_when(&id, |alert| alert["state"] == "done").await;
        let page = browser.get(&format!("/alerts/{id}/live")).await;
        assert!(page.says("Mobilnätet kunde inte leverera (orsak okänd)") && page.says("Områden där ingen nås"), "{}", page.html);
        let calls = browser.get(&format!("/alerts/{id}/calls")).await;
        assert!(calls.says("Ringlista") && calls.says("Mobilnätet kunde inte leverera") && calls.says("Har inget mobilnummer"), "{}", calls.html);
        let log = app.api.get("/audit?limit=1000").await;
        assert!(log.text.contains("alert.call_list_read"), "{}", log.text);
    }

    async fn numbers_that_an_alert_did_not_arrive_at_are_flagged_rung_and_trusted_again(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|behaviour| behaviour.receipts = ReceiptPlan { delivered: 0.0, failed: 1.0, ..ReceiptPlan::default() });
        let mut browser = app.signed_in("admin", "").await;
        let (id, _) = sent(&mut browser).await;
        app.advance(Duration::from_secs(11));
        app.alert_when(&id, |alert| alert["state"] == "done").await;
        let page = browser.get(&format!("/alerts/{id}")).await;
        assert!(page.says("Flagga 240 nummer i registret: ring och fråga"), "{}", page.html);
        let flag = format!("/alerts/{id}/doubt-numbers");
        let after = browser.submit(&page, &flag, &[]).await;
        assert!(after.path == format!("/alerts/{id}") && !after.says("nummer i registret"), "{}", after.html);
        browser.submit(&page, &flag, &[]).await;
        let log = app.api.get("/audit?action=alert.numbers_doubted").await;
        let entries = log.json["items"].as_array().unwrap();
        assert!(entries.len() == 1 && entries[0]["detail"]["persons"] == 240, "{}", log.text);

        let calls = browser.get("/register/calls?area=2321").await;
        assert!(calls.says("sms kommer inte fram till numret"), "{}", calls.html);
        let person = calls.after("<a href=\"/register/persons/").unwrap();
        let open = browser.get(&format!("/register/persons/{person}")).await;
        assert!(open.says("numret är tveksamt") && open.says("Sms går dit ändå."), "{}", open.html);
        let audience = app.api.post("/audiences", json!({ "areas": ["2321", "2309"], "channel": "sms" })).await;
        assert_eq!(audience.json["by_sms"], 240, "a doubtful number is still tried");
        let trusted = browser.submit(&open, &format!("/register/persons/{person}/number-trusted"), &[]).await;
        assert!(trusted.says("Sparat: numret fungerar.") && !trusted.says("numret är tveksamt"), "{}", trusted.html);
        let another = browser.get("/register/calls?area=2309").await.after("<a href=\"/register/persons/").unwrap();
        let moved = app.api.patch(&format!("/contact-persons/{another}"), json!({ "mobile": "070-174 05 99" })).await;
        assert_eq!(moved.status, 200, "{}", moved.text);
        let open = browser.get(&format!("/register/persons/{another}")).await;
        assert!(!open.says("numret är tveksamt"), "a new number is trusted: {}", open.html);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_number_that_three_alerts_in_a_row_miss_is_to_be_rung_until_one_arrives(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let nobody = ReceiptPlan { delivered: 0.0, failed: 1.0, ..ReceiptPlan::default() };
        app.gateway.change(|behaviour| behaviour.receipts = nobody);
        let eva = json!({ "name": "Eva Ek", "mobile": "070-174 06 01", "municipality": "2326", "watch_area": "Hackås" });
        let eva = app.api.post("/contact-persons", eva).await.json["id"].as_str().unwrap().to_owned();
        let alert = async |app: &TestApp, state: &str| {
            let alert = json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "RLC-befäl", "undo_seconds": 0 });
            let made = app.api.post("/alerts", alert).await;
            let id = made.json["id"].as_str().unwrap().to_owned();
            app.alert_when(&id, |alert| alert["state"] == "done" && alert["counts"][state] == 1).await;
            app.advance(Duration::from_secs(1));
            channel_health::weigh_alerts(&app.desk).await.unwrap()
        };
        let mut browser = app.signed_in("admin", "").await;
        assert_eq!((alert(&app, "undelivered").await, alert(&app, "undelivered").await), (0, 0));
        assert!(!browser.get("/register/calls").await.says("Eva Ek"));
        assert_eq!((alert(&app, "undelivered").await, channel_health::weigh_alerts(&app.desk).await.unwrap()), (1, 0), "said once");
        assert!(browser.get("/register/calls").await.says("sms kommer inte fram till numret"));
        let open = browser.get(&format!("/register/persons/{eva}")).await;
        browser.submit(&open, &format!("/register/persons/{eva}/number-trusted"), &[]).await;
        app.advance(Duration::from_secs(1));
        assert_eq!(alert(&app, "undelivered").await, 0, "what was before it was trusted counts no more");
        assert_eq!((alert(&app, "undelivered").await, alert(&app, "undelivered").await), (0, 1));
        app.gateway.change(|behaviour| behaviour.receipts = ReceiptPlan::default());
        alert(&app, "delivered").await;
        assert!(!browser.get("/register/calls").await.says("Eva Ek"), "an SMS that arrives is the best proof");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_large_alert_and_its_follow_up_go_from_the_page_like_any_other(kind: Kind) {
        let app = TestApp::spawn_with(kind, "database.rows_at_once = 50").await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        let page = browser.submit(&page, "/alerts/confirm", &filled(&["jamtland"], "Röd skåpbil söks i Järpen")).await;
        let wrong = send(&mut browser, &page, "hela sverige").await;
        assert!(wrong.status == 422 && wrong.says("Skriv HELA JÄMTLAND"), "{}", wrong.html);
        assert_eq!(app.api.get("/alerts").await.json["items"].as_array().unwrap().len(), 0, "nothing was made");
        let first = send(&mut browser, &wrong, "hela jämtland").await;
        let second = send(&mut browser, &wrong, "hela jämtland").await;
        assert!(first.path.starts_with("/alerts/0") && first.path == second.path, "{}", first.html);
        let id = first.path.strip_prefix("/alerts/").unwrap().to_owned();
        app.advance(Duration::from_secs(11));
        let alert = app.alert_when(&id, |alert| alert["state"] == "done").await;
        assert_eq!(alert["counts"]["delivered"], 1_030, "{alert:#}");
        let page = browser.get(&format!("/alerts/{id}/follow-up?kind=all_clear")).await;
        let key = page.after("name=\"key\" value=\"").unwrap();
        let fields = [("kind", "all_clear"), ("text", "Tack."), ("decided_by", "RLC-befäl"), ("key", key.as_str())];
        let sent = browser.submit(&page, &format!("/alerts/{id}/follow-up"), &fields).await;
        assert!(sent.path.starts_with("/alerts/0"), "{}", sent.html);
        let follow_up = app.api.get(&sent.path).await.json;
        assert_eq!(follow_up["audience"]["by_sms"], 1_030, "{follow_up:#}");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn those_whom_no_sms_reaches_are_written_to_once(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|behaviour| behaviour.receipts = ReceiptPlan { delivered: 0.5, failed: 0.5, ..ReceiptPlan::default() });
        let mut browser = app.signed_in("operator", "").await;
        let (id, page) = sent(&mut browser).await;
        assert!(!page.says("Skicka e-post i stället"), "nothing has gone wrong yet");
        app.advance(Duration::from_secs(11));
        let alert = app.alert_when(&id, |alert| alert["state"] == "done").await;
        let undelivered = alert["counts"]["undelivered"].as_i64().unwrap();
        assert!((60..180).contains(&undelivered), "about half: {alert:#}");
        let page = browser.get(&format!("/alerts/{id}")).await;
        let offered = page.after("id=\"email-instead\"").unwrap();
        assert!(offered.contains("Skicka e-post i stället till "), "{offered}");
        let action = format!("/alerts/{id}/email");
        let first = browser.submit(&page, &action, &[]).await;
        assert!(first.path == format!("/alerts/{id}") && first.says("E-post i stället, av Kim"), "{}", first.html);
        let second = browser.submit(&page, &action, &[]).await;
        assert_eq!((second.status.as_u16(), second.path), (200, first.path), "nobody is left, and nothing more is made");
        app.page_until(&mut browser, &format!("/alerts/{id}"), "skickade").await;
        let mails = app.database.texts("SELECT d.address FROM delivery d WHERE d.channel = 'email'").await;
        app.mail.journal().wait_for(mails.len()).await;
        let reached = app
            .database
            .texts("SELECT p.email FROM contact_person p JOIN message_recipient r ON r.contact_person_id = p.id JOIN delivery d ON d.id = r.delivery_id WHERE d.channel = 'sms' AND d.state = 'delivered' AND p.email IS NOT NULL")
            .await;
        assert!(!mails.is_empty() && !mails.iter().any(|address| reached.contains(address)), "only those without the SMS");
        let letter = app.mail.journal().letters().pop().unwrap();
        let mail = mail_parser::MessageParser::default().parse(&letter.message).unwrap();
        let text = mail.body_text(0).unwrap();
        assert!(text.contains("Röd skåpbil söks i Järpen") && text.contains("inte har nått din telefon"), "{text}");
        let correction = json!({ "kind": "correction", "text": "Bilen är blå" });
        assert_eq!(app.api.post(&format!("/alerts/{id}/follow-ups"), correction).await.status, 201);
        let corrected = browser.submit(&page, &action, &[]).await;
        assert_eq!(corrected.status, 409, "what was corrected is not sent any more: {}", corrected.html);
        let page = browser.get("/alerts/new").await;
        let preview = browser.submit(&page, "/alerts/preview", &filled(&["2321", "2309"], "Röd bil")).await;
        let proven = 240 - undelivered;
        assert!(preview.says(&format!("{proven} av 240 har levererat besked senaste 90 dagarna")), "{}", preview.html);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn e_mails_sent_instead_are_stopped_by_their_own_button(kind: Kind) {
        let app = TestApp::spawn_with(kind, "mail.rate_per_second = 1").await;
        app.load_sample().await;
        app.gateway.change(|behaviour| behaviour.receipts = ReceiptPlan { delivered: 0.0, failed: 1.0, ..ReceiptPlan::default() });
        let mut browser = app.signed_in("operator", "").await;
        let (id, _) = sent(&mut browser).await;
        app.advance(Duration::from_secs(11));
        app.alert_when(&id, |alert| alert["state"] == "done").await;
        let path = format!("/alerts/{id}");
        let page = browser.get(&path).await;
        assert!(!page.says("Stoppa e-posten"), "none is on its way");
        let begun = browser.submit(&page, &format!("{path}/email"), &[]).await;
        assert!(begun.says("Stoppa e-posten: "), "{}", begun.html);
        let stopped = browser.submit(&begun, &format!("{path}/email/stop"), &[]).await;
        assert_eq!(stopped.path, path, "{}", stopped.html);
        let log = app.api.get("/audit?action=alert.emails_stopped").await;
        assert_eq!(log.json["items"].as_array().unwrap().len(), 1, "{}", log.text);
        app.database.until_none("SELECT state FROM delivery WHERE channel = 'email' AND state IN ('queued', 'sending')").await;
        assert!(!browser.get(&path).await.says("Stoppa e-posten"));
        let left = app.database.texts("SELECT state FROM delivery WHERE channel = 'email' AND state = 'stopped'").await;
        assert!(left.len() > 100, "{}", left.len());
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn what_is_written_is_kept_and_gone_on_with_after_a_change_of_shift(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut kim = app.signed_in("operator", "").await;
        let page = kim.get("/alerts/new").await;
        let empty = kim.submit(&page, "/alerts/draft", &[("validity", "240"), ("draft", "")]).await;
        assert!(empty.status == 200 && !empty.says("sparades"), "nothing to keep: {}", empty.html);
        let fields = filled(&["2321"], "Röd skåpbil söks");
        let saved = kim.submit(&page, "/alerts/draft", &fields).await;
        assert!(saved.says("Utkastet sparades kl. 02:31:"), "{}", saved.html);
        let (id, revision) = draft_of(&saved);
        let mut eva = app.signed_in("operator", "").await;
        let start = eva.get("/").await;
        assert!(start.says("Påbörjade sms-utskick") && start.says("Röd skåpbil söks"), "{}", start.html);
        let hers = eva.get(&format!("/alerts/new?draft={id}")).await;
        assert!(hers.says("skrev i utkastet kl. 02:31") && hers.says("Röd skåpbil söks</textarea>"), "{}", hers.html);
        let (_, seen) = draft_of(&hers);
        let both = |text: &'static str, revision: &str| {
            let fields = filled(&["2321"], text);
            let owned: Vec<(String, String)> = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            [owned, vec![("draft".into(), id.clone()), ("draft_revision".into(), revision.to_owned())]].concat()
        };
        let of_eva = both("Blå bil söks", &seen);
        let kept = eva.submit(&hers, "/alerts/draft", &refs(&of_eva)).await;
        assert!(kept.says("Utkastet sparades"), "{}", kept.html);
        let late = both("Grön bil söks", &revision);
        let held = kim.submit(&page, "/alerts/draft", &refs(&late)).await;
        assert!(held.says("Det du skriver sparas inte just nu.") && held.says("Ta över"), "{}", held.html);
        assert!(kim.get(&format!("/alerts/new?draft={id}")).await.says("Blå bil söks"), "nothing was written over");
        let taking = [late.clone(), vec![("take_over".into(), "yes".into())]].concat();
        let taken = kim.submit(&page, "/alerts/draft/keep", &refs(&taking)).await;
        assert!(taken.path == format!("/alerts/new?draft={id}") && taken.says("Grön bil söks"), "{}", taken.html);

        let confirm = kim.submit(&taken, "/alerts/confirm", &refs(&late)).await;
        let hers = eva.submit(&hers, "/alerts/confirm", &refs(&late)).await;
        let sent = send(&mut kim, &confirm, "").await;
        assert!(sent.path.starts_with("/alerts/0"), "{}", sent.html);
        assert!(!kim.get("/").await.says("Påbörjade sms-utskick"), "it has become what it was for");
        let second = send(&mut eva, &hers, "").await;
        assert!(second.status == 422 && second.says("Någon annan har redan skickat"), "{}", second.html);
        assert!(second.says("Grön bil söks"), "what was written stays on the page");
        let after = kim.submit(&taken, "/alerts/draft", &refs(&late)).await;
        assert!(after.says("redan skickat eller slängt"), "{}", after.html);
        assert_eq!(kim.get(&format!("/alerts/new?draft={id}")).await.status, 404);
        let mut away = app.signed_in("operator", "2309").await;
        let page = away.get("/alerts/new").await;
        let own = away.submit(&page, "/alerts/draft/keep", &filled(&["2309"], "Ett utkast")).await;
        assert!(own.says("Ett utkast"), "{}", own.html);
        let (own, _) = draft_of(&own);
        assert_eq!(app.signed_in("operator", "2321").await.get(&format!("/alerts/new?draft={own}")).await.status, 404);
        let page = away.get(&format!("/alerts/new?draft={own}")).await;
        away.submit(&page, "/alerts/draft/discard", &[("draft", own.as_str())]).await;
        assert!(!away.get("/").await.says("Ett utkast"));
    }

    async fn the_word_that_it_is_over_goes_to_those_who_have_it_in_two_clicks(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let (id, _) = sent(&mut browser).await;
        app.advance(Duration::from_secs(11));
        app.alert_when(&id, |alert| alert["state"] == "done").await;
        let page = browser.get(&format!("/alerts/{id}/follow-up?kind=all_clear")).await;
        assert!(page.says("gäller inte längre. Tack för hjälpen.") && page.says("till 240 i Krokom och Åre"), "{}", page.html);
        let key = page.after("name=\"key\" value=\"").unwrap();
        let fields = [("kind", "all_clear"), ("text", "Tack för hjälpen."), ("decided_by", "RLC-befäl"), ("key", key.as_str())];
        let action = format!("/alerts/{id}/follow-up");
        let first = browser.submit(&page, &action, &fields).await;
        let second = browser.submit(&page, &action, &fields).await;
        assert!(first.path.starts_with("/alerts/0") && first.path == second.path, "{}", first.html);
        let page = browser.get(&format!("/alerts/{id}")).await;
        assert!(page.says("Besked: gäller inte längre") && page.says(&first.path), "{}", page.html);
    }

    async fn a_colleague_reviews_what_another_wrote(kind: Kind) {
        let app = TestApp::spawn_with(kind, "alerts.approval = \"always\"").await;
        app.load_sample().await;
        let mut author = app.signed_in("operator", "").await;
        let (id, page) = sent(&mut author).await;
        assert!(page.says("Väntar på att en kollega granskar") && !page.says("Godkänn: sms"), "{}", page.html);
        assert_eq!(author.submit(&page, &format!("/alerts/{id}/approve"), &[("revision", "1")]).await.status, 403);
        let mut colleague = app.signed_in("chief", "").await;
        let page = colleague.get(&format!("/alerts/{id}")).await;
        assert!(page.says("Godkänn: sms till 240 i Krokom och Åre"), "{}", page.html);
        let fields = [("revision", "1"), ("reason", "Skriv var")];
        let page = colleague.submit(&page, &format!("/alerts/{id}/return"), &fields).await;
        assert!(page.says("skickade tillbaka det: Skriv var"), "{}", page.html);
        let page = author.get(&format!("/alerts/new?revise={id}")).await;
        assert!(page.says("Röd skåpbil söks i Järpen</textarea>") && page.says(&format!("name=\"revises\" value=\"{id}\"")), "{}", page.html);
        let mut fields = filled(&["2321", "2309"], "Röd skåpbil söks i Järpen, mot Åre");
        fields.push(("revises", &id));
        let page = author.submit(&page, "/alerts/confirm", &fields).await;
        let page = send(&mut author, &page, "").await;
        assert_eq!(page.path, format!("/alerts/{id}"), "{}", page.html);
        let page = author.submit(&page, &format!("/alerts/{id}/send-unreviewed"), &[("reason", "")]).await;
        assert!(page.status == 422 && page.says("Ange varför granskningen inte kan vänta"), "{}", page.html);
        let page = colleague.get(&format!("/alerts/{id}")).await;
        let page = colleague.submit(&page, &format!("/alerts/{id}/approve"), &[("revision", "2")]).await;
        assert!(page.says("Går i väg om"), "{}", page.html);
    }

    async fn considering_and_not_sending_stands_in_the_ledger_after_two_clicks(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        let page = browser.submit(&page, "/alerts/considered", &[("reason", "För osäkert")]).await;
        assert!(page.status == 422 && page.says("Ange vem som har beslutat"), "{}", page.html);
        let fields = [("reason", "För osäkert"), ("decided_by", "Vakthavande befäl"), ("areas", "2321")];
        let page = browser.submit(&page, "/alerts/considered", &fields).await;
        assert!(page.path == "/decisions" && page.says("För osäkert") && page.says("Inte skickat"), "{}", page.html);
    }

    async fn a_drill_looks_and_reads_differently_and_reaches_no_contact_person(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new?drill=yes").await;
        assert!(page.says("top--drill") && page.says("Ny övning") && !page.says("id=\"area-2321\""), "{}", page.html);
        let mut fields = filled(&["2321"], "Inbrott");
        fields.push(("drill", "yes"));
        let page = browser.submit(&page, "/alerts/confirm", &fields).await;
        assert!(page.status == 422 && page.says("En övning går bara till övningsgrupper"), "{}", page.html);
        let mut admin = app.signed_in("admin", "").await;
        let page = admin.get("/alerts/new?drill=yes").await;
        let page = admin.submit(&page, "/alerts/confirm", &fields).await;
        assert!(page.says("ÖVNING. Polisen") && page.says("Skicka övning till 108 i Åre"), "{}", page.html);
    }

    async fn pages_hear_of_changes_by_their_session_and_strangers_hear_nothing(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let url = format!("{}/api/v1/events", app.api.base());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        assert_eq!(client.request(Method::GET, &url).send().await.unwrap().status(), 401);
        let mut browser = app.signed_in("operator", "").await;
        let jar = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut events = Events::of(client.request(Method::GET, &url).header("cookie", jar)).await;
        let (id, _) = sent(&mut browser).await;
        events.until_told(&[&id]).await;
    }

    async fn a_page_hears_of_every_change_also_of_those_of_one_moment(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        app.gateway.change(|gateway| gateway.receipts = ReceiptPlan::silent());
        let mut events = app.api.events().await;
        let alert = json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "Befäl", "undo_seconds": 0 });
        let id = app.api.post("/alerts", alert).await.json["id"].as_str().unwrap().to_owned();
        events.until_told(&[&id, "\"state\":\"handed_over\""]).await;
        // The clock of a story stands still: the receipts come at the very time that has been told already.
        for sms in app.gateway.journal().messages() {
            app.gateway.report(&sms.id, Fate::Delivered).await;
        }
        events.until_told(&["\"state\":\"done\""]).await;
    }
}
