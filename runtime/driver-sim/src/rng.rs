//! Randomness from a seed: a stream for what happens once, and hashes for what is looked at again.

/// Mixes the bits of a number (the last step of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A seed for something within what another seed is for.
pub(crate) fn within(seed: u64, what: u64) -> u64 {
    mix(seed ^ mix(what))
}

/// A stream of random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        let number = mix(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        number
    }

    /// Above 0 and below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit into a float")]
        let number = (self.next() >> 11) as f64;
        (number + 0.5) / 9_007_199_254_740_992.0
    }

    /// True in so many of a thousand cases.
    pub fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.unit() * 1000.0 < f64::from(permille)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// From the normal distribution (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let (one, other) = (self.unit(), self.unit());
        (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
    }

    /// From the exponential distribution with this mean, in milliseconds.
    pub fn wait(&mut self, mean: u64) -> u64 {
        millis(-self.unit().ln() * as_f64(mean))
    }

    /// From the log-normal distribution with this median and 95th percentile, in milliseconds.
    pub(crate) fn around(&mut self, median: u64, p95: u64) -> u64 {
        let (median, p95) = (as_f64(median.max(1)), as_f64(p95.max(1)));
        // The 95th percentile of a standard normal distribution.
        let sigma = (p95 / median).ln().max(0.0) / 1.644_853_627;
        millis(median * (sigma * self.normal()).exp())
    }

    /// From the Poisson distribution with this mean.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        if mean <= 0.0 {
            return 0;
        }
        if mean > 60.0 {
            // Close enough to normal.
            let count = mean + mean.sqrt() * self.normal() + 0.5;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a cast saturates"
            )]
            return count as u32;
        }
        let (unit, mut count) = (self.unit(), 0);
        let mut term = (-mean).exp();
        let mut sum = term;
        while unit > sum && count < 1000 {
            count += 1;
            term *= mean / f64::from(count);
            sum += term;
        }
        count
    }
}

/// A float of a count or an instant. Up to 2^53 it is exact.
pub(crate) fn as_f64(number: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "instants and counts are below 2^53"
    )]
    let number = number as f64;
    number
}

/// Milliseconds of a float; forty days at most, so that sums stay far from the end of the type.
pub(crate) fn millis(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates"
    )]
    let number = number as u64;
    number.min(wavegate_model::DurationMs::MAX.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_their_means_and_quantiles() {
        let mut rng = Rng::new(1);
        let many = 100_000;
        for mean in [0.3, 5.0, 59.0, 200.0] {
            let sum: f64 = (0..many).map(|_| f64::from(rng.poisson(mean))).sum();
            let found = sum / f64::from(many);
            assert!((found - mean).abs() < mean * 0.02, "{found} of {mean}");
        }
        let mut times: Vec<u64> = (0..many).map(|_| rng.around(3000, 8000)).collect();
        times.sort_unstable();
        let (median, p95) = (times[50_000], times[95_000]);
        assert!(median.abs_diff(3000) < 60, "{median}");
        assert!(p95.abs_diff(8000) < 200, "{p95}");
        let waits: u64 = (0..many).map(|_| rng.wait(1000)).sum();
        assert!((waits / 100_000).abs_diff(1000) < 20);
        let hits = (0..many).filter(|_| rng.chance(50)).count();
        assert!(hits.abs_diff(5000) < 250, "{hits}");
    }
}
