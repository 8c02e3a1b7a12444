//! What is disposed of in the store: only what is over, all that names somebody, and no figure.

use super::*;
use grannpost::domain::retention::Rule;
use grannpost::store::retention;

on_both_databases! {
    async fn a_message_that_is_over_loses_whom_it_went_to_and_keeps_its_counts(kind: Kind) {
        let (store, database) = fresh(kind).await;
        let mut session = store.begin().await.unwrap();
        let frozen = frozen_alert(&mut session).await;
        assert_eq!(retention::due(&mut session, Rule::Recipients, NOW + 1, 10).await.unwrap(), [""; 0], "it still goes");
        session.commit().await.unwrap();
        database.execute("UPDATE delivery SET state = 'delivered'").await;
        database.execute("UPDATE message_count SET state = 'delivered'").await;
        database.execute("UPDATE message SET state = 'done', done_at = 1795000000000").await;
        let mut session = store.begin().await.unwrap();
        assert_eq!(retention::due(&mut session, Rule::Recipients, NOW, 10).await.unwrap(), [""; 0], "not old enough");
        assert_eq!(retention::due(&mut session, Rule::Recipients, NOW + 1, 10).await.unwrap(), ["m1"]);
        assert_eq!(extract::messages_out(&mut session, "p1", NOW - 1).await.unwrap(), []);
        assert_eq!(extract::messages_out(&mut session, "p1", NOW).await.unwrap().len(), 1);
        let before = message::counts(&mut session, "m1").await.unwrap();
        let last = retention::dispose_recipients(&mut session, &frozen.id, 0).await.unwrap().unwrap();
        assert_eq!(retention::dispose_recipients(&mut session, &frozen.id, last).await.unwrap(), None);
        retention::dispose(&mut session, Rule::Recipients, &["m1".to_owned()], NOW + 2).await.unwrap();
        assert_eq!(message::counts(&mut session, "m1").await.unwrap(), before);
        assert_eq!(retention::due(&mut session, Rule::Recipients, NOW + 1, 10).await.unwrap(), [""; 0], "once");
        for rule in [Rule::Observations, Rule::Imports, Rule::Mail, Rule::Calls] {
            assert_eq!(retention::due(&mut session, rule, NOW + 1, 10).await.unwrap(), [""; 0]);
            retention::dispose(&mut session, rule, &["nobody".to_owned()], NOW).await.unwrap();
        }
        session.commit().await.unwrap();
        assert_eq!(database.texts("SELECT contact_person_id FROM message_recipient").await, [""; 0]);
        assert_eq!(database.texts("SELECT address FROM delivery WHERE address LIKE '+%' OR contact_person_id IS NOT NULL").await, [""; 0]);
    }
}
