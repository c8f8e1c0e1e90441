//! Playbooks: their texts, what is seen of the step they are at, and which start belongs to which step.
//!
//! A playbook begins nothing. What a person starts for a step of one goes the way of every start; only an entry that says
//! which step it carries out stands before it, in the same turn and thus in the same sync.

use tokio::sync::oneshot;

use super::core::Core;
use crate::domain::command::{Command, Refusal};
use crate::domain::event::{Event, PlaybookBegan, PlaybookChanged};
use crate::domain::health::{Health, Outcome};
use crate::domain::playbook::{
    Does, Due, Look, OfStep, Play, Playbook, StepState, difference, due, of_message, of_recovery, of_run, seen,
};
use crate::domain::{Actor, Time};
use crate::text;
use crate::wire::view::PlaybookFacts;
use crate::wire::{Answer, Ask, PlaybookView, folded};

/// Digest that stands for "not configured any more".
const GONE: &str = "gone";

/// What the engine knows of playbooks beside the state: nothing that must outlive it.
#[derive(Debug, Default)]
pub struct Playing {
    /// The step that what is being recorded right now carries out.
    binding: Option<(OfStep, String, Option<String>)>,
    /// The step and try for which checks were looked at.
    probed: Option<(String, String, u32)>,
    /// Since when checks are looked at without a break, by the wall clock as it reads now.
    looks_since: Time,
}

impl Playing {
    /// Of an engine that looks from `now` on.
    pub fn new(now: Time) -> Playing {
        Playing { looks_since: now, ..Playing::default() }
    }

    /// The clocks were found changed at `now`: after a sleep nothing was looked at yet, and a step moves no limit.
    pub fn note_clock(&mut self, event: &Event, now: Time) {
        match event {
            Event::ClockStepped(e) => self.looks_since = self.looks_since.stepped(e.by_ms),
            Event::HostSuspended(_) => self.looks_since = now,
            _ => {}
        }
    }
}

impl Core {
    /// The text that a command is about comes from the configuration, never from who asks.
    pub(super) fn with_text(&self, mut command: Command) -> Command {
        match &mut command {
            Command::PlaybookStart { name, text, .. } => {
                *text = self.config.playbooks.iter().find(|p| p.name == *name).cloned().map(Box::new);
            }
            Command::Tick { checklist, text, .. } => *text = self.config.checklist(checklist).cloned().map(Box::new),
            _ => {}
        }
        command
    }

    pub(super) fn playbook_text(&self, name: &str) -> Answer {
        match self.config.playbooks.iter().find(|p| p.name == name) {
            Some(playbook) => Answer::Playbook(Box::new(playbook.clone())),
            None => {
                let known: Vec<&str> = self.config.playbooks.iter().map(|p| p.name.as_str()).collect();
                let instead = match known.is_empty() {
                    true => "none is configured: add a [[playbook]]".to_owned(),
                    false => format!("there are {}", known.join(", ")),
                };
                Answer::Refused(Refusal::usage(format!("there is no playbook \"{}\"", text::clean(name)), instead))
            }
        }
    }

    pub(super) fn playbook_facts(&self) -> Vec<PlaybookFacts> {
        let of = |p: &Playbook| PlaybookFacts { name: p.name.clone(), title: p.title.clone(), steps: p.steps.len() };
        self.config.playbooks.iter().map(of).collect()
    }

    /// A start, a recovery or a message for the step that a playbook is at: refused when it is at another.
    pub(super) fn ask_for_step(
        &mut self,
        actor: Actor,
        key: String,
        playbook: &str,
        ask: Ask,
        reply: oneshot::Sender<Answer>,
    ) {
        let of = match &ask {
            Ask::Start { plan, .. } => match self.plans.iter().find(|p| p.plan.id == *plan) {
                Some(planned) => of_run(&self.state, playbook, &planned.plan.work),
                None => Err(Refusal::new(
                    "this engine does not know that plan, so nothing was started",
                    "make the plan again",
                )),
            },
            Ask::Recover { plan, .. } => match self.planned_recovery(plan) {
                Some(name) => of_recovery(&self.state, playbook, &name),
                None => Err(Refusal::new(
                    "this engine does not know that plan, so nothing was started",
                    "make the plan again",
                )),
            },
            Ask::Do(Command::Send { .. }) => of_message(&self.state, playbook),
            _ => Err(Refusal::usage("only what starts something belongs to a step", "")),
        };
        match of {
            Ok(of) => {
                let play = self.state.playbooks.get(&of.playbook);
                let title = play.and_then(|p| p.text.step(&of.step)).map(|s| s.title.clone()).unwrap_or_default();
                let incident = play.and_then(|p| p.incident.clone());
                self.playing.binding = Some((of, title, incident));
                self.answer_ask(actor, key, ask, reply);
                // It was refused, or needs more before it is started.
                self.playing.binding = None;
            }
            Err(refusal) => self.refuse(actor, format!("a step of playbook {}", text::clean(playbook)), refusal, reply),
        }
    }

    /// Before what carries out a step stands which step that is.
    pub(super) fn bind_to_step(&mut self, actor: &Actor, event: &Event) {
        let (run, recovery, message) = match event {
            Event::RunRequested(e) => (Some(e.plan.id.clone()), None, None),
            Event::RecoveryStarted(e) => (None, Some(e.plan.id.clone()), None),
            // What waits for a second person has the id that it is started with.
            Event::ApprovalRequested(e) => {
                (e.plan.as_ref().map(|p| p.id.clone()), e.recovery.as_ref().map(|r| r.id.clone()), None)
            }
            Event::MessageQueued(e) if !e.automatic => (None, None, Some(e.id.clone())),
            _ => return,
        };
        let Some((of, title, incident)) = self.playing.binding.take() else { return };
        let OfStep { playbook, step, part } = of;
        let event = PlaybookBegan { playbook, step, title, part, run, recovery, message };
        self.write(actor.clone(), incident, event.into());
    }

    /// Notes what has become of the step that a playbook is at, and whether its text is still the one that was started.
    pub(super) fn reconcile_playbooks(&mut self) {
        if !self.recorder.is_on() || self.setting_up {
            return;
        }
        let open: Vec<Play> = self.state.playbooks_in_order().filter(|p| p.state.is_open()).cloned().collect();
        for play in &open {
            self.look_at_text(play);
        }
        let Some(play) = self.state.active_playbook().cloned() else { return };
        let Some((step, record)) = play.current() else { return };
        let this = (play.id.clone(), step.name.clone(), record.attempts);
        if self.playing.probed.as_ref() != Some(&this) {
            self.playing.probed = Some(this);
            let awaited = self.awaited_by_playbook();
            awaited.iter().for_each(|s| self.schedule.probe_now(s));
        }
        let due = {
            let up = |service: &str, since: Time| self.seen_since(service, since);
            let now = |name: &str, since: Time| self.seen_now(name, since);
            due(&self.state, &play, self.now(), &Look { up: &up, now: &now, since: self.playing.looks_since })
        };
        if let Due::End { state, detail } = due {
            let detail = self.mask.apply(&detail).into_owned();
            for one in seen(&self.state, &play, state, detail) {
                self.record_own(one.incident, one.event);
            }
        }
    }

    fn look_at_text(&mut self, play: &Play) {
        let now = self.config.playbooks.iter().find(|p| p.name == play.text.name);
        let digest = now.map_or(GONE, |p| p.digest.as_str());
        let known = play.changed.as_ref().map(|c| c.digest.as_str());
        let told = match known {
            Some(known) => known == digest,
            None => digest == play.text.digest || digest == play.kept,
        };
        if told {
            return;
        }
        let difference = match now {
            Some(_) if digest == play.text.digest => Vec::new(),
            Some(now) => difference(&play.text, now),
            None => vec!["it is not configured any more".to_owned()],
        };
        let event = PlaybookChanged {
            playbook: play.id.clone(),
            name: play.text.name.clone(),
            digest: digest.to_owned(),
            now: now.filter(|_| !difference.is_empty()).cloned(),
            difference,
        };
        self.record_own(play.incident.clone(), event);
    }

    /// Services that the active playbook waits for or looks at.
    pub(super) fn awaited_by_playbook(&self) -> Vec<String> {
        let Some(play) = self.state.active_playbook().filter(|p| p.goes_on()) else { return Vec::new() };
        match play.current() {
            Some((step, record)) if record.state == StepState::UnderWay => match &step.does {
                Does::Wait { services } | Does::Check { services } => {
                    services.iter().map(|s| s.split('/').next().unwrap_or(s).to_owned()).collect()
                }
                // Its effect is to be seen.
                Does::Act { .. } => {
                    let run = record.run.as_ref().and_then(|id| self.state.runs.get(id));
                    run.and_then(|r| r.plan.service.clone()).into_iter().collect()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// What a service, or one check of it (`api/http`), says by a result that began after `since`.
    fn seen_now(&self, name: &str, since: Time) -> Option<Result<(), String>> {
        let (service, only) = name.split_once('/').map_or((name, None), |(s, c)| (s, Some(c)));
        let Some(config) = self.places.get(service).and_then(|i| self.config.services.get(*i)) else {
            return Some(Err(format!("{service} is not configured any more")));
        };
        if self.state.services.get(service).is_some_and(|r| r.state == Health::Paused) {
            return Some(Err(format!("{service} is paused, and nobody looks")));
        }
        let mut pending = false;
        for check in config.checks.iter().filter(|c| only.is_none_or(|o| o == c.name)) {
            let status = self.board.checks(service).iter().find(|(n, _)| *n == check.name).map(|(_, s)| s);
            let last = status.and_then(|s| Some((s.observed_at?, s.last.as_ref()?)));
            match last.filter(|(at, _)| *at >= since) {
                None => pending = true,
                Some((_, last)) => match last.outcome {
                    Outcome::Ok => {}
                    Outcome::Warn | Outcome::Fail => {
                        return Some(Err(format!("{service}, check {}: {}", check.name, last.detail)));
                    }
                    Outcome::Error | Outcome::Skipped => pending = true,
                },
            }
        }
        (!pending).then_some(Ok(()))
    }

    pub(super) fn playbook_views(&self, all: bool, now: Time) -> Vec<PlaybookView> {
        let wanted = |p: &&Play| all || p.state.is_open();
        self.state.playbooks.values().filter(wanted).map(|p| self.playbook_view(p, now)).collect()
    }

    fn playbook_view(&self, play: &Play, _now: Time) -> PlaybookView {
        let up = |service: &str, since: Time| self.seen_since(service, since);
        let at = |name: &str, since: Time| self.seen_now(name, since);
        let look = Look { up: &up, now: &at, since: self.playing.looks_since };
        folded::playbook(&self.state, play, &look)
    }
}
