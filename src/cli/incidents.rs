//! The incidents of the past: searched, and put side by side. Reads the record only; needs no engine.

use std::path::Path;

use super::exit::{DONE, Failure};
use super::{print, say};
use crate::domain::Time;
use crate::domain::catalog::Severity;
use crate::report::past::{self, Past, STATUS_WORDS, Search};
use crate::report::trends::{By, Trends};
use crate::text;

/// What `mayday incidents` was asked.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Wanted {
    /// Words that stand in the title, a note, a confirmed cause, a service's name or the id; all of them.
    pub words: Vec<String>,
    /// Only those declared from here on: RFC 3339, 2026-11-01, or how long ago, as in 90d.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only those declared before.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// The highest severity that it had.
    #[arg(long, value_name = "P0..P3")]
    pub severity: Option<String>,
    /// A word of what was confirmed to be wrong.
    #[arg(long, value_name = "WORD")]
    pub cause: Option<String>,
    /// open, investigating, identified, monitoring, resolved, closed, false-alarm or merged.
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
}

/// What `mayday trends` was asked.
#[derive(Clone, Debug, clap::Args)]
pub struct OfTrends {
    /// Only incidents declared from here on: RFC 3339, 2026-11-01, or how long ago, as in 90d.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// By what they are put together: service, cause, weekday, severity or month.
    #[arg(long, default_value = "service", value_name = "WHAT")]
    pub by: String,
    /// Give the means as well.
    #[arg(long)]
    pub mean: bool,
}

/// `mayday incidents`.
pub fn search(dir: &Path, wanted: Wanted, json: bool) -> Result<u8, Failure> {
    if let Some(status) = &wanted.status
        && !STATUS_WORDS.replace(" or ", ", ").split(", ").any(|word| word == status)
    {
        return Err(Failure::usage(format!("\"{status}\" is no status: {STATUS_WORDS}")));
    }
    let search = Search {
        words: wanted.words.iter().flat_map(|w| w.split_whitespace()).map(str::to_owned).collect(),
        since: wanted.since.map(|t| super::record::day(&t)).transpose()?,
        until: wanted.until.map(|t| super::record::day(&t)).transpose()?,
        service: wanted.service,
        severity: wanted.severity.map(|s| Severity::parse(&s)).transpose().map_err(Failure::usage)?,
        cause: wanted.cause,
        status: wanted.status,
    };
    let found = past::search(past::all(&super::record::entries(dir)?), &search);
    if json {
        print(&found)?;
        return Ok(DONE);
    }
    if found.is_empty() {
        say("no incident is like that");
    }
    for past in &found {
        lines(past).iter().for_each(|line| say(line));
    }
    Ok(DONE)
}

fn lines(past: &Past) -> Vec<String> {
    let took = match past.resolved_at {
        Some(at) => text::duration(at.since(past.declared_at)),
        None if past.is_open() => "open".into(),
        None => "–".into(),
    };
    let services = past.services.iter().cloned().collect::<Vec<_>>().join(", ");
    let services = if services.is_empty() { services } else { format!("  [{services}]") };
    let mut out = vec![format!(
        "{}  {}  {:<13}  {}  {took:>8}  {}{}",
        past.id,
        past.severity,
        past.standing(),
        past.declared_at.date(),
        text::clean(&past.title),
        text::clean(&services)
    )];
    out.extend(past.causes.iter().map(|cause| format!("    cause: {}", text::clean(cause))));
    out.extend(past.found.iter().take(3).map(|(seq, note)| format!("    note: {}  [{seq}]", text::clean(note))));
    if past.found.len() > 3 {
        out.push(format!("    and {} more notes", past.found.len() - 3));
    }
    out
}

/// `mayday trends`.
pub fn trends(dir: &Path, of: &OfTrends, json: bool) -> Result<u8, Failure> {
    let since = of.since.as_ref().map(|t| super::record::day(t)).transpose()?;
    let by = By::parse(&of.by).map_err(Failure::usage)?;
    let now = Time::from_ms(crate::sys::clock::now_ms());
    let trends = Trends::of(&super::record::entries(dir)?, since, by, of.mean, now).map_err(Failure::failed)?;
    if json {
        print(&trends)?;
    } else {
        trends.lines().iter().for_each(|line| say(line));
    }
    Ok(DONE)
}
