//! The dialog before something is done: effect, target, environment, exact commands, age of the data, preconditions.
//!
//! Pinned to the plan it was opened with. Disruptive takes `y`, destructive the target's name, typed; Enter alone never
//! starts anything. Keys that were read before the dialog's first frame was on the terminal do not count. While nothing
//! can be recorded, the word `unlogged` is asked for as well.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::{Line, Stay, window};
use crate::domain::command::Command;
use crate::domain::run::{Checked, Plan, Risk, Work};
use crate::text;
use crate::viewer::app::{App, Pending};
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::theme::Role;
use crate::wire::{Ask, RunView};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// `y` starts it.
    Yes,
    /// The target's name starts it.
    Typed,
    /// The word `unlogged` is needed.
    Unlogged,
    Sending,
    /// It cannot be started: a precondition fails.
    Blocked,
}

#[derive(Debug)]
enum Send {
    Plan { id: String, confirm: String },
    Command(Command),
}

/// A dialog.
#[derive(Debug)]
pub struct Confirm {
    title: String,
    target: String,
    risk: Risk,
    environment: String,
    /// Role, indentation, text.
    lines: Vec<(Role, u16, String)>,
    send: Send,
    stage: Stage,
    typed: Line,
    top: usize,
    fault: String,
    mark: u64,
    /// Since when its first frame is on the terminal, microseconds.
    armed: Option<u64>,
}

impl Confirm {
    /// For a plan of the engine.
    pub fn of_plan(app: &App, plan: Plan, work: Work) -> Confirm {
        let blocked = plan.blockers().next().is_some();
        let stage = match plan.risk {
            _ if blocked => Stage::Blocked,
            Risk::Observe | Risk::Disruptive => Stage::Yes,
            Risk::Destructive => Stage::Typed,
        };
        let _ = work;
        Confirm {
            title: plan.title.clone(),
            target: plan.target.clone(),
            risk: plan.risk,
            environment: app.environment(),
            lines: plan_lines(app, &plan),
            send: Send::Plan { id: plan.id, confirm: String::new() },
            stage,
            typed: Line::default(),
            top: 0,
            fault: String::new(),
            mark: app.overlay_count + 1,
            armed: None,
        }
    }

    /// For asking a run to stop.
    pub fn of_cancel(app: &App, run: &RunView, command: Command) -> Confirm {
        let lines = vec![
            (Role::Text, 0, format!("Ask run {} to stop: TERM to its processes, KILL after its grace time.", run.id)),
            (Role::Text, 0, format!("It is {} since {}.", run.state.word(), app.look.hms(run.requested_at))),
            (Role::Dim, 0, "What it has done so far is not undone by this.".into()),
        ];
        Confirm {
            title: format!("cancel: {}", run.title),
            target: run.target.clone(),
            risk: Risk::Disruptive,
            environment: app.environment(),
            lines,
            send: Send::Command(command),
            stage: Stage::Yes,
            typed: Line::default(),
            top: 0,
            fault: String::new(),
            mark: app.overlay_count + 1,
            armed: None,
        }
    }

    pub(super) fn waits_for(&self) -> Option<u64> {
        self.armed.is_none().then_some(self.mark)
    }

    pub(super) fn drawn(&mut self, mark: u64, at: u64) {
        if mark >= self.mark && self.armed.is_none() {
            self.armed = Some(at);
        }
    }

    /// The engine said no: told in the dialog.
    pub fn refused(&mut self, reason: &str, instead: &str) {
        self.stage = Stage::Blocked;
        let instead = if instead.is_empty() { String::new() } else { format!(": {instead}") };
        self.fault = text::clean(&format!("{reason}{instead}")).into_owned();
    }

    pub(super) fn left(&mut self, app: &mut App) {
        if let Send::Plan { .. } = self.send
            && self.stage != Stage::Sending
        {
            app.record_step(format!("left without starting: {}", self.title), None);
        }
    }

    pub(super) fn keys(&self) -> Vec<(&'static str, &'static str)> {
        let mut out = match self.stage {
            Stage::Yes => vec![("y", "do it"), ("n", "leave it")],
            Stage::Typed => vec![("type", "the name, then enter")],
            Stage::Unlogged => vec![("type", "unlogged, then enter")],
            Stage::Sending | Stage::Blocked => vec![],
        };
        out.extend([("↑↓", "scroll"), ("esc", "back")]);
        out
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent, at: u64) -> Stay {
        match key.code {
            KeyCode::Esc => {
                self.left(app);
                return Stay::Close;
            }
            KeyCode::Down => self.top = (self.top + 1).min(self.lines.len()),
            KeyCode::Up => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown => self.top = (self.top + 10).min(self.lines.len()),
            KeyCode::PageUp => self.top = self.top.saturating_sub(10),
            _ if self.armed.is_none_or(|since| at <= since) => {}
            code => return self.answer(app, code, key),
        }
        Stay::Open
    }

    fn answer(&mut self, app: &mut App, code: KeyCode, key: &KeyEvent) -> Stay {
        match (self.stage, code) {
            (Stage::Yes, KeyCode::Char('y' | 'Y')) => self.confirmed(app, "y"),
            (Stage::Yes | Stage::Blocked, KeyCode::Char('n' | 'q')) => {
                self.left(app);
                return Stay::Close;
            }
            (Stage::Yes, KeyCode::Enter) => self.fault = "Enter starts nothing: y does it, n leaves it".into(),
            (Stage::Typed, KeyCode::Enter) => {
                if self.typed.text().trim() == self.target {
                    let typed = self.target.clone();
                    self.confirmed(app, &typed);
                } else {
                    self.fault = format!("that is not {}", self.target);
                }
            }
            (Stage::Unlogged, KeyCode::Enter) => {
                if self.typed.text().trim() == "unlogged" {
                    self.go(app, true);
                } else {
                    self.fault = "the word is unlogged".into();
                }
            }
            (Stage::Typed | Stage::Unlogged, _) => {
                self.fault.clear();
                self.typed.key(key);
            }
            _ => {}
        }
        Stay::Open
    }

    fn confirmed(&mut self, app: &mut App, with: &str) {
        if let Send::Plan { confirm, .. } = &mut self.send {
            *confirm = with.to_owned();
            if app.is_unrecorded() {
                self.stage = Stage::Unlogged;
                self.typed = Line::default();
                self.fault.clear();
                return;
            }
        }
        self.go(app, false);
    }

    fn go(&mut self, app: &mut App, unlogged: bool) {
        self.stage = Stage::Sending;
        match &self.send {
            Send::Plan { id, confirm } => {
                let ask = Ask::Start { plan: id.clone(), confirm: confirm.clone(), reason: String::new(), unlogged };
                app.ask(Pending::Start(self.title.clone()), ask);
            }
            Send::Command(command) => {
                // Answered with a word; the dialog closes with the answer of a start.
                app.ask(Pending::Start(self.title.clone()), Ask::Do(command.clone()));
            }
        }
    }

    pub(super) fn draw(&self, _app: &App, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let width = area.width.min(100);
        let text = usize::from(width.saturating_sub(4));
        let mut lines: Vec<(Role, String)> = Vec::new();
        for (role, indent, line) in &self.lines {
            let pad = " ".repeat(usize::from(*indent));
            let room = text.saturating_sub(usize::from(*indent)).max(10);
            for (i, piece) in wrap(line, room).into_iter().enumerate() {
                // A wrapped command goes on with two more spaces.
                let more = if i > 0 && *role == Role::Command { "  " } else { "" };
                lines.push((*role, format!("{pad}{more}{piece}")));
            }
        }
        let below = 4u16;
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let height = rows.saturating_add(below + 4).min(area.height);
        let danger = self.risk == Risk::Destructive || self.stage == Stage::Blocked;
        let inside = window(area, (width, height), &self.title, danger, c);
        let risk = format!(" {} · {} ", self.risk.word().to_uppercase(), self.environment);
        let role = if self.risk == Risk::Destructive { Role::BannerBad } else { Role::BannerWarn };
        c.put(inside.x, inside.y, inside.width, &risk, role);
        let x = inside.x.saturating_add(u16::try_from(crate::text::width(&risk)).unwrap_or(0) + 1);
        let target = format!("target {}", self.target);
        c.cut(x, inside.y, inside.right().saturating_sub(x), &target, Role::Strong);
        let first = inside.y.saturating_add(2);
        let n = usize::from(inside.bottom().saturating_sub(first).saturating_sub(below - 1));
        let top = self.top.min(lines.len().saturating_sub(n));
        for (i, (role, line)) in lines.iter().skip(top).take(n).enumerate() {
            c.put(inside.x, first.saturating_add(u16::try_from(i).unwrap_or(0)), inside.width, line, *role);
        }
        if lines.len() > n {
            let said = format!("{}–{} of {}  ↑↓", top + 1, (top + n).min(lines.len()), lines.len());
            c.put_right(inside.x, inside.right(), inside.y, &said, Role::Dim);
        }
        self.draw_question(inside, c)
    }

    fn draw_question(&self, inside: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let bottom = inside.bottom().saturating_sub(1);
        let ask = bottom.saturating_sub(1);
        if !self.fault.is_empty() {
            c.cut(inside.x, bottom, inside.width, &self.fault, Role::Bad);
        }
        match self.stage {
            Stage::Yes => {
                let pieces = [
                    (Role::Strong, "Do it?   "),
                    (Role::Key, "y"),
                    (Role::KeyDoc, " yes   "),
                    (Role::Key, "n"),
                    (Role::KeyDoc, " no"),
                ];
                c.line(inside.x, ask, inside.width, &pieces);
                None
            }
            Stage::Typed | Stage::Unlogged => {
                let (word, why) = match self.stage {
                    Stage::Unlogged => ("unlogged", "NOTHING IS BEING RECORDED. "),
                    _ => (self.target.as_str(), ""),
                };
                let x = c.line(
                    inside.x,
                    ask,
                    inside.width,
                    &[(Role::Bad, why), (Role::Text, "Type "), (Role::Strong, word), (Role::Text, " to go on: ")],
                );
                let room = inside.right().saturating_sub(x).min(40);
                self.typed.draw(Rect::new(x, ask, room, 1).intersection(inside), true, c)
            }
            Stage::Sending => {
                c.put(inside.x, ask, inside.width, "asked for; waiting for it to be on record", Role::Dim);
                None
            }
            Stage::Blocked => {
                let said = if self.fault.is_empty() {
                    "It cannot be started: see what fails above."
                } else {
                    "It was not started:"
                };
                c.put(inside.x, ask, inside.width, said, Role::Bad);
                None
            }
        }
    }
}

fn plan_lines(app: &App, plan: &Plan) -> Vec<(Role, u16, String)> {
    let clean = |t: &str| text::clean(t).into_owned();
    let mut out: Vec<(Role, u16, String)> = Vec::new();
    for p in plan.preconditions.iter().filter(|p| p.result == Checked::Failed) {
        out.push((Role::Bad, 0, format!("{} {}: {}", app.look.g.lost, clean(&p.name), clean(&p.detail))));
    }
    for effect in &plan.effects {
        out.push((Role::Text, 0, clean(effect)));
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
    if let Some(ms) = plan.data_lost_ms {
        let lost = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let over = plan.rpo_ms.is_some_and(|rpo| lost > Duration::from_millis(rpo));
        let rpo =
            plan.rpo_ms.map(|r| format!(" (RPO {})", text::duration(Duration::from_millis(r)))).unwrap_or_default();
        let said = format!("DATA LOST  everything written in the last {}{rpo}", text::duration(lost));
        out.push((if over { Role::Bad } else { Role::Strong }, 0, said));
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
    for p in plan.preconditions.iter().filter(|p| p.result != Checked::Failed) {
        let (sign, role) = match p.result {
            Checked::Passed => (app.look.g.up, Role::Good),
            _ => (app.look.g.degraded, Role::Unsure),
        };
        out.push((role, 0, format!("{sign} {}: {}", clean(&p.name), clean(&p.detail))));
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
        None => out.push((Role::Unsure, 0, "nothing checks the effect: the run will end unverified".into())),
    }
    if !plan.undo.is_empty() {
        out.push((Role::Dim, 0, format!("undo       {}", clean(&plan.undo))));
    }
    out
}
