//! The JSON Schema: a public contract, and held to what the reader accepts.

use mayday::config;
use serde_json::Value;

use crate::{faults, nowhere, repo, shipped};

/// Compares with a file of the repository. With `MAYDAY_UPDATE_GOLDEN=1` in the environment it is written instead.
#[track_caller]
pub fn golden(path: &str, text: &str) {
    let path = repo(path);
    if std::env::var_os("MAYDAY_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = wanted.lines().zip(text.lines()).position(|(a, b)| a != b);
    assert!(
        wanted == text,
        "{} differs from line {} on; MAYDAY_UPDATE_GOLDEN=1 writes it anew. Now:\n{text}",
        path.display(),
        differs.map_or_else(|| wanted.lines().count().min(text.lines().count()) + 1, |i| i + 1)
    );
}

#[test]
fn the_shipped_schema_is_the_one_of_this_version() {
    let text = serde_json::to_string_pretty(&config::schema()).unwrap() + "\n";
    golden("config/mayday.schema.json", &text);
}

fn as_json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

#[test]
fn what_the_reader_accepts_the_schema_accepts() {
    let schema = config::schema();
    for (name, text) in shipped() {
        assert_eq!(faults_of(&schema, &as_json(&text)), None, "{name}");
        let all = config::effective(&config::parse(&text, nowhere()).unwrap());
        assert_eq!(faults_of(&schema, &as_json(&all)), None, "effective {name}");
    }
}

#[test]
fn what_is_wrong_with_a_single_value_the_schema_refuses_too() {
    let schema = config::schema();
    let mut accepted = Vec::new();
    for (text, _) in faults::local_cases() {
        let Ok(table) = toml::from_str::<toml::Table>(&text) else { continue };
        // JSON has no such number.
        if text.contains("= nan") {
            continue;
        }
        // Said by the reader alone: what a pattern of characters cannot express.
        let beyond = ["\"a..b\"", "\"nobody\"", "\"600-700\"", "\"1KiB\""];
        if beyond.iter().any(|part| text.contains(part)) {
            continue;
        }
        if faults_of(&schema, &serde_json::to_value(table).unwrap()).is_none() {
            accepted.push(text);
        }
    }
    assert!(accepted.is_empty(), "the schema accepts\n{}", accepted.join("\n---\n"));
}

/// Every place where a table of the schema may stand: a key that is not in it is refused by both, there.
#[test]
fn an_unknown_key_is_refused_in_every_table() {
    let schema = config::schema();
    // The annotated file has every table.
    for (name, text) in shipped().into_iter().take(1) {
        let whole = toml::from_str::<toml::Table>(&text).unwrap();
        let mut paths = Vec::new();
        tables(&toml::Value::Table(whole.clone()), &mut Vec::new(), &mut paths);
        assert!(paths.len() > 20);
        for path in paths {
            let mut spoiled = toml::Value::Table(whole.clone());
            let mut here = &mut spoiled;
            for step in &path {
                here = match step {
                    Step::Key(k) => &mut here[k.as_str()],
                    Step::Index(i) => &mut here[*i],
                };
            }
            here.as_table_mut().unwrap().insert("zzzz-nothing".into(), true.into());
            assert!(faults_of(&schema, &serde_json::to_value(&spoiled).unwrap()).is_some(), "{name} {path:?}");
            let text = toml::to_string(&spoiled).unwrap();
            assert!(config::parse(&text, nowhere()).is_err(), "{name} {path:?}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

fn tables(value: &toml::Value, at: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    match value {
        toml::Value::Table(t) => {
            out.push(at.clone());
            for (k, v) in t {
                at.push(Step::Key(k.clone()));
                tables(v, at, out);
                at.pop();
            }
        }
        toml::Value::Array(items) => {
            for (i, v) in items.iter().enumerate() {
                at.push(Step::Index(i));
                tables(v, at, out);
                at.pop();
            }
        }
        _ => {}
    }
}

/// The part of JSON Schema 2020-12 that is used here: the first thing that does not hold. A keyword it does not know is
/// an error of the test, so that nothing is passed over.
pub fn faults_of(schema: &Value, value: &Value) -> Option<String> {
    holds(schema, schema, value, "$")
}

fn holds(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let keywords = match schema {
        Value::Bool(true) => return None,
        Value::Bool(false) => return Some(format!("{at}: not allowed")),
        Value::Object(keywords) => keywords,
        other => panic!("not a schema: {other}"),
    };
    let fault = |why: String| Some(format!("{at}: {why}"));
    for (word, wanted) in keywords {
        let list = || wanted.as_array().unwrap();
        let found = match word.as_str() {
            "$schema" | "title" | "description" | "default" | "$defs" => None,
            "$ref" => {
                let name = wanted.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                holds(root, root["$defs"].get(name).unwrap_or_else(|| panic!("no definition {name}")), value, at)
            }
            "type" => {
                let is = |ty: &str| match ty {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "number" => value.is_number(),
                    "integer" => value.is_i64() || value.is_u64(),
                    other => panic!("type {other}"),
                };
                let any = wanted.as_str().map_or_else(|| list().iter().any(|t| is(t.as_str().unwrap())), is);
                if any { None } else { fault(format!("must be {wanted}")) }
            }
            "enum" => (!list().contains(value)).then(|| format!("{at}: must be one of {wanted}")),
            "pattern" => value.as_str().and_then(|text| {
                let re = compiled(wanted.as_str().unwrap());
                (!re.is_match(text)).then(|| format!("{at}: must match {wanted}"))
            }),
            "minLength" => value
                .as_str()
                .filter(|t| (t.chars().count() as u64) < wanted.as_u64().unwrap())
                .and_then(|_| fault("too short".into())),
            "minimum" => {
                value.as_f64().filter(|n| *n < wanted.as_f64().unwrap()).and_then(|_| fault("too small".into()))
            }
            "maximum" => {
                value.as_f64().filter(|n| *n > wanted.as_f64().unwrap()).and_then(|_| fault("too large".into()))
            }
            "minItems" => value
                .as_array()
                .filter(|a| (a.len() as u64) < wanted.as_u64().unwrap())
                .and_then(|_| fault("too few".into())),
            "items" => value.as_array().and_then(|items| {
                items.iter().enumerate().find_map(|(i, v)| holds(root, wanted, v, &format!("{at}[{i}]")))
            }),
            "properties" => value.as_object().and_then(|object| {
                let known = wanted.as_object().unwrap();
                object.iter().find_map(|(k, v)| holds(root, known.get(k)?, v, &format!("{at}.{k}")))
            }),
            "additionalProperties" => value.as_object().and_then(|object| {
                let known = keywords.get("properties").and_then(Value::as_object);
                let mut others = object.iter().filter(|(k, _)| !known.is_some_and(|p| p.contains_key(*k)));
                others.find_map(|(k, v)| holds(root, wanted, v, &format!("{at}.{k}")))
            }),
            "propertyNames" => value.as_object().and_then(|object| {
                object.keys().find_map(|k| holds(root, wanted, &Value::String(k.clone()), &format!("{at} name {k}")))
            }),
            "required" => value.as_object().and_then(|object| {
                let missing = list().iter().find(|k| !object.contains_key(k.as_str().unwrap()))?;
                fault(format!("needs {missing}"))
            }),
            "anyOf" | "oneOf" => {
                let fitting = list().iter().filter(|s| holds(root, s, value, at).is_none()).count();
                let fine = if word == "anyOf" { fitting > 0 } else { fitting == 1 };
                if fine { None } else { fault(format!("{word}: {fitting} fit")) }
            }
            other => panic!("keyword {other}"),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Compiling a pattern takes longer than everything else here.
fn compiled(pattern: &str) -> regex::Regex {
    static KNOWN: std::sync::Mutex<std::collections::BTreeMap<String, regex::Regex>> =
        std::sync::Mutex::new(std::collections::BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    known.entry(pattern.to_owned()).or_insert_with(|| regex::Regex::new(pattern).unwrap()).clone()
}

#[test]
fn a_mirror_is_a_path_or_a_table_of_one_way() {
    let schema = config::schema();
    let file = |mirror: &str| format!("[system]\nname = \"shop\"\n[journal]\nmirror = {mirror}\n");
    let path = config::MirrorTo::File("/mnt/x".into());
    let run = config::MirrorTo::Command(["sh", "-c", "cat >> /mnt/x"].map(str::to_owned).to_vec());
    for (said, wanted) in [
        ("\"/mnt/x\"", path.clone()),
        ("{ path = \"/mnt/x\" }", path),
        ("{ run = [\"sh\", \"-c\", \"cat >> /mnt/x\"] }", run),
    ] {
        let read = config::parse(&file(said), nowhere()).unwrap();
        assert_eq!(read.journal.mirror.as_ref(), Some(&wanted), "{said}");
        assert_eq!(faults_of(&schema, &as_json(&file(said))), None, "{said}");
        let again = config::parse(&config::effective(&read), nowhere()).unwrap();
        assert_eq!(again.journal.mirror, Some(wanted), "{said}");
    }
    for (said, why) in [
        ("{}", "needs one of"),
        ("{ path = \"/mnt/x\", run = [\"cat\"] }", "takes one of"),
        ("{ run = [] }", "must name a program"),
        ("{ run = \"cat\" }", "must be a list of texts"),
        ("3", "must be a path or a table"),
    ] {
        let faults = config::parse(&file(said), nowhere()).unwrap_err();
        assert!(faults.iter().any(|f| f.to_string().contains(why)), "{said}: {faults:?}");
        assert!(faults_of(&schema, &as_json(&file(said))).is_some(), "{said}");
    }
}
