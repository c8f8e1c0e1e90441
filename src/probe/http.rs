//! HTTP(S): a request, and what is expected of the answer.
//!
//! The body is read only when an expectation needs it, and never beyond `max_body`. Connections are closed after every
//! probe unless the check asks for keep-alive: a probe over an old connection does not see that new ones are refused. The
//! request asks the server to close first, so that a thousand probes do not leave this host a thousand sockets in
//! TIME_WAIT.
//!
//! A plain request of which only the head of the answer counts needs no client: see [`direct`].
//!
//! Clients are shared between checks of one policy. What a client cannot tell (which address it tried, whether TCP or
//! TLS was under way) is noted by callbacks that run inside the probe's own task; see [`client`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode, Url};

use super::Vault;
use super::look::{Finding, Look, Phase, Progress};
use crate::config::secret::MaybeSecret;
use crate::config::{HttpCheck, Redirects};
use crate::domain::Time;
use crate::domain::health::Reason;
use crate::sys::{clock, tls};
use crate::text::{duration, plural};

mod client;
mod direct;
mod errors;
mod expect;

pub(super) use client::Policy;
use direct::{Asked, Direct};
use expect::Expectations;

pub(super) struct Http {
    client: reqwest::Client,
    request: Request,
    direct: Option<Direct>,
    /// `host:port`, for errors before an address is known.
    at: String,
    expect: Expectations,
    latency_below: Option<Duration>,
    cert_days: Option<(u32, u32)>,
    keep_alive: bool,
}

impl Http {
    pub(super) fn new(check: &HttpCheck, timeout: Duration, vault: &mut Vault<'_>) -> Result<Self, String> {
        let text = vault.value(&check.url)?;
        let shown = match &check.url {
            MaybeSecret::Plain(url) => url.as_str(),
            MaybeSecret::Secret(_) => "the address",
        };
        let url = Url::parse(&text).map_err(|e| format!("{shown} is not a URL like http://host/path: {e}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{shown} must begin with http:// or https://"));
        }
        let host = url.host_str().ok_or_else(|| format!("{shown} names no host"))?.to_owned();
        if let Some(password) = url.password() {
            vault.hide(&password.to_owned().into());
        }
        let at = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
        let method = Method::from_bytes(check.method.as_bytes())
            .map_err(|_| format!("\"{}\" is not an HTTP method", check.method))?;
        let mut headers = HeaderMap::new();
        let mut secret_headers = false;
        for (name, value) in &check.headers {
            let header: HeaderName = name.parse().map_err(|_| format!("\"{name}\" is not a header's name"))?;
            let text = vault.value(value)?;
            let mut value_ =
                HeaderValue::from_str(&text).map_err(|_| format!("the value of header {name} is not legal"))?;
            if value.secret().is_some() {
                value_.set_sensitive(true);
                secret_headers = true;
            }
            headers.append(header, value_);
        }
        if !check.keep_alive && !headers.contains_key(CONNECTION) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // Within the limit around the probe, so that a connection that does not come about is told from a silent server.
        let connect_limit = timeout.saturating_sub((timeout / 50).max(Duration::from_millis(20)));
        let policy = Policy {
            redirects: check.redirects,
            family: check.family,
            keep_alive: check.keep_alive,
            secret_headers,
            extra_ca: check.extra_ca.clone(),
            connect_limit,
        };
        let cert_days = (check.cert_warn_days.is_some() || check.cert_fail_days.is_some())
            .then(|| (check.cert_warn_days.unwrap_or(0), check.cert_fail_days.unwrap_or(0)));
        let client = client::shared(policy, vault.env)?;
        // The builder turns a user and password in the address into a header.
        let mut request = client.request(method, url).headers(headers);
        if let Some(body) = &check.body {
            request = request.body(body.clone());
        }
        let request = request.build().map_err(|e| format!("making the request: {e}"))?;
        let expect = Expectations::new(check)?;
        let follows = !matches!(check.redirects, Redirects::None);
        let direct = match check.keep_alive || expect.needs_body() {
            true => None,
            false => Direct::new(&request, &vault.env.resolver, check.family, follows),
        };
        Ok(Http {
            client,
            request,
            direct,
            at,
            expect,
            latency_below: check.latency_below,
            cert_days,
            keep_alive: check.keep_alive,
        })
    }

    /// The short way, where there is one. `None`: the client has to ask.
    async fn ask_directly(&self, progress: &Progress) -> Option<Finding> {
        let direct = self.direct.as_ref().filter(|d| d.is_short())?;
        match direct.ask(self.expect.needs_headers(), progress).await {
            Asked::Failed(finding) => Some(finding),
            Asked::Head(head) => {
                let shown = shown_status(head.status);
                let missed = self.expect.status(head.status, &shown);
                let missed = missed.or_else(|| self.expect.headers(&head.headers, &shown));
                let finding = missed.unwrap_or_else(|| self.speed(&shown, progress.elapsed()));
                Some(finding.fact("status", head.status.as_str()))
            }
            Asked::Client => None,
        }
    }

    async fn ask(&self, progress: &Arc<Progress>) -> Finding {
        let Some(request) = self.request.try_clone() else {
            return Finding::error("the request cannot be repeated: this is a fault of mayday");
        };
        progress.enter_with(Phase::Connect, self.at.as_str());
        match self.client.execute(request).await {
            Ok(response) => {
                if let Some(direct) = &self.direct {
                    direct.learn(response.url() != self.request.url());
                }
                self.judge(response, progress).await
            }
            Err(e) => errors::finding(&e, progress),
        }
    }

    async fn judge(&self, mut response: Response, progress: &Progress) -> Finding {
        let (_, with) = progress.place();
        progress.enter(Phase::Body);
        let status = response.status();
        let shown = shown_status(status);
        let mut finding = self.expect.status(status, &shown);
        if finding.is_none() {
            finding = self.expect.headers(response.headers(), &shown);
        }
        if finding.is_none() && self.expect.needs_body() {
            finding = match read(&mut response, self.expect.max_body).await {
                Ok(body) => self.expect.body(&body, &shown),
                Err(ReadFailed::TooLarge) => Some(Finding::fail(
                    Reason::TooLarge,
                    format!("{shown}, but the body is larger than {} bytes", self.expect.max_body),
                )),
                Err(ReadFailed::Broken(e)) => Some(errors::finding(&e, progress)),
            };
        } else if self.keep_alive {
            // So that the connection can be used again; more than this is not worth it.
            let _ = read(&mut response, 4096).await;
        }
        let mut finding = finding.unwrap_or_else(|| self.speed(&shown, progress.elapsed()));
        finding.facts.push(("status".into(), status.as_u16().to_string()));
        match self.cert_days {
            Some((warn, fail)) => match cert_of(&response) {
                Some(facts) => finding.and(cert_finding(&facts, warn, fail, &with)),
                None => finding,
            },
            None => finding,
        }
    }

    fn speed(&self, shown: &str, took: Duration) -> Finding {
        match self.latency_below {
            Some(limit) if took > limit => {
                let limit = duration(limit);
                Finding::warn(Reason::Slow, format!("{shown} in {}, over {limit}", seconds(took)))
            }
            _ => Finding::ok(shown),
        }
    }
}

impl Look for Http {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            match self.ask_directly(progress).await {
                Some(finding) => finding,
                // Boxed, so that the short way does not carry the room for the long one.
                None => Box::pin(client::traced(progress, self.ask(progress))).await,
            }
        })
    }

    /// The client gives up connecting a little before the time is over, so a request that is still under way then has its
    /// connection, whatever was noted last.
    fn timed_out(&self, progress: &Progress) -> Finding {
        let direct = self.direct.as_ref().is_some_and(Direct::is_short);
        if !direct && progress.place().0 != Phase::Body {
            progress.enter(Phase::Headers);
        }
        progress.timed_out()
    }
}

/// `503 Service Unavailable`
fn shown_status(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(words) => format!("{} {words}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// `2.4s`, `812ms`: latencies want one digit more than other durations.
pub(super) fn seconds(d: Duration) -> String {
    if d < Duration::from_secs(1) { format!("{}ms", d.as_millis()) } else { format!("{:.1}s", d.as_secs_f64()) }
}

enum ReadFailed {
    TooLarge,
    Broken(reqwest::Error),
}

async fn read(response: &mut Response, max: u64) -> Result<Vec<u8>, ReadFailed> {
    if response.content_length().is_some_and(|n| n > max) {
        return Err(ReadFailed::TooLarge);
    }
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ReadFailed::Broken)? {
        if body.len() + chunk.len() > max {
            return Err(ReadFailed::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn cert_of(response: &Response) -> Option<tls::CertFacts> {
    let info = response.extensions().get::<reqwest::tls::TlsInfo>()?;
    tls::cert_days_left(info.peer_certificate()?).ok()
}

/// What the days that a certificate has left mean.
pub(super) fn cert_finding(facts: &tls::CertFacts, warn: u32, fail: u32, at: &str) -> Finding {
    let days = facts.days_left(clock::now_ms());
    let until = Time::from_ms(facts.not_after_ms).date();
    let left = usize::try_from(days).map_or_else(|_| "less than a day".to_owned(), |n| plural(n, "day"));
    let text = || format!("the certificate of {at} expires in {left} ({until})");
    let finding = if days < i64::from(fail) {
        Finding::fail(Reason::TlsExpiring, text())
    } else if days < i64::from(warn) {
        Finding::warn(Reason::TlsExpiring, text())
    } else {
        Finding::ok(format!("certificate valid until {until}"))
    };
    finding.fact("certificate days left", days.to_string()).fact("certificate until", until)
}
