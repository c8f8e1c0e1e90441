//! To a moment with the whole program: command line, engine, runner; and what stays when those are killed.

use std::path::PathBuf;
use std::time::Duration;

use crate::pitr::{Scene, cluster, cluster_if_there, running};
use crate::support::{Cockpit, PATIENCE, guard, wait_for_some, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

fn cockpit(scene: &Scene, verify: &str) -> Cockpit {
    let dir = scene.dir.path().display();
    Cockpit::new(&format!(
        "[system]\nname = \"shop\"\n[[backup]]\nname = \"moments\"\nrpo = \"26h\"\nevery = \"24h\"\n\
         files = {{ path = \"{dir}/bases\", pattern = \"*\", folders = true, settle = \"10ms\" }}\n\
         [backup.restore.postgres_pitr]\ndatabase = \"app\"\ndirectory = \"{dir}/side\"\nwal_archive = \"{dir}/wal\"\n\
         verify = [\"{verify}\"]\n"
    ))
}

fn prepared() -> (Scene, String) {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    let second = scene.note(2);
    scene.note(3);
    scene.archived();
    (scene, second)
}

#[test]
fn from_the_command_line_to_ready_and_beyond_the_engine() {
    let (scene, second) = prepared();
    let shop = cockpit(&scene, "select count(*) > 0 from notes");
    let plan = shop.until_code(&["restore", "moments", "--to", &second, "--plan"], 0);
    for word in ["window", "on timeline 1", "recovery_target_time", "archive_mode = 'off'", "is made and owned by"] {
        assert!(plan.out.contains(word), "{word}: {}", plan.out);
    }
    let late = shop.run(&["restore", "moments", "--to", "2199-01-01T00:00:00Z", "--plan"]).expect(3);
    assert!(late.out.contains("the nearest is 20"), "{}", late.out);
    shop.run(&["restore", "moments", "--to", "soon", "--plan"]).expect(2).says(&["write a time"]);

    let proven = shop.run(&["restore", "moments", "--to", &second, "--test", "--yes", "--wait", "--json"]).ok().json();
    assert!(proven["detail"].as_str().unwrap().contains("proven"), "{proven:#}");
    assert!(scene.side_folders().is_empty());

    let run = shop.run(&["restore", "moments", "--to", &second, "--yes", "--wait", "--json"]).ok().json();
    let side = run["sides"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!((scene.notes(&side).as_str(), run["verdict"].as_str()), ("1,2", Some("verified")), "{run:#}");
    let pid = running(&PathBuf::from(&side)).unwrap();
    // Engine gone, runner gone long ago: it stays, and the next engine knows it.
    shop.kill_engine();
    assert_eq!(running(&PathBuf::from(&side)), Some(pid));
    shop.start();
    assert!(shop.run(&["runs"]).ok().out.contains(&side));
    // Nothing named: what is ready is not used up.
    let plan = shop.run(&["restore", "moments", "--plan"]).ok().out;
    assert!(plan.contains("stays as it is") && plan.contains("makes a cluster in"), "{plan}");
    // The newest, which lies further on in the same cluster.
    let run = shop.run(&["restore", "moments", "--to", "newest", "--yes", "--wait", "--json"]).ok().json();
    assert_eq!(run["sides"][0]["name"].as_str(), Some(side.as_str()), "{run:#}");
    assert_eq!(scene.notes(&side), "1,2,3");
    let handed = shop.run(&["restore", "moments", "--cut-over", "--confirm", "app", "--wait", "--json"]).ok().json();
    let port = cluster(&PathBuf::from(&side))["port"].to_string();
    assert!(handed["detail"].as_str().unwrap().contains(&format!("port={port}")), "{handed:#}");
    shop.run(&["restore", "moments", "--drop", "--yes", "--wait"]).expect(3).says(&["--confirm"]);
    shop.run(&["restore", "moments", "--drop", "--confirm", "app", "--wait"]).ok();
    assert!(scene.side_folders().is_empty());
    shop.verify();
}

#[test]
fn a_killed_runner_is_finished_off_by_the_engine() {
    let (scene, second) = prepared();
    let shop = cockpit(&scene, "select pg_sleep(600) is null");
    shop.until_code(&["restore", "moments", "--to", &second, "--plan"], 0);
    let run = shop.run(&["restore", "moments", "--to", &second, "--yes"]).ok().line();
    let run = run.split_whitespace().next().unwrap().to_owned();
    let side = wait_for_some("its side cluster is verified", LIMIT, || {
        let side = scene.side_folders().pop()?;
        (cluster_if_there(&side)?["replayed"].as_u64().is_some() && running(&side).is_some()).then_some(side)
    });
    let server = running(&side).unwrap();
    let claim = std::fs::read(shop.state().join("runs").join(&run).join("claim")).unwrap();
    let claim: serde_json::Value = serde_json::from_slice(&claim).unwrap();
    // SAFETY: a plain system call on the runner that this test started.
    unsafe { libc::kill(i32::try_from(claim["pid"].as_i64().unwrap()).unwrap(), libc::SIGKILL) };
    let ended = shop.finished(&run, LIMIT);
    assert_eq!(ended["state"], "lost", "{ended:#}");
    wait_until("its side cluster is gone", LIMIT, || scene.side_folders().is_empty());
    guard::wait_gone(server, PATIENCE);
    assert_eq!(scene.server.psql("app", "select count(*) from notes"), "3");
}
