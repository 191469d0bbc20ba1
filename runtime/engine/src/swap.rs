//! Swapping a plugin of a running rollout: which part of the policy another component takes, and
//! what has to be so before it may.

use crate::state::{RolloutPhase, State};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Serialize};
use wavegate_model::policy::{GateUse, PluginRef};
use wavegate_model::{Digest, GateName, Timestamp};

/// What a component does in a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// It decides.
    Strategy,
    /// It judges, under this name.
    Gate(GateName),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strategy => f.write_str("strategy"),
            Self::Gate(name) => write!(f, "gate {name}"),
        }
    }
}

/// Who can read the state that a plugin wrote: a plugin of the same name that declares the same
/// version of its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateTag {
    /// Name of the plugin, as it says itself.
    pub plugin: String,
    /// Version of the state that it writes.
    pub version: u32,
}

/// A component and how it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// As it was named.
    pub plugin: PluginRef,
    /// Which bytes; the store keeps them.
    pub digest: Digest,
    /// Version of the plugin, for people.
    pub version: String,
    /// Its state.
    pub writes: StateTag,
    /// Its configuration, as JSON.
    pub config: String,
}

/// A component that is to take a part from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// Which part.
    pub part: Part,
    /// By what.
    pub to: Component,
    /// Why the host that runs the rollout cannot use it. That host looks for itself: what was
    /// found when the request was made may not be so any more.
    #[serde(default)]
    pub obstacle: Option<String>,
}

/// What becomes of the state that the plugin before has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// The new one can read it.
    Kept,
    /// The new one begins with none.
    Dropped,
}

/// The last swap of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Which component took the part before.
    pub from: Digest,
    /// What takes it now.
    pub to: Component,
    /// What became of the state.
    pub memory: Memory,
    /// Who wanted it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What takes a part now: the digest of its component, its configuration, and who can read its
/// state if that is known. None if the policy has no such part.
pub fn present<'a>(
    state: &'a State,
    part: &Part,
) -> Option<(&'a Digest, &'a str, Option<&'a StateTag>)> {
    let (spec, pins) = (&state.spec, &state.spec.pins);
    match part {
        Part::Strategy => Some((
            &pins.strategy,
            &spec.policy.strategy.config,
            pins.strategy_state.as_ref(),
        )),
        Part::Gate(name) => {
            let gate = spec.policy.gates.iter().find(|gate| gate.name == *name)?;
            let state = pins.gate_states.get(name);
            Some((pins.gates.get(name)?, &gate.config, state))
        }
    }
}

/// What becomes of the state if this component takes the part.
pub fn memory(state: &State, part: &Part, to: &Component) -> Memory {
    match present(state, part) {
        Some((_, _, Some(writes))) if *writes == to.writes => Memory::Kept,
        Some(_) | None => Memory::Dropped,
    }
}

/// Why a component may not take a part now; none if it may.
pub fn refusal(state: &State, swap: &Swap) -> Option<String> {
    let Swap { part, to, obstacle } = swap;
    let Some((digest, config, _)) = present(state, part) else {
        return Some(alloc::format!("the policy has no {part}"));
    };
    if *digest == to.digest && config == to.config {
        let digest = digest.text();
        let what = digest.short();
        return Some(alloc::format!(
            "the {part} is component {what} with this configuration already"
        ));
    }
    if matches!(state.phase, RolloutPhase::Stopping { .. }) {
        return Some("the rollout goes back, and asks no plugin any more".to_string());
    }
    if let Part::Gate(name) = part
        && let Some(gate) = state.spec.policy.gates.iter().find(|g| g.name == *name)
        && let Some(why) = not_granted(state, gate, &to.digest)
    {
        return Some(why);
    }
    obstacle.clone()
}

/// A source that the gate's slots are bound to and that is not granted to the component. A gate
/// may ask every slot that is bound, also one that it does not declare.
fn not_granted(state: &State, gate: &GateUse, digest: &Digest) -> Option<String> {
    let spec = &state.spec;
    let source = spec
        .sources
        .iter()
        .filter(|source| gate.slots.values().any(|bound| *bound == source.name))
        .find(|source| {
            !source.plugins.allows(digest) || !source.policies.allows(&spec.policy.name)
        })?;
    Some(alloc::format!(
        "source `{}` is not granted to the component {digest}",
        source.name
    ))
}

/// The fact that a component takes a part.
pub(crate) fn fact(state: &State, swap: &Swap, actor: String, reason: String) -> crate::Fact {
    let from = present(state, &swap.part).map(|(digest, _, _)| digest.clone());
    crate::Fact::PluginSwapped {
        part: swap.part.clone(),
        from: from.unwrap_or_else(|| swap.to.digest.clone()),
        to: Box::new(swap.to.clone()),
        memory: memory(state, &swap.part, &swap.to),
        actor,
        reason,
    }
}
