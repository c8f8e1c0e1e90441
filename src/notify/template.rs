//! Filling a message from the facts. What comes out is a draft: a person edits it before it is sent.
//!
//! A template's first line is the subject, the rest the body. A fact that is not known leaves its line out. Templates see
//! the fields of [`Facts`] by name and nothing else: no files, no includes, and a bounded number of steps.

use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value};

use super::Facts;
use crate::domain::message::Template;
use crate::text::clean_lines;

/// A message to be looked over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// The built-in text of `template`.
pub const fn source(template: Template) -> &'static str {
    match template {
        Template::Initial => include_str!("templates/initial.txt"),
        Template::Update => include_str!("templates/update.txt"),
        Template::Resolution => include_str!("templates/resolution.txt"),
        Template::Escalation => include_str!("templates/escalation.txt"),
        // An alert is never drafted: its words are what happened.
        Template::Test | Template::Alert => include_str!("templates/test.txt"),
    }
}

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            environment.set_syntax(syntax);
        }
        for template in Template::ALL {
            // The names have no ending that means HTML, so that nothing is escaped: each channel escapes for itself.
            if let Err(e) = environment.add_template(template.word(), source(template)) {
                debug_assert!(false, "built-in template {}: {e}", template.word());
            }
        }
        environment
    })
}

/// The draft of `template` filled with `facts`. It never fails: should a template not render, the draft is the bare facts.
pub fn fill(template: Template, facts: &Facts) -> Draft {
    let rendered = environment()
        .get_template(template.word())
        .and_then(|t| t.render(facts.value()))
        .unwrap_or_else(|_| format!("{} {}\n{}", template.word(), facts.incident, facts.title));
    split(&rendered)
}

fn split(text: &str) -> Draft {
    let text = clean_lines(text.trim(), usize::MAX);
    let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
    // At most one empty line in a row: what was left out leaves no hole.
    let mut lines: Vec<&str> = Vec::new();
    for line in body.trim().lines().map(str::trim_end) {
        if !(line.is_empty() && lines.last().is_some_and(|l| l.is_empty())) {
            lines.push(line);
        }
    }
    Draft { subject: subject.trim().to_owned(), body: lines.join("\n") }
}

/// `serde_json` to template value; null is undefined, so that `{% if x %}` and `{{ x }}` agree.
pub(super) fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as J;
    match json {
        J::Null => Value::UNDEFINED,
        J::Bool(b) => Value::from(b),
        J::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::from(i),
            (None, Some(f)) => Value::from(f),
            (None, None) => Value::UNDEFINED,
        },
        J::String(s) => Value::from(s),
        J::Array(items) => Value::from(items.into_iter().map(value).collect::<Vec<_>>()),
        J::Object(fields) => Value::from_pairs(fields.into_iter().map(|(k, v)| (k, value(v)))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::*;
    use crate::domain::Time;
    use crate::domain::catalog::{Catalog, Cost, ServiceFacts, Severity, SeverityFacts};
    use crate::domain::event::{self, Entry, Event};
    use crate::domain::health::Health;
    use crate::domain::incident::Status;
    use crate::domain::state::State;
    use crate::notify::{Live, facts};

    fn at(clock: &str) -> Time {
        Time::parse(&format!("2026-11-20T{clock}Z")).unwrap()
    }

    fn entry(seq: u64, clock: &str, event: impl Into<Event>) -> Entry {
        Entry {
            seq,
            at: at(clock),
            boot_ms: 0,
            boot: String::new(),
            host: "h".into(),
            actor: crate::domain::Actor { user: "oncall1".into(), uid: Some(1004), ..Default::default() },
            incident: Some("INC-2026-004".into()),
            event: event.into(),
        }
    }

    fn down(service: &str, happened: &str) -> event::HealthChanged {
        event::HealthChanged {
            service: service.into(),
            from: Health::Up,
            to: Health::Down,
            check: "http".into(),
            detail: "503".into(),
            because: None,
            happened_at: Some(at(happened)),
        }
    }

    fn story() -> Vec<Entry> {
        let service =
            |tier, rto_ms, impact: &str| ServiceFacts { tier, rto_ms, impact: impact.into(), ..Default::default() };
        let catalog = Catalog {
            system: "crazy-gary".into(),
            environment: "production".into(),
            services: BTreeMap::from([
                ("api".to_owned(), service(1, Some(600_000), "no backend functionality")),
                ("web".to_owned(), service(2, None, "no UI")),
            ]),
            severities: BTreeMap::from([(
                Severity::P0,
                SeverityFacts { update_every_ms: Some(900_000), ..SeverityFacts::default() },
            )]),
            cost: Some(Cost { per_hour: 45_000.0, currency: "EUR".into() }),
            ..Catalog::default()
        };
        vec![
            entry(1, "02:00:00", event::ConfigLoaded { digest: String::new(), source: "x".into(), catalog }),
            entry(2, "02:03:20", down("api", "02:03:11")),
            entry(
                3,
                "02:05:00",
                event::IncidentDeclared {
                    title: "Complete outage".into(),
                    severity: Severity::P0,
                    services: BTreeSet::from(["api".to_owned(), "web".to_owned()]),
                    onset: Some(at("02:03:11")),
                    source: "human".into(),
                },
            ),
        ]
    }

    fn draft(template: Template, entries: &[Entry], live: &Live, now: &str) -> Draft {
        let state = State::replay(entries);
        fill(template, &facts(&state, &state.incidents["INC-2026-004"], live, at(now)))
    }

    #[test]
    fn an_initial_message_says_what_is_known_and_nothing_else() {
        let draft = draft(Template::Initial, &story(), &Live::default(), "02:07:30");
        assert_eq!(draft.subject, "[P0] INC-2026-004 Complete outage - crazy-gary production");
        assert_eq!(
            draft.body,
            "INCIDENT P0: Complete outage\n\
             \n\
             System: crazy-gary (production)\n\
             Incident: INC-2026-004, investigating\n\
             Detected: 02:03:11 UTC\n\
             Declared: 02:05:00 UTC by oncall1\n\
             \n\
             Affected:\n\
             - api: down since 02:03:11 UTC - no backend functionality\n\
             - web: unknown - no UI\n\
             \n\
             Next update by 02:22:30 UTC."
        );
    }

    #[test]
    fn an_update_tells_what_happened_since() {
        let mut entries = story();
        entries.push(entry(4, "02:06:00", event::IncidentAssigned { role: "commander".into(), user: "ann".into() }));
        entries.push(entry(
            5,
            "02:08:00",
            event::NoteAdded { text: "disk was full\u{1b}[2J".into(), happened_at: None },
        ));
        let (from, to, reason) = (Severity::P0, Severity::P1, "half is back".to_owned());
        entries.push(entry(6, "02:09:00", event::IncidentSeverity { from, to, reason }));
        entries.push(entry(7, "02:09:10", event::IncidentSeverity { from: to, to: from, reason: String::new() }));
        entries.push(entry(8, "02:10:00", event::HealthChanged { to: Health::Up, ..down("web", "02:10:00") }));
        let happened = entries.iter().skip(3).map(crate::domain::timeline::row).collect();
        let draft = draft(Template::Update, &entries, &Live { happened, ..Live::default() }, "02:12:00");
        assert_eq!(draft.subject, "[P0] INC-2026-004 update 1: Complete outage - investigating");
        for line in [
            "Severity: P0, investigating, 7m since it was declared\nCommander: ann\n",
            "Since the last message:\n- 02:09:00 UTC oncall1: ",
            "half is back",
            "- 02:10:00 UTC oncall1: web ",
            "Next update by 02:27:00 UTC.",
        ] {
            assert!(draft.body.contains(line), "{line:?} is missing in\n{}", draft.body);
        }
        // What was noted is for those inside.
        assert!(!draft.body.contains("disk was full"), "{}", draft.body);
        // The next one counts from this one, so that an overdue update does not promise a time that has passed.
        let late = self::draft(Template::Update, &entries, &Live::default(), "02:30:00");
        assert!(late.body.contains("Next update by 02:45:00 UTC."), "{}", late.body);
        assert!(late.body.contains("Over the objective:\n- api: RTO 10m over by 16m"), "{}", late.body);
    }

    #[test]
    fn a_resolution_counts_up() {
        let mut entries = story();
        let up = event::HealthChanged { from: Health::Down, to: Health::Up, ..down("api", "02:15:31") };
        entries.push(entry(4, "02:15:40", up));
        let resolved = event::IncidentStatus {
            from: Status::Investigating,
            to: Status::Resolved,
            reason: String::new(),
            forced: false,
        };
        entries.push(entry(5, "02:20:00", resolved));
        let live = Live {
            downtime: BTreeMap::from([("api".to_owned(), Duration::from_secs(740))]),
            cost: Some(9250.0),
            ..Live::default()
        };
        let draft = draft(Template::Resolution, &entries, &live, "02:21:00");
        assert_eq!(draft.subject, "[RESOLVED] INC-2026-004 Complete outage - crazy-gary production");
        for line in [
            "Resolved: 02:20:00 UTC (15m after it was declared)\n",
            "Downtime:\n- api: 12m20s (RTO 10m missed by 2m20s)\n",
            "Estimated cost: 9,250 EUR",
        ] {
            assert!(draft.body.contains(line), "{line:?} is missing in\n{}", draft.body);
        }
        assert!(!draft.body.contains("Not up yet"), "{}", draft.body);
    }

    #[test]
    fn facts_are_text_and_never_templates() {
        let mut entries = story();
        let title = "{{ 7 * 7 }}{% for x in [1] %}\nBcc: x{% endfor %}".to_owned();
        entries.push(entry(4, "02:06:00", event::IncidentTitled { title }));
        for template in Template::ALL {
            let draft = draft(template, &entries, &Live::default(), "02:07:00");
            assert!(!draft.subject.contains('\n') && !draft.subject.is_empty());
            assert!(!format!("{draft:?}").contains("49"), "{draft:?}");
        }
    }

    #[test]
    fn bare_facts_leave_no_holes() {
        for template in Template::ALL {
            let draft = fill(template, &Facts::default());
            assert!(!draft.subject.is_empty());
            assert!(!draft.body.contains("\n\n\n") && !draft.body.contains("none"), "{draft:?}");
        }
    }
}
