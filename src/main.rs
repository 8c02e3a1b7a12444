//! The `grannpost` program: hands its arguments to [`grannpost::cli`].

use std::process::ExitCode;

/// A tenth of a dispatch's time went to the allocator of the C library (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    grannpost::cli::main()
}
