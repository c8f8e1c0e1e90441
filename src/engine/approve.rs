//! Second persons: the plans that wait for one, requests that are over, and the alert when the glass is broken.
//!
//! A plan that waits keeps its secrets here, in this engine's memory. Which requests wait, and until when, is in the state:
//! an engine that was killed finds them there, ends those whose secrets went with it, and goes on with the others.

use std::collections::BTreeMap;

use super::ask::short_id;
use super::core::Core;
use crate::domain::Actor;
use crate::domain::approval;
use crate::domain::authority::{self, Deed};
use crate::domain::command::Refusal;
use crate::domain::event::{Event, GlassBroken, MessageQueued};
use crate::domain::message::Template;
use crate::recovery::plan::Planned;
use crate::sys::peer;
use crate::text;
use crate::wire::Answer;

/// The alert that a channel is told of by itself.
const GLASS: &str = "glass-broken";

/// Plans that wait for a second person, by their ids.
pub type Asking = BTreeMap<String, Planned>;

/// The request that an event is.
pub fn requested(event: &Event) -> Option<String> {
    match event {
        Event::ApprovalRequested(e) => Some(e.approval.clone()),
        _ => None,
    }
}

impl Core {
    /// Answers whoever confirmed what now waits for a second person.
    pub(super) fn asked_for(&self, id: &str) -> Answer {
        match self.state.approvals.get(id) {
            Some(approval) => Answer::Approval(Box::new(approval.clone())),
            None => Answer::Failed { reason: "nothing can be recorded: a second person cannot be asked".into() },
        }
    }

    /// What an event means for the plans that wait.
    pub(super) fn approval_effects(&mut self, event: &Event) {
        match event {
            Event::RunRequested(e) => {
                if let Some(planned) = self.asking.remove(&e.plan.id) {
                    self.runs.keep_secrets(&e.plan.id, planned.secrets);
                }
            }
            Event::ApprovalEnded(e) => {
                self.asking.remove(&e.approval);
            }
            _ => {}
        }
    }

    /// Ends requests whose time has run out, and those whose secrets are held by no engine any more.
    pub(super) fn tend_approvals(&mut self) {
        for (incident, event) in approval::due(&self.state, self.now(), |id| self.asking.contains_key(id)) {
            self.asking.remove(&event.approval);
            self.record_own(incident, event);
        }
    }

    /// Tells the outside that somebody went on alone.
    pub(super) fn tell_of_glass(&mut self, actor: &Actor, incident: Option<&String>, broken: &GlassBroken) {
        let all = || self.config.channels.iter();
        let named: Vec<String> = all().filter(|c| c.auto.iter().any(|a| a == GLASS)).map(|c| c.name.clone()).collect();
        let channels = if named.is_empty() { all().map(|c| c.name.clone()).collect() } else { named };
        if channels.is_empty() {
            return;
        }
        let system = &self.state.catalog.system;
        let subject = format!("BROKEN GLASS: {} of {system} by {}", broken.title, actor.user);
        let of = incident.map(|i| format!("\nIncident: {i}")).unwrap_or_default();
        let body = format!(
            "{} started this without the second person that it needs: {}\n\nReason given: {}\nWhy one is needed: {}{of}\n\
             When: {}\nRecord: {}\n\nIf nobody knows of this, look now: mayday runs show {}",
            actor.user,
            broken.title,
            broken.reason,
            broken.why,
            self.now(),
            self.recorder.head8(),
            broken.approval
        );
        let (subject, body) = (text::clean(&subject).into_owned(), text::clean_lines(&body, 16 * 1024));
        let id = format!("m-{}", short_id());
        let template = Template::Alert;
        self.record_own(incident.cloned(), MessageQueued { id, template, subject, body, channels, automatic: true });
    }

    /// Stopping the engine and reading its configuration again; the owner of the engine and root always may.
    pub(super) fn may_manage(&self, actor: &Actor, what: &str) -> Result<(), Refusal> {
        let own = actor.uid.is_some_and(|uid| uid == 0 || uid == peer::current_uid());
        match own {
            true => Ok(()),
            false => authority::allowed(&self.state, actor, what, self.state.catalog.authority.needs(Deed::Engine)),
        }
    }
}
