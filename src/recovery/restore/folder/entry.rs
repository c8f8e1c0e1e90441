//! Is a name of an archive, or a link in it, within the folder? Decided by the words alone, before anything is written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::only::Only;
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

/// Which links may lead out of the folder.
#[derive(Clone, Debug)]
pub struct Links {
    live: PathBuf,
    allowed: Option<Only>,
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    Inside,
    /// Out of the folder, as the configuration allows.
    Allowed,
    /// Out of the folder, and let through only because the live folder has the very same link.
    AsLive,
}

impl Links {
    /// `allowed`: patterns for names of links that may lead anywhere. Errors: which pattern cannot be used, and why.
    pub fn new(live: &Path, allowed: &[String]) -> Result<Links, String> {
        let allowed = if allowed.is_empty() { None } else { Some(Only::new(allowed)?) };
        Ok(Links { live: live.to_path_buf(), allowed })
    }

    /// None may, for want of a live folder and of a configuration.
    pub fn none() -> Links {
        Links { live: PathBuf::from("/dev/null"), allowed: None }
    }

    /// Whether a symbolic link at `at` (below the folder) stays within the folder. One that does not is let through where
    /// the configuration names it, or where the live folder has the very same one: then it is how this folder is meant to
    /// be. Nothing is ever written through a link.
    pub fn check(&self, at: &Path, target: &[u8]) -> Result<Leads, String> {
        let Err(why) = stays_within(at, Path::new(OsStr::from_bytes(target))) else { return Ok(Leads::Inside) };
        if self.allowed.as_ref().is_some_and(|allowed| allowed.has(at)) {
            return Ok(Leads::Allowed);
        }
        if std::fs::read_link(self.live.join(at)).is_ok_and(|there| there.as_os_str().as_bytes() == target) {
            return Ok(Leads::AsLive);
        }
        let name = text::clean_bytes(at.as_os_str().as_bytes());
        let target = text::clean_bytes(target);
        Err(format!(
            "\"{name}\" is a link to \"{target}\", {why}; nothing of it is unpacked: if it is meant to be so, add \
             \"{name}\" to `links` of [backup.restore.folder] and plan anew; else choose another copy, or unpack it by hand"
        ))
    }
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
    fn links_stay_within_unless_they_are_named_or_the_live_folder_has_them_too() {
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
            let links = Links::new(live.path(), &[]).unwrap();
            assert_eq!(links.check(Path::new(at), target.as_bytes()).is_ok(), good, "{at} -> {target}");
        }
        std::os::unix::fs::symlink("/etc", live.path().join("a")).unwrap();
        let links = Links::new(live.path(), &["b".into()]).unwrap();
        assert_eq!(links.check(Path::new("a"), b"/etc"), Ok(Leads::AsLive));
        assert_eq!(links.check(Path::new("b"), b"/etc"), Ok(Leads::Allowed));
        assert_eq!(links.check(Path::new("b"), b"a"), Ok(Leads::Inside));
        let why = links.check(Path::new("a"), b"/var").unwrap_err();
        assert!(why.contains("add \"a\" to `links`"), "{why}");
    }
}
