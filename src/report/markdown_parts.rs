//! The sections of the Markdown review that are tables of facts.

use std::collections::BTreeMap;

use super::cite::cite;
use super::escape;
use super::markdown::{Page, ms, span, value, verdict};
use super::measure::Verdict;
use super::sections;
use super::story::LEAD_UP;
use super::timeline::{Lines, utc};
use crate::domain::event::Event;
use crate::domain::message::Delivery;
use crate::domain::run::{Side, SideRole, Verdict as RunVerdict};
use crate::text::plural;

/// Outages of a service that are told one by one; the rest is counted, and stands in the JSON.
const INTERVALS: usize = 24;

/// The incident in a few lines, for whoever writes the summary.
pub(super) fn facts(page: &mut Page<'_, '_>) {
    let review = page.review;
    let story = &review.story;
    let mut lines = Vec::new();
    let how =
        if story.source == "human" { String::new() } else { format!(" by the trigger {}", page.say(&story.source)) };
    let severity = story.severities.iter().map(|(_, s)| *s).min().map_or("", |s| s.name());
    lines.push(format!(
        "Declared{how} at {}, worst severity {severity} {}",
        utc(story.declared.at),
        cite(&[story.declared.seq])
    ));
    for s in review.measures.services.iter().filter(|s| !s.intervals.is_empty()) {
        let total = s.total_ms.map_or_else(|| "not recorded".to_owned(), ms);
        let objective = match s.verdict {
            Verdict::None => String::new(),
            v => format!(", RTO {}", verdict(v)),
        };
        let name = page.say(&s.service);
        lines.push(format!("{name} was down for {total}{objective} {}", cite(&s.entries)));
    }
    for name in ["ttd", "tta", "ttm", "ttr", "cost"] {
        if let Some(m) = review.measures.get(name) {
            lines.push(format!("{}: {} {}", m.label, value(m), cite(&m.entries)));
        }
    }
    for line in lines {
        page.line(&format!("- {}", line.trim_end()));
    }
    page.line("");
}

pub(super) fn impact(page: &mut Page<'_, '_>) {
    let review = page.review;
    page.table(&["Service", "Tier", "Down", "When", "From"]);
    for s in &review.measures.services {
        let name = if s.named { page.say(&s.service) } else { format!("{} (not named)", page.say(&s.service)) };
        let mut down = match s.total_ms {
            Some(0) if s.intervals.is_empty() => format!("{} (never seen down)", ms(0)),
            Some(total) => ms(total),
            None => "not recorded".into(),
        };
        if let (Some(probe), false) = (s.probe_ms, s.intervals.is_empty()) {
            down.push_str(&format!(" ± {}", ms(i64::try_from(probe).unwrap_or(0))));
        }
        if !s.note.is_empty() {
            down.push_str(&format!(" ({})", page.say(&s.note)));
        }
        let mut when: Vec<String> = s.intervals.iter().take(INTERVALS).map(|i| span(i.from, i.to)).collect();
        if s.intervals.len() > INTERVALS {
            when.push(format!("… {} more times", s.intervals.len() - INTERVALS));
        }
        let when = when.join("<br>");
        let tier = s.tier.map_or_else(|| "not recorded".to_owned(), |t| t.to_string());
        page.row(&[&name, &tier, &down, &when, &cite(&s.entries)]);
    }
    page.line("");
    if let Some(cost) = review.measures.get("cost") {
        let line = format!("Cost of the downtime: {} {}\n", value(cost), cite(&cost.entries));
        page.line(&line);
    }
    page.place(&sections::IMPACT);
}

/// How it was noticed, as far as the record knows.
pub(super) fn detection(page: &mut Page<'_, '_>) {
    let review = page.review;
    let story = &review.story;
    let by = if story.source == "human" {
        format!("- Declared by a person: {} {}", page.say(&story.declared_by), cite(&[story.declared.seq]))
    } else {
        format!("- Declared by the trigger {} {}", page.say(&story.source), cite(&[story.declared.seq]))
    };
    page.line(&by);
    let first = review.measures.services.iter().filter(|s| s.named).flat_map(|s| {
        s.intervals.iter().take(1).map(move |i| (i.from, s.service.as_str(), i.entries.first().copied()))
    });
    if let Some((at, service, Some(seq))) = first.min_by_key(|(at, ..)| *at) {
        let service = page.say(service);
        page.line(&format!("- First probe of a named service that failed: {service} at {} {}", utc(at), cite(&[seq])));
    }
    for name in ["ttd", "page_delay"] {
        if let Some(m) = review.measures.get(name) {
            let line = format!("- {}: {} {}", m.label, value(m), cite(&m.entries));
            page.line(line.trim_end());
        }
    }
    page.line("");
}

pub(super) fn runs(page: &mut Page<'_, '_>) {
    let review = page.review;
    if review.story.runs.is_empty() {
        page.line("No action of it is on record.");
        return;
    }
    page.table(&["Run", "What", "Who", "Requested", "Took", "Outcome", "From"]);
    for r in &review.story.runs {
        let took = match (&r.finished, r.started) {
            (Some(f), started) => ms(review.story.ms(started.unwrap_or(r.requested), f.mark)),
            (None, Some(_)) => "not over".into(),
            (None, None) => "not started".into(),
        };
        let outcome = match &r.finished {
            None => "not recorded".to_owned(),
            Some(f) => {
                let exit = f.exit.map(|x| format!(", exit {x}")).unwrap_or_default();
                let verdict = match f.verdict {
                    RunVerdict::Contradicted => "**CONTRADICTED**".to_owned(),
                    v => v.word().to_owned(),
                };
                format!("{}{exit}, {verdict}", f.state.word())
            }
        };
        let mut who = page.say(&r.by);
        if !r.via.is_empty() {
            who = format!("{who} ({})", page.say(&r.via));
        }
        let unlogged = if r.unlogged { " **unlogged**" } else { "" };
        let mut entries = vec![r.requested.seq];
        entries.extend(r.started.into_iter().chain(r.cancelled).map(|m| m.seq));
        entries.extend(r.finished.as_ref().map(|f| f.mark.seq));
        let what = format!("{}{unlogged}", page.say(&r.plan.title));
        let id = page.say(&r.plan.id);
        page.row(&[&id, &what, &who, &utc(r.requested.at), &took, &outcome, &cite(&entries)]);
    }
    for r in &review.story.runs {
        let title = format!("\n### Run {}: {}\n", page.say(&r.plan.id), page.say(&r.plan.title));
        page.line(&title);
        if !r.reason.is_empty() {
            let reason = format!("Reason: {}\n", page.say(r.reason));
            page.line(&reason);
        }
        let commands = r.plan.phases.iter().flat_map(|p| p.step.shown()).collect::<Vec<_>>().join("\n");
        page.line(&escape::fenced(&commands, &review.extra.mask));
        let Some(f) = &r.finished else { continue };
        if !f.detail.is_empty() {
            let detail = format!("\n{}", page.say(f.detail));
            page.line(&detail);
        }
        if !f.output_digest.is_empty() {
            let digest = format!("\nSHA-256 of the output: {}", page.say(f.output_digest));
            page.line(&digest);
        }
        if !f.excerpt.is_empty() {
            page.line("\nThe end of its output:\n");
            page.line(&escape::fenced(f.excerpt, &review.extra.mask));
        }
    }
}

/// Side copies and kept databases that still exist.
pub(super) fn left_behind(page: &mut Page<'_, '_>) {
    let mut sides: BTreeMap<&str, (&Side, u64)> = BTreeMap::new();
    for entry in page.review.story.entries {
        let Event::RunSide(e) = &entry.event else { continue };
        if !page.review.story.runs.iter().any(|r| r.plan.id == e.run) {
            continue;
        }
        for name in &e.gone {
            sides.remove(name.as_str());
        }
        if let Some(side) = &e.side {
            sides.insert(&side.name, (side, entry.seq));
        }
    }
    if sides.is_empty() {
        return;
    }
    page.line("Still there from the restores:\n");
    for (name, (side, seq)) in sides {
        let role = match side.role {
            _ if side.is_incomplete() => "incomplete, beside",
            _ if side.is_unverified() => "paused, not verified, beside",
            SideRole::Ready if side.only().is_some() => "parts restored beside",
            SideRole::Ready => "restored beside",
            SideRole::Before => "kept from before the cut-over of",
            SideRole::Abandoned => "undone, beside",
            SideRole::Beside if side.kind == "database" => "tables to be moved by hand into",
            SideRole::Beside => "put beside the live ones of",
            SideRole::Serving => "promoted for",
        };
        let line =
            format!("- {} {} ({role} {}) {}", page.say(&side.kind), page.say(name), page.say(&side.live), cite(&[seq]));
        page.line(&line);
    }
    page.line("");
}

pub(super) fn objectives(page: &mut Page<'_, '_>) {
    let review = page.review;
    page.table(&["Objective", "Measured", "Verdict", "From"]);
    for s in &review.measures.services {
        let label = format!("RTO of {}", page.say(&s.service));
        let measured = s.total_ms.map_or_else(|| "not recorded".to_owned(), ms);
        let mut said = match s.verdict {
            Verdict::None if s.rto_ms.is_none() => "no RTO is configured".into(),
            Verdict::None => "not recorded".into(),
            v => verdict(v),
        };
        let close = matches!((s.verdict, s.probe_ms), (Verdict::Met { by_ms, .. } | Verdict::Missed { by_ms, .. }, Some(p))
            if !s.intervals.is_empty() && u64::try_from(by_ms).is_ok_and(|by| by <= p));
        if close {
            said.push_str(" (closer than the probes can tell)");
        }
        page.row(&[&label, &measured, &said, &cite(&s.entries)]);
    }
    let restores: Vec<_> = review.measures.all.iter().filter(|m| m.name.starts_with("rpo.")).collect();
    for m in &restores {
        let said = match m.verdict {
            Verdict::None => "no RPO is configured".into(),
            v => verdict(v),
        };
        let label = page.say(&m.label);
        page.row(&[&label, &value(m), &said, &cite(&m.entries)]);
    }
    if restores.is_empty() {
        page.line("\nNo copy was restored, so no RPO was put to the test.");
    }
}

pub(super) fn communication(page: &mut Page<'_, '_>) {
    let review = page.review;
    if review.story.messages.is_empty() {
        page.line("No message of it is on record.\n");
    } else {
        page.table(&["Message", "Asked for", "Channel", "Outcome", "Accepted", "From"]);
        for m in &review.story.messages {
            for channel in m.channels {
                let tried: Vec<_> = m.attempts.iter().filter(|t| t.channel == channel).collect();
                let last = tried.last();
                let mut outcome = last.map_or("queued, not tried", |t| t.result.word()).to_owned();
                if let Some(t) = last.filter(|t| t.result != Delivery::Accepted && !t.answer.is_empty()) {
                    outcome = format!("{outcome}: {}", page.say(t.answer));
                }
                if tried.len() > 1 {
                    outcome = format!("{outcome} ({})", plural(tried.len(), "attempt"));
                }
                let accepted = tried.iter().find(|t| t.result == Delivery::Accepted);
                let accepted = accepted.map_or_else(|| "never".to_owned(), |t| utc(t.mark.at));
                let mut entries = vec![m.queued.seq];
                entries.extend(tried.iter().map(|t| t.mark.seq));
                let what = format!("{}: {}", m.template.word(), page.say(m.subject));
                let by = if m.automatic { "by configuration".to_owned() } else { page.say(&m.by) };
                let asked = format!("{} {by}", utc(m.queued.at));
                let channel = page.say(channel);
                page.row(&[&what, &asked, &channel, &outcome, &accepted, &cite(&entries)]);
            }
        }
        page.line("");
    }
    let Some(dues) = &review.measures.dues else {
        page.line("Cadence: not recorded: no update_every is configured for its severities.");
        return;
    };
    page.table(&["Update due", "Sent", "Late", "From"]);
    for d in dues {
        let sent = d.sent.map_or_else(|| "not sent".to_owned(), |s| utc(s.at));
        let late = if d.late_ms == 0 { "in time".to_owned() } else { format!("**{}**", ms(d.late_ms)) };
        let mut entries = vec![d.counted_from.seq];
        entries.extend(d.sent.map(|s| s.seq));
        let entries = review.story.cited(&entries);
        page.row(&[&utc(d.due), &sent, &late, &cite(&entries)]);
    }
}

pub(super) fn roles(page: &mut Page<'_, '_>) {
    let review = page.review;
    let ack = review.story.acknowledged.as_ref();
    let line = match ack {
        Some((mark, user)) => format!("Acknowledged by {} {}.\n", page.say(user), cite(&[mark.seq])),
        None => "Acknowledged: not recorded.\n".into(),
    };
    page.line(&line);
    if review.story.roles.is_empty() {
        page.line("Roles: not recorded; nobody was assigned one.");
        return;
    }
    page.table(&["From", "Role", "Who", "Entry"]);
    for (mark, role, user) in &review.story.roles {
        let (role, user) = (page.say(role), page.say(user));
        page.row(&[&utc(mark.at), &role, &user, &cite(&[mark.seq])]);
    }
}

pub(super) fn earlier(page: &mut Page<'_, '_>) {
    let story = &page.review.story;
    let found: Vec<String> = story
        .entries
        .iter()
        .filter(|e| e.seq < story.declared.seq)
        .filter_map(|e| match (&e.event, &e.incident) {
            (Event::IncidentDeclared(d), Some(id)) if d.services.iter().any(|s| story.services.contains_key(s)) => {
                Some(format!("- {} {} {} {}", utc(e.at), page.say(id), page.say(&d.title), cite(&[e.seq])))
            }
            _ => None,
        })
        .collect();
    if found.is_empty() {
        page.line("None of the same services in the entries that were looked at.");
    }
    for line in found {
        page.line(&line);
    }
}

pub(super) fn appendix(page: &mut Page<'_, '_>, lines: &Lines<'_, '_>) {
    let review = page.review;
    let start = review.start().minus(LEAD_UP);
    page.line("### Record\n");
    let samples = match (&review.story.sealed, review.samples_match()) {
        (None, _) => "Samples: not recorded; none were sealed.".to_owned(),
        (Some((seq, file, digest, n)), matches) => {
            let checked = match matches {
                Some(true) => "the file matches",
                Some(false) => "**the file does not match**",
                None => "the file was not at hand",
            };
            format!("Samples: {n} in {}, SHA-256 {}; {checked} {}.", page.say(file), page.say(digest), cite(&[*seq]))
        }
    };
    page.line(&format!("- {samples}"));
    for b in review.story.blind.iter().filter(|b| b.until.at >= start) {
        let line = format!(
            "- Nobody was watching for up to {}: {} {}.",
            ms(review.story.ms(b.from, b.until).max(0)),
            span(b.from.at, Some(b.until.at)),
            cite(&[b.from.seq, b.until.seq])
        );
        page.line(&line);
    }
    let of_system =
        |l: &super::timeline::Line| ["clock.", "host.", "journal."].iter().any(|p| l.row.kind.starts_with(p));
    let of_system: Vec<_> = lines.iter().filter(of_system).collect();
    if of_system.iter().any(|l| l.row.kind == "clock.stepped") {
        page.line(
            "- The clock was stepped. Durations and T+ leave the steps out, and the moments of the numbers are by the \
             clock as it read at the declaration; all others are as recorded.",
        );
    }
    for l in of_system {
        let line = format!("- {} {} {}", utc(l.at), page.say(&l.text), cite(&[l.row.seq]));
        page.line(&line);
    }
    for r in review.story.runs.iter().filter(|r| r.unlogged) {
        let line =
            format!("- Run {} ran while nothing could be recorded {}.", page.say(&r.plan.id), cite(&[r.requested.seq]));
        page.line(&line);
    }
    let unsent = review.story.messages.iter().filter(|m| {
        m.channels.iter().any(|c| !m.attempts.iter().any(|t| t.channel == c && t.result == Delivery::Accepted))
    });
    for m in unsent {
        let line = format!("- Message {} did not reach every channel {}.", page.say(m.subject), cite(&[m.queued.seq]));
        page.line(&line);
    }
}
