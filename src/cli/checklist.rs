//! Checklists from the command line.

use clap::Subcommand;

use super::exit::{self, Failure};
use super::{Session, print, say};
use crate::domain::checklist::{Checklist, OpenChecklist};
use crate::domain::command::Command;
use crate::wire::{Answer, Ask, Mirror};

#[derive(Debug, Subcommand)]
pub enum ChecklistCmd {
    /// All of them, and how far those of the open incident are.
    List,
    /// One, item by item, by whom and when.
    Show {
        name: String,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
    },
    /// Tick an item, by its number or its text.
    Tick {
        name: String,
        item: String,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
        #[arg(long, default_value = "", value_name = "TEXT")]
        note: String,
    },
    /// Take a tick back.
    Untick {
        name: String,
        item: String,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
        #[arg(long, default_value = "", value_name = "TEXT")]
        note: String,
    },
}

/// `mayday checklist …`.
pub async fn run(session: &mut Session, command: ChecklistCmd) -> Result<u8, Failure> {
    match command {
        ChecklistCmd::List => list(session).await,
        ChecklistCmd::Show { name, incident } => show(session, &name, incident).await,
        ChecklistCmd::Tick { name, item, incident, note } => tick(session, name, item, incident, note, true).await,
        ChecklistCmd::Untick { name, item, incident, note } => tick(session, name, item, incident, note, false).await,
    }
}

async fn all(session: &mut Session) -> Result<Vec<Checklist>, Failure> {
    match session.ask(Ask::Checklists).await? {
        Answer::Checklists(lists) => Ok(lists),
        _ => Err(Failure::failed("the engine gave no checklists")),
    }
}

/// Those that are open for an incident, by default the worst open one; without any those that belong to none.
fn open(picture: &Mirror, incident: Option<&str>) -> Vec<OpenChecklist> {
    let of = |id: &str| picture.incidents.get(id).map(|i| i.checklists.clone()).unwrap_or_default();
    match incident {
        Some(id) => of(id),
        None => match picture.open_incidents().first() {
            Some(view) => view.checklists.clone(),
            None => picture.head.checklists.clone(),
        },
    }
}

async fn list(session: &mut Session) -> Result<u8, Failure> {
    let lists = all(session).await?;
    let open = open(&session.picture().await?, None);
    if session.json {
        print(&serde_json::json!({ "checklists": lists, "open": open }))?;
        return Ok(exit::DONE);
    }
    for list in &lists {
        let count = match open.iter().find(|o| o.list.name == list.name) {
            Some(o) => format!("{} ticked", o.count()),
            None => format!("{} items", list.items.len()),
        };
        say(&format!("{:<22} {}  ({count})", list.name, list.title));
    }
    Ok(exit::DONE)
}

async fn show(session: &mut Session, name: &str, incident: Option<String>) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    let found = open(&picture, incident.as_deref()).into_iter().find(|o| o.list.name == name);
    let list = match &found {
        Some(open) => open.list.clone(),
        None => {
            let lists = all(session).await?;
            let known: Vec<String> = lists.iter().map(|l| l.name.clone()).collect();
            lists.into_iter().find(|l| l.name == name).ok_or_else(|| {
                Failure::usage(format!("there is no checklist \"{name}\": there are {}", known.join(", ")))
            })?
        }
    };
    let tick = |item: &String| found.as_ref().and_then(|o| o.ticks.get(item));
    if session.json {
        let items: Vec<_> = list
            .items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let tick = tick(item);
                serde_json::json!({
                    "number": i + 1, "item": item, "ticked": tick.is_some(), "by": tick.map(|t| &t.by),
                    "at": tick.map(|t| t.at), "note": tick.map(|t| &t.note),
                })
            })
            .collect();
        print(&serde_json::json!({
            "name": list.name, "title": list.title, "open": found.is_some(),
            "incident": found.as_ref().and_then(|o| o.incident.clone()), "items": items,
        }))?;
        return Ok(exit::DONE);
    }
    say(&format!("{}: {}", list.name, list.title));
    for (i, item) in list.items.iter().enumerate() {
        match tick(item) {
            Some(t) => {
                let note = if t.note.is_empty() { String::new() } else { format!(": {}", t.note) };
                say(&format!("{:>3} [x] {item}   {} at {}Z{note}", i + 1, t.by, t.at.hms()));
            }
            None => say(&format!("{:>3} [ ] {item}", i + 1)),
        }
    }
    Ok(exit::DONE)
}

async fn tick(
    session: &mut Session,
    checklist: String,
    item: String,
    incident: Option<String>,
    note: String,
    ticked: bool,
) -> Result<u8, Failure> {
    let done = session.act(Command::Tick { checklist, incident, item, ticked, note, text: None }).await?;
    match (&done, session.json) {
        (_, true) => print(&done)?,
        (Answer::Done { seq, .. }, false) => say(&seq.to_string()),
        _ => {}
    }
    Ok(exit::DONE)
}
