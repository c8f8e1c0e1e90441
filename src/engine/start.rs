//! Setting an engine up: lock, journal, fold, watching, socket. And taking a configuration in, at the start and later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::{Core, Dirty, Inlets};
use super::deliver::Outbox;
use super::follow::Followed;
use super::instance::{Instance, InstanceError};
use super::picture::Picture;
use super::recorder::Recorder;
use super::records::TimelineFiles;
use super::samples::Samples;
use super::schedule::{Planned, SavedCheck, Schedule};
use super::session::Shared;
use super::timekeeper::Timekeeper;
use crate::backup::Catalogue;
use crate::config::{self, Config};
use crate::domain::Time;
use crate::domain::event::{ConfigLoaded, ConfigRejected, EngineStarted, JournalHealed};
use crate::domain::health::board::Board;
use crate::domain::health::machine::Seed;
use crate::domain::state::State;
use crate::journal::storage::Disk;
use crate::journal::{Journal, JournalError, OpenOptions};
use crate::notify::Sender;
use crate::probe::{self, ProbeEnv};
use crate::sys::clock::{self, Clock};
use crate::sys::{disk, tls};
use crate::text::Mask;

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
}

impl Running {
    /// Waits for the end, and takes the socket away.
    pub async fn wait(self) -> String {
        let reason = self.core.await.unwrap_or_else(|e| format!("it failed inside: {e}"));
        self.server.cancel();
        self.instance.close();
        reason
    }
}

/// Where the socket and, when the disk is broken, runs may go.
pub fn runtime_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").filter(|v| !v.is_empty()).map(|d| PathBuf::from(d).join("mayday"))
}

/// The configuration in force: the given one, else the last good one, else none at all (declaring and noting still
/// work). The second value tells why the given one is not in force.
fn first_config(options: &Options) -> (Config, Option<(String, Vec<String>)>) {
    let Some(path) = &options.config else { return (Config::default(), None) };
    match config::load(path) {
        Ok(config) => {
            keep_last_good(&options.state_dir, &config);
            (config, None)
        }
        Err(faults) => {
            let told = faults.iter().map(ToString::to_string).collect();
            let last = options.state_dir.join(LAST_GOOD);
            let config = config::load(&last).unwrap_or_default();
            (config, Some((path.display().to_string(), told)))
        }
    }
}

/// A copy for a start with a broken file; without the values of secrets, and independent of where it lies.
fn keep_last_good(state_dir: &Path, config: &Config) {
    let text = config::keepable(config);
    if let Err(e) = disk::write_atomic(&state_dir.join(LAST_GOOD), text.as_bytes(), 0o600) {
        tracing::warn!("keeping a copy of the configuration failed: {e}");
    }
}

/// Sets an engine up and lets it run.
pub async fn start(options: Options) -> Result<Running, StartError> {
    tls::install_provider();
    let group = options.config.as_deref().and_then(|p| config::load(p).ok()).and_then(|c| c.engine.group);
    let instance = Instance::acquire(&options.state_dir, group.as_deref())?;
    let dir = options.state_dir.clone();
    let journal_error = |e: JournalError| StartError::Journal { dir: dir.clone(), why: e.to_string() };
    let (config, rejected) = first_config(&options);
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
    let (journal, opened) = Journal::open(&dir, open).map_err(&journal_error)?;
    let mut state: State = opened
        .checkpoint
        .as_ref()
        .and_then(|c| serde_json::from_str(&c.state_json).ok())
        .unwrap_or_default();
    let from = if state.seq == 0 { 1 } else { opened.fold_from() };
    for entry in journal.entries(from).map_err(&journal_error)?.flatten() {
        state.apply(&entry);
    }
    let clean = state.seq == 0 || !state.engine_running;

    let epoch = uuid::Uuid::now_v7().to_string();
    let (picture, follow) = Picture::new(epoch.clone());
    let picture = Arc::new(RwLock::new(picture));
    let (inbox, inbox_rx) = mpsc::channel(4096);
    let (observed, observed_rx) = mpsc::channel(4096);
    let (reported, reported_rx) = mpsc::channel(64);
    let shared = Arc::new(Shared {
        picture: Arc::clone(&picture),
        follow,
        core: inbox.clone(),
        state_dir: dir.clone(),
        epoch,
        sessions: AtomicUsize::new(0),
        viewers: AtomicUsize::new(0),
        group: group.is_some(),
    });
    let stop = CancellationToken::new();
    let server = CancellationToken::new();
    let listener = instance.listen()?;

    let setup = Setup::of(&config).await;
    let saved = saved_checks(&dir);
    let checks = planned(&config, &setup, &state, &saved, &Board::new(&config.catalog(), &check_names(&config)));
    let board = board_of(&config, &state);
    let schedule = Schedule::start(checks, observed, Arc::clone(&options.clock));
    let catalogue = Catalogue::start(&config.backups, reported, Arc::clone(&options.clock));
    let open_incidents: Vec<String> = state.open_incidents().iter().map(|i| i.id.clone()).collect();
    let mut timelines = TimelineFiles::new(&dir);
    // The newest too: its last line may be missing although it is resolved.
    let newest = state.incidents.values().max_by_key(|i| i.last_seq).map(|i| i.id.clone());
    let lagging = open_incidents.iter().chain(newest.iter().filter(|id| !open_incidents.contains(id)));
    for id in lagging {
        if let Ok(page) = journal.incident_entries(id) {
            timelines.catch_up(id, &page.entries);
        }
    }
    let mut core = Core {
        recorder: Recorder::new(journal),
        checkpoint_at: state.seq + 2_000,
        state,
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
        runtime_dir: runtime_dir(),
        exe: options.exe,
        inbox,
        answered: std::collections::HashMap::new(),
        answered_order: std::collections::VecDeque::new(),
        plans: std::collections::VecDeque::new(),
        runs: Followed::default(),
        outbox: Outbox::default(),
        sealing: super::seal::Sealing::default(),
        timelines,
        mask: Mask::default(),
        dirty: Dirty { everything: true, ..Dirty::default() },
        warnings: setup.warnings.clone(),
        sandbox: options.sandbox,
        viewers: Arc::clone(&shared),
        waiting: Vec::new(),
        stopping: None,
        spooled: Vec::new(),
    };
    core.use_setup(setup);
    for id in open_incidents {
        core.open_seal(&id, false);
    }
    core.record_own(None, EngineStarted { version: env!("CARGO_PKG_VERSION").into(), pid: std::process::id(), clean });
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
        super::reload::watch(path, shared.core.clone(), stop.clone());
    }
    let inbox = shared.core.clone();
    let inlets = Inlets { inbox: inbox_rx, observed: observed_rx, reported: reported_rx, stop: stop.clone() };
    let core = tokio::spawn(core.run(inlets));
    Ok(Running { stop, socket, inbox, core, instance, server })
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

/// What a configuration needs to be put to work: certificates, secret values, senders.
pub struct Setup {
    pub env: ProbeEnv,
    pub mask: Mask,
    pub masked: Vec<(String, SecretString)>,
    pub senders: std::collections::HashMap<String, Result<Arc<Sender>, String>>,
    pub warnings: Vec<String>,
}

impl Setup {
    /// Resolves what can be resolved; what cannot is told when it is needed.
    pub async fn of(config: &Config) -> Setup {
        let mut masked = Vec::new();
        for (place, reference) in config.secret_refs() {
            if let Ok(value) = config::resolve(&reference, Duration::from_secs(5)).await {
                masked.push((place, value));
            }
        }
        let mask = Mask::new(masked.iter().map(|(_, v)| v.expose_secret().to_owned()));
        let handle = tokio::runtime::Handle::current();
        let known: Arc<Vec<(config::SecretRef, SecretString)>> = Arc::new(
            config
                .secret_refs()
                .into_iter()
                .filter_map(|(place, r)| masked.iter().find(|(p, _)| *p == place).map(|(_, v)| (r, v.clone())))
                .collect(),
        );
        let extra_ca = config.system.extra_ca.clone();
        let channels = config.channels.clone();
        let for_mask = mask.clone();
        let work = tokio::task::spawn_blocking(move || {
            let (roots, warnings) = tls::roots(&extra_ca);
            let values = Arc::clone(&known);
            // Prepared once, with the values of that moment; a renewed secret is taken up on reload.
            let source: probe::SecretSource = Arc::new(move |wanted| {
                values
                    .iter()
                    .find(|(r, _)| r == wanted)
                    .map(|(_, v)| v.clone())
                    .ok_or_else(|| format!("{} cannot be had", wanted.describe()))
            });
            let env = ProbeEnv::new(roots, source, for_mask);
            let resolver: crate::notify::Resolver = Arc::new(move |reference| {
                handle.block_on(config::resolve(reference, Duration::from_secs(5)))
            });
            let senders = channels
                .iter()
                .map(|c| {
                    let sender = Sender::new(c, &extra_ca, Arc::clone(&resolver)).map(Arc::new);
                    (c.name.clone(), sender)
                })
                .collect();
            (env, senders, warnings)
        });
        match work.await {
            Ok((env, senders, warnings)) => Setup { env, mask, masked, senders, warnings },
            Err(e) => Setup {
                env: ProbeEnv::new(Arc::new(rustls::RootCertStore::empty()), Arc::new(|_| Err("not set up".into())), mask.clone()),
                mask,
                masked,
                senders: std::collections::HashMap::new(),
                warnings: vec![format!("setting up certificates and channels failed inside: {e}")],
            },
        }
    }
}

/// Names of the checks of each service.
pub fn check_names(config: &Config) -> BTreeMap<String, Vec<String>> {
    config.services.iter().map(|s| (s.name.clone(), s.checks.iter().map(|c| c.name.clone()).collect())).collect()
}

fn board_of(config: &Config, state: &State) -> Board {
    let mut board = Board::new(&config.catalog(), &check_names(config));
    for (name, record) in &state.services {
        board.seed(name, record);
    }
    board
}

fn saved_checks(dir: &Path) -> Vec<SavedCheck> {
    std::fs::read(dir.join(STATE_FILE)).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default()
}

/// The checks of a configuration, prepared, each with what was known of it.
pub fn planned(config: &Config, setup: &Setup, state: &State, saved: &[SavedCheck], board: &Board) -> Vec<Planned> {
    let mut all = Vec::new();
    for service in &config.services {
        let record = state.services.get(&service.name);
        let paused = record.is_some_and(|r| r.paused_until.is_some());
        let parents: Vec<String> = board.parents_to_probe(&service.name).into_iter().map(str::to_owned).collect();
        for check in &service.checks {
            let probe = match probe::prepare(check, &setup.env) {
                Ok(probe) => probe,
                Err(why) => {
                    tracing::warn!("check {} of {} cannot be made: {why}", check.name, service.name);
                    Arc::new(super::broken::Broken::new(why)) as Arc<dyn probe::Probe>
                }
            };
            let seed = saved
                .iter()
                .find(|s| s.service == service.name && s.check == check.name)
                .map(|s| s.seed.clone())
                .or_else(|| {
                    // A service with one check says what that check knew.
                    let only = service.checks.len() == 1;
                    record.filter(|_| only).map(|r| Seed::new(r.state, r.since, r.down_since))
                });
            all.push(Planned {
                service: service.name.clone(),
                check: check.clone(),
                probe,
                parents: parents.clone(),
                seed,
                paused,
            });
        }
    }
    all
}

impl Core {
    pub(super) fn use_setup(&mut self, setup: Setup) {
        self.mask = setup.mask;
        self.runs.masked = Arc::new(setup.masked);
        self.outbox.senders = setup.senders;
        self.warnings = setup.warnings;
    }

    /// Journals the configuration in force, unless the journal knows it already.
    pub(super) fn record_config(&mut self) {
        let catalog = self.config.catalog();
        if self.config.digest == self.state.config_digest && catalog == self.state.catalog {
            // A refusal that was told before is over when the same configuration is in force again.
            if self.state.config_faults.is_empty() {
                return;
            }
        }
        let source = self.config.source.display().to_string();
        self.record_own(None, ConfigLoaded { digest: self.config.digest.clone(), source, catalog });
    }

    pub(super) fn reject_config(&mut self, source: String, faults: Vec<String>) {
        if faults != self.state.config_faults {
            self.record_own(None, ConfigRejected { source, faults });
        }
    }

    pub(super) fn reload(&self) {
        if let Some(path) = self.config_path.clone() {
            super::reload::now(path, self.inbox.clone());
        }
    }

    /// Takes a new configuration in; checks that are the same go on as they were.
    pub(super) fn reconfigure(&mut self, config: Config) {
        if config.digest == self.config.digest && self.state.config_faults.is_empty() {
            return;
        }
        self.config = Arc::new(config);
        self.record_config();
        let catalog = self.state.catalog.clone();
        for event in self.board.reconfigure(&catalog, &check_names(&self.config)) {
            self.record_own(None, event);
        }
        let config = Arc::clone(&self.config);
        self.samples.retain(|service, check| {
            config.services.iter().any(|s| s.name == service && s.checks.iter().any(|c| c.name == check))
        });
        self.reports.retain(|name, _| config.backups.iter().any(|b| b.name == *name));
        self.catalogue.replace(&self.config.backups);
        keep_last_good(&self.state_dir, &self.config);
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let setup = Setup::of(&config).await;
            let _ = inbox.send(super::core::Message::SetUp(Box::new(setup))).await;
        });
        self.dirty.everything = true;
    }

    pub(super) fn take_setup(&mut self, setup: Setup) {
        let checks = planned(&self.config, &setup, &self.state, &[], &self.board);
        self.schedule.replace(checks);
        self.use_setup(setup);
        self.dirty.everything = true;
    }
}
