//! Writing TOML, with stars for secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::config::secret::{MaybeSecret, SecretRef};
use crate::config::value;
use crate::text::mask::MASKED;

/// Lines of TOML.
#[derive(Default)]
pub(super) struct Out(pub(super) String);

impl Out {
    pub(super) fn table(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(header);
        self.0.push('\n');
    }

    pub(super) fn put(&mut self, key: &str, value: Option<String>) {
        if let Some(value) = value {
            self.0.push_str(&pair(key, value));
            self.0.push('\n');
        }
    }

    /// Left out when empty, which is how an empty text was said.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.put(key, (!text.is_empty()).then(|| string(text)));
    }

    pub(super) fn duration(&mut self, key: &str, d: Option<Duration>) {
        self.put(key, d.map(|d| string(&value::duration_text(d))));
    }

    pub(super) fn texts(&mut self, key: &str, texts: &[String]) {
        self.put(key, (!texts.is_empty()).then(|| list(texts.iter().map(|t| string(t)))));
    }

    pub(super) fn paths(&mut self, key: &str, paths: &[PathBuf]) {
        self.put(key, (!paths.is_empty()).then(|| list(paths.iter().map(|p| path(p)))));
    }

    pub(super) fn map<T>(&mut self, key: &str, map: &BTreeMap<String, T>, show: impl Fn(&T) -> String) {
        let inner = || inline(map.iter().map(|(k, v)| pair(k, show(v))));
        self.put(key, (!map.is_empty()).then(inner));
    }
}

/// A text as TOML.
pub fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(super) fn path(p: &Path) -> String {
    string(&p.to_string_lossy())
}

pub(super) fn size(bytes: u64) -> String {
    string(&value::size_text(bytes))
}

pub(super) fn float(n: f64) -> String {
    toml::Value::Float(n).to_string()
}

pub(super) fn scalar(v: &serde_json::Value) -> String {
    match v {
        serde_json::Value::String(t) => string(t),
        serde_json::Value::Number(n) if n.is_f64() => float(n.as_f64().unwrap_or(0.0)),
        other => other.to_string(),
    }
}

pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

pub(super) fn inline(pairs: impl IntoIterator<Item = String>) -> String {
    format!("{{ {} }}", pairs.into_iter().collect::<Vec<_>>().join(", "))
}

pub(super) fn pair(key: &str, value: String) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if bare { format!("{key} = {value}") } else { format!("{} = {value}", string(key)) }
}

/// What stands for a secret that was written into the file.
const HIDDEN: &str = "literal, hidden";

/// Where it comes from, which is no secret; or that it is not shown.
pub(super) fn secret(s: &SecretRef) -> String {
    match s {
        SecretRef::Env(name) => inline([pair("env", string(name))]),
        SecretRef::File(p) => inline([pair("file", path(p))]),
        SecretRef::Command(argv) => inline([pair("command", list(argv.iter().map(|t| string(t))))]),
        SecretRef::Literal(_) | SecretRef::Pipe(_) => string(HIDDEN),
    }
}

pub(super) fn maybe(v: &MaybeSecret) -> String {
    match v {
        MaybeSecret::Plain(text) => string(text),
        MaybeSecret::Secret(s) => secret(s),
    }
}

/// An address that holds a secret shows the rest of itself: which server is meant helps, and is none.
pub(super) fn address(v: &MaybeSecret) -> String {
    match v {
        MaybeSecret::Secret(SecretRef::Literal(text)) => string(&masked_address(text.expose_secret())),
        other => maybe(other),
    }
}

/// The address of a hook: whoever knows its path may write there, so that a token in it is not shown, secret or not.
pub(super) fn hook(v: &MaybeSecret, shown: bool) -> String {
    match v {
        MaybeSecret::Plain(text) if shown => string(&without_tokens(text, text.clone())),
        other => address(other),
    }
}

/// `shown` without the tokens that `text` has in its path and query.
fn without_tokens(text: &str, shown: String) -> String {
    crate::text::mask::parts(text).iter().fold(shown, |shown, token| shown.replace(token.as_str(), MASKED))
}

fn masked_address(text: &str) -> String {
    if let Ok(mut url) = reqwest::Url::parse(text) {
        let had_password = url.password().is_some();
        if had_password && url.set_password(Some(MASKED)).is_err() {
            return MASKED.into();
        }
        if url.query().is_some() {
            url.set_query(Some(MASKED));
        }
        return without_tokens(text, url.to_string());
    }
    match crate::text::Mask::default().apply(text) {
        std::borrow::Cow::Owned(masked) => masked,
        std::borrow::Cow::Borrowed(_) => MASKED.into(),
    }
}
