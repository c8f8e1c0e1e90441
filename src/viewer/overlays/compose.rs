//! Writing a message to the outside: subject, body, channels, and a preview that is the confirmation.

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui_textarea::TextArea;

use super::note::{draw_editor, editor, paste_into, type_into};
use super::{Line, Stay, window};
use crate::domain::command::Command;
use crate::domain::message::Template;
use crate::domain::playbook::Offer;
use crate::viewer::allowed;
use crate::viewer::app::{App, Pending};
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::theme::Role;
use crate::viewer::why;
use crate::wire::Ask;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Subject,
    Body,
    Channels,
    Preview,
}

/// A message being written.
pub struct Compose {
    template: Template,
    incident: Option<String>,
    subject: Line,
    body: TextArea<'static>,
    channels: Vec<(String, String)>,
    chosen: BTreeSet<String>,
    at: usize,
    stage: Stage,
    top: usize,
    environment: String,
    pub sending: bool,
    /// The playbook whose step it is.
    step: Option<String>,
    /// What was asked for, and its key, which makes a repeat after a lost answer harmless. Other words are another message.
    asked_before: Option<(Command, String)>,
    /// A preview's keys count once its first frame was drawn.
    mark: u64,
    armed: Option<u64>,
}

impl std::fmt::Debug for Compose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compose").field("template", &self.template).field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Compose {
    pub fn new(app: &App, template: Template, subject: &str, body: &str, channels: Vec<String>) -> Compose {
        let facts = &app.mirror().head.channels;
        let kind = |name: &str| facts.iter().find(|c| c.name == name).map(|c| c.kind.clone()).unwrap_or_default();
        let mut text = editor(&crate::text::clean_lines(body.trim_end(), 4000));
        text.move_cursor(ratatui_textarea::CursorMove::Top);
        text.move_cursor(ratatui_textarea::CursorMove::Head);
        Compose {
            template,
            incident: match template {
                Template::Test => None,
                _ => app.incident().map(|i| i.incident.id.clone()),
            },
            subject: Line::new(crate::text::clean(subject).into_owned()),
            body: text,
            chosen: channels.iter().cloned().collect(),
            channels: channels.into_iter().map(|n| (n.clone(), kind(&n))).collect(),
            at: 0,
            stage: Stage::Body,
            top: 0,
            environment: app.environment(),
            sending: false,
            step: None,
            asked_before: None,
            mark: 0,
            armed: None,
        }
    }

    /// Goes straight to the preview, which is the confirmation.
    pub fn preview(&mut self, app: &mut App) {
        self.go(app, Stage::Preview);
        // Opening it counts one more.
        self.mark += 1;
    }

    /// It is for the step that this playbook is at: with its text first, and to its channels.
    pub fn for_step(mut self, app: &App, playbook: Option<String>) -> Compose {
        let offer = playbook.as_ref().and_then(|id| app.mirror().playbooks.get(id)?.offer.clone());
        if let Some(Offer::Message { channels, text, .. }) = offer {
            if !text.is_empty() {
                let body = format!("{}\n\n{}", crate::text::clean_lines(&text, 4000), self.text());
                self.body = editor(&body);
                self.body.move_cursor(ratatui_textarea::CursorMove::Top);
                self.body.move_cursor(ratatui_textarea::CursorMove::Head);
            }
            if !channels.is_empty() {
                self.chosen.retain(|c| channels.contains(c));
            }
        }
        self.step = playbook;
        self
    }

    fn text(&self) -> String {
        self.body.lines().join("\n")
    }

    pub(super) fn waits_for(&self) -> Option<u64> {
        (self.stage == Stage::Preview && self.armed.is_none()).then_some(self.mark)
    }

    pub(super) fn drawn(&mut self, mark: u64, at: u64) {
        if self.stage == Stage::Preview && mark >= self.mark && self.armed.is_none() {
            self.armed = Some(at);
        }
    }

    pub(super) fn paste(&mut self, text: &str) -> bool {
        match self.stage {
            Stage::Subject => self.subject.insert(text),
            Stage::Body => paste_into(&mut self.body, text),
            _ => return false,
        }
        true
    }

    pub(super) fn left(&mut self, app: &mut App) {
        if !self.sending {
            app.record_step(format!("left the {} message without sending it", self.template.word()), None);
        }
    }

    pub(super) fn keys(&self) -> Vec<(&'static str, &'static str)> {
        match self.stage {
            Stage::Preview => vec![("y", "send"), ("esc", "back to the text")],
            Stage::Channels => vec![("space", "mark"), ("tab", "preview"), ("esc", "leave")],
            _ => vec![("tab", "next"), ("shift-tab", "back"), ("esc", "leave")],
        }
    }

    fn go(&mut self, app: &mut App, stage: Stage) {
        self.stage = stage;
        if stage == Stage::Preview {
            app.record_step(format!("opened the preview of the {} message", self.template.word()), None);
            app.overlay_count += 1;
            self.mark = app.overlay_count;
            self.armed = None;
            self.top = 0;
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent, at: u64) -> Stay {
        match (key.code, self.stage) {
            (KeyCode::Esc, Stage::Preview) if self.against(app).is_none() => self.go(app, Stage::Body),
            (KeyCode::Esc, _) => {
                self.left(app);
                return Stay::Close;
            }
            (KeyCode::Tab, Stage::Subject) => self.go(app, Stage::Body),
            (KeyCode::Tab, Stage::Body) => self.go(app, Stage::Channels),
            (KeyCode::Tab | KeyCode::Enter, Stage::Channels) => self.go(app, Stage::Preview),
            (KeyCode::BackTab, Stage::Body) => self.go(app, Stage::Subject),
            (KeyCode::BackTab, Stage::Channels) => self.go(app, Stage::Body),
            (KeyCode::BackTab, Stage::Preview) => self.go(app, Stage::Channels),
            (KeyCode::Enter, Stage::Subject) => self.go(app, Stage::Body),
            (_, Stage::Subject) => {
                self.subject.key(key);
            }
            (_, Stage::Body) => type_into(&mut self.body, key),
            (KeyCode::Up, Stage::Channels) => self.at = self.at.saturating_sub(1),
            (KeyCode::Down, Stage::Channels) => self.at = (self.at + 1).min(self.channels.len().saturating_sub(1)),
            (KeyCode::Char(' '), Stage::Channels) => {
                if let Some((name, _)) = self.channels.get(self.at)
                    && !self.chosen.remove(name)
                {
                    self.chosen.insert(name.clone());
                }
            }
            (KeyCode::Down, Stage::Preview) => self.top += 1,
            (KeyCode::Up, Stage::Preview) => self.top = self.top.saturating_sub(1),
            (KeyCode::Char('y' | 'Y'), Stage::Preview)
                if self.armed.is_some_and(|since| at > since) && !self.sending =>
            {
                let read = crate::viewer::steps::read_for(app, self.armed);
                app.record_step(format!("confirmed with y: send the {} message ({read})", self.template.word()), None);
                self.send(app);
            }
            _ => {}
        }
        Stay::Open
    }

    /// Why it cannot be sent by who reads it.
    fn against(&self, app: &App) -> Option<String> {
        // Of a step the engine says what it needs.
        if self.step.is_some() { why::has_channels(app) } else { allowed::may_send(app) }
    }

    fn send(&mut self, app: &mut App) {
        if let Some(why) = self.against(app) {
            app.tell(Role::BannerInfo, format!("not sent: {why}"));
            return;
        }
        if self.chosen.is_empty() {
            app.tell(Role::BannerInfo, "no channel is marked: shift-tab, space");
            return;
        }
        self.sending = true;
        let channels = self.channels.iter().filter(|(n, _)| self.chosen.contains(n)).map(|(n, _)| n.clone()).collect();
        let command = Command::Send {
            incident: self.incident.clone(),
            template: self.template,
            subject: self.subject.text().to_owned(),
            body: self.text(),
            channels,
        };
        let before = self.asked_before.take().filter(|(asked, _)| *asked == command);
        let key = before.map_or_else(|| uuid::Uuid::now_v7().to_string(), |(_, key)| key);
        self.asked_before = Some((command.clone(), key.clone()));
        app.ask_keyed(Pending::Send, Ask::Do(command).for_step(self.step.clone()), key);
    }

    pub(super) fn draw(&self, app: &App, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let preview = self.stage == Stage::Preview;
        let title = format!(
            "{}{} message · {}",
            if preview { "preview of the " } else { "" },
            self.template.word(),
            self.environment
        );
        let inside = window(area, (92, area.height.saturating_sub(2).max(8)), &title, preview, c);
        if inside.height < 4 {
            return None;
        }
        if preview { self.draw_preview(app, inside, c) } else { self.draw_form(inside, c) }
    }

    fn draw_form(&self, inside: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let mark = |stage: Stage| if self.stage == stage { Role::Strong } else { Role::Label };
        let label = 10.min(inside.width / 3);
        c.put(inside.x, inside.y, label, "subject", mark(Stage::Subject));
        let line = Rect::new(inside.x + label, inside.y, inside.width - label, 1);
        let cursor = self.subject.draw(line, self.stage == Stage::Subject, c);
        let rows = u16::try_from(self.channels.len()).unwrap_or(3).clamp(1, 5).min(inside.height / 3);
        let body_at = inside.y + 1;
        let channels_at = inside.bottom().saturating_sub(rows + 1);
        let body = Rect::new(inside.x, body_at, inside.width, channels_at.saturating_sub(body_at).saturating_sub(1));
        if body.height > 1 {
            c.put(body.x, body.y, body.width, "text", mark(Stage::Body));
            draw_editor(
                &self.body,
                Rect::new(body.x, body.y + 1, body.width, body.height - 1),
                self.stage == Stage::Body,
                c,
            );
        }
        c.put(inside.x, channels_at, label, "channels", mark(Stage::Channels));
        let top = (self.at + 1).saturating_sub(usize::from(rows));
        for (i, (name, kind)) in self.channels.iter().enumerate().skip(top).take(usize::from(rows)) {
            let y = channels_at + u16::try_from(i - top).unwrap_or(0);
            let on = self.chosen.contains(name);
            let sign = if on { c.g.checked } else { c.g.unchecked };
            let x = c.put(line.x, y, line.width, &format!("{sign} {name}"), if on { Role::Text } else { Role::Dim });
            c.put(x + 1, y, line.width, kind, Role::Dim);
            if self.stage == Stage::Channels && i == self.at {
                c.select(Rect::new(line.x, y, line.width, 1), Role::Select);
            }
        }
        let keys = [
            (Role::Key, "tab"),
            (Role::KeyDoc, " next, then the preview   "),
            (Role::Key, "esc"),
            (Role::KeyDoc, " leave"),
        ];
        c.line(inside.x, inside.bottom() - 1, inside.width, &keys);
        cursor
    }

    fn draw_preview(&self, app: &App, inside: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let to: Vec<&str> =
            self.channels.iter().map(|(n, _)| n.as_str()).filter(|n| self.chosen.contains(*n)).collect();
        let to = if to.is_empty() { "nobody: mark a channel".to_owned() } else { to.join(", ") };
        c.line(inside.x, inside.y, inside.width, &[(Role::Label, "to       "), (Role::Strong, &to)]);
        c.line(
            inside.x,
            inside.y + 1,
            inside.width,
            &[(Role::Label, "subject  "), (Role::Strong, self.subject.text())],
        );
        let lines: Vec<String> = wrap(&self.text(), usize::from(inside.width));
        let first = inside.y + 3;
        let n = usize::from(inside.bottom().saturating_sub(first).saturating_sub(2));
        let top = self.top.min(lines.len().saturating_sub(n));
        for (i, line) in lines.iter().skip(top).take(n).enumerate() {
            c.put(inside.x, first + u16::try_from(i).unwrap_or(0), inside.width, line, Role::Text);
        }
        if lines.len() > n {
            let said = format!("{}–{} of {}  ↑↓", top + 1, (top + n).min(lines.len()), lines.len());
            c.put_right(inside.x, inside.right(), inside.y + 2, &said, Role::Dim);
        }
        let bottom = inside.bottom() - 1;
        if self.sending {
            c.put(inside.x, bottom, inside.width, "asked for; waiting for it to be on record", Role::Dim);
        } else if let Some(why) = self.against(app) {
            let said =
                [(Role::Key, "esc"), (Role::KeyDoc, " back   "), (Role::Unsure, "not sent: "), (Role::Unsure, &why)];
            c.line(inside.x, bottom, inside.width, &said);
        } else {
            let keys = [
                (Role::Strong, "Send it?   "),
                (Role::Key, "y"),
                (Role::KeyDoc, " send   "),
                (Role::Key, "esc"),
                (Role::KeyDoc, " back to the text"),
            ];
            c.line(inside.x, bottom, inside.width, &keys);
        }
        None
    }
}
