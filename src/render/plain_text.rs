//! Owns the writing of Markdown events as plain text.
//!
//! It takes events as they are and filters nothing (`markdown` does). Invariant: every text event comes out, in order.

use std::fmt::Write as _;

use pulldown_cmark::{Event, Tag, TagEnd};

/// The events as text: LF line ends, blocks parted by blank lines, lists with marks, addresses of links in parentheses
/// unless the link's text is the address. Lines are not wrapped, so that addresses stay whole.
#[must_use]
pub fn write(events: &[Event<'_>]) -> String {
    let mut writer = Writer { blocks: vec![Block::new(Kind::Plain)], links: Vec::new() };
    for event in events {
        match event {
            Event::Start(tag) => writer.begin(tag),
            Event::End(end) => writer.end(*end),
            Event::Text(text) | Event::Code(text) => writer.push(text),
            Event::SoftBreak => writer.push(" "),
            Event::HardBreak => writer.push("\n"),
            Event::Rule => writer.append_block(RULE),
            _ => {}
        }
    }
    while writer.blocks.len() > 1 {
        writer.close_block();
    }
    writer.blocks.pop().map(|block| block.text.trim_end().to_owned()).unwrap_or_default()
}

const RULE: &str = "----------";

struct Writer {
    /// Open blocks, innermost last; the first is the whole text.
    blocks: Vec<Block>,
    /// Open links: the address and where in the innermost block its text begins.
    links: Vec<(String, usize)>,
}

struct Block {
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Heading,
    Quote,
    Code,
    List { next: Option<u64> },
    Item,
    Table,
    Row,
    Cell,
}

impl Block {
    fn new(kind: Kind) -> Self {
        Self { kind, text: String::new() }
    }
}

impl Writer {
    fn begin(&mut self, tag: &Tag<'_>) {
        let kind = match tag {
            Tag::Link { dest_url, .. } => {
                let from = self.top().text.len();
                self.links.push((dest_url.to_string(), from));
                return;
            }
            Tag::Paragraph => Kind::Plain,
            Tag::Heading { .. } => Kind::Heading,
            Tag::BlockQuote(_) => Kind::Quote,
            Tag::CodeBlock(_) => Kind::Code,
            Tag::List(next) => Kind::List { next: *next },
            Tag::Item => Kind::Item,
            Tag::Table(_) => Kind::Table,
            Tag::TableHead | Tag::TableRow => Kind::Row,
            Tag::TableCell => Kind::Cell,
            _ => return,
        };
        self.blocks.push(Block::new(kind));
    }

    fn end(&mut self, end: TagEnd) {
        match end {
            TagEnd::Link => self.end_link(),
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Image => {}
            _ => self.close_block(),
        }
    }

    fn end_link(&mut self) {
        let Some((url, from)) = self.links.pop() else { return };
        let top = self.top();
        let text = top.text.get(from..).unwrap_or_default();
        let shown = url.strip_prefix("mailto:").or_else(|| url.strip_prefix("tel:")).unwrap_or(&url);
        if text.trim() != shown && text.trim() != url {
            let _ = write!(top.text, " ({shown})");
        }
    }

    fn close_block(&mut self) {
        if self.blocks.len() < 2 {
            return;
        }
        let Some(block) = self.blocks.pop() else { return };
        let text = match block.kind {
            Kind::Heading => format!("{}\n{}", block.text, "-".repeat(block.text.chars().count())),
            Kind::Quote => prefixed(&block.text, "> ", "> "),
            Kind::Code => prefixed(block.text.trim_end(), "    ", "    "),
            Kind::Item => {
                let mark = self.next_mark();
                prefixed(&block.text, &mark, &" ".repeat(mark.len()))
            }
            Kind::Plain | Kind::List { .. } | Kind::Table | Kind::Row | Kind::Cell => block.text,
        };
        self.append_block_of(block.kind, &text);
    }

    fn append_block(&mut self, text: &str) {
        self.append_block_of(Kind::Plain, text);
    }

    fn append_block_of(&mut self, kind: Kind, text: &str) {
        let top = self.top();
        if !top.text.is_empty() {
            top.text.push_str(match (top.kind, kind) {
                (Kind::Row, Kind::Cell) => " | ",
                (Kind::List { .. } | Kind::Table, _) | (Kind::Item, Kind::List { .. }) => "\n",
                _ => "\n\n",
            });
        }
        top.text.push_str(text.trim_end());
    }

    fn next_mark(&mut self) -> String {
        match &mut self.top().kind {
            Kind::List { next: Some(number) } => {
                let mark = format!("{number}. ");
                *number = number.saturating_add(1);
                mark
            }
            _ => "- ".to_owned(),
        }
    }

    fn push(&mut self, text: &str) {
        self.top().text.push_str(text);
    }

    fn top(&mut self) -> &mut Block {
        self.blocks.last_mut().expect("the whole text is never closed before the end")
    }
}

fn prefixed(text: &str, first: &str, others: &str) -> String {
    let mut out = String::with_capacity(text.len() + first.len());
    for (at, line) in text.trim_end().split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let prefix = if at == 0 { first } else { others };
        out.push_str(if line.is_empty() { prefix.trim_end() } else { prefix });
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Options, Parser};

    use super::*;

    #[test]
    fn every_kind_of_block_has_a_plain_form() {
        let table = [
            ("a\n\nb", "a\n\nb"),
            ("a  \nb", "a\nb"),
            ("a\nb", "a b"),
            ("# Rubrik\ntext", "Rubrik\n------\n\ntext"),
            ("> citat\n>\n> mer", "> citat\n>\n> mer"),
            ("- a\n- b\n\n  mer\n- c", "- a\n- b\n\n  mer\n- c"),
            ("3. a\n4. b", "3. a\n4. b"),
            ("- a\n  - b\n    - c\n- d", "- a\n  - b\n    - c\n- d"),
            ("```\nkod\n  mer\n```\nslut", "    kod\n      mer\n\nslut"),
            ("a\n\n---\n\nb", "a\n\n----------\n\nb"),
            ("| dag | tid |\n|---|---|\n| må | 10 |\n| ti | 11 |", "dag | tid\nmå | 10\nti | 11"),
            ("*a* **b** ~~c~~ `d`", "a b c d"),
            ("<https://x.example>", "https://x.example"),
            ("[ring](tel:11414)", "ring (11414)"),
            ("", ""),
        ];
        for (markdown, expected) in table {
            let events: Vec<_> =
                Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).collect();
            assert_eq!(write(&events), expected, "{markdown:?}");
        }
    }
}
