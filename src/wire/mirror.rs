//! The viewer's copy of the picture: changes folded in, nothing invented.

use std::collections::BTreeMap;

use super::view::{BackupView, Change, Head, IncidentView, PlaybookView, RecoveryView, RunView, ServiceView};
use crate::domain::Time;
use crate::domain::message::Message;
use crate::domain::playbook::PlayState;

/// What a viewer knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mirror {
    pub epoch: String,
    pub rev: u64,
    /// The engine's clock when it last spoke.
    pub at: Time,
    pub head: Head,
    pub services: BTreeMap<String, ServiceView>,
    pub backups: BTreeMap<String, BackupView>,
    pub incidents: BTreeMap<String, IncidentView>,
    pub runs: BTreeMap<String, RunView>,
    pub recoveries: BTreeMap<String, RecoveryView>,
    pub playbooks: BTreeMap<String, PlaybookView>,
    pub messages: BTreeMap<String, Message>,
    pub seq: u64,
}

impl Mirror {
    /// Folds a change in. A change of another epoch that is not whole is passed over: its parts mean nothing here.
    /// True when anything but the clock changed.
    pub fn apply(&mut self, change: Change) -> bool {
        if change.whole {
            *self = Mirror { epoch: change.epoch.clone(), ..Mirror::default() };
        } else if change.epoch != self.epoch {
            return false;
        }
        let parts = change.whole
            || change.head.is_some()
            || change.seq.is_some_and(|s| s != self.seq)
            || !(change.services.is_empty()
                && change.services_gone.is_empty()
                && change.backups.is_empty()
                && change.backups_gone.is_empty()
                && change.incidents.is_empty()
                && change.incidents_gone.is_empty()
                && change.runs.is_empty()
                && change.runs_gone.is_empty()
                && change.recoveries.is_empty()
                && change.recoveries_gone.is_empty()
                && change.playbooks.is_empty()
                && change.playbooks_gone.is_empty()
                && change.messages.is_empty()
                && change.messages_gone.is_empty());
        self.rev = change.rev;
        self.at = change.at;
        if let Some(head) = change.head {
            self.head = head;
        }
        for name in &change.services_gone {
            self.services.remove(name);
        }
        for name in &change.backups_gone {
            self.backups.remove(name);
        }
        for id in &change.incidents_gone {
            self.incidents.remove(id);
        }
        for id in &change.runs_gone {
            self.runs.remove(id);
        }
        for id in &change.recoveries_gone {
            self.recoveries.remove(id);
        }
        for id in &change.playbooks_gone {
            self.playbooks.remove(id);
        }
        for id in &change.messages_gone {
            self.messages.remove(id);
        }
        self.services.extend(change.services.into_iter().map(|v| (v.name.clone(), v)));
        self.backups.extend(change.backups.into_iter().map(|v| (v.name.clone(), v)));
        self.incidents.extend(change.incidents.into_iter().map(|v| (v.incident.id.clone(), v)));
        self.runs.extend(change.runs.into_iter().map(|v| (v.id.clone(), v)));
        self.recoveries.extend(change.recoveries.into_iter().map(|v| (v.recovery.plan.id.clone(), v)));
        self.playbooks.extend(change.playbooks.into_iter().map(|v| (v.play.id.clone(), v)));
        self.messages.extend(change.messages.into_iter().map(|v| (v.id.clone(), v)));
        if let Some(seq) = change.seq {
            self.seq = seq;
        }
        parts
    }

    /// Open incidents, worst and oldest first.
    pub fn open_incidents(&self) -> Vec<&IncidentView> {
        let mut open: Vec<_> = self.incidents.values().filter(|i| i.incident.status.is_open()).collect();
        open.sort_by_key(|i| (i.incident.severity, i.incident.declared_seq));
        open
    }

    /// The recovery that is under way or asks.
    pub fn open_recovery(&self) -> Option<&RecoveryView> {
        self.recoveries.values().find(|r| r.recovery.state.is_open())
    }

    /// Recoveries, newest first.
    pub fn recoveries_newest_first(&self) -> Vec<&RecoveryView> {
        let mut all: Vec<_> = self.recoveries.values().collect();
        all.sort_by_key(|r| std::cmp::Reverse(r.recovery.started_seq));
        all
    }

    /// The playbook that is under way.
    pub fn active_playbook(&self) -> Option<&PlaybookView> {
        self.playbooks.values().find(|p| p.play.state == PlayState::UnderWay)
    }

    /// Playbooks that were started, newest first.
    pub fn playbooks_newest_first(&self) -> Vec<&PlaybookView> {
        let mut all: Vec<_> = self.playbooks.values().collect();
        all.sort_by_key(|p| std::cmp::Reverse(p.play.started_seq));
        all
    }

    /// Runs, newest first.
    pub fn runs_newest_first(&self) -> Vec<&RunView> {
        let mut runs: Vec<_> = self.runs.values().collect();
        runs.sort_by(|a, b| b.requested_at.cmp(&a.requested_at).then_with(|| b.id.cmp(&a.id)));
        runs
    }
}
