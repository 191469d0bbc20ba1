//! False alarms and misses over ten thousand generated pairs of series, for one look and for
//! many, against what the methods promise.

#![expect(
    clippy::print_stdout,
    reason = "the counts are worth reading, with --nocapture"
)]

use wavegate_sdk::Verdict;
use wavegate_sdk::harness::{GateRun, Recorded};

use super::Random;
use super::gate::{BASELINE_QUERY, NEW_QUERY, QUERY, series};
use crate::judge::{bets, direction};
use crate::ranks::Sorted;
use crate::sequential::{Shown, Test};
use crate::{Compare, Config, SLOT};

const PAIRS: u32 = 10_000;
const ALPHA: f64 = 0.05;
const CONFIDENCE: &str = r#""confidence":"95%""#;

/// The greatest count that a probability of `p` gives in `PAIRS`, but for one time in a
/// million: 4.75 standard deviations above the mean.
fn most(p: f64) -> u32 {
    let mean = p * f64::from(PAIRS);
    let most = mean + 4.75 * (mean * (1.0 - p)).sqrt();
    (0..PAIRS)
        .find(|count| f64::from(*count) >= most)
        .unwrap_or(PAIRS)
}

/// How a metric is distributed; the new side gets something on top.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Normal,
    /// Like latencies.
    Skewed,
    /// Without mean and variance.
    Heavy,
    /// Whole numbers, with many ties.
    Counts,
}

const SHAPES: [Shape; 4] = [Shape::Normal, Shape::Skewed, Shape::Heavy, Shape::Counts];

impl Shape {
    fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Normal => 10.0 + random.normal(),
            Self::Skewed => random.normal().exp(),
            Self::Heavy => (core::f64::consts::PI * (random.uniform() - 0.5)).tan(),
            Self::Counts => (3.0 + 1.7 * random.normal()).max(0.0).round(),
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    pass: u32,
    hold: u32,
    fail: u32,
}

/// Ten thousand evaluations of the whole gate, each of new samples: `n` against `m`.
fn looked_at_once(shape: Shape, (n, m): (usize, usize), worse_by: f64, critical: f64) -> Counts {
    let config = format!(r#"{{"query":"{QUERY}","critical":{critical},{CONFIDENCE}}}"#);
    let mut random = Random(u64::from(n as u32) << 32 | m as u64);
    let mut counts = Counts::default();
    for _ in 0..PAIRS {
        let mut draw = |count: usize, more: f64| -> Vec<f64> {
            (0..count).map(|_| shape.draw(&mut random) + more).collect()
        };
        let (new, baseline) = (draw(n, worse_by), draw(m, 0.0));
        // Nodes of the baseline are often more than one.
        let nodes: Vec<_> = baseline.chunks(n.max(m / 3)).map(series).collect();
        let recorded = Recorded::new()
            .range(SLOT, NEW_QUERY, 600_000, 15_000, Ok(vec![series(&new)]))
            .range(SLOT, BASELINE_QUERY, 600_000, 15_000, Ok(nodes));
        let evaluation = GateRun::<Compare>::new(&["a"], &config).evaluate(&recorded);
        match evaluation.expect("an answer").verdict {
            Verdict::Pass => counts.pass += 1,
            Verdict::Hold => counts.hold += 1,
            Verdict::Fail => counts.fail += 1,
        }
    }
    counts
}

#[test]
fn one_look_by_ranks_keeps_false_alarms_and_misses_within_their_probability() {
    for (shape, critical) in SHAPES.into_iter().zip([0.8, 1.2, 2.0, 2.0]) {
        let equal = looked_at_once(shape, (40, 40), 0.0, critical);
        assert!(equal.fail <= most(ALPHA), "{shape:?}, equal: {equal:?}");
        assert!(equal.pass > PAIRS / 2, "{shape:?} has power: {equal:?}");
        let bad = looked_at_once(shape, (40, 40), critical, critical);
        assert!(bad.pass <= most(ALPHA), "{shape:?}, bad: {bad:?}");
        let worse = looked_at_once(shape, (40, 40), 2.0 * critical, critical);
        assert!(worse.fail > PAIRS * 9 / 10, "{shape:?}, worse: {worse:?}");
        println!("{shape:?}: equal {equal:?}, at the critical amount {bad:?}, at twice {worse:?}");
    }
    // With a critical amount next to nothing the test of ranks alone keeps the promise, and
    // uses it up.
    let sides = [(Shape::Skewed, (40, 40)), (Shape::Counts, (30, 90))];
    for (shape, sizes) in sides {
        let equal = looked_at_once(shape, sizes, 0.0, 1e-9);
        println!("{shape:?}: equal, any worsening being critical: {equal:?}");
        assert!(equal.fail <= most(ALPHA), "{shape:?}: {equal:?}");
        assert!(equal.fail > most(ALPHA / 2.0), "{shape:?}: {equal:?}");
    }
    // Small enough for the exact distribution.
    let small = looked_at_once(Shape::Skewed, (12, 12), 0.0, 1.0);
    assert!(small.fail <= most(ALPHA), "exact: {small:?}");
}

fn config(more: &str) -> Config {
    let text = format!(r#"{{"query":"{QUERY}","critical":1,{CONFIDENCE}{more}}}"#);
    serde_json::from_str(&text).expect("a configuration")
}

/// What ten thousand streams ever showed, looked at after each of `moments` pairs: that a test
/// says the same when it takes them at once is tested elsewhere.
fn looked_at_always(config: &Config, shape: Shape, worse_by: f64, moments: u32) -> Counts {
    let mut random = Random(u64::from(moments));
    let mut counts = Counts::default();
    for _ in 0..PAIRS {
        let mut test = Test::default();
        let pairs = (0..moments).map(|_| {
            // What happens to both sides at a moment is common to them.
            let common = 5.0 * random.normal();
            let new = common + shape.draw(&mut random) + worse_by;
            bets(config, new, common + shape.draw(&mut random))
        });
        test.take(pairs, config.alpha());
        let (passed, failed) = (test.rounds_passed() > 0, test.shown() == Shown::Worse);
        counts.pass += u32::from(passed);
        counts.fail += u32::from(failed);
        counts.hold += u32::from(!passed && !failed);
    }
    counts
}

/// How long the streams are: long enough to see a promise broken, short enough for every run.
fn moments() -> u32 {
    match std::env::var_os("WAVEGATE_SLOW_TESTS") {
        Some(_) => 2_000,
        None => {
            println!("streams of 100 pairs; of 2000 in the slow tier");
            100
        }
    }
}

#[test]
fn looks_after_every_pair_keep_the_promise_of_the_sequential_test() {
    let moments = moments();
    for shape in SHAPES {
        let equal = looked_at_always(&config(""), shape, 0.0, moments);
        assert!(equal.fail <= most(ALPHA), "{shape:?}, equal: {equal:?}");
        let bad = looked_at_always(&config(""), shape, 1.0, moments);
        assert!(bad.pass <= most(ALPHA), "{shape:?}, bad: {bad:?}");
        println!("{shape:?}: equal {equal:?}, at the critical amount {bad:?}");
    }
    for worse in ["lower", "either"] {
        let config = config(&format!(r#","worse":"{worse}""#));
        let equal = looked_at_always(&config, Shape::Normal, 0.0, moments);
        assert!(equal.fail <= most(ALPHA), "{worse}, equal: {equal:?}");
        println!("{worse}: equal {equal:?}");
    }
    let worse = looked_at_always(&config(""), Shape::Normal, 2.0, 100);
    assert!(worse.fail > PAIRS * 99 / 100, "it has power: {worse:?}");
    let fine = looked_at_always(&config(""), Shape::Normal, -0.5, 100);
    assert!(fine.pass > PAIRS * 99 / 100, "it has power: {fine:?}");
}

/// Why there are two methods.
#[test]
fn looks_after_every_sample_break_the_promise_of_ranks() {
    let config = config("");
    let mut random = Random(7);
    let mut alarms = 0;
    for _ in 0..PAIRS / 10 {
        let (mut new, mut control) = (Vec::new(), Vec::new());
        let alarm = (0..100).any(|_| {
            new.push(3.0 * random.normal());
            control.push(3.0 * random.normal());
            let (new, control) = (Sorted::new(new.clone()), Sorted::new(control.clone()));
            new.values().len() >= 10 && direction(&config, &new, &control, ALPHA).p_worse <= ALPHA
        });
        alarms += u32::from(alarm);
    }
    let promised = most(ALPHA) / 10;
    assert!(
        alarms > 3 * promised,
        "{alarms} of {} raised an alarm",
        PAIRS / 10
    );
}

#[test]
fn a_release_that_turns_bad_late_is_found_as_fast() {
    let config = config("");
    let (mut random, mut slowest) = (Random(3), 0);
    for good in [50_u32, 200, 1_000, 5_000] {
        let mut test = Test::default();
        for _ in 0..good {
            let pair = bets(&config, random.normal(), random.normal());
            test.take([pair], config.alpha());
        }
        assert_eq!(test.shown(), Shown::Fine);
        let mut found = 0_u32;
        while test.shown() != Shown::Worse {
            test.take(
                [bets(&config, random.normal() + 3.0, random.normal())],
                config.alpha(),
            );
            found += 1;
        }
        slowest = slowest.max(found);
    }
    assert!(slowest < 80, "found after {slowest} pairs");
}
