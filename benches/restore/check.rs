//! Reading copies to their end, and what memory restores take.

use std::time::Duration;

use crate::dumps::{FORMS, Scene};
use crate::kit::{best, ratio, restore, rounds, secs, sh, time, verdict};
use crate::support::postgres::bin;

/// What reads a copy to its end without mayday.
fn alone(name: &str, path: &str) -> Option<String> {
    Some(match name {
        "sql-gz" | "files-gz" => format!("gzip -t {path}"),
        "sql-zst" | "files-zst" => format!("zstd -q -t {path}"),
        // Itself: the one in the path may be a script that looks for it first.
        "custom" | "directory" | "tar" => format!("{} -f /dev/null {path}", bin("pg_restore").display()),
        // Nothing is compressed: what is left is to look at the text.
        "sql" => format!("cat {path} | tail -n 1 | grep -c ''"),
        _ => return None,
    })
}

fn copies() -> impl Iterator<Item = (&'static str, &'static str)> {
    FORMS.into_iter().chain([("files-gz", "documents.tar.gz"), ("files-zst", "documents.tar.zst")])
}

pub fn check(scene: &Scene) -> bool {
    let mut good = true;
    for (name, file) in copies() {
        let path = scene.copy(file).display().to_string();
        let Some(line) = alone(name, &path) else { continue };
        let (mut by_hand, mut restoring, mut verifying) = (Vec::new(), Vec::new(), Vec::new());
        // Once beforehand, so that all of them find it in memory.
        time(&mut sh(&line));
        for _ in 0..rounds() {
            by_hand.push(time(&mut sh(&line)));
            let verified = scene.shop.run(&["backups", "verify", name, "--json"]).ok().json();
            assert_eq!(verified["good"], true, "{verified:#}");
            verifying.push(Duration::from_millis(verified["took_ms"].as_u64().expect("its time")));
            by_hand.push(time(&mut sh(&line)));
            let timed = restore(&scene.shop, &[name, "--test", "--yes"]);
            restoring.push(timed.phase("read the copy to its end"));
        }
        let (hand, restoring, verifying) = (best(&by_hand), best(&restoring), best(&verifying));
        // A pipe through `cat` is no decompressor: only told.
        let met = name == "sql" || ratio(restoring, hand) <= 1.10 && ratio(verifying, hand) <= 1.10;
        let words = format!(
            "{name}: {:.2} s by a restore ({:.2} x), {:.2} s by backups verify ({:.2} x), {:.2} s by {}",
            secs(restoring),
            ratio(restoring, hand),
            secs(verifying),
            ratio(verifying, hand),
            secs(hand),
            line.split(' ').next().and_then(|w| w.rsplit('/').next()).unwrap_or_default()
        );
        good &= verdict("check", met, &words);
    }
    good
}

pub fn memory(scene: &Scene) -> bool {
    let mut good = true;
    for (name, _) in copies() {
        let timed = restore(&scene.shop, &[name, "--test", "--yes"]);
        let mib = timed.peak_kib as f64 / 1024.0;
        good &= verdict("memory", mib > 0.0 && mib <= 32.0, &format!("{name}: the runner took at most {mib:.1} MiB"));
    }
    good
}
