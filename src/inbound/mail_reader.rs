//! Owns reading the mail that was kept, in the background: which delivery it is about, and what follows from what it means.
//!
//! What a mail means is `domain::bounce`. Invariants: a state moves only where a token of ours proves the delivery; what is
//! not proven or not understood lies in the tray and changes nothing; a mail that stops the reader is left alone after
//! [`TRIES`] readings, and the reader goes on; no mail is sent in answer.

use std::collections::HashMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::mail::PIECE;
use super::mime;
use crate::actions::observation::{self, Incoming};
use crate::actions::{ActionError, Desk, channel_health, unsubscribe};
use crate::ambient;
use crate::domain::bounce::{self, Meaning, Verdict};
use crate::domain::delivery::{Channel, DeliveryState};
use crate::domain::delivery_token::{DeliveryToken, TokenKey};
use crate::domain::email_address;
use crate::domain::incoming_mail::{IncomingMail, address_in, without_quotes};
use crate::store::attempt::{AttemptOutcome, Ending};
use crate::store::delivery::{Locked, Step};
use crate::store::inbound_mail::{Read, Unread};
use crate::store::receipt::NewReceipt;
use crate::store::settle::Batch;
use crate::store::{self, Session, StoreError};

/// Mails read in one transaction: short, so that an alert's hand-overs do not wait for it.
const READ_AT_ONCE: i64 = 25;
/// Readings begun of one mail before it is left alone.
const TRIES: i64 = 3;
/// Whoever began to read a mail and has not ended it after this long has died, in milliseconds.
const READING_MS: i64 = 15_000;
/// Between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// Rest between two batches, in which others come to write.
const BREATH: Duration = Duration::from_millis(10);
/// After a look that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// Characters kept of a sender and a subject.
const LINE: usize = 200;

/// Reads what is kept until `stop`; begins with what a daemon before left unread.
pub async fn run(desk: Desk, stop: CancellationToken) {
    loop {
        let pause = match read_some(&desk).await {
            Ok(0) => EVERY,
            Ok(_) => BREATH,
            Err(error) => {
                tracing::warn!(code = error.code(), "incoming mail could not be read; trying again");
                AFTER_FAILURE
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// A mail taken apart. `None` when that failed.
struct Looked {
    unread: Unread,
    content: Option<(IncomingMail, Meaning)>,
}

async fn read_some(desk: &Desk) -> Result<usize, ActionError> {
    let now = desk.now();
    let before = now - READING_MS;
    let mut unread = store::inbound_mail::unread(&mut desk.store.read().await?, READ_AT_ONCE, before).await?;
    // One that was tried before may have been what stopped us: it is read alone.
    let untried = unread.iter().take_while(|mail| mail.tries == 0).count();
    unread.truncate(untried.max(1));
    if unread.is_empty() {
        return Ok(0);
    }
    let mut session = desk.store.begin().await?;
    let begun = store::inbound_mail::begin_reading(&mut session, &unread, now).await?;
    session.commit().await?;
    unread.retain(|mail| begun.contains(&mail.id));
    let read = read_begun(desk, unread.clone()).await;
    if matches!(&read, Err(ActionError::Store(error)) if error.is_passing()) {
        let mut session = desk.store.begin().await?;
        store::inbound_mail::give_back(&mut session, &unread).await?;
        session.commit().await?;
    }
    desk.wakeup.ring();
    read
}

async fn read_begun(desk: &Desk, unread: Vec<Unread>) -> Result<usize, ActionError> {
    let mut looked = Vec::with_capacity(unread.len());
    for mail in unread {
        looked.push(look(desk, mail).await?);
    }
    looked.sort_by(|a, b| a.unread.id.cmp(&b.unread.id));
    write(desk, &looked).await?;
    Ok(looked.len())
}

async fn look(desk: &Desk, unread: Unread) -> Result<Looked, StoreError> {
    if unread.tries >= TRIES {
        return Ok(Looked { unread, content: None });
    }
    let pieces = i64::try_from(mime::WINDOW.div_ceil(PIECE)).unwrap_or(i64::MAX);
    let parts = store::inbound_mail::parts(&mut desk.store.read().await?, &unread.id, pieces).await?;
    let is_to_return_path = is_return_path(&unread.recipient);
    let read = tokio::task::spawn_blocking(move || {
        let raw = store::inbound_mail::octets(&parts);
        let mail = IncomingMail { is_to_return_path, ..mime::read(&raw) };
        let meaning = bounce::read(&mail);
        (mail, meaning)
    });
    Ok(Looked { unread, content: read.await.ok() })
}

/// What one mail moves, and what stands in its row.
struct Outcome<'a> {
    looked: &'a Looked,
    read: Read,
    /// The delivery that is proven, with the attempt.
    proven: Option<(Locked, i64)>,
}

async fn write(desk: &Desk, looked: &[Looked]) -> Result<(), ActionError> {
    let named: Vec<Naming> = looked.iter().map(|looked| name(&desk.token_key, looked)).collect();
    let ids: Vec<i64> = named.iter().filter_map(|naming| naming.token).map(|token| token.delivery_id).collect();
    let mut session = desk.store.begin().await?;
    let held = store::delivery::lock(&mut session, &ids).await?;
    let mut held: HashMap<i64, Locked> = held.into_iter().map(|held| (held.id, held)).collect();
    let now = desk.now();
    let mut outcomes = Vec::with_capacity(looked.len());
    for (looked, naming) in looked.iter().zip(named) {
        let mut outcome = outcome(desk, looked, naming, &held);
        if let Some((delivery, _)) = &outcome.proven {
            let shown = store::delivery::get(&mut session, delivery.id).await?;
            outcome.read.contact_person_id = shown.and_then(|shown| shown.contact_person_id);
        }
        if store::inbound_mail::finish(&mut session, &looked.unread.id, &outcome.read, now).await? {
            outcomes.push(outcome);
        }
    }
    move_deliveries(desk, &mut session, &outcomes, &mut held).await?;
    for outcome in &outcomes {
        follow(desk, &mut session, outcome).await?;
    }
    session.commit().await?;
    for outcome in &outcomes {
        let verdict = outcome.read.verdict.unwrap_or("none");
        metrics::counter!("grannpost_mail_in_total", "kind" => outcome.read.kind, "verdict" => verdict).increment(1);
        if outcome.read.verdict == Some(Verdict::Ours.code()) {
            let (id, code) = (outcome.looked.unread.id.as_str(), outcome.read.code.as_deref());
            tracing::error!(
                mail = id,
                code,
                "a letter came back for a reason of ours: look at sender, signatures and content"
            );
        }
    }
    Ok(())
}

/// Which delivery a mail names.
struct Naming {
    token: Option<DeliveryToken>,
    /// Whether its recipient looks like a return path of ours without being one.
    is_forged: bool,
}

/// The recipient's token comes first, then what the report and the returned headers say, then what it answers to.
fn name(key: &TokenKey, looked: &Looked) -> Naming {
    let Some((mail, _)) = &looked.content else { return Naming { token: None, is_forged: false } };
    let mut recipients = vec![looked.unread.recipient.as_str()];
    if recipients[0].is_empty() {
        recipients = ["delivered-to", "x-original-to", "envelope-to", "to"]
            .into_iter()
            .flat_map(|name| mail.headers.all(name))
            .collect();
    }
    let of_recipient = recipients.iter().find_map(|text| key.find(text));
    let is_forged = of_recipient.is_none() && recipients.iter().any(|text| is_return_path(text));
    let token = of_recipient.or_else(|| mail.references().into_iter().find_map(|text| key.find(text)));
    Naming { token, is_forged }
}

/// Whether an address has the form of our return paths.
fn is_return_path(address: &str) -> bool {
    address.trim_start_matches('<').to_lowercase().starts_with("bounce+")
}

fn outcome<'a>(desk: &Desk, looked: &'a Looked, naming: Naming, held: &HashMap<i64, Locked>) -> Outcome<'a> {
    let Some((mail, meaning)) = &looked.content else {
        let read =
            Read { state: "unreadable", kind: "unknown", token_state: "none", folder: "tray", ..Read::default() };
        return Outcome { looked, read, proven: None };
    };
    let proven = naming.token.and_then(|token| {
        let delivery = held.get(&token.delivery_id).filter(|held| held.channel == Channel::Email.code())?;
        // Attempt 0 stands for the delivery itself.
        let attempt = if token.attempt == 0 { delivery.attempts } else { token.attempt };
        (attempt <= delivery.attempts).then(|| (delivery.clone(), attempt))
    });
    let token_state = match (&proven, naming.is_forged || naming.token.is_some()) {
        (Some(_), _) => "proven",
        (None, true) => "forged",
        (None, false) => "none",
    };
    let sender = address_in(mail.headers.get("from").unwrap_or_default());
    let is_own = sender.eq_ignore_ascii_case(address_in(&desk.config.mail.from));
    let (verdict, code, diagnostic) = match meaning {
        Meaning::Failed { finding, diagnostic } => {
            let code = finding.code.map(|code| code.to_string());
            let code = code.or_else(|| finding.reply.map(|reply| reply.to_string()));
            (Some(finding.verdict), code, diagnostic.clone())
        }
        _ => (None, None, String::new()),
    };
    let folder = match (meaning, &proven, verdict) {
        (Meaning::Automatic, ..) => "automatic",
        (Meaning::Reply, ..) if is_own => "automatic",
        (Meaning::Reply, ..) => "replies",
        (Meaning::Unknown, ..) | (_, None, _) | (_, _, Some(Verdict::Unclear)) => "tray",
        _ => "reports",
    };
    let read = Read {
        state: "read",
        kind: meaning.code(),
        verdict: verdict.map(Verdict::code),
        token_state,
        folder,
        delivery_id: proven.as_ref().map(|(delivery, _)| delivery.id),
        contact_person_id: None,
        code,
        sender: line(sender),
        subject: line(mail.headers.get("subject").unwrap_or_default()),
        diagnostic,
    };
    Outcome { looked, read, proven }
}

fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LINE).collect()
}

/// Keeps every proven report with its attempt, and moves the deliveries they speak of; several on one in their order.
async fn move_deliveries(
    desk: &Desk,
    session: &mut Session,
    outcomes: &[Outcome<'_>],
    held: &mut HashMap<i64, Locked>,
) -> Result<(), ActionError> {
    let now = desk.now();
    let reports: Vec<&Outcome<'_>> = outcomes.iter().filter(|outcome| told_state(outcome).is_some()).collect();
    let mut receipts: Vec<NewReceipt<'_>> = reports.iter().filter_map(|outcome| receipt(outcome)).collect();
    receipts.sort_by(|a, b| (a.delivery_id, a.attempt, &a.word).cmp(&(b.delivery_id, b.attempt, &b.word)));
    receipts.dedup_by(|a, b| (a.delivery_id, a.attempt, &a.word) == (b.delivery_id, b.attempt, &b.word));
    session.write_together(vec![store::receipt::store(&receipts, now)]).await?;
    for round in rounds(&reports) {
        let mut steps = Vec::new();
        let mut endings = Vec::new();
        for outcome in round {
            let Some((of, attempt)) = &outcome.proven else { continue };
            let Some(delivery) = held.get(&of.id) else { continue };
            let Some(step) = step(delivery, *attempt, outcome) else { continue };
            if delivery.state() != DeliveryState::Accepted {
                endings.push(proof(delivery.id, *attempt));
            }
            steps.push(step);
        }
        let id = ambient::new_id(&desk.clock);
        let batch = Batch { id: &id, actor: "grannpost", action: "deliveries.reports", now };
        store::attempt::end(session, &endings, now).await?;
        let changes = store::delivery::apply(session, &batch, steps).await?;
        crate::telemetry::count_changes(&changes);
        for change in changes {
            if let Some(delivery) = held.get_mut(&change.delivery_id) {
                delivery.state = change.to.code().to_owned();
                delivery.version = change.version;
            }
        }
    }
    Ok(())
}

/// The state a report speaks of; a delay and a hand-over to others say that the relay has it.
fn told_state(outcome: &Outcome<'_>) -> Option<DeliveryState> {
    let (_, meaning) = outcome.looked.content.as_ref()?;
    outcome.proven.as_ref()?;
    match meaning {
        Meaning::Failed { .. } => Some(DeliveryState::Undelivered),
        Meaning::Delivered => Some(DeliveryState::Delivered),
        Meaning::Delayed | Meaning::Relayed => Some(DeliveryState::Accepted),
        Meaning::Complaint | Meaning::Automatic | Meaning::Reply | Meaning::Unknown => None,
    }
}

fn receipt<'a>(outcome: &'a Outcome<'_>) -> Option<NewReceipt<'a>> {
    let (delivery, attempt) = outcome.proven.as_ref()?;
    let words = [Some(outcome.read.kind), outcome.read.verdict, outcome.read.code.as_deref()];
    Some(NewReceipt {
        delivery_id: delivery.id,
        attempt: *attempt,
        word: words.into_iter().flatten().collect::<Vec<_>>().join(" ").into(),
        gateway: crate::config::mail::RELAY,
        gateway_ref: &outcome.looked.unread.id,
        state: told_state(outcome).map(DeliveryState::code),
    })
}

/// At most one report for each delivery in a round.
fn rounds<'a, 'b>(reports: &[&'a Outcome<'b>]) -> Vec<Vec<&'a Outcome<'b>>> {
    let mut depth: HashMap<i64, usize> = HashMap::new();
    let mut rounds: Vec<Vec<&Outcome<'_>>> = Vec::new();
    for report in reports {
        let Some((delivery, _)) = &report.proven else { continue };
        let at = depth.entry(delivery.id).or_default();
        if rounds.len() <= *at {
            rounds.push(Vec::new());
        }
        rounds[*at].push(report);
        *at += 1;
    }
    rounds
}

/// Where a report moves a delivery, if anywhere.
fn step(delivery: &Locked, attempt: i64, outcome: &Outcome<'_>) -> Option<Step> {
    let to = told_state(outcome)?;
    // An earlier attempt that failed says nothing about the one under way.
    let is_earlier = to == DeliveryState::Undelivered && attempt < delivery.attempts;
    if is_earlier || !delivery.state().may_become(to) {
        return None;
    }
    let reason = (to == DeliveryState::Undelivered).then(|| reason(outcome.read.verdict));
    let mut step = Step::new(delivery.clone(), to, reason);
    step.detail = Some(outcome.read.diagnostic.clone()).filter(|detail| !detail.is_empty());
    Some(step)
}

fn reason(verdict: Option<&str>) -> &'static str {
    match verdict.and_then(Verdict::from_code) {
        Some(Verdict::Hard) => "bounce.hard",
        Some(Verdict::Soft) => "bounce.soft",
        Some(Verdict::Ours) => "bounce.ours",
        Some(Verdict::Unclear) | None => "bounce.unclear",
    }
}

fn proof(delivery_id: i64, number: i64) -> Ending {
    Ending {
        delivery_id,
        number,
        outcome: AttemptOutcome::Accepted,
        reason: Some("attempt.proven_by_report".to_owned()),
        detail: None,
        gateway_ref: None,
    }
}

/// What follows for people: an address that is not there, a complaint, an answer.
async fn follow(desk: &Desk, session: &mut Session, outcome: &Outcome<'_>) -> Result<(), ActionError> {
    let Some((mail, meaning)) = &outcome.looked.content else { return Ok(()) };
    match (meaning, &outcome.proven) {
        (Meaning::Failed { finding, .. }, Some((delivery, _))) => {
            channel_health::weigh(desk, session, delivery, finding.verdict).await
        }
        (Meaning::Complaint, Some((delivery, _))) => {
            for person in store::channel_health::recipients(session, delivery.id).await? {
                unsubscribe::end_by_complaint(desk, session, &person).await?;
            }
            Ok(())
        }
        (Meaning::Reply, _) if outcome.read.folder == "replies" => answer(desk, session, outcome, mail).await,
        _ => Ok(()),
    }
}

/// Hands a person's mail to those who answer it.
async fn answer(
    desk: &Desk,
    session: &mut Session,
    outcome: &Outcome<'_>,
    mail: &IncomingMail,
) -> Result<(), ActionError> {
    let unread = &outcome.looked.unread;
    // Who forwards a letter gives its Message-ID away: it proves the letter, and the person only together with the address.
    let is_addressee =
        |delivery: &Locked| email_address::key(&outcome.read.sender) == email_address::key(&delivery.address);
    let addressee = outcome.proven.as_ref().filter(|(delivery, _)| is_addressee(delivery));
    let subject = outcome.read.subject.trim();
    let body = without_quotes(&mail.text);
    let text = if outcome.proven.is_some() || subject.is_empty() { body } else { format!("{subject}\n{body}") };
    let incoming = Incoming {
        channel: Channel::Email,
        sender: outcome.read.sender.clone(),
        reference: unread.digest.clone(),
        text,
        sent_at: None,
        received_at: unread.received_at,
        contact_person_id: addressee.and(outcome.read.contact_person_id.clone()),
        message_id: outcome.proven.as_ref().map(|(delivery, _)| delivery.message_id.clone()),
        is_automatic: false,
        is_fetched: false,
        via_page: None,
    };
    let received = observation::receive(desk, session, &incoming).await?;
    Ok(store::inbound_mail::tie(session, &unread.id, &received.observation.id).await?)
}
