//! What an answer must look like. Expressions are compiled once, when the check is prepared.

use regex::Regex;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;

use super::super::look::{Finding, compare_words};
use crate::config::{HttpCheck, JsonCondition};
use crate::domain::health::Reason;
use crate::text::clean::clean_to;

pub(super) struct Expectations {
    status: Vec<(u16, u16)>,
    plain_status: bool,
    headers: Vec<(HeaderName, Regex)>,
    contains: Option<String>,
    matches: Option<Regex>,
    json: Vec<JsonCondition>,
    pub(super) max_body: u64,
}

impl Expectations {
    pub(super) fn new(check: &HttpCheck) -> Result<Self, String> {
        let regex = |text: &str| Regex::new(text).map_err(|e| format!("\"{text}\" is not a regular expression: {e}"));
        let mut headers = Vec::with_capacity(check.header_matches.len());
        for (name, pattern) in &check.header_matches {
            let header: HeaderName = name.parse().map_err(|_| format!("\"{name}\" is not a header's name"))?;
            headers.push((header, regex(pattern)?));
        }
        let status = if check.status.is_empty() { vec![(200, 299)] } else { check.status.clone() };
        Ok(Expectations {
            plain_status: status == [(200, 299)],
            status,
            headers,
            contains: check.body_contains.clone(),
            matches: check.body_matches.as_deref().map(regex).transpose()?,
            json: check.json.clone(),
            max_body: check.max_body,
        })
    }

    pub(super) fn needs_body(&self) -> bool {
        self.contains.is_some() || self.matches.is_some() || !self.json.is_empty()
    }

    pub(super) fn needs_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    pub(super) fn status(&self, status: StatusCode, shown: &str) -> Option<Finding> {
        let code = status.as_u16();
        if self.status.iter().any(|(low, high)| (*low..=*high).contains(&code)) {
            return None;
        }
        let wanted: Vec<String> = self
            .status
            .iter()
            .map(|(low, high)| if low == high { low.to_string() } else { format!("{low}-{high}") })
            .collect();
        let text = match self.plain_status {
            true => shown.to_owned(),
            false => format!("{shown}, expected {}", wanted.join(", ")),
        };
        Some(Finding::fail(Reason::Status, text))
    }

    pub(super) fn headers(&self, headers: &HeaderMap, shown: &str) -> Option<Finding> {
        self.headers.iter().find_map(|(name, pattern)| {
            let values: Vec<String> =
                headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect();
            if values.iter().any(|v| pattern.is_match(v)) {
                return None;
            }
            let found = match values.first() {
                Some(value) => format!("header {name} is \"{}\", which does not match {pattern}", clean_to(value, 80)),
                None => format!("header {name} is missing"),
            };
            Some(missed(shown, &found))
        })
    }

    pub(super) fn body(&self, body: &[u8], shown: &str) -> Option<Finding> {
        let text = String::from_utf8_lossy(body);
        if let Some(wanted) = &self.contains
            && !text.contains(wanted.as_str())
        {
            return Some(missed(shown, &format!("the body does not contain \"{}\"", clean_to(wanted, 80))));
        }
        if let Some(pattern) = &self.matches
            && !pattern.is_match(&text)
        {
            return Some(missed(shown, &format!("the body does not match {pattern}")));
        }
        if self.json.is_empty() {
            return None;
        }
        let value: Value = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(e) => return Some(missed(shown, &format!("the body is not JSON: {e}"))),
        };
        self.json.iter().find_map(|condition| json_missed(condition, &value)).map(|why| missed(shown, &why))
    }
}

fn missed(shown: &str, why: &str) -> Finding {
    Finding::fail(Reason::Assertion, format!("{shown}, but {why}"))
}

fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty() && *part != "$").try_fold(value, |v, part| match v {
        Value::Array(items) => part.parse::<usize>().ok().and_then(|i| items.get(i)),
        Value::Object(map) => map.get(part),
        _ => None,
    })
}

fn json_missed(condition: &JsonCondition, value: &Value) -> Option<String> {
    let path = condition.path.as_str();
    let Some(found) = at_path(value, path) else {
        return Some(format!("there is no {path} in the answer"));
    };
    let shown = || clean_to(&found.to_string(), 80).into_owned();
    if let Some(wanted) = &condition.equals
        && !same(found, wanted)
    {
        return Some(format!("{path} is {}, expected {wanted}", shown()));
    }
    if let Some(compare) = &condition.compare {
        let number = found.as_f64().or_else(|| found.as_str().and_then(|s| s.trim().parse().ok()));
        match number {
            None => return Some(format!("{path} is {}, expected a number", shown())),
            Some(n) if !compare.holds(n) => return Some(format!("{path} is {n}, expected {}", compare_words(compare))),
            Some(_) => {}
        }
    }
    None
}

/// Numbers are equal by value: JSON does not tell 1 from 1.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => x == y,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Compare, Op};
    use serde_json::json;

    #[test]
    fn conditions_on_json() {
        let answer = json!({"status": "ok", "checks": {"db": [{"state": "up", "lag": "1.5"}]}, "n": 3, "none": null});
        let equals = |path: &str, v: Value| JsonCondition { path: path.into(), equals: Some(v), compare: None };
        let compare = |path: &str, op, value| JsonCondition {
            path: path.into(),
            equals: None,
            compare: Some(Compare { op, value }),
        };
        for (condition, wanted) in [
            (equals("status", json!("ok")), None),
            (equals("$.status", json!("ok")), None),
            (equals("n", json!(3.0)), None),
            (equals("none", json!(null)), None),
            (equals("checks.db.0.state", json!("down")), Some("checks.db.0.state is \"up\", expected \"down\"")),
            (equals("checks.db.1.state", json!("up")), Some("there is no checks.db.1.state in the answer")),
            (equals("status.x", json!("up")), Some("there is no status.x in the answer")),
            (compare("n", Op::Lt, 5.0), None),
            (compare("checks.db.0.lag", Op::Lt, 1.0), Some("checks.db.0.lag is 1.5, expected < 1")),
            (compare("status", Op::Lt, 1.0), Some("status is \"ok\", expected a number")),
        ] {
            assert_eq!(json_missed(&condition, &answer).as_deref(), wanted, "{condition:?}");
        }
    }
}
