//! What stands where, by the size of the terminal and what is open. Pure: drawing and scrolling ask the same functions.

use ratatui::layout::Rect;

use super::app::{App, Detail, Pane};
use super::theme::Role;

/// Below this there is one honest line.
pub const LEAST: (u16, u16) = (60, 15);

/// Rows of an incident's pane that has room for what is due and the roles.
const WITH_ROLES: u16 = 18;
/// And for the phases.
const WITH_PHASES: u16 = 26;

/// The places of everything.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    pub header: Rect,
    pub banners: Vec<(Role, String, Rect)>,
    /// One line naming the panes, where only one is shown.
    pub tabs: Option<Rect>,
    pub panes: Vec<(Pane, Rect)>,
    pub detail: Option<Rect>,
    pub footer: Rect,
}

/// Too small for anything but a line.
pub fn is_tiny(area: Rect) -> bool {
    area.width < LEAST.0 || area.height < LEAST.1
}

/// One pane at a time.
pub fn is_small(area: Rect) -> bool {
    area.width < 100 || area.height < 28
}

/// The banners, worst first.
pub fn banners(app: &App) -> Vec<(Role, String)> {
    let mut out = super::header::banners(&app.watched);
    if let Some(bar) = &app.past {
        // What goes on now comes before what was then.
        out.splice(0..0, bar.live.iter().cloned());
    }
    if let Some((_, since)) = &app.frozen {
        let age = super::header::coarse(std::time::Duration::from_millis(app.watched.now.ms().saturating_sub(*since)));
        out.push((Role::BannerInfo, format!("FROZEN since {age}: this is an old picture; f thaws")));
    }
    let waiting = app.notes.iter().filter(|n| n.tag.is_none()).count();
    if waiting > 0 {
        let said = format!("{} kept here until the engine is back", crate::text::plural(waiting, "note"));
        out.push((Role::BannerWarn, said));
    }
    if let Some(fault) = app.faults.first() {
        let more = match app.faults.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        out.push((Role::BannerInfo, format!("{fault}{more}; the rest applies   esc hides this")));
    }
    out
}

/// What a frame around the past leaves of `area`.
pub fn inside(app: &App, area: Rect) -> Rect {
    if app.past.is_some() { super::past::places(area).inside } else { area }
}

/// Divides `area`.
pub fn parts(app: &App, area: Rect) -> Parts {
    if is_tiny(area) {
        return Parts { header: area, ..Parts::default() };
    }
    let area = inside(app, area);
    let header = Rect { height: 1, ..area };
    let footer = Rect { y: area.bottom() - 1, height: 1, ..area };
    let mut top = area.y + 1;
    let most = usize::from((area.height - 2) / 4).max(1);
    let mut lines = Vec::new();
    for (role, text) in banners(app).into_iter().take(most) {
        lines.push((role, text, Rect { y: top, height: 1, ..area }));
        top += 1;
    }
    let body = Rect { y: top, height: footer.y.saturating_sub(top), ..area };
    let mut out = Parts { header, banners: lines, footer, ..Parts::default() };
    if is_small(area) {
        let tabs = Rect { height: 1, ..body };
        let rest = Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body };
        out.tabs = Some(tabs);
        if app.detail.is_some() {
            out.detail = Some(rest);
        } else {
            out.panes.push((app.pane, rest));
        }
        return out;
    }
    let left_wide = if area.width >= 160 { area.width * 45 / 100 } else { area.width / 2 };
    let left = Rect { width: left_wide, ..body };
    let right = Rect { x: body.x + left_wide, width: body.width - left_wide, ..body };
    if app.detail.is_some() {
        let list = match app.detail {
            Some(Detail::Output) => Pane::Runs,
            _ => app.pane,
        };
        let narrow = if app.detail == Some(Detail::Output) { body.width * 35 / 100 } else { left_wide };
        out.panes.push((list, Rect { width: narrow, ..body }));
        out.detail = Some(Rect { x: body.x + narrow, width: body.width - narrow, ..body });
        return out;
    }
    let wanted = |pane: Pane| u16::try_from(app.rows_len(pane)).unwrap_or(u16::MAX).saturating_add(2);
    let runs = wanted(Pane::Runs).clamp(4, (left.height * 35 / 100).max(4));
    let services = left.height - runs;
    out.panes.push((Pane::Services, Rect { height: services, ..left }));
    out.panes.push((Pane::Runs, Rect { y: left.y + services, height: runs, ..left }));
    let incident = app.pane == Pane::Incident || !app.mirror().open_incidents().is_empty();
    // On a large screen there is room to say the selected one in full.
    let more = if right.height >= 44 { 6 } else { 0 };
    let backups = wanted(Pane::Backups).saturating_add(more).clamp(4, (right.height * 35 / 100).max(4));
    let about = 10.min(right.height / 3);
    if area.width >= 160 {
        // On a large screen there is room for the roles and the phases of the incident as well.
        let facts = app.incident().and_then(|v| app.mirror().head.severities.get(&v.incident.severity));
        let phased = facts.is_some_and(|f| !f.phases.is_empty());
        let whole = match (more > 0, phased) {
            (true, true) => WITH_PHASES,
            (true, false) => WITH_ROLES,
            (false, _) => about + 2,
        };
        let upper = if incident { backups.max(whole) } else { backups };
        let half = if incident { right.width / 2 } else { right.width };
        out.panes.push((Pane::Backups, Rect { height: upper, width: half, ..right }));
        if incident {
            let place = Rect { x: right.x + half, width: right.width - half, height: upper, ..right };
            out.panes.push((Pane::Incident, place));
        }
        out.panes.push((Pane::Timeline, Rect { y: right.y + upper, height: right.height - upper, ..right }));
    } else {
        let mut y = right.y;
        if incident {
            out.panes.push((Pane::Incident, Rect { y, height: about, ..right }));
            y += about;
        }
        out.panes.push((Pane::Backups, Rect { y, height: backups, ..right }));
        y += backups;
        out.panes.push((Pane::Timeline, Rect { y, height: right.bottom().saturating_sub(y), ..right }));
    }
    out
}

/// Rows of a pane's list that are in view; some number where the pane is not shown.
pub fn rows_of(app: &App, area: Rect, pane: Pane) -> usize {
    let parts = parts(app, area);
    let found = parts.panes.iter().find(|(p, _)| *p == pane).map(|(_, r)| r.height.saturating_sub(2));
    usize::from(found.unwrap_or(10))
}

/// Lines of the detail view that are in view.
pub fn detail_rows(app: &App, area: Rect) -> usize {
    parts(app, area).detail.map_or(10, |r| usize::from(r.height.saturating_sub(2)))
}

/// Columns inside the detail view.
pub fn detail_columns(app: &App, area: Rect) -> usize {
    parts(app, area).detail.map_or(70, |r| usize::from(r.width.saturating_sub(4)))
}
