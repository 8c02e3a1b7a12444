//! Owns what people do: one operator action is one transaction and one audit row.
//!
//! It does not know HTTP or the command line; both call it. Invariant: every rule of who may do what, and in which
//! order, stands here and nowhere else.

pub mod alert;
pub mod alert_confirmation;
pub mod alert_draft;
pub mod alert_email;
pub mod alert_figures;
pub mod alert_preview;
pub mod alert_report;
pub mod alert_review;
mod alert_text;
pub mod alert_view;
pub mod alert_watch;
pub mod audit_chain;
pub mod audit_log;
mod automatic_answer;
pub mod census;
pub mod channel_health;
mod command;
pub mod contact_person;
pub mod decision;
pub mod delivery;
pub mod deputy;
pub mod deputy_takeover;
pub mod duty;
pub mod error;
pub mod export;
pub mod extract;
pub mod follow_up;
pub mod freezing;
pub mod gateway_test;
pub mod hand_over;
pub mod import;
pub mod import_answer;
pub mod import_draft;
pub mod import_plan;
pub mod import_undo;
pub mod key;
pub mod large_alert;
pub mod large_letter;
pub mod lately;
pub mod letter;
pub mod letter_cadence;
pub mod letter_figures;
pub mod letter_reminder;
pub mod letter_review;
pub mod letter_view;
pub mod mail_tray;
pub mod message;
pub mod notice;
pub mod observation;
pub mod observation_answer;
pub mod observation_export;
pub mod observation_view;
pub mod observation_work;
pub mod operator;
pub mod opt_out_replay;
pub mod own_page;
pub mod own_page_act;
pub mod own_page_view;
pub mod paper;
pub mod passkey;
pub mod pause;
pub mod person_merge;
pub mod phone_call;
pub mod register;
pub mod register_word;
pub mod reply;
pub mod retention;
pub mod session;
pub mod sign_in;
pub mod sign_in_elsewhere;
pub mod situation;
pub mod unsealing;
pub mod unsubscribe;
pub mod waiting;
pub mod work_list;

use std::sync::Arc;

use crate::ambient::{self, Clock, Wakeup};
use crate::config::Config;
use crate::domain::area::{AreaTree, Place};
use crate::domain::delivery_token::TokenKey;
use crate::domain::operator::{Actor, Right};
use crate::store::{self, Session, Store};

pub use lately::Lately;

pub use error::{ActionError, FieldProblem, Result};

/// What every action works with.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The database.
    pub store: Store,
    /// Wall clock.
    pub clock: Clock,
    /// Settings.
    pub config: Arc<Config>,
    /// Key of tokens and fingerprints.
    pub token_key: Arc<TokenKey>,
    /// Rung after a commit that made something due.
    pub wakeup: Wakeup,
    /// Places by municipality, for the place check.
    pub places: Arc<Vec<Place>>,
    /// Figures that were counted lately.
    pub lately: Arc<Lately>,
}

impl Desk {
    /// Now, Unix ms.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    /// A new id.
    #[must_use]
    pub fn id(&self) -> String {
        ambient::new_id(&self.clock)
    }

    /// Adds the one audit row of an action. `detail` holds no names, numbers, addresses or texts.
    ///
    /// # Errors
    /// [`ActionError::Store`].
    pub async fn audit(
        &self,
        session: &mut Session,
        actor: &Actor,
        action: &str,
        object: (&str, &str),
        detail: serde_json::Value,
    ) -> Result<()> {
        let entry = store::audit::Entry {
            id: &self.id(),
            at: self.now(),
            actor: &actor.id,
            action,
            object_kind: object.0,
            object_id: object.1,
            detail,
        };
        Ok(store::audit::append(session, &entry).await?)
    }
}

/// Refuses what the actor's role does not grant.
///
/// # Errors
/// [`ActionError::Forbidden`].
pub fn require(actor: &Actor, right: Right) -> Result<()> {
    if actor.role.may(right) { Ok(()) } else { Err(ActionError::Forbidden) }
}

/// Whether every one of `areas` lies within the actor's own.
#[must_use]
pub fn holds_areas(actor: &Actor, tree: &AreaTree, areas: &[String]) -> bool {
    areas.iter().all(|code| tree.is_within(code, &actor.area))
}
