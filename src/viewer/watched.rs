//! What a screen knows of the system: the mirror, how fresh it is, and what time the engine has.
//!
//! Shared by the cockpit and the wall. Values are never shown as current when they are not: a link that is silent for
//! more than [`SILENT`] makes everything stale, by this screen's own clock and without anybody telling it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::link::Peer;
use super::screen::{Input, Now};
use crate::domain::Time;
use crate::wire::{Change, IncidentView, Mirror, ServiceView};

/// Milliseconds without a word from the engine (which speaks every second) until nothing counts as current.
pub const SILENT: u64 = 3000;

/// How the link to the engine stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    Live,
    /// Connected, but nothing was heard for this many seconds.
    Silent(u64),
    /// No connection for this many seconds, and why.
    Lost(u64, String),
}

/// The mirror with its freshness.
#[derive(Debug, Default)]
pub struct Watched {
    pub mirror: Mirror,
    pub peer: Peer,
    pub now: Now,
    /// When the engine was last heard, milliseconds of [`Now::ms`].
    heard: Option<u64>,
    down: Option<String>,
    /// Incident → when its elapsed time came in, and that time.
    clocks: BTreeMap<String, (u64, u64)>,
    /// The picture is of a past moment: its clock stands where the picture says, and no link is missed.
    pub stopped: bool,
    /// The engine was started anew since this screen began to look: its runs and plans are to be asked for again.
    pub restarts: u32,
}

/// What an input meant for the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Something in the picture changed.
    pub picture: bool,
    /// Services came, went or changed.
    pub services: bool,
    pub link: bool,
}

impl Watched {
    /// Takes in what concerns the link and the picture. Other inputs only move the time.
    pub fn take(&mut self, input: &mut Input, now: Now) -> Heard {
        self.now = now;
        let mut heard = Heard::default();
        match input {
            Input::LinkUp(peer) => {
                if !self.peer.epoch.is_empty() && self.peer.epoch != peer.epoch {
                    self.restarts += 1;
                }
                self.peer = peer.clone();
                self.down = None;
                self.heard = Some(now.ms());
                heard.link = true;
            }
            Input::LinkDown(why) => {
                self.down = Some(crate::text::clean(why).into_owned());
                heard.link = true;
            }
            Input::Change(change) => {
                self.heard = Some(now.ms());
                let change = std::mem::take(change.as_mut());
                for view in &change.incidents {
                    // The engine counts it up to the moment of sending, by the clock that is never stepped.
                    self.clocks.insert(view.incident.id.clone(), (now.ms(), view.elapsed_ms));
                }
                heard.services = change.whole || !change.services.is_empty() || !change.services_gone.is_empty();
                heard.picture = self.mirror.apply(change);
                if heard.picture {
                    let known = &self.mirror.incidents;
                    self.clocks.retain(|id, _| known.contains_key(id));
                }
            }
            _ => {}
        }
        heard
    }

    /// Only measured values moved: latencies and times, of services whose state is what it was.
    pub fn is_calm(&self, change: &Change) -> bool {
        // Written out, so that a part added later is not taken for calm by default.
        let Change {
            epoch: _,
            rev: _,
            at: _,
            whole: false,
            head: None,
            services,
            services_gone,
            backups,
            backups_gone,
            incidents,
            incidents_gone,
            runs,
            runs_gone,
            recoveries,
            recoveries_gone,
            playbooks,
            playbooks_gone,
            messages,
            messages_gone,
            seq: None,
        } = change
        else {
            return false;
        };
        let gone =
            [services_gone, backups_gone, incidents_gone, runs_gone, recoveries_gone, playbooks_gone, messages_gone];
        gone.iter().all(|names| names.is_empty())
            && backups.is_empty()
            && incidents.is_empty()
            && runs.is_empty()
            && recoveries.is_empty()
            && playbooks.is_empty()
            && messages.is_empty()
            && services.iter().all(|new| {
                self.mirror.services.get(&new.name).is_some_and(|old| {
                    let said = |v: &ServiceView| (v.state, v.since, v.confirming, v.stale, v.paused_until);
                    said(old) == said(new) && old.because == new.because && old.held_by == new.held_by
                })
            })
    }

    /// Milliseconds since the engine was heard.
    pub fn silent_ms(&self) -> u64 {
        self.heard.filter(|_| !self.stopped).map_or(0, |at| self.now.ms().saturating_sub(at))
    }

    pub fn link(&self) -> LinkState {
        let silent = self.silent_ms();
        match &self.down {
            Some(why) => LinkState::Lost(silent / 1000, why.clone()),
            None if self.heard.is_some() && silent > SILENT => LinkState::Silent(silent / 1000),
            None => LinkState::Live,
        }
    }

    /// Nothing shown counts as current.
    pub fn is_stale(&self) -> bool {
        self.link() != LinkState::Live
    }

    /// The engine's clock now, carried on from when it last spoke.
    pub fn engine_now(&self) -> Time {
        if self.mirror.at == Time::default() {
            return self.now.wall;
        }
        self.mirror.at.plus(Duration::from_millis(self.silent_ms()))
    }

    /// How long ago, by the engine's clock.
    pub fn ago(&self, then: Time) -> Duration {
        self.engine_now().since(then)
    }

    /// T+ of an incident, by clocks that are never stepped.
    pub fn elapsed(&self, view: &IncidentView) -> Duration {
        let ms = match self.clocks.get(&view.incident.id) {
            Some((at, elapsed)) if view.incident.status.is_open() && !self.stopped => {
                elapsed + self.now.ms().saturating_sub(*at)
            }
            _ => view.elapsed_ms,
        };
        Duration::from_millis(ms)
    }

    /// Milliseconds until the T+ of `view` shows the next second.
    pub fn until_second(&self, view: &IncidentView) -> u64 {
        1000 - u64::try_from(self.elapsed(view).as_millis() % 1000).unwrap_or(0)
    }

    /// A service's values do not count as current: the engine says so, or nothing new came for too long.
    pub fn service_stale(&self, view: &ServiceView) -> bool {
        let old = match (view.observed_at, view.stale_after_ms) {
            (Some(at), ms) if ms > 0 => self.ago(at) > Duration::from_millis(ms.max(SILENT)),
            _ => false,
        };
        view.stale || old && view.state != crate::domain::health::Health::Paused || self.is_stale()
    }

    /// Milliseconds until the link would count as silent, when it is live.
    pub fn until_silent(&self) -> Option<u64> {
        (self.link() == LinkState::Live && self.heard.is_some())
            .then(|| (SILENT + 20).saturating_sub(self.silent_ms()).max(20))
    }
}
