//! Owns `backup` and `restore`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;

use super::{Failure, Outcome, say};
use crate::ambient::Clock;
use crate::config::{Config, Loaded};
use crate::store::{Store, backup, setting};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Filen med kopian.
    #[arg(value_name = "FIL")]
    file: PathBuf,
}

/// Copies the database while it is in use, and checks the copy.
pub(super) async fn backup(args: &Args, loaded: Loaded) -> Outcome {
    if args.file.exists() {
        return Err(Failure::Usage(format!("FIL: {} finns redan; ange en ny fil", args.file.display())));
    }
    let config = loaded.config;
    if config.database.sqlite_file().is_none() {
        postgres_tool("pg_dump", &["--format=custom", "--file"], (&args.file, &config)).await?;
        say(&format!("Kopian är sparad i {}.", args.file.display()));
        return Ok(());
    }
    let store = Store::open(config.database.url.expose(), config.database.max_connections).await?;
    let partial = beside(&args.file, "partial");
    let copied = copy_and_check(&store, &partial).await;
    if copied.is_ok() && note(&store).await.is_err() {
        // The copy is whole; only the health page does not hear of it.
        tracing::warn!("the time of the copy could not be written down");
    }
    store.close().await;
    match copied {
        Ok(contents) => {
            std::fs::rename(&partial, &args.file)?;
            say(&format!(
                "Kopian är sparad i {} och kontrollerad: {} kontaktombud, {} utskick.",
                args.file.display(),
                contents.contact_persons,
                contents.messages
            ));
            Ok(())
        }
        Err(failure) => {
            let _ = std::fs::remove_file(&partial);
            Err(failure)
        }
    }
}

/// Leaves word in the database of when it was copied; the health page shows it.
async fn note(store: &Store) -> Result<(), Failure> {
    let now = Clock::System.now_ms();
    let mut session = store.begin().await?;
    setting::set(&mut session, setting::BACKED_UP_AT, now.to_string()).await?;
    Ok(session.commit().await?)
}

async fn copy_and_check(store: &Store, file: &Path) -> Result<backup::Contents, Failure> {
    let _ = std::fs::remove_file(file);
    let name = file.to_str().context("FIL: filnamnet är inte UTF-8")?;
    backup::copy_to(store, name).await?;
    look_at(file).await
}

/// Opens a copy, checks it and says what it holds.
async fn look_at(file: &Path) -> Result<backup::Contents, Failure> {
    let copy = Store::open(&format!("sqlite:{}", file.display()), 2).await?;
    let checked = async {
        backup::check(&copy).await?;
        // A copy that a newer program made is refused here.
        copy.migrations().await?;
        backup::contents(&mut copy.read().await?).await
    };
    let contents = checked.await;
    copy.close().await;
    Ok(contents?)
}

/// Puts a copy in the database's place. The database starts paused.
pub(super) async fn restore(args: &Args, loaded: Loaded) -> Outcome {
    let config = loaded.config;
    if !args.file.exists() {
        return Err(Failure::Usage(format!("FIL: {} finns inte", args.file.display())));
    }
    match config.database.sqlite_file() {
        Some(target) => restore_sqlite(&args.file, &target).await?,
        None => postgres_tool("pg_restore", &["--clean", "--if-exists", "--no-owner"], (&args.file, &config)).await?,
    }
    let store = Store::open(config.database.url.expose(), config.database.max_connections).await?;
    store.migrate().await?;
    let contents = backup::pause_restored(&store, Clock::System.now_ms()).await?;
    store.close().await;
    say(&format!(
        "Databasen är återställd: {} kontaktombud, {} utskick. Den står i paus.",
        contents.contact_persons, contents.messages
    ));
    say("Vad som har sagts efter kopian (avanmälningar, raderingar) görs om ur journalen när du släpper på utskicken.");
    if contents.waiting + contents.open > 0 {
        say(&format!(
            "I kopian väntade {} leveranser och {} saknade besked. De kan ha gått ut sedan kopian togs: stoppa dem som \
             inte ska gå en gång till innan du släpper på utskicken med grannpost resume.",
            contents.waiting, contents.open
        ));
    }
    Ok(())
}

async fn restore_sqlite(file: &Path, target: &Path) -> Result<(), Failure> {
    let lock = beside(target, "lock");
    let held = std::fs::File::options().create(true).truncate(false).write(true).open(&lock)?;
    if held.try_lock().is_err() {
        return Err(Failure::Failed(anyhow::anyhow!("en grannpost kör på databasen; stoppa den först")));
    }
    look_at(file).await?;
    let partial = beside(target, "partial");
    std::fs::copy(file, &partial)?;
    for suffix in ["", "-wal", "-shm"] {
        let old = PathBuf::from(format!("{}{suffix}", target.display()));
        if old.exists() {
            // Kept, since restoring the wrong file must not be the end of the right one.
            std::fs::rename(&old, format!("{}.before-restore{suffix}", target.display()))?;
        }
    }
    Ok(std::fs::rename(&partial, target)?)
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}.{ending}", file.display()))
}

/// PostgreSQL's own tools copy a PostgreSQL database; where it is goes by the environment, so that no password stands in a
/// list of processes.
async fn postgres_tool(program: &str, arguments: &[&str], (file, config): (&Path, &Config)) -> Result<(), Failure> {
    let url = url::Url::parse(config.database.url.expose()).context("database.url")?;
    let database = url.path().trim_start_matches('/').to_owned();
    let host = url.query_pairs().find(|(name, _)| name == "host").map(|(_, host)| host.into_owned());
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .arg(file)
        .env("PGHOST", host.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default())
        .env("PGPORT", url.port().unwrap_or(5432).to_string())
        .env("PGUSER", url.username())
        .env("PGPASSWORD", url.password().unwrap_or_default())
        .env("PGDATABASE", &database)
        .stdin(Stdio::null());
    if program == "pg_restore" {
        command.args(["--dbname", &database]);
    }
    let status = command.status().await;
    let status = status.with_context(|| format!("{program} gick inte att starta; installera postgresql-client"))?;
    if status.success() { Ok(()) } else { Err(Failure::Failed(anyhow::anyhow!("{program} misslyckades"))) }
}
