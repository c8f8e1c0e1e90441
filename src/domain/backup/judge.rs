//! The rules by which a backup set is called fresh, stale, suspect, missing or unknown.
//!
//! A source lists facts ([`Listing`]); this decides what they mean at one moment, and when the answer will next change
//! by the passing of time alone. Three things are kept apart on purpose: what is wrong with a copy in itself (empty, cut
//! off, still being written), what is odd about it beside its predecessors (its size), and how old the newest good one
//! is. A doubtful newer copy never hides the good one behind it and never makes the set fresh.
//!
//! Sizes are compared with the last seven predecessors of the same kind that are sound in themselves, odd sizes
//! included: a lasting change of size is told for as long as the old sizes are the majority, and then accepted.
//!
//! A base backup is as old as the log that continues it: the RPO is measured from the last segment that follows without a
//! gap, the schedule (`every`) from the base backup itself. Log behind a gap is of no use and never makes it younger.

use std::time::Duration;

use super::{BackupState, Copy};
use crate::domain::Time;
use crate::text;

/// How far ahead of this host's clock a copy may be dated: two machines never agree exactly.
pub const SLACK_MS: i64 = 60_000;
/// Predecessors whose median a size is compared with.
pub const PREDECESSORS: usize = 7;

/// What is asked of a backup set. All times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The newest good copy may be this old. Zero is legal: every copy is then too old.
    pub rpo_ms: Option<u64>,
    /// How often a copy is made.
    pub every_ms: Option<u64>,
    /// Slack on `every_ms`; by default a tenth of it, at least a minute.
    pub grace_ms: Option<u64>,
    /// A copy that had changed within this time when it was looked at is still being written.
    pub settle_ms: u64,
}

impl Rules {
    /// The age beyond which the schedule was missed.
    pub fn overdue_after_ms(&self) -> Option<u64> {
        let every = self.every_ms?;
        Some(every.saturating_add(self.grace_ms.unwrap_or((every / 10).max(60_000))))
    }

    /// When a copy becomes stale, and by what: its age as what it brings back, and as the last one made.
    fn stale_from(&self, copy: &Copy) -> Option<(Time, Over)> {
        let from = |at: Time, ms: u64| Time::from_ms(at.ms().saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)));
        let rpo = self.rpo_ms.map(|ms| (from(copy.as_of(), ms), Over::Rpo(ms)));
        let overdue = self.overdue_after_ms().map(|ms| (from(copy.taken_at, ms), Over::Overdue));
        match (rpo, overdue) {
            (Some(a), Some(b)) => Some(if a.0 <= b.0 { a } else { b }),
            (a, b) => a.or(b),
        }
    }
}

/// What a copy is over.
#[derive(Clone, Copy, Debug)]
enum Over {
    Rpo(u64),
    Overdue,
}

/// The archived log that follows a base backup, as its source found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFound {
    /// The last segment that follows without a gap, and when it was archived.
    pub last: Option<(String, Time)>,
    /// What is missing though there is log behind it, in words.
    pub gap: Option<String>,
    /// Why nothing is known of it.
    pub unknown: Option<String>,
}

impl LogFound {
    /// What keeps the set from being fresh.
    fn trouble(&self) -> Option<String> {
        let unknown = || self.unknown.as_ref().map(|why| format!("its log is not known: {why}"));
        self.gap.as_ref().map(|gap| format!("its log has a gap, {gap}")).or_else(unknown)
    }

    fn words(&self) -> Option<String> {
        self.trouble().or_else(|| {
            let (name, at) = self.last.as_ref()?;
            Some(format!("its log goes on without a gap to {name}, archived {}", moment(*at)))
        })
    }
}

/// How far the content of a copy was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Nobody has read it to the end yet.
    #[default]
    NotYet,
    /// Being read.
    Underway,
    /// Read to the end without fault; in words what that covered.
    Whole(String),
    /// It cannot be read to the end here, and why: no permission, encrypted, a compression that is not known.
    Cannot(String),
}

impl Reading {
    /// For [`Copy::note`].
    pub fn words(&self) -> String {
        match self {
            Reading::NotYet => "not yet read to the end".to_owned(),
            Reading::Underway => "being read to the end".to_owned(),
            Reading::Whole(what) => what.clone(),
            Reading::Cannot(why) => format!("not read to the end: {why}"),
        }
    }
}

/// One copy as its source found it: facts, no opinion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// `suspect` and `note` are left empty; [`judge`] fills them.
    pub copy: Copy,
    /// What is wrong with it in itself, in words.
    pub fault: Option<String>,
    /// When its source last saw its size or date change, by this host's clock; dates can lie.
    pub changed_at: Option<Time>,
    /// How far it was read.
    pub reading: Reading,
    /// Its source does not say how large it is; the copy's size is then 0 and means nothing.
    pub unsized_: bool,
    /// Of a base backup whose log is looked at.
    pub log: Option<LogFound>,
}

/// What a source found when it last looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Where it looked, in words: `/backups/pg/*.dump`.
    pub place: String,
    /// When the look began; `None`: never yet.
    pub scanned_at: Option<Time>,
    /// The newest copies, newest first.
    pub copies: Vec<Found>,
    /// How many copies there are, those not kept above included.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Why it cannot be looked at now; `copies` are then those known from before.
    pub problem: Option<String>,
    /// Something beside that a person should know: a part that could not be read, names that were passed over.
    pub remark: Option<String>,
}

/// What a listing means at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    pub state: BackupState,
    /// The newest good copy.
    pub newest: Option<Copy>,
    /// The newest copy when it is not to be trusted and newer than the good one.
    pub newer_suspect: Option<Copy>,
    /// All that is in doubt about the newest is that it is still being written.
    pub writing: bool,
    /// RPO left for the newest good copy; negative when it is over. `None` without an RPO or a good copy.
    pub headroom_ms: Option<i64>,
    /// When the next copy should be there.
    pub next_due: Option<Time>,
    /// One sentence that stays the same while nothing changes (moments, not ages).
    pub detail: String,
    /// When the state will change if nothing new is found.
    pub next_change_at: Option<Time>,
    /// When another look would tell whether what was being written is complete. Time alone never tells.
    pub look_again_at: Option<Time>,
    /// All listed copies, newest first, `suspect` and `note` filled in.
    pub copies: Vec<Copy>,
}

/// Why a copy is not good, and when that passes by itself.
struct Doubt {
    why: String,
    until: Option<Time>,
    /// Being written; a look from then on tells more.
    writing: Option<Time>,
}

/// What [`Copy::suspect`] says of a copy that is not complete yet.
pub const WRITING: &str = "still being written";

/// Decides what a listing means at `now`.
pub fn judge(listing: &Listing, rules: &Rules, now: Time) -> Judged {
    let mut found: Vec<&Found> = listing.copies.iter().collect();
    found.sort_by(|a, b| b.copy.taken_at.cmp(&a.copy.taken_at).then_with(|| a.copy.id.cmp(&b.copy.id)));
    let own: Vec<Option<Doubt>> = found.iter().map(|f| own_doubt(f, listing, rules, now)).collect();
    let (mut next, mut look) = (Soonest(None), Soonest(None));
    let mut copies = Vec::with_capacity(found.len());
    let mut good = None;
    let mut writing = false;
    for (i, (f, doubt)) in found.iter().zip(&own).enumerate() {
        let suspect = match doubt {
            Some(doubt) => {
                next.at(doubt.until);
                look.at(doubt.writing);
                Some(doubt.why.clone())
            }
            None => odd_size(f, found.iter().zip(&own).skip(i + 1)),
        };
        if i == 0 {
            writing = doubt.as_ref().is_some_and(|d| d.writing.is_some());
        }
        if suspect.is_none() && good.is_none() {
            good = Some(i);
        }
        let reaches = f.log.as_ref().and_then(|log| log.last.as_ref()).map(|(_, at)| *at).or(f.copy.reaches);
        copies.push(Copy { suspect, note: f.reading.words(), reaches, ..f.copy.clone() });
    }
    let newest = good.and_then(|i| copies.get(i)).cloned();
    let newer_suspect = copies.first().filter(|c| c.suspect.is_some()).cloned();
    let log = good.and_then(|i| found.get(i)).and_then(|f| f.log.as_ref());
    let stale = newest.as_ref().and_then(|c| rules.stale_from(c)).filter(|(from, _)| {
        let over = now > *from;
        if !over {
            next.at(Some(Time::from_ms(from.ms().saturating_add(1))));
        }
        over
    });
    let state = match &newest {
        _ if listing.problem.is_some() || listing.scanned_at.is_none() => BackupState::Unknown,
        None => BackupState::Missing,
        Some(_) if stale.is_some() => BackupState::Stale,
        Some(_) if newer_suspect.is_some() || log.is_some_and(|l| l.trouble().is_some()) => BackupState::Suspect,
        Some(_) => BackupState::Fresh,
    };
    let headroom_ms = newest
        .as_ref()
        .zip(rules.rpo_ms)
        .map(|(c, rpo)| i64::try_from(rpo).unwrap_or(i64::MAX).saturating_sub(now.ms_since(c.as_of()).max(0)));
    let next_due = newest.as_ref().zip(rules.every_ms).map(|(c, every)| c.taken_at.plus(Duration::from_millis(every)));
    let over = stale.map(|(_, over)| over);
    let mut detail = detail(listing, rules, (state, over), newest.as_ref(), newer_suspect.as_ref());
    if let Some(words) = log.and_then(LogFound::words) {
        // What is wrong comes first.
        let trouble = log.is_some_and(|l| l.trouble().is_some()) && state == BackupState::Suspect;
        detail = if trouble { format!("{words}; {detail}") } else { format!("{detail}; {words}") };
    }
    Judged {
        state,
        newest,
        newer_suspect,
        writing,
        headroom_ms,
        next_due,
        detail,
        next_change_at: next.0,
        look_again_at: look.0,
        copies,
    }
}

struct Soonest(Option<Time>);

impl Soonest {
    fn at(&mut self, when: Option<Time>) {
        self.0 = match (self.0, when) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// What is wrong with a copy whatever its predecessors are.
fn own_doubt(f: &Found, listing: &Listing, rules: &Rules, now: Time) -> Option<Doubt> {
    let ahead = f.copy.taken_at.ms_since(now);
    let settle = Duration::from_millis(rules.settle_ms);
    // Dated ahead of every honest clock, until the moment has come near.
    let future = (ahead > SLACK_MS).then(|| Time::from_ms(f.copy.taken_at.ms().saturating_sub(SLACK_MS)));
    // Being written comes before empty and cut off: a copy that has just begun is both, and neither is news. It is
    // complete only when a look found it unchanged for long enough: that time passed since says nothing.
    let changed = f.changed_at.into_iter().chain(future.is_none().then_some(f.copy.taken_at)).max();
    let complete = changed.map(|t| t.plus(settle));
    if let Some(complete) = complete.filter(|c| listing.scanned_at.is_none_or(|at| *c > at)) {
        return Some(Doubt { why: WRITING.to_owned(), until: future, writing: Some(complete) });
    }
    let why = if f.copy.size == 0 && !f.unsized_ {
        "it is empty".to_owned()
    } else if let Some(fault) = &f.fault {
        fault.clone()
    } else if future.is_some() {
        format!("dated in the future: {}", moment(f.copy.taken_at))
    } else {
        return None;
    };
    Some(Doubt { why, until: future, writing: None })
}

/// Whether a size is far from what its predecessors were.
fn odd_size<'a>(f: &Found, before: impl Iterator<Item = (&'a &'a Found, &'a Option<Doubt>)>) -> Option<String> {
    if f.unsized_ {
        return None;
    }
    let mut sizes: Vec<u64> = before
        .filter(|(p, doubt)| doubt.is_none() && !p.unsized_ && p.copy.format == f.copy.format)
        .map(|(p, _)| p.copy.size)
        .take(PREDECESSORS)
        .collect();
    let median = median(&mut sizes)?;
    let size = f.copy.size as f64;
    let beside = || format!("{} beside {} of its predecessors", text::size(f.copy.size), text::size(median as u64));
    if size < 0.5 * median {
        Some(format!("far smaller than usual: {}", beside()))
    } else if size > 2.0 * median {
        Some(format!("far larger than usual: {}", beside()))
    } else {
        None
    }
}

fn median(sizes: &mut [u64]) -> Option<f64> {
    sizes.sort_unstable();
    let middle = sizes.len() / 2;
    let upper = *sizes.get(middle)? as f64;
    match sizes.len() % 2 {
        1 => Some(upper),
        _ => sizes.get(middle.checked_sub(1)?).map(|&lower| (lower as f64 + upper) / 2.0),
    }
}

/// `2026-11-20 02:00 UTC`.
fn moment(t: Time) -> String {
    format!("{} {} UTC", t.date(), t.hm())
}

fn detail(
    listing: &Listing,
    rules: &Rules,
    (state, over): (BackupState, Option<Over>),
    newest: Option<&Copy>,
    suspect: Option<&Copy>,
) -> String {
    let good = |c: &Copy| format!("{} of {}, {}, {}", c.id, moment(c.taken_at), c.size_said(), c.note);
    let doubtful = suspect
        .map(|c| format!("{} is newer and not to be trusted: {}", c.id, c.suspect.as_deref().unwrap_or_default()));
    let mut parts = Vec::new();
    match (state, newest) {
        (BackupState::Unknown, newest) => {
            parts.push(listing.problem.clone().unwrap_or_else(|| "not looked at yet".to_owned()));
            parts.extend(newest.map(|c| format!("last known good copy: {}", good(c))));
        }
        (BackupState::Missing, _) | (_, None) => match suspect {
            Some(c) => parts.push(format!(
                "no good copy; the newest, {}, is not to be trusted: {}",
                c.id,
                c.suspect.as_deref().unwrap_or_default()
            )),
            None => parts.push(format!("no copy in {}", listing.place)),
        },
        (BackupState::Stale, Some(c)) => {
            let said = |ms| text::duration(Duration::from_millis(ms));
            let since = |at: Time, ms: u64| moment(at.plus(Duration::from_millis(ms)));
            parts.push(match (over, rules.overdue_after_ms()) {
                (Some(Over::Rpo(rpo)), _) => format!("RPO {} over since {}", said(rpo), since(c.as_of(), rpo)),
                (Some(Over::Overdue), Some(overdue)) => {
                    let every = said(rules.every_ms.unwrap_or_default());
                    format!("due every {every}, over since {}", since(c.taken_at, overdue))
                }
                _ => "too old".to_owned(),
            });
            parts.push(format!("newest good copy: {}", good(c)));
            parts.extend(doubtful);
        }
        (_, Some(c)) => {
            parts.extend(doubtful);
            parts.push(if parts.is_empty() { good(c) } else { format!("newest good copy: {}", good(c)) });
        }
    }
    parts.extend(listing.remark.clone());
    parts.join("; ")
}

#[cfg(test)]
mod tests;
