//! Checklists: what is easily forgotten, ticked by whom and when.
//!
//! A checklist is opened for an incident, by a step of a playbook or by the first tick; its items are then in the record.
//! Nothing is forced: what is not ticked is named when the incident is resolved, and in the review.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Refusal;
use super::decide::{Decided, Outcome, checked_reason, first_open};
use super::event::{ChecklistOpened, ChecklistTicked, Entry, Event};
use super::state::State;
use super::time::Time;

/// Checklists kept in the fold.
const KEEP: usize = 100;

/// A list of things to be seen to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checklist {
    pub name: String,
    pub title: String,
    pub items: Vec<String>,
}

/// By whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    pub at: Time,
    pub by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A checklist that was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenChecklist {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    #[serde(flatten)]
    pub list: Checklist,
    pub opened_at: Time,
    pub opened_by: String,
    /// Item → tick.
    pub ticks: BTreeMap<String, Tick>,
}

impl OpenChecklist {
    pub fn unticked(&self) -> Vec<&str> {
        self.list.items.iter().filter(|i| !self.ticks.contains_key(*i)).map(String::as_str).collect()
    }

    /// `6 of 8`.
    pub fn count(&self) -> String {
        format!("{} of {}", self.list.items.len() - self.unticked().len(), self.list.items.len())
    }
}

/// The checklist of an incident, where it is open.
pub fn find<'a>(state: &'a State, incident: Option<&str>, name: &str) -> Option<&'a OpenChecklist> {
    state.checklists.iter().find(|c| c.incident.as_deref() == incident && c.list.name == name)
}

/// Those that are open for an incident.
pub fn of_incident<'a>(state: &'a State, incident: &'a str) -> impl Iterator<Item = &'a OpenChecklist> {
    state.checklists.iter().filter(move |c| c.incident.as_deref() == Some(incident))
}

/// What is asked of one item.
#[derive(Clone, Debug)]
pub struct Ticking {
    pub checklist: String,
    pub incident: Option<String>,
    /// The item's number, from 1, or its text.
    pub item: String,
    pub ticked: bool,
    pub note: String,
    /// The list as it is configured, where it is.
    pub text: Option<Checklist>,
}

/// Ticks an item, or takes a tick back. Errors: there is no such list or item, or it is so already.
pub fn tick(state: &State, asked: Ticking) -> Outcome {
    let incident = match &asked.incident {
        Some(id) if !state.incidents.contains_key(id) => {
            return Err(Refusal::usage(format!("there is no incident \"{id}\""), "mayday incident list shows them"));
        }
        // What was merged goes on in the other one, with its lists.
        Some(id) => Some(state.surviving(id).to_owned()),
        None => first_open(state),
    };
    let open = find(state, incident.as_deref(), &asked.checklist);
    let Some(list) = open.map(|c| &c.list).or(asked.text.as_ref()) else {
        return Err(Refusal::usage(
            format!("there is no checklist \"{}\"", asked.checklist),
            "mayday checklist list shows them",
        ));
    };
    let by_number = asked.item.parse::<usize>().ok().and_then(|n| list.items.get(n.checked_sub(1)?));
    let Some(item) = by_number.or_else(|| list.items.iter().find(|i| **i == asked.item)) else {
        return Err(Refusal::usage(
            format!("{} has no item \"{}\"", list.name, asked.item),
            format!("give a number from 1 to {}", list.items.len()),
        ));
    };
    let before = open.and_then(|c| c.ticks.get(item));
    match (before, asked.ticked) {
        (Some(tick), true) => {
            let reason = format!("\"{item}\" is ticked already, by {} at {}Z", tick.by, tick.at.hms());
            return Err(Refusal::new(reason, ""));
        }
        (None, false) => return Err(Refusal::new(format!("\"{item}\" is not ticked"), "")),
        _ => {}
    }
    let mut out = Vec::new();
    if open.is_none() {
        let event = ChecklistOpened { checklist: list.clone() }.into();
        out.push(Decided { incident: incident.clone(), event });
    }
    let event = ChecklistTicked {
        checklist: list.name.clone(),
        item: item.clone(),
        ticked: asked.ticked,
        note: checked_reason(&asked.note)?,
    };
    out.push(Decided { incident, event: event.into() });
    Ok(out)
}

/// Folds an entry about checklists.
pub fn apply(state: &mut State, entry: &Entry) {
    match &entry.event {
        Event::ChecklistOpened(e) => {
            if find(state, entry.incident.as_deref(), &e.checklist.name).is_some() {
                return;
            }
            state.checklists.push(OpenChecklist {
                incident: entry.incident.clone(),
                list: e.checklist.clone(),
                opened_at: entry.at,
                opened_by: entry.actor.user.clone(),
                ticks: BTreeMap::new(),
            });
            while state.checklists.len() > KEEP {
                let open = |c: &OpenChecklist| {
                    c.incident.as_ref().and_then(|i| state.incidents.get(i)).is_some_and(|i| i.status.is_open())
                };
                let Some(at) = state.checklists.iter().position(|c| !open(c)) else { return };
                state.checklists.remove(at);
            }
        }
        Event::ChecklistTicked(e) => {
            let of = |c: &&mut OpenChecklist| c.incident == entry.incident && c.list.name == e.checklist;
            let Some(list) = state.checklists.iter_mut().find(of) else { return };
            if e.ticked {
                let tick = Tick { at: entry.at, by: entry.actor.user.clone(), note: e.note.clone() };
                list.ticks.insert(e.item.clone(), tick);
            } else {
                list.ticks.remove(&e.item);
            }
        }
        _ => {}
    }
}
