//! Memory of the process: giving back what only the start needed, keeping what is needed again at once.

use std::io::{self, Read};

/// Unmaps the pages of this program's own code and constants, once. What is still used comes back from the page cache by
/// itself, a few pages at a time; argument parsing, reading of files, the tables for relocation and the like do not.
/// Harmless where it is not possible.
///
/// Only mappings that cannot be written to and never were are touched: private, from a file, without a page of their own.
/// (What was relocated at the start is read-only afterwards, but its pages are its own.)
pub fn forget_start_up_code() -> io::Result<()> {
    let mut maps = String::new();
    std::fs::File::open("/proc/self/smaps")?.read_to_string(&mut maps)?;
    let mut clean: Option<(usize, usize)> = None;
    for line in maps.lines() {
        if let Some(range) = file_mapping(line) {
            clean = range;
        } else if let Some(own) = line.strip_prefix("Anonymous:") {
            // The last of what was said of this mapping that matters (proc(5)): kB that are no longer the file's.
            if let Some((from, to)) = clean.take()
                && own.trim() == "0 kB"
            {
                // SAFETY: the pages are a file's, never written to, and come back as they were when they are next needed.
                unsafe { libc::madvise(from as *mut libc::c_void, to.saturating_sub(from), libc::MADV_DONTNEED) };
            }
        }
    }
    Ok(())
}

/// `None`: the line begins no mapping. `Some(None)`: it begins one that is not to be touched.
fn file_mapping(line: &str) -> Option<Option<(usize, usize)>> {
    // 55d0-55e0 r-xp 00123000 fe:00 123 /usr/bin/mayday
    let mut fields = line.split_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let range = (usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?);
    let read_only = matches!(fields.next(), Some("r-xp" | "r--p"));
    Some((read_only && fields.nth(3).is_some_and(|path| path.starts_with('/'))).then_some(range))
}

/// Keeps up to 16 MiB that was freed instead of handing it back to the system at once. The checks of one beat take the
/// memory that those of the last gave back: without this every beat has its pages cleared anew, a fifth of its cost.
/// Only glibc's allocator is told; others keep what is freed for a while by themselves.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain settings of the allocator, allowed at any time.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 << 20);
        libc::mallopt(libc::M_TOP_PAD, 256 << 10);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_program_goes_on_without_its_start_up_code() {
        for _ in 0..3 {
            super::forget_start_up_code().unwrap();
            assert_eq!(crate::text::duration(std::time::Duration::from_secs(90)), "1m30s");
        }
    }
}
