//! What the engine's answers mean for the cockpit.

use super::app::{App, Detail, Pane, Pending};
use super::link::LOST;
use super::overlays::{Capsule, Compose, Confirm, Note, Overlay, Picker};
use super::theme::Role;
use crate::domain::run::Risk;
use crate::wire::{Answer, Ask};

impl App {
    /// Takes an answer in, or why there is none.
    pub(super) fn answer(&mut self, tag: u64, answer: Result<Answer, String>) {
        let Some(pending) = self.pending.remove(&tag) else { return };
        let step = self.asked_for_step.remove(&tag);
        match answer {
            Ok(Answer::Refused(refusal)) => self.refused(pending, &refusal.reason, &refusal.instead),
            Ok(Answer::Failed { reason }) => self.refused(pending, &reason, ""),
            Err(why) => self.unanswered(pending, &why),
            Ok(answer) => self.answered(pending, answer, step),
        }
    }

    fn answered(&mut self, pending: Pending, answer: Answer, step: Option<String>) {
        match (pending, answer) {
            (Pending::Done(said), Answer::Done { recorded, .. }) => self.done(&said, recorded),
            (Pending::Prompted(said, _), Answer::Done { recorded, .. }) => self.done(&said, recorded),
            (Pending::Note(key), Answer::Done { recorded, .. }) => {
                self.notes.retain(|n| n.key != key);
                self.done("noted", recorded);
            }
            (Pending::Declare, Answer::Done { incident, recorded, .. }) => {
                self.overlays.retain(|o| !matches!(o, Overlay::Declare(_)));
                self.declare_draft.clear();
                if let Some(id) = &incident {
                    self.list_mut(Pane::Incident).go_to(id);
                }
                self.done(&format!("declared {}", incident.unwrap_or_default()), recorded);
            }
            (Pending::Plan(_), Answer::Plan { plan, .. }) => {
                if plan.risk == Risk::Observe && plan.blockers().next().is_none() && !self.is_unrecorded() {
                    let ask = Ask::Start {
                        plan: plan.id.clone(),
                        confirm: String::new(),
                        reason: String::new(),
                        unlogged: false,
                    };
                    self.ask(Pending::Start(plan.title.clone()), ask.for_step(step));
                    return;
                }
                self.record_step(format!("opened the plan: {}", plan.title), plan.service.clone());
                let confirm = Confirm::of_plan(self, *plan).for_step(step);
                self.open_overlay(Overlay::Confirm(Box::new(confirm)));
            }
            (Pending::Recovery(name), Answer::Recovery(plan)) => {
                self.record_step(format!("opened the plan of recovery {name}"), None);
                let confirm = Confirm::of_recovery(self, *plan).for_step(step);
                self.open_overlay(Overlay::Confirm(Box::new(confirm)));
            }
            (Pending::Start(title), Answer::Done { run, recorded, .. }) => {
                self.overlays.retain(|o| !matches!(o, Overlay::Confirm(_)));
                self.done(&format!("started: {title}"), recorded);
                if let Some(flash) = self.flash.as_mut().filter(|_| recorded) {
                    flash.run.clone_from(&run);
                }
                // Whoever is led by a playbook stays there.
                let led = matches!(self.detail, Some(Detail::Playbook(_)));
                if let Some(id) = run.filter(|_| !led) {
                    self.detail = None;
                    super::acts::view::pane(self, 3);
                    // The run is selected as soon as the picture has it.
                    self.rebuild(Pane::Runs);
                    self.list_mut(Pane::Runs).go_to(&id);
                }
            }
            (Pending::Start(title), Answer::Approval(approval)) => {
                self.overlays.retain(|o| !matches!(o, Overlay::Confirm(_)));
                let said = format!(
                    "not started yet: {title} waits for another user until {}. Say to them: {}",
                    self.look.hms(approval.expires_at()),
                    approval.words
                );
                self.tell(Role::BannerWarn, said);
            }
            (Pending::Playbook(name), Answer::Done { recorded, .. }) => {
                self.done(&format!("started playbook {name}: nothing is done by that"), recorded);
                let id = self.watched.mirror.active_playbook().map(|v| v.play.id.clone());
                super::acts::playbook::show(self, id.unwrap_or_default());
            }
            (Pending::Copies { backup, choose }, Answer::Copies { copies }) => {
                if choose {
                    let picker = Picker::copies(self, &backup, &copies);
                    self.open_overlay(Overlay::Picker(picker));
                }
                self.copies = Some((backup, copies));
            }
            (Pending::Draft(template), Answer::Draft { subject, body, channels }) => {
                self.record_step(format!("opened the {} message", template.word()), None);
                let compose = Compose::new(self, template, &subject, &body, channels).for_step(self, step);
                self.open_overlay(Overlay::Compose(Box::new(compose)));
            }
            (Pending::Capsule, Answer::Capsule { incident, sections, .. }) => {
                let capsule = Capsule::new(self, &incident, &sections);
                self.open_overlay(Overlay::Capsule(capsule));
            }
            (Pending::DueDraft(template), Answer::Draft { subject, body, channels }) => {
                let mut compose = Compose::new(self, template, &subject, &body, channels);
                compose.preview(self);
                self.open_overlay(Overlay::Compose(Box::new(compose)));
            }
            (Pending::Send, Answer::Done { recorded, .. }) => {
                self.overlays.retain(|o| !matches!(o, Overlay::Compose(_)));
                self.done("queued; the incident's view shows what each channel says", recorded);
            }
            (Pending::Timeline { older }, Answer::Timeline { rows, head }) => {
                if older {
                    self.timeline.asking_older = false;
                    self.timeline.take_older(rows);
                } else {
                    self.timeline.asking = false;
                    let told = self.timeline.take(rows, head);
                    self.read_again(told);
                }
                if self.frozen.is_none() {
                    self.rebuild(Pane::Timeline);
                }
            }
            (Pending::Found(wanted), Answer::Found { rows, reached, .. }) => {
                self.timeline.take_found(&wanted, rows, reached);
                if self.frozen.is_none() {
                    self.rebuild(Pane::Timeline);
                }
            }
            (Pending::Amended, Answer::Found { rows, .. }) => {
                self.timeline.replace(rows);
                self.rebuild(Pane::Timeline);
            }
            (Pending::Opened(seq), Answer::Found { rows, .. }) => self.opened(seq, rows),
            (Pending::ToCorrect(seq), Answer::Found { rows, .. }) => {
                let Some(text) = rows.first().and_then(|r| r.written()).map(str::to_owned) else {
                    return self.refuse(
                        format!("entry {seq} cannot be corrected"),
                        "what it said is not there any more",
                        "add a note that says what is to be known",
                    );
                };
                self.open_overlay(Overlay::Note(Box::new(Note::correcting(seq, &text, &text))));
            }
            (Pending::Corrected(seq, _), Answer::Done { recorded, .. }) => {
                self.done(&format!("entry {seq} is corrected; its first wording stays on record"), recorded);
            }
            (Pending::Output(run), Answer::Output(chunk)) => {
                if let Some(output) = self.output.as_mut().filter(|o| o.run == run) {
                    output.asking = false;
                    let more = !chunk.text.is_empty();
                    output.take(&chunk);
                    // An engine that has nothing more to say must not be asked in a circle.
                    if !more && output.over {
                        output.next = output.next.max(output.total);
                    }
                }
            }
            (Pending::Step, _) | (_, Answer::Ok) => {}
            (pending, _) => {
                self.tell_error(format!("the engine gave an answer that does not fit ({})", pending.title()));
            }
        }
    }

    fn done(&mut self, said: &str, recorded: bool) {
        if recorded {
            self.tell(Role::LevelGood, format!("{} {said}", self.look.g.up));
        } else {
            self.tell_error(format!("{said}: it took effect, but only in memory, nothing is being recorded"));
        }
    }

    fn refused(&mut self, pending: Pending, reason: &str, instead: &str) {
        match &pending {
            // Nobody asked for these.
            Pending::Step => {}
            Pending::Timeline { older } => {
                self.timeline.asking &= *older;
                self.timeline.asking_older &= !*older;
                self.tell_error(format!("the timeline cannot be read: {reason}"));
                self.timeline.head = self.watched.mirror.seq;
                self.timeline.filled = true;
            }
            Pending::Found(_) => {
                self.timeline.looking = false;
                self.timeline.at_begin = true;
                self.tell_error(format!("older rows cannot be looked through: {reason}"));
            }
            Pending::Amended | Pending::Opened(_) => {
                self.tell_error(format!("what was said of an entry cannot be read: {reason}"));
            }
            Pending::Corrected(seq, text) => {
                self.open_overlay(Overlay::Note(Box::new(Note::correcting(*seq, "", text))));
                self.refuse(format!("entry {seq} was not corrected"), reason, instead);
            }
            Pending::Output(run) => {
                if let Some(output) = self.output.as_mut().filter(|o| o.run == *run) {
                    output.asking = false;
                    output.problem = Some(reason.to_owned());
                }
            }
            Pending::Note(key) => {
                // The text comes back to whoever wrote it.
                if let Some(at) = self.notes.iter().position(|n| n.key == *key) {
                    let note = self.notes.remove(at);
                    self.reopen_overlay(Overlay::Note(Box::new(Note::new(&note.text, note.incident))));
                }
                self.refuse("the note was not taken", reason, instead);
            }
            Pending::Start(title) => {
                let mut shown = false;
                for overlay in &mut self.overlays {
                    if let Overlay::Confirm(confirm) = overlay {
                        confirm.refused(reason, instead);
                        shown = true;
                    }
                }
                if !shown {
                    self.refuse(format!("not started: {title}"), reason, instead);
                }
            }
            Pending::Send => {
                for overlay in &mut self.overlays {
                    if let Overlay::Compose(compose) = overlay {
                        compose.sending = false;
                    }
                }
                self.refuse("not sent", reason, instead);
            }
            Pending::Declare => {
                if !self.declare_failed(reason, instead, false) {
                    self.refuse("not declared", reason, instead);
                }
            }
            Pending::Prompted(..) => self.prompt_again(pending, reason, instead),
            other => self.refuse(format!("not done: {}", other.title()), reason, instead),
        }
    }

    /// Tells the open declaration. False when there is none.
    fn declare_failed(&mut self, reason: &str, instead: &str, unsure: bool) -> bool {
        let mut told = false;
        for overlay in &mut self.overlays {
            if let Overlay::Declare(declare) = overlay {
                let instead = if instead.is_empty() { String::new() } else { format!(": {instead}") };
                declare.failed(&format!("{reason}{instead}"), unsure);
                told = true;
            }
        }
        told
    }

    /// What was written comes back with the reason, to be changed or left.
    fn prompt_again(&mut self, pending: Pending, reason: &str, instead: &str) {
        if let Pending::Prompted(_, mut prompt) = pending {
            let instead = if instead.is_empty() { String::new() } else { format!(": {instead}") };
            prompt.failed(&format!("{reason}{instead}"));
            self.reopen_overlay(Overlay::Prompt(*prompt));
        }
    }

    fn unanswered(&mut self, pending: Pending, why: &str) {
        match &pending {
            Pending::Step => {}
            Pending::Timeline { .. } => {
                self.timeline.asking = false;
                self.timeline.asking_older = false;
            }
            // The link reads everything anew when it is back.
            Pending::Amended | Pending::Opened(_) => {}
            Pending::Found(_) => self.timeline.looking = false,
            Pending::Output(_) => {
                if let Some(output) = &mut self.output {
                    output.asking = false;
                }
            }
            Pending::Note(key) => {
                // Kept, and handed over again with the same key when the link is back.
                if let Some(note) = self.notes.iter_mut().find(|n| n.key == *key) {
                    note.tag = None;
                }
                self.tell(Role::BannerWarn, "no link: the note is kept and handed over when the engine is back");
            }
            Pending::Declare => {
                // What to do first: of a long reason in a narrow terminal only the end may be cut.
                let instead = "the title is kept; enter asks again, and declares once";
                if !self.declare_failed(instead, why, true) {
                    self.undecided(pending, why);
                }
            }
            _ => self.undecided(pending, why),
        }
    }

    /// Not done, or not known whether it was: never told as the one when it is the other.
    fn undecided(&mut self, pending: Pending, why: &str) {
        if !why.starts_with(LOST) {
            self.refused(pending, why, "");
            return;
        }
        match &pending {
            Pending::Start(_) => {
                for overlay in &mut self.overlays {
                    if let Overlay::Confirm(confirm) = overlay {
                        confirm.lost(why);
                        return;
                    }
                }
            }
            Pending::Send => {
                for overlay in &mut self.overlays {
                    if let Overlay::Compose(compose) = overlay {
                        compose.sending = false;
                    }
                }
            }
            Pending::Corrected(seq, text) => self.correction = Some((*seq, text.clone())),
            // Asking again with the same words is the same request.
            Pending::Prompted(..) => {
                self.prompt_again(pending, why, "enter asks again, and it is done once");
                return;
            }
            _ => {}
        }
        self.refuse(format!("no answer: {}", pending.title()), why, "");
    }
}

impl Pending {
    /// It is kept when the link breaks, and somebody waits for it.
    pub fn is_change(&self) -> bool {
        match self {
            Pending::Done(_)
            | Pending::Prompted(..)
            | Pending::Note(_)
            | Pending::Corrected(..)
            | Pending::Declare
            | Pending::Playbook(_)
            | Pending::Start(_)
            | Pending::Send => true,
            Pending::Step
            | Pending::Plan(_)
            | Pending::Recovery(_)
            | Pending::Copies { .. }
            | Pending::Draft(_)
            | Pending::Capsule
            | Pending::DueDraft(_)
            | Pending::Timeline { .. }
            | Pending::Found(_)
            | Pending::Amended
            | Pending::Opened(_)
            | Pending::ToCorrect(_)
            | Pending::Output(_) => false,
        }
    }

    /// What was asked, in words.
    pub fn title(&self) -> String {
        match self {
            Pending::Done(said) | Pending::Prompted(said, _) => said.clone(),
            Pending::Note(_) => "note".into(),
            Pending::Declare => "declare".into(),
            Pending::Plan(work) => format!("plan {} {}", work.verb(), work.object()),
            Pending::Recovery(name) => format!("plan recovery {name}"),
            Pending::Playbook(name) => format!("start playbook {name}"),
            Pending::Start(title) => title.clone(),
            Pending::Copies { backup, .. } => format!("list the copies of {backup}"),
            Pending::Draft(template) | Pending::DueDraft(template) => format!("draft the {} message", template.word()),
            Pending::Capsule => "read how it stands".into(),
            Pending::Send => "send".into(),
            Pending::Timeline { .. } | Pending::Found(_) | Pending::Amended => "read the timeline".into(),
            Pending::Opened(seq) | Pending::ToCorrect(seq) => format!("read entry {seq}"),
            Pending::Corrected(seq, _) => format!("correct entry {seq}"),
            Pending::Output(run) => format!("read the output of {run}"),
            Pending::Step => "step".into(),
        }
    }
}
