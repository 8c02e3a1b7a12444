//! Stories of letters through the pages: written, previewed, tested, timed, reviewed, sent, followed, undone, printed, all
//! without scripts.

use std::time::Duration;

use crate::support::browser::{Browser, Page};
use crate::support::{TestApp, on_both_databases};
use grannpost::actions::letter_reminder;
use grannpost::simulator::AfterDot;
use serde_json::{Value, json};

const BODY: &str = "Vi har *inte* glömt dig.\n\n## Läget\n\n- lås\n- ring 112";

/// What an area chief fills in.
fn filled<'a>(areas: &[&'a str], subject: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut fields: Vec<(&str, &str)> = areas.iter().map(|area| ("areas", *area)).collect();
    fields.extend([
        ("subject", subject),
        ("body_markdown", BODY),
        ("registry_number", "A378.812/2016"),
        ("subject_code", "742"),
        ("signature_name", "Anna Hedin"),
        ("signature_title", "Tf områdeschef"),
        ("copy_recipients", "Krokoms kommun <kommun@example.org>"),
    ]);
    fields
}

/// The hidden fields of the form with this action, but for the token, as the browser would send them back.
fn hidden(page: &Page, action: &str) -> Vec<(String, String)> {
    let mark = format!("action=\"{action}\"");
    let (_, form) = page.html.split_once(&mark).unwrap_or_else(|| panic!("no form for {action}: {}", page.html));
    let form = form.split("</form>").next().unwrap();
    let inputs = form.split("<input type=\"hidden\" name=\"").skip(1);
    let pairs = inputs.map(|input| {
        let (name, rest) = input.split_once("\" value=\"").unwrap();
        (name.to_owned(), rest.split('"').next().unwrap().to_owned())
    });
    pairs.filter(|(name, _)| name != "form_token").collect()
}

/// Presses the button of the form with this action, with more fields filled in.
async fn press(browser: &mut Browser, page: &Page, action: &str, more: &[(&str, &str)]) -> Page {
    let hidden = hidden(page, action);
    let fields = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<(&str, &str)> = fields.chain(more.iter().copied()).collect();
    browser.submit(page, action, &fields).await
}

/// A draft that an area chief has saved, and its page.
async fn written(browser: &mut Browser, areas: &[&str]) -> (String, Page) {
    let page = browser.get("/letters/new").await;
    let page = press(browser, &page, "/letters/new", &filled(areas, "Höstens inbrott")).await;
    let id = page.path.strip_prefix("/letters/").unwrap_or_else(|| panic!("{}", page.html)).to_owned();
    (id, page)
}

/// A letter that an area chief has sent, and its page.
async fn sent(browser: &mut Browser, areas: &[&str]) -> (String, Page) {
    let (id, _) = written(browser, areas).await;
    let page = browser.get(&format!("/letters/{id}/confirm")).await;
    let page = press(browser, &page, &format!("/letters/{id}/send"), &[]).await;
    assert_eq!(page.path, format!("/letters/{id}"), "{}", page.html);
    (id, page)
}

impl TestApp {
    async fn letter(&self, id: &str) -> Value {
        self.api.get(&format!("/letters/{id}")).await.json
    }

    async fn paged_letter_when(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.letter(id).await;
            if done(&last) {
                return last;
            }
            self.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        panic!("the letter never came there: {last:#}");
    }
}

on_both_databases! {
    async fn an_area_chief_sends_a_letter_to_the_whole_area_without_scripts(kind: Kind) {
        let app = TestApp::spawn_with(kind, "mail.concurrency = 20").await;
        app.load_sample().await;
        let mut browser = app.signed_in("chief", "").await;
        let list = browser.get("/letters").await;
        assert!(list.says("aria-current=\"page\">Brev") && list.says("Inget brev har skickats än"), "{}", list.html);
        let page = browser.get("/letters/new").await;
        assert!(page.says("id=\"area-jamtland\"") && page.says("1\u{202f}100 kontaktombud"), "{}", page.html);
        let (id, page) = written(&mut browser, &["jamtland"]).await;
        for words in [">944<", ">128<", ">28<", "hela Jämtland", "A378.812/2016", "Anna Hedin, Tf områdeschef", "kommun@example.org", "sandbox></iframe>", "- ring 112"] {
            assert!(page.says(words), "{words} {}", page.html);
        }
        let mail = browser.get(&format!("/letters/{id}/mail")).await;
        assert!(mail.says("Höstens inbrott") && mail.says("<em>inte</em>"), "{}", mail.html);
        let policy = mail.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");
        let page = browser.get(&format!("/letters/{id}/confirm")).await;
        assert!(page.says("Skicka till 944 e-postadresser och skapa 128 utskrifter"), "{}", page.html);
        let page = press(&mut browser, &page, &format!("/letters/{id}/send"), &[]).await;
        assert!(page.says("Går i väg om") && page.says("Ångra: skicka inte till"), "{}", page.html);
        assert_eq!(app.mail.journal().len(), 0, "nothing has left");
        app.advance(Duration::from_secs(61));
        app.mail.journal().wait_for(945).await;
        app.paged_letter_when(&id, |letter| letter["counts"]["accepted"] == 945).await;
        let page = browser.get(&format!("/letters/{id}/live")).await;
        assert!(page.says("E-posten är skickad, 128 utskrifter kvar") && page.says("Skriv inte ut: 128 får inget brev") && !page.says("Stoppa utskicket") && page.says(">945<"), "{}", page.html);
        for path in ["/", "/letters"] {
            let page = browser.get(path).await;
            assert!(page.says("Utskrifter kvar") && page.says("Höstens inbrott"), "{path} {}", page.html);
        }
        let page = browser.get(&format!("/letters/{id}/paper")).await;
        assert!(page.says("Öppna 128 brev för utskrift"), "{}", page.html);
        let sheets = browser.get(&format!("/letters/{id}/print")).await;
        assert_eq!(sheets.html.matches("<address>").count(), 128);
        let page = browser.submit(&page, &format!("/letters/{id}/printed"), &[]).await;
        assert!(page.says("128 brev är utskrivna och postade"), "{}", page.html);
        let list = browser.get("/letters").await;
        assert!(list.says("Skickat") && list.says("944 e-post, 128 papper") && list.says("Brev i dag"), "{}", list.html);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn everything_wrong_is_said_at_once_and_nothing_typed_is_lost(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("chief", "").await;
        let page = browser.get("/letters/new").await;
        let fields = [("subject", ""), ("body_markdown", "Hej på er"), ("dated", "i går"), ("signature_title", "Chef"), ("signature_name", ""), ("copy_recipients", "Krokoms kommun\nk@example.org")];
        let page = press(&mut browser, &page, "/letters/new", &fields).await;
        assert_eq!(page.status, 422, "{}", page.html);
        assert!(page.title().starts_with("Fel: "), "{}", page.title());
        for words in ["Ange en rubrik", "Välj minst ett område", "Ange diarienummer, eller kryssa i", "Skriv datumet som", "Ange vem som skriver under", "mottagare 1:", "mottagare 2:", "href=\"#registry_number\"", "Hej på er</textarea>", "value=\"i går\"", "Krokoms kommun\nk@example.org</textarea>"] {
            assert!(page.says(words), "{words} {}", page.html);
        }
        assert!(!page.says("no_registry_number)") && !page.says("/api/v1"), "{}", page.html);
        assert_eq!(app.api.get("/letters").await.json["items"], json!([]));
    }

    async fn a_second_press_makes_and_sends_nothing_more(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("chief", "").await;
        let page = browser.get("/letters/new").await;
        let fields = filled(&["2326"], "Höstens inbrott");
        let first = press(&mut browser, &page, "/letters/new", &fields).await;
        let second = press(&mut browser, &page, "/letters/new", &fields).await;
        assert_eq!(first.path, second.path, "{}", second.html);
        let asked = browser.get(&format!("{}/confirm", first.path)).await;
        let action = format!("{}/send", first.path);
        let once = press(&mut browser, &asked, &action, &[]).await;
        let twice = press(&mut browser, &asked, &action, &[]).await;
        assert!(once.path == twice.path && twice.status == 200, "{}", twice.html);
        assert_eq!(app.api.get("/letters").await.json["items"].as_array().unwrap().len(), 1);
    }

    async fn two_people_on_one_draft_see_each_other_and_one_takes_over(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut first = app.signed_in("chief", "").await;
        let mut second = app.signed_in("admin", "").await;
        let (id, _) = written(&mut first, &["2326"]).await;
        let action = format!("/letters/{id}/edit");
        let (ones, others) = (first.get(&action).await, second.get(&action).await);
        let saved = press(&mut second, &others, &action, &filled(&["2326"], "Administratörens rubrik")).await;
        assert_eq!(saved.path, format!("/letters/{id}"), "{}", saved.html);
        let met = press(&mut first, &ones, &action, &filled(&["2326"], "Chefens rubrik")).await;
        assert_eq!(met.status, 409);
        assert!(met.says("Kim admin har sparat en ändring") && met.says("Ta över") && met.says("value=\"Chefens rubrik\""), "{}", met.html);
        assert_eq!(app.letter(&id).await["subject"], "Administratörens rubrik");
        press(&mut first, &met, &action, &filled(&["2326"], "Chefens rubrik")).await;
        assert_eq!(app.letter(&id).await["subject"], "Chefens rubrik");
    }

    async fn what_was_read_is_what_is_sent(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("chief", "").await;
        let (id, _) = written(&mut browser, &["2326"]).await;
        let asked = browser.get(&format!("/letters/{id}/confirm")).await;
        let action = format!("/letters/{id}/send");
        app.api.patch(&format!("/letters/{id}"), json!({ "subject": "Något annat" })).await;
        let page = press(&mut browser, &asked, &action, &[]).await;
        assert!(page.status == 409 && page.says("Brevet har ändrats sedan du öppnade det") && page.says("Något annat"), "{}", page.html);
        let reader = json!({ "name": "Ny Ek", "email": "ny.ek@example.org", "municipality": "2326", "watch_area": "Hackås", "households": 1 });
        assert_eq!(app.api.post("/contact-persons", reader).await.status, 201);
        let page = press(&mut browser, &page, &action, &[]).await;
        assert!(page.status == 409 && page.says("Kontrollera områdena och skicka igen"), "{}", page.html);
        assert_eq!(app.letter(&id).await["state"], "draft");
        let page = press(&mut browser, &page, &action, &[]).await;
        assert!(page.says("Går i väg om"), "{}", page.html);
    }

    async fn a_test_goes_to_oneself_and_the_page_says_how_it_went(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("chief", "").await;
        let (id, page) = written(&mut browser, &["2326"]).await;
        let page = press(&mut browser, &page, &format!("/letters/{id}/test"), &[]).await;
        assert!(page.path.contains("?test=") && page.says("Provet är"), "{} {}", page.path, page.html);
        app.mail.journal().wait_for(1).await;
        assert!(app.mail.journal().letters()[0].to.starts_with("kim-chief-"));
        assert_eq!(app.letter(&id).await["state"], "draft");
        let other = app.signed_in("admin", "").await.get(&page.path).await;
        assert!(!other.says("Provet är"), "another's test is not told");
    }

    async fn a_letter_is_timed_and_goes_then(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("chief", "").await;
        let (id, page) = written(&mut browser, &["2326"]).await;
        let action = format!("/letters/{id}/schedule");
        let wrong = press(&mut browser, &page, &action, &[("day", "2026-11-19"), ("time", "09:00")]).await;
        assert!(wrong.status == 422 && wrong.says("Välj en tid framåt") && wrong.says("value=\"2026-11-19\""), "{}", wrong.html);
        let wrong = press(&mut browser, &page, &action, &[("day", ""), ("time", "nio")]).await;
        assert!(wrong.status == 422 && wrong.says("Välj dag"), "{}", wrong.html);
        let page = press(&mut browser, &wrong, &action, &[("day", "2026-11-24"), ("time", "09:00")]).await;
        assert!(page.path.ends_with("/confirm") && page.says("24 nov kl. 09.00"), "{} {}", page.path, page.html);
        let page = press(&mut browser, &page, &format!("/letters/{id}/send"), &[]).await;
        assert!(page.says("Tidsinställt till 24 nov kl. 09.00") && page.says("Dra tillbaka"), "{}", page.html);
        assert_eq!(app.letter(&id).await["sends_at"], "2026-11-24T08:00:00Z");
        let list = browser.get("/letters").await;
        assert!(list.says("Tidsinställt") && list.says("Nästa går 24 nov kl. 09.00"), "{}", list.html);
        app.advance(Duration::from_secs(4 * 24 * 3600 + 8 * 3600));
        app.paged_letter_when(&id, |letter| letter["counts"]["accepted"].as_i64() > Some(0)).await;
    }

    async fn a_letter_is_undone_before_anything_has_left_and_copied(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("chief", "").await;
        let (id, page) = sent(&mut browser, &["2326"]).await;
        let page = browser.submit(&page, &format!("/letters/{id}/stop"), &[]).await;
        assert!(page.says("stoppades. 0 var redan skickade"), "{}", page.html);
        app.advance(Duration::from_secs(120));
        app.desk.wakeup.wait(Duration::from_millis(300)).await;
        assert_eq!(app.mail.journal().len(), 0);
        let copy = browser.get(&format!("/letters/new?from={id}")).await;
        assert!(copy.says("value=\"Höstens inbrott\"") && copy.says("Anna Hedin") && !copy.says("A378.812/2016\""), "{}", copy.html);
        let copy = browser.get("/letters/new?from=last").await;
        assert!(copy.says("value=\"Höstens inbrott\""), "{}", copy.html);
    }

    async fn a_colleague_approves_and_sends_what_another_wrote(kind: Kind) {
        let app = TestApp::spawn_with(kind, "letters.approval = { above = 5 }").await;
        app.load_sample().await;
        let mut author = app.signed_in("chief", "").await;
        let (id, _) = written(&mut author, &["2326"]).await;
        let page = author.get(&format!("/letters/{id}/confirm")).await;
        assert!(page.says("Lämna till granskning"), "{}", page.html);
        let page = press(&mut author, &page, &format!("/letters/{id}/send"), &[]).await;
        assert!(page.says("Granskas av kollega") && page.says("kan inte godkänna det") && !page.says("id=\"approve\""), "{}", page.html);
        let fields = [("revision", "1"), ("key", "own")];
        assert_eq!(author.submit(&page, &format!("/letters/{id}/approve"), &fields).await.status, 403);
        assert_eq!(app.letter(&id).await["state"], "awaiting_approval");
        let mut colleague = app.signed_in("admin", "").await;
        let page = colleague.get(&format!("/letters/{id}")).await;
        let page = press(&mut colleague, &page, &format!("/letters/{id}/return"), &[("reason", "Skriv var")]).await;
        assert!(page.says("skickade tillbaka det: Skriv var"), "{}", page.html);
        let action = format!("/letters/{id}/edit");
        let page = author.get(&action).await;
        press(&mut author, &page, &action, &filled(&["2326"], "Höstens inbrott i Berg")).await;
        let page = author.get(&format!("/letters/{id}/confirm")).await;
        press(&mut author, &page, &format!("/letters/{id}/send"), &[]).await;
        let page = colleague.get(&format!("/letters/{id}")).await;
        let page = press(&mut colleague, &page, &format!("/letters/{id}/approve"), &[]).await;
        assert!(page.says("Går i väg om") && page.says("Godkänt av Kim admin"), "{}", page.html);
        app.advance(Duration::from_secs(61));
        app.paged_letter_when(&id, |letter| letter["counts"]["accepted"].as_i64() > Some(0)).await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_large_letter_is_approved_and_sent_like_any_other(kind: Kind) {
        let app = TestApp::spawn_with(kind, "letters.approval = \"always\"\ndatabase.rows_at_once = 50").await;
        app.load_sample().await;
        let mut author = app.signed_in("chief", "").await;
        let (id, page) = sent(&mut author, &["2321"]).await;
        assert!(page.says("Granskas av kollega"), "{}", page.html);
        let mut colleague = app.signed_in("admin", "").await;
        let read = colleague.get(&format!("/letters/{id}")).await;
        let action = format!("/letters/{id}/approve");
        let page = press(&mut colleague, &read, &action, &[]).await;
        assert!(page.says("Går i väg om") && page.says("Godkänt av Kim admin"), "{}", page.html);
        let again = press(&mut colleague, &read, &action, &[]).await;
        assert_eq!((again.status.as_u16(), again.path), (200, page.path));
        app.advance(Duration::from_secs(61));
        app.paged_letter_when(&id, |letter| letter["counts"]["accepted"] == 100).await;
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_change_takes_a_letter_back_from_review_and_an_old_approval_is_void(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut author = app.signed_in("chief", "").await;
        let (id, page) = written(&mut author, &["2326"]).await;
        press(&mut author, &page, &format!("/letters/{id}/request-approval"), &[]).await;
        let mut colleague = app.signed_in("chief", "").await;
        let read = colleague.get(&format!("/letters/{id}")).await;
        let action = format!("/letters/{id}/edit");
        let page = author.get(&action).await;
        assert!(page.says("Brevet väntar på granskning"), "{}", page.html);
        let page = press(&mut author, &page, &action, &filled(&["2326"], "En annan rubrik")).await;
        assert!(page.says(">Utkast<"), "{}", page.html);
        press(&mut author, &page, &format!("/letters/{id}/request-approval"), &[]).await;
        let page = press(&mut colleague, &read, &format!("/letters/{id}/approve"), &[]).await;
        assert!(page.status == 422 && page.says("Brevet har ändrats sedan du öppnade det"), "{}", page.html);
        assert_eq!(app.letter(&id).await["state"], "awaiting_approval");
    }

    async fn what_cannot_wait_goes_without_review_and_the_administrators_are_told(kind: Kind) {
        let app = TestApp::spawn_with(kind, "letters.approval = \"always\"").await;
        app.load_sample().await;
        app.invite("Ada Min", "admin", "").await;
        let mut author = app.signed_in("chief", "").await;
        let (id, _) = sent(&mut author, &["2326"]).await;
        let page = author.get(&format!("/letters/{id}")).await;
        let action = format!("/letters/{id}/send-unreviewed");
        let refused = press(&mut author, &page, &action, &[("reason", " ")]).await;
        assert!(refused.status == 422 && refused.says("Ange varför granskningen inte kan vänta"), "{}", refused.html);
        let page = press(&mut author, &refused, &action, &[("reason", "Pågående inbrottsvåg")]).await;
        assert!(page.says("Skickat utan granskning av Kim chief: Pågående inbrottsvåg"), "{}", page.html);
        app.mail.journal().wait_for(1).await;
        assert_eq!(app.mail.journal().letters()[0].to, "ada.min@example.org");
    }

    async fn an_area_chief_sees_and_chooses_their_own_areas_only(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut of_all = app.signed_in("chief", "").await;
        let (elsewhere, _) = written(&mut of_all, &["2380"]).await;
        let mut browser = app.signed_in("chief", "2326").await;
        let page = browser.get("/letters/new").await;
        assert!(page.says("id=\"area-2326\"") && !page.says("id=\"area-2380\"") && !page.says("id=\"area-jamtland\""), "{}", page.html);
        let page = press(&mut browser, &page, "/letters/new", &filled(&["2380"], "Höstens inbrott")).await;
        assert_eq!(page.status, 403, "{}", page.html);
        assert!(page.says("glömt dig"), "what was typed stands there: {}", page.html);
        let list = browser.get("/letters").await;
        assert!(!list.says(&elsewhere) && list.says("Berg") && !list.says("Östersund"), "{}", list.html);
        for path in ["", "/edit", "/confirm", "/mail", "/text", "/paper", "/print", "/live"] {
            assert_eq!(browser.get(&format!("/letters/{elsewhere}{path}")).await.status, 404, "{path}");
        }
        let fields = [("revision", "1"), ("key", "k"), ("reason", "x"), ("as", "resend"), ("day", "2026-12-01"), ("time", "09:00")];
        for act in ["test", "schedule", "send", "stop", "in-doubt", "request-approval", "approve", "return", "send-unreviewed", "printed"] {
            let answer = browser.submit(&list, &format!("/letters/{elsewhere}/{act}"), &fields).await;
            assert_eq!(answer.status, 404, "{act} {}", answer.html);
        }
        assert_eq!(app.letter(&elsewhere).await["state"], "draft");
    }

    async fn whoever_signs_in_sees_first_what_waits_for_them(kind: Kind) {
        let app = TestApp::spawn_with(kind, "letters.approval = \"always\"\nalerts.approval = \"always\"").await;
        app.load_sample().await;
        let mut author = app.signed_in("chief", "").await;
        let mut colleague = app.signed_in("chief", "").await;
        let (draft, _) = written(&mut author, &["2326"]).await;
        let (handed_in, _) = sent(&mut author, &["2326"]).await;
        let made = app.api.post("/alerts", json!({ "text": "Röd skåpbil söks", "areas": ["2326"], "decided_by": "RLC-befäl" })).await;
        let alert = made.json["id"].as_str().unwrap().to_owned();
        let waits = "Väntar på att du granskar";
        let page = author.get("/").await;
        let (own, theirs) = (format!("href=\"/letters/{draft}\""), format!("href=\"/letters/{handed_in}\""));
        assert!(page.says("Dina utkast") && page.says(&own) && !page.says(&theirs), "{}", page.html);
        assert!(page.says(waits) && page.says(&format!("href=\"/alerts/{alert}\"")), "{}", page.html);
        let page = colleague.get("/").await;
        assert!(page.says(waits) && page.says(&theirs) && !page.says(&own) && !page.says("Dina utkast"), "{}", page.html);
        let page = app.signed_in("operator", "").await.get("/").await;
        assert!(page.says(waits) && !page.says("/letters"), "{}", page.html);
        let page = app.signed_in("chief", "2380").await.get("/").await;
        assert!(!page.says(waits) && !page.says(&theirs) && page.says("Östersund") && !page.says("<span class=\"strong\">Berg"), "{}", page.html);
        let page = app.signed_in("officer", "").await.get("/").await;
        assert!(!page.says("Pågår nu") && !page.says("Höstens inbrott"), "{}", page.html);
    }

    async fn what_is_in_doubt_is_decided_by_a_person(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let reader = json!({ "name": "Eva Ek", "email": "eva.ek@example.org", "municipality": "2326", "watch_area": "Hackås", "households": 4 });
        assert_eq!(app.api.post("/contact-persons", reader).await.status, 201);
        app.mail.change(|behaviour| behaviour.after_dot = AfterDot::Reset);
        let mut browser = app.signed_in("chief", "").await;
        let page = browser.get("/letters/new").await;
        let fields = [("areas", "2326"), ("subject", "Läget"), ("body_markdown", "Lås."), ("no_registry_number", "yes")];
        let page = press(&mut browser, &page, "/letters/new", &fields).await;
        let letter = page.path.clone();
        let page = browser.get(&format!("{letter}/confirm")).await;
        assert!(page.says("Skicka till 1 e-postadress</button>") && page.says("Inget diarienummer"), "{}", page.html);
        press(&mut browser, &page, &format!("{letter}/send"), &[]).await;
        app.advance(Duration::from_secs(61));
        let id = letter.strip_prefix("/letters/").unwrap();
        app.paged_letter_when(id, |letter| letter["counts"]["in_doubt"] == 1).await;
        let page = browser.get(&letter).await;
        assert!(page.says("<h2>Osäkra: 1</h2>") && page.says("Skicka inte igen till 1"), "{}", page.html);
        let page = browser.submit(&page, &format!("{letter}/in-doubt"), &[("as", "give_up")]).await;
        assert!(page.says("Osäkert, inte skickat igen") && !page.says("<h2>Osäkra"), "{}", page.html);
    }

    async fn a_form_from_elsewhere_does_nothing(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("chief", "").await;
        let (id, page) = written(&mut browser, &["2326"]).await;
        let token = page.form_token();
        for (token, site) in [("", "same-origin"), ("wrong", "same-origin"), (token.as_str(), "cross-site")] {
            let fields = [("form_token", token), ("key", "k"), ("revision", "1")];
            let answer = browser.post_raw(&format!("/letters/{id}/send"), &fields, &[("sec-fetch-site", site)]).await;
            assert_eq!(answer.status, 403, "{site} {}", answer.html);
        }
        assert_eq!(app.letter(&id).await["state"], "draft");
    }

    async fn hostile_strings_lie_still_in_a_letter(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
        let mut browser = app.signed_in("chief", "").await;
        let mut fields: Vec<(&str, &str)> = filled(&["2326"], hostile);
        for (name, value) in &mut fields {
            if !matches!(*name, "areas" | "copy_recipients") {
                *value = hostile;
            }
        }
        let page = browser.get("/letters/new").await;
        let page = press(&mut browser, &page, "/letters/new", &fields).await;
        let id = page.path.strip_prefix("/letters/").unwrap().to_owned();
        for path in ["", "/edit", "/confirm", "/live", "/paper", "/mail"] {
            let page = browser.get(&format!("/letters/{id}{path}")).await;
            assert_eq!(page.status, 200, "{path}");
            assert!(!page.says("<script>alert") && !page.says("<img src=x"), "{path} {}", page.html);
        }
        let text = browser.get(&format!("/letters/{id}/text")).await;
        assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(text.headers["x-content-type-options"], "nosniff");
    }

    async fn our_goal_is_near_and_then_missed(kind: Kind) {
        let app = TestApp::spawn_with(kind, "letters.goal_every_days = 30").await;
        app.load_sample().await;
        let mut browser = app.signed_in("chief", "2326").await;
        let (id, _) = sent(&mut browser, &["2326"]).await;
        app.advance(Duration::from_secs(61));
        app.paged_letter_when(&id, |letter| letter["state"] != "queued").await;
        for (days, words, standing) in [(0, "Brev i dag", "I tid, 30 dagar kvar"), (23, "23 dagar sedan senaste brevet", "Snart dags: 7 dagar kvar"), (11, "34 dagar sedan senaste brevet", "Brevet är 4 dagar försenat")] {
            app.advance(Duration::from_secs(days * 24 * 3600));
            let mut browser = app.signed_in("chief", "2326").await;
            let list = browser.get("/letters").await;
            assert!(list.says(words) && list.says(standing) && list.says("Vårt mål: ett brev minst var 30:e dag"), "{}", list.html);
            let start = browser.get("/").await;
            assert!(start.says(words) && start.says(standing), "{}", start.html);
        }
    }

    async fn the_chief_in_charge_is_mailed_once_before_the_goal_is_missed(kind: Kind) {
        let app = TestApp::spawn_with(kind, "letters.goal_every_days = 30").await;
        app.load_sample().await;
        app.invite("Kim Ek", "chief", "2326").await;
        app.invite("Siv Berg", "chief", "2321").await;
        app.invite("Ada Alm", "admin", "").await;
        let mut browser = app.signed_in("chief", "2326").await;
        let (id, _) = sent(&mut browser, &["2326"]).await;
        app.advance(Duration::from_secs(61));
        app.paged_letter_when(&id, |letter| letter["counts"]["accepted"] == 58).await;
        let before = app.mail.journal().len();
        // 02.31 local time; 22 days later, with a week and a day left; the day after by day.
        app.advance(Duration::from_secs(22 * 24 * 3600 + 8 * 3600));
        assert_eq!(letter_reminder::remind(&app.desk).await.unwrap(), 0, "there is time");
        app.advance(Duration::from_secs(16 * 3600));
        assert_eq!(letter_reminder::remind(&app.desk).await.unwrap(), 0, "not at night");
        app.advance(Duration::from_secs(8 * 3600));
        let told = letter_reminder::remind(&app.desk).await.unwrap();
        assert!(told >= 1, "the chiefs of Berg, and nobody else");
        assert_eq!(letter_reminder::remind(&app.desk).await.unwrap(), 0, "once");
        app.mail.journal().wait_for(before + told).await;
        let mails = app.mail.journal().letters().split_off(before);
        let mut to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
        to.sort_unstable();
        assert!(!to.iter().any(|address| address.contains("siv") || address.contains("ada")), "{to:?}");
        let mail = mail_parser::MessageParser::default().parse(&mails[0].message).unwrap();
        let text = mail.body_text(0).unwrap();
        assert_eq!(mail.subject(), Some("Snart dags för nästa brev"));
        assert!(text.contains("Berg: 23 dagar sedan senaste brevet, 7 dagar kvar."), "{text}");
    }
}
