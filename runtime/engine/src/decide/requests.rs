//! What people ask for: each request has a precondition, and is refused or taken.

use super::verbs;
use crate::fact::{End, Fact, Withdrawn};
use crate::input::{Request, Verb};
use crate::state::{Asked, RolloutPhase, State};
use crate::{approvals, failure, replan, swap};
use alloc::string::{String, ToString};
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
    let taken = |decided: Result<Vec<Fact>, String>| {
        decided.unwrap_or_else(|why| refuse(verb_name(&request.verb), &why))
    };
    if let Some(end) = state.end() {
        if request.verb == Verb::Undo {
            facts.extend(taken(verbs::undo(state, now, end, request)));
            return facts;
        }
        facts.extend(refuse(
            verb_name(&request.verb),
            &alloc::format!("the rollout has ended: {end:?}"),
        ));
        return facts;
    }
    facts.extend(match &request.verb {
        Verb::Start(_) => refuse("start", "the rollout has started already"),
        Verb::Resume => resumed(state, now),
        Verb::Pause if state.clock.paused => refuse("pause", "the rollout is paused already"),
        Verb::Pause => alloc::vec![Fact::Paused { actor, reason }],
        Verb::Continue if state.clock.paused || state.held.is_some() => {
            alloc::vec![Fact::Continued { actor, reason }]
        }
        Verb::Continue => refuse("continue", "the rollout is neither paused nor held"),
        Verb::Approve(what) => taken(approvals::approve(state, what, request)),
        Verb::Abort => ended(request, End::Aborted),
        Verb::Rollback
            if state.spec.release.reversal == wavegate_model::release::Reversal::Irreversible =>
        {
            refuse("rollback", "the release says that it cannot be rolled back")
        }
        Verb::Rollback if goes_back_already(state) => refuse("rollback", "it goes back already"),
        Verb::Rollback => alloc::vec![failure::requested(state, &actor, &reason)],
        Verb::Swap(swap) => match swap::refusal(state, swap) {
            Some(why) => refuse("swap", &why),
            None => alloc::vec![swap::fact(state, swap, actor, reason)],
        },
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
        Verb::Promote(site) => taken(verbs::promote(state, site.as_ref(), request)),
        Verb::Retry(site) => taken(verbs::retry(state, now, site.as_ref(), request)),
        Verb::Skip(site) => taken(verbs::skip(state, site, request)),
        Verb::OverrideGate { gate, subject } => {
            taken(verbs::override_gate(state, gate, subject.as_ref(), request))
        }
        Verb::Undo => refuse(
            "undo",
            "the rollout has not ended; `rollback` takes back what it has done so far",
        ),
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

/// Another host begins: the questions of the one before will not be answered.
fn resumed(state: &State, now: Timestamp) -> Vec<Fact> {
    let why = Withdrawn::HostStopped;
    let withdrawn = state.consultations.iter().map(|(id, asked)| match asked {
        Asked::Strategy(site) => Fact::StrategyCancelled {
            consultation: *id,
            site: site.clone(),
            why,
        },
        Asked::Gate(gate, _) => Fact::GateCancelled {
            consultation: *id,
            gate: gate.clone(),
            why,
        },
    });
    let down = now.since(state.clock.last);
    withdrawn.chain([Fact::Resumed { down }]).collect()
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
        Verb::Promote(_) => "promote",
        Verb::Retry(_) => "retry",
        Verb::Skip(_) => "skip",
        Verb::OverrideGate { .. } => "override-gate",
        Verb::Undo => "undo",
        Verb::Swap(_) => "swap",
        Verb::Replan(_) => "replan",
        Verb::Supersede { .. } => "supersede",
    }
}
