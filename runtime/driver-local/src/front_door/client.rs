//! The host's side: starts, finds and steers a front door by its folder.

use super::wire::{self, Refusal};
use super::{Backend, FrontDoorError, FrontDoorStatus, Totals};
use crate::Helpers;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use wavegate_model::evidence::Requests;
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, Digest, Epoch, Split, Timestamp};

/// A call that does not wait for requests to end: it writes one small file at most, so five
/// seconds mean that the process is stopped or the machine is.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
/// From the start of the process to its first answer; it takes milliseconds on an idle machine.
const START_TIME_MAX: Duration = Duration::from_secs(15);
/// The process finishes its requests within [`super::process::STOP_TIME_MAX`]; a little more.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);
/// Between two looks at something that has no event to wait for.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A front door, found by its folder. Holds no connection: the process may come and go.
#[derive(Clone, Debug)]
pub struct FrontDoor {
    dir: PathBuf,
}

impl FrontDoor {
    /// Finds the front door that runs in the folder, or starts it and waits until it answers.
    /// With port 0 it takes any free port, and the same again after a restart;
    /// [`FrontDoor::status`] says which.
    pub async fn ensure(
        helpers: &Helpers,
        dir: &Path,
        listen: SocketAddr,
    ) -> Result<Self, FrontDoorError> {
        if !listen.ip().is_loopback() {
            return Err(FrontDoorError::NotLoopback(listen));
        }
        let door = Self {
            dir: dir.to_owned(),
        };
        if let Ok(status) = door.status().await {
            return door.if_listening_on(listen, status.listen);
        }
        let started = Instant::now();
        let mut child = Some(door.spawn(helpers, listen)?);
        let mut ended = None;
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        loop {
            poll.tick().await;
            let last = match door.status().await {
                Ok(status) => return door.if_listening_on(listen, status.listen),
                Err(error) => error,
            };
            if let Some(running) = &mut child
                && let Ok(Some(exit)) = running.try_wait()
            {
                // Somebody else may have been faster: then the lock was taken, and theirs answers soon.
                if exit.code() != Some(i32::from(super::process::EXIT_LOCKED)) {
                    let detail = format!("it ended with {exit}{}", door.end_of_log());
                    return Err(FrontDoorError::Start {
                        dir: door.dir,
                        detail,
                    });
                }
                child = None;
                ended = Some(exit);
            }
            if started.elapsed() > START_TIME_MAX {
                let detail = match ended {
                    Some(_) => format!("another process holds its lock; {last}"),
                    None => format!(
                        "it was not ready after {} s{}",
                        START_TIME_MAX.as_secs(),
                        door.end_of_log()
                    ),
                };
                return Err(FrontDoorError::Start {
                    dir: door.dir,
                    detail,
                });
            }
        }
    }

    /// The front door of a folder, whether or not it runs.
    pub fn of(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Says which nodes of a cluster get requests: these and no others. A node that was drained
    /// gets requests again if it is named here, so its caller must know what is being drained.
    /// Nodes that are taken out finish what they have; wait for that with [`FrontDoor::drain`].
    pub async fn set_backends(
        &self,
        cluster: &ClusterName,
        backends: Vec<Backend>,
    ) -> Result<(), FrontDoorError> {
        let body = wire::SetBackends {
            cluster: cluster.clone(),
            backends,
        };
        self.call(wire::SET_BACKENDS, &body, CALL_TIME_MAX).await
    }

    /// Takes nodes out and returns when they have finished their requests, with no connection
    /// to them left open. After the timeout they are still out, but not finished.
    pub async fn drain(
        &self,
        cluster: &ClusterName,
        nodes: &[String],
        timeout: Duration,
    ) -> Result<(), FrontDoorError> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let body = wire::Drain {
            cluster: cluster.clone(),
            nodes: nodes.to_vec(),
            timeout_ms,
        };
        self.call(wire::DRAIN, &body, timeout.saturating_add(CALL_TIME_MAX))
            .await
    }

    /// Writes the split in one step. It is on disk before this returns. Stamps name every cluster
    /// that the old or the new split has; without any, only the very first split is accepted.
    /// Older stamps are refused, equal ones have nothing more to do.
    pub async fn set_split(
        &self,
        stamps: Vec<(ClusterName, Stamp)>,
        split: &Split,
    ) -> Result<(), FrontDoorError> {
        let body = wire::SetSplit {
            stamps,
            split: split.clone(),
        };
        self.call(wire::SET_SPLIT, &body, CALL_TIME_MAX).await
    }

    /// Refuses splits of lower epochs from here on. Whoever takes clusters over says so before
    /// anything else: a host that was stopped between its last look at the owner record and its
    /// write would otherwise still be believed. A lower fence than the one that stands has
    /// nothing to do.
    pub async fn fence(&self, epochs: Vec<(ClusterName, Epoch)>) -> Result<(), FrontDoorError> {
        self.call(wire::FENCE, &wire::Fence { epochs }, CALL_TIME_MAX)
            .await
    }

    /// Gives its metrics on this address, on none any more if there is none. With port 0 it takes
    /// any free port; [`FrontDoor::status`] says which. It does so again after a restart.
    pub async fn set_metrics(&self, listen: Option<SocketAddr>) -> Result<(), FrontDoorError> {
        if let Some(open) = listen.filter(|listen| !listen.ip().is_loopback()) {
            return Err(FrontDoorError::NotLoopback(open));
        }
        self.call(
            wire::SET_METRICS,
            &wire::SetMetrics { listen },
            CALL_TIME_MAX,
        )
        .await
    }

    /// What it is doing.
    pub async fn status(&self) -> Result<FrontDoorStatus, FrontDoorError> {
        self.call(wire::STATUS, &(), CALL_TIME_MAX).await
    }

    /// Sums up the requests that ended in the window. Nothing from before `since` counts, up to
    /// a bucket (250 ms) after it is left out; the window is 15 minutes at most. Latency is the
    /// time to the head of the answer, precise to about 2.2 %.
    pub async fn stats(
        &self,
        cluster: &ClusterName,
        release: &Digest,
        since: Timestamp,
    ) -> Result<Requests, FrontDoorError> {
        let body = wire::Stats {
            cluster: cluster.clone(),
            release: release.clone(),
            since,
        };
        self.call(wire::STATS, &body, CALL_TIME_MAX).await
    }

    /// All requests since the process started, by cluster and release.
    pub async fn totals(&self) -> Result<Vec<Totals>, FrontDoorError> {
        self.call(wire::TOTALS, &(), CALL_TIME_MAX).await
    }

    /// Stops taking connections, lets requests finish within a time limit, and ends the process.
    /// A process that does not answer is killed. Has nothing to do if none runs.
    pub async fn stop(&self) -> Result<(), FrontDoorError> {
        Self::stop_found(&self.dir).await.map(drop)
    }

    /// Like [`FrontDoor::stop`], for whatever is found in a folder.
    pub async fn stop_found(dir: &Path) -> Result<Found, FrontDoorError> {
        let door = Self::of(dir);
        if !door.is_locked() {
            return Ok(Found::Nothing);
        }
        let asked: Result<(), _> = door.call(wire::STOP, &(), CALL_TIME_MAX).await;
        if asked.is_err() || !door.wait_unlocked(STOP_TIME_MAX).await {
            door.kill();
            if !door.wait_unlocked(CALL_TIME_MAX).await {
                let detail = "it could be neither stopped nor killed".to_owned();
                return Err(FrontDoorError::Unreachable {
                    dir: door.dir,
                    detail,
                });
            }
        }
        Ok(Found::Stopped)
    }

    fn if_listening_on(
        self,
        wanted: SocketAddr,
        found: SocketAddr,
    ) -> Result<Self, FrontDoorError> {
        if wanted.port() == 0 || wanted == found {
            return Ok(self);
        }
        Err(FrontDoorError::ListensElsewhere {
            dir: self.dir,
            wanted,
            found,
        })
    }

    fn spawn(&self, helpers: &Helpers, listen: SocketAddr) -> Result<Child, FrontDoorError> {
        let start = || -> std::io::Result<Child> {
            fs::create_dir_all(&self.dir)?;
            let log = File::options()
                .create(true)
                .append(true)
                .open(super::process::log_path(&self.dir))?;
            Command::new(&helpers.program)
                .args(&helpers.front_door_args)
                .arg("--dir")
                .arg(&self.dir)
                .arg("--listen")
                .arg(listen.to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
        };
        start().map_err(|error| FrontDoorError::Start {
            dir: self.dir.clone(),
            detail: error.to_string(),
        })
    }

    /// The last lines of the log, for an error message.
    fn end_of_log(&self) -> String {
        const LOG_BYTES_SHOWN: i64 = 600;
        let read = || -> std::io::Result<String> {
            let mut file = File::open(super::process::log_path(&self.dir))?;
            let len = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
            file.seek(SeekFrom::End(-len.min(LOG_BYTES_SHOWN)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        match read() {
            Ok(text) if !text.is_empty() => format!("; its log ends: {text}"),
            Ok(_) | Err(_) => String::new(),
        }
    }

    fn is_locked(&self) -> bool {
        // The file is opened, never created: looking must not leave anything behind.
        let Ok(file) = File::options()
            .read(true)
            .write(true)
            .open(super::process::lock_path(&self.dir))
        else {
            return false;
        };
        matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
    }

    async fn wait_unlocked(&self, limit: Duration) -> bool {
        let started = Instant::now();
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        while self.is_locked() {
            if started.elapsed() > limit {
                return false;
            }
            poll.tick().await;
        }
        true
    }

    /// Kills the holder of the lock, whose pid is in the lock file.
    fn kill(&self) {
        let text = fs::read_to_string(super::process::lock_path(&self.dir)).unwrap_or_default();
        let pid = text
            .trim()
            .parse()
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid
            && self.is_locked()
            && let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::KILL)
        {
            tracing::warn!(%error, dir = %self.dir.display(), "cannot kill a front door that does not answer");
        }
    }

    async fn call<B: Serialize + Sync, A: DeserializeOwned>(
        &self,
        path: &'static str,
        body: &B,
        limit: Duration,
    ) -> Result<A, FrontDoorError> {
        let unreachable = |detail: String| FrontDoorError::Unreachable {
            dir: self.dir.clone(),
            detail,
        };
        let answered = tokio::time::timeout(limit, exchange(&self.dir, path, body));
        let (status, bytes) = answered
            .await
            .map_err(|_| unreachable(format!("no answer within {} ms", limit.as_millis())))?
            .map_err(|error| unreachable(error.to_string()))?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&bytes)
                .map_err(|error| unreachable(format!("bad answer: {error}")));
        }
        let refusal: Refusal = serde_json::from_slice(&bytes)
            .map_err(|error| unreachable(format!("status {status} with a bad body: {error}")))?;
        Err(refusal.into_error(&self.dir))
    }
}

/// What [`FrontDoor::stop_found`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No front door ran there.
    Nothing,
    /// One ran, and it has ended.
    Stopped,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn exchange<B: Serialize + Sync>(
    dir: &Path,
    path: &'static str,
    body: &B,
) -> Result<(StatusCode, Bytes), AnyError> {
    let body = Full::new(Bytes::from(serde_json::to_vec(body)?));
    let stream = super::process::connect_ctl(dir).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("host", "ctl")
        .body(body)?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let bytes = Limited::new(response.into_body(), wire::BODY_BYTES_MAX)
        .collect()
        .await?
        .to_bytes();
    connection.abort();
    Ok((status, bytes))
}
