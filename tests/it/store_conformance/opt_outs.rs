//! Words about consent between the database and the journal.

use std::sync::Arc;

use grannpost::domain::opt_out_journal::{Entry, JournalKey, Word};
use grannpost::store::opt_out_journal::OptOutJournal;
use grannpost::store::{Journal, opt_out};

use super::*;

on_both_databases! {
    async fn words_are_noted_with_what_they_are_about_and_are_in_the_journal_after_the_commit(kind: Kind) {
        let (store, database) = fresh(kind).await;
        let file = database.folder.path().join("words");
        let key = JournalKey::new([3; 32]);
        let (journal, is_new) = OptOutJournal::open(&file, key.clone()).unwrap();
        assert!(is_new);
        let store = store.with_journal(Journal::Open(Arc::new(journal)));
        let mut session = store.begin().await.unwrap();
        opt_out::begin(&mut session, "j1", NOW).await.unwrap();
        contact_person::put(&mut session, &person("p1", Some("+46701740601"), None, 2)).await.unwrap();
        session.commit().await.unwrap();
        let mut session = store.begin().await.unwrap();
        let quiet = ContactPerson { alerts_opt_out_at: Some(NOW + 1), updated_at: NOW + 1, ..person("p1", Some("+46701740601"), None, 2) };
        contact_person::put(&mut session, &quiet).await.unwrap();
        drop(session);
        let read = || OptOutJournal::read(&file, &key).unwrap().lines;
        assert_eq!(read().len(), 1, "a word that was not committed was not said");
        let mut session = store.begin().await.unwrap();
        contact_person::put(&mut session, &quiet).await.unwrap();
        session.commit().await.unwrap();
        let lines = read();
        assert_eq!(lines[1].entry, Entry::Person(key.person("p1"), Word::AlertsOff));

        let mut session = store.begin().await.unwrap();
        let waiting = opt_out::waiting(&mut session, 10).await.unwrap();
        assert_eq!(waiting.iter().map(|noted| &noted.mac).collect::<Vec<_>>(), [&lines[0].mac, &lines[1].mac]);
        opt_out::settle(&mut session, &[lines[0].mac.clone()], NOW + 2).await.unwrap();
        assert_eq!(opt_out::waiting(&mut session, 10).await.unwrap().len(), 1);
        let written = opt_out::written(&mut session, "", 10).await.unwrap();
        assert_eq!((written.len(), &written[0].line), (1, &lines[0].text));
        let macs = ["00".to_owned(), lines[0].mac.clone()];
        assert_eq!(opt_out::unknown(&mut session, &macs).await.unwrap(), ["00"]);
        let later = key.read(&key.word(NOW + 3, "p1", Word::Erased)).unwrap();
        opt_out::heed(&mut session, std::slice::from_ref(&later), NOW + 4).await.unwrap();
        assert_eq!(opt_out::unknown(&mut session, std::slice::from_ref(&later.mac)).await.unwrap(), Vec::<String>::new());
        opt_out::forget(&mut session, std::slice::from_ref(&later.mac)).await.unwrap();
        assert_eq!(opt_out::unknown(&mut session, &[later.mac]).await.unwrap().len(), 1);
        let somebody = opt_out::persons(&mut session, "", 10).await.unwrap();
        assert_eq!((somebody.len(), somebody[0].mobile.as_deref()), (1, Some("+46701740601")));
        assert_eq!(opt_out::persons(&mut session, "p1", 10).await.unwrap(), []);
        setting::set(&mut session, setting::NEWEST_AT, NOW.to_string()).await.unwrap();
        backup::mark_restored(&mut session, NOW + 9).await.unwrap();
        assert_eq!(setting::get(&mut session, setting::RESTORED_SINCE).await.unwrap(), Some(NOW.to_string()));
        session.commit().await.unwrap();
    }

    async fn a_no_that_is_repeated_is_noted_while_the_journal_may_know_better_and_a_new_journal_is_told_what_stands(kind: Kind) {
        let (store, database) = fresh(kind).await;
        let key = JournalKey::new([3; 32]);
        let journal = |name: &str| {
            let file = database.folder.path().join(name);
            let (journal, _) = OptOutJournal::open(&file, key.clone()).unwrap();
            (store.clone().with_journal(Journal::Open(Arc::new(journal))), file)
        };
        let (first, file) = journal("first");
        let mut session = first.begin().await.unwrap();
        let quiet = ContactPerson { alerts_opt_out_at: Some(NOW), ..person("p1", Some("+46701740601"), None, 2) };
        contact_person::put(&mut session, &quiet).await.unwrap();
        contact_person::suppress(&mut session, ("ab".repeat(32), "sms"), "opted_out", NOW).await.unwrap();
        opt_out::note_repeated(&mut session, "p1", NOW + 1, (true, true)).await.unwrap();
        session.commit().await.unwrap();
        let before = OptOutJournal::read(&file, &key).unwrap().lines.len();
        let mut session = first.begin().await.unwrap();
        setting::set(&mut session, setting::RESTORED_SINCE, NOW.to_string()).await.unwrap();
        opt_out::note_repeated(&mut session, "p1", NOW + 1, (true, false)).await.unwrap();
        contact_person::suppress(&mut session, ("ab".repeat(32), "sms"), "opted_out", NOW + 1).await.unwrap();
        session.commit().await.unwrap();
        assert_eq!(OptOutJournal::read(&file, &key).unwrap().lines.len(), before + 2);

        let mut session = store.begin().await.unwrap();
        let unheard = ContactPerson { id: "p2".into(), mobile: None, ..quiet };
        contact_person::put(&mut session, &unheard).await.unwrap();
        session.commit().await.unwrap();
        let (second, file) = journal("second");
        let mut session = second.begin().await.unwrap();
        opt_out::note_standing(&mut session).await.unwrap();
        session.commit().await.unwrap();
        let lines = OptOutJournal::read(&file, &key).unwrap().lines;
        assert!(lines.iter().any(|line| line.entry == Entry::Person(key.person("p2"), Word::AlertsOff)), "{lines:?}");
    }

    async fn fetched_sms_are_known_by_the_same_id_and_wait_apart(kind: Kind) {
        let (store, _folder) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let brought = NewSms { gateway: "elks".into(), digest: "a".into(), raw: "eA==".into() };
        inbound_sms::keep(&mut session, &[brought], NOW).await.unwrap();
        let fetched = |digest: &str| inbound_sms::FetchedSms {
            gateway: "elks".into(),
            digest: digest.into(),
            raw: "eA==".into(),
            received_at: NOW - 5,
        };
        assert_eq!(inbound_sms::keep_fetched(&mut session, &[fetched("a"), fetched("b")]).await.unwrap(), 1);
        assert_eq!(inbound_sms::fetched_unread(&mut session).await.unwrap(), 1);
        let unread = inbound_sms::unread(&mut session, 10, inbound_sms::names(["elks"])).await.unwrap();
        assert_eq!(unread.iter().map(|sms| (sms.fetched, sms.received_at)).collect::<Vec<_>>(), [(1, NOW - 5), (0, NOW)]);
        session.commit().await.unwrap();
    }
}
