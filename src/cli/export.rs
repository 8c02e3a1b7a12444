//! Owns `export`: the register as a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::{Failure, Outcome, actor, open};
use crate::actions::export::{self, ExportError};
use crate::config::Loaded;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Fil att skriva till; utan den skrivs registret till standard ut.
    #[arg(value_name = "FIL")]
    file: Option<PathBuf>,
}

pub(super) async fn run(args: Args, loaded: Loaded) -> Outcome {
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let mut out: Box<dyn Write + Send> = match &args.file {
        Some(path) => Box::new(BufWriter::new(File::create(path)?)),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let mut session = desk.store.begin().await?;
    let persons = export::write(&desk, &mut session, &cli, &mut out).await.map_err(|error| match error {
        ExportError::Action(error) => error.into(),
        error @ ExportError::Write(_) => Failure::Failed(error.into()),
    })?;
    session.commit().await?;
    if args.file.is_some() {
        super::complain(&format!("{persons} kontaktombud skrivna"));
    }
    Ok(())
}
