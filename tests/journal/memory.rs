//! A disk in memory that forgets what was not synced, has a limited size, loses power at any call, and fails on request.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use mayday::journal::storage::{Access, Meta, Storage, StoredFile};

/// What a disk writes or loses as one.
const BLOCK: usize = 512;

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(at, new) => {
                bytes.resize(bytes.len().max(at + new.len()), 0);
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
            Change::Length(len) => bytes.resize(*len, 0),
        }
    }
}

#[derive(Clone, Debug)]
enum Naming {
    Is(PathBuf, usize),
    Gone(PathBuf),
    Moved(PathBuf, PathBuf),
}

type Names = BTreeMap<PathBuf, usize>;

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Naming::Is(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Naming::Gone(path) => {
                names.remove(path);
            }
            Naming::Moved(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    synced: Vec<u8>,
    cached: Vec<u8>,
    unsynced: Vec<Change>,
    allocated: usize,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: Names,
    synced_names: Names,
    unsynced_names: Vec<Naming>,
    capacity: Option<usize>,
    can_allocate: bool,
    calls: u64,
    read: u64,
    power_off_at: Option<u64>,
    fail_syncs: u32,
    fail_writes: Option<(u32, i32)>,
}

/// The disk. A clone is the same disk.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug)]
struct MemoryFile(Memory, usize);

/// A random number from a seed; the same seed gives the same ones.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

impl Memory {
    pub fn new() -> Self {
        Memory(Arc::new(Mutex::new(State { can_allocate: true, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.calls += 1;
        if state.power_off_at.is_some_and(|at| state.calls >= at) {
            return Err(io::Error::other("the power is off"));
        }
        Ok(state)
    }

    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// Calls from now on that are still answered.
    pub fn power_off_after(&self, calls: u64) {
        let mut state = self.state();
        state.power_off_at = Some(state.calls + calls);
    }

    /// A file system that cannot allocate beyond the end of a file.
    pub fn without_allocation(&self) {
        self.state().can_allocate = false;
    }

    /// Bytes that fit onto it.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity = bytes;
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.state().read
    }

    pub fn used(&self) -> usize {
        used(&self.state())
    }

    /// The next `n` syncs fail, and what they should have written is lost without another word.
    pub fn fail_syncs(&self, n: u32) {
        self.state().fail_syncs = n;
    }

    /// The next `n` writes write a half and then fail with this error number.
    pub fn fail_writes(&self, n: u32, errno: i32) {
        self.state().fail_writes = Some((n, errno));
    }

    /// The disk as it is found after the power came back: of what was not synced some is there, some is not.
    pub fn after_crash(&self, dice: &mut Dice) -> Memory {
        let old = self.state();
        let mut names = old.synced_names.clone();
        // A file system keeps the order of renames; how far it got is open.
        let kept = dice.below(old.unsynced_names.len() + 1);
        old.unsynced_names.iter().take(kept).for_each(|change| change.apply(&mut names));
        let whole_prefix = dice.below(2) == 0;
        let inodes = old.inodes.iter().map(|inode| {
            let mut bytes = inode.synced.clone();
            for change in &inode.unsynced {
                match change {
                    Change::Length(_) if dice.below(2) == 0 => break,
                    Change::Length(_) => change.apply(&mut bytes),
                    Change::Write(at, new) => {
                        let end = at + new.len();
                        let reached = at + dice.below(new.len() + 1);
                        bytes.resize(bytes.len().max(reached), 0);
                        let mut block = *at;
                        while block < reached {
                            let next = ((block / BLOCK + 1) * BLOCK).min(reached);
                            if whole_prefix || dice.below(3) > 0 {
                                bytes[block..next].copy_from_slice(&new[block - at..next - at]);
                            }
                            block = next;
                        }
                        if reached < end {
                            break;
                        }
                    }
                }
            }
            Inode { allocated: bytes.len(), cached: bytes.clone(), synced: bytes, unsynced: Vec::new() }
        });
        let state = State {
            inodes: inodes.collect(),
            names: names.clone(),
            synced_names: names,
            can_allocate: old.can_allocate,
            capacity: old.capacity,
            ..State::default()
        };
        Memory(Arc::new(Mutex::new(state)))
    }

    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let inode =
            Inode { synced: bytes.to_vec(), cached: bytes.to_vec(), allocated: bytes.len(), ..Inode::default() };
        state.inodes.push(inode);
        let n = state.inodes.len() - 1;
        state.names.insert(path.to_owned(), n);
        state.synced_names.insert(path.to_owned(), n);
    }

    pub fn get(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|n| state.inodes[*n].cached.clone())
    }

    pub fn delete(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path);
        state.synced_names.remove(path);
    }

    /// All files, by name.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        state.names.iter().map(|(path, n)| (path.clone(), state.inodes[*n].cached.clone())).collect()
    }
}

fn used(state: &State) -> usize {
    state.names.values().map(|n| state.inodes[*n].allocated.max(state.inodes[*n].cached.len())).sum()
}

fn room_for(state: &State, inode: usize, end: usize) -> io::Result<()> {
    let has = state.inodes[inode].allocated.max(state.inodes[inode].cached.len());
    match state.capacity {
        Some(capacity) if end > has && used(state) + (end - has) > capacity => {
            Err(io::Error::from_raw_os_error(libc::ENOSPC))
        }
        _ => Ok(()),
    }
}

impl Storage for Memory {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StoredFile>> {
        let mut state = self.call()?;
        let known = state.names.get(path).copied();
        let inode = match (known, access) {
            (None, Access::Read | Access::Write) => return Err(io::ErrorKind::NotFound.into()),
            (Some(n), Access::Create) => {
                state.inodes[n].cached.clear();
                state.inodes[n].allocated = 0;
                state.inodes[n].unsynced.push(Change::Length(0));
                n
            }
            (Some(n), _) => n,
            (None, _) => {
                state.inodes.push(Inode::default());
                let n = state.inodes.len() - 1;
                state.names.insert(path.to_owned(), n);
                state.unsynced_names.push(Naming::Is(path.to_owned(), n));
                n
            }
        };
        Ok(Arc::new(MemoryFile(self.clone(), inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = Naming::Moved(from.to_owned(), to.to_owned());
        change.apply(&mut state.names);
        state.unsynced_names.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        if state.names.remove(path).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.unsynced_names.push(Naming::Gone(path.to_owned()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.call()?;
        if state.names.contains_key(dir) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let within = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(within.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        state.synced_names = state.names.clone();
        state.unsynced_names.clear();
        Ok(())
    }
}

impl StoredFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.call()?;
        let bytes = state.inodes[self.1].cached.get(offset as usize..).unwrap_or_default();
        let n = bytes.len().min(buf.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        state.read += n as u64;
        Ok(n)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.call()?;
        let mut bytes = bytes;
        let mut error = None;
        if let Some((n, errno)) = state.fail_writes.take().filter(|(n, _)| *n > 0) {
            // A half now, the error at the next call.
            if bytes.len() > 1 {
                bytes = &bytes[..bytes.len() / 2];
                state.fail_writes = Some((n, errno));
            } else {
                state.fail_writes = Some((n - 1, errno));
                error = Some(io::Error::from_raw_os_error(errno));
            }
        }
        if let Some(e) = error {
            return Err(e);
        }
        room_for(&state, self.1, offset as usize + bytes.len())?;
        let inode = &mut state.inodes[self.1];
        let change = Change::Write(offset as usize, bytes.to_vec());
        change.apply(&mut inode.cached);
        inode.unsynced.push(change);
        Ok(bytes.len())
    }

    fn meta(&self) -> io::Result<Meta> {
        let state = self.0.call()?;
        let links = state.names.values().filter(|n| **n == self.1).count() as u64;
        Ok(Meta { len: state.inodes[self.1].cached.len() as u64, links, id: (1, self.1 as u64) })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.call()?;
        let inode = &mut state.inodes[self.1];
        let change = Change::Length(len as usize);
        change.apply(&mut inode.cached);
        inode.unsynced.push(change);
        inode.allocated = len as usize;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.call()?;
        let fails = state.fail_syncs > 0;
        state.fail_syncs = state.fail_syncs.saturating_sub(1);
        let inode = &mut state.inodes[self.1];
        inode.unsynced.clear();
        if fails {
            // As Linux does: the pages are called clean, the disk has the old ones.
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        inode.synced = inode.cached.clone();
        Ok(())
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.0.call()?;
        if !state.can_allocate {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        let end = (offset + len) as usize;
        room_for(&state, self.1, end)?;
        let inode = &mut state.inodes[self.1];
        inode.allocated = inode.allocated.max(end);
        Ok(())
    }

    fn forget(&self) {
        // What the disk has, where no change is waiting.
        if let Ok(mut state) = self.0.call() {
            let inode = &mut state.inodes[self.1];
            if inode.unsynced.is_empty() {
                inode.cached = inode.synced.clone();
            }
        }
    }
}
