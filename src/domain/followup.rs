//! What is to be done after an incident, so that the next one is shorter or does not come: by whom, until when.
//!
//! A note that begins with `TODO` is a proposal: it counts as open until it is made into a follow-up or dismissed, so that
//! what somebody wrote down in the night is not forgotten in the morning. Nothing here is decided by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::{Context, Refusal};
use super::decide::{
    Decided, Outcome, checked_reason, checked_text, find_incident, first_open, last_incident, one, required_reason,
};
use super::event::*;
use super::state::State;
use super::time::Time;

/// Longest text, in bytes.
const TEXT_LIMIT: usize = 1000;
const OWNER_LIMIT: usize = 80;
/// Those that are over which are kept in the fold.
const KEEP: usize = 200;
/// What one can do about the next incident.
pub const CLASSES: [&str; 4] = ["mitigate", "prevent", "detect", "process"];

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// A note says it; nobody has taken it up.
    Proposed,
    #[default]
    Open,
    Done,
    Dropped,
}

impl Standing {
    pub const fn word(self) -> &'static str {
        match self {
            Standing::Proposed => "proposed",
            Standing::Open => "open",
            Standing::Done => "done",
            Standing::Dropped => "dropped",
        }
    }

    /// It is still to be done, or to be decided.
    pub const fn is_open(self) -> bool {
        matches!(self, Standing::Proposed | Standing::Open)
    }
}

/// One of them. A proposal is called after the note that it stands in: `INC-2026-004.n61`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Followup {
    pub id: String,
    pub incident: String,
    pub text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub class: String,
    pub standing: Standing,
    pub opened_at: Time,
    pub opened_by: String,
    /// The note that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Followup {
    pub fn is_overdue(&self, now: Time) -> bool {
        self.standing.is_open() && self.due.is_some_and(|due| due < now)
    }

    /// `bob, due 2026-12-01`.
    pub fn whose(&self) -> String {
        let owner = if self.owner.is_empty() { "nobody yet" } else { &self.owner };
        let due = self.due.map(|at| format!(", due {}", at.date())).unwrap_or_default();
        format!("{owner}{due}")
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Followups {
    pub items: BTreeMap<String, Followup>,
    /// Notes that begin with TODO and are neither taken up nor dismissed, by their position.
    pub proposed: BTreeMap<u64, Followup>,
    /// Highest number given in each incident.
    pub numbers: BTreeMap<String, u32>,
}

impl Followups {
    /// Those in `entries`.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Followups {
        let mut all = Followups::default();
        entries.into_iter().for_each(|e| all.apply(e));
        all
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.proposed.is_empty()
    }

    /// Each of them: what is due first, then what has no date, in the order in which it was opened.
    pub fn all(&self) -> Vec<&Followup> {
        let mut all: Vec<&Followup> = self.items.values().chain(self.proposed.values()).collect();
        all.sort_by(|a, b| {
            let key = |f: &Followup| (!f.standing.is_open(), f.due.is_none(), f.due, f.opened_at);
            key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
        });
        all
    }

    pub fn get(&self, id: &str) -> Option<&Followup> {
        let same = |f: &&Followup| f.id.eq_ignore_ascii_case(id);
        self.items.get(id).or_else(|| self.items.values().chain(self.proposed.values()).find(same))
    }

    /// Those of an incident that are still to be done.
    pub fn open_of<'a>(&'a self, incident: &'a str) -> impl Iterator<Item = &'a Followup> {
        self.items
            .values()
            .chain(self.proposed.values())
            .filter(move |f| f.incident == incident && f.standing.is_open())
    }

    /// Folds one entry in; what is about none changes nothing.
    pub fn apply(&mut self, entry: &Entry) {
        match &entry.event {
            Event::NoteAdded(e) => self.propose(entry, entry.seq, &e.text),
            Event::NoteImported(e) => self.propose(entry, entry.seq, &e.text),
            // One that was taken up stays as it was taken up.
            Event::NoteCorrected(e) if !self.items.values().any(|f| f.from == Some(e.entry)) => {
                self.proposed.remove(&e.entry);
                self.propose(entry, e.entry, &e.text);
            }
            Event::EntryRedacted(e) => {
                self.proposed.remove(&e.seq);
            }
            Event::FollowupOpened(e) => {
                let Some(incident) = entry.incident.clone() else { return };
                let number = e.id.rsplit_once('.').and_then(|(_, n)| n.parse().ok()).unwrap_or(0);
                let highest = self.numbers.entry(incident.clone()).or_default();
                *highest = number.max(*highest);
                if let Some(from) = e.from {
                    self.proposed.remove(&from);
                }
                let opened = Followup {
                    id: e.id.clone(),
                    incident,
                    text: e.text.clone(),
                    owner: e.owner.clone(),
                    due: e.due,
                    class: e.class.clone(),
                    opened_at: entry.at,
                    opened_by: entry.actor.user.clone(),
                    from: e.from,
                    ..Followup::default()
                };
                self.items.insert(e.id.clone(), opened);
            }
            Event::FollowupChanged(e) => {
                let Some(item) = self.items.get_mut(&e.id) else { return };
                item.text = e.text.clone().unwrap_or_else(|| item.text.clone());
                item.owner = e.owner.clone().unwrap_or_else(|| item.owner.clone());
                item.class = e.class.clone().unwrap_or_else(|| item.class.clone());
                item.due = e.due.or(item.due);
            }
            Event::FollowupClosed(e) => {
                let Some(item) = self.items.get_mut(&e.id) else { return };
                item.reason.clone_from(&e.reason);
                item.standing = match (e.reopened, e.done) {
                    (true, _) => Standing::Open,
                    (false, true) => Standing::Done,
                    (false, false) => Standing::Dropped,
                };
                item.closed_at = (!e.reopened).then_some(entry.at);
                item.closed_by = (!e.reopened).then(|| entry.actor.user.clone());
                self.trim();
            }
            // What was proposed in the one is to be decided in the other.
            Event::IncidentAbsorbed(e) => {
                let Some(into) = &entry.incident else { return };
                let moving = self.proposed.iter_mut().filter(|(_, f)| f.incident == e.incident);
                for (seq, followup) in moving {
                    followup.incident.clone_from(into);
                    followup.id = format!("{into}.n{seq}");
                }
            }
            _ => {}
        }
    }

    fn propose(&mut self, entry: &Entry, seq: u64, text: &str) {
        let (Some(incident), Some(words)) = (&entry.incident, todo(text)) else { return };
        let Words { text, owner, due, class } = words;
        let proposed = Followup {
            id: format!("{incident}.n{seq}"),
            incident: incident.clone(),
            text,
            owner,
            due,
            class,
            standing: Standing::Proposed,
            opened_at: entry.at,
            opened_by: entry.actor.user.clone(),
            from: Some(seq),
            ..Followup::default()
        };
        self.proposed.insert(seq, proposed);
    }

    fn trim(&mut self) {
        let over = self.items.values().filter(|f| !f.standing.is_open()).count().saturating_sub(KEEP);
        let mut closed: Vec<(Option<Time>, String)> =
            self.items.values().filter(|f| !f.standing.is_open()).map(|f| (f.closed_at, f.id.clone())).collect();
        closed.sort();
        for (_, id) in closed.into_iter().take(over) {
            self.items.remove(&id);
        }
    }

    /// Entries from `from` on are on record under numbers that differ by `by`.
    pub fn renumber(&mut self, from: u64, by: i64) {
        let real = |seq: u64| if seq >= from { seq.saturating_add_signed(by) } else { seq };
        self.items.values_mut().for_each(|f| f.from = f.from.map(real));
        let proposed = std::mem::take(&mut self.proposed);
        self.proposed = proposed
            .into_iter()
            .map(|(seq, mut f)| {
                let seq = real(seq);
                f.from = Some(seq);
                f.id = format!("{}.n{seq}", f.incident);
                (seq, f)
            })
            .collect();
    }
}

/// What a line says of a follow-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    pub text: String,
    pub owner: String,
    pub due: Option<Time>,
    pub class: String,
}

/// What a note proposes: `TODO @bob 2026-12-01: rotate the key`. Nothing when it proposes nothing.
pub fn todo(text: &str) -> Option<Words> {
    let text = text.trim_start();
    let rest = text.get(..4).filter(|word| word.eq_ignore_ascii_case("todo")).and_then(|_| text.get(4..))?;
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-') {
        return None;
    }
    let words = read(rest.trim_start_matches([':', ' ']));
    (!words.text.is_empty()).then_some(words)
}

/// Reads `@bob 2026-12-01 #prevent: rotate the key`; any of the three in front, in any order.
pub fn read(text: &str) -> Words {
    let mut words = Words::default();
    let mut rest = text.trim();
    loop {
        let (token, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let (token, ends) = token.strip_suffix(':').map_or((token, false), |t| (t, true));
        let taken = if let Some(owner) = token.strip_prefix('@').filter(|o| !o.is_empty()) {
            words.owner = owner.to_owned();
            true
        } else if let Some(class) = token.strip_prefix('#').filter(|c| CLASSES.contains(c)) {
            words.class = class.to_owned();
            true
        } else if let Some(due) = day(token) {
            words.due = Some(due);
            true
        } else {
            false
        };
        if !taken {
            break;
        }
        rest = after.trim_start();
        if ends {
            break;
        }
    }
    rest.trim_start_matches([':', ' ']).clone_into(&mut words.text);
    words
}

/// The end of a day: what is due on it is not late before.
pub fn day(text: &str) -> Option<Time> {
    let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    Time::parse(&format!("{text}T23:59:59Z")).ok().filter(|_| plain)
}

/// What is asked about follow-ups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub enum FollowupAsk {
    /// `from`: the note that it is made from; what is not given is read from there.
    Open {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<String>,
        #[serde(default)]
        text: String,
        #[serde(default)]
        owner: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Time>,
        #[serde(default)]
        class: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
    },
    Change {
        id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Time>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<String>,
    },
    /// Done, or (`done: false`) not to be done; a proposal is dismissed by that.
    Close {
        id: String,
        done: bool,
        #[serde(default)]
        reason: String,
    },
    Reopen {
        id: String,
        #[serde(default)]
        reason: String,
    },
}

impl FollowupAsk {
    /// The words for refusals and logs.
    pub fn title(&self) -> String {
        match self {
            FollowupAsk::Open { .. } => "open a follow-up".into(),
            FollowupAsk::Change { id, .. } => format!("change follow-up {id}"),
            FollowupAsk::Close { id, done: true, .. } => format!("close follow-up {id}"),
            FollowupAsk::Close { id, .. } => format!("drop follow-up {id}"),
            FollowupAsk::Reopen { id, .. } => format!("open follow-up {id} again"),
        }
    }

    pub(super) fn words_mut(&mut self) -> Vec<&mut String> {
        match self {
            FollowupAsk::Open { text, owner, .. } => vec![text, owner],
            FollowupAsk::Change { text, owner, .. } => text.iter_mut().chain(owner.iter_mut()).collect(),
            FollowupAsk::Close { reason, .. } | FollowupAsk::Reopen { reason, .. } => vec![reason],
        }
    }
}

fn checked_class(class: &str) -> Result<String, Refusal> {
    if class.is_empty() || CLASSES.contains(&class) {
        return Ok(class.to_owned());
    }
    let instead = format!("it is to {}, or to {}", CLASSES[..3].join(", to "), CLASSES[3]);
    Err(Refusal::usage(format!("\"{class}\" is no kind of follow-up"), instead))
}

fn checked_owner(owner: &str) -> Result<String, Refusal> {
    let owner = owner.trim().trim_start_matches('@');
    if owner.is_empty() { Ok(String::new()) } else { checked_text("owner", owner, OWNER_LIMIT) }
}

fn find<'a>(state: &'a State, id: &str) -> Result<&'a Followup, Refusal> {
    state
        .followups
        .get(id)
        .ok_or_else(|| Refusal::usage(format!("there is no follow-up \"{id}\""), "mayday followups lists them"))
}

/// The entry that opens one.
fn opened(state: &State, incident: &str, words: Words, from: Option<u64>) -> Result<(String, Decided), Refusal> {
    let Words { text, owner, due, class } = words;
    let text = checked_text("follow-up", &text, TEXT_LIMIT)?;
    let same = |f: &&Followup| f.standing == Standing::Open && f.text.eq_ignore_ascii_case(&text);
    if let Some(same) = state.followups.open_of(incident).find(same) {
        let instead = format!("change it: mayday followups change {}", same.id);
        return Err(Refusal::new(format!("{} says that already", same.id), instead));
    }
    let number = state.followups.numbers.get(incident).copied().unwrap_or(0) + 1;
    let id = format!("{incident}.{number}");
    let event = FollowupOpened {
        id: id.clone(),
        text,
        owner: checked_owner(&owner)?,
        due,
        class: checked_class(&class)?,
        from,
    };
    Ok((id, Decided { incident: Some(incident.to_owned()), event: event.into() }))
}

/// What is asked leads to. Errors: what makes no sense, or is so already.
pub(super) fn decide(state: &State, ask: FollowupAsk, _: &Context) -> Outcome {
    match ask {
        FollowupAsk::Open { incident, text, owner, due, class, from } => {
            let proposal = from.and_then(|seq| state.followups.proposed.get(&seq));
            if let (Some(seq), None) = (from, proposal)
                && let Some(made) = state.followups.items.values().find(|f| f.from == Some(seq))
            {
                return Err(Refusal::new(format!("note {seq} was made into {} already", made.id), ""));
            }
            let incident = match (incident, proposal) {
                (Some(id), _) => find_incident(state, &id)?.id.clone(),
                (None, Some(p)) => p.incident.clone(),
                (None, None) => first_open(state).or_else(|| last_incident(state)).ok_or_else(|| {
                    Refusal::new("no incident was ever declared here", "a follow-up belongs to an incident")
                })?,
            };
            let given = read(&text);
            let or = |given: String, read: String, noted: Option<&String>| {
                if !given.is_empty() {
                    given
                } else if !read.is_empty() {
                    read
                } else {
                    noted.cloned().unwrap_or_default()
                }
            };
            let words = Words {
                text: or(String::new(), given.text, proposal.map(|p| &p.text)),
                owner: or(owner, given.owner, proposal.map(|p| &p.owner)),
                class: or(class, given.class, proposal.map(|p| &p.class)),
                due: due.or(given.due).or_else(|| proposal?.due),
            };
            Ok(vec![opened(state, &incident, words, from)?.1])
        }
        FollowupAsk::Change { id, text, owner, due, class } => {
            let (item, mut events) = taken_up(state, &id)?;
            let text = text.map(|t| checked_text("follow-up", &t, TEXT_LIMIT)).transpose()?;
            let owner = owner.map(|o| checked_owner(&o)).transpose()?;
            let class = class.map(|c| checked_class(c.trim())).transpose()?;
            let change = FollowupChanged {
                id: item.id.clone(),
                text: text.filter(|t| *t != item.text),
                owner: owner.filter(|o| *o != item.owner),
                due: due.filter(|d| Some(*d) != item.due),
                class: class.filter(|c| *c != item.class),
            };
            if change.text.is_none() && change.owner.is_none() && change.due.is_none() && change.class.is_none() {
                if events.is_empty() {
                    return Err(Refusal::new(format!("{} is so already", item.id), ""));
                }
                return Ok(events);
            }
            events.push(Decided { incident: Some(item.incident), event: change.into() });
            Ok(events)
        }
        FollowupAsk::Close { id, done, reason } => {
            let (item, mut events) = taken_up(state, &id)?;
            if !item.standing.is_open() {
                let instead = format!("mayday followups reopen {}", item.id);
                return Err(Refusal::new(format!("{} is {} already", item.id, item.standing.word()), instead));
            }
            let reason =
                if done { checked_reason(&reason)? } else { required_reason("dropping a follow-up", &reason)? };
            let event = FollowupClosed { id: item.id, done, reopened: false, reason };
            events.push(Decided { incident: Some(item.incident), event: event.into() });
            Ok(events)
        }
        FollowupAsk::Reopen { id, reason } => {
            let item = find(state, &id)?;
            if item.standing.is_open() {
                return Err(Refusal::new(format!("{} is {}", item.id, item.standing.word()), ""));
            }
            let reason = required_reason("opening a follow-up again", &reason)?;
            let event = FollowupClosed { id: item.id.clone(), done: false, reopened: true, reason };
            one(Some(item.incident.clone()), event)
        }
    }
}

/// The follow-up of this id; a proposal is taken up for it, by the entry that comes with it.
fn taken_up(state: &State, id: &str) -> Result<(Followup, Vec<Decided>), Refusal> {
    let found = find(state, id)?;
    if found.standing != Standing::Proposed {
        return Ok((found.clone(), Vec::new()));
    }
    let f = found.clone();
    let words = Words { text: f.text.clone(), owner: f.owner.clone(), due: f.due, class: f.class.clone() };
    let (id, event) = opened(state, &f.incident, words, f.from)?;
    Ok((Followup { id, standing: Standing::Open, ..f }, vec![event]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_that_begin_with_todo_propose() {
        let due = |d: &str| day(d);
        for (note, wanted) in [
            ("TODO @bob 2026-12-01: rotate the key", Some(("rotate the key", "bob", due("2026-12-01"), ""))),
            ("todo: alert on the pool", Some(("alert on the pool", "", None, ""))),
            ("TODO rotate", Some(("rotate", "", None, ""))),
            ("  TODO #prevent @ann add a check", Some(("add a check", "ann", None, "prevent"))),
            ("TODO 2026-12-01 @bob", None),
            ("TODO", None),
            ("TODOs are many", None),
            ("todo-list is long", None),
            ("we have a TODO", None),
            ("TODO fix 2026-12-01 bug", Some(("fix 2026-12-01 bug", "", None, ""))),
            ("TODO @: odd", Some(("@: odd", "", None, ""))),
            ("TODO 2026-13-45: no day", Some(("2026-13-45: no day", "", None, ""))),
        ] {
            let read = todo(note);
            let read = read.as_ref().map(|w| (w.text.as_str(), w.owner.as_str(), w.due, w.class.as_str()));
            assert_eq!(read, wanted, "{note}");
        }
    }
}
