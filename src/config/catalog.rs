//! What the fold needs of a configuration.

use std::time::Duration;

use super::types::{Check, CheckKind, Config, Control, Service};
use crate::domain::catalog::{
    ActionFacts, BackupFacts, Catalog, ChannelFacts, RecoveryFacts, ServiceFacts, SeverityFacts,
};
use crate::domain::escalation::ContactFacts;

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

impl Control {
    /// The platform's word in the configuration.
    pub const fn word(&self) -> &'static str {
        match self {
            Control::Systemd { .. } => "systemd",
            Control::Docker { .. } => "docker",
            Control::Compose { .. } => "compose",
            Control::Kubernetes { .. } => "kubernetes",
            Control::Railway { .. } => "railway",
            Control::Commands(_) => "commands",
        }
    }

    /// What it can do, in the words of [`crate::domain::run::Work::verb`]. Commands can restart when they can stop and
    /// start; what a platform has no command for is not among them.
    pub fn verbs(&self) -> Vec<&'static str> {
        match self {
            Control::Commands(c) => {
                let both = c.stop.is_some() && c.start.is_some();
                [
                    ("restart", c.restart.is_some() || both),
                    ("stop", c.stop.is_some()),
                    ("start", c.start.is_some()),
                    ("redeploy", c.redeploy.is_some()),
                    ("scale", c.scale.is_some()),
                    ("promote", c.promote.is_some()),
                    ("logs", c.logs.is_some()),
                ]
                .into_iter()
                .filter_map(|(verb, can)| can.then_some(verb))
                .collect()
            }
            Control::Railway { .. } => vec!["restart", "redeploy", "logs"],
            Control::Systemd { .. } | Control::Docker { .. } => vec!["restart", "stop", "start", "logs"],
            Control::Compose { .. } | Control::Kubernetes { .. } => {
                vec!["restart", "stop", "start", "redeploy", "scale", "logs"]
            }
        }
    }
}

impl Service {
    /// The check whose latency is the service's.
    pub fn measured(&self) -> Option<&Check> {
        self.checks.iter().find(|c| {
            !matches!(c.kind, CheckKind::Host(_) | CheckKind::Systemd(_) | CheckKind::Docker(_) | CheckKind::Exec(_))
        })
    }
}

impl Config {
    /// Names, tiers, objectives and dependencies, as they go into the journal.
    pub fn catalog(&self) -> Catalog {
        Catalog {
            system: self.system.name.clone(),
            environment: self.system.environment.clone(),
            services: self
                .services
                .iter()
                .map(|s| {
                    let facts = ServiceFacts {
                        tier: s.tier,
                        rto_ms: s.rto.map(ms),
                        impact: s.impact.clone(),
                        depends_on: s.depends_on.clone(),
                        probe_every_ms: s.checks.iter().map(|c| ms(c.timing.every)).min(),
                        measured: s.measured().map(|c| c.name.clone()),
                        checked: !s.checks.is_empty(),
                        control: s.control.iter().flat_map(Control::verbs).map(str::to_owned).collect(),
                    };
                    (s.name.clone(), facts)
                })
                .collect(),
            backups: self
                .backups
                .iter()
                .map(|b| {
                    let facts = BackupFacts {
                        service: b.service.clone(),
                        rpo_ms: b.rpo.map(ms),
                        restorable: b.restore.is_some(),
                        head_start: b.head_start.clone(),
                    };
                    (b.name.clone(), facts)
                })
                .collect(),
            actions: self
                .actions
                .iter()
                .map(|a| {
                    let facts = ActionFacts { service: a.service.clone(), risk: a.risk, doc: a.doc.clone() };
                    (a.name.clone(), facts)
                })
                .collect(),
            recoveries: self
                .recoveries
                .iter()
                .map(|r| {
                    let kind = r.kind.clone().unwrap_or_default();
                    let facts = RecoveryFacts { title: r.title.clone(), kind, steps: r.steps.len() };
                    (r.name.clone(), facts)
                })
                .collect(),
            channels: self
                .channels
                .iter()
                .map(|c| ChannelFacts { name: c.name.clone(), kind: c.kind.word().to_owned() })
                .collect(),
            severities: self
                .severities
                .iter()
                .map(|(severity, p)| {
                    let facts = SeverityFacts {
                        respond_within_ms: p.respond_within.map(ms),
                        update_every_ms: p.update_every.map(ms),
                        first_word_within_ms: p.first_word_within.map(ms),
                        resolution_within_ms: p.resolution_within.map(ms),
                        review_within_ms: p.review_within.map(ms),
                        phases: p.phases.iter().map(|(phase, end)| (*phase, ms(*end))).collect(),
                        escalate: p.escalate.clone(),
                        escalate_after_ms: p.escalate_after.map(ms),
                    };
                    (*severity, facts)
                })
                .collect(),
            contacts: self
                .contacts
                .iter()
                .map(|c| {
                    let facts = ContactFacts { levels: c.levels.clone(), channels: c.channels.clone() };
                    (c.name.clone(), facts)
                })
                .collect(),
            cost: self.system.downtime_cost.clone(),
            availability_target: self.system.availability_target,
            authority: self.authority.clone(),
        }
    }
}
