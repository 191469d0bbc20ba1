//! Changes of the fleet that the auditor does not let pass.

use super::hands::*;
use crate::audit::Violation;
use crate::fact::{Fact, MemberChange, MemberOutcome};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use wavegate_model::plan::WaveOrigin;
use wavegate_model::policy::{OnAdded, WhenBusy};
use wavegate_model::{Generation, Plan};

fn child(change: impl FnOnce(&mut Plan), outcomes: &[(&str, MemberOutcome)]) -> Fact {
    let mut plan = spec().plan;
    plan.parent = Some(plan.generation);
    plan.generation = plan.generation.next();
    change(&mut plan);
    let change = |(name, outcome): &(&str, MemberOutcome)| MemberChange {
        cluster: (*name).into(),
        outcome: outcome.clone(),
    };
    Fact::Replanned {
        plan: Box::new(plan),
        clusters: Vec::new(),
        changes: outcomes.iter().map(change).collect(),
        actor: String::new(),
        reason: String::new(),
    }
}

fn went() -> MemberOutcome {
    MemberOutcome::LetGo { was: String::new() }
}

fn came(wave: &str, name: &str) -> MemberOutcome {
    MemberOutcome::Added {
        wave: wave.into(),
        site: name.into(),
    }
}

macro_rules! finds {
    ($found:expr, $pattern:pat) => {
        let found = $found;
        assert!(matches!(found, $pattern), "{found}");
    };
}

#[test]
fn a_plan_is_replaced_by_its_child_alone() {
    let mut tale = Tale::updating(&spec());
    let same = child(
        |plan| plan.generation = Generation(plan.generation.0 - 1),
        &[],
    );
    finds!(tale.bad(same), Violation::NotAChild { .. });
    let stranger = child(|plan| plan.parent = None, &[]);
    finds!(tale.bad(stranger), Violation::NotAChild { .. });
    let order = child(|plan| plan.waves[1].after.clear(), &[]);
    finds!(tale.bad(order), Violation::PlanEdited { .. });
    tale.ok(child(|_| (), &[]));
}

#[test]
fn nobody_leaves_a_plan_silently() {
    let mut tale = Tale::updating(&spec());
    let last = |plan: &mut Plan| plan.waves[1].sites.clear();
    finds!(tale.bad(child(last, &[])), Violation::Forgotten { .. });
    let begun = |plan: &mut Plan| drop(plan.waves[0].sites.remove(0));
    let left = child(begun, &[("a", MemberOutcome::Left)]);
    finds!(tale.bad(left), Violation::PlanEdited { .. });
    let skipped = Fact::SiteSkipped {
        site: "a".into(),
        why: String::new(),
    };
    tale.ok(child(last, &[("c", MemberOutcome::Left), ("a", went())]));
    tale.ok(skipped);
}

#[test]
fn newcomers_come_where_the_policy_wants_them() {
    let mut lax = spec();
    let join = |plan: &mut Plan| {
        let site = wave("x", &["d"], Vec::new()).sites.remove(0);
        plan.waves[0].sites.push(site);
    };
    let joined = child(join, &[("d", came("w1", "d"))]);
    let mut tale = Tale::updating(&lax);
    finds!(tale.bad(joined.clone()), Violation::PlanEdited { .. });
    lax.policy.membership.added = OnAdded::Append;
    let mut tale = Tale::updating(&lax);
    finds!(tale.bad(child(join, &[])), Violation::PlanEdited { .. });
    let early = child(
        |plan| {
            let mut own = wave("own", &["d"], vec![0]);
            own.origin = WaveOrigin::Added;
            plan.waves.push(own);
        },
        &[("d", came("own", "d"))],
    );
    finds!(tale.bad(early), Violation::PlanEdited { .. });
    tale.ok(joined);
}

#[test]
fn what_carries_traffic_is_counted_again() {
    let mut tale = Tale::updating(&spec());
    let said = |demand| Fact::DemandChanged {
        site: "a".into(),
        demand,
    };
    finds!(tale.bad(said(2)), Violation::Demand { found: 4, .. });
    let again = Fact::SiteReopened { site: "a".into() };
    finds!(tale.bad(again), Violation::Reopened { .. });
}

#[test]
fn who_queues_does_not_begin_and_who_has_begun_does_not_queue() {
    let mut patient = spec();
    patient.policy.when_busy = WhenBusy::Queue;
    let behind = BTreeMap::from([("other".into(), vec!["a".into()])]);
    let mut tale = Tale::new(&patient);
    let wave = Fact::WaveStarted {
        wave: patient.plan.waves[0].name.clone(),
    };
    finds!(
        tale.bad(wave),
        Violation::Blocked {
            state: "queued",
            ..
        }
    );
    let mut tale = Tale::updating(&spec());
    finds!(tale.bad(Fact::Queued { behind }), Violation::QueuesLate);
}
