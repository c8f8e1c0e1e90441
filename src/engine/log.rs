//! The detached engine's log file, which must never fill the disk that the record is on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes after which the file becomes `engine.log.1`, whose predecessor goes.
const LARGEST: u64 = 4 << 20;

/// Appends to `engine.log`.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    len: u64,
    largest: u64,
}

impl Log {
    /// Opens it in `dir`. Errors: it cannot be written.
    pub fn open(dir: &Path) -> io::Result<Log> {
        Log::with_limit(&dir.join("engine.log"), LARGEST)
    }

    fn with_limit(path: &Path, largest: u64) -> io::Result<Log> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let len = file.metadata()?.len();
        Ok(Log { path: path.to_owned(), file, len, largest })
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.len >= self.largest {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            *self = Log::with_limit(&self.path, self.largest)?;
        }
        let n = self.file.write(bytes)?;
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_two_files_of_bounded_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.log");
        let mut log = Log::with_limit(&path, 100).unwrap();
        for n in 0..1000 {
            writeln!(log, "line {n}").unwrap();
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.iter().all(|p| std::fs::metadata(p).unwrap().len() < 120));
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("line 999\n"));
    }
}
