//! Owns the turning of an author's Markdown into safe HTML and into plain text, from one and the same stream of events.
//!
//! It knows nothing of letters. Invariant: HTML and text hold the same content; raw HTML in the source is shown as it is
//! written, never obeyed; no picture is loaded and no link goes anywhere but to http, https, mailto or tel.

use std::collections::{HashMap, HashSet};

use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};

use super::plain_text;

/// How deep quotes, lists and emphasis may lie in each other; deeper ones are read as if they were not there.
const MAX_DEPTH: usize = 12;

/// The two forms of one Markdown text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Cleaned HTML; headings begin at level 2, below the letter's own.
    pub html: String,
    /// Plain text with LF line ends, not wrapped.
    pub text: String,
}

/// Renders CommonMark with tables and strikethrough. Never fails: what is not Markdown is shown as text.
#[must_use]
pub fn render(markdown: &str) -> Rendered {
    let events = plain_events(markdown);
    let text = plain_text::write(&events);
    let mut html = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut html, events.into_iter());
    Rendered { html: clean(&html), text }
}

/// Whether a link may be followed from a letter.
#[must_use]
pub fn is_allowed_link(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    !rest.is_empty()
        && !url.contains(|c: char| c.is_control() || c.is_whitespace())
        && ALLOWED_SCHEMES.iter().any(|allowed| scheme.eq_ignore_ascii_case(allowed))
}

const ALLOWED_SCHEMES: [&str; 4] = ["http", "https", "mailto", "tel"];

const ALLOWED_TAGS: [&str; 25] = [
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "p",
    "br",
    "hr",
    "ul",
    "ol",
    "li",
    "blockquote",
    "pre",
    "code",
    "em",
    "strong",
    "del",
    "a",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "div",
];

/// The second lock: the events above hold nothing that this would have to remove.
fn clean(html: &str) -> String {
    ammonia::Builder::empty()
        .tags(HashSet::from(ALLOWED_TAGS))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"])), ("ol", HashSet::from(["start"]))]))
        .url_schemes(HashSet::from(ALLOWED_SCHEMES))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(None)
        .clean(html)
        .to_string()
}

/// The events of `markdown` without raw HTML, pictures, links to elsewhere and excess depth. The highest heading used
/// becomes level 2, whichever the author began with, so that no level is left out below the letter's own.
fn plain_events(markdown: &str) -> Vec<Event<'_>> {
    let parser = || Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    let highest = parser()
        .filter_map(|event| match event {
            Event::Start(Tag::Heading { level, .. }) => Some(level as usize),
            _ => None,
        })
        .min();
    let mut tamer = Tamer { events: Vec::new(), open: Vec::new(), depth: 0, highest_heading: highest.unwrap_or(1) };
    parser().for_each(|event| tamer.take(event));
    tamer.events
}

struct Tamer<'a> {
    events: Vec<Event<'a>>,
    /// What each open element became, innermost last.
    open: Vec<Opened<'a>>,
    /// Elements among `open` that count towards [`MAX_DEPTH`].
    depth: usize,
    /// Level of the highest heading of the source, 1 to 6.
    highest_heading: usize,
}

enum Opened<'a> {
    Kept {
        end: TagEnd,
        counts: bool,
    },
    Dropped,
    /// A picture, shown as a link to it; its address stands in for an empty alternative text.
    Picture {
        url: CowStr<'a>,
        linked: bool,
        begun_at: usize,
    },
}

impl<'a> Tamer<'a> {
    fn take(&mut self, event: Event<'a>) {
        match event {
            Event::Start(tag) => self.begin(tag),
            Event::End(_) => self.end(),
            Event::Html(html) | Event::InlineHtml(html) => self.events.push(Event::Text(html)),
            other => self.events.push(other),
        }
    }

    fn begin(&mut self, tag: Tag<'a>) {
        let opened = match tag {
            Tag::Image { dest_url, .. } => self.begin_picture(dest_url),
            Tag::HtmlBlock => self.keep(Tag::Paragraph, false),
            Tag::Heading { level, .. } => self.keep(
                Tag::Heading { level: self.level_below_title(level), id: None, classes: Vec::new(), attrs: Vec::new() },
                false,
            ),
            Tag::Link { link_type: LinkType::Email, dest_url, .. } => {
                self.keep(link(format!("mailto:{dest_url}").into()), true)
            }
            Tag::Link { ref dest_url, .. } if !is_allowed_link(dest_url) => Opened::Dropped,
            Tag::Link { dest_url, .. } => self.keep(link(dest_url), true),
            nests @ (Tag::BlockQuote(_)
            | Tag::List(_)
            | Tag::Item
            | Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough) => {
                if self.depth < MAX_DEPTH {
                    self.keep(nests, true)
                } else {
                    self.drop_apart()
                }
            }
            other => self.keep(other, false),
        };
        self.open.push(opened);
    }

    fn level_below_title(&self, level: HeadingLevel) -> HeadingLevel {
        HeadingLevel::try_from(level as usize - self.highest_heading + 2).unwrap_or(HeadingLevel::H6)
    }

    fn keep(&mut self, tag: Tag<'a>, counts: bool) -> Opened<'a> {
        let end = tag.to_end();
        self.events.push(Event::Start(tag));
        self.depth += usize::from(counts);
        Opened::Kept { end, counts }
    }

    /// Drops an element but keeps what it parted apart.
    fn drop_apart(&mut self) -> Opened<'a> {
        self.events.push(Event::SoftBreak);
        Opened::Dropped
    }

    fn begin_picture(&mut self, url: CowStr<'a>) -> Opened<'a> {
        let in_link = self
            .open
            .iter()
            .any(|open| matches!(open, Opened::Kept { end: TagEnd::Link, .. } | Opened::Picture { linked: true, .. }));
        let linked = !in_link && is_allowed_link(&url);
        if linked {
            self.events.push(Event::Start(link(url.clone())));
        }
        Opened::Picture { url, linked, begun_at: self.events.len() }
    }

    fn end(&mut self) {
        match self.open.pop() {
            Some(Opened::Kept { end, counts }) => {
                self.depth -= usize::from(counts);
                self.events.push(Event::End(end));
            }
            Some(Opened::Picture { url, linked, begun_at }) => {
                if self.events.len() == begun_at && linked {
                    self.events.push(Event::Text(url));
                }
                if linked {
                    self.events.push(Event::End(TagEnd::Link));
                }
            }
            Some(Opened::Dropped) | None => {}
        }
    }
}

fn link(dest_url: CowStr<'_>) -> Tag<'_> {
    Tag::Link { link_type: LinkType::Inline, dest_url, title: CowStr::Borrowed(""), id: CowStr::Borrowed("") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_real_headings_lists_and_links() {
        let Rendered { html, text } = render(
            "# Läget\n\nTre *inbrott* i **Åre**.\nDe skedde nattetid.\n\n- lås\n- larma\n  1. ring 112\n  2. ring 114 14\n\n\
             Läs [mer](https://polisen.se/x) eller skriv till <tips@example.org>.",
        );
        assert_eq!(
            html,
            "<h2>Läget</h2>\n<p>Tre <em>inbrott</em> i <strong>Åre</strong>.\nDe skedde nattetid.</p>\n<ul>\n<li>lås</li>\n\
             <li>larma\n<ol>\n<li>ring 112</li>\n<li>ring 114 14</li>\n</ol>\n</li>\n</ul>\n<p>Läs <a href=\"https://polisen.se/x\">\
             mer</a> eller skriv till <a href=\"mailto:tips@example.org\">tips@example.org</a>.</p>\n"
        );
        assert_eq!(
            text,
            "Läget\n-----\n\nTre inbrott i Åre. De skedde nattetid.\n\n- lås\n- larma\n  1. ring 112\n  2. ring 114 14\n\n\
             Läs mer (https://polisen.se/x) eller skriv till tips@example.org."
        );
    }

    #[test]
    fn hostile_source_is_shown_not_obeyed() {
        let table = [
            "<script>alert(1)</script>",
            "text <script src=//x.example></script>",
            "<img src=x onerror=alert(1)>",
            "<!--[if mso]><script>x</script><![endif]-->",
            "<style>body{display:none}</style>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](&#106;avascript:alert(1))",
            "[x](data:text/html,<script>1</script>)",
            "[x](//evil.example)",
            "<javascript:alert(1)>",
            "[x]: vbscript:x\n\n[x]",
            "![x](https://evil.example/pixel.gif)",
            "<svg/onload=alert(1)>",
            "</div></td></table><form action=https://evil.example><input name=x>",
            "\\<script>alert(1)\\</script>",
            "`<script>`",
            "    <script>\n",
            "```html onload=\"x\"\n<script>\n```",
        ];
        for source in table {
            let html = render(source).html;
            for tag in
                ["<script", "<img", "<style", "<svg", "<form", "<input", "<!--", "onerror=\"", "</div>", "</table>"]
            {
                assert!(!html.contains(tag), "{source:?} became {html}");
            }
            for scheme in ["<a href=\"javascript:", "<a href=\"vbscript:", "<a href=\"data:", "<a href=\"//"] {
                assert!(!html.to_lowercase().contains(scheme), "{source:?} became {html}");
            }
        }
    }

    #[test]
    fn raw_html_is_shown_as_it_is_written() {
        let Rendered { html, text } = render("Ett <b>fetare</b> ord\n\n<div>block\n</div>");
        assert_eq!(html, "<p>Ett &lt;b&gt;fetare&lt;/b&gt; ord</p>\n<p>&lt;div&gt;block\n&lt;/div&gt;</p>\n");
        assert_eq!(text, "Ett <b>fetare</b> ord\n\n<div>block\n</div>");
    }

    #[test]
    fn headings_begin_below_the_letters_own_whichever_level_the_author_used() {
        for (source, expected) in [
            ("# A\n## B\n###### C", "<h2>A</h2>\n<h3>B</h3>\n<h6>C</h6>\n"),
            ("## A\n#### B", "<h2>A</h2>\n<h4>B</h4>\n"),
            ("###### A\n- - # B", "<h6>A</h6>\n<ul>\n<li>\n<ul>\n<li>\n<h2>B</h2>\n</li>\n</ul>\n</li>\n</ul>\n"),
        ] {
            assert_eq!(render(source).html, expected);
        }
    }

    #[test]
    fn a_picture_is_a_link_to_it() {
        let Rendered { html, text } = render(
            "![karta](https://example.org/k.png) ![](https://example.org/l.png) [![i](x.png)](https://example.org)",
        );
        assert_eq!(
            html,
            "<p><a href=\"https://example.org/k.png\">karta</a> <a href=\"https://example.org/l.png\">https://example.org/l.png\
             </a> <a href=\"https://example.org\">i</a></p>\n"
        );
        assert_eq!(text, "karta (https://example.org/k.png) https://example.org/l.png i (https://example.org)");
    }

    #[test]
    fn deep_nesting_is_flattened_and_its_text_kept() {
        let sources = [
            format!("{}djupt", "> ".repeat(5000)),
            format!("{}djupt", "- ".repeat(5000)),
            format!("{}djupt{}", "*a **b ".repeat(2000), "** *".repeat(2000)),
            format!("{}djupt{}", "[".repeat(5000), "](https://x.example)".repeat(5000)),
            format!("{}djupt", "<div>".repeat(5000)),
            format!("{}djupt", "1. > ".repeat(3000)),
            format!("{}\ndjupt", "`".repeat(20_000)),
            format!("djupt|{}\n-|{}", "a|".repeat(3000), "-|".repeat(3000)),
        ];
        for source in sources {
            let Rendered { html, text } = render(&source);
            assert!(html.contains("djupt") && text.contains("djupt"), "{}", &source[..40]);
            assert!(html.len() < source.len() * 12, "{} grew to {}", &source[..40], html.len());
        }
    }

    #[test]
    fn only_four_kinds_of_links_are_followed() {
        for good in ["https://polisen.se", "HTTP://x.se", "mailto:a@example.org", "tel:11414"] {
            assert!(is_allowed_link(good), "{good}");
        }
        for bad in
            ["", "x", "https:", "javascript:x", "java\nscript:x", " https://x.se", "file:///etc/passwd", "/x", "#x"]
        {
            assert!(!is_allowed_link(bad), "{bad}");
        }
    }
}
