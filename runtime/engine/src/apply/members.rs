//! A child plan takes the place of its parent.

use super::cluster_mut;
use crate::fact::{MemberChange, MemberOutcome};
use crate::state::{ClusterState, SitePhase, SiteState, State, WaveState};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use wavegate_model::{Cluster, ClusterName, Plan, SiteName};

pub(super) fn replanned(
    state: &mut State,
    plan: &Plan,
    clusters: &[Cluster],
    changes: &[MemberChange],
) {
    for change in changes {
        let (name, outcome) = (change.cluster.clone(), change.outcome.clone());
        match &outcome {
            MemberOutcome::LetGo { .. } | MemberOutcome::Kept => {
                cluster_mut(state, &name).left = true;
            }
            MemberOutcome::Returned => cluster_mut(state, &name).left = false,
            MemberOutcome::Added { .. } | MemberOutcome::LeftOut { .. } | MemberOutcome::Left => {}
        }
        state.members.insert(name, outcome);
    }
    let gone = |name: &ClusterName| state.members.get(name) == Some(&MemberOutcome::Left);
    state.spec.clusters.retain(|cluster| !gone(&cluster.name));
    state.spec.clusters.extend_from_slice(clusters);
    state.spec.clusters.sort_by(|a, b| a.name.cmp(&b.name));
    state.spec.plan = plan.clone();
    let more = plan.waves.len().saturating_sub(state.waves.len());
    state.waves.extend((0..more).map(|_| WaveState::default()));
    sites(state);
    count_sites(state);
    questions(state);
}

/// Percentages of sites are of the most that there have been.
pub(super) fn count_sites(state: &mut State) {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    state.sites_most = state.sites_most.max(count(state.sites.len()));
    for (wave, planned) in state.waves.iter_mut().zip(&state.spec.plan.waves) {
        wave.sites_most = wave.sites_most.max(count(planned.sites.len()));
    }
}

/// Sites and clusters as the plan has them now; those that were there keep what is known.
fn sites(state: &mut State) {
    let plan = state.spec.plan.clone();
    let rows = core::mem::take(&mut state.sites).into_rows();
    let mut known: BTreeMap<SiteName, SiteState> = rows.into_iter().collect();
    let rows = core::mem::take(&mut state.clusters).into_rows();
    let mut clusters: BTreeMap<ClusterName, ClusterState> = rows.into_iter().collect();
    clusters.retain(|name, _| state.members.get(name) != Some(&MemberOutcome::Left));
    // One that was let go may outlast its site.
    clusters
        .values_mut()
        .for_each(|cluster| cluster.site = None);
    let mut sites = Vec::new();
    let mut number = 0;
    for (wave, planned) in plan.waves.iter().enumerate() {
        for site in &planned.sites {
            number += 1;
            let mut found = known.remove(&site.name).unwrap_or_default();
            found.wave = wave;
            found.number = number;
            found.clusters = site.clusters.iter().map(|c| c.name.clone()).collect();
            for cluster in &site.clusters {
                let of_site = clusters.entry(cluster.name.clone()).or_default();
                of_site.site = Some(site.name.clone());
                of_site.role = cluster.role.clone();
            }
            sites.push((site.name.clone(), found));
        }
    }
    state.sites = sites.into_iter().collect();
    state.clusters = clusters.into_iter().collect();
    for (wave, planned) in plan.waves.iter().enumerate() {
        let pending = |site: &wavegate_model::PlannedSite| {
            state.sites[&site.name].phase == SitePhase::Pending
        };
        let first = planned.sites.iter().position(pending);
        state.waves[wave].next_site = first.unwrap_or(planned.sites.len());
    }
}

/// Questions of the older plan are asked again; their answers match nothing any more.
fn questions(state: &mut State) {
    state.consultations.clear();
    for wave in &mut state.waves {
        wave.gates.values_mut().for_each(|gate| gate.asked = None);
    }
    for site in state.sites.values_mut() {
        site.asked = None;
        site.gates.values_mut().for_each(|gate| gate.asked = None);
    }
}
