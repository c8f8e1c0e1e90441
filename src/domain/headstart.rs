//! Head starts: a restore beside the live data that begins by itself when an incident names what the backup is of.
//!
//! Deciding for it later costs only the cut-over, which stays a person's; deciding against it drops the side copy. What is
//! due is derived from the state alone. The entry that requests the run is also the mark that it was begun, so that an
//! engine that was killed at any moment begins it once; what was withheld is marked by its own entry and not tried again.

use serde::{Deserialize, Serialize};

use super::catalog::Severity;
use super::event::{Entry, Event};
use super::incident::{Incident, Status};
use super::run::{Run, RunState, SideRole, Verdict, Work};
use super::state::State;
use super::time::Time;

#[cfg(test)]
mod tests;

/// Requests that nobody carried out (the engine was killed in between) are made anew this often.
const TRIES: u32 = 10;

/// What the configuration says of a backup set's head start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeadStartFacts {
    /// Severities of incidents that begin it.
    pub severities: Vec<Severity>,
    /// What was restored and not used is dropped when the incident is closed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
}

/// That a head start was begun or withheld, for one incident and backup set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeadStart {
    pub incident: String,
    pub backup: String,
    pub at: Time,
    /// The restore that was requested last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    pub tries: u32,
    /// Why it was not begun.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub withheld: String,
    /// It was to be dropped when the incident was closed: by this run, or why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dropped {
    By(String),
    Not(String),
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// The newest good copy is to be restored beside the live data.
    Begin { incident: String, backup: String },
    /// It is not begun, which is to be recorded.
    Withhold { incident: String, backup: String, why: String },
    /// The incident is closed: the restore that is still under way is ended.
    Cancel { incident: String, run: String },
    /// The incident is closed: what was restored is dropped.
    Drop { incident: String, backup: String, run: String },
}

/// What is due now, over all incidents.
pub fn due(state: &State) -> Vec<Due> {
    let configured = || {
        state.catalog.backups.iter().filter_map(|(name, b)| Some((name, b.service.as_ref()?, b.head_start.as_ref()?)))
    };
    let mut out = Vec::new();
    for incident in state.open_incidents() {
        for (backup, service, facts) in configured() {
            if incident.services.contains(service) && facts.severities.contains(&incident.severity) {
                out.extend(to_begin(state, incident, backup));
            }
        }
    }
    let marks = state.head_starts.iter().filter(|m| m.dropped.is_none());
    for (mark, run) in marks.filter_map(|m| Some((m, state.runs.get(m.run.as_ref()?)?))) {
        let closed = state.incidents.get(&mark.incident).is_none_or(|i| i.status == Status::Closed);
        let wanted = state.catalog.backups.get(&mark.backup).and_then(|b| b.head_start.as_ref());
        if !closed || !wanted.is_some_and(|f| f.drop) {
            continue;
        }
        let (incident, id) = (mark.incident.clone(), run.id().to_owned());
        if !run.state.is_over() {
            if !run.cancel_requested {
                out.push(Due::Cancel { incident, run: id });
            }
        } else if is_ready(run) && state.holder(&run.plan.holds).is_none() {
            out.push(Due::Drop { incident, backup: mark.backup.clone(), run: id });
        }
    }
    out
}

fn to_begin(state: &State, incident: &Incident, backup: &str) -> Option<Due> {
    let known = of(state, &incident.id).find(|m| m.backup == backup);
    let (incident, backup) = (incident.id.clone(), backup.to_owned());
    if let Some(mark) = known {
        let run = mark.run.as_ref().and_then(|id| state.runs.get(id));
        // Nobody carried it out: nothing was done, and nobody is there to ask again.
        let again = run.is_some_and(|r| r.state == RunState::Expired) && mark.tries < TRIES && mark.withheld.is_empty();
        return again.then_some(Due::Begin { incident, backup });
    }
    // One that was asked for parts is not what this one would be.
    let same = |r: &&Run| matches!(&r.plan.work, Work::Restore { backup: b, test: false, only, .. } if *b == backup && only.is_empty());
    if let Some(run) = state.runs_in_order().filter(same).find(|r| !r.state.is_over() || is_ready(r)) {
        let why = match is_ready(run) {
            true => format!("run {} has a copy of it ready", run.id()),
            false => format!("run {} restores it already", run.id()),
        };
        return Some(Due::Withhold { incident, backup, why });
    }
    Some(Due::Begin { incident, backup })
}

fn is_ready(run: &Run) -> bool {
    run.sides.iter().any(|s| s.role == SideRole::Ready)
}

/// The newest head start of a backup set that is good and waits for its cut-over: whoever restores the set step by step
/// needs only that. Not a cluster, which was replayed up to the moment the incident was declared: which moment is wanted
/// is for whoever restores it to say.
pub fn ready<'a>(state: &'a State, backup: &str) -> Option<&'a Run> {
    let of_a_copy = |run: &&Run| run.sides.iter().any(|s| s.role == SideRole::Ready && s.kind != "cluster");
    newest(state, backup).filter(of_a_copy).filter(|run| run.verdict == Some(Verdict::Verified))
}

/// The head start of a backup set that is being restored.
pub fn under_way<'a>(state: &'a State, backup: &str) -> Option<&'a Run> {
    newest(state, backup).filter(|run| !run.state.is_over())
}

fn newest<'a>(state: &'a State, backup: &str) -> Option<&'a Run> {
    let of = |m: &&HeadStart| m.backup == backup && !matches!(m.dropped, Some(Dropped::By(_)));
    state.head_starts.iter().rev().filter(of).find_map(|m| state.runs.get(m.run.as_ref()?))
}

/// Those of `incident`, and of incidents that were merged into it.
pub fn of<'a>(state: &'a State, incident: &'a str) -> impl Iterator<Item = &'a HeadStart> + use<'a> {
    let absorbed = state.incidents.get(incident).map(|i| &i.clock.absorbed);
    state
        .head_starts
        .iter()
        .filter(move |m| m.incident == incident || absorbed.is_some_and(|a| a.contains(&m.incident)))
}

/// How a head start stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It was not begun.
    #[default]
    Withheld,
    UnderWay,
    /// Restored and verified, waiting for the cut-over.
    Ready,
    /// It ended without a copy that could be used.
    Failed,
    /// The copy was put in the live place.
    Used,
    /// The copy was dropped.
    Dropped,
}

impl Standing {
    pub const fn word(self) -> &'static str {
        match self {
            Standing::Withheld => "withheld",
            Standing::UnderWay => "under way",
            Standing::Ready => "ready to cut over",
            Standing::Failed => "failed",
            Standing::Used => "cut over",
            Standing::Dropped => "dropped",
        }
    }
}

/// How `mark` stands, and why where that is not plain.
pub fn standing(state: &State, mark: &HeadStart) -> (Standing, String) {
    let Some(id) = &mark.run else { return (Standing::Withheld, mark.withheld.clone()) };
    let Some(run) = state.runs.get(id) else { return (Standing::Dropped, String::new()) };
    if !run.state.is_over() {
        return (Standing::UnderWay, String::new());
    }
    if is_ready(run) {
        let why = match &mark.dropped {
            Some(Dropped::Not(why)) => format!("not dropped: {why}"),
            _ => String::new(),
        };
        return (Standing::Ready, why);
    }
    if run.state != RunState::Succeeded || run.verdict == Some(Verdict::Contradicted) {
        let why = if run.detail.is_empty() { run.state.word().to_owned() } else { run.detail.clone() };
        let why = if mark.withheld.is_empty() { why } else { format!("{why}; not begun again: {}", mark.withheld) };
        return (Standing::Failed, why);
    }
    let used = state.runs_in_order().any(|r| {
        matches!(&r.plan.work, Work::CutOver { of } | Work::CopyIn { of, .. } if of == id)
            && r.state == RunState::Succeeded
    });
    (if used { Standing::Used } else { Standing::Dropped }, String::new())
}

/// Folds one entry in.
pub fn apply(state: &mut State, entry: &Entry) {
    let Some(incident) = &entry.incident else { return };
    match &entry.event {
        Event::RunRequested(e) if e.head_start => match &e.plan.work {
            Work::Drop { of } => {
                if let Some(mark) = state.head_starts.iter_mut().find(|m| m.run.as_ref() == Some(of)) {
                    mark.dropped = Some(Dropped::By(e.plan.id.clone()));
                }
            }
            Work::Restore { backup, .. } => {
                let mark = mark(state, incident, backup, entry.at);
                mark.run = Some(e.plan.id.clone());
                mark.tries += 1;
            }
            _ => {}
        },
        Event::HeadStartWithheld(e) => {
            let ready = |id: &String| state.runs.get(id).is_some_and(is_ready);
            let known = state.head_starts.iter_mut().find(|m| m.incident == *incident && m.backup == e.backup);
            match known {
                // It was to be dropped, and could not be.
                Some(mark) if mark.run.as_ref().is_some_and(ready) => mark.dropped = Some(Dropped::Not(e.why.clone())),
                _ => mark(state, incident, &e.backup, entry.at).withheld.clone_from(&e.why),
            }
        }
        _ => {}
    }
}

fn mark<'a>(state: &'a mut State, incident: &str, backup: &str, at: Time) -> &'a mut HeadStart {
    let marks = &mut state.head_starts;
    let place = marks.iter().position(|m| m.incident == incident && m.backup == backup).unwrap_or_else(|| {
        let (incident, backup) = (incident.to_owned(), backup.to_owned());
        marks.push(HeadStart { incident, backup, at, ..HeadStart::default() });
        marks.len() - 1
    });
    &mut marks[place]
}

/// Forgets those whose incident is forgotten and of which nothing is left.
pub fn trim(state: &mut State) {
    let (incidents, runs) = (&state.incidents, &state.runs);
    state.head_starts.retain(|m| {
        incidents.contains_key(&m.incident)
            || m.run.as_ref().and_then(|id| runs.get(id)).is_some_and(|r| !r.state.is_over() || is_ready(r))
    });
}
