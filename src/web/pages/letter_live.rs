//! Owns a letter on its way in words: how far it has come, what did not arrive, what is left on paper, what happened.
//!
//! E-mail says only when something goes wrong, and the post never. Invariant: the words never claim that a letter was read
//! or arrived; they say that it was sent.

use super::actor_names::ActorNames;
use super::alert_live::{BAR, BarPart, Moment, share};
use super::frame::Frame;
use super::letter_effect::{LetterEffect, PAPER_LEFT, is_timed, state_words};
use super::time::{Wall, number};
use crate::actions::letter_figures::LetterFigures;
use crate::domain::delivery::{Channel, DeliveryState as S};
use crate::domain::message::MessageState;
use crate::store::letter::Standing;
use crate::store::message::Message;
use crate::web::Web;

/// Deliveries that ended alike.
#[derive(Debug)]
pub struct EndingShown {
    /// Why.
    pub words: String,
    /// What may be done.
    pub advice: &'static str,
    /// How many, in words.
    pub count: String,
}

/// A letter on its way.
#[derive(Debug)]
pub struct LetterLive {
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
    /// How much of the mail is sent, 0 to 100.
    pub percent: i64,
    /// Whether the figures change by themselves soon.
    pub is_open: bool,
    /// Whom it reaches.
    pub effect: LetterEffect,
    /// When hand-over begins while it can be undone, Unix ms.
    pub leaves_at: Option<i64>,
    /// Seconds until then.
    pub leaves_in: i64,
    /// Whether that is a time that somebody chose.
    pub is_timed: bool,
    /// The bar.
    pub bar: Vec<BarPart>,
    /// Mails sent and mails in all, in words.
    pub mailed: (String, String),
    /// Pace and time left.
    pub pace: Option<String>,
    /// How many have not gone, in words.
    pub waiting: String,
    /// Whether only paper is left.
    pub is_paper_left: bool,
    /// Whether a stop changes anything and who looks may.
    pub may_stop: bool,
    /// What a stop did.
    pub stopped: Option<String>,
    /// How many are in doubt, in words.
    pub in_doubt: Option<String>,
    /// Whether who looks may send letters.
    pub may_write: bool,
    /// What did not go out, by reason.
    pub endings: Vec<EndingShown>,
    /// How many sheets wait for the printer, in words.
    pub to_print: Option<String>,
    /// How many have been printed, in words.
    pub printed: Option<String>,
    /// What happened.
    pub moments: Vec<Moment>,
    /// When these figures were looked up, Unix ms, and in words.
    pub looked_at: (i64, String),
}

/// How the mail stands.
struct Mail {
    total: i64,
    sent: i64,
    waiting: i64,
}

impl Mail {
    fn of(figures: &LetterFigures) -> Self {
        let count = |states: &[S]| figures.count(Channel::Email, states);
        Self {
            total: count(&S::ALL),
            sent: count(&[S::Accepted, S::Delivered, S::Unconfirmed]),
            waiting: count(&[S::Queued, S::Sending]),
        }
    }
}

impl LetterLive {
    /// In words.
    #[must_use]
    pub fn of(web: &Web, figures: &LetterFigures, (frame, names): (&Frame, &ActorNames), may_write: bool) -> Self {
        let (view, wall, now) = (&figures.view, &frame.wall, frame.now_ms);
        let (message, counts) = (&view.message, &view.counts);
        let state = message.state();
        let mail = Mail::of(figures);
        let leaves_at = message.sends_at.filter(|at| *at > now && state == MessageState::Queued);
        let to_print = figures.count(Channel::Paper, &[S::Queued]);
        let printed = figures.count(Channel::Paper, &[S::Accepted, S::Unconfirmed]);
        let is_paper_left = state == MessageState::Sending && mail.waiting == 0 && to_print > 0;
        let pill = if is_paper_left { PAPER_LEFT } else { state_words(view, now) };
        let in_doubt = figures.count(Channel::Email, &[S::InDoubt]);
        Self {
            id: message.id.clone(),
            state: state.code(),
            heading: heading(message, &mail, to_print, (is_timed(view, now), leaves_at.is_some(), wall)),
            sentence: format!("{}. {} av {} skickade med e-post.", pill.1, number(mail.sent), number(mail.total)),
            pill,
            percent: share(mail.sent, mail.total, 100),
            is_open: leaves_at.is_some_and(|_| !is_timed(view, now))
                || (leaves_at.is_none() && state != MessageState::Stopped && mail.waiting + in_doubt > 0),
            effect: LetterEffect::of(view.audience),
            leaves_in: leaves_at.map_or(0, |at| (at - now + 999) / 1000),
            is_timed: is_timed(view, now),
            leaves_at,
            bar: bar(figures, &mail),
            mailed: (number(mail.sent), number(mail.total)),
            pace: pace(web, message, &mail, now),
            waiting: number(counts.waiting()),
            is_paper_left,
            may_stop: may_write && state.can_be_stopped(),
            stopped: (state == MessageState::Stopped).then(|| {
                let stopped = number(counts.get(S::Stopped));
                format!("{stopped} stoppades. {} var redan skickade.", number(mail.sent + printed))
            }),
            in_doubt: Some(in_doubt).filter(|n| *n > 0).map(number),
            may_write,
            endings: endings(figures),
            to_print: Some(to_print).filter(|n| *n > 0).map(number),
            printed: Some(printed).filter(|n| *n > 0).map(number),
            moments: moments(figures, names, wall),
            looked_at: (now, wall.clock(now)),
        }
    }
}

fn heading(
    message: &Message,
    mail: &Mail,
    to_print: i64,
    (is_timed, leaves_later, wall): (bool, bool, &Wall),
) -> String {
    let at = |at: Option<i64>| at.map_or_else(String::new, |at| wall.text(at));
    match message.state() {
        MessageState::Draft => "Utkast".to_owned(),
        MessageState::AwaitingApproval => "Väntar på att en kollega granskar".to_owned(),
        MessageState::Queued if is_timed => format!("Tidsinställt till {}", at(message.sends_at)),
        MessageState::Queued if leaves_later => "Väntar på att skickas".to_owned(),
        MessageState::Queued => "Skickas".to_owned(),
        MessageState::Sending if mail.waiting == 0 && mail.total > 0 => {
            format!("E-posten är skickad, {} utskrifter kvar", number(to_print))
        }
        MessageState::Sending => "Skickas".to_owned(),
        MessageState::HandedOver => format!("Allt skickat {}", at(message.handed_over_at)),
        MessageState::Done => "Klart".to_owned(),
        MessageState::Stopped => "Stoppat".to_owned(),
    }
}

fn bar(figures: &LetterFigures, mail: &Mail) -> Vec<BarPart> {
    let email = |states: &[S]| figures.count(Channel::Email, states);
    let paper = |states: &[S]| figures.count(Channel::Paper, states);
    let never = [S::Expired, S::Stopped, S::Suppressed];
    let table = [
        ("delivered", "Skickade med e-post", mail.sent),
        ("waiting", "Väntar", mail.waiting),
        ("failed", "Inte levererade", email(&[S::Undelivered, S::Failed])),
        ("unknown", "Osäkra", email(&[S::InDoubt])),
        ("under-way", "Utskrivna", paper(&[S::Accepted, S::Unconfirmed])),
        ("to-print", "Att skriva ut", paper(&[S::Queued])),
        ("not-sent", "Inte skickade", email(&never) + paper(&never) + paper(&[S::Failed])),
    ];
    let total = figures.view.counts.total();
    let mut before = 0;
    let mut parts = Vec::new();
    for (code, name, n) in table {
        let x = share(before, total, BAR);
        before += n;
        let width = share(before, total, BAR) - x;
        if n > 0 || matches!(code, "delivered" | "waiting" | "failed") {
            parts.push(BarPart { code, name, count: number(n), x, width });
        }
    }
    parts
}

/// How fast it has gone so far, and how long the rest takes at that pace; or that it rests.
fn pace(web: &Web, message: &Message, mail: &Mail, now: i64) -> Option<String> {
    if mail.waiting == 0 || !matches!(message.state(), MessageState::Queued | MessageState::Sending) {
        return None;
    }
    let letters = &web.desk.config.letters;
    let local = jiff::Timestamp::from_millisecond(now).ok()?.to_zoned(web.desk.config.server.zone()).time();
    if letters.quiet().is_some_and(|hours| hours.contains(local)) {
        return Some(format!("Vilar under de tysta timmarna {}.", letters.quiet_hours));
    }
    let began = message.sends_at.filter(|at| *at < now)?;
    let seconds = ((now - began) / 1000).max(1);
    let done = mail.total - mail.waiting;
    if done == 0 {
        return None;
    }
    let left = (mail.waiting * seconds + done - 1) / done;
    let left = if left < 90 { format!("{left} s") } else { format!("{} min", (left + 59) / 60) };
    let pace = match done / seconds {
        0 => format!("{} i minuten", number(done * 60 / seconds)),
        per_second => format!("{} per sekund", number(per_second)),
    };
    Some(format!("{pace} · ca {left} kvar"))
}

/// What did not go out, those alike together.
fn endings(figures: &LetterFigures) -> Vec<EndingShown> {
    let mut found: Vec<(String, &'static str, i64)> = Vec::new();
    for one in &figures.standings {
        let is_over = S::from_code(&one.state)
            .is_some_and(|state| matches!(state, S::Undelivered | S::Failed | S::Expired | S::Stopped | S::Suppressed));
        if !is_over {
            continue;
        }
        let (words, advice) = failure_words(one);
        match found.iter_mut().find(|(known, ..)| *known == words) {
            Some((.., n)) => *n += one.deliveries,
            None => found.push((words, advice, one.deliveries)),
        }
    }
    found.into_iter().map(|(words, advice, n)| EndingShown { words, advice, count: number(n) }).collect()
}

/// Why deliveries did not go out, and what may be done.
#[must_use]
pub fn failure_words(standing: &Standing) -> (String, &'static str) {
    let (words, advice) = match (S::from_code(&standing.state), standing.reason.as_deref()) {
        (Some(S::Failed), Some("mail.retries_used_up")) => (
            "E-postservern tog inte emot i tid",
            "Försök gjordes tills tiden gick ut. Kontrollera adressen, eller skriv ut brevet.",
        ),
        (Some(S::Failed), Some("in_doubt.given_up")) => ("Osäkert, inte skickat igen", "Brevet kan ha kommit fram."),
        (Some(S::Failed), _) => ("Avvisat direkt", "E-postservern tog inte emot adressen. Rätta den i registret."),
        (Some(S::Undelivered), _) => ("Studsade", "Adressen tar inte emot. Rätta den i registret."),
        (Some(S::Expired), _) => ("För sent, inte skickat", "Tiden gick ut innan brevet hann lämnas."),
        (Some(S::Stopped), _) => ("Stoppat", "Utskicket stoppades innan det var deras tur."),
        _ => ("Vill inte ha / pausat", "De har sagt nej, pausat eller flyttat. Låt dem vara."),
    };
    (words.to_owned(), advice)
}

fn moments(figures: &LetterFigures, names: &ActorNames, wall: &Wall) -> Vec<Moment> {
    let message = &figures.view.message;
    let mut found: Vec<(i64, String)> = Vec::new();
    for review in &figures.reviews {
        let who = names.of(&review.actor);
        let words = match review.act.as_str() {
            "written" if review.revision > 1 => format!("Ändrat av {who}"),
            "written" => format!("Skrivet av {who}"),
            "approved" => format!("Godkänt av {who}"),
            "returned" => format!("Tillbakaskickat av {who}: {}", review.reason),
            _ => format!("Skickat utan granskning av {who}: {}", review.reason),
        };
        found.push((review.at, words));
    }
    let times = [
        (message.sends_at.filter(|at| message.stopped_at.is_none_or(|stopped| stopped > *at)), "Börjar skickas"),
        (message.handed_over_at, "Allt skickat"),
        (message.stopped_at, "Stoppat"),
    ];
    found.extend(times.into_iter().filter_map(|(at, words)| Some((at?, words.to_owned()))));
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(at, words)| Moment { at: wall.short(at), words, href: None }).collect()
}
