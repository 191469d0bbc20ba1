//! The standard normal distribution.

use core::f64::consts::{PI, SQRT_2};

/// Where the series ends and the continued fraction begins: both have converged to the last
/// digits there.
const SERIES_MAX: f64 = 2.5;
/// Terms of the continued fraction: at its worst argument sixty give all digits of a double.
const FRACTION_TERMS: u32 = 60;
/// Beyond it the density is smaller than any double.
const QUANTILE_MAX: f64 = 40.0;

/// P(Z > z), the survival function.
pub fn sf(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - sf(-z);
    }
    let x = z / SQRT_2;
    if x < SERIES_MAX {
        0.5 - 0.5 * erf_series(x)
    } else {
        0.5 * erfc_fraction(x)
    }
}

/// The z with P(Z > z) = p, for p below one half: bisection, because it is asked for once in
/// an evaluation.
pub fn upper_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (0.0, QUANTILE_MAX);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if sf(middle) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// erf by the series of Abramowitz and Stegun, *Handbook of Mathematical Functions*, 7.1.6.
/// All its terms are positive, so nothing is lost to cancellation.
fn erf_series(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    let mut odd = 1.0;
    while term > sum * f64::EPSILON * 0.25 {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// erfc by the continued fraction of the same book, 7.1.14, from its end.
fn erfc_fraction(x: f64) -> f64 {
    let mut rest = x;
    for term in (1..=FRACTION_TERMS).rev() {
        rest = x + 0.5 * f64::from(term) / rest;
    }
    (-x * x).exp() / (PI.sqrt() * rest)
}
