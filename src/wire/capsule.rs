//! What a capsule is made from, read from the picture: a screen that has lost its engine still says how it stood.

use std::time::Duration;

use super::Mirror;
use crate::domain::handoff::{BackupFacts, Facts, RunFacts, ServiceFacts};
use crate::domain::run::Verdict;

impl Mirror {
    /// How things are around an incident, as last heard; nothing of one that is not known.
    pub fn facts(&self, incident: &str) -> Option<Facts<'_>> {
        let view = self.incidents.get(incident)?;
        let services = self.services.values().map(|s| ServiceFacts {
            name: &s.name,
            tier: s.tier,
            state: s.state,
            since: s.since,
            down_since: s.down_since,
            because: s.because.as_deref(),
            rto_ms: s.rto_ms,
            detail: &s.detail,
        });
        let backups = self.backups.values().map(|b| BackupFacts { name: &b.name, state: b.state, detail: &b.detail });
        let runs = self.runs_newest_first().into_iter().rev().map(|r| RunFacts {
            id: &r.id,
            title: &r.title,
            state: r.state,
            phase: r.phases.get(r.phase).map(String::as_str),
            requested_by: &r.requested_by,
            requested_at: r.requested_at,
            finished_at: r.finished_at,
            incident: r.incident.as_deref(),
            verdict: r.verdict,
            contradicted: r.verdict == Some(Verdict::Contradicted) && !r.superseded,
            detail: &r.detail,
            sides: &r.sides,
            head_start: r.head_start,
            data_as_of: r.data_as_of,
        });
        let mut approvals: Vec<_> = self.head.guard.approvals.iter().collect();
        approvals.sort_by_key(|a| a.requested_at);
        let mut messages: Vec<_> = self.messages.values().collect();
        messages.sort_by_key(|m| m.queued_at);
        Some(Facts {
            incident: &view.incident,
            absorbed: view
                .incident
                .clock
                .absorbed
                .iter()
                .filter_map(|id| Some(&self.incidents.get(id)?.incident))
                .collect(),
            now: self.at,
            elapsed: Duration::from_millis(view.elapsed_ms),
            update_due: view.update_due,
            services: services.collect(),
            backups: backups.collect(),
            runs: runs.collect(),
            recovery: self.open_recovery().map(|v| &v.recovery),
            playbooks: self.playbooks_newest_first().into_iter().rev().map(|v| &v.play).collect(),
            approvals,
            guards: &self.head.guard.guards,
            messages,
        })
    }
}
