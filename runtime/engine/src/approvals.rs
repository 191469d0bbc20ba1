//! Approvals: what waits for which people, and what somebody may approve.

use crate::fact::Fact;
use crate::input::{Approval, Request};
use crate::state::{SitePhase, SiteState, State, Step, WavePhase};
use crate::waiting::WaitingOn;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use wavegate_model::approval::Starter;
use wavegate_model::{Approvers, SiteName, StageApproval};

/// The approval that a wave waits for before it starts.
pub fn of_wave(state: &State, index: usize) -> Option<WaitingOn> {
    let (plan, wave) = (&state.spec.plan.waves[index], &state.waves[index]);
    let text = plan.approval.as_ref()?;
    let missing = plan.approvers.missing(&wave.approved);
    (missing > 0).then(|| WaitingOn::Approval {
        wave: plan.name.clone(),
        text: text.clone(),
        approved: wave.approved.iter().cloned().collect(),
        missing,
        may: who_may(state, &plan.approvers),
    })
}

/// The people who may, if they are named.
fn who_may(state: &State, approvers: &Approvers) -> Vec<String> {
    let may = |name: &&String| approvers.may(name, &state.spec.started_by);
    approvers.by.iter().filter(may).cloned().collect()
}

/// The rule of the policy about the stage that a site is in.
fn rule<'a>(state: &'a State, site: &SiteState) -> Option<&'a StageApproval> {
    let wave = &state.spec.plan.waves[site.wave].name;
    let mut rules = state.spec.policy.approvals.iter();
    rules.find(|rule| rule.concerns(&site.stage, wave))
}

fn given<'a>(site: &'a SiteState, rule: &StageApproval) -> Option<&'a BTreeSet<String>> {
    site.approved.get(&rule.stage)
}

/// The approval that a site waits for before it does what its stage wants.
pub fn of_stage(state: &State, site: &SiteState) -> Option<WaitingOn> {
    let rule = rule(state, site)?;
    let given = given(site, rule).cloned().unwrap_or_default();
    let missing = rule.approvers.missing(&given);
    (missing > 0).then(|| WaitingOn::StageApproval {
        stage: rule.stage.clone(),
        text: rule.text.clone(),
        approved: given.into_iter().collect(),
        missing,
        may: who_may(state, &rule.approvers),
    })
}

/// What somebody approves, or why that is not possible.
pub fn approve(state: &State, what: &Approval, request: &Request) -> Result<Vec<Fact>, String> {
    let (mut facts, mut refused) = (Vec::new(), None);
    let mut take = |approvers: Option<&Approvers>, given: Option<&BTreeSet<String>>, fact: Fact| {
        match approvers.map_or(Ok(()), |approvers| {
            may(state, approvers, given, &request.actor)
        }) {
            Ok(()) => facts.push(fact),
            Err(why) => refused = Some(why),
        }
    };
    let fact = |wave, site, stage| Fact::Approved {
        wave,
        site,
        actor: request.actor.clone(),
        reason: request.reason.clone(),
        stage,
    };
    for (index, plan) in state.spec.plan.waves.iter().enumerate() {
        let wave = &state.waves[index];
        let waits = wave.phase == WavePhase::Waiting && of_wave(state, index).is_some();
        let done = |before: &usize| state.waves[*before].phase == WavePhase::Done;
        // One whose turn has not come may be approved by its name.
        let meant = match what {
            Approval::All => plan.after.iter().all(done),
            Approval::Wave(name) => *name == plan.name,
            Approval::Site(_) => false,
        };
        if waits && meant {
            let name = Some(plan.name.clone());
            take(
                Some(&plan.approvers),
                Some(&wave.approved),
                fact(name, None, None),
            );
        }
    }
    for (name, site) in &state.sites {
        let meant = match what {
            Approval::All => true,
            Approval::Site(wanted) => wanted == name,
            Approval::Wave(_) => false,
        };
        if !meant || site.phase != SitePhase::Updating {
            continue;
        }
        if let Step::Person(_) = site.step {
            take(None, None, fact(None, Some(name.clone()), None));
        } else if let Some((rule, stage)) = stage_waits(state, name) {
            let given = given(site, rule);
            take(
                Some(&rule.approvers),
                given,
                fact(None, Some(name.clone()), Some(stage)),
            );
        }
    }
    if facts.is_empty() {
        let nothing = "nothing of that name waits for a person";
        Err(refused.unwrap_or_else(|| nothing.to_string()))
    } else {
        Ok(facts)
    }
}

fn stage_waits<'a>(state: &'a State, name: &SiteName) -> Option<(&'a StageApproval, String)> {
    let site = state.site(name);
    let waits = site.step == Step::Move && of_stage(state, site).is_some();
    let rule = rule(state, site).filter(|_| waits)?;
    Some((rule, rule.stage.clone()))
}

/// Whether somebody may approve, or why not, with who may.
fn may(
    state: &State,
    approvers: &Approvers,
    given: Option<&BTreeSet<String>>,
    actor: &str,
) -> Result<(), String> {
    let started_by = state.spec.started_by.as_str();
    if given.is_some_and(|given| given.contains(actor)) {
        return Err(format!("{actor} has approved already, and counts once"));
    }
    if approvers.may(actor, started_by) {
        return Ok(());
    }
    let starter = approvers.starter == Starter::DoesNotCount && actor == started_by;
    let who = if approvers.by.is_empty() {
        "anybody else".to_string()
    } else {
        who_may(state, approvers).join(", ")
    };
    Err(if starter {
        format!("{actor} started the rollout and does not count here; {who} may approve")
    } else {
        format!("{actor} may not approve this; {who} may")
    })
}
