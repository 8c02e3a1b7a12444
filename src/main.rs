//! The `grannpost` program: hands its arguments to [`grannpost::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    grannpost::cli::main()
}
