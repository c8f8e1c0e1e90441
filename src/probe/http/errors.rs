//! What a failed request means.

use std::error::Error as StdError;
use std::io;

use super::super::look::{Finding, Progress};
use super::super::net::{self, LookupFailed};
use super::client::RedirectRefused;
use crate::domain::health::Reason;

/// Goes down the causes of an error until one is known.
pub(super) fn finding(e: &reqwest::Error, progress: &Progress) -> Finding {
    let (_, with) = progress.place();
    if e.is_timeout() {
        return progress.timed_out();
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(e);
    let mut last = String::new();
    while let Some(inner) = cause {
        if let Some(LookupFailed(why)) = inner.downcast_ref() {
            return Finding::fail(Reason::Dns, why.as_str());
        }
        if let Some(refused) = inner.downcast_ref::<RedirectRefused>() {
            return Finding::fail(Reason::Redirect, refused.to_string());
        }
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return net::tls_words(tls, &with);
        }
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            if let Some(tls) = net::tls_of(io) {
                return net::tls_words(tls, &with);
            }
            // Other errors travel inside an I/O error.
            if io.get_ref().is_none() {
                return match e.is_connect() {
                    true => net::connect_words(io, &with),
                    false => net::exchange_words(io, &with),
                };
            }
        }
        last = inner.to_string();
        cause = inner.source();
    }
    let last = match last.as_str() {
        "connection closed before message completed" => "it closed the connection before it had answered",
        other => other,
    };
    let reason = if e.is_redirect() { Reason::Redirect } else { Reason::Protocol };
    Finding::fail(reason, format!("talking to {with}: {last}"))
}
