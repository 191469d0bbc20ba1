//! Quantiles, shares and their confidence intervals.

use super::student::quantile_95;
use serde::{Deserialize, Serialize};

/// The 97.5th percentile of the standard normal distribution: 95 % lie between it and its negative.
pub(super) const Z: f64 = 1.959_963_985;

/// Quantiles by nearest rank; all zero of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Of so many values.
    pub of: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Quantiles {
    /// Of these values, in any order.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        let rank = |permille: usize| {
            let rank = (values.len() * permille).div_ceil(1000).max(1);
            values.get(rank - 1).copied().unwrap_or(0)
        };
        Self {
            of: values.len() as u64,
            p50: rank(500),
            p90: rank(900),
            p99: rank(990),
            max: rank(1000),
        }
    }
}

/// So many of so many, with the interval in which the true share lies with 95 % confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// So many.
    pub count: u64,
    /// Of so many.
    pub of: u64,
    /// The share; 0 of none.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Share {
    /// With the interval of E. B. Wilson (1927), which also holds near 0 and 1.
    pub fn of(count: usize, of: usize) -> Self {
        let (count, of) = (count as u64, of as u64);
        if of == 0 {
            return Self {
                high: 1.0,
                ..Self::default()
            };
        }
        let (n, share) = (as_f64(of), as_f64(count) / as_f64(of));
        let z2 = Z * Z;
        let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
        Self {
            count,
            of,
            share: rounded(share),
            low: rounded((middle - half).max(0.0)),
            high: rounded((middle + half).min(1.0)),
        }
    }
}

/// Mean of differences, with its 95 % interval by Student's t.
pub(super) fn mean(differences: &[f64]) -> (f64, f64, f64) {
    let n = as_f64(differences.len() as u64);
    if differences.is_empty() {
        return (0.0, 0.0, 0.0);
    }
    let mean = differences.iter().sum::<f64>() / n;
    let squares: f64 = differences.iter().map(|d| (d - mean) * (d - mean)).sum();
    // Of one value nothing is known about the spread.
    let half = if differences.len() > 1 {
        quantile_95(differences.len() as u64 - 1) * (squares / (n - 1.0) / n).sqrt()
    } else {
        f64::MAX
    };
    (mean, mean - half, mean + half)
}

/// Six digits after the point: more would be noise, and the same everywhere.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1_000_000.0).round() / 1_000_000.0
}

pub(super) fn as_f64(number: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and milliseconds are below 2^53"
    )]
    let number = number as f64;
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_there_are() {
        let found = Quantiles::of((1..=100).rev());
        assert_eq!(
            (found.p50, found.p90, found.p99, found.max),
            (50, 90, 99, 100)
        );
        assert_eq!(Quantiles::of([7]).p99, 7);
        assert_eq!(Quantiles::of([]), Quantiles::default());
    }

    #[test]
    fn intervals_are_those_of_the_books() {
        // As scipy's `binomtest(8, 10).proportion_ci(method="wilson")`.
        let share = Share::of(8, 10);
        assert!((share.low - 0.490_162).abs() < 1e-5, "{share:?}");
        assert!((share.high - 0.943_318).abs() < 1e-5, "{share:?}");
        let none = Share::of(0, 50);
        assert!(
            none.low == 0.0 && (none.high - 0.071_347).abs() < 1e-4,
            "{none:?}"
        );
        let (middle, low, high) = mean(&[1.0, 2.0, 3.0]);
        // As scipy's `t.interval(0.95, 2, 2, sem([1, 2, 3]))`.
        assert!(middle == 2.0 && (low + 0.484_138).abs() < 1e-5, "{low}");
        assert!((high - 4.484_138).abs() < 1e-5, "{high}");
    }
}
