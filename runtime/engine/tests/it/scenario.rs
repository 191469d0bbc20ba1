//! What a modelled rollout is made of.

use crate::minds::{GateMind, Strategy};
use std::collections::{BTreeMap, BTreeSet};
use wavegate_engine::swap::{Component, Part, StateTag, Swap};
use wavegate_engine::{Capabilities, Pins, Spec};
use wavegate_model::limits::CallLimits;
use wavegate_model::plan::{PlannedCluster, PlannedSite, PlannedWave};
use wavegate_model::policy::{
    Batch, EndState, Failure, GateUse, Membership, OnUnreachable, PluginRef, Policy, Rollback,
    StrategyUse, TimeLimits, WhenBusy,
};
use wavegate_model::release::Reversal;
use wavegate_model::windows::{Closed, WindowRules, Windows};
use wavegate_model::{
    Amount, Approvers, Cluster, ClusterName, Digest, DurationMs, GateName, Generation, Permille,
    Plan, PolicyName, Release, RolloutId, ServiceName, StageApproval, Timestamp, WaveName,
};

/// Where virtual time begins: far from zero, so that a forgotten zero shows.
pub(crate) const START: u64 = 1_000_000_000;

#[derive(Clone, Debug)]
pub(crate) struct ClusterDef {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) nodes: u32,
    /// Its share of the site's traffic at the start.
    pub(crate) share: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct SiteDef {
    pub(crate) name: String,
    pub(crate) clusters: Vec<ClusterDef>,
}

#[derive(Clone, Debug)]
pub(crate) struct WaveDef {
    pub(crate) name: String,
    pub(crate) sites: Vec<SiteDef>,
    pub(crate) parallel: u32,
    pub(crate) site_soak: DurationMs,
    pub(crate) soak: DurationMs,
    pub(crate) approval: Option<String>,
    pub(crate) approvers: Approvers,
    /// Gates that are asked in it; all of them if it does not say.
    pub(crate) gates: Option<Vec<GateName>>,
    pub(crate) after: Vec<usize>,
}

/// How badly the world behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mess {
    /// Answers and observations come up to so much later, in any order.
    pub(crate) delay_ms: u64,
    /// Commands that run twice, and answers that come twice, of a hundred.
    pub(crate) twice: u64,
    /// Commands that fail, of a hundred.
    pub(crate) fails: u64,
    /// Steps that cannot be made durable, of a thousand; the host begins anew then.
    pub(crate) lost_commits: u64,
    /// Running nodes that die, per poll, of ten thousand.
    pub(crate) deaths: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) waves: Vec<WaveDef>,
    pub(crate) batch: Batch,
    pub(crate) limits: TimeLimits,
    pub(crate) failure: Failure,
    pub(crate) membership: Membership,
    pub(crate) when_busy: WhenBusy,
    pub(crate) gates: Vec<GateUse>,
    pub(crate) approvals: Vec<StageApproval>,
    pub(crate) splits: bool,
    pub(crate) surges: bool,
    pub(crate) reversal: Reversal,
    pub(crate) strategy: Strategy,
    pub(crate) minds: BTreeMap<GateName, GateMind>,
    /// Time from a node's start until it serves, on the new release and on the baseline.
    pub(crate) start_ms: (u64, u64),
    /// Clusters in which new nodes never serve.
    pub(crate) bad_new: BTreeSet<ClusterName>,
    /// Clusters in which baseline nodes never serve again.
    pub(crate) bad_old: BTreeSet<ClusterName>,
    /// Whether clusters keep the stamp of the last command.
    pub(crate) stamps: bool,
    /// Times in which nothing new may start, since the start.
    pub(crate) closed: Vec<(DurationMs, Option<DurationMs>)>,
    /// Idle nodes of an older release, by cluster.
    pub(crate) remainder: BTreeMap<ClusterName, u32>,
    /// Clusters without a node, whose driver knows what they ran last.
    pub(crate) scaled_to_zero: BTreeSet<ClusterName>,
    /// They run the release before anything is done.
    pub(crate) updated: BTreeSet<ClusterName>,
    /// The same for single waves.
    pub(crate) wave_closed: Vec<(String, DurationMs, Option<DurationMs>)>,
    pub(crate) mess: Mess,
}

pub(crate) fn digest(n: u8) -> Digest {
    Digest::from_sha256(&[n; 32])
}

/// A plugin of the stories that writes this version of its state.
pub(crate) fn tag(version: u32) -> StateTag {
    StateTag {
        plugin: "story".to_string(),
        version,
    }
}

/// The new release.
pub(crate) fn new_release() -> Digest {
    digest(2)
}

pub(crate) fn release(n: u8, reversal: Reversal) -> Release {
    Release {
        version: format!("{n}.0"),
        digest: digest(n),
        artifacts: BTreeMap::new(),
        reversal,
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            waves: Vec::new(),
            batch: Batch {
                size: Amount::Count(1),
                max_unavailable: Amount::Count(1),
                max_surge: Amount::Count(0),
            },
            limits: TimeLimits::default(),
            failure: Failure {
                tolerate: Amount::Count(0),
                tolerate_per_wave: Amount::Count(0),
                then: EndState::RollBackTouched,
                rollback: Rollback {
                    batch: Amount::Count(2),
                    max_unavailable: Amount::Count(1),
                    max_parallel_sites: 2,
                    progress: DurationMs::secs(60),
                },
            },
            membership: Membership {
                unreachable_after: DurationMs::secs(10),
                unreachable: OnUnreachable::Wait,
                added: Default::default(),
                removed: Default::default(),
            },
            when_busy: WhenBusy::Refuse,
            gates: Vec::new(),
            approvals: Vec::new(),
            splits: true,
            surges: false,
            reversal: Reversal::Possible,
            strategy: Strategy::OneAtATime,
            minds: BTreeMap::new(),
            start_ms: (3000, 2000),
            bad_new: BTreeSet::new(),
            bad_old: BTreeSet::new(),
            stamps: true,
            closed: Vec::new(),
            wave_closed: Vec::new(),
            remainder: BTreeMap::new(),
            scaled_to_zero: BTreeSet::new(),
            updated: BTreeSet::new(),
            mess: Mess::default(),
        }
    }
}

impl Scenario {
    pub(crate) fn clusters(&self) -> impl Iterator<Item = &ClusterDef> {
        let sites = self.waves.iter().flat_map(|wave| &wave.sites);
        sites.flat_map(|site| &site.clusters)
    }

    pub(crate) fn spec(&self) -> Spec {
        Spec {
            rollout: RolloutId::new("story"),
            service: ServiceName::new("web"),
            started_by: "ann".to_string(),
            release: release(2, self.reversal),
            policy: Policy {
                name: PolicyName::new("story"),
                waves: Vec::new(),
                site_by: None,
                role_by: None,
                exclude: None,
                batch: self.batch,
                time_limits: self.limits,
                failure: self.failure,
                membership: self.membership,
                when_busy: self.when_busy,
                windows: WindowRules::default(),
                strategy: StrategyUse {
                    plugin: PluginRef::Shipped("story".to_string()),
                    config: "{}".to_string(),
                    limits: CallLimits::SMALL,
                    class: None,
                },
                gates: self.gates.clone(),
                approvals: self.approvals.clone(),
            },
            plan: Plan {
                generation: Generation(1),
                parent: None,
                waves: self.waves.iter().map(planned).collect(),
                excluded: Vec::new(),
            },
            clusters: self.clusters().map(cluster).collect(),
            sources: Vec::new(),
            capabilities: Capabilities {
                splits_traffic: self.splits,
                surges: self.surges,
            },
            windows: Windows {
                closed: self.closed.iter().map(closed).collect(),
            },
            wave_windows: self.wave_windows(),
            origin: None,
            pins: Pins {
                strategy: digest(100),
                strategy_name: "story".to_string(),
                gates: self
                    .gates
                    .iter()
                    .map(|gate| (gate.name.clone(), digest(101)))
                    .collect(),
                strategy_state: Some(tag(1)),
                gate_states: self
                    .gates
                    .iter()
                    .map(|gate| (gate.name.clone(), tag(1)))
                    .collect(),
            },
        }
    }
}

/// Component number `n` for a part.
pub(crate) fn swap(part: Part, n: u8, version: u32) -> Swap {
    Swap {
        part,
        to: Component {
            plugin: PluginRef::File(format!("{n}.wasm")),
            digest: digest(n),
            version: "1.1".to_string(),
            writes: tag(version),
            config: "{}".to_string(),
        },
        obstacle: None,
    }
}

impl Scenario {
    fn wave_windows(&self) -> BTreeMap<WaveName, Windows> {
        let mut all: BTreeMap<WaveName, Windows> = BTreeMap::new();
        for (wave, from, to) in &self.wave_closed {
            let own = all.entry(wave.as_str().into()).or_default();
            own.closed.push(closed(&(*from, *to)));
        }
        all
    }
}

pub(crate) fn cluster(def: &ClusterDef) -> Cluster {
    Cluster {
        name: def.name.as_str().into(),
        labels: BTreeMap::new(),
        nodes: def.nodes,
        driver: "sim".to_string(),
        connection: "{}".to_string(),
    }
}

fn closed((from, to): &(DurationMs, Option<DurationMs>)) -> Closed {
    let at = |since: DurationMs| Timestamp(START).plus(since);
    Closed {
        from: at(*from),
        to: to.map(at),
        why: "it is outside of its windows".to_string(),
    }
}

fn planned(wave: &WaveDef) -> PlannedWave {
    let site = |site: &SiteDef| {
        let mut clusters: Vec<PlannedCluster> = site
            .clusters
            .iter()
            .map(|def| PlannedCluster {
                name: def.name.as_str().into(),
                role: def.role.clone(),
            })
            .collect();
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        PlannedSite {
            name: site.name.as_str().into(),
            clusters,
        }
    };
    PlannedWave {
        name: wave.name.as_str().into(),
        after: wave.after.clone(),
        sites: wave.sites.iter().map(site).collect(),
        max_parallel_sites: wave.parallel,
        site_soak: wave.site_soak,
        soak: wave.soak,
        approval: wave.approval.clone(),
        approvers: wave.approvers.clone(),
        gates: wave.gates.clone(),
        origin: Default::default(),
    }
}

/// A site of one cluster that has all of its traffic.
pub(crate) fn single(name: &str, nodes: u32) -> SiteDef {
    SiteDef {
        name: name.to_string(),
        clusters: vec![ClusterDef {
            name: name.to_string(),
            role: String::new(),
            nodes,
            share: Permille::ALL.0,
        }],
    }
}
