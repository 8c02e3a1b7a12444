//! Owns `/areas` and `/audiences`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::List;
use super::alert::Audience;
use super::letter::LetterAudienceShown;
use crate::actions::{alert, census, letter, require};
use crate::domain::audience::Population;
use crate::domain::operator::Right;
use crate::store::{self};
use crate::web::Web;
use crate::web::auth::Caller;
use crate::web::body::JsonBody;
use crate::web::error::Problem;

/// The routes.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(audience))
}

/// An area with the figures of itself and all below it.
#[derive(Debug, Serialize, ToSchema)]
struct Area {
    code: String,
    name: String,
    kind: &'static str,
    parent: Option<String>,
    contact_persons: i64,
    households: i64,
    by_sms: i64,
}

/// The area tree, as far as the caller's own area reaches.
#[utoipa::path(get, path = "/areas", tag = "areas", responses((status = 200, body = List<Area>)))]
async fn list(State(web): State<Web>, Caller(actor): Caller) -> Result<Json<List<Area>>, Problem> {
    require(&actor, Right::ReadAreas)?;
    let mut session = web.desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let own = census::of(&web.desk, &mut session).await?.populations();
    let items = tree
        .iter()
        .filter(|area| tree.is_within(&area.code, &actor.area))
        .map(|area| {
            let below = sum(&own, tree.subtree([area.code.as_str()]).iter().map(String::as_str));
            Area {
                code: area.code.clone(),
                name: area.name.clone(),
                kind: area.kind.code(),
                parent: area.parent.clone(),
                contact_persons: below.contact_persons,
                households: below.households,
                by_sms: below.by_sms,
            }
        })
        .collect();
    Ok(Json(List { items, next: None }))
}

fn sum<'a>(own: &BTreeMap<String, Population>, codes: impl Iterator<Item = &'a str>) -> Population {
    codes.filter_map(|code| own.get(code)).fold(Population::default(), |sum, one| Population {
        contact_persons: sum.contact_persons + one.contact_persons,
        households: sum.households + one.households,
        by_sms: sum.by_sms + one.by_sms,
    })
}

/// Which areas, on which channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AudienceRequest {
    /// Area codes.
    areas: Vec<String>,
    /// `sms` (default) or `email`.
    channel: Option<String>,
}

/// The figures of an alert's audience, or of a letter's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Figures {
    Sms(Audience),
    Email(LetterAudienceShown),
}

/// The figures of an audience without making a message.
#[utoipa::path(post, path = "/audiences", tag = "areas", request_body = AudienceRequest,
    responses((status = 200, body = Figures), (status = 422, body = Problem)))]
async fn audience(
    State(web): State<Web>,
    Caller(actor): Caller,
    body: JsonBody<AudienceRequest>,
) -> Result<Json<Figures>, Problem> {
    let mut session = web.desk.store.read().await?;
    match body.value.channel.as_deref().unwrap_or("sms") {
        "sms" => {
            let audience = alert::audience(&web.desk, &mut session, &actor, &body.value.areas).await?;
            Ok(Json(Figures::Sms(audience.into())))
        }
        "email" => {
            let audience = letter::audience(&web.desk, &mut session, &actor, &body.value.areas).await?;
            Ok(Json(Figures::Email(audience.into())))
        }
        _ => Err(Problem::field("channel", "field.invalid", "Tillåtna värden: sms, email.")),
    }
}
