//! Checks by a command: one's own, and the tools of platforms that do not run here, played by scripts that record what
//! they are asked and answer as the real ones do.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mayday::config::secret::MaybeSecret;
use mayday::config::{CheckKind, DockerCheck, ExecCheck, SecretRef, SystemdCheck};
use mayday::domain::health::{Outcome, ProbeResult, Reason};
use mayday::probe::ProbeEnv;

use crate::support::{PATIENCE, wait_until};
use crate::{check, env, env_with, fact, fails, file, is, look, look_for, look_in, prepared};

fn sh(script: &str) -> ExecCheck {
    ExecCheck { run: ["sh", "-c", script].map(str::to_owned).to_vec(), ..ExecCheck::default() }
}

async fn run(script: &str) -> ProbeResult {
    look(CheckKind::Exec(sh(script))).await
}

#[tokio::test]
async fn exit_codes_mean_what_they_mean_to_nagios() {
    let result = run("echo 'DISK OK - 40% | /=2643MB;5948;5958;0;5968 /boot=68MB'").await;
    assert_eq!((result.outcome, result.detail.as_str()), (Outcome::Ok, "DISK OK - 40%"));
    assert_eq!((fact(&result, "/"), fact(&result, "/boot")), ("2643MB", "68MB"));
    is(&run("echo slow; exit 1").await, Outcome::Warn, Some(Reason::Exec), &["slow"]);
    fails(&run("echo gone >&2; exit 2").await, Reason::Exec, &["gone"]);
    is(&run("echo what; exit 3").await, Outcome::Error, None, &["exit 3: what"]);
    is(&run("exit 127").await, Outcome::Error, None, &["exit 127"]);
    fails(&run("kill -SEGV $$").await, Reason::Exec, &["signal 11"]);
    is(&run("true").await, Outcome::Ok, None, &["exit 0"]);
}

#[tokio::test]
async fn the_output_may_have_to_match() {
    let with =
        |pattern: &str| CheckKind::Exec(ExecCheck { output_matches: Some(pattern.into()), ..sh("echo one; echo two") });
    is(&look(with("(?m)^two$")).await, Outcome::Ok, None, &["one"]);
    fails(&look(with("three")).await, Reason::Assertion, &["one; the output does not match three"]);
}

#[tokio::test]
async fn what_cannot_be_run_is_our_fault_and_says_why() {
    let missing = ExecCheck { run: vec!["/no/such/plugin".into()], ..ExecCheck::default() };
    is(&look(CheckKind::Exec(missing)).await, Outcome::Error, None, &["there is no program /no/such/plugin"]);
    let folder = ExecCheck { cwd: Some("/no/such/folder".into()), ..sh("true") };
    is(&look(CheckKind::Exec(folder)).await, Outcome::Error, None, &["/no/such/folder"]);
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_with_all_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; trap '' TERM; while :; do sleep 1; done", pid.display());
    let result = look_for(CheckKind::Exec(sh(&script)), Duration::from_millis(500)).await;
    fails(&result, Reason::Timeout, &["sh did not end within 500ms"]);
    assert!(result.took_us < 4_000_000, "{}", result.took_us);
    let pid: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    wait_until("its child to be gone", PATIENCE, || {
        // An orphan that ended may wait for init to take note of it.
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(") Z "))
            || !Path::new(&format!("/proc/{pid}")).exists()
    });
}

#[tokio::test]
async fn output_is_bounded_cleaned_and_masked() {
    let result = run(r"printf 'a\033[2Jb\342\200\256c'").await;
    assert_eq!(result.detail, "a·[2Jb·c");
    let result = run("head -c 3000000 /dev/zero | tr '\\0' x").await;
    assert_eq!((result.outcome, result.detail.chars().count()), (Outcome::Ok, 512));
    let env = env_with(&[("TOKEN", "hunter22-hunter22")]);
    let secret = BTreeMap::from([("TOKEN".to_owned(), MaybeSecret::Secret(SecretRef::Env("TOKEN".into())))]);
    let kind =
        CheckKind::Exec(ExecCheck { env: secret, ..sh("echo \"token is $TOKEN | $TOKEN=1s 'x'=$TOKEN\"; exit 1") });
    let result = look_in(check(kind), &env).await;
    is(&result, Outcome::Warn, Some(Reason::Exec), &["token is ***"]);
    assert!(!format!("{result:?}").contains("hunter22"), "{result:?}");
}

#[tokio::test]
async fn the_environment_is_small() {
    // SAFETY: no other thread of this test binary reads this variable.
    unsafe { std::env::set_var("MAYDAY_PLANTED", "hunter22-planted") };
    let result = run("env | grep -c . ; env | grep MAYDAY_PLANTED && exit 2; exit 0").await;
    is(&result, Outcome::Ok, None, &[]);
}

/// A folder with a program that writes its arguments to `asked` and runs `script`.
fn tool(name: &str, script: &str) -> (tempfile::TempDir, ProbeEnv) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let asked = dir.path().join("asked");
    let text = format!("#!/bin/sh\nfor a in \"$@\"; do printf '%s\\n' \"$a\"; done > {}\n{script}\n", asked.display());
    // Copied by another process: a file that this one has written may still be open in a child that another test is
    // just starting, and cannot be executed then (ETXTBSY).
    let draft = file(&dir, "draft", &text);
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(std::process::Command::new("cp").arg("-p").arg(&draft).arg(&path).status().unwrap().success());
    let env = env().with_tool_path(format!("{}:/usr/bin:/bin", dir.path().display()));
    (dir, env)
}

fn asked(dir: &tempfile::TempDir) -> Vec<String> {
    std::fs::read_to_string(dir.path().join("asked")).unwrap().lines().map(str::to_owned).collect()
}

fn unit(name: &str) -> CheckKind {
    CheckKind::Systemd(SystemdCheck { unit: name.into(), user: false })
}

/// `systemctl show` of systemd 252 and 257 on Debian 12 and 13.
#[tokio::test]
async fn units_of_systemd() {
    let show = |state: &str, sub: &str, restarts: u32, result: &str| {
        format!(
            "printf 'LoadState=loaded\\nActiveState={state}\\nSubState={sub}\\nNRestarts={restarts}\\nResult={result}\\nExecMainStatus=203\\n'"
        )
    };
    let (dir, env) = tool("systemctl", &show("active", "running", 0, "success"));
    let result = look_in(check(unit("api.service")), &env).await;
    is(&result, Outcome::Ok, None, &["active (running)"]);
    let properties = "LoadState,ActiveState,SubState,NRestarts,Result,ExecMainStatus";
    assert_eq!(asked(&dir), ["show", "--no-pager", "--property", properties, "--", "api.service"]);
    let user = CheckKind::Systemd(SystemdCheck { unit: "api.service".into(), user: true });
    let _ = look_in(check(user), &env).await;
    assert_eq!(asked(&dir)[..2], ["--user", "show"]);

    for (script, reason, words) in [
        (show("failed", "failed", 3, "exit-code"), Reason::NotRunning, "failed: exit-code 203"),
        (show("failed", "failed", 0, "oom-kill"), Reason::NotRunning, "failed: oom-kill"),
        (show("inactive", "dead", 0, "success"), Reason::NotRunning, "inactive (dead)"),
        (show("activating", "auto-restart", 7, "exit-code"), Reason::NotRunning, "activating (auto-restart)"),
        (
            "printf 'LoadState=not-found\\nActiveState=inactive\\nSubState=dead\\n'".into(),
            Reason::Missing,
            "there is no unit api.service",
        ),
        ("printf 'LoadState=masked\\nActiveState=inactive\\nSubState=dead\\n'".into(), Reason::NotRunning, "masked"),
    ] {
        let (_dir, env) = tool("systemctl", &script);
        fails(&look_in(check(unit("api.service")), &env).await, reason, &[words]);
    }
    let refusal =
        "echo 'System has not been booted with systemd as init system (PID 1). Can'\"'\"'t operate.' >&2; exit 1";
    let (_dir, env) = tool("systemctl", refusal);
    is(
        &look_in(check(unit("api.service")), &env).await,
        Outcome::Error,
        None,
        &["systemctl: System has not been booted"],
    );
    let (_dir, env) = tool("other", "");
    let nowhere = env.with_tool_path("/no/such");
    is(&look_in(check(unit("api.service")), &nowhere).await, Outcome::Error, None, &["systemctl is not installed"]);
}

#[tokio::test]
async fn a_unit_that_restarts_again_and_again_warns_each_time() {
    let (dir, env) = tool(
        "systemctl",
        "printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nNRestarts=%s\\nResult=success\\n' \"$(cat \"$(dirname \"$0\")/count\")\"",
    );
    let set = |n: u32| std::fs::write(dir.path().join("count"), n.to_string()).unwrap();
    set(2);
    let check = check(unit("api.service"));
    let probe = prepared(&check, &env);
    let limit = check.timing.timeout;
    is(&probe.probe(limit).await, Outcome::Ok, None, &[]);
    set(3);
    is(&probe.probe(limit).await, Outcome::Warn, Some(Reason::Restarted), &["restarted once since the last look"]);
    is(&probe.probe(limit).await, Outcome::Ok, None, &[]);
    set(6);
    is(&probe.probe(limit).await, Outcome::Warn, Some(Reason::Restarted), &["restarted 3 times"]);
    // Started by hand, the count begins anew.
    set(0);
    is(&probe.probe(limit).await, Outcome::Ok, None, &[]);
}

/// `docker container inspect` of Docker 27 and 28, cut to what is read and some of what is not.
#[tokio::test]
async fn containers_of_docker() {
    let inspect = |state: &str, restarts: u32| {
        format!(
            "cat <<'JSON'\n[{{\"Id\":\"3fa\",\"State\":{{{state},\"Pid\":9,\"Dead\":false}},\"RestartCount\":{restarts},\"Name\":\"/web\"}}]\nJSON"
        )
    };
    let running = r#""Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,"ExitCode":0,"Error":"""#;
    let health = |status: &str| {
        format!(
            r#"{running},"Health":{{"Status":"{status}","FailingStreak":4,"Log":[{{"ExitCode":1,"Output":"no answer\n"}}]}}"#
        )
    };
    let web = || check(CheckKind::Docker(DockerCheck { container: "web".into() }));
    let (dir, env) = tool("docker", &inspect(running, 0));
    is(&look_in(web(), &env).await, Outcome::Ok, None, &["running"]);
    assert_eq!(asked(&dir), ["container", "inspect", "--", "web"]);
    for (state, outcome, reason, words) in [
        (health("healthy"), Outcome::Ok, None, "running (healthy)"),
        (health("starting"), Outcome::Warn, Some(Reason::Loading), "has not passed yet"),
        (health("unhealthy"), Outcome::Fail, Some(Reason::Assertion), "unhealthy (4 failures in a row): no answer"),
        (
            r#""Status":"exited","Running":false,"OOMKilled":true,"ExitCode":137,"Error":"""#.into(),
            Outcome::Fail,
            Some(Reason::NotRunning),
            "exited, exit 137, killed for lack of memory",
        ),
        (
            r#""Status":"restarting","Running":true,"Restarting":true,"ExitCode":1,"Error":"""#.into(),
            Outcome::Fail,
            Some(Reason::NotRunning),
            "restarting, last exit 1",
        ),
        (
            r#""Status":"paused","Running":true,"Paused":true,"ExitCode":0,"Error":"""#.into(),
            Outcome::Fail,
            Some(Reason::NotRunning),
            "paused",
        ),
        (
            r#""Status":"created","Running":false,"ExitCode":127,"Error":"exec: \"x\": not found""#.into(),
            Outcome::Fail,
            Some(Reason::NotRunning),
            "created, exit 127: exec",
        ),
    ] {
        let (_dir, env) = tool("docker", &inspect(&state, 0));
        is(&look_in(web(), &env).await, outcome, reason, &[words]);
    }
    for said in ["Error response from daemon: No such container: web", "Error: No such container: web"] {
        let (_dir, env) = tool("docker", &format!("echo '[]'; echo '{said}' >&2; exit 1"));
        fails(&look_in(web(), &env).await, Reason::Missing, &["there is no container web"]);
    }
    let daemon = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    let (_dir, env) = tool("docker", &format!("echo '{daemon}' >&2; exit 1"));
    is(&look_in(web(), &env).await, Outcome::Error, None, &["docker: Cannot connect to the Docker daemon"]);
    let (_dir, env) = tool("docker", "sleep 600");
    let mut slow = web();
    slow.timing.timeout = Duration::from_millis(300);
    is(&look_in(slow, &env).await, Outcome::Error, None, &["docker did not end within 300ms"]);
    let (_dir, env) = tool("docker", "echo nonsense");
    is(&look_in(web(), &env).await, Outcome::Error, None, &["cannot be read"]);
}

#[test]
fn names_that_would_be_options_are_refused() {
    for kind in [unit("--help"), unit(""), CheckKind::Docker(DockerCheck { container: "-f".into() })] {
        assert!(mayday::probe::prepare(&check(kind), &env()).is_err());
    }
    let nothing = CheckKind::Exec(ExecCheck::default());
    assert!(mayday::probe::prepare(&check(nothing), &env()).is_err());
}
