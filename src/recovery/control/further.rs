//! Redeploying, scaling, promoting and reading logs, where a platform can:
//!
//! * systemd: `journalctl --unit`; systemd 252.
//! * docker: `docker logs`; how a container was made is not known to it, so it is not deployed again. Docker 28.2.
//! * Compose: `pull` and `up -d --no-deps --force-recreate`; `up -d --no-recreate --scale`; `logs`. Compose 2.
//! * Kubernetes: `rollout restart`, `scale --replicas`, `logs`; kubectl 1.32.
//! * Railway: `redeploy --yes`, `logs --lines` (since 4.9; before that it never ends). Its instances are counted by
//!   region, which its client asks for: they are not changed here.
//! * Commands of one's own, with `{replicas}` and `{lines}` in their arguments.
//!
//! Promoting is only done by a command of one's own: no platform here knows which of two servers takes writes.

use std::path::Path;
use std::time::Duration;

use super::{LOCAL, REMOTE, Verb, compose, kubernetes, look_after};
use crate::config::{CommandControl, Control};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, Work};
use crate::recovery::plan::draft::{Command, Draft, service};
use crate::recovery::plan::look::{self, failed, passed, said};
use crate::recovery::plan::{PlanContext, Planned};

/// Log lines that are asked for at most: what a run's output keeps whole.
const LINES: u32 = 10_000;
/// Time for reading a log.
const READING: Duration = Duration::from_secs(60);

pub async fn plan(ctx: &PlanContext, work: &Work) -> Result<Planned, Refusal> {
    let service = service(ctx, work.object())?;
    let name = service.name.as_str();
    let Some(control) = &service.control else {
        return Err(Refusal::new(
            format!("it is not configured how {name} is to be reached for {}", work.verb()),
            "add `control` to the service: systemd, docker, compose, kubernetes, railway, or commands of your own",
        ));
    };
    if let Work::Scale { replicas: 0, .. } = work {
        return Err(Refusal::usage(
            format!("scaling {name} to 0 is stopping it"),
            format!("mayday stop {name}, which start takes back"),
        ));
    }
    let risk = match work {
        Work::Logs { .. } => Risk::Observe,
        Work::Promote { .. } => Risk::Destructive,
        _ => Risk::Disruptive,
    };
    let mut draft = Draft::new(ctx, work, Some(service), risk);
    match control {
        Control::Commands(commands) => of_commands(&mut draft, work, name, commands).await?,
        _ if matches!(work, Work::Promote { .. }) => return Err(cannot(work, control, name)),
        Control::Systemd { unit, user } => {
            let Work::Logs { lines, .. } = work else { return Err(cannot(work, control, name)) };
            draft.tool("journalctl", "systemd");
            let which = if *user { "--user-unit" } else { "--unit" };
            let lines = count(*lines);
            let argv = ["journalctl", which, unit, "--lines", &lines, "--no-pager", "--output", "short-iso"];
            draft.phase("read the log", Command::new(argv, READING));
        }
        Control::Docker { container } => {
            let Work::Logs { lines, .. } = work else { return Err(cannot(work, control, name)) };
            draft.tool("docker", "docker-ce-cli (or docker.io)");
            let argv = ["docker", "logs", "--timestamps", "--tail", &count(*lines), container];
            draft.phase("read the log", Command::new(argv, READING));
        }
        Control::Compose { project_dir, file, service } => {
            of_compose(&mut draft, work, project_dir.as_deref(), file.as_deref(), service).await;
        }
        Control::Kubernetes { namespace, context, workload } => {
            let base = kubernetes::base(namespace.as_deref(), context.as_deref());
            of_kubernetes(&mut draft, work, &base, workload).await?;
        }
        Control::Railway { service, environment, project_dir } => {
            if matches!(work, Work::Scale { .. }) {
                return Err(cannot(work, control, name));
            }
            of_railway(&mut draft, work, service, environment.as_deref(), project_dir.as_deref()).await;
        }
    }
    if changes(work) {
        look_after(&mut draft, Verb::Restart, service, None);
    } else {
        // Looking is in nobody's way.
        draft.plan.holds.clear();
    }
    Ok(draft.finish())
}

fn count(lines: u32) -> String {
    lines.clamp(1, LINES).to_string()
}

fn cannot(work: &Work, control: &Control, service: &str) -> Refusal {
    let verb = work.verb();
    let instead = match (work, control) {
        (Work::Promote { .. }, _) => "only a command of your own can: write an [[action]] for it",
        (Work::Redeploy { .. }, Control::Systemd { .. }) => "a unit runs what is installed: restart it",
        (Work::Redeploy { .. }, _) => "docker does not know how the container was made: use compose, or an [[action]]",
        (Work::Scale { .. }, Control::Railway { .. }) => "its instances are counted by region: use the dashboard",
        _ => "write an [[action]] for it",
    };
    Refusal::new(format!("{} cannot {verb} {service}", control.word()), instead)
}

async fn of_commands(
    draft: &mut Draft<'_>,
    work: &Work,
    service: &str,
    control: &CommandControl,
) -> Result<(), Refusal> {
    let (key, argv, place, value) = match work {
        Work::Redeploy { .. } => ("redeploy", &control.redeploy, "", String::new()),
        Work::Scale { replicas, .. } => ("scale", &control.scale, "{replicas}", replicas.to_string()),
        Work::Promote { .. } => ("promote", &control.promote, "", String::new()),
        Work::Logs { lines, .. } => ("logs", &control.logs, "{lines}", count(*lines)),
        _ => ("", &None, "", String::new()),
    };
    let Some(argv) = argv else {
        return Err(Refusal::new(
            format!("no command is configured by which {service} is reached for {}", work.verb()),
            format!("add `{key} = [\"…\"]` to its `control`"),
        ));
    };
    let argv: Vec<String> = match place {
        "" => argv.clone(),
        place => argv.iter().map(|a| a.replace(place, &value)).collect(),
    };
    if changes(work) {
        draft.effects(&format!("{}: {service} by its own command", what(work)));
    }
    if let Some(dir) = &control.cwd {
        draft.look(look::folder("working folder", dir).await);
    }
    let mut command = Command::new(argv.iter().cloned(), control.timeout.unwrap_or(LOCAL));
    command.cwd.clone_from(&control.cwd);
    command.env.clone_from(&control.env);
    draft.look(draft.tools().program(&argv, control.cwd.as_deref(), &command.plain_env()).await);
    draft.phase(&format!("{key} {service}"), command);
    Ok(())
}

/// It changes something.
fn changes(work: &Work) -> bool {
    !matches!(work, Work::Logs { .. })
}

/// `redeploys`, `scales to 3`, `promotes`.
fn what(work: &Work) -> String {
    match work {
        Work::Scale { replicas, .. } => format!("scales to {replicas}"),
        other => format!("{}s", other.verb()),
    }
}

async fn of_compose(
    draft: &mut Draft<'_>,
    work: &Work,
    project_dir: Option<&Path>,
    file: Option<&Path>,
    service: &str,
) {
    if changes(work) {
        draft.effects(&format!("{}: Compose service {service}", what(work)));
    }
    let base = compose::base(draft, project_dir, file, service).await;
    let command = |tail: &[&str], limit: Duration| {
        let argv = base.iter().cloned().chain(tail.iter().map(|a| (*a).to_owned()));
        Command::new(argv, limit).in_folder(project_dir)
    };
    match work {
        Work::Redeploy { .. } => {
            draft.phase("fetch the image", command(&["pull", service], REMOTE));
            let up = ["up", "-d", "--no-deps", "--force-recreate", service];
            draft.phase(&format!("make {service} anew"), command(&up, LOCAL));
        }
        Work::Scale { replicas, .. } => {
            let scale = format!("{service}={replicas}");
            let up = ["up", "-d", "--no-deps", "--no-recreate", "--scale", &scale, service];
            draft.phase(&format!("scale {service} to {replicas}"), command(&up, LOCAL));
        }
        Work::Logs { lines, .. } => {
            let logs = ["logs", "--no-color", "--timestamps", "--tail", &count(*lines), service];
            draft.phase("read the log", command(&logs, READING));
        }
        _ => {}
    }
}

async fn of_kubernetes(draft: &mut Draft<'_>, work: &Work, base: &[String], workload: &str) -> Result<(), Refusal> {
    // A daemon set has a log and a rollout, and no number of replicas.
    let verb = if matches!(work, Work::Scale { .. }) { Verb::Start } else { Verb::Restart };
    let workload = kubernetes::named(workload, verb)?;
    if changes(work) {
        draft.effects(&format!("{}: {workload}", what(work)));
        kubernetes::standing(draft, base, &workload, verb).await;
    } else {
        draft.tool("kubectl", "kubectl");
    }
    let command = |tail: &[&str], limit: Duration| {
        Command::new(base.iter().cloned().chain(tail.iter().map(|a| (*a).to_owned())), limit)
    };
    let limit = format!("--timeout={}s", REMOTE.as_secs() - 10);
    match work {
        Work::Logs { lines, .. } => {
            let tail = format!("--tail={}", count(*lines));
            let logs = ["logs", &workload, &tail, "--all-containers=true", "--prefix=true", "--timestamps=true"];
            draft.phase("read the log", command(&logs, READING));
            return Ok(());
        }
        Work::Scale { replicas, .. } => {
            let replicas = format!("--replicas={replicas}");
            draft.phase("scale", command(&["scale", &workload, &replicas], REMOTE));
        }
        _ => draft.phase("roll out anew", command(&["rollout", "restart", &workload], REMOTE)),
    }
    draft.phase("wait for the rollout", command(&["rollout", "status", &workload, &limit], REMOTE));
    Ok(())
}

async fn of_railway(
    draft: &mut Draft<'_>,
    work: &Work,
    service: &str,
    environment: Option<&str>,
    project_dir: Option<&Path>,
) {
    let logs = matches!(work, Work::Logs { .. });
    let verb = if logs { "logs" } else { "redeploy" };
    if !logs {
        draft.effects(&format!("redeploys: Railway service {service}, its latest deployment"));
    }
    if let Some(dir) = project_dir {
        draft.look(look::folder("project folder", dir).await);
    }
    if draft.tool("railway", "the Railway CLI (npm i -g @railway/cli)") {
        let answer = draft.tools().ask(&["railway", verb, "--help"].map(str::to_owned), None).await;
        let help = answer.stdout.text();
        let wanted = if logs { "--lines" } else { "--yes" };
        let name = format!("railway {verb}");
        let missing =
            [Some(wanted), environment.map(|_| "--environment")].into_iter().flatten().find(|f| !help.contains(f));
        draft.look(match missing {
            _ if !answer.success() => failed(name, format!("this client has none: update it ({})", said(&answer))),
            Some(flag) => failed(name, format!("this client's knows no {flag}: update it")),
            None => passed(name, "this client has what is needed"),
        });
    }
    let mut argv = vec!["railway".to_owned(), verb.to_owned(), "--service".to_owned(), service.to_owned()];
    if let Some(environment) = environment {
        argv.extend(["--environment".to_owned(), environment.to_owned()]);
    }
    match work {
        Work::Logs { lines, .. } => argv.extend(["--lines".to_owned(), count(*lines)]),
        _ => argv.push("--yes".to_owned()),
    }
    let limit = if logs { READING } else { REMOTE };
    let mut command = Command::new(argv, limit).in_folder(project_dir);
    if !logs {
        command.refused_if = super::railway::REFUSED.map(str::to_owned).to_vec();
    }
    draft.phase(&format!("{verb} {service}"), command);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The commands of a plan, or why there is none. No tool is found: the commands stand in the plan all the same.
    fn commands(control: &str, work: Work) -> Result<(Risk, Vec<String>), String> {
        let text = format!(
            "[system]\nname = \"shop\"\nenvironment = \"staging\"\n[[service]]\nname = \"api\"\ncontrol = {control}\n"
        );
        let config = crate::config::parse(&text, "mayday.toml".as_ref()).unwrap_or_else(|f| panic!("{f:#?}"));
        let ctx = PlanContext {
            config: Arc::new(config),
            run_id: "r1".into(),
            tool_path: Some("/nowhere".into()),
            ..PlanContext::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let planned = runtime.block_on(super::super::plan(&ctx, &work)).map_err(|refusal| refusal.to_string())?;
        assert_eq!(planned.plan.holds.is_empty(), matches!(work, Work::Logs { .. }), "looking holds nothing");
        Ok((planned.plan.risk, planned.plan.phases.iter().flat_map(|p| p.step.shown()).collect()))
    }

    fn redeploy() -> Work {
        Work::Redeploy { service: "api".into() }
    }

    fn scale(replicas: u32) -> Work {
        Work::Scale { service: "api".into(), replicas }
    }

    fn promote() -> Work {
        Work::Promote { service: "api".into() }
    }

    fn logs() -> Work {
        Work::Logs { service: "api".into(), lines: 50 }
    }

    #[test]
    fn each_platform_by_its_own_command_line() {
        let compose = r#"{ compose = { service = "api" } }"#;
        let kubernetes = r#"{ kubernetes = { workload = "sts/api", namespace = "shop", context = "prod" } }"#;
        let railway = r#"{ railway = { service = "api", environment = "live" } }"#;
        let own = r#"{ redeploy = ["deploy", "it"], scale = ["scale", "--to={replicas}"], promote = ["promote"], logs = ["tail", "-n", "{lines}", "log"] }"#;
        for (control, work, risk, wanted) in [
            (
                r#"{ systemd = "api.service" }"#,
                logs(),
                Risk::Observe,
                "journalctl --unit api.service --lines 50 --no-pager --output short-iso",
            ),
            (
                r#"{ systemd = "api.service", user = true }"#,
                logs(),
                Risk::Observe,
                "journalctl --user-unit api.service --lines 50 --no-pager --output short-iso",
            ),
            (r#"{ docker = "api-1" }"#, logs(), Risk::Observe, "docker logs --timestamps --tail 50 api-1"),
            (
                compose,
                redeploy(),
                Risk::Disruptive,
                "docker compose pull api|docker compose up -d --no-deps --force-recreate api",
            ),
            (compose, scale(3), Risk::Disruptive, "docker compose up -d --no-deps --no-recreate --scale api=3 api"),
            (compose, logs(), Risk::Observe, "docker compose logs --no-color --timestamps --tail 50 api"),
            (
                kubernetes,
                redeploy(),
                Risk::Disruptive,
                "kubectl --context prod -n shop rollout restart sts/api|kubectl --context prod -n shop rollout status sts/api --timeout=590s",
            ),
            (
                kubernetes,
                scale(3),
                Risk::Disruptive,
                "kubectl --context prod -n shop scale sts/api --replicas=3|kubectl --context prod -n shop rollout status sts/api --timeout=590s",
            ),
            (
                kubernetes,
                logs(),
                Risk::Observe,
                "kubectl --context prod -n shop logs sts/api --tail=50 --all-containers=true --prefix=true --timestamps=true",
            ),
            (railway, redeploy(), Risk::Disruptive, "railway redeploy --service api --environment live --yes"),
            (railway, logs(), Risk::Observe, "railway logs --service api --environment live --lines 50"),
            (own, redeploy(), Risk::Disruptive, "deploy it"),
            (own, scale(12), Risk::Disruptive, "scale --to=12"),
            (own, promote(), Risk::Destructive, "promote"),
            (own, logs(), Risk::Observe, "tail -n 50 log"),
        ] {
            let (found, lines) =
                commands(control, work.clone()).unwrap_or_else(|why| panic!("{control} {work:?}: {why}"));
            assert_eq!((found, lines.join("|").as_str()), (risk, wanted), "{control}");
        }
    }

    #[test]
    fn what_a_platform_cannot_is_said_with_what_to_do() {
        for (control, work, words) in [
            (r#"{ systemd = "api.service" }"#, redeploy(), "restart it"),
            (r#"{ systemd = "api.service" }"#, scale(2), "[[action]]"),
            (r#"{ docker = "api-1" }"#, redeploy(), "use compose"),
            (r#"{ docker = "api-1" }"#, promote(), "a command of your own"),
            (r#"{ kubernetes = { workload = "ds/api" } }"#, scale(2), "no replicas"),
            (r#"{ railway = { service = "api" } }"#, scale(2), "dashboard"),
            (r#"{ restart = ["true"] }"#, logs(), "add `logs"),
            (r#"{ restart = ["true"] }"#, scale(0), "mayday stop api"),
        ] {
            let why = commands(control, work.clone()).unwrap_err();
            assert!(why.contains(words), "{control} {work:?}: {why}");
        }
    }
}
