//! The rules: what a command leads to, or why not.
//!
//! Pure. A refusal says what stands against it and what would allow it. Each event comes with the incident it belongs
//! to, because the journal's header carries that.

use std::time::Duration;

use super::approval::{self, Wanted};
use super::authority;
use super::backfill;
use super::catalog::Severity;
use super::command::{Command, Context, Refusal};
use super::event::*;
use super::guard;
use super::health::Health;
use super::incident::{Incident, Status};
use super::run::{Checked, Risk, RunState, SideRole, Work};
use super::state::State;

/// Longest note, title, reason and message body, in bytes.
pub const NOTE_LIMIT: usize = 64 * 1024;
const TITLE_LIMIT: usize = 200;

/// An event and the incident it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    pub incident: Option<String>,
    pub event: Event,
}

pub(super) type Outcome = Result<Vec<Decided>, Refusal>;

pub(super) fn one(incident: Option<String>, event: impl Into<Event>) -> Outcome {
    Ok(vec![Decided { incident, event: event.into() }])
}

/// Decides `command` against `state`. Errors: the refusal, nothing having happened.
pub fn decide(state: &State, command: Command, ctx: &Context) -> Outcome {
    authority::allowed_command(state, &ctx.actor, &command)?;
    match command {
        Command::Declare { title, severity, services, onset } => {
            let title = checked_text("title", &title, TITLE_LIMIT)?;
            for service in &services {
                known_service(state, service)?;
            }
            if let Some(onset) = onset
                && onset > ctx.now
            {
                return Err(Refusal::usage("the onset lies in the future", "state a time that has passed"));
            }
            let id = state.next_incident_id(ctx.now);
            let severity = severity.unwrap_or_else(|| state.suggested_severity());
            one(Some(id), IncidentDeclared { title, severity, services, onset, source: "human".into() })
        }
        Command::Acknowledge { incident } => {
            let incident = open_incident(state, incident)?;
            if let Some(by) = &incident.acknowledged_by {
                return Err(Refusal::new(format!("{} is acknowledged already, by {by}", incident.id), ""));
            }
            let mut events =
                vec![Decided { incident: Some(incident.id.clone()), event: IncidentAcknowledged {}.into() }];
            // Whoever picks up an incident that nobody leads, leads it until somebody else is named.
            if incident.commander().is_none() {
                events.push(Decided {
                    incident: Some(incident.id.clone()),
                    event: IncidentAssigned { role: "commander".into(), user: ctx.actor.user.clone() }.into(),
                });
            }
            Ok(events)
        }
        Command::SetSeverity { incident, severity, reason } => {
            let incident = open_incident(state, incident)?;
            if incident.severity == severity {
                return Err(Refusal::new(format!("{} is {severity} already", incident.id), ""));
            }
            let from = incident.severity;
            // What brings help is not held up; what takes it away is answered for.
            let reason = match severity > from {
                true => required_reason("a lesser severity", &reason)?,
                false => checked_reason(&reason)?,
            };
            one(Some(incident.id.clone()), IncidentSeverity { from, to: severity, reason })
        }
        Command::SetStatus { incident, status, reason, force } => {
            set_status(state, incident, status, checked_reason(&reason)?, force)
        }
        Command::Assign { incident, role, user } => {
            let incident = open_incident(state, incident)?;
            let role = checked_text("role", &role, 40)?;
            authority::known_role(&state.catalog, &role)?;
            let user = checked_text("user", &user, 80)?;
            one(Some(incident.id.clone()), IncidentAssigned { role, user })
        }
        Command::SetServices { incident, add, remove } => {
            let incident = open_incident(state, incident)?;
            for service in &add {
                known_service(state, service)?;
            }
            let added: std::collections::BTreeSet<_> =
                add.into_iter().filter(|s| !incident.services.contains(s)).collect();
            let removed: std::collections::BTreeSet<_> =
                remove.into_iter().filter(|s| incident.services.contains(s)).collect();
            if added.is_empty() && removed.is_empty() {
                return Err(Refusal::new("the affected services are so already", ""));
            }
            one(Some(incident.id.clone()), IncidentServices { added, removed })
        }
        Command::Retitle { incident, title } => {
            let incident = open_incident(state, incident)?;
            one(Some(incident.id.clone()), IncidentTitled { title: checked_text("title", &title, TITLE_LIMIT)? })
        }
        Command::Reopen { incident, reason } => {
            let incident = match incident {
                Some(id) => find_incident(state, &id)?,
                None => state
                    .incidents
                    .values()
                    .filter(|i| !i.status.is_open())
                    .max_by_key(|i| i.last_seq)
                    .ok_or_else(|| Refusal::new("no incident was resolved", "declare one with d"))?,
            };
            if incident.status.is_open() {
                return Err(Refusal::new(format!("{} is open", incident.id), ""));
            }
            let reason = required_reason("reopening", &reason)?;
            one(Some(incident.id.clone()), IncidentReopened { reason })
        }
        Command::Note { incident, text, happened_at } => {
            let text = checked_text("note", &text, NOTE_LIMIT)?;
            if let Some(at) = happened_at
                && at > ctx.now
            {
                return Err(Refusal::usage("the note's time lies in the future", "state a time that has passed"));
            }
            // A note is never lost to the question where it belongs.
            let incident = match incident {
                Some(id) => Some(find_incident(state, &id)?.id.clone()),
                None => state.open_incidents().first().map(|i| i.id.clone()),
            };
            one(incident, NoteAdded { text, happened_at })
        }
        Command::Import { incident, lines, format, source } => import(state, incident, lines, format, &source, ctx),
        Command::Amend { entries, how, reason, of } => {
            super::curation::decide(&state.curation, super::curation::Asked { entries, of, how, reason }, ctx)
        }
        Command::Evidence { incident, title, kept } => {
            let Some(kept) = kept else {
                return Err(Refusal::usage("nothing was handed over that could be kept", "mayday evidence add FILE"));
            };
            let id = incident.ok_or_else(|| Refusal::usage("evidence belongs to an incident", "name one"))?;
            let title = crate::text::clean(&checked_text("title", &title, TITLE_LIMIT)?).into_owned();
            one(Some(find_incident(state, &id)?.id.clone()), EvidenceAdded { title, ..*kept })
        }
        Command::Hypothesis { incident, ask } => super::hypothesis::decide(state, incident, ask),
        Command::Followup(ask) => super::followup::decide(state, ask, ctx),
        Command::Review { incident, owner, status, meeting, reason } => {
            super::review::decide(state, incident, owner, status, meeting, &reason)
        }
        Command::Shell { incident, ask } => super::shell::decide(state, incident, *ask, ctx),
        Command::HandOver { incident, to, remark } => super::handoff::offer(state, incident, to, &remark, ctx),
        Command::TakeOver { incident } => super::handoff::take(state, incident, ctx),
        Command::KeepLead { incident, reason } => super::handoff::withdraw(state, incident, &reason, ctx),
        Command::Step { what, about } => {
            let what = checked_text("step", &what, 400)?;
            one(first_open(state), StepTaken { what, about })
        }
        Command::Run { plan, confirm, reason, unlogged } => decide_run(state, *plan, &confirm, reason, unlogged, ctx),
        Command::Cancel { run, reason } => {
            let found = state.runs.get(&run).ok_or_else(|| unknown_run(&run))?;
            if found.state.is_over() {
                return Err(Refusal::new(format!("run {run} is over: {}", found.state.word()), ""));
            }
            if found.cancel_requested {
                return Err(Refusal::new(format!("run {run} is being cancelled already"), "wait for it to end"));
            }
            one(found.incident.clone(), RunCancelRequested { run, reason: checked_reason(&reason)? })
        }
        Command::Send { incident, template, subject, body, channels } => {
            let incident = match incident {
                Some(id) => Some(find_incident(state, &id)?.id.clone()),
                None => first_open(state).or_else(|| last_incident(state)),
            };
            if template == super::message::Template::Alert {
                return Err(Refusal::usage("an alert is sent by itself", "send an update, or initial, or resolution"));
            }
            if incident.is_none() && template != super::message::Template::Test {
                return Err(Refusal::new("there is no incident to write about", "declare one with d"));
            }
            if channels.is_empty() {
                return Err(Refusal::usage("no channel is chosen", "choose one, or add a [[channel]] to mayday.toml"));
            }
            for channel in &channels {
                if !state.catalog.channels.iter().any(|c| c.name == *channel) {
                    let known: Vec<_> = state.catalog.channels.iter().map(|c| c.name.as_str()).collect();
                    return Err(Refusal::usage(
                        format!("there is no channel \"{channel}\""),
                        if known.is_empty() { "add a [[channel]] to mayday.toml".into() } else { known.join(", ") },
                    ));
                }
            }
            let subject = checked_text("subject", &subject, 1000)?;
            let body = checked_text("message", &body, NOTE_LIMIT)?;
            one(
                incident,
                MessageQueued { id: format!("m-{}", ctx.fresh), template, subject, body, channels, automatic: false },
            )
        }
        Command::Pause { service, until, reason } => {
            known_service(state, &service)?;
            let reason = required_reason("a pause", &reason)?;
            if until <= ctx.now {
                return Err(Refusal::usage("the pause would end before it begins", "state a time to come"));
            }
            if until > ctx.now.plus(Duration::from_secs(7 * 86_400)) {
                return Err(Refusal::usage("a pause lasts seven days at most", "state a nearer time"));
            }
            one(first_open(state), ServicePaused { service, until, reason })
        }
        Command::Resume { service, reason } => {
            known_service(state, &service)?;
            if state.services.get(&service).is_none_or(|r| r.state != Health::Paused) {
                return Err(Refusal::new(format!("{service} is not paused"), ""));
            }
            one(first_open(state), ServiceResumed { service, reason: checked_reason(&reason)? })
        }
        Command::FalseAlarm { .. }
        | Command::Merge { .. }
        | Command::SetOnset { .. }
        | Command::Snooze { .. }
        | Command::ContactCalled { .. } => super::lead::decide(state, command, ctx),
        Command::Recover { .. } | Command::Answer { .. } => super::recovery::decide(state, command, ctx),
        Command::PlaybookStart { .. } | Command::Playbook { .. } => super::playbook::decide(state, command, ctx),
        Command::Tick { checklist, incident, item, ticked, note, text } => {
            let text = text.map(|t| *t);
            super::checklist::tick(state, super::checklist::Ticking { checklist, incident, item, ticked, note, text })
        }
        Command::Hold { services, reason } => guard::hold(state, services, &reason),
        Command::Release { services, reason } => guard::release(state, services, &reason, ctx),
        Command::Tag { service, reason, over } => guard::tag(state, service, &reason, over, ctx),
        Command::Untag { service, reason } => guard::untag(state, service, &reason, ctx),
        Command::Approve { approval: id, digest } => approval::approve(state, &id, &digest, ctx),
        Command::Decline { approval: id, reason } => approval::decline(state, &id, &reason, ctx),
        Command::BreakGlass { approval: id, reason } => approval::break_glass(state, &id, &reason, ctx),
    }
}

/// Closed incidents take lines in as well: that is when there is time for it.
fn import(
    state: &State,
    incident: Option<String>,
    lines: Vec<backfill::Decided>,
    format: backfill::Format,
    source: &str,
    ctx: &Context,
) -> Outcome {
    let incident = match incident {
        Some(id) => find_incident(state, &id)?.id.clone(),
        None => first_open(state)
            .or_else(|| last_incident(state))
            .ok_or_else(|| Refusal::new("there is no incident to import into", "declare one with d"))?,
    };
    if lines.len() > backfill::BATCH {
        return Err(Refusal::usage(format!("more than {} lines at once", backfill::BATCH), "send them in pieces"));
    }
    let known = state.imported.get(&incident);
    let mut keys = std::collections::BTreeSet::new();
    let mut events = Vec::new();
    for line in lines {
        let text = checked_text("line", &line.text, backfill::TEXT_LIMIT + 8)?;
        let author = crate::text::clean::clean_to(line.author.trim(), 80).into_owned();
        if line.at.ms_since(ctx.now) > backfill::AHEAD_MS {
            return Err(Refusal::usage(format!("a line of {} lies in the future", line.at), "correct its time"));
        }
        let key = backfill::key(line.at, &author, &text);
        if known.is_some_and(|known| known.contains(&key)) || !keys.insert(key.clone()) {
            continue;
        }
        let source = crate::text::clean(source).into_owned();
        let format = format.word().to_owned();
        let event = NoteImported { text, happened_at: line.at.min(ctx.now), author, format, source, key }.into();
        events.push(Decided { incident: Some(incident.clone()), event });
    }
    if known.map_or(0, |k| k.len()) + events.len() > backfill::KEYS {
        let why = format!(
            "{incident} has {} imported lines, and would have more than {}",
            known.map_or(0, |k| k.len()),
            backfill::KEYS
        );
        return Err(Refusal::new(why, "import a selection"));
    }
    Ok(events)
}

fn set_status(state: &State, incident: Option<String>, status: Status, reason: String, force: bool) -> Outcome {
    let incident = match (&incident, status) {
        // Closing is about an incident that is resolved, so it is not among the open ones.
        (None, Status::Closed) => state
            .incidents
            .values()
            .filter(|i| i.status == Status::Resolved)
            .max_by_key(|i| i.last_seq)
            .ok_or_else(|| Refusal::new("no incident is resolved and not yet closed", "resolve it first"))?,
        (Some(id), _) => find_incident(state, id)?,
        (None, _) => open_incident(state, None)?,
    };
    let from = incident.status;
    if from == status {
        return Err(Refusal::new(format!("{} is {} already", incident.id, status.word()), ""));
    }
    match (from.is_open(), status) {
        (true, Status::Closed) => {
            let instead = "resolve it first, or close it as a false alarm with a reason";
            return Err(Refusal::new(format!("{} is still open", incident.id), instead));
        }
        (false, s) if s.is_open() => {
            return Err(Refusal::new(format!("{} is {}", incident.id, from.word()), "reopen it with a reason"));
        }
        (false, Status::Resolved) => {
            return Err(Refusal::new(format!("{} is closed", incident.id), "reopen it with a reason"));
        }
        _ => {}
    }
    let mut forced = false;
    if status == Status::Resolved {
        let against = against_resolving(state, incident);
        if !against.is_empty() {
            if !force {
                return Err(Refusal::new(
                    format!("not resolved: {}", against.join("; ")),
                    "mend that, or force it with a reason",
                ));
            }
            required_reason("forcing", &reason)?;
            forced = true;
        }
    }
    one(Some(incident.id.clone()), IncidentStatus { from, to: status, reason, forced })
}

/// What stands against calling `incident` resolved, in words: runs under way or contradicted, tier-1 services down,
/// affected services down.
pub fn against_resolving(state: &State, incident: &Incident) -> Vec<String> {
    let mut against = Vec::new();
    // What a merged incident had begun is this one's now.
    let own =
        |id: Option<&str>| id.is_some_and(|id| id == incident.id || incident.clock.absorbed.iter().any(|a| a == id));
    for run in state.runs_in_order().filter(|r| own(r.incident.as_deref())) {
        if run.stands_contradicted() {
            against.push(format!("run {} ({}) is contradicted: {}", run.id(), run.plan.title, run.detail));
        } else if !run.state.is_over() {
            against.push(format!("run {} ({}) is still {}", run.id(), run.plan.title, run.state.word()));
        }
    }
    for recovery in state.recoveries_in_order().filter(|r| r.state.is_open()) {
        if own(recovery.incident.as_deref()) {
            against.push(format!("recovery {} {} at {}", recovery.plan.name, recovery.state.word(), recovery.place()));
        }
    }
    for (name, record) in &state.services {
        let tier1 = state.catalog.services.get(name).is_some_and(|f| f.tier == 1);
        let blocked = record.state == Health::Down || (record.state == Health::Unknown && record.down_since.is_some());
        if blocked && (tier1 || incident.services.contains(name)) {
            let tier = if tier1 { " (tier 1)" } else { "" };
            against.push(format!("{name}{tier} is {}", record.state.word()));
        }
    }
    against
}

/// What does not stand against resolving or closing, and is to be thought of: playbooks that are not through, steps that
/// failed, checklists with items that nobody ticked; before it is closed, follow-ups and the review.
pub fn to_consider(state: &State, incident: &Incident) -> Vec<String> {
    let mut out = Vec::new();
    for play in state.playbooks_in_order().filter(|p| p.incident.as_deref() == Some(&incident.id)) {
        if play.state.is_open() {
            out.push(format!("playbook {} is {} at {}", play.text.name, play.state.word(), play.place()));
        }
        for (name, record) in &play.steps {
            if record.state == super::playbook::StepState::Failed {
                let title = play.text.step(name).map_or(name.as_str(), |s| s.title.as_str());
                out.push(format!("playbook {}: \"{title}\" failed: {}", play.text.name, record.detail));
            }
        }
    }
    for list in super::checklist::of_incident(state, &incident.id) {
        let unticked = list.unticked();
        if !unticked.is_empty() {
            out.push(format!("checklist {}: not ticked: {}", list.list.name, unticked.join("; ")));
        }
    }
    // While it burns nobody thinks of what comes after.
    if incident.status == Status::Resolved {
        let followups: Vec<&str> = state.followups.open_of(&incident.id).map(|f| f.id.as_str()).collect();
        if !followups.is_empty() {
            let n = crate::text::plural(followups.len(), "follow-up");
            out.push(format!("{n} not done: {}", followups.join(", ")));
        }
        let review = state.reviews.get(&incident.id).cloned().unwrap_or_default();
        if !review.is_reviewed() {
            let is = if review.said().is_empty() { "nobody has begun it".into() } else { review.said() };
            out.push(format!("the review is not reviewed yet: {is}"));
        }
    }
    out
}

fn decide_run(
    state: &State,
    plan: super::run::Plan,
    confirm: &str,
    reason: String,
    unlogged: bool,
    ctx: &Context,
) -> Outcome {
    may_start(state, &plan, ctx)?;
    if let Some(blocker) = plan.blockers().next() {
        return Err(Refusal::new(format!("{}: {}", blocker.name, blocker.detail), "mend that and plan again"));
    }
    confirmed(plan.risk, &plan.title, &plan.target, confirm)?;
    let reason = checked_reason(&reason)?;
    let started = start_run(state, plan, reason, unlogged, ctx)?;
    // A step of a recovery was approved with the recovery.
    let of_recovery = state.open_recovery().is_some_and(|r| ctx.actor.is_engine() && ctx.actor.via == r.via());
    let [Decided { incident, event: Event::RunRequested(e) }] = started.as_slice() else { return Ok(started) };
    match authority::second_person(state, &e.plan) {
        Some(why) if !of_recovery => {
            let wanted = Wanted::Run(Box::new(e.plan.clone()));
            let events = approval::request(state, wanted, why, e.reason.clone(), unlogged, ctx);
            Ok(events.into_iter().map(|event| Decided { incident: incident.clone(), event }).collect())
        }
        _ => Ok(started),
    }
}

/// Nothing forbids it, whatever was confirmed: it is new, within authority, and no tag or hold is in the way.
fn may_start(state: &State, plan: &super::run::Plan, ctx: &Context) -> Result<(), Refusal> {
    if state.runs.contains_key(&plan.id) {
        return Err(Refusal::new(format!("run {} was started before", plan.id), "make a new plan"));
    }
    authority::allowed(state, &ctx.actor, &plan.title, state.catalog.authority.needs_of(&plan.work, plan.risk))?;
    if let Some(refusal) = guard::against(state, plan) {
        return Err(refusal);
    }
    Ok(())
}

/// The start of what was confirmed, with all that stands against it but the second person.
pub(super) fn start_run(
    state: &State,
    plan: super::run::Plan,
    reason: String,
    unlogged: bool,
    ctx: &Context,
) -> Outcome {
    may_start(state, &plan, ctx)?;
    if let Some(holder) = state.holder(&plan.holds) {
        return Err(Refusal::new(
            format!(
                "{} is held by run {} ({}, requested by {} at {}Z)",
                plan.holds.iter().find(|h| holder.plan.holds.contains(h)).map_or("it", String::as_str),
                holder.id(),
                holder.plan.title,
                holder.requested_by,
                holder.requested_at.hms()
            ),
            match holder.head_start {
                true => format!(
                    "it is a head start: once it is ready, C cuts over to it; to do this instead, cancel it: mayday runs cancel {}",
                    holder.id()
                ),
                false => format!("wait for it, or cancel it: mayday runs cancel {}", holder.id()),
            },
        ));
    }
    if let Work::CutOver { of } | Work::CopyIn { of, .. } | Work::Undo { of } | Work::Drop { of } = &plan.work {
        let run = state.runs.get(of).ok_or_else(|| unknown_run(of))?;
        if run.state != RunState::Succeeded {
            // That it has kept what was live shows that it was done, whoever did not live to say so.
            let kept = run.sides.iter().any(|s| s.role == SideRole::Before);
            let may = match plan.work {
                Work::Drop { .. } => true,
                Work::Undo { .. } => kept,
                _ => false,
            };
            if !may {
                return Err(Refusal::new(format!("run {of} has not succeeded: it is {}", run.state.word()), ""));
            }
        }
    }
    if plan.preconditions.iter().any(|p| p.result == Checked::Failed) {
        return Err(Refusal::new("a precondition fails", "plan again"));
    }
    let incident = plan
        .service
        .as_ref()
        .and_then(|s| state.open_incidents().into_iter().find(|i| i.services.contains(s)))
        .map(|i| i.id.clone())
        .or_else(|| first_open(state));
    one(incident, RunRequested { plan, reason, unlogged, recovery: None, head_start: false })
}

/// What was typed is what the risk asks for.
pub(super) fn confirmed(risk: Risk, title: &str, target: &str, typed: &str) -> Result<(), Refusal> {
    match risk {
        Risk::Observe => Ok(()),
        Risk::Disruptive if matches!(typed, "y" | "Y" | "yes") || typed == target => Ok(()),
        Risk::Disruptive => {
            Err(Refusal::new(format!("{title} is disruptive and was not confirmed"), "answer y, or give --yes"))
        }
        Risk::Destructive if typed == target => Ok(()),
        Risk::Destructive => Err(Refusal::new(
            format!("{title} is destructive and was not confirmed"),
            format!("type {target}, or give --confirm {}", crate::text::shell_word(target)),
        )),
    }
}

fn unknown_run(id: &str) -> Refusal {
    Refusal::usage(format!("there is no run \"{id}\""), "mayday runs lists them")
}

pub(super) fn first_open(state: &State) -> Option<String> {
    state.open_incidents().first().map(|i| i.id.clone())
}

pub(super) fn last_incident(state: &State) -> Option<String> {
    state.incidents.values().max_by_key(|i| i.last_seq).map(|i| i.id.clone())
}

pub(super) fn find_incident<'a>(state: &'a State, id: &str) -> Result<&'a Incident, Refusal> {
    state
        .incidents
        .get(id)
        .ok_or_else(|| Refusal::usage(format!("there is no incident \"{id}\""), "mayday incident list shows them"))
}

pub(super) fn open_incident(state: &State, id: Option<String>) -> Result<&Incident, Refusal> {
    if let Some(id) = id {
        let incident = find_incident(state, &id)?;
        if !incident.status.is_open() {
            return Err(Refusal::new(
                format!("{id} is {}", incident.status.word()),
                "reopen it with a reason, or declare a new one",
            ));
        }
        return Ok(incident);
    }
    match state.open_incidents().as_slice() {
        [] => Err(Refusal::new("no incident is open", "declare one with d, or: mayday incident declare TITLE")),
        [only] => Ok(only),
        several => {
            let ids: Vec<_> = several.iter().map(|i| i.id.as_str()).collect();
            Err(Refusal::usage(
                format!("{} incidents are open", several.len()),
                format!("name one: {}", ids.join(", ")),
            ))
        }
    }
}

pub(super) fn known_service(state: &State, name: &str) -> Result<(), Refusal> {
    if state.catalog.services.contains_key(name) {
        return Ok(());
    }
    let known: Vec<_> = state.catalog.services.keys().take(12).map(String::as_str).collect();
    let instead = if known.is_empty() {
        "the configuration names none".to_owned()
    } else {
        format!("known are {}", known.join(", "))
    };
    Err(Refusal::usage(format!("there is no service \"{name}\""), instead))
}

pub(super) fn checked_text(what: &str, text: &str, limit: usize) -> Result<String, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Refusal::usage(format!("the {what} is empty"), "write something"));
    }
    if text.len() > limit {
        return Err(Refusal::usage(
            format!("the {what} has {} bytes, {limit} are the most", text.len()),
            "shorten it, or attach the rest as several notes",
        ));
    }
    Ok(crate::text::clean_lines(text, limit))
}

pub(super) fn checked_reason(reason: &str) -> Result<String, Refusal> {
    if reason.trim().is_empty() { Ok(String::new()) } else { checked_text("reason", reason, 4000) }
}

pub(super) fn required_reason(what: &str, reason: &str) -> Result<String, Refusal> {
    if reason.trim().is_empty() {
        return Err(Refusal::usage(format!("{what} needs a reason"), "say why in a few words"));
    }
    checked_text("reason", reason, 4000)
}

/// The severity below `severity` by one step, for cycling with a key.
pub fn next_severity(severity: Severity) -> Severity {
    match severity {
        Severity::P0 => Severity::P1,
        Severity::P1 => Severity::P2,
        Severity::P2 => Severity::P3,
        Severity::P3 => Severity::P0,
    }
}
