//! Owns `completions` and `man`.

use clap::CommandFactory as _;

use super::{Cli, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Vilket skal.
    shell: clap_complete::Shell,
}

pub(super) fn completions(args: &Args) -> Outcome {
    clap_complete::generate(args.shell, &mut Cli::command(), "grannpost", &mut std::io::stdout());
    Ok(())
}

pub(super) fn man() -> Outcome {
    Ok(clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?)
}
