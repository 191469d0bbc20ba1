//! Fleets of real processes for tests, driven through the built `wavegate` binary.
//!
//! A [`Fleet`] is a folder of its own with the documents of the quickstart on ports of its own;
//! what still runs of it is stopped when it is dropped. [`Running`] is a command in the
//! foreground whose lines a test can wait for; [`Load`] is `wrk` at one front door.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Far longer than anything takes that a test waits for, also on two busy cores: a test that runs
/// into it has failed.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// The built binary: `WAVEGATE_BIN`, or the one beside the tests.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("WAVEGATE_BIN") {
        return named.into();
    }
    let this = std::env::current_exe().expect("a test has a file");
    let folder = this.parent().and_then(Path::parent);
    let found = folder
        .expect("tests are in target/release/deps")
        .join("wavegate");
    assert!(
        found.exists(),
        "{} is missing: build it first, or name it in WAVEGATE_BIN",
        found.display()
    );
    found
}

/// Looks again and again until there is something, or the deadline passes.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Sends one request to a front door, and returns the whole answer.
///
/// # Panics
/// If there is none.
pub fn ask(door: SocketAddr) -> String {
    let mut stream = TcpStream::connect(door).expect("the front door takes connections");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a deadline can be set");
    let request = format!("GET / HTTP/1.1\r\nhost: {door}\r\nconnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the front door reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the front door answers");
    answer
}

/// Three free ports in a row. Tests of one process never get the same ones; the range lies below
/// those that systems hand out and those that nodes take.
fn ports() -> u16 {
    const FIRST: u16 = 11_000;
    const TRIPLES: u16 = 2_900;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let this = u16::try_from(std::process::id() % u32::from(TRIPLES)).unwrap_or_default();
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..TRIPLES)
        .map(|_| NEXT.fetch_add(1, Ordering::Relaxed))
        // Processes that run at once have numbers near each other.
        .map(|step| FIRST + (this.wrapping_mul(37).wrapping_add(step)) % TRIPLES * 3)
        .find(|base| (0..3).all(|site| free(base + site)))
        .expect("three ports in a row are free")
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Itself, if it ended with this exit code.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.out,
            self.err
        );
        self
    }

    /// The lines of standard output as JSON.
    ///
    /// # Panics
    /// If one is not an object with a `version`.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        json_lines(self.out.lines())
    }
}

#[track_caller]
fn json_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<serde_json::Value> {
    let parse = |line: &str| {
        let value: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(value["version"].is_u64(), "no version in {line}");
        value
    };
    lines.map(parse).collect()
}

/// A folder with documents of the quickstart, whose processes end with it.
#[derive(Debug)]
pub struct Fleet {
    folder: TempDir,
    port: u16,
}

impl Fleet {
    /// An empty folder and three ports.
    pub fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("wavegate-e2e-").tempdir();
        Self {
            folder: folder.expect("a folder can be made"),
            port: ports(),
        }
    }

    /// The documents of the quickstart: 3 sites of 4 nodes.
    pub fn quickstart() -> Self {
        let fleet = Self::empty();
        let port = fleet.port.to_string();
        let dir = fleet.documents().display().to_string();
        fleet.wavegate(&["init", &dir, "--port", &port]).expect(0);
        fleet
    }

    /// A small fleet for tests of how a rollout is steered: the sites `eu-1`, `us-1` and `ap-1`
    /// of 2 nodes each, in the waves `first` and `rest`, without soak and gates, and with this as
    /// the policy's `strategy:`.
    pub fn small(strategy: &str) -> Self {
        let fleet = Self::quickstart();
        let documents = fleet.read("fleet.yaml").replace("nodes: 4", "nodes: 2");
        fleet.write("fleet.yaml", &documents);
        fleet.write("policy.yaml", &SMALL_POLICY.replace("@STRATEGY@", strategy));
        fleet
    }

    /// The folder that everything is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the documents and the clusters.
    pub fn documents(&self) -> PathBuf {
        self.folder().join("demo")
    }

    /// The folder of the journal.
    pub fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// First port of the front doors.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The front doors: of `eu-1`, `us-1` and `ap-1`.
    pub fn doors(&self) -> [SocketAddr; 3] {
        [0, 1, 2].map(|site| SocketAddr::from(([127, 0, 0, 1], self.port + site)))
    }

    /// Text of a document.
    pub fn read(&self, name: &str) -> String {
        let path = self.documents().join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Writes a document.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.documents().join(name);
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Replaces a text in a document.
    ///
    /// # Panics
    /// If it does not occur.
    #[track_caller]
    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no `{from}`");
        self.write(name, &text.replace(from, to));
    }

    /// The binary in the folder, with the folder's state, and with nothing of the environment
    /// that would change what it does.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WAVEGATE_") {
                command.env_remove(name);
            }
        }
        command
            .env_remove("NO_COLOR")
            .env("USER", "ada")
            .env_remove("SUDO_USER")
            .env("WAVEGATE_STATE", self.state())
            .current_dir(self.folder())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    #[track_caller]
    pub fn wavegate(&self, arguments: &[&str]) -> Done {
        self.start(arguments).end()
    }

    /// Starts the binary in the foreground of a test.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    /// Starts all nodes on 1.0, and the front doors.
    #[track_caller]
    pub fn up(&self) {
        let dir = self.documents().display().to_string();
        self.wavegate(&["quickstart", &dir, "--fleet-only"])
            .expect(0);
    }

    /// Stops everything.
    #[track_caller]
    pub fn down(&self) -> Done {
        let dir = self.documents().display().to_string();
        self.wavegate(&["down", &dir]).expect(0)
    }

    /// The processes of this fleet: their command line or working folder names its folder, or
    /// that of a parent does.
    pub fn processes(&self) -> BTreeMap<u32, String> {
        let marker = self.folder().to_string_lossy().into_owned();
        let mut all = BTreeMap::new();
        let mut parents = BTreeMap::new();
        for entry in std::fs::read_dir("/proc").expect("/proc can be read") {
            let Ok(entry) = entry else { continue };
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let path = entry.path();
            // A process that has ended meanwhile has no command line, and neither has a zombie.
            let Ok(line) = std::fs::read(path.join("cmdline")) else {
                continue;
            };
            let Ok(stat) = std::fs::read_to_string(path.join("stat")) else {
                continue;
            };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let folder = std::fs::read_link(path.join("cwd")).unwrap_or_default();
            let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let parent = after_name.split_whitespace().nth(1);
            let parent = parent.and_then(|parent| parent.parse::<u32>().ok());
            if line.is_empty() || pid == std::process::id() {
                continue;
            }
            parents.insert(pid, parent.unwrap_or_default());
            let ours = line.contains(&marker) || folder.to_string_lossy().contains(&marker);
            all.insert(pid, (line, ours));
        }
        let ours = |pid: &u32| all.get(pid).is_some_and(|(_, ours)| *ours);
        all.iter()
            .filter(|(pid, _)| ours(pid) || parents.get(pid).is_some_and(ours))
            .map(|(pid, (line, _))| (*pid, line.clone()))
            .collect()
    }

    /// Nothing of the fleet runs any more, and nobody listens at its front doors.
    ///
    /// # Panics
    /// If something does.
    #[track_caller]
    pub fn assert_nothing_is_left(&self) {
        let left = self.processes();
        assert!(left.is_empty(), "still running: {left:#?}");
        for door in self.doors() {
            let open = TcpStream::connect_timeout(&door, Duration::from_secs(1));
            assert!(open.is_err(), "somebody listens at {door}");
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if !self.documents().exists() {
            return;
        }
        let dir = self.documents().display().to_string();
        // A test that fails must not leave processes either; why it failed is told already.
        let stopped = self.command(&["down", &dir]).output();
        if !std::thread::panicking() {
            let stopped = stopped.expect("the binary can be started");
            assert!(stopped.status.success(), "{stopped:?}");
        }
    }
}

/// Waves and limits of [`Fleet::small`].
const SMALL_POLICY: &str = "\
apiVersion: wavegate.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec:
  waves:
    - name: first
      clusters: {labels: {tier: canary}}
    - name: rest
      clusters: {labels: {tier: main}}
      maxParallelSites: 2
  batch: {size: 2, maxUnavailable: 1}
  timeLimits:
    batchProgress: {after: 60s, then: fail}
    cluster: {after: 5m, then: fail}
  failure:
    tolerate: 0
    then: rollBackTouched
    rollback: {batch: 100%, maxUnavailable: 50%, maxParallelSites: 3, progress: 60s}
  strategy:
@STRATEGY@
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// A command whose lines come while it runs. It is killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<(Stream, String)>,
    out: Vec<String>,
    err: Vec<String>,
}

impl Running {
    /// Starts a command; its standard streams must be pipes.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary can be started");
        let (send, lines) = channel();
        let err_send = send.clone();
        let out = child.stdout.take().expect("it is a pipe");
        let err = child.stderr.take().expect("it is a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // A test that does not listen any more needs no lines.
                let _ = send.send((Stream::Out, line));
            }
        });
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let _ = err_send.send((Stream::Err, line));
            }
        });
        Self {
            child,
            lines,
            out: Vec::new(),
            err: Vec::new(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process has an id"), signal)
            .expect("it has not been waited for");
    }

    /// Waits for a line, on either stream, that contains this, and returns it.
    ///
    /// # Panics
    /// If it ends before, or the deadline passes.
    #[track_caller]
    pub fn line(&mut self, part: &str) -> String {
        let seen = self.out.iter().chain(&self.err);
        if let Some(line) = seen.into_iter().find(|line| line.contains(part)) {
            return line.clone();
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(left(deadline)) {
                Ok(line) => {
                    let text = self.keep(line);
                    if text.contains(part) {
                        return text;
                    }
                }
                Err(_) => panic!(
                    "no line with `{part}`; stdout:\n{}\nstderr:\n{}",
                    self.out.join("\n"),
                    self.err.join("\n")
                ),
            }
        }
    }

    fn keep(&mut self, (stream, line): (Stream, String)) -> String {
        match stream {
            Stream::Out => self.out.push(line.clone()),
            Stream::Err => self.err.push(line.clone()),
        }
        line
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If the deadline passes.
    #[track_caller]
    pub fn end(mut self) -> Done {
        let deadline = Instant::now() + DEADLINE;
        // Processes that it leaves behind have streams of their own, so these end with it.
        loop {
            match self.lines.recv_timeout(left(deadline)) {
                Ok(line) => {
                    self.keep(line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!(
                    "it did not end; stdout:\n{}\nstderr:\n{}",
                    self.out.join("\n"),
                    self.err.join("\n")
                ),
            }
        }
        let status = self.child.wait().expect("it is our child");
        let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect();
        Done {
            code: status.code(),
            out: text(&self.out),
            err: text(&self.err),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless the test failed or wants it gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// `wrk` at one front door, at some hundred requests a second at most.
#[derive(Debug)]
pub struct Load {
    running: Running,
    started: Instant,
}

/// What a load generator saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// Answers by the first digits of the release's digest (`none` if no node answered) and by
    /// status.
    pub counts: BTreeMap<(String, u16), u64>,
    /// Connections that failed, and requests without an answer in time.
    pub errors: u64,
    /// How long it ran.
    pub seconds: f64,
}

impl Answers {
    /// All answers.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Answers that were not good, and requests without any.
    pub fn lost(&self) -> u64 {
        let bad = self
            .counts
            .iter()
            .filter(|((_, status), _)| !(200..300).contains(status));
        bad.map(|(_, count)| count).sum::<u64>() + self.errors
    }

    /// Answers of a release, by the first digits of its digest.
    pub fn of(&self, release: &str) -> u64 {
        let of = self.counts.iter().filter(|((name, _), _)| name == release);
        of.map(|(_, count)| count).sum()
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
        self.errors += other.errors;
        self.seconds = self.seconds.max(other.seconds);
        self
    }
}

/// Counts answers, and waits a little before each request: the machine is busy with the fleet.
const WRK_SCRIPT: &str = r#"
counts = {}
local threads = {}
function setup(thread) table.insert(threads, thread) end
function delay() return 20 end
function response(status, headers, body)
  local key = (headers["x-wavegate-release"] or "none") .. " " .. status
  counts[key] = (counts[key] or 0) + 1
end
function done(summary, latency, requests)
  for _, thread in ipairs(threads) do
    for key, count in pairs(thread:get("counts")) do print("answers " .. key .. " " .. count) end
  end
  local e = summary.errors
  print("errors " .. (e.connect + e.read + e.write + e.timeout))
end
"#;

impl Load {
    /// Starts it, with a script in the fleet's folder.
    ///
    /// # Panics
    /// If `wrk` is not installed.
    pub fn start(fleet: &Fleet, door: SocketAddr) -> Self {
        // Each its own: one that is just being written is no script.
        let script = fleet.folder().join(format!("count-{}.lua", door.port()));
        std::fs::write(&script, WRK_SCRIPT).expect("the folder can be written");
        let mut command = Command::new("wrk");
        command
            // It is told to stop long before this ends.
            .args(["-t1", "-c4", "-d600s", "--timeout", "5s", "-s"])
            .arg(&script)
            .arg(format!("http://{door}/"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let version = Command::new("wrk").arg("-v").output();
        assert!(
            version.is_ok(),
            "the load generator wrk is missing: install the package `wrk`"
        );
        let started = Instant::now();
        let running = Running::start(command);
        Self { running, started }
    }

    /// One at each of the front doors.
    pub fn everywhere(fleet: &Fleet) -> Vec<Self> {
        let doors = fleet.doors();
        doors.map(|door| Self::start(fleet, door)).into()
    }

    /// Stops it, and says what it saw.
    #[track_caller]
    pub fn stop(self) -> Answers {
        self.running.signal(rustix::process::Signal::INT);
        let seconds = self.started.elapsed().as_secs_f64();
        let done = self.running.end().expect(0);
        let mut answers = Answers {
            seconds,
            ..Answers::default()
        };
        let mut told = false;
        for line in done.out.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: &str| word.parse::<u64>().expect("wrk's script prints numbers");
            match words.as_slice() {
                ["answers", release, status, count] => {
                    let status = status.parse().expect("a status is a number");
                    let key = ((*release).to_owned(), status);
                    answers.counts.insert(key, number(count));
                }
                ["errors", count] => {
                    answers.errors = number(count);
                    told = true;
                }
                _ => {}
            }
        }
        assert!(told, "wrk told nothing:\n{}\n{}", done.out, done.err);
        answers
    }
}
