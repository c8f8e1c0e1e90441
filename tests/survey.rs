//! Looking at a host: one made of files, stand-ins for tools, and real servers.

mod support;

#[path = "survey/doctor.rs"]
mod doctor;
#[path = "survey/host.rs"]
mod host;

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mayday::survey::Host;

/// A host below a temporary folder.
pub struct Pretend {
    pub dir: tempfile::TempDir,
}

impl Pretend {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let pretend = Pretend { dir: support::scratch() };
        std::fs::create_dir_all(pretend.dir.path().join("bin")).unwrap();
        pretend
    }

    pub fn host(&self) -> Host {
        let path = format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display());
        Host {
            root: self.dir.path().to_owned(),
            path: path.into(),
            home: Some(self.dir.path().join("home/me")),
            limit: Duration::from_secs(5),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// As [`Pretend::host`], without any tool that was not put there.
    pub fn bare(&self) -> Host {
        Host { path: self.dir.path().join("bin").into(), ..self.host() }
    }

    pub fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A program that writes its arguments to `NAME.args` and then runs `script`.
    pub fn tool(&self, name: &str, script: &str) {
        let log = self.dir.path().join(format!("{name}.args"));
        let text = format!("#!/bin/sh\necho \"$@\" >> {}\n{script}\n", log.display());
        let path = self.file(&format!("bin/{name}"), &text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The argument lists that a tool was given.
    pub fn asked(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join(format!("{name}.args"))).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A process that listens on `port` of `address` (as `/proc/net/tcp` writes it).
    pub fn listener(&self, pid: u32, name: &str, address: &str, port: u16, cgroup: &str) {
        let inode = 100_000 + u32::from(port);
        let v6 = address.len() == 32;
        let table = if v6 { "proc/net/tcp6" } else { "proc/net/tcp" };
        let path = self.dir.path().join(table);
        let mut text =
            std::fs::read_to_string(&path).unwrap_or_else(|_| "  sl  local_address rem_address   st …\n".to_owned());
        let remote = "0".repeat(address.len());
        text.push_str(&format!(
            "   0: {address}:{port:04X} {remote}:0000 0A 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100 0 0 10 0\n"
        ));
        self.file(table, &text);
        if pid > 0 {
            self.file(&format!("proc/{pid}/comm"), &format!("{name}\n"));
            self.file(&format!("proc/{pid}/cgroup"), cgroup);
            let fd = self.dir.path().join(format!("proc/{pid}/fd"));
            std::fs::create_dir_all(&fd).unwrap();
            let _ = symlink(format!("socket:[{inode}]"), fd.join(port.to_string()));
        }
    }
}

/// Loopback and any address, in the byte order of this machine.
pub fn hex(address: Ipv4Addr) -> String {
    format!("{:08X}", u32::from_ne_bytes(address.octets()))
}

pub fn write(path: &Path, content: &[u8], age: Duration) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    let file = std::fs::File::open(path).unwrap();
    file.set_times(std::fs::FileTimes::new().set_modified(std::time::SystemTime::now() - age)).unwrap();
}
