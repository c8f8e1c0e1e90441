//! Looking at services: one file per protocol behind one trait.
//!
//! [`prepare`] turns a configured check into a [`Probe`]: addresses parsed, expressions compiled, secrets resolved, clients
//! and roots shared. A probe looks once per call and never fails; what went wrong is its result. Three rules hold for all:
//!
//! - The whole probe ends within its timeout, and the result names the phase in which the time ran out. The limit stands
//!   around every probe in one place ([`look`]), not in each of them.
//! - *Fail* means that the service is wrong; *error* means that we could not look (no file descriptor, a tool that is not
//!   installed). Only the first counts against the service.
//! - Nothing from outside leaves a probe unmasked, uncleaned or longer than 512 characters.
//!
//! A probe must never write to what it looks at (but for the file that proves a folder writable), never retry by itself,
//! and never keep a connection unless the check asks for it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::RootCertStore;
use secrecy::{ExposeSecret, SecretString};

use crate::config::secret::{MaybeSecret, SecretRef};
use crate::config::{Check, CheckKind};
use crate::domain::health::ProbeResult;
use crate::sys::tls;
use crate::text::Mask;

mod command;
mod dns;
mod docker;
mod exec;
mod host;
mod http;
mod look;
mod net;
mod postgres;
mod redis;
mod systemd;
mod tcp;
mod tls_expiry;

use look::{Guarded, Look};
use net::Resolver;

/// A prepared check.
pub trait Probe: Send + Sync {
    /// Looks once. Ends within `timeout` and a moment, whatever the other side does; never fails, but says so.
    fn probe(&self, timeout: Duration) -> BoxFuture<'_, ProbeResult>;
}

/// Gives the value of a secret, or says why it cannot.
pub type SecretSource = Arc<dyn Fn(&SecretRef) -> Result<SecretString, String> + Send + Sync>;

/// What probes share.
pub struct ProbeEnv {
    roots: Arc<RootCertStore>,
    secrets: SecretSource,
    mask: Arc<Mask>,
    resolver: Resolver,
    tool_path: Option<OsString>,
    stores: Mutex<HashMap<Vec<PathBuf>, Arc<RootCertStore>>>,
    clients: Mutex<HashMap<http::Policy, reqwest::Client>>,
}

impl ProbeEnv {
    /// `roots` are the host's and the configuration's certificates, `mask` knows the secrets of the configuration.
    pub fn new(roots: Arc<RootCertStore>, secrets: SecretSource, mask: Mask) -> Self {
        ProbeEnv {
            roots,
            secrets,
            mask: Arc::new(mask),
            resolver: Resolver::default(),
            tool_path: None,
            stores: Mutex::default(),
            clients: Mutex::default(),
        }
    }

    /// Looks tools (`systemctl`, `docker`) up in `path`, in the form of `$PATH`, instead of the process' own.
    pub fn with_tool_path(mut self, path: impl Into<OsString>) -> Self {
        self.tool_path = Some(path.into());
        self
    }

    /// The shared roots with the certificates of `extra` beside them. Errors name the file that cannot be read.
    fn roots_with(&self, extra: &[PathBuf]) -> Result<Arc<RootCertStore>, String> {
        if extra.is_empty() {
            return Ok(Arc::clone(&self.roots));
        }
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(extra) {
            return Ok(Arc::clone(store));
        }
        let mut store = RootCertStore { roots: self.roots.roots.clone() };
        for file in extra {
            store.roots.extend(tls::roots_only(file)?.roots.iter().cloned());
        }
        let store = Arc::new(store);
        stores.insert(extra.to_vec(), Arc::clone(&store));
        Ok(store)
    }
}

/// Collects the secrets of one check while it is prepared, so that its own results are masked of them.
struct Vault<'a> {
    env: &'a ProbeEnv,
    seen: Vec<String>,
}

impl Vault<'_> {
    fn open(&mut self, secret: &SecretRef) -> Result<SecretString, String> {
        let value = (self.env.secrets)(secret).map_err(|why| format!("reading {}: {why}", secret.describe()))?;
        self.seen.push(value.expose_secret().to_owned());
        Ok(value)
    }

    fn value(&mut self, setting: &MaybeSecret) -> Result<String, String> {
        match setting {
            MaybeSecret::Plain(text) => Ok(text.clone()),
            MaybeSecret::Secret(secret) => Ok(self.open(secret)?.expose_secret().to_owned()),
        }
    }

    fn password(&mut self, secret: Option<&SecretRef>) -> Result<Option<SecretString>, String> {
        secret.map(|s| self.open(s)).transpose()
    }

    /// A part of a value that is a secret by itself: the password inside a connection string.
    fn hide(&mut self, secret: &SecretString) {
        self.seen.push(secret.expose_secret().to_owned());
    }
}

/// Prepares a check. Errors say what is wrong with it and what to do; they name no secret.
pub fn prepare(check: &Check, env: &ProbeEnv) -> Result<Arc<dyn Probe>, String> {
    let mut vault = Vault { env, seen: Vec::new() };
    let looked = look_for(&check.kind, check.timing.timeout, &mut vault);
    let own = Mask::new(vault.seen);
    let look = looked.map_err(|why| {
        let why = format!("preparing the {} check {}: {why}", check.kind.word(), check.name);
        own.apply(&env.mask.apply(&why)).into_owned()
    })?;
    Ok(Arc::new(Guarded::new(look, Arc::clone(&env.mask), own)))
}

fn look_for(kind: &CheckKind, timeout: Duration, vault: &mut Vault<'_>) -> Result<Box<dyn Look>, String> {
    Ok(match kind {
        CheckKind::Http(c) => Box::new(http::Http::new(c, timeout, vault)?),
        CheckKind::Tcp(c) => Box::new(tcp::Tcp::new(c, vault.env)?),
        CheckKind::Tls(c) => Box::new(tls_expiry::TlsExpiry::new(c, vault.env)?),
        CheckKind::Dns(c) => Box::new(dns::Dns::new(c, vault.env)?),
        CheckKind::Postgres(c) => Box::new(postgres::Postgres::new(c, vault)?),
        CheckKind::Redis(c) => Box::new(redis::Redis::new(c, vault)?),
        CheckKind::Host(c) => Box::new(host::Host::new(c)?),
        CheckKind::Systemd(c) => Box::new(systemd::Systemd::new(c, vault.env)?),
        CheckKind::Docker(c) => Box::new(docker::Docker::new(c, vault.env)?),
        CheckKind::Exec(c) => Box::new(exec::Exec::new(c, vault)?),
    })
}
