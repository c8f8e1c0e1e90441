//! What a capsule is made from, whoever has it: the engine from its state, a screen from the picture that it keeps when
//! the engine cannot be asked.

use std::time::Duration;

use crate::domain::approval::Approval;
use crate::domain::backup::BackupState;
use crate::domain::guard::Guards;
use crate::domain::health::Health;
use crate::domain::incident::Incident;
use crate::domain::message::Message;
use crate::domain::playbook::Play;
use crate::domain::recovery::Recovery;
use crate::domain::run::{RunState, Side, Verdict};
use crate::domain::state::State;
use crate::domain::time::Time;

/// How things are around an incident. Lists are in the order in which things came to be.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub incident: &'a Incident,
    /// Those that were merged into it, as far as they are known.
    pub absorbed: Vec<&'a Incident>,
    pub now: Time,
    pub elapsed: Duration,
    pub update_due: Option<Time>,
    pub services: Vec<ServiceFacts<'a>>,
    pub backups: Vec<BackupFacts<'a>>,
    pub runs: Vec<RunFacts<'a>>,
    pub recovery: Option<&'a Recovery>,
    pub playbooks: Vec<&'a Play>,
    pub approvals: Vec<&'a Approval>,
    pub guards: &'a Guards,
    pub messages: Vec<&'a Message>,
}

#[derive(Clone, Debug)]
pub struct ServiceFacts<'a> {
    pub name: &'a str,
    pub tier: u8,
    pub state: Health,
    pub since: Time,
    pub down_since: Option<Time>,
    pub because: Option<&'a str>,
    pub rto_ms: Option<u64>,
    /// Of one that is paused: why.
    pub detail: &'a str,
}

#[derive(Clone, Debug)]
pub struct BackupFacts<'a> {
    pub name: &'a str,
    pub state: BackupState,
    pub detail: &'a str,
}

#[derive(Clone, Debug)]
pub struct RunFacts<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub state: RunState,
    /// The name of the phase it is in.
    pub phase: Option<&'a str>,
    pub requested_by: &'a str,
    pub requested_at: Time,
    pub finished_at: Option<Time>,
    pub incident: Option<&'a str>,
    pub verdict: Option<Verdict>,
    /// Contradicted, and nothing has put that right since.
    pub contradicted: bool,
    pub detail: &'a str,
    pub sides: &'a [Side],
    pub head_start: bool,
    pub data_as_of: Option<Time>,
}

impl<'a> Facts<'a> {
    /// As the record has them.
    pub fn of(state: &'a State, incident: &'a Incident, now: Time) -> Facts<'a> {
        let services = state.services.iter().map(|(name, record)| {
            let facts = state.catalog.services.get(name);
            ServiceFacts {
                name,
                tier: facts.map_or(9, |f| f.tier),
                state: record.state,
                since: record.since,
                down_since: record.down_since,
                because: record.because.as_deref(),
                rto_ms: facts.and_then(|f| f.rto_ms),
                detail: if record.state == Health::Paused { &record.paused_reason } else { &record.detail },
            }
        });
        let backups = state.backups.iter();
        let runs = state.runs_in_order().map(|r| RunFacts {
            id: r.id(),
            title: &r.plan.title,
            state: r.state,
            phase: r.plan.phases.get(r.phase).map(|p| p.name.as_str()),
            requested_by: &r.requested_by,
            requested_at: r.requested_at,
            finished_at: r.finished_at,
            incident: r.incident.as_deref(),
            verdict: r.verdict,
            contradicted: r.stands_contradicted(),
            detail: &r.detail,
            sides: &r.sides,
            head_start: r.head_start,
            data_as_of: r.plan.data_as_of(),
        });
        Facts {
            incident,
            absorbed: incident.clock.absorbed.iter().filter_map(|id| state.incidents.get(id)).collect(),
            now,
            elapsed: state.elapsed(incident, now),
            update_due: state.update_due(incident),
            services: services.collect(),
            backups: backups.map(|(name, r)| BackupFacts { name, state: r.state, detail: &r.detail }).collect(),
            runs: runs.collect(),
            recovery: state.open_recovery(),
            playbooks: state.playbooks_in_order().collect(),
            approvals: state.approvals_in_order().collect(),
            guards: &state.guards,
            messages: state.messages_in_order().collect(),
        }
    }
}
