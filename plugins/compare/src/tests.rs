mod gate;
mod promises;
mod reference;

use crate::ranks::Sorted;

/// A generator of test data: SplitMix64 of G. Steele, D. Lea, C. Flood, 2014.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, neither included.
    fn uniform(&mut self) -> f64 {
        (f64::from(u32::try_from(self.bits() >> 32).expect("32 bits")) + 0.5) / 4_294_967_296.0
    }

    /// Standard normal, after Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (core::f64::consts::TAU * self.uniform()).cos()
    }

    fn sample(&mut self, count: usize, mut value: impl FnMut(&mut Self) -> f64) -> Sorted {
        let values: Vec<f64> = (0..count).map(|_| value(self)).collect();
        Sorted::new(values)
    }
}
