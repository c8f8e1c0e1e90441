//! Messages as they are offered to be sent: templates filled with what is known of an incident.
//!
//! What happened lately and what it cost is read from the record, which takes a while when the history is long; so a
//! draft is made beside the core, from a copy of the state.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Time;
use crate::domain::command::Refusal;
use crate::domain::event::{ConfigLoaded, Entry};
use crate::domain::incident::Incident;
use crate::domain::message::Template;
use crate::domain::state::State;
use crate::notify;
use crate::text::Mask;
use crate::wire::{Answer, TimelineQuery};

/// Entries before a declaration, and in all, that a message's figures are measured from.
const LEAD_UP: u64 = 500;
const MEASURED: usize = 20_000;

/// What a draft is made from.
pub struct Drafting {
    pub state: State,
    pub mask: Mask,
    pub channels: Vec<String>,
    /// First digits of the journal's head.
    pub head: String,
    pub now: Time,
    /// The record to read, if it is to be read.
    pub record: Option<PathBuf>,
    /// The level of the ladder that it is for.
    pub level: Option<notify::facts::LevelFact>,
}

impl Drafting {
    /// Fills the template in. Blocks on the disk where there is a record to read.
    pub fn draft(&self, template: Template, incident: Option<&str>) -> Answer {
        let state = &self.state;
        let found = match incident {
            Some(id) => state.incidents.get(id),
            None => {
                let open = state.open_incidents().first().copied();
                open.or_else(|| state.incidents.values().max_by_key(|i| i.last_seq))
            }
        };
        let facts = match (template, found) {
            (Template::Test, _) => notify::facts::test_facts(state, &self.live(None)),
            (_, Some(incident)) => notify::facts(state, incident, &self.live(Some(incident)), self.now),
            (_, None) => {
                return Answer::Refused(Refusal::new("there is no incident to write about", "declare one with d"));
            }
        };
        let draft = notify::fill(template, &facts);
        Answer::Draft {
            subject: self.mask.apply(&draft.subject).into_owned(),
            body: self.mask.apply(&draft.body).into_owned(),
            channels: self.channels.clone(),
        }
    }

    /// What a message may say beside what the fold holds.
    fn live(&self, incident: Option<&Incident>) -> notify::Live {
        let mut live = notify::Live { head: self.head.clone(), level: self.level.clone(), ..notify::Live::default() };
        let (state, Some(incident), Some(record)) = (&self.state, incident, &self.record) else { return live };
        let since = incident.last_update_at.unwrap_or(incident.declared_at);
        let query = TimelineQuery { incident: Some(incident.id.clone()), limit: 200, ..TimelineQuery::default() };
        // As it reads now, without what was hidden: a message repeats no mistake that was corrected.
        let curated = super::find::Curated { upto: state.seq, curation: state.curation.clone().into() };
        if let Answer::Timeline { rows, .. } = super::records::timeline(record, &query, &curated) {
            live.happened = rows.into_iter().filter(|r| r.at >= since && !r.hidden && !r.is_correction()).collect();
            live.happened.sort_by_key(|r| (r.happened(), r.seq));
        }
        self.measure_so_far(incident, &mut live);
        live
    }

    /// Downtime and cost as the review would measure them now, from the entries around the incident.
    fn measure_so_far(&self, incident: &Incident, live: &mut notify::Live) {
        let Some(Ok(reader)) = self.record.as_deref().map(crate::journal::Reader::open) else { return };
        let from = incident.declared_seq.saturating_sub(LEAD_UP).max(1);
        let Ok(page) = reader.read_range(from, MEASURED) else { return };
        // The configuration in force may have been loaded long before.
        let config = ConfigLoaded {
            digest: self.state.config_digest.clone(),
            source: String::new(),
            catalog: self.state.catalog.clone(),
        };
        let Some(first) = page.entries.first() else { return };
        let seq = first.seq.saturating_sub(1);
        let mut entries = vec![Entry { seq, event: config.into(), incident: None, ..first.clone() }];
        entries.extend(page.entries);
        let Ok(measures) = crate::report::measure::measure(&entries, &incident.id) else { return };
        for service in &measures.services {
            if let Some(ms) = service.total_ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0) {
                live.downtime.insert(service.service.clone(), Duration::from_millis(ms));
            }
        }
        live.cost = measures.get("cost").and_then(|m| match &m.value {
            crate::report::Value::Money(amount, _) => Some(*amount),
            _ => None,
        });
    }
}
