//! What the engine itself takes: `cargo bench --bench engine` (all), or with the names of figures:
//! `cargo bench --bench engine -- checks small large refused notes`.
//!
//! The engine measured is the real program, started as `mayday engine run` in folders of its own; its processor time is
//! read from /proc/PID/stat, so that the servers that the checks look at, which run in this process, do not count.
//!
//! | figure | what is done | limit |
//! | --- | --- | --- |
//! | checks | 300 plain HTTP checks every second for 20 s: processor time for 1,000 of them | 0.06 s |
//! | small | 50 checks every 10 s for 40 s: share of a core, resident memory | 0.5 %, 30 MiB |
//! | large | 10,000 checks every 10 s for 40 s on one core: all are made, none is late | 2 % fewer, 1 s |
//! | refused | a port closes: until a follower's picture shows it, over 20 rounds | interval + 100 ms |
//! | notes | 64 writers over the socket against a bare write + fdatasync of the same bytes, one at a time | 10 × |
//!
//! The ratio of `notes` says something only where a bare fdatasync takes at least 200 µs; that time is printed. State
//! lies in `MAYDAY_BENCH_DIR`, else the target folder. Ends with 1 when a figure is missed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mayday::domain::Access;
use mayday::domain::command::Command as Do;
use mayday::domain::health::Outcome;
use mayday::wire::{Answer, Ask, Client, FromEngine, Mirror};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running engine, ended with its guard.
struct Engine {
    child: Child,
    dir: PathBuf,
}

impl Engine {
    fn start(name: &str, config: &str, one_core: bool) -> Engine {
        let base = std::env::var_os("MAYDAY_BENCH_DIR")
            .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(), Into::into);
        let dir = base.join(format!("engine-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make the bench folder");
        let file = dir.join("mayday.toml");
        std::fs::write(&file, config).expect("write the configuration");
        let mut command = if one_core { Command::new("taskset") } else { Command::new(env!("CARGO_BIN_EXE_mayday")) };
        if one_core {
            command.args(["-c", "0", env!("CARGO_BIN_EXE_mayday")]);
        }
        let child = command
            .args(["engine", "run", "--config"])
            .arg(&file)
            .arg("--state-dir")
            .arg(dir.join("state"))
            .env("XDG_RUNTIME_DIR", &dir)
            .env("MAYDAY_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("start the engine");
        Engine { child, dir }
    }

    async fn client(&self) -> Client {
        let begun = Instant::now();
        loop {
            match Client::connect(&self.dir.join("state"), "viewer", Access::Responder, PATIENCE).await {
                Ok(client) => return client,
                Err(e) if begun.elapsed() > PATIENCE => panic!("the engine does not listen: {e}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Processor time so far, in seconds (proc(5), fields utime and stime).
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("read its stat");
        let rest = stat.rsplit_once(')').expect("a name in parentheses").1;
        let field = |n: usize| rest.split_whitespace().nth(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        // SAFETY: a plain system call.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        (field(11) + field(12)) / ticks
    }

    /// Resident memory in MiB.
    fn rss(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("read its status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0");
        line.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Plain web servers that count what they are asked.
async fn web(ports: usize) -> (Vec<u16>, Arc<AtomicU64>) {
    let served = Arc::new(AtomicU64::new(0));
    let mut all = Vec::new();
    for _ in 0..ports {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        all.push(listener.local_addr().expect("its address").port());
        let served = Arc::clone(&served);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let served = Arc::clone(&served);
                tokio::spawn(async move {
                    let mut buffer = [0; 2048];
                    while matches!(stream.read(&mut buffer).await, Ok(n) if n > 0) {
                        served.fetch_add(1, Ordering::Relaxed);
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }
    (all, served)
}

fn config(services: usize, checks: usize, every: &str, ports: &[u16]) -> String {
    let mut out = format!("[system]\nname = \"bench\"\n[defaults]\nevery = \"{every}\"\ntimeout = \"900ms\"\n");
    for s in 0..services {
        out.push_str(&format!("[[service]]\nname = \"s{s}\"\ntier = 2\n"));
        for c in 0..checks {
            let port = ports[(s * checks + c) % ports.len()];
            out.push_str(&format!("[[service.http]]\nname = \"c{c}\"\nurl = \"http://127.0.0.1:{port}/health\"\n"));
        }
    }
    out
}

fn verdict(name: &str, good: bool, words: String) -> bool {
    println!("{} {name:<8} {words}", if good { "ok    " } else { "MISSED" });
    good
}

async fn cost_of_checks() -> bool {
    let (ports, served) = web(8).await;
    let engine = Engine::start("checks", &config(300, 1, "1s", &ports), false);
    let _ = engine.client().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (cpu, count) = (engine.cpu(), served.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (cpu, count) = (engine.cpu() - cpu, served.load(Ordering::Relaxed) - count);
    let each = cpu * 1000.0 / count.max(1) as f64;
    verdict("checks", each <= 0.06, format!("{each:.4} s of processor time for 1,000 plain HTTP checks ({count} made)"))
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
