//! What a copy of Redis is, and reading all of it.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::scratch::{self, Append, RunAs};
use crate::sys::archive;
use crate::sys::rdb::{self, Head};
use crate::text;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An RDB file.
    Rdb,
    /// An append-only file.
    Aof,
    /// The folder of an append-only file in parts, since version 7: files and a manifest.
    AofFolder,
}

impl Kind {
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Rdb => "RDB file",
            Kind::Aof => "append-only file",
            Kind::AofFolder => "append-only folder",
        }
    }
}

/// A copy as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub kind: Kind,
    pub head: Option<Head>,
    /// Bytes on disk.
    pub size: u64,
    pub packed: bool,
}

/// Looks at a copy. Blocks. Errors: why it cannot be restored from.
pub fn look(path: &Path) -> Result<Shape, String> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("{shown} no longer exists: choose another copy"),
        _ => format!("{shown} cannot be looked at: {e}"),
    })?;
    if meta.is_dir() {
        let parts = Parts::of(path)?;
        let size = parts.files.iter().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum();
        let head = parts.files.first().and_then(|f| front(f).ok()).and_then(|f| rdb::head(&f));
        return Ok(Shape { kind: Kind::AofFolder, head, size, packed: false });
    }
    if meta.len() == 0 {
        return Err(format!("{shown} is empty: choose another copy"));
    }
    let cannot = |e: std::io::Error| format!("{shown} cannot be read: {e}: choose another copy");
    let codec = File::open(path).and_then(|mut f| archive::codec_of(&mut f)).map_err(cannot)?;
    let packed = codec != archive::Codec::Plain;
    let front = front(path).map_err(cannot)?;
    let head = rdb::head(&front);
    let kind = match &head {
        Some(head) if head.is_preamble() => Kind::Aof,
        Some(_) => Kind::Rdb,
        None if front.starts_with(b"*") || front.starts_with(b"#TS:") => Kind::Aof,
        None => return Err(format!("{shown} is neither an RDB file nor an append-only file: choose another copy")),
    };
    Ok(Shape { kind, head, size: meta.len(), packed })
}

fn front(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut front = Vec::new();
    archive::reader(File::open(path)?)?.take(rdb::FRONT as u64).read_to_end(&mut front)?;
    Ok(front)
}

/// The files of an append-only folder in the order in which they are loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The manifest's name without its ending.
    pub name: String,
    pub files: Vec<PathBuf>,
}

impl Parts {
    /// Reads the manifest (aof.c: `file NAME seq N type b|i|h`).
    pub fn of(folder: &Path) -> Result<Parts, String> {
        let shown = folder.display();
        let names = std::fs::read_dir(folder).map_err(|e| format!("{shown} cannot be read: {e}"))?;
        let manifests: Vec<String> = names
            .flatten()
            .filter_map(|e| e.file_name().to_str()?.strip_suffix(".manifest").map(str::to_owned))
            .collect();
        let [name] = manifests.as_slice() else {
            return Err(match manifests.len() {
                0 => format!("{shown} has no manifest of an append-only file: choose another copy"),
                n => format!("{shown} has {n} manifests where one belongs: choose another copy"),
            });
        };
        let path = folder.join(format!("{name}.manifest"));
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let (mut base, mut rest) = (Vec::new(), Vec::new());
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied();
            let odd =
                || format!("{}: \"{}\" is not understood: choose another copy", path.display(), text::clean(line));
            let file = after("file").ok_or_else(odd)?;
            // It names files of its own folder and nothing else.
            if file.contains(['/', '"', '\\']) || file.starts_with('.') {
                return Err(odd());
            }
            match after("type").ok_or_else(odd)? {
                "b" => base.push(folder.join(file)),
                "i" => rest.push(folder.join(file)),
                "h" => {}
                _ => return Err(odd()),
            }
        }
        base.append(&mut rest);
        if let Some(missing) = base.iter().find(|f| !f.is_file()) {
            return Err(format!("{} is named by the manifest and missing: choose another copy", missing.display()));
        }
        if base.is_empty() {
            return Err(format!("{} names no file: choose another copy", path.display()));
        }
        Ok(Parts { name: name.clone(), files: base })
    }
}

/// What reading a copy to its end found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub said: String,
    /// The end of an append-only file that is not whole: bytes up to which it is good, all bytes, and why.
    pub torn: Option<Torn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    pub good: u64,
    pub bytes: u64,
    pub why: String,
}

impl Torn {
    /// `the last 1.2 kB of 4 MB`.
    pub fn word(&self) -> String {
        let lost = self.bytes.saturating_sub(self.good);
        format!("{}: the last {lost} bytes of {} cannot be loaded", self.why, text::size(self.bytes))
    }
}

/// Reads a copy to its end. Blocks. `None` when `progress` ended it. Errors: why it is not to be used.
pub fn read(
    path: &Path,
    kind: Kind,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Option<Content>, String> {
    let open = |path: &Path| {
        File::open(path).and_then(archive::reader).map_err(|e| format!("{} cannot be read: {e}", path.display()))
    };
    let files = match kind {
        Kind::Rdb => {
            let Some(whole) = rdb::check(open(path)?, progress)? else { return Ok(None) };
            let sum = if whole.summed { "its checksum fits" } else { "it has no checksum" };
            let said = format!("RDB file of {}, {}, {sum}", text::size(whole.bytes), whole.head.word());
            return Ok(Some(Content { said, torn: None }));
        }
        Kind::Aof => vec![path.to_path_buf()],
        Kind::AofFolder => Parts::of(path)?.files,
    };
    let (mut commands, mut bytes, mut torn) = (0, 0, None);
    for (at, file) in files.iter().enumerate() {
        let Some(found) = rdb::check_aof(open(file)?, progress)? else { return Ok(None) };
        commands += found.commands;
        bytes += found.bytes;
        if let Some(why) = found.fault {
            if at + 1 < files.len() || found.good == 0 {
                return Err(format!("{}: {why} after {} bytes: choose another copy", file.display(), found.good));
            }
            torn = Some(Torn { good: found.good, bytes: found.bytes, why });
        }
    }
    let said = format!("{} of {}, {commands} commands", kind.word(), text::size(bytes));
    Ok(Some(Content { said, torn }))
}

/// Puts a copy into the folder of a scratch server, ready to be loaded; `cut` bytes of its last part are taken. Blocks.
pub fn place(
    path: &Path,
    kind: Kind,
    folder: &Path,
    user: Option<&RunAs>,
    cut: Option<u64>,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Option<Append>, String> {
    let mut written = 0;
    let mut put = |from: &Path, into: &Path, name: &str, limit: u64| -> Result<(), String> {
        let open = |e: std::io::Error| format!("{} cannot be read: {e}", from.display());
        let mut reader = File::open(from).and_then(archive::reader).map_err(open)?.take(limit);
        let mut to = scratch::file(into, name, user)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(rdb::read_error(&e)),
            };
            let bytes = buffer.get(..n).unwrap_or_default();
            to.write_all(bytes).map_err(|e| format!("write {}: {e}", into.join(name).display()))?;
            written += n as u64;
            if progress(written).is_break() {
                return Err("cancelled".into());
            }
        }
        to.sync_all().map_err(|e| format!("{}: {e}", into.join(name).display()))
    };
    match kind {
        Kind::Rdb => put(path, folder, scratch::DUMP, u64::MAX).map(|()| None),
        Kind::Aof => {
            put(path, folder, "appendonly.aof", cut.unwrap_or(u64::MAX))?;
            Ok(Some(Append { name: "appendonly.aof".into(), dir: None }))
        }
        Kind::AofFolder => {
            let parts = Parts::of(path)?;
            let inner = folder.join("aof");
            std::fs::create_dir(&inner).map_err(|e| format!("{}: {e}", inner.display()))?;
            scratch::own(&inner, user).map_err(|e| format!("{}: {e}", inner.display()))?;
            let manifest = format!("{}.manifest", parts.name);
            put(&path.join(&manifest), &inner, &manifest, u64::MAX)?;
            for (at, file) in parts.files.iter().enumerate() {
                let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                let limit = cut.filter(|_| at + 1 == parts.files.len()).unwrap_or(u64::MAX);
                put(file, &inner, &name, limit)?;
            }
            Ok(Some(Append { name: parts.name, dir: Some("aof".into()) }))
        }
    }
}
