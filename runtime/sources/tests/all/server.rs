//! A server that says what a test wants, and remembers what it was asked.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

/// What to say.
pub(crate) enum Say {
    /// A status, a content type and a body.
    Text(u16, &'static str, String),
    /// A redirect to an address.
    Redirect(String),
    /// Nothing, ever.
    Silence,
}

/// As JSON, with status 200.
pub(crate) fn json(body: &str) -> Say {
    Say::Text(200, "application/json", body.to_owned())
}

type Answer = Arc<dyn Fn(&Seen) -> Say + Send + Sync>;

/// It runs until the test's runtime ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Say + Send + Sync + 'static) -> Self {
        Self::listen(Arc::new(answer), None).await
    }

    pub(crate) async fn protected(
        tls: ServerConfig,
        answer: impl Fn(&Seen) -> Say + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Arc::new(answer), Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    /// What was asked since the last call.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    async fn listen(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (answer, record) = (Arc::clone(&answer), Arc::clone(&record));
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => serve(tcp, answer, record).await,
                        // A client that is not let in gets no further.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                serve(stream, answer, record).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }
}

async fn serve<S>(stream: S, answer: Answer, record: Arc<Mutex<Vec<Seen>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, record) = (Arc::clone(&answer), Arc::clone(&record));
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let header = request.headers().get("authorization");
            let authorization = header.map(|value| value.to_str().unwrap().to_owned());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let seen = Seen {
                line,
                authorization,
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            record.lock().unwrap().push(seen.clone());
            let response = match answer(&seen) {
                Say::Silence => std::future::pending().await,
                Say::Redirect(to) => Response::builder().status(302).header("location", to),
                Say::Text(status, content_type, body) => {
                    let response = Response::builder().status(status);
                    let response = response.header("content-type", content_type);
                    return Ok::<_, Infallible>(response.body(Full::from(body)).unwrap());
                }
            };
            Ok(response.body(Full::<Bytes>::default()).unwrap())
        }
    });
    // A client that goes away early is no failure of the test.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
