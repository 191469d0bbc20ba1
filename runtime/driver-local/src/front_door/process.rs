//! The process itself: arguments, session, lock, sockets, signals.

use super::door::Door;
use super::server;
use super::state;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Exit code when another front door holds the lock of the folder.
pub(super) const EXIT_LOCKED: u8 = 3;
/// Time for requests in flight when it stops. Whoever stops a front door has drained it or
/// removes everything, so ten seconds are for stragglers.
pub(super) const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// A process waits for the network most of the time; two threads carry thousands of requests a second.
const WORKER_THREADS: usize = 2;

pub(super) fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

pub(super) fn log_path(dir: &Path) -> PathBuf {
    dir.join("log")
}

fn ctl_path(dir: &Path) -> PathBuf {
    dir.join("ctl")
}

/// Connects to the control socket.
pub(super) async fn connect_ctl(dir: &Path) -> io::Result<UnixStream> {
    let short = ShortPath::of(dir)?;
    UnixStream::connect(short.dir.join("ctl")).await
}

/// A path that fits into a socket address, which holds 108 bytes on Linux, 104 elsewhere.
/// A long folder is reached through an open handle of it.
struct ShortPath {
    dir: PathBuf,
    /// Keeps the path valid.
    _open: Option<File>,
}

impl ShortPath {
    fn of(dir: &Path) -> io::Result<Self> {
        const DIR_BYTES_MAX: usize = 96;
        if dir.as_os_str().len() <= DIR_BYTES_MAX || !cfg!(target_os = "linux") {
            return Ok(Self {
                dir: dir.to_owned(),
                _open: None,
            });
        }
        let open = File::open(dir)?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&open);
        Ok(Self {
            dir: PathBuf::from(format!("/proc/self/fd/{fd}")),
            _open: Some(open),
        })
    }
}

/// Runs a front door: `--dir DIR --listen ADDRESS`. Returns when it was stopped.
pub fn main(args: impl Iterator<Item = String>) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log file is where this goes; that it cannot be written has no other place to go.
            drop(writeln!(io::stderr(), "front door: {error}"));
            match error {
                ProcessError::Locked(_) => ExitCode::from(EXIT_LOCKED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    #[error("usage: --dir DIR --listen ADDRESS")]
    Usage,
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    #[error("another front door holds {}", .0.display())]
    Locked(PathBuf),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error("cannot {0}: {1}")]
    Io(&'static str, io::Error),
    #[error("{0}")]
    State(#[from] state::StateError),
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<(PathBuf, SocketAddr)> {
    let (mut dir, mut listen) = (None, None);
    while let Some(flag) = args.next() {
        let value = args.next()?;
        match flag.as_str() {
            "--dir" => dir = Some(PathBuf::from(value)),
            "--listen" => listen = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some((dir?, listen?))
}

fn run(args: impl Iterator<Item = String>) -> Result<(), ProcessError> {
    let (dir, listen) = parse(args).ok_or(ProcessError::Usage)?;
    if !listen.ip().is_loopback() {
        return Err(ProcessError::NotLoopback(listen));
    }
    // A session of its own: Ctrl-C and a closed terminal are for the host. It fails only for the
    // leader of a group, which is what a shell makes of it by hand: then there is nothing to leave.
    rustix::process::setsid().ok();
    let _lock = take_lock(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .map_err(|error| ProcessError::Io("start the runtime", error))?;
    runtime.block_on(async {
        let (stop, _) = watch::channel(false);
        stop_on_signal(stop.clone())?;
        serve(&dir, listen, stop).await
    })
}

/// The lock lasts as long as the process, and has its pid for whoever must end it.
fn take_lock(dir: &Path) -> Result<File, ProcessError> {
    let io = |error| ProcessError::Io("open the lock", error);
    fs::create_dir_all(dir).map_err(io)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(io)?;
    let path = lock_path(dir);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(ProcessError::Locked(path)),
        Err(fs::TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(io)?;
    Ok(file)
}

/// Serves until it is told to stop over the control socket or through `stop`.
pub(super) async fn serve(
    dir: &Path,
    listen: SocketAddr,
    stop: watch::Sender<bool>,
) -> Result<(), ProcessError> {
    let stored = state::load(dir)?;
    // Clients know the address: with any port to choose from, the one from before comes first.
    let before = stored
        .listen
        .filter(|before| listen.port() == 0 && before.ip() == listen.ip());
    let wanted = before.unwrap_or(listen);
    let data = TcpListener::bind(wanted)
        .await
        .map_err(|error| ProcessError::Listen(wanted, error))?;
    let address = data
        .local_addr()
        .map_err(|error| ProcessError::Listen(wanted, error))?;
    let metrics = stored.metrics;
    let door = Arc::new(Door::open(dir.to_owned(), address, stored)?);
    // Requests go on without them; whoever wants them says so again, and is told why not.
    if let Some(listen) = metrics
        && let Err(refusal) = super::metrics::set(&door, Some(listen)).await
    {
        tracing::warn!(?refusal, "the metrics are not given");
    }
    let control =
        bind_ctl(dir).map_err(|error| ProcessError::Io("open the control socket", error))?;
    server::serve(Arc::clone(&door), data, control, stop).await;
    super::metrics::close(&door).await;
    // What is left is removed by the next one.
    drop(fs::remove_file(ctl_path(dir)));
    Ok(())
}

fn bind_ctl(dir: &Path) -> io::Result<UnixListener> {
    let short = ShortPath::of(dir)?;
    // What is there is from a process that was killed: the lock says that nobody else runs.
    match fs::remove_file(ctl_path(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(short.dir.join("ctl"))?;
    fs::set_permissions(ctl_path(dir), fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn stop_on_signal(stop: watch::Sender<bool>) -> Result<(), ProcessError> {
    let io = |error| ProcessError::Io("listen for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(io)?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                // A terminal that goes away is no reason to stop serving.
                _ = hangup.recv() => {}
            }
        }
        stop.send_replace(true);
    });
    Ok(())
}
