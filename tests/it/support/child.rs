//! The built binary as a child process, for what only a process can show: kill -9, signals, exit codes, output.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_grannpost");

/// A running `grannpost serve`; killed when dropped.
#[derive(Debug)]
pub struct ServeProcess {
    child: Child,
    /// Where it answers.
    pub base: String,
    /// What it was told to do, as given; empty for everything.
    pub roles: String,
}

impl ServeProcess {
    /// Starts the daemon and waits for the line that says it is ready.
    pub fn start(config: &Path) -> Self {
        Self::start_with(config, &[])
    }

    /// The same with more arguments.
    pub fn start_with(config: &Path, more: &[&str]) -> Self {
        Self::start_under(&[], config, more).expect("the daemon becomes ready")
    }

    /// The same by another program that becomes or starts it, such as strace; `None` when it ends before it is ready.
    pub fn start_under(by: &[&str], config: &Path, more: &[&str]) -> Option<Self> {
        let log = std::fs::File::options().create(true).append(true).open(log_file(config)).unwrap();
        let mut command = Command::new(by.first().unwrap_or(&BINARY));
        if !by.is_empty() {
            command.args(&by[1..]).arg(BINARY);
        }
        let mut child = command
            .args(["serve", "--config"])
            .arg(config)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(base) = line.trim().strip_prefix("listening on ") else {
            child.wait().unwrap();
            return None;
        };
        let roles = more.iter().skip_while(|word| **word != "--roles").nth(1).copied().unwrap_or_default();
        Some(Self { base: base.to_owned(), child, roles: roles.to_owned() })
    }

    /// Its number, or that of the program it was started by.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal by name.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// kill -9, and nothing after.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name and waits for the exit code.
    pub fn signal_and_wait(mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        ended(&mut self.child, Duration::from_secs(60)).expect("the daemon ends when it is told to").code()
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a child ended; `None` when it has not within a time, and was killed.
pub fn ended(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < within {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        #[expect(clippy::disallowed_methods, reason = "what ends a story waits in destructors too")]
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Where the daemon's log of this configuration goes.
pub fn log_file(config: &Path) -> PathBuf {
    config.with_extension("log")
}

/// Runs a verb to its end.
pub fn run(config: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).arg("--config").arg(config).stdin(Stdio::null()).output().unwrap()
}
