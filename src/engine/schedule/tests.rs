//! On tokio's paused time: it jumps to the next timer when nothing else is to do, and the fake clock is moved with it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::*;
use crate::config::{CheckKind, TcpCheck, Timing};
use crate::domain::health::{Health, Outcome};
use crate::sys::clock::FakeClock;

/// Answers as told, and counts.
#[derive(Default)]
struct Fake {
    answer: Mutex<Answer>,
    looked: Mutex<Vec<Instant>>,
    running: AtomicU32,
    most: AtomicU32,
}

#[derive(Clone, Copy, Default)]
struct Answer {
    outcome: Option<Outcome>,
    takes: Duration,
    panics: bool,
}

impl Fake {
    fn say(&self, outcome: Outcome) {
        lock(&self.answer).outcome = Some(outcome);
    }

    fn take(&self, takes: Duration) {
        lock(&self.answer).takes = takes;
    }

    fn looked(&self) -> Vec<Instant> {
        lock(&self.looked).clone()
    }

    fn count(&self) -> usize {
        lock(&self.looked).len()
    }
}

impl Probe for Fake {
    fn probe(&self, _: Duration) -> BoxFuture<'_, ProbeResult> {
        Box::pin(async move {
            lock(&self.looked).push(Instant::now());
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            let answer = *lock(&self.answer);
            tokio::time::sleep(answer.takes).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            assert!(!answer.panics, "as told");
            ProbeResult::new(answer.outcome.unwrap_or(Outcome::Ok), None, "said so", 1000)
        })
    }
}

fn check(name: &str, timing: Timing) -> Check {
    Check { name: name.into(), kind: CheckKind::Tcp(TcpCheck::default()), timing }
}

fn planned(service: &str, probe: &Arc<Fake>) -> Planned {
    Planned {
        service: service.into(),
        check: check("tcp", Timing::default()),
        probe: Arc::clone(probe) as Arc<dyn Probe>,
        parents: Vec::new(),
        seed: None,
        paused: false,
    }
}

struct Bench {
    schedule: Schedule,
    rx: mpsc::Receiver<Observation>,
    clock: FakeClock,
    seen: Vec<Observation>,
}

impl Bench {
    fn start(checks: Vec<Planned>) -> Self {
        Self::with_room(checks, 10_000)
    }

    fn with_room(checks: Vec<Planned>, room: usize) -> Self {
        let clock = FakeClock::new(1_700_000_000_000);
        let (tx, rx) = mpsc::channel(room);
        let schedule = Schedule::start(checks, tx, Arc::new(clock.clone()));
        Bench { schedule, rx, clock, seen: Vec::new() }
    }

    /// Lets time pass on both clocks.
    async fn pass(&mut self, d: Duration) {
        let mut left = d;
        while !left.is_zero() {
            let step = left.min(Duration::from_millis(100));
            tokio::time::sleep(step).await;
            self.clock.advance(u64::try_from(step.as_millis()).unwrap());
            left -= step;
        }
        while let Ok(o) = self.rx.try_recv() {
            self.seen.push(o);
        }
    }

    fn states(&self, service: &str) -> Vec<Health> {
        let of = self.seen.iter().filter(|o| *o.service == *service);
        of.filter_map(|o| o.change.as_ref().map(|c| c.to)).collect()
    }
}

fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn gaps(moments: &[Instant]) -> Vec<u128> {
    moments.windows(2).map(|w| w[1].duration_since(w[0]).as_millis()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_check_is_probed_once_an_interval_and_at_once_in_the_beginning() {
    let fake = Arc::new(Fake::default());
    let began = Instant::now();
    let mut bench = Bench::start(vec![planned("api", &fake)]);
    bench.pass(s(1)).await;
    assert_eq!(fake.count(), 1, "the first within a second");
    assert_eq!(bench.states("api"), [Health::Up]);
    bench.pass(s(300)).await;
    let looked = fake.looked();
    assert!(looked[0].duration_since(began) < s(1));
    let gaps = gaps(&looked[1..]);
    assert!(gaps.iter().all(|g| (9_998..=10_002).contains(g)), "{gaps:?}");
    assert!((29..=31).contains(&looked.len()), "{}", looked.len());
    assert_eq!(bench.seen.len(), looked.len());
    assert_eq!(bench.schedule.stats().missed, 0);
}

#[tokio::test(start_paused = true)]
async fn many_checks_spread_over_the_interval() {
    let fakes: Vec<Arc<Fake>> = (0..200).map(|_| Arc::default()).collect();
    let checks = fakes.iter().enumerate().map(|(i, f)| planned(&format!("s{i}"), f)).collect();
    let mut bench = Bench::start(checks);
    bench.pass(s(30)).await;
    let from = Instant::now();
    bench.pass(s(10)).await;
    let mut per_second = [0usize; 11];
    for moment in fakes.iter().flat_map(|f| f.looked()).filter(|m| *m >= from) {
        per_second[usize::try_from(moment.duration_since(from).as_secs()).unwrap()] += 1;
    }
    assert_eq!(per_second.iter().sum::<usize>(), 200);
    assert!(per_second[..10].iter().all(|n| (5..=45).contains(n)), "{per_second:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_confirmed_by_retries() {
    let fake = Arc::new(Fake::default());
    let mut bench = Bench::start(vec![planned("api", &fake)]);
    bench.pass(s(25)).await;
    fake.say(Outcome::Fail);
    let wrong = Time::from_ms(bench.clock.wall_ms());
    bench.pass(s(16)).await;
    assert_eq!(bench.states("api"), [Health::Up, Health::Down]);
    let down = bench.seen.iter().find(|o| o.change.as_ref().is_some_and(|c| c.to == Health::Down)).unwrap();
    // At most an interval, two retries and a moment.
    assert!(down.at.since(wrong) <= Duration::from_millis(14_200), "{:?}", down.at.since(wrong));
    let fails: Vec<_> = bench.seen.iter().filter(|o| o.result.outcome == Outcome::Fail).collect();
    assert_eq!(fails[0].status.confirming, Some((1, 3)));
    assert_eq!(down.change.as_ref().unwrap().happened_at, fails[0].at);
    assert!(fails[1].at.since(fails[0].at) <= Duration::from_millis(2200));
    // Down and steady: the grid again.
    let before = fake.count();
    bench.pass(s(60)).await;
    assert!((5..=7).contains(&(fake.count() - before)), "{}", fake.count() - before);
    fake.say(Outcome::Ok);
    bench.pass(s(13)).await;
    assert_eq!(bench.states("api"), [Health::Up, Health::Down, Health::Up]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_takes_longer_than_its_interval_never_queues_behind_itself() {
    let fake = Arc::new(Fake::default());
    fake.take(s(25));
    let mut bench = Bench::start(vec![planned("api", &fake)]);
    bench.pass(s(200)).await;
    assert_eq!(fake.most.load(Ordering::SeqCst), 1);
    let gaps = gaps(&fake.looked()[1..]);
    assert!(gaps.iter().all(|g| (29_990..=30_010).contains(g)), "{gaps:?}");
    let last = bench.seen.last().unwrap();
    assert_eq!(last.status.lag, 2, "two slots passed meanwhile");
    assert!(bench.schedule.stats().missed >= 2 * 5);
}

#[tokio::test(start_paused = true)]
async fn retries_count_from_the_end_of_the_probe_before() {
    let fake = Arc::new(Fake::default());
    fake.say(Outcome::Fail);
    fake.take(s(4));
    let mut bench = Bench::start(vec![planned("api", &fake)]);
    bench.pass(s(17)).await;
    let gaps = gaps(&fake.looked());
    assert!(gaps[..2].iter().all(|g| (5_990..=6_010).contains(g)), "{gaps:?}");
    assert_eq!(bench.states("api"), [Health::Down]);
}

#[tokio::test(start_paused = true)]
async fn an_incident_shortens_the_interval_of_its_services_only() {
    let (named, other) = (Arc::new(Fake::default()), Arc::new(Fake::default()));
    let mut bench = Bench::start(vec![planned("api", &named), planned("db", &other)]);
    bench.pass(s(60)).await;
    bench.schedule.set_incident(BTreeSet::from(["api".to_owned()]));
    let (a, b) = (named.count(), other.count());
    bench.pass(s(20)).await;
    assert!((9..=11).contains(&(named.count() - a)), "{}", named.count() - a);
    assert!((1..=3).contains(&(other.count() - b)), "{}", other.count() - b);
    bench.schedule.set_incident(BTreeSet::new());
    bench.pass(s(2)).await;
    let a = named.count();
    bench.pass(s(60)).await;
    assert!((5..=7).contains(&(named.count() - a)), "{}", named.count() - a);
}

#[tokio::test(start_paused = true)]
async fn a_childs_failure_has_its_parents_probed_at_once_but_not_all_the_time() {
    let (db, api) = (Arc::new(Fake::default()), Arc::new(Fake::default()));
    let mut slow = planned("db", &db);
    slow.check.timing.every = s(3600);
    slow.check.timing.timeout = s(5);
    let mut checks = vec![slow];
    // Many children, all failing together.
    for i in 0..20 {
        let mut child = planned(&format!("api{i}"), &api);
        child.parents = vec!["db".into(), "nobody".into()];
        checks.push(child);
    }
    let mut bench = Bench::start(checks);
    bench.pass(s(30)).await;
    assert_eq!(db.count(), 1);
    api.say(Outcome::Fail);
    let wrong = Instant::now();
    bench.pass(s(60)).await;
    let looked = db.looked();
    assert!(looked.len() > 1, "never");
    let first = api.looked().into_iter().find(|m| *m >= wrong).unwrap();
    assert!(looked[1].duration_since(first) < Duration::from_millis(150), "{:?}", looked[1].duration_since(first));
    assert!(gaps(&looked[1..]).iter().all(|g| *g >= 2000), "{:?}", gaps(&looked));
    // All children are down by now and steady: no more of it.
    let before = db.count();
    bench.pass(s(60)).await;
    assert_eq!(db.count(), before);
}

#[tokio::test(start_paused = true)]
async fn asked_for_it_is_probed_now_and_once_more_after_what_runs() {
    let fake = Arc::new(Fake::default());
    let mut bench = Bench::start(vec![planned("api", &fake)]);
    bench.pass(s(12)).await;
    let before = fake.count();
    bench.schedule.probe_now("api");
    bench.pass(Duration::from_millis(200)).await;
    assert_eq!(fake.count(), before + 1);
    fake.take(s(3));
    bench.schedule.probe_now("api");
    bench.pass(s(1)).await;
    assert_eq!(fake.count(), before + 2);
    bench.schedule.probe_now("api");
    bench.pass(s(1)).await;
    assert_eq!(fake.count(), before + 2, "one is running");
    bench.pass(s(2)).await;
    assert_eq!(fake.count(), before + 3, "what ran had begun before it was asked for");
    bench.schedule.probe_now("nobody");
    bench.pass(s(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_service_is_left_alone() {
    let fake = Arc::new(Fake::default());
    let mut bench = Bench::start(vec![planned("api", &fake)]);
    bench.pass(s(15)).await;
    fake.take(s(2));
    bench.schedule.probe_now("api");
    bench.pass(s(1)).await;
    bench.schedule.pause("api");
    let (seen, count) = (bench.seen.len(), fake.count());
    bench.pass(s(120)).await;
    assert_eq!((bench.seen.len(), fake.count()), (seen, count), "not even what was under way");
    fake.take(Duration::ZERO);
    bench.schedule.resume("api");
    bench.pass(s(1)).await;
    assert_eq!(fake.count(), count + 1);
    let last = bench.seen.last().unwrap();
    let change = last.change.as_ref().map(|c| (c.from, c.to));
    assert_eq!(change, Some((Health::Unknown, Health::Up)));
    // Paused from the start.
    let fake = Arc::new(Fake::default());
    let mut held = planned("db", &fake);
    held.paused = true;
    let mut bench = Bench::start(vec![held]);
    let before = fake.count();
    bench.pass(s(60)).await;
    assert_eq!(fake.count(), before);
    bench.schedule.resume("db");
    bench.pass(s(1)).await;
    assert_eq!(fake.count(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_streaks_by_name() {
    let (first, second) = (Arc::new(Fake::default()), Arc::new(Fake::default()));
    first.say(Outcome::Fail);
    second.say(Outcome::Fail);
    let mut slow = planned("api", &first);
    slow.check.timing.retry_interval = s(10);
    let mut bench = Bench::start(vec![slow, planned("old", &Arc::default())]);
    bench.pass(s(1)).await;
    assert_eq!(bench.seen.iter().filter(|o| *o.service == *"api").count(), 1);
    bench.schedule.replace(vec![planned("api", &second), planned("new", &Arc::default())]);
    bench.pass(s(40)).await;
    assert_eq!(first.count(), 1);
    let down = bench.seen.iter().find(|o| o.change.as_ref().is_some_and(|c| c.to == Health::Down)).unwrap();
    assert_eq!(down.change.as_ref().unwrap().happened_at, bench.seen.iter().find(|o| *o.service == *"api").unwrap().at);
    assert_eq!(bench.states("new"), [Health::Up]);
    let last_old = bench.seen.iter().rposition(|o| *o.service == *"old").unwrap();
    assert!(last_old < 4, "what is gone is not probed");
    assert_eq!(bench.schedule.stats().checks, 2);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_interval_is_taken_up_at_once() {
    let fake = Arc::new(Fake::default());
    let mut slow = planned("api", &fake);
    slow.check.timing.every = s(3600);
    let mut bench = Bench::start(vec![slow]);
    bench.pass(s(60)).await;
    assert_eq!(fake.count(), 1);
    bench.schedule.replace(vec![planned("api", &fake)]);
    bench.pass(s(60)).await;
    assert!((6..=8).contains(&fake.count()), "{}", fake.count());
    assert_eq!(bench.schedule.stats().missed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_ended_while_nobody_ran_is_over() {
    let fake = Arc::new(Fake::default());
    let mut resumed = planned("api", &fake);
    resumed.seed = Some(Seed::new(Health::Paused, Time::from_ms(1_700_000_000_000), None));
    let mut bench = Bench::start(vec![resumed]);
    bench.pass(s(2)).await;
    assert_eq!(bench.states("api"), [Health::Up]);
    // A reload knows what is paused.
    let mut held = planned("api", &fake);
    held.paused = true;
    bench.schedule.replace(vec![held]);
    bench.pass(s(1)).await;
    let before = fake.count();
    bench.pass(s(60)).await;
    assert_eq!(fake.count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_result_of_the_target_of_before_a_reload_does_not_count() {
    let (wrong, right) = (Arc::new(Fake::default()), Arc::new(Fake::default()));
    wrong.say(Outcome::Fail);
    wrong.take(s(4));
    let mut bench = Bench::start(vec![planned("api", &wrong)]);
    bench.pass(s(1)).await;
    let mut other = planned("api", &right);
    other.check.kind = CheckKind::Tcp(TcpCheck { address: "elsewhere:1".into(), ..TcpCheck::default() });
    bench.schedule.replace(vec![other]);
    bench.pass(s(5)).await;
    assert!(bench.seen.iter().all(|o| o.result.outcome == Outcome::Ok));
    assert_eq!(bench.states("api"), [Health::Up]);
}

#[tokio::test(start_paused = true)]
async fn what_is_saved_is_resumed() {
    let fake = Arc::new(Fake::default());
    fake.say(Outcome::Fail);
    let mut bench = Bench::start(vec![planned("api", &fake)]);
    bench.pass(s(8)).await;
    assert_eq!(bench.states("api"), [Health::Down]);
    let saved = bench.schedule.save().await;
    assert_eq!((saved.len(), saved[0].service.as_str(), saved[0].check.as_str()), (1, "api", "tcp"));
    bench.schedule.shutdown().await;

    let mut again = planned("api", &fake);
    again.seed = Some(saved[0].seed.clone());
    let mut bench = Bench::start(vec![again]);
    // The fake clock of this bench began anew, so the observation lies in the future; that counts as just now.
    bench.pass(s(3)).await;
    assert_eq!(bench.states("api"), []);
    assert_eq!(bench.seen[0].status.state, Health::Down);
    fake.say(Outcome::Ok);
    bench.pass(s(13)).await;
    assert_eq!(bench.states("api"), [Health::Up]);
}

#[tokio::test(start_paused = true)]
async fn sleep_of_the_machine_makes_things_unknown_and_everything_is_looked_at_soon() {
    let fake = Arc::new(Fake::default());
    let mut checks = vec![planned("api", &fake)];
    checks[0].check.timing.every = s(600);
    checks[0].check.timing.stale_after = Some(s(1900));
    let mut bench = Bench::start(checks);
    bench.pass(s(5)).await;
    assert_eq!(fake.count(), 1);
    bench.clock.suspend(2_460_000);
    bench.pass(s(3)).await;
    assert_eq!(bench.states("api"), [Health::Up, Health::Unknown, Health::Up]);
    assert_eq!(fake.count(), 2, "without waiting for the slot minutes away");
    let unknown = bench.seen.iter().find(|o| o.result.outcome == Outcome::Skipped).unwrap();
    assert!(unknown.result.detail.starts_with("no result for 41m"), "{}", unknown.result.detail);
}

#[tokio::test(start_paused = true)]
async fn errors_alone_make_it_unknown() {
    let fake = Arc::new(Fake::default());
    let mut bench = Bench::start(vec![planned("api", &fake)]);
    bench.pass(s(5)).await;
    fake.say(Outcome::Error);
    bench.pass(s(60)).await;
    assert_eq!(bench.states("api"), [Health::Up, Health::Unknown]);
    fake.say(Outcome::Ok);
    bench.pass(s(11)).await;
    assert_eq!(bench.states("api"), [Health::Up, Health::Unknown, Health::Up]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_is_our_fault_and_ends_nothing() {
    let (bad, good) = (Arc::new(Fake::default()), Arc::new(Fake::default()));
    lock(&bad.answer).panics = true;
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut bench = Bench::start(vec![planned("bad", &bad), planned("good", &good)]);
    bench.pass(s(30)).await;
    std::panic::set_hook(hook);
    assert!(bad.count() >= 3);
    assert_eq!(bench.states("good"), [Health::Up]);
    let result = &bench.seen.iter().find(|o| *o.service == *"bad").unwrap().result;
    assert_eq!(result.outcome, Outcome::Error);
    assert!(result.detail.contains("fault of mayday"), "{}", result.detail);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_listens_probing_pauses_and_requests_still_work() {
    let fakes: Vec<Arc<Fake>> = (0..2000).map(|_| Arc::default()).collect();
    let checks = fakes.iter().enumerate().map(|(i, f)| planned(&format!("s{i}"), f)).collect();
    let mut bench = Bench::with_room(checks, 1);
    // Nobody receives.
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.clock.advance(100);
    }
    let started = bench.schedule.stats().started;
    assert!((1000..=1100).contains(&started), "{started}");
    assert_eq!(bench.schedule.save().await.len(), 2000, "it is not stuck");
    // Somebody does again.
    let mut got = 0;
    let until = Instant::now() + s(20);
    while Instant::now() < until {
        if tokio::time::timeout(Duration::from_millis(100), bench.rx.recv()).await.is_ok() {
            got += 1;
        }
    }
    assert!(got >= 4000, "{got}");
    assert!(bench.schedule.stats().missed > 2000);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_engine_is_gone_or_the_handle_is_dropped() {
    let fake = Arc::new(Fake::default());
    let mut bench = Bench::start(vec![planned("api", &fake)]);
    bench.pass(s(1)).await;
    let (_, nobody) = mpsc::channel(1);
    bench.rx = nobody;
    tokio::time::sleep(s(60)).await;
    assert!(bench.schedule.save().await.is_empty());
    let before = fake.count();
    drop(bench);
    let bench = Bench::start(vec![planned("api", &fake)]);
    drop(bench);
    tokio::time::sleep(s(60)).await;
    assert!(fake.count() <= before + 1);
}

/// Random requests at random moments: never two probes of a check at once, never a standstill.
#[tokio::test(start_paused = true)]
async fn whatever_is_asked_a_check_runs_once_at_a_time_and_goes_on() {
    static SEED: AtomicU64 = AtomicU64::new(0);
    let next = || {
        // xorshift64*, seeded fixedly: the run is the same every time.
        let mut x = SEED.load(Ordering::Relaxed) ^ 0x9E37_79B9_7F4A_7C15;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        SEED.store(x, Ordering::Relaxed);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    };
    let fakes: Vec<Arc<Fake>> = (0..8).map(|_| Arc::default()).collect();
    let plan = |fakes: &[Arc<Fake>]| -> Vec<Planned> {
        let one = |(i, f): (usize, &Arc<Fake>)| {
            let mut p = planned(&format!("s{i}"), f);
            p.parents = vec![format!("s{}", (i + 1) % 8)];
            p
        };
        fakes.iter().enumerate().map(one).collect()
    };
    let mut bench = Bench::start(plan(&fakes));
    for _ in 0..2000 {
        let service = format!("s{}", next() % 8);
        let fake = &fakes[usize::try_from(next() % 8).unwrap()];
        match next() % 9 {
            0 => bench.schedule.pause(&service),
            1 | 2 => bench.schedule.resume(&service),
            3 => bench.schedule.probe_now(&service),
            4 => bench.schedule.set_incident((0..next() % 4).map(|i| format!("s{i}")).collect()),
            5 => fake
                .say([Outcome::Ok, Outcome::Fail, Outcome::Warn, Outcome::Error][usize::try_from(next() % 4).unwrap()]),
            6 => fake.take(Duration::from_millis(next() % 5000)),
            7 => bench.schedule.replace(plan(&fakes)),
            _ => bench.clock.suspend(next() % 60_000),
        }
        bench.pass(Duration::from_millis(next() % 3000)).await;
    }
    for i in 0..8 {
        bench.schedule.resume(&format!("s{i}"));
    }
    for fake in &fakes {
        fake.take(Duration::ZERO);
    }
    let before: Vec<usize> = fakes.iter().map(|f| f.count()).collect();
    bench.pass(s(30)).await;
    for (fake, before) in fakes.iter().zip(before) {
        assert_eq!(fake.most.load(Ordering::SeqCst), 1);
        assert!(fake.count() >= before + 2, "it stands still");
    }
}
