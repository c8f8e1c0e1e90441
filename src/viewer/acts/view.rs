//! Moving about and changing what is shown.

use crate::viewer::app::{App, Detail, Pane, Pending};
use crate::viewer::overlays::{Overlay, Picker};
use crate::viewer::past::Move;
use crate::viewer::rows::Scope;
use crate::viewer::screen::Effect;
use crate::viewer::theme::{NAMES, Role};
use crate::viewer::{detail, layout, panes};
use crate::wire::Ask;
use ratatui::layout::Rect;

fn area(app: &App) -> Rect {
    Rect::new(0, 0, app.size.0, app.size.1)
}

pub fn pane(app: &mut App, number: usize) {
    if let Some(pane) = Pane::ALL.get(number) {
        app.pane = *pane;
        app.detail = None;
        app.detail_top = 0;
    }
}

pub fn pane_by(app: &mut App, by: usize) {
    let at = Pane::ALL.iter().position(|p| *p == app.pane).unwrap_or(0);
    pane(app, (at + by) % Pane::ALL.len());
}

/// How many items the checklist has that a playbook is at.
fn ticks(app: &App) -> Option<usize> {
    let play = &detail::playbook::shown(app)?.play;
    detail::playbook::checklist(app, play).map(|c| c.list.items.len())
}

/// Rows of the list, or lines of the view that is open.
pub fn step(app: &mut App, by: isize) {
    match &app.detail {
        None => {
            let pane = app.pane;
            app.list_mut(pane).step(by);
            if pane == Pane::Incident {
                app.rebuild(Pane::Timeline);
            }
        }
        Some(Detail::Output) => {
            let height = layout::detail_rows(app, area(app));
            let columns = layout::parts(app, area(app)).detail.map_or(70, |r| r.width.saturating_sub(2));
            if let Some(output) = &mut app.output {
                let last = output.last_top(height, detail::output::columns(columns));
                output.top = output.top.saturating_add_signed(by).min(last);
                output.follow = output.top >= last && by > 0;
            }
        }
        Some(Detail::Playbook(_)) if by.unsigned_abs() == 1 && ticks(app).is_some() => {
            let last = ticks(app).unwrap_or(1).saturating_sub(1);
            app.tick_at = app.tick_at.saturating_add_signed(by).min(last);
        }
        Some(_) => {
            let a = area(app);
            let last = detail::count(app, layout::detail_columns(app, a)).saturating_sub(layout::detail_rows(app, a));
            app.detail_top = app.detail_top.saturating_add_signed(by).min(last);
        }
    }
}

pub fn page(app: &mut App, direction: isize, part: usize) {
    let rows = match app.detail {
        None => layout::rows_of(app, area(app), app.pane),
        Some(_) => layout::detail_rows(app, area(app)),
    };
    let by = isize::try_from((rows / part).max(1)).unwrap_or(1);
    step(app, by * direction);
}

pub fn open(app: &mut App) {
    if app.detail.is_some() {
        if let Some(Detail::Run(id)) = app.detail.clone() {
            app.open_output(&id);
        }
        return;
    }
    let key = app.list(app.pane).key().map(str::to_owned);
    app.detail_top = 0;
    app.detail = match (app.pane, key) {
        (Pane::Services, Some(name)) => Some(Detail::Service(name)),
        (Pane::Backups, Some(name)) if app.past.is_some() => Some(Detail::Backup(name)),
        (Pane::Backups, Some(name)) => {
            app.ask(Pending::Copies { backup: name.clone(), choose: false }, Ask::Copies { backup: name.clone() });
            Some(Detail::Backup(name))
        }
        (Pane::Timeline, Some(key)) => match key.trim_start_matches('t').parse() {
            Ok(seq) => return app.open_entry(seq),
            Err(_) => None,
        },
        (Pane::Runs, Some(id)) => Some(Detail::Run(id)),
        (Pane::Incident, Some(id)) => Some(Detail::Incident(id)),
        _ => None,
    };
}

pub fn filter(app: &mut App) {
    match app.detail {
        None | Some(Detail::Output) => app.filtering = true,
        Some(_) => app.tell(Role::BannerInfo, "nothing to filter here"),
    }
}

fn go_match(app: &mut App, backwards: bool) {
    if app.detail == Some(Detail::Output) {
        if let Some(output) = &mut app.output {
            let from = if backwards { output.top } else { output.top + 1 };
            if let Some(at) = output.find(from, backwards) {
                output.follow = false;
                output.top = at;
            }
        }
        return;
    }
    // Only rows that match are shown, so the next match is the next row; at the end it begins again.
    let pane = app.pane;
    let list = app.list_mut(pane);
    let last = list.rows.len().saturating_sub(1);
    match (backwards, list.sel) {
        (false, at) if at >= last => list.step(isize::MIN),
        (true, 0) => list.step(isize::MAX),
        (false, _) => list.step(1),
        (true, _) => list.step(-1),
    }
}

pub fn next_match(app: &mut App) {
    go_match(app, false);
}

pub fn previous_match(app: &mut App) {
    go_match(app, true);
}

pub fn follow(app: &mut App) {
    if let Some(output) = &mut app.output {
        output.follow = !output.follow;
    }
}

pub fn scope(app: &mut App) {
    app.timeline.scope = app.timeline.scope.next();
    let said = match app.timeline.scope {
        Scope::Story => "the timeline: as it was corrected, without details and what is hidden",
        Scope::All => "everything: the record as it was written, with each correction",
        Scope::Incident => "the timeline of this incident alone",
    };
    app.tell(Role::Dim, said);
    app.rebuild(Pane::Timeline);
}

pub fn refresh(app: &mut App) {
    let (service, backup) =
        (app.selected_service().map(|s| s.name.clone()), app.selected_backup().map(|b| b.name.clone()));
    let what = service.clone().or_else(|| backup.clone()).unwrap_or_else(|| "everything".into());
    app.tell(Role::Dim, format!("looking at {what} again"));
    app.ask(Pending::Done(format!("look at {what}")), Ask::Refresh { service, backup });
}

pub fn refresh_all(app: &mut App) {
    app.tell(Role::Dim, "looking at everything again");
    app.ask(Pending::Done("look at everything".into()), Ask::Refresh { service: None, backup: None });
}

pub fn freeze(app: &mut App) {
    if app.frozen.take().is_some() {
        app.rebuild_all();
    } else {
        app.frozen = Some((Box::new(app.watched.mirror.clone()), app.watched.now.ms()));
    }
}

pub fn copy(app: &mut App) {
    let text = if let Some(d) = &app.detail {
        let lines = match d {
            Detail::Output => app.output.iter().flat_map(|o| o.lines.iter().cloned()).collect::<Vec<_>>(),
            _ => detail::text(app, 200),
        };
        lines.join("\n")
    } else {
        row_text(app).unwrap_or_default()
    };
    let n = text.chars().count();
    app.effect(Effect::Copy(text));
    app.tell(Role::LevelGood, format!("{n} characters sent to your terminal's clipboard"));
}

fn row_text(app: &App) -> Option<String> {
    let key = app.list(app.pane).key()?;
    let mirror = app.mirror();
    Some(match app.pane {
        Pane::Services => {
            let s = mirror.services.get(key)?;
            format!("{} {} since {} {}", s.name, s.state.word(), s.since, s.detail)
        }
        Pane::Backups => {
            let b = mirror.backups.get(key)?;
            let copy = b.newest.as_ref().map(|c| format!(" {} of {}", c.place, c.taken_at)).unwrap_or_default();
            format!("{} {}{copy} {}", b.name, b.state.word(), b.detail)
        }
        Pane::Timeline => {
            let (row, heading) = panes::timeline::of_key(app, key)?;
            match heading {
                true => row.title.clone()?,
                false => format!("{} {} {}", row.happened(), row.actor, row.text),
            }
        }
        Pane::Runs => {
            let r = mirror.runs.get(key)?;
            format!("{} {} {} {}", r.id, r.title, r.state.word(), r.detail)
        }
        Pane::Incident => {
            let i = &mirror.incidents.get(key)?.incident;
            format!("{} {} {} {}", i.id, i.severity, i.status.word(), i.title)
        }
    })
}

pub fn palette(app: &mut App) {
    let picker = Picker::palette(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn help(app: &mut App) {
    let picker = Picker::help(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn next_theme(app: &mut App) {
    let at = NAMES.iter().position(|n| *n == app.look.theme.name).map_or(0, |i| (i + 1) % NAMES.len());
    if let Some(name) = NAMES.get(at) {
        choose_theme(app, name);
    }
}

/// Changes the theme and says which it is now.
pub fn choose_theme(app: &mut App, name: &str) {
    match app.look.choose(name) {
        Ok(faults) => {
            app.faults.extend(faults);
            app.tell(Role::Dim, format!("theme {name}"));
        }
        Err(why) => app.tell_error(why),
    }
}

pub fn theme(app: &mut App) {
    let picker = Picker::themes(app);
    app.open_overlay(Overlay::Picker(picker));
}

pub fn zone(app: &mut App) {
    app.look.local = !app.look.local;
    app.tell(Role::Dim, if app.look.local { "times in your time zone" } else { "times in UTC" });
}

pub fn start_engine(app: &mut App) {
    app.effect(Effect::StartEngine);
    app.tell(Role::BannerInfo, "starting an engine");
}

pub fn repaint(app: &mut App) {
    app.effect(Effect::Repaint);
}

pub fn suspend(app: &mut App) {
    app.effect(Effect::Suspend);
}

/// One step back; never leaves.
pub fn back(app: &mut App) {
    let pane = app.pane;
    if app.flash.take().is_some_and(|f| f.until.is_none()) {
        return;
    }
    if app.detail == Some(Detail::Output) && app.output.as_ref().is_some_and(|o| !o.search.is_empty()) {
        if let Some(output) = &mut app.output {
            output.search.clear();
        }
    } else if let Some(detail) = app.detail.take() {
        if detail == Detail::Output {
            // Back to the run whose output it was.
            app.detail = app.output.as_ref().map(|o| Detail::Run(o.run.clone()));
        }
        app.detail_top = 0;
    } else if pane == Pane::Timeline && !app.timeline.marked.is_empty() {
        app.timeline.marked.clear();
    } else if !app.list(pane).filter.is_empty() {
        app.list_mut(pane).filter.clear();
        app.rebuild(pane);
    } else if app.frozen.is_some() {
        freeze(app);
    } else if !app.faults.is_empty() {
        app.faults.clear();
    } else {
        match app.past.as_ref().map(|bar| bar.goes_back) {
            // Back from the past is back to now; out of the program goes only q.
            Some(true) => super::past::go(app, Move::Leave),
            Some(false) => app.tell(Role::Dim, "nothing to go back from; q leaves the replay"),
            None => app.tell(Role::Dim, "nothing to go back from; q leaves the cockpit, the engine stays"),
        }
    }
}

/// Closes the view, else leaves.
pub fn leave(app: &mut App) {
    if app.detail.is_some() {
        app.detail = None;
        app.detail_top = 0;
    } else if app.past.is_some() {
        super::past::go(app, Move::Leave);
    } else {
        app.quit();
    }
}
