//! A service: its state and objective, every check with its last result, facts, percentiles, dependencies, runs.

use std::time::Duration;

use super::{Lines, Page};
use crate::domain::health::Outcome;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::header::{self, coarse};
use crate::viewer::panes::{runs, services};
use crate::viewer::theme::Role;
use crate::wire::{CheckView, MonthView, ServiceView};

/// `99.934 % of 2026-11 at 97 % coverage, target 99.9 %: 12m of downtime left`.
fn availability(month: &MonthView) -> (Role, String) {
    let left = Duration::from_secs(month.budget_left_s.unsigned_abs());
    let (role, budget) = if month.budget_left_s < 0 {
        (Role::Bad, format!("budget OVER by {}", text::duration(left)))
    } else {
        (Role::Text, format!("{} of downtime left", text::duration(left)))
    };
    let share = month.availability.map_or_else(|| "not known".to_owned(), |a| format!("{a} %"));
    (role, format!("{share} of {} at {} % coverage, target {} %: {budget}", month.month, month.coverage, month.target))
}

pub fn lines(app: &App, view: &ServiceView, columns: usize) -> Lines {
    let mut page = Page::new(columns);
    let (sign, role) = header::state(&app.look.g, view.state);
    let since = if view.since.ms() == 0 {
        String::new()
    } else {
        format!("  since {} ({})", app.look.full(view.since), coarse(app.watched.ago(view.since)))
    };
    page.push(vec![(role, format!("{sign} {}", services::word(view.state))), (Role::Text, since)]);
    if app.watched.service_stale(view) {
        let age = view
            .observed_at
            .map_or("never looked at".to_owned(), |at| format!("last seen {}", coarse(app.watched.ago(at))));
        page.text(Role::Unsure, 0, &format!("{} stale: what stands here is not current; {age}", app.look.g.degraded));
    }
    if !view.detail.is_empty() {
        page.text(Role::Strong, 0, &view.detail);
    }
    if let Some(cause) = &view.because {
        page.field("because of", Role::Strong, cause);
    }
    if let Some(run) = &view.held_by {
        page.field("held by", Role::Running, &format!("run {run}: nothing else may act on it meanwhile"));
    }
    let guards = &app.mirror().head.guard.guards;
    if let Some(hold) = guards.hold(Some(&view.name)) {
        let said = format!("by {} since {}: {}", hold.by, app.look.full(hold.since), hold.reason);
        page.field(
            "HELD",
            Role::Bad,
            &format!("{said}. Nothing restarts or restores it until the commander releases it: K"),
        );
    }
    if let Some(tag) = guards.tag(&view.name) {
        let from = tag.from.as_ref().map(|f| format!(" (from {f})")).unwrap_or_default();
        let said = format!("by {}{from} since {}: {}", tag.by.user, app.look.full(tag.since), tag.reason);
        page.field("TAGGED", Role::Unsure, &format!("{said}. Nobody restarts, restores or acts on it: # takes it off"));
    }
    page.blank();
    page.field("tier", Role::Text, &view.tier.to_string());
    if !view.impact.is_empty() {
        page.field("impact", Role::Text, &view.impact);
    }
    if let Some(rto) = view.rto_ms {
        let now = services::rto(app, view).map(|(_, t)| format!("   {}", t.trim())).unwrap_or_default();
        let over = services::rto(app, view).is_some_and(|(r, _)| r == Role::RtoOver);
        let said = format!("{}{now}", text::duration(Duration::from_millis(rto)));
        page.field("RTO", if over { Role::Bad } else { Role::Text }, &said);
    }
    if let Some(since) = view.down_since {
        page.field("down since", Role::Text, &format!("{} (first failure)", app.look.full(since)));
    }
    if let Some(until) = view.paused_until {
        page.field("paused until", Role::Paused, &app.look.full(until));
    }
    for window in app.mirror().head.maintenance.iter().filter(|w| w.is_of(&view.name)) {
        let said = if window.under_way {
            format!("{} until {}: counts against nothing", window.name, app.look.full(window.until))
        } else {
            format!("{} from {} to {}", window.name, app.look.full(window.from), app.look.full(window.until))
        };
        page.field("maintenance", if window.under_way { Role::Paused } else { Role::Text }, &said);
    }
    if let Some(month) = &view.month {
        let (role, said) = availability(month);
        page.field("availability", role, &said);
    }
    if let Some(us) = view.latency_us {
        let p = |v: Option<u32>| v.map_or("-".to_owned(), services::latency);
        let said = format!(
            "{}   over an hour: p50 {}  p95 {}  p99 {}",
            services::latency(us),
            p(view.p50_us),
            p(view.p95_us),
            p(view.p99_us)
        );
        page.field("latency", Role::Text, &said);
    }
    if view.spark.iter().any(|v| *v != 0) {
        page.push(vec![(Role::Label, text::fit("last 5 min", 13)), (Role::Spark, spark(app, &view.spark))]);
    }
    let dependants: Vec<&str> = app
        .mirror()
        .services
        .values()
        .filter(|s| s.depends_on.contains(&view.name))
        .map(|s| s.name.as_str())
        .take(50)
        .collect();
    for (label, names) in
        [("depends on", view.depends_on.iter().map(String::as_str).collect::<Vec<_>>()), ("needed by", dependants)]
    {
        if !names.is_empty() {
            let said: Vec<String> = names
                .iter()
                .map(|n| {
                    let state = app.mirror().services.get(*n).map(|s| s.state).unwrap_or_default();
                    format!("{} {n}", header::state(&app.look.g, state).0)
                })
                .collect();
            page.field(label, Role::Text, &said.join("   "));
        }
    }
    let control = if view.control.is_empty() {
        "none: add control = { … } in mayday.toml".to_owned()
    } else {
        view.control.join(", ")
    };
    page.field("control", Role::Text, &control);
    if app.past.is_some() && view.checks.is_empty() {
        page.heading("checks");
        page.text(Role::Dim, 0, "not sealed: what its checks measured then is not on record");
    } else {
        checks(app, view, &mut page);
    }
    runs_of(app, view, &mut page);
    page.lines
}

fn checks(app: &App, view: &ServiceView, page: &mut Page) {
    page.heading(&format!("{} checks", view.checks.len()).replace("1 checks", "1 check"));
    for check in &view.checks {
        check_lines(app, check, page);
    }
    if view.checks.is_empty() {
        page.text(Role::Dim, 0, "no check is configured: its state stays unknown");
    }
}

fn runs_of(app: &App, view: &ServiceView, page: &mut Page) {
    let of_service: Vec<_> =
        app.mirror().runs_newest_first().into_iter().filter(|r| r.service.as_deref() == Some(&view.name)).collect();
    if !of_service.is_empty() {
        page.heading("runs");
        for run in of_service.into_iter().take(20) {
            let (sign, role, words) = runs::outcome(run, &app.look.g);
            page.push(vec![
                (Role::Dim, format!("{}  ", app.look.full(run.requested_at))),
                (role, format!("{sign} {words}")),
                (Role::Text, format!("  {}", run.title)),
                (Role::Dim, format!("  {}", run.requested_by)),
            ]);
        }
    }
}

fn spark(app: &App, values: &[u32]) -> String {
    let top = values.iter().copied().filter(|v| *v != u32::MAX).max().unwrap_or(0).max(1);
    values
        .iter()
        .map(|v| match *v {
            0 => " ",
            u32::MAX => app.look.g.spark_fail,
            v => {
                let level = usize::try_from(u64::from(v) * 7 / u64::from(top)).unwrap_or(7);
                app.look.g.spark.get(level.min(7)).copied().unwrap_or(" ")
            }
        })
        .collect()
}

fn check_lines(app: &App, check: &CheckView, page: &mut Page) {
    let (sign, role) = header::state(&app.look.g, check.state);
    let confirming = check.confirming.map(|(n, of)| format!("  confirming {n}/{of}")).unwrap_or_default();
    // Of the past only what was seen last is on record, not what was confirmed by it.
    let (word, every) = match app.past.is_some() {
        true => ("last saw", String::new()),
        false => (check.state.word(), format!("  every {}", text::duration(Duration::from_millis(check.every_ms)))),
    };
    page.push(vec![
        (role, format!("{sign} {word:<9}")),
        (Role::Strong, check.name.clone()),
        (Role::Dim, every),
        (Role::Unsure, confirming),
    ]);
    if !check.target.is_empty() {
        page.text(Role::Dim, 2, &check.target);
    }
    if let Some(last) = &check.last {
        let role = match last.outcome {
            Outcome::Ok => Role::Text,
            Outcome::Warn => Role::Unsure,
            Outcome::Fail => Role::Bad,
            Outcome::Error | Outcome::Skipped => Role::Unsure,
        };
        let word = last.reason.map(|r| format!("{}: ", r.word())).unwrap_or_default();
        let took = services::latency(u32::try_from(last.took_us).unwrap_or(u32::MAX - 1));
        let own = if last.outcome == Outcome::Error { " (the check itself could not run)" } else { "" };
        page.text(role, 2, &format!("{word}{}{own}  ({took})", last.detail));
        if !last.facts.is_empty() {
            let facts: Vec<String> = last.facts.iter().map(|(k, v)| format!("{k} {v}")).collect();
            page.text(Role::Text, 2, &facts.join(" · "));
        }
    }
    if let Some(at) = check.observed_at {
        page.text(Role::Dim, 2, &format!("seen {}", coarse(app.watched.ago(at)).replace("now", "just now")));
    }
    if check.lag > 0 {
        let said = format!("{} missed: the one before was still under way", text::plural(check.lag as usize, "turn"));
        page.text(Role::Unsure, 2, &said);
    }
}
