//! Fresh databases: an SQLite file in a temporary folder, or a database of its own on a PostgreSQL that the test process
//! starts from its binaries and that dies with it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use tempfile::TempDir;

/// Whether this program measures: PostgreSQL has every commit on disk then, as in service, and work may take its time. Stories do
/// not wait for the disk.
pub static MEASURES: AtomicBool = AtomicBool::new(false);

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// An empty database; gone when dropped.
#[derive(Debug)]
pub struct Database {
    pub url: String,
    /// Holds the SQLite file and whatever else a test wants to keep.
    pub folder: TempDir,
}

impl Database {
    pub fn new(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let url = match kind {
            Kind::Sqlite => format!("sqlite:{}", folder.path().join("test.db").display()),
            Kind::Postgres => server().create_database(),
        };
        if !MEASURES.load(Ordering::Relaxed) {
            ALARM.with(|_| ());
        }
        Self { url, folder }
    }
}

thread_local! {
    /// Set with the first database of a story, off when its thread has ended.
    static ALARM: Alarm = Alarm::set();
}

/// Ends the test program when a story goes on for far longer than any needs, and says which: one that hangs would hold up the whole
/// run in silence.
#[derive(Debug)]
struct Alarm(#[expect(dead_code, reason = "what ends with it is what matters")] Sender<()>);

impl Alarm {
    fn set() -> Self {
        let story = std::thread::current().name().unwrap_or_default().to_owned();
        let is_full = std::env::var_os("GRANNPOST_FAULTS").is_some();
        let minutes = if is_full { 60 } else { 10 };
        let (alarm, off) = mpsc::channel();
        std::thread::spawn(move || {
            let is_late = off.recv_timeout(Duration::from_secs(60 * minutes)) == Err(RecvTimeoutError::Timeout);
            // Without threads of their own all stories share the first one, which may take its time.
            if is_late && story != "main" {
                // Past what the harness captures.
                let _ = writeln!(std::io::stderr(), "\n{story} has not ended in {minutes} minutes: it hangs");
                let ours = std::process::id().to_string();
                let _ = Command::new("pkill").args(["-KILL", "-x", "-P", &ours, "grannpost"]).status();
                std::process::exit(101);
            }
        });
        Self(alarm)
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// The PostgreSQL of this test process.
#[derive(Debug)]
struct Server {
    socket_folder: PathBuf,
    bin: PathBuf,
    databases: AtomicU32,
    /// Ends the server when its standard input closes, which happens when this process ends, however it ends.
    _keeper: Child,
}

impl Server {
    fn start() -> Self {
        let settings = if MEASURES.load(Ordering::Relaxed) {
            "-c shared_buffers=512MB -c max_wal_size=4GB"
        } else {
            "-c fsync=off"
        };
        let bin = binaries();
        let folder = TempDir::with_prefix("grannpost-pg-").unwrap().keep();
        let (data, log) = (folder.join("data"), folder.join("log"));
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        run(
            &bin.join("initdb"),
            &["-D", path(&data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        );
        let script = format!(
            "{owner} '{bin}/pg_ctl' -D '{data}' -l '{log}' -w -o \"-k '{folder}' -c listen_addresses='' {settings} -c max_connections=400\" start >/dev/null \
             && echo ready && cat >/dev/null; {owner} '{bin}/pg_ctl' -D '{data}' -m immediate stop >/dev/null; rm -rf '{folder}'",
            owner = if is_root() { "runuser -u postgres --" } else { "" },
            bin = bin.display(),
            data = data.display(),
            log = log.display(),
            folder = folder.display(),
        );
        // The folder is ours, so we remove it, whoever runs the server in it.
        let mut keeper =
            Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(keeper.stdout.take().unwrap()), &mut ready).unwrap();
        assert_eq!(ready.trim(), "ready", "PostgreSQL did not start; see {}", log.display());
        Self { socket_folder: folder, bin, databases: AtomicU32::new(0), _keeper: keeper }
    }

    fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let socket = path(&self.socket_folder);
        run(&self.bin.join("createdb"), &["-h", socket, "-U", "postgres", &name]);
        format!("postgres://postgres@localhost/{name}?host={}", socket.replace('/', "%2F"))
    }
}

/// The folder of the newest PostgreSQL on this machine.
pub(super) fn binaries() -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|folder| folder.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.retain(|bin| bin.join("initdb").exists());
    versions.sort();
    versions.pop().expect("PostgreSQL is installed: make test installs it")
}

pub(super) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(super) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

/// PostgreSQL does not run as root.
fn as_database_owner(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

pub(super) fn run(program: &Path, arguments: &[&str]) {
    let output = as_database_owner(program).args(arguments).current_dir("/").output().unwrap();
    assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
}
