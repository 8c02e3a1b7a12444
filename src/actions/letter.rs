//! Owns writing, sending and stopping letters.
//!
//! It does not hand anything over. Invariants: an audience is frozen in the transaction that sends the letter and is never
//! empty; a letter is changed only while it is a draft, so what was sent is what stands here.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::freezing::refuse_under_way;
use super::letter_review::{self, Pass};
use super::letter_view::{self, LetterView};
use super::message::{self, Stopped, add_written, area_problems, area_rows, freeze, undo_seconds};
use super::{ActionError, Desk, FieldProblem, Result, holds_areas, require};
use crate::domain::area::AreaTree;
use crate::domain::audience::LetterAudience;
use crate::domain::coverage::{Coverage, Crowd};
use crate::domain::delivery::DeliveryState;
use crate::domain::email_address;
use crate::domain::letter::{CopyRecipientFields, Letter, LetterFields, SignatureFields};
use crate::domain::message::{MessageState, priority};
use crate::domain::operator::{Actor, Right};
use crate::store::audience::Asked;
use crate::store::letter::LetterRow;
use crate::store::message::Message;
use crate::store::{self, Session};

/// How far ahead a letter may be timed: 180 days.
const FARTHEST_AHEAD_MS: i64 = 180 * 24 * 3600 * 1000;

/// A letter as somebody wants it, not checked yet.
#[derive(Debug, Clone, Default)]
pub struct NewLetter {
    /// Head and body.
    pub fields: LetterFields,
    /// Area codes.
    pub areas: Vec<String>,
    /// When it shall go once it is sent; at once when missing.
    pub send_at: Option<Timestamp>,
}

/// What of a draft shall become different. The outer `None` leaves a field as it is, the inner empties it.
#[derive(Debug, Clone, Default)]
pub struct LetterChange {
    /// Subject.
    pub subject: Option<String>,
    /// Body, Markdown.
    pub body_markdown: Option<String>,
    /// Area codes.
    pub areas: Option<Vec<String>>,
    /// Diarienummer.
    pub registry_number: Option<Option<String>>,
    /// That there is no diarienummer.
    pub no_registry_number: Option<bool>,
    /// Saknummer.
    pub subject_code: Option<Option<String>>,
    /// Date in the head.
    pub dated: Option<Option<String>>,
    /// Who signs.
    pub signature: Option<Option<SignatureFields>>,
    /// Who gets a copy.
    pub copy_recipients: Option<Vec<CopyRecipientFields>>,
    /// When it shall go.
    pub send_at: Option<Option<Timestamp>>,
    /// The revision that the change was made upon; refused when it is another by now.
    pub expected_revision: Option<i64>,
}

/// How a letter is sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sending {
    /// How many the sender believes get it: by e-mail, or by e-mail and on paper together.
    pub expected_recipients: Option<i64>,
    /// A shorter undo window than the configured one.
    pub undo_seconds: Option<i64>,
    /// The revision that the sender has read; refused when it is another by now.
    pub expected_revision: Option<i64>,
}

/// Makes a draft.
///
/// # Errors
/// [`ActionError`]; nothing is made then.
pub async fn create(desk: &Desk, session: &mut Session, actor: &Actor, new: &NewLetter) -> Result<LetterView> {
    require(actor, Right::SendLetters)?;
    let tree = store::area::tree(session).await?;
    let (letter, areas) = check(desk, actor, &tree, new)?;
    let now = desk.now();
    let message = Message {
        id: desk.id(),
        number: store::setting::next_message_number(session).await?,
        kind: "letter".to_owned(),
        state: MessageState::Draft.code().to_owned(),
        priority: priority::LETTER,
        revision: 1,
        content_hash: content_hash(&letter, &areas),
        body: String::new(),
        numeric_sender: 0,
        audience: "{}".to_owned(),
        reach_persons: 0,
        reach_households: 0,
        follows: None,
        follow_up_kind: None,
        send_at: new.send_at.map(Timestamp::as_millisecond),
        sends_at: None,
        undo_seconds: i64::from(desk.config.letters.undo_seconds),
        expires_at: None,
        stopped_at: None,
        handed_over_at: None,
        done_at: None,
        created_by: actor.id.clone(),
        created_at: now,
        changed_at: now,
    };
    store::message::insert(session, &message).await?;
    write_draft(session, actor, &tree, (&message, &letter, &areas)).await?;
    desk.audit(session, actor, "letter.created", ("letter", &message.id), audit_detail(&message, &areas)).await?;
    letter_view::load(desk, session, &message.id).await
}

/// Changes a draft; one that awaits approval is taken back by it.
///
/// # Errors
/// [`ActionError`]; the draft is as it was then.
pub async fn revise(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    id: &str,
    change: &LetterChange,
) -> Result<LetterView> {
    require(actor, Right::SendLetters)?;
    let tree = store::area::tree(session).await?;
    let mut message = locked_draft(session, actor, &tree, id).await?;
    expect_revision(&message, change.expected_revision)?;
    let row = store::letter::get(session, id).await?.ok_or(ActionError::NotFound)?;
    let before = NewLetter {
        fields: row.fields(),
        areas: store::message::chosen_areas(session, id).await?,
        send_at: message.send_at.and_then(|at| Timestamp::from_millisecond(at).ok()),
    };
    let (letter, areas) = check(desk, actor, &tree, &changed(before, change))?;
    if let Some(send_at) = change.send_at {
        message.send_at = send_at.map(Timestamp::as_millisecond);
    }
    message.state = MessageState::Draft.code().to_owned();
    message.revision += 1;
    message.content_hash = content_hash(&letter, &areas);
    message.changed_at = desk.now();
    store::message::revise(session, &message).await?;
    write_draft(session, actor, &tree, (&message, &letter, &areas)).await?;
    desk.audit(session, actor, "letter.revised", ("letter", id), audit_detail(&message, &areas)).await?;
    letter_view::load(desk, session, id).await
}

/// Sends a draft: freezes its audience and date; hand-over begins after the undo window or at the time it was given. Where
/// the settings want a colleague's approval and `pass` is none, it is handed in for that instead. For a large audience see
/// [`super::large_letter`].
///
/// # Errors
/// [`ActionError`]; nothing is frozen then.
pub async fn send(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (id, sending): (&str, Sending),
    pass: &Pass,
) -> Result<LetterView> {
    if *pass == Pass::Own && letter_review::comes_first(desk, session, id).await? {
        return letter_review::request(desk, session, actor, (id, sending)).await;
    }
    let outgoing = check_sending(desk, session, actor, (id, sending), pass).await?;
    let asked = Asked { areas_json: &outgoing.areas_json, now: desk.now() };
    let crowd = store::audience::letter_crowd(session, asked).await?;
    let audience = crowd.letter_audience();
    expect_recipients(desk, sending.expected_recipients, audience)?;
    letter_review::require_pass(desk, pass, audience)?;
    let message = write_sent(desk, session, &outgoing, audience, None).await?;
    let coverage = Coverage::of(crowd, &outgoing.copies());
    let deliveries = store::coverage::write(session, &freeze(&message, desk.now()), &coverage).await?;
    store::settle::start_counting(session, id, DeliveryState::Queued, deliveries).await?;
    log_sent(desk, session, actor, (&message, &outgoing, audience), pass).await?;
    letter_view::load(desk, session, id).await
}

/// A draft that is about to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub message: Message,
    row: LetterRow,
    areas: Vec<String>,
    /// The areas with all below them, as a statement takes them.
    pub areas_json: String,
    undo_seconds: i64,
    copies: Vec<String>,
}

impl Outgoing {
    /// The addresses on the list of copies.
    pub(super) fn copies(&self) -> Vec<&str> {
        self.copies.iter().map(String::as_str).collect()
    }
}

/// Holds a draft and checks that it may be sent.
pub(super) async fn check_sending(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (id, sending): (&str, Sending),
    pass: &Pass,
) -> Result<Outgoing> {
    require(actor, Right::SendLetters)?;
    let tree = store::area::tree(session).await?;
    let message = locked_draft(session, actor, &tree, id).await?;
    expect_revision(&message, sending.expected_revision)?;
    letter_review::check_pass(session, actor, &message, pass).await?;
    let row = store::letter::get(session, id).await?.ok_or(ActionError::NotFound)?;
    let undo_seconds =
        undo_seconds(actor, desk.config.letters.undo_seconds, sending.undo_seconds, "letter.undo_seconds")
            .map_err(|problem| ActionError::Invalid(vec![problem]))?;
    let areas = store::message::chosen_areas(session, id).await?;
    let areas_json = area_rows(&tree, &areas);
    let copies = copy_addresses(&row);
    Ok(Outgoing { message, row, areas, areas_json, undo_seconds, copies })
}

/// Writes a draft as it is sent, with its date and times. `expires_at` is known already when its deliveries stand.
pub(super) async fn write_sent(
    desk: &Desk,
    session: &mut Session,
    outgoing: &Outgoing,
    audience: LetterAudience,
    expires_at: Option<i64>,
) -> Result<Message> {
    let now = desk.now();
    let mut message = outgoing.message.clone();
    let sends_at = message.send_at.unwrap_or(now).max(now + outgoing.undo_seconds * 1000);
    message.state = MessageState::Queued.code().to_owned();
    message.audience = letter_view::audience_json(audience).to_string();
    message.undo_seconds = outgoing.undo_seconds;
    message.sends_at = Some(sends_at);
    message.expires_at = Some(expires_at.unwrap_or(sends_at + give_up_ms(desk)));
    message.changed_at = now;
    let mut row = outgoing.row.clone();
    row.dated.get_or_insert_with(|| local_date(desk, sends_at));
    store::letter::put(session, &row).await?;
    store::message::revise(session, &message).await?;
    Ok(message)
}

/// How long a letter is tried.
pub(super) fn give_up_ms(desk: &Desk) -> i64 {
    i64::from(desk.config.letters.give_up_hours) * 3_600_000
}

/// Writes the audit row of a letter that was sent, and what let it go.
pub(super) async fn log_sent(
    desk: &Desk,
    session: &mut Session,
    actor: &Actor,
    (message, outgoing, audience): (&Message, &Outgoing, LetterAudience),
    pass: &Pass,
) -> Result<()> {
    letter_review::note_pass(desk, session, actor, message, pass).await?;
    let detail = serde_json::json!({
        "areas": outgoing.areas,
        "revision": message.revision,
        "content_hash": message.content_hash,
        "by_email": audience.by_email,
        "on_paper": audience.on_paper,
    });
    desk.audit(session, actor, pass.action(), ("letter", &message.id), detail).await
}

/// A test on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestSent {
    /// The message of kind `test`.
    pub message_id: String,
    /// Its one delivery.
    pub delivery_id: i64,
}

/// Sends a letter, as it stands, to one address: `to`, or the operator's own.
///
/// # Errors
/// [`ActionError::Invalid`] when there is no address, or none that can be used.
pub async fn test(desk: &Desk, session: &mut Session, actor: &Actor, id: &str, to: Option<&str>) -> Result<TestSent> {
    require(actor, Right::SendLetters)?;
    let tree = store::area::tree(session).await?;
    let letter = locked(session, actor, &tree, id).await?;
    let row = store::letter::get(session, id).await?.ok_or(ActionError::NotFound)?;
    let address = test_address(session, actor, to).await?;
    require_mail(desk)?;
    let now = desk.now();
    let message = Message {
        id: desk.id(),
        number: store::setting::next_message_number(session).await?,
        kind: "test".to_owned(),
        state: MessageState::Queued.code().to_owned(),
        audience: "{}".to_owned(),
        send_at: None,
        sends_at: Some(now),
        undo_seconds: 0,
        expires_at: Some(now + 3_600_000),
        reach_persons: 0,
        reach_households: 0,
        stopped_at: None,
        handed_over_at: None,
        done_at: None,
        created_by: actor.id.clone(),
        created_at: now,
        changed_at: now,
        ..letter
    };
    store::message::insert(session, &message).await?;
    store::letter::put(session, &LetterRow { message_id: message.id.clone(), ..row }).await?;
    let areas = store::message::chosen_areas(session, id).await?;
    store::message::set_areas(session, &message.id, areas.iter().map(|code| (code.as_str(), true))).await?;
    let coverage = Coverage::of(Crowd::default(), &[&address]);
    let deliveries = store::coverage::write(session, &freeze(&message, now), &coverage).await?;
    store::settle::start_counting(session, &message.id, DeliveryState::Queued, deliveries).await?;
    let delivery_id = store::delivery::page(session, &message.id, "", 0, 1).await?.first().map_or(0, |row| row.id);
    let detail = serde_json::json!({ "letter": id });
    desk.audit(session, actor, "letter.tested", ("test", &message.id), detail).await?;
    Ok(TestSent { message_id: message.id, delivery_id })
}

/// Stops what is left of a letter, paper included.
///
/// # Errors
/// [`ActionError`].
pub async fn stop(desk: &Desk, session: &mut Session, actor: &Actor, id: &str) -> Result<Stopped> {
    require(actor, Right::SendLetters)?;
    let tree = store::area::tree(session).await?;
    let message = locked(session, actor, &tree, id).await?;
    message::stop(desk, session, actor, message).await
}

/// A letter of the actor's areas, its row held; not while its audience is being frozen.
pub(super) async fn locked(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Message> {
    let message = store::message::get_locked(session, id).await?.filter(|message| message.kind == "letter");
    let message = message.ok_or(ActionError::NotFound)?;
    let areas = store::message::chosen_areas(session, id).await?;
    if !holds_areas(actor, tree, &areas) {
        return Err(ActionError::NotFound);
    }
    refuse_under_way(session, id).await?;
    Ok(message)
}

/// A letter that is written or reviewed still, its row held.
pub(super) async fn locked_draft(session: &mut Session, actor: &Actor, tree: &AreaTree, id: &str) -> Result<Message> {
    let message = locked(session, actor, tree, id).await?;
    if message.state().is_editable() {
        return Ok(message);
    }
    Err(ActionError::conflict("letter.not_a_draft", "Brevet är redan skickat eller stoppat. Skriv ett nytt."))
}

/// Refuses what was decided upon another revision than the one that stands.
pub(super) fn expect_revision(message: &Message, expected: Option<i64>) -> Result<()> {
    if expected.is_some_and(|expected| expected != message.revision) {
        let detail = format!("Brevet har ändrats sedan du öppnade det. Läs version {} först.", message.revision);
        return Err(ActionError::conflict("letter.revision_changed", detail));
    }
    Ok(())
}

/// Whom a letter to `areas` would reach now.
///
/// # Errors
/// [`ActionError`] when an area is unknown, missing or not the actor's.
pub async fn audience(desk: &Desk, session: &mut Session, actor: &Actor, areas: &[String]) -> Result<LetterAudience> {
    require(actor, Right::SendLetters)?;
    let tree = store::area::tree(session).await?;
    let problems = area_problems(&tree, areas, "letter.audience_empty");
    if !problems.is_empty() {
        return Err(ActionError::Invalid(problems));
    }
    if !holds_areas(actor, &tree, areas) {
        return Err(ActionError::Forbidden);
    }
    let codes = tree.subtree(areas.iter().map(String::as_str));
    Ok(store::audience::count_letter(session, codes.iter().map(String::as_str), desk.now()).await?)
}

fn changed(before: NewLetter, change: &LetterChange) -> NewLetter {
    let mut new = before;
    let fields = &mut new.fields;
    replace(&mut fields.subject, change.subject.as_ref());
    replace(&mut fields.body_markdown, change.body_markdown.as_ref());
    replace(&mut fields.registry_number, change.registry_number.as_ref());
    replace(&mut fields.no_registry_number, change.no_registry_number.as_ref());
    replace(&mut fields.subject_code, change.subject_code.as_ref());
    replace(&mut fields.dated, change.dated.as_ref());
    replace(&mut fields.signature, change.signature.as_ref());
    replace(&mut fields.copy_recipients, change.copy_recipients.as_ref());
    replace(&mut new.areas, change.areas.as_ref());
    // A time that has passed since it was set is no error of this change.
    new.send_at = change.send_at.flatten();
    new
}

fn replace<T: Clone>(field: &mut T, with: Option<&T>) {
    if let Some(with) = with {
        field.clone_from(with);
    }
}

/// Checks every field and reports all that is wrong at once.
fn check(desk: &Desk, actor: &Actor, tree: &AreaTree, new: &NewLetter) -> Result<(Letter, Vec<String>)> {
    let mut problems = area_problems(tree, &new.areas, "letter.audience_empty");
    let letter = Letter::parse(&new.fields).map_err(|errors| {
        problems.extend(errors.into_iter().map(|error| FieldProblem::new(error.field, error.code, error.detail)));
    });
    let send_at = new.send_at.map(Timestamp::as_millisecond);
    if send_at.is_some_and(|at| at <= desk.now() || at > desk.now() + FARTHEST_AHEAD_MS) {
        problems.push(FieldProblem::new("send_at", "letter.send_at", "Välj en tid framåt, högst 180 dagar."));
    }
    let Ok(letter) = letter else { return Err(ActionError::Invalid(problems)) };
    if !problems.is_empty() {
        return Err(ActionError::Invalid(problems));
    }
    if !holds_areas(actor, tree, &new.areas) {
        return Err(ActionError::Forbidden);
    }
    let areas: BTreeSet<String> = new.areas.iter().cloned().collect();
    Ok((letter, areas.into_iter().collect()))
}

/// Writes what belongs to one revision of a draft.
async fn write_draft(
    session: &mut Session,
    actor: &Actor,
    tree: &AreaTree,
    (message, letter, areas): (&Message, &Letter, &[String]),
) -> Result<()> {
    store::letter::put(session, &LetterRow::new(&message.id, letter)).await?;
    let codes = tree.subtree(areas.iter().map(String::as_str));
    let rows = codes.iter().map(|code| (code.as_str(), areas.contains(code)));
    store::message::set_areas(session, &message.id, rows).await?;
    add_written(session, actor, message).await
}

pub(super) fn expect_recipients(desk: &Desk, expected: Option<i64>, audience: LetterAudience) -> Result<()> {
    let LetterAudience { by_email, on_paper, .. } = audience;
    if expected.is_some_and(|expected| expected != by_email && expected != by_email + on_paper) {
        let detail = format!(
            "{by_email} skulle få brevet med e-post och {on_paper} på papper. Kontrollera områdena och skicka igen."
        );
        return Err(ActionError::conflict("letter.audience_changed", detail));
    }
    if by_email + on_paper == 0 {
        return Err(ActionError::field("areas", "letter.audience_empty", "Ingen i de valda områdena kan få brev."));
    }
    if by_email > 0 { require_mail(desk) } else { Ok(()) }
}

fn require_mail(desk: &Desk) -> Result<()> {
    if desk.config.mail.url.is_empty() {
        return Err(ActionError::conflict(
            "letter.no_mail",
            "E-post är inte inställd (mail.url), så brev kan inte skickas.",
        ));
    }
    Ok(())
}

/// The addresses on the list of copies, each once without regard to case.
fn copy_addresses(row: &LetterRow) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let copies = row.fields().copy_recipients;
    copies.into_iter().map(|copy| copy.email).filter(|email| seen.insert(email_address::key(email))).collect()
}

async fn test_address(session: &mut Session, actor: &Actor, to: Option<&str>) -> Result<String> {
    let own = match (to, actor.id.strip_prefix("operator:")) {
        (None, Some(id)) => store::operator::by_id_or_email(session, id).await?.map(|operator| operator.email),
        _ => None,
    };
    let Some(address) = to.map(str::to_owned).or(own) else {
        return Err(ActionError::field("email", "field.required", "Ange adressen som provet ska gå till."));
    };
    match email_address::EmailAddress::parse(&address) {
        Ok(address) => Ok(address.as_str().to_owned()),
        Err(error) => Err(ActionError::field("email", error.code(), error.detail())),
    }
}

fn local_date(desk: &Desk, at: i64) -> String {
    let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(desk.config.server.zone()).date().to_string()
}

/// Digest of everything a reader sees and of the areas.
fn content_hash(letter: &Letter, areas: &[String]) -> String {
    let row = LetterRow::new("", letter);
    let content = serde_json::json!([
        row.subject,
        row.body_markdown,
        row.registry_number,
        row.subject_code,
        row.dated,
        row.signature_name,
        row.signature_title,
        row.copy_recipients,
        areas,
    ])
    .to_string();
    super::message::content_hash(&content)
}

fn audit_detail(message: &Message, areas: &[String]) -> serde_json::Value {
    serde_json::json!({ "areas": areas, "revision": message.revision, "content_hash": message.content_hash })
}
