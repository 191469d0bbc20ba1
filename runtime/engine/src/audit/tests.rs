//! Bad sequences of facts, made by hand: each breaks one invariant, and the auditor says which.

macro_rules! finds {
    ($found:expr, $pattern:pat) => {
        let found = $found;
        assert!(matches!(found, $pattern), "{found}");
    };
}

mod hands;
mod members;
mod swaps;
mod verbs;

use super::Violation;
use crate::command::Change;
use crate::fact::{End, Fact, HoldReason};
use crate::state::GateKey;
use alloc::string::String;
use alloc::vec;
use hands::*;
use wavegate_model::plugin::{Phase, Proposal, Subject, Verdict};
use wavegate_model::policy::EndState;
use wavegate_model::release::Reversal;
use wavegate_model::{DurationMs, Generation};

#[test]
fn a_sound_rollout_of_a_site_passes() {
    let mut tale = Tale::updating(&spec());
    tale.finish_a();
    tale.site("b");
}

#[test]
fn ids_and_generations_rise() {
    let mut tale = Tale::updating(&spec());
    let command = tale.nodes("a", 1, 3);
    let old = changed(command.clone(), |effect| effect.generation = Generation(2));
    finds!(tale.bad(old), Violation::GenerationFell { .. });
    tale.carry_out(command.clone());
    tale.see("a", 1, 3, 0);
    finds!(tale.bad(command), Violation::CommandRepeated { .. });
}

#[test]
fn a_site_has_one_command_at_a_time() {
    let mut tale = Tale::updating(&spec());
    let first = tale.nodes("a", 1, 3);
    tale.ok(first);
    let second = tale.nodes("a", 2, 2);
    finds!(tale.bad(second), Violation::TwoOutstanding { .. });
}

#[test]
fn commands_go_to_what_is_owned_and_seen_and_whose_turn_it_is() {
    let mut tale = Tale::updating(&spec());
    let early = tale.nodes("b", 1, 3);
    finds!(tale.bad(early), Violation::OutOfTurn { .. });
    tale.ok(Fact::Resumed {
        down: DurationMs::ZERO,
    });
    let blind = tale.nodes("a", 1, 3);
    finds!(tale.bad(blind), Violation::Stale { .. });
    tale.see("a", 0, 4, 0);
    let foreign = tale.nodes("a", 1, 3);
    finds!(tale.bad(foreign), Violation::NotOwner { .. });
}

#[test]
fn nothing_advances_while_it_may_not() {
    let mut tale = Tale::updating(&spec());
    tale.ok(Fact::Paused {
        actor: String::new(),
        reason: String::new(),
    });
    let command = tale.nodes("a", 1, 3);
    finds!(
        tale.bad(command.clone()),
        Violation::Blocked {
            state: "paused",
            ..
        }
    );
    finds!(tale.bad(site_started("b")), Violation::Blocked { .. });
    tale.ok(Fact::Continued {
        actor: String::new(),
        reason: String::new(),
    });
    tale.ok(Fact::Held {
        reason: HoldReason::Failure { site: "a".into() },
    });
    finds!(
        tale.bad(command.clone()),
        Violation::Blocked { state: "held", .. }
    );
    tale.ok(stop(&[]));
    finds!(
        tale.bad(command.clone()),
        Violation::Blocked {
            state: "stopping",
            ..
        }
    );
    tale.ok(Fact::Finished { end: End::Aborted });
    finds!(tale.bad(command), Violation::AfterEnd { .. });
    finds!(tale.bad(site_started("b")), Violation::AfterEnd { .. });
}

#[test]
fn limits_in_nodes() {
    let mut tale = Tale::updating(&spec());
    let old_total = changed(tale.nodes("a", 1, 3), |effect| {
        if let Change::Nodes(change) = &mut effect.change {
            change.desired = 5;
        }
    });
    finds!(tale.bad(old_total), Violation::DesiredTotal { .. });
    let two_down = tale.nodes("a", 2, 2);
    finds!(
        tale.bad(two_down),
        Violation::Unavailability {
            left: 2,
            least: 3,
            ..
        }
    );
    let too_many = tale.nodes("a", 2, 4);
    finds!(
        tale.bad(too_many),
        Violation::Surge {
            nodes: 6,
            most: 5,
            ..
        }
    );
    let too_large = tale.nodes("a", 3, 1);
    finds!(
        tale.bad(too_large),
        Violation::BatchSize {
            moved: 3,
            limit: 2,
            ..
        }
    );
    // One is down already: it may be replaced, and no other.
    tale.see_unready("a", (0, 0), (3, 1), 0);
    let another = tale.nodes("a", 2, 2);
    finds!(tale.bad(another), Violation::Unavailability { .. });
    let replaced = tale.nodes("a", 1, 3);
    tale.ok(replaced);
}

#[test]
fn traffic_is_whole_and_goes_where_it_can_be_carried() {
    let mut tale = Tale::updating(&spec());
    let nodes = tale.nodes("a", 1, 3);
    tale.carry_out(nodes);
    tale.see("a", 1, 3, 0);
    let part = tale.traffic("a", 300, 600);
    finds!(tale.bad(part), Violation::SplitSum { total: 900, .. });
    let much = tale.traffic("a", 400, 600);
    finds!(tale.bad(much), Violation::Capacity { share: 400, .. });
    // Three old nodes carry everything; two do not.
    let taken_away = tale.nodes("a", 2, 2);
    finds!(
        tale.bad(taken_away),
        Violation::Capacity { share: 1000, .. }
    );
    tale.see_unready("a", (0, 1), (3, 0), 0);
    let nowhere = tale.traffic("a", 1, 999);
    finds!(tale.bad(nowhere), Violation::Capacity { most: 0, .. });
}

#[test]
fn sites_and_waves_keep_their_order() {
    let mut tale = Tale::new(&spec());
    finds!(tale.bad(site_started("a")), Violation::SiteOrder { .. });
    tale.ok(Fact::WaveStarted { wave: "w0".into() });
    tale.site("a");
    finds!(
        tale.bad(site_started("b")),
        Violation::InFlight { in_flight: 1, .. }
    );
    finds!(
        tale.bad(Fact::WaveStarted { wave: "w1".into() }),
        Violation::WaveOrder { .. }
    );
    finds!(tale.bad(site_started("c")), Violation::WaveOrder { .. });
    finds!(
        tale.bad(Fact::WaveDone { wave: "w0".into() }),
        Violation::Unfinished { .. }
    );
    finds!(
        tale.bad(Fact::WaveSoakStarted { wave: "w0".into() }),
        Violation::Unfinished { .. }
    );
}

#[test]
fn a_wave_starts_after_its_approval() {
    let mut spec = spec();
    spec.plan.waves[0].approval = Some(String::from("?"));
    let mut tale = Tale::new(&spec);
    finds!(
        tale.bad(Fact::WaveStarted { wave: "w0".into() }),
        Violation::NotApproved { .. }
    );
}

#[test]
fn no_new_site_and_no_new_batch_after_too_many_failures() {
    let mut spec = spec();
    spec.plan.waves[0].max_parallel_sites = 3;
    let mut tale = Tale::updating(&spec);
    tale.site("b");
    tale.fail("b");
    let command = tale.nodes("a", 1, 3);
    finds!(
        tale.bad(command),
        Violation::Budget {
            failed: 1,
            tolerated: 0,
            ..
        }
    );
    spec.policy.failure.then = EndState::Hold;
    let mut tale = Tale::updating(&spec);
    tale.fail("a");
    finds!(tale.bad(site_started("b")), Violation::Budget { .. });
}

#[test]
fn only_a_pass_on_present_evidence_lets_a_batch_pass() {
    let key = gate_of("a", Phase::AfterBatch);
    let passed = || Fact::BatchPassed { site: "a".into() };
    let mut tale = Tale::updating(&with_gate(Phase::AfterBatch));
    tale.ask(&key);
    let nodes = tale.nodes("a", 1, 3);
    tale.carry_out(nodes);
    tale.see("a", 1, 3, 0);
    finds!(tale.bad(passed()), Violation::NotSettled { .. });
    tale.ok(Fact::BatchSettled { site: "a".into() });
    finds!(tale.bad(passed()), Violation::NotPassed { .. });
    // It was asked before the batch.
    tale.answer(&key, Verdict::Pass);
    finds!(tale.bad(passed()), Violation::NotPassed { .. });
    for verdict in [Verdict::Hold, Verdict::Fail] {
        tale.ask(&key);
        tale.answer(&key, verdict);
        finds!(tale.bad(passed()), Violation::NotPassed { .. });
    }
    tale.ask(&key);
    tale.answer(&key, Verdict::Pass);
    tale.ok(passed());
}

#[test]
fn waits_end_when_what_was_waited_for_is_there() {
    let ended = || Fact::WaitEnded { site: "a".into() };
    let mut tale = Tale::updating(&with_gate(Phase::BeforeSite));
    finds!(tale.bad(ended()), Violation::NotPassed { .. });
    tale.ok(answered(Proposal::WaitGates(vec!["g".into()])));
    finds!(tale.bad(ended()), Violation::NotPassed { .. });
    tale.ok(answered(Proposal::Wait(DurationMs::secs(10))));
    finds!(tale.bad(ended()), Violation::TooEarly { .. });
    tale.now += 10_000;
    tale.ok(ended());
}

#[test]
fn a_site_is_done_when_all_that_serves_is_the_release_and_has_soaked() {
    let soaks = || Fact::SiteSoakStarted { site: "a".into() };
    let mut spec = spec();
    spec.plan.waves[0].site_soak = DurationMs::secs(10);
    let mut tale = Tale::updating(&spec);
    finds!(
        tale.bad(soaks()),
        Violation::NotUpdated {
            elsewhere: 1000,
            ..
        }
    );
    tale.update_a();
    tale.ok(soaks());
    let done = || Fact::SiteDone { site: "a".into() };
    finds!(tale.bad(done()), Violation::Soak { .. });
    tale.now += 10_000;
    tale.ok(done());
}

#[test]
fn a_soak_is_covered_by_passing_evidence() {
    let mut spec = with_gate(Phase::Soak);
    spec.plan.waves[0].site_soak = DurationMs::secs(10);
    let key = gate_of("a", Phase::Soak);
    let done = || Fact::SiteDone { site: "a".into() };
    let mut tale = Tale::updating(&spec);
    tale.update_a();
    tale.ok(Fact::SiteSoakStarted { site: "a".into() });
    // Time alone does not count, nor do passes that lie too far apart.
    tale.now += 60_000;
    for _ in 0..2 {
        finds!(
            tale.bad(done()),
            Violation::Soak {
                covered: DurationMs::ZERO,
                ..
            }
        );
        tale.ask(&key);
        tale.answer(&key, Verdict::Pass);
        tale.now += 60_000;
    }
    for _ in 0..3 {
        tale.ask(&key);
        tale.answer(&key, Verdict::Pass);
        tale.now += 3000;
    }
    tale.ask(&key);
    tale.answer(&key, Verdict::Fail);
    finds!(
        tale.bad(done()),
        Violation::Soak {
            covered: DurationMs::ZERO,
            ..
        }
    );
}

#[test]
fn a_wave_is_done_when_its_sites_have_soaked_with_it() {
    let mut spec = spec();
    spec.plan.waves[0] = wave("w0", &["a"], vec![]);
    spec.plan.waves[0].soak = DurationMs::secs(30);
    spec.plan.waves[1] = wave("w1", &["b", "c"], vec![0]);
    let mut tale = Tale::updating(&spec);
    tale.finish_a();
    tale.ok(Fact::WaveSoakStarted { wave: "w0".into() });
    finds!(
        tale.bad(Fact::SiteSoaked { site: "a".into() }),
        Violation::Soak { .. }
    );
    finds!(
        tale.bad(Fact::WaveDone { wave: "w0".into() }),
        Violation::Soak { .. }
    );
}

#[test]
fn what_was_said_of_a_wave_is_void_once_a_site_of_it_is_open_again() {
    let mut spec = with_gate(Phase::AfterWave);
    spec.plan.waves[0] = wave("w0", &["a"], vec![]);
    spec.plan.waves[1] = wave("w1", &["b", "c"], vec![0]);
    let gate = GateKey {
        subject: Subject::Wave("w0".into()),
        ..gate_of("a", Phase::AfterWave)
    };
    let soaked = || Fact::SiteSoaked { site: "a".into() };
    let mut tale = Tale::updating(&spec);
    tale.finish_a();
    tale.ok(Fact::WaveSoakStarted { wave: "w0".into() });
    tale.ok(soaked());
    tale.ask(&gate);
    tale.answer(&gate, Verdict::Pass);
    // It would be done now, but a cluster comes back with a node too few.
    tale.ok(Fact::ClusterLost {
        cluster: "a".into(),
        detail: String::from("no route"),
    });
    tale.see("a", 3, 0, 1000);
    tale.ok(Fact::ClusterReturned {
        cluster: "a".into(),
    });
    let nodes = tale.nodes("a", 4, 0);
    tale.carry_out(nodes);
    tale.see("a", 4, 0, 1000);
    tale.ok(Fact::BatchSettled { site: "a".into() });
    tale.ok(Fact::SiteSoakStarted { site: "a".into() });
    tale.ok(Fact::SiteDone { site: "a".into() });
    tale.ok(soaked());
    let done = || Fact::WaveDone { wave: "w0".into() };
    finds!(tale.bad(done()), Violation::NotPassed { .. });
    tale.ask(&gate);
    tale.answer(&gate, Verdict::Pass);
    tale.ok(done());
}

#[test]
fn a_site_is_back_when_its_baseline_serves() {
    let back = || Fact::SiteRolledBack { site: "a".into() };
    let mut tale = Tale::updating(&spec());
    let nodes = tale.nodes("a", 1, 3);
    tale.carry_out(nodes);
    tale.see("a", 1, 3, 0);
    tale.fail("a");
    finds!(tale.bad(stop(&[])), Violation::LeftBehind { .. });
    tale.ok(stop(&["a"]));
    tale.ok(Fact::SiteRollbackStarted { site: "a".into() });
    finds!(
        tale.bad(back()),
        Violation::NotBack {
            baseline: 3,
            new: 1,
            ..
        }
    );
    let ended = || Fact::Finished {
        end: End::RolledBack,
    };
    finds!(tale.bad(ended()), Violation::End { .. });
    let nodes = tale.nodes("a", 0, 4);
    tale.carry_out(nodes);
    tale.see_unready("a", (0, 0), (3, 1), 0);
    finds!(tale.bad(back()), Violation::NotBack { baseline: 3, .. });
    tale.see("a", 0, 4, 0);
    tale.ok(back());
    tale.ok(ended());
}

/// The cluster did not answer, and looks as it should: the request may still be on its way.
#[test]
fn a_site_is_not_back_while_a_command_may_still_arrive() {
    let back = || Fact::SiteRolledBack { site: "a".into() };
    let mut tale = Tale::updating(&spec());
    let nodes = tale.nodes("a", 1, 3);
    tale.give_up(nodes);
    tale.fail("a");
    tale.ok(stop(&["a"]));
    tale.ok(Fact::SiteRollbackStarted { site: "a".into() });
    tale.see("a", 0, 4, 0);
    finds!(tale.bad(back()), Violation::InDoubt { .. });
    let same = tale.nodes("a", 0, 4);
    tale.carry_out(same);
    tale.see("a", 0, 4, 0);
    tale.ok(back());
}

/// Some traffic is to go to nodes that a late request would take away.
#[test]
fn no_traffic_goes_to_nodes_that_a_late_command_may_take_away() {
    let mut tale = Tale::updating(&spec());
    let nodes = tale.nodes("a", 1, 3);
    tale.carry_out(nodes);
    tale.see("a", 1, 3, 0);
    let nodes = tale.nodes("a", 0, 4);
    tale.give_up(nodes);
    tale.see("a", 1, 3, 0);
    let split = tale.traffic("a", 300, 700);
    finds!(
        tale.bad(split),
        Violation::Capacity {
            share: 300,
            most: 0,
            ..
        }
    );
    let same = tale.nodes("a", 1, 3);
    tale.carry_out(same);
    tale.see("a", 1, 3, 0);
    let split = tale.traffic("a", 300, 700);
    tale.ok(split);
}

#[test]
fn an_irreversible_release_stays() {
    let mut spec = spec();
    spec.release.reversal = Reversal::Irreversible;
    let mut tale = Tale::updating(&spec);
    finds!(
        tale.bad(Fact::SiteRollbackStarted { site: "a".into() }),
        Violation::Irreversible { .. }
    );
    finds!(tale.bad(stop(&["a"])), Violation::Irreversible { .. });
}

#[test]
fn the_end_says_what_is_so() {
    let mut tale = Tale::updating(&spec());
    for end in [End::Done, End::Incomplete, End::RollbackIncomplete] {
        finds!(tale.bad(Fact::Finished { end }), Violation::End { .. });
    }
    tale.ok(Fact::Finished { end: End::Aborted });
    finds!(
        tale.bad(Fact::Finished { end: End::Aborted }),
        Violation::End { .. }
    );
}
