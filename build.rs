//! Owns one look before the program is built: whether the libraries of the pages are there.
//!
//! They come from npm and are not kept in the repository. It fetches nothing by itself. Invariant: what is compiled in is what
//! `web/package-lock.json` names.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// What `src/web/pages/assets.rs` compiles in.
const LIBRARIES: [&str; 2] =
    ["web/node_modules/htmx.org/dist/htmx.min.js", "web/node_modules/htmx.org/dist/ext/hx-sse.min.js"];

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    for file in LIBRARIES {
        if writeln!(out, "cargo::rerun-if-changed={file}").is_err() {
            return ExitCode::FAILURE;
        }
    }
    if LIBRARIES.iter().all(|file| Path::new(file).is_file()) {
        return ExitCode::SUCCESS;
    }
    let told = writeln!(
        out,
        "cargo::error=The libraries of the pages are missing: run `make build`, which fetches them with npm into web/node_modules."
    );
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
