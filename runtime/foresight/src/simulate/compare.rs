//! Two ways to roll out, over the same worlds.
//!
//! Run by run both meet the same releases, fleets and days, so that what differs between them is
//! what they do. The difference of each run is one value; its mean has a confidence interval.

use super::stats::{as_f64, mean, rounded};
use super::tally::{Run, Told};
use serde::{Deserialize, Serialize};

/// What differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The difference of each figure: the second subject's minus the first's.
    pub differences: Vec<Difference>,
}

/// How a figure differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Which figure.
    pub figure: String,
    /// `share` or `ms` or `count`.
    pub unit: String,
    /// Pairs of runs that it rests on.
    pub pairs: u64,
    /// Of the first subject, its mean.
    pub first: f64,
    /// Of the second.
    pub second: f64,
    /// The second's minus the first's, in the mean.
    pub difference: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether no difference would look like this as well: the interval has zero in it, or the
    /// pairs are too few to tell.
    pub noise: bool,
}

/// Pairs below which nothing is called a difference, however alike they are: of six that differ
/// by chance alone, all point one way in 1 of 32 cases, and of five in 1 of 16.
pub(super) const PAIRS_MIN: usize = 6;

/// A figure of a run; none of a run that it says nothing about.
type Figure = fn(&Run) -> Option<f64>;

fn bad(run: &Run) -> Option<&Run> {
    run.fault.is_some().then_some(run)
}

fn is(yes: bool) -> Option<f64> {
    Some(f64::from(u8::from(yes)))
}

const FIGURES: &[(&str, &str, Figure)] = &[
    ("false alarms among good releases", "share", |run| {
        if run.fault.is_some() {
            None
        } else {
            is(run.told == Told::FalseAlarm)
        }
    }),
    ("bad releases caught", "share", |run| {
        is(bad(run)?.told == Told::Caught)
    }),
    ("bad releases missed", "share", |run| {
        is(bad(run)?.told == Told::Missed)
    }),
    ("time to done of good releases", "ms", |run| {
        (run.told == Told::Good).then(|| as_f64(run.took_ms))
    }),
    ("nodes exposed to a bad release", "count", |run| {
        Some(f64::from(bad(run)?.before_stop.nodes))
    }),
    ("requests that a bad release got", "count", |run| {
        Some(as_f64(bad(run)?.before_stop.requests))
    }),
    ("requests that a bad release spoiled", "count", |run| {
        Some(as_f64(bad(run)?.in_all.harmed))
    }),
];

impl Comparison {
    /// Of the runs of two subjects over the same worlds.
    pub fn of(first: &[Run], second: &[Run]) -> Self {
        let differences = FIGURES.iter().map(|(figure, unit, value)| {
            let pairs = first
                .iter()
                .zip(second)
                .filter_map(|(a, b)| Some((value(a)?, value(b)?)));
            let pairs: Vec<(f64, f64)> = pairs.collect();
            difference(figure, unit, &pairs)
        });
        Self {
            differences: differences.collect(),
        }
    }
}

fn difference(figure: &str, unit: &str, pairs: &[(f64, f64)]) -> Difference {
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| b - a).collect();
    let (middle, mut low, mut high) = mean(&differences);
    let n = as_f64(pairs.len() as u64);
    if unit == "share" && differences.iter().all(|d| *d == differences[0]) {
        // Nothing varies, and that proves little: a share of up to 3 in n would show as none in
        // one of twenty cases (the rule of three).
        let unseen = if n > 0.0 { (3.0 / n).min(1.0) } else { 1.0 };
        (low, high) = (middle - unseen, middle + unseen);
    }
    let side = |of: fn(&(f64, f64)) -> f64| {
        if pairs.is_empty() {
            0.0
        } else {
            pairs.iter().map(of).sum::<f64>() / n
        }
    };
    let bound = |value: f64| rounded(value.clamp(-1e15, 1e15));
    Difference {
        figure: figure.to_owned(),
        unit: unit.to_owned(),
        pairs: pairs.len() as u64,
        first: rounded(side(|pair| pair.0)),
        second: rounded(side(|pair| pair.1)),
        difference: rounded(middle),
        low: bound(low),
        high: bound(high),
        noise: pairs.len() < PAIRS_MIN || (low <= 0.0 && high >= 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chance_would_do_as_well_is_noise() {
        let pairs = |n: u32, wins: u32| -> Vec<(f64, f64)> {
            (0..n)
                .map(|i| (0.0, f64::from(u8::from(i < wins))))
                .collect()
        };
        assert!(difference("x", "share", &pairs(100, 2)).noise);
        let clear = difference("x", "share", &pairs(100, 20));
        assert!(!clear.noise && clear.difference == 0.2, "{clear:?}");
        assert!(clear.low < 0.2 && clear.high > 0.2);
        assert!(
            difference("x", "share", &pairs(100, 0)).noise,
            "no run differs"
        );
        assert!(
            !difference("x", "share", &pairs(100, 100)).noise,
            "every run does"
        );
        assert!(
            difference("x", "share", &pairs(2, 2)).noise,
            "two runs say nothing"
        );
        assert!(difference("x", "ms", &[]).noise, "nor do none");
        assert!(difference("x", "ms", &[(1.0, 5.0)]).noise, "nor does one");
        let alike = |n: usize| difference("x", "count", &vec![(1.0, 5.0); n]);
        assert!(alike(5).noise, "few that are all alike, nor they");
        assert!(!alike(6).noise, "more do");
        // Within 1.96 standard errors of zero these are not, and within Student's 2.571 they are.
        let spread: Vec<(f64, f64)> = [0.0, 0.0, 1.0, 2.0, 4.0, 6.0].map(|d| (0.0, d)).into();
        assert!(difference("x", "count", &spread).noise, "a wide spread");
    }
}
