//! Owns what a restored database has to catch up with before it may send again: what came in since the copy, and what was said.
//!
//! Invariants: the pause ends only when both are done or an administrator has said to do without; SMS first and the journal after
//! them, so that the last word wins; nothing that is fetched is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::gateway_hook::GatewayHook;
use super::sms::{self, SmsReader};
use crate::actions::opt_out_replay::{self, Redone};
use crate::actions::{ActionError, Desk, freezing, pause, unsealing};
use crate::ambient::Wakeup;
use crate::domain::operator::Actor;
use crate::domain::opt_out_journal::{Line, last_words};
use crate::provider::HistoryWindow;
use crate::store::opt_out_journal::OptOutJournal;
use crate::store::{self, Journal, inbound_sms, opt_out, setting};

/// The newest time that a copy knows may be so much behind what it holds, and a gateway's clock behind ours.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);
/// Readings that fail in a row before a person is asked.
const MOST_FAILURES: usize = 10;
/// How long after such a reading comes the next.
const AGAIN: Duration = Duration::from_millis(200);
/// Lines looked up at once.
const PIECE: usize = 1_000;

/// What an administrator is ready to do without.
#[derive(Debug, Clone, Copy, Default)]
pub struct Without {
    /// The journal of opt-outs.
    pub journal: bool,
    /// The gateways' history.
    pub history: bool,
}

/// What was caught up with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// What the journal said.
    pub redone: Redone,
    /// SMS that were fetched and had not been here.
    pub sms: u64,
    /// Lines of the journal that nobody can read.
    pub spoiled: usize,
    /// Gateways whose history was not asked, by name.
    pub unasked: Vec<String>,
}

impl CaughtUp {
    /// What was done, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let Redone { opt_outs, brought_back, pauses, erased, .. } = self.redone;
        let count = |n: i64, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        let mut words = format!(
            "{} och {} gjordes om",
            count(opt_outs, "avanmälning", "avanmälningar"),
            count(erased, "radering", "raderingar")
        );
        if brought_back > 0 {
            words += &format!(", liksom {}", count(brought_back, "ny anmälan", "nya anmälningar"));
        }
        if pauses > 0 {
            words += &format!(", liksom {}", count(pauses, "ändrad paus", "ändrade pauser"));
        }
        words += &format!(". {} sms hämtades från sms-tjänsten.", self.sms);
        if self.spoiled > 0 {
            let lines = if self.spoiled == 1 { "rad" } else { "rader" };
            words += &format!(" {} {lines} i journalen gick inte att läsa.", self.spoiled);
        }
        if !self.unasked.is_empty() {
            words += &format!(" Historiken hos {} är inte läst.", self.unasked.join(", "));
        }
        words
    }
}

/// Catches up, if the database has been restored; `None` when it has not. What is done twice changes nothing more.
///
/// # Errors
/// [`ActionError::Conflict`] `restored.journal_missing`, `restored.journal_broken` or `restored.history_unread` when something cannot be
/// read that the administrator has not said to do without.
pub async fn catch_up(
    desk: &Desk,
    hooks: &Arc<BTreeMap<String, GatewayHook>>,
    actor: &Actor,
    without: Without,
) -> Result<Option<CaughtUp>, ActionError> {
    let mut session = desk.store.read().await?;
    let Some(since) = setting::get(&mut session, setting::RESTORED_SINCE).await? else { return Ok(None) };
    pause::allowed(&mut session, actor).await?;
    drop(session);
    let since = since.parse().ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    said_since(desk, without).await?;
    let (sms, mut unasked) = fetch(desk, hooks, since - MARGIN, without).await?;
    read_all(desk, hooks, (without, &mut unasked)).await?;
    // Read only now: what was said meanwhile, and what was fetched, are words like any other.
    let said = said_since(desk, without).await?;
    let mut redone = Redone::default();
    if let Some(journal) = desk.store.journal().open() {
        // Nobody is erased who stands in an audience that was being frozen or written out when the copy was made, and no daemon may be
        // there to do it.
        let lease_ms = i64::from(desk.config.dispatch.lease_seconds) * 1000;
        freezing::undo_dead(&desk.store, &desk.clock, desk.now() - lease_ms).await?;
        unsealing::write_out_all(&desk.store, &desk.clock, f64::INFINITY, || true, || ()).await?;
        let words = last_words(said.lines.clone(), |line| !said.unknown.contains(&line.mac));
        redone = opt_out_replay::replay(desk, actor, &words, journal.key()).await?;
    }
    let caught_up = CaughtUp { redone, sms, spoiled: said.spoiled, unasked };
    finish(desk, actor, (&said, &caught_up), without).await?;
    Ok(Some(caught_up))
}

/// What the journals hold that the database does not, and the other way round.
#[derive(Debug, Default)]
struct Said {
    lines: Vec<Line>,
    /// Those of the lines that the database does not know, by what they are known by.
    unknown: BTreeSet<String>,
    spoiled: usize,
    /// Lines whose journal is gone.
    lost: Vec<String>,
}

async fn said_since(desk: &Desk, without: Without) -> Result<Said, ActionError> {
    let journal = match desk.store.journal() {
        Journal::Open(journal) => journal,
        Journal::Off if !without.journal => return Err(if was_kept(desk).await? { missing() } else { none_kept() }),
        Journal::Broken(code) if !without.journal => return Err(broken(code)),
        Journal::Off | Journal::Broken(_) => return Ok(Said { lost: written(desk).await?, ..Said::default() }),
    };
    let mut said = Said::default();
    let files = std::iter::once(journal.file().to_owned()).chain(desk.config.opt_outs.also_read.iter().cloned());
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for file in files {
        match read(file, journal).await {
            Ok(contents) => {
                said.spoiled += contents.spoiled;
                lines.extend(contents.lines.into_iter().map(|line| (line.mac.clone(), line)));
            }
            Err(_) if without.journal => {}
            Err(error) => return Err(broken(error.code())),
        }
    }
    said.lost = written(desk).await?.into_iter().filter(|mac| !lines.contains_key(mac)).collect();
    if !said.lost.is_empty() && !without.journal {
        return Err(missing());
    }
    let macs: Vec<String> = lines.keys().cloned().collect();
    let mut session = desk.store.read().await?;
    for piece in macs.chunks(PIECE) {
        said.unknown.extend(opt_out::unknown(&mut session, piece).await?);
    }
    said.lines = lines.into_values().collect();
    Ok(said)
}

async fn read(
    file: PathBuf,
    journal: &Arc<OptOutJournal>,
) -> Result<store::opt_out_journal::Contents, store::opt_out_journal::JournalError> {
    let journal = Arc::clone(journal);
    let read = tokio::task::spawn_blocking(move || OptOutJournal::read(&file, journal.key())).await;
    read.unwrap_or_else(|_| Err(std::io::Error::other("the reading thread died").into()))
}

/// Lines that the database knows to have been in a journal, by what they are known by.
async fn written(desk: &Desk) -> Result<Vec<String>, ActionError> {
    let mut session = desk.store.read().await?;
    let mut macs: Vec<String> = Vec::new();
    loop {
        let after = macs.last().cloned().unwrap_or_default();
        let page = opt_out::written(&mut session, &after, PIECE as i64).await?;
        if page.is_empty() {
            return Ok(macs);
        }
        macs.extend(page.into_iter().map(|noted| noted.mac));
    }
}

async fn was_kept(desk: &Desk) -> Result<bool, ActionError> {
    Ok(!opt_out::written(&mut desk.store.read().await?, "", 1).await?.is_empty())
}

fn missing() -> ActionError {
    let detail = "Journalen över avanmälningar saknas eller är inte hel: det som har sagts efter kopian kan inte göras om. Lägg tillbaka \
                  journalen och dess nyckel, eller säg uttryckligen att utskicken ska släppas på utan den.";
    ActionError::conflict("restored.journal_missing", detail)
}

fn none_kept() -> ActionError {
    let detail = "Här förs ingen journal över avanmälningar: den som har sagt nej eller raderats efter kopian är glömd. Gå igenom det för \
                  hand, och säg sedan uttryckligen att utskicken ska släppas på utan journal.";
    ActionError::conflict("restored.journal_missing", detail)
}

fn broken(code: &str) -> ActionError {
    let why = match code {
        "opt_out_journal.wrong_key" => "nyckeln är inte den som journalen är skriven med",
        "opt_out_journal.not_a_journal" => "filen är ingen sådan journal",
        _ => "filen går inte att läsa",
    };
    let detail = format!(
        "Journalen över avanmälningar går inte att använda: {why}. Lägg tillbaka journalen och dess nyckel och starta om, eller säg \
         uttryckligen att utskicken ska släppas på utan den."
    );
    ActionError::conflict("restored.journal_broken", &detail)
}

/// Keeps what the gateways' histories hold of SMS that came since; says how many were new, and who was not asked.
async fn fetch(
    desk: &Desk,
    hooks: &BTreeMap<String, GatewayHook>,
    newer_than: Timestamp,
    without: Without,
) -> Result<(u64, Vec<String>), ActionError> {
    let mut kept = 0;
    let mut unasked = Vec::new();
    for (name, hook) in hooks {
        if !hook.gateway.has_history() {
            unasked.push(name.clone());
            continue;
        }
        let listing = hook.gateway.incoming(&HistoryWindow { newer_than, older_than: None, to: None }).await;
        match listing {
            Ok(listing) if listing.complete || without.history => {
                kept += sms::keep_fetched(desk, hook, name, &listing.sms).await?;
                if !listing.complete {
                    unasked.push(name.clone());
                }
            }
            Err(_) if without.history => unasked.push(name.clone()),
            Ok(_) | Err(_) => {
                let detail = format!(
                    "Historiken hos {name} gick inte att läsa: sms som kom efter kopian, också STOP, kan saknas. Försök igen, eller säg \
                     uttryckligen att utskicken ska släppas på utan den."
                );
                return Err(ActionError::conflict("restored.history_unread", &detail));
            }
        }
    }
    Ok((kept, unasked))
}

/// Reads all that was fetched; other daemons may read along.
async fn read_all(
    desk: &Desk,
    hooks: &Arc<BTreeMap<String, GatewayHook>>,
    (without, unasked): (Without, &mut Vec<String>),
) -> Result<(), ActionError> {
    let reader = SmsReader { desk: desk.clone(), hooks: Arc::clone(hooks), kept: Wakeup::default() };
    let mut failures = 0;
    while inbound_sms::fetched_unread(&mut desk.store.read().await?).await? > 0 {
        match reader.read_some().await {
            Ok(1..) => failures = 0,
            // Another daemon reads them, or nobody can: such as those of a gateway that is not configured any more.
            Ok(0) | Err(_) if failures < MOST_FAILURES => {
                failures += 1;
                tokio::time::sleep(AGAIN).await;
            }
            Ok(0) | Err(_) if without.history => {
                unasked.push("sms som inte gick att läsa".to_owned());
                return Ok(());
            }
            Ok(0) => {
                let detail = "Sms som hämtades ur historiken går inte att läsa, till exempel för att deras sms-tjänst inte längre står i \
                              inställningarna. Försök igen, eller säg uttryckligen att utskicken ska släppas på utan dem.";
                return Err(ActionError::conflict("restored.history_unread", detail));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn finish(
    desk: &Desk,
    actor: &Actor,
    (said, caught_up): (&Said, &CaughtUp),
    without: Without,
) -> Result<(), ActionError> {
    let now = desk.now();
    let mut session = desk.store.begin().await?;
    let news: Vec<Line> = said.lines.iter().filter(|line| said.unknown.contains(&line.mac)).cloned().collect();
    for piece in news.chunks(PIECE) {
        opt_out::heed(&mut session, piece, now).await?;
    }
    for piece in said.lost.chunks(PIECE) {
        opt_out::forget(&mut session, piece).await?;
    }
    setting::clear(&mut session, setting::RESTORED_SINCE).await?;
    let Redone { opt_outs, brought_back, pauses, erased, addresses } = caught_up.redone;
    let detail = json!({
        "opt_outs": opt_outs, "brought_back": brought_back, "pauses": pauses, "erased": erased, "addresses": addresses,
        "sms": caught_up.sms, "spoiled": caught_up.spoiled, "unasked": caught_up.unasked, "lost": said.lost.len(),
        "without_journal": without.journal, "without_history": without.history,
    });
    desk.audit(&mut session, actor, "dispatch.caught_up", ("dispatch", ""), detail).await?;
    Ok(session.commit().await?)
}
