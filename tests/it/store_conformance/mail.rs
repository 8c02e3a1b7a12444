//! Incoming mail and how well ways work, on both databases.

use super::*;
use grannpost::store::channel_health::Covered;
use grannpost::store::inbound_mail::{NewMail, Read};
use grannpost::store::{channel_health, inbound_mail};

fn a_mail(id: &str) -> NewMail {
    NewMail {
        id: id.into(),
        digest: format!("digest {id}"),
        recipient: "bounce+x@example.org".into(),
        source: "pipe",
        octets: 12,
        is_cut: false,
        received_at: NOW,
    }
}

fn a_bounce(delivery_id: i64, verdict: &'static str) -> Read {
    Read {
        state: "read",
        kind: "failed",
        verdict: Some(verdict),
        token_state: "proven",
        folder: "reports",
        delivery_id: Some(delivery_id),
        contact_person_id: Some("p1".into()),
        code: Some("5.1.1".into()),
        sender: "mailer-daemon@example.org".into(),
        subject: "Undelivered".into(),
        diagnostic: "user unknown".into(),
    }
}

on_both_databases! {
    async fn mail_is_kept_once_read_once_and_put_aside_once(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        assert!(inbound_mail::keep(&mut session, &a_mail("a")).await.unwrap());
        assert!(!inbound_mail::keep(&mut session, &NewMail { id: "b".into(), ..a_mail("a") }).await.unwrap());
        for (number, content) in [(1, "two"), (0, "one"), (2, "three")] {
            inbound_mail::add_part(&mut session, "a", (number, content.to_owned())).await.unwrap();
        }
        assert_eq!(inbound_mail::parts(&mut session, "a", 2).await.unwrap(), ["one", "two"]);
        assert!(inbound_mail::keep(&mut session, &a_mail("c")).await.unwrap());
        let unread = inbound_mail::unread(&mut session, 10, NOW).await.unwrap();
        let only_a: Vec<_> = unread.into_iter().filter(|mail| mail.id == "a").collect();
        assert_eq!(inbound_mail::begin_reading(&mut session, &only_a, NOW).await.unwrap(), ["a"]);
        assert_eq!(inbound_mail::begin_reading(&mut session, &only_a, NOW).await.unwrap(), [""; 0], "somebody else has");
        assert_eq!(inbound_mail::unread(&mut session, 10, NOW).await.unwrap().len(), 1, "it is being read");
        inbound_mail::give_back(&mut session, &only_a).await.unwrap();
        assert_eq!(inbound_mail::unread(&mut session, 10, NOW).await.unwrap().len(), 2);
        assert_eq!(inbound_mail::begin_reading(&mut session, &only_a, NOW).await.unwrap(), ["a"]);
        let unread = inbound_mail::unread(&mut session, 10, NOW + 1).await.unwrap();
        assert_eq!(unread.iter().map(|mail| (mail.id.as_str(), mail.tries)).collect::<Vec<_>>(), [("c", 0), ("a", 1)]);
        let read = Read { state: "read", kind: "unknown", token_state: "none", folder: "tray", ..Read::default() };
        assert!(inbound_mail::finish(&mut session, "a", &read, NOW).await.unwrap());
        assert!(!inbound_mail::finish(&mut session, "a", &read, NOW).await.unwrap());
        assert_eq!(inbound_mail::waiting(&mut session).await.unwrap(), (1, 1));
        inbound_mail::tie(&mut session, "a", "o1").await.unwrap();
        assert_eq!(inbound_mail::of_observation(&mut session, "o1").await.unwrap().as_deref(), Some("a"));
        let shown = inbound_mail::get(&mut session, "a").await.unwrap().unwrap();
        assert_eq!((shown.folder.as_deref(), shown.observation_id.as_deref()), (Some("tray"), Some("o1")));
        assert_eq!(inbound_mail::page(&mut session, "tray", ("", 10)).await.unwrap(), [shown]);
        assert_eq!(inbound_mail::page(&mut session, "tray", ("a", 10)).await.unwrap(), []);
        assert!(inbound_mail::handle(&mut session, "a", "o", NOW).await.unwrap());
        assert!(!inbound_mail::handle(&mut session, "a", "o", NOW).await.unwrap());
        assert_eq!(inbound_mail::waiting(&mut session).await.unwrap(), (1, 0));
        assert_eq!(inbound_mail::page(&mut session, "tray", ("", 10)).await.unwrap(), []);
        session.commit().await.unwrap();
    }

    async fn what_came_back_adds_up_by_person_and_marks_one_address(kind: Kind) {
        let (store, _database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        contact_person::put(&mut session, &person("p1", None, Some("a@example.org"), 3)).await.unwrap();
        let new = a_message("m1", 1, "letter");
        message::insert(&mut session, &new).await.unwrap();
        message::set_areas(&mut session, "m1", [("2380", true), ("2380-vik", false)]).await.unwrap();
        let crowd = audience::letter_crowd(&mut session, asked()).await.unwrap();
        coverage::write(&mut session, &freeze_of(&new), &Coverage::of(crowd, &[])).await.unwrap();
        let delivery = delivery::page(&mut session, "m1", "", 0, 10).await.unwrap().remove(0);
        assert_eq!(channel_health::recipients(&mut session, delivery.id).await.unwrap(), ["p1"]);
        for (id, verdict) in [("a", "hard"), ("b", "hard"), ("c", "ours")] {
            inbound_mail::keep(&mut session, &a_mail(id)).await.unwrap();
            inbound_mail::finish(&mut session, id, &a_bounce(delivery.id, verdict), NOW).await.unwrap();
        }
        let back = channel_health::count_back(&mut session, "a@example.org", "hard", NOW).await.unwrap();
        assert_eq!(back, 1, "two reports on one letter are one letter");
        assert_eq!(channel_health::count_back(&mut session, "a@example.org", "hard", NOW + 1).await.unwrap(), 0);
        let health = channel_health::of_person(&mut session, "p1").await.unwrap();
        assert_eq!(health.len(), 1);
        assert_eq!((health[0].undelivered, health[0].hard, health[0].soft, health[0].ours), (1, 1, 0, 1));
        assert_eq!((health[0].undelivered_at, health[0].reason.as_deref()), (Some(NOW), Some("bounce.ours")));
        assert_eq!(extract::mail(&mut session, "p1").await.unwrap().len(), 3);

        assert_eq!(channel_health::mark(&mut session, "a@example.org", "bounce.hard", NOW).await.unwrap(), ["p1"]);
        assert_eq!(channel_health::mark(&mut session, "a@example.org", "bounce.hard", NOW).await.unwrap(), [""; 0]);
        let counted = audience::count_letter(&mut session, ["2380", "2380-vik"], NOW).await.unwrap();
        assert_eq!((counted.by_email, counted.on_paper), (0, 1));
        let marked = contact_person::get(&mut session, "p1").await.unwrap().unwrap();
        assert_eq!(marked.email_unusable.as_deref(), Some("a@example.org"));
        assert!(channel_health::clear(&mut session, "p1", NOW).await.unwrap());
        assert!(!channel_health::clear(&mut session, "p1", NOW).await.unwrap());
        let counted = audience::count_letter(&mut session, ["2380", "2380-vik"], NOW).await.unwrap();
        assert_eq!((counted.by_email, counted.on_paper), (1, 0));
        assert_eq!(channel_health::count_doubtable(&mut session, "m1").await.unwrap(), 0, "a letter says nothing of a number");
        assert_eq!(channel_health::undelivered(&mut session, "m1", (0, 10)).await.unwrap(), []);
        let covered = [Covered { delivery_id: delivery.id, contact_person_id: "p1".into() }];
        assert_eq!(channel_health::doubt_mobiles(&mut session, "m1", &covered, NOW).await.unwrap(), [""; 0]);
        assert_eq!(channel_health::doubt_repeated(&mut session, "m1", &covered, (1, NOW)).await.unwrap(), [""; 0]);
        assert_eq!(channel_health::trust_proven(&mut session, "m1").await.unwrap(), 0);
        inbound_sms::hold(&mut session, &[7, 9].into()).await.unwrap();
        assert!(!channel_health::trust_mobile(&mut session, "p1", NOW).await.unwrap());
        inbound_mail::erase(&mut session, "p1").await.unwrap();
        assert!(extract::mail(&mut session, "p1").await.unwrap().iter().all(|mail| mail.diagnostic.is_empty()));
        session.commit().await.unwrap();
    }
}
