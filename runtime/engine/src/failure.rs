//! What happens when a site fails, and the way to the declared end state.

use crate::fact::{End, Fact, FailReason, HoldReason, StopReason};
use crate::state::{RolloutPhase, SitePhase, SiteState, State};
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;
use wavegate_model::policy::EndState;
use wavegate_model::release::Reversal;
use wavegate_model::{ClusterName, RolloutId, SiteName};

/// A site failed: within the budget it alone goes back, else the rollout goes to its end state.
pub fn site_failed(state: &State, site: &SiteName, reason: FailReason) -> Vec<Fact> {
    sites_failed(state, core::slice::from_ref(&site), &reason)
}

/// Sites that fail for one reason at one moment count together: one decision about all of them.
pub fn sites_failed(state: &State, sites: &[&SiteName], reason: &FailReason) -> Vec<Fact> {
    let Some(last) = sites.last() else {
        return Vec::new();
    };
    let failed = |site: &&SiteName| Fact::SiteFailed {
        site: (*site).clone(),
        reason: reason.clone(),
    };
    let mut facts: Vec<Fact> = sites.iter().map(failed).collect();
    if !matches!(state.phase, RolloutPhase::Running) {
        return facts;
    }
    let failure = &state.spec.policy.failure;
    let hold = Fact::Held {
        reason: HoldReason::Failure {
            site: (*last).clone(),
        },
    };
    if state.spec.release.reversal == Reversal::Irreversible {
        facts.push(hold);
    } else if tolerated(state, sites) {
        let back = |site: &&SiteName| Fact::SiteRollbackStarted {
            site: (*site).clone(),
        };
        facts.extend(sites.iter().map(back));
    } else if failure.then == EndState::Hold {
        facts.push(hold);
    } else {
        let waves: BTreeSet<usize> = sites.iter().map(|site| state.site(site).wave).collect();
        let in_scope = |(name, other): &(&SiteName, &SiteState)| match failure.then {
            _ if sites.contains(name) => true,
            EndState::RollBackTouched => other.touched,
            EndState::RollBackWave => other.touched && waves.contains(&other.wave),
            EndState::RollBackSite | EndState::Hold => other.phase == SitePhase::Failed,
        };
        let scope = state.sites.iter().filter(in_scope);
        facts.push(Fact::Stopped {
            reason: StopReason::Failure {
                site: (*last).clone(),
            },
            sites: scope.map(|(name, _)| name.clone()).collect(),
        });
    }
    facts
}

/// Whether the budget still holds once these sites have failed too.
fn tolerated(state: &State, sites: &[&SiteName]) -> bool {
    let more_in = |wave: usize| {
        let here = |site: &&&SiteName| state.site(site).wave == wave;
        count(sites.iter().filter(here).count())
    };
    within_budget(state, count(sites.len()), more_in)
}

/// Whether more sites have failed than the policy tolerates.
pub fn budget_exceeded(state: &State) -> bool {
    !within_budget(state, 0, |_| 0)
}

fn within_budget(state: &State, more: u32, more_in: impl Fn(usize) -> u32) -> bool {
    let failure = &state.spec.policy.failure;
    let in_wave = |(index, wave): (usize, &crate::state::WaveState)| {
        wave.failed + more_in(index) <= failure.tolerate_per_wave.rounded_down(wave.sites_most)
    };
    let in_all = failure.tolerate.rounded_down(state.sites_most);
    state.failed_sites + more <= in_all && state.waves.iter().enumerate().all(in_wave)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Everything touched goes back, because somebody asked for it.
pub fn requested(state: &State, actor: &str, reason: &str) -> Fact {
    let sites = state.touched().map(|(name, _)| name.clone()).collect();
    Fact::Stopped {
        reason: StopReason::Requested {
            actor: actor.into(),
            reason: reason.into(),
        },
        sites,
    }
}

/// Clusters that have to be looked at before anything of a rollout that was undone goes back: if
/// another rollout has changed one of them since, nothing does. None once something goes back.
pub fn unseen(state: &State) -> Vec<ClusterName> {
    let RolloutPhase::Stopping { sites, .. } = &state.phase else {
        return Vec::new();
    };
    let begun = |site: &SiteState| {
        matches!(
            site.phase,
            SitePhase::RollingBack | SitePhase::RollbackFailed | SitePhase::RolledBack
        )
    };
    if !state.undone || sites.iter().any(|name| begun(state.site(name))) {
        return Vec::new();
    }
    let unseen = |name: &&ClusterName| {
        let cluster = state.cluster(name);
        let since = cluster
            .site
            .as_ref()
            .map(|site| state.site(site).fresh_after);
        let seen = cluster.seen.as_ref().map(|seen| seen.at);
        seen < since && state.unreachable(name).is_none()
    };
    let sites = sites.iter().map(|name| state.site(name));
    let to_go = sites.filter(|site| site.phase != SitePhase::Skipped);
    let clusters = to_go.flat_map(|site| &site.clusters);
    clusters.filter(unseen).cloned().collect()
}

/// What is touched and not done goes back, so that a newer rollout finds one release in each
/// cluster; or why that cannot be.
pub fn superseded(
    state: &State,
    by: &RolloutId,
    actor: &str,
    reason: &str,
) -> Result<Fact, &'static str> {
    let unfinished = |(_, site): &(&SiteName, &SiteState)| {
        !matches!(
            site.phase,
            SitePhase::Done | SitePhase::RolledBack | SitePhase::Skipped
        )
    };
    let sites: Vec<SiteName> = state
        .touched()
        .filter(unfinished)
        .map(|(name, _)| name.clone())
        .collect();
    if let RolloutPhase::Stopping { sites: going, .. } = &state.phase
        && sites.iter().all(|site| going.contains(site))
    {
        return Err("it goes back already, and ends then");
    }
    if !sites.is_empty() && state.spec.release.reversal == Reversal::Irreversible {
        return Err("its release cannot be rolled back, so it has to be finished or aborted");
    }
    Ok(Fact::Stopped {
        reason: StopReason::Superseded {
            by: by.clone(),
            actor: actor.to_string(),
            reason: reason.into(),
        },
        sites,
    })
}

/// What the way back needs next: sites that start to go back, or the end.
pub fn advance(state: &State) -> Vec<Fact> {
    let RolloutPhase::Stopping { sites, reason } = &state.phase else {
        return Vec::new();
    };
    let mut waiting: Vec<(&SiteName, u32)> = Vec::new();
    // Sites that were on their way back already count too.
    let going_back = |site: &&SiteState| site.phase == SitePhase::RollingBack;
    let in_flight = count(state.sites.values().filter(going_back).count());
    for name in sites {
        let site = state.site(name);
        match site.phase {
            SitePhase::RollingBack
            | SitePhase::RollbackFailed
            | SitePhase::RolledBack
            | SitePhase::Skipped => {}
            SitePhase::Pending
            | SitePhase::Updating
            | SitePhase::Soaking
            | SitePhase::Done
            | SitePhase::Failed => {
                waiting.push((name, site.number));
            }
        }
    }
    if !unseen(state).is_empty() {
        return Vec::new();
    }
    if in_flight == 0 && waiting.is_empty() {
        let failed = |site: &SiteState| site.phase == SitePhase::RollbackFailed;
        let given_up = |site: &SiteState| !site.given_up.is_empty();
        let end = if state.sites.values().any(failed) {
            End::RollbackIncomplete
        } else if state.sites.values().any(given_up) {
            End::Incomplete
        } else if matches!(reason, StopReason::Superseded { .. }) {
            End::Replaced
        } else {
            End::RolledBack
        };
        return alloc::vec![Fact::Finished { end }];
    }
    // What was touched last goes back first.
    waiting.sort_by_key(|(_, number)| core::cmp::Reverse(*number));
    let places = state
        .spec
        .policy
        .failure
        .rollback
        .max_parallel_sites
        .max(1)
        .saturating_sub(in_flight);
    let places = usize::try_from(places).unwrap_or(usize::MAX);
    waiting
        .into_iter()
        .take(places)
        .map(|(name, _)| Fact::SiteRollbackStarted { site: name.clone() })
        .collect()
}
