//! Head starts through the real binary and a real PostgreSQL: begun by declaring, used by one key, dropped, withheld, with
//! the engine killed at any moment; and what follows a cut-over.

mod support;

use serde_json::Value;
use support::{Cockpit, PATIENCE, Postgres, wait_until};

struct Shop {
    cockpit: Cockpit,
    server: Postgres,
}

impl std::ops::Deref for Shop {
    type Target = Cockpit;
    fn deref(&self) -> &Cockpit {
        &self.cockpit
    }
}

/// A shop with `rows` rows in its database and a good copy of them; what is live was spoiled since.
fn shop(head_start: &str, more: &str, rows: u32) -> Shop {
    let server = Postgres::start();
    server.create_db("live");
    shop_on(server, head_start, more, rows)
}

fn shop_on(server: Postgres, head_start: &str, more: &str, rows: u32) -> Shop {
    let rows = format!("create table t as select g as id, 'copy' as source from generate_series(1, {rows}) g");
    server.psql("live", &rows);
    let cockpit = Cockpit::new(&(config(&server, head_start) + more));
    std::fs::create_dir(cockpit.path("backups")).unwrap();
    let mut dump = server.tool("pg_dump");
    dump.args(["-Fc", "-d", "live", "-f"]).arg(cockpit.path("backups/live.dump"));
    assert!(dump.status().unwrap().success());
    server.psql("live", "update t set source = 'corrupt'");
    cockpit.start();
    wait_until("the copy is listed", PATIENCE, || {
        cockpit.run(&["backups", "copies", "full"]).out.contains("live.dump")
    });
    Shop { cockpit, server }
}

fn config(server: &Postgres, head_start: &str) -> String {
    format!(
        "[system]\nname = \"shop\"\n[[service]]\nname = \"db\"\ntier = 1\ncontrol = {{ restart = [\"sh\", \"-c\", \"echo once >> HOME/restarted\"] }}\n[[service]]\nname = \"web\"\n\
         [[service.postgres]]\ndsn = \"{dsn}\"\nevery = \"1s\"\ntimeout = \"900ms\"\n\
         [[backup]]\nname = \"full\"\nservice = \"db\"\nrpo = \"26h\"\n{head_start}\n\
         files = {{ path = \"HOME/backups\", pattern = \"*.dump\", settle = \"10ms\" }}\n\
         [backup.restore.postgres_dump]\ndatabase = \"live\"\ndsn = \"{dsn}\"\n\
         verify = [\"select count(*) > 0 from t\"]\ngrace = \"200ms\"\n",
        dsn = server.dsn("live"),
    )
}

/// The head start of the open incident, as scripts see it.
fn head(shop: &Cockpit) -> Value {
    let status = shop.run(&["status", "--json"]).json();
    status["incidents"][0]["leading"]["head_starts"][0].clone()
}

#[track_caller]
fn until(shop: &Cockpit, standing: &str) -> Value {
    let mut last = Value::Null;
    wait_until(&format!("the head start is {standing}"), PATIENCE, || {
        last = head(shop);
        last["standing"] == standing
    });
    last
}

fn declare(shop: &Cockpit, service: &str, severity: &str) -> String {
    shop.run(&["incident", "declare", "data is wrong", "--severity", severity, "--service", service]).ok().line()
}

fn requests(shop: &Cockpit) -> Vec<Value> {
    shop.entries().into_iter().filter(|e| e["kind"] == "run.requested").collect()
}

fn sides(shop: &Shop) -> String {
    shop.server.psql("postgres", "select count(*) from pg_database where datname like 'live\\_\\_restore%'")
}

#[test]
fn declaring_begins_it_and_deciding_for_it_costs_only_the_cut_over() {
    let shop = shop("head_start = {}", "", 500);
    declare(&shop, "web", "P0");
    declare(&shop, "db", "P1");
    wait_until("one is ready", PATIENCE, || {
        let status = shop.run(&["status", "--json"]).json();
        let all = status["incidents"].as_array().unwrap().clone();
        all.iter().any(|i| i["leading"]["head_starts"][0]["standing"] == "ready")
    });
    // Only for the incident that names the database, by the engine, at the lowest priority and with one job.
    let requests = requests(&shop);
    let [request] = requests.as_slice() else { panic!("{requests:#?}") };
    assert_eq!((&request["payload"]["head_start"], &request["actor"]["user"]), (&true.into(), &"engine".into()));
    assert_eq!(request["payload"]["plan"]["gentle"], true, "{request:#}");
    let job = &request["payload"]["plan"]["phases"].to_string();
    assert!(job.contains("\"jobs\":1"), "{job}");
    assert_eq!(shop.server.psql("live", "select source from t where id = 1"), "corrupt", "the live side is as it was");
    let said = shop.run(&["status"]).out;
    assert!(said.contains("head start of full ready to cut over") && said.contains("--cut-over"), "{said}");
    let plan = shop.run(&["restore", "full", "--plan"]).ok().out;
    assert!(plan.contains("restored already") && plan.contains("head start"), "{plan}");
    shop.run(&["restore", "full", "--cut-over", "--confirm", "live", "--wait"]).ok();
    assert_eq!(shop.server.psql("live", "select source from t where id = 1"), "copy");
    shop.verify();
}

#[test]
fn deciding_against_it_drops_it_and_the_end_of_the_incident_does() {
    let shop = shop("head_start = { drop = true }", "", 500);
    let id = declare(&shop, "db", "P0");
    until(&shop, "ready");
    shop.run(&["restore", "full", "--drop", "--yes", "--wait"]).ok();
    assert_eq!((head(&shop)["standing"].as_str(), sides(&shop).as_str()), (Some("dropped"), "0"));
    // It is not begun again for the same incident.
    shop.run(&["note", "later"]).ok();
    shop.run(&["incident", "resolve", "--incident", &id, "--force", "--reason", "moved"]).ok();
    shop.run(&["incident", "close", "--incident", &id]).ok();
    let second = declare(&shop, "db", "P0");
    until(&shop, "ready");
    assert_eq!(sides(&shop), "1");
    shop.run(&["incident", "resolve", "--incident", &second, "--force", "--reason", "moved"]).ok();
    shop.run(&["incident", "close", "--incident", &second]).ok();
    wait_until("the copy is dropped by itself", PATIENCE, || sides(&shop) == "0");
    assert_eq!(shop.server.psql("live", "select source from t where id = 1"), "corrupt");
}

#[test]
fn it_is_withheld_with_the_reason_and_not_for_other_severities() {
    let shop = shop("head_start = { severities = \"P0\" }", "", 500);
    shop.run(&["tag", "db", "disk is being changed"]).ok();
    declare(&shop, "db", "P1");
    assert_eq!(head(&shop), Value::Null);
    shop.run(&["incident", "severity", "P0", "--reason", "worse"]).ok();
    let head = until(&shop, "withheld");
    assert!(head["why"].as_str().unwrap().contains("disk is being changed"), "{head:#}");
    shop.run(&["untag", "db"]).ok();
    shop.run(&["note", "and now"]).ok();
    assert_eq!(requests(&shop).len(), 0, "a person decides now");
    shop.run(&["restore", "full", "--yes", "--wait"]).ok();
}

/// A broken newest copy is not taken; without a good one there is none.
#[test]
fn it_takes_the_newest_good_copy() {
    let shop = shop("head_start = {}", "", 500);
    std::fs::write(shop.path("backups/newer.dump"), b"PGDMP, and then nothing").unwrap();
    wait_until("the new one is listed", PATIENCE, || {
        shop.run(&["backups", "copies", "full"]).out.contains("newer.dump")
    });
    declare(&shop, "db", "P0");
    until(&shop, "ready");
    assert_eq!(requests(&shop)[0]["payload"]["plan"]["copy"]["id"], "live.dump");
}

#[test]
fn a_disk_that_would_not_do_is_left_alone() {
    support::in_small_disk_as_self(48 << 20, |dir| {
        let server = Postgres::start();
        let space = dir.join("space");
        std::fs::create_dir(&space).unwrap();
        support::guard::give_away(&space);
        server.psql("postgres", &format!("create tablespace small location '{}'", space.display()));
        server.create_db("live");
        server.psql("postgres", "alter database live set tablespace small");
        let shop = shop_on(server, "head_start = {}", "", 200_000);
        declare(&shop, "db", "P0");
        let head = until(&shop, "withheld");
        let why = head["why"].as_str().unwrap();
        assert!(why.starts_with("disk:") && why.contains("needed") && why.contains("free"), "{why}");
        assert_eq!((requests(&shop).len(), sides(&shop).as_str()), (0, "0"));
        assert!(shop.run(&["status"]).out.contains("head start of full withheld: disk:"));
    });
}

/// A person's own work on the service is not held up by it, and the same restore is not begun twice.
#[test]
fn a_person_goes_ahead() {
    let shop = shop("head_start = {}", "", 400_000);
    declare(&shop, "db", "P0");
    until(&shop, "under-way");
    let second = shop.run(&["restore", "full", "--yes"]);
    assert_ne!(second.code, 0);
    assert!(second.err.contains("head start") && second.err.contains("cancel"), "{}", second.err);
    // Something else than the same restore: the head start gives way, and what was asked for is done.
    let restart = shop.run(&["restart", "db", "--yes", "--wait"]);
    assert!([0, 5].contains(&restart.code), "{}{}", restart.out, restart.err);
    assert_eq!(std::fs::read_to_string(shop.path("restarted")).unwrap(), "once\n");
    until(&shop, "failed");
    wait_until("its copy is gone", PATIENCE, || sides(&shop) == "0");
    let why = shop.entries().into_iter().find(|e| e["kind"] == "run.cancel-requested").unwrap();
    assert!(why["payload"]["reason"].as_str().unwrap().contains("gives way to: restart db"), "{why:#}");
    shop.run(&["restore", "full", "--yes", "--wait"]).ok();
}

#[test]
fn killed_again_and_again_it_is_restored_once() {
    let shop = shop("head_start = {}", "", 500);
    declare(&shop, "db", "P0");
    for n in 0..6 {
        let entries = shop.entries().len();
        let begun = std::time::Instant::now();
        while shop.entries().len() < entries + n % 3 && begun.elapsed() < std::time::Duration::from_secs(2) {}
        shop.kill_engine();
        shop.start();
    }
    // One that was placed and never begun is waited for half a minute before it is begun again.
    wait_until("it is ready", PATIENCE * 4, || head(&shop)["standing"] == "ready");
    let carried_out = shop.entries().iter().filter(|e| e["kind"] == "run.started").count();
    assert_eq!((carried_out, sides(&shop).as_str()), (1, "1"));
    shop.verify();
}

/// A recovery and a playbook that restore what a head start has ready only put it in the live place.
#[test]
fn who_restores_step_by_step_takes_what_is_ready() {
    let shop = shop(
        "head_start = {}",
        "[[recovery]]\nname = \"data\"\n[[recovery.step]]\nphase = \"database\"\nwithin = \"2m\"\nrestore = \"full\"\n\
         [[playbook]]\nname = \"data\"\n[[playbook.step]]\nname = \"restore\"\nrestore = \"full\"\n",
        500,
    );
    let source = || shop.server.psql("live", "select source from t where id = 1");
    let restores = || requests(&shop).iter().filter(|e| e["payload"]["plan"]["work"]["work"] == "restore").count();

    let first = declare(&shop, "db", "P0");
    until(&shop, "ready");
    let plan = shop.run(&["recover", "data", "--plan"]).ok().out;
    assert!(plan.contains("head start: run ") && plan.contains("only cuts it over"), "{plan}");
    shop.run(&["recover", "data", "--confirm", "live", "--wait"]).ok();
    assert_eq!((source().as_str(), restores()), ("copy", 1));
    assert_eq!(head(&shop)["standing"], "used");
    shop.run(&["incident", "resolve", "--incident", &first, "--force", "--reason", "again"]).ok();
    shop.run(&["incident", "close", "--incident", &first]).ok();

    shop.server.psql("live", "update t set source = 'corrupt'");
    declare(&shop, "db", "P0");
    until(&shop, "ready");
    shop.run(&["playbook", "start", "data"]).ok();
    let status = shop.run(&["playbook", "status"]).ok().out;
    assert!(status.contains("a head start has restored it beside the live data"), "{status}");
    // Another copy can still be had: it is told apart from what is ready.
    let other = shop.run(&["playbook", "do", "--copy", "live.dump", "--plan"]).ok().out;
    assert!(other.contains("restored already"), "{other}");
    shop.run(&["playbook", "do", "--confirm", "live", "--wait"]).ok();
    assert_eq!((source().as_str(), restores()), ("copy", 2));
    wait_until("the playbook is complete", PATIENCE, || {
        shop.run(&["playbook", "status"]).ok().out.contains("complete")
    });
    shop.verify();
}

/// What is configured for afterwards is done once the copy is live; what it cost stands in the record.
#[test]
fn after_the_cut_over_caches_are_warmed_and_smoke_tests_tried_until_they_pass() {
    let shop = shop(
        r#"warm_up = [["sh", "-c", "echo warm >> HOME/did"]]
smoke = [["sh", "-c", "echo smoke >> HOME/did; test $(grep -c smoke HOME/did) -ge 2"]]"#,
        "",
        500,
    );
    shop.run(&["restore", "full", "--yes", "--wait"]).ok();
    let did = || std::fs::read_to_string(shop.path("did")).unwrap_or_default();
    assert_eq!(did(), "", "the copy is not live yet");
    let plan = shop.run(&["restore", "full", "--cut-over", "--plan"]).ok().out;
    assert!(plan.contains("warm up") && plan.contains("smoke test"), "{plan}");
    let answer = shop.run(&["restore", "full", "--cut-over", "--confirm", "live", "--wait", "--json"]).ok().json();
    assert_eq!(did(), "warm\nsmoke\nsmoke\n");
    let detail = answer["detail"].as_str().unwrap();
    assert!(
        detail.contains("smoke test ok") && detail.contains("RPO: data of") && detail.contains("of 1d2h: kept"),
        "{detail}"
    );
    assert!(!detail.contains("; yet "), "{detail}");
    // They belong to the cut-over alone.
    shop.run(&["restore", "full", "--undo", "--confirm", "live", "--wait"]).ok();
    assert_eq!(did(), "warm\nsmoke\nsmoke\n");
}

/// A warm-up that fails hides nothing: what is live, what was kept and what it has cost are said first.
#[test]
fn a_failed_warm_up_is_told_after_the_cut_over() {
    let shop = shop(
        r#"warm_up = [["sh", "-c", "echo cold; exit 3"]]
smoke = [["sh", "-c", "echo smoke >> HOME/did"]]"#,
        "",
        500,
    );
    shop.run(&["restore", "full", "--yes", "--wait"]).ok();
    let answer = shop.run(&["restore", "full", "--cut-over", "--confirm", "live", "--wait", "--json"]);
    assert_eq!(answer.code, 4, "{}", answer.out);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    let order =
        ["kept as", "smoke test ok", "mayday restore full --undo", "RPO: data of", "; yet warm up: sh exited with 3"];
    let places: Vec<_> = order.iter().map(|w| detail.find(w).unwrap_or_else(|| panic!("{w}: {detail}"))).collect();
    assert!(places.is_sorted(), "{detail}");
    assert_eq!(std::fs::read_to_string(shop.path("did")).unwrap(), "smoke\n");
}
