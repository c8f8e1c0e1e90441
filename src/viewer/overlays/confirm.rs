//! The dialog before something is done: effect, target, environment, exact commands, age of the data, preconditions.
//!
//! A reason can be given with Tab; it stands in the timeline.
//!
//! Pinned to the plan it was opened with. Disruptive takes `y`, destructive the target's name, typed; Enter alone never
//! starts anything. Keys that were read before the dialog's first frame was on the terminal do not count. While nothing
//! can be recorded, the word `unlogged` is asked for as well.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::{Line, Stay, window};
use crate::domain::approval::{Approval, Wanted};
use crate::domain::command::{Command, RecoveryAnswer};
use crate::domain::recovery::{RecoveryPlan, Shown};
use crate::domain::run::{Plan, Risk};
use crate::text;
use crate::viewer::allowed;
use crate::viewer::app::{App, Pending};
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::steps;
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
    Cancel { run: String },
    Recovery { id: String, confirm: String },
    Resume { digest: String, confirm: String },
    Approve { id: String, digest: String },
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
    /// The playbook whose step it is.
    step: Option<String>,
    stage: Stage,
    typed: Line,
    /// Why, in the person's words; may stay empty.
    reason: Line,
    /// Keys go into the reason.
    writing: bool,
    top: usize,
    fault: String,
    /// It was asked for, and no answer came.
    unsure: bool,
    mark: u64,
    /// Since when its first frame is on the terminal, microseconds.
    armed: Option<u64>,
}

impl Confirm {
    /// For a plan of the engine.
    pub fn of_plan(app: &App, plan: Plan) -> Confirm {
        let mut lines = super::plan::lines(app, &plan);
        let against = allowed::against_plan(app, &plan);
        let blocked = plan.blockers().next().is_some() || against.is_some();
        if let Some(why) = allowed::second_person(app, &plan).filter(|_| !blocked) {
            let said = format!("{}: once confirmed it waits for another user, for 10 minutes", text::clean(&why));
            lines.insert(0, (Role::Strong, 0, said));
        }
        if let Some(why) = against {
            lines.insert(0, (Role::Bad, 0, format!("{} {}", app.look.g.lost, text::clean(&why))));
        }
        let send = Send::Plan { id: plan.id, confirm: String::new() };
        Confirm::asking(app, plan.title, plan.target, plan.risk, lines, send).or_blocked(blocked)
    }

    /// For a recovery as a whole.
    pub fn of_recovery(app: &App, plan: RecoveryPlan) -> Confirm {
        let lines = super::plan::recovery_lines(app, &plan);
        let send = Send::Recovery { id: plan.id, confirm: String::new() };
        let title = format!("recover {}: {}", plan.name, plan.title);
        Confirm::asking(app, title, plan.target, plan.risk, lines, send).or_blocked(!plan.blocked.is_empty())
    }

    /// For what another asked for: the whole of it, and the words to compare.
    pub fn of_approval(app: &App, approval: &Approval) -> Confirm {
        let clean = |t: &str| text::clean(t).into_owned();
        let mut lines = vec![
            (
                Role::Text,
                0,
                format!(
                    "{} asked for this at {} and cannot approve it alone: {}",
                    clean(&approval.by.user),
                    app.look.hms(approval.requested_at),
                    clean(&approval.why)
                ),
            ),
            (Role::Strong, 0, format!("words      {}", approval.words)),
            (
                Role::Dim,
                11,
                format!("let {} read theirs to you: the same words, the same plan", clean(&approval.by.user)),
            ),
            (Role::Text, 0, format!("until      {}", app.look.hms(approval.expires_at()))),
        ];
        if !approval.reason.is_empty() {
            lines.push((Role::Text, 0, format!("reason     {}", clean(&approval.reason))));
        }
        lines.push((Role::Label, 0, "what is started by it".into()));
        lines.extend(match &approval.wanted {
            Some(Wanted::Run(plan)) => super::plan::lines(app, plan),
            Some(Wanted::Recovery(plan)) => super::plan::recovery_lines(app, plan),
            None => Vec::new(),
        });
        let (title, target, risk) = allowed::about(approval);
        let send = Send::Approve { id: approval.id.clone(), digest: approval.digest.clone() };
        // Who cannot approve reads all of it, and above it why not.
        let against = crate::viewer::why::may_act(app);
        if let Some(why) = &against {
            lines.insert(0, (Role::Bad, 0, format!("{} {why}", app.look.g.lost)));
        }
        let yes = Confirm { stage: Stage::Yes, ..Confirm::asking(app, title, target, risk, lines, send) };
        yes.or_blocked(against.is_some())
    }

    /// For a step of a recovery that is not what was confirmed.
    pub fn of_changed(app: &App, now: &Shown, why: &str) -> Confirm {
        let mut lines = vec![(Role::Bad, 0, text::clean(why).into_owned())];
        lines.extend(super::plan::shown_lines(app, now, 0));
        let send = Send::Resume { digest: now.digest.clone(), confirm: String::new() };
        Confirm::asking(app, now.title.clone(), now.target.clone(), now.risk, lines, send)
    }

    /// It is for the step that this playbook is at.
    pub fn for_step(mut self, playbook: Option<String>) -> Confirm {
        self.step = playbook;
        self
    }

    /// It is shown, and cannot be started.
    fn or_blocked(mut self, blocked: bool) -> Confirm {
        if blocked {
            self.stage = Stage::Blocked;
        }
        self
    }

    fn asking(
        app: &App,
        title: String,
        target: String,
        risk: Risk,
        lines: Vec<(Role, u16, String)>,
        send: Send,
    ) -> Confirm {
        Confirm {
            title,
            target,
            risk,
            environment: app.environment(),
            lines,
            send,
            step: None,
            stage: if risk == Risk::Destructive { Stage::Typed } else { Stage::Yes },
            typed: Line::default(),
            reason: Line::default(),
            writing: false,
            top: 0,
            fault: String::new(),
            unsure: false,
            mark: app.overlay_count + 1,
            armed: None,
        }
    }

    /// For asking a run to stop.
    pub fn of_cancel(app: &App, run: &RunView) -> Confirm {
        let lines = vec![
            (Role::Text, 0, format!("Ask run {} to stop: TERM to its processes, KILL after its grace time.", run.id)),
            (Role::Text, 0, format!("It is {} since {}.", run.state.word(), app.look.hms(run.requested_at))),
            (Role::Strong, 0, super::cancel::what_stays(&run.work, &text::clean(&run.target))),
        ];
        let send = Send::Cancel { run: run.id.clone() };
        Confirm::asking(app, format!("cancel: {}", run.title), run.target.clone(), Risk::Disruptive, lines, send)
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

    /// Nobody knows whether it was started: told in the dialog.
    pub fn lost(&mut self, why: &str) {
        self.refused(why, "");
        self.unsure = true;
    }

    pub(super) fn left(&mut self, app: &mut App) {
        if self.stage == Stage::Sending || self.unsure {
            return;
        }
        let how = match self.send {
            Send::Plan { .. } | Send::Recovery { .. } => "starting",
            Send::Resume { .. } => "resuming",
            Send::Cancel { .. } => "cancelling",
            Send::Approve { .. } => "approving",
        };
        let read = steps::read_for(app, self.armed);
        app.record_step(format!("left without {how}: {} ({read})", text::clean(&self.title)), None);
    }

    /// What opening it is called; plans and requests are told where they come from.
    pub fn noun(&self) -> Option<String> {
        match &self.send {
            Send::Cancel { run } => Some(format!("the question whether to cancel run {run}")),
            Send::Resume { .. } => Some(format!("the changed plan: {}", text::clean(&self.title))),
            Send::Plan { .. } | Send::Recovery { .. } | Send::Approve { .. } => None,
        }
    }

    /// A yes to another's request is just that.
    fn takes_reason(&self) -> bool {
        !matches!(self.send, Send::Approve { .. })
    }

    /// What was pressed or typed.
    fn with(&self) -> &str {
        match self.risk {
            Risk::Destructive if !matches!(self.send, Send::Approve { .. }) => &self.target,
            _ => "y",
        }
    }

    fn is_asking(&self) -> bool {
        matches!(self.stage, Stage::Yes | Stage::Typed | Stage::Unlogged)
    }

    /// Pasted text goes into the reason only: a name that must be typed must be typed.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        if self.writing {
            self.reason.insert(text);
        }
        self.writing
    }

    pub(super) fn keys(&self) -> Vec<(&'static str, &'static str)> {
        if self.writing {
            return vec![("enter", "done"), ("esc", "back to the question")];
        }
        let mut out = match self.stage {
            Stage::Yes => vec![("y", "do it"), ("n", "leave it")],
            Stage::Typed => vec![("type", "the name, then enter")],
            Stage::Unlogged => vec![("type", "unlogged, then enter")],
            Stage::Sending | Stage::Blocked => vec![],
        };
        if self.is_asking() && self.takes_reason() {
            out.push(("tab", "say why"));
        }
        out.extend([("↑↓", "scroll"), ("esc", "back")]);
        out
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent, at: u64) -> Stay {
        match key.code {
            KeyCode::Tab | KeyCode::BackTab if self.is_asking() && self.takes_reason() => self.writing = !self.writing,
            KeyCode::Esc | KeyCode::Enter if self.writing => self.writing = false,
            _ if self.writing => {
                self.reason.key(key);
            }
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
                    app.record_step(format!("typed something else than {}: nothing was started", self.target), None);
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
        if let Send::Recovery { confirm, .. } | Send::Resume { confirm, .. } = &mut self.send {
            with.clone_into(confirm);
        }
        self.go(app, false);
    }

    fn go(&mut self, app: &mut App, unlogged: bool) {
        let (read, with) = (steps::read_for(app, self.armed), self.with());
        app.record_step(format!("confirmed with {with}: {} ({read})", text::clean(&self.title)), None);
        self.stage = Stage::Sending;
        let why = self.reason.text().trim().to_owned();
        let ask = match &self.send {
            Send::Plan { id, confirm } => {
                Ask::Start { plan: id.clone(), confirm: confirm.clone(), reason: why, unlogged }
            }
            // Answered with a word; the dialog closes with the answer of a start.
            Send::Recovery { id, confirm } => Ask::Recover { plan: id.clone(), confirm: confirm.clone(), reason: why },
            Send::Resume { digest, confirm } => {
                let answer = RecoveryAnswer::Resume { digest: digest.clone(), confirm: confirm.clone() };
                Ask::Do(Command::Answer { recovery: None, answer, reason: why })
            }
            Send::Approve { id, digest } => Ask::Do(Command::Approve { approval: id.clone(), digest: digest.clone() }),
            Send::Cancel { run } => Ask::Do(Command::Cancel { run: run.clone(), reason: why }),
        };
        app.ask(Pending::Start(self.title.clone()), ask.for_step(self.step.clone()));
    }

    pub(super) fn draw(&self, app: &App, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
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
        self.draw_question(app, inside, c)
    }

    fn draw_question(&self, app: &App, inside: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let bottom = inside.bottom().saturating_sub(1);
        let ask = bottom.saturating_sub(1);
        if !self.fault.is_empty() && !self.writing {
            c.cut(inside.x, bottom, inside.width, &self.fault, Role::Bad);
        } else if self.is_asking() && self.takes_reason() {
            let x = c.line(inside.x, bottom, inside.width, &[(Role::Key, "tab"), (Role::Label, " why: ")]);
            let line = Rect::new(x, bottom, inside.right().saturating_sub(x), 1).intersection(inside);
            if self.writing || !self.reason.text().is_empty() {
                let cursor = self.reason.draw(line, self.writing, c);
                if self.writing {
                    c.put(inside.x, ask, inside.width, "The reason; enter goes back to the question.", Role::Text);
                    return cursor;
                }
            } else {
                c.put(x, bottom, line.width, "a reason for the timeline, if you like", Role::Dim);
            }
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
                c.put(inside.x, ask, inside.width, super::waiting(app), Role::Dim);
                None
            }
            Stage::Blocked => {
                let said = if self.unsure {
                    "Whether it was started is not known:"
                } else if self.fault.is_empty() {
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
