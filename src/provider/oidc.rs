//! Owns the authority's identity provider, spoken to by OpenID Connect: authorization code with PKCE (RFC 7636).
//!
//! It does not know operators or sessions. Invariant: an identity is given only out of a token that the provider signed
//! with a key of its own, for us, for this browser's question, and that holds now. Symmetric signatures and none are refused
//! whatever the provider says about itself.

use std::pin::Pin;
use std::time::{Duration, UNIX_EPOCH};

use openidconnect::core::{
    CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreJwsSigningAlgorithm as Algorithm, CoreProviderMetadata,
    CoreTokenResponse,
};
use openidconnect::{
    AsyncHttpClient, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};

use super::SetupError;
use super::http::{ClientSettings, MAX_BODY, TransportError, client, exchange};
use crate::config::SignIn;
use crate::domain::operator::Identity;

/// Time-out of one call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A token may be this much older or younger than our clock says.
const LEEWAY_MS: i64 = 5 * 60 * 1000;
/// Signatures that only the provider can have made.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
];

/// The identity provider, ready to be asked.
#[derive(Debug, Clone)]
pub struct IdentityProvider {
    wire: Wire,
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: ClientSecret,
    redirect: RedirectUrl,
    email_is_verified: bool,
}

/// Why nobody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The provider could not be reached or answered nonsense; another way in may be open.
    #[error("identity provider unreachable: {0}")]
    Unreachable(&'static str),
    /// What it said does not hold.
    #[error("identity refused: {0}")]
    Refused(&'static str),
}

impl IdentityError {
    /// Stable code, safe to log.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable(code) | Self::Refused(code) => code,
        }
    }
}

/// What ties the answer to the question: secrets of the browser that asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Comes back beside the answer.
    pub state: String,
    /// Comes back inside the token.
    pub nonce: String,
    /// Proves that it is us who asked; 43 to 128 characters.
    pub verifier: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(***)")
    }
}

impl IdentityProvider {
    /// The provider of the settings, which sends people back to `redirect`.
    ///
    /// # Errors
    /// [`SetupError`] when the client cannot be made.
    pub fn new(config: &SignIn, egress_proxy: &str, redirect: String) -> Result<Self, SetupError> {
        let unusable = |_| SetupError::new("identity.unusable", "sign_in.oidc_issuer or server.public_url: no URL");
        Ok(Self {
            wire: Wire(client(ClientSettings { timeout: TIMEOUT, concurrency: 2, egress_proxy })?),
            issuer: IssuerUrl::new(config.oidc_issuer.clone()).map_err(unusable)?,
            client_id: ClientId::new(config.oidc_client_id.clone()),
            client_secret: ClientSecret::new(config.oidc_client_secret.expose().to_owned()),
            redirect: RedirectUrl::new(redirect).map_err(unusable)?,
            email_is_verified: config.oidc_email_is_verified,
        })
    }

    /// Where the browser is sent. With `again` the person has to prove once more who they are.
    ///
    /// # Errors
    /// [`IdentityError::Unreachable`].
    pub async fn question(&self, secrets: &Secrets, again: bool) -> Result<String, IdentityError> {
        let client = CoreClient::from_provider_metadata(
            self.metadata().await?,
            self.client_id.clone(),
            Some(self.client_secret.clone()),
        )
        .set_redirect_uri(self.redirect.clone());
        let verifier = PkceCodeVerifier::new(secrets.verifier.clone());
        let (state, nonce) = (secrets.state.clone(), secrets.nonce.clone());
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        if again {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
        }
        Ok(request.url().0.to_string())
    }

    /// Who the answer's `code` stands for. With `again` the provider must say that they have just proved it.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn identity(
        &self,
        code: String,
        secrets: &Secrets,
        (again, now_ms): (bool, i64),
    ) -> Result<Identity, IdentityError> {
        let metadata = self.metadata().await?;
        let client =
            CoreClient::from_provider_metadata(metadata, self.client_id.clone(), Some(self.client_secret.clone()))
                .set_redirect_uri(self.redirect.clone());
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| IdentityError::Unreachable("identity.no_token_endpoint"))?
            .set_pkce_verifier(PkceCodeVerifier::new(secrets.verifier.clone()));
        let answer: CoreTokenResponse = request.request_async(&self.wire).await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(_) => IdentityError::Refused("identity.code_refused"),
            _ => IdentityError::Unreachable("identity.token_endpoint"),
        })?;
        let token = answer.id_token().ok_or(IdentityError::Refused("identity.no_token"))?;
        let now = move || (UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0))).into();
        let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS).set_time_fn(now);
        let verifier = verifier.set_issue_time_verifier_fn(move |at| {
            let apart = (at.timestamp() * 1000 - now_ms).abs();
            if apart <= LEEWAY_MS { Ok(()) } else { Err("issued at another time".to_owned()) }
        });
        let claims = token
            .claims(&verifier, &Nonce::new(secrets.nonce.clone()))
            .map_err(|_| IdentityError::Refused("identity.token_invalid"))?;
        let is_fresh = claims.auth_time().is_some_and(|at| (now_ms - at.timestamp() * 1000).abs() <= LEEWAY_MS);
        if again && !is_fresh {
            return Err(IdentityError::Refused("identity.not_proved_again"));
        }
        let is_verified = claims.email_verified().unwrap_or(self.email_is_verified);
        Ok(Identity {
            subject: format!("{} {}", claims.issuer().as_str(), claims.subject().as_str()),
            email: claims.email().filter(|_| is_verified).map(|email| email.as_str().to_owned()),
        })
    }

    /// What the provider says about itself, and its keys; asked each time, so that a key it has taken back is not believed.
    async fn metadata(&self) -> Result<CoreProviderMetadata, IdentityError> {
        CoreProviderMetadata::discover_async(self.issuer.clone(), &self.wire)
            .await
            .map_err(|_| IdentityError::Unreachable("identity.discovery"))
    }
}

/// Our HTTP client as the protocol wants one: no redirects, and answers of bounded size.
#[derive(Debug, Clone)]
struct Wire(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Wire {
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, TransportError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let (parts, body) = request.into_parts();
        let request = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        Box::pin(async move {
            let broken = TransportError::AnswerLost("identity.answer_broken");
            let answer = exchange(request, MAX_BODY).await?;
            if !answer.complete {
                return Err(broken);
            }
            let mut response = HttpResponse::new(answer.body);
            *response.status_mut() = answer.code.try_into().map_err(|_| broken)?;
            Ok(response)
        })
    }
}
