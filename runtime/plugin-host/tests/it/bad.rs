//! Each bad plugin ends in its own way, and nobody else notices.

use crate::ask::{Setup, block_on, call, decide, setup, unavailable};
use wavegate_model::limits::{CallLimits, STATE_BYTES_MAX};
use wavegate_model::plugin::{PluginKind, Proposal, Verdict};
use wavegate_model::unavailable::BadAnswer;
use wavegate_model::{DurationMs, RolloutId, Unavailable};
use wavegate_ports::plugins::{Answer, CallEnd, PluginCall, PluginRejected, Plugins};

/// What a strategy's first decision comes to, with a good plugin working before and after.
fn check(setup: &Setup, guest: &str, expected: &Unavailable) {
    let good = setup.strategy("plain-strategy");
    let bad = setup.strategy(guest);
    for _ in 0..2 {
        let report = setup.decide(&bad, b"");
        assert_eq!(unavailable(&report), expected, "{guest}");
        assert!(report.output.is_empty());
        assert!(
            matches!(setup.outcome(&good, b"").proposal, Proposal::Go(_)),
            "after {guest}"
        );
    }
}

fn limit(what: &str, limit: u64) -> Unavailable {
    Unavailable::LimitExceeded {
        what: what.into(),
        limit,
    }
}

#[test]
fn every_way_to_misbehave_has_its_own_word() {
    let setup = setup();
    let small = CallLimits::SMALL;
    check(
        &setup,
        "endless-loop",
        &Unavailable::OutOfFuel { limit: small.fuel },
    );
    check(
        &setup,
        "allocation-bomb",
        &limit("memory in bytes", small.memory_bytes),
    );
    check(&setup, "table-bomb", &limit("table elements", 20_000));
    check(&setup, "handle-bomb", &limit("handles", 256));
    check(
        &setup,
        "deep-recursion",
        &limit("stack in bytes", 512 << 10),
    );
    check(
        &setup,
        "huge-result",
        &limit("bytes of an answer or of an argument", small.result_bytes),
    );
    let panic = Unavailable::Trap {
        trap: "wasm `unreachable` instruction executed".into(),
        message: "panicked: no node is good enough".into(),
    };
    check(&setup, "panic", &panic);
    let state = BadAnswer::TooLarge {
        what: "its state".into(),
        size: STATE_BYTES_MAX as u64 + 1,
        limit: STATE_BYTES_MAX as u64,
    };
    check(&setup, "huge-state", &Unavailable::BadAnswer(state));
    let failed = Unavailable::Failed {
        code: "bad-state".into(),
        message: "the state is from another life".into(),
    };
    check(&setup, "own-failure", &failed);
    let bad = setup.strategy("bad-utf8");
    let Unavailable::Trap { trap, .. } = unavailable(&setup.decide(&bad, b"")).clone() else {
        panic!()
    };
    assert!(trap.contains("utf-8"), "{trap}");
}

#[test]
fn a_call_without_a_message_says_where_it_was() {
    let setup = setup();
    let gate = setup.gate("trap-gate");
    let report = setup.evaluate(&gate, Vec::new());
    let Unavailable::Trap { message, .. } = unavailable(&report) else {
        panic!()
    };
    assert_eq!(message, "in `evaluate`");
}

#[test]
fn the_wall_clock_ends_what_fuel_does_not() {
    let setup = setup_with_fuel(u64::MAX / 2);
    let bad = setup.strategy("endless-loop");
    let limits = CallLimits {
        fuel: u64::MAX / 2,
        time: DurationMs(50),
        ..CallLimits::SMALL
    };
    let report = block_on(setup.host.call(PluginCall {
        limits,
        ..call(&bad, decide(b""))
    }));
    assert_eq!(
        unavailable(&report),
        &Unavailable::TimedOut { limit_ms: 50 }
    );
    assert!(report.micros >= 50_000, "{}", report.micros);
}

fn setup_with_fuel(fuel: u64) -> Setup {
    crate::ask::setup_with(|options| options.limits.fuel = fuel)
}

#[test]
fn a_policy_can_tighten_limits_but_not_widen_them() {
    let setup = crate::ask::setup_with(|options| options.limits = CallLimits::SMALL);
    let bad = setup.strategy("endless-loop");
    for (asked, got) in [(1_000_000, 1_000_000), (u64::MAX, CallLimits::SMALL.fuel)] {
        let limits = CallLimits {
            fuel: asked,
            ..CallLimits::SMALL
        };
        let report = block_on(setup.host.call(PluginCall {
            limits,
            ..call(&bad, decide(b""))
        }));
        assert_eq!(unavailable(&report), &Unavailable::OutOfFuel { limit: got });
        assert_eq!(report.fuel, got);
    }
}

#[test]
fn others_go_on_while_a_plugin_loops() {
    let setup = setup();
    let (good, bad) = (
        setup.strategy("plain-strategy"),
        setup.strategy("endless-loop"),
    );
    block_on(async {
        let looping = async {
            tokio::join!(
                setup.host.call(call(&bad, decide(b""))),
                setup.host.call(call(&bad, decide(b""))),
                setup.host.call(call(&bad, decide(b""))),
                setup.host.call(call(&bad, decide(b""))),
            )
        };
        let other = PluginCall {
            rollout: RolloutId::new("r2"),
            ..call(&good, decide(b""))
        };
        let modest = setup.host.call(other);
        let (mut looping, mut modest) = (std::pin::pin!(looping), std::pin::pin!(modest));
        let report = tokio::select! {
            biased;
            _ = &mut looping => panic!("the loops ended first"),
            report = &mut modest => report,
        };
        assert!(matches!(report.end, CallEnd::Answered(Answer::Decide(_))));
        let (one, two, three, four) = looping.await;
        for report in [one, two, three, four] {
            assert!(matches!(
                unavailable(&report),
                Unavailable::OutOfFuel { .. }
            ));
        }
    });
}

#[test]
fn memory_comes_back() {
    let setup = setup();
    let bad = setup.strategy("allocation-bomb");
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = status.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    };
    setup.decide(&bad, b"");
    let before = resident();
    for _ in 0..50 {
        let report = setup.decide(&bad, b"");
        assert!(report.memory_bytes > 63 << 20, "{}", report.memory_bytes);
    }
    // Had it kept what the guests took, it would be 3 GiB. Other tests run meanwhile.
    let grown = resident().saturating_sub(before);
    assert!(grown < 500 << 20, "{grown} bytes more");
}

#[test]
fn what_cannot_start_is_not_loaded() {
    let setup = setup();
    let rejected = |guest| setup.load(guest, PluginKind::Strategy).unwrap_err();
    let PluginRejected::NoDescription {
        why: Unavailable::Trap { trap, .. },
        ..
    } = rejected("trap-at-start")
    else {
        panic!()
    };
    assert!(trap.contains("unreachable"), "{trap}");
    let huge = rejected("huge-memory");
    let PluginRejected::NoDescription { why, .. } = &huge else {
        panic!("{huge:?}")
    };
    // What it may use is not decided before a policy names its class, so it got the most.
    assert_eq!(
        why,
        &limit("memory in bytes", CallLimits::LARGE.memory_bytes)
    );
    let schema = rejected("bad-schema");
    assert!(
        matches!(&schema, PluginRejected::NoDescription { why: Unavailable::Failed { code, .. }, .. } if code == "bad-schema"),
        "{schema:?}"
    );
}

#[test]
fn a_flood_of_log_lines_is_cut_and_the_answer_stands() {
    let setup = setup();
    let flood = setup.strategy("log-flood");
    let report = setup.decide(&flood, b"");
    assert!(
        matches!(report.end, CallEnd::Answered(Answer::Decide(_))),
        "{:?}",
        report.end
    );
    assert_eq!(report.log.len(), 66);
    assert_eq!(
        report.log.last().unwrap().1,
        "9935 more messages were dropped"
    );
}

#[test]
fn no_text_of_a_guest_steers_a_terminal() {
    let setup = setup();
    let loaded = setup
        .load("terminal-escapes", PluginKind::Strategy)
        .unwrap();
    let outcome = setup.outcome(&loaded.digest, b"");
    let report = setup.decide(&loaded.digest, b"");
    for text in [
        &loaded.about.name,
        &loaded.about.text,
        &outcome.stage,
        &outcome.reason,
        &report.log[0].1,
    ] {
        assert_eq!(text, "red txet  gone");
    }
}

#[test]
fn strange_decisions_are_for_the_engine_to_judge() {
    let setup = setup();
    let goal = |guest, state: &[u8]| match setup.outcome(&setup.strategy(guest), state).proposal {
        Proposal::Go(goal) => goal,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        goal("unknown-cluster", b"").clusters[0].cluster.as_str(),
        "nowhere"
    );
    assert_eq!(goal("too-many-nodes", b"").clusters[0].new, 1004);
    assert_eq!(goal("too-much-traffic", b"").clusters[0].new_share.0, 2000);
    let up_down_up: Vec<u32> = (0..3)
        .map(|step| goal("up-down-up", &[step]).clusters[0].new)
        .collect();
    assert_eq!(up_down_up, [2, 0, 4]);
    assert_eq!(
        setup.outcome(&setup.strategy("early-done"), b"").proposal,
        Proposal::Done
    );
}

#[test]
fn gates_answer_what_they_are_made_for() {
    let setup = setup();
    let evaluation = |guest| match setup.evaluate(&setup.gate(guest), Vec::new()).end {
        CallEnd::Answered(Answer::Evaluate(evaluation)) => evaluation,
        other => panic!("{guest}: {other:?}"),
    };
    assert_eq!(evaluation("pass-gate").verdict, Verdict::Pass);
    assert_eq!(evaluation("hold-gate").verdict, Verdict::Hold);
    assert_eq!(evaluation("fail-gate").verdict, Verdict::Fail);
    let worst = evaluation("worst-gate");
    assert_eq!(worst.verdict, Verdict::Fail);
    assert_eq!(
        worst.clusters.into_iter().collect::<Vec<_>>(),
        [("eu-1".into(), Verdict::Fail)]
    );
    let nan = setup.evaluate(&setup.gate("nan-gate"), Vec::new());
    assert_eq!(
        unavailable(&nan),
        &Unavailable::BadAnswer(BadAnswer::NotFinite("failed".into()))
    );
}
