//! What plans for Redis look at: the live server, the program, the copy, memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::names;
use super::super::redis::client::{self, Conn, Reach, Target};
use super::super::redis::live::{self, Facts};
use super::super::redis::scratch::RunAs;
use super::super::secrets;
use super::{Draft, Say};
use crate::config::{Backup, RedisRestore, SecretRef};
use crate::recovery::plan::PlanContext;
use crate::recovery::plan::look::Tools;
use crate::sys::proc::{self, Cmd};
use crate::text;

/// For looking at a server.
const LIMIT: Duration = Duration::from_secs(15);

/// The live server, as far as it could be seen.
pub struct Live {
    pub reach: Reach,
    pub target: Option<Target>,
    /// `127.0.0.1:6379`.
    pub label: String,
    /// What it says, or why it says nothing.
    pub facts: Result<Facts, String>,
}

pub async fn live(draft: &mut Draft<'_>, ctx: &PlanContext, set: &Backup, how: &RedisRestore) -> Live {
    let (reach, from): (Reach, BTreeMap<String, SecretRef>) = client::reach(&ctx.config, &set.name, how);
    draft.hand_over(from.clone());
    let none = |why: String, reach: Reach| Live { reach, target: None, label: "redis".into(), facts: Err(why) };
    let values = match secrets::resolve(&from).await {
        Ok(values) => values,
        Err(why) => return none(why, reach),
    };
    let target = match reach.target(&values) {
        Ok(target) => target,
        Err(why) => return none(why, reach),
    };
    let work = async {
        let mut conn = Conn::open(&target).await?;
        live::look(&mut conn).await
    };
    let facts = match tokio::time::timeout(LIMIT, work).await {
        Ok(answer) => answer.map_err(|e| e.text),
        Err(_) => Err(format!("{} did not answer in time", target.label())),
    };
    Live { reach, label: target.label(), target: Some(target), facts }
}

/// What has to be typed: the service, else the backup.
pub fn typed(set: &Backup) -> String {
    set.service.clone().unwrap_or_else(|| set.name.clone())
}

/// Where scratch servers and what is kept lie.
pub fn directory(ctx: &PlanContext, how: &RedisRestore) -> PathBuf {
    how.directory.clone().unwrap_or_else(|| ctx.state_dir.join("redis"))
}

/// The folder of this kind for this run.
pub fn beside(ctx: &PlanContext, how: &RedisRestore, label: &str, what: names::Beside) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' };
    let name: String = label.trim_matches('/').chars().map(plain).collect();
    directory(ctx, how).join(names::folder(&format!("redis-{name}"), what, &ctx.run_id))
}

/// Newest RDB version that a server of this version reads (rdb.h of each); `None` where it is not known.
pub const fn rdb_of(version: u32) -> Option<u32> {
    match version {
        0..302 => Some(6),
        302..400 => Some(7),
        400..500 => Some(8),
        500..700 => Some(9),
        700..702 => Some(10),
        702..704 => Some(11),
        704..802 => Some(12),
        _ => None,
    }
}

/// `7.0` of 700.
pub fn version_word(version: u32) -> String {
    format!("{}.{}", version / 100, version % 100)
}

/// `redis-server` and its version.
pub async fn program(draft: &mut Draft<'_>, ctx: &PlanContext) -> (PathBuf, u32) {
    let name = "tool redis-server";
    let Some(path) = Tools::of(ctx).which("redis-server") else {
        draft.fail(name, "there is none on this host for the scratch server: install redis-server");
        return (PathBuf::from("redis-server"), 0);
    };
    let version = version_of(&path).await;
    if version == 0 {
        draft.fail(name, format!("{} does not say its version: start it by hand to see why", path.display()));
    } else {
        draft.pass(name, format!("{} {}", path.display(), version_word(version)));
    }
    (path, version)
}

/// The version of a program, 700 for 7.0; 0 when it does not say.
pub async fn version_of(program: &Path) -> u32 {
    let said = proc::run(Cmd::new(program).arg("--version").timeout(Duration::from_secs(5))).await;
    said.stdout.text().split_whitespace().find_map(|w| w.strip_prefix("v=")).map_or(0, client::version)
}

/// Who the scratch server runs as, and whether that user may enter the folder.
pub fn user(draft: &mut Draft<'_>, ctx: &PlanContext, how: &RedisRestore) -> Option<RunAs> {
    let dir = directory(ctx, how);
    let user = match RunAs::choose(how.user.as_deref()) {
        Ok(user) => user,
        Err(why) => {
            draft.fail("user", why);
            return None;
        }
    };
    if dir.to_string_lossy().contains(['\n', '\r', '"', '\\']) {
        draft.fail("folder", format!("{} holds characters that a configuration cannot: choose another", dir.display()));
    }
    match &user {
        None => draft.pass("user", "the scratch server runs as this user"),
        Some(user) => match stopped_at(&dir, user) {
            Some(at) => draft.fail(
                "user",
                format!(
                    "{} may not enter {}: set `directory` of the restore to a folder that it may",
                    user.name,
                    at.display()
                ),
            ),
            None => draft.pass("user", format!("the scratch server runs as {}", user.name)),
        },
    }
    user
}

/// The first folder on the way to `path` that this user may not go through, by owner and mode.
fn stopped_at(path: &Path, user: &RunAs) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let all: Vec<&Path> = path.ancestors().collect();
    let may = |dir: &Path| {
        let Ok(meta) = std::fs::metadata(dir) else { return true };
        let mode = meta.mode();
        let bits = if meta.uid() == user.uid {
            mode >> 6
        } else if meta.gid() == user.gid {
            mode >> 3
        } else {
            mode
        };
        bits & 1 == 1
    };
    all.into_iter().rev().find(|dir| !may(dir)).map(Path::to_path_buf)
}

/// Bytes of memory that programs can still take (proc_meminfo(5)).
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

/// The live server takes this much; what it may take.
pub fn maxmemory(draft: &mut Draft<'_>, facts: &Facts, need: u64, fails: bool) {
    let (used, max) = (facts.info.number("used_memory"), facts.info.number("maxmemory"));
    let has = format!("the live server uses {}", text::size(used));
    if max == 0 || need <= max {
        let max = if max == 0 { "has no limit".to_owned() } else { format!("may take {}", text::size(max)) };
        return draft.pass("live memory", format!("the copy takes about {}, {has} and {max}", text::size(need)));
    }
    let why = format!(
        "the copy takes about {} and the live server may take {}: it would evict keys or refuse writes; raise `maxmemory` there",
        text::size(need),
        text::size(max)
    );
    if fails { draft.fail("live memory", why) } else { draft.warn("live memory", why) }
}
