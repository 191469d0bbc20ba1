//! A node with its connections and its requests in flight.
//!
//! Connections are kept per node and die with it. The pool is our own, small, over the client of
//! the HTTP library, because only there a request comes back whole if none of it was sent, and
//! because a drained node must be left without a connection at a moment that we can name.

use super::Backend;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use wavegate_model::ClusterName;

/// Idle connections are closed well before common servers close theirs (2 s is the shortest
/// default that we know of): a request that meets a closing connection could be lost.
const IDLE_TIME_MAX: Duration = Duration::from_secs(1);
/// More than a node on one machine answers at once without queueing.
const IDLE_MAX: usize = 64;
/// On loopback a connection is accepted or refused at once; a second means a full backlog.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

pub(super) type Connection = SendRequest<Incoming>;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) cluster: ClusterName,
    pub(super) backend: Backend,
    retired: AtomicBool,
    in_flight: AtomicUsize,
    finished: Notify,
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// Proof that a request was counted while the node was not retired; ends the count when dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Node>);

/// A request got no answer from a node.
#[derive(Debug)]
pub(super) enum SendError {
    /// Not a byte was written: another node can have it.
    NotSent(Box<Request<Incoming>>),
    /// It may have been received; nobody else may get it.
    Lost(hyper::Error),
    /// The client did not send its body to the end.
    ClientGone,
}

impl Node {
    pub(super) fn new(cluster: ClusterName, backend: Backend) -> Self {
        Self {
            cluster,
            backend,
            retired: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            finished: Notify::new(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Begins a request; none if the node was taken out. Sequentially consistent on both sides,
    /// so either this sees that the node is retired, or whoever retired it sees the request.
    pub(super) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let entered = InFlight(Arc::clone(self));
        (!self.retired.load(Ordering::SeqCst)).then_some(entered)
    }

    /// No request begins from here on, and no connection stays that has none.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Returns when no request is in flight.
    pub(super) async fn finished(&self) {
        loop {
            let mut finished = std::pin::pin!(self.finished.notified());
            // Registered before the look, so that an end in between is not missed.
            finished.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            finished.await;
        }
    }

    /// Sends a request over a kept connection, or a new one if that turns out to be closed.
    pub(super) async fn send(
        &self,
        request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Connection), SendError> {
        let request = match self.take_idle() {
            None => request,
            Some(connection) => match send_over(connection, request).await {
                Err(SendError::NotSent(request)) => *request,
                other => return other,
            },
        };
        match self.connect().await {
            Ok(connection) => send_over(connection, request).await,
            Err(error) => {
                tracing::debug!(node = self.backend.node, %error, "no connection");
                Err(SendError::NotSent(Box::new(request)))
            }
        }
    }

    async fn connect(&self) -> io::Result<Connection> {
        let stream =
            tokio::time::timeout(CONNECT_TIME_MAX, TcpStream::connect(self.backend.addr)).await??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // It ends when the sender is dropped or the node closes it; whoever waits for an answer
        // gets the error.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        retain_usable(&mut idle);
        // The newest first, so that those that are not needed grow old.
        let at = idle
            .iter()
            .rposition(|(connection, _)| connection.is_ready())?;
        Some(idle.remove(at).0)
    }

    /// Keeps a connection whose answer was read to the end.
    pub(super) fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: `retire` clears after it has set the mark.
        if !self.retired.load(Ordering::SeqCst) && !connection.is_closed() && idle.len() < IDLE_MAX
        {
            idle.push((connection, Instant::now()));
        }
    }

    /// Closes connections that were idle for too long.
    pub(super) fn sweep(&self) {
        retain_usable(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn retain_usable(idle: &mut Vec<(Connection, Instant)>) {
    idle.retain(|(connection, since)| !connection.is_closed() && since.elapsed() < IDLE_TIME_MAX);
}

async fn send_over(
    mut connection: Connection,
    request: Request<Incoming>,
) -> Result<(Response<Incoming>, Connection), SendError> {
    match connection.try_send_request(request).await {
        Ok(response) => Ok((response, connection)),
        Err(mut failed) => Err(match failed.take_message() {
            Some(request) => SendError::NotSent(Box::new(request)),
            None if failed.error().is_user() => SendError::ClientGone,
            None => SendError::Lost(failed.into_error()),
        }),
    }
}

impl InFlight {
    pub(super) fn node(&self) -> &Node {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.finished.notify_waiters();
        }
    }
}
