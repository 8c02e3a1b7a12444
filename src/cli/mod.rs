//! Owns the verbs: arguments in, words and exit codes out.
//!
//! It holds no rule; verbs call the same actions as the API. Invariants: reports go to stdout, everything else to stderr;
//! exit code 0 is done, 1 failed, 2 wrong usage or configuration.

mod alert;
mod backup;
mod check;
mod demo;
mod export;
mod follow;
mod import;
mod key;
mod letter;
mod manual;
mod migrate;
mod operator;
mod pause;
mod receive_mail;
mod retention;
mod serve;
mod simulate;
mod verify;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::actions::{ActionError, Desk};
use crate::ambient::Clock;
use crate::config::{self, ConfigError, Loaded};
use crate::domain::operator::{Actor, Role};
use crate::{app, store, telemetry};

/// Larm per sms och brev per e-post till kontaktombuden i grannsamverkan.
#[derive(Debug, Parser)]
#[command(name = "grannpost", version, about, propagate_version = true)]
pub struct Cli {
    /// Konfigurationsfil (TOML); annars grannpost.toml i arbetskatalogen.
    #[arg(long, global = true, value_name = "FIL")]
    config: Option<PathBuf>,
    /// Skriv svaret som ett JSON-dokument.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Kör tjänsten: sidor, API, utskick och mottagning.
    Serve(serve::Args),
    /// Visa hela kedjan på den här datorn, utan konfiguration och utan att något skickas utanför den.
    Demo(demo::Args),
    /// Lägg på databasändringar som väntar.
    Migrate(migrate::Args),
    /// Kontrollera konfiguration, databas, gateway och e-post.
    Check,
    /// Läs in registret från en CSV-fil.
    Import(import::Args),
    /// Skriv registret som en CSV-fil.
    Export(export::Args),
    /// Skicka ett larm och följ det.
    Alert(alert::Args),
    /// Skicka ett brev från en Markdownfil och följ det.
    Letter(letter::Args),
    /// Personer som loggar in.
    #[command(subcommand)]
    Operator(operator::Args),
    /// API-nycklar.
    #[command(subcommand)]
    Key(key::Args),
    /// Ta emot ett inkommande mejl från e-postservern på standard in: svar, studs eller automatsvar.
    ReceiveMail(receive_mail::Args),
    /// Kontrollera räkenskaperna och loggkedjan.
    Verify,
    /// Visa vad som ska gallras, och gallra.
    Retention(retention::Args),
    /// Kopiera databasen medan den används, och kontrollera kopian.
    Backup(backup::Args),
    /// Lägg en kopia i databasens ställe; den börjar i paus.
    Restore(backup::Args),
    /// Stoppa alla utskick, även larm.
    Pause(pause::Args),
    /// Släpp på utskicken igen.
    Resume(pause::ResumeArgs),
    /// Kör en simulerad sms-gateway och e-postmottagare, för prov och tester.
    #[command(hide = true)]
    Simulate(simulate::Args),
    /// Skriv kompletteringar för ett skal.
    Completions(manual::Args),
    /// Skriv manualsidan.
    Man,
}

/// Why a verb failed.
#[derive(Debug)]
enum Failure {
    /// Exit code 2: arguments or configuration.
    Usage(String),
    /// Exit code 1.
    Failed(anyhow::Error),
    /// Exit code 75: whoever called shall try again later.
    TryAgain(anyhow::Error),
    /// Exit code 1; everything has been said.
    Reported,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<ConfigError>() {
            Ok(error) => error.into(),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Invalid(fields) => {
                let lines: Vec<String> =
                    fields.iter().map(|field| format!("{}: {}", field.name.replace('_', "-"), field.detail)).collect();
                Self::Usage(lines.join("; "))
            }
            ActionError::Conflict { detail, .. } | ActionError::NotYou { detail, .. } => {
                Self::Failed(anyhow::anyhow!(detail))
            }
            ActionError::NotFound => Self::Failed(anyhow::anyhow!("finns inte")),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

type Outcome = Result<(), Failure>;

/// Runs the verb that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Usage(text)) => {
            complain(&text);
            ExitCode::from(2)
        }
        Err(Failure::TryAgain(error)) => {
            complain(&format!("{error:#}"));
            ExitCode::from(75)
        }
        Err(Failure::Failed(error)) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Help and version go out whole; a mistake is one line that names the argument.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let words: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).collect();
    let line = words.join(" ");
    complain(line.trim().trim_start_matches("error: "));
    ExitCode::from(2)
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "grannpost: {}", text.replace('\n', " "));
}

/// Writes a line to stdout; a closed pipe is no error.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes one JSON document to stdout.
fn say_json(value: &serde_json::Value) {
    say(&serde_json::to_string_pretty(value).unwrap_or_default());
}

fn run(cli: Cli) -> Outcome {
    match &cli.verb {
        Verb::Completions(args) => return manual::completions(args),
        Verb::Man => return manual::man(),
        _ => {}
    }
    if matches!(cli.verb, Verb::ReceiveMail(_)) {
        return receive_mail::on_its_own(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(dispatch(cli))
        });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(dispatch(cli))
}

async fn dispatch(cli: Cli) -> Outcome {
    match cli.verb {
        Verb::Simulate(args) => return simulate::run(args).await,
        Verb::Demo(args) => return demo::run(&args).await,
        Verb::ReceiveMail(args) => return receive_mail::run(&args, cli.config.as_deref()).await,
        _ => {}
    }
    let loaded = config::load(cli.config.as_deref())?;
    telemetry::init_logs(&loaded.config.log);
    let json = cli.json;
    match cli.verb {
        Verb::Serve(args) => serve::run(&args, loaded).await,
        Verb::Migrate(args) => migrate::run(&args, loaded, json).await,
        Verb::Check => check::run(loaded, json).await,
        Verb::Import(args) => import::run(args, loaded, json).await,
        Verb::Export(args) => export::run(args, loaded).await,
        Verb::Alert(args) => alert::run(args, loaded, json).await,
        Verb::Letter(args) => letter::run(args, loaded, json).await,
        Verb::Operator(args) => operator::run(args, loaded, json).await,
        Verb::Key(args) => key::run(args, loaded, json).await,
        Verb::Verify => verify::run(loaded, json).await,
        Verb::Retention(args) => retention::run(&args, loaded, json).await,
        Verb::Backup(args) => backup::backup(&args, loaded).await,
        Verb::Restore(args) => backup::restore(&args, loaded).await,
        Verb::Pause(args) => pause::pause(&args, loaded).await,
        Verb::Resume(args) => pause::resume(&args, loaded).await,
        Verb::Demo(_) | Verb::ReceiveMail(_) | Verb::Simulate(_) | Verb::Completions(_) | Verb::Man => Ok(()),
    }
}

/// The database behind a verb that is not a daemon.
async fn open(loaded: Loaded) -> Result<Desk, Failure> {
    Ok(app::open(Arc::new(loaded.config), Clock::System, true).await?)
}

/// The command line acts as an administrator: whoever can run it can read the database anyway.
async fn actor(desk: &Desk) -> Result<Actor, Failure> {
    let mut session = desk.store.read().await?;
    let tree = store::area::tree(&mut session).await?;
    let area = tree.root().map(|area| area.code.clone()).unwrap_or_default();
    Ok(Actor { id: "cli".to_owned(), role: Role::Admin, area, is_key: true })
}

/// Asks the person at the terminal before anything is sent.
fn agrees() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("yes: svara ja i en terminal, eller ange --yes".to_owned()));
    }
    let _ = write!(std::io::stderr(), "Skicka? Skriv ja: ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("ja"))
}
