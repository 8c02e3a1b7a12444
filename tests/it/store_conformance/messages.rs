//! The store on both databases: messages, alerts, letters, audiences and how they are frozen.

use super::*;

on_both_databases! {
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
        message::hold(&mut session, "a1").await.unwrap();
        assert_eq!(message::get_locked(&mut session, "a1").await.unwrap(), Some(first.clone()));
        let page = message::page(&mut session, "alert", "", 10).await.unwrap();
        assert_eq!(page.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), ["a2", "a1"]);
        assert_eq!(message::page(&mut session, "alert", "a2", 10).await.unwrap().len(), 1);
        assert_eq!(message::unfinished(&mut session, "alert", 10).await.unwrap(), page);
        assert_eq!(message::changed_since(&mut session, NOW + 1, 10).await.unwrap().len(), 1);
        assert_eq!(message::changed_since(&mut session, NOW, 10).await.unwrap().len(), 3, "tests are not told of");
        message::begin_sending(&mut session, "a1", NOW + 20).await.unwrap();
        assert_eq!(message::get(&mut session, "a1").await.unwrap().map(|message| message.state()), Some(MessageState::Sending));
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
            decided_by: "Befäl".into(), drill: 0, expires_in_minutes: 60, watched_by: "RLC".into(), duty_number: String::new(),
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
        let crowds = [
            audience::sms_crowd(&mut session, asked()).await.unwrap(),
            audience::large_sms_crowd(std::slice::from_mut(&mut session), asked()).await.unwrap(),
        ];
        assert!(crowds.iter().all(|crowd| crowd.alert_audience() == counted));
        assert_eq!(audience::count_sms(&mut session, ["2380"], NOW).await.unwrap().contact_persons, 0);
        assert!(audience::is_larger_than(&mut session, ["2380-vik"], 3).await.unwrap());
        assert!(!audience::is_larger_than(&mut session, ["2380-vik"], 4).await.unwrap());
        let missed = audience::census(&mut session, NOW).await.unwrap();
        let missed = missed.iter().filter(|row| row.why.is_some()).map(|row| row.contact_persons).sum::<i64>();
        assert_eq!(missed, counted.not_reached);
        assert_eq!(audience::count_follow_up(&mut session, "m1").await.unwrap(), 0, "nothing is handed over");
        assert_eq!(audience::proven(&mut session, ["2380-vik"], (NOW, 0)).await.unwrap(), 0, "nothing was ever delivered");
        let readers = alert_email::readers(&mut session, "m1", NOW).await.unwrap();
        assert_eq!(alert_email::count(&mut session, "m1", NOW).await.unwrap(), readers.len() as i64);
        assert_eq!(alert_email::sent(&mut session, "m1").await.unwrap(), []);
        assert_eq!(alert_email::out(&mut session, NOW, 0).await.unwrap(), Vec::<String>::new(), "not handed over");
        assert!(!alert_email::is_due(&mut session, "m1", (NOW, NOW)).await.unwrap(), "nothing is handed over");
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
        let whole = Coverage::of(audience::sms_crowd(&mut session, asked()).await.unwrap(), &[]);
        let freeze = Freeze { due_at: NOW + 1_000_000_000, ..freeze_of(&new) };
        let blocks: Vec<_> = sealed_audience::blocks(&whole, 1).collect();
        assert_eq!(sealed_audience::add(&mut session, &freeze, 0, &blocks).await.unwrap(), 2);
        assert!(sealed_audience::is_left(&mut session, "m1").await.unwrap() && sealed_audience::is_left(&mut session, "").await.unwrap());
        assert!(!sealed_audience::is_left(&mut session, "m2").await.unwrap());
        assert_eq!(sealed_audience::count(&mut session, "m1").await.unwrap(), 2);
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
        assert_eq!(freezing::unfinished(&mut session).await.unwrap(), ["m1"]);
        assert!(freezing::take_step(&mut session, "m2").await.unwrap().is_none());
        let held = freezing::take_step(&mut session, "m1").await.unwrap().unwrap();
        assert_eq!((held.number, held.due_at(), held.released_id), (1, None, IDS_PER_MESSAGE), "a draft may not go");
        for position in [1, 2] {
            let block = sealed_audience::next(&mut session, "m1", 1).await.unwrap().unwrap();
            assert_eq!((block.last_position, block.queued_at, block.expires_at), (Some(position), freeze.now, freeze.expires_at));
            assert!(sealed_audience::remove(&mut session, "m1", block.number).await.unwrap());
            assert!(!sealed_audience::remove(&mut session, "m1", block.number).await.unwrap(), "once");
            assert_eq!(coverage::add_deliveries(&mut session, &freeze, &block.deliveries).await.unwrap(), 1);
            assert_eq!(coverage::add_recipients(&mut session, "m1", &block.recipients).await.unwrap(), 1);
            assert_eq!(block.stand_ins, []);
        }
        assert!(sealed_audience::next(&mut session, "m1", 1).await.unwrap().is_none());
        assert_eq!(freezing::unfinished(&mut session).await.unwrap(), Vec::<String>::new(), "all is written, and may not go");
        message::set_state(&mut session, &new, MessageState::Queued, NOW).await.unwrap();
        assert_eq!(freezing::unfinished(&mut session).await.unwrap(), ["m1"]);
        assert!(freezing::release(&mut session, "m1", (IDS_PER_MESSAGE, NOW), 1).await.unwrap());
        assert_eq!(claimed(&mut session, Channel::Sms).await.len(), 1);
        let held = freezing::take_step(&mut session, "m1").await.unwrap().unwrap();
        assert_eq!((held.released_id, held.due_at()), (IDS_PER_MESSAGE + 1, Some(NOW)));
        freezing::advance(&mut session, "m1", IDS_PER_MESSAGE).await.unwrap();
        assert!(freezing::release(&mut session, "m1", (IDS_PER_MESSAGE + 1, NOW), 1).await.unwrap());
        assert!(!freezing::release(&mut session, "m1", (IDS_PER_MESSAGE + 2, NOW), 1).await.unwrap());
        freezing::end(&mut session, "m1").await.unwrap();
        assert!(freezing::take_step(&mut session, "m1").await.unwrap().is_none());
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
        let stand_in = deputy::StandIn { stands_for: "p1".into(), contact_person_id: "p2".into(), delivery_id: IDS_PER_MESSAGE + 9_000_000 };
        let blocks = [sealed_audience::block_of_deputies(std::iter::empty(), vec![stand_in.clone()])];
        sealed_audience::add(&mut session, &freeze_of(&a_message("m1", 1, "alert")), 0, &blocks).await.unwrap();
        assert_eq!(sealed_audience::next(&mut session, "m1", 1).await.unwrap().unwrap().stand_ins, [stand_in]);
        assert_eq!(sealed_audience::thaw(&mut session, "m1", 10).await.unwrap(), 1);
        assert_eq!(sealed_audience::thaw(&mut session, "m1", 10).await.unwrap(), 0);
        for dead in freezing::dead(&mut session, NOW + 1).await.unwrap() {
            freezing::undo(&mut session, &dead, NOW + 2).await.unwrap();
        }
        assert!(!freezing::is_writing(&mut session, "").await.unwrap());
        assert_eq!(message::get(&mut session, "m1").await.unwrap().map(|message| message.state()), None);
        assert_eq!(message::chosen_areas(&mut session, "m1").await.unwrap(), Vec::<String>::new());
        assert_eq!(message::get(&mut session, "m2").await.unwrap().map(|message| message.state()), Some(MessageState::Draft));
        assert_eq!(message::get(&mut session, "m3").await.unwrap().map(|message| message.state()), Some(MessageState::AwaitingApproval));
        session.commit().await.unwrap();
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
        let crowd = audience::large_letter_crowd(std::slice::from_mut(&mut session), asked()).await.unwrap();
        assert_eq!(crowd.letter_audience(), counted);
        let crowd = audience::letter_crowd(&mut session, asked()).await.unwrap();
        assert_eq!(crowd.letter_audience(), counted);
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
}
