//! The store on both databases: areas, contact persons, the register's look-ups, and what is held on a person.

use super::*;

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
        let row = |why: Option<&str>, contact_persons, households| CensusRow {
            area_code: "2380-vik".into(),
            why: why.map(str::to_owned),
            contact_persons,
            households,
        };
        let mut here = audience::census(&mut session, NOW).await.unwrap();
        here.sort_by_key(|row| row.why.clone());
        assert_eq!(here, [row(None, 1, 3), row(Some("paused"), 1, 4)]);
        assert_eq!(audience::census(&mut session, NOW + 1).await.unwrap(), [row(None, 2, 7)]);
    }

    async fn calls_are_kept_counted_since_the_last_that_confirmed_and_go_with_their_person(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        contact_person::put(&mut session, &person("p1", None, None, 3)).await.unwrap();
        contact_person::put(&mut session, &person("p2", None, None, 3)).await.unwrap();
        let call = |id: &str, outcome: &str, called_at| phone_call::PhoneCall {
            id: id.into(), contact_person_id: "p1".into(), outcome: outcome.into(), note: "å".into(), called_by: "cli".into(), called_at,
        };
        assert_eq!(register::out_of_reach(&mut session, AREAS.into(), 10).await.unwrap().len(), 2);
        for one in [call("c1", "not_reached", NOW), call("c2", "confirmed", NOW + 1), call("c3", "not_reached", NOW + 2)] {
            phone_call::insert(&mut session, &one).await.unwrap();
        }
        let since = phone_call::since_confirmed(&mut session, &["p1", "p2"]).await.unwrap();
        assert_eq!(since, [call("c3", "not_reached", NOW + 2)]);
        let left = register::out_of_reach(&mut session, AREAS.into(), 10).await.unwrap();
        assert_eq!(left.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["p2"], "the other has said that it is so");
        phone_call::hand_over(&mut session, "p1", "p2").await.unwrap();
        assert_eq!(phone_call::of_person(&mut session, "p1").await.unwrap(), []);
        assert_eq!(phone_call::of_person(&mut session, "p2").await.unwrap().len(), 3);
        phone_call::erase(&mut session, "p2").await.unwrap();
        assert_eq!(phone_call::of_person(&mut session, "p2").await.unwrap(), []);
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
        assert_eq!(contact_person::get_locked(&mut session, "p1").await.unwrap(), Some(stored.clone()));
        assert_eq!(contact_person::by_mobile(&mut session, "+46701740601").await.unwrap().len(), 1);
        let find = |words: &str, number: &str, after: &str| Search {
            words: words.into(), number: number.into(), areas_json: AREAS.into(), after: after.into(),
            email: if words == "%vik%" { "%@example%".into() } else { "%none%".into() }, named_json: "[]".into(), among: None,
        };
        for (search, hits) in [
            (find("%namn%", "", ""), 1), (find("", "%174060%", ""), 1), (find("", "", ""), 1), (find("%100\\%%", "", ""), 0),
            (find("%vik%", "", ""), 1), (find("%namn%", "", "p1"), 0),
            (Search { among: Some(r#"[{"id":"p1"}]"#.into()), ..find("", "", "") }, 1), (Search { among: Some("[]".into()), ..find("", "", "") }, 0),
        ] {
            assert_eq!(contact_person::search(&mut session, &search, 10).await.unwrap().len(), hits, "{search:?}");
        }
        let mark = || ("fp".to_owned(), "sms");
        contact_person::suppress(&mut session, mark(), "opted_out", NOW).await.unwrap();
        contact_person::suppress(&mut session, mark(), "erased", NOW).await.unwrap();
        assert_eq!(contact_person::suppressed(&mut session, "fp", "sms").await.unwrap().as_deref(), Some("opted_out"));
        assert_eq!(contact_person::suppressed(&mut session, "fp", "email").await.unwrap(), None);
        contact_person::unsuppress(&mut session, ("fp", "sms"), NOW).await.unwrap();
        assert_eq!(contact_person::suppressed(&mut session, "fp", "sms").await.unwrap(), None);
        contact_person::erase(&mut session, &stored, None, NOW + 5).await.unwrap();
        let erased = contact_person::get(&mut session, "p1").await.unwrap().unwrap();
        assert_eq!((erased.erased_at, erased.mobile, erased.note.as_str()), (Some(NOW + 5), None, ""));
        assert_eq!(contact_person::by_mobile(&mut session, "+46701740601").await.unwrap(), []);
    }

    async fn words_of_names_catch_up_and_find_who_may_fit(kind: Kind) {
        let (store, database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let named = |id: &str, name_key: &str| ContactPerson { name_key: name_key.into(), ..person(id, Some("+46701740601"), Some("a@example.org"), 2) };
        for one in [named("p1", "anna maria ek"), named("p2", "maria anna"), named("p3", "marianne ek ek")] {
            contact_person::put(&mut session, &one).await.unwrap();
        }
        let other = ContactPerson { phone2: Some("+46855512345".into()), area_code: "2380".into(), import_id: Some("i1".into()), ..person("p4", None, Some("d@example.org"), 1) };
        contact_person::put(&mut session, &other).await.unwrap();
        assert!(register_word::is_larger(&mut session, 3).await.unwrap() && !register_word::is_larger(&mut session, 4).await.unwrap());
        let word = |word: &str, whole: &[&str]| Begins { word: word.into(), whole: whole.iter().map(|word| (*word).to_owned()).collect(), ..Begins::default() };
        let everywhere = Within { areas_json: "[]", is_everywhere: true, named_json: "[]" };
        let behind = register_word::behind(&mut session, 10).await.unwrap();
        assert_eq!(behind.len(), 4);
        let asked = [(word("mar", &[]), "p1 p2 p3"), (word("mari", &["anna"]), "p1 p2"), (word("ek", &["maria"]), "p1"), (word("ari", &[]), ""),
            (Begins { email: "d@".into(), ..Begins::default() }, "p4"), (Begins { number: "+468555".into(), ..Begins::default() }, "p4"), (Begins { number: "+4670174".into(), ..Begins::default() }, "p1 p2 p3"), (Begins::default(), "")];
        for is_behind in [true, false] {
            assert_eq!(register_word::is_behind(&mut session).await.unwrap(), is_behind);
            for (begins, expected) in &asked {
                // Who is behind is found by the word alone; who fits is decided afterwards.
                if is_behind && !begins.whole.is_empty() { continue; }
                let (found, is_cut) = register_word::candidates(&mut session, begins, everywhere, 10).await.unwrap();
                assert!(!is_cut);
                assert_eq!(found.join(" "), *expected, "{begins:?}");
            }
            register_word::catch_up(&mut session, &behind).await.unwrap();
        }
        let here = Within { areas_json: r#"[{"code":"2380"}]"#, is_everywhere: false, named_json: "[]" };
        assert_eq!(register_word::candidates(&mut session, &word("mar", &[]), here, 10).await.unwrap().0, [""; 0]);
        let vik = Within { named_json: r#"[{"code":"2380"}]"#, ..here };
        assert_eq!(register_word::candidates(&mut session, &Begins::default(), vik, 10).await.unwrap().0, ["p4"]);
        let elsewhere = Begins { email: "a@".into(), number: "+4670174".into(), ..Begins::default() };
        assert_eq!(register_word::candidates(&mut session, &elsewhere, here, 10).await.unwrap().0, [""; 0], "those of other areas take no room");
        assert!(register_word::candidates(&mut session, &word("mar", &[]), everywhere, 2).await.unwrap().1);
        let twice = Begins { word: "a".into(), email: "a@".into(), ..Begins::default() };
        assert!(register_word::candidates(&mut session, &twice, everywhere, 3).await.unwrap().1, "found several ways is not few");

        contact_person::put(&mut session, &named("p1", "anna lund")).await.unwrap();
        let behind = register_word::behind(&mut session, 10).await.unwrap();
        register_word::catch_up(&mut session, &behind).await.unwrap();
        assert_eq!(register_word::candidates(&mut session, &word("maria", &[]), everywhere, 10).await.unwrap().0, ["p2", "p3"]);
        contact_person::erase(&mut session, &named("p2", "maria anna"), None, NOW).await.unwrap();
        register_word::forget(&mut session, "p3").await.unwrap();
        register_word::forget_import(&mut session, "i1").await.unwrap();
        session.commit().await.unwrap();
        let words: Vec<String> = database.texts("SELECT word FROM contact_person_word ORDER BY word").await;
        assert_eq!(words, ["anna", "lund"], "whoever is erased leaves no word behind");
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
            (Find { among: Some(r#"[{"id":"p4"},{"id":"p5"},{"id":"p2"}]"#.into()), ..all.clone() }, "p2 p4"),
        ];
        for (code, ids) in [("sms", "p1 p3"), ("email", "p1"), ("none", "p2 p4"), ("unreachable", "p2"), ("paused", "p4"), ("opted_out", ""), ("alone", "p4"), ("all", "p1 p3 p2 p4")] {
            finds.push((of(code), ids));
        }
        for (find, expected) in finds {
            let found = register::page(&mut session, &find, ("", 10)).await.unwrap();
            let ids: Vec<String> = found.into_iter().map(|one| one.id).collect();
            assert_eq!(ids.join(" "), expected, "{find:?}");
            assert_eq!(register::count(&mut session, &find, 100).await.unwrap(), i64::try_from(ids.len()).unwrap(), "{find:?}");
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
        assert!(register::tell_apart(&mut session, ["p3", "p1"], ("o", NOW)).await.unwrap());
        assert!(!register::tell_apart(&mut session, ["p1", "p3"], ("o", NOW)).await.unwrap(), "in either order");
        assert_eq!(register::pairs(&mut session, AREAS.into(), 10).await.unwrap(), []);
        assert_eq!(register::out_of_reach(&mut session, AREAS.into(), 10).await.unwrap()[0].id, "p2");
        assert_eq!(register::protected(&mut session, AREAS.into(), 10).await.unwrap()[0].id, "p5");
        let made = ContactPerson { import_id: Some("i1".into()), ..person("p6", None, None, 1) };
        contact_person::put(&mut session, &made).await.unwrap();
        register::keep(&mut session, "p6").await.unwrap();
        assert_eq!(contact_person::get(&mut session, "p6").await.unwrap().unwrap().import_id, None);
        assert_eq!(register::under_way(&mut session, "p1").await.unwrap(), 0);
        contact_person::erase(&mut session, &person("p5", None, None, 6), None, NOW).await.unwrap();
        frozen_alert(&mut session).await;
        assert_eq!(register::under_way(&mut session, "p1").await.unwrap(), 1);
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
        assert_eq!(backup::pause_restored(&store, NOW).await.unwrap(), contents);
        let mut session = store.read().await.unwrap();
        assert_eq!(setting::get(&mut session, setting::PAUSED).await.unwrap().as_deref(), Some("restored"));
        assert_eq!(operator::link(&mut session, "t1").await.unwrap(), None);
        assert_eq!(sign_in_session::of_operator(&mut session, "o1").await.unwrap(), []);
    }

    async fn a_deputy_stands_in_for_who_is_paused_unless_the_number_is_there_already(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let away = ContactPerson { paused_until_at: Some(NOW + 1), ..person("p0", Some("+46701740600"), None, 5) };
        contact_person::put(&mut session, &away).await.unwrap();
        let elsewhere = ContactPerson { area_code: "ostersund".into(), ..person("d1", Some("+46701740650"), None, 1) };
        contact_person::put(&mut session, &elsewhere).await.unwrap();
        assert_eq!(deputy::of(&mut session, "p0").await.unwrap(), None);
        deputy::set(&mut session, "p0", Some("d1"), ("x", NOW)).await.unwrap();
        let set = deputy::of(&mut session, "p0").await.unwrap().unwrap();
        assert_eq!((set.contact_person_id.as_str(), set.set_by.as_str(), set.set_at), ("d1", "x", NOW));
        assert_eq!(deputy::stands_for(&mut session, "d1").await.unwrap()[0].0, "p0");
        let instead = |instead| deputy::DeputyCount { instead, also: 0 };
        assert_eq!(deputy::count(&mut session, AREAS, NOW).await.unwrap(), instead(1));
        assert_eq!(deputy::count(&mut session, AREAS, NOW + 1).await.unwrap(), instead(0), "back again");
        let message = frozen_alert(&mut session).await;
        let absences = deputy::absences(&mut session, &message.id, NOW).await.unwrap();
        assert_eq!(deputy::away(&mut session, AREAS, NOW).await.unwrap(), absences);
        assert_eq!((absences.len(), absences[0].mobile.as_str(), absences[0].stands_for.as_str()), (1, "+46701740650", "p0"));
        let row = deputy::StandIn { stands_for: "p0".into(), contact_person_id: "d1".into(), delivery_id: 7 };
        deputy::add(&mut session, &message.id, std::slice::from_ref(&row), NOW).await.unwrap();
        assert_eq!(deputy::of_message(&mut session, &message.id).await.unwrap(), [row]);
        assert_eq!(deputy::of_delivery(&mut session, 7).await.unwrap(), ["p0"]);
        assert_eq!(deputy::takeovers(&mut session, &message.id).await.unwrap(), []);
        assert_eq!(deputy::under_way(&mut session, (NOW, NOW)).await.unwrap(), [""; 0], "nothing is handed over");
        assert_eq!(deputy::overdue(&mut session, &message.id, (NOW, NOW)).await.unwrap(), []);
        let numbers = ["+46701740650", "+46701740601"].into_iter();
        assert_eq!(deputy::taken(&mut session, &message.id, numbers).await.unwrap(), ["+46701740601"]);
        let first = coverage::First { message_id: &message.id, number: 1, silent_only: false };
        assert_eq!(coverage::follow_up_takeovers(&mut session, &freeze_of(&message), first).await.unwrap(), 0);
        assert_eq!(coverage::count_takeovers(&mut session, &message.id, true).await.unwrap(), 0);
        assert_eq!(deputy::of_person(&mut session, "p0").await.unwrap(), [(message.id.clone(), NOW)]);
        deputy::clear(&mut session, &message.id).await.unwrap();
        assert_eq!(deputy::of_message(&mut session, &message.id).await.unwrap(), []);
        let taken = ContactPerson { mobile: Some("+46701740601".into()), ..elsewhere.clone() };
        contact_person::put(&mut session, &taken).await.unwrap();
        assert_eq!(deputy::absences(&mut session, &message.id, NOW).await.unwrap(), [], "their number has one");
        assert_eq!(deputy::count(&mut session, AREAS, NOW).await.unwrap(), instead(0));
        deputy::hand_over(&mut session, "d1", "d9").await.unwrap();
        assert_eq!(deputy::stands_for(&mut session, "d9").await.unwrap()[0].0, "p0");
        deputy::hand_over(&mut session, "d9", "d1").await.unwrap();
        deputy::erase(&mut session, "d1").await.unwrap();
        assert_eq!(deputy::of(&mut session, "p0").await.unwrap(), None);
    }
}
