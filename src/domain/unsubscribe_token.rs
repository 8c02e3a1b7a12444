//! Owns the token in the unsubscribe link of a letter (RFC 8058): it says who, proves that we wrote it, and does nothing
//! else.
//!
//! It is made from the person's id alone, so that every letter's link works for as long as the person is in the register.
//! Invariant: 128 bits of a MAC stand in every token, made for this purpose only.

use subtle::ConstantTimeEq;

use super::delivery_token::TokenKey;

/// Stands in the place of a token in previews and tests, where there is nobody to unsubscribe.
pub const PREVIEW: &str = "forhandsvisning";

/// Hexadecimal digits of the MAC in a token.
const MAC_DIGITS: usize = 32;

/// The token of a contact person, safe in a path.
#[must_use]
pub fn encode(key: &TokenKey, contact_person_id: &str) -> String {
    format!("{contact_person_id}.{}", mac(key, contact_person_id))
}

/// The id of the contact person a token was made for; `None` for one that this key has not made.
#[must_use]
pub fn decode<'a>(key: &TokenKey, token: &'a str) -> Option<&'a str> {
    let (id, given) = token.rsplit_once('.')?;
    let fits = id.len() <= 64 && bool::from(given.as_bytes().ct_eq(mac(key, id).as_bytes()));
    fits.then_some(id)
}

fn mac(key: &TokenKey, id: &str) -> String {
    let mut mac = key.fingerprint("letters.unsubscribe", id);
    mac.truncate(MAC_DIGITS);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019a9f3c-0000-7000-8000-000000000001";

    #[test]
    fn a_token_names_its_person_and_is_the_same_every_time() {
        let key = TokenKey::new([7; 32]);
        let token = encode(&key, ID);
        assert_eq!(decode(&key, &token), Some(ID));
        assert_eq!(encode(&key, ID), token);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')));
    }

    #[test]
    fn a_token_that_was_changed_or_made_by_another_key_is_refused() {
        let key = TokenKey::new([7; 32]);
        let token = encode(&key, ID);
        assert_eq!(decode(&TokenKey::new([8; 32]), &token), None);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(decode(&key, &String::from_utf8(changed).unwrap()), None, "{at}");
        }
        for bad in ["", ".", "x", PREVIEW, &token[..token.len() - 1], &format!("{token}0")] {
            assert_eq!(decode(&key, bad), None, "{bad}");
        }
    }
}
