//! A Postfix of the test's own on loopback, in a temporary folder: a relay whose bounces are real, and which pipes what comes
//! for our bounce domain into the program. No service of the machine is used, and nothing leaves the machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Where Debian puts its parts.
const DAEMONS: &str = "/usr/lib/postfix/sbin";

/// A running Postfix; ends when dropped.
#[derive(Debug)]
pub struct Postfix {
    child: Child,
    folder: TempDir,
    /// Where letters are handed over.
    pub url: String,
}

impl Postfix {
    /// Starts a relay that hands everything to the server at `next_port`, but for the bounce domain, which goes to the verb
    /// `receive-mail` with `config`.
    pub async fn start(next_port: u16, config: &Path) -> Self {
        let folder = TempDir::with_prefix("grannpost-postfix-").unwrap();
        let base = folder.path().to_owned();
        let port = super::free_port();
        for part in ["conf", "data", "queue"] {
            std::fs::create_dir_all(base.join(part)).unwrap();
        }
        open_to_all(&base);
        // The verb runs as nobody, who cannot read the folder that it was built in.
        let binary = base.join("grannpost");
        std::fs::copy(super::child::BINARY, &binary).unwrap();
        std::fs::write(base.join("conf/main.cf"), main_settings(&base, next_port)).unwrap();
        std::fs::write(base.join("conf/master.cf"), services(port, &binary, config)).unwrap();
        // Its parts drop their rights, so only root can start it.
        let script = format!(
            "set -e; cd {base}/queue; mkdir active bounce corrupt defer deferred flush hold incoming private maildrop public pid saved trace; \
             chown -R postfix {base}/data {base}/queue; chown root {base}/queue {base}/queue/pid; chgrp postdrop maildrop public; \
             chmod 730 maildrop; chmod 710 public; exec {DAEMONS}/master -c {base}/conf -d",
            base = base.display(),
        );
        let child = as_root().args(["sh", "-c", &script]).stdin(Stdio::null()).spawn().unwrap();
        let postfix = Self { child, folder, url: format!("smtp://127.0.0.1:{port}?tls=none") };
        for _ in 0..400 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return postfix;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("Postfix did not start: {}", postfix.log());
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let pid = self.folder.path().join("queue/pid/master.pid");
        let pid =
            std::fs::read_to_string(pid).map_or_else(|_| self.child.id().to_string(), |pid| pid.trim().to_owned());
        let _ = as_root().args(["kill", "-s", "TERM", &pid]).status();
        super::child::ended(&mut self.child, Duration::from_secs(10));
        let _ = as_root().args(["rm", "-rf"]).arg(self.folder.path()).status();
    }
}

/// Makes the folder and what lies in it usable for whoever the verb runs as.
pub fn open_to_all(folder: &Path) {
    let status = Command::new("chmod").args(["-R", "a+rwX"]).arg(folder).status().unwrap();
    assert!(status.success());
}

fn as_root() -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    Command::new(if is_root { "env" } else { "sudo" })
}

fn main_settings(base: &Path, next_port: u16) -> String {
    let base = base.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {base}/queue\ndata_directory = {base}/data\nmail_owner = postfix\n\
         setgid_group = postdrop\ndaemon_directory = {DAEMONS}\ncommand_directory = /usr/sbin\nmaillog_file = {base}/log\n\
         maillog_file_prefixes = /tmp, /var\nmyhostname = mx.example.net\nmydestination =\nmynetworks = 127.0.0.0/8\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_recipient_restrictions = permit_mynetworks, reject\n\
         smtp_dns_support_level = disabled\nsmtp_tls_security_level = none\ndisable_dns_lookups = yes\n\
         transport_maps = inline:{{{{ bounces.example.org = grannpost: }}}}\ndefault_transport = smtp:[127.0.0.1]:{next_port}\n\
         grannpost_destination_recipient_limit = 1\n"
    )
}

fn services(port: u16, binary: &Path, config: &Path) -> String {
    let (binary, config): (String, String) = (shown(binary), shown(config));
    let mut services = format!("127.0.0.1:{port} inet n - n - - smtpd\n");
    for (name, kind, process) in [
        ("pickup", "unix n - n 60 1", "pickup"),
        ("cleanup", "unix n - n - 0", "cleanup"),
        ("qmgr", "unix n - n 300 1", "qmgr"),
        ("rewrite", "unix - - n - -", "trivial-rewrite"),
        ("bounce", "unix - - n - 0", "bounce"),
        ("defer", "unix - - n - 0", "bounce"),
        ("trace", "unix - - n - 0", "bounce"),
        ("verify", "unix - - n - 1", "verify"),
        ("flush", "unix n - n 1000 0", "flush"),
        ("proxymap", "unix - - n - -", "proxymap"),
        ("smtp", "unix - - n - -", "smtp"),
        ("error", "unix - - n - -", "error"),
        ("retry", "unix - - n - -", "error"),
        ("anvil", "unix - - n - 1", "anvil"),
        ("scache", "unix - - n - 1", "scache"),
        ("postlog", "unix-dgram n - n - 1", "postlogd"),
    ] {
        services.push_str(&format!("{name} {kind} {process}\n"));
    }
    services.push_str(&format!(
        "grannpost unix - n n - 2 pipe flags=R user=nobody argv={binary} receive-mail --recipient ${{recipient}} --config {config}\n"
    ));
    services
}

fn shown(path: &Path) -> String {
    PathBuf::from(path).display().to_string()
}
