//! The picture that viewers follow: parts with revisions, so that each viewer is sent what differs from what it has.
//!
//! There is no queue per viewer. A slow one skips intermediate states and holds up nobody.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::domain::Time;
use crate::domain::message::Message;
use crate::wire::view::{BackupView, Change, Head, IncidentView, PlaybookView, RecoveryView, RunView, ServiceView};

/// Removals remembered for viewers that lag; one further behind is sent the whole picture again.
const REMEMBERED: usize = 512;

#[derive(Debug)]
struct Part<T> {
    rev: u64,
    value: T,
}

/// Which kind of part was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Service,
    Backup,
    Incident,
    Run,
    Recovery,
    Playbook,
    Message,
}

/// All parts, each with the revision at which it last changed.
#[derive(Debug)]
pub struct Picture {
    epoch: String,
    rev: u64,
    at: Time,
    head: Part<Head>,
    services: BTreeMap<String, Part<ServiceView>>,
    backups: BTreeMap<String, Part<BackupView>>,
    incidents: BTreeMap<String, Part<IncidentView>>,
    runs: BTreeMap<String, Part<RunView>>,
    recoveries: BTreeMap<String, Part<RecoveryView>>,
    playbooks: BTreeMap<String, Part<PlaybookView>>,
    messages: BTreeMap<String, Part<Message>>,
    gone: std::collections::VecDeque<(u64, Kind, String)>,
    /// Removals up to this revision are forgotten.
    forgotten: u64,
    /// The boot clock at that moment, milliseconds: it is never stepped.
    boot_ms: u64,
    /// Incident → its revision, and the boot clock when its elapsed time was taken.
    elapsed_at: BTreeMap<String, (u64, u64)>,
    seq: Part<u64>,
    tell: watch::Sender<u64>,
}

macro_rules! put {
    ($name:ident, $map:ident, $ty:ty, $key:expr) => {
        /// Takes the part in; nothing happens when it is as it was. True when it changed.
        pub fn $name(&mut self, value: $ty) -> bool {
            let key: String = $key(&value);
            if self.$map.get(&key).is_some_and(|p| p.value == value) {
                return false;
            }
            self.rev += 1;
            self.$map.insert(key, Part { rev: self.rev, value });
            true
        }
    };
}

macro_rules! keep_only {
    ($name:ident, $map:ident, $kind:expr) => {
        /// Removes the parts that `keep` does not name.
        pub fn $name(&mut self, keep: impl Fn(&str) -> bool) {
            let gone: Vec<String> = self.$map.keys().filter(|k| !keep(k)).cloned().collect();
            for name in gone {
                self.$map.remove(&name);
                self.forget($kind, name);
            }
        }
    };
}

impl Picture {
    pub fn new(epoch: String) -> (Picture, watch::Receiver<u64>) {
        let (tell, follow) = watch::channel(0);
        let picture = Picture {
            epoch,
            rev: 1,
            at: Time::default(),
            head: Part { rev: 1, value: Head::default() },
            services: BTreeMap::new(),
            backups: BTreeMap::new(),
            incidents: BTreeMap::new(),
            runs: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            playbooks: BTreeMap::new(),
            messages: BTreeMap::new(),
            gone: std::collections::VecDeque::new(),
            forgotten: 0,
            boot_ms: 0,
            elapsed_at: BTreeMap::new(),
            seq: Part { rev: 1, value: 0 },
            tell,
        };
        (picture, follow)
    }

    put!(put_service, services, ServiceView, |v: &ServiceView| v.name.clone());
    put!(put_backup, backups, BackupView, |v: &BackupView| v.name.clone());
    put!(put_incident, incidents, IncidentView, |v: &IncidentView| v.incident.id.clone());
    put!(put_run, runs, RunView, |v: &RunView| v.id.clone());
    put!(put_recovery, recoveries, RecoveryView, |v: &RecoveryView| v.recovery.plan.id.clone());
    put!(put_playbook, playbooks, PlaybookView, |v: &PlaybookView| v.play.id.clone());
    put!(put_message, messages, Message, |v: &Message| v.id.clone());
    keep_only!(keep_services, services, Kind::Service);
    keep_only!(keep_backups, backups, Kind::Backup);
    keep_only!(keep_incidents, incidents, Kind::Incident);
    keep_only!(keep_runs, runs, Kind::Run);
    keep_only!(keep_recoveries, recoveries, Kind::Recovery);
    keep_only!(keep_playbooks, playbooks, Kind::Playbook);
    keep_only!(keep_messages, messages, Kind::Message);

    fn forget(&mut self, kind: Kind, name: String) {
        self.rev += 1;
        self.gone.push_back((self.rev, kind, name));
        while self.gone.len() > REMEMBERED {
            if let Some((rev, ..)) = self.gone.pop_front() {
                self.forgotten = rev;
            }
        }
    }

    pub fn put_head(&mut self, head: Head) {
        if self.head.value != head {
            self.rev += 1;
            self.head = Part { rev: self.rev, value: head };
        }
    }

    pub fn put_seq(&mut self, seq: u64) {
        if self.seq.value != seq {
            self.rev += 1;
            self.seq = Part { rev: self.rev, value: seq };
        }
    }

    /// The engine's clocks, without a new revision: they alone are no change.
    pub fn set_at(&mut self, at: Time, boot_ms: u64) {
        self.at = at;
        self.boot_ms = boot_ms;
        let known = &self.incidents;
        self.elapsed_at.retain(|id, _| known.contains_key(id));
        for (id, part) in known {
            let taken = self.elapsed_at.entry(id.clone()).or_insert((part.rev, boot_ms));
            if taken.0 != part.rev {
                *taken = (part.rev, boot_ms);
            }
        }
    }

    /// Incidents newer than `since`, their elapsed time brought up to the engine's clock: an incident is put when it
    /// changes, and a viewer may come much later.
    fn incidents_since(&self, since: u64) -> Vec<IncidentView> {
        let mut views = newer(&self.incidents, since);
        for view in views.iter_mut().filter(|v| v.incident.status.is_open()) {
            if let Some((_, taken)) = self.elapsed_at.get(&view.incident.id) {
                view.elapsed_ms = view.elapsed_ms.saturating_add(self.boot_ms.saturating_sub(*taken));
            }
        }
        views
    }

    /// Wakes the viewers if anything changed since the last call.
    pub fn publish(&self) {
        let rev = self.rev;
        self.tell.send_if_modified(|told| {
            let changed = *told != rev;
            *told = rev;
            changed
        });
    }

    /// The service as last put, for answering one-shot questions.
    pub fn services(&self) -> impl Iterator<Item = &ServiceView> {
        self.services.values().map(|p| &p.value)
    }

    /// What changed since `rev`; everything for 0 or a revision too old to know the removals since.
    pub fn since(&self, rev: u64) -> Change {
        let whole = rev == 0 || rev < self.forgotten;
        let since = if whole { 0 } else { rev };
        let gone = |kind: Kind| -> Vec<String> {
            if whole {
                return Vec::new();
            }
            self.gone.iter().filter(|(r, k, _)| *r > since && *k == kind).map(|(_, _, n)| n.clone()).collect()
        };
        Change {
            epoch: self.epoch.clone(),
            rev: self.rev,
            at: self.at,
            whole,
            head: (self.head.rev > since).then(|| self.head.value.clone()),
            services: newer(&self.services, since),
            services_gone: gone(Kind::Service),
            backups: newer(&self.backups, since),
            backups_gone: gone(Kind::Backup),
            incidents: self.incidents_since(since),
            incidents_gone: gone(Kind::Incident),
            runs: newer(&self.runs, since),
            runs_gone: gone(Kind::Run),
            recoveries: newer(&self.recoveries, since),
            recoveries_gone: gone(Kind::Recovery),
            playbooks: newer(&self.playbooks, since),
            playbooks_gone: gone(Kind::Playbook),
            messages: newer(&self.messages, since),
            messages_gone: gone(Kind::Message),
            seq: (self.seq.rev > since).then_some(self.seq.value),
        }
    }

    /// The revision now.
    pub fn rev(&self) -> u64 {
        self.rev
    }
}

fn newer<T: Clone>(parts: &BTreeMap<String, Part<T>>, since: u64) -> Vec<T> {
    parts.values().filter(|p| p.rev > since).map(|p| p.value.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Mirror;

    fn service(name: &str, detail: &str) -> ServiceView {
        ServiceView { name: name.into(), detail: detail.into(), ..ServiceView::default() }
    }

    #[test]
    fn a_viewer_that_comes_late_is_told_how_long_it_has_been() {
        let incident = serde_json::json!({
            "id": "INC-2026-001", "title": "outage", "severity": "P0", "status": "investigating", "services": [],
            "declared_at": "2026-11-20T02:14:07Z", "declared_by": "oncall1", "declared_seq": 1, "elapsed_ms": 4,
        });
        let view: IncidentView = serde_json::from_value(incident).unwrap();
        let (mut picture, _follow) = Picture::new("e".into());
        picture.put_incident(view.clone());
        picture.set_at(Time::from_ms(1000), 1000);
        assert_eq!(picture.since(0).incidents[0].elapsed_ms, 4);
        // The wall clock was stepped back meanwhile.
        picture.set_at(Time::from_ms(500), 1_021_000);
        assert_eq!(picture.since(0).incidents[0].elapsed_ms, 1_020_004);
        // Taken anew: counted from there.
        picture.put_incident(IncidentView { elapsed_ms: 1_020_500, ..view });
        picture.set_at(Time::from_ms(1_021_500), 1_021_500);
        picture.set_at(Time::from_ms(1_022_500), 1_022_500);
        assert_eq!(picture.since(0).incidents[0].elapsed_ms, 1_021_500);
    }

    proptest::proptest! {
        /// Whatever a viewer skips, it ends with the same picture as one that saw everything.
        #[test]
        fn a_viewer_that_skips_ends_with_the_same_picture(
            steps in proptest::collection::vec((0u8..6, 0u8..12, 0u8..3, proptest::bool::ANY), 1..200)
        ) {
            let (mut picture, _follow) = Picture::new("e".into());
            let mut skipper = Mirror::default();
            for (what, name, detail, look) in steps {
                let name = format!("s{name}");
                match what {
                    0..=3 => { picture.put_service(service(&name, &detail.to_string())); }
                    _ => picture.keep_services(|n| n != name),
                }
                if look {
                    skipper.apply(picture.since(skipper.rev));
                }
            }
            skipper.apply(picture.since(skipper.rev));
            let mut fresh = Mirror::default();
            fresh.apply(picture.since(0));
            proptest::prop_assert_eq!(skipper.services, fresh.services);
        }
    }

    #[test]
    fn what_is_as_it_was_is_no_change() {
        let (mut picture, follow) = Picture::new("e".into());
        assert!(picture.put_service(service("a", "x")));
        picture.publish();
        let rev = *follow.borrow();
        assert!(!picture.put_service(service("a", "x")));
        picture.publish();
        assert_eq!(*follow.borrow(), rev);
        assert!(picture.since(rev).services.is_empty());
    }
}
