//! Owns the token in the link to a contact person's own page: it names the mail that carries it, and proves that we made it.
//!
//! It does not say whether the link still works; the store does. Invariant: 128 bits of a MAC stand in every token, made for
//! this purpose only.

use subtle::ConstantTimeEq;

use super::delivery_token::TokenKey;

/// Path of the own page.
pub const OWN_PAGE: &str = "/min-sida";

/// Stands in a text where the link will stand: the token is made when the mail is handed over, and lies in no message.
pub const PLACE: &str = "{own_page_link}";

/// Hexadecimal digits of the MAC in a token.
const MAC_DIGITS: usize = 32;

/// The token of the link that a delivery carries, safe in a path.
#[must_use]
pub fn encode(key: &TokenKey, delivery_id: i64) -> String {
    let mut mac = key.fingerprint("own_page.link", &delivery_id.to_string());
    mac.truncate(MAC_DIGITS);
    format!("{delivery_id}-{mac}")
}

/// Whether our key has made this token; others need not be looked for.
#[must_use]
pub fn is_ours(key: &TokenKey, token: &str) -> bool {
    let delivery = token.split_once('-').and_then(|(id, _)| id.parse().ok());
    delivery.is_some_and(|id| bool::from(encode(key, id).as_bytes().ct_eq(token.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_of_our_key_is_ours() {
        let key = TokenKey::new([7; 32]);
        let token = encode(&key, 120_000_001);
        assert!(is_ours(&key, &token));
        assert!(!is_ours(&TokenKey::new([8; 32]), &token));
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert!(!is_ours(&key, &String::from_utf8(changed).unwrap()), "{at}");
        }
        for bad in ["", "-", "x-y", "1", &token[..token.len() - 1], &format!("{token}0"), &format!("+{token}")] {
            assert!(!is_ours(&key, bad), "{bad}");
        }
    }
}
