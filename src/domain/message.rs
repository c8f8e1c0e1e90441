//! Messages to the outside: what was asked to be sent, and what became of it on each channel.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::time::Time;

/// Which text it is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    Initial,
    Update,
    Resolution,
    /// To those who are called because nobody acknowledged.
    Escalation,
    /// A message that proves a channel works.
    Test,
    /// Sent by itself and by nobody: the glass was broken.
    Alert,
}

impl Template {
    pub const ALL: [Template; 5] =
        [Template::Initial, Template::Update, Template::Resolution, Template::Escalation, Template::Test];

    pub const fn word(self) -> &'static str {
        match self {
            Template::Initial => "initial",
            Template::Update => "update",
            Template::Resolution => "resolution",
            Template::Escalation => "escalation",
            Template::Test => "test",
            Template::Alert => "alert",
        }
    }

    /// Reads the word. Errors: what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        Template::ALL
            .into_iter()
            .find(|t| t.word() == text)
            .ok_or_else(|| format!("\"{text}\" is not a template: initial, update, resolution, escalation or test"))
    }

    /// It tells those who wait something: the cadence counts from it.
    pub const fn is_word(self) -> bool {
        matches!(self, Template::Initial | Template::Update | Template::Resolution)
    }
}

/// What became of a message on one channel. Accepted is what the far end said; delivered to a person is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// On disk, not tried yet.
    Queued,
    /// Tried without success, will be tried again.
    Retrying,
    /// The far end took it.
    Accepted,
    /// The far end said no for good.
    Refused,
    /// Retries are used up.
    Undelivered,
}

impl Delivery {
    pub const fn word(self) -> &'static str {
        match self {
            Delivery::Queued => "queued",
            Delivery::Retrying => "retrying",
            Delivery::Accepted => "accepted",
            Delivery::Refused => "refused",
            Delivery::Undelivered => "undelivered",
        }
    }

    /// Nothing more will be tried.
    pub const fn is_final(self) -> bool {
        matches!(self, Delivery::Accepted | Delivery::Refused | Delivery::Undelivered)
    }
}

/// State of one channel for one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelDelivery {
    pub state: Delivery,
    pub attempts: u32,
    /// The far end's last words, cut and cleaned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    pub at: Time,
    /// Not before this, when retrying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
}

/// A message, as queued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The key by which far ends recognise a repeat.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    pub template: Template,
    pub subject: String,
    pub body: String,
    pub queued_at: Time,
    pub by: String,
    pub channels: BTreeMap<String, ChannelDelivery>,
}

impl Message {
    /// All channels have their final answer.
    pub fn is_done(&self) -> bool {
        self.channels.values().all(|c| c.state.is_final())
    }
}
