//! The user that servers run as: they refuse root, so root gives its rights away before it starts one.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::sys::peer;

/// A user with its groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

impl User {
    /// Who runs the server: this process' own user, or for root the named one. Errors: why there is nobody, and what to
    /// do.
    pub fn choose(configured: Option<&str>) -> Result<User, String> {
        let own = peer::current_uid();
        let own_name = peer::user_name(own);
        if own != 0 {
            return match configured {
                Some(name) if peer::user_id(name) != Some(own) => Err(format!(
                    "this is {own_name} and may not start servers as {name}: run mayday as {name} or as root, or leave `user` out"
                )),
                _ => User::named(&own_name, own),
            };
        }
        let name = configured.unwrap_or("postgres");
        match peer::user_id(name) {
            None => Err(format!(
                "there is no user {name} on this host, and a server cannot run as root: set `user` of the restore"
            )),
            Some(0) => Err(format!("{name} is root, and a server cannot run as root: set `user` of the restore")),
            Some(uid) => User::named(name, uid),
        }
    }

    fn named(name: &str, uid: u32) -> Result<User, String> {
        let unknown = || format!("user {name} has no entry in the list of users");
        let text = std::ffi::CString::new(name).map_err(|_| unknown())?;
        let own = rustix::process::getgid().as_raw();
        let mut buffer = vec![0; 16 << 10];
        // SAFETY: a structure of numbers and pointers, for which zeros are valid.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: the name is terminated, the buffer as long as said; both outlive what is read from them.
        let code =
            unsafe { libc::getpwnam_r(text.as_ptr(), &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found) };
        let gid = if code == 0 && !found.is_null() { entry.pw_gid } else { own };
        let mut groups: Vec<libc::gid_t> = vec![0; 256];
        let mut count = 256;
        // SAFETY: the buffer holds `count` entries; the function writes at most as many and says how many.
        let found = unsafe { libc::getgrouplist(text.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        groups.truncate(if found < 0 { 0 } else { usize::try_from(count).unwrap_or(0) });
        Ok(User { name: name.to_owned(), uid, gid, groups })
    }

    /// True when this process is another user and gives its rights away.
    pub fn is_other(&self) -> bool {
        peer::current_uid() != self.uid
    }

    /// Lets a command run as this user. Nothing to do for one's own.
    pub fn becomes(&self, command: &mut Command) {
        if !self.is_other() {
            return;
        }
        let (uid, gid, groups) = (self.uid, self.gid, self.groups.clone());
        // SAFETY: three plain system calls between fork and exec; the list was made before.
        unsafe {
            command.pre_exec(move || {
                let done = libc::setgroups(groups.len(), groups.as_ptr()) == 0
                    && libc::setgid(gid) == 0
                    && libc::setuid(uid) == 0;
                if done { Ok(()) } else { Err(io::Error::last_os_error()) }
            });
        }
    }

    /// Whether this user may do something with a file, by its owner and mode. Access lists are not looked at.
    pub fn may(&self, meta: &std::fs::Metadata, bits: u32) -> bool {
        use std::os::unix::fs::MetadataExt;
        let mode = meta.mode();
        let granted = if meta.uid() == self.uid {
            mode >> 6
        } else if meta.gid() == self.gid || self.groups.contains(&meta.gid()) {
            mode >> 3
        } else {
            mode
        };
        granted & bits == bits
    }

    /// The first folder on the way to `path` that this user may not go through. Links are resolved.
    pub fn stopped_at(&self, path: &std::path::Path) -> Option<std::path::PathBuf> {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let above: Vec<_> = real.ancestors().skip(1).collect();
        above
            .into_iter()
            .rev()
            .find(|dir| std::fs::metadata(dir).is_ok_and(|m| !self.may(&m, 1)))
            .map(std::path::Path::to_path_buf)
    }
}
