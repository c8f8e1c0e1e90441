//! Folders that do not answer, copies that take for ever to read: nothing else is held up.

use super::*;
use mayday::backup::{Beat, Catalogue, Followed, Limits, Listed, Mark, Seen, Source};
use mayday::domain::Time;
use mayday::domain::backup::{BackupState, Copy, Found, Reading};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const HOUR: Duration = Duration::from_secs(3600);

fn impatient() -> Limits {
    Limits { hang_after: Duration::from_millis(400), slow: Duration::from_millis(100), at_once: 2, ..Limits::default() }
}

/// A folder served by another process, as FUSE and NFS are: stopped, it neither answers nor fails.
struct Served {
    child: Mutex<(Child, ChildStdin, BufReader<ChildStdout>)>,
    calls: AtomicUsize,
    name: String,
}

impl Served {
    fn new(name: &str) -> Arc<Self> {
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // SAFETY: one async-signal-safe system call. Stopped, it would outlive a test that failed.
        unsafe {
            cat.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?));
        }
        let mut child = cat.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Arc::new(Served {
            child: Mutex::new((child, stdin, BufReader::new(stdout))),
            calls: AtomicUsize::new(0),
            name: name.to_owned(),
        })
    }

    fn pid(child: &Child) -> i32 {
        child.id().cast_signed()
    }

    fn signal(pid: i32, signal: i32) {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let (child, ..) = self.child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Source for Served {
    fn place(&self) -> String {
        self.name.clone()
    }
    fn lane(&self) -> String {
        self.name.clone()
    }
    fn list(&self, _: usize, _: &Beat) -> Result<Listed, String> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut child = self.child.lock().unwrap();
        writeln!(child.1, "list").map_err(|e| e.to_string())?;
        let mut line = String::new();
        child.2.read_line(&mut line).map_err(|e| e.to_string())?;
        Ok(Listed { copies: vec![good("one", 1)], count: 1, bytes: 100, remark: None })
    }
    fn follow(&self) -> Option<Followed> {
        None
    }
    fn read(&self, _: &Seen, _: &Beat) -> Option<Result<Reading, String>> {
        Some(Ok(Reading::Whole("read to the end".to_owned())))
    }
}

/// A copy that is a few minutes old.
fn good(id: &str, n: u64) -> Seen {
    let taken_at = Time::from_ms(mayday::sys::clock::now_ms() - 600_000 + n as i64);
    let copy = Copy { id: id.to_owned(), place: id.to_owned(), taken_at, size: 100, ..Copy::default() };
    Seen { found: Found { copy, ..Found::default() }, mark: Mark([1, n, 100, 0]) }
}

#[tokio::test]
async fn a_folder_that_hangs_is_told_and_holds_up_nothing() {
    let dir = support::scratch();
    put(&dir.path().join("a.gz"), &gz(b"x"), HOUR / 2);
    let served: Vec<Arc<Served>> = (0..4).map(|n| Served::new(&format!("/served/{n}"))).collect();
    let pids: Vec<i32> = served.iter().map(|s| Served::pid(&s.child.lock().unwrap().0)).collect();
    let mut sets: Vec<Backup> = (0..4).map(|n| set(&format!("served{n}"), Path::new("/served"), "*")).collect();
    sets.push(set("real", dir.path(), "*.gz"));
    let sources = served.clone();
    let factory = Arc::new(move |b: &Backup| match b.name.strip_prefix("served") {
        Some(n) => sources[n.parse::<usize>().unwrap()].clone() as Arc<dyn Source>,
        None => source_of(b),
    });
    // All of them are stopped from the start, and there are more of them than looks may run at once.
    for pid in &pids {
        Served::signal(*pid, libc::SIGSTOP);
    }
    let (tx, mut rx) = mpsc::channel(4);
    let catalogue = Catalogue::start_with(&sets, tx, clock(), impatient(), factory);
    until(&mut rx, "the folder that answers", |r| r.backup == "real" && r.judged.state == BackupState::Fresh).await;
    let mut hung = std::collections::BTreeSet::new();
    while hung.len() < 4 {
        let report = until(&mut rx, "those that hang", |r| r.problem.is_some()).await;
        assert_eq!(report.judged.state, BackupState::Unknown, "never called missing for not answering");
        let said = report.problem.unwrap();
        assert!(said.contains("has not answered for") && said.contains("/served/"), "{said}");
        hung.insert(report.backup);
    }
    // Asked again, by name and by another configuration: no second call goes where the first has not come back.
    catalogue.rescan("served0");
    let mut changed = sets.clone();
    changed[0].rpo = Some(Duration::from_secs(60));
    catalogue.replace(&changed);
    catalogue.rescan("served0");
    put(&dir.path().join("b.gz"), &gz(b"x"), HOUR / 3);
    until(&mut rx, "life goes on", |r| r.judged.newest.as_ref().is_some_and(|c| c.id == "b.gz")).await;
    until(&mut rx, "still told", |r| r.backup == "served0" && r.problem.is_some()).await;
    assert_eq!(served[0].calls.load(Ordering::SeqCst), 1);
    // They come back.
    for pid in &pids {
        Served::signal(*pid, libc::SIGCONT);
    }
    let mut back = std::collections::BTreeMap::new();
    while !(back.contains_key("served0") && back.contains_key("served1")) {
        let report = until(&mut rx, "they are back", |r| {
            r.backup.starts_with("served") && r.problem.is_none() && r.scanned_at.is_some()
        })
        .await;
        back.insert(report.backup, (report.judged.state, report.judged.detail));
    }
    assert_eq!(back["served1"].0, BackupState::Fresh, "{back:?}");
    assert_eq!(back["served0"].0, BackupState::Stale, "by its changed rule: {back:?}");
    catalogue.shutdown().await;
}

#[tokio::test]
async fn it_ends_though_a_folder_hangs() {
    let served = Served::new("/served");
    let pid = Served::pid(&served.child.lock().unwrap().0);
    Served::signal(pid, libc::SIGSTOP);
    let source = served.clone();
    let (tx, mut rx) = mpsc::channel(4);
    let factory = Arc::new(move |_: &Backup| source.clone() as Arc<dyn Source>);
    let catalogue = Catalogue::start_with(&[set("s", Path::new("/s"), "*")], tx, clock(), impatient(), factory);
    until(&mut rx, "hanging", |r| r.problem.is_some()).await;
    tokio::time::timeout(support::PATIENCE, catalogue.shutdown()).await.expect("it does not wait for the thread");
    Served::signal(pid, libc::SIGCONT);
}

/// A source whose reading does not end until it is let go.
struct Endless {
    copies: Mutex<Vec<Seen>>,
    reading: AtomicUsize,
    alive: bool,
}

impl Source for Endless {
    fn place(&self) -> String {
        "endless".to_owned()
    }
    fn lane(&self) -> String {
        "endless".to_owned()
    }
    fn list(&self, _: usize, _: &Beat) -> Result<Listed, String> {
        let copies = self.copies.lock().unwrap().clone();
        let count = copies.len() as u64;
        Ok(Listed { copies, count, bytes: count * 100, remark: None })
    }
    fn follow(&self) -> Option<Followed> {
        None
    }
    fn read(&self, _: &Seen, beat: &Beat) -> Option<Result<Reading, String>> {
        self.reading.fetch_add(1, Ordering::SeqCst);
        while !beat.stopped() {
            if self.alive {
                beat.tick();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

#[tokio::test]
async fn a_copy_that_takes_long_to_read_blocks_no_look() {
    let source =
        Arc::new(Endless { copies: Mutex::new(vec![good("one", 1)]), reading: AtomicUsize::new(0), alive: true });
    let own = source.clone();
    let (tx, mut rx) = mpsc::channel(4);
    let factory = Arc::new(move |_: &Backup| own.clone() as Arc<dyn Source>);
    let catalogue = Catalogue::start_with(&[set("s", Path::new("/s"), "*")], tx, clock(), impatient(), factory);
    let report =
        until(&mut rx, "being read", |r| r.judged.copies.first().is_some_and(|c| c.note == "being read to the end"))
            .await;
    assert_eq!(report.judged.state, BackupState::Fresh, "good as far as is known");
    for n in 2..6 {
        source.copies.lock().unwrap().insert(0, good(&format!("copy{n}"), n));
        catalogue.rescan("s");
        let name = format!("copy{n}");
        until(&mut rx, "the next one", |r| r.judged.newest.as_ref().is_some_and(|c| c.id == name)).await;
    }
    // At idle priority it may take a while to begin.
    support::wait_until("the reading", support::PATIENCE, || source.reading.load(Ordering::SeqCst) > 0);
    assert_eq!(source.reading.load(Ordering::SeqCst), 1, "one copy at a time");
    tokio::time::timeout(support::PATIENCE, catalogue.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_copy_that_stops_answering_while_read_is_given_up_and_others_go_on() {
    let dir = support::scratch();
    put(&dir.path().join("a.gz"), &gz(&noise(3000)), HOUR / 2);
    let source =
        Arc::new(Endless { copies: Mutex::new(vec![good("one", 1)]), reading: AtomicUsize::new(0), alive: false });
    let own = source.clone();
    let factory = Arc::new(move |b: &Backup| match b.name.as_str() {
        "dead" => own.clone() as Arc<dyn Source>,
        _ => source_of(b),
    });
    let (tx, mut rx) = mpsc::channel(4);
    // The dead one is smaller, hence read first.
    let sets = [set("dead", Path::new("/s"), "*"), set("real", dir.path(), "*.gz")];
    let limits = Limits { hang_after: Duration::from_millis(100), ..impatient() };
    let catalogue = Catalogue::start_with(&sets, tx, clock(), limits, factory);
    let (mut told, mut read) = (false, false);
    while !(told && read) {
        let report = until(&mut rx, "both", |r| r.scanned_at.is_some()).await;
        let note = report.judged.copies.first().map(|c| c.note.clone()).unwrap_or_default();
        told |= report.backup == "dead" && note.contains("stopped answering");
        read |= report.backup == "real" && note.starts_with("read to the end");
    }
    catalogue.shutdown().await;
}

#[tokio::test]
async fn a_source_that_panics_is_told_and_called_again() {
    struct Bad(AtomicUsize);
    impl Source for Bad {
        fn place(&self) -> String {
            "bad".to_owned()
        }
        fn lane(&self) -> String {
            "bad".to_owned()
        }
        fn list(&self, _: usize, _: &Beat) -> Result<Listed, String> {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                panic!("on purpose");
            }
            Ok(Listed { copies: vec![good("one", 1)], count: 1, bytes: 1, remark: None })
        }
        fn follow(&self) -> Option<Followed> {
            None
        }
        fn read(&self, _: &Seen, _: &Beat) -> Option<Result<Reading, String>> {
            panic!("on purpose")
        }
    }
    let source = Arc::new(Bad(AtomicUsize::new(0)));
    let factory = Arc::new(move |_: &Backup| source.clone() as Arc<dyn Source>);
    let (tx, mut rx) = mpsc::channel(4);
    let catalogue = Catalogue::start_with(&[set("s", Path::new("/s"), "*")], tx, clock(), impatient(), factory);
    until(&mut rx, "the failure", |r| r.problem.as_ref().is_some_and(|p| p.contains("failed inside"))).await;
    catalogue.rescan("s");
    until(&mut rx, "another try", |r| r.judged.copies.first().is_some_and(|c| c.note.contains("failed inside"))).await;
    catalogue.shutdown().await;
}

/// A real FUSE file system whose server reads no request. `None` where this user may not mount one.
struct Mounted {
    server: Option<std::fs::File>,
    at: std::ffi::CString,
}

impl Mounted {
    fn at(path: &Path) -> Option<Self> {
        use std::os::fd::AsRawFd;
        let server = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").ok()?;
        let at = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        // SAFETY: all four texts end with a zero byte and live until the call returns.
        let mounted = unsafe {
            libc::mount(
                c"mayday-test".as_ptr(),
                at.as_ptr(),
                c"fuse".as_ptr(),
                libc::MS_NOSUID,
                options.as_ptr().cast(),
            )
        };
        (mounted == 0).then_some(Mounted { server: Some(server), at })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.server = None;
        // SAFETY: the text ends with a zero byte.
        unsafe { libc::umount2(self.at.as_ptr(), libc::MNT_DETACH) };
    }
}

#[tokio::test]
async fn a_mounted_file_system_that_hangs_and_then_dies() {
    let (dir, other) = (support::scratch(), support::scratch());
    put(&other.path().join("a.gz"), &gz(b"x"), HOUR / 2);
    let Some(mut mounted) = Mounted::at(dir.path()) else {
        println!("this user may not mount: the stopped process of the other test stands for it");
        return;
    };
    let (tx, mut rx) = mpsc::channel(4);
    let mut real = set("hangs", dir.path(), "*.gz");
    files(&mut real).rescan = Some(Duration::from_millis(200));
    let sets = [real, set("real", other.path(), "*.gz")];
    let catalogue = Catalogue::start_with(&sets, tx, clock(), impatient(), Arc::new(source_of));
    until(&mut rx, "the other folder", |r| r.backup == "real" && r.judged.state == BackupState::Fresh).await;
    let report = until(&mut rx, "the silence", |r| r.problem.is_some()).await;
    assert_eq!((report.backup.as_str(), report.judged.state), ("hangs", BackupState::Unknown));
    assert!(report.judged.detail.contains("has not answered for"), "{}", report.judged.detail);
    // Its server dies: every call now fails.
    mounted.server = None;
    let report =
        until(&mut rx, "the failure", |r| r.problem.as_ref().is_some_and(|p| p.contains("not connected"))).await;
    assert_eq!(report.judged.state, BackupState::Unknown);
    // It is unmounted: what was below is an empty folder.
    drop(mounted);
    until(&mut rx, "the folder below", |r| r.backup == "hangs" && r.judged.state == BackupState::Missing).await;
    catalogue.shutdown().await;
}
