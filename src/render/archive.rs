//! Owns ZIP archives as they are handed to somebody outside.
//!
//! It does not decide what is in them. Invariant: the same entries make the same bytes, so that an archive can be checked by
//! its digest.

use std::io::{Cursor, Write as _};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The name of the list of digests, in the form that `sha256sum -c` reads.
pub const DIGESTS: &str = "SHA256SUMS";

/// An archive could not be written: it would be larger than the format allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the archive is too large")]
pub struct TooLarge;

/// An archive of these files, stored as they are, with a list of their digests last.
///
/// # Errors
/// [`TooLarge`].
pub fn with_digests(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, TooLarge> {
    let digests: String = files
        .iter()
        .map(|(name, bytes)| format!("{}  {name}\n", data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))))
        .collect();
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let listed = (DIGESTS.to_owned(), digests.into_bytes());
    for (name, bytes) in files.iter().chain([&listed]) {
        archive.start_file(name.as_str(), options).map_err(|_| TooLarge)?;
        archive.write_all(bytes).map_err(|_| TooLarge)?;
    }
    Ok(archive.finish().map_err(|_| TooLarge)?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_the_same_every_time_and_lists_its_digests() {
        let files = [("a.txt".to_owned(), b"hej".to_vec())];
        let archive = with_digests(&files).unwrap();
        assert_eq!(with_digests(&files).unwrap(), archive);
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(b"hej"));
        let line = format!("{digest}  a.txt\n").into_bytes();
        assert!(archive.windows(line.len()).any(|window| window == line));
        assert!(archive.starts_with(b"PK"));
    }
}
