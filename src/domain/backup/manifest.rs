//! What is written beside a copy of what is in it: `app.dump.manifest.json` beside `app.dump`.
//!
//! The format is open: mayday writes one (`mayday backups manifest`), and whatever takes the backups may. All keys are
//! optional and others are passed over:
//!
//! ```json
//! {"manifest": 1, "copy": "app.dump", "taken_at": "2026-11-20T02:00:00Z", "size": 412345678, "sha256": "9f3a…",
//!  "counted": "copy", "tables": {"public.users": 1042, "public.orders": 90211}, "entries": 120, "keys": 5000,
//!  "unpacked": 2412345678,
//!  "made_by": "mayday 0.1.0", "made_at": "2026-11-20T02:03:00Z"}
//! ```
//!
//! `tables` may also be a list of `{"name": …, "rows": …}`. `counted = "copy"` says that tables and rows were read in the
//! copy itself, so that a restore which has others lost something; anything else was counted in a database that may have
//! gone on meanwhile. `unpacked` are the bytes of a dump of a database when it is unpacked, from which the room is judged
//! that it will take. `entries` are the names in an archive or folder, `keys` those of all databases of a Redis copy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::Time;
use crate::text;

/// Added to the name of a copy.
pub const ENDING: &str = ".manifest.json";
/// Bytes of a manifest that are read.
pub const MOST: u64 = 16 << 20;
/// Differences named in one sentence.
const NAMED: usize = 5;

/// What a manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub taken_at: Option<Time>,
    /// Bytes of the file.
    pub size: Option<u64>,
    /// Of the file's bytes, 64 lower-case hex digits.
    pub sha256: Option<String>,
    /// Tables and rows were counted in the copy itself.
    pub counted_in_copy: bool,
    /// `schema.table` → rows.
    pub tables: BTreeMap<String, u64>,
    pub entries: Option<u64>,
    pub keys: Option<u64>,
    /// Bytes of a dump of a database, unpacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<u64>,
}

impl Manifest {
    /// Reads one. Errors: why it is none.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|e| format!("it is no JSON: {e}"))?;
        if !value.is_object() {
            return Err("it is no JSON object".into());
        }
        if let Some(version) = value.get("manifest").and_then(Value::as_u64).filter(|v| *v > 1) {
            return Err(format!("it is of format {version}, and this mayday reads format 1"));
        }
        let number = |key: &str| value.get(key).and_then(Value::as_u64);
        let sha256 = value.get("sha256").and_then(Value::as_str).map(str::to_ascii_lowercase);
        if let Some(wrong) = sha256.as_ref().filter(|s| s.len() != 64 || !s.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(format!("its sha256 is \"{}\" and not 64 hex digits", text::clean(wrong)));
        }
        let taken_at = value.get("taken_at").cloned().and_then(|t| serde_json::from_value(t).ok());
        Ok(Manifest {
            taken_at,
            size: number("size"),
            sha256,
            counted_in_copy: value.get("counted").and_then(Value::as_str) == Some("copy"),
            tables: tables(value.get("tables")),
            entries: number("entries"),
            keys: number("keys"),
            unpacked: number("unpacked"),
        })
    }

    /// As it is written.
    pub fn write(&self, copy: &str, made_by: &str, made_at: Time) -> String {
        let mut out = serde_json::Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("manifest", 1.into());
        put("copy", copy.into());
        if let Some(at) = self.taken_at {
            put("taken_at", at.to_string().into());
        }
        for (key, number) in
            [("size", self.size), ("entries", self.entries), ("keys", self.keys), ("unpacked", self.unpacked)]
        {
            if let Some(number) = number {
                put(key, number.into());
            }
        }
        if let Some(sha256) = &self.sha256 {
            put("sha256", sha256.clone().into());
        }
        if !self.tables.is_empty() {
            put("counted", if self.counted_in_copy { "copy" } else { "elsewhere" }.into());
            put("tables", self.tables.iter().map(|(n, r)| (n.clone(), Value::from(*r))).collect());
        }
        put("made_by", made_by.into());
        put("made_at", made_at.to_string().into());
        format!("{:#}\n", Value::Object(out))
    }

    /// Why a copy of this many bytes is not the one that is meant; 0 where its size is not known.
    pub fn objection(&self, size: u64) -> Option<String> {
        let stated = self.size.filter(|stated| size > 0 && *stated != size)?;
        Some(format!("it has {size} bytes and its manifest says {stated}: it was cut off, or replaced"))
    }

    /// Rows of all tables, where it names any.
    pub fn rows(&self) -> Option<u64> {
        (!self.tables.is_empty()).then(|| self.tables.values().sum())
    }

    /// In a few words.
    pub fn shown(&self) -> String {
        let mut parts = Vec::new();
        if self.sha256.is_some() {
            parts.push("checksum compared when the copy is read".to_owned());
        }
        if !self.tables.is_empty() {
            let rows = text::plural(self.tables.values().sum::<u64>() as usize, "row");
            parts.push(format!(
                "{} with {rows}, compared when it is restored",
                text::plural(self.tables.len(), "table")
            ));
        }
        parts.extend(self.entries.map(|n| text::plural(n as usize, "name")));
        parts.extend(self.keys.map(|n| text::plural(n as usize, "key")));
        if parts.is_empty() { "it says nothing that can be compared".into() } else { parts.join("; ") }
    }

    /// Compares with tables that were counted; `None` of one that is there and was not. Gives how many of the chosen
    /// ones were compared, and the differences.
    pub fn compare_tables(
        &self,
        found: &BTreeMap<String, Option<u64>>,
        chosen: impl Fn(&str) -> bool,
    ) -> (usize, Vec<String>) {
        let mut compared = 0;
        let mut differences = Vec::new();
        for (name, rows) in self.tables.iter().filter(|(name, _)| chosen(name)) {
            compared += 1;
            let shown = text::clean(name);
            match found.get(name) {
                None => differences.push(format!("{shown} is missing, with {}", text::plural(*rows as usize, "row"))),
                Some(Some(has)) if has != rows => {
                    differences.push(format!("{shown} has {has} rows and should have {rows}"));
                }
                Some(_) => {}
            }
        }
        (compared, differences)
    }
}

/// The first of several differences, and how many more.
pub fn few(differences: &[String]) -> String {
    let named = differences.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match differences.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

fn tables(value: Option<&Value>) -> BTreeMap<String, u64> {
    match value {
        Some(Value::Object(map)) => map.iter().filter_map(|(n, r)| Some((n.clone(), r.as_u64()?))).collect(),
        Some(Value::Array(list)) => {
            let one = |t: &Value| {
                let name = t.get("name").and_then(Value::as_str)?;
                let schema = t.get("schema").and_then(Value::as_str);
                let name = schema.map_or_else(|| name.to_owned(), |s| format!("{s}.{name}"));
                Some((name, t.get("rows").and_then(Value::as_u64)?))
            };
            list.iter().filter_map(one).collect()
        }
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_read_as_they_come() {
        let sha = "9F".repeat(32);
        let text = format!(
            r#"{{"size": 7, "sha256": "{sha}", "tables": [{{"name": "public.a", "rows": 3}}, {{"schema": "s", "name": "b", "rows": 4}}, {{"name": "c"}}],
               "taken_at": "2026-11-20T02:00:00Z", "whatever": [1]}}"#
        );
        let read = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(read.sha256.as_deref(), Some("9f".repeat(32).as_str()));
        assert_eq!(read.tables, BTreeMap::from([("public.a".into(), 3), ("s.b".into(), 4)]));
        assert_eq!(read.taken_at.map(|t| t.to_string()), Some("2026-11-20T02:00:00.000Z".into()));
        assert!(!read.counted_in_copy && read.objection(7).is_none() && read.objection(0).is_none());
        assert!(read.objection(6).is_some_and(|why| why.contains("6 bytes") && why.contains("says 7")));
        for (wrong, why) in [
            ("", "no JSON"),
            ("[]", "no JSON object"),
            (r#"{"sha256":"x"}"#, "64 hex"),
            (r#"{"manifest":2}"#, "format 2"),
        ] {
            assert!(Manifest::parse(wrong.as_bytes()).is_err_and(|e| e.contains(why)), "{wrong}");
        }
        assert_eq!(Manifest::parse(b"{}"), Ok(Manifest::default()));
        let own = Manifest { counted_in_copy: true, entries: Some(2), ..read };
        let written = own.write("a.dump", "mayday", Time::from_ms(0));
        assert_eq!(Manifest::parse(written.as_bytes()), Ok(own), "{written}");
    }

    #[test]
    fn differences_are_named() {
        let of = |tables: &[(&str, u64)]| tables.iter().map(|(n, r)| ((*n).to_owned(), *r)).collect();
        let manifest =
            Manifest { tables: of(&[("public.a", 3), ("public.b", 4), ("public.c", 5)]), ..Manifest::default() };
        let found =
            BTreeMap::from([("public.a".into(), Some(3)), ("public.b".into(), Some(2)), ("public.x".into(), Some(9))]);
        let (compared, differences) = manifest.compare_tables(&found, |_| true);
        assert_eq!(compared, 3);
        assert_eq!(differences, ["public.b has 2 rows and should have 4", "public.c is missing, with 5 rows"]);
        assert_eq!(manifest.compare_tables(&found, |n| n == "public.a"), (1, vec![]));
        // Partitioned, or no time: there, and not compared.
        let found =
            BTreeMap::from([("public.a".into(), None), ("public.b".into(), Some(4)), ("public.c".into(), None)]);
        assert!(manifest.compare_tables(&found, |_| true).1.is_empty());
        let many: Vec<String> = (0..8).map(|n| n.to_string()).collect();
        assert_eq!(few(&many), "0; 1; 2; 3; 4; and 3 more");
    }
}
