//! Owns what every request and answer goes through: hostile paths out, security headers on, hooks without a body.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Problem;

/// Refuses a path or query that holds NUL: no database takes it.
pub async fn refuse_nul(request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path().contains("%00") || uri.query().is_some_and(|query| query.contains("%00")) {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "request.nul", "Adressen innehåller ett NUL-tecken.");
        return problem.into_response();
    }
    next.run(request).await
}

/// Empties every answer below `/hooks/`: a gateway sends what stands in it to a citizen.
pub async fn empty_below_hooks(request: Request, next: Next) -> Response {
    let is_hook = request.uri().path().starts_with("/hooks");
    let mut response = next.run(request).await;
    if is_hook {
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

/// Sets the headers of `ux.md` section 3 where a handler has not set its own.
pub async fn security_headers(request: Request, next: Next) -> Response {
    const POLICY: &str = "default-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                          frame-ancestors 'none'; form-action 'self'";
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
