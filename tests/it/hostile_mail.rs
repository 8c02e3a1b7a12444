//! Stories of mail that is made to hurt: it is kept, costs bounded memory, and the reader goes on.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use grannpost::store;

use crate::mail_in::pipe;
use crate::support::child::{BINARY, ServeProcess};
use crate::support::{TestApp, on_both_databases};

/// The most memory that a process has had, octets.
fn most_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

/// The most memory that the verb has had when a mail is in it, to the last octet.
fn most_memory_of_the_pipe(config: &Path, mail: &[u8]) -> u64 {
    let mut child = Command::new(BINARY)
        .args(["receive-mail", "--recipient", "brev@example.org", "--config"])
        .arg(config)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(mail).unwrap();
    stdin.flush().unwrap();
    // What is still in the pipe is at most 64 KiB.
    let most = most_memory(child.id());
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    most
}

on_both_databases! {
    async fn hostile_mail_is_kept_and_the_reader_goes_on(kind: Kind) {
        let app = TestApp::spawn_with(kind, "mail_in.max_bytes = 1000000").await;
        let config = app.config_file();
        let nested = "Content-Type: message/rfc822\n\n".repeat(50_000);
        let zip = format!("From: a@example.org\nContent-Type: application/zip\nContent-Transfer-Encoding: base64\n\n{}", "UEsDBA".repeat(500_000));
        for bomb in [nested.as_bytes(), zip.as_bytes(), &[0; 300_000], b"", b"\xff\xfe\r\r\r", "Å:".repeat(200_000).as_bytes()] {
            assert_eq!(pipe(&config, &["--recipient", "bounce+x@example.org"], bomb), 0);
        }
        app.bring("brev@example.org", "From: a@example.org\n\nJag såg något").await;
        app.all_read().await;
        assert!(app.folder("replies").await.iter().any(|mail| mail.sender == "a@example.org" && mail.is_cut == 0));
        let mut session = app.desk.store.read().await.unwrap();
        for folder in ["tray", "replies", "automatic"] {
            for mail in store::inbound_mail::page(&mut session, folder, ("", 100)).await.unwrap() {
                let parts = store::inbound_mail::parts(&mut session, &mail.id, 100).await.unwrap();
                let kept: usize = parts.iter().map(|part| part.len() / 4 * 3).sum();
                assert!(kept <= 1_000_002 && (mail.is_cut == 1) == (mail.octets > 1_000_000), "{mail:?}");
            }
        }
    }

    async fn hostile_mail_costs_bounded_memory(kind: Kind) {
        const MIB: u64 = 1 << 20;
        let mut app = TestApp::spawn_with(kind, "mail_in.max_bytes = 1000000").await;
        app.stop().await;
        let config = app.config_file();
        // Each is some 40 MiB as it comes in.
        let size = 40 * MIB as usize;
        let fill = |head: &str, body: &str| [head.as_bytes(), &body.as_bytes().repeat(size / body.len())].concat();
        let bombs = [
            fill("", "Content-Type: message/rfc822\n\n"),
            fill("From: a@example.org\nContent-Type: application/zip\nContent-Transfer-Encoding: base64\n\n", "UEsDBA"),
            fill("", "X-Header: 1\r\n"),
            fill("From: a@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\n"),
            fill("From: a@example.org\nSubject: ", "=?utf-8?Q?=C3=85?= "),
            fill("From: a@example.org\nContent-Type: text/html\n\n", "<table><tr><td>"),
        ];
        let usual = most_memory_of_the_pipe(&config, format!("From: a@example.org\n\n{}", "Hej\n".repeat(240_000)).as_bytes());
        let daemon = ServeProcess::start(&config);
        app.mail_came(1).await;
        app.all_read().await;
        let before = most_memory(daemon.pid());
        for bomb in &bombs {
            let most = most_memory_of_the_pipe(&config, bomb);
            assert!(most < usual + 16 * MIB, "the verb takes {most} octets for a mail of {}, {usual} for one that is kept whole", bomb.len());
        }
        app.mail_came(1 + bombs.len()).await;
        app.all_read().await;
        let most = most_memory(daemon.pid());
        assert!(most < before + 64 * MIB, "the daemon took {before} octets before and {most} after");
        assert_eq!(daemon.signal_and_wait("TERM"), Some(0));
    }
}
