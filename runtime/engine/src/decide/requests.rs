//! What people ask for: each request has a precondition, and is refused or taken.

use crate::fact::{End, Fact};
use crate::input::{Approval, Request, Verb};
use crate::state::{self, RolloutPhase, SitePhase, State, WavePhase};
use crate::{failure, replan};
use alloc::string::ToString;
use alloc::vec::Vec;
use wavegate_model::Timestamp;

pub(super) fn requested(state: &State, now: Timestamp, request: &Request) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(id) = request.inbox {
        if id <= state.inbox {
            return facts;
        }
        facts.push(Fact::InboxTaken { id });
    }
    let (actor, reason) = (request.actor.clone(), request.reason.clone());
    let refuse = |verb: &str, why: &str| {
        alloc::vec![Fact::RequestRefused {
            verb: verb.to_string(),
            actor: actor.clone(),
            why: why.to_string()
        }]
    };
    if let Some(end) = state.end() {
        facts.extend(refuse(
            verb_name(&request.verb),
            &alloc::format!("the rollout has ended: {end:?}"),
        ));
        return facts;
    }
    facts.extend(match &request.verb {
        Verb::Start(_) => refuse("start", "the rollout has started already"),
        Verb::Resume => alloc::vec![Fact::Resumed {
            down: now.since(state.clock.last)
        }],
        Verb::Pause if state.clock.paused => refuse("pause", "the rollout is paused already"),
        Verb::Pause => alloc::vec![Fact::Paused { actor, reason }],
        Verb::Continue if state.clock.paused || state.held.is_some() => {
            alloc::vec![Fact::Continued { actor, reason }]
        }
        Verb::Continue => refuse("continue", "the rollout is neither paused nor held"),
        Verb::Approve(what) => {
            let approved = approvals(state, what, &actor, &reason);
            if approved.is_empty() {
                refuse("approve", "nothing of that name waits for a person")
            } else {
                approved
            }
        }
        Verb::Abort => ended(request, End::Aborted),
        Verb::Rollback
            if state.spec.release.reversal == wavegate_model::release::Reversal::Irreversible =>
        {
            refuse("rollback", "the release says that it cannot be rolled back")
        }
        Verb::Rollback if goes_back_already(state) => refuse("rollback", "it goes back already"),
        Verb::Rollback => alloc::vec![failure::requested(state, &actor, &reason)],
        Verb::Close => {
            let lost = state
                .clusters
                .values()
                .any(|cluster| cluster.touched && cluster.lost.is_some() && !cluster.left);
            if lost {
                ended(request, End::Incomplete)
            } else {
                refuse("close", "no touched cluster is unreachable")
            }
        }
        Verb::Replan(view) => {
            let replanned = replan::requested(state, request, view);
            if replanned.is_empty() {
                refuse("replan", "the fleet is as the plan has it")
            } else {
                replanned
            }
        }
        Verb::Supersede { by } => match failure::superseded(state, by, &actor, &reason) {
            Ok(fact) => alloc::vec![fact],
            Err(why) => refuse("supersede", why),
        },
    });
    facts
}

/// An end that somebody asked for, and who.
pub(super) fn ended(request: &Request, end: End) -> Vec<Fact> {
    alloc::vec![
        Fact::EndAsked {
            verb: verb_name(&request.verb).to_string(),
            actor: request.actor.clone(),
            reason: request.reason.clone(),
        },
        Fact::Finished { end },
    ]
}

/// Whether everything that was touched is on its way back. A failure may have sent back less.
pub(super) fn goes_back_already(state: &State) -> bool {
    let RolloutPhase::Stopping { sites, .. } = &state.phase else {
        return false;
    };
    state.touched().all(|(name, _)| sites.contains(name))
}

pub(super) fn verb_name(verb: &Verb) -> &'static str {
    match verb {
        Verb::Start(_) => "start",
        Verb::Resume => "resume",
        Verb::Pause => "pause",
        Verb::Continue => "continue",
        Verb::Approve(_) => "approve",
        Verb::Abort => "abort",
        Verb::Rollback => "rollback",
        Verb::Close => "close",
        Verb::Replan(_) => "replan",
        Verb::Supersede { .. } => "supersede",
    }
}

pub(super) fn approvals(state: &State, what: &Approval, actor: &str, reason: &str) -> Vec<Fact> {
    let fact = |wave, site| Fact::Approved {
        wave,
        site,
        actor: actor.to_string(),
        reason: reason.to_string(),
    };
    let waves = state
        .spec
        .plan
        .waves
        .iter()
        .zip(&state.waves)
        .filter(|(plan, wave)| {
            let waits =
                plan.approval.is_some() && !wave.approved && wave.phase == WavePhase::Waiting;
            waits
                && (matches!(what, Approval::All)
                    || matches!(what, Approval::Wave(name) if *name == plan.name))
        });
    let sites = state.sites.iter().filter(|(name, site)| {
        let waits =
            site.phase == SitePhase::Updating && matches!(site.step, state::Step::Person(_));
        waits
            && (matches!(what, Approval::All)
                || matches!(what, Approval::Site(wanted) if wanted == *name))
    });
    let waves = waves.map(|(plan, _)| fact(Some(plan.name.clone()), None));
    waves
        .chain(sites.map(|(name, _)| fact(None, Some(name.clone()))))
        .collect()
}
