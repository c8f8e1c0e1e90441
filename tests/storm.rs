//! `kill -9` of engine and runners at random moments, many times over: nothing acknowledged is lost, nothing runs twice,
//! nothing is unaccounted for, and a live database is never without a name for long.
//!
//! The seed is printed; `MAYDAY_STORM_SEED` repeats one, `MAYDAY_STORM_ROUNDS` makes it longer.

mod support;

#[path = "storm/cut_over.rs"]
mod cut_over;
#[path = "storm/engine.rs"]
mod engine;

use std::time::Duration;

/// Random numbers that can be had again: xorshift of a printed seed.
pub struct Dice(u64);

impl Dice {
    /// From `MAYDAY_STORM_SEED`, else from the clock; printed.
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let seed = std::env::var("MAYDAY_STORM_SEED").ok().and_then(|s| s.parse().ok());
        let seed = seed.unwrap_or_else(|| mayday::sys::clock::now_ms() as u64 ^ u64::from(std::process::id()) << 32);
        eprintln!("MAYDAY_STORM_SEED={seed}");
        Dice(seed | 1)
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit.max(1)
    }

    /// Lets a random time pass: the moment of a blow is what these tests are about, nothing is waited for by it.
    pub fn pass(&mut self, up_to: Duration) {
        std::thread::sleep(Duration::from_micros(self.below(up_to.as_micros() as u64)));
    }
}

/// Rounds of a storm: `MAYDAY_STORM_ROUNDS`, else `usual`.
pub fn rounds(usual: u64) -> u64 {
    std::env::var("MAYDAY_STORM_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(usual)
}

/// Runner processes of this home, oldest first.
pub fn runners(home: &support::Home) -> Vec<i32> {
    let mut found: Vec<i32> = home
        .processes()
        .into_iter()
        .filter(|pid| {
            let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            cmdline.split(|b| *b == 0).nth(1) == Some(b"runner")
        })
        .collect();
    found.sort_unstable();
    found
}

/// `kill -9`.
pub fn kill(pid: i32) {
    // SAFETY: a plain system call on a process that was just found among this test's own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}
