//! The gate *ceiling*: holds the answer of a metric query against a greatest value, for the
//! subject as a whole or for each updated cluster.

use serde::Deserialize;
use wavegate_sdk::units::{Millis, number};
use wavegate_sdk::{
    About, Evaluation, Evidence, Failure, Finding, Gate, GateAbout, GateCall, GateCluster,
    Measurement, PHASES, Problem, Series, Slot, Verdict, cluster_verdict, problem, query,
};

/// The gate.
pub struct Plugin;

/// The name of the slot that the policy binds to a source.
const SLOT: &str = "metrics";

/// Samples of a window: enough to see a course, few enough to be cheap for a source.
const SAMPLES_PER_WINDOW: u32 = 20;

/// The configuration; `schema.json` says what each setting means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    query: String,
    max: f64,
    window: Option<Millis>,
    #[serde(default)]
    per_cluster: bool,
    #[serde(default)]
    on_no_data: OnNoData,
    #[serde(default = "default_name")]
    name: String,
    #[serde(default)]
    unit: String,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnNoData {
    #[default]
    Hold,
    Fail,
}

fn default_name() -> String {
    "value".to_owned()
}

impl Gate for Plugin {
    type Config = Config;
    /// Each evaluation stands for itself.
    type State = ();

    fn describe() -> GateAbout {
        GateAbout {
            about: About {
                name: "ceiling".to_owned(),
                version: "0.1.0".to_owned(),
                state_version: 1,
                config_schema: include_str!("schema.json").to_owned(),
                text: "Holds the answer of a metric query against a greatest value, for the \
                       subject as a whole or for each updated cluster."
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
        let mut problems = Vec::new();
        if config.window.is_some_and(|window| window.get() == 0) {
            problems.push(problem("/window", "must be longer than nothing"));
        }
        for name in query::placeholders(&config.query) {
            let text = match name {
                "release" | "version" => continue,
                "cluster" if config.per_cluster => continue,
                "cluster" => "{{cluster}} is known with perCluster only".to_owned(),
                _ => format!("{{{{{name}}}}} is not known; known are release, version and cluster"),
            };
            problems.push(problem("/query", text));
        }
        problems
    }

    fn evaluate(
        call: &GateCall,
        config: &Config,
        (): (),
        evidence: &impl Evidence,
    ) -> Result<Evaluation<()>, Failure> {
        if !PHASES.contains(&call.phase.as_str()) {
            let reason = format!("the phase {} is not known", call.phase);
            return Ok(Evaluation::hold(reason, ()));
        }
        let subjects: Vec<Option<&GateCluster>> = match config.per_cluster {
            true => call.updated.iter().map(Some).collect(),
            false => vec![None],
        };
        if subjects.is_empty() {
            return Ok(Evaluation::hold("no cluster runs the new release yet", ()));
        }
        let answers = ask(call, config, &subjects, evidence)?;
        let mut findings = Vec::new();
        let mut clusters = Vec::new();
        for (cluster, series) in subjects.iter().zip(answers) {
            let name = cluster.map_or("", |cluster| cluster.name.as_str());
            let finding = judge(config, name, &series);
            if cluster.is_some() {
                clusters.push(cluster_verdict(name, std::slice::from_ref(&finding)));
            }
            findings.push(finding);
        }
        Ok(Evaluation::of(findings, clusters, ()))
    }
}

/// Asks for all subjects at once: one by one, each would take a round of evidence.
fn ask(
    call: &GateCall,
    config: &Config,
    subjects: &[Option<&GateCluster>],
    evidence: &impl Evidence,
) -> Result<Vec<Vec<Series>>, Failure> {
    let fill = |cluster: &Option<&GateCluster>| {
        let name = cluster.map_or("", |cluster| cluster.name.as_str());
        let values = [
            ("release", call.release.digest.as_str()),
            ("version", call.release.version.as_str()),
            ("cluster", name),
        ];
        query::fill(&config.query, &values)
    };
    let queries: Vec<String> = subjects.iter().map(fill).collect();
    match config.window.map(Millis::get) {
        Some(window) => {
            evidence.ranges(SLOT, &queries, window, (window / SAMPLES_PER_WINDOW).max(1))
        }
        None => evidence.instants(SLOT, &queries),
    }
}

/// The worst value counts, of all samples of all series.
fn judge(config: &Config, cluster: &str, series: &[Series]) -> Finding {
    let values: Vec<f64> = series
        .iter()
        .flat_map(|series| series.samples.iter().map(|sample| sample.value))
        .filter(|value| value.is_finite())
        .collect();
    let samples = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let worse = |one: f64, other: f64| if other > one { other } else { one };
    let value = values.iter().copied().reduce(worse);
    let name = &config.name;
    let limit = format!("<= {}", number(config.max));
    let place = match cluster {
        "" => String::new(),
        _ => format!("cluster {cluster}: "),
    };
    let (verdict, text) = match value {
        Some(value) if value <= config.max => (Verdict::Pass, format!("meets {limit}")),
        Some(_) => (Verdict::Fail, format!("breaks {limit}")),
        None => match config.on_no_data {
            OnNoData::Hold => (Verdict::Hold, String::new()),
            OnNoData::Fail => (Verdict::Fail, String::new()),
        },
    };
    let text = match value {
        Some(value) => format!("{place}{name} {} {text} ({samples} samples)", number(value)),
        None => format!("{place}no data for {name}, which must be {limit}"),
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

wavegate_sdk::export_gate!(Plugin);

#[cfg(test)]
mod tests;
