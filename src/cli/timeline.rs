//! `mayday timeline` and `mayday amend`: the record in its two layers, and what people say of its entries.
//!
//! Reading asks the engine, and reads the record itself where none answers: never is an engine started for it.

use std::collections::{BTreeSet, VecDeque};

use super::args::{AmendCmd, TimelineArgs};
use super::connect;
use super::exit::Failure;
use super::incident::{parse_time, read_stdin, warn_unrecorded};
use super::{Place, Session, print, say};
use crate::domain::Access;
use crate::domain::command::{Amend, Command};
use crate::domain::curation::Curation;
use crate::domain::sift::{Layer, Sift};
use crate::domain::timeline::{self, Row};
use crate::journal::Reader;
use crate::text;
use crate::wire::{Answer, Ask, Find};

/// Rows asked for at once.
const PAGE: usize = 1000;
/// Columns of a name.
const WHO: usize = 12;

/// Where rows are read from.
pub enum Source {
    Engine(Box<Session>),
    Record(Reader, Curation),
}

impl Source {
    /// The engine where one answers, else the record itself.
    pub async fn open(place: &Place, json: bool) -> Result<Source, Failure> {
        if let Ok(client) = connect::reach(place, Access::ReadOnly).await {
            return Ok(Source::Engine(Box::new(Session { client, json, place: place.clone() })));
        }
        let dir = &place.state_dir;
        let reader =
            Reader::open(dir).map_err(|e| Failure::failed(format!("{e} (is {} a state directory?)", dir.display())))?;
        let mut curation = Curation::default();
        for entry in reader.entries(1).map_err(|e| Failure::failed(e.to_string()))? {
            match entry {
                Ok(entry) => curation.apply(&entry),
                Err(damage) => eprintln!("mayday: the journal is damaged: {damage}"),
            }
        }
        Ok(Source::Record(reader, curation))
    }

    /// All rows that fit, or the newest `find.limit` of them where that is not 0; oldest first.
    pub async fn find(&mut self, mut find: Find) -> Result<Vec<Row>, Failure> {
        let wanted = if find.limit == 0 { usize::MAX } else { find.limit };
        match self {
            Source::Engine(session) => {
                let mut found = VecDeque::new();
                loop {
                    find.limit = (wanted - found.len()).min(PAGE);
                    let Answer::Found { rows, reached, .. } = session.ask(Ask::Find(find.clone())).await? else {
                        return Err(Failure::failed("the engine gave no rows"));
                    };
                    rows.into_iter().rev().for_each(|row| found.push_front(row));
                    if reached <= 1 || found.len() >= wanted {
                        return Ok(found.into());
                    }
                    find.before = Some(reached);
                }
            }
            Source::Record(reader, curation) => {
                let mut found = VecDeque::new();
                for entry in reader.entries(1).map_err(|e| Failure::failed(e.to_string()))?.flatten() {
                    let mut row = if find.whole { timeline::whole_row(&entry) } else { timeline::row(&entry) };
                    curation.amend(&mut row);
                    let fits = match find.entries.is_empty() {
                        true => {
                            find.incident.as_ref().is_none_or(|id| row.incident.as_ref() == Some(id))
                                && find.only.takes(&row, find.layer)
                        }
                        false => find.entries.contains(&row.seq),
                    };
                    if fits {
                        found.push_back(row);
                        if found.len() > wanted {
                            found.pop_front();
                        }
                    }
                }
                Ok(found.into())
            }
        }
    }
}

/// `mayday timeline`.
pub async fn show(place: &Place, args: TimelineArgs, json: bool) -> Result<u8, Failure> {
    let mut source = Source::open(place, json).await?;
    let lower = |list: Vec<String>| list.into_iter().map(|w| w.to_lowercase()).collect();
    let only = Sift {
        kinds: lower(args.kinds),
        actors: lower(args.actors),
        services: lower(args.services),
        words: args.text.split_whitespace().map(str::to_lowercase).collect(),
        pinned: args.pinned,
        hidden: false,
    };
    let layer = if args.raw { Layer::Raw } else { Layer::Curated };
    let question = Find { incident: args.incident, layer, only: only.clone(), limit: args.lines, ..Find::default() };
    let mut rows = source.find(question.clone()).await?;
    if args.raw {
        rows = rows.iter().map(Row::as_recorded).collect();
    } else {
        // In the order in which things happened; those that happened at once in that of the record.
        rows.sort_by_key(|r| (r.happened(), r.seq));
    }
    if json {
        print(&rows)?;
        return Ok(0);
    }
    for line in lines(&rows, args.raw) {
        say(&line);
    }
    if rows.is_empty() {
        eprintln!("mayday: nothing on record fits");
    }
    if !args.raw {
        let hidden = Find { only: Sift { hidden: true, ..only }, limit: 0, ..question };
        let n = source.find(hidden).await?.len();
        if n > 0 {
            eprintln!(
                "mayday: {} left out as hidden: --raw shows them",
                text::plural(n, "entry").replace("entrys", "entries")
            );
        }
    }
    Ok(0)
}

/// Rows as lines, with the headings of joined ones.
fn lines(rows: &[Row], raw: bool) -> Vec<String> {
    let mut out = Vec::new();
    for row in timeline::grouped(&rows.iter().collect::<Vec<_>>(), raw) {
        match row {
            timeline::Told::Heading { title, rows } => out.push(format!("## {title} ({rows})")),
            timeline::Told::Row(row) => out.push(line(row, raw)),
        }
    }
    out
}

fn line(row: &Row, raw: bool) -> String {
    let at = row.happened();
    let mut told = Vec::new();
    if row.recorded().is_some() {
        let recorded =
            if row.at.date() == at.date() { row.at.hms() } else { format!("{} {}", row.at.date(), row.at.hms()) };
        told.push(format!("recorded {recorded}Z"));
    }
    told.push(if raw { row.marks() } else { row.mark() });
    told.retain(|t| !t.is_empty());
    let told = if told.is_empty() { String::new() } else { format!("  ({})", told.join("; ")) };
    let pin = if row.pinned { "*" } else { " " };
    let inset = if row.title.is_some() && !raw { "  " } else { "" };
    let who = text::fit(&row.actor, WHO);
    format!("{pin} {inset}{} {}Z  {who} {}  [{}]{told}", at.date(), at.hms(), row.text, row.seq)
}

/// `mayday amend …`. Prints the position of the correction.
pub async fn amend(session: &mut Session, command: AmendCmd) -> Result<u8, Failure> {
    let set = |entries: Vec<u64>| entries.into_iter().collect::<BTreeSet<u64>>();
    let (entries, how, reason) = match command {
        AmendCmd::Correct { entry, text, reason } => {
            let text = if text == ["-"] { read_stdin()? } else { text.join(" ") };
            (set(vec![entry]), Amend::Correct { text }, reason)
        }
        AmendCmd::Retime { entry, time, reason } => {
            (set(vec![entry]), Amend::Retime { happened_at: parse_time(&time)? }, reason)
        }
        AmendCmd::Pin { entries, reason } => (set(entries), Amend::Pin { pinned: true }, reason),
        AmendCmd::Unpin { entries, reason } => (set(entries), Amend::Pin { pinned: false }, reason),
        AmendCmd::Hide { entries, reason } => (set(entries), Amend::Hide { hidden: true }, reason),
        AmendCmd::Show { entries, reason } => (set(entries), Amend::Hide { hidden: false }, reason),
        AmendCmd::Join { entries, title } => {
            if title.trim().is_empty() {
                return Err(Failure::usage("a title is needed: mayday amend apart takes entries from theirs"));
            }
            (set(entries), Amend::Join { title }, String::new())
        }
        AmendCmd::Apart { entries } => (set(entries), Amend::Join { title: String::new() }, String::new()),
    };
    let answer = session.act(Command::Amend { entries, how, reason, of: Vec::new() }).await?;
    if session.json {
        print(&answer)?;
    } else if let Answer::Done { seq, recorded, .. } = &answer {
        say(&seq.to_string());
        warn_unrecorded(*recorded);
    }
    Ok(0)
}
