//! Any octets as what a gateway brings to its hooks: decoding ends, whatever they are, and so does reading the text of an SMS: commands,
//! parts, what stands out, what it weighs.

#![no_main]

use grannpost::domain::observation::{fills_a_part, is_urgent, marks};
use grannpost::domain::phone::PhoneNumber;
use grannpost::domain::reply::command;
use grannpost::domain::sms_text::SmsText;
use grannpost::provider::elks::{decode_inbound, decode_receipt, encode_inbound};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _ = decode_receipt(octets);
    let Ok(sms) = decode_inbound(octets) else { return };
    // What a history tells of an SMS must be known again when the hook brings it.
    let again = decode_inbound(&encode_inbound(&sms)).expect("what was understood is understood again");
    assert_eq!(again.gateway_ref, sms.gateway_ref);
    assert_eq!(again.text, sms.text);
    let _ = PhoneNumber::parse(&sms.from);
    for may_confirm in [true, false] {
        let _ = command(&sms.text, may_confirm);
    }
    let _ = fills_a_part(&sms.text);
    let _ = is_urgent(&sms.text, &["kniv".to_owned(), "han är här".to_owned()]);
    for mark in marks(&sms.text, &[], &["kniv".to_owned()]) {
        assert!(sms.text.get(mark.start..mark.end).is_some(), "a mark begins and ends between characters");
    }
    if let Ok(text) = SmsText::parse(&sms.text) {
        let _ = text.segmentation();
        let _ = text.part_texts();
    }
});
