//! Owns the page of one alert: waiting to be undone or reviewed, on its way, done; and the part of it that changes.
//!
//! It computes nothing that is not shown; the figures come from `actions::alert_figures`. Invariants: the age of the figures
//! is always visible, and the page never says done before every delivery is final.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::actor_names::ActorNames;
use super::alert_answers::Answers;
use super::alert_areas::in_words;
use super::alert_effect::{Phone, phone};
use super::alert_list::state_words;
use super::form::{Faults, SignedForm};
use super::frame::{Frame, show};
use super::menu::Section;
use super::time::{Wall, number};
use super::visit::SignedIn;
use crate::actions::alert_figures::{self, AlertFigures};
use crate::actions::delivery::{self, InDoubtDecision};
use crate::actions::{ActionError, alert, alert_email, channel_health, require};
use crate::domain::area::AreaTree;
use crate::domain::delivery::DeliveryState as S;
use crate::domain::message::{Counts, FollowUpKind, MessageState};
use crate::domain::operator::Right;
use crate::domain::sms_text::SmsText;
use crate::store;
use crate::store::message::Message;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::transact::again_when_busy;

/// Width of the bar in its own units.
pub(super) const BAR: i64 = 1_000;

/// The routes.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/alerts/{id}", get(look))
        .route("/alerts/{id}/live", get(live))
        .route("/alerts/{id}/stop", post(stop))
        .route("/alerts/{id}/in-doubt", post(in_doubt))
        .route("/alerts/{id}/email", post(email))
        .route("/alerts/{id}/email/stop", post(stop_email))
        .route("/alerts/{id}/doubt-numbers", post(doubt_numbers))
}

/// A part of the bar.
#[derive(Debug)]
pub struct BarPart {
    /// For style.
    pub code: &'static str,
    /// What it is.
    pub name: &'static str,
    /// How many, in words.
    pub count: String,
    /// Where it begins in the bar.
    pub x: i64,
    /// How wide it is.
    pub width: i64,
}

/// Deliveries that ended alike.
#[derive(Debug)]
pub struct EndingShown {
    /// Why.
    pub words: &'static str,
    /// What may be done.
    pub advice: &'static str,
    /// How many, in words.
    pub count: String,
    /// Households behind them, in words.
    pub households: String,
}

/// Something that happened, or will.
#[derive(Debug)]
pub struct Moment {
    /// When.
    pub at: String,
    /// What.
    pub words: String,
    /// A page about it.
    pub href: Option<String>,
}

/// A colleague's review, as far as it has come.
#[derive(Debug)]
pub struct ReviewShown {
    /// Which revision.
    pub revision: i64,
    /// Who wrote it.
    pub written_by: String,
    /// Whether that is who looks.
    pub is_own: bool,
    /// Whether who looks may approve and return.
    pub may_review: bool,
}

/// One alert in words.
#[derive(Debug)]
pub struct Live {
    /// Its id.
    pub id: String,
    /// Its state's code.
    pub state: &'static str,
    /// For the pill.
    pub pill: (&'static str, &'static str),
    /// What is the case, in a heading.
    pub heading: String,
    /// One sentence to be read aloud.
    pub sentence: String,
    /// How much is delivered, 0 to 100.
    pub percent: i64,
    /// Whether anything can still change.
    pub is_open: bool,
    /// Where it goes, in words.
    pub areas: String,
    /// Recipients, in words.
    pub recipients: String,
    /// When hand-over begins while it can be undone, Unix ms.
    pub leaves_at: Option<i64>,
    /// Seconds until then.
    pub leaves_in: i64,
    /// Whether that is long from now, as somebody wanted.
    pub is_timed: bool,
    /// The bar.
    pub bar: Vec<BarPart>,
    /// Persons and households reached, in words.
    pub reached: (String, String),
    /// Households and persons by whom it was passed on, in words, where it may be.
    pub spread: Option<(String, String)>,
    /// How many have not said that they passed it on, in words.
    pub silent: Option<String>,
    /// Pace and time left.
    pub pace: Option<String>,
    /// How many have not gone, in words.
    pub waiting: String,
    /// Whether a stop changes anything and who looks may.
    pub may_stop: bool,
    /// What a stop did.
    pub stopped: Option<String>,
    /// Whether who looks may send more.
    pub may_follow: bool,
    /// Whether who looks may send alerts at all.
    pub may_send: bool,
    /// How many are in doubt, in words.
    pub in_doubt: Option<String>,
    /// What did not arrive, by reason.
    pub endings: Vec<EndingShown>,
    /// Whether a call list would hold anybody and who looks may see it.
    pub may_call: bool,
    /// How many can be written to instead, in words, when who looks may.
    pub by_email: Option<String>,
    /// After how long that happens without anybody asking, in words.
    pub by_itself: Option<String>,
    /// How many e-mails instead have not gone, in words, when who looks may stop them.
    pub emails_waiting: Option<String>,
    /// How many numbers it did not arrive at and can be marked in the register, in words, when who looks may.
    pub doubtable: Option<String>,
    /// Areas in which nobody was reached.
    pub unreached: Vec<String>,
    /// When what did not arrive was counted, where that is a while ago.
    pub counted_at: Option<String>,
    /// What happened.
    pub moments: Vec<Moment>,
    /// A review under way.
    pub review: Option<ReviewShown>,
    /// Why it was returned.
    pub returned: Option<String>,
    /// It ended without a word to those who have it.
    pub has_run_out: bool,
    /// When these figures were looked up, Unix ms, and in words.
    pub looked_at: (i64, String),
}

#[derive(Template)]
#[template(path = "pages/alert.html")]
struct AlertPage {
    frame: Frame,
    faults: Faults,
    live: Live,
    phone: Phone,
    is_drill: bool,
    first: Option<String>,
    answers: Answers,
}

#[derive(Template)]
#[template(path = "pages/alert_live.html")]
struct LivePart {
    frame: Frame,
    faults: Faults,
    live: Live,
}

async fn look(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    page(&web, (&headers, &who), &id, Faults::default()).await
}

/// The page of an alert, with what is wrong with a form on it.
///
/// # Errors
/// [`Problem`].
pub async fn page(
    web: &Web,
    (headers, who): (&HeaderMap, &SignedIn),
    id: &str,
    faults: Faults,
) -> Result<Response, Problem> {
    let (frame, live, figures) = found(web, headers, who, id).await?;
    let is_drill = figures.view.alert.drill == 1;
    let sms = SmsText::parse(&figures.view.message.body).unwrap_or_default();
    let answers = Answers::load(web, who, id, &frame.wall).await?;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = AlertPage {
        frame: frame.as_drill(is_drill).with_faults(!faults.is_empty()),
        faults,
        live,
        phone: phone(&sms),
        is_drill,
        first: figures.first.map(|first| first.id),
        answers,
    };
    show(status, &page)
}

async fn live(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: SignedIn,
) -> Result<Response, Problem> {
    let (frame, live, _) = found(&web, &headers, &who, &id).await?;
    show(StatusCode::OK, &LivePart { frame, faults: Faults::default(), live })
}

async fn found(
    web: &Web,
    headers: &HeaderMap,
    who: &SignedIn,
    id: &str,
) -> Result<(Frame, Live, AlertFigures), Problem> {
    let mut session = web.desk.store.read().await?;
    let figures = alert_figures::get(&web.desk, &mut session, who.actor(), id).await?;
    let tree = store::area::tree(&mut session).await?;
    let names = ActorNames::load(&mut session).await?;
    drop(session);
    let frame = Frame::of(web, headers, who, (Section::Alerts, "Sms-utskick")).await;
    let live = Live::of(&figures, (&tree, &names), &frame, who);
    Ok((frame, live, figures))
}

async fn stop(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let mut session = web.desk.store.begin().await?;
    alert::stop(&web.desk, &mut session, form.who.actor(), &id).await?;
    session.commit().await?;
    web.desk.wakeup.ring();
    Ok(Redirect::to(&format!("/alerts/{id}")).into_response())
}

async fn in_doubt(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let actor = form.who.actor();
    require(actor, Right::SendAlerts)?;
    let decision = InDoubtDecision::from_code(form.fields.text("as"))
        .ok_or_else(|| Problem::field("as", "field.invalid", "Välj att skicka igen eller att låta bli."))?;
    let mut session = web.desk.store.begin().await?;
    delivery::resolve_all(&web.desk, &mut session, actor, &id, decision).await?;
    session.commit().await?;
    web.desk.wakeup.ring();
    Ok(Redirect::to(&format!("/alerts/{id}")).into_response())
}

/// The alert by e-mail to those whose phone surely has nothing. A second click finds nobody left.
async fn email(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    let sent = again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        let sent = alert_email::send(&web.desk, &mut session, form.who.actor(), &id).await;
        if sent.is_ok() {
            session.commit().await?;
        }
        sent
    })?;
    match sent {
        Ok(_) | Err(ActionError::Conflict { code: "alert.nobody_by_email", .. }) => {
            web.desk.wakeup.ring();
            Ok(Redirect::to(&format!("/alerts/{id}")).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn stop_email(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        alert_email::stop(&web.desk, &mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to(&format!("/alerts/{id}")).into_response())
}

/// Marks in the register the numbers that the alert did not arrive at. A second click finds none left.
async fn doubt_numbers(State(web): State<Web>, Path(id): Path<String>, form: SignedForm) -> Result<Response, Problem> {
    again_when_busy!({
        let mut session = web.desk.store.begin().await?;
        channel_health::doubt_mobiles(&web.desk, &mut session, form.who.actor(), &id).await?;
        session.commit().await?;
    })?;
    Ok(Redirect::to(&format!("/alerts/{id}")).into_response())
}

impl Live {
    /// The alert with these figures, as `who` may see it.
    #[must_use]
    pub fn of(figures: &AlertFigures, (tree, names): (&AreaTree, &ActorNames), frame: &Frame, who: &SignedIn) -> Self {
        let (view, wall, now) = (&figures.view, &frame.wall, frame.now_ms);
        let (message, counts) = (&view.message, &view.counts);
        let role = who.actor().role;
        let state = message.state();
        let may_send = role.may(Right::SendAlerts);
        let may_spread = view.alert.spread == "households";
        let leaves_at = message.sends_at.filter(|at| *at > now && state == MessageState::Queued);
        let may_have_it =
            S::ALL.into_iter().filter(|one| one.may_have_arrived()).map(|one| counts.get(one)).sum::<i64>();
        let is_closed = figures.following.iter().any(|one| one.follow_up_kind.as_deref() == Some("all_clear"));
        let closes = message.follow_up_kind.as_deref() == Some("all_clear");
        let has_expired = message.expires_at.is_some_and(|at| at <= now);
        let handed_over = counts.total() - counts.waiting();
        let unreached = figures.slow.unreached_areas.iter().filter(|_| state != MessageState::Queued);
        Self {
            id: message.id.clone(),
            state: state.code(),
            pill: state_words(state),
            heading: heading(message, counts, wall),
            sentence: sentence(counts, state),
            percent: share(counts.get(S::Delivered), counts.total(), 100),
            is_open: counts.open() > 0 && state != MessageState::Draft,
            areas: in_words(tree, &view.areas),
            recipients: number(counts.total()),
            leaves_in: leaves_at.map_or(0, |at| (at - now + 999) / 1000),
            is_timed: leaves_at.is_some_and(|at| at - now > message.undo_seconds.max(60) * 1000),
            leaves_at,
            bar: bar(counts),
            reached: (number(message.reach_persons), number(message.reach_households)),
            spread: may_spread
                .then(|| (number(view.spread_reach.households), number(view.spread_reach.contact_persons))),
            silent: Some(view.silent).filter(|silent| may_spread && *silent > 0 && may_send).map(number),
            pace: pace(message, counts, now),
            waiting: number(counts.waiting()),
            may_stop: may_send && state.can_be_stopped(),
            stopped: (state == MessageState::Stopped).then(|| {
                let handed_over = handed_over - counts.get(S::Stopped);
                format!(
                    "{} stoppades. {} var redan lämnade till sms-tjänsten.",
                    number(counts.get(S::Stopped)),
                    number(handed_over)
                )
            }),
            may_follow: may_send && may_have_it > 0,
            may_send,
            in_doubt: Some(counts.get(S::InDoubt)).filter(|n| *n > 0).map(number),
            endings: endings(figures),
            may_call: role.may(Right::ReadDeliveries) && role.may(Right::ReadRegister) && state != MessageState::Draft,
            by_email: Some(figures.slow.by_email)
                .filter(|_| !figures.following.iter().any(Message::closes))
                .filter(|n| *n > 0 && may_send && !matches!(state, MessageState::Queued | MessageState::Sending))
                .filter(|_| {
                    !matches!(state, MessageState::Draft | MessageState::AwaitingApproval | MessageState::Stopped)
                })
                .map(number),
            by_itself: figures.by_itself_after.map(span),
            emails_waiting: Some(figures.emails.iter().map(|sent| sent.counts.waiting()).sum())
                .filter(|n| *n > 0 && may_send)
                .map(number),
            doubtable: Some(figures.slow.doubtable).filter(|n| *n > 0 && may_send).map(number),
            unreached: unreached.map(|(code, households)| area_line(tree, code, *households)).collect(),
            counted_at: Some(figures.counted_at).filter(|at| *at < now).map(|at| wall.clock(at)),
            moments: moments(figures, names, wall),
            review: review(figures, names, who),
            returned: returned(figures, names),
            has_run_out: may_send
                && has_expired
                && !is_closed
                && !closes
                && may_have_it > 0
                && state != MessageState::Stopped,
            looked_at: (now, wall.clock(now)),
        }
    }
}

fn heading(message: &Message, counts: &Counts, wall: &Wall) -> String {
    let missing = counts.get(S::Accepted) + counts.get(S::InDoubt);
    match message.state() {
        MessageState::Draft => "Tillbakaskickat för ändring".to_owned(),
        MessageState::AwaitingApproval => "Väntar på att en kollega granskar".to_owned(),
        MessageState::Queued => "Väntar på att skickas".to_owned(),
        MessageState::Sending => "Skickas".to_owned(),
        MessageState::Stopped => "Stoppat".to_owned(),
        MessageState::HandedOver => {
            let at = message.handed_over_at.map_or_else(String::new, |at| wall.text(at));
            format!("Allt utskickat {at} · besked saknas från {}", number(missing))
        }
        MessageState::Done if counts.get(S::Expired) == counts.total() => "Utgått, inget skickades".to_owned(),
        MessageState::Done => "Klart".to_owned(),
    }
}

fn sentence(counts: &Counts, state: MessageState) -> String {
    let failed = counts.get(S::Undelivered) + counts.get(S::Failed);
    let (_, words) = state_words(state);
    format!(
        "{words}. {} av {} levererade, {} inte levererade.",
        number(counts.get(S::Delivered)),
        number(counts.total()),
        number(failed)
    )
}

/// Five parts, and one for what never left where there is such.
fn bar(counts: &Counts) -> Vec<BarPart> {
    let sum = |states: &[S]| states.iter().map(|state| counts.get(*state)).sum::<i64>();
    let table = [
        ("delivered", "Levererade", sum(&[S::Delivered])),
        ("under-way", "På väg", sum(&[S::Accepted])),
        ("waiting", "Väntar", sum(&[S::Queued, S::Sending])),
        ("failed", "Inte levererade", sum(&[S::Undelivered, S::Failed])),
        ("unknown", "Inget besked", sum(&[S::InDoubt, S::Unconfirmed])),
        ("not-sent", "Inte skickade", sum(&[S::Expired, S::Stopped, S::Suppressed])),
    ];
    let total = counts.total();
    let mut before = 0;
    let mut parts = Vec::new();
    for (code, name, n) in table {
        let x = share(before, total, BAR);
        before += n;
        let width = share(before, total, BAR) - x;
        if n > 0 || code != "not-sent" {
            parts.push(BarPart { code, name, count: number(n), x, width });
        }
    }
    parts
}

/// How much of `of` is to `of` what `part` is to `whole`.
pub(super) fn share(part: i64, whole: i64, of: i64) -> i64 {
    if whole == 0 { 0 } else { part * of / whole }
}

/// How fast it has gone so far, and how long the rest takes at that pace.
fn pace(message: &Message, counts: &Counts, now: i64) -> Option<String> {
    let began = message.sends_at.filter(|_| message.state() == MessageState::Sending)?;
    let seconds = ((now - began) / 1000).max(1);
    let per_second = (counts.total() - counts.waiting()) / seconds;
    if per_second == 0 {
        return Some("Takten är under 1 per sekund".to_owned());
    }
    let left = (counts.waiting() + per_second - 1) / per_second;
    let left = if left < 90 { format!("{left} s") } else { format!("{} min", (left + 59) / 60) };
    Some(format!("{} per sekund · ca {left} kvar", number(per_second)))
}

/// By the reasons that can be known.
fn endings(figures: &AlertFigures) -> Vec<EndingShown> {
    const TABLE: [(&[S], &str, &str); 6] = [
        (
            &[S::Failed],
            "Avvisat direkt",
            "Sms-tjänsten tog inte emot numret. Rätta det i registret, och ring under tiden.",
        ),
        (
            &[S::Undelivered],
            "Mobilnätet kunde inte leverera (orsak okänd)",
            "Telefonen kan vara avstängd eller numret fel. Ring.",
        ),
        (&[S::Unconfirmed], "Inget besked", "Sms:et kan ha kommit fram. Skicka inte igen; ring om det är viktigt."),
        (&[S::Expired], "För sent, inte skickat", "Sluttiden gick ut innan sms:et hann lämnas."),
        (&[S::Suppressed], "Vill inte ha / pausat", "De har sagt nej eller pausat. Låt dem vara."),
        (&[S::Stopped], "Stoppat", "Utskicket stoppades innan det var deras tur."),
    ];
    let mut shown = Vec::new();
    for (states, words, advice) in TABLE {
        let of = figures.slow.endings.iter().filter(|ending| states.iter().any(|state| state.code() == ending.state));
        let (n, households) = of.fold((0, 0), |sum, one| (sum.0 + one.deliveries, sum.1 + one.households));
        if n > 0 {
            shown.push(EndingShown { words, advice, count: number(n), households: number(households) });
        }
    }
    shown
}

/// Seconds in words.
fn span(seconds: u32) -> String {
    match seconds {
        60 => "1 minut".to_owned(),
        whole if whole % 60 == 0 => format!("{} minuter", whole / 60),
        seconds => format!("{seconds} sekunder"),
    }
}

fn area_line(tree: &AreaTree, code: &str, households: i64) -> String {
    let name = tree.get(code).map_or(code, |area| area.name.as_str());
    let within = tree.municipality_of(code).filter(|municipality| municipality.code != code);
    let within = within.map_or_else(String::new, |municipality| format!(", {}", municipality.name));
    format!("{name}{within} ({} hushåll)", number(households))
}

fn moments(figures: &AlertFigures, names: &ActorNames, wall: &Wall) -> Vec<Moment> {
    let (message, alert) = (&figures.view.message, &figures.view.alert);
    let mut found: Vec<(i64, String, Option<String>)> = Vec::new();
    found.push((message.created_at, format!("Beslut: {}", alert.decided_by), None));
    if !alert.watched_by.is_empty() {
        found.push((message.created_at, format!("Svaren läses av: {}", alert.watched_by), None));
    }
    for review in &figures.view.reviews {
        let who = names.of(&review.actor);
        let words = match review.act.as_str() {
            "written" if review.revision > 1 => format!("Ändrat av {who}"),
            "written" => format!("Skrivet av {who}"),
            "approved" => format!("Godkänt av {who}"),
            "returned" => format!("Tillbakaskickat av {who}: {}", review.reason),
            _ => format!("Skickat utan granskning av {who}: {}", review.reason),
        };
        found.push((review.at, words, None));
    }
    let times = [
        (message.sends_at.filter(|_| message.stopped_at.is_none()), "Börjar skickas"),
        (message.handed_over_at, "Allt utskickat"),
        (message.done_at, "Besked om alla"),
        (message.stopped_at, "Stoppat"),
        (message.expires_at, "Slutar gälla"),
    ];
    found.extend(times.into_iter().filter_map(|(at, words)| Some((at?, words.to_owned(), None))));
    for follow_up in &figures.following {
        let words = match follow_up.follow_up_kind.as_deref().and_then(FollowUpKind::from_code) {
            Some(FollowUpKind::AllClear) => "Besked: gäller inte längre",
            Some(FollowUpKind::Correction) => "Rättelse",
            _ => "Ny information",
        };
        let words = format!("{words}, av {}", names.of(&follow_up.created_by));
        found.push((follow_up.created_at, words, Some(format!("/alerts/{}", follow_up.id))));
    }
    for email in &figures.emails {
        let (sent, total) = (email.counts.total() - email.counts.waiting(), email.counts.total());
        let (sent, total) = (number(sent), number(total));
        let words = match email.by.as_str() {
            "grannpost" => {
                let at = wall.text(email.at);
                format!("Skickat med e-post av sig självt {at} till {total}: {sent} av {total} skickade")
            }
            by => format!("E-post i stället, av {}: {sent} av {total} skickade", names.of(by)),
        };
        found.push((email.at, words, None));
    }
    for takeover in &figures.takeovers {
        found.push((takeover.at, format!("Ersättare tog över för {}", number(takeover.persons)), None));
    }
    found.sort_by_key(|(at, ..)| *at);
    found.into_iter().map(|(at, words, href)| Moment { at: wall.short(at), words, href }).collect()
}

fn review(figures: &AlertFigures, names: &ActorNames, who: &SignedIn) -> Option<ReviewShown> {
    let message = &figures.view.message;
    if message.state() != MessageState::AwaitingApproval {
        return None;
    }
    let mut reviews = figures.view.reviews.iter().rev();
    let written = reviews.find(|review| review.act == "written" && review.revision == message.revision)?;
    let is_own = written.actor == who.actor().id;
    Some(ReviewShown {
        revision: message.revision,
        written_by: names.of(&written.actor),
        is_own,
        may_review: !is_own && who.actor().role.may(Right::Approve),
    })
}

fn returned(figures: &AlertFigures, names: &ActorNames) -> Option<String> {
    if figures.view.message.state() != MessageState::Draft {
        return None;
    }
    let last = figures.view.reviews.iter().rev().find(|review| review.act == "returned")?;
    let reason = if last.reason.is_empty() { "utan skäl" } else { &last.reason };
    Some(format!("{} skickade tillbaka det: {reason}", names.of(&last.actor)))
}
