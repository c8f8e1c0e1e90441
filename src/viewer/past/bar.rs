//! The frame around the past: nobody may take it for the present, in any theme and without colours.
//!
//! A banner over the whole width says what is shown, of when; a column at either side; below, where in the incident it
//! lies, with what happened and the phases that were reached.

use ratatui::layout::Rect;

use crate::domain::Time;
use crate::domain::timeline::Level;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::canvas::Canvas;
use crate::viewer::theme::Role;
use crate::wire::past::Span;

use super::Move;

/// Rows from which the phases have one of their own.
const WITH_PHASES: u16 = 20;

/// What a screen of the past says of itself.
#[derive(Debug, Default)]
pub struct Bar {
    /// What is replayed, once it is known.
    pub span: Option<Span>,
    /// Why it cannot be replayed.
    pub fault: Option<String>,
    /// The last entry of what is shown, 0 when nothing is shown yet; and the moment.
    pub seq: u64,
    pub at: Time,
    pub playing: bool,
    pub speed: u32,
    /// Rows read as they were corrected since.
    pub since: bool,
    /// The worst that happened in each column of the bar.
    pub ticks: Vec<Option<Level>>,
    /// What goes on now, meanwhile.
    pub live: Vec<(Role, String)>,
    /// Leaving goes back to a cockpit, not out of the program.
    pub goes_back: bool,
    /// Where the person wants to go.
    pub asked: Option<Move>,
}

/// The places of the frame, and what is left inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    pub banner: Rect,
    pub scrub: Rect,
    pub inside: Rect,
}

/// Divides `area`.
pub fn places(area: Rect) -> Places {
    let low = if area.height >= WITH_PHASES { 2 } else { 1 };
    Places {
        banner: Rect { height: 1, ..area },
        scrub: Rect { y: area.bottom().saturating_sub(low), height: low, ..area },
        inside: Rect {
            x: area.x + 1,
            y: area.y + 1,
            width: area.width.saturating_sub(2),
            height: area.height.saturating_sub(1 + low),
        },
    }
}

/// Columns of the bar in a screen so wide.
pub fn columns(width: u16) -> usize {
    usize::from(width.saturating_sub(2 + 2 * LABEL))
}

/// Room for a time at either end of the bar.
const LABEL: u16 = 10;

impl Bar {
    /// From the first moment to the last one that is known.
    pub fn stretch(&self) -> Option<(Time, Time)> {
        let span = self.span.as_ref()?;
        let from = span.first?.at;
        Some((from, span.read.at.max(from)))
    }

    /// `REPLAY · INC-2026-004 · 2026-11-20 02:14:07Z · entry 61 of 412 · T+00:12:43 · x10`, most important first.
    fn pieces(&self, app: &App, short: bool) -> Vec<String> {
        let mut out = vec!["REPLAY".to_owned()];
        let Some(span) = &self.span else {
            out.push(self.fault.clone().unwrap_or_else(|| "opening the record".into()));
            return out;
        };
        out.push(span.incident.clone().unwrap_or_else(|| "the whole record".into()));
        if let Some(fault) = &self.fault {
            out.push(fault.clone());
            return out;
        }
        let share = |seq: u64| seq.saturating_mul(100) / span.last.max(1);
        if self.seq == 0 {
            out.push(format!("reading the record {} %", share(span.read.seq)));
            return out;
        }
        out.push(if app.look.local {
            app.look.full(self.at)
        } else {
            format!("{} {}Z", self.at.date(), self.at.hms())
        });
        out.push(match short {
            true => format!("{}/{}", self.seq, span.last),
            false => format!("entry {} of {}", self.seq, span.last),
        });
        out.extend(self.since_declared(app));
        let pace = if self.playing { "" } else { " paused" };
        out.push(format!("x{}{pace}", self.speed));
        if !span.whole {
            out.push(format!("read {} %", share(span.read.seq)));
        }
        if self.since {
            out.push("AS CORRECTED SINCE".into());
        }
        if span.damaged > 0 {
            out.push(format!("{} entries of the record DAMAGED and left out", span.damaged));
        }
        if !span.unsealed.is_empty() {
            out.push(span.unsealed.clone());
        }
        out
    }

    /// `T+00:12:43`, or how long before the declaration.
    fn since_declared(&self, app: &App) -> Option<String> {
        let span = self.span.as_ref()?;
        let view = span.incident.as_ref().and_then(|id| app.watched.mirror.incidents.get(id));
        match (view, span.declared) {
            (Some(view), _) => Some(format!("T+{}", text::clock(app.watched.elapsed(view)))),
            (None, Some(declared)) => Some(format!("T-{}", text::clock(declared.at.since(self.at)))),
            (None, None) => None,
        }
    }
}

/// Draws the frame; what is inside is drawn by whoever draws the present.
pub fn draw(app: &App, bar: &Bar, area: Rect, c: &mut Canvas<'_>) {
    let places = places(area);
    let b = places.banner;
    c.style(b, Role::Replay);
    let mut pieces = bar.pieces(app, false);
    let back = if bar.goes_back { "t: back to now" } else { "q leaves" };
    let back_wide = u16::try_from(text::width(back)).unwrap_or(0);
    let room = b.width.saturating_sub(2);
    // Whole pieces, or none of them: half of a moment would be another one.
    let wide = |pieces: &[String]| pieces.iter().map(|p| text::width(p) + 3).sum::<usize>();
    if wide(&pieces) > usize::from(room) + 3 {
        pieces = bar.pieces(app, true);
    }
    while pieces.len() > 2 && wide(&pieces) > usize::from(room) + 3 {
        pieces.pop();
    }
    let end = c.cut(b.x + 1, b.y, room, &text::clean(&pieces.join(" · ")), Role::Replay);
    if end.saturating_add(back_wide + 3) < b.right() {
        c.put_right(end, b.right() - 1, b.y, back, Role::Replay);
    }
    for y in b.bottom()..places.scrub.y {
        for x in [area.x, area.right().saturating_sub(1)] {
            c.put(x, y, 1, " ", Role::Replay);
        }
    }
    scrub(app, bar, places.scrub, c);
}

/// Sign and role of what happened.
fn tick(level: Level, c: &Canvas<'_>) -> (&'static str, Role) {
    match level {
        Level::Bad => (c.g.down, Role::LevelBad),
        Level::Warn => (c.g.degraded, Role::LevelWarn),
        Level::Good => (c.g.up, Role::LevelGood),
        Level::Info | Level::Detail => (c.g.dot, Role::LevelInfo),
    }
}

fn scrub(app: &App, bar: &Bar, area: Rect, c: &mut Canvas<'_>) {
    let edges = [area.x, area.right().saturating_sub(1)];
    for y in area.y..area.bottom() {
        edges.iter().for_each(|x| {
            c.put(*x, y, 1, " ", Role::Replay);
        });
    }
    let Some((from, to)) = bar.stretch() else { return };
    let (left, wide) = (area.x + 1 + LABEL, columns(area.width));
    c.put(area.x + 2, area.y, LABEL - 2, &app.look.hms(from), Role::Dim);
    c.put_right(left, area.right() - 2, area.y, &app.look.hms(to), Role::Dim);
    let whole = to.ms_since(from).max(1);
    let column = |at: Time| -> u16 {
        let past = at.ms_since(from).clamp(0, whole);
        let at = past.saturating_mul(wide as i64) / whole;
        left + u16::try_from(at).unwrap_or(0).min(u16::try_from(wide.saturating_sub(1)).unwrap_or(0))
    };
    let here = column(bar.at);
    let [done, rest] = c.g.bar;
    for i in 0..u16::try_from(wide).unwrap_or(0) {
        let x = left + i;
        let (sign, role) = match bar.ticks.get(usize::from(i)).copied().flatten() {
            Some(level) => tick(level, c),
            None if x < here => (done, Role::BarDone),
            None => (rest, Role::BarRest),
        };
        c.put(x, area.y, 1, sign, role);
    }
    if bar.seq > 0 {
        c.put(here, area.y, 1, if c.g.ascii { "@" } else { "█" }, Role::Clock);
    }
    let Some(span) = bar.span.as_ref().filter(|_| area.height > 1) else { return };
    let marks = [
        ("declared", span.declared.map(|p| p.at)),
        ("acknowledged", span.marks.acknowledged.map(|m| m.at)),
        ("identified", span.marks.identified.map(|m| m.at)),
        ("mitigated", span.marks.mitigated.map(|m| m.at)),
        ("services up", span.marks.recovered.map(|m| m.at)),
        ("resolved", span.marks.resolved.map(|m| m.at)),
        ("closed", span.marks.closed.map(|m| m.at)),
    ];
    let mut marks: Vec<(u16, &str)> = marks.into_iter().filter_map(|(word, at)| Some((column(at?), word))).collect();
    marks.sort_by_key(|(x, _)| *x);
    let end = area.right().saturating_sub(2);
    let y = area.y + 1;
    let mut free = area.x + 2;
    for (i, (x, word)) in marks.iter().enumerate() {
        let next = marks.get(i + 1).map_or(end, |(x, _)| *x);
        // Where phases lie close together the later word has no room, and its line is enough.
        if *x < free {
            continue;
        }
        c.put(*x, y, 1, c.g.corners[3], Role::Dim);
        let room = next.saturating_sub(*x + 1);
        let wide = u16::try_from(text::width(word)).unwrap_or(u16::MAX);
        let at = x.saturating_add(1);
        if wide <= room {
            c.put(at, y, room, word, Role::Dim);
            free = at + wide + 1;
        } else if i + 1 == marks.len() && x.saturating_sub(free) > wide {
            // The last one has more room before its line.
            c.put_right(free, *x, y, word, Role::Dim);
        } else {
            free = at;
        }
    }
}
