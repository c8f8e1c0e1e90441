//! TLS for everything that speaks it: one provider (ring), one store of roots, and a look at certificates.
//!
//! There is no switch that turns verification off. What there is instead: a verifier that *records*. It keeps the chain
//! the peer showed and what verification says about it, and its [`Demand`] decides which findings end the handshake.
//! [`Demand::Nothing`] serves the expiry probe, which must be able to look at an expired certificate, and PostgreSQL's
//! `sslmode=require`, which by definition encrypts without verifying; both show the verdict they recorded.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Makes ring the provider of this process. First thing in `main` and in every test binary that uses TLS; calling it
/// again does nothing.
pub fn install_provider() {
    // An error means that one is installed already, which is what was wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn provider() -> Arc<CryptoProvider> {
    static RING: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    RING.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())).clone()
}

/// The certificates to trust: the host's own, or Mozilla's where the host has none, plus those in `extra_ca_files`
/// (PEM). What could not be read comes back as warnings, each one sentence.
pub fn roots(extra_ca_files: &[PathBuf]) -> (Arc<RootCertStore>, Vec<String>) {
    let mut store = RootCertStore::empty();
    let mut warnings = Vec::new();
    let native = rustls_native_certs::load_native_certs();
    let (_, unusable) = store.add_parsable_certificates(native.certs);
    // A host without any certificates is the normal case in a container; the errors then only say so.
    if store.is_empty() {
        store.roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    } else {
        warnings.extend(native.errors.iter().map(|e| format!("reading the host's CA certificates: {e}")));
        if unusable > 0 {
            warnings.push(format!("{unusable} of the host's CA certificates cannot be used"));
        }
    }
    for file in extra_ca_files {
        match pem_certificates(file) {
            Ok(certificates) => {
                for certificate in certificates {
                    if let Err(e) = store.add(certificate) {
                        warnings.push(format!("a CA certificate in {} cannot be used: {e}", file.display()));
                    }
                }
            }
            Err(why) => warnings.push(why),
        }
    }
    (Arc::new(store), warnings)
}

/// Only the certificates in `file` (PEM), as `sslrootcert` means it.
pub fn roots_only(file: &std::path::Path) -> Result<Arc<RootCertStore>, String> {
    let mut store = RootCertStore::empty();
    for certificate in pem_certificates(file)? {
        store.add(certificate).map_err(|e| format!("a CA certificate in {} cannot be used: {e}", file.display()))?;
    }
    Ok(Arc::new(store))
}

/// [`roots`] without extra files, read once in the life of the process.
pub fn default_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| roots(&[]).0).clone()
}

fn pem_certificates(file: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| format!("reading certificates from {}: {e}", file.display()))?;
    if certificates.is_empty() {
        return Err(format!("reading certificates from {}: there is none in it (PEM is expected)", file.display()));
    }
    Ok(certificates)
}

/// A client that verifies chain, dates and name.
pub fn client_config(roots: Arc<RootCertStore>) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|e| unreachable!("ring supports TLS 1.2 and 1.3: {e}"));
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// What verification says about a peer's chain. The first finding counts, in this order: dates and issuer, then name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainVerdict {
    /// Chain, dates and name are in order.
    Trusted,
    /// A certificate of the chain is past its last day.
    Expired,
    /// A certificate of the chain is not valid yet (or this host's clock is behind).
    NotYetValid,
    /// Nobody whom this host trusts has signed it.
    UntrustedIssuer,
    /// It is its own issuer.
    SelfSigned,
    /// In order, but for other names.
    WrongName {
        /// The names it is for.
        presented: Vec<String>,
    },
    /// Anything else, in words.
    Other(String),
}

impl std::fmt::Display for ChainVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ChainVerdict::Trusted => f.write_str("the certificate is trusted"),
            ChainVerdict::Expired => f.write_str("the certificate has expired"),
            ChainVerdict::NotYetValid => f.write_str("the certificate is not valid yet"),
            ChainVerdict::UntrustedIssuer => f.write_str("the certificate is signed by nobody this host trusts"),
            ChainVerdict::SelfSigned => f.write_str("the certificate is self-signed"),
            ChainVerdict::WrongName { presented } if presented.is_empty() => {
                f.write_str("the certificate is for another name")
            }
            ChainVerdict::WrongName { presented } => {
                write!(f, "the certificate is for {}, not for this name", presented.join(", "))
            }
            ChainVerdict::Other(why) => write!(f, "the certificate was not accepted: {why}"),
        }
    }
}

/// Which findings end the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// None: only look. The peer must still prove that it holds the key of what it shows.
    Nothing,
    /// The chain and its dates must be in order; the name may differ (`sslmode=verify-ca`).
    Chain,
    /// Chain, dates and name.
    ChainAndName,
}

/// What a recorded handshake showed.
#[derive(Debug, Clone)]
pub struct Seen {
    /// DER certificates, the peer's own first.
    pub chain: Vec<Vec<u8>>,
    /// What verification says.
    pub verdict: ChainVerdict,
}

/// Where a handshake leaves what it saw; empty until the peer has shown its certificate.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Option<Seen>>>);

impl Recorder {
    /// What the last handshake saw.
    pub fn seen(&self) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A certificate and key this side shows when asked (PEM files).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Certificate chain, own certificate first.
    pub certificate: PathBuf,
    /// Unencrypted private key.
    pub key: PathBuf,
}

/// A client whose handshake is recorded. Make one for every connection: it neither resumes sessions nor shares the
/// recorder. Fails only when `identity` cannot be read.
pub fn recording_config(
    roots: Arc<RootCertStore>,
    demand: Demand,
    identity: Option<&ClientIdentity>,
) -> Result<(ClientConfig, Recorder), String> {
    let recorder = Recorder::default();
    let verifier = Arc::new(RecordingVerifier { roots, demand, provider: provider(), recorder: recorder.clone() });
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(id) => {
            let key = PrivateKeyDer::from_pem_file(&id.key)
                .map_err(|e| format!("reading the private key {}: {e}", id.key.display()))?;
            builder
                .with_client_auth_cert(pem_certificates(&id.certificate)?, key)
                .map_err(|e| format!("the client certificate {} cannot be used: {e}", id.certificate.display()))?
        }
    };
    // A resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    Ok((config, recorder))
}

#[derive(Debug)]
struct RecordingVerifier {
    roots: Arc<RootCertStore>,
    demand: Demand,
    provider: Arc<CryptoProvider>,
    recorder: Recorder,
}

impl RecordingVerifier {
    fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, others, now, algorithms)
    }

    fn check_name(leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), rustls::Error> {
        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)
    }
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = self.check_chain(leaf, others, now);
        let named = Self::check_name(leaf, name);
        let verdict = match (&chain, &named) {
            (Err(e), _) | (Ok(()), Err(e)) => verdict_of(e, leaf),
            (Ok(()), Ok(())) => ChainVerdict::Trusted,
        };
        let certificates = std::iter::once(leaf).chain(others).map(|c| c.as_ref().to_vec()).collect();
        *self.recorder.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { chain: certificates, verdict });
        if self.demand != Demand::Nothing {
            chain?;
        }
        if self.demand == Demand::ChainAndName {
            named?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn verdict_of(error: &rustls::Error, leaf: &CertificateDer<'_>) -> ChainVerdict {
    let rustls::Error::InvalidCertificate(why) = error else {
        return ChainVerdict::Other(super::one_line(&error.to_string()));
    };
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => ChainVerdict::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => ChainVerdict::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let presented = cert_days_left(leaf).map(|f| f.san).unwrap_or_default();
            ChainVerdict::WrongName { presented }
        }
        // A CA used as a server's own certificate is how most home-made ones look; webpki calls that "other".
        CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_)
            if is_own_issuer(leaf) =>
        {
            ChainVerdict::SelfSigned
        }
        // A bad signature: somebody uses the name of an authority that this host trusts.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => ChainVerdict::UntrustedIssuer,
        other => ChainVerdict::Other(super::one_line(&other.to_string())),
    }
}

fn is_own_issuer(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    let tbs = &certificate.tbs_certificate;
    matches!((tbs.issuer.to_der(), tbs.subject.to_der()), (Ok(a), Ok(b)) if a == b)
}

/// What stands in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertFacts {
    /// First moment of validity, milliseconds since 1970-01-01 UTC.
    pub not_before_ms: i64,
    /// Last moment of validity, milliseconds since 1970-01-01 UTC.
    pub not_after_ms: i64,
    /// Whom it is for, in the form of RFC 4514 (`CN=…,O=…`); often empty today.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// DNS names and IP addresses it is good for.
    pub san: Vec<String>,
}

impl CertFacts {
    /// Whole days left at `now_ms`; negative once it is over.
    pub fn days_left(&self, now_ms: i64) -> i64 {
        (self.not_after_ms - now_ms).div_euclid(86_400_000)
    }
}

/// Reads one DER certificate (RFC 5280). Control characters in its names are replaced.
pub fn cert_days_left(der: &[u8]) -> Result<CertFacts, String> {
    let certificate = Certificate::from_der(der).map_err(|e| format!("the certificate cannot be read: {e}"))?;
    let tbs = &certificate.tbs_certificate;
    let ms = |t: x509_cert::time::Time| i64::try_from(t.to_unix_duration().as_millis()).unwrap_or(i64::MAX);
    let san = match tbs.get::<SubjectAltName>() {
        Ok(Some((_, SubjectAltName(names)))) => names.iter().filter_map(general_name).collect(),
        _ => Vec::new(),
    };
    Ok(CertFacts {
        not_before_ms: ms(tbs.validity.not_before),
        not_after_ms: ms(tbs.validity.not_after),
        subject: super::one_line(&tbs.subject.to_string()),
        issuer: super::one_line(&tbs.issuer.to_string()),
        san,
    })
}

fn general_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(dns) => Some(super::one_line(dns.as_str())),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
                (Ok(v4), _) => Some(std::net::Ipv4Addr::from(v4).to_string()),
                (_, Ok(v6)) => Some(std::net::Ipv6Addr::from(v6).to_string()),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
