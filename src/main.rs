//! The `grannpost` program: hands its arguments to [`grannpost::cli`].

fn main() {}
