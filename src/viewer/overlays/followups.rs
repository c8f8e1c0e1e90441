//! What comes after an incident: follow-ups, its review, and the incidents before it.

use super::picker::{Item, Pick, Picker};
use super::thinking::NEW;
use super::{Asked, Overlay, Prompt};
use crate::domain::command::Command;
use crate::domain::followup::{Followup, FollowupAsk, Standing, read};
use crate::domain::hypothesis::Standing as Thought;
use crate::domain::review::STATUSES;
use crate::domain::{Time, followup};
use crate::text;
use crate::viewer::acts;
use crate::viewer::app::{App, Detail};
use crate::viewer::theme::Role;
use crate::viewer::{header, why};

/// The words in front of a follow-up.
const IN_FRONT: &str =
    "by whom, until when and of which kind in front of it, each if you like: @bob 2026-12-01 #prevent: …";

/// How one is shown.
pub fn role(f: &Followup, now: Time) -> Role {
    match f.standing {
        _ if f.is_overdue(now) => Role::DueOver,
        Standing::Proposed => Role::Unsure,
        Standing::Open => Role::Text,
        Standing::Done | Standing::Dropped => Role::Dim,
    }
}

/// `open, bob, due 2026-12-01`; that it is late is said first.
pub fn said(f: &Followup, now: Time) -> String {
    let late = match f.due {
        Some(due) if f.is_overdue(now) => format!("OVERDUE {}, ", header::coarse(now.since(due))),
        _ => String::new(),
    };
    let standing = if f.standing == Standing::Proposed { "proposed by a note" } else { f.standing.word() };
    let class = if f.class.is_empty() { String::new() } else { format!(", to {}", f.class) };
    let why = if f.reason.is_empty() { String::new() } else { format!(": {}", f.reason) };
    text::clean(&format!("{late}{standing}, {}{class}{why}", f.whose())).into_owned()
}

/// How many are to be done, and how many of them are late: of one incident, or of all.
pub fn count(app: &App, incident: Option<&str>) -> (usize, usize) {
    let now = app.watched.engine_now();
    let all = app.mirror().head.followups.iter().filter(|f| f.standing.is_open());
    let of = all.filter(|f| incident.is_none_or(|id| f.incident == id));
    of.fold((0, 0), |(n, late), f| (n + 1, late + usize::from(f.is_overdue(now))))
}

impl Picker {
    /// All of them: those of the incident first, then what is due first.
    pub fn followups(app: &App) -> Picker {
        let incident = app.incident().map(|v| v.incident.id.clone()).unwrap_or_default();
        let now = app.watched.engine_now();
        let off = why::any_incident(app);
        let mut items = vec![Item { off, ..Item::new(NEW, "+ a new one", IN_FRONT) }];
        let mut all: Vec<&Followup> = app.mirror().head.followups.iter().collect();
        all.sort_by_key(|f| (!f.standing.is_open(), f.incident != incident));
        for f in all {
            let label = text::clean(&format!("{}  {}", f.id, f.text)).into_owned();
            items.push(Item { role: role(f, now), ..Item::new(f.id.clone(), label, said(f, now)) });
        }
        let (open, late) = count(app, None);
        let late = if late > 0 { format!(", {late} OVERDUE") } else { String::new() };
        Picker::of(Pick::Followups { incident }, format!("follow-ups · {open} to be done{late}"), items)
    }

    fn of_followup(app: &App, id: &str) -> Option<Picker> {
        let f = app.mirror().head.followups.iter().find(|f| f.id == id)?;
        let mut items = match f.standing {
            Standing::Proposed => vec![
                Item::new("take", "take it up", "it becomes a follow-up, with owner and day as the note says"),
                Item::new("change", "take it up, with another owner or day", IN_FRONT),
                Item::new("done", "it is done", "it is on record as one that is done"),
                Item::new("drop", "dismiss it", "it is none, or will not be done; needs the reason"),
            ],
            Standing::Open => vec![
                Item::new("done", "it is done", ""),
                Item::new("change", "change owner, day, kind or words", IN_FRONT),
                Item::new("drop", "drop it", "it will not be done; needs the reason"),
            ],
            Standing::Done | Standing::Dropped => vec![Item::new("reopen", "open it again", "needs the reason")],
        };
        let off = why::may_act(app);
        items.iter_mut().for_each(|item| item.off.clone_from(&off));
        let title = text::clean(&format!("{} {}", f.id, f.text)).into_owned();
        let mut picker = Picker::of(Pick::OfFollowup { id: id.to_owned() }, title, items);
        picker.head.push((Role::Dim, said(f, app.watched.engine_now())));
        Some(picker)
    }

    /// Incidents of the past, newest first.
    pub fn past(app: &App) -> Picker {
        let mut all: Vec<_> = app.mirror().incidents.values().collect();
        all.sort_by_key(|v| std::cmp::Reverse(v.incident.declared_seq));
        let items = all
            .into_iter()
            .map(|view| {
                let i = &view.incident;
                let causes = i.hypotheses.iter().filter(|h| h.standing == Thought::Confirmed).map(|h| h.text.as_str());
                let services = i.services.iter().map(String::as_str);
                let more = services.chain(causes).collect::<Vec<_>>().join(", ");
                let label = format!("{}  {}  {}", i.id, i.severity, i.title);
                let detail = format!("{}  {}  {more}", i.declared_at.date(), i.status.word());
                let (label, detail) = (text::clean(&label).into_owned(), text::clean(&detail).into_owned());
                Item { role: header::severity(i.severity), ..Item::new(i.id.clone(), label, detail) }
            })
            .collect();
        let mut picker = Picker::of(Pick::Past, "past incidents", items);
        picker.head.push((Role::Dim, "in notes too, and further back: mayday incidents WORDS".into()));
        picker
    }
}

/// One was chosen, or a new one, with the words that were typed for it.
pub fn chosen(app: &mut App, incident: &str, id: &str, typed: &str) {
    if id == NEW {
        let incident = Some(incident.to_owned()).filter(|id| !id.is_empty());
        let ask = FollowupAsk::Open {
            incident,
            text: String::new(),
            owner: String::new(),
            due: None,
            class: String::new(),
            from: None,
        };
        let prompt = Prompt::new(Asked::Followup { ask }, "a follow-up", IN_FRONT, typed);
        if typed.is_empty() {
            app.open_overlay(Overlay::Prompt(prompt));
        } else {
            prompt.answered(app);
        }
    } else if let Some(picker) = Picker::of_followup(app, id) {
        app.open_overlay(Overlay::Picker(picker));
    }
}

/// What is done about one was chosen.
pub fn about(app: &mut App, id: &str, what: &str) {
    let Some(f) = app.mirror().head.followups.iter().find(|f| f.id == id).cloned() else { return };
    let id = id.to_owned();
    let ask = |ask: FollowupAsk, title: String, help: &str, text: &str| {
        Overlay::Prompt(Prompt::new(Asked::Followup { ask }, title, help, text))
    };
    match what {
        "take" => {
            let ask = FollowupAsk::Open {
                incident: None,
                text: String::new(),
                owner: String::new(),
                due: None,
                class: String::new(),
                from: f.from,
            };
            app.act("it is a follow-up now", Command::Followup(ask));
        }
        "done" => {
            app.act(
                format!("{id} is done"),
                Command::Followup(FollowupAsk::Close { id, done: true, reason: String::new() }),
            );
        }
        "drop" => {
            let title = format!("{id} will not be done");
            let asked = FollowupAsk::Close { id, done: false, reason: String::new() };
            let overlay = ask(asked, title, "why? (needed)", "");
            app.open_overlay(overlay);
        }
        "reopen" => {
            let title = format!("{id} is open again");
            let overlay = ask(FollowupAsk::Reopen { id, reason: String::new() }, title, "why? (needed)", "");
            app.open_overlay(overlay);
        }
        "change" => {
            let owner = if f.owner.is_empty() { String::new() } else { format!("@{} ", f.owner) };
            let due = f.due.map(|at| format!("{} ", at.date())).unwrap_or_default();
            let class = if f.class.is_empty() { String::new() } else { format!("#{} ", f.class) };
            let front = format!("{owner}{due}{class}");
            let front = if front.is_empty() { front } else { format!("{}: ", front.trim_end()) };
            let title = format!("change {id}");
            let asked = FollowupAsk::Change { id, text: None, owner: None, due: None, class: None };
            let overlay = ask(asked, title, IN_FRONT, &format!("{front}{}", f.text));
            app.open_overlay(overlay);
        }
        _ => {}
    }
}

/// The request with the words that were written, and what is told when it is done. Errors: what is missing.
pub fn with_words(ask: FollowupAsk, words: String) -> Result<(String, FollowupAsk), String> {
    Ok(match ask {
        FollowupAsk::Open { incident, from, .. } => {
            let followup::Words { text, owner, due, class } = read(&words);
            if text.is_empty() {
                return Err("what is to be done? write it behind the colon".into());
            }
            ("follow-up opened".into(), FollowupAsk::Open { incident, text, owner, due, class, from })
        }
        FollowupAsk::Change { id, .. } => {
            let followup::Words { text, owner, due, class } = read(&words);
            let some = |t: String| Some(t).filter(|t| !t.is_empty());
            let ask =
                FollowupAsk::Change { id: id.clone(), text: some(text), owner: some(owner), due, class: some(class) };
            (format!("{id} changed"), ask)
        }
        FollowupAsk::Close { id, done, .. } => (format!("{id} closed"), FollowupAsk::Close { id, done, reason: words }),
        FollowupAsk::Reopen { id, .. } => (format!("{id} open again"), FollowupAsk::Reopen { id, reason: words }),
    })
}

/// What was written about a review: `@ann in-review 2026-12-01T10:00:00Z`, any of the three.
pub fn review(incident: String, words: &str) -> Result<(String, Command), String> {
    let (mut owner, mut status, mut meeting) = (None, None, None);
    for word in words.split_whitespace() {
        if let Some(user) = word.strip_prefix('@').filter(|u| !u.is_empty()) {
            owner = Some(user.to_owned());
        } else if STATUSES.contains(&word) {
            status = Some(word.to_owned());
        } else if let Ok(at) = Time::parse(word) {
            meeting = Some(at);
        } else {
            return Err(format!("\"{word}\" is neither @owner, nor {}, nor a time", STATUSES.join(", ")));
        }
    }
    let said = format!("the review of {incident} is changed");
    Ok((said, Command::Review { incident: Some(incident), owner, status, meeting, reason: String::new() }))
}

/// One of the past was chosen: all there is about it.
pub fn go_to(app: &mut App, id: &str) {
    acts::view::pane(app, 4);
    app.list_mut(crate::viewer::app::Pane::Incident).go_to(id);
    app.detail = Some(Detail::Incident(id.to_owned()));
}
