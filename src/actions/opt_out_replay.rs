//! Owns doing again, in a restored database, what people had said since the copy was made: opt-outs, pauses, erasures.
//!
//! Where the words come from is `store::opt_out_journal`, and when they are done again is `inbound::restored`. Invariants: the last word
//! wins; what cannot be told is taken as no; doing it twice changes nothing more; statistics and the log stay, as for any erasure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::contact_person::erase_row;
use super::{Desk, Result};
use crate::domain::operator::Actor;
use crate::domain::opt_out_journal::{Address, JournalKey, LastWords, Wishes};
use crate::store::contact_person::ContactPerson;
use crate::store::opt_out::Somebody;
use crate::store::{self, Session};

/// How an opt-out out of the journal is written down.
const SOURCE: &str = "journal";
/// Persons looked at in one transaction.
const PAGE: i64 = 500;

/// What was done again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redone {
    /// Alerts or letters that were ended.
    pub opt_outs: i64,
    /// Alerts or letters that were begun again.
    pub brought_back: i64,
    /// Pauses that were begun, moved or ended.
    pub pauses: i64,
    /// Persons that were erased.
    pub erased: i64,
    /// Addresses that are kept out, or let in again.
    pub addresses: i64,
}

/// Does again what the words say.
///
/// # Errors
/// [`super::ActionError`]; what was done before stays done, and all of it may be done once more.
pub async fn replay(desk: &Desk, actor: &Actor, words: &LastWords, key: &JournalKey) -> Result<Redone> {
    let mut redone = Redone { addresses: keep_out(desk, &words.addresses).await?, ..Redone::default() };
    let mut holders = Holders::of(&words.addresses);
    let mut after = String::new();
    loop {
        let page = store::opt_out::persons(&mut desk.store.read().await?, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        let mut session = desk.store.begin().await?;
        for person in &page {
            let wishes = words.persons.get(&key.person(&person.id));
            holders.note(desk, person, wishes);
            if let Some(wishes) = wishes {
                heed(desk, &mut session, actor, (&person.id, wishes), &mut redone).await?;
            }
        }
        session.commit().await?;
    }
    // Nobody in this register has said it, so whoever has the address has: they came into the register after the copy.
    let mut session = desk.store.begin().await?;
    for (id, wishes) in holders.unheard() {
        heed(desk, &mut session, actor, (&id, &wishes), &mut redone).await?;
    }
    session.commit().await?;
    Ok(redone)
}

/// Remembers addresses that must not come back, and forgets those that may; says how many.
async fn keep_out(desk: &Desk, addresses: &[(i64, Address)]) -> Result<i64> {
    let mut session = desk.store.begin().await?;
    let mut heeded = 0;
    for (at, address) in addresses {
        let Some(channel) = ["sms", "email", "person"].into_iter().find(|channel| *channel == address.channel) else {
            continue;
        };
        heeded += 1;
        match address.kept_out.as_deref() {
            Some(why) => {
                let why = if why == "erased" { "erased" } else { "opted_out" };
                store::contact_person::suppress(&mut session, (address.fingerprint.clone(), channel), why, *at).await?;
            }
            None => store::contact_person::unsuppress(&mut session, (&address.fingerprint, channel), *at).await?,
        }
    }
    session.commit().await?;
    Ok(heeded)
}

/// Who in the register has an address that somebody has said no for.
struct Holders {
    /// By channel and fingerprint: when it was said.
    said: BTreeMap<(&'static str, String), i64>,
    found: BTreeMap<(&'static str, String), Vec<String>>,
    heard: BTreeSet<(&'static str, String)>,
}

impl Holders {
    fn of(addresses: &[(i64, Address)]) -> Self {
        let said = addresses.iter().filter(|(_, address)| address.kept_out.as_deref() == Some("opted_out"));
        let said = said.filter_map(|(at, address)| {
            let channel = ["sms", "email"].into_iter().find(|channel| *channel == address.channel)?;
            Some(((channel, address.fingerprint.clone()), *at))
        });
        Self { said: said.collect(), found: BTreeMap::new(), heard: BTreeSet::new() }
    }

    fn note(&mut self, desk: &Desk, person: &Somebody, wishes: Option<&Wishes>) {
        if self.said.is_empty() {
            return;
        }
        for (channel, address) in [("sms", &person.mobile), ("email", &person.email_key)] {
            let Some(address) = address else { continue };
            let key = (channel, desk.token_key.fingerprint(channel, address));
            if !self.said.contains_key(&key) {
                continue;
            }
            let word = wishes.and_then(|wishes| if channel == "sms" { wishes.alerts } else { wishes.letters });
            let is_theirs = word.is_some() || wishes.is_some_and(|wishes| wishes.is_erased);
            if is_theirs {
                // The word is theirs, and not of the others with the same telephone.
                self.heard.insert(key);
            } else {
                self.found.entry(key).or_default().push(person.id.clone());
            }
        }
    }

    fn unheard(self) -> Vec<(String, Wishes)> {
        let Self { said, found, heard } = self;
        let unheard = found.into_iter().filter(|(key, _)| !heard.contains(key));
        let words = unheard.flat_map(|(key, ids)| {
            let no = Some((said[&key], false));
            let wishes = match key.0 {
                "sms" => Wishes { alerts: no, ..Wishes::default() },
                _ => Wishes { letters: no, ..Wishes::default() },
            };
            ids.into_iter().map(move |id| (id, wishes.clone())).collect::<Vec<_>>()
        });
        words.collect()
    }
}

/// Does what one person wishes.
async fn heed(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (id, wishes): (&str, &Wishes),
    redone: &mut Redone,
) -> Result<()> {
    let found = store::contact_person::get_locked(session, id).await?.filter(|person| person.erased_at.is_none());
    let Some(person) = found else { return Ok(()) };
    if wishes.is_erased {
        erase_row(desk, session, actor, &person).await?;
        redone.erased += 1;
        return Ok(());
    }
    let mut row = person.clone();
    let alerts = wishes
        .alerts
        .and_then(|word| set(word, (&mut row.alerts, &mut row.alerts_opt_out_at, &mut row.alerts_opt_out_source)));
    let letters = wishes
        .letters
        .and_then(|word| set(word, (&mut row.letters, &mut row.letters_opt_out_at, &mut row.letters_opt_out_source)));
    for (change, channel) in [(alerts, "sms"), (letters, "email")] {
        let Some(is_wanted) = change else { continue };
        let count = if is_wanted { &mut redone.brought_back } else { &mut redone.opt_outs };
        *count += 1;
        let action = if is_wanted { "contact_person.opted_in" } else { "contact_person.opted_out" };
        let detail = json!({ "channel": channel, "source": SOURCE });
        desk.audit(session, actor, action, ("contact_person", id), detail).await?;
    }
    if let Some(until) = wishes.paused_until.map(|until| (until > 0).then_some(until)) {
        redone.pauses += i64::from(row.paused_until_at != until);
        row.paused_until_at = until;
    }
    if row == person {
        return Ok(());
    }
    let row = ContactPerson { updated_at: desk.now(), ..row };
    Ok(store::contact_person::put(session, &row).await?)
}

/// Puts a word into a record; says what is wanted now if that is new. What the record says since is not undone.
fn set(
    (at, is_wanted): (i64, bool),
    (flag, opt_out_at, source): (&mut i64, &mut Option<i64>, &mut Option<String>),
) -> Option<bool> {
    let wants = *flag == 1 && opt_out_at.is_none();
    let has_said_no_since = opt_out_at.is_some_and(|said| said > at);
    if wants == is_wanted || (is_wanted && has_said_no_since) {
        return None;
    }
    if is_wanted {
        (*flag, *opt_out_at, *source) = (1, None, None);
    } else {
        (*opt_out_at, *source) = (Some(at), Some(SOURCE.to_owned()));
    }
    Some(is_wanted)
}
