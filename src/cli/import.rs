//! Owns `import`: reads a register file, shows what became of it, and keeps what could not be imported.

use std::fs::File;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, Outcome, actor, open, say, say_json};
use crate::actions::import::{self, ImportView, MAX_BYTES, RegisterFile};
use crate::config::Loaded;
use crate::register_file::export::write_rejects;
use crate::register_file::finding::Action;
use crate::register_file::survey::{Overrides, Survey};
use crate::web::api::import::report;

/// Rows that need a look, shown one by one before the rest is only counted.
const SHOWN: usize = 200;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Registerfil (CSV).
    #[arg(value_name = "FIL")]
    file: PathBuf,
    /// Visa vad som skulle hända; spara inget.
    #[arg(long)]
    dry_run: bool,
    /// Skriv rader som inte kan importeras till en fil, med orsaken sist.
    #[arg(long, value_name = "FIL")]
    rejects: Option<PathBuf>,
}

pub(super) async fn run(args: Args, loaded: Loaded, as_json: bool) -> Outcome {
    let bytes = read(&args.file)?;
    let survey = Survey::of(&bytes, &Overrides::default())
        .map_err(|error| Failure::Failed(anyhow::anyhow!("{}: {}", args.file.display(), error.detail())))?;
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let file = RegisterFile { bytes: &bytes, survey: &survey };
    let bar = ProgressBar::new(survey.rows);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} rader  {eta}");
    bar.set_style(style.expect("the template is valid"));
    let progress = |done: u64| bar.set_position(done);
    let view = if args.dry_run {
        import::preview(&desk, &cli, file, &progress).await?
    } else if file.is_large() {
        let (import, view) = import::write_unseen(&desk, &cli, file, &progress).await?;
        let mut session = desk.store.begin().await?;
        let view = import::publish(&desk, &mut session, &cli, (import, view)).await?;
        session.commit().await?;
        view
    } else {
        let mut session = desk.store.begin().await?;
        let view = import::store(&desk, &mut session, &cli, file, &progress).await?;
        session.commit().await?;
        view
    };
    bar.finish_and_clear();
    if let Some(path) = &args.rejects {
        write_rejects(File::create(path)?, &view.rejected)?;
    }
    if as_json {
        say_json(&report(view));
    } else {
        summarise(&view, args.rejects.is_some());
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |error: std::io::Error| Failure::Usage(format!("FIL: {}: {error}", path.display()));
    let length = std::fs::metadata(path).map_err(wrong)?.len();
    if length > MAX_BYTES as u64 {
        return Err(Failure::Failed(anyhow::anyhow!("{}: filen är större än 64 MiB", path.display())));
    }
    std::fs::read(path).map_err(wrong)
}

fn summarise(view: &ImportView, has_rejects: bool) {
    let file = &view.file;
    let delimiter = match file["delimiter"].as_str().unwrap_or_default() {
        ";" => "semikolon",
        "," => "komma",
        "\t" => "tabb",
        other => other,
    };
    let mark = if file["byte_order_mark"] == true { " med BOM" } else { "" };
    say(&format!("{}{mark}, {delimiter}, {} rader", file["encoding"].as_str().unwrap_or_default(), view.rows));
    for item in view.items.iter().filter(|item| !item.item.message.is_empty()).take(SHOWN) {
        let label = Action::from_code(&item.action).map_or("", Action::label);
        say(&format!("Rad {} ({label}): {}", item.row, item.item.message));
    }
    let added = view.count(Action::New) + view.count(Action::Warn);
    let counts: Vec<String> = [("Nya", added)]
        .into_iter()
        .chain(
            [Action::Update, Action::Same, Action::Ask, Action::Reject, Action::Skip, Action::Dup]
                .map(|action| (action.label(), view.count(action))),
        )
        .map(|(label, n)| format!("{label} {n}"))
        .collect();
    say(&counts.join(" · "));
    match &view.import {
        Some(import) => {
            say(&format!("Importen {} är sparad. Hela importen kan ångras tills något har skickats.", import.id))
        }
        None => say("Provkörning: inget är sparat."),
    }
    if view.missing.is_some_and(|missing| missing > 0) {
        say(&format!("{} i registret finns inte i filen.", view.missing.unwrap_or(0)));
    }
    if view.count(Action::Reject) > 0 && !has_rejects {
        say("Avvisade rader kan skrivas till en fil med --rejects FIL.");
    }
}
