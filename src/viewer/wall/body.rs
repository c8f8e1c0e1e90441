//! The pages without an incident: problems as tiles or rows, backups as bars, and the page of a calm system.

use std::time::Duration;

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::deck::Page;
use super::facts::{Hot, Problem, Verdict, reason};
use super::frame::Drawing;
use crate::domain::backup::BackupState;
use crate::domain::health::Health;
use crate::text;
use crate::viewer::bigtext::{self, Ink};
use crate::viewer::canvas::Canvas;
use crate::viewer::header::{self, coarse};
use crate::viewer::theme::Role;
use crate::wire::ServiceView;

/// Draws one page.
pub fn draw(d: &Drawing<'_>, page: &Page, body: Rect, c: &mut Canvas<'_>) {
    if body.width < 4 || body.height == 0 {
        return;
    }
    match page {
        Page::Problems(n) => {
            let tiles = d.deck.tiles(&d.facts.problems, *n);
            problems(d, tiles, body, c);
            if d.deck.has_room_for_backups(d.facts, *n, body) {
                let used = d.deck.tile_rows(tiles.len());
                let left = Rect { y: body.y + used, height: body.height.saturating_sub(used), ..body };
                backups(d, &d.facts.hot, left, c);
            }
        }
        Page::Backups(n) => {
            let per_page = d.deck.backups_per_page;
            let from = n.saturating_mul(per_page).min(d.facts.hot.len());
            backups(d, d.facts.hot.get(from..).unwrap_or_default(), body, c);
        }
        Page::Rest | Page::Incident(_) => rest(d, body, c),
    }
}

fn problems(d: &Drawing<'_>, tiles: &[Problem<'_>], body: Rect, c: &mut Canvas<'_>) {
    let grid = d.deck.grid;
    let wide = body.width / grid.columns.max(1);
    for (i, problem) in tiles.iter().enumerate() {
        let i = u16::try_from(i).unwrap_or(u16::MAX);
        let (column, row) = (i % grid.columns.max(1), i / grid.columns.max(1));
        let y = body.y.saturating_add(row.saturating_mul(grid.rows));
        let left = Rect { x: body.x + column * wide, y, width: wide, height: body.bottom().saturating_sub(y) };
        if left.height == 0 {
            return;
        }
        if grid.scale == 0 {
            line(d, problem, Rect { height: 1, ..left }, c);
        } else {
            tile(d, problem, left, c);
        }
    }
}

/// Role of the name; what counts no more is struck through, whatever it was.
fn role_of(d: &Drawing<'_>, p: &Problem<'_>) -> Role {
    if p.stale.is_some() || d.facts.is_frozen() {
        return Role::Stale;
    }
    match p.state {
        Health::Down => Role::Down,
        Health::Degraded => Role::Degraded,
        _ => Role::Unknown,
    }
}

/// `DOWN`, or how old the last result is.
fn word(p: &Problem<'_>) -> String {
    match p.stale {
        Some(Some(age)) => format!("STALE {}", coarse(age)),
        Some(None) => "STALE, never seen".to_owned(),
        None => p.state.word().to_uppercase(),
    }
}

fn since(d: &Drawing<'_>, p: &Problem<'_>) -> String {
    let from = p.service.down_since.filter(|_| p.state == Health::Down).unwrap_or(p.service.since);
    coarse(d.facts.now.since(from))
}

/// Why, how long, how the recovery stands, and the tier.
fn facts_of(d: &Drawing<'_>, p: &Problem<'_>) -> Vec<(Role, String)> {
    let mut out = vec![(Role::WallBig, since(d, p))];
    let why = reason(p.service);
    if !why.is_empty() {
        out.insert(0, (Role::Wall, text::width::cut(&why, 32)));
    }
    if p.state == Health::Down
        && let Some(rto) = rto(d, p.service)
    {
        out.push(rto);
    }
    if let Some(run) = &p.service.held_by {
        out.push((Role::Running, format!("{} run {}", d.wall.look.g.running, text::clean(run))));
    }
    if p.service.tier > 0 {
        out.push((Role::WallDim, format!("T{}", p.service.tier)));
    }
    out
}

/// `OVER RTO 2m40s` or `RTO left 7m10s`.
pub fn rto(d: &Drawing<'_>, service: &ServiceView) -> Option<(Role, String)> {
    let rto = Duration::from_millis(service.rto_ms?);
    let down = d.facts.now.since(service.down_since.unwrap_or(service.since));
    Some(match rto.checked_sub(down) {
        Some(left) if left > Duration::ZERO => {
            let role = if left < rto / 4 { Role::RtoLow } else { Role::RtoLeft };
            (role, format!("RTO left {}", coarse_down(left)))
        }
        _ => (Role::RtoOver, format!(" OVER RTO {} ", coarse(down.saturating_sub(rto)))),
    })
}

/// A time that is left, in steps that never say more than there is.
pub fn coarse_down(d: Duration) -> String {
    if d < Duration::from_secs(10) { "<10s".to_owned() } else { coarse(d) }
}

fn line(d: &Drawing<'_>, p: &Problem<'_>, row: Rect, c: &mut Canvas<'_>) {
    let (sign, _) = header::state(c.g, p.state);
    let role = role_of(d, p);
    let loud = p.root && role == Role::Down;
    let name = text::clean(&p.service.name);
    let room = usize::from(row.width.saturating_sub(2));
    // The name is what matters most: it gets what the state leaves, the reason what the name leaves.
    let state = format!("{sign} {}", word(p));
    let name = text::width::cut(&name, room.saturating_sub(text::width(&state) + 1).min(40));
    let name_role = if loud || role == Role::Stale { role } else { Role::WallBig };
    let state_role = if role == Role::Stale { Role::Unknown } else { role };
    let mut x = c.line(row.x + 1, row.y, row.width.saturating_sub(2), &[(state_role, &state), (Role::Wall, " ")]);
    x = c.cut(x, row.y, row.right().saturating_sub(x + 1), &name, name_role);
    x = c.put(x, row.y, 2.min(row.right().saturating_sub(x + 1)), "  ", Role::Wall);
    for (role, text) in facts_of(d, p) {
        if usize::from(row.right().saturating_sub(x + 1)) >= text::width(&text) {
            x = c.put(x, row.y, row.right().saturating_sub(x + 1), &text, role) + 2;
        }
    }
}

fn tile(d: &Drawing<'_>, p: &Problem<'_>, area: Rect, c: &mut Canvas<'_>) {
    let grid = d.deck.grid;
    let area = Rect { width: area.width.saturating_sub(u16::from(grid.columns > 1)), ..area };
    let (sign, _) = header::state(c.g, p.state);
    let role = role_of(d, p);
    let name = text::clean(&p.service.name);
    let band = Rect { height: (bigtext::ROWS * grid.scale).min(area.height), ..area };
    let loud = p.root && role == Role::Down;
    if loud {
        c.style(band, role);
    }
    // Two columns for the sign of the state, on every row so that its shape is a bar.
    let (x, room) = (band.x + 3, band.width.saturating_sub(4));
    for y in band.top()..band.bottom() {
        c.put(band.x + 1, y, 1, sign, if role == Role::Stale { Role::Unknown } else { role });
    }
    let largest = bigtext::largest(&name, room, band.height);
    match largest {
        Some(scale) => {
            let ink = Ink { struck: role == Role::Stale, ..d.ink(role) };
            bigtext::draw(c.buffer, band, x, band.y, &name, scale, ink);
        }
        None => {
            c.cut(x, band.y + band.height / 2, room, &name, role);
        }
    }
    let detail = Rect {
        y: band.bottom(),
        height: (bigtext::ROWS * grid.detail).max(1).min(area.bottom().saturating_sub(band.bottom())),
        ..area
    };
    if detail.height == 0 {
        return;
    }
    let state_role = if role == Role::Stale { Role::Unknown } else { role };
    let mut pieces = vec![(state_role, word(p))];
    pieces.extend(facts_of(d, p));
    if grid.detail > 0 {
        big_pieces(d, &pieces, detail, c);
        return;
    }
    let mut x = detail.x + 1;
    for (i, (role, text)) in pieces.iter().enumerate() {
        let sign = if i == 0 { format!("{sign} {text}") } else { text.clone() };
        let left = detail.right().saturating_sub(x);
        if i == 0 || usize::from(left) >= text::width(&sign) {
            x = c.cut(x, detail.y, left, &sign, *role) + 2;
        }
    }
}

/// Pieces in large letters, all of one size, as long as they fit; the rest is left out.
fn big_pieces(d: &Drawing<'_>, pieces: &[(Role, String)], row: Rect, c: &mut Canvas<'_>) {
    let wide =
        |x: u16| -> u32 { pieces.iter().map(|(_, t)| u32::from(bigtext::width(t.trim(), x)) + 5 * u32::from(x)).sum() };
    let most = (row.height / bigtext::ROWS).max(1);
    let size = (1..=most).rev().find(|x| wide(*x) < u32::from(row.width)).unwrap_or(1);
    let scale = bigtext::Scale { x: size, y: most.min(size * 2) };
    let mut x = row.x + 1;
    for (role, text) in pieces {
        let text = text.trim();
        let wide = bigtext::width(text, scale.x).saturating_add(2);
        if !bigtext::can(text) || wide > row.right().saturating_sub(x) {
            continue;
        }
        if *role == Role::RtoOver {
            c.style(Rect { x, width: wide, ..row }, *role);
        }
        x = bigtext::draw(c.buffer, row, x + 1, row.y, text, scale, d.ink(*role)) + 4 * scale.x;
    }
}

fn backups(d: &Drawing<'_>, hot: &[Hot<'_>], area: Rect, c: &mut Canvas<'_>) {
    if area.height == 0 {
        return;
    }
    c.cut(area.x + 1, area.y, area.width.saturating_sub(2), "BACKUPS", Role::WallDim);
    let rows = d.deck.backup_rows;
    for (i, one) in hot.iter().enumerate() {
        let y = area.y + 1 + u16::try_from(i).unwrap_or(u16::MAX).saturating_mul(rows);
        if y.saturating_add(rows) > area.bottom() {
            return;
        }
        backup(d, one, Rect { y, height: rows, ..area }, c);
    }
}

fn backup(d: &Drawing<'_>, hot: &Hot<'_>, area: Rect, c: &mut Canvas<'_>) {
    let backup = hot.backup;
    let (sign, mut role) = header::backup_state(c.g, backup.state);
    let over = hot.percent.is_some_and(|p| p > 100);
    if backup.state == BackupState::Fresh {
        role = Role::WallBig;
    }
    if d.facts.is_frozen() {
        role = Role::Stale;
    }
    let name = text::clean(&backup.name).into_owned();
    let rpo = backup.rpo_ms.map(|ms| format!(" of RPO {}", text::duration(Duration::from_millis(ms))));
    let said = match (hot.age, &backup.problem) {
        (_, Some(problem)) => text::clean(problem).into_owned(),
        (Some(age), _) => format!("{}{}", coarse(age), rpo.unwrap_or_default()),
        (None, _) => "no good copy".to_owned(),
    };
    let state = backup.state.word().to_uppercase();
    let wide = area.width.saturating_sub(2);
    let percent = hot.percent.map(|p| format!("{p}%")).unwrap_or_default();
    let mut y = area.y;
    if area.height > bigtext::ROWS {
        let shown = format!("{name} {percent}");
        let row = Rect { height: bigtext::ROWS, ..area };
        d.say(c, row, shown.trim_end(), role, false);
        y += bigtext::ROWS;
        bar(d, hot, Rect { x: area.x + 1, y, width: wide, height: 1 }, over, c);
        let text = format!("{sign} {state}  {said}");
        c.cut(area.x + 1, y + 1, wide, &text, role);
        return;
    }
    let mut x = c.cut(area.x + 1, y, wide, &format!("{sign} {state} {name}"), role) + 2;
    x = c.cut(x, y, area.right().saturating_sub(x), &said, Role::Wall) + 2;
    c.cut(x, y, area.right().saturating_sub(x), &percent, role);
    bar(d, hot, Rect { x: area.x + 1, y: y + 1, width: wide, height: 1 }, over, c);
}

/// Age against the RPO; full is the RPO, and over it the whole bar is loud.
fn bar(d: &Drawing<'_>, hot: &Hot<'_>, row: Rect, over: bool, c: &mut Canvas<'_>) {
    let percent = match (hot.percent, hot.backup.state) {
        (Some(p), _) => p,
        (None, BackupState::Missing) => 100,
        (None, _) => return,
    };
    let bad = over || hot.backup.state == BackupState::Missing;
    thick_bar(
        d,
        row,
        u16::try_from(percent.min(100) * 10).unwrap_or(1000),
        if bad { Role::Down } else { Role::BarDone },
        c,
    );
}

/// A bar as high as its area.
pub fn thick_bar(d: &Drawing<'_>, area: Rect, permille: u16, role: Role, c: &mut Canvas<'_>) {
    let done = u16::try_from(u32::from(area.width) * u32::from(permille.min(1000)) / 1000).unwrap_or(0);
    let [full, rest] = if d.wall.blocks { ["▆", "▁"] } else { ["#", "_"] };
    for y in area.top()..area.bottom() {
        for x in 0..area.width {
            let (sign, role) = if x < done { (full, role) } else { (rest, Role::BarRest) };
            let style = d.wall.look.theme.style(role);
            // A role with a background of its own gives the bar that colour, not the one of its letters.
            let style = style.bg.map_or(style, |bg| Style::new().fg(bg));
            let at = (area.x + x, y);
            if let Some(cell) = c.buffer.cell_mut(at) {
                cell.set_symbol(sign).set_style(style);
            }
        }
    }
}

/// Calm, empty, or not to be known: how many of each tier, or what to do.
fn rest(d: &Drawing<'_>, body: Rect, c: &mut Canvas<'_>) {
    let f = d.facts;
    let room = body.width.saturating_sub(2);
    if f.verdict == Verdict::Empty {
        let source = &f.mirror.head.config_source;
        let mut lines = vec![
            "mayday init    writes a configuration from what runs on this host".to_owned(),
            "mayday demo    a sandbox to see it work".to_owned(),
        ];
        if !source.is_empty() {
            lines.push(format!("or add services to {}: a save is taken up at once", text::clean(source)));
        }
        for (i, line) in lines.iter().enumerate() {
            let y = body.y.saturating_add(u16::try_from(i).unwrap_or(u16::MAX));
            if y < body.bottom() {
                c.cut(body.x + 1, y, room, line, Role::WallBig);
            }
        }
        return;
    }
    let mut y = body.y;
    let step = if body.height >= 10 { 2 } else { 1 };
    let mut tiers: Vec<u8> = f.dots.iter().map(|(_, tier)| *tier).collect();
    tiers.sort_unstable();
    tiers.dedup();
    for tier in tiers {
        if y >= body.bottom() {
            return;
        }
        let of: Vec<Health> = f.dots.iter().filter(|(_, t)| *t == tier).map(|(s, _)| *s).collect();
        let name = if tier == 9 { "no tier".to_owned() } else { format!("tier {tier}") };
        let mut x = c.put(body.x + 1, y, room, &format!("{name}  {} ", of.len()), Role::WallDim) + 1;
        for state in of {
            let (sign, role) = header::state(c.g, state);
            let role = if f.is_frozen() { Role::Stale } else { role };
            x = c.put(x, y, u16::from(x + 1 < body.right()), sign, role) + 1;
        }
        y += step;
    }
    let sets = f.mirror.backups.len();
    if sets > 0 && y < body.bottom() && !f.is_frozen() && f.hot.is_empty() {
        let known = f.mirror.backups.values().filter(|b| b.state == BackupState::Fresh).count();
        let text = format!("{} {known} of {} fresh", c.g.up, text::plural(sets, "backup set"));
        let role = if known == sets { Role::Up } else { Role::Unknown };
        c.cut(body.x + 1, y, room, &text, role);
    }
}
