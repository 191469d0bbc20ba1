//! Commands given, confirmed and refused.

use super::gates::new_evidence;
use super::{cluster_mut, site_mut};
use crate::command::{Change, Effect};
use crate::input::CommandResult;
use crate::moving;
use crate::state::{BatchState, Doubt, Retry, Rising, SitePhase, State};
use alloc::vec::Vec;
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, CommandId, Timestamp};

pub(super) fn command_issued(state: &mut State, effect: &Effect, at: Timestamp) {
    let active = state.active_in(state.site(&effect.site).wave, at);
    state.next_command = effect.id.next();
    state.outstanding.insert(effect.id, effect.clone());
    let batch = match &effect.change {
        Change::Nodes(change) => {
            let known = moving::Known::new(state, &change.cluster);
            let (new, baseline) = known.map_or((0, 0), |k| {
                (k.new_nodes().total(), k.baseline_nodes().total())
            });
            let ready = |counts: fn(&moving::Known<'_>) -> u32| {
                moving::Known::new(state, &change.cluster).map_or(0, |k| counts(&k))
            };
            let (rising, best_ready) = if change.new > new {
                (Rising::New, ready(|k| k.new_nodes().ready))
            } else if change.baseline > baseline {
                (Rising::Baseline, ready(|k| k.baseline_nodes().ready))
            } else {
                (Rising::Neither, 0)
            };
            Some(BatchState {
                cluster: change.cluster.clone(),
                new: change.new,
                baseline: change.baseline,
                rising,
                best_ready,
                progress: active,
            })
        }
        Change::Traffic { .. } => None,
    };
    let clusters: Vec<ClusterName> = match &effect.change {
        Change::Nodes(change) => alloc::vec![change.cluster.clone()],
        Change::Traffic { .. } => state.site(&effect.site).clusters.clone(),
    };
    for cluster in clusters {
        cluster_mut(state, &cluster).touched = true;
    }
    // An earlier split that was refused and took effect all the same is where this one begins.
    let known = moving::known(state, state.site(&effect.site));
    let seen = known.map(|clusters| moving::seen_split(&clusters));
    let site = site_mut(state, &effect.site);
    if let Some(seen) = seen.filter(|seen| site.intended_splits.contains(seen)) {
        site.split = seen;
    }
    site.touched = true;
    site.idle_decisions = 0;
    site.outstanding.insert(effect.id);
    match &effect.change {
        Change::Nodes(_) => {
            // A batch that is decided again goes on from the progress of the first.
            let progress = site.batch.as_ref().map(|b| b.progress);
            site.batch = batch.map(|b| BatchState {
                progress: progress.unwrap_or(b.progress),
                ..b
            });
            site.batch_unjudged = site.phase == SitePhase::Updating;
            // Verdicts so far are about the nodes before this batch.
            new_evidence(state, &effect.site, at);
        }
        Change::Traffic { split, .. } => {
            if !site.intended_splits.contains(split) {
                site.intended_splits.push(split.clone());
            }
        }
    }
}

pub(super) fn take_command(state: &mut State, id: CommandId, at: Timestamp) -> Option<Effect> {
    let effect = state.outstanding.remove(&id)?;
    let active = state.active_in(state.site(&effect.site).wave, at);
    let site = site_mut(state, &effect.site);
    site.outstanding.remove(&id);
    site.fresh_after = at;
    if site.phase == SitePhase::RollingBack {
        site.limit_since = active;
    }
    Some(effect)
}

pub(super) fn confirmed(state: &mut State, id: CommandId, at: Timestamp) {
    let Some(effect) = take_command(state, id, at) else {
        return;
    };
    match effect.change {
        Change::Traffic { split, .. } => {
            let site = site_mut(state, &effect.site);
            site.split = split;
            site.intended_splits.clear();
            site.command_retry = Retry::default();
            new_evidence(state, &effect.site, at);
        }
        Change::Nodes(change) => cluster_mut(state, &change.cluster).in_doubt = None,
    }
}

pub(super) fn refused(state: &mut State, id: CommandId, result: &CommandResult, at: Timestamp) {
    let limit_since = state
        .outstanding
        .get(&id)
        .map(|effect| state.site(&effect.site).limit_since);
    let Some(effect) = take_command(state, id, at) else {
        return;
    };
    let site = site_mut(state, &effect.site);
    // A refusal is no progress.
    site.limit_since = limit_since.unwrap_or(site.limit_since);
    if matches!(result, CommandResult::Failed(_)) {
        in_doubt(state, &effect);
    }
    let site = site_mut(state, &effect.site);
    site.command_retry.failures += 1;
    site.command_retry.not_before = at.plus(Retry::delay(site.command_retry.failures));
    site.command_retry.detail = alloc::format!("{result:?}");
}

/// A command without an answer. Its request may still be on its way, for as long as this host is
/// the one whom the cluster follows.
fn in_doubt(state: &mut State, effect: &Effect) {
    let Change::Nodes(change) = &effect.change else {
        return;
    };
    let cluster = cluster_mut(state, &change.cluster);
    if cluster.epoch != Some(change.epoch) {
        return;
    }
    let earlier = cluster.in_doubt;
    cluster.in_doubt = Some(Doubt {
        newest: Stamp {
            epoch: change.epoch,
            generation: effect.generation,
            command: effect.id,
        },
        new: earlier.map_or(change.new, |doubt| doubt.new.min(change.new)),
        baseline: earlier.map_or(change.baseline, |doubt| doubt.baseline.min(change.baseline)),
    });
}

/// What becomes of a command does not matter any more; that it may be carried out does.
pub(super) fn voided(state: &mut State, id: CommandId, at: Timestamp) {
    // The split that was intended stays known: it may be in effect.
    if let Some(effect) = take_command(state, id, at) {
        in_doubt(state, &effect);
    }
}
