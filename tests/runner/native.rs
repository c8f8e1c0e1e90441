//! Native operations in the runner's process: what they leave, and what a killed one left open, taken back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mayday::config;
use mayday::domain::Time;
use mayday::domain::backup::Copy;
use mayday::domain::run::{RunState, SideRole, Verdict, Work};
use mayday::recovery::plan::{self, PlanContext, Planned};
use mayday::runner::{self, ProgressLine, Seen};

use super::support::{self, PATIENCE, wait_for_some, wait_until};
use super::{Bench, MAYDAY, alive, signal, wait_gone};

/// A live folder, a copy of it, and the plan to restore that copy; `verify` is the shell line that proves it.
struct Folder {
    home: tempfile::TempDir,
    planned: Planned,
}

impl Folder {
    fn new(verify: &str) -> Folder {
        let home = support::scratch();
        let base = home.path().canonicalize().unwrap();
        for folder in ["live", "copies", "copies/one", "state"] {
            std::fs::create_dir(base.join(folder)).unwrap();
        }
        std::fs::write(base.join("live/a.txt"), "live").unwrap();
        std::fs::write(base.join("copies/one/a.txt"), "from the copy").unwrap();
        let text = format!(
            "[system]\nname = \"shop\"\n[[backup]]\nname = \"docs\"\n\
             files = {{ path = \"{0}/copies\", pattern = \"*\", folders = true }}\n\
             restore = {{ folder = {{ path = \"{0}/live\", verify = [[\"sh\", \"-c\", '''{verify}''', \"{{side}}\"]] }} }}\n",
            base.display()
        );
        let config = config::parse(&text, "mayday.toml".as_ref()).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let copy = Copy {
            id: "one".into(),
            place: base.join("copies/one").display().to_string(),
            taken_at: Time::from_ms(1_794_990_000_000),
            size: 13,
            format: "directory".into(),
            ..Copy::default()
        };
        let ctx = PlanContext {
            config: Arc::new(config),
            now: Time::from_ms(1_795_000_000_000),
            run_id: "r1".into(),
            copies: BTreeMap::from([("docs".to_owned(), vec![copy])]),
            state_dir: base.join("state"),
            ..PlanContext::default()
        };
        let work = Work::Restore { backup: "docs".into(), copy: None, test: false, to: None, only: Vec::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let planned = runtime.block_on(plan::make(&ctx, &work)).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(planned.plan.blockers().count(), 0, "{:?}", planned.plan.preconditions);
        Folder { home, planned }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What lies beside the live folder.
    fn beside(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.home.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|n| n.starts_with("live."))
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_restore_ends_beside_the_live_folder_and_says_so() {
    let folder = Folder::new("test \"$(cat \"$0/a.txt\")\" = \"from the copy\"");
    let bench = Bench::new(&folder.planned.plan);
    bench.start();
    let status = bench.end();
    assert_eq!((status.state, status.verdict), (RunState::Succeeded, Verdict::Verified), "{}", bench.output());
    let (lines, _) = runner::progress_since(&bench.dir, 0).unwrap();
    let sides = runner::sides(&lines);
    assert_eq!(sides.len(), 1, "{lines:?}");
    assert_eq!(sides[0].role, SideRole::Ready);
    assert!(Path::new(&sides[0].name).is_dir());
    assert_eq!(std::fs::read_to_string(folder.file("live/a.txt")).unwrap(), "live", "the live folder is as it was");
    let last = lines.iter().rev().find(|l| matches!(l, ProgressLine::Compensation { .. }));
    assert!(matches!(last, Some(ProgressLine::Compensation { what: None, .. })), "nothing is left open");
}

#[test]
fn what_a_killed_restore_left_open_is_taken_back() {
    // The proof of the copy takes for ever, in a process with a session of its own.
    let mark = support::scratch();
    let pid_file = mark.path().join("pid");
    let folder = Folder::new(&format!("echo $$ > {}; sleep 600", pid_file.display()));
    let bench = Bench::new(&folder.planned.plan);
    let pid = bench.start();
    let proof: i32 = wait_for_some("the proof runs", PATIENCE, || {
        std::fs::read_to_string(&pid_file).ok().filter(|t| t.ends_with('\n'))?.trim().parse().ok()
    });
    // While it runs, its own runner is the one to take back.
    let code = bench.foreground(&["--compensate"]).0.code();
    assert_eq!(code, Some(3));
    signal(pid, libc::SIGKILL);
    wait_gone(pid);
    wait_until("it is lost", PATIENCE, || matches!(bench.look(), Seen::Lost { .. }));
    match bench.look() {
        Seen::Lost { compensation: Some(open), .. } => assert!(open.shown.contains("remove"), "{}", open.shown),
        other => panic!("{other:?}"),
    }
    assert!(alive(proof), "a session of its own hides it from the runner's death");
    let reaped = runner::reap(&bench.dir).unwrap();
    assert!(reaped.left.is_empty() && !reaped.ended.is_empty(), "{reaped:?}");
    assert!(!alive(proof));
    assert_eq!(folder.beside().len(), 1, "{:?}", folder.beside());
    // Two at the same time do no harm.
    for _ in 0..2 {
        runner::compensate(MAYDAY.as_ref(), &bench.dir, &BTreeMap::new()).unwrap();
    }
    wait_until("it is taken back", PATIENCE, || matches!(bench.look(), Seen::Lost { compensation: None, .. }));
    assert_eq!(folder.beside(), [""; 0]);
    assert_eq!(std::fs::read_to_string(folder.file("live/a.txt")).unwrap(), "live");
    assert!(bench.output().contains("taking back"), "{}", bench.output());
}

#[test]
fn a_cancelled_restore_takes_back_what_it_did() {
    let mark = support::scratch();
    let pid_file = mark.path().join("pid");
    let folder = Folder::new(&format!("echo $$ > {}; sleep 600", pid_file.display()));
    let bench = Bench::new(&folder.planned.plan);
    bench.start();
    wait_until("the proof runs", PATIENCE, || pid_file.exists());
    runner::cancel(&bench.dir).unwrap();
    let status = bench.end();
    assert_eq!(status.state, RunState::Cancelled, "{}", status.detail);
    assert_eq!(folder.beside(), [""; 0], "{}", bench.output());
    let (lines, _) = runner::progress_since(&bench.dir, 0).unwrap();
    assert!(runner::sides(&lines).is_empty());
}

#[test]
fn an_operation_of_another_version_fails_in_words() {
    let mut plan = super::plan("r1", &["true"]);
    plan.phases[0].step = mayday::domain::run::Step::Native {
        op: "time.travel".into(),
        args: serde_json::Value::Null,
        shown: vec!["go back".into()],
    };
    let bench = Bench::new(&plan);
    bench.start();
    let status = bench.end();
    assert_eq!((status.state, status.exit), (RunState::Failed, None));
    assert!(status.detail.contains("time.travel") && status.detail.contains("version"), "{}", status.detail);
}
