//! Putting a configuration to work: at the start, after a save, and again when secrets were renewed.
//!
//! Two steps. What the file says is in force at once; what has to be fetched for it (secrets, certificates, prepared
//! probes, senders) is set up beside the core, because a secret's program may hang. Until that is there nothing is sent
//! and no run is begun. Each configuration has a generation, so that what was set up for an earlier one is passed over.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

use super::broken::Broken;
use super::core::{Core, Message};
use super::schedule::{Planned, SavedCheck};
use super::start::{STATE_FILE, keep_last_good};
use crate::config::{self, Config, SecretRef};
use crate::domain::event::{ConfigLoaded, ConfigRejected};
use crate::domain::health::board::Board;
use crate::domain::health::machine::Seed;
use crate::domain::state::State;
use crate::notify::Sender;
use crate::probe::{self, Probe, ProbeEnv};
use crate::sys::tls;
use crate::text::Mask;
use crate::wire::Answer;

/// Longest wait for one secret.
const SECRET: Duration = Duration::from_secs(5);

/// What a configuration needs to be put to work.
pub struct Setup {
    pub mask: Mask,
    pub masked: Vec<(String, SecretString)>,
    pub senders: HashMap<String, Result<Arc<Sender>, String>>,
    /// By service and check.
    pub probes: HashMap<(String, String), Arc<dyn Probe>>,
    pub warnings: Vec<String>,
}

/// Masks what needs no waiting for, so that not even the first picture shows it.
pub(super) async fn mask_at_hand(config: &Config) -> Mask {
    let mut values = Vec::new();
    for (place, reference) in config.secret_refs() {
        if matches!(reference, SecretRef::Literal(_) | SecretRef::Env(_))
            && let Ok(value) = config::resolve(&reference, SECRET).await
        {
            values.push((place, value));
        }
    }
    Mask::new(with_parts(values).iter().map(|(_, v)| v.expose_secret().to_owned()))
}

impl Setup {
    /// Resolves what can be resolved; what cannot is told when it is needed.
    pub async fn of(config: &Config) -> Setup {
        let places = config.secret_refs();
        let mut wanted: Vec<SecretRef> = Vec::new();
        for (_, reference) in &places {
            if !wanted.contains(reference) {
                wanted.push(reference.clone());
            }
        }
        // All at once: they may each take their whole time.
        let values = futures_util::future::join_all(wanted.iter().map(|r| config::resolve(r, SECRET))).await;
        let known: Arc<Vec<(SecretRef, SecretString)>> =
            Arc::new(wanted.into_iter().zip(values).filter_map(|(r, v)| Some((r, v.ok()?))).collect());
        let value_of = |wanted: &SecretRef| known.iter().find(|(r, _)| r == wanted).map(|(_, v)| v.clone());
        let masked: Vec<(String, SecretString)> =
            places.into_iter().filter_map(|(place, r)| Some((place, value_of(&r)?))).collect();
        let masked = with_parts(masked);
        let mask = Mask::new(masked.iter().map(|(_, v)| v.expose_secret().to_owned()));
        let handle = tokio::runtime::Handle::current();
        let (config, for_mask) = (config.clone(), mask.clone());
        let work = tokio::task::spawn_blocking(move || {
            let extra_ca = &config.system.extra_ca;
            let (roots, warnings) = tls::roots(extra_ca);
            let values = Arc::clone(&known);
            // Prepared once, with the values of that moment; a renewed secret is taken up on reload.
            let source: probe::SecretSource = Arc::new(move |wanted| {
                let found = values.iter().find(|(r, _)| r == wanted).map(|(_, v)| v.clone());
                found.ok_or_else(|| format!("{} cannot be had", wanted.describe()))
            });
            let env = ProbeEnv::new(roots, source, for_mask);
            let probes = probes_of(&config, &env);
            let resolver: crate::notify::Resolver =
                Arc::new(move |reference| handle.block_on(config::resolve(reference, SECRET)));
            let senders = config
                .channels
                .iter()
                .map(|c| (c.name.clone(), Sender::new(c, extra_ca, Arc::clone(&resolver)).map(Arc::new)))
                .collect();
            (probes, senders, warnings)
        });
        match work.await {
            Ok((probes, senders, warnings)) => Setup { mask, masked, senders, probes, warnings },
            Err(e) => {
                let warnings = vec![format!("setting up checks and channels failed inside: {e}")];
                Setup { mask, masked, senders: HashMap::new(), probes: HashMap::new(), warnings }
            }
        }
    }
}

fn probes_of(config: &Config, env: &ProbeEnv) -> HashMap<(String, String), Arc<dyn Probe>> {
    let mut probes = HashMap::new();
    for service in &config.services {
        for check in &service.checks {
            let probe = probe::prepare(check, env).unwrap_or_else(|why| {
                tracing::warn!("check {} of {} cannot be made: {why}", check.name, service.name);
                Arc::new(Broken::new(why))
            });
            probes.insert((service.name.clone(), check.name.clone()), probe);
        }
    }
    probes
}

/// Names of the checks of each service.
pub(super) fn check_names(config: &Config) -> BTreeMap<String, Vec<String>> {
    config.services.iter().map(|s| (s.name.clone(), s.checks.iter().map(|c| c.name.clone()).collect())).collect()
}

/// Where each service stands in the configuration.
pub(super) fn places(config: &Config) -> HashMap<String, usize> {
    config.services.iter().enumerate().map(|(i, s)| (s.name.clone(), i)).collect()
}

pub(super) fn board_of(config: &Config, state: &State) -> Board {
    let mut board = Board::new(&config.catalog(), &check_names(config));
    for (name, record) in &state.services {
        board.seed(name, record);
    }
    board
}

pub(super) fn saved_checks(dir: &Path) -> Vec<SavedCheck> {
    std::fs::read(dir.join(STATE_FILE)).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default()
}

impl Core {
    /// Has what the configuration in force needs set up beside the core.
    pub(super) fn set_up(&mut self) {
        self.generation += 1;
        self.setting_up = true;
        let (generation, config, inbox) = (self.generation, Arc::clone(&self.config), self.inbox.clone());
        tokio::spawn(async move {
            let work = tokio::spawn(async move { Setup::of(&config).await });
            let setup = work.await.unwrap_or_else(|e| Setup {
                mask: Mask::default(),
                masked: Vec::new(),
                senders: HashMap::new(),
                probes: HashMap::new(),
                warnings: vec![format!("setting up checks and channels failed inside: {e}")],
            });
            let _ = inbox.send(Message::SetUp { generation, setup: Box::new(setup) }).await;
        });
    }

    pub(super) fn take_setup(&mut self, generation: u64, setup: Setup) {
        if generation != self.generation {
            return;
        }
        let checks = self.planned(setup.probes);
        self.schedule.replace(checks);
        self.mask = setup.mask;
        self.targets.clear();
        self.runs.masked = Arc::new(setup.masked);
        self.outbox.senders = setup.senders;
        self.warnings.retain(|w| w.starts_with(super::observe::LASTING));
        self.warnings.extend(setup.warnings);
        self.setting_up = false;
        self.dirty.everything = true;
    }

    /// The checks in force, each with what was known of it.
    fn planned(&mut self, mut probes: HashMap<(String, String), Arc<dyn Probe>>) -> Vec<Planned> {
        let saved = std::mem::take(&mut self.saved);
        let mut seeds: HashMap<(&str, &str), &Seed> = saved
            .iter()
            .map(|SavedCheck { service, check, seed }| ((service.as_str(), check.as_str()), seed))
            .collect();
        let mut all = Vec::new();
        for service in &self.config.services {
            let record = self.state.services.get(&service.name);
            let paused = record.is_some_and(|r| r.paused_until.is_some());
            let parents: Vec<String> =
                self.board.parents_to_probe(&service.name).into_iter().map(str::to_owned).collect();
            for check in &service.checks {
                let seed = seeds.remove(&(service.name.as_str(), check.name.as_str())).cloned().or_else(|| {
                    // A service with one check says what that check knew.
                    let only = service.checks.len() == 1;
                    record.filter(|_| only).map(|r| Seed::new(r.state, r.since, r.down_since))
                });
                let probe = probes
                    .remove(&(service.name.clone(), check.name.clone()))
                    .unwrap_or_else(|| Arc::new(Broken::new("it could not be set up".into())));
                let (service, parents) = (service.name.clone(), parents.clone());
                all.push(Planned { service, check: check.clone(), probe, parents, seed, paused });
            }
        }
        all
    }

    /// Journals the configuration in force, unless the journal knows it already.
    pub(super) fn record_config(&mut self) {
        let catalog = self.config.catalog();
        let known = self.config.digest == self.state.config_digest && catalog == self.state.catalog;
        // A refusal that was told before is over when the same configuration is in force again.
        if known && self.state.config_faults.is_empty() {
            return;
        }
        let source = self.config.source.display().to_string();
        self.record_own(None, ConfigLoaded { digest: self.config.digest.clone(), source, catalog });
    }

    pub(super) fn reject_config(&mut self, source: String, faults: Vec<String>) {
        if faults != self.state.config_faults {
            self.record_own(None, ConfigRejected { source, faults });
        }
    }

    /// Reads the configuration again. `anew`: also what it refers to, when the file itself is the same.
    pub(super) fn reload(&mut self, anew: bool, reply: Option<oneshot::Sender<Answer>>) {
        let Some(path) = self.config_path.clone() else {
            if let Some(reply) = reply {
                let reason = "this engine runs without a configuration file".into();
                let _ = reply.send(Answer::Failed { reason });
            }
            return;
        };
        self.reads += 1;
        if anew {
            self.anew = true;
        }
        super::reload::now(path, self.reads, self.inbox.clone(), reply);
    }

    pub(super) fn take_config(
        &mut self,
        ticket: u64,
        read: Result<Box<Config>, (String, Vec<String>)>,
        reply: Option<oneshot::Sender<Answer>>,
    ) {
        // Two reads may end in the other order; the one that began last has seen the newest.
        let newest = ticket > self.read;
        self.read = self.read.max(ticket);
        let answer = match &read {
            Ok(_) => Answer::Ok,
            Err((source, faults)) => Answer::Failed {
                reason: format!("{source} is not in force, the one before stays: {}", faults.join("\n")),
            },
        };
        if newest {
            match read {
                Ok(config) => self.reconfigure(*config),
                Err((source, faults)) => self.reject_config(source, faults),
            }
        }
        if let Some(reply) = reply {
            self.waiting.push((reply, String::new(), answer));
        }
    }

    /// Takes a new configuration in; checks that are the same go on as they were.
    fn reconfigure(&mut self, config: Config) {
        let anew = std::mem::take(&mut self.anew);
        if config.digest == self.config.digest && self.state.config_faults.is_empty() {
            if anew {
                self.set_up();
            }
            return;
        }
        self.places = places(&config);
        self.percentiles.clear();
        self.targets.clear();
        self.config = Arc::new(config);
        self.playbooks.send_if_modified(|folder| {
            let changed = *folder != self.config.playbook_folder;
            folder.clone_from(&self.config.playbook_folder);
            changed
        });
        self.record_config();
        let catalog = self.state.catalog.clone();
        for event in self.board.reconfigure(&catalog, &check_names(&self.config)) {
            self.record_own(None, event);
        }
        let config = Arc::clone(&self.config);
        self.samples.retain(|service, check| {
            self.places
                .get(service)
                .and_then(|i| config.services.get(*i))
                .is_some_and(|s| s.checks.iter().any(|c| c.name == check))
        });
        self.reports.retain(|name, _| config.backups.iter().any(|b| b.name == *name));
        self.catalogue.replace(&self.config.backups);
        let (dir, kept) = (self.state_dir.clone(), Arc::clone(&self.config));
        tokio::task::spawn_blocking(move || keep_last_good(&dir, &kept));
        self.set_up();
        self.dirty.everything = true;
    }
}

/// The values, and what each gives away when only a part of it is repeated: an address' password, a webhook's token.
fn with_parts(values: Vec<(String, SecretString)>) -> Vec<(String, SecretString)> {
    let mut all = values;
    let parts: Vec<(String, SecretString)> = all
        .iter()
        .flat_map(|(name, value)| {
            crate::text::mask::parts(value.expose_secret())
                .into_iter()
                .enumerate()
                .map(move |(n, part)| (format!("{name} part {}", n + 1), SecretString::from(part)))
        })
        .collect();
    all.extend(parts);
    all
}
