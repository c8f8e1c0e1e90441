//! The backup catalogue on real folders.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mayday::backup::{BackupReport, Catalogue, Limits, source_of};
use mayday::config::{Backup, BackupSource, FilesSource};
use mayday::domain::backup::BackupState;
use mayday::sys::clock::SystemClock;
use tokio::sync::mpsc;

fn set(name: &str, path: &Path, pattern: &str) -> Backup {
    Backup {
        name: name.to_owned(),
        service: None,
        rpo: Some(Duration::from_secs(3600)),
        every: None,
        grace: None,
        source: BackupSource::Files(FilesSource {
            path: path.to_owned(),
            pattern: pattern.to_owned(),
            settle: Some(Duration::from_millis(50)),
            ..FilesSource::default()
        }),
        restore: None,
    }
}

async fn until(rx: &mut mpsc::Receiver<BackupReport>, what: impl Fn(&BackupReport) -> bool) -> BackupReport {
    let mut last = None;
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let report = rx.recv().await.expect("the catalogue goes on");
            if what(&report) {
                return report;
            }
            last = Some(report);
        }
    });
    match waited.await {
        Ok(report) => report,
        Err(_) => panic!("never reported; the last report: {last:#?}"),
    }
}

#[tokio::test]
async fn a_copy_arrives_and_is_seen_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, mut rx) = mpsc::channel(4);
    let catalogue = Catalogue::start(&[set("pg", dir.path(), "*.tar")], tx, Arc::new(SystemClock));
    until(&mut rx, |r| r.judged.state == BackupState::Missing).await;
    std::fs::write(dir.path().join("a.sql"), "-- not matching").unwrap();
    std::fs::write(dir.path().join("b.tar"), vec![b'x'; 2000]).unwrap();
    let r = until(&mut rx, |r| {
        r.judged.copies.len() == 1 && r.judged.copies[0].suspect.as_deref() != Some("still being written")
    })
    .await;
    println!("{r:#?}");
    catalogue.shutdown().await;
    let _ = (Limits::default(), source_of(&set("x", dir.path(), "*")));
}
