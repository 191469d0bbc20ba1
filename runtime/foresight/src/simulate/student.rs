//! Student's t distribution: what a mean of few values is worth.

use super::stats::{Z, as_f64};
use std::f64::consts::PI;

/// From so many degrees of freedom on, the expansion has six digits and more.
const EXPANDED_FROM: u64 = 200;
/// Above the largest quantile, that of one degree of freedom.
const QUANTILE_MAX: f64 = 16.0;

/// The t between which and its negative 95 % lie, with so many degrees of freedom.
pub(super) fn quantile_95(freedom: u64) -> f64 {
    if freedom >= EXPANDED_FROM {
        return expanded(as_f64(freedom));
    }
    let (mut low, mut high) = (0.0, QUANTILE_MAX);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if within(middle, freedom) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The probability between -t and t: Abramowitz and Stegun, *Handbook of Mathematical Functions*,
/// 26.7.3 for odd and 26.7.4 for even degrees of freedom. The sums are finite and exact.
fn within(t: f64, freedom: u64) -> f64 {
    let angle = (t / as_f64(freedom).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    let (mut term, mut sum) = (if odd { cosine } else { 1.0 }, 0.0);
    let mut n = if odd { 3 } else { 2 };
    while n <= freedom {
        sum += term;
        term *= cosine * cosine * as_f64(n - 1) / as_f64(n);
        n += 2;
    }
    if odd {
        2.0 / PI * (angle + sine * sum)
    } else {
        sine * sum
    }
}

/// The expansion of the same book, 26.7.5.
fn expanded(freedom: f64) -> f64 {
    let z2 = Z * Z;
    let first = Z * (z2 + 1.0) / 4.0;
    let second = Z * ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
    Z + first / freedom + second / (freedom * freedom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, wanted) in [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (9, 2.262),
            (10, 2.228),
            (30, 2.042),
            (120, 1.980),
            (1_000_000, 1.960),
        ] {
            let found = quantile_95(freedom);
            assert!((found - wanted).abs() < 6e-4, "{freedom}: {found}");
        }
        let (below, above) = (quantile_95(EXPANDED_FROM - 1), quantile_95(EXPANDED_FROM));
        assert!(below > above && below - above < 1e-4, "{below}, {above}");
    }
}
