//! Answers in the words of the contract, as case files and JSON results have them.

use super::cases::Ask;
use serde_json::{Map, Value, json};
use wavegate_model::evidence::Requests;
use wavegate_model::plugin::{
    About, Evaluation, GateCall, GateCluster, Measurement, Outcome, PluginState, Problem, Proposal,
    Stage, Subject, Verdict,
};
use wavegate_model::{Evidence, Query, Unavailable};
use wavegate_ports::plugins::Answer;

/// What can be expected of any call.
const FAILURE: &str = "failure";
const UNAVAILABLE: &str = "unavailable";

/// What can be expected of a call.
pub(super) fn answered(ask: &Ask) -> &'static [&'static str] {
    match ask {
        Ask::Decide(_) => &["decision", "stage", "reason", "state", FAILURE, UNAVAILABLE],
        Ask::Outline(..) => &["stages", FAILURE, UNAVAILABLE],
        Ask::Evaluate(_) => &[
            "verdict",
            "reason",
            "clusters",
            "measurements",
            "state",
            "rounds",
            FAILURE,
            UNAVAILABLE,
        ],
        Ask::ValidateConfig => &["problems", FAILURE, UNAVAILABLE],
        Ask::Describe => &[
            "name",
            "version",
            "state-version",
            "text",
            "slots",
            "contract",
            FAILURE,
            UNAVAILABLE,
        ],
    }
}

/// Brings what is expected into the form in which answers are told.
pub(super) fn normalised(field: &str, value: &mut Value) -> Result<(), String> {
    match field {
        "state" => *value = state(&PluginState(super::forms::bytes(value)?)),
        "clusters" | "measurements" | "stages" | "problems" | "slots" => {
            let list = value.as_array_mut().ok_or("it is a list")?;
            if field == "clusters" {
                sort_by_cluster(list);
            }
        }
        "decision" => decision(value)?,
        _ => {}
    }
    Ok(())
}

fn decision(value: &mut Value) -> Result<(), String> {
    const KNOWN: &str = "a decision is `done`, or one of {go: […]}, {wait-gates: […]}, {wait-ms: …}, {wait-person: …}, {failed: …}";
    match value {
        Value::String(word) if word == "done" => Ok(()),
        Value::Object(members) if members.len() == 1 => {
            match members.iter_mut().next() {
                Some((word, Value::Array(goal))) if word == "go" => sort_by_cluster(goal),
                Some((word, Value::Array(_))) if word == "wait-gates" => {}
                Some((word, Value::Number(_))) if word == "wait-ms" => {}
                Some((word, Value::String(_))) if word == "wait-person" || word == "failed" => {}
                _ => return Err(KNOWN.into()),
            }
            Ok(())
        }
        _ => Err(KNOWN.into()),
    }
}

fn sort_by_cluster(list: &mut [Value]) {
    list.sort_by_cached_key(|item| item["cluster"].as_str().unwrap_or_default().to_owned());
}

/// Bytes as hex, and as text where they are one.
fn state(state: &PluginState) -> Value {
    match std::str::from_utf8(&state.0) {
        Ok(text) if !text.chars().any(char::is_control) => Value::String(text.to_owned()),
        _ => json!({"hex": String::from(state.clone())}),
    }
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// An answer without what cases know besides.
pub(crate) fn answer(answer: &Answer) -> Map<String, Value> {
    match answer {
        Answer::Decide(decided) => outcome(decided),
        Answer::Outline(outlined) => stages(outlined),
        Answer::Evaluate(evaluated) => {
            let mut told = evaluation(evaluated, 0);
            told.remove("rounds");
            told
        }
    }
}

/// Questions that there is no evidence for.
pub(crate) fn would_ask(queries: &[Query]) -> Map<String, Value> {
    fields([("would-ask", queries.iter().map(entry).collect())])
}

pub(super) fn outcome(outcome: &Outcome) -> Map<String, Value> {
    let decision = match &outcome.proposal {
        Proposal::Go(goal) => {
            let each = goal.clusters.iter().map(|cluster| {
                json!({
                    "cluster": cluster.cluster.as_str(),
                    "new": cluster.new,
                    "baseline": cluster.baseline,
                    "new-permille": cluster.new_share.0,
                    "baseline-permille": cluster.baseline_share.0,
                })
            });
            json!({"go": each.collect::<Vec<_>>()})
        }
        Proposal::WaitGates(gates) => {
            let names: Vec<&str> = gates.iter().map(|gate| gate.as_str()).collect();
            json!({"wait-gates": names})
        }
        Proposal::Wait(time) => json!({"wait-ms": time.0}),
        Proposal::WaitPerson(text) => json!({"wait-person": text}),
        Proposal::Done => json!("done"),
        Proposal::Failed(reason) => json!({"failed": reason}),
    };
    fields([
        ("decision", decision),
        ("stage", json!(outcome.stage)),
        ("reason", json!(outcome.reason)),
        ("state", state(&outcome.state)),
    ])
}

pub(super) fn stages(stages: &[Stage]) -> Map<String, Value> {
    let each = stages
        .iter()
        .map(|stage| json!({"name": stage.name, "text": stage.text}));
    fields([("stages", each.collect())])
}

fn verdict(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Pass => json!("pass"),
        Verdict::Hold => json!("hold"),
        Verdict::Fail => json!("fail"),
    }
}

fn measurement(measured: &Measurement) -> Value {
    json!({
        "name": measured.name,
        "cluster": measured.cluster,
        "value": measured.value,
        "unit": measured.unit,
        "limit": measured.limit,
        "verdict": verdict(measured.verdict),
        "samples": measured.samples,
    })
}

pub(super) fn evaluation(evaluation: &Evaluation, rounds: u32) -> Map<String, Value> {
    let clusters = evaluation.clusters.iter();
    let clusters = clusters
        .map(|(cluster, judged)| json!({"cluster": cluster.as_str(), "verdict": verdict(*judged)}));
    fields([
        ("verdict", verdict(evaluation.verdict)),
        ("reason", json!(evaluation.reason)),
        ("clusters", clusters.collect()),
        (
            "measurements",
            evaluation.measurements.iter().map(measurement).collect(),
        ),
        ("state", state(&evaluation.state)),
        ("rounds", json!(rounds)),
    ])
}

pub(super) fn problems(problems: &[Problem]) -> Map<String, Value> {
    let each = problems
        .iter()
        .map(|problem| json!({"pointer": problem.pointer, "message": problem.message}));
    fields([("problems", each.collect())])
}

pub(super) fn about(about: &About, contract: &str) -> Map<String, Value> {
    let slots = about
        .slots
        .iter()
        .map(|slot| json!({"name": slot.name.as_str(), "kind": slot.kind, "text": slot.text}));
    fields([
        ("name", json!(about.name)),
        ("version", json!(about.version)),
        ("state-version", json!(about.state_version)),
        ("text", json!(about.text)),
        ("slots", slots.collect()),
        ("contract", json!(contract)),
    ])
}

pub(crate) fn unavailable(why: &Unavailable) -> Map<String, Value> {
    match why {
        Unavailable::Failed { code, message } => {
            fields([(FAILURE, json!({"code": code, "message": message}))])
        }
        other => fields([(UNAVAILABLE, json!(other.to_string()))]),
    }
}

/// A question for evidence as an entry that a case could answer it with.
pub(super) fn entry(query: &Query) -> Value {
    match query {
        Query::Instant { slot, query } => {
            json!({"instant": {"slot": slot.as_str(), "query": query}, "series": []})
        }
        Query::Range {
            slot,
            query,
            window,
            step,
        } => json!({
            "range": {"slot": slot.as_str(), "query": query, "window-ms": window.0, "step-ms": step.0},
            "series": [],
        }),
        Query::HttpGet { slot, path } => json!({
            "get": {"slot": slot.as_str(), "path": path}, "status": 200, "body": "",
        }),
        Query::Probe {
            slot,
            cluster,
            cohort,
            window,
        } => json!({
            "summary": {
                "slot": slot.as_str(), "cluster": cluster.as_str(), "cohort": cohort,
                "window-ms": window.0,
            },
            "checks": {"total": 0, "failed": 0}, "traffic": {"total": 0, "failed": 0},
        }),
    }
}

/// A question with what was answered, as an entry of a case's evidence.
pub(crate) fn answered_entry(query: &Query, evidence: &Evidence) -> Value {
    let mut entry = entry(query);
    match evidence {
        Evidence::Series(list) => {
            let each = list.iter().map(|series| {
                let labels = series.labels.iter().cloned();
                let labels: std::collections::BTreeMap<String, String> = labels.collect();
                json!({"labels": labels, "samples": series.samples})
            });
            entry["series"] = each.collect();
        }
        Evidence::Http {
            status,
            content_type,
            body,
        } => {
            entry["status"] = json!(status);
            entry["content-type"] = json!(content_type);
            entry["body"] = state(&PluginState(body.clone()));
        }
        Evidence::Probe(summary) => {
            entry["checks"] = requests(&summary.checks);
            entry["traffic"] = requests(&summary.traffic);
        }
    }
    entry
}

fn requests(requests: &Requests) -> Value {
    json!({
        "total": requests.total, "failed": requests.failed, "p50-ms": requests.p50_ms,
        "p95-ms": requests.p95_ms, "p99-ms": requests.p99_ms,
    })
}

/// What a gate is asked, as a case writes it.
pub(crate) fn asked(call: &GateCall) -> Value {
    let subject = match &call.subject {
        Subject::Site(site) => json!({"kind": "site", "name": site.as_str()}),
        Subject::Wave(wave) => json!({"kind": "wave", "name": wave.as_str()}),
    };
    json!({
        "now": call.now.0,
        "subject": subject,
        "phase": call.phase.as_str(),
        "attempt": call.attempt,
        "evidence-start": call.evidence_start.0,
        "release": {
            "version": call.release.version, "digest": call.release.digest.to_string(),
        },
        "updated": call.updated.iter().map(cluster).collect::<Vec<_>>(),
        "untouched": call.untouched.iter().map(cluster).collect::<Vec<_>>(),
    })
}

fn cluster(cluster: &GateCluster) -> Value {
    json!({
        "name": cluster.name.as_str(), "role": cluster.role,
        "baseline": cluster.baseline.to_string(),
        "new-ready": cluster.new_ready, "baseline-ready": cluster.baseline_ready,
    })
}
