//! How long nobody acknowledged it, against the response time: by the rule that the phase clock goes by too.

use super::measure::{Measure, Value, Verdict};
use super::story::{Mark, Story};
use crate::domain::response::{Since, response};

/// Measured on `story`, whose moments `t_ms` turns into T+; `known_ms`: up to where an open one is known to be unanswered.
pub(super) fn measure(story: &Story<'_>, t_ms: &dyn Fn(Mark) -> i64, known_ms: i64) -> Measure {
    let label = "Declared to acknowledged";
    let answered = story.acknowledged.as_ref().map(|(mark, _)| *mark);
    let before = |seq: u64| answered.is_none_or(|a| seq < a.seq);
    let severities = || story.severities.iter().filter(|(m, _)| before(m.seq));
    let changes: Vec<Since> = severities().map(|(m, s)| Since { t_ms: t_ms(*m).max(0), severity: *s }).collect();
    let over = story.resolved().or(story.closed());
    let until = answered.or(over).map_or(known_ms, t_ms).max(0);
    let limit = |severity| {
        story.catalog_at(story.declared.seq).and_then(|(_, c)| c.severities.get(&severity)?.respond_within_ms)
    };
    let holds = response(&changes, until, limit);
    let mut m = match answered {
        Some(_) => Measure::new("response", label, Value::Ms(until)),
        None => Measure::missing("response", label, "nobody acknowledged it"),
    };
    m.from = Some(story.declared.at);
    m.to = answered.or(over).map(|mark| mark.at);
    m.entries = vec![story.declared.seq];
    m.entries.extend(answered.map(|a| a.seq));
    let Some(holds) = holds else { return m };
    m.verdict = match (answered, holds.late_ms() > 0) {
        (Some(_), _) | (None, true) => Verdict::of(until, Some(holds.limit_ms), true),
        (None, false) if over.is_none() => Verdict::of(until, Some(holds.limit_ms), false),
        // Over before its time was: nobody was late.
        (None, false) => Verdict::None,
    };
    if answered.is_none() && story.ending.is_some() {
        m.verdict = Verdict::None;
    }
    let whose = severities().rfind(|(_, s)| *s == holds.severity).filter(|_| changes.len() > 1);
    if let Some((mark, severity)) = whose {
        m.note = format!("the response time of {severity}");
        m.entries.push(mark.seq);
    }
    // A miss that nobody ended is known by what came after.
    m.entries.extend(answered.is_none().then(|| over.unwrap_or(story.last).seq));
    m.entries.sort_unstable();
    m.entries.dedup();
    m
}
