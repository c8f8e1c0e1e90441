//! Services, worst first: state, name, tier, since when, what it means against its objective, how it has been.

use std::time::Duration;

use ratatui::layout::Rect;

use crate::domain::health::Health;
use crate::text;
use crate::viewer::app::App;
use crate::viewer::canvas::{Canvas, fit_name};
use crate::viewer::header::{self, coarse};
use crate::viewer::theme::Role;
use crate::wire::ServiceView;

/// `0.4 ms`, `12 ms`, `2.4 s`.
pub fn latency(us: u32) -> String {
    match us {
        u32::MAX => "fails".into(),
        0..=9_999 => format!("{:.1} ms", f64::from(us) / 1000.0),
        10_000..=999_999 => format!("{} ms", us / 1000),
        _ => format!("{:.1} s", f64::from(us) / 1e6),
    }
}

/// The RTO clock of a service that is down.
pub fn rto(app: &App, view: &ServiceView) -> Option<(Role, String)> {
    let rto = Duration::from_millis(view.rto_ms?);
    let spent = app.watched.ago(view.down_since?);
    Some(match rto.checked_sub(spent) {
        Some(left) if left > Duration::ZERO => {
            let low = left * 4 < rto;
            (if low { Role::RtoLow } else { Role::RtoLeft }, format!("RTO left {}", coarse(left)))
        }
        _ => (Role::RtoOver, format!(" RTO OVER {} ", coarse(spent.saturating_sub(rto)))),
    })
}

/// The word of a state; what is wrong is in capitals.
pub fn word(state: Health) -> String {
    match state {
        Health::Down | Health::Degraded => state.word().to_uppercase(),
        _ => state.word().to_owned(),
    }
}

/// What there is to say beside the state, most important first.
pub fn remarks(app: &App, view: &ServiceView) -> Vec<(Role, String)> {
    let mut out = Vec::new();
    if let Some(run) = &view.held_by {
        out.push((Role::Running, format!("{} run {run}", app.look.g.running)));
    }
    if let Some(said) = app.mirror().head.guard.guards.said(&view.name) {
        out.push((Role::Unsure, text::clean(&said).into_owned()));
    }
    if view.state == Health::Down || view.state == Health::Unknown {
        out.extend(rto(app, view));
    }
    if let Some((n, of)) = view.confirming {
        out.push((Role::Unsure, format!("confirming {n}/{of}")));
    }
    if let Some(cause) = &view.because {
        out.push((Role::Strong, format!("because of {}", text::clean(cause))));
    }
    if let Some(until) = view.paused_until.filter(|_| view.state == Health::Paused) {
        out.push((Role::Paused, format!("until {}", app.look.hm(until))));
    }
    let window = app.mirror().head.maintenance.iter().find(|w| w.under_way && w.is_of(&view.name));
    if let Some(window) = window {
        out.push((Role::Paused, format!("maintenance until {}", app.look.hm(window.until))));
    }
    if view.state != Health::Up && !view.detail.is_empty() {
        out.push((Role::Text, text::clean(&view.detail).into_owned()));
    }
    if app.past.is_some() && view.observed_at.is_none() && view.state != Health::Paused {
        out.push((Role::Dim, "not sealed".into()));
    }
    if matches!(view.state, Health::Up | Health::Degraded) {
        if let Some(us) = view.latency_us {
            out.push((Role::Text, latency(us)));
        }
        if let Some(us) = view.p95_us.filter(|_| view.state == Health::Up) {
            out.push((Role::Dim, format!("p95 {}", latency(us))));
        }
    }
    out
}

pub fn row(app: &App, name: &str, area: Rect, names: u16, c: &mut Canvas<'_>) {
    let Some(view) = app.mirror().services.get(name) else { return };
    let stale = app.watched.service_stale(view);
    let (sign, role) = header::state(c.g, view.state);
    let (right, y) = (area.right(), area.y);
    let mut x = area.x;
    let room = |x: u16| right.saturating_sub(x);
    let said = format!("{sign} {}", word(view.state));
    let end = c.put(x, y, room(x), &said, if stale { Role::Stale } else { role });
    x += 2;
    x = end.max(x + 8).saturating_add(1);
    let spark: usize = if area.width >= 90 {
        30
    } else if area.width >= 64 {
        14
    } else {
        0
    };
    let name_room = names.min(area.width * 2 / 5).max(8);
    x = c.put(
        x,
        y,
        room(x),
        &fit_name(&text::clean(name), usize::from(name_room)),
        if view.state == Health::Up { Role::Text } else { Role::Strong },
    );
    if area.width >= 44 {
        let tier = if view.tier > 0 { format!(" T{}", view.tier) } else { "   ".into() };
        x = c.put(x, y, room(x), &tier, Role::Dim);
        let since = match view.since.ms() {
            0 => String::new(),
            _ => coarse(app.watched.ago(view.since)),
        };
        let since = age(&since);
        x = c.put(
            x,
            y,
            room(x),
            &format!(" {since:>5}"),
            if view.state == Health::Up { Role::Dim } else { Role::Text },
        );
    }
    x = x.saturating_add(2);
    // The words come first; the sparkline gets what they leave, and nothing where that is too little to say anything.
    let remarks = remarks(app, view);
    let words = remarks.iter().map(|(_, t)| text::width(t) + 2).sum::<usize>() + if stale { 12 } else { 0 };
    let known = view.spark.len() - view.spark.iter().take_while(|v| **v == 0).count();
    let left = usize::from(right.saturating_sub(x)).saturating_sub(words);
    let spark = spark.min(left).min(known);
    let spark = if spark < known.min(6) { 0 } else { u16::try_from(spark).unwrap_or(0) };
    let end = right.saturating_sub(if spark > 0 { spark + 1 } else { 0 });
    if stale {
        let age = view.observed_at.map(|at| coarse(app.watched.ago(at)));
        let said = match age.as_deref() {
            None => "no news".to_owned(),
            Some("now") => "stale".to_owned(),
            Some(age) => format!("stale {age}"),
        };
        x = c.cut(x, y, end.saturating_sub(x), &said, Role::Unsure).saturating_add(2);
    }
    for (role, piece) in remarks {
        if x >= end {
            break;
        }
        x = c.cut(x, y, end.saturating_sub(x), &piece, if stale { Role::Dim } else { role }).saturating_add(2);
    }
    if spark > 0 {
        c.spark(right.saturating_sub(spark), y, spark, &view.spark);
    }
}

/// An age in at most five columns: `12m30s` becomes `12m`.
fn age(text: &str) -> String {
    match text.find(['m', 'h', 'd']) {
        Some(at) if text.len() > 5 => text.get(..=at).unwrap_or(text).to_owned(),
        _ => text.to_owned(),
    }
}
