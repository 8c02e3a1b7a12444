//! The built binary as a child process, for what only a process can show: kill -9, signals, exit codes, output.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_grannpost");

/// A running `grannpost serve`; killed when dropped.
#[derive(Debug)]
pub struct ServeProcess {
    child: Child,
    /// Where it answers.
    pub base: String,
}

impl ServeProcess {
    /// Starts the daemon and waits for the line that says it is ready.
    pub fn start(config: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log_file(config)).unwrap();
        let mut child = Command::new(BINARY)
            .args(["serve", "--config"])
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("not ready: {line:?}"));
        Self { base: base.to_owned(), child }
    }

    /// kill -9, and nothing after.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name and waits for the exit code.
    pub fn signal_and_wait(mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the daemon's log of this configuration goes.
pub fn log_file(config: &Path) -> PathBuf {
    config.with_extension("log")
}

/// Runs a verb to its end.
pub fn run(config: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).arg("--config").arg(config).stdin(Stdio::null()).output().unwrap()
}
