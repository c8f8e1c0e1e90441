//! What the engine itself takes: `cargo bench --bench engine` (all), or with the names of figures:
//! `cargo bench --bench engine -- checks small large refused notes`.
//!
//! The engine measured is the real program, started as `mayday engine run` in folders of its own; its processor time is
//! read from /proc/PID/stat, so that the servers that the checks look at, which run in this process, do not count.
//!
//! | figure | what is done | limit |
//! | --- | --- | --- |
//! | checks | 300 plain HTTP checks every second for 20 s: processor time for 1,000 of them, and of bare requests | 0.06 s, or 1.5 × bare |
//! | small | 50 checks every 10 s for 40 s: share of a core, resident memory | 0.5 %, 30 MiB |
//! | large | 10,000 checks every 10 s for 40 s on one core: all are made, none is late | 2 % fewer, 1 s |
//! | refused | a port closes: until a follower's picture shows it, over 20 rounds | interval + 100 ms |
//! | notes | 64 writers over the socket against a bare write + fdatasync of the same bytes, one at a time | 10 × |
//!
//! The ratio of `notes` says something only where a bare fdatasync takes at least 200 µs; that time is printed. State
//! lies in `MAYDAY_BENCH_DIR`, else the target folder. Ends with 1 when a figure is missed.

mod kit;

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kit::{Engine, PATIENCE, config, verdict, web};
use mayday::domain::command::Command as Do;
use mayday::domain::health::Outcome;
use mayday::wire::{Answer, Ask, Client, FromEngine, Mirror};
use tokio::net::TcpListener;

async fn cost_of_checks() -> bool {
    let (ports, served) = web(8).await;
    let engine = Engine::start("checks", &config(300, 1, "1s", &ports), false);
    let _ = engine.client().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (cpu, count) = (engine.cpu(), served.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (cpu, count) = (engine.cpu() - cpu, served.load(Ordering::Relaxed) - count);
    let each = cpu * 1000.0 / count.max(1) as f64;
    drop(engine);
    let mut bare = std::process::Command::new(std::env::current_exe().expect("this program"));
    let mut bare = bare.arg(BARE).args(ports.iter().map(u16::to_string)).spawn().expect("start the bare loop");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (cpu, count) = (kit::cpu(bare.id()), served.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (cpu, count) = (kit::cpu(bare.id()) - cpu, served.load(Ordering::Relaxed) - count);
    let _ = bare.kill().and_then(|()| bare.wait());
    let alone = cpu * 1000.0 / count.max(1) as f64;
    let words = format!(
        "{each:.4} s of processor time for 1,000 plain HTTP checks, {:.2} times the {alone:.4} s of bare requests at the \
         same pace",
        each / alone
    );
    // 0.06 s belongs to a machine on which bare requests take 0.04 s; on another the ratio counts.
    verdict("checks", each <= 0.06 || each <= 1.5 * alone, words)
}

const BARE: &str = "bare-requests";

/// What reqwest alone takes for as many requests at the pace of the engine's beats: 75 at once, four times a second, each
/// on a connection of its own, on one thread. Runs until it is killed.
async fn bare_requests(ports: &[String]) {
    mayday::sys::tls::install_provider();
    let client = reqwest::Client::builder().no_proxy().http1_only().pool_max_idle_per_host(0).tcp_keepalive(None);
    let client = client.build().expect("a client");
    let mut beat = tokio::time::interval(Duration::from_millis(250));
    loop {
        beat.tick().await;
        let mut at_once = tokio::task::JoinSet::new();
        for n in 0..75 {
            let request = client.get(format!("http://127.0.0.1:{}/health", ports[n % ports.len()]));
            at_once.spawn(async move { request.send().await.expect("an answer").bytes().await.expect("its body") });
        }
        at_once.join_all().await;
    }
}

async fn small() -> bool {
    let (ports, _) = web(4).await;
    let engine = Engine::start("small", &config(50, 1, "10s", &ports), false);
    let _ = engine.client().await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let cpu = engine.cpu();
    tokio::time::sleep(Duration::from_secs(40)).await;
    let (share, rss) = ((engine.cpu() - cpu) * 100.0 / 40.0, engine.rss());
    verdict("small", share <= 0.5 && rss <= 30.0, format!("50 checks every 10 s: {share:.2} % of a core, {rss:.1} MiB"))
}

async fn large() -> bool {
    let (ports, served) = web(64).await;
    let engine = Engine::start("large", &config(5_000, 2, "10s", &ports), true);
    let mut client = engine.client().await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    let (cpu, count) = (engine.cpu(), served.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(40)).await;
    let (cpu, count) = (engine.cpu() - cpu, served.load(Ordering::Relaxed) - count);
    let mut mirror = Mirror::default();
    let begun = Instant::now();
    if let Ok(Answer::Picture(change)) = client.ask("bench", Ask::Picture, PATIENCE).await {
        mirror.apply(*change);
    }
    let picture = begun.elapsed();
    let checks = mirror.services.values().flat_map(|s| &s.checks);
    let (mut lagging, mut all) = (0, 0);
    for check in checks {
        all += 1;
        lagging += u32::from(check.lag > 0);
    }
    let words = format!(
        "10,000 checks every 10 s on one core: {count} of 40000 made, {lagging} of {all} lag, {:.0} % of the core, {:.0} MiB; \
         a whole picture takes {} ms",
        cpu * 100.0 / 40.0,
        engine.rss(),
        picture.as_millis()
    );
    verdict("large", count >= 39_200 && lagging == 0 && all == 10_000, words)
}

async fn refused() -> bool {
    const EVERY: Duration = Duration::from_secs(1);
    let mut listener = Some(TcpListener::bind("127.0.0.1:0").await.expect("a port"));
    let port = listener.as_ref().and_then(|l| l.local_addr().ok()).expect("its address").port();
    let text = format!(
        "[system]\nname = \"bench\"\n[defaults]\nevery = \"1s\"\ntimeout = \"900ms\"\nretry_interval = \"1s\"\n\
         [[service]]\nname = \"s\"\ntier = 1\n[[service.tcp]]\naddress = \"127.0.0.1:{port}\"\n"
    );
    let engine = Engine::start("refused", &text, false);
    let mut client = engine.client().await;
    client.send("bench", Ask::Follow).await.expect("follow");
    let mut mirror = Mirror::default();
    let (mut times, mut random) = (Vec::new(), 12_345u64);
    for _ in 0..20 {
        shows(&mut client, &mut mirror, Outcome::Ok).await;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        tokio::time::sleep(Duration::from_millis((random >> 33) % 1000)).await;
        drop(listener.take());
        let begun = Instant::now();
        shows(&mut client, &mut mirror, Outcome::Fail).await;
        times.push(begun.elapsed());
        while listener.is_none() {
            listener = TcpListener::bind(("127.0.0.1", port)).await.ok();
        }
    }
    times.sort_unstable();
    let worst = *times.last().expect("twenty rounds");
    let words = format!(
        "refused connection in the picture: median {} ms, worst {} ms, interval {} ms",
        times[times.len() / 2].as_millis(),
        worst.as_millis(),
        EVERY.as_millis()
    );
    verdict("refused", worst <= EVERY + Duration::from_millis(100), words)
}

async fn shows(client: &mut Client, mirror: &mut Mirror, outcome: Outcome) {
    loop {
        let last = mirror.services.get("s").and_then(|s| s.checks.first()).and_then(|c| c.last.as_ref());
        if last.is_some_and(|l| l.outcome == outcome) {
            return;
        }
        match tokio::time::timeout(PATIENCE, client.next()).await {
            Ok(Ok(Some(FromEngine::Change(change)))) => {
                mirror.apply(*change);
            }
            Ok(Ok(Some(_))) => {}
            other => panic!("{outcome:?} was not shown: {other:?}"),
        }
    }
}

async fn notes() -> bool {
    const WRITERS: usize = 64;
    const EACH: usize = 50;
    let engine = Engine::start("notes", "[system]\nname = \"bench\"\n", false);
    let journal = engine.dir.join("state/journal.jsonl");
    let mut clients = Vec::new();
    for _ in 0..WRITERS {
        clients.push(engine.client().await);
    }
    let text = "the replica is 12 s behind";
    let note = || Do::Note { incident: None, text: text.into(), happened_at: None };
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for mut client in clients {
        tasks.push(tokio::spawn(async move {
            for _ in 0..EACH {
                match client.ask("bench", Ask::Do(note()), PATIENCE).await {
                    Ok(Answer::Done { recorded: true, .. }) => {}
                    other => panic!("a note was not recorded: {other:?}"),
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("a writer");
    }
    let together = (WRITERS * EACH) as f64 / begun.elapsed().as_secs_f64();
    let content = std::fs::read(&journal).expect("read the journal");
    let lines: Vec<&[u8]> =
        content.split(|b| *b == b'\n').filter(|l| l.windows(10).any(|w| w == b"note.added")).collect();
    let line = lines.last().expect("a note in the journal");
    let bare = engine.dir.join("bare");
    let mut file = std::fs::File::create(&bare).expect("a file");
    file.write_all(&vec![b'x'; 16 << 20]).and_then(|()| file.sync_all()).expect("room for it");
    let mut file = std::fs::File::options().write(true).open(&bare).expect("the file");
    let begun = Instant::now();
    const ALONE: usize = 300;
    for _ in 0..ALONE {
        file.write_all(line).and_then(|()| file.sync_data()).expect("write");
    }
    let each = begun.elapsed() / ALONE as u32;
    let ratio = together * each.as_secs_f64();
    let says = each >= Duration::from_micros(200);
    let words = format!(
        "{WRITERS} writers over the socket: {together:.0} notes/s, {ratio:.1} times a bare write + fdatasync ({} µs){}",
        each.as_micros(),
        if says { "" } else { "; the device is too fast for this ratio to say something" }
    );
    verdict("notes", ratio >= 10.0 || !says, words)
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if let Some((BARE, ports)) = wanted.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        let one = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        one.block_on(bare_requests(ports));
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let mut good = true;
    if runs("checks") {
        good &= runtime.block_on(cost_of_checks());
    }
    if runs("refused") {
        good &= runtime.block_on(refused());
    }
    if runs("notes") {
        good &= runtime.block_on(notes());
    }
    if runs("small") {
        good &= runtime.block_on(small());
    }
    if runs("large") {
        good &= runtime.block_on(large());
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
