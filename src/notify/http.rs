//! What the channels over HTTP share: a client that does not carry a message elsewhere, a bounded look at the answer, and
//! what a status means for trying again.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::{Attempt, Try};
use crate::domain::message::Delivery;
use crate::sys::tls;

/// Bytes read of an answer.
const MAX_ANSWER: usize = 4096;
/// Redirects followed within one host.
const MAX_REDIRECTS: usize = 3;

/// A client that trusts the host's roots and `extra_ca`, takes proxies from the environment, keeps no connections, and
/// follows only those redirects that repeat the request at the same origin (307, 308).
pub(super) fn client(extra_ca: &[PathBuf]) -> Result<Client, String> {
    let roots = if extra_ca.is_empty() { tls::default_roots() } else { tls::roots(extra_ca).0 };
    let config = (*tls::client_config(roots)).clone();
    let policy = Policy::custom(|attempt| {
        let same_origin = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
        let repeats = matches!(attempt.status().as_u16(), 307 | 308);
        if same_origin && repeats && attempt.previous().len() <= MAX_REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(policy)
        .referer(false)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("mayday/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| format!("the HTTP client cannot be made: {}", words(e)))
}

/// Reads an address and has its secret parts masked: all of it, and where it came from a secret also its path and the
/// long parts of that.
pub(super) fn address(text: &str, secret: bool, this: &Try) -> Result<Url, Attempt> {
    let text = text.trim();
    let url = Url::parse(text).map_err(|e| Attempt::refused(format!("its address cannot be read: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Attempt::refused(format!("its address begins with {}: not http or https", url.scheme())));
    }
    this.remember(text);
    this.remember(url.as_str());
    this.remember(url.password().unwrap_or_default());
    this.remember(url.query().unwrap_or_default());
    for (_, value) in url.query_pairs() {
        if value.len() >= 8 {
            this.remember(&value);
        }
    }
    if secret {
        // Every way in which a far end may repeat it: whole, from any part on, and the long parts alone.
        for (at, _) in url.path().match_indices('/') {
            let rest = url.path().get(at..).unwrap_or_default();
            for known in [rest, rest.trim_matches('/')] {
                if known.len() >= 12 {
                    this.remember(known);
                }
            }
        }
        url.path().split('/').filter(|p| p.len() >= 12).for_each(|p| this.remember(p));
    }
    Ok(url)
}

/// What came back.
pub(super) struct Answer {
    pub status: u16,
    /// At most [`MAX_ANSWER`] bytes, read lossily; what a connection cut short had sent counts.
    pub body: String,
    pub retry_after: Option<Duration>,
    /// Host and path that a redirect names.
    elsewhere: Option<String>,
}

/// Sends `body` once. `Err` is the finished attempt when no answer came.
pub(super) async fn post(
    client: &Client,
    url: &Url,
    headers: HeaderMap,
    body: Vec<u8>,
    this: &Try,
) -> Result<Answer, Attempt> {
    let host = url.host_str().unwrap_or("the far end").to_owned();
    let sent = client.post(url.clone()).headers(headers).body(body).timeout(this.left()).send().await;
    let mut response = match sent {
        Ok(response) => response,
        Err(e) if e.is_builder() => return Err(Attempt::refused(format!("the request cannot be made: {}", words(e)))),
        Err(e) if e.is_timeout() => return Err(Attempt::retrying(format!("{host} did not answer in time"))),
        Err(e) if e.is_connect() => return Err(Attempt::retrying(format!("cannot reach {host}: {}", words(e)))),
        Err(e) => return Err(Attempt::retrying(format!("no answer from {host}: {}", words(e)))),
    };
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(wait);
    let location = response.headers().get(reqwest::header::LOCATION).and_then(|v| v.to_str().ok());
    let elsewhere = location.and_then(|l| url.join(l).ok()).and_then(|u| u.host_str().map(str::to_owned));
    let mut bytes: Vec<u8> = Vec::new();
    let mut cut = false;
    // The status says whether it was taken; an answer that breaks off or stands still does not take that back.
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_ANSWER - bytes.len();
        cut = chunk.len() > room;
        bytes.extend(chunk.iter().take(room));
        if cut {
            break;
        }
    }
    if cut {
        // Half a secret at the cut would not be recognised.
        bytes.truncate(bytes.len().saturating_sub(this.mask().longest()));
    }
    Ok(Answer { status, body: String::from_utf8_lossy(&bytes).into_owned(), retry_after, elsewhere })
}

impl Answer {
    /// The attempt that this answer makes, by its status alone: 2xx accepted; 408, 429 and 5xx to be tried again; the
    /// rest refused.
    pub(super) fn attempt(&self) -> Attempt {
        let said = self.body.trim();
        let mut answer = self.status.to_string();
        if let Some(reason) = reqwest::StatusCode::from_u16(self.status).ok().and_then(|s| s.canonical_reason()) {
            answer.push(' ');
            answer.push_str(reason);
        }
        if !said.is_empty() {
            answer.push_str(": ");
            answer.push_str(said);
        }
        let result = match self.status {
            200..=299 => Delivery::Accepted,
            408 | 429 | 500..=599 => Delivery::Retrying,
            300..=399 => {
                let to = self.elsewhere.as_deref().unwrap_or("another address");
                return Attempt::refused(format!(
                    "{} redirects to {to}: a message is not carried elsewhere; configure the new address",
                    self.status
                ));
            }
            _ => Delivery::Refused,
        };
        Attempt { result, answer, retry_after: self.retry_after }
    }
}

/// `Retry-After` (RFC 9110): seconds, or a date, which counts from now.
fn wait(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    let ms = date.timestamp_millis() - crate::sys::clock::now_ms();
    Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// An error and its causes in one line, without the address, which is a secret.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut parts = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    if next.is_none() {
        parts.push(error.to_string());
    }
    while let Some(cause) = next {
        let text = cause.to_string();
        // Wrappers repeat what they wrap.
        if parts.last().is_none_or(|last: &String| !last.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    parts.join(": ")
}
