//! Owns how we stand to our own goal for letters: how long ago the last one went, and whether the next is near or late.
//!
//! Invariant: without a goal nothing is late.

use jiff::civil::Date;

/// Days left from which the next letter is near: a week to write it in.
const NEAR_DAYS: i64 = 7;

/// How an area stands to the goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No goal is set.
    NoGoal,
    /// The goal is set and nothing has been sent yet.
    Never,
    /// More than a week is left.
    InTime {
        /// Days left.
        left: i64,
    },
    /// A week or less is left.
    Near {
        /// Days left; 0 is today.
        left: i64,
    },
    /// The goal is missed.
    Late {
        /// Days since it should have gone.
        by: i64,
    },
}

/// Days from the last letter until today, as the calendar counts them.
#[must_use]
pub fn days_since(last: Date, today: Date) -> i64 {
    i64::from((today - last).get_days()).max(0)
}

/// How an area stands whose last letter went `days` ago, if any, when one is to go every `goal_days`; 0 is no goal.
#[must_use]
pub fn standing(days: Option<i64>, goal_days: u32) -> Standing {
    let Some(days) = days else {
        return if goal_days == 0 { Standing::NoGoal } else { Standing::Never };
    };
    match i64::from(goal_days) - days {
        _ if goal_days == 0 => Standing::NoGoal,
        left if left > NEAR_DAYS => Standing::InTime { left },
        left if left >= 0 => Standing::Near { left },
        late => Standing::Late { by: -late },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let date = |day| Date::constant(2026, 11, day);
        assert_eq!(days_since(date(1), date(24)), 23);
        assert_eq!(days_since(Date::constant(2025, 11, 24), date(24)), 365);
        assert_eq!(days_since(date(24), date(1)), 0);
    }

    #[test]
    fn a_goal_comes_near_and_is_missed() {
        for (days, goal, expected) in [
            (Some(400), 0, Standing::NoGoal),
            (None, 0, Standing::NoGoal),
            (None, 30, Standing::Never),
            (Some(0), 30, Standing::InTime { left: 30 }),
            (Some(22), 30, Standing::InTime { left: 8 }),
            (Some(23), 30, Standing::Near { left: 7 }),
            (Some(30), 30, Standing::Near { left: 0 }),
            (Some(34), 30, Standing::Late { by: 4 }),
        ] {
            assert_eq!(standing(days, goal), expected, "{days:?} {goal}");
        }
    }
}
