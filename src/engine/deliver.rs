//! The outbox: messages that the state says are undelivered, each channel on its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::core::{Core, Message};
use crate::domain::event::MessageAttempted;
use crate::domain::message::Delivery;
use crate::notify::{Attempt, Outgoing, Sender, retry};

/// Senders by channel, and what is under way.
#[derive(Default)]
pub struct Outbox {
    pub senders: HashMap<String, Result<Arc<Sender>, String>>,
    /// Message and channel of every attempt under way.
    busy: HashSet<(String, String)>,
    /// Undelivered messages that are on record: while nothing can be recorded, only these go out.
    on_record: HashSet<String>,
    /// The head printed in each message, the same in every attempt.
    heads: HashMap<String, String>,
}

impl Core {
    /// Starts an attempt for everything that is due. Within an incident a channel gets its messages in order.
    pub(super) fn deliver_due(&mut self) {
        if self.setting_up {
            return;
        }
        let now = self.now();
        let recorded = self.recorder.is_on();
        if recorded {
            let waiting = self.state.messages.values().filter(|m| !m.is_done());
            self.outbox.on_record = waiting.map(|m| m.id.clone()).collect();
        }
        let mut started = Vec::new();
        let mut blocked: HashSet<(Option<String>, String)> = HashSet::new();
        for message in self.state.messages_in_order() {
            for (channel, delivery) in &message.channels {
                if delivery.state.is_final() {
                    continue;
                }
                let lane = (message.incident.clone(), channel.clone());
                let key = (message.id.clone(), channel.clone());
                let due = delivery.next_at.is_none_or(|at| at <= now);
                let held = !self.outbox.on_record.contains(&message.id);
                if !blocked.insert(lane) || held || !due || self.outbox.busy.contains(&key) {
                    continue;
                }
                started.push((message.clone(), channel.clone(), delivery.attempts + 1));
            }
        }
        for (message, channel, number) in started {
            let head = self.outbox.heads.entry(message.id.clone()).or_insert_with(|| self.recorder.head8()).clone();
            let sender = match self.outbox.senders.get(&channel) {
                Some(Ok(sender)) => Arc::clone(sender),
                Some(Err(why)) => {
                    let attempt = refused(why.clone());
                    self.take_delivery(&message.id, &channel, number, &attempt);
                    continue;
                }
                None => {
                    let attempt = refused("the channel is not configured any more".into());
                    self.take_delivery(&message.id, &channel, number, &attempt);
                    continue;
                }
            };
            let late = (number == 1).then(|| retry::late(message.queued_at, now)).flatten();
            let incident = message.incident.as_ref().and_then(|id| self.state.incidents.get(id));
            let catalog = &self.state.catalog;
            let out = Outgoing::new(&message, incident, &catalog.system, &catalog.environment, &head, late);
            self.outbox.busy.insert((message.id.clone(), channel.clone()));
            let inbox = self.inbox.clone();
            tokio::spawn(async move {
                let sending = tokio::spawn(async move { sender.send(&out, number).await });
                let attempt = sending.await.unwrap_or_else(|e| Attempt {
                    result: Delivery::Retrying,
                    answer: format!("delivering failed inside: {e}"),
                    retry_after: None,
                });
                let news = Message::Delivered { message: message.id, channel, number, attempt };
                let _ = inbox.send(news).await;
            });
        }
    }

    pub(super) fn take_delivery(&mut self, id: &str, channel: &str, number: u32, attempt: &Attempt) {
        self.outbox.busy.remove(&(id.to_owned(), channel.to_owned()));
        let now = self.now();
        let Some(message) = self.state.messages.get(id) else { return };
        let (result, next_at) =
            match (attempt.result, retry::next(id, channel, number, attempt, message.queued_at, now)) {
                (Delivery::Retrying, retry::Next::At(at)) => (Delivery::Retrying, Some(at)),
                (Delivery::Retrying, retry::Next::GiveUp) => (Delivery::Undelivered, None),
                (result, _) => (result, None),
            };
        let incident = message.incident.clone();
        let head = self.outbox.heads.get(id).cloned().unwrap_or_default();
        if message.channels.values().filter(|c| !c.state.is_final()).count() <= 1 && result.is_final() {
            self.outbox.heads.remove(id);
        }
        let event = MessageAttempted {
            message: id.to_owned(),
            channel: channel.to_owned(),
            attempt: number,
            result,
            answer: self.mask.apply(&attempt.answer).into_owned(),
            next_at,
            head,
        };
        self.record_own(incident, event);
    }
}

fn refused(why: String) -> Attempt {
    Attempt { result: Delivery::Refused, answer: why, retry_after: None }
}
