//! The service that the quickstart rolls out, and its visitors.

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long requests in flight may take when a node stops.
const STOP_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoShop {
    /// Port on loopback.
    #[arg(long)]
    port: u16,
    /// Version that it says it is.
    #[arg(long)]
    release: String,
    /// Fails all requests but health checks, this long after its start.
    #[arg(long)]
    fail_after_ms: Option<u64>,
    /// Fails all requests but health checks while this file is there.
    #[arg(long)]
    fail_while: Option<PathBuf>,
}

/// Serves until it is told to stop, then finishes what is in flight.
pub(crate) async fn serve(args: DemoShop) -> anyhow::Result<ExitCode> {
    let address = SocketAddr::from(([127, 0, 0, 1], args.port));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let started = Instant::now();
    let args = Arc::new(args);
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = terminate.recv() => break,
        };
        let args = Arc::clone(&args);
        let service = hyper::service::service_fn(move |request| {
            let response = answer(&args, started, &request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away in the middle is no concern of the shop.
            let _ = watched.await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP_WAIT, graceful.shutdown()).await;
    Ok(ExitCode::SUCCESS)
}

fn answer(args: &DemoShop, started: Instant, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let say = |status: StatusCode, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() == "/healthz" {
        return say(StatusCode::OK, "ok\n".to_owned());
    }
    let fails_by_now = args
        .fail_after_ms
        .is_some_and(|after| started.elapsed() >= Duration::from_millis(after));
    let fails_here = args.fail_while.as_deref().is_some_and(Path::exists);
    if fails_by_now || fails_here {
        return say(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("shop {}: the till is stuck\n", args.release),
        );
    }
    say(
        StatusCode::OK,
        format!("welcome to shop {}\n", args.release),
    )
}

/// What visitors saw.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    pub(crate) total: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Sends requests to front doors until it is dropped.
pub(crate) async fn visit(doors: Vec<SocketAddr>, every: Duration, visits: Arc<Visits>) {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut tick = tokio::time::interval(every);
    loop {
        tick.tick().await;
        for door in &doors {
            let (client, visits) = (client.clone(), Arc::clone(&visits));
            let request = Request::get(format!("http://{door}/")).body(Empty::new());
            tokio::spawn(async move {
                let good = match request {
                    Ok(request) => match client.request(request).await {
                        Ok(response) => {
                            let good = !response.status().is_server_error();
                            good && response.into_body().collect().await.is_ok()
                        }
                        Err(_) => false,
                    },
                    Err(_) => false,
                };
                visits.total.fetch_add(1, Ordering::Relaxed);
                if !good {
                    visits.failed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
}
