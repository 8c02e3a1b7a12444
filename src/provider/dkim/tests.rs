use ed25519_dalek::{Signature, SigningKey, Verifier, VerifyingKey};
use sha2::{Digest, Sha256};

use super::*;
use crate::provider::mail_message::{compose, tests::letter};

/// Made for these tests and used nowhere: PKCS #8, as OpenSSL 3 writes it.
const RSA_PKCS8: &str = "-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCcwP5Cnv9jSLrS
5MgtC88EBbmAfqs62HzcvjLpB52ZcCUiBSxKE/qpRRQ/h/JV1U7k09SyKT1+hHfh
bQ+NWWW+FNgUQlS2o6vOehuayivlBtVzwMUktRoMIgroXL/GSa7qImhRb+1hiXpg
LltgjUfhnbn4YgnVui5IqjLEGXyRH18JwpJs4V5p/1zKGQkDh1lV4SOAyqYHJiom
vKnBYuN/y6z+M7PpTAc7yCBAPJCPjV1Iu/sw4XY1uwEBj9dLp5iBfF0hqZKxIsJ/
LvlEITQGWA4tW0nIVfXP0STrQDYd2z737t8bpNbKZFydBFRyZ+5W7gcVvllT86oO
BticmS/nAgMBAAECggEAChZMDL4N9PXurV7y8YPwUYClNC5/Vun5RJYDhHksr2Pt
XjGTOb2F/iBUXu9tudx5107SwcsJyoG8WlstMSB4fbfHEEXhpqxRarGMsJrKIh+D
Ww+js0RPxbBN7GL5JXzpweZVH5YPLzbseZKYgO+TTK9ckse+sBK37/Qhdsele1i9
pMBJvJIS9fez00tM/NnAZY36XhDb9Z98kWDGJgVj/zouSxYrVqNN9otwl+Lqd5Oz
0NcsCx1/lImzJj5EdXRWY1IM7aL8HW2o8DgRUNpwPPUw12uuRihZ12tAnrv1+iFv
6xtN6C8ttkhcdcP/btiMKk2pWym/GxYXS0kke5TOHQKBgQDdrmJlaYp9sopvzOLb
UHSLsgf4f+/0d/Ee1X2JDfoSUKaI5DdlJEXBlh7RE/FLaoikQph7JzdkK5Sk7Dxt
8YgaydA49uOGiHNzPfa15K472ZdF0lT4CJ0c+pm0iA2vlOMC1WwThfOIwgxu3A+1
SAf7scTiZGRUzLHnLIvfF2nc0wKBgQC1BWzhrxcF6ZlfMdhVc0qGcR7zNxilFg3+
tKA83GY8dls5vm41QxapYMnOl3tOguu2vSzZaqoFra7kZmL/8OuFb28uV3GVR1W+
y+4q83ZgF2VuhX8sBSPGNIUFMzm302uUGhu75mKWE5TDFA9DmwPneQv0O4vi9TzS
PvdApMykHQKBgAdBauUI1EiS7GcGXLJy6q2b0Rj4DwGAX3rz39z5gSLSUvEODyYX
TtUsNawALBiczwYZS+ZT/UMhDgdr1/p9OkguLMuAgSfpFWZDM+z2JCG/WG0nmjJY
DdRh+1/mSBRkGh4AoD3vV241c7S5LSZwyhoZ0mjaglIoNPZtBdLycDuTAoGBAKuO
LrhcFXe3AXGkbZ/eGbz8LBbYGnUqR60iRdIoFoQqrx40iYHUyP9RCTDPgz7O+NFA
y+ZpHiUvi1ZOanihPLRC/Z1vpeeRqYOfBWKTRZaf1bM+tV1kqZjIYWCiQYsjxQqh
C7OyDbCpcgzHUAgEO1j98QRQAqzfOfsPTYhoJsFJAoGAGzakVqZs+2uhWKv9R/pK
+FSDiBmoKsSEVTeZDlOEeduLw7DJv8g/PrKxqXAGRBU332QSGlCdX2Wky3zKR1l7
jDGZDPAZn3wRwpMjMUBgW9o7bm0voL5PpyAK6S2/isy3GTI+yiQULRwDKbjYPPLz
cO7wi0ZiaZ63WaWSKMckFWs=
-----END PRIVATE KEY-----";
const RSA_1024: &str = "-----BEGIN PRIVATE KEY-----
MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBANVqgvkK7P4Wgr7g
mQ/XRAnZAZ+DI9DdHYhCiHGwp8WybNXKQ3IZJAvTteiW8pABwLkGu5sdjBj7j1ci
hB8qFJjFXHHYvMvHgu3Yvh3tNHDM7ODS4LQ9at1D1yntMxTSgk/bgPzV5TAo/6nb
ht2ocqI/VclIK/ntvC+s9el3wSwlAgMBAAECgYB0KBK9JdszuGDVLz1fx9R6X6ho
f2IBDjhCr6O/7VyDV8ew3PO0qEZcQZCi1XWUN8ADdMyrcnuMJW8xB9JNfAPU27CB
tF44wc15u/BQrSy4CI/zkeZPBkRjWgBQ93429nUsSoeAiAzLphHAbjbpX/dczyMj
pM01qP0qW0FVuGvgAQJBAPkt+NNOCzdw92Cqt3fZuQPjQgtfTe7lRuCsNMOmlYWK
hWHk4LkSRaElvqH7mAd4dI9jrMjtEVqMMTDd9P/zNAECQQDbQfDa1MGupF/1lcV4
SXEOEKrAX1wykJl8KP+kVktHFPeBSmLSl0OPoqOHHd7KuierYbEwQCsWyqHbTfYX
eqglAkEAlucBXq5P2qZ+GbupWlqvUixpzctMvhV55AxF9ArJWFM4Tb23Xj0zj9D0
7tIYEsYfCMtbU19GeCiYjbiNbAfUAQJAUmeDFUu3C2Md6ZgDooS/p9CdzDVK2no8
JUznX6VLH4kCyKXjZFCThM1UdnjEfh7ev+u0g3TqfONlV54CaqqfvQJAHsf3pmYa
ircz+Xq9IsH7d+SsDy5Vu5AiLzJxkGlit/cyavYg5P/j3obcX0N4ga77dPZ6GMkU
HbGP6qoQ4ZDy0g==
-----END PRIVATE KEY-----";
const ED25519_PKCS8: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIMSa/AabnNVtaqu5c7N1O3TK+E84CNgeek66WoZjdEXO
-----END PRIVATE KEY-----";

fn mail_config(key: &str) -> config::Mail {
    let text =
        format!("[mail]\ndkim_domain = \"example.org\"\ndkim_selector = \"brev2026\"\ndkim_key = \"\"\"{key}\"\"\"");
    config::from_toml(&[&text]).unwrap().mail
}

/// The key as PKCS #1, the other form OpenSSL has written.
fn pkcs1(pkcs8: &str) -> String {
    let der = read_pem(pkcs8, "PRIVATE KEY").unwrap();
    let key = BASE64.encode(read_pkcs8(&der).unwrap().1);
    format!("-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----")
}

#[test]
fn keys_are_read_in_the_forms_people_have_them_in() {
    let seed = BASE64.encode(&[7; 32]);
    for key in [RSA_PKCS8, &pkcs1(RSA_PKCS8), ED25519_PKCS8, &seed, &format!("  {seed}\n")] {
        assert!(Signer::new(&mail_config(key)).unwrap().is_some(), "{key}");
    }
    assert!(Signer::new(&config::from_toml(&[]).unwrap().mail).unwrap().is_none());
}

#[test]
fn a_key_that_cannot_sign_is_found_at_once_and_never_shown() {
    let short = BASE64.encode(&[7; 31]);
    for key in ["hemlig nyckel", &short, RSA_1024, &pkcs1(RSA_1024), &RSA_PKCS8[..400], &RSA_PKCS8.replace('M', "A")] {
        let error = Signer::new(&mail_config(key)).unwrap_err();
        assert_eq!(error.code(), "mail.dkim_unusable", "{key}");
        assert!(error.to_string().starts_with("mail.dkim_key: ") && !error.to_string().contains("hemlig"));
    }
    let mut wrong_domain = mail_config(&BASE64.encode(&[7; 32]));
    wrong_domain.dkim_domain = "example.org; x=y".to_owned();
    assert!(Signer::new(&wrong_domain).unwrap_err().to_string().starts_with("mail.dkim_domain: "));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_key_reader_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = read_pkcs8(&bytes);
        let _ = read_tlv(0x30, &bytes);
        let _ = read_key(&String::from_utf8_lossy(&bytes));
        let pem = format!("-----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY-----", BASE64.encode(&bytes));
        let _ = read_key(&pem);
    }
}

#[test]
fn a_signed_letter_passes_a_verifier_of_our_own_and_a_changed_one_does_not() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signer = Signer::new(&mail_config(&BASE64.encode(&key.to_bytes()))).unwrap();
    for html in [letter().html, None] {
        let mut mail = letter();
        mail.subject = "Brev från Åre, läs noga: ".repeat(12);
        mail.html = html;
        let signed = String::from_utf8(compose(&mail, signer.as_ref()).unwrap().message).unwrap();
        assert_eq!(verify(&signed, &key.verifying_key()), Ok(()));
        let changes = [
            ("To: ", "To: X "),
            ("Date: ", "Date: X"),
            ("List-Unsubscribe: ", "List-Unsubscribe: X"),
            ("Content-Type: ", "Content-Type: x"),
            ("Message-ID: <", "Message-ID: <x"),
        ];
        for (original, changed) in changes {
            assert_eq!(
                verify(&signed.replacen(original, changed, 1), &key.verifying_key()),
                Err("signature"),
                "{original}"
            );
        }
        let reply_to_added = format!("Reply-To: thief@example.com\r\n{signed}");
        assert_eq!(verify(&reply_to_added, &key.verifying_key()), Err("signature"));
        assert_eq!(verify(&signed.replacen("\r\n\r\n", "\r\n\r\nX", 1), &key.verifying_key()), Err("body"));
    }
}

/// Relaxed/relaxed verification after RFC 6376 3.4 and 3.7, written apart from the signer.
fn verify(message: &str, key: &VerifyingKey) -> Result<(), &'static str> {
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    let mut headers: Vec<String> = Vec::new();
    for line in head.split("\r\n") {
        if line.starts_with([' ', '\t']) {
            headers.last_mut().unwrap().push_str(line);
        } else {
            headers.push(line.to_owned());
        }
    }
    let relaxed: Vec<(String, String)> = headers
        .iter()
        .map(|header| header.split_once(':').unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    let signature = &relaxed.iter().find(|(name, _)| name == "dkim-signature").unwrap().1;
    let tag = |name: &str| {
        let field = signature.split(';').map(str::trim).find_map(|field| field.strip_prefix(&format!("{name}=")));
        field.unwrap().replace(' ', "")
    };
    assert_eq!((tag("a"), tag("d"), tag("s")), ("ed25519-sha256".into(), "example.org".into(), "brev2026".into()));
    let mut lines: Vec<String> = body
        .split("\r\n")
        .map(|line| line.split([' ', '\t']).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" "))
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let body: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    if BASE64.encode(&Sha256::digest(body.as_bytes())) != tag("bh") {
        return Err("body");
    }
    let mut data = String::new();
    for name in tag("h").split(':') {
        // The lowest instance is the signed one; a second of the same name is not in our letters.
        if let Some((_, value)) = relaxed.iter().rev().find(|(found, _)| found == name) {
            data.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    let (unsigned, _) = signature.split_once(" b=").unwrap();
    data.push_str(&format!("dkim-signature:{unsigned} b="));
    let bytes = BASE64.decode(tag("b").as_bytes()).unwrap();
    let signature = Signature::from_slice(&bytes).unwrap();
    key.verify(&Sha256::digest(data.as_bytes()), &signature).map_err(|_| "signature")
}
