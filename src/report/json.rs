//! The review as JSON, for programs. Fields are only ever added; `schema` counts changes that are not.
//!
//! Times are RFC 3339 UTC with milliseconds, durations milliseconds (`_ms`). `entries` are journal positions.

use serde_json::{Map, Value as Json, json};

use super::measure::{Measure, ServiceDowntime, Value, Verdict};
use super::sections::DEFINITIONS;
use super::story::{MessageStory, RunStory};
use super::{Review, Sink, timeline};
use crate::text::Mask;
use crate::text::clean_lines;

/// The document, with a line end at its end.
pub fn render(review: &Review<'_>) -> String {
    super::collected(|sink| render_to(review, sink))
}

/// As [`render`], piece by piece.
pub fn render_to(review: &Review<'_>, sink: &mut Sink<'_>) {
    let mut document = document(review);
    super::lead::json(&review.story, &mut document);
    super::aftermath::json(&review.story, &mut document);
    harmless(&mut document, &review.extra.mask);
    let mut out = String::from("{");
    let Json::Object(fields) = &document else { return };
    for (n, (name, value)) in fields.iter().enumerate() {
        out.push_str(if n == 0 { "\n  " } else { ",\n  " });
        out.push_str(&Json::from(name.as_str()).to_string());
        out.push_str(": ");
        if name == "timeline" {
            rows(&mut out, review, sink);
        } else {
            indented(&mut out, value, "  ");
        }
    }
    out.push_str("\n}\n");
    sink(&out);
}

/// Row by row: a long incident has very many.
fn rows(out: &mut String, review: &Review<'_>, sink: &mut Sink<'_>) {
    let lines = review.lines();
    out.push('[');
    for (n, line) in lines.iter().enumerate() {
        out.push_str(if n == 0 { "\n    " } else { ",\n    " });
        let mut row = row(review, &line);
        harmless(&mut row, &review.extra.mask);
        indented(out, &row, "    ");
        super::pass_on(out, sink);
    }
    out.push_str(if lines.is_empty() { "]" } else { "\n  ]" });
}

fn row(review: &Review<'_>, l: &timeline::Line) -> Json {
    let mut row = json!({
        "seq": l.row.seq, "at": l.at, "recorded_at": l.row.at, "t_ms": l.level.ms_since(review.story.t_zero.at),
        "actor": l.row.actor, "via": l.row.via, "kind": l.row.kind, "level": l.row.level, "service": l.row.service,
        "run": l.row.run, "own": l.own, "told": l.is_told(), "text": l.text,
    });
    let Some(fields) = row.as_object_mut() else { return row };
    let mut add = |name: &str, value: Json| drop(fields.insert(name.to_owned(), value));
    if let Some(author) = &l.author {
        add("author", json!(author));
    }
    if let Some(source) = &l.source {
        add("source", json!(source));
    }
    if let Some(original) = &l.original {
        add("original", json!(original));
    }
    if l.row.pinned {
        add("pinned", json!(true));
    }
    if l.row.hidden {
        add("hidden", json!(true));
    }
    if let Some(title) = &l.row.title {
        add("title", json!(title));
    }
    if !l.row.amended.is_empty() {
        let amended: Vec<Json> = l
            .row
            .amended
            .iter()
            .map(|a| json!({ "what": a.what, "by": a.by, "at": a.at, "reason": a.reason, "entries": [a.seq] }))
            .collect();
        add("amended", amended.into());
    }
    row
}

/// As pretty JSON behind a line that is indented so.
fn indented(out: &mut String, value: &Json, indent: &str) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    for (n, line) in text.lines().enumerate() {
        if n > 0 {
            out.push('\n');
            out.push_str(indent);
        }
        out.push_str(line);
    }
}

fn document(review: &Review<'_>) -> Json {
    let story = &review.story;
    let start = review.start();
    let catalog = story.catalog_at(story.declared.seq).map(|(_, c)| c);
    let mut out = json!({
        "schema": 1,
        "mayday": env!("CARGO_PKG_VERSION"),
        "incident": {
            "id": story.id,
            "title": story.title,
            "system": catalog.map(|c| c.system.as_str()),
            "environment": catalog.map(|c| c.environment.as_str()),
            "severity": story.severities.last().map(|(_, s)| s.name()),
            "severities": story.severities.iter().map(|(m, s)| json!({ "at": m.at, "severity": s.name(), "entries": [m.seq] })).collect::<Vec<_>>(),
            "status": story.statuses.last().map(|(_, s, _)| s.word()),
            "statuses": story.statuses.iter().map(|(m, s, forced)| json!({ "at": m.at, "status": s.word(), "forced": forced, "entries": [m.seq] })).collect::<Vec<_>>(),
            "started_at": story.declared.at,
            "declared_by": story.declared_by,
            "source": story.source,
            "services": story.services.keys().collect::<Vec<_>>(),
            "roles": story.roles.iter().map(|(m, role, user)| json!({ "at": m.at, "role": role, "user": user, "entries": [m.seq] })).collect::<Vec<_>>(),
            "last_entry": story.last.seq,
            "head": review.extra.head,
        },
        "measures": review.measures.all.iter().map(measure).collect::<Vec<_>>(),
        "services": review.measures.services.iter().map(service).collect::<Vec<_>>(),
        "timeline": Json::Null,
        "runs": story.runs.iter().map(run).collect::<Vec<_>>(),
        "recoveries": super::recovery::json(story),
        "hypotheses": super::thinking::hypotheses_json(story),
        "handoffs": super::thinking::handoffs_json(story),
        "approvals": super::approvals::json(story),
        "messages": story.messages.iter().map(message).collect::<Vec<_>>(),
        "updates": review.measures.dues.as_ref().map(|dues| dues.iter().map(|d| json!({
            "due": d.due, "sent": d.sent.map(|s| s.at), "late_ms": d.late_ms,
            "entries": std::iter::once(d.counted_from.seq).chain(d.sent.map(|s| s.seq)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>()),
        "samples": story.sealed.as_ref().map(|(seq, file, digest, n)| json!({
            "file": file, "digest": digest, "samples": n, "entries": [seq], "digest_matches": review.samples_match(),
        })),
        "blind": story.blind.iter().filter(|b| b.until.at >= start).map(|b| json!({
            "from": b.from.at, "to": b.until.at, "entries": [b.from.seq, b.until.seq],
        })).collect::<Vec<_>>(),
        "definitions": DEFINITIONS.iter().map(|(name, text)| ((*name).to_owned(), Json::from(*text))).collect::<Map<_, _>>(),
    });
    if let Json::Object(map) = &mut out {
        super::playbook::json(story, map);
    }
    out
}

fn verdict(v: Verdict) -> (Json, Json, Json) {
    match v {
        Verdict::None => (Json::Null, Json::Null, Json::Null),
        Verdict::Met { limit_ms, by_ms } | Verdict::Missed { limit_ms, by_ms } => {
            (v.word().into(), limit_ms.into(), by_ms.into())
        }
        Verdict::Undecided { limit_ms } => (v.word().into(), limit_ms.into(), Json::Null),
        Verdict::NotLive => (v.word().into(), Json::Null, Json::Null),
    }
}

fn measure(m: &Measure) -> Json {
    let (word, limit, by) = verdict(m.verdict);
    let mut out = json!({ "name": m.name, "label": m.label, "value_ms": m.ms(), "verdict": word });
    let Some(fields) = out.as_object_mut() else { return out };
    let mut add = |name: &str, value: Json| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    match &m.value {
        Value::At(at) => add("at", json!(at)),
        Value::Ms(_) => {}
        Value::Count(n) => add("count", json!(n)),
        Value::Money(amount, currency) => {
            add("amount", json!((amount * 100.0).round() / 100.0));
            add("currency", json!(currency));
        }
        Value::NotRecorded(why) => {
            if m.verdict == Verdict::None {
                add("verdict", json!("not recorded"));
            }
            add("why", json!(why));
        }
    }
    add("limit_ms", limit);
    add("by_ms", by);
    fields.insert("from".into(), json!(m.from));
    fields.insert("to".into(), json!(m.to));
    fields.insert("entries".into(), json!(m.entries));
    if !m.note.is_empty() {
        fields.insert("note".into(), json!(m.note));
    }
    out
}

fn service(s: &ServiceDowntime) -> Json {
    let (word, _, by) = verdict(s.verdict);
    json!({
        "name": s.service, "tier": s.tier, "named": s.named, "downtime_ms": s.total_ms, "rto_ms": s.rto_ms, "verdict": word,
        "by_ms": by, "still_down": s.still_down, "uncertain_ms": s.probe_ms, "note": s.note, "entries": s.entries,
        "intervals": s.intervals.iter().map(|i| json!({ "from": i.from, "to": i.to, "entries": i.entries })).collect::<Vec<_>>(),
    })
}

fn run(r: &RunStory<'_>) -> Json {
    let finish = r.finished.as_ref();
    let mut entries = vec![r.requested.seq];
    entries.extend(r.started.into_iter().chain(r.cancelled).map(|m| m.seq).chain(finish.map(|f| f.mark.seq)));
    json!({
        "id": r.plan.id, "what": r.plan.title, "target": r.plan.target, "service": r.plan.service,
        "state": finish.map(|f| f.state), "exit": finish.and_then(|f| f.exit), "verdict": finish.map(|f| f.verdict.word()),
        "detail": finish.map(|f| f.detail), "requested_at": r.requested.at, "requested_by": r.by, "via": r.via,
        "reason": r.reason, "unlogged": r.unlogged, "started_at": r.started.map(|m| m.at),
        "finished_at": finish.map(|f| f.mark.at),
        "commands": r.plan.phases.iter().flat_map(|p| p.step.shown()).collect::<Vec<_>>(),
        "output_digest": finish.map(|f| f.output_digest), "output": finish.map(|f| f.excerpt), "entries": entries,
    })
}

fn message(m: &MessageStory<'_>) -> Json {
    json!({
        "id": m.id, "template": m.template.word(), "subject": m.subject, "body": m.body, "by": m.by,
        "automatic": m.automatic, "queued_at": m.queued.at, "entries": [m.queued.seq],
        "channels": m.channels.iter().map(|channel| {
            let tried: Vec<_> = m.attempts.iter().filter(|t| t.channel == channel).collect();
            json!({
                "channel": channel,
                "state": tried.last().map_or("queued", |t| t.result.word()),
                "attempts": tried.last().map_or(0, |t| t.attempt),
                "at": tried.last().map(|t| t.mark.at),
                "answer": tried.last().map(|t| t.answer),
                "entries": tried.iter().map(|t| t.mark.seq).collect::<Vec<_>>(),
            })
        }).collect::<Vec<_>>(),
    })
}

/// Masks and cleans every text in it, each by itself, so that no mask can break the form.
fn harmless(value: &mut Json, mask: &Mask) {
    match value {
        Json::String(text) => *text = clean_lines(&mask.apply(text), 100_000),
        Json::Array(items) => items.iter_mut().for_each(|v| harmless(v, mask)),
        Json::Object(fields) => fields.values_mut().for_each(|v| harmless(v, mask)),
        _ => {}
    }
}
