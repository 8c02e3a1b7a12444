use mail_parser::{Address, HeaderValue, MessageParser, MimeHeaders};
use proptest::prelude::*;

use super::*;

/// A letter as the product sends it.
pub(in crate::provider) fn letter() -> OutgoingMail {
    OutgoingMail {
        message_id: "0199b6f0.42@bounces.example.org".to_owned(),
        date: "2026-11-20T03:31:00+01:00[Europe/Stockholm]".parse().unwrap(),
        from: Mailbox::parse("Polisområde Jämtland <grannsamverkan@example.org>"),
        reply_to: None,
        to: Mailbox { name: Some("Åsa Öberg".to_owned()), address: "asa@exempel.example.org".to_owned() },
        return_path: "bounce+t0k3n@bounces.example.org".to_owned(),
        envelope_id: Some("t0k3n".to_owned()),
        subject: "Brev om inbrott på Frösön".to_owned(),
        text: "Hej!\n\n.Punkt först.\n.\nSlut åäö\n".to_owned(),
        html: Some("<!doctype html><html lang=\"sv\"><p>Hej!</p>\n.<p>Slut åäö</p></html>".to_owned()),
        list: Some(ListHeaders {
            name: "Grannsamverkan Jämtland".to_owned(),
            id: "grannsamverkan.example.org".to_owned(),
            unsubscribe_url: "https://grannpost.example.org/u/0123456789abcdef".to_owned(),
            unsubscribe_address: Some("bounce+u0123@bounces.example.org".to_owned()),
            owner_address: Some("grannsamverkan@example.org".to_owned()),
        }),
        auto_submitted: false,
    }
}

fn composed(mail: &OutgoingMail) -> String {
    String::from_utf8(compose(mail, None).unwrap().message).unwrap()
}

fn head(message: &str) -> &str {
    message.split_once("\r\n\r\n").unwrap().0
}

fn count(message: &str, header: &str) -> usize {
    let name = format!("{}:", header.to_lowercase());
    head(message).split("\r\n").filter(|line| line.to_lowercase().starts_with(&name)).count()
}

#[test]
fn an_independent_parser_reads_back_what_went_in() {
    let mail = letter();
    let message = composed(&mail);
    let parsed = MessageParser::default().parse(message.as_bytes()).unwrap();
    assert_eq!(parsed.subject(), Some(mail.subject.as_str()));
    assert_eq!(parsed.message_id(), Some(mail.message_id.as_str()));
    let from = parsed.from().and_then(Address::first).unwrap();
    assert_eq!((from.name(), from.address()), (Some("Polisområde Jämtland"), Some("grannsamverkan@example.org")));
    let to = parsed.to().and_then(Address::first).unwrap();
    assert_eq!((to.name(), to.address()), (Some("Åsa Öberg"), Some("asa@exempel.example.org")));
    assert_eq!(parsed.date().unwrap().to_rfc3339(), "2026-11-20T03:31:00+01:00");
    assert_eq!(parsed.body_text(0).unwrap().replace("\r\n", "\n"), mail.text);
    assert_eq!(parsed.body_html(0).unwrap().replace("\r\n", "\n"), mail.html.unwrap());
    assert_eq!((parsed.text_body_count(), parsed.html_body_count()), (1, 1));
    let parts: Vec<_> = parsed.parts.iter().map(|part| part.content_type().unwrap().subtype().unwrap()).collect();
    assert_eq!(parts, ["alternative", "plain", "html"]);
    for part in &parsed.parts[1..] {
        assert_eq!(part.content_type().unwrap().attribute("charset"), Some("utf-8"));
    }
}

#[test]
fn every_header_stands_once_and_the_date_has_its_zone() {
    let message = composed(&letter());
    for header in [
        "Date",
        "From",
        "To",
        "Subject",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "List-Id",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "List-Owner",
    ] {
        assert_eq!(count(&message, header), 1, "{header}");
    }
    for header in ["Reply-To", "Bcc", "Cc", "Sender", "Auto-Submitted", "Return-Path"] {
        assert_eq!(count(&message, header), 0, "{header}");
    }
    assert!(message.contains("\r\nDate: Fri, 20 Nov 2026 03:31:00 +0100\r\n"), "{message}");
    assert!(message.contains("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
    let unfolded = head(&message).replace("\r\n ", " ");
    assert!(unfolded.contains(
        "List-Unsubscribe: <https://grannpost.example.org/u/0123456789abcdef>, <mailto:bounce+u0123@bounces.example.org>"
    ));
    assert!(unfolded.contains("<grannsamverkan.example.org>"));
}

#[test]
fn the_same_letter_gives_the_same_bytes_and_another_one_another_boundary() {
    assert_eq!(composed(&letter()), composed(&letter()));
    let mut other = letter();
    other.message_id = "other@bounces.example.org".to_owned();
    let boundary = |message: &str| message.split("boundary=").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    assert_ne!(boundary(&composed(&letter())), boundary(&composed(&other)));
}

#[test]
fn a_plain_mail_has_one_part_and_an_automatic_one_says_so() {
    let mut mail = letter();
    (mail.html, mail.list, mail.auto_submitted) = (None, None, true);
    mail.reply_to = Some(Mailbox::parse("\"Öberg, Åsa\" <asa@example.org>"));
    let message = composed(&mail);
    let parsed = MessageParser::default().parse(message.as_bytes()).unwrap();
    assert_eq!(parsed.parts.len(), 1);
    assert_eq!(parsed.body_text(0).unwrap().replace("\r\n", "\n"), mail.text);
    assert_eq!(parsed.header("Auto-Submitted").and_then(HeaderValue::as_text), Some("auto-generated"));
    assert_eq!(parsed.reply_to().and_then(Address::first).unwrap().name(), Some("Öberg, Åsa"));
    assert_eq!(count(&message, "List-Id"), 0);
}

#[test]
fn texts_in_other_scripts_travel_as_base64_and_swedish_stays_readable() {
    let mut mail = letter();
    mail.text = "Привіт, сусіди!\n".to_owned();
    let message = composed(&mail);
    assert!(message.contains("Content-Transfer-Encoding: base64"));
    assert!(message.contains("Content-Transfer-Encoding: quoted-printable"));
    let parsed = MessageParser::default().parse(message.as_bytes()).unwrap();
    assert_eq!(parsed.body_text(0).unwrap().trim_end(), "Привіт, сусіди!");
}

#[test]
fn a_domain_with_swedish_letters_travels_as_a_label_and_a_local_part_asks_for_smtputf8() {
    let mut mail = letter();
    mail.to.address = "asa@räksmörgås.example.org".to_owned();
    let ascii = compose(&mail, None).unwrap();
    assert_eq!(ascii.to.as_str(), "asa@xn--rksmrgs-5wao1o.example.org");
    assert!(!ascii.needs_smtputf8() && ascii.message.is_ascii());
    mail.to.address = "åsa@räksmörgås.example.org".to_owned();
    let utf8 = compose(&mail, None).unwrap();
    assert_eq!(utf8.to.as_str(), "åsa@xn--rksmrgs-5wao1o.example.org");
    assert!(utf8.needs_smtputf8());
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_field() {
    type Change = fn(&mut OutgoingMail);
    let changes: &[(&str, Change)] = &[
        ("to", |m| m.to.address = "asa".to_owned()),
        ("to", |m| m.to.address = "asa@@example.org".to_owned()),
        ("to", |m| m.to.address = "asa@example.org>\r\nRCPT TO:<b@example.org".to_owned()),
        ("to", |m| m.to.address = format!("{}@example.org", "a".repeat(65))),
        ("to", |m| m.to.name = Some("Åsa\r\nBcc: b@example.org".to_owned())),
        ("to", |m| m.to.name = Some("\0".to_owned())),
        ("subject", |m| m.subject = "Hej\r\n\r\nbody".to_owned()),
        ("subject", |m| m.subject = "x".repeat(401)),
        ("from", |m| m.from.address = "a b@example.org".to_owned()),
        ("reply_to", |m| m.reply_to = Some(Mailbox::parse("nobody"))),
        ("return_path", |m| m.return_path = "bounce".to_owned()),
        ("message_id", |m| m.message_id = "<a@b>".to_owned()),
        ("message_id", |m| m.message_id = "a b@c".to_owned()),
        ("list", |m| m.list.as_mut().unwrap().unsubscribe_url = "https://x/ y".to_owned()),
        ("list", |m| m.list.as_mut().unwrap().unsubscribe_url = format!("https://x/{}", "y".repeat(990))),
        ("list", |m| m.list.as_mut().unwrap().id = "a>\r\nX: y".to_owned()),
        ("list", |m| m.list.as_mut().unwrap().name = "a\nb".to_owned()),
    ];
    for (field, change) in changes {
        let mut mail = letter();
        change(&mut mail);
        let error = compose(&mail, None).unwrap_err();
        assert_eq!(error.field(), *field, "{error}");
        let rejected = matches!(HandOverError::from(error), HandOverError::Rejected { .. });
        assert_eq!(rejected, matches!(*field, "to" | "subject"), "{field}");
    }
}

#[test]
fn mailboxes_are_read_as_people_write_them() {
    let table = [
        ("Anna <a@example.org>", Some("Anna"), "a@example.org"),
        ("\"Anna, B\" <a@example.org>", Some("Anna, B"), "a@example.org"),
        ("<a@example.org>", None, "a@example.org"),
        (" a@example.org ", None, "a@example.org"),
        ("A <B> <a@example.org>", Some("A <B>"), "a@example.org"),
    ];
    for (text, name, address) in table {
        assert_eq!(
            Mailbox::parse(text),
            Mailbox { name: name.map(str::to_owned), address: address.to_owned() },
            "{text}"
        );
    }
}

/// Text with what breaks mails: long lines, lone CR and LF, dots, control characters, encoded words, other scripts.
fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        Just("\r\n.\r\n".to_owned()),
        Just("\n.\n..".to_owned()),
        Just("\rBcc: x@example.org\r".to_owned()),
        Just("=?utf-8?q?a?=".to_owned()),
        Just("=\r\n".to_owned()),
        Just("--=_".to_owned()),
        Just("\0\u{7f}\u{202e}".to_owned()),
        (1_usize..3_000).prop_map(|n| "x".repeat(n)),
        (1_usize..1_500).prop_map(|n| "å ".repeat(n)),
        "[ -~åäöÅÄÖ]{0,80}",
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// A header value that is not refused.
fn header_value() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,120}", "[ -~åäöÅÄÖéŋ€🚗]{0,120}", "[a-zå]{300,400}", "\\PC{0,60}"]
        .prop_map(|text| text.chars().filter(|c| !c.is_control()).collect())
}

fn assert_conforms(message: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(message.ends_with(b"\r\n"));
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n");
        prop_assert!(line.is_some_and(|line| line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0)));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_arrives_whole_and_the_message_conforms(text in hostile_text(), html in hostile_text()) {
        let mut mail = letter();
        (mail.text, mail.html) = (text.clone(), Some(html));
        let composed = compose(&mail, None).unwrap();
        assert_conforms(&composed.message)?;
        prop_assert!(composed.message.is_ascii());
        let parsed = MessageParser::default().parse(&composed.message).unwrap();
        prop_assert_eq!(parsed.parts.len(), 3);
        let clean = |text: &str| -> String {
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
        };
        prop_assert_eq!(parsed.body_text(0).unwrap_or_default().replace("\r\n", "\n"), clean(&text));
    }

    #[test]
    fn a_value_with_a_line_break_never_makes_a_header(
        before in "[ -~]{0,20}",
        end in prop_oneof![Just("\r\n"), Just("\n"), Just("\r"), Just("\0"), Just("\u{85}")],
        field in 0..6_usize,
    ) {
        let value = format!("{before}{end}Bcc: x@example.org");
        let mut mail = letter();
        match field {
            0 => mail.subject = value,
            1 => mail.to.name = Some(value),
            2 => mail.to.address = value,
            3 => mail.from.name = Some(value),
            4 => mail.message_id = value,
            _ => mail.list.as_mut().unwrap().name = value,
        }
        prop_assert!(compose(&mail, None).is_err());
    }

    #[test]
    fn any_header_value_without_control_characters_is_read_back(name in header_value(), subject in header_value()) {
        let mut mail = letter();
        (mail.to.name, mail.subject) = (Some(name), subject.clone());
        let composed = compose(&mail, None).unwrap();
        assert_conforms(&composed.message)?;
        let message = String::from_utf8(composed.message).unwrap();
        for header in ["From", "To", "Subject", "Bcc"] {
            prop_assert_eq!(count(&message, header), usize::from(header != "Bcc"), "{}", header);
        }
        let parsed = MessageParser::default().parse(message.as_bytes()).unwrap();
        prop_assert_eq!(parsed.to().and_then(Address::first).and_then(|to| to.address()), Some("asa@exempel.example.org"));
        prop_assert_eq!(parsed.text_body_count(), 1);
        let bare = |text: &str| -> String { text.split_whitespace().collect() };
        if !subject.contains("=?") {
            prop_assert_eq!(bare(parsed.subject().unwrap_or_default()), bare(&subject));
        }
    }
}
