//! The samples that were sealed into incidents' folders, for what was measured at a past moment.
//!
//! Evidence beside the record: where it is missing, cut or torn, nothing is shown instead.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Time;
use crate::domain::health::samples::{Class, Sample, decode};

/// The name of the file in an incident's folder.
const FILE: &str = "samples.jsonl";
/// More is not read: an engine seals less than this.
const LIMIT: u64 = 256 << 20;
/// A newest sample that is older than this, and than some turns of its check, says nothing about a moment.
const CURRENT: Duration = Duration::from_secs(60);

/// One check's samples, oldest first, and what those that warned or failed said.
#[derive(Debug, Default)]
struct Series {
    samples: Vec<Sample>,
    details: Vec<(i64, Arc<str>)>,
}

/// All that was sealed of an incident.
#[derive(Debug, Default)]
pub struct Sealings {
    /// By service, then by check.
    services: BTreeMap<String, BTreeMap<String, Series>>,
    /// Why there is nothing; empty when there is something.
    pub missing: String,
}

/// What a check had measured up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Oldest first; none is later than the moment.
    pub samples: &'a [Sample],
    pub last: &'a Sample,
    /// What the last one said, when it warned or failed.
    pub detail: &'a str,
}

impl Sealings {
    /// Reads those of an incident. What cannot be read is told in `missing`.
    pub fn read(folder: Option<&Path>) -> Sealings {
        let Some(path) = folder.map(|f| f.join(FILE)) else {
            return Sealings { missing: "no samples are sealed outside of incidents".into(), ..Sealings::default() };
        };
        let size = std::fs::metadata(&path).map(|m| m.len());
        match size {
            Ok(size) if size > LIMIT => {
                let missing = format!("the sealed samples are not read: {} has {size} bytes", path.display());
                return Sealings { missing, ..Sealings::default() };
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Sealings { missing: "no samples were sealed".into(), ..Sealings::default() };
            }
            _ => {}
        }
        match std::fs::read(&path) {
            Ok(bytes) => Sealings::of(&bytes),
            Err(e) => {
                let missing = format!("the sealed samples cannot be read: {}: {e}", path.display());
                Sealings { missing, ..Sealings::default() }
            }
        }
    }

    /// From the lines of a file. What is torn is left out.
    pub fn of(bytes: &[u8]) -> Sealings {
        let (sealed, _) = decode(bytes);
        let mut out = Sealings::default();
        if sealed.is_empty() {
            out.missing = "no samples were sealed".into();
        }
        for one in sealed {
            let series = out.services.entry(one.service).or_default().entry(one.check).or_default();
            let at_ms = one.at.ms();
            series.samples.push(Sample { at_ms, latency_us: one.us, class: one.class });
            if one.class != Class::Ok {
                let text = match series.details.last() {
                    Some((_, last)) if **last == *one.detail => Arc::clone(last),
                    _ => Arc::from(one.detail.as_str()),
                };
                series.details.push((at_ms, text));
            }
        }
        for series in out.services.values_mut().flat_map(BTreeMap::values_mut) {
            // In order in the file, unless the wall clock was set back.
            series.samples.sort_by_key(|s| s.at_ms);
            series.details.sort_by_key(|(at, _)| *at);
        }
        out
    }

    /// What each check of `service` had measured by `at`, where that says something about that moment; `every` is how
    /// often it is looked at.
    pub fn seen(&self, service: &str, at: Time, every: Option<Duration>) -> Vec<(&str, Seen<'_>)> {
        let Some(checks) = self.services.get(service) else { return Vec::new() };
        let current = CURRENT.max(every.unwrap_or_default() * 3);
        let all: Vec<(&str, Seen<'_>)> = checks.iter().filter_map(|(c, s)| Some((c.as_str(), s.seen(at)?))).collect();
        // Sealing ends when an incident does: what is long past is no value of this moment.
        let newest = all.iter().map(|(_, seen)| seen.last.at_ms).max();
        match newest {
            Some(newest) if at.since(Time::from_ms(newest)) <= current => all,
            _ => Vec::new(),
        }
    }
}

impl Series {
    fn seen(&self, at: Time) -> Option<Seen<'_>> {
        let until = self.samples.partition_point(|s| s.at_ms <= at.ms());
        let samples = self.samples.get(..until)?;
        let last = samples.last()?;
        let found = self.details.binary_search_by_key(&last.at_ms, |(at, _)| *at).ok();
        let detail = found.and_then(|i| self.details.get(i)).map_or("", |(_, text)| text);
        Some(Seen { samples, last, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::health::samples::Sealed;

    #[test]
    fn nothing_is_known_of_what_was_not_sealed() {
        let mut bytes = Vec::new();
        for (s, class) in [(0i64, Class::Ok), (10, Class::Fail), (20, Class::Ok)] {
            let (service, check) = ("api".to_owned(), "http".to_owned());
            let detail = if class == Class::Fail { "refused".to_owned() } else { String::new() };
            Sealed { service, check, at: Time::from_ms(s * 1000), us: 5, class, detail }.encode(&mut bytes);
        }
        bytes.extend_from_slice(b"{\"service\":\"api\",\"che");
        let sealed = Sealings::of(&bytes);
        let at = |s: i64| sealed.seen("api", Time::from_ms(s * 1000), Some(Duration::from_secs(10)));
        assert!(at(-1).is_empty(), "before the first one");
        assert_eq!(at(0).len(), 1);
        let seen = at(15);
        assert_eq!((seen[0].0, seen[0].1.samples.len(), seen[0].1.detail), ("http", 2, "refused"));
        assert_eq!(at(25)[0].1.detail, "");
        assert_eq!(at(80).len(), 1);
        assert!(at(81).is_empty(), "sealing had ended");
        assert!(sealed.seen("db", Time::from_ms(0), None).is_empty());
        assert_eq!(Sealings::of(b"").missing, "no samples were sealed");
    }
}
