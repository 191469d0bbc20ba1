//! One request: choose a node, pass it on, pass the answer back, count what came of it.

use super::door::Door;
use super::pool::{Connection, InFlight, SendError};
use super::stats::Outcome;
use super::table::{Routed, Share};
use super::{NODE_HEADER, RELEASE_HEADER};
use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;
use wavegate_model::{ClusterName, Digest};

/// From a request's arrival to the head of its answer. Longer than people wait for a page,
/// short enough that a release that hangs is seen while it has few requests.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Between two pieces of an answer's body.
const BODY_QUIET_MAX: Duration = Duration::from_secs(30);
/// A client that gives up sooner says nothing about the node: load generators and browsers do
/// that when they end. One that has waited this long had no answer.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// A table is replaced a few times a minute; to meet so many changes in one request means that
/// something else is wrong.
const CHANGES_PER_REQUEST_MAX: usize = 8;

pub(super) type Answer = Either<Full<Bytes>, Streamed>;

pub(super) async fn handle(door: Arc<Door>, request: Request<Incoming>) -> Response<Answer> {
    if request.method() == Method::CONNECT || wants_upgrade(request.headers()) {
        return plain(
            StatusCode::NOT_IMPLEMENTED,
            "this front door passes on plain HTTP requests only\n",
        );
    }
    let arrived = Instant::now();
    let mut request = prepare(request);
    for _ in 0..CHANGES_PER_REQUEST_MAX {
        let table = door.table.load_full();
        let Some((share, routed)) = table.share(&door.turns) else {
            break;
        };
        if routed == Routed::Diverted {
            door.diverted.fetch_add(1, Ordering::Relaxed);
        }
        let record = Record::new(&door, share.target.clone(), arrived);
        match pass_on(&door, share, record, request).await {
            Passed::Answered(response) => return response,
            Passed::TableChanged(back) => request = back,
        }
    }
    door.unrouted.fetch_add(1, Ordering::Relaxed);
    let reason = if door.table.load().split.is_empty() {
        "this front door has no traffic split yet\n"
    } else {
        "no node of this site is ready\n"
    };
    plain(StatusCode::SERVICE_UNAVAILABLE, reason)
}

enum Passed {
    Answered(Response<Answer>),
    /// The chosen nodes were taken out in this moment.
    TableChanged(Request<Incoming>),
}

/// Gives a request to the first node of the share that takes a connection.
async fn pass_on(
    door: &Door,
    share: &Share,
    mut record: Record,
    mut request: Request<Incoming>,
) -> Passed {
    let deadline = tokio::time::Instant::from_std(record.arrived + ANSWER_TIME_MAX);
    let mut retired = false;
    for node in share.nodes_in_turn() {
        let Some(in_flight) = node.enter() else {
            retired = true;
            continue;
        };
        if !request.headers().contains_key(header::HOST) {
            let host = HeaderValue::from_str(&node.backend.addr.to_string());
            request
                .headers_mut()
                .extend(host.ok().map(|host| (header::HOST, host)));
        }
        let failure = match tokio::time::timeout_at(deadline, node.send(request)).await {
            Ok(Ok((response, connection))) => {
                return Passed::Answered(stream(response, connection, in_flight, record));
            }
            Ok(Err(SendError::NotSent(back))) => {
                door.rechosen.fetch_add(1, Ordering::Relaxed);
                request = *back;
                continue;
            }
            Ok(Err(SendError::ClientGone)) => {
                record.forget();
                return Passed::Answered(plain(
                    StatusCode::BAD_REQUEST,
                    "the request's body ended early\n",
                ));
            }
            Ok(Err(SendError::Lost(error))) => {
                tracing::debug!(node = node.backend.node, %error, "no answer");
                plain(StatusCode::BAD_GATEWAY, "the node gave no answer\n")
            }
            Err(_) => plain(
                StatusCode::GATEWAY_TIMEOUT,
                "the node gave no answer in time\n",
            ),
        };
        record.lost();
        return Passed::Answered(named(failure, &node.backend.node, &node.backend.release));
    }
    if retired {
        record.discard();
        return Passed::TableChanged(request);
    }
    record.lost();
    Passed::Answered(plain(
        StatusCode::BAD_GATEWAY,
        "no node of the release takes connections\n",
    ))
}

/// Drops what belongs to the client's connection only, and speaks of the path alone.
fn prepare(request: Request<Incoming>) -> Request<Incoming> {
    let (mut parts, body) = request.into_parts();
    drop_hop_by_hop(&mut parts.headers);
    // The library has answered it already, or will when the body is read.
    parts.headers.remove(header::EXPECT);
    parts.version = Version::HTTP_11;
    if parts.uri.scheme().is_some() {
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    Request::from_parts(parts, body)
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    const ALWAYS: [HeaderName; 8] = [
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(&ALWAYS) {
        headers.remove(name);
    }
}

/// An offer to go on in HTTP/2 may be ignored; anything else, such as a web socket, cannot work.
fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"h2c"))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Answer> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn named<B>(mut response: Response<B>, node: &str, release: &Digest) -> Response<B> {
    let headers = response.headers_mut();
    for (name, value) in [
        (NODE_HEADER, node),
        (RELEASE_HEADER, release.text().short()),
    ] {
        // A node may call itself one of these too; ours is the one that counts. A name that is
        // no header value is left out.
        headers.remove(name);
        headers.extend(
            HeaderValue::from_str(value)
                .ok()
                .map(|value| (HeaderName::from_static(name), value)),
        );
    }
    response
}

fn stream(
    response: Response<Incoming>,
    connection: Connection,
    in_flight: InFlight,
    mut record: Record,
) -> Response<Answer> {
    let (mut parts, body) = response.into_parts();
    drop_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    record.head_came(parts.status);
    let backend = in_flight.node().backend.clone();
    let streamed = Streamed {
        body,
        quiet: None,
        end: End::Open,
        record,
        connection: Some(connection),
        in_flight,
    };
    named(
        Response::from_parts(parts, Either::Right(streamed)),
        &backend.node,
        &backend.release,
    )
}

/// An answer's body on its way. When it is dropped the request is over: counted, its connection
/// kept if it can be, and only then no longer in flight (fields drop in this order).
pub(super) struct Streamed {
    body: Incoming,
    quiet: Option<Pin<Box<Sleep>>>,
    end: End,
    record: Record,
    connection: Option<Connection>,
    in_flight: InFlight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Complete,
    Broken,
}

/// The body of an answer broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the node's answer broke off")]
    Lost(#[from] hyper::Error),
    #[error("the node sent nothing more for {} s", BODY_QUIET_MAX.as_secs())]
    Quiet,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(None) => {
                this.end = End::Complete;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.quiet = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.end = End::Broken;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Pending => {
                let quiet = this
                    .quiet
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(BODY_QUIET_MAX)));
                if quiet.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                this.end = End::Broken;
                Poll::Ready(Some(Err(BodyError::Quiet)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        let complete =
            self.end == End::Complete || (self.end == End::Open && self.body.is_end_stream());
        if complete && let Some(connection) = self.connection.take() {
            self.in_flight.node().put_back(connection);
        }
        // A client that leaves in the middle of a body had its answer.
        if self.end == End::Broken {
            self.record.lost();
        } else {
            self.record.answered();
        }
    }
}

/// Counts one request, once, whatever happens to it.
struct Record {
    door: Arc<Door>,
    target: (ClusterName, Digest),
    arrived: Instant,
    latency: Option<Duration>,
    /// Of the answer's head, when it came.
    status: Option<StatusCode>,
    open: bool,
}

impl Record {
    fn new(door: &Arc<Door>, target: (ClusterName, Digest), arrived: Instant) -> Self {
        let door = Arc::clone(door);
        Self {
            door,
            target,
            arrived,
            latency: None,
            status: None,
            open: true,
        }
    }

    fn head_came(&mut self, status: StatusCode) {
        self.latency = Some(self.arrived.elapsed());
        self.status = Some(status);
    }

    /// A whole answer went through, or as much of it as its client wanted.
    fn answered(&mut self) {
        let outcome = match self.status {
            Some(status) if !status.is_server_error() => Outcome::Good,
            Some(_) | None => Outcome::Failed,
        };
        self.finish(outcome);
    }

    /// There was no answer, or it broke off.
    fn lost(&mut self) {
        self.status = None;
        self.finish(Outcome::Failed);
    }

    fn finish(&mut self, outcome: Outcome) {
        if std::mem::take(&mut self.open) {
            let latency = self.latency.unwrap_or_else(|| self.arrived.elapsed());
            self.door
                .record(&self.target, latency, outcome, self.status);
        }
    }

    /// The client gave up.
    fn forget(&mut self) {
        if std::mem::take(&mut self.open) {
            self.door.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The request goes elsewhere and is counted there.
    fn discard(&mut self) {
        self.open = false;
    }
}

impl Drop for Record {
    /// Dropped while open: the client closed its connection before there was an answer.
    fn drop(&mut self) {
        if self.open && self.arrived.elapsed() < PATIENCE_MIN {
            self.forget();
        } else {
            self.lost();
        }
    }
}
