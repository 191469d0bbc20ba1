//! The gate *threshold*: holds the answer of a metric query against a limit, for the subject
//! as a whole or for each updated cluster.
//!
//! **Owns** the judgement of one evaluation.
//! **Does not own** where the metrics come from: the policy binds the slot to a source.
//! **Start** with `evaluate`.

mod config;

use wavegate_sdk::units::number;
use wavegate_sdk::{
    About, Evaluation, Evidence, Failure, Finding, Gate, GateAbout, GateCall, GateCluster,
    Measurement, PHASES, Problem, Series, Slot, Verdict, cluster_verdict, query,
};

pub use config::Config;
use config::{Aggregate, OnNoData};

/// The name of the slot that the policy binds to a source.
const SLOT: &str = "metrics";

/// The gate.
#[derive(Debug)]
pub struct Threshold;

impl Gate for Threshold {
    type Config = Config;
    type State = ();

    fn describe() -> GateAbout {
        GateAbout {
            about: About {
                name: "threshold".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                state_version: 1,
                config_schema: include_str!("schema.json").to_owned(),
                text: "Holds the answer of a metric query against a greatest or a least value, \
                       for the subject as a whole or for each updated cluster. No data holds, \
                       or fails if wanted; it never passes."
                    .to_owned(),
            },
            slots: vec![Slot {
                name: SLOT.to_owned(),
                kind: "metrics".to_owned(),
                text: "answers of the configured query".to_owned(),
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
        let subjects: Vec<Option<&GateCluster>> = match config.tells_clusters_apart() {
            true => call.updated.iter().map(Some).collect(),
            false => vec![None],
        };
        if subjects.is_empty() {
            let reason = "no cluster runs the new release yet, so there is nothing to ask for";
            return Ok(Evaluation::hold(reason, ()));
        }
        let answers = match &config.cluster_label {
            Some(label) => by_label(label, &subjects, ask(call, config, &[None], evidence)?),
            None => ask(call, config, &subjects, evidence)?,
        };
        let mut findings = Vec::new();
        let mut clusters = Vec::new();
        for (cluster, answer) in subjects.iter().zip(answers) {
            let name = cluster.map_or("", |cluster| cluster.name.as_str());
            let found = judge(config, name, &answer);
            if cluster.is_some() {
                clusters.push(cluster_verdict(name, &found));
            }
            findings.extend(found);
        }
        Ok(Evaluation::of(findings, clusters, ()))
    }
}

/// Asks for each of these, all at once.
fn ask(
    call: &GateCall,
    config: &Config,
    clusters: &[Option<&GateCluster>],
    evidence: &impl Evidence,
) -> Result<Vec<Vec<Series>>, Failure> {
    let queries: Vec<String> = clusters
        .iter()
        .map(|cluster| config.query(&call.release, *cluster))
        .collect();
    match config.window {
        Some(window) => evidence.ranges(SLOT, &queries, window.get(), config.step_ms(window)),
        None => evidence.instants(SLOT, &queries),
    }
}

/// The series of each cluster, told by a label. Those of clusters that are not updated are left
/// out: a query rarely knows who is.
fn by_label(
    label: &str,
    clusters: &[Option<&GateCluster>],
    answers: Vec<Vec<Series>>,
) -> Vec<Vec<Series>> {
    let mut of_cluster = query::by_label(label, answers.into_iter().flatten());
    clusters
        .iter()
        .map(|cluster| cluster.and_then(|it| of_cluster.remove(&it.name)))
        .map(Option::unwrap_or_default)
        .collect()
}

fn judge(config: &Config, cluster: &str, series: &[Series]) -> Vec<Finding> {
    let values: Vec<f64> = series
        .iter()
        .filter_map(|series| aggregate(config.aggregate, series))
        .collect();
    let samples = series
        .iter()
        .map(|series| finite(series).count())
        .sum::<usize>();
    let samples = u32::try_from(samples).unwrap_or(u32::MAX);
    let limits = [
        // The worst series counts: the greatest value against max, the least against min.
        config.max.map(|max| {
            let value = values.iter().copied().reduce(f64::max);
            (
                format!("<= {}", number(max)),
                value,
                value.is_some_and(|value| value <= max),
            )
        }),
        config.min.map(|min| {
            let value = values.iter().copied().reduce(f64::min);
            (
                format!(">= {}", number(min)),
                value,
                value.is_some_and(|value| value >= min),
            )
        }),
    ];
    limits
        .into_iter()
        .flatten()
        .map(|(limit, value, meets)| finding(config, cluster, samples, value, limit, meets))
        .collect()
}

fn finding(
    config: &Config,
    cluster: &str,
    samples: u32,
    value: Option<f64>,
    limit: String,
    meets: bool,
) -> Finding {
    let name = &config.name;
    let place = match cluster {
        "" => String::new(),
        _ => format!("cluster {cluster}: "),
    };
    let (verdict, text) = match value {
        Some(value) => {
            let (verdict, says) = match meets {
                true => (Verdict::Pass, "meets"),
                false => (Verdict::Fail, "breaks"),
            };
            let value = number(value);
            let text = format!("{place}{name} {value} {says} {limit} ({samples} samples)");
            (verdict, text)
        }
        None => {
            let verdict = match config.on_no_data {
                OnNoData::Hold => Verdict::Hold,
                OnNoData::Fail => Verdict::Fail,
            };
            (
                verdict,
                format!("{place}no data for {name}, which must be {limit}"),
            )
        }
    };
    Finding {
        measurement: Measurement {
            name: name.clone(),
            cluster: cluster.to_owned(),
            value,
            unit: config.unit.clone(),
            limit,
            verdict,
            samples,
        },
        text,
    }
}

/// The samples that are numbers; the host promises no others.
fn finite(series: &Series) -> impl Iterator<Item = f64> {
    series
        .samples
        .iter()
        .map(|sample| sample.value)
        .filter(|value| value.is_finite())
}

/// One value of a series; none without a sample, or if it is not a number any more.
fn aggregate(aggregate: Aggregate, series: &Series) -> Option<f64> {
    let values = || finite(series);
    let value = match aggregate {
        Aggregate::Max => values().reduce(f64::max),
        Aggregate::Min => values().reduce(f64::min),
        Aggregate::Mean => {
            let count = u32::try_from(values().count()).ok()?;
            (count > 0).then(|| values().sum::<f64>() / f64::from(count))
        }
        Aggregate::Last => values().last(),
    };
    value.filter(|value| value.is_finite())
}

wavegate_sdk::export_gate!(Threshold);

#[cfg(test)]
mod tests;
