//! Where everything stands on the wall, and the words of its verdict.

use std::time::Duration;

use ratatui::layout::Rect;

use super::Wall;
use super::facts::{Facts, Verdict};
use crate::domain::Time;
use crate::text;
use crate::viewer::bigtext::{self, Scale};
use crate::viewer::header;
use crate::viewer::theme::Role;
use crate::viewer::watched::LinkState;

/// Rows that a letter needs on a screen of `rows` in order to be read from five metres: a large panel shows about
/// sixteen legible lines.
pub const fn legible_rows(rows: u16) -> u16 {
    rows.div_ceil(16)
}

/// The parts of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zones {
    pub header: Rect,
    pub banners: Rect,
    pub verdict: Rect,
    /// The other states, or what a verdict means, below it.
    pub rest: Rect,
    pub body: Rect,
    pub strip: Rect,
    pub clock: Rect,
}

impl Zones {
    /// `incident`: an incident is on the page, so that the verdict takes less.
    pub fn of(wall: &Wall, facts: &Facts<'_>, area: Rect, incident: bool) -> Zones {
        let (w, h) = (area.width, area.height);
        let mut zones = Zones::default();
        let mut left = Rows { area, from: area.y, to: area.bottom() };
        if h >= 6 {
            zones.header = left.top(1);
        }
        let big_clock = w >= 60 && h >= 20;
        if big_clock {
            let bottom = left.bottom(bigtext::ROWS);
            let wide = bigtext::width(CLOCK, 1).min(bottom.width);
            let (clock, strip) = if is_odd_hour(facts.now) { (0, wide + 3) } else { (bottom.width - wide, 0) };
            zones.clock = Rect { x: bottom.x + clock, width: wide, ..bottom };
            zones.strip = Rect { x: bottom.x + strip, width: bottom.width.saturating_sub(wide + 3), ..bottom };
            left.bottom(1);
        } else if h >= 2 {
            let bottom = left.bottom(1);
            let wide = 9.min(bottom.width);
            let clock = if is_odd_hour(facts.now) { 0 } else { bottom.width - wide };
            let strip = if clock == 0 { wide + 2 } else { 0 };
            zones.clock = Rect { x: bottom.x + clock, width: wide, ..bottom };
            zones.strip = Rect { x: bottom.x + strip, width: bottom.width.saturating_sub(wide + 2), ..bottom };
        }
        if h >= 8 {
            let n = u16::try_from(banners(wall).len()).unwrap_or(u16::MAX);
            zones.banners = left.top(n.min(if h >= 20 { 3 } else { 1 }));
        }
        let most = match (incident, facts.is_calm()) {
            // What does not hold any more is said as loud as without an incident.
            (true, _) if h >= 40 || (h >= 20 && facts.verdict != Verdict::States) => bigtext::ROWS,
            (true, _) => 1,
            (false, true) => h / 2,
            (false, false) => (h / 4).max(if h >= 10 { bigtext::ROWS } else { 1 }),
        };
        let (_, candidates, _) = verdict(facts);
        let rows = biggest(&candidates, w.saturating_sub(2), most).map_or(1, |(_, scale)| scale.rows());
        zones.verdict = left.top(rows);
        if h >= 5 {
            let kinds = [facts.roots + facts.affected, facts.degraded, facts.unknown, facts.up, facts.paused];
            let others = kinds.iter().filter(|n| **n > 0).count() > 1;
            let below = match (&facts.verdict, others) {
                (Verdict::States, false) => 0,
                (Verdict::States, true) if h >= 40 && !facts.is_calm() => bigtext::ROWS,
                _ => 1,
            };
            zones.rest = left.top(if incident && rows == 1 { 0 } else { below });
        }
        if h >= 20 {
            left.top(1);
        }
        zones.body = left.top(u16::MAX);
        zones
    }
}

/// Takes rows from both ends of an area.
struct Rows {
    area: Rect,
    from: u16,
    to: u16,
}

impl Rows {
    fn top(&mut self, n: u16) -> Rect {
        let n = n.min(self.to.saturating_sub(self.from));
        self.from += n;
        Rect { y: self.from - n, height: n, ..self.area }
    }

    fn bottom(&mut self, n: u16) -> Rect {
        let n = n.min(self.to.saturating_sub(self.from));
        self.to -= n;
        Rect { y: self.to, height: n, ..self.area }
    }
}

const CLOCK: &str = "00:00:00Z";

/// Every other hour things change sides, so that none burns in.
pub fn is_odd_hour(at: Time) -> bool {
    at.ms().div_euclid(3_600_000) % 2 == 1
}

/// The first of `candidates` that fits, and how large; the longest that fits at a good size wins over a larger short one
/// because it says more.
pub fn biggest(candidates: &[String], columns: u16, rows: u16) -> Option<(&str, Scale)> {
    candidates.iter().find_map(|text| Some((text.as_str(), bigtext::largest(text, columns, rows)?)))
}

/// Sign and word of the verdict: its role, the texts from long to short, and a sentence that explains it.
pub fn verdict(facts: &Facts<'_>) -> (Role, Vec<String>, Option<String>) {
    let hms = |at: Option<Time>| at.map_or_else(|| "never".to_owned(), |at| format!("{}Z", at.hms()));
    let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
    match &facts.verdict {
        Verdict::Waiting => (Role::WallStalled, list(&["CONNECTING"]), Some("no word from the engine yet".into())),
        Verdict::NoEngine { since, why } => (
            Role::WallStalled,
            vec![format!("NO ENGINE SINCE {}", hms(*since)), "NO ENGINE".into()],
            Some(format!("NO ENGINE since {}, nothing here is current: {why}", hms(*since))),
        ),
        Verdict::Stalled { seconds, since } => {
            let said = text::duration(Duration::from_secs(*seconds));
            (
                Role::WallStalled,
                vec![format!("ENGINE STALLED {said}"), format!("STALLED {said}")],
                Some(format!("ENGINE STALLED {said}: its clock stands at {}, nothing here is current", hms(*since))),
            )
        }
        Verdict::Stale { last, stale, checked } => (
            Role::WallStalled,
            vec![format!("STALE - LAST GOOD {}", hms(*last)), "STALE".into()],
            Some(format!("STALE - last good {}: {stale} of {checked} services without recent results", hms(*last))),
        ),
        Verdict::Empty => (Role::WallBig, list(&["NOTHING WATCHED", "NOTHING", "EMPTY"]), None),
        Verdict::States => states(facts),
    }
}

fn states(facts: &Facts<'_>) -> (Role, Vec<String>, Option<String>) {
    if facts.roots > 0 {
        let n = facts.roots;
        let mut texts = Vec::new();
        if facts.affected > 0 {
            texts.push(format!("{n} DOWN (+{})", facts.affected));
        }
        texts.push(format!("{n} DOWN"));
        return (Role::Down, texts, None);
    }
    let (role, text) = match () {
        () if facts.affected > 0 => (Role::Down, format!("{} DOWN", facts.affected)),
        () if facts.degraded > 0 => (Role::Degraded, format!("{} DEGRADED", facts.degraded)),
        () if facts.unknown > 0 => (Role::Unknown, format!("{} UNKNOWN", facts.unknown)),
        () if facts.up == 0 => (Role::Paused, format!("ALL {} PAUSED", facts.paused)),
        () if facts.paused == 0 => (Role::Up, format!("ALL {} UP", facts.up)),
        () => (Role::Up, format!("{} UP", facts.up)),
    };
    (role, vec![text], None)
}

/// Banners worst first; the lost link is said by the verdict.
pub fn banners(wall: &Wall) -> Vec<(Role, String)> {
    let mut all = header::banners(&wall.watched);
    if matches!(wall.watched.link(), LinkState::Lost(..)) && !all.is_empty() {
        all.remove(0);
    }
    let tags = &wall.watched.mirror.head.guard.guards.tags;
    all.extend(tags.iter().map(|(service, tag)| {
        let said = format!("TAG {service} by {} since {}Z: {}", tag.by.user, tag.since.hm(), tag.reason);
        (Role::BannerInfo, text::clean(&said).into_owned())
    }));
    all
}
