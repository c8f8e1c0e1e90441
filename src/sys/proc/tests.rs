use super::*;
use rustix::process::Signal;

fn sh(script: &str) -> Cmd {
    Cmd::new("sh").args(["-c", script])
}

fn gone(pid: i32) -> bool {
    process_stat(pid).is_none_or(|s| s.state == 'Z')
}

/// Waits for something that must come soon.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(10), "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn ends_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let not_executable = file("plain", "#!/bin/sh\n", 0o644);
    let orphan = file("orphan", "#!/no/such/interpreter\n", 0o755);
    for (cmd, end) in [
        (sh("exit 0"), End::Exited(0)),
        (sh("exit 7"), End::Exited(7)),
        (sh("kill -9 $$"), End::Signalled(9)),
        (Cmd::new("mayday-no-such-program"), End::NotFound),
        (Cmd::new("/no/such/program"), End::NotFound),
        (Cmd::new(""), End::NotFound),
        (Cmd::new(&not_executable), End::PermissionDenied),
    ] {
        assert_eq!(run(cmd.clone()).await.end, end, "{cmd:?}");
    }
    let outcome = run(Cmd::new(&orphan)).await;
    assert!(matches!(&outcome.end, End::NotStarted(why) if why.contains("interpreter")), "{outcome:?}");
    let outcome = run(sh("pwd").cwd("/no/such/folder")).await;
    assert!(matches!(&outcome.end, End::NotStarted(why) if why.contains("/no/such/folder")), "{outcome:?}");
    assert!(run(sh("true")).await.success());
}

#[tokio::test]
async fn output_environment_folder_and_stdin() {
    let dir = tempfile::tempdir().unwrap();
    let script = "pwd; echo \"$A $B\"; read line || echo no input; echo error >&2; env | sort | cut -d= -f1";
    let outcome = run(sh(script).cwd(dir.path()).env("A", "one").env("B", "two").env("A", "three")).await;
    let text = outcome.stdout.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..3], [dir.path().canonicalize().unwrap().to_str().unwrap(), "three two", "no input"], "{text}");
    assert!(!lines.contains(&"CARGO_MANIFEST_DIR"), "the environment of this process was handed on: {text}");
    assert_eq!(outcome.stderr.text(), "error\n");
    assert!(run(sh("echo $CARGO_MANIFEST_DIR").inherit_env()).await.stdout.text().len() > 1);
    assert!(Cmd::from_argv::<String>(&[]).is_none());
    assert_eq!(run(Cmd::from_argv(&["echo", "a b", "$A"]).unwrap()).await.stdout.text(), "a b $A\n");
}

#[test]
fn secrets_of_the_environment_stay_out_of_debug() {
    let text = format!("{:?}", Cmd::new("psql").env("PGPASSWORD", "hunter2"));
    assert!(text.contains("PGPASSWORD") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn the_group_is_ended_at_the_time_limit() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let read = || -> Vec<i32> {
        std::fs::read_to_string(&pids).unwrap_or_default().lines().filter_map(|l| l.parse().ok()).collect()
    };
    let file = pids.display();
    for (script, killed) in [
        (format!("echo $$ >> {file}; sleep 1000 & echo $! >> {file}; wait"), false),
        (
            format!("trap '' TERM; echo $$ >> {file}; sleep 1000 & echo $! >> {file}; while :; do sleep 1000; done"),
            true,
        ),
    ] {
        std::fs::write(&pids, "").unwrap();
        let cmd = sh(&script).timeout(Duration::from_millis(300)).grace(Duration::from_millis(300));
        let outcome = run(cmd).await;
        assert_eq!(outcome.end, End::TimedOut { killed }, "{script}");
        assert!(outcome.took < Duration::from_secs(5));
        assert_eq!(read().len(), 2);
        until("both processes are gone", || read().iter().all(|pid| gone(*pid))).await;
    }
}

#[tokio::test]
async fn dropping_the_future_kills_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let read = || -> Vec<i32> {
        std::fs::read_to_string(&pids).unwrap_or_default().lines().filter_map(|l| l.parse().ok()).collect()
    };
    let file = pids.display();
    let task = tokio::spawn(run(sh(&format!("echo $$ >> {file}; sleep 1000 & echo $! >> {file}; wait"))));
    until("both have started", || read().len() == 2).await;
    task.abort();
    until("both processes are gone", || read().iter().all(|pid| gone(*pid))).await;
}

#[tokio::test]
async fn what_the_command_leaves_behind_is_ended_or_left_alone() {
    let script = "sleep 1000 >/dev/null 2>&1 & echo $!";
    let pid = |o: &Outcome| o.stdout.text().trim().parse::<i32>().unwrap();
    let outcome = run(sh(script)).await;
    assert_eq!(outcome.end, End::Exited(0));
    let left = pid(&outcome);
    until("the background process is gone", || gone(left)).await;

    let outcome = run(sh(script).leave_background()).await;
    let left = pid(&outcome);
    assert!(!gone(left));
    rustix::process::kill_process(Pid::from_raw(left).unwrap(), Signal::KILL).unwrap();

    // One that left the group and holds the pipe cannot hold up the caller.
    let began = Instant::now();
    let outcome = run(sh("echo before; setsid sleep 30 & sleep 0.1; exit 3")).await;
    assert_eq!((outcome.end, outcome.stdout.text().as_str()), (End::Exited(3), "before\n"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_flood_is_read_counted_and_cut() {
    let cmd = Cmd::new("sh").args(["-c", "echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo last"]);
    let outcome = run(cmd.keep_output(1000)).await;
    assert!(outcome.success());
    let text = outcome.stdout.text();
    assert!(text.starts_with("first\nxxx") && text.ends_with("x\nlast\n"), "{text}");
    assert_eq!(outcome.stdout.head.len() + outcome.stdout.tail.len(), 1000);
    assert_eq!(outcome.stdout.cut, 5_000_000 + 6 + 1 + 5 - 1000);
    assert!(text.contains("bytes left out"));
}

#[test]
fn keeping_both_ends_loses_nothing_that_fits() {
    for keep in [0, 1, 7, 10] {
        for total in 0..25u8 {
            let mut kept = Captured::default();
            let all: Vec<u8> = (0..total).collect();
            for piece in all.chunks(3) {
                kept.push(piece, keep);
            }
            assert_eq!(kept.head.len() + kept.tail.len(), keep.min(total.into()), "{keep} of {total}");
            assert_eq!(kept.cut as usize, usize::from(total).saturating_sub(keep));
            assert!(all.starts_with(&kept.head) && all.ends_with(&kept.tail));
        }
    }
}

#[test]
fn which_looks_through_the_path() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sh"), "not executable").unwrap();
    let path = format!("{}:/bin:/usr/bin", dir.path().display());
    let found = which("sh", &path).unwrap();
    assert!(found == Path::new("/bin/sh") || found == Path::new("/usr/bin/sh"), "{found:?}");
    assert_eq!(which("/bin/sh", ""), Some(PathBuf::from("/bin/sh")));
    assert_eq!(which("sh", dir.path()), None);
    assert_eq!(which("", &path), None);
}

#[test]
fn a_process_is_named_by_pid_and_start_time() {
    let me = std::process::id() as i32;
    let start = pid_start_time(me).unwrap();
    assert!(is_alive(me, start));
    assert!(!is_alive(me, start + 1));
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = child.id() as i32;
    let start = pid_start_time(pid).unwrap();
    assert!(is_alive(pid, start));
    child.kill().unwrap();
    let began = Instant::now();
    while is_alive(pid, start) {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    child.wait().unwrap();
    assert_eq!(pid_start_time(pid).filter(|s| *s == start), None);
    assert_eq!(pid_start_time(0), None);
}

#[test]
fn dangerous_groups_are_refused() {
    for pgid in [-1, 0, 1] {
        assert_eq!(kill_group(pgid, libc::SIGTERM).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{pgid}");
    }
    assert!(kill_group(i32::MAX, libc::SIGTERM).is_ok(), "a group that is gone is no error");
    assert!(kill_group(i32::MAX, 9999).is_err());
}
