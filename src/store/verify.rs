//! Owns what `verify` reads.
