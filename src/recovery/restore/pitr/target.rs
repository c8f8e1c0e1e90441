//! The moment that recovery is to stop at, as a person gives it.

use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

use super::wal::Lsn;
use crate::text;

/// A moment in the life of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The last transaction that ended at or before it, in microseconds since 1970.
    Time(i64),
    /// The record that begins there, or the first behind it, is the last one replayed.
    Lsn(Lsn),
    /// The end of this transaction is the last thing replayed.
    Xid(u64),
    /// A restore point, made with `pg_create_restore_point`.
    Name(String),
    /// The newest that can be reached.
    Newest,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub target: Target,
    /// `None`: the newest timeline that the base backup leads to.
    pub timeline: Option<u32>,
}

const FORMS: &str = "a time (2026-11-20T02:14:07Z), lsn:0/16B3748, xid:1234, name:RESTORE_POINT or newest, and behind any \
                     of them @2 for another timeline";

/// Reads a target. Errors: what it is not, with the forms there are.
pub fn parse(asked: &str) -> Result<Asked, String> {
    let asked = asked.trim();
    let (what, timeline) = match asked.rsplit_once('@') {
        Some((what, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            (what, Some(number.parse().map_err(|_| wrong(asked))?))
        }
        _ => (asked, None),
    };
    let target = if what.is_empty() || what == "newest" {
        Target::Newest
    } else if let Some(lsn) = what.strip_prefix("lsn:") {
        Target::Lsn(Lsn::parse(lsn).ok_or_else(|| wrong(asked))?)
    } else if let Some(xid) = what.strip_prefix("xid:") {
        Target::Xid(xid.parse().map_err(|_| wrong(asked))?)
    } else if let Some(name) = what.strip_prefix("name:").filter(|n| !n.is_empty() && n.len() < 64) {
        if name.chars().any(char::is_control) {
            return Err(wrong(asked));
        }
        Target::Name(name.to_owned())
    } else {
        Target::Time(time(what).ok_or_else(|| wrong(asked))?)
    };
    Ok(Asked { target, timeline })
}

fn wrong(asked: &str) -> String {
    format!("\"{}\" is not a moment that can be restored to: write {FORMS}", text::clean(asked))
}

/// RFC 3339, the blank of PostgreSQL's own output in the place of the T let through; without a zone it is UTC.
fn time(text: &str) -> Option<i64> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    if let Ok(t) = DateTime::parse_from_rfc3339(text) {
        return Some(t.timestamp_micros());
    }
    // PostgreSQL writes offsets of whole hours short.
    for form in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(t) = DateTime::parse_from_str(text, form) {
            return Some(t.timestamp_micros());
        }
    }
    for form in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"] {
        if let Ok(t) = NaiveDateTime::parse_from_str(text, form) {
            return Some(t.and_utc().timestamp_micros());
        }
    }
    None
}

/// `2026-11-20T02:14:07.318204Z`: exact, so that what is shown can be asked for.
pub fn shown(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// As PostgreSQL's `timestamptz` reads it, whatever its time zone.
pub fn for_server(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros).unwrap_or_default().format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Time(t) => f.write_str(&shown(*t)),
            Target::Lsn(lsn) => write!(f, "{lsn}"),
            Target::Xid(xid) => write!(f, "transaction {xid}"),
            Target::Name(name) => write!(f, "restore point {}", text::clean(name)),
            Target::Newest => f.write_str("the newest that can be reached"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_targets() {
        let at = |t: i64| Target::Time(t);
        for (text, target, timeline) in [
            ("2026-11-20T02:14:07Z", at(1_795_140_847_000_000), None),
            ("2026-11-20T02:14:07.318204Z", at(1_795_140_847_318_204), None),
            ("2026-11-20 03:14:07.318204+01", at(1_795_140_847_318_204), None),
            ("2026-11-20 02:14:07", at(1_795_140_847_000_000), None),
            ("2026-11-20 02:14:07 UTC", at(1_795_140_847_000_000), None),
            ("2026-11-20T02:14", at(1_795_140_840_000_000), None),
            ("2026-11-20T02:14:07Z@1", at(1_795_140_847_000_000), Some(1)),
            ("lsn:0/16B3748", Target::Lsn(Lsn(0x16B_3748)), None),
            ("xid:1234@3", Target::Xid(1234), Some(3)),
            ("name:before the deploy", Target::Name("before the deploy".into()), None),
            ("name:me@home", Target::Name("me@home".into()), None),
            ("newest", Target::Newest, None),
        ] {
            assert_eq!(parse(text), Ok(Asked { target, timeline }), "{text}");
        }
        for wrong in
            ["yesterday", "lsn:0", "xid:-1", "name:", "02:14", "2026-13-20T02:14:07Z", "name:a\nb", "x@99999999999"]
        {
            assert!(parse(wrong).is_err_and(|why| why.contains("write a time")), "{wrong}");
        }
        assert_eq!(time(&shown(1_795_140_847_318_204)), Some(1_795_140_847_318_204));
        assert_eq!(time(&for_server(1_795_140_847_318_204)), Some(1_795_140_847_318_204));
    }
}
