//! The page of an incident: how bad, how long, how it stands against its objectives, and who leads.

use std::time::Duration;

use ratatui::layout::Rect;

use super::body::{coarse_down, thick_bar};
use super::frame::Drawing;
use crate::domain::escalation::Reached;
use crate::domain::health::Health;
use crate::text;
use crate::viewer::bigtext::{self, Scale};
use crate::viewer::canvas::Canvas;
use crate::viewer::header::{self, coarse};
use crate::viewer::theme::Role;
use crate::wire::IncidentView;

/// A line that is to be said, most important first.
struct Said {
    /// From long to short.
    texts: Vec<String>,
    role: Role,
    loud: bool,
}

/// Draws the page.
pub fn draw(d: &Drawing<'_>, view: &IncidentView, body: Rect, c: &mut Canvas<'_>) {
    if body.height == 0 || body.width < 4 {
        return;
    }
    let big = body.height >= 25 && body.width >= 100;
    let high = if big { bigtext::ROWS } else { 1 };
    let title_high = if big && body.height >= 34 { bigtext::ROWS } else { 1 };
    let lines = [due(d, view), lead(view)];
    let mut left = body;
    let mut take = |n: u16| {
        let n = n.min(left.height);
        let taken = Rect { height: n, ..left };
        left = Rect { y: left.y + n, height: left.height - n, ..left };
        taken
    };
    let gap = u16::from(body.height >= 16);
    let bar_high = if big && body.height >= 34 { 2 } else { 1 };
    let rto_high = high + bar_high;
    let below = rto_high + gap + u16::try_from(lines.len()).unwrap_or(0) * high + gap;
    let roots = u16::try_from(d.facts.roots).unwrap_or(u16::MAX).min(match body.height {
        34.. => 3,
        16..=24 => 2,
        _ => 0,
    });
    let most = match body.height {
        34.. => 4,
        25.. => 2,
        16.. => 1,
        _ => 0,
    };
    let doing = super::doing::lines(d, view, most);
    let below = below + u16::try_from(doing.len()).unwrap_or(0);
    let room = body.height.saturating_sub(title_high + u16::from(body.height >= 12) + below + roots + gap);
    title(d, view, take(title_high), room == 0, c);
    if body.height >= 12 {
        take(1);
    }
    // The clock takes what the lines below it leave.
    clock(d, view, take(room), c);
    take(gap);
    rto(d, view, take(rto_high.min(if body.height < 6 { 1 } else { rto_high })), high, c);
    take(gap);
    for said in &lines {
        d.say_any(c, take(high), &said.texts, said.role, said.loud);
    }
    take(gap);
    for (role, text) in &doing {
        let row = take(1);
        c.cut(row.x + 1, row.y, row.width.saturating_sub(2), text, *role);
    }
    for p in d.facts.problems.iter().filter(|p| p.root) {
        let row = take(1);
        if row.height == 0 {
            return;
        }
        let text = format!("{} DOWN {}  {}", c.g.down, text::clean(&p.service.name), super::facts::reason(p.service));
        c.cut(row.x + 1, row.y, row.width.saturating_sub(2), &text, Role::WallBig);
    }
}

/// `clocked`: there is no room for the clock but here.
fn title(d: &Drawing<'_>, view: &IncidentView, row: Rect, clocked: bool, c: &mut Canvas<'_>) {
    let incident = &view.incident;
    let role = header::severity(incident.severity);
    let title = text::clean(&incident.title);
    let word = incident.severity.name();
    if row.height >= bigtext::ROWS {
        let wide = bigtext::width(word, 1) + 4;
        c.style(Rect { width: wide.min(row.width), ..row }, role);
        bigtext::draw(c.buffer, row, row.x + 2, row.y, word, Scale::ONE, d.ink(role));
        let rest = Rect { x: row.x + wide + 1, width: row.width.saturating_sub(wide + 1), ..row };
        if bigtext::largest(&title, rest.width.saturating_sub(2), row.height).is_some() {
            // The id is small beside it: it is for typing, not for reading from afar.
            let x = bigtext::draw(c.buffer, rest, rest.x + 1, rest.y, &title, Scale::ONE, d.ink(Role::WallBig));
            c.put(x + 3, row.y + 2, row.right().saturating_sub(x + 3), &incident.id, Role::WallDim);
        } else {
            c.cut(rest.x + 1, row.y + 1, rest.width.saturating_sub(1), &title, Role::WallBig);
            c.cut(rest.x + 1, row.y + 2, rest.width.saturating_sub(1), &incident.id, Role::WallDim);
        }
        return;
    }
    if row.height == 0 {
        return;
    }
    let clock = if clocked { format!(" {}", t_plus(d.wall.watched.elapsed(view))) } else { String::new() };
    let pieces = [
        (role, format!(" {word} ")),
        (Role::WallBig, clock),
        (Role::WallBig, format!(" {} ", incident.id)),
        (Role::WallBig, title.into_owned()),
        (Role::WallDim, format!("  {}", incident.status.word())),
    ];
    let pieces: Vec<(Role, &str)> = pieces.iter().map(|(r, t)| (*r, t.as_str())).collect();
    c.line(row.x + 1, row.y, row.width.saturating_sub(2), &pieces);
}

/// `T+12:43`, with hours from the first one on.
fn t_plus(elapsed: Duration) -> String {
    let clock = text::clock(elapsed);
    match clock.strip_prefix("00:") {
        Some(short) if elapsed < Duration::from_secs(3600) => format!("T+{short}"),
        _ => format!("T+{clock}"),
    }
}

fn clock(d: &Drawing<'_>, view: &IncidentView, area: Rect, c: &mut Canvas<'_>) {
    // While nothing is heard the clock goes on, because the incident does: it needs nobody's word.
    let said = t_plus(d.wall.watched.elapsed(view));
    let room = area.width.saturating_sub(2);
    match bigtext::largest(&said, room, area.height) {
        Some(scale) => {
            let y = area.y + (area.height - scale.rows()) / 2;
            let x = area.x + 1 + room.saturating_sub(bigtext::width(&said, scale.x)) / 2;
            bigtext::draw(c.buffer, area, x, y, &said, scale, d.ink(Role::WallBig));
        }
        None if area.height > 0 => {
            c.cut(area.x + 1, area.y, room, &said, Role::WallBig);
        }
        None => {}
    }
}

fn rto(d: &Drawing<'_>, view: &IncidentView, area: Rect, high: u16, c: &mut Canvas<'_>) {
    if area.height == 0 {
        return;
    }
    let line = Rect { height: high.min(area.height), ..area };
    let Some((service, down, rto)) = d.facts.worst_rto(view) else {
        let named = &view.incident.services;
        let is_down = |name: &String| d.facts.mirror.services.get(name).is_some_and(|s| s.state == Health::Down);
        let text = if !named.is_empty() && !named.iter().any(is_down) {
            "RTO: NO AFFECTED SERVICE IS DOWN"
        } else {
            "NO RTO SET FOR WHAT IS DOWN"
        };
        d.say(c, line, text, Role::WallDim, false);
        return;
    };
    let name = text::clean(&service.name);
    let permille = u16::try_from((down.as_millis() * 1000 / rto.as_millis().max(1)).min(1000)).unwrap_or(1000);
    let of = format!("{name} {}", text::duration(rto));
    let (texts, role) = match rto.checked_sub(down) {
        Some(left) if left > Duration::ZERO => {
            let role = if left < rto / 4 { Role::RtoLow } else { Role::WallBig };
            let left = coarse_down(left);
            ([format!("RTO {of} LEFT {left}"), format!("RTO {name} LEFT {left}"), format!("RTO LEFT {left}")], role)
        }
        _ => {
            let over = coarse(down.saturating_sub(rto));
            let texts =
                [format!("RTO {of} OVER BY {over}"), format!("RTO {name} OVER {over}"), format!("RTO OVER {over}")];
            (texts, Role::RtoOver)
        }
    };
    let which = d.say_any(c, line, &texts, role, role == Role::RtoOver);
    if which > 0 {
        // Small beside the large letters: whose it is.
        let taken = texts.get(which).map_or(0, |t| bigtext::width(t, 1) + 3);
        let y = line.bottom().saturating_sub(2);
        c.put_right(line.x + taken, line.right().saturating_sub(2), y, &of, role);
    }
    let bar = Rect {
        x: area.x + 1,
        y: line.bottom(),
        width: area.width.saturating_sub(2),
        height: area.height - line.height,
    };
    let bar_role = match role {
        Role::RtoOver => Role::Down,
        Role::RtoLow => Role::Degraded,
        _ => Role::BarDone,
    };
    thick_bar(d, bar, permille, bar_role, c);
}

fn due(d: &Drawing<'_>, view: &IncidentView) -> Said {
    let now = d.facts.now;
    match view.update_due {
        Some(at) if at > now => {
            let left = coarse_down(at.since(now));
            let texts = vec![format!("UPDATE DUE {} IN {left}", d.wall.look.hm(at)), format!("UPDATE DUE IN {left}")];
            Said { texts, role: Role::Due, loud: false }
        }
        Some(at) => {
            let over = text::duration(at_least_a_second(now.since(at)));
            let short = coarse(now.since(at));
            let texts =
                [format!("UPDATE OVERDUE {over}"), format!("UPDATE OVERDUE {short}"), format!("OVERDUE {short}")];
            let texts = texts.into();
            Said { texts, role: Role::DueOver, loud: true }
        }
        None => Said { texts: vec!["NO UPDATE DUE".into()], role: Role::WallDim, loud: false },
    }
}

/// In ten-second steps, so that the line does not change each second.
fn at_least_a_second(d: Duration) -> Duration {
    Duration::from_secs((d.as_secs() / 10 * 10).max(1))
}

fn lead(view: &IncidentView) -> Said {
    let incident = &view.incident;
    match (incident.commander(), &incident.acknowledged_by) {
        (_, None) if incident.acknowledged_at.is_none() => {
            let escalation = &incident.clock.escalation;
            let mut texts = vec!["NOT ACKNOWLEDGED".into(), "NO ACK".into()];
            match escalation.called.last() {
                _ if escalation.ended.is_some() => texts.insert(0, "NO ACK - NOBODY LEFT TO CALL".into()),
                Some(last) if view.leading.reached.last().is_some_and(Reached::is_nobody) => {
                    texts.insert(0, format!("NO ACK - LEVEL {} NOT REACHED", last.level));
                }
                Some(last) if last.level > 1 => texts.insert(0, format!("NO ACK - LEVEL {} CALLED", last.level)),
                _ => {}
            }
            Said { texts, role: Role::DueOver, loud: true }
        }
        (Some(user), _) => {
            Said { texts: vec![format!("LED BY {}", text::clean(user))], role: Role::WallBig, loud: false }
        }
        (None, by) => {
            let by = by.as_deref().unwrap_or("somebody");
            let texts = vec![format!("NO COMMANDER - ACKED BY {}", text::clean(by)), "NO COMMANDER".into()];
            Said { texts, role: Role::Degraded, loud: false }
        }
    }
}
