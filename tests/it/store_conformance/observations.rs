//! The store on both databases: what people answer, what we write back, and how far an alert was passed on.

use super::*;

fn an_observation(id: &str, sender: &str, person: Option<&str>) -> Observation {
    Observation {
        id: id.into(),
        channel: "sms".into(),
        reference: format!("elks:{id}"),
        sender: sender.into(),
        contact_person_id: person.map(str::to_owned),
        area_code: person.map(|_| "2380-vik".to_owned()),
        kind: "observation".into(),
        text: format!("Text {id}"),
        state: "received".into(),
        answer_by_at: Some(NOW + 100),
        received_at: NOW,
        changed_at: NOW,
        ..Observation::default()
    }
}

async fn ids(session: &mut Session, filter: Shown) -> Vec<String> {
    observation::page(session, &filter, 10).await.unwrap().into_iter().map(|one| one.id).collect()
}

on_both_databases! {
    async fn an_answer_is_kept_once_and_found_by_what_it_is(kind: Kind) {
        let (store, database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let number = "+46701740601";
        let first = Observation { message_id: Some("m1".into()), is_urgent: 1, ..an_observation("a1", number, Some("p1")) };
        assert!(observation::insert(&mut session, &first).await.unwrap());
        assert!(!observation::insert(&mut session, &Observation { id: "a9".into(), ..first.clone() }).await.unwrap());
        let unknown = an_observation("a2", "+46701740699", None);
        assert!(observation::insert(&mut session, &unknown).await.unwrap());
        let part = Observation { part_of: Some("a1".into()), ..an_observation("a3", number, Some("p1")) };
        assert!(observation::insert(&mut session, &part).await.unwrap());
        let stored = observation::get(&mut session, "a1").await.unwrap().unwrap();
        assert_eq!(stored, Observation { message_kind: Some("alert".into()), ..first.clone() });
        assert_eq!(observation::get_locked(&mut session, "a9").await.unwrap(), None);
        let same = observation::by_reference(&mut session, "sms", "elks:a1").await.unwrap().unwrap();
        assert_eq!(same.id, "a1");
        let of_sender = observation::of_sender(&mut session, ("sms", number), (NOW, NOW)).await.unwrap();
        assert_eq!(of_sender.len(), 2);
        assert_eq!(observation::of_sender(&mut session, ("sms", number), (NOW + 1, NOW + 2)).await.unwrap(), []);
        let senders = observation::senders(&mut session, &["p1", "nobody"]).await.unwrap();
        assert_eq!((senders.len(), senders[0].households), (1, 3));
        assert_eq!(observation::parts(&mut session, &["a1"]).await.unwrap()[0].id, "a3");
        for (of, wanted) in [(&stored, "a1"), (&unknown, "a2")] {
            let thread = observation::thread(&mut session, of, 10).await.unwrap();
            assert_eq!(thread.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [wanted]);
        }
        observation_tag::set(&mut session, "a1", &["traffic".into(), "egen".into()]).await.unwrap();
        observation_tag::set(&mut session, "a1", &["traffic".into()]).await.unwrap();
        assert_eq!(observation_tag::of_observations(&mut session, &["a1", "a2"]).await.unwrap(), [("a1".to_owned(), "traffic".to_owned())]);
        assert_eq!(observation_tag::known(&mut session).await.unwrap(), ["traffic"]);
        for (person, tag) in [("p1", "register"), ("nobody", "traffic")] {
            assert_eq!(observation_tag::open_of(&mut session, person, tag).await.unwrap(), [""; 0]);
        }
        for (filter, wanted) in [
            (Shown::default(), &["a2", "a1"][..]),
            (Shown { areas_json: AREAS.into(), ..Shown::default() }, &["a1"]),
            (Shown { after: "a2".into(), ..Shown::default() }, &["a1"]),
            (Shown { unknown: true, ..Shown::default() }, &["a2"]),
            (Shown { urgent: true, ..Shown::default() }, &["a1"]),
            (Shown { tag: "traffic".into(), ..Shown::default() }, &["a1"]),
            (Shown { message_id: "m1".into(), ..Shown::default() }, &["a1"]),
            (Shown { contact_person_id: "p1".into(), ..Shown::default() }, &["a1"]),
            (Shown { channel: "email".into(), ..Shown::default() }, &[]),
            (Shown { kind: "command".into(), ..Shown::default() }, &[]),
            (Shown { state: "acted".into(), ..Shown::default() }, &[]),
            (Shown { owner: "x".into(), ..Shown::default() }, &[]),
            (Shown { archived: Some(true), ..Shown::default() }, &[]),
            (Shown { archived: Some(false), unanswered: true, ..Shown::default() }, &["a2", "a1"]),
        ] {
            assert_eq!(ids(&mut session, filter.clone()).await, wanted, "{filter:?}");
        }
        assert_eq!(observation::changed_since(&mut session, NOW, 10).await.unwrap().len(), 2);
        assert_eq!(observation::untaken(&mut session, (0, NOW), true, 10).await.unwrap().len(), 1);
        assert_eq!(observation::untaken(&mut session, (0, NOW - 1), true, 10).await.unwrap(), []);
        let figures = observation::figures(&mut session, "", (NOW + 100, 0)).await.unwrap();
        assert_eq!((figures.unanswered, figures.overdue, figures.median_wait_ms), (2, 2, None));
        let answered = Observation {
            state: "acted".into(), owner: Some("operator:1".into()), place: "Duved".into(), seen_at: Some(1), taken_at: Some(NOW),
            duty_told_at: Some(NOW), answered_at: Some(NOW + 40), fed_back_at: Some(NOW), archived_at: Some(NOW),
            changed_at: NOW + 1, ..stored.clone()
        };
        observation::update(&mut session, &answered).await.unwrap();
        assert_eq!(observation::get(&mut session, "a1").await.unwrap().unwrap(), answered);
        let figures = observation::figures(&mut session, AREAS, (NOW, 0)).await.unwrap();
        assert_eq!((figures.unanswered, figures.overdue, figures.median_wait_ms), (0, 0, Some(40)));
        observation::hand_over(&mut session, "p1", "p2").await.unwrap();
        assert_eq!(ids(&mut session, Shown { contact_person_id: "p2".into(), ..Shown::default() }).await, ["a1"]);
        let held = extract::observations(&mut session, "p2").await.unwrap();
        assert_eq!(held.iter().map(|row| row.text.as_str()).collect::<Vec<_>>(), ["Text a1", "Text a3"]);
        assert_eq!(inbound_sms::keep(&mut session, &[NewSms { gateway: "elks".into(), digest: "d".into(), raw: "x".into() }], NOW).await.unwrap(), 1);
        inbound_sms::mark_read(&mut session, ("elks", "d"), Some("a1"), NOW).await.unwrap();
        observation::pseudonymise(&mut session, "p2").await.unwrap();
        assert_eq!(observation::get(&mut session, "a1").await.unwrap().unwrap().sender, "erased-p2");
        session.commit().await.unwrap();
        assert_eq!(database.texts("SELECT raw FROM inbound_sms").await, [""]);
    }

    async fn alerts_that_an_answer_may_belong_to_are_found_by_person_and_by_area(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        let own = AlertRow {
            message_id: "m1".into(), text: "x".into(), kind: "observation".into(), spread: "households".into(),
            decided_by: "b".into(), drill: 0, expires_in_minutes: 1, ..AlertRow::default()
        };
        alert::put(&mut session, &own).await.unwrap();
        assert_eq!(alert::answered(&mut session, "", NOW, 10).await.unwrap(), [], "nobody has answered");
        let answer = Observation { message_id: Some("m1".into()), ..an_observation("b1", "+46701740601", Some("p1")) };
        let command = Observation { id: "b0".into(), reference: "elks:b0".into(), kind: "command".into(), ..answer.clone() };
        let found = async |session: &mut Session, areas: &str, since| {
            let found = alert::answered(session, areas, since, 10).await.unwrap();
            found.into_iter().map(|one| (one.id, one.created_at, one.text)).collect::<Vec<_>>()
        };
        observation::insert(&mut session, &command).await.unwrap();
        assert_eq!(found(&mut session, "", NOW).await, [], "a command is no answer");
        observation::insert(&mut session, &answer).await.unwrap();
        let m1 = ("m1".to_owned(), NOW, "x".to_owned());
        for (areas, since, wanted) in
            [("", NOW, Some(&m1)), (AREAS, NOW, Some(&m1)), ("[{\"code\":\"2309\"}]", NOW, None), ("", NOW + 1, None)]
        {
            assert_eq!(found(&mut session, areas, since).await.first(), wanted, "{areas} {since}");
        }
        let by = async |session: &mut Session, person: &str, area: &str, times| {
            let found = observation::open_alerts(session, (person, area), times).await.unwrap();
            found.into_iter().map(|alert| (alert.id, alert.has_it)).collect::<Vec<_>>()
        };
        assert_eq!(by(&mut session, "p1", "x", (NOW, NOW)).await, [("m1".to_owned(), 0)]);
        assert_eq!(by(&mut session, "x", "2380-vik", (NOW, NOW)).await, [("m1".to_owned(), 0)]);
        assert_eq!(by(&mut session, "x", "x", (NOW, NOW)).await, []);
        assert_eq!(by(&mut session, "p1", "2380-vik", (NOW - 1, NOW - 1)).await, [], "it was not there yet");
        assert_eq!(by(&mut session, "p1", "2380-vik", (NOW, NOW + 1_000_001)).await, [], "it has ended");
        let rows = claimed(&mut session, Channel::Sms).await;
        stamp::stamp(&mut session, &gate(), "b1", &rows).await.unwrap();
        move_all(&mut session, "b2", DeliveryState::Accepted).await;
        assert_eq!(by(&mut session, "p1", "2380-vik", (NOW, NOW)).await, [("m1".to_owned(), 1)]);
        assert_eq!(spread::silent(&mut session, "m1").await.unwrap(), 2);
        spread::confirm(&mut session, ("m1", "p1"), (3, "sms"), NOW).await.unwrap();
        spread::confirm(&mut session, ("m1", "p1"), (14, "sms"), NOW).await.unwrap();
        let reach = spread::reach(&mut session, "m1").await.unwrap();
        assert_eq!((reach.contact_persons, reach.households), (1, 14));
        assert_eq!(spread::silent(&mut session, "m1").await.unwrap(), 1);
        assert_eq!(spread::of_person(&mut session, "p1").await.unwrap()[0].households, 14);
    }

    async fn what_we_wrote_back_is_found_by_what_it_answers(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        frozen_alert(&mut session).await;
        observation::insert(&mut session, &an_observation("a1", "+46701740601", Some("p1"))).await.unwrap();
        let new = NewReply {
            message_id: "m1", observation_id: "a1", delivery_id: IDS_PER_MESSAGE + 1, contact_person_id: Some("p1"),
            kind: "answer", created_at: NOW,
        };
        reply::insert(&mut session, &new).await.unwrap();
        let of = reply::of_observations(&mut session, &["a1"]).await.unwrap();
        assert_eq!((of[0].kind.as_str(), of[0].channel.as_str(), of[0].state.as_str()), ("answer", "sms", "queued"));
        assert_eq!(reply::of_person(&mut session, "p1").await.unwrap(), of);
        assert_eq!(reply::of_person(&mut session, "p2").await.unwrap(), []);
        assert_eq!(reply::area_of(&mut session, "m1").await.unwrap().as_deref(), Some("2380-vik"));
        assert_eq!(reply::area_of(&mut session, "m2").await.unwrap(), None);
        assert!(reply::note_automatic(&mut session, ("f", "m1"), NOW).await.unwrap());
        assert!(!reply::note_automatic(&mut session, ("f", "m1"), NOW).await.unwrap());
        assert_eq!(reply::automatic_since(&mut session, "f", NOW).await.unwrap(), 1);
        assert_eq!(reply::automatic_since(&mut session, "f", NOW + 1).await.unwrap(), 0);
        for mut p in [person("q1", None, None, 1)] {
            p.phone2 = Some("+46701740677".into());
            p.email_key = Some("q@example.org".into());
            contact_person::put(&mut session, &p).await.unwrap();
        }
        assert_eq!(contact_person::by_phone2(&mut session, "+46701740677").await.unwrap().len(), 1);
        assert_eq!(contact_person::by_email_key(&mut session, "q@example.org").await.unwrap().len(), 1);
    }
}
