//! What the auditor checks of commands: limits in nodes, and traffic.

use super::Violation;
use super::book::{Book, Cluster, Late, Place, part};
use super::seen::Seen;
use super::starts::{in_a_window, within_budget};
use crate::command::{Change, Effect, NodesChange};
use crate::input::CommandResult;
use alloc::vec::Vec;
use wavegate_model::observation::Stamp;
use wavegate_model::policy::EndState;
use wavegate_model::release::Reversal;
use wavegate_model::{
    ClusterName, CommandId, Digest, Epoch, NodeCounts, SiteName, Split, Timestamp,
};

/// Remembers which cluster a command is for.
pub(super) fn given(book: &mut Book, effect: &Effect) {
    if let Change::Nodes(change) = &effect.change {
        let wanted = Late {
            stamp: Stamp {
                epoch: change.epoch,
                generation: effect.generation,
                command: effect.id,
            },
            new: change.new,
            old: change.baseline,
        };
        book.on_nodes
            .insert(effect.id, (change.cluster.clone(), wanted));
    }
}

/// Whatever was given before it arrives no more.
pub(super) fn carried_out(book: &mut Book, command: CommandId) {
    if let Some((cluster, _)) = book.on_nodes.remove(&command) {
        book.cluster_mut(&cluster).late = None;
    }
}

/// A command without an answer may still arrive; one that the cluster has looked at does not.
pub(super) fn given_up(book: &mut Book, command: CommandId, result: &CommandResult) {
    match result {
        CommandResult::Failed(_) => voided(book, command),
        _ => _ = book.on_nodes.remove(&command),
    }
}

/// Nobody waits for a command any more, and it may still arrive.
pub(super) fn voided(book: &mut Book, command: CommandId) {
    let Some((cluster, mut late)) = book.on_nodes.remove(&command) else {
        return;
    };
    let cluster = book.cluster_mut(&cluster);
    if cluster.epoch != Some(late.stamp.epoch) {
        return;
    }
    if let Some(earlier) = cluster.late {
        late.new = late.new.min(earlier.new);
        late.old = late.old.min(earlier.old);
    }
    cluster.late = Some(late);
}

/// What counts as reached stays as it is.
pub(super) fn none_may_arrive(
    book: &Book,
    site: &SiteName,
    what: &'static str,
) -> Result<(), Violation> {
    for name in &book.site(site).clusters {
        if let Some(late) = book.cluster(name).late {
            return Err(Violation::InDoubt {
                site: site.clone(),
                what,
                cluster: name.clone(),
                command: late.stamp.command,
            });
        }
    }
    Ok(())
}

pub(super) fn check(book: &Book, at: Timestamp, effect: &Effect) -> Result<(), Violation> {
    let command = effect.id;
    if book.end.is_some() {
        return Err(Violation::AfterEnd { what: "a command" });
    }
    if effect.generation < book.generation {
        return Err(Violation::GenerationFell {
            command,
            before: book.generation,
            now: effect.generation,
        });
    }
    if command <= book.last_command {
        return Err(Violation::CommandRepeated {
            command,
            last: book.last_command,
        });
    }
    let site = book.site(&effect.site);
    if let Some(first) = site.outstanding {
        return Err(Violation::TwoOutstanding {
            site: effect.site.clone(),
            first,
            second: command,
        });
    }
    match site.place {
        Place::Updating => {
            in_a_window(book, site.wave, at, "a command")?;
            may_advance(book, effect)?;
            super::approvals::of_stage(book, &effect.site)?;
        }
        Place::GoingBack => {}
        _ => {
            return Err(Violation::OutOfTurn {
                command,
                site: effect.site.clone(),
            });
        }
    }
    if book.paused {
        return Err(Violation::Blocked {
            what: "a command",
            state: "paused",
        });
    }
    for name in &site.clusters {
        let seen = book.cluster(name).seen.as_ref();
        if seen.is_none_or(|seen| seen.at < site.fresh_after) {
            return Err(Violation::Stale {
                command,
                cluster: name.clone(),
                since: site.fresh_after,
            });
        }
    }
    match &effect.change {
        Change::Nodes(change) => {
            owned(book, effect, &change.cluster, change.epoch)?;
            nodes(book, effect, change)
        }
        Change::Traffic { epochs, split } => {
            for (cluster, epoch) in epochs {
                owned(book, effect, cluster, *epoch)?;
            }
            traffic(book, effect, split)
        }
    }
}

fn may_advance(book: &Book, effect: &Effect) -> Result<(), Violation> {
    let state = if book.stopping.is_some() {
        "stopping"
    } else if book.held {
        "held"
    } else {
        let failure = &book.spec.policy.failure;
        let may_stay =
            book.spec.release.reversal == Reversal::Irreversible || failure.then == EndState::Hold;
        return if may_stay {
            Ok(())
        } else {
            within_budget(book, "a new batch", &effect.site)
        };
    };
    Err(Violation::Blocked {
        what: "a command",
        state,
    })
}

fn owned(book: &Book, effect: &Effect, name: &ClusterName, epoch: Epoch) -> Result<(), Violation> {
    let owned = book.cluster(name).epoch;
    if owned == Some(epoch) {
        return Ok(());
    }
    Err(Violation::NotOwner {
        command: effect.id,
        cluster: name.clone(),
        epoch,
        owned,
    })
}

/// Nodes of a release that serve when only `target` of them are left, worst ones removed first.
fn left(counts: NodeCounts, target: u32) -> u32 {
    let total = counts.ready + counts.unready;
    if target >= total {
        return counts.ready;
    }
    let gone = total - target;
    let serving_gone = gone.saturating_sub(counts.unready);
    counts.ready - serving_gone.min(counts.ready)
}

fn nodes(book: &Book, effect: &Effect, change: &NodesChange) -> Result<(), Violation> {
    let name = &change.cluster;
    let cluster = book.cluster(name);
    let Some(seen) = &cluster.seen else {
        return Ok(());
    };
    if change.desired != seen.desired {
        return Err(Violation::DesiredTotal {
            cluster: name.clone(),
            decided: change.desired,
            seen: seen.desired,
        });
    }
    let back = book.site(&effect.site).place == Place::GoingBack;
    let policy = &book.spec.policy;
    let (size, down) = if back {
        let rollback = &policy.failure.rollback;
        (rollback.batch, rollback.max_unavailable)
    } else {
        (policy.batch.size, policy.batch.max_unavailable)
    };
    let (new, old) = (seen.new.total(), seen.old.total());
    let grown = change.new.saturating_sub(new) + change.baseline.saturating_sub(old);
    let shrunk = new.saturating_sub(change.new) + old.saturating_sub(change.baseline);
    let size = part(size, seen.desired, true).max(1);
    if grown.max(shrunk) > size {
        return Err(Violation::BatchSize {
            cluster: name.clone(),
            moved: grown.max(shrunk),
            limit: size,
        });
    }
    let surge = if book.spec.capabilities.surges {
        part(policy.batch.max_surge, seen.desired, false)
    } else {
        0
    };
    let (total, most) = (change.new + change.baseline, seen.desired + surge);
    if total > most && total > new + old {
        return Err(Violation::Surge {
            cluster: name.clone(),
            nodes: total,
            most,
        });
    }
    let ready = seen.new.ready + seen.old.ready;
    let stays = left(seen.new, change.new) + left(seen.old, change.baseline);
    let least = seen.desired.saturating_sub(part(down, seen.desired, false));
    if serves(book, effect, name, seen) && stays < ready && stays < least {
        return Err(Violation::Unavailability {
            cluster: name.clone(),
            ready,
            left: stays,
            least,
        });
    }
    // A command that takes no node away leaves each share to those that carry it now.
    let takes = left(seen.new, change.new) < seen.new.ready
        || left(seen.old, change.baseline) < seen.old.ready;
    if !book.spec.capabilities.splits_traffic || !takes {
        return Ok(());
    }
    // Nodes that go may be those of a split that is still on its way.
    let site = book.site(&effect.site);
    let mut splits = site.intended.iter().chain([&site.split]);
    splits.try_for_each(|split| carried(book, effect, split, Some(change)))
}

fn serves(book: &Book, effect: &Effect, name: &ClusterName, seen: &Seen) -> bool {
    if !book.spec.capabilities.splits_traffic {
        return true;
    }
    let site = book.site(&effect.site);
    let in_split = |split: &Split| split.shares().iter().any(|share| share.cluster == *name);
    seen.new_share + seen.other_share > 0
        || in_split(&site.split)
        || site.intended.iter().any(in_split)
}

fn traffic(book: &Book, effect: &Effect, split: &Split) -> Result<(), Violation> {
    let total = split.total().0;
    if total != 1000 {
        return Err(Violation::SplitSum {
            site: effect.site.clone(),
            total,
        });
    }
    carried(book, effect, split, None)
}

/// No share exceeds what the nodes carry that serve after the command. A split is set before the
/// batch that takes nodes away, so that there it is measured against what is left at worst.
fn carried(
    book: &Book,
    effect: &Effect,
    split: &Split,
    batch: Option<&NodesChange>,
) -> Result<(), Violation> {
    let site = book.site(&effect.site);
    let back = site.place == Place::GoingBack;
    let limit = if back {
        book.spec.policy.failure.rollback.max_unavailable
    } else {
        book.spec.policy.batch.max_unavailable
    };
    let release = &book.spec.release.digest;
    let mut ready: Vec<(&ClusterName, &Digest, u32)> = Vec::new();
    let (mut before, mut after, mut down, mut at_worst) = (0, 0, 0, 0);
    for name in &site.clusters {
        let cluster: &Cluster = book.cluster(name);
        let (Some(seen), Some(baseline)) = (&cluster.seen, &cluster.baseline) else {
            continue;
        };
        let may_be_down = part(limit, seen.desired, false);
        down = down.max(may_be_down);
        before += seen.new.ready + seen.old.ready;
        if serves(book, effect, name, seen) {
            let least = seen.desired.saturating_sub(may_be_down);
            at_worst += least.min(seen.new.ready + seen.old.ready);
        }
        let moved = batch.filter(|change| change.cluster == *name);
        let (new, old) = match moved {
            Some(change) => (left(seen.new, change.new), left(seen.old, change.baseline)),
            // A split has to hold also when a command arrives that was given up.
            None => match cluster.late.filter(|_| batch.is_none()) {
                Some(late) => (left(seen.new, late.new), left(seen.old, late.old)),
                None => (seen.new.ready, seen.old.ready),
            },
        };
        after += new + old;
        ready.push((name, release, new));
        if baseline != release {
            ready.push((name, baseline, old));
        }
    }
    // With no node left there is nothing to divide: allowed if none served before either, or if
    // all of them may be down.
    if after == 0 && (before == 0 || down >= site.demand) {
        return Ok(());
    }
    let enough = site.demand.saturating_sub(down).max(1);
    let at_worst = match batch {
        Some(_) => after,
        None => at_worst,
    };
    let enough = u64::from(enough.min(at_worst).max(1));
    for share in split.shares() {
        let found = ready
            .iter()
            .find(|(name, digest, _)| **name == share.cluster && **digest == share.release);
        let nodes = found.map_or(0, |(_, _, nodes)| *nodes);
        let exact = (u64::from(nodes) * 1000).div_ceil(enough);
        // One permille for rounding; nodes that do not serve carry nothing at all.
        let most = if nodes == 0 { 0 } else { exact + 1 };
        if u64::from(share.share.0) > most {
            return Err(Violation::Capacity {
                cluster: share.cluster.clone(),
                release: share.release.clone(),
                share: share.share.0,
                most: u32::try_from(most).unwrap_or(u32::MAX),
            });
        }
    }
    Ok(())
}
