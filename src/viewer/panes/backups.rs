//! Backup sets, worst first: state, name, age of the newest good copy, its size, room under the RPO.

use std::time::Duration;

use ratatui::layout::Rect;

use crate::domain::backup::BackupState;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::canvas::{Canvas, fit_name};
use crate::viewer::header::{self, coarse};
use crate::viewer::theme::Role;
use crate::wire::{BackupView, NEVER_PROVEN};

/// Room under the RPO, or how far over it.
pub fn headroom(app: &App, view: &BackupView) -> Option<(Role, String)> {
    let rpo = Duration::from_millis(view.rpo_ms?);
    let age = app.watched.ago(view.newest.as_ref()?.as_of());
    Some(match rpo.checked_sub(age) {
        Some(left) => (if left * 8 < rpo { Role::RtoLow } else { Role::Dim }, format!("RPO left {}", coarse(left))),
        None => (Role::RtoOver, format!(" RPO OVER {} ", coarse(age.saturating_sub(rpo)))),
    })
}

pub fn row(app: &App, name: &str, area: Rect, names: u16, c: &mut Canvas<'_>) {
    let Some(view) = app.mirror().backups.get(name) else { return };
    let (sign, role) = header::backup_state(c.g, view.state);
    let stale = app.watched.is_stale();
    let (right, y) = (area.right(), area.y);
    let room = |x: u16| right.saturating_sub(x);
    let word = match view.state {
        BackupState::Missing | BackupState::Stale | BackupState::Suspect => view.state.word().to_uppercase(),
        _ => view.state.word().to_owned(),
    };
    let said = format!("{sign} {word}");
    let end = c.put(area.x, y, room(area.x), &said, if stale { Role::Stale } else { role });
    let mut x = area.x + 2;
    x = end.max(x + 7).saturating_add(1);
    let name_room = usize::from(names.min(area.width * 2 / 5).max(8));
    let strong = if view.state == BackupState::Fresh { Role::Text } else { Role::Strong };
    x = c.put(x, y, room(x), &fit_name(&text::clean(name), name_room), strong);
    if let Some(copy) = &view.newest {
        let age = app.watched.ago(copy.as_of()).as_secs() / 10 * 10;
        let age = text::ago(Duration::from_secs(age));
        x = c.put(x, y, room(x), &format!(" {age:>4}"), Role::Text);
        x = c.put(x, y, room(x), &format!(" {:>7}", copy.size_said()), Role::Dim);
    }
    x = x.saturating_add(2);
    let room_left = headroom(app, view);
    let over = room_left.as_ref().is_some_and(|(role, _)| *role == Role::RtoOver);
    let mut pieces: Vec<(Role, String)> = room_left.into_iter().collect();
    // A copy that is not to be trusted is beside a good one, or is all there is: then the detail says so.
    if let Some(suspect) = view.suspect.as_ref().filter(|_| view.newest.is_some()) {
        let why = suspect.suspect.as_deref().unwrap_or("suspect");
        pieces.push((Role::Unsure, format!("{} newer copy: {why}", app.look.g.degraded)));
    }
    if let Some(problem) = &view.problem {
        pieces.push((Role::Bad, problem.clone()));
    } else if view.state != BackupState::Fresh && !view.detail.is_empty() && !(over && view.newest.is_some()) {
        pieces.push((Role::Text, view.detail.clone()));
    }
    for (role, piece) in pieces {
        if x >= right {
            break;
        }
        x = c.cut(x, y, room(x), &text::clean(&piece), role).saturating_add(1);
    }
    // Whole or not at all: what is cut says nothing, and the preview has it.
    let proof = proof_in_short(app, view);
    let wide = text::width(&proof);
    if wide > 0 && usize::from(room(x)) > wide {
        c.put(x, y, room(x), &format!(" {proof}"), proof_role(view, Role::Dim));
    }
}

fn proof_in_short(app: &App, view: &BackupView) -> String {
    let ago = |at| header::ago(app.watched.ago(at));
    match (&view.test_failed, &view.proven) {
        (Some(test), _) => format!("test FAILED {}", ago(test.at)),
        (None, Some(test)) => format!("proven {}", ago(test.at)),
        (None, None) if view.restorable => NEVER_PROVEN.to_owned(),
        (None, None) => String::new(),
    }
}

/// A test that failed since the last one that went well calls for a look.
pub fn proof_role(view: &BackupView, calm: Role) -> Role {
    if view.test_failed.is_some() { Role::Unsure } else { calm }
}
