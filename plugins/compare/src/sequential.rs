//! A test that may be looked at again and again, at any time, as often as one likes.
//!
//! Each pair of samples of one moment, one from each side, is a bet on which is worse. Under
//! the hypothesis that a pair is a hit with probability one half at most, whatever came before,
//! the wealth of a gambler who stakes on hits is a nonnegative supermartingale that starts
//! at 1. It ever reaches 1/α with probability α at most (J. Ville, *Étude critique de la notion
//! de collectif*, 1939), however often one looks and whenever one stops.
//!
//! The stake is a mixture over all probabilities of a hit from one half to one, with uniform
//! weight: the method of mixtures of H. Robbins, *Statistical methods related to the law of the
//! iterated logarithm*, Annals of Mathematical Statistics 41, 1970, applied to signs; for
//! Bernoulli trials also S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, *Time-uniform,
//! nonparametric, nonasymptotic confidence sequences*, Annals of Statistics 49, 2021. The use
//! for experiments that are watched is that of R. Johari, P. Koomen, L. Pekelis, D. Walsh,
//! *Always valid inference*, Operations Research 70, 2022.
//!
//! Signs need no variance, no bound and no distribution. What is assumed: in the hypothesis,
//! the probability that the next pair is a hit is at most one half **given all pairs before**.
//! Pairs far enough apart (a step no shorter than the range of a rate) satisfy it; pairs that
//! share samples do not.

use serde::{Deserialize, Serialize};

/// The wealth of the mixture after so many hits in so many trials, and how it grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wealth {
    trials: u32,
    hits: u32,
    value: f64,
}

impl Wealth {
    /// After `hits` in `trials`: ∫ (2p)^hits (2 − 2p)^(trials − hits) 2 dp from ½ to 1, which
    /// is a sum of binomial coefficients: Σ C(t+1, i) for i from 0 to h, over (t+1) C(t, h).
    pub fn of(trials: u32, hits: u32) -> Self {
        let t = f64::from(trials);
        let mut term = 1.0 / (t + 1.0 - f64::from(hits));
        let mut value = term;
        let mut i = f64::from(hits);
        while i > 0.0 && (term > value * f64::EPSILON || 2.0 * i > t) {
            term *= i / (t + 2.0 - i);
            value += term;
            i -= 1.0;
        }
        Self {
            trials,
            hits,
            value,
        }
    }

    /// After one more trial.
    #[must_use]
    pub fn after(self, hit: Hit) -> Self {
        let (t, h) = (f64::from(self.trials), f64::from(self.hits));
        let trials = self.trials + 1;
        match hit {
            Hit::Yes => Self {
                trials,
                hits: self.hits + 1,
                value: (2.0 * self.value * (h + 1.0) + 1.0) / (t + 2.0),
            },
            // Below one half, the difference would lose its digits step by step.
            Hit::No if 2.0 * h <= t => Self::of(trials, self.hits),
            Hit::No => Self {
                trials,
                hits: self.hits,
                value: (2.0 * self.value * (t + 1.0 - h) - 1.0) / (t + 2.0),
            },
        }
    }

    /// The wealth; 1 at the beginning.
    pub fn value(self) -> f64 {
        self.value
    }
}

/// Whether a trial was one that the stake is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// It was.
    Yes,
    /// It was not.
    No,
}

impl From<bool> for Hit {
    fn from(hit: bool) -> Self {
        if hit { Self::Yes } else { Self::No }
    }
}

/// How a pair stands in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The new side is worse by more than is tolerated.
    pub worse: Hit,
    /// The new side is worse by less than the critical amount, or not at all.
    pub fine: Hit,
}

/// One direction of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Side {
    /// Pairs that were worse than tolerated.
    #[serde(rename = "w", default)]
    worse: u32,
    /// Pairs that were better than critical.
    #[serde(rename = "f", default)]
    fine: u32,
}

/// A test of one cluster, as it is kept from call to call.
///
/// It goes in rounds. A round ends when it is shown that the new side is not critically worse;
/// then the bets begin anew, so that a release that turns bad later is found as fast as one
/// that was bad from the start. Round r may use the part 1/(r(r+1)) of α for its false alarms;
/// these parts sum to 1, so that all rounds together raise one with probability α at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// Rounds that ended well.
    #[serde(rename = "r", default)]
    passed: u32,
    /// Pairs of this round.
    #[serde(rename = "n", default)]
    trials: u32,
    /// Pairs of all rounds.
    #[serde(rename = "a", default)]
    all: u32,
    #[serde(rename = "s", default)]
    sides: Vec<Side>,
    /// It was shown that the new side is worse.
    #[serde(rename = "x", default)]
    failed: bool,
}

/// What a test has shown so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Worse than tolerated, and by the critical amount or more in every other pair.
    Worse,
    /// Not worse by the critical amount.
    Fine,
    /// Neither.
    Nothing,
}

impl Test {
    /// Takes pairs, each in one direction or in both. Nothing is staked any more after the one
    /// that shows that the new side is worse.
    pub fn take(&mut self, pairs: impl IntoIterator<Item = Vec<Pair>>, alpha: f64) {
        let mut wealth: Vec<[Wealth; 2]> = Vec::new();
        for pair in pairs {
            self.all = self.all.saturating_add(1);
            if self.failed {
                continue;
            }
            self.sides.resize(pair.len(), Side::default());
            if wealth.len() != pair.len() {
                let of = |side: &Side| [side.worse, side.fine].map(|h| Wealth::of(self.trials, h));
                wealth = self.sides.iter().map(of).collect();
            }
            self.trials += 1;
            for ((side, wealth), pair) in self.sides.iter_mut().zip(&mut wealth).zip(&pair) {
                side.worse += u32::from(pair.worse == Hit::Yes);
                side.fine += u32::from(pair.fine == Hit::Yes);
                *wealth = [wealth[0].after(pair.worse), wealth[1].after(pair.fine)];
            }
            let directions = f64::from(u32::try_from(pair.len()).unwrap_or(u32::MAX));
            let round = f64::from(self.passed) + 1.0;
            let worse_at = round * (round + 1.0) * directions / alpha;
            let critical = |side: &Side| 2 * u64::from(side.fine) <= u64::from(self.trials);
            self.failed = wealth
                .iter()
                .zip(&self.sides)
                .any(|(wealth, side)| wealth[0].value() >= worse_at && critical(side));
            // It is fine only in all directions at once, which needs no correction.
            if !self.failed && wealth.iter().all(|w| w[1].value() >= 1.0 / alpha) {
                self.passed += 1;
                self.trials = 0;
                self.sides.fill(Side::default());
                wealth.clear();
            }
        }
    }

    /// What it has shown.
    pub fn shown(&self) -> Shown {
        match (self.failed, self.passed) {
            (true, _) => Shown::Worse,
            (false, 0) => Shown::Nothing,
            (false, _) => Shown::Fine,
        }
    }

    /// Rounds that showed that the new side is not critically worse.
    pub fn rounds_passed(&self) -> u32 {
        self.passed
    }

    /// Pairs that were taken.
    pub fn pairs(&self) -> u32 {
        self.all
    }

    /// Pairs of the present round, and those of them that were worse than tolerated, in the
    /// direction that has more of these.
    pub fn worse_in_round(&self) -> (u32, u32) {
        let worse = self.sides.iter().map(|side| side.worse).max();
        (worse.unwrap_or(0), self.trials)
    }

    /// The greatest wealth that is staked on *worse* now.
    pub fn evidence(&self) -> f64 {
        let wealth = |side: &Side| Wealth::of(self.trials, side.worse).value();
        self.sides.iter().map(wealth).fold(1.0, f64::max)
    }
}
