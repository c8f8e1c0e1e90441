//! The disk of the record is full: notes go on into the reserve, the state is told, nothing starts unrecorded without the
//! typed word, and what was kept in memory follows when there is room again.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mayday::domain::Access;
use mayday::domain::command::Command;
use mayday::wire::{Answer, Ask, Client, Recording};
use support::{Cockpit, DiskLimit, Home, PATIENCE, Ran, in_small_disk, wait_until};

const MIB: u64 = 1 << 20;

const CONFIG: &str = r#"
[system]
name = "shop"
[[service]]
name = "api"
[[service.exec]]
run = ["true"]
every = "1s"
timeout = "900ms"
[[action]]
name = "works"
risk = "disruptive"
run = ["sh", "-c", "echo worked; echo x >> HOME/worked"]
verify = { exec = { run = ["true"] } }
[[action]]
name = "floods"
risk = "observe"
run = ["sh", "-c", "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 20000000; echo the end"]
"#;

/// A cockpit whose state directory alone is on the small disk.
struct Full {
    shop: Cockpit,
    state: PathBuf,
    disk: PathBuf,
}

impl Full {
    fn on(disk: &Path) -> Full {
        let state = disk.join("state");
        let home = Home::new().env_var("MAYDAY_STATE_DIR", &state.display().to_string());
        // When engine.json cannot be written, clients look where the socket would be; this process is one of them.
        // SAFETY: a process of its own for this one test, in which nothing else runs yet.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", home.runtime()) };
        let full = Full { shop: Cockpit::in_home(home, CONFIG), state, disk: disk.to_owned() };
        full.run(&["incident", "declare", "the disk fills up"]).ok();
        full
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Ran {
        self.shop.run(args)
    }

    fn filler(&self) -> PathBuf {
        self.disk.join("filler")
    }

    /// Takes everything that is free, as a log that nobody rotates does.
    fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        for piece in [vec![b'x'; 65536], vec![b'x'; 4096], vec![b'x'; 1]] {
            while file.write_all(&piece).is_ok() {}
        }
        assert!(mayday::sys::disk::free_bytes(&self.disk).unwrap() < 4096, "the disk is full");
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn recording(&self) -> Recording {
        self.with_client(|_, status| status.recording.clone())
    }

    fn with_client<T>(&self, then: impl FnOnce(&mut Asking, mayday::wire::EngineStatus) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime
            .block_on(Client::connect(&self.state, "command", Access::Responder, Duration::from_secs(10)))
            .unwrap();
        let mut asking = Asking { runtime, client };
        let Answer::Status(status) = asking.ask(Ask::Status) else { panic!("no status") };
        then(&mut asking, *status)
    }

    /// Notes of the longest size until `enough` says so; gives what was acknowledged as recorded, and as not.
    fn long_notes(&self, name: &str, most: usize, mut enough: impl FnMut(bool) -> bool) -> (usize, usize) {
        self.with_client(|asking, _| {
            let (mut on, mut off) = (0, 0);
            for n in 0..most {
                let text = format!("{name} {n} {}", "x".repeat(60_000));
                let note = Command::Note { incident: None, text, happened_at: None };
                match asking.ask(Ask::Do(note)) {
                    Answer::Done { recorded: true, .. } => on += 1,
                    Answer::Done { recorded: false, .. } => off += 1,
                    other => panic!("{other:?}"),
                }
                if enough(off > 0) {
                    break;
                }
            }
            (on, off)
        })
    }
}

struct Asking {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Asking {
    #[track_caller]
    fn ask(&mut self, ask: Ask) -> Answer {
        self.runtime.block_on(self.client.ask("test", ask, PATIENCE)).unwrap()
    }
}

#[test]
fn with_a_full_disk_the_record_goes_on_and_nothing_is_silently_lost() {
    in_small_disk(192 * MIB, |disk, kind| {
        if kind == DiskLimit::FileSize {
            // Without namespaces there is no disk that could be full; the journal's own tests cover that limit.
            return;
        }
        let full = Full::on(disk);
        assert_eq!(full.recording(), Recording::On);
        full.fill();
        // Whatever fails from here on, what the engine said is worth knowing.
        let _log = Log(full.state.join("engine.log"));
        the_reserve_serves(&full);
        an_engine_starts_on_a_full_disk(&full);
        let (on, off) = the_reserve_is_used_up(&full);
        nothing_starts_without_the_word(&full);
        full.free();
        it_comes_back(&full, on, off);
    });
}

/// Prints a file when the test fails.
struct Log(PathBuf);

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.0.display(), std::fs::read_to_string(&self.0).unwrap_or_default());
        }
    }
}

fn the_reserve_serves(full: &Full) {
    for n in 0..30 {
        let noted = full.run(&["note", "in", "the", "reserve", &n.to_string()]).ok();
        assert!(!noted.err.contains("NOT recorded"), "{noted:#?}");
    }
    wait_until("the full disk is told", PATIENCE, || full.run(&["status"]).out.contains("DISK FULL"));
    let told = full.run(&["status"]).out;
    let line = told.lines().find(|l| l.contains("DISK FULL")).unwrap();
    assert!(line.contains("left") && line.contains("MB"), "the bytes left are told: {line}");
    let left = match full.recording() {
        Recording::Reserve { left } => left,
        other => panic!("{other:?}"),
    };
    assert!(left > 8 * MIB, "{left}");
    // What is run is run: its output goes elsewhere or is cut, its end is on record.
    let ran = full.run(&["act", "works", "--yes", "--wait", "--json"]).ok().json();
    assert_eq!(ran["verdict"], "verified", "{ran:#}");
    let flooded = full.run(&["act", "floods", "--wait", "--json"]).expect(5).json();
    assert_eq!(flooded["state"], "succeeded", "{flooded:#}");
    let shown = full.run(&["runs", "show", flooded["id"].as_str().unwrap()]);
    assert!(shown.out.contains("succeeded"), "{}", shown.out.chars().take(500).collect::<String>());
    full.shop.verify();
}

fn an_engine_starts_on_a_full_disk(full: &Full) {
    let seq: u64 = full.run(&["note", "before the kill"]).ok().line().parse().unwrap();
    full.with_client(|_, status| {
        let pid = i32::try_from(status.pid).unwrap();
        // SAFETY: a plain system call on the engine of this test.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        support::guard::wait_gone(pid, PATIENCE);
    });
    let noted = full.run(&["note", "after the kill"]).ok();
    assert!(!noted.err.contains("NOT recorded"), "{noted:#?}");
    assert!(noted.line().parse::<u64>().unwrap() > seq);
    wait_until("the full disk is told again", PATIENCE, || full.run(&["status"]).out.contains("DISK FULL"));
    full.shop.verify();
}

/// More than the reserve, and more beyond it than one write may have.
fn the_reserve_is_used_up(full: &Full) -> (usize, usize) {
    let mut beyond = 0;
    let (on, off) = full.long_notes("long", 1500, |is_off| {
        beyond += usize::from(is_off);
        beyond > 350
    });
    assert!(on > 100, "the reserve took {on} notes of 60 kB only");
    assert!(off > 300, "{off}");
    let told = full.run(&["status"]).out;
    assert!(told.contains("NOTHING IS BEING RECORDED") && told.contains("kept in memory"), "{told}");
    let noted = full.run(&["note", "seen by nobody yet"]).ok();
    assert!(noted.err.contains("NOT recorded"), "{noted:#?}");
    (on, off)
}

fn nothing_starts_without_the_word(full: &Full) {
    let before = lines(full);
    full.run(&["act", "works", "--yes", "--wait"]).expect(3).says(&["nothing is being recorded", "unlogged"]);
    full.run(&["act", "works", "--yes", "--unlogged", "yes"]).expect(2);
    assert_eq!(lines(full), before, "nothing was run");
    let ran = full.run(&["act", "works", "--yes", "--wait", "--unlogged", "unlogged", "--json"]);
    assert_eq!(ran.json()["state"], "succeeded", "{ran:#?}");
    assert_eq!(lines(full), before + 1);
}

fn lines(full: &Full) -> usize {
    std::fs::read_to_string(full.shop.path("worked")).unwrap_or_default().lines().count()
}

fn it_comes_back(full: &Full, on: usize, off: usize) {
    wait_until("recording comes back", PATIENCE, || full.recording() == Recording::On);
    let status = full.run(&["status"]).out;
    assert!(!status.contains("NOTHING IS BEING RECORDED") && !status.contains("DISK FULL"), "{status}");
    let verified = full.shop.verify();
    assert_eq!(verified["gaps"], 1, "{verified:#}");
    let entries = full.shop.entries();
    let seqs: Vec<u64> = entries.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let at = entries.iter().position(|e| e["kind"] == "journal.gap").expect("the gap is on record");
    assert_eq!(entries[at]["payload"]["lost"], 0, "{:#}", entries[at]);
    let text = |e: &serde_json::Value| e["payload"]["text"].as_str().unwrap_or_default().to_owned();
    let numbers = |of: &[serde_json::Value]| -> Vec<usize> {
        of.iter().filter_map(|e| text(e).strip_prefix("long ")?.split(' ').next()?.parse().ok()).collect()
    };
    // Recorded ones before the gap, kept ones behind it, in their order, none missing and none twice.
    assert_eq!(numbers(&entries[..at]), (0..on).collect::<Vec<_>>());
    assert_eq!(numbers(&entries[at..]), (on..on + off).collect::<Vec<_>>());
    for word in ["before the kill", "after the kill", "seen by nobody yet", "in the reserve 29"] {
        assert_eq!(entries.iter().filter(|e| text(e) == word).count(), 1, "{word}");
    }
    let unlogged: Vec<_> =
        entries.iter().filter(|e| e["kind"] == "run.requested" && e["payload"]["unlogged"] == true).collect();
    assert_eq!(unlogged.len(), 1, "the unlogged run is on record afterwards");
    // The readable file has all of it too, once.
    let id = entries.iter().find_map(|e| e["incident"].as_str()).unwrap();
    let file = full.state.join("incidents").join(id).join("timeline.md");
    full.run(&["note", "all is well"]).ok();
    wait_until("the readable file has caught up", PATIENCE, || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        ["in the reserve 29", "seen by nobody yet", "all is well"].iter().all(|w| text.matches(w).count() == 1)
    });
    // And the reserve is filled again.
    full.fill();
    let noted = full.run(&["note", "full again"]).ok();
    assert!(!noted.err.contains("NOT recorded"), "{noted:#?}");
    full.shop.verify();
}

/// Mounts an empty tmpfs over `path`, in this process' own namespace.
fn hide(path: &str) {
    if Path::new(path).is_dir() {
        let done = std::process::Command::new("mount").args(["-t", "tmpfs", "tmpfs", path]).status().unwrap();
        assert!(done.success(), "mounting over {path}");
    }
}

#[test]
fn with_a_full_disk_and_no_runtime_folder_runs_go_on_and_everybody_finds_the_engine() {
    in_small_disk(64 * MIB, |disk, kind| {
        if kind == DiskLimit::FileSize {
            return;
        }
        // What this leaves behind ends with the namespace.
        hide("/run/user");
        hide("/dev/shm");
        let state = disk.join("state");
        let home = Home::new().env_var("MAYDAY_STATE_DIR", &state.display().to_string());
        let shop = Cockpit::in_home(home, CONFIG);
        let bare = |args: &[&str]| {
            let mut command = shop.command(args);
            command.env_remove("XDG_RUNTIME_DIR");
            support::cockpit::run(command)
        };
        bare(&["incident", "declare", "the disk fills up"]).ok();
        let mut filler = std::fs::File::create(disk.join("filler")).unwrap();
        for piece in [vec![b'x'; 65536], vec![b'x'; 4096], vec![b'x'; 1]] {
            while filler.write_all(&piece).is_ok() {}
        }
        let _log = Log(state.join("engine.log"));
        // A run has a private place, and its whole life is known.
        let ran = bare(&["act", "works", "--yes", "--wait", "--json"]).ok().json();
        assert_eq!(ran["verdict"], "verified", "{ran:#}");
        let uid = mayday::sys::peer::current_uid();
        let id = ran["id"].as_str().unwrap();
        let private = format!("/dev/shm/mayday-{uid}");
        assert!(Path::new(&private).join("runs").join(id).join("plan.json").exists(), "{id} is not in {private}");
        let shown = bare(&["runs", "show", id]).ok().out;
        assert!(shown.contains("worked"), "{shown}");
        // An engine that is started otherwise still knows the run, and is found by whoever comes in another way, with
        // and without its file.
        kill(&state);
        let shown = shop.run(&["runs", "show", id]).ok().out;
        assert!(shown.contains("worked"), "{shown}");
        for known in [true, false] {
            if !known {
                std::fs::remove_file(state.join("engine.json")).unwrap_or_default();
            }
            bare(&["engine", "status"]).ok();
            shop.run(&["engine", "status"]).ok();
        }
    });
}

#[track_caller]
fn kill(state: &Path) {
    let shown = std::fs::read(state.join("engine.json")).unwrap();
    let pid = serde_json::from_slice::<serde_json::Value>(&shown).unwrap()["pid"].as_i64().unwrap();
    let pid = i32::try_from(pid).unwrap();
    // SAFETY: a plain system call on the engine of this test.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    support::guard::wait_gone(pid, PATIENCE);
}
