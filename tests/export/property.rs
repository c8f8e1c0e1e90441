//! Any journal: the same bytes twice, JSON that reads, and every number citing entries that exist.

use std::collections::BTreeSet;

use mayday::domain::event::{self, Entry, Event};
use mayday::domain::health::Health;
use mayday::domain::incident::Status;
use mayday::domain::message::{Delivery, Template};
use mayday::domain::{Time, catalog::Severity};
use mayday::report::{Extra, Review, Value, json, markdown};
use proptest::prelude::*;

use super::incidents::{ID, missing_ack};

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![
        Just(Health::Down),
        Just(Health::Up),
        Just(Health::Unknown),
        Just(Health::Degraded),
        Just(Health::Paused)
    ]
}

fn event() -> impl Strategy<Value = (bool, Event)> {
    let service = prop_oneof![Just("api"), Just("web"), Just("postgres"), Just("ghost")];
    let status = prop::sample::select(Status::ALL.to_vec());
    let severity = prop::sample::select(Severity::ALL.to_vec());
    let changed = (service.clone(), health(), health(), 0_i64..4000).prop_map(|(service, from, to, s)| {
        let happened_at = (s % 3 != 0).then(|| Time::from_ms(1_795_140_000_000 + s * 1000));
        let (check, detail) = ("http".to_owned(), "seen".to_owned());
        (
            false,
            event::HealthChanged { service: service.into(), from, to, check, detail, because: None, happened_at }
                .into(),
        )
    });
    let queued = (0_u8..4).prop_map(|n| {
        let (subject, body) = ("s".to_owned(), "b".to_owned());
        let channels = vec!["incidents".to_owned()];
        let id = format!("m-{n}");
        (
            true,
            event::MessageQueued { id, template: Template::Update, subject, body, channels, automatic: false }.into(),
        )
    });
    let attempted = (0_u8..4, any::<bool>()).prop_map(|(n, ok)| {
        let result = if ok { Delivery::Accepted } else { Delivery::Retrying };
        let (message, channel, answer) = (format!("m-{n}"), "incidents".to_owned(), "a|b".to_owned());
        (
            true,
            event::MessageAttempted {
                message,
                channel,
                attempt: 1,
                result,
                answer,
                next_at: None,
                head: String::new(),
            }
            .into(),
        )
    });
    prop_oneof![
        4 => changed,
        1 => (status.clone(), status, any::<bool>()).prop_map(|(from, to, forced)| {
            (true, event::IncidentStatus { from, to, reason: "why".into(), forced }.into())
        }),
        1 => (severity.clone(), severity).prop_map(|(from, to)| {
            (true, event::IncidentSeverity { from, to, reason: String::new() }.into())
        }),
        1 => Just((true, event::IncidentReopened { reason: "again".into() }.into())),
        1 => Just((true, event::IncidentAcknowledged {}.into())),
        1 => service.prop_map(|s| {
            let added = BTreeSet::from([s.to_owned()]);
            (true, event::IncidentServices { added, removed: BTreeSet::new() }.into())
        }),
        1 => Just((false, event::EngineStarted { version: "0".into(), pid: 1, clean: false }.into())),
        1 => "\\PC{0,60}".prop_map(|text| (true, event::NoteAdded { text, happened_at: None }.into())),
        1 => queued,
        1 => attempted,
    ]
}

/// A declared incident with anything behind it; the clock may step back.
pub fn journal() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec((event(), -20_i64..600), 0..60).prop_map(|events| {
        let mut entries = missing_ack().entries;
        let mut at = entries.last().map_or(0, |e| e.at.ms());
        for ((own, event), step) in events {
            at += step * 1000;
            let mut entry = entries[0].clone();
            entry.seq = entries.len() as u64 + 1;
            entry.at = Time::from_ms(at);
            entry.incident = own.then(|| ID.to_owned());
            entry.event = event;
            entries.push(entry);
        }
        entries
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn same_entries_same_bytes_and_honest_citations(entries in journal()) {
        let review = Review::new(&entries, ID, Extra::default()).unwrap();
        let (md, js) = (markdown::render(&review), json::render(&review));
        let copy = entries.clone();
        let again = Review::new(&copy, ID, Extra::default()).unwrap();
        prop_assert_eq!(&md, &markdown::render(&again));
        prop_assert_eq!(&js, &json::render(&again));

        let read: serde_json::Value = serde_json::from_str(&js).unwrap();
        prop_assert_eq!(&read["schema"], 1);
        let known: BTreeSet<u64> = review.story.entries.iter().map(|e| e.seq).collect();
        for m in &review.measures.all {
            prop_assert!(m.entries.iter().all(|s| known.contains(s)), "{} cites {:?}", m.name, m.entries);
            let empty_may = matches!(m.value, Value::NotRecorded(_) | Value::Count(0));
            prop_assert!(!m.entries.is_empty() || empty_may, "{} cites nothing: {:?}", m.name, m.value);
            if let (Value::Ms(ms), false) = (&m.value, m.name.starts_with('t')) {
                prop_assert!(*ms >= 0 || m.name.starts_with("severity") || m.name == "page_delay", "{} is {ms}", m.name);
            }
        }
        for cited in mayday::report::cite::find(&md).iter().flat_map(mayday::report::cite::Found::named) {
            prop_assert!(known.contains(&cited), "[{}]", cited);
        }
    }

    #[test]
    fn downtime_is_never_longer_than_the_time_it_lies_in(entries in journal()) {
        let review = Review::new(&entries, ID, Extra::default()).unwrap();
        for s in &review.measures.services {
            for pair in s.intervals.windows(2) {
                prop_assert!(pair[0].to.is_some_and(|to| to < pair[1].from), "{:?}", s.intervals);
            }
            if let (Some(total), Some(first)) = (s.total_ms, s.intervals.first()) {
                let end = s.intervals.last().and_then(|i| i.to).unwrap_or(review.story.last.at).max(first.from);
                prop_assert!(total <= end.ms_since(first.from), "{total} {:?}", s.intervals);
            }
        }
    }
}
