//! When a rollout may go on, and when it stands still.

use crate::time::{DurationMs, Timestamp};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What a policy says about windows and freezes, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRules {
    /// Name of the time zone (IANA) that patterns and local times are meant in.
    pub time_zone: String,
    /// The rollout may go on while one of these is open; at any time if there is none.
    pub open: Vec<OpenRule>,
    /// It may not go on during these, whatever is open.
    pub freezes: Vec<Freeze>,
}

/// A window that opens again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRule {
    /// When it opens: a cron pattern of five fields.
    pub cron: String,
    /// How long it stays open, in elapsed time.
    pub length: DurationMs,
}

/// A time in which nothing goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// Rules as instants, from the start of a rollout on. What a rollout does depends on these alone,
/// so it is the same wherever its journal is read, whatever is known of time zones there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Sorted, none touches the next.
    pub closed: Vec<Closed>,
}

/// A time in which nothing new starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it; none if it has no end.
    pub to: Option<Timestamp>,
    /// Why, for people.
    pub why: String,
}

impl Windows {
    /// What is closed at an instant, if anything is.
    pub fn closed_at(&self, now: Timestamp) -> Option<&Closed> {
        let next = self.closed.partition_point(|closed| closed.from <= now);
        let last = &self.closed[next.checked_sub(1)?];
        last.to.is_none_or(|to| now < to).then_some(last)
    }

    /// The first instant after `now` at which it closes or opens; none if that never happens.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        if let Some(closed) = self.closed_at(now) {
            return closed.to;
        }
        let next = self.closed.partition_point(|closed| closed.from <= now);
        self.closed.get(next).map(|closed| closed.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_in_one_closed_time_or_in_none() {
        let closed = |from, to| Closed {
            from: Timestamp(from),
            to,
            why: String::new(),
        };
        let windows = Windows {
            closed: alloc::vec![closed(10, Some(Timestamp(20))), closed(30, None)],
        };
        let at = |now| windows.closed_at(Timestamp(now)).map(|c| c.from.0);
        let next = |now| windows.next_change(Timestamp(now)).map(|t| t.0);
        assert_eq!((at(9), next(9)), (None, Some(10)));
        assert_eq!((at(10), next(10)), (Some(10), Some(20)));
        assert_eq!((at(19), next(19)), (Some(10), Some(20)));
        assert_eq!((at(20), next(20)), (None, Some(30)));
        assert_eq!((at(30), next(99)), (Some(30), None));
        assert_eq!(Windows::default().next_change(Timestamp(0)), None);
    }
}
