//! Owns the download of observations for an investigator.
//!
//! What is in it is `actions::observation_export`. Invariant: nothing is handed out without a reason.

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;

use super::form::{Faults, SignedForm};
use super::observation_list::{self, InboxQuery};
use crate::actions::ActionError;
use crate::actions::observation_export::{self, ExportWish};
use crate::web::Web;
use crate::web::error::Problem;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new().route("/observations/export", post(export))
}

async fn export(State(web): State<Web>, form: SignedForm) -> Result<Response, Problem> {
    let wish = ExportWish {
        ids: form.fields.all("ids"),
        reason: form.fields.text("reason").to_owned(),
        with_informant: form.fields.has("with_informant"),
    };
    let mut session = web.desk.store.begin().await?;
    match observation_export::export(&web.desk, &mut session, form.who.actor(), &wish).await {
        Ok(archive) => {
            session.commit().await?;
            let headers =
                [(CONTENT_TYPE, "application/zip"), (CONTENT_DISPOSITION, "attachment; filename=\"iakttagelser.zip\"")];
            Ok((headers, archive).into_response())
        }
        Err(ActionError::Invalid(problems)) => {
            drop(session);
            let query = InboxQuery::of_form(&form.fields);
            observation_list::page(&web, (&form.headers, &form.who), &query, (wish.reason, Faults::new(problems))).await
        }
        Err(error) => Err(error.into()),
    }
}
