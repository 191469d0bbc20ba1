//! A rollout over a thousand clusters with the real conductor, engine, auditor, plugin host with
//! the shipped canary, and journal on a disk; only the clusters are a stub, which does at once
//! what it is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use wavegate_conductor::{Begin, Event, Options, Outcome, Ports};
use wavegate_engine::{Capabilities, End, Pins, Spec};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::evidence::{EvidenceScope, ProbeSummary};
use wavegate_model::limits::CallLimits;
use wavegate_model::observation::Stamp;
use wavegate_model::plan::{PlannedCluster, PlannedSite, PlannedWave};
use wavegate_model::plugin::PluginKind;
use wavegate_model::policy::{
    Batch, EndState, Failure, Membership, OnUnreachable, PluginRef, Policy, Rollback, StrategyUse,
    TimeLimits,
};
use wavegate_model::release::Reversal;
use wavegate_model::windows::{WindowRules, Windows};
use wavegate_model::{
    Amount, Cluster, ClusterName, ClusterObservation, Digest, DurationMs, Epoch, Evidence,
    Generation, NodeCounts, Permille, Plan, Query, Release, RolloutId, ServiceName, SiteName,
    SourceName, Split, Timestamp,
};
use wavegate_plugin_host::{HostOptions, PluginHost};
use wavegate_ports::BoxFuture;
use wavegate_ports::clock::Clock;
use wavegate_ports::driver::{self, Driver, DriverError, DriverScope, Inspection, NodesTarget};
use wavegate_ports::plugins::Plugins;
use wavegate_ports::sources::{SourceError, Sources};

pub(crate) const CLUSTERS: u32 = 1000;
const NODES: u32 = 3;
/// Sites in flight.
const PARALLEL: u32 = 100;
const CANARY: &[u8] = include_bytes!("../../../../plugins/components/canary.wasm");
/// One of three nodes, then all.
const CONFIG: &str = r#"{"stages":[{"nodes":1}]}"#;

/// Runs it in a folder, and says how long it took.
pub(crate) async fn run(folder: &Path) -> (Arc<PluginHost>, Duration) {
    let mut options = HostOptions::new(folder.join("plugins"));
    options.shipped = BTreeMap::from([("canary".to_owned(), CANARY)]);
    let plugins = Arc::new(PluginHost::new(options).expect("a plugin host"));
    let reference = PluginRef::Shipped("canary".to_owned());
    let loaded = plugins
        .load(&reference, PluginKind::Strategy, folder)
        .await
        .expect("the canary");
    let journal = SqliteJournal::open(&folder.join("journal.db")).expect("a journal");
    let spec = spec(loaded.digest);
    let ports = Ports {
        journal: Arc::new(journal),
        plugins: plugins.clone(),
        sources: Arc::new(NoSources),
        drivers: BTreeMap::from([(
            "stub".to_owned(),
            Arc::new(Stub::new(&spec)) as Arc<dyn Driver>,
        )]),
        clock: Arc::new(SystemClock),
    };
    let (events, mut seen) = mpsc::unbounded_channel::<Event>();
    let listener = tokio::spawn(async move { while seen.recv().await.is_some() {} });
    let (_stop, stopped) = watch::channel(false);
    let begin = Begin::Start(Box::new(spec));
    let (actor, options) = ("bench".to_owned(), Options::default());
    let started = Instant::now();
    let outcome = wavegate_conductor::run(ports, begin, actor, options, events, stopped).await;
    let took = started.elapsed();
    listener.await.expect("the listener");
    assert_eq!(outcome.expect("a run"), Outcome::Ended(End::Done));
    (plugins, took)
}

fn digest(n: u8) -> Digest {
    Digest::from_sha256(&[n; 32])
}

fn release(n: u8) -> Release {
    let artifact = format!(r#"{{"program":"/usr/local/bin/shop","args":["--release","{n}.0"]}}"#);
    Release {
        version: format!("{n}.0"),
        digest: digest(n),
        artifacts: BTreeMap::from([("stub".to_owned(), artifact)]),
        reversal: Reversal::Possible,
    }
}

fn spec(strategy: Digest) -> Spec {
    let names = (0..CLUSTERS).map(|n| format!("cluster-{n:04}"));
    let site = |name: String| PlannedSite {
        name: SiteName::new(name.clone()),
        clusters: vec![PlannedCluster {
            name: ClusterName::new(name),
            role: String::new(),
        }],
    };
    let cluster = |name: String| Cluster {
        name: ClusterName::new(name),
        labels: BTreeMap::new(),
        nodes: NODES,
        driver: "stub".to_owned(),
        connection: "{}".to_owned(),
    };
    Spec {
        rollout: RolloutId::new("bench-000001"),
        service: ServiceName::new("shop"),
        release: release(2),
        policy: policy(),
        plan: Plan {
            generation: Generation(1),
            parent: None,
            waves: vec![PlannedWave {
                name: "all".into(),
                sites: names.clone().map(site).collect(),
                max_parallel_sites: PARALLEL,
                site_soak: DurationMs::ZERO,
                soak: DurationMs::ZERO,
                approval: None,
                approvers: Default::default(),
                gates: None,
                origin: Default::default(),
                after: Vec::new(),
            }],
            excluded: Vec::new(),
        },
        clusters: names.map(cluster).collect(),
        sources: Vec::new(),
        capabilities: Capabilities {
            splits_traffic: true,
            surges: false,
        },
        windows: Windows::default(),
        started_by: String::new(),
        wave_windows: BTreeMap::new(),
        origin: None,
        pins: Pins {
            strategy,
            strategy_name: "canary".to_owned(),
            gates: BTreeMap::new(),
            strategy_state: None,
            gate_states: BTreeMap::new(),
        },
    }
}

fn policy() -> Policy {
    Policy {
        approvals: Vec::new(),
        name: "bench".into(),
        waves: Vec::new(),
        site_by: None,
        role_by: None,
        exclude: None,
        batch: Batch {
            size: Amount::Count(1),
            max_unavailable: Amount::Count(1),
            max_surge: Amount::Count(0),
        },
        time_limits: TimeLimits::default(),
        failure: Failure {
            tolerate: Amount::Count(0),
            tolerate_per_wave: Amount::Count(0),
            then: EndState::RollBackTouched,
            rollback: Rollback {
                batch: Amount::Count(1),
                max_unavailable: Amount::Count(1),
                max_parallel_sites: PARALLEL,
                progress: DurationMs::secs(60),
            },
        },
        membership: Membership {
            unreachable_after: DurationMs::secs(60),
            unreachable: OnUnreachable::Wait,
            added: Default::default(),
            removed: Default::default(),
        },
        when_busy: Default::default(),
        windows: WindowRules::default(),
        strategy: StrategyUse {
            plugin: PluginRef::Shipped("canary".to_owned()),
            config: CONFIG.to_owned(),
            limits: CallLimits::SMALL,
            class: None,
        },
        gates: Vec::new(),
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let ms = since.expect("after 1970").as_millis();
        Timestamp(u64::try_from(ms).expect("not so far in the future"))
    }
}

struct NoSources;

impl Sources for NoSources {
    fn check(&self, source: &SourceName) -> BoxFuture<'_, Result<(), SourceError>> {
        let unknown = SourceError::Unknown(source.clone());
        Box::pin(async move { Err(unknown) })
    }

    fn fetch(
        &self,
        source: &SourceName,
        _: &Query,
        _: &EvidenceScope,
    ) -> BoxFuture<'_, Result<Evidence, SourceError>> {
        let unknown = SourceError::Unknown(source.clone());
        Box::pin(async move { Err(unknown) })
    }
}

/// Clusters that do at once what they are told.
struct Stub {
    clusters: Mutex<BTreeMap<ClusterName, ClusterObservation>>,
}

impl Stub {
    fn new(spec: &Spec) -> Self {
        let ready = NodeCounts {
            ready: NODES,
            unready: 0,
            failed: 0,
        };
        let seen = ClusterObservation {
            at: Timestamp(0),
            desired: NODES,
            nodes: [(digest(1), ready)].into(),
            releases: [(digest(1), release(1))].into(),
            traffic: Some([(digest(1), Permille::ALL)].into()),
            busy: false,
            last_nodes: None,
            last_traffic: None,
        };
        let clusters = spec.clusters.iter();
        let clusters = clusters.map(|cluster| (cluster.name.clone(), seen.clone()));
        Self {
            clusters: Mutex::new(clusters.collect()),
        }
    }

    fn change(&self, cluster: &ClusterName, change: impl FnOnce(&mut ClusterObservation)) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        change(clusters.get_mut(cluster).expect("a cluster of the plan"));
    }
}

impl Driver for Stub {
    fn capabilities(&self) -> driver::Capabilities {
        driver::Capabilities {
            splits_traffic: true,
            surges: false,
            probes: false,
        }
    }

    fn inspect(
        &self,
        _: DriverScope,
    ) -> BoxFuture<'_, BTreeMap<ClusterName, Result<Inspection, DriverError>>> {
        // Only a pre-flight asks, and there is none.
        Box::pin(async { BTreeMap::new() })
    }

    fn attach(&self, _: DriverScope) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async { Ok(()) })
    }

    fn claim(
        &self,
        _: &RolloutId,
        _: &ServiceName,
        _: &ClusterName,
    ) -> BoxFuture<'_, Result<Epoch, DriverError>> {
        Box::pin(async { Ok(Epoch(1)) })
    }

    fn disown(
        &self,
        _: &RolloutId,
        _: &ServiceName,
        _: &ClusterName,
        _: Epoch,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async { Ok(()) })
    }

    fn observe(
        &self,
        _: &RolloutId,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<ClusterObservation, DriverError>> {
        let mut seen = None;
        self.change(cluster, |found| {
            found.at = SystemClock.now();
            seen = Some(found.clone());
        });
        Box::pin(async { Ok(seen.expect("it was found")) })
    }

    fn set_nodes(
        &self,
        _: &RolloutId,
        cluster: &ClusterName,
        stamp: Stamp,
        target: NodesTarget,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        self.change(cluster, |found| {
            let counts = |ready| NodeCounts {
                ready,
                unready: 0,
                failed: 0,
            };
            let nodes = target.nodes.iter();
            found.nodes = nodes
                .clone()
                .map(|(release, n)| (release.digest.clone(), counts(*n)))
                .collect();
            found.releases = nodes
                .map(|(release, _)| (release.digest.clone(), release.clone()))
                .collect();
            found.last_nodes = Some(stamp);
        });
        Box::pin(async { Ok(()) })
    }

    fn set_traffic(
        &self,
        _: &RolloutId,
        _: &SiteName,
        stamps: BTreeMap<ClusterName, Stamp>,
        split: Split,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        for (cluster, stamp) in &stamps {
            self.change(cluster, |found| {
                let shares = split.shares().iter().filter(|s| s.cluster == *cluster);
                found.traffic = Some(shares.map(|s| (s.release.clone(), s.share)).collect());
                found.last_traffic = Some(*stamp);
            });
        }
        Box::pin(async { Ok(()) })
    }

    fn probe(
        &self,
        _: &RolloutId,
        cluster: &ClusterName,
        _: &Digest,
        _: Timestamp,
    ) -> BoxFuture<'_, Result<ProbeSummary, DriverError>> {
        let failed = DriverError::Failed {
            cluster: cluster.clone(),
            operation: "probe",
            detail: "the stub has no probes".to_owned(),
        };
        Box::pin(async move { Err(failed) })
    }
}
