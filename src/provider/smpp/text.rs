//! Owns how a text, an address and a time stand in an SMPP hand-over, and how a text is read out of what came in.
//!
//! Where a text is cut is `domain::sms_text`'s. Invariant: parts are cut exactly where they are counted and priced.
//!
//! Sources: 3GPP TS 23.038 6.2.1, TS 23.040 9.2.3.24.1 (parts with an 8-bit reference), SMPP 3.4 5.2.5, 5.2.19, 7.1.1.

use rusmpp::values::{Npi, Ton};

use crate::domain::phone::PhoneNumber;
use crate::domain::sms_text::{DEFAULT_ALPHABET, EXTENSION, Encoding, SmsText, gsm7_code};

/// The gateway's default alphabet; ours is the GSM 7-bit one, an octet for each septet.
pub(super) const CODING_DEFAULT: u8 = 0x00;
/// UCS-2, in practice UTF-16BE.
pub(super) const CODING_UCS2: u8 = 0x08;
const ESCAPE: u8 = 0x1b;
/// The longest validity that is asked for, in seconds: 30 days.
const LONGEST: i64 = 30 * 86_400;

/// One part of an SMS as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextPart {
    /// data_coding.
    pub(super) coding: u8,
    /// short_message, with its header where there are several parts.
    pub(super) octets: Vec<u8>,
    /// Whether it begins with a header.
    pub(super) has_header: bool,
}

/// A text in its parts, all of them with the same `reference`; `None` for what is no text.
pub(super) fn parts(text: &str, reference: u8) -> Option<Vec<TextPart>> {
    let text = SmsText::parse(text).ok().filter(|text| !text.is_empty())?;
    let coding = match text.segmentation().encoding {
        Encoding::Gsm7 => CODING_DEFAULT,
        Encoding::Ucs2 => CODING_UCS2,
    };
    let pieces = text.part_texts();
    let total = u8::try_from(pieces.len()).ok()?;
    let parts = pieces.iter().zip(1_u8..).map(|(piece, number)| {
        let header: &[u8] = if total > 1 { &[5, 0, 3, reference, total, number] } else { &[] };
        TextPart { coding, octets: [header, &octets(piece, coding)].concat(), has_header: total > 1 }
    });
    Some(parts.collect())
}

fn octets(text: &str, coding: u8) -> Vec<u8> {
    if coding == CODING_UCS2 {
        return text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    }
    let mut octets = Vec::with_capacity(text.len());
    for code in text.chars().filter_map(gsm7_code) {
        if code.escaped {
            octets.push(ESCAPE);
        }
        octets.push(code.septet);
    }
    octets
}

/// A text that came in; `None` for what is no text, such as data for a SIM card. NUL is left out.
pub(super) fn decode(coding: u8, octets: &[u8]) -> Option<String> {
    let text = match coding {
        0x00 if octets.iter().all(u8::is_ascii) => from_gsm7(octets),
        // A gateway whose default alphabet is another sends Latin 1 for what GSM has no octet for.
        0x00 | 0x01 | 0x03 => octets.iter().map(|octet| char::from(*octet)).collect(),
        0x08 => from_utf16(octets),
        // General data coding with a class (TS 23.038 4): bits 3 and 2 are the alphabet.
        0x10..=0x3f => match coding & 0x0c {
            0x00 => from_gsm7(octets),
            0x08 => from_utf16(octets),
            _ => return None,
        },
        0xf0..=0xff if coding & 0x04 == 0 => from_gsm7(octets),
        _ => return None,
    };
    Some(text.replace('\0', ""))
}

fn from_gsm7(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut octets = octets.iter().map(|octet| octet & 0x7f);
    while let Some(octet) = octets.next() {
        let escaped = if octet == ESCAPE { octets.next() } else { None };
        let extended = escaped.and_then(|after| EXTENSION.iter().find(|(_, septet)| *septet == after));
        match (extended, escaped) {
            (Some((character, _)), _) => text.push(*character),
            // A phone shows what it does not know without the escape (TS 23.038 6.2.1.1).
            (None, Some(after)) => text.push(DEFAULT_ALPHABET[usize::from(after)]),
            (None, None) if octet == ESCAPE => {}
            (None, None) => text.push(DEFAULT_ALPHABET[usize::from(octet)]),
        }
    }
    text
}

fn from_utf16(octets: &[u8]) -> String {
    let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// A number (E.164) or a text sender as an address: its type, its plan and its characters.
pub(super) fn address(sender: &str) -> (Ton, Npi, &str) {
    match sender.strip_prefix('+') {
        Some(digits) => (Ton::International, Npi::Isdn, digits),
        None => (Ton::Alphanumeric, Npi::Unknown, sender),
    }
}

/// An address that came in, as a number (E.164) where it is one.
pub(super) fn number(ton: Ton, address: &str) -> String {
    let is_digits = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_digit());
    match ton {
        Ton::Alphanumeric => address.to_owned(),
        _ if !is_digits => address.to_owned(),
        Ton::International => format!("+{}", address.strip_prefix("00").unwrap_or(address)),
        _ if address.starts_with('0') => {
            PhoneNumber::parse(address).map_or_else(|_| address.to_owned(), |number| number.e164().to_owned())
        }
        // Short codes stay what they are.
        _ if address.len() < 8 => address.to_owned(),
        _ => format!("+{address}"),
    }
}

/// How long the gateway may try, as a relative time: 16 characters. At least a minute.
pub(super) fn validity(seconds: i64) -> String {
    let seconds = seconds.clamp(60, LONGEST);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    format!("0000{days:02}{hours:02}{:02}{:02}000R", seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn swedish_and_the_euro_sign_go_in_the_default_alphabet() {
        let parts = parts("Åäö €", 7).unwrap();
        let octets = vec![0x0e, 0x7b, 0x7c, 0x20, 0x1b, 0x65];
        assert_eq!(parts, [TextPart { coding: 0, octets, has_header: false }]);
    }

    #[test]
    fn a_letter_outside_it_takes_the_whole_text_to_ucs_2_in_parts_of_67() {
        let parts = parts(&"š".repeat(135), 0xa5).unwrap();
        let shapes: Vec<_> =
            parts.iter().map(|part| (part.coding, part.octets.len(), part.octets[..6].to_vec())).collect();
        let header = |number| vec![5, 0, 3, 0xa5, 3, number];
        assert_eq!(shapes, [(8, 140, header(1)), (8, 140, header(2)), (8, 8, header(3))]);
        assert!(parts.iter().all(|part| part.has_header));
    }

    #[test]
    fn a_part_of_the_default_alphabet_has_153_septets_behind_its_header() {
        let parts = parts(&"a".repeat(307), 1).unwrap();
        assert_eq!(parts.iter().map(|part| part.octets.len()).collect::<Vec<_>>(), [159, 159, 7]);
    }

    #[test]
    fn texts_that_come_in_are_read_by_their_coding() {
        let table: [(u8, &[u8], Option<&str>); 9] = [
            (0x00, &[0x53, 0x54, 0x4f, 0x50], Some("STOP")),
            (0x00, &[0x0e, 0x7b, 0x1b, 0x65], Some("Åä€")),
            (0x00, &[0xc5, 0x72, 0x65], Some("Åre")),
            (0x03, &[0xe5, 0xe4, 0xf6], Some("åäö")),
            (0x08, &[0xd8, 0x3d, 0xde, 0x97, 0x00, 0x41], Some("🚗A")),
            (0x08, &[0xd8, 0x3d], Some("\u{fffd}")),
            (0xf0, &[0x7c], Some("ö")),
            (0xf5, &[0x01], None),
            (0x04, &[0x01], None),
        ];
        for (coding, octets, expected) in table {
            assert_eq!(decode(coding, octets).as_deref(), expected, "{coding:#x} {octets:?}");
        }
    }

    #[test]
    fn addresses_say_what_they_are() {
        assert_eq!(address("+46766860000"), (Ton::International, Npi::Isdn, "46766860000"));
        assert_eq!(address("Polisen"), (Ton::Alphanumeric, Npi::Unknown, "Polisen"));
        let table = [
            (Ton::International, "46701740605", "+46701740605"),
            (Ton::International, "0046701740605", "+46701740605"),
            (Ton::Unknown, "46701740605", "+46701740605"),
            (Ton::National, "0701740605", "+46701740605"),
            (Ton::Alphanumeric, "Telia", "Telia"),
            (Ton::Unknown, "71200", "71200"),
            (Ton::International, "+46701740605", "+46701740605"),
        ];
        for (ton, given, expected) in table {
            assert_eq!(number(ton, given), expected, "{ton:?} {given}");
        }
    }

    #[test]
    fn the_validity_is_what_is_left_until_the_alert_ends() {
        assert_eq!(validity(4 * 3_600), "000000040000000R");
        assert_eq!(validity(7 * 86_400 + 61), "000007000101000R");
        assert_eq!(validity(-5), "000000000100000R");
    }

    proptest! {
        #[test]
        fn what_goes_out_comes_back_the_same(text in "[a-zåäöÅÄÖ€\\[\\]{}~^|\\\\ š🚗]{1,400}") {
            let Some(parts) = parts(&text, 9) else { return Ok(()) };
            let octets: Vec<u8> = parts.iter().flat_map(|part| part.octets[if part.has_header { 6 } else { 0 }..].to_vec()).collect();
            let normal = SmsText::parse(&text).unwrap();
            prop_assert_eq!(decode(parts[0].coding, &octets).unwrap(), normal.as_str());
            prop_assert_eq!(parts.len(), normal.segmentation().parts);
        }
    }
}
