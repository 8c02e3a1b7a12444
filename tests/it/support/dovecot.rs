//! A Dovecot of the test's own on loopback, in a temporary folder: the mailbox that is read over IMAP. No service of the machine is used.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Where Debian puts it.
const BINARY: &str = "/usr/sbin/dovecot";

/// A running Dovecot with one mailbox; ends when dropped.
#[derive(Debug)]
pub struct Dovecot {
    child: Child,
    folder: TempDir,
    /// `imap://…`, or `imaps://…` inside TLS, with login and password.
    pub url: String,
    /// File with the root that signed its certificate; empty without TLS.
    pub root: String,
}

impl Dovecot {
    /// Starts it and waits until it answers.
    pub async fn start() -> Self {
        Self::start_as(false).await
    }

    /// The same inside TLS, with a certificate for `localhost`.
    pub async fn start_with_tls() -> Self {
        Self::start_as(true).await
    }

    async fn start_as(is_tls: bool) -> Self {
        let folder = TempDir::with_prefix("grannpost-dovecot-").unwrap();
        let base = folder.path().to_owned();
        std::fs::set_permissions(&base, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for part in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(base.join("mail").join(part)).unwrap();
        }
        let owner = owner();
        if owner == "nobody" {
            run(Command::new("chown").args(["-R", "nobody"]).arg(base.join("mail")));
        }
        let port = super::free_port();
        let config = base.join("dovecot.conf");
        let tls = if is_tls { write_certificate(&base) } else { String::new() };
        std::fs::write(&config, settings(&base, (port, is_tls), &owner)).unwrap();
        let child = Command::new(BINARY).arg("-F").arg("-c").arg(&config).stdin(Stdio::null()).spawn().unwrap();
        let place = if is_tls {
            format!("imaps://grannpost:hemligt@localhost:{port}")
        } else {
            format!("imap://grannpost:hemligt@127.0.0.1:{port}")
        };
        let dovecot = Self { child, folder, url: format!("{place}/INBOX"), root: tls };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return dovecot;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("Dovecot did not start: {}", std::fs::read_to_string(base.join("log")).unwrap_or_default());
    }

    /// Puts a mail into the mailbox, as a mail server delivers it.
    pub fn deliver(&self, name: &str, mail: &[u8]) {
        let written = self.mail().join("tmp").join(name);
        std::fs::write(&written, mail).unwrap();
        if owner() == "nobody" {
            run(Command::new("chown").arg("nobody").arg(&written));
        }
        std::fs::rename(written, self.mail().join("new").join(name)).unwrap();
    }

    /// The mails that lie in the mailbox, by their names with flags.
    pub fn lying(&self) -> Vec<String> {
        let names = |part: &str| {
            let entries = std::fs::read_dir(self.mail().join(part)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        [names("new"), names("cur")].concat()
    }

    fn mail(&self) -> PathBuf {
        self.folder.path().join("mail")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its children end with it.
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        super::child::ended(&mut self.child, Duration::from_secs(10));
    }
}

/// Who owns the mails: Dovecot serves none of root's.
fn owner() -> String {
    let id = |what: &str| {
        String::from_utf8(Command::new("id").arg(what).output().unwrap().stdout).unwrap().trim().to_owned()
    };
    if id("-u") == "0" { "nobody".to_owned() } else { id("-un") }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success());
}

/// A certificate for `localhost` with its key, beside the root that signed it; gives the root's file.
fn write_certificate(base: &Path) -> String {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_file = base.join("root.pem");
    std::fs::write(&root_file, root.self_signed(&root_key).unwrap().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    std::fs::write(base.join("certificate.pem"), certificate.pem()).unwrap();
    std::fs::write(base.join("key.pem"), key.serialize_pem()).unwrap();
    root_file.to_str().unwrap().to_owned()
}

fn settings(base: &Path, (port, is_tls): (u16, bool), owner: &str) -> String {
    let base = base.display();
    let tls = if is_tls {
        format!("ssl = required\nssl_cert = <{base}/certificate.pem\nssl_key = <{base}/key.pem")
    } else {
        "ssl = no".to_owned()
    };
    let (clear_port, tls_port) = if is_tls { (0, port) } else { (port, 0) };
    let internal = if owner == "nobody" {
        String::new()
    } else {
        format!("default_internal_user = {owner}\ndefault_login_user = {owner}\ndefault_internal_group = {owner}\n")
    };
    format!(
        "{internal}protocols = imap\nlisten = 127.0.0.1\nbase_dir = {base}/run\nstate_dir = {base}/state\nlog_path = {base}/log\n\
         {tls}\ndisable_plaintext_auth = no\nfirst_valid_uid = 1\nmail_location = maildir:{base}/mail\n\
         passdb {{\n  driver = static\n  args = password=hemligt\n}}\n\
         userdb {{\n  driver = static\n  args = uid={owner} gid=nogroup home={base}/mail\n}}\n\
         service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = {clear_port}\n  }}\n  inet_listener imaps {{\n    port = {tls_port}\n    ssl = yes\n  }}\n}}\n\
         service anvil {{\n  chroot =\n}}\nservice stats {{\n  chroot =\n}}\n"
    )
}
