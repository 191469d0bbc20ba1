//! What went wrong in other systems that roll releases out, each as a test that is named after
//! it. `runtime/docs/lessons.md` says where each was reported, and `tests/mutants` holds the
//! change that brings the bug back: without its guard, the test fails.

use crate::minds::GateMind;
use crate::scenario::{digest, new_release, single};
use crate::script::world;
use crate::world::{InFlight, World};
use std::collections::BTreeSet;
use wavegate_engine::input::Approval;
use wavegate_engine::state::SitePhase;
use wavegate_engine::{End, Fact, Input, Verb, explain};
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::{DurationMs, Timestamp};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn pass(world: &mut World, ms: u64) {
    let until = world.now + ms;
    world.run_until(until);
}

/// Lets time pass until something is so; the world's end of patience is an hour.
fn until(world: &mut World, what: &str, mut is_so: impl FnMut(&World) -> bool) {
    for _ in 0..HOUR / 100 {
        if is_so(world) {
            return;
        }
        let next = world.now + 100;
        world.run_until(next);
    }
    panic!("it never came to: {what}");
}

fn count(world: &World, is_one: impl Fn(&Fact) -> bool) -> usize {
    world.facts.iter().filter(|(_, fact)| is_one(fact)).count()
}

fn any(world: &World, is_one: impl Fn(&Fact) -> bool) -> bool {
    count(world, is_one) > 0
}

fn end(world: &World) -> Option<End> {
    world.engine.state().end()
}

fn phase(world: &World, site: &str) -> SitePhase {
    world.engine.state().site(&site.into()).phase
}

fn set_gate(world: &mut World, mind: GateMind) {
    world.scenario.minds.insert("g".into(), mind);
}

fn failing() -> GateMind {
    GateMind::FailFor(["a".into()].into(), BTreeSet::new())
}

/// Nodes of a cluster on the new release, and on the baseline, that serve.
fn serving(world: &World, cluster: &str) -> (u32, u32) {
    let seen = world.see(&cluster.into());
    (seen.of(&new_release()).ready, seen.of(&digest(1)).ready)
}

fn is_command(fact: &Fact) -> bool {
    matches!(fact, Fact::CommandIssued { .. })
}

fn is_gate_question(fact: &Fact) -> bool {
    matches!(fact, Fact::GateAsked { .. })
}

const ONE_SITE: &str = "wave all sites=a:4\ngate g pass phases=after-batch interval=5s";

// --- verdicts

#[test]
fn errors_in_every_measurement_are_not_a_pass() {
    let mut world = world(ONE_SITE);
    set_gate(&mut world, GateMind::Valueless);
    pass(&mut world, 10 * MINUTE);
    assert_eq!(serving(&world, "a").0, 1, "the first batch stays the last");
    assert!(!any(&world, |fact| matches!(
        fact,
        Fact::BatchPassed { .. }
    )));
}

#[test]
fn a_terminated_measurement_is_not_a_pass() {
    let mut world = world(ONE_SITE);
    let asked = |world: &World| {
        let mut open = world.engine.state().consultations.values();
        open.any(|asked| matches!(asked, wavegate_engine::state::Asked::Gate(..)))
    };
    for round in 0..5 {
        until(&mut world, "the gate is asked", asked);
        // The answer dies with the host that waited for it.
        world.restart(InFlight::Done, 1000);
        let passed = any(&world, |fact| matches!(fact, Fact::BatchPassed { .. }));
        assert!(
            !passed,
            "round {round}: a question without an answer passed"
        );
    }
}

#[test]
fn an_undecided_background_gate_promotes_nothing() {
    let mut world = world(
        "wave first sites=a:2 site-soak=30s\nwave rest sites=b:2\n\
         gate g hold phases=continuous interval=5s",
    );
    let soaks = |world: &World| phase(world, "a") == SitePhase::Soaking;
    set_gate(&mut world, GateMind::Pass);
    until(&mut world, "it soaks", soaks);
    set_gate(&mut world, GateMind::Hold);
    pass(&mut world, HOUR);
    assert!(soaks(&world), "it is promoted: {:?}", phase(&world, "a"));
    assert_eq!(phase(&world, "b"), SitePhase::Pending);
    set_gate(&mut world, GateMind::Pass);
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::Done));
}

#[test]
fn one_flaky_measurement_does_not_roll_back() {
    let mut world = world(
        "wave all sites=a:4\n\
         gate g pass phases=after-batch interval=5s consecutive=2 total=9",
    );
    let fails = |world: &World| {
        count(world, |fact| {
            matches!(fact, Fact::GateAnswered { evaluation, .. }
                if evaluation.verdict == wavegate_model::plugin::Verdict::Fail)
        })
    };
    for round in 1..=3 {
        set_gate(&mut world, failing());
        until(&mut world, "a fail", |world| fails(world) == round);
        set_gate(&mut world, GateMind::Pass);
        let batches = serving(&world, "a").0;
        until(&mut world, "the next batch", |world| {
            serving(world, "a").0 > batches
        });
    }
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::Done));
}

#[test]
fn values_that_are_missing_for_a_while_stop_nothing_for_ever() {
    let mut world = world(ONE_SITE);
    set_gate(&mut world, GateMind::Unavailable);
    pass(&mut world, 2 * HOUR);
    let why = explain::explain(world.engine.state(), Timestamp(world.now));
    let why: Vec<String> = why.iter().map(|waiting| waiting.on.to_string()).collect();
    assert!(
        why.iter()
            .any(|on| on.contains("gate g") && on.contains("unavailable")),
        "{why:?}"
    );
    set_gate(&mut world, GateMind::Pass);
    pass(&mut world, 2 * MINUTE);
    assert_eq!(end(&world), Some(End::Done));
}

#[test]
fn a_check_before_the_start_is_made_once_when_it_passes() {
    let mut world = world("wave all sites=a:9\ngate g pass phases=before-site interval=5s");
    until(&mut world, "the end", World::finished);
    let before = |fact: &Fact| matches!(fact, Fact::GateAsked { gate, .. } if gate.phase == Phase::BeforeSite);
    assert_eq!(count(&world, before), 1);
}

#[test]
fn a_retry_asks_the_gate_again() {
    let mut world =
        world("wave all sites=a:3\ngate g pass phases=after-batch interval=5s\nfailure then=hold");
    set_gate(&mut world, failing());
    let failed = |world: &World| phase(world, "a") == SitePhase::Failed;
    until(&mut world, "it fails", failed);
    let mut asked = count(&world, is_gate_question);
    // What failed is not asked about by itself, nor does a retry believe what was said before.
    set_gate(&mut world, GateMind::Pass);
    pass(&mut world, HOUR);
    assert_eq!(count(&world, is_gate_question), asked);
    set_gate(&mut world, failing());
    world.request(Verb::Retry(Some("a".into())));
    assert_eq!(phase(&world, "a"), SitePhase::Updating);
    until(&mut world, "it fails again", failed);
    assert_eq!(count(&world, is_gate_question), asked + 1);
    assert_eq!(serving(&world, "a").0, 1, "nothing was added meanwhile");
    asked += 1;
    set_gate(&mut world, GateMind::Pass);
    world.request(Verb::Retry(Some("a".into())));
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::Done));
    assert_eq!(count(&world, is_gate_question), asked + 3, "once a batch");
}

// --- evidence and observations

#[test]
fn a_new_revision_in_the_middle_is_not_promoted_on_old_evidence() {
    let mut world = world(
        "wave all sites=a:2,b:2 site-soak=60s\n\
         gate g pass phases=after-batch,soak interval=5s",
    );
    until(&mut world, "half of its soak", |world| {
        let soak = &world.engine.state().site(&"a".into()).soak;
        soak.values().any(|it| it.covered >= DurationMs::secs(30))
    });
    world.request(Verb::Supersede { by: "newer".into() });
    let (told, asked) = (world.facts.len(), count(&world, is_gate_question));
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::Replaced));
    assert_eq!(serving(&world, "a"), (0, 2), "the newer finds one release");
    assert_eq!(serving(&world, "b"), (0, 2));
    assert_eq!(count(&world, is_gate_question), asked);
    let promoted = |(_, fact): &(Timestamp, Fact)| {
        matches!(
            fact,
            Fact::SiteDone { .. } | Fact::GateAnswered { .. } | Fact::SiteStarted { .. }
        )
    };
    assert!(!world.facts[told..].iter().any(promoted));
}

#[test]
fn nodes_of_the_previous_release_do_not_count_as_the_new_one() {
    let mut world = world("wave all sites=a:4\nbad-new a");
    pass(&mut world, HOUR);
    assert_eq!(serving(&world, "a"), (0, 3), "three of the old serve on");
    assert!(!any(&world, |fact| matches!(
        fact,
        Fact::BatchSettled { .. }
    )));
}

#[test]
fn verdicts_about_the_nodes_of_before_say_nothing_about_those_of_now() {
    let mut world = world(ONE_SITE);
    until(&mut world, "a batch passed", |world| {
        any(world, |fact| matches!(fact, Fact::BatchPassed { .. }))
    });
    set_gate(&mut world, GateMind::Hold);
    pass(&mut world, HOUR);
    assert_eq!(serving(&world, "a").0, 2, "the second batch has no verdict");
}

#[test]
fn a_look_from_before_a_command_says_nothing_about_what_it_did() {
    let mut world = world(ONE_SITE);
    let issued = |world: &World| any(world, is_command);
    until(&mut world, "a command", issued);
    let (before, command) = (world.see(&"a".into()), world.now);
    until(&mut world, "its confirmation", |world| {
        any(world, |fact| matches!(fact, Fact::CommandConfirmed { .. }))
    });
    let mut engine = world.engine.clone();
    let mut late = wavegate_model::ClusterObservation {
        at: Timestamp(command),
        ..before
    };
    // It shows something new, so that it is not passed over.
    let old = late.of(&digest(1));
    let old = wavegate_model::NodeCounts {
        ready: old.ready - 1,
        unready: old.unready + 1,
        ..old
    };
    late.nodes = [(digest(1), old)].into();
    let observation = wavegate_engine::Observation::Seen {
        cluster: "a".into(),
        seen: late.into(),
    };
    let step = engine.step(Timestamp(world.now), &Input::Observation(observation));
    assert!(
        !step.facts.iter().any(is_command),
        "it acted on a stale look: {:?}",
        step.facts
    );
}

// --- commands of people

#[test]
fn abort_with_nothing_in_progress_changes_nothing() {
    let mut world = world("wave all sites=a:4 approval=ask");
    pass(&mut world, MINUTE);
    world.request(Verb::Abort);
    pass(&mut world, DAY);
    world.request(Verb::Abort);
    assert_eq!(end(&world), Some(End::Aborted));
    assert_eq!(serving(&world, "a"), (0, 4));
    assert_eq!(world.commands, 0);
}

#[test]
fn an_abort_does_not_start_again_by_itself() {
    let mut world = world(ONE_SITE);
    until(&mut world, "a batch", |world| serving(world, "a").0 == 1);
    world.request(Verb::Abort);
    let commands = world.commands;
    pass(&mut world, DAY);
    for verb in [Verb::Continue, Verb::Approve(Approval::All), Verb::Resume] {
        world.request(verb);
    }
    pass(&mut world, DAY);
    assert_eq!(
        (world.commands, end(&world)),
        (commands, Some(End::Aborted))
    );
}

#[test]
fn what_a_person_rolled_back_stays_rolled_back() {
    let mut world = world(ONE_SITE);
    until(&mut world, "a batch", |world| serving(world, "a").0 == 2);
    world.request(Verb::Rollback);
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::RolledBack));
    let commands = world.commands;
    for verb in [Verb::Resume, Verb::Continue, Verb::Approve(Approval::All)] {
        world.request(verb);
        pass(&mut world, HOUR);
    }
    assert_eq!(serving(&world, "a"), (0, 4));
    assert_eq!(world.commands, commands);
}

#[test]
fn an_emergency_rollback_waits_for_no_gate() {
    let mut world = world(
        "wave all sites=a:4\ngate g pass phases=after-batch,continuous,before-site interval=5s",
    );
    until(&mut world, "a batch", |world| serving(world, "a").0 == 2);
    set_gate(&mut world, GateMind::Unavailable);
    let asked = count(&world, is_gate_question);
    world.request(Verb::Rollback);
    pass(&mut world, MINUTE);
    assert_eq!(end(&world), Some(End::RolledBack));
    assert_eq!(count(&world, is_gate_question), asked, "nobody was asked");
}

#[test]
fn an_emergency_rollback_does_not_go_through_the_steps_again() {
    let mut world = world(
        "wave all sites=a:8\nstrategy staged at=250,500,750,1000\nbatch size=8 unavailable=8",
    );
    until(&mut world, "three quarters", |world| {
        serving(world, "a").0 >= 6
    });
    let is_question = |fact: &Fact| matches!(fact, Fact::StrategyAsked { .. });
    let asked = count(&world, is_question);
    world.request(Verb::Rollback);
    until(&mut world, "the end", World::finished);
    assert_eq!(serving(&world, "a"), (0, 8));
    assert_eq!(count(&world, is_question), asked, "the strategy has no say");
}

#[test]
fn what_is_done_is_not_degraded_by_what_comes_later() {
    let mut world = world(
        "wave all sites=a:4\ngate g pass phases=after-batch,continuous interval=5s\n\
         limit site after=10m",
    );
    until(&mut world, "the end", World::finished);
    set_gate(&mut world, failing());
    world.kill_node("a");
    let mut engine = world.engine.clone();
    let later = |ms: u64| Timestamp(world.now + ms);
    let seen = wavegate_model::ClusterObservation {
        at: later(HOUR),
        ..world.see(&"a".into())
    };
    let damaged = wavegate_engine::Observation::Seen {
        cluster: "a".into(),
        seen: seen.into(),
    };
    let inputs = [Input::Observation(damaged), Input::Elapsed];
    for (at, input) in [later(HOUR), later(DAY)].into_iter().zip(&inputs) {
        let step = engine.step(at, input);
        assert!(
            step.facts.is_empty() && step.commands.is_empty(),
            "an ended rollout has more to say: {:?}",
            step.facts
        );
    }
    assert_eq!(engine.state().end(), Some(End::Done));
}

#[test]
fn every_command_of_a_person_is_in_the_history() {
    let mut world = world("wave all sites=a:4 approval=ask\ngate g pass phases=after-batch");
    pass(&mut world, MINUTE);
    for verb in [
        Verb::Pause,
        Verb::Continue,
        Verb::Approve(Approval::All),
        Verb::Rollback,
        Verb::Rollback,
    ] {
        let (before, name) = (world.facts.len(), format!("{verb:?}"));
        world.request(verb);
        let told = world.facts[before..].iter().any(|(_, fact)| {
            let told = format!("{fact:?}");
            told.contains("\"ann\"")
        });
        assert!(told, "{name} is not in the history with who asked for it");
        pass(&mut world, 5_000);
    }
}

#[test]
fn a_driver_that_fails_is_not_asked_in_a_hot_loop() {
    let mut world = world(ONE_SITE);
    world.scenario.mess.fails = 100;
    pass(&mut world, HOUR);
    // At most two tries a minute once the pause between them has grown, and the first quick ones.
    assert!(world.commands > 10, "it goes on trying");
    assert!(
        world.commands < 140,
        "{} commands in an hour",
        world.commands
    );
}

// --- many clusters

#[test]
fn a_cluster_out_of_reach_does_not_hold_up_the_others() {
    let mut world = world("wave all sites=a:2,b:2,c:2,d:2 parallel=2");
    world.set_reachable("a", false);
    pass(&mut world, 10 * MINUTE);
    for other in ["b", "c", "d"] {
        assert_eq!(phase(&world, other), SitePhase::Done, "{other}");
    }
    assert!(!world.finished(), "and it is not forgotten");
    world.set_reachable("a", true);
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::Done));
}

#[test]
fn a_wave_without_sites_waits_for_nobody() {
    let mut world = world("wave none\nwave all sites=a:2");
    pass(&mut world, 5 * MINUTE);
    assert_eq!(end(&world), Some(End::Done));
}

#[test]
fn a_restart_does_not_forget_how_many_may_go_at_once() {
    let mut world = world("wave all sites=a:4,b:4,c:4,d:4,e:4,f:4 parallel=2");
    for _ in 0..6 {
        pass(&mut world, 7_000);
        if world.finished() {
            break;
        }
        world.restart(InFlight::Done, 1000);
        let in_flight = |world: &World| {
            let sites = world.engine.state().sites.values();
            sites.filter(|site| site.phase.in_flight()).count()
        };
        assert!(in_flight(&world) <= 2, "{} in flight", in_flight(&world));
        pass(&mut world, 3_000);
        assert!(in_flight(&world) <= 2, "{} in flight", in_flight(&world));
    }
}

#[test]
fn no_more_sites_start_once_too_many_have_failed() {
    let mut world = world(
        "wave all sites=a:2,b:2,c:2,d:2 parallel=1\ngate g fail for=a,b phases=after-batch\n\
         failure tolerate=1 then=hold",
    );
    world.scenario.minds.insert(
        "g".into(),
        GateMind::FailFor(["a".into(), "b".into()].into(), BTreeSet::new()),
    );
    pass(&mut world, HOUR);
    assert_eq!(phase(&world, "a"), SitePhase::RolledBack);
    assert_eq!(phase(&world, "b"), SitePhase::Failed);
    for other in ["c", "d"] {
        assert_eq!(phase(&world, other), SitePhase::Pending, "{other}");
    }
}

#[test]
fn a_failed_rollout_leaves_no_mixed_versions() {
    let mut world = world(
        "wave first sites=a:2\nwave rest sites=b:4,c:4 parallel=2\n\
         gate g fail for=c phases=after-batch\nfailure then=touched",
    );
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::RolledBack));
    for (cluster, nodes) in [("a", 2), ("b", 4), ("c", 4)] {
        assert_eq!(serving(&world, cluster), (0, nodes), "{cluster}");
    }
}

#[test]
fn a_rollback_of_several_regions_is_not_blocked_by_one() {
    let mut world = world(
        "wave all sites=a:2,b:2,c:2 parallel=3\nbatch size=2 unavailable=2\n\
         gate g hold phases=after-batch\nfailure progress=60s",
    );
    until(&mut world, "all are updated", |world| {
        ["a", "b", "c"].iter().all(|c| serving(world, c).0 == 2)
    });
    world.set_reachable("b", false);
    pass(&mut world, 30_000);
    world.request(Verb::Rollback);
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::RollbackIncomplete));
    assert_eq!(
        (serving(&world, "a"), serving(&world, "c")),
        ((0, 2), (0, 2))
    );
}

#[test]
fn clusters_that_come_and_go_do_not_end_the_run() {
    let mut world = world("wave all sites=a:4,b:4,c:4 parallel=2\nadded append");
    until(&mut world, "two are in the middle", |world| {
        serving(world, "a").0 == 2 && serving(world, "b").0 == 2
    });
    world.change_fleet(&[(single("d", 2), "all")], &["c"]);
    world.change_fleet(&[], &["b"]);
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::Done));
    assert_eq!(serving(&world, "a"), (4, 0));
    assert_eq!(serving(&world, "d"), (2, 0), "it came, and has its turn");
    assert_eq!(serving(&world, "c"), (0, 4), "it went before its turn");
    assert_eq!(
        phase(&world, "b"),
        SitePhase::Skipped,
        "and the report has it"
    );
}

// --- time

#[test]
fn a_batch_that_cannot_start_does_not_stall_for_ever() {
    let mut world = world("wave all sites=a:4\nbad-new a\nlimit batch after=60s");
    pass(&mut world, 5 * MINUTE);
    assert_eq!(end(&world), Some(End::RolledBack));
}

#[test]
fn starting_being_healthy_and_going_back_have_limits_of_their_own() {
    // The way back takes longer than a batch may, and longer than the site may.
    let mut world = world(
        "wave all sites=a:4\ngate g fail for=a phases=after-batch\n\
         limit batch after=20s\nlimit site after=25s\nfailure progress=10m",
    );
    world.scenario.start_ms.1 = 5 * MINUTE;
    until(&mut world, "it goes back", |world| {
        phase(world, "a") == SitePhase::RollingBack
    });
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::RolledBack));
}

#[test]
fn soak_is_time_with_passing_evidence_and_nothing_else() {
    let mut world = world("wave all sites=a:1 site-soak=60s\ngate g pass phases=soak interval=5s");
    until(&mut world, "it soaks", |world| {
        phase(world, "a") == SitePhase::Soaking
    });
    pass(&mut world, 20_000);
    let covered = |world: &World| {
        let site = world.engine.state().site(&"a".into());
        let gates = site.soak.values().map(|coverage| coverage.covered);
        gates.min().unwrap_or_default()
    };
    let before = covered(&world);
    assert!(before >= DurationMs::secs(10), "{before}");
    // Undecided, unavailable, paused, and while no host runs.
    set_gate(&mut world, GateMind::Hold);
    pass(&mut world, 10 * MINUTE);
    set_gate(&mut world, GateMind::Unavailable);
    pass(&mut world, 10 * MINUTE);
    world.request(Verb::Pause);
    pass(&mut world, 10 * MINUTE);
    world.request(Verb::Continue);
    world.restart(InFlight::Done, 10 * MINUTE);
    let after = covered(&world);
    assert!(
        after <= before.plus(DurationMs::secs(10)),
        "{before}, then {after}"
    );
    assert_eq!(phase(&world, "a"), SitePhase::Soaking);
    set_gate(&mut world, GateMind::Pass);
    until(&mut world, "the end", World::finished);
    assert_eq!(end(&world), Some(End::Done));
}

#[test]
fn a_rollout_that_waits_for_months_does_not_grow() {
    let mut world = world("wave all sites=a:4,b:4 approval=ask");
    world.fold_every = 0;
    pass(&mut world, DAY);
    let first = world.facts.len();
    pass(&mut world, 9 * DAY);
    let daily = (world.facts.len() - first) / 9;
    // Two clusters, each told again every five minutes at the most.
    assert!(daily <= 2 * 300, "{daily} facts a day about nothing");
    let state = world.engine.state();
    assert!(state.consultations.is_empty() && state.outstanding.is_empty());
    world.check_fold();
}

/// What a gate has said about one site says nothing about another.
#[test]
fn plugins_share_no_state_between_sites() {
    let mut world = world(
        "wave all sites=a:2,b:2 parallel=2\n\
         gate g fail for=a phases=after-batch consecutive=3 total=9",
    );
    pass(&mut world, 20_000);
    let state = world.engine.state();
    let fails = |site: &str| {
        let subject = Subject::Site(site.into());
        let mine = state.gates().filter(|(key, _)| key.subject == subject);
        mine.map(|(_, gate)| gate.fails).sum::<u32>()
    };
    assert!(fails("a") > 0);
    assert_eq!(fails("b"), 0);
}
