//! What a rollout is, fixed at its start.

use crate::swap::StateTag;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use wavegate_model::windows::Windows;
use wavegate_model::{
    Cluster, Digest, GateName, Plan, Policy, Release, RolloutId, ServiceName, SourceSpec, WaveName,
};

/// Policy, fleet and release as resolved when the rollout started, with the plugins by digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Id of the rollout.
    pub rollout: RolloutId,
    /// The service that is released.
    pub service: ServiceName,
    /// What is rolled out.
    pub release: Release,
    /// How.
    pub policy: Policy,
    /// Where, in which order.
    pub plan: Plan,
    /// All clusters of the plan.
    pub clusters: Vec<Cluster>,
    /// Where gates get their evidence; credentials are named, never held.
    pub sources: Vec<SourceSpec>,
    /// What the driver can do.
    pub capabilities: Capabilities,
    /// Which components decide and judge.
    pub pins: Pins,
    /// When nothing new may start.
    #[serde(default)]
    pub windows: Windows,
    /// Who started it; empty if nobody said.
    #[serde(default)]
    pub started_by: String,
    /// When nothing new may start in a wave, besides.
    #[serde(default)]
    pub wave_windows: BTreeMap<WaveName, Windows>,
    /// Where it was read, so that a change of the fleet can be seen.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// The documents that a rollout was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Files and folders, absolute.
    pub files: Vec<String>,
    /// Name of the rollout's document.
    pub rollout: String,
}

/// What the driver of a rollout can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Split a site's traffic.
    pub splits_traffic: bool,
    /// Run more nodes than desired for a while.
    pub surges: bool,
}

/// The plugins of a rollout by digest. A resume loads these bytes and no others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// The strategy.
    pub strategy: Digest,
    /// The strategy's name as it says itself, for people.
    pub strategy_name: String,
    /// The gates, by their names in the policy.
    pub gates: BTreeMap<GateName, Digest>,
    /// Who can read the strategy's state; old journals do not say, and then nobody can.
    #[serde(default)]
    pub strategy_state: Option<StateTag>,
    /// Who can read the states of the gates.
    #[serde(default)]
    pub gate_states: BTreeMap<GateName, StateTag>,
}
