//! What was seen of clusters.

use crate::command::Change;
use crate::fact::{End, Fact};
use crate::input::Observation;
use crate::state::{ClusterState, SitePhase, State};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use wavegate_model::{
    ClusterName, ClusterObservation, Digest, DurationMs, Epoch, Release, RolloutId, Seen, Timestamp,
};

/// An observation that shows nothing new is journaled first after this long, so that a reader can
/// tell how old a state is.
const SEEN_AGAIN_AFTER: DurationMs = DurationMs::secs(10);
/// And then ever more seldom, down to this: the journal of a rollout that waits for weeks must not
/// grow by a line for each cluster and look.
const SEEN_AGAIN_AFTER_MAX: DurationMs = DurationMs::secs(5 * 60);

pub(super) fn observed(state: &State, now: Timestamp, observation: &Observation) -> Vec<Fact> {
    match observation {
        Observation::Claimed { cluster, epoch } => match state.clusters.get(cluster) {
            // Epochs rise; a lower one is an answer that came late.
            Some(found) if found.epoch.is_none_or(|known| known < *epoch) => {
                alloc::vec![Fact::Claimed {
                    cluster: cluster.clone(),
                    epoch: *epoch
                }]
            }
            _ => Vec::new(),
        },
        Observation::Lost {
            cluster,
            detail,
            answered,
        } => lost(state, now, cluster, detail, *answered),
        Observation::Seen { cluster, seen } => seen_facts(state, cluster, seen),
        Observation::Busy { behind } => busy(state, behind),
    }
}

/// Who has begun does not queue any more.
fn busy(state: &State, behind: &BTreeMap<RolloutId, Vec<ClusterName>>) -> Vec<Fact> {
    let begun = state
        .sites
        .values()
        .any(|site| site.phase != SitePhase::Pending);
    if state.clock.behind.as_ref() == Some(behind) || (begun && !behind.is_empty()) {
        return Vec::new();
    }
    alloc::vec![Fact::Queued {
        behind: behind.clone()
    }]
}

pub(super) fn lost(
    state: &State,
    now: Timestamp,
    name: &ClusterName,
    detail: &str,
    answered: Option<Timestamp>,
) -> Vec<Fact> {
    let Some(cluster) = state.clusters.get(name) else {
        return Vec::new();
    };
    if state.unreachable(name).is_some() {
        return Vec::new();
    }
    let last = cluster
        .seen
        .as_ref()
        .map_or(state.clock.started, |seen| seen.at)
        .max(answered.unwrap_or_default());
    if now.since(last) < state.spec.policy.membership.unreachable_after {
        return Vec::new();
    }
    alloc::vec![Fact::ClusterLost {
        cluster: name.clone(),
        detail: detail.to_string()
    }]
}

pub(super) fn seen_facts(state: &State, name: &ClusterName, seen: &Seen) -> Vec<Fact> {
    let Some(cluster) = state.clusters.get(name) else {
        return Vec::new();
    };
    let fresh_after = cluster
        .site
        .as_ref()
        .map_or(Timestamp(0), |site| state.site(site).fresh_after);
    let worth = cluster.seen.as_ref().is_none_or(|last| {
        let wanted = || last.at < fresh_after && seen.at >= fresh_after;
        let quiet = last.at.since(cluster.news);
        let patience = quiet.clamp(SEEN_AGAIN_AFTER, SEEN_AGAIN_AFTER_MAX);
        let again = || seen.at.since(last.at) >= patience;
        // What is cheap to tell comes first.
        let news = || cluster.lost.is_some() || !seen.same_as(last);
        seen.at > last.at && (wanted() || again() || news())
    });
    if !worth {
        return Vec::new();
    }
    let mut facts = alloc::vec![Fact::Observed {
        cluster: name.clone(),
        seen: seen.clone()
    }];
    if cluster.lost.is_some() {
        facts.push(Fact::ClusterReturned {
            cluster: name.clone(),
        });
    }
    if cluster.baseline.is_none()
        && let Some(release) = baseline(seen)
    {
        let others = seen
            .nodes
            .iter()
            .filter(|(digest, counts)| counts.total() > 0 && **digest != release.digest);
        facts.push(Fact::BaselineTaken {
            cluster: name.clone(),
            desired: seen.desired,
            remainder: others.map(|(digest, _)| digest.clone()).collect(),
            release: Box::new(release),
        });
    }
    let later = cluster
        .epoch
        .is_some_and(|own| later_host(seen).is_some_and(|other| other > own));
    if later || (state.undone && touched_by_another(cluster, seen)) {
        // Somebody else has carried out a command there: whatever this host still wants is void.
        facts.push(Fact::Finished {
            end: End::Superseded,
        });
        return facts;
    }
    facts.extend(left_by_earlier_host(state, name, seen));
    facts
}

/// Whether another rollout has carried out a command in a cluster since this one first owned it.
fn touched_by_another(cluster: &ClusterState, seen: &ClusterObservation) -> bool {
    let Some(first) = cluster.epochs.first() else {
        return false;
    };
    let stamps = [seen.last_nodes, seen.last_traffic];
    let mut epochs = stamps.into_iter().flatten().map(|stamp| stamp.epoch);
    epochs.any(|epoch| epoch > *first && !cluster.epochs.contains(&epoch))
}

/// The latest host whose command left its stamp in a cluster.
pub(super) fn later_host(seen: &ClusterObservation) -> Option<Epoch> {
    let stamps = [seen.last_nodes, seen.last_traffic];
    stamps.into_iter().flatten().map(|stamp| stamp.epoch).max()
}

/// What a cluster runs, if that is clear: its only release; of several the one that has all of
/// its traffic; without a node the one that it ran last, where the driver knows.
pub(super) fn baseline(seen: &ClusterObservation) -> Option<Release> {
    let running = seen.nodes.iter().filter(|(_, counts)| counts.total() > 0);
    let running: Vec<&Digest> = running.map(|(digest, _)| digest).collect();
    let digest = match running[..] {
        [] => only(seen.releases.keys())?,
        [one] => one,
        [..] => {
            let shares = seen.traffic.as_ref()?.iter();
            let live = shares.filter(|(_, share)| share.0 > 0);
            only(live.map(|(digest, _)| digest)).filter(|live| running.contains(live))?
        }
    };
    seen.releases.get(digest).cloned()
}

fn only<'a>(mut digests: impl Iterator<Item = &'a Digest>) -> Option<&'a Digest> {
    let one = digests.next()?;
    digests.next().is_none().then_some(one)
}

/// Commands of an earlier host process are confirmed by the stamp that they left in the cluster,
/// or decided again. They are never sent again blindly.
pub(super) fn left_by_earlier_host(
    state: &State,
    name: &ClusterName,
    seen: &ClusterObservation,
) -> Vec<Fact> {
    let earlier = state.outstanding.range(..state.resumed_at_command);
    let concerned = earlier.filter_map(|(id, effect)| {
        let stamp = match &effect.change {
            Change::Nodes(change) if change.cluster == *name => seen.last_nodes,
            Change::Traffic { epochs, .. } if epochs.contains_key(name) => seen.last_traffic,
            Change::Nodes(_) | Change::Traffic { .. } => return None,
        };
        if seen.at < state.site(&effect.site).fresh_after {
            return None;
        }
        let done = stamp.is_some_and(|s| s.command == *id && s.generation == effect.generation);
        Some(if done {
            Fact::CommandConfirmed { command: *id }
        } else {
            Fact::CommandVoided { command: *id }
        })
    });
    concerned.collect()
}
