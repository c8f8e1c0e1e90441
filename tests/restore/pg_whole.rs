//! Databases with the whole program: command line, engine, runner; and what is told of a cut-over whose runner was killed.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Cockpit, PATIENCE, Postgres, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// A database `live` with a good copy of it; what is live was spoiled since.
fn shop() -> (Postgres, Cockpit) {
    let server = Postgres::start();
    server.create_db("live");
    server.psql("live", "create table t as select g as id, 'copy' as source from generate_series(1, 500) g");
    let shop = Cockpit::new(&format!(
        "[system]\nname = \"shop\"\n[[backup]]\nname = \"full\"\nrpo = \"26h\"\n\
         files = {{ path = \"HOME/backups\", pattern = \"*.dump\", settle = \"10ms\" }}\n\
         [backup.restore.postgres_dump]\ndatabase = \"live\"\ndsn = \"{}\"\nverify = [\"select count(*) > 0 from t\"]\n\
         grace = \"200ms\"\n",
        server.dsn("postgres"),
    ));
    std::fs::create_dir(shop.path("backups")).unwrap();
    let mut dump = server.tool("pg_dump");
    dump.args(["-Fc", "-d", "live", "-f"]).arg(shop.path("backups/live.dump"));
    assert!(dump.status().unwrap().success());
    server.psql("live", "update t set source = 'spoiled'");
    shop.start();
    shop.until_code(&["restore", "full", "--plan"], 0);
    (server, shop)
}

/// What lies beside the live data, by every run: role and name.
fn sides(shop: &Cockpit) -> Vec<(String, String)> {
    let runs = shop.run(&["runs", "--json"]).ok().json();
    let word = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let of = |run: &Value| run["sides"].as_array().cloned().unwrap_or_default();
    let all = runs.as_array().unwrap_or_else(|| panic!("{runs:#}")).iter().flat_map(of);
    all.map(|side| (word(&side["role"]), word(&side["name"]))).collect()
}

#[test]
fn a_cut_over_that_was_done_when_its_runner_was_killed_leaves_nothing_ready() {
    let (server, shop) = shop();
    shop.run(&["restore", "full", "--yes", "--wait"]).ok();
    let ready = sides(&shop);
    assert!(matches!(ready.as_slice(), [(role, _)] if role == "ready"), "{ready:?}");
    // Whoever looks whether the live name answers is kept waiting: in that time the names are changed and nobody has
    // written it down.
    let hba = server.data_dir().join("pg_hba.conf");
    let rules = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("host live all all reject\n{rules}")).unwrap();
    server.psql("postgres", "select pg_reload_conf()");
    let run = shop.run(&["restore", "full", "--cut-over", "--confirm", "live"]).ok().line();
    let run = run.split_whitespace().next().unwrap().to_owned();
    let done = "select count(*) from pg_database where datname like 'live\\_\\_before%'";
    wait_until("the names are changed", PATIENCE, || server.psql("postgres", done) == "1");
    let claim = std::fs::read(shop.state().join("runs").join(&run).join("claim")).unwrap();
    let claim: Value = serde_json::from_slice(&claim).unwrap();
    // SAFETY: a plain system call on the runner that this test started.
    unsafe { libc::kill(i32::try_from(claim["pid"].as_i64().unwrap()).unwrap(), libc::SIGKILL) };
    let ended = shop.finished(&run, LIMIT);
    assert_eq!(ended["state"], "lost", "{ended:#}");
    let left = sides(&shop);
    assert!(
        matches!(left.as_slice(), [(role, name)] if role == "before" && name.starts_with("live__before")),
        "{left:?}"
    );
    shop.run(&["restore", "full", "--cut-over", "--plan"]).expect(3).says(&["nothing of full is ready to cut over"]);
    // What was kept can be put back.
    std::fs::write(&hba, rules).unwrap();
    server.psql("postgres", "select pg_reload_conf()");
    assert_eq!(server.psql("live", "select source from t limit 1"), "copy");
    shop.run(&["restore", "full", "--undo", "--confirm", "live", "--wait"]).ok();
    assert_eq!(server.psql("live", "select source from t limit 1"), "spoiled");
    shop.verify();
}

#[test]
fn an_undo_where_nothing_was_kept_says_that_what_is_live_is_all_there_is() {
    let (server, shop) = shop();
    server.psql("postgres", "drop database live");
    shop.run(&["restore", "full", "--yes", "--wait"]).ok();
    shop.run(&["restore", "full", "--cut-over", "--confirm", "live", "--wait"]).ok();
    let refused = shop.run(&["restore", "full", "--undo", "--confirm", "live"]).expect(3);
    let refused = refused.says(&["nothing is kept of what was live before it", "what is live now is all there is"]);
    assert!(!refused.err.contains("--drop"), "{}", refused.err);
    assert_eq!(server.psql("live", "select source from t limit 1"), "copy");
}
