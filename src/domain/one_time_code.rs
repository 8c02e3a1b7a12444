//! Owns the codes beside a password: those an app shows (TOTP, RFC 6238) and the recovery codes on paper.
//!
//! It does not know whose they are and does not remember which were used. Invariant: time is a parameter.

use totp_rs::{Builder, Secret, Totp};

/// What the app shows the code under.
const ISSUER: &str = "grannpost";
/// Recovery codes an operator gets.
pub const RECOVERY_CODES: usize = 10;
/// Letters and digits of a recovery code: nothing that looks like something else.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567899";
/// Characters of a recovery code: 60 bits.
const RECOVERY_LENGTH: usize = 12;

/// A new secret out of 20 random bytes, base32.
#[must_use]
pub fn new_secret(random: [u8; 20]) -> String {
    data_encoding::BASE32_NOPAD.encode(&random)
}

/// The 30-second step whose code this is, one step early or late allowed; `None` when it is no code of now.
#[must_use]
pub fn matching_step(secret: &str, code: &str, now_ms: i64) -> Option<i64> {
    let seconds = u64::try_from(now_ms / 1000).ok()?;
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let is_code = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
    let step = totp(secret, "")?.check(if is_code { &code } else { "" }, seconds)?;
    i64::try_from(step).ok()
}

/// The code that an app shows at this time.
#[must_use]
pub fn code_at(secret: &str, now_ms: i64) -> Option<String> {
    let seconds = u64::try_from(now_ms / 1000).ok()?;
    Some(totp(secret, "")?.generate(seconds).to_string())
}

/// The address that an app reads from a QR code.
#[must_use]
pub fn app_address(secret: &str, email: &str) -> Option<String> {
    totp(secret, email)?.to_url().ok()
}

fn totp(secret: &str, email: &str) -> Option<Totp> {
    let secret = Secret::try_from_base32(secret).ok()?;
    let builder =
        Builder::new().with_secret(secret).with_account_name(email.replace(':', "")).with_issuer(Some(ISSUER));
    builder.build().ok()
}

/// A recovery code out of random bytes: three groups of four.
#[must_use]
pub fn recovery_code(random: [u8; RECOVERY_LENGTH]) -> String {
    let letters = random.map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// What a typed text means as a recovery code, however it was spaced; `None` when it cannot be one.
#[must_use]
pub fn read_recovery_code(typed: &str) -> Option<String> {
    let plain: String = typed.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    (plain.len() == RECOVERY_LENGTH && plain.is_ascii()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    const RFC: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn the_codes_of_the_rfc_are_right_and_one_step_of_slack_is_given() {
        // Appendix B shows eight digits; an app shows the last six.
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            let now = seconds * 1000;
            assert_eq!(matching_step(RFC, code, now), Some(seconds / 30));
            assert_eq!(code_at(RFC, now).as_deref(), Some(code));
            assert_eq!(matching_step(RFC, &format!("{} {}", &code[..3], &code[3..]), now + 30_000), Some(seconds / 30));
            assert_eq!(matching_step(RFC, code, now + 61_000), None, "too late");
        }
        for wrong in ["", "28708", "2870822", "abcdef", "２８７０８２", "-87082"] {
            assert_eq!(matching_step(RFC, wrong, 59_000), None, "{wrong}");
        }
        assert_eq!(matching_step("", "287082", 59_000), None);
    }

    #[test]
    fn an_app_gets_an_address_it_knows() {
        let address = app_address(RFC, "kim.ek@example.org").unwrap();
        assert!(address.starts_with("otpauth://totp/grannpost:kim.ek"), "{address}");
        assert!(address.contains(&format!("secret={RFC}")), "{address}");
    }

    #[test]
    fn a_recovery_code_is_read_however_it_is_typed() {
        let code = recovery_code([0, 31, 7, 200, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(code.len(), 14);
        let plain = code.replace('-', "");
        for typed in [code.clone(), plain.clone(), code.to_uppercase(), format!(" {} ", code.replace('-', " "))] {
            assert_eq!(read_recovery_code(&typed), Some(plain.clone()), "{typed}");
        }
        assert_eq!(read_recovery_code("123456"), None);
    }
}
