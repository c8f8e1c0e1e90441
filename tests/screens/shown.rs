//! A screen as text with its roles beside it.

use mayday::viewer::app::App;
use mayday::viewer::screen::Face;
use mayday::viewer::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

/// A theme in which every role has a colour of its own, so that roles can be read back.
fn telling() -> Theme {
    Theme::of("telling", |role| {
        let n = Role::ALL.iter().position(|r| *r == role).unwrap() as u8;
        match role {
            Role::Select | Role::SelectIdle | Role::Match => Style::new().bg(Color::Rgb(0, 0, n + 1)),
            _ => Style::new().fg(Color::Rgb(n + 1, 0, 0)),
        }
    })
}

fn name(n: u8) -> &'static str {
    Role::ALL.get(usize::from(n) - 1).map_or("?", |r| r.name())
}

pub fn buffer(app: &App, w: u16, h: u16) -> Buffer {
    let area = Rect::new(0, 0, w, h);
    let mut buffer = Buffer::empty(area);
    app.draw(area, &mut buffer);
    buffer
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    (0..area.height)
        .map(|y| {
            let mut line = String::new();
            let mut x = 0;
            while x < area.width {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                x += (mayday::text::width(symbol).max(1)) as u16;
            }
            line.trim_end().to_owned()
        })
        .collect()
}

/// Only the text.
pub fn text(app: &App, w: u16, h: u16) -> String {
    lines(&buffer(app, w, h)).join("\n")
}

/// The text, then for each line its roles where they are more than plain text or frame.
pub fn screen(app: &App, w: u16, h: u16) -> String {
    let buffer = with_theme(app, telling(), w, h);
    let mut out = lines(&buffer).join("\n");
    out.push_str("\n--- roles\n");
    for y in 0..h {
        let mut runs: Vec<String> = Vec::new();
        let mut last = None;
        for x in 0..w {
            let cell = &buffer[(x, y)];
            if cell.symbol() == " " && !matches!(cell.bg, Color::Rgb(..)) {
                continue;
            }
            let fg = match cell.fg {
                Color::Rgb(n, ..) if n > 0 => name(n),
                _ => "-",
            };
            let bg = match cell.bg {
                Color::Rgb(_, _, n) if n > 0 => format!("+{}", name(n)),
                _ => String::new(),
            };
            let role = format!("{fg}{bg}");
            if matches!(fg, "text" | "frame" | "frame.focus" | "-") && bg.is_empty() {
                last = None;
                continue;
            }
            if last.as_ref() != Some(&role) {
                runs.push(format!("{x}:{role}"));
                last = Some(role);
            }
        }
        if !runs.is_empty() {
            out.push_str(&format!("{y:>2} {}\n", runs.join(" ")));
        }
    }
    out
}

fn with_theme(app: &App, theme: Theme, w: u16, h: u16) -> Buffer {
    let area = Rect::new(0, 0, w, h);
    let mut buffer = Buffer::empty(area);
    mayday::viewer::draw::draw_with(app, &theme, area, &mut buffer);
    buffer
}
