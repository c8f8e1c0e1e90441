//! Runs: what is under way with its progress, what is over with its verdict.

use std::time::Duration;

use ratatui::layout::Rect;

use crate::domain::run::{RunState, Side, SideRole, Verdict};
use crate::text;
use crate::viewer::app::App;
use crate::viewer::canvas::Canvas;
use crate::viewer::glyphs::Glyphs;
use crate::viewer::header::coarse;
use crate::viewer::theme::Role;
use crate::wire::RunView;

/// Contradicted and not taken back.
pub fn is_contradicted(run: &RunView) -> bool {
    run.verdict == Some(Verdict::Contradicted) && !run.superseded
}

/// Sign, role and words of where a run stands.
pub fn outcome(run: &RunView, g: &Glyphs) -> (&'static str, Role, String) {
    let exit = run.exit.map(|x| format!("exit {x}  ")).unwrap_or_default();
    match (run.state, run.verdict) {
        (RunState::Requested | RunState::Claimed, _) => (g.waiting, Role::Running, run.state.word().into()),
        (RunState::Running, _) if run.cancel_requested => (g.running, Role::Unsure, "being cancelled".into()),
        (RunState::Running, _) => (g.running, Role::Running, "running".into()),
        (_, Some(Verdict::Contradicted)) if run.superseded => {
            (g.lost, Role::Unsure, format!("{exit}contradicted, since mended"))
        }
        (_, Some(Verdict::Contradicted)) => (g.lost, Role::Contradicted, format!("{exit} CONTRADICTED ")),
        (RunState::Succeeded, Some(Verdict::Verified)) => (g.up, Role::Good, "VERIFIED".into()),
        (RunState::Succeeded, _) => (g.up, Role::Unsure, format!("{exit}unverified")),
        (RunState::Cancelled | RunState::Expired, _) => (g.degraded, Role::Unsure, run.state.word().to_uppercase()),
        (state, _) => (g.lost, Role::Bad, format!("{exit}{}", state.word().to_uppercase())),
    }
}

/// How far a run is, where anything is known about it: one that has but begun and tells nothing is not at 0 %.
pub fn known_progress(run: &RunView) -> Option<u16> {
    run.permille.filter(|p| !run.state.is_over() && (*p > 0 || run.doing.contains('/')))
}

/// How long it took, or has been under way.
pub fn took(app: &App, run: &RunView) -> Option<Duration> {
    let began = run.started_at?;
    Some(match run.finished_at {
        Some(end) => end.since(began),
        None => app.watched.ago(began),
    })
}

/// What a side is, and the keys that act on it.
pub fn side_said(side: &Side) -> (String, &'static str) {
    let (said, keys) = match side.role {
        _ if side.is_incomplete() => ("incomplete: its restore did not finish; the next one removes it", "D drops it"),
        _ if side.is_unverified() => ("paused at its moment, NOT verified: look into it", "D drops it"),
        SideRole::Ready => match (side.only(), side.kind.as_str()) {
            (None, _) => ("restored and verified, waits for the cut-over", "C cuts over   D drops it"),
            (Some(only), kind) => {
                let (waits, keys) = match kind {
                    "database" => ("to be put beside the live tables", "C puts them beside the live ones   D drops it"),
                    _ => ("to be copied in", "C copies them in   D drops it"),
                };
                return (format!("{only}: restored and verified, waits {waits}"), keys);
            }
        },
        SideRole::Before => ("was live before the cut-over, kept", "U puts it back   D drops it"),
        SideRole::Abandoned => ("was live between a cut-over and its undo, kept", "D drops it"),
        SideRole::Beside if side.kind == "database" => {
            let only = side.only().unwrap_or_else(|| "chosen tables".to_owned());
            let of = format!("{only}: restored, to be moved by hand into {}", text::clean(&side.live));
            return (of, "D drops it");
        }
        SideRole::Beside => ("restored, put beside the live tables", "D drops it"),
        SideRole::Serving => ("promoted and handed over: clients may use it", "D ends and drops it"),
    };
    (said.to_owned(), keys)
}

pub fn row(app: &App, id: &str, area: Rect, c: &mut Canvas<'_>) {
    let Some(run) = app.mirror().runs.get(id) else { return };
    let (sign, role, words) = outcome(run, c.g);
    let (right, y) = (area.right(), area.y);
    let room = |x: u16| right.saturating_sub(x);
    let mut x = c.put(area.x, y, 2, sign, role).saturating_add(1);
    let title_room = (area.width * 45 / 100).clamp(12, 44);
    let title = text::fit(&text::clean(&run.title), usize::from(title_room));
    x = c.put(x, y, room(x), &title, if run.state.is_over() { Role::Text } else { Role::Strong }).saturating_add(1);
    if run.state.is_over() {
        // That it waits for somebody says more than that it went well.
        let ready = run.sides.iter().find(|s| s.role == SideRole::Ready);
        let words = if ready.is_some() && role == Role::Good { "READY".into() } else { words };
        x = c.cut(x, y, room(x), &words, role).saturating_add(1);
        if let Some(ready) = ready {
            let only = ready.only();
            if let Some(only) = &only {
                x = c.cut(x, y, room(x), only, Role::Strong).saturating_add(1);
            }
            let key = if only.is_some() { "C puts them in" } else { "C cuts over" };
            x = c.cut(x, y, room(x), key, Role::Strong).saturating_add(1);
            // Parts replace nothing, or what is named: they do not lose what was written elsewhere since.
            if let Some(copy) = run.data_as_of.filter(|_| only.is_none()) {
                let lost = format!("loses {}", coarse(app.watched.ago(copy)));
                x = c.cut(x, y, room(x), &lost, Role::Text).saturating_add(1);
            }
            x = c.cut(x, y, room(x), &text::clean(&ready.name), Role::Dim).saturating_add(1);
        } else if run.sides.iter().any(|s| s.role == SideRole::Before) {
            x = c.cut(x, y, room(x), "live; U undoes", Role::Dim).saturating_add(1);
        } else if !matches!(role, Role::Good) && !run.detail.is_empty() {
            x = c.cut(x, y, room(x), &text::clean(&run.detail), Role::Text).saturating_add(1);
        }
        let at = run.finished_at.unwrap_or(run.requested_at);
        let mut tail = coarse(app.watched.ago(at)) + " ago";
        if let Some(d) = took(app, run) {
            tail = format!("took {}  {tail}", text::duration(d));
        }
        let tail = tail.replace("now ago", "now");
        if usize::from(room(x)) > text::width(&tail) {
            c.put_right(x, right, y, &tail, Role::Dim);
        }
        return;
    }
    if app.watched.is_stale() {
        c.cut(x, y, room(x), "not known: no news from the engine", Role::Unsure);
        return;
    }
    if let Some(permille) = known_progress(run) {
        let wide = if area.width >= 80 { 16 } else { 8 };
        if room(x) > wide + 6 {
            c.bar(x, y, wide, permille);
            x += wide + 1;
        }
        x = c.put(x, y, room(x), &format!("{:>3} %", permille / 10), Role::Running).saturating_add(1);
    } else {
        // A bar that stands at nothing would look as if nothing happened: how long it has been says more.
        let since = took(app, run).map(coarse).filter(|s| s != "now").map(|s| format!(" {s}")).unwrap_or_default();
        x = c.put(x, y, room(x), &format!("{words}{since}"), role).saturating_add(1);
    }
    if run.cancel_requested {
        x = c.cut(x, y, room(x), "being cancelled", Role::Unsure).saturating_add(1);
    } else if let Some(ms) = run.eta_ms {
        x = c
            .cut(x, y, room(x), &format!("ETA {}", text::duration(Duration::from_secs(ms / 1000))), Role::Text)
            .saturating_add(1);
    }
    let phase = run.phases.get(run.phase).map(String::as_str).unwrap_or_default();
    let doing = if run.doing.is_empty() { phase } else { &run.doing };
    c.cut(x, y, room(x), &text::clean(doing), Role::Dim);
}
