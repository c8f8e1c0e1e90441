//! A plan in lines: what fails, what is lost, what it does, how long it takes, the exact commands, what checks it.

use std::time::Duration;

use crate::domain::recovery::{RecoveryPlan, Shown};
use crate::domain::run::{Checked, Plan, Risk};
use crate::text;
use crate::viewer::app::App;
use crate::viewer::theme::Role;

/// What is known of a run beforehand.
pub fn shown_lines(app: &App, shown: &Shown, indent: u16) -> Vec<(Role, u16, String)> {
    let clean = |t: &str| text::clean(t).into_owned();
    let mut out = Vec::new();
    if let Some(ms) = shown.data_lost_ms {
        let lost = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let over = shown.rpo_ms.is_some_and(|rpo| lost > Duration::from_millis(rpo));
        let rpo = shown.rpo_ms.map(|r| format!(" (RPO {})", text::duration(Duration::from_millis(r))));
        let said =
            format!("DATA LOST  everything written in the last {}{}", text::duration(lost), rpo.unwrap_or_default());
        out.push((if over { Role::Bad } else { Role::Strong }, indent, said));
    }
    if let Some(copy) = &shown.copy {
        out.push((Role::Text, indent, format!("copy       {}", clean(copy))));
    }
    if let Some(ms) = shown.expected_ms {
        out.push((Role::Text, indent, format!("takes      about {}", text::duration(Duration::from_millis(ms)))));
    }
    for check in &shown.checks {
        let failed = check.starts_with("FAIL");
        let (sign, role) = if failed { (app.look.g.lost, Role::Bad) } else { (app.look.g.degraded, Role::Unsure) };
        out.push((role, indent, format!("{sign} {}", clean(check.get(5..).unwrap_or(check)))));
    }
    out.extend(shown.commands.iter().map(|c| (Role::Command, indent, format!("$ {}", clean(c)))));
    out
}

/// A recovery, step by step.
pub fn recovery_lines(app: &App, plan: &RecoveryPlan) -> Vec<(Role, u16, String)> {
    let clean = |t: &str| text::clean(t).into_owned();
    let mut out: Vec<(Role, u16, String)> = Vec::new();
    out.extend(plan.blocked.iter().map(|why| (Role::Bad, 0, format!("{} {}", app.look.g.lost, clean(why)))));
    let lost = plan.steps.iter().flat_map(|s| &s.runs).filter_map(|r| r.data_lost_ms).max();
    if let Some(lost) = lost.and_then(|ms| u64::try_from(ms).ok()) {
        let said = format!("DATA LOST  up to {} in all", text::duration(Duration::from_millis(lost)));
        out.push((Role::Strong, 0, said));
    }
    out.push((
        Role::Dim,
        0,
        "each step begins only when the one before is good; a time box that runs out ends nothing".into(),
    ));
    for (number, step) in plan.steps.iter().enumerate() {
        let within = text::duration(Duration::from_millis(step.spec.within_ms));
        let title = clean(&step.spec.does.title());
        out.push((Role::Label, 0, format!("{} {}  {title}  within {within}", number + 1, step.spec.phase.word())));
        for shown in &step.runs {
            let role = if shown.risk == Risk::Destructive { Role::Bad } else { Role::Text };
            out.push((role, 2, format!("{} ({})", clean(&shown.title), shown.risk.word())));
            out.extend(shown_lines(app, shown, 4));
        }
    }
    out
}

/// Role, indentation and text of each line.
pub fn lines(app: &App, plan: &Plan) -> Vec<(Role, u16, String)> {
    let clean = |t: &str| text::clean(t).into_owned();
    let mut out: Vec<(Role, u16, String)> = Vec::new();
    for p in plan.preconditions.iter().filter(|p| p.result == Checked::Failed) {
        out.push((Role::Bad, 0, format!("{} {}: {}", app.look.g.lost, clean(&p.name), clean(&p.detail))));
    }
    // What is lost by it stands before what it does.
    if let Some(ms) = plan.data_lost_ms {
        let lost = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let over = plan.rpo_ms.is_some_and(|rpo| lost > Duration::from_millis(rpo));
        let rpo =
            plan.rpo_ms.map(|r| format!(" (RPO {})", text::duration(Duration::from_millis(r)))).unwrap_or_default();
        let said = format!("DATA LOST  everything written in the last {}{rpo}", text::duration(lost));
        out.push((if over { Role::Bad } else { Role::Strong }, 0, said));
    }
    // Read before it is confirmed: below what it does, a small screen would not show them.
    for p in plan.preconditions.iter().filter(|p| p.result == Checked::Warned) {
        out.push((Role::Unsure, 0, format!("{} {}: {}", app.look.g.degraded, clean(&p.name), clean(&p.detail))));
    }
    if let Some(copy) = &plan.copy {
        let age = text::duration(app.watched.ago(copy.taken_at));
        out.push((
            Role::Text,
            0,
            format!(
                "copy       {} of {} ({age} old, {})",
                clean(&copy.id),
                app.look.full(copy.taken_at),
                copy.size_said()
            ),
        ));
        if let Some(why) = &copy.suspect {
            out.push((Role::Bad, 11, format!("{} SUSPECT: {}", app.look.g.degraded, clean(why))));
        }
    }
    let told = plan.copy.as_ref().map(|c| format!("copy {} of", c.id));
    for effect in plan.effects.iter().filter(|e| told.as_ref().is_none_or(|t| !e.starts_with(t.as_str()))) {
        out.push((Role::Text, 0, clean(effect)));
    }
    let rto = plan.service.as_deref().and_then(|s| app.mirror().services.get(s)).and_then(|s| {
        let left = Duration::from_millis(s.rto_ms?).checked_sub(app.watched.ago(s.down_since?));
        Some(match left {
            Some(left) => format!("; RTO left {}", text::duration(left)),
            None => "; RTO is over".to_owned(),
        })
    });
    let rto = rto.unwrap_or_default();
    out.push(match plan.expected_ms {
        Some(ms) => (
            Role::Text,
            0,
            format!(
                "takes      about {} (from {}){rto}",
                text::duration(Duration::from_millis(ms)),
                text::plural(plan.expected_from as usize, "earlier run")
            ),
        ),
        None => (Role::Dim, 0, format!("takes      not known: no earlier run{rto}")),
    });
    if !plan.holds.is_empty() {
        out.push((Role::Dim, 0, format!("holds      {}", clean(&plan.holds.join(", ")))));
    }
    for p in plan.preconditions.iter().filter(|p| p.result == Checked::Passed) {
        out.push((Role::Good, 0, format!("{} {}: {}", app.look.g.up, clean(&p.name), clean(&p.detail))));
    }
    out.push((Role::Label, 0, "exact commands".into()));
    for phase in &plan.phases {
        for line in phase.step.shown() {
            out.push((Role::Command, 2, format!("$ {}", clean(&line))));
        }
    }
    match &plan.after {
        Some(after) => {
            out.push((Role::Label, 0, "then checks".into()));
            out.extend(after.shown.iter().map(|s| (Role::Text, 2, clean(s))));
        }
        None => out.push((Role::Unsure, 0, plan.without_after().into())),
    }
    if !plan.undo.is_empty() {
        out.push((Role::Dim, 0, format!("undo       {}", clean(&plan.undo))));
    }
    out
}
