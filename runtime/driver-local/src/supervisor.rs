//! The supervisor: a small process that starts one service process and stays with it.
//!
//! It has a session of its own, so that Ctrl-C and the end of the host do not reach it. It holds
//! the slot's lock from before the service starts until after it ended: a slot never has two
//! nodes. It checks the owner record itself, under the folder's lock, at each start and stop,
//! because the host that asked may have been stopped and superseded in between.

use crate::artifact::{Artifact, DrainSignal, Placeholders};
use crate::files;
use crate::owner::ServiceFolder;
use crate::process::{ProcessMark, raw_pid};
use crate::slot::{
    Answer, Ask, Phase, Slot, SlotState, Spec, StartAnswer, end_session, read_line, socket_path,
    write_line,
};
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use wavegate_model::observation::Stamp;
use wavegate_ports::driver::DriverError;

/// Exit code if the slot has a supervisor already.
const EXIT_TAKEN: u8 = 73;
/// Exit code if the service could not be started or the command is out of date.
const EXIT_NOT_STARTED: u8 = 74;
/// A log keeps the last of what a service writes: enough to see why it ended, and a bound.
const LOG_BYTES_MAX: u64 = 1 << 20;
/// How much of a log stays when it is cut.
const LOG_BYTES_KEPT: u64 = 64 << 10;
/// How often logs are looked at.
const LOG_INTERVAL: Duration = Duration::from_secs(2);
/// A service that ends this soon, while somebody else has its port, lost the race for it.
const PORT_RACE_TIME: Duration = Duration::from_secs(5);
/// How often another port is tried after a lost race; losing three times is not chance.
const PORT_ATTEMPTS_MAX: u32 = 3;
/// Ports for nodes: below those that systems hand out to clients (from 32768 on Linux), so that
/// no outgoing connection takes one between its choice and its use.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// A client of the control socket has its line ready when it connects.
const ASK_TIME_MAX: Duration = Duration::from_secs(2);
/// Variables that a service gets from the host; nothing else of its environment, because there
/// may be credentials in it.
const ENV_KEPT: [&str; 9] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
];

impl From<DrainSignal> for Signal {
    fn from(signal: DrainSignal) -> Self {
        match signal {
            DrainSignal::Term => Self::TERM,
            DrainSignal::Int => Self::INT,
            DrainSignal::Quit => Self::QUIT,
            DrainSignal::Hup => Self::HUP,
            DrainSignal::Usr1 => Self::USR1,
            DrainSignal::Usr2 => Self::USR2,
        }
    }
}

/// Runs a supervisor: the hidden subcommand that [`crate::Helpers`] names. The argument is the
/// slot's folder, for people who look at process lists; all else comes on standard input.
pub fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    let _for_people = args;
    // Fails only for the leader of a process group, which is then out of reach of Ctrl-C anyway.
    if let Err(error) = rustix::process::setsid() {
        log(&format!("has no session of its own: {error}"));
    }
    let run = || -> io::Result<ExitCode> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(run())
    };
    run().unwrap_or_else(|error| {
        log(&error.to_string());
        answer(&StartAnswer::Failed {
            detail: error.to_string(),
        });
        ExitCode::from(EXIT_NOT_STARTED)
    })
}

fn log(text: &str) {
    let at = files::now();
    // There is nowhere else to complain.
    let _ = writeln!(
        io::stderr(),
        "{at} supervisor {}: {text}",
        std::process::id(),
        at = at.0
    );
}

/// Tells the host. It may be gone, which changes nothing here.
fn answer(answer: &StartAnswer) {
    if let Ok(line) = serde_json::to_string(answer) {
        let _ = writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush());
    }
}

async fn run() -> io::Result<ExitCode> {
    let mut text = String::new();
    io::stdin()
        .take(crate::slot::LINE_BYTES_MAX)
        .read_to_string(&mut text)?;
    let spec: Spec = serde_json::from_str(&text)?;
    let slot = Slot::of(&spec.folder, spec.slot);
    let Some(_lock) = files::try_lock(&slot.lock_path())? else {
        answer(&StartAnswer::Taken);
        return Ok(ExitCode::from(EXIT_TAKEN));
    };
    let previous = slot.read()?;
    if let Some(previous) = &previous {
        end_session(&previous.supervisor).await?;
    }
    let artifact = match Artifact::of(&spec.release) {
        Ok(artifact) => artifact,
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
    };
    let sequence = previous.map_or(0, |previous| previous.sequence) + 1;
    let mut node = Node::new(spec, slot, artifact, sequence)?;
    let listener = node.listen()?;
    match node.launch() {
        Ok(child) => {
            answer(&StartAnswer::Started {
                node: node.state.node.clone(),
            });
            node.supervise(child, listener).await
        }
        Err(Refusal::Stale(current)) => {
            answer(&StartAnswer::Stale { current });
            Ok(ExitCode::from(EXIT_NOT_STARTED))
        }
        Err(Refusal::Failed(detail)) => {
            log(&detail);
            node.write(Phase::Ended, Some(detail.clone()))?;
            answer(&StartAnswer::Ended { detail });
            Ok(ExitCode::from(EXIT_NOT_STARTED))
        }
    }
}

/// Why something was not done.
enum Refusal {
    Stale((u64, u64)),
    Failed(String),
}

impl From<DriverError> for Refusal {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Stale { current, .. } => Self::Stale(current),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The node of this supervisor.
struct Node {
    slot: Slot,
    /// Where the service lives: it cannot overwrite the files of the slot by accident.
    work: PathBuf,
    folder: ServiceFolder,
    artifact: Artifact,
    state: SlotState,
    attempts: u32,
    launched: Instant,
}

/// A request from the control socket, with the stream to answer on.
struct Asked {
    ask: Ask,
    stream: BufReader<UnixStream>,
}

/// What was asked of the service.
enum Course {
    Run,
    /// By when, and who wants to know.
    Stop {
        kill_at: tokio::time::Instant,
        waiting: Vec<BufReader<UnixStream>>,
    },
}

impl Node {
    fn new(spec: Spec, slot: Slot, artifact: Artifact, sequence: u64) -> io::Result<Self> {
        let gone = || io::Error::other("/proc does not show this process");
        let work = slot.dir.join("work");
        fs::create_dir_all(&work)?;
        let state = SlotState {
            phase: Phase::Starting,
            node: format!("{}-{}.{sequence}", spec.cluster, spec.slot),
            sequence,
            release: spec.release,
            stamp: spec.stamp,
            supervisor: ProcessMark::of(std::process::id()).ok_or_else(gone)?,
            service: None,
            port: 0,
            started: files::now(),
            exit: None,
        };
        let folder = ServiceFolder {
            cluster: spec.cluster,
            path: spec.folder,
        };
        Ok(Self {
            slot,
            work,
            folder,
            artifact,
            state,
            attempts: 0,
            launched: Instant::now(),
        })
    }

    fn listen(&self) -> io::Result<UnixListener> {
        let dir = File::open(&self.slot.dir)?;
        match fs::remove_file(self.slot.dir.join("ctl")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        UnixListener::bind(socket_path(&dir))
    }

    fn write(&mut self, phase: Phase, exit: Option<String>) -> io::Result<()> {
        self.state.phase = phase;
        self.state.exit = exit;
        files::write_json(&self.slot.state_path(), &self.state)
    }

    /// Starts the service. Under the folder's lock, so that whoever claims the cluster later
    /// sees the node, and whoever was superseded starts none.
    fn launch(&mut self) -> Result<Child, Refusal> {
        let folder = self.folder.clone();
        let _lock = folder.lock()?;
        folder.admit(self.state.stamp)?;
        self.attempts += 1;
        self.state.port = free_port(&self.slot.dir, self.state.sequence, self.attempts)?;
        self.state.service = None;
        self.write(Phase::Starting, None)?;
        let child = self.spawn()?;
        self.state.service = child.id().and_then(ProcessMark::of);
        self.launched = Instant::now();
        self.write(Phase::Running, None)?;
        Ok(child)
    }

    fn spawn(&self) -> Result<Child, Refusal> {
        let dir = self.work.to_string_lossy();
        let folder = match &self.artifact.folder {
            Some(folder) if !folder.is_dir() => {
                let detail = format!("the folder {} of the release is missing", folder.display());
                return Err(Refusal::Failed(detail));
            }
            Some(folder) => folder.to_string_lossy(),
            None => "{folder}".into(),
        };
        let values = Placeholders {
            port: self.state.port,
            node: &self.state.node,
            cluster: self.folder.cluster.as_str(),
            dir: &dir,
            folder: &folder,
            version: &self.state.release.version,
        };
        self.write_files(&values)?;
        let mut words = self.artifact.command.iter().map(|word| values.fill(word));
        let program = words.next().unwrap_or_default();
        let open = |name: &str| {
            File::options()
                .create(true)
                .append(true)
                .open(self.slot.dir.join(name))
        };
        let kept = ENV_KEPT
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        Command::new(&program)
            .args(words)
            .current_dir(&self.work)
            .env_clear()
            .envs(kept)
            .envs(
                self.artifact
                    .env
                    .iter()
                    .map(|(name, value)| (name, values.fill(value))),
            )
            .stdin(Stdio::null())
            .stdout(open("stdout.log")?)
            .stderr(open("stderr.log")?)
            // A group of its own, so that it can be ended with its children.
            .process_group(0)
            // If this process fails, the service has no supervisor and must not go on.
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Refusal::Failed(format!("cannot start `{program}`: {error}")))
    }

    /// Writes the files of the release, anew at each start: the port is another one.
    fn write_files(&self, values: &Placeholders<'_>) -> Result<(), Refusal> {
        for (path, text) in &self.artifact.files {
            let path = self.work.join(path);
            let written = path
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&path, values.fill(text)));
            written.map_err(|error| {
                Refusal::Failed(format!("cannot write {}: {error}", path.display()))
            })?;
        }
        Ok(())
    }

    async fn supervise(mut self, mut child: Child, listener: UnixListener) -> io::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate())?;
        // Taken so that they do not end this process.
        let _interrupt = signal(SignalKind::interrupt())?;
        let _hang_up = signal(SignalKind::hangup())?;
        let mut asked = accept(listener);
        let mut look_at_logs = tokio::time::interval(LOG_INTERVAL);
        let mut course = Course::Run;
        let exit = loop {
            let kill_at = match &course {
                Course::Run => None,
                Course::Stop { kill_at, .. } => Some(*kill_at),
            };
            tokio::select! {
                exit = child.wait() => {
                    let exit = exit?;
                    end_session(&self.state.supervisor).await?;
                    match self.after_exit(exit, &course) {
                        Some(Ok(next)) => child = next,
                        Some(Err(detail)) => break detail,
                        None => break exit.to_string(),
                    }
                }
                Some(()) = terminate.recv() => course = self.drain(course)?,
                Some(Asked { ask, stream }) = asked.recv() => course = self.reply(ask, stream, course).await?,
                () = sleep_until(kill_at) => {
                    log("the service did not drain in time");
                    self.kill_group();
                    course = later(course);
                }
                _ = look_at_logs.tick() => self.cut_logs(),
            }
        };
        log(&format!("the service ended: {exit}"));
        match course {
            Course::Run => self.write(Phase::Ended, Some(exit))?,
            Course::Stop { waiting, .. } => {
                self.write(Phase::Stopped, Some(exit))?;
                for mut stream in waiting {
                    // Whoever asked may be gone.
                    let _ = write_line(stream.get_mut(), &Answer::Stopped).await;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Starts the service once more if it lost its port to somebody else. None: it ended for good.
    fn after_exit(&mut self, exit: ExitStatus, course: &Course) -> Option<Result<Child, String>> {
        let lost_port = matches!(course, Course::Run)
            && self.attempts < PORT_ATTEMPTS_MAX
            && self.launched.elapsed() < PORT_RACE_TIME
            && TcpListener::bind(crate::health::address(self.state.port)).is_err();
        if !lost_port {
            return None;
        }
        log(&format!(
            "the service ended ({exit}), and port {} is taken; trying another",
            self.state.port
        ));
        Some(self.launch().map_err(|refusal| match refusal {
            Refusal::Stale(current) => {
                format!("not started again: the cluster follows {current:?}")
            }
            Refusal::Failed(detail) => detail,
        }))
    }

    /// Asks the service to end. Asked twice, the first time counts.
    fn drain(&mut self, course: Course) -> io::Result<Course> {
        if matches!(course, Course::Stop { .. }) {
            return Ok(course);
        }
        self.write(Phase::Draining, None)?;
        if let Some(service) = &self.state.service {
            service.signal(self.artifact.drain.signal.into());
        }
        let kill_at = tokio::time::Instant::now() + self.artifact.drain_time();
        Ok(Course::Stop {
            kill_at,
            waiting: Vec::new(),
        })
    }

    async fn reply(
        &mut self,
        ask: Ask,
        mut stream: BufReader<UnixStream>,
        course: Course,
    ) -> io::Result<Course> {
        let (reply, mut course) = match ask {
            Ask::Status => (
                Answer::Status {
                    phase: self.state.phase,
                },
                course,
            ),
            Ask::Stop { stamp } => match self.drain_if_admitted(stamp, course) {
                Ok(course) => (Answer::Stopping, course),
                Err((Refusal::Stale(current), course)) => (Answer::Stale { current }, course),
                Err((Refusal::Failed(detail), course)) => (Answer::Failed { detail }, course),
            },
        };
        let written = write_line(stream.get_mut(), &reply).await;
        if let (Answer::Stopping, Ok(()), Course::Stop { waiting, .. }) =
            (&reply, written, &mut course)
        {
            waiting.push(stream);
        }
        Ok(course)
    }

    fn drain_if_admitted(
        &mut self,
        stamp: Option<Stamp>,
        course: Course,
    ) -> Result<Course, (Refusal, Course)> {
        let folder = self.folder.clone();
        let locked = stamp.map(|stamp| {
            let lock = folder.lock()?;
            folder.admit(stamp).map(|_| lock)
        });
        match locked.transpose() {
            // The lock lasts until the state says that the node is draining.
            Ok(_lock) => self
                .drain(course)
                .map_err(|error| (error.into(), Course::Run)),
            Err(error) => Err((error.into(), course)),
        }
    }

    fn kill_group(&self) {
        let group = self
            .state
            .service
            .as_ref()
            .and_then(|service| raw_pid(service.pid));
        if let Some(group) = group {
            // Fails if nobody is left, which is what it is for.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }

    fn cut_logs(&self) {
        for name in ["stdout.log", "stderr.log"] {
            if let Err(error) = cut_log(&self.slot.dir.join(name)) {
                log(&format!("cannot cut {name}: {error}"));
            }
        }
    }
}

/// The group was killed; if even that does not end it, look again in a second.
fn later(course: Course) -> Course {
    match course {
        Course::Run => Course::Run,
        Course::Stop { waiting, .. } => Course::Stop {
            kill_at: tokio::time::Instant::now() + Duration::from_secs(1),
            waiting,
        },
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Reads requests from the control socket, each in its own task, so that a client that says
/// nothing keeps nobody waiting.
fn accept(listener: UnixListener) -> mpsc::Receiver<Asked> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                if let Ok(Ok(ask)) =
                    tokio::time::timeout(ASK_TIME_MAX, read_line(&mut stream)).await
                {
                    // Fails at the end of the process only.
                    let _ = sender.send(Asked { ask, stream }).await;
                }
            });
        }
    });
    receiver
}

/// Keeps the end of a log that has grown too long. The service appends, so that it goes on at
/// the new end; what it writes during the copy is lost.
fn cut_log(path: &Path) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    let mut file = File::options().read(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    if length <= LOG_BYTES_MAX {
        return Ok(());
    }
    file.seek(SeekFrom::Start(length - LOG_BYTES_KEPT))?;
    let mut end = Vec::new();
    Read::take(&mut file, LOG_BYTES_KEPT).read_to_end(&mut end)?;
    file.set_len(0)?;
    file.write_all(&end)
}

/// A port that nobody listens on. Where the search begins depends on the node, so that nodes
/// that start at the same time rarely try the same.
fn free_port(slot: &Path, sequence: u64, attempt: u32) -> io::Result<u16> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (slot, sequence, attempt).hash(&mut hasher);
    let width = u64::from(PORTS.end - PORTS.start);
    for step in 0..width {
        let offset = u16::try_from((hasher.finish() % width + step) % width).unwrap_or_default();
        if TcpListener::bind(crate::health::address(PORTS.start + offset)).is_ok() {
            return Ok(PORTS.start + offset);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "there is no free port",
    ))
}
