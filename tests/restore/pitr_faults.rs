//! Whatever goes wrong on the way to a moment: the live server answers as before, nothing is left unnamed, and the error
//! says what to do.

use std::path::Path;

use mayday::domain::run::{Checked, Risk, SideRole, Work};
use mayday::recovery::op::OpError;
use tokio_util::sync::CancellationToken;

use crate::kit::{check, killed_at};
use crate::pitr::{Scene, cluster, refused, running, work};
use crate::support::{PATIENCE, guard, in_small_disk_as_self, wait_until};

fn untouched(scene: &Scene, notes: &str) {
    assert_eq!(scene.server.psql("app", "select string_agg(id::text, ',' order by id) from notes"), notes);
    assert_eq!(scene.server.psql("app", "select pg_is_in_recovery()"), "f");
}

#[test]
fn a_hole_in_the_log_is_named_and_ends_the_window() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    let second = scene.note(2);
    scene.note(3);
    scene.archived();
    let fourth = scene.note(4);
    let hole = scene.archived();
    let fifth = scene.note(5);
    scene.archived();
    std::fs::remove_file(scene.wal().join(&hole)).unwrap();

    let plan = scene.desk.plan(&work(Some(&fifth))).plan;
    let (result, said) = check(&plan, "wal archive");
    assert!(result == Checked::Warned && said.contains(&format!("missing: {hole}")), "{said}");
    refused(&plan, "target", &["the nearest is", &hole]);
    refused(&scene.desk.plan(&work(Some(&fourth))).plan, "target", &[&hole]);
    let plan = scene.desk.plan(&work(None)).plan;
    assert_eq!(plan.blockers().count(), 0, "the newest before the hole can be reached");
    let ended = scene.restore(None);
    ended.verified();
    assert_eq!(scene.notes(&ended.side().name), "1,2,3");
    assert_eq!(scene.ask(&ended.side().name, "select pg_is_in_recovery()"), "t", "it was not promoted at the hole");

    // The hole opens after planning: the server ends, and says where.
    scene.desk.run(&Work::Drop { of: ended.id.clone() }).verified();
    let planned = scene.desk.plan(&work(Some(&second)));
    for file in std::fs::read_dir(scene.wal()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    for file in std::fs::read_dir(scene.dir.path().join("bases/base/pg_wal")).unwrap().flatten() {
        if file.path().is_file() {
            std::fs::write(file.path(), "").unwrap();
        }
    }
    let why = scene.desk.execute(planned).error();
    assert!(why.contains("the server ended") && why.contains("the live cluster is untouched"), "{why}");
    assert!(scene.side_folders().is_empty());
    untouched(&scene, "1,2,3,4,5");

    let plan = scene.desk.plan(&work(None)).plan;
    refused(&plan, "wal archive", &["is missing in", "look for that segment"]);
}

#[test]
fn targets_outside_of_the_window() {
    let mut scene = Scene::start();
    let before = scene.now();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.archived();
    let late = scene.note(3);
    let plan = scene.desk.plan(&work(Some(&before))).plan;
    refused(&plan, "target", &["before this base backup is consistent", "the nearest is 20"]);
    let plan = scene.desk.plan(&work(Some(&late))).plan;
    refused(
        &plan,
        "target",
        &["later than the last transaction in the log", "the nearest is 20", "not in the archive"],
    );
    let plan = scene.desk.plan(&work(Some("2199-01-01T00:00:00Z"))).plan;
    refused(&plan, "target", &["is in the future", "the nearest is 20"]);
    // What is offered can be asked for.
    for plan in [scene.desk.plan(&work(Some(&late))).plan, scene.desk.plan(&work(Some(&before))).plan] {
        let (_, said) = check(&plan, "target");
        let nearest = said.split("the nearest is ").nth(1).unwrap();
        let nearest: String = nearest.chars().take_while(|c| !matches!(c, ',' | ';')).collect();
        let ended = scene.restore(Some(&nearest));
        ended.verified();
        let wanted = if said.contains("before") { "1" } else { "1,2" };
        assert_eq!(scene.notes(&ended.side().name), wanted, "{nearest}");
    }
    let refusal = scene.desk.try_plan(&work(Some("yesterday"))).unwrap_err();
    assert!(refusal.reason.contains("write a time"), "{refusal}");
    untouched(&scene, "1,2,3");
}

#[test]
fn a_damaged_base_backup() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.archived();
    let root = scene.dir.path().join("bases/base");
    let relation = scene.server.psql("app", "select pg_relation_filepath('pg_class')");
    let file = root.join(&relation);
    let whole = std::fs::read(&file).unwrap();
    // Same size, other content: only the checksum tells.
    let mut bad = whole.clone();
    bad[5000] ^= 0x40;
    std::fs::write(&file, &bad).unwrap();
    let planned = scene.desk.plan(&work(None));
    assert_eq!(planned.plan.blockers().count(), 0);
    let why = scene.desk.execute(planned).error();
    assert!(
        why.contains("checksum mismatch") && why.contains(&relation) && why.contains("choose another copy"),
        "{why}"
    );
    assert!(scene.side_folders().is_empty());
    // Cut off: the plan sees that.
    std::fs::write(&file, &whole[..whole.len() - 8192]).unwrap();
    refused(&scene.desk.plan(&work(None)).plan, "base backup", &[&relation, "and should have"]);
    std::fs::write(&file, &whole).unwrap();
    let gone = |name: &str, wanted: &[&str], scene: &mut Scene| {
        let (path, kept) = (root.join(name), root.join("kept"));
        std::fs::rename(&path, &kept).unwrap();
        refused(&scene.desk.plan(&work(None)).plan, "base backup", wanted);
        std::fs::rename(&kept, &path).unwrap();
    };
    gone("global/pg_control", &["global/pg_control", "not whole"], &mut scene);
    gone("backup_label", &["no backup_label", "no base backup"], &mut scene);
    scene.restore(None).verified();
    untouched(&scene, "1,2");
}

#[test]
fn a_tar_archive_that_is_cut_off() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("tar", &["-Ft", "-z"]);
    scene.note(2);
    scene.archived();
    let file = scene.dir.path().join("bases/tar/base.tar.gz");
    let whole = std::fs::read(&file).unwrap();
    for length in [whole.len() * 2 / 3, whole.len() - 3] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let planned = scene.desk.plan(&work(None));
        let why = scene.desk.execute(planned).error();
        assert!(why.contains("cut off") && why.contains("choose another copy"), "{why}");
        assert!(scene.side_folders().is_empty());
    }
}

#[test]
fn a_segment_that_is_damaged_is_told_by_name() {
    let mut scene = Scene::start_with("gzip -c %p > ARCHIVE/%f.gz");
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    let broken = scene.archived();
    let third = scene.note(3);
    scene.note(4);
    scene.archived();
    let file = scene.wal().join(format!("{broken}.gz"));
    let whole = std::fs::read(&file).unwrap();
    let planned = scene.desk.plan(&work(Some(&third)));
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let why = scene.desk.execute(planned).error();
    assert!(why.contains(&broken) && why.contains("cannot be read to its end"), "{why}");
    assert!(scene.side_folders().is_empty());
    untouched(&scene, "1,2,3,4");
}

#[test]
fn what_the_plan_forbids_before_anything_is_made() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.archived();
    let live = scene.server.data_dir();
    let port = scene.server.port();
    let side = scene.dir.path().join("side");
    type Case<'a> = (&'a str, &'a [&'a str], Box<dyn Fn(&mut mayday::config::PitrRestore)>);
    let own = side.clone();
    let back = move |how: &mut mayday::config::PitrRestore| {
        how.directory = own.clone();
        how.port = None;
    };
    let cases: [Case; 4] = [
        ("port", &["is in use"], Box::new(move |how| how.port = Some(port))),
        (
            "directory",
            &["is below", "the data folder of a cluster"],
            Box::new(move |how| how.directory = live.join("base")),
        ),
        ("directory", &["is no folder"], Box::new(|how| how.directory = "/nowhere/at/all".into())),
        ("directory", &["too long for a socket"], {
            let long = side.join("x".repeat(80));
            std::fs::create_dir(&long).unwrap();
            guard::give_away(&long);
            Box::new(move |how| how.directory = long.clone())
        }),
    ];
    for (name, wanted, change) in cases {
        scene.configure(|how| change(how));
        refused(&scene.desk.plan(&work(None)).plan, name, wanted);
        scene.configure(&back);
    }
    std::fs::remove_dir(side.join("x".repeat(80))).unwrap();
    if guard::unprivileged().is_some() {
        scene.configure(|how| how.user = Some("root".into()));
        let refusal = scene.desk.try_plan(&work(None)).unwrap_err();
        assert!(refusal.reason.contains("cannot run as root"), "{refusal}");
        scene.configure(|how| how.user = Some("no such user".into()));
        assert!(scene.desk.try_plan(&work(None)).unwrap_err().reason.contains("no user no such user"));
        scene.configure(|how| how.user = None);
        // The server fetches the log as its own user.
        use std::os::unix::fs::PermissionsExt;
        let wal = scene.wal();
        std::os::unix::fs::chown(&wal, Some(0), Some(0)).unwrap();
        std::fs::set_permissions(&wal, PermissionsExt::from_mode(0o700)).unwrap();
        refused(&scene.desk.plan(&work(None)).plan, "archive readable", &["postgres may not read", "by a group"]);
    }
    scene.desk.ctx.tool_path = Some("/nowhere".into());
    refused(
        &scene.desk.plan(&work(None)).plan,
        "server programs",
        &["this host has none at all", "install postgresql-"],
    );
}

#[test]
fn cancelled_in_every_phase() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.archived();
    for word in ["unpacking", "comparing", "started server", "true: select"] {
        let planned = scene.desk.plan(&work(None));
        let ended = scene.desk.execute_with(planned, CancellationToken::new(), move |text, cancel| {
            if text.contains(word) {
                cancel.cancel();
            }
        });
        match &ended.result {
            Err(OpError::Cancelled) => {}
            // Too quick to be caught; then it must be whole.
            Ok(_) => {
                assert_eq!(scene.notes(&ended.side().name), "1,2");
                scene.desk.run(&Work::Drop { of: ended.id.clone() }).verified();
                continue;
            }
            Err(e) => panic!("{word}: {e}"),
        }
        assert!(scene.side_folders().is_empty(), "{word}: {}", ended.output());
        assert!(ended.open().is_none());
    }
    untouched(&scene, "1,2");
}

#[test]
fn what_a_killed_runner_leaves_is_found_ended_and_removed() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.archived();
    for (at, server) in [("unpacked", false), ("started server", true), ("paused at", true)] {
        let planned = scene.desk.plan(&work(None));
        let open = killed_at(&scene.desk, &planned, at).expect("something to take back is on disk");
        let side = scene.side_folders().pop().expect("it left its folder");
        assert_eq!(cluster(&side)["stage"], "incomplete");
        if server {
            wait_until("its server is up", PATIENCE, || running(&side).is_some());
        }
        assert_eq!(running(&side).is_some(), server, "{at}");
        assert!(server || !side.join("data/global/pg_control").exists(), "half made it must not be startable");
        if at == "started server" {
            // The engine takes it back.
            let (ctx, _) = scene.desk.op_context(&planned);
            let pid = running(&side).unwrap();
            scene.desk.op(&open.op, &open.args, &ctx).unwrap();
            guard::wait_gone(pid, PATIENCE);
            assert!(scene.side_folders().is_empty());
            continue;
        }
        // No engine came: the next restore says so first, and cleans up.
        let plan = scene.desk.plan(&work(None)).plan;
        let (result, said) = check(&plan, "leftovers");
        assert!(result == Checked::Warned && said.contains(&side.display().to_string()), "{said}");
        let pid = running(&side);
        let ended = scene.restore(None);
        ended.verified();
        assert!(!side.exists(), "{}", ended.output());
        if let Some(pid) = pid {
            guard::wait_gone(pid, PATIENCE);
        }
        scene.desk.run(&Work::Drop { of: ended.id.clone() }).verified();
    }
    untouched(&scene, "1,2");
}

#[test]
fn a_full_disk() {
    in_small_disk_as_self(24 << 20, |dir| {
        let mut scene = Scene::start();
        scene.note(1);
        scene.base("base", &[]);
        scene.note(2);
        scene.archived();
        let small = dir.to_path_buf();
        scene.configure(|how| how.directory = small);
        let planned = scene.desk.plan(&work(None));
        refused(&planned.plan, "disk", &["needed", "free", "make room"]);
        // Started all the same.
        let why = scene.desk.execute(planned).error();
        assert!(why.contains("make room") && why.contains("was removed"), "{why}");
        assert!(dir.read_dir().unwrap().next().is_none());
        untouched(&scene, "1,2");
    });
}

#[test]
fn a_folder_that_somebody_made_meanwhile_stays_theirs() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.archived();
    let planned = scene.desk.plan(&work(None));
    let side = scene.dir.path().join(format!("side/app.pitr-{}", planned.plan.id));
    std::fs::create_dir(&side).unwrap();
    std::fs::write(side.join("theirs"), "x").unwrap();
    let why = scene.desk.execute(planned).error();
    assert!(why.contains(&side.display().to_string()), "{why}");
    assert_eq!(std::fs::read_to_string(side.join("theirs")).unwrap(), "x", "it is not ours to remove: {why}");
    untouched(&scene, "1,2");
}

#[test]
fn a_server_that_ends_right_after_its_start() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.archived();
    // It starts, and gives up a moment later: an exit code of its starter would have said nothing.
    scene.configure(|how| drop(how.settings.insert("shared_buffers".into(), "900TB".into())));
    let planned = scene.desk.plan(&work(None));
    let why = scene.desk.execute(planned).error();
    assert!(why.contains("the server ended:") && why.contains("untouched"), "{why}");
    assert!(scene.side_folders().is_empty());
}

#[test]
fn a_ready_cluster_survives_its_maker_and_is_started_again_when_it_ended() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.archived();
    let ended = scene.restore(None);
    let side = ended.side().name;
    let pid = running(Path::new(&side)).unwrap();
    // Not of the session of whoever made it, and not marked as one of a run's tools.
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&environ).contains("MAYDAY_RUNNER"));
    let session = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat[stat.rfind(')').unwrap()..].split_whitespace().nth(4).unwrap().parse::<i32>().unwrap()
    };
    assert_eq!(session(pid), pid);
    // SAFETY: a plain system call on a server of this test.
    unsafe { libc::kill(pid, libc::SIGQUIT) };
    guard::wait_gone(pid, PATIENCE);
    let plan = scene.desk.plan(&Work::CutOver { of: ended.id.clone() }).plan;
    assert!(check(&plan, "side cluster").1.contains("is started again"));
    scene.desk.run(&Work::CutOver { of: ended.id.clone() }).verified();
    wait_until("it serves", PATIENCE, || scene.ask(&side, "select pg_is_in_recovery()") == "f");
    assert_eq!(scene.notes(&side), "1,2");
}

#[test]
fn a_cluster_whose_verification_fails_stays_paused_to_be_looked_into() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    let second = scene.note(2);
    let third = scene.note(3);
    scene.note(4);
    scene.archived();
    scene.configure(|how| how.verify = vec!["select count(*) < 3 from notes".into()]);
    let ready = scene.restore(Some(&second));
    ready.verified();
    let side = ready.side().name;

    // Another try that is not true: what was replayed is not thrown away, and not called ready.
    let planned = scene.desk.plan(&work(Some(&third)));
    assert!(planned.plan.effects.iter().any(|e| e.contains("stays paused and is not ready")), "{:?}", planned.plan);
    let tried = scene.desk.execute(planned);
    let why = tried.error();
    assert!(why.contains("gives \"f\" and not true") && why.contains("NOT verified"), "{why}");
    assert!(why.contains("psql \"host=") && why.contains(&format!("--drop --run {}", tried.id)), "{why}");
    assert_eq!(scene.notes(&side), "1,2,3", "it can be looked into");
    let listed = tried.side();
    assert_eq!((listed.name.as_str(), listed.role), (side.as_str(), SideRole::Abandoned));
    assert!(listed.said().contains("NOT verified"), "{}", listed.said());
    assert!(tried.open().is_none());
    for of in [&ready.id, &tried.id] {
        let refusal = scene.desk.try_plan(&Work::CutOver { of: of.clone() }).unwrap_err();
        assert!(refusal.reason.contains("nothing that is ready"), "{refusal}");
        assert!(scene.desk.try_plan(&Work::Undo { of: of.clone() }).is_err());
    }
    assert!(scene.desk.plan(&work(Some(&second))).plan.preconditions.iter().all(|p| p.name != "leftovers"));

    // It goes on from there once it is known what was wrong, or it goes.
    scene.configure(|how| how.verify = vec!["select count(*) > 0 from notes".into()]);
    let again = scene.restore(Some("newest"));
    again.verified();
    assert_eq!((again.side().name, scene.notes(&side)), (side.clone(), "1,2,3,4".into()));
    scene.configure(|how| how.verify = vec!["select false".into()]);
    let planned = scene.desk.plan(&work(Some(&second)));
    let first = scene.desk.execute(planned);
    assert!(first.error().contains("NOT verified"), "{}", first.error());
    let plan = scene.desk.plan(&Work::Drop { of: first.id.clone() }).plan;
    assert_eq!(plan.risk, Risk::Disruptive);
    scene.desk.run(&Work::Drop { of: first.id.clone() }).verified();
    scene.desk.run(&Work::Drop { of: again.id.clone() }).verified();
    assert!(scene.side_folders().is_empty());
    untouched(&scene, "1,2,3,4");
}

#[test]
fn a_segment_that_is_damaged_within_is_remembered_and_the_nearest_target_is_told() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    scene.note(2);
    scene.archived();
    scene.note(3);
    // Enough behind it that the damage is in the middle of the segment.
    scene.server.psql("app", "insert into notes select n, repeat('x', 500) from generate_series(100, 2000) n");
    let broken = scene.archived();
    scene.note(5000);
    scene.archived();
    let file = scene.wal().join(&broken);
    let whole = std::fs::read(&file).unwrap();
    let mut bad = whole.clone();
    for byte in &mut bad[0x4_0000..0x4_0100] {
        *byte ^= 0xFF;
    }
    std::fs::write(&file, &bad).unwrap();
    // As far as the plan itself reads, it sees that.
    let plan = scene.desk.plan(&work(Some(&scene.now()))).plan;
    refused(&plan, "target", &["the nearest is", "cannot be read on behind", &broken]);
    // Further back only the replay does.
    scene.note(5001);
    scene.archived();
    let last = scene.note(5002);
    scene.note(5003);
    scene.archived();
    let planned = scene.desk.plan(&work(Some(&last)));
    assert_eq!(planned.plan.blockers().count(), 0, "{:?}", planned.plan.preconditions);
    let why = scene.desk.execute(planned).error();
    assert!(why.contains(&broken) && why.contains("is damaged") && why.contains("the nearest target is lsn:"), "{why}");
    assert!(why.contains("look for another copy of") && !why.contains("plan anew"), "{why}");
    let position = why.split("the nearest target is ").nth(1).and_then(|r| r.split(',').next()).unwrap().to_owned();

    // The next plan knows, and what is offered can be reached.
    let plan = scene.desk.plan(&work(Some(&last))).plan;
    refused(&plan, "target", &["later than the last transaction in the log", &broken, "is damaged behind"]);
    let (result, said) = check(&plan, "wal archive");
    assert!(result == Checked::Warned && said.contains(&broken), "{said}");
    let nearest = check(&plan, "target").1.split("the nearest is ").nth(1).and_then(|r| r.split(',').next()).unwrap();
    for to in [nearest.to_owned(), position, "newest".into()] {
        let ended = scene.restore(Some(&to));
        ended.verified();
        assert_eq!(scene.notes(&ended.side().name), "1,2,3", "{to}");
        scene.desk.run(&Work::Drop { of: ended.id.clone() }).verified();
    }
    // A good copy of the segment is all that was missing, also one with the same size and time.
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    std::fs::write(&file, &whole).unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    let ended = scene.restore(Some(&last));
    ended.verified();
    assert!(scene.notes(&ended.side().name).ends_with(",5000,5001,5002"));
    untouched(&scene, &scene.server.psql("app", "select string_agg(id::text, ',' order by id) from notes"));
}
