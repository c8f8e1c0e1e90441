//! To a moment: from base backups of a real server and the log that it archives, into a cluster beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use mayday::config::{PitrLog, PitrRestore, Restore};
use mayday::domain::run::{Checked, Plan, SideRole, Work};

use crate::kit::{Desk, Ended, check};
use crate::support::{PATIENCE, PgOptions, Postgres, guard, scratch, wait_until};

/// A server that archives, a desk that restores, and the folders between them.
pub struct Scene {
    pub server: Postgres,
    pub desk: Desk,
    pub dir: tempfile::TempDir,
}

impl Scene {
    /// `how` gets the path of a segment and of the archive and puts one into the other.
    pub fn start_with(how: &str) -> Scene {
        let dir = scratch();
        guard::give_away(dir.path());
        for name in ["wal", "side", "bases"] {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).unwrap();
            guard::give_away(&path);
        }
        let archive = dir.path().join("wal").display().to_string();
        let server = Postgres::start_with(
            PgOptions::default()
                .set("archive_mode", "on")
                .set("archive_command", &how.replace("ARCHIVE", &archive))
                .set("wal_level", "replica")
                // Not the defaults, so that a side cluster with those would not replay.
                .set("max_connections", "117")
                .set("max_prepared_transactions", "3"),
        );
        server.create_db("app");
        server.psql("app", "create table notes (id int primary key, body text)");
        let mut desk = Desk::new(Restore::PostgresPitr(Box::new(PitrRestore {
            database: "app".into(),
            directory: dir.path().join("side"),
            log: PitrLog::Folder(dir.path().join("wal")),
            user: None,
            role: "postgres".into(),
            port: None,
            settings: Default::default(),
            verify: vec!["select count(*) > 0 from notes".into()],
            switch: Vec::new(),
            tables: Vec::new(),
            live: None,
            timeout: None,
        })));
        desk.ctx.state_dir = dir.path().join("state");
        Scene { server, desk, dir }
    }

    pub fn start() -> Scene {
        Scene::start_with("cp %p ARCHIVE/%f")
    }

    pub fn configure(&mut self, change: impl FnOnce(&mut PitrRestore)) {
        self.desk.configure(|r| match r {
            Restore::PostgresPitr(how) => change(how),
            _ => panic!("another restore"),
        });
    }

    pub fn wal(&self) -> PathBuf {
        self.dir.path().join("wal")
    }

    pub fn side_folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join("side")).unwrap();
        entries.map(|e| e.unwrap().path()).collect()
    }

    /// Takes a base backup into the folder of copies.
    #[track_caller]
    pub fn base(&mut self, name: &str, args: &[&str]) {
        let path = self.dir.path().join("bases").join(name);
        let mut tool = self.server.tool("pg_basebackup");
        tool.arg("-D").arg(&path).args(["--checkpoint=fast", "--no-sync"]).args(args);
        ran(&mut tool);
        self.listed(name, &path);
    }

    /// Lists a copy as the catalogue would.
    pub fn listed(&mut self, name: &str, path: &Path) {
        let to = self.desk.copy_path(name);
        std::os::unix::fs::symlink(path, &to).unwrap();
        self.desk.list(name);
        // The server's clock is this one's, and so is the order of copies.
        let copies = self.desk.ctx.copies.get_mut("full").unwrap();
        copies[0].taken_at = mayday::domain::Time::from_ms(mayday::sys::clock::now_ms());
    }

    /// Adds a row and gives the moment right behind it, as the server's clock has it.
    pub fn note(&self, id: i32) -> String {
        self.server.psql("app", &format!("insert into notes values ({id}, 'note {id}')"));
        self.now()
    }

    pub fn now(&self) -> String {
        let form = "YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"";
        self.server.psql("app", &format!("select to_char(clock_timestamp() at time zone 'UTC', '{form}')"))
    }

    /// Ends the present segment and waits until it is in the archive. Gives its name.
    pub fn archived(&self) -> String {
        let name = self.server.psql("app", "select pg_walfile_name(pg_switch_wal())");
        wait_until("the segment is archived", PATIENCE, || {
            self.server.psql("app", "select last_archived_wal from pg_stat_archiver") >= name
        });
        name
    }

    /// Asks a side cluster.
    #[track_caller]
    pub fn ask(&self, side: &str, sql: &str) -> String {
        let cluster = cluster(Path::new(side));
        let mut psql = self.server.tool("psql");
        psql.env("PGHOST", side).env("PGPORT", cluster["port"].to_string());
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "app", "-c", sql]);
        ran(&mut psql)
    }

    /// Ids of the notes in a side cluster.
    pub fn notes(&self, side: &str) -> String {
        self.ask(side, "select string_agg(id::text, ',' order by id) from notes")
    }

    #[track_caller]
    pub fn restore(&mut self, to: Option<&str>) -> Ended {
        self.desk.run(&work(to))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Side clusters outlive whoever made them; here they must not.
        for side in self.side_folders() {
            if let Some(pid) = running(&side) {
                // SAFETY: a plain system call on a server of this test.
                unsafe { libc::kill(pid, libc::SIGQUIT) };
                guard::wait_gone(pid, PATIENCE);
            }
        }
    }
}

pub fn ran(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = |b: &[u8]| String::from_utf8_lossy(b).trim_end().to_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output.stderr));
    text(&output.stdout)
}

pub fn work(to: Option<&str>) -> Work {
    Work::Restore { backup: "full".into(), copy: None, test: false, to: to.map(str::to_owned), only: Vec::new() }
}

pub fn cluster(side: &Path) -> serde_json::Value {
    cluster_if_there(side).unwrap()
}

/// None while its folder is there and what it is about is not yet written.
pub fn cluster_if_there(side: &Path) -> Option<serde_json::Value> {
    std::fs::read(side.join("cluster.json")).ok().map(|text| serde_json::from_slice(&text).unwrap())
}

/// The server that works in this side cluster's data folder.
pub fn running(side: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(side.join("data/postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    (cwd == side.join("data").canonicalize().ok()?).then_some(pid)
}

#[track_caller]
pub fn refused(plan: &Plan, name: &str, wanted: &[&str]) {
    let (result, detail) = check(plan, name);
    assert_eq!(result, Checked::Failed, "{name}: {detail}");
    for wanted in wanted {
        assert!(detail.contains(wanted), "{name} does not say \"{wanted}\": {detail}");
    }
}

#[test]
fn a_folder_and_plain_log_to_moments_between_transactions() {
    let mut scene = Scene::start();
    scene.note(1);
    scene.base("base", &[]);
    let second = scene.note(2);
    let third = scene.note(3);
    scene.note(4);
    scene.archived();
    let fifth = scene.note(5);
    scene.archived();

    let plan = scene.desk.plan(&work(Some(&third))).plan;
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.preconditions);
    assert!(check(&plan, "window").1.contains("on timeline 1"));
    assert!(plan.title.contains("as of"), "{}", plan.title);
    let lost = plan.data_lost_ms.unwrap();
    assert!((0..600_000).contains(&lost), "{lost}");
    assert!(scene.side_folders().is_empty(), "planning changes nothing");

    let ended = scene.restore(Some(&third));
    let said = ended.verified();
    assert!(said.contains("every file of the base backup is what its manifest says"), "{said}");
    assert!(said.contains("1 query true") && said.contains("last transaction"), "{said}");
    let side = ended.side();
    assert_eq!((side.kind.as_str(), side.role, side.live.as_str()), ("cluster", SideRole::Ready, "app"));
    assert!(ended.open().is_none());
    assert_eq!(scene.notes(&side.name), "1,2,3");

    // It stands apart: no archiving, no outside address, another port, still in recovery.
    let show = |what: &str| scene.ask(&side.name, &format!("show {what}"));
    assert_eq!((show("archive_mode"), show("listen_addresses")), ("off".into(), "127.0.0.1".into()));
    assert_eq!(show("archive_command"), "(disabled)");
    let port = cluster(Path::new(&side.name))["port"].as_u64().unwrap();
    assert!(port != u64::from(scene.server.port()) && port != 5432);
    assert_eq!(show("max_connections"), "117");
    assert_eq!(scene.ask(&side.name, "select pg_is_in_recovery()"), "t");

    // A later moment goes on where it stands; an earlier one begins anew, beside.
    let plan = scene.desk.plan(&work(Some(&fifth))).plan;
    refused(&plan, "target", &["later than the last transaction", "the nearest is"]);
    // Nobody has said that what is ready is to be used up: it stays, and which moment it is of is said.
    let plan = scene.desk.plan(&work(None)).plan;
    let (result, said) = check(&plan, "side cluster");
    assert!(result == Checked::Warned && said.contains("stays as it is"), "{said}");
    assert!(said.contains("--to newest replays what is paused further"), "{said}");
    assert!(!plan.effects.iter().any(|e| e.contains("further")), "{:?}", plan.effects);
    let (result, said) = check(&plan, "another moment");
    assert!(result == Checked::Warned && said.starts_with("not the moment that is asked for"), "{said}");
    assert!(said.contains("paused at 20") && said.contains(&side.name), "{said}");
    let plan = scene.desk.plan(&work(Some(&third))).plan;
    assert!(check(&plan, "restored already").1.contains("paused at 20"), "{:?}", plan.preconditions);
    for unknown in ["name:before", "xid:4711"] {
        let plan = scene.desk.plan(&work(Some(unknown))).plan;
        let (_, said) = check(&plan, "side cluster");
        assert!(said.contains("is known only by replaying") && !said.contains("cannot be"), "{said}");
    }
    let plan = scene.desk.plan(&work(Some("newest"))).plan;
    assert!(plan.effects.iter().any(|e| e.contains("replays the side cluster")), "{:?}", plan.effects);
    assert!(plan.preconditions.iter().all(|p| p.name != "another moment"), "{:?}", plan.preconditions);
    let ended = scene.restore(Some("newest"));
    assert_eq!(ended.side().name, side.name, "{}", ended.output());
    assert_eq!(scene.notes(&side.name), "1,2,3,4,5");
    let ended = scene.restore(Some(&second));
    assert_ne!(ended.side().name, side.name);
    assert_eq!(scene.notes(&ended.side().name), "1,2");
    let (result, said) = check(&ended.plan, "side cluster");
    assert!(result == Checked::Warned && said.contains("cannot be replayed to this target"), "{said}");

    // Both go without a trace.
    for run in [scene.desk.ctx.runs[1].plan.id.clone(), ended.id.clone()] {
        let pids: Vec<i32> = scene.side_folders().iter().filter_map(|s| running(s)).collect();
        let gone = scene.desk.run(&Work::Drop { of: run });
        assert!(gone.verified().contains("is gone"));
        assert!(scene.side_folders().len() < pids.len());
    }
    assert!(scene.side_folders().is_empty());
}
