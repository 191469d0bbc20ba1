//! People who approve what waits for them, after a while.

use wavegate_engine::explain::{self, Waiting};
use wavegate_engine::input::Approval;
use wavegate_engine::{Input, Request, State, Verb, WaitingOn};
use wavegate_model::Timestamp;

/// Who starts simulated rollouts.
pub(super) const STARTER: &str = "starter";

/// Whether the policy has people approve anything. Strategies may, besides.
pub(super) fn are_asked(state: &State) -> bool {
    let spec = &state.spec;
    !spec.policy.approvals.is_empty() || spec.plan.waves.iter().any(|w| w.approval.is_some())
}

/// The approvals that are missing, if anything waits for one.
pub(super) fn approvals(state: &State, now: Timestamp) -> Vec<Input> {
    let waiting = explain::explain(state, now);
    waiting.iter().flat_map(by_whom).map(approve).collect()
}

fn by_whom(waiting: &Waiting) -> Vec<String> {
    let (approved, missing, may) = match &waiting.on {
        WaitingOn::Person { .. } => return vec!["person-1".to_owned()],
        WaitingOn::Approval {
            approved,
            missing,
            may,
            ..
        }
        | WaitingOn::StageApproval {
            approved,
            missing,
            may,
            ..
        } => (approved, *missing, may),
        _ => return Vec::new(),
    };
    let missing = missing.max(1) as usize;
    let named = may.iter().cloned();
    let anybody = (1..=approved.len() + missing).map(|n| format!("person-{n}"));
    let all: Vec<String> = if may.is_empty() {
        anybody.collect()
    } else {
        named.collect()
    };
    let left = all.into_iter().filter(|name| !approved.contains(name));
    left.take(missing).collect()
}

fn approve(actor: String) -> Input {
    request(Verb::Approve(Approval::All), &actor, "simulated")
}

pub(super) fn request(verb: Verb, actor: &str, reason: &str) -> Input {
    Input::Request(Request {
        verb,
        actor: actor.to_owned(),
        reason: reason.to_owned(),
        inbox: None,
    })
}
