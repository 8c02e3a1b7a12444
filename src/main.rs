//! The `grannpost` program: hands its arguments to [`grannpost::cli`].

use std::process::ExitCode;

/// An eighth of the time of a dispatch went to the allocator of the C library (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    grannpost::cli::main()
}
