//! Owns the API below `/api/v1`, its description at `/api/openapi.json` and its pages at `/api/docs`.
//!
//! Invariant: the description is generated from the handlers, so that it cannot differ from them.

pub mod alert;
pub mod area;
pub mod audit;
pub mod contact_person;
pub mod decision;
pub mod delivery;
pub mod event;
pub mod import;
pub mod letter;
pub mod letter_review;
pub mod mail_tray;
pub mod observation;
pub mod text;
pub mod time;

use axum::Router;
use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use super::Web;

#[derive(OpenApi)]
#[openapi(
    info(title = "grannpost", description = "Larm, brev och register för grannsamverkan."),
    modifiers(&Keys),
    security(("key" = []))
)]
struct Description;

struct Keys;

impl Modify for Keys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().add_security_scheme("key", scheme);
    }
}

/// A list's page.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// `after` of the next page; null on the last.
    pub next: Option<String>,
}

fn described() -> (Router<Web>, utoipa::openapi::OpenApi) {
    let v1 = OpenApiRouter::new()
        .merge(area::routes())
        .merge(alert::routes())
        .merge(letter::routes())
        .merge(letter_review::routes())
        .merge(delivery::routes())
        .merge(contact_person::routes())
        .merge(import::routes())
        .merge(observation::routes())
        .merge(mail_tray::routes())
        .merge(decision::routes())
        .merge(audit::routes())
        .merge(text::routes())
        .merge(event::routes());
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", v1).split_for_parts()
}

/// The API and its description.
pub fn router() -> Router<Web> {
    let (router, description) = described();
    router.merge(SwaggerUi::new("/api/docs").url("/api/openapi.json", description))
}

/// The OpenAPI document.
#[must_use]
pub fn description() -> utoipa::openapi::OpenApi {
    described().1
}
