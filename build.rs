//! Owns what the pages load before it is compiled in: whether the libraries are there, and our own style and scripts without
//! comments and blanks.
//!
//! Libraries and the tool that shortens come from npm and are not kept in the repository. It fetches nothing by itself. Invariant: what
//! is compiled in is what `web/` and its `package-lock.json` name.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What `src/web/pages/assets.rs` compiles in as it is.
const LIBRARIES: [&str; 2] =
    ["web/node_modules/htmx.org/dist/htmx.min.js", "web/node_modules/htmx.org/dist/ext/hx-sse.min.js"];
/// What it compiles in shortened.
const OWN: [&str; 8] = [
    "web/answer.js",
    "web/app.css",
    "web/app.js",
    "web/keys.js",
    "web/own.css",
    "web/own.js",
    "web/passkey.js",
    "web/sound.js",
];

fn main() -> ExitCode {
    let told = match build() {
        Ok(()) => Ok(()),
        Err(fault) => writeln!(std::io::stdout(), "cargo::error={fault}"),
    };
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn build() -> Result<(), String> {
    let shortener = shortener();
    let mut out = std::io::stdout().lock();
    for file in LIBRARIES.iter().chain(&OWN).copied().chain([shortener.as_str()]) {
        writeln!(out, "cargo::rerun-if-changed={file}").map_err(|error| error.to_string())?;
    }
    if !LIBRARIES.iter().copied().chain([shortener.as_str()]).all(|file| Path::new(file).is_file()) {
        return Err("The libraries of the pages are missing: run `make build`, which fetches them with npm into \
                    web/node_modules."
            .to_owned());
    }
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    let shortened = Command::new(&shortener)
        .args(OWN)
        .args(["--minify", "--charset=utf8", "--log-level=warning", "--allow-overwrite"])
        .arg(format!("--outdir={}", folder.display()))
        .output()
        .map_err(|error| format!("{shortener} does not start: {error}"))?;
    if shortened.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&shortened.stderr).replace('\n', " ");
    Err(format!("{shortener} refused the pages' own files: {words}"))
}

/// What shortens: esbuild's own program for this machine, so that neither node nor a script of a package runs here.
fn shortener() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("web/node_modules/@esbuild/{os}-{processor}/bin/esbuild")
}
