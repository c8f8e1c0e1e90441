//! What the catalogue keeps of one backup set.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::Instant;

use super::super::watch::Watch;
use super::{
    Backup, BackupReport, BackupSource, Call, Followed, Judged, Limits, Listed, Listing, Mark, Reading, Rules, Running,
    Seen, Source, WRITING, Watched, judge, text,
};
use crate::config::Restore;
use crate::domain::Time;

/// Between two looks at a repository, which reports nothing by itself.
const VAULT_RESCAN: Duration = Duration::from_secs(300);
/// Between two looks at archived log, however small the RPO.
const LOG_RESCAN: Duration = Duration::from_secs(10);
/// How long no watch is tried after one could not be had.
const WATCH_AGAIN: Duration = Duration::from_secs(300);

pub struct Entry {
    /// Never used twice, so that an answer for a set that was replaced meets nobody.
    pub id: u64,
    pub backup: Backup,
    pub source: Arc<dyn Source>,
    pub lane: String,
    /// When to look next.
    pub due: Instant,
    /// When to judge again though nothing was seen.
    pub judge_at: Option<Time>,
    /// The silence last told.
    pub silence_told: Option<Duration>,
    /// The watch reported a change since the last look began. Once is enough: a file being written reports thousands.
    pub told: Arc<AtomicBool>,
    watch: Option<(Followed, Watch)>,
    /// A watch could not be had; tried again from then on.
    watch_again: Option<Instant>,
    rules: Rules,
    seen: Vec<Seen>,
    /// What reading brought, for as long as the copies are the same.
    readings: HashMap<Mark, Result<Reading, String>>,
    /// Copies that changed while they were read: not again before the next look.
    unsteady: HashSet<Mark>,
    listing: Arc<Listing>,
    judged: Judged,
    took: Duration,
}

impl Entry {
    pub fn new(id: u64, source: Arc<dyn Source>, backup: Backup) -> Self {
        let listing = Listing { place: source.place(), ..Listing::default() };
        let rules = super::super::rules_of(&backup);
        let judged = judge(&listing, &rules, Time::from_ms(0));
        Entry {
            id,
            lane: source.lane(),
            due: Instant::now(),
            judge_at: None,
            silence_told: None,
            told: Arc::default(),
            watch: None,
            watch_again: None,
            rules,
            seen: Vec::new(),
            readings: HashMap::new(),
            unsteady: HashSet::new(),
            listing: Arc::new(listing),
            judged,
            took: Duration::ZERO,
            backup,
            source,
        }
    }

    /// Takes another configuration. False: what is known does not hold under it, and nothing was taken.
    pub fn adopt(&mut self, backup: &Backup) -> bool {
        if self.backup.source != backup.source || self.backup.restore != backup.restore {
            return false;
        }
        self.rules = super::super::rules_of(backup);
        self.backup = backup.clone();
        self.judge_at = Some(Time::from_ms(i64::MIN));
        true
    }

    /// How long until the next look when nothing happens.
    pub fn rescan(&self, limits: &Limits) -> Duration {
        let asked = |configured: Option<Duration>| configured.unwrap_or(VAULT_RESCAN);
        let (configured, default) = match &self.backup.source {
            BackupSource::Files(files) => (files.rescan, limits.rescan),
            BackupSource::Vault(vault) => (Some(asked(vault.rescan)), VAULT_RESCAN),
            BackupSource::Repo(repo) => (repo.rescan, VAULT_RESCAN),
        };
        // Log that is looked at more rarely than it has to arrive would seem too old in between.
        let quarter = match (&self.backup.restore, &self.backup.source) {
            (Some(Restore::PostgresPitr(_)), _) | (_, BackupSource::Repo(_)) => self.backup.rpo.map(|rpo| rpo / 4),
            _ => None,
        };
        let default = quarter.map_or(default, |q| default.min(q.max(LOG_RESCAN)));
        configured.unwrap_or(default).max(self.pause(limits))
    }

    /// Looks take at most a tenth of the time, however large the folder.
    fn pause(&self, limits: &Limits) -> Duration {
        limits.debounce.max(self.took * 9)
    }

    /// What a thread needs to call the source.
    pub fn call(&self, running: &Running) -> Call {
        Call {
            id: self.id,
            token: running.token,
            lane: self.lane.clone(),
            source: self.source.clone(),
            beat: running.beat.clone(),
        }
    }

    /// What is followed already; `Err` when a watch could not be had a short while ago.
    pub fn followed(&self, now: Instant) -> Result<Option<Followed>, ()> {
        match self.watch_again {
            Some(again) if now < again => Err(()),
            _ => Ok(self.watch.as_ref().map(|(what, _)| what.clone())),
        }
    }

    /// Takes what became of the watch.
    pub fn watched(&mut self, watched: Watched, now: Instant) {
        match watched {
            Watched::Same | Watched::Untried => {}
            Watched::New(what, watch) => {
                self.watch = Some((what, watch));
                self.watch_again = None;
            }
            Watched::Nothing => self.watch = None,
            Watched::Failed(why) => {
                tracing::warn!(backup = %self.backup.name, "{why}; it is looked at every {:?} instead", self.due - now);
                self.watch = None;
                self.watch_again = Some(now + WATCH_AGAIN);
            }
        }
    }

    /// The folder reported a change.
    pub fn changed(&mut self, now: Instant, limits: &Limits) {
        self.due = self.due.min(now + self.pause(limits));
    }

    /// Takes what a look brought. An error keeps what was known before.
    pub fn looked(&mut self, result: Result<Listed, String>, took: Duration, now: Time, limits: &Limits) {
        self.took = took;
        // What it saw is as old as its beginning.
        let began = now.minus(took);
        let listed = match result {
            Ok(listed) => listed,
            Err(problem) => {
                let problem = text::clean(&problem).into_owned();
                self.listing = Arc::new(Listing { problem: Some(problem), ..(*self.listing).clone() });
                self.judge(now);
                return;
            }
        };
        let before: HashMap<&str, (Mark, Option<Time>)> =
            self.seen.iter().map(|s| (s.found.copy.id.as_str(), (s.mark, s.found.changed_at))).collect();
        let mut seen = listed.copies;
        // The order in which they are judged.
        seen.sort_by(|a, b| {
            let (a, b) = (&a.found.copy, &b.found.copy);
            b.taken_at.cmp(&a.taken_at).then_with(|| a.id.cmp(&b.id))
        });
        seen.truncate(limits.kept);
        for s in &mut seen {
            s.found.changed_at = match before.get(s.found.copy.id.as_str()) {
                Some((mark, changed_at)) if *mark == s.mark => *changed_at,
                // The same file, and not as it was. Another file in its place was put there whole.
                Some((mark, _)) if mark.same_place(&s.mark) => Some(began),
                _ => None,
            };
        }
        self.seen = seen;
        self.unsteady.clear();
        self.readings.retain(|mark, _| self.seen.iter().any(|s| s.mark == *mark));
        self.listing = Arc::new(Listing {
            place: self.listing.place.clone(),
            scanned_at: Some(began),
            copies: Vec::new(),
            count: listed.count,
            bytes: listed.bytes,
            problem: None,
            remark: listed.remark.map(|r| text::clean(&r).into_owned()),
        });
        self.refresh();
        self.judge(now);
        if let Some(at) = self.judged.look_again_at {
            let wait = at.since(now) + Duration::from_millis(1);
            self.due = self.due.min(Instant::now() + wait.max(self.pause(limits)));
        }
    }

    /// Puts together what the look saw and what reading brought.
    fn refresh(&mut self) {
        let copies = self
            .seen
            .iter()
            .map(|s| {
                let mut found = s.found.clone();
                match self.readings.get(&s.mark) {
                    Some(Ok(reading)) => found.reading = reading.clone(),
                    Some(Err(fault)) => found.fault = found.fault.or_else(|| Some(fault.clone())),
                    None => {}
                }
                found
            })
            .collect();
        self.listing = Arc::new(Listing { copies, ..(*self.listing).clone() });
    }

    /// Judges as of now. True: something a person would see changed.
    pub fn judge(&mut self, now: Time) -> bool {
        let judged = judge(&self.listing, &self.rules, now);
        self.judge_at = judged.next_change_at;
        let changed = judged.state != self.judged.state
            || judged.detail != self.judged.detail
            || judged.copies != self.judged.copies;
        self.judged = judged;
        changed
    }

    /// The next copy to read to its end: from the newest on, until one is known to be whole.
    pub fn next_to_read(&self, most: usize) -> Option<(usize, &Seen)> {
        for (rank, (copy, seen)) in self.judged.copies.iter().zip(&self.seen).take(most).enumerate() {
            let reading = self.readings.get(&seen.mark);
            let known_bad = seen.found.fault.is_some() || seen.found.copy.size == 0 || matches!(reading, Some(Err(_)));
            let writing = copy.suspect.as_deref() == Some(WRITING);
            if known_bad || writing || self.unsteady.contains(&seen.mark) {
                continue;
            }
            match reading.or(Some(&Ok(seen.found.reading.clone()))) {
                Some(Ok(Reading::NotYet)) => return Some((rank, seen)),
                Some(Ok(Reading::Underway)) => return None,
                // Odd in size, hence not the one that counts.
                _ if copy.suspect.is_some() => {}
                _ => return None,
            }
        }
        None
    }

    pub fn underway(&mut self, mark: Mark) {
        self.readings.insert(mark, Ok(Reading::Underway));
        self.refresh();
    }

    /// Takes what reading brought. True: the copy changed meanwhile, so that another look is due.
    pub fn read(&mut self, mark: Mark, result: Option<Result<Reading, String>>) -> bool {
        let unsteady = result.is_none();
        match result {
            Some(result) if self.seen.iter().any(|s| s.mark == mark) => {
                let cleaned = result.map_err(|fault| text::clean(&fault).into_owned());
                self.readings.insert(mark, cleaned);
            }
            _ => {
                self.readings.remove(&mark);
                self.unsteady.insert(mark);
            }
        }
        self.refresh();
        unsteady
    }

    /// The reading that is under way does not go on.
    pub fn give_up_reading(&mut self) {
        for reading in self.readings.values_mut().filter(|r| matches!(r, Ok(Reading::Underway))) {
            *reading = Ok(Reading::Cannot("it stopped answering while it was read".to_owned()));
        }
        self.refresh();
    }

    /// True when the problem is another one than before.
    pub fn set_problem(&mut self, problem: Option<String>) -> bool {
        if self.listing.problem == problem {
            return false;
        }
        self.listing = Arc::new(Listing { problem, ..(*self.listing).clone() });
        true
    }

    /// Tells of a lane that does not answer, in steps that grow, so that a report is not sent each second.
    pub fn tell_silence(&mut self, silent: Option<Duration>) -> bool {
        let Some(silent) = silent else { return false };
        if self.silence_told.is_some_and(|told| silent < told + told.min(Duration::from_secs(60))) {
            return false;
        }
        self.silence_told = Some(silent);
        let what = text::duration(Duration::from_secs(silent.as_secs().max(1)));
        self.set_problem(Some(format!(
            "the folder {} has not answered for {what}: is its file server or mount alive?",
            self.lane
        )))
    }

    /// Whether it was looked at, or something is known to be wrong.
    pub fn is_known(&self) -> bool {
        self.listing.scanned_at.is_some() || self.listing.problem.is_some()
    }

    pub fn report(&self) -> BackupReport {
        BackupReport {
            backup: self.backup.name.clone(),
            listing: self.listing.clone(),
            scanned_at: self.listing.scanned_at,
            took_ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            problem: self.listing.problem.clone(),
            judged: self.judged.clone(),
        }
    }
}
