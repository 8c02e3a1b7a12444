//! Owns opening the journal of opt-outs beside the database, and seeing whether the two belong together.
//!
//! What a restored database does about it is `inbound::restored`. Invariants: a journal that cannot be used never stops the daemon, and is
//! never written over; a database that is older than its journal starts paused (ADR 0017).

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::ambient::{self, Clock};
use crate::config::Config;
use crate::domain::opt_out_journal::JournalKey;
use crate::store::opt_out_journal::{JournalError, OptOutJournal};
use crate::store::{self, Journal, Store, opt_out, setting};

/// Lines looked up at once.
const PIECE: usize = 1_000;

/// The database with its journal.
pub(super) async fn open(config: &Config, store: Store, clock: &Clock) -> store::Result<Store> {
    let Some(file) = config.opt_outs.file(&config.database) else {
        unjournalled(&store, clock).await?;
        return Ok(store);
    };
    let opened = key(config, &file).and_then(|key| OptOutJournal::open(&file, key));
    let (journal, is_new) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(code = error.code(), "opt-outs are not journalled outside the database");
            unjournalled(&store, clock).await?;
            return Ok(store.with_journal(Journal::Broken(error.code())));
        }
    };
    let store = store.with_journal(Journal::Open(std::sync::Arc::new(journal)));
    compare(&store, clock, &file).await?;
    let was_unjournalled = setting::get(&mut store.read().await?, setting::UNJOURNALLED_SINCE).await?.is_some();
    if is_new || was_unjournalled {
        let mut session = store.begin().await?;
        if is_new {
            opt_out::begin(&mut session, &ambient::new_id(clock), clock.now_ms()).await?;
        }
        opt_out::note_standing(&mut session).await?;
        setting::clear(&mut session, setting::UNJOURNALLED_SINCE).await?;
        session.commit().await?;
    }
    Ok(store)
}

/// Leaves word that what is said from now on is not noted: when a journal can be written again, all that stands is.
async fn unjournalled(store: &Store, clock: &Clock) -> store::Result<()> {
    if setting::get(&mut store.read().await?, setting::UNJOURNALLED_SINCE).await?.is_some() {
        return Ok(());
    }
    let mut session = store.begin().await?;
    setting::set(&mut session, setting::UNJOURNALLED_SINCE, clock.now_ms().to_string()).await?;
    session.commit().await
}

/// The configured key, or the one beside the journal, made with it.
fn key(config: &Config, journal: &Path) -> Result<JournalKey, JournalError> {
    if let Some(key) = config.opt_outs.key() {
        return Ok(JournalKey::new(key));
    }
    let file = PathBuf::from(format!("{}.key", journal.display()));
    let is_begun = std::fs::metadata(journal).is_ok_and(|journal| journal.len() > 0);
    if !file.exists() {
        if is_begun {
            return Err(JournalError::WrongKey);
        }
        make_key(&file)?;
    }
    let text = std::fs::read_to_string(&file)?;
    let key = data_encoding::BASE64.decode(text.trim().as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    key.map(JournalKey::new).ok_or(JournalError::WrongKey)
}

/// Writes a new key whole or not at all; of two processes that begin at once, both use the first one's.
fn make_key(file: &Path) -> Result<(), JournalError> {
    let text = data_encoding::BASE64.encode(&ambient::random_bytes::<32>());
    let draft = PathBuf::from(format!("{}.{}", file.display(), std::process::id()));
    let mut handle = std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    writeln!(handle, "{text}")?;
    handle.sync_all()?;
    let linked = std::fs::hard_link(&draft, file);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// Pauses a database that is older than its journal, and writes a journal again that has lost lines the database has.
async fn compare(store: &Store, clock: &Clock, file: &Path) -> store::Result<()> {
    let Some(journal) = store.journal().open() else { return Ok(()) };
    let mut session = store.read().await?;
    if setting::get(&mut session, setting::RESTORED_SINCE).await?.is_some() {
        return Ok(());
    }
    // The file first: what stands in it by now was committed before.
    let Ok(contents) = OptOutJournal::read(file, journal.key()) else { return Ok(()) };
    let macs: Vec<String> = contents.lines.iter().map(|line| line.mac.clone()).collect();
    for piece in macs.chunks(PIECE) {
        if !opt_out::unknown(&mut session, piece).await?.is_empty() {
            drop(session);
            return pause(store, clock).await;
        }
    }
    let lost = absent(&mut session, file, journal).await?;
    drop(session);
    if !lost.is_empty() {
        tracing::error!(lines = lost.len(), "the journal of opt-outs had lost lines; they are written again");
        journal.write(lost).await;
    }
    Ok(())
}

async fn pause(store: &Store, clock: &Clock) -> store::Result<()> {
    tracing::error!("the database is older than its journal of opt-outs, as if restored; dispatch is paused");
    let mut session = store.begin().await?;
    store::backup::mark_restored(&mut session, clock.now_ms()).await?;
    session.commit().await
}

/// Lines that were in the journal once and are not any more.
async fn absent(session: &mut store::Session, file: &Path, journal: &OptOutJournal) -> store::Result<Vec<String>> {
    let mut known = Vec::new();
    let mut after = String::new();
    loop {
        let page = opt_out::written(session, &after, PIECE as i64).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.mac);
        known.extend(page);
    }
    // Read after them: what is known to be written is in the file by now.
    let Ok(contents) = OptOutJournal::read(file, journal.key()) else { return Ok(Vec::new()) };
    let there: std::collections::BTreeSet<&str> = contents.lines.iter().map(|line| line.mac.as_str()).collect();
    Ok(known.into_iter().filter(|noted| !there.contains(noted.mac.as_str())).map(|noted| noted.line).collect())
}
