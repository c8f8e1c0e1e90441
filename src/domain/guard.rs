//! What a person puts in the way of work on a service: tags and holds.
//!
//! A *tag* is one person's "do not touch this now", on one service. Its holder takes it off; anybody else takes it off or
//! over only with a reason. A *hold* forbids that anything is restarted or restored until the commander releases it with a
//! reason, so that evidence stays as it is. Both bind everybody and every script, whoever set them, and what the engine
//! does by itself too. Neither ends by itself: a restart of the engine, the end of an incident and a changed configuration
//! leave them as they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::command::{Context, Refusal};
use super::decide::{Outcome, known_service, one, required_reason};
use super::event::{Entry, Event, ServiceHeld, ServiceReleased, ServiceTagged, ServiceUntagged};
use super::incident::{Incident, Status};
use super::run::{Plan, Risk, Work};
use super::state::State;
use super::time::Time;

#[cfg(test)]
pub(in crate::domain) mod tests;

/// A tag on a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    pub by: Actor,
    pub since: Time,
    pub reason: String,
    /// Who had it before, where it was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A hold, of one service or of everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub by: String,
    pub since: Time,
    pub reason: String,
    /// Whose commander releases it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Of the hold of everything: services that were released from it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<String>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guards {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, Tag>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<String, Hold>,
    /// The hold of everything, with what belongs to no service too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<Hold>,
}

impl Guards {
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.holds.is_empty() && self.all.is_none()
    }

    /// The hold that binds `service`; of `None`, what belongs to no service.
    pub fn hold(&self, service: Option<&str>) -> Option<&Hold> {
        let Some(service) = service else { return self.all.as_ref() };
        self.holds.get(service).or_else(|| self.all.as_ref().filter(|h| !h.except.contains(service)))
    }

    /// The tag on `service`.
    pub fn tag(&self, service: &str) -> Option<&Tag> {
        self.tags.get(service)
    }

    /// In a few words what stands on `service`, for a column: `HELD by ann since 02:14: breach`.
    pub fn said(&self, service: &str) -> Option<String> {
        if let Some(hold) = self.hold(Some(service)) {
            return Some(format!("HELD by {} since {}Z: {}", hold.by, hold.since.hm(), hold.reason));
        }
        self.tag(service).map(|t| format!("TAG {} since {}Z: {}", t.by.user, t.since.hm(), t.reason))
    }

    /// Why `work` on `services` may not run now; `title` is what it is called. Looking alone is never in the way.
    pub fn against(&self, work: &Work, risk: Risk, title: &str, services: &BTreeSet<String>) -> Option<Refusal> {
        if risk == Risk::Observe || self.is_empty() {
            return None;
        }
        // A breach is contained by stopping things.
        if !matches!(work, Work::Stop { .. }) {
            let held = services.iter().find_map(|s| self.hold(Some(s)).map(|h| (s.as_str(), h)));
            let held = held.or_else(|| services.is_empty().then(|| self.all.as_ref().map(|h| ("everything", h)))?);
            if let Some((what, hold)) = held {
                let name = if what == "everything" { "--all" } else { what };
                return Some(Refusal::new(
                    format!("{title}: {what} is held by {} since {}Z: {}", hold.by, hold.since.hm(), hold.reason),
                    format!("the commander releases it with a reason: mayday release {name} --reason WHY"),
                ));
            }
        }
        services.iter().find_map(|service| {
            let tag = self.tag(service)?;
            Some(Refusal::new(
                format!("{title}: {service} is tagged by {} since {}Z: {}", tag.by.user, tag.since.hm(), tag.reason),
                format!(
                    "{} takes it off with mayday untag {service}; anybody else says why: mayday untag {service} --reason WHY",
                    tag.by.user
                ),
            ))
        })
    }
}

/// The services that `plan` touches, as far as the state knows.
pub fn touched(state: &State, plan: &Plan) -> BTreeSet<String> {
    let mut services = touched_by(state, &plan.work);
    services.extend(plan.service.clone());
    services.extend(plan.holds.iter().filter_map(|h| h.strip_prefix("service ")).map(str::to_owned));
    services
}

/// The services that `work` touches, before there is a plan of it.
pub fn touched_by(state: &State, work: &Work) -> BTreeSet<String> {
    let of_work = match work {
        Work::Act { action } => state.catalog.actions.get(action).and_then(|a| a.service.clone()),
        Work::Restore { backup, .. } => state.catalog.backups.get(backup).and_then(|b| b.service.clone()),
        Work::CutOver { of } | Work::CopyIn { of, .. } | Work::Undo { of } | Work::Drop { of } => {
            state.runs.get(of).and_then(|r| r.plan.service.clone())
        }
        of_service => of_service.service().map(str::to_owned),
    };
    of_work.into_iter().collect()
}

/// What a tag or a hold has against `plan`.
pub fn against(state: &State, plan: &Plan) -> Option<Refusal> {
    if state.guards.is_empty() {
        return None;
    }
    state.guards.against(&plan.work, plan.risk, &plan.title, &touched(state, plan))
}

/// Holds `services`, or everything when none is named.
pub fn hold(state: &State, services: BTreeSet<String>, reason: &str) -> Outcome {
    for service in &services {
        known_service(state, service)?;
    }
    let reason = required_reason("a hold", reason)?;
    let guards = &state.guards;
    if services.is_empty() {
        if let Some(hold) = guards.all.as_ref().filter(|h| h.except.is_empty()) {
            return Err(Refusal::new(format!("everything is held already, by {}: {}", hold.by, hold.reason), ""));
        }
        return one(about(state, &services), ServiceHeld { services, reason });
    }
    let fresh: BTreeSet<String> = services.iter().filter(|s| guards.hold(Some(s)).is_none()).cloned().collect();
    if fresh.is_empty() {
        let by = services.iter().find_map(|s| guards.hold(Some(s))).map(|h| h.by.clone()).unwrap_or_default();
        return Err(Refusal::new(format!("{} held already, by {by}", are(&services)), ""));
    }
    one(about(state, &fresh), ServiceHeld { services: fresh, reason })
}

/// The incident that work on `services` belongs to: the worst open one that names one of them, else the worst.
fn about(state: &State, services: &BTreeSet<String>) -> Option<String> {
    let open = state.open_incidents();
    let naming = open.iter().find(|i| !i.services.is_disjoint(services));
    naming.or(open.first()).map(|i| i.id.clone())
}

/// Releases `services`, or all that is held when none is named. It is for the commander of the incident that each was
/// held in: who leads another one, or declares one to lead it, has no say.
pub fn release(state: &State, services: BTreeSet<String>, reason: &str, ctx: &Context) -> Outcome {
    let guards = &state.guards;
    if guards.holds.is_empty() && guards.all.is_none() {
        return Err(Refusal::new("nothing is held", ""));
    }
    if let Some(free) = services.iter().find(|s| guards.hold(Some(s)).is_none()) {
        return Err(Refusal::new(format!("{free} is not held"), "mayday tags lists what is"));
    }
    let reason = required_reason("releasing a hold", reason)?;
    let held: Vec<&Hold> = match services.is_empty() {
        true => guards.holds.values().chain(&guards.all).collect(),
        false => services.iter().filter_map(|s| guards.hold(Some(s))).collect(),
    };
    for hold in &held {
        may_release(state, hold, &ctx.actor.user)?;
    }
    let of = held.first().and_then(|h| h.incident.clone());
    one(of.or_else(|| about(state, &services)), ServiceReleased { services, reason })
}

fn may_release(state: &State, hold: &Hold, user: &str) -> Result<(), Refusal> {
    let led = hold.incident.as_ref().and_then(|id| state.incidents.get(state.surviving(id)));
    if let Some(incident) = led.filter(|i| i.status != Status::Closed) {
        let id = &incident.id;
        let take = format!("mayday incident assign {user} --incident {id}");
        return match incident.commander() {
            Some(commander) if commander == user => Ok(()),
            Some(commander) => Err(Refusal::new(
                format!("a hold is released by the commander of {id}, who is {commander}"),
                format!("ask {commander}, or take command: {take}"),
            )),
            None => Err(Refusal::new(
                format!("a hold is released by the commander of {id}, and nobody leads it"),
                format!("take command first: {take}"),
            )),
        };
    }
    // Nothing is led any more: who set it knows why, or who led then. A hold outside of any incident would have nobody
    // left once its setter has gone home, so whoever leads one may lift that.
    let led_then = led.and_then(Incident::commander) == Some(user);
    let leads_now = hold.incident.is_none() && state.open_incidents().iter().any(|i| i.commander() == Some(user));
    if hold.by == user || led_then || leads_now {
        return Ok(());
    }
    let then = led.and_then(Incident::commander).filter(|c| *c != hold.by).map(|c| format!(", or {c} who led it"));
    Err(Refusal::new(
        format!("the hold is {}'s, since {}Z: {}", hold.by, hold.since.hm(), hold.reason),
        match led {
            Some(i) => format!("ask {}{}; or reopen {} and take command", hold.by, then.unwrap_or_default(), i.id),
            None => format!("ask {}, or lead the incident that it is in the way of", hold.by),
        },
    ))
}

fn are(services: &BTreeSet<String>) -> String {
    let names: Vec<&str> = services.iter().map(String::as_str).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// Puts a tag on `service`; one that another holds is taken over, which `over` has to say.
pub fn tag(state: &State, service: String, reason: &str, over: bool, ctx: &Context) -> Outcome {
    known_service(state, &service)?;
    let reason = required_reason("a tag", reason)?;
    let mut from = None;
    if let Some(tag) = state.guards.tag(&service)
        && !tag.by.same_person(&ctx.actor)
    {
        if !over {
            return Err(Refusal::new(
                format!("{service} is tagged by {} since {}Z: {}", tag.by.user, tag.since.hm(), tag.reason),
                format!("ask {}, or take it over: mayday tag {service} WHY --take-over", tag.by.user),
            ));
        }
        from = Some(tag.by.user.clone());
    }
    one(about(state, &[service.clone()].into()), ServiceTagged { service, reason, from })
}

/// Takes the tag off `service`; one that another holds only with a reason.
pub fn untag(state: &State, service: String, reason: &str, ctx: &Context) -> Outcome {
    let Some(tag) = state.guards.tag(&service) else {
        known_service(state, &service)?;
        return Err(Refusal::new(format!("{service} is not tagged"), "mayday tags lists what is"));
    };
    if tag.by.same_person(&ctx.actor) {
        let reason = super::decide::checked_reason(reason)?;
        return one(about(state, &[service.clone()].into()), ServiceUntagged { service, reason, from: None });
    }
    if reason.trim().is_empty() {
        return Err(Refusal::new(
            format!("the tag on {service} is {}'s, since {}Z: {}", tag.by.user, tag.since.hm(), tag.reason),
            format!("ask {}, or say why you take it off: mayday untag {service} --reason WHY", tag.by.user),
        ));
    }
    let (from, reason) = (Some(tag.by.user.clone()), required_reason("taking off another's tag", reason)?);
    one(about(state, &[service.clone()].into()), ServiceUntagged { service, reason, from })
}

/// Folds one entry in.
pub fn apply(state: &mut State, entry: &Entry) {
    let guards = &mut state.guards;
    match &entry.event {
        Event::ServiceHeld(e) => {
            let by = entry.actor.user.clone();
            let (reason, incident) = (e.reason.clone(), entry.incident.clone());
            let hold = Hold { by, since: entry.at, reason, incident, except: BTreeSet::new() };
            if e.services.is_empty() {
                guards.all = Some(hold);
            } else {
                guards.holds.extend(e.services.iter().map(|s| (s.clone(), hold.clone())));
            }
        }
        Event::ServiceReleased(e) => {
            if e.services.is_empty() {
                guards.all = None;
                guards.holds.clear();
            }
            for service in &e.services {
                guards.holds.remove(service);
                if let Some(all) = &mut guards.all {
                    all.except.insert(service.clone());
                }
            }
        }
        Event::ServiceTagged(e) => {
            let tag =
                Tag { by: entry.actor.lasting(), since: entry.at, reason: e.reason.clone(), from: e.from.clone() };
            guards.tags.insert(e.service.clone(), tag);
        }
        Event::ServiceUntagged(e) => {
            guards.tags.remove(&e.service);
        }
        _ => {}
    }
}
