//! The cockpit's model: what it knows, what is selected, what is open above it.
//!
//! Everything that happens comes in through `update` (in its own file); drawing only reads. Selections are kept by name,
//! never by row number, so that a refresh that reorders rows cannot change what an action is about.

use std::collections::BTreeMap;

use super::keymap::{Keymap, Press};
use super::link::Question;
use super::lists::List;
use super::look::Look;
use super::overlays::{Overlay, Prompt};
use super::records::{Output, Timeline};
use super::rows::Wanted;
use super::screen::{Effect, Input};
use super::theme::Role;
use super::watched::Watched;
use crate::domain::Time;
use crate::domain::backup::Copy;
use crate::domain::command::Command;
use crate::domain::headstart::Standing;
use crate::domain::message::Template;
use crate::domain::run::Work;
use crate::wire::{Ask, BackupView, IncidentView, Mirror, RunView, ServiceView};

/// The panes, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pane {
    Services,
    Backups,
    Timeline,
    Runs,
    Incident,
}

impl Pane {
    pub const ALL: [Pane; 5] = [Pane::Services, Pane::Backups, Pane::Timeline, Pane::Runs, Pane::Incident];

    pub const fn title(self) -> &'static str {
        match self {
            Pane::Services => "Services",
            Pane::Backups => "Backups",
            Pane::Timeline => "Timeline",
            Pane::Runs => "Runs",
            Pane::Incident => "Incident",
        }
    }
}

/// All about one thing, instead of the panes or beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    Service(String),
    Backup(String),
    Run(String),
    Incident(String),
    Entry(u64),
    /// A playbook that was started, by its id; empty for the one under way.
    Playbook(String),
    /// Of [`App::output`].
    Output,
}

/// A line that says something and goes away; errors stay until Esc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    pub role: Role,
    pub text: String,
    /// Milliseconds of the screen's clock; `None` stays.
    pub until: Option<u64>,
    /// It tells of this run that it began: over with it.
    pub run: Option<String>,
}

/// A note that is not known to be on disk yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldNote {
    /// Makes handing it over twice harmless.
    pub key: String,
    pub text: String,
    pub incident: Option<String>,
    /// When it was written.
    pub at: Time,
    /// The question it is under way with.
    pub tag: Option<u64>,
    /// Which state directory it was written for: see [`super::link::Peer`].
    pub state: String,
}

/// What an answer is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Pending {
    /// A change that needs no more than a word: what it was.
    Done(String),
    /// What was written in a prompt: it comes back when the answer is no.
    Prompted(String, Box<Prompt>),
    Note(String),
    Declare,
    Plan(Work),
    /// The plan of a recovery.
    Recovery(String),
    /// A playbook that is being started, by its name.
    Playbook(String),
    Start(String),
    Copies {
        backup: String,
        choose: bool,
    },
    Draft(Template),
    /// How the incident stands.
    Capsule,
    /// The draft of what is due: its preview opens at once.
    DueDraft(Template),
    Send,
    Timeline {
        older: bool,
    },
    /// Older rows for what is wanted.
    Found(Box<Wanted>),
    /// Rows that something was said of, as they read now.
    Amended,
    /// The entry that is open, with its fields; and what says something of it.
    Opened(u64),
    /// The note that is to be corrected.
    ToCorrect(u64),
    /// Its other wording.
    Corrected(u64, String),
    Output(String),
    Step,
}

/// The cockpit.
pub struct App {
    pub watched: Watched,
    pub look: Look,
    pub keymap: Keymap,
    /// Faults of keymap and theme, shown until Esc.
    pub faults: Vec<String>,
    pub size: (u16, u16),
    pub pane: Pane,
    pub lists: [List; 5],
    /// Keys go into the filter of the focused pane.
    pub filtering: bool,
    pub detail: Option<Detail>,
    /// First line shown of the detail view.
    pub detail_top: usize,
    /// The item of a checklist under the cursor.
    pub tick_at: usize,
    /// What is planned next is for the step of this playbook.
    pub for_step: Option<String>,
    /// Questions that are for the step of a playbook, by their tags.
    pub asked_for_step: BTreeMap<u64, String>,
    pub overlays: Vec<Overlay>,
    pub flash: Option<Flash>,
    pub pending: BTreeMap<u64, Pending>,
    pub(super) next_tag: u64,
    pub chord: Vec<Press>,
    /// How the person asked: `key r`, `palette`.
    pub via: String,
    pub timeline: Timeline,
    pub output: Option<Output>,
    pub copies: Option<(String, Vec<Copy>)>,
    pub notes: Vec<HeldNote>,
    /// A note that was begun and left.
    pub note_draft: String,
    /// Another wording of an entry that was begun and left.
    pub correction: Option<(u64, String)>,
    /// The title of a declaration that was begun and left.
    pub declare_draft: String,
    /// The picture held still, and since when.
    pub frozen: Option<(Box<Mirror>, u64)>,
    /// The past that is shown instead of all this.
    pub replay: Option<Box<super::past::Replay>>,
    /// This is a screen of the past, and what it says of itself.
    pub past: Option<super::past::Bar>,
    /// Opens the record of a state directory for a replay, and which one.
    pub opener: Option<(crate::wire::past::Opener, std::path::PathBuf)>,
    /// The screen was opened for the past alone: leaving that leaves the program.
    pub only_past: bool,
    /// Ctrl-C was pressed once, at.
    pub quit_armed: Option<u64>,
    /// The first picture was there, and the record knows that somebody looks.
    pub entered: bool,
    /// A step of this sitting stands on record.
    pub stepped: bool,
    /// What the screen refused last, for the record.
    pub refused_last: Option<String>,
    /// Counts overlays, so that a confirmation knows when its own first frame was drawn.
    pub overlay_count: u64,
    pub(super) fx: Vec<Effect>,
    /// The last input changed what is shown.
    pub(super) redraw: bool,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("pane", &self.pane).field("detail", &self.detail).finish_non_exhaustive()
    }
}

impl App {
    pub fn new(look: Look, keymap: Keymap, faults: Vec<String>) -> App {
        App {
            watched: Watched::default(),
            look,
            keymap,
            faults,
            size: (80, 24),
            pane: Pane::Services,
            lists: Default::default(),
            filtering: false,
            detail: None,
            detail_top: 0,
            tick_at: 0,
            for_step: None,
            asked_for_step: BTreeMap::new(),
            overlays: Vec::new(),
            flash: None,
            pending: BTreeMap::new(),
            next_tag: 1,
            chord: Vec::new(),
            via: String::new(),
            timeline: Timeline::default(),
            output: None,
            copies: None,
            notes: Vec::new(),
            note_draft: String::new(),
            correction: None,
            declare_draft: String::new(),
            frozen: None,
            replay: None,
            past: None,
            opener: None,
            only_past: false,
            quit_armed: None,
            entered: false,
            stepped: false,
            refused_last: None,
            overlay_count: 0,
            fx: Vec::new(),
            redraw: true,
        }
    }

    /// The picture that is shown: the newest, or the one held still.
    pub fn mirror(&self) -> &Mirror {
        self.frozen.as_ref().map_or(&self.watched.mirror, |(m, _)| m)
    }

    pub fn list(&self, pane: Pane) -> &List {
        let [services, backups, timeline, runs, incident] = &self.lists;
        match pane {
            Pane::Services => services,
            Pane::Backups => backups,
            Pane::Timeline => timeline,
            Pane::Runs => runs,
            Pane::Incident => incident,
        }
    }

    pub fn list_mut(&mut self, pane: Pane) -> &mut List {
        let [services, backups, timeline, runs, incident] = &mut self.lists;
        match pane {
            Pane::Services => services,
            Pane::Backups => backups,
            Pane::Timeline => timeline,
            Pane::Runs => runs,
            Pane::Incident => incident,
        }
    }

    pub fn rows_len(&self, pane: Pane) -> usize {
        self.list(pane).rows.len()
    }

    /// The service an action would be about: the open one, or the selected row of the focused pane.
    pub fn selected_service(&self) -> Option<&ServiceView> {
        let name = match (&self.detail, self.pane) {
            (Some(Detail::Service(name)), _) => name.as_str(),
            (None, Pane::Services) => self.list(Pane::Services).key()?,
            _ => return None,
        };
        self.mirror().services.get(name)
    }

    pub fn selected_backup(&self) -> Option<&BackupView> {
        let name = match (&self.detail, self.pane) {
            (Some(Detail::Backup(name)), _) => name.as_str(),
            (None, Pane::Backups) => self.list(Pane::Backups).key()?,
            _ => return None,
        };
        self.mirror().backups.get(name)
    }

    pub fn selected_run(&self) -> Option<&RunView> {
        let id = match (&self.detail, self.pane) {
            (Some(Detail::Run(id)), _) => id.as_str(),
            (Some(Detail::Output), _) => self.output.as_ref()?.run.as_str(),
            (None, Pane::Runs) => self.list(Pane::Runs).key()?,
            _ => return None,
        };
        self.mirror().runs.get(id)
    }

    /// The run whose copy was restored for the incident by itself and is ready.
    pub fn head_start(&self) -> Option<&RunView> {
        let ready = self.incident()?.head_starts.iter().find(|h| h.standing == Standing::Ready)?;
        self.mirror().runs.get(ready.run.as_ref()?)
    }

    /// The incident that keys are about: the open view's, else the one selected in pane 5, else the worst open one.
    pub fn incident(&self) -> Option<&IncidentView> {
        let mirror = self.mirror();
        let named = match &self.detail {
            Some(Detail::Incident(id)) => mirror.incidents.get(id),
            _ => self.list(Pane::Incident).key().and_then(|id| mirror.incidents.get(id)),
        };
        // What is over is only meant when nothing is open or it is being looked at.
        let looked_at = self.pane == Pane::Incident || matches!(self.detail, Some(Detail::Incident(_)));
        named
            .filter(|i| i.incident.status.is_open() || looked_at)
            .or_else(|| mirror.open_incidents().first().copied())
            .or(named)
    }

    /// The incident that was resolved or closed last.
    pub fn last_closed(&self) -> Option<&IncidentView> {
        let closed = |i: &&IncidentView| !i.incident.status.is_open();
        let shown = self.incident().filter(closed);
        shown.or_else(|| self.mirror().incidents.values().filter(closed).max_by_key(|i| i.incident.last_seq))
    }

    /// `PRODUCTION`, for dialogs.
    pub fn environment(&self) -> String {
        let head = &self.mirror().head;
        match head.environment.as_str() {
            "" => head.system.clone(),
            environment => format!("{} · {}", head.system, environment.to_uppercase()),
        }
    }

    /// Asks the engine, remembering what for.
    pub fn ask(&mut self, pending: Pending, ask: Ask) -> u64 {
        let key = match &ask {
            Ask::Do(_) | Ask::Start { .. } | Ask::Recover { .. } | Ask::Step { .. } | Ask::Evidence(_) => {
                uuid::Uuid::now_v7().to_string()
            }
            _ => String::new(),
        };
        self.ask_keyed(pending, ask, key)
    }

    /// Asks for something that is for the step of a playbook: what comes of it is bound to that step.
    pub fn ask_for_step(&mut self, pending: Pending, ask: Ask, playbook: String) {
        let tag = self.ask(pending, ask);
        self.asked_for_step.insert(tag, playbook);
    }

    /// As [`App::ask`], with the key that makes a repeat harmless.
    pub fn ask_keyed(&mut self, pending: Pending, ask: Ask, key: String) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.pending.insert(tag, pending);
        self.fx.push(Effect::Ask(Question { tag, key, via: self.via.clone(), ask }));
        tag
    }

    /// A tag under which an answer comes that is not asked for over the link.
    pub fn await_answer(&mut self, pending: Pending) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.pending.insert(tag, pending);
        tag
    }

    /// Asks for a change; `said` is shown when it is done.
    pub fn act(&mut self, said: impl Into<String>, command: Command) {
        self.ask(Pending::Done(said.into()), Ask::Do(command));
    }

    /// A step towards an action, for the record.
    pub fn record_step(&mut self, what: impl Into<String>, about: Option<String>) {
        if super::why::may_act(self).is_none() {
            self.stepped = true;
            self.ask(Pending::Step, Ask::Do(Command::Step { what: what.into(), about }));
        }
    }

    /// A word that goes away by itself.
    pub fn tell(&mut self, role: Role, text: impl Into<String>) {
        let until = Some(self.watched.now.ms() + 4000);
        self.flash = Some(Flash { role, text: crate::text::clean(&text.into()).into_owned(), until, run: None });
    }

    /// A word that stays until Esc.
    pub fn tell_error(&mut self, text: impl Into<String>) {
        self.flash = Some(Flash {
            role: Role::BannerBad,
            text: crate::text::clean(&text.into()).into_owned(),
            until: None,
            run: None,
        });
    }

    /// Opens an overlay above all others.
    pub fn open_overlay(&mut self, overlay: Overlay) {
        self.overlay_count += 1;
        self.chord.clear();
        self.step_opened(&overlay);
        // What was said on the way here is over; errors stay.
        if self.flash.as_ref().is_some_and(|f| f.until.is_some()) {
            self.flash = None;
        }
        self.overlays.push(overlay);
    }

    /// The same one comes back, with what was written: no step of a person.
    pub fn reopen_overlay(&mut self, overlay: Overlay) {
        self.overlay_count += 1;
        self.chord.clear();
        self.overlays.push(overlay);
    }

    pub fn effect(&mut self, effect: Effect) {
        self.fx.push(effect);
    }

    /// What an input would do, for callers that drive the model by hand.
    pub fn feed(&mut self, input: Input, now: super::screen::Now) -> Vec<Effect> {
        super::screen::Face::update(self, input, now)
    }
}
