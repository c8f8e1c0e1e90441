//! The charts of a review: health of every service with the incident's phases over it, latency as it was sampled, updates
//! due against updates sent.

use std::fmt::Write as _;
use std::time::Duration;

use super::chart::{self, CHARACTER, LEFT, Span, WIDTH, bar, figure, fit, text};
use super::samples;
use crate::domain::Time;
use crate::domain::event::Event;
use crate::domain::health::Health;
use crate::domain::incident::Status;
use crate::domain::message::Delivery;
use crate::report::markdown::{ms, span as said_span};
use crate::report::measure::Value;
use crate::report::{Review, Story};
use crate::text::clean;

/// Services drawn at the most.
const LANES: usize = 24;
const LATENCIES: usize = 10;
const LANE: f64 = 24.0;

/// Drawings by the section that they stand in.
#[derive(Debug, Default)]
pub struct Charts {
    impact: String,
    communication: String,
}

impl Charts {
    /// What is drawn below the heading of a section.
    pub fn under(&self, section: &str) -> &str {
        match section {
            "Impact" => &self.impact,
            "Communication" => &self.communication,
            _ => "",
        }
    }
}

/// All of them, where there is anything to draw.
pub fn of(review: &Review<'_>) -> Charts {
    let span = span(review);
    let mut charts = Charts { impact: health(review, span), communication: updates(review, span) };
    charts.impact.push_str(&latency(review, span));
    charts
}

/// From a little before the onset to a little after the end.
fn span(review: &Review<'_>) -> Span {
    let story = &review.story;
    let start = review.start();
    let end = story.level(story.resolved().or(story.closed()).unwrap_or(story.last)).max(start);
    let down = review.measures.services.iter().filter(|s| s.named).flat_map(|s| &s.intervals);
    let end = down.filter_map(|i| i.to).fold(end, Time::max);
    let length = end.since(start).max(Duration::from_secs(60));
    Span { from: start.minus(length / 12), until: end.plus(length / 16) }
}

/// One state of a service for a while.
struct Stretch {
    from: Time,
    until: Time,
    state: Health,
}

fn stretches(story: &Story<'_>, service: &str, span: Span) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::new();
    let mut state = Health::Unknown;
    let mut since = span.from;
    let mut known = false;
    for entry in story.entries {
        let (to, at) = match &entry.event {
            Event::HealthChanged(e) if e.service == service => {
                if !known && e.from != Health::Unknown {
                    state = e.from;
                }
                known = true;
                (e.to, story.when(entry))
            }
            Event::ServicePaused(e) if e.service == service => (Health::Paused, story.when(entry)),
            _ => continue,
        };
        let at = story.steps.level(at, entry.seq);
        if at > since {
            out.push(Stretch { from: since, until: at.min(span.until), state });
            since = at;
        }
        state = to;
    }
    if since < span.until {
        out.push(Stretch { from: since, until: span.until, state });
    }
    out.retain(|s| s.until > s.from && s.until > span.from && s.from < span.until);
    out
}

/// Where there are more than can be told apart, each column shows the worst that was in it.
fn drawable(all: Vec<Stretch>, span: Span) -> (Vec<Stretch>, bool) {
    const COLUMNS: i64 = 480;
    if all.len() < COLUMNS as usize {
        return (all, false);
    }
    let width = span.until.ms_since(span.from) / COLUMNS + 1;
    let worst = |state: Health| match state {
        Health::Down => 4,
        Health::Degraded => 3,
        Health::Unknown => 2,
        Health::Paused => 1,
        Health::Up => 0,
    };
    let mut columns: Vec<Option<Health>> = vec![None; COLUMNS as usize];
    for s in &all {
        let column = |at: Time| usize::try_from(at.ms_since(span.from).max(0) / width).unwrap_or(0);
        let last = column(s.until.minus(Duration::from_millis(1)));
        for c in columns.iter_mut().take(last + 1).skip(column(s.from)) {
            *c = Some(c.map_or(s.state, |now| if worst(s.state) > worst(now) { s.state } else { now }));
        }
    }
    let mut out: Vec<Stretch> = Vec::new();
    for (n, state) in columns.iter().enumerate() {
        let Some(state) = *state else { continue };
        let at = |n: usize| span.from.plus(Duration::from_millis((n as i64 * width).unsigned_abs())).min(span.until);
        match out.last_mut() {
            Some(last) if last.state == state && last.until == at(n) => last.until = at(n + 1),
            _ => out.push(Stretch { from: at(n), until: at(n + 1), state }),
        }
    }
    (out, true)
}

const fn class(state: Health) -> &'static str {
    match state {
        Health::Up => "up",
        Health::Down => "down",
        Health::Degraded => "degraded",
        Health::Unknown => "unknown",
        Health::Paused => "paused",
    }
}

/// Moments that are drawn over the lanes, in the order in which they came.
fn moments(review: &Review<'_>) -> Vec<(Time, &'static str)> {
    const DRAWN: [(&str, &str); 7] = [
        ("onset", "onset"),
        ("detect", "detected"),
        ("declare", "declared"),
        ("ack", "acknowledged"),
        ("mitigate", "mitigated"),
        ("resolve", "resolved"),
        ("close", "closed"),
    ];
    let at = |name: &str| match review.measures.get(name).map(|m| &m.value) {
        Some(Value::At(at)) => Some(*at),
        _ => None,
    };
    let mut out: Vec<(Time, &str)> = DRAWN.iter().filter_map(|(name, said)| Some((at(name)?, *said))).collect();
    let reopened = review.story.reopened.iter().map(|m| (review.story.level(*m), "reopened"));
    out.extend(reopened);
    out.sort_by_key(|(at, _)| *at);
    out
}

fn health(review: &Review<'_>, span: Span) -> String {
    let story = &review.story;
    let say = |text: &str| clean(&review.extra.mask.apply(text)).into_owned();
    let mut names: Vec<&str> = review.measures.services.iter().map(|s| s.service.as_str()).collect();
    let left_out = names.len().saturating_sub(LANES);
    names.truncate(LANES);
    if names.is_empty() {
        return String::new();
    }
    let moments: Vec<_> = moments(review).into_iter().filter(|(at, _)| span.holds(*at)).collect();
    let levels = labels(span, &moments);
    let label_rows = levels.iter().map(|(row, ..)| row + 1).max().unwrap_or(0);
    let strip = 14.0 + label_rows as f64 * 14.0;
    let top = strip + 22.0;
    let bottom = top + names.len() as f64 * LANE + 4.0;
    let mut svg = String::new();
    phases(&mut svg, story, span, strip);
    span.axis(&mut svg, top, bottom);
    let mut said = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let y = top + n as f64 * LANE + 4.0;
        text(&mut svg, LEFT - 8.0, y + 12.0, "name", "end", &fit(&say(name), LEFT - 16.0));
        let (drawn, gathered) = drawable(stretches(story, name, span), span);
        for stretch in drawn {
            let (from, until) = (span.x(stretch.from), span.x(stretch.until));
            let length = ms(stretch.until.ms_since(stretch.from));
            let whole = if stretch.until >= span.until { None } else { Some(stretch.until) };
            let how = if gathered { "at its worst " } else { "" };
            let told =
                format!("{} {how}{}: {}, {length}", say(name), stretch.state.word(), said_span(stretch.from, whole));
            let height = if stretch.state == Health::Up { 4.0 } else { LANE - 8.0 };
            bar(&mut svg, class(stretch.state), from, y + (LANE - 8.0 - height) / 2.0, until - from, height, &told);
            let room = until - from - 8.0;
            if !gathered && stretch.state == Health::Down && length.len() as f64 * CHARACTER <= room {
                text(&mut svg, from + 4.0, y + 12.0, "on-down", "start", &length);
            }
        }
        if let Some(s) = review.measures.services.iter().find(|s| s.service == *name) {
            said.push(match s.total_ms {
                Some(0) if s.intervals.is_empty() => format!("{} was never seen down", say(name)),
                total => format!("{} was down for {}", say(name), total.map_or_else(|| "not recorded".to_owned(), ms)),
            });
        }
    }
    for b in &story.blind {
        let (from, until) = (story.level(b.from), story.level(b.until));
        if until > span.from && from < span.until {
            let (x, to) = (span.x(from), span.x(until));
            bar(&mut svg, "blind", x, top, to - x, bottom - top, "nobody was watching");
        }
    }
    for ((at, name), (row, x, anchor)) in moments.iter().zip(&levels) {
        let line = span.x(*at);
        let y = 12.0 + *row as f64 * 14.0;
        let _ = write!(
            svg,
            "<line class=\"moment\" x1=\"{line:.1}\" y1=\"{:.1}\" x2=\"{line:.1}\" y2=\"{bottom:.1}\"/>",
            y - 8.0
        );
        text(&mut svg, *x, y, "moment-name", anchor, &format!("{name} {}", at.hm()));
    }
    let more = if left_out > 0 { format!(" {left_out} more services are in the table.") } else { String::new() };
    let said = format!("{}. {}", said.join("; "), spoken(&moments));
    let caption = format!(
        "Health of each service (UTC), with the incident's phases above: thin is up, a full bar is down, shaded is degraded, \
         hatched is unknown or not watched.{more}"
    );
    figure("health", bottom + 24.0, "Health of each service over the incident", &said, &caption, &svg)
}

fn spoken(moments: &[(Time, &str)]) -> String {
    let all: Vec<String> = moments.iter().map(|(at, name)| format!("{name} {}Z", at.hms())).collect();
    all.join(", ")
}

/// For each moment the row of its label, where it is put, and at which end; labels do not lie over one another.
fn labels(span: Span, moments: &[(Time, &'static str)]) -> Vec<(usize, f64, &'static str)> {
    let mut ends: Vec<f64> = Vec::new();
    let mut out = Vec::new();
    for (at, name) in moments {
        let width = (name.len() + 6) as f64 * CHARACTER;
        let line = span.x(*at);
        let (from, x, anchor) = if line + width + 6.0 > WIDTH {
            (line - width - 4.0, line - 4.0, "end")
        } else {
            (line, line + 4.0, "start")
        };
        let row = ends.iter().position(|end| *end <= from).unwrap_or(ends.len());
        if row == ends.len() {
            ends.push(0.0);
        }
        if let Some(end) = ends.get_mut(row) {
            *end = from + width + 10.0;
        }
        out.push((row, x, anchor));
    }
    out
}

/// The band of statuses.
fn phases(svg: &mut String, story: &Story<'_>, span: Span, y: f64) {
    let mut marks: Vec<(Time, &str, &str)> = story
        .statuses
        .iter()
        .map(|(m, status, _)| {
            let class = match status {
                Status::Investigating => "investigating",
                Status::Identified => "identified",
                Status::Monitoring => "monitoring",
                Status::Resolved => "resolved",
                Status::Closed => "closed",
            };
            (story.level(*m), status.word(), class)
        })
        .collect();
    marks.sort_by_key(|(at, ..)| *at);
    text(svg, LEFT - 8.0, y + 12.0, "name", "end", "phase");
    for (n, (at, word, class)) in marks.iter().enumerate() {
        let until = marks.get(n + 1).map_or(span.until, |(next, ..)| *next);
        let (from, to) = (span.x(*at), span.x(until));
        if to - from < 0.5 {
            continue;
        }
        bar(
            svg,
            &format!("phase {class}"),
            from,
            y,
            to - from,
            16.0,
            &format!("{word}: {}", said_span(*at, Some(until))),
        );
        let said = fit(word, to - from - 6.0);
        if said.len() > 3 {
            text(svg, from + 4.0, y + 12.0, "phase-name", "start", &said);
        }
    }
}

fn latency(review: &Review<'_>, span: Span) -> String {
    let Some(bytes) = review.extra.samples else { return String::new() };
    let all = samples::read(bytes, span.from, span.until);
    let mut out = String::new();
    let named = |service: &str| review.measures.services.iter().any(|s| s.service == service);
    let mut order: Vec<&String> = all.keys().collect();
    order.sort_by_key(|s| (!named(s), s.as_str()));
    for (n, service) in order.iter().take(LATENCIES).enumerate() {
        let Some(list) = all.get(service.as_str()) else { continue };
        out.push_str(&one_latency(review, span, n, service, list));
    }
    if order.len() > LATENCIES {
        let _ = writeln!(out, "<p>{} more services were sampled.</p>", order.len() - LATENCIES);
    }
    out
}

fn micros(us: f64) -> String {
    if us < 1000.0 {
        format!("{us:.0} µs")
    } else if us < 1_000_000.0 {
        format!("{:.0} ms", us / 1000.0)
    } else {
        format!("{:.1} s", us / 1_000_000.0)
    }
}

/// The next of 1, 2, 5, 10, 20 … above a value.
fn round_up(value: f64) -> f64 {
    let mut power = 1.0;
    loop {
        for step in [1.0, 2.0, 5.0] {
            if step * power >= value {
                return step * power;
            }
        }
        power *= 10.0;
    }
}

fn one_latency(review: &Review<'_>, span: Span, number: usize, service: &str, list: &[samples::Sample]) -> String {
    let (top, bottom) = (10.0, 92.0);
    let buckets = samples::buckets(list, span.from, span.until, 280);
    let most = round_up(buckets.iter().map(|b| f64::from(b.high)).fold(1.0, f64::max));
    let y = |us: u32| bottom - f64::from(us) / most * (bottom - top);
    let mut svg = String::new();
    span.axis(&mut svg, top, bottom);
    for part in [0.0, 0.5, 1.0] {
        let at = bottom - part * (bottom - top);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - 12.0
        );
        text(&mut svg, LEFT - 8.0, at + 4.0, "tick", "end", &micros(most * part));
    }
    let (mut band, mut line) = (String::new(), String::new());
    // A line ends where nobody measured, or where everything failed.
    let gap = samples::usual_distance(list) * 5 / 2;
    let mut stretch: Vec<&samples::Bucket> = Vec::new();
    let mut draw = |stretch: &mut Vec<&samples::Bucket>| {
        let x = |b: &samples::Bucket| span.x(Time::from_ms((b.from_ms + b.until_ms) / 2));
        let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else { return };
        if stretch.len() == 1 {
            let _ = write!(line, "M{:.1} {:.1}h2", x(first) - 1.0, y(first.median));
        }
        for (n, b) in stretch.iter().enumerate().filter(|_| stretch.len() > 1) {
            let _ = write!(line, "{}{:.1} {:.1}", if n == 0 { 'M' } else { 'L' }, x(b), y(b.median));
            let _ = write!(band, "{}{:.1} {:.1}", if n == 0 { 'M' } else { 'L' }, x(b), y(b.high));
        }
        for b in stretch.iter().rev().filter(|_| stretch.len() > 1) {
            let _ = write!(band, "L{:.1} {:.1}", x(b), y(b.low));
        }
        if first.from_ms != last.from_ms {
            band.push('Z');
        }
        stretch.clear();
    };
    for b in &buckets {
        let apart = stretch.last().is_some_and(|last| b.from_ms - last.until_ms > gap);
        if apart || b.good == 0 {
            draw(&mut stretch);
        }
        if b.good > 0 {
            stretch.push(b);
        }
    }
    draw(&mut stretch);
    let _ = write!(svg, "<path class=\"range\" d=\"{band}\"/><path class=\"median\" d=\"{line}\"/>");
    let failed: usize = buckets.iter().map(|b| b.failed).sum();
    for b in buckets.iter().filter(|b| b.failed > 0) {
        let (x, to) = (span.x(Time::from_ms(b.from_ms)), span.x(Time::from_ms(b.until_ms)));
        let said = format!("{} failed, {} answered, from {}Z", b.failed, b.good, Time::from_ms(b.from_ms).hms());
        bar(&mut svg, "failed", x, bottom - 5.0, (to - x).max(1.5), 5.0, &said);
    }
    for b in &review.story.blind {
        let (from, until) = (b.from.at, b.until.at);
        if until > span.from && from < span.until {
            let (x, to) = (span.x(from), span.x(until));
            bar(&mut svg, "blind", x, top, to - x, bottom - top, "nobody was watching");
        }
    }
    let service = clean(&review.extra.mask.apply(service)).into_owned();
    let every = buckets.first().map_or(0, |b| b.until_ms - b.from_ms);
    let mut good: Vec<u32> = list.iter().filter(|s| !s.failed).map(|s| s.us).collect();
    good.sort_unstable();
    let median = good.get(good.len() / 2).map_or_else(|| "none answered".to_owned(), |us| micros(f64::from(*us)));
    let said = format!("{} samples, {failed} failed; median {median}", list.len());
    let caption = format!(
        "Latency of {service}: median and range of each {}, from {} sealed samples, {failed} of them failed (below). No line \
         where nobody measured or nothing answered.",
        ms(every),
        list.len()
    );
    figure(&format!("latency{number}"), 116.0, &format!("Latency of {service}"), &said, &caption, &svg)
}

fn updates(review: &Review<'_>, span: Span) -> String {
    let story = &review.story;
    let dues = review.measures.dues.as_deref().unwrap_or_default();
    let mut channels: Vec<&str> = Vec::new();
    for name in story.messages.iter().flat_map(|m| m.channels) {
        if !channels.contains(&name.as_str()) && channels.len() < 12 {
            channels.push(name);
        }
    }
    if dues.is_empty() && channels.is_empty() {
        return String::new();
    }
    let say = |text: &str| clean(&review.extra.mask.apply(text)).into_owned();
    let (due_y, sent_y) = (24.0, 62.0);
    let first = if dues.is_empty() { 8.0 } else { 86.0 };
    let bottom = first + channels.len() as f64 * 20.0;
    let mut svg = String::new();
    span.axis(&mut svg, 8.0, bottom);
    if !dues.is_empty() {
        text(&mut svg, LEFT - 8.0, due_y + 4.0, "name", "end", "update due");
        text(&mut svg, LEFT - 8.0, sent_y + 4.0, "name", "end", "sent");
    }
    for due in dues {
        let (x, late) = (span.x(due.due), due.late_ms > 0);
        let class = if late { "late" } else { "in-time" };
        let said = match due.sent {
            Some(sent) if late => format!("due {}Z, sent {}Z, {} late", due.due.hms(), sent.at.hms(), ms(due.late_ms)),
            Some(sent) => format!("due {}Z, sent {}Z, in time", due.due.hms(), sent.at.hms()),
            None => format!("due {}Z, not sent, {} late", due.due.hms(), ms(due.late_ms)),
        };
        let title = super::escape(&said);
        let _ = write!(svg, "<g class=\"{class}\"><title>{title}</title>");
        if let Some(sent) = due.sent {
            let to = span.x(sent.at);
            let _ = write!(svg, "<line class=\"tie\" x1=\"{x:.1}\" y1=\"{due_y}\" x2=\"{to:.1}\" y2=\"{sent_y}\"/>");
            let _ = write!(svg, "<circle class=\"sent\" cx=\"{to:.1}\" cy=\"{sent_y}\" r=\"4.5\"/>");
        }
        let _ = write!(svg, "<path class=\"due\" d=\"M{x:.1} {:.1}l6 6l-6 6l-6 -6z\"/></g>", due_y - 6.0);
        if late {
            let word = if due.sent.is_some() { "late" } else { "late, not sent" };
            let (at, anchor) = if x > WIDTH - 130.0 { (x - 10.0, "end") } else { (x + 10.0, "start") };
            text(&mut svg, at, due_y - 4.0, "late-name", anchor, &format!("{} {word}", ms(due.late_ms)));
        }
    }
    for (n, channel) in channels.iter().enumerate() {
        let y = first + n as f64 * 20.0 + 10.0;
        text(&mut svg, LEFT - 8.0, y + 4.0, "name", "end", &fit(&say(channel), LEFT - 16.0));
        for m in story.messages.iter().filter(|m| m.channels.iter().any(|c| c == channel)) {
            for t in m.attempts.iter().filter(|t| t.channel == *channel && span.holds(t.mark.at)) {
                let x = span.x(t.mark.at);
                let said = super::escape(&format!("{} {} at {}Z", m.template.word(), t.result.word(), t.mark.at.hms()));
                let mark = match t.result {
                    Delivery::Accepted => format!("<circle class=\"sent\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">"),
                    _ => format!("<path class=\"not-sent\" d=\"M{:.1} {:.1}l7 7m0 -7l-7 7\">", x - 3.5, y - 3.5),
                };
                let end = if t.result == Delivery::Accepted { "circle" } else { "path" };
                let _ = write!(svg, "{mark}<title>{said}</title></{end}>");
            }
        }
    }
    let late = dues.iter().filter(|d| d.late_ms > 0).count();
    let said = format!("{} updates were due, {late} of them late", dues.len());
    let caption = "Updates due against updates sent (UTC), and what each channel took: a filled dot was accepted, a cross was not.";
    let _ = chart::WIDTH;
    figure("updates", bottom + 24.0, "Updates due against updates sent", &said, caption, &svg)
}
