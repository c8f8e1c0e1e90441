//! Declaring: everything is filled in from what is down; Enter declares. It stays open until the engine says that it is
//! done: a title that somebody typed is not lost with the link, and asking again with the same key declares once.

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::{Line, Stay, window};
use crate::domain::catalog::Severity;
use crate::domain::command::Command;
use crate::domain::health::Health;
use crate::viewer::app::{App, Pending};
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::header;
use crate::viewer::lists::rank;
use crate::viewer::theme::Role;
use crate::wire::Ask;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Title,
    Severity,
    Services,
}

/// A declaration being written.
#[derive(Debug)]
pub struct Declare {
    title: Line,
    severity: Severity,
    /// All services, worst first, as they were when this opened.
    services: Vec<String>,
    chosen: BTreeSet<String>,
    at: usize,
    field: Field,
    fault: String,
    sending: bool,
    /// What was filled in, to tell it from what somebody typed.
    filled_in: String,
    /// Makes a repeat harmless.
    key: String,
    /// It was asked for, and no answer came.
    unsure: bool,
}

impl Declare {
    pub fn new(app: &App) -> Declare {
        let mirror = app.mirror();
        let mut services: Vec<_> = mirror.services.values().collect();
        services.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
        let bad: Vec<_> = services.iter().filter(|s| s.state == Health::Down).collect();
        let worse: Vec<_> = services.iter().filter(|s| s.state == Health::Degraded).collect();
        let chosen: BTreeSet<String> =
            if bad.is_empty() { &worse } else { &bad }.iter().take(200).map(|s| s.name.clone()).collect();
        // Causes name the trouble; what is down because of them follows from that.
        let roots: Vec<&str> = bad.iter().filter(|s| s.because.is_none()).map(|s| s.name.as_str()).collect();
        let names = |all: &[&str], word: &str| match all {
            [] => String::new(),
            [one] => format!("{one} {word}"),
            [a, b] => format!("{a} and {b} {word}"),
            [a, b, rest @ ..] => format!("{a}, {b} and {} more {word}", rest.len()),
        };
        let degraded: Vec<&str> = worse.iter().map(|s| s.name.as_str()).collect();
        let title = if !roots.is_empty() {
            names(&roots, "down")
        } else if bad.is_empty() {
            names(&degraded, "degraded")
        } else {
            format!("{} down", crate::text::plural(bad.len(), "service"))
        };
        let kept = app.declare_draft.clone();
        Declare {
            filled_in: title.clone(),
            key: uuid::Uuid::now_v7().to_string(),
            unsure: false,
            fault: if kept.is_empty() { String::new() } else { "the title is kept from before".into() },
            title: Line::new(if kept.is_empty() { title } else { kept }),
            severity: mirror.head.suggested,
            services: services.iter().map(|s| s.name.clone()).collect(),
            chosen,
            at: 0,
            field: Field::Title,
            sending: false,
        }
    }

    pub(super) fn paste(&mut self, text: &str) -> bool {
        if self.field == Field::Title {
            self.title.insert(text);
        }
        self.field == Field::Title
    }

    /// It goes away without having been declared: a typed title is kept for the next time.
    pub(super) fn left(&mut self, app: &mut App) {
        let title = self.title.text().trim();
        if self.sending {
            // Its answer is still told, and clears this.
            app.declare_draft = title.to_owned();
            app.tell(Role::BannerInfo, "asked for already: what came of it is told here");
            return;
        }
        if title != self.filled_in && !title.is_empty() {
            app.declare_draft = title.to_owned();
            app.tell(Role::BannerInfo, "not declared; the title is kept: d opens it again");
        }
    }

    /// It was asked for.
    pub const fn is_sending(&self) -> bool {
        self.sending
    }

    /// It was not declared, or nobody knows.
    pub fn failed(&mut self, why: &str, unsure: bool) {
        self.sending = false;
        self.unsure |= unsure;
        self.fault = crate::text::clean(why).into_owned();
    }

    /// The engine can be asked again.
    pub fn link_is_back(&mut self) {
        // What is under way is still answered.
        if self.unsure && !self.sending {
            self.fault = "the link is back: enter declares, once".into();
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent) -> Stay {
        if key.code == KeyCode::Esc {
            self.left(app);
            return Stay::Close;
        }
        if self.sending {
            return Stay::Open;
        }
        match (key.code, self.field) {
            (KeyCode::Enter, _) => return self.send(app),
            (KeyCode::Tab, Field::Title) => self.field = Field::Severity,
            (KeyCode::Tab, Field::Severity) => self.field = Field::Services,
            (KeyCode::Tab, Field::Services) => self.field = Field::Title,
            (KeyCode::BackTab, Field::Title) => self.field = Field::Services,
            (KeyCode::BackTab, Field::Severity) => self.field = Field::Title,
            (KeyCode::BackTab, Field::Services) => self.field = Field::Severity,
            (KeyCode::Down, Field::Title) => self.field = Field::Severity,
            (KeyCode::Up, Field::Severity) => self.field = Field::Title,
            (KeyCode::Down, Field::Severity) => self.field = Field::Services,
            (KeyCode::Left, Field::Severity) => self.shift(false),
            (KeyCode::Right | KeyCode::Char(' '), Field::Severity) => self.shift(true),
            (KeyCode::Char(c), Field::Severity) => {
                if let Ok(severity) = Severity::parse(&c.to_string()) {
                    self.severity = severity;
                }
            }
            (KeyCode::Up, Field::Services) if self.at == 0 => self.field = Field::Severity,
            (KeyCode::Up, Field::Services) => self.at -= 1,
            (KeyCode::Down, Field::Services) => self.at = (self.at + 1).min(self.services.len().saturating_sub(1)),
            (KeyCode::Char(' '), Field::Services) => {
                if let Some(name) = self.services.get(self.at)
                    && !self.chosen.remove(name)
                {
                    self.chosen.insert(name.clone());
                }
            }
            (_, Field::Title) => {
                self.title.key(key);
            }
            _ => {}
        }
        Stay::Open
    }

    fn shift(&mut self, forward: bool) {
        let all = Severity::ALL;
        let at = all.iter().position(|s| *s == self.severity).unwrap_or(0);
        let to = if forward { at + 1 } else { at.wrapping_sub(1) };
        if let Some(severity) = all.get(to) {
            self.severity = *severity;
        }
    }

    fn send(&mut self, app: &mut App) -> Stay {
        let title = self.title.text().trim().to_owned();
        if title.is_empty() {
            self.fault = "a title is needed: what do people see?".into();
            self.field = Field::Title;
            return Stay::Open;
        }
        // Another engine has forgotten the key, but not the incident.
        let same = |i: &&crate::wire::IncidentView| i.incident.title == title;
        if let Some(there) = app.watched.mirror.open_incidents().into_iter().find(same).filter(|_| self.unsure) {
            self.fault = format!("{} has this title: it was declared after all; esc closes this", there.incident.id);
            return Stay::Open;
        }
        let known = &app.watched.mirror.services;
        let services = self.chosen.iter().filter(|s| known.contains_key(*s)).cloned().collect();
        let command = Command::Declare { title, severity: Some(self.severity), services, onset: None };
        self.sending = true;
        self.fault.clear();
        app.ask_keyed(Pending::Declare, Ask::Do(command), self.key.clone());
        Stay::Open
    }

    pub(super) fn draw(&self, app: &App, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let rows = u16::try_from(self.services.len()).unwrap_or(u16::MAX).clamp(1, 10);
        let title = format!("declare an incident · {}", app.environment());
        let inside = window(area, (74, rows.saturating_add(9)), &title, true, c);
        let label = 11u16.min(inside.width / 3);
        let text = Rect::new(inside.x + label, inside.y, inside.width - label, 1.min(inside.height));
        let mark = |field: Field| if self.field == field { Role::Strong } else { Role::Label };
        c.put(inside.x, inside.y, label, "title", mark(Field::Title));
        let cursor = self.title.draw(text, self.field == Field::Title, c);
        let y = inside.y.saturating_add(2);
        if y < inside.bottom() {
            c.put(inside.x, y, label, "severity", mark(Field::Severity));
            let mut x = text.x;
            for severity in Severity::ALL {
                let on = severity == self.severity;
                let role = if on { header::severity(severity) } else { Role::Dim };
                x = c.put(x, y, inside.right().saturating_sub(x), &format!(" {severity} "), role).saturating_add(1);
            }
            if self.severity == app.mirror().head.suggested {
                c.put(x + 1, y, inside.right().saturating_sub(x + 1), "suggested", Role::Dim);
            }
        }
        let first = inside.y.saturating_add(4);
        let n = usize::from(inside.bottom().saturating_sub(first).saturating_sub(2));
        if first < inside.bottom() {
            c.put(inside.x, first, label, "affects", mark(Field::Services));
        }
        let top = (self.at + 1).saturating_sub(n.max(1));
        for (i, name) in self.services.iter().enumerate().skip(top).take(n) {
            let y = first.saturating_add(u16::try_from(i - top).unwrap_or(0));
            let on = self.chosen.contains(name);
            let sign = if on { c.g.checked } else { c.g.unchecked };
            let state = app.mirror().services.get(name).map(|s| s.state).unwrap_or_default();
            let (glyph, role) = header::state(c.g, state);
            let x = c.put(text.x, y, 2, &format!("{sign} "), if on { Role::Strong } else { Role::Dim });
            let x = c.put(x, y, 11, &crate::text::fit(&format!("{glyph} {}", state.word()), 11), role);
            c.cut(x, y, inside.right().saturating_sub(x), name, if on { Role::Text } else { Role::Dim });
            if self.field == Field::Services && i == self.at {
                c.select(Rect::new(text.x, y, text.width, 1), Role::Select);
            }
        }
        if self.services.is_empty() && n > 0 {
            c.put(text.x, first, text.width, "no service is configured", Role::Dim);
        }
        let bottom = inside.bottom().saturating_sub(1);
        if self.sending {
            c.put(inside.x, bottom, inside.width, super::waiting(app), Role::Dim);
        } else if self.fault.is_empty() {
            let keys = [
                (Role::Key, "enter"),
                (Role::KeyDoc, " declare   "),
                (Role::Key, "tab"),
                (Role::KeyDoc, " next   "),
                (Role::Key, "esc"),
                (Role::KeyDoc, " back"),
            ];
            c.line(inside.x, bottom, inside.width, &keys);
        } else {
            let lines = wrap(&self.fault, usize::from(inside.width));
            let two = lines.len().min(2);
            for (i, line) in lines.iter().take(two).enumerate() {
                let y = bottom.saturating_sub(u16::try_from(two - 1 - i).unwrap_or(0));
                c.put(inside.x, y, inside.width, line, Role::Bad);
            }
        }
        cursor
    }
}
