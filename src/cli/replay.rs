//! `mayday replay INC --json` and `--plain`: the picture of a past moment, for scripts and for terminals without a screen.
//! Reads the record only; needs no engine.

use std::time::Duration;

use super::exit::Failure;
use super::{print, say, status};
use crate::domain::timeline::Row;
use crate::text;
use crate::wire::past::{Goal, Reach, Span};
use crate::wire::{Mirror, Past, TimelineQuery};

/// A record of ten million entries is read in less than this.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Rows printed at the most.
const ROWS: usize = 1000;
/// Rows printed for people.
const LAST: usize = 30;

/// Which moment is meant.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    pub at: Option<String>,
    pub entry: Option<u64>,
}

impl Moment {
    /// Where to go in `span`; `None`: nothing was named.
    pub fn goal(&self, span: &Span) -> Result<Option<Goal>, Failure> {
        let here = span.declared.or(span.first).map_or(span.read.at, |p| p.at);
        match (&self.at, self.entry) {
            (_, Some(entry)) => Ok(Some(Goal::Entry(entry))),
            (Some(text), None) => Goal::parse(text, span, here).map(Some).map_err(Failure::usage),
            (None, None) => Ok(None),
        }
    }
}

/// Waits until it is known what is replayed. Errors: there is no such record or incident.
pub fn opened(past: &dyn Past) -> Result<Span, Failure> {
    reached(past, 0)
}

fn reached(past: &dyn Past, entry: u64) -> Result<Span, Failure> {
    match past.wait(entry, PATIENCE) {
        Reach::Open(span) => Ok(*span),
        Reach::Failed(why) => Err(Failure::failed(why)),
        Reach::Opening => Err(Failure::failed("the record could not be opened in time")),
    }
}

/// Prints the picture of a moment, of the last one when none is named.
pub fn show(past: &mut dyn Past, moment: &Moment, json: bool) -> Result<u8, Failure> {
    let goal = moment.goal(&opened(past)?)?;
    let (span, seq, at) = match goal {
        Some(Goal::Entry(seq)) => {
            let span = reached(past, seq)?;
            (span, seq, past.recorded_at(seq))
        }
        Some(Goal::At(_)) | None => {
            let span = reached(past, u64::MAX)?;
            // Read again: what time of which day is meant follows from the whole span.
            let at = match moment.goal(&span)? {
                Some(Goal::At(at)) => at,
                _ => span.read.at,
            };
            let seq = past.entry_at(at);
            let inside = at <= span.read.at;
            (span, seq.filter(|_| inside).unwrap_or(0), Some(at))
        }
    };
    let outside = || {
        let from = span.first.map(|p| format!("entry {} at {}", p.seq, p.at)).unwrap_or_default();
        let to = format!("entry {} at {}", span.last, past.recorded_at(span.last).unwrap_or(span.read.at));
        Failure::usage(format!("that moment is outside of the replay, which goes from {from} to {to}"))
    };
    if !span.has(seq) {
        return Err(outside());
    }
    let at = at.ok_or_else(outside)?;
    let mut picture = Mirror::default();
    picture.apply(past.picture(seq, at).map_err(Failure::failed)?);
    let query = TimelineQuery { limit: ROWS, ..TimelineQuery::default() };
    let first = span.first.map_or(0, |p| p.seq);
    let mut rows = past.rows(&query, seq, false).map_err(Failure::failed)?;
    rows.retain(|r| r.seq >= first);
    if json {
        print(&as_json(&span, seq, &picture, &rows))?;
    } else {
        as_text(&span, seq, &picture, &rows).iter().for_each(|line| say(line));
    }
    if span.damaged > 0 {
        eprintln!("mayday: {} damaged places were left out: mayday journal verify", span.damaged);
        return Ok(super::exit::FAILED);
    }
    Ok(0)
}

fn as_json(span: &Span, seq: u64, picture: &Mirror, rows: &[Row]) -> serde_json::Value {
    let mut value = status::as_json(picture, None, status::worst(picture));
    let Some(object) = value.as_object_mut() else { return value };
    for service in object.get_mut("services").and_then(|s| s.as_array_mut()).into_iter().flatten() {
        let view = service.get("name").and_then(|n| picture.services.get(n.as_str()?)).cloned();
        if let (Some(service), Some(view)) = (service.as_object_mut(), view) {
            service.insert("sealed".into(), view.observed_at.is_some().into());
            service.insert("latency_us".into(), serde_json::json!(view.latency_us));
            service.insert("p95_us".into(), serde_json::json!(view.p95_us));
        }
    }
    let elapsed = span.incident.as_ref().and_then(|id| picture.incidents.get(id)).map(|v| v.elapsed_ms);
    object.insert(
        "replay".into(),
        serde_json::json!({
            "incident": span.incident, "entry": seq, "first": span.first.map(|p| p.seq), "last": span.last,
            "at": picture.at, "declared_at": span.declared.map(|p| p.at), "elapsed_ms": elapsed,
            "damaged": span.damaged, "unsealed": span.unsealed,
        }),
    );
    object.insert("runs".into(), serde_json::json!(picture.runs_newest_first()));
    object.insert("timeline".into(), serde_json::json!(rows));
    value
}

fn as_text(span: &Span, seq: u64, picture: &Mirror, rows: &[Row]) -> Vec<String> {
    let what = span.incident.clone().unwrap_or_else(|| "the whole record".into());
    let mut out = vec![format!("REPLAY of {what}, NOT LIVE: entry {seq} of {} at {}", span.last, picture.at)];
    if !span.unsealed.is_empty() {
        out.push(format!("{}: no measured values", span.unsealed));
    }
    out.extend(status::as_text(picture, None, status::worst(picture), super::columns()));
    for run in picture.runs_newest_first().into_iter().filter(|r| !r.state.is_over()) {
        out.push(format!("run {} {}: {}", run.id, run.title, run.state.word()));
    }
    if rows.len() > LAST {
        out.push(format!("{} earlier rows: --json has them", rows.len() - LAST));
    }
    for row in rows.iter().skip(rows.len().saturating_sub(LAST)) {
        out.push(format!("{}  {:<10} {}  [{}]", row.at, text::width::cut(&row.actor, 10), row.text, row.seq));
    }
    out.iter().map(|line| text::clean(line).into_owned()).collect()
}
