//! The management API of RabbitMQ (<https://www.rabbitmq.com/docs/http-api-reference>): definitions read and written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definitions::Definitions;
use crate::config::{Config, MaybeSecret, RabbitRestore, SecretRef};
use crate::sys::tls;
use crate::text;

const CONNECT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(30);
/// For an import: quorum queues are made one by one.
const IMPORT: Duration = Duration::from_secs(300);
/// Longest answer that is read.
const LONGEST: usize = 256 << 20;

/// How to reach the API, as it stands in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret: Option<String>,
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_ca: Vec<PathBuf>,
}

/// The reach of a configured restore, and where the secrets that it names come from.
pub fn reach(config: &Config, backup: &str, restore: &RabbitRestore) -> (Reach, BTreeMap<String, SecretRef>) {
    let mut extra_ca = restore.extra_ca.clone();
    extra_ca.extend(config.system.extra_ca.iter().filter(|c| !restore.extra_ca.contains(c)).cloned());
    let mut reach = Reach { user: restore.user.clone(), extra_ca, ..Reach::default() };
    let mut secrets = BTreeMap::new();
    let mut hide = |what: &str, from: SecretRef| {
        let name = format!("{backup}.{what}");
        secrets.insert(name.clone(), from);
        Some(name)
    };
    match &restore.url {
        MaybeSecret::Secret(from) => reach.url_secret = hide("url", from.clone()),
        MaybeSecret::Plain(text) => match reqwest::Url::parse(text) {
            Ok(url) if url.password().is_none() => reach.url = Some(text.clone()),
            _ => reach.url_secret = hide("url", SecretRef::Literal(text.clone().into())),
        },
    }
    if let Some(from) = &restore.password {
        reach.password_secret = hide("password", from.clone());
    }
    (reach, secrets)
}

/// A server's API.
pub struct Api {
    client: reqwest::Client,
    base: reqwest::Url,
    user: String,
    password: Option<SecretString>,
}

/// Why there is no answer of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server read the order and said no; some of it may be done.
    Refused(String),
    /// It is not known whether the server got it.
    Broken(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Refused(why) | Fault::Broken(why) => f.write_str(why),
        }
    }
}

impl Api {
    pub fn new(reach: &Reach, secrets: &BTreeMap<String, SecretString>) -> Result<Api, String> {
        let value = |name: &String| {
            let missing = || format!("the secret {name} was not handed over: start the run again from its plan");
            secrets.get(name).ok_or_else(missing)
        };
        let url = match (&reach.url, &reach.url_secret) {
            (Some(url), _) => url.as_str(),
            (None, Some(name)) => value(name)?.expose_secret(),
            (None, None) => return Err("no address is configured: set `url` of the restore".into()),
        };
        let mut base = reqwest::Url::parse(url)
            .map_err(|_| "`url` of the restore is not an address like http://127.0.0.1:15672".to_owned())?;
        let _ = (base.set_username(""), base.set_password(None));
        base.set_query(None);
        let password = reach.password_secret.as_ref().map(value).transpose()?.cloned();
        let config = (*tls::client_config(tls::roots(&reach.extra_ca).0)).clone();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .user_agent(concat!("mayday/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            // A password is not sent on to wherever an answer points.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .build()
            .map_err(|e| format!("making an HTTP client: {e}"))?;
        Ok(Api { client, base, user: reach.user.clone(), password })
    }

    /// `127.0.0.1:15672`.
    pub fn label(&self) -> String {
        let host = self.base.host_str().unwrap_or("rabbitmq");
        self.base.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>, limit: Duration) -> Result<Vec<u8>, Fault> {
        let at = self.label();
        let mut url = self.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        let password = self.password.as_ref().map(ExposeSecret::expose_secret);
        let mut order = self.client.request(method, url).basic_auth(&self.user, password).timeout(limit);
        if let Some(body) = body {
            order = order.header("content-type", "application/json").body(body);
        }
        let broken = |e: reqwest::Error| {
            let mut why: &dyn std::error::Error = &e;
            while let Some(deeper) = why.source() {
                why = deeper;
            }
            Fault::Broken(match (e.is_timeout(), e.is_connect()) {
                (true, _) => format!("{at} did not answer within {}", text::duration(limit)),
                (_, true) => format!("{at} cannot be reached ({why}): is the management plugin on?"),
                _ => format!("{at} broke the connection: {why}"),
            })
        };
        let mut answer = order.send().await.map_err(broken)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LONGEST {
                return Err(Fault::Refused(format!("{at} answers with more than {}", text::size(LONGEST as u64))));
            }
        }
        if status.is_success() {
            return Ok(bytes);
        }
        let reason = serde_json::from_slice::<Value>(&bytes).ok().and_then(|v| v.get("reason").cloned());
        let said = reason.map(|r| format!(": {}", text::clean(&r.to_string()))).unwrap_or_default();
        let user = text::clean(&self.user).into_owned();
        Err(Fault::Refused(match status {
            // The same status says that the password is wrong and that the user may not.
            StatusCode::UNAUTHORIZED if said.contains("administrator") => {
                format!("{at} does not permit it to {user}: give the user the tag administrator")
            }
            StatusCode::UNAUTHORIZED => {
                format!("{at} refused user {user} or the password: correct them in the restore")
            }
            StatusCode::FORBIDDEN => format!("{at} does not permit it to {user}: give the user the tag administrator"),
            StatusCode::NOT_FOUND => format!("{at} has no management API there (404): correct `url` of the restore"),
            status => format!("{at} answered {status}{said}"),
        }))
    }

    /// What is defined now, as it was sent.
    pub async fn export(&self) -> Result<Vec<u8>, Fault> {
        self.ask(Method::GET, "api/definitions", None, LIMIT).await
    }

    pub async fn import(&self, definitions: &Definitions) -> Result<(), Fault> {
        let body = serde_json::to_vec(definitions).map_err(|e| Fault::Refused(e.to_string()))?;
        self.ask(Method::POST, "api/definitions", Some(body), IMPORT).await.map(drop)
    }

    /// The server's version.
    pub async fn version(&self) -> Result<String, Fault> {
        let bytes = self.ask(Method::GET, "api/overview", None, LIMIT).await?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match value.get("rabbitmq_version").and_then(Value::as_str) {
            Some(version) => Ok(text::clean(version).into_owned()),
            None => Err(Fault::Refused(format!("{} is no RabbitMQ: correct `url` of the restore", self.label()))),
        }
    }

    /// Messages in all queues.
    pub async fn messages(&self) -> Result<u64, Fault> {
        let bytes = self.ask(Method::GET, "api/queues?columns=messages", None, LIMIT).await?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let queues = value.as_array().map_or(&[][..], Vec::as_slice);
        Ok(queues.iter().filter_map(|q| q.get("messages").and_then(Value::as_u64)).sum())
    }
}
