//! One line that is asked for.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::{Line, Stay, window};
use crate::domain::command::Command;
use crate::domain::incident::Status;
use crate::viewer::app::App;
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::theme::Role;

/// What the line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Assign {
        incident: String,
    },
    Retitle {
        incident: String,
    },
    Reopen {
        incident: String,
    },
    /// Resolving against what stands against it.
    Force {
        incident: String,
    },
    Pause {
        service: String,
    },
}

/// A question with one line of answer.
#[derive(Debug)]
pub struct Prompt {
    asked: Asked,
    title: String,
    help: String,
    pub line: Line,
    /// Why the answer was not taken.
    fault: String,
}

impl Prompt {
    pub fn new(asked: Asked, title: impl Into<String>, help: impl Into<String>, text: &str) -> Prompt {
        Prompt { asked, title: title.into(), help: help.into(), line: Line::new(text), fault: String::new() }
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent) -> Stay {
        match key.code {
            KeyCode::Esc => Stay::Close,
            KeyCode::Enter => match self.send(app) {
                Ok(()) => Stay::Close,
                Err(why) => {
                    self.fault = why;
                    Stay::Open
                }
            },
            _ => {
                self.line.key(key);
                Stay::Open
            }
        }
    }

    fn send(&self, app: &mut App) -> Result<(), String> {
        let text = self.line.text().trim().to_owned();
        if text.is_empty() {
            return Err("nothing is written".into());
        }
        match self.asked.clone() {
            Asked::Assign { incident } => {
                let (role, user) = text.split_once(' ').ok_or("a role and a user are needed: commander oncall1")?;
                let (role, user) = (role.trim().to_owned(), user.trim().to_owned());
                app.act(format!("{role} is {user}"), Command::Assign { incident: Some(incident), role, user });
            }
            Asked::Retitle { incident } => {
                app.act("title changed", Command::Retitle { incident: Some(incident), title: text });
            }
            Asked::Reopen { incident } => {
                let said = format!("reopened {incident}");
                app.act(said, Command::Reopen { incident: Some(incident), reason: text });
            }
            Asked::Force { incident } => {
                let command = Command::SetStatus {
                    incident: Some(incident),
                    status: Status::Resolved,
                    reason: text,
                    force: true,
                };
                app.act("resolved, forced", command);
            }
            Asked::Pause { service } => {
                let (lasts, reason) = text.split_once(' ').ok_or("a duration and a reason are needed: 30m upgrade")?;
                let until = app.watched.engine_now().plus(crate::text::parse_duration(lasts)?);
                let reason = reason.trim().to_owned();
                app.act(format!("paused {service}"), Command::Pause { service, until, reason });
            }
        }
        Ok(())
    }

    pub(super) fn draw(&self, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let width = area.width.min(76);
        let help = wrap(&self.help, usize::from(width.saturating_sub(4)));
        let height = u16::try_from(help.len() + 5).unwrap_or(7);
        let danger = matches!(self.asked, Asked::Force { .. });
        let inside = window(area, (width, height), &self.title, danger, c);
        let mut y = inside.y;
        for line in &help {
            c.put(inside.x, y, inside.width, line, Role::Dim);
            y = y.saturating_add(1);
        }
        let cursor = self.line.draw(Rect::new(inside.x, y, inside.width, 1).intersection(inside), true, c);
        if self.fault.is_empty() {
            let keys = [(Role::Key, "enter"), (Role::KeyDoc, " send   "), (Role::Key, "esc"), (Role::KeyDoc, " back")];
            c.line(inside.x, y.saturating_add(2), inside.width, &keys);
        } else {
            c.cut(inside.x, y.saturating_add(2), inside.width, &self.fault, Role::Bad);
        }
        cursor
    }
}
