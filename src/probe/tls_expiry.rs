//! TLS: what certificate a server shows, whether this host would trust it, and how long it still holds.
//!
//! The handshake is made with a verifier that records instead of refusing, so that an expired or foreign certificate can
//! be looked at and described; nothing is sent over the connection.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::ProbeEnv;
use super::http::cert_finding;
use super::look::{Finding, Look, Phase, Progress};
use super::net::{self, Resolver};
use crate::config::{Family, TlsCheck};
use crate::domain::Time;
use crate::domain::health::Reason;
use crate::sys::clock;
use crate::sys::tls::{self, CertFacts, ChainVerdict, Demand};
use crate::text::plural;

pub(super) struct TlsExpiry {
    host: String,
    port: u16,
    family: Family,
    name: ServerName<'static>,
    warn_days: u32,
    fail_days: u32,
    roots: Arc<RootCertStore>,
    resolver: Resolver,
}

impl TlsExpiry {
    pub(super) fn new(check: &TlsCheck, env: &ProbeEnv) -> Result<Self, String> {
        let (host, port) = net::host_port(&check.address)?;
        let name = check.server_name.clone().unwrap_or_else(|| host.clone());
        Ok(TlsExpiry {
            name: ServerName::try_from(name.clone())
                .map_err(|_| format!("\"{name}\" is neither a host's name nor an address"))?,
            host,
            port,
            family: check.family,
            warn_days: check.warn_days,
            fail_days: check.fail_days,
            roots: env.roots_with(&check.extra_ca)?,
            resolver: env.resolver.clone(),
        })
    }

    async fn ask(&self, progress: &Progress) -> Result<Finding, Finding> {
        let (stream, address) = net::connect(&self.resolver, &self.host, self.port, self.family, progress).await?;
        progress.enter(Phase::Tls);
        let at = address.to_string();
        let (config, recorder) = tls::recording_config(Arc::clone(&self.roots), Demand::Nothing, None)
            .map_err(|why| Finding::error(format!("making a TLS client: {why}")))?;
        let shaken = TlsConnector::from(Arc::new(config)).connect(self.name.clone(), stream).await;
        let version = match &shaken {
            Ok(stream) => stream.get_ref().1.protocol_version().map(|v| format!("{v:?}").replace("TLSv1_", "TLS 1.")),
            Err(_) => None,
        };
        if let Err(e) = shaken {
            return Err(match net::tls_of(&e) {
                Some(tls) => net::tls_words(tls, &at),
                None => net::exchange_words(&e, &at),
            });
        }
        let Some(seen) = recorder.seen() else {
            return Err(Finding::fail(Reason::Protocol, format!("{at} showed no certificate")));
        };
        let leaf = seen.chain.first().map(Vec::as_slice).unwrap_or_default();
        let facts = tls::cert_days_left(leaf).map_err(|why| Finding::fail(Reason::Protocol, why))?;
        let mut finding = match problem(&seen.verdict, &facts, &self.name.to_str()) {
            Some(problem) => problem.fact("certificate until", Time::from_ms(facts.not_after_ms).date()),
            None => self.days(&facts, &seen.chain, &at),
        };
        for (name, value) in [("issuer", &facts.issuer), ("names", &facts.san.join(", "))] {
            finding.facts.push((name.to_owned(), value.clone()));
        }
        finding.facts.extend(version.map(|v| ("version".to_owned(), v)));
        Ok(finding)
    }

    /// The chain holds as long as its first member to expire.
    fn days(&self, leaf: &CertFacts, chain: &[Vec<u8>], at: &str) -> Finding {
        let others = chain.iter().skip(1).filter_map(|der| tls::cert_days_left(der).ok());
        match others.min_by_key(|c| c.not_after_ms) {
            Some(other) if other.not_after_ms < leaf.not_after_ms => {
                let at = format!("{at}'s issuer {}", other.subject);
                cert_finding(&other, self.warn_days, self.fail_days, &at)
            }
            _ => cert_finding(leaf, self.warn_days, self.fail_days, at),
        }
    }
}

fn problem(verdict: &ChainVerdict, facts: &CertFacts, name: &str) -> Option<Finding> {
    let now = clock::now_ms();
    let days = |from: i64, to: i64| plural(usize::try_from((to - from).max(0) / 86_400_000).unwrap_or(0), "day");
    let (reason, text) = match verdict {
        ChainVerdict::Trusted => return None,
        ChainVerdict::Expired if facts.not_after_ms < now => (
            Reason::TlsExpired,
            format!(
                "the certificate expired on {}, {} ago",
                Time::from_ms(facts.not_after_ms).date(),
                days(facts.not_after_ms, now)
            ),
        ),
        ChainVerdict::Expired => (Reason::TlsExpired, "a certificate of the chain has expired".to_owned()),
        ChainVerdict::NotYetValid if facts.not_before_ms > now => (
            Reason::TlsNotYet,
            format!(
                "the certificate is not valid before {}, in {}",
                Time::from_ms(facts.not_before_ms).date(),
                days(now, facts.not_before_ms)
            ),
        ),
        ChainVerdict::NotYetValid => (Reason::TlsNotYet, "a certificate of the chain is not valid yet".to_owned()),
        ChainVerdict::WrongName { presented } if presented.is_empty() => {
            (Reason::TlsName, format!("the certificate is for another name than {name}"))
        }
        ChainVerdict::WrongName { presented } => {
            (Reason::TlsName, format!("the certificate is for {}, not for {name}", presented.join(", ")))
        }
        ChainVerdict::SelfSigned | ChainVerdict::UntrustedIssuer | ChainVerdict::Other(_) => {
            (Reason::TlsUntrusted, verdict.to_string())
        }
    };
    Some(Finding::fail(reason, text))
}

impl Look for TlsExpiry {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move { self.ask(progress).await.unwrap_or_else(|e| e) })
    }
}
