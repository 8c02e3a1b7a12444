//! A small identity provider (OpenID Connect) that tells the truth, or lies in one way at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use grannpost::ambient::Clock;
use hmac::{Hmac, Mac as _};
use openidconnect::core::{CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey};
use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const CLIENT: &str = "grannpost";
pub const SECRET: &str = "en hemlighet mellan oss två";

/// In which way it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    None,
    IssuerInDiscovery,
    IssuerInToken,
    Audience,
    AudienceAmongOthers,
    NonceWrong,
    NonceMissing,
    Expired,
    IssuedInTheFuture,
    SignatureBroken,
    SignedByAnother,
    AlgorithmNone,
    AlgorithmSymmetric,
    NoToken,
    ClaimsAfterSigning,
}

/// Every lie about the token.
pub const LIES: [Lie; 14] = [
    Lie::IssuerInDiscovery,
    Lie::IssuerInToken,
    Lie::Audience,
    Lie::AudienceAmongOthers,
    Lie::NonceWrong,
    Lie::NonceMissing,
    Lie::Expired,
    Lie::IssuedInTheFuture,
    Lie::SignatureBroken,
    Lie::SignedByAnother,
    Lie::AlgorithmNone,
    Lie::AlgorithmSymmetric,
    Lie::NoToken,
    Lie::ClaimsAfterSigning,
];

/// Who it says has signed in, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    pub lie: Lie,
    pub subject: String,
    pub email: Option<String>,
    pub email_verified: Option<bool>,
    /// Seconds ago that the person proved who they are; `None` = it does not say.
    pub proved_ago: Option<i64>,
}

/// The provider; gone with the test's runtime.
#[derive(Clone)]
pub struct IdentityProvider {
    pub issuer: String,
    clock: Clock,
    plan: Arc<Mutex<Plan>>,
    /// Questions by code: nonce, challenge and where to answer.
    asked: Arc<Mutex<BTreeMap<String, BTreeMap<String, String>>>>,
}

impl IdentityProvider {
    pub async fn start(clock: &Clock) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plan = Plan {
            lie: Lie::None,
            subject: "s-1".into(),
            email: Some("kim.ek@example.org".into()),
            email_verified: Some(true),
            proved_ago: None,
        };
        let provider = Self {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            clock: clock.clone(),
            plan: Arc::new(Mutex::new(plan)),
            asked: Arc::default(),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub fn settings(&self) -> String {
        format!(
            "sign_in.oidc_issuer = \"{}\"\nsign_in.oidc_client_id = \"{CLIENT}\"\nsign_in.oidc_client_secret = \"{SECRET}\"\n",
            self.issuer
        )
    }

    pub fn change(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan.lock().unwrap());
    }

    /// What the person does at the provider: signs in, and is sent back to this address.
    pub fn answer(&self, question: &str) -> String {
        let url = reqwest::Url::parse(question).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["scope"].contains("openid") && query["scope"].contains("email"), "{query:?}");
        let mut asked = self.asked.lock().unwrap();
        let code = format!("code-{}", asked.len());
        let back = format!("{}?code={code}&state={}", query["redirect_uri"], query["state"]);
        asked.insert(code, query);
        back
    }
}

async fn discovery(State(provider): State<IdentityProvider>) -> Json<Value> {
    let issuer = &provider.issuer;
    let lie = provider.plan.lock().unwrap().lie;
    let said = if lie == Lie::IssuerInDiscovery { "https://other.example.org" } else { issuer };
    Json(json!({
        "issuer": said,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // A liar also says that it may.
        "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
    }))
}

fn key(file: &str) -> CoreRsaPrivateSigningKey {
    let pem = std::fs::read_to_string(format!("tests/data/{file}.pem")).unwrap();
    CoreRsaPrivateSigningKey::from_pem(&pem, Some(JsonWebKeyId::new("1".into()))).unwrap()
}

async fn keys() -> Json<Value> {
    Json(json!({ "keys": [serde_json::to_value(key("identity-provider").as_verification_key()).unwrap()] }))
}

async fn token(
    State(provider): State<IdentityProvider>,
    headers: axum::http::HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let refused = || (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })));
    // A code is answered once, to whom asked, and only with the verifier behind the challenge.
    let question = provider.asked.lock().unwrap().remove(&form["code"]).ok_or_else(refused)?;
    let challenge = data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(&form["code_verifier"]));
    if challenge != question["code_challenge"] || form["redirect_uri"] != question["redirect_uri"] {
        return Err(refused());
    }
    assert!(headers["authorization"].to_str().unwrap().starts_with("Basic "), "the client proves who it is");
    let plan = provider.plan.lock().unwrap().clone();
    if plan.lie == Lie::NoToken {
        return Ok(Json(json!({ "access_token": "x", "token_type": "Bearer" })));
    }
    let token = id_token(&provider, &plan, &question["nonce"]);
    Ok(Json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": token })))
}

fn id_token(provider: &IdentityProvider, plan: &Plan, nonce: &str) -> String {
    let claims = claims(provider, plan, nonce);
    let encode = |value: &Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let algorithm = match plan.lie {
        Lie::AlgorithmNone => "none",
        Lie::AlgorithmSymmetric => "HS256",
        _ => "RS256",
    };
    let signed = format!("{}.{}", encode(&json!({ "alg": algorithm, "kid": "1", "typ": "JWT" })), encode(&claims));
    let by = if plan.lie == Lie::SignedByAnother { "identity-impostor" } else { "identity-provider" };
    let mut signature = match plan.lie {
        Lie::AlgorithmNone => Vec::new(),
        Lie::AlgorithmSymmetric => {
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(signed.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        _ => key(by).sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, signed.as_bytes()).unwrap(),
    };
    if plan.lie == Lie::SignatureBroken {
        signature[7] ^= 1;
    }
    let signature = data_encoding::BASE64URL_NOPAD.encode(&signature);
    if plan.lie == Lie::ClaimsAfterSigning {
        let (header, _) = signed.split_once('.').unwrap();
        let mut other = claims;
        other["email"] = "chefen@example.org".into();
        return format!("{header}.{}.{signature}", encode(&other));
    }
    format!("{signed}.{signature}")
}

fn claims(provider: &IdentityProvider, plan: &Plan, nonce: &str) -> Value {
    let now = provider.clock.now_ms() / 1000;
    let mut claims = json!({
        "iss": provider.issuer, "aud": CLIENT, "sub": plan.subject, "nonce": nonce, "iat": now, "exp": now + 300,
    });
    if let Some(email) = &plan.email {
        claims["email"] = email.as_str().into();
    }
    if let Some(verified) = plan.email_verified {
        claims["email_verified"] = verified.into();
    }
    if let Some(ago) = plan.proved_ago {
        claims["auth_time"] = (now - ago).into();
    }
    match plan.lie {
        Lie::IssuerInToken => claims["iss"] = "https://other.example.org".into(),
        Lie::Audience => claims["aud"] = "another".into(),
        Lie::AudienceAmongOthers => claims["aud"] = json!([CLIENT, "another"]),
        Lie::NonceWrong => claims["nonce"] = "another".into(),
        Lie::NonceMissing => drop(claims.as_object_mut().unwrap().remove("nonce")),
        Lie::Expired => {
            claims["iat"] = (now - 200).into();
            claims["exp"] = (now - 1).into();
        }
        Lie::IssuedInTheFuture => claims["iat"] = (now + 3_600).into(),
        _ => {}
    }
    claims
}
