//! All about one thing. A view is a list of lines of pieces; scrolling and drawing are the same for all of them.

use ratatui::layout::Rect;

use super::app::{App, Detail};
use super::canvas::{Canvas, wrap};
use super::layout;
use super::theme::Role;
use crate::text;

pub mod backup;
pub mod entry;
pub mod incident;
pub mod leading;
pub mod output;
pub mod playbook;
pub mod recovery;
pub mod run;
pub mod service;
pub mod step;

/// Lines of pieces, each with its role.
pub type Lines = Vec<Vec<(Role, String)>>;

/// What a view is about.
pub fn title(app: &App) -> String {
    let said = match &app.detail {
        Some(Detail::Service(name)) => format!("service {name}"),
        Some(Detail::Backup(name)) => format!("backup {name}"),
        Some(Detail::Run(id)) => format!("run {id}"),
        Some(Detail::Incident(id)) => format!("incident {id}"),
        Some(Detail::Entry(seq)) => format!("entry {seq}"),
        Some(Detail::Playbook(_)) => match playbook::shown(app) {
            Some(view) => format!("playbook {}", view.play.text.name),
            None => "playbook".to_owned(),
        },
        Some(Detail::Output) => format!("output of {}", app.output.as_ref().map_or("", |o| o.run.as_str())),
        None => String::new(),
    };
    text::clean(&said).into_owned()
}

/// The lines of the open view, wrapped to `columns`.
pub fn lines(app: &App, columns: usize) -> Lines {
    let rows = layout::detail_rows(app, Rect::new(0, 0, app.size.0, app.size.1));
    lines_in(app, columns, rows)
}

/// The same, for a view of this many rows.
fn lines_in(app: &App, columns: usize, rows: usize) -> Lines {
    let mirror = app.mirror();
    let found = match &app.detail {
        Some(Detail::Service(name)) => mirror.services.get(name).map(|v| service::lines(app, v, columns)),
        Some(Detail::Backup(name)) => mirror.backups.get(name).map(|v| backup::lines(app, v, columns)),
        Some(Detail::Run(id)) => mirror.runs.get(id).map(|v| run::lines(app, v, columns)),
        Some(Detail::Incident(id)) => mirror.incidents.get(id).map(|v| incident::lines(app, v, columns)),
        Some(Detail::Playbook(_)) => playbook::shown(app).map(|v| playbook::lines(app, v, columns, rows)),
        Some(Detail::Entry(seq)) => app.timeline.get(*seq).map(|v| entry::lines(app, v, columns)),
        Some(Detail::Output) | None => Some(Vec::new()),
    };
    found.unwrap_or_else(|| vec![vec![(Role::Dim, "it is not known any more; esc goes back".into())]])
}

/// How many lines the open view has.
pub fn count(app: &App, columns: usize) -> usize {
    lines(app, columns).len()
}

/// The open view as plain text, without letters that are pictures.
pub fn text(app: &App, columns: usize) -> Vec<String> {
    lines_in(app, columns, 0).into_iter().map(|l| l.into_iter().map(|(_, t)| t).collect::<String>()).collect()
}

/// Draws the open view.
pub fn draw(app: &App, area: Rect, c: &mut Canvas<'_>) {
    let all = lines_in(app, usize::from(area.width), usize::from(area.height));
    let n = usize::from(area.height);
    let top = app.detail_top.min(all.len().saturating_sub(n));
    for (i, line) in all.iter().skip(top).take(n).enumerate() {
        let y = area.y + u16::try_from(i).unwrap_or(0);
        let mut x = area.x;
        for (role, piece) in line {
            x = c.cut(x, y, area.right().saturating_sub(x), piece, *role);
        }
    }
    if all.len() > n {
        let said = format!(" {}–{} of {} ", top + 1, (top + n).min(all.len()), all.len());
        c.put_right(area.x, area.right(), area.bottom(), &said, Role::Dim);
    }
}

/// Builds lines.
#[derive(Debug)]
pub struct Page {
    pub lines: Lines,
    columns: usize,
    label: usize,
}

/// Columns of the labels at the left.
const LABEL: usize = 13;

impl Page {
    pub fn new(columns: usize) -> Page {
        Page::with_label(columns, LABEL)
    }

    /// With this many columns for the labels at the left.
    pub fn with_label(columns: usize, label: usize) -> Page {
        Page { lines: Vec::new(), columns: columns.max(20), label }
    }

    /// Columns of a line.
    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn push(&mut self, pieces: Vec<(Role, String)>) {
        self.lines.push(pieces.into_iter().map(|(r, t)| (r, text::clean(&t).into_owned())).collect());
    }

    pub fn blank(&mut self) {
        self.lines.push(Vec::new());
    }

    /// A heading, with a blank line before it.
    pub fn heading(&mut self, said: &str) {
        if !self.lines.is_empty() {
            self.blank();
        }
        self.push(vec![(Role::Title, said.to_owned())]);
    }

    /// `label  text`, wrapped.
    pub fn field(&mut self, label: &str, role: Role, value: &str) {
        let value = text::clean_lines(value, 4000);
        for (i, line) in wrap(&value, self.columns.saturating_sub(self.label)).into_iter().enumerate() {
            let label = if i == 0 { label } else { "" };
            self.push(vec![(Role::Label, text::fit(label, self.label)), (role, line)]);
        }
    }

    /// Text, wrapped, indented.
    pub fn text(&mut self, role: Role, indent: usize, value: &str) {
        let value = text::clean_lines(value, 4000);
        for line in wrap(&value, self.columns.saturating_sub(indent)) {
            self.push(vec![(role, format!("{}{line}", " ".repeat(indent)))]);
        }
    }
}
