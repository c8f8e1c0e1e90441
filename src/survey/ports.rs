//! Listening TCP ports and whose they are, from `/proc` alone: no `ss`, no rights.
//!
//! `/proc/net/tcp` and `tcp6` (proc_pid_net(5)) give addresses and socket numbers; the open files of processes that this
//! user may look into give their names; their control groups give the unit or the container.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Host;
use crate::text;

/// A port that something listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    pub port: u16,
    /// Listens on loopback addresses only.
    pub loopback: bool,
    /// Can be reached through 127.0.0.1.
    pub local: bool,
    /// Name of the process, where it may be seen.
    pub process: Option<String>,
    /// Unit of systemd.
    pub unit: Option<String>,
    /// Id of a container, later its name.
    pub container: Option<String>,
}

/// One line of `/proc/net/tcp` that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    pub address: IpAddr,
    pub port: u16,
    pub inode: u64,
}

/// Time given to looking through the open files of processes.
const PROCESSES: Duration = Duration::from_secs(2);

/// The listening sockets of a table in the form of `/proc/net/tcp` or `tcp6`. Lines that cannot be read are passed over.
pub fn parse_table(table: &str) -> Vec<Socket> {
    table.lines().skip(1).filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Socket> {
    let mut fields = line.split_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    // After the remote address: the state, 0A is TCP_LISTEN.
    if fields.nth(1)? != "0A" {
        return None;
    }
    Some(Socket {
        address: parse_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode: fields.nth(5)?.parse().ok()?,
    })
}

/// Words of 32 bits in the machine's own byte order, as hexadecimal digits.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |i: usize| u32::from_str_radix(text.get(i * 8..i * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (i, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(i)?);
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// What a control group path says about its owner (`/proc/PID/cgroup`): the unit, and the id of a container.
pub fn parse_cgroup(text: &str) -> (Option<String>, Option<String>) {
    let (mut unit, mut container) = (None, None);
    for path in text.lines().filter_map(|line| line.splitn(3, ':').nth(2)) {
        for part in path.split('/') {
            let id = part.strip_prefix("docker-").or_else(|| part.strip_prefix("libpod-")).unwrap_or(part);
            let id = id.strip_suffix(".scope").unwrap_or(id);
            if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
                container = Some(id.to_owned());
            }
            let own_manager = part.starts_with("user@");
            if part.ends_with(".service") && !own_manager {
                unit = Some(text::clean(part).into_owned());
            }
        }
    }
    // The service of the container engine is not the unit of what runs in a container.
    (unit.filter(|_| container.is_none()), container)
}

/// Every listening port of a host, by number. Blocks for two seconds at the most.
pub fn listening(host: &Host) -> Vec<Listening> {
    let mut sockets = Vec::new();
    for table in ["proc/net/tcp", "proc/net/tcp6"] {
        sockets.extend(parse_table(&fs::read_to_string(host.at(table)).unwrap_or_default()));
    }
    let inodes: BTreeMap<u64, u16> = sockets.iter().map(|s| (s.inode, s.port)).collect();
    let owners = owners(&host.at("proc"), &inodes);
    let mut ports: BTreeMap<u16, Listening> = BTreeMap::new();
    for socket in &sockets {
        let port =
            ports.entry(socket.port).or_insert(Listening { port: socket.port, loopback: true, ..Listening::default() });
        port.loopback &= socket.address.is_loopback();
        port.local |= socket.address.is_unspecified() || socket.address == IpAddr::V4(Ipv4Addr::LOCALHOST);
    }
    for (number, owner) in owners {
        if let Some(port) = ports.get_mut(&number) {
            (port.process, port.unit, port.container) = (owner.process, owner.unit, owner.container);
        }
    }
    ports.into_values().collect()
}

#[derive(Default)]
struct Owner {
    process: Option<String>,
    unit: Option<String>,
    container: Option<String>,
}

/// Looks through the open files of all processes. The first owner of a socket counts: a parent, whose number is lower.
fn owners(proc: &Path, inodes: &BTreeMap<u64, u16>) -> BTreeMap<u16, Owner> {
    let began = Instant::now();
    let mut found: BTreeMap<u16, Owner> = BTreeMap::new();
    let Ok(entries) = fs::read_dir(proc) else { return found };
    let mut pids: Vec<u32> =
        entries.flatten().filter_map(|e| e.file_name().to_str().and_then(|n| n.parse().ok())).collect();
    pids.sort_unstable();
    for pid in pids {
        if began.elapsed() > PROCESSES {
            break;
        }
        let process = proc.join(pid.to_string());
        // Not of this user, or gone.
        let Ok(files) = fs::read_dir(process.join("fd")) else { continue };
        for file in files.flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            let Some(port) = socket_inode(&target).and_then(|inode| inodes.get(&inode)) else { continue };
            found.entry(*port).or_insert_with(|| {
                let name = fs::read(process.join("comm")).unwrap_or_default();
                let (unit, container) = parse_cgroup(&fs::read_to_string(process.join("cgroup")).unwrap_or_default());
                let name = text::clean_bytes(name.trim_ascii_end());
                Owner { process: Some(name).filter(|n| !n.is_empty()), unit, container }
            });
        }
    }
    found
}

/// `socket:[4711]` → 4711.
fn socket_inode(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Ports of the host itself rather than of what runs on it: nobody declares an incident for the printer daemon.
pub fn is_of_the_system(port: &Listening) -> bool {
    const PROCESSES: [&str; 16] = [
        "sshd",
        "systemd",
        "systemd-resolve",
        "rpcbind",
        "rpc.statd",
        "rpc.mountd",
        "cupsd",
        "chronyd",
        "ntpd",
        "dnsmasq",
        "avahi-daemon",
        "master",
        "exim4",
        "containerd",
        "dockerd",
        "kubelet",
    ];
    // Without rights the name is unknown; the number then has to do.
    const PORTS: [u16; 6] = [22, 25, 53, 111, 631, 5355];
    match &port.process {
        Some(process) => PROCESSES.contains(&process.as_str()) && port.container.is_none(),
        None => PORTS.contains(&port.port),
    }
}
