//! What every plugin has to keep, whatever it is for.

use super::forms;
use super::run::{Sample, Subject, as_f64, grouped, mebibytes, state_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wavegate_model::limits::STATE_BYTES_MAX;
use wavegate_model::plugin::PluginKind;
use wavegate_plugin_host::Grant;
use wavegate_ports::plugins::{CallEnd, Question};

/// Questions that are asked again: enough to see every kind of them.
const SAMPLES_MAX: usize = 50;
/// Percent of a limit that a call may use. The rest is for sites that are larger than those that
/// it was tried with.
const USED_MAX: f64 = 80.0;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// It could not be made; the words say what it takes.
    Skipped,
}

/// A check, and what it found.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) words: String,
}

fn check(name: &'static str, found: Result<String, String>) -> Check {
    let (outcome, words) = match found {
        Ok(words) => (Outcome::Passed, words),
        Err(words) => (Outcome::Failed, words),
    };
    Check {
        name,
        outcome,
        words,
    }
}

fn skipped(name: &'static str, words: &str) -> Check {
    Check {
        name,
        outcome: Outcome::Skipped,
        words: words.to_owned(),
    }
}

/// Makes all checks. The samples are what cases asked; without any, questions are made up.
pub(crate) fn all(
    subject: &Subject<'_>,
    samples: &[Sample],
    configs: &BTreeSet<String>,
) -> Vec<Check> {
    let configs = good_configs(subject, configs);
    let made_up = match samples {
        [] => made_up(subject, &configs),
        _ => Vec::new(),
    };
    let mut samples: Vec<&Sample> = samples.iter().chain(&made_up).collect();
    samples.truncate(SAMPLES_MAX);
    vec![
        check(
            "contract",
            Ok(format!("built for {}", subject.bench.loaded().contract)),
        ),
        check("imports", Ok(imports(subject))),
        accepts(subject, &configs),
        refuses(subject, &configs),
        deterministic(subject, &samples),
        stateless(subject, &samples),
        own_state(subject, &samples),
        headroom(subject, &samples),
    ]
}

/// Imports that are not granted keep a component from being loaded, so these are only told.
fn imports(subject: &Subject<'_>) -> String {
    let imports = subject.bench.imports();
    let inert = imports
        .iter()
        .filter(|import| import.grant == Grant::Inert)
        .count();
    let evidence: Vec<&str> = imports
        .iter()
        .filter(|import| import.grant == Grant::Evidence)
        .map(|import| import.name.as_str())
        .collect();
    let mut parts = vec!["only what its kind is granted".to_owned()];
    if !evidence.is_empty() {
        parts.push(format!("evidence by {}", evidence.join(", ")));
    }
    if inert > 0 {
        parts.push(format!("{inert} parts of WASI, in which nothing happens"));
    }
    parts.join("; ")
}

/// Configurations that should be good: the examples of the schema, and those of cases. Where
/// there is none, the empty one is tried.
fn good_configs(subject: &Subject<'_>, of_cases: &BTreeSet<String>) -> Vec<String> {
    let schema = &subject.bench.loaded().about.config_schema;
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let examples = schema["examples"].as_array().into_iter().flatten();
    let mut configs: Vec<String> = examples.map(Value::to_string).collect();
    let of_cases = of_cases
        .iter()
        .filter(|config| subject.problems(config).is_empty());
    configs.extend(of_cases.cloned());
    if configs.is_empty() && subject.problems("{}").is_empty() {
        configs.push("{}".to_owned());
    }
    configs.dedup();
    configs
}

const NO_CONFIG: &str = "there is no good configuration to try; give the schema `examples`";

fn accepts(subject: &Subject<'_>, configs: &[String]) -> Check {
    const NAME: &str = "config accepted";
    if configs.is_empty() {
        return skipped(NAME, NO_CONFIG);
    }
    let wrong = configs.iter().find_map(|config| {
        let problem = subject.problems(config).into_iter().next()?;
        let pointer = problem.pointer;
        Some(format!(
            "the example {config} is refused at `{pointer}`: {}",
            problem.message
        ))
    });
    check(
        NAME,
        match wrong {
            Some(wrong) => Err(wrong),
            None => Ok(format!("{} configurations are accepted", configs.len())),
        },
    )
}

fn refuses(subject: &Subject<'_>, configs: &[String]) -> Check {
    const NAME: &str = "config refused";
    let bad = bad_configs(subject, configs);
    let taken = bad
        .iter()
        .find(|config| subject.problems(config).is_empty());
    check(
        NAME,
        match taken {
            Some(config) => Err(format!(
                "it takes {config}, so a slip in a policy would go unnoticed (hint: `type`, and \
             `additionalProperties: false`)"
            )),
            None => Ok(format!("{} broken ones are refused", bad.len())),
        },
    )
}

/// Configurations that are of another type, or have a field too many, or a field of another type.
fn bad_configs(subject: &Subject<'_>, configs: &[String]) -> Vec<String> {
    let schema = &subject.bench.loaded().about.config_schema;
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let mut bad: Vec<String> = ["[]", "\"text\"", "3"].map(str::to_owned).into();
    for config in configs {
        let Ok(Value::Object(good)) = serde_json::from_str::<Value>(config) else {
            continue;
        };
        let mut more = good.clone();
        more.insert("no-such-field".into(), json!(true));
        bad.push(Value::Object(more).to_string());
        for (name, value) in &good {
            if !schema["properties"][name]["type"].is_string() {
                continue;
            }
            let mut other = good.clone();
            let wrong = if value.is_object() {
                json!(5)
            } else {
                json!({"no": "such"})
            };
            other.insert(name.clone(), wrong);
            bad.push(Value::Object(other).to_string());
        }
    }
    bad
}

const NO_SAMPLE: &str = "no question was answered; write cases";

fn answered<'a>(samples: &'a [&Sample]) -> impl Iterator<Item = &'a Sample> {
    let ended = |sample: &&&Sample| {
        matches!(
            sample.tried.end,
            CallEnd::Answered(_) | CallEnd::NeedsEvidence(_)
        )
    };
    samples.iter().filter(ended).copied()
}

fn deterministic(subject: &Subject<'_>, samples: &[&Sample]) -> Check {
    const NAME: &str = "same input, same answer";
    let mut asked = 0;
    for sample in answered(samples) {
        let again = subject
            .bench
            .ask(&sample.question, &sample.config, &subject.limits);
        let first = &sample.tried;
        if (&again.end, &again.output, again.fuel) != (&first.end, &first.output, first.fuel) {
            return check(NAME, Err(difference(first, &again)));
        }
        asked += 1;
    }
    match asked {
        0 => skipped(NAME, NO_SAMPLE),
        asked => check(
            NAME,
            Ok(format!(
                "{asked} questions have the same bytes and fuel twice"
            )),
        ),
    }
}

fn difference(first: &wavegate_plugin_host::Tried, again: &wavegate_plugin_host::Tried) -> String {
    if first.output == again.output {
        return format!(
            "the same question took {} units of fuel and then {}",
            grouped(first.fuel),
            grouped(again.fuel)
        );
    }
    let text =
        |tried: &wavegate_plugin_host::Tried| String::from_utf8_lossy(&tried.output).into_owned();
    format!(
        "the same question was answered with {} and then with {}",
        text(first),
        text(again)
    )
}

/// In a rollout every call has an instance of its own, so nothing can be kept; a plugin that
/// relies on it nevertheless behaves otherwise than its author thinks.
fn stateless(subject: &Subject<'_>, samples: &[&Sample]) -> Check {
    const NAME: &str = "no state between calls";
    let mut asked = 0;
    for sample in answered(samples) {
        if matches!(sample.question, Question::Outline { .. }) || sample.tried.output.is_empty() {
            continue;
        }
        let twice = subject.bench.keep(&subject.limits).and_then(|mut kept| {
            kept.ask(&sample.question, &sample.config, &subject.limits)?;
            kept.ask(&sample.question, &sample.config, &subject.limits)
        });
        match twice {
            Ok((output, _)) if output == sample.tried.output => asked += 1,
            Ok((output, _)) => {
                let words = format!(
                    "an instance that is asked twice answers {} the second time, and a new one {}",
                    String::from_utf8_lossy(&output),
                    String::from_utf8_lossy(&sample.tried.output)
                );
                return check(NAME, Err(words));
            }
            Err(why) => {
                return check(
                    NAME,
                    Err(format!("an instance that is asked twice fails: {why}")),
                );
            }
        }
    }
    match asked {
        0 => skipped(NAME, NO_SAMPLE),
        asked => check(
            NAME,
            Ok(format!(
                "{asked} questions have one answer, however often they are asked"
            )),
        ),
    }
}

fn own_state(subject: &Subject<'_>, samples: &[&Sample]) -> Check {
    const NAME: &str = "reads its own state";
    let mut asked = 0;
    for sample in answered(samples) {
        let Some(returned) = state_of(&sample.tried) else {
            continue;
        };
        let mut question = sample.question.clone();
        match &mut question {
            Question::Decide { state, .. } | Question::Evaluate { state, .. } => *state = returned,
            Question::Outline { .. } => continue,
        }
        let next = subject
            .bench
            .ask(&question, &sample.config, &subject.limits);
        if let CallEnd::Unavailable(why) = &next.end {
            return check(
                NAME,
                Err(format!(
                    "given the state that it returned, it has no answer: {why}"
                )),
            );
        }
        asked += 1;
    }
    match asked {
        0 => skipped(NAME, NO_SAMPLE),
        asked => check(NAME, Ok(format!("{asked} states are read back"))),
    }
}

/// Time is told and not judged: the machine may have other things to do.
fn headroom(subject: &Subject<'_>, samples: &[&Sample]) -> Check {
    const NAME: &str = "limits with headroom";
    let mut most = [0_u64; 4];
    for sample in answered(samples) {
        let state = state_of(&sample.tried).map_or(0, |state| state.0.len());
        let used = [
            sample.tried.fuel,
            sample.tried.memory_bytes,
            sample.tried.output.len() as u64,
            state as u64,
        ];
        for (most, used) in most.iter_mut().zip(used) {
            *most = used.max(*most);
        }
    }
    if most[0] == 0 {
        return skipped(NAME, NO_SAMPLE);
    }
    let limits = &subject.limits;
    let percent = |used: u64, of: u64| 100.0 * as_f64(used) / as_f64(of.max(1));
    let (fuel, memory) = (
        percent(most[0], limits.fuel),
        percent(most[1], limits.memory_bytes),
    );
    let result = percent(most[2], limits.result_bytes);
    let words = format!(
        "at most {} units of fuel ({fuel:.1} %), {} of memory ({memory:.1} %), {} bytes of answer \
         ({result:.1} %), {} of {} bytes of state",
        grouped(most[0]),
        mebibytes(most[1]),
        grouped(most[2]),
        grouped(most[3]),
        grouped(STATE_BYTES_MAX as u64),
    );
    let fits = [fuel, memory, result]
        .iter()
        .all(|percent| *percent <= USED_MAX);
    check(
        NAME,
        match fits {
            true => Ok(words),
            false => Err(format!(
                "{words}; more than {USED_MAX} % leaves too little for larger sites"
            )),
        },
    )
}

/// A question that every plugin of its kind can be asked.
pub(crate) fn made_up(subject: &Subject<'_>, configs: &[String]) -> Vec<Sample> {
    let question = match subject.bench.loaded().about.kind {
        PluginKind::Strategy => forms::view(&json!({"clusters": [
            {"name": "a", "desired": 4, "baseline-ready": 4, "baseline-permille": 500},
            {"name": "b", "desired": 4, "baseline-ready": 4, "baseline-permille": 500},
        ]}))
        .map(|view| Question::Decide {
            view,
            state: Default::default(),
        }),
        PluginKind::Gate => forms::evaluate(&json!({
            "updated": [{"name": "a", "new-ready": 2, "baseline-ready": 2}],
            "untouched": [{"name": "b", "baseline-ready": 4}],
        }))
        .map(|call| Question::Evaluate {
            call,
            state: Default::default(),
            evidence: Vec::new(),
            slots: subject
                .bench
                .loaded()
                .about
                .slots
                .iter()
                .map(|slot| slot.name.clone())
                .collect(),
        }),
    };
    let Ok(question) = question else {
        return Vec::new();
    };
    let each = configs.iter().map(|config| Sample {
        tried: subject.bench.ask(&question, config, &subject.limits),
        question: question.clone(),
        config: config.clone(),
    });
    each.collect()
}

/// The configurations that are worth trying, for whoever has no cases.
pub(crate) fn configs(subject: &Subject<'_>) -> Vec<String> {
    good_configs(subject, &BTreeSet::new())
}

/// Words of a check for results that machines read.
pub(crate) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}
