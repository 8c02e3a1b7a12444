//! Owns passwords: which ones are taken, and how one is kept (Argon2id).
//!
//! It asks for no mix of characters and no change by date (ASVS 6.2). Invariant: what is kept says nothing about the
//! password, and checking one that is not there takes as long as checking one that is.

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

/// Fewest characters: there is a code beside it.
pub const SHORTEST: usize = 12;
/// Most characters; Argon2 takes as long for many as for few.
pub const LONGEST: usize = 128;
/// Memory for one hash, KiB: OWASP's least for two passes.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Guesses that an attacker who knows our habits must need at least, as a power of ten.
const LEAST_GUESSES: f64 = 9.0;
/// Words that belong here and so are guessed first.
const OUR_WORDS: [&str; 12] = [
    "grannpost",
    "grannsamverkan",
    "polisen",
    "polis",
    "larm",
    "jamtland",
    "jämtland",
    "ostersund",
    "östersund",
    "losenord",
    "lösenord",
    "sommar",
];
/// A hash of nothing anybody knows, for those who are not there.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Z3Jhbm5wb3N0bm9ib2R5$q0dXYQm0m0o1xkq1cV2r5Fz0x8m9w1n2b3v4c5x6z7A";

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than [`SHORTEST`] characters.
    #[error("too short")]
    TooShort,
    /// More than [`LONGEST`] characters.
    #[error("too long")]
    TooLong,
    /// Known from leaks, a name, or a pattern.
    #[error("guessable")]
    Guessable,
}

impl PasswordError {
    /// Stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort => "password.too_short",
            Self::TooLong => "password.too_long",
            Self::Guessable => "password.guessable",
        }
    }

    /// What is wrong and what is allowed, in Swedish.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::TooShort => "Lösenordet är för kort. Välj minst 12 tecken, gärna fyra ord som inte hör ihop.",
            Self::TooLong => "Lösenordet är för långt. Högst 128 tecken går.",
            Self::Guessable => {
                "Lösenordet är lätt att gissa: det är känt, ett namn eller ett mönster. Välj fyra ord som inte hör ihop."
            }
        }
    }
}

/// Checks a new password. `about` is what belongs to the person: name, e-mail.
///
/// # Errors
/// [`PasswordError`].
pub fn check_new(password: &str, about: &[&str]) -> Result<(), PasswordError> {
    match password.chars().count() {
        ..SHORTEST => return Err(PasswordError::TooShort),
        LONGEST.. if password.chars().count() > LONGEST => return Err(PasswordError::TooLong),
        _ => {}
    }
    let parts = about.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let words: Vec<&str> = parts.filter(|part| part.len() > 2).chain(about.iter().copied()).chain(OUR_WORDS).collect();
    if zxcvbn::zxcvbn(password, &words).guesses_log10() < LEAST_GUESSES {
        return Err(PasswordError::Guessable);
    }
    Ok(())
}

/// The password as it is kept. Slow on purpose, and takes 19 MiB: not to be called where others wait.
#[must_use]
pub fn hash(password: &str, salt: [u8; 16]) -> String {
    argon2()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .expect("parameters and salt are within Argon2's limits")
}

/// Whether `password` is the one kept as `hash`. Without one it takes as long, and says no.
#[must_use]
pub fn is_right(password: &str, hash: Option<&str>) -> bool {
    let too_long = password.chars().count() > LONGEST;
    let known = hash.filter(|hash| !hash.is_empty() && !too_long);
    let password = if too_long { "" } else { password };
    let fits = argon2().verify_password(password.as_bytes(), known.unwrap_or(NOBODY)).is_ok();
    fits && known.is_some()
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("parameters are within Argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_recognised_and_another_is_not() {
        let kept = hash("fyra ord som inte hör ihop", [7; 16]);
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(is_right("fyra ord som inte hör ihop", Some(&kept)));
        assert!(!is_right("fyra ord som inte hör ihop.", Some(&kept)));
        assert!(!is_right("", Some("")));
        assert!(!is_right("", None));
        assert!(!is_right(&"x".repeat(LONGEST + 1), Some(&kept)));
    }

    #[test]
    fn the_hash_for_those_who_are_not_there_is_a_real_one() {
        let error = argon2().verify_password(b"x", NOBODY).unwrap_err();
        assert_eq!(error, argon2::password_hash::Error::PasswordInvalid);
    }

    #[test]
    fn known_short_and_patterned_passwords_are_refused_and_long_plain_ones_are_not() {
        let about = ["Kim Ek", "kim.ek@example.org"];
        for (password, expected) in [
            ("kort", Err(PasswordError::TooShort)),
            ("elva tecken", Err(PasswordError::TooShort)),
            ("passwordpassword", Err(PasswordError::Guessable)),
            ("123456789012", Err(PasswordError::Guessable)),
            ("qwertyuiop12", Err(PasswordError::Guessable)),
            ("aaaaaaaaaaaaaaaa", Err(PasswordError::Guessable)),
            ("grannsamverkan", Err(PasswordError::Guessable)),
            ("kim.ek@example.org", Err(PasswordError::Guessable)),
            ("Sommar2026Sommar", Err(PasswordError::Guessable)),
            ("lampa kvarn brosme tallrik", Ok(())),
            ("grå hästar åker tåg", Ok(())),
            ("vT9#mZ2!qLp4", Ok(())),
        ] {
            assert_eq!(check_new(password, &about), expected, "{password}");
        }
        assert_eq!(check_new(&"å b".repeat(50), &about), Err(PasswordError::TooLong));
    }
}
