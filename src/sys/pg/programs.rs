//! The PostgreSQL programs of this host: which there are, of which version, and which of them fits.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sys::proc::{self, Cmd};

/// A program and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    pub path: PathBuf,
    pub major: u32,
    /// As it says itself: `pg_restore (PostgreSQL) 15.18`.
    pub said: String,
}

/// Every `name` on this host, each version once, oldest first; with `path` (in the form of `$PATH`) only those in it.
pub async fn find(name: &str, path: Option<&OsStr>) -> Vec<Tool> {
    let mut places: Vec<PathBuf> = Vec::new();
    match path {
        Some(path) => places.extend(std::env::split_paths(path).map(|dir| dir.join(name))),
        None => {
            // The programs of a version before what PATH finds: Debian's is a wrapper that may choose another version by
            // the server it is asked to reach.
            let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
            places.extend(versions.map(|e| e.path().join("bin").join(name)));
            // Of the PostgreSQL project's packages for Red Hat and SUSE.
            places.extend((9..40).map(|n| PathBuf::from(format!("/usr/pgsql-{n}/bin")).join(name)));
            let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
            places.extend(proc::which(name, path));
        }
    }
    let mut tools: Vec<Tool> = Vec::new();
    for place in places {
        if !place.is_file() {
            continue;
        }
        if let Some(tool) = version(&place).await
            && !tools.iter().any(|t| t.major == tool.major)
        {
            tools.push(tool);
        }
    }
    tools.sort_by_key(|t| t.major);
    tools
}

async fn version(path: &Path) -> Option<Tool> {
    let outcome = proc::run(Cmd::new(path).arg("--version").timeout(Duration::from_secs(5))).await;
    if !outcome.success() {
        return None;
    }
    let said = outcome.stdout.text().lines().next().unwrap_or_default().trim().to_owned();
    Some(Tool { path: path.to_path_buf(), major: major(&said)?, said })
}

/// The 15 of `pg_restore (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, of `17devel`, of `9.6.24` the 9.
pub fn major(said: &str) -> Option<u32> {
    let word = said.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The newest that fits and is not newer than the server, else the oldest that fits: a newer one may send settings that an
/// older server does not know.
pub fn choose(tools: &[Tool], at_least: u32, server: Option<u32>) -> Option<&Tool> {
    let fitting = || tools.iter().filter(|t| t.major >= at_least);
    fitting().rfind(|t| server.is_none_or(|s| t.major <= s)).or_else(|| fitting().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_the_fitting_one_is_chosen() {
        for (said, wanted) in [
            ("pg_restore (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
            ("psql (PostgreSQL) 17devel", Some(17)),
            ("pg_restore (PostgreSQL) 9.6.24", Some(9)),
            ("nonsense", None),
        ] {
            assert_eq!(major(said), wanted, "{said}");
        }
        let tools: Vec<Tool> =
            [13, 15, 17].map(|major| Tool { path: PathBuf::new(), major, said: String::new() }).into();
        let chosen = |at_least, server| choose(&tools, at_least, server).map(|t| t.major);
        assert_eq!(chosen(0, Some(15)), Some(15));
        assert_eq!(chosen(16, Some(15)), Some(17));
        assert_eq!(chosen(0, Some(16)), Some(15));
        assert_eq!(chosen(0, Some(12)), Some(13));
        assert_eq!(chosen(0, None), Some(17));
        assert_eq!(chosen(18, None), None);
    }
}
