//! Playbooks: the steps of an incident, for the person who carries them out.
//!
//! A playbook is led by people: nothing in it begins by itself. A step that acts opens the plan of its run, and that is
//! confirmed as every other; what mayday can see (a run's verdict, services that are up, what channels answered) it sees
//! by itself, and what it cannot see a person says. Started with the full text of its steps in the record, so that who
//! resumes it, and who reads of it a year later, knows what was meant. A failed step stays failed, whichever way on is
//! chosen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checklist::Checklist;
use super::message::Template;
use super::run::Work;
use super::time::Time;

mod asked;
mod diff;
mod due;
mod fold;
mod suggest;
#[cfg(test)]
mod tests;

pub use asked::{decide, of_message, of_recovery, of_run, seen};
pub use diff::difference;
pub use due::{Due, Look, due};
pub use fold::apply;
pub use suggest::{Suggested, suggested};

/// The name that `go` takes for the end.
pub const END: &str = "end";

/// Who has a role that nobody was given.
pub const NOBODY: &str = "nobody yet";

/// A playbook as it is configured, its parameters filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Playbook {
    pub name: String,
    pub title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// SHA-256 over all the rest, hex.
    pub digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suggest: Vec<Suggest>,
    pub steps: Vec<Step>,
}

/// When it suggests itself: any, or all, of these services are down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggest {
    pub services: Vec<String>,
    #[serde(default)]
    pub all: bool,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique within the playbook: the word that `go` takes.
    pub name: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Its time box, milliseconds. For a wait it is the limit; else running out of it ends nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// The role that does it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// What the person is told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    #[serde(flatten)]
    pub does: Does,
    /// The step after it, or [`END`]; absent for the next one in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go: Option<String>,
}

impl Step {
    /// `operations: ben`, or that nobody has the role yet; only the role where there is no incident that gives it.
    pub fn owned_by(&self, roles: Option<&BTreeMap<String, String>>) -> String {
        match roles {
            _ if self.owner.is_empty() => String::new(),
            None => self.owner.clone(),
            Some(roles) => format!("{}: {}", self.owner, roles.get(&self.owner).map_or(NOBODY, String::as_str)),
        }
    }
}

/// What a step is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "does")]
pub enum Does {
    /// A person does it and says so.
    Manual {
        /// It is not done without something that shows it.
        #[serde(default)]
        evidence: bool,
    },
    /// A run, planned and confirmed as every run.
    Act {
        work: Work,
    },
    /// A whole recovery, planned and confirmed as every recovery.
    Recover {
        recovery: String,
    },
    /// Must hold now: services (`api`) or single checks (`api/http`), looked at afresh.
    Check {
        services: Vec<String>,
    },
    /// Waits until all of them are up.
    Wait {
        services: Vec<String>,
    },
    /// A person chooses the way on.
    Decide {
        options: Vec<Choice>,
    },
    /// A message, sent after its preview.
    Message {
        template: Template,
        /// Empty for all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        channels: Vec<String>,
    },
    Checklist {
        checklist: Checklist,
    },
    /// Nobody restarts or restores these until they are released; with none named, anything.
    Hold {
        services: Vec<String>,
        reason: String,
    },
}

impl Does {
    /// `manual`, `restart`, `wait` …: one word for lists.
    pub const fn word(&self) -> &'static str {
        match self {
            Does::Manual { .. } => "manual",
            Does::Act { work } => work.verb(),
            Does::Recover { .. } => "recovery",
            Does::Check { .. } => "check",
            Does::Wait { .. } => "wait",
            Does::Decide { .. } => "decide",
            Does::Message { .. } => "message",
            Does::Checklist { .. } => "checklist",
            Does::Hold { .. } => "hold",
        }
    }

    /// `restart api`, `wait until api is up`; empty where the title says it all.
    pub fn what(&self) -> String {
        let up = |services: &[String]| {
            format!("{} {} up", services.join(", "), if services.len() == 1 { "is" } else { "are" })
        };
        match self {
            Does::Manual { .. } => String::new(),
            Does::Act { work } => format!("{} {}", work.verb(), work.object()),
            Does::Recover { recovery } => format!("recovery {recovery}"),
            Does::Check { services } => format!("check that {}", up(services)),
            Does::Wait { services } => format!("wait until {}", up(services)),
            Does::Decide { options } => options.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(" or "),
            Does::Message { template, channels } if channels.is_empty() => format!("{} message", template.word()),
            Does::Message { template, channels } => format!("{} message to {}", template.word(), channels.join(", ")),
            Does::Checklist { checklist } => format!("checklist {}", checklist.name),
            Does::Hold { services, .. } if services.is_empty() => "hold everything".to_owned(),
            Does::Hold { services, .. } => format!("hold {}", services.join(", ")),
        }
    }
}

/// One way on from a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choice {
    pub name: String,
    pub title: String,
    /// The step it leads to, or [`END`].
    pub go: String,
}

impl Playbook {
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|s| s.name == name)
    }

    /// Place of a step in the file, from 1; 0 when it is not there.
    pub fn number(&self, name: &str) -> usize {
        self.steps.iter().position(|s| s.name == name).map_or(0, |i| i + 1)
    }

    /// The step after `name` where nothing is decided; `None` is the end.
    pub fn after(&self, name: &str) -> Option<String> {
        let at = self.steps.iter().position(|s| s.name == name)?;
        match self.steps.get(at)?.go.as_deref() {
            Some(END) => None,
            Some(go) => Some(go.to_owned()),
            None => self.steps.get(at + 1).map(|s| s.name.clone()),
        }
    }

    /// The steps that `step` can lead to; [`END`] for the end.
    pub fn ways(&self, step: &Step) -> Vec<String> {
        match &step.does {
            Does::Decide { options } => options.iter().map(|o| o.go.clone()).collect(),
            _ => vec![self.after(&step.name).unwrap_or_else(|| END.to_owned())],
        }
    }
}

/// Where something that was started belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfStep {
    pub playbook: String,
    /// Name of the step.
    pub step: String,
    /// 1 for the cut-over of a restore.
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
    /// What it did ended well, and nothing shows the effect: a person says.
    Unproven,
    Done,
    Failed,
    Skipped,
}

impl StepState {
    pub const fn word(self) -> &'static str {
        match self {
            StepState::Waiting => "waiting",
            StepState::UnderWay => "under way",
            StepState::Unproven => "unproven",
            StepState::Done => "done",
            StepState::Failed => "FAILED",
            StepState::Skipped => "skipped",
        }
    }
}

/// Something that shows what was done or seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub at: Time,
    pub by: String,
    pub text: String,
    /// Name of the file it was read from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// SHA-256 of that file, hex, and its size in bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A try that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub at: Time,
    pub detail: String,
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
    /// Where its time box counts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_from: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The run, recovery or message of this try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Which part of the step `run` is: 1 for the cut-over of a restore.
    pub part: usize,
    /// A person has seen the effect of `run`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub vouched: bool,
    /// All runs made for it, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
    /// What showed it, why it failed, why it was skipped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Who said so; empty when mayday saw it itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Tries that failed, oldest first; a later success does not take them away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// The option that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// Why the way on was taken although it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub passed: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlayState {
    #[default]
    UnderWay,
    /// Left, to be resumed by whoever comes.
    Left,
    /// It came to its end.
    Complete,
    /// Ended by a person before that.
    Stopped,
}

impl PlayState {
    pub const fn word(self) -> &'static str {
        match self {
            PlayState::UnderWay => "under way",
            PlayState::Left => "left",
            PlayState::Complete => "complete",
            PlayState::Stopped => "stopped",
        }
    }

    pub const fn is_open(self) -> bool {
        matches!(self, PlayState::UnderWay | PlayState::Left)
    }
}

/// The configured text is not the one that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub at: Time,
    /// Of what is configured now; `gone` when nothing is.
    pub digest: String,
    /// What differs, a line each.
    pub difference: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Box<Playbook>>,
}

/// A playbook that was started, and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Play {
    pub id: String,
    pub text: Playbook,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    pub started_at: Time,
    pub started_by: String,
    pub started_seq: u64,
    pub state: PlayState,
    /// The step it is at; absent when it is through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    pub steps: BTreeMap<String, StepRecord>,
    /// Steps in the order in which they were come to.
    pub path: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
    /// Digest of a changed text that was looked at and not taken.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kept: String,
    /// Who answered it last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub led_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Why it was left or stopped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What can be started for the step it is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "offer")]
pub enum Offer {
    Run { part: usize, work: Work },
    Recovery { recovery: String },
    Message { template: Template, channels: Vec<String>, text: String },
    Hold { services: Vec<String>, reason: String },
}

impl Play {
    /// The step it is at, as written and as it is.
    pub fn current(&self) -> Option<(&Step, &StepRecord)> {
        let name = self.at.as_deref()?;
        Some((self.text.step(name)?, self.steps.get(name)?))
    }

    /// When the time box of the step it is at runs out.
    pub fn box_ends(&self) -> Option<Time> {
        let (step, record) = self.current()?;
        Some(record.box_from?.plus(std::time::Duration::from_millis(step.within_ms?)))
    }

    /// It is led right now, and its text is not in question.
    pub fn goes_on(&self) -> bool {
        self.state == PlayState::UnderWay && self.changed.is_none()
    }

    pub fn count(&self, state: StepState) -> usize {
        self.steps.values().filter(|s| s.state == state).count()
    }

    /// Steps of which a try failed, whatever came of it later.
    pub fn failed(&self) -> usize {
        self.steps.values().filter(|s| s.state == StepState::Failed).count()
    }

    /// `step 2 of 9 (restart the API)`.
    pub fn place(&self) -> String {
        match self.current() {
            Some((step, _)) => {
                format!("step {} of {} ({})", self.text.number(&step.name), self.text.steps.len(), step.title)
            }
            None => "its end".to_owned(),
        }
    }
}

/// What a person says to a playbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// The step is done, or its effect was seen. The reason is what was done or seen.
    Done,
    /// It failed; needs a reason.
    Fail,
    /// It is passed over; needs a reason.
    Skip,
    /// A failed step is tried once more.
    Again,
    /// The way on is taken although the step failed; needs a reason.
    GoOn,
    /// An option of a decision.
    Choose { option: String },
    /// Something that shows what was done; `step` is the current one where it is not named.
    Evidence {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        text: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        file: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        digest: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
    /// Somebody else may go on with it.
    Leave,
    /// Go on with one that was left, or whose text has changed.
    Resume {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        take: Option<Take>,
    },
    /// It is ended; needs a reason.
    Stop,
}

/// Which text a playbook goes on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "take")]
pub enum Take {
    /// The one that was started.
    Old,
    /// The one that is configured now, from this step on.
    New { from: String },
}

impl Answer {
    pub const fn word(&self) -> &'static str {
        match self {
            Answer::Done => "done",
            Answer::Fail => "fail",
            Answer::Skip => "skip",
            Answer::Again => "again",
            Answer::GoOn => "go on",
            Answer::Choose { .. } => "choose",
            Answer::Evidence { .. } => "evidence",
            Answer::Leave => "leave",
            Answer::Resume { .. } => "resume",
            Answer::Stop => "stop",
        }
    }
}
