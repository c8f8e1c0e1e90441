//! Correcting the timeline: another wording, another time, pinned, hidden, under a title; and evidence.

use std::collections::BTreeSet;

use crate::domain::command::{Amend, Command};
use crate::domain::timeline::Row;
use crate::viewer::app::{App, Detail, Pane, Pending};
use crate::viewer::overlays::{Asked, Curate, Note, Overlay, Prompt};
use crate::viewer::why;
use crate::wire::{Ask, Find};

type Why = Option<String>;

/// The entry that keys are about: the open one, else the selected row; of a heading the first row below it.
fn entry(app: &App) -> Option<&Row> {
    let seq = match (&app.detail, app.pane) {
        (Some(Detail::Entry(seq)), _) => *seq,
        (None, Pane::Timeline) => app.list(Pane::Timeline).key()?.trim_start_matches('t').parse().ok()?,
        _ => return None,
    };
    app.timeline.get(seq)
}

/// Several were picked, or a heading is selected: its rows; else the one.
fn entries(app: &App) -> BTreeSet<u64> {
    let marked = &app.timeline.marked;
    if app.detail.is_none() && !marked.is_empty() {
        return marked.clone();
    }
    let Some(row) = entry(app) else { return BTreeSet::new() };
    let heading = app.detail.is_none() && app.list(Pane::Timeline).key().is_some_and(|k| k.starts_with('t'));
    match heading {
        true => joined_with(app, row),
        false => BTreeSet::from([row.seq]),
    }
}

/// All rows at hand that stand under the same title.
fn joined_with(app: &App, row: &Row) -> BTreeSet<u64> {
    let same = |r: &&Row| r.title.is_some() && r.title == row.title && r.incident == row.incident;
    app.timeline.rows.iter().filter(same).map(|r| r.seq).chain([row.seq]).collect()
}

pub fn entry_chosen(app: &App) -> Why {
    why::may_act(app).or_else(|| match entry(app) {
        None => Some("select a row of the timeline first: 3 goes there".into()),
        Some(row) if row.is_correction() && app.timeline.marked.is_empty() => {
            let about = row.about.first().map(|seq| format!(" {seq}")).unwrap_or_default();
            Some(format!("entry {} is a correction itself: go to the entry that it is about{about}", row.seq))
        }
        Some(_) => None,
    })
}

pub fn can_correct(app: &App) -> Why {
    entry_chosen(app).or_else(|| {
        let row = entry(app)?;
        (!row.is_note()).then(|| format!("entry {} is no note: what mayday recorded itself is not rewritten", row.seq))
    })
}

pub fn has_timeline_row(app: &App) -> Why {
    let none = app.detail.is_some() || app.pane != Pane::Timeline || entry(app).is_none();
    none.then(|| "select a row of the timeline first: 3 goes there".into())
}

pub fn has_output(app: &App) -> Why {
    why::may_act(app).or_else(|| {
        let empty = app.output.as_ref().is_none_or(|o| o.lines.is_empty());
        (empty || app.detail != Some(Detail::Output)).then(|| "open the output of a run first: o".into())
    })
}

/// Picks the row, or lets go of it, and goes on to the next.
pub fn mark(app: &mut App) {
    let picked = match app.list(Pane::Timeline).key() {
        Some(key) if key.starts_with('t') => entries(app),
        _ => entry(app).map(|r| BTreeSet::from([r.seq])).unwrap_or_default(),
    };
    let marked = &mut app.timeline.marked;
    if picked.iter().all(|seq| marked.contains(seq)) {
        marked.retain(|seq| !picked.contains(seq));
    } else {
        marked.extend(picked);
    }
    app.list_mut(Pane::Timeline).step(1);
}

/// Asks for the whole note; its editor opens with the answer.
pub fn correct(app: &mut App) {
    app.list_mut(Pane::Timeline).hold();
    let Some(seq) = entry(app).map(|r| r.seq) else { return };
    match app.correction.take() {
        Some((of, text)) if of == seq => app.open_overlay(Overlay::Note(Box::new(Note::correcting(seq, &text, &text)))),
        kept => {
            app.correction = kept;
            app.ask(Pending::ToCorrect(seq), Ask::Find(Find { entries: vec![seq], whole: true, ..Find::default() }));
        }
    }
}

pub fn retime(app: &mut App) {
    app.list_mut(Pane::Timeline).hold();
    let Some(row) = entry(app) else { return };
    let (entry, at) = (row.seq, row.happened());
    let help = format!(
        "It happened {} {}Z now, and was recorded {}Z. When was it (UTC), and how is that known, as in: 15:38:12 by the phone's log",
        at.date(),
        at.hms(),
        row.at.hms()
    );
    open(app, Curate::Retime { entry }, format!("when entry {entry} happened"), &help, "");
}

pub fn pin(app: &mut App) {
    app.list_mut(Pane::Timeline).hold();
    let entries = entries(app);
    let pinned = !entries.iter().all(|seq| app.timeline.get(*seq).is_some_and(|r| r.pinned));
    let said = if pinned { "pinned" } else { "unpinned" };
    amend(app, said, entries, Amend::Pin { pinned });
}

pub fn hide(app: &mut App) {
    app.list_mut(Pane::Timeline).hold();
    let entries = entries(app);
    if entries.iter().all(|seq| app.timeline.get(*seq).is_some_and(|r| r.hidden)) {
        return amend(app, "shown again", entries, Amend::Hide { hidden: false });
    }
    let title = format!("hide {}", said(&entries));
    let help = "left out of the timeline for people; the record keeps it (i shows everything). Why? (needed)";
    open(app, Curate::Hide { entries }, title, help, "");
}

pub fn join(app: &mut App) {
    app.list_mut(Pane::Timeline).hold();
    let Some(row) = entry(app) else { return };
    let title = row.title.clone().unwrap_or_default();
    let mut entries = entries(app);
    // A row that stands under a title already is about all of that title.
    if app.timeline.marked.is_empty() && !title.is_empty() {
        entries = joined_with(app, row);
    }
    let help = match (title.is_empty(), entries.len()) {
        (true, 1) => "the title that it stands under; space picks several rows first".to_owned(),
        (true, n) => format!("the title that these {n} entries stand under"),
        (false, n) => format!("the title that these {n} entries stand under; an empty one takes them apart"),
    };
    let shown = format!("join {}", said(&entries));
    open(app, Curate::Join { entries, had: !title.is_empty() }, shown, &help, &title);
}

pub fn attach(app: &mut App) {
    app.list_mut(Pane::Timeline).hold();
    let Some(row) = entry(app) else { return };
    let (entry, incident) = (row.seq, row.incident.clone().or_else(|| app.incident().map(|i| i.incident.id.clone())));
    let help = "the file, and a word for what it shows, as in: /var/log/dmesg the disk errors. It is copied into the \
                incident's folder, its digest goes on record.";
    open(app, Curate::Attach { entry, incident }, format!("evidence for entry {entry}"), help, "");
}

/// The lines in view, to be changed before they are kept.
pub fn attach_output(app: &mut App) {
    let (first, last) = crate::viewer::detail::output::in_view(app);
    let Some(output) = &app.output else { return };
    let (run, incident) = (output.run.clone(), app.incident().map(|i| i.incident.id.clone()));
    let help = "from which line to which (those in view are given), and a word for what they show";
    let title = format!("evidence from the output of run {run}");
    open(app, Curate::Lines { run, incident }, title, help, &format!("{first}-{last} "));
}

fn open(app: &mut App, curate: Curate, title: String, help: &str, text: &str) {
    app.open_overlay(Overlay::Prompt(Prompt::new(Asked::Curate(curate), title, help, text)));
}

fn amend(app: &mut App, done: &str, entries: BTreeSet<u64>, how: Amend) {
    let done = format!("{done}: {}", said(&entries));
    app.timeline.marked.clear();
    app.act(done, Command::Amend { entries, how, reason: String::new(), of: Vec::new() });
}

/// `entry 61`, `3 entries`.
pub fn said(entries: &BTreeSet<u64>) -> String {
    match (entries.first(), entries.len()) {
        (Some(only), 1) => format!("entry {only}"),
        (_, n) => format!("{n} entries"),
    }
}
