//! The gate *probe*: judges the new nodes of each updated cluster by success ratio and
//! latency, as the driver's health checks and the front door's real traffic show them.
//!
//! **Owns** the judgement of one evaluation.
//! **Does not own** the counting of failures and the measuring itself: those are the host's.
//! **Start** with `evaluate`.

use serde::Deserialize;
use wavegate_sdk::units::{Millis, Ratio, number};
use wavegate_sdk::{
    About, Cohort, Evaluation, Evidence, Failure, Finding, Gate, GateAbout, GateCall, Measurement,
    PHASES, ProbeSummary, Problem, Requests, Slot, Verdict, cluster_verdict, problem,
};

/// The name of the slot that the policy binds to a source.
const SLOT: &str = "probe";

/// The gate.
#[derive(Debug)]
pub struct Probe;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    #[serde(default = "default_min_success")]
    min_success: Ratio,
    #[serde(default, rename = "maxP95")]
    max_p95: Option<Millis>,
    #[serde(default = "default_min_requests")]
    min_requests: u32,
    #[serde(default = "default_window")]
    window: Millis,
    #[serde(default)]
    origin: Origin,
}

fn default_min_success() -> Ratio {
    Ratio::parse("99%").expect("a constant that a test reads")
}

fn default_min_requests() -> u32 {
    1
}

fn default_window() -> Millis {
    Millis::from_secs(10)
}

/// Which requests are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Origin {
    Checks,
    Traffic,
    #[default]
    Any,
}

impl Gate for Probe {
    type Config = Config;
    type State = ();

    fn describe() -> GateAbout {
        GateAbout {
            about: About {
                name: "probe".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                state_version: 1,
                config_schema: include_str!("schema.json").to_owned(),
                text: "Judges the new nodes of each updated cluster by the success ratio and \
                       the latency of requests: the driver's own health checks, and real \
                       traffic where a front door sees it. Needs no metrics server."
                    .to_owned(),
            },
            slots: vec![Slot {
                name: SLOT.to_owned(),
                kind: "probes".to_owned(),
                text: "counts and latencies of requests to the new nodes of a cluster".to_owned(),
            }],
        }
    }

    fn validate_config(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        if config.min_requests == 0 {
            let text = "must be at least 1: a verdict needs evidence";
            problems.push(problem("/minRequests", text));
        }
        if config.window.get() == 0 {
            problems.push(problem("/window", "must be longer than nothing"));
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
            let reason = format!("the phase {} is not known to this version", call.phase);
            return Ok(Evaluation::hold(reason, ()));
        }
        if call.updated.is_empty() {
            let reason = "no cluster runs the new release yet, so there is nothing to probe";
            return Ok(Evaluation::hold(reason, ()));
        }
        let names: Vec<String> = call.updated.iter().map(|it| it.name.clone()).collect();
        let window = config.window.get();
        let answers = evidence.summaries(SLOT, &names, Cohort::New, window)?;
        let mut findings = Vec::new();
        let mut clusters = Vec::new();
        for (cluster, answer) in call.updated.iter().zip(answers) {
            let found = judge(config, &cluster.name, &answer);
            clusters.push(cluster_verdict(&cluster.name, &found));
            findings.extend(found);
        }
        Ok(Evaluation::of(findings, clusters, ()))
    }
}

fn judge(config: &Config, cluster: &str, summary: &ProbeSummary) -> Vec<Finding> {
    let (checks, traffic) = (&summary.checks, &summary.traffic);
    match config.origin {
        Origin::Checks => judge_requests(config, cluster, checks, Label::CHECKS),
        Origin::Traffic => judge_requests(config, cluster, traffic, Label::TRAFFIC),
        Origin::Any if traffic.total == 0 => judge_requests(config, cluster, checks, Label::CHECKS),
        Origin::Any => {
            let mut findings = judge_requests(config, cluster, traffic, Label::TRAFFIC);
            if checks.total > 0 {
                findings.extend(judge_requests(config, cluster, checks, Label::BESIDE));
            }
            findings
        }
    }
}

/// How requests of an origin are called.
#[derive(Clone, Copy)]
struct Label {
    /// Before the names of measurements, where another origin has the plain names.
    prefix: &'static str,
    requests: &'static str,
}

impl Label {
    const CHECKS: Self = Self {
        prefix: "",
        requests: "health checks",
    };
    const TRAFFIC: Self = Self {
        prefix: "",
        requests: "requests",
    };
    /// Checks beside traffic.
    const BESIDE: Self = Self {
        prefix: "checks-",
        requests: "health checks",
    };
}

fn judge_requests(
    config: &Config,
    cluster: &str,
    requests: &Requests,
    label: Label,
) -> Vec<Finding> {
    let total = requests.total;
    let good = total.saturating_sub(requests.failed);
    let ratio = (total > 0).then(|| f64::from(good) / f64::from(total));
    let limit = config.min_success.get();
    let mut findings = vec![finding(
        config,
        cluster,
        requests,
        label,
        Measured {
            name: "success-ratio",
            unit: "ratio",
            value: ratio,
            limit: format!(">= {}", number(limit)),
            holds: ratio.is_some_and(|ratio| ratio >= limit),
        },
    )];
    if let Some(max) = config.max_p95 {
        let limit = f64::from(max.get());
        let value = requests.p95_ms.filter(|p95| p95.is_finite());
        let measured = Measured {
            name: "latency-p95",
            unit: "ms",
            value,
            limit: format!("<= {}", number(limit)),
            holds: value.is_some_and(|p95| p95 <= limit),
        };
        findings.push(finding(config, cluster, requests, label, measured));
    }
    findings
}

/// A value and its limit, before it is known whether there is enough behind it.
struct Measured {
    name: &'static str,
    unit: &'static str,
    value: Option<f64>,
    limit: String,
    holds: bool,
}

fn finding(
    config: &Config,
    cluster: &str,
    requests: &Requests,
    label: Label,
    measured: Measured,
) -> Finding {
    let name = format!("{}{}", label.prefix, measured.name);
    let (total, what) = (requests.total, label.requests);
    let (verdict, text) = match measured.value {
        Some(_) if total < config.min_requests => {
            let needed = config.min_requests;
            let text = format!("cluster {cluster}: {total} {what}, fewer than {needed}");
            (Verdict::Hold, text)
        }
        Some(value) => {
            let (verdict, says) = match measured.holds {
                true => (Verdict::Pass, "meets"),
                false => (Verdict::Fail, "breaks"),
            };
            let text = format!(
                "cluster {cluster}: {name} {} {says} {} ({total} {what})",
                number(value),
                measured.limit
            );
            (verdict, text)
        }
        None => {
            let text = format!("cluster {cluster}: no {what} to take {name} from");
            (Verdict::Hold, text)
        }
    };
    Finding {
        measurement: Measurement {
            name,
            cluster: cluster.to_owned(),
            value: measured.value,
            unit: measured.unit.to_owned(),
            limit: measured.limit,
            verdict,
            samples: total,
        },
        text,
    }
}

wavegate_sdk::export_gate!(Probe);

#[cfg(test)]
mod tests;
