//! The generic webhook: one JSON document per message, signed, with a key by which a repeat is recognised.
//!
//! `POST`, `Content-Type: application/json`, `Idempotency-Key`, and with a secret `X-Mayday-Signature: v1=<hex>`, the
//! HMAC-SHA-256 of the raw body. The document is the journal's entry, a summary of the incident, and `schema: 1`; fields
//! are only ever added. The bytes of a repeat are those of the first attempt; `X-Mayday-Attempt` tells them apart.

use std::collections::BTreeMap;

use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::limit::{cut, units};
use super::{Attempt, Outgoing, Try, http, sign};
use crate::config::SecretRef;
use crate::config::secret::MaybeSecret;

/// Characters of a body; a receiver need not take more.
const BODY: usize = 200_000;

pub(super) struct Webhook {
    pub url: MaybeSecret,
    pub secret: Option<SecretRef>,
    pub headers: BTreeMap<String, MaybeSecret>,
}

impl Webhook {
    pub(super) async fn send(&self, client: &Client, out: &Outgoing, attempt: u32, this: &Try) -> Attempt {
        match self.attempt(client, out, attempt, this).await {
            Ok(attempt) | Err(attempt) => attempt,
        }
    }

    async fn attempt(&self, client: &Client, out: &Outgoing, attempt: u32, this: &Try) -> Result<Attempt, Attempt> {
        let address = this.resolve_maybe(&self.url).await?;
        let url = http::address(address.expose_secret(), self.url.secret().is_some(), this)?;
        let body = serde_json::to_vec(&document(out))
            .map_err(|e| Attempt::refused(format!("the message cannot be written as JSON: {e}")))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = this.resolve_maybe(value).await?;
            // "Bearer …": the far end may repeat the second word alone.
            value.expose_secret().split_whitespace().filter(|w| w.len() >= 8).for_each(|w| this.remember(w));
            let (name, value) = header(name, value.expose_secret())?;
            headers.insert(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [("idempotency-key", out.key()), ("x-mayday-attempt", attempt.to_string())] {
            let (name, value) = header(name, &value)?;
            headers.insert(name, value);
        }
        if let Some(secret) = &self.secret {
            let key = this.resolve(secret).await?;
            let (name, value) = header("x-mayday-signature", &sign::signature(key.expose_secret().as_bytes(), &body))?;
            headers.insert(name, value);
        }
        Ok(http::post(client, &url, headers, body, this).await?.attempt())
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Attempt> {
    let fault = || Attempt::refused(format!("its header \"{name}\" is not one: line ends or odd characters in it"));
    let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault())?;
    let mut content = HeaderValue::from_str(value).map_err(|_| fault())?;
    content.set_sensitive(true);
    Ok((key, content))
}

/// What is sent.
pub(super) fn document(out: &Outgoing) -> Value {
    let incident = out.incident.as_ref().map(|i| {
        json!({
            "id": i.id, "title": i.title, "severity": i.severity.name(), "status": i.status.word(),
            "services": i.services, "declared_at": i.declared_at,
        })
    });
    let entry = json!({
        "id": out.id,
        "at": out.queued_at,
        "kind": "message.queued",
        "actor": { "user": out.by },
        "template": out.template.word(),
        "subject": out.headline(),
        "body": cut(&out.text(), BODY, units),
    });
    json!({
        "schema": 1,
        "system": out.system,
        "environment": out.environment,
        "journal_head": out.head,
        "late_s": out.late.map(|d| d.as_secs()),
        "entry": entry,
        "incident": incident,
    })
}
