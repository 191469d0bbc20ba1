//! The test of Mann and Whitney, with its effect sizes.
//!
//! - H. B. Mann, D. R. Whitney: *On a test of whether one of two random variables is
//!   stochastically larger than the other*. Annals of Mathematical Statistics 18, 1947: the
//!   statistic U, its exact distribution by recursion, and the normal approximation.
//! - Correction of the variance for ties, and correction for continuity: E. L. Lehmann,
//!   *Nonparametrics*, 1975, section 1.2 to 1.4; as in scipy's `mannwhitneyu`.
//! - Probability of superiority: K. O. McGraw, S. P. Wong, *A common language effect size
//!   statistic*, 1992; with ties counted half, A. Vargha, H. D. Delaney, 2000.
//! - Rank-biserial correlation: E. E. Cureton, 1956; D. S. Kerby, *The simple difference
//!   formula*, 2014.
//!
//! What is promised: if both sides are independent samples of one distribution, a p-value of
//! at most α comes up with probability α at most, once. Looking again and again at a growing
//! sample breaks that promise; [`sequential`](crate::sequential) keeps one.

use crate::normal;

/// Up to this product of the sizes the exact distribution is used, if no two samples are
/// equal: some ten thousand additions at most, and beyond it the approximation is as good.
const EXACT_PRODUCT_MAX: usize = 400;

/// A sorted sample without anything that is not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    /// Sorts; leaves out what is not finite.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        // Integers in the order of the numbers: compared and moved faster.
        let mut keys: Vec<i64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            // Without a negative zero, which would be another number in this order.
            .map(|value| in_order((value + 0.0).to_bits().cast_signed()))
            .collect();
        keys.sort_unstable();
        let back = |key: i64| f64::from_bits(in_order(key).cast_unsigned());
        Self(keys.into_iter().map(back).collect())
    }

    /// The values, ascending.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The same with a function on each value that keeps the order.
    #[must_use]
    pub fn map(&self, keeps_order: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().copied().map(keeps_order).collect())
    }

    /// With the other sign.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self(self.0.iter().rev().map(|value| 0.0 - value).collect())
    }

    /// The value that all samples have, if it is one.
    pub fn constant(&self) -> Option<f64> {
        let (first, last) = (self.0.first()?, self.0.last()?);
        (first == last).then_some(*first)
    }

    /// The middle value, or the mean of the two in the middle.
    pub fn median(&self) -> Option<f64> {
        let (low, high) = (
            self.0.get((self.0.len().checked_sub(1)?) / 2)?,
            self.0[self.0.len() / 2],
        );
        Some(low + (high - low) / 2.0)
    }
}

/// Bits of a double against an integer that sorts alike, and back.
fn in_order(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// How a p-value is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// From the exact distribution of U.
    Exact,
    /// From the normal approximation, corrected for ties and continuity.
    Asymptotic,
}

/// The statistic of two samples, and what its distribution depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Pairs of which the first sample's is the larger, ties half.
    pub u: f64,
    n: usize,
    m: usize,
    /// Sum of t³ − t over groups of t equal samples.
    ties: f64,
}

impl Ranked {
    /// Ranks both samples together.
    pub fn new(x: &Sorted, y: &Sorted) -> Self {
        let (x, y) = (x.values(), y.values());
        let (mut i, mut j) = (0, 0);
        let (mut u, mut ties) = (0.0, 0.0);
        while i < x.len() {
            let value = x[i];
            // Groups of equal values in y below this one; they count only as ties.
            while j < y.len() && y[j] < value {
                let run = run(&y[j..], y[j]);
                ties += excess(run);
                j += run;
            }
            let in_x = run(&x[i..], value);
            let in_y = run(&y[j..], value);
            u += float(in_x) * (float(j) + 0.5 * float(in_y));
            ties += excess(in_x + in_y);
            i += in_x;
            j += in_y;
        }
        while j < y.len() {
            let run = run(&y[j..], y[j]);
            ties += excess(run);
            j += run;
        }
        Self {
            u,
            n: x.len(),
            m: y.len(),
            ties,
        }
    }

    /// As if no sample of one side equalled one of the other: ties within each side only.
    pub(crate) fn apart(x: &Sorted, y: &Sorted) -> Self {
        let within = |values: &[f64]| -> f64 {
            let groups = values.chunk_by(|a, b| a == b);
            groups.map(|group| excess(group.len())).sum()
        };
        Self {
            u: 0.0,
            n: x.values().len(),
            m: y.values().len(),
            ties: within(x.values()) + within(y.values()),
        }
    }

    /// The same of the samples with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            u: self.pairs() - self.u,
            ..self
        }
    }

    /// The method for these samples.
    pub fn method(&self) -> Method {
        match self.ties == 0.0 && self.n * self.m <= EXACT_PRODUCT_MAX {
            true => Method::Exact,
            false => Method::Asymptotic,
        }
    }

    /// Probability of a U as large as this or larger, if both samples are of one distribution.
    pub fn p_greater(&self, method: Method) -> f64 {
        self.p_at_least(self.u, method)
    }

    /// Probability of a U as small as this or smaller.
    pub fn p_less(&self, method: Method) -> f64 {
        self.p_at_least(self.pairs() - self.u, method)
    }

    /// Probability of a U as far from its mean as this or farther.
    pub fn p_two_sided(&self, method: Method) -> f64 {
        let larger = self.u.max(self.pairs() - self.u);
        (2.0 * self.p_at_least(larger, method)).min(1.0)
    }

    /// P(X > Y) + P(X = Y) / 2: the probability of superiority, or common language effect size.
    pub fn superiority(&self) -> f64 {
        self.u / self.pairs()
    }

    /// From −1, all of the first sample below the second, to 1, all above.
    pub fn rank_biserial(&self) -> f64 {
        2.0 * self.superiority() - 1.0
    }

    fn pairs(&self) -> f64 {
        float(self.n) * float(self.m)
    }

    fn p_at_least(&self, u: f64, method: Method) -> f64 {
        match method {
            Method::Exact => Exact::new(self.n, self.m).at_least(u),
            Method::Asymptotic => {
                let z = (u - 0.5 * self.pairs() - 0.5) / self.deviation();
                // All samples equal: no order says anything.
                if z.is_finite() { normal::sf(z) } else { 1.0 }
            }
        }
    }

    /// Standard deviation of U, corrected for ties.
    pub(crate) fn deviation(&self) -> f64 {
        let all = float(self.n + self.m);
        let tied = self.ties / (all * (all - 1.0));
        (self.pairs() / 12.0 * ((all + 1.0) - tied)).max(0.0).sqrt()
    }
}

/// The exact distribution of U without ties.
#[derive(Clone, Debug)]
pub(crate) struct Exact {
    /// P(U ≥ u) for each u.
    tail: Vec<f64>,
}

impl Exact {
    /// By the recursion of Mann and Whitney: the largest of all samples is of the first kind
    /// with probability n / (n + m), and then above all m others.
    pub(crate) fn new(n: usize, m: usize) -> Self {
        // Distributions for one count of the first kind and all counts of the second.
        let mut row: Vec<Vec<f64>> = (0..=m).map(|_| vec![1.0]).collect();
        for i in 1..=n {
            let mut next: Vec<Vec<f64>> = vec![vec![1.0]];
            for j in 1..=m {
                let mut with = vec![0.0; i * j + 1];
                let first = float(i) / float(i + j);
                for (u, p) in row[j].iter().enumerate() {
                    with[u + j] += first * p;
                }
                for (u, p) in next[j - 1].iter().enumerate() {
                    with[u] += (1.0 - first) * p;
                }
                next.push(with);
            }
            row = next;
        }
        let mut tail = row.pop().unwrap_or_default();
        let mut sum = 0.0;
        for p in tail.iter_mut().rev() {
            sum += *p;
            *p = sum;
        }
        Self { tail }
    }

    /// P(U ≥ u).
    pub(crate) fn at_least(&self, u: f64) -> f64 {
        let tail = self.tail.iter().enumerate();
        let mut at = tail.skip_while(|(value, _)| float(*value) < u);
        at.next().map_or(0.0, |(_, p)| p.min(1.0))
    }
}

/// How many values at the beginning equal this one.
fn run(values: &[f64], value: f64) -> usize {
    let equal = values.iter().take_while(|other| **other == value);
    equal.count()
}

/// t³ − t.
fn excess(run: usize) -> f64 {
    if run < 2 {
        return 0.0;
    }
    let run = float(run);
    run * (run * run - 1.0)
}

/// A count as a number; counts here are far below 2⁵³.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples, and of their pairs, are far below 2^53"
)]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}
