//! Setting an engine up: lock, journal, fold, watching, socket. And taking a configuration in, at the start and later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::{Core, Dirty, Ended, Inlets};
use super::deliver::Outbox;
use super::follow::Followed;
use super::instance::{Instance, InstanceError};
use super::picture::Picture;
use super::recorder::Recorder;
use super::records::TimelineFiles;
use super::samples::Samples;
use super::schedule::Schedule;
use super::session::Shared;
use super::setup::{board_of, mask_at_hand, places, saved_checks};
use super::timekeeper::Timekeeper;
use crate::backup::Catalogue;
use crate::config::{self, Config};
use crate::domain::Time;
use crate::domain::event::{ClockStepped, EngineStarted, JournalHealed};
use crate::domain::state::State;
use crate::journal::storage::Disk;
use crate::journal::{Journal, JournalError, OpenOptions};
use crate::sys::clock::{self, Clock};
use crate::sys::{disk, tls};

/// What the checks' machines knew, for the next start.
pub const STATE_FILE: &str = "state.json";
/// The last configuration that was in force, for a start with a broken one.
const LAST_GOOD: &str = "config.last.toml";

/// How to set an engine up.
pub struct Options {
    pub state_dir: PathBuf,
    pub config: Option<PathBuf>,
    pub clock: Arc<dyn Clock>,
    /// The program that executes runs (`mayday` itself).
    pub exe: PathBuf,
    /// This is the sandbox's engine.
    pub sandbox: bool,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("the journal in {} cannot be opened: {why}", dir.display())]
    Journal { dir: PathBuf, why: String },
}

/// An engine that listens. [`Running::wait`] gives why it ended.
pub struct Running {
    pub stop: CancellationToken,
    pub socket: PathBuf,
    pub(super) inbox: mpsc::Sender<super::core::Message>,
    core: tokio::task::JoinHandle<String>,
    instance: Instance,
    server: CancellationToken,
    shared: Arc<Shared>,
}

/// Answers that are on their way when the engine ends have this long to be read.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Running {
    /// Waits for the end, and takes the socket away.
    pub async fn wait(self) -> Ended {
        let ended = match self.core.await {
            Ok(reason) => Ended { reason, failed: false },
            Err(e) => Ended { reason: format!("it failed inside: {e}"), failed: true },
        };
        let begun = std::time::Instant::now();
        while self.shared.answering.load(Ordering::Relaxed) > 0 && begun.elapsed() < LAST_WORDS {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.stop.cancel();
        self.server.cancel();
        self.instance.close();
        ended
    }
}

/// Where runs may go when the disk is broken, and where those of an engine that was started otherwise may be.
pub fn other_places() -> Vec<PathBuf> {
    crate::sys::runtime::candidates(crate::sys::peer::current_uid())
}

/// The configuration in force: the given one, else the last good one, else none at all (declaring and noting still
/// work). The second value tells why the given one is not in force.
fn first_config(options: &Options) -> (Config, Option<(String, Vec<String>)>) {
    let Some(path) = &options.config else { return (Config::default(), None) };
    match config::load(path) {
        Ok(config) => (config, None),
        Err(faults) => {
            let told = faults.iter().map(ToString::to_string).collect();
            let last = options.state_dir.join(LAST_GOOD);
            let config = config::load(&last).unwrap_or_default();
            (config, Some((path.display().to_string(), told)))
        }
    }
}

/// A copy for a start with a broken file; without the values of secrets, and independent of where it lies.
pub(super) fn keep_last_good(state_dir: &Path, config: &Config) {
    let text = config::keepable(config);
    if let Err(e) = disk::write_atomic(&state_dir.join(LAST_GOOD), text.as_bytes(), 0o600) {
        tracing::warn!("keeping a copy of the configuration failed: {e}");
    }
}

/// Sets an engine up and lets it run.
pub async fn start(options: Options) -> Result<Running, StartError> {
    tls::install_provider();
    let (config, rejected) = first_config(&options);
    // A broken file must not shut a group out of its engine, so this too is that of the last good one.
    let group = config.engine.group.clone();
    let mut instance = Instance::acquire(&options.state_dir, group.as_deref())?;
    let dir = options.state_dir.clone();
    if group.is_some() {
        // Members may read what is written here; the folder keeps everybody else out.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
    }
    if rejected.is_none() && options.config.is_some() {
        keep_last_good(&dir, &config);
    }
    let journal_error = |e: JournalError| StartError::Journal { dir: dir.clone(), why: e.to_string() };
    let host = clock::hostname();
    let boot = options.clock.boot_id();
    let now = Time::from_ms(options.clock.wall_ms());

    let mut open = OpenOptions::new(host.clone());
    open.mirror.clone_from(&config.journal.mirror);
    if group.is_some() {
        // Members of the group may read the record; only the engine writes it.
        open.storage = Arc::new(Disk::new(0o640));
    }
    if let Some(bytes) = config.journal.rotate {
        open.rotate_bytes = bytes;
    }
    let (journal, opened) = Journal::open(&dir, open.clone()).map_err(&journal_error)?;
    let mut state: State =
        opened.checkpoint.as_ref().and_then(|c| serde_json::from_str(&c.state_json).ok()).unwrap_or_default();
    let from = if state.seq == 0 { 1 } else { opened.fold_from() };
    // Incidents whose readable file may lack the last lines of an engine that was killed.
    let mut touched: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    let mut answered = super::answered::Answered::default();
    let tail = (journal.head().seq + 1).saturating_sub(super::answered::TAIL).max(1);
    for entry in journal.entries(from.min(tail)).map_err(&journal_error)?.flatten() {
        if entry.seq >= tail {
            answered.take(&entry);
        }
        if entry.seq >= from {
            state.apply(&entry);
            touched.extend(entry.incident);
        }
    }
    let clean = state.seq == 0 || !state.engine_running;
    // Before anything reads those files.
    let resumed = super::redact::resume(&dir, &state);

    let epoch = uuid::Uuid::now_v7().to_string();
    let (picture, follow) = Picture::new(epoch.clone());
    let picture = Arc::new(RwLock::new(picture));
    let (inbox, inbox_rx) = mpsc::channel(4096);
    let (observed, observed_rx) = mpsc::channel(4096);
    let (reported, reported_rx) = mpsc::channel(64);
    let shared = Arc::new(Shared {
        picture: Arc::clone(&picture),
        curated: RwLock::default(),
        follow,
        core: inbox.clone(),
        state_dir: dir.clone(),
        epoch,
        state: which(&dir),
        sessions: AtomicUsize::new(0),
        answering: AtomicUsize::new(0),
        viewers: AtomicUsize::new(0),
        following: AtomicUsize::new(0),
        group: group.is_some(),
    });
    let stop = CancellationToken::new();
    let server = CancellationToken::new();
    let listener = instance.listen()?;

    let board = board_of(&config, &state);
    // Checks follow when what they need is set up: a secret that is long in coming must not keep the cockpit shut.
    let schedule = Schedule::start(Vec::new(), observed, Arc::clone(&options.clock));
    let catalogue = Catalogue::start(&config.backups, reported, Arc::clone(&options.clock));
    let open_incidents: Vec<String> = state.open_incidents().iter().map(|i| i.id.clone()).collect();
    let mut timelines = TimelineFiles::new(&dir);
    touched.extend(open_incidents);
    for id in &touched {
        if let Ok(page) = journal.incident_entries(id) {
            timelines.catch_up(id, &page.entries);
        }
    }
    let mask = mask_at_hand(&config).await;
    let mut core = Core {
        recorder: Recorder::new(journal, open),
        checkpoint_at: state.seq + 2_000,
        state,
        places: places(&config),
        percentiles: std::collections::HashMap::new(),
        targets: std::collections::HashMap::new(),
        save_at: 0,
        saving: None,
        reads: 0,
        read: 0,
        anew: false,
        generation: 0,
        setting_up: true,
        saved: saved_checks(&options.state_dir),
        playbooks: tokio::sync::watch::channel(config.playbook_folder.clone()).0,
        config: Arc::new(config),
        config_path: options.config.clone(),
        board,
        samples: Samples::default(),
        schedule,
        catalogue,
        reports: BTreeMap::new(),
        picture,
        timekeeper: Timekeeper::new(options.clock.as_ref()),
        clock: options.clock,
        started_at: now,
        host,
        boot,
        state_dir: dir,
        other_places: other_places(),
        exe: options.exe,
        inbox,
        answered,
        plans: std::collections::VecDeque::new(),
        recovering: super::recover::Recovering::default(),
        headstarts: super::headstart::HeadStarts::default(),
        lead: super::lead::Prepared::default(),
        asking: super::approve::Asking::new(),
        playing: super::playbook::Playing::new(now),
        redacting: super::redact::Redacting::default(),
        runs: Followed::default(),
        outbox: Outbox::default(),
        sealing: super::seal::Sealing::default(),
        timelines,
        mask,
        dirty: Dirty { everything: true, ..Dirty::default() },
        warnings: Vec::new(),
        sandbox: options.sandbox,
        windows: Vec::new(),
        viewers: Arc::clone(&shared),
        waiting: Vec::new(),
        to_draw: Vec::new(),
        stopping: None,
        spooled: Vec::new(),
        shells: super::shell::Shells::default(),
    };
    if core.state.seq > 0
        && core.state.boot == core.boot
        && let Some(by_ms) = core.timekeeper.stepped_since(core.state.at, core.state.boot_ms)
    {
        // While no engine watched. What the checks knew was saved by the clock as it read then.
        core.saved.iter_mut().for_each(|saved| saved.seed.step_clock(by_ms));
        core.note_clock(ClockStepped { by_ms }.into());
    }
    core.set_up();
    core.take_up_seals();
    core.record_own(None, EngineStarted { version: env!("CARGO_PKG_VERSION").into(), pid: std::process::id(), clean });
    core.take_up_redactions(resumed);
    if let Some(healed) = opened.healed {
        let moved_to = healed.moved_to.unwrap_or_default();
        core.record_own(None, JournalHealed { moved_to, bytes: healed.bytes });
    }
    core.record_damage(opened.damage.into_iter().map(|d| (d.part, d.line, d.why)).collect());
    match rejected {
        None => core.record_config(),
        Some((source, faults)) => {
            core.record_config();
            core.reject_config(source, faults);
        }
    }
    // Whoever asks first is told what is, not an empty picture.
    core.turn().await;
    let socket = instance.socket().to_owned();
    tokio::spawn(super::server::serve(listener, Arc::clone(&shared), server.clone()));
    verify_in_background(core.state_dir.clone(), shared.core.clone());
    if let Some(path) = options.config {
        super::reload::watch(path, core.playbooks.subscribe(), shared.core.clone(), stop.clone());
    }
    let inbox = shared.core.clone();
    let inlets = Inlets { inbox: inbox_rx, observed: observed_rx, reported: reported_rx, stop: stop.clone() };
    let core = tokio::spawn(core.run(inlets));
    Ok(Running { stop, socket, inbox, core, instance, server, shared })
}

/// Says which folder this is: its path, and the folder itself, because another one may be put in its place.
fn which(dir: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let path = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let id = std::fs::metadata(dir).map(|meta| format!("{:x}-{:x}", meta.dev(), meta.ino())).unwrap_or_default();
    format!("{} {id}", path.display())
}

/// Opening reads only what follows the checkpoint; the whole chain is walked once beside the work.
fn verify_in_background(dir: PathBuf, core: mpsc::Sender<super::core::Message>) {
    tokio::task::spawn_blocking(move || match crate::journal::verify(&dir, None) {
        Ok(report) if report.is_whole() => {}
        Ok(report) => {
            let damage = report.faults.into_iter().take(5).map(|d| (d.part, d.line, d.why)).collect();
            let _ = core.blocking_send(super::core::Message::Damaged(damage));
        }
        Err(e) => tracing::warn!("verifying the journal failed: {e}"),
    });
}
