//! Whom to call, the number, and the sentence to read aloud. Needs nothing but what the screen has: it works without a
//! link too, and what is logged meanwhile is kept as a note.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::{Stay, window};
use crate::domain::command::Command;
use crate::domain::escalation::Reached;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::theme::Role;
use crate::viewer::why;
use crate::wire::{IncidentView, ToCall, whom_to_call};

/// The contacts, one of them chosen by name.
#[derive(Debug)]
pub struct Contacts {
    incident: Option<String>,
    chosen: String,
}

fn view<'a>(app: &'a App, id: Option<&String>) -> Option<&'a IncidentView> {
    id.and_then(|id| app.mirror().incidents.get(id))
}

fn order<'a>(app: &'a App, id: Option<&String>) -> Vec<ToCall<'a>> {
    let head = &app.mirror().head;
    whom_to_call(&head.contacts, &head.severities, view(app, id))
}

impl Contacts {
    pub fn new(app: &App) -> Contacts {
        let incident = app.incident().filter(|i| i.incident.status.is_open()).map(|i| i.incident.id.clone());
        // Who answers is not called again by a careless key: the first one that did not.
        let all = order(app, incident.as_ref());
        let first = all.iter().find(|one| one.call.is_none_or(|c| !c.answered)).or(all.first());
        let chosen = first.map(|one| one.contact.name.clone()).unwrap_or_default();
        Contacts { incident, chosen }
    }

    fn at(&self, all: &[ToCall<'_>]) -> usize {
        all.iter().position(|one| one.contact.name == self.chosen).unwrap_or(0)
    }

    fn step(&mut self, app: &App, by: isize) {
        let all = order(app, self.incident.as_ref());
        let at = self.at(&all).saturating_add_signed(by).min(all.len().saturating_sub(1));
        if let Some(one) = all.get(at) {
            self.chosen = one.contact.name.clone();
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent) -> Stay {
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Stay::Close,
            KeyCode::Down | KeyCode::Char('j') => self.step(app, 1),
            KeyCode::Up | KeyCode::Char('k') => self.step(app, -1),
            KeyCode::Char('y') => self.log(app, true),
            KeyCode::Char('n') => self.log(app, false),
            _ => {}
        }
        Stay::Open
    }

    /// A contact was called.
    fn log(&mut self, app: &mut App, answered: bool) {
        let all = order(app, self.incident.as_ref());
        let Some(contact) = all.get(self.at(&all)).map(|one| one.contact.name.clone()) else { return };
        let said = format!("called {contact}: {}", if answered { "answered" } else { "no answer" });
        if let Some(why) = why::not_read_only(app) {
            app.tell(Role::BannerWarn, why);
            return;
        }
        let incident = self.incident.clone();
        if why::may_act(app).is_some() {
            // A call that was made is never lost: kept, and handed over when the engine is back.
            app.send_note(said, incident);
        } else {
            app.act(said, Command::ContactCalled { incident, contact, answered, note: String::new() });
        }
        if !answered {
            // The next one to dial.
            self.step(app, 1);
        }
    }

    pub(super) fn draw(&self, app: &App, area: Rect, c: &mut Canvas<'_>) {
        let all = order(app, self.incident.as_ref());
        let found = view(app, self.incident.as_ref());
        let title = match found {
            Some(v) => format!("whom to call · {} {}", v.incident.severity, v.incident.id),
            None => "whom to call".to_owned(),
        };
        let width = area.width.min(100);
        let columns = usize::from(width.saturating_sub(4));
        let mut head: Vec<(Role, String)> = Vec::new();
        if let Some(v) = found {
            if let Some(state) = ladder(app, v) {
                head.push(state);
            }
            if !v.leading.say.is_empty() {
                head.extend(wrap(&format!("SAY: {}", v.leading.say), columns).into_iter().map(|l| (Role::Strong, l)));
            }
        }
        let chosen = self.at(&all);
        let foot: Vec<(Role, String)> = all.get(chosen).map(|one| about(app, one, columns)).unwrap_or_default();
        let rows = all.len().max(1);
        let height = u16::try_from(head.len() + rows + foot.len() + 6).unwrap_or(u16::MAX).min(area.height);
        let inside = window(area, (width, height), &title, false, c);
        if inside.height < 3 {
            return;
        }
        let bottom = inside.bottom() - 1;
        let mut y = inside.y;
        // In a small window the numbers matter more than the sentence.
        let room = usize::from(inside.height).saturating_sub(3 + foot.len().min(3));
        for (role, line) in head.iter().take(room.saturating_sub(3.min(rows))) {
            c.cut(inside.x, y, inside.width, line, *role);
            y += 1;
        }
        if !head.is_empty() && y + 4 < bottom {
            y += 1;
        }
        let keep = u16::try_from(foot.len() + 1).unwrap_or(4).min(inside.height / 3);
        let n = usize::from(bottom.saturating_sub(y).saturating_sub(keep)).max(1);
        let top = (chosen + 1).saturating_sub(n);
        for (at, one) in all.iter().enumerate().skip(top).take(n) {
            row(app, one, Rect::new(inside.x, y, inside.width, 1), c);
            if at == chosen {
                c.select(Rect::new(inside.x, y, inside.width, 1), Role::Select);
            }
            y += 1;
        }
        if all.is_empty() {
            c.cut(inside.x, y, inside.width, "no contact is configured: add a [[contact]] to mayday.toml", Role::Dim);
        }
        for (role, line) in foot {
            if y + 1 < bottom {
                y += 1;
                c.cut(inside.x, y, inside.width, &line, role);
            }
        }
        let keys = [
            (Role::Key, "y"),
            (Role::KeyDoc, " called, answered   "),
            (Role::Key, "n"),
            (Role::KeyDoc, " called, no answer   "),
            (Role::Key, "j k"),
            (Role::KeyDoc, " others   "),
            (Role::Key, "esc"),
            (Role::KeyDoc, " back"),
        ];
        c.line(inside.x, bottom, inside.width, &keys);
    }
}

fn ladder(app: &App, v: &IncidentView) -> Option<(Role, String)> {
    let i = &v.incident;
    if let Some(by) = &i.acknowledged_by {
        return Some((Role::Good, format!("acknowledged by {by}; led by {}", i.commander().unwrap_or("nobody"))));
    }
    let e = &i.clock.escalation;
    if e.ended.is_some() {
        return Some((Role::Bad, "EVERY LEVEL WAS CALLED AND NOBODY ACKNOWLEDGED: call by phone, now".into()));
    }
    let last = e.called.last()?;
    let next = match &v.leading.next_level {
        Some(next) => match &next.level {
            Some((level, name)) => format!("; level {level} ({name}) at {}", app.look.hms(next.at)),
            None => format!("; nobody is left after {}", app.look.hms(next.at)),
        },
        None => String::new(),
    };
    let reached = v.leading.reached.last();
    let role = if reached.is_some_and(Reached::is_nobody) { Role::Bad } else { Role::Unsure };
    let said = reached.map(|r| format!(": {}", r.said())).unwrap_or_default();
    Some((role, format!("level {} ({}) {}{said}{next}", last.level, last.name, app.look.hms(last.at))))
}

fn row(app: &App, one: &ToCall<'_>, area: Rect, c: &mut Canvas<'_>) {
    let contact = one.contact;
    let level = match one.level {
        Some((n, name)) => format!("{n} {name}"),
        None if contact.vendor => "supplier".into(),
        None => String::new(),
    };
    let wide = area.width >= 70;
    let role = if one.now { Role::Strong } else { Role::Text };
    let mark = if one.now { c.g.arrow } else { " " };
    let x = c.put(area.x, area.y, 2, mark, role) + 1;
    let level_wide = if wide { 16 } else { 10 };
    c.put(x, area.y, level_wide, &text::width::cut(&level, usize::from(level_wide) - 1), Role::Label);
    let x = x + level_wide;
    let name_wide = if wide { 20 } else { 14 };
    let name = text::clean(&contact.name);
    c.cut(x, area.y, (name_wide - 1).min(area.right().saturating_sub(x)), &name, role);
    let x = x + name_wide;
    let phone = if contact.phone.is_empty() { "no number" } else { contact.phone.as_str() };
    let x = c.cut(x, area.y, area.right().saturating_sub(x), &text::clean(phone), role);
    let said = match one.call {
        Some(call) if call.answered => Some((Role::Good, format!("answered {}", app.look.hm(call.at)))),
        Some(call) => {
            let times = if call.times > 1 { format!(" ({}x)", call.times) } else { String::new() };
            Some((Role::Unsure, format!("no answer {}{times}", app.look.hm(call.at))))
        }
        None => one.called.as_ref().map(|reached| match reached {
            Reached::Accepted(_) => (Role::Dim, "message accepted".into()),
            Reached::OnTheWay => (Role::Dim, "message under way".into()),
            Reached::NoChannel => (Role::Unsure, "call by phone".into()),
            Reached::Nobody(_) => (Role::Bad, "NOT REACHED".into()),
        }),
    };
    if let Some((role, said)) = said {
        c.put_right((x + 2).min(area.right()), area.right(), area.y, &said, role);
    }
}

/// The chosen one in full.
fn about(app: &App, one: &ToCall<'_>, columns: usize) -> Vec<(Role, String)> {
    let contact = one.contact;
    let mut out = vec![(Role::Title, format!("{}   {}", text::clean(&contact.name), text::clean(&contact.phone)))];
    let mut parts: Vec<String> = Vec::new();
    if !contact.roles.is_empty() {
        parts.push(contact.roles.join(", "));
    }
    parts.extend([&contact.address, &contact.hours, &contact.notes].into_iter().filter(|t| !t.is_empty()).cloned());
    if !contact.channels.is_empty() {
        parts.push(format!("told via {}", contact.channels.join(", ")));
    }
    if let Some(call) = one.call {
        parts.push(format!("last called {} by {}", app.look.hms(call.at), call.by));
    }
    out.extend(wrap(&text::clean(&parts.join(" · ")), columns).into_iter().map(|l| (Role::Dim, l)));
    out
}
