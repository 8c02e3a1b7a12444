//! Owns `export`: the register as a file, or all that is held on one person.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use super::{Failure, Outcome, actor, open};
use crate::actions::Desk;
use crate::actions::export::{self, ExportError};
use crate::actions::extract;
use crate::config::Loaded;
use crate::domain::operator::Actor;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Fil att skriva till; utan den skrivs till standard ut.
    #[arg(value_name = "FIL")]
    file: Option<PathBuf>,
    /// Skriv i stället allt som finns om ett kontaktombud, som JSON.
    #[arg(long, value_name = "ID")]
    contact_person: Option<String>,
}

pub(super) async fn run(args: Args, loaded: Loaded) -> Outcome {
    let desk = open(loaded).await?;
    let cli = actor(&desk).await?;
    let mut out: Box<dyn Write + Send> = match &args.file {
        Some(path) => Box::new(BufWriter::new(File::create(path)?)),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let written = match &args.contact_person {
        Some(id) => one_person(&desk, &cli, id, &mut out).await,
        None => whole_register(&desk, &cli, &mut out).await,
    };
    match written {
        // Whoever reads the pipe has seen enough.
        Err(ExportError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(ExportError::Action(error)) => Err(error.into()),
        Err(error) => Err(Failure::Failed(error.into())),
        Ok(persons) if args.file.is_some() => {
            super::complain(&format!("{persons} kontaktombud skrivna"));
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

async fn whole_register(desk: &Desk, cli: &Actor, out: &mut (dyn Write + Send)) -> Result<u64, ExportError> {
    let mut session = desk.store.begin().await.map_err(crate::actions::ActionError::from)?;
    let written = export::write(desk, &mut session, cli, out).await;
    session.commit().await.map_err(crate::actions::ActionError::from)?;
    written
}

async fn one_person(desk: &Desk, cli: &Actor, id: &str, out: &mut (dyn Write + Send)) -> Result<u64, ExportError> {
    let mut session = desk.store.begin().await.map_err(crate::actions::ActionError::from)?;
    let held = extract::of_person(desk, &mut session, cli, id).await?;
    session.commit().await.map_err(crate::actions::ActionError::from)?;
    serde_json::to_writer_pretty(&mut *out, &held).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(1)
}
