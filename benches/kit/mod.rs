//! What the benches of the running program share: an engine in folders of its own, and web servers to look at.

#![allow(dead_code, reason = "each bench uses its part")]

pub mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mayday::domain::Access;
use mayday::wire::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running engine, ended with its guard.
pub struct Engine {
    child: Child,
    pub dir: PathBuf,
}

impl Engine {
    /// Starts one in the foreground; `one_core` binds it to the first.
    pub fn start(name: &str, config: &str, one_core: bool) -> Engine {
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

    /// Connects as soon as it listens.
    pub async fn client(&self) -> Client {
        let begun = Instant::now();
        loop {
            match Client::connect(&self.dir.join("state"), "viewer", Access::Responder, PATIENCE).await {
                Ok(client) => return client,
                Err(e) if begun.elapsed() > PATIENCE => panic!("the engine does not listen: {e}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Processor time so far, in seconds.
    pub fn cpu(&self) -> f64 {
        cpu(self.child.id())
    }

    /// Resident memory in MiB.
    pub fn rss(&self) -> f64 {
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
pub async fn web(ports: usize) -> (Vec<u16>, Arc<AtomicU64>) {
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

/// Processor time of a process so far, in seconds (proc(5), fields utime and stime).
pub fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("read its stat");
    let rest = stat.rsplit_once(')').expect("a name in parentheses").1;
    let field = |n: usize| rest.split_whitespace().nth(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    // SAFETY: a plain system call.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    (field(11) + field(12)) / ticks
}

/// `services` services of `checks` HTTP checks each.
pub fn config(services: usize, checks: usize, every: &str, ports: &[u16]) -> String {
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

/// Prints a figure; gives whether it was met.
pub fn verdict(name: &str, good: bool, words: String) -> bool {
    println!("{} {name:<8} {words}", if good { "ok    " } else { "MISSED" });
    good
}
