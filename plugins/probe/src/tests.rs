use wavegate_sdk::harness::{GateRun, Recorded};
use wavegate_sdk::{Cohort, Evaluation, Gate, ProbeSummary, Requests, Verdict, failure};

use super::{Probe, SLOT};

fn requests(total: u32, failed: u32, p95_ms: Option<f64>) -> Requests {
    Requests {
        total,
        failed,
        p50_ms: p95_ms,
        p95_ms,
        p99_ms: p95_ms,
    }
}

const NONE: (u32, u32) = (0, 0);

/// Evaluates one cluster with (total, failed) of checks and traffic, p95 of 20 ms.
fn evaluate(config: &str, checks: (u32, u32), traffic: (u32, u32)) -> Evaluation<Vec<u8>> {
    let make = |(total, failed)| requests(total, failed, (total > 0).then_some(20.0));
    let summary = ProbeSummary {
        checks: make(checks),
        traffic: make(traffic),
    };
    let recorded = Recorded::new().summary(SLOT, "a", Cohort::New, Ok(summary));
    GateRun::<Probe>::new(&["a"], config)
        .evaluate(&recorded)
        .expect("an answer")
}

#[test]
fn enough_good_requests_pass() {
    let evaluation = evaluate("{}", (10, 0), (200, 2));
    assert_eq!(evaluation.verdict, Verdict::Pass);
    assert_eq!(
        evaluation.reason,
        "cluster a: success-ratio 0.99 meets >= 0.99 (200 requests), and 1 more"
    );
    let names: Vec<&str> = evaluation
        .measurements
        .iter()
        .map(|m| m.name.as_str())
        .collect();
    assert_eq!(names, ["success-ratio", "checks-success-ratio"]);
}

#[test]
fn a_broken_limit_fails_and_is_named_with_its_number() {
    let evaluation = evaluate("{}", (10, 0), (30, 5));
    assert_eq!(evaluation.verdict, Verdict::Fail);
    assert_eq!(
        evaluation.reason,
        "cluster a: success-ratio 0.833333 breaks >= 0.99 (30 requests)"
    );
    let measurement = &evaluation.measurements[0];
    assert_eq!(measurement.limit, ">= 0.99");
    assert_eq!(measurement.samples, 30);
    assert_eq!(measurement.unit, "ratio");
    assert_eq!(evaluation.clusters[0].verdict, Verdict::Fail);
}

#[test]
fn bad_checks_fail_beside_good_traffic() {
    let evaluation = evaluate("{}", (10, 10), (30, 0));
    assert_eq!(evaluation.verdict, Verdict::Fail);
    assert_eq!(
        evaluation.reason,
        "cluster a: checks-success-ratio 0 breaks >= 0.99 (10 health checks)"
    );
}

#[test]
fn the_origin_says_what_is_judged() {
    let cases = [
        (r#"{"origin":"checks"}"#, (10, 0), (10, 10), Verdict::Pass),
        (r#"{"origin":"traffic"}"#, (10, 10), (10, 0), Verdict::Pass),
        (r#"{"origin":"traffic"}"#, (10, 0), NONE, Verdict::Hold),
        (r#"{"origin":"any"}"#, (10, 0), NONE, Verdict::Pass),
        (r#"{"origin":"any"}"#, NONE, NONE, Verdict::Hold),
    ];
    for (config, checks, traffic, verdict) in cases {
        let evaluation = evaluate(config, checks, traffic);
        assert_eq!(
            evaluation.verdict, verdict,
            "{config} {}",
            evaluation.reason
        );
    }
}

#[test]
fn too_few_requests_hold_even_when_all_of_them_failed() {
    let evaluation = evaluate(r#"{"minRequests":20}"#, (100, 0), (19, 19));
    assert_eq!(evaluation.verdict, Verdict::Hold);
    assert_eq!(evaluation.reason, "cluster a: 19 requests, fewer than 20");
    assert_eq!(evaluation.measurements[0].samples, 19);
}

#[test]
fn no_requests_are_no_value() {
    let evaluation = evaluate("{}", NONE, NONE);
    assert_eq!(evaluation.measurements[0].value, None);
    assert_eq!(evaluation.measurements[0].samples, 0);
}

#[test]
fn latency_is_judged_when_it_has_a_limit() {
    let evaluation = evaluate(r#"{"maxP95":"15ms","origin":"traffic"}"#, NONE, (30, 0));
    assert_eq!(evaluation.verdict, Verdict::Fail);
    assert_eq!(
        evaluation.reason,
        "cluster a: latency-p95 20 breaks <= 15 (30 requests)"
    );
    let evaluation = evaluate(r#"{"maxP95":"20ms","origin":"traffic"}"#, NONE, (30, 0));
    assert_eq!(evaluation.verdict, Verdict::Pass);
}

#[test]
fn a_limit_with_decimals_is_met_exactly() {
    let config = r#"{"minSuccess":"99.9%","origin":"traffic"}"#;
    assert_eq!(evaluate(config, NONE, (1000, 1)).verdict, Verdict::Pass);
    assert_eq!(evaluate(config, NONE, (1000, 2)).verdict, Verdict::Fail);
}

#[test]
fn each_cluster_has_a_verdict_and_all_are_asked_before_any_is_judged() {
    let summary = |failed| {
        Ok(ProbeSummary {
            checks: requests(0, 0, None),
            traffic: requests(10, failed, Some(1.0)),
        })
    };
    let recorded = Recorded::new()
        .summary(SLOT, "a", Cohort::New, summary(0))
        .summary(SLOT, "b", Cohort::New, summary(3));
    let evaluation = GateRun::<Probe>::new(&["a", "b"], "{}")
        .evaluate(&recorded)
        .expect("an answer");
    let verdicts: Vec<Verdict> = evaluation.clusters.iter().map(|c| c.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
    assert_eq!(evaluation.verdict, Verdict::Fail);
    let error = GateRun::<Probe>::new(&["x", "b"], "{}").evaluate(&recorded);
    assert_eq!(error.unwrap_err().code, "no-recorded-answer");
    assert_eq!(recorded.asked().len(), 4);
}

#[test]
fn an_unknown_phase_and_no_updated_cluster_hold() {
    let mut run = GateRun::<Probe>::new(&["a"], "{}");
    run.call.phase = "full-moon".to_owned();
    let evaluation = run.evaluate(&Recorded::new()).expect("an answer");
    assert_eq!(evaluation.verdict, Verdict::Hold);
    let mut run = GateRun::<Probe>::new(&[], "{}");
    run.call.phase = "before-wave".to_owned();
    let evaluation = run.evaluate(&Recorded::new()).expect("an answer");
    assert_eq!(evaluation.verdict, Verdict::Hold);
}

#[test]
fn a_failure_of_the_source_is_passed_on() {
    let recorded = Recorded::new().summary(
        SLOT,
        "a",
        Cohort::New,
        Err(failure("not-reachable", "the driver does not answer")),
    );
    let error = GateRun::<Probe>::new(&["a"], "{}").evaluate(&recorded);
    assert_eq!(error.unwrap_err().code, "not-reachable");
}

#[test]
fn problems_point_to_the_value() {
    let pointers = |config: &str| -> Vec<String> {
        let problems = GateRun::<Probe>::problems(config);
        problems
            .into_iter()
            .map(|problem| problem.pointer)
            .collect()
    };
    assert!(pointers("{}").is_empty());
    assert_eq!(
        pointers(r#"{"minRequests":0,"window":"0s"}"#),
        ["/minRequests", "/window"]
    );
    assert_eq!(pointers(r#"{"minSuccess":"101%"}"#), [""]);
}

#[test]
fn it_describes_its_slot() {
    let about = Probe::describe();
    assert_eq!(about.about.name, "probe");
    assert_eq!(about.slots[0].kind, "probes");
}
