//! One entry of the record, in full: how it reads, how it was recorded, all that was said of it, and what speaks for it.

use super::{Lines, Page};
use crate::domain::curation::CORRECTED;
use crate::domain::timeline::Row;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::panes::timeline;
use crate::viewer::theme::Role;

/// Columns of the labels at the left.
const LABEL: usize = 13;

pub fn lines(app: &App, row: &Row, columns: usize) -> Lines {
    // With its fields, as soon as the engine has given them.
    let row = app.timeline.open.get(&row.seq).unwrap_or(row);
    let mut page = Page::with_label(columns, LABEL);
    let role = timeline::role(row.level);
    page.text(role, 0, row.written().unwrap_or(&row.text));
    page.blank();
    match row.happened_at {
        Some(at) => {
            page.field("happened", Role::Text, &app.look.full(at));
            page.field("recorded", Role::Text, &app.look.full(row.at));
        }
        None => page.field("happened", Role::Text, &format!("{}, when it was recorded", app.look.full(row.at))),
    }
    let via = if row.via.is_empty() { String::new() } else { format!(" ({})", row.via) };
    page.field("by", Role::Text, &format!("{}{via}", row.actor));
    page.field("kind", Role::Text, &row.kind);
    page.field("position", Role::Text, &row.seq.to_string());
    let title = row.title.as_ref();
    for (label, value) in [
        ("incident", row.incident.as_ref()),
        ("service", row.service.as_ref()),
        ("run", row.run.as_ref()),
        ("under", title),
    ] {
        if let Some(value) = value {
            page.field(label, Role::Text, value);
        }
    }
    standing(app, row, &mut page);
    said(app, row, &mut page);
    original(app, row, &mut page);
    others(app, "evidence", &row.evidence, &mut page);
    others(app, "about", &row.about, &mut page);
    if row.kind == "evidence.added" {
        kept(row, &mut page);
    }
    page.lines
}

/// Whether it stands out or is left out.
fn standing(app: &App, row: &Row, page: &mut Page) {
    if row.pinned {
        page.field("pinned", Role::Key, &format!("{} it stands out in the timeline", app.look.g.pin));
    }
    if row.hidden {
        page.field("hidden", Role::LevelWarn, "left out of the timeline for people; the record keeps it");
    }
}

/// All that was said of it, oldest first.
fn said(app: &App, row: &Row, page: &mut Page) {
    if row.amended.is_empty() {
        return;
    }
    page.heading("what was said of it");
    for a in &row.amended {
        let reason = if a.reason.is_empty() { String::new() } else { format!(": {}", a.reason) };
        let what = match (a.happened_at, &a.text) {
            (Some(at), _) => format!("{} to {}", a.what, app.look.full(at)),
            (None, Some(title)) if a.what != CORRECTED => format!("{} under \"{title}\"", a.what),
            _ => a.what.clone(),
        };
        page.text(Role::Text, 0, &format!("{}  {what} by {} (entry {}){reason}", app.look.full(a.at), a.by, a.seq));
        // The last wording stands above.
        let last = row.amended.iter().rev().find(|b| b.what == CORRECTED).is_some_and(|b| b.seq == a.seq);
        if let Some(text) = a.text.as_ref().filter(|_| a.what == CORRECTED && !last) {
            page.text(Role::LevelDetail, 2, text);
        }
    }
}

/// How it was recorded, where it reads otherwise by now.
fn original(app: &App, row: &Row, page: &mut Page) {
    let Some(original) = &row.original else { return };
    page.heading("as it was recorded");
    let at = original.happened_at.unwrap_or(row.at);
    page.text(Role::Text, 0, &format!("{} by {}", app.look.full(at), row.actor));
    let whole = row.fields.as_ref().filter(|_| row.is_note()).and_then(|f| f.get("text")?.as_str());
    page.text(Role::Text, 0, whole.unwrap_or(&original.text));
}

/// Other entries that have to do with it.
fn others(app: &App, heading: &str, seqs: &[u64], page: &mut Page) {
    if seqs.is_empty() {
        return;
    }
    page.heading(heading);
    for seq in seqs.iter().take(50) {
        let text = app.timeline.open.get(seq).or_else(|| app.timeline.get(*seq)).map_or("", |r| r.text.as_str());
        page.text(Role::Text, 0, &format!("{seq}  {text}"));
    }
    if let Some(more) = seqs.len().checked_sub(50).filter(|n| *n > 0) {
        page.text(Role::Dim, 0, &format!("and {more} more"));
    }
}

/// What is kept, where, and how it begins.
fn kept(row: &Row, page: &mut Page) {
    let Some(fields) = &row.fields else { return };
    let field = |name: &str| fields.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    page.heading("what is kept");
    let incident = row.incident.as_deref().unwrap_or_default();
    page.field("file", Role::Text, &format!("incidents/{incident}/{}", field("file")));
    if let Some(size) = fields.get("size").and_then(serde_json::Value::as_u64) {
        page.field("size", Role::Text, &text::size(size));
    }
    page.field("sha256", Role::Text, field("digest"));
    if fields.get("masked").and_then(serde_json::Value::as_bool) == Some(true) {
        page.field("masked", Role::LevelWarn, "a secret stood in it and was masked before it was kept");
    }
    if !field("excerpt").is_empty() {
        page.blank();
        page.text(Role::Text, 2, field("excerpt"));
    }
}
