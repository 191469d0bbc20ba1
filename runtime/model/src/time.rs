//! Instants and durations, both in milliseconds.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// An instant: milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Time from `earlier` to this instant; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0))
    }

    /// This instant and a duration.
    #[must_use]
    pub fn plus(self, duration: DurationMs) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

/// A duration in milliseconds. Documents refuse more than [`DurationMs::MAX`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct DurationMs(pub u64);

impl DurationMs {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// 40 days: fits into the contract's `u32` milliseconds (49.7 days) with room for sums.
    pub const MAX: Self = Self(40 * 24 * 3600 * 1000);

    /// A duration in seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// The contract's `u32` milliseconds; saturates.
    pub fn as_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    /// Sum; saturates.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference, at least zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Parses `500ms`, `30s`, `5m`, `2h`, `1d`, or a sum such as `1h30m`.
    pub fn parse(text: &str) -> Result<Self, NotADuration> {
        let fail = || NotADuration(String::from(text));
        let mut total: u64 = 0;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(fail());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let value: u64 = rest[..digits].parse().map_err(|_| fail())?;
            rest = &rest[digits..];
            let unit_len = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let factor = match &rest[..unit_len] {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(fail()),
            };
            rest = &rest[unit_len..];
            total = value
                .checked_mul(factor)
                .and_then(|part| total.checked_add(part))
                .ok_or_else(fail)?;
        }
        if total > Self::MAX.0 {
            Err(fail())
        } else {
            Ok(Self(total))
        }
    }
}

/// The text is not a duration, or a longer one than documents may say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a duration: write `500ms`, `30s`, `5m`, `2h`, `1d` or a sum such as `1h30m`, at most 40d"
)]
pub struct NotADuration(pub String);

impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        match ms {
            0 => f.write_str("0s"),
            1..1000 => write!(f, "{ms}ms"),
            1000..60_000 if ms.is_multiple_of(1000) => write!(f, "{}s", ms / 1000),
            1000..60_000 => write!(f, "{}.{}s", ms / 1000, ms % 1000 / 100),
            60_000..3_600_000 => write!(f, "{}m{:02}s", ms / 60_000, ms % 60_000 / 1000),
            _ => write!(f, "{}h{:02}m", ms / 3_600_000, ms % 3_600_000 / 60_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn durations_are_read_and_written() {
        assert_eq!(DurationMs::parse("1h30m").unwrap(), DurationMs(5_400_000));
        assert_eq!(DurationMs::parse("500ms").unwrap().to_string(), "500ms");
        assert_eq!(DurationMs(1500).to_string(), "1.5s");
        assert!(DurationMs::parse("5").is_err());
        assert!(DurationMs::parse("").is_err());
        assert!(DurationMs::parse("41d").is_err());
        assert!(DurationMs::parse("-1s").is_err());
    }
}
