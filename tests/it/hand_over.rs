//! Handing over a contact person's mission: wished for on the own page, seen in words, and done at once by whoever keeps the register.

use serde_json::{Value, json};

use crate::support::browser::{Browser, Page};
use crate::support::{Kind, TestApp, on_both_databases};

const EVA: &str = "+46701740601";
const SIV: &str = "+46701740602";

impl TestApp {
    /// Eva in Hackås with four households and Nils in Duved with three; Eva's id.
    async fn with_eva_to_leave(kind: Kind) -> (Self, String) {
        let app = Self::with_two_persons(kind, "replies.automatic = false").await;
        let id = app.named("Eva").await["id"].as_str().unwrap().to_owned();
        (app, id)
    }

    async fn named(&self, name: &str) -> Value {
        self.api.get(&format!("/contact-persons?q={name}")).await.json["items"][0].clone()
    }
}

fn siv<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("successor", "new"),
        ("name", "Siv Sund"),
        ("mobile", "070-174 06 02"),
        ("email", "siv@example.org"),
        ("households", "4"),
    ];
    for (name, value) in more {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    fields
}

/// Shows what would happen.
async fn previewed(browser: &mut Browser, id: &str, fields: &[(&str, &str)]) -> Page {
    let form = browser.get(&format!("/register/persons/{id}/hand-over")).await;
    assert_eq!(form.status, 200, "{}", form.html);
    browser.submit(&form, &format!("/register/persons/{id}/hand-over/preview"), fields).await
}

/// Presses the button of the page that shows it.
async fn done(browser: &mut Browser, id: &str, preview: &Page) -> Page {
    let (_, form) = preview.html.split_once(&format!("action=\"/register/persons/{id}/hand-over\"")).unwrap();
    let form = form.split("</form>").next().unwrap();
    let inputs = form.split("<input type=\"hidden\" name=\"").skip(1);
    let fields: Vec<(String, String)> = inputs
        .map(|input| {
            let (name, rest) = input.split_once("\" value=\"").unwrap();
            (name.to_owned(), rest.split('"').next().unwrap().to_owned())
        })
        .filter(|(name, _)| name != "form_token")
        .collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.submit(preview, &format!("/register/persons/{id}/hand-over"), &fields).await
}

on_both_databases! {
    async fn a_wish_on_the_own_page_becomes_a_successor_with_area_and_households_and_is_closed(kind: Kind) {
        let (app, eva) = TestApp::with_eva_to_leave(kind).await;
        let mut own = app.at_own_page("2326@example.org").await;
        let details = own.get("/min-sida/uppgifter").await;
        let key = details.after("name=\"form_key\" value=\"").unwrap();
        let wish = [("wish", "hand_over"), ("who", "Siv Sund 070-174 06 02"), ("form_key", key.as_str())];
        own.submit(&details, "/min-sida/ersattare", &wish).await;
        app.sms("s1", EVA, "STOP").await;
        app.database.until_none(&format!("SELECT id FROM contact_person WHERE id = '{eva}' AND alerts_opt_out_at IS NULL")).await;

        let mut admin = app.signed_in("admin", "").await;
        let wished = app.observations("", 1).await[0]["id"].as_str().unwrap().to_owned();
        let observation = admin.get(&format!("/observations/{wished}")).await;
        let link = format!("/register/persons/{eva}/hand-over");
        assert!(observation.says(&format!("href=\"{link}\"")), "{}", observation.html);
        let preview = previewed(&mut admin, &eva, &siv(&[])).await;
        for words in [
            "Lämna över från Eva Ek till Siv Sund?",
            "Siv Sund läggs till som kontaktombud i Berg, Hackås med 4 hushåll.",
            "Siv Sund får sms på 070-174 06 02 och brev på siv@example.org.",
            "Uppdraget för Eva Ek avslutas",
            "Det Eva Ek har sagt nej till följer inte med till Siv Sund.",
            "Önskemålet i inkorgen stängs.",
        ] {
            assert!(preview.says(words), "{words} {}", preview.html);
        }
        assert_eq!(app.named("Siv").await, Value::Null, "nothing has happened yet");
        assert_eq!(app.named("Eva").await["id"], json!(eva));

        let after = done(&mut admin, &eva, &preview).await;
        assert!(after.says("Uppdraget är överlämnat hit") && after.says("Siv Sund"), "{} {}", after.path, after.html);
        let again = done(&mut admin, &eva, &preview).await;
        assert_eq!((again.status.as_u16(), &again.path), (200, &after.path), "a second click shows what the first one made");
        let new = app.named("Siv").await;
        let wanted = json!({ "mobile": SIV, "email": "siv@example.org", "households": 4, "municipality": "2326", "watch_area": "Hackås", "alerts": true, "letters": true });
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(&new[field], value, "{field} {new:#}");
        }
        assert_eq!(new["opt_outs"], json!([]), "{new:#}");
        assert_eq!(app.named("Eva").await, Value::Null);
        assert_eq!(app.api.get(&format!("/contact-persons/{eva}")).await.status, 404);
        let closed = app.api.get(&format!("/observations/{wished}")).await.json;
        assert_eq!(closed["state"], "acted", "{closed:#}");
        assert!(!own.get("/min-sida/uppgifter").await.says("Hushåll och utskick"), "her way in has ended");
        let logged = app.api.get("/audit?action=contact_person.handed_over").await;
        assert_eq!(logged.json["items"][0]["detail"]["successor"], new["id"], "{}", logged.text);
        assert!(!logged.text.contains("Siv Sund"), "no name stands in the log");
        let audience = app.api.post("/audiences", json!({ "areas": ["2326"], "channel": "sms" })).await.json;
        assert_eq!((&audience["by_sms"], &audience["households"]), (&json!(1), &json!(4)), "{audience:#}");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn a_number_that_has_said_no_itself_stays_so(kind: Kind) {
        let (app, eva) = TestApp::with_eva_to_leave(kind).await;
        app.sms("s1", SIV, "STOP").await;
        app.database.until_none("SELECT digest FROM inbound_sms WHERE read_at IS NULL").await;
        app.database.until_none("SELECT 'none' WHERE NOT EXISTS (SELECT 1 FROM suppression)").await;
        let mut chief = app.signed_in("chief", "2326").await;
        let preview = previewed(&mut chief, &eva, &siv(&[])).await;
        assert!(preview.says("Siv Sund har sagt nej till sms. Det gäller även efteråt."), "{}", preview.html);
        done(&mut chief, &eva, &preview).await;
        let new = app.named("Siv").await;
        assert_eq!((&new["opt_outs"][0]["channel"], &new["opt_outs"][0]["source"]), (&json!("sms"), &json!("suppression")), "{new:#}");
        let audience = app.api.post("/audiences", json!({ "areas": ["2326"], "channel": "sms" })).await.json;
        assert_eq!(audience["by_sms"], 0, "{audience:#}");
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn somebody_of_the_same_area_takes_the_households_and_is_nobodys_deputy_by_it(kind: Kind) {
        let (app, eva) = TestApp::with_eva_to_leave(kind).await;
        let neighbour = json!({ "name": "Siv Sund", "mobile": SIV, "email": "siv@example.org", "municipality": "2326", "watch_area": "Hackås", "households": 3, "note": "Har nyckel" });
        assert_eq!(app.api.post("/contact-persons", neighbour).await.status, 201);
        let nils = app.named("Nils").await["id"].as_str().unwrap().to_owned();
        let mut chief = app.signed_in("chief", "").await;
        let page = chief.get(&format!("/register/persons/{nils}")).await;
        chief.submit(&page, &format!("/register/persons/{nils}/deputy"), &[("deputy", EVA)]).await;
        let page = chief.get(&format!("/register/persons/{eva}")).await;
        chief.submit(&page, &format!("/register/persons/{eva}/deputy"), &[("deputy", SIV)]).await;

        let preview = previewed(&mut chief, &eva, &[("successor", "existing"), ("existing", "070-174 06 02")]).await;
        for words in ["Siv Sund tar över 4 hushåll i Berg, Hackås och har sedan 7.", "Nils Nord får ingen ersättare: det var Eva Ek."] {
            assert!(preview.says(words), "{words} {}", preview.html);
        }
        let change = [("change", "yes"), ("successor", "existing"), ("existing", "070-174 06 02")];
        let back = chief.submit(&preview, &format!("/register/persons/{eva}/hand-over/preview"), &change).await;
        assert!(back.status == 200 && back.says("value=\"070-174 06 02\""), "nothing typed is lost: {}", back.html);
        done(&mut chief, &eva, &preview).await;
        let new = app.named("Siv").await;
        assert_eq!((&new["households"], &new["note"]), (&json!(7), &json!("Har nyckel")), "{new:#}");
        assert!(chief.get(&format!("/register/persons/{nils}")).await.says("Ingen ersättare."));
        assert_eq!(app.database.texts("SELECT deputy_id FROM contact_person WHERE deputy_id IS NOT NULL").await, [""; 0]);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }

    async fn who_cannot_take_over_is_said_at_the_field_and_nothing_changes(kind: Kind) {
        let (app, eva) = TestApp::with_eva_to_leave(kind).await;
        let mut chief = app.signed_in("chief", "").await;
        let existing = |typed: &'static str| vec![("successor", "existing"), ("existing", typed)];
        let wrong = [
            (siv(&[("name", " ")]), "name"),
            (siv(&[("mobile", "070-17")]), "mobile"),
            (siv(&[("email", "siv")]), "email"),
            (siv(&[("households", "många")]), "households"),
            (existing(""), "existing"),
            (existing("070-174 06 77"), "existing"),
            // Nils stands in another area, and Eva cannot take over from herself.
            (existing("+46701740609"), "existing"),
            (existing(EVA), "existing"),
        ];
        for (fields, field) in wrong {
            let refused = previewed(&mut chief, &eva, &fields).await;
            assert_eq!(refused.status, 422, "{fields:?} {}", refused.html);
            assert!(refused.title().starts_with("Fel: ") && refused.says(&format!("href=\"#{field}\"")), "{fields:?} {}", refused.html);
        }
        // Shown, and gone wrong since: the act says it like the preview.
        let preview = previewed(&mut chief, &eva, &siv(&[])).await;
        let key = preview.after("name=\"key\" value=\"").unwrap();
        let late = siv(&[("mobile", "070-17"), ("key", &key)]);
        let refused = chief.submit(&preview, &format!("/register/persons/{eva}/hand-over"), &late).await;
        assert!(refused.status == 422 && refused.says("href=\"#mobile\""), "{}", refused.html);
        assert_eq!(app.named("Eva").await["households"], 4);
        let mut elsewhere = app.signed_in("chief", "2321").await;
        assert_eq!(elsewhere.get(&format!("/register/persons/{eva}/hand-over")).await.status, 404);
        assert_eq!(app.database.texts("SELECT id FROM audit WHERE action = 'contact_person.handed_over'").await, [""; 0]);
        assert_eq!(app.verify().await, Vec::<String>::new());
    }
}
