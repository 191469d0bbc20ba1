//! Whether a fact can be about a rollout at all.
//!
//! Facts that are decided here always can. Those of a journal may be anything: written by a later
//! version, by hand, or changed together with their hashes. A fold looks before it applies, so
//! that such a journal is refused with words, and nothing goes on from half of it.

use crate::command::Change;
use crate::fact::{Fact, HoldReason, MemberOutcome, StopReason};
use crate::spec::Spec;
use crate::state::{GateKey, State};
use crate::swap::Part;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use wavegate_model::plugin::Subject;
use wavegate_model::{Cluster, ClusterName, GateName, Plan, SiteName, WaveName};

/// What a fact names that its rollout has not, or cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A site.
    #[error("it names the site `{0}`, which the plan does not have")]
    Site(SiteName),
    /// A cluster.
    #[error("it names the cluster `{0}`, which the plan does not have")]
    Cluster(ClusterName),
    /// A wave.
    #[error("it names the wave `{0}`, which the plan does not have")]
    Wave(WaveName),
    /// A gate.
    #[error("it names the gate `{0}`, which the policy does not have")]
    Gate(GateName),
    /// A plan that is none.
    #[error("its plan is none: {0}")]
    Plan(String),
    /// A second start.
    #[error("it starts the rollout again")]
    Again,
}

/// Whether the plan of a start is one.
pub(crate) fn start(spec: &Spec) -> Result<(), Misfit> {
    plan(&spec.plan, &spec.clusters, &[])
}

/// Whether the fact can be applied.
pub(crate) fn fits(state: &State, fact: &Fact) -> Result<(), Misfit> {
    let known = Names(state);
    match fact {
        Fact::Started { .. } => Err(Misfit::Again),
        Fact::Claimed { cluster, .. }
        | Fact::Observed { cluster, .. }
        | Fact::ClusterLost { cluster, .. }
        | Fact::ClusterReturned { cluster }
        | Fact::BaselineTaken { cluster, .. } => known.cluster(cluster),
        Fact::WaveStarted { wave }
        | Fact::WaveSoakStarted { wave }
        | Fact::WaveDone { wave }
        | Fact::WaveWindowClosed { wave, .. }
        | Fact::WaveWindowOpened { wave, .. } => known.wave(wave),
        Fact::SiteStarted { site, .. }
        | Fact::SiteSkipped { site, .. }
        | Fact::StrategyAsked { site, .. }
        | Fact::StrategyAnswered { site, .. }
        | Fact::StrategyUnavailable { site, .. }
        | Fact::StrategyCancelled { site, .. }
        | Fact::BatchSettled { site }
        | Fact::BatchPassed { site }
        | Fact::GoalReached { site }
        | Fact::GoalDropped { site }
        | Fact::WaitEnded { site }
        | Fact::SiteSoakStarted { site }
        | Fact::SiteDone { site }
        | Fact::SiteSoaked { site }
        | Fact::SiteFailed { site, .. }
        | Fact::SiteRollbackStarted { site }
        | Fact::SiteRolledBack { site }
        | Fact::SiteRollbackFailed { site, .. }
        | Fact::SiteRetried { site }
        | Fact::SkipAsked { site, .. }
        | Fact::DemandChanged { site, .. }
        | Fact::SiteReopened { site } => known.site(site),
        Fact::GateAsked { gate, .. }
        | Fact::GateAnswered { gate, .. }
        | Fact::GateUnavailable { gate, .. }
        | Fact::GateCancelled { gate, .. }
        | Fact::GateOverridden { gate, .. } => known.gate(gate),
        Fact::CommandIssued { effect } => {
            known.site(&effect.site)?;
            match &effect.change {
                Change::Nodes(nodes) => known.cluster(&nodes.cluster),
                Change::Traffic { epochs, split } => {
                    let shares = split.shares().iter().map(|share| &share.cluster);
                    epochs
                        .keys()
                        .chain(shares)
                        .try_for_each(|c| known.cluster(c))
                }
            }
        }
        Fact::Approved { wave, site, .. } => {
            wave.iter().try_for_each(|wave| known.wave(wave))?;
            site.iter().try_for_each(|site| known.site(site))
        }
        Fact::Promoted { site, .. } | Fact::RetryAsked { site, .. } => {
            site.iter().try_for_each(|site| known.site(site))
        }
        Fact::SiteGivenUp { site, clusters } => {
            known.site(site)?;
            clusters.iter().try_for_each(|c| known.cluster(c))
        }
        Fact::Held { reason } => match reason {
            HoldReason::Failure { site } => known.site(site),
            HoldReason::TimeLimit { site, wave, .. } => {
                wave.iter().try_for_each(|wave| known.wave(wave))?;
                site.iter().try_for_each(|site| known.site(site))
            }
            HoldReason::Removed { cluster } => known.cluster(cluster),
            HoldReason::Superseded { .. } => Ok(()),
        },
        Fact::Stopped { reason, sites } => {
            if let StopReason::Failure { site } = reason {
                known.site(site)?;
            }
            sites.iter().try_for_each(|site| known.site(site))
        }
        Fact::Undone { sites, .. } => sites.iter().try_for_each(|site| known.site(site)),
        Fact::PluginSwapped { part, .. } => match part {
            Part::Strategy => Ok(()),
            Part::Gate(gate) => known.gate_name(gate),
        },
        Fact::Replanned {
            plan: child,
            clusters,
            changes,
            ..
        } => {
            for change in changes {
                match &change.outcome {
                    MemberOutcome::LetGo { .. }
                    | MemberOutcome::Kept
                    | MemberOutcome::Returned
                    | MemberOutcome::Left => known.cluster(&change.cluster)?,
                    MemberOutcome::Added { .. } | MemberOutcome::LeftOut { .. } => {}
                }
            }
            if child.waves.len() < state.waves.len() {
                return Err(Misfit::Plan("a wave is gone".to_string()));
            }
            plan(child, &state.spec.clusters, clusters)
        }
        Fact::Resumed { .. }
        | Fact::AnswerDiscarded { .. }
        | Fact::CommandConfirmed { .. }
        | Fact::CommandRefused { .. }
        | Fact::CommandVoided { .. }
        | Fact::Paused { .. }
        | Fact::Continued { .. }
        | Fact::EndAsked { .. }
        | Fact::WindowClosed { .. }
        | Fact::WindowOpened { .. }
        | Fact::RequestRefused { .. }
        | Fact::InboxTaken { .. }
        | Fact::Finished { .. }
        | Fact::Queued { .. } => Ok(()),
    }
}

/// What a rollout has a name for.
struct Names<'a>(&'a State);

impl Names<'_> {
    fn site(&self, name: &SiteName) -> Result<(), Misfit> {
        let there = self.0.sites.get(name).is_some();
        there
            .then_some(())
            .ok_or_else(|| Misfit::Site(name.clone()))
    }

    fn cluster(&self, name: &ClusterName) -> Result<(), Misfit> {
        let there = self.0.clusters.get(name).is_some();
        there
            .then_some(())
            .ok_or_else(|| Misfit::Cluster(name.clone()))
    }

    fn wave(&self, name: &WaveName) -> Result<(), Misfit> {
        let there = self.0.wave_index(name).is_some();
        there
            .then_some(())
            .ok_or_else(|| Misfit::Wave(name.clone()))
    }

    fn gate_name(&self, name: &GateName) -> Result<(), Misfit> {
        let gates = &self.0.spec.policy.gates;
        let there = gates.iter().any(|gate| gate.name == *name);
        there
            .then_some(())
            .ok_or_else(|| Misfit::Gate(name.clone()))
    }

    fn gate(&self, key: &GateKey) -> Result<(), Misfit> {
        self.gate_name(&key.gate)?;
        match &key.subject {
            Subject::Site(site) => self.site(site),
            Subject::Wave(wave) => self.wave(wave),
        }
    }
}

/// Every wave, site and cluster is there once; a wave comes after earlier ones; and of every
/// cluster more than the name is known.
fn plan(plan: &Plan, known: &[Cluster], more: &[Cluster]) -> Result<(), Misfit> {
    let known: BTreeSet<&ClusterName> = known.iter().chain(more).map(|c| &c.name).collect();
    let (mut waves, mut sites, mut clusters) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let twice =
        |what: &str, name: &str| Misfit::Plan(alloc::format!("{what} `{name}` is there twice"));
    for (index, wave) in plan.waves.iter().enumerate() {
        if !waves.insert(&wave.name) {
            return Err(twice("the wave", wave.name.as_str()));
        }
        if wave.after.iter().any(|earlier| *earlier >= index) {
            let name = &wave.name;
            let why = alloc::format!("the wave `{name}` comes after one that is not before it");
            return Err(Misfit::Plan(why));
        }
        for site in &wave.sites {
            if !sites.insert(&site.name) {
                return Err(twice("the site", site.name.as_str()));
            }
            for cluster in &site.clusters {
                if !clusters.insert(&cluster.name) {
                    return Err(twice("the cluster", cluster.name.as_str()));
                }
                if !known.contains(&cluster.name) {
                    return Err(Misfit::Cluster(cluster.name.clone()));
                }
            }
        }
    }
    Ok(())
}
