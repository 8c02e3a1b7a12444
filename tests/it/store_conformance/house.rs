//! The store on both databases: settings, situations, the log, copies, and what holds for every table.

use super::*;

on_both_databases! {
    async fn a_draft_is_written_over_only_as_it_was_seen(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let draft = AlertDraft {
            id: "d1".into(),
            form: "[]".into(),
            revision: 1,
            area_code: "2380".into(),
            created_by: "kim".into(),
            created_at: NOW,
            written_by: "kim".into(),
            written_at: NOW,
        };
        alert_draft::insert(&mut session, &draft).await.unwrap();
        assert_eq!(alert_draft::get(&mut session, "d1").await.unwrap(), Some(draft.clone()));
        assert!(!alert_draft::write(&mut session, ("d1", 2), "[1]".into(), ("eva", NOW + 1)).await.unwrap());
        assert!(alert_draft::write(&mut session, ("d1", 1), "[2]".into(), ("eva", NOW + 1)).await.unwrap());
        let list = alert_draft::list(&mut session, 10).await.unwrap();
        assert_eq!((list.len(), list[0].revision, list[0].written_by.as_str()), (1, 2, "eva"));
        assert_eq!(alert_draft::remove_old(&mut session, NOW + 1).await.unwrap(), 0);
        assert_eq!(alert_draft::remove_old(&mut session, NOW + 2).await.unwrap(), 1);
        alert_draft::insert(&mut session, &draft).await.unwrap();
        assert!(alert_draft::remove(&mut session, "d1").await.unwrap());
        assert!(!alert_draft::remove(&mut session, "d1").await.unwrap());
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
        session.commit().await.unwrap();
        drop(database);
    }

    async fn incoming_sms_are_kept_once_and_wait_until_they_are_read(kind: Kind) {
        let (store, database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let new = |digest: &str| NewSms { gateway: "elks".into(), digest: digest.into(), raw: "from=x".into() };
        assert!(!inbound_sms::is_any_unread(&mut session).await.unwrap());
        assert_eq!(inbound_sms::keep(&mut session, &[new("d1")], NOW).await.unwrap(), 1);
        assert_eq!(inbound_sms::keep(&mut session, &[new("d1"), new("d2")], NOW + 1).await.unwrap(), 1);
        assert!(inbound_sms::is_any_unread(&mut session).await.unwrap());
        inbound_sms::count_try(&mut session, ("elks", "d1")).await.unwrap();
        let unread = inbound_sms::unread(&mut session, 10, inbound_sms::names(["elks"])).await.unwrap();
        let digests: Vec<(&str, i64)> = unread.iter().map(|sms| (sms.digest.as_str(), sms.tries)).collect();
        assert_eq!(digests, [("d2", 0), ("d1", 1)], "what could not be read goes behind the others");
        inbound_sms::mark_read(&mut session, ("elks", "d2"), None, NOW).await.unwrap();
        assert_eq!(inbound_sms::unread(&mut session, 10, inbound_sms::names(["elks"])).await.unwrap().len(), 1);
        let others = inbound_sms::unread(&mut session, 10, inbound_sms::names(["other"])).await.unwrap();
        assert_eq!(others, [], "what came from a gateway that is not ours to read waits");
        session.commit().await.unwrap();
        assert_eq!(database.texts("SELECT raw FROM inbound_sms").await, ["from=x", "from=x"]);
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
        let events = verify::events_after(&mut session, (0, 0), 10).await.unwrap();
        let places: Vec<(i64, i64)> = events.iter().map(|event| (event.delivery_id, event.version)).collect();
        assert!(places.is_sorted() && events.iter().filter(|event| event.batch == "b2").count() == 2, "{events:?}");
        assert_eq!(verify::events_after(&mut session, places[0], 10).await.unwrap(), events[1..]);
        assert_eq!(verify::events_after(&mut session, (0, 0), 1).await.unwrap(), events[..1]);
        assert_eq!(verify::unknown_batches(&mut session).await.unwrap(), Vec::<String>::new());
        assert_eq!(verify::overdue_leases(&mut session, NOW).await.unwrap(), Vec::<String>::new());
        for statement in verify::COUNTS_EQUAL_ROWS.iter().chain(&verify::HISTORY_IS_MONOTONE).chain(&verify::COVERED_ONCE) {
            assert_eq!(verify::lines(&mut session, statement).await.unwrap(), Vec::<String>::new(), "{statement}");
        }
        assert_eq!(verify::lines(&mut session, verify::LOGGED[0]).await.unwrap().len(), 1, "m1 is not in the log");
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
