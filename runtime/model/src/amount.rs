//! Counts, percentages and shares, with their rounding.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A share in permille, 0 to 1000.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Permille(pub u32);

impl Permille {
    /// Everything.
    pub const ALL: Self = Self(1000);
    /// Nothing.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for Permille {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(10) {
            write!(f, "{}%", self.0 / 10)
        } else {
            write!(f, "{}.{}%", self.0 / 10, self.0 % 10)
        }
    }
}

/// So many, or so many of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// A count.
    Count(u32),
    /// A percentage, kept in permille.
    Percent(Permille),
}

impl Amount {
    /// For batch sizes: rounds up, and a batch is at least one node (of a total above 0).
    pub fn rounded_up(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(p) => scale(p, total, 999),
        }
    }

    /// For failure budgets and unavailability: rounds down.
    pub fn rounded_down(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(p) => scale(p, total, 0),
        }
    }

    /// Parses `3` or `25%` or `12.5%`.
    pub fn parse(text: &str) -> Result<Self, NotAnAmount> {
        let fail = || NotAnAmount(String::from(text));
        let text = text.trim();
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Self::Count).map_err(|_| fail());
        };
        let (whole, tenth) = percent.split_once('.').unwrap_or((percent, "0"));
        if tenth.len() != 1 {
            return Err(fail());
        }
        let whole: u32 = whole.parse().map_err(|_| fail())?;
        let tenth: u32 = tenth.parse().map_err(|_| fail())?;
        let permille = whole
            .checked_mul(10)
            .and_then(|w| w.checked_add(tenth))
            .ok_or_else(fail)?;
        if permille > 1000 {
            Err(fail())
        } else {
            Ok(Self::Percent(Permille(permille)))
        }
    }
}

/// `total * share / 1000`, after `bias` was added to the product: 999 rounds up, 0 down.
fn scale(share: Permille, total: u32, bias: u64) -> u32 {
    let product = u64::from(total) * u64::from(share.0) + bias;
    // A share of at most 1000 gives at most `total`, which is a u32.
    u32::try_from(product / 1000).unwrap_or(total)
}

/// The text is neither a count nor a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a count nor a percentage: write `3`, `25%` or `12.5%`")]
pub struct NotAnAmount(pub String);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(p) => p.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_round_down_and_batches_up() {
        let quarter = Amount::parse("25%").unwrap();
        assert_eq!((quarter.rounded_down(7), quarter.rounded_up(7)), (1, 2));
        assert_eq!((quarter.rounded_down(4), quarter.rounded_up(4)), (1, 1));
        assert_eq!((quarter.rounded_down(1), quarter.rounded_up(1)), (0, 1));
        assert_eq!(
            Amount::parse("12.5%").unwrap(),
            Amount::Percent(Permille(125))
        );
        for bad in ["", "x", "-1", "101%", "1.25%", "1.%", "%"] {
            assert!(Amount::parse(bad).is_err(), "{bad}");
        }
    }
}
