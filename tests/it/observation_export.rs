//! What is handed to an investigator of what contact persons told.

use crate::support::{TestApp, on_both_databases};

const EVA: &str = "+46701740601";

on_both_databases! {
    async fn what_an_investigator_gets_can_be_checked_and_leaves_the_informant_out_unless_asked(kind: Kind) {
        let app = TestApp::with_two_persons(kind, "replies.automatic = false").await;
        app.sms("s1", EVA, "Röd bil ABC 123").await;
        let id = app.observations("", 1).await[0]["id"].as_str().unwrap().to_owned();
        let mut browser = app.signed_in("officer", "2326").await;
        let inbox = browser.get("/observations").await;
        let refused = browser.submit(&inbox, "/observations/export", &[("ids", &id)]).await;
        assert!(refused.status == 422 && refused.html.contains("Ange varför de lämnas ut"), "{}", refused.html);
        for (with, may_name) in [(None, false), (Some(("with_informant", "yes")), true)] {
            let mut fields = vec![("ids", id.as_str()), ("reason", "K 1234-26")];
            fields.extend(with);
            let file = browser.submit(&inbox, "/observations/export", &fields).await;
            assert_eq!((file.status.as_u16(), file.headers["content-type"].to_str().unwrap()), (200, "application/zip"));
            // Stored as it is: the text can be read in the archive.
            for words in ["observations.json", "SHA256SUMS", "Röd bil ABC 123", "K 1234-26"] {
                assert!(file.html.contains(words), "{words}");
            }
            assert_eq!(file.html.contains("Eva Ek") && file.html.contains(EVA), may_name);
        }
        let logged = app.api.get("/audit?limit=1000").await.text;
        assert_eq!(logged.matches("observations.exported").count(), 2);
        let mut elsewhere = app.signed_in("officer", "2321").await;
        let inbox = elsewhere.get("/observations").await;
        let answer = elsewhere.submit(&inbox, "/observations/export", &[("ids", &id), ("reason", "x")]).await;
        assert_eq!(answer.status, 404, "another area's is not there");
    }
}
