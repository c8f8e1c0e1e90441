//! Second persons: what one has confirmed waits until another has looked at exactly that.
//!
//! A request names its plan by a digest, and four words are said of the digest so that two people on the telephone know
//! that they look at the same. Whoever asked cannot approve, nor can anybody behind the same uid. A request lives for ten
//! minutes: what the plan had looked at may have changed by then. Who is alone breaks the glass with a reason, which is a
//! kind of its own in the record, is sent out, and stands in the review.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::authority;
use super::command::{Context, Refusal};
use super::decide::{Decided, Outcome, checked_reason, required_reason};
use super::event::{ApprovalEnded, ApprovalGiven, ApprovalRequested, Entry, Event, GlassBroken};
use super::recovery::RecoveryPlan;
use super::run::{Plan, Risk};
use super::state::State;
use super::time::Time;
use crate::text;

#[cfg(test)]
mod tests;

/// How long a request waits for its second person.
pub const LIVES: Duration = Duration::from_secs(600);
/// Requests that are over, kept in the fold.
const KEEP: usize = 50;

/// What is to be approved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    Run(Box<Plan>),
    Recovery(Box<RecoveryPlan>),
}

impl Wanted {
    /// The run's or the recovery's id, which is the request's too.
    pub fn id(&self) -> &str {
        match self {
            Wanted::Run(plan) => &plan.id,
            Wanted::Recovery(plan) => &plan.id,
        }
    }

    pub fn title(&self) -> String {
        match self {
            Wanted::Run(plan) => plan.title.clone(),
            Wanted::Recovery(plan) => format!("recover {}", plan.name),
        }
    }

    pub fn risk(&self) -> Risk {
        match self {
            Wanted::Run(plan) => plan.risk,
            Wanted::Recovery(plan) => plan.risk,
        }
    }

    pub fn target(&self) -> &str {
        match self {
            Wanted::Run(plan) => &plan.target,
            Wanted::Recovery(plan) => &plan.target,
        }
    }

    /// Names of secrets that only the engine which made the plan can hand over.
    pub fn has_secrets(&self) -> bool {
        matches!(self, Wanted::Run(plan) if !plan.secrets.is_empty())
    }

    /// The first 16 hex digits of the SHA-256 of its JSON.
    pub fn digest(&self) -> String {
        use sha2::{Digest, Sha256};
        let bytes = match self {
            Wanted::Run(plan) => serde_json::to_vec(plan),
            Wanted::Recovery(plan) => serde_json::to_vec(plan),
        };
        let mut hex = hex::encode(Sha256::digest(bytes.unwrap_or_default()));
        hex.truncate(16);
        hex
    }
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalState {
    Waiting,
    Approved,
    /// Started without a second person.
    GlassBroken,
    Declined,
    /// Whoever asked took it back.
    Withdrawn,
    Expired,
    /// The engine that held its plan is gone.
    Lost,
    /// Asked for again with another plan.
    Replaced,
}

impl ApprovalState {
    pub const fn word(self) -> &'static str {
        match self {
            ApprovalState::Waiting => "waiting",
            ApprovalState::Approved => "approved",
            ApprovalState::GlassBroken => "glass broken",
            ApprovalState::Declined => "declined",
            ApprovalState::Withdrawn => "withdrawn",
            ApprovalState::Expired => "expired",
            ApprovalState::Lost => "lost",
            ApprovalState::Replaced => "replaced",
        }
    }

    pub const fn is_open(self) -> bool {
        matches!(self, ApprovalState::Waiting)
    }
}

/// A request for a second person, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// That of the run or recovery that it is about.
    pub id: String,
    pub title: String,
    pub digest: String,
    /// Four words of the digest.
    pub words: String,
    pub by: Actor,
    pub requested_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why a second person is needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    #[serde(default)]
    pub unlogged: bool,
    pub state: ApprovalState,
    /// Who approved, declined or broke the glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Time>,
    /// The reason of declining or of breaking the glass; why it was lost.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What it is about, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
}

impl Approval {
    /// The request that an entry makes.
    pub fn of(e: &ApprovalRequested, entry: &Entry) -> Approval {
        let run = e.plan.clone().map(|p| Wanted::Run(Box::new(p)));
        let recovery = e.recovery.clone().map(|p| Wanted::Recovery(Box::new(p)));
        Approval {
            id: e.approval.clone(),
            title: e.title.clone(),
            digest: e.digest.clone(),
            words: e.words.clone(),
            by: entry.actor.lasting(),
            requested_at: entry.at,
            incident: entry.incident.clone(),
            reason: e.reason.clone(),
            why: e.why.clone(),
            unlogged: e.unlogged,
            state: ApprovalState::Waiting,
            decided_by: None,
            decided_at: None,
            note: String::new(),
            wanted: run.or(recovery),
        }
    }

    pub fn expires_at(&self) -> Time {
        self.requested_at.plus(LIVES)
    }

    /// How long it has been waiting, or waited.
    pub fn waited(&self, now: Time) -> Duration {
        self.decided_at.unwrap_or(now).since(self.requested_at)
    }
}

/// What is asked for instead of being started, and what it replaces.
pub fn request(
    state: &State,
    wanted: Wanted,
    why: String,
    reason: String,
    unlogged: bool,
    ctx: &Context,
) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let title = wanted.title();
    for earlier in state.approvals_in_order().filter(|a| a.state.is_open()) {
        if earlier.title == title && earlier.by.same_person(&ctx.actor) {
            let reason = format!("asked for again as {}", wanted.id());
            events.push(ended(earlier, ApprovalState::Replaced, reason).into());
        }
    }
    let digest = wanted.digest();
    let (plan, recovery) = match wanted {
        Wanted::Run(plan) => (Some(*plan), None),
        Wanted::Recovery(plan) => (None, Some(*plan)),
    };
    let approval = plan.as_ref().map(|p| p.id.clone()).or_else(|| recovery.as_ref().map(|r| r.id.clone()));
    let words = text::four_words(&digest);
    let approval = approval.unwrap_or_default();
    events.push(ApprovalRequested { approval, title, digest, words, why, reason, unlogged, plan, recovery }.into());
    events
}

fn ended(a: &Approval, how: ApprovalState, reason: String) -> ApprovalEnded {
    ApprovalEnded { approval: a.id.clone(), title: a.title.clone(), how, reason }
}

fn find<'a>(state: &'a State, id: &str, now: Time) -> Result<(&'a Approval, &'a Wanted), Refusal> {
    let approval = state
        .approvals
        .get(id)
        .ok_or_else(|| Refusal::usage(format!("there is no request \"{id}\""), "mayday approvals lists them"))?;
    let over = |how: &str| {
        Refusal::new(
            format!("the request of {} for {} is over: {how}", approval.by.user, approval.title),
            "make the plan again, and ask again",
        )
    };
    if approval.state.is_open() && now > approval.expires_at() {
        return Err(over(&format!("it expired at {}Z", approval.expires_at().hms())));
    }
    match &approval.wanted {
        Some(wanted) if approval.state.is_open() => Ok((approval, wanted)),
        _ => {
            let by = approval.decided_by.as_ref().map(|u| format!(" by {u}")).unwrap_or_default();
            Err(over(&format!("{}{by}", approval.state.word())))
        }
    }
}

/// Another person says yes to exactly what has this digest.
pub fn approve(state: &State, id: &str, digest: &str, ctx: &Context) -> Outcome {
    let (approval, wanted) = find(state, id, ctx.now)?;
    if approval.by.same_person(&ctx.actor) {
        let uid = ctx.actor.uid.map(|u| format!(" (uid {u})")).unwrap_or_default();
        return Err(Refusal::new(
            format!("{} was asked for by {}{uid}, who cannot approve it too", approval.title, approval.by.user),
            format!("another user approves it with mayday approve {id}; who is alone: mayday break-glass {id} WHY"),
        ));
    }
    if ctx.actor.is_engine() {
        return Err(Refusal::new("a person approves", ""));
    }
    if digest != approval.digest {
        return Err(Refusal::new(
            format!("{digest} is not what {} asked for, which is {}", approval.by.user, approval.digest),
            format!("look at it: mayday approvals {id}"),
        ));
    }
    let given = ApprovalGiven {
        approval: id.to_owned(),
        title: approval.title.clone(),
        digest: approval.digest.clone(),
        words: approval.words.clone(),
        requested_by: approval.by.user.clone(),
    };
    start(state, approval, wanted, given.into(), ctx)
}

/// Whoever asked goes on alone.
pub fn break_glass(state: &State, id: &str, reason: &str, ctx: &Context) -> Outcome {
    let (approval, wanted) = find(state, id, ctx.now)?;
    let reason = required_reason("breaking the glass", reason)?;
    if !approval.by.same_person(&ctx.actor) {
        return Err(Refusal::new(
            format!("{} was asked for by {}: you are the second person", approval.title, approval.by.user),
            format!("look at it, and approve it: mayday approve {id}"),
        ));
    }
    let broken = GlassBroken {
        approval: id.to_owned(),
        title: approval.title.clone(),
        digest: approval.digest.clone(),
        reason,
        why: approval.why.clone(),
    };
    start(state, approval, wanted, broken.into(), ctx)
}

/// No, or never mind.
pub fn decline(state: &State, id: &str, reason: &str, ctx: &Context) -> Outcome {
    let (approval, _) = find(state, id, ctx.now)?;
    let (how, reason) = match approval.by.same_person(&ctx.actor) {
        true => (ApprovalState::Withdrawn, checked_reason(reason)?),
        false => (ApprovalState::Declined, required_reason("declining", reason)?),
    };
    Ok(vec![Decided { incident: approval.incident.clone(), event: ended(approval, how, reason).into() }])
}

/// What was decided, and the start of it: everything that stands against a start is looked at again, as it is for whoever
/// asked.
fn start(state: &State, approval: &Approval, wanted: &Wanted, decided: Event, ctx: &Context) -> Outcome {
    let asked = Context { actor: approval.by.clone(), ..ctx.clone() };
    // Whose entry it is is the one who said yes; whose run it is stands beside.
    let how = match &decided {
        Event::GlassBroken(_) => format!("asked for by {}, without a second person", approval.by.user),
        _ => format!("asked for by {}, approved by {}", approval.by.user, ctx.actor.user),
    };
    let reason = if approval.reason.is_empty() { how } else { format!("{}; {how}", approval.reason) };
    let started = match wanted {
        Wanted::Run(plan) => {
            let plan = (**plan).clone();
            super::decide::start_run(state, plan, reason, approval.unlogged, &asked)?
        }
        Wanted::Recovery(plan) => super::recovery::start_approved(state, (**plan).clone(), reason, &asked)?,
    };
    let mut events = vec![Decided { incident: approval.incident.clone(), event: decided }];
    events.extend(started);
    Ok(events)
}

/// Requests that are to be ended now, and how. `held` says whether this engine has the plan of one, with its secrets.
pub fn due(state: &State, now: Time, held: impl Fn(&str) -> bool) -> Vec<(Option<String>, ApprovalEnded)> {
    let open = state.approvals_in_order().filter(|a| a.state.is_open());
    open.filter_map(|a| {
        let event = if now > a.expires_at() {
            let reason = format!("nobody approved it within {}; ask again", text::duration(LIVES));
            ended(a, ApprovalState::Expired, reason)
        } else if a.wanted.as_ref().is_none_or(|w| w.has_secrets() && !held(&a.id)) {
            let reason = "the engine was restarted, and its secrets are held by none; ask again".to_owned();
            ended(a, ApprovalState::Lost, reason)
        } else {
            return None;
        };
        Some((a.incident.clone(), event))
    })
    .collect()
}

/// Why the one who resumes a recovery with a changed step has to be another person than the one who started it.
pub fn against_resuming(state: &State, recovery: &super::recovery::Recovery, ctx: &Context) -> Option<Refusal> {
    let (step, _) = recovery.current()?;
    let worst = authority::worst(state);
    let why = authority::second_person_of_step(&state.catalog, &step.spec.does, worst)?;
    let approval = state.approvals.get(recovery.id());
    let same = match approval {
        Some(a) if a.state == ApprovalState::GlassBroken => false,
        Some(a) => a.by.same_person(&ctx.actor),
        None => recovery.started_by == ctx.actor.user,
    };
    same.then(|| {
        Refusal::new(
            format!("{why}, and what was approved has changed"),
            format!("another user than {} resumes it", ctx.actor.user),
        )
    })
}

/// Folds one entry in.
pub fn apply(state: &mut State, entry: &Entry) {
    let decided = |a: &mut Approval, how: ApprovalState, note: &str| {
        if !a.state.is_open() {
            return;
        }
        a.state = how;
        a.decided_by = (!entry.actor.is_engine()).then(|| entry.actor.user.clone());
        a.decided_at = Some(entry.at);
        note.clone_into(&mut a.note);
        a.wanted = None;
    };
    match &entry.event {
        Event::ApprovalRequested(e) => {
            let approval = Approval::of(e, entry);
            if state.approvals.insert(e.approval.clone(), approval).is_none() {
                state.approval_order.push(e.approval.clone());
            }
            trim(state);
        }
        Event::ApprovalGiven(e) => {
            if let Some(a) = state.approvals.get_mut(&e.approval) {
                decided(a, ApprovalState::Approved, "");
            }
        }
        Event::GlassBroken(e) => {
            if let Some(a) = state.approvals.get_mut(&e.approval) {
                decided(a, ApprovalState::GlassBroken, &e.reason);
            }
        }
        Event::ApprovalEnded(e) => {
            if let Some(a) = state.approvals.get_mut(&e.approval) {
                decided(a, e.how, &e.reason);
            }
        }
        _ => {}
    }
}

fn trim(state: &mut State) {
    while state.approval_order.len() > KEEP {
        let over =
            state.approval_order.iter().position(|id| state.approvals.get(id).is_none_or(|a| !a.state.is_open()));
        let Some(at) = over else { return };
        let id = state.approval_order.remove(at);
        state.approvals.remove(&id);
    }
}
