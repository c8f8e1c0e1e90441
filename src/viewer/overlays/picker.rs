//! Choosing from a list by moving and by typing. Help and the palette are pickers too.

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::layout::Rect;

use super::{Line, Stay, window};
use crate::domain::run::Work;
use crate::viewer::app::App;
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::theme::Role;

/// What is being chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// A command, from help or the palette.
    Command,
    Severity {
        incident: String,
    },
    Status {
        incident: String,
    },
    Service(Verb),
    Backup,
    Copy {
        backup: String,
        test: bool,
    },
    Action,
    Affected {
        incident: String,
        before: BTreeSet<String>,
    },
    Theme {
        before: String,
    },
    Template,
}

/// What is done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Restart,
    Stop,
    Start,
}

impl Verb {
    pub const fn word(self) -> &'static str {
        match self {
            Verb::Restart => "restart",
            Verb::Stop => "stop",
            Verb::Start => "start",
        }
    }

    pub fn work(self, service: String) -> Work {
        match self {
            Verb::Restart => Work::Restart { service },
            Verb::Stop => Work::Stop { service },
            Verb::Start => Work::Start { service },
        }
    }
}

/// One row to choose.
#[derive(Clone, Debug)]
pub struct Item {
    pub id: String,
    pub label: String,
    pub detail: String,
    pub role: Role,
    /// At the right: keys, mostly.
    pub hint: String,
    /// Why it cannot be chosen.
    pub off: Option<String>,
}

impl Item {
    pub fn new(id: impl Into<String>, label: impl Into<String>, detail: impl Into<String>) -> Item {
        Item {
            id: id.into(),
            label: label.into(),
            detail: detail.into(),
            role: Role::Text,
            hint: String::new(),
            off: None,
        }
    }
}

/// A list to choose from.
#[derive(Debug)]
pub struct Picker {
    pub pick: Pick,
    pub title: String,
    /// Lines above the list.
    pub head: Vec<(Role, String)>,
    pub query: Line,
    pub items: Vec<Item>,
    /// Indices of the items that match, best first.
    pub shown: Vec<usize>,
    pub sel: usize,
    /// Several can be chosen: ids that are.
    pub chosen: Option<BTreeSet<String>>,
}

impl Picker {
    pub fn of(pick: Pick, title: impl Into<String>, items: Vec<Item>) -> Picker {
        let shown = (0..items.len()).collect();
        // Help and palette begin at the top; a choice begins at the first that can be chosen.
        let first = items.iter().position(|i| i.off.is_none()).filter(|_| pick != Pick::Command).unwrap_or(0);
        Picker {
            pick,
            title: title.into(),
            head: Vec::new(),
            query: Line::default(),
            items,
            shown,
            sel: first,
            chosen: None,
        }
    }

    /// The item under the bar.
    pub fn current(&self) -> Option<&Item> {
        self.shown.get(self.sel).and_then(|i| self.items.get(*i))
    }

    fn refilter(&mut self) {
        self.sel = 0;
        let query = self.query.text().trim();
        if query.is_empty() {
            self.shown = (0..self.items.len()).collect();
            return;
        }
        let pattern = Pattern::parse(query, CaseMatching::Smart, Normalization::Smart);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut buffer = Vec::new();
        let mut found: Vec<(u32, usize)> = self
            .items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| {
                let mut score = |text: &str| pattern.score(Utf32Str::new(text, &mut buffer), &mut matcher);
                // A hit in the name weighs more than one in the description.
                let label = score(&item.label).or_else(|| score(&item.id)).map(|s| s * 4);
                label.or_else(|| score(&format!("{} {}", item.label, item.detail))).map(|s| (s, i))
            })
            .collect();
        found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        self.shown = found.into_iter().map(|(_, i)| i).collect();
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.query.insert(text);
        self.refilter();
    }

    pub(super) fn left(&mut self, app: &mut App) {
        match &self.pick {
            Pick::Theme { before } => {
                let _ = app.look.choose(before);
            }
            Pick::Copy { backup, .. } => {
                app.record_step(format!("left restore of {backup} without choosing a copy"), Some(backup.clone()));
            }
            _ => {}
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent) -> Stay {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let last = self.shown.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => {
                if self.query.text().is_empty() {
                    self.left(app);
                    return Stay::Close;
                }
                self.query = Line::default();
                self.refilter();
            }
            KeyCode::Enter => return self.enter(app),
            KeyCode::Down => self.sel = (self.sel + 1).min(last),
            KeyCode::Up => self.sel = self.sel.saturating_sub(1),
            KeyCode::Char('n') if ctrl => self.sel = (self.sel + 1).min(last),
            KeyCode::Char('p') if ctrl => self.sel = self.sel.saturating_sub(1),
            KeyCode::PageDown => self.sel = (self.sel + 10).min(last),
            KeyCode::PageUp => self.sel = self.sel.saturating_sub(10),
            KeyCode::Home => self.sel = 0,
            KeyCode::End => self.sel = last,
            KeyCode::Char(' ') if self.chosen.is_some() => {
                let id = self.current().map(|i| i.id.clone());
                if let (Some(chosen), Some(id)) = (&mut self.chosen, id)
                    && !chosen.remove(&id)
                {
                    chosen.insert(id);
                }
            }
            KeyCode::Tab => {
                if let Pick::Copy { test, .. } = &mut self.pick {
                    *test = !*test;
                }
            }
            _ => {
                if self.query.key(key) {
                    self.refilter();
                }
            }
        }
        if let (Pick::Theme { .. }, Some(item)) = (&self.pick, self.current()) {
            let _ = app.look.choose(&item.id);
        }
        Stay::Open
    }

    fn enter(&mut self, app: &mut App) -> Stay {
        if let Some(chosen) = self.chosen.take() {
            super::picked::several(app, &self.pick, &chosen);
            return Stay::Close;
        }
        let Some(item) = self.current().cloned() else { return Stay::Open };
        if let Some(why) = &item.off {
            app.tell(Role::BannerInfo, format!("{}: {why}", item.label.trim()));
            return Stay::Open;
        }
        super::picked::one(app, &self.pick, &item);
        Stay::Close
    }

    pub(super) fn keys(&self) -> Vec<(&'static str, &'static str)> {
        let mut out = vec![("enter", if self.chosen.is_some() { "done" } else { "choose" })];
        if self.chosen.is_some() {
            out.push(("space", "mark"));
        }
        if matches!(self.pick, Pick::Copy { .. }) {
            out.push(("tab", "test only or for real"));
        }
        out.extend([("type", "to find"), ("esc", "back")]);
        out
    }

    fn head(&self) -> Vec<(Role, String)> {
        let mut out = self.head.clone();
        if let Pick::Copy { test, .. } = &self.pick {
            out.push(if *test {
                (Role::Strong, "test only: restored beside the live data, proven, dropped again   (tab changes)".into())
            } else {
                (
                    Role::Strong,
                    "restored beside the live data; the cut-over is a step of its own   (tab changes)".into(),
                )
            });
        }
        out
    }

    pub(super) fn draw(&self, _app: &App, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let wide = matches!(self.pick, Pick::Command | Pick::Copy { .. });
        let width = if wide { 110 } else { 76 }.min(area.width.saturating_sub(if area.width > 70 { 4 } else { 0 }));
        let text = usize::from(width.saturating_sub(4));
        let head: Vec<(Role, String)> = self
            .head()
            .into_iter()
            .flat_map(|(role, line)| wrap(&line, text).into_iter().map(move |l| (role, l)))
            .collect();
        let head_rows = u16::try_from(head.len()).unwrap_or(4).min(area.height / 3);
        let rows = u16::try_from(self.items.len()).unwrap_or(u16::MAX).max(1);
        let height =
            rows.saturating_add(head_rows + 6).min(area.height.saturating_sub(if area.height > 20 { 2 } else { 0 }));
        let inside = window(area, (width, height), &self.title, false, c);
        let mut y = inside.y;
        for (role, line) in head.iter().take(usize::from(head_rows)) {
            c.cut(inside.x, y, inside.width, line, *role);
            y += 1;
        }
        let x = c.put(inside.x, y, inside.width, "/ ", Role::Key);
        let room = inside.right().saturating_sub(x);
        let count = format!("{} of {}", self.shown.len(), self.items.len());
        let line = Rect::new(x, y, room.saturating_sub(16), 1).intersection(inside);
        let cursor = self.query.draw(line, true, c);
        c.put_right(x, inside.right(), y, &count, Role::Dim);
        y += 1;
        let first = y.saturating_add(u16::from(inside.bottom().saturating_sub(y) > 6));
        let foot = 2u16;
        let n = usize::from(inside.bottom().saturating_sub(first).saturating_sub(foot));
        let top = (self.sel + 1).saturating_sub(n.max(1));
        let label = self.label_width(inside.width);
        for (row, at) in self.shown.iter().skip(top).take(n).enumerate() {
            let Some(item) = self.items.get(*at) else { continue };
            let y = first.saturating_add(u16::try_from(row).unwrap_or(0));
            self.row(item, Rect::new(inside.x, y, inside.width, 1), label, c);
            if top + row == self.sel {
                c.select(Rect::new(inside.x, y, inside.width, 1), Role::Select);
            }
        }
        if self.shown.is_empty() && n > 0 {
            c.put(inside.x, first, inside.width, "nothing matches", Role::Dim);
        }
        // What stands against the selected row, or what it is, in full.
        if let Some(item) = self.current()
            && inside.height > 4
        {
            let y = inside.bottom() - 1;
            match &item.off {
                Some(why) => c.cut(inside.x, y, inside.width, &format!("not now: {why}"), Role::Unsure),
                None => c.cut(inside.x, y, inside.width, &item.detail, Role::Dim),
            };
        }
        cursor
    }

    fn label_width(&self, room: u16) -> u16 {
        let most = self.items.iter().take(400).map(|i| crate::text::width(&i.label)).max().unwrap_or(10);
        u16::try_from(most + 2).unwrap_or(40).min(room / 2).max(8)
    }

    fn row(&self, item: &Item, area: Rect, label: u16, c: &mut Canvas<'_>) {
        let mut x = area.x;
        if let Some(chosen) = &self.chosen {
            let on = chosen.contains(&item.id);
            let sign = if on { c.g.checked } else { c.g.unchecked };
            x = c.put(x, area.y, 2, &format!("{sign} "), if on { Role::Strong } else { Role::Dim });
        }
        let off = item.off.is_some();
        c.cut(
            x,
            area.y,
            label.min(area.right().saturating_sub(x)),
            &item.label,
            if off { Role::KeyOff } else { item.role },
        );
        let mut end = area.right();
        if !item.hint.is_empty() {
            end = c.put_right(x + label, area.right(), area.y, &item.hint, if off { Role::KeyOff } else { Role::Key });
        }
        let x = x.saturating_add(label);
        let room = end.saturating_sub(x).saturating_sub(1);
        c.cut(x, area.y, room, &item.detail, if off { Role::KeyOff } else { Role::Dim });
    }
}
