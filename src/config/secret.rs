//! References to secrets: where a value comes from, never the value itself in anything that is written.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// Where a secret comes from.
#[derive(Clone, Debug)]
pub enum SecretRef {
    /// An environment variable of the engine.
    Env(String),
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a program prints.
    Command(Vec<String>),
    /// Written into the configuration itself. Allowed only in a file that others cannot read; never serialised.
    Literal(SecretString),
    /// A value that the runner is handed by pipe under this name.
    Pipe(String),
}

impl PartialEq for SecretRef {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (SecretRef::Env(a), SecretRef::Env(b)) | (SecretRef::Pipe(a), SecretRef::Pipe(b)) => a == b,
            (SecretRef::File(a), SecretRef::File(b)) => a == b,
            (SecretRef::Command(a), SecretRef::Command(b)) => a == b,
            (SecretRef::Literal(a), SecretRef::Literal(b)) => a.expose_secret() == b.expose_secret(),
            _ => false,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Plain {
    Env(String),
    File(PathBuf),
    Command(Vec<String>),
    Pipe(String),
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            SecretRef::Env(v) => Plain::Env(v.clone()),
            SecretRef::File(v) => Plain::File(v.clone()),
            SecretRef::Command(v) => Plain::Command(v.clone()),
            SecretRef::Pipe(v) => Plain::Pipe(v.clone()),
            SecretRef::Literal(_) => return Err(ser::Error::custom("a literal secret is never written")),
        }
        .serialize(s)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match Plain::deserialize(d).map_err(de::Error::custom)? {
            Plain::Env(v) => SecretRef::Env(v),
            Plain::File(v) => SecretRef::File(v),
            Plain::Command(v) => SecretRef::Command(v),
            Plain::Pipe(v) => SecretRef::Pipe(v),
        })
    }
}

impl SecretRef {
    /// `environment variable SLACK_WEBHOOK`: where it comes from, for people.
    pub fn describe(&self) -> String {
        match self {
            SecretRef::Env(v) => format!("environment variable {v}"),
            SecretRef::File(v) => format!("file {}", v.display()),
            SecretRef::Command(v) => format!("command {}", v.first().map_or("", String::as_str)),
            SecretRef::Literal(_) => "the configuration file itself".into(),
            SecretRef::Pipe(v) => format!("pipe {v}"),
        }
    }
}

/// A setting that may hold a secret as a whole (an address with a password in it, a webhook): plain text or a reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MaybeSecret {
    Plain(String),
    Secret(SecretRef),
}

impl MaybeSecret {
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            MaybeSecret::Plain(_) => None,
            MaybeSecret::Secret(s) => Some(s),
        }
    }
}
