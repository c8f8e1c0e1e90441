//! Starting runs and following them: one small task per run that reads what its folder says.
//!
//! The runner is a process of its own, so everything known of a run comes from its folder, and an engine that was killed
//! finds it there again. A lost run is finished off here: what it left running is ended, what it left open is taken
//! back, and only then is it told as lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::core::Message;
use crate::config::{Config, SecretRef, secret};
use crate::domain::run::Plan;
use crate::runner::{self, Progress, ProgressLine, Seen};

/// Between two looks at a run's folder.
const LOOK: Duration = Duration::from_millis(100);
/// The same while its runner is being started.
const LOOK_FOR_START: Duration = Duration::from_millis(10);
/// How long a runner takes at most to start; from then on it is looked for less often.
const STARTS_WITHIN: Duration = Duration::from_secs(2);
/// How long taking back an open step may take before it is told as still open.
const COMPENSATION: Duration = Duration::from_secs(30);

/// What a run's folder said.
#[derive(Debug)]
pub enum News {
    /// No process could be started: why.
    NotStarted { run: String, why: String },
    /// The task that followed it ended inside: it is followed anew.
    Unfollowed { run: String },
    /// New lines, and the state if it is worth telling.
    Seen { run: String, lines: Vec<ProgressLine>, seen: Box<Seen> },
}

/// What the engine knows of runs beside the journal.
#[derive(Default)]
pub struct Followed {
    /// Runs that a task follows or starts.
    pub following: HashSet<String>,
    /// Folder and last progress of each.
    pub live: HashMap<String, Live>,
    /// Where the secrets of requested plans come from; gone once the runner was handed them.
    secrets: HashMap<String, BTreeMap<String, SecretRef>>,
    /// Cancellations that were passed on.
    pub cancelled: HashSet<String>,
    /// Values masked in every run's output.
    pub masked: Arc<Vec<(String, SecretString)>>,
}

/// The moving part of a run.
#[derive(Clone, Debug, Default)]
pub struct Live {
    pub dir: PathBuf,
    pub phase: usize,
    pub progress: Option<Progress>,
}

impl Followed {
    /// Keeps where a plan's secrets come from until it is started.
    pub fn keep_secrets(&mut self, run: &str, secrets: BTreeMap<String, SecretRef>) {
        self.secrets.insert(run.to_owned(), secrets);
    }

    /// True when everything a plan needs to be started is known to this engine.
    pub fn can_start(&self, plan: &Plan) -> bool {
        plan.secrets.is_empty() || self.secrets.contains_key(&plan.id)
    }

    /// Starts the runner of `plan` and follows it.
    pub fn start(&mut self, plan: Plan, place: Place, inbox: mpsc::Sender<Message>) {
        let run = plan.id.clone();
        self.following.insert(run.clone());
        let wanted = self.secrets.remove(&run).unwrap_or_default();
        let masked = Arc::clone(&self.masked);
        let to = inbox.clone();
        watched(run.clone(), inbox, async move {
            match begin(&plan, &place, wanted, &masked).await {
                Ok(dir) => follow(run, dir, place, to).await,
                Err(why) => {
                    let _ = to.send(Message::Run(News::NotStarted { run, why })).await;
                }
            }
        });
    }

    /// Forgets what is known of a run that is over.
    pub fn forget(&mut self, run: &str) {
        self.following.remove(run);
        self.live.remove(run);
        self.secrets.remove(run);
        self.cancelled.remove(run);
    }

    /// Follows a run whose folder exists already.
    pub fn follow(&mut self, run: &str, dir: PathBuf, place: Place, inbox: mpsc::Sender<Message>) {
        if self.following.insert(run.to_owned()) {
            watched(run.to_owned(), inbox.clone(), follow(run.to_owned(), dir, place, inbox));
        }
    }
}

/// A task whose failure inside is told, so that its run is followed again.
fn watched(run: String, inbox: mpsc::Sender<Message>, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(e) = tokio::spawn(work).await {
            tracing::error!("following run {run} failed inside: {e}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = inbox.send(Message::Run(News::Unfollowed { run })).await;
        }
    });
}

/// Where runs live, what executes them, and where secrets come from.
#[derive(Clone, Debug)]
pub struct Place {
    pub state_dir: PathBuf,
    pub other_places: Vec<PathBuf>,
    pub exe: PathBuf,
    pub config: Arc<Config>,
}

/// Name in a plan → where its value comes from, beside the plan: whoever has to take back what a killed runner left open
/// needs the same secrets. References only; a value written into the configuration is named by its place there.
const REFS: &str = "secrets.json";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kept {
    Ref(SecretRef),
    Config(String),
}

fn keep_refs(dir: &Path, wanted: &BTreeMap<String, SecretRef>, config: &Config) -> std::io::Result<()> {
    let known = config.secret_refs();
    let kept: BTreeMap<&String, Kept> = wanted
        .iter()
        .filter_map(|(name, reference)| match reference {
            SecretRef::Literal(_) => {
                known.iter().find(|(_, r)| r == reference).map(|(at, _)| (name, Kept::Config(at.clone())))
            }
            other => Some((name, Kept::Ref(other.clone()))),
        })
        .collect();
    if kept.is_empty() {
        return Ok(());
    }
    let bytes = serde_json::to_vec(&kept).map_err(std::io::Error::other)?;
    crate::sys::disk::write_atomic(&dir.join(REFS), &bytes, 0o600)
}

async fn kept_secrets(dir: &Path, config: &Config) -> BTreeMap<String, SecretString> {
    let kept: BTreeMap<String, Kept> =
        std::fs::read(dir.join(REFS)).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
    let known = config.secret_refs();
    let mut values = BTreeMap::new();
    for (name, kept) in kept {
        let reference = match kept {
            Kept::Ref(reference) => reference,
            Kept::Config(at) => match known.iter().find(|(place, _)| *place == at) {
                Some((_, reference)) => reference.clone(),
                None => continue,
            },
        };
        match secret::resolve(&reference, Duration::from_secs(10)).await {
            Ok(value) => {
                values.insert(name, value);
            }
            Err(e) => tracing::error!("the secret {name} ({}) cannot be had: {e}", reference.describe()),
        }
    }
    values
}

async fn begin(
    plan: &Plan,
    place: &Place,
    wanted: BTreeMap<String, SecretRef>,
    masked: &[(String, SecretString)],
) -> Result<PathBuf, String> {
    let refs = wanted.clone();
    let mut values: BTreeMap<String, SecretString> =
        masked.iter().map(|(name, value)| (format!("mask {name}"), value.clone())).collect();
    // All at once, so that the whole stays well within the time in which a request must be claimed.
    let fetched = wanted.into_iter().map(|(name, reference)| async move {
        match secret::resolve(&reference, Duration::from_secs(10)).await {
            Ok(value) => Ok((name, value)),
            Err(e) => Err(format!("the secret {name} ({}) cannot be had: {e}", reference.describe())),
        }
    });
    values.extend(futures_util::future::try_join_all(fetched).await?);
    let (plan, place) = (plan.clone(), place.clone());
    tokio::task::spawn_blocking(move || {
        let dir = runner::place(&place.state_dir, &place.other_places, &plan).map_err(|e| e.to_string())?;
        keep_refs(&dir, &refs, &place.config).map_err(|e| format!("write into {}: {e}", dir.display()))?;
        let output = place.config.engine.output_limit.unwrap_or(runner::OUTPUT_LIMIT);
        runner::spawn_with(&place.exe, &dir, &values, runner::Limits { output })
            .map_err(|e| format!("start the runner {}: {e}", place.exe.display()))?;
        Ok(dir)
    })
    .await
    .map_err(|e| e.to_string())?
}

async fn follow(run: String, dir: PathBuf, place: Place, inbox: mpsc::Sender<Message>) {
    let mut offset = 0;
    let mut told: Option<Seen> = None;
    let mut silent = 0u32;
    let begun = tokio::time::Instant::now();
    // The process whose end was waited for already.
    let mut ended = None;
    loop {
        let (path, at) = (dir.clone(), offset);
        let look = tokio::task::spawn_blocking(move || {
            let seen = runner::look(&path)?;
            let lines = runner::progress_since(&path, at)?;
            Ok::<_, std::io::Error>((seen, lines))
        });
        match look.await {
            Ok(Ok((seen, (mut lines, next)))) => {
                offset = next;
                let over = matches!(seen, Seen::Finished(_) | Seen::Lost { .. } | Seen::Expired);
                if let Seen::Lost { .. } = &seen {
                    finish_off(&dir, &place).await;
                }
                let seen = if over { relook(&dir).await.unwrap_or(seen) } else { seen };
                if over {
                    // Taking back says what is kept and what is gone, as the run itself would have.
                    lines.extend(rest(&dir, &mut offset).await);
                }
                if over || !lines.is_empty() || told.as_ref() != Some(&seen) {
                    silent = 0;
                    told = Some(seen.clone());
                    let news = News::Seen { run: run.clone(), lines, seen: Box::new(seen) };
                    if inbox.send(Message::Run(news)).await.is_err() || over {
                        return;
                    }
                }
            }
            Ok(Err(e)) => {
                silent += 1;
                if silent % 100 == 1 {
                    tracing::warn!("looking at run {run} in {} failed: {e}", dir.display());
                }
            }
            Err(e) => tracing::error!("following run {run} failed inside: {e}"),
        }
        match &told {
            // Its end is seen at once, everything else at the next look.
            Some(Seen::Running { pid, .. }) if ended != Some(*pid) => {
                if tokio::time::timeout(LOOK, crate::sys::proc::exited(i32::try_from(*pid).ok())).await.is_ok() {
                    ended = Some(*pid);
                }
            }
            Some(Seen::Unclaimed) if begun.elapsed() < STARTS_WITHIN => tokio::time::sleep(LOOK_FOR_START).await,
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// What was written since `offset`, to its end.
async fn rest(dir: &Path, offset: &mut u64) -> Vec<ProgressLine> {
    let mut all = Vec::new();
    loop {
        let (path, at) = (dir.to_owned(), *offset);
        match tokio::task::spawn_blocking(move || runner::progress_since(&path, at)).await {
            Ok(Ok((lines, next))) if next > at => {
                *offset = next;
                all.extend(lines);
            }
            _ => return all,
        }
    }
}

async fn relook(dir: &Path) -> Option<Seen> {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || runner::look(&dir).ok()).await.ok().flatten()
}

/// Ends what a lost run left running, and takes back what it left open.
async fn finish_off(dir: &Path, place: &Place) {
    let path = dir.to_owned();
    if let Ok(Ok(reaped)) = tokio::task::spawn_blocking(move || runner::reap(&path)).await
        && !(reaped.ended.is_empty() && reaped.left.is_empty())
    {
        tracing::warn!("a lost run left processes: ended {:?}, left {:?}", reaped.ended, reaped.left);
    }
    let open = |seen: &Seen| matches!(seen, Seen::Lost { compensation: Some(_), .. });
    if !relook(dir).await.as_ref().is_some_and(open) {
        return;
    }
    let secrets = kept_secrets(dir, &place.config).await;
    let (path, program) = (dir.to_owned(), place.exe.clone());
    let spawned = tokio::task::spawn_blocking(move || runner::compensate(&program, &path, &secrets)).await;
    if let Ok(Err(e)) = spawned {
        tracing::error!("taking back what a lost run left open failed to start: {e}");
        return;
    }
    let deadline = tokio::time::Instant::now() + COMPENSATION;
    while tokio::time::Instant::now() < deadline {
        if !relook(dir).await.as_ref().is_some_and(open) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    tracing::error!("what the lost run in {} left open is still open", dir.display());
}
