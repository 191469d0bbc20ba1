//! What the process knows, and every way to change it.

use super::metrics::{self, Metrics};
use super::pool::Node;
use super::state::{self, StateError, Stored};
use super::stats::{Counts, Outcome, Stats};
use super::table::{Table, Turns};
use super::wire::{self, Refusal};
use super::{BackendRole, BackendStatus, FrontDoorStatus};
use arc_swap::ArcSwap;
use hyper::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, CommandId, Digest, Generation, Permille, Timestamp};

/// As for a driver: no cluster on one machine has more.
const NODES_PER_CLUSTER_MAX: usize = 1000;

/// What the process knows and does.
pub(super) struct Door {
    dir: PathBuf,
    listen: SocketAddr,
    pub(super) table: ArcSwap<Table>,
    pub(super) turns: Turns,
    /// What is on disk. Held during a change, so that changes come one after the other.
    stored: tokio::sync::Mutex<Stored>,
    /// Taken out, with requests in flight.
    leaving: Mutex<Vec<Arc<Node>>>,
    stats: Mutex<Stats>,
    /// Held while it changes, so that two hosts do not open two.
    pub(super) metrics: tokio::sync::Mutex<Option<Metrics>>,
    pub(super) diverted: AtomicU64,
    pub(super) unrouted: AtomicU64,
    pub(super) rechosen: AtomicU64,
    pub(super) abandoned: AtomicU64,
}

impl Door {
    /// Goes on where the stored state left off.
    pub(super) fn open(
        dir: PathBuf,
        listen: SocketAddr,
        stored: Stored,
    ) -> Result<Self, StateError> {
        let stored = Stored {
            listen: Some(listen),
            ..stored
        };
        state::store(&dir, &stored)?;
        let table = Table::default().next(&stored);
        Ok(Self {
            dir,
            listen,
            table: ArcSwap::from_pointee(table),
            turns: Turns::default(),
            stored: tokio::sync::Mutex::new(stored),
            leaving: Mutex::default(),
            stats: Mutex::default(),
            metrics: tokio::sync::Mutex::default(),
            diverted: AtomicU64::new(0),
            unrouted: AtomicU64::new(0),
            rechosen: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
        })
    }

    pub(super) fn record(
        &self,
        target: &(ClusterName, Digest),
        latency: Duration,
        outcome: Outcome,
        status: Option<StatusCode>,
    ) {
        lock(&self.stats).record(target, now(), latency, outcome, status);
    }

    /// What every series counted since the process started.
    pub(super) fn counts(&self) -> BTreeMap<(ClusterName, Digest), Counts> {
        lock(&self.stats).counts()
    }

    /// Changes the state: on disk first, then in the table, in one step.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&mut Stored) -> Result<(), Refusal> + Send,
    ) -> Result<(), Refusal> {
        let mut stored = self.stored.lock().await;
        let mut next = stored.clone();
        change(&mut next)?;
        if next == *stored {
            return Ok(());
        }
        let (dir, written) = (self.dir.clone(), next.clone());
        let write = tokio::task::spawn_blocking(move || state::store(&dir, &written)).await;
        let write = write.map_err(|error| error.to_string());
        if let Err(detail) = write.and_then(|done| done.map_err(|error| error.to_string())) {
            return Err(Refusal::NotPersisted { detail });
        }
        *stored = next;
        let before = self.table.load_full();
        let table = Arc::new(before.next(&stored));
        self.table.store(Arc::clone(&table));
        let mut leaving = lock(&self.leaving);
        leaving.retain(|node| node.in_flight() > 0);
        for node in before
            .nodes
            .iter()
            .filter(|node| !table.nodes.iter().any(|kept| Arc::ptr_eq(kept, node)))
        {
            node.retire();
            leaving.push(Arc::clone(node));
        }
        Ok(())
    }

    async fn set_backends(
        &self,
        wire::SetBackends {
            cluster,
            mut backends,
        }: wire::SetBackends,
    ) -> Result<(), Refusal> {
        check_count("nodes in a cluster", backends.len(), NODES_PER_CLUSTER_MAX)?;
        backends.sort();
        backends.dedup();
        self.change(|stored| {
            if backends.is_empty() {
                stored.backends.remove(&cluster);
            } else {
                stored.backends.insert(cluster, backends);
            }
            check_count(
                "clusters",
                stored.backends.len(),
                wavegate_model::limits::CLUSTERS_PER_SITE_MAX,
            )
        })
        .await
    }

    async fn drain(
        &self,
        wire::Drain {
            cluster,
            nodes,
            timeout_ms,
        }: wire::Drain,
    ) -> Result<(), Refusal> {
        let is_named = |name: &String| nodes.contains(name);
        self.change(|stored| {
            if let Some(backends) = stored.backends.get_mut(&cluster) {
                backends.retain(|backend| !is_named(&backend.node));
                if backends.is_empty() {
                    stored.backends.remove(&cluster);
                }
            }
            Ok(())
        })
        .await?;
        let leaving: Vec<Arc<Node>> = lock(&self.leaving)
            .iter()
            .filter(|node| node.cluster == cluster && is_named(&node.backend.node))
            .cloned()
            .collect();
        let all_finished = async {
            for node in &leaving {
                node.finished().await;
            }
        };
        if tokio::time::timeout(Duration::from_millis(timeout_ms), all_finished)
            .await
            .is_ok()
        {
            return Ok(());
        }
        match leaving.iter().map(|node| node.in_flight()).sum() {
            0 => Ok(()),
            in_flight => Err(Refusal::NotDrained {
                in_flight,
                timeout_ms,
            }),
        }
    }

    async fn set_split(
        &self,
        wire::SetSplit { stamps, split }: wire::SetSplit,
    ) -> Result<(), Refusal> {
        if split.total() != Permille::ALL {
            return Err(Refusal::WrongTotal {
                total: split.total().0,
            });
        }
        check_count(
            "stamps",
            stamps.len(),
            wavegate_model::limits::CLUSTERS_PER_SITE_MAX,
        )?;
        self.change(|stored| {
            for (cluster, stamp) in &stamps {
                if let Some(current) = follows(stored, cluster)
                    && *stamp < current
                {
                    let (cluster, stamp) = (cluster.clone(), *stamp);
                    return Err(Refusal::Stale {
                        cluster,
                        stamp,
                        current,
                    });
                }
            }
            if split == stored.split {
                stored.stamps.extend(stamps);
                return Ok(());
            }
            let mut touched = stored
                .split
                .shares()
                .iter()
                .chain(split.shares())
                .map(|share| &share.cluster);
            let unstamped =
                touched.find(|cluster| !stamps.iter().any(|(stamped, _)| stamped == *cluster));
            let first = stored.split.is_empty() && stamps.is_empty();
            if let Some(cluster) = unstamped
                && !first
            {
                return Err(Refusal::Unstamped {
                    cluster: cluster.clone(),
                });
            }
            let is_known =
                |(cluster, stamp): &(ClusterName, Stamp)| stored.stamps.get(cluster) == Some(stamp);
            if !first && stamps.iter().all(is_known) {
                return Err(Refusal::Conflict);
            }
            stored.stamps.extend(stamps);
            stored.split = split;
            Ok(())
        })
        .await
    }

    async fn fence(&self, wire::Fence { epochs }: wire::Fence) -> Result<(), Refusal> {
        self.change(|stored| {
            for (cluster, epoch) in epochs {
                let fence = stored.fences.entry(cluster).or_default();
                *fence = epoch.max(*fence);
            }
            check_count(
                "clusters",
                stored.fences.len(),
                wavegate_model::limits::CLUSTERS_PER_SITE_MAX,
            )
        })
        .await
    }

    async fn status(&self) -> FrontDoorStatus {
        let metrics = self.metrics.lock().await.as_ref().map(Metrics::listen);
        // Waits for a change that is under way, so that split and stamps belong together.
        let stored = self.stored.lock().await;
        let table = self.table.load();
        let leaving: Vec<Arc<Node>> = lock(&self.leaving)
            .iter()
            .filter(|node| node.in_flight() > 0)
            .cloned()
            .collect();
        let serving = table.nodes.iter().map(|node| (node, BackendRole::Serving));
        let leaving = leaving.iter().map(|node| (node, BackendRole::Leaving));
        let backends = serving.chain(leaving).map(|(node, role)| BackendStatus {
            cluster: node.cluster.clone(),
            backend: node.backend.clone(),
            in_flight: node.in_flight(),
            role,
        });
        FrontDoorStatus {
            pid: std::process::id(),
            listen: self.listen,
            metrics,
            split: stored.split.clone(),
            stamps: stored.stamps.clone(),
            backends: backends.collect(),
            diverted: self.diverted.load(Ordering::Relaxed),
            unrouted: self.unrouted.load(Ordering::Relaxed),
            rechosen: self.rechosen.load(Ordering::Relaxed),
            abandoned: self.abandoned.load(Ordering::Relaxed),
        }
    }

    /// Closes and forgets what is too old.
    pub(super) fn sweep(&self) {
        self.table.load().nodes.iter().for_each(|node| node.sweep());
        lock(&self.leaving).retain(|node| node.in_flight() > 0);
        lock(&self.stats).expire(now());
    }

    /// Answers one control request.
    pub(super) async fn steer(
        self: &Arc<Self>,
        path: &str,
        body: &[u8],
        stop: &watch::Sender<bool>,
    ) -> Result<Vec<u8>, Refusal> {
        match path {
            wire::SET_BACKENDS => answer(self.set_backends(read(body)?).await?),
            wire::DRAIN => answer(self.drain(read(body)?).await?),
            wire::SET_SPLIT => answer(self.set_split(read(body)?).await?),
            wire::FENCE => answer(self.fence(read(body)?).await?),
            wire::SET_METRICS => {
                let wire::SetMetrics { listen } = read(body)?;
                answer(metrics::set(self, listen).await?)
            }
            wire::STATUS => answer(self.status().await),
            wire::TOTALS => answer(lock(&self.stats).totals()),
            wire::STATS => {
                let wire::Stats {
                    cluster,
                    release,
                    since,
                } = read(body)?;
                answer(lock(&self.stats).since(&(cluster, release), since))
            }
            wire::STOP => {
                stop.send_replace(true);
                answer(())
            }
            _ => Err(Refusal::NotUnderstood {
                detail: format!("there is nothing at {path}"),
            }),
        }
    }
}

/// What a split's stamp may not be lower than: the last one, or the fence of a later owner.
fn follows(stored: &Stored, cluster: &ClusterName) -> Option<Stamp> {
    let fence = stored.fences.get(cluster).map(|epoch| Stamp {
        epoch: *epoch,
        generation: Generation(0),
        command: CommandId(0),
    });
    stored.stamps.get(cluster).copied().max(fence)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked with the lock left counts or a list behind, which are whole at any moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

fn check_count(what: &str, found: usize, limit: usize) -> Result<(), Refusal> {
    if found <= limit {
        Ok(())
    } else {
        Err(Refusal::TooMany {
            what: what.to_owned(),
            found,
            limit,
        })
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::NotUnderstood {
        detail: error.to_string(),
    })
}

fn answer<T: Serialize>(value: T) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(&value).map_err(|error| Refusal::NotUnderstood {
        detail: error.to_string(),
    })
}
