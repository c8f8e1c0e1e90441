//! How an incident stands, in one window; handing it over and taking it over start here.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::{Asked, Overlay, Prompt, Stay, window};
use crate::domain::command::Command;
use crate::domain::handoff::{self, Handoff, LINES, Section};
use crate::viewer::app::App;
use crate::viewer::canvas::Canvas;
use crate::viewer::theme::Role;

/// What the one who reads it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Can {
    /// Offer the lead to somebody.
    Offer,
    /// Take the lead that is offered.
    Take,
    /// Take the own offer back.
    Keep,
    Nothing,
}

/// The capsule of an incident.
#[derive(Debug)]
pub struct Capsule {
    incident: String,
    /// Role and text; the first line says how the handoff stands.
    head: (Role, String),
    lines: Vec<String>,
    can: Can,
    top: usize,
    mark: u64,
    /// Since when its first frame is on the terminal, microseconds.
    armed: Option<u64>,
}

impl Capsule {
    pub fn new(app: &App, incident: &str, sections: &[Section]) -> Capsule {
        let found = app.mirror().incidents.get(incident).map(|v| &v.incident);
        let offer = found.and_then(|i| i.handoff.as_ref());
        let me = app.watched.peer.user.as_str();
        let open = found.is_some_and(|i| i.status.is_open());
        let against = crate::viewer::why::may_act(app);
        let leads = found.and_then(|i| i.commander());
        let (can, head) = match offer {
            Some(o) if o.from == me => {
                (Can::Keep, (Role::Unsure, format!("you offered it to {}: not taken yet", to(o))))
            }
            Some(o) if o.to.as_deref().is_none_or(|to| to == me) => {
                (Can::Take, (Role::Unsure, format!("{} hands it over to {}: y takes it{}", o.from, to(o), remark(o))))
            }
            Some(o) => (Can::Nothing, (Role::Unsure, format!("{} hands it over to {}{}", o.from, to(o), remark(o)))),
            None => match leads {
                Some(user) if user != me => (Can::Nothing, (Role::Dim, format!("{user} leads, and can hand it over"))),
                Some(_) => (Can::Offer, (Role::Dim, "you lead: o hands it over".to_owned())),
                None => (Can::Offer, (Role::Unsure, "nobody leads: a takes it, o offers it".to_owned())),
            },
        };
        // Who cannot hand it over reads how it stands, and why not.
        let head = match &against {
            Some(why) => {
                (Role::Unsure, format!("{}; {why}", leads.map_or("nobody leads".into(), |l| format!("{l} leads"))))
            }
            None if !open => (Role::Dim, "it is over: nothing is handed over any more".to_owned()),
            None => head,
        };
        Capsule {
            incident: incident.to_owned(),
            head: (head.0, crate::text::clean(&head.1).into_owned()),
            lines: handoff::lines(sections),
            can: if open && against.is_none() { can } else { Can::Nothing },
            top: 0,
            mark: app.overlay_count + 1,
            armed: None,
        }
    }

    /// The engine could not be asked: it is said from when this is.
    pub fn of_memory(mut self, app: &App) -> Capsule {
        self.head = (Role::Bad, format!("as it was at {}: the engine does not answer", app.look.hms(app.mirror().at)));
        self.can = Can::Nothing;
        self
    }

    pub(super) fn waits_for(&self) -> Option<u64> {
        self.armed.is_none().then_some(self.mark)
    }

    pub(super) fn drawn(&mut self, mark: u64, at: u64) {
        if mark >= self.mark && self.armed.is_none() {
            self.armed = Some(at);
        }
    }

    pub fn incident(&self) -> &str {
        &self.incident
    }

    pub(super) fn keys(&self) -> Vec<(&'static str, &'static str)> {
        let mut out = match self.can {
            Can::Offer => vec![("o", "hand over")],
            Can::Take => vec![("y", "take it over")],
            Can::Keep => vec![("k", "keep the lead")],
            Can::Nothing => Vec::new(),
        };
        out.extend([("↑↓", "scroll"), ("esc", "back")]);
        out
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent, at: u64) -> Stay {
        let incident = Some(self.incident.clone());
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Stay::Close,
            KeyCode::Down => self.top = (self.top + 1).min(self.lines.len()),
            KeyCode::Up => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown => self.top = (self.top + 10).min(self.lines.len()),
            KeyCode::PageUp => self.top = self.top.saturating_sub(10),
            _ if self.armed.is_none_or(|since| at <= since) => {}
            KeyCode::Char('o') if self.can == Can::Offer => {
                let asked = Asked::HandOver { incident: self.incident.clone() };
                let help = "to whom, and a word for them, as in: ann: the restore is proven, cut over next. \
                            Nothing before the colon: whoever takes it. What is above goes with it.";
                app.open_overlay(Overlay::Prompt(Prompt::new(asked, "hand over the lead", help, "")));
                return Stay::Close;
            }
            KeyCode::Char('y') if self.can == Can::Take => {
                app.act("you lead from now on", Command::TakeOver { incident });
                return Stay::Close;
            }
            KeyCode::Char('k') if self.can == Can::Keep => {
                app.act("you keep the lead", Command::KeepLead { incident, reason: String::new() });
                return Stay::Close;
            }
            _ => {}
        }
        Stay::Open
    }

    pub(super) fn draw(&self, area: Rect, c: &mut Canvas<'_>) {
        let width = area.width.min(116);
        let height = u16::try_from(self.lines.len().min(LINES) + 5).unwrap_or(u16::MAX).min(area.height);
        let title = format!("{}: how it stands", self.incident);
        let inside = window(area, (width, height), &title, false, c);
        c.cut(inside.x, inside.y, inside.width, &self.head.1, self.head.0);
        let room = usize::from(inside.height.saturating_sub(3));
        let top = self.top.min(self.lines.len().saturating_sub(room));
        for (i, line) in self.lines.iter().skip(top).take(room).enumerate() {
            let y = inside.y.saturating_add(1 + u16::try_from(i).unwrap_or(0));
            // The subject stands in a column of its own.
            let (label, rest) = line.split_at(line.char_indices().nth(9).map_or(line.len(), |(at, _)| at));
            let x = c.cut(inside.x, y, inside.width, label, Role::Label);
            let bad = ["OVERDUE", "CONTRADICTED", " DOWN ", " REFUSED", " UNDELIVERED"];
            let role = if bad.iter().any(|word| rest.contains(word)) {
                Role::Bad
            } else if rest.contains("NOBODY") || rest.contains("NOT ACK") || rest.contains("UNKNOWN") {
                Role::Unsure
            } else {
                Role::Text
            };
            c.cut(x, y, inside.right().saturating_sub(x), rest, role);
        }
        if inside.height > 1 {
            let y = inside.bottom() - 1;
            let mut pieces: Vec<(Role, String)> = Vec::new();
            for (key, what) in self.keys() {
                if what == "scroll" && self.lines.len() <= room {
                    continue;
                }
                pieces.push((Role::Key, key.to_owned()));
                pieces.push((Role::KeyDoc, format!(" {what}   ")));
            }
            let pieces: Vec<(Role, &str)> = pieces.iter().map(|(r, t)| (*r, t.as_str())).collect();
            c.line(inside.x, y, inside.width, &pieces);
        }
    }
}

fn to(offer: &Handoff) -> &str {
    offer.to.as_deref().unwrap_or("whoever takes it")
}

fn remark(offer: &Handoff) -> String {
    if offer.remark.is_empty() { String::new() } else { format!(" — {}", offer.remark) }
}
