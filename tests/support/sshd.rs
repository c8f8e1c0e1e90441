//! An OpenSSH server for the present user, with its own host key and port.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::guard::{self, Guarded};
use super::{PATIENCE, free_port, program, scratch};

/// A running server; every connection of it ends with it.
pub struct Sshd {
    dir: tempfile::TempDir,
    port: u16,
    server: Mutex<Guarded>,
}

impl Sshd {
    /// Starts one. Environment variables `MAYDAY_*`, `XDG_*`, `HOME`, `TERM` and `PATH` of the client are accepted.
    #[track_caller]
    pub fn start() -> Self {
        let sshd = program("sshd", "openssh-server");
        let keygen = program("ssh-keygen", "openssh-client");
        let dir = scratch();
        let file = |name: &str| dir.path().join(name).display().to_string();
        for key in ["host_key", "user_key"] {
            let made = Command::new(&keygen).args(["-q", "-t", "ed25519", "-N", "", "-f", &file(key)]).output();
            let made = made.expect("ssh-keygen");
            assert!(made.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&made.stderr));
        }
        if mayday::sys::peer::current_uid() == 0 {
            // Compiled into Debian's sshd; normally made by its service unit.
            std::fs::create_dir_all("/run/sshd").expect("the folder /run/sshd, which sshd needs");
        }
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PubkeyAuthentication yes\nPermitRootLogin yes\nPrintMotd no\nPrintLastLog no\nMaxStartups 100\n\
             UseDNS no\nLogLevel VERBOSE\nAcceptEnv MAYDAY_* XDG_* LANG LC_* HOME PATH\n",
            file("host_key"),
            file("user_key.pub"),
        );
        std::fs::write(dir.path().join("sshd_config"), config).unwrap();
        let mut command = Command::new(sshd);
        command.args(["-D", "-e", "-f", &file("sshd_config")]);
        let mut server = guard::start(command, "sshd", &dir.path().join("server.log"));
        server.wait_ready(PATIENCE, || super::port_open(port));
        Sshd { dir, port, server: Mutex::new(server) }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }

    /// The argument list of an ssh client that logs in here; put options such as `-tt` and the command behind it.
    #[track_caller]
    pub fn ssh_argv(&self) -> Vec<String> {
        let ssh: PathBuf = program("ssh", "openssh-client");
        let user = mayday::sys::peer::user_name(mayday::sys::peer::current_uid());
        let key = self.dir.path().join("user_key");
        let port = self.port.to_string();
        let mut argv = vec![ssh.display().to_string(), "-F".into(), "none".into(), "-p".into(), port, "-i".into()];
        argv.push(key.display().to_string());
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "LogLevel=ERROR",
            "ConnectTimeout=10",
            "SendEnv=MAYDAY_* XDG_* LANG LC_* HOME PATH",
        ] {
            argv.push("-o".into());
            argv.push(option.into());
        }
        argv.push("-l".into());
        argv.push(user);
        argv.push("127.0.0.1".into());
        argv
    }

    /// An ssh client that runs `remote` here.
    #[track_caller]
    pub fn ssh_command(&self, remote: &[&str]) -> Command {
        let argv = self.ssh_argv();
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).args(remote);
        command
    }

    /// Cuts every connection as a dying network would: their server processes are killed without a word.
    pub fn cut_connections(&self) {
        let server = self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for pid in guard::descendants(server.pid()) {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            // Only sshd's own: what a session started must live or die by itself.
            if name.trim().starts_with("sshd") {
                // SAFETY: plain system call on a process of this server.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
    }

    /// The folder with its keys.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
