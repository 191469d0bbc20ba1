//! The gate *burn-rate*: how fast the error budget of a service-level objective burns, over
//! pairs of windows.
//!
//! The method is *multiwindow, multi-burn-rate alerts* of chapter 5, *Alerting on SLOs*, of
//! *The Site Reliability Workbook* (B. Beyer, N. R. Murphy, D. K. Rensin, K. Kawahara, S.
//! Thorne, editors, 2018). The burn rate of a window is the share of bad requests in it over
//! the share that the objective allows; at 1, the budget lasts exactly for the period of the
//! objective. A pair fires when both of its windows burn faster than its factor: the long one
//! says that it matters, the short one that it goes on.
//!
//! **Owns** the judgement of one evaluation.
//! **Does not own** where the metrics come from: the policy binds the slot to a source.
//! **Start** with `evaluate`.

mod config;

use std::collections::BTreeMap;

use wavegate_sdk::units::{Millis, number};
use wavegate_sdk::{
    About, Evaluation, Evidence, Failure, Finding, Gate, GateAbout, GateCall, GateCluster,
    Measurement, PHASES, Problem, Series, Slot, Verdict, cluster_verdict, query,
};

pub use config::Config;
use config::{Asked, Pair};

/// The name of the slot that the policy binds to a source.
const SLOT: &str = "metrics";

/// The gate.
#[derive(Debug)]
pub struct BurnRate;

impl Gate for BurnRate {
    type Config = Config;
    type State = ();

    fn describe() -> GateAbout {
        GateAbout {
            about: About {
                name: "burn-rate".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                state_version: 1,
                config_schema: include_str!("schema.json").to_owned(),
                text: "Fails when the error budget of a service-level objective burns too fast \
                       over both windows of a pair, a long and a short one. No data and too few \
                       requests hold."
                    .to_owned(),
            },
            slots: vec![Slot {
                name: SLOT.to_owned(),
                kind: "metrics".to_owned(),
                text: "bad and all requests, or their ratio, over each window".to_owned(),
            }],
        }
    }

    fn validate_config(config: &Config) -> Vec<Problem> {
        config.problems()
    }

    fn evaluate(
        call: &GateCall,
        config: &Config,
        (): (),
        evidence: &impl Evidence,
    ) -> Result<Evaluation<()>, Failure> {
        if !PHASES.contains(&call.phase.as_str()) {
            let reason = format!("the phase {} is not known to this version", call.phase);
            return Ok(Evaluation::hold(reason, ()));
        }
        if config.per_cluster && call.updated.is_empty() {
            let reason = "no cluster runs the new release yet, so there is nothing to ask for";
            return Ok(Evaluation::hold(reason, ()));
        }
        let Some(asked) = config.asked() else {
            // Such a configuration does not pass its check.
            return Ok(Evaluation::hold("nothing is asked for", ()));
        };
        let answers = ask(call, config, asked, evidence)?;
        if !config.per_cluster {
            let findings = judge(config, "", |window| budget(asked, &answers, window, ""));
            return Ok(Evaluation::of(findings, Vec::new(), ()));
        }
        let mut findings = Vec::new();
        let mut clusters = Vec::new();
        for GateCluster { name, .. } in &call.updated {
            let found = judge(config, name, |window| budget(asked, &answers, window, name));
            clusters.push(cluster_verdict(name, &found));
            findings.extend(found);
        }
        Ok(Evaluation::of(findings, clusters, ()))
    }
}

/// Clusters in one question: with the longest names they take half of the bytes that a query
/// may have.
const CLUSTERS_AT_ONCE: usize = 64;

/// Series by window, text of the query and cluster.
type Answers<'a> = BTreeMap<(Millis, &'a str, String), Vec<Series>>;

/// Asks every query over every window, all in one round of evidence.
fn ask<'a>(
    call: &GateCall,
    config: &Config,
    asked: Asked<'a>,
    evidence: &impl Evidence,
) -> Result<Answers<'a>, Failure> {
    let texts = match asked {
        Asked::Ratio { ratio, total } => [Some(ratio), total],
        Asked::Good { good: part, total } | Asked::Bad { bad: part, total } => {
            [Some(part), Some(total)]
        }
    };
    let updated: Vec<&GateCluster> = call.updated.iter().collect();
    let groups: Vec<&[&GateCluster]> = match (config.per_cluster, config.at_once()) {
        (false, _) => vec![&[]],
        (true, true) => updated.chunks(CLUSTERS_AT_ONCE).collect(),
        (true, false) => updated.chunks(1).collect(),
    };
    let mut queries = Vec::new();
    let mut asked = Vec::new();
    for window in config.lengths() {
        for text in texts.into_iter().flatten() {
            for group in &groups {
                queries.push(config.query(text, window, &call.release, group));
                asked.push((window, text, *group));
            }
        }
    }
    let mut answers = Answers::new();
    let found = evidence.instants(SLOT, &queries)?;
    for ((window, text, group), list) in asked.into_iter().zip(found) {
        for series in list {
            // One question for one cluster is about that one, whatever the labels say.
            let cluster = match group {
                [] => "",
                [one] if !config.at_once() => &one.name,
                _ => query::label(&series, &config.cluster_label).unwrap_or_default(),
            };
            let key = (window, text, cluster.to_owned());
            answers.entry(key).or_default().push(series);
        }
    }
    Ok(answers)
}

/// What is known of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    /// Share of bad requests.
    ratio: f64,
    /// Requests, if they are counted.
    total: Option<f64>,
}

/// The ratio of a window, or why there is none.
fn budget(
    asked: Asked<'_>,
    answers: &Answers<'_>,
    window: Millis,
    cluster: &str,
) -> Result<Window, String> {
    let values = |text| {
        let series = answers.get(&(window, text, cluster.to_owned()));
        let samples = series.into_iter().flatten().flat_map(|s| s.samples.last());
        let values: Vec<f64> = samples.map(|sample| sample.value).collect();
        values
    };
    // Counts of several series are counts of parts.
    let count = |text| values(text).into_iter().reduce(|sum, value| sum + value);
    let (ratio, total) = match asked {
        // Of several ratios the worst: without counts they cannot be put together.
        Asked::Ratio { ratio, total } => {
            let worst = values(ratio).into_iter().reduce(f64::max);
            (worst, total.map(|total| count(total).unwrap_or(0.0)))
        }
        Asked::Good { good, total } => {
            let total = count(total);
            // No series of good requests: none was good, if there were any.
            let good = count(good).unwrap_or(0.0);
            (total.map(|total| 1.0 - good / total), total)
        }
        Asked::Bad { bad, total } => {
            let total = count(total);
            // Counters of errors often come to be with the first error.
            let bad = count(bad).unwrap_or(0.0);
            (total.map(|total| bad / total), total)
        }
    };
    if total == Some(0.0) {
        return Err(format!("no requests in {window}"));
    }
    let Some(ratio) = ratio else {
        return Err(format!("no data for {window}"));
    };
    // Rates of two queries are extrapolated apart, so a ratio may leave its bounds a little.
    if !(-0.01..=1.01).contains(&ratio) {
        return Err(format!("{} is no ratio of requests", number(ratio)));
    }
    Ok(Window {
        ratio: ratio.clamp(0.0, 1.0),
        total,
    })
}

fn judge(
    config: &Config,
    cluster: &str,
    window: impl Fn(Millis) -> Result<Window, String>,
) -> Vec<Finding> {
    let pairs = config.windows.iter();
    pairs
        .map(|pair| {
            let both = (window(pair.long), window(pair.short));
            match both {
                (Ok(long), Ok(short)) => burning(config, cluster, *pair, long, short),
                (Err(why), _) | (_, Err(why)) => {
                    finding(cluster, *pair, None, 0, Verdict::Hold, why)
                }
            }
        })
        .collect()
}

fn burning(config: &Config, cluster: &str, pair: Pair, long: Window, short: Window) -> Finding {
    let least = [long.total, short.total]
        .into_iter()
        .flatten()
        .reduce(f64::min);
    // Without counts, an answer is at least about one request.
    let requests = least.unwrap_or(1.0);
    let rate = |window: Window| window.ratio / config.budget();
    let (in_long, in_short) = (rate(long), rate(short));
    // Both windows have to burn, so the slower one decides.
    let slower = in_long.min(in_short);
    let said = format!(
        "burns {} times in {} and {} times in {}",
        number(in_long),
        pair.long,
        number(in_short),
        pair.short
    );
    let samples = whole(requests);
    if requests < config.min_requests {
        let why = format!(
            "{} requests, fewer than {}; the budget {said}",
            number(requests),
            number(config.min_requests)
        );
        return finding(cluster, pair, Some(slower), samples, Verdict::Hold, why);
    }
    let verdict = match slower > pair.factor {
        true => Verdict::Fail,
        false => Verdict::Pass,
    };
    let text = format!(
        "the error budget {said}, at most {} in both",
        number(pair.factor)
    );
    finding(cluster, pair, Some(slower), samples, verdict, text)
}

fn finding(
    cluster: &str,
    pair: Pair,
    value: Option<f64>,
    samples: u32,
    verdict: Verdict,
    text: String,
) -> Finding {
    let place = match cluster {
        "" => String::new(),
        _ => format!("cluster {cluster}: "),
    };
    Finding {
        measurement: Measurement {
            name: format!("burn-rate-{}", pair.long.to_string().replace(' ', "")),
            cluster: cluster.to_owned(),
            value,
            unit: "times".to_owned(),
            limit: format!("<= {}", number(pair.factor)),
            verdict,
            samples,
        },
        text: format!("{place}{text}"),
    }
}

/// A count as it is told: rates are seldom whole.
fn whole(count: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and a count is not negative"
    )]
    let whole = count.round() as u32;
    whole
}

wavegate_sdk::export_gate!(BurnRate);

#[cfg(test)]
mod tests;
