//! The judgement of one cluster.

use wavegate_sdk::units::number;
use wavegate_sdk::{Finding, Measurement, Verdict};

use crate::cohorts::Sides;
use crate::config::{Config, Worse};
use crate::ranks::{Method, Ranked, Sorted};
use crate::sequential::{Hit, Pair, Shown, Test};
use crate::shift::{Shift, shift};

/// Newest samples may be older by so many steps: one may not be scraped yet, and one be late.
const FRESH_STEPS: f64 = 3.0;

/// The greatest age of the newest samples.
pub(crate) fn fresh_ms(config: &Config) -> f64 {
    FRESH_STEPS * f64::from(config.step_ms())
}

/// Why nothing can be judged, if so.
pub(crate) fn unusable(config: &Config, now: f64, sides: &Sides) -> Option<String> {
    if let Some(side) = sides.missing() {
        return Some(format!("no data of {side}"));
    }
    let Some(newest) = sides.newest() else {
        return Some("no moment at which both sides have a sample".to_owned());
    };
    let age = now - newest;
    let step = f64::from(config.step_ms());
    (age > fresh_ms(config)).then(|| {
        let (age, step) = (number(age / 1000.0), number(step / 1000.0));
        format!("the newest samples are {age} s old, with a step of {step} s")
    })
}

/// A finding that decides nothing.
pub(crate) fn held(config: &Config, cluster: &str, why: &str, samples: u32) -> Vec<Finding> {
    vec![Finding {
        measurement: Measurement {
            name: format!("{}-shift", config.name),
            cluster: cluster.to_owned(),
            value: None,
            unit: config.unit.clone(),
            limit: limit(config),
            verdict: Verdict::Hold,
            samples,
        },
        text: format!("cluster {cluster}: {}: {why}", config.name),
    }]
}

/// The condition that has to be shown.
pub(crate) fn limit(config: &Config) -> String {
    let critical = config.critical.text();
    match config.worse {
        Worse::Higher => format!("< {critical} higher"),
        Worse::Lower => format!("< {critical} lower"),
        Worse::Either => format!("< {critical} away"),
    }
}

/// Both sides seen so that *greater* is worse, in each direction that can be.
fn directions(config: &Config, new: &Sorted, control: &Sorted) -> Vec<(Sorted, Sorted)> {
    let higher = || (new.clone(), control.clone());
    let lower = || (new.negated(), control.negated());
    match config.worse {
        Worse::Higher => vec![higher()],
        Worse::Lower => vec![lower()],
        Worse::Either => vec![higher(), lower()],
    }
}

/// What the test of ranks says in one direction.
pub(crate) struct Direction {
    pub(crate) worse: bool,
    pub(crate) fine: bool,
    pub(crate) p_worse: f64,
    /// Both sides as they are.
    plain: Ranked,
}

pub(crate) fn direction(
    config: &Config,
    new: &Sorted,
    control: &Sorted,
    alpha_worse: f64,
) -> Direction {
    let at = |ranked: &Ranked| ranked.method();
    let plain = Ranked::new(new, control);
    let tolerated = match config.tolerated.is_nothing() {
        true => plain,
        false => Ranked::new(new, &control.map(|value| config.tolerated.above(value))),
    };
    let critical = control.map(|value| config.critical.strictly_above(value));
    let critical = Ranked::new(new, &critical);
    let p_worse = tolerated.p_greater(at(&tolerated));
    Direction {
        // Worse than tolerated beyond doubt, and by the critical amount as far as can be told.
        worse: p_worse <= alpha_worse && critical.superiority() >= 0.5,
        fine: critical.p_less(at(&critical)) <= config.alpha(),
        p_worse,
        plain,
    }
}

/// Judges by the test of Mann and Whitney.
pub(crate) fn by_ranks(config: &Config, cluster: &str, sides: &Sides) -> Vec<Finding> {
    let (new, control) = sides.pooled();
    let (n, m) = (new.values().len(), control.values().len());
    let samples = u32::try_from(n.min(m)).unwrap_or(u32::MAX);
    if samples < config.min_samples {
        let why = format!("{n} against {m} samples, fewer than {}", config.min_samples);
        return held(config, cluster, &why, samples);
    }
    let directions = directions(config, &new, &control);
    // Two directions share the false alarms.
    let parts = f64::from(u32::try_from(directions.len()).unwrap_or(1));
    let found: Vec<Direction> = directions
        .iter()
        .map(|(new, control)| direction(config, new, control, config.alpha() / parts))
        .collect();
    // What is told is told of the sides as they are, whichever direction is worse.
    let ranked = match config.worse {
        Worse::Higher | Worse::Either => found[0].plain,
        Worse::Lower => found[0].plain.negated(),
    };
    let Some(shift) = shift(&new, &control, config.alpha(), ranked.method()) else {
        return held(config, cluster, "no data", samples);
    };
    let verdict = if found.iter().any(|direction| direction.worse) {
        Verdict::Fail
    } else if found.iter().all(|direction| direction.fine) {
        Verdict::Pass
    } else {
        Verdict::Hold
    };
    let p_worse = found.iter().map(|d| d.p_worse).fold(1.0, f64::min);
    let text = ranks_text(config, cluster, verdict, &shift, &ranked, p_worse, (n, m));
    let measure = Measure {
        config,
        cluster,
        samples,
    };
    let exact = match ranked.method() {
        Method::Exact => "exact",
        Method::Asymptotic => "about",
    };
    let mut findings = vec![measure.decided("shift", shift.estimate, verdict, text)];
    findings.extend(
        shift
            .low
            .map(|low| measure.told("shift-low", low, &config.unit)),
    );
    findings.extend(
        shift
            .high
            .map(|high| measure.told("shift-high", high, &config.unit)),
    );
    findings.push(measure.told("rank-biserial", ranked.rank_biserial(), "correlation"));
    findings.push(measure.told("p-worse", p_worse, exact));
    findings
}

fn ranks_text(
    config: &Config,
    cluster: &str,
    verdict: Verdict,
    shift: &Shift,
    ranked: &Ranked,
    p_worse: f64,
    (n, m): (usize, usize),
) -> String {
    let name = &config.name;
    let says = match verdict {
        Verdict::Pass => "is shown to be",
        Verdict::Hold => "is not yet shown to be",
        Verdict::Fail => "is worse and not",
    };
    let interval = match (shift.low, shift.high) {
        (Some(low), Some(high)) => format!("{} to {}", number(low), number(high)),
        _ => "open".to_owned(),
    };
    format!(
        "cluster {cluster}: {name} {says} {}: shift {} (interval {interval}), {} of pairs \
         higher, p {} ({n} against {m} samples)",
        limit(config),
        number(shift.estimate),
        number(ranked.superiority()),
        number(p_worse),
    )
}

/// A pair of moments as bets, in each direction that can be worse.
pub(crate) fn bets(config: &Config, new: f64, control: f64) -> Vec<Pair> {
    let one = |new: f64, control: f64| Pair {
        worse: Hit::from(new > config.tolerated.above(control)),
        fine: Hit::from(new < config.critical.strictly_above(control)),
    };
    match config.worse {
        Worse::Higher => vec![one(new, control)],
        Worse::Lower => vec![one(-new, -control)],
        Worse::Either => vec![one(new, control), one(-new, -control)],
    }
}

/// Judges by what the sequential test has shown so far.
pub(crate) fn by_bets(config: &Config, cluster: &str, test: &Test) -> Vec<Finding> {
    let samples = test.pairs();
    if samples < config.min_samples {
        let why = format!("{samples} pairs, fewer than {}", config.min_samples);
        return held(config, cluster, &why, samples);
    }
    let (verdict, says) = match test.shown() {
        Shown::Worse => (Verdict::Fail, "is worse and not"),
        Shown::Fine => (Verdict::Pass, "is shown to be"),
        Shown::Nothing => (Verdict::Hold, "is not yet shown to be"),
    };
    let (worse, of) = test.worse_in_round();
    let share = match of {
        0 => 0.0,
        of => f64::from(worse) / f64::from(of),
    };
    let text = format!(
        "cluster {cluster}: {} {says} {}: {worse} of the last {of} pairs worse than tolerated, \
         evidence {} ({samples} pairs)",
        config.name,
        limit(config),
        number(test.evidence()),
    );
    let measure = Measure {
        config,
        cluster,
        samples,
    };
    vec![
        measure.decided("worse-share", share, verdict, text),
        measure.told("evidence-worse", test.evidence().min(f64::MAX), "wealth"),
    ]
}

/// The last comparison that passed, when there is nothing to compare with any more.
pub(crate) fn by_last(config: &Config, cluster: &str, value: f64, samples: u32) -> Vec<Finding> {
    let text = format!(
        "cluster {cluster}: nothing is left to compare {} with; it passed when there was",
        config.name
    );
    let measure = Measure {
        config,
        cluster,
        samples,
    };
    vec![measure.decided("last", value, Verdict::Pass, text)]
}

struct Measure<'a> {
    config: &'a Config,
    cluster: &'a str,
    samples: u32,
}

impl Measure<'_> {
    fn decided(&self, what: &str, value: f64, verdict: Verdict, text: String) -> Finding {
        Finding {
            measurement: Measurement {
                limit: limit(self.config),
                verdict,
                ..self.told(what, value, &self.config.unit).measurement
            },
            text,
        }
    }

    /// What is told besides, and decides nothing.
    fn told(&self, what: &str, value: f64, unit: &str) -> Finding {
        Finding {
            measurement: Measurement {
                name: format!("{}-{what}", self.config.name),
                cluster: self.cluster.to_owned(),
                value: value.is_finite().then_some(value),
                unit: unit.to_owned(),
                limit: String::new(),
                verdict: Verdict::Pass,
                samples: self.samples,
            },
            text: String::new(),
        }
    }
}
