//! The first line and the banners below it: where am I, how bad is it, how long, what is due, is this current.
//!
//! Too little room drops pieces from the right of each group, never severity, T+ and the link.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::glyphs::Glyphs;
use super::look::Look;
use super::theme::Role;
use super::watched::{LinkState, Watched};
use crate::domain::Time;
use crate::domain::backup::BackupState;
use crate::domain::cadence::Word;
use crate::domain::catalog::Severity;
use crate::domain::health::Health;
use crate::text::{self, width};
use crate::wire::{IncidentView, Recording};

/// Sign and role of a state.
pub fn state(g: &Glyphs, state: Health) -> (&'static str, Role) {
    match state {
        Health::Up => (g.up, Role::Up),
        Health::Degraded => (g.degraded, Role::Degraded),
        Health::Down => (g.down, Role::Down),
        Health::Unknown => (g.unknown, Role::Unknown),
        Health::Paused => (g.paused, Role::Paused),
    }
}

/// Sign and role of a backup set's state.
pub fn backup_state(g: &Glyphs, state: BackupState) -> (&'static str, Role) {
    match state {
        BackupState::Fresh => (g.up, Role::Up),
        BackupState::Suspect => (g.degraded, Role::Degraded),
        BackupState::Stale | BackupState::Missing => (g.down, Role::Down),
        BackupState::Unknown => (g.unknown, Role::Unknown),
    }
}

/// The role of a severity.
pub fn severity(severity: Severity) -> Role {
    match severity {
        Severity::P0 => Role::Sev0,
        Severity::P1 => Role::Sev1,
        Severity::P2 => Role::Sev2,
        Severity::P3 => Role::Sev3,
    }
}

/// The link in words.
pub fn link(watched: &Watched, g: &Glyphs) -> (Role, String) {
    if watched.stopped {
        return (Role::Replay, " NOT LIVE ".into());
    }
    match watched.link() {
        LinkState::Live => (Role::LinkLive, format!("{} live", g.live)),
        LinkState::Silent(s) => (Role::LinkSilent, format!("{} silent {s}s", g.degraded)),
        LinkState::Lost(s, _) => {
            (Role::LinkLost, format!(" {} LINK LOST {} ", g.lost, text::ago(std::time::Duration::from_secs(s))))
        }
    }
}

/// A production system, by its name: the header must not look like any other.
pub fn is_production(environment: &str) -> bool {
    environment.to_ascii_lowercase().starts_with("prod")
}

/// What an open incident has cost so far, by the downtime that its review will count; and that it costs nothing now.
pub fn cost(watched: &Watched, view: &IncidentView) -> Option<String> {
    let (amount, stands) = cost_parts(watched, view)?;
    Some(format!("{amount}{stands}"))
}

fn cost_parts(watched: &Watched, view: &IncidentView) -> Option<(String, &'static str)> {
    let cost = watched.mirror.head.cost.as_ref()?;
    let charged = view.leading.charged.filter(|_| view.incident.status.is_open())?;
    let ms = charged.at(watched.engine_now()).as_millis() as f64;
    // In coarse steps: the last digit of a large sum is noise, and each change costs bytes.
    let amount = cost.per_hour * ms / 3_600_000.0;
    let step = (cost.per_hour / 360.0).max(1.0);
    let stands = match (charged.since, watched.mirror.services.values().any(|s| s.tier == 1)) {
        (Some(_), _) => "",
        (None, true) => ", no tier 1 is down",
        (None, false) => ", nothing is down",
    };
    Some((text::money((amount / step).floor() * step, &cost.currency), stands))
}

/// The first line.
pub fn draw(watched: &Watched, look: &Look, area: Rect, c: &mut Canvas<'_>) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let head = &watched.mirror.head;
    let open = watched.mirror.open_incidents();
    let first = open.first().copied();
    let environment = head.environment.to_uppercase();
    let env_role = if is_production(&head.environment) { Role::HeaderProduction } else { Role::HeaderEnv };
    c.style(area, Role::Header);
    let (link_role, link_text) = link(watched, &look.g);
    let link_wide = u16::try_from(width(&link_text)).unwrap_or(12);
    let right = area.right().saturating_sub(1);
    let link_at = c.put_right(area.x, right, area.y, &link_text, link_role);
    // What must stay: severity and T+.
    let must: Option<(String, String)> =
        first.map(|i| (format!(" {} ", i.incident.severity), format!("T+{}", text::clock(watched.elapsed(i)))));
    let must_wide = must.as_ref().map_or(0, |(a, b)| width(a) + width(b) + 3);
    let room = usize::from(area.width).saturating_sub(usize::from(link_wide) + 3);
    let mut left = room.saturating_sub(must_wide);
    // The others, in the order in which they are given room.
    let mut take = |text: String, least: usize| -> String {
        let wide = width(&text);
        if text.is_empty() || left < least.min(wide) + 2 {
            return String::new();
        }
        let text = text::width::cut(&text, left.saturating_sub(2));
        left -= width(&text) + 2;
        text
    };
    // That nobody has taken it, and that it is not the only one, comes before where this is; in little room a place is
    // kept for what is due as well.
    let not_acked = first.is_some_and(|v| v.incident.acknowledged_at.is_none());
    let not_acked = take(if not_acked { "NOT ACKNOWLEDGED".into() } else { String::new() }, 16);
    let more = take(if open.len() > 1 { format!("+{} more", open.len() - 1) } else { String::new() }, 7);
    let due_at = first.and_then(|v| v.update_due).filter(|_| (76..100).contains(&area.width));
    let kept = due_at.map(|at| match at <= watched.engine_now() {
        true => (take(" OVERDUE ".into(), 9), Role::DueOver),
        false if not_acked.is_empty() && more.is_empty() => (String::new(), Role::Due),
        false => (take(format!("due {}", look.hm(at)), 9), Role::Due),
    });
    let env = take(environment, 4);
    let mut system = take(text::clean(&head.system).into_owned(), 6);
    let mut id = String::new();
    let title;
    let mut due = (String::new(), Role::Due);
    let mut money = String::new();
    let mut commander = String::new();
    let read_only = if watched.peer.read_only { take("READ-ONLY".into(), 9) } else { String::new() };
    if let Some(view) = first {
        id = take(view.incident.id.clone(), 12);
        if let Some(at) = view.update_due {
            let now = watched.engine_now();
            due = if at > now {
                let what = view.leading.due.map_or("update", |d| d.what.title());
                let due = take(format!("{what} due {}", look.hm(at)), 99);
                (if due.is_empty() { take(format!("due {}", look.hm(at)), 99) } else { due }, Role::Due)
            } else {
                let what = view.leading.due.map_or("UPDATE", |d| match d.what {
                    Word::First => "FIRST WORD",
                    _ => "UPDATE",
                });
                let long = format!(" {what} OVERDUE {} ", coarse(now.since(at)));
                let texts = [long, format!(" {what} OVERDUE "), " OVERDUE ".into()];
                (texts.into_iter().map(|t| take(t, 99)).find(|t| !t.is_empty()).unwrap_or_default(), Role::DueOver)
            };
        }
        if let Some(kept) = kept.filter(|_| due.0.is_empty()) {
            due = kept;
        }
        let (amount, stands) = cost_parts(watched, view).unwrap_or_default();
        money = take(amount, 99);
        title = take(text::clean(&view.incident.title).into_owned(), 10);
        commander = match view.incident.commander() {
            Some(user) => take(format!("led by {user}"), 10),
            None if watched.stopped => take("nobody leads".into(), 12),
            None => take("nobody leads: a".into(), 15),
        };
        // Why it stands still is said where nothing else has to go for it.
        if !money.is_empty() {
            money.push_str(&take(stands.to_owned(), 99));
        }
    } else {
        let down = watched.mirror.services.values().any(|s| s.state == Health::Down);
        let can = down && !watched.stopped && !watched.peer.read_only && !matches!(watched.link(), LinkState::Lost(..));
        let said = if can { "no incident: d declares" } else { "no incident" };
        // What comes after incidents is said while nothing burns.
        let now = watched.engine_now();
        let late = head.followups.iter().filter(|f| f.is_overdue(now)).count();
        let open = head.followups.iter().filter(|f| f.standing.is_open()).count();
        title = take(
            match (late, open) {
                (0, 0) => said.to_owned(),
                (0, n) => format!("{said}   {} to be done", text::plural(n, "follow-up")),
                (late, _) => format!("{said}   {} OVERDUE", text::plural(late, "follow-up")),
            },
            11,
        );
    }
    if system.is_empty() && must.is_none() {
        system = text::width::cut(&head.system, room.saturating_sub(2));
    }
    let end = link_at.saturating_sub(1);
    let mut x = area.x.saturating_add(1);
    let put = |x: u16, text: &str, role: Role, c: &mut Canvas<'_>| -> u16 {
        if text.is_empty() {
            return x;
        }
        c.put(x, area.y, end.saturating_sub(x), text, role).saturating_add(2)
    };
    x = put(x, &system, Role::HeaderSystem, c);
    if !system.is_empty() && !env.is_empty() && x >= 2 {
        c.put(x - 1, area.y, 1, look.g.dot, Role::Dim);
        x += 1;
    }
    x = put(x, &env, env_role, c);
    x = put(x, &read_only, Role::Strong, c);
    if let (Some((sev, clock)), Some(view)) = (&must, first) {
        x = put(x, sev, severity(view.incident.severity), c);
        x = put(x, &id, Role::Header, c);
        x = put(x, &title, Role::Strong, c);
        x = put(x, clock, Role::Clock, c);
        x = put(x, &not_acked, Role::Unsure, c);
        x = put(x, &due.0, due.1, c);
        x = put(x, &money, Role::Cost, c);
        x = put(x, &more, Role::DueOver, c);
    } else {
        x = put(x, &title, Role::Dim, c);
    }
    put(x, &commander, Role::Dim, c);
}

/// Banners, worst first: what must not be overlooked, each a full line.
pub fn banners(watched: &Watched) -> Vec<(Role, String)> {
    let head = &watched.mirror.head;
    let mut out = Vec::new();
    if let LinkState::Lost(_, why) = watched.link() {
        out.push((
            Role::BannerBad,
            format!("NO LINK TO THE ENGINE, nothing here is current; E starts one if none runs ({why})"),
        ));
    }
    match &head.recording {
        Recording::On => {}
        Recording::Reserve { left } => out.push((
            Role::BannerBad,
            format!(
                "THE DISK IS FULL: the record goes into its reserve, {} left. Free space on it now",
                text::size(*left)
            ),
        )),
        Recording::Off { since, why, kept } => out.push((
            Role::BannerBad,
            format!(
                "NOTHING IS BEING RECORDED since {}Z: {why}. {} kept in memory",
                since.hms(),
                text::plural(usize::try_from(*kept).unwrap_or(usize::MAX), "entry").replace("entrys", "entries")
            ),
        )),
    }
    if let Some(view) = watched.mirror.open_recovery().filter(|v| v.recovery.wants_person()) {
        let r = &view.recovery;
        match &r.halt {
            Some(halt) => {
                let why = format!("{}: {}", halt.why.word(), halt.detail);
                let said = format!("RECOVERY STOPPED, 5 W answers it: {} {}, {why}", r.plan.name, r.place());
                out.push((Role::BannerBad, said));
            }
            None => {
                let said = format!("recovery waits for a person, 5 W answers it: {} {}", r.plan.name, r.place());
                out.push((Role::BannerWarn, said));
            }
        }
    }
    for view in watched.mirror.open_incidents() {
        let i = &view.incident;
        if i.acknowledged_at.is_none() && i.clock.escalation.ended.is_some() {
            let said = format!("NOBODY ACKNOWLEDGED {}: every level was called; @ says whom to call by phone", i.id);
            out.push((Role::BannerBad, said));
        }
    }
    out.extend(owed(watched));
    out.extend(guard_banners(watched));
    if let Some(fault) = head.config_faults.first() {
        let more = match head.config_faults.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        out.push((Role::BannerWarn, format!("configuration not in force: {fault}{more}. The one before stays")));
    }
    out.extend(head.warnings.iter().map(|w| (Role::BannerWarn, w.clone())));
    out.iter_mut().for_each(|(_, text)| *text = text::clean(text).into_owned());
    out
}

/// What is overdue of incidents that are over: with the clock gone from the header nothing else would tell of it.
fn owed(watched: &Watched) -> Option<(Role, String)> {
    let now = watched.engine_now();
    let mut owed: Vec<(Time, &str, &str)> = watched
        .mirror
        .incidents
        .values()
        .filter(|v| !v.incident.status.is_open())
        .filter_map(|v| Some((v.incident.id.as_str(), v.leading.due.filter(|due| due.at <= now)?)))
        .map(|(id, due)| (due.at, id, due.what.title()))
        .collect();
    owed.sort_unstable();
    let (at, id, what) = owed.first()?;
    let since = if at.date() == now.date() { format!("{}Z", at.hm()) } else { format!("{} {}Z", at.date(), at.hm()) };
    let more = if owed.len() > 1 { format!(" (and {} more)", owed.len() - 1) } else { String::new() };
    Some((Role::BannerWarn, format!("{id}: {what} OVERDUE since {since}{more}")))
}

/// What is held altogether, and who waits for a second person.
fn guard_banners(watched: &Watched) -> Vec<(Role, String)> {
    let guard = &watched.mirror.head.guard;
    let mut out = Vec::new();
    for approval in guard.waiting() {
        let (title, words, until) = (&approval.title, &approval.words, approval.expires_at().hm());
        out.push(match approval.by.user == watched.peer.user {
            true => (
                Role::BannerInfo,
                format!("your {title} waits for a second person, Y: say \"{words}\", until {until}Z"),
            ),
            false => {
                let by = &approval.by.user;
                (Role::BannerBad, format!("APPROVAL WANTED by {by}, Y: {title} \"{words}\" until {until}Z"))
            }
        });
    }
    let held = |what: &str, hold: &crate::domain::guard::Hold| {
        format!("HELD {what} by {} since {}Z, no restart and no restore: {}", hold.by, hold.since.hm(), hold.reason)
    };
    if let Some(hold) = &guard.guards.all {
        let but: Vec<&str> = hold.except.iter().map(String::as_str).collect();
        let what = if but.is_empty() { "EVERYTHING".to_owned() } else { format!("everything but {}", but.join(", ")) };
        out.push((Role::BannerBad, held(&what, hold)));
    } else if let Some(hold) = guard.guards.holds.values().next() {
        let names: Vec<&str> = guard.guards.holds.keys().map(String::as_str).collect();
        out.push((Role::BannerWarn, held(&names.join(", "), hold)));
    }
    out
}

/// A duration that changes seldom: ten-second steps below ten minutes, then minutes, then hours and minutes.
/// `just now`, `40s ago`, `2h ago`: as coarse as what lies long back may be.
pub fn ago(d: std::time::Duration) -> String {
    match d.as_secs() {
        0..=9 => "just now".into(),
        10..=59 => format!("{} ago", coarse(d)),
        _ => format!("{} ago", text::ago(d)),
    }
}

pub fn coarse(d: std::time::Duration) -> String {
    let s = d.as_secs();
    let steps = match s {
        0..=9 => return "now".into(),
        10..=599 => s / 10 * 10,
        _ => s / 60 * 60,
    };
    text::duration(std::time::Duration::from_secs(steps))
}
