//! Any octets as an incoming mail: taking it apart and telling what it means ends, with something, whatever they are.

#![no_main]

use grannpost::domain::bounce;
use grannpost::domain::incoming_mail::without_quotes;
use grannpost::inbound::mime;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let mail = mime::read(octets);
    let _ = bounce::read(&mail);
    let _ = without_quotes(&mail.text);
    let _ = mail.references();
});
