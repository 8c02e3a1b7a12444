//! Owns `letter FILE.md`: reads the file, shows what will be sent to how many, asks, sends, follows.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Failure, Outcome, actor, follow, open, say, say_json};
use crate::actions::Desk;
use crate::actions::letter::{self, NewLetter, Sending};
use crate::actions::letter_review::{self, Pass};
use crate::actions::letter_view::{self, LetterView};
use crate::actions::{large_alert, large_letter};
use crate::app::{self, Daemon};
use crate::config::Loaded;
use crate::domain::delivery::DeliveryState;
use crate::domain::message::MessageState;
use crate::domain::operator::Actor;
use crate::render::front_matter;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Brevet: huvud mellan två rader ---, sedan text i Markdown.
    #[arg(value_name = "FIL")]
    file: PathBuf,
    /// Skicka bara ett prov, till den här adressen.
    #[arg(long, value_name = "ADRESS")]
    test: Option<String>,
    /// Fråga inte.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: Args, loaded: Loaded, as_json: bool) -> Outcome {
    let new = read(&args.file)?;
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let Some(id) = make(&desk, &cli, &new, &args).await? else { return Err(Failure::Reported) };
    let daemon = match Daemon::start(&desk).await {
        Ok(daemon) => Some(daemon),
        Err(error) if app::is_taken(&error) => None,
        Err(error) => return Err(follow::not_started(error, &id)),
    };
    let done = if args.test.is_some() { watch_test(&desk, &id).await } else { watch(&desk, &cli, &id, as_json).await };
    if let Some(daemon) = daemon {
        daemon.stop().await;
    }
    done
}

fn read(file: &std::path::Path) -> Result<NewLetter, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    let letter = front_matter::parse(&text).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    let send_at = letter
        .send_at
        .map(|at| {
            at.parse().map_err(|_| Failure::Usage("send-at: skriv tiden som 2026-11-21T07:00:00+01:00".to_owned()))
        })
        .transpose()?;
    Ok(NewLetter { fields: letter.fields, areas: letter.areas, send_at })
}

/// Makes the letter, and sends it or a test of it once the operator has seen to whom. Gives the id of what was sent.
async fn make(desk: &Desk, cli: &Actor, new: &NewLetter, args: &Args) -> Result<Option<String>, Failure> {
    let mut session = desk.store.begin().await?;
    let draft = letter::create(desk, &mut session, cli, new).await?;
    if let Some(address) = &args.test {
        let sent = letter::test(desk, &mut session, cli, &draft.message.id, Some(address)).await?;
        follow::commit(desk, session, &sent.message_id).await?;
        return Ok(Some(sent.message_id));
    }
    // Nothing is kept of a draft that nobody agrees to: its transaction is rolled back.
    show(desk, &mut session, cli, &draft).await?;
    drop(session);
    if !args.yes && !super::agrees()? {
        super::complain("avbrutet: inget är skickat");
        return Ok(None);
    }
    let audience = draft.audience;
    let mut session = desk.store.begin().await?;
    let draft = letter::create(desk, &mut session, cli, new).await?;
    // The question above takes the place of the undo window.
    let sending = Sending {
        expected_recipients: Some(audience.by_email + audience.on_paper),
        undo_seconds: Some(0),
        expected_revision: None,
    };
    if !letter_review::is_needed(desk, audience) && large_alert::is_large(desk, &new.areas).await? {
        session.commit().await?;
        let unseen = large_letter::send(desk, cli, (&draft.message.id, sending), &Pass::Own).await?;
        let mut session = desk.store.begin().await?;
        large_letter::publish(desk, &mut session, cli, &unseen).await?;
        follow::commit(desk, session, &draft.message.id).await?;
        return Ok(Some(draft.message.id));
    }
    let sent = letter::send(desk, &mut session, cli, (&draft.message.id, sending), &Pass::Own).await?;
    follow::commit(desk, session, &sent.message.id).await?;
    Ok(Some(sent.message.id))
}

async fn show(desk: &Desk, session: &mut crate::store::Session, cli: &Actor, draft: &LetterView) -> Outcome {
    let parts = letter_view::preview(desk, session, cli, &draft.message.id).await?;
    let audience = draft.audience;
    let _ = writeln!(
        std::io::stderr(),
        "{}\n\n{} kontaktombud får brevet med e-post och {} på papper. {} nås inte.",
        parts.text,
        audience.by_email,
        audience.on_paper,
        audience.not_reached
    );
    Ok(())
}

/// Follows a letter until every mail is handed over; paper waits for a printer and is not waited for.
async fn watch(desk: &Desk, cli: &Actor, id: &str, as_json: bool) -> Outcome {
    let look = async || letter_view::get(desk, &mut desk.store.read().await?, cli, id).await;
    let mut view = follow::look(id, &look).await?;
    if view.message.state() == MessageState::AwaitingApproval {
        if as_json {
            report(&view, as_json);
        } else {
            say(&format!("Brev {id} väntar på att en kollega granskar det. Inget har skickats."));
        }
        return Ok(());
    }
    let paper = view.audience.on_paper;
    let mails = view.counts.total() - paper;
    if view.message.sends_at.is_some_and(|at| at > desk.now()) {
        report(&view, as_json);
        return Ok(());
    }
    let bar = ProgressBar::new(u64::try_from(mails).unwrap_or(0));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} överlämnade");
    bar.set_style(style.expect("the template is valid"));
    while view.counts.waiting() > paper {
        tokio::time::sleep(Duration::from_millis(200)).await;
        view = follow::look(id, &look).await?;
        bar.set_position(u64::try_from(view.counts.total() - view.counts.waiting()).unwrap_or(0));
    }
    bar.finish();
    report(&view, as_json);
    Ok(())
}

async fn watch_test(desk: &Desk, id: &str) -> Outcome {
    let look = async || {
        let page = crate::store::delivery::page(&mut desk.store.read().await?, id, "", 0, 1).await?;
        Ok(page.into_iter().next())
    };
    loop {
        let delivery = follow::look(id, &look).await?;
        let state = delivery.as_ref().and_then(|delivery| DeliveryState::from_code(&delivery.state));
        match state {
            Some(state) if state.waits() => tokio::time::sleep(Duration::from_millis(200)).await,
            Some(state) if state.may_have_arrived() => {
                say("Provet är överlämnat.");
                return Ok(());
            }
            _ => {
                let reason = delivery.and_then(|delivery| delivery.reason).unwrap_or_default();
                return Err(Failure::Failed(anyhow::anyhow!("provet togs inte emot: {reason}")));
            }
        }
    }
}

fn report(view: &LetterView, as_json: bool) {
    let counts = |state: DeliveryState| view.counts.get(state);
    if as_json {
        let counts: serde_json::Map<String, serde_json::Value> =
            DeliveryState::ALL.into_iter().map(|state| (state.code().to_owned(), json!(counts(state)))).collect();
        let printed = json!({ "id": view.message.id, "state": view.message.state, "counts": counts });
        say_json(&printed);
        return;
    }
    say(&format!(
        "Brev {}: överlämnade {}, inte levererade {}, osäkra {}, på papper {}. Utskrift: GET /api/v1/letters/{}/print",
        view.message.id,
        counts(DeliveryState::Accepted) + counts(DeliveryState::Unconfirmed),
        counts(DeliveryState::Undelivered) + counts(DeliveryState::Failed),
        counts(DeliveryState::InDoubt),
        view.audience.on_paper,
        view.message.id
    ));
}
