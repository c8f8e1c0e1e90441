//! The wall display: read-only, legible from five metres, and never calmer than it has reason to be.
//!
//! What it says first is the verdict; an incident takes over; then come the services that are the root of the trouble
//! and the backups near their objective. All that is well is a count and a strip of signs, never a table.
//!
//! A frozen picture must look broken. The large clock is the engine's, not this screen's; when it stands still the
//! verdict gives way to ENGINE STALLED, without a connection to NO ENGINE, and when too many results are old to STALE:
//! none of these can be mistaken for "all up". The connection is read-only in the engine, not by good will here.
//!
//! | file | holds |
//! | --- | --- |
//! | [`pulse`] | whether the engine's clock still runs |
//! | [`facts`] | what there is to say, worst first |
//! | [`deck`] | pages, and whose turn it is |
//! | [`frame`] | what every page has: header, verdict, clock, strip |
//! | [`body`], [`incident`] | the pages themselves |

pub mod body;
pub mod deck;
pub mod doing;
pub mod facts;
pub mod frame;
pub mod incident;
pub mod pulse;
pub mod zones;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use self::deck::{Deck, Page};
use self::facts::Facts;
use self::pulse::{Pulse, STALLED};
use super::glyphs;
use super::look::Look;
use super::screen::{Effect, Face, Input, Now, Setup};
use super::theme::{Depth, Role, Theme};
use super::watched::Watched;
use crate::cli::Failure;
use crate::cli::args::Screen;

/// After a key press the pages stand still this long, milliseconds.
const HELD: u64 = 60_000;
/// Two Ctrl-C within this many milliseconds leave.
const TWICE: u64 = 2000;
/// The picture moves by one cell this often, milliseconds, so that nothing burns in.
const ORBIT: u64 = 300_000;

/// Runs the wall until it is left. `rotate`: seconds a page stays.
pub fn run(setup: &Setup, screen: &Screen, rotate: u64) -> Result<u8, Failure> {
    let (look, blocks, faults) = look(screen, super::env);
    faults.iter().for_each(|f| eprintln!("mayday: {f}"));
    super::screen::run(&mut Wall::new(look, blocks, rotate), setup)
}

/// How the wall looks: as every screen, but in the colours of Okabe and Ito unless others are asked for, because nobody
/// can ask who is colour-blind among those who pass by. Gives also whether half blocks may be written.
pub fn look(screen: &Screen, env: impl Fn(&str) -> Option<String>) -> (Look, bool, Vec<String>) {
    let chosen = screen.theme.is_some() || env("MAYDAY_THEME").is_some();
    let no_colour = env("NO_COLOR").is_some_and(|v| !v.is_empty());
    let mut options = screen.clone();
    if !chosen {
        options.theme = Some("okabe-ito".into());
    }
    let (mut look, faults) = Look::of(&options, &env);
    if !chosen && !no_colour && Depth::of_env(&env) == Depth::Sixteen {
        // The nearest of sixteen colours to vermillion and to orange is the same: take three that differ instead.
        look.theme = sixteen(&Theme::default());
    }
    let blocks = !look.g.ascii;
    if env("TERM").is_some_and(|t| t == "linux") {
        // The kernel's console has the half blocks, but not the signs.
        look.g = glyphs::ASCII;
    }
    (look, blocks, faults)
}

/// Blue, yellow and red, never green beside red.
fn sixteen(base: &Theme) -> Theme {
    let bold = |c: Color| Style::new().fg(c).add_modifier(Modifier::BOLD);
    Theme::of("okabe-ito", |role| match role {
        Role::Up | Role::LinkLive | Role::Good => Style::new().fg(Color::LightCyan),
        Role::Degraded => bold(Color::LightYellow),
        Role::Down | Role::DownLoud => bold(Color::White).bg(Color::Red),
        Role::Unknown => bold(Color::Gray),
        Role::Stale => Style::new().fg(Color::Gray).add_modifier(Modifier::CROSSED_OUT),
        role => base.style(role),
    })
}

/// The wall's model.
#[derive(Debug)]
pub struct Wall {
    pub watched: Watched,
    pub look: Look,
    /// Half blocks may be written.
    pub blocks: bool,
    /// Seconds a page stays.
    pub rotate: u64,
    pulse: Pulse,
    size: Rect,
    /// Whose turn it is, and since when (milliseconds of [`Now::ms`]).
    turn: usize,
    page: Option<Page>,
    turned_at: u64,
    held_until: u64,
    ctrl_c: Option<u64>,
    /// Urgent incidents that had their turn: a new one is shown at once.
    known_urgent: Vec<String>,
}

impl Wall {
    /// `blocks`: half blocks may be written. `rotate`: seconds a page stays, at least one.
    pub fn new(look: Look, blocks: bool, rotate: u64) -> Wall {
        Wall {
            watched: Watched::default(),
            look,
            blocks,
            rotate: rotate.max(1),
            pulse: Pulse::default(),
            size: Rect::new(0, 0, 80, 24),
            turn: 0,
            page: None,
            turned_at: 0,
            held_until: 0,
            ctrl_c: None,
            known_urgent: Vec::new(),
        }
    }

    fn now_ms(&self) -> u64 {
        self.watched.now.ms()
    }

    /// The page shown now.
    pub fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// Where the picture stands within `area`: one row and column stay free, and it goes round in four steps.
    fn orbit(&self, area: Rect) -> Rect {
        if area.width < 30 || area.height < 10 {
            return area;
        }
        let (dx, dy) = match self.now_ms() / ORBIT % 4 {
            0 => (0, 0),
            1 => (1, 0),
            2 => (1, 1),
            _ => (0, 1),
        };
        Rect::new(area.x + dx, area.y + dy, area.width - 1, area.height - 1)
    }

    fn deck(&self, facts: &Facts<'_>, area: Rect) -> Deck {
        let area = self.orbit(area);
        Deck::of(facts, zones::Zones::of(self, facts, area, false).body, zones::legible_rows(area.height))
    }

    /// Follows the picture: a page that is gone is left, a new urgent incident is shown at once.
    fn settle(&mut self) {
        let facts = Facts::of(&self.watched, &self.pulse);
        let deck = self.deck(&facts, self.size);
        let urgent: Vec<String> = facts.urgent().map(|v| v.incident.id.clone()).collect();
        let fresh = urgent.iter().find(|id| !self.known_urgent.contains(id));
        let now = self.now_ms();
        let at = |page: &Page| deck.turns.iter().position(|p| p == page);
        let (turn, stays) = match fresh.and_then(|id| at(&Page::Incident(id.clone()))) {
            Some(turn) => (turn, false),
            None => match &self.page {
                Some(page) if deck.turns.get(self.turn) == Some(page) => (self.turn, true),
                Some(page) => at(page).map_or((0, false), |turn| (turn, true)),
                None => (0, false),
            },
        };
        let page = deck.turns.get(turn).cloned();
        self.known_urgent = urgent;
        self.turn = turn;
        self.page = page;
        if !stays {
            self.turned_at = now;
        }
    }

    /// Turns the page by `by` turns.
    fn go(&mut self, by: isize) {
        let facts = Facts::of(&self.watched, &self.pulse);
        let turns = self.deck(&facts, self.size).turns;
        let n = turns.len().max(1);
        let step = by.rem_euclid(isize::try_from(n).unwrap_or(isize::MAX));
        let turn = (self.turn + step.unsigned_abs()) % n;
        self.page = turns.get(turn).cloned();
        self.turn = turn;
        self.turned_at = self.now_ms();
    }

    /// Milliseconds that the page has been shown, pauses left out.
    fn shown_ms(&self) -> u64 {
        self.now_ms().saturating_sub(self.turned_at)
    }

    fn is_held(&self) -> bool {
        self.now_ms() < self.held_until
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let now = self.now_ms();
        let ctrl = key.modifiers == KeyModifiers::CONTROL;
        match key.code {
            KeyCode::Char('q') if key.modifiers == KeyModifiers::NONE => return vec![Effect::Quit(Vec::new())],
            KeyCode::Char('c') if ctrl => {
                if self.ctrl_c.is_some_and(|at| now.saturating_sub(at) <= TWICE) {
                    return vec![Effect::Quit(Vec::new())];
                }
                self.ctrl_c = Some(now);
                return Vec::new();
            }
            KeyCode::Char('l') if ctrl => return vec![Effect::Repaint],
            KeyCode::Char('z') if ctrl => return vec![Effect::Suspend],
            KeyCode::Right | KeyCode::Down | KeyCode::PageDown | KeyCode::Char(' ') => self.go(1),
            KeyCode::Left | KeyCode::Up | KeyCode::PageUp => self.go(-1),
            _ => {}
        }
        self.held_until = now.saturating_add(HELD);
        Vec::new()
    }
}

impl Face for Wall {
    fn update(&mut self, mut input: Input, now: Now) -> Vec<Effect> {
        self.watched.take(&mut input, now);
        match input {
            Input::Change(_) => self.pulse.see(self.watched.mirror.at, now.ms()),
            Input::Resize(columns, rows) => self.size = Rect::new(0, 0, columns, rows),
            Input::Key(key, _) => {
                self.settle();
                return self.key(key);
            }
            _ => {}
        }
        self.settle();
        if self.held_until > 0 && !self.is_held() {
            // The page that somebody looked at gets its whole time again.
            self.held_until = 0;
            self.turned_at = now.ms();
        }
        if !self.is_held() && self.shown_ms() >= self.rotate.saturating_mul(1000) {
            self.go(1);
        }
        if self.ctrl_c.is_some_and(|at| now.ms().saturating_sub(at) > TWICE) {
            self.ctrl_c = None;
        }
        Vec::new()
    }

    fn is_calm(&self, input: &Input) -> bool {
        matches!(input, Input::Change(change) if self.watched.is_calm(change))
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
        let facts = Facts::of(&self.watched, &self.pulse);
        let deck = self.deck(&facts, area);
        // Drawn in another size than the last one known: the page may not exist there.
        let page = self.page.clone().filter(|p| deck.turns.contains(p)).or_else(|| deck.turns.first().cloned());
        let drawing = frame::Drawing { wall: self, facts: &facts, deck: &deck, turn: self.turn };
        drawing.all(self.orbit(area), page.unwrap_or(Page::Rest), buffer);
        None
    }

    fn next_tick(&self) -> u64 {
        // The engine speaks every second and each time is a redraw; what is left are this screen's own clocks.
        let mut next = 1000;
        if let Some(Page::Incident(id)) = &self.page
            && let Some(view) = self.watched.mirror.incidents.get(id)
        {
            next = next.min(self.watched.until_second(view) + 5);
        }
        let age = self.pulse.age_ms(self.now_ms());
        if age <= STALLED {
            next = next.min(STALLED + 10 - age);
        }
        next.max(20)
    }
}
