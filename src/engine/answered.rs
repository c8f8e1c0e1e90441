//! What was answered to whom, so that a request that is sent again is not carried out twice.
//!
//! The key of a request is written into its entries. An engine that dies between the sync and the answer leaves it there,
//! and the next one knows by the end of the record what it need not do again.

use std::collections::{HashMap, VecDeque};

use crate::domain::Actor;
use crate::domain::event::{Entry, Event};
use crate::wire::Answer;

/// Answers remembered.
const REMEMBERED: usize = 1000;
/// Entries at the end of the record whose keys are known after a start. Who sends again does so within seconds.
pub const TAIL: u64 = 1000;
/// Longest key of a request, bytes.
pub const KEY: usize = 100;

/// Answers by the person and the key of their request.
#[derive(Debug, Default)]
pub struct Answered {
    by_key: HashMap<String, Answer>,
    order: VecDeque<String>,
}

/// A key means something only from the person who made it up. Empty when there is none.
pub fn whose(actor: &Actor, key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{}/{key}", actor.uid.unwrap_or(u32::MAX)) }
}

/// What of a key goes into the record: all of it, or nothing where it is not of the plain kind.
pub fn recordable(key: &str) -> String {
    let plain = key.len() <= KEY && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if plain { key.to_owned() } else { String::new() }
}

impl Answered {
    pub fn get(&self, key: &str) -> Option<&Answer> {
        self.by_key.get(key)
    }

    pub fn keep(&mut self, key: String, answer: Answer) {
        if self.by_key.insert(key.clone(), answer).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }

    /// Takes an entry of the record in; those of one request come in their order.
    pub fn take(&mut self, entry: &Entry) {
        if entry.actor.key.is_empty() || matches!(entry.event, Event::CommandRefused(_)) {
            return;
        }
        let key = whose(&entry.actor, &entry.actor.key);
        if let Event::ApprovalRequested(e) = &entry.event {
            return self.keep(key, Answer::Approval(Box::new(crate::domain::approval::Approval::of(e, entry))));
        }
        let (mut incident, mut run, mut message, mut recovery) = match self.by_key.get(&key) {
            Some(Answer::Done { incident, run, message, recovery, .. }) => {
                (incident.clone(), run.clone(), message.clone(), recovery.clone())
            }
            _ => (None, None, None, None),
        };
        incident = entry.incident.clone().or(incident);
        match &entry.event {
            Event::RunRequested(e) => run = Some(e.plan.id.clone()),
            Event::MessageQueued(e) => message = Some(e.id.clone()),
            _ => {}
        }
        recovery = super::recover::about(&entry.event).or(recovery);
        self.keep(key, Answer::Done { seq: entry.seq, incident, run, message, recovery, recorded: true });
    }
}
