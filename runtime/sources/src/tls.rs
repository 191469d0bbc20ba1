//! How a connection is protected: which authorities are trusted, and who the host says it is.

use crate::Fault;
use rustls::client::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, version};
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use wavegate_model::source::Tls;

/// A bundle of all public authorities has a quarter of it.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Reads the certificates and makes a configuration of them. It is done for each connection: a
/// gate asks every few seconds, and a certificate that was renewed is taken without a restart.
pub(crate) fn config(tls: &Tls) -> Result<ClientConfig, Fault> {
    let roots = match &tls.ca {
        Some(path) => own_roots(path)?,
        None => system_roots()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| unusable("TLS", &error))?
        .with_root_certificates(roots);
    let mut config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|_| Fault::Unavailable(format!("`{key}` holds no private key")))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable("the certificate and its key", &error))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn own_roots(path: &str) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(&format!("`{path}`"), &error))?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    // Some systems ship one that no library reads; the others are enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Fault::Unavailable(
            "this system trusts no certificate authority, and the source names none".to_owned(),
        ));
    }
    Ok(roots)
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Fault::Unavailable(format!("`{path}` holds no certificate"))),
    }
}

fn read(path: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PEM_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Fault::Unavailable(format!(
            "cannot read the file `{path}`: {}",
            error.kind()
        ))),
    }
}

fn unusable(what: &str, error: &rustls::Error) -> Fault {
    Fault::Unavailable(format!("{what} cannot be used: {error}"))
}
