//! Definitions of RabbitMQ: what is in an export, and how two of them differ.
//!
//! The form is that of the management plugin (rabbit_definitions.erl): an object with a list for each kind, whose elements
//! are told apart by some of their fields. Newer versions add fields; those are carried on and compared where both sides
//! have them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text;

/// A kind of element.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// The key of its list.
    pub name: &'static str,
    /// Fields that tell elements apart. Of a binding all do.
    pub id: &'static [&'static str],
    /// An import leaves one that is there as it is, whatever it says.
    pub fixed: bool,
}

const fn section(name: &'static str, id: &'static [&'static str], fixed: bool) -> Section {
    Section { name, id, fixed }
}

/// Every kind, in the order in which they are imported.
pub static SECTIONS: [Section; 10] = [
    section("vhosts", &["name"], false),
    section("users", &["name"], false),
    section("permissions", &["vhost", "user"], false),
    section("topic_permissions", &["vhost", "user", "exchange"], false),
    section("parameters", &["vhost", "component", "name"], false),
    section("global_parameters", &["name"], false),
    section("policies", &["vhost", "name"], false),
    section("exchanges", &["vhost", "name"], true),
    section("queues", &["vhost", "name"], true),
    section("bindings", &["vhost", "source", "destination_type", "destination", "routing_key", "arguments"], true),
];

/// The name that a cluster has for itself; it is not restored into another one.
const OWN: &str = "internal_cluster_id";

/// An export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Definitions(pub Map<String, Value>);

impl Definitions {
    /// Reads an export. With `vhost` only what belongs to that one is taken. Errors: why it is none, and what to do.
    pub fn read(bytes: &[u8], vhost: Option<&str>) -> Result<Definitions, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|e| match e.is_eof() {
            true => "it is cut off: choose another copy".to_owned(),
            false => format!("it is not JSON ({e}): choose another copy"),
        })?;
        let Value::Object(all) = value else {
            return Err("it is no export of definitions: choose another copy".into());
        };
        if !SECTIONS.iter().any(|s| all.contains_key(s.name)) {
            return Err(
                "it holds none of users, vhosts, queues …: it is no export of definitions; choose another copy".into(),
            );
        }
        let mut out = Map::new();
        for section in &SECTIONS {
            let list = match all.get(section.name) {
                None => continue,
                Some(Value::Array(list)) => list,
                Some(_) => return Err(format!("its {} are no list: choose another copy", section.name)),
            };
            let mut kept = Vec::new();
            for element in list {
                let Value::Object(element) = element else {
                    return Err(format!("its {} hold something that is no object: choose another copy", section.name));
                };
                let mut element = element.clone();
                if section.id.contains(&"vhost") && !element.contains_key("vhost") {
                    let Some(vhost) = vhost else {
                        return Err("it is the export of a single vhost: set `vhost` of the restore".into());
                    };
                    element.insert("vhost".into(), vhost.into());
                }
                if let Some(missing) = section.id.iter().find(|f| **f != "arguments" && !element.contains_key(**f)) {
                    return Err(format!("one of its {} has no {missing}: choose another copy", section.name));
                }
                if belongs(section, &element, vhost) {
                    kept.push(Value::Object(element));
                }
            }
            out.insert(section.name.to_owned(), Value::Array(kept));
        }
        Ok(Definitions(out))
    }

    /// What belongs to a vhost; everything without one.
    pub fn only(&self, vhost: Option<&str>) -> Definitions {
        let mut out = self.clone();
        for section in &SECTIONS {
            if let Some(Value::Array(list)) = out.0.get_mut(section.name) {
                list.retain(|e| e.as_object().is_some_and(|e| belongs(section, e, vhost)));
            }
        }
        out
    }

    pub fn list(&self, section: &Section) -> &[Value] {
        self.0.get(section.name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Permissions of users that neither this nor `live` knows: importing one is refused, with half of the rest done.
    pub fn without_strangers(mut self, live: &Definitions) -> (Definitions, Vec<String>) {
        let names = |d: &Definitions| -> Vec<Value> {
            d.list(&SECTIONS[1]).iter().filter_map(|u| u.get("name").cloned()).collect()
        };
        let mut known = names(&self);
        known.extend(names(live));
        let mut left = Vec::new();
        for key in ["permissions", "topic_permissions"] {
            if let Some(Value::Array(list)) = self.0.get_mut(key) {
                list.retain(|p| {
                    let there = p.get("user").is_some_and(|u| known.contains(u));
                    if !there {
                        left.push(shown(p.get("user").unwrap_or(&Value::Null)));
                    }
                    there
                });
            }
        }
        left.sort();
        left.dedup();
        (self, left)
    }

    /// `3 queues, 1 user`.
    pub fn word(&self) -> String {
        let some: Vec<String> = SECTIONS
            .iter()
            .filter(|s| !self.list(s).is_empty())
            .map(|s| format!("{} {}", self.list(s).len(), s.name.replace('_', " ")))
            .collect();
        if some.is_empty() { "nothing".into() } else { some.join(", ") }
    }
}

/// Users and global parameters belong to no vhost, and the name of the cluster is its own.
fn belongs(section: &Section, element: &Map<String, Value>, vhost: Option<&str>) -> bool {
    if section.name == "global_parameters" && element.get("name") == Some(&OWN.into()) {
        return false;
    }
    match (vhost, section.name) {
        (None, _) => true,
        (Some(v), "vhosts") => element.get("name") == Some(&v.into()),
        (Some(_), "users" | "global_parameters") => false,
        (Some(v), _) => element.get("vhost") == Some(&v.into()),
    }
}

fn shown(value: &Value) -> String {
    let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text::clean(&plain).into_owned()
}

/// An element that is in both and not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    pub name: String,
    /// `arguments {"x-max-length":5}, in the copy {"x-max-length":9}`.
    pub how: String,
}

/// How the elements of one kind differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pub added: Vec<String>,
    pub same: usize,
    pub differing: Vec<Differing>,
    pub only_live: Vec<String>,
}

impl Delta {
    /// `2 added (a, b), 1 same, 1 differing (q: …), 3 only live (…)`.
    pub fn word(&self) -> String {
        let some = |what: &str, names: &[String]| match names {
            [] => None,
            names => {
                let first: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
                let more = if names.len() > 5 { ", …" } else { "" };
                Some(format!("{} {what} ({}{more})", names.len(), first.join(", ")))
            }
        };
        let differing: Vec<String> = self.differing.iter().map(|d| format!("{}: {}", d.name, d.how)).collect();
        let same = (self.same > 0).then(|| format!("{} same", self.same));
        let parts = [
            some("added", &self.added),
            same,
            some("differing", &differing),
            some("only live, left as they are", &self.only_live),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.same == 0 && self.differing.is_empty() && self.only_live.is_empty()
    }
}

/// What importing `copy` into `live` would change, kind by kind.
pub fn difference(copy: &Definitions, live: &Definitions) -> Vec<(&'static Section, Delta)> {
    SECTIONS
        .iter()
        .map(|section| {
            let ours = by_id(copy.list(section), section);
            let mut theirs = by_id(live.list(section), section);
            let mut delta = Delta::default();
            for (id, element) in ours {
                match theirs.remove(&id) {
                    None => delta.added.push(name(element, section)),
                    Some(there) => match fields(element, there) {
                        how if how.is_empty() => delta.same += 1,
                        how => delta.differing.push(Differing { name: name(element, section), how: how.join(", ") }),
                    },
                }
            }
            delta.only_live = theirs.into_values().map(|e| name(e, section)).collect();
            (section, delta)
        })
        .collect()
}

/// Nothing of `copy` is missing in `live` or different there: else what is.
pub fn missing(copy: &Definitions, live: &Definitions) -> Vec<String> {
    let mut out = Vec::new();
    for (section, delta) in difference(copy, live) {
        let one = section.name.trim_end_matches('s').replace("policie", "policy").replace('_', " ");
        out.extend(delta.added.into_iter().map(|n| format!("{one} {n} is missing")));
        out.extend(delta.differing.into_iter().map(|d| format!("{one} {}: {}", d.name, d.how)));
    }
    out
}

fn by_id<'a>(list: &'a [Value], section: &Section) -> BTreeMap<String, &'a Value> {
    let id = |e: &Value| {
        let parts: Vec<Value> = section.id.iter().map(|f| canonical(e.get(*f).unwrap_or(&Value::Null))).collect();
        Value::Array(parts).to_string()
    };
    list.iter().map(|e| (id(e), e)).collect()
}

/// `orders in prod`, `events → orders (order.#) in prod`.
fn name(element: &Value, section: &Section) -> String {
    let get = |f: &str| element.get(f).map(shown).unwrap_or_default();
    let own = match section.name {
        "bindings" => format!("{} → {} ({})", get("source"), get("destination"), get("routing_key")),
        "permissions" => get("user"),
        "topic_permissions" => format!("{} on {}", get("user"), get("exchange")),
        "parameters" => format!("{} {}", get("component"), get("name")),
        _ => get("name"),
    };
    match section.id.first() {
        Some(&"vhost") if get("vhost") != "/" => format!("{own} in {}", get("vhost")),
        _ => own,
    }
}

/// The fields of the copy's element that the live one has otherwise.
fn fields(copy: &Value, live: &Value) -> Vec<String> {
    let empty = Map::new();
    let (copy, live) = (copy.as_object().unwrap_or(&empty), live.as_object().unwrap_or(&empty));
    let differs = |(field, value): (&String, &Value)| {
        // Old versions have tags in one text.
        let form = |v: &Value| match v.as_str() {
            Some(tags) if field == "tags" => canonical(&tags.split(',').map(str::trim).collect()),
            _ => canonical(v),
        };
        let (ours, theirs) = (form(value), form(live.get(field).unwrap_or(&Value::Null)));
        if ours == theirs {
            return None;
        }
        // What stands for a password is not shown, neither one.
        Some(match field.contains("password") {
            true => "another password".to_owned(),
            false => format!("{} {}, in the copy {}", text::clean(field), shown(&theirs), shown(&ours)),
        })
    };
    copy.iter().filter_map(differs).collect()
}

/// One form for what means the same: nothing for empty, words in order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.is_empty() => Value::Null,
        Value::Object(map) => {
            let mut sorted: Vec<(&String, &Value)> = map.iter().collect();
            sorted.sort_by_key(|(k, _)| *k);
            Value::Object(sorted.into_iter().map(|(k, v)| (k.clone(), canonical(v))).collect())
        }
        Value::Array(list) if list.is_empty() => Value::Null,
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let mut words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            words.sort_unstable();
            words.join(",").into()
        }
        Value::String(text) if text.is_empty() => Value::Null,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Of rabbitmq-server 3.10.8, shortened.
    fn export() -> Value {
        json!({
            "rabbit_version": "3.10.8",
            "users": [{"name": "svc", "password_hash": "abc", "tags": ["monitoring", "policymaker"], "limits": {}}],
            "vhosts": [{"name": "/"}, {"name": "prod"}],
            "permissions": [{"user": "svc", "vhost": "prod", "configure": ".*", "write": ".*", "read": ".*"}],
            "global_parameters": [{"name": "internal_cluster_id", "value": "rabbitmq-cluster-id-x"}],
            "policies": [{"vhost": "prod", "name": "ttl", "pattern": "^a", "apply-to": "queues", "definition": {"message-ttl": 5}, "priority": 0}],
            "queues": [{"name": "orders", "vhost": "prod", "durable": true, "arguments": {"x-max-length": 10}}],
            "exchanges": [],
            "bindings": [{"source": "e", "vhost": "prod", "destination": "orders", "destination_type": "queue", "routing_key": "a", "arguments": {}}],
        })
    }

    fn read(value: &Value, vhost: Option<&str>) -> Definitions {
        Definitions::read(value.to_string().as_bytes(), vhost).unwrap()
    }

    #[test]
    fn the_difference_names_what_is_added_differs_and_is_only_live() {
        let copy = read(&export(), None);
        assert!(missing(&copy, &copy).is_empty());
        let mut other = export();
        other["users"][0]["tags"] = json!("policymaker,monitoring");
        other["users"][0]["password_hash"] = json!("def");
        other["queues"][0]["arguments"] = json!({"x-max-length": 5});
        other["queues"].as_array_mut().unwrap().push(json!({"name": "mine", "vhost": "/"}));
        other["bindings"] = json!([]);
        other["global_parameters"] = json!([{"name": "internal_cluster_id", "value": "another"}]);
        let live = read(&other, None);
        let words: BTreeMap<&str, String> =
            difference(&copy, &live).into_iter().map(|(s, d)| (s.name, d.word())).collect();
        assert_eq!(words["users"], "1 differing (svc: another password)");
        assert_eq!(words["bindings"], "1 added (e → orders (a) in prod)");
        assert_eq!(words["vhosts"], "2 same");
        assert_eq!(words["global_parameters"], "");
        assert_eq!(
            words["queues"],
            "1 differing (orders in prod: arguments {\"x-max-length\":5}, in the copy {\"x-max-length\":10}), \
             1 only live, left as they are (mine)"
        );
        assert_eq!(missing(&copy, &live).len(), 3);
    }

    #[test]
    fn only_one_vhost_is_taken_where_asked() {
        let copy = read(&export(), Some("prod"));
        assert_eq!(copy.word(), "1 vhosts, 1 permissions, 1 policies, 1 queues, 1 bindings");
        let (copy, left) = copy.without_strangers(&Definitions::default());
        assert_eq!((left, copy.list(&SECTIONS[2]).len()), (vec!["svc".to_owned()], 0));
        let single = json!({"queues": [{"name": "q", "durable": true}]}).to_string();
        assert!(Definitions::read(single.as_bytes(), None).unwrap_err().contains("set `vhost`"));
        let taken = Definitions::read(single.as_bytes(), Some("v")).unwrap();
        assert_eq!(taken.list(&SECTIONS[8])[0]["vhost"], "v");
    }

    #[test]
    fn what_is_no_export_is_refused() {
        for (text, word) in [
            (&br#"{"queues": [{"name":"#[..], "cut off"),
            (&b"hello"[..], "not JSON"),
            (&b"[]"[..], "no export"),
            (&br#"{"a": 1}"#[..], "none of users"),
            (&br#"{"queues": 1}"#[..], "no list"),
            (&br#"{"queues": [1]}"#[..], "no object"),
            (&br#"{"users": [{"tags": []}]}"#[..], "has no name"),
        ] {
            let why = Definitions::read(text, None).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }
}
