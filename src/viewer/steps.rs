//! The steps of a person on the way to something, for the record: what was opened, chosen, read, typed, left, and what the
//! screen refused. What is done about it stands in the record as well, as what it is.
//!
//! Moving about is not recorded, nor what is merely looked at. Of what was typed only that it was what the dialog asked
//! for is said, never other words: they may be anything, also a password. Nothing waits for a step: it is asked for and
//! forgotten.

use std::time::Duration;

use super::app::App;
use super::commands::Command;
use super::overlays::Overlay;
use crate::domain::run::Risk;
use crate::text;

impl App {
    /// Something opened.
    pub(super) fn step_opened(&mut self, overlay: &Overlay) {
        if let Some(noun) = noun(overlay) {
            self.record_step(format!("opened {noun}"), None);
        }
    }

    /// It was left by a key that only leaves.
    pub(super) fn step_left(&mut self, overlay: &Overlay) {
        let how = match overlay {
            Overlay::Picker(_) => "without choosing",
            Overlay::Prompt(_) => "without an answer",
            Overlay::Note(_) => "without writing it down",
            Overlay::Declare(o) if o.is_sending() => return,
            Overlay::Declare(_) => "without declaring",
            Overlay::Capsule(_) => "without a word",
            // What is only read ends with its last page; the others say it themselves.
            Overlay::Confirm(_) | Overlay::Compose(_) | Overlay::Contacts(_) | Overlay::Info(_) => return,
        };
        if let Some(noun) = noun(overlay) {
            self.record_step(format!("left {noun} {how}"), None);
        }
    }

    /// The screen said why not. Once: whoever presses a key again and again means the same.
    pub(super) fn step_refused(&mut self, command: &Command, why: &str) {
        if command.risk == Risk::Observe {
            return;
        }
        let what = format!("was told why not: {}: {why}", command.title);
        if self.refused_last.as_ref() != Some(&what) {
            self.record_step(what.clone(), None);
            self.refused_last = Some(what);
        }
    }

    /// Somebody is here, or was, while something is going on.
    fn something_goes_on(&self) -> bool {
        let mirror = &self.watched.mirror;
        !mirror.open_incidents().is_empty() || mirror.runs.values().any(|r| !r.state.is_over())
    }

    /// The first picture is there.
    pub(super) fn step_entered(&mut self) {
        if !self.entered && self.watched.mirror.rev > 0 {
            self.entered = true;
            if self.something_goes_on() {
                self.record_step("opened the cockpit", None);
            }
        }
    }

    /// Whoever took a step also leaves: what that step began may not have come back as a picture yet.
    pub(super) fn step_quit(&mut self) {
        if self.stepped || self.something_goes_on() {
            self.record_step("left the cockpit", None);
        }
    }
}

/// How long something was read, said behind the step.
pub fn read_for(app: &App, since_us: Option<u64>) -> String {
    let Some(since) = since_us else { return "before it was shown".into() };
    let read = Duration::from_micros(app.watched.now.mono_us.saturating_sub(since));
    format!("read for {}", text::duration(Duration::from_secs(read.as_secs())))
}

/// What it is called in a step; nothing for what is no step.
fn noun(overlay: &Overlay) -> Option<String> {
    Some(match overlay {
        Overlay::Picker(o) => o.pick.noun()?,
        Overlay::Prompt(o) => text::clean(o.title()).into_owned(),
        Overlay::Note(_) => "a note".into(),
        Overlay::Declare(_) => "a declaration".into(),
        Overlay::Confirm(o) => o.noun()?,
        Overlay::Contacts(_) => "the contacts".into(),
        Overlay::Capsule(o) => format!("the handoff of {}", o.incident()),
        // Told where its words come from.
        Overlay::Compose(_) | Overlay::Info(_) => return None,
    })
}
