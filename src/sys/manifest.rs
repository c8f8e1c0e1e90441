//! The manifest that lies beside a copy, if there is one.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::domain::backup::Manifest;
use crate::domain::backup::manifest::{ENDING, MOST};

/// Where the manifest of a copy lies.
pub fn beside(copy: &Path) -> PathBuf {
    let mut name = OsString::from(copy);
    name.push(ENDING);
    PathBuf::from(name)
}

/// Whether a name is that of a manifest, and hence of no copy.
pub fn is_one(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(ENDING.as_bytes())
}

/// Reads the manifest of a copy; `None` when there is none. Never waits for a writer; may block as the file system does.
/// Errors: why what lies there is none.
pub fn read(copy: &Path) -> Result<Option<Manifest>, String> {
    let path = beside(copy);
    let failed = |why: String| format!("{}: {why}", path.display());
    let open = || -> io::Result<Vec<u8>> {
        let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(format!("it cannot be read: {e}"))),
        Ok(bytes) => Manifest::parse(&bytes).map(Some).map_err(failed),
    }
}
