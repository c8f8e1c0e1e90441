//! A Redis server of the installed version.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use super::guard::{self, Guarded};
use super::{PATIENCE, free_port, program, scratch};

/// A running, or stopped, server without persistence unless asked for.
pub struct Redis {
    dir: tempfile::TempDir,
    port: u16,
    args: Vec<String>,
    server: Mutex<Option<Guarded>>,
}

impl Redis {
    /// A server; `args` are added to its command line, such as `["--requirepass", "x"]`.
    #[track_caller]
    pub fn start(args: &[&str]) -> Self {
        let args = args.iter().map(|a| (*a).to_owned()).collect();
        let redis = Redis { dir: scratch(), port: free_port(), args, server: Mutex::new(None) };
        redis.start_again();
        redis
    }

    /// Starts it after [`Redis::stop`] or [`Redis::kill`]; ready means that it answers anything, `-LOADING` too.
    #[track_caller]
    pub fn start_again(&self) {
        let mut command = Command::new(program("redis-server", "redis-server"));
        command.arg("--port").arg(self.port.to_string()).arg("--dir").arg(self.dir.path());
        command.args(["--bind", "127.0.0.1", "--daemonize", "no", "--save", "", "--appendonly", "no"]);
        command.args(&self.args).current_dir(self.dir.path());
        let mut server = guard::start(command, "redis-server", &self.dir.path().join("server.log"));
        server.wait_ready(PATIENCE, || self.raw("PING\r\n").is_some_and(|a| a.starts_with(['+', '-'])));
        *self.lock() = Some(server);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Guarded>> {
        self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The first bytes of the answer to an inline command.
    pub fn raw(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(command.as_bytes()).ok()?;
        let mut buffer = [0; 512];
        let n = stream.read(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..n]).into_owned())
    }

    /// Runs redis-cli against it and returns what it prints.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> String {
        let mut command = Command::new(program("redis-cli", "redis-tools"));
        command.arg("-p").arg(self.port.to_string()).args(["-h", "127.0.0.1", "--no-auth-warning"]);
        if let Some(at) = self.args.iter().position(|a| a == "--requirepass") {
            command.arg("-a").arg(&self.args[at + 1]);
        }
        let output = command.args(args).output().expect("redis-cli");
        assert!(output.status.success(), "redis-cli {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// `redis://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder where `dump.rdb` goes.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Process id; 0 when stopped.
    pub fn pid(&self) -> i32 {
        self.lock().as_ref().map_or(0, Guarded::pid)
    }

    /// Stops it in order.
    pub fn stop(&self) {
        if let Some(mut server) = self.lock().take() {
            server.end(libc::SIGTERM, PATIENCE);
        }
    }

    /// Ends it as a crash would.
    pub fn kill(&self) {
        if let Some(mut server) = self.lock().take() {
            server.kill_all();
        }
    }

    /// Sends it a signal: SIGSTOP hangs it.
    pub fn signal(&self, signal: i32) {
        if let Some(server) = self.lock().as_ref() {
            server.signal(signal);
        }
    }
}
