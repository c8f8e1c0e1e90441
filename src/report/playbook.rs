//! The playbooks and checklists of an incident: what was done of each step, by whom, what shows it, what was left out.

use serde_json::{Map, Value as Json, json};

use super::cite::cite;
use super::markdown::{Page, ms};
use super::story::Story;
use super::timeline::utc;
use crate::domain::checklist::{OpenChecklist, find};
use crate::domain::event::{Entry, Event};
use crate::domain::playbook::{Play, StepRecord, StepState};
use crate::domain::state::State;
use crate::text;

/// A playbook with the entries that tell of it.
struct Told {
    play: Play,
    entries: Vec<u64>,
}

fn tell(story: &Story<'_>) -> (Vec<Told>, Vec<(OpenChecklist, Vec<u64>)>) {
    let mut state = State::default();
    let mut plays: Vec<(String, Vec<u64>)> = Vec::new();
    let mut lists: Vec<(String, Vec<u64>)> = Vec::new();
    for entry in story.entries.iter().filter(|e| story.is_of(e)) {
        if story.is_of_merge(entry) {
            state.apply(entry);
        }
        let (into, key) = match about(entry) {
            Some(About::Playbook(id)) => (&mut plays, id),
            Some(About::Checklist(name)) => (&mut lists, name),
            None => continue,
        };
        match into.iter_mut().find(|(k, _)| *k == key) {
            Some((_, entries)) => entries.push(entry.seq),
            None => into.push((key, vec![entry.seq])),
        }
        state.apply(entry);
    }
    let plays = plays
        .into_iter()
        .filter_map(|(id, entries)| Some(Told { play: state.playbooks.remove(&id)?, entries }))
        .filter(|told| told.play.incident.as_deref() == Some(story.id.as_str()))
        .collect();
    let lists = lists
        .into_iter()
        .filter_map(|(name, entries)| Some((find(&state, Some(&story.id), &name)?.clone(), entries)))
        .collect();
    (plays, lists)
}

enum About {
    Playbook(String),
    Checklist(String),
}

fn about(entry: &Entry) -> Option<About> {
    Some(match &entry.event {
        Event::PlaybookStarted(e) => About::Playbook(e.id.clone()),
        Event::PlaybookBegan(e) => About::Playbook(e.playbook.clone()),
        Event::PlaybookStep(e) => About::Playbook(e.playbook.clone()),
        Event::PlaybookAgain(e) => About::Playbook(e.playbook.clone()),
        Event::PlaybookPassed(e) => About::Playbook(e.playbook.clone()),
        Event::PlaybookChosen(e) => About::Playbook(e.playbook.clone()),
        Event::PlaybookEvidence(e) => About::Playbook(e.playbook.clone()),
        Event::PlaybookLeft(e) => About::Playbook(e.playbook.clone()),
        Event::PlaybookChanged(e) => About::Playbook(e.playbook.clone()),
        Event::PlaybookResumed(e) => About::Playbook(e.playbook.clone()),
        Event::PlaybookFinished(e) => About::Playbook(e.playbook.clone()),
        Event::ChecklistOpened(e) => About::Checklist(e.checklist.name.clone()),
        Event::ChecklistTicked(e) => About::Checklist(e.checklist.clone()),
        _ => return None,
    })
}

fn took_ms(record: &StepRecord) -> Option<i64> {
    i64::try_from(record.ended_at?.since(record.begun_at?).as_millis()).ok()
}

/// What became of a step, in words.
fn outcome(record: &StepRecord) -> String {
    let mut out = record.state.word().to_owned();
    if let Some(chosen) = &record.chosen {
        out.push_str(&format!(", chose {chosen}"));
    }
    if record.attempts > 1 {
        out.push_str(&format!(", {} tries", record.attempts));
    }
    if !record.by.is_empty() {
        out.push_str(&format!(" by {}", record.by));
    }
    if !record.detail.is_empty() {
        out.push_str(&format!(": {}", record.detail));
    }
    if !record.passed.is_empty() {
        out.push_str(&format!("; went on: {}", record.passed));
    }
    let earlier = record.failures.iter().filter(|f| record.state != StepState::Failed || f.detail != record.detail);
    for failure in earlier {
        out.push_str(&format!("; failed at {}: {}", utc(failure.at), failure.detail));
    }
    out
}

/// Below "Actions taken", where there were any.
pub(super) fn markdown(page: &mut Page<'_, '_>) {
    let (plays, lists) = tell(&page.review.story);
    for Told { play, entries } in &plays {
        let title = format!("\n### Playbook {}: {}\n", page.say(&play.text.name), page.say(&play.text.title));
        page.line(&title);
        let reason = if play.reason.is_empty() { String::new() } else { format!(": {}", page.say(&play.reason)) };
        let line = format!(
            "Started by {} at {}; {}{reason}; text {} {}\n",
            page.say(&play.started_by),
            utc(play.started_at),
            play.state.word(),
            play.text.digest.get(..8).unwrap_or_default(),
            cite(entries)
        );
        page.line(&line);
        page.table(&["Step", "What", "Owner", "Took", "Time box", "Outcome"]);
        for (number, step) in play.text.steps.iter().enumerate() {
            let record = play.steps.get(&step.name).cloned().unwrap_or_default();
            let within = step.within_ms.and_then(|w| i64::try_from(w).ok());
            let took = match (took_ms(&record), record.begun_at) {
                (Some(took), _) if within.is_some_and(|w| took > w) => {
                    format!("{} **over its box by {}**", ms(took), ms(took - within.unwrap_or(0)))
                }
                (Some(took), _) => ms(took),
                (None, Some(_)) => "not over".into(),
                (None, None) => "not come to".into(),
            };
            let mut what = page.say(&step.title);
            for evidence in &record.evidence {
                let file = if evidence.file.is_empty() {
                    String::new()
                } else {
                    format!(" (file {}, sha256 {})", evidence.file, evidence.digest)
                };
                let said = format!("evidence by {} at {}{file}: {}", evidence.by, utc(evidence.at), evidence.text);
                what.push_str(&format!("; {}", page.say(&said)));
            }
            let (owner, outcome) = (page.say(&step.owner), page.say(&outcome(&record)));
            let within = within.map(ms).unwrap_or_default();
            page.row(&[&(number + 1).to_string(), &what, &owner, &took, &within, &outcome]);
        }
        let told = play.text.steps.iter().filter(|s| play.path.contains(&s.name) && !s.text.is_empty());
        let told: Vec<String> = told.map(|s| format!("- {}: {}", page.say(&s.title), page.say(&s.text))).collect();
        if !told.is_empty() {
            page.line("\nWhat its steps said:\n");
            told.iter().for_each(|line| page.line(line));
        }
    }
    for (open, entries) in &lists {
        let unticked = open.unticked();
        let title = format!("\n### Checklist {}: {}\n", page.say(&open.list.name), page.say(&open.list.title));
        page.line(&title);
        let left = match unticked.len() {
            0 => "all ticked".to_owned(),
            n => format!("{} **NOT TICKED**", text::plural(n, "item")),
        };
        page.line(&format!("{} ticked, {left} {}\n", open.count(), cite(entries)));
        for item in &open.list.items {
            let line = match open.ticks.get(item) {
                Some(t) => {
                    let note = if t.note.is_empty() { String::new() } else { format!(": {}", page.say(&t.note)) };
                    format!("- [x] {} ({} at {}){note}", page.say(item), page.say(&t.by), utc(t.at))
                }
                None => format!("- [ ] {}", page.say(item)),
            };
            page.line(&line);
        }
    }
}

/// `playbooks` and `checklists`, where there were any.
pub(super) fn json(story: &Story<'_>, into: &mut Map<String, Json>) {
    let (plays, lists) = tell(story);
    if !plays.is_empty() {
        into.insert("playbooks".into(), plays.iter().map(one).collect());
    }
    if !lists.is_empty() {
        let of = |(open, entries): &(OpenChecklist, Vec<u64>)| {
            json!({
                "name": open.list.name, "title": open.list.title, "opened_at": open.opened_at, "unticked": open.unticked(),
                "items": open.list.items.iter().map(|item| {
                    let tick = open.ticks.get(item);
                    json!({ "item": item, "by": tick.map(|t| &t.by), "at": tick.map(|t| t.at), "note": tick.map(|t| &t.note) })
                }).collect::<Vec<_>>(),
                "entries": entries,
            })
        };
        into.insert("checklists".into(), lists.iter().map(of).collect());
    }
}

fn one(Told { play, entries }: &Told) -> Json {
    let steps: Vec<Json> = play
        .text
        .steps
        .iter()
        .map(|step| {
            let record = play.steps.get(&step.name).cloned().unwrap_or_default();
            json!({
                "name": step.name, "title": step.title, "text": step.text, "kind": step.does.word(),
                "what": step.does.what(), "owner": step.owner, "phase": step.phase, "within_ms": step.within_ms,
                "state": record.state, "took_ms": took_ms(&record), "tries": record.attempts, "by": record.by,
                "detail": record.detail, "passed": record.passed, "chosen": record.chosen, "runs": record.runs,
                "recovery": record.recovery, "message": record.message, "evidence": record.evidence,
                "failures": record.failures,
            })
        })
        .collect();
    json!({
        "id": play.id, "name": play.text.name, "title": play.text.title, "digest": play.text.digest, "state": play.state,
        "started_at": play.started_at, "started_by": play.started_by, "finished_at": play.finished_at,
        "reason": play.reason, "path": play.path, "entries": entries, "steps": steps,
    })
}
