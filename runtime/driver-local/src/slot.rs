//! A slot: the folder in which one node at a time lives, and how to talk to its supervisor.

use crate::artifact::Artifact;
use crate::files;
use crate::process::ProcessMark;
use crate::{Helpers, owner::ServiceFolder};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, Release, Timestamp};

/// Slots of one cluster: more processes than one machine runs well, and a bound on every look.
pub(crate) const SLOTS_MAX: u32 = 1000;
/// A supervisor answers from memory in well under a millisecond; a second means that it is stopped.
const STATUS_TIME_MAX: Duration = Duration::from_secs(1);
/// From the start of a supervisor to the start of the service: a lock that may take five seconds,
/// orphans to be ended, and a machine that is busy.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// Until a supervisor says that it is stopping: it may wait five seconds for the folder's lock.
const ACCEPT_TIME_MAX: Duration = Duration::from_secs(6);
/// On top of the time that the service has to drain: ending by force, writing the state.
pub(crate) const STOP_TIME_EXTRA: Duration = Duration::from_secs(5);
/// Ending by SIGKILL takes a moment; longer, and the machine is stuck.
pub(crate) const KILL_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of one line of the control protocol: a release document is by far the largest part.
pub(crate) const LINE_BYTES_MAX: u64 = 1 << 20;

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// The supervisor is there, the service is about to be started.
    Starting,
    /// The service was started.
    Running,
    /// It was asked to end.
    Draining,
    /// It ended because it was asked to, or was cleared away.
    Stopped,
    /// It ended by itself, or never started.
    Ended,
}

/// `state.json`, written by the supervisor while it holds the slot's lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotState {
    pub(crate) phase: Phase,
    /// Name of the node, never used again.
    pub(crate) node: String,
    /// Counts the nodes of this slot.
    pub(crate) sequence: u64,
    pub(crate) release: Release,
    /// The command that started it.
    pub(crate) stamp: Stamp,
    pub(crate) supervisor: ProcessMark,
    /// None until it was started.
    pub(crate) service: Option<ProcessMark>,
    pub(crate) port: u16,
    pub(crate) started: Timestamp,
    /// How it ended, for people.
    pub(crate) exit: Option<String>,
}

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Nothing.
    Free,
    /// A supervisor with its service.
    Live,
    /// A supervisor whose service is ending on demand.
    Draining,
    /// A node that ended by itself, or whose supervisor did; the service may be an orphan.
    Dead,
}

impl SlotState {
    pub(crate) fn presence(&self) -> Presence {
        match self.phase {
            Phase::Stopped => Presence::Free,
            Phase::Ended => Presence::Dead,
            Phase::Starting | Phase::Running | Phase::Draining if !self.supervisor.is_alive() => {
                Presence::Dead
            }
            Phase::Starting | Phase::Running => Presence::Live,
            Phase::Draining => Presence::Draining,
        }
    }
}

/// What a supervisor reads from its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) cluster: ClusterName,
    /// Folder of the (cluster, service).
    pub(crate) folder: PathBuf,
    pub(crate) slot: u32,
    pub(crate) release: Release,
    pub(crate) stamp: Stamp,
}

/// What a supervisor answers on its standard output, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StartAnswer {
    /// The service was started.
    Started { node: String },
    /// The slot has a supervisor already.
    Taken,
    /// The command that it belongs to is out of date. Epoch and generation that count now.
    Stale { current: (u64, u64) },
    /// The service could not be started. The slot shows a node that ended.
    Ended { detail: String },
    /// Not even that.
    Failed { detail: String },
}

/// What a supervisor can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ask {
    Status,
    /// Drain and end. Without a stamp nobody's permission is needed, as when a fleet is taken down.
    Stop {
        stamp: Option<Stamp>,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Status {
        phase: Phase,
    },
    /// It is draining; `Stopped` follows.
    Stopping,
    Stopped,
    Stale {
        current: (u64, u64),
    },
    Failed {
        detail: String,
    },
}

/// A slot by its folder.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) number: u32,
    pub(crate) dir: PathBuf,
}

impl Slot {
    pub(crate) fn of(folder: &Path, number: u32) -> Self {
        Self {
            number,
            dir: folder.join("slots").join(number.to_string()),
        }
    }

    /// All slots that were ever used, in order.
    pub(crate) fn all(folder: &ServiceFolder) -> io::Result<Vec<Self>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder.slots())? {
            numbers.extend(
                entry?
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<u32>().ok()),
            );
        }
        numbers.sort_unstable();
        Ok(numbers
            .into_iter()
            .map(|number| Self::of(&folder.path, number))
            .collect())
    }

    pub(crate) fn state_path(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn read(&self) -> io::Result<Option<SlotState>> {
        files::read_json(&self.state_path())
    }

    /// The node in this slot; none in a free one.
    pub(crate) fn node(&self) -> io::Result<Option<(SlotState, Presence)>> {
        let mut state = self.read()?;
        if state
            .as_ref()
            .is_some_and(|state| state.presence() == Presence::Dead)
        {
            // The supervisor may have ended in good order between the file and the look at it.
            // What it wrote before its end is in the file now.
            state = self.read()?;
        }
        let node = state.map(|state| (state.presence(), state));
        Ok(node
            .filter(|(presence, _)| *presence != Presence::Free)
            .map(|(presence, state)| (state, presence)))
    }

    /// Starts a supervisor, which starts the service, unless the slot is taken.
    pub(crate) async fn start(&self, helpers: &Helpers, spec: &Spec) -> io::Result<StartAnswer> {
        fs::create_dir_all(&self.dir)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("supervisor.log"))?;
        let mut supervisor = tokio::process::Command::new(&helpers.program)
            .args(&helpers.supervisor_args)
            .arg(&self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let (stdin, stdout) = (supervisor.stdin.take(), supervisor.stdout.take());
        // Somebody has to take note of its end, or it stays as a zombie while this process lives.
        tokio::spawn(async move { supervisor.wait().await });
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(io::Error::other("its pipes are missing"));
        };
        let exchange = async {
            stdin.write_all(&serde_json::to_vec(spec)?).await?;
            drop(stdin);
            read_line::<StartAnswer, _>(&mut BufReader::new(stdout)).await
        };
        let answer = tokio::time::timeout(START_TIME_MAX, exchange).await;
        answer.unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "its supervisor did not answer",
            ))
        })
    }

    async fn connect(&self) -> io::Result<BufReader<UnixStream>> {
        let dir = File::open(&self.dir)?;
        Ok(BufReader::new(
            UnixStream::connect(socket_path(&dir)).await?,
        ))
    }

    /// Whether the supervisor answers.
    pub(crate) async fn status(&self) -> io::Result<Phase> {
        let exchange = async {
            let mut stream = self.connect().await?;
            write_line(stream.get_mut(), &Ask::Status).await?;
            read_line(&mut stream).await
        };
        match tokio::time::timeout(STATUS_TIME_MAX, exchange).await {
            Ok(Ok(Answer::Status { phase })) => Ok(phase),
            Ok(Ok(other)) => Err(io::Error::other(format!("unexpected answer {other:?}"))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "its supervisor does not answer",
            )),
        }
    }

    /// Drains and ends the node, and returns when it and its supervisor are gone, so that the slot
    /// can be used again: the last answer of the supervisor.
    pub(crate) async fn stop(
        &self,
        state: &SlotState,
        stamp: Option<Stamp>,
        drain: Duration,
    ) -> io::Result<Answer> {
        let mut stream = self.connect().await?;
        let ask = async {
            write_line(stream.get_mut(), &Ask::Stop { stamp }).await?;
            read_line::<Answer, _>(&mut stream).await
        };
        let first = tokio::time::timeout(ACCEPT_TIME_MAX, ask).await;
        let first = first.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, "its supervisor does not answer")
        })??;
        if first != Answer::Stopping {
            return Ok(first);
        }
        let last = tokio::time::timeout(drain + STOP_TIME_EXTRA, read_line(&mut stream)).await;
        let last = last.map_err(|_| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                "its supervisor does not come to an end",
            )
        })?;
        wait_until(STOP_TIME_EXTRA, || !state.supervisor.is_alive()).await?;
        last
    }

    /// Ends a node whose supervisor does not answer, and the supervisor.
    pub(crate) async fn kill(&self, state: &SlotState) -> io::Result<()> {
        state.supervisor.signal(Signal::KILL);
        wait_until(KILL_TIME_MAX, || !state.supervisor.is_alive()).await?;
        end_session(&state.supervisor).await?;
        self.mark(
            state,
            Phase::Stopped,
            "killed: its supervisor did not answer",
        )
    }

    /// Ends what is left of a node whose supervisor is gone, and makes the slot free.
    pub(crate) async fn clear(&self, state: &SlotState) -> io::Result<()> {
        if let (Some(service), Ok(artifact)) = (&state.service, Artifact::of(&state.release))
            && service.is_alive()
        {
            service.signal(artifact.drain.signal.into());
            // What does not end now is ended by force.
            let _ = wait_until(artifact.drain_time(), || !service.is_alive()).await;
        }
        end_session(&state.supervisor).await?;
        self.mark(
            state,
            Phase::Stopped,
            state.exit.as_deref().unwrap_or("its supervisor was killed"),
        )
    }

    /// Writes a state for a node without a supervisor; not if a new one has come.
    fn mark(&self, state: &SlotState, phase: Phase, exit: &str) -> io::Result<()> {
        let Some(_lock) = files::try_lock(&self.lock_path())? else {
            return Ok(());
        };
        let exit = Some(exit.to_owned());
        files::write_json(
            &self.state_path(),
            &SlotState {
                phase,
                exit,
                ..state.clone()
            },
        )
    }
}

/// Kills the processes that are left of a session whose leader is gone.
pub(crate) async fn end_session(leader: &ProcessMark) -> io::Result<()> {
    wait_until(KILL_TIME_MAX, || {
        let members = leader.session_members();
        for pid in members
            .iter()
            .filter_map(|pid| crate::process::raw_pid(*pid))
        {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        members.is_empty()
    })
    .await
}

/// Looks again and again until something holds; there is no event for the end of another's child.
pub(crate) async fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> io::Result<()> {
    let started = Instant::now();
    let mut poll = tokio::time::interval(Duration::from_millis(5));
    while !holds() {
        if started.elapsed() > limit {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "a process does not end",
            ));
        }
        poll.tick().await;
    }
    Ok(())
}

/// The control socket by way of an open folder: a path of a socket has 107 bytes at most, and
/// folders of clusters can be deeper than that.
pub(crate) fn socket_path(dir: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}/ctl", dir.as_raw_fd()))
}

pub(crate) async fn write_line<T: Serialize>(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    value: &T,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

pub(crate) async fn read_line<T, S>(stream: &mut S) -> io::Result<T>
where
    T: serde::de::DeserializeOwned,
    S: tokio::io::AsyncBufRead + Unpin,
{
    use tokio::io::AsyncReadExt;
    let mut line = String::new();
    stream.take(LINE_BYTES_MAX).read_line(&mut line).await?;
    if line.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "its supervisor ended without an answer",
        ));
    }
    Ok(serde_json::from_str(&line)?)
}
