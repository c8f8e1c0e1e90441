//! References to secrets: where a value comes from, never the value itself in anything that is written.

use std::path::PathBuf;
use std::time::Duration;

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

/// The value, from where the reference says, within `timeout`. One line: what follows the first line end is not part of
/// it. Errors name the place and what to do, and never a value.
pub async fn resolve(secret: &SecretRef, timeout: Duration) -> Result<SecretString, String> {
    let found = match secret {
        SecretRef::Env(name) => match std::env::var(name) {
            Ok(value) => value,
            Err(std::env::VarError::NotPresent) if name == super::NOT_KEPT => {
                return Err("a secret that stood in the configuration file itself is not kept: repair that file".into());
            }
            Err(std::env::VarError::NotPresent) => {
                return Err(format!("environment variable {name} is not set where the engine was started"));
            }
            Err(std::env::VarError::NotUnicode(_)) => return Err(format!("environment variable {name} is not UTF-8")),
        },
        SecretRef::File(path) => read_file(path.clone(), timeout).await?,
        SecretRef::Command(argv) => run_command(argv, timeout).await?,
        SecretRef::Literal(value) => return Ok(value.clone()),
        SecretRef::Pipe(name) => return Err(format!("secret {name} is handed to the runner and cannot be looked up")),
    };
    let line = found.lines().next().unwrap_or_default().trim_end_matches('\r');
    if line.is_empty() {
        return Err(format!("{} is empty", secret.describe()));
    }
    Ok(SecretString::from(line))
}

/// Bytes read of a file or an output: a secret is a line, not a document.
const MAX_BYTES: u64 = 64 << 10;

async fn read_file(path: PathBuf, timeout: Duration) -> Result<String, String> {
    let shown = crate::text::clean(&path.to_string_lossy()).into_owned();
    let read = tokio::task::spawn_blocking(move || {
        use std::io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    let bytes = match tokio::time::timeout(timeout, read).await {
        Ok(Ok(Ok(bytes))) => bytes,
        Ok(Ok(Err(e))) => return Err(format!("secret file {shown} cannot be read: {e}")),
        Ok(Err(_)) => return Err(format!("secret file {shown} cannot be read")),
        Err(_) => {
            let limit = crate::text::duration(timeout);
            return Err(format!("secret file {shown} did not answer within {limit}: is its file system hanging?"));
        }
    };
    // Cut to the first line before decoding, so that a key file with binary parts below is no obstacle.
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    String::from_utf8(line.to_vec()).map_err(|_| format!("secret file {shown} does not begin with a line of UTF-8"))
}

async fn run_command(argv: &[String], timeout: Duration) -> Result<String, String> {
    use crate::sys::proc;
    let program = crate::text::clean(argv.first().map_or("", String::as_str)).into_owned();
    let Some(cmd) = proc::Cmd::from_argv(argv) else { return Err("the secret's command is empty".into()) };
    // Tools of secret stores take their own credentials from the environment.
    let outcome = proc::run(cmd.inherit_env().timeout(timeout).keep_output(MAX_BYTES as usize)).await;
    if !outcome.success() {
        let said = outcome.stderr.text();
        let said = said.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
        let said = crate::text::Mask::default().apply(&crate::text::clean(said)).into_owned();
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        return Err(format!("secret command {program}: {}{said}", outcome.end));
    }
    let line = outcome.stdout.head.split(|b| *b == b'\n').next().unwrap_or_default();
    String::from_utf8(line.to_vec()).map_err(|_| format!("secret command {program} did not print a line of UTF-8"))
}

impl MaybeSecret {
    /// The text, or the secret's value.
    pub async fn resolve(&self, timeout: Duration) -> Result<SecretString, String> {
        match self {
            MaybeSecret::Plain(text) => Ok(SecretString::from(text.as_str())),
            MaybeSecret::Secret(secret) => resolve(secret, timeout).await,
        }
    }

    /// For people: the text itself, or where the secret comes from.
    pub fn describe(&self) -> String {
        match self {
            MaybeSecret::Plain(text) => text.clone(),
            MaybeSecret::Secret(secret) => secret.describe(),
        }
    }
}
