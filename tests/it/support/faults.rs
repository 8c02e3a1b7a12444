//! How large fault stories are, and where their figures go: small in `make test`, large in `make test-faults`
//! (`docs/faults.md`).

use std::io::Write as _;

/// Whether the whole is run and not the quick part.
pub fn is_full() -> bool {
    std::env::var("GRANNPOST_FAULTS").is_ok_and(|how| how == "full")
}

/// `quick` or `full`, whichever is run.
pub fn sized(quick: u64, full: u64) -> u64 {
    if is_full() { full } else { quick }
}

/// The seeds of a story's runs, one after the other from `GRANNPOST_FAULTS_SEED` on, so that a run can be replayed alone.
pub fn seeds(quick: u64, full: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let first = number("GRANNPOST_FAULTS_SEED").unwrap_or(0);
    first..first + number("GRANNPOST_FAULTS_RUNS").unwrap_or_else(|| sized(quick, full))
}

/// A small generator, so that a seed replays its run.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(0x9e37_79b9))
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

/// One line of the table: which row of faults.md, on what, which seeds, and what was measured. A story that fails never comes
/// here, and the table says so by what the test run says.
pub fn tell(row: &str, database: &str, seeds: &std::ops::Range<u64>, figure: &str) {
    let runs = seeds.end - seeds.start;
    eprintln!("{row} on {database}: {runs} runs from seed {}: {figure}", seeds.start);
    if let Ok(file) = std::env::var("GRANNPOST_FAULTS_FIGURES") {
        let mut file = std::fs::File::options().create(true).append(true).open(file).unwrap();
        writeln!(file, "{row}\t{database}\t{}\t{runs}\t{figure}", seeds.start).unwrap();
    }
}

/// A fault that this machine does not let us make: the row says so plainly.
pub fn not_here(row: &str, database: &str, why: &str) {
    eprintln!("{row} on {database}: not run here: {why}");
    if let Ok(file) = std::env::var("GRANNPOST_FAULTS_FIGURES") {
        let mut file = std::fs::File::options().create(true).append(true).open(file).unwrap();
        writeln!(file, "{row}\t{database}\t-\t0\tnot run here: {why}").unwrap();
    }
}
