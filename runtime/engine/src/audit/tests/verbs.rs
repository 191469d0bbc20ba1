//! What operators decide, and what the auditor finds wrong with it.

use super::hands::*;
use super::*;
use crate::state::GateKey;
use wavegate_model::approval::Starter;
use wavegate_model::{Approvers, StageApproval};

fn retried(site: &str) -> Fact {
    Fact::SiteRetried { site: site.into() }
}

fn skipped(site: &str) -> Fact {
    Fact::SiteSkipped {
        site: site.into(),
        why: String::new(),
    }
}

fn overridden(gate: GateKey, actor: &str) -> Fact {
    Fact::GateOverridden {
        gate,
        actor: String::from(actor),
        reason: String::new(),
    }
}

fn undone(sites: &[&str]) -> Fact {
    Fact::Undone {
        actor: String::from("ann"),
        reason: String::new(),
        sites: sites.iter().map(|site| (*site).into()).collect(),
    }
}

fn approved(wave: Option<&str>, site: Option<(&str, &str)>, actor: &str) -> Fact {
    Fact::Approved {
        wave: wave.map(Into::into),
        site: site.map(|(site, _)| site.into()),
        actor: String::from(actor),
        reason: String::new(),
        stage: site.map(|(_, stage)| String::from(stage)),
    }
}

fn two_of(by: &[&str]) -> Approvers {
    Approvers {
        by: by.iter().map(|name| String::from(*name)).collect(),
        count: 2,
        starter: Starter::DoesNotCount,
    }
}

#[test]
fn a_wave_starts_after_enough_different_people_who_may() {
    let mut spec = spec();
    spec.started_by = String::from("sam");
    spec.plan.waves[0].approval = Some(String::from("?"));
    spec.plan.waves[0].approvers = two_of(&["ann", "bob", "sam"]);
    let start = || Fact::WaveStarted { wave: "w0".into() };
    for short in [
        &["ann"][..],
        &["ann", "ann"],
        &["ann", "dan"],
        &["ann", "sam"],
    ] {
        let mut tale = Tale::new(&spec);
        for actor in short {
            tale.ok(approved(Some("w0"), None, actor));
        }
        finds!(tale.bad(start()), Violation::NotApproved { .. });
    }
    let mut tale = Tale::new(&spec);
    tale.ok(approved(Some("w0"), None, "ann"));
    tale.ok(approved(Some("w0"), None, "bob"));
    tale.ok(start());
}

#[test]
fn a_stage_is_carried_out_after_its_approval() {
    let mut spec = spec();
    // The hands' strategy calls its stage so.
    let stage = match answered(Proposal::Done) {
        Fact::StrategyAnswered { outcome, .. } => outcome.stage,
        other => panic!("{other:?}"),
    };
    spec.policy.approvals.push(StageApproval {
        stage: stage.clone(),
        waves: vec!["w0".into()],
        text: String::from("?"),
        approvers: Approvers::default(),
    });
    let mut tale = Tale::updating(&spec);
    tale.ok(answered(Proposal::WaitPerson(String::new())));
    let command = tale.nodes("a", 1, 3);
    finds!(
        tale.bad(command.clone()),
        Violation::StageNotApproved { .. }
    );
    tale.ok(approved(None, Some(("a", "another")), "ann"));
    finds!(
        tale.bad(command.clone()),
        Violation::StageNotApproved { .. }
    );
    tale.ok(approved(None, Some(("a", &stage)), "ann"));
    tale.ok(command);
}

#[test]
fn only_what_failed_or_went_back_is_tried_again() {
    let mut tale = Tale::updating(&spec());
    finds!(tale.bad(retried("a")), Violation::OutOfPlace { .. });
    let mut tale = Tale::updating(&spec());
    tale.ok(stop(&["a"]));
    finds!(tale.bad(retried("a")), Violation::OutOfPlace { .. });
}

#[test]
fn a_site_that_is_tried_again_counts_no_more_as_failed() {
    let mut spec = spec();
    spec.plan.waves[0].max_parallel_sites = 3;
    spec.policy.failure.then = EndState::Hold;
    let mut tale = Tale::updating(&spec);
    tale.fail("a");
    finds!(tale.bad(site_started("b")), Violation::Budget { .. });
    tale.ok(retried("a"));
    tale.ok(site_started("b"));
}

#[test]
fn what_is_changed_is_not_left_out() {
    let mut tale = Tale::updating(&spec());
    let command = tale.nodes("a", 1, 3);
    tale.carry_out(command);
    tale.see("a", 1, 3, 0);
    finds!(tale.bad(skipped("a")), Violation::NotBack { .. });
    let mut tale = Tale::updating(&spec());
    tale.ok(skipped("a"));
    finds!(tale.bad(skipped("a")), Violation::OutOfPlace { .. });
}

#[test]
fn only_what_does_not_answer_is_given_up_and_the_end_says_so() {
    let given_up = || Fact::SiteGivenUp {
        site: "a".into(),
        clusters: vec!["a".into()],
    };
    let mut tale = Tale::updating(&spec());
    let command = tale.nodes("a", 1, 3);
    tale.carry_out(command);
    finds!(tale.bad(given_up()), Violation::OutOfPlace { .. });
    tale.ok(Fact::ClusterLost {
        cluster: "a".into(),
        detail: String::new(),
    });
    tale.ok(given_up());
    let mut done = tale.clone();
    finds!(
        done.bad(Fact::Finished {
            end: End::RolledBack
        }),
        Violation::End { .. }
    );
    tale.ok(Fact::Finished {
        end: End::Incomplete,
    });
}

#[test]
fn a_person_speaks_for_a_gate_by_name_and_about_what_has_settled() {
    let spec = with_gate(Phase::AfterBatch);
    let key = || gate_of("a", Phase::AfterBatch);
    let mut tale = Tale::updating(&spec);
    let command = tale.nodes("a", 1, 3);
    tale.carry_out(command);
    finds!(
        tale.clone().bad(overridden(key(), "ann")),
        Violation::NotSettled { .. }
    );
    tale.see("a", 1, 3, 0);
    tale.ok(Fact::BatchSettled { site: "a".into() });
    finds!(
        tale.clone().bad(overridden(key(), "")),
        Violation::Nobody { .. }
    );
    let passed = || Fact::BatchPassed { site: "a".into() };
    finds!(tale.clone().bad(passed()), Violation::NotPassed { .. });
    tale.ok(overridden(key(), "ann"));
    tale.ok(passed());
    // After a change of traffic the evidence is another.
    let command = tale.traffic("a", 250, 750);
    tale.carry_out(command);
    tale.see("a", 1, 3, 250);
    finds!(tale.bad(passed()), Violation::NotPassed { .. });
}

#[test]
fn what_is_undone_is_over_and_whole() {
    let mut tale = Tale::updating(&spec());
    let command = tale.nodes("a", 1, 3);
    tale.carry_out(command);
    finds!(tale.clone().bad(undone(&["a"])), Violation::Blocked { .. });
    tale.ok(Fact::Finished { end: End::Aborted });
    finds!(tale.clone().bad(undone(&[])), Violation::LeftBehind { .. });
    tale.ok(undone(&["a"]));
    tale.ok(Fact::SiteRollbackStarted { site: "a".into() });
}
