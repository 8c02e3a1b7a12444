//! Owns the observation table: what people have answered, and what has become of it.
//!
//! What we wrote back is in `reply`. Invariant: an answer that a provider brings twice is one row.

use super::{Result, Session, json};

/// An answer as stored, with the kind of the message it belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Observation {
    /// UUIDv7.
    pub id: String,
    /// `sms` or `email`.
    pub channel: String,
    /// The provider's id of it.
    pub reference: String,
    /// Number or address it came from; a pseudonym once its person is erased.
    pub sender: String,
    /// Who that is, if known.
    pub contact_person_id: Option<String>,
    /// The area it counts for; `None` for an unknown sender.
    pub area_code: Option<String>,
    /// The alert or letter it belongs to.
    pub message_id: Option<String>,
    /// `alert`, `letter` or `test`: what that is.
    pub message_kind: Option<String>,
    /// The other alert that fitted.
    pub alternative_id: Option<String>,
    /// Code of an `IncomingKind`.
    pub kind: String,
    /// The first part, for a part of a long SMS.
    pub part_of: Option<String>,
    /// What was written.
    pub text: String,
    /// Code of an `ObservationState`.
    pub state: String,
    /// Who has taken it, an actor's id.
    pub owner: Option<String>,
    /// Where something was seen.
    pub place: String,
    /// When, Unix ms.
    pub seen_at: Option<i64>,
    /// 1 when it holds words that mean now.
    pub is_urgent: i64,
    /// When somebody first took it, Unix ms.
    pub taken_at: Option<i64>,
    /// When the duty number was told, Unix ms.
    pub duty_told_at: Option<i64>,
    /// When it should be answered at the latest, Unix ms.
    pub answer_by_at: Option<i64>,
    /// When a person first answered, Unix ms.
    pub answered_at: Option<i64>,
    /// When the sender heard what came of it, Unix ms.
    pub fed_back_at: Option<i64>,
    /// When it was put away, Unix ms.
    pub archived_at: Option<i64>,
    /// When it was sent, by the provider's clock, Unix ms.
    pub sent_at: Option<i64>,
    /// When it came, Unix ms.
    pub received_at: i64,
    /// When anything of it last changed, Unix ms.
    pub changed_at: i64,
    /// 1 when it was left at the contact person's own page; the channel then says where it is answered.
    pub via_page: i64,
}

impl Observation {
    /// How it came: `sms`, `email` or `page`.
    #[must_use]
    pub fn came_by(&self) -> &str {
        if self.via_page == 1 { "page" } else { &self.channel }
    }
}

macro_rules! select {
    ($rest:expr) => {
        concat!(
            "SELECT o.*, m.kind AS message_kind
 FROM observation o
 LEFT JOIN message m ON m.id = o.message_id
 ",
            $rest
        )
    };
}

const INSERT: &str =
    "INSERT INTO observation (id, channel, reference, sender, contact_person_id, area_code, message_id,
   alternative_id, kind, part_of, text, state, is_urgent, answer_by_at, sent_at, received_at, changed_at, place, via_page)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
 ON CONFLICT (channel, reference) DO NOTHING";

/// Adds an answer; `false` when the provider has brought it before.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(session: &mut Session, observation: &Observation) -> Result<bool> {
    let o = observation.clone();
    let statement = session
        .sql(INSERT)
        .bind(o.id)
        .bind(o.channel)
        .bind(o.reference)
        .bind(o.sender)
        .bind(o.contact_person_id)
        .bind(o.area_code)
        .bind(o.message_id)
        .bind(o.alternative_id)
        .bind(o.kind)
        .bind(o.part_of)
        .bind(o.text)
        .bind(o.state)
        .bind(o.is_urgent)
        .bind(o.answer_by_at)
        .bind(o.sent_at)
        .bind(o.received_at)
        .bind(o.changed_at)
        .bind(o.place)
        .bind(o.via_page);
    Ok(session.execute(statement).await? == 1)
}

const GET: &str = select!("WHERE o.id = $1");

/// The answer with this id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: &str) -> Result<Option<Observation>> {
    session.one(session.sql(GET).bind(id.to_owned())).await
}

const LOCK: &str = "SELECT id
 FROM observation
 WHERE id = $1
 {for update}";

/// The answer with this id, its row held until the transaction ends.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get_locked(session: &mut Session, id: &str) -> Result<Option<Observation>> {
    session.rows(session.sql(LOCK).bind(id.to_owned())).await?;
    get(session, id).await
}

const BY_REFERENCE: &str = select!("WHERE o.channel = $1 AND o.reference = $2");

/// The answer that the provider knows by this id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn by_reference(
    session: &mut Session,
    channel: &'static str,
    reference: &str,
) -> Result<Option<Observation>> {
    session.one(session.sql(BY_REFERENCE).bind(channel).bind(reference.to_owned())).await
}

const UPDATE: &str = "UPDATE observation
 SET contact_person_id = $2, area_code = $3, message_id = $4, alternative_id = $5, state = $6, owner = $7, place = $8,
   seen_at = $9, taken_at = $10, duty_told_at = $11, answered_at = $12, fed_back_at = $13, archived_at = $14, changed_at = $15,
   is_urgent = $16, kind = $17
 WHERE id = $1";

/// Writes what may change of an answer; text, sender and times of arrival never do.
///
/// # Errors
/// [`super::StoreError`].
pub async fn update(session: &mut Session, observation: &Observation) -> Result<()> {
    let o = observation.clone();
    let statement = session
        .sql(UPDATE)
        .bind(o.id)
        .bind(o.contact_person_id)
        .bind(o.area_code)
        .bind(o.message_id)
        .bind(o.alternative_id)
        .bind(o.state)
        .bind(o.owner)
        .bind(o.place)
        .bind(o.seen_at)
        .bind(o.taken_at)
        .bind(o.duty_told_at)
        .bind(o.answered_at)
        .bind(o.fed_back_at)
        .bind(o.archived_at)
        .bind(o.changed_at)
        .bind(o.is_urgent)
        .bind(o.kind);
    session.execute(statement).await.map(drop)
}

const OF_SENDER: &str = select!(
    "WHERE o.sender = $1
   AND o.channel = $2
   AND o.received_at >= $3
   AND o.received_at <= $4
 ORDER BY o.received_at, o.id
 LIMIT 50"
);

/// What a number or address sent between two times (Unix ms), oldest first, at most 50.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_sender(
    session: &mut Session,
    (channel, sender): (&'static str, &str),
    (from, until): (i64, i64),
) -> Result<Vec<Observation>> {
    let statement = session.sql(OF_SENDER).bind(sender.to_owned()).bind(channel).bind(from).bind(until);
    session.list(statement).await
}

const PARTS: &str = select!(
    "WHERE o.part_of IN (SELECT v.id FROM {rows $1: id TEXT})
 ORDER BY COALESCE(o.sent_at, o.received_at), o.received_at, o.id"
);

/// The further parts of these, in the order they were sent.
///
/// # Errors
/// [`super::StoreError`].
pub async fn parts(session: &mut Session, ids: &[&str]) -> Result<Vec<Observation>> {
    session.list(session.sql(PARTS).bind(ids_json(ids))).await
}

const THREAD: &str = select!(
    "WHERE o.part_of IS NULL
   AND (o.contact_person_id = $1 OR (o.sender = $2 AND o.channel = $3))
   AND ($1 <> '' OR o.contact_person_id IS NULL)
 ORDER BY o.received_at DESC, o.id DESC
 LIMIT $4"
);

/// What the same person, or the same unknown sender, has sent, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn thread(session: &mut Session, of: &Observation, limit: i64) -> Result<Vec<Observation>> {
    let statement = session
        .sql(THREAD)
        .bind(of.contact_person_id.clone().unwrap_or_default())
        .bind(of.sender.clone())
        .bind(of.channel.clone())
        .bind(limit);
    session.list(statement).await
}

/// Which answers a list shows; each part empty or `None` = all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Codes of areas as JSON rows; empty = all, unknown senders among them.
    pub areas_json: String,
    /// Code of a kind.
    pub kind: String,
    /// Code of a state.
    pub state: String,
    /// A tag.
    pub tag: String,
    /// `sms` or `email`.
    pub channel: String,
    /// The alert or letter.
    pub message_id: String,
    /// Who has taken it.
    pub owner: String,
    /// The sender.
    pub contact_person_id: String,
    /// Only those that no person has answered.
    pub unanswered: bool,
    /// Only urgent ones.
    pub urgent: bool,
    /// Only those of senders nobody knows.
    pub unknown: bool,
    /// Whether those put away are shown, or only they (`Some(true)`).
    pub archived: Option<bool>,
    /// After this id; empty = from the newest.
    pub after: String,
}

const PAGE: &str = select!(
    "WHERE o.part_of IS NULL
   AND o.id < $1
   AND ($15 = 1 OR o.area_code IN (SELECT v.code FROM {rows $2: code TEXT}))
   AND ($3 = '' OR o.kind = $3)
   AND ($4 = '' OR o.state = $4)
   AND ($5 = '' OR EXISTS (SELECT 1 FROM observation_tag t WHERE t.observation_id = o.id AND t.tag = $5))
   AND ($6 = '' OR CASE WHEN o.via_page = 1 THEN 'page' ELSE o.channel END = $6)
   AND ($7 = '' OR o.message_id = $7)
   AND ($8 = '' OR o.owner = $8)
   AND ($9 = '' OR o.contact_person_id = $9)
   AND ($10 = 0 OR (o.answered_at IS NULL AND o.kind = 'observation'))
   AND ($11 = 0 OR o.is_urgent = 1)
   AND ($12 = 0 OR o.contact_person_id IS NULL)
   AND ($13 = 2 OR ($13 = 1 AND o.archived_at IS NOT NULL) OR ($13 = 0 AND o.archived_at IS NULL))
 ORDER BY o.id DESC
 LIMIT $14"
);

/// A page of answers, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn page(session: &mut Session, filter: &Filter, limit: i64) -> Result<Vec<Observation>> {
    let f = filter.clone();
    let is_everywhere = f.areas_json.is_empty();
    let statement = session
        .sql(PAGE)
        .bind(if f.after.is_empty() { "g".to_owned() } else { f.after })
        .bind(if is_everywhere { "[]".to_owned() } else { f.areas_json })
        .bind(f.kind)
        .bind(f.state)
        .bind(f.tag)
        .bind(f.channel)
        .bind(f.message_id)
        .bind(f.owner)
        .bind(f.contact_person_id)
        .bind(i64::from(f.unanswered))
        .bind(i64::from(f.urgent))
        .bind(i64::from(f.unknown))
        .bind(match f.archived {
            None => 2_i64,
            Some(archived) => i64::from(archived),
        })
        .bind(limit)
        .bind(i64::from(is_everywhere));
    session.list(statement).await
}

const CHANGED: &str = select!(
    "WHERE o.changed_at >= $1
   AND o.part_of IS NULL
 ORDER BY o.changed_at, o.id
 LIMIT $2"
);

/// Answers that changed at or after `since` (Unix ms), in the order they changed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn changed_since(session: &mut Session, since: i64, limit: i64) -> Result<Vec<Observation>> {
    session.list(session.sql(CHANGED).bind(since).bind(limit)).await
}

const UNTAKEN: &str = select!(
    "WHERE o.is_urgent = 1
   AND o.taken_at IS NULL
   AND o.archived_at IS NULL
   AND o.received_at <= $1
   AND o.received_at >= $2
   AND ($3 = 0 OR o.duty_told_at IS NULL)
 ORDER BY o.received_at, o.id
 LIMIT $4"
);

/// Urgent answers that nobody has taken, which came between `since` and `until` (Unix ms), oldest first; only those of which
/// the duty number was not told when `untold`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn untaken(
    session: &mut Session,
    (since, until): (i64, i64),
    untold: bool,
    limit: i64,
) -> Result<Vec<Observation>> {
    let statement = session.sql(UNTAKEN).bind(until).bind(since).bind(i64::from(untold)).bind(limit);
    session.list(statement).await
}

#[derive(serde::Serialize)]
struct IdRow<'a> {
    id: &'a str,
}

pub(super) fn ids_json(ids: &[&str]) -> String {
    json(&ids.iter().map(|id| IdRow { id }).collect::<Vec<_>>())
}

/// An alert that an answer may belong to.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OpenAlert {
    /// Its message.
    pub id: String,
    /// The one it follows.
    pub follows: Option<String>,
    /// `observation` or `information`.
    pub kind: String,
    /// `households` or `contact_person_only`.
    pub spread: String,
    /// When it was made, Unix ms.
    pub created_at: i64,
    /// When it ends or ended, Unix ms.
    pub expires_at: i64,
    /// 1 when the sender's phone may have it.
    pub has_it: i64,
}

const OPEN_TO_PERSON: &str = "SELECT m.id, m.follows, a.kind, a.spread, m.created_at, m.expires_at,
   CAST(CASE WHEN d.state IN ('sending', 'accepted', 'in_doubt', 'delivered', 'unconfirmed') THEN 1 ELSE 0 END AS BIGINT) AS has_it
 FROM (SELECT message_id, delivery_id
   FROM message_recipient
   WHERE contact_person_id = $1
     AND channel = 'sms'
   UNION
   SELECT message_id, delivery_id
   FROM stand_in
   WHERE contact_person_id = $1) r
 JOIN message m ON m.id = r.message_id
 JOIN alert a ON a.message_id = m.id
 LEFT JOIN delivery d ON d.id = r.delivery_id
 WHERE m.created_at <= $2
   AND m.expires_at >= $3
   AND m.state NOT IN ('draft', 'awaiting_approval')
 ORDER BY m.id DESC
 LIMIT 20";

const OPEN_IN_AREA: &str =
    "SELECT m.id, m.follows, a.kind, a.spread, m.created_at, m.expires_at, CAST(0 AS BIGINT) AS has_it
 FROM message_area g
 JOIN message m ON m.id = g.message_id
 JOIN alert a ON a.message_id = m.id
 WHERE g.area_code = $1
   AND m.created_at <= $2
   AND m.expires_at >= $3
   AND m.state NOT IN ('draft', 'awaiting_approval')
 ORDER BY m.id DESC
 LIMIT 20";

/// The alerts that went to a person, or to the person's area, and at `at` had not ended longer ago than at `since` (Unix ms).
///
/// # Errors
/// [`super::StoreError`].
pub async fn open_alerts(
    session: &mut Session,
    (contact_person_id, area_code): (&str, &str),
    (at, since): (i64, i64),
) -> Result<Vec<OpenAlert>> {
    let statement = session.sql(OPEN_TO_PERSON).bind(contact_person_id.to_owned()).bind(at).bind(since);
    let mut found: Vec<OpenAlert> = session.list(statement).await?;
    let statement = session.sql(OPEN_IN_AREA).bind(area_code.to_owned()).bind(at).bind(since);
    for alert in session.list::<OpenAlert>(statement).await? {
        if found.iter().all(|other| other.id != alert.id) {
            found.push(alert);
        }
    }
    Ok(found)
}

/// What is known of who sent an answer.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Sender {
    /// The person.
    pub id: String,
    /// Name, or what an erased person is called.
    pub name: String,
    /// Households behind the person.
    pub households: i64,
    /// 1 for a protected identity.
    pub protected: i64,
    /// When erased, Unix ms.
    pub erased_at: Option<i64>,
}

const SENDERS: &str = "SELECT p.id, p.name, p.households, p.protected, p.erased_at
 FROM contact_person p
 WHERE p.id IN (SELECT v.id FROM {rows $1: id TEXT})";

/// The persons with these ids.
///
/// # Errors
/// [`super::StoreError`].
pub async fn senders(session: &mut Session, ids: &[&str]) -> Result<Vec<Sender>> {
    session.list(session.sql(SENDERS).bind(ids_json(ids))).await
}

const FIGURES: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS unanswered,
   CAST(COALESCE(SUM(CASE WHEN o.answer_by_at <= $1 THEN 1 ELSE 0 END), 0) AS BIGINT) AS overdue
 FROM observation o
 WHERE o.kind = 'observation'
   AND o.part_of IS NULL
   AND o.answered_at IS NULL
   AND o.archived_at IS NULL
   AND ($3 = 1 OR o.area_code IN (SELECT v.code FROM {rows $2: code TEXT}))";

const WAITS: &str = "SELECT o.answered_at - o.received_at AS waited
 FROM observation o
 WHERE o.kind = 'observation'
   AND o.part_of IS NULL
   AND o.answered_at IS NOT NULL
   AND o.received_at >= $1
   AND ($3 = 1 OR o.area_code IN (SELECT v.code FROM {rows $2: code TEXT}))
 ORDER BY waited
 LIMIT 100000";

/// How the inbox stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Observations that no person has answered.
    pub unanswered: i64,
    /// Of these, those past their date.
    pub overdue: i64,
    /// Median time to the first answer, ms; `None` without any.
    pub median_wait_ms: Option<i64>,
}

/// How the inbox of these areas (JSON rows; empty = all, unknown senders among them) stands at `now`; the median is over what
/// came since `since`, Unix ms, and not looked for when that is not before `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn figures(session: &mut Session, areas_json: &str, (now, since): (i64, i64)) -> Result<Figures> {
    let everywhere = i64::from(areas_json.is_empty());
    let areas = if areas_json.is_empty() { "[]" } else { areas_json };
    let statement = session.sql(FIGURES).bind(now).bind(areas.to_owned()).bind(everywhere);
    let (unanswered, overdue) = session.one(statement).await?.expect("an aggregate returns a row");
    if since >= now {
        return Ok(Figures { unanswered, overdue, median_wait_ms: None });
    }
    let statement = session.sql(WAITS).bind(since).bind(areas.to_owned()).bind(everywhere);
    let waits: Vec<(i64,)> = session.list(statement).await?;
    let median_wait_ms = waits.get(waits.len() / 2).map(|(wait,)| *wait);
    Ok(Figures { unanswered, overdue, median_wait_ms })
}

const PSEUDONYMISE: &str = "UPDATE observation
 SET sender = 'erased-' || contact_person_id
 WHERE contact_person_id = $1";

const EMPTY_RAW: &str = "UPDATE inbound_sms
 SET raw = ''
 WHERE observation_id IN (SELECT o.id FROM observation o WHERE o.contact_person_id = $1)";

const EMPTY_REPLIES: &str = "UPDATE delivery
 SET address = 'erased-' || CAST(id AS TEXT), detail = NULL
 WHERE id IN (SELECT r.delivery_id FROM reply r WHERE r.contact_person_id = $1)";

/// Takes a person's number and address out of what they have sent and what was written back to them; texts and states stay.
///
/// # Errors
/// [`super::StoreError`].
pub async fn pseudonymise(session: &mut Session, contact_person_id: &str) -> Result<()> {
    for statement in [PSEUDONYMISE, EMPTY_RAW, EMPTY_REPLIES] {
        session.execute(session.sql(statement).bind(contact_person_id.to_owned())).await?;
    }
    Ok(())
}

const MOVE_OBSERVATIONS: &str = "UPDATE observation
 SET contact_person_id = $2
 WHERE contact_person_id = $1";

const MOVE_REPLIES: &str = "UPDATE reply
 SET contact_person_id = $2
 WHERE contact_person_id = $1";

const MOVE_SPREAD: &str = "UPDATE spread_confirmation
 SET contact_person_id = $2
 WHERE contact_person_id = $1
   AND NOT EXISTS (SELECT 1 FROM spread_confirmation s WHERE s.message_id = spread_confirmation.message_id
     AND s.contact_person_id = $2)";

/// Gives what one person has sent to another: both records are of the same person.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hand_over(session: &mut Session, from: &str, to: &str) -> Result<()> {
    for statement in [MOVE_OBSERVATIONS, MOVE_REPLIES, MOVE_SPREAD] {
        session.execute(session.sql(statement).bind(from.to_owned()).bind(to.to_owned())).await?;
    }
    Ok(())
}
