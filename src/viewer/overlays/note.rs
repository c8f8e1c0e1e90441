//! Writing a note: one key opens it, Enter sends it, and what was written is never lost.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use ratatui_textarea::{TextArea, WrapMode};

use super::Stay;
use crate::viewer::app::App;
use crate::viewer::canvas::Canvas;
use crate::viewer::theme::Role;

/// A note being written.
pub struct Note {
    text: TextArea<'static>,
    incident: Option<String>,
    /// The entry whose wording it becomes, and how that reads now.
    corrects: Option<(u64, String)>,
}

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Note").field("incident", &self.incident).finish_non_exhaustive()
    }
}

/// An editor with `text`, the cursor at its end.
pub fn editor(text: &str) -> TextArea<'static> {
    let mut area = TextArea::new(text.split('\n').map(str::to_owned).collect());
    area.set_wrap_mode(WrapMode::WordOrGlyph);
    area.set_max_histories(50);
    area.set_cursor_line_style(ratatui::style::Style::new());
    area.move_cursor(ratatui_textarea::CursorMove::Bottom);
    area.move_cursor(ratatui_textarea::CursorMove::End);
    area
}

/// Puts pasted text into an editor, cleaned.
pub fn paste_into(area: &mut TextArea<'static>, text: &str) {
    area.insert_str(crate::text::clean_lines(&text.replace('\r', "\n"), 4000));
}

/// Hands a key to an editor. Escapes from a text are not its business.
pub fn type_into(area: &mut TextArea<'static>, key: &KeyEvent) {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('j') if ctrl => area.insert_newline(),
        // Undo and redo as most editors have them; the rest of the control keys as in a shell.
        KeyCode::Char('z') if ctrl => {
            area.undo();
        }
        KeyCode::Char(c) if !ctrl && crate::text::width(c.encode_utf8(&mut [0; 4])) == 0 => {}
        _ => {
            area.input(*key);
        }
    }
}

/// Draws an editor on `area`.
pub fn draw_editor(text: &TextArea<'static>, area: Rect, active: bool, c: &mut Canvas<'_>) {
    let mut shown = text.clone();
    let style = c.theme.style(Role::Text);
    shown.set_style(style);
    let cursor = if active { style.add_modifier(ratatui::style::Modifier::REVERSED) } else { style };
    shown.set_cursor_style(cursor);
    (&shown).render(area.intersection(c.buffer.area), c.buffer);
}

impl Note {
    pub fn new(text: &str, incident: Option<String>) -> Note {
        Note { text: editor(text), incident, corrects: None }
    }

    /// Another wording of a note that reads `now`.
    pub fn correcting(entry: u64, now: &str, text: &str) -> Note {
        Note { text: editor(text), incident: None, corrects: Some((entry, now.to_owned())) }
    }

    /// What Enter does.
    pub(super) fn verb(&self) -> &'static str {
        if self.corrects.is_some() { "correct it" } else { "send" }
    }

    fn written(&self) -> String {
        self.text.lines().join("\n").trim().to_owned()
    }

    pub(super) fn paste(&mut self, text: &str) {
        paste_into(&mut self.text, text);
    }

    pub(super) fn left(&mut self, app: &mut App) {
        if let Some((entry, now)) = &self.corrects {
            let text = self.written();
            if text != now.trim() {
                app.correction = Some((*entry, text));
                app.tell(
                    Role::BannerInfo,
                    format!("what was written is kept: correcting entry {entry} opens it again"),
                );
            }
            return;
        }
        app.note_draft = self.written();
        if !app.note_draft.is_empty() {
            app.tell(Role::BannerInfo, "the text is kept: . opens it again");
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent) -> Stay {
        match key.code {
            KeyCode::Esc => {
                self.left(app);
                Stay::Close
            }
            KeyCode::Enter => {
                let text = self.written();
                if let Some((entry, now)) = &self.corrects {
                    if text.is_empty() {
                        app.tell(Role::BannerInfo, "a note cannot be made empty: hide it with a reason instead");
                        return Stay::Open;
                    }
                    if text == now.trim() {
                        app.tell(Role::BannerInfo, "nothing was changed");
                    } else {
                        app.send_correction(*entry, text);
                    }
                    return Stay::Close;
                }
                if !text.is_empty() {
                    app.send_note(text, self.incident.clone());
                }
                Stay::Close
            }
            _ => {
                type_into(&mut self.text, key);
                Stay::Open
            }
        }
    }

    /// At the bottom, so that what the note is about stays in view.
    pub(super) fn draw(&self, app: &App, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let lines = u16::try_from(self.text.lines().len()).unwrap_or(8);
        let wide: usize =
            self.text.lines().iter().map(|l| crate::text::width(l) / usize::from(area.width.max(8) - 4)).sum();
        let rows = lines.saturating_add(u16::try_from(wide).unwrap_or(0)).clamp(1, 8);
        let height = rows.saturating_add(2).min(area.height);
        let outer = Rect::new(area.x, area.bottom().saturating_sub(height + 1).max(area.y), area.width, height);
        c.clear(outer, Role::Overlay);
        let inside = c.frame(outer, Role::OverlayFrame);
        let title = match (&self.corrects, &self.incident) {
            (Some((entry, _)), _) => format!(" correct entry {entry}; its first wording stays on record "),
            (None, Some(id)) => format!(" note on {id} "),
            (None, None) => " note ".to_owned(),
        };
        c.cut(outer.x.saturating_add(2), outer.y, outer.width.saturating_sub(4), &title, Role::OverlayTitle);
        if app.watched.is_stale() && self.corrects.is_none() {
            let said = " no link: kept until the engine is back ";
            c.put_right(outer.x, outer.right().saturating_sub(2), outer.y, said, Role::BannerWarn);
        }
        draw_editor(&self.text, inside, true, c);
        None
    }
}
