//! `simulate` with the real components: reports that can be derived again, and flaws of policies
//! that it shows before an incident does.

use serde_json::Value;
use std::collections::BTreeMap;
use wavegate_tests::fleet::Fleet;

/// The report of a command that writes JSON.
fn report(fleet: &Fleet, arguments: &[&str]) -> (Value, String) {
    let done = fleet.wavegate(&[&["simulate"], arguments, &["--format", "json"]].concat());
    let done = done.expect(0);
    let [report] = &done.json()[..] else {
        panic!("one report: {}", done.out)
    };
    (report.clone(), done.out)
}

fn difference<'a>(report: &'a Value, figure: &str) -> &'a Value {
    let all = report["comparison"]["differences"]
        .as_array()
        .expect("a comparison");
    let found = all.iter().find(|one| one["figure"] == figure);
    found.unwrap_or_else(|| panic!("no figure {figure}"))
}

fn world(fleet: &Fleet, spec: &str) {
    let head =
        "apiVersion: wavegate.dev/v1alpha1\nkind: Simulation\nmetadata: {name: world}\nspec:\n";
    fleet.write("simulation.yaml", &format!("{head}{spec}"));
}

/// A second rollout of the documents, by the same policy with some texts replaced.
fn beside(fleet: &Fleet, changes: &[(&str, &str)]) {
    let mut policy = fleet.read("policy.yaml");
    for (from, to) in changes
        .iter()
        .chain(&[("{name: careful}", "{name: other}")])
    {
        assert!(policy.contains(from), "no {from} in\n{policy}");
        policy = policy.replace(from, to);
    }
    fleet.write("other.yaml", &policy);
    let rollout = fleet.read("rollout.yaml");
    let rollout = rollout
        .replace("name: shop-2}", "name: other}")
        .replace("careful", "other");
    fleet.write("other-rollout.yaml", &rollout);
}

#[test]
fn the_figures_of_the_quickstart_follow_from_its_runs_and_its_seed() {
    let fleet = Fleet::quickstart();
    let page = fleet.folder().join("report.html");
    let page = page.to_str().expect("a path");
    let arguments = ["demo", "--runs", "300", "--seed", "3", "--html", page];
    let (first, bytes) = report(&fleet, &arguments);
    let html = std::fs::read_to_string(page).expect("a page");
    let again = [&arguments[..], &["--threads", "1"]].concat();
    assert_eq!(
        report(&fleet, &again).1,
        bytes,
        "the same seed, other threads"
    );
    assert_eq!(std::fs::read_to_string(page).expect("a page"), html);

    let subject = &first["subjects"][0];
    let runs = subject["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 300);
    let mut told: BTreeMap<&str, u64> = BTreeMap::new();
    let mut done = Vec::new();
    for run in runs {
        let is = run["told"].as_str().expect("a word");
        *told.entry(is).or_default() += 1;
        assert_eq!(
            run["fault"].is_null(),
            is == "good" || is == "false-alarm",
            "{run}"
        );
        if is == "good" {
            done.push(run["took_ms"].as_u64().expect("a time"));
        }
    }
    done.sort_unstable();
    let summary = &subject["summary"];
    for (share, is) in [
        ("caught", "caught"),
        ("missed", "missed"),
        ("contained", "contained"),
        ("false_alarms", "false-alarm"),
    ] {
        let count = told.get(is).copied().unwrap_or(0);
        assert_eq!(summary[share]["count"], count, "{share}");
        let percent = 100.0 * count as f64 / summary[share]["of"].as_f64().expect("a count");
        assert!(
            html.contains(&format!("{percent:.1} % ({count} of ")),
            "{share} on the page"
        );
    }
    assert!(summary["bad"].as_u64() > Some(5), "{summary}");
    assert!(told.get("caught").copied().unwrap_or(0) > 0, "{told:?}");
    assert_eq!(summary["done_ms"]["p50"], done[done.len().div_ceil(2) - 1]);
    for foreign in ["<script", "http://", "https://", "url("] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    assert!(
        !fleet.state().join("journal.db").exists(),
        "nothing is recorded"
    );
}

#[test]
fn a_soak_that_is_shorter_than_the_delay_of_a_fault_is_exposed() {
    let fleet = Fleet::quickstart();
    world(
        &fleet,
        "  bad: 50%\n  faults: [{name: leak, errors: 20%, after: 1m}]\n  traffic: {failsOneIn: 0}\n",
    );
    beside(
        &fleet,
        &[
            ("siteSoak: 2s", "siteSoak: 90s"),
            ("after: 2m, then: fail", "after: 30m, then: fail"),
        ],
    );
    let arguments = [
        "demo",
        "--rollout",
        "shop-2",
        "--runs",
        "24",
        "--compare",
        "other",
    ];
    let (report, _) = report(&fleet, &arguments);
    let caught = difference(&report, "bad releases caught");
    assert!(caught["first"].as_f64() < Some(0.7), "{caught}");
    assert!(caught["second"].as_f64() > Some(0.9), "{caught}");
    assert_eq!(caught["noise"], false, "{caught}");
}

#[test]
fn a_gate_with_too_few_samples_is_exposed() {
    let fleet = Fleet::quickstart();
    world(
        &fleet,
        "  bad: 50%\n  faults: [{name: broken, errors: 20%}]\n  traffic: {failsOneIn: 300}\n",
    );
    fleet.replace("policy.yaml", "minSuccess: 99%", "minSuccess: 95%");
    beside(
        &fleet,
        &[
            ("minRequests: 5, window: 5s", "minRequests: 60, window: 60s"),
            ("minSamples: 5", "minSamples: 60"),
            ("after: 20s, then: fail", "after: 10m, then: fail"),
            ("after: 2m, then: fail", "after: 30m, then: fail"),
        ],
    );
    let arguments = [
        "demo",
        "--rollout",
        "shop-2",
        "--runs",
        "24",
        "--compare",
        "other",
    ];
    let (report, _) = report(&fleet, &arguments);
    let alarms = difference(&report, "false alarms among good releases");
    assert!(alarms["first"].as_f64() > Some(0.5), "{alarms}");
    assert!(alarms["second"].as_f64() < Some(0.3), "{alarms}");
    assert_eq!(alarms["noise"], false, "{alarms}");
    let caught = difference(&report, "bad releases caught");
    assert!(caught["second"].as_f64() > Some(0.9), "{caught}");
}

#[test]
fn a_failure_budget_that_is_too_wide_is_exposed() {
    let fleet = Fleet::quickstart();
    world(
        &fleet,
        "  bad: 50%\n  faults: [{name: broken, errors: 20%}]\n  traffic: {failsOneIn: 0}\n",
    );
    beside(&fleet, &[("tolerate: 0", "tolerate: 3")]);
    let arguments = [
        "demo",
        "--rollout",
        "shop-2",
        "--runs",
        "24",
        "--compare",
        "other",
    ];
    let (report, _) = report(&fleet, &arguments);
    let caught = difference(&report, "bad releases caught");
    assert_eq!(caught["first"], 1.0, "{caught}");
    assert_eq!(caught["second"], 0.0, "nothing ever stops it: {caught}");
    let nodes = difference(&report, "nodes exposed to a bad release");
    assert!(
        nodes["low"].as_f64() > Some(0.0),
        "it reaches more nodes: {nodes}"
    );
}

#[test]
fn a_plugin_can_be_compared_and_what_is_not_described_is_asked_for() {
    let fleet = Fleet::quickstart();
    let same = ["demo", "--runs", "10", "--compare", "strategy=canary"];
    let (report, _) = report(&fleet, &same);
    for one in report["comparison"]["differences"]
        .as_array()
        .expect("figures")
    {
        assert_eq!(one["noise"], true, "the same plugin: {one}");
    }
    let sources = fleet.read("sources.yaml");
    let server = "---\napiVersion: wavegate.dev/v1alpha1\nkind: Source\nmetadata: {name: prom}\n\
                  spec: {prometheus: {address: 'http://127.0.0.1:9'}, grants: {policies: any}}\n";
    fleet.write("sources.yaml", &format!("{sources}\n{server}"));
    fleet.replace(
        "policy.yaml",
        "slots: {metrics: nodes}",
        "slots: {metrics: prom}",
    );
    let done = fleet
        .wavegate(&["simulate", "demo", "--runs", "3"])
        .expect(2);
    assert!(done.err.contains("source `prom`: p95_ms{"), "{}", done.err);
    assert!(
        done.err.contains("hint: say what it is answered with"),
        "{}",
        done.err
    );
    world(
        &fleet,
        "  metrics: [{source: prom, contains: p95_ms, value: p95, unit: ms}]\n",
    );
    let done = fleet
        .wavegate(&["simulate", "demo", "--runs", "3"])
        .expect(0);
    assert!(done.out.contains("time to done"), "{}", done.out);
    let missing = fleet
        .wavegate(&["simulate", "demo", "--compare", "nothing"])
        .expect(2);
    assert!(
        missing.err.contains("nothing called `nothing`"),
        "{}",
        missing.err
    );
}

#[test]
fn another_plugin_is_compared_with_a_configuration_of_its_own() {
    let fleet = Fleet::quickstart();
    let compared = ["simulate", "demo", "--runs", "10", "--compare"];
    let with = |more: &[&str]| fleet.wavegate(&[&compared[..], more].concat());
    // That of canary is not one for rolling.
    let told = with(&["strategy=rolling"]).expect(20).err;
    assert!(told.contains("with --config"), "{told}");
    assert!(!told.contains("nothing was changed"), "{told}");
    std::fs::write(fleet.folder().join("rolling.yaml"), "{}\n").expect("it is ours");
    let done = with(&["strategy=rolling", "--config", "rolling.yaml"]).expect(0);
    assert!(
        done.out.contains("strategy=rolling against"),
        "{}",
        done.out
    );
    let told = with(&["shop-2", "--config", "rolling.yaml"]).expect(2).err;
    assert!(
        told.contains("--config is that of another plugin"),
        "{told}"
    );
    let unknown = ["simulate", "demo", "--simulation", "storm"];
    let told = fleet.wavegate(&unknown).expect(2).err;
    assert!(told.contains("they have no simulation at all"), "{told}");
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_runs() {
    let fleet = Fleet::quickstart();
    let policy = fleet.read("policy.yaml");
    for (path, says) in [
        ("nodir/x.html", "cannot write it"),
        ("demo", "it is a folder"),
        ("demo/policy.yaml", "it is a file that is read"),
        ("-", "`-` is none"),
    ] {
        // So many runs would take minutes.
        let arguments = ["simulate", "demo", "--runs", "1000000", "--html", path];
        let done = fleet.wavegate(&arguments).expect(2);
        assert!(done.err.contains(says), "{path}: {}", done.err);
        assert!(done.err.contains("hint:"), "{path}: {}", done.err);
        assert_eq!(done.out, "");
    }
    assert_eq!(fleet.read("policy.yaml"), policy);
    assert!(!fleet.folder().join("-").exists());
}
