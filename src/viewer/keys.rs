//! Keys and pastes.
//!
//! The top overlay takes every key, also those it does not know: nothing leaks to what lies below. A paste outside of a
//! text is ignored with a notice. Keys reach commands only through the table, which says why not.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, Detail, Pane};
use super::commands::{self, Command, Context};
use super::keymap::{Found, Press};
use super::overlays::Stay;
use super::screen::Effect;
use super::theme::Role;
use super::watched::LinkState;

/// A second Ctrl-C within this many milliseconds leaves.
pub(super) const TWICE: u64 = 2000;

/// Where the keys of a pane are looked up.
const fn context_of(pane: Pane) -> Context {
    match pane {
        Pane::Services => Context::Services,
        Pane::Backups => Context::Backups,
        Pane::Timeline => Context::Timeline,
        Pane::Runs => Context::Runs,
        Pane::Incident => Context::Incident,
    }
}

impl App {
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
        if self.past.is_some() {
            out.push(Context::Replay);
        }
        match &self.detail {
            Some(Detail::Output) => out.extend([Context::Output, Context::Runs]),
            Some(Detail::Service(_)) => out.push(Context::Services),
            Some(Detail::Backup(_)) => out.push(Context::Backups),
            Some(Detail::Run(_)) => out.push(Context::Runs),
            Some(Detail::Incident(_)) => out.push(Context::Incident),
            Some(Detail::Entry(_)) => out.push(Context::Timeline),
            Some(Detail::Playbook(_)) => out.push(Context::Playbook),
            None => out.push(context_of(self.pane)),
        }
        out.push(Context::Global);
        out
    }

    pub(super) fn key(&mut self, key: &KeyEvent, at: u64) {
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
            let stays = top.key(self, key, at);
            if stays == Stay::Open {
                self.overlays.insert(place.min(self.overlays.len()), top);
            } else if key.code == KeyCode::Esc {
                self.step_left(&top);
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
                let said = super::keymap::say_chord(&self.chord);
                let elsewhere = self.elsewhere();
                if !elsewhere.is_empty() {
                    let all: Vec<String> = elsewhere
                        .into_iter()
                        .map(|(what, pane, key)| format!("{said} ({what}) is a key of {pane}: {key} goes there"))
                        .collect();
                    self.tell(Role::BannerInfo, all.join("; "));
                } else if self.chord.len() > 1 {
                    self.tell(Role::Dim, format!("{said} means nothing"));
                }
                self.chord.clear();
            }
        }
    }

    /// What the keys pressed would do in other panes: its title, the pane, the key that goes there.
    fn elsewhere(&self) -> Vec<(&'static str, &'static str, String)> {
        let others = Pane::ALL.into_iter().filter(|p| *p != self.pane || self.detail.is_some());
        let found = others.filter_map(|pane| {
            let Found::Command(id) = self.keymap.find(&[context_of(pane)], &self.chord) else { return None };
            let go = format!("pane.{}", pane.title().to_lowercase());
            let key = self.keymap.keys_of(&go).into_iter().next()?;
            Some((commands::find(id)?.title, pane.title(), key))
        });
        found.collect()
    }

    /// Does a command, or says why not.
    pub fn do_command(&mut self, command: &'static Command) {
        match super::allowed::why_not(self, command) {
            Some(why) => {
                self.step_refused(command, &why);
                let said = if why.starts_with(command.title) { why } else { format!("{}: {why}", command.title) };
                self.tell(Role::BannerInfo, said);
            }
            None => {
                self.for_step = None;
                self.refused_last = None;
                (command.run)(self);
            }
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
            self.step_left(&top);
        }
        self.filtering = false;
        self.tell(Role::BannerInfo, "Ctrl-C again within 2 s leaves; the engine and its runs go on");
    }

    /// Leaves the program from a screen of the past.
    pub(super) fn leave_past(&mut self) {
        match self.only_past {
            true => self.fx.push(Effect::Quit(vec!["left the replay; nothing was changed by it".into()])),
            false => self.quit(),
        }
    }

    /// Leaves the cockpit, saying what goes on without it.
    pub fn quit(&mut self) {
        self.step_quit();
        let mirror = &self.watched.mirror;
        if mirror.head.sandbox {
            // Nothing in there goes on once its owner, `mayday demo`, has ended.
            self.fx.push(Effect::Quit(vec!["left the cockpit of the sandbox".into()]));
            return;
        }
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
    pub(super) fn spool_notes(&mut self) {
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

    pub(super) fn paste(&mut self, text: &str) {
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
}
