//! The cockpit without a screen: a line for every change, with its time in UTC and without any escape sequence.
//!
//! For `--plain`, `TERM=dumb`, screen readers and pipes. First comes a summary, then each new row of the timeline as it
//! is recorded. What the timeline cannot say comes from the picture: the link, the recording itself, faults of the
//! configuration, and, while nothing is being recorded, the changes of states. `q` and Enter, Ctrl-C, and a reader that
//! goes away end it.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::link::{self, Link, News, Question};
use super::look::Look;
use super::screen::{Setup, runtime};
use super::wall::pulse::Pulse;
use crate::cli::Failure;
use crate::cli::args::Screen;
use crate::domain::Time;
use crate::text;
use crate::wire::{Answer, Ask, Mirror, Recording, TimelineQuery};

/// Rows asked for at once.
const ROWS: usize = 1000;

/// Runs until it is left or nobody reads any more.
pub fn run(setup: &Setup, screen: &Screen) -> Result<u8, Failure> {
    let (look, faults) = Look::of(screen, super::env);
    faults.iter().for_each(|f| eprintln!("mayday: {f}"));
    let runtime = runtime()?;
    let end = runtime.block_on(async {
        let client = setup.attach().await?;
        let link = link::start(setup.place.clone(), client, setup.client, setup.access);
        let ascii = look.g.ascii;
        follow(Teller::new(ascii), link).await
    });
    runtime.shutdown_timeout(Duration::from_millis(50));
    end
}

/// Lines that somebody types. The thread ends with the process: a read of a terminal cannot be broken off.
fn typed() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(4);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

async fn follow(mut teller: Teller, mut link: Link) -> Result<u8, Failure> {
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut typed = typed();
    let mut types = true;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let begun = Instant::now();
    let now_ms = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    loop {
        let lines = tokio::select! {
            _ = int.recv() => return Ok(0),
            _ = term.recv() => return Ok(0),
            _ = hup.recv() => return Ok(0),
            line = typed.recv(), if types => {
                match line.as_deref().map(str::trim) {
                    Some("q") => return Ok(0),
                    Some("") => vec![teller.status()],
                    Some(_) => vec!["q and Enter leaves; Enter alone says how things stand".to_owned()],
                    // Nothing more can be typed, as under a service manager: that is no wish to leave.
                    None => { types = false; continue }
                }
            }
            news = link.news.recv() => match news {
                Some(news) => teller.hear(news, now_ms()),
                None => return Err(Failure::failed("the link to the engine ended by itself")),
            },
            _ = tick.tick() => teller.tick(now_ms()),
        };
        if let Some(ask) = teller.question() {
            let question = Question { tag: 1, key: String::new(), via: String::new(), ask };
            if link.ask.try_send(question).is_err() {
                teller.asked = false;
            }
        }
        let mut out = std::io::stdout().lock();
        for line in lines {
            let line = if teller.ascii { super::glyphs::to_ascii(&line) } else { line };
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                return Ok(0);
            }
        }
    }
}

/// Knows what was said, and what there is to say.
#[derive(Debug, Default)]
struct Teller {
    ascii: bool,
    mirror: Mirror,
    pulse: Pulse,
    /// The last row of the timeline that was said; `None` before the summary.
    said: Option<u64>,
    asked: bool,
    stalled: bool,
    lost: Option<String>,
}

impl Teller {
    fn new(ascii: bool) -> Teller {
        Teller { ascii, ..Teller::default() }
    }

    /// What is to be asked now, if anything.
    fn question(&mut self) -> Option<Ask> {
        let said = self.said?;
        if self.asked || self.lost.is_some() || said >= self.mirror.seq {
            return None;
        }
        self.asked = true;
        Some(Ask::Timeline(TimelineQuery { after: Some(said), limit: ROWS, ..TimelineQuery::default() }))
    }

    fn hear(&mut self, news: News, now_ms: u64) -> Vec<String> {
        match news {
            News::Up(peer) => {
                self.asked = false;
                let back = if self.lost.take().is_some() { "link is back: " } else { "" };
                let only = if peer.read_only { ", read-only" } else { "" };
                vec![format!("{back}following engine {} as {}{only}", peer.pid, text::clean(&peer.user))]
            }
            News::Down(why) => {
                self.asked = false;
                let why = text::clean(&why).into_owned();
                if self.lost.replace(why.clone()).is_some() {
                    return Vec::new();
                }
                vec![format!("{} LINK LOST, nothing below is current: {why}", stamp(self.mirror.at))]
            }
            News::Change(change) => {
                let before = self.mirror.clone();
                self.mirror.apply(*change);
                self.pulse.see(self.mirror.at, now_ms);
                if self.said.is_none() {
                    self.said = Some(self.mirror.seq);
                    return self.summary();
                }
                // Another record than before: what was said of the old one says nothing about this one.
                if self.said > Some(self.mirror.seq) {
                    self.said = Some(self.mirror.seq);
                }
                self.differences(&before)
            }
            News::Answer(_, answer) => {
                self.asked = false;
                let Ok(Answer::Timeline { rows, head }) = answer else { return Vec::new() };
                let last = rows.last().map_or(head, |r| r.seq);
                self.said = self.said.max(Some(last));
                rows.iter()
                    .map(|row| {
                        let incident = row.incident.as_deref().map(|i| format!("{i} ")).unwrap_or_default();
                        format!("{} {incident}{}: {}", stamp(row.at), text::clean(&row.actor), row.text)
                    })
                    .collect()
            }
        }
    }

    /// Time alone: an engine that went silent.
    fn tick(&mut self, now_ms: u64) -> Vec<String> {
        let stalled = self.lost.is_none() && self.pulse.is_stalled(now_ms);
        if stalled == self.stalled {
            return Vec::new();
        }
        self.stalled = stalled;
        let at = stamp(self.mirror.at);
        if stalled {
            vec![format!("{at} ENGINE STALLED: its clock stands still, nothing is current")]
        } else {
            vec![format!("{at} the engine's clock runs again")]
        }
    }

    /// One line: how things stand.
    fn status(&self) -> String {
        let mut counts = BTreeMap::new();
        for service in self.mirror.services.values() {
            *counts.entry(service.state).or_insert(0) += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {}", state.word())).collect();
        let counts = if counts.is_empty() { "nothing is watched".to_owned() } else { counts.join(", ") };
        let doubt = match (&self.lost, self.stalled) {
            (Some(_), _) => " (LINK LOST, not current)",
            (_, true) => " (ENGINE STALLED, not current)",
            _ => "",
        };
        format!("{} {counts}{doubt}", stamp(self.mirror.at))
    }

    /// What a person needs to know who begins to listen.
    fn summary(&self) -> Vec<String> {
        let m = &self.mirror;
        let system = if m.head.system.is_empty() { "(no configuration)".into() } else { text::clean(&m.head.system) };
        let mut out = vec![format!("mayday {system} {}", text::clean(&m.head.environment)).trim_end().to_owned()];
        out.push(self.status());
        for s in m.services.values() {
            if s.state != crate::domain::health::Health::Up {
                out.push(format!("service {} is {}{}", text::clean(&s.name), s.state.word(), detail(&s.detail)));
            }
        }
        for b in m.backups.values() {
            let age = b.newest.as_ref().map(|c| format!(", newest copy {} old", text::ago(m.at.since(c.as_of()))));
            let age = age.unwrap_or_default();
            out.push(format!("backup {} is {}{age}", text::clean(&b.name), b.state.word()));
        }
        for v in m.open_incidents() {
            let i = &v.incident;
            let lead =
                i.commander().map_or_else(|| "nobody leads".to_owned(), |u| format!("led by {}", text::clean(u)));
            let elapsed = text::clock(Duration::from_millis(v.elapsed_ms));
            let title = text::clean(&i.title);
            out.push(format!("incident {} {} {title}: {}, T+{elapsed}, {lead}", i.severity, i.id, i.status.word()));
        }
        for run in m.runs.values().filter(|r| !r.state.is_over()) {
            out.push(format!("run {} {}: {}", run.id, text::clean(&run.title), run.state.word()));
        }
        out.extend(recording(&m.head.recording));
        out.extend(m.head.config_faults.iter().map(|f| format!("configuration not in force: {}", text::clean(f))));
        out.extend(m.head.warnings.iter().map(|w| format!("warning: {}", text::clean(w))));
        out.push("every change follows; q and Enter or Ctrl-C leaves, the engine stays".to_owned());
        out
    }

    /// What changed in the picture and does not come with the timeline.
    fn differences(&self, before: &Mirror) -> Vec<String> {
        let (m, at) = (&self.mirror, stamp(self.mirror.at));
        let mut out = Vec::new();
        let is_off = |m: &Mirror| matches!(m.head.recording, Recording::Off { .. });
        if std::mem::discriminant(&m.head.recording) != std::mem::discriminant(&before.head.recording) {
            let said = recording(&m.head.recording).unwrap_or_else(|| "the record is written again".to_owned());
            out.push(format!("{at} {said}"));
        }
        let new = |now: &[String], then: &[String]| -> Vec<String> {
            now.iter().filter(|f| !then.contains(f)).map(|f| text::clean(f).into_owned()).collect()
        };
        out.extend(
            new(&m.head.config_faults, &before.head.config_faults)
                .iter()
                .map(|f| format!("{at} configuration not in force: {f}")),
        );
        if m.head.config_faults.is_empty() && !before.head.config_faults.is_empty() {
            out.push(format!("{at} the configuration is in force again"));
        }
        out.extend(new(&m.head.warnings, &before.head.warnings).iter().map(|w| format!("{at} warning: {w}")));
        if is_off(m) && m.epoch == before.epoch {
            out.extend(self.states(before).iter().map(|s| format!("{at} {s} (not recorded)")));
        }
        out
    }

    /// Changes of states that the timeline cannot tell, because it is not written.
    fn states(&self, before: &Mirror) -> Vec<String> {
        let (m, mut out) = (&self.mirror, Vec::new());
        for (name, s) in &m.services {
            if before.services.get(name).is_none_or(|b| b.state != s.state) {
                out.push(format!("service {} is {}{}", text::clean(name), s.state.word(), detail(&s.detail)));
            }
        }
        for (name, b) in &m.backups {
            if before.backups.get(name).is_none_or(|o| o.state != b.state) {
                out.push(format!("backup {} is {}{}", text::clean(name), b.state.word(), detail(&b.detail)));
            }
        }
        for (id, v) in &m.incidents {
            let (old, new) = (before.incidents.get(id).map(|o| &o.incident), &v.incident);
            if old.is_none_or(|o| (o.status, o.severity) != (new.status, new.severity)) {
                let title = text::clean(&new.title);
                out.push(format!("incident {id} is {} {}: {title}", new.severity, new.status.word()));
            } else if old.is_some_and(|o| o != new) {
                out.push(format!("incident {id} changed"));
            }
        }
        for (id, r) in &m.runs {
            if before.runs.get(id).is_none_or(|o| (o.state, o.verdict) != (r.state, r.verdict)) {
                out.push(format!("run {id} {} is {}{}", text::clean(&r.title), r.state.word(), detail(&r.detail)));
            }
        }
        for (id, message) in &m.messages {
            for (channel, delivery) in &message.channels {
                let old = before.messages.get(id).and_then(|o| o.channels.get(channel));
                if old.is_none_or(|o| o.state != delivery.state) {
                    out.push(format!(
                        "message {} to {}: {}",
                        message.template.word(),
                        text::clean(channel),
                        delivery.state.word()
                    ));
                }
            }
        }
        out
    }
}

/// `2026-11-20T02:14:07Z`: whole, because lines are read much later as well.
fn stamp(at: Time) -> String {
    format!("{}T{}Z", at.date(), at.hms())
}

fn detail(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {}", text::clean(text)) }
}

fn recording(recording: &Recording) -> Option<String> {
    match recording {
        Recording::On => None,
        Recording::Reserve { left } => {
            Some(format!("THE DISK IS FULL: the record goes into its reserve, {} left", text::size(*left)))
        }
        Recording::Off { since, why, .. } => {
            Some(format!("NOTHING IS BEING RECORDED since {}: {}", stamp(*since), text::clean(why)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::health::Health;
    use crate::wire::{Change, Head, ServiceView};

    fn change(state: Health, recording: Recording, seq: u64) -> News {
        let service = ServiceView { name: "a\u{1b}[2Jpi".into(), state, ..ServiceView::default() };
        News::Change(Box::new(Change {
            epoch: "e".into(),
            rev: seq,
            at: Time::from_ms(i64::try_from(seq).unwrap() * 1000),
            head: Some(Head { recording, ..Head::default() }),
            services: vec![service],
            seq: Some(seq),
            whole: seq == 1,
            ..Change::default()
        }))
    }

    #[test]
    fn a_summary_then_what_is_new() {
        let mut teller = Teller::new(false);
        assert!(teller.question().is_none());
        let summary = teller.hear(change(Health::Down, Recording::On, 1), 0).join("\n");
        assert!(summary.contains("service a·[2Jpi is down"), "{summary}");
        assert!(teller.question().is_none());
        assert!(teller.hear(change(Health::Up, Recording::On, 2), 0).is_empty());
        assert!(matches!(teller.question(), Some(Ask::Timeline(TimelineQuery { after: Some(1), .. }))));
        assert!(teller.question().is_none(), "asked already");
    }

    #[test]
    fn without_a_record_states_are_told_from_the_picture() {
        let off = || Recording::Off { since: Time::from_ms(0), why: "disk".into(), kept: 0 };
        let mut teller = Teller::new(false);
        teller.hear(change(Health::Up, Recording::On, 1), 0);
        let said = teller.hear(change(Health::Down, off(), 2), 0);
        assert_eq!(
            said,
            [
                "1970-01-01T00:00:02Z NOTHING IS BEING RECORDED since 1970-01-01T00:00:00Z: disk",
                "1970-01-01T00:00:02Z service a·[2Jpi is down (not recorded)",
            ]
        );
        let said = teller.hear(change(Health::Down, Recording::On, 3), 0);
        assert_eq!(said, ["1970-01-01T00:00:03Z the record is written again"]);
    }

    #[test]
    fn silence_is_told_once() {
        let mut teller = Teller::new(false);
        teller.hear(change(Health::Up, Recording::On, 1), 0);
        assert!(teller.tick(3000).is_empty());
        assert!(teller.tick(4000).concat().contains("ENGINE STALLED"));
        assert!(teller.tick(5000).is_empty());
        teller.hear(change(Health::Up, Recording::On, 2), 5500);
        assert!(teller.tick(6000).concat().contains("runs again"));
        assert_eq!(teller.hear(News::Down("gone".into()), 7000).len(), 1);
        assert!(teller.hear(News::Down("gone".into()), 8000).is_empty());
    }
}
