//! The same as scipy says, and the same as all differences written out.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Random;
use crate::normal;
use crate::ranks::{Method, Ranked, Sorted};
use crate::sequential::{Hit, Wealth};
use crate::shift::shift;

#[derive(Deserialize)]
struct Reference {
    ranks: Vec<Case>,
    wealth: Vec<Bets>,
    normal: Vec<Tail>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    x: Vec<f64>,
    y: Vec<f64>,
    u: f64,
    superiority: f64,
    shift: f64,
    methods: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    greater: f64,
    less: f64,
    #[serde(rename = "two-sided")]
    two_sided: f64,
    low: Option<f64>,
    high: Option<f64>,
}

#[derive(Deserialize)]
struct Bets {
    trials: u32,
    hits: u32,
    log: f64,
}

#[derive(Deserialize)]
struct Tail {
    z: f64,
    sf: f64,
}

fn reference() -> Reference {
    let text = include_str!("../../reference/reference.json");
    serde_json::from_str(text).expect("what the script wrote")
}

#[track_caller]
fn assert_close(what: &str, ours: f64, theirs: f64, relative: f64) {
    let near = (ours - theirs).abs() <= relative * theirs.abs() + 1e-14;
    assert!(near, "{what}: {ours:e}, the reference says {theirs:e}");
}

#[test]
fn ranks_and_shifts_agree_with_scipy() {
    let reference = reference();
    assert!(reference.ranks.len() > 30);
    for case in reference.ranks {
        let (x, y) = (Sorted::new(case.x), Sorted::new(case.y));
        let ranked = Ranked::new(&x, &y);
        let name = &case.name;
        assert_close(name, ranked.u, case.u, 0.0);
        assert_close(name, ranked.superiority(), case.superiority, 1e-14);
        for (method, expected) in case.methods {
            let what = |what: &str| format!("{name}, {method}, {what}");
            let method = match method.as_str() {
                "exact" => Method::Exact,
                _ => Method::Asymptotic,
            };
            assert_close(
                &what("greater"),
                ranked.p_greater(method),
                expected.greater,
                1e-11,
            );
            assert_close(&what("less"), ranked.p_less(method), expected.less, 1e-11);
            let two_sided = ranked.p_two_sided(method);
            assert_close(&what("two-sided"), two_sided, expected.two_sided, 1e-11);
            let found = shift(&x, &y, 0.05, method).expect("samples");
            assert_close(&what("shift"), found.estimate, case.shift, 1e-12);
            let ends = [(found.low, expected.low), (found.high, expected.high)];
            for (ours, theirs) in ends {
                assert_eq!(ours.is_some(), theirs.is_some(), "{}", what("interval"));
                if let (Some(ours), Some(theirs)) = (ours, theirs) {
                    // The reference rounds other differences of the same numbers together.
                    assert_close(&what("interval"), ours, theirs, 1e-9);
                }
            }
        }
    }
}

#[test]
fn tails_of_the_normal_distribution_agree_with_scipy() {
    for Tail { z, sf } in reference().normal {
        assert_close("sf", normal::sf(z), sf, 1e-12);
        if (1e-250..0.5).contains(&sf) {
            assert_close("quantile", normal::upper_quantile(sf), z, 1e-10);
        }
    }
}

#[test]
fn wealth_agrees_with_scipy_in_one_step_and_bet_by_bet() {
    for Bets { trials, hits, log } in reference().wealth {
        let at_once = Wealth::of(trials, hits).value().ln();
        assert_close("at once", at_once, log, 1e-11);
        // Hits spread evenly, and all at the end.
        for at_end in [false, true] {
            let mut wealth = Wealth::of(0, 0);
            assert_eq!(wealth.value(), 1.0);
            for trial in 0..trials {
                let spread = u64::from(trial + 1) * u64::from(hits) / u64::from(trials)
                    > u64::from(trial) * u64::from(hits) / u64::from(trials);
                let last = trial >= trials - hits;
                wealth = wealth.after(Hit::from(if at_end { last } else { spread }));
            }
            assert_close("bet by bet", wealth.value().ln(), log, 1e-9);
        }
    }
}

#[test]
fn a_shift_is_what_all_differences_written_out_give() {
    let mut random = Random(1);
    for round in 0..300_u32 {
        let (n, m) = (1 + random.bits() % 120, 1 + random.bits() % 120);
        let (n, m) = (
            usize::try_from(n).expect("small"),
            usize::try_from(m).expect("small"),
        );
        // From hardly any ties to nearly nothing else, and over many magnitudes.
        let coarse = [1e9, 50.0, 4.0, 1.0][usize::try_from(round % 4).expect("small")];
        let mut draw = |r: &mut Random| match round % 5 {
            0 => (r.normal() * 8.0).exp(),
            1 => 1.0 / (r.uniform() - 0.5),
            _ => (r.normal() * coarse).round() / coarse,
        };
        let (x, y) = (random.sample(n, &mut draw), random.sample(m, &mut draw));
        let mut all: Vec<f64> = x
            .values()
            .iter()
            .flat_map(|x| y.values().iter().map(move |y| x - y))
            .collect();
        all.sort_by(f64::total_cmp);
        let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
        let found = shift(&x, &y, 0.05, Method::Asymptotic).expect("samples");
        assert_eq!(found.estimate, low + (high - low) / 2.0, "round {round}");
        if let (Some(low), Some(high)) = (found.low, found.high) {
            assert!(all.contains(&low) && all.contains(&high));
            assert!(low <= found.estimate && found.estimate <= high);
        }
    }
}
