//! Owns the call list: whom to ring since the alert has not reached their phone, to print and tick off.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::frame::{Frame, show};
use super::menu::Section;
use super::time::number;
use super::visit::SignedIn;
use crate::actions::alert_figures;
use crate::domain::delivery::DeliveryState;
use crate::store;
use crate::store::alert::Unreached;
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/alerts/{id}/calls", get(list))
}

/// Somebody to ring.
#[derive(Debug)]
struct Call {
    name: String,
    numbers: Vec<String>,
    area: String,
    households: String,
    why: &'static str,
}

#[derive(Template)]
#[template(path = "pages/alert_calls.html")]
struct CallsPage {
    frame: Frame,
    id: String,
    calls: Vec<Call>,
}

async fn list(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    let rows = alert_figures::call_list(&web.desk, &mut session, who.actor(), &id).await?;
    let tree = store::area::tree(&mut session).await?;
    session.commit().await?;
    let frame = Frame::of(&web, &headers, &who, (Section::Alerts, "Ringlista")).await;
    let call = |row: Unreached| Call {
        area: match (tree.get(&row.area_code), tree.municipality_of(&row.area_code)) {
            (Some(area), Some(municipality)) if area.code != municipality.code => {
                format!("{}, {}", municipality.name, area.name)
            }
            (Some(area), _) => area.name.clone(),
            _ => row.area_code.clone(),
        },
        why: why(&row),
        households: number(row.households),
        numbers: [row.mobile, row.phone2].into_iter().flatten().collect(),
        name: row.name,
    };
    show(StatusCode::OK, &CallsPage { calls: rows.into_iter().map(call).collect(), id, frame })
}

fn why(row: &Unreached) -> &'static str {
    match row.state.as_deref().and_then(DeliveryState::from_code) {
        Some(DeliveryState::Undelivered) => "Mobilnätet kunde inte leverera",
        Some(DeliveryState::Failed) => "Avvisat direkt",
        Some(DeliveryState::Expired) => "För sent, inte skickat",
        Some(DeliveryState::InDoubt) => "Osäkert",
        Some(_) => "Inget besked",
        None => "Har inget mobilnummer",
    }
}
