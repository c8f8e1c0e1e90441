//! A run: phases with progress, the verdict large, what it left beside.

use std::time::Duration;

use super::{Lines, Page};
use crate::domain::run::Verdict;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::header::coarse;
use crate::viewer::panes::runs;
use crate::viewer::theme::Role;
use crate::wire::RunView;

pub fn lines(app: &App, run: &RunView, columns: usize) -> Lines {
    let mut page = Page::new(columns);
    let (sign, role, words) = runs::outcome(run, &app.look.g);
    page.text(Role::Title, 0, &run.title);
    page.blank();
    page.push(vec![(role, format!("  {sign}  {}  ", words.trim().to_uppercase()))]);
    if !run.detail.is_empty() {
        page.text(if runs::is_contradicted(run) { Role::Bad } else { Role::Strong }, 2, &run.detail);
    }
    if runs::is_contradicted(run) {
        page.text(
            Role::Text,
            2,
            "exit 0, yet the check afterwards does not see the effect; this stands against resolving",
        );
    } else if run.state.is_over() && run.verdict == Some(Verdict::Unverified) {
        page.text(Role::Dim, 2, "nothing has seen the effect");
    }
    page.blank();
    let mark = |i: usize| match (i, run.state.is_over()) {
        (i, _) if i < run.phase => (app.look.g.up, Role::Good),
        (i, true) if i == run.phase => (sign, role),
        (i, false) if i == run.phase => (app.look.g.running, Role::Running),
        _ => (app.look.g.dot, Role::Dim),
    };
    for (i, phase) in run.phases.iter().enumerate() {
        let (sign, role) = mark(i);
        let mut line =
            vec![(role, format!("  {sign} ")), (if i == run.phase { Role::Strong } else { Role::Text }, phase.clone())];
        if i == run.phase && !run.doing.is_empty() && !run.state.is_over() {
            line.push((Role::Dim, format!("   {}", run.doing)));
        }
        page.push(line);
    }
    if let Some(permille) = runs::known_progress(run) {
        let wide = 30usize.min(columns / 2);
        let done = wide * usize::from(permille.min(1000)) / 1000;
        let [full, rest] = app.look.g.bar;
        let eta = run.eta_ms.map(|ms| format!("   ETA {}", text::duration(Duration::from_secs(ms / 1000))));
        page.blank();
        page.push(vec![
            (Role::BarDone, format!("  {}", full.repeat(done))),
            (Role::BarRest, rest.repeat(wide - done)),
            (Role::Running, format!(" {} %", permille / 10)),
            (Role::Text, eta.unwrap_or_default()),
        ]);
    }
    page.blank();
    page.field("target", Role::Text, &run.target);
    page.field("risk", Role::Text, run.risk.word());
    page.field("requested", Role::Text, &format!("{} by {}", app.look.full(run.requested_at), run.requested_by));
    if let Some(at) = run.started_at {
        page.field("started", Role::Text, &app.look.full(at));
    }
    if let Some(at) = run.finished_at {
        page.field("finished", Role::Text, &app.look.full(at));
    }
    if let Some(d) = runs::took(app, run) {
        page.field(
            if run.finished_at.is_some() { "took" } else { "under way" },
            Role::Text,
            &if run.finished_at.is_some() { text::duration(d) } else { coarse(d).replace("now", "less than 10s") },
        );
    }
    if let Some(id) = &run.incident {
        page.field("incident", Role::Text, id);
    }
    if run.head_start {
        page.field("head start", Role::Text, "it began by itself when the incident named the service");
    }
    if run.unlogged {
        page.field("unlogged", Role::Bad, "started while nothing could be recorded");
    }
    if run.cancel_requested && !run.state.is_over() {
        page.field("cancel", Role::Unsure, "asked for");
    }
    if !run.sides.is_empty() {
        page.heading("beside the live data");
        for side in &run.sides {
            let (said, key) = runs::side_said(side);
            let size = if side.size > 0 { format!(", {}", text::size(side.size)) } else { String::new() };
            let age = coarse(app.watched.ago(side.created_at));
            page.push(vec![
                (Role::Strong, format!("  {} {}", side.kind, side.name)),
                (Role::Dim, format!("  {age} old{size}")),
            ]);
            page.text(Role::Text, 4, &format!("beside {}: {said}", side.live));
            page.push(vec![(Role::Key, format!("    {key}"))]);
        }
    }
    page.blank();
    page.push(vec![
        (Role::Key, "o".into()),
        (Role::KeyDoc, " or ".into()),
        (Role::Key, "enter".into()),
        (Role::KeyDoc, " shows its output".into()),
    ]);
    page.lines
}
