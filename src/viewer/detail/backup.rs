//! A backup set: its newest copy, room under the RPO, all copies.

use std::time::Duration;

use super::{Lines, Page};
use crate::domain::backup::proof::Proof;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::header::{self, coarse};
use crate::viewer::panes::backups;
use crate::viewer::theme::Role;
use crate::wire::BackupView;

pub fn lines(app: &App, view: &BackupView, columns: usize) -> Lines {
    let mut page = Page::new(columns);
    let (sign, role) = header::backup_state(&app.look.g, view.state);
    page.push(vec![(role, format!("{sign} {}", view.state.word().to_uppercase()))]);
    if !view.detail.is_empty() {
        page.text(Role::Strong, 0, &view.detail);
    }
    if let Some(problem) = &view.problem {
        page.text(Role::Bad, 0, problem);
    }
    page.blank();
    if let Some(service) = &view.service {
        page.field("service", Role::Text, service);
    }
    if !view.place.is_empty() {
        page.field("place", Role::Text, &view.place);
    }
    if let Some(copy) = &view.newest {
        let age = coarse(app.watched.ago(copy.taken_at));
        page.field("newest good", Role::Text, &format!("{}   {age} old", app.look.full(copy.taken_at)));
        page.field("", Role::Dim, &copy.place);
        if let Some(at) = copy.reaches {
            let age = coarse(app.watched.ago(at));
            page.field("log reaches", Role::Text, &format!("{}   {age} old", app.look.full(at)));
        }
    }
    if let Some(copy) = &view.suspect {
        let why = copy.suspect.as_deref().unwrap_or("not to be trusted");
        page.field("newer, but", Role::Bad, &format!("{}: {why}", copy.id));
    }
    if let Some(rpo) = view.rpo_ms {
        let now = backups::headroom(app, view);
        let role = if now.as_ref().is_some_and(|(r, _)| *r == Role::RtoOver) { Role::Bad } else { Role::Text };
        let now = now.map(|(_, t)| format!("   {}", t.trim())).unwrap_or_default();
        page.field("RPO", role, &format!("{}{now}", text::duration(Duration::from_millis(rpo))));
    }
    if let Some(every) = view.every_ms {
        page.field("made every", Role::Text, &text::duration(Duration::from_millis(every)));
    }
    if let Some(due) = view.next_due {
        let late = app.watched.engine_now() > due;
        let said = format!("{}{}", app.look.full(due), if late { "   OVERDUE" } else { "" });
        page.field("next due", if late { Role::Bad } else { Role::Text }, &said);
    }
    let past = app.past.is_some();
    let copies = text::plural(view.count, "copy").replace("copys", "copies");
    if !past {
        page.field("kept", Role::Text, &format!("{copies}, {} in all", text::size(view.total_size)));
    }
    if let Some(at) = view.scanned_at {
        let ago = coarse(app.watched.ago(at));
        page.field("looked at", Role::Dim, &if ago == "now" { "just now".into() } else { format!("{ago} ago") });
    }
    let restore = if view.restorable { "R: choose a copy" } else { "none is configured: add restore = { … }" };
    page.field("restore", Role::Text, restore);
    let ago = |at| header::ago(app.watched.ago(at));
    if let Some(test) = &view.proven {
        page.field("proven", Role::Text, &format!("{} by run {}   copy {}", ago(test.at), test.run, test.copy));
    } else if view.restorable {
        page.field("proven", Role::Text, "never: R, then tab for a test only");
    }
    if let Some(test) = &view.test_failed {
        page.field("test FAILED", Role::Bad, &format!("{} by run {}   copy {}", ago(test.at), test.run, test.copy));
        page.field("", Role::Text, &test.detail);
    }
    page.heading("copies, newest first");
    match &app.copies {
        Some((of, copies)) if *of == view.name => {
            for copy in copies.iter().take(500) {
                let mut line = vec![
                    (Role::Text, app.look.full(copy.taken_at)),
                    (Role::Dim, format!("  {:>6} old", text::ago(app.watched.ago(copy.taken_at)))),
                    (Role::Text, format!("  {:>8}", copy.size_said())),
                    (Role::Dim, format!("  {}", copy.format)),
                ];
                line.push((Role::Text, format!("  {}", copy.id)));
                page.push(line);
                if let Some(why) = &copy.suspect {
                    page.text(Role::Bad, 4, &format!("{} suspect: {why}", app.look.g.degraded));
                } else if !copy.note.is_empty() {
                    page.text(Role::Dim, 4, &copy.note);
                }
                let proof = Proof::of_copy(&view.tests, &copy.id);
                let role = if proof.failed.is_some() { Role::Bad } else { Role::Good };
                if proof != Proof::default() {
                    page.text(role, 4, &proof.said(ago));
                }
            }
            if copies.is_empty() {
                page.text(Role::Dim, 0, "none");
            }
        }
        _ if past => page.text(Role::Dim, 0, "which copies lay there then is not on record; the newest one is, above"),
        _ => page.text(Role::Dim, 0, "asking the engine"),
    }
    page.lines
}
