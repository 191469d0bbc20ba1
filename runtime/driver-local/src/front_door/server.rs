//! The two servers of the process: one for the site's requests, one that steers.

use super::pool::Node;
use super::proxy;
use super::state::{self, StateError, Stored};
use super::stats::{Outcome, Stats};
use super::table::{Table, Turns};
use super::wire::{self, Refusal};
use super::{BackendRole, BackendStatus, FrontDoorStatus};
use arc_swap::ArcSwap;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, Digest, Permille, Timestamp};

/// Connections of clients. Each needs two files, one more for a kept connection; the limit of
/// files is raised as far as the system lets us.
const CONNECTIONS_MAX: usize = 4096;
/// Files for everything else.
const FILES_RESERVED: usize = 64;
/// Control connections: a host has a few calls at a time, for a few hosts.
const CONTROLS_MAX: usize = 64;
/// For an answer on the control socket to be read when the process stops.
const CONTROL_TIME_MAX: Duration = Duration::from_secs(1);
/// A client's connection without a request; longer than common clients keep theirs.
const CLIENT_IDLE_MAX: Duration = Duration::from_secs(75);
/// The head of a request; common servers allow 8 to 64 KiB.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// As for a driver: no cluster on one machine has more.
const NODES_PER_CLUSTER_MAX: usize = 1000;
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

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
    ) {
        lock(&self.stats).record(target, now(), latency, outcome);
    }

    /// Changes the state: on disk first, then in the table, in one step.
    async fn change(
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
                match stored.stamps.get(cluster) {
                    Some(current) if stamp < current => {
                        let (cluster, stamp, current) = (cluster.clone(), *stamp, *current);
                        return Err(Refusal::Stale {
                            cluster,
                            stamp,
                            current,
                        });
                    }
                    Some(_) | None => {}
                }
            }
            if split == stored.split {
                stored.stamps.extend(stamps);
                return Ok(());
            }
            let touched = stored
                .split
                .shares()
                .iter()
                .chain(split.shares())
                .map(|share| &share.cluster);
            let unstamped = touched
                .filter(|cluster| !stamps.iter().any(|(stamped, _)| stamped == *cluster))
                .next();
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

    async fn status(&self) -> FrontDoorStatus {
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
            split: stored.split.clone(),
            stamps: stored.stamps.clone(),
            backends: backends.collect(),
            diverted: self.diverted.load(Ordering::Relaxed),
            unrouted: self.unrouted.load(Ordering::Relaxed),
            rechosen: self.rechosen.load(Ordering::Relaxed),
            abandoned: self.abandoned.load(Ordering::Relaxed),
        }
    }

    fn sweep(&self) {
        self.table.load().nodes.iter().for_each(|node| node.sweep());
        lock(&self.leaving).retain(|node| node.in_flight() > 0);
        lock(&self.stats).expire(now());
    }

    /// Answers one control request.
    async fn steer(
        &self,
        path: &str,
        body: &[u8],
        stop: &watch::Sender<()>,
    ) -> Result<Vec<u8>, Refusal> {
        match path {
            wire::SET_BACKENDS => answer(self.set_backends(read(body)?).await?),
            wire::DRAIN => answer(self.drain(read(body)?).await?),
            wire::SET_SPLIT => answer(self.set_split(read(body)?).await?),
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
                // Nobody to tell means that it stops already.
                stop.send(()).ok();
                answer(())
            }
            _ => Err(Refusal::NotUnderstood {
                detail: format!("there is nothing at {path}"),
            }),
        }
    }
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

/// Serves until it is stopped, then lets requests finish within the time limit.
pub(super) async fn serve(
    door: Arc<Door>,
    data: TcpListener,
    control: UnixListener,
    stop: watch::Sender<()>,
    mut stopped: watch::Receiver<()>,
) {
    let controls = Arc::new(Semaphore::new(CONTROLS_MAX));
    let steering = tokio::spawn(serve_control(
        Arc::clone(&door),
        control,
        stop,
        Arc::clone(&controls),
    ));
    let sweeping = tokio::spawn(sweep(Arc::clone(&door)));
    let limit = connections_max();
    let connections = Arc::new(Semaphore::new(limit));
    tokio::select! {
        () = serve_data(door, data, stopped.clone(), Arc::clone(&connections)) => {}
        // An error means that nobody can stop it any more, which is a stop too.
        _ = stopped.changed() => {}
    }
    all_returned(&connections, limit, super::process::STOP_TIME_MAX).await;
    all_returned(&controls, CONTROLS_MAX, CONTROL_TIME_MAX).await;
    steering.abort();
    sweeping.abort();
}

/// Waits until nobody holds a permit, or until the time is over.
async fn all_returned(permits: &Semaphore, count: usize, limit: Duration) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    drop(tokio::time::timeout(limit, permits.acquire_many(count)).await);
}

async fn sweep(door: Arc<Door>) {
    let mut tick = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tick.tick().await;
        door.sweep();
    }
}

/// Raises the limit of open files and says how many clients fit into it.
fn connections_max() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = CONNECTIONS_MAX * 3 + FILES_RESERVED;
    let limit = getrlimit(Resource::Nofile);
    let wanted_files = u64::try_from(wanted).unwrap_or(u64::MAX);
    let reachable = limit.maximum.unwrap_or(u64::MAX).min(wanted_files);
    let current = limit.current.unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: Some(reachable),
        maximum: limit.maximum,
    };
    let files = if current < reachable && setrlimit(Resource::Nofile, raised).is_ok() {
        reachable
    } else {
        current
    };
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    (files.saturating_sub(FILES_RESERVED) / 3).clamp(1, CONNECTIONS_MAX)
}

async fn serve_data(
    door: Arc<Door>,
    listener: TcpListener,
    stopped: watch::Receiver<()>,
    connections: Arc<Semaphore>,
) {
    loop {
        // Who finds no permit waits in the system's backlog.
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                rest_after(&error).await;
                continue;
            }
        };
        // Without it small answers wait for a delayed acknowledgement; they would still arrive.
        drop(stream.set_nodelay(true));
        let (door, mut stopped) = (Arc::clone(&door), stopped.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let door = Arc::clone(&door);
                async move { Ok::<_, Infallible>(proxy::handle(door, request).await) }
            });
            let mut connection = std::pin::pin!(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(CLIENT_IDLE_MAX)
                    .max_buf_size(HEAD_BYTES_MAX)
                    .serve_connection(TokioIo::new(stream), service)
            );
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = stopped.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a client's connection ended");
            }
            drop(permit);
        });
    }
}

async fn serve_control(
    door: Arc<Door>,
    listener: UnixListener,
    stop: watch::Sender<()>,
    controls: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = Arc::clone(&controls).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                rest_after(&error).await;
                continue;
            }
        };
        let (door, stop) = (Arc::clone(&door), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                // In a task of its own: a host that goes away does not cut a change in two.
                let handled = tokio::spawn(control(Arc::clone(&door), stop.clone(), request));
                async move { handled.await }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a control connection ended");
            }
            drop(permit);
        });
    }
}

/// No files left, most likely: a rest, so that others can give theirs back.
async fn rest_after(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn control(
    door: Arc<Door>,
    stop: watch::Sender<()>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let answered = match Limited::new(body, wire::BODY_BYTES_MAX).collect().await {
        Ok(body) => door.steer(parts.uri.path(), &body.to_bytes(), &stop).await,
        Err(error) => Err(Refusal::NotUnderstood {
            detail: error.to_string(),
        }),
    };
    let (status, bytes) = match answered {
        Ok(bytes) => (StatusCode::OK, bytes),
        Err(refusal) => (
            StatusCode::CONFLICT,
            serde_json::to_vec(&refusal).unwrap_or_default(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    response
}
