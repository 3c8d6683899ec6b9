//! A certificate authority of a test's own, so that a function meets a real TLS endpoint.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Where Linux distributions and Lambda's base images keep the root certificates.
const SYSTEM_BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// A server's side of TLS for 127.0.0.1, and what a client has to trust.
#[derive(Debug)]
pub(crate) struct Authority {
    bundle: NamedTempFile,
}

impl Authority {
    /// A new authority, and an acceptor with a certificate that it signed.
    pub(crate) fn new() -> io::Result<(Self, TlsAcceptor)> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).map_err(io::Error::other)?;
        let issuer = Issuer::new(params, key);
        let server_key = KeyPair::generate().map_err(io::Error::other)?;
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
        let server = server.signed_by(&server_key, &issuer).map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(server_key.serialize_der()).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let config = config.with_no_client_auth();
        let config = config.with_single_cert(vec![server.der().clone()], key).map_err(io::Error::other)?;
        Ok((Self { bundle: bundle_with(&authority.pem())? }, TlsAcceptor::from(Arc::new(config))))
    }

    /// A file of root certificates, for `SSL_CERT_FILE`: the system's and this one, so that loading
    /// them costs what it costs on Lambda.
    pub(crate) fn bundle(&self) -> &Path {
        self.bundle.path()
    }
}

fn bundle_with(authority: &str) -> io::Result<NamedTempFile> {
    let system = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    let mut bundle = NamedTempFile::new()?;
    bundle.write_all(&system)?;
    bundle.write_all(authority.as_bytes())?;
    Ok(bundle)
}
