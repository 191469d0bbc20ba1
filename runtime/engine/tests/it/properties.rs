//! Random fleets, policies and plugins in a world that delays, repeats, refuses and forgets: the
//! auditor stays content (the world asks it about every fact), the state is always the fold of
//! the facts, time does not stand still, and a world that has calmed down lets a rollout end.

use crate::chance::{Gone, approve_all, change_fleet, disturb, gates, one_of, scenario, swap_for};
use crate::minds::{GateMind, Strategy};
use crate::rng::Rng;
use crate::scenario::Mess;
use crate::world::{InFlight, START, World};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;
use wavegate_engine::state::GateKey;
use wavegate_engine::swap::Part;
use wavegate_engine::{End, Fact, Verb, explain};
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::policy::{OnRemoved, WhenBusy};
use wavegate_model::release::Reversal;
use wavegate_model::{Amount, Timestamp};

/// Cases per property; `cargo xtask test` runs more of them.
fn cases() -> u32 {
    let given = std::env::var("WAVEGATE_CASES").ok();
    given.map_or(64, |text| text.parse().expect("WAVEGATE_CASES is a number"))
}

/// `WAVEGATE_SEED` runs one case again.
fn for_seeds(check: impl Fn(u64)) {
    if let Ok(seed) = std::env::var("WAVEGATE_SEED") {
        return check(seed.parse().expect("WAVEGATE_SEED is a number"));
    }
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&any::<u64>(), |seed| {
        check(seed);
        Ok(())
    });
    if let Err(why) = outcome {
        panic!("{why}");
    }
}

fn told(world: &World, seed: u64) -> String {
    let why = explain::explain(world.engine.state(), Timestamp(world.now));
    let lines: Vec<String> = why
        .iter()
        .map(|w| format!("{} waits for {}", w.who, w.on))
        .collect();
    format!("seed {seed}, after {}: {}", world.span(), lines.join("; "))
}

fn tell_if_it_panics<T>(seed: u64, run: impl FnOnce() -> T) -> T {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(value) => value,
        Err(why) => {
            let text = why.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("seed {seed}: {text}")
        }
    }
}

#[test]
fn nothing_breaks_an_invariant() {
    let strategies = [
        Strategy::Hostile,
        Strategy::Hostile,
        Strategy::OneAtATime,
        Strategy::Staged(vec![100, 500, 1000]),
        Strategy::Switch,
        Strategy::UpDownUp,
        Strategy::Restless,
        Strategy::Patient,
    ];
    for_seeds(|seed| {
        tell_if_it_panics(seed, || {
            let mut rng = Rng::new(seed);
            let mut scenario = scenario(&mut rng, &strategies);
            scenario.mess = Mess {
                delay_ms: one_of(&mut rng, &[0, 500, 5000]),
                twice: one_of(&mut rng, &[0, 20, 50]),
                fails: one_of(&mut rng, &[0, 5, 20]),
                deaths: one_of(&mut rng, &[0, 20, 200]),
                lost_commits: one_of(&mut rng, &[0, 10]),
            };
            if rng.percent(20) {
                scenario.when_busy = WhenBusy::Queue;
            }
            let mut world = World::new(scenario, seed);
            world.fold_every = 37;
            let mut until = START;
            for _ in 0..24 {
                until += rng.below(20_000);
                world.run_until(until);
                if world.finished() {
                    break;
                }
                disturb(&mut world, &mut rng);
            }
            // What is over may be undone, whatever state it is in.
            if world.finished() && rng.percent(50) {
                world.undo();
                for _ in 0..6 {
                    until = world.now + rng.below(20_000);
                    world.run_until(until);
                    if !world.finished() {
                        disturb(&mut world, &mut rng);
                    }
                }
            }
            world.check_fold();
            let span = world.span().0 / 1000 + 10;
            let sites = u64::try_from(world.clusters.len()).unwrap();
            // Two commands a second for each site are more than any sound pace.
            assert!(
                world.commands < 2 * span * sites,
                "{} commands",
                world.commands
            );
        });
    });
}

#[test]
fn a_healthy_rollout_is_done_in_bounded_time() {
    let strategies = [
        Strategy::OneAtATime,
        Strategy::Staged(vec![100, 500, 1000]),
        Strategy::UpDownUp,
    ];
    for_seeds(|seed| {
        tell_if_it_panics(seed, || {
            let mut rng = Rng::new(seed);
            let mut scenario = scenario(&mut rng, &strategies);
            scenario.limits = Default::default();
            for gate in &scenario.gates {
                // One on trial says no all the time, and nobody listens.
                let mind = if gate.trial {
                    GateMind::Fail
                } else {
                    GateMind::Pass
                };
                scenario.minds.insert(gate.name.clone(), mind);
            }
            scenario.membership.removed = OnRemoved::Skip;
            if scenario.surges && rng.percent(50) {
                scenario.batch.max_surge = Amount::Count(1);
            } else {
                scenario.batch.max_unavailable = Amount::Count(1);
            }
            scenario.mess = Mess {
                delay_ms: one_of(&mut rng, &[0, 500, 3000]),
                twice: 20,
                fails: one_of(&mut rng, &[0, 5]),
                deaths: 0,
                lost_commits: 2,
            };
            let mut world = World::new(scenario, seed);
            world.fold_every = 101;
            let mut until = START;
            for _ in 0..6 {
                until += rng.below(30_000);
                world.run_until(until);
                if !world.finished() && rng.percent(30) {
                    let down = rng.below(20_000);
                    world.restart(InFlight::ByChance, down);
                }
                // Without stamps a split that nobody confirmed stays unknown when another one is
                // wanted next, and a person is asked.
                if !world.finished() && world.scenario.stamps && rng.percent(20) {
                    swap_for(&mut world, &mut rng, &strategies, &[GateMind::Pass]);
                }
                if !world.finished() && rng.percent(40) {
                    change_fleet(&mut world, &mut rng, Gone::Sites);
                }
                let names: Vec<String> = world.clusters.keys().map(ToString::to_string).collect();
                if rng.percent(40) {
                    let desired = 1 + rng.small(7);
                    world.scale(&one_of(&mut rng, &names), desired);
                }
            }
            let nodes: u64 = world
                .clusters
                .values()
                .map(|c| u64::from(c.desired) + 4)
                .sum();
            let end = world.now + 120_000 * (nodes + 4);
            while !world.finished() && world.now < end {
                let next = (world.now + 10_000).min(end);
                world.run_until(next);
                approve_all(&mut world);
            }
            assert_eq!(
                world.engine.state().end(),
                Some(End::Done),
                "{}",
                told(&world, seed)
            );
        });
    });
}

#[test]
fn a_rollback_is_always_reachable() {
    let strategies = [
        Strategy::Hostile,
        Strategy::OneAtATime,
        Strategy::Staged(vec![300, 1000]),
        Strategy::Switch,
        Strategy::Restless,
    ];
    for_seeds(|seed| {
        tell_if_it_panics(seed, || {
            let mut rng = Rng::new(seed);
            let mut scenario = scenario(&mut rng, &strategies);
            scenario.reversal = Reversal::Possible;
            scenario.failure.rollback.max_unavailable = Amount::Count(1);
            scenario.mess.delay_ms = one_of(&mut rng, &[0, 500, 3000]);
            scenario.mess.deaths = 20;
            let mut world = World::new(scenario, seed);
            world.fold_every = 101;
            let mut until = START;
            for _ in 0..rng.below(12) {
                until += rng.below(20_000);
                world.run_until(until);
                if world.finished() {
                    return;
                }
                disturb(&mut world, &mut rng);
            }
            // The world calms down, and a person wants everything back.
            world.scenario.mess = Mess::default();
            world.scenario.bad_new.clear();
            let names: Vec<String> = world.clusters.keys().map(ToString::to_string).collect();
            for name in &names {
                world.set_reachable(name, true);
            }
            if world.finished() {
                return;
            }
            world.request(Verb::Continue);
            if world.finished() {
                return;
            }
            world.request(Verb::Rollback);
            let end = world.now + 3_600_000;
            world.run_until(end);
            let ended = world.engine.state().end();
            assert!(
                matches!(
                    ended,
                    Some(End::RolledBack | End::RollbackIncomplete | End::Replaced)
                ),
                "{ended:?}: {}",
                told(&world, seed)
            );
        });
    });
}

#[test]
fn what_is_over_can_be_undone() {
    let strategies = [
        Strategy::OneAtATime,
        Strategy::Staged(vec![300, 1000]),
        Strategy::Switch,
        Strategy::UpDownUp,
    ];
    for_seeds(|seed| {
        tell_if_it_panics(seed, || {
            let mut rng = Rng::new(seed);
            let mut scenario = scenario(&mut rng, &strategies);
            scenario.reversal = Reversal::Possible;
            scenario.failure.rollback.max_unavailable = Amount::Count(1);
            scenario.mess.delay_ms = one_of(&mut rng, &[0, 500, 3000]);
            scenario.mess.deaths = 20;
            let mut world = World::new(scenario, seed);
            world.fold_every = 101;
            let mut until = START;
            for _ in 0..rng.below(12) {
                until += rng.below(20_000);
                world.run_until(until);
                if !world.finished() {
                    disturb(&mut world, &mut rng);
                }
            }
            if !world.finished() {
                world.request(Verb::Abort);
            }
            world.scenario.mess = Mess::default();
            let names: Vec<String> = world.clusters.keys().map(ToString::to_string).collect();
            for name in &names {
                world.set_reachable(name, true);
            }
            let before = world.engine.state().end();
            world.undo();
            if world.finished() {
                // Nothing is away from its baseline, or it never was.
                assert_eq!(world.engine.state().end(), before);
                return;
            }
            for _ in 0..rng.below(3) {
                let until = world.now + rng.below(5_000);
                world.run_until(until);
                if !world.finished() {
                    world.restart(InFlight::ByChance, 1000);
                }
            }
            world.run_until(world.now + 3_600_000);
            let ended = world.engine.state().end();
            assert!(
                matches!(ended, Some(End::RolledBack | End::RollbackIncomplete)),
                "{ended:?}: {}",
                told(&world, seed)
            );
        });
    });
}

/// Gates that never say pass: whatever is promoted, retried, skipped, approved or continued, no
/// batch passes, no soak ends and no wave goes on without a person's verdict in the gate's place.
#[test]
fn nothing_undecided_advances_without_a_persons_verdict() {
    for_seeds(|seed| {
        tell_if_it_panics(seed, || {
            let mut rng = Rng::new(seed);
            let strategies = [Strategy::OneAtATime, Strategy::Hostile, Strategy::UpDownUp];
            let mut scenario = scenario(&mut rng, &strategies);
            scenario.gates = gates(&mut rng);
            // Each of them decides, in every wave.
            for wave in &mut scenario.waves {
                wave.gates = None;
            }
            for gate in &mut scenario.gates {
                gate.trial = false;
                gate.phases = [
                    Phase::BeforeWave,
                    Phase::BeforeSite,
                    Phase::AfterBatch,
                    Phase::AfterWave,
                ]
                .into();
                let minds = [GateMind::Hold, GateMind::Unavailable];
                let mind = one_of(&mut rng, &minds);
                scenario.minds.insert(gate.name.clone(), mind);
            }
            let mut world = World::new(scenario, seed);
            world.fold_every = 101;
            let mut until = START;
            for _ in 0..16 {
                until += rng.below(15_000);
                world.run_until(until);
                if world.finished() {
                    break;
                }
                disturb(&mut world, &mut rng);
            }
            let mut said = BTreeSet::new();
            // One that was swapped may have got a component that passes.
            let swaps = &world.engine.state().swaps;
            let gates = world.scenario.gates.iter().map(|gate| gate.name.clone());
            let gates: Vec<_> = gates
                .filter(|gate| !swaps.contains_key(&Part::Gate(gate.clone())))
                .collect();
            // Where all sites have left there is nothing to judge.
            let mut empty = BTreeSet::new();
            for (_, fact) in &world.facts {
                let (subject, phase) = match fact {
                    Fact::Replanned { plan, .. } => {
                        let without = plan.waves.iter().filter(|wave| wave.sites.is_empty());
                        empty.extend(without.map(|wave| wave.name.clone()));
                        continue;
                    }
                    Fact::WaveStarted { wave } | Fact::WaveDone { wave }
                        if empty.contains(wave) =>
                    {
                        continue;
                    }
                    Fact::GateOverridden { gate, .. } => {
                        said.insert(gate.clone());
                        continue;
                    }
                    Fact::WaveStarted { wave } => (Subject::Wave(wave.clone()), Phase::BeforeWave),
                    Fact::WaveDone { wave } => (Subject::Wave(wave.clone()), Phase::AfterWave),
                    Fact::SiteSoakStarted { site } => {
                        (Subject::Site(site.clone()), Phase::BeforeSite)
                    }
                    _ => continue,
                };
                for gate in &gates {
                    let key = GateKey {
                        subject: subject.clone(),
                        phase,
                        gate: gate.clone(),
                    };
                    assert!(said.contains(&key), "{fact:?} without a verdict on {key:?}");
                }
            }
        });
    });
}
