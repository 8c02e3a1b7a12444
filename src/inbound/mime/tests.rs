use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::domain::bounce::{self, Meaning};

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bounces")
}

#[test]
fn every_mail_of_the_collection_means_what_its_table_says() {
    let expected = std::fs::read_to_string(fixtures().join("expected.tsv")).unwrap();
    let mut wrong = String::new();
    let mut files = 0;
    for line in expected.lines().filter(|line| !line.starts_with('#')) {
        let (file, expected) = line.split_once('\t').unwrap();
        let raw = std::fs::read(fixtures().join(file)).unwrap();
        let meaning = bounce::read(&read(&raw));
        let found = match &meaning {
            Meaning::Failed { finding, .. } => finding.verdict.code(),
            other => other.code(),
        };
        files += 1;
        if found != expected {
            writeln!(wrong, "{file}: {expected}, not {found}: {meaning:?}").unwrap();
        }
    }
    let all = std::fs::read_dir(fixtures())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "eml"));
    assert_eq!(files, all.count(), "every mail has its line in the table");
    assert_eq!(wrong, "");
}

#[test]
fn the_letter_that_came_back_is_named_by_its_headers_wherever_they_stand() {
    let report = b"Content-Type: multipart/report; boundary=\"b;1\"\n\n--b;1\n\nUndelivered\n--b;1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\nOriginal-Envelope-Id: abc\n\nAction: failed\nStatus: 5.1.1\n\n--b;1\nContent-Type: text/rfc822-headers\n\nMessage-ID: <one@example.org>\nReturn-Path: <bounce+x@example.org>\n--b;1--\n";
    assert_eq!(read(report).references(), ["abc", "<bounce+x@example.org>", "<one@example.org>"]);
    let old = b"From: MAILER-DAEMON@example.org\n\n<a@example.org>: no mailbox\n\n--- Below this line is a copy of the message.\n\nMessage-ID: <two@example.org>\n";
    assert_eq!(read(old).references(), ["<two@example.org>"]);
    let reply = b"In-Reply-To: <three@example.org>\nReferences: <zero@example.org>\n <three@example.org>\n\nHej";
    assert_eq!(read(reply).references(), ["<three@example.org>", "<zero@example.org> <three@example.org>"]);
}

#[test]
fn text_is_read_in_its_charset_and_out_of_html() {
    let latin = b"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nOk=E4nd mottagare";
    assert_eq!(read(latin).text, "Okänd mottagare");
    let html = "Subject: =?UTF-8?Q?Fr=C3=A5nvaro?=\nContent-Type: text/html; charset=nonsense-9\n\n<p>Jag såg <b>bilen</b></p>";
    let mail = read(html.as_bytes());
    assert_eq!((mail.text.trim(), mail.headers.get("subject")), ("Jag såg bilen", Some("Frånvaro")));
    let eight_bit = b"Subject: R\xe4ksm\xf6rg\xe5s\r\rSmall \0 text";
    let mail = read(eight_bit);
    assert_eq!((mail.headers.get("subject"), mail.text.trim()), (Some("Räksmörgås"), "Small   text"));
}

#[test]
fn bombs_are_read_within_their_limits() {
    let nested = (0..1_000).fold(String::new(), |mut mail, at| {
        let _ = write!(mail, "Content-Type: multipart/mixed; boundary=b{at}\n\n--b{at}\n");
        mail
    });
    let rfc822 = "Content-Type: message/rfc822\n\n".repeat(20_000);
    let parts = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(60_000));
    let headers = format!("{}\nbody", "A: b\n".repeat(90_000));
    let folded = format!("Subject: a\n{}\nbody", " b\n".repeat(150_000));
    let html = format!("Content-Type: text/html\n\n{}", "<div>".repeat(100_000));
    let words = format!("Subject: {}\n\nbody", "=?utf-8?q?=?=".repeat(30_000));
    let nul = "\0".repeat(400_000);
    for bomb in [nested, rfc822, parts, headers, folded, html, words, nul] {
        let started = std::time::Instant::now();
        let mail = read(bomb.as_bytes());
        let _ = bounce::read(&mail);
        assert!(mail.text.len() <= TEXT && mail.headers.0.len() <= FIELDS);
        assert!(started.elapsed().as_secs() < 5, "{}", &bomb[..60]);
    }
}

proptest::proptest! {
    #[test]
    fn any_octets_are_read(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..2_000)) {
        let _ = bounce::read(&read(&raw));
    }
}

/// The collection with octets changed, cut and doubled: what a fuzzer would begin with, within the ordinary tests.
#[test]
fn every_mail_of_the_collection_may_be_broken_in_any_way() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % (below.max(1) as u64)).unwrap()
    };
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let whole = std::fs::read(entry.unwrap().path()).unwrap();
        for _ in 0..12 {
            let mut broken = whole[..next(whole.len()) + 1].to_vec();
            for _ in 0..next(20) {
                let at = next(broken.len());
                match next(4) {
                    0 => broken[at] = u8::try_from(next(256)).unwrap(),
                    1 => broken.insert(at, b"\0\r\n:-=;\"\xff "[next(10)]),
                    2 => drop(broken.drain(at..(at + next(30)).min(broken.len()))),
                    _ => {
                        let again = broken[at..(at + next(200)).min(broken.len())].to_vec();
                        broken.splice(at..at, again);
                    }
                }
                if broken.is_empty() {
                    broken.push(b'\n');
                }
            }
            let _ = bounce::read(&read(&broken));
        }
    }
}
