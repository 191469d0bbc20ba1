//! Units for configurations: amounts, shares, ratios and durations, as people write them.
//!
//! Each type reads itself with serde and comes with a pattern for a JSON Schema.

use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// A share in permille, written as a percentage such as `"25%"` or `"0.5%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    permille: u32,
}

impl Percent {
    /// All of it.
    pub const WHOLE: Self = Self { permille: 1000 };

    /// The share in permille, 0 to 1000.
    pub fn permille(self) -> u32 {
        self.permille
    }

    /// This share of a count, rounded up.
    pub fn of(self, count: u32) -> u32 {
        let exact = u64::from(count) * u64::from(self.permille);
        u32::try_from(exact.div_ceil(1000)).unwrap_or(u32::MAX)
    }

    /// Reads `25%` or `0.5%`: at most one decimal, because shares are whole permille.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let (whole, tenths) = match number.split_once('.') {
            Some((whole, tenths)) if tenths.len() == 1 => (whole, digits(tenths)?),
            Some(_) => return None,
            None => (number, 0),
        };
        let permille = digits(whole)?.checked_mul(10)?.checked_add(tenths)?;
        (permille <= 1000).then_some(Self { permille })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenths) = (self.permille / 10, self.permille % 10);
        match tenths {
            0 => write!(f, "{whole} %"),
            _ => write!(f, "{whole}.{tenths} %"),
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text {
            expected: "a percentage from \"0%\" to \"100%\" with at most one decimal",
            parse: Self::parse,
        })
    }
}

/// A count such as `3`, or a percentage such as `"25%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// A share of the whole.
    Percent(Percent),
}

impl Amount {
    /// The number out of `total`, rounded up and never more than `total`. A percentage above
    /// zero gives at least 1 where there is one to give.
    pub fn of(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(total),
            Self::Percent(percent) => percent.of(total),
        }
    }

    /// Whether it is nothing for every total.
    pub fn is_zero(self) -> bool {
        match self {
            Self::Count(count) => count == 0,
            Self::Percent(percent) => percent.permille == 0,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => percent.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;
        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count, or a percentage such as \"25%\"")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Amount, E> {
                u32::try_from(value)
                    .map(Amount::Count)
                    .map_err(|_| E::custom("the count is too large"))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Amount, E> {
                Percent::parse(value)
                    .map(Amount::Percent)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(value), &self))
            }
        }
        deserializer.deserialize_any(AmountVisitor)
    }
}

/// A ratio from 0 to 1, written as a percentage such as `"99.95%"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// The ratio, 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Reads `99%` or `99.95%`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        // Shifting the decimal point before reading gives the number nearest to the ratio
        // that was written; dividing by 100 afterwards would not.
        let ratio: f64 = plain.then(|| format!("{number}e-2").parse().ok())??;
        (ratio <= 1.0).then_some(Self(ratio))
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text {
            expected: "a percentage from \"0%\" to \"100%\"",
            parse: Self::parse,
        })
    }
}

/// A duration in milliseconds, written as `"500ms"`, `"10s"`, `"5m"`, `"2h"`, `"1d"` or a
/// sum of these such as `"1m30s"`. At most 40 days, as everywhere in Wavegate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(u32);

impl Millis {
    /// The longest duration: 40 days, which fits well into 32 bits of milliseconds.
    pub const MAX: Self = Self(40 * 24 * 60 * 60 * 1000);

    /// The number of milliseconds.
    pub fn get(self) -> u32 {
        self.0
    }

    /// So many seconds; more than the longest duration is the longest duration.
    pub const fn from_secs(secs: u32) -> Self {
        let ms = secs.saturating_mul(1000);
        Self(if ms > Self::MAX.0 { Self::MAX.0 } else { ms })
    }

    /// Reads `500ms` or `1m30s`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut sum: u32 = 0;
        while !rest.is_empty() {
            let number_len = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(number_len);
            let unit_len = after.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, after) = after.split_at(unit_len);
            let unit_ms = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60 * 1000,
                "h" => 60 * 60 * 1000,
                "d" => 24 * 60 * 60 * 1000,
                _ => return None,
            };
            sum = sum.checked_add(digits(number)?.checked_mul(unit_ms)?)?;
            rest = after;
        }
        (!text.is_empty() && sum <= Self::MAX.0).then_some(Self(sum))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0 {
            0 => (0, "s"),
            ms if ms % (60 * 60 * 1000) == 0 => (ms / (60 * 60 * 1000), "h"),
            ms if ms % (60 * 1000) == 0 => (ms / (60 * 1000), "m"),
            ms if ms % 1000 == 0 => (ms / 1000, "s"),
            ms => (ms, "ms"),
        };
        write!(f, "{value} {unit}")
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text {
            expected: "a duration up to 40 days such as \"500ms\", \"10s\" or \"1m30s\"",
            parse: Self::parse,
        })
    }
}

/// A number for people: at most six decimals, and no zeros at the end.
pub fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads a value from a string by a function.
struct Text<T> {
    expected: &'static str,
    parse: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        (self.parse)(value)
            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(value), &self))
    }
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        for (text, permille) in [("25%", 250), ("0.5%", 5), ("100%", 1000), ("0%", 0)] {
            assert_eq!(Percent::parse(text).map(Percent::permille), Some(permille));
        }
        for text in [
            "", "%", "25", "101%", "100.1%", "1.25%", "-1%", "1 %", "+1%",
        ] {
            assert_eq!(Percent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_round_up_and_stay_within_the_total() {
        let read = |text: &str| serde_json::from_str::<Amount>(text).expect(text);
        assert_eq!(read("\"25%\"").of(4), 1);
        assert_eq!(read("\"1%\"").of(4), 1);
        assert_eq!(read("\"26%\"").of(4), 2);
        assert_eq!(read("\"1%\"").of(0), 0);
        assert_eq!(read("9").of(4), 4);
        assert!(serde_json::from_str::<Amount>("-1").is_err());
        assert!(serde_json::from_str::<Amount>("1.5").is_err());
    }

    #[test]
    fn ratios() {
        assert_eq!(Ratio::parse("99%").map(Ratio::get), Some(0.99));
        assert_eq!(Ratio::parse("99.9%").map(Ratio::get), Some(999.0 / 1000.0));
        assert_eq!(number(0.99), "0.99");
        assert_eq!(number(500.0), "500");
        assert_eq!(number(2.0 / 3.0), "0.666667");
        for text in ["99", "100.5%", "nan%", "inf%", "1e1%", "-1%", "%"] {
            assert_eq!(Ratio::parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("40d", 3_456_000_000),
        ] {
            assert_eq!(Millis::parse(text).map(Millis::get), Some(ms), "{text}");
        }
        for text in ["", "10", "ms", "41d", "1w", "1.5s", "s1", "99999999999s"] {
            assert_eq!(Millis::parse(text), None, "{text}");
        }
        assert_eq!(
            Millis::parse("90s").map(|ms| ms.to_string()),
            Some("90 s".into())
        );
        assert_eq!(
            Millis::parse("120s").map(|ms| ms.to_string()),
            Some("2 m".into())
        );
    }
}
