//! Stories of the mailbox that is read over IMAP: a Dovecot of the story's own, in the clear and inside TLS.

use std::time::Duration;

use crate::mail_in::hard;
use crate::support::child::{ServeProcess, log_file};
use crate::support::dovecot::Dovecot;
use crate::support::{TestApp, on_both_databases};

on_both_databases! {
    async fn a_mailbox_is_followed_over_imap_and_each_mail_taken_once(kind: Kind) {
        let mailbox = Dovecot::start().await;
        let more = format!("mail_in.imap_url = \"{}\"\nmail_in.max_bytes = 600000", mailbox.url);
        mailbox.deliver("1", b"From: a@example.org\r\n\r\nDet f\xf6rsta\r\n");
        let mut app = TestApp::spawn_with(kind, &more).await;
        app.add_letter_reader("Anna Ek", "anna.ek@example.org", false).await;
        app.mail_came(1).await;
        // These come while the mailbox is waited for, one of them longer than what is kept.
        let sent = app.send_one_letter().await;
        mailbox.deliver("2", format!("Delivered-To: {}\r\n{}", sent.return_path, hard()).as_bytes());
        app.delivery_when(&sent.id, |delivery| delivery["state"] == "undelivered").await;
        mailbox.deliver("3", format!("From: b@example.org\r\n\r\nDet tredje\r\n{}", "x".repeat(900_000)).as_bytes());
        app.mail_came(3).await;
        app.restart().await;
        mailbox.deliver("4", b"From: c@example.org\r\n\r\nDet fj\xe4rde\r\n");
        app.mail_came(4).await;
        app.all_read().await;
        assert_eq!(app.folder("replies").await.len(), 3, "none came twice over the restart");
        assert_eq!(app.folder("replies").await.iter().filter(|mail| mail.is_cut == 1).count(), 1);
        assert_eq!(mailbox.lying().len(), 4);
    }

    async fn a_mailbox_is_emptied_where_that_is_wanted(kind: Kind) {
        let mailbox = Dovecot::start().await;
        let more = format!("mail_in.imap_url = \"{}\"\nmail_in.imap_after = \"delete\"", mailbox.url);
        for name in ["1", "2"] {
            mailbox.deliver(name, format!("From: a@example.org\n\nMejl {name}").as_bytes());
        }
        let app = TestApp::spawn_with(kind, &more).await;
        app.mail_came(2).await;
        for _ in 0..200 {
            if mailbox.lying().is_empty() {
                break;
            }
            app.desk.wakeup.wait(Duration::from_millis(50)).await;
        }
        assert_eq!(mailbox.lying(), [""; 0]);
    }

    async fn a_mailbox_is_read_inside_tls_and_only_when_its_certificate_is_right(kind: Kind) {
        let mailbox = Dovecot::start_with_tls().await;
        let other = Dovecot::start_with_tls().await;
        mailbox.deliver("1", b"From: a@example.org\r\n\r\nInuti TLS\r\n");
        let mut app = TestApp::spawn(kind).await;
        app.stop().await;
        let config = app.config_file();
        let settings = std::fs::read_to_string(&config).unwrap();
        let to = |url: &str| std::fs::write(&config, format!("mail_in.imap_url = \"{url}\"\n{settings}")).unwrap();
        let serve = |root: &str| {
            let trusting = format!("SSL_CERT_FILE={root}");
            ServeProcess::start_under(&["env", "-u", "SSL_CERT_DIR", &trusting], &config, &[]).unwrap()
        };
        // Another root than the one that signed it, then another name than the one in it: nothing is read, and the log says so.
        for (root, url) in [(&other.root, mailbox.url.clone()), (&mailbox.root, mailbox.url.replace("localhost", "127.0.0.1"))] {
            to(&url);
            let _ = std::fs::remove_file(log_file(&config));
            let daemon = serve(root);
            let mut told = String::new();
            for _ in 0..400 {
                told = std::fs::read_to_string(log_file(&config)).unwrap();
                if told.contains("mailbox.unreachable") {
                    break;
                }
                app.desk.wakeup.wait(Duration::from_millis(25)).await;
            }
            assert!(told.contains("mailbox.unreachable") && !told.contains("hemligt"), "{told}");
            assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
            assert_eq!(app.database.texts("SELECT id FROM inbound_mail").await.len(), 0);
        }
        to(&mailbox.url);
        let daemon = serve(&mailbox.root);
        app.mail_came(1).await;
        app.all_read().await;
        assert_eq!(app.folder("replies").await.len(), 1);
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    }
}
