//! How fast the record is: `cargo bench --bench journal`.
//!
//! Each figure is taken in one run on one folder (`MAYDAY_BENCH_DIR`, else the target folder), against a bare write and
//! fdatasync of the same bytes there, in turns, so that a busy disk hits both. Ratios say something only where a bare
//! fdatasync takes at least 200 µs; the folder's device and that time are printed. `MAYDAY_BENCH_ENTRIES` sets the length
//! of the long record (1,000,000). Ends with 1 when a figure is missed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use mayday::domain::event::NoteAdded;
use mayday::domain::{Actor, Time};
use mayday::journal::{Draft, Journal, OpenOptions, verify};

const SINGLE: u64 = 1_000;
const WRITERS: u64 = 64;
const PER_WRITER: u64 = 100;
/// Drafts that one append takes from the queue at most.
const BATCH: usize = 256;

fn draft(n: u64) -> Draft {
    Draft {
        at: Time::from_ms(1_795_140_847_318 + n as i64),
        boot_ms: n,
        boot: "9f0e5a1c-6d0b-4d0e-9a53-0f4a1b2c3d4e".into(),
        actor: Actor { user: "oncall1".into(), uid: Some(1004), via: "key .".into(), ..Actor::default() },
        incident: Some(format!("INC-2026-{:03}", n / 5_000)),
        event: NoteAdded { text: format!("note {n}: the replica is 12 s behind"), happened_at: None }.into(),
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let base = std::env::var_os("MAYDAY_BENCH_DIR")
            .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(), Into::into);
        let path = base.join(format!("journal-bench-{}", std::process::id()));
        fs::create_dir_all(&path).expect("make the bench folder");
        Folder(path)
    }

    fn sub(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).expect("make a folder");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The mount that holds the folder: device, type.
fn device(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let path = fs::canonicalize(path).unwrap_or_default();
    let mut best = ("?", "?", "");
    for line in mounts.lines() {
        let mut words = line.split(' ');
        if let (Some(device), Some(at), Some(kind)) = (words.next(), words.next(), words.next())
            && path.starts_with(at)
            && at.len() >= best.2.len()
        {
            best = (device, kind, at);
        }
    }
    format!("{} ({}) at {}", best.0, best.1, best.2)
}

fn open(dir: &Path) -> Journal {
    Journal::open(dir, OpenOptions::new("db1.example.org")).expect("open the journal").0
}

/// Bare appends and those of the journal, in turns.
fn one_at_a_time(folder: &Folder) -> Single {
    let dir = folder.sub("single");
    let mut journal = open(&dir);
    journal.append(&[draft(0)]).expect("append");
    let line = fs::read(dir.join("journal.jsonl")).expect("read a line");
    let mut bare = File::create(dir.join("bare")).expect("make a file");
    let (mut of_bare, mut of_journal) = (Vec::new(), Vec::new());
    for n in 0..SINGLE {
        let draft = [draft(n)];
        let begun = Instant::now();
        bare.write_all(&line).expect("write");
        bare.sync_data().expect("sync");
        of_bare.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        journal.append(&draft).expect("append");
        of_journal.push(begun.elapsed().as_secs_f64());
    }
    Single::of(of_bare, of_journal)
}

/// Seconds for one append.
struct Single {
    bare: f64,
    journal: f64,
    bare_median: f64,
    journal_median: f64,
}

impl Single {
    fn of(mut bare: Vec<f64>, mut journal: Vec<f64>) -> Self {
        let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
        let means = (mean(&bare), mean(&journal));
        bare.sort_by(f64::total_cmp);
        journal.sort_by(f64::total_cmp);
        let (bare_median, journal_median) = (bare[bare.len() / 2], journal[journal.len() / 2]);
        Single { bare: means.0, journal: means.1, bare_median, journal_median }
    }
}

type Request = (Draft, SyncSender<u64>);

/// What the engine's thread does: takes what is waiting, records it with one sync, answers.
fn commit(mut journal: Journal, queue: &Receiver<Request>) {
    while let Ok(first) = queue.recv() {
        let (mut drafts, mut answers) = (vec![first.0], vec![first.1]);
        while drafts.len() < BATCH
            && let Ok((draft, answer)) = queue.try_recv()
        {
            drafts.push(draft);
            answers.push(answer);
        }
        let entries = journal.append(&drafts).expect("append");
        for (answer, entry) in answers.iter().zip(entries) {
            let _ = answer.send(entry.seq);
        }
    }
}

/// Durable entries a second of 64 writers, each waiting for its own entry before the next.
fn many_writers(folder: &Folder) -> f64 {
    let journal = open(&folder.sub("many"));
    let (queue, requests) = sync_channel::<Request>(WRITERS as usize);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || commit(journal, &requests));
        for writer in 0..WRITERS {
            let queue = queue.clone();
            scope.spawn(move || {
                let (answer, answered) = sync_channel(1);
                for n in 0..PER_WRITER {
                    queue.send((draft(writer * PER_WRITER + n), answer.clone())).expect("ask");
                    answered.recv().expect("be answered");
                }
            });
        }
        drop(queue);
    });
    (WRITERS * PER_WRITER) as f64 / begun.elapsed().as_secs_f64()
}

fn forget_pages(dir: &Path) {
    for file in fs::read_dir(dir).into_iter().flatten().flatten() {
        if let Ok(file) = File::open(file.path()) {
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }
}

/// Seconds to open a long record with a checkpoint near its end: the median warm, and from the disk.
fn opening(dir: &Path) -> (f64, f64) {
    let time = || {
        let begun = Instant::now();
        let (journal, opened) = Journal::open(dir, OpenOptions::new("db1.example.org")).expect("open");
        let read = journal.entries(opened.fold_from()).expect("read").filter(Result::is_ok).count();
        let took = begun.elapsed().as_secs_f64();
        assert!(opened.checkpoint.is_some() && read as u64 == opened.since, "{opened:?}");
        took
    };
    forget_pages(dir);
    let cold = time();
    let mut warm: Vec<f64> = (0..9).map(|_| time()).collect();
    warm.sort_by(f64::total_cmp);
    (warm[warm.len() / 2], cold)
}

/// Processor time of this thread.
fn thread_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() -> ExitCode {
    let folder = Folder::new();
    let entries: u64 = std::env::var("MAYDAY_BENCH_ENTRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let single = one_at_a_time(&folder);
    let many = many_writers(&folder);

    let dir = folder.sub("long");
    let mut journal = open(&dir);
    let begun = Instant::now();
    for batch in 0..entries / 500 {
        let drafts: Vec<Draft> = (0..500).map(|n| draft(batch * 500 + n)).collect();
        journal.append(&drafts).expect("append");
        if (batch + 1) * 500 + 1000 == entries {
            journal.checkpoint(journal.head().seq, &serde_json::json!({"open": []})).expect("checkpoint");
        }
    }
    let filled = entries as f64 / begun.elapsed().as_secs_f64();
    let rows = Instant::now();
    let page = journal.incident_page("INC-2026-001", 2_000, 100).expect("read rows");
    let rows = rows.elapsed().as_secs_f64();
    assert!(page.damage.is_empty() && (page.entries.len() == 100 || entries < 8_000));
    drop(journal);
    let (warm, cold) = opening(&dir);
    let (begun, busy) = (Instant::now(), thread_seconds());
    let report = verify(&dir, None).expect("verify");
    let verified = report.entries as f64 / (thread_seconds() - busy);
    let on_the_clock = report.entries as f64 / begun.elapsed().as_secs_f64();
    assert!(report.is_whole() && report.entries == entries, "{:?}", report.faults);

    println!("device                        {}", device(&folder.0));
    let (bare, median) = (single.bare * 1e6, single.bare_median * 1e6);
    println!("bare write + fdatasync        {bare:>9.0} µs mean, {median:.0} µs median");
    println!("entries of {} bytes", report.parts.iter().map(|p| p.bytes).sum::<u64>() / entries);
    let mut table = Table { missed: false };
    let (means, medians) = (single.journal / single.bare, single.journal_median / single.bare_median);
    table.row("one at a time, means", format!("{means:.3} of bare"), means <= 1.15, "at most 1.15");
    table.row("one at a time, medians", format!("{medians:.3} of bare"), medians <= 1.15, "at most 1.15");
    let times = many * single.bare;
    table.row("64 writers", format!("{many:.0}/s, {times:.1} of bare"), times >= 10.0, "at least 10");
    table.row("open, warm", format!("{:.1} ms", warm * 1e3), warm < 0.3, "under 300 ms");
    table.row("open, from the disk", format!("{:.1} ms", cold * 1e3), cold < 0.3, "under 300 ms");
    table.row("verify, a core's second", format!("{verified:.0} entries"), verified > 300_000.0, "above 300,000");
    println!("verify, on the clock          {on_the_clock:>15.0} entries/s");
    println!("filled at {filled:.0} entries/s; 100 rows of one incident among all in {:.2} ms", rows * 1e3);
    if single.bare_median < 200e-6 {
        println!("a bare fdatasync takes less than 200 µs here: the ratios say little");
    }
    if table.missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

struct Table {
    missed: bool,
}

impl Table {
    fn row(&mut self, what: &str, value: String, met: bool, wanted: &str) {
        self.missed |= !met;
        println!("{what:<30}{value:>24}   {wanted:<16} {}", if met { "met" } else { "MISSED" });
    }
}
