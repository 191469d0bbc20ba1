//! The real clock, and instants for people.

use wavegate_model::Timestamp;
use wavegate_ports::clock::Clock;

/// The clock of the operating system.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock before 1970 reads as 1970; instants only have to rise.
        Timestamp(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// `2026-01-31T12:00:00.123Z`.
pub(crate) fn utc(at: Timestamp) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| at.0.to_string(), |t| format!("{t:.3}"))
}

/// `12:00:00.123`, UTC.
pub(crate) fn time_of_day(at: Timestamp) -> String {
    let text = utc(at);
    text.get(11..23).unwrap_or(&text).to_owned()
}
