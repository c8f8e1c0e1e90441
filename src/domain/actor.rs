//! Who did it: the facts the kernel gives about the peer, kept apart from what the peer merely claims.

use serde::{Deserialize, Serialize};

/// The one behind a journal entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Login name of `uid`, or `engine` for what the engine does by itself.
    pub user: String,
    /// User id of the socket's peer; absent for the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The login uid that the kernel keeps across `sudo`, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loginuid: Option<u32>,
    /// How it came in: `key r`, `command`, `script`, `wall`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub via: String,
    /// `SUDO_USER` as the client stated it: a claim, not a fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_user: Option<String>,
    /// `SSH_CONNECTION`'s client address as the client stated it: a claim, not a fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_from: Option<String>,
    /// The key of the request that led to this: by it the next engine knows a request that is sent again because the
    /// connection broke before its answer came.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Groups of `/etc/group` that the user is in, for what [`super::authority`] gives to them. Never recorded.
    #[serde(skip)]
    pub groups: Vec<String>,
}

impl Actor {
    /// The engine itself.
    pub fn engine() -> Self {
        Actor { user: "engine".into(), ..Actor::default() }
    }

    /// What of it is kept: who, not by which request.
    pub fn lasting(&self) -> Actor {
        Actor { key: String::new(), groups: Vec::new(), ..self.clone() }
    }

    /// True for what the engine did by itself.
    pub fn is_engine(&self) -> bool {
        self.uid.is_none() && self.user == "engine"
    }

    /// Two actors are the same person as far as anyone can tell: the same kernel user. (Two people behind one uid
    /// cannot be told apart, so they cannot approve each other.)
    pub fn same_person(&self, other: &Actor) -> bool {
        match (self.loginuid.or(self.uid), other.loginuid.or(other.uid)) {
            (Some(a), Some(b)) => a == b,
            _ => self.user == other.user,
        }
    }
}

/// What a connection may ask for. Decided by the engine when the connection says hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// May look, never act.
    ReadOnly,
    /// May act, within authority.
    Responder,
}
