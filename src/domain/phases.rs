//! The phase clock: how far an incident should be by now, and how far it is.
//!
//! The plan is configuration, per severity, as time since the declaration (T+). What really happened comes from entries:
//! acknowledged, identified, monitoring, every affected service seen up, resolved, closed. The same rows are made for
//! the cockpit, for scripts and for the review. Which plan the first phase goes by, see [`response`](super::response).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalog::{Severity, SeverityFacts};
use super::clock::IncidentClock;
use super::response::{Since, response};
use super::time::Time;

/// The parts of an incident, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentPhase {
    /// Until somebody acknowledges it.
    Detection,
    /// Until the cause is identified.
    Response,
    /// Until it is mitigated: the first *monitoring*.
    Mitigation,
    /// Until it is mitigated and every affected service is seen up.
    Recovery,
    /// Until it is resolved.
    Validation,
    /// Until it is closed.
    Review,
}

impl IncidentPhase {
    /// All of them, in order.
    pub const ALL: [IncidentPhase; 6] = [
        IncidentPhase::Detection,
        IncidentPhase::Response,
        IncidentPhase::Mitigation,
        IncidentPhase::Recovery,
        IncidentPhase::Validation,
        IncidentPhase::Review,
    ];

    /// The word in the configuration and for scripts.
    pub const fn word(self) -> &'static str {
        match self {
            IncidentPhase::Detection => "detection",
            IncidentPhase::Response => "response",
            IncidentPhase::Mitigation => "mitigation",
            IncidentPhase::Recovery => "recovery",
            IncidentPhase::Validation => "validation",
            IncidentPhase::Review => "review",
        }
    }

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            IncidentPhase::Detection => "detection & alert",
            IncidentPhase::Response => "initial response",
            other => other.word(),
        }
    }

    /// What ends it, in words.
    pub const fn ends(self) -> &'static str {
        match self {
            IncidentPhase::Detection => "acknowledged",
            IncidentPhase::Response => "identified",
            IncidentPhase::Mitigation => "monitoring",
            IncidentPhase::Recovery => "services up",
            IncidentPhase::Validation => "resolved",
            IncidentPhase::Review => "closed",
        }
    }
}

/// A moment of an incident and the entry that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When it was recorded.
    pub at: Time,
    /// Journal position.
    pub seq: u64,
    /// Milliseconds since the declaration, steps of the wall clock taken out.
    pub t_ms: i64,
    /// The severity in force then.
    pub severity: Severity,
}

/// What ended each phase, as far as it is on record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identified: Option<Mark>,
    /// First *monitoring*.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mitigated: Option<Mark>,
    /// Every affected service was seen up, and is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<Mark>,
    /// When it was reopened last: what is reached anew is reached after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reopened: Option<Mark>,
}

impl Marks {
    /// It is opened again: it has to be resolved anew, and its services to be up. What was known and done before stays so.
    pub fn reopen(&mut self, mark: Mark) {
        (self.resolved, self.closed, self.reopened) = (None, None, Some(mark));
    }

    /// What ended `phase`.
    pub fn end(&self, phase: IncidentPhase) -> Option<Mark> {
        match phase {
            IncidentPhase::Detection => self.acknowledged,
            IncidentPhase::Response => self.identified,
            IncidentPhase::Mitigation => self.mitigated,
            // Services that come up by themselves are no recovery until somebody says that the cause is dealt with.
            IncidentPhase::Recovery => match (self.mitigated, self.recovered) {
                (Some(a), Some(b)) => Some(if a.seq > b.seq { a } else { b }),
                _ => None,
            },
            IncidentPhase::Validation => self.resolved,
            IncidentPhase::Review => self.closed,
        }
    }
}

/// Where a phase stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseState {
    Over,
    /// A later phase has ended; when this one did is not on record.
    PassedOver,
    Current,
    ToCome,
}

/// One phase, planned and actual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseRow {
    pub phase: IncidentPhase,
    pub state: PhaseState,
    /// T+ at which it should be over, milliseconds, by `severity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_ms: Option<u64>,
    /// The severity in force when it ended, or now; of the first phase the one that its response time goes by.
    pub severity: Severity,
    /// It was passed over and is missed by that: later phases have ended, and nobody acknowledged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owed: bool,
    /// It was reopened, and this is or was gone through once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Mark>,
}

impl PhaseRow {
    /// Milliseconds beyond the plan: of one that is over, else at T+ `t_ms` of the current one and of one that is owed.
    /// Negative while there is time left; `None` where nothing is planned or it is not known.
    pub fn late_ms(&self, t_ms: i64) -> Option<i64> {
        let planned = i64::try_from(self.planned_ms?).unwrap_or(i64::MAX);
        match (self.state, self.ended) {
            (PhaseState::Over, Some(mark)) => Some(mark.t_ms.saturating_sub(planned)),
            (PhaseState::Current, _) => Some(t_ms.saturating_sub(planned)),
            _ if self.owed => Some(t_ms.saturating_sub(planned)),
            _ => None,
        }
    }

    /// What is said of one that was passed over.
    pub const fn passed_over(&self) -> &'static str {
        match self.phase {
            IncidentPhase::Detection => "by nobody",
            _ => "passed over",
        }
    }
}

/// All phases of an incident that is of `severity` now.
pub fn rows(
    clock: &IncidentClock,
    severities: &BTreeMap<Severity, SeverityFacts>,
    severity: Severity,
) -> Vec<PhaseRow> {
    let marks = &clock.marks;
    let ended: Vec<Option<Mark>> = IncidentPhase::ALL.iter().map(|p| marks.end(*p)).collect();
    let reached = ended.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
    IncidentPhase::ALL
        .into_iter()
        .zip(ended)
        .enumerate()
        .map(|(i, (phase, ended))| {
            let state = match ended {
                Some(_) => PhaseState::Over,
                None if i < reached => PhaseState::PassedOver,
                None if i == reached => PhaseState::Current,
                None => PhaseState::ToCome,
            };
            let planned = |of: Severity| severities.get(&of).and_then(|f| f.phases.get(&phase)).copied();
            let detection = phase == IncidentPhase::Detection;
            let severity = match ended.map_or(severity, |m| m.severity) {
                of if detection => answered(clock, ended, &planned).unwrap_or(of),
                of => of,
            };
            let owed = detection && state == PhaseState::PassedOver && clock.ending.is_none();
            // What is gone through once more by a reopening: what cannot stay over when it is open.
            let before = |reopened: Mark| match phase {
                IncidentPhase::Recovery => marks.mitigated.is_some_and(|m| m.seq < reopened.seq),
                phase => phase > IncidentPhase::Recovery,
            };
            let again = marks.reopened.is_some_and(|reopened| {
                before(reopened) && ended.map_or(state == PhaseState::Current, |mark| mark.seq > reopened.seq)
            });
            PhaseRow { phase, state, planned_ms: planned(severity), severity, owed, again, ended }
        })
        .collect()
}

/// The severity whose time the acknowledgement is held against.
fn answered(clock: &IncidentClock, ended: Option<Mark>, planned: &dyn Fn(Severity) -> Option<u64>) -> Option<Severity> {
    let changes = &clock.unanswered;
    // While nobody has, a time that ran out before the last change stays missed; else the last severity's counts.
    let until = ended.map_or_else(|| changes.last().map_or(0, |c: &Since| c.t_ms), |m| m.t_ms);
    response(changes, until, planned).map(|r| r.severity)
}

/// The phase that goes on; `None` when all are over.
pub fn current(rows: &[PhaseRow]) -> Option<&PhaseRow> {
    rows.iter().find(|r| r.state == PhaseState::Current)
}
