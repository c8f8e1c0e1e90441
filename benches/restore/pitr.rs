//! To a moment, from a base backup and the archived log, against doing the same by hand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::dumps::{fill, options};
use crate::kit::{LIMIT, best, ratio, restore, rounds, secs, sh, time, verdict};
use crate::support::postgres::bin;
use crate::support::{Cockpit, Postgres, free_port, guard, scratch, wait_until};

const VERIFY: &str = "select count(*) > 0 from pgbench_accounts";

struct Scene {
    server: Postgres,
    dir: tempfile::TempDir,
    /// The moment to go to.
    to: String,
}

impl Scene {
    fn new() -> Scene {
        let dir = scratch();
        guard::give_away(dir.path());
        for name in ["wal", "side", "bases", "byhand"] {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).expect("make a folder");
            guard::give_away(&path);
        }
        let wal = dir.path().join("wal").display().to_string();
        let server = Postgres::start_with(
            options()
                .set("archive_mode", "on")
                .set("archive_command", &format!("cp %p {wal}/%f"))
                .set("wal_level", "replica"),
        );
        fill(&server, "app");
        let mut base = server.tool("pg_basebackup");
        base.args(["--checkpoint=fast", "--no-sync", "-D"]).arg(dir.path().join("bases/base"));
        guard::drop_privileges(&mut base);
        time(&mut base);
        let before = server.psql("app", "select pg_current_wal_lsn()");
        // Every account is written anew, in several transactions, and every note; then a while of small ones.
        server.psql("app", "update pgbench_accounts set abalance = aid % 1000 where aid % 2 = 0");
        server.psql("app", "update pgbench_accounts set filler = 'x' where aid % 2 = 1");
        server.psql("app", "update notes set title = title || ' again'");
        time(server.tool("pgbench").args(["-c", "4", "-t", "5000", "-n", "app"]));
        let moment = "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        let to = server.psql("app", moment);
        server.psql("app", "create table after_the_moment (n int)");
        let segment = server.psql("app", "select pg_walfile_name(pg_switch_wal())");
        wait_until("the log is archived", LIMIT, || {
            server.psql("app", "select last_archived_wal from pg_stat_archiver") >= segment
        });
        let log = server.psql("app", &format!("select pg_size_pretty(pg_current_wal_lsn() - '{before}'::pg_lsn)"));
        let size = server.psql("app", "select pg_size_pretty(pg_database_size('app'))");
        println!("a database of {size} now, {log} of log to replay");
        server.stop();
        Scene { server, dir, to }
    }

    /// Copies the base and replays up to the moment, with nothing set that need not be.
    fn by_hand(&self) -> Duration {
        let data = self.dir.path().join("byhand/data");
        let begun = Instant::now();
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.dir.path().join("bases/base")).arg(&data);
        guard::drop_privileges(&mut copy);
        time(&mut copy);
        let port = free_port();
        let settings = format!(
            "restore_command = 'cp {wal}/%f %p'\nrecovery_target_time = '{to}'\nrecovery_target_action = 'pause'\n\
             listen_addresses = ''\nunix_socket_directories = '{side}'\nport = {port}\nshared_buffers = '256MB'\n\
             max_connections = 120\narchive_mode = off\nhot_standby = on\n",
            wal = self.dir.path().join("wal").display(),
            // The server does not know the zone Z while it reads its settings.
            to = self.to.replace('T', " ").replace('Z', "+00"),
            side = self.dir.path().join("byhand").display(),
        );
        std::fs::write(data.join("postgresql.auto.conf"), settings).expect("write its settings");
        std::fs::write(data.join("recovery.signal"), "").expect("ask for a recovery");
        for name in ["postgresql.auto.conf", "recovery.signal"] {
            guard::give_away(&data.join(name));
        }
        let mut postgres = Command::new(bin("postgres"));
        postgres.arg("-D").arg(&data).env("LC_ALL", "C").current_dir(&data);
        guard::drop_privileges(&mut postgres);
        let log = self.dir.path().join("byhand.log");
        let mut running = guard::start(postgres, "postgres by hand", &log);
        let ask = |sql: &str| {
            let mut psql = self.server.tool("psql");
            psql.env("PGHOST", self.dir.path().join("byhand")).env("PGPORT", port.to_string());
            let output = psql.args(["-XqAt", "-d", "app", "-c", sql]).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        running.wait_ready(LIMIT, || ask("select pg_get_wal_replay_pause_state()").as_deref() == Some("paused"));
        assert_eq!(ask(VERIFY).as_deref(), Some("t"));
        let took = begun.elapsed();
        running.end(libc::SIGQUIT, LIMIT);
        std::fs::remove_dir_all(&data).expect("remove it");
        took
    }

    fn cockpit(&self) -> Cockpit {
        let dir = self.dir.path().display();
        Cockpit::new(&format!(
            "[system]\nname = \"shop\"\n[[backup]]\nname = \"moments\"\nrpo = \"26h\"\n\
             files = {{ path = \"{dir}/bases\", pattern = \"*\", folders = true, settle = \"10ms\" }}\n\
             [backup.restore.postgres_pitr]\ndatabase = \"app\"\ndirectory = \"{dir}/side\"\nwal_archive = \"{dir}/wal\"\n\
             settings = {{ shared_buffers = \"256MB\" }}\nverify = [\"{VERIFY}\"]\n"
        ))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Side clusters outlive whoever made them; here they must not.
        for side in std::fs::read_dir(self.dir.path().join("side")).into_iter().flatten().flatten() {
            if let Some(pid) = server_in(&side.path()) {
                // SAFETY: a plain system call on a server of this bench.
                unsafe { libc::kill(pid, libc::SIGQUIT) };
            }
        }
    }
}

/// The server that works in this side cluster's data folder.
fn server_in(side: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(side.join("data/postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    let cwd: PathBuf = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    (cwd == side.join("data").canonicalize().ok()?).then_some(pid)
}

pub fn pitr() -> bool {
    let scene = Scene::new();
    let shop = scene.cockpit();
    shop.start();
    wait_until("it can be restored", LIMIT, || {
        shop.run(&["restore", "moments", "--to", &scene.to, "--plan"]).code == 0
    });
    let (mut ours, mut hand, mut peak) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds() {
        // What the round before left to be written to the disk is not this one's.
        time(&mut sh("sync"));
        let timed = restore(&shop, &["moments", "--to", &scene.to, "--yes"]);
        println!("       mayday {:.2} s: {}; {}", secs(timed.wall), timed.said(), timed.detail);
        ours.push(timed.wall);
        peak = peak.max(timed.peak_kib);
        shop.run(&["restore", "moments", "--drop", "--run", &timed.id, "--yes", "--wait"]).ok();
        time(&mut sh("sync"));
        hand.push(scene.by_hand());
        println!("       by hand {:.2} s", hand.last().map_or(0.0, |t| secs(*t)));
    }
    let (ours, hand) = (best(&ours), best(&hand));
    let mib = peak as f64 / 1024.0;
    let words = format!(
        "verified at the moment in {:.2} s, {:.2} times the {:.2} s of copying and replaying by hand; the runner took at most \
         {mib:.1} MiB",
        secs(ours),
        ratio(ours, hand),
        secs(hand)
    );
    verdict("pitr", ratio(ours, hand) <= 1.10 && mib <= 32.0, &words)
}
