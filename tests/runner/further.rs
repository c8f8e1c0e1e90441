//! Redeploying, scaling, promoting and reading logs on platforms that cannot run here: what their tools are asked, seen by
//! programs that record it and answer from samples. What a vendor's tool accepts is not proven by this.

use mayday::domain::run::{Risk, Work};

use super::acts::{Tools, blockers, service, shown};

fn redeploy() -> Work {
    Work::Redeploy { service: "api".into() }
}

fn scale(replicas: u32) -> Work {
    Work::Scale { service: "api".into(), replicas }
}

fn logs(lines: u32) -> Work {
    Work::Logs { service: "api".into(), lines }
}

fn promote() -> Work {
    Work::Promote { service: "api".into() }
}

#[test]
fn kubernetes_is_asked_before_it_is_told() {
    let tools = Tools::new();
    let control = service("{ kubernetes = { workload = \"deployment/api\", namespace = \"shop\" } }");
    let get = "-n shop get deployment/api -o json --request-timeout=6s";
    let can = "-n shop auth can-i patch deployment/api";
    let can_scale = "-n shop auth can-i patch deployment/api --subresource=scale";
    let running =
        r#"{"kind":"Deployment","metadata":{"name":"api"},"spec":{"replicas":2},"status":{"readyReplicas":1}}"#;
    tools.add("kubectl", &[(get, 0, running, ""), (can, 0, "yes\n", ""), (can_scale, 0, "yes\n", "")]);
    for (work, asks, calls) in [
        (
            redeploy(),
            "-n|shop|auth|can-i|patch|deployment/api|",
            ["-n|shop|rollout|restart|deployment/api|", "-n|shop|rollout|status|deployment/api|--timeout=590s|"],
        ),
        (
            scale(4),
            "-n|shop|auth|can-i|patch|deployment/api|--subresource=scale|",
            ["-n|shop|scale|deployment/api|--replicas=4|", "-n|shop|rollout|status|deployment/api|--timeout=590s|"],
        ),
    ] {
        let planned = tools.make(&control, work).unwrap();
        assert_eq!(blockers(&planned), [""; 0]);
        assert_eq!(tools.calls("kubectl"), ["-n|shop|get|deployment/api|-o|json|--request-timeout=6s|", asks]);
        assert!(
            planned.plan.preconditions.iter().any(|p| p.detail == "1 of 2 ready"),
            "{:?}",
            planned.plan.preconditions
        );
        assert_eq!(tools.execute(&planned.plan).0, 0);
        assert_eq!(tools.calls("kubectl"), calls);
    }
    // May roll out, may not scale.
    tools.add("kubectl", &[(get, 0, running, ""), (can, 0, "yes\n", ""), (can_scale, 1, "no\n", "")]);
    let planned = tools.make(&control, scale(4)).unwrap();
    assert_eq!(blockers(&planned), ["permission: the cluster does not let this user patch deployment/api"]);
    let planned = tools.make(&control, logs(50)).unwrap();
    assert_eq!(
        shown(&planned),
        ["kubectl -n shop logs deployment/api --tail=50 --all-containers=true --prefix=true --timestamps=true"]
    );
    assert!(planned.plan.holds.is_empty() && planned.plan.risk == Risk::Observe, "looking keeps nobody from acting");
    let daemons = service("{ kubernetes = { workload = \"ds/api\" } }");
    assert!(tools.make(&daemons, scale(2)).unwrap_err().reason.contains("no replicas"));
    assert!(tools.make(&control, promote()).unwrap_err().instead.contains("[[action]]"));
    assert!(tools.make(&control, scale(0)).unwrap_err().instead.contains("mayday stop api"));
}

#[test]
fn compose_makes_it_anew_without_what_it_depends_on() {
    let tools = Tools::new();
    let control = service("{ compose = { service = \"web\" } }");
    let (services, running) = ("compose config --services", "compose ps --services --status running");
    let all = "compose --profile * config --services";
    tools.add(
        "docker",
        &[
            ("compose version --short", 0, "2.30.3\n", ""),
            (services, 0, "web\ndb\n", ""),
            (all, 0, "web\ndb\n", ""),
            (running, 0, "web\n", ""),
        ],
    );
    for (work, wanted) in [
        (redeploy(), vec!["docker compose pull web", "docker compose up -d --no-deps --force-recreate web"]),
        (scale(3), vec!["docker compose up -d --no-deps --no-recreate --scale web=3 web"]),
        (logs(10), vec!["docker compose logs --no-color --timestamps --tail 10 web"]),
    ] {
        let planned = tools.make(&control, work).unwrap();
        assert_eq!((blockers(&planned), shown(&planned)), (vec![], wanted.iter().map(|s| (*s).to_owned()).collect()));
        tools.calls("docker");
        assert_eq!(tools.execute(&planned.plan).0, 0);
        let calls = wanted.iter().map(|c| c.trim_start_matches("docker ").replace(' ', "|") + "|").collect::<Vec<_>>();
        assert_eq!(tools.calls("docker"), calls);
    }
}

#[test]
fn docker_and_systemd_have_a_log_and_say_what_they_lack() {
    let tools = Tools::new();
    tools.add("docker", &[]).add("journalctl", &[]);
    let docker = service("{ docker = \"api-1\" }");
    let planned = tools.make(&docker, logs(20)).unwrap();
    assert_eq!(shown(&planned), ["docker logs --timestamps --tail 20 api-1"]);
    assert!(tools.make(&docker, redeploy()).unwrap_err().instead.contains("how the container was made"));
    for (user, which) in [("", "--unit"), (", user = true", "--user-unit")] {
        let unit = service(&format!("{{ systemd = \"api.service\"{user} }}"));
        let planned = tools.make(&unit, logs(1_000_000)).unwrap();
        let wanted = format!("journalctl {which} api.service --lines 10000 --no-pager --output short-iso");
        assert_eq!(shown(&planned), [wanted]);
        assert!(tools.make(&unit, redeploy()).unwrap_err().instead.contains("restart it"));
        assert!(tools.make(&unit, scale(2)).unwrap_err().reason.contains("cannot scale"));
    }
}

/// `railway redeploy --help` and `railway logs --help` of version 4.61, shortened.
const REDEPLOY: &str =
    "Redeploy the latest deployment of a service\n\nOptions:\n  -s, --service <SERVICE>\n  -y, --yes\n";
const LOGS: &str = "View build or deploy logs\n\nOptions:\n  -s, --service <SERVICE>\n  -e, --environment <ENVIRONMENT>\n  -n, --lines <LINES>\n";

#[test]
fn railway_is_asked_what_this_client_knows() {
    let tools = Tools::new();
    tools.add("railway", &[("redeploy --help", 0, REDEPLOY, ""), ("logs --help", 0, LOGS, "")]);
    let control = service("{ railway = { service = \"api\" } }");
    let planned = tools.make(&control, redeploy()).unwrap();
    assert_eq!(
        (blockers(&planned), shown(&planned)),
        (vec![], vec!["railway redeploy --service api --yes".to_owned()])
    );
    // Its "no" exits with 0.
    let no = "> Redeploy the latest deployment from service api? No\n";
    tools.add("railway", &[("redeploy --service api --yes", 0, no, "")]);
    let (code, status) = tools.execute(&planned.plan);
    assert!(code == 1 && status.detail.contains("answered no"), "{}", status.detail);

    tools.add("railway", &[("redeploy --help", 0, REDEPLOY, ""), ("logs --help", 0, LOGS, "")]);
    let placed = service("{ railway = { service = \"api\", environment = \"production\" } }");
    let planned = tools.make(&placed, redeploy()).unwrap();
    assert_eq!(blockers(&planned), ["railway redeploy: this client's knows no --environment: update it"]);
    let planned = tools.make(&placed, logs(30)).unwrap();
    let wanted = "railway logs --service api --environment production --lines 30".to_owned();
    assert_eq!((blockers(&planned), shown(&planned)), (vec![], vec![wanted]));
    assert!(tools.make(&control, scale(2)).unwrap_err().instead.contains("counted by region"));
    tools.add("railway", &[("logs --help", 2, "", "error: unrecognized subcommand\n")]);
    assert!(blockers(&tools.make(&control, logs(1)).unwrap())[0].contains("update it"));
}

#[test]
fn own_commands_get_the_number() {
    let tools = Tools::new();
    tools.add("ctl", &[]);
    let control = service(
        "{ redeploy = [\"ctl\", \"ship\"], scale = [\"ctl\", \"to={replicas}\"], promote = [\"ctl\", \"lead\"], logs = [\"ctl\", \"{lines}\"] }",
    );
    for (work, call, risk) in [
        (redeploy(), "ship|", Risk::Disruptive),
        (scale(7), "to=7|", Risk::Disruptive),
        (promote(), "lead|", Risk::Destructive),
        (logs(5), "5|", Risk::Observe),
    ] {
        let planned = tools.make(&control, work).unwrap();
        assert_eq!((blockers(&planned), planned.plan.risk), (vec![], risk));
        assert_eq!(tools.execute(&planned.plan).0, 0);
        assert_eq!(tools.calls("ctl"), [call]);
    }
    let none = tools.make(&service("{ restart = [\"ctl\"] }"), promote()).unwrap_err();
    assert!(none.instead.contains("promote = "), "{none}");
}
