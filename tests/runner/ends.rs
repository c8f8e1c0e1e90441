//! How runs end: well, badly, in time, stopped, killed.

use std::time::{Duration, Instant};

use mayday::domain::run::{RunState, Step, Verdict};
use mayday::runner::{self, ProgressLine, Seen};

use super::support::{self, wait_until};
use super::{Bench, alive, command, plan, sh, signal, wait_gone};

#[test]
fn a_plan_is_executed_phase_by_phase_and_leaves_a_status() {
    let bench = Bench::of(&["echo first; cat; echo err >&2", "echo second"]);
    assert_eq!(bench.look(), Seen::Unclaimed);
    bench.start();
    let status = bench.end();
    assert_eq!((status.state, status.exit, status.verdict), (RunState::Succeeded, Some(0), Verdict::Unverified));
    assert!(status.finished_at >= status.started_at);
    assert_eq!(status.phases.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["step 1", "step 2"]);
    let output = bench.output();
    let lines: Vec<&str> = output.lines().filter(|l| !l.starts_with("──") && !l.starts_with('$')).collect();
    assert_eq!(lines, ["first", "err", "second"], "both outputs in their order, and nothing on standard input");
    assert_eq!(status.output.total, output.len() as u64);
    assert_eq!(status.output.cut, 0);
    assert!(status.excerpt.contains("second"), "{}", status.excerpt);
    use sha2::Digest;
    let file = std::fs::read(bench.dir.join("output.log")).unwrap();
    assert_eq!(status.output_digest, hex::encode(sha2::Sha256::digest(file)));
    let (lines, end) = runner::progress_since(&bench.dir, 0).unwrap();
    assert!(matches!(lines.first(), Some(ProgressLine::Started { .. })), "{lines:?}");
    let phases: Vec<usize> = lines
        .iter()
        .filter_map(|l| match l {
            ProgressLine::Phase { index, .. } => Some(*index),
            _ => None,
        })
        .collect();
    assert_eq!(phases, [0, 1]);
    assert!(matches!(lines.last(), Some(ProgressLine::Finished { .. })), "{lines:?}");
    assert_eq!(runner::progress_since(&bench.dir, end).unwrap(), (vec![], end));
}

#[test]
fn the_runner_is_in_its_own_session_and_nobodys_child() {
    let bench = Bench::of(&[&"read line; sleep 600".replace("read line; ", "")]);
    let pid = bench.start();
    wait_until("it runs", support::PATIENCE, || matches!(bench.look(), Seen::Running { .. }));
    let process = mayday::recovery::exec::procs::read(pid).expect("the runner is there");
    assert_eq!((process.session, process.group), (pid, pid));
    assert_ne!(process.parent, std::process::id().cast_signed(), "it would die with the engine, or stay its zombie");
    // The terminal of whoever started it went away.
    signal(pid, libc::SIGHUP);
    assert!(matches!(bench.look(), Seen::Running { .. }));
    signal(pid, libc::SIGTERM);
    assert_eq!(bench.end().state, RunState::Cancelled);
    wait_gone(pid);
}

#[test]
fn a_failing_step_stops_the_plan_and_says_what_failed() {
    let missing = command("gone", &["/nowhere/tool", "x"]);
    let mut not_executable = command("not executable", &["./plain"]);
    let mut no_folder = sh("no folder", "true");
    let home = support::scratch();
    std::fs::write(home.path().join("plain"), "text").unwrap();
    for (step, dir) in [(&mut not_executable, home.path().to_path_buf()), (&mut no_folder, "/nowhere".into())] {
        if let Step::Command { cwd, .. } = &mut step.step {
            *cwd = Some(dir.to_string_lossy().into_owned());
        }
    }
    let mut interpreter = command("no interpreter", &["./script"]);
    let script = home.path().join("script");
    std::fs::write(&script, "#!/nowhere/sh\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    if let Step::Command { cwd, .. } = &mut interpreter.step {
        *cwd = Some(home.path().to_string_lossy().into_owned());
    }
    for (step, exit, words) in [
        (sh("fails", "echo disk on fire >&2; exit 7"), 7, "exited with 7"),
        (sh("fails", "echo disk on fire >&2; exit 7"), 7, "it said: disk on fire"),
        (sh("killed", "kill -9 $$"), 128 + 9, "signal 9"),
        (missing, 127, "there is no program /nowhere/tool"),
        (command("not in PATH", &["no-such-tool-anywhere"]), 127, "no-such-tool-anywhere in PATH"),
        (not_executable, 126, "may not be executed"),
        (no_folder, 126, "working folder /nowhere does not exist"),
        (interpreter, 127, "interpreter does not exist"),
    ] {
        let mut plan = plan("r1", &["echo before"]);
        let name = step.name.clone();
        plan.phases.push(step);
        plan.phases.push(sh("never", "touch \"$MAYDAY_TEST_NEVER\""));
        let bench = Bench::new(&plan);
        bench.start();
        let status = bench.end();
        assert_eq!((status.state, status.exit), (RunState::Failed, Some(exit)), "{name}: {}", status.detail);
        assert!(status.detail.starts_with(&format!("{name}: ")), "{}", status.detail);
        assert!(status.detail.contains(words), "{name}: {}", status.detail);
        assert!(bench.output().contains("before"));
        assert_eq!(status.phases.len(), 2, "the third phase was not begun");
    }
}

#[test]
fn a_no_in_the_output_is_a_failure_although_the_exit_is_0() {
    let mut plan = plan("r1", &["echo 'Restart api? No'; exit 0"]);
    if let Step::Command { refused_if, .. } = &mut plan.phases[0].step {
        refused_if.push(r"\? No$".to_owned());
    }
    let bench = Bench::new(&plan);
    bench.start();
    let status = bench.end();
    assert_eq!((status.state, status.exit), (RunState::Failed, Some(0)));
    assert!(status.detail.contains("answered no") && status.detail.contains("Restart api? No"), "{}", status.detail);
}

#[test]
fn a_timeout_ends_the_whole_group_even_what_ignores_term() {
    let bench_file = support::scratch();
    let pids = bench_file.path().join("pids");
    // The child of the child ignores TERM, and one of them has left the group.
    let line = format!(
        "trap '' TERM; (trap '' TERM; echo $(exec sh -c 'echo $PPID') >> {0}; while :; do sleep 1; done) & \
         set -m; (trap '' TERM; while :; do sleep 1; done) & echo $! >> {0}; echo $$ >> {0}; wait",
        pids.display()
    );
    let mut plan = plan("r1", &[&line]);
    if let Step::Command { timeout_ms, .. } = &mut plan.phases[0].step {
        *timeout_ms = Some(700);
    }
    let bench = Bench::new(&plan);
    let began = Instant::now();
    bench.start();
    let status = bench.end();
    assert_eq!((status.state, status.exit), (RunState::TimedOut, Some(124)), "{}", status.detail);
    assert!(status.detail.contains("killed, because TERM was not enough"), "{}", status.detail);
    assert!(began.elapsed() < Duration::from_secs(20));
    let pids: Vec<i32> = std::fs::read_to_string(&pids).unwrap().lines().map(|l| l.trim().parse().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    for pid in pids {
        assert!(!alive(pid), "{pid} outlived the timeout");
    }
}

#[test]
fn the_time_of_the_whole_run_ends_it_too() {
    let mut plan = plan("r1", &["sleep 600"]);
    plan.timeout_ms = 500;
    let bench = Bench::new(&plan);
    bench.start();
    let status = bench.end();
    assert_eq!(status.state, RunState::TimedOut);
    assert!(status.detail.contains("the 500ms of the whole run were over"), "{}", status.detail);
}

#[test]
fn a_cancelled_run_ends_its_step_and_begins_no_other() {
    let bench = Bench::of(&["echo $$ > \"$PIDS\"; sleep 600", "echo never"]);
    let mut plan = runner::read_plan(&bench.dir).unwrap();
    if let Step::Command { env, .. } = &mut plan.phases[0].step {
        env.insert("PIDS".to_owned(), bench.file("pids").to_string_lossy().into_owned());
    }
    let bench2 = Bench::new(&plan);
    bench2.start();
    let pid: i32 = bench.written("pids").parse().unwrap();
    runner::cancel(&bench2.dir).unwrap();
    let status = bench2.end();
    assert_eq!((status.state, status.verdict), (RunState::Cancelled, Verdict::Unverified), "{}", status.detail);
    assert!(status.detail.contains("cancelled"), "{}", status.detail);
    assert!(!alive(pid));
    assert!(!bench2.output().contains("never"));
    // Cancelling what has ended changes nothing.
    runner::cancel(&bench2.dir).unwrap();
    assert_eq!(bench2.end(), status);
}

#[test]
fn a_run_cancelled_before_it_began_executes_nothing() {
    let bench = Bench::of(&["echo executed"]);
    runner::cancel(&bench.dir).unwrap();
    bench.start();
    let status = bench.end();
    assert_eq!(status.state, RunState::Cancelled);
    assert!(!bench.output().contains("executed"), "{}", bench.output());
}

#[test]
fn what_a_start_command_leaves_running_stays() {
    let bench = Bench::of(&["sleep 300 & echo $!"]);
    let began = Instant::now();
    bench.start();
    let status = bench.end();
    assert_eq!(status.state, RunState::Succeeded, "{}", status.detail);
    assert!(began.elapsed() < Duration::from_secs(10), "it does not wait for the end of the output");
    let output = bench.output();
    let pid: i32 = output.lines().find_map(|l| l.parse().ok()).expect("the pid was printed");
    assert!(output.contains("still holds its output"), "{output}");
    assert!(alive(pid), "a start script's daemon is not ended");
    signal(pid, libc::SIGKILL);
}

#[test]
fn exit_codes_are_those_of_the_command_line() {
    let mut slow = plan("r1", &["sleep 600"]);
    slow.timeout_ms = 300;
    for (plan, code) in [(plan("r1", &["true"]), 0), (plan("r1", &["false"]), 1), (slow, 6)] {
        let bench = Bench::new(&plan);
        let (status, said) = bench.foreground(&[]);
        assert_eq!(status.code(), Some(code), "{said}");
    }
    let bench = Bench::of(&["true"]);
    let (status, said) = bench.foreground(&["--nonsense"]);
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("there is no option --nonsense"), "{said}");
    std::fs::remove_file(bench.dir.join("plan.json")).unwrap();
    let (status, said) = bench.foreground(&[]);
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("plan cannot be read"), "{said}");
    assert_eq!(bench.look(), Seen::NoPlan);
}
