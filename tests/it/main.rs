//! The integration binary.

fn main() {}
