//! The nouns of Wavegate: ids, units, documents as resolved, observations, answers of plugins.
//!
//! **Owns:** the vocabulary that every other crate speaks, and the checks that belong to a
//! single value (a share is at most 1000, a digest has 64 hex digits).
//!
//! **Does not own:** any decision (that is `engine`), any text format (that is `documents`),
//! any input or output. `no_std`, so that it cannot reach a clock, a file or the network.
//!
//! **Start at** [`policy::Policy`], [`plan::Plan`] and [`observation::ClusterObservation`].
#![no_std]
#![cfg_attr(not(test), warn(clippy::std_instead_of_alloc))]

extern crate alloc;

pub mod amount;
pub mod approval;
pub mod by_release;
pub mod evidence;
pub mod fleet;
pub mod goal;
pub mod ids;
pub mod limits;
pub mod observation;
pub mod plan;
pub mod plugin;
pub mod policy;
pub mod release;
pub mod simulation;
pub mod source;
pub mod table;
pub mod time;
pub mod unavailable;
pub mod windows;

pub use amount::{Amount, Permille};
pub use approval::{Approvers, StageApproval};
pub use by_release::ByRelease;
pub use evidence::{Evidence, Query};
pub use fleet::{Cluster, Labels, Selector};
pub use goal::{ClusterGoal, Goal, Share, Split};
pub use ids::{
    ClusterName, CommandId, ConsultationId, Digest, DigestText, Epoch, GateName, Generation,
    PolicyName, RolloutId, ServiceName, SiteName, SlotName, SourceName, WaveName,
};
pub use observation::{ClusterObservation, NodeCounts, Seen};
pub use plan::{FleetView, Member, Plan, PlannedSite, PlannedWave};
pub use policy::Policy;
pub use release::Release;
pub use simulation::Simulation;
pub use source::SourceSpec;
pub use table::Table;
pub use time::{DurationMs, Timestamp};
pub use unavailable::Unavailable;
