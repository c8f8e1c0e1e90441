//! The JSON Schema of the file, for editors and for those who write configurations by program.
//!
//! Printed from the declarations of `keys`, so that it says what the reader accepts. It is a public contract: its text
//! is compared with the shipped `config/mayday.schema.json` by a test. A schema cannot say everything: names that must
//! exist, cycles and times that must fit together are found by `mayday config check` alone.

use serde_json::{Map, Value, json};

use super::keys;
use super::shape::{Format, Key, Table, Ty};

/// JSON Schema, draft 2020-12.
pub fn schema() -> Value {
    let mut defs = Map::new();
    let mut root = Map::new();
    root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".into(), "mayday configuration".into());
    for table in keys::tables() {
        if std::ptr::eq(table, &keys::ROOT) {
            root.extend(object(table));
        } else {
            defs.insert(definition(table), Value::Object(object(table)));
        }
    }
    root.insert("$defs".into(), Value::Object(defs));
    Value::Object(root)
}

/// `[[service.http]]` → `service.http`.
fn definition(table: &Table) -> String {
    table.at.trim_matches(['[', ']']).trim_start_matches("a ").trim_end_matches(".P0").to_owned()
}

fn object(table: &Table) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("type".into(), "object".into());
    out.insert("description".into(), table.doc.into());
    let properties = table.keys().map(|k| (k.name.to_owned(), property(k))).collect();
    out.insert("properties".into(), Value::Object(properties));
    out.insert("additionalProperties".into(), false.into());
    let required: Vec<&str> = table.keys().filter(|k| k.required).map(|k| k.name).collect();
    if !required.is_empty() {
        out.insert("required".into(), json!(required));
    }
    if !table.choice.is_empty() {
        let one = |i: usize| {
            let chosen = table.choice.get(i).map_or(&[] as &[&str], |c| c.by);
            let others = table.choice.iter().enumerate().filter(|(j, _)| *j != i);
            let forbidden =
                others.flat_map(|(_, c)| c.by.iter().chain(c.with)).map(|k| ((*k).to_owned(), false.into()));
            json!({
                "anyOf": chosen.iter().map(|k| json!({ "required": [k] })).collect::<Vec<_>>(),
                "properties": Value::Object(forbidden.collect()),
            })
        };
        out.insert("oneOf".into(), (0..table.choice.len()).map(one).collect());
    }
    out
}

fn property(key: &Key) -> Value {
    let mut out = Map::new();
    out.insert("description".into(), key.doc.into());
    if let Value::Object(ty) = value(&key.ty) {
        out.extend(ty);
    }
    if let Ok(default) = serde_json::from_str::<Value>(key.default) {
        out.insert("default".into(), default);
    }
    Value::Object(out)
}

fn text(format: &Format) -> Value {
    if format.pattern.is_empty() {
        return json!({ "type": "string" });
    }
    json!({ "type": "string", "pattern": format.pattern })
}

fn reference(table: &Table) -> Value {
    json!({ "$ref": format!("#/$defs/{}", definition(table)) })
}

fn path() -> Value {
    json!({ "type": "string", "pattern": r"^[^~$\u0000-\u001f]" })
}

fn value(ty: &Ty) -> Value {
    let argv = || json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
    match ty {
        Ty::Text(format) => text(format),
        Ty::Word(words) => json!({ "enum": words }),
        Ty::Bool => json!({ "type": "boolean" }),
        Ty::Int(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Ty::Number(low, high) => json!({ "type": "number", "minimum": low, "maximum": high }),
        Ty::Size(least) => json!({ "anyOf": [
            { "type": "integer", "minimum": least },
            { "type": "string", "pattern": r"^\s*[0-9]+\s*(B|[kK]B|[KMG]iB|[MG]B)?\s*$" },
        ] }),
        Ty::Status => {
            let one = json!({ "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": r"^\s*[1-5][0-9]{2}\s*(-\s*[1-5][0-9]{2}\s*)?$" },
            ] });
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
        }
        Ty::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Ty::Path => path(),
        Ty::PathOr(table) => json!({ "anyOf": [path(), reference(table)] }),
        Ty::Secret => json!({ "anyOf": [{ "type": "string", "minLength": 1 }, reference(&keys::SECRET)] }),
        Ty::MaybeSecret(format, _) => json!({ "anyOf": [text(format), reference(&keys::SECRET)] }),
        Ty::Argv => argv(),
        Ty::List(inner) => json!({ "type": "array", "items": value(inner) }),
        Ty::OneOrMore(inner) => {
            json!({ "anyOf": [value(inner), { "type": "array", "items": value(inner), "minItems": 1 }] })
        }
        Ty::Map(names, inner) => json!({
            "type": "object",
            "propertyNames": text(names),
            "additionalProperties": value(inner),
        }),
        Ty::Table(table) => reference(table),
        Ty::Tables { table, single: false } => json!({ "type": "array", "items": reference(table) }),
        Ty::Tables { table, single: true } => {
            json!({ "anyOf": [reference(table), { "type": "array", "items": reference(table) }] })
        }
    }
}
