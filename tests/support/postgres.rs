//! A PostgreSQL server of the installed version, with password logins over TCP and trusted ones over its socket.
//!
//! `initdb` runs once per checkout: its result lies under the target folder and is copied, so that a start takes well
//! under a second.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::guard::{self, Guarded};
use super::{PATIENCE, ServerCert, free_port, scratch};

/// Name of the superuser of every test server.
pub const SUPERUSER: &str = "postgres";
/// The superuser's password; must never be seen anywhere.
pub const PASSWORD: &str = "pg-s3cret-planted";

/// How a server is to be.
#[derive(Default)]
pub struct PgOptions {
    settings: Vec<(String, String)>,
    durable: bool,
    standby: bool,
    accepts_nobody: bool,
    cert: Option<ServerCert>,
    place: Option<PathBuf>,
}

impl PgOptions {
    /// One line of `postgresql.conf`.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
    /// With fsync, for tests of durability.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }
    /// In recovery for good, as a standby whose primary is gone.
    pub fn standby(mut self) -> Self {
        self.standby = true;
        self
    }
    /// It will never accept connections: only its port is waited for.
    pub fn accepts_nobody(mut self) -> Self {
        self.accepts_nobody = true;
        self
    }
    /// With its data, log included, in a folder of this one.
    pub fn in_folder(mut self, place: &Path) -> Self {
        self.place = Some(place.to_path_buf());
        self
    }
    /// With TLS.
    pub fn tls(mut self, cert: ServerCert) -> Self {
        self.cert = Some(cert);
        self
    }
}

/// A running, or stopped, server.
pub struct Postgres {
    dir: tempfile::TempDir,
    port: u16,
    options: PgOptions,
    server: Mutex<Option<Guarded>>,
}

impl Postgres {
    /// A server with nothing in it.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(PgOptions::default())
    }

    /// A server as asked for.
    #[track_caller]
    pub fn start_with(options: PgOptions) -> Self {
        let template = template();
        let dir = match &options.place {
            Some(place) => tempfile::tempdir_in(place).unwrap(),
            None => scratch(),
        };
        guard::give_away(dir.path());
        let data = dir.path().join("data");
        run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&template).arg(&data));
        if options.standby {
            let signal = data.join("standby.signal");
            std::fs::write(&signal, "").unwrap();
            guard::give_away(&signal);
        }
        if let Some(cert) = &options.cert {
            for (name, text) in [("server.crt", &cert.cert_pem), ("server.key", &cert.key_pem)] {
                let path = data.join(name);
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
                guard::give_away(&path);
            }
        }
        let server = Postgres { dir, port: free_port(), options, server: Mutex::new(None) };
        server.start_again();
        server
    }

    /// The one server that the tests of this binary share; use [`Postgres::fresh_db`] on it.
    #[track_caller]
    pub fn shared() -> Arc<Postgres> {
        static SHARED: Mutex<Option<Arc<Postgres>>> = Mutex::new(None);
        extern "C" fn at_exit() {
            // Statics are never dropped; this is the only way to remove its folder.
            if let Ok(mut shared) = SHARED.lock() {
                shared.take();
            }
        }
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let server = shared.get_or_insert_with(|| {
            // SAFETY: the handler is a plain function that lives as long as the process.
            unsafe { libc::atexit(at_exit) };
            Arc::new(Postgres::start())
        });
        server.clone()
    }

    /// Starts it after [`Postgres::stop`] or [`Postgres::kill`].
    #[track_caller]
    pub fn start_again(&self) {
        let mut command = Command::new(bin("postgres"));
        command.arg("-D").arg(self.data_dir()).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        command.current_dir(self.dir.path());
        let mut set = |name: &str, value: &str| {
            command.arg("-c").arg(format!("{name}={value}"));
        };
        set("listen_addresses", "127.0.0.1");
        set("port", &self.port.to_string());
        set("unix_socket_directories", &self.dir.path().display().to_string());
        set("shared_buffers", "16MB");
        set("jit", "off");
        // No files in /dev/shm that a killed server would leave.
        set("dynamic_shared_memory_type", "mmap");
        if !self.options.durable {
            set("fsync", "off");
        }
        if self.options.cert.is_some() {
            set("ssl", "on");
        }
        for (name, value) in &self.options.settings {
            set(name, value);
        }
        guard::drop_privileges(&mut command);
        let mut server = guard::start(command, "postgres", &self.dir.path().join("server.log"));
        let nobody = self.options.accepts_nobody;
        let pid_file = self.data_dir().join("postmaster.pid");
        let me = server.pid().to_string();
        server.wait_ready(PATIENCE, || {
            // Line 1 is the pid, line 8 the status: what pg_ctl looks at (utils/pidfile.h).
            let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
            let mut lines = text.lines();
            let ours = lines.next() == Some(me.as_str());
            let status = lines.nth(6).unwrap_or_default().trim();
            ours && (matches!(status, "ready" | "standby") && !nobody || nobody && super::port_open(self.port))
        });
        *self.lock() = Some(server);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Guarded>> {
        self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Stops it in order, ending its sessions (SIGINT: fast shutdown).
    pub fn stop(&self) {
        if let Some(mut server) = self.lock().take() {
            server.end(libc::SIGINT, PATIENCE);
        }
    }

    /// Ends it as a crash would, with everything it started.
    pub fn kill(&self) {
        if let Some(mut server) = self.lock().take() {
            server.kill_all();
        }
    }

    /// Sends a signal to the postmaster (SIGTERM: no new sessions, waits for the present ones).
    pub fn signal(&self, signal: i32) {
        if let Some(server) = self.lock().as_ref() {
            server.signal(signal);
        }
    }

    /// Freezes it with everything it started, until dropped, killed or thawed.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { libc::SIGSTOP } else { libc::SIGCONT };
        if let Some(server) = self.lock().as_ref() {
            for pid in guard::descendants(server.pid()).into_iter().chain([server.pid()]) {
                // SAFETY: plain system call on a process of this server.
                unsafe { libc::kill(pid, signal) };
            }
        }
    }

    /// Process id of the postmaster; 0 when stopped.
    pub fn pid(&self) -> i32 {
        self.lock().as_ref().map_or(0, Guarded::pid)
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its Unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }

    /// The superuser's connection string over TCP, password included.
    pub fn dsn(&self, db: &str) -> String {
        format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/{db}", self.port)
    }

    /// The same over the Unix socket, where no password is asked.
    pub fn socket_dsn(&self, db: &str) -> String {
        format!("host={} port={} user={SUPERUSER} dbname={db}", self.dir.path().display(), self.port)
    }

    /// Runs SQL with psql and returns what it prints (unaligned, tuples only); fails the test on an error.
    #[track_caller]
    pub fn psql(&self, db: &str, sql: &str) -> String {
        self.try_psql(db, sql).unwrap_or_else(|e| panic!("psql on {db}: {sql}\n{e}"))
    }

    /// Like [`Postgres::psql`]; an error is what psql said.
    pub fn try_psql(&self, db: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.tool("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", db, "-c", sql]);
        let output = psql.output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// A client tool of the server's version, with the environment that reaches this server as superuser.
    #[track_caller]
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(bin(name));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("PGHOST", self.dir.path())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", SUPERUSER)
            .env("PGCONNECT_TIMEOUT", "10");
        command
    }

    /// A new, empty database with a name nobody else has.
    #[track_caller]
    pub fn fresh_db(&self) -> String {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("test_{}_{n}", std::process::id());
        self.create_db(&name);
        name
    }

    /// A new, empty database.
    #[track_caller]
    pub fn create_db(&self, name: &str) {
        self.psql("postgres", &format!("create database \"{}\" template template0", name.replace('"', "\"\"")));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An immediate shutdown lets the server remove its shared memory; a frozen one must be thawed to do so.
        self.freeze(false);
        if let Some(mut server) = self.lock().take() {
            server.end(libc::SIGQUIT, Duration::from_secs(5));
        }
    }
}

/// A program of the newest PostgreSQL installed.
#[track_caller]
pub fn bin(name: &str) -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").is_file() && bin.join("postgres").is_file())
        .collect();
    versions.sort();
    match versions.pop().map(|(_, dir)| dir.join(name)) {
        Some(path) if path.is_file() => path,
        _ => super::program(name, "postgresql"),
    }
}

/// An initialised data folder, made once per checkout and server version.
#[track_caller]
fn template() -> PathBuf {
    // One at a time in this process; the file lock holds off other processes.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let version = run(Command::new(bin("postgres")).arg("--version"));
    let version: String = String::from_utf8_lossy(&version.stdout)
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == '.' || *c == '-')
        .take(24)
        .collect();
    let keep = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(keep).unwrap();
    let uid = guard::unprivileged().map_or_else(mayday::sys::peer::current_uid, |(uid, _)| uid);
    let made = keep.join(format!("postgres-{version}-{uid}-1"));
    let lock = std::fs::File::create(keep.join("postgres.lock")).unwrap();
    lock.lock().unwrap();
    if made.is_dir() {
        return made;
    }
    let work = scratch();
    guard::give_away(work.path());
    let password = work.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    guard::give_away(&password);
    let mut initdb = Command::new(bin("initdb"));
    initdb.arg("-D").arg(work.path().join("data")).arg(format!("--pwfile={}", password.display()));
    initdb.args(["-U", SUPERUSER, "--auth-local=trust", "--auth-host=scram-sha-256"]);
    initdb.args(["--no-sync", "--no-locale", "--encoding=UTF8"]);
    initdb.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir(work.path());
    guard::drop_privileges(&mut initdb);
    run(&mut initdb);
    let beside = keep.join(format!("postgres-{}.tmp", std::process::id()));
    let _ = std::fs::remove_dir_all(&beside);
    run(Command::new("cp").arg("-a").arg(work.path().join("data")).arg(&beside));
    std::fs::rename(&beside, &made).unwrap();
    made
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}
