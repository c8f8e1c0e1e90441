//! Base backups and logs as other tools keep them: a real repository of pgBackRest, and the folders of a real Barman.

use std::path::{Path, PathBuf};
use std::process::Command;

use mayday::config::{BackupSource, FilesSource, PitrLog, RepoSource};
use mayday::domain::run::{Checked, Work};

use crate::kit::check;
use crate::pitr::{Scene, ran, refused, work};
use crate::support::{guard, program};

/// A tool, as the user that the server runs as.
fn tool(name: &str, package: &str) -> Command {
    let mut command = Command::new(program(name, package));
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir("/tmp");
    guard::drop_privileges(&mut command);
    command
}

fn made(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
    guard::give_away(path);
}

fn written(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    guard::give_away(path);
}

/// The largest file below `dir` that holds data of a table.
fn largest(dir: &Path) -> PathBuf {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap().flatten() {
            let meta = std::fs::symlink_metadata(entry.path()).unwrap();
            if meta.is_dir() {
                folders.push(entry.path());
            } else if meta.is_file() && entry.path().display().to_string().contains("/pg_data/base/") {
                found.push((meta.len(), entry.path()));
            }
        }
    }
    found.into_iter().max().expect("the backup has files").1
}

#[test]
fn a_repository_of_pgbackrest() {
    // Where its configuration will be is known only once there is a folder.
    let mut scene = Scene::start_with("pgbackrest --config=ARCHIVE/../pgbackrest.conf --stanza=main archive-push %p");
    let dir = scene.dir.path().to_path_buf();
    let config = dir.join("pgbackrest.conf");
    for name in ["repo", "log", "lock", "spool"] {
        made(&dir.join(name));
    }
    let shown = |name: &str| dir.join(name).display().to_string();
    written(
        &config,
        &format!(
            "[global]\nrepo1-path={}\nlog-path={}\nlock-path={}\nspool-path={}\nstart-fast=y\n[main]\npg1-path={}\npg1-port={}\npg1-socket-path={}\npg1-user=postgres\n",
            shown("repo"),
            shown("log"),
            shown("lock"),
            shown("spool"),
            scene.server.data_dir().display(),
            scene.server.port(),
            scene.server.socket_dir().display(),
        ),
    );
    let pgbackrest = |args: &[&str]| {
        let mut command = tool("pgbackrest", "pgbackrest");
        command.arg(format!("--config={}", config.display())).arg("--stanza=main").args(args);
        ran(&mut command)
    };
    pgbackrest(&["stanza-create"]);
    scene.note(1);
    let live = dir.join("space");
    made(&live);
    scene.server.psql("app", &format!("create tablespace fast location '{}'", live.display()));
    scene
        .server
        .psql("app", "create table big (n int) tablespace fast; insert into big select generate_series(1, 100)");
    pgbackrest(&["backup", "--type=full"]);
    // Listed as the catalogue does it: the backup, and how far its log goes.
    let log = PitrLog::PgBackRest { stanza: "main".into(), config: Some(config.clone()), repo: None };
    let source = RepoSource { log, user: None, rescan: None };
    let listed = |scene: &Scene| {
        let mut set = scene.desk.ctx.config.backups[0].clone();
        set.source = BackupSource::Repo(Box::new(source.clone()));
        let mut listed = mayday::backup::source_of(&set).list(100, &Default::default()).unwrap();
        assert_eq!(listed.copies.len(), 1);
        listed.copies.remove(0).found
    };
    let found = listed(&scene);
    assert_eq!((found.copy.format.as_str(), found.fault.as_deref()), ("pgbackrest backup", None));
    let newest = scene.archived();
    let log = listed(&scene).log.unwrap();
    assert_eq!((log.last.unwrap().0, log.gap, log.unknown), (newest, None, None));
    let second = scene.note(2);
    scene.note(3);
    scene.archived();
    let hole = {
        scene.note(4);
        scene.archived()
    };
    scene.note(5);
    scene.archived();
    scene.desk.source(BackupSource::Repo(Box::new(source.clone())));
    scene.configure(|how| {
        how.log = PitrLog::PgBackRest { stanza: "main".into(), config: Some(config.clone()), repo: None };
    });

    let plan = scene.desk.plan(&work(Some(&second))).plan;
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.preconditions);
    assert!(check(&plan, "base backup").1.contains("a backup of pgBackRest"));
    let ended = scene.restore(Some(&second));
    ended.verified();
    let side = ended.side().name;
    assert_eq!(scene.notes(&side), "1,2");
    assert_eq!(scene.ask(&side, "select count(*) from big"), "100");
    let place = scene.ask(&side, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'fast'");
    assert!(place.starts_with(&side), "{place}");
    assert_eq!(scene.ask(&side, "show archive_mode"), "off");
    // On to the newest, in the same cluster.
    let further = scene.restore(Some("newest"));
    assert_eq!(further.side().name, side);
    assert_eq!(scene.notes(&side), "1,2,3,4,5");
    scene.desk.run(&Work::Drop { of: further.id }).verified();

    // `info` says ok and `verify` exits 0 with a hole in the log; here it is named.
    let segments = dir.join("repo/archive/main/15-1/0000000100000000");
    let segments = if segments.is_dir() {
        segments
    } else {
        let archive = dir.join("repo/archive/main");
        archive.read_dir().unwrap().flatten().find(|e| e.path().is_dir()).unwrap().path().join("0000000100000000")
    };
    let file = segments.read_dir().unwrap().flatten().map(|e| e.path());
    let file = file.into_iter().find(|p| p.file_name().unwrap().to_string_lossy().starts_with(&hole)).unwrap();
    std::fs::remove_file(file).unwrap();
    assert!(pgbackrest(&["info"]).contains("status: ok"));
    assert!(listed(&scene).log.unwrap().gap.is_some_and(|gap| gap.contains(&hole)));
    let plan = scene.desk.plan(&work(None)).plan;
    let (result, said) = check(&plan, "wal archive");
    assert!(result == Checked::Warned && said.contains(&hole), "{said}");
    let ended = scene.restore(None);
    ended.verified();
    assert_eq!(scene.notes(&ended.side().name), "1,2,3");
    assert_eq!(scene.server.psql("app", "select count(*) from notes"), "5");
    // The live server still archives: nothing of the tool's was taken from it.
    scene.note(6);
    scene.archived();

    // A file of the backup that rotted: `info` says ok, and what is restored out of it is not called restored.
    let rotten = largest(&dir.join("repo/backup/main"));
    let mut bytes = std::fs::read(&rotten).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].iter_mut().take(64).for_each(|b| *b ^= 0x55);
    std::fs::write(&rotten, bytes).unwrap();
    assert!(pgbackrest(&["info"]).contains("status: ok"));
    scene.desk.run(&Work::Drop { of: ended.id }).verified();
    let broken = scene.restore(Some(&second));
    let why = broken.error();
    assert!(why.contains("pgbackrest") && broken.open().is_none(), "{why}");
    assert_eq!(scene.server.psql("app", "select count(*) from notes"), "6");

    scene.configure(|how| {
        how.log = PitrLog::PgBackRest { stanza: "other".into(), config: Some(config.clone()), repo: None };
    });
    refused(&scene.desk.plan(&work(None)).plan, "base backup", &["stanza", "other"]);
}

#[test]
fn the_folders_of_barman() {
    let mut scene = Scene::start_with("cp %p ARCHIVE/%f");
    let dir = scene.dir.path().to_path_buf();
    for name in ["barman", "log"] {
        made(&dir.join(name));
    }
    let user = guard::unprivileged().map_or_else(mayday::sys::peer::current_uid, |(uid, _)| uid);
    let address = format!(
        "host={} port={} user=postgres dbname=postgres",
        scene.server.socket_dir().display(),
        scene.server.port()
    );
    let incoming = dir.join("barman/main/incoming");
    made(&dir.join("barman/main"));
    made(&incoming);
    let config = dir.join("barman.conf");
    written(
        &config,
        &format!(
            "[barman]\nbarman_user = {}\nbarman_home = {home}\nbarman_lock_directory = {home}\nlog_file = {log}/barman.log\nconfiguration_files_directory = {home}\n[main]\ndescription = test\nconninfo = {address}\nstreaming_conninfo = {address}\nbackup_method = postgres\narchiver = on\nstreaming_archiver = off\ncompression = gzip\nminimum_redundancy = 0\nimmediate_checkpoint = true\npath_prefix = {bin}\n",
            mayday::sys::peer::user_name(user),
            home = dir.join("barman").display(),
            log = dir.join("log").display(),
            bin = crate::support::postgres::bin("pg_basebackup").parent().unwrap().display(),
        ),
    );
    let barman = |args: &[&str]| {
        let mut command = tool("barman", "barman");
        command.env("HOME", &dir).arg("-c").arg(&config).args(args);
        ran(&mut command)
    };
    // Barman takes what was archived out of its incoming folder; our server archives by copying, so we hand it on.
    let hand_on = |scene: &Scene| {
        scene.archived();
        for entry in std::fs::read_dir(scene.wal()).unwrap().flatten() {
            let to = incoming.join(entry.file_name());
            std::fs::rename(entry.path(), &to).unwrap();
        }
        barman(&["archive-wal", "main"]);
    };
    scene.note(1);
    hand_on(&scene);
    barman(&["backup", "main"]);
    let second = scene.note(2);
    scene.note(3);
    hand_on(&scene);
    scene.note(4);
    hand_on(&scene);
    let bases = dir.join("barman/main/base");
    let id = std::fs::read_dir(&bases).unwrap().flatten().next().unwrap().file_name().into_string().unwrap();
    scene.listed(&id, &bases.join(&id));
    let wals = dir.join("barman/main/wals");
    scene.configure(|how| how.log = PitrLog::Folder(wals.clone()));
    let ended = scene.restore(Some(&second));
    ended.verified();
    assert_eq!(scene.notes(&ended.side().name), "1,2");
    let further = scene.restore(Some("newest"));
    assert_eq!(further.side().name, ended.side().name);
    assert_eq!(scene.notes(&further.side().name), "1,2,3,4");
    scene.desk.run(&Work::Drop { of: further.id }).verified();

    // Barman reports success across a hole; here it is named.
    let hole = scene.archived();
    hand_on(&scene);
    scene.note(5);
    hand_on(&scene);
    std::fs::remove_file(wals.join(&hole[..16]).join(&hole)).unwrap();
    assert!(barman(&["list-backup", "main"]).contains(&id));
    let plan = scene.desk.plan(&work(None)).plan;
    let (result, said) = check(&plan, "wal archive");
    assert!(result == Checked::Warned && said.contains(&hole), "{said}");
    let mut set = scene.desk.ctx.config.backups[0].clone();
    set.source =
        BackupSource::Files(FilesSource { path: bases, pattern: "*".into(), folders: true, ..FilesSource::default() });
    let listed = mayday::backup::source_of(&set).list(100, &Default::default()).unwrap();
    let log = listed.copies[0].found.log.clone().unwrap();
    assert!(log.gap.is_some_and(|gap| gap.contains(&hole)), "{:?}", listed.copies[0].found);
}
