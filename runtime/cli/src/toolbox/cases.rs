//! Case files: what a plugin is asked, and what has to come of it.

use super::expand::{Wrong, expand, merge};
use super::forms::{self, Entry};
use super::words;
use crate::prepare::colour;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use wavegate_documents::Configuration;
use wavegate_model::SlotName;
use wavegate_model::plugin::{GateCall, PluginState, Problem, ReleaseId, SiteSummary, SiteView};

/// Bytes of a case file: a thousand cases of ordinary size.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Cases of one file: more are better kept in several.
const CASES_MAX: usize = 5_000;
/// What says which call is made.
const CALLS: [&str; 5] = ["view", "outline", "evaluate", "validate-config", "describe"];
const STEP_KEYS: [&str; 5] = ["config", "state", "evidence", "slots", "expect"];

/// Calls in a row, with what has to come of each.
pub(crate) struct Case {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// One call.
pub(crate) struct Step {
    pub(crate) ask: Ask,
    pub(crate) config: String,
    /// The state; that of the step before if none is said.
    pub(crate) state: Option<PluginState>,
    pub(crate) evidence: Vec<Entry>,
    /// Slots that are bound; what the plugin describes if none are said.
    pub(crate) slots: Option<BTreeSet<SlotName>>,
    pub(crate) expect: Map<String, Value>,
}

/// What is asked.
pub(crate) enum Ask {
    Decide(SiteView),
    Outline(SiteSummary, ReleaseId),
    Evaluate(GateCall),
    ValidateConfig,
    Describe,
}

/// What is wrong with case files, for people, with places.
pub(crate) struct NotCases(pub(crate) String);

/// The files at a path: itself, or those of a folder, sorted.
pub(crate) fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a case file.
pub(crate) fn read(path: &Path) -> Result<Vec<Case>, NotCases> {
    let not_read = |error: &dyn std::fmt::Display| {
        NotCases(format!("error: cannot read {}: {error}", path.display()))
    };
    let length = std::fs::metadata(path).map_err(|error| not_read(&error))?;
    if length.len() > FILE_BYTES_MAX {
        return Err(not_read(&format!(
            "it is larger than {} MiB",
            FILE_BYTES_MAX >> 20
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| not_read(&error))?;
    let read = Configuration::read(path.to_owned(), text)
        .map_err(|problems| NotCases(problems.render(colour())))?;
    let value: Value = serde_json::from_str(read.json()).map_err(|error| not_read(&error))?;
    parse(path, &value).map_err(|wrong| {
        let problem = Problem {
            pointer: wrong.pointer,
            message: wrong.message,
        };
        NotCases(read.problems(&[problem]).render(colour()))
    })
}

fn parse(file: &Path, value: &Value) -> Result<Vec<Case>, Wrong> {
    let top = object(value, "")?;
    only(top, &["defaults", "cases"], "")?;
    let empty = Value::Object(Map::new());
    let defaults = top.get("defaults").unwrap_or(&empty);
    object(defaults, "/defaults")?;
    let Some(Value::Array(cases)) = top.get("cases") else {
        return Err(Wrong::at("", "it takes `cases`, a list"));
    };
    if cases.len() > CASES_MAX {
        return Err(Wrong::at(
            "/cases",
            format!("these are more than {CASES_MAX} cases"),
        ));
    }
    let mut read = Vec::new();
    let mut names = BTreeMap::new();
    for (place, case) in cases.iter().enumerate() {
        let here = format!("/cases/{place}");
        let case = one(file, defaults, case, &here)?;
        if let Some(first) = names.insert(case.name.clone(), place) {
            let message = format!("case {} has this name already", first + 1);
            return Err(Wrong::at(format!("{here}/name"), message));
        }
        read.push(case);
    }
    Ok(read)
}

fn one(file: &Path, defaults: &Value, case: &Value, here: &str) -> Result<Case, Wrong> {
    let own = object(case, here)?;
    let name = match own.get("name") {
        Some(Value::String(name)) if !name.trim().is_empty() => name.clone(),
        _ => return Err(Wrong::at(here, "a case takes a `name`")),
    };
    let merged = over(defaults, case);
    let mut base = object(&merged, here)?.clone();
    base.remove("name");
    let steps = match base.remove("steps") {
        None => vec![step(&Value::Object(base), here)?],
        Some(Value::Array(steps)) if !steps.is_empty() => {
            let base = Value::Object(base);
            let steps = steps.iter().enumerate().map(|(place, own)| {
                let here = format!("{here}/steps/{place}");
                object(own, &here)?;
                step(&over(&base, own), &here)
            });
            steps.collect::<Result<_, _>>()?
        }
        Some(_) => return Err(Wrong::at(format!("{here}/steps"), "it is a list of calls")),
    };
    Ok(Case {
        file: file.to_owned(),
        name,
        steps,
    })
}

/// Merges; a call of its own takes the place of another call among the defaults.
fn over(under: &Value, own: &Value) -> Value {
    let names_call = CALLS.iter().find(|call| own.get(**call).is_some());
    let mut under = under.clone();
    if let (Some(own_call), Value::Object(members)) = (names_call, &mut under) {
        members.retain(|key, _| key == own_call || !CALLS.contains(&key.as_str()));
    }
    merge(&under, own)
}

fn step(merged: &Value, here: &str) -> Result<Step, Wrong> {
    let members = object(merged, here)?;
    let known: Vec<&str> = CALLS.iter().chain(&STEP_KEYS).copied().collect();
    only(members, &known, here)?;
    let merged = expand(merged, here)?;
    let members = object(&merged, here)?;
    let ask = ask(members, here)?;
    let at = |field: &str| format!("{here}/{field}");
    let wrong = |field: &str| {
        let pointer = at(field);
        move |message: String| Wrong::at(pointer, message)
    };
    let state = members.get("state").map(forms::bytes).transpose();
    let config = members.get("config");
    let slots = members.get("slots").map(|slots| {
        let names = slots.as_array().into_iter().flatten().map(Value::as_str);
        let names: Option<BTreeSet<SlotName>> = names.map(|name| name.map(SlotName::new)).collect();
        names.ok_or_else(|| Wrong::at(at("slots"), "it is a list of names"))
    });
    Ok(Step {
        state: state.map_err(wrong("state"))?.map(PluginState),
        config: config.map_or_else(|| "{}".to_owned(), Value::to_string),
        evidence: evidence(members.get("evidence"), &at("evidence"))?,
        slots: slots.transpose()?,
        expect: expected(&ask, members.get("expect"), &at("expect"))?,
        ask,
    })
}

fn ask(members: &Map<String, Value>, here: &str) -> Result<Ask, Wrong> {
    let mut calls = CALLS
        .iter()
        .filter_map(|call| Some((*call, members.get(*call)?)));
    let (Some((call, value)), None) = (calls.next(), calls.next()) else {
        let known = CALLS.join(", ");
        return Err(Wrong::at(
            here,
            format!("it takes one of {known}, which says what is called"),
        ));
    };
    let wrong = |message: String| Wrong::at(format!("{here}/{call}"), message);
    match call {
        "view" => forms::view(value).map(Ask::Decide).map_err(wrong),
        "outline" => {
            let (site, release) = forms::outline(value).map_err(wrong)?;
            Ok(Ask::Outline(site, release))
        }
        "evaluate" => forms::evaluate(value).map(Ask::Evaluate).map_err(wrong),
        _ if *value != Value::Bool(true) => Err(wrong("it can only be `true`".into())),
        "describe" => Ok(Ask::Describe),
        _ => Ok(Ask::ValidateConfig),
    }
}

fn evidence(value: Option<&Value>, here: &str) -> Result<Vec<Entry>, Wrong> {
    let entries = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(Wrong::at(here, "it is a list")),
    };
    let each = entries.iter().enumerate().map(|(place, entry)| {
        forms::entry(entry).map_err(|message| Wrong::at(format!("{here}/{place}"), message))
    });
    each.collect()
}

/// What is expected, in the words and the order in which answers are told.
fn expected(ask: &Ask, value: Option<&Value>, here: &str) -> Result<Map<String, Value>, Wrong> {
    // A case without is played all the same, and fails with what came, for its author to copy.
    let Some(value) = value else {
        return Ok(Map::new());
    };
    let members = object(value, here)?;
    only(members, words::answered(ask), here)?;
    let mut expected = members.clone();
    for (field, value) in &mut expected {
        words::normalised(field, value)
            .map_err(|message| Wrong::at(format!("{here}/{field}"), message))?;
    }
    Ok(expected)
}

fn object<'a>(value: &'a Value, here: &str) -> Result<&'a Map<String, Value>, Wrong> {
    value
        .as_object()
        .ok_or_else(|| Wrong::at(here, "it is a mapping of names to values"))
}

fn only(members: &Map<String, Value>, known: &[&str], here: &str) -> Result<(), Wrong> {
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(Wrong::at(
            format!("{here}/{key}"),
            format!("`{key}` is not known here; known are {}", known.join(", ")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(value: &Value) -> Result<Vec<Case>, Wrong> {
        parse(Path::new("cases.yaml"), value)
    }

    #[test]
    fn cases_share_defaults_and_steps_share_a_case() {
        let cases = parsed(&json!({
            "defaults": {"config": {"a": 1}, "view": {"site": "eu"}, "slots": ["m"]},
            "cases": [
                {"name": "one", "expect": {"decision": "done"}},
                {"name": "gate", "evaluate": {}, "config": {"b": 2},
                 "evidence": [{"instant": {}, "series": []}], "expect": {"verdict": "hold"}},
                {"name": "row", "steps": [
                    {"expect": {"stage": "a"}},
                    {"view": {"completed": "goal"}, "state": {"hex": "00"}, "expect": {"stage": "b"}},
                ]},
            ],
        }));
        let cases = cases.unwrap_or_else(|wrong| panic!("{wrong:?}"));
        assert!(matches!(&cases[0].steps[0].ask, Ask::Decide(view) if view.site.as_str() == "eu"));
        assert!(matches!(cases[1].steps[0].ask, Ask::Evaluate(_)));
        assert_eq!(cases[1].steps[0].config, r#"{"a":1,"b":2}"#);
        assert_eq!(cases[2].steps.len(), 2);
        assert_eq!(cases[2].steps[0].state, None);
        assert_eq!(cases[2].steps[1].state, Some(PluginState(vec![0])));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (case, pointer) in [
            (json!({"name": "a"}), "/cases/0"),
            (json!({"view": {}, "expect": {"stage": ""}}), "/cases/0"),
            (
                json!({"name": "a", "view": {"x": 1}, "expect": {"stage": ""}}),
                "/cases/0/view",
            ),
            (
                json!({"name": "a", "view": {}, "expect": {"verdict": "pass"}}),
                "/cases/0/expect/verdict",
            ),
            (
                json!({"name": "a", "view": {}, "expect": {"decision": "go"}}),
                "/cases/0/expect/decision",
            ),
            (
                json!({"name": "a", "view": {}, "outline": {}, "expect": {"stage": ""}}),
                "/cases/0",
            ),
            (
                json!({"name": "a", "describe": 1, "expect": {"name": "x"}}),
                "/cases/0/describe",
            ),
            (
                json!({"name": "a", "view": {}, "then": {}, "expect": {"stage": ""}}),
                "/cases/0/then",
            ),
            (
                json!({"name": "a", "evaluate": {}, "evidence": [{}], "expect": {"verdict": "pass"}}),
                "/cases/0/evidence/0",
            ),
        ] {
            let found = parsed(&json!({"cases": [case]}))
                .err()
                .map(|wrong| wrong.pointer);
            assert_eq!(found.as_deref(), Some(pointer), "{case}");
        }
        let twice = json!({"name": "a", "view": {}, "expect": {"stage": ""}});
        let wrong = parsed(&json!({"cases": [twice, twice]})).err().unwrap();
        assert_eq!(wrong.pointer, "/cases/1/name");
    }
}
