//! Owns the DKIM key (RFC 6376, RFC 8463): reading it in the forms people have it in, and what is signed.
//!
//! lettre does the signing. Invariant: a key that cannot sign is found when the program starts, and `l=` is never used.

use data_encoding::BASE64;
use lettre::message::Message;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig, DkimSigningAlgorithm, DkimSigningKey,
};
use lettre::message::header::HeaderName;

use super::SetupError;
use crate::config;

/// Headers covered by the signature. One that a message lacks is signed as absent, so that nobody can add it
/// (RFC 6376 5.4); RFC 8058 wants both unsubscribe headers here.
const SIGNED: &[&str] = &[
    "From",
    "Reply-To",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Owner",
    "List-Help",
    "Auto-Submitted",
];

/// Bytes of the smallest RSA private key of 2048 bits (PKCS #1, DER): five numbers of 1024 bits and two of 2048.
const MIN_RSA_DER: usize = 1_150;

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Signs letters with the configured key.
#[derive(Debug)]
pub struct Signer(DkimConfig);

impl Signer {
    /// The signer of `[mail]`, `None` when no signing domain is set.
    ///
    /// # Errors
    /// [`SetupError`] says which forms of key are understood.
    pub fn new(config: &config::Mail) -> Result<Option<Self>, SetupError> {
        if !config.signs() {
            return Ok(None);
        }
        for (key, value) in [("mail.dkim_domain", &config.dkim_domain), ("mail.dkim_selector", &config.dkim_selector)] {
            if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
                return Err(SetupError::new("mail.dkim_unusable", &format!("{key}: must be a name in DNS")));
            }
        }
        let key = read_key(config.dkim_key.expose()).ok_or_else(|| {
            SetupError::new(
                "mail.dkim_unusable",
                "mail.dkim_key: must be a private key: RSA of at least 2048 bits as PEM, or Ed25519 as PEM or as \
                 base64 of its 32 bytes",
            )
        })?;
        let relaxed = DkimCanonicalizationType::Relaxed;
        Ok(Some(Self(DkimConfig::new(
            config.dkim_selector.clone(),
            config.dkim_domain.clone(),
            key,
            SIGNED.iter().map(|name| HeaderName::new_from_ascii_str(name)).collect(),
            DkimCanonicalization { header: relaxed, body: relaxed },
        ))))
    }

    /// Adds the signature header to a finished message.
    pub(super) fn sign(&self, message: &mut Message) {
        message.sign(&self.0);
    }
}

fn read_key(text: &str) -> Option<DkimSigningKey> {
    if let Some(der) = read_pem(text, "RSA PRIVATE KEY") {
        return rsa_key(&der);
    }
    if let Some(der) = read_pem(text, "PRIVATE KEY") {
        let (algorithm, key) = read_pkcs8(&der)?;
        return match algorithm {
            RSA_ENCRYPTION => rsa_key(key),
            ED25519 => ed25519_key(&BASE64.encode(read_tlv(0x04, key)?.0)),
            _ => None,
        };
    }
    ed25519_key(text.trim())
}

fn rsa_key(pkcs1: &[u8]) -> Option<DkimSigningKey> {
    if pkcs1.len() < MIN_RSA_DER {
        return None;
    }
    let lines: Vec<String> =
        BASE64.encode(pkcs1).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"));
    DkimSigningKey::new(&pem, DkimSigningAlgorithm::Rsa).ok()
}

fn ed25519_key(base64: &str) -> Option<DkimSigningKey> {
    DkimSigningKey::new(base64, DkimSigningAlgorithm::Ed25519).ok()
}

fn read_pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (base64, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let base64: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64.decode(base64.as_bytes()).ok()
}

/// Algorithm and key of `SEQUENCE { version, SEQUENCE { algorithm, … }, OCTET STRING key, … }` (RFC 5958).
fn read_pkcs8(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = read_tlv(0x30, der)?;
    let (_version, rest) = read_tlv(0x02, body)?;
    let (algorithm, rest) = read_tlv(0x30, rest)?;
    let (key, _) = read_tlv(0x04, rest)?;
    Some((read_tlv(0x06, algorithm)?.0, key))
}

/// The content of the DER value at the front when it has this tag, and what follows it.
fn read_tlv(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (bytes, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*bytes)), rest)
        }
        _ => return None,
    };
    (found == tag && length <= rest.len()).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests;
