//! Owns the repair of text that was UTF-8 and was read as Windows-1252 or Mac OS Roman somewhere on the way.
//!
//! It does not guess: the text is repaired only when its bytes are valid UTF-8 and the result holds letters that
//! people's names have here. Invariant: text without such letters after repair is left alone.

use encoding_rs::{Encoding, MACINTOSH, WINDOWS_1252};
use unicode_normalization::UnicodeNormalization;

/// How many times text is taken to have gone wrong.
const MAX_TIMES: usize = 3;

/// The repaired text, `None` when there is nothing to repair. Text that went wrong several times is repaired as often.
#[must_use]
pub fn repaired(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let composed: String = text.nfc().collect();
    repaired_times(&composed, MAX_TIMES)
}

fn repaired_times(text: &str, times: usize) -> Option<String> {
    if times == 0 {
        return None;
    }
    [WINDOWS_1252, MACINTOSH].into_iter().find_map(|encoding| {
        let read = reread(text, encoding)?;
        let is_whole = || read.nfc().any(is_letter_of_names);
        repaired_times(&read, times - 1).or_else(|| is_whole().then(|| read.clone()))
    })
}

/// `text` back to bytes in `encoding`, and those read as UTF-8, when they hold anything but ASCII.
fn reread(text: &str, encoding: &'static Encoding) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() || ('\u{80}'..='\u{9f}').contains(&c) {
            bytes.push(u8::try_from(u32::from(c)).ok()?);
            continue;
        }
        let mut buffer = [0; 4];
        let (encoded, _, has_unmappable) = encoding.encode(c.encode_utf8(&mut buffer));
        match (&*encoded, has_unmappable) {
            ([byte], false) => bytes.push(*byte),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok().filter(|read| !read.is_ascii())
}

fn is_letter_of_names(c: char) -> bool {
    "åäöÅÄÖéÉèÈüÜøØæÆáÁíÍóÓúÚñÑëËïÏçÇšŠžŽčČłŁß".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_read_as_another_encoding_is_repaired() {
        for (broken, whole) in [
            ("Birgitta MÃ¥rtensson", "Birgitta Mårtensson"),
            ("SjÃ¶vÃ¤gen 35", "Sjövägen 35"),
            ("Ã…sa Ã–berg", "Åsa Öberg"),
            ("Ã\u{85}sa Ã\u{96}berg", "Åsa Öberg"),
            ("LinnÃ©a", "Linnéa"),
            ("BjÃƒÂ¶rn", "Björn"),
            ("M√•rtensson", "Mårtensson"),
            ("MA\u{303}¥rtensson", "Mårtensson"),
        ] {
            assert_eq!(repaired(broken).as_deref(), Some(whole), "{broken}");
        }
    }

    #[test]
    fn text_that_is_right_is_left_alone() {
        for text in ["Åsa Öberg", "Anna Hedin", "Ã", "50 £", "Rūta Kazlauskienė", "Liam O’Hara", "A\u{30a}ke", ""]
        {
            assert_eq!(repaired(text), None, "{text}");
        }
    }
}
