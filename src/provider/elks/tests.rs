use super::*;
use crate::provider::ReceiptState;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn answer(code: u16, body: &[u8]) -> Answer {
    Answer { code, body: body.to_vec(), complete: true, ..Answer::default() }
}

/// Class and code of an outcome, for tables.
fn told(outcome: Result<Accepted, HandOverError>) -> (&'static str, &'static str) {
    match outcome {
        Ok(_) => ("accepted", ""),
        Err(HandOverError::Retry { reason, provider_down: true, .. }) => ("retry, down", reason.code),
        Err(HandOverError::Retry { reason, .. }) => ("retry", reason.code),
        Err(HandOverError::Throttled { reason, .. }) => ("throttled", reason.code),
        Err(HandOverError::Rejected { reason }) => ("rejected", reason.code),
        Err(HandOverError::Misconfigured { reason }) => ("misconfigured", reason.code),
        Err(HandOverError::InDoubt { reason }) => ("in doubt", reason.code),
    }
}

#[test]
fn every_answer_to_a_send_has_its_outcome() {
    let table: &[(u16, &[u8], (&str, &str))] = &[
        (200, br#"{"id":"s70df59406a1b4643b96f3f91e0bfb7b0","status":"created"}"#, ("accepted", "")),
        (201, br#"{"id":"s1"}"#, ("accepted", "")),
        (200, b"", ("in doubt", "gateway.answer_unreadable")),
        (204, b"", ("in doubt", "gateway.answer_unreadable")),
        (200, b"<html><body>OK</body></html>", ("in doubt", "gateway.answer_unreadable")),
        (200, br#"{"id":null}"#, ("in doubt", "gateway.answer_unreadable")),
        (200, br#"{"id":""}"#, ("in doubt", "gateway.answer_unreadable")),
        (200, br#"{"id":"s 1"}"#, ("in doubt", "gateway.answer_unreadable")),
        (200, br#"{"id":7}"#, ("in doubt", "gateway.answer_unreadable")),
        (200, br#"{"status":"created"}"#, ("in doubt", "gateway.answer_unreadable")),
        (200, br#"["s1"]"#, ("in doubt", "gateway.answer_unreadable")),
        (200, b"{\"id\":\"s\xff\"}", ("in doubt", "gateway.answer_unreadable")),
        (301, b"", ("misconfigured", "gateway.address_wrong")),
        (302, b"", ("misconfigured", "gateway.address_wrong")),
        (303, b"", ("in doubt", "gateway.answer_unreadable")),
        (307, b"", ("misconfigured", "gateway.address_wrong")),
        (400, b"Invalid to number", ("rejected", "gateway.number_invalid")),
        (400, b"Invalid from number", ("misconfigured", "gateway.sender_refused")),
        (400, b"Too long message", ("rejected", "gateway.text_too_long")),
        (400, b"Missing key to", ("rejected", "gateway.request_refused")),
        (400, b"Not enough credits, please top up", ("misconfigured", "gateway.no_credit")),
        (400, b"something new", ("rejected", "gateway.rejected")),
        (401, b"", ("misconfigured", "gateway.unauthorized")),
        (401, b"Invalid to number", ("misconfigured", "gateway.unauthorized")),
        (402, b"", ("misconfigured", "gateway.no_credit")),
        (403, b"Not enough credits", ("misconfigured", "gateway.no_credit")),
        (403, b"", ("misconfigured", "gateway.unauthorized")),
        (404, b"", ("rejected", "gateway.rejected")),
        (408, b"", ("retry, down", "gateway.busy")),
        (418, b"", ("rejected", "gateway.rejected")),
        (422, b"", ("rejected", "gateway.rejected")),
        (429, b"", ("throttled", "gateway.throttled")),
        (429, b"Not enough credits", ("throttled", "gateway.throttled")),
        (500, b"Internal server error", ("in doubt", "gateway.failed")),
        (500, b"Not enough credits", ("misconfigured", "gateway.no_credit")),
        (500, b"Invalid to number", ("rejected", "gateway.number_invalid")),
        (502, b"Bad gateway", ("in doubt", "gateway.failed")),
        (503, b"", ("throttled", "gateway.throttled")),
        (504, b"", ("in doubt", "gateway.failed")),
        (599, b"", ("in doubt", "gateway.failed")),
        (100, b"", ("in doubt", "gateway.answer_unreadable")),
        (999, b"", ("in doubt", "gateway.answer_unreadable")),
    ];
    for (code, body, expected) in table {
        let got = told(outcome(&answer(*code, body), at("2026-11-20T02:31:00Z")));
        assert_eq!(&got, expected, "{code} {}", String::from_utf8_lossy(body));
    }
}

#[test]
fn an_accepted_answer_gives_id_and_parts_and_lacks_them_without_harm() {
    let now = at("2026-11-20T02:31:00Z");
    let full = br#"{"id":"s1","from":"+46","to":"+47","created":"x","cost":3500,"direction":"outgoing","parts":2}"#;
    let accepted = outcome(&answer(200, full), now).unwrap();
    assert_eq!(accepted, Accepted { gateway_ref: Some("s1".to_owned()), parts: Some(2) });
    assert_eq!(outcome(&answer(200, br#"{"id":"s1","parts":"two"}"#), now).unwrap().parts, None);
}

#[test]
fn a_body_that_breaks_off_is_in_doubt_after_2xx_and_keeps_its_class_after_4xx() {
    let now = at("2026-11-20T02:31:00Z");
    let cut = |code| Answer { code, body: br#"{"id":"s1"}"#.to_vec(), ..Answer::default() };
    assert_eq!(told(outcome(&cut(200), now)).0, "in doubt");
    assert_eq!(told(outcome(&cut(400), now)).0, "rejected");
    assert_eq!(told(outcome(&cut(429), now)).0, "throttled");
}

#[test]
fn a_throttled_answer_carries_the_wish_and_the_words_of_an_error_are_short_and_on_one_line() {
    let now = at("2026-11-20T02:31:00Z");
    let throttled = Answer { code: 429, retry_after: Some("7".to_owned()), ..Answer::default() };
    let Err(HandOverError::Throttled { after, .. }) = outcome(&throttled, now) else { panic!("not throttled") };
    assert_eq!(after, Some(Duration::from_secs(7)));
    let long = outcome(&answer(400, &b"no\r\nway ".repeat(100)), now).unwrap_err();
    let detail = long.reason().detail.clone().unwrap();
    assert!(detail.starts_with("400 no way no way"), "{detail}");
    assert!(detail.chars().count() <= Reason::MAX_DETAIL);
}

#[test]
fn times_are_read_in_every_form_that_was_ever_seen_and_written_in_theirs() {
    let table = [
        ("2018-07-13T13:57:23.741000", Some("2018-07-13T13:57:23.741Z")),
        ("2018-07-13T13:57:23.7", Some("2018-07-13T13:57:23.7Z")),
        ("2018-07-13T13:57:23", Some("2018-07-13T13:57:23Z")),
        ("2018-07-13T13:57:23.", Some("2018-07-13T13:57:23Z")),
        ("2018-07-13T13:57:23Z", Some("2018-07-13T13:57:23Z")),
        ("2018-07-13T13:57:23.741Z", Some("2018-07-13T13:57:23.741Z")),
        ("2018-07-13 13:57:23.741", Some("2018-07-13T13:57:23.741Z")),
        ("2018-07-13T12:00:00:00.11", Some("2018-07-13T12:00:00.11Z")),
        ("2018-07-13", None),
        ("2018-07-13T13:57", None),
        ("2018-13-13T13:57:23", None),
        ("2018-07-13T13:57:23.741abc", None),
        ("2018-07-13T13:57:23.1234567890", None),
        ("åäöåäöåäöåäöåäöåäöåäö", None),
        ("", None),
    ];
    for (text, expected) in table {
        assert_eq!(wire::parse_time(text), expected.map(at), "{text}");
    }
    let written = wire::format_time(at("2026-11-20T02:31:00.5Z"));
    assert_eq!(written, "2026-11-20T02:31:00.500000");
    assert_eq!(wire::parse_time(&written), Some(at("2026-11-20T02:31:00.5Z")));
}

#[test]
fn receipts_are_read_and_an_unknown_word_is_not_an_error() {
    type Read<'a> = Result<(&'a str, Option<ReceiptState>, &'a str), &'a str>;
    let table: &[(&[u8], Read<'_>)] = &[
        (
            b"id=s1&status=delivered&delivered=2018-07-13T13%3A57%3A23.741000",
            Ok(("s1", Some(ReceiptState::Delivered), "delivered")),
        ),
        (b"id=s1&status=sent", Ok(("s1", Some(ReceiptState::Sent), "sent"))),
        (b"id=s1&status=created", Ok(("s1", Some(ReceiptState::Sent), "created"))),
        (b"status=failed&id=s1", Ok(("s1", Some(ReceiptState::Failed), "failed"))),
        (b"id=s1&status=rejected", Ok(("s1", None, "rejected"))),
        (b"id=s1&status=delivered&status=failed", Ok(("s1", Some(ReceiptState::Delivered), "delivered"))),
        (b"id=s1&status=de%00l", Ok(("s1", None, "del"))),
        (b"id=s1", Err("receipt.state_missing")),
        (b"status=sent", Err("receipt.id_missing")),
        (b"id=&status=sent", Err("receipt.id_missing")),
        (b"id=%00&status=sent", Err("receipt.id_missing")),
        (b"id=%FF%FE&status=sent", Err("receipt.id_missing")),
        (br#"{"id":"s1","status":"sent"}"#, Err("receipt.state_missing")),
        (b"", Err("receipt.state_missing")),
    ];
    for (body, expected) in table {
        let got = decode_receipt(body);
        let got = got.as_ref().map(|r| (r.gateway_ref.as_str(), r.state, r.word.as_str())).map_err(|e| e.code());
        assert_eq!(&got, expected, "{}", String::from_utf8_lossy(body));
    }
    let delivered = decode_receipt(b"id=s1&status=delivered&delivered=2018-07-13T13%3A57%3A23.741000").unwrap();
    assert_eq!(delivered.delivered_at, Some(at("2018-07-13T13:57:23.741Z")));
}

#[test]
fn inbound_texts_are_kept_as_they_come() {
    let emoji = b"direction=incoming&id=s9&from=%2B46701740605&to=%2B46766860000&created=2026-11-20T02%3A31%3A00&message=%F0%9F%9A%97+vid+%C3%A5n%0Aigen";
    let sms = decode_inbound(emoji).unwrap();
    assert_eq!((sms.gateway_ref.as_str(), sms.from.as_str(), sms.to.as_str()), ("s9", "+46701740605", "+46766860000"));
    assert_eq!(sms.text, "🚗 vid ån\nigen");
    assert_eq!(sms.created_at, Some(at("2026-11-20T02:31:00Z")));
    assert_eq!(decode_inbound(b"id=s9&from=Telia&message=").unwrap().text, "");
    assert_eq!(decode_inbound(b"id=s9&from=Telia&message=a%00b").unwrap().text, "ab");
    let long = [b"id=s9&from=Telia&message=".as_slice(), &b"x".repeat(5_000)].concat();
    assert_eq!(decode_inbound(&long).unwrap().text.len(), 5_000);
    for (body, code) in [
        (b"from=Telia&message=x".as_slice(), "inbound.id_missing"),
        (b"id=s9&message=x", "inbound.sender_missing"),
        (b"id=s9&from=%00&message=x", "inbound.sender_missing"),
        (b"id=s9&from=Telia&direction=outgoing", "inbound.direction_wrong"),
    ] {
        assert_eq!(decode_inbound(body).unwrap_err().code(), code);
    }
}

#[test]
fn a_page_of_history_skips_incoming_rows_and_counts_what_it_cannot_read() {
    let body = br#"{"data":[
        {"id":"s3","from":"+46766860000","to":"+46701740605","created":"2026-11-20T02:31:02.5","status":"delivered","direction":"outgoing"},
        {"id":"s2","from":"+46701740605","to":"+46766860000","created":"2026-11-20T02:31:01","direction":"incoming"},
        {"id":null,"to":"+46701740606","created":"2026-11-20T02:31:01"},
        {"id":"s1","from":"X","to":"+46701740606","created":"2026-11-20T02:31:00","status":"odd"}],
        "next":"2026-11-20T02:31:00.000000"}"#;
    let page = wire::decode_history(body).unwrap();
    let ids: Vec<_> = page.rows.iter().map(|row| (row.gateway_ref.as_str(), row.receipt)).collect();
    assert_eq!(ids, [("s3", Some(ReceiptState::Delivered)), ("s1", None)]);
    assert_eq!((page.next.as_deref(), page.unreadable), (Some("2026-11-20T02:31:00.000000"), 1));
    assert_eq!(wire::decode_history(br#"{"data":[]}"#), Some(HistoryPage::default()));
    for rubbish in [b"".as_slice(), b"{}", b"[]", br#"{"data":null}"#, br#"{"data":[],"next":5}"#, b"\xff"] {
        assert_eq!(wire::decode_history(rubbish), None, "{}", String::from_utf8_lossy(rubbish));
    }
}

#[test]
fn a_balance_is_told_in_ten_thousandths() {
    assert_eq!(wire::decode_balance(br#"{"balance":12345600,"currency":"SEK"}"#), Some(Balance { amount: 1234.56 }));
    for rubbish in [b"{}".as_slice(), br#"{"balance":"12"}"#, b"no"] {
        assert_eq!(wire::decode_balance(rubbish), None);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = decode_receipt(&bytes);
        let _ = decode_inbound(&bytes);
        let _ = wire::decode_history(&bytes);
        let _ = wire::parse_time(&String::from_utf8_lossy(&bytes));
        let _ = outcome(&answer(200, &bytes), Timestamp::UNIX_EPOCH);
        let _ = outcome(&answer(500, &bytes), Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn no_text_makes_the_time_parser_panic(text in "[0-9T:.Z -]{0,40}") {
        let _ = wire::parse_time(&text);
    }
}
