//! The two servers of the process: one for the site's requests, one that steers.

use super::door::Door;
use super::wire::{self, Refusal};
use super::{process, proxy};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};

/// Connections of clients. Each needs two files, one more for a kept connection; the limit of
/// files is raised as far as the system lets us.
const CONNECTIONS_MAX: usize = 4096;
/// Files for everything else.
const FILES_RESERVED: usize = 64;
/// Control connections: a host has a few calls at a time, for a few hosts.
const CONTROLS_MAX: usize = 64;
/// For an answer on the control socket to be read when the process stops.
const CONTROL_TIME_MAX: Duration = Duration::from_secs(1);
/// For a host to say what it wants.
const CONTROL_HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// A client's connection without a request; longer than common clients keep theirs.
const CLIENT_IDLE_MAX: Duration = Duration::from_secs(75);
/// The head of a request; common servers allow 8 to 64 KiB.
const HEAD_BYTES_MAX: usize = 64 << 10;
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// Serves until it is stopped, then lets requests finish within the time limit.
pub(super) async fn serve(
    door: Arc<Door>,
    data: TcpListener,
    control: UnixListener,
    stop: watch::Sender<bool>,
) {
    let mut stopped = stop.subscribe();
    let controls = Arc::new(Semaphore::new(CONTROLS_MAX));
    let steering = tokio::spawn(serve_control(
        Arc::clone(&door),
        control,
        stop,
        Arc::clone(&controls),
    ));
    let sweeping = tokio::spawn(sweep(Arc::clone(&door)));
    let limit = connections_max();
    let connections = Arc::new(Semaphore::new(limit));
    tokio::select! {
        () = serve_data(door, data, stopped.clone(), Arc::clone(&connections)) => {}
        () = told(&mut stopped) => {}
    }
    all_returned(&connections, limit, process::STOP_TIME_MAX).await;
    all_returned(&controls, CONTROLS_MAX, CONTROL_TIME_MAX).await;
    steering.abort();
    sweeping.abort();
}

/// Waits until nobody holds a permit, or until the time is over.
async fn all_returned(permits: &Semaphore, count: usize, limit: Duration) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    drop(tokio::time::timeout(limit, permits.acquire_many(count)).await);
}

/// Returns when it is told to stop. Nobody left to tell is a stop too.
async fn told(stopped: &mut watch::Receiver<bool>) {
    stopped.wait_for(|stop| *stop).await.map(drop).ok();
}

async fn sweep(door: Arc<Door>) {
    let mut tick = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tick.tick().await;
        door.sweep();
    }
}

/// Raises the limit of open files and says how many clients fit into it.
fn connections_max() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = CONNECTIONS_MAX * 3 + FILES_RESERVED;
    let limit = getrlimit(Resource::Nofile);
    let wanted_files = u64::try_from(wanted).unwrap_or(u64::MAX);
    let reachable = limit.maximum.unwrap_or(u64::MAX).min(wanted_files);
    let current = limit.current.unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: Some(reachable),
        maximum: limit.maximum,
    };
    let files = if current < reachable && setrlimit(Resource::Nofile, raised).is_ok() {
        reachable
    } else {
        current
    };
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    (files.saturating_sub(FILES_RESERVED) / 3).clamp(1, CONNECTIONS_MAX)
}

async fn serve_data(
    door: Arc<Door>,
    listener: TcpListener,
    stopped: watch::Receiver<bool>,
    connections: Arc<Semaphore>,
) {
    loop {
        // Who finds no permit waits in the system's backlog.
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                rest_after(&error).await;
                continue;
            }
        };
        // Without it small answers wait for a delayed acknowledgement; they would still arrive.
        drop(stream.set_nodelay(true));
        let (door, mut stopped) = (Arc::clone(&door), stopped.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let door = Arc::clone(&door);
                async move { Ok::<_, Infallible>(proxy::handle(door, request).await) }
            });
            let mut connection = std::pin::pin!(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(CLIENT_IDLE_MAX)
                    .max_buf_size(HEAD_BYTES_MAX)
                    .serve_connection(TokioIo::new(stream), service)
            );
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = told(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a client's connection ended");
            }
            drop(permit);
        });
    }
}

async fn serve_control(
    door: Arc<Door>,
    listener: UnixListener,
    stop: watch::Sender<bool>,
    controls: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = Arc::clone(&controls).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                rest_after(&error).await;
                continue;
            }
        };
        let (door, stop) = (Arc::clone(&door), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                // In a task of its own: a host that goes away does not cut a change in two.
                tokio::spawn(control(Arc::clone(&door), stop.clone(), request))
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(CONTROL_HEAD_TIME_MAX)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a control connection ended");
            }
            drop(permit);
        });
    }
}

/// No files left, most likely: a rest, so that others can give theirs back.
pub(super) async fn rest_after(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn control(
    door: Arc<Door>,
    stop: watch::Sender<bool>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let answered = match Limited::new(body, wire::BODY_BYTES_MAX).collect().await {
        Ok(body) => door.steer(parts.uri.path(), &body.to_bytes(), &stop).await,
        Err(error) => Err(Refusal::NotUnderstood {
            detail: error.to_string(),
        }),
    };
    let (status, bytes) = match answered {
        Ok(bytes) => (StatusCode::OK, bytes),
        Err(refusal) => (
            StatusCode::CONFLICT,
            serde_json::to_vec(&refusal).unwrap_or_default(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    response
}
