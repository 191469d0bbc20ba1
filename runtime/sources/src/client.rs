//! One request over one connection: no retries, no redirects, no pool. A gate asks every few
//! seconds, and a connection of its own is the simplest thing that cannot go stale.

use crate::address::{Address, Scheme};
use crate::secret::Credentials;
use crate::set::BadSource;
use crate::{Fault, tls};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wavegate_model::source::{Auth, Endpoint, Tls};

const AGENT: &str = concat!("wavegate/", env!("CARGO_PKG_VERSION"));
/// A content type is a few words.
const CONTENT_TYPE_CHARS_MAX: usize = 200;

/// A server that can be asked.
pub(crate) struct Client {
    address: Address,
    auth: Auth,
    tls: Tls,
}

/// What to ask for.
pub(crate) enum Ask {
    /// A path, which begins with `/`.
    Get(String),
    /// A path, and the fields of a form.
    PostForm(&'static str, String),
}

/// What the server said.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Checks the description. Credentials and certificates are read when they are needed: a
    /// rollout can be resumed, paused or taken back although one of them is gone.
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self, BadSource> {
        let address = Address::parse(&endpoint.address)
            .ok_or_else(|| BadSource::Address(endpoint.address.clone()))?;
        if address.scheme == Scheme::Http && endpoint.tls.is_some() {
            return Err(BadSource::TlsWithoutHttps(endpoint.address.clone()));
        }
        Ok(Self {
            address,
            auth: endpoint.auth.clone(),
            tls: endpoint.tls.clone().unwrap_or_default(),
        })
    }

    /// Asks, and reads the whole answer. The caller limits the time.
    pub(crate) async fn ask(&self, ask: Ask, body_max: usize) -> Result<Reply, Fault> {
        let credentials = Credentials::read(&self.auth).await?;
        let request = self.request(ask, &credentials)?;
        let tcp = connect(&self.address).await?;
        let reply = match self.address.scheme {
            Scheme::Http => exchange(tcp, request, body_max).await?,
            Scheme::Https => exchange(self.protect(tcp).await?, request, body_max).await?,
        };
        let told = [reply.body.as_slice(), reply.content_type.as_bytes()];
        if told.iter().any(|text| credentials.are_in(text)) {
            // It would go to a guest and into the journal.
            let detail = "its answer repeats the credential that it was sent";
            return Err(Fault::Unavailable(detail.to_owned()));
        }
        Ok(reply)
    }

    /// Reads the credentials and makes a connection, and asks nothing.
    pub(crate) async fn reach(&self) -> Result<(), Fault> {
        Credentials::read(&self.auth).await?;
        let tcp = connect(&self.address).await?;
        match self.address.scheme {
            Scheme::Http => Ok(()),
            Scheme::Https => self.protect(tcp).await.map(drop),
        }
    }

    fn request(&self, ask: Ask, credentials: &Credentials) -> Result<Request<Full<Bytes>>, Fault> {
        let (method, path, form) = match ask {
            Ask::Get(path) => (Method::GET, path, None),
            Ask::PostForm(path, form) => (Method::POST, path.to_owned(), Some(form)),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(self.address.target(&path))
            .header(HOST, self.address.authority())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*");
        if let Some(credential) = credentials.header() {
            request = request.header(AUTHORIZATION, credential);
        }
        if form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request
            .body(Full::from(form.unwrap_or_default()))
            .map_err(|_| Fault::Refused("it is not a path of a request".to_owned()))
    }

    async fn protect(
        &self,
        tcp: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Fault> {
        let tls = self.tls.clone();
        let config = tokio::task::spawn_blocking(move || tls::config(&tls)).await;
        let config =
            config.map_err(|_| Fault::Unavailable("reading certificates failed".into()))??;
        let name = ServerName::try_from(self.address.host.clone())
            .map_err(|_| Fault::Refused("its host is no name for a certificate".to_owned()))?;
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| Fault::Unavailable(format!("no protected connection: {error}")))
    }
}

/// Connects to the first of the server's machines that takes the connection.
async fn connect(address: &Address) -> Result<TcpStream, Fault> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for machine in address.resolve().await? {
        match TcpStream::connect(machine).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(Fault::Unavailable(format!("no connection: {last}")))
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    body_max: usize,
) -> Result<Reply, Fault>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    // The connection lives in this future, so that a time-out ends it, too.
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let response = sender.send_request(request).await;
        read(response.map_err(|error| broken(&error))?, body_max).await
    });
    tokio::select! {
        answer = &mut answer => answer,
        // What has arrived can still be read.
        _ = &mut connection => answer.await,
    }
}

async fn read(response: Response<hyper::body::Incoming>, max: usize) -> Result<Reply, Fault> {
    let status = response.status().as_u16();
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.map_or("", |value| value.to_str().unwrap_or_default());
    let content_type = content_type.chars().take(CONTENT_TYPE_CHARS_MAX).collect();
    let mut body = Vec::new();
    let mut incoming = response.into_body();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if body.len() + data.len() > max {
            let detail = format!("its answer has more than {max} bytes");
            return Err(Fault::Unavailable(detail));
        }
        body.extend_from_slice(data);
    }
    Ok(Reply {
        status,
        content_type,
        body,
    })
}

/// The library says only what it was doing; what went wrong is below.
fn broken(error: &hyper::Error) -> Fault {
    let mut detail = error.to_string();
    if let Some(source) = error.source() {
        detail = format!("{detail}: {source}");
    }
    Fault::Unavailable(detail)
}
