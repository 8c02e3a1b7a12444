//! The store on both databases: deliveries on their way: leases, the gate, steps, receipts, gateways.

use grannpost::store::advance::{self, Arrived, Taken};

use super::*;
use grannpost::store::sms_part::{self, InboundPart, Loose, NewPart, NewReport, Standing};

on_both_databases! {
    async fn deliveries_are_claimed_renewed_and_released(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin_dispatch().await.unwrap();
        frozen_alert(&mut session).await;
        assert_eq!(queue::next_due(&mut session, Channel::Sms, priority::ALL[0]).await.unwrap(), Some(NOW));
        assert_eq!(queue::next_due(&mut session, Channel::Email, priority::ALL[0]).await.unwrap(), None);
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
        assert_eq!(queue::next_due(&mut session, Channel::Sms, priority::ALL[0]).await.unwrap(), Some(NOW + 900));
        assert_eq!(queue::depths(&mut session, NOW).await.unwrap(), []);
        let depths = queue::depths(&mut session, NOW + 900).await.unwrap();
        assert_eq!((depths[0].deliveries, depths[0].oldest_at), (2, Some(NOW + 900)));
    }

    async fn claims_go_on_where_the_last_one_ended_and_one_that_comes_short_has_looked_at_all(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin_dispatch().await.unwrap();
        frozen_alert(&mut session).await;
        let mut front = Front::default();
        let ids = async |session: &mut Session, front: &mut Front, limit: usize| {
            let claim = Claim { limit, ..claim_of(Channel::Sms) };
            let rows = claim::claim(session, front, &claim).await.unwrap();
            rows.iter().map(|row| row.id).collect::<Vec<_>>()
        };
        let first = ids(&mut session, &mut front, 1).await;
        assert_eq!(first, [IDS_PER_MESSAGE + 1]);
        assert_eq!(delivery::release(&mut session, "d1", &first, 0).await.unwrap(), 1);
        let second = ids(&mut session, &mut front, 1).await;
        assert_eq!(second, [IDS_PER_MESSAGE + 2], "what came back lies before it");
        assert_eq!(delivery::release(&mut session, "d1", &second, 0).await.unwrap(), 1);
        assert_eq!(ids(&mut session, &mut front, 2).await, [first[0], second[0]], "nothing more lay behind it");
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

    async fn what_a_gateway_took_and_what_arrived_is_written_for_many_at_once(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let rows = claimed(&mut session, Channel::Sms).await;
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let taken = |id, fence, gateway_ref| Taken { id, fence, gateway_ref: Some(gateway_ref), parts: Some(2) };
        let both = [taken(ids[0], 1, "s0"), taken(ids[1], 1, "s1")];
        advance::hold(&mut session, &ids).await.unwrap();
        assert_eq!(advance::take(&mut session, ("d1", NOW), &both).await.unwrap(), [], "nothing was stamped");
        stamp::stamp(&mut session, &gate(), "b1", &rows).await.unwrap();
        assert_eq!(advance::take(&mut session, ("other", NOW), &both).await.unwrap(), [], "the lease is another's");
        let stale = [taken(ids[0], 0, "s0"), both[1].clone()];
        let moved = advance::take(&mut session, ("d1", NOW), &stale).await.unwrap();
        assert_eq!(moved.iter().map(|(fence, change)| (*fence, change.delivery_id)).collect::<Vec<_>>(), [(1, ids[1])]);
        settle::record(&mut session, &batch("b2"), &[moved[0].1.clone()]).await.unwrap();
        let arrived = |id| Arrived { id, attempt: 1, gateway_ref: "s1" };
        let both = [arrived(ids[0]), arrived(ids[1])];
        let later = Arrived { attempt: 2, ..arrived(ids[1]) };
        let other = Arrived { gateway_ref: "s2", ..arrived(ids[1]) };
        assert_eq!(advance::arrive(&mut session, NOW, &[later], vec![]).await.unwrap(), [], "no such attempt was made");
        assert_eq!(advance::arrive(&mut session, NOW, &[other], vec![]).await.unwrap(), [], "the gateway calls it s1");
        let receipt = NewReceipt {
            delivery_id: ids[1], attempt: 1, word: "delivered".into(), gateway: "elks", gateway_ref: "s1", state: None,
        };
        let kept = vec![receipt::store(&[receipt], NOW)];
        let moved = advance::arrive(&mut session, NOW, &both, kept).await.unwrap();
        assert_eq!(receipt::of_delivery(&mut session, ids[1]).await.unwrap().len(), 1, "what came is kept with it");
        assert_eq!((moved.len(), moved[0].delivery_id, moved[0].to), (1, ids[1], DeliveryState::Delivered));
        settle::record(&mut session, &batch("b3"), &moved).await.unwrap();
        let held = delivery::lock(&mut session, &ids[1..]).await.unwrap();
        let back = held.into_iter().map(|held| Step::new(held, DeliveryState::Queued, None)).collect();
        assert_eq!(delivery::walk(&mut session, NOW, back).await.unwrap(), [], "a final state is never left");
        assert_eq!(advance::arrive(&mut session, NOW, &both, vec![]).await.unwrap(), [], "nothing arrives twice");
        let shown = delivery::get(&mut session, ids[1]).await.unwrap().unwrap();
        assert_eq!((shown.state.as_str(), shown.gateway_ref.as_deref(), shown.parts), ("delivered", Some("s1"), Some(2)));
        assert_eq!((shown.accepted_at, shown.final_at), (Some(NOW), Some(NOW)));
        let path: Vec<String> =
            delivery::events(&mut session, ids[1]).await.unwrap().into_iter().map(|event| event.to_state).collect();
        assert_eq!(path, ["accepted", "delivered"]);
        let counts = message::counts(&mut session, "m1").await.unwrap();
        assert_eq!((counts.get(DeliveryState::Delivered), counts.get(DeliveryState::Sending), counts.total()), (1, 1, 2));
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
        settle::refresh(&mut session, "m1", (0, 0), NOW + 50).await.unwrap();
        let done = message::get(&mut session, "m1").await.unwrap().unwrap();
        assert_eq!((done.state(), done.reach_persons, done.reach_households), (MessageState::Done, 3, 13));
        assert_eq!(message::counts(&mut session, "m1").await.unwrap().get(DeliveryState::Delivered), 2);
        let events = delivery::events(&mut session, rows[0].id).await.unwrap();
        let path: Vec<&str> = events.iter().map(|event| event.to_state.as_str()).collect();
        assert_eq!(path, ["in_doubt", "accepted", "delivered"]);
    }

    async fn parts_and_their_receipts_find_each_other_whichever_comes_first(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let part = |gateway_ref: &str, number: i64, of: i64| NewPart {
            gateway_ref: gateway_ref.into(), delivery_id: of, attempt: 1, part: number, parts: 2, addressee: "digest".into(),
        };
        let report = |gateway_ref: &str, word: &str, state| NewReport {
            gateway_ref: gateway_ref.into(), word: word.into(), state, addressee: "digest".into(),
        };
        let early = [report("b", "DELIVRD", Some("delivered")), report("x", "DELIVRD", Some("delivered"))];
        sms_part::keep_reports(&mut session, "second", &early, NOW).await.unwrap();
        sms_part::keep_reports(&mut session, "second", &early[..1], NOW + 5).await.unwrap();
        assert_eq!(sms_part::matched(&mut session, "second", 10).await.unwrap(), []);
        assert_eq!(sms_part::count_loose(&mut session, "second", NOW + 1).await.unwrap(), 2);
        sms_part::put(&mut session, "second", &[part("a", 1, 7), part("b", 2, 7)], NOW).await.unwrap();
        let matched = sms_part::matched(&mut session, "second", 10).await.unwrap();
        assert_eq!((matched.len(), matched[0].delivery_id, matched[0].part, matched[0].parts), (1, 7, 2, 2));
        sms_part::note_states(&mut session, "second", &[("b", "delivered")]).await.unwrap();
        sms_part::note_states(&mut session, "second", &[("b", "failed")]).await.unwrap();
        let standing = sms_part::standing(&mut session, &[7, 8]).await.unwrap();
        let expected = Standing { delivery_id: 7, attempt: 1, parts: 2, known: 2, delivered: 1, failed: 0, first_ref: Some("a".into()) };
        assert_eq!(standing, [expected], "the first word stays");
        sms_part::drop_reports(&mut session, "second", &[("b", "DELIVRD")]).await.unwrap();
        assert_eq!(sms_part::matched(&mut session, "second", 10).await.unwrap(), []);
        let digests = ["digest".to_owned()];
        let loose = sms_part::loose(&mut session, "second", &digests).await.unwrap();
        assert_eq!(loose, [Loose { gateway_ref: "x".into(), addressee: "digest".into(), received_at: NOW }]);
        assert_eq!(sms_part::loose(&mut session, "other", &digests).await.unwrap(), []);
        let unreported = sms_part::unreported(&mut session, "second", &digests, NOW).await.unwrap();
        assert_eq!(unreported, [("digest".to_owned(), 7)], "its first part is still out");
        assert_eq!(sms_part::unreported(&mut session, "second", &digests, NOW + 1).await.unwrap(), []);
        sms_part::put(&mut session, "second", &[part("b", 1, 9)], NOW + 2).await.unwrap();
        assert_eq!(sms_part::standing(&mut session, &[9]).await.unwrap()[0].delivered, 0, "an id given anew begins anew");
        sms_part::forget(&mut session, NOW + 2).await.unwrap();
        assert_eq!(sms_part::standing(&mut session, &[7]).await.unwrap(), []);
        assert_eq!(sms_part::count_loose(&mut session, "second", i64::MAX).await.unwrap(), 0);
    }

    async fn parts_of_an_incoming_sms_are_joined_when_all_are_there_or_none_more_comes(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let part = |whole: &str, number: i64, received_at: i64| InboundPart {
            whole: whole.into(), part: number, parts: 2, sender: "+46701740601".into(), recipient: "+46766860000".into(), coding: 0,
            body: "QQ==".into(), received_at,
        };
        let parts = [part("w1", 2, NOW), part("w1", 1, NOW + 1), part("w2", 1, NOW + 9)];
        sms_part::keep_inbound(&mut session, "second", &parts).await.unwrap();
        sms_part::keep_inbound(&mut session, "second", &parts[..1]).await.unwrap();
        let joinable = sms_part::joinable(&mut session, "second", NOW).await.unwrap();
        assert_eq!(joinable, [part("w1", 1, NOW + 1), part("w1", 2, NOW)], "whole, and in order");
        assert_eq!(sms_part::joinable(&mut session, "other", NOW).await.unwrap(), []);
        sms_part::drop_inbound(&mut session, "second", "w1", &[2]).await.unwrap();
        let rest = sms_part::joinable(&mut session, "second", NOW + 9).await.unwrap();
        assert_eq!(rest, [part("w1", 1, NOW + 1)], "a part that was not read stays");
        sms_part::drop_inbound(&mut session, "second", "w1", &[1]).await.unwrap();
        assert_eq!(sms_part::joinable(&mut session, "second", NOW + 9).await.unwrap(), []);
        assert_eq!(sms_part::joinable(&mut session, "second", NOW + 10).await.unwrap(), [part("w2", 1, NOW + 9)]);
    }

    async fn receipts_are_stored_once(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let new = |delivery_id: i64, word: &'static str| NewReceipt {
            delivery_id, attempt: 1, word: word.into(), gateway: "elks", gateway_ref: "s1", state: None,
        };
        let known = IDS_PER_MESSAGE + 1;
        let first = [new(known, "delivered"), new(99, "delivered")];
        session.write_together(vec![receipt::store(&first, NOW)]).await.unwrap();
        assert_eq!(receipt::of_delivery(&mut session, 99).await.unwrap(), [], "an unknown delivery stores nothing");
        let again = [new(known, "delivered"), new(known, "sent")];
        session.write_together(vec![receipt::store(&again, NOW + 1)]).await.unwrap();
        let stored = receipt::of_delivery(&mut session, known).await.unwrap();
        let stored: Vec<(&str, i64)> = stored.iter().map(|row| (row.word.as_str(), row.received_at)).collect();
        assert_eq!(stored, [("delivered", NOW), ("sent", NOW + 1)], "the same word again changes nothing");
    }

    async fn a_gateways_slots_and_states(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let first = gateway::reserve(&mut session, "elks", 1_000_000, 0).await.unwrap();
        let second = gateway::reserve(&mut session, "elks", 500_000, 0).await.unwrap();
        assert_eq!(second.next_slot_us, first.next_slot_us + 500_000, "the debt adds up");
        gateway::put_state(&mut session, "elks", ("up", None), Some(NOW), NOW).await.unwrap();
        gateway::put_state(&mut session, "elks", ("up", None), None, NOW + 5).await.unwrap();
        session.write_together(vec![gateway::receipt_came("elks", NOW + 7)]).await.unwrap();
        gateway::put_balance(&mut session, "elks", "12.50".into(), NOW + 8).await.unwrap();
        let seen = gateway::states(&mut session).await.unwrap().remove(0);
        assert_eq!((seen.since_at, seen.last_answer_at, seen.last_receipt_at), (NOW, Some(NOW), Some(NOW + 7)));
        assert_eq!(seen.balance.as_deref(), Some("12.50"));
        gateway::put_state(&mut session, "elks", ("down", Some("gateway.refused")), None, NOW + 9).await.unwrap();
        assert_eq!(gateway::states(&mut session).await.unwrap()[0].since_at, NOW + 9);
    }
}
