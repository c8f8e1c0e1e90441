//! Being told: a refusal with its reason and what to do instead.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::{Stay, window};
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::theme::Role;

/// A refusal or a failure.
#[derive(Debug)]
pub struct Info {
    title: String,
    reason: String,
    instead: String,
}

impl Info {
    pub fn new(title: impl Into<String>, reason: &str, instead: &str) -> Info {
        Info {
            title: title.into(),
            reason: crate::text::clean_lines(reason, 2000),
            instead: crate::text::clean_lines(instead, 2000),
        }
    }

    pub(super) fn key(&mut self, key: &KeyEvent) -> Stay {
        match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | ' ') => Stay::Close,
            _ => Stay::Open,
        }
    }

    pub(super) fn draw(&self, area: Rect, c: &mut Canvas<'_>) {
        let width = area.width.min(76);
        let text = usize::from(width.saturating_sub(4));
        let mut lines: Vec<(Role, String)> = wrap(&self.reason, text).into_iter().map(|l| (Role::Strong, l)).collect();
        if !self.instead.is_empty() {
            lines.push((Role::Text, String::new()));
            let arrow = format!("{} {}", c.g.arrow, self.instead);
            lines.extend(wrap(&arrow, text).into_iter().map(|l| (Role::Text, l)));
        }
        let height = u16::try_from(lines.len() + 4).unwrap_or(u16::MAX).min(area.height);
        let inside = window(area, (width, height), &self.title, true, c);
        for (i, (role, line)) in lines.iter().enumerate() {
            let y = inside.y.saturating_add(u16::try_from(i).unwrap_or(u16::MAX));
            if y + 1 >= inside.bottom() {
                break;
            }
            c.put(inside.x, y, inside.width, line, *role);
        }
        if inside.height > 1 {
            c.line(inside.x, inside.bottom() - 1, inside.width, &[(Role::Key, "esc"), (Role::KeyDoc, " back")]);
        }
    }
}
