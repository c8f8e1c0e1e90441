//! One line that is asked for.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::restoring::Restoring;
use super::{Curate, Leading, Line, Stay, curate, window};
use crate::domain::catalog::Severity;
use crate::domain::command::{Command, HypothesisAsk, RecoveryAnswer};
use crate::domain::followup::FollowupAsk;
use crate::domain::incident::Status;
use crate::domain::playbook::Answer;
use crate::viewer::app::{App, Pending};
use crate::viewer::canvas::{Canvas, wrap};
use crate::viewer::theme::Role;
use crate::wire::Ask;

/// What the line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Assign {
        incident: String,
    },
    Retitle {
        incident: String,
    },
    Reopen {
        incident: String,
    },
    /// Resolving against what stands against it.
    Force {
        incident: String,
    },
    Pause {
        service: String,
    },
    /// Why a recovery is answered so; may stay empty for ending it.
    Recovery {
        recovery: String,
        answer: RecoveryAnswer,
    },
    /// What is said to a playbook.
    Playbook {
        playbook: String,
        answer: Answer,
        needed: bool,
    },
    /// Why the severity changes; may stay empty, unless it becomes a lesser one.
    Severity {
        incident: String,
        severity: Severity,
        lesser: bool,
    },
    /// Why the status changes; may stay empty.
    Status {
        incident: String,
        status: Status,
    },
    /// The words of a hypothesis, of evidence, or why one is closed.
    Hypothesis {
        incident: String,
        ask: HypothesisAsk,
    },
    /// The words of a follow-up, or why it is closed.
    Followup {
        ask: FollowupAsk,
    },
    /// Owner, status and meeting of a review.
    Review {
        incident: String,
    },
    /// To whom the lead is offered, and a word for them; may stay empty.
    HandOver {
        incident: String,
    },
    /// Another end or beginning of an incident, or a snooze.
    Leading(Leading),
    /// What is said of entries, or kept as evidence.
    Curate(Curate),
    /// Why a service is not to be touched; `over`: the tag of another is taken over.
    Tag {
        service: String,
        over: bool,
    },
    /// Why another's tag is taken off.
    Untag {
        service: String,
    },
    /// Why a service, or everything, is held.
    Hold {
        service: Option<String>,
    },
    Release {
        service: Option<String>,
    },
    /// Why there is no second person.
    Glass {
        approval: String,
    },
    Decline {
        approval: String,
    },
    /// The moment to restore to; may stay empty.
    Moment(Restoring),
    /// What of a copy is brought back.
    Parts(Restoring),
    /// Which moment of the past is to be shown.
    Past,
}

/// A question with one line of answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    asked: Asked,
    title: String,
    help: String,
    pub line: Line,
    /// Why the answer was not taken.
    fault: String,
    /// What was asked for before, and the key it had: the same words again are the same request.
    asked_before: Option<(String, String)>,
}

impl Prompt {
    pub fn new(asked: Asked, title: impl Into<String>, help: impl Into<String>, text: &str) -> Prompt {
        Prompt {
            asked,
            title: title.into(),
            help: help.into(),
            line: Line::new(text),
            fault: String::new(),
            asked_before: None,
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent) -> Stay {
        match key.code {
            KeyCode::Esc => Stay::Close,
            KeyCode::Enter => match self.send(app) {
                Ok(()) => Stay::Close,
                Err(why) => {
                    app.record_step(format!("was told that the answer does not do: {}", self.title), None);
                    self.fault = why;
                    Stay::Open
                }
            },
            _ => {
                self.line.key(key);
                Stay::Open
            }
        }
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    /// What Enter does.
    pub(super) fn verb(&self) -> &'static str {
        match &self.asked {
            Asked::Leading(of) => of.verb(),
            Asked::Curate(of) => of.verb(),
            Asked::Assign { .. } => "assign",
            Asked::Retitle { .. } | Asked::Severity { .. } | Asked::Status { .. } => "change",
            Asked::Reopen { .. } => "reopen",
            Asked::Force { .. } => "resolve by force",
            Asked::Pause { .. } => "pause",
            Asked::Recovery { answer: RecoveryAnswer::Skip, .. } => "skip the step",
            Asked::Recovery { answer: RecoveryAnswer::Stop, .. } => "stop the recovery",
            Asked::Recovery { .. } | Asked::Hypothesis { .. } => "say so",
            Asked::Followup { ask: FollowupAsk::Open { .. } } => "open it",
            Asked::Followup { ask: FollowupAsk::Close { .. } } => "drop it",
            Asked::Followup { .. } | Asked::Review { .. } => "change",
            Asked::HandOver { .. } => "offer the lead",
            Asked::Tag { over: false, .. } => "tag",
            Asked::Tag { .. } => "take it over",
            Asked::Untag { .. } => "take it off",
            Asked::Hold { .. } => "hold",
            Asked::Release { .. } => "release",
            Asked::Glass { .. } => "break the glass",
            Asked::Decline { .. } => "decline",
            Asked::Playbook { answer: Answer::Evidence { .. }, .. } => "keep it",
            Asked::Playbook { answer: Answer::Leave, .. } => "leave it",
            Asked::Playbook { answer: Answer::Skip, .. } => "skip the step",
            Asked::Playbook { answer: Answer::GoOn, .. } => "go on",
            Asked::Playbook { answer: Answer::Stop, .. } => "stop the playbook",
            Asked::Playbook { .. } => "say so",
            Asked::Moment(_) | Asked::Parts(_) => "show the plan",
            Asked::Past => "go there",
        }
    }

    fn may_be_empty(&self) -> bool {
        if let Asked::Curate(of) = &self.asked {
            return of.may_be_empty();
        }
        matches!(
            self.asked,
            Asked::Severity { .. }
                | Asked::Status { .. }
                | Asked::HandOver { .. }
                | Asked::Recovery { answer: RecoveryAnswer::Stop, .. }
                | Asked::Playbook { needed: false, .. }
        )
    }

    /// The answer was not taken.
    pub fn failed(&mut self, why: &str) {
        self.fault = crate::text::clean(why).into_owned();
    }

    fn send(&self, app: &mut App) -> Result<(), String> {
        let text = self.line.text().trim().to_owned();
        match &self.asked {
            Asked::Moment(of) => return of.at_moment(app, &text),
            Asked::Parts(of) => return of.parts(app, &text),
            Asked::Past => return crate::viewer::acts::past::write(app, &text),
            _ => {}
        }
        if text.is_empty() && !self.may_be_empty() {
            return Err("nothing is written".into());
        }
        let before = self.asked_before.clone().filter(|(words, _)| *words == text);
        let key = before.map_or_else(|| uuid::Uuid::now_v7().to_string(), |(_, key)| key);
        // Without the fault of an earlier try.
        let again = Prompt { fault: String::new(), asked_before: Some((text.clone(), key.clone())), ..self.clone() };
        let pending = |said: String| Pending::Prompted(said, Box::new(again));
        if let Asked::Curate(of) = &self.asked {
            if let Some((said, path, ask)) = of.file(&text) {
                let tag = app.await_answer(pending(said));
                let via = app.via.clone();
                app.effect(curate::hand_over(tag, key, via, path, ask));
                return Ok(());
            }
            let (said, ask) = of.ask(app, &text)?;
            app.timeline.marked.clear();
            app.ask_keyed(pending(said), ask, key);
            return Ok(());
        }
        let (said, command) = self.command(app, text)?;
        app.ask_keyed(pending(said), Ask::Do(command), key);
        Ok(())
    }

    /// What it begins with is the answer.
    pub(super) fn answered(mut self, app: &mut App) {
        if let Err(why) = self.send(app) {
            self.fault = why;
            app.open_overlay(super::Overlay::Prompt(self));
        }
    }

    fn command(&self, app: &App, text: String) -> Result<(String, Command), String> {
        Ok(match self.asked.clone() {
            Asked::Assign { incident } => {
                let (role, user) = text.split_once(' ').ok_or("a role and a user are needed: commander oncall1")?;
                let (role, user) = (role.trim().to_owned(), user.trim().to_owned());
                (format!("{role} is {user}"), Command::Assign { incident: Some(incident), role, user })
            }
            Asked::Retitle { incident } => {
                ("title changed".into(), Command::Retitle { incident: Some(incident), title: text })
            }
            Asked::Reopen { incident } => {
                (format!("reopened {incident}"), Command::Reopen { incident: Some(incident), reason: text })
            }
            Asked::Force { incident } => {
                let status = Status::Resolved;
                let command = Command::SetStatus { incident: Some(incident), status, reason: text, force: true };
                ("resolved, forced".into(), command)
            }
            Asked::Pause { service } => {
                let (lasts, reason) = text.split_once(' ').ok_or("a duration and a reason are needed: 30m upgrade")?;
                let until = app.watched.engine_now().plus(crate::text::parse_duration(lasts)?);
                let reason = reason.trim().to_owned();
                (format!("paused {service}"), Command::Pause { service, until, reason })
            }
            Asked::Recovery { recovery, answer } => {
                let said = format!("recovery: {}", answer.word());
                (said, Command::Answer { recovery: Some(recovery), answer, reason: text })
            }
            Asked::Hypothesis { incident, ask } => {
                let (said, ask) = super::thinking::with_words(ask, text);
                (said, Command::Hypothesis { incident: Some(incident), ask })
            }
            Asked::Followup { ask } => {
                let (said, ask) = super::followups::with_words(ask, text)?;
                (said, Command::Followup(ask))
            }
            Asked::Review { incident } => super::followups::review(incident, &text)?,
            Asked::HandOver { incident } => {
                let (to, remark) = text.split_once(':').unwrap_or((text.as_str(), ""));
                let to = Some(to.trim().to_owned()).filter(|to| !to.is_empty());
                if to.as_ref().is_some_and(|to| to.contains(' ')) {
                    return Err("a login name, then a colon and a word for them: ann: cut over next".into());
                }
                let leads = app.mirror().incidents.get(&incident).and_then(|v| v.incident.commander());
                let leads = crate::domain::handoff::leads_until(leads, &app.watched.peer.user);
                let said = format!("offered to {}; {leads}", to.as_deref().unwrap_or("whoever takes it"));
                (said, Command::HandOver { incident: Some(incident), to, remark: remark.trim().to_owned() })
            }
            Asked::Playbook { playbook, answer, .. } => {
                let said = format!("playbook: {}", answer.word());
                let (answer, reason) = match answer {
                    Answer::Evidence { step, file, digest, size, .. } => {
                        (Answer::Evidence { step, text, file, digest, size }, String::new())
                    }
                    other => (other, text),
                };
                (said, Command::Playbook { playbook: Some(playbook), answer, reason })
            }
            Asked::Severity { lesser: true, .. } if text.trim().is_empty() => {
                return Err("say in a few words why it is less: it stands in the review".into());
            }
            Asked::Severity { incident, severity, .. } => (
                format!("severity {severity}"),
                Command::SetSeverity { incident: Some(incident), severity, reason: text },
            ),
            Asked::Status { incident, status } => (
                format!("status {}", status.word()),
                Command::SetStatus { incident: Some(incident), status, reason: text, force: false },
            ),
            Asked::Leading(of) => of.command(app, text)?,
            Asked::Tag { service, over } => (format!("tagged {service}"), Command::Tag { service, reason: text, over }),
            Asked::Untag { service } => {
                (format!("took the tag off {service}"), Command::Untag { service, reason: text })
            }
            Asked::Hold { service } => {
                let command = Command::Hold { services: service.into_iter().collect(), reason: text };
                (command.title(), command)
            }
            Asked::Release { service } => {
                let command = Command::Release { services: service.into_iter().collect(), reason: text };
                (command.title(), command)
            }
            Asked::Glass { approval } => ("glass broken".into(), Command::BreakGlass { approval, reason: text }),
            Asked::Decline { approval } => ("declined".into(), Command::Decline { approval, reason: text }),
            Asked::Curate(_) => return Err("it is asked in another way".into()),
            Asked::Moment(_) | Asked::Parts(_) => return Err("it is planned, not recorded".into()),
            Asked::Past => return Err("the past is looked at, not recorded".into()),
        })
    }

    pub(super) fn draw(&self, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let width = area.width.min(76);
        let help = wrap(&self.help, usize::from(width.saturating_sub(4)));
        let fault = wrap(&self.fault, usize::from(width.saturating_sub(4)));
        let height = u16::try_from(help.len() + fault.len() + 4).unwrap_or(7);
        let danger = match &self.asked {
            Asked::Leading(of) => of.is_danger(),
            asked => matches!(asked, Asked::Force { .. } | Asked::Glass { .. }),
        };
        let inside = window(area, (width, height), &self.title, danger, c);
        let mut y = inside.y;
        for line in &help {
            c.put(inside.x, y, inside.width, line, Role::Dim);
            y = y.saturating_add(1);
        }
        let cursor = self.line.draw(Rect::new(inside.x, y, inside.width, 1).intersection(inside), true, c);
        y = y.saturating_add(2);
        if self.fault.is_empty() {
            let verb = format!(" {}   ", self.verb());
            let keys = [(Role::Key, "enter"), (Role::KeyDoc, &verb), (Role::Key, "esc"), (Role::KeyDoc, " back")];
            c.line(inside.x, y, inside.width, &keys);
        }
        for line in fault.iter().filter(|l| !l.is_empty()) {
            c.put(inside.x, y, inside.width, line, Role::Bad);
            y = y.saturating_add(1);
        }
        cursor
    }
}
