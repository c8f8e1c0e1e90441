//! The cockpit on a real terminal: it leaves it as it found it however it ends, and no stray byte acts.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::{Cockpit, PATIENCE, Pty, program, wait_for_some, wait_until};

const CONFIG: &str = r#"
[system]
name = "shop"
environment = "production"
[defaults]
every = "1s"
timeout = "900ms"
retry_interval = "100ms"
[[service]]
name = "api"
tier = 1
rto = "10m"
control = { restart = ["sh", "-c", "touch HOME/api-up; echo x >> HOME/restarts"] }
[[service.exec]]
run = ["sh", "-c", "test -e HOME/api-up || exit 2"]
"#;

/// A sign that nothing else on the screen has: the link is up and the picture fresh.
const LIVE: &str = "● live";

fn shop() -> Cockpit {
    let shop = Cockpit::new(CONFIG);
    std::fs::write(shop.path("api-up"), "").unwrap();
    shop.start();
    shop
}

fn open(shop: &Cockpit) -> Pty {
    let pty = Pty::mayday(&shop.home, &[], 100, 30);
    pty.wait_for(LIVE);
    pty.wait_screen("the service is up", PATIENCE, |screen| screen.contains("up       api"));
    pty
}

/// An escape that stands for itself: what follows it too closely would be taken for one key with it.
fn escape(pty: &Pty) {
    pty.send("\x1b");
    let sent = Instant::now();
    wait_until("an escape stands for itself", PATIENCE, || sent.elapsed() > Duration::from_millis(300));
}

fn restarts(shop: &Cockpit) -> usize {
    std::fs::read_to_string(shop.path("restarts")).unwrap_or_default().lines().count()
}

fn runs(shop: &Cockpit) -> usize {
    shop.run(&["runs", "--json"]).ok().json().as_array().unwrap().len()
}

#[test]
fn leaving_gives_the_terminal_back_and_the_engine_stays() {
    let shop = shop();
    let engine = shop.engine_pid();
    let mut pty = open(&shop);
    pty.send("q");
    assert_eq!(pty.wait_exit(PATIENCE).code, 0);
    pty.assert_given_back();
    assert_eq!(shop.engine_pid(), engine);
    let mut pty = open(&shop);
    pty.send("\x03");
    pty.wait_calm(Duration::from_millis(50));
    assert!(pty.is_running(), "once is not enough");
    pty.send("\x03");
    pty.wait_exit(PATIENCE);
    pty.assert_given_back();
    // Escape never leaves.
    let mut pty = open(&shop);
    for _ in 0..3 {
        escape(&pty);
    }
    pty.wait_for("nothing to go back from");
    assert!(pty.is_running());
    pty.send("q");
    pty.wait_exit(PATIENCE);
}

#[test]
fn without_an_engine_it_starts_one() {
    let shop = Cockpit::new(CONFIG);
    let mut pty = Pty::mayday(&shop.home, &[], 100, 30);
    pty.wait_for(LIVE);
    let engine = shop.engine_pid().expect("an engine");
    pty.send("q");
    pty.wait_exit(PATIENCE);
    assert!(mayday::sys::proc::pid_start_time(engine).is_some());
}

#[test]
fn signals_end_it_within_a_second_with_the_terminal_whole() {
    let shop = shop();
    for signal in [libc::SIGTERM, libc::SIGHUP] {
        let mut pty = open(&shop);
        let begun = Instant::now();
        pty.signal(signal);
        pty.wait_exit(PATIENCE);
        assert!(begun.elapsed() < Duration::from_secs(2), "signal {signal}: {:?}", begun.elapsed());
        pty.assert_given_back();
    }
    // The terminal itself goes, as a lost connection takes it.
    let mut pty = open(&shop);
    let pid = pty.pid();
    let begun = Instant::now();
    pty.hangup();
    support::guard::wait_gone(pid, PATIENCE);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(shop.run(&["engine", "status"]).code == 0);
}

#[test]
fn suspended_and_resumed() {
    let shop = shop();
    let bash = program("bash", "bash").display().to_string();
    let mut pty = Pty::program(&shop.home, &[&bash, "--norc", "--noprofile", "-i"], 100, 30);
    pty.wait_for("bash-");
    pty.send(format!("{}\r", support::home::mayday_binary().display()));
    pty.wait_for(LIVE);
    for _ in 0..2 {
        pty.send("\x1a");
        pty.wait_for("Stopped");
        // The shell has the terminal as it knows it: what is typed is echoed and carried out.
        pty.send("echo back-$((40+2))\r");
        pty.wait_for("back-42");
        pty.send("clear; fg\r");
        pty.wait_for(LIVE);
    }
    pty.send("q");
    pty.wait_gone(LIVE);
    pty.send("exit\r");
    pty.wait_exit(PATIENCE);
    pty.assert_given_back();
}

#[test]
fn split_sequences_and_pastes_start_nothing() {
    let shop = shop();
    let pty = open(&shop);
    // A slow line delivers an arrow key in pieces; what follows an escape is not a command.
    for pieces in [
        &["\x1b", "[", "A"][..],
        &["\x1b[", "1;5", "C"],
        &["\x1b", "O", "r"],
        &["\x1b[1", "~"],
        &["\x1b", "[200~r\ry\r", "\x1b[201~"],
    ] {
        for piece in pieces {
            pty.send(piece);
            let sent = Instant::now();
            while sent.elapsed() < Duration::from_millis(4) {
                std::thread::yield_now();
            }
        }
        pty.wait_calm(Duration::from_millis(120));
        assert!(!pty.screen().contains("Do it?"), "{pieces:?}: {}", pty.screen());
        escape(&pty);
    }
    // A paste outside of a prompt is ignored, whatever is in it.
    pty.send("\x1b[200~r\ry\rqRdeclare\r:\x1b[201~");
    pty.wait_calm(Duration::from_millis(200));
    assert!(pty.screen().contains(LIVE) && !pty.screen().contains("Do it?"), "{}", pty.screen());
    assert_eq!((runs(&shop), restarts(&shop)), (0, 0));
    assert!(shop.run(&["incident", "list", "--json"]).ok().json().as_array().unwrap().is_empty());
}

#[test]
fn a_restart_and_a_note_by_keys() {
    let shop = shop();
    std::fs::remove_file(shop.path("api-up")).unwrap();
    shop.until_code(&["status"], 2);
    let mut pty = Pty::mayday(&shop.home, &[], 100, 30);
    pty.wait_for(LIVE);
    pty.wait_for("DOWN     api");
    pty.send("r");
    pty.wait_for("Do it?");
    assert!(pty.screen().contains("touch"), "the exact command is shown: {}", pty.screen());
    pty.send("\r");
    pty.wait_calm(Duration::from_millis(150));
    assert_eq!(restarts(&shop), 0, "Enter alone starts nothing");
    if !pty.screen().contains("Do it?") {
        pty.send("r");
        pty.wait_for("Do it?");
    }
    pty.send("y");
    wait_until("it was restarted", PATIENCE, || restarts(&shop) == 1);
    pty.wait_for("up       api");
    escape(&pty);
    pty.send(".");
    pty.wait_for(" note ");
    pty.send("the cache is cold\x1b[200~ pasted\x1b[201~\r");
    wait_until("the note is on record", PATIENCE, || {
        shop.entries().iter().any(|e| e["payload"]["text"] == "the cache is cold pasted")
    });
    pty.send("q");
    pty.wait_exit(PATIENCE);
    pty.assert_given_back();
    assert_eq!(restarts(&shop), 1);
}

#[test]
fn a_storm_of_sizes_down_to_one_cell() {
    let shop = shop();
    let mut pty = open(&shop);
    let sizes = [(1, 1), (200, 60), (0, 0), (2, 1), (1, 50), (300, 2), (59, 14), (60, 15), (80, 24), (5, 5), (120, 36)];
    for round in 0..6 {
        for (columns, rows) in sizes {
            pty.resize(columns, rows);
            if round % 2 == 0 {
                pty.send("j");
            }
        }
    }
    pty.resize(40, 10);
    pty.wait_for("too small");
    pty.resize(100, 30);
    pty.wait_for(LIVE);
    assert!(pty.is_running());
    pty.send("q");
    assert_eq!(pty.wait_exit(PATIENCE).code, 0);
    pty.assert_given_back();
}

#[test]
fn the_lost_engine_is_told_and_found_again() {
    let shop = shop();
    let mut pty = open(&shop);
    shop.kill_engine();
    pty.wait_for("LINK LOST");
    pty.wait_for("NO LINK TO THE ENGINE");
    // A note written meanwhile is kept, and handed over.
    pty.send(".");
    pty.wait_for(" note ");
    pty.send("written without a link\r");
    shop.start();
    pty.wait_for(LIVE);
    pty.wait_gone("LINK LOST");
    wait_until("the note is on record once", PATIENCE, || {
        shop.entries().iter().filter(|e| e["payload"]["text"] == "written without a link").count() == 1
    });
    pty.send("q");
    pty.wait_exit(PATIENCE);
    pty.assert_given_back();
}

#[test]
fn a_read_only_viewer_is_refused() {
    let shop = shop();
    let pty = Pty::mayday(&shop.home, &["--read-only"], 100, 30);
    pty.wait_for(LIVE);
    for key in ["r", "d", "."] {
        pty.send(key);
        pty.wait_calm(Duration::from_millis(150));
        assert!(!pty.screen().contains("Do it?"), "{}", pty.screen());
        escape(&pty);
    }
    assert_eq!(runs(&shop), 0);
}

#[test]
fn inside_tmux() {
    let shop = shop();
    let tmux = program("tmux", "tmux");
    let socket = shop.path("run/tmux.sock");
    let run = |args: &[&str]| {
        let mut command: Command = shop.home.command(&tmux);
        command.arg("-S").arg(&socket).args(["-f", "/dev/null"]).args(args);
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (before, after) = (shop.path("before"), shop.path("after"));
    let line = format!(
        "stty -a > {}; {}; stty -a > {}; echo it was-left; exec sleep 600",
        before.display(),
        support::home::mayday_binary().display(),
        after.display()
    );
    run(&["new-session", "-d", "-x", "100", "-y", "30", "sh", "-c", &line]);
    let shown = |text: &str| {
        let mut screen = String::new();
        let found = || {
            screen = run(&["capture-pane", "-p"]);
            screen.contains(text).then_some(())
        };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_for_some("", PATIENCE, found))).is_err() {
            panic!("tmux never shows {text:?}, but {screen}");
        }
    };
    shown(LIVE);
    run(&["send-keys", "Down", "Up"]);
    run(&["send-keys", ":"]);
    shown("┌─ commands ");
    run(&["send-keys", "Escape"]);
    wait_until("the palette is closed", PATIENCE, || {
        let screen = run(&["capture-pane", "-p"]);
        screen.contains(LIVE) && screen.contains("4 Runs") && !screen.contains("┌─ commands ")
    });
    // A letter on the heels of Esc may be the rest of a torn sequence and counts for nothing, so it is pressed until heard.
    wait_until("it was left by q", PATIENCE, || {
        let left = run(&["capture-pane", "-p"]).contains("was-left");
        if !left {
            run(&["send-keys", "q"]);
        }
        left
    });
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&before), read(&after));
    assert_eq!(runs(&shop), 0);
    run(&["kill-server"]);
}

/// What one corrects is right at once on the screen of another, who looks at the same rows.
#[test]
fn a_note_is_corrected_pinned_and_proven_by_keys_before_another_s_eyes() {
    let shop = shop();
    shop.run(&["incident", "declare", "orders fail"]).ok();
    let seq = shop.run(&["note", "the cashe is cold"]).ok().line();
    let other = Pty::mayday(&shop.home, &["--read-only"], 120, 36);
    other.wait_for("the cashe is cold");
    let mut pty = Pty::mayday(&shop.home, &[], 100, 30);
    pty.wait_for(LIVE);
    pty.send("3");
    pty.wait_for(&format!("entry {seq}"));
    pty.send("c");
    pty.wait_for("its first wording stays");
    pty.send("\x01\x0bthe cache is cöld\r");
    for screen in [&pty, &other] {
        screen.wait_screen("the row reads as corrected", PATIENCE, |s| s.contains("the cache is cöld"));
        screen.wait_gone("cashe");
    }
    pty.send("*");
    other.wait_for("◆");
    let proof = shop.path("proof.log");
    std::fs::write(&proof, "evicted 100 %\n").unwrap();
    pty.send("+");
    pty.wait_for("evidence for entry");
    pty.send(format!("{} what redis said\r", proof.display()));
    pty.wait_for("evidence for entry");
    wait_until("the evidence is on record", PATIENCE, || {
        let about = seq.parse::<u64>().ok();
        let of = |e: &serde_json::Value| e["kind"] == "evidence.added" && e["payload"]["about"].as_u64() == about;
        shop.entries().iter().any(|e| of(e) && e["payload"]["title"] == "what redis said")
    });
    other.wait_for("what redis said");
    pty.send("\r");
    pty.wait_for("as it was recorded");
    pty.wait_screen("all of it", PATIENCE, |s| s.contains("the cashe is cold") && s.contains("corrected by"));
    // Whoever only looks changes nothing.
    other.send("3*");
    other.wait_for("read-only");
    let entries = shop.entries();
    let count = |kind: &str| entries.iter().filter(|e| e["kind"] == kind).count();
    assert_eq!((count("note.corrected"), count("entry.pinned"), count("note.added")), (1, 1, 1));
    pty.send("qq");
    pty.wait_exit(PATIENCE);
    pty.assert_given_back();
}
