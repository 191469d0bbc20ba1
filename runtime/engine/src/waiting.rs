//! Why something is not moving, with operands. Rendered to text here and nowhere else.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};
use wavegate_model::plugin::{Phase, Verdict};
use wavegate_model::{
    ClusterName, CommandId, ConsultationId, DurationMs, GateName, RolloutId, Split, Unavailable,
    WaveName,
};

/// What a site, a wave or the rollout waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the fields are the operands that the variant's line names"
)]
pub enum WaitingOn {
    /// Clusters that this host has not become the owner of.
    Claim { clusters: Vec<ClusterName> },
    /// Clusters that have not been seen since the last change.
    Observation { clusters: Vec<ClusterName> },
    /// A cluster that does not answer.
    Unreachable {
        cluster: ClusterName,
        detail: String,
    },
    /// A cluster that ran several releases when the rollout started.
    AmbiguousBaseline { cluster: ClusterName, releases: u32 },
    /// Nodes on a release that is neither the new one nor the baseline.
    OtherRelease { cluster: ClusterName, nodes: u32 },
    /// Traffic that is neither as confirmed nor as intended.
    Drift { seen: Split, confirmed: Split },
    /// Clusters that together show more than all traffic of their site: they were seen at
    /// different moments of a change that is not ours.
    TornSplit { seen: Split },
    /// A command that is being carried out.
    Command { command: CommandId },
    /// A command that failed; it is decided again.
    CommandRetry { failures: u32, detail: String },
    /// Nodes that do not serve yet.
    Settling {
        cluster: ClusterName,
        ready: u32,
        wanted: u32,
        left: Option<DurationMs>,
    },
    /// Nodes that are down already.
    Unavailability {
        cluster: ClusterName,
        down: u32,
        limit: u32,
    },
    /// Ready nodes for the traffic of the goal.
    Capacity { split: Split },
    /// An answer of the strategy.
    Strategy { consultation: ConsultationId },
    /// The strategy, which is unavailable.
    StrategyUnavailable { why: Unavailable, failures: u32 },
    /// A gate to pass.
    Gate {
        gate: GateName,
        phase: Phase,
        last: Option<Verdict>,
        reason: String,
    },
    /// A gate that is unavailable.
    GateUnavailable {
        gate: GateName,
        phase: Phase,
        why: Unavailable,
        failures: u32,
    },
    /// A gate to pass as often in a row as the policy wants.
    GatePasses {
        gate: GateName,
        phase: Phase,
        passes: u32,
        wanted: u32,
    },
    /// A new verdict of a gate, whose last pass is too old to count.
    GateStale {
        gate: GateName,
        phase: Phase,
        age: DurationMs,
        limit: DurationMs,
    },
    /// Time that the strategy asked for.
    Time { left: DurationMs },
    /// A person, for a stage of a site.
    Person { text: String },
    /// Healthy time.
    Soak {
        covered: DurationMs,
        wanted: DurationMs,
    },
    /// A wave that comes before.
    Wave { wave: WaveName },
    /// A person, for a wave.
    Approval {
        wave: WaveName,
        text: String,
        /// Who has approved.
        #[serde(default)]
        approved: Vec<String>,
        /// How many more people have to.
        #[serde(default)]
        missing: u32,
        /// Who may; anybody if empty.
        #[serde(default)]
        may: Vec<String>,
    },
    /// Sites that are in flight.
    Places { in_flight: u32, limit: u32 },
    /// Sites of the wave.
    Sites { finished: u32, total: u32 },
    /// Somebody paused.
    Paused,
    /// The policy's windows to open; none of them does if no time is left to say.
    Window {
        why: String,
        left: Option<DurationMs>,
    },
    /// A person: the rollout is held.
    Held { why: String },
    /// The site failed and stays where it is.
    Failed,
    /// More sites failed than the policy tolerates: no new one starts.
    Budget,
    /// Other sites go back first.
    RollbackPlaces { in_flight: u32, limit: u32 },
    /// Touched clusters that do not answer, at the end.
    Closing { clusters: Vec<ClusterName> },
    /// A person, before a site does what a stage wants.
    StageApproval {
        stage: String,
        text: String,
        approved: Vec<String>,
        missing: u32,
        may: Vec<String>,
    },
    /// Unfinished rollouts that have clusters of its plan.
    Rollouts {
        behind: BTreeMap<RolloutId, Vec<ClusterName>>,
    },
}

impl WaitingOn {
    /// Whether nothing but a person can end the wait.
    pub fn needs_person(&self) -> bool {
        matches!(
            self,
            Self::Person { .. }
                | Self::Approval { .. }
                | Self::StageApproval { .. }
                | Self::Paused
                | Self::Held { .. }
                | Self::Failed
                | Self::Budget
                | Self::Closing { .. }
        ) || matches!(
            self,
            Self::Drift { .. }
                | Self::TornSplit { .. }
                | Self::OtherRelease { .. }
                | Self::AmbiguousBaseline { .. }
                | Self::Window { left: None, .. }
        )
    }
}

fn names<T: ToString>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().take(5).map(ToString::to_string).collect();
    let mut text = shown.join(", ");
    if items.len() > 5 {
        text.push_str(&alloc::format!(" and {} more", items.len() - 5));
    }
    text
}

fn people(missing: u32) -> String {
    match missing {
        0 | 1 => "a person".to_string(),
        more => alloc::format!("{more} people"),
    }
}

/// Who has approved, and who may: ` (ann has; bob, cat may)`.
fn who(approved: &[String], may: &[String]) -> String {
    let left: Vec<&String> = may.iter().filter(|name| !approved.contains(name)).collect();
    match (approved, left.as_slice()) {
        ([], []) => String::new(),
        (has, []) => alloc::format!(" ({} approved)", names(has)),
        ([], may) => alloc::format!(" ({} may)", names(may)),
        (has, may) => alloc::format!(" ({} approved; {} may)", names(has), names(may)),
    }
}

/// A split for people: `eu-1 3f2a9c10b7de 25%, …`.
pub fn split_text(split: &Split) -> String {
    let share = |s: &wavegate_model::Share| {
        alloc::format!("{} {} {}", s.cluster, s.release.text().short(), s.share)
    };
    let shares: Vec<String> = split.shares().iter().map(share).collect();
    if shares.is_empty() {
        "none".to_string()
    } else {
        shares.join(", ")
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim { clusters } => write!(f, "ownership of {}", names(clusters)),
            Self::Observation { clusters } => write!(f, "a fresh look at {}", names(clusters)),
            Self::Unreachable { cluster, detail } => {
                write!(f, "cluster {cluster}, which does not answer: {detail}")
            }
            Self::AmbiguousBaseline { cluster, releases } => {
                write!(
                    f,
                    "a person: cluster {cluster} ran {releases} releases when the rollout started, so it has no baseline"
                )
            }
            Self::OtherRelease { cluster, nodes } => {
                write!(
                    f,
                    "a person: {nodes} nodes of cluster {cluster} run a release that is neither the new one nor the baseline"
                )
            }
            Self::Drift { seen, confirmed } => {
                write!(
                    f,
                    "a person: traffic is split {}, but was set to {}",
                    split_text(seen),
                    split_text(confirmed)
                )
            }
            Self::TornSplit { seen } => {
                write!(
                    f,
                    "a person, unless the next look shows traffic that sums to 100%: now it is {}",
                    split_text(seen)
                )
            }
            Self::Command { command } => write!(f, "command {command} to be carried out"),
            Self::CommandRetry { failures, detail } => write!(
                f,
                "another try of a command that failed {failures} times: {detail}"
            ),
            Self::Settling {
                cluster,
                ready,
                wanted,
                left,
            } => {
                write!(
                    f,
                    "nodes of cluster {cluster} to serve: {ready} of {wanted} ready"
                )?;
                left.map_or(Ok(()), |left| write!(f, ", {left} left"))
            }
            Self::Unavailability {
                cluster,
                down,
                limit,
            } => {
                write!(
                    f,
                    "cluster {cluster}: {down} nodes are down, and {limit} may be"
                )
            }
            Self::Capacity { split } => write!(
                f,
                "ready nodes for the traffic of the goal; possible now: {}",
                split_text(split)
            ),
            Self::Strategy { consultation } => {
                write!(f, "the strategy's answer to question {consultation}")
            }
            // Withdrawn, which is nobody's failure.
            Self::StrategyUnavailable { why, failures: 0 } => {
                write!(f, "the strategy, which is asked again: {why}")
            }
            Self::StrategyUnavailable { why, failures } => write!(
                f,
                "the strategy, unavailable {failures} times in a row: {why}"
            ),
            Self::Gate {
                gate,
                phase,
                last: None,
                ..
            } => write!(f, "the first verdict of gate {gate} ({})", phase.as_str()),
            Self::Gate {
                gate,
                phase,
                last: Some(verdict),
                reason,
            } => {
                write!(
                    f,
                    "gate {gate} ({}) to pass; its last verdict is {verdict:?}: {reason}",
                    phase.as_str()
                )
            }
            Self::GateUnavailable {
                gate,
                phase,
                why,
                failures,
            } => {
                write!(
                    f,
                    "gate {gate} ({}), unavailable {failures} times in a row: {why}",
                    phase.as_str()
                )
            }
            Self::GatePasses {
                gate,
                phase,
                passes,
                wanted,
            } => write!(
                f,
                "gate {gate} ({}) to pass again: {passes} of {wanted} passes in a row",
                phase.as_str()
            ),
            Self::GateStale {
                gate,
                phase,
                age,
                limit,
            } => write!(
                f,
                "a new verdict of gate {gate} ({}): its pass is {age} old and counts for {limit}",
                phase.as_str()
            ),
            Self::Time { left } => write!(f, "time that the strategy asked for, {left} left"),
            Self::Person { text } => write!(f, "a person to approve: {text}"),
            Self::Soak { covered, wanted } => {
                write!(f, "soak: {covered} of {wanted} covered by passing evidence")
            }
            Self::Wave { wave } => write!(f, "wave {wave} to be done and soaked"),
            Self::Approval {
                wave,
                text,
                approved,
                missing,
                may,
            } => {
                write!(f, "{} to approve wave {wave}: {text}", people(*missing))?;
                f.write_str(&who(approved, may))
            }
            Self::StageApproval {
                stage,
                text,
                approved,
                missing,
                may,
            } => {
                write!(f, "{} to approve stage {stage}: {text}", people(*missing))?;
                f.write_str(&who(approved, may))
            }
            Self::Places { in_flight, limit } => write!(
                f,
                "a free place: {in_flight} of {limit} sites are in flight"
            ),
            Self::Sites { finished, total } => {
                write!(f, "its sites: {finished} of {total} are finished")
            }
            Self::Paused => f.write_str("a person to continue: the rollout is paused"),
            Self::Window {
                why,
                left: Some(left),
            } => write!(f, "its window, which opens in {left}: {why}"),
            Self::Window { why, left: None } => {
                write!(f, "a person: no window opens any more: {why}")
            }
            Self::Held { why } => write!(f, "a person: the rollout is held, because {why}"),
            Self::Failed => f.write_str("a person: the site failed and stays as it is"),
            Self::Budget => f.write_str(
                "a person: more sites failed than the policy tolerates, so no new one starts",
            ),
            Self::RollbackPlaces { in_flight, limit } => write!(
                f,
                "a free place: {in_flight} of {limit} sites are going back"
            ),
            Self::Closing { clusters } => write!(
                f,
                "touched clusters that do not answer: {}; close the rollout to end it",
                names(clusters)
            ),
            Self::Rollouts { behind } => {
                if behind.is_empty() {
                    return f.write_str("a look at who is at work in its clusters");
                }
                f.write_str("its place in the queue:")?;
                for (index, (rollout, clusters)) in behind.iter().enumerate() {
                    let and = if index == 0 { "" } else { ";" };
                    write!(
                        f,
                        "{and} rollout {rollout} is unfinished in {}",
                        names(clusters)
                    )?;
                }
                Ok(())
            }
        }
    }
}
