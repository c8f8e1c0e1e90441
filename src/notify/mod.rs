//! Messages to the outside: filling templates, fitting a channel's limits, one attempt at delivering, and when to try again.
//!
//! One file per channel behind [`Sender`]. A sender makes exactly one attempt and says what became of it; queueing,
//! journaling and waiting are the engine's. It must never log or return a secret (the address of a webhook is one), never
//! follow a redirect that would carry a message to another host, and never take longer than the channel's time limit.
//!
//! | file | gives |
//! | --- | --- |
//! | [`facts`] | what templates may say of an incident, taken from the fold |
//! | [`template`] | facts → subject and body, to be edited before sending |
//! | [`limit`] | cutting head and tail to a limit, with a mark that counts what is missing |
//! | [`retry`] | when to try again, when to give up |
//! | [`sign`] | the signature of outgoing webhooks |
//! | `slack`, `webhook`, `email` | the channels; `http` is what two of them share |

mod email;
pub mod facts;
mod http;
pub mod limit;
pub mod retry;
pub mod sign;
mod slack;
pub mod template;
mod webhook;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::config::secret::MaybeSecret;
use crate::config::{Channel, ChannelKind, SecretRef};
use crate::domain::Time;
use crate::domain::catalog::Severity;
use crate::domain::incident::{Incident, Status};
use crate::domain::message::{Delivery, Message, Template};
use crate::text::clean::clean_to;
use crate::text::{Mask, duration};

pub use facts::{Facts, Live, facts};
pub use template::{Draft, fill};

/// Turns a reference into its value. May block (files, commands): it is called off the async threads, for every attempt
/// anew, so that a renewed secret is taken up. Errors name the reference and never a value.
pub type Resolver = Arc<dyn Fn(&SecretRef) -> Result<SecretString, String> + Send + Sync>;

/// Characters kept of a far end's answer.
const ANSWER: usize = 300;

/// A message on its way to one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The message's own id, by which a repeat is recognised.
    pub id: String,
    pub queued_at: Time,
    /// Who asked for it.
    pub by: String,
    pub template: Template,
    pub subject: String,
    pub body: String,
    pub system: String,
    pub environment: String,
    /// First 8 hex digits of the journal's head right after the entry that queued it; the same in every attempt.
    pub head: String,
    pub incident: Option<About>,
    /// How late the first attempt is ([`retry::late`]); the text then says so.
    pub late: Option<Duration>,
}

/// What a message tells machines of its incident.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    pub id: String,
    pub title: String,
    pub severity: Severity,
    pub status: Status,
    pub services: BTreeSet<String>,
    pub declared_at: Time,
}

impl From<&Incident> for About {
    fn from(i: &Incident) -> Self {
        About {
            id: i.id.clone(),
            title: i.title.clone(),
            severity: i.severity,
            status: i.status,
            services: i.services.clone(),
            declared_at: i.declared_at,
        }
    }
}

impl Outgoing {
    /// `message` of the fold, ready to go. `head`: see the field.
    pub fn new(
        message: &Message,
        incident: Option<&Incident>,
        system: &str,
        environment: &str,
        head: &str,
        late: Option<Duration>,
    ) -> Self {
        Outgoing {
            id: message.id.clone(),
            queued_at: message.queued_at,
            by: message.by.clone(),
            template: message.template,
            subject: message.subject.clone(),
            body: message.body.clone(),
            system: system.to_owned(),
            environment: environment.to_owned(),
            head: head.to_owned(),
            incident: incident.map(About::from),
            late,
        }
    }

    /// By which a far end recognises a repeat: system, message and the moment it was queued, so that a journal begun
    /// anew does not repeat the keys of the old one. Letters, digits, `.`, `-` only.
    pub fn key(&self) -> String {
        let safe = |text: &str| -> String {
            text.chars().take(60).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
        };
        format!("{}.{}.{}", safe(&self.system), safe(&self.id), self.queued_at.ms())
    }

    /// The subject on one line, harmless; never empty.
    pub fn headline(&self) -> String {
        let subject = clean_to(self.subject.trim(), 1000);
        match subject.trim() {
            "" => format!("mayday: {} message", self.template.word()),
            subject => subject.to_owned(),
        }
    }

    /// The body with line ends kept and everything else harmless, a mark in front when it is late.
    pub fn text(&self) -> String {
        let body = crate::text::clean_lines(self.body.trim_end(), usize::MAX);
        match self.late {
            Some(late) => format!(
                "(Written at {} UTC, sent {} late.)\n\n{body}",
                self.queued_at.to_chrono().format("%Y-%m-%d %H:%M:%S"),
                duration(late)
            ),
            None => body,
        }
    }

    /// `mayday crazy-gary · INC-2026-004 · m-61 · journal 9f3a12cd`: ends every message, so that the journal can be held
    /// against it later (`mayday journal verify --anchor 9f3a12cd`).
    pub fn footer(&self) -> String {
        let mut parts = vec![format!("mayday {}", clean_to(&self.system, 60))];
        parts.extend(self.incident.as_ref().map(|i| clean_to(&i.id, 60).into_owned()));
        parts.push(clean_to(&self.id, 60).into_owned());
        parts.push(format!("journal {}", clean_to(&self.head, 64)));
        parts.join(" · ")
    }
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// `Accepted`, `Refused` (for good) or `Retrying`.
    pub result: Delivery,
    /// The far end's last words or what went wrong, cleaned, masked, at most 300 characters.
    pub answer: String,
    /// How long the far end asked to be left alone.
    pub retry_after: Option<Duration>,
}

impl Attempt {
    fn accepted(answer: impl Into<String>) -> Self {
        Attempt { result: Delivery::Accepted, answer: answer.into(), retry_after: None }
    }

    fn refused(answer: impl Into<String>) -> Self {
        Attempt { result: Delivery::Refused, answer: answer.into(), retry_after: None }
    }

    fn retrying(answer: impl Into<String>) -> Self {
        Attempt { result: Delivery::Retrying, answer: answer.into(), retry_after: None }
    }

    /// Nothing secret, nothing hostile, not long.
    fn harmless(mut self, mask: &Mask) -> Self {
        // Masked before it is cut: half a secret would not be recognised.
        self.answer = clean_to(&mask.apply(&self.answer), ANSWER).into_owned();
        self
    }
}

/// Delivers to one channel, one attempt at a time. Cheap to share; holds no resolved secret between attempts.
pub struct Sender {
    name: String,
    timeout: Duration,
    resolver: Resolver,
    kind: Kind,
}

enum Kind {
    Slack { webhook: MaybeSecret, client: reqwest::Client },
    Webhook { channel: webhook::Webhook, client: reqwest::Client },
    Email(Box<email::Mailer>),
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sender({})", self.name)
    }
}

impl Sender {
    /// Gets ready to send through `channel`. `extra_ca`: the system's further CA certificates (PEM files). Reads
    /// certificates, so it blocks for some milliseconds. Errors: what cannot be used, and why.
    pub fn new(channel: &Channel, extra_ca: &[PathBuf], resolver: Resolver) -> Result<Self, String> {
        let fail = |why: String| format!("channel {}: {why}", channel.name);
        let kind = match &channel.kind {
            ChannelKind::Slack { webhook } => {
                Kind::Slack { webhook: webhook.clone(), client: http::client(extra_ca).map_err(fail)? }
            }
            ChannelKind::Webhook { url, secret, headers } => Kind::Webhook {
                channel: webhook::Webhook { url: url.clone(), secret: secret.clone(), headers: headers.clone() },
                client: http::client(extra_ca).map_err(fail)?,
            },
            ChannelKind::Email(settings) => {
                Kind::Email(Box::new(email::Mailer::new(settings, extra_ca).map_err(fail)?))
            }
        };
        Ok(Sender { name: channel.name.clone(), timeout: channel.timeout, resolver, kind })
    }

    /// The channel's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One attempt, number `attempt` from 1, within the channel's time limit. What timed out may have arrived all the
    /// same: the repeat carries the same key.
    pub async fn send(&self, out: &Outgoing, attempt: u32) -> Attempt {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let this = Try { resolver: self.resolver.clone(), mask: Arc::default(), deadline };
        let work = async {
            match &self.kind {
                Kind::Slack { webhook, client } => slack::send(client, webhook, out, &this).await,
                Kind::Webhook { channel, client } => channel.send(client, out, attempt, &this).await,
                Kind::Email(mailer) => mailer.send(out, &this).await,
            }
        };
        let result = match tokio::time::timeout_at(deadline, work).await {
            Ok(result) => result,
            Err(_) => Attempt::retrying(format!("no answer within {}", duration(self.timeout))),
        };
        result.harmless(&this.mask())
    }
}

/// One attempt under way: resolves its secrets, remembers their values to mask them in whatever comes back, and knows
/// when it must be over.
struct Try {
    resolver: Resolver,
    deadline: tokio::time::Instant,
    mask: Arc<std::sync::Mutex<Vec<SecretString>>>,
}

impl Try {
    async fn resolve(&self, secret: &SecretRef) -> Result<SecretString, Attempt> {
        let (resolver, reference) = (self.resolver.clone(), secret.clone());
        let value = tokio::task::spawn_blocking(move || resolver(&reference)).await;
        match value {
            Ok(Ok(value)) => {
                self.remember(value.expose_secret());
                Ok(value)
            }
            // It may be there at the next attempt: a mount that is late, a variable of the next engine.
            Ok(Err(why)) => Err(Attempt::retrying(format!("its secret is missing: {why}"))),
            Err(_) => Err(Attempt::retrying(format!("its secret could not be read from {}", secret.describe()))),
        }
    }

    async fn resolve_maybe(&self, value: &MaybeSecret) -> Result<SecretString, Attempt> {
        match value {
            MaybeSecret::Plain(text) => Ok(SecretString::from(text.clone())),
            MaybeSecret::Secret(secret) => self.resolve(secret).await,
        }
    }

    /// What is left for a far end, a little less than all: an answer that came must not be lost to the limit.
    fn left(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(tokio::time::Instant::now());
        left.saturating_sub((left / 10).min(Duration::from_millis(500)))
    }

    /// Masks `value` in the answer too.
    fn remember(&self, value: &str) {
        let mut known = self.mask.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.push(SecretString::from(value.to_owned()));
    }

    fn mask(&self) -> Mask {
        let known = self.mask.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Mask::new(known.iter().map(|s| s.expose_secret().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn outgoing() -> Outgoing {
        Outgoing {
            id: "m-61".into(),
            queued_at: Time::from_ms(1_795_140_847_318),
            by: "oncall1".into(),
            template: Template::Update,
            subject: "[P0] INC-2026-004 Complete outage".into(),
            body: "api is down.\nWe are restoring.".into(),
            system: "crazy-gary".into(),
            environment: "production".into(),
            head: "9f3a12cd".into(),
            incident: Some(About {
                id: "INC-2026-004".into(),
                title: "Complete outage".into(),
                severity: Severity::P0,
                status: Status::Investigating,
                services: BTreeSet::from(["api".to_owned()]),
                declared_at: Time::from_ms(1_795_140_000_000),
            }),
            late: None,
        }
    }

    #[test]
    fn keys_differ_by_journal_and_survive_hostile_names() {
        let a = outgoing();
        let mut b = outgoing();
        b.queued_at = b.queued_at.plus(Duration::from_millis(1));
        assert_ne!(a.key(), b.key());
        b.system = "a b\r\nc/é".into();
        assert!(b.key().chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)), "{}", b.key());
    }

    #[test]
    fn late_messages_say_so() {
        let mut out = outgoing();
        out.late = Some(Duration::from_secs(1020));
        assert!(out.text().starts_with("(Written at 2026-11-20 "), "{}", out.text());
        assert!(out.text().contains("sent 17m late"));
        assert_eq!(out.footer(), "mayday crazy-gary · INC-2026-004 · m-61 · journal 9f3a12cd");
    }
}
