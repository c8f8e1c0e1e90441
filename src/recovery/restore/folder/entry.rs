//! Is a name of an archive, or a link in it, within the folder? Decided by the words alone, before anything is written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::text;

/// Why a name or a link is refused.
fn refuse(name: &[u8], why: &str) -> String {
    format!(
        "\"{}\" {why}; nothing of it is unpacked: choose another copy, or unpack it by hand",
        text::clean_bytes(name)
    )
}

/// The path below the folder that a name of the archive means, `strip` leading parts dropped; `None` when nothing is left
/// of it. Refused are absolute names and those that go up.
pub fn path(name: &[u8], strip: u32) -> Result<Option<PathBuf>, String> {
    if name.contains(&0) {
        return Err(refuse(name, "has a zero byte in its name"));
    }
    let mut parts = Vec::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(p) => parts.push(p),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err(refuse(name, "is an absolute name")),
            Component::ParentDir => return Err(refuse(name, "leads out of the folder")),
        }
    }
    let kept: PathBuf = parts.into_iter().skip(strip as usize).collect();
    Ok(Some(kept).filter(|p| !p.as_os_str().is_empty()))
}

/// Whether a symbolic link at `at` (below the folder) stays within the folder. One that does not is let through where the
/// live folder has the very same link: then it is how this folder is meant to be.
pub fn link(at: &Path, target: &[u8], live: &Path) -> Result<(), String> {
    let Err(why) = stays_within(at, Path::new(OsStr::from_bytes(target))) else { return Ok(()) };
    let same = std::fs::read_link(live.join(at)).is_ok_and(|there| there.as_os_str().as_bytes() == target);
    if same {
        return Ok(());
    }
    let name = at.as_os_str().as_bytes();
    Err(refuse(name, &format!("is a link to \"{}\", {why}", text::clean_bytes(target))))
}

/// Going up is allowed at the beginning only: after a name that may itself be a link, `..` means another place than it
/// says.
fn stays_within(at: &Path, target: &Path) -> Result<(), &'static str> {
    let mut depth = at.components().count().saturating_sub(1);
    let mut down = false;
    for part in target.components() {
        match part {
            Component::RootDir | Component::Prefix(_) => return Err("which is absolute"),
            Component::CurDir => {}
            Component::Normal(_) => down = true,
            Component::ParentDir if down => return Err("which goes down and up again"),
            Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return Err("which leads out of the folder"),
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_folder() {
        for (name, strip, wanted) in [
            ("a/b", 0, Ok(Some("a/b"))),
            ("./a//b/.", 0, Ok(Some("a/b"))),
            ("docs/a", 1, Ok(Some("a"))),
            ("docs/", 1, Ok(None)),
            ("./", 0, Ok(None)),
            ("..a/b..", 0, Ok(Some("..a/b.."))),
            ("../a", 0, Err(())),
            ("a/../../b", 0, Err(())),
            ("docs/../x", 1, Err(())),
            ("/etc/passwd", 0, Err(())),
            ("/etc/passwd", 1, Err(())),
            ("a\0b", 0, Err(())),
        ] {
            let got = path(name.as_bytes(), strip).map_err(|_| ());
            assert_eq!(got, wanted.map(|w| w.map(PathBuf::from)), "{name}");
        }
    }

    #[test]
    fn links_stay_within_unless_the_live_folder_has_them_too() {
        let live = tempfile::tempdir().unwrap();
        for (at, target, good) in [
            ("a", "b", true),
            ("d/a", "../b", true),
            ("d/a", "../../b", false),
            ("a", "..", false),
            ("a", "/etc", false),
            ("d/e/a", "x/../../..", false),
            ("a", ".", true),
        ] {
            assert_eq!(link(Path::new(at), target.as_bytes(), live.path()).is_ok(), good, "{at} -> {target}");
        }
        std::os::unix::fs::symlink("/etc", live.path().join("a")).unwrap();
        assert!(link(Path::new("a"), b"/etc", live.path()).is_ok());
        assert!(link(Path::new("a"), b"/var", live.path()).is_err());
    }
}
