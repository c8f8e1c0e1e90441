//! Making a sandbox and taking it away again, also when the viewer is killed.
//!
//! A guard process holds the reading end of a pipe whose writing end only the viewer has. When the viewer is gone, for
//! whatever reason, the guard ends every process of the sandbox and removes its folder.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::service::{self, Settings};
use super::{servers, text};
use crate::sys::proc;
use crate::wire::client::EngineFile;

/// Services in the order in which they are stopped.
const SERVICES: [&str; 4] = ["web", "api", "redis", "postgres"];

/// A sandbox that runs. It is gone when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    pub dir: PathBuf,
    pub config: PathBuf,
    pub state_dir: PathBuf,
    /// What is real in it, for the person.
    pub about: Vec<String>,
    guard: Option<Child>,
}

impl Sandbox {
    /// Makes the folder, starts its services and takes the first backups.
    pub fn make(use_servers: bool) -> io::Result<Sandbox> {
        let dir = tempfile::Builder::new().prefix("mayday-demo-").tempdir()?.keep();
        // PostgreSQL runs as another user below it.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        let exe = std::env::current_exe()?;
        let guard = guard(&exe, &dir)?;
        let mut sandbox = Sandbox {
            config: dir.join("mayday.toml"),
            state_dir: dir.join("state"),
            dir: dir.clone(),
            about: Vec::new(),
            guard: Some(guard),
        };
        for folder in ["pids", "logs", "documents", "backups/documents", "backups/orders"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        write_documents(&dir.join("documents"))?;
        let mut settings =
            Settings { exe, api_port: servers::free_port()?, web_port: servers::free_port()?, ..Settings::default() };
        if use_servers {
            sandbox.add_servers(&mut settings);
        } else {
            sandbox.about.push("PostgreSQL and Redis were left out, as asked".into());
        }
        settings.write(&dir)?;
        for name in ["api", "web"] {
            service::start(&dir, &settings, name)?;
        }
        archive(&dir.join("documents"), &dir.join("backups/documents"))?;
        fs::write(&sandbox.config, text::config(&dir, &settings))?;
        sandbox.about.push("an API and a web front end of its own, and a folder of documents with archives".into());
        wait_for_port(settings.api_port)?;
        wait_for_port(settings.web_port)?;
        Ok(sandbox)
    }

    fn add_servers(&mut self, settings: &mut Settings) {
        match servers::make_redis(&self.dir) {
            Ok(Some(server)) => {
                settings.redis = Some(server);
                match service::start(&self.dir, settings, "redis") {
                    Ok(_) => self.about.push("Redis of this host".into()),
                    Err(e) => {
                        settings.redis = None;
                        self.about.push(format!("no Redis: {e}"));
                    }
                }
            }
            Ok(None) => self.about.push("no Redis: redis-server is not installed".into()),
            Err(e) => self.about.push(format!("no Redis: {e}")),
        }
        let Some((bin, version)) = servers::find_postgres() else {
            self.about.push("no PostgreSQL: its server programs are not installed".into());
            return;
        };
        if let Err(e) = self.add_postgres(settings, &bin, &version) {
            let _ = service::stop(&self.dir, "postgres");
            settings.postgres = None;
            self.about.push(format!("no PostgreSQL: {e}"));
        }
    }

    fn add_postgres(&mut self, settings: &mut Settings, bin: &Path, version: &str) -> io::Result<()> {
        let server = servers::make_postgres(&self.dir, bin, version)?;
        // Its log is written by the unprivileged user through a descriptor that is already open.
        settings.postgres = Some(server.clone());
        service::start(&self.dir, settings, "postgres")?;
        servers::fill(&server)?;
        let stamp = chrono::Utc::now().format("%Y%m%d-%H%M%S");
        servers::dump(&server, bin, &self.dir.join(format!("backups/orders/shop-{stamp}.dump")))?;
        self.about.push(format!("PostgreSQL {version} of this host, with a database of 20,000 orders and its dump"));
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            // Closing the pipe is the sign; the guard does the rest, and is waited for so that nothing is left behind.
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
    }
}

fn guard(exe: &Path, dir: &Path) -> io::Result<Child> {
    Command::new(exe)
        .args(["demo-service", "guard"])
        .arg(dir)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// `mayday demo-service guard DIR -`: waits until the viewer is gone, then removes the sandbox.
pub fn watch_over(dir: &Path) -> io::Result<()> {
    let _ = rustix::process::setsid();
    let mut nothing = [0; 16];
    while io::stdin().read(&mut nothing).is_ok_and(|n| n > 0) {}
    remove(dir);
    Ok(())
}

/// Ends everything that runs in the sandbox and removes its folder.
fn remove(dir: &Path) {
    if let Ok(Some(engine)) = EngineFile::read(&dir.join("state")) {
        end(engine.pid);
    }
    for name in SERVICES {
        let _ = service::stop(dir, name);
    }
    let begun = Instant::now();
    while fs::remove_dir_all(dir).is_err() && dir.exists() && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn end(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    let Ok(number) = i32::try_from(pid) else { return };
    let (Some(pid), Some(start)) = (Pid::from_raw(number), proc::pid_start_time(number)) else { return };
    let _ = kill_process(pid, Signal::TERM);
    let begun = Instant::now();
    // Whoever started it may be about to end as well and not reap it: only what still runs is waited for.
    while proc::is_alive(number, start) {
        if begun.elapsed() > Duration::from_secs(5) {
            let _ = kill_process(pid, Signal::KILL);
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn write_documents(dir: &Path) -> io::Result<()> {
    for n in 1..=120 {
        let text = format!("Invoice {n}\n\nTo customer {}: {} EUR for goods delivered.\n", n % 17 + 1, n * 13 % 900);
        fs::write(dir.join(format!("invoice-{n:03}.txt")), text)?;
    }
    Ok(())
}

/// A real archive of the documents, as a nightly job would make it.
fn archive(documents: &Path, to: &Path) -> io::Result<()> {
    let stamp = chrono::Utc::now().format("%Y%m%d-%H%M%S");
    let file = fs::File::create(to.join(format!("documents-{stamp}.tar.gz")))?;
    let packed = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    let mut tar = tar::Builder::new(packed);
    tar.append_dir_all("documents", documents)?;
    tar.into_inner()?.finish()?.sync_all()
}

fn wait_for_port(port: u16) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(_) => return Ok(()),
            Err(e) if begun.elapsed() > Duration::from_secs(5) => return Err(e),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
