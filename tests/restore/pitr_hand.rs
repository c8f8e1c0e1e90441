//! What follows a restore to a moment: promoted and handed over, taken back table by table, proven, dropped.

use std::path::Path;

use mayday::config::{MaybeSecret, PostgresRestore, SecretRef};
use mayday::domain::run::{Checked, Risk, SideRole, Work};

use crate::kit::{check, killed_at};
use crate::pitr::{Scene, cluster, work};
use crate::support::postgres::PASSWORD;

fn scene() -> (Scene, String) {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    let second = scene.note(2);
    scene.server.psql("app", "delete from notes");
    scene.note(3);
    scene.archived();
    (scene, second)
}

#[test]
fn promoted_and_the_clients_pointed_there() {
    let (mut scene, second) = scene();
    let told = scene.dir.path().join("told");
    let switch = vec!["/bin/sh".into(), "-c".into(), "echo \"$1 $2 $3\" > \"$4\"".into(), "sh".into()];
    let filled = ["{host}", "{port}", "{database}"].map(str::to_owned);
    let switch: Vec<String> = switch.into_iter().chain(filled).chain([told.display().to_string()]).collect();
    scene.configure(|how| how.switch = switch);
    let restored = scene.restore(Some(&second));
    restored.verified();
    let side = restored.side().name;
    assert_eq!(scene.notes(&side), "1,2");
    assert!(!told.exists(), "ready is not handed over");

    let plan = scene.desk.plan(&Work::CutOver { of: restored.id.clone() }).plan;
    assert_eq!((plan.risk, plan.target.as_str()), (Risk::Destructive, "app"));
    let handed = scene.desk.run(&Work::CutOver { of: restored.id.clone() });
    assert!(handed.verified().contains("promoted: it takes writes at"), "{}", handed.verified());
    let port = cluster(Path::new(&side))["port"].to_string();
    assert_eq!(std::fs::read_to_string(&told).unwrap(), format!("127.0.0.1 {port} app\n"));
    scene.ask(&side, "insert into notes values (10)");
    assert_eq!(scene.notes(&side), "1,2,10");
    assert_eq!(
        scene.server.psql("app", "select string_agg(id::text, ',') from notes"),
        "3",
        "the live server lives on"
    );
    let listed = handed.side();
    assert_eq!((listed.role, listed.name.as_str()), (SideRole::Serving, side.as_str()));
    assert!(!scene.wal().join("00000002.history").exists(), "it archives nothing");

    // It is no longer a side copy that goes with a `y`, and it is not put back.
    let refusal = scene.desk.try_plan(&Work::Undo { of: handed.id.clone() }).unwrap_err();
    assert!(refusal.reason.contains("changed nothing on the live server"), "{refusal}");
    let plan = scene.desk.plan(&Work::Drop { of: handed.id.clone() }).plan;
    assert_eq!(plan.risk, Risk::Destructive);
    assert!(plan.effects.iter().any(|e| e.contains("whatever was written to it since is lost")));
    // A restore does not take it for one that could go on.
    assert!(scene.desk.plan(&work(None)).plan.preconditions.iter().all(|p| p.name != "side cluster"));
    scene.desk.run(&Work::Drop { of: handed.id }).verified();
    assert!(scene.side_folders().is_empty());
}

#[test]
fn a_switch_command_that_fails_says_where_the_cluster_is() {
    let (mut scene, second) = scene();
    scene.configure(|how| how.switch = vec!["/bin/false".into()]);
    let restored = scene.restore(Some(&second));
    let planned = scene.desk.plan(&Work::CutOver { of: restored.id.clone() });
    let handed = scene.desk.execute(planned);
    let why = handed.error();
    assert!(why.contains("exit 1") && why.contains("point the clients there by hand"), "{why}");
    assert_eq!(handed.side().role, SideRole::Serving);
}

#[test]
fn chosen_tables_come_back_beside_the_live_database() {
    let (mut scene, second) = scene();
    let port = scene.server.port();
    scene.configure(|how| {
        how.tables = vec!["public.notes".into()];
        how.live = Some(PostgresRestore {
            database: "app".into(),
            dsn: MaybeSecret::Plain(format!("postgres://postgres@127.0.0.1:{port}/postgres")),
            password: Some(SecretRef::Literal(PASSWORD.into())),
            verify: Vec::new(),
            only: Vec::new(),
            amcheck: None,
            jobs: None,
            grace: None,
            timeout: None,
            extra_ca: Vec::new(),
        });
    });
    let restored = scene.restore(Some(&second));
    restored.verified();
    let side = restored.side().name;
    let taken = scene.desk.run(&Work::CutOver { of: restored.id.clone() });
    taken.verified();
    let beside = taken.side();
    assert!(beside.kind == "database" && beside.name.starts_with("app__restore_"), "{}", beside.name);
    assert_eq!((beside.role, beside.said().as_str()), (SideRole::Beside, "only public.notes: to be moved by hand"));
    assert!(!taken.verified().contains("cut over"), "{}", taken.verified());
    // What can be cut over is the cluster, as before.
    let plan = scene.desk.plan(&Work::CutOver { of: restored.id.clone() }).plan;
    assert!(plan.title.contains(&side), "{}", plan.title);
    assert_eq!(scene.server.psql(&beside.name, "select string_agg(id::text, ',' order by id) from notes"), "1,2");
    assert_eq!(scene.server.psql("app", "select string_agg(id::text, ',') from notes"), "3");
    assert_eq!(scene.ask(&side, "select pg_is_in_recovery()"), "t", "the side cluster stays paused");
    // It holds one table of many: it must not take the live place.
    let refusal = scene.desk.try_plan(&Work::CutOver { of: taken.id.clone() }).unwrap_err();
    assert!(refusal.reason.contains("left nothing that is ready to cut over"), "{refusal}");
    let refusal = scene.desk.try_plan(&Work::Undo { of: taken.id.clone() }).unwrap_err();
    assert!(refusal.reason.contains("which it did not change") && refusal.instead.contains("--drop"), "{refusal}");
    scene.desk.run(&Work::Drop { of: taken.id.clone() }).verified();
    assert_eq!(
        scene.server.psql("postgres", &format!("select count(*) from pg_database where datname = '{}'", beside.name)),
        "0"
    );
    scene.desk.run(&Work::Drop { of: restored.id }).verified();
    assert!(scene.side_folders().is_empty());

    // A table that is not in it.
    scene.configure(|how| how.tables = vec!["public.nothing".into()]);
    let restored = scene.restore(Some(&second));
    let planned = scene.desk.plan(&Work::CutOver { of: restored.id.clone() });
    let why = scene.desk.execute(planned).error();
    assert!(why.contains("no matching tables"), "{why}");
    assert_eq!(scene.server.psql("postgres", "select count(*) from pg_database where datname like 'app%'"), "1");
}

#[test]
fn a_test_proves_reports_and_leaves_nothing() {
    let (mut scene, second) = scene();
    let proof = Work::Restore { backup: "full".into(), copy: None, test: true, to: Some(second), only: Vec::new() };
    let ended = scene.desk.run(&proof);
    let said = ended.verified();
    assert!(said.contains("proven: base and its log give the cluster as of 20"), "{said}");
    assert!(scene.side_folders().is_empty() && ended.open().is_none());
    assert!(ended.sink.told.lock().unwrap().sides.is_empty());
    // A verification that is not true fails it, and leaves nothing either.
    scene.configure(|how| how.verify = vec!["select count(*) = 77 from notes".into()]);
    let planned = scene.desk.plan(&proof);
    let why = scene.desk.execute(planned).error();
    assert!(why.contains("gives \"f\" and not true") && why.contains("was removed"), "{why}");
    assert!(scene.side_folders().is_empty());
}

#[test]
fn the_live_configuration_is_not_taken_over() {
    let (mut scene, second) = scene();
    // As ALTER SYSTEM leaves it in the data folder, and so in every base backup.
    for (name, value) in
        [("archive_command", "'false # ALTER SYSTEM'"), ("shared_preload_libraries", "'no_such_library'")]
    {
        scene.server.psql("postgres", &format!("alter system set {name} = {value}"));
    }
    scene.base("later", &[]);
    let fourth = scene.note(4);
    scene.note(5);
    let plan = scene.desk.plan(&work(Some(&second))).plan;
    assert_eq!(plan.copy.as_ref().map(|c| c.id.as_str()), Some("base"), "{:?}", plan.preconditions);
    // The log of the later ones is not archived: the live server still runs with the command it was started with.
    scene.archived();
    scene.configure(|how| drop(how.settings.insert("work_mem".into(), "7MB".into())));
    let ended = scene.restore(Some(&fourth));
    ended.verified();
    let side = ended.side().name;
    let show = |what: &str| scene.ask(&side, &format!("show {what}"));
    assert_eq!(
        (show("shared_preload_libraries"), show("archive_mode"), show("work_mem")),
        (String::new(), "off".into(), "7MB".into())
    );
    let kept = std::fs::read_to_string(Path::new(&side).join("postgresql.auto.conf.base")).unwrap();
    assert!(kept.contains("no_such_library"));
    assert_eq!(check(&ended.plan, "window").0, Checked::Passed);
}

#[test]
fn a_promotion_whose_run_did_not_get_to_its_end_is_carried_on() {
    let (mut scene, second) = scene();
    let restored = scene.restore(Some(&second));
    let side = restored.side().name;
    let planned = scene.desk.plan(&Work::CutOver { of: restored.id.clone() });
    // It serves, and its run is killed before that is written down.
    killed_at(&scene.desk, &planned, "promoted: it takes writes");
    assert_eq!(scene.ask(&side, "select pg_is_in_recovery()"), "f");
    let planned = scene.desk.plan(&Work::CutOver { of: restored.id.clone() });
    let (result, said) = check(&planned.plan, "side cluster");
    assert!(result == Checked::Warned && said.contains("promoted already"), "{said}");
    let handed = scene.desk.execute(planned);
    assert!(handed.verified().contains("promoted: it takes writes at"), "{}", handed.verified());
    assert_eq!(handed.side().role, SideRole::Serving);
    assert!(scene.desk.try_plan(&Work::CutOver { of: restored.id }).is_err(), "it is ready no more");
}
