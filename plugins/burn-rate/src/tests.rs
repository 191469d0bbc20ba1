use wavegate_sdk::harness::{GateRun, NEW_DIGEST, Recorded};
use wavegate_sdk::{Evaluation, Gate, Sample, Series, Verdict};

use super::{BurnRate, SLOT};

fn value(cluster: &str, value: f64) -> Series {
    Series {
        labels: vec![("cluster".to_owned(), cluster.to_owned())],
        samples: vec![Sample { at: 0.0, value }],
    }
}

fn one(number: f64) -> Vec<Series> {
    vec![value("", number)]
}

/// An objective of 99.9 %, whose budget is a thousandth, and one pair of windows.
const PAIR: &str = r#""objective":"99.9%","windows":[{"long":"1h","short":"5m","factor":14.4}]"#;

/// The share of bad requests in the long and in the short window.
fn ratios(long: Vec<Series>, short: Vec<Series>) -> Evaluation<Vec<u8>> {
    let recorded = Recorded::new()
        .instant(SLOT, "errors 3600s", Ok(long))
        .instant(SLOT, "errors 300s", Ok(short));
    let config = format!(r#"{{{PAIR},"errorRatio":"errors {{{{window}}}}"}}"#);
    let evaluation = GateRun::<BurnRate>::new(&["a"], &config).evaluate(&recorded);
    evaluation.expect("an answer")
}

/// Counts in both windows: one query, and all requests.
fn counts(field: &str, part: [Vec<Series>; 2], total: [Vec<Series>; 2]) -> Evaluation<Vec<u8>> {
    let [long, short] = part;
    let [total_long, total_short] = total;
    let recorded = Recorded::new()
        .instant(SLOT, "part 3600s", Ok(long))
        .instant(SLOT, "part 300s", Ok(short))
        .instant(SLOT, "all 3600s", Ok(total_long))
        .instant(SLOT, "all 300s", Ok(total_short));
    let config = format!(
        r#"{{{PAIR},"{field}":"part {{{{window}}}}","total":"all {{{{window}}}}","minRequests":100}}"#
    );
    let evaluation = GateRun::<BurnRate>::new(&["a"], &config).evaluate(&recorded);
    evaluation.expect("an answer")
}

#[test]
fn a_pair_fails_when_both_windows_burn_faster_than_its_factor() {
    let cases = [
        (0.0, 0.0, Verdict::Pass),
        (0.02, 0.02, Verdict::Fail),
        // It is over, or it is only a moment.
        (0.02, 0.001, Verdict::Pass),
        (0.001, 0.02, Verdict::Pass),
        // The factor itself is not faster.
        (0.0144, 0.0144, Verdict::Pass),
        (0.01441, 0.0145, Verdict::Fail),
    ];
    for (long, short, expected) in cases {
        let found = ratios(one(long), one(short));
        assert_eq!(found.verdict, expected, "{}", found.reason);
    }
    let found = ratios(one(0.02), one(0.03));
    assert_eq!(found.measurements[0].value, Some(0.02 / 0.001));
    assert_eq!(found.measurements[0].name, "burn-rate-1h");
    assert_eq!(
        found.reason,
        "the error budget burns 20 times in 1 h and 30 times in 5 m, at most 14.4 in both"
    );
}

/// The table of cases in the documentation.
#[test]
fn every_case_is_defined() {
    let none = || Vec::new();
    for (long, short) in [
        (none(), none()),
        (one(0.5), none()),
        (none(), one(0.5)),
        (one(2.0), one(2.0)),
        (one(-1.0), one(0.0)),
        (one(f64::NAN), one(f64::NAN)),
    ] {
        assert_eq!(ratios(long, short).verdict, Verdict::Hold);
    }
    let cases = [
        (
            "too few in the short",
            [one(5.0), one(5.0)],
            [one(1e3), one(99.0)],
            Verdict::Hold,
        ),
        (
            "no requests",
            [one(0.0), one(0.0)],
            [one(0.0), one(0.0)],
            Verdict::Hold,
        ),
        ("no data", [none(), none()], [none(), none()], Verdict::Hold),
        (
            "no counter of errors yet",
            [none(), none()],
            [one(1e3), one(1e3)],
            Verdict::Pass,
        ),
        (
            "bad",
            [one(50.0), one(20.0)],
            [one(1e3), one(200.0)],
            Verdict::Fail,
        ),
        (
            "more bad than all",
            [one(2e3), one(2e3)],
            [one(1e3), one(1e3)],
            Verdict::Hold,
        ),
    ];
    for (name, bad, total, expected) in cases {
        let found = counts("bad", bad, total);
        assert_eq!(found.verdict, expected, "{name}: {}", found.reason);
    }
    // The worst of several ratios, the sum of several counts.
    let two = vec![value("a", 0.0), value("b", 0.5)];
    assert_eq!(ratios(two.clone(), two).verdict, Verdict::Fail);
    let parts = || vec![value("a", 990.0), value("b", 990.0)];
    let all = || vec![value("a", 1e3), value("b", 1e3)];
    let found = counts("good", [parts(), parts()], [all(), all()]);
    assert_eq!(found.verdict, Verdict::Pass, "{}", found.reason);
    assert_eq!(found.measurements[0].samples, 2000);
    let found = counts("good", [none(), none()], [all(), all()]);
    assert_eq!(
        found.verdict,
        Verdict::Fail,
        "none was good: {}",
        found.reason
    );
}

#[test]
fn the_pairs_of_the_workbook_are_the_default_and_one_is_enough() {
    let run = |six_hours: f64| {
        let recorded = Recorded::new()
            .instant(SLOT, "e 300s", Ok(one(0.01)))
            .instant(SLOT, "e 1800s", Ok(one(0.01)))
            .instant(SLOT, "e 3600s", Ok(one(0.01)))
            .instant(SLOT, "e 21600s", Ok(one(six_hours)));
        let config = r#"{"objective":"99.9%","errorRatio":"e {{window}}"}"#;
        let evaluation = GateRun::<BurnRate>::new(&["a"], config).evaluate(&recorded);
        evaluation.expect("an answer")
    };
    assert_eq!(run(0.005).verdict, Verdict::Pass);
    let found = run(0.0061);
    assert_eq!(found.verdict, Verdict::Fail);
    let verdicts: Vec<Verdict> = found.measurements.iter().map(|m| m.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
}

#[test]
fn clusters_are_judged_each_for_itself() {
    let config = |query: &str| {
        format!(
            r#"{{{PAIR},"perCluster":true,"errorRatio":"{query} {{{{release}}}} {{{{window}}}}"}}"#
        )
    };
    let key = |who: &str, window: &str| format!("{who} {NEW_DIGEST} {window}");
    let at_once = || Ok(vec![value("a", 0.0), value("b", 0.5)]);
    let recorded = Recorded::new()
        .instant(SLOT, &key("a|b", "3600s"), at_once())
        .instant(SLOT, &key("a|b", "300s"), at_once())
        .instant(SLOT, &key("a", "3600s"), Ok(one(0.0)))
        .instant(SLOT, &key("a", "300s"), Ok(one(0.0)))
        .instant(SLOT, &key("b", "3600s"), Ok(one(0.5)))
        .instant(SLOT, &key("b", "300s"), Ok(one(0.5)));
    for query in ["{{clusters}}", "{{cluster}}"] {
        let mut run = GateRun::<BurnRate>::new(&["a", "b"], &config(query));
        let found = run.evaluate(&recorded).expect("an answer");
        let verdicts: Vec<Verdict> = found.clusters.iter().map(|c| c.verdict).collect();
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail], "{query}");
    }
    let mut nobody = GateRun::<BurnRate>::new(&[], &config("{{clusters}}"));
    assert_eq!(
        nobody.evaluate(&recorded).expect("an answer").verdict,
        Verdict::Hold
    );
}

#[test]
fn an_unknown_phase_holds() {
    let config = format!(r#"{{{PAIR},"errorRatio":"errors {{{{window}}}}"}}"#);
    let mut run = GateRun::<BurnRate>::new(&["a"], &config);
    run.call.phase = "full-moon".to_owned();
    let evaluation = run.evaluate(&Recorded::new()).expect("an answer");
    assert_eq!(evaluation.verdict, Verdict::Hold);
}

#[test]
fn problems_point_to_the_value() {
    let cases = [
        (
            r#""objective":"99%","errorRatio":"{{window}}","windows":[]"#,
            vec!["/windows"],
        ),
        (r#""objective":"99.9%","errorRatio":"{{window}}""#, vec![]),
        (
            r#""objective":"99.9%","bad":"{{window}}","total":"{{window}}""#,
            vec![],
        ),
        (r#""objective":"99.9%","bad":"{{window}}""#, vec![""]),
        (r#""objective":"99.9%""#, vec![""]),
        (
            r#""objective":"100%","errorRatio":"{{window}}""#,
            vec!["/objective"],
        ),
        (
            r#""objective":"90%","errorRatio":"{{window}}""#,
            vec!["/windows/0/factor"],
        ),
        (
            r#""objective":"99.9%","errorRatio":"rate""#,
            vec!["/errorRatio"],
        ),
        (
            r#""objective":"99.9%","errorRatio":"{{window}}{{pod}}""#,
            vec!["/errorRatio"],
        ),
        (
            r#""objective":"99.9%","errorRatio":"{{window}}{{cluster}}""#,
            vec!["/errorRatio"],
        ),
        (
            r#""objective":"99.9%","errorRatio":"{{window}}","perCluster":true"#,
            vec!["/errorRatio"],
        ),
        (
            r#""objective":"99.9%","errorRatio":"{{window}}","minRequests":9"#,
            vec!["/minRequests"],
        ),
        (
            r#""objective":"99.9%","errorRatio":"{{window}}",
               "windows":[{"long":"1m","short":"2m","factor":2}]"#,
            vec!["/windows/0/short"],
        ),
    ];
    for (config, expected) in cases {
        let problems = GateRun::<BurnRate>::problems(&format!("{{{config}}}"));
        let pointers: Vec<&str> = problems.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{config}");
    }
    assert_eq!(BurnRate::describe().slots[0].kind, "metrics");
}
