//! Clients shared by policy, and the callbacks by which a request tells where it is.
//!
//! reqwest says that a connection failed, not which address was tried nor how far it came. The resolver, the redirect
//! policy and the TLS session store are called in the task of the request, so they leave what they see in a task-local.

use std::future::Future;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

use super::super::ProbeEnv;
use super::super::look::{Phase, Progress};
use super::super::net::{LookupFailed, Resolver, literal};
use crate::config::{Family, Redirects};
use crate::sys::tls;

/// What makes one client different from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Policy {
    pub(super) redirects: Redirects,
    pub(super) family: Family,
    pub(super) keep_alive: bool,
    /// Sends secrets in headers, which must not follow a redirect to somebody else.
    pub(super) secret_headers: bool,
    pub(super) extra_ca: Vec<PathBuf>,
    pub(super) connect_limit: Duration,
}

impl Hash for Policy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The configuration's types are not hashable; the rest spreads well enough.
        (self.keep_alive, self.secret_headers, &self.extra_ca, self.connect_limit).hash(state);
    }
}

pub(super) const USER_AGENT: &str = concat!("mayday/", env!("CARGO_PKG_VERSION"));

struct Trace {
    progress: Arc<Progress>,
    redirected: AtomicBool,
}

tokio::task_local! {
    static TRACE: Trace;
}

/// Runs a request so that the callbacks find its progress.
pub(super) fn traced<F: Future>(progress: &Arc<Progress>, request: F) -> impl Future<Output = F::Output> {
    TRACE.scope(Trace { progress: Arc::clone(progress), redirected: AtomicBool::new(false) }, request)
}

/// The client of a policy, made when it is first asked for.
pub(super) fn shared(policy: Policy, env: &ProbeEnv) -> Result<reqwest::Client, String> {
    let mut clients = env.clients.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = clients.get(&policy) {
        return Ok(client.clone());
    }
    let client = build(&policy, env)?;
    clients.insert(policy, client.clone());
    Ok(client)
}

fn build(policy: &Policy, env: &ProbeEnv) -> Result<reqwest::Client, String> {
    let mut tls = (*tls::client_config(env.roots_with(&policy.extra_ca)?)).clone();
    tls.resumption = Resumption::store(Arc::new(NoSessions));
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .tls_info(true)
        .http1_only()
        .user_agent(USER_AGENT)
        .referer(false)
        // Nothing of the environment decides what a probe sees.
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(policy.connect_limit)
        .dns_resolver(Arc::new(Named { resolver: env.resolver.clone(), family: policy.family }))
        .redirect(redirects(policy));
    if !policy.keep_alive {
        // A connection that is closed at once needs no keep-alive, and setting it takes four calls.
        builder = builder
            .pool_max_idle_per_host(0)
            .tcp_keepalive(None)
            .tcp_keepalive_interval(None)
            .tcp_keepalive_retries(None);
    }
    builder.build().map_err(|e| format!("making an HTTP client: {e}"))
}

struct Named {
    resolver: Resolver,
    family: Family,
}

impl Resolve for Named {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, family) = (self.resolver.clone(), self.family);
        Box::pin(async move {
            let name = name.as_str();
            note(Phase::Resolve, name);
            let mut found = resolver.lookup(name, 0, family).await?;
            if TRACE.try_with(|t| t.redirected.load(Ordering::Relaxed)).unwrap_or(false) {
                found.retain(|a| !is_forbidden(a.ip()));
                if found.is_empty() {
                    return Err(
                        LookupFailed(format!("redirect to {name} refused: it leads to a link-local address")).into()
                    );
                }
            }
            let shown: Vec<String> = found.iter().map(|a| a.ip().to_string()).collect();
            note(Phase::Connect, &format!("{name} ({})", shown.join(", ")));
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

fn note(phase: Phase, with: &str) {
    // Outside of a probe there is nobody to tell.
    let _ = TRACE.try_with(|t| t.progress.enter_with(phase, with));
}

/// A redirect that is not followed, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct RedirectRefused(String);

fn redirects(policy: &Policy) -> redirect::Policy {
    let (limit, any_host) = match policy.redirects {
        Redirects::None => return redirect::Policy::none(),
        Redirects::SameHost(n) => (n, false),
        Redirects::Any(n) => (n, true),
    };
    let secret_headers = policy.secret_headers;
    redirect::Policy::custom(move |attempt| {
        let refused = attempt
            .previous()
            .last()
            .and_then(|from| refusal(from, attempt.url(), attempt.previous().len(), limit, any_host, secret_headers));
        match refused {
            Some(why) => attempt.error(RedirectRefused(why)),
            None => {
                let to = place(attempt.url());
                let _ = TRACE.try_with(|t| {
                    t.redirected.store(true, Ordering::Relaxed);
                    t.progress.enter_with(Phase::Connect, to);
                });
                attempt.follow()
            }
        }
    })
}

/// `scheme://host[:port]`: the rest of an address may hold tokens.
fn place(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

fn refusal(from: &Url, to: &Url, hops: usize, limit: u8, any_host: bool, secret_headers: bool) -> Option<String> {
    let target = place(to);
    if hops > usize::from(limit) {
        return Some(format!("redirect to {target} refused: more than {limit} redirects"));
    }
    if from.scheme() == "https" && to.scheme() != "https" {
        return Some(format!("redirect to {target} refused: it leads from https to {}", to.scheme()));
    }
    let host = to.host_str().unwrap_or_default();
    let is_metadata_name = matches!(host, "metadata.google.internal" | "metadata" | "instance-data");
    if is_metadata_name || literal(host).is_some_and(is_forbidden) {
        return Some(format!("redirect to {target} refused: it is a link-local or metadata address"));
    }
    let same = from.host_str() == to.host_str();
    if !same && !any_host {
        return Some(format!(
            "redirect to {target} refused: it is another host (redirects = \"any:{limit}\" follows it)"
        ));
    }
    if !same && secret_headers {
        return Some(format!("redirect to {target} refused: it is another host, and this check sends secret headers"));
    }
    None
}

/// Link-local addresses, and the clouds' metadata services outside of that range.
fn is_forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.octets() == [100, 100, 100, 200] || v4.octets() == [168, 63, 129, 16]
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_forbidden(IpAddr::V4(v4)),
            None => v6.is_unicast_link_local() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
        },
    }
}

/// Remembers no session: each probe sees the whole handshake and the certificate. rustls asks it for a hint exactly when
/// a handshake begins, which is the one moment at which "connected" can be told from "connecting".
#[derive(Debug)]
struct NoSessions;

impl ClientSessionStore for NoSessions {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        let _ = TRACE.try_with(|t| t.progress.enter(Phase::Tls));
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_followed_only_where_they_may_lead() {
        for (from, to, any, secret, wanted) in [
            ("http://a/", "http://a/x", false, true, None),
            ("http://a/", "https://a/x", false, false, None),
            ("https://a/", "http://a/x", false, false, Some("from https to http")),
            ("http://a/", "http://b/", false, false, Some("another host")),
            ("http://a/", "http://b/", true, false, None),
            ("http://a/", "http://b/", true, true, Some("secret headers")),
            ("http://a/", "http://169.254.169.254/latest", true, false, Some("link-local")),
            ("http://a/", "http://[fe80::1]/", true, false, Some("link-local")),
            ("http://a/", "http://[::ffff:169.254.1.1]/", true, false, Some("link-local")),
            ("http://a/", "http://metadata.google.internal/", true, false, Some("metadata")),
        ] {
            let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
            let got = refusal(&from, &to, 1, 5, any, secret);
            match wanted {
                None => assert_eq!(got, None, "{from} to {to}"),
                Some(word) => assert!(got.as_deref().is_some_and(|w| w.contains(word)), "{from} to {to}: {got:?}"),
            }
        }
        let a = Url::parse("http://a/?token=hunter22").unwrap();
        assert_eq!(refusal(&a, &a, 5, 5, false, false), None);
        let why = refusal(&a, &a, 6, 5, false, false).unwrap();
        assert!(why.contains("more than 5") && !why.contains("hunter22"), "{why}");
    }
}
