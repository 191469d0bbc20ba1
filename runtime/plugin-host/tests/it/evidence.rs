//! Evidence comes from records, in order, and from nowhere else.

use crate::ask::{setup, unavailable};
use wavegate_model::evidence::{ProbeSummary, Requests};
use wavegate_model::limits::EVIDENCE_QUERIES_MAX;
use wavegate_model::plugin::Verdict;
use wavegate_model::{DurationMs, Evidence, Query, SlotName, Unavailable};
use wavegate_ports::plugins::{Answer, CallEnd};

fn asked() -> Query {
    Query::Probe {
        slot: "probes".into(),
        cluster: "eu-1".into(),
        cohort: "new".into(),
        window: DurationMs(1000),
    }
}

fn answer(total: u32, failed: u32) -> Evidence {
    let checks = Requests {
        total,
        failed,
        p50_ms: Some(f64::NAN),
        ..Requests::default()
    };
    Evidence::Probe(ProbeSummary {
        checks,
        traffic: Requests::default(),
    })
}

#[test]
fn a_gate_runs_again_from_the_start_with_all_answers() {
    let setup = setup();
    let gate = setup.gate("probe-gate");
    assert_eq!(
        setup.evaluate(&gate, Vec::new()).end,
        CallEnd::NeedsEvidence(vec![asked()])
    );
    for (total, failed, verdict) in [
        (0, 0, Verdict::Hold),
        (10, 0, Verdict::Pass),
        (10, 3, Verdict::Fail),
    ] {
        let report = setup.evaluate(&gate, vec![(asked(), answer(total, failed))]);
        let CallEnd::Answered(Answer::Evaluate(evaluation)) = &report.end else {
            panic!("{:?}", report.end)
        };
        assert_eq!(evaluation.verdict, verdict);
        assert_eq!(evaluation.measurements[0].value, Some(f64::from(failed)));
        // The journal has the question and the answer; evidence is kept apart.
        assert!(!String::from_utf8_lossy(&report.input).contains("checks"));
        assert!(String::from_utf8_lossy(&report.output).starts_with("{\"evaluate\":{\"verdict\":"));
    }
}

#[test]
fn a_run_that_asks_for_something_else_is_not_believed() {
    let setup = setup();
    let gate = setup.gate("probe-gate");
    let other = Query::HttpGet {
        slot: "probes".into(),
        path: "/".into(),
    };
    let too_many = vec![(asked(), answer(1, 0)), (asked(), answer(1, 0))];
    let wrong_kind = vec![(asked(), Evidence::Series(Vec::new()))];
    for evidence in [vec![(other, answer(1, 0))], too_many, wrong_kind] {
        let report = setup.evaluate(&gate, evidence);
        assert!(
            matches!(unavailable(&report), Unavailable::NonDeterministic { .. }),
            "{:?}",
            report.end
        );
    }
}

#[test]
fn evidence_has_an_end() {
    let setup = setup();
    let gate = setup.gate("endless-evidence");
    let answers = |count: u32| (0..count).map(|_| (asked(), answer(1, 0))).collect();
    for count in [0, 1, EVIDENCE_QUERIES_MAX - 1] {
        assert_eq!(
            setup.evaluate(&gate, answers(count)).end,
            CallEnd::NeedsEvidence(vec![asked()])
        );
    }
    let report = setup.evaluate(&gate, answers(EVIDENCE_QUERIES_MAX));
    let limit = EVIDENCE_QUERIES_MAX;
    assert_eq!(unavailable(&report), &Unavailable::TooManyQueries { limit });
}

#[test]
fn a_slot_that_is_not_bound_is_not_granted() {
    let setup = setup();
    let gate = setup.gate("ungranted-slot");
    let report = setup.evaluate(&gate, Vec::new());
    assert_eq!(
        unavailable(&report),
        &Unavailable::NotGranted {
            slot: SlotName::new("secrets")
        }
    );
}
