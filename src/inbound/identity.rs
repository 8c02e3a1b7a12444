//! Owns what the authority's identity provider brings back: the answer to a question that one browser asked.
//!
//! It does not let anybody in; `actions::sign_in_elsewhere` does. Invariant: an answer counts only together with the secrets
//! that the browser was given when it left, and for ten minutes.

use serde::{Deserialize, Serialize};

use crate::ambient;
use crate::config::Config;
use crate::domain::operator::Identity;
use crate::provider::SetupError;
use crate::provider::oidc::{IdentityProvider, Secrets};

pub use crate::provider::oidc::IdentityError;

/// A question is answered within this time: ten minutes.
const LASTS_MS: i64 = 10 * 60 * 1000;

/// Where people who sign in elsewhere come back to.
pub const BACK: &str = "/sign-in/oidc/back";

/// Where identities are asked for.
#[derive(Debug, Clone)]
pub struct IdentityDesk(IdentityProvider);

/// What the browser keeps while it is away.
#[derive(Serialize, Deserialize)]
struct Kept {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    again: bool,
    at: i64,
}

/// A browser on its way to the provider.
pub struct Departure {
    /// Where it is sent.
    pub url: String,
    /// What it keeps, for a cookie.
    pub kept: String,
}

impl std::fmt::Debug for Departure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Departure(***)")
    }
}

/// Somebody who has come back.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Who.
    pub identity: Identity,
    /// Where they were going.
    pub next: String,
    /// Whether they proved again who they are.
    pub again: bool,
}

impl IdentityDesk {
    /// The desk of the settings; `None` when there is no provider.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(config: &Config) -> Result<Option<Self>, SetupError> {
        if config.sign_in.oidc_issuer.is_empty() {
            return Ok(None);
        }
        let provider =
            IdentityProvider::new(&config.sign_in, &config.server.egress_proxy, config.server.public_link(BACK))?;
        Ok(Some(Self(provider)))
    }

    /// Sends a browser to the provider; it goes on to `next` when it comes back.
    ///
    /// # Errors
    /// [`IdentityError::Unreachable`].
    pub async fn depart(&self, next: &str, again: bool, now_ms: i64) -> Result<Departure, IdentityError> {
        let random = || data_encoding::BASE64URL_NOPAD.encode(&ambient::random_bytes::<32>());
        let secrets = Secrets { state: random(), nonce: random(), verifier: random() };
        let url = self.0.question(&secrets, again).await?;
        let Secrets { state, nonce, verifier } = secrets;
        let kept = Kept { state, nonce, verifier, next: next.to_owned(), again, at: now_ms };
        let json = serde_json::to_vec(&kept).expect("texts and numbers always serialise");
        Ok(Departure { url, kept: data_encoding::BASE64URL_NOPAD.encode(&json) })
    }

    /// Who has come back with `code` and `state` to the browser that kept `kept`.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn arrive(&self, kept: &str, (code, state): (&str, &str), now_ms: i64) -> Result<Arrival, IdentityError> {
        let refused = IdentityError::Refused("identity.not_asked");
        let json = data_encoding::BASE64URL_NOPAD.decode(kept.as_bytes()).map_err(|_| refused)?;
        let kept: Kept = serde_json::from_slice(&json).map_err(|_| refused)?;
        let is_answer = bool::from(subtle::ConstantTimeEq::ct_eq(kept.state.as_bytes(), state.as_bytes()));
        if !is_answer || code.is_empty() || !(0..=LASTS_MS).contains(&(now_ms - kept.at)) {
            return Err(refused);
        }
        let secrets = Secrets { state: kept.state, nonce: kept.nonce, verifier: kept.verifier };
        let identity = self.0.identity(code.to_owned(), &secrets, (kept.again, now_ms)).await?;
        Ok(Arrival { identity, next: kept.next, again: kept.again })
    }
}
