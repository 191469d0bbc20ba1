//! A fleet as a policy sees it that was read before, perhaps from other documents.
//!
//! Other than a plan, a view may leave a wave without a cluster: a fleet may lose the last one.

use super::listed;
use crate::diagnostic::{Code, Diagnostic, Problems};
use crate::kinds::FleetDoc;
use crate::selection::why;
use std::collections::BTreeMap;
use wavegate_model::limits::CLUSTERS_PER_SITE_MAX;
use wavegate_model::{Cluster, ClusterName, FleetView, Member, Policy, SiteName, WaveName};

/// Where the policy puts each cluster of the fleet. Nothing if a problem was reported.
pub(crate) fn view(policy: &Policy, fleet: &FleetDoc, problems: &Problems) -> Option<FleetView> {
    let mut view = FleetView::default();
    let mut good = true;
    for spot in &fleet.clusters {
        let cluster = &spot.cluster;
        if let Some(exclude) = policy.exclude.as_ref().filter(|e| e.matches(cluster)) {
            let why = format!("excluded: {}", why(exclude, cluster));
            view.excluded.push((cluster.name.clone(), why));
            continue;
        }
        match member(policy, cluster) {
            Ok(member) => view.members.push(member),
            Err(problem) => {
                good = false;
                let place = spot.place.clone();
                problems.push(Diagnostic::error(Code::Plan, problem).at(place, ""));
            }
        }
    }
    let mut homes: BTreeMap<&SiteName, Vec<&Member>> = BTreeMap::new();
    for member in &view.members {
        homes.entry(&member.site).or_default().push(member);
    }
    for (site, members) in &homes {
        if let Some(problem) = split_site(site, members) {
            good = false;
            problems.push(Diagnostic::error(Code::Plan, problem).at(fleet.name.place.clone(), ""));
        }
    }
    good.then_some(view)
}

fn member(policy: &Policy, cluster: &Cluster) -> Result<Member, String> {
    let name = &cluster.name;
    let waves: Vec<&WaveName> = policy
        .waves
        .iter()
        .filter(|wave| wave.clusters.matches(cluster))
        .map(|wave| &wave.name)
        .collect();
    let wave = match waves.as_slice() {
        [wave] => (*wave).clone(),
        [] => return Err(format!("the cluster `{name}` is in no wave of the policy")),
        [first, second, ..] => {
            return Err(format!(
                "the cluster `{name}` is in two waves, `{first}` and `{second}`"
            ));
        }
    };
    let label = |key: &String| {
        let value = cluster.labels.get(key).cloned();
        value.ok_or_else(|| format!("the cluster `{name}` has no label `{key}`"))
    };
    let site = policy.site_by.as_ref().map(label).transpose()?;
    Ok(Member {
        wave,
        site: SiteName::new(site.as_deref().unwrap_or(name.as_str())),
        role: policy
            .role_by
            .as_ref()
            .map(label)
            .transpose()?
            .unwrap_or_default(),
        cluster: cluster.clone(),
    })
}

/// What is wrong with a site, if anything is.
fn split_site(site: &SiteName, members: &[&Member]) -> Option<String> {
    let first = members.first()?;
    if let Some(other) = members.iter().find(|m| m.wave != first.wave) {
        return Some(format!(
            "the site `{site}` spans the waves `{}` and `{}`",
            first.wave, other.wave
        ));
    }
    if members
        .iter()
        .any(|m| m.cluster.driver != first.cluster.driver)
    {
        return Some(format!("the site `{site}` has clusters of two drivers"));
    }
    let count = members.len();
    (count > CLUSTERS_PER_SITE_MAX).then(|| {
        let names: Vec<&ClusterName> = members.iter().map(|m| &m.cluster.name).collect();
        format!(
            "the site `{site}` has {count} clusters, more than {CLUSTERS_PER_SITE_MAX}: {}",
            listed(&names)
        )
    })
}
