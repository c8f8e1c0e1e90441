//! Reading a copy to its very end.
//!
//! Every byte is decoded, since only the end shows that there is one: checksums of gzip and zstd stand there. Runs for
//! as long as the copy is large; the caller gives it a thread at idle priority.

use std::ops::ControlFlow;
use std::path::Path;

use super::look::{self, Content};
use super::{Beat, Reading};
use crate::sys::archive::{self, ArchiveError};
use crate::text;

/// Reads a file. `None`: asked to stop.
pub fn read_file(path: &Path, beat: &Beat) -> Option<Result<Reading, String>> {
    let head = match head_of(path) {
        Ok(head) => head,
        Err(e) => return Some(Ok(Reading::Cannot(look::why_not(&e)))),
    };
    let decoded = archive::read_to_end_check_until(path, &mut |_| {
        if beat.tick() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    Some(match decoded {
        Ok(d) if look::content_of(&head) == Content::PgSql && !look::says_complete(&d.tail) => {
            Err("it is cut off: the line that ends a PostgreSQL dump is missing".to_owned())
        }
        Ok(d) => Ok(Reading::Whole(format!("read to the end: {}", text::size(d.bytes)))),
        Err(ArchiveError::Cancelled { .. }) => return None,
        Err(ArchiveError::Io(e)) => Ok(Reading::Cannot(look::why_not(&e))),
        Err(e) => Err(e.to_string()),
    })
}

fn head_of(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut head = Vec::with_capacity(512);
    let _ = archive::reader(look::open(path)?)?.take(512).read_to_end(&mut head);
    Ok(head)
}

/// Reads every file of a folder.
pub fn read_folder(path: &Path, beat: &Beat) -> Option<Result<Reading, String>> {
    let mut folders = vec![path.to_owned()];
    let (mut files, mut bytes) = (0usize, 0u64);
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) => return Some(Ok(Reading::Cannot(look::why_not(&e)))),
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.metadata().is_ok_and(|m| m.len() > 0) {
                files += 1;
                bytes += entry.metadata().map_or(0, |m| m.len());
                match read_file(&entry.path(), beat)? {
                    Ok(Reading::Whole(_)) => {}
                    Ok(other) => return Some(Ok(other)),
                    Err(fault) => {
                        let name = crate::domain::backup::place::of_bytes(entry.file_name().as_encoded_bytes());
                        return Some(Err(format!("{name}: {fault}")));
                    }
                }
            }
        }
    }
    let files = text::plural(files, "file");
    Some(Ok(Reading::Whole(format!("read to the end: {files}, {}", text::size(bytes)))))
}
