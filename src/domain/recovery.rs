//! Recoveries: steps over services that are carried out one after another, each only when the one before is really good.
//!
//! A recovery adds nothing to what single runs may do. A step that restores, restarts or acts is planned, held, executed
//! and judged as a run of its own; the recovery only says which comes next, and when to stop and ask a person. What it
//! does next follows from the state alone ([`due`]), so that an engine that was killed goes on where it was, and what was
//! begun is never begun twice.

use serde::{Deserialize, Serialize};

use super::run::{Checked, Plan, Risk, Work};
use super::time::Time;

mod asked;
mod due;
mod fold;
#[cfg(test)]
mod tests;

pub use asked::{decide, start_approved};
pub use due::{Due, Early, Seen, begun_early, due};
pub use fold::apply;

/// Part of a recovery that a step belongs to, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    #[default]
    Assess,
    Restart,
    Database,
    Redeploy,
    Validate,
}

impl Phase {
    pub const ALL: [Phase; 5] = [Phase::Assess, Phase::Restart, Phase::Database, Phase::Redeploy, Phase::Validate];

    pub const fn word(self) -> &'static str {
        match self {
            Phase::Assess => "assess",
            Phase::Restart => "restart",
            Phase::Database => "database",
            Phase::Redeploy => "redeploy",
            Phase::Validate => "validate",
        }
    }

    pub fn parse(word: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|p| p.word() == word)
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "does")]
pub enum Does {
    /// Restores the newest good copy beside the live data, then puts it in the live place.
    Restore {
        backup: String,
    },
    Restart {
        service: String,
    },
    Act {
        action: String,
    },
    /// Waits until all of them are up.
    Healthy {
        services: Vec<String>,
    },
    /// A person does it, and says how it went.
    Look {
        text: String,
    },
}

impl Does {
    /// `restore orders`, `wait until api is up`.
    pub fn title(&self) -> String {
        match self {
            Does::Restore { backup } => format!("restore {backup}"),
            Does::Restart { service } => format!("restart {service}"),
            Does::Act { action } => format!("act {action}"),
            Does::Healthy { services } => {
                let (names, verb) = (services.join(", "), if services.len() == 1 { "is" } else { "are" });
                format!("wait until {names} {verb} up")
            }
            Does::Look { text } => text.clone(),
        }
    }

    /// What is asked to be planned first; `None` where nothing is executed.
    pub fn work(&self) -> Option<Work> {
        match self {
            Does::Restore { backup } => {
                Some(Work::Restore { backup: backup.clone(), copy: None, test: false, to: None, only: Vec::new() })
            }
            Does::Restart { service } => Some(Work::Restart { service: service.clone() }),
            Does::Act { action } => Some(Work::Act { action: action.clone() }),
            Does::Healthy { .. } | Does::Look { .. } => None,
        }
    }
}

/// A step as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub phase: Phase,
    /// Its time box, milliseconds. Running out of it kills nothing: it makes the recovery stop and ask.
    pub within_ms: u64,
    #[serde(flatten)]
    pub does: Does,
}

/// What was shown of a run before it was confirmed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shown {
    pub title: String,
    pub target: String,
    pub risk: Risk,
    /// Of what was shown: commands, target, copy. Empty for a cut-over, whose plan is made when the copy is restored; that
    /// one is covered as long as it is about the same target.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Id of the copy used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_lost_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
    /// What is executed, as shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Checks that failed or warned: `FAIL disk: …`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
}

impl Shown {
    /// Of a plan, with the digest of what it shows.
    pub fn of(plan: &Plan, digest: String) -> Shown {
        Shown {
            title: plan.title.clone(),
            target: plan.target.clone(),
            risk: plan.risk,
            digest,
            copy: plan.copy.as_ref().map(|c| c.id.clone()),
            data_lost_ms: plan.data_lost_ms,
            rpo_ms: plan.rpo_ms,
            expected_ms: plan.expected_ms,
            commands: plan.phases.iter().flat_map(|p| p.step.shown()).collect(),
            checks: plan
                .preconditions
                .iter()
                .filter_map(|p| match p.result {
                    Checked::Passed => None,
                    Checked::Warned => Some(format!("WARN {}: {}", p.name, p.detail)),
                    Checked::Failed => Some(format!("FAIL {}: {}", p.name, p.detail)),
                })
                .collect(),
        }
    }

    /// The confirmation of this covers the plan `now`.
    pub fn covers(&self, now: &Shown) -> bool {
        if self.digest.is_empty() {
            return self.target == now.target && now.risk <= self.risk;
        }
        self.digest == now.digest
    }
}

/// A step with what is known of its runs beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    #[serde(flatten)]
    pub spec: Spec,
    /// One for a run; two for a restore: the side restore, and the cut-over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Shown>,
}

/// What is confirmed as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryPlan {
    /// At most 10 lower-case letters and digits.
    pub id: String,
    pub made_at: Time,
    /// The configured name, and what it is called.
    pub name: String,
    pub title: String,
    /// Kind of incident that it is for; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The worst of its steps.
    pub risk: Risk,
    /// What has to be typed when a step is destructive: the one target of all such steps, else the system.
    pub target: String,
    pub steps: Vec<PlannedStep>,
    /// Why it cannot start now: what fails of its first run. What fails of later ones is shown, and looked at again when
    /// their turn comes, because the steps before may mend it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<String>,
}

/// Where a run belongs in a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfStep {
    pub recovery: String,
    /// Index of the step.
    pub step: usize,
    /// 0 for the first, 1 for the cut-over of a restore.
    #[serde(default)]
    pub part: usize,
}

/// Where a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    #[default]
    Waiting,
    UnderWay,
    /// It failed, is overdue, or has changed: a person decides.
    Asks,
    Good,
    Skipped,
    /// The recovery was ended before it.
    NotDone,
}

impl StepState {
    pub const fn word(self) -> &'static str {
        match self {
            StepState::Waiting => "waiting",
            StepState::UnderWay => "under way",
            StepState::Asks => "asks",
            StepState::Good => "good",
            StepState::Skipped => "skipped",
            StepState::NotDone => "not done",
        }
    }
}

/// What has become of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepRecord {
    pub state: StepState,
    /// How often it was begun.
    pub attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Time>,
    /// Where its time box counts from: its beginning, or the last time it was resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_from: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The run that this try waits for; none while it is still to be planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Which part of the step that run is.
    pub part: usize,
    /// A person has seen the effect of that run, which no check shows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub vouched: bool,
    /// All runs made for it, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
    /// What showed that it is good, why it asks, why it was skipped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Who answered for it or skipped it; empty when mayday saw it itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// Why a recovery stopped and asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Its run failed, was contradicted, cancelled, lost; or a person said so.
    Failed,
    /// Its time box ran out. A run under way goes on.
    Overdue,
    /// What would be executed is not what was confirmed.
    Changed,
    /// It cannot be planned or started now.
    Blocked,
    /// It ended well, and nothing shows its effect.
    Unproven,
}

impl Why {
    pub const fn word(self) -> &'static str {
        match self {
            Why::Failed => "failed",
            Why::Overdue => "overdue",
            Why::Changed => "changed",
            Why::Blocked => "blocked",
            Why::Unproven => "unproven",
        }
    }
}

/// It stopped and asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Halt {
    pub why: Why,
    pub at: Time,
    pub detail: String,
    /// What would be executed now, when that is what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Shown>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveryState {
    #[default]
    UnderWay,
    /// Stopped at a step until a person answers.
    Asks,
    /// Every step is good or was skipped.
    Complete,
    /// Ended by a person before that.
    Ended,
}

impl RecoveryState {
    pub const fn word(self) -> &'static str {
        match self {
            RecoveryState::UnderWay => "under way",
            RecoveryState::Asks => "asks",
            RecoveryState::Complete => "complete",
            RecoveryState::Ended => "ended",
        }
    }

    pub const fn is_open(self) -> bool {
        matches!(self, RecoveryState::UnderWay | RecoveryState::Asks)
    }
}

/// A recovery and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    pub plan: RecoveryPlan,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    pub started_at: Time,
    pub started_by: String,
    pub started_seq: u64,
    pub state: RecoveryState,
    /// Index of the step it is at; the number of steps when it is through.
    pub step: usize,
    pub steps: Vec<StepRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halt: Option<Halt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The reason given for ending it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Recovery {
    pub fn id(&self) -> &str {
        &self.plan.id
    }

    /// How the engine says that it starts a run for it.
    pub fn via(&self) -> String {
        format!("recovery {}", self.plan.id)
    }

    /// The step it is at, as planned and as it is.
    pub fn current(&self) -> Option<(&PlannedStep, &StepRecord)> {
        Some((self.plan.steps.get(self.step)?, self.steps.get(self.step)?))
    }

    /// When the time box of the step it is at runs out.
    pub fn box_ends(&self) -> Option<Time> {
        let (step, record) = self.current()?;
        Some(record.box_from?.plus(std::time::Duration::from_millis(step.spec.within_ms)))
    }

    pub fn skipped(&self) -> usize {
        self.steps.iter().filter(|s| s.state == StepState::Skipped).count()
    }

    /// `step 2 of 5 (restart api)`.
    pub fn place(&self) -> String {
        place(&self.plan, self.step)
    }

    /// A person has to do the step it is at, or to judge it: `done` and `failed` are the answers.
    pub fn wants_word(&self) -> bool {
        let Some((step, record)) = self.current() else { return false };
        let look = matches!(step.spec.does, Does::Look { .. }) && self.state.is_open();
        let begun = matches!(record.state, StepState::UnderWay | StepState::Asks);
        (look && begun) || self.halt.as_ref().is_some_and(|h| h.why == Why::Unproven)
    }

    /// Only a person can bring it on.
    pub fn wants_person(&self) -> bool {
        self.state == RecoveryState::Asks || self.wants_word()
    }
}

/// `step 2 of 5 (restart api)`.
pub fn place(plan: &RecoveryPlan, step: usize) -> String {
    let title = plan.steps.get(step).map(|s| format!(" ({})", s.spec.does.title())).unwrap_or_default();
    format!("step {} of {}{title}", step + 1, plan.steps.len())
}
