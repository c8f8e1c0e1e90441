//! The backup catalogue on real folders, real dumps, and sources that misbehave.

mod support;

#[path = "backups/dumps.rs"]
mod dumps;
#[path = "backups/folders.rs"]
mod folders;
#[path = "backups/hanging.rs"]
mod hanging;
#[path = "backups/live.rs"]
mod live;
#[path = "backups/manifest.rs"]
mod manifest;
#[path = "backups/wal.rs"]
mod wal;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mayday::backup::{BackupReport, Beat, Listed, source_of};
use mayday::config::{Backup, BackupSource, FilesSource};
use tokio::sync::mpsc;

/// A backup set of files, whose copies settle at once.
pub fn set(name: &str, path: &Path, pattern: &str) -> Backup {
    Backup {
        name: name.to_owned(),
        service: None,
        rpo: Some(Duration::from_secs(3600)),
        every: None,
        grace: None,
        head_start: None,
        warm_up: Vec::new(),
        smoke: Vec::new(),
        source: BackupSource::Files(FilesSource {
            path: path.to_owned(),
            pattern: pattern.to_owned(),
            settle: Some(Duration::ZERO),
            // Only what is reported live, or asked for, is seen.
            rescan: Some(Duration::from_secs(3600)),
            ..FilesSource::default()
        }),
        restore: None,
    }
}

pub fn files(backup: &mut Backup) -> &mut FilesSource {
    match &mut backup.source {
        BackupSource::Files(files) => files,
        _ => panic!("a repository"),
    }
}

/// One look, without a catalogue.
pub fn look(backup: &Backup) -> Result<Listed, String> {
    source_of(backup).list(200, &Beat::default())
}

pub fn ids(listed: &Listed) -> Vec<&str> {
    listed.copies.iter().map(|s| s.found.copy.id.as_str()).collect()
}

/// Writes a file that is `age` old.
pub fn put(path: &Path, content: &[u8], age: Duration) {
    std::fs::write(path, content).unwrap();
    date(path, SystemTime::now() - age);
}

pub fn date(path: &Path, when: SystemTime) {
    let file = std::fs::File::open(path).unwrap();
    file.set_times(std::fs::FileTimes::new().set_modified(when)).unwrap();
}

pub fn gz(data: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(data).unwrap();
    e.finish().unwrap()
}

/// Text that does not compress to nothing.
pub fn noise(n: usize) -> Vec<u8> {
    let mut x = 0x2545_F491_4F6C_DD1Du64;
    (0..n)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            b' ' + ((x >> 32) % 64) as u8
        })
        .collect()
}

/// Waits for a report that satisfies `what`; panics with the last one when none comes. Readings run at idle priority,
/// which on a busy machine takes its time.
pub async fn until(
    rx: &mut mpsc::Receiver<BackupReport>,
    wanted: &str,
    what: impl Fn(&BackupReport) -> bool,
) -> BackupReport {
    let last = std::sync::Mutex::new(None);
    let waited = tokio::time::timeout(support::PATIENCE * 3, async {
        loop {
            let report = rx.recv().await.expect("the catalogue goes on");
            if what(&report) {
                return report;
            }
            *last.lock().unwrap() = Some(report);
        }
    });
    match waited.await {
        Ok(report) => report,
        Err(_) => panic!("waited in vain for: {wanted}; the last report: {:#?}", last.lock().unwrap()),
    }
}

pub fn clock() -> Arc<mayday::sys::clock::SystemClock> {
    Arc::default()
}
