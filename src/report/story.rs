//! One pass over the entries: what belongs to one incident, sorted by subject, each with its journal position.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::level::Steps;
use crate::domain::Time;
use crate::domain::catalog::{Catalog, Severity};
use crate::domain::clock::Ending;
use crate::domain::curation::Curation;
use crate::domain::event::{Entry, Event};
use crate::domain::incident::Status;
use crate::domain::message::{Delivery, Template};
use crate::domain::run::{Plan, RunState, Verdict, Work};

/// How long before the onset what happened is told as the lead-up.
pub const LEAD_UP: Duration = Duration::from_secs(3600);

/// A moment and the entry that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub at: Time,
    pub seq: u64,
}

/// Everything the entries say of one incident.
#[derive(Clone, Debug)]
pub struct Story<'a> {
    /// `INC-2026-004`.
    pub id: String,
    /// All entries up to the incident's last, of which the rest is made.
    pub entries: &'a [Entry],
    pub title: String,
    pub declared: Mark,
    /// When the declaration was recorded: T+ counts from here, whatever is said later of when it was declared.
    pub t_zero: Mark,
    pub declared_by: String,
    /// `human`, or the trigger's name.
    pub source: String,
    /// Severity from the moment on, the declaration's first.
    pub severities: Vec<(Mark, Severity)>,
    pub statuses: Vec<(Mark, Status, bool)>,
    pub reopened: Vec<Mark>,
    pub acknowledged: Option<(Mark, String)>,
    /// How it ended without having been resolved.
    pub ending: Option<Ending>,
    /// Incidents that were merged into it, also by way of others, with the entry that tells of it.
    pub absorbed: BTreeMap<String, u64>,
    /// Onset as journaled: the moment, and the entry that says so. The last one counts.
    pub onset: Option<Mark>,
    /// Services ever named as affected, with the entry that named them first.
    pub services: BTreeMap<String, u64>,
    /// Role, user, when.
    pub roles: Vec<(Mark, String, String)>,
    /// Who asked for what needed a second person, by its id.
    pub asked: BTreeMap<&'a str, String>,
    pub runs: Vec<RunStory<'a>>,
    pub messages: Vec<MessageStory<'a>>,
    /// File, digest, number of samples.
    pub sealed: Option<(u64, String, String, u64)>,
    /// Configurations in the order they came into force.
    pub catalogs: Vec<(Mark, &'a Catalog)>,
    /// Stretches in which nobody looked: from the last entry before to the engine's next start.
    pub blind: Vec<Blind>,
    /// The incident's last entry.
    pub last: Mark,
    /// How the wall clock was stepped.
    pub steps: Steps,
    /// What people made of entries since: corrected, retimed, pinned, hidden, joined.
    pub curation: Curation,
    /// False where corrections are left out on purpose.
    pub(super) is_corrected: bool,
}

/// A stretch in which no engine was watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blind {
    pub from: Mark,
    pub until: Mark,
}

/// One run of the incident.
#[derive(Clone, Debug)]
pub struct RunStory<'a> {
    pub plan: &'a Plan,
    pub requested: Mark,
    pub by: String,
    pub via: String,
    pub reason: &'a str,
    pub unlogged: bool,
    pub started: Option<Mark>,
    pub cancelled: Option<Mark>,
    pub finished: Option<Finish<'a>>,
    /// It is the incident's: asked for in it, or open when its own was merged into this one.
    went_on: bool,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Finish<'a> {
    pub mark: Mark,
    pub state: RunState,
    pub exit: Option<i32>,
    pub verdict: Verdict,
    pub detail: &'a str,
    pub output_digest: &'a str,
    pub excerpt: &'a str,
}

/// One message of the incident.
#[derive(Clone, Debug)]
pub struct MessageStory<'a> {
    pub id: &'a str,
    pub queued: Mark,
    pub by: String,
    pub template: Template,
    pub subject: &'a str,
    pub body: &'a str,
    pub channels: &'a [String],
    pub automatic: bool,
    pub attempts: Vec<TriedStory<'a>>,
}

/// One attempt at one channel.
#[derive(Clone, Debug)]
pub struct TriedStory<'a> {
    pub mark: Mark,
    pub channel: &'a str,
    pub attempt: u32,
    pub result: Delivery,
    pub answer: &'a str,
}

/// The incidents that were merged into `incident`.
fn absorbed(entries: &[Entry], incident: &str) -> BTreeMap<String, u64> {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    // From the end: what was merged into one that had been merged itself by then went another way.
    for entry in entries.iter().rev() {
        let Event::IncidentAbsorbed(e) = &entry.event else { continue };
        let Some(into) = entry.incident.as_deref() else { continue };
        if into == incident || found.get(into).is_some_and(|merged| entry.seq < *merged) {
            found.entry(e.incident.clone()).or_insert(entry.seq);
        }
    }
    found.remove(incident);
    found
}

/// The entries that a correction is about.
pub(super) fn corrected(event: &Event) -> impl Iterator<Item = u64> + '_ {
    let (one, many) = match event {
        Event::NoteCorrected(e) => (Some(e.entry), None),
        Event::EntryRetimed(e) => (Some(e.entry), None),
        Event::EntryPinned(e) => (Some(e.entry), None),
        Event::EntryHidden(e) => (Some(e.entry), None),
        Event::EntryRedacted(e) => (Some(e.seq), None),
        Event::EntriesJoined(e) => (None, Some(e.entries.iter().copied())),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten())
}

/// When the entry at that position was recorded.
fn at_of(entries: &[Entry], seq: u64) -> Option<Time> {
    let at = entries.binary_search_by_key(&seq, |e| e.seq).ok()?;
    entries.get(at).map(|e| e.at)
}

impl MessageStory<'_> {
    /// When the first channel took it.
    pub fn accepted(&self) -> Option<Mark> {
        self.attempts.iter().find(|t| t.result == Delivery::Accepted).map(|t| t.mark)
    }
}

impl<'a> Story<'a> {
    /// Reads the story of `incident`. Errors: it is not declared in `entries`.
    pub fn read(entries: &'a [Entry], incident: &str) -> Result<Self, String> {
        Story::read_as(entries, incident, true)
    }

    /// As it was recorded, before anybody corrected it.
    pub(super) fn recorded(entries: &'a [Entry], incident: &str) -> Result<Self, String> {
        Story::read_as(entries, incident, false)
    }

    fn read_as(entries: &'a [Entry], incident: &str, corrections: bool) -> Result<Self, String> {
        let is_own = |e: &Entry| e.incident.as_deref() == Some(incident);
        let absorbed = absorbed(entries, incident);
        // Corrections of what happened to the system carry no incident, and hold for every story that tells it.
        let curation = Curation::of(entries.iter().filter(|e| {
            corrections
                && e.incident.as_deref().is_none_or(|id| id == incident || absorbed.get(id).is_some_and(|m| e.seq < *m))
        }));
        let moment = |e: &Entry| curation.entries.get(&e.seq).and_then(|a| a.happened_at).unwrap_or(e.at);
        let declared = entries
            .iter()
            .find_map(|e| match &e.event {
                Event::IncidentDeclared(d) if is_own(e) => Some((e, d)),
                _ => None,
            })
            .ok_or_else(|| {
                format!("export {incident}: the journal has no incident of that name: see `mayday incident list`")
            })?;
        let (entry, declaration) = declared;
        let mark = Mark { at: moment(entry), seq: entry.seq };
        let lead_up = entry.at.minus(2 * LEAD_UP);
        let mut story = Story {
            id: incident.to_owned(),
            entries: &[],
            title: declaration.title.clone(),
            declared: mark,
            t_zero: Mark { at: entry.at, seq: entry.seq },
            declared_by: entry.actor.user.clone(),
            source: declaration.source.clone(),
            severities: vec![(mark, declaration.severity)],
            statuses: vec![(mark, Status::Investigating, false)],
            reopened: Vec::new(),
            acknowledged: None,
            ending: None,
            absorbed,
            onset: declaration.onset.map(|at| Mark { at, seq: entry.seq }),
            services: declaration.services.iter().map(|s| (s.clone(), entry.seq)).collect(),
            roles: Vec::new(),
            asked: BTreeMap::new(),
            runs: Vec::new(),
            messages: Vec::new(),
            sealed: None,
            catalogs: Vec::new(),
            blind: Vec::new(),
            last: mark,
            steps: Steps::default(),
            curation: curation.clone(),
            is_corrected: corrections,
        };
        let mut end = 0;
        let mut before: Option<Mark> = None;
        for (index, entry) in entries.iter().enumerate() {
            let recorded = Mark { at: entry.at, seq: entry.seq };
            let mark = Mark { at: moment(entry), seq: entry.seq };
            story.surroundings(entry, recorded, before);
            let own = is_own(entry);
            if own {
                story.own(entry, mark);
            }
            if story.work(entry, mark, own) || own {
                end = index + 1;
                story.last = recorded;
            } else if entry.incident.is_none()
                && corrected(&entry.event).any(|seq| seq <= story.last.seq && at_of(entries, seq) >= Some(lead_up))
            {
                // A correction of something that this story tells.
                end = index + 1;
            }
            before = Some(recorded);
        }
        story.runs.retain(|r| r.went_on);
        story.entries = entries.get(..end).unwrap_or(entries);
        story.steps = Steps::of(story.entries, story.declared.seq);
        story.catalogs.retain(|(m, _)| m.seq <= story.last.seq);
        let watched_for = story.told_until();
        story.blind.retain(|b| b.until.seq <= story.last.seq && b.from.at <= watched_for);
        Ok(story)
    }

    /// Takes in what belongs to no incident.
    fn surroundings(&mut self, entry: &'a Entry, mark: Mark, before: Option<Mark>) {
        match &entry.event {
            Event::ConfigLoaded(e) => self.catalogs.push((mark, &e.catalog)),
            Event::EngineStarted(_) => {
                if let Some(from) = before {
                    self.blind.push(Blind { from, until: mark });
                }
            }
            _ => {}
        }
    }

    fn own(&mut self, entry: &'a Entry, mark: Mark) {
        match &entry.event {
            Event::IncidentOnset(e) => self.onset = Some(Mark { at: e.onset, seq: entry.seq }),
            Event::IncidentAcknowledged(_) if self.acknowledged.is_none() => {
                self.acknowledged = Some((mark, entry.actor.user.clone()));
            }
            Event::IncidentSeverity(e) => self.severities.push((mark, e.to)),
            Event::IncidentStatus(e) => self.statuses.push((mark, e.to, e.forced)),
            Event::IncidentReopened(_) => {
                self.reopened.push(mark);
                self.ending = None;
                self.statuses.push((mark, Status::Investigating, false));
            }
            Event::IncidentFalseAlarm(_) => self.ending = Some(Ending::FalseAlarm),
            Event::IncidentMerged(e) => self.ending = Some(Ending::Merged { into: e.into.clone() }),
            Event::IncidentAssigned(e) => self.roles.push((mark, e.role.clone(), e.user.clone())),
            Event::IncidentServices(e) => {
                for service in &e.added {
                    self.services.entry(service.clone()).or_insert(entry.seq);
                }
            }
            Event::IncidentTitled(e) => self.title = e.title.clone(),
            Event::IncidentSealed(e) => {
                self.sealed = Some((entry.seq, e.file.clone(), e.digest.clone(), e.samples));
            }
            _ => {}
        }
    }

    /// Takes in runs and messages. True when the entry belongs to one of the incident's, stated or not.
    fn work(&mut self, entry: &'a Entry, mark: Mark, own: bool) -> bool {
        match &entry.event {
            Event::ApprovalRequested(e) if self.is_of(entry) => {
                self.asked.insert(&e.approval, entry.actor.user.clone());
            }
            Event::RunRequested(e) if self.is_of(entry) => self.runs.push(RunStory {
                plan: &e.plan,
                requested: mark,
                // What was approved was asked for by another than who approved it.
                by: self.asked.get(e.plan.id.as_str()).unwrap_or(&entry.actor.user).clone(),
                via: entry.actor.via.clone(),
                reason: &e.reason,
                unlogged: e.unlogged,
                started: None,
                cancelled: None,
                finished: None,
                went_on: true,
            }),
            Event::RunStarted(e) => match self.run(&e.run) {
                Some(run) => run.started = run.started.or(Some(mark)),
                None => return false,
            },
            Event::RunCancelRequested(e) => match self.run(&e.run) {
                Some(run) => run.cancelled = run.cancelled.or(Some(mark)),
                None => return false,
            },
            Event::RunFinished(e) => {
                let at = self.when(entry);
                // What is over stays with the incident it was done for, but for a copy, which may go live in this one.
                let copy = |run: &RunStory<'_>| matches!(run.plan.work, Work::Restore { test: false, .. });
                let other = !own && self.is_of(entry);
                match self.run(&e.run) {
                    Some(run) => {
                        let contradicted = e.verdict == Verdict::Contradicted;
                        run.went_on = !other || contradicted || copy(run);
                        run.finished = Some(Finish {
                            mark: Mark { at, seq: entry.seq },
                            state: e.state,
                            exit: e.exit,
                            verdict: e.verdict,
                            detail: &e.detail,
                            output_digest: &e.output_digest,
                            excerpt: &e.excerpt,
                        });
                    }
                    None => return false,
                }
            }
            Event::MessageQueued(e) if own => self.messages.push(MessageStory {
                id: &e.id,
                queued: mark,
                by: entry.actor.user.clone(),
                template: e.template,
                subject: &e.subject,
                body: &e.body,
                channels: &e.channels,
                automatic: e.automatic,
                attempts: Vec::new(),
            }),
            Event::MessageAttempted(e) => match self.messages.iter_mut().find(|m| m.id == e.message) {
                Some(message) => message.attempts.push(TriedStory {
                    mark,
                    channel: &e.channel,
                    attempt: e.attempt,
                    result: e.result,
                    answer: &e.answer,
                }),
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// When it happened: as a person said last, else as stated with it, else when it was recorded.
    pub fn when(&self, entry: &Entry) -> Time {
        let said = self.curation.entries.get(&entry.seq).and_then(|a| a.happened_at);
        said.unwrap_or_else(|| entry.happened_at())
    }

    /// The entry at that position.
    pub fn entry(&self, seq: u64) -> Option<&'a Entry> {
        let at = self.entries.binary_search_by_key(&seq, |e| e.seq).ok()?;
        self.entries.get(at)
    }

    /// `entries` with those that set the time of one of them, in ascending order: a number that rests on a retimed entry
    /// names both.
    pub fn cited(&self, entries: &[u64]) -> Vec<u64> {
        let mut all = entries.to_vec();
        for seq in entries {
            let Some(amended) = self.curation.entries.get(seq).filter(|a| a.happened_at.is_some()) else { continue };
            all.extend(amended.amendments.iter().rfind(|a| a.what == "retimed").map(|a| a.seq));
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Up to when what happened to the system around it is told: an hour after its end, or its last entry while it has none.
    pub fn told_until(&self) -> Time {
        match self.resolved().or(self.closed()) {
            // A correction of that moment hides nothing that was told before.
            Some(end) => self.entry(end.seq).map_or(end.at, |e| e.at.max(end.at)).plus(LEAD_UP),
            None => self.last.at,
        }
    }

    fn run(&mut self, id: &str) -> Option<&mut RunStory<'a>> {
        self.runs.iter_mut().rev().find(|r| r.plan.id == id)
    }

    /// The entry is the incident's, or of one that was merged into it, before that.
    pub fn is_of(&self, entry: &Entry) -> bool {
        let Some(id) = entry.incident.as_deref() else { return false };
        id == self.id || self.absorbed.get(id).is_some_and(|merged| entry.seq < *merged)
    }

    /// The incident's, or one that a fold needs to know what is open of others and went on in it.
    pub(super) fn is_of_merge(&self, entry: &Entry) -> bool {
        self.is_of(entry) && matches!(entry.event, Event::IncidentDeclared(_) | Event::IncidentAbsorbed(_))
    }

    /// The configuration in force at `seq`: the last one loaded before it, else the first one there is.
    pub fn catalog_at(&self, seq: u64) -> Option<(Mark, &'a Catalog)> {
        self.catalogs.iter().rev().find(|(m, _)| m.seq <= seq).or(self.catalogs.first()).copied()
    }

    /// Milliseconds from one moment to another, whatever the wall clock did in between.
    pub fn ms(&self, from: Mark, to: Mark) -> i64 {
        self.level(to).ms_since(self.level(from))
    }

    /// A moment by the clock as it read at the declaration.
    pub fn level(&self, mark: Mark) -> Time {
        self.steps.level(mark.at, mark.seq)
    }

    /// When it was resolved for good: the last resolution, unless it was reopened after it.
    pub fn resolved(&self) -> Option<Mark> {
        let resolved = self.statuses.iter().rev().find(|(_, s, _)| *s == Status::Resolved).map(|(m, ..)| *m)?;
        let reopened = self.reopened.last().is_some_and(|r| r.seq > resolved.seq);
        (!reopened).then_some(resolved)
    }

    /// First *monitoring*: a reopening does not take back that it was mitigated.
    pub fn mitigated(&self) -> Option<Mark> {
        self.statuses.iter().find(|(_, s, _)| *s == Status::Monitoring).map(|(m, ..)| *m)
    }

    /// When it was closed, after the last resolution, or instead of one (false alarm, merged).
    pub fn closed(&self) -> Option<Mark> {
        let since = self.reopened.last().map_or(0, |r| r.seq);
        self.statuses.iter().find(|(m, s, _)| *s == Status::Closed && m.seq > since).map(|(m, ..)| *m)
    }

    /// Where the record of the incident's own time ends: the resolution, the closing without one, else its last entry.
    pub fn end(&self) -> Mark {
        self.resolved().or(self.closed()).unwrap_or(self.last)
    }

    /// Stretches in which it was open: from the declaration or a reopening to the next resolution.
    pub fn open_spans(&self) -> Vec<(Mark, Mark)> {
        let mut spans = Vec::new();
        let mut open = Some(self.declared);
        let mut marks: Vec<(Mark, bool)> = self
            .statuses
            .iter()
            .filter(|(_, s, _)| matches!(s, Status::Resolved | Status::Closed))
            .map(|(m, ..)| (*m, false))
            .chain(self.reopened.iter().map(|m| (*m, true)))
            .collect();
        marks.sort_by_key(|(m, _)| m.seq);
        for (mark, opens) in marks {
            match (opens, open) {
                (true, None) => open = Some(mark),
                (false, Some(from)) => {
                    spans.push((from, mark));
                    open = None;
                }
                _ => {}
            }
        }
        if let Some(from) = open {
            spans.push((from, self.last));
        }
        spans
    }

    /// Names of the services that the incident named, in order.
    pub fn affected(&self) -> BTreeSet<&str> {
        self.services.keys().map(String::as_str).collect()
    }
}
