//! What happens to the cockpit: keys, pastes, news, answers, time.
//!
//! The top overlay takes every key, also those it does not know: nothing leaks to what lies below. A paste outside of a
//! text is ignored with a notice. Keys reach commands only through the table, which says why not.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, Detail, Pane, Pending};
use super::commands::{self, Command, Context};
use super::keymap::{Found, Press};
use super::layout;
use super::overlays::{Info, Overlay, Stay};
use super::records::Output;
use super::screen::{Effect, Face, Input, Now};
use super::theme::Role;
use super::watched::LinkState;
use crate::domain::health::Health;
use crate::wire::{Ask, Recording, TimelineQuery};

/// A second Ctrl-C within this many milliseconds leaves.
const TWICE: u64 = 2000;
/// Output of a run under way is asked for this often, milliseconds.
const POLL: u64 = 300;

impl Face for App {
    fn update(&mut self, mut input: Input, now: Now) -> Vec<Effect> {
        let link = self.watched.link();
        let tier1_down = self.tier1_down();
        let incidents = self.watched.mirror.incidents.len();
        let heard = self.watched.take(&mut input, now);
        if heard.picture {
            self.picture_changed(heard.services, tier1_down, incidents);
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
        super::draw::draw(self, area, buffer)
    }

    fn is_changed(&self) -> bool {
        self.redraw
    }

    fn mark(&self) -> u64 {
        self.overlays.iter().filter_map(Overlay::waits_for).max().unwrap_or(0)
    }

    fn next_tick(&self) -> u64 {
        let mut next: u64 = 10_000;
        let mut sooner = |ms: u64| next = next.min(ms);
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
        self.ask_timeline();
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

    fn link_up(&mut self) {
        // What was under way is answered as lost by the link; rows are read anew, another engine may have taken over.
        self.timeline.forget();
        if let Some(output) = &mut self.output {
            output.asking = false;
        }
        self.resend_notes();
    }

    /// Hands over the notes that are not known to be on disk, each with its own key.
    fn resend_notes(&mut self) {
        let waiting: Vec<usize> =
            self.notes.iter().enumerate().filter(|(_, n)| n.tag.is_none()).map(|(i, _)| i).collect();
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
        self.notes.push(super::app::HeldNote { key, text, incident, at, tag: None });
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
        if self.quit_armed.is_some_and(|at| now > at + TWICE) {
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
        if let Some(output) = &mut self.output {
            let last = output.lines.len().saturating_sub(height);
            if output.follow {
                output.top = last;
            }
            output.top = output.top.min(last);
        }
        if self.detail.is_some() && self.detail != Some(Detail::Output) {
            let lines = super::detail::count(self, inside(4, |r| r.width).unwrap_or(70));
            self.detail_top = self.detail_top.min(lines.saturating_sub(height));
        }
        // Near the first row known, older ones are asked for.
        let list = self.list(Pane::Timeline);
        let near = list.sel < 5 && self.pane == Pane::Timeline && self.timeline.filled;
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

    /// The contexts that keys are looked up in now, the nearest first.
    pub fn contexts(&self) -> Vec<Context> {
        let mut out = Vec::with_capacity(3);
        let searching = match &self.detail {
            Some(Detail::Output) => self.output.as_ref().is_some_and(|o| !o.search.is_empty()),
            Some(_) => false,
            None => !self.list(self.pane).filter.is_empty(),
        };
        if searching {
            out.push(Context::Filter);
        }
        match &self.detail {
            Some(Detail::Output) => out.extend([Context::Output, Context::Runs]),
            Some(Detail::Service(_)) => out.push(Context::Services),
            Some(Detail::Backup(_)) => out.push(Context::Backups),
            Some(Detail::Run(_)) => out.push(Context::Runs),
            Some(Detail::Incident(_)) => out.push(Context::Incident),
            Some(Detail::Entry(_)) => out.push(Context::Timeline),
            None => out.push(match self.pane {
                Pane::Services => Context::Services,
                Pane::Backups => Context::Backups,
                Pane::Timeline => Context::Timeline,
                Pane::Runs => Context::Runs,
                Pane::Incident => Context::Incident,
            }),
        }
        out.push(Context::Global);
        out
    }

    fn key(&mut self, key: &KeyEvent, at: u64) {
        let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if ctrl_c {
            return self.ctrl_c();
        }
        // Painting anew and suspending must work whatever is open.
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('l') => return self.effect(Effect::Repaint),
                KeyCode::Char('z') => return self.effect(Effect::Suspend),
                _ => {}
            }
        }
        if let Some(mut top) = self.overlays.pop() {
            let place = self.overlays.len();
            if top.key(self, key, at) == Stay::Open {
                self.overlays.insert(place.min(self.overlays.len()), top);
            }
            return;
        }
        if self.filtering {
            return self.filter_key(key);
        }
        let Some(press) = Press::of(key) else { return };
        self.chord.push(press);
        let contexts = self.contexts();
        match self.keymap.find(&contexts, &self.chord) {
            Found::Begun => {}
            Found::Command(id) => {
                let said = super::keymap::say_chord(&self.chord);
                self.chord.clear();
                if let Some(command) = commands::find(id) {
                    self.via = format!("key {said}");
                    self.do_command(command);
                }
            }
            Found::Nothing => {
                if self.chord.len() > 1 {
                    let said = super::keymap::say_chord(&self.chord);
                    self.tell(Role::Dim, format!("{said} means nothing"));
                }
                self.chord.clear();
            }
        }
    }

    /// Does a command, or says why not.
    pub fn do_command(&mut self, command: &'static Command) {
        match (command.why_not)(self) {
            Some(why) => self.tell(Role::BannerInfo, format!("{}: {why}", command.title)),
            None => (command.run)(self),
        }
    }

    fn ctrl_c(&mut self) {
        let now = self.watched.now.ms();
        if self.quit_armed.is_some_and(|at| now <= at + TWICE) {
            return self.quit();
        }
        self.quit_armed = Some(now);
        if !self.chord.is_empty() {
            self.chord.clear();
        } else if let Some(mut top) = self.overlays.pop() {
            top.left(self);
        }
        self.filtering = false;
        self.tell(Role::BannerInfo, "Ctrl-C again within 2 s leaves; the engine and its runs go on");
    }

    /// Leaves the cockpit, saying what goes on without it.
    pub fn quit(&mut self) {
        let mirror = &self.watched.mirror;
        let mut said = vec![if matches!(self.watched.link(), LinkState::Lost(..)) {
            "left the cockpit; the engine was not linked".to_owned()
        } else {
            format!("left the cockpit; engine {} keeps watching (mayday engine stop ends it)", self.watched.peer.pid)
        }];
        for run in mirror.runs.values().filter(|r| !r.state.is_over()) {
            let progress = run.permille.map(|p| format!(", {} %", p / 10)).unwrap_or_default();
            said.push(format!("run {} goes on: {} ({}{progress})", run.id, run.title, run.state.word()));
        }
        if let Some(incident) = mirror.open_incidents().first() {
            said.push(format!(
                "{} {} is open: {}",
                incident.incident.severity, incident.incident.id, incident.incident.title
            ));
        }
        self.spool_notes();
        self.fx.push(Effect::Quit(said.iter().map(|s| crate::text::clean(s).into_owned()).collect()));
    }

    /// Notes that are not known to be on disk are kept for the next engine.
    fn spool_notes(&mut self) {
        let spool = |n: super::app::HeldNote| Effect::Spool { text: n.text, incident: n.incident, at: n.at };
        self.fx.extend(std::mem::take(&mut self.notes).into_iter().map(spool));
    }

    fn filter_key(&mut self, key: &KeyEvent) {
        if self.detail == Some(Detail::Output) {
            let Some(output) = &mut self.output else { return };
            let mut line = super::overlays::Line::new(output.search.clone());
            match key.code {
                KeyCode::Enter => self.filtering = false,
                KeyCode::Esc => {
                    output.search.clear();
                    self.filtering = false;
                }
                _ => {
                    line.key(key);
                    output.search = line.text().to_owned();
                    if let Some(at) = output.find(output.top, false) {
                        output.follow = false;
                        output.top = at;
                    }
                }
            }
            return;
        }
        let pane = self.pane;
        let mut line = super::overlays::Line::new(self.list(pane).filter.clone());
        match key.code {
            KeyCode::Enter => self.filtering = false,
            KeyCode::Esc => {
                self.list_mut(pane).filter.clear();
                self.filtering = false;
                self.rebuild(pane);
            }
            KeyCode::Up => self.list_mut(pane).step(-1),
            KeyCode::Down => self.list_mut(pane).step(1),
            _ => {
                line.key(key);
                let text = line.text().to_lowercase();
                self.list_mut(pane).filter = text;
                self.rebuild(pane);
            }
        }
    }

    fn paste(&mut self, text: &str) {
        if let Some(mut top) = self.overlays.pop() {
            if !top.paste(text) {
                self.tell(Role::BannerInfo, "a paste was ignored: nothing here takes text");
            }
            self.overlays.push(top);
        } else if self.filtering {
            for c in crate::text::clean(text).chars().take(200) {
                self.filter_key(&KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
            }
        } else {
            self.tell(Role::BannerInfo, "a paste was ignored: keys are commands here; . opens a note");
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
