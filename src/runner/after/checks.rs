//! From the checks of a plan to something that can be asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::Value;

use super::{Ask, Check};
use crate::config::{self, CheckKind, SecretRef, Timing};
use crate::domain::health::ProbeResult;
use crate::probe::{self, Probe, ProbeEnv};
use crate::sys::tls;

/// Reads and prepares every check. Errors: which one cannot be asked, and why.
pub(super) fn prepare(checks: &[Value], secrets: &BTreeMap<String, SecretString>) -> Result<Vec<Check>, String> {
    let env = env(secrets);
    checks.iter().map(|value| one(value, &env)).collect()
}

/// Secrets come from the pipe alone: what a check needs was put there when the plan was made.
fn env(secrets: &BTreeMap<String, SecretString>) -> ProbeEnv {
    let (roots, faults) = tls::roots(&[]);
    for fault in faults {
        tracing::debug!("a certificate of this host is not used: {fault}");
    }
    let values = secrets.clone();
    let source = move |secret: &SecretRef| match secret {
        SecretRef::Pipe(name) => {
            values.get(name).cloned().ok_or_else(|| format!("the secret {name} was not handed over"))
        }
        other => Err(format!("{} is not looked up while a plan is executed", other.describe())),
    };
    ProbeEnv::new(roots, Arc::new(source), super::super::hand::mask(secrets))
}

fn one(value: &Value, env: &ProbeEnv) -> Result<Check, String> {
    let (inverted, kind) = read(value)?;
    let name = crate::recovery::plan::after::shown(&kind);
    let check = config::Check { name: kind.word().to_owned(), kind, timing: Timing::default() };
    let probe = probe::prepare(&check, env)?;
    Ok(Check { name, inverted, probe: Box::new(Asked(probe)) })
}

/// `{"not": check}` is a check that has to fail.
fn read(value: &Value) -> Result<(bool, CheckKind), String> {
    let (inverted, value) = match value.get("not") {
        Some(inner) => (true, inner),
        None => (false, value),
    };
    let kind = serde_json::from_value(value.clone()).map_err(|e| format!("the check does not read: {e}"))?;
    Ok((inverted, kind))
}

struct Asked(Arc<dyn Probe>);

impl Ask for Asked {
    fn ask(&self, within: Duration) -> BoxFuture<'_, ProbeResult> {
        self.0.probe(within)
    }
}
