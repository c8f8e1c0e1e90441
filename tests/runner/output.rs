//! What is kept of a run's output: within the limit, without secrets, without anything a terminal obeys.

use std::collections::BTreeMap;
use std::path::Path;

use mayday::domain::run::{RunState, Step};
use mayday::runner::{self, Limits, Seen};
use secrecy::SecretString;

use super::support::{self, PATIENCE, wait_until};
use super::{Bench, MAYDAY, plan, signal};

fn start_limited(bench: &Bench, output: u64) -> i32 {
    let limits = Limits { output };
    runner::spawn_with(Path::new(MAYDAY), &bench.dir, &BTreeMap::new(), limits).unwrap().cast_signed()
}

#[test]
fn a_flood_is_cut_in_the_middle_and_counted() {
    let bench = Bench::of(&["seq 1 300000"]);
    start_limited(&bench, 64 << 10);
    let status = bench.end();
    assert_eq!(status.state, RunState::Succeeded);
    let file = std::fs::read_to_string(bench.dir.join("output.log")).unwrap();
    assert!(file.len() <= (64 << 10) + 200, "{} bytes", file.len());
    assert!(file.contains("\n1\n2\n3\n"), "the beginning is kept");
    assert!(file.contains("\n299999\n300000\n"), "the end is kept");
    assert!(file.contains(&format!("{} bytes of output were cut here", status.output.cut)), "the cut is counted");
    let printed: u64 = (1..=300_000u64).map(|n| n.to_string().len() as u64 + 1).sum();
    assert!(status.output.total > printed && status.output.total < printed + 1000);
    let kept: u64 = status.output.parts.iter().map(|p| p.len).sum();
    assert_eq!(kept + status.output.cut, status.output.total);
    use sha2::Digest;
    assert_eq!(status.output_digest, hex::encode(sha2::Sha256::digest(&file)));

    // Followed by position: one jump over what was cut, and nothing else is missing.
    let (mut at, mut jumps, mut text) = (0, 0, String::new());
    loop {
        let chunk = runner::output(&bench.dir, at, 1000).unwrap();
        assert_eq!(chunk.total, status.output.total);
        if chunk.text.is_empty() {
            break;
        }
        jumps += u64::from(chunk.offset != at) * (chunk.offset - at);
        text.push_str(&chunk.text);
        at = chunk.next;
    }
    assert_eq!((jumps, at), (status.output.cut, status.output.total));
    assert_eq!(text.len() as u64, kept);
    // From the end.
    let last = runner::output(&bench.dir, status.output.total - 40, 1000).unwrap();
    assert_eq!((last.text.len(), last.next), (40, status.output.total));
    assert!(!bench.dir.join("output.log.new").exists());
    let left: Vec<_> = std::fs::read_dir(&bench.dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().starts_with("output-")), "{left:?}");
}

#[test]
fn output_can_be_followed_while_it_floods() {
    let bench = Bench::of(&["while :; do seq 1 1000; done"]);
    let pid = start_limited(&bench, 64 << 10);
    let (mut at, mut seen) = (0, 0usize);
    wait_until("a megabyte went by", PATIENCE, || {
        let chunk = runner::output(&bench.dir, at, 1 << 20).unwrap();
        assert!(chunk.offset >= at && chunk.next >= chunk.offset && chunk.next <= chunk.total);
        assert!(chunk.text.chars().all(|c| c.is_ascii_digit() || c == '\n' || !c.is_control()));
        seen += chunk.text.len();
        at = chunk.next;
        at > 1 << 20
    });
    assert!(seen > 64 << 10);
    let kept: u64 = std::fs::read_dir(&bench.dir)
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.file_name().to_string_lossy().starts_with("output"))
        .map(|e| e.metadata().map_or(0, |m| m.len()))
        .sum();
    assert!(kept <= (64 << 10) + (16 << 10), "{kept} bytes on disk while it floods");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak: u64 = status
        .lines()
        // Its own memory: the pages of an unoptimised program alone are nearly as many.
        .find_map(|l| l.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok())
        .expect("its memory");
    assert!(peak <= 32 << 10, "the runner took {peak} KiB");
    signal(pid, libc::SIGTERM);
    assert_eq!(bench.end().state, RunState::Cancelled, "a flood does not keep a cancellation out");
}

#[test]
fn hostile_bytes_become_harmless_lines() {
    let line = r#"printf '\033[2J\033]0;owned\007\233 31m \342\200\256rtl \377\376 end\r\n'; head -c 1048576 /dev/zero | tr '\0' A; echo; printf 'no line end'"#;
    let bench = Bench::of(&[line]);
    bench.start();
    let status = bench.end();
    assert_eq!(status.state, RunState::Succeeded, "{}", status.detail);
    let file = std::fs::read(bench.dir.join("output.log")).unwrap();
    let text = String::from_utf8(file).expect("the file is UTF-8");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "a control character is left");
    assert!(!text.contains('\u{202e}'));
    assert!(text.contains("·[2J·]0;owned·"), "what stood there is still to be seen");
    assert!(text.contains(" end\n"));
    assert!(text.contains("no line end\n"));
    assert_eq!(
        text.lines().skip(2).map(|l| l.matches('A').count()).sum::<usize>(),
        1 << 20,
        "long lines are cut, not lost"
    );
    assert!(text.lines().all(|l| l.len() <= 20 << 10));
    for name in ["status.json", "progress.jsonl"] {
        let text = std::fs::read_to_string(bench.dir.join(name)).unwrap();
        assert!(!text.contains('\u{1b}') && !text.contains("\\u001b"), "{name}");
    }
}

#[test]
fn secrets_are_found_nowhere_on_disk() {
    let secrets = ["pipe-s3cret/with\"quotes", "only-for-masking-9", "inherited-t0ken-value", "urlpassw0rd"];
    let mut plan = plan(
        "r1",
        &["echo \"$DB_PASSWORD\"; env; echo \"$DB_PASSWORD\" >&2; printf '%s' \"$DB_PASSWORD\" | head -c 9; \
           sleep 0.1; printf '%s\\n' \"$DB_PASSWORD\" | tail -c +10; printf 'only-for-%s\\n' masking-9; \
           echo \"$DB_PASSWORD\"; exit 3"],
    );
    plan.secrets = vec!["db".to_owned()];
    if let Step::Command { secret_env, .. } = &mut plan.phases[0].step {
        secret_env.insert("DB_PASSWORD".to_owned(), "db".to_owned());
    }
    let bench = Bench::new(&plan);
    // The environment of the engine, as the runner inherits it.
    let handed = serde_json::json!({ "db": secrets[0], "webhook": secrets[1] });
    let mut child = std::process::Command::new(MAYDAY)
        .arg("runner")
        .arg(&bench.dir)
        .env("PLANTED_API_TOKEN", secrets[2])
        .env("PLANTED_URL", format!("postgres://app:{}@db/app", secrets[3]))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::Write;
    writeln!(child.stdin.take().unwrap(), "{handed}").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let status = bench.end();
    assert_eq!(status.exit, Some(3));
    assert!(status.detail.contains("it said: ***"), "{}", status.detail);
    let output = bench.output();
    assert!(output.contains("DB_PASSWORD=***"), "{output}");
    assert!(output.contains("PLANTED_API_TOKEN=***") && output.contains("postgres://app:***@db/app"), "{output}");
    for secret in secrets {
        let found = support::files_containing(bench.home.path(), secret);
        assert!(found.is_empty(), "{secret} stands in {found:?}");
        assert!(!output.contains(secret));
    }
}

#[test]
fn a_secret_that_was_not_handed_over_stops_the_plan_before_its_first_command() {
    let mut plan = plan("r1", &["echo ran it"]);
    plan.secrets = vec!["db".to_owned()];
    let bench = Bench::new(&plan);
    bench.start_with(&BTreeMap::from([("other".to_owned(), SecretString::from("value"))]));
    let status = bench.end();
    assert_eq!((status.state, status.exit), (RunState::Failed, None));
    assert!(status.detail.contains("the secret db was not handed over"), "{}", status.detail);
    assert!(!bench.output().contains("ran it"));
}

#[test]
fn half_a_line_of_secrets_is_no_reason_to_begin() {
    let bench = Bench::of(&["echo executed"]);
    let mut child = std::process::Command::new(MAYDAY)
        .arg("runner")
        .arg(&bench.dir)
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::Write;
    child.stdin.take().unwrap().write_all(b"{\"db\":\"hunter22").unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    assert!(said.contains("nothing was executed") && !said.contains("hunter22"), "{said}");
    assert_eq!(bench.look(), Seen::Unclaimed, "the engine died while it handed them over: the plan was not begun");
}

#[test]
fn without_what_is_to_be_masked_a_runner_of_the_engine_does_not_begin() {
    let bench = Bench::of(&["echo ran it"]);
    let out = std::process::Command::new(MAYDAY)
        .arg("runner")
        .arg(&bench.dir)
        .arg("--detach")
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output()
        .unwrap();
    let pid: i32 = String::from_utf8_lossy(&out.stdout).trim().parse().expect("it says its pid");
    super::wait_gone(pid);
    assert_eq!(bench.look(), Seen::Unclaimed, "the engine died before it handed anything over");
}

#[test]
fn on_a_full_disk_output_is_cut_and_the_run_goes_on() {
    support::in_small_disk(256 << 10, |dir, _| {
        let home = support::scratch();
        let mark = home.path().join("mark");
        let mut plan = plan("r1", &["seq 1 200000", "echo went on > \"$MARK\"; echo last words"]);
        if let Step::Command { env, .. } = &mut plan.phases[1].step {
            env.insert("MARK".to_owned(), mark.to_string_lossy().into_owned());
        }
        let run = runner::place(dir, &[], &plan).unwrap();
        runner::spawn(Path::new(MAYDAY), &run, &BTreeMap::new()).unwrap();
        let status = support::wait_for_some("the run ends", PATIENCE, || match runner::look(&run).unwrap() {
            Seen::Finished(status) => Some(status),
            _ => None,
        });
        assert_eq!(status.state, RunState::Succeeded, "{}", status.detail);
        assert_eq!(std::fs::read_to_string(&mark).unwrap(), "went on\n");
        assert!(status.output.cut > 500_000, "{:?}", status.output);
        assert!(status.excerpt.contains("last words"), "{}", status.excerpt);
        let first = runner::output(&run, 0, 100).unwrap();
        assert!(first.text.contains("\n1\n2\n"), "{first:?}");
        assert_eq!(first.total, status.output.total);
        assert!(run.join("status.json").exists(), "its room was kept");
    });
}

#[test]
fn a_runs_folder_that_cannot_be_written_falls_back() {
    let (state, runtime) = (support::scratch(), support::scratch());
    std::fs::write(state.path().join("runs"), "a file where the folder should be").unwrap();
    let plan = plan("r1", &["true"]);
    let dir = runner::place(state.path(), &[runtime.path().to_owned()], &plan).unwrap();
    assert!(dir.starts_with(runtime.path()));
    assert_eq!(runner::find(state.path(), &[runtime.path().to_owned()], "r1").as_deref(), Some(dir.as_path()));
    let again = runner::place(state.path(), &[runtime.path().to_owned()], &plan).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists, "a plan is never written over");
    let nowhere = runner::place(state.path(), &[], &plan).unwrap_err();
    assert!(nowhere.to_string().contains("runs/r1"), "{nowhere}");
    assert!(runner::place(state.path(), &[], &super::plan("../r1", &[])).is_err(), "an id is no path");
}
