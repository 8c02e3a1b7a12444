//! Owns the figures of an audience: whom a message would reach and whom not.
//!
//! Invariant: `contact_persons` = those reached on a channel + `not_reached`.

/// Persons and households in one area itself, without what lies below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Population {
    /// Contact persons.
    pub contact_persons: i64,
    /// Households behind them.
    pub households: i64,
    /// Contact persons that can get an SMS.
    pub by_sms: i64,
}

/// Whom an alert reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlertAudience {
    /// Contact persons in the areas.
    pub contact_persons: i64,
    /// Households behind them.
    pub households: i64,
    /// Contact persons that can get an SMS.
    pub by_sms: i64,
    /// Households behind those.
    pub households_by_sms: i64,
    /// Contact persons that cannot.
    pub not_reached: i64,
}

/// Whom a letter reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LetterAudience {
    /// Contact persons in the areas.
    pub contact_persons: i64,
    /// Households behind them.
    pub households: i64,
    /// Contact persons that get it by e-mail.
    pub by_email: i64,
    /// Contact persons that get it on paper.
    pub on_paper: i64,
    /// Contact persons that get none.
    pub not_reached: i64,
}
