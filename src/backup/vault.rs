//! Repositories of restic and borg as a source: each snapshot or archive is a copy.
//!
//! The program is asked without a lock, so that looking never holds up a backup. What it lists is complete by
//! construction (a snapshot is written last), hence there is nothing to settle; whether its data can still be read is
//! shown by restoring it, which compares every checksum.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Beat, Followed, Listed, Mark, Seen, Source};
use crate::config::{self, MaybeSecret, VaultSource};
use crate::domain::Time;
use crate::domain::backup::{Copy, Found, Reading, place as escape};
use crate::sys::proc;
use crate::sys::vault::{Access, Filter, Snapshot, VaultTool};
use crate::text;

/// For one question, where the configuration says nothing.
pub const LIMIT: Duration = Duration::from_secs(120);
/// For looking up one secret.
const SECRET: Duration = Duration::from_secs(10);
/// For asking how large one snapshot is.
const SIZE: Duration = Duration::from_secs(20);
/// Snapshots asked about in one look, the newest first.
const SIZES: usize = 3;

/// A repository.
pub struct Vault {
    source: VaultSource,
    /// By the program's id of the content; `None` where it could not be found out.
    sizes: Mutex<HashMap<String, Option<u64>>>,
}

/// Where it is, in words; an address that is a secret is not shown.
pub fn place(source: &VaultSource) -> String {
    let tool = source.tool.word();
    match &source.repository {
        MaybeSecret::Plain(at) => format!("{tool} {}", text::Mask::default().apply(&text::clean(at))),
        MaybeSecret::Secret(from) => format!("{tool} repository of {}", from.describe()),
    }
}

/// Which copies are meant.
pub fn filter(source: &VaultSource) -> Filter {
    Filter {
        host: source.host.clone(),
        path: source.path.clone(),
        tags: source.tags.clone(),
        archives: source.archives.clone(),
    }
}

/// Looks the secrets up. Errors name where a value should have come from, never a value.
pub async fn access(source: &VaultSource) -> Result<Access, String> {
    let program = std::env::var_os("PATH").and_then(|path| proc::which(source.tool.word(), path));
    let password = match &source.password {
        Some(from) => Some(config::resolve(from, SECRET).await.map_err(|why| format!("password: {why}"))?),
        None => None,
    };
    let mut env = Vec::new();
    for (name, value) in &source.env {
        env.push((name.clone(), value.resolve(SECRET).await.map_err(|why| format!("env {name}: {why}"))?));
    }
    Ok(Access {
        tool: source.tool,
        program: program.unwrap_or_else(|| source.tool.word().into()),
        repository: source.repository.resolve(SECRET).await.map_err(|why| format!("repository: {why}"))?,
        password,
        env,
    })
}

impl Vault {
    pub fn new(source: &VaultSource) -> Self {
        Vault { source: source.clone(), sizes: Mutex::default() }
    }

    async fn look(&self, kept: usize) -> Result<(Vec<Snapshot>, usize), String> {
        let limit = self.source.timeout.unwrap_or(LIMIT);
        let access = access(&self.source).await?;
        let listed = access.snapshots(&filter(&self.source), limit).await.map_err(|fault| fault.to_string())?;
        let count = listed.len();
        let mut listed: Vec<Snapshot> = listed.into_iter().take(kept).collect();
        let mut known = std::mem::take(&mut *self.sizes.lock().unwrap_or_else(PoisonError::into_inner));
        known.retain(|digest, _| listed.iter().any(|s| s.digest == *digest));
        let unknown = listed.iter().filter(|s| s.size.is_none() && !known.contains_key(&s.digest)).take(SIZES);
        let mut learnt = Vec::new();
        for snapshot in unknown {
            let size = access.size(&snapshot.id, SIZE.min(limit)).await.ok().flatten();
            learnt.push((snapshot.digest.clone(), size));
        }
        known.extend(learnt);
        for snapshot in &mut listed {
            snapshot.size = snapshot.size.or_else(|| known.get(&snapshot.digest).copied().flatten());
        }
        *self.sizes.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok((listed, count))
    }

    fn seen(&self, snapshot: Snapshot) -> Seen {
        let mut format = format!("{} {}", self.source.tool.word(), self.source.tool.copy());
        if !snapshot.host.is_empty() {
            format.push_str(&format!(" of {}", snapshot.host));
        }
        if let Some(path) = snapshot.paths.first() {
            format.push_str(&format!(":{path}"));
        }
        if snapshot.paths.len() > 1 {
            format.push_str(&format!(" and {} more", snapshot.paths.len() - 1));
        }
        let copy = Copy {
            id: escape::of_bytes(snapshot.short.as_bytes()),
            place: escape::of_bytes(format!("{}:{}", self.source.tool.word(), snapshot.id).as_bytes()),
            taken_at: Time::from_ms(snapshot.at_ms),
            size: snapshot.size.unwrap_or(0),
            format: text::clean(&format).into_owned(),
            ..Copy::default()
        };
        let why = match self.source.tool {
            VaultTool::Restic => "restic shows what it still holds when it restores",
            VaultTool::Borg => "borg shows what it still holds when it extracts",
        };
        let found = Found {
            copy,
            reading: Reading::Cannot(why.to_owned()),
            unsized_: snapshot.size.is_none(),
            ..Found::default()
        };
        Seen { found, mark: mark(&snapshot.digest, snapshot.size) }
    }
}

/// The id is a hash of the content already.
fn mark(digest: &str, size: Option<u64>) -> Mark {
    let mut bytes = hex::decode(digest).unwrap_or_else(|_| digest.as_bytes().to_vec());
    bytes.resize(24, 0);
    let number =
        |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes).unwrap_or_default();
    Mark([number(0), number(8), number(16), size.unwrap_or(0)])
}

impl Source for Vault {
    fn place(&self) -> String {
        place(&self.source)
    }

    fn lane(&self) -> String {
        place(&self.source)
    }

    fn list(&self, kept: usize, beat: &Beat) -> Result<Listed, String> {
        let failed = |why: String| format!("{} cannot be listed: {why}", self.place());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| failed(e.to_string()))?;
        let looked = runtime.block_on(async {
            let look = self.look(kept);
            tokio::pin!(look);
            // A repository far away is slow and not dead; the program has a time limit of its own.
            let mut alive = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    looked = &mut look => return looked,
                    _ = alive.tick() => {
                        if beat.tick() {
                            return Err("the look was given up".to_owned());
                        }
                    }
                }
            }
        });
        let (snapshots, count) = looked.map_err(failed)?;
        let copies: Vec<Seen> = snapshots.into_iter().map(|s| self.seen(s)).collect();
        let bytes = copies.iter().map(|s| s.found.copy.size).sum();
        Ok(Listed { copies, count: count as u64, bytes, remark: None })
    }

    /// A repository may be a folder of this host; which of its files means a new snapshot is its program's own matter.
    fn follow(&self) -> Option<Followed> {
        None
    }

    fn read(&self, copy: &Seen, _: &Beat) -> Option<Result<Reading, String>> {
        Some(Ok(copy.found.reading.clone()))
    }
}
