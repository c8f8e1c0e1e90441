//! Platforms that cannot run here: the exact argument lists, seen by programs that record how they were called and answer
//! from samples. What a vendor's tool accepts is not proven by this, only what it is asked.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use mayday::config;
use mayday::domain::command::Refusal;
use mayday::domain::run::{Checked, Plan, Risk, RunState, Work};
use mayday::recovery::plan::{self, PlanContext, Planned};
use mayday::runner::{Seen, Status, look};

use super::support;
use super::{Bench, MAYDAY};

/// A folder of programs that record their calls; the only one in `PATH` besides the system's `sh` and `cat`.
pub(super) struct Tools {
    home: tempfile::TempDir,
}

/// One answer: what is asked exactly, exit code, stdout, stderr.
pub(super) type Answer<'a> = (&'a str, i32, &'a str, &'a str);

impl Tools {
    pub(super) fn new() -> Tools {
        let tools = Tools { home: support::scratch() };
        for name in ["sh", "cat"] {
            let real = support::program(name, "coreutils");
            std::os::unix::fs::symlink(real, tools.path().join(name)).unwrap();
        }
        tools
    }

    fn path(&self) -> PathBuf {
        self.home.path().to_path_buf()
    }

    /// A program that records each argument, and answers questions; whatever else it is asked it does silently.
    pub(super) fn add(&self, name: &str, answers: &[Answer<'_>]) -> &Self {
        let dir = self.home.path();
        let mut script = format!(
            "#!/bin/sh\n{{ for a in \"$@\"; do printf '%s|' \"$a\"; done; echo; }} >> '{}'\n",
            dir.join(format!("{name}.calls")).display()
        );
        for (n, (question, exit, out, err)) in answers.iter().enumerate() {
            let (o, e) = (dir.join(format!("{name}.{n}.out")), dir.join(format!("{name}.{n}.err")));
            std::fs::write(&o, out).unwrap();
            std::fs::write(&e, err).unwrap();
            script.push_str(&format!(
                "if [ \"$*\" = '{question}' ]; then cat '{}'; cat '{}' >&2; exit {exit}; fi\n",
                o.display(),
                e.display()
            ));
        }
        let path = dir.join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        self
    }

    /// How a program was called since the last look: the arguments, each ended by `|`.
    pub(super) fn calls(&self, name: &str) -> Vec<String> {
        let path = self.home.path().join(format!("{name}.calls"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    pub(super) fn make(&self, toml: &str, work: Work) -> Result<Planned, Refusal> {
        let text = format!("[system]\nname = \"shop\"\nenvironment = \"production\"\n{toml}");
        let config = config::parse(&text, "mayday.toml".as_ref()).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let ctx = PlanContext {
            config: Arc::new(config),
            run_id: "r1".into(),
            tool_path: Some(self.path().into_os_string()),
            ..PlanContext::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(plan::make(&ctx, &work))
    }

    /// Executes the steps of a plan, without its after-check.
    pub(super) fn execute(&self, plan: &Plan) -> (i32, Status) {
        let mut plan = plan.clone();
        plan.after = None;
        let bench = Bench::new(&plan);
        let out = Command::new(MAYDAY)
            .arg("runner")
            .arg(&bench.dir)
            .env("PATH", self.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        match look(&bench.dir).unwrap() {
            Seen::Finished(status) => (out.status.code().unwrap_or(-1), status),
            other => panic!("{other:?}: {}", String::from_utf8_lossy(&out.stderr)),
        }
    }
}

pub(super) fn service(control: &str) -> String {
    format!("[[service]]\nname = \"api\"\ncontrol = {control}\n")
}

fn restart() -> Work {
    Work::Restart { service: "api".into() }
}

fn stop() -> Work {
    Work::Stop { service: "api".into() }
}

fn start() -> Work {
    Work::Start { service: "api".into() }
}

/// The failing preconditions, in words.
pub(super) fn blockers(planned: &Planned) -> Vec<String> {
    planned.plan.blockers().map(|p| format!("{}: {}", p.name, p.detail)).collect()
}

/// The commands as they are shown, one a phase.
pub(super) fn shown(planned: &Planned) -> Vec<String> {
    planned.plan.phases.iter().flat_map(|p| p.step.shown()).collect()
}

const UNIT: &str = "LoadState=loaded\nActiveState=active\nSubState=running\nNeedDaemonReload=no\n\
                    RefuseManualStart=no\nRefuseManualStop=no\n";
const PROPERTIES: &str = "LoadState,ActiveState,SubState,NeedDaemonReload,RefuseManualStart,RefuseManualStop";

#[test]
fn systemd_units() {
    let tools = Tools::new();
    let (system, user) = (
        format!("show api.service --property {PROPERTIES}"),
        format!("--user show api.service --property {PROPERTIES}"),
    );
    tools.add("systemctl", &[(&system, 0, UNIT, ""), (&user, 0, UNIT, "")]);
    for (control, work, argv) in [
        ("{ systemd = \"api.service\" }", restart(), "restart|api.service|"),
        ("{ systemd = \"api.service\" }", stop(), "stop|api.service|"),
        ("{ systemd = \"api.service\" }", start(), "start|api.service|"),
        ("{ systemd = \"api.service\", user = true }", restart(), "--user|restart|api.service|"),
    ] {
        let planned = tools.make(&service(control), work).unwrap();
        assert_eq!(blockers(&planned), [""; 0]);
        assert!(tools.calls("systemctl").iter().all(|c| c.contains("show|")), "planning only asks");
        let (code, status) = tools.execute(&planned.plan);
        assert_eq!((code, status.state), (0, RunState::Succeeded), "{}", status.detail);
        assert_eq!(tools.calls("systemctl"), [argv]);
        // Without a check of its own the unit's state shows the effect.
        let after = planned.plan.after.unwrap();
        assert!(after.shown[0].contains("unit api.service is active"), "{:?}", after.shown);
    }
    // What systemctl 252 says where systemd does not run (seen on this kind of host).
    let refused = "System has not been booted with systemd as init system (PID 1). Can't operate.\n\
                   Failed to connect to bus: Host is down\n";
    tools.add("systemctl", &[(&system, 1, "", refused)]);
    let planned = tools.make(&service("{ systemd = \"api.service\" }"), restart()).unwrap();
    assert_eq!(blockers(&planned), ["unit api.service: systemctl cannot tell: Failed to connect to bus: Host is down"]);
}

#[test]
fn docker_containers() {
    let tools = Tools::new();
    let question = "container inspect --format {{json .State}} api";
    tools.add("docker", &[(question, 0, "{\"Status\":\"running\",\"ExitCode\":0}\n", "")]);
    for (work, argv) in [(restart(), "restart|api|"), (stop(), "stop|api|"), (start(), "start|api|")] {
        let planned = tools.make(&service("{ docker = \"api\" }"), work).unwrap();
        assert_eq!(blockers(&planned), [""; 0]);
        tools.calls("docker");
        assert_eq!(tools.execute(&planned.plan).0, 0);
        assert_eq!(tools.calls("docker"), [argv]);
    }
    // What docker 28.2 says without its daemon.
    let refused = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n";
    tools.add("docker", &[(question, 1, "\n", refused)]);
    let planned = tools.make(&service("{ docker = \"api\" }"), restart()).unwrap();
    assert!(blockers(&planned)[0].contains("Is the docker daemon running?"), "{:?}", blockers(&planned));
}

#[test]
fn compose_services() {
    let tools = Tools::new();
    let project = support::scratch();
    let file = project.path().join("prod.yml");
    std::fs::write(&file, "services: {}\n").unwrap();
    let (p, f) = (project.path().display().to_string(), file.display().to_string());
    let control = format!("{{ compose = {{ service = \"web\", project_dir = \"{p}\", file = \"{f}\" }} }}");
    let base = format!("compose -f {f} --project-directory {p}");
    let (services, all) = (format!("{base} config --services"), format!("{base} --profile * config --services"));
    tools.add("docker", &[("compose version --short", 0, "2.39.1\n", ""), (&services, 0, "db\nweb\n", "")]);
    let begin = format!("compose|-f|{f}|--project-directory|{p}|");
    for (work, tail) in [(restart(), "restart|web|"), (stop(), "stop|web|"), (start(), "up|-d|--no-recreate|web|")] {
        let planned = tools.make(&service(&control), work).unwrap();
        assert_eq!(blockers(&planned), [""; 0]);
        tools.calls("docker");
        assert_eq!(tools.execute(&planned.plan).0, 0);
        assert_eq!(tools.calls("docker"), [format!("{begin}{tail}")]);
    }
    // Behind a profile it is not listed, but known.
    let version = ("compose version --short", 0, "2.39.1\n", "");
    tools.add("docker", &[version, (&services, 0, "db\n", ""), (&all, 0, "db\nweb\n", "")]);
    let planned = tools.make(&service(&control), restart()).unwrap();
    assert_eq!(blockers(&planned), [""; 0]);
    assert!(planned.plan.preconditions.iter().any(|c| c.detail.contains("behind a profile")));
    // Not known at all.
    tools.add("docker", &[version, (&services, 0, "db\ncache\n", ""), (&all, 0, "db\ncache\n", "")]);
    let planned = tools.make(&service(&control), restart()).unwrap();
    assert_eq!(blockers(&planned), ["service web: the compose file has no such service; it has db, cache"]);
    // Without the plugin, docker 28.2 says this; the older program takes its place where there is one.
    let unknown = "docker: unknown command: docker compose\n\nRun 'docker --help' for more information\n";
    tools.add("docker", &[("compose version --short", 1, "", unknown)]);
    let planned = tools.make(&service(&control), restart()).unwrap();
    assert!(blockers(&planned)[0].contains("install docker-compose-plugin"), "{:?}", blockers(&planned));
    let older = services.replacen("compose ", "", 1);
    tools.add("docker-compose", &[(&older, 0, "web\n", "")]);
    let planned = tools.make(&service(&control), restart()).unwrap();
    assert_eq!(blockers(&planned), [""; 0]);
    tools.calls("docker-compose");
    tools.execute(&planned.plan);
    assert_eq!(tools.calls("docker-compose"), [format!("-f|{f}|--project-directory|{p}|restart|web|")]);
}

#[test]
fn kubernetes_workloads() {
    let tools = Tools::new();
    let control = "{ kubernetes = { workload = \"deployment/api\", namespace = \"shop\", context = \"prod\" } }";
    let (base, args) = ("--context prod -n shop", "--context|prod|-n|shop|");
    let get = format!("{base} get deployment/api -o json --request-timeout=6s");
    let can = format!("{base} auth can-i patch deployment/api");
    let can_scale = format!("{can} --subresource=scale");
    let answer = |replicas: u32, note: &str| {
        format!(
            "{{\"kind\":\"Deployment\",\"metadata\":{{\"name\":\"api\",\"annotations\":{{{note}}}}},\
             \"spec\":{{\"replicas\":{replicas}}},\"status\":{{\"readyReplicas\":{replicas}}}}}"
        )
    };
    let running = answer(3, "");
    tools.add("kubectl", &[(&get, 0, &running, ""), (&can, 0, "yes\n", ""), (&can_scale, 0, "yes\n", "")]);
    for (work, calls) in [
        (
            restart(),
            vec![
                format!("{args}rollout|restart|deployment/api|"),
                format!("{args}rollout|status|deployment/api|--timeout=590s|"),
            ],
        ),
        (
            stop(),
            vec![
                format!("{args}annotate|deployment/api|mayday/replicas=3|--overwrite|"),
                format!("{args}scale|deployment/api|--replicas=0|"),
            ],
        ),
    ] {
        let planned = tools.make(&service(control), work).unwrap();
        assert_eq!(blockers(&planned), [""; 0]);
        let asked = tools.calls("kubectl");
        assert!(asked.iter().all(|c| c.contains("get|") || c.contains("auth|can-i|")), "planning only asks: {asked:?}");
        assert_eq!(tools.execute(&planned.plan).0, 0);
        assert_eq!(tools.calls("kubectl"), calls);
    }
    // Stopped before: what it had is remembered on the workload.
    let stopped = answer(0, "\"mayday/replicas\":\"3\"");
    tools.add("kubectl", &[(&get, 0, &stopped, ""), (&can_scale, 0, "yes\n", "")]);
    let planned = tools.make(&service(control), start()).unwrap();
    assert_eq!(
        shown(&planned),
        [
            "kubectl --context prod -n shop scale deployment/api --replicas=3",
            "kubectl --context prod -n shop rollout status deployment/api --timeout=590s"
        ]
    );
    // Stopping what is stopped does not forget it.
    let planned = tools.make(&service(control), stop()).unwrap();
    assert_eq!(shown(&planned), ["kubectl --context prod -n shop scale deployment/api --replicas=0"]);
    // Refusals as kubectl 1.32 words them.
    for (exit, out, err, words) in [
        (1, "", "Error from server (NotFound): deployments.apps \"api\" not found\n", "NotFound"),
        (1, "", "error: context \"prod\" does not exist\n", "context \"prod\" does not exist"),
        (
            1,
            "",
            "The connection to the server localhost:8080 was refused - did you specify the right host or port?\n",
            "was refused",
        ),
    ] {
        tools.add("kubectl", &[(&get, exit, out, err)]);
        let planned = tools.make(&service(control), restart()).unwrap();
        assert!(blockers(&planned)[0].contains(words), "{:?}", blockers(&planned));
    }
    tools.add("kubectl", &[(&get, 0, &running, ""), (&can, 1, "no\n", "")]);
    let planned = tools.make(&service(control), restart()).unwrap();
    assert_eq!(blockers(&planned), ["permission: the cluster does not let this user patch deployment/api"]);
}

/// `railway restart --help` of version 4.61, shortened.
const HELP: &str = "Restart the latest deployment of a service (without rebuilding)\n\nUsage: railway restart [OPTIONS]\n\n\
                    Options:\n  -s, --service <SERVICE>\n  -e, --environment <ENVIRONMENT>\n  -y, --yes\n      --json\n";
const PROJECT: &str =
    r#"{"name":"shop","services":{"edges":[{"node":{"id":"s-1","name":"API"}},{"node":{"id":"s-2","name":"web"}}]}}"#;

#[test]
fn railway_services() {
    let tools = Tools::new();
    let project = support::scratch();
    let control = format!(
        "{{ railway = {{ service = \"api\", environment = \"production\", project_dir = \"{}\" }} }}",
        project.path().display()
    );
    tools.add("railway", &[("restart --help", 0, HELP, ""), ("status --json", 0, PROJECT, "")]);
    let planned = tools.make(&service(&control), restart()).unwrap();
    assert_eq!(blockers(&planned), [""; 0]);
    assert_eq!(tools.calls("railway"), ["restart|--help|", "status|--json|"]);
    let (code, status) = tools.execute(&planned.plan);
    assert_eq!((code, status.state), (0, RunState::Succeeded));
    assert_eq!(tools.calls("railway"), ["restart|--service|api|--environment|production|--yes|"]);

    // A "no" that exits with 0: nothing was restarted.
    let call = "restart --service api --environment production --yes";
    let no = "> Restart the latest deployment from service api in environment production? No\n";
    tools.add("railway", &[(call, 0, no, "")]);
    let (code, status) = tools.execute(&planned.plan);
    assert_eq!((code, status.state, status.exit), (1, RunState::Failed, Some(0)));
    assert!(status.detail.contains("answered no"), "{}", status.detail);

    // Stop and start are refused in words, not imitated.
    for work in [stop(), start()] {
        let refusal = tools.make(&service(&control), work).unwrap_err();
        assert!(refusal.reason.contains("Railway's client cannot"), "{refusal}");
        assert!(refusal.instead.contains("railway down"), "{refusal}");
    }
    // An older client, one that is not logged in, one whose project lacks the service.
    let old = HELP.replace("  -e, --environment <ENVIRONMENT>\n", "");
    for (answers, words) in [
        (vec![("restart --help", 0, old.as_str(), "")], "knows no --environment"),
        (vec![("restart --help", 2, "", "error: unrecognized subcommand 'restart'\n")], "has no restart"),
        (
            vec![
                ("restart --help", 0, HELP, ""),
                ("status --json", 1, "", "Unauthorized. Please login with `railway login`\n"),
            ],
            "Please login",
        ),
        (
            vec![("restart --help", 0, HELP, ""), ("status --json", 0, "{\"services\":{\"edges\":[]}}", "")],
            "no such service",
        ),
    ] {
        tools.add("railway", &answers);
        let planned = tools.make(&service(&control), restart()).unwrap();
        assert!(blockers(&planned).iter().any(|b| b.contains(words)), "{words}: {:?}", blockers(&planned));
    }
}

#[test]
fn own_commands_and_free_actions() {
    let tools = Tools::new();
    tools.add("ctl", &[]);
    let control = "{ stop = [\"ctl\", \"stop now\"], start = [\"ctl\", \"start\"], env = { MODE = \"blue\" } }";
    let planned = tools.make(&service(control), restart()).unwrap();
    assert_eq!(shown(&planned), ["MODE=blue ctl 'stop now'", "MODE=blue ctl start"], "stop, then start");
    assert_eq!(tools.execute(&planned.plan).0, 0);
    assert_eq!(tools.calls("ctl"), ["stop now|", "start|"]);
    let refusal = tools.make(&service("{ restart = [\"ctl\"] }"), stop()).unwrap_err();
    assert!(refusal.reason.contains("api is stopped") && refusal.instead.contains("stop ="), "{refusal}");

    // A program that does not exist is found while planning, not at the end.
    let planned = tools.make(&service("{ restart = [\"no-such-ctl\", \"x\"] }"), restart()).unwrap();
    assert_eq!(blockers(&planned).len(), 1);
    assert!(blockers(&planned)[0].contains("no-such-ctl is not in PATH"), "{:?}", blockers(&planned));
    std::fs::write(tools.path().join("plain"), "no program").unwrap();
    let control = format!("{{ restart = [\"./plain\"], cwd = \"{}\" }}", tools.path().display());
    let planned = tools.make(&service(&control), restart()).unwrap();
    assert!(blockers(&planned)[0].contains("may not execute it"), "{:?}", blockers(&planned));
    let planned = tools.make(&service("{ restart = [\"ctl\"], cwd = \"/nowhere\" }"), restart()).unwrap();
    assert!(blockers(&planned).iter().any(|b| b.starts_with("working folder: /nowhere")), "{:?}", blockers(&planned));

    let action = "[[action]]\nname = \"warm-cache\"\ndoc = \"Fills the cache.\"\nrisk = \"observe\"\n\
                  run = [\"ctl\", \"warm\", \"--now\"]\nenv = { TOKEN = { env = \"CTL_TOKEN\" } }\n\
                  timeout = \"2m\"\nverify = { exec = { run = [\"true\"] } }\nverify_within = \"5s\"\n";
    let planned = tools.make(action, Work::Act { action: "warm-cache".into() }).unwrap();
    assert_eq!(shown(&planned), ["TOKEN=*** ctl warm --now"]);
    assert_eq!((planned.plan.risk, planned.plan.target.as_str()), (Risk::Observe, "warm-cache"));
    assert!(planned.plan.holds.is_empty(), "looking keeps nobody from acting");
    assert_eq!(planned.plan.secrets, ["env.TOKEN"]);
    assert_eq!(planned.plan.after.as_ref().map(|a| a.within_ms), Some(5000));
    assert_eq!(planned.plan.effects[0], "Fills the cache in production of shop");
    let unknown = tools.make(action, Work::Act { action: "warm".into() }).unwrap_err();
    assert!(unknown.usage && unknown.instead.contains("warm-cache"), "{unknown}");
}

#[test]
fn a_plan_says_whom_it_concerns_and_how_it_is_confirmed() {
    let tools = Tools::new();
    tools.add("ctl", &[]);
    let control = "{ restart = [\"ctl\"], stop = [\"ctl\", \"-s\"], start = [\"ctl\", \"-u\"] }";
    let toml = format!(
        "{}rto = \"10m\"\n[[service]]\nname = \"web\"\ndepends_on = [\"api\"]\n\
         [[service]]\nname = \"worker\"\ndepends_on = [\"web\"]\n",
        service(control)
    );
    let planned = tools.make(&toml, restart()).unwrap();
    let plan = &planned.plan;
    assert_eq!(plan.effects[0], "restarts api by its own commands in production of shop");
    assert_eq!(plan.effects[1], "2 services depend on it: web, worker");
    assert_eq!(
        (plan.risk, plan.target.as_str(), plan.holds.as_slice()),
        (Risk::Disruptive, "api", &["service api".to_owned()][..])
    );
    assert_eq!(plan.title, "restart api");
    assert_eq!(tools.make(&toml, stop()).unwrap().plan.risk, Risk::Destructive, "its name is typed");
    assert!(plan.preconditions.iter().all(|p| p.result == Checked::Passed), "{:?}", plan.preconditions);
    assert!(plan.timeout_ms > 300_000);
    // The digest stands for the very plan.
    let mut other = plan.clone();
    assert_eq!(plan::digest(plan).len(), 16);
    assert_eq!(plan::digest(plan), plan::digest(&serde_json::from_str(&serde_json::to_string(plan).unwrap()).unwrap()));
    other.timeout_ms += 1;
    assert_ne!(plan::digest(plan), plan::digest(&other));
    let refusal = tools.make(&toml, Work::Restart { service: "aip".into() }).unwrap_err();
    assert!(refusal.usage && refusal.instead.contains("api"), "{refusal}");
    let refusal = tools.make(&toml, Work::Restart { service: "web".into() }).unwrap_err();
    assert!(refusal.reason.contains("not configured how web"), "{refusal}");
}
