//! What probing costs: processor time per 1,000 plain HTTP checks, against a bare reqwest loop in the same run, and whether
//! 10,000 checks every 10 s keep their time on one core.
//!
//! Method. Everything measured runs on one thread (a current-thread runtime), whose own processor time is read
//! (`RUSAGE_THREAD`, user and system); the web server answers from other threads and is not counted. Nothing is kept alive:
//! each check is a connection. Each figure is the best of several rounds, because only noise makes a round slower.
//! Ratios hold between lines of one run.
//!
//! `cargo bench --bench probes` runs all of it in about two minutes, `cargo bench --bench probes -- quick` in a few seconds.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mayday::config::secret::MaybeSecret;
use mayday::config::{Check, CheckKind, Family, HttpCheck, Redirects, Timing};
use mayday::domain::health::Outcome;
use mayday::engine::samples::Samples;
use mayday::engine::schedule::{Planned, Schedule};
use mayday::probe::{Probe, ProbeEnv, prepare};
use mayday::sys::clock::SystemClock;
use mayday::sys::tls;
use mayday::text::Mask;

/// Answers `200 OK` to whatever comes, from threads of its own.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listening socket");
    let port = listener.local_addr().expect("its address").port();
    for _ in 0..4 {
        let listener = listener.try_clone().expect("a copy");
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            for mut stream in listener.incoming().flatten() {
                let mut seen = 0;
                while let Ok(n @ 1..) = stream.read(&mut buffer[seen..]) {
                    seen += n;
                    if buffer[..seen].ends_with(b"\r\n\r\n") || seen == buffer.len() {
                        break;
                    }
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            }
        });
    }
    port
}

/// Processor time of this thread.
fn cpu() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a structure of the right type, which the call fills.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec.unsigned_abs(), t.tv_usec.unsigned_abs() as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Resident memory of this process in MiB (proc_pid_statm(5)).
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split_whitespace().nth(1).and_then(|t| t.parse().ok()).unwrap_or(0.0);
    pages * 4096.0 / 1024.0 / 1024.0
}

fn check(port: u16, path: &str, every: Duration) -> Check {
    let http = HttpCheck {
        url: MaybeSecret::Plain(format!("http://127.0.0.1:{port}/{path}")),
        method: "GET".into(),
        headers: BTreeMap::new(),
        body: None,
        status: vec![(200, 299)],
        latency_below: None,
        body_contains: None,
        body_matches: None,
        json: Vec::new(),
        header_matches: BTreeMap::new(),
        redirects: Redirects::default(),
        max_body: 4096,
        keep_alive: false,
        family: Family::Any,
        cert_warn_days: None,
        cert_fail_days: None,
        extra_ca: Vec::new(),
    };
    let timing = Timing { every, timeout: Duration::from_secs(5).min(every / 2), ..Timing::default() };
    Check { name: "http".into(), kind: CheckKind::Http(Box::new(http)), timing }
}

fn env() -> ProbeEnv {
    ProbeEnv::new(tls::default_roots(), Arc::new(|_| Err("none here".into())), Mask::default())
}

const ROUNDS: usize = 5;

/// The least processor time of several rounds.
fn best(rounds: usize, mut round: impl FnMut() -> Duration) -> Duration {
    (0..rounds).map(|_| round()).min().unwrap_or_default()
}

fn show(what: &str, per_1000: Duration, base: Duration) {
    let ratio = per_1000.as_secs_f64() / base.as_secs_f64();
    println!("{what:<44} {:>8.4} s   {ratio:>5.2} x", per_1000.as_secs_f64());
}

fn cost_per_check(runtime: &tokio::runtime::Runtime, port: u16, n: usize) {
    let bare = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    let url = format!("http://127.0.0.1:{port}/bare");
    let per_1000 = |d: Duration| d * 1000 / u32::try_from(n).unwrap_or(1);
    let loop_ = best(ROUNDS, || {
        runtime.block_on(async {
            let before = cpu();
            for _ in 0..n {
                let answer = bare.get(&url).send().await.expect("an answer");
                assert!(answer.status().is_success());
            }
            cpu() - before
        })
    });
    println!("processor time per 1,000 plain HTTP checks:");
    show("bare reqwest loop", per_1000(loop_), per_1000(loop_));

    let env = env();
    let probe = prepare(&check(port, "probe", Duration::from_secs(10)), &env).expect("a probe");
    let probes = best(ROUNDS, || {
        runtime.block_on(async {
            let before = cpu();
            for _ in 0..n {
                let result = probe.probe(Duration::from_secs(5)).await;
                assert_eq!(result.outcome, Outcome::Ok, "{result:?}");
            }
            cpu() - before
        })
    });
    show("probes one after the other", per_1000(probes), per_1000(loop_));
    let scheduled = best(ROUNDS, || runtime.block_on(scheduled(port, n, &env)));
    show("through schedule, machines and samples", per_1000(scheduled), per_1000(loop_));
}

/// Processor time of `n` checks that a schedule makes.
async fn scheduled(port: u16, n: usize, env: &ProbeEnv) -> Duration {
    let every = Duration::from_secs(1);
    let (tx, mut rx) = tokio::sync::mpsc::channel(1024);
    let checks = planned(200, port, every, env);
    let before = cpu();
    let schedule = Schedule::start(checks, tx, Arc::new(SystemClock));
    let mut samples = Samples::default();
    for _ in 0..n {
        let seen = rx.recv().await.expect("an observation");
        assert_eq!(seen.result.outcome, Outcome::Ok, "{:?}", seen.result);
        samples.take(&seen);
    }
    let spent = cpu() - before;
    schedule.shutdown().await;
    spent
}

fn planned(n: usize, port: u16, every: Duration, env: &ProbeEnv) -> Vec<Planned> {
    let plan = |i: usize| {
        let check = check(port, &format!("{i}"), every);
        let probe: Arc<dyn Probe> = prepare(&check, env).expect("a probe");
        Planned { service: format!("service-{i}"), check, probe, parents: Vec::new(), seed: None, paused: false }
    };
    (0..n).map(plan).collect()
}

fn ten_thousand(runtime: &tokio::runtime::Runtime, port: u16, n: usize, last: Duration) {
    let before_memory = resident();
    runtime.block_on(async {
        let env = env();
        let (tx, mut rx) = tokio::sync::mpsc::channel(1024);
        let schedule = Schedule::start(planned(n, port, Duration::from_secs(10), &env), tx, Arc::new(SystemClock));
        let mut samples = Samples::default();
        let (began, mut at_start, mut seen, mut settled) = (Instant::now(), cpu(), 0u64, false);
        let warm = Duration::from_secs(12);
        while began.elapsed() < warm + last {
            if !settled && began.elapsed() >= warm {
                // The start spreads over the first interval; steady from here.
                (settled, at_start, seen) = (true, cpu(), 0);
            }
            let Ok(Some(o)) = tokio::time::timeout(Duration::from_secs(1), rx.recv()).await else { continue };
            assert_eq!(o.result.outcome, Outcome::Ok, "{:?}", o.result);
            samples.take(&o);
            seen += 1;
        }
        let spent = cpu() - at_start;
        let stats = schedule.stats();
        println!("\n{n} checks every 10 s on one core, {} s:", last.as_secs());
        println!("  results per second        {:>10.1}", seen as f64 / last.as_secs_f64());
        println!("  of one core               {:>10.1} %", 100.0 * spent.as_secs_f64() / last.as_secs_f64());
        println!("  slots skipped             {:>10}", stats.missed);
        println!("  longest wait for a start  {:>10} ms", stats.late_ms);
        println!("  memory beyond the start   {:>10.1} MiB", resident() - before_memory);
        schedule.shutdown().await;
    });
}

fn fifty(runtime: &tokio::runtime::Runtime, port: u16, last: Duration) {
    runtime.block_on(async {
        let env = env();
        let (tx, mut rx) = tokio::sync::mpsc::channel(1024);
        let schedule = Schedule::start(planned(50, port, Duration::from_secs(10), &env), tx, Arc::new(SystemClock));
        let (began, at_start) = (Instant::now(), cpu());
        let mut samples = Samples::default();
        while began.elapsed() < last {
            if let Ok(Some(o)) = tokio::time::timeout(last - began.elapsed(), rx.recv()).await {
                samples.take(&o);
            }
        }
        let spent = cpu() - at_start;
        println!("\n50 checks every 10 s, {} s:", last.as_secs());
        println!("  of one core               {:>10.2} %", 100.0 * spent.as_secs_f64() / began.elapsed().as_secs_f64());
        println!("  memory of the process     {:>10.1} MiB", resident());
        schedule.shutdown().await;
    });
}

fn main() {
    let quick = std::env::args().any(|a| a == "quick");
    tls::install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let port = server();
    fifty(&runtime, port, Duration::from_secs(if quick { 2 } else { 30 }));
    cost_per_check(&runtime, port, if quick { 200 } else { 2000 });
    if quick {
        ten_thousand(&runtime, port, 1000, Duration::from_secs(2));
    } else {
        ten_thousand(&runtime, port, 10_000, Duration::from_secs(40));
    }
}
