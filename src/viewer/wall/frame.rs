//! What every page has: header, banners, verdict, the engine's clock, and the strip of all services.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::deck::{Deck, Page};
use super::facts::Facts;
use super::pulse::Pulse;
use super::zones::{Zones, banners, biggest, is_odd_hour, verdict};
use super::{Wall, body, incident};
use crate::domain::health::Health;
use crate::text::{self, width};
use crate::viewer::bigtext::{self, Ink, Scale};
use crate::viewer::canvas::Canvas;
use crate::viewer::header;
use crate::viewer::theme::Role;

/// A frame being drawn.
pub struct Drawing<'a> {
    pub wall: &'a Wall,
    pub facts: &'a Facts<'a>,
    pub deck: &'a Deck,
    pub turn: usize,
}

impl Drawing<'_> {
    pub fn all(&self, area: Rect, page: Page, buffer: &mut Buffer) {
        let look = &self.wall.look;
        let mut c = Canvas { buffer, theme: &look.theme, g: &look.g };
        let whole = c.buffer.area;
        c.style(whole, Role::Screen);
        c.style(whole, Role::Wall);
        let view = match &page {
            Page::Incident(id) => self.facts.mirror.incidents.get(id),
            _ => None,
        };
        let zones = Zones::of(self.wall, self.facts, area, view.is_some());
        self.header(zones.header, &mut c);
        for (i, (role, text)) in banners(self.wall).iter().enumerate().take(usize::from(zones.banners.height)) {
            let row = Rect { y: zones.banners.y + u16::try_from(i).unwrap_or(0), height: 1, ..zones.banners };
            c.style(row, *role);
            c.cut(row.x + 1, row.y, row.width.saturating_sub(2), text, *role);
        }
        self.verdict(&zones, &mut c);
        match view {
            Some(view) => incident::draw(self, view, zones.body, &mut c),
            None => body::draw(self, &page, zones.body, &mut c),
        }
        self.strip(zones.strip, &mut c);
        self.clock(zones.clock, &mut c);
    }

    /// How letters of this role are inked.
    pub fn ink(&self, role: Role) -> Ink {
        Ink { style: self.wall.look.theme.style(role), blocks: self.wall.blocks, struck: false }
    }

    /// One line, as large as its area is high; plain where it does not fit. What is loud gets a band of its own.
    pub fn say(&self, c: &mut Canvas<'_>, row: Rect, text: &str, role: Role, loud: bool) {
        if row.height == 0 {
            return;
        }
        if loud {
            c.style(row, role);
        }
        let (x, room) = (row.x + 1, row.width.saturating_sub(2));
        match bigtext::largest(text, room, row.height) {
            Some(scale) => {
                bigtext::draw(c.buffer, row, x, row.y, text, scale, self.ink(role));
            }
            None => {
                c.cut(x, row.y + (row.height - 1) / 2, room, text, role);
            }
        }
    }

    /// The first of `texts`, from long to short, that can be said as large as its area is high. Gives which it was.
    pub fn say_any(&self, c: &mut Canvas<'_>, row: Rect, texts: &[String], role: Role, loud: bool) -> usize {
        let room = row.width.saturating_sub(2);
        let fits = |t: &String| row.height < bigtext::ROWS || bigtext::largest(t, room, row.height).is_some();
        let which = texts.iter().position(fits).unwrap_or(0);
        if let Some(text) = texts.get(which) {
            self.say(c, row, text, role, loud);
        }
        which
    }

    fn header(&self, row: Rect, c: &mut Canvas<'_>) {
        if row.height == 0 {
            return;
        }
        let head = &self.facts.mirror.head;
        let env = text::clean(&head.environment).to_uppercase();
        let env_role = if header::is_production(&head.environment) { Role::HeaderProduction } else { Role::HeaderEnv };
        let right = self.turns();
        let turns_wide = u16::try_from(width(&right)).unwrap_or(u16::MAX);
        let room = row.width.saturating_sub(turns_wide + 3);
        let system = text::width::cut(&text::clean(&head.system), usize::from(room));
        let env = text::width::cut(&env, usize::from(room).saturating_sub(width(&system) + 3));
        let dot = if system.is_empty() || env.is_empty() { String::new() } else { format!(" {} ", c.g.dot) };
        let pieces = [(Role::HeaderSystem, system.as_str()), (Role::Dim, dot.as_str()), (env_role, env.as_str())];
        let wide: usize = pieces.iter().map(|(_, t)| width(t)).sum();
        let wide = u16::try_from(wide).unwrap_or(u16::MAX);
        let (names, turns) = if is_odd_hour(self.facts.now) {
            (row.right().saturating_sub(wide + 1), row.x + 1)
        } else {
            (row.x + 1, row.right().saturating_sub(turns_wide + 1))
        };
        c.line(names, row.y, row.right().saturating_sub(names), &pieces);
        c.put(turns, row.y, turns_wide, &right, Role::WallDim);
    }

    /// `2/4 ━━━━───`, or why nothing turns.
    fn turns(&self) -> String {
        let wall = self.wall;
        if wall.ctrl_c.is_some() {
            return "Ctrl-C again or q leaves".into();
        }
        let n = self.deck.turns.len();
        if n < 2 {
            return String::new();
        }
        let at = format!("{}/{n}", self.turn.min(n - 1) + 1);
        if wall.is_held() {
            let left = wall.held_until.saturating_sub(wall.now_ms()).div_ceil(10_000) * 10;
            return format!("{at} held {left}s");
        }
        const CELLS: u64 = 10;
        let whole = wall.rotate.saturating_mul(1000).max(1);
        let left = usize::try_from(CELLS.saturating_sub(wall.shown_ms().saturating_mul(CELLS) / whole)).unwrap_or(0);
        let [full, rest] = wall.look.g.bar;
        format!("{at} {}{}", full.repeat(left), rest.repeat(10usize.saturating_sub(left)))
    }

    fn verdict(&self, zones: &Zones, c: &mut Canvas<'_>) {
        let (role, candidates, why) = verdict(self.facts);
        let row = zones.verdict;
        // A state that is well needs no band; everything else is seen by its shape before it is read.
        let band = !matches!(role, Role::Up | Role::WallBig);
        let mut x = row.x + 1;
        let room = row.width.saturating_sub(2);
        if row.height == 0 {
            return;
        }
        let parts = self.parts();
        match biggest(&candidates, room, row.height).filter(|(_, s)| s.rows() == row.height) {
            Some((text, scale)) => {
                if band {
                    c.style(row, role);
                }
                bigtext::draw(c.buffer, row, x, row.y, text, scale, self.ink(role));
            }
            None => {
                let sign = self.verdict_sign(role);
                if room == 0 {
                    c.style(row, role);
                    c.put(row.x, row.y, row.width, sign, role);
                    return;
                }
                let alone = zones.rest.height == 0;
                let fits = |t: &&String| width(t) + 2 <= usize::from(room);
                let text = match &why {
                    Some(why) if alone && fits(&why) => why.clone(),
                    _ => candidates.iter().find(fits).or(candidates.last()).cloned().unwrap_or_default(),
                };
                let said = format!("{sign} {text}");
                // The other states stand beside the band: their colours could not be read on it.
                let beside = alone && why.is_none() && parts.len() > 1;
                let wide = u16::try_from(width(&said) + 2).unwrap_or(row.width).min(row.width);
                if band {
                    c.style(if beside { Rect { width: wide, ..row } } else { row }, role);
                }
                x = c.cut(x, row.y, room, &said, role);
                if beside {
                    for (role, text) in parts.iter().skip(1) {
                        let left = row.right().saturating_sub(x + 2);
                        if usize::from(left) >= width(text) {
                            x = c.put(x + 2, row.y, left, text, *role);
                        }
                    }
                }
            }
        }
        self.rest(zones.rest, why, &parts, c);
    }

    fn verdict_sign(&self, role: Role) -> &'static str {
        let g = &self.wall.look.g;
        match role {
            Role::Down => g.down,
            Role::Degraded => g.degraded,
            Role::Up => g.up,
            Role::Paused => g.paused,
            Role::WallStalled => g.lost,
            _ => g.unknown,
        }
    }

    /// Every state that there is, with its sign and count.
    fn parts(&self) -> Vec<(Role, String)> {
        let (f, g) = (self.facts, &self.wall.look.g);
        let mut parts = Vec::new();
        let mut add = |state: Health, text: String| {
            let (sign, role) = header::state(g, state);
            parts.push((role, format!("{sign} {text}")));
        };
        if f.roots + f.affected > 0 {
            let more = if f.affected > 0 { format!(" (+{})", f.affected) } else { String::new() };
            add(Health::Down, format!("{} DOWN{more}", f.roots));
        }
        for (state, n) in [
            (Health::Degraded, f.degraded),
            (Health::Unknown, f.unknown),
            (Health::Up, f.up),
            (Health::Paused, f.paused),
        ] {
            if n > 0 {
                add(state, format!("{n} {}", state.word().to_uppercase()));
            }
        }
        parts
    }

    /// Below the verdict: what it means, or the states that it does not name.
    fn rest(&self, row: Rect, why: Option<String>, parts: &[(Role, String)], c: &mut Canvas<'_>) {
        if row.height == 0 {
            return;
        }
        if let Some(why) = why {
            self.say(c, Rect { height: 1, ..row }, &text::clean(&why), Role::WallBig, false);
            return;
        }
        let others = parts.get(1..).unwrap_or_default();
        let words = |text: &str| text.split_once(' ').map_or(text.to_owned(), |(_, t)| t.to_owned());
        let wide: u16 = others.iter().map(|(_, t)| bigtext::width(&words(t), 1).saturating_add(6)).sum();
        let mut x = row.x + 1;
        for (role, text) in others {
            if row.height >= bigtext::ROWS && wide <= row.width {
                x = bigtext::draw(c.buffer, row, x, row.y, &words(text), Scale::ONE, self.ink(*role)) + 6;
            } else {
                let y = row.y + (row.height - 1) / 2;
                x = c.cut(x, y, row.right().saturating_sub(x), text, *role) + 3;
            }
        }
    }

    /// A sign for every service, worst first, and a count of those that are up.
    fn strip(&self, area: Rect, c: &mut Canvas<'_>) {
        if area.width < 4 || area.height == 0 {
            return;
        }
        let f = self.facts;
        let lost = if f.is_frozen() { Role::Stale } else { Role::WallDim };
        let mut y = area.y;
        if area.height >= 3 {
            let said = match (f.up, f.is_frozen()) {
                (_, true) => "not current".to_owned(),
                (0, _) => String::new(),
                (n, _) => format!("{n} up"),
            };
            c.cut(area.x + 1, y, area.width.saturating_sub(2), &said, lost);
            y += 1;
        }
        let per_row = usize::from(area.width.saturating_sub(2));
        let rows = usize::from(area.bottom().saturating_sub(y)).min(3);
        let room = per_row * rows;
        let hidden = f.dots.len().saturating_sub(room);
        let more =
            if hidden > 0 { format!("+{}", hidden + width(&f.dots.len().to_string()) + 1) } else { String::new() };
        let shown = room.saturating_sub(width(&more)).min(f.dots.len());
        let at = |i: usize| {
            let (dx, dy) = (i % per_row.max(1), i / per_row.max(1));
            (area.x + 1 + u16::try_from(dx).unwrap_or(0), y + u16::try_from(dy).unwrap_or(0))
        };
        for (i, (state, _)) in f.dots.iter().take(shown).enumerate() {
            let (sign, role) = header::state(c.g, *state);
            let (x, y) = at(i);
            c.put(x, y, 1, sign, if f.is_frozen() { Role::Stale } else { role });
        }
        let (x, y) = at(shown);
        c.put(x, y, area.right().saturating_sub(x), &more, Role::WallDim);
    }

    /// The engine's clock: what it said, never carried on from here.
    fn clock(&self, area: Rect, c: &mut Canvas<'_>) {
        let pulse: &Pulse = &self.wall.pulse;
        let text = pulse.last().map_or_else(|| "--:--:--".to_owned(), |at| format!("{}Z", at.hms()));
        if self.facts.is_frozen() {
            // Reversed: this is when it stopped, and it must stay legible.
            c.style(area, Role::WallStalled);
            if area.height >= bigtext::ROWS {
                bigtext::draw(c.buffer, area, area.x, area.y, &text, Scale::ONE, self.ink(Role::WallStalled));
            } else {
                c.cut(area.x, area.y, area.width, &text, Role::WallStalled);
            }
            return;
        }
        if area.height >= bigtext::ROWS {
            bigtext::draw(c.buffer, area, area.x, area.y, &text, Scale::ONE, self.ink(Role::WallBig));
        } else {
            c.cut(area.x, area.y, area.width, &text, Role::WallBig);
        }
    }
}
