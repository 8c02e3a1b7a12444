//! Every public function of the store on both databases, each with its effect. `tests/architecture.rs` fails when one is
//! missing here.

mod access;
mod deliveries;
mod house;
mod imports;
mod mail;
mod messages;
mod observations;
mod opt_outs;
mod persons;
mod retention;

use std::collections::BTreeSet;

use grannpost::domain::area::{Area, AreaKind};
use grannpost::domain::coverage::{Coverage, Crowd, POSITIONS as IDS_PER_MESSAGE};
use grannpost::domain::daemon_role::Roles;
use grannpost::domain::delivery::{Channel, DeliveryState};
use grannpost::domain::message::{MessageState, priority};
use grannpost::store::alert::AlertRow;
use grannpost::store::alert_draft::AlertDraft;
use grannpost::store::api_key::ApiKey;
use grannpost::store::attempt::{AttemptOutcome, Ending};
use grannpost::store::audience::{Asked, CensusRow};
use grannpost::store::audit::{Entry, Filter, GENESIS};
use grannpost::store::bell;
use grannpost::store::claim::{self, Claim, Claimed, Front};
use grannpost::store::contact_person::{ContactPerson, Search};
use grannpost::store::coverage::{First, Freeze, ids_of};
use grannpost::store::credential::Credential;
use grannpost::store::daemon::Daemon;
use grannpost::store::decision::Decision;
use grannpost::store::delivery::{Step, Which};
use grannpost::store::freezing::{Dead, Undo};
use grannpost::store::import::{Import, ImportRow, LookUp};
use grannpost::store::import_draft::ImportDraft;
use grannpost::store::inbound_sms::NewSms;
use grannpost::store::letter::LetterRow;
use grannpost::store::message::{Message, Review};
use grannpost::store::observation::{Filter as Shown, Observation};
use grannpost::store::operator::Operator;
use grannpost::store::receipt::NewReceipt;
use grannpost::store::register::Find;
use grannpost::store::register_word::{Begins, Within};
use grannpost::store::reply::NewReply;
use grannpost::store::settle::Batch;
use grannpost::store::sign_in_session::SignInSession;
use grannpost::store::situation::Situation;
use grannpost::store::stamp::Gate;
use grannpost::store::{
    self, Session, Store, StoreError, alert, alert_draft, alert_email, api_key, area, attempt, audience, audit, backup,
    contact_person, coverage, credential, daemon, decision, delivery, deputy, extract, freezing, gateway, idempotency,
    import, import_draft, inbound_sms, letter, message, observation, observation_tag, operator, own_page, passkey,
    phone_call, queue, receipt, register, register_word, reply, sealed_audience, setting, settle, sign_in_session,
    situation, spread, stamp, verify,
};
use serde_json::json;

use crate::support::{Database, Kind, on_both_databases};

const NOW: i64 = 1_795_000_000_000;
const AREAS: &str = r#"[{"code":"2380"},{"code":"2380-vik"}]"#;

/// A migrated database with four areas, and the folder it lives in.
async fn fresh(kind: Kind) -> (Store, Database) {
    let database = Database::new(kind);
    let store = Store::open(&database.url, 4).await.unwrap();
    assert!(store.migrate().await.unwrap() > 0);
    assert_eq!(store.migrate().await.unwrap(), 0, "nothing is pending the second time");
    let mut session = store.begin().await.unwrap();
    for (code, kind, parent) in [
        ("jamtland", AreaKind::PoliceArea, None),
        ("ostersund", AreaKind::LocalPoliceArea, Some("jamtland")),
        ("2380", AreaKind::Municipality, Some("ostersund")),
        ("2380-vik", AreaKind::WatchArea, Some("2380")),
    ] {
        let new = Area { code: code.into(), name: code.to_uppercase(), kind, parent: parent.map(str::to_owned) };
        area::put(&mut session, &new, NOW).await.unwrap();
    }
    session.commit().await.unwrap();
    (store, database)
}

fn person(id: &str, mobile: Option<&str>, email: Option<&str>, households: i64) -> ContactPerson {
    ContactPerson {
        id: id.into(),
        name: format!("Namn {id}"),
        name_key: format!("namn {id}"),
        mobile: mobile.map(str::to_owned),
        email: email.map(str::to_owned),
        email_key: email.map(str::to_owned),
        address: "Skolvägen 3".into(),
        postcode: "837 71".into(),
        place: "Duved".into(),
        area_code: "2380-vik".into(),
        households,
        language: "sv".into(),
        letters: 1,
        alerts: 1,
        created_at: NOW,
        updated_at: NOW,
        ..ContactPerson::default()
    }
}

fn a_message(id: &str, number: i64, kind: &str) -> Message {
    Message {
        numeric_sender: 1,
        id: id.into(),
        number,
        kind: kind.into(),
        state: "queued".into(),
        priority: priority::ALL[0],
        revision: 1,
        content_hash: "hash".into(),
        body: "Polisen".into(),
        audience: "{}".into(),
        reach_persons: 0,
        reach_households: 0,
        follows: None,
        follow_up_kind: None,
        send_at: None,
        sends_at: Some(NOW),
        undo_seconds: 0,
        expires_at: Some(NOW + 1_000_000),
        stopped_at: None,
        handed_over_at: None,
        done_at: None,
        created_by: "test".into(),
        created_at: NOW,
        changed_at: NOW,
    }
}

fn freeze_of(message: &Message) -> Freeze<'_> {
    Freeze {
        message_id: &message.id,
        number: message.number,
        priority: message.priority,
        due_at: NOW,
        expires_at: NOW + 1_000_000,
        now: NOW,
    }
}

fn asked() -> Asked<'static> {
    Asked { areas_json: AREAS, now: NOW }
}

/// The whole of message `m1`, to be followed.
fn first() -> (First<'static>, (i64, i64)) {
    (First { message_id: "m1", number: 1, silent_only: false }, ids_of(1))
}

fn batch(id: &str) -> Batch<'_> {
    Batch { id, actor: "test", action: "deliveries.settled", now: NOW }
}

/// Three persons with two numbers, frozen into an alert.
async fn frozen_alert(session: &mut Session) -> Message {
    for new in [
        person("p1", Some("+46701740601"), Some("a@example.org"), 3),
        person("p2", Some("+46701740602"), None, 9),
        person("p3", Some("+46701740602"), None, 1),
        person("p4", None, Some("A@example.org"), 7),
    ] {
        contact_person::put(session, &new).await.unwrap();
    }
    let new = a_message("m1", 1, "alert");
    message::insert(session, &new).await.unwrap();
    message::set_areas(session, "m1", [("2380", true), ("2380-vik", false)]).await.unwrap();
    let crowd = audience::sms_crowd(session, asked()).await.unwrap();
    assert_eq!(coverage::write(session, &freeze_of(&new), &Coverage::of(crowd, &[])).await.unwrap(), 2);
    settle::start_counting(session, "m1", DeliveryState::Queued, 2).await.unwrap();
    new
}

fn a_sign_in_session(id: &str) -> SignInSession {
    SignInSession {
        id: id.into(),
        token_hash: format!("hash {id}"),
        operator_id: "o1".into(),
        way: "password".into(),
        state: "open".into(),
        browser: "Firefox på Linux".into(),
        created_at: NOW,
        seen_at: NOW,
        proved_at: NOW,
        expires_at: NOW + 1_000,
    }
}

async fn an_operator(session: &mut Session, id: &str) {
    let new = Operator {
        id: id.into(),
        name: "Eva".into(),
        email: format!("{id}@example.org"),
        role: "chief".into(),
        area_code: "2380".into(),
        created_at: NOW,
        disabled_at: None,
        subject: None,
        last_signed_in_at: None,
    };
    operator::insert(session, &new).await.unwrap();
}

fn claim_of(channel: Channel) -> Claim<'static> {
    Claim { channel, priority: priority::ALL[0], limit: 10, owner: "d1", lease_until: NOW + 30_000, now: NOW }
}

async fn claimed(session: &mut Session, channel: Channel) -> Vec<Claimed> {
    claim::claim(session, &mut Front::default(), &claim_of(channel)).await.unwrap()
}

fn gate() -> Gate<'static> {
    Gate { channel: Channel::Sms, owner: "d1", gateway: "elks", now: NOW }
}

async fn move_all(session: &mut Session, batch_id: &str, to: DeliveryState) -> usize {
    let held = delivery::lock(session, &[IDS_PER_MESSAGE + 1, IDS_PER_MESSAGE + 2]).await.unwrap();
    let steps = held.into_iter().map(|held| Step::new(held, to, Some("test"))).collect();
    delivery::apply(session, &batch(batch_id), steps).await.unwrap().len()
}
