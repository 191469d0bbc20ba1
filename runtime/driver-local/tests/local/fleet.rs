//! A fleet in a temporary folder, and ways to wait for what happens in it.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wavegate_driver_local::{Helpers, LocalDriver, Options, Provision, teardown};
use wavegate_model::observation::Stamp;
use wavegate_model::plan::PlannedCluster;
use wavegate_model::release::Reversal;
use wavegate_model::{
    Cluster, ClusterName, ClusterObservation, CommandId, Digest, Epoch, Generation, Permille,
    PlannedSite, Release, RolloutId, ServiceName, Share, Split,
};
use wavegate_ports::driver::{Driver, DriverError, DriverScope, NodesTarget};

/// How long anything may take: a busy machine with two cores, many times over.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Fleet {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) driver: LocalDriver,
    pub(crate) rollout: RolloutId,
    pub(crate) service: ServiceName,
    pub(crate) clusters: Vec<Cluster>,
    sites: Vec<PlannedSite>,
    commands: AtomicU64,
}

/// The executable of `examples/local-helper.rs`, which is built with the tests.
pub(crate) fn helper() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/local-helper");
    assert!(
        path.exists(),
        "{} is missing: run `cargo test` without `--test`",
        path.display()
    );
    path
}

fn options(base: &std::path::Path) -> Options {
    let word = |text: &str| vec![text.to_owned()];
    let helpers = Helpers {
        program: helper(),
        supervisor_args: word("supervisor"),
        front_door_args: word("front-door"),
    };
    Options::new(helpers, base)
}

pub(crate) fn stamp(epoch: Epoch, generation: u64, command: u64) -> Stamp {
    Stamp {
        epoch,
        generation: Generation(generation),
        command: CommandId(command),
    }
}

pub(crate) fn split(shares: &[(&str, &Release, u32)]) -> Split {
    Split::new(shares.iter().map(|(cluster, release, share)| Share {
        cluster: ClusterName::new(*cluster),
        release: release.digest.clone(),
        share: Permille(*share),
    }))
}

pub(crate) fn signal_process(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal)
        .unwrap();
}

/// State and session of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit(')').next()?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(2)?.parse().ok()?))
}

pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

pub(crate) fn session_members(leader: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(state, session)| state != 'Z' && session == leader))
        .collect()
}

/// Looks again and again, with a deadline, until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    let mut poll = tokio::time::interval(Duration::from_millis(10));
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "waited in vain until {what}");
        poll.tick().await;
    }
}

impl Fleet {
    /// So many clusters with so many nodes of 1.0, each a site with a front door.
    pub(crate) async fn new(clusters: usize, nodes: u32, manner: &str) -> Self {
        let fleet = Self::planned(clusters, nodes);
        fleet.provision(manner).await.unwrap();
        fleet.provision(manner).await.unwrap();
        fleet.attach(&fleet.driver).await;
        fleet
    }

    /// The same, of which nothing runs yet.
    pub(crate) fn planned(clusters: usize, nodes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clusters: Vec<Cluster> = (0..clusters)
            .map(|index| cluster(&format!("east-{index}"), nodes))
            .collect();
        let site = |cluster: &Cluster| PlannedSite {
            name: cluster.name.as_str().into(),
            clusters: vec![PlannedCluster {
                name: cluster.name.clone(),
                role: String::new(),
            }],
        };
        Self {
            driver: LocalDriver::new(options(dir.path())),
            rollout: "r1".into(),
            service: "shop".into(),
            sites: clusters.iter().map(site).collect(),
            clusters,
            dir,
            commands: AtomicU64::new(1000),
        }
    }

    pub(crate) async fn provision(&self, manner: &str) -> Result<(), DriverError> {
        let provision = Provision {
            service: self.service.clone(),
            clusters: self.clusters.clone(),
            sites: self.sites.clone(),
            release: self.release("1.0", manner),
            traffic: BTreeMap::new(),
            within: DEADLINE,
        };
        self.driver.provision(provision).await
    }

    pub(crate) async fn attach(&self, driver: &LocalDriver) {
        let scope = DriverScope {
            rollout: self.rollout.clone(),
            service: self.service.clone(),
            clusters: self.clusters.clone(),
            sites: self.sites.clone(),
            release: self.release("2.0", "plain"),
        };
        driver.attach(scope).await.unwrap();
    }

    pub(crate) async fn another_driver(&self) -> LocalDriver {
        let driver = LocalDriver::new(options(self.dir.path()));
        self.attach(&driver).await;
        driver
    }

    /// A release of the tiny service. Its digest is made from its version.
    pub(crate) fn release(&self, version: &str, manner: &str) -> Release {
        let program = if manner == "missing" {
            PathBuf::from("/nowhere/at-all")
        } else {
            helper()
        };
        let starts = self.dir.path().join("starts");
        let artifact = serde_json::json!({
            "command": [program, "service", "{port}", "{version}", starts, manner],
            "health": { "path": "/healthz", "timeout": "5s", "start": if manner == "red" { "300ms" } else { "30s" } },
            "drain": { "signal": "SIGTERM", "timeout": if manner == "stubborn" { "200ms" } else { "10s" } },
        });
        let mut sum = [0; 32];
        sum[..version.len()].copy_from_slice(version.as_bytes());
        Release {
            version: version.to_owned(),
            digest: Digest::from_sha256(&sum),
            artifacts: [("local".to_owned(), artifact.to_string())].into(),
            reversal: Reversal::Possible,
        }
    }

    pub(crate) async fn claim(&self, cluster: &str) -> Epoch {
        self.driver
            .claim(&self.rollout, &self.service, &cluster.into())
            .await
            .unwrap()
    }

    pub(crate) async fn observe(&self, cluster: &str) -> Result<ClusterObservation, DriverError> {
        self.driver.observe(&self.rollout, &cluster.into()).await
    }

    pub(crate) async fn until(
        &self,
        what: &str,
        cluster: &str,
        holds: impl Fn(&ClusterObservation) -> bool,
    ) -> ClusterObservation {
        let started = Instant::now();
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        loop {
            // A supervisor that is being killed holds its slot for a moment, and answers no more.
            let seen = match self.observe(cluster).await {
                Ok(seen) if holds(&seen) => return seen,
                seen => seen,
            };
            assert!(
                started.elapsed() < DEADLINE,
                "waited in vain until {what}: {seen:?}"
            );
            poll.tick().await;
        }
    }

    pub(crate) async fn until_ready(&self, cluster: &str, release: &Release, nodes: u32) {
        self.until("its nodes are ready", cluster, |seen| {
            let counts = seen.of(&release.digest);
            counts.ready == nodes && counts.total() == nodes
        })
        .await;
    }

    /// Claims and sets: the cluster runs these nodes and no others.
    pub(crate) async fn set_all(&self, cluster: &str, release: &Release, nodes: u32) {
        let epoch = self.claim(cluster).await;
        let command = self.commands.fetch_add(1, Ordering::Relaxed);
        let target = NodesTarget {
            desired: nodes,
            nodes: vec![(release.clone(), nodes)],
        };
        self.driver
            .set_nodes(
                &self.rollout,
                &cluster.into(),
                stamp(epoch, 1, command),
                target,
            )
            .await
            .unwrap();
    }

    /// Process ids of all nodes of a version that were ever started, in order.
    pub(crate) fn starts(&self, version: &str) -> Vec<u32> {
        let text = std::fs::read_to_string(self.dir.path().join("starts")).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines
            .filter(|(found, _)| *found == version)
            .map(|(_, pid)| pid.parse().unwrap())
            .collect()
    }

    /// Process ids of the supervisors, by slot.
    pub(crate) fn supervisors(&self, cluster: &str) -> Vec<u32> {
        let folder = self.dir.path().join(cluster).join(self.service.as_str());
        let slots = std::fs::read_dir(folder.join("slots"));
        let mut slots: Vec<PathBuf> = slots
            .into_iter()
            .flatten()
            .flatten()
            .map(|slot| slot.path())
            .collect();
        slots.sort();
        let pid = |slot: PathBuf| {
            let state = std::fs::read(slot.join("state.json")).ok()?;
            let state: serde_json::Value = serde_json::from_slice(&state).ok()?;
            u32::try_from(state["supervisor"]["pid"].as_u64()?).ok()
        };
        slots.into_iter().filter_map(pid).collect()
    }

    /// A host in a process of its own, that replaces all nodes and moves all traffic.
    pub(crate) fn host(&self, release: &Release, nodes: u32, moment: &str, signal: &str) -> Child {
        let clusters: Vec<Cluster> = self
            .clusters
            .iter()
            .map(|cluster| {
                let connection = serde_json::json!({
                    "dir": self.dir.path().join(cluster.name.as_str()),
                    "frontDoor": "127.0.0.1:0",
                });
                Cluster {
                    connection: connection.to_string(),
                    ..cluster.clone()
                }
            })
            .collect();
        let first = self.clusters[0].name.as_str();
        let plan = serde_json::json!({
            "rollout": self.rollout, "service": self.service, "clusters": clusters, "sites": self.sites,
            "nodes": [(release, nodes)], "split": split(&[(first, release, 1000)]),
        });
        let file = self.dir.path().join("plan.json");
        std::fs::write(&file, plan.to_string()).unwrap();
        Command::new(helper())
            .arg("host")
            .arg(file)
            .arg(moment)
            .arg(signal)
            .spawn()
            .unwrap()
    }

    /// Sends requests through a site's front door until it is told to end.
    pub(crate) fn load(&self, site: usize) -> Load {
        let dir = self
            .dir
            .path()
            .join(self.clusters[site].name.as_str())
            .join("shop/front-door");
        let (end, mut ended) = watch::channel(());
        let sending = tokio::spawn(async move {
            let status = wavegate_driver_local::front_door::FrontDoor::of(&dir)
                .status()
                .await
                .unwrap();
            let senders: Vec<_> = (0..4)
                .map(|_| tokio::spawn(send(status.listen, ended.clone())))
                .collect();
            let _ = ended.changed().await;
            let mut sum = (0, 0);
            for sender in senders {
                let (answered, lost) = sender.await.unwrap();
                sum = (sum.0 + answered, sum.1 + lost);
            }
            sum
        });
        Load { end, sending }
    }

    /// Takes the fleet down, whatever the test left of it.
    pub(crate) async fn end(self) {
        teardown(self.dir.path(), &self.service, &self.clusters)
            .await
            .unwrap();
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // After a test that failed: what it started must not stay.
        for cluster in &self.clusters {
            let folder = self.dir.path().join(cluster.name.as_str()).join("shop");
            if !folder.exists() {
                continue;
            }
            for leader in self.supervisors(cluster.name.as_str()) {
                for pid in session_members(leader)
                    .into_iter()
                    .filter_map(|pid| i32::try_from(pid).ok())
                {
                    let _ = Pid::from_raw(pid)
                        .map(|pid| rustix::process::kill_process(pid, Signal::KILL));
                }
            }
            let door = std::fs::read_to_string(folder.join("front-door/lock")).unwrap_or_default();
            if let Some(pid) = door.trim().parse().ok().and_then(Pid::from_raw)
                && is_alive(pid.as_raw_nonzero().get().unsigned_abs())
                && std::thread::panicking()
            {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn cluster(name: &str, nodes: u32) -> Cluster {
    Cluster {
        name: name.into(),
        labels: BTreeMap::new(),
        nodes,
        driver: "local".to_owned(),
        connection: serde_json::json!({ "dir": name, "frontDoor": "127.0.0.1:0" }).to_string(),
    }
}

pub(crate) struct Load {
    end: watch::Sender<()>,
    sending: JoinHandle<(u64, u64)>,
}

impl Load {
    /// (answered, lost).
    pub(crate) async fn end(self) -> (u64, u64) {
        self.end.send(()).unwrap();
        self.sending.await.unwrap()
    }
}

async fn send(to: SocketAddr, mut ended: watch::Receiver<()>) -> (u64, u64) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let uri: hyper::Uri = format!("http://{to}/").parse().unwrap();
    let (mut answered, mut lost) = (0, 0);
    while !ended.has_changed().unwrap_or(true) {
        let good = match client.get(uri.clone()).await {
            Ok(response) if response.status().is_success() => {
                response.into_body().collect().await.is_ok()
            }
            Ok(_) | Err(_) => false,
        };
        if good { answered += 1 } else { lost += 1 }
    }
    let _ = ended.borrow_and_update();
    (answered, lost)
}
