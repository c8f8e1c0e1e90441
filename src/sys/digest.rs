//! The SHA-256 of a file.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Reads a file to its end: 64 lower-case hex digits. `progress` is given the bytes read now and then and can end it,
/// which gives `None`. Blocks.
pub fn sha256_file(path: &Path, progress: &mut dyn FnMut(u64) -> ControlFlow<()>) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let mut sum = Sha256::new();
    let mut piece = vec![0; 1 << 18];
    let mut done = 0u64;
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(Some(hex::encode(sum.finalize()))),
            Ok(n) => {
                sum.update(piece.get(..n).unwrap_or_default());
                done += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if progress(done).is_break() {
            return Ok(None);
        }
    }
}
