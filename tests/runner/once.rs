//! A plan is executed at most once, and whatever dies is found again with its true state.

use std::collections::BTreeMap;
use std::time::Duration;

use mayday::domain::run::{RunState, Step};
use mayday::runner::{self, Seen};

use super::support::{self, PATIENCE, wait_until};
use super::{Bench, alive, plan, signal, wait_gone};

/// A plan whose only command adds a line to a file, and then does `rest`.
fn counted(bench_home: &tempfile::TempDir, rest: &str) -> mayday::domain::run::Plan {
    let mut plan = plan("r1", &[&format!("echo $$ >> \"$COUNT\"; {rest}")]);
    if let Step::Command { env, .. } = &mut plan.phases[0].step {
        env.insert("COUNT".to_owned(), bench_home.path().join("count").to_string_lossy().into_owned());
    }
    plan
}

fn count(home: &tempfile::TempDir) -> Vec<i32> {
    let text = std::fs::read_to_string(home.path().join("count")).unwrap_or_default();
    text.lines().filter_map(|l| l.trim().parse().ok()).collect()
}

#[test]
fn a_claimed_plan_is_refused_with_code_3() {
    let home = support::scratch();
    let bench = Bench::new(&counted(&home, "sleep 600"));
    let pid = bench.start();
    wait_until("it runs", PATIENCE, || count(&home).len() == 1);
    let (status, said) = bench.foreground(&[]);
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains("lock") && said.contains("nothing was executed"), "{said}");
    signal(pid, libc::SIGTERM);
    bench.end();
    wait_gone(pid);
    let (status, said) = bench.foreground(&[]);
    assert_eq!(status.code(), Some(3));
    assert!(said.contains("claimed before"), "{said}");
    assert_eq!(count(&home).len(), 1);
}

#[test]
fn of_many_runners_on_one_plan_exactly_one_executes() {
    let home = support::scratch();
    let bench = Bench::new(&counted(&home, "sleep 0.3"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let _ = runner::spawn(super::MAYDAY.as_ref(), &bench.dir, &BTreeMap::new());
            });
        }
    });
    assert_eq!(bench.end().state, RunState::Succeeded);
    assert_eq!(count(&home).len(), 1);
}

#[test]
fn an_expired_plan_is_never_executed() {
    let home = support::scratch();
    let bench = Bench::new(&counted(&home, "true"));
    assert!(runner::expire(&bench.dir).unwrap());
    assert_eq!(bench.look(), Seen::Expired);
    assert!(!runner::expire(&bench.dir).unwrap(), "once");
    let (status, _) = bench.foreground(&[]);
    assert_eq!(status.code(), Some(3));
    assert!(count(&home).is_empty());

    let bench = Bench::new(&counted(&home, "true"));
    bench.start();
    bench.end();
    assert!(!runner::expire(&bench.dir).unwrap(), "a runner was faster");
}

#[test]
fn a_killed_runner_leaves_a_lost_run_whose_processes_are_ended() {
    let home = support::scratch();
    // One more process ignores TERM, and one left the group within the session.
    let rest =
        "set -m; (trap '' TERM; echo $(exec sh -c 'echo $PPID') >> \"$COUNT\"; while :; do sleep 1; done) & wait";
    let bench = Bench::new(&counted(&home, rest));
    let pid = bench.start();
    wait_until("both have begun", PATIENCE, || count(&home).len() == 2);
    let before = bench.look();
    assert!(matches!(before, Seen::Running { pid: p, phase: 0, .. } if p.cast_signed() == pid), "{before:?}");
    assert_eq!(runner::reap(&bench.dir).unwrap(), runner::Reaped::default(), "a living run is left alone");
    signal(pid, libc::SIGKILL);
    wait_gone(pid);
    wait_until("the lock is free", PATIENCE, || !matches!(bench.look(), Seen::Running { .. }));
    match bench.look() {
        Seen::Lost { why, compensation: None, .. } => assert!(why.contains("killed"), "{why}"),
        other => panic!("{other:?}"),
    }
    let reaped = runner::reap(&bench.dir).unwrap();
    assert!(reaped.left.is_empty(), "{reaped:?}");
    for pid in count(&home) {
        assert!(!alive(pid), "{pid} outlived its run");
    }
    assert_eq!(runner::reap(&bench.dir).unwrap(), runner::Reaped::default(), "nothing is left to end");
    assert!(matches!(bench.look(), Seen::Lost { .. }));
    // Nobody executes it again.
    let (status, _) = bench.foreground(&[]);
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_daemon_that_an_earlier_step_started_survives_the_killed_runner() {
    let home = support::scratch();
    let mut plan = counted(&home, "sleep 600 >/dev/null 2>&1 & echo $! >> \"$COUNT\"");
    plan.phases.push(super::sh("then", "sleep 0.2"));
    let second = match &plan.phases[0].step {
        Step::Command { env, .. } => env.clone(),
        Step::Native { .. } => unreachable!(),
    };
    if let Step::Command { env, argv, .. } = &mut plan.phases[1].step {
        *env = second;
        argv[2] = "sleep 0.1; echo $$ >> \"$COUNT\"; setsid sleep 600 & echo $! >> \"$COUNT\"; sleep 600".to_owned();
    }
    let bench = Bench::new(&plan);
    let pid = bench.start();
    wait_until("the second step runs", PATIENCE, || count(&home).len() == 4);
    signal(pid, libc::SIGKILL);
    wait_gone(pid);
    wait_until("the lock is free", PATIENCE, || !matches!(bench.look(), Seen::Running { .. }));
    runner::reap(&bench.dir).unwrap();
    let pids = count(&home);
    assert!(!alive(pids[2]), "the step that was cut short is ended");
    assert!(alive(pids[1]), "what the first step started is no part of it");
    assert!(alive(pids[3]), "nor is what has a session of its own");
    for pid in [pids[1], pids[3]] {
        signal(pid, libc::SIGKILL);
    }
}

#[test]
fn after_a_reboot_a_running_run_is_lost_and_a_finished_one_is_not() {
    let bench = Bench::of(&["sleep 600"]);
    let pid = bench.start();
    // Its claim is there before what the claim says: until then it is of no boot.
    wait_until("it runs", PATIENCE, || matches!(bench.look(), Seen::Running { pid: 1.., .. }));
    match runner::look_on(&bench.dir, "another-boot").unwrap() {
        Seen::Lost { why, .. } => assert!(why.contains("restarted"), "{why}"),
        other => panic!("{other:?}"),
    }
    signal(pid, libc::SIGTERM);
    let status = bench.end();
    assert_eq!(runner::look_on(&bench.dir, "another-boot").unwrap(), Seen::Finished(status));
}

#[test]
fn a_claim_that_was_torn_by_a_crash_is_lost_not_started_again() {
    let bench = Bench::of(&["echo x"]);
    std::fs::write(bench.dir.join("claim"), "{\"pid\":12").unwrap();
    assert!(matches!(bench.look(), Seen::Lost { .. }));
    let (status, _) = bench.foreground(&[]);
    assert_eq!(status.code(), Some(3));
}

#[test]
fn killed_at_any_moment_a_run_is_accounted_for_and_executed_at_most_once() {
    // Delays spread over the whole life of a run, in microseconds; the seed is this process' own.
    let mut seed = u64::from(std::process::id()) | 1;
    println!("seed {seed}");
    for round in 0..40 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let home = support::scratch();
        let bench = Bench::new(&counted(&home, "echo some output; sleep 0.02; echo more"));
        let pid = bench.start();
        std::thread::sleep(Duration::from_micros(seed % 60_000));
        signal(pid, libc::SIGKILL);
        wait_gone(pid);
        // A child between fork and exec holds the lock for a moment longer than its parent lives.
        wait_until("the lock is free", PATIENCE, || !matches!(bench.look(), Seen::Running { .. }));
        let seen = bench.look();
        match &seen {
            Seen::Unclaimed => assert!(count(&home).is_empty(), "round {round}"),
            Seen::Lost { .. } => {}
            Seen::Finished(status) => assert_eq!(status.state, RunState::Succeeded, "round {round}"),
            other => panic!("round {round}: {other:?}"),
        }
        runner::reap(&bench.dir).unwrap();
        // Whatever the moment was: a second runner executes it only if the first did not begin.
        bench.foreground(&[]);
        assert!(count(&home).len() <= 1, "round {round}: executed twice after {seen:?}");
        assert!(!matches!(bench.look(), Seen::Running { .. }), "round {round}");
        runner::output(&bench.dir, 0, 4096).unwrap();
    }
}
