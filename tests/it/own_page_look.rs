//! How contact persons' own pages look on an old telephone: their style says nothing that a browser of 2014 (Chrome 36, Safari 7) does
//! not understand, and their script is a module, which such a browser leaves alone.

use serde_json::json;

use crate::support::{TestApp, on_both_databases};

/// What the style may say: properties that such browsers know, and two that they leave out without harm.
const PROPERTIES: [&str; 47] = [
    "-webkit-appearance",
    "-webkit-text-size-adjust",
    "background",
    "border",
    "border-bottom",
    "border-bottom-color",
    "border-color",
    "border-left",
    "border-radius",
    "border-top",
    "box-sizing",
    "color",
    "color-scheme",
    "cursor",
    "display",
    "font",
    "font-family",
    "font-size",
    "font-weight",
    "height",
    "left",
    "line-height",
    "list-style",
    "margin",
    "margin-bottom",
    "margin-right",
    "margin-top",
    "max-width",
    "min-height",
    "min-width",
    "outline",
    "outline-color",
    "outline-offset",
    "overflow-wrap",
    "padding",
    "padding-left",
    "position",
    "right",
    "text-align",
    "text-decoration",
    "top",
    "vertical-align",
    "white-space",
    "width",
    "word-wrap",
    "z-index",
    "zoom",
];
/// What a selector may ask of an element beside its name, classes and attributes.
const PSEUDO: [&str; 6] = [":after", ":before", ":first-child", ":focus", ":hover", ":last-child"];
/// What `display` may be: no flex (Safari 7 had it under another name) and no grid.
const DISPLAYS: [&str; 5] = ["block", "inline", "inline-block", "none", "none!important"];
/// On what a part of the style may depend; one that a browser does not know is left out whole.
const MEDIA: [&str; 2] = ["@media(prefers-color-scheme:dark)", "@mediaprint"];

/// What is too new in a style as it is sent: rules inside rules, selectors, properties and values.
fn too_new(css: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut within, mut rest) = (Vec::new(), css);
    while let Some(at) = rest.find(['{', '}']) {
        let (text, mark) = (rest[..at].trim(), &rest[at..=at]);
        rest = &rest[at + 1..];
        match (mark, within.last().copied()) {
            ("{", None) if text.starts_with('@') => {
                let condition = text.replace(' ', "");
                found.extend((!MEDIA.contains(&condition.as_str())).then_some(condition));
                within.push("media");
            }
            ("{", None | Some("media")) => {
                found.extend(selectors_too_new(text));
                within.push("rule");
            }
            ("{", _) => {
                found.push(format!("a rule inside a rule: {text}"));
                within.push("rule");
            }
            (_, inside) => {
                if inside == Some("rule") {
                    found.extend(text.split(';').filter(|one| !one.is_empty()).filter_map(declaration_too_new));
                }
                within.pop();
            }
        }
    }
    if !rest.trim().is_empty() || !within.is_empty() {
        found.push(format!("what does not end: {rest}"));
    }
    found
}

fn selectors_too_new(text: &str) -> Vec<String> {
    let is_new = |selector: &&str| {
        let asked = selector.match_indices(':').map(|(at, _)| &selector[at..]);
        let is_known = |asked: &str| {
            PSEUDO.iter().any(|known| {
                asked.strip_prefix(known).is_some_and(|after| {
                    !after.starts_with(|next: char| next == '-' || next == '(' || next.is_alphanumeric())
                })
            })
        };
        asked.filter(|asked| !asked.starts_with("::")).any(|asked| !is_known(asked))
            || selector.contains(['&', '(', '|'])
    };
    text.split(',').filter(is_new).map(str::to_owned).collect()
}

fn declaration_too_new(declaration: &str) -> Option<String> {
    let (name, value) = declaration.split_once(':').unwrap_or((declaration, ""));
    let colours =
        value.split(|one: char| !(one.is_ascii_hexdigit() || one == '#')).filter(|word| word.starts_with('#'));
    let is_known = PROPERTIES.contains(&name.trim())
        && !value.contains('(')
        && colours.clone().all(|colour| [4, 7].contains(&colour.len()))
        && (name != "display" || DISPLAYS.contains(&value));
    (!is_known).then(|| declaration.to_owned())
}

#[test]
fn what_a_browser_of_2014_does_not_understand_is_found() {
    for (css, count) in [
        ("a{color:#fff}", 0),
        ("@media print{a:hover,b::before{margin:0}}", 0),
        ("@layer base{a{color:#fff}}", 1),
        ("@media (width<=860px){a{color:#fff}}", 1),
        (":root{--ink:#fff}a{color:var(--ink)}", 3),
        ("a:is(.b,.c){color:#fff}", 1),
        ("a:focus-visible{margin:0}", 1),
        ("a:not(.b){margin:0}", 1),
        (".a{&:hover{margin:0}}", 1),
        ("a{margin-inline:0;inset:0}", 2),
        ("a{width:clamp(1rem,2vw,3rem)}", 1),
        ("a{color:#0000;background:#11223344}", 2),
        ("a{display:flex}b{display:grid;gap:1rem}", 3),
        ("a{color:#fff", 1),
    ] {
        assert_eq!(too_new(css).len(), count, "{css}: {:?}", too_new(css));
    }
}

on_both_databases! {
    async fn the_own_pages_are_made_for_an_old_telephone(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "").await;
        app.alert(&["2326"], json!({ "spread": "households" })).await;
        let mut browser = app.at_own_page("2326@example.org").await;
        let mut styles = Vec::new();
        for path in ["/min-sida", "/min-sida/svar", "/min-sida/brev", "/min-sida/uppgifter", "/min-sida/utdrag", "/min-sida/avsluta", "/min-sida/brev/x"] {
            let page = browser.get(path).await;
            assert_eq!(page.html.matches("rel=\"stylesheet\"").count(), 1, "{path}");
            styles.push(page.after("rel=\"stylesheet\" href=\"").unwrap());
            let scripts: Vec<&str> = page.html.split("<script").skip(1).collect();
            assert!(scripts.iter().all(|script| script.starts_with(" type=\"module\" src=\"/assets/own.")), "{path}");
            assert!(!page.html.contains(" style=\""), "{path}");
        }
        styles.dedup();
        assert!(styles.len() == 1 && styles[0].starts_with("/assets/own."), "{styles:?}");
        let style = browser.get(&styles[0]).await;
        assert_eq!((style.status.as_u16(), style.headers["content-type"].to_str().unwrap()), (200, "text/css; charset=utf-8"));
        assert_eq!(style.headers["cache-control"], "public, max-age=31536000, immutable");
        assert!(style.html.len() <= 6_000, "{} octets", style.html.len());
        assert_eq!(too_new(&style.html), Vec::<String>::new());
        // The pages' own classes have a style here.
        let page = browser.get("/min-sida").await;
        for class in ["panel", "button", "field", "pill", "notice", "tabs", "choice"] {
            assert!(style.html.contains(&format!(".{class}")) , "{class}");
        }
        assert!(page.says("class=\"panel\""), "{}", page.html);
    }
}
