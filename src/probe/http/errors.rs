//! What a failed request means.

use std::error::Error as StdError;
use std::io;

use super::super::look::{Finding, Progress};
use super::super::net::{self, LookupFailed};
use super::client::RedirectRefused;
use crate::domain::health::Reason;

/// The next cause of an error. An I/O error hides the one it carries: its `source` is already that one's source.
fn cause<'a>(e: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match e.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => e.source(),
    }
}

/// Goes down the causes of an error until one is known.
pub(super) fn finding(e: &reqwest::Error, progress: &Progress) -> Finding {
    let (_, with) = progress.place();
    if e.is_timeout() {
        return progress.timed_out();
    }
    let mut at: Option<&(dyn StdError + 'static)> = Some(e);
    let mut last = String::new();
    while let Some(inner) = at {
        if let Some(LookupFailed(why)) = inner.downcast_ref() {
            return Finding::fail(Reason::Dns, why.as_str());
        }
        if let Some(refused) = inner.downcast_ref::<RedirectRefused>() {
            return Finding::fail(Reason::Redirect, refused.to_string());
        }
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return net::tls_words(tls, &with);
        }
        if let Some(io) = inner.downcast_ref::<io::Error>()
            && io.get_ref().is_none()
        {
            return match e.is_connect() {
                true => net::connect_words(io, &with),
                false => net::exchange_words(io, &with),
            };
        }
        last = inner.to_string();
        at = cause(inner);
    }
    let reason = if e.is_redirect() { Reason::Redirect } else { Reason::Protocol };
    // hyper's kinds are private; its words for them are not.
    let text = match last.as_str() {
        "connection closed before message completed" => format!("{with} closed the connection before it had answered"),
        "end of file before message length reached" | "unexpected EOF during chunk size line" => {
            format!("{with} closed the connection in the middle of its answer")
        }
        other => format!("talking to {with}: {other}"),
    };
    Finding::fail(reason, text)
}
