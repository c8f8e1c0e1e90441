//! Reading the clocks, and a clock that tests can set.
//!
//! Three clocks are kept apart because each lies differently: the wall clock jumps, the monotonic one stands still
//! while the machine is suspended, and the boot-time one starts over with every boot (hence the boot id beside it).
//! Code that decides something takes a [`Clock`], so that suspend, reboot and clock jumps can be played in a test.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Wall-clock time in milliseconds since 1970-01-01 UTC; negative before.
pub fn now_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(d) => i64::try_from(d.as_millis()).unwrap_or(i64::MAX),
        Err(e) => i64::try_from(e.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// Milliseconds since the machine started, suspended time included (`CLOCK_BOOTTIME`).
pub fn boot_ms() -> u64 {
    read(ClockId::Boottime)
}

/// Milliseconds of a clock that never goes back and stands still during suspend (`CLOCK_MONOTONIC`).
pub fn monotonic_ms() -> u64 {
    read(ClockId::Monotonic)
}

fn read(id: ClockId) -> u64 {
    let t = clock_gettime(id);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1000 + u64::try_from(t.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The kernel's random id of this boot. Empty where `/proc` is not mounted: two empty ids are then equal, so a reboot
/// cannot be noticed there, but nothing is wrongly called lost.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|s| s.trim().to_owned()).unwrap_or_default()
}

/// The host's name as the kernel knows it, without a DNS question.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Wall clock, milliseconds since 1970-01-01 UTC.
    fn wall_ms(&self) -> i64;
    /// Milliseconds since boot, suspended time included.
    fn boot_ms(&self) -> u64;
    /// Milliseconds that never go back and stand still during suspend.
    fn mono_ms(&self) -> u64;
    /// Id of the present boot.
    fn boot_id(&self) -> String;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        now_ms()
    }
    fn boot_ms(&self) -> u64 {
        boot_ms()
    }
    fn mono_ms(&self) -> u64 {
        monotonic_ms()
    }
    fn boot_id(&self) -> String {
        boot_id()
    }
}

/// A clock that stands still until told otherwise. Clones share the same time.
#[derive(Debug, Clone)]
pub struct FakeClock(Arc<Fake>);

#[derive(Debug)]
struct Fake {
    wall: AtomicI64,
    boot: AtomicU64,
    mono: AtomicU64,
    reads: AtomicU64,
    id: Mutex<String>,
}

impl FakeClock {
    /// A clock whose wall time is `wall_ms`, on boot `boot-1`, an hour after it.
    pub fn new(wall_ms: i64) -> Self {
        FakeClock(Arc::new(Fake {
            wall: AtomicI64::new(wall_ms),
            boot: AtomicU64::new(3_600_000),
            mono: AtomicU64::new(3_600_000),
            reads: AtomicU64::new(0),
            id: Mutex::new("boot-1".to_owned()),
        }))
    }

    /// Time passes: all three clocks go forward by `ms`.
    pub fn advance(&self, ms: u64) {
        self.0.wall.fetch_add(ms.cast_signed(), Ordering::SeqCst);
        self.0.boot.fetch_add(ms, Ordering::SeqCst);
        self.0.mono.fetch_add(ms, Ordering::SeqCst);
    }

    /// The wall clock is set; the others do not notice.
    pub fn set_wall(&self, wall_ms: i64) {
        self.0.wall.store(wall_ms, Ordering::SeqCst);
    }

    /// The machine sleeps for `ms`: the monotonic clock stands still.
    pub fn suspend(&self, ms: u64) {
        self.0.wall.fetch_add(ms.cast_signed(), Ordering::SeqCst);
        self.0.boot.fetch_add(ms, Ordering::SeqCst);
    }

    /// The machine boots anew after `down_ms`: the boot clocks begin at 1 s and the boot id is `id`.
    pub fn reboot(&self, id: &str, down_ms: u64) {
        self.0.wall.fetch_add(down_ms.cast_signed(), Ordering::SeqCst);
        self.0.boot.store(1000, Ordering::SeqCst);
        self.0.mono.store(1000, Ordering::SeqCst);
        *self.lock_id() = id.to_owned();
    }

    /// How often any of the clocks was read.
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }

    fn lock_id(&self) -> std::sync::MutexGuard<'_, String> {
        self.0.id.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn count(&self) {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn wall_ms(&self) -> i64 {
        self.count();
        self.0.wall.load(Ordering::SeqCst)
    }
    fn boot_ms(&self) -> u64 {
        self.count();
        self.0.boot.load(Ordering::SeqCst)
    }
    fn mono_ms(&self) -> u64 {
        self.count();
        self.0.mono.load(Ordering::SeqCst)
    }
    fn boot_id(&self) -> String {
        self.count();
        self.lock_id().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clocks_are_plausible() {
        assert!(now_ms() > 1_700_000_000_000, "wall clock: {}", now_ms());
        assert!(boot_ms() >= monotonic_ms() || monotonic_ms() - boot_ms() < 1000);
        let (a, b) = (monotonic_ms(), monotonic_ms());
        assert!(b >= a);
        assert_eq!(boot_id(), boot_id());
        assert_eq!(boot_id().len(), 36, "a uuid: {}", boot_id());
        assert!(!hostname().is_empty());
    }

    #[test]
    fn a_fake_clock_plays_suspend_jump_and_reboot() {
        let clock = FakeClock::new(1000);
        let other = clock.clone();
        clock.advance(500);
        assert_eq!((other.wall_ms(), other.boot_ms(), other.mono_ms()), (1500, 3_600_500, 3_600_500));
        clock.suspend(1000);
        assert_eq!((other.wall_ms(), other.boot_ms(), other.mono_ms()), (2500, 3_601_500, 3_600_500));
        clock.set_wall(-5);
        assert_eq!((other.wall_ms(), other.boot_ms()), (-5, 3_601_500));
        clock.reboot("boot-2", 10);
        assert_eq!((other.wall_ms(), other.boot_ms(), other.boot_id()), (5, 1000, "boot-2".to_owned()));
        assert_eq!(clock.reads(), 11);
    }
}
