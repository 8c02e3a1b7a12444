//! Benches of the whole engine.

fn main() {}
