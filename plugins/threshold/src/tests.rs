use wavegate_sdk::harness::{GateRun, NEW_DIGEST, Recorded};
use wavegate_sdk::{Evaluation, Gate, Sample, Series, Verdict};

use super::{SLOT, Threshold};

fn series(values: &[f64]) -> Series {
    let samples = values.iter().zip([0.0, 1.0, 2.0, 3.0]);
    Series {
        labels: Vec::new(),
        samples: samples.map(|(&value, at)| Sample { at, value }).collect(),
    }
}

/// Evaluates the query `q` with this answer.
fn evaluate(limits: &str, answer: Vec<Series>) -> Evaluation<Vec<u8>> {
    let recorded = Recorded::new().instant(SLOT, "q", Ok(answer));
    GateRun::<Threshold>::new(&["a"], &format!(r#"{{"query":"q",{limits}}}"#))
        .evaluate(&recorded)
        .expect("an answer")
}

#[test]
fn values_within_the_limits_pass() {
    for limits in [r#""max":5"#, r#""min":5"#, r#""min":5,"max":5"#] {
        let evaluation = evaluate(limits, vec![series(&[5.0])]);
        assert_eq!(evaluation.verdict, Verdict::Pass, "{limits}");
        assert!(evaluation.clusters.is_empty());
    }
}

#[test]
fn a_broken_limit_is_named_with_its_number() {
    let evaluation = evaluate(
        r#""max":0.1,"name":"error-rate","unit":"ratio""#,
        vec![series(&[0.25])],
    );
    assert_eq!(evaluation.verdict, Verdict::Fail);
    assert_eq!(
        evaluation.reason,
        "error-rate 0.25 breaks <= 0.1 (1 samples)"
    );
    assert_eq!(evaluation.measurements[0].name, "error-rate");
    assert_eq!(evaluation.measurements[0].unit, "ratio");
}

#[test]
fn the_worst_series_counts() {
    let answer = vec![series(&[1.0]), series(&[9.0]), series(&[2.0])];
    let evaluation = evaluate(r#""max":5,"min":1"#, answer);
    let values: Vec<Option<f64>> = evaluation.measurements.iter().map(|m| m.value).collect();
    assert_eq!(values, [Some(9.0), Some(1.0)]);
    let verdicts: Vec<Verdict> = evaluation.measurements.iter().map(|m| m.verdict).collect();
    assert_eq!(verdicts, [Verdict::Fail, Verdict::Pass]);
    assert_eq!(evaluation.measurements[0].samples, 3);
}

#[test]
fn samples_become_one_value() {
    for (aggregate, value) in [("max", 4.0), ("min", 1.0), ("mean", 2.5), ("last", 3.0)] {
        let limits = format!(r#""max":10,"aggregate":"{aggregate}""#);
        let evaluation = evaluate(&limits, vec![series(&[1.0, 4.0, 2.0, 3.0])]);
        assert_eq!(evaluation.measurements[0].value, Some(value), "{aggregate}");
        assert_eq!(evaluation.measurements[0].samples, 4);
    }
}

#[test]
fn no_data_holds_or_fails_but_never_passes() {
    for answer in [vec![], vec![series(&[])], vec![series(&[f64::NAN])]] {
        let evaluation = evaluate(r#""max":5"#, answer.clone());
        assert_eq!(evaluation.verdict, Verdict::Hold);
        assert_eq!(evaluation.measurements[0].value, None);
        assert_eq!(evaluation.measurements[0].samples, 0);
        let evaluation = evaluate(r#""max":5,"onNoData":"fail""#, answer);
        assert_eq!(evaluation.verdict, Verdict::Fail);
    }
    let config = r#"{"query":"q","max":5,"onNoData":"pass"}"#;
    assert_eq!(GateRun::<Threshold>::problems(config).len(), 1);
}

#[test]
fn a_window_makes_it_a_range_query() {
    let answer = || Ok(vec![series(&[1.0, 2.0])]);
    let recorded = Recorded::new()
        .range(SLOT, "q", 60_000, 3_000, answer())
        .range(SLOT, "q", 60_000, 5_000, answer());
    for step in ["", r#","step":"5s""#] {
        let config = format!(r#"{{"query":"q","max":5,"window":"1m"{step}}}"#);
        let evaluation = GateRun::<Threshold>::new(&["a"], &config).evaluate(&recorded);
        assert_eq!(evaluation.expect("an answer").verdict, Verdict::Pass);
    }
}

#[test]
fn each_cluster_is_asked_for_and_judged() {
    let config = r#"{"query":"up{cluster=\"{{cluster}}\",release=\"{{release}}\"}","min":1,"perCluster":true}"#;
    let query = |cluster: &str| format!(r#"up{{cluster="{cluster}",release="{NEW_DIGEST}"}}"#);
    let recorded = Recorded::new()
        .instant(SLOT, &query("a"), Ok(vec![series(&[1.0])]))
        .instant(SLOT, &query(r#"b\""#), Ok(vec![series(&[0.0])]));
    let evaluation = GateRun::<Threshold>::new(&["a", "b\""], config)
        .evaluate(&recorded)
        .expect("an answer");
    let verdicts: Vec<Verdict> = evaluation.clusters.iter().map(|c| c.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
    assert_eq!(
        evaluation.reason,
        "cluster b\": value 0 breaks >= 1 (1 samples)"
    );
}

#[test]
fn an_unknown_phase_holds() {
    let mut run = GateRun::<Threshold>::new(&["a"], r#"{"query":"q","max":1}"#);
    run.call.phase = "full-moon".to_owned();
    let evaluation = run.evaluate(&Recorded::new()).expect("an answer");
    assert_eq!(evaluation.verdict, Verdict::Hold);
}

#[test]
fn problems_point_to_the_value() {
    let cases = [
        (r#"{"query":"q","max":1}"#, vec![]),
        (r#"{"query":"q"}"#, vec![""]),
        (r#"{"query":"q","max":1,"min":2}"#, vec!["/min"]),
        (r#"{"query":"q","max":1,"step":"1s"}"#, vec!["/step"]),
        (
            r#"{"query":"q","max":1,"window":"1s","step":"2s"}"#,
            vec!["/step"],
        ),
        (r#"{"query":"{{cluster}}","max":1}"#, vec!["/query"]),
        (
            r#"{"query":"{{cluster}}","max":1,"perCluster":true}"#,
            vec![],
        ),
        (r#"{"query":"{{pod}}","max":1}"#, vec!["/query"]),
    ];
    for (config, expected) in cases {
        let problems = GateRun::<Threshold>::problems(config);
        let pointers: Vec<&str> = problems.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{config}");
    }
}

#[test]
fn it_describes_its_slot() {
    let about = Threshold::describe();
    assert_eq!(about.about.name, "threshold");
    assert_eq!(about.slots[0].kind, "metrics");
}

#[test]
fn a_label_tells_the_clusters_of_one_answer_apart() {
    let named = |cluster: &str, value: f64| Series {
        labels: vec![("site".to_owned(), cluster.to_owned())],
        ..series(&[value])
    };
    let answer = vec![
        named("b", 1.0),
        named("elsewhere", 9.0),
        named("a", 6.0),
        named("b", 2.0),
    ];
    let recorded = Recorded::new().instant(SLOT, "q", Ok(answer));
    let config = r#"{"query":"q","max":5,"clusterLabel":"site"}"#;
    let evaluation = GateRun::<Threshold>::new(&["a", "b", "c"], config)
        .evaluate(&recorded)
        .expect("an answer");
    assert_eq!(recorded.asked(), ["metrics instant q"]);
    let verdicts: Vec<_> = evaluation
        .clusters
        .iter()
        .map(|found| (found.cluster.as_str(), found.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("a", Verdict::Fail),
            ("b", Verdict::Pass),
            ("c", Verdict::Hold)
        ]
    );
    assert_eq!(evaluation.measurements[1].value, Some(2.0));
}

#[test]
fn clusters_are_told_apart_in_one_way() {
    let both = r#"{"query":"q","max":5,"clusterLabel":"site","perCluster":true}"#;
    let problems = GateRun::<Threshold>::problems(both);
    assert_eq!(problems[0].pointer, "/clusterLabel");
    let cluster = r#"{"query":"q{c=\"{{cluster}}\"}","max":5,"clusterLabel":"site"}"#;
    let problems = GateRun::<Threshold>::problems(cluster);
    assert_eq!(problems[0].pointer, "/query");
}
