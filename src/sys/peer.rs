//! Who is at the other end of a Unix socket, as the kernel says it, and names of users and groups.
//!
//! Only what cannot be claimed is read here: uid, gid and pid of the socket's peer (`SO_PEERCRED`) and the login uid
//! of its process. Names come from `/etc/passwd` and `/etc/group` without NSS, so that the static build gives the
//! same answer and a dead directory service cannot block the cockpit.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The peer of a Unix socket at the time it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id; may belong to nobody any more, and is 0 for a process outside of this one's pid namespace.
    pub pid: i32,
    /// The uid that logged in, kept by the kernel across `sudo` and `su`; `None` where auditing does not set it.
    pub loginuid: Option<u32>,
    /// Name of `uid`, or the number where there is none.
    pub user: String,
}

/// Asks the kernel who the peer of `socket` is. Fails only where the socket is not a connected Unix socket.
pub fn peer_of(socket: &impl AsFd) -> io::Result<Peer> {
    // Not by rustix: its pid type cannot be 0, which is what the kernel says of a peer outside of our namespace.
    let mut cred = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the descriptor is open while `socket` is borrowed, and the kernel writes at most `length` bytes of a plain
    // C structure into `cred`.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // A listening or datagram socket has no peer and answers with uid -1.
    if cred.uid == u32::MAX {
        return Err(io::ErrorKind::NotConnected.into());
    }
    let login = login_uid(cred.pid);
    Ok(Peer { uid: cred.uid, gid: cred.gid, pid: cred.pid, loginuid: login, user: user_name(cred.uid) })
}

/// `/proc/PID/loginuid`; (uid_t)-1 means that nobody logged in.
fn login_uid(pid: i32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

/// The effective uid of this process.
pub fn current_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The name of a uid in `/etc/passwd`, or the number as text.
pub fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&passwd, uid).unwrap_or_else(|| uid.to_string())
}

/// The id of a group named in `/etc/group`; a number stands for itself.
pub fn group_id(name: &str) -> Option<u32> {
    let group = std::fs::read_to_string("/etc/group").unwrap_or_default();
    id_of(&group, name).or_else(|| name.parse().ok())
}

/// Names of the groups in `/etc/group` that `user` is in, by name or as the primary group `gid`.
pub fn groups_of(user: &str, gid: u32) -> Vec<String> {
    let group = std::fs::read_to_string("/etc/group").unwrap_or_default();
    groups_in(&group, user, gid)
}

/// The same of whoever runs this process, under the name that the engine knows them by.
pub fn own_groups(user: &str) -> Vec<String> {
    groups_of(user, rustix::process::getegid().as_raw())
}

fn groups_in(group: &str, user: &str, gid: u32) -> Vec<String> {
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        let member = fields.next().is_some_and(|m| m.split(',').any(|m| m.trim() == user));
        (member || number.parse() == Ok(gid)).then(|| name.to_owned())
    };
    group.lines().filter_map(of_line).collect()
}

/// The uid of a user named in `/etc/passwd`; a number stands for itself.
pub fn user_id(name: &str) -> Option<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    id_of(&passwd, name).or_else(|| name.parse().ok())
}

// Both files are lines of `name:password:id:…` (passwd(5), group(5)).
fn fields(line: &str) -> Option<(&str, u32)> {
    let mut parts = line.split(':');
    let name = parts.next().filter(|n| !n.is_empty())?;
    Some((name, parts.nth(1)?.parse().ok()?))
}

fn name_of(file: &str, id: u32) -> Option<String> {
    file.lines().filter_map(fields).find(|(_, i)| *i == id).map(|(name, _)| name.to_owned())
}

fn id_of(file: &str, name: &str) -> Option<u32> {
    file.lines().filter_map(fields).find(|(n, _)| *n == name).map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_peer_of_a_socket_pair_is_this_process() {
        let (a, _b) = UnixStream::pair().unwrap();
        let peer = peer_of(&a).unwrap();
        assert_eq!((peer.uid, peer.pid), (current_uid(), std::process::id() as i32));
        assert_eq!(peer.user, user_name(current_uid()));
        assert!(peer.loginuid.is_none_or(|uid| uid != u32::MAX));
        let alone = std::os::unix::net::UnixDatagram::unbound().unwrap();
        assert!(peer_of(&alone).is_err());
        assert!(peer_of(&std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).is_err());
    }

    #[test]
    fn names_are_found_and_broken_lines_skipped() {
        let file = "root:x:0:0:root:/root:/bin/sh\n\nbroken\n:x:7:\noncall1:x:1004:100::/:/bin/sh\nbad:x:many:1\n";
        assert_eq!(name_of(file, 1004).as_deref(), Some("oncall1"));
        assert_eq!(name_of(file, 7), None);
        assert_eq!(id_of(file, "root"), Some(0));
        assert_eq!(id_of(file, "bad"), None);
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(3_999_999_999), "3999999999");
        assert_eq!(group_id("root"), Some(0));
        assert_eq!(group_id("1234"), Some(1234));
        assert_eq!(group_id("no such group"), None);
    }

    #[test]
    fn groups_are_those_that_name_the_user_and_the_own_one() {
        let file = "root:x:0:\n\nbroken\ndba:x:70:ann,ben\nops:x:71: ben\nann:x:1004:\nbad:x:many:annika\n";
        assert_eq!(groups_in(file, "ann", 1004), ["dba", "ann"]);
        assert_eq!(groups_in(file, "ben", 9), ["dba", "ops"]);
        assert_eq!(groups_in(file, "cid", 9), [""; 0]);
    }
}
