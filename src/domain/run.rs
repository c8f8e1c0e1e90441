//! Plans, runs and verdicts.
//!
//! A plan is made before anything happens: it names every command and every precondition, and it holds no secret. Once
//! it is requested it becomes a run, executed by its own process at most once. A run ends with a verdict, not only an
//! exit code: exit 0 is not restored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backup::Copy;
use super::time::Time;

mod side;

pub use side::{Side, SideRole};

/// What the person must do before it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Nothing: it only looks.
    Observe,
    /// A dialog and `y`.
    #[default]
    Disruptive,
    /// A dialog and the target's name, typed.
    Destructive,
}

impl Risk {
    pub const fn word(self) -> &'static str {
        match self {
            Risk::Observe => "observe",
            Risk::Disruptive => "disruptive",
            Risk::Destructive => "destructive",
        }
    }
}

/// What a person asks to be planned. Names are those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "work")]
pub enum Work {
    Restart {
        service: String,
    },
    Stop {
        service: String,
    },
    Start {
        service: String,
    },
    /// Deploys again what is deployed: new containers, or a new rollout, of the same version or the newest of its tag.
    Redeploy {
        service: String,
    },
    /// As many instances as this, at least one: none would be a stop, which start takes back.
    Scale {
        service: String,
        replicas: u32,
    },
    /// Makes a standby the one that takes writes.
    Promote {
        service: String,
    },
    /// The last lines of its log; only looks.
    Logs {
        service: String,
        lines: u32,
    },
    /// A free action of the configuration.
    Act {
        action: String,
    },
    /// Restores a copy beside the live data and stops at *ready to cut over*; `test` drops it after the proof.
    Restore {
        backup: String,
        /// `None` takes the newest good copy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy: Option<String>,
        #[serde(default)]
        test: bool,
        /// Instead of the whole copy, where the kind of copy allows. Of a database: tables (`schema.table`) or schemas
        /// (`schema.*`). Of a folder: patterns of the names that come back; those of the configuration when there are none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        only: Vec<String>,
        /// The moment to restore to, where the backup set can (point in time): a time, `lsn:…`, `xid:…`, `name:…`. `None`
        /// is the newest that can be reached.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Puts the side copy of run `of` in the place of the live data.
    CutOver {
        of: String,
    },
    /// Copies the names that match `only` out of the side copy of run `of` into the live folder, one by one.
    CopyIn {
        of: String,
        only: Vec<String>,
    },
    /// Puts back what the cut-over run `of` replaced.
    Undo {
        of: String,
    },
    /// Drops the side copy, or what was kept, of run `of`.
    Drop {
        of: String,
    },
}

impl Work {
    /// The verb shown and used to find earlier runs of the same kind.
    pub const fn verb(&self) -> &'static str {
        match self {
            Work::Restart { .. } => "restart",
            Work::Stop { .. } => "stop",
            Work::Start { .. } => "start",
            Work::Redeploy { .. } => "redeploy",
            Work::Scale { .. } => "scale",
            Work::Promote { .. } => "promote",
            Work::Logs { .. } => "logs",
            Work::Act { .. } => "act",
            Work::Restore { test: true, .. } => "test restore",
            Work::Restore { .. } => "restore",
            Work::CutOver { .. } => "cut over",
            Work::CopyIn { .. } => "copy in",
            Work::Undo { .. } => "undo",
            Work::Drop { .. } => "drop",
        }
    }

    /// The service whose control it uses, where it names one.
    pub fn service(&self) -> Option<&str> {
        match self {
            Work::Restart { service }
            | Work::Stop { service }
            | Work::Start { service }
            | Work::Redeploy { service }
            | Work::Scale { service, .. }
            | Work::Promote { service }
            | Work::Logs { service, .. } => Some(service),
            Work::Act { .. }
            | Work::Restore { .. }
            | Work::CutOver { .. }
            | Work::CopyIn { .. }
            | Work::Undo { .. }
            | Work::Drop { .. } => None,
        }
    }

    /// The configured name or run id it is about.
    pub fn object(&self) -> &str {
        match self {
            Work::Act { action } => action,
            Work::Restore { backup, .. } => backup,
            Work::CutOver { of } | Work::CopyIn { of, .. } | Work::Undo { of } | Work::Drop { of } => of,
            of_service => of_service.service().unwrap_or_default(),
        }
    }
}

/// The exact thing that will be executed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// At most 10 lower-case letters and digits.
    pub id: String,
    pub made_at: Time,
    pub work: Work,
    /// `restore postgres-full beside crazy_gary`.
    pub title: String,
    /// What has to be typed for a destructive step: the service, or the database of a restore.
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What nobody else may touch meanwhile: `service api`, `database 127.0.0.1:5432/app`, `folder /srv/docs`.
    pub holds: Vec<String>,
    pub risk: Risk,
    /// Sentences: what it will change, on how many, in which environment.
    pub effects: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copy>,
    /// Milliseconds of data lost by using this copy (now − copy time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_lost_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_ms: Option<u64>,
    /// Expected duration in milliseconds from earlier runs of the same thing, scaled by size; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
    /// How many earlier runs that rests on.
    #[serde(default)]
    pub expected_from: u32,
    pub preconditions: Vec<Precondition>,
    pub phases: Vec<Phase>,
    /// Milliseconds for the whole run; then TERM and KILL to its group.
    pub timeout_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// Names of the secrets that the runner is handed by pipe; values are never in here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What can be undone afterwards and how, in one sentence; empty when nothing can.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub undo: String,
    /// Runs at the lowest priority, so that the live side is not slowed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gentle: bool,
}

impl Plan {
    /// The moment that the data of its copy is of: what was written since is lost.
    pub fn data_as_of(&self) -> Option<Time> {
        let lost = u64::try_from(self.data_lost_ms?).unwrap_or(0);
        Some(self.made_at.minus(std::time::Duration::from_millis(lost)))
    }

    /// The failing preconditions that forbid a start.
    pub fn blockers(&self) -> impl Iterator<Item = &Precondition> {
        self.preconditions.iter().filter(|p| p.result == Checked::Failed)
    }
}

/// One thing that was looked at while planning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Precondition {
    /// `tool pg_restore`, `disk`, `copy readable`.
    pub name: String,
    pub result: Checked,
    /// What was found, and for a failure what to do.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    Passed,
    Warned,
    Failed,
}

/// A named part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    /// Share of the expected time, relative to the other phases.
    pub weight: u32,
    pub step: Step,
    /// What the run is for is done by then: its failure contradicts that it took effect, and takes nothing back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proof: bool,
    /// Milliseconds for which a command of a proof that fails is tried again: what was done may need a moment to be seen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_ms: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What a phase executes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Step {
    /// A program with an argument list, without a shell.
    Command {
        argv: Vec<String>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, String>,
        /// Environment variable → name of the secret handed by pipe.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        secret_env: BTreeMap<String, String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwd: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// Output that means "no" although the exit code is 0 (regular expressions).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refused_if: Vec<String>,
    },
    /// An operation of `recovery`, named, with its arguments; `shown` is what it amounts to, for people.
    Native { op: String, args: serde_json::Value, shown: Vec<String> },
}

impl Plan {
    /// What is said of a plan without a check of the service: how its effect is seen, if at all.
    pub fn without_after(&self) -> &'static str {
        match self.phases.iter().any(|p| matches!(p.step, Step::Native { .. })) {
            true => "it looks at its own effect; no check of a service follows",
            false => "nothing checks the effect: the run will end unverified",
        }
    }
}

impl Step {
    /// The exact commands for the dialog. There is no secret in a plan, so none can show.
    pub fn shown(&self) -> Vec<String> {
        match self {
            Step::Command { argv, env, secret_env, .. } => {
                let mut line = String::new();
                for name in secret_env.keys() {
                    line.push_str(&format!("{name}=*** "));
                }
                for (name, value) in env {
                    line.push_str(&format!("{name}={} ", crate::text::shell_word(value)));
                }
                line.push_str(&argv.iter().map(|a| crate::text::shell_word(a)).collect::<Vec<_>>().join(" "));
                vec![line]
            }
            Step::Native { shown, .. } => shown.clone(),
        }
    }
}

/// How the effect is seen after the last phase; composed by the runner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct After {
    /// Check configurations (`config::CheckKind` as JSON) of which all must hold.
    pub checks: Vec<serde_json::Value>,
    /// Milliseconds to wait until they hold.
    pub within_ms: u64,
    /// How often in a row.
    pub times: u32,
    /// `GET /health answers 200`: what is looked at, for people.
    pub shown: Vec<String>,
}

/// Where a run is. See decisions: a request not claimed in time expires, a claim whose process is gone is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    #[default]
    Requested,
    Claimed,
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    Lost,
    Expired,
}

impl RunState {
    pub const fn word(self) -> &'static str {
        match self {
            RunState::Requested => "requested",
            RunState::Claimed => "claimed",
            RunState::Running => "running",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::TimedOut => "timed out",
            RunState::Cancelled => "cancelled",
            RunState::Lost => "lost",
            RunState::Expired => "expired",
        }
    }

    /// Nothing more will come of it.
    pub const fn is_over(self) -> bool {
        !matches!(self, RunState::Requested | RunState::Claimed | RunState::Running)
    }
}

/// Whether the effect was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The after-check saw the effect.
    Verified,
    /// There was no after-check, or the run did not get that far.
    Unverified,
    /// Exit 0, yet the after-check fails.
    Contradicted,
}

impl Verdict {
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Verified => "verified",
            Verdict::Unverified => "unverified",
            Verdict::Contradicted => "contradicted",
        }
    }
}

/// A requested plan and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub plan: Plan,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    pub requested_at: Time,
    pub requested_by: String,
    pub requested_seq: u64,
    pub requested_boot: String,
    pub state: RunState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Index into `plan.phases` of the phase last begun.
    #[serde(default)]
    pub phase: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The last sentence: why it failed, what contradicted it, what was verified.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    #[serde(default)]
    pub cancel_requested: bool,
    /// A later verified run of the same work took the contradiction back.
    #[serde(default)]
    pub superseded: bool,
    /// What it left beside or kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sides: Vec<Side>,
    /// Bytes of the largest thing it ever left, also when that is gone by now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub largest: u64,
    /// It ran although nothing was being recorded.
    #[serde(default)]
    pub unlogged: bool,
    /// The step of a recovery that it carries out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_step: Option<super::recovery::OfStep>,
    /// It began by itself, for the incident.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub head_start: bool,
}

impl Run {
    pub fn id(&self) -> &str {
        &self.plan.id
    }

    /// Contradicted and not taken back since: red, and blocks "resolved".
    pub fn stands_contradicted(&self) -> bool {
        self.verdict == Some(Verdict::Contradicted) && !self.superseded
    }
}
