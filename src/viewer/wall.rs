//! The wall display: read-only, legible from afar.
//!
//! A [`Face`]: `update` takes everything in (through [`Watched`]), `draw` shows it, `next_tick` says when time alone
//! changes the picture, `screen::run` does the rest. Any key is taken as "somebody looks"; `q` leaves.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::header;
use super::look::Look;
use super::screen::{Effect, Face, Input, Now, Setup};
use super::watched::Watched;
use crate::cli::Failure;
use crate::cli::args::Screen;
use crate::domain::health::Health;

/// Runs the wall until it is left. `rotate`: seconds a page stays.
pub fn run(setup: &Setup, screen: &Screen, rotate: u64) -> Result<u8, Failure> {
    let (look, _) = Look::of(screen, super::env);
    super::screen::run(&mut Wall { watched: Watched::default(), look, rotate }, setup)
}

/// The wall's model.
#[derive(Debug)]
pub struct Wall {
    pub watched: Watched,
    pub look: Look,
    /// Seconds a page stays.
    pub rotate: u64,
}

impl Face for Wall {
    fn update(&mut self, mut input: Input, now: Now) -> Vec<Effect> {
        self.watched.take(&mut input, now);
        match input {
            Input::Key(key, _) => match (key.code, key.modifiers) {
                (KeyCode::Char('q'), KeyModifiers::NONE) | (KeyCode::Char('c'), KeyModifiers::CONTROL) => {
                    vec![Effect::Quit(Vec::new())]
                }
                (KeyCode::Char('l'), KeyModifiers::CONTROL) => vec![Effect::Repaint],
                (KeyCode::Char('z'), KeyModifiers::CONTROL) => vec![Effect::Suspend],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
        let mut c = Canvas { buffer, theme: &self.look.theme, g: &self.look.g };
        header::draw(&self.watched, &self.look, Rect { height: 1.min(area.height), ..area }, &mut c);
        let mut counts = std::collections::BTreeMap::<Health, usize>::new();
        for service in self.watched.mirror.services.values() {
            *counts.entry(service.state).or_default() += 1;
        }
        for (i, (state, n)) in counts.into_iter().enumerate() {
            let (sign, role) = header::state(&self.look.g, state);
            let y = area.y.saturating_add(2).saturating_add(u16::try_from(i).unwrap_or(u16::MAX));
            let text = format!("{sign} {n} {}", state.word().to_uppercase());
            c.put(area.x.saturating_add(2), y, area.width.saturating_sub(2), &text, role);
        }
        None
    }

    fn next_tick(&self) -> u64 {
        1000
    }
}
