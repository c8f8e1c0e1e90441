//! Private folders of a user beside the state folder: for sockets, and for what has to be written while the disk is full.
//!
//! A folder that lies where everybody may write is used only when it is that user's own and closed to others: somebody
//! else may have made one of that name first.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where a user's private folder may be, the likeliest first: `$XDG_RUNTIME_DIR` of this process, then the places that do
/// not depend on how somebody came in (`sudo`, `cron`, `ssh` without PAM set no such variable). Nothing is made.
pub fn candidates(uid: u32) -> Vec<PathBuf> {
    let mut all = Vec::new();
    if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").filter(|v| !v.is_empty()) {
        all.push(PathBuf::from(runtime).join("mayday"));
    }
    all.extend(elsewhere(uid));
    all
}

/// The same without `$XDG_RUNTIME_DIR`.
pub fn elsewhere(uid: u32) -> Vec<PathBuf> {
    vec![
        PathBuf::from(format!("/run/user/{uid}/mayday")),
        PathBuf::from(format!("/dev/shm/mayday-{uid}")),
        PathBuf::from(format!("/tmp/mayday-{uid}")),
    ]
}

/// It is there, it is a folder and no link, it is that user's, and nobody else may write into it.
pub fn is_private(folder: &Path, uid: u32) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|m| m.is_dir() && m.uid() == uid && m.mode() & 0o022 == 0)
}

/// Makes the folder where it is missing (not those above it), mode 0700. Errors: it cannot be made, or what is there is
/// not private to this user.
pub fn make_private(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    if is_private(folder, super::peer::current_uid()) {
        return Ok(());
    }
    let why = format!("{} is somebody else's, or others may write into it", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_others_may_have_prepared_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let uid = super::super::peer::current_uid();
        let own = dir.path().join("mayday-1");
        assert!(!is_private(&own, uid));
        make_private(&own).unwrap();
        make_private(&own).unwrap();
        assert!(is_private(&own, uid) && !is_private(&own, uid + 1));
        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(make_private(&own).unwrap_err().to_string().contains("others may write"));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(make_private(&link).is_err());
        assert!(make_private(&dir.path().join("no/such")).is_err());
    }
}
