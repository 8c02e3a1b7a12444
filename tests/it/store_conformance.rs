//! Every public function of the store on both databases, each with its effect. `tests/architecture.rs` fails when one is
//! missing here.

use std::collections::BTreeSet;

use grannpost::domain::area::{Area, AreaKind};
use grannpost::domain::coverage::{Coverage, Crowd, POSITIONS as IDS_PER_MESSAGE};
use grannpost::domain::delivery::{Channel, DeliveryState};
use grannpost::domain::message::{MessageState, priority};
use grannpost::store::alert::AlertRow;
use grannpost::store::api_key::ApiKey;
use grannpost::store::attempt::{AttemptOutcome, Ending};
use grannpost::store::audience::Asked;
use grannpost::store::audit::{Entry, Filter, GENESIS};
use grannpost::store::contact_person::{ContactPerson, Search};
use grannpost::store::coverage::{First, Freeze, ids_of};
use grannpost::store::credential::Credential;
use grannpost::store::daemon::Daemon;
use grannpost::store::decision::Decision;
use grannpost::store::delivery::{Claim, Claimed, Step, Which};
use grannpost::store::freezing::{Dead, Undo};
use grannpost::store::import::{Import, ImportRow, LookUp};
use grannpost::store::import_draft::ImportDraft;
use grannpost::store::letter::LetterRow;
use grannpost::store::message::{Message, Review};
use grannpost::store::operator::Operator;
use grannpost::store::receipt::NewReceipt;
use grannpost::store::register::Find;
use grannpost::store::settle::Batch;
use grannpost::store::sign_in_session::SignInSession;
use grannpost::store::situation::Situation;
use grannpost::store::stamp::Gate;
use grannpost::store::{
    self, Session, Store, StoreError, alert, api_key, area, attempt, audience, audit, backup, contact_person, coverage,
    credential, daemon, decision, delivery, extract, freezing, gateway, idempotency, import, import_draft, inbound_sms,
    letter, message, operator, passkey, queue, receipt, register, setting, settle, sign_in_session, situation, stamp,
    verify,
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

fn asked(is_large: bool) -> Asked<'static> {
    Asked { areas_json: AREAS, now: NOW, is_large }
}

/// The whole of message `m1`, to be followed.
fn first() -> (First<'static>, (i64, i64)) {
    (First { message_id: "m1", number: 1 }, ids_of(1))
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
    let crowd = audience::sms_crowd(session, asked(false)).await.unwrap();
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

async fn claimed(session: &mut Session, channel: Channel) -> Vec<Claimed> {
    let claim =
        Claim { channel, priority: priority::ALL[0], limit: 10, owner: "d1", lease_until: NOW + 30_000, now: NOW };
    delivery::claim(session, &claim).await.unwrap()
}

fn gate() -> Gate<'static> {
    Gate { channel: Channel::Sms, owner: "d1", gateway: "elks", now: NOW }
}

async fn move_all(session: &mut Session, batch_id: &str, to: DeliveryState) -> usize {
    let held = delivery::lock(session, &[IDS_PER_MESSAGE + 1, IDS_PER_MESSAGE + 2]).await.unwrap();
    let steps = held.into_iter().map(|held| Step::new(held, to, Some("test"))).collect();
    delivery::apply(session, &batch(batch_id), steps).await.unwrap().len()
}

on_both_databases! {
    async fn areas_are_put_and_counted(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let renamed = Area { code: "2380".into(), name: "Östersund".into(), kind: AreaKind::Municipality, parent: Some("ostersund".into()) };
        area::put(&mut session, &renamed, NOW).await.unwrap();
        let tree = area::tree(&mut session).await.unwrap();
        assert_eq!(tree.get("2380").unwrap().name, "Östersund");
        assert!(tree.is_within("2380-vik", "jamtland"));
        contact_person::put(&mut session, &person("p1", Some("+46701740601"), None, 3)).await.unwrap();
        let paused = ContactPerson { paused_until_at: Some(NOW + 1), ..person("p2", Some("+46701740602"), None, 4) };
        contact_person::put(&mut session, &paused).await.unwrap();
        let here = area::populations(&mut session, NOW).await.unwrap()["2380-vik"];
        assert_eq!((here.contact_persons, here.households, here.by_sms), (2, 7, 1));
        assert_eq!(area::populations(&mut session, NOW + 1).await.unwrap()["2380-vik"].by_sms, 2);
    }

    async fn contact_persons_are_put_found_suppressed_and_erased(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let mut stored = person("p1", Some("+46701740601"), Some("a@example.org"), 3);
        contact_person::put(&mut session, &stored).await.unwrap();
        stored.note = "it's 100 % \"åäö\" 😀".into();
        contact_person::put(&mut session, &stored).await.unwrap();
        assert_eq!(contact_person::get(&mut session, "p1").await.unwrap(), Some(stored.clone()));
        assert_eq!(contact_person::get(&mut session, "p2").await.unwrap(), None);
        assert_eq!(contact_person::by_mobile(&mut session, "+46701740601").await.unwrap().len(), 1);
        let find = |words: &str, number: &str, after: &str| Search {
            words: words.into(), number: number.into(), areas_json: AREAS.into(), after: after.into(),
            email: if words == "%vik%" { "%@example%".into() } else { "%none%".into() }, named_json: "[]".into(),
        };
        for (search, hits) in [
            (find("%namn%", "", ""), 1), (find("", "%174060%", ""), 1), (find("", "", ""), 1), (find("%100\\%%", "", ""), 0),
            (find("%vik%", "", ""), 1), (find("%namn%", "", "p1"), 0),
        ] {
            assert_eq!(contact_person::search(&mut session, &search, 10).await.unwrap().len(), hits, "{search:?}");
        }
        let mark = || ("fp".to_owned(), "sms");
        contact_person::suppress(&mut session, mark(), "opted_out", NOW).await.unwrap();
        contact_person::suppress(&mut session, mark(), "erased", NOW).await.unwrap();
        assert_eq!(contact_person::suppressed(&mut session, "fp", "sms").await.unwrap().as_deref(), Some("opted_out"));
        assert_eq!(contact_person::suppressed(&mut session, "fp", "email").await.unwrap(), None);
        contact_person::unsuppress(&mut session, "fp", "sms").await.unwrap();
        assert_eq!(contact_person::suppressed(&mut session, "fp", "sms").await.unwrap(), None);
        contact_person::erase(&mut session, &stored, NOW + 5).await.unwrap();
        let erased = contact_person::get(&mut session, "p1").await.unwrap().unwrap();
        assert_eq!((erased.erased_at, erased.mobile, erased.note.as_str()), (Some(NOW + 5), None, ""));
        assert_eq!(contact_person::by_mobile(&mut session, "+46701740601").await.unwrap(), []);
    }

    async fn the_register_is_searched_counted_and_looked_through(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let twin = ContactPerson { name_key: "namn p1".into(), ..person("p3", Some("+46701740601"), None, 4) };
        let gone = ContactPerson { erased_at: Some(NOW), ..person("p9", None, None, 4) };
        let hidden = ContactPerson { protected: 1, ..person("p5", Some("+46701740605"), None, 6) };
        let paused = ContactPerson { paused_until_at: Some(NOW + 1), language: "sma".into(), area_code: "2380".into(), ..person("p4", Some("+46701740604"), Some("d@example.org"), 5) };
        for one in [person("p1", Some("+46701740601"), Some("a@example.org"), 2), person("p2", None, None, 3), twin, paused, hidden, gone] {
            contact_person::put(&mut session, &one).await.unwrap();
        }
        let all = Find { areas_json: AREAS.into(), email: "%none%".into(), named_json: "[]".into(), now: NOW, ..Find::default() };
        let of = |trait_code: &str| Find { trait_code: trait_code.into(), ..all.clone() };
        let mut finds = vec![
            (all.clone(), "p1 p3 p2 p4"),
            (Find { words: "%p1%".into(), ..all.clone() }, "p1 p3"),
            (Find { words: "%nobody%".into(), email: "%d@ex%".into(), ..all.clone() }, "p4"),
            (Find { words: "%nobody%".into(), named_json: r#"[{"code":"2380"}]"#.into(), ..all.clone() }, "p4"),
            (Find { number: "%740604%".into(), ..all.clone() }, "p4"),
            (Find { language: "sma".into(), ..all.clone() }, "p4"),
        ];
        for (code, ids) in [("sms", "p1 p3"), ("email", "p1"), ("none", "p2 p4"), ("unreachable", "p2"), ("paused", "p4"), ("opted_out", ""), ("alone", "p4"), ("all", "p1 p3 p2 p4")] {
            finds.push((of(code), ids));
        }
        for (find, expected) in finds {
            let found = register::page(&mut session, &find, ("", 10)).await.unwrap();
            let ids: Vec<String> = found.into_iter().map(|one| one.id).collect();
            assert_eq!(ids.join(" "), expected, "{find:?}");
            assert_eq!(register::count(&mut session, &find).await.unwrap(), i64::try_from(ids.len()).unwrap(), "{find:?}");
        }
        let rest = register::page(&mut session, &all, ("p3", 1)).await.unwrap();
        assert_eq!(rest.into_iter().map(|one| one.id).collect::<Vec<_>>(), ["p2"], "after a name, and not after an id");
        let cover = register::cover(&mut session, AREAS.into(), NOW).await.unwrap();
        let vik = cover.iter().find(|one| one.area_code == "2380-vik").unwrap();
        assert_eq!((vik.contact_persons, vik.households, vik.by_sms, vik.households_by_sms, vik.by_email), (4, 15, 3, 12, 1));
        assert_eq!((vik.no_mobile, vik.unwilling, vik.paused, vik.out_of_reach, vik.protected), (1, 0, 0, 1, 1));
        assert_eq!(cover.iter().find(|one| one.area_code == "2380").unwrap().paused, 1);
        let pairs = register::pairs(&mut session, AREAS.into(), 10).await.unwrap();
        assert_eq!(pairs.len(), 1, "{pairs:?}");
        assert_eq!((pairs[0].first_id.as_str(), pairs[0].second_id.as_str(), pairs[0].same_mobile, pairs[0].same_email), ("p1", "p3", 1, 0));
        assert_eq!(register::out_of_reach(&mut session, AREAS.into(), 10).await.unwrap()[0].id, "p2");
        assert_eq!(register::protected(&mut session, AREAS.into(), 10).await.unwrap()[0].id, "p5");
        let made = ContactPerson { import_id: Some("i1".into()), ..person("p6", None, None, 1) };
        contact_person::put(&mut session, &made).await.unwrap();
        register::keep(&mut session, "p6").await.unwrap();
        assert_eq!(contact_person::get(&mut session, "p6").await.unwrap().unwrap().import_id, None);
        assert_eq!(register::under_way(&mut session, "p1").await.unwrap(), 0);
        contact_person::erase(&mut session, &person("p5", None, None, 6), NOW).await.unwrap();
        frozen_alert(&mut session).await;
        assert_eq!(register::under_way(&mut session, "p1").await.unwrap(), 1);
    }

    async fn messages_are_written_revised_and_listed(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let mut first = a_message("a1", 1, "alert");
        message::insert(&mut session, &first).await.unwrap();
        message::insert(&mut session, &Message { changed_at: NOW + 10, ..a_message("a2", 2, "alert") }).await.unwrap();
        message::insert(&mut session, &a_message("a3", 3, "letter")).await.unwrap();
        message::insert(&mut session, &a_message("a4", 4, "test")).await.unwrap();
        (first.revision, first.body) = (2, "Ny text".into());
        message::revise(&mut session, &first).await.unwrap();
        assert_eq!(message::get(&mut session, "a1").await.unwrap(), Some(first.clone()));
        assert_eq!(message::get_locked(&mut session, "a1").await.unwrap(), Some(first.clone()));
        let page = message::page(&mut session, "alert", "", 10).await.unwrap();
        assert_eq!(page.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), ["a2", "a1"]);
        assert_eq!(message::page(&mut session, "alert", "a2", 10).await.unwrap().len(), 1);
        assert_eq!(message::unfinished(&mut session, "alert", 10).await.unwrap(), page);
        assert_eq!(message::changed_since(&mut session, NOW + 1, 10).await.unwrap().len(), 1);
        assert_eq!(message::changed_since(&mut session, NOW, 10).await.unwrap().len(), 3, "tests are not told of");
        message::begin_sending(&mut session, "a1", NOW + 20).await.unwrap();
        assert_eq!(message::state(&mut session, "a1").await.unwrap(), Some(MessageState::Sending));
        first.stopped_at = Some(NOW + 30);
        message::set_state(&mut session, &first, MessageState::Stopped, NOW + 30).await.unwrap();
        let stopped = message::get(&mut session, "a1").await.unwrap().unwrap();
        assert_eq!((stopped.state(), stopped.stopped_at, stopped.changed_at), (MessageState::Stopped, Some(NOW + 30), NOW + 30));
        message::set_areas(&mut session, "a1", [("2380-vik", true)]).await.unwrap();
        message::set_areas(&mut session, "a1", [("2380", true), ("2380-vik", false)]).await.unwrap();
        assert_eq!(message::chosen_areas(&mut session, "a1").await.unwrap(), ["2380"]);
        let review = |act: &str| Review {
            revision: 2, act: act.into(), actor: "a".into(), content_hash: "h".into(), reason: String::new(), at: NOW,
        };
        message::add_review(&mut session, "a1", &review("written")).await.unwrap();
        message::add_review(&mut session, "a1", &review("approved")).await.unwrap();
        assert_eq!(message::reviews(&mut session, "a1").await.unwrap(), [review("written"), review("approved")]);
        settle::start_counting(&mut session, "a1", DeliveryState::Queued, 7).await.unwrap();
        assert_eq!(message::counts(&mut session, "a1").await.unwrap().get(DeliveryState::Queued), 7);
        message::clear_counts(&mut session, "a1").await.unwrap();
        assert_eq!(message::counts(&mut session, "a1").await.unwrap().total(), 0);
    }

    async fn alerts_and_their_twins(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        for (id, number) in [("m1", 1), ("m2", 2)] {
            message::insert(&mut session, &a_message(id, number, "alert")).await.unwrap();
            message::set_areas(&mut session, id, [("2380", true)]).await.unwrap();
        }
        let row = |id: &str| AlertRow {
            message_id: id.into(), text: "Röd bil".into(), kind: "observation".into(), spread: "households".into(),
            decided_by: "Befäl".into(), drill: 0, expires_in_minutes: 60,
        };
        alert::put(&mut session, &AlertRow { text: "Blå bil".into(), ..row("m1") }).await.unwrap();
        alert::put(&mut session, &row("m1")).await.unwrap();
        alert::put(&mut session, &row("m2")).await.unwrap();
        assert_eq!(alert::get(&mut session, "m1").await.unwrap(), Some(row("m1")));
        assert_eq!(alert::recent_twin(&mut session, "m2", "Röd bil", NOW).await.unwrap().unwrap().id, "m1");
        assert_eq!(alert::recent_twin(&mut session, "m2", "Röd bil", NOW + 1).await.unwrap(), None);
        assert_eq!(alert::recent_twin(&mut session, "m2", "Blå bil", NOW).await.unwrap(), None);
        assert_eq!(alert::following(&mut session, "m1").await.unwrap(), []);
    }

    async fn an_audience_is_counted_frozen_and_thawed(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let written = frozen_alert(&mut session).await;
        let counted = audience::count_sms(&mut session, ["2380", "2380-vik"], NOW).await.unwrap();
        assert_eq!((counted.contact_persons, counted.by_sms, counted.households_by_sms, counted.not_reached), (4, 3, 13, 1));
        assert_eq!(coverage::count(&mut session, "m1").await.unwrap(), counted);
        for is_large in [false, true] {
            let crowd = audience::sms_crowd(&mut session, asked(is_large)).await.unwrap();
            assert_eq!(crowd.alert_audience(), counted);
        }
        assert_eq!(audience::count_sms(&mut session, ["2380"], NOW).await.unwrap().contact_persons, 0);
        assert!(audience::is_larger_than(&mut session, ["2380-vik"], 3).await.unwrap());
        assert!(!audience::is_larger_than(&mut session, ["2380-vik"], 4).await.unwrap());
        let missed = audience::not_reached(&mut session, ["2380", "2380-vik"], NOW).await.unwrap();
        assert_eq!(missed.iter().map(|(_, persons)| persons).sum::<i64>(), counted.not_reached, "{missed:?}");
        assert_eq!(audience::count_follow_up(&mut session, "m1").await.unwrap(), 0, "nothing is handed over");
        assert_eq!(alert::alive(&mut session, ["2380-nowhere"], NOW).await.unwrap(), []);
        assert_eq!(alert::endings(&mut session, "m1").await.unwrap(), []);
        assert_eq!(alert::passed_by_minute(&mut session, "m1").await.unwrap(), []);
        assert_eq!(alert::unreached_areas(&mut session, "m1").await.unwrap(), []);
        let calls = alert::unreached(&mut session, "m1", 10).await.unwrap();
        assert!(calls.iter().all(|one| one.not_reached.as_deref() == Some("no_mobile")), "{calls:?}");
        let rows = delivery::page(&mut session, "m1", "", 0, 10).await.unwrap();
        assert_eq!(rows[0].address, "+46701740602", "most households first");
        assert_eq!(delivery::page(&mut session, "m1", "queued", rows[0].id, 10).await.unwrap().len(), 1);
        assert_eq!(delivery::page(&mut session, "m1", "delivered", 0, 10).await.unwrap(), []);
        let second = Message { follows: Some("m1".into()), follow_up_kind: Some("update".into()), ..a_message("m2", 2, "alert") };
        message::insert(&mut session, &second).await.unwrap();
        let (of, whole) = first();
        assert_eq!(coverage::follow_up(&mut session, &freeze_of(&second), of, whole).await.unwrap(), 0);
        assert_eq!(move_all(&mut session, "b0", DeliveryState::Stopped).await, 2);
        assert_eq!(coverage::thaw(&mut session, "m2", 10).await.unwrap(), 0);
        assert_eq!(coverage::count(&mut session, &written.id).await.unwrap().by_sms, 3);
    }

    async fn a_follow_up_is_frozen_to_those_who_may_have_the_first_and_thawed(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let rows = claimed(&mut session, Channel::Sms).await;
        stamp::stamp(&mut session, &gate(), "b1", &rows[..1]).await.unwrap();
        let second = Message { follows: Some("m1".into()), follow_up_kind: Some("update".into()), ..a_message("m2", 2, "alert") };
        message::insert(&mut session, &second).await.unwrap();
        let (of, (before, last)) = first();
        let end = coverage::piece_end(&mut session, "m1", before, 1).await.unwrap().unwrap();
        assert_eq!(end, before + 1);
        assert_eq!(coverage::follow_up(&mut session, &freeze_of(&second), of, (end, last)).await.unwrap(), 0);
        assert_eq!(coverage::follow_up(&mut session, &freeze_of(&second), of, (before, end)).await.unwrap(), 1);
        assert_eq!(coverage::count(&mut session, "m2").await.unwrap().by_sms, 2);
        assert_eq!(claimed(&mut session, Channel::Sms).await, [], "it waits for the hand-over under way");
        assert_eq!(coverage::thaw(&mut session, "m2", 10).await.unwrap(), 2, "those who are covered");
        assert_eq!(coverage::thaw(&mut session, "m2", 10).await.unwrap(), 1, "then what covers them");
        assert_eq!(coverage::thaw(&mut session, "m2", 10).await.unwrap(), 0);
        assert_eq!(delivery::page(&mut session, "m2", "", 0, 10).await.unwrap(), []);
    }

    async fn what_is_frozen_in_pieces_is_hidden_until_it_is_published_and_then_released(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let new = Message { state: "draft".into(), ..a_message("m1", 1, "alert") };
        message::insert(&mut session, &new).await.unwrap();
        assert!(freezing::begin(&mut session, "m1", Undo::Remove, ("f1", NOW)).await.unwrap());
        assert!(!freezing::begin(&mut session, "m1", Undo::Remove, ("f2", NOW)).await.unwrap(), "one at a time");
        for known in [person("p1", Some("+46701740601"), None, 3), person("p2", Some("+46701740602"), None, 9)] {
            contact_person::put(&mut session, &known).await.unwrap();
        }
        let whole = Coverage::of(audience::sms_crowd(&mut session, asked(true)).await.unwrap(), &[]);
        let freeze = Freeze { due_at: NOW + 1_000_000_000, ..freeze_of(&new) };
        let rows = coverage::delivery_rows(1, whole.deliveries());
        assert_eq!(coverage::add_deliveries(&mut session, &freeze, &rows).await.unwrap(), 2);
        let rows = coverage::recipient_rows(1, whole.recipients());
        assert_eq!(coverage::add_recipients(&mut session, "m1", &rows).await.unwrap(), 2);
        assert!(freezing::hold(&mut session, "m1", "f1", NOW + 5).await.unwrap());
        assert_eq!(message::get(&mut session, "m1").await.unwrap(), None);
        assert_eq!(message::page(&mut session, "alert", "", 10).await.unwrap(), []);
        assert_eq!(message::changed_since(&mut session, 0, 10).await.unwrap(), []);
        assert_eq!(delivery::page(&mut session, "m1", "", 0, 10).await.unwrap(), []);
        assert_eq!(delivery::get(&mut session, IDS_PER_MESSAGE + 1).await.unwrap(), None);
        assert!(freezing::is_writing(&mut session, "m1").await.unwrap() && freezing::is_writing(&mut session, "").await.unwrap());
        assert_eq!(freezing::dead(&mut session, NOW + 5).await.unwrap(), []);
        let dead = Dead { message_id: "m1".into(), undo: Undo::Remove };
        assert_eq!(freezing::dead(&mut session, NOW + 6).await.unwrap(), std::slice::from_ref(&dead));
        assert!(freezing::take_over(&mut session, "m1", NOW + 6, ("f2", NOW + 9)).await.unwrap());
        assert!(!freezing::take_over(&mut session, "m1", NOW + 6, ("f3", NOW + 9)).await.unwrap());
        assert!(!freezing::hold(&mut session, "m1", "f1", NOW + 10).await.unwrap(), "the fence is another's");
        assert!(!freezing::publish(&mut session, "m1", "f1", 1).await.unwrap());
        assert!(freezing::publish(&mut session, "m1", "f2", 1).await.unwrap());
        assert_eq!(freezing::releasable(&mut session).await.unwrap(), Vec::<String>::new(), "a draft may not go");
        message::set_state(&mut session, &new, MessageState::Queued, NOW).await.unwrap();
        assert_eq!(freezing::releasable(&mut session).await.unwrap(), ["m1"]);
        assert_eq!(freezing::release(&mut session, "m1", 1).await.unwrap(), Some(true));
        assert_eq!(claimed(&mut session, Channel::Sms).await.len(), 1);
        assert_eq!(freezing::release(&mut session, "m1", 1).await.unwrap(), Some(true));
        assert_eq!(freezing::release(&mut session, "m1", 1).await.unwrap(), Some(false));
        assert_eq!(freezing::release(&mut session, "m1", 1).await.unwrap(), None);
        assert_eq!(claimed(&mut session, Channel::Sms).await.len(), 1);
        assert!(message::get(&mut session, "m1").await.unwrap().is_some());
    }

    async fn a_freezing_that_died_leaves_what_it_shall(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        for (id, number, undo) in [("m1", 1, Undo::Remove), ("m2", 2, Undo::ToDraft), ("m3", 3, Undo::Keep)] {
            message::insert(&mut session, &Message { state: "awaiting_approval".into(), ..a_message(id, number, "alert") }).await.unwrap();
            message::set_areas(&mut session, id, [("2380", true)]).await.unwrap();
            assert!(freezing::begin(&mut session, id, undo, ("f1", NOW)).await.unwrap());
        }
        for dead in freezing::dead(&mut session, NOW + 1).await.unwrap() {
            freezing::undo(&mut session, &dead, NOW + 2).await.unwrap();
        }
        assert!(!freezing::is_writing(&mut session, "").await.unwrap());
        assert_eq!(message::state(&mut session, "m1").await.unwrap(), None);
        assert_eq!(message::chosen_areas(&mut session, "m1").await.unwrap(), Vec::<String>::new());
        assert_eq!(message::state(&mut session, "m2").await.unwrap(), Some(MessageState::Draft));
        assert_eq!(message::state(&mut session, "m3").await.unwrap(), Some(MessageState::AwaitingApproval));
        session.commit().await.unwrap();
    }

    async fn deliveries_are_claimed_renewed_and_released(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin_dispatch().await.unwrap();
        frozen_alert(&mut session).await;
        assert_eq!(delivery::next_due(&mut session, Channel::Sms, priority::ALL[0]).await.unwrap(), Some(NOW));
        assert_eq!(delivery::next_due(&mut session, Channel::Email, priority::ALL[0]).await.unwrap(), None);
        setting::set(&mut session, setting::PAUSED, "by hand".into()).await.unwrap();
        assert_eq!(claimed(&mut session, Channel::Sms).await, []);
        assert!(setting::clear(&mut session, setting::PAUSED).await.unwrap());
        let rows = claimed(&mut session, Channel::Sms).await;
        assert_eq!(rows.iter().map(|row| row.lease_fence).collect::<Vec<_>>(), [1, 1]);
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let renewed = delivery::renew(&mut session, "d1", &ids, NOW + 60_000).await.unwrap();
        assert_eq!(renewed.iter().collect::<BTreeSet<_>>(), ids.iter().collect());
        assert_eq!(delivery::renew(&mut session, "other", &ids, NOW + 60_000).await.unwrap(), Vec::<i64>::new());
        assert_eq!(message::counts(&mut session, "m1").await.unwrap().get(DeliveryState::Sending), 2);
        assert_eq!(delivery::release(&mut session, "other", &ids, NOW).await.unwrap(), 0);
        assert_eq!(delivery::release(&mut session, "d1", &ids[..1], NOW + 500).await.unwrap(), 1);
        assert_eq!(delivery::release_dead(&mut session, "nobody", NOW + 60_000).await.unwrap(), 0);
        assert_eq!(delivery::release_dead(&mut session, "nobody", NOW + 60_001).await.unwrap(), 1);
        assert_eq!(delivery::reschedule(&mut session, "m1", NOW + 900).await.unwrap(), 2);
        assert_eq!(delivery::next_due(&mut session, Channel::Sms, priority::ALL[0]).await.unwrap(), Some(NOW + 900));
        assert_eq!(queue::depths(&mut session, NOW).await.unwrap(), []);
        let depths = queue::depths(&mut session, NOW + 900).await.unwrap();
        assert_eq!((depths[0].deliveries, depths[0].oldest_at), (2, Some(NOW + 900)));
    }

    async fn a_delivery_that_somebody_changes_is_not_renewed_and_holds_nobody_up(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let rows = claimed(&mut session, Channel::Sms).await;
        session.commit().await.unwrap();
        if kind == Kind::Sqlite {
            return; // One writes at a time there, whatever it writes.
        }
        let mut settling = store.begin().await.unwrap();
        assert_eq!(delivery::lock(&mut settling, &[rows[0].id]).await.unwrap().len(), 1);
        let mut renewing = store.begin().await.unwrap();
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let renewed = delivery::renew(&mut renewing, "d1", &ids, NOW + 60_000).await.unwrap();
        assert_eq!(renewed, [rows[1].id], "and it did not wait");
    }

    async fn the_gate_stamps_what_may_go_and_attempts_end(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let rows = claimed(&mut session, Channel::Sms).await;
        let (stamped, ended) = stamp::stamp(&mut session, &gate(), "b1", &rows[..1]).await.unwrap();
        assert_eq!(ended, []);
        assert_eq!((stamped.len(), stamped[0].attempts), (1, 1));
        let again = stamp::stamp(&mut session, &gate(), "b2", &rows[..1]).await.unwrap();
        assert_eq!(again, (Vec::new(), Vec::new()), "nothing passes twice");
        assert_eq!(delivery::count_stamped(&mut session, "m1").await.unwrap(), 1);
        stamp::suppress(&mut session, &gate(), "b3", &[rows[1].id], "number.fictitious").await.unwrap();
        let suppressed = delivery::get(&mut session, rows[1].id).await.unwrap().unwrap();
        assert_eq!((suppressed.state.as_str(), suppressed.reason.as_deref()), ("suppressed", Some("number.fictitious")));
        let ending = Ending {
            delivery_id: rows[0].id, number: 1, outcome: AttemptOutcome::InDoubt, reason: Some("answer.lost".into()), detail: None,
            gateway_ref: None,
        };
        attempt::end(&mut session, std::slice::from_ref(&ending), NOW + 10).await.unwrap();
        let attempts = attempt::of_delivery(&mut session, rows[0].id).await.unwrap();
        assert_eq!((attempts[0].outcome.as_deref(), attempts[0].ended_at), (Some("in_doubt"), Some(NOW + 10)));
        let held = delivery::lock(&mut session, &[rows[0].id]).await.unwrap();
        let steps = held.into_iter().map(|held| Step::new(held, DeliveryState::InDoubt, None)).collect();
        assert_eq!(delivery::apply(&mut session, &batch("b4"), steps).await.unwrap().len(), 1);
        let doubted = attempt::doubted(&mut session, "elks", 10).await.unwrap();
        assert_eq!((doubted.len(), doubted[0].number, doubted[0].message_kind.as_str()), (1, 1, "alert"));
        assert_eq!(attempt::doubted(&mut session, "other", 10).await.unwrap(), []);
        let proven = Ending { outcome: AttemptOutcome::Accepted, gateway_ref: Some("s1".into()), ..ending };
        attempt::end(&mut session, &[proven], NOW + 20).await.unwrap();
        let held = delivery::lock(&mut session, &[rows[0].id]).await.unwrap();
        let step = Step { gateway_ref: Some("s1".into()), ..Step::new(held[0].clone(), DeliveryState::Accepted, None) };
        delivery::apply(&mut session, &batch("b5"), vec![step]).await.unwrap();
        let refs = attempt::held_refs(&mut session, "elks", &["s1".into(), "s2".into()]).await.unwrap();
        assert_eq!(refs, [("s1".to_owned(), NOW)]);
        assert_eq!(receipt::awaited_since(&mut session, "elks").await.unwrap(), Some((NOW, NOW)));
        assert_eq!(receipt::awaited_since(&mut session, "other").await.unwrap(), None);
        let awaited = receipt::awaited(&mut session, "elks", ["s1", "s2"]).await.unwrap();
        assert_eq!(awaited, [receipt::Awaited { gateway_ref: "s1".into(), delivery_id: rows[0].id, attempt: 1 }]);
    }

    async fn steps_are_recorded_counted_and_never_go_back(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let rows = claimed(&mut session, Channel::Sms).await;
        stamp::stamp(&mut session, &gate(), "b1", &rows).await.unwrap();
        assert_eq!(delivery::lock_set(&mut session, Which::StampedByDead("d1", 0), 10).await.unwrap().len(), 2);
        assert_eq!(move_all(&mut session, "b2", DeliveryState::InDoubt).await, 2);
        assert_eq!(queue::open_figures(&mut session, NOW).await.unwrap(), (2, 0));
        assert_eq!(delivery::lock_set(&mut session, Which::InDoubtOf("m1"), 10).await.unwrap().len(), 2);
        assert_eq!(delivery::lock_set(&mut session, Which::InDoubtOf("m1"), 1).await.unwrap().len(), 1);
        assert_eq!(move_all(&mut session, "b3", DeliveryState::Accepted).await, 2);
        assert_eq!(delivery::lock_set(&mut session, Which::AcceptedBefore(Channel::Sms, NOW), 10).await.unwrap().len(), 2);
        assert_eq!(delivery::lock_set(&mut session, Which::Unstamped("m1"), 10).await.unwrap(), []);
        assert_eq!(delivery::lock_set(&mut session, Which::Expired(i64::MAX), 10).await.unwrap(), []);
        assert_eq!(move_all(&mut session, "b4", DeliveryState::Delivered).await, 2);
        assert_eq!(move_all(&mut session, "b5", DeliveryState::Queued).await, 0, "a final state is never left");
        settle::record(&mut session, &batch("b6"), &[]).await.unwrap();
        settle::refresh(&mut session, "m1", NOW + 50).await.unwrap();
        let done = message::get(&mut session, "m1").await.unwrap().unwrap();
        assert_eq!((done.state(), done.reach_persons, done.reach_households), (MessageState::Done, 3, 13));
        assert_eq!(message::counts(&mut session, "m1").await.unwrap().get(DeliveryState::Delivered), 2);
        let events = delivery::events(&mut session, rows[0].id).await.unwrap();
        let path: Vec<&str> = events.iter().map(|event| event.to_state.as_str()).collect();
        assert_eq!(path, ["in_doubt", "accepted", "delivered"]);
    }

    async fn letters_are_frozen_by_mail_and_on_paper(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        for new in [
            person("p1", None, Some("a@example.org"), 3),
            person("p2", None, Some("A@example.org"), 4),
            person("p3", None, None, 5),
            ContactPerson { address: String::new(), ..person("p4", None, None, 6) },
        ] {
            contact_person::put(&mut session, &new).await.unwrap();
        }
        let new = a_message("m1", 1, "letter");
        message::insert(&mut session, &new).await.unwrap();
        message::set_areas(&mut session, "m1", [("2380", true), ("2380-vik", false)]).await.unwrap();
        let row = LetterRow { message_id: "m1".into(), subject: "Hej".into(), body_markdown: "# Hej".into(), copy_recipients: "[]".into(), ..LetterRow::default() };
        letter::put(&mut session, &LetterRow { subject: "Nej".into(), ..row.clone() }).await.unwrap();
        letter::put(&mut session, &row).await.unwrap();
        assert_eq!(letter::get(&mut session, "m1").await.unwrap(), Some(row));
        let counted = audience::count_letter(&mut session, ["2380", "2380-vik"], NOW).await.unwrap();
        assert_eq!((counted.contact_persons, counted.by_email, counted.on_paper, counted.not_reached), (4, 2, 1, 1));
        for is_large in [true, false] {
            let crowd = audience::letter_crowd(&mut session, asked(is_large)).await.unwrap();
            assert_eq!(crowd.letter_audience(), counted);
        }
        let crowd = audience::letter_crowd(&mut session, asked(false)).await.unwrap();
        let coverage = Coverage::of(crowd, &["c@example.org", "a@EXAMPLE.org"]);
        let deliveries = coverage::write(&mut session, &freeze_of(&new), &coverage).await.unwrap();
        assert_eq!(deliveries, 3, "one by e-mail, one on paper, and a copy to the one who has it not");
        assert_eq!(coverage::count(&mut session, "m1").await.unwrap().not_reached, 1);
        let test = a_message("m2", 2, "test");
        message::insert(&mut session, &test).await.unwrap();
        let coverage = Coverage::of(Crowd::default(), &["me@example.org"]);
        assert_eq!(coverage::write(&mut session, &freeze_of(&test), &coverage).await.unwrap(), 1);
        let paper = letter::paper(&mut session, "m1", NOW).await.unwrap();
        assert_eq!((paper.len(), paper[0].wanted, paper[0].address.as_str()), (1, 1, "Namn p3\nSkolvägen 3\n837 71 Duved"));
        assert!(letter::opt_out(&mut session, "p3", "link", NOW).await.unwrap());
        assert!(!letter::opt_out(&mut session, "p3", "link", NOW + 1).await.unwrap());
        assert_eq!(letter::paper(&mut session, "m1", NOW).await.unwrap()[0].wanted, 0);
        assert_eq!(letter::last_sent(&mut session).await.unwrap(), []);
        assert_eq!(letter::next_planned(&mut session).await.unwrap(), [("2380".to_owned(), NOW)]);
        let standings = letter::standings(&mut session, "m1").await.unwrap();
        let standings: Vec<_> = standings.iter().map(|one| (one.channel.as_str(), one.state.as_str(), one.deliveries)).collect();
        assert_eq!(standings, [("email", "queued", 2), ("paper", "queued", 1)]);
        message::begin_sending(&mut session, "m1", NOW).await.unwrap();
        assert_eq!(letter::last_sent(&mut session).await.unwrap(), [("2380".to_owned(), NOW)]);
        assert_eq!(letter::next_planned(&mut session).await.unwrap(), []);
    }

    async fn imports_are_written_published_matched_and_undone(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        contact_person::put(&mut session, &person("p0", Some("+46701740609"), Some("o@example.org"), 2)).await.unwrap();
        let mut new = Import { id: "i1".into(), state: "running".into(), rows_read: 2, file: "{}".into(), created_by: "test".into(), created_at: NOW, seen_at: NOW, undone_at: None };
        import::put(&mut session, &new).await.unwrap();
        assert_eq!(import::running(&mut session).await.unwrap(), [new.clone()]);
        new.state = "stored".into();
        import::put(&mut session, &new).await.unwrap();
        assert_eq!(import::get(&mut session, "i1").await.unwrap(), Some(new.clone()));
        import::add_area(&mut session, ("2380-ny", "Ny", "2380"), "i1", NOW).await.unwrap();
        let made = ContactPerson { import_id: Some("i1".into()), erased_at: Some(import::UNPUBLISHED), area_code: "2380-ny".into(), ..person("p1", Some("+46701740601"), Some("a@example.org"), 3) };
        import::add_persons(&mut session, &[made]).await.unwrap();
        assert_eq!(import::persons(&mut session).await.unwrap(), 1, "what is not published is not seen");
        assert_eq!(import::publish(&mut session, "i1").await.unwrap(), 1);
        assert_eq!(import::persons(&mut session).await.unwrap(), 2);
        let row = |number: i64, action: &str, who: Option<&str>| ImportRow {
            number, line: number + 1, action: action.into(), item: r#"{"name":"x"}"#.into(), cells: Some("[]".into()), updates: None, contact_person_id: who.map(str::to_owned),
        };
        import::add_rows(&mut session, "i1", &[row(1, "new", Some("p1")), row(2, "ask", None)]).await.unwrap();
        import::put_row(&mut session, "i1", &row(2, "skip", None)).await.unwrap();
        assert_eq!(import::row(&mut session, "i1", 2).await.unwrap(), Some(row(2, "skip", None)));
        assert_eq!(import::rows(&mut session, "i1", "", (0, 10)).await.unwrap().len(), 2);
        assert_eq!(import::rows(&mut session, "i1", "new", (0, 10)).await.unwrap(), [row(1, "new", Some("p1"))]);
        assert_eq!(import::counts(&mut session, "i1").await.unwrap().len(), 2);
        for (keys, hits) in [
            (LookUp { numbers: vec!["+46701740601".into()], ..LookUp::default() }, 1),
            (LookUp { emails: vec!["a@example.org".into()], ..LookUp::default() }, 1),
            (LookUp { names: vec![("namn p1".into(), String::new())], ..LookUp::default() }, 1),
            (LookUp { numbers: vec!["+46".into()], ..LookUp::default() }, 0),
        ] {
            assert_eq!(import::matching(&mut session, &keys).await.unwrap().len(), hits, "{keys:?}");
        }
        contact_person::suppress(&mut session, ("fp".into(), "sms"), "opted_out", NOW).await.unwrap();
        assert_eq!(import::suppressed(&mut session, &["fp".into(), "other".into()]).await.unwrap().len(), 1);
        assert_eq!(import::postcodes(&mut session).await.unwrap(), [("837 71".to_owned(), "Duved".to_owned())]);
        let missing: Vec<String> = import::missing(&mut session, &new, ("", 10)).await.unwrap().into_iter().map(|p| p.id).collect();
        assert_eq!(missing, ["p0"]);
        assert_eq!(import::page(&mut session, "p0", 10).await.unwrap().len(), 1);
        assert_eq!(import::sent(&mut session, &new).await.unwrap(), 0);
        import::forget_person(&mut session, "p1").await.unwrap();
        assert_eq!(import::row(&mut session, "i1", 1).await.unwrap().unwrap().item, "{}");
        import::forget_rows(&mut session, "i1").await.unwrap();
        assert_eq!(import::row(&mut session, "i1", 2).await.unwrap().unwrap().cells, None);
        assert_eq!(import::remove_made(&mut session, "i1").await.unwrap(), 1);
        assert!(area::tree(&mut session).await.unwrap().get("2380-ny").is_none());
        assert_eq!(import::latest(&mut session, 10).await.unwrap(), [new.clone()]);
        import::remove(&mut session, "i1").await.unwrap();
        assert_eq!(import::get(&mut session, "i1").await.unwrap(), None);
    }

    async fn a_file_on_its_way_is_kept_in_pieces_until_it_is_forgotten(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let mut draft = ImportDraft { id: "f1".into(), created_by: "operator:1".into(), overrides: "{}".into(), created_at: NOW, ..ImportDraft::default() };
        import_draft::put(&mut session, &draft).await.unwrap();
        import_draft::add_part(&mut session, "f1", (0, "bmFt".into())).await.unwrap();
        assert_eq!(import_draft::get(&mut session, "f1").await.unwrap(), None, "not before all of it has come");
        draft.parts = 1;
        draft.import_id = Some("i1".into());
        import_draft::put(&mut session, &draft).await.unwrap();
        assert_eq!(import_draft::get(&mut session, "f1").await.unwrap(), Some(draft.clone()));
        assert_eq!(import_draft::of_import(&mut session, "i1").await.unwrap(), Some(draft.clone()));
        assert_eq!(import_draft::part(&mut session, "f1", 0).await.unwrap().as_deref(), Some("bmFt"));
        assert_eq!(import_draft::part(&mut session, "f1", 1).await.unwrap(), None);
        assert_eq!(import_draft::forget(&mut session, NOW).await.unwrap(), 0);
        assert_eq!(import_draft::forget(&mut session, NOW + 1).await.unwrap(), 1);
        import_draft::put(&mut session, &draft).await.unwrap();
        import_draft::add_part(&mut session, "f1", (0, "bmFt".into())).await.unwrap();
        import_draft::remove(&mut session, "f1").await.unwrap();
        assert_eq!(import_draft::part(&mut session, "f1", 0).await.unwrap(), None);
    }

    async fn receipts_are_stored_once(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let new = |delivery_id: i64, word: &str| NewReceipt {
            delivery_id, attempt: 1, word: word.into(), gateway: "elks".into(), gateway_ref: "s1".into(), state: None,
        };
        let known = IDS_PER_MESSAGE + 1;
        let stored = receipt::store(&mut session, &[new(known, "delivered"), new(99, "delivered")], NOW).await.unwrap();
        assert_eq!(stored, [(known, 1, "delivered".to_owned())], "an unknown delivery stores nothing");
        assert_eq!(receipt::store(&mut session, &[new(known, "delivered")], NOW + 1).await.unwrap(), []);
        assert_eq!(receipt::store(&mut session, &[new(known, "sent")], NOW + 1).await.unwrap().len(), 1);
        let words: Vec<String> = receipt::of_delivery(&mut session, known).await.unwrap().into_iter().map(|r| r.word).collect();
        assert_eq!(words, ["delivered", "sent"]);
    }

    async fn a_gateways_slots_and_states(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let first = gateway::reserve(&mut session, "elks", 1_000_000, 0).await.unwrap();
        let second = gateway::reserve(&mut session, "elks", 500_000, 0).await.unwrap();
        assert_eq!(second.next_slot_us, first.next_slot_us + 500_000, "the debt adds up");
        gateway::put_state(&mut session, "elks", ("up", None), Some(NOW), NOW).await.unwrap();
        gateway::put_state(&mut session, "elks", ("up", None), None, NOW + 5).await.unwrap();
        gateway::put_receipt(&mut session, "elks", NOW + 7).await.unwrap();
        gateway::put_balance(&mut session, "elks", "12.50".into(), NOW + 8).await.unwrap();
        let seen = gateway::states(&mut session).await.unwrap().remove(0);
        assert_eq!((seen.since_at, seen.last_answer_at, seen.last_receipt_at), (NOW, Some(NOW), Some(NOW + 7)));
        assert_eq!(seen.balance.as_deref(), Some("12.50"));
        gateway::put_state(&mut session, "elks", ("down", Some("gateway.refused")), None, NOW + 9).await.unwrap();
        assert_eq!(gateway::states(&mut session).await.unwrap()[0].since_at, NOW + 9);
    }

    async fn daemons_keys_and_operators_come_and_go(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        for id in ["d1", "d2"] {
            daemon::register(&mut session, &Daemon { id: id.into(), lock_key: 7 }, NOW).await.unwrap();
        }
        assert_eq!(daemon::others(&mut session, "d1").await.unwrap(), [Daemon { id: "d2".into(), lock_key: 7 }]);
        daemon::end(&mut session, "d2", NOW).await.unwrap();
        assert_eq!(daemon::others(&mut session, "d1").await.unwrap(), []);
        let key = ApiKey {
            id: "k1".into(), name: "larm".into(), key_hash: "h1".into(), role: "admin".into(), area_code: "2380".into(),
            created_at: NOW, last_used_at: None, revoked_at: None,
        };
        api_key::insert(&mut session, &key).await.unwrap();
        assert_eq!(api_key::by_hash(&mut session, "h1").await.unwrap(), Some(key));
        api_key::touch(&mut session, "k1", NOW + 1).await.unwrap();
        assert_eq!(api_key::list(&mut session).await.unwrap()[0].last_used_at, Some(NOW + 1));
        assert_eq!(api_key::revoke(&mut session, "larm", NOW + 2).await.unwrap(), 1);
        assert_eq!(api_key::revoke(&mut session, "k1", NOW + 2).await.unwrap(), 0);
        assert_eq!(api_key::by_hash(&mut session, "h1").await.unwrap(), None);
        let person = Operator {
            id: "o1".into(), name: "Eva".into(), email: "eva@example.org".into(), role: "chief".into(), area_code: "2380".into(),
            created_at: NOW, disabled_at: None, subject: None, last_signed_in_at: None,
        };
        operator::insert(&mut session, &person).await.unwrap();
        assert_eq!(operator::by_id_or_email(&mut session, "EVA@example.org").await.unwrap(), Some(person));
        assert!(operator::disable(&mut session, "o1", NOW).await.unwrap());
        assert!(!operator::disable(&mut session, "o1", NOW).await.unwrap());
        assert_eq!(operator::list(&mut session).await.unwrap()[0].disabled_at, Some(NOW));
        assert!(operator::enable(&mut session, "o1").await.unwrap());
        assert!(!operator::enable(&mut session, "o1").await.unwrap());
    }

    async fn operators_change_and_their_links_work_once(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        an_operator(&mut session, "o1").await;
        an_operator(&mut session, "o2").await;
        let link = |token: &str| operator::Link {
            token_hash: token.into(), operator_id: "o1".into(), purpose: "enrol".into(), expires_at: NOW + 9, used_at: None,
        };
        operator::put_link(&mut session, &link("t1")).await.unwrap();
        operator::put_link(&mut session, &link("t2")).await.unwrap();
        assert_eq!(operator::link(&mut session, "t1").await.unwrap(), None, "an earlier one is void");
        assert_eq!(operator::link(&mut session, "t2").await.unwrap(), Some(link("t2")));
        assert!(!operator::use_link(&mut session, "t2", NOW + 9).await.unwrap(), "too old");
        assert!(operator::use_link(&mut session, "t2", NOW + 8).await.unwrap());
        assert!(!operator::use_link(&mut session, "t2", NOW + 8).await.unwrap(), "used");
        operator::put_link(&mut session, &link("t3")).await.unwrap();
        operator::void_links(&mut session, "o1").await.unwrap();
        assert_eq!(operator::link(&mut session, "t3").await.unwrap(), None);
        assert!(operator::link(&mut session, "t2").await.unwrap().is_some(), "what was used stays");
        operator::change(&mut session, "o1", "admin", "jamtland").await.unwrap();
        operator::note_sign_in(&mut session, "o1", NOW + 5).await.unwrap();
        assert!(operator::set_subject(&mut session, "o1", "s1").await.unwrap());
        assert!(!operator::set_subject(&mut session, "o1", "s2").await.unwrap(), "tied already");
        let changed = operator::by_subject(&mut session, "s1").await.unwrap().unwrap();
        assert_eq!((changed.role.as_str(), changed.area_code.as_str(), changed.last_signed_in_at), ("admin", "jamtland", Some(NOW + 5)));
        assert_eq!(operator::by_subject(&mut session, "s2").await.unwrap(), None);
        session.commit().await.unwrap();
        let mut session = store.begin().await.unwrap();
        let taken = operator::set_subject(&mut session, "o2", "s1").await;
        assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    }

    async fn credentials_and_codes_are_used_once(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        an_operator(&mut session, "o1").await;
        assert_eq!(credential::get(&mut session, "o1").await.unwrap(), None);
        let mut chosen = Credential {
            operator_id: "o1".into(), password_hash: String::new(), totp_secret: "AAAA".into(), totp_step: 0, confirmed_at: None, changed_at: NOW,
        };
        credential::put(&mut session, &chosen).await.unwrap();
        (chosen.password_hash, chosen.totp_step, chosen.confirmed_at) = ("$argon2id$".into(), 7, Some(NOW));
        credential::put(&mut session, &chosen).await.unwrap();
        assert_eq!(credential::get(&mut session, "o1").await.unwrap(), Some(chosen));
        assert!(!credential::use_step(&mut session, "o1", 7).await.unwrap(), "a code works once");
        assert!(credential::use_step(&mut session, "o1", 8).await.unwrap());
        assert!(!credential::use_step(&mut session, "o1", 7).await.unwrap(), "nor an older one");
        credential::put_recovery_codes(&mut session, "o1", &["h0".into()]).await.unwrap();
        credential::put_recovery_codes(&mut session, "o1", &["h1".into(), "h2".into()]).await.unwrap();
        assert!(!credential::use_recovery_code(&mut session, "o1", "h0", NOW).await.unwrap(), "earlier ones are void");
        assert!(!credential::use_recovery_code(&mut session, "o2", "h1", NOW).await.unwrap());
        assert!(credential::use_recovery_code(&mut session, "o1", "h1", NOW).await.unwrap());
        assert!(!credential::use_recovery_code(&mut session, "o1", "h1", NOW).await.unwrap());
        assert_eq!(credential::recovery_codes_left(&mut session, "o1").await.unwrap(), 1);
        credential::remove(&mut session, "o1").await.unwrap();
        assert_eq!(credential::get(&mut session, "o1").await.unwrap(), None);
        assert_eq!(credential::recovery_codes_left(&mut session, "o1").await.unwrap(), 0);
    }

    async fn passkeys_are_kept_and_questions_answered_once(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        an_operator(&mut session, "o1").await;
        let new = |id: &str, at: i64| passkey::Passkey {
            id: id.into(), operator_id: "o1".into(), name: "Blå".into(), data: "{}".into(), created_at: at, last_used_at: None,
        };
        passkey::insert(&mut session, &new("k1", NOW)).await.unwrap();
        passkey::insert(&mut session, &new("k2", NOW - 1)).await.unwrap();
        assert_eq!(passkey::of_operator(&mut session, "o1").await.unwrap(), [new("k2", NOW - 1), new("k1", NOW)]);
        passkey::note_use(&mut session, "k1", "{\"n\":1}".into(), NOW + 5).await.unwrap();
        let used = passkey::get(&mut session, "k1").await.unwrap().unwrap();
        assert_eq!((used.data.as_str(), used.last_used_at), ("{\"n\":1}", Some(NOW + 5)));
        assert!(!passkey::remove(&mut session, "k1", "o2").await.unwrap(), "another's");
        assert!(passkey::remove(&mut session, "k1", "o1").await.unwrap());
        assert_eq!(passkey::get(&mut session, "k1").await.unwrap(), None);
        let question = |handle: &str, operator: Option<&str>| passkey::Question {
            handle_hash: handle.into(), operator_id: operator.map(str::to_owned), state: "{}".into(), created_at: NOW,
        };
        for (handle, operator) in [("h1", Some("o1")), ("h2", None), ("h3", None)] {
            passkey::ask(&mut session, &question(handle, operator)).await.unwrap();
        }
        assert_eq!(passkey::take_question(&mut session, "h1", NOW).await.unwrap(), Some(question("h1", Some("o1"))));
        assert_eq!(passkey::take_question(&mut session, "h1", NOW).await.unwrap(), None, "once");
        assert_eq!(passkey::take_question(&mut session, "h2", NOW + 1).await.unwrap(), None, "too late");
        assert_eq!(passkey::forget_questions(&mut session, NOW).await.unwrap(), 0);
        assert_eq!(passkey::forget_questions(&mut session, NOW + 1).await.unwrap(), 2);
        credential::remove(&mut session, "o1").await.unwrap();
        assert_eq!(passkey::of_operator(&mut session, "o1").await.unwrap(), [], "a reset takes them all");
        passkey::insert(&mut session, &new("k1", NOW)).await.unwrap();
        let taken = passkey::insert(&mut session, &new("k1", NOW)).await;
        assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    }

    async fn sessions_are_opened_used_locked_and_ended(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        an_operator(&mut session, "o1").await;
        let new = a_sign_in_session;
        for id in ["s1", "s2", "s3", "s4"] {
            sign_in_session::insert(&mut session, &new(id)).await.unwrap();
        }
        assert_eq!(sign_in_session::by_token(&mut session, "hash s1").await.unwrap(), Some(new("s1")));
        assert_eq!(sign_in_session::by_token(&mut session, "s1").await.unwrap(), None);
        sign_in_session::touch(&mut session, "s2", NOW + 5).await.unwrap();
        sign_in_session::touch(&mut session, "s2", NOW + 4).await.unwrap();
        let own = sign_in_session::of_operator(&mut session, "o1").await.unwrap();
        assert_eq!((own.len(), own[0].id.as_str(), own[0].seen_at), (4, "s2", NOW + 5));
        assert!(sign_in_session::lock(&mut session, "s1").await.unwrap());
        assert!(!sign_in_session::lock(&mut session, "s1").await.unwrap());
        sign_in_session::prove(&mut session, "s1", NOW + 6).await.unwrap();
        let proved = sign_in_session::by_token(&mut session, "hash s1").await.unwrap().unwrap();
        assert_eq!((proved.state.as_str(), proved.proved_at), ("open", NOW + 6));
        assert!(!sign_in_session::end(&mut session, "s1", "o2").await.unwrap(), "another's");
        assert!(sign_in_session::end(&mut session, "s1", "o1").await.unwrap());
        assert!(!sign_in_session::end(&mut session, "s1", "o1").await.unwrap());
        assert_eq!(sign_in_session::forget(&mut session, NOW + 1_000, NOW).await.unwrap(), 0);
        assert_eq!(sign_in_session::forget(&mut session, NOW + 1_000, NOW + 5).await.unwrap(), 2, "those not used since");
        assert_eq!(sign_in_session::end_others(&mut session, "o1", "s2").await.unwrap(), 0);
        assert_eq!(sign_in_session::end_others(&mut session, "o1", "").await.unwrap(), 1);
    }

    async fn small_things_are_kept(kind: Kind) {
        let (store, database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        assert_eq!(setting::get(&mut session, setting::NEWEST_AT).await.unwrap(), None);
        setting::set(&mut session, setting::NEWEST_AT, "1".into()).await.unwrap();
        setting::set(&mut session, setting::NEWEST_AT, "2".into()).await.unwrap();
        assert_eq!(setting::get_or_set(&mut session, setting::NEWEST_AT, "3".into()).await.unwrap(), "2");
        assert_eq!(setting::get_or_set(&mut session, setting::RESUMED_AT, "3".into()).await.unwrap(), "3");
        assert!(setting::clear(&mut session, setting::NEWEST_AT).await.unwrap());
        assert!(!setting::clear(&mut session, setting::NEWEST_AT).await.unwrap());
        assert_eq!(setting::next_message_number(&mut session).await.unwrap(), 1);
        assert_eq!(setting::next_message_number(&mut session).await.unwrap(), 2);
        let who = ("caller", "key");
        assert_eq!(idempotency::reserve(&mut session, who, "hash", NOW).await.unwrap(), None);
        idempotency::finish(&mut session, who, 201, "{}".into()).await.unwrap();
        let kept = idempotency::reserve(&mut session, who, "other", NOW).await.unwrap().unwrap();
        assert_eq!((kept.request_hash.as_str(), kept.answer_code, kept.answer.as_str()), ("hash", 201, "{}"));
        assert_eq!(idempotency::forget(&mut session, NOW).await.unwrap(), 0);
        assert_eq!(idempotency::forget(&mut session, NOW + 1).await.unwrap(), 1);
        for id in ["1", "2"] {
            let new = Decision {
                id: id.into(), outcome: "not_sent".into(), decided_by: "Befäl".into(), reason: "nej".into(), areas: "[]".into(),
                message_id: None, created_by: "test".into(), created_at: NOW,
            };
            decision::insert(&mut session, &new).await.unwrap();
        }
        assert_eq!(decision::page(&mut session, "", 10).await.unwrap().len(), 2);
        assert_eq!(decision::page(&mut session, "2", 10).await.unwrap()[0].id, "1");
        for _ in 0..2 {
            inbound_sms::keep(&mut session, ("elks", "digest"), "from=x".into(), NOW).await.unwrap();
        }
        session.commit().await.unwrap();
        assert_eq!(database.texts("SELECT raw FROM inbound_sms").await, ["from=x"]);
    }

    async fn situations_have_versions_of_which_one_is_current(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let names: Vec<String> = situation::list(&mut session).await.unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(names.len(), 5, "those that every installation begins with: {names:?}");
        let first = situation::get(&mut session, "burglary").await.unwrap().unwrap();
        let second = Situation { version: 2, name: "Stöld".into(), ..first.clone() };
        assert!(situation::retire(&mut session, "burglary", 1).await.unwrap());
        assert!(!situation::retire(&mut session, "burglary", 1).await.unwrap());
        assert_eq!(situation::get(&mut session, "burglary").await.unwrap(), None);
        situation::insert(&mut session, &second).await.unwrap();
        assert_eq!(situation::get(&mut session, "burglary").await.unwrap(), Some(second.clone()));
        let third = Situation { version: 3, ..second };
        assert!(matches!(situation::insert(&mut session, &third).await, Err(StoreError::Conflict(_))), "one is current");
    }

    async fn the_log_is_appended_sealed_and_checked(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        assert_eq!(audit::head(&mut session).await.unwrap(), None);
        assert_eq!(audit::seal(&mut session, 10).await.unwrap(), None);
        for id in ["1", "2", "3"] {
            let entry = Entry { id, at: NOW, actor: "a", action: "x.y", object_kind: "thing", object_id: "o", detail: json!({}) };
            audit::append(&mut session, &entry).await.unwrap();
        }
        let head = audit::seal(&mut session, 2).await.unwrap().unwrap();
        assert_eq!(head.seq, 2);
        let sealed = audit::sealed_after(&mut session, 0, 10).await.unwrap();
        assert_eq!(sealed[0].hash, Some(sealed[0].chained(GENESIS, 1)));
        assert_eq!(sealed[1].hash.as_ref(), Some(&head.hash));
        assert_eq!(audit::head(&mut session).await.unwrap(), Some(head));
        let all = Filter { from: 0, until: NOW + 1, ..Filter::default() };
        assert_eq!(audit::page(&mut session, &all, 10).await.unwrap().len(), 3);
        for none in [
            Filter { actor: "b".into(), ..all.clone() }, Filter { action: "b".into(), ..all.clone() },
            Filter { object_id: "b".into(), ..all.clone() }, Filter { until: NOW, ..all.clone() },
            Filter { from: NOW + 1, ..all.clone() }, Filter { after: "1".into(), ..all.clone() },
        ] {
            assert_eq!(audit::page(&mut session, &none, 10).await.unwrap(), [], "{none:?}");
        }
        frozen_alert(&mut session).await;
        let rows = claimed(&mut session, Channel::Sms).await;
        stamp::stamp(&mut session, &gate(), "b1", &rows).await.unwrap();
        move_all(&mut session, "b2", DeliveryState::Accepted).await;
        let (changes, digest) = verify::batch_digest(&mut session, "b2").await.unwrap();
        assert_eq!((changes, digest.len()), (2, 64));
        assert_eq!(verify::unknown_batches(&mut session).await.unwrap(), Vec::<String>::new());
        assert_eq!(verify::overdue_leases(&mut session, NOW).await.unwrap(), Vec::<String>::new());
        for statement in verify::COUNTS_EQUAL_ROWS.iter().chain(&verify::HISTORY_IS_MONOTONE).chain(&verify::COVERED_ONCE) {
            assert_eq!(verify::lines(&mut session, statement).await.unwrap(), Vec::<String>::new(), "{statement}");
        }
        assert_eq!(verify::lines(&mut session, verify::LOGGED[0]).await.unwrap().len(), 1, "m1 is not in the log");
    }

    async fn what_is_held_on_a_person_is_found_and_a_restored_database_is_paused(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let messages = extract::messages(&mut session, "p2").await.unwrap();
        assert_eq!((messages.len(), messages[0].message_id.as_str(), messages[0].state.as_deref()), (1, "m1", Some("queued")));
        assert_eq!(extract::log(&mut session, "p2").await.unwrap(), []);
        assert_eq!(extract::file_rows(&mut session, "p2").await.unwrap(), []);
        let contents = backup::contents(&mut session).await.unwrap();
        assert_eq!((contents.contact_persons, contents.messages, contents.waiting, contents.open), (4, 1, 2, 0));
        an_operator(&mut session, "o1").await;
        let link = operator::Link {
            token_hash: "t1".into(), operator_id: "o1".into(), purpose: "enrol".into(), expires_at: NOW + 9, used_at: None,
        };
        operator::put_link(&mut session, &link).await.unwrap();
        sign_in_session::insert(&mut session, &a_sign_in_session("s1")).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(backup::pause_restored(&store).await.unwrap(), contents);
        let mut session = store.read().await.unwrap();
        assert_eq!(setting::get(&mut session, setting::PAUSED).await.unwrap().as_deref(), Some("restored"));
        assert_eq!(operator::link(&mut session, "t1").await.unwrap(), None);
        assert_eq!(sign_in_session::of_operator(&mut session, "o1").await.unwrap(), []);
    }

    async fn an_sqlite_database_is_copied_and_checked_by_itself_and_postgresql_by_its_own_tools(kind: Kind) {
        let (store, database) = fresh(kind).await;
        let file = database.folder.path().join("copy.db");
        let (copied, checked) = (backup::copy_to(&store, file.to_str().unwrap()).await, backup::check(&store).await);
        match kind {
            Kind::Sqlite => {
                copied.unwrap();
                checked.unwrap();
                let copy = Store::open(&format!("sqlite:{}", file.display()), 2).await.unwrap();
                assert_eq!(area::tree(&mut copy.read().await.unwrap()).await.unwrap().iter().count(), 4);
            }
            Kind::Postgres => {
                assert!(matches!(copied, Err(StoreError::Schema(_))), "{copied:?}");
                assert!(matches!(checked, Err(StoreError::Schema(_))), "{checked:?}");
                assert!(!file.exists());
            }
        }
    }

    async fn a_row_that_exists_is_a_conflict_and_a_dropped_session_leaves_nothing(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        message::insert(&mut session, &a_message("m1", 1, "alert")).await.unwrap();
        let twice = message::insert(&mut session, &a_message("m1", 1, "alert")).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        drop(session);
        let mut session = store.read().await.unwrap();
        assert_eq!(message::get(&mut session, "m1").await.unwrap(), None);
        assert!(store.migrations().await.unwrap().iter().all(|migration| migration.applied));
        drop(session);
        store.close().await;
        assert!(matches!(store.begin().await, Err(store::StoreError::Unavailable(_))));
    }
}
