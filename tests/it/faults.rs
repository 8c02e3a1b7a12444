//! The faults that have no story of their own elsewhere, and the inventory of all of them (`docs/faults.md`).
