//! What an incident that is merged into another one leaves to it: all that is open goes on there.
//!
//! Folded from the entry that tells of the merge, so that it is the same in every replay. What is over stays with the
//! incident it was done for.

use super::checklist::OpenChecklist;
use super::headstart::HeadStart;
use super::hypothesis::{Hypothesis, Origin, Standing};
use super::state::State;

/// All that is open of `from` belongs to `into` from now on.
pub(super) fn apply(state: &mut State, from: &str, into: &str) {
    if from == into || !state.incidents.contains_key(into) {
        return;
    }
    let move_on = |of: &mut Option<String>| {
        if of.as_deref() == Some(from) {
            *of = Some(into.to_owned());
        }
    };
    let runs = state.runs.values_mut();
    runs.filter(|r| !r.state.is_over() || !r.sides.is_empty() || r.stands_contradicted())
        .for_each(|r| move_on(&mut r.incident));
    state.recoveries.values_mut().filter(|r| r.state.is_open()).for_each(|r| move_on(&mut r.incident));
    state.playbooks.values_mut().filter(|p| p.state.is_open()).for_each(|p| move_on(&mut p.incident));
    state.approvals.values_mut().filter(|a| a.state.is_open()).for_each(|a| move_on(&mut a.incident));
    checklists(&mut state.checklists, from, into);
    head_starts(&mut state.head_starts, from, into);
    hypotheses(state, from, into);
}

/// A list that both have is one: what was ticked on either is ticked.
fn checklists(lists: &mut Vec<OpenChecklist>, from: &str, into: &str) {
    let is_of = |list: &OpenChecklist, id: &str| list.incident.as_deref() == Some(id);
    let (moving, mut kept): (Vec<_>, Vec<_>) = std::mem::take(lists).into_iter().partition(|l| is_of(l, from));
    for mut list in moving {
        match kept.iter_mut().find(|l| is_of(l, into) && l.list.name == list.list.name) {
            Some(same) => {
                let known = same.list.items.clone();
                same.list.items.extend(list.list.items.into_iter().filter(|i| !known.contains(i)));
                for (item, tick) in list.ticks {
                    same.ticks.entry(item).or_insert(tick);
                }
            }
            None => {
                list.incident = Some(into.to_owned());
                kept.push(list);
            }
        }
    }
    *lists = kept;
}

/// A copy that is being made, or lies ready, is not dropped with the incident that it was begun for. Where the other one
/// has a mark of the same backup set, that one stays; what was only withheld gives way.
fn head_starts(marks: &mut Vec<HeadStart>, from: &str, into: &str) {
    let (moving, mut kept): (Vec<_>, Vec<_>) = std::mem::take(marks).into_iter().partition(|m| m.incident == from);
    for mut mark in moving {
        let same = kept.iter().position(|m| m.incident == into && m.backup == mark.backup);
        match same.map(|at| kept.get(at).is_some_and(|m| m.run.is_some())) {
            Some(true) => kept.push(mark),
            of => {
                if let (Some(false), Some(at)) = (of, same) {
                    kept.remove(at);
                }
                mark.incident = into.to_owned();
                kept.push(mark);
            }
        }
    }
    *marks = kept;
}

/// Each gets the next number there, and says where it comes from.
fn hypotheses(state: &mut State, from: &str, into: &str) {
    let Some(absorbed) = state.incidents.get_mut(from) else { return };
    let (moving, kept): (Vec<Hypothesis>, Vec<Hypothesis>) =
        std::mem::take(&mut absorbed.hypotheses).into_iter().partition(|h| h.standing == Standing::Open);
    absorbed.hypotheses = kept;
    absorbed.clock.hypotheses_gone += u32::try_from(moving.len()).unwrap_or(u32::MAX);
    let Some(incident) = state.incidents.get_mut(into) else { return };
    for mut hypothesis in moving {
        let was = std::mem::replace(&mut hypothesis.id, super::hypothesis::next_id(incident));
        hypothesis.origin.get_or_insert_with(|| Origin { incident: from.to_owned(), id: was });
        incident.hypotheses.push(hypothesis);
    }
}
