//! The forms in which base backups and logs lie there: tar archives, compression, tablespaces, several timelines, several
//! base backups, the layouts of other tools.

use std::path::Path;

use mayday::domain::run::Checked;

use crate::kit::check;
use crate::pitr::{Scene, ran, refused, work};
use crate::support::guard;

#[test]
fn tar_archives_and_compressed_log() {
    let mut scene = Scene::start_with("gzip -c %p > ARCHIVE/%f.gz");
    scene.note(1);
    for (name, args) in [
        ("tar", &["-Ft", "-X", "stream"][..]),
        ("targz", &["-Ft", "-z", "-X", "stream"][..]),
        ("fetch", &["-Ft", "-X", "fetch"][..]),
        ("none", &["-Fp", "-X", "none", "--no-manifest"][..]),
    ] {
        scene.base(name, args);
    }
    // One file, made by a pipe: the label is in it, and where it ends only the log knows.
    let one = scene.dir.path().join("bases/base.tar.gz");
    let mut pipe = scene.server.tool("sh");
    pipe = {
        let mut sh = std::process::Command::new("/bin/sh");
        sh.envs(pipe.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))));
        let tool = crate::support::postgres::bin("pg_basebackup");
        sh.arg("-c").arg(format!(
            "{} -D - -Ft -X none --no-manifest -c fast | gzip -1 > {}",
            tool.display(),
            one.display()
        ));
        sh
    };
    ran(&mut pipe);
    scene.listed("one", &one);
    let second = scene.note(2);
    scene.note(3);
    scene.archived();
    for copy in ["tar", "targz", "fetch", "none", "one"] {
        let mut asked = work(Some(&second));
        if let mayday::domain::run::Work::Restore { copy: which, .. } = &mut asked {
            *which = Some(copy.into());
        }
        let plan = scene.desk.plan(&asked).plan;
        assert_eq!(check(&plan, "tool gzip").0, Checked::Passed);
        let ended = scene.desk.run(&asked);
        ended.verified();
        let side = ended.side();
        assert_eq!(scene.notes(&side.name), "1,2", "{copy}");
        let manifest = ended.plan.phases.iter().any(|p| p.name == "check the base backup");
        assert_eq!(manifest, !matches!(copy, "none" | "one"), "{copy}");
        scene.desk.run(&mayday::domain::run::Work::Drop { of: ended.id.clone() }).verified();
    }
    assert!(scene.side_folders().is_empty());
}

#[test]
fn tablespaces_are_put_below_the_side_folder() {
    let mut scene = Scene::start();
    let live = scene.dir.path().join("space");
    std::fs::create_dir(&live).unwrap();
    guard::give_away(&live);
    scene.server.psql("app", &format!("create tablespace fast location '{}'", live.display()));
    scene
        .server
        .psql("app", "create table big (n int) tablespace fast; insert into big select generate_series(1, 1000)");
    scene.note(1);
    let mapped = scene.dir.path().join("bases/space");
    scene.base("plain", &[&format!("--tablespace-mapping={}={}", live.display(), mapped.display())]);
    scene.base("tar", &["-Ft"]);
    let second = scene.note(2);
    scene.note(3);
    scene.archived();
    for copy in ["plain", "tar"] {
        let mut asked = work(Some(&second));
        if let mayday::domain::run::Work::Restore { copy: which, .. } = &mut asked {
            *which = Some(copy.into());
        }
        if copy == "plain" {
            // Listed as it is, not by a link: what lies around it is what it may lead to.
            let copies = scene.desk.ctx.copies.get_mut("full").unwrap();
            copies.iter_mut().find(|c| c.id == "plain").unwrap().place =
                scene.dir.path().join("bases/plain").display().to_string();
        }
        let ended = scene.desk.run(&asked);
        ended.verified();
        let side = ended.side().name;
        assert_eq!(scene.ask(&side, "select count(*) from big"), "1000", "{copy}");
        let place = scene.ask(&side, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'fast'");
        assert!(Path::new(&place).starts_with(Path::new(&side).canonicalize().unwrap()), "{place}");
        scene.desk.run(&mayday::domain::run::Work::Drop { of: ended.id.clone() }).verified();
    }
    assert!(live.read_dir().unwrap().next().is_some(), "the live tablespace is as it was");
    // A copy whose tablespace leads to the live one.
    let link = scene.dir.path().join("bases/plain/pg_tblspc");
    let link = link.read_dir().unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(scene.server.data_dir(), &link).unwrap();
    let mut asked = work(Some(&second));
    if let mayday::domain::run::Work::Restore { copy: which, .. } = &mut asked {
        *which = Some("plain".into());
    }
    let plan = scene.desk.plan(&asked).plan;
    refused(&plan, "base backup", &["outside of", "may be the live files"]);
}

#[test]
fn timelines_are_followed_and_can_be_chosen() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    let fork = scene.note(3);
    let lost = scene.note(4);
    scene.note(5);
    scene.archived();
    // The live server goes back to before 4 and lives on, on timeline 2.
    let ended = scene.restore(Some(&fork));
    let side = ended.side().name;
    ended.verified();
    scene.server.stop();
    let data = scene.server.data_dir();
    std::fs::remove_dir_all(&data).unwrap();
    ran(std::process::Command::new("cp").arg("-a").arg(scene.dir.path().join("bases/base")).arg(&data));
    if guard::unprivileged().is_some() {
        ran(std::process::Command::new("chown").args(["-R", "postgres"]).arg(&data));
    }
    let recovery = format!(
        "restore_command = 'cp {}/%f %p'\nrecovery_target_time = '{}'\nrecovery_target_action = 'promote'\n",
        scene.wal().display(),
        fork.replace('T', " ").replace('Z', "+00")
    );
    let auto = data.join("postgresql.auto.conf");
    std::fs::write(&auto, recovery).unwrap();
    std::fs::write(data.join("recovery.signal"), "").unwrap();
    for path in [&auto, &data.join("recovery.signal")] {
        guard::give_away(path);
    }
    scene.server.start_again();
    crate::support::wait_until("it is promoted", crate::support::PATIENCE, || {
        scene.server.psql("app", "select pg_is_in_recovery()") == "f"
    });
    let sixth = scene.note(6);
    scene.note(7);
    assert!(scene.archived().starts_with("00000002"));

    let plan = scene.desk.plan(&work(Some(&sixth))).plan;
    assert!(check(&plan, "window").1.contains("on timeline 2"), "{:?}", check(&plan, "window"));
    let (result, said) = check(&plan, "side cluster");
    assert!(result == Checked::Warned, "it is of another timeline: {said}");
    let ended = scene.desk.run(&work(Some(&sixth)));
    assert!(ended.verified().contains("on timeline 2"));
    assert_eq!(scene.notes(&ended.side().name), "1,2,3,6");
    // What was given up is on timeline 1 still.
    let mut other = scene.restore(Some(&format!("{lost}@1")));
    assert!(other.verified().contains("on timeline 1"));
    assert_eq!(other.side().name, side, "it goes on where the first one is paused");
    assert_eq!(scene.notes(&other.side().name), "1,2,3,4");
    let none = scene.desk.plan(&work(Some(&format!("{lost}@9")))).plan;
    refused(&none, "wal archive", &["timeline 9 does not come from this base backup"]);
    other.id.clear();
}

#[test]
fn the_base_backup_that_lies_before_the_target_is_taken() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("old", &[]);
    let second = scene.note(2);
    scene.note(20);
    scene.archived();
    scene.base("new", &[]);
    let third = scene.note(3);
    scene.note(4);
    scene.archived();
    let plan = scene.desk.plan(&work(Some(&second))).plan;
    let (result, said) = check(&plan, "copies passed over");
    assert!(result == Checked::Warned && said.contains("new: ") && said.contains("before this base backup"), "{said}");
    assert_eq!(plan.copy.unwrap().id, "old");
    assert_eq!(scene.desk.plan(&work(Some(&third))).plan.copy.unwrap().id, "new");
    assert_eq!(scene.desk.plan(&work(None)).plan.copy.unwrap().id, "new");
    let ended = scene.restore(Some(&second));
    ended.verified();
    assert_eq!(scene.notes(&ended.side().name), "1,2");
}

#[test]
fn positions_transactions_and_restore_points() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.server.psql("app", "select pg_create_restore_point('before the deploy')");
    scene.note(3);
    let xid = scene
        .server
        .psql("app", "with x as (insert into notes values (4) returning 1) select pg_current_xact_id() from x");
    let lsn = scene.server.psql("app", "select pg_current_wal_insert_lsn()");
    scene.note(5);
    scene.archived();
    for (to, notes) in [
        ("name:before the deploy".to_owned(), "1,2"),
        (format!("xid:{xid}"), "1,2,3,4"),
        (format!("lsn:{lsn}"), "1,2,3,4"),
    ] {
        let ended = scene.restore(Some(&to));
        ended.verified();
        assert_eq!(scene.notes(&ended.side().name), notes, "{to}");
    }
    let plan = scene.desk.plan(&work(Some("lsn:0/1"))).plan;
    refused(&plan, "target", &["before this base backup is consistent", "lsn:0/"]);
    let plan = scene.desk.plan(&work(Some("lsn:FF/1"))).plan;
    refused(&plan, "target", &["beyond the last record", "lsn:0/"]);
    // Not there: the server ends instead of promoting itself, and nothing is left of it.
    let before = scene.side_folders().len();
    let planned = scene.desk.plan(&work(Some("name:never made")));
    assert_eq!(check(&planned.plan, "target").0, Checked::Warned);
    let failed = scene.desk.execute(planned);
    let why = failed.error();
    assert!(why.contains("recovery ended before configured recovery target") && why.contains("was removed"), "{why}");
    assert_eq!(scene.side_folders().len(), before);
}
