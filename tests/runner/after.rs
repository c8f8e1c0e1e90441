//! Exit 0 is not up again: what the after-check says of a run. From the configuration to the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use mayday::config;
use mayday::domain::run::{RunState, Verdict, Work};
use mayday::recovery::plan::{self as planning, PlanContext, Planned};
use mayday::runner::{self, ProgressLine, Status};
use secrecy::SecretString;

use super::support::{self, Answer, HttpScript, PATIENCE, free_port};
use super::{Bench, MAYDAY, plan, sh};

/// The plan for restarting (or stopping) `api` in this configuration.
fn planned(toml: &str, work: Work) -> Planned {
    let text = format!("[system]\nname = \"shop\"\nenvironment = \"production\"\n{toml}");
    let config = config::parse(&text, "mayday.toml".as_ref()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let ctx = PlanContext { config: Arc::new(config), run_id: "r1".into(), ..PlanContext::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(planning::make(&ctx, &work)).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn restart() -> Work {
    Work::Restart { service: "api".into() }
}

fn run(planned: &Planned, within_ms: u64, secrets: &BTreeMap<String, SecretString>) -> (Bench, Status) {
    let mut plan = planned.plan.clone();
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.preconditions);
    if let Some(after) = &mut plan.after {
        after.within_ms = within_ms;
    }
    let bench = Bench::new(&plan);
    bench.start_with(secrets);
    let status = bench.end();
    (bench, status)
}

#[test]
fn the_services_own_check_decides() {
    let home = support::scratch();
    let up = home.path().join("up");
    let service = |restart: &str, check: &str| {
        format!(
            "[[service]]\nname = \"api\"\n\
             control = {{ restart = [\"sh\", \"-c\", '''{restart}'''] }}\n{check}"
        )
    };
    let check = format!("[[service.exec]]\nrun = [\"sh\", \"-c\", \"test -e {} || exit 2\"]\n", up.display());
    let broken = "[[service.exec]]\nrun = [\"sh\", \"-c\", \"echo no idea; exit 3\"]\n";
    let slowly = format!("(sleep 0.4; touch {}) >/dev/null 2>&1 &", up.display());
    for (toml, verdict, words) in [
        (service(&slowly, &check), Verdict::Verified, "ok"),
        (service("true", &check), Verdict::Contradicted, "the commands succeeded, yet"),
        (service("true", broken), Verdict::Unverified, "says nothing about the service"),
        (service("true", ""), Verdict::Unverified, "nothing was configured to see the effect by"),
    ] {
        let _ = std::fs::remove_file(&up);
        let (bench, status) = run(&planned(&toml, restart()), 1500, &BTreeMap::new());
        assert_eq!((status.state, status.exit), (RunState::Succeeded, Some(0)), "{}", status.detail);
        assert_eq!(status.verdict, verdict, "{}\n{}", status.detail, bench.output());
        assert!(status.detail.contains(words), "{}", status.detail);
        let (lines, _) = runner::progress_since(&bench.dir, 0).unwrap();
        let told = lines.iter().any(|l| matches!(l, ProgressLine::Verdict { verdict: v, .. } if *v == verdict));
        assert!(told, "{lines:?}");
    }
}

#[test]
fn contradicted_is_told_by_the_exit_code() {
    let toml = "[[service]]\nname = \"api\"\ncontrol = { restart = [\"true\"] }\n\
                [[service.exec]]\nrun = [\"sh\", \"-c\", \"exit 2\"]\n";
    let mut plan = planned(toml, restart()).plan;
    plan.after.as_mut().unwrap().within_ms = 300;
    let (status, said) = Bench::new(&plan).foreground(&[]);
    assert_eq!(status.code(), Some(4), "{said}");
}

#[test]
fn once_is_not_enough_when_twice_in_a_row_is_asked_for() {
    let home = support::scratch();
    let count = home.path().join("count");
    let toml = format!(
        "[[service]]\nname = \"api\"\ncontrol = {{ restart = [\"true\"] }}\n\
         [[service.exec]]\nrun = [\"sh\", \"-c\", \"echo x >> {0}; test $(( $(wc -l < {0}) % 2 )) = 1 || exit 2\"]\n",
        count.display()
    );
    let planned = planned(&toml, restart());
    assert_eq!(planned.plan.after.as_ref().unwrap().times, 2);
    let (bench, status) = run(&planned, 700, &BTreeMap::new());
    assert_eq!(status.verdict, Verdict::Contradicted, "{}", bench.output());
}

#[test]
fn a_failed_command_is_not_looked_after() {
    let toml = "[[service]]\nname = \"api\"\ncontrol = { restart = [\"false\"] }\n\
                [[service.exec]]\nrun = [\"true\"]\n";
    let (_, status) = run(&planned(toml, restart()), 60_000, &BTreeMap::new());
    assert_eq!((status.state, status.verdict), (RunState::Failed, Verdict::Unverified));
}

#[test]
fn a_stop_is_seen_by_checks_that_fail() {
    for (ends, verdict) in [(true, Verdict::Verified), (false, Verdict::Contradicted)] {
        let home = support::scratch();
        let stopped = home.path().join("stopped");
        let port = free_port();
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let toml = format!(
            "[[service]]\nname = \"api\"\ncontrol = {{ stop = [\"touch\", \"{}\"] }}\n\
             [[service.tcp]]\naddress = \"127.0.0.1:{port}\"\n",
            stopped.display()
        );
        let planned = planned(&toml, Work::Stop { service: "api".into() });
        let thread = std::thread::spawn(move || {
            support::wait_until("the stop command ran", PATIENCE, || stopped.exists());
            if ends {
                drop(listener);
                None
            } else {
                Some(listener)
            }
        });
        let (bench, status) = run(&planned, 1500, &BTreeMap::new());
        assert_eq!(status.verdict, verdict, "{}\n{}", status.detail, bench.output());
        drop(thread.join().unwrap());
    }
}

#[test]
fn a_secret_of_a_check_travels_by_pipe_and_stays_off_the_disk() {
    let server = HttpScript::start(vec![Answer::ok("fine")]);
    let toml = format!(
        "[[service]]\nname = \"api\"\ncontrol = {{ restart = [\"true\"] }}\n\
         [[service.http]]\nurl = \"{}/health\"\nheaders = {{ Authorization = {{ env = \"HEALTH_AUTH\" }} }}\n",
        server.url("")
    );
    let planned = planned(&toml, restart());
    let value = "Planted s3cret-of-a-check";
    let names: Vec<&String> = planned.secrets.keys().collect();
    assert_eq!(planned.plan.secrets.iter().collect::<Vec<_>>(), names);
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(planned.secrets.values().next().unwrap().describe(), "environment variable HEALTH_AUTH");
    let secrets = BTreeMap::from([(names[0].clone(), SecretString::from(value))]);
    let (bench, status) = run(&planned, 10_000, &secrets);
    assert_eq!(status.verdict, Verdict::Verified, "{}\n{}", status.detail, bench.output());
    let asked = server.requests();
    assert!(asked.iter().all(|r| r.header("authorization") == Some(value)) && asked.len() >= 2, "{asked:?}");
    assert!(support::files_containing(bench.home.path(), value).is_empty());
}

#[test]
fn stopped_while_looking_it_is_not_called_verified() {
    let toml = "[[service]]\nname = \"api\"\ncontrol = { restart = [\"true\"] }\n\
                [[service.exec]]\nrun = [\"sh\", \"-c\", \"exit 2\"]\n";
    let planned = planned(toml, restart());
    let bench = Bench::new(&planned.plan);
    runner::spawn(MAYDAY.as_ref(), &bench.dir, &BTreeMap::new()).unwrap();
    support::wait_until("it looks", PATIENCE, || {
        matches!(bench.look(), runner::Seen::Running { phase: 1, .. } | runner::Seen::Finished(_))
    });
    runner::cancel(&bench.dir).unwrap();
    let status = bench.end();
    assert_eq!((status.state, status.verdict), (RunState::Cancelled, Verdict::Unverified), "{}", status.detail);
    assert!(status.detail.contains("everything was done"), "{}", status.detail);
}

/// What comes after the deed proves it or contradicts it; it is tried again, and takes nothing back.
#[test]
fn a_proof_that_fails_contradicts_what_was_done() {
    let mut made = plan("r1", &["true"]);
    let mut proof = sh("smoke test", "echo the page is empty; false");
    proof.proof = true;
    made.phases.push(proof);
    let bench = Bench::new(&made);
    bench.start();
    let status = bench.end();
    assert_eq!((status.state, status.verdict), (RunState::Succeeded, Verdict::Contradicted), "{}", bench.output());
    let said = status.said("");
    assert!(said.contains("smoke test") && said.contains("the page is empty"), "{said}");

    // One that fails keeps no other from being tried; what was done comes first, then all that is wrong.
    let asked = Bench::of(&["true"]);
    let line = format!("touch {}; echo no page; false", asked.file("asked").display());
    let mut made = plan("r3", &["true"]);
    made.undo = "undo puts the old one back".into();
    for (name, line) in [("warm up", "echo cold; exit 3"), ("smoke test 1", line.as_str()), ("smoke test 2", "true")] {
        let mut proof = sh(name, line);
        proof.proof = true;
        made.phases.push(proof);
    }
    let bench = Bench::new(&made);
    bench.start();
    let status = bench.end();
    assert_eq!((status.state, status.verdict), (RunState::Succeeded, Verdict::Contradicted), "{}", bench.output());
    assert!(asked.file("asked").exists(), "the other proofs are asked all the same");
    assert_eq!(status.detail, "smoke test 2 ok; undo puts the old one back");
    let said = status.said("; RTO: kept");
    let order =
        ["smoke test 2 ok", "undo puts", "RTO: kept", "; yet warm up: sh exited with 3", "smoke test 1: sh exited"];
    let places: Vec<_> = order.iter().map(|w| said.find(w).unwrap_or_else(|| panic!("{w}: {said}"))).collect();
    assert!(places.is_sorted(), "{said}");
    let (lines, _) = runner::progress_since(&bench.dir, 0).unwrap();
    assert!(lines.iter().any(|l| matches!(l, ProgressLine::Verdict { detail, .. } if detail.contains("yet warm up"))));

    let counted = Bench::of(&["true"]);
    let line = format!("echo x >> {0}; test $(wc -l < {0}) -ge 2", counted.file("count").display());
    let mut again = sh("smoke test", &line);
    (again.proof, again.retry_ms) = (true, 60_000);
    let mut made = plan("r2", &["true"]);
    made.phases.push(again);
    let bench = Bench::new(&made);
    bench.start();
    let status = bench.end();
    assert_eq!((status.state, status.verdict), (RunState::Succeeded, Verdict::Verified), "{}", bench.output());
    assert!(status.detail.contains("smoke test ok"), "{}", status.detail);
}
