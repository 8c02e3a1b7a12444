//! Owns the token of one attempt: what a gateway gives back in a receipt and a mail server in a bounce.
//!
//! The token carries the delivery's id and the attempt's number under a MAC, so that it needs no index of its own
//! and a guessed one never reaches the database. Invariant: 128 bits of the MAC stand in every token.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// One attempt of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryToken {
    /// The delivery.
    pub delivery_id: i64,
    /// Its attempt, counted from 1.
    pub attempt: i64,
}

/// The key that tokens are signed with; made once for each database.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(***)")
    }
}

const MAC_BYTES: usize = 16;
/// Characters of an encoded token.
const ENCODED: usize = 42;

impl TokenKey {
    /// A key of 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The token as text: lower-case base32 (RFC 4648 without padding), safe in a path and a local part.
    #[must_use]
    pub fn encode(&self, token: DeliveryToken) -> String {
        let payload = payload(token);
        let mut bytes = payload.to_vec();
        bytes.extend_from_slice(&self.mac(&payload).finalize().into_bytes()[..MAC_BYTES]);
        data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
    }

    /// Reads a token; `None` for one that this key has not made. Case does not matter, since mail servers change it.
    #[must_use]
    pub fn decode(&self, text: &str) -> Option<DeliveryToken> {
        if text.len() > 64 || !text.is_ascii() {
            return None;
        }
        let bytes = data_encoding::BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        let (payload, mac) = bytes.split_at_checked(10)?;
        self.mac(payload).verify_truncated_left(mac).ok().filter(|()| mac.len() == MAC_BYTES)?;
        let delivery_id = i64::from_be_bytes(payload[..8].try_into().ok()?);
        let attempt = i64::from(u16::from_be_bytes(payload[8..].try_into().ok()?));
        Some(DeliveryToken { delivery_id, attempt })
    }

    /// The first token of this key that stands as a word in `text`, such as an address or a Message-ID.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<DeliveryToken> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        words.filter(|word| word.len() == ENCODED).find_map(|word| self.decode(word))
    }

    /// A keyed digest of `text` for `purpose`, lower-case hex: says whether two are equal and nothing else.
    #[must_use]
    pub fn fingerprint(&self, purpose: &str, text: &str) -> String {
        let mut mac = self.mac(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(bytes);
        mac
    }
}

fn payload(token: DeliveryToken) -> [u8; 10] {
    let mut payload = [0; 10];
    payload[..8].copy_from_slice(&token.delivery_id.to_be_bytes());
    payload[8..].copy_from_slice(&u16::try_from(token.attempt).unwrap_or(u16::MAX).to_be_bytes());
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was_also_in_capitals() {
        let key = TokenKey::new([7; 32]);
        let token = DeliveryToken { delivery_id: 120_000_345, attempt: 3 };
        let text = key.encode(token);
        assert!(text.len() <= 57, "fits a local part after bounce+");
        assert_eq!(key.decode(&text), Some(token));
        assert_eq!(key.decode(&text.to_uppercase()), Some(token));
        assert_eq!(text.len(), ENCODED);
        assert_eq!(key.find(&format!("<BOUNCE+{text}@bounces.example.org>")), Some(token));
        assert_eq!(key.find(&format!("x{text}@bounces.example.org")), None);
    }

    #[test]
    fn a_token_that_was_changed_or_made_by_another_key_is_refused() {
        let key = TokenKey::new([7; 32]);
        let text = key.encode(DeliveryToken { delivery_id: 1, attempt: 1 });
        assert_eq!(TokenKey::new([8; 32]).decode(&text), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character carries padding bits only in part; a change there is refused by the decoder.
            assert_eq!(key.decode(&changed), None, "{changed}");
        }
        for bad in ["", "a", "åäö", &"a".repeat(65), &text[..20]] {
            assert_eq!(key.decode(bad), None);
        }
    }
}
