//! What a strategy proposes is data until it has passed here.

use crate::moving::{self, Direction, Known};
use crate::state::{GateKey, SiteState, State};
use crate::traffic;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use wavegate_model::limits::{IDLE_DECISIONS_MAX, STATE_BYTES_MAX};
use wavegate_model::plugin::{Outcome, Phase, Proposal, Subject};
use wavegate_model::unavailable::BadAnswer;
use wavegate_model::{ClusterName, Goal, Permille, SiteName, Timestamp};

/// Whether a strategy's answer may be carried out.
pub fn check(
    state: &State,
    now: Timestamp,
    name: &SiteName,
    outcome: &Outcome,
) -> Result<(), BadAnswer> {
    let site = state.site(name);
    if outcome.state.0.len() > STATE_BYTES_MAX {
        let size = u64::try_from(outcome.state.0.len()).unwrap_or(u64::MAX);
        let limit = u64::try_from(STATE_BYTES_MAX).unwrap_or(u64::MAX);
        return Err(BadAnswer::TooLarge {
            what: "the state".to_string(),
            size,
            limit,
        });
    }
    match &outcome.proposal {
        Proposal::Go(goal) => check_goal(state, site, goal)?,
        Proposal::WaitGates(gates) => {
            for gate in gates {
                match state.spec.policy.gates.iter().find(|g| g.name == *gate) {
                    None => return Err(BadAnswer::UnknownGate(gate.clone())),
                    Some(found) if found.trial => {
                        return Err(BadAnswer::GateOnTrial(gate.clone()));
                    }
                    Some(_) => {}
                }
            }
        }
        Proposal::Done => check_done(state, now, name, site)?,
        Proposal::Wait(_) | Proposal::WaitPerson(_) | Proposal::Failed(_) => {}
    }
    let idle = site.idle_decisions + 1;
    let ends = matches!(outcome.proposal, Proposal::Done | Proposal::Failed(_));
    if idle > IDLE_DECISIONS_MAX && !ends {
        Err(BadAnswer::NoProgress(idle))
    } else {
        Ok(())
    }
}

fn check_goal(state: &State, site: &SiteState, goal: &Goal) -> Result<(), BadAnswer> {
    let mut named = BTreeSet::new();
    for cluster in &goal.clusters {
        if !site.clusters.contains(&cluster.cluster) {
            return Err(BadAnswer::UnknownCluster(cluster.cluster.clone()));
        }
        if !named.insert(&cluster.cluster) {
            return Err(BadAnswer::RepeatedCluster(cluster.cluster.clone()));
        }
    }
    if let Some(missing) = site.clusters.iter().find(|name| !named.contains(name)) {
        return Err(BadAnswer::MissingCluster(missing.clone()));
    }
    let splits = state.spec.capabilities.splits_traffic;
    let mut shares: u64 = 0;
    for cluster in &goal.clusters {
        let Some(known) = Known::new(state, &cluster.cluster) else {
            return Err(BadAnswer::UnknownCluster(cluster.cluster.clone()));
        };
        let limits = known.limits(&state.spec, Direction::Forward);
        let wanted = u64::from(cluster.new) + u64::from(cluster.baseline);
        let most = u64::from(known.seen.desired) + u64::from(limits.surge);
        let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        if wanted > most {
            return Err(BadAnswer::TooManyNodes {
                cluster: cluster.cluster.clone(),
                wanted: clamp(wanted),
                most: clamp(most),
            });
        }
        let share = u64::from(cluster.new_share.0) + u64::from(cluster.baseline_share.0);
        let least = known.seen.desired.saturating_sub(limits.unavailable);
        if (!splits || share > 0) && wanted < u64::from(least) {
            return Err(BadAnswer::TooFewNodes {
                cluster: cluster.cluster.clone(),
                wanted: clamp(wanted),
                least,
            });
        }
        let nowhere = (cluster.new_share > Permille::NONE && cluster.new == 0)
            || (cluster.baseline_share > Permille::NONE && cluster.baseline == 0);
        // A baseline that is the new release has its nodes and its traffic in one.
        if splits && nowhere && known.baseline != known.release {
            return Err(BadAnswer::TrafficToNowhere {
                cluster: cluster.cluster.clone(),
            });
        }
        shares += share;
    }
    match splits {
        true if shares != 1000 => Err(BadAnswer::WrongShares(shares)),
        true => check_shares(state, site, goal),
        false => Ok(()),
    }
}

/// No share is more than the nodes of the goal can carry when all of them serve: such a goal
/// would never be reached. A cluster that has more already, as it was set up, may keep it.
fn check_shares(state: &State, site: &SiteState, goal: &Goal) -> Result<(), BadAnswer> {
    let Some(clusters) = moving::known(state, site) else {
        return Ok(());
    };
    let seen = moving::seen_split(&clusters);
    let all: u32 = goal.clusters.iter().map(|c| c.new + c.baseline).sum();
    let enough = moving::enough(site, &clusters, &state.spec, Direction::Forward).min(all);
    for cluster in &goal.clusters {
        let nodes = cluster.new + cluster.baseline;
        let shares = seen
            .shares()
            .iter()
            .filter(|s| s.cluster == cluster.cluster);
        let has: u32 = shares.map(|s| s.share.0).sum();
        let down = clusters.iter().find(|known| *known.name == cluster.cluster);
        let down = down.map_or(0, |c| c.limits(&state.spec, Direction::Forward).unavailable);
        let most = |part: u32| {
            let of_cluster = traffic::capacity(part, nodes.saturating_sub(down).max(1));
            traffic::capacity(part, enough).max((has * of_cluster).div_ceil(1000))
        };
        let parts = if is_updated(state, &cluster.cluster) {
            let share = cluster.new_share.0 + cluster.baseline_share.0;
            [("new", nodes, share), ("baseline", 0, 0)]
        } else {
            [
                ("new", cluster.new, cluster.new_share.0),
                ("baseline", cluster.baseline, cluster.baseline_share.0),
            ]
        };
        if let Some((cohort, part, share)) = parts
            .into_iter()
            .find(|(_, part, share)| *share > most(*part))
        {
            return Err(BadAnswer::TooMuchTraffic {
                cluster: cluster.cluster.clone(),
                cohort: cohort.to_string(),
                nodes: part,
                share: Permille(share),
                most: Permille(most(part)),
            });
        }
    }
    Ok(())
}

/// Whether a cluster ran the release from the start.
fn is_updated(state: &State, cluster: &ClusterName) -> bool {
    Known::new(state, cluster).is_some_and(|known| known.baseline == known.release)
}

/// *Done* holds when all serving nodes and all traffic are on the release and the gates passed.
fn check_done(
    state: &State,
    now: Timestamp,
    name: &SiteName,
    site: &SiteState,
) -> Result<(), BadAnswer> {
    let not_done = |why: alloc::string::String| Err(BadAnswer::NotDone(why));
    let Some(clusters) = moving::known(state, site) else {
        return not_done("not all of its clusters have been seen".to_string());
    };
    let splits = state.spec.capabilities.splits_traffic;
    let split = moving::seen_split(&clusters);
    for known in &clusters {
        let share_of = |release| split.of(known.name, release).0;
        let on_old = if known.baseline == known.release {
            0
        } else {
            share_of(known.baseline)
        };
        if on_old > 0 {
            return not_done(alloc::format!(
                "{} of the traffic goes to the baseline in cluster {}",
                Permille(on_old),
                known.name
            ));
        }
        if !splits && known.baseline_nodes().total() > 0 {
            return not_done(alloc::format!(
                "{} nodes of cluster {} run the baseline",
                known.baseline_nodes().total(),
                known.name
            ));
        }
    }
    if let Some((cluster, ready, wanted)) = short(state, site) {
        return not_done(alloc::format!(
            "{ready} of {wanted} nodes of cluster {cluster} serve the release"
        ));
    }
    // The batch of a goal that was given up is judged by what follows.
    if site.batch_unjudged && (site.batch.is_some() || site.goal.is_some()) {
        return not_done("the gates after the last batch have not passed".to_string());
    }
    for gate in crate::gates::names(state, Phase::AfterBatch, site.wave) {
        let key = GateKey {
            subject: Subject::Site(name.clone()),
            phase: Phase::AfterBatch,
            gate,
        };
        let policy = crate::gates::policy_of(state, &key.gate);
        let found = state.gate(&key);
        let passed = found.is_some_and(|gate| crate::evidence::passed(gate, policy, now));
        if site.touched && !passed {
            return not_done(alloc::format!("gate {} has not passed", key.gate));
        }
    }
    Ok(())
}

/// The first cluster of a site that should serve the release with all its nodes and does not:
/// its nodes that serve, and how many should.
pub fn short(state: &State, site: &SiteState) -> Option<(ClusterName, u32, u32)> {
    let clusters = moving::known(state, site)?;
    let split = moving::seen_split(&clusters);
    let splits = state.spec.capabilities.splits_traffic;
    let short = |known: &&Known<'_>| {
        let serves = !splits || split.of(known.name, known.release) > Permille::NONE;
        serves && known.new_nodes().ready < known.seen.desired
    };
    let found = clusters.iter().find(short)?;
    let ready = found.new_nodes().ready;
    Some((found.name.clone(), ready, found.seen.desired))
}

/// Whether a cluster of a site that serves the release has fewer nodes on it than it should have,
/// those that do not serve yet included.
pub fn missing(state: &State, site: &SiteState) -> bool {
    let clusters = moving::known(state, site).unwrap_or_default();
    let split = moving::seen_split(&clusters);
    let splits = state.spec.capabilities.splits_traffic;
    clusters.iter().any(|known| {
        let serves = !splits || split.of(known.name, known.release) > Permille::NONE;
        serves && known.new_nodes().total() < known.seen.desired && !known.seen.busy
    })
}
