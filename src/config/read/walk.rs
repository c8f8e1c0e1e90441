//! Walking the parsed file along the declarations.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Item, Sink, Span, Tab, Val, nearest};
use crate::config::keys;
use crate::config::secret::SecretRef;
use crate::config::shape::{Exposed, Format, Table, Ty};
use crate::config::value::{self, quoted};
use crate::text::clean;

/// Reads a whole file. Faults go to `sink`; what is right comes back.
pub fn read(source: &str, sink: &mut Sink) -> Tab {
    let (document, errors) = DeTable::parse_recoverable(source);
    for e in &errors {
        let span = e.span().unwrap_or(0..0);
        let slip = ["string values must be quoted", "duplicate key"].iter().any(|w| e.message().starts_with(w));
        let (message, hint) = syntax(e.message());
        sink.syntax(span, slip, message, hint);
    }
    table(document.get_ref(), 0..0, &keys::ROOT, sink)
}

/// The parser's words, with what to do about it.
fn syntax(message: &str) -> (String, &'static str) {
    let hint = if message.starts_with("string values must be quoted") {
        "put it in quotation marks, durations too: \"10s\""
    } else if message.starts_with("duplicate key") {
        "a key stands once in a table, and a table has one header; lists of tables have [[two brackets]]"
    } else if message.contains("array table") {
        "write [[service]]"
    } else if message.starts_with("invalid basic string") || message.starts_with("invalid literal string") {
        "close the text with the same quotation mark in the same line"
    } else {
        ""
    };
    (format!("not TOML: {}", clean(message)), hint)
}

/// Reads a table that was parsed elsewhere.
pub fn read_as(source: &DeTable<'_>, decl: &'static Table, sink: &mut Sink) -> Tab {
    table(source, 0..0, decl, sink)
}

fn table(source: &DeTable<'_>, span: Span, decl: &'static Table, sink: &mut Sink) -> Tab {
    let mut out = Tab::new(span.clone());
    #[cfg(test)]
    {
        out.decl = Some(decl);
    }
    for (name, value) in source.iter() {
        let Some(key) = decl.key(name.get_ref()) else {
            unknown(name, decl, sink);
            continue;
        };
        match read_value(key.name, value, &key.ty, sink) {
            Some(val) => {
                let item = Item { span: value.span(), val };
                out.keys.insert(key.name.to_owned(), (name.span(), item));
            }
            None => {
                out.faulty.insert(key.name.to_owned());
            }
        }
    }
    for key in decl.keys().filter(|k| k.required && !out.has(k.name)) {
        sink.missing(span.clone(), format!("{} needs `{}`", decl.at, key.name), key.doc);
    }
    choice(&out, decl, sink);
    out
}

/// Exactly one of the groups of a table that offers a choice.
fn choice(tab: &Tab, decl: &Table, sink: &mut Sink) {
    if decl.choice.is_empty() {
        return;
    }
    let chosen: Vec<_> = decl.choice.iter().filter(|c| c.by.iter().any(|k| tab.has(k))).collect();
    let all = || decl.choice.iter().map(|c| ticked(c.by, "/")).collect::<Vec<_>>().join(", ");
    match chosen.as_slice() {
        [] => sink.missing(tab.span.clone(), format!("{} needs one of: {}", decl.at, all()), ""),
        [one] => {
            let others = decl.choice.iter().filter(|c| !std::ptr::eq(*c, *one));
            for key in others.flat_map(|c| c.with).filter(|k| !one.with.contains(k) && tab.has(k)) {
                let message = format!("`{key}` does nothing beside {}", ticked(one.by, "/"));
                sink.fault(tab.at_key(key), message, "remove it");
            }
        }
        [first, second, ..] => {
            let of = |c: &crate::config::shape::Choice| c.by.iter().copied().find(|k| tab.has(k)).unwrap_or_default();
            let message = format!("{} takes one of {}, not `{}` and `{}`", decl.at, all(), of(first), of(second));
            sink.fault(tab.at_key(of(second)), message, "keep one of them");
        }
    }
}

fn ticked(words: &[&str], between: &str) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(between)
}

fn unknown(name: &Spanned<std::borrow::Cow<'_, str>>, decl: &'static Table, sink: &mut Sink) {
    let word = name.get_ref();
    let message = format!("unknown key {} in {}", backticked(word), decl.at);
    let hint = if let Some(near) = nearest(word, decl.keys().map(|k| k.name)) {
        format!("did you mean `{near}`?")
    } else if let Some(elsewhere) = belongs(word) {
        format!("`{word}` belongs in {elsewhere}")
    } else {
        format!("known here: {}", decl.keys().map(|k| k.name).collect::<Vec<_>>().join(", "))
    };
    sink.fault(name.span(), message, hint);
}

fn backticked(word: &str) -> String {
    format!("`{}`", clean::clean_to(word, 60))
}

/// Where a key that is unknown here is known.
fn belongs(word: &str) -> Option<&'static str> {
    keys::tables().into_iter().find(|t| t.key(word).is_some()).map(|t| t.at)
}

/// A value of the declared type, or `None` after a fault.
fn read_value(key: &str, source: &Spanned<DeValue<'_>>, ty: &'static Ty, sink: &mut Sink) -> Option<Val> {
    let span = source.span();
    let wrong = |sink: &mut Sink, wanted: &str, example: &str| {
        let message = format!("`{key}` must be {wanted}, found {}", found(source.get_ref()));
        sink.fault(source.span(), message, if example.is_empty() { String::new() } else { format!("write {example}") });
        None
    };
    match (ty, source.get_ref()) {
        (Ty::Text(format), DeValue::String(t)) => {
            formatted(key, t, format, span, sink).then(|| Val::Text(t.to_string()))
        }
        (Ty::Text(format), _) => wrong(sink, format.what, format.example),
        (Ty::Word(words), DeValue::String(t)) if words.contains(&t.as_ref()) => Some(Val::Text(t.to_string())),
        (Ty::Word(words), DeValue::String(t)) => {
            let near = nearest(t, words.iter().copied()).map(|w| format!("did you mean \"{w}\"?"));
            let listed = words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ");
            let wanted = if words.len() == 1 { listed } else { format!("one of {listed}") };
            sink.fault(span, format!("`{key}` must be {wanted}, found {}", quoted(t)), near.unwrap_or_default());
            None
        }
        (Ty::Word(words), _) => {
            let listed = words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ");
            wrong(sink, "a text", &format!("one of {listed}"))
        }
        (Ty::Bool, DeValue::Boolean(b)) => Some(Val::Bool(*b)),
        (Ty::Bool, _) => wrong(sink, "true or false", ""),
        (Ty::Int(low, high), DeValue::Integer(n)) => {
            match i64::from_str_radix(n.as_str(), n.radix()).ok().filter(|n| (*low..=*high).contains(n)) {
                Some(n) => Some(Val::Int(n)),
                None => wrong(sink, &format!("a whole number from {low} to {high}"), ""),
            }
        }
        (Ty::Int(low, high), _) => wrong(sink, &format!("a whole number from {low} to {high}"), ""),
        (Ty::Number(low, high), v) => match number(v).filter(|n| (*low..=*high).contains(n)) {
            Some(n) => Some(Val::Number(n)),
            None if *high >= 1e12 => wrong(sink, &format!("a number, at least {low}"), ""),
            None => wrong(sink, &format!("a number from {low} to {high}"), ""),
        },
        (Ty::Size(least), v) => {
            let bytes = match v {
                DeValue::Integer(n) => u64::from_str_radix(n.as_str(), n.radix()).ok(),
                DeValue::String(t) => value::size(t).ok(),
                _ => None,
            };
            match bytes {
                Some(n) if n < *least => wrong(sink, &format!("at least {}", value::size_text(*least)), ""),
                Some(n) => Some(Val::Size(n)),
                None => wrong(sink, "a size", "\"256KiB\", \"64MB\" or a number of bytes"),
            }
        }
        (Ty::Status, v) => status(key, v, span, sink),
        (Ty::Scalar, v) => match scalar(v) {
            Some(v) => Some(Val::Scalar(v)),
            None => wrong(sink, "a text, a number, true or false", ""),
        },
        (Ty::Path, DeValue::String(t)) => path(key, t, span, sink).map(Val::Path),
        (Ty::PathOr(_), DeValue::String(t)) => path(key, t, span, sink).map(Val::Path),
        (Ty::PathOr(decl), DeValue::Table(t)) => Some(Val::Tab(table(t, span, decl, sink))),
        (Ty::PathOr(decl), _) => wrong(sink, "a path or a table", &format!("\"/path\" or {}", example_of(key, decl))),
        (Ty::Path, _) => wrong(sink, "a path", "\"/var/backups\""),
        (Ty::Secret, DeValue::String(t)) => literal(key, t, span, sink),
        (Ty::Secret, DeValue::Table(t)) => secret(t, span, sink),
        (Ty::Secret, _) => wrong(sink, "a secret", "{ env = \"NAME\" } or { file = \"/path\" }"),
        (Ty::MaybeSecret(_, _), DeValue::Table(t)) => secret(t, span, sink),
        (Ty::MaybeSecret(format, exposed), DeValue::String(t)) => {
            if !formatted(key, t, format, span.clone(), sink) {
                return None;
            }
            let is_secret = match exposed {
                Exposed::Always => true,
                Exposed::When(test) => test(t),
                Exposed::ByName => value::looks_secret(key),
            };
            if is_secret { literal(key, t, span, sink) } else { Some(Val::Text(t.to_string())) }
        }
        (Ty::MaybeSecret(format, _), _) => wrong(sink, &format!("{} or a secret", format.what), format.example),
        (Ty::Argv, v) => argv(key, v, span, sink),
        (Ty::List(inner), DeValue::Array(items)) => {
            let mut out = Vec::new();
            for item in items.iter() {
                if let Some(val) = read_value(key, item, inner, sink) {
                    out.push(Item { span: item.span(), val });
                }
            }
            Some(Val::List(out))
        }
        (Ty::OneOrMore(_), DeValue::Array(items)) if items.is_empty() => wrong(sink, "a value or a list of values", ""),
        (Ty::OneOrMore(inner), DeValue::Array(items)) => {
            let read = items.iter().map(|item| Some((item.span(), read_value(key, item, inner, sink)?)));
            let out: Option<Vec<Item>> = read.map(|r| r.map(|(span, val)| Item { span, val })).collect();
            out.map(Val::List)
        }
        (Ty::OneOrMore(inner), _) => {
            let val = read_value(key, source, inner, sink)?;
            Some(Val::List(vec![Item { span, val }]))
        }
        (Ty::List(_), _) => wrong(sink, "a list", &format!("{key} = [ … ]")),
        (Ty::Map(names, inner), DeValue::Table(t)) => Some(Val::Tab(map(t, span, names, inner, sink))),
        (Ty::Map(..), _) => wrong(sink, "a table", &format!("{key} = {{ … }}")),
        (Ty::Table(decl), DeValue::Table(t)) => Some(Val::Tab(table(t, span, decl, sink))),
        (Ty::Table(decl), _) => wrong(sink, "a table", &example_of(key, decl)),
        (Ty::Tables { table: decl, .. }, DeValue::Array(items)) => {
            let mut out = Vec::new();
            for item in items.iter() {
                match item.get_ref() {
                    DeValue::Table(t) => {
                        let val = Val::Tab(table(t, item.span(), decl, sink));
                        out.push(Item { span: item.span(), val });
                    }
                    other => {
                        sink.fault(item.span(), format!("`{key}` must hold tables, found {}", found(other)), "");
                    }
                }
            }
            Some(Val::List(out))
        }
        (Ty::Tables { table: decl, single: true }, DeValue::Table(t)) => {
            let val = Val::Tab(table(t, span.clone(), decl, sink));
            Some(Val::List(vec![Item { span, val }]))
        }
        (Ty::Tables { table: decl, single: false }, DeValue::Table(_)) => {
            let message = format!("`{key}` must be a list of tables, found one table");
            sink.fault(span, message, format!("write {} with two brackets, once for each", decl.at));
            None
        }
        (Ty::Tables { table: decl, .. }, _) => wrong(sink, "tables", decl.at),
    }
}

fn example_of(key: &str, decl: &Table) -> String {
    if decl.at.starts_with('[') { decl.at.to_owned() } else { format!("{key} = {{ … }}") }
}

/// What stands there instead, without quoting text, which may be a secret.
fn found(v: &DeValue<'_>) -> String {
    match v {
        DeValue::String(_) => "a text".into(),
        DeValue::Integer(n) => format!("the number {}", clean::clean_to(&n.to_string(), 30)),
        DeValue::Float(n) => format!("the number {}", clean::clean_to(n.as_str(), 30)),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// The text has the form; else a fault.
fn formatted(key: &str, t: &str, format: &Format, span: Span, sink: &mut Sink) -> bool {
    let Err(why) = (format.check)(t) else { return true };
    // Some reasons begin with the value itself.
    let message = if why.starts_with('"') { format!("`{key}`: {why}") } else { format!("`{key}` {why}") };
    sink.fault(span, message, format!("write {} like {}", format.what, format.example));
    false
}

fn number(v: &DeValue<'_>) -> Option<f64> {
    match v {
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok().map(|n| n as f64),
        DeValue::Float(n) => n.as_str().parse::<f64>().ok().filter(|n| n.is_finite()),
        _ => None,
    }
}

fn scalar(v: &DeValue<'_>) -> Option<serde_json::Value> {
    match v {
        DeValue::String(t) => Some(t.to_string().into()),
        DeValue::Boolean(b) => Some((*b).into()),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok().map(Into::into),
        DeValue::Float(_) => number(v).and_then(serde_json::Number::from_f64).map(Into::into),
        _ => None,
    }
}

fn status(key: &str, v: &DeValue<'_>, span: Span, sink: &mut Sink) -> Option<Val> {
    let one = |v: &DeValue<'_>| match v {
        DeValue::Integer(n) => value::status_range(n.as_str()),
        DeValue::String(t) => value::status_range(t),
        other => Err(format!("must be status codes, found {}", found(other))),
    };
    let read = match v {
        DeValue::Array(items) if items.is_empty() => Err("must name at least one status code".to_owned()),
        DeValue::Array(items) => items.iter().map(|i| one(i.get_ref())).collect(),
        other => one(other).map(|r| vec![r]),
    };
    match read {
        Ok(ranges) => Some(Val::Status(ranges)),
        Err(why) => {
            sink.fault(span, format!("`{key}` {why}"), "write 200, [200, 204] or \"200-299\"");
            None
        }
    }
}

fn path(key: &str, t: &str, span: Span, sink: &mut Sink) -> Option<PathBuf> {
    let fault = |sink: &mut Sink, why: &str, hint: &str| {
        sink.fault(span.clone(), format!("`{key}` {why}"), hint);
        None
    };
    if t.is_empty() {
        return fault(sink, "must not be empty", "write a path");
    }
    if t.chars().any(char::is_control) {
        return fault(sink, "must not hold control characters", "write a path");
    }
    if t == "~" || t.starts_with("~/") || t.starts_with('$') {
        return fault(sink, "is used as it stands: neither ~ nor variables are replaced", "write the whole path");
    }
    Some(normal(&sink.base.join(t)))
}

/// Without `.` parts and double slashes; `..` stays, because of links.
fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}

fn literal(key: &str, t: &str, span: Span, sink: &mut Sink) -> Option<Val> {
    if t.is_empty() {
        sink.fault(span, format!("`{key}` must not be empty"), "write { env = \"NAME\" } or { file = \"/path\" }");
        return None;
    }
    sink.literals.push(span);
    Some(Val::Secret(SecretRef::Literal(SecretString::from(t))))
}

fn secret(source: &DeTable<'_>, span: Span, sink: &mut Sink) -> Option<Val> {
    let tab = table(source, span, &keys::SECRET, sink);
    if let Some(name) = tab.string("env") {
        return Some(Val::Secret(SecretRef::Env(name)));
    }
    if let Some(path) = tab.path("file") {
        return Some(Val::Secret(SecretRef::File(path)));
    }
    let argv = tab.item("command").and_then(Item::argv)?;
    Some(Val::Secret(SecretRef::Command(argv)))
}

fn argv(key: &str, v: &DeValue<'_>, span: Span, sink: &mut Sink) -> Option<Val> {
    let hint = format!("write {key} = [\"program\", \"argument\"]");
    let DeValue::Array(items) = v else {
        let shell =
            if matches!(v, DeValue::String(_)) { " (there is no shell; [\"sh\", \"-c\", \"…\"] is one)" } else { "" };
        sink.fault(span, format!("`{key}` must be a list of texts, found {}", found(v)), format!("{hint}{shell}"));
        return None;
    };
    let mut out = Vec::new();
    for item in items.iter() {
        let DeValue::String(t) = item.get_ref() else {
            sink.fault(item.span(), format!("`{key}` must hold texts, found {}", found(item.get_ref())), hint.clone());
            return None;
        };
        if t.contains('\0') {
            sink.fault(item.span(), format!("`{key}` must not hold a zero byte"), "");
            return None;
        }
        out.push(Item { span: item.span(), val: Val::Text(t.to_string()) });
    }
    match out.first().and_then(Item::text) {
        None => {
            sink.fault(span, format!("`{key}` must name a program"), hint);
            None
        }
        Some(program) if program.trim().is_empty() || program.starts_with('~') => {
            sink.fault(
                span,
                format!("`{key}` begins with {}, which is no program", quoted(program)),
                "write its whole path",
            );
            None
        }
        Some(_) => Some(Val::List(out)),
    }
}

fn map(source: &DeTable<'_>, span: Span, names: &Format, inner: &'static Ty, sink: &mut Sink) -> Tab {
    let mut out = Tab::new(span);
    for (name, value) in source.iter() {
        if let Err(why) = (names.check)(name.get_ref()) {
            sink.fault(name.span(), why, format!("write {} like {}", names.what, names.example));
            continue;
        }
        if let Some(val) = read_value(name.get_ref(), value, inner, sink) {
            let item = Item { span: value.span(), val };
            out.keys.insert(name.get_ref().to_string(), (name.span(), item));
        }
    }
    out
}
