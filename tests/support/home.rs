//! A user's folders, and the mayday binary run in them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::guard;
use super::{scratch, wait_until};

/// A home folder with its XDG folders. What was started in it is killed with its guard, engines and runners in
/// sessions of their own included: they are found by their environment.
pub struct Home {
    dir: tempfile::TempDir,
    extra: Vec<(String, String)>,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// Empty folders.
    #[track_caller]
    pub fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = scratch();
        for name in ["config", "state", "run", "data", "cache", "work"] {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        Home { dir, extra: Vec::new() }
    }

    /// With one more environment variable.
    pub fn env_var(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where programs start: empty, and no place where a configuration is looked for.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// `$XDG_STATE_HOME/mayday`.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state/mayday")
    }

    /// `$XDG_RUNTIME_DIR`.
    pub fn runtime(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Writes `$XDG_CONFIG_HOME/mayday/mayday.toml`.
    #[track_caller]
    pub fn write_config(&self, toml: &str) -> PathBuf {
        let dir = self.dir.path().join("config/mayday");
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("mayday.toml");
        std::fs::write(&path, toml).unwrap();
        path
    }

    /// The whole environment of a program run here.
    pub fn env(&self) -> Vec<(String, String)> {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let mut env: Vec<(String, String)> = [
            ("HOME", self.dir.path().display().to_string()),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_STATE_HOME", at("state")),
            ("XDG_RUNTIME_DIR", at("run")),
            ("XDG_DATA_HOME", at("data")),
            ("XDG_CACHE_HOME", at("cache")),
            ("PATH", std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned())),
            ("LANG", "C.UTF-8".to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("TERM", "xterm-256color".to_owned()),
            ("USER", mayday::sys::peer::user_name(mayday::sys::peer::current_uid())),
            ("SHELL", "/bin/sh".to_owned()),
            ("TZ", "UTC".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        env.retain(|(name, _)| !self.extra.iter().any(|(n, _)| n == name));
        env.extend(self.extra.iter().cloned());
        env
    }

    /// Any program, with this home's environment and in its work folder.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.env()).current_dir(self.work());
        command
    }

    /// The mayday binary under test.
    pub fn mayday(&self, args: &[&str]) -> Command {
        let mut command = self.command(mayday_binary());
        command.args(args);
        command
    }

    /// Processes that were started here and still run.
    pub fn processes(&self) -> Vec<i32> {
        guard::processes_of(self.dir.path())
    }

    /// Kills everything that was started here, and waits until it is gone.
    pub fn kill_everything(&self) {
        let began = std::time::Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || began.elapsed() > Duration::from_secs(5) {
                return;
            }
            for pid in left {
                // SAFETY: plain system call on a process whose environment names this folder.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.kill_everything();
    }
}

/// The mayday binary under test.
pub fn mayday_binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mayday"))
}
