//! The questions of `sdk/conformance`, asked through the real plugin host.
//!
//! The files have the form that `wavegate plugin test` reads, of which this knows what they use.
//! Answers are compared as the bytes that would be journaled.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::{PluginKind, PluginState};
use wavegate_model::policy::PluginRef;
use wavegate_model::{Digest, DurationMs, Evidence, Query, RolloutId, SlotName};
use wavegate_plugin_host::{CompiledCache, HostOptions, PluginHost};
use wavegate_ports::plugins::{CallEnd, CallReport, PluginCall, Plugins, Question};

/// The instant of all calls.
const NOW: u64 = 1_800_000_000_000;

/// More than the largest language needs for the largest question: how much each needs is for
/// another test.
const LIMITS: CallLimits = CallLimits {
    fuel: 20_000_000_000,
    time: DurationMs(120_000),
    memory_bytes: 1 << 30,
    result_bytes: 8 << 20,
    log_bytes: 64 << 10,
};

/// The folder with the questions.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/conformance")
}

/// The cases for a kind of plugin.
///
/// # Panics
/// If the file cannot be read.
pub fn cases(kind: &str) -> Vec<Value> {
    let path = folder().join(format!("{kind}.json"));
    let text = std::fs::read_to_string(&path).expect("the cases are in the tree");
    let file: Value = serde_json::from_str(&text).expect("the cases are JSON");
    let cases = file["cases"].as_array().expect("a list of cases");
    cases.iter().map(|case| expanded(case, None)).collect()
}

/// A host that compiles each component once for all tests that use this folder.
///
/// # Panics
/// If it cannot be started.
pub fn host(store: &Path) -> PluginHost {
    let mut options = HostOptions::new(store);
    options.limits = LIMITS;
    options.compiled = CompiledCache::Keep;
    PluginHost::new(options).expect("a plugin host")
}

/// A component that was loaded.
#[derive(Debug)]
pub struct Asked {
    digest: Digest,
}

/// Loads a component.
///
/// # Panics
/// If it is refused.
pub async fn load(host: &PluginHost, component: &Path, kind: PluginKind) -> Asked {
    let reference = PluginRef::File(component.display().to_string());
    let loaded = host.load(&reference, kind, Path::new("/")).await;
    let loaded = loaded.unwrap_or_else(|error| panic!("{}: {error}", component.display()));
    Asked {
        digest: loaded.digest,
    }
}

/// Asks the question of a case, and gives the answer as text.
///
/// # Panics
/// If the case is not one of those that this knows.
pub async fn ask(host: &PluginHost, plugin: &Asked, case: &Value) -> String {
    let config = case["config"].to_string();
    if case["validate-config"] == json!(true) {
        let problems = host.validate_config(&plugin.digest, &config).await;
        return match problems {
            Ok(problems) => serde_json::to_string(&problems).expect("problems are JSON"),
            Err(why) => format!("{why:?}"),
        };
    }
    let mut evidence = Vec::new();
    loop {
        let question = question(case, &evidence);
        let call = PluginCall {
            rollout: RolloutId::new("conformance"),
            digest: plugin.digest.clone(),
            config: config.clone(),
            limits: LIMITS,
            question,
        };
        let report = host.call(call).await;
        match report.end {
            CallEnd::Answered(_) => {
                return String::from_utf8(report.output).expect("answers are JSON");
            }
            CallEnd::Unavailable(why) => return format!("{why:?}"),
            CallEnd::NeedsEvidence(queries) => {
                for query in queries {
                    let answer = answer(case, &query);
                    evidence.push((query, answer));
                }
            }
        }
    }
}

/// Asks a plugin that misbehaves in a way of its choice, with limits of a large language.
pub async fn ask_bad(host: &PluginHost, plugin: &Asked, way: &str) -> CallEnd {
    let limits = CallLimits {
        fuel: 1_000_000_000,
        time: DurationMs(8_000),
        memory_bytes: 256 << 20,
        ..LIMITS
    };
    let call = PluginCall {
        rollout: RolloutId::new("bad"),
        digest: plugin.digest.clone(),
        config: json!({ "bad": way }).to_string(),
        limits,
        question: question(&json!({"view": {"clusters": []}}), &[]),
    };
    host.call(call).await.end
}

/// Asks the question of a case once, and reports what the call took.
pub async fn ask_once(host: &PluginHost, plugin: &Asked, case: &Value) -> CallReport {
    let call = PluginCall {
        rollout: RolloutId::new("measured"),
        digest: plugin.digest.clone(),
        config: case["config"].to_string(),
        limits: LIMITS,
        question: question(case, &[]),
    };
    host.call(call).await
}

fn question(case: &Value, evidence: &[(Query, Evidence)]) -> Question {
    let state = state(&case["state"]);
    if let Some(view) = case.get("view") {
        return Question::Decide {
            view: read(site_view(view)),
            state,
        };
    }
    if let Some(site) = case.get("outline") {
        let clusters = list(&site["clusters"]).iter().map(|cluster| {
            json!([
                cluster["name"],
                or(cluster, "role", json!("")),
                cluster["desired"]
            ])
        });
        let clusters: Vec<Value> = clusters.collect();
        return Question::Outline {
            site: read(json!({"site": site["site"], "clusters": clusters})),
            release: read(release(site)),
        };
    }
    Question::Evaluate {
        call: read(gate_call(&case["evaluate"])),
        state,
        evidence: evidence.to_vec(),
        slots: BTreeSet::from([SlotName::new("metrics")]),
    }
}

fn site_view(view: &Value) -> Value {
    let numbers = [
        "desired",
        "new-ready",
        "new-unready",
        "baseline-ready",
        "baseline-unready",
        "other",
        "failed",
        "new-permille",
        "baseline-permille",
        "batch-max",
    ];
    let clusters = list(&view["clusters"]).iter().map(|cluster| {
        let mut made = Map::new();
        made.insert("name".into(), cluster["name"].clone());
        made.insert("role".into(), or(cluster, "role", json!("")));
        made.insert("baseline".into(), json!(digest('1')));
        for name in numbers {
            made.insert(name.replace('-', "_"), or(cluster, name, json!(0)));
        }
        made.insert("unavailable_max".into(), json!(1));
        made.insert("surge_max".into(), json!(1));
        Value::Object(made)
    });
    let gates = list(&view["gates"]).iter().map(|gate| {
        json!({"name": gate["name"], "last": gate["last"], "age": or(gate, "age-ms", json!(0))})
    });
    let position = view.get("position").map(snake);
    let first = json!({"wave_name": "w", "wave": 1, "waves": 1, "site": 1, "sites": 1});
    let completed = match view["completed"].as_str() {
        None | Some("") => "nothing",
        Some(word) => word,
    };
    json!({
        "now": NOW,
        "site": "site",
        "clusters": clusters.collect::<Vec<_>>(),
        "splits_traffic": or(view, "splits-traffic", json!(true)),
        "release": release(view),
        "stage": "",
        "stage_elapsed": or(view, "stage-elapsed-ms", json!(0)),
        "site_elapsed": or(view, "site-elapsed-ms", json!(0)),
        "time_left": view["time-left-ms"],
        "completed": completed,
        "gates": gates.collect::<Vec<_>>(),
        "position": position.unwrap_or(first),
    })
}

fn gate_call(call: &Value) -> Value {
    let clusters = |name: &str| -> Vec<Value> {
        let cluster = |cluster: &Value| {
            json!({
                "name": cluster["name"],
                "role": "",
                "baseline": digest('1'),
                "new_ready": or(cluster, "new-ready", json!(0)),
                "baseline_ready": or(cluster, "baseline-ready", json!(0)),
            })
        };
        list(&call[name]).iter().map(cluster).collect()
    };
    json!({
        "now": NOW,
        "subject": {"site": "site"},
        "phase": or(call, "phase", json!("after-batch")),
        "attempt": or(call, "attempt", json!(0)),
        "evidence_start": NOW - 60_000,
        "release": release(call),
        "updated": clusters("updated"),
        "untouched": clusters("untouched"),
    })
}

/// The first entry that fits answers.
fn answer(case: &Value, query: &Query) -> Evidence {
    let (kind, asked) = match query {
        Query::Instant { slot, query } => {
            ("instant", json!({"slot": slot.as_str(), "query": query}))
        }
        Query::Range {
            slot,
            query,
            window,
            step,
        } => (
            "range",
            json!({"slot": slot.as_str(), "query": query, "window-ms": window.0, "step-ms": step.0}),
        ),
        Query::HttpGet { .. } | Query::Probe { .. } => panic!("the examples ask for metrics only"),
    };
    let fits = |entry: &&Value| {
        let wanted = entry.get(kind).and_then(Value::as_object);
        wanted.is_some_and(|wanted| wanted.iter().all(|(name, value)| asked[name] == *value))
    };
    let entry = list(&case["evidence"]).iter().find(fits);
    let entry = entry.unwrap_or_else(|| panic!("{}: nothing answers {asked}", case["name"]));
    let series = list(&entry["series"]).iter().map(|series| {
        let labels: BTreeMap<String, String> = read(series["labels"].clone());
        json!({"labels": labels.into_iter().collect::<Vec<_>>(), "samples": series["samples"]})
    });
    read(json!({"series": series.collect::<Vec<_>>()}))
}

fn state(value: &Value) -> PluginState {
    PluginState(value.get("json").map_or_else(Vec::new, |state| {
        // In the order of the file, which a map would not keep.
        let field = |name: &str| format!("\"{name}\":{}", state[name]);
        format!(
            "{{{},{},{}}}",
            field("step"),
            field("phase"),
            field("nodes")
        )
        .into_bytes()
    }))
}

fn release(of: &Value) -> Value {
    let version = of["release"]["version"].as_str().unwrap_or("2.0");
    json!({"version": version, "digest": digest('2')})
}

fn digest(digit: char) -> String {
    format!("sha256:{}", String::from(digit).repeat(64))
}

fn or(value: &Value, name: &str, default: Value) -> Value {
    value.get(name).cloned().unwrap_or(default)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn snake(value: &Value) -> Value {
    let fields = value.as_object().into_iter().flatten();
    let fields = fields.map(|(name, value)| (name.replace('-', "_"), value.clone()));
    Value::Object(fields.collect())
}

#[track_caller]
fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a case has the form of a question")
}

/// A value with its repetitions written out.
fn expanded(value: &Value, index: Option<u64>) -> Value {
    match value {
        Value::Array(items) => items
            .iter()
            .flat_map(|item| repeated(item, index))
            .collect(),
        Value::Object(fields) => match (&value["text"], value["times"].as_u64()) {
            (Value::String(text), Some(times)) => {
                json!(text.repeat(usize::try_from(times).expect("a small number")))
            }
            _ => {
                let fields = fields.iter();
                let fields = fields.map(|(name, value)| (name.clone(), expanded(value, index)));
                Value::Object(fields.collect())
            }
        },
        Value::String(text) => match index {
            Some(index) => json!(
                text.replace("{i:03}", &format!("{index:03}"))
                    .replace("{i:02}", &format!("{index:02}"))
                    .replace("{i}", &index.to_string())
            ),
            None => value.clone(),
        },
        other => other.clone(),
    }
}

fn repeated(item: &Value, index: Option<u64>) -> Vec<Value> {
    match (item["repeat"].as_u64(), item.get("item")) {
        (Some(times), Some(item)) => (0..times).map(|i| expanded(item, Some(i))).collect(),
        _ => vec![expanded(item, index)],
    }
}
