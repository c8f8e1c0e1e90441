//! What restores take, with the real program against real servers: `cargo bench --bench restore` (all of it, about
//! twenty minutes at the default size), or with the names of figures: `cargo bench --bench restore -- load cutover`.
//!
//! Servers and copies are made for the bench and lie in the temporary folder (`TMPDIR`), of which about 5 GB are used.
//! `MAYDAY_BENCH_SCALE` is the size: pgbench's scale (20), to which a table of text with four indexes and three indexes
//! more are added; 20 makes a database of about 600 MB. `MAYDAY_BENCH_ROUNDS` is how often everything is done (3). What is
//! compared is done in turns, so that a busy machine hits all of it; the best of each is compared, because only noise
//! makes a round slower. The servers are durable (fsync on) with 256 MB of shared buffers and room for the log.
//!
//! | figure | what is done | limit |
//! | --- | --- | --- |
//! | load | a custom and a directory dump, by `mayday restore --wait` until ready and counted, against the fastest of `pg_restore -jN` (N 1 to 4, with and without settings for loading) + analyze + the same counts, and against `gunzip \| psql` | 1.10 × the first, before the second |
//! | cutover | 50 clients at work on the live name while it is cut over and put back: how long until it answers again | 500 ms |
//! | memory | the largest resident memory of the runner over restores of each kind of copy | 32 MiB |
//! | check | reading each kind of copy to its end, by the restore and by `backups verify`, against `gzip -t`, `zstd -t`, `pg_restore -f /dev/null` | 1.10 × for noise |
//! | pitr | to a moment behind all of pgbench's tables written anew, against copying the base and replaying by hand | 1.10 × |
//! | redis | a million keys: side load and hand-over | told |
//!
//! As decided for restores, reading the copy to its end and pg_amcheck are not in the time of `load`: the first is told
//! beside it, the second is switched off here. Planning, starting the runner and everything else is in it. Ends with 1
//! when a figure is missed.

#[path = "../../tests/support/mod.rs"]
mod support;

mod check;
mod dumps;
mod kit;
mod pitr;
mod postgres;
mod redis;

use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    mayday::sys::tls::install_provider();
    let mut good = true;
    if ["load", "cutover", "memory", "check"].iter().any(|n| runs(n)) {
        let scene = dumps::Scene::new();
        if runs("load") {
            good &= postgres::load(&scene);
        }
        if runs("cutover") {
            good &= postgres::cutover(&scene);
        }
        if runs("check") {
            good &= check::check(&scene);
        }
        if runs("memory") {
            good &= check::memory(&scene);
        }
    }
    if runs("pitr") {
        good &= pitr::pitr();
    }
    if runs("redis") {
        good &= redis::redis();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
