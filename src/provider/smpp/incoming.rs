//! Owns what an SMPP gateway delivers: receipts, as text or as optional parameters, and SMS, whole or in parts.
//!
//! It stores nothing. Invariant: a receipt's id is told in the form in which the answer to the hand-over gave it
//! (`receipt_ids`), so that the two can be compared.
//!
//! Sources: SMPP 3.4 appendix B (receipt text), 5.2.12 (esm_class), 5.3.2.12 and 5.3.2.35 (receipted_message_id, message_state).

use rusmpp::pdus::DeliverSm;
use rusmpp::tlvs::TlvValue;
use rusmpp::values::MessageState;
use serde_json::{Value, json};

use super::super::{DecodeError, InboundSms, Reason, ReceiptState};
use super::text;
use crate::config::ReceiptIds;

/// Bits of esm_class that say what a delivery is.
const KIND: u8 = 0b0011_1100;
const RECEIPT: u8 = 0b0000_0100;
const INTERMEDIATE: u8 = 0b0010_0000;
/// esm_class: the text begins with a header.
const HAS_HEADER: u8 = 0b0100_0000;

/// A gateway's word about one part that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartReport {
    /// The gateway's id for the part.
    pub gateway_ref: String,
    /// Whom it went to, E.164.
    pub number: String,
    /// Its meaning; `None` for a word that says nothing.
    pub state: Option<ReceiptState>,
    /// The gateway's own word, shortened.
    pub word: String,
}

/// An SMS, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundPart {
    /// Who sent it.
    pub from: String,
    /// Our number.
    pub to: String,
    /// data_coding.
    pub coding: u8,
    /// The text without its header.
    pub octets: Vec<u8>,
    /// Where it belongs, when it is a part.
    pub place: Option<Place>,
}

/// The place of a part in a long SMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The sender's reference of the whole.
    pub reference: u16,
    /// How many there are.
    pub total: u8,
    /// Which one, from 1.
    pub number: u8,
}

/// What a delivery is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    Report(PartReport),
    /// A receipt without an id.
    UnreadableReport,
    Sms(InboundPart),
}

/// Reads a delivery.
pub(super) fn read(deliver: &DeliverSm, ids: ReceiptIds) -> Incoming {
    let class = u8::from(deliver.esm_class);
    let octets = octets(deliver);
    let from = text::number(deliver.source_addr_ton, deliver.source_addr.as_str());
    match class & KIND {
        RECEIPT => report(deliver, &octets, from, ids).map_or(Incoming::UnreadableReport, Incoming::Report),
        INTERMEDIATE => match report(deliver, &octets, from, ids) {
            Some(report) => Incoming::Report(PartReport { state: Some(ReceiptState::Sent), ..report }),
            None => Incoming::UnreadableReport,
        },
        _ => Incoming::Sms(inbound(deliver, class, &octets, from)),
    }
}

/// The text: `short_message`, or `message_payload` where it did not fit.
fn octets(deliver: &DeliverSm) -> Vec<u8> {
    let short: &[u8] = deliver.short_message().as_ref();
    if !short.is_empty() {
        return short.to_vec();
    }
    let payload = parameters(deliver).find_map(|value| match value {
        TlvValue::MessagePayload(payload) => Some(payload.value.as_ref().to_vec()),
        _ => None,
    });
    payload.unwrap_or_default()
}

fn parameters(deliver: &DeliverSm) -> impl Iterator<Item = &TlvValue> {
    deliver.tlvs().iter().filter_map(|parameter| parameter.value())
}

fn report(deliver: &DeliverSm, octets: &[u8], number: String, ids: ReceiptIds) -> Option<PartReport> {
    let words = String::from_utf8_lossy(octets);
    let as_parameter = parameters(deliver).find_map(|value| match value {
        TlvValue::ReceiptedMessageId(id) => Some(id.as_str().to_owned()),
        _ => None,
    });
    let as_text = field(&words, "id:").map(str::to_owned);
    // A parameter that differs from the text is in the form of the answer, as the standard has it.
    let gateway_ref = match (as_parameter, as_text) {
        (Some(id), Some(text)) if id != text => answered_id(&id, ids),
        (Some(id), _) | (None, Some(id)) => receipted_id(&id, ids),
        (None, None) => return None,
    };
    let state = parameters(deliver).find_map(|value| match value {
        TlvValue::MessageState(state) => Some(*state),
        _ => None,
    });
    let (state, word) = match (field(&words, "stat:"), state) {
        (Some(word), _) => (by_word(word), word.to_owned()),
        (None, Some(state)) => by_state(state),
        (None, None) => return None,
    };
    let error = field(&words, "err:")
        .filter(|error| state == Some(ReceiptState::Failed) && !error.trim_matches('0').is_empty());
    let word = error.map_or_else(|| word.clone(), |error| format!("{word} err:{error}"));
    let word = word.chars().filter(|c| !c.is_control()).take(Reason::MAX_DETAIL).collect();
    (!gateway_ref.is_empty()).then_some(PartReport { gateway_ref, number, state, word })
}

/// A field of the receipt's text; its name in any case, at the beginning or behind a blank.
fn field<'a>(words: &'a str, name: &str) -> Option<&'a str> {
    words.split_whitespace().find_map(|word| {
        let (key, value) = word.split_at_checked(name.len())?;
        (key.eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
    })
}

fn by_word(word: &str) -> Option<ReceiptState> {
    match word.to_ascii_uppercase().as_str() {
        "DELIVRD" => Some(ReceiptState::Delivered),
        "EXPIRED" | "DELETED" | "UNDELIV" | "REJECTD" => Some(ReceiptState::Failed),
        "ACCEPTD" | "ENROUTE" => Some(ReceiptState::Sent),
        _ => None,
    }
}

fn by_state(state: MessageState) -> (Option<ReceiptState>, String) {
    let word = match state {
        MessageState::Scheduled | MessageState::Enroute => "ENROUTE",
        MessageState::Delivered => "DELIVRD",
        MessageState::Expired => "EXPIRED",
        MessageState::Deleted => "DELETED",
        MessageState::Undeliverable => "UNDELIV",
        MessageState::Accepted => "ACCEPTD",
        MessageState::Rejected => "REJECTD",
        _ => "UNKNOWN",
    };
    (by_word(word), word.to_owned())
}

/// The id that the answer to a hand-over gave, in the form in which ids are kept.
pub(super) fn answered_id(id: &str, ids: ReceiptIds) -> String {
    match ids {
        ReceiptIds::AsGiven => id.trim().to_owned(),
        ReceiptIds::Decimal => in_decimal(id, 16),
        ReceiptIds::Hexadecimal => in_decimal(id, 10),
    }
}

fn receipted_id(id: &str, ids: ReceiptIds) -> String {
    match ids {
        ReceiptIds::AsGiven => id.trim().to_owned(),
        ReceiptIds::Decimal => in_decimal(id, 10),
        ReceiptIds::Hexadecimal => in_decimal(id, 16),
    }
}

/// A number in a base as a decimal without leading zeros; what is none stays as it is.
fn in_decimal(id: &str, base: u32) -> String {
    let id = id.trim();
    u128::from_str_radix(id, base).map_or_else(|_| id.to_owned(), |number| number.to_string())
}

fn inbound(deliver: &DeliverSm, class: u8, octets: &[u8], from: String) -> InboundPart {
    let (in_header, octets) = if class & HAS_HEADER == 0 { (None, octets) } else { split_header(octets) };
    InboundPart {
        from,
        to: text::number(deliver.dest_addr_ton, deliver.destination_addr.as_str()),
        coding: u8::from(deliver.data_coding),
        octets: octets.to_vec(),
        place: in_header.or_else(|| in_parameters(deliver)).filter(Place::is_part),
    }
}

impl Place {
    fn is_part(&self) -> bool {
        self.total > 1 && (1..=self.total).contains(&self.number)
    }
}

/// What a header says, and the text behind it (TS 23.040 9.2.3.24).
fn split_header(octets: &[u8]) -> (Option<Place>, &[u8]) {
    let Some((header, text)) =
        octets.split_first().and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)))
    else {
        return (None, octets);
    };
    let mut rest = header;
    while let [kind, length, more @ ..] = rest {
        let Some((element, after)) = more.split_at_checked(usize::from(*length)) else { break };
        match (kind, element) {
            (0, &[reference, total, number]) => {
                return (Some(Place { reference: u16::from(reference), total, number }), text);
            }
            (8, &[high, low, total, number]) => {
                return (Some(Place { reference: u16::from_be_bytes([high, low]), total, number }), text);
            }
            _ => rest = after,
        }
    }
    (None, text)
}

/// The same by optional parameters.
fn in_parameters(deliver: &DeliverSm) -> Option<Place> {
    let mut place = Place { reference: 0, total: 0, number: 0 };
    for value in parameters(deliver) {
        match value {
            TlvValue::SarMsgRefNum(reference) => place.reference = *reference,
            TlvValue::SarTotalSegments(total) => place.total = *total,
            TlvValue::SarSegmentSeqnum(number) => place.number = *number,
            _ => {}
        }
    }
    Some(place)
}

/// An SMS as it is kept: everything that its reading needs. `key` is what it is known by; `pieces` are its parts in order.
#[must_use]
pub fn as_kept(key: &str, (from, to): (&str, &str), pieces: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let pieces: Vec<Value> = pieces
        .iter()
        .map(|(coding, octets)| json!({ "coding": coding, "octets": data_encoding::BASE64.encode(octets) }))
        .collect();
    json!({ "id": key, "from": from, "to": to, "pieces": pieces }).to_string().into_bytes()
}

/// An SMS that was told of in another way, as it is kept.
#[must_use]
pub fn keep(sms: &InboundSms) -> Vec<u8> {
    let octets = sms.text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    as_kept(&sms.gateway_ref, (&sms.from, &sms.to), &[(text::CODING_UCS2, octets)])
}

/// Reads what [`as_kept`] made.
///
/// # Errors
/// [`DecodeError`] when it is something else, or holds no text.
pub fn decode_kept(body: &[u8]) -> Result<InboundSms, DecodeError> {
    let unreadable = DecodeError { code: "inbound.unreadable" };
    let kept: Value = serde_json::from_slice(body).map_err(|_| unreadable)?;
    let text_of = |key: &str| kept[key].as_str().map(str::to_owned).ok_or(unreadable);
    let mut joined: Vec<(u8, Vec<u8>)> = Vec::new();
    for piece in kept["pieces"].as_array().ok_or(unreadable)? {
        let coding = piece["coding"].as_u64().and_then(|coding| u8::try_from(coding).ok()).ok_or(unreadable)?;
        let octets = piece["octets"].as_str().and_then(|octets| data_encoding::BASE64.decode(octets.as_bytes()).ok());
        let octets = octets.ok_or(unreadable)?;
        // Joined before they are read: a character may be cut in two.
        match joined.last_mut() {
            Some((before, all)) if *before == coding => all.extend(octets),
            _ => joined.push((coding, octets)),
        }
    }
    let text: Option<String> = joined.iter().map(|(coding, octets)| text::decode(*coding, octets)).collect();
    Ok(InboundSms {
        gateway_ref: text_of("id")?,
        from: text_of("from")?,
        to: text_of("to")?,
        text: text.ok_or(unreadable)?,
        created_at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusmpp::types::{COctetString, OctetString};
    use rusmpp::values::{DataCoding, EsmClass, Ton};

    fn deliver(class: u8, octets: &[u8], parameters: Vec<TlvValue>) -> DeliverSm {
        let mut deliver = DeliverSm::builder()
            .source_addr_ton(Ton::International)
            .source_addr("46701740605".parse().unwrap())
            .dest_addr_ton(Ton::International)
            .destination_addr("46766860000".parse().unwrap())
            .esm_class(EsmClass::from(class))
            .data_coding(DataCoding::from(0))
            .short_message(OctetString::from_slice(octets).unwrap())
            .build();
        for parameter in parameters {
            match parameter {
                TlvValue::ReceiptedMessageId(id) => {
                    deliver.push_tlv(rusmpp::tlvs::MessageDeliveryRequestTlvValue::ReceiptedMessageId(id));
                }
                TlvValue::MessageState(state) => {
                    deliver.push_tlv(rusmpp::tlvs::MessageDeliveryRequestTlvValue::MessageState(state));
                }
                TlvValue::SarMsgRefNum(value) => {
                    deliver.push_tlv(rusmpp::tlvs::MessageDeliveryRequestTlvValue::SarMsgRefNum(value));
                }
                TlvValue::SarTotalSegments(value) => {
                    deliver.push_tlv(rusmpp::tlvs::MessageDeliveryRequestTlvValue::SarTotalSegments(value));
                }
                TlvValue::SarSegmentSeqnum(value) => {
                    deliver.push_tlv(rusmpp::tlvs::MessageDeliveryRequestTlvValue::SarSegmentSeqnum(value));
                }
                other => panic!("{other:?}"),
            }
        }
        deliver
    }

    fn id(text: &str) -> COctetString<1, 65> {
        text.parse().unwrap()
    }

    #[test]
    fn receipts_are_read_as_gateways_write_them() {
        let table: [(&str, &str, Option<ReceiptState>, &str); 6] = [
            (
                "id:42 sub:001 dlvrd:001 submit date:2611200231 done date:2611200231 stat:DELIVRD err:000 text:Polisen",
                "42",
                Some(ReceiptState::Delivered),
                "DELIVRD",
            ),
            ("id:42 stat:UNDELIV err:034 text:id:99", "42", Some(ReceiptState::Failed), "UNDELIV err:034"),
            ("id:42 Stat:EXPIRED Err:000", "42", Some(ReceiptState::Failed), "EXPIRED"),
            ("ID:42 stat:ENROUTE", "42", Some(ReceiptState::Sent), "ENROUTE"),
            ("id:42 stat:UNKNOWN", "42", None, "UNKNOWN"),
            ("id:42 stat:Funnet", "42", None, "Funnet"),
        ];
        for (words, gateway_ref, state, word) in table {
            let Incoming::Report(report) = read(&deliver(0x04, words.as_bytes(), vec![]), ReceiptIds::AsGiven) else {
                panic!("{words}")
            };
            assert_eq!((report.gateway_ref.as_str(), report.state, report.word.as_str()), (gateway_ref, state, word));
            assert_eq!(report.number, "+46701740605");
        }
        for words in ["", "stat:DELIVRD", "id:42", "id: stat:"] {
            let read = read(&deliver(0x04, words.as_bytes(), vec![]), ReceiptIds::AsGiven);
            assert_eq!(read, Incoming::UnreadableReport, "{words}");
        }
    }

    #[test]
    fn a_receipt_may_come_as_optional_parameters_alone() {
        let parameters =
            vec![TlvValue::ReceiptedMessageId(id("a1")), TlvValue::MessageState(MessageState::Undeliverable)];
        let Incoming::Report(report) = read(&deliver(0x04, b"", parameters), ReceiptIds::AsGiven) else { panic!() };
        assert_eq!((report.gateway_ref.as_str(), report.state), ("a1", Some(ReceiptState::Failed)));
    }

    #[test]
    fn ids_in_decimal_and_hexadecimal_are_compared_as_the_setting_says() {
        assert_eq!(answered_id("1A2B", ReceiptIds::Decimal), "6699");
        assert_eq!(receipted_id("0000006699", ReceiptIds::Decimal), "6699");
        assert_eq!(answered_id("6699", ReceiptIds::Hexadecimal), "6699");
        assert_eq!(receipted_id("00001a2b", ReceiptIds::Hexadecimal), "6699");
        assert_eq!(answered_id("inget-tal", ReceiptIds::Decimal), "inget-tal");
        assert_eq!(receipted_id("1A2B", ReceiptIds::AsGiven), "1A2B");
        let both = deliver(0x04, b"id:6699 stat:DELIVRD", vec![TlvValue::ReceiptedMessageId(id("1A2B"))]);
        let Incoming::Report(report) = read(&both, ReceiptIds::Decimal) else { panic!() };
        assert_eq!(report.gateway_ref, "6699", "the parameter is in the form of the answer");
    }

    #[test]
    fn parts_of_a_long_sms_are_known_by_header_or_by_parameters() {
        let table: [(&[u8], Option<Place>, &[u8]); 5] = [
            (&[5, 0, 3, 9, 2, 1, 0x41], Some(Place { reference: 9, total: 2, number: 1 }), &[0x41]),
            (&[6, 8, 4, 1, 2, 3, 3, 0x41], Some(Place { reference: 258, total: 3, number: 3 }), &[0x41]),
            (&[8, 1, 1, 7, 0, 3, 9, 2, 2, 0x41], Some(Place { reference: 9, total: 2, number: 2 }), &[0x41]),
            (&[5, 0, 3, 9, 2, 3, 0x41], None, &[0x41]),
            (&[200, 0, 3], None, &[200, 0, 3]),
        ];
        for (octets, place, text) in table {
            let Incoming::Sms(sms) = read(&deliver(0x40, octets, vec![]), ReceiptIds::AsGiven) else { panic!() };
            assert_eq!((sms.place, sms.octets.as_slice()), (place, text), "{octets:?}");
        }
        let parameters = vec![TlvValue::SarMsgRefNum(7), TlvValue::SarTotalSegments(2), TlvValue::SarSegmentSeqnum(2)];
        let Incoming::Sms(sms) = read(&deliver(0, b"A", parameters), ReceiptIds::AsGiven) else { panic!() };
        assert_eq!(sms.place, Some(Place { reference: 7, total: 2, number: 2 }));
    }

    #[test]
    fn a_kept_sms_is_read_with_its_parts_joined_before_they_are_decoded() {
        let pieces = [(8, vec![0xd8, 0x3d]), (8, vec![0xde, 0x97])];
        let sms = decode_kept(&as_kept("k", ("+46701740605", "+46766860000"), &pieces)).unwrap();
        assert_eq!((sms.text.as_str(), sms.gateway_ref.as_str()), ("🚗", "k"));
        assert!(decode_kept(b"\x00\x01").is_err());
        assert!(decode_kept(&as_kept("k", ("a", "b"), &[(4, vec![1])])).is_err(), "data is no text");
    }
}
