//! Dumps into a database beside the live one, and the cut-over.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mayday::sys::pg::{self, PgConn, PgError, PgTarget};

use crate::dumps::{COUNTS, Scene};
use crate::kit::{LIMIT, best, ratio, restore, rounds, secs, sh, time, verdict};
use crate::support::Postgres;

/// One way of restoring by hand.
#[derive(Clone, Copy)]
struct ByHand {
    jobs: u32,
    /// Sessions with settings that make loading fast.
    tuned: bool,
}

impl ByHand {
    fn word(self) -> String {
        format!("pg_restore -j{}{}", self.jobs, if self.tuned { " tuned" } else { "" })
    }

    fn tool(self, server: &Postgres, name: &str) -> Command {
        let mut tool = server.tool(name);
        if self.tuned {
            tool.env("PGOPTIONS", "-c maintenance_work_mem=256MB -c synchronous_commit=off");
        }
        tool
    }

    fn run(self, server: &Postgres, copy: &Path) -> Duration {
        let jobs = format!("-j{}", self.jobs);
        let begun = Instant::now();
        server.create_db("byhand");
        time(self.tool(server, "pg_restore").args(["--exit-on-error", "-d", "byhand", &jobs]).arg(copy));
        time(self.tool(server, "vacuumdb").args(["-q", "--analyze-only", &jobs, "-d", "byhand"]));
        server.psql("byhand", COUNTS);
        let took = begun.elapsed();
        server.psql("postgres", "drop database byhand");
        took
    }
}

/// `gunzip | psql`, analyzed and counted too.
fn piped(server: &Postgres, copy: &Path) -> Duration {
    let begun = Instant::now();
    server.create_db("byhand");
    let mut pipe = sh(&format!("gunzip -c {} | psql -X -q -v ON_ERROR_STOP=1 -d byhand -o /dev/null", copy.display()));
    for (name, value) in server.tool("psql").get_envs().filter_map(|(n, v)| Some((n, v?))) {
        pipe.env(name, value);
    }
    time(&mut pipe);
    server.psql("byhand", &format!("analyze; {COUNTS}"));
    let took = begun.elapsed();
    server.psql("postgres", "drop database byhand");
    took
}

pub fn load(scene: &Scene) -> bool {
    let server = &scene.server;
    let settle = || {
        server.psql("postgres", "checkpoint");
    };
    let mut good = true;
    let mut pipe = Vec::new();
    for (form, file) in [("custom", "app.dump"), ("directory", "app.dir")] {
        let copy = scene.copy(file);
        // Which command line is the fastest here is found first; the best two are then done in turns with mayday.
        let mut ways: Vec<(Duration, ByHand)> = Vec::new();
        for jobs in 1..=4 {
            for tuned in [false, true] {
                settle();
                let way = ByHand { jobs, tuned };
                let took = way.run(server, &copy);
                println!("       {form}: {} {:.2} s", way.word(), secs(took));
                ways.push((took, way));
            }
        }
        ways.sort_by_key(|(took, _)| *took);
        ways.truncate(2);
        let mut by_hand: Vec<Duration> = ways.iter().map(|(took, _)| *took).collect();
        let (mut ours, mut with_check) = (Vec::new(), Vec::new());
        for _ in 0..rounds() {
            settle();
            let timed = restore(&scene.shop, &[form, "--yes"]);
            println!("       {form}: mayday {:.2} s: {}", secs(timed.wall), timed.said());
            with_check.push(timed.wall);
            ours.push(timed.wall.saturating_sub(timed.phase("read the copy to its end")));
            scene.drop_side(form, &timed.id);
            for (_, way) in &ways {
                settle();
                let took = way.run(server, &copy);
                println!("       {form}: {} {:.2} s", way.word(), secs(took));
                by_hand.push(took);
            }
            settle();
            pipe.push(piped(server, &scene.copy("app.sql.gz")));
        }
        let (ours, hand, pipe) = (best(&ours), best(&by_hand), best(&pipe));
        let words = format!(
            "{form}: ready and counted in {:.2} s ({:.2} s with reading it to its end before), {:.2} times the {:.2} s of {}; \
             gunzip | psql {:.2} s",
            secs(ours),
            secs(best(&with_check)),
            ratio(ours, hand),
            secs(hand),
            ways.first().map_or_else(String::new, |(_, way)| way.word()),
            secs(pipe)
        );
        good &= verdict("load", ratio(ours, hand) <= 1.10 && ours < pipe, &words);
    }
    good
}

/// What a client of the live name sees.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    done: AtomicU64,
    cut: AtomicU64,
    /// Microseconds since the beginning.
    last_good: AtomicU64,
    longest_gap: AtomicU64,
}

async fn connect(dsn: &str) -> Result<PgConn, PgError> {
    pg::connect(&PgTarget::parse(dsn).expect("a connection string"), Duration::from_secs(10)).await
}

/// Works without a pause, and connects again whenever it is cut.
async fn client(n: usize, dsn: String, seen: Arc<Seen>) {
    while !seen.stop.load(Ordering::Relaxed) {
        let work = async {
            let conn = connect(&dsn).await?;
            while !seen.stop.load(Ordering::Relaxed) {
                let sql = format!(
                    "begin; update pgbench_accounts set abalance = abalance + 1 where aid = {}; \
                     update pgbench_tellers set tbalance = tbalance + 1 where tid = {}; commit",
                    n * 1000 + 1,
                    n + 1
                );
                conn.client.batch_execute(&sql).await?;
                seen.done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), PgError>(())
        };
        if work.await.is_err() {
            seen.cut.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Asks anew, by a connection of its own each time, whether the live name answers.
async fn prober(dsn: String, begun: Instant, seen: Arc<Seen>) {
    while !seen.stop.load(Ordering::Relaxed) {
        let asked = async { connect(&dsn).await?.client.batch_execute("select 1").await.map_err(PgError::from) };
        if asked.await.is_ok() {
            let now = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let before = seen.last_good.swap(now, Ordering::Relaxed);
            seen.longest_gap.fetch_max(now.saturating_sub(before), Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The longest time without an answer while `work` is done.
fn gap(seen: &Seen, work: impl FnOnce() -> String) -> (Duration, String) {
    let busy = |more: u64| {
        let from = seen.done.load(Ordering::Relaxed);
        crate::support::wait_until("clients work", LIMIT, || seen.done.load(Ordering::Relaxed) >= from + more);
    };
    busy(500);
    seen.longest_gap.store(0, Ordering::Relaxed);
    let said = work();
    busy(200);
    (Duration::from_micros(seen.longest_gap.load(Ordering::Relaxed)), said)
}

pub fn cutover(scene: &Scene) -> bool {
    const CLIENTS: usize = 50;
    let begun = Instant::now();
    let seen = Arc::new(Seen::default());
    let clients =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let dsn = scene.server.socket_dsn("app");
    let restored: Vec<_> = (0..rounds()).map(|_| restore(&scene.shop, &["custom", "--yes"])).collect();
    for n in 0..CLIENTS {
        clients.spawn(client(n, dsn.clone(), seen.clone()));
    }
    let probing =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    probing.spawn(prober(dsn, begun, seen.clone()));
    let mut gaps = Vec::new();
    let step = |what: &str, of: &str| {
        let of = of.to_owned();
        let flag = format!("--{what}");
        gap(&seen, || restore(&scene.shop, &["custom", &flag, "--run", &of, "--confirm", "app"]).detail)
    };
    for timed in &restored {
        for what in ["cut-over", "undo"] {
            let (gap, said) = step(what, &timed.id);
            println!("       {what}: no answer for {} ms: {said}", gap.as_millis());
            gaps.push(gap);
        }
    }
    seen.stop.store(true, Ordering::Relaxed);
    drop(probing);
    drop(clients);
    gaps.sort_unstable();
    let (median, worst) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    let words = format!(
        "with {CLIENTS} busy clients the live name answered again after {} ms (median), {} ms (worst of {}); {} transactions, \
         {} times a client was cut or refused",
        median.as_millis(),
        worst.as_millis(),
        gaps.len(),
        seen.done.load(Ordering::Relaxed),
        seen.cut.load(Ordering::Relaxed)
    );
    verdict("cutover", worst <= Duration::from_millis(500), &words)
}
