//! What differs between the text that was started and the one that is configured now, for the person who has to choose.

use super::{Playbook, Step};
use crate::text::width::cut;

/// Longest piece of a text that is quoted.
const QUOTE: usize = 160;

/// A line for every difference.
pub fn difference(old: &Playbook, new: &Playbook) -> Vec<String> {
    let mut out = Vec::new();
    if old.title != new.title {
        out.push(format!("~ the title was \"{}\", now \"{}\"", old.title, new.title));
    }
    for step in &old.steps {
        if new.step(&step.name).is_none() {
            out.push(format!("- step {} ({}) is gone", step.name, step.title));
        }
    }
    for step in &new.steps {
        match old.step(&step.name) {
            None => {
                let after = new.steps.iter().take_while(|s| s.name != step.name).last();
                let after = after.map_or_else(|| "at the beginning".to_owned(), |s| format!("after {}", s.name));
                out.push(format!("+ step {} ({}) is new, {after}", step.name, step.title));
            }
            Some(before) => out.extend(of_step(before, step)),
        }
    }
    let order = |p: &Playbook, other: &Playbook| -> Vec<String> {
        p.steps.iter().filter(|s| other.step(&s.name).is_some()).map(|s| s.name.clone()).collect()
    };
    if order(old, new) != order(new, old) {
        out.push(format!("~ the order is now {}", order(new, old).join(", ")));
    }
    if out.is_empty() && old.suggest != new.suggest {
        out.push("~ only what it suggests itself for".to_owned());
    }
    if out.is_empty() && old.doc != new.doc {
        out.push("~ only its description".to_owned());
    }
    out
}

fn of_step(old: &Step, new: &Step) -> Vec<String> {
    let mut out = Vec::new();
    let mut field = |what: &str, before: &str, now: &str| {
        if before != now {
            let say = |t: &str| if t.is_empty() { "nothing".to_owned() } else { format!("\"{}\"", cut(t, QUOTE)) };
            out.push(format!("~ step {}: {what} was {}, now {}", new.name, say(before), say(now)));
        }
    };
    field("its title", &old.title, &new.title);
    field("its text", &old.text, &new.text);
    field("its owner", &old.owner, &new.owner);
    field("its phase", &old.phase, &new.phase);
    let within = |s: &Step| {
        s.within_ms.map(|ms| crate::text::duration(std::time::Duration::from_millis(ms))).unwrap_or_default()
    };
    field("its time box", &within(old), &within(new));
    field("the step after it", old.go.as_deref().unwrap_or(""), new.go.as_deref().unwrap_or(""));
    let does = |s: &Step| format!("{} {}", s.does.word(), s.does.what());
    field("what it does", &does(old), &does(new));
    // The words are the same and yet it is another: options, items, reasons.
    if old.does != new.does && does(old) == does(new) {
        let json = |s: &Step| serde_json::to_string(&s.does).unwrap_or_default();
        field("its particulars", &json(old), &json(new));
    }
    out
}
