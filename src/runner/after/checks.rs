//! From the checks of a plan to something that can be asked.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::Value;

use super::Check;
use crate::config::CheckKind;

/// Reads and prepares every check. Errors: which one cannot be asked, and why.
pub(super) fn prepare(checks: &[Value], secrets: &BTreeMap<String, SecretString>) -> Result<Vec<Check>, String> {
    let _ = secrets;
    checks
        .iter()
        .map(|value| read(value).and_then(|(_, kind)| Err(format!("{} cannot be asked", kind.word()))))
        .collect()
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
