//! Owns the way from bytes to characters: which encoding a file has, and decoding it block by block.
//!
//! It does not repair text that was decoded wrongly before it came here (see `mojibake`). Invariant: a byte sequence
//! that is invalid in the encoding becomes U+FFFD, which no later step stores without asking.

use encoding_rs::{CoderResult, Encoding};

use super::FileError;

/// Bytes decoded at a time.
const BLOCK: usize = 64 * 1024;
/// Bytes looked at to tell UTF-16 and binary files.
const SAMPLE: usize = 64 * 1024;

/// Encodings that registers come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// UTF-16, little end first.
    Utf16Le,
    /// UTF-16, big end first.
    Utf16Be,
    /// Windows-1252, and its part ISO 8859-1.
    Windows1252,
    /// Mac OS Roman.
    Macintosh,
}

impl TextEncoding {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Utf8, Self::Utf16Le, Self::Utf16Be, Self::Windows1252, Self::Macintosh];

    /// The name shown and asked for.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Windows1252 => "windows-1252",
            Self::Macintosh => "macintosh",
        }
    }

    /// The encoding with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name().eq_ignore_ascii_case(name))
    }

    fn decoder(self) -> &'static Encoding {
        match self {
            Self::Utf8 => encoding_rs::UTF_8,
            Self::Utf16Le => encoding_rs::UTF_16LE,
            Self::Utf16Be => encoding_rs::UTF_16BE,
            Self::Windows1252 => encoding_rs::WINDOWS_1252,
            Self::Macintosh => encoding_rs::MACINTOSH,
        }
    }
}

/// What was found out about a file's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundEncoding {
    /// The encoding.
    pub encoding: TextEncoding,
    /// Whether the file begins with a byte order mark.
    pub bom: bool,
}

/// Finds out the encoding of a whole file.
///
/// # Errors
/// [`FileError::Empty`], or [`FileError::NotText`] for a workbook or another binary file.
pub fn detect(bytes: &[u8]) -> Result<FoundEncoding, FileError> {
    if bytes.is_empty() {
        return Err(FileError::Empty);
    }
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        let encoding = TextEncoding::ALL.into_iter().find(|known| known.decoder() == encoding);
        return encoding.map(|encoding| FoundEncoding { encoding, bom: true }).ok_or(FileError::NotText);
    }
    if is_binary(bytes) {
        return Err(FileError::NotText);
    }
    let encoding = without_mark(bytes);
    Ok(FoundEncoding { encoding, bom: false })
}

/// Zip (xlsx, ods), the old Excel format, PDF, PNG, gzip.
fn is_binary(bytes: &[u8]) -> bool {
    const MAGIC: [&[u8]; 5] = [b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\x1f\x8b"];
    MAGIC.iter().any(|magic| bytes.starts_with(magic))
}

fn without_mark(bytes: &[u8]) -> TextEncoding {
    if let Some(encoding) = utf16_by_zeroes(bytes) {
        return encoding;
    }
    if is_mostly_utf8(bytes) {
        return TextEncoding::Utf8;
    }
    let score = |encoding: TextEncoding| swedish_letters(bytes, encoding);
    if score(TextEncoding::Macintosh) > score(TextEncoding::Windows1252) {
        TextEncoding::Macintosh
    } else {
        TextEncoding::Windows1252
    }
}

/// Latin text in UTF-16 has a zero in every other byte.
fn utf16_by_zeroes(bytes: &[u8]) -> Option<TextEncoding> {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let zeroes = |odd: usize| sample.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeroes(0), zeroes(1));
    let half = sample.len() / 2;
    if half < 4 {
        None
    } else if odd * 2 > half && even * 8 < half {
        Some(TextEncoding::Utf16Le)
    } else if even * 2 > half && odd * 8 < half {
        Some(TextEncoding::Utf16Be)
    } else {
        None
    }
}

/// Valid UTF-8, or with so few faults among its multi-byte characters that it cannot be anything else: then the rows
/// with faults are asked about.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let (mut faults, mut letters, mut rest) = (0usize, 0usize, bytes);
    loop {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                letters += multi_byte(text);
                return faults == 0 || letters > faults * 8;
            }
            Err(error) => {
                let (valid, tail) = rest.split_at(error.valid_up_to());
                letters += std::str::from_utf8(valid).map_or(0, multi_byte);
                faults += 1;
                rest = &tail[error.error_len().unwrap_or(tail.len())..];
            }
        }
        if faults > 1_000 && letters < faults {
            return false;
        }
    }
}

fn multi_byte(text: &str) -> usize {
    text.bytes().filter(|byte| *byte >= 0xc2).count()
}

/// How many of the high bytes are Swedish letters beside another letter.
fn swedish_letters(bytes: &[u8], encoding: TextEncoding) -> usize {
    let sample = &bytes[..bytes.len().min(16 * SAMPLE)];
    let text = encoding.decoder().decode_without_bom_handling(sample).0;
    let chars: Vec<char> = text.chars().collect();
    let is_beside_letter = |at: usize| {
        let beside = [at.checked_sub(1), Some(at + 1)];
        beside.into_iter().flatten().filter_map(|at| chars.get(at)).any(|c| c.is_ascii_alphabetic())
    };
    (0..chars.len()).filter(|&at| "åäöÅÄÖéÉ".contains(chars[at]) && is_beside_letter(at)).count()
}

/// Decodes a file block by block.
pub struct Blocks<'a> {
    bytes: &'a [u8],
    decoder: encoding_rs::Decoder,
    text: String,
    is_finished: bool,
}

impl<'a> Blocks<'a> {
    /// Starts at the beginning of `bytes`; a byte order mark is left out.
    #[must_use]
    pub fn new(bytes: &'a [u8], encoding: TextEncoding) -> Self {
        Self {
            bytes,
            decoder: encoding.decoder().new_decoder_with_bom_removal(),
            text: String::new(),
            is_finished: false,
        }
    }

    /// The next block of text, `None` after the last.
    pub fn next_block(&mut self) -> Option<&str> {
        if self.is_finished {
            return None;
        }
        self.text.clear();
        self.text.reserve(4 * BLOCK);
        let take = self.bytes.len().min(BLOCK);
        let is_last = take == self.bytes.len();
        let (result, read, _) = self.decoder.decode_to_string(&self.bytes[..take], &mut self.text, is_last);
        self.bytes = &self.bytes[read..];
        self.is_finished = is_last && result == CoderResult::InputEmpty;
        Some(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Namn;Ort\r\nÅsa Öhrn;Östersund\r\nGöran Åkergren;Järpen\r\n";

    fn decoded(bytes: &[u8]) -> (FoundEncoding, String) {
        let found = detect(bytes).unwrap();
        let mut blocks = Blocks::new(bytes, found.encoding);
        let mut text = String::new();
        while let Some(block) = blocks.next_block() {
            text.push_str(block);
        }
        (found, text)
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn the_encoding_is_found_with_and_without_a_mark() {
        let cases = [
            (TEXT.as_bytes().to_vec(), TextEncoding::Utf8, false),
            (format!("\u{feff}{TEXT}").into_bytes(), TextEncoding::Utf8, true),
            (utf16(TEXT, u16::to_le_bytes), TextEncoding::Utf16Le, false),
            (utf16(TEXT, u16::to_be_bytes), TextEncoding::Utf16Be, false),
            (utf16(&format!("\u{feff}{TEXT}"), u16::to_le_bytes), TextEncoding::Utf16Le, true),
            (utf16(&format!("\u{feff}{TEXT}"), u16::to_be_bytes), TextEncoding::Utf16Be, true),
            (encoding_rs::WINDOWS_1252.encode(TEXT).0.into_owned(), TextEncoding::Windows1252, false),
            (encoding_rs::MACINTOSH.encode(TEXT).0.into_owned(), TextEncoding::Macintosh, false),
        ];
        for (bytes, encoding, bom) in cases {
            let (found, text) = decoded(&bytes);
            assert_eq!(found, FoundEncoding { encoding, bom });
            assert_eq!(text, TEXT);
        }
    }

    #[test]
    fn one_faulty_byte_in_a_long_utf8_file_leaves_a_mark() {
        let mut bytes = TEXT.repeat(20).into_bytes();
        bytes.extend(b"G\xf6ran;Ort\r\n");
        let (found, text) = decoded(&bytes);
        assert_eq!(found.encoding, TextEncoding::Utf8);
        assert!(text.ends_with("G\u{fffd}ran;Ort\r\n"));
    }

    #[test]
    fn a_file_longer_than_a_block_is_decoded_whole() {
        let long = TEXT.repeat(5_000);
        assert_eq!(decoded(long.as_bytes()).1, long);
        assert_eq!(decoded(&utf16(&long, u16::to_be_bytes)).1, long);
    }

    #[test]
    fn workbooks_and_nothing_are_refused() {
        assert_eq!(detect(b""), Err(FileError::Empty));
        assert_eq!(detect(b"PK\x03\x04rest"), Err(FileError::NotText));
        assert_eq!(detect(b"%PDF-1.7"), Err(FileError::NotText));
    }
}
