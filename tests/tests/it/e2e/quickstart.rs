//! The two stories of the quickstart, with a load generator at the front doors meanwhile.

use serde_json::Value;
use wavegate_tests::fleet::{Answers, Done, Fleet, Load, ask};

/// Fifty requests a second is what the demonstration promises; the generator may send more.
const RATE_MIN: f64 = 50.0;
/// A quickstart takes half a minute.
const SECONDS_MAX: f64 = 60.0;

fn stop(loads: Vec<Load>) -> Answers {
    let each = loads.into_iter().map(Load::stop);
    each.fold(Answers::default(), Answers::and)
}

/// The report is the last line.
fn report(done: &Done) -> Value {
    done.json().pop().expect("there is a report")
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is a number"))
}

#[test]
fn quickstart_rolls_three_sites_without_losing_a_request_and_leaves_nothing() {
    let fleet = Fleet::empty();
    let port = fleet.port().to_string();
    let mut quickstart = fleet.start(&[
        "quickstart",
        "demo",
        "--no-visitors",
        "--port",
        &port,
        "--format",
        "json",
    ]);
    quickstart.line("the front doors are");
    let loads = Load::everywhere(&fleet);
    // All sites are done; the last wave soaks for two seconds more, and then the fleet goes.
    quickstart.line("\"wave-soak-started\":{\"wave\":\"rest\"");
    let answers = stop(loads);
    let done = quickstart.end().expect(0);

    assert_eq!(answers.lost(), 0, "{answers:?}");
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rate = answers.total() as f64 / answers.seconds;
    assert!(rate >= RATE_MIN, "{rate} requests a second: {answers:?}");

    let report = report(&done);
    assert_eq!(report["outcome"], "done");
    assert_eq!(
        report["sites"].as_object().map(serde_json::Map::len),
        Some(3)
    );
    assert_eq!(report["exposed_nodes"], 12, "4 nodes in each of 3 sites");
    assert!(report["seconds"].as_f64().is_some_and(|s| s < SECONDS_MAX));
    assert_eq!(report["requests"]["new_failed"], 0);
    assert_eq!(report["requests"]["other_failed"], 0);
    let digest = report["digest"].as_str().expect("the report has a digest");
    assert!(answers.of(digest) > 0, "{answers:?}");

    fleet.assert_nothing_is_left();
    assert!(!fleet.documents().exists(), "what it wrote, it removes");
}

#[test]
fn a_bad_release_is_stopped_in_the_first_site_and_the_report_counts_as_the_visitors_do() {
    let fleet = Fleet::quickstart();
    fleet.up();
    let loads = Load::everywhere(&fleet);
    // The fleet outlives the rollout, so every answer is given before the generator stops. The
    // bad release is gone when the report is made, so the report has counted all of its answers.
    let done = fleet
        .wavegate(&[
            "run",
            "demo",
            "demo/bad",
            "--rollout",
            "shop-bad",
            "--format",
            "json",
        ])
        .expect(11);
    let answers = stop(loads);

    let report = report(&done);
    assert_eq!(report["outcome"], "rolled back");
    assert_eq!(report["sites"]["eu-1"], "rolled back");
    assert_eq!(report["sites"]["us-1"], "pending");
    assert_eq!(report["sites"]["ap-1"], "pending");
    assert_eq!(report["exposed_nodes"], 1, "the first stage is one of four");

    let broken = &report["broken"][0];
    assert_eq!(broken["site"], "eu-1");
    assert_eq!(broken["gate"], "success");
    assert_eq!(broken["measurement"], "success-ratio");
    assert_eq!(broken["limit"], ">= 0.99");
    assert!(broken["value"].as_f64().is_some_and(|value| value < 0.99));

    let digest = report["digest"].as_str().expect("the report has a digest");
    let failed = answers.lost();
    assert!(failed > 0, "the gates judge by real traffic: {answers:?}");
    assert_eq!(number(&report["requests"]["new"]), answers.of(digest));
    assert_eq!(number(&report["requests"]["new_failed"]), failed);
    assert_eq!(report["requests"]["other_failed"], 0);
    assert_eq!(answers.errors, 0);

    // Everything answers with 1.0 again.
    for door in fleet.doors() {
        for _ in 0..8 {
            let answer = ask(door);
            assert!(answer.contains("welcome to shop 1.0"), "{door}: {answer}");
        }
    }
    fleet.down();
    fleet.assert_nothing_is_left();
}

#[test]
fn quickstart_bad_ends_with_its_exit_code_and_says_why_in_words() {
    let fleet = Fleet::empty();
    let port = fleet.port().to_string();
    let done = fleet
        .wavegate(&["quickstart", "demo", "--bad", "--port", &port])
        .expect(11);
    for part in [
        "shop 2.0-bad: rolled back",
        "broken    success-ratio in eu-1 is ",
        "(limit >= 0.99, ",
        "measured by gate success in site eu-1",
        "exposed   1 node at once ran 2.0-bad",
        "0/4 nodes and 0% of traffic on 2.0-bad",
    ] {
        assert!(done.out.contains(part), "no `{part}` in\n{}", done.out);
    }
    fleet.assert_nothing_is_left();
}
