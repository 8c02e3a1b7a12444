//! A PostgreSQL of a test's own, which the test may stop, restart, copy to a standby and promote.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::database::{binaries, is_root, path, run};
use super::proxy::Target;

/// One server with its data; stopped and removed when dropped or when this process ends, however it ends.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    keeper: Child,
}

impl Cluster {
    /// A new server that runs, with an empty database `grannpost`. Connections pass through its socket.
    pub fn start() -> Self {
        let cluster = Self::empty();
        let data = cluster.data();
        run(
            &cluster.bin.join("initdb"),
            &["-D", path(&data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        );
        cluster.control(&["-w", "-l", path(&cluster.folder.join("log")), "-o", &cluster.options(), "start"]);
        run(&cluster.bin.join("createdb"), &["-h", path(&cluster.folder), "-U", "postgres", "grannpost"]);
        cluster
    }

    /// A standby that follows this server; a commit then waits until both have it.
    pub fn standby(&self) -> Self {
        let other = Self::empty();
        let to = other.data();
        let from = format!("host={} user=postgres application_name=standby", self.folder.display());
        run(&self.bin.join("pg_basebackup"), &["-d", &from, "-D", path(&to), "-R", "-X", "stream", "-c", "fast"]);
        other.control(&["-w", "-l", path(&other.folder.join("log")), "-o", &other.options(), "start"]);
        for sql in ["ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()"] {
            self.sql(sql);
        }
        other
    }

    /// Stops and starts it: `fast` ends sessions in order, `immediate` is a crash.
    pub fn restart(&self, mode: &str) {
        let log = self.folder.join("log");
        self.control(&["-w", "-m", mode, "-l", path(&log), "-o", &self.options(), "restart"]);
    }

    /// It is gone, as after a loss of power.
    pub fn lose(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    /// A standby becomes the server.
    pub fn promote(&self) {
        self.control(&["-w", "promote"]);
    }

    /// Where it listens.
    pub fn socket(&self) -> Target {
        Target::Unix(self.folder.join(".s.PGSQL.5432"))
    }

    /// Its database, by the socket.
    pub fn url(&self) -> String {
        format!("postgres://postgres@localhost/grannpost?host={}", path(&self.folder).replace('/', "%2F"))
    }

    /// Runs one statement; its first column as text.
    pub fn sql(&self, sql: &str) -> String {
        let arguments = ["-h", path(&self.folder), "-U", "postgres", "-d", "grannpost", "-Atc", sql];
        let output = Command::new(self.bin.join("psql")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn empty() -> Self {
        let bin = binaries();
        let folder = TempDir::with_prefix("grannpost-pg-").unwrap().keep();
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let script = format!(
            "cat >/dev/null; {owner} '{bin}/pg_ctl' -D '{folder}/data' -m immediate stop >/dev/null 2>&1; rm -rf '{folder}'",
            owner = if is_root() { "runuser -u postgres --" } else { "" },
            bin = bin.display(),
            folder = folder.display(),
        );
        let keeper = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        Self { folder, bin, keeper }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Without waiting for the disk: what is lost here are processes, not machines.
    fn options(&self) -> String {
        format!("-k '{}' -c listen_addresses='' -c fsync=off -c max_connections=150", self.folder.display())
    }

    fn control(&self, arguments: &[&str]) {
        let data = self.data();
        let program = self.bin.join("pg_ctl");
        run(&program, &[&["-s", "-D", path(&data)], arguments].concat());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
