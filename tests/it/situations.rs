//! Stories of situations: filled in by operators, kept by administrators.

use crate::support::{TestApp, on_both_databases};

/// A form with a situation and what stands in its slots.
fn filled<'a>(situation: &'a str, slots: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("areas", "2321"),
        ("situation", situation),
        ("kind", "observation"),
        ("spread", "households"),
        ("validity", "240"),
        ("decided_by", "Vakthavande befäl"),
    ];
    fields.extend(slots.iter().map(|slot| ("slot", *slot)));
    fields
}

on_both_databases! {
    async fn a_situation_asks_for_its_slots_and_becomes_the_text_that_goes(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        assert!(page.says("Misstänkt fordon") && page.says("name=\"text\""), "{}", page.html);
        let mut fields = filled("", &[]);
        fields.extend([("text", ""), ("situation_to", "burglary")]);
        let page = browser.submit(&page, "/alerts/new", &fields).await;
        for words in ["Plats</label>", "value=\"Håll avstånd och ingrip inte.\"", "value=\"burglary\"", "Inbrott har nyss skett vid ___."] {
            assert!(page.says(words), "{words} {}", page.html);
        }
        assert!(!page.says("<textarea"), "one way to write at a time: {}", page.html);

        let empty = browser.submit(&page, "/alerts/confirm", &filled("burglary", &["", "en vit skåpbil", "Ingrip inte."])).await;
        assert_eq!(empty.status, 422);
        assert!(empty.says("href=\"#slot-0\"") && empty.says("Fyll i ”Plats”.") && empty.says("en vit skåpbil"), "{}", empty.html);

        let slots = ["Storgatan i Järpen.", "en vit skåpbil", "Ingrip inte."];
        let asked = browser.submit(&page, "/alerts/confirm", &filled("burglary", &slots)).await;
        assert_eq!(asked.status, 200, "{}", asked.html);
        let text = "Inbrott har nyss skett vid Storgatan i Järpen. Håll utkik efter en vit skåpbil. Ingrip inte.";
        assert!(asked.says(&format!("name=\"text\" value=\"{text}\"")), "{}", asked.html);
        let key = asked.after("name=\"key\" value=\"").unwrap();
        let expected = asked.after("name=\"expected\" value=\"").unwrap();
        // What was changed in the template while somebody read the page does not change what they confirmed.
        let mut session = app.desk.store.begin().await.unwrap();
        assert!(grannpost::store::situation::retire(&mut session, "burglary", 1).await.unwrap());
        session.commit().await.unwrap();
        let mut fields = filled("burglary", &slots);
        fields.extend([("text", text), ("key", &key), ("expected", &expected)]);
        let page = browser.submit(&asked, "/alerts/send", &fields).await;
        assert!(page.path.starts_with("/alerts/0"), "{}", page.html);
        assert_eq!(app.api.get("/alerts").await.json["items"][0]["text"], text);
    }

    async fn what_a_situation_became_can_be_written_on_freely(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        app.load_sample().await;
        let mut browser = app.signed_in("operator", "").await;
        let page = browser.get("/alerts/new").await;
        let mut fields = filled("burglary", &["Duved", "släp ”grått” {Plats}", "Ring."]);
        fields.push(("replace", "”"));
        let page = browser.submit(&page, "/alerts/new", &fields).await;
        assert!(page.says("value=\"släp &#34;grått&#34; {Plats}\""), "{}", page.html);
        let mut fields = filled("burglary", &["Duved", "ett släp", "Ring."]);
        fields.push(("situation_to", "free"));
        let page = browser.submit(&page, "/alerts/new", &fields).await;
        let text = "Inbrott har nyss skett vid Duved. Håll utkik efter ett släp. Ring.</textarea>";
        assert!(page.says(text) && page.says("name=\"situation\" value=\"\""), "{}", page.html);
    }

    async fn an_administrator_keeps_the_situations_and_nobody_overwrites_another(kind: Kind) {
        let app = TestApp::spawn(kind).await;
        let mut browser = app.signed_in("admin", "").await;
        let page = browser.get("/admin/situations/new").await;
        let new = |pattern| [("name", "Älg på vägen"), ("kind", "information"), ("minutes", "60"), ("pattern", pattern)];
        let refused = browser.submit(&page, "/admin/situations/new", &new("Älg vid {Plats")).await;
        assert_eq!(refused.status, 422);
        assert!(refused.says("En klammer saknar sin andra halva") && refused.says("Älg vid {Plats</textarea>"), "{}", refused.html);
        let list = browser.submit(&page, "/admin/situations/new", &new("Älg vid {Plats}.\nKör {Hur?}.")).await;
        assert!(list.path == "/admin/situations" && list.says("Älg på vägen") && list.says("Plats · Hur"), "{}", list.html);

        let id = list.html.split("/admin/situations/").find(|part| part.contains("Älg på vägen")).unwrap();
        let path = format!("/admin/situations/{}", id.split('"').next().unwrap());
        let page = browser.get(&path).await;
        let mut fields = new("Älg vid {Plats}!").to_vec();
        fields.push(("version", "1"));
        let list = browser.submit(&page, &path, &fields).await;
        assert_eq!(list.path, "/admin/situations", "{}", list.html);
        let late = browser.submit(&page, &path, &fields).await;
        assert_eq!(late.status, 409, "{}", late.html);
        assert!(late.says("ändrats eller tagits bort av någon annan"), "{}", late.html);
        let list = browser.submit(&page, &format!("{path}/retire"), &[("version", "2")]).await;
        assert!(!list.says("Älg på vägen"), "{}", list.html);
        let log = browser.get("/audit").await;
        for words in ["Mall tillagd", "Mall ändrad", "Mall tagen ur bruk"] {
            assert!(log.says(words), "{words}");
        }
    }
}
