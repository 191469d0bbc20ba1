//! The gate as a whole: what it asks, and every defined case.

use wavegate_sdk::harness::{BASELINE_DIGEST, GateRun, NEW_DIGEST, NOW, Recorded};
use wavegate_sdk::{Evaluation, Gate, GateCluster, Sample, Series, Verdict};

use crate::{Compare, SLOT};

pub(super) const QUERY: &str = "{{cohort}} of {{cluster}}";
pub(super) const NEW_QUERY: &str = "new of a";
pub(super) const BASELINE_QUERY: &str = "baseline of a";
const WINDOW: u32 = 600_000;
const STEP: u32 = 15_000;

/// Samples that end now, a step apart.
pub(super) fn series(values: &[f64]) -> Series {
    aged(values, 0.0)
}

fn aged(values: &[f64], age: f64) -> Series {
    let mut at = NOW - age;
    let mut samples: Vec<Sample> = Vec::new();
    for value in values.iter().rev() {
        samples.push(Sample { at, value: *value });
        at -= f64::from(STEP);
    }
    samples.reverse();
    Series {
        labels: Vec::new(),
        samples,
    }
}

fn of_cluster(name: &str, values: &[f64]) -> Series {
    Series {
        labels: vec![("cluster".to_owned(), name.to_owned())],
        ..series(values)
    }
}

fn answers(new: Vec<Series>, baseline: Vec<Series>) -> Recorded {
    Recorded::new()
        .range(SLOT, NEW_QUERY, WINDOW, STEP, Ok(new))
        .range(SLOT, BASELINE_QUERY, WINDOW, STEP, Ok(baseline))
}

fn run(more: &str) -> GateRun<Compare> {
    GateRun::new(&["a"], &format!(r#"{{"query":"{QUERY}",{more}}}"#))
}

fn judge(more: &str, new: Vec<Series>, baseline: Vec<Series>) -> Evaluation<Vec<u8>> {
    let evaluation = run(more).evaluate(&answers(new, baseline));
    evaluation.expect("an answer")
}

fn wave(count: u32, around: f64) -> Vec<f64> {
    let value = |i: u32| around + f64::from(i * 7 % 10) / 10.0;
    (0..count).map(value).collect()
}

/// The table of cases in the documentation, for both methods.
#[test]
fn every_case_is_defined() {
    use Verdict::{Fail, Hold, Pass};
    let thirty = |value: f64| vec![value; 30];
    let cases = [
        ("no data at all", vec![], vec![], "1", Hold, Hold),
        ("no new data", vec![], wave(30, 5.0), "1", Hold, Hold),
        (
            "no data to compare with",
            wave(30, 5.0),
            vec![],
            "1",
            Hold,
            Hold,
        ),
        (
            "too few samples",
            wave(9, 5.0),
            wave(30, 5.0),
            "1",
            Hold,
            Hold,
        ),
        ("alike", wave(30, 5.0), wave(30, 5.0), "1", Pass, Pass),
        ("worse", wave(30, 7.0), wave(30, 5.0), "1", Fail, Fail),
        ("better", wave(30, 3.0), wave(30, 5.0), "1", Pass, Pass),
        ("equal constants", thirty(5.0), thirty(5.0), "1", Pass, Pass),
        (
            "nothing but zero",
            thirty(0.0),
            thirty(0.0),
            "1",
            Pass,
            Pass,
        ),
        (
            "zero, by a share",
            thirty(0.0),
            thirty(0.0),
            "\"10%\"",
            Pass,
            Pass,
        ),
        (
            "from zero, by a share",
            thirty(0.1),
            thirty(0.0),
            "\"10%\"",
            Fail,
            Fail,
        ),
        (
            "a little worse constant",
            thirty(5.5),
            thirty(5.0),
            "1",
            Pass,
            Pass,
        ),
        (
            "exactly critical",
            thirty(6.0),
            thirty(5.0),
            "1",
            Fail,
            Fail,
        ),
        ("better constant", thirty(4.0), thirty(5.0), "1", Pass, Pass),
        (
            "new side constant",
            thirty(9.0),
            wave(30, 5.0),
            "1",
            Fail,
            Fail,
        ),
        (
            "other side constant",
            wave(30, 5.0),
            thirty(5.0),
            "1",
            Pass,
            Pass,
        ),
        (
            "worse by a share",
            wave(30, 7.0),
            wave(30, 5.0),
            "\"10%\"",
            Fail,
            Fail,
        ),
        (
            "less than the share",
            wave(30, 7.0),
            wave(30, 5.0),
            "\"90%\"",
            Pass,
            Pass,
        ),
        (
            "negative, by a share",
            wave(30, -3.0),
            wave(30, -5.0),
            "\"10%\"",
            Fail,
            Fail,
        ),
        (
            "shorter new series",
            wave(20, 7.0),
            wave(40, 5.0),
            "1",
            Fail,
            Fail,
        ),
        (
            "numbers that are none",
            vec![f64::NAN; 30],
            wave(30, 5.0),
            "1",
            Hold,
            Hold,
        ),
    ];
    for (name, new, baseline, critical, by_ranks, by_bets) in cases {
        for (method, expected) in [("ranks", by_ranks), ("sequential", by_bets)] {
            let config = format!(r#""critical":{critical},"method":"{method}""#);
            let series = |values: &[f64]| match values.is_empty() {
                true => vec![],
                false => vec![series(values)],
            };
            let found = judge(&config, series(&new), series(&baseline));
            assert_eq!(
                found.verdict, expected,
                "{name}, {method}: {}",
                found.reason
            );
            assert_eq!(found.clusters[0].verdict, expected, "{name}, {method}");
        }
    }
}

#[test]
fn gaps_and_old_samples_are_no_evidence() {
    // The same thirty moments, of which the sides share eleven.
    let half = |odd: bool| {
        let mut all = series(&wave(40, 5.0));
        let mut keep = !odd;
        let mut count = 0;
        all.samples.retain(|_| {
            (keep, count) = (!keep, count + 1);
            keep || count > 33
        });
        vec![all]
    };
    let found = judge(r#""critical":1,"minSamples":8"#, half(true), half(false));
    assert_eq!(found.verdict, Verdict::Hold, "{}", found.reason);
    assert!(found.reason.contains("7 against 7"), "{}", found.reason);

    for method in ["ranks", "sequential"] {
        let config = format!(r#""critical":1,"method":"{method}""#);
        for (age, verdict) in [(45_000.0, Verdict::Pass), (60_000.0, Verdict::Hold)] {
            let (new, old) = (aged(&wave(30, 5.0), age), aged(&wave(30, 5.0), age));
            let found = judge(&config, vec![new], vec![old]);
            assert_eq!(found.verdict, verdict, "{}", found.reason);
        }
    }
}

#[test]
fn each_direction_can_be_the_worse_one() {
    use Verdict::{Fail, Pass};
    let cases = [
        ("higher", Fail, Pass),
        ("lower", Pass, Fail),
        ("either", Fail, Fail),
    ];
    for (worse, risen, fallen) in cases {
        for method in ["ranks", "sequential"] {
            let config = format!(r#""critical":1,"worse":"{worse}","method":"{method}""#);
            for (level, expected) in [(9.0, risen), (1.0, fallen), (5.0, Pass)] {
                let new = vec![series(&wave(40, level))];
                let found = judge(&config, new, vec![series(&wave(40, 5.0))]);
                assert_eq!(
                    found.verdict, expected,
                    "{worse} {method}: {}",
                    found.reason
                );
            }
        }
    }
}

#[test]
fn the_report_says_how_much_and_how_sure() {
    let config = r#""critical":1,"name":"latency","unit":"ms""#;
    let found = judge(
        config,
        vec![series(&wave(30, 7.0))],
        vec![series(&wave(30, 5.0))],
    );
    let names: Vec<&str> = found.measurements.iter().map(|m| m.name.as_str()).collect();
    let expected = ["latency-shift", "latency-shift-low", "latency-shift-high"];
    assert_eq!(names[..3], expected);
    assert_eq!(names[3..], ["latency-rank-biserial", "latency-p-worse"]);
    assert_eq!(found.measurements[0].limit, "< 1 higher");
    assert_eq!(found.measurements[0].samples, 30);
    assert_eq!(
        found.reason,
        "cluster a: latency is worse and not < 1 higher: shift 2 (interval 1.8 to 2.2), 1 of \
         pairs higher, p 0 (30 against 30 samples)"
    );
}

#[test]
fn the_effect_is_told_of_the_sides_as_they_are_whichever_direction_is_worse() {
    for worse in ["higher", "lower", "either"] {
        let config = format!(r#""critical":1,"worse":"{worse}""#);
        let found = judge(
            &config,
            vec![series(&wave(30, 5.5))],
            vec![series(&wave(30, 5.0))],
        );
        let value = |name: &str| {
            let named = found.measurements.iter().find(|m| m.name == name);
            named.and_then(|m| m.value).expect("it is told")
        };
        assert_eq!(value("value-shift"), 0.5, "{worse}");
        assert!(
            (value("value-rank-biserial") - 0.75).abs() < 1e-12,
            "{worse}"
        );
    }
}

#[test]
fn a_test_in_bets_says_the_same_however_often_it_is_looked_at() {
    let config = r#""critical":1,"method":"sequential""#;
    let (new, old) = (wave(40, 5.2), wave(40, 5.0));
    let at_once = judge(config, vec![series(&new)], vec![series(&old)]);
    let mut often = run(config);
    let mut last = None;
    for count in 1..=40_u32 {
        // A look at the n-th sample; the last ones come again each time, as a window gives them.
        often.call.now = NOW - f64::from((40 - count) * STEP);
        let upto = usize::try_from(count).expect("small");
        let age = NOW - often.call.now;
        let part = |values: &[f64]| vec![aged(&values[..upto], age)];
        let found = often
            .evaluate(&answers(part(&new), part(&old)))
            .expect("an answer");
        // Two looks at the same samples are one.
        let again = often
            .evaluate(&answers(part(&new), part(&old)))
            .expect("an answer");
        assert_eq!(found, again);
        last = Some(found);
    }
    assert_eq!(last, Some(at_once));
}

#[test]
fn another_batch_is_another_test_and_samples_closer_than_a_step_are_one() {
    let config = r#""critical":1,"method":"sequential""#;
    let mut run = run(config);
    let good = || answers(vec![series(&wave(40, 5.0))], vec![series(&wave(40, 5.0))]);
    assert_eq!(
        run.evaluate(&good()).expect("an answer").verdict,
        Verdict::Pass
    );
    run.call.now += 500.0;
    let shifted = |mut series: Series| {
        series
            .samples
            .iter_mut()
            .for_each(|sample| sample.at += 500.0);
        vec![series]
    };
    let soon = answers(
        shifted(series(&wave(40, 5.0))),
        shifted(series(&wave(40, 5.0))),
    );
    let found = run.evaluate(&soon).expect("an answer");
    assert_eq!(
        found.measurements[0].samples, 40,
        "half a second is no step"
    );
    run.call.evidence_start = run.call.now;
    let nothing = answers(vec![], vec![]);
    assert_eq!(
        run.evaluate(&nothing).expect("an answer").verdict,
        Verdict::Hold
    );
}

#[test]
fn what_is_shown_to_be_worse_stays_so() {
    let config = r#""critical":1,"method":"sequential""#;
    let mut run = run(config);
    let bad = answers(vec![series(&wave(40, 9.0))], vec![series(&wave(40, 5.0))]);
    assert_eq!(
        run.evaluate(&bad).expect("an answer").verdict,
        Verdict::Fail
    );
    run.call.now += 600_000.0;
    let later = |level| {
        let mut series = series(&wave(40, level));
        series.samples.iter_mut().for_each(|s| s.at += 600_000.0);
        vec![series]
    };
    let good = answers(later(5.0), later(5.0));
    assert_eq!(
        run.evaluate(&good).expect("an answer").verdict,
        Verdict::Fail
    );
}

#[test]
fn a_cluster_without_baseline_nodes_holds_unless_the_policy_says_otherwise() {
    let good = || answers(vec![series(&wave(30, 5.0))], vec![series(&wave(30, 5.0))]);
    let all_new = |run: &mut GateRun<Compare>| {
        run.call.updated[0].baseline_ready = 0;
        run.evaluate(&Recorded::new()).expect("an answer")
    };
    for (without, verdict) in [("hold", Verdict::Hold), ("last", Verdict::Pass)] {
        let config = format!(r#""critical":1,"withoutControl":"{without}""#);
        let mut at_last = run(&config);
        assert_eq!(
            at_last.evaluate(&good()).expect("an answer").verdict,
            Verdict::Pass
        );
        let found = all_new(&mut at_last);
        assert_eq!(found.verdict, verdict, "{without}");
        if verdict == Verdict::Pass {
            assert_eq!(found.measurements[0].samples, 30, "the host wants samples");
            assert_eq!(all_new(&mut at_last).verdict, Verdict::Pass, "and again");
        }
        let mut at_first = run(&config);
        assert_eq!(
            all_new(&mut at_first).verdict,
            Verdict::Hold,
            "never without a pass"
        );
    }
}

#[test]
fn baseline_nodes_without_traffic_are_nothing_to_compare_with() {
    let new = || vec![series(&wave(30, 5.0))];
    for (without, verdict) in [("hold", Verdict::Hold), ("last", Verdict::Pass)] {
        let config = format!(r#""critical":1,"withoutControl":"{without}""#);
        let mut run = run(&config);
        let mut judge = |new: Vec<Series>, old: Vec<Series>| {
            let found = run.evaluate(&answers(new, old));
            found.expect("an answer").verdict
        };
        // Not yet a pass to fall back upon.
        assert_eq!(judge(new(), vec![]), Verdict::Hold);
        assert_eq!(judge(new(), new()), Verdict::Pass);
        // What is undecided changes nothing, and traffic may stop while it is.
        let few = || vec![series(&wave(5, 5.0))];
        assert_eq!(judge(few(), few()), Verdict::Hold);
        assert_eq!(judge(new(), vec![]), verdict, "{without}");
        assert_eq!(judge(new(), vec![aged(&wave(30, 5.0), 60_000.0)]), verdict);
        // No new data is no evidence, whatever was before.
        assert_eq!(judge(vec![], vec![]), Verdict::Hold);
        assert_eq!(judge(vec![], new()), Verdict::Hold);
        // A fail is the last word as well.
        assert_eq!(judge(vec![series(&wave(30, 9.0))], new()), Verdict::Fail);
        assert_eq!(judge(new(), vec![]), Verdict::Hold);
    }
}

fn untouched(names: &[&str]) -> Vec<GateCluster> {
    let cluster = |name: &&str| GateCluster {
        name: (*name).to_owned(),
        role: String::new(),
        baseline: BASELINE_DIGEST.to_owned(),
        new_ready: 0,
        baseline_ready: 4,
    };
    names.iter().map(cluster).collect()
}

#[test]
fn updated_clusters_are_compared_with_untouched_ones_in_two_questions() {
    let query = r#"p95{cluster=~\"{{clusters}}\",digest=\"{{running}}\"}"#;
    let config = format!(r#"{{"query":"{query}","critical":1,"against":"untouched"}}"#);
    let mut run = GateRun::<Compare>::new(&["a", "b"], &config);
    run.call.untouched = untouched(&["c", "d"]);
    let asked =
        |clusters: &str, digest: &str| format!(r#"p95{{cluster=~"{clusters}",digest="{digest}"}}"#);
    let updated = vec![
        of_cluster("a", &wave(30, 5.0)),
        of_cluster("b", &wave(30, 9.0)),
    ];
    let others = vec![
        of_cluster("c", &wave(30, 5.0)),
        of_cluster("d", &wave(30, 4.0)),
    ];
    let recorded = Recorded::new()
        .range(SLOT, &asked("a|b", NEW_DIGEST), WINDOW, STEP, Ok(updated))
        .range(
            SLOT,
            &asked("c|d", BASELINE_DIGEST),
            WINDOW,
            STEP,
            Ok(others),
        );
    let found = run.evaluate(&recorded).expect("an answer");
    assert_eq!(recorded.asked().len(), 2);
    let verdicts: Vec<Verdict> = found.clusters.iter().map(|c| c.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
    // Nothing is untouched in the last wave.
    run.call.untouched.clear();
    let found = run.evaluate(&Recorded::new()).expect("an answer");
    assert_eq!(found.verdict, Verdict::Hold);
}

#[test]
fn differences_that_were_there_before_do_not_count() {
    let config = |before: &str| {
        format!(r#"{{"query":"now {{{{clusters}}}}","critical":1,"against":"untouched"{before}}}"#)
    };
    // Cluster a has always been slower.
    let now = |name: &str, level: f64| Ok(vec![of_cluster(name, &wave(30, level))]);
    let recorded = |level: f64| {
        let both = vec![
            of_cluster("a", &wave(30, 9.0)),
            of_cluster("c", &wave(30, 5.0)),
        ];
        Recorded::new()
            .range(SLOT, "now a", WINDOW, STEP, now("a", level))
            .range(SLOT, "now c", WINDOW, STEP, now("c", 6.0))
            .range(SLOT, "then a|c", WINDOW, STEP, Ok(both))
    };
    let before = r#","before":"then {{clusters}}""#;
    let cases = [
        ("", 10.0, Verdict::Fail),
        // Both have risen by one.
        (before, 10.0, Verdict::Pass),
        (before, 12.0, Verdict::Fail),
    ];
    for (before, level, expected) in cases {
        let mut run = GateRun::<Compare>::new(&["a"], &config(before));
        run.call.untouched = untouched(&["c"]);
        let found = run.evaluate(&recorded(level)).expect("an answer");
        assert_eq!(found.verdict, expected, "{}", found.reason);
    }
}

#[test]
fn an_unknown_phase_and_nothing_updated_hold() {
    let mut run = run(r#""critical":1"#);
    run.call.phase = "full-moon".to_owned();
    assert_eq!(
        run.evaluate(&Recorded::new()).expect("an answer").verdict,
        Verdict::Hold
    );
    let mut run = GateRun::<Compare>::new(&[], &run.config);
    assert_eq!(
        run.evaluate(&Recorded::new()).expect("an answer").verdict,
        Verdict::Hold
    );
}

#[test]
fn problems_point_to_the_value() {
    let cases = [
        (r#""query":"{{cohort}} {{cluster}}","critical":1"#, vec![]),
        (r#""query":"{{cluster}}","critical":1"#, vec!["/query"]),
        (
            r#""query":"{{cluster}}","critical":1,"against":"untouched""#,
            vec![],
        ),
        (
            r#""query":"{{cluster}}","baselineQuery":"{{cluster}} old","critical":1"#,
            vec![],
        ),
        (r#""query":"{{running}}","critical":1"#, vec!["/query"]),
        (
            r#""query":"{{pod}}{{cohort}}{{cluster}}","critical":1"#,
            vec!["/query"],
        ),
        (
            r#""query":"{{cohort}}{{cluster}}","critical":0"#,
            vec!["/critical", "/tolerated"],
        ),
        (
            r#""query":"{{cohort}}{{cluster}}","critical":1,"tolerated":"1%""#,
            vec!["/tolerated"],
        ),
        (
            r#""query":"{{cohort}}{{cluster}}","critical":1,"tolerated":2"#,
            vec!["/tolerated"],
        ),
        (
            r#""query":"{{cohort}}{{cluster}}","critical":1,"confidence":"100%""#,
            vec!["/confidence"],
        ),
        (
            r#""query":"{{cohort}}{{cluster}}","critical":1,"step":"20m""#,
            vec!["/step"],
        ),
        (
            r#""query":"{{cohort}}{{cluster}}","critical":1,"minSamples":1"#,
            vec!["/minSamples"],
        ),
        (
            r#""query":"{{cohort}}{{cluster}}","critical":1,"before":"{{cluster}}""#,
            vec!["/before"],
        ),
        (
            r#""query":"{{cluster}}","critical":"5%","against":"untouched","before":"{{cluster}}""#,
            vec!["/critical"],
        ),
        (
            r#""query":"{{cluster}}","critical":1,"against":"untouched","withoutControl":"untouched""#,
            vec!["/withoutControl"],
        ),
        (r#""query":"{{cohort}}{{cluster}}","critical":-1"#, vec![""]),
        (
            r#""query":"{{cohort}}{{cluster}}","critical":"ten""#,
            vec![""],
        ),
    ];
    for (config, expected) in cases {
        let problems = GateRun::<Compare>::problems(&format!("{{{config}}}"));
        let pointers: Vec<&str> = problems.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{config}");
    }
    assert_eq!(Compare::describe().slots[0].kind, "metrics");
}

#[test]
fn the_state_of_the_largest_site_fits() {
    let names: Vec<String> = (0..256).map(|i| format!("{i:0>63}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let query = r#"{{cohort}} {{clusters}}"#;
    let config =
        format!(r#"{{"query":"{query}","critical":0.3,"worse":"either","method":"sequential"}}"#);
    let mut run = GateRun::<Compare>::new(&names, &config);
    // Questions of 64 clusters each.
    let recorded = names.chunks(64).fold(Recorded::new(), |recorded, part| {
        let part_of = |who: &str| format!("{who} {}", part.join("|"));
        let answer = |level: f64| {
            let series = part.iter().map(|name| of_cluster(name, &wave(40, level)));
            Ok(series.collect())
        };
        recorded
            .range(SLOT, &part_of("new"), WINDOW, STEP, answer(5.0))
            .range(SLOT, &part_of("baseline"), WINDOW, STEP, answer(5.0))
    });
    let found = run.evaluate(&recorded).expect("the state is not too large");
    assert!(found.state.len() > 30_000, "{} bytes", found.state.len());
    assert!(found.measurements.len() <= 2_000, "what the host takes");
}
