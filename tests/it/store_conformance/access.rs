//! The store on both databases: daemons, keys, operators, credentials, passkeys and sessions.

use super::*;

on_both_databases! {
    async fn daemons_keys_and_operators_come_and_go(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        for id in ["d1", "d2"] {
            daemon::register(&mut session, &Daemon { id: id.into(), lock_key: 7 }, Roles::ALL, NOW).await.unwrap();
        }
        assert_eq!(daemon::others(&mut session, "d1").await.unwrap(), [Daemon { id: "d2".into(), lock_key: 7 }]);
        daemon::end(&mut session, "d2", NOW).await.unwrap();
        assert_eq!(daemon::others(&mut session, "d1").await.unwrap(), []);
        daemon::come_back(&mut session, "d2", NOW).await.unwrap();
        assert_eq!(daemon::others(&mut session, "d1").await.unwrap().len(), 1);
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

    async fn one_daemon_at_a_time_has_its_turn_at_upkeep(kind: Kind) {
        const LONG: i64 = 3_600_000_000;
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let new = |id: &str| Daemon { id: id.into(), lock_key: 7 };
        for id in ["d1", "d2"] {
            daemon::register(&mut session, &new(id), Roles::parse("upkeep").unwrap(), NOW).await.unwrap();
        }
        assert_eq!(daemon::turn_holder(&mut session).await.unwrap(), None);
        assert!(daemon::take_turn(&mut session, "d1", LONG, None).await.unwrap());
        assert!(daemon::take_turn(&mut session, "d1", LONG, None).await.unwrap(), "and keeps it");
        assert!(!daemon::take_turn(&mut session, "d2", LONG, None).await.unwrap());
        assert_eq!(daemon::turn_holder(&mut session).await.unwrap(), Some(new("d1")));
        assert!(daemon::take_turn(&mut session, "d2", LONG, Some("d1")).await.unwrap(), "the other is dead");
        daemon::end(&mut session, "d2", NOW).await.unwrap();
        assert_eq!(daemon::turn_holder(&mut session).await.unwrap(), None, "it has said good-bye");
        assert!(daemon::take_turn(&mut session, "d1", -1, None).await.unwrap());
        assert_eq!(daemon::turn_holder(&mut session).await.unwrap(), None, "its time is over");
        assert!(gateway::reserve(&mut session, "elks", 1, 0).await.unwrap().daemons == 0, "nobody here hands over");
        daemon::register(&mut session, &new("d3"), Roles::ALL, NOW).await.unwrap();
        assert_eq!(gateway::reserve(&mut session, "elks", 1, 0).await.unwrap().daemons, 1);
        bell::ring(&mut session, "d1").await.unwrap();
        session.commit().await.unwrap();
        let mut session = store.read_dispatch().await.unwrap();
        assert_eq!(daemon::others(&mut session, "d3").await.unwrap(), [new("d1")]);
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

    async fn own_pages_are_opened_by_a_link_once_and_shut_with_the_person(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let first = frozen_alert(&mut session).await;
        let link = |hash: &str, at: i64| own_page::OwnPageLink {
            token_hash: hash.into(), contact_person_id: "p1".into(), delivery_id: IDS_PER_MESSAGE + 1, asked_by: "x".into(),
            created_at: at, expires_at: NOW + 100, used_at: None,
        };
        for (hash, at) in [("h1", NOW), ("h2", NOW - 5)] {
            own_page::insert_link(&mut session, &link(hash, at)).await.unwrap();
        }
        assert_eq!(own_page::links(&mut session, "p1", NOW - 5).await.unwrap(), [link("h2", NOW - 5), link("h1", NOW)]);
        assert_eq!(own_page::links(&mut session, "p1", NOW).await.unwrap().len(), 1);
        assert_eq!(own_page::link(&mut session, "h3").await.unwrap(), None);
        assert!(!own_page::use_link(&mut session, "h1", NOW + 100).await.unwrap(), "too late");
        assert!(own_page::use_link(&mut session, "h1", NOW + 99).await.unwrap());
        assert!(!own_page::use_link(&mut session, "h1", NOW + 99).await.unwrap(), "once");
        assert_eq!(own_page::link(&mut session, "h1").await.unwrap().unwrap().used_at, Some(NOW + 99));
        let new = |id: &str| own_page::OwnPageSession {
            id: id.into(), token_hash: format!("hash {id}"), contact_person_id: "p1".into(), created_at: NOW, seen_at: NOW, expires_at: NOW + 1_000, email_key: "a@example.org".into(),
        };
        for id in ["s1", "s2", "s3"] {
            own_page::insert(&mut session, &new(id)).await.unwrap();
        }
        assert_eq!(own_page::by_token(&mut session, "hash s1").await.unwrap(), Some(new("s1")));
        assert!(own_page::touch(&mut session, "s1", NOW + 5).await.unwrap());
        assert!(!own_page::touch(&mut session, "s1", NOW + 5).await.unwrap());
        own_page::end(&mut session, "s3").await.unwrap();
        assert_eq!(own_page::of_person(&mut session, "p1").await.unwrap().len(), 2);
        assert_eq!(own_page::forget(&mut session, NOW + 1_000).await.unwrap(), 0);
        let own = AlertRow {
            message_id: first.id.clone(), text: "Röd bil".into(), kind: "observation".into(), spread: "households".into(),
            decided_by: "Befäl".into(), expires_in_minutes: 60, ..AlertRow::default()
        };
        alert::put(&mut session, &own).await.unwrap();
        let shown = own_page::alerts(&mut session, ("p1", "2380-vik"), (NOW + 10, NOW - 10), 5).await.unwrap();
        assert_eq!(shown.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["m1"]);
        assert_eq!(own_page::alerts(&mut session, ("nobody", "2303"), (NOW + 10, NOW - 10), 5).await.unwrap(), []);
        assert_eq!(own_page::letters(&mut session, "p1", 5).await.unwrap(), []);
        assert!(own_page::sent_to(&mut session, &link("h1", NOW)).await.unwrap().is_some());
        own_page::forget_links(&mut session, NOW + 100).await.unwrap();
        assert_eq!(own_page::links(&mut session, "p1", 0).await.unwrap().len(), 2, "not yet");
        own_page::forget_links(&mut session, NOW + 101).await.unwrap();
        assert_eq!(own_page::links(&mut session, "p1", 0).await.unwrap().len(), 2, "not while a mail may go");
        own_page::erase(&mut session, "p1").await.unwrap();
        assert_eq!(own_page::links(&mut session, "p1", 0).await.unwrap(), []);
        assert_eq!(own_page::of_person(&mut session, "p1").await.unwrap(), []);
        own_page::insert(&mut session, &new("s4")).await.unwrap();
        assert_eq!(own_page::forget(&mut session, NOW + 1_001).await.unwrap(), 1);
    }
}
