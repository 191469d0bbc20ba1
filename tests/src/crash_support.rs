//! What the tests of crashes look at besides the fleet: visitors that count what they lose, the
//! processes that were ever started, and the facts of a journal.

use crate::fleet::{Done, Fleet, Running, wait_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two requests of the visitors of one fleet.
const VISIT_EVERY: Duration = Duration::from_millis(15);
/// A request that takes longer is lost. Twice what the slowest drain takes.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// A wave of one cluster of 4 nodes, then one of 2. Everything is fast, and nothing is skipped.
pub fn fleet(policy: &str) -> Fleet {
    let fleet = Fleet::quickstart();
    let [eu, us, _] = fleet.doors();
    let cluster = |name: &str, tier: &str, nodes: u32, door: SocketAddr| {
        format!(
            "    - name: {name}\n      labels: {{tier: {tier}}}\n      nodes: {nodes}\n      driver: local\n      \
             local: {{dir: clusters/{name}, frontDoor: \"{door}\"}}\n"
        )
    };
    write_fleet(
        &fleet,
        &(cluster("eu-1", "canary", 4, eu) + &cluster("us-1", "main", 2, us)),
    );
    fleet.write("policy.yaml", policy);
    fleet
}

/// The same with pairs: 2 nodes in each half of the first, and 1 of the second. Blue serves.
pub fn pairs(policy: &str) -> Fleet {
    let fleet = Fleet::quickstart();
    let [eu, us, _] = fleet.doors();
    let mut clusters = String::new();
    for (site, tier, nodes, door) in [("eu-1", "canary", 2, eu), ("us-1", "main", 1, us)] {
        for (role, standby) in [("blue", false), ("green", true)] {
            clusters += &format!(
                "    - name: {site}-{role}\n      labels: {{tier: {tier}, site: {site}, role: {role}}}\n      \
                 nodes: {nodes}\n      driver: local\n      \
                 local: {{dir: clusters/{site}-{role}, frontDoor: \"{door}\", standby: {standby}}}\n"
            );
        }
    }
    write_fleet(&fleet, &clusters);
    let labels = "spec:\n  siteBy: site\n  roleBy: role\n";
    fleet.write("policy.yaml", &policy.replacen("spec:\n", labels, 1));
    fleet
}

fn write_fleet(fleet: &Fleet, clusters: &str) {
    let head = "apiVersion: wavegate.dev/v1alpha1\nkind: Fleet\nmetadata: {name: demo}\nspec:\n  clusters:\n";
    fleet.write("fleet.yaml", &format!("{head}{clusters}"));
}

/// The policy of [`fleet`] by canary, whose first stage this is.
pub fn policy(stage: &str) -> String {
    let strategy = format!(
        "    plugin: {{shipped: canary}}\n    config: {{stages: [{stage}, {{nodes: 50%, wait: 100ms}}]}}"
    );
    policy_with(&strategy, "size: 1, maxUnavailable: 1")
}

/// The policy of [`fleet`] with this strategy and this batch.
pub fn policy_with(strategy: &str, batch: &str) -> String {
    POLICY
        .replace("@STRATEGY@", strategy)
        .replace("@BATCH@", batch)
}

/// The limits are far away: a busy machine must not fail a rollout.
const POLICY: &str = "\
apiVersion: wavegate.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec:
  waves:
    - name: first
      clusters: {labels: {tier: canary}}
      siteSoak: 200ms
    - name: rest
      clusters: {labels: {tier: main}}
      siteSoak: 100ms
      soak: 100ms
  batch: {@BATCH@}
  timeLimits:
    batchProgress: {after: 60s, then: fail}
    cluster: {after: 5m, then: fail}
  failure:
    tolerate: 0
    then: rollBackTouched
    rollback: {batch: 1, maxUnavailable: 1, maxParallelSites: 2, progress: 60s}
  strategy:
@STRATEGY@
  gates:
    - name: success
      plugin: {shipped: probe}
      config: {minSuccess: 99%, minRequests: 3, window: 3s}
      phases: [afterBatch, soak, continuous]
      interval: 200ms
      minSamples: 1
      slots: {probe: nodes}
";

/// Starts the binary with one more variable.
pub fn start_with(fleet: &Fleet, arguments: &[&str], variable: &str, value: &str) -> Running {
    let mut command = fleet.command(arguments);
    command.env(variable, value);
    Running::start(command)
}

/// Runs until it kills itself at this point.
///
/// # Panics
/// If it ends in another way.
#[track_caller]
pub fn killed_at(fleet: &Fleet, arguments: &[&str], point: &str) -> Done {
    let done = start_with(fleet, arguments, "WAVEGATE_CRASH_AT", point).end();
    assert_eq!(
        done.code, None,
        "it should have been killed at {point}:\n{}\n{}",
        done.out, done.err
    );
    done
}

/// Waits until a process is stopped by SIGSTOP.
pub fn wait_until_stopped(pid: u32) {
    wait_for("the stop of the host", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        rest.trim_start().starts_with('T').then_some(())
    });
}

/// Copies a folder with all that is in it.
///
/// # Panics
/// If a file cannot be copied.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the file can be copied");
        }
    }
}

/// All facts of the newest rollout.
#[track_caller]
pub fn facts(fleet: &Fleet) -> Vec<Value> {
    let done = fleet.wavegate(&["--format", "json", "history", "last"]);
    done.expect(0).json()
}

/// The newest rollout's state.
#[track_caller]
pub fn status(fleet: &Fleet) -> Value {
    let done = fleet.wavegate(&["--format", "json", "status", "last"]);
    done.expect(0).json().remove(0)
}

/// Numbers of the commands that change nodes, with what they say.
pub fn node_commands(facts: &[Value]) -> Vec<(String, u64, u64)> {
    let change = |fact: &Value| {
        let nodes = fact["fact"]["command-issued"]["effect"]["change"]
            .get("nodes")?
            .clone();
        let number = |name: &str| nodes[name].as_u64();
        Some((
            nodes["cluster"].as_str()?.to_owned(),
            number("new")?,
            number("baseline")?,
        ))
    };
    facts.iter().filter_map(change).collect()
}

/// How many commands change traffic.
pub fn traffic_commands(facts: &[Value]) -> usize {
    let changes = facts
        .iter()
        .filter(|fact| fact["fact"]["command-issued"]["effect"]["change"]["traffic"].is_object());
    changes.count()
}

/// Every question to a gate has its answer, unless the host went away in between.
///
/// # Panics
/// If an answer is missing.
#[track_caller]
pub fn assert_no_verdict_is_lost(facts: &[Value]) {
    let mut open = BTreeSet::new();
    let mut asked = 0;
    for fact in facts {
        let fact = &fact["fact"];
        let number = |kind: &str| fact[kind]["consultation"].as_u64();
        if fact.get("resumed").is_some() {
            open.clear();
        }
        if let Some(number) = number("gate-asked") {
            asked += 1;
            assert!(open.insert(number), "question {number} was asked twice");
        }
        for kind in ["gate-answered", "gate-unavailable", "answer-discarded"] {
            if let Some(number) = number(kind) {
                open.remove(&number);
            }
        }
        if fact.get("finished").is_some() {
            open.clear();
        }
    }
    assert!(asked > 0, "no gate was asked");
    assert!(open.is_empty(), "no answers to {open:?}");
}

/// A slot of a cluster, as its supervisor left it.
#[derive(Clone, Debug)]
pub struct SlotSeen {
    /// Its cluster.
    pub cluster: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Name of the node.
    pub node: String,
    /// How many nodes this slot has had.
    pub starts: u64,
    /// Version of the release.
    pub version: String,
    /// The release as its supervisor was given it.
    pub release: Value,
    /// `running` and so on.
    pub phase: String,
    /// Process of the supervisor.
    pub supervisor: Option<u64>,
    /// Process of the service.
    pub service: Option<u64>,
}

/// All slots of the fleet's clusters.
pub fn slots(fleet: &Fleet) -> Vec<SlotSeen> {
    let mut slots = Vec::new();
    let clusters = std::fs::read_dir(fleet.documents().join("clusters"));
    for cluster in clusters.expect("the fleet has clusters").flatten() {
        let folder = cluster.path().join("shop/slots");
        let entries = std::fs::read_dir(&folder).expect("the cluster has slots");
        for entry in entries.flatten() {
            let Ok(text) = std::fs::read(entry.path().join("state.json")) else {
                continue;
            };
            let state: Value = serde_json::from_slice(&text).expect("a state is JSON");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            slots.push(SlotSeen {
                cluster: cluster.file_name().to_string_lossy().into_owned(),
                folder: entry.path(),
                node: text(&state["node"]),
                starts: state["sequence"].as_u64().unwrap_or_default(),
                version: text(&state["release"]["version"]),
                phase: text(&state["phase"]),
                release: state["release"].clone(),
                supervisor: state["supervisor"]["pid"].as_u64(),
                service: state["service"]["pid"].as_u64(),
            });
        }
    }
    slots
}

/// The rollout is done, with all that its sites serve on 2.0.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn assert_done(fleet: &Fleet) {
    let status = status(fleet);
    assert_eq!(status["phase"], "done");
    let sites = status["sites"].as_object().expect("the status has sites");
    assert_eq!(sites.len(), 2, "{status}");
    for (name, site) in sites {
        assert_eq!(site["phase"], "done", "{name}: {site}");
        assert_eq!(site["traffic_permille"], 1000, "{name}: {site}");
    }
}

/// So many nodes of these versions run and nothing else, each with the service of its slot, and
/// so many nodes were ever started.
///
/// # Panics
/// If it is otherwise.
#[track_caller]
pub fn assert_runs(fleet: &Fleet, nodes: &[(&str, usize)], starts: u64) {
    let slots = slots(fleet);
    let started: u64 = slots.iter().map(|slot| slot.starts).sum();
    assert_eq!(started, starts, "nodes ever started, {slots:#?}");
    let running = slots.iter().filter(|slot| slot.phase == "running");
    let mut known: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for slot in running {
        let service = slot.service.and_then(|pid| u32::try_from(pid).ok());
        let of_version = known.entry(slot.version.clone()).or_default();
        of_version.insert(service.expect("a node that runs has a service"));
    }
    let counts: Vec<(&str, usize)> = known
        .iter()
        .map(|(version, pids)| (version.as_str(), pids.len()))
        .collect();
    assert_eq!(counts, nodes, "{slots:#?}");
    assert_eq!(
        services(fleet),
        known,
        "each service is the one of its slot"
    );
}

/// Takes the fleet down, after which nothing of it runs.
#[track_caller]
pub fn assert_down(fleet: &Fleet) {
    fleet.down();
    fleet.assert_nothing_is_left();
}

/// The services that run, by version.
pub fn services(fleet: &Fleet) -> BTreeMap<String, BTreeSet<u32>> {
    let mut services: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for (pid, line) in fleet.processes() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let release = words.iter().position(|word| *word == "--release");
        if words.contains(&"demo-shop")
            && let Some(version) = release.and_then(|at| words.get(at + 1))
        {
            services
                .entry((*version).to_owned())
                .or_default()
                .insert(pid);
        }
    }
    services
}

/// What visitors saw.
#[derive(Clone, Debug, Default)]
pub struct Visits {
    /// Requests with a good answer.
    pub good: u64,
    /// Requests that a node answered with an error of its own.
    pub refused_by_node: u64,
    /// Requests without an answer of a node, each with what came instead.
    pub lost: Vec<String>,
}

/// Somebody who sends requests through the front doors all the time.
#[derive(Debug)]
pub struct Visitors {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    thread: JoinHandle<Visits>,
}

impl Visitors {
    /// Begins to send requests.
    pub fn start(doors: Vec<SocketAddr>) -> Self {
        let (stop, good) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&good));
        let thread = std::thread::spawn(move || {
            let mut visits = Visits::default();
            for door in doors.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                match visit(*door) {
                    Ok(200) => {
                        visits.good += 1;
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(500) => visits.refused_by_node += 1,
                    Ok(status) => visits.lost.push(format!("status {status} at {door}")),
                    Err(error) => visits.lost.push(format!("{error} at {door}")),
                }
                std::thread::park_timeout(VISIT_EVERY);
            }
            visits
        });
        Self { stop, good, thread }
    }

    /// Waits until some more requests have had a good answer.
    pub fn wait_for_more(&self, more: u64) {
        let wanted = self.good.load(Ordering::Relaxed) + more;
        wait_for("more good answers", || {
            (self.good.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Ends.
    pub fn stop(self) -> Visits {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("visitors do not panic")
    }
}

/// One request on a connection of its own; the status of the answer.
fn visit(door: SocketAddr) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&door, ANSWER_WAIT)?;
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split_whitespace().nth(1);
    let status = status.and_then(|status| status.parse().ok());
    let whole = answer.contains("shop");
    status
        .filter(|_| whole)
        .or_else(|| status.filter(|status| *status != 200))
        .ok_or_else(|| std::io::Error::other(format!("half an answer: {answer:?}")))
}
