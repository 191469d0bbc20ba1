//! A fleet that changes while its rollout runs: the child plan, and what becomes of each cluster
//! that came or went.
//!
//! Sites that have begun are never changed by an arrival, and no wave that soaks or is done gets
//! new sites. So what was judged stays judged.

use crate::fact::{Fact, FailReason, HoldReason, MemberChange, MemberOutcome};
use crate::failure;
use crate::input::Request;
use crate::moving::Known;
use crate::state::{RolloutPhase, SitePhase, State, WavePhase};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use wavegate_model::limits::CLUSTERS_PER_SITE_MAX;
use wavegate_model::plan::{FleetView, Member, PlannedCluster, WaveOrigin};
use wavegate_model::policy::{OnAdded, OnRemoved};
use wavegate_model::{
    Approvers, Cluster, ClusterName, DurationMs, Plan, PlannedSite, PlannedWave, SiteName, WaveName,
};

/// The facts that follow from a new look at the fleet; none if it is as the plan has it.
pub fn requested(state: &State, request: &Request, view: &FleetView) -> Vec<Fact> {
    let mut draft = Draft::new(state);
    draft.removals(view);
    draft.arrivals(view);
    draft.finish(request)
}

/// A child plan that is being made.
struct Draft<'a> {
    state: &'a State,
    plan: Plan,
    clusters: Vec<Cluster>,
    changes: Vec<MemberChange>,
    /// Sites that are let go, and why.
    let_go: BTreeMap<SiteName, String>,
    /// Sites that fail, and for which cluster.
    failing: BTreeMap<SiteName, ClusterName>,
    holds: Option<HoldReason>,
}

impl<'a> Draft<'a> {
    fn new(state: &'a State) -> Self {
        Self {
            state,
            plan: state.spec.plan.clone(),
            clusters: Vec::new(),
            changes: Vec::new(),
            let_go: BTreeMap::new(),
            failing: BTreeMap::new(),
            holds: None,
        }
    }

    fn change(&mut self, cluster: &ClusterName, outcome: MemberOutcome) {
        self.changes.push(MemberChange {
            cluster: cluster.clone(),
            outcome,
        });
    }

    fn removals(&mut self, view: &FleetView) {
        let there: BTreeSet<&ClusterName> = view.members.iter().map(|m| &m.cluster.name).collect();
        let planned: Vec<(SiteName, ClusterName)> = planned(&self.state.spec.plan);
        for (site, name) in planned {
            let left = self.state.cluster(&name).left;
            if there.contains(&name) == left {
                if left {
                    self.change(&name, MemberOutcome::Returned);
                } else {
                    self.remove(&site, &name);
                }
            }
        }
    }

    fn remove(&mut self, site: &SiteName, name: &ClusterName) {
        let found = self.state.site(site);
        let alone = self.plan_site(site) == 1;
        match found.phase {
            // One that is tried again waits for its turn and was touched before.
            SitePhase::Pending if found.touched => self.let_site_go(site, name),
            SitePhase::Pending => {
                self.drop_from_plan(site, name);
                self.change(name, MemberOutcome::Left);
            }
            // What is finished stays as it is; the cluster alone is let go.
            SitePhase::Done if alone => self.let_site_go(site, name),
            SitePhase::Done
            | SitePhase::RolledBack
            | SitePhase::RollbackFailed
            | SitePhase::Skipped => {
                if !alone {
                    self.drop_from_plan(site, name);
                }
                let was = self.looked(name);
                self.change(name, MemberOutcome::LetGo { was });
            }
            SitePhase::Updating
            | SitePhase::Soaking
            | SitePhase::Failed
            | SitePhase::RollingBack => self.remove_in_flight(site, name),
        }
    }

    fn remove_in_flight(&mut self, site: &SiteName, name: &ClusterName) {
        let found = self.state.site(site);
        match self.state.spec.policy.membership.removed {
            // Nothing has to be undone or looked at where nothing was done.
            _ if !found.touched => self.let_site_go(site, name),
            OnRemoved::Skip => self.let_site_go(site, name),
            OnRemoved::Hold => {
                self.let_site_go(site, name);
                if matches!(self.state.phase, RolloutPhase::Running) {
                    self.holds = Some(HoldReason::Removed {
                        cluster: name.clone(),
                    });
                }
            }
            OnRemoved::Fail => {
                self.change(name, MemberOutcome::Kept);
                if matches!(found.phase, SitePhase::Updating | SitePhase::Soaking) {
                    self.failing.insert(site.clone(), name.clone());
                }
            }
        }
    }

    fn let_site_go(&mut self, site: &SiteName, name: &ClusterName) {
        let was = self.looked(name);
        let why = alloc::format!("cluster {name} left the fleet: {was}");
        self.let_go.entry(site.clone()).or_insert(why);
        self.change(name, MemberOutcome::LetGo { was });
    }

    /// What a cluster looked like last.
    fn looked(&self, name: &ClusterName) -> String {
        match Known::new(self.state, name) {
            Some(known) => alloc::format!(
                "{} of {} nodes ran the release, {} the baseline",
                known.new_nodes().total(),
                known.seen.desired,
                known.baseline_nodes().total()
            ),
            None => "it was never seen".to_string(),
        }
    }

    /// Clusters of a site that are left in the child plan.
    fn plan_site(&self, name: &SiteName) -> usize {
        let mut sites = self.plan.waves.iter().flat_map(|wave| &wave.sites);
        let site = sites.find(|site| site.name == *name);
        site.map_or(0, |site| site.clusters.len())
    }

    fn drop_from_plan(&mut self, site: &SiteName, name: &ClusterName) {
        for wave in &mut self.plan.waves {
            if let Some(at) = wave.sites.iter().position(|s| s.name == *site) {
                wave.sites[at].clusters.retain(|c| c.name != *name);
                if wave.sites[at].clusters.is_empty() {
                    wave.sites.remove(at);
                }
            }
        }
    }

    fn arrivals(&mut self, view: &FleetView) {
        let planned: BTreeSet<ClusterName> = planned(&self.state.spec.plan)
            .into_iter()
            .map(|(_, cluster)| cluster)
            .collect();
        let left_out: BTreeSet<ClusterName> = self
            .plan
            .excluded
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        for member in &view.members {
            let name = &member.cluster.name;
            if !planned.contains(name) && !left_out.contains(name) {
                match self.place(member) {
                    Ok((wave, site)) => {
                        self.clusters.push(member.cluster.clone());
                        self.change(name, MemberOutcome::Added { wave, site });
                    }
                    Err(why) => self.leave_out(name, why),
                }
            }
        }
        for (name, why) in &view.excluded {
            if !planned.contains(name) && !left_out.contains(name) {
                self.leave_out(name, why.clone());
            }
        }
    }

    fn leave_out(&mut self, name: &ClusterName, why: String) {
        self.plan.excluded.push((name.clone(), why.clone()));
        self.plan.excluded.sort();
        self.change(name, MemberOutcome::LeftOut { why });
    }

    /// Puts a cluster that came into the plan, or says why it is left out.
    fn place(&mut self, member: &Member) -> Result<(WaveName, SiteName), String> {
        if !matches!(self.state.phase, RolloutPhase::Running) {
            return Err("the rollout goes back".to_string());
        }
        if self.state.clusters.contains_key(&member.cluster.name) {
            return Err("it was let go before".to_string());
        }
        let added = self.state.spec.policy.membership.added;
        if added == OnAdded::Ignore {
            return Err(
                "it came while the rollout ran, and the policy ignores such clusters".into(),
            );
        }
        let begun = |state: &State| {
            let site = state.sites.get(&member.site);
            site.is_some_and(|site| site.phase != SitePhase::Pending)
        };
        if begun(self.state) {
            return Err(alloc::format!(
                "site {} had begun before it came",
                member.site
            ));
        }
        let here = self.plan.waves.iter().position(|wave| {
            let mut sites = wave.sites.iter();
            sites.any(|site| site.name == member.site)
        });
        let wave = match here {
            Some(wave) => wave,
            None => self.wave_for(member, added)?,
        };
        let wave = &mut self.plan.waves[wave];
        let cluster = PlannedCluster {
            name: member.cluster.name.clone(),
            role: member.role.clone(),
        };
        match wave.sites.iter_mut().find(|site| site.name == member.site) {
            Some(site) if site.clusters.len() >= CLUSTERS_PER_SITE_MAX => {
                return Err(alloc::format!("site {} is full", member.site));
            }
            Some(site) => {
                site.clusters.push(cluster);
                site.clusters.sort_by(|a, b| a.name.cmp(&b.name));
            }
            None => wave.sites.push(PlannedSite {
                name: member.site.clone(),
                clusters: alloc::vec![cluster],
            }),
        }
        Ok((wave.name.clone(), member.site.clone()))
    }

    /// The wave that gets a new site.
    fn wave_for(&mut self, member: &Member, added: OnAdded) -> Result<usize, String> {
        let named = |wave: &PlannedWave| wave.name == member.wave;
        let selects = self.plan.waves.iter().position(named);
        let selects = selects.ok_or_else(|| alloc::format!("there is no wave {}", member.wave))?;
        if added == OnAdded::Append && self.takes_sites(selects) {
            return Ok(selects);
        }
        let model = self.plan.waves[selects].clone();
        let own = self
            .plan
            .waves
            .iter()
            .rposition(|wave| wave.origin == WaveOrigin::Added);
        let own = match own.filter(|own| self.takes_sites(*own)) {
            Some(own) => own,
            None => {
                let wave = self.own_wave();
                self.plan.waves.push(wave);
                self.plan.waves.len() - 1
            }
        };
        // One at a time, and as long and as carefully as any of the waves that its clusters
        // would have been in.
        let started = self.state.waves.get(own).map(|wave| wave.phase);
        let wave = &mut self.plan.waves[own];
        wave.site_soak = wave.site_soak.max(model.site_soak);
        wave.soak = wave.soak.max(model.soak);
        let waits = started.is_none_or(|phase| phase == WavePhase::Waiting);
        if waits && wave.approval.is_none() {
            wave.approval = model.approval;
            wave.approvers = model.approvers;
        }
        Ok(own)
    }

    /// Whether a wave has not begun to soak.
    fn takes_sites(&self, wave: usize) -> bool {
        let phase = self.state.waves.get(wave).map(|wave| wave.phase);
        matches!(phase, None | Some(WavePhase::Waiting | WavePhase::Running))
    }

    fn own_wave(&self) -> PlannedWave {
        let taken = |name: &str| self.plan.waves.iter().any(|w| w.name.as_str() == name);
        let mut name = "added".to_string();
        let mut number = 1;
        while taken(&name) {
            number += 1;
            name = alloc::format!("added-{number}");
        }
        PlannedWave {
            name: WaveName::new(name),
            after: (0..self.plan.waves.len()).collect(),
            sites: Vec::new(),
            max_parallel_sites: 1,
            site_soak: DurationMs::ZERO,
            soak: DurationMs::ZERO,
            approval: None,
            approvers: Approvers::default(),
            gates: None,
            origin: WaveOrigin::Added,
        }
    }

    fn finish(mut self, request: &Request) -> Vec<Fact> {
        if self.changes.is_empty() {
            return Vec::new();
        }
        for wave in &mut self.plan.waves {
            let mut written = self.state.spec.policy.waves.iter();
            if let Some(written) = written.find(|written| written.name == wave.name) {
                let count = u32::try_from(wave.sites.len()).unwrap_or(u32::MAX);
                wave.max_parallel_sites = written.max_parallel_sites.rounded_down(count).max(1);
            }
        }
        self.plan.parent = Some(self.plan.generation);
        self.plan.generation = self.plan.generation.next();
        // Nobody waits for what a site was told that is let go.
        let void = |site: &SiteName| self.state.site(site).outstanding.iter().copied();
        let void = self.let_go.keys().flat_map(void);
        let mut facts: Vec<Fact> = void
            .map(|command| Fact::CommandVoided { command })
            .collect();
        facts.push(Fact::Replanned {
            plan: Box::new(self.plan),
            clusters: self.clusters,
            changes: self.changes,
            actor: request.actor.clone(),
            reason: request.reason.clone(),
        });
        let skipped = self.let_go.into_iter();
        facts.extend(skipped.map(|(site, why)| Fact::SiteSkipped { site, why }));
        facts.extend(self.holds.map(|reason| Fact::Held { reason }));
        let sites: Vec<&SiteName> = self.failing.keys().collect();
        if let Some(cluster) = self.failing.values().next() {
            let reason = FailReason::Removed(cluster.clone());
            facts.extend(failure::sites_failed(self.state, &sites, &reason));
        }
        facts
    }
}

fn planned(plan: &Plan) -> Vec<(SiteName, ClusterName)> {
    let sites = plan.waves.iter().flat_map(|wave| &wave.sites);
    let clusters = |site: &PlannedSite| {
        let name = site.name.clone();
        let clusters = site.clusters.clone().into_iter();
        clusters.map(move |cluster| (name.clone(), cluster.name))
    };
    sites.flat_map(clusters).collect()
}
