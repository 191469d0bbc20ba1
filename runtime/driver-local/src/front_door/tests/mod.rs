//! The front door against real nodes on loopback.

mod metrics;
mod process;
mod requests;
mod steering;

use super::{Backend, FrontDoor};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, CommandId, Digest, Epoch, Generation, Permille, Share, Split};

/// Much longer than anything here takes; only a failure waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

fn release(n: u8) -> Digest {
    Digest::from_sha256(&[n; 32])
}

fn cluster(name: &str) -> ClusterName {
    ClusterName::from(name)
}

fn stamp(epoch: u64, generation: u64, command: u64) -> Stamp {
    Stamp {
        epoch: Epoch(epoch),
        generation: Generation(generation),
        command: CommandId(command),
    }
}

fn split(shares: &[(&str, u8, u32)]) -> Split {
    Split::new(shares.iter().map(|(name, n, permille)| Share {
        cluster: cluster(name),
        release: release(*n),
        share: Permille(*permille),
    }))
}

/// Polls until the condition holds.
async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let mut poll = tokio::time::interval(Duration::from_millis(5));
    let met = async {
        while !condition().await {
            poll.tick().await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, met).await.is_ok(),
        "never: {what}"
    );
}

/// A front door inside the test, with a client for it.
struct Door {
    client: FrontDoor,
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    served: Option<JoinHandle<()>>,
    dir: TempDir,
}

impl Door {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (stop, _) = watch::channel(false);
        let (path, stopping) = (dir.path().to_owned(), stop.clone());
        let served = tokio::spawn(async move {
            super::process::serve(&path, "127.0.0.1:0".parse().unwrap(), stopping)
                .await
                .unwrap();
        });
        let client = FrontDoor::of(dir.path());
        eventually("the front door answers", || async {
            client.status().await.is_ok()
        })
        .await;
        let addr = client.status().await.unwrap().listen;
        Self {
            client,
            addr,
            stop,
            served: Some(served),
            dir,
        }
    }

    /// Sends everything of cluster `a` to these nodes.
    async fn with_nodes(nodes: &[&Node], shares: &[(&str, u8, u32)]) -> Self {
        let door = Self::open().await;
        door.set_nodes("a", nodes).await;
        door.client.set_split(vec![], &split(shares)).await.unwrap();
        door
    }

    async fn set_nodes(&self, name: &str, nodes: &[&Node]) {
        let backends = nodes.iter().map(|node| node.backend.clone()).collect();
        self.client
            .set_backends(&cluster(name), backends)
            .await
            .unwrap();
    }

    async fn stopped(&mut self) {
        let served = self.served.take().unwrap();
        tokio::time::timeout(DEADLINE, served)
            .await
            .unwrap()
            .unwrap();
    }
}

/// What a node does with a request.
#[derive(Clone)]
enum Behaviour {
    /// Answers with its name and this status.
    Answer(u16),
    /// Answers when it gets a permit.
    Wait(Arc<Semaphore>),
    /// Sends the request's body back, with connection headers that are nobody else's business.
    Echo,
}

/// A node: a server that answers with its name, and counts.
struct Node {
    backend: Backend,
    seen: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Node {
    async fn start(name: &str, n: u8) -> Self {
        Self::behaving(name, n, Behaviour::Answer(200)).await
    }

    async fn behaving(name: &str, n: u8, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Backend {
            node: name.to_owned(),
            release: release(n),
            addr: listener.local_addr().unwrap(),
        };
        let seen = Arc::new(AtomicUsize::new(0));
        let (counted, name) = (Arc::clone(&seen), name.to_owned());
        let task = tokio::spawn(async move {
            // Dropped with the task: then every connection is gone, as when a process ends.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (counted, name, behaviour) =
                    (Arc::clone(&counted), name.clone(), behaviour.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        counted.fetch_add(1, Ordering::SeqCst);
                        respond(name.clone(), behaviour.clone(), request)
                    });
                    let served = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    // A front door may go away in the middle of a test.
                    drop(served.await);
                });
            }
        });
        Self {
            backend,
            seen,
            task,
        }
    }

    /// A node that takes a request and closes the connection.
    async fn cutting(name: &str, n: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Backend {
            node: name.to_owned(),
            release: release(n),
            addr: listener.local_addr().unwrap(),
        };
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut byte = [0];
                tokio::io::AsyncReadExt::read_exact(&mut stream, &mut byte)
                    .await
                    .unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self {
            backend,
            seen,
            task,
        }
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    /// Ends like a process: it listens no more, and its connections are gone.
    async fn end(self) -> Backend {
        self.task.abort();
        drop(self.task.await);
        self.backend
    }
}

async fn respond(
    name: String,
    behaviour: Behaviour,
    request: Request<Incoming>,
) -> Result<Response<http_body_util::Either<Full<Bytes>, Incoming>>, Infallible> {
    use http_body_util::Either;
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(name))));
    match behaviour {
        Behaviour::Answer(status) => *response.status_mut() = StatusCode::from_u16(status).unwrap(),
        Behaviour::Wait(permits) => permits.acquire().await.unwrap().forget(),
        Behaviour::Echo => {
            let headers: Vec<String> = request
                .headers()
                .keys()
                .map(|name| name.as_str().to_owned())
                .collect();
            let path = request.uri().to_string();
            response = Response::new(Either::Right(request.into_body()));
            response
                .headers_mut()
                .insert("x-got-headers", headers.join(",").parse().unwrap());
            response
                .headers_mut()
                .insert("x-got-path", path.parse().unwrap());
            response
                .headers_mut()
                .insert("connection", "x-private".parse().unwrap());
            response
                .headers_mut()
                .insert("x-private", "1".parse().unwrap());
        }
    }
    Ok(response)
}

/// A client with one kept connection.
struct Client(SendRequest<Full<Bytes>>);

/// An answer that was read to the end.
struct Answer {
    status: u16,
    node: String,
    headers: hyper::HeaderMap,
    body: Bytes,
}

impl Client {
    async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn get(&mut self) -> Result<Answer, hyper::Error> {
        let request = Request::get("/")
            .header("host", "site")
            .body(Full::default())
            .unwrap();
        self.send(request).await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        self.0.ready().await?;
        let (parts, body) = self.0.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let node = parts
            .headers
            .get(super::NODE_HEADER)
            .map(|value| value.to_str().unwrap().to_owned());
        let status = parts.status.as_u16();
        Ok(Answer {
            status,
            node: node.unwrap_or_default(),
            headers: parts.headers,
            body,
        })
    }

    /// Sends so many requests and counts the good answers by node.
    async fn count(&mut self, requests: usize) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for _ in 0..requests {
            let answer = self.get().await.unwrap();
            assert_eq!(
                answer.status,
                200,
                "{}",
                String::from_utf8_lossy(&answer.body)
            );
            *counts.entry(answer.node).or_default() += 1;
        }
        counts
    }
}

/// Clients that send one request after the other until they are told to stop.
struct Load {
    stop: watch::Sender<bool>,
    clients: Vec<JoinHandle<(usize, Vec<String>)>>,
    answered: Arc<AtomicUsize>,
}

impl Load {
    fn start(addr: SocketAddr, clients: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let answered = Arc::new(AtomicUsize::new(0));
        let clients = (0..clients).map(|_| {
            let (stopped, answered) = (stopped.clone(), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut client = Client::connect(addr).await;
                let (mut sent, mut lost) = (0, Vec::new());
                while !*stopped.borrow() {
                    sent += 1;
                    match client.get().await {
                        Ok(answer) if answer.status == 200 => {}
                        Ok(answer) => {
                            lost.push(format!(
                                "{}: {}",
                                answer.status,
                                String::from_utf8_lossy(&answer.body)
                            ));
                        }
                        Err(error) => {
                            lost.push(error.to_string());
                            client = Client::connect(addr).await;
                        }
                    }
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                (sent, lost)
            })
        });
        Self {
            stop,
            clients: clients.collect(),
            answered,
        }
    }

    /// Waits until so many more requests were answered.
    async fn more(&self, requests: usize) {
        let until = self.answered.load(Ordering::SeqCst) + requests;
        eventually("requests are answered", || async {
            self.answered.load(Ordering::SeqCst) >= until
        })
        .await;
    }

    /// Stops, and gives how many were sent and what became of those that were lost.
    async fn end(self) -> (usize, Vec<String>) {
        self.stop.send_replace(true);
        let (mut sent, mut lost) = (0, Vec::new());
        for client in self.clients {
            let (more, others) = client.await.unwrap();
            sent += more;
            lost.extend(others);
        }
        (sent, lost)
    }
}
