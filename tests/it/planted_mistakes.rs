//! Fifty mistakes that a tired operator makes at night, planted one by one on the page of a new alert: each is refused with its
//! reason or said on the page that asks before anything is sent. And a few alerts without any, on which nothing is said.

use crate::support::browser::{Browser, Page};
use crate::support::{Kind, TestApp};

/// Fields that differ from those of a right alert. An empty value takes the field away.
type Changes = &'static [(&'static str, &'static str)];

/// What is right: Åre, a place in it, until six.
const RIGHT: &[(&str, &str)] = &[
    ("areas", "2321"),
    ("text", "Inbrott i Järpen. Röd skåpbil mot Åre by. Håll avstånd."),
    ("kind", "observation"),
    ("spread", "households"),
    ("validity", "240"),
    ("decided_by", "other"),
    ("decided_by_other", "RLC-befäl"),
];

/// Changes, and what the page must say.
const MISTAKES: [(Changes, &str); 50] = [
    // The text names a place, and the area is another.
    (&[("areas", "2309")], "Texten nämner Järpen, men Åre är inte valt."),
    (&[("areas", "2380")], "Texten nämner Järpen, men Åre är inte valt."),
    (&[("text", "Inbrott i Krokom. Håll avstånd.")], "men Krokom är inte valt."),
    (&[("text", "Inbrott i Föllinge. Håll avstånd.")], "men Föllinge är inte valt."),
    (&[("text", "Inbrott i Östersund. Håll avstånd.")], "men Östersund är inte valt."),
    (&[("text", "Inbrott i Brunflo. Håll avstånd.")], "men Östersund är inte valt."),
    (&[("text", "Inbrott på Frösön. Håll avstånd.")], "men Östersund är inte valt."),
    (&[("text", "Skåpbil från Strömsund mot Hammerdal.")], "men Strömsund är inte valt."),
    (&[("text", "Stöld i Ragunda. Håll avstånd.")], "men Ragunda är inte valt."),
    (&[("text", "Stöld i Hammarstrand.")], "men Hammarstrand är inte valt."),
    (&[("text", "Stöld i Bräcke.")], "men Bräcke är inte valt."),
    (&[("text", "Stöld i Hackås. Håll avstånd.")], "men Hackås är inte valt."),
    (&[("text", "Stöld i Svenstavik. Håll avstånd.")], "men Svenstavik är inte valt."),
    (&[("text", "Stöld i Sveg. Håll avstånd.")], "men Härjedalen är inte valt."),
    (&[("text", "Stöld i Funäsdalen och Järpen.")], "Texten nämner Funäsdalen, men Funäsdalen är inte valt."),
    // The wrong template, or one half filled in.
    (
        &[("situation", "burglary"), ("slot", "Järpen"), ("slot", "en försvunnen person"), ("slot", "Ring 112.")],
        "skriver om försvunnen person",
    ),
    (
        &[("situation", "burglary"), ("slot", "Järpen"), ("slot", "det misstänkta fordonet"), ("slot", "Ring 112.")],
        "skriver om misstänkt fordon",
    ),
    (
        &[
            ("situation", "vehicle"),
            ("slot", "bil efter inbrott"),
            ("slot", "Järpen"),
            ("slot", "släp"),
            ("slot", "Följ inte efter."),
        ],
        "skriver om inbrott",
    ),
    (
        &[
            ("situation", "missing"),
            ("slot", "Järpen"),
            ("slot", "se bedrägerier i området"),
            ("slot", "nu"),
            ("slot", "Sök."),
        ],
        "skriver om bedrägerier i området",
    ),
    (
        &[
            ("situation", "vandalism"),
            ("slot", "Järpen"),
            ("slot", "nu"),
            ("slot", "ett inbrott"),
            ("slot", "Ring 112."),
        ],
        "skriver om inbrott",
    ),
    (&[("situation", "burglary"), ("slot", ""), ("slot", "bil"), ("slot", "Ring 112.")], "Fyll i ”Plats”."),
    (
        &[("situation", "burglary"), ("slot", "Järpen"), ("slot", " "), ("slot", "Ring 112.")],
        "Fyll i ”Vad man ska titta efter”.",
    ),
    (
        &[("situation", "missing"), ("slot", "Järpen"), ("slot", ""), ("slot", "nu"), ("slot", "Sök.")],
        "Fyll i ”Signalement”.",
    ),
    (
        &[("situation", "vehicle"), ("slot", ""), ("slot", "Järpen"), ("slot", ""), ("slot", "Ring 112.")],
        "Fyll i ”Fordon: typ, färg, märke”.",
    ),
    (&[("text", "Inbrott vid ___. Håll avstånd.")], "en lucka som inte är ifylld"),
    (&[("text", "Inbrott vid [plats]. Håll avstånd.")], "en lucka som inte är ifylld"),
    (&[("text", "Inbrott vid XXX. Håll avstånd.")], "en lucka som inte är ifylld"),
    (
        &[("text", "Har du sett en röd skåpbil?"), ("kind", "information")],
        "ber om svar, men utskicket är bara information",
    ),
    // Times that are over, or another day's.
    (&[("validity", "time"), ("until", "01:00")], "Utskicket gäller i 22 h 29 min. Är det rätt dag?"),
    (&[("validity", "time"), ("until", "02:30")], "Är det rätt dag?"),
    (&[("validity", "06:00"), ("send_time", "07:00")], "Utskicket gäller i 23 h 0 min. Är det rätt dag?"),
    (&[("validity", "time"), ("until", "")], "Skriv sluttiden så här"),
    (&[("validity", "time"), ("until", "25:00")], "Skriv sluttiden så här"),
    (&[("validity", "0")], "Det finns ett problem"),
    (&[("validity", "-60")], "Det finns ett problem"),
    (&[("send_time", "24:30")], "Skriv tiden så här"),
    (
        &[("kind", "information"), ("text", "Stöldrisk i Järpen. Lås båten. Pågår brott: ring 112.")],
        "Det är natt och det här är bara information.",
    ),
    // A drill and the real thing.
    (&[("text", "Övning: inbrott i Järpen.")], "säger övning, men det här går ut på riktigt"),
    (&[("text", "ÖVNING ÖVNING. Inbrott i Järpen.")], "säger övning, men det här går ut på riktigt"),
    (&[("text", "Vi övar i Järpen i natt.")], "säger övning, men det här går ut på riktigt"),
    (&[("text", "Inbrott i Järpen. Detta är ingen övning.")], "Texten nämner övning."),
    (&[("drill", "yes")], "Det finns ett problem"),
    (&[("drill", "yes"), ("areas", "jamtland")], "Det finns ett problem"),
    (&[("drill", "yes"), ("areas", "")], "Välj minst ett område"),
    // Too much, too little, twice.
    (&[("areas", "jamtland")], "HELA JÄMTLAND"),
    (&[("areas", "2380")], "Skriv namnet på en kommun som får sms"),
    (&[("areas", "")], "Välj minst ett område"),
    (&[("spread", "")], "Välj om texten får spridas vidare."),
    (&[("decided_by_other", "")], "Ange vem som har beslutat"),
    (&[("text", "Sök 811218-9876 i Järpen.")], "personnummer"),
];

/// Alerts without a mistake.
const RIGHT_ONES: [Changes; 6] = [
    &[],
    &[("text", "Röd skåpbil med släp vid Undersåker. Följ inte efter.")],
    &[("areas", "2309"), ("text", "Inbrott i Föllinge. Håll avstånd.")],
    &[("situation", "burglary"), ("slot", "Storgatan i Järpen"), ("slot", "en röd skåpbil"), ("slot", "Håll avstånd.")],
    &[("validity", "06:00")],
    &[
        ("kind", "information"),
        ("send_time", "07:00"),
        ("text", "Stöldrisk i Järpen. Lås båten. Pågår brott: ring 112."),
    ],
];

fn fields(changes: Changes) -> Vec<(&'static str, &'static str)> {
    let kept = RIGHT.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let changed = changes.iter().filter(|(name, value)| *name == "slot" || !value.is_empty());
    kept.chain(changed).copied().collect()
}

async fn asked(browser: &mut Browser, changes: Changes) -> Page {
    let page = browser.get("/alerts/new").await;
    browser.submit(&page, "/alerts/confirm", &fields(changes)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_fifty_planted_mistakes_gets_through_unseen() {
    let app = TestApp::spawn_with(Kind::Sqlite, "replies.duty_number = \"+46701744000\"").await;
    app.load_sample().await;
    let mut browser = app.signed_in("operator", "").await;
    let mut unseen = Vec::new();
    for (changes, words) in MISTAKES {
        let page = asked(&mut browser, changes).await;
        let is_shown = page.status == 422 || (page.status == 200 && page.says("Bekräfta och skicka"));
        if !is_shown || !page.says(words) {
            unseen.push((changes, words, page.status));
        }
    }
    assert!(unseen.is_empty(), "{} unseen: {unseen:#?}", unseen.len());
    for changes in RIGHT_ONES {
        let page = asked(&mut browser, changes).await;
        let (content, _) = page.html.split_once("</main>").unwrap();
        let is_quiet = page.status == 200 && page.says("Bekräfta och skicka") && !content.contains("notice--warn");
        assert!(is_quiet, "nothing is wrong with {changes:?}: {}", page.html);
    }
    assert_eq!(app.gateway.journal().len(), 0, "nothing was sent by asking");
}
