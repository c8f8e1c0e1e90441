//! This host: memory, swap, processors, load, disks, and whether folders are there and writable. From `/proc` (proc(5)) and
//! statvfs(3), without a child process.
//!
//! Asking a file system can hang for ever (a dead NFS server). It is done on a blocking thread; while one question still
//! hangs the check does not send a second one after it but says since when the first is out.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::look::{Finding, Look, Phase, Progress};
use crate::config::HostCheck;
use crate::domain::health::Reason;
use crate::sys::disk;
use crate::text::{duration, size};

pub(super) struct Host {
    check: Arc<HostCheck>,
    /// Processor time at the last look: all, idle.
    cpu: Mutex<Option<(u64, u64)>>,
    /// The question to a file system that is out: since when, and about what.
    hanging: Arc<Mutex<Option<(Instant, String)>>>,
    first: AtomicBool,
}

impl Host {
    pub(super) fn new(check: &HostCheck) -> Result<Self, String> {
        let empty = HostCheck { fail: check.fail, ..HostCheck::default() };
        if *check == empty {
            return Err("there is no threshold in it".into());
        }
        Ok(Host {
            check: Arc::new(check.clone()),
            cpu: Mutex::new(None),
            hanging: Arc::default(),
            first: AtomicBool::new(true),
        })
    }

    /// What passes a threshold.
    fn over(&self, text: String) -> Finding {
        match self.check.fail {
            true => Finding::fail(Reason::Limit, text),
            false => Finding::warn(Reason::Limit, text),
        }
    }

    /// `found` per cent of something against its limit.
    fn share(&self, name: &str, found: f64, limit: Option<u8>, more: &str) -> Finding {
        let shown = format!("{found:.0} %{more}");
        let finding = match limit {
            Some(limit) if found > f64::from(limit) => self.over(format!("{name} {shown} used, over {limit} %")),
            _ => Finding::ok(format!("{name} {found:.0} %")),
        };
        finding.fact(name, shown)
    }

    fn memory(&self) -> Result<Finding, Finding> {
        let check = &self.check;
        let info = read("/proc/meminfo")?;
        let kib = |key: &str| {
            info.lines()
                .find_map(|l| l.strip_prefix(key)?.strip_prefix(':')?.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let part = |total: u64, free: u64| {
            if total == 0 { 0.0 } else { 100.0 * (total - free.min(total)) as f64 / total as f64 }
        };
        let mut finding = Finding::ok("");
        let (total, available) = (kib("MemTotal"), kib("MemAvailable"));
        let more = format!(" of {}", size(total * 1024));
        finding = join(finding, self.share("memory", part(total, available), check.memory_below, &more));
        let swap = kib("SwapTotal");
        if swap > 0 {
            let more = format!(" of {}", size(swap * 1024));
            finding = join(finding, self.share("swap", part(swap, kib("SwapFree")), check.swap_below, &more));
        }
        Ok(finding)
    }

    fn load(&self) -> Result<Finding, Finding> {
        let text = read("/proc/loadavg")?;
        let one: f64 = text.split_whitespace().next().and_then(|t| t.parse().ok()).unwrap_or(0.0);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let per_core = one / cores as f64;
        let finding = match self.check.load_below {
            Some(limit) if per_core > limit => {
                self.over(format!("load {one:.2} on {cores} cores is {per_core:.2} each, over {limit}"))
            }
            _ => Finding::ok(format!("load {one:.2}")),
        };
        Ok(finding.fact("load", format!("{one:.2} on {cores} cores")))
    }

    async fn processors(&self) -> Result<Finding, Finding> {
        if self.check.cpu_below.is_none() {
            return Ok(Finding::ok(""));
        }
        if self.first.swap(false, Ordering::Relaxed) {
            // Nothing to compare with yet.
            *self.cpu.lock().unwrap_or_else(PoisonError::into_inner) = Some(cpu_times(&read("/proc/stat")?));
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let now = cpu_times(&read("/proc/stat")?);
        let before = self.cpu.lock().unwrap_or_else(PoisonError::into_inner).replace(now).unwrap_or((0, 0));
        let all = now.0.saturating_sub(before.0);
        let idle = now.1.saturating_sub(before.1).min(all);
        let used = if all == 0 { 0.0 } else { 100.0 * (all - idle) as f64 / all as f64 };
        Ok(self.share("cpu", used, self.check.cpu_below, ""))
    }

    async fn files(&self, progress: &Arc<Progress>) -> Finding {
        let check = &self.check;
        if check.disk_below.is_empty()
            && check.inodes_below.is_empty()
            && check.writable.is_empty()
            && check.exists.is_empty()
        {
            return Finding::ok("");
        }
        let out = self.hanging.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((since, path)) = out {
            let text = format!("{path} has not answered for {}: its file system hangs", duration(since.elapsed()));
            return Finding::fail(Reason::Timeout, text);
        }
        // Set before the thread begins, so that questions never queue behind one another.
        let first = (Instant::now(), "asking".to_owned());
        *self.hanging.lock().unwrap_or_else(PoisonError::into_inner) = Some(first);
        let (check, hanging, progress) = (Arc::clone(check), Arc::clone(&self.hanging), Arc::clone(progress));
        let job = tokio::task::spawn_blocking(move || {
            let about = |path: &Path| {
                let path = path.display().to_string();
                progress.enter_with(Phase::Files, path.as_str());
                *hanging.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), path));
            };
            let asked = ask_files(&check, &about);
            *hanging.lock().unwrap_or_else(PoisonError::into_inner) = None;
            asked
        });
        match job.await {
            Ok(asked) => self.judge_files(asked),
            Err(_) => Finding::error("asking the file systems was given up"),
        }
    }

    fn judge_files(&self, asked: Vec<Asked>) -> Finding {
        asked.into_iter().fold(Finding::ok(""), |finding, asked| {
            let next = match asked {
                Asked::Disk { path, limit, space: Ok(space) } => {
                    // What only root may use counts as used, as in df(1).
                    let used = space.total.saturating_sub(space.free);
                    let part = if space.total == 0 { 0.0 } else { 100.0 * used as f64 / space.total as f64 };
                    self.share(&format!("disk {path}"), part, Some(limit), &format!(", {} free", size(space.free)))
                }
                Asked::Inodes { path, limit, space: Ok(space) } => {
                    let used = space.inodes_total.saturating_sub(space.inodes_free);
                    let part =
                        if space.inodes_total == 0 { 0.0 } else { 100.0 * used as f64 / space.inodes_total as f64 };
                    self.share(&format!("inodes {path}"), part, Some(limit), "")
                }
                Asked::Disk { path, space: Err(e), .. } | Asked::Inodes { path, space: Err(e), .. } => {
                    Finding::fail(Reason::Missing, format!("asking for the space of {path}: {}", super::net::words(&e)))
                }
                Asked::Writable { path, result: Err(e) } => Finding::fail(
                    Reason::Assertion,
                    format!("{} is not writable: {}", path.display(), super::net::words(&e)),
                ),
                Asked::Exists { path, result: Err(e) } if e.kind() == io::ErrorKind::NotFound => {
                    Finding::fail(Reason::Missing, format!("{} does not exist", path.display()))
                }
                Asked::Exists { path, result: Err(e) } => {
                    Finding::error(format!("looking for {}: {}", path.display(), super::net::words(&e)))
                }
                Asked::Writable { result: Ok(()), .. } | Asked::Exists { result: Ok(()), .. } => Finding::ok(""),
            };
            join(finding, next)
        })
    }
}

/// As [`Finding::and`], with the details of good findings joined too.
fn join(a: Finding, b: Finding) -> Finding {
    use crate::domain::health::Outcome::Ok;
    if a.outcome == Ok && b.outcome == Ok && !b.detail.is_empty() {
        let detail = if a.detail.is_empty() { b.detail.clone() } else { format!("{}, {}", a.detail, b.detail) };
        return Finding { detail, ..a.and(b) };
    }
    a.and(b)
}

enum Asked {
    Disk { path: String, limit: u8, space: io::Result<disk::Space> },
    Inodes { path: String, limit: u8, space: io::Result<disk::Space> },
    Writable { path: PathBuf, result: io::Result<()> },
    Exists { path: PathBuf, result: io::Result<()> },
}

/// Asks one after the other, saying before each what it is about.
fn ask_files(check: &HostCheck, about: &dyn Fn(&Path)) -> Vec<Asked> {
    let space = |path: &String| {
        about(Path::new(path));
        disk::space(Path::new(path))
    };
    let disk = |(path, limit): (&String, &u8)| Asked::Disk { path: path.clone(), limit: *limit, space: space(path) };
    let inodes =
        |(path, limit): (&String, &u8)| Asked::Inodes { path: path.clone(), limit: *limit, space: space(path) };
    let writable = |path: &PathBuf| {
        about(path);
        Asked::Writable { path: path.clone(), result: try_write(path) }
    };
    let exists = |path: &PathBuf| {
        about(path);
        Asked::Exists { path: path.clone(), result: std::fs::metadata(path).map(|_| ()) }
    };
    let (disks, inodes) = (check.disk_below.iter().map(disk), check.inodes_below.iter().map(inodes));
    disks.chain(inodes).chain(check.writable.iter().map(writable)).chain(check.exists.iter().map(exists)).collect()
}

/// Creates a file, writes to it and removes it: only that shows a full or read-only file system.
fn try_write(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".mayday-probe-").tempfile_in(folder)?;
    io::Write::write_all(&mut file, b"mayday\n")?;
    file.as_file().sync_data()?;
    file.close()
}

fn read(path: &str) -> Result<String, Finding> {
    std::fs::read_to_string(path).map_err(|e| Finding::error(format!("reading {path}: {}", super::net::words(&e))))
}

/// All and idle time of the first line of /proc/stat, in ticks. Time waiting for a disk is idle; guests' time is in user's.
fn cpu_times(text: &str) -> (u64, u64) {
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect();
    let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    (ticks.iter().sum(), idle)
}

impl Look for Host {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            let quick = async {
                let finding = join(self.memory()?, self.load()?);
                Ok(join(finding, self.processors().await?))
            };
            let finding = quick.await.unwrap_or_else(|e: Finding| e);
            join(finding, self.files(progress).await)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_system_that_hangs_is_asked_once() {
        let check = HostCheck { exists: vec!["/".into()], ..HostCheck::default() };
        let host = Host::new(&check).unwrap();
        let progress = Arc::new(Progress::new(Duration::from_secs(5)));
        *host.hanging.lock().unwrap() = Some((Instant::now() - Duration::from_secs(42), "/mnt/nfs".into()));
        let found = host.look(&progress).await;
        assert_eq!(found.reason, Some(Reason::Timeout));
        assert_eq!(found.detail, "/mnt/nfs has not answered for 42s: its file system hangs");
        // It came back.
        *host.hanging.lock().unwrap() = None;
        assert_eq!(host.look(&progress).await.reason, None);
        assert!(host.hanging.lock().unwrap().is_none());
    }

    #[test]
    fn processor_time_is_summed() {
        let text = "cpu  100 5 20 800 50 1 2 3 0 0\ncpu0 1 1 1 1\n";
        assert_eq!(cpu_times(text), (981, 850));
        assert_eq!(cpu_times(""), (0, 0));
    }
}
