//! Counts of the process for Prometheus: its text format, and the small server that gives it.
//!
//! Labels are names of clusters and digests of releases, which the host has checked; nothing of a
//! request, an answer or a node becomes one. A (cluster, release) is there from when it has a node
//! or a share, with counts of zero, so that its first requests are an increase.

use super::door::Door;
use super::stats::{Counts, DURATIONS_S, STATUSES};
use super::table::Table;
use super::wire::Refusal;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use wavegate_model::{ClusterName, Digest};

/// The one path.
const PATH: &str = "/metrics";
/// A few servers collect from a front door, and somebody looks; each connection has one request.
const CONNECTIONS_MAX: usize = 16;
/// For a request to come.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// As Prometheus reads it.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The server, for as long as it exists.
pub(super) struct Metrics {
    wanted: SocketAddr,
    listen: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Metrics {
    /// Where it listens.
    pub(super) fn listen(&self) -> SocketAddr {
        self.listen
    }
}

impl Metrics {
    /// Ends it, and returns when its address is free.
    async fn close(mut self) {
        self.accepting.abort();
        // It was aborted, which is what it says.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Opens the server, at another address if it is open already, or closes it. Whoever cannot open
/// a new one keeps the old one.
pub(super) async fn set(door: &Arc<Door>, wanted: Option<SocketAddr>) -> Result<(), Refusal> {
    let mut current = door.metrics.lock().await;
    let has = current.as_ref().map(|metrics| metrics.wanted);
    let next = match wanted {
        Some(wanted) if has != Some(wanted) => Some(open(door, wanted).await?),
        Some(_) => return Ok(()),
        None => None,
    };
    let stored = next.as_ref().map(Metrics::listen);
    door.change(|state| {
        state.metrics = stored;
        Ok(())
    })
    .await?;
    if let Some(before) = std::mem::replace(&mut *current, next) {
        before.close().await;
    }
    Ok(())
}

/// Closes the server of a process that ends; the next one opens it again.
pub(super) async fn close(door: &Door) {
    if let Some(open) = door.metrics.lock().await.take() {
        open.close().await;
    }
}

async fn open(door: &Arc<Door>, wanted: SocketAddr) -> Result<Metrics, Refusal> {
    let refuse = |detail: String| Refusal::NoMetrics {
        listen: wanted,
        detail,
    };
    if !wanted.ip().is_loopback() {
        return Err(refuse("it is not a loopback address".to_owned()));
    }
    let bound = TcpListener::bind(wanted).await;
    let listener = bound.map_err(|error| refuse(error.to_string()))?;
    let listen = listener
        .local_addr()
        .map_err(|error| refuse(error.to_string()))?;
    let accepting = tokio::spawn(accept(Arc::clone(door), listener));
    Ok(Metrics {
        wanted,
        listen,
        accepting,
    })
}

async fn accept(door: Arc<Door>, listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                super::server::rest_after(&error).await;
                continue;
            }
        };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&door, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME_MAX)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection for metrics ended");
            }
            drop(permit);
        });
    }
}

fn answer(door: &Door, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, PATH) => (StatusCode::OK, TEXT_FORMAT, text(door)),
        (_, PATH) => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "the metrics are read with GET\n".to_owned(),
        ),
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            format!("there is only {PATH}\n"),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

type Target = (ClusterName, Digest);

/// All metrics as text.
fn text(door: &Door) -> String {
    let table = door.table.load_full();
    let shares = shares(&table);
    let nodes = nodes(&table);
    let mut counts = door.counts();
    for target in shares.keys().chain(nodes.keys()) {
        if !counts.contains_key(target) {
            counts.insert(target.clone(), Counts::default());
        }
    }
    let mut page = Page(String::new());
    page.requests(&counts);
    page.durations(&counts);
    page.gauge(
        "share_permille",
        "Share of the traffic that a release is to get, in permille.",
        &shares,
    );
    page.gauge("nodes", "Nodes that get requests.", &nodes);
    for (name, help, count) in [
        (
            "diverted_total",
            "Requests of a share without a node that another share took.",
            &door.diverted,
        ),
        (
            "unrouted_total",
            "Requests that were answered 503, because there was no node or no split.",
            &door.unrouted,
        ),
        (
            "rechosen_total",
            "Times that a node took no connection, so that its request went to another.",
            &door.rechosen,
        ),
        (
            "abandoned_total",
            "Requests that their clients gave up too soon to say anything about the node.",
            &door.abandoned,
        ),
    ] {
        page.head(name, "counter", help);
        page.line(name, "", count.load(Ordering::Relaxed));
    }
    page.0
}

fn shares(table: &Table) -> BTreeMap<Target, u64> {
    let shares = table.split.shares().iter();
    shares
        .map(|share| {
            let target = (share.cluster.clone(), share.release.clone());
            (target, u64::from(share.share.0))
        })
        .collect()
}

fn nodes(table: &Table) -> BTreeMap<Target, u64> {
    let mut nodes = BTreeMap::new();
    for node in &table.nodes {
        let target = (node.cluster.clone(), node.backend.release.clone());
        *nodes.entry(target).or_default() += 1;
    }
    nodes
}

/// The text format: lines of a name, labels and a value, with a head for each name.
struct Page(String);

impl Page {
    fn requests(&mut self, counts: &BTreeMap<Target, Counts>) {
        let name = "requests_total";
        let help = "Requests by class of the status; those of `none` had no whole answer.";
        self.head(name, "counter", help);
        for (target, counts) in counts {
            for (status, count) in STATUSES.iter().zip(counts.statuses) {
                let labels = format!("{},status=\"{status}\"", labels(target));
                self.line(name, &labels, count);
            }
        }
    }

    fn durations(&mut self, counts: &BTreeMap<Target, Counts>) {
        let name = "request_duration_seconds";
        let help = "From the arrival of a request to the head of its answer.";
        self.head(name, "histogram", help);
        for (target, counts) in counts {
            let labels = labels(target);
            let ends = DURATIONS_S.iter().map(f64::to_string);
            let ends = ends.chain(["+Inf".to_owned()]);
            let mut sum = 0;
            for (end, count) in ends.zip(counts.durations) {
                sum += count;
                let labels = format!("{labels},le=\"{end}\"");
                self.line("request_duration_seconds_bucket", &labels, sum);
            }
            self.line("request_duration_seconds_sum", &labels, counts.seconds);
            self.line("request_duration_seconds_count", &labels, sum);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, values: &BTreeMap<Target, u64>) {
        self.head(name, "gauge", help);
        for (target, value) in values {
            self.line(name, &labels(target), value);
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.0 += &format!(
            "# HELP wavegate_front_door_{name} {help}\n# TYPE wavegate_front_door_{name} {kind}\n"
        );
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let labels = match labels {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "wavegate_front_door_{name}{labels} {value}");
    }
}

fn labels((cluster, release): &Target) -> String {
    format!(
        "cluster=\"{}\",release=\"{}\"",
        escaped(cluster.as_str()),
        escaped(release.text().as_str())
    )
}

/// A value as it stands between quotes.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
