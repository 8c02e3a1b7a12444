//! Owns the journal of opt-outs: a file outside the database that words about consent are appended to.
//!
//! What a line says is `domain::opt_out_journal`, and which words there are is `store::opt_out`. It stands in this ring because a commit
//! is not over before its lines are in the file (ADR 0017). Invariants: only whole lines are appended, each on disk before
//! [`OptOutJournal::write`] ends; a last line that a crash has cut spoils no other; a file of another key is never written to.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::opt_out_journal::{JournalKey, Line, mac_of};

/// How long a line may take to be on disk before it is left to upkeep.
const WRITES_WITHIN: Duration = Duration::from_secs(3);

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or made.
    #[error("the journal of opt-outs cannot be read or made")]
    Io(#[from] io::Error),
    /// It was made with another key.
    #[error("the journal of opt-outs was made with another key")]
    WrongKey,
    /// The file is something else.
    #[error("the file is no journal of opt-outs")]
    NotAJournal,
}

impl JournalError {
    /// Stable code, safe to log.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "opt_out_journal.unreadable",
            Self::WrongKey => "opt_out_journal.wrong_key",
            Self::NotAJournal => "opt_out_journal.not_a_journal",
        }
    }
}

/// A journal that lines are appended to.
#[derive(Debug)]
pub struct OptOutJournal {
    file: PathBuf,
    key: JournalKey,
    /// Lines that this process has written, by what they are known by, until the table knows.
    written: Mutex<BTreeSet<String>>,
    is_failing: AtomicBool,
}

/// What stands in a journal.
#[derive(Debug, Default)]
pub struct Contents {
    /// The lines that could be read, each once.
    pub lines: Vec<Line>,
    /// The lines that could not: cut by a crash, or changed.
    pub spoiled: usize,
}

/// What a database has of a journal.
#[derive(Debug, Clone, Default)]
pub enum Journal {
    /// None is kept.
    #[default]
    Off,
    /// There should be one, and it cannot be used; why, as a stable code.
    Broken(&'static str),
    /// It is written to.
    Open(Arc<OptOutJournal>),
}

impl Journal {
    /// The journal, where one is written to.
    #[must_use]
    pub fn open(&self) -> Option<&Arc<OptOutJournal>> {
        match self {
            Self::Open(journal) => Some(journal),
            Self::Off | Self::Broken(_) => None,
        }
    }
}

impl OptOutJournal {
    /// Opens the journal at `file`, or makes one; says whether it was made now.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(file: &Path, key: JournalKey) -> Result<(Self, bool), JournalError> {
        let mut options = OpenOptions::new();
        let mut handle = options.create(true).append(true).read(true).mode(0o600).open(file)?;
        handle.lock()?;
        let mut heading = String::new();
        let is_new = handle.metadata()?.len() == 0;
        if is_new {
            writeln!(handle, "{}", key.heading())?;
            handle.sync_all()?;
            sync_folder(file)?;
        } else {
            (&handle).take(200).read_to_string(&mut heading).map_err(|_| JournalError::NotAJournal)?;
            let heading = heading.lines().next().unwrap_or_default();
            match key.fits(heading) {
                Some(true) => {}
                Some(false) => return Err(JournalError::WrongKey),
                None => return Err(JournalError::NotAJournal),
            }
        }
        let journal =
            Self { file: file.to_owned(), key, written: Mutex::default(), is_failing: AtomicBool::new(false) };
        Ok((journal, is_new))
    }

    /// The key that its lines are made with.
    #[must_use]
    pub fn key(&self) -> &JournalKey {
        &self.key
    }

    /// Where it is.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What stands in the journal at `file`, which may be another daemon's with the same key.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn read(file: &Path, key: &JournalKey) -> Result<Contents, JournalError> {
        let text = std::fs::read(file)?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        match lines.next().and_then(|heading| key.fits(heading)) {
            Some(true) => {}
            Some(false) => return Err(JournalError::WrongKey),
            None => return Err(JournalError::NotAJournal),
        }
        let mut contents = Contents::default();
        let mut seen = BTreeSet::new();
        for line in lines.filter(|line| !line.is_empty()) {
            match key.read(line) {
                Some(line) if seen.insert(line.mac.clone()) => contents.lines.push(line),
                Some(_) => {}
                None => contents.spoiled += 1,
            }
        }
        Ok(contents)
    }

    /// Appends lines and has them on disk, as far as the disk allows: what cannot be written waits in the table and is tried again.
    /// Says whether they are on disk.
    pub async fn write(self: &Arc<Self>, lines: Vec<String>) -> bool {
        let journal = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || {
            let appended = journal.append(&lines);
            if appended.is_ok() {
                journal.lock().extend(lines.iter().map(|line| mac_of(line).to_owned()));
            }
            appended
        });
        // Whoever said no is answered, and the next one read, though the disk hangs: the line waits in the table.
        let appended = match tokio::time::timeout(WRITES_WITHIN, written).await {
            Ok(written) => written.unwrap_or_else(|_| Err(io::Error::other("the writing thread died"))),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        let was_failing = self.is_failing.swap(appended.is_err(), Ordering::Relaxed);
        match appended {
            Err(error) if !was_failing => {
                tracing::error!(%error, "the journal of opt-outs cannot be written; what was said waits in the database");
            }
            Ok(()) if was_failing => tracing::info!("the journal of opt-outs can be written again"),
            _ => {}
        }
        !self.is_failing.load(Ordering::Relaxed)
    }

    /// The lines written by this process that the table does not know to be, by what they are known by.
    #[must_use]
    pub fn written(&self) -> BTreeSet<String> {
        self.lock().clone()
    }

    /// Forgets lines that the table knows to be written.
    pub fn settled(&self, macs: &[String]) {
        let mut written = self.lock();
        for mac in macs {
            written.remove(mac);
        }
    }

    /// One call, so that no two writers' lines mix; under a lock, so that a cut last line is seen and ended.
    fn append(&self, lines: &[String]) -> io::Result<()> {
        // Opened each time: a file that was taken away must not be written to unseen.
        let mut handle: File = OpenOptions::new().append(true).read(true).open(&self.file)?;
        handle.lock()?;
        let end = handle.seek(SeekFrom::End(0))?;
        let mut last = [b'\n'];
        if end > 0 {
            handle.seek(SeekFrom::Start(end - 1))?;
            handle.read_exact(&mut last)?;
        }
        let mut text = String::new();
        if last != [b'\n'] {
            text.push('\n');
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        let written = handle.write_all(text.as_bytes()).and_then(|()| handle.sync_data());
        if written.is_err() {
            // Half a line on a full disk; a failure here leaves it to be ended by the next.
            let _ = handle.set_len(end);
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a new file's name on disk, too.
fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
