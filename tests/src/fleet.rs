//! Fleets of real processes for tests, driven through the built `wavegate` binary.
//!
//! A [`Fleet`] is a folder of its own with the documents of the quickstart on ports of its own;
//! what still runs of it is stopped when it is dropped. [`Running`] is a command in the
//! foreground whose lines a test can wait for; [`Load`] is `wrk` at one front door.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub use crate::load::{Answers, Load};
pub use crate::running::{Done, Running};

/// Far longer than anything takes that a test waits for, also on two busy cores: a test that runs
/// into it has failed.
pub const DEADLINE: Duration = Duration::from_secs(180);

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
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_for_told(&|| what.to_owned(), look)
}

/// The same, with words that are made when it did not come.
pub fn wait_for_told<T>(what: &dyn Fn() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{} did not come", what());
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
pub fn ports() -> u16 {
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
        // A busy machine may stand still for longer than the quickstart's health checks wait.
        let releases = fleet.read("releases.yaml");
        fleet.write(
            "releases.yaml",
            &releases.replace("timeout: 1s", "timeout: 10s"),
        );
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

    /// Whatever happened to the fleet: its journal leads to the same facts and answers again.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn assert_replays(&self) {
        if !self.state().join("journal.db").exists() {
            return;
        }
        let replayed = self
            .command(&["replay", "--verify", "--format", "human"])
            .output();
        let replayed = replayed.expect("the binary can be started");
        assert!(replayed.status.success(), "{replayed:?}");
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
            self.assert_replays();
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
