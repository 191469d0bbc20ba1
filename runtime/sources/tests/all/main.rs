//! Sources as the conductor meets them.

mod real;
mod server;
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use wavegate_model::evidence::{EvidenceScope, ProbeSummary, Requests, Series};
use wavegate_model::observation::Stamp;
use wavegate_model::source::{Auth, Endpoint, Grant, HttpSource, SourceKind, SourceSpec};
use wavegate_model::{
    ClusterName, ClusterObservation, Digest, DurationMs, Epoch, Evidence, PolicyName, Query,
    RolloutId, ServiceName, SiteName, SlotName, SourceName, Split, Timestamp,
};
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::{
    Capabilities, Driver, DriverError, DriverScope, Inspection, NodesTarget,
};
use wavegate_ports::sources::{SourceError, Sources};
use wavegate_sources::{Fault, OpenError, RecordedSource, RecordedSources, SourceSet};

const NOW: u64 = 1_000_000;

/// What the driver was asked: cluster, release, since.
type Asked = (ClusterName, Digest, Timestamp);

/// Answers probes only, from what the test says.
struct Probes {
    capable: bool,
    answer: Answer,
    asked: Mutex<Vec<Asked>>,
}

enum Answer {
    Summary(ProbeSummary),
    Error,
    Never,
}

impl Probes {
    fn answering(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            capable: true,
            answer,
            asked: Mutex::default(),
        })
    }

    fn set(self: &Arc<Self>) -> SourceSet {
        let driver: Arc<dyn Driver> = Arc::clone(self) as Arc<dyn Driver>;
        SourceSet::open(
            [spec("probe", SourceKind::Probe)],
            &driver,
            &RolloutId::from("r"),
        )
        .unwrap()
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn unused<T>() -> BoxFuture<'static, Result<T, DriverError>> {
    panic!("a source only probes")
}

impl Driver for Probes {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            splits_traffic: true,
            surges: true,
            probes: self.capable,
        }
    }
    fn inspect(
        &self,
        _: DriverScope,
    ) -> BoxFuture<'_, BTreeMap<ClusterName, Result<Inspection, DriverError>>> {
        panic!("a source only probes")
    }
    fn attach(&self, _: DriverScope) -> BoxFuture<'_, Result<(), DriverError>> {
        unused()
    }
    fn claim(
        &self,
        _: &RolloutId,
        _: &ServiceName,
        _: &ClusterName,
    ) -> BoxFuture<'_, Result<Epoch, DriverError>> {
        unused()
    }
    fn disown(
        &self,
        _: &RolloutId,
        _: &ServiceName,
        _: &ClusterName,
        _: Epoch,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        unused()
    }
    fn observe(
        &self,
        _: &RolloutId,
        _: &ClusterName,
    ) -> BoxFuture<'_, Result<ClusterObservation, DriverError>> {
        unused()
    }
    fn set_nodes(
        &self,
        _: &RolloutId,
        _: &ClusterName,
        _: Stamp,
        _: NodesTarget,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        unused()
    }
    fn set_traffic(
        &self,
        _: &RolloutId,
        _: &SiteName,
        _: BTreeMap<ClusterName, Stamp>,
        _: Split,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        unused()
    }
    fn probe(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        release: &Digest,
        since: Timestamp,
    ) -> BoxFuture<'_, Result<ProbeSummary, DriverError>> {
        assert_eq!(rollout.as_str(), "r");
        self.asked
            .lock()
            .unwrap()
            .push((cluster.clone(), release.clone(), since));
        let cluster = cluster.clone();
        Box::pin(async move {
            match &self.answer {
                Answer::Summary(summary) => Ok(*summary),
                Answer::Error => Err(DriverError::Unreachable {
                    cluster,
                    detail: "gone\u{1b}[2J".to_owned(),
                }),
                Answer::Never => std::future::pending().await,
            }
        })
    }
}

/// A driver for sources that ask none.
fn probes_driver() -> Arc<dyn Driver> {
    Probes::answering(Answer::Never)
}

fn spec(name: &str, kind: SourceKind) -> SourceSpec {
    SourceSpec {
        name: SourceName::from(name),
        kind,
        policies: Grant::Any,
        plugins: Grant::Any,
    }
}

fn digest(n: u8) -> Digest {
    Digest::from_sha256(&[n; 32])
}

/// Release 9 is new; cluster `a` comes from 1, `b` from 2.
fn scope() -> EvidenceScope {
    EvidenceScope {
        now: Timestamp(NOW),
        start: Timestamp(NOW - 30_000),
        release: digest(9),
        baselines: BTreeMap::from([
            (ClusterName::from("a"), digest(1)),
            (ClusterName::from("b"), digest(2)),
        ]),
        fresh_for: None,
    }
}

fn slot() -> SlotName {
    SlotName::from("slot")
}

fn probe(cluster: &str, cohort: &str, window: DurationMs) -> Query {
    Query::Probe {
        slot: slot(),
        cluster: cluster.into(),
        cohort: cohort.to_owned(),
        window,
    }
}

fn instant(query: &str) -> Query {
    Query::Instant {
        slot: slot(),
        query: query.to_owned(),
    }
}

fn summary() -> ProbeSummary {
    let checks = Requests {
        total: 4,
        ..Requests::default()
    };
    let traffic = Requests {
        total: 200,
        failed: 50,
        p95_ms: Some(12.5),
        ..Requests::default()
    };
    ProbeSummary { checks, traffic }
}

async fn ask(set: &SourceSet, query: &Query) -> Result<Evidence, SourceError> {
    set.fetch(&SourceName::from("probe"), query, &scope()).await
}

fn refusal(error: &SourceError) -> &str {
    match error {
        SourceError::Refused { detail, .. } => detail,
        other => panic!("not refused: {other}"),
    }
}

#[tokio::test]
async fn a_cohort_is_a_release_and_the_window_is_clipped() {
    let driver = Probes::answering(Answer::Summary(summary()));
    let set = driver.set();
    let found = ask(&set, &probe("a", "new", DurationMs::secs(10)))
        .await
        .unwrap();
    assert_eq!(found, Evidence::Probe(summary()));
    ask(&set, &probe("b", "baseline", DurationMs::secs(600)))
        .await
        .unwrap();
    let a = (ClusterName::from("a"), digest(9), Timestamp(NOW - 10_000));
    let b = (ClusterName::from("b"), digest(2), Timestamp(NOW - 30_000));
    assert_eq!(driver.asked(), [a, b]);

    let error = ask(&set, &probe("a", "canary", DurationMs::secs(10)))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&error),
        "there is no cohort `canary`, only `new` and `baseline`"
    );
    let error = ask(&set, &probe("c", "new", DurationMs::secs(10)))
        .await
        .unwrap_err();
    assert!(refusal(&error).contains("cluster `c`"), "{error}");
    assert_eq!(driver.asked(), [], "what is refused is not asked");
}

#[tokio::test]
async fn probes_are_metrics_too() {
    let driver = Probes::answering(Answer::Summary(summary()));
    let set = driver.set();
    let series = async |query: Query| match ask(&set, &query).await.unwrap() {
        Evidence::Series(series) => series,
        other => panic!("no series: {other:?}"),
    };
    let one = series(instant(
        r#"success_ratio{cluster="a",cohort="new",origin="traffic"}"#,
    ))
    .await;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].samples, [(1_000_000.0, 0.75)]);
    assert_eq!(
        driver.asked(),
        [(ClusterName::from("a"), digest(9), Timestamp(NOW - 30_000))]
    );
    // Two clusters, two cohorts, two origins.
    assert_eq!(series(instant("requests_total")).await.len(), 8);
    driver.asked();
    let (query, window, step) = (
        "p95_ms{cohort=\"new\"}".to_owned(),
        DurationMs::secs(5),
        DurationMs::secs(1),
    );
    let range = series(Query::Range {
        slot: slot(),
        query,
        window,
        step,
    })
    .await;
    assert_eq!(
        range
            .iter()
            .map(|series| series.samples.as_slice())
            .collect::<Vec<_>>(),
        [[(1e6, 12.5)]; 2]
    );
    assert!(
        driver
            .asked()
            .iter()
            .all(|(_, _, since)| *since == Timestamp(NOW - 5000))
    );

    let error = ask(&set, &instant("success_ratio{cluster=\"c\"}"))
        .await
        .unwrap_err();
    assert!(refusal(&error).contains("cluster `c`"), "{error}");
    let error = ask(&set, &instant("up")).await.unwrap_err();
    assert!(refusal(&error).contains("no series `up`"), "{error}");
    let error = ask(
        &set,
        &Query::HttpGet {
            slot: slot(),
            path: "/".to_owned(),
        },
    )
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "source `probe` is of kind `probe` and cannot answer HTTP requests"
    );
}

#[tokio::test]
async fn a_driver_that_cannot_answer_is_unavailable_in_plain_text() {
    let set = Probes::answering(Answer::Error).set();
    let error = ask(&set, &probe("a", "new", DurationMs::secs(10)))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "source `probe` did not answer: cluster `a` is unreachable: gone[2J"
    );
    let unknown = set
        .fetch(&SourceName::from("other"), &instant("p95_ms"), &scope())
        .await;
    assert_eq!(
        unknown,
        Err(SourceError::Unknown(SourceName::from("other")))
    );
}

#[tokio::test]
async fn a_source_has_a_time_limit_and_a_query_a_size() {
    let endpoint = Endpoint {
        address: "http://127.0.0.1".to_owned(),
        timeout: DurationMs(20),
        auth: Auth::None,
        tls: None,
    };
    let kind = SourceKind::Http(HttpSource {
        endpoint,
        paths: vec![],
        body_bytes_max: 1,
    });
    let driver: Arc<dyn Driver> = Probes::answering(Answer::Never);
    let mut set = SourceSet::default();
    let slow = wavegate_sources::ProbeSource::new(driver, RolloutId::from("r"));
    set.add(spec("probe", kind), Arc::new(slow));
    let error = ask(&set, &probe("a", "new", DurationMs::secs(10)))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "source `probe` did not answer: no answer within 20 ms"
    );
    let error = ask(&set, &instant(&"x".repeat(9000))).await.unwrap_err();
    assert!(refusal(&error).contains("9000 bytes"), "{error}");
}

#[test]
fn probes_need_a_driver_that_answers_them() {
    let rollout = RolloutId::from("r");
    let blind: Arc<dyn Driver> = Arc::new(Probes {
        capable: false,
        answer: Answer::Never,
        asked: Mutex::default(),
    });
    let error = SourceSet::open([spec("own", SourceKind::Probe)], &blind, &rollout)
        .err()
        .unwrap();
    assert_eq!(
        error,
        OpenError::NoProbes {
            source_name: SourceName::from("own")
        }
    );
}

#[test]
fn grants_are_the_owners() {
    let (policy, component) = (PolicyName::from("careful"), digest(5));
    let mut only = spec("probe", SourceKind::Probe);
    only.policies = Grant::Only(BTreeSet::from([policy.clone()]));
    only.plugins = Grant::Only(BTreeSet::from([component.clone()]));
    let driver: Arc<dyn Driver> = Probes::answering(Answer::Never);
    let set = SourceSet::open([only], &driver, &RolloutId::from("r")).unwrap();
    let name = SourceName::from("probe");
    let check = |kind, policy, component| set.check_grant(&name, kind, policy, component);
    assert_eq!(check("probes", &policy, &component), Ok(()));
    assert_eq!(check("metrics", &policy, &component), Ok(()));
    for (refused, says) in [
        (
            check("http", &policy, &component),
            "slots of kind `probes`, not `http`",
        ),
        (
            check("probes", &PolicyName::from("other"), &component),
            "policy `other`",
        ),
        (
            check("probes", &policy, &digest(6)),
            "component sha256:0606",
        ),
    ] {
        let error = refused.unwrap_err();
        assert!(refusal(&error).contains(says), "{error}");
    }
}

#[tokio::test]
async fn recorded_answers_are_given_in_order_and_cleaned() {
    let (query, unknown) = (instant("q"), instant("other"));
    let dirty = Series {
        labels: vec![
            ("z".to_owned(), String::new()),
            ("a".to_owned(), String::new()),
        ],
        samples: vec![
            (2.0, 1.0),
            (1.0, 5.0),
            (3.0, f64::NAN),
            (4.0, f64::INFINITY),
        ],
    };
    let large = Evidence::Series(vec![Series {
        labels: vec![],
        samples: vec![(0.0, 0.0); 70_000],
    }]);
    let recorded = RecordedSource::new()
        .with(query.clone(), Ok(Evidence::Series(vec![dirty])))
        .with(query.clone(), Ok(large))
        .with(query.clone(), Ok(Evidence::Probe(summary())))
        .with(query.clone(), Err(Fault::Unavailable("down".to_owned())));
    let recorded = Arc::new(recorded);
    let set = RecordedSources::set([(SourceName::from("probe"), Arc::clone(&recorded))]);
    let Evidence::Series(series) = ask(&set, &query).await.unwrap() else {
        panic!("no series")
    };
    assert_eq!(series[0].samples, [(1.0, 5.0), (2.0, 1.0)]);
    assert_eq!(series[0].labels[0].0, "a");
    for says in ["at most 1048576", "another question", "down", "down"] {
        let error = ask(&set, &query).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let error = ask(&set, &unknown).await.unwrap_err().to_string();
    assert!(error.contains("no recorded answer"), "{error}");
    assert_eq!((recorded.asked(&query), recorded.asked(&unknown)), (5, 1));
}
