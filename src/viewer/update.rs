//! What happens to the cockpit: news, answers, time. Keys and pastes are taken by [`super::keys`].

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, Detail, Pane, Pending};
use super::layout;
use super::overlays::{Info, Overlay};
use super::records::Output;
use super::rows::Wanted;
use super::screen::{Effect, Face, Input, Now};
use super::theme::Role;
use super::watched::LinkState;
use crate::domain::command::{Amend, Command};
use crate::domain::health::Health;
use crate::domain::timeline::Row;
use crate::wire::{Ask, Find, Recording, TimelineQuery};

/// Rows of a filter that are looked for without anybody scrolling up to them.
const ENOUGH: usize = 100;
/// Output of a run under way is asked for this often, milliseconds.
const POLL: u64 = 300;

impl Face for App {
    fn update(&mut self, mut input: Input, now: Now) -> Vec<Effect> {
        if let Some(replay) = self.replay.take() {
            return super::past::update(self, replay, input, now);
        }
        let link = self.watched.link();
        let tier1_down = self.tier1_down();
        let incidents = self.watched.mirror.incidents.len();
        let heard = self.watched.take(&mut input, now);
        if heard.picture {
            self.picture_changed(heard.services, tier1_down, incidents);
            self.step_entered();
        }
        // A word that only says "I live" changes nothing that is shown.
        self.redraw = heard.picture || !matches!(input, Input::Change(_)) || link != self.watched.link();
        match input {
            Input::Key(key, at) => self.key(&key, at),
            Input::Paste(text) => self.paste(&text),
            Input::Resize(w, h) => self.size = (w, h),
            Input::LinkUp(_) => self.link_up(),
            Input::LinkDown(_) => {}
            Input::Answer(tag, answer) => self.answer(tag, answer),
            Input::Drawn(mark, at) => {
                for overlay in &mut self.overlays {
                    overlay.drawn(mark, at);
                }
            }
            Input::Ending => self.spool_notes(),
            Input::Change(_) | Input::Tick => {}
        }
        self.passing_time();
        self.keep_in_view();
        std::mem::take(&mut self.fx)
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
        match &self.replay {
            Some(replay) => super::draw::draw(replay.app(), area, buffer),
            None => super::draw::draw(self, area, buffer),
        }
    }

    fn is_changed(&self) -> bool {
        self.redraw
    }

    fn is_calm(&self, input: &Input) -> bool {
        matches!(input, Input::Change(change) if self.watched.is_calm(change))
    }

    fn mark(&self) -> u64 {
        if let Some(replay) = &self.replay {
            return replay.app().mark();
        }
        self.overlays.iter().filter_map(Overlay::waits_for).max().unwrap_or(0)
    }

    fn next_tick(&self) -> u64 {
        let mut next: u64 = 10_000;
        let mut sooner = |ms: u64| next = next.min(ms);
        if let Some(replay) = &self.replay {
            sooner(super::past::next_tick(replay));
        }
        if self.past.is_some() {
            // Its clock stands still; only a word that goes away changes it.
            return self
                .flash
                .as_ref()
                .and_then(|f| f.until)
                .map_or(10_000, |until| until.saturating_sub(self.watched.now.ms()).clamp(20, 10_000));
        }
        if let Some(ms) = self.watched.until_silent() {
            sooner(ms);
        }
        if self.watched.is_stale() || self.frozen.is_some() {
            sooner(1000);
        }
        if let Some(incident) = self.watched.mirror.open_incidents().first() {
            sooner(self.watched.until_second(incident));
        }
        if let Some(until) = self.flash.as_ref().and_then(|f| f.until) {
            sooner(until.saturating_sub(self.watched.now.ms()).max(20));
        }
        if self.detail == Some(Detail::Output) && self.output.as_ref().is_some_and(|o| !o.over && !o.asking) {
            sooner(POLL);
        }
        if matches!(self.detail, Some(Detail::Playbook(_)))
            && self.watched.mirror.active_playbook().is_some_and(|v| v.play.box_ends().is_some())
        {
            sooner(1000);
        }
        if !self.chord.is_empty() {
            sooner(1000);
        }
        if self.watched.mirror.runs.values().any(|r| !r.state.is_over()) {
            sooner(1000);
        }
        next
    }
}

impl App {
    fn tier1_down(&self) -> usize {
        self.watched.mirror.services.values().filter(|s| s.state == Health::Down && s.tier <= 1).count()
    }

    fn picture_changed(&mut self, services: bool, tier1_before: usize, incidents_before: usize) {
        // A picture held still must not hide that something got worse.
        if self.frozen.is_some()
            && (self.tier1_down() > tier1_before || self.watched.mirror.incidents.len() > incidents_before)
        {
            self.frozen = None;
            self.rebuild_all();
            self.tell(Role::BannerWarn, "thawed: something new is down");
        }
        if self.frozen.is_none() {
            if services {
                self.rebuild(Pane::Services);
            }
            for pane in [Pane::Backups, Pane::Runs, Pane::Incident] {
                self.rebuild(pane);
            }
        }
        let begun = self.flash.as_ref().and_then(|f| self.watched.mirror.runs.get(f.run.as_ref()?));
        if begun.is_some_and(|run| run.state.is_over()) {
            self.flash = None;
        }
        self.forget_redacted();
        self.ask_timeline();
    }

    /// What was redacted may stand in rows and output that were read before.
    fn forget_redacted(&mut self) {
        let redacted = self.watched.mirror.head.redacted;
        if self.timeline.redacted == redacted {
            return;
        }
        self.timeline.redacted = redacted;
        self.timeline.forget();
        if let Some(output) = &mut self.output {
            *output = Output::of(&output.run);
        }
    }

    /// Asks for rows that are not known yet.
    fn ask_timeline(&mut self) {
        let seq = self.watched.mirror.seq;
        if self.timeline.asking || self.timeline.filled && self.timeline.head >= seq {
            return;
        }
        self.timeline.asking = true;
        let query = if self.timeline.filled {
            TimelineQuery { after: Some(self.timeline.head), limit: 1000, ..TimelineQuery::default() }
        } else {
            TimelineQuery { limit: 300, ..TimelineQuery::default() }
        };
        self.ask(Pending::Timeline { older: false }, Ask::Timeline(query));
    }

    /// Rows that are shown already and something was said of: they are read again, so that they are right at once.
    pub(super) fn read_again(&mut self, entries: Vec<u64>) {
        if entries.is_empty() {
            return;
        }
        let open = match self.detail {
            Some(Detail::Entry(seq)) if entries.contains(&seq) => Some(seq),
            _ => None,
        };
        for some in entries.chunks(1000) {
            let find = Find { entries: some.to_vec(), ..Find::default() };
            self.ask(Pending::Amended, Ask::Find(find));
        }
        if let Some(seq) = open {
            self.open_entry(seq);
        }
    }

    /// Shows an entry, and asks for all there is of it.
    pub fn open_entry(&mut self, seq: u64) {
        self.detail = Some(Detail::Entry(seq));
        let find = Find { entries: vec![seq], whole: true, ..Find::default() };
        self.ask(Pending::Opened(seq), Ask::Find(find));
    }

    /// What the open entry is in full, or what says something of it.
    pub(super) fn opened(&mut self, seq: u64, rows: Vec<Row>) {
        if self.detail != Some(Detail::Entry(seq)) {
            return;
        }
        if let Some(row) = rows.iter().find(|r| r.seq == seq) {
            let known = &self.timeline.open;
            let said = row.evidence.iter().chain(&row.about).filter(|s| !known.contains_key(s)).copied();
            let missing: Vec<u64> = said.take(100).collect();
            if !missing.is_empty() {
                let find = Find { entries: missing, whole: true, ..Find::default() };
                self.ask(Pending::Opened(seq), Ask::Find(find));
            }
        }
        self.timeline.replace(rows.clone());
        self.timeline.open.extend(rows.into_iter().map(|r| (r.seq, r)));
        // Only what the open one has to do with is kept.
        let near: Vec<u64> =
            self.timeline.open.get(&seq).map(|r| [&r.evidence[..], &r.about[..]].concat()).unwrap_or_default();
        self.timeline.open.retain(|s, _| *s == seq || near.contains(s));
        self.rebuild(Pane::Timeline);
    }

    /// What the timeline's pane shows now.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            scope: self.timeline.scope,
            filter: self.list(Pane::Timeline).filter.clone(),
            incident: self.incident().map(|i| i.incident.id.clone()),
        }
    }

    /// Hands another wording of a note over.
    pub fn send_correction(&mut self, entry: u64, text: String) {
        let how = Amend::Correct { text: text.clone() };
        let command = Command::Amend { entries: BTreeSet::from([entry]), how, reason: String::new(), of: Vec::new() };
        self.ask(Pending::Corrected(entry, text), Ask::Do(command));
    }

    fn link_up(&mut self) {
        // Changes under way are asked for again by the link; rows are read anew, another engine may have taken over.
        self.timeline.forget();
        if let Some(output) = &mut self.output {
            output.asking = false;
        }
        for overlay in &mut self.overlays {
            if let Overlay::Declare(declare) = overlay {
                declare.link_is_back();
            }
        }
        self.resend_notes();
    }

    /// Hands over the notes that are not known to be on disk, each with its own key.
    fn resend_notes(&mut self) {
        // Another record's engine is not told what was written for this one's.
        let wanted = |n: &super::app::HeldNote| n.tag.is_none() && n.state == self.watched.peer.state;
        let waiting: Vec<usize> = self.notes.iter().enumerate().filter(|(_, n)| wanted(n)).map(|(i, _)| i).collect();
        for i in waiting {
            let Some(note) = self.notes.get(i).cloned() else { continue };
            // It keeps the time at which it was written.
            let late = self.watched.engine_now().since(note.at).as_secs() >= 5;
            let command = crate::domain::command::Command::Note {
                incident: note.incident.clone(),
                text: note.text.clone(),
                happened_at: late.then_some(note.at),
            };
            let tag = self.ask_keyed(Pending::Note(note.key.clone()), Ask::Do(command), note.key.clone());
            if let Some(held) = self.notes.get_mut(i) {
                held.tag = Some(tag);
            }
        }
    }

    /// Takes a note and hands it over as soon as that is possible.
    pub fn send_note(&mut self, text: String, incident: Option<String>) {
        let key = uuid::Uuid::now_v7().to_string();
        let at = self.watched.engine_now();
        let state = self.watched.peer.state.clone();
        self.notes.push(super::app::HeldNote { key, text, incident, at, tag: None, state });
        if matches!(self.watched.link(), LinkState::Lost(..)) {
            self.tell(Role::BannerWarn, "no link: the note is kept and handed over when the engine is back");
        } else {
            self.resend_notes();
        }
    }

    fn passing_time(&mut self) {
        let now = self.watched.now.ms();
        if self.flash.as_ref().and_then(|f| f.until).is_some_and(|until| now >= until) {
            self.flash = None;
        }
        if self.quit_armed.is_some_and(|at| now > at + super::keys::TWICE) {
            self.quit_armed = None;
        }
        if self.detail == Some(Detail::Output) {
            self.poll_output();
        }
    }

    fn poll_output(&mut self) {
        let Some(output) = &mut self.output else { return };
        if output.asking || output.over && output.is_caught_up() || output.problem.is_some() {
            return;
        }
        output.asking = true;
        let (run, offset) = (output.run.clone(), output.next);
        self.ask(Pending::Output(run.clone()), Ask::Output { run, offset, limit: 128 << 10 });
    }

    /// Opens the output of a run.
    pub fn open_output(&mut self, run: &str) {
        if self.output.as_ref().is_none_or(|o| o.run != run) {
            self.output = Some(Output::of(run));
        }
        self.detail = Some(Detail::Output);
        self.poll_output();
    }

    fn keep_in_view(&mut self) {
        let area = Rect::new(0, 0, self.size.0, self.size.1);
        let parts = layout::parts(self, area);
        for (pane, place) in &parts.panes {
            self.list_mut(*pane).show(usize::from(place.height.saturating_sub(2)));
        }
        let inside = |by: u16, of: fn(&Rect) -> u16| parts.detail.map(|r| usize::from(of(&r).saturating_sub(by)));
        let height = inside(2, |r| r.height).unwrap_or(10);
        let wide = parts.detail.map_or(70, |r| r.width.saturating_sub(2));
        if let Some(output) = &mut self.output {
            let last = output.last_top(height, super::detail::output::columns(wide));
            if output.follow {
                output.top = last;
            }
            output.top = output.top.min(last);
        }
        if self.detail.is_some() && self.detail != Some(Detail::Output) {
            let lines = super::detail::count(self, inside(4, |r| r.width).unwrap_or(70));
            self.detail_top = self.detail_top.min(lines.saturating_sub(height));
        }
        // Near the first row known, older ones are asked for; for a filter the whole record is looked through.
        let list = self.list(Pane::Timeline);
        let near = (list.sel < 5 || list.rows.len() < ENOUGH) && self.pane == Pane::Timeline && self.timeline.filled;
        let wanted = self.wanted();
        if near && let Some(find) = self.timeline.question(&wanted) {
            self.ask(Pending::Found(Box::new(wanted)), Ask::Find(find));
            return;
        }
        let near = near && !self.timeline.is_narrow(&wanted) && self.list(Pane::Timeline).sel < 5;
        if near && !self.timeline.asking_older && !self.timeline.at_begin {
            let Some(first) = self.timeline.rows.front().map(|r| r.seq) else { return };
            if first <= 1 {
                self.timeline.at_begin = true;
                return;
            }
            self.timeline.asking_older = true;
            let query = TimelineQuery { before: Some(first), limit: 300, ..TimelineQuery::default() };
            self.ask(Pending::Timeline { older: true }, Ask::Timeline(query));
        }
    }

    /// Shows a refusal or a failure with its reason and what to do.
    pub fn refuse(&mut self, title: impl Into<String>, reason: &str, instead: &str) {
        self.open_overlay(Overlay::Info(Info::new(title, reason, instead)));
    }

    /// Nothing can be recorded right now: acting takes the typed word.
    pub fn is_unrecorded(&self) -> bool {
        matches!(self.watched.mirror.head.recording, Recording::Off { .. })
    }
}
