//! What is being done about an incident, in lines for the wall: recovery, playbook, runs, and what was begun early.

use super::frame::Drawing;
use crate::domain::headstart::Standing;
use crate::domain::playbook::PlayState;
use crate::domain::recovery::RecoveryState;
use crate::text;
use crate::viewer::theme::Role;
use crate::wire::IncidentView;

/// At most `most` lines, what waits for a person first.
pub fn lines(d: &Drawing<'_>, view: &IncidentView, most: usize) -> Vec<(Role, String)> {
    let (mirror, id) = (d.facts.mirror, Some(view.incident.id.as_str()));
    let mut waits = Vec::new();
    let mut goes_on = Vec::new();
    let mut ready = Vec::new();
    for one in mirror.recoveries.values().map(|v| &v.recovery) {
        if one.incident.as_deref() != id || !one.state.is_open() {
            continue;
        }
        let said = format!("{} {}", text::clean(&one.plan.name), text::clean(&one.place()));
        match one.state {
            RecoveryState::Asks => waits.push((Role::DueOver, format!("RECOVERY ASKS  {said}"))),
            _ => goes_on.push((Role::Running, format!("RECOVERY  {said}"))),
        }
    }
    for one in mirror.playbooks.values().map(|v| &v.play) {
        if one.incident.as_deref() != id || !one.state.is_open() {
            continue;
        }
        let said = format!("{} {}", text::clean(&one.text.name), text::clean(&one.place()));
        match one.state {
            PlayState::Left => waits.push((Role::Degraded, format!("PLAYBOOK LEFT  {said}"))),
            _ => goes_on.push((Role::Running, format!("PLAYBOOK  {said}"))),
        }
    }
    let mut runs: Vec<_> =
        mirror.runs.values().filter(|r| r.incident.as_deref() == id && !r.state.is_over() && !r.head_start).collect();
    runs.sort_by_key(|r| std::cmp::Reverse(r.requested_at));
    for run in runs {
        let share = run.permille.filter(|p| *p > 0).map(|p| format!("  {} %", p / 10)).unwrap_or_default();
        goes_on.push((Role::Running, format!("RUN  {}{share}", text::clean(&run.title))));
    }
    for early in &view.head_starts {
        let name = text::clean(&early.backup);
        let of = match early.data_as_of {
            Some(at) => format!(", data of {}", d.wall.look.hm(at)),
            None => String::new(),
        };
        match early.standing {
            Standing::Ready => ready.push((Role::Up, format!("COPY READY  {name}{of}: only the cut-over is left"))),
            Standing::UnderWay => ready.push((Role::Running, format!("HEAD START  {name} is being restored{of}"))),
            Standing::Failed => ready.push((Role::Degraded, format!("HEAD START FAILED  {name}"))),
            _ => {}
        }
    }
    let mut all = waits;
    all.append(&mut ready);
    all.append(&mut goes_on);
    let more = all.len().saturating_sub(most);
    if more > 0 && most > 0 {
        all.truncate(most - 1);
        all.push((Role::WallDim, format!("and {} more under way", more + 1)));
    }
    all.truncate(most);
    all
}
