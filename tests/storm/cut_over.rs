//! Killed within the cut-over: the live name answers again within ten seconds, with the old data or the new.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::support::{Cockpit, PATIENCE, Postgres, wait_for_some};
use super::{Dice, kill, rounds, runners};

const ROUNDS: u64 = 8;
/// Between the blow and the answer of the live name (decisions on the cut-over).
const REOPENED: Duration = Duration::from_secs(10);

#[test]
fn the_live_name_answers_within_ten_seconds_whoever_is_killed() {
    let mut dice = Dice::new();
    let server = Postgres::start();
    server.create_db("live");
    server.psql("live", "create table t as select g as id, 'copy' as source from generate_series(1, 2000) g");
    let shop = Cockpit::new(&format!(
        "[system]\nname = \"shop\"\n[[service]]\nname = \"db\"\ntier = 1\n[[service.postgres]]\ndsn = \"{dsn}\"\nevery = \"1s\"\ntimeout = \"900ms\"\n\
         [[backup]]\nname = \"full\"\nservice = \"db\"\nrpo = \"26h\"\nevery = \"24h\"\nfiles = {{ path = \"HOME/backups\", pattern = \"*.dump\", settle = \"10ms\" }}\n\
         [backup.restore.postgres_dump]\ndatabase = \"live\"\ndsn = \"{dsn}\"\nverify = [\"select count(*) = 2000 from t\"]\ngrace = \"300ms\"\n",
        dsn = server.dsn("live"),
    ));
    std::fs::create_dir(shop.path("backups")).unwrap();
    let mut dump = server.tool("pg_dump");
    dump.args(["-Fc", "-d", "live", "-f"]).arg(shop.path("backups/live.dump"));
    assert!(dump.status().unwrap().success());
    shop.until_code(&["restore", "full", "--plan"], 0);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Somebody is always connected, so that there is something to wait for and to end.
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let _ = server.try_psql("live", "select pg_sleep(0.4)");
            }
        });
        // A failure inside must not leave that thread running for ever.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds(ROUNDS) {
                one_round(&shop, &server, &mut dice, round);
            }
        }));
        over.store(true, Ordering::SeqCst);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    shop.verify();
}

fn one_round(shop: &Cockpit, server: &Postgres, dice: &mut Dice, round: u64) {
    let wanted = format!("live in round {round}");
    server.psql("live", &format!("update t set source = '{wanted}' where id = 1"));
    let restored = shop.run(&["restore", "full", "--yes", "--wait", "--json"]);
    let run = restored.json();
    assert_eq!(run["state"], "succeeded", "round {round}: {run:#}");
    // Of a cut-over that was lost the copy may still be listed: which one is meant is said.
    let id = run["id"].as_str().unwrap();
    let cut = shop.run(&["restore", "full", "--cut-over", "--run", id, "--confirm", "live"]).ok().line();
    // The runner is there before anything is closed; from then on the blow may fall anywhere.
    wait_for_some("the cut-over is under way", PATIENCE, || {
        (!runners(&shop.home).is_empty() || shop.run(&["runs", "show", &cut]).out.contains("succeeded")).then_some(())
    });
    dice.pass(Duration::from_millis(500));
    let blow = dice.below(3);
    if blow != 0 {
        shop.kill_engine();
    }
    if blow != 1 {
        runners(&shop.home).into_iter().for_each(kill);
    }
    if blow != 0 {
        // As a service manager would.
        shop.start();
    }
    let begun = Instant::now();
    let source = loop {
        match server.try_psql("live", "select source from t where id = 1") {
            Ok(source) => break source,
            Err(why) => assert!(begun.elapsed() < REOPENED, "round {round}, blow {blow}: {why}"),
        }
    };
    eprintln!("round {round}: blow {blow}, answered after {:?} from {source:?}", begun.elapsed());
    assert!(source == wanted || source == "copy", "round {round}: {source:?} is neither the old nor the new");
    let end = shop.finished(&cut, Duration::from_secs(40));
    let state = end["state"].as_str().unwrap().to_owned();
    assert!(matches!(state.as_str(), "succeeded" | "lost" | "failed"), "{end:#}");
    if state == "succeeded" {
        assert_eq!(server.psql("live", "select source from t where id = 1"), "copy", "it says succeeded: {end:#}");
    }
    // What was said to be closed is open, and stays so.
    assert_eq!(server.psql("postgres", "select datallowconn from pg_database where datname = 'live'"), "t");
    assert!(!end["detail"].as_str().unwrap_or_default().contains("STILL OPEN"), "{end:#}");
}
