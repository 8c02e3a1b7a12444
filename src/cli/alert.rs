//! Owns `alert`: shows what will be sent to how many, asks, sends, follows.

use std::io::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Failure, Outcome, actor, follow, open, say, say_json};
use crate::actions::Desk;
use crate::actions::alert::{self, NewAlert};
use crate::actions::alert_view::{self, AlertView};
use crate::actions::large_alert;
use crate::app::{self, Daemon};
use crate::config::Loaded;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::{Counts, MessageState};
use crate::domain::operator::Actor;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Områdeskod; kan anges flera gånger.
    #[arg(long = "area", required = true, value_name = "KOD")]
    areas: Vec<String>,
    /// Texten, utan ramen omkring.
    #[arg(long)]
    text: String,
    /// Vem som har beslutat.
    #[arg(long, value_name = "FUNKTION")]
    decided_by: String,
    /// observation (ber om svar) eller information.
    #[arg(long, default_value = "observation")]
    kind: String,
    /// households eller contact_person_only.
    #[arg(long, default_value = "contact_person_only")]
    spread: String,
    /// Hur länge larmet gäller, som 4h eller 90m.
    #[arg(long, value_name = "TID", value_parser = minutes)]
    expires_in: Option<i64>,
    /// Övning: går bara till övningsgrupper om inte annat beslutats.
    #[arg(long)]
    drill: bool,
    /// Fråga inte.
    #[arg(long)]
    yes: bool,
}

fn minutes(text: &str) -> Result<i64, String> {
    let wrong = || "ange en tid som 4h, 90m eller 1h30m".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let seconds = span.total(jiff::Unit::Second).map_err(|_| wrong())?;
    #[expect(clippy::cast_possible_truncation, reason = "whole minutes of a span that the action checks")]
    let minutes = (seconds / 60.0).round() as i64;
    if minutes > 0 { Ok(minutes) } else { Err(wrong()) }
}

pub(super) async fn run(args: Args, loaded: Loaded, as_json: bool) -> Outcome {
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let new = NewAlert {
        text: args.text,
        areas: args.areas,
        decided_by: args.decided_by,
        kind: Some(args.kind),
        spread: Some(args.spread),
        expires_in_minutes: args.expires_in,
        drill: args.drill,
        ..NewAlert::default()
    };
    let Some(view) = make(&desk, &cli, new, args.yes).await? else { return Err(Failure::Reported) };
    if view.message.state() == MessageState::AwaitingApproval {
        say(&format!("Larmet {} väntar på granskning av en kollega.", view.message.id));
        return Ok(());
    }
    let daemon = match Daemon::start(&desk).await {
        Ok(daemon) => Some(daemon),
        Err(error) if app::is_taken(&error) => None,
        Err(error) => return Err(follow::not_started(error, &view.message.id)),
    };
    let watched = watch(&desk, &cli, &view.message.id).await;
    if let Ok(view) = &watched {
        report(view, as_json);
    }
    if let Some(daemon) = daemon {
        daemon.stop().await;
    }
    watched.map(drop)
}

/// Makes the alert once the operator has seen it; nothing is kept of the showing.
async fn make(desk: &Desk, cli: &Actor, mut new: NewAlert, yes: bool) -> Result<Option<AlertView>, Failure> {
    let shown = {
        let mut session = desk.store.begin().await?;
        alert::preview(desk, &mut session, cli, &new).await?
    };
    show(&shown);
    if !yes && !super::agrees()? {
        super::complain("avbrutet: inget är skickat");
        return Ok(None);
    }
    new.expected_recipients = Some(shown.audience.by_sms);
    if large_alert::is_large(desk, &new.areas).await? {
        let unseen = large_alert::create(desk, cli, &new).await?;
        let mut session = desk.store.begin().await?;
        let view = large_alert::publish(desk, &mut session, cli, &unseen).await?;
        follow::commit(desk, session, &view.message.id).await?;
        return Ok(Some(view));
    }
    let mut session = desk.store.begin().await?;
    let view = alert::create(desk, &mut session, cli, &new).await?;
    follow::commit(desk, session, &view.message.id).await?;
    Ok(Some(view))
}

fn show(view: &AlertView) {
    let audience = view.audience;
    let mut err = std::io::stderr();
    let drill = if view.alert.drill == 1 { "ÖVNING. " } else { "" };
    let _ = writeln!(err, "{drill}{}\n", view.message.body);
    let _ = writeln!(
        err,
        "{} kontaktombud får sms, {} hushåll bakom dem. {} nås inte. {} sms per person.",
        audience.by_sms, audience.households_by_sms, audience.not_reached, view.segmentation.parts
    );
    for warning in &view.warnings {
        let _ = writeln!(err, "Obs: {}", warning.detail);
    }
}

/// Follows an alert until nothing waits any more.
async fn watch(desk: &Desk, cli: &Actor, id: &str) -> Result<AlertView, Failure> {
    let look = async || alert_view::get(desk, &mut desk.store.read().await?, cli, id).await;
    let mut view = follow::look(id, &look).await?;
    let bar = ProgressBar::new(u64::try_from(view.counts.total()).unwrap_or(0));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} överlämnade  {msg}");
    bar.set_style(style.expect("the template is valid"));
    while view.counts.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        view = follow::look(id, &look).await?;
        bar.set_position(u64::try_from(view.counts.total() - view.counts.waiting()).unwrap_or(0));
        bar.set_message(words(&view.counts));
    }
    bar.finish();
    Ok(view)
}

fn words(counts: &Counts) -> String {
    let n = |state| counts.get(state);
    format!(
        "på väg {}, levererade {}, inte levererade {}, osäkra {}",
        n(DeliveryState::Accepted),
        n(DeliveryState::Delivered),
        n(DeliveryState::Undelivered) + n(DeliveryState::Failed),
        n(DeliveryState::InDoubt)
    )
}

fn report(view: &AlertView, as_json: bool) {
    if as_json {
        let counts: serde_json::Map<String, serde_json::Value> = DeliveryState::ALL
            .into_iter()
            .map(|state| (state.code().to_owned(), json!(view.counts.get(state))))
            .collect();
        say_json(&json!({ "id": view.message.id, "state": view.message.state, "counts": counts }));
    } else {
        say(&format!("Allt överlämnat: {}. Larm {}", words(&view.counts), view.message.id));
    }
}
