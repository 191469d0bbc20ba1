use wavegate_sdk::harness::{GateRun, Recorded};
use wavegate_sdk::{Sample, Series, Verdict};

use super::{Plugin, SLOT};

fn series(values: &[f64]) -> Vec<Series> {
    let samples = values.iter().map(|&value| Sample { at: 0.0, value });
    vec![Series {
        labels: Vec::new(),
        samples: samples.collect(),
    }]
}

#[test]
fn the_worst_value_is_held_against_the_limit() {
    for (values, verdict, reason) in [
        (
            &[0.5, 1.0][..],
            Verdict::Pass,
            "value 1 meets <= 1 (2 samples)",
        ),
        (
            &[0.5, 1.5],
            Verdict::Fail,
            "value 1.5 breaks <= 1 (2 samples)",
        ),
        (&[], Verdict::Hold, "no data for value, which must be <= 1"),
    ] {
        let recorded = Recorded::new().instant(SLOT, "q", Ok(series(values)));
        let mut run = GateRun::<Plugin>::new(&["eu-1"], r#"{"query":"q","max":1}"#);
        let evaluation = run.evaluate(&recorded).expect("an answer");
        assert_eq!(
            (evaluation.verdict, evaluation.reason.as_str()),
            (verdict, reason)
        );
    }
}

#[test]
fn each_cluster_is_judged_by_its_own_answer() {
    let config = r#"{"query":"q{c=\"{{cluster}}\"}","max":1,"perCluster":true,"window":"1m"}"#;
    let recorded = Recorded::new()
        .range(SLOT, r#"q{c="ap"}"#, 60_000, 3_000, Ok(series(&[2.0])))
        .range(SLOT, r#"q{c="eu"}"#, 60_000, 3_000, Ok(series(&[1.0])));
    let mut run = GateRun::<Plugin>::new(&["ap", "eu"], config);
    let evaluation = run.evaluate(&recorded).expect("an answer");
    let verdicts: Vec<Verdict> = evaluation.clusters.iter().map(|it| it.verdict).collect();
    assert_eq!(verdicts, [Verdict::Fail, Verdict::Pass]);
}

#[test]
fn a_phase_that_is_not_known_holds() {
    let mut run = GateRun::<Plugin>::new(&["eu-1"], r#"{"query":"q","max":1}"#);
    run.call.phase = "full-moon".to_owned();
    let evaluation = run.evaluate(&Recorded::new()).expect("an answer");
    assert_eq!(evaluation.verdict, Verdict::Hold);
}

#[test]
fn placeholders_must_be_known() {
    let problems = GateRun::<Plugin>::problems(r#"{"query":"{{cluster}} {{pod}}","max":1}"#);
    let pointers: Vec<&str> = problems.iter().map(|it| it.pointer.as_str()).collect();
    assert_eq!(pointers, ["/query", "/query"]);
}
