//! How the server is reached: the connection string travels as the name of a secret whenever there is a secret in it, and
//! its value is looked up twice only, while planning and, handed over by pipe, while running.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{self, Config, MaybeSecret, PostgresRestore, SecretRef};
use crate::recovery::op::{OpContext, OpError};
use crate::sys::pg::PgTarget;
use crate::sys::tls;

/// For one secret.
const LOOK_UP: Duration = Duration::from_secs(10);

/// How to reach a server, as it stands in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    /// The connection string, where nothing in it is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsn: Option<String>,
    /// Name of the secret that is the connection string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsn_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<String>,
    /// CA certificates (PEM files) trusted beside the system's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_ca: Vec<PathBuf>,
}

/// The reach of a configured restore, and where the secrets that it names come from.
pub fn reach(config: &Config, backup: &str, restore: &PostgresRestore) -> (Reach, BTreeMap<String, SecretRef>) {
    let mut reach = Reach { extra_ca: restore.extra_ca.clone(), ..Reach::default() };
    reach.extra_ca.extend(config.system.extra_ca.iter().cloned());
    let mut secrets = BTreeMap::new();
    let mut hide = |what: &str, from: SecretRef| {
        let name = format!("{backup}.{what}");
        secrets.insert(name.clone(), from);
        Some(name)
    };
    match &restore.dsn {
        MaybeSecret::Secret(from) => reach.dsn_secret = hide("dsn", from.clone()),
        MaybeSecret::Plain(text) => match PgTarget::parse(text) {
            Ok(target) if target.password().is_none() => reach.dsn = Some(text.clone()),
            _ => reach.dsn_secret = hide("dsn", SecretRef::Literal(text.clone().into())),
        },
    }
    if let Some(from) = &restore.password {
        reach.password_secret = hide("password", from.clone());
    }
    (reach, secrets)
}

impl Reach {
    /// The server, with the values of the secrets given by name.
    pub fn target(&self, secrets: &BTreeMap<String, SecretString>) -> Result<PgTarget, String> {
        let value = |name: &String| {
            let missing = || format!("the secret {name} was not handed over: start the run again from its plan");
            secrets.get(name).ok_or_else(missing)
        };
        let dsn = match (&self.dsn, &self.dsn_secret) {
            (Some(dsn), _) => dsn.as_str(),
            (None, Some(name)) => value(name)?.expose_secret(),
            (None, None) => return Err("no connection string is configured: set `dsn` of the restore".into()),
        };
        let mut target = PgTarget::parse(dsn).map_err(|e| format!("{e}: correct `dsn` of the restore"))?;
        if let Some(name) = &self.password_secret {
            target = target.with_password(value(name)?.clone());
        }
        if !self.extra_ca.is_empty() {
            target = target.with_roots(tls::roots(&self.extra_ca).0);
        }
        Ok(target)
    }

    /// The server, for an operation.
    pub fn target_for(&self, ctx: &OpContext) -> Result<PgTarget, OpError> {
        self.target(&ctx.secrets).map_err(OpError::Failed)
    }
}

/// Looks the secrets up, for planning. Errors name where a value should have come from, never a value.
pub async fn resolve(secrets: &BTreeMap<String, SecretRef>) -> Result<BTreeMap<String, SecretString>, String> {
    let mut values = BTreeMap::new();
    for (name, from) in secrets {
        let value = config::secret::resolve(from, LOOK_UP).await.map_err(|why| format!("{name}: {why}"))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}
