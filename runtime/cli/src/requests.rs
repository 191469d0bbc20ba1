//! Requests through the front doors of a rollout's clusters, counted from its start.
//!
//! Front doors live longer than rollouts and only count up. What they had counted when a rollout
//! began is kept in a file beside the rollout's lock, so that a report after a resume, by another
//! process, leaves it out too.

use crate::exit::Result;
use crate::host::StateDir;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use wavegate_driver_local::front_door::FrontDoor;
use wavegate_engine::{Spec, State};
use wavegate_model::{ClusterName, Digest, RolloutId};

/// Requests through the front doors since the rollout began, by release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Requests {
    /// Answered by nodes on the release that is rolled out, or lost on the way there.
    pub(crate) new: u64,
    /// Of these, without a good answer.
    pub(crate) new_failed: u64,
    /// By nodes on any other release.
    pub(crate) other: u64,
    /// Of these, without a good answer.
    pub(crate) other_failed: u64,
}

/// What a front door counted for a cluster and a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    door: PathBuf,
    cluster: ClusterName,
    release: Digest,
    total: u64,
    failed: u64,
}

impl Count {
    /// What was counted since an earlier look. A front door that was started anew in between
    /// counts from nothing, and all that it says is since then.
    fn since(&self, before: &[Self]) -> (u64, u64) {
        let earlier = before.iter().find(|earlier| {
            earlier.door == self.door
                && earlier.cluster == self.cluster
                && earlier.release == self.release
        });
        match earlier {
            Some(earlier) if earlier.total <= self.total && earlier.failed <= self.failed => {
                (self.total - earlier.total, self.failed - earlier.failed)
            }
            Some(_) | None => (self.total, self.failed),
        }
    }
}

fn file(dir: &StateDir, rollout: &RolloutId) -> PathBuf {
    dir.path()
        .join("rollouts")
        .join(format!("{rollout}.requests.json"))
}

/// Keeps what the front doors have counted before a rollout begins.
pub(crate) async fn note(spec: &Spec, dir: &StateDir) -> Result<()> {
    let counts = counts(spec).await;
    if counts.is_empty() {
        return Ok(());
    }
    let path = file(dir, &spec.rollout);
    std::fs::write(&path, serde_json::to_vec(&counts)?)
        .with_context(|| format!("failed to write {}", path.display()))?;
    Ok(())
}

/// Requests since the rollout began, summed up; none where no front door answers.
pub(crate) async fn requests(state: &State, dir: &StateDir) -> Option<Requests> {
    let counts = counts(&state.spec).await;
    if counts.is_empty() {
        return None;
    }
    // There is none if no front door answered then.
    let before = std::fs::read(file(dir, &state.spec.rollout)).unwrap_or_default();
    let before: Vec<Count> = serde_json::from_slice(&before).unwrap_or_default();
    let mut sum = Requests::default();
    for count in counts {
        let (total, failed) = count.since(&before);
        if !state.clusters.contains_key(&count.cluster) {
            continue;
        }
        if count.release == state.spec.release.digest {
            sum.new += total;
            sum.new_failed += failed;
        } else {
            sum.other += total;
            sum.other_failed += failed;
        }
    }
    Some(sum)
}

/// All that the front doors have counted since they were started.
async fn counts(spec: &Spec) -> Vec<Count> {
    let mut all = Vec::new();
    for door in front_doors(spec) {
        let Ok(totals) = FrontDoor::of(&door).totals().await else {
            continue;
        };
        all.extend(totals.into_iter().map(|total| Count {
            door: door.clone(),
            cluster: total.cluster,
            release: total.release,
            total: total.total,
            failed: total.failed,
        }));
    }
    all
}

/// Folders of the front doors of a rollout's clusters.
fn front_doors(spec: &Spec) -> Vec<PathBuf> {
    let folder = |cluster: &wavegate_model::Cluster| {
        let connection: serde_json::Value = serde_json::from_str(&cluster.connection).ok()?;
        if let Some(dir) = connection.get("frontDoorDir").and_then(|dir| dir.as_str()) {
            return Some(PathBuf::from(dir));
        }
        let dir = connection.get("dir")?.as_str()?;
        Some(
            Path::new(dir)
                .join(spec.service.as_str())
                .join("front-door"),
        )
    };
    let mut folders: Vec<PathBuf> = spec
        .clusters
        .iter()
        .filter_map(folder)
        .filter(|dir| dir.exists())
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(total: u64, failed: u64) -> Count {
        Count {
            door: PathBuf::from("/eu-1/shop/front-door"),
            cluster: ClusterName::from("eu-1"),
            release: Digest::from_sha256(&[1; 32]),
            total,
            failed,
        }
    }

    #[test]
    fn what_was_counted_before_is_left_out() {
        assert_eq!(count(30, 2).since(&[count(20, 1)]), (10, 1));
        assert_eq!(count(30, 2).since(&[]), (30, 2));
        let other = Count {
            cluster: ClusterName::from("us-1"),
            ..count(20, 1)
        };
        assert_eq!(count(30, 2).since(&[other]), (30, 2));
    }

    #[test]
    fn a_front_door_that_was_started_anew_counts_from_nothing() {
        assert_eq!(count(5, 0).since(&[count(20, 1)]), (5, 0));
    }
}
