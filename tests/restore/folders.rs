//! Folders: unpacked beside, compared, exchanged and put back; archives that want out; and every way it can fail.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use mayday::config::Restore;
use mayday::domain::run::{Checked, Risk, SideRole, Step, Work};
use mayday::recovery::op::OpError;
use mayday::recovery::plan::Planned;
use tokio_util::sync::CancellationToken;

use crate::kit::{Desk, Ended, check, killed_at, restore_of, test_of};
use crate::support::{in_small_disk, program, scratch};

/// A folder with everything in it that a folder can have.
pub fn make_docs(at: &Path) {
    fs::create_dir_all(at.join("sub/deep")).unwrap();
    fs::write(at.join("one.txt"), "one").unwrap();
    fs::write(at.join("sub/two.bin"), vec![7u8; 300_000]).unwrap();
    fs::write(at.join("sub/deep/ü –.txt"), "odd name").unwrap();
    fs::write(at.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(at.join("run.sh"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::write(at.join("secret"), "hidden").unwrap();
    fs::set_permissions(at.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(at.join("one.txt"), at.join("sub/again.txt")).unwrap();
    symlink("../one.txt", at.join("sub/link")).unwrap();
    symlink("missing", at.join("dangling")).unwrap();
    fs::create_dir(at.join("empty")).unwrap();
    let fifo = Command::new("mkfifo").arg(at.join("pipe")).status().unwrap();
    assert!(fifo.success());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(at.join("secret"), Some(12345), Some(23456)).unwrap();
        std::os::unix::fs::lchown(at.join("dangling"), Some(12345), Some(23456)).unwrap();
        std::os::unix::fs::chown(at.join("empty"), Some(12345), None).unwrap();
    }
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_700);
    for name in ["one.txt", "sub/two.bin", "sub", "empty", "."] {
        fs::File::open(at.join(name)).unwrap().set_modified(old).unwrap();
    }
    fs::set_permissions(at.join("empty"), fs::Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o751)).unwrap();
}

/// Everything about a folder: kind, mode, owner, time, content, links.
pub fn picture(at: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        let meta = at.join(&dir).symlink_metadata().unwrap();
        seen.insert(dir.clone(), format!("folder {:o} {} {} {}", meta.mode(), meta.uid(), meta.gid(), meta.mtime()));
        for entry in fs::read_dir(at.join(&dir)).unwrap() {
            let below = dir.join(entry.unwrap().file_name());
            let path = at.join(&below);
            let meta = path.symlink_metadata().unwrap();
            let what = if meta.is_dir() {
                open.push(below);
                continue;
            } else if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_file() {
                let bytes = fs::read(&path).unwrap();
                format!("{} bytes {:?} {} names, at {}", bytes.len(), bytes.first(), meta.nlink(), meta.mtime())
            } else {
                "special".to_owned()
            };
            let mode = if meta.is_symlink() { 0 } else { meta.mode() };
            seen.insert(below, format!("{what} {mode:o} {} {}", meta.uid(), meta.gid()));
        }
    }
    seen
}

/// What lies beside the live folder.
pub fn beside(live: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(live.parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|n| n.starts_with("docs"))
        .collect();
    names.sort();
    names
}

/// Makes a copy of `docs` in one of the forms.
pub fn back_up(desk: &mut Desk, docs: &Path, form: &str) -> String {
    let name = format!("docs.{form}");
    let path = desk.copy_path(&name);
    if form == "folder" {
        assert!(Command::new("cp").arg("-a").arg(docs).arg(&path).status().unwrap().success());
    } else {
        let mut tar = Command::new("tar");
        match form {
            "tar" => tar.arg("-cf"),
            "tar.gz" => tar.arg("-czf"),
            "tar.zst" => tar.args(["--zstd", "-cf"]),
            "pax.tar" => tar.args(["--format=posix", "-cf"]),
            other => panic!("{other}"),
        };
        let done = tar.arg(&path).arg("-C").arg(docs).arg(".").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    desk.list(&name);
    name
}

pub struct Place {
    _dir: tempfile::TempDir,
    pub docs: PathBuf,
}

pub fn place() -> Place {
    let dir = scratch();
    let docs = dir.path().canonicalize().unwrap().join("docs");
    make_docs(&docs);
    Place { _dir: dir, docs }
}

#[test]
fn every_form_is_restored_compared_exchanged_put_back_and_dropped() {
    for form in ["tar", "tar.gz", "tar.zst", "pax.tar", "folder"] {
        let place = place();
        let docs = &place.docs;
        let good = picture(docs);
        let mut desk = Desk::folder(docs, 0, &[&["test", "-f", "{side}/one.txt"]]);
        let copy = back_up(&mut desk, docs, form);
        fs::remove_file(docs.join("sub/two.bin")).unwrap();
        fs::write(docs.join("one.txt"), "eno").unwrap();
        fs::write(docs.join("new"), "new").unwrap();
        let broken = picture(docs);

        let planned = desk.plan(&restore_of(&copy));
        let plan = &planned.plan;
        assert_eq!(plan.blockers().count(), 0, "{form}: {:?}", plan.preconditions);
        assert_eq!((plan.risk, plan.target.as_str()), (Risk::Disruptive, "docs"));
        assert!(plan.holds.contains(&format!("folder {}", docs.display())), "{:?}", plan.holds);
        let restored = desk.execute(planned);
        let said = restored.verified();
        // One name of the hard link is the same file as the changed one.
        assert!(said.contains("1 added, 2 changed, 1 gone"), "{form}: {said}");
        assert!(said.contains("1 command exit 0"), "{form}: {said}");
        assert!(restored.output().contains("added: sub/two.bin"), "{}", restored.output());
        let side = restored.side();
        assert_eq!(
            (side.role, PathBuf::from(&side.name)),
            (SideRole::Ready, docs.with_file_name(format!("docs.restore-{}", restored.id)))
        );
        assert_eq!(picture(Path::new(&side.name)), good, "{form}");
        assert_eq!(picture(docs), broken, "{form}: the live folder is as it was");
        if matches!(form, "pax.tar" | "folder") {
            let meta = Path::new(&side.name).join("sub/two.bin").metadata().unwrap();
            assert_eq!(meta.mtime_nsec(), 123_456_700, "{form}: times to the fraction where the copy has them");
        }

        let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
        assert_eq!((planned.plan.risk, planned.plan.target.as_str()), (Risk::Destructive, "docs"));
        let cut = desk.execute(planned);
        assert!(cut.verified().contains("exchanged in one step"), "{}", cut.verified());
        assert_eq!(picture(docs), good, "{form}");
        let kept = cut.side();
        assert_eq!((kept.role, picture(Path::new(&kept.name))), (SideRole::Before, broken.clone()), "{form}");
        assert_eq!(beside(docs), ["docs", &format!("docs.before-{}", cut.id)], "{form}");

        let undone = desk.run(&Work::Undo { of: cut.id.clone() });
        undone.verified();
        assert_eq!((picture(docs), undone.side().role), (broken, SideRole::Abandoned), "{form}");
        let dropped = desk.run(&Work::Drop { of: undone.id.clone() });
        dropped.verified();
        assert_eq!(beside(docs), ["docs"], "{form}");
        let _ = fs::set_permissions(docs.join("empty"), fs::Permissions::from_mode(0o700));
    }
}

#[test]
fn leading_parts_are_dropped_and_a_test_leaves_nothing() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 1, &[]);
    let path = desk.copy_path("top.tar.gz");
    let done = Command::new("tar").arg("-czf").arg(&path).arg("-C").arg(docs.parent().unwrap()).arg("docs").status();
    assert!(done.unwrap().success());
    desk.list("top.tar.gz");
    let good = picture(docs);
    let ended = desk.run(&test_of("top.tar.gz"));
    assert!(
        ended.verified().contains("proven") && ended.verified().contains("0 added, 0 changed, 0 gone"),
        "{}",
        ended.verified()
    );
    assert_eq!((picture(docs), beside(docs)), (good.clone(), vec!["docs".to_owned()]));
    assert!(ended.open().is_none() && ended.sink.told.lock().unwrap().sides.is_empty());
    let restored = desk.run(&restore_of("top.tar.gz"));
    assert_eq!(picture(Path::new(&restored.side().name)), good);
    let planned = desk.plan(&Work::Drop { of: restored.id.clone() });
    assert_eq!(planned.plan.risk, Risk::Disruptive);
    desk.execute(planned).verified();
    assert_eq!(beside(docs), ["docs"]);
}

#[test]
fn a_lost_folder_comes_back_and_a_link_to_it_stays_a_link() {
    let place = place();
    let docs = &place.docs;
    let good = picture(docs);
    let link = docs.with_file_name("current");
    symlink("docs", &link).unwrap();
    let mut desk = Desk::folder(&link, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar.gz");
    let restored = desk.run(&restore_of(&copy));
    assert_eq!(restored.side().live, docs.display().to_string());
    desk.run(&Work::CutOver { of: restored.id.clone() }).verified();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(picture(docs), good);

    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    fs::remove_dir_all(docs).unwrap();
    let planned = desk.plan(&restore_of(&copy));
    assert_eq!(check(&planned.plan, "live folder").0, Checked::Warned);
    let restored = desk.execute(planned);
    restored.verified();
    let cut = desk.run(&Work::CutOver { of: restored.id.clone() });
    cut.verified();
    assert_eq!(picture(docs), good);
    assert!(cut.sink.told.lock().unwrap().sides.is_empty(), "there was nothing to keep");
}

/// Name, kind, and where it links to.
pub type Entry<'a> = (&'a str, tar::EntryType, &'a str);

/// A tar archive with one entry of any name and kind, which tar itself would not write.
pub fn hostile(path: &Path, entries: &[Entry]) {
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    for (name, kind, target) in entries {
        let mut header = tar::Header::new_gnu();
        let bytes = header.as_old_mut();
        bytes.name[..name.len()].copy_from_slice(name.as_bytes());
        bytes.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let content: &[u8] = if *kind == tar::EntryType::Regular { b"evil" } else { b"" };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.finish().unwrap();
}

/// Runs a restore that must fail, from the check on and again without it; the live folder is as it was and nothing lies
/// beside it.
#[track_caller]
pub fn fails(desk: &mut Desk, docs: &Path, copy: &str, wanted: &str) {
    let before = picture(docs);
    let planned = desk.plan(&restore_of(copy));
    let mut unchecked = Planned { plan: planned.plan.clone(), secrets: planned.secrets.clone() };
    unchecked.plan.phases.retain(|p| !matches!(&p.step, Step::Native { op, .. } if op == "folder.check"));
    for planned in [planned, unchecked] {
        let ended = desk.execute(planned);
        let error = ended.error();
        assert!(error.contains(wanted), "wanted \"{wanted}\": {error}");
        untouched(&ended, docs, &before);
    }
}

#[track_caller]
pub fn untouched(ended: &Ended, docs: &Path, before: &BTreeMap<PathBuf, String>) {
    assert_eq!(&picture(docs), before);
    assert_eq!(beside(docs), ["docs"]);
    assert!(ended.open().is_none() && ended.sink.told.lock().unwrap().sides.is_empty());
}

#[track_caller]
pub fn refused(desk: &mut Desk, copy: &str, name: &str, wanted: &str) {
    let plan = desk.plan(&restore_of(copy)).plan;
    let (result, detail) = check(&plan, name);
    assert!(result == Checked::Failed && detail.contains(wanted), "wanted \"{wanted}\": {result:?} {detail}");
}

#[test]
fn archives_that_want_out_are_refused_whole() {
    use tar::EntryType::{Block, Char, Directory, Link, Regular, Symlink};
    let place = place();
    let docs = &place.docs;
    let outside = docs.with_file_name("victim");
    fs::write(&outside, "safe").unwrap();
    let absolute = outside.display().to_string();
    let mut desk = Desk::folder(docs, 0, &[]);
    let cases: Vec<(&str, Vec<Entry>)> = vec![
        ("leads out of the folder", vec![("ok", Regular, ""), ("../victim", Regular, "")]),
        ("leads out of the folder", vec![("a/../../victim", Regular, "")]),
        ("is an absolute name", vec![(absolute.as_str(), Regular, "")]),
        ("which is absolute", vec![("l", Symlink, absolute.as_str())]),
        ("which leads out of the folder", vec![("l", Symlink, "../victim")]),
        ("which goes down and up again", vec![("l", Symlink, "x/../../victim")]),
        ("leads out of the folder", vec![("h", Link, "../victim")]),
        ("is an absolute name", vec![("h", Link, absolute.as_str())]),
        ("is a device", vec![("d", Block, "")]),
        ("is a device", vec![("d", Char, "")]),
    ];
    for (wanted, entries) in cases {
        hostile(&desk.copy_path("bad.tar"), &entries);
        desk.list("bad.tar");
        refused(&mut desk, "bad.tar", "copy readable", wanted);
        fails(&mut desk, docs, "bad.tar", wanted);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "safe");
    }
    // These pass by their names alone; writing itself does not follow.
    let cases: Vec<(&str, Vec<Entry>)> = vec![
        ("goes through a link", vec![("d", Symlink, "e"), ("e", Directory, ""), ("d/f", Regular, "")]),
        ("which is no file before it", vec![("d", Symlink, "e"), ("h", Link, "d")]),
        ("which is no file before it", vec![("h", Link, "not-there")]),
        ("is a folder and a file at once", vec![("a/b", Regular, ""), ("a", Regular, "")]),
        ("goes through a link or a file", vec![("a", Regular, ""), ("a/b", Regular, "")]),
    ];
    for (wanted, entries) in cases {
        hostile(&desk.copy_path("sly.tar"), &entries);
        desk.list("sly.tar");
        fails(&mut desk, docs, "sly.tar", wanted);
    }
    // A later entry replaces an earlier one, also one that is a link: what it led to is not written.
    hostile(&desk.copy_path("twice.tar"), &[("a", Symlink, "b"), ("b", Regular, ""), ("a", Regular, "")]);
    desk.list("twice.tar");
    let restored = desk.run(&restore_of("twice.tar"));
    let side = PathBuf::from(restored.side().name);
    assert!(side.join("a").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_link_out_of_the_folder_that_the_live_one_has_too_is_kept() {
    let place = place();
    let docs = &place.docs;
    symlink("/etc/hostname", docs.join("host")).unwrap();
    let mut desk = Desk::folder(docs, 0, &[]);
    for form in ["tar", "folder"] {
        let copy = back_up(&mut desk, docs, form);
        let restored = desk.run(&restore_of(&copy));
        assert_eq!(fs::read_link(Path::new(&restored.side().name).join("host")).unwrap(), Path::new("/etc/hostname"));
        desk.run(&Work::Drop { of: restored.id.clone() }).verified();
    }
    // It is said while there is time that this would not pass without the live one.
    let plan = desk.plan(&restore_of("docs.tar")).plan;
    let (result, detail) = check(&plan, "links");
    assert!(result == Checked::Warned && detail.contains("\"host\""), "{detail}");
    fs::remove_file(docs.join("host")).unwrap();
    for copy in ["docs.tar", "docs.folder"] {
        fails(&mut desk, docs, copy, "which is absolute");
        refused(&mut desk, copy, "copy readable", "add \"host\" to `links`");
    }
    // Lost altogether, it comes back where the configuration names the link.
    desk.configure_folder(|f| f.links = vec!["host".into()]);
    let lost = docs.with_extension("lost");
    fs::rename(docs, &lost).unwrap();
    for copy in ["docs.tar", "docs.folder"] {
        let restored = desk.run(&restore_of(copy));
        assert_eq!(fs::read_link(Path::new(&restored.side().name).join("host")).unwrap(), Path::new("/etc/hostname"));
        desk.run(&Work::Drop { of: restored.id.clone() }).verified();
    }
    fs::rename(&lost, docs).unwrap();
}

#[test]
fn copies_that_are_cut_off_or_no_copies() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[]);
    for form in ["tar", "tar.gz", "tar.zst"] {
        let copy = back_up(&mut desk, docs, form);
        let path = desk.copy_path(&copy);
        let whole = fs::read(&path).unwrap();
        let mut ends = vec![whole.len() / 3, whole.len() / 2];
        if form != "tar" {
            ends = vec![whole.len() / 3, whole.len() - 5];
        }
        for end in ends {
            fs::write(&path, &whole[..end]).unwrap();
            refused(&mut desk, &copy, "copy readable", "choose another copy");
            let planned = desk.plan(&restore_of(&copy));
            let before = picture(docs);
            let ended = desk.execute(planned);
            assert!(ended.error().contains("choose another copy"), "{}", ended.error());
            untouched(&ended, docs, &before);
        }
    }
    // Cut between two entries: only the missing end mark tells.
    let path = desk.copy_path("cut.tar");
    hostile(&path, &[("a", tar::EntryType::Regular, ""), ("b", tar::EntryType::Regular, "")]);
    let whole = fs::read(&path).unwrap();
    for end in [1024, 2048] {
        fs::write(&path, &whole[..end]).unwrap();
        desk.list("cut.tar");
        refused(&mut desk, "cut.tar", "copy readable", "end mark is missing");
    }
    fs::write(&path, vec![0; 10_240]).unwrap();
    refused(&mut desk, "cut.tar", "copy readable", "neither");
    fs::create_dir(desk.copy_path("nothing")).unwrap();
    desk.list("nothing");
    refused(&mut desk, "nothing", "copy readable", "nothing in it");
    fs::write(desk.copy_path("text"), "hello").unwrap();
    desk.list("text");
    refused(&mut desk, "text", "copy readable", "neither a tar archive nor a folder");
}

#[test]
fn a_verification_that_fails() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[&["test", "-f", "{side}/not-there"]]);
    let copy = back_up(&mut desk, docs, "tar.gz");
    fails(&mut desk, docs, &copy, "exit 1");
    desk.configure(|r| match r {
        Restore::Folder(f) => f.verify = vec![vec!["no-such-program".into()]],
        _ => panic!(),
    });
    refused(&mut desk, &copy, "tool no-such-program", "install it");
    fails(&mut desk, docs, &copy, "no such program");
}

#[test]
fn cancelled_at_any_point_nothing_is_left() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[&["sleep", "600"]]);
    for form in ["tar.gz", "folder"] {
        let copy = back_up(&mut desk, docs, form);
        let before = picture(docs);
        for at in ["reading the copy", "two.bin", "unpacked", "comparing", "against"] {
            let planned = desk.plan(&restore_of(&copy));
            let ended = desk.execute_with(planned, CancellationToken::new(), move |said, cancel| {
                if said.contains(at) {
                    cancel.cancel();
                }
            });
            assert_eq!(ended.result, Err(OpError::Cancelled), "{form} at {at}");
            untouched(&ended, docs, &before);
        }
    }
}

#[test]
fn a_disk_that_fills_up_leaves_the_live_folder_alone() {
    in_small_disk(8 << 20, |dir, _| {
        let docs = dir.canonicalize().unwrap().join("docs");
        fs::create_dir(&docs).unwrap();
        fs::write(docs.join("x"), "live").unwrap();
        let mut desk = Desk::folder(&docs, 0, &[]);
        let path = desk.copy_path("big.tar.gz");
        // 32 MB of zeros are 32 kB in the archive.
        let big = desk.dir.path().join("big");
        fs::create_dir(&big).unwrap();
        fs::File::create(big.join("zeros")).unwrap().set_len(1).unwrap();
        fs::write(big.join("zeros"), vec![0u8; 32 << 20]).unwrap();
        let tar = Command::new(program("tar", "tar")).arg("-czf").arg(&path).arg("-C").arg(&big).arg(".").status();
        assert!(tar.unwrap().success());
        desk.list("big.tar.gz");
        refused(&mut desk, "big.tar.gz", "disk", "make room");
        fails(&mut desk, &docs, "big.tar.gz", "make room");
        assert_eq!(fs::read_to_string(docs.join("x")).unwrap(), "live");
        // The folder that the disk is mounted on cannot be renamed.
        let mut desk = Desk::folder(dir, 0, &[]);
        hostile(&desk.copy_path("a.tar"), &[("a", tar::EntryType::Regular, "")]);
        desk.list("a.tar");
        refused(&mut desk, "a.tar", "live folder", "is a mount point");
    });
}

#[test]
fn places_that_cannot_be_restored_into() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    let point = |desk: &mut Desk, path: &Path| {
        let path = path.to_path_buf();
        desk.configure(|r| match r {
            Restore::Folder(f) => f.path = path,
            _ => panic!(),
        });
    };
    for (path, wanted) in [
        (PathBuf::from("/"), "cannot be exchanged"),
        (docs.join("one.txt"), "is a file and no folder"),
        (docs.join("no/such"), "does not exist: make it"),
        (PathBuf::from("/proc"), "mount point"),
    ] {
        point(&mut desk, &path);
        refused(&mut desk, &copy, "live folder", wanted);
    }
    point(&mut desk, docs);
    desk.ctx.state_dir = docs.join("sub");
    refused(&mut desk, &copy, "live folder", "mayday's own record");
    desk.ctx.state_dir = docs.parent().unwrap().to_path_buf();
    refused(&mut desk, &copy, "live folder", "mayday's own record");
}

#[test]
fn killed_while_unpacking_the_half_folder_is_named_so_and_goes_with_the_next_run() {
    let place = place();
    let docs = &place.docs;
    let before = picture(docs);
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar.gz");
    let planned = desk.plan(&restore_of(&copy));
    let open = killed_at(&desk, &planned, "two.bin").expect("what is to be removed is on disk");
    let half = format!("docs.restore-{}.partial", planned.plan.id);
    assert_eq!(beside(docs), ["docs", half.as_str()]);
    assert!(open.shown.contains(&half), "{}", open.shown);

    let again = desk.plan(&restore_of(&copy));
    let (result, detail) = check(&again.plan, "leftovers");
    assert!(result == Checked::Warned && detail.contains(&half), "{detail}");
    let ended = desk.execute(again);
    ended.verified();
    assert_eq!(beside(docs), ["docs".to_owned(), format!("docs.restore-{}", ended.id)]);
    desk.run(&Work::Drop { of: ended.id.clone() }).verified();

    let planned = desk.plan(&restore_of(&copy));
    let open = killed_at(&desk, &planned, "two.bin").unwrap();
    let (ctx, sink) = desk.op_context(&planned);
    desk.op(&open.op, &open.args, &ctx).unwrap();
    desk.op(&open.op, &open.args, &ctx).unwrap();
    assert!(sink.told.lock().unwrap().open.is_none());
    assert_eq!((beside(docs), picture(docs)), (vec!["docs".to_owned()], before));
}

#[test]
fn a_cut_over_that_stopped_half_way_is_made_whole() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    let restored = desk.run(&restore_of(&copy));
    let side = PathBuf::from(restored.side().name);
    fs::write(docs.join("mark"), "old").unwrap();
    let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
    let Step::Native { args, .. } = planned.plan.phases[0].step.clone() else { panic!() };
    let kept = docs.with_file_name(format!("docs.before-{}", planned.plan.id));
    let (ctx, sink) = desk.op_context(&planned);
    let is_old = |path: &Path| path.join("mark").exists();

    // Nothing was done.
    let said = desk.op("folder.put-back", &args, &ctx).unwrap().unwrap();
    assert!(said.contains("nothing was exchanged") && is_old(docs), "{said}");
    // Without an exchange: the first of two renames was done.
    fs::rename(docs, &kept).unwrap();
    desk.op("folder.put-back", &args, &ctx).unwrap();
    assert!(is_old(docs) && side.is_dir() && !kept.exists());
    // Exchanged, and the old one not yet called what it is.
    mayday::sys::disk::rename_exchange(docs, &side).unwrap();
    let said = desk.op("folder.put-back", &args, &ctx).unwrap().unwrap();
    assert!(said.contains("had been done") && is_old(&kept) && !is_old(docs) && !side.exists(), "{said}");
    desk.op("folder.put-back", &args, &ctx).unwrap();
    assert_eq!(sink.told.lock().unwrap().sides[0].name, kept.display().to_string());
}

#[test]
fn what_changed_since_the_plan_stops_it() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    let restored = desk.run(&restore_of(&copy));
    let side = PathBuf::from(restored.side().name);
    let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
    let away = docs.with_file_name("away");
    fs::rename(docs, &away).unwrap();
    fs::create_dir(docs).unwrap();
    let error = desk.execute(Planned { plan: planned.plan.clone(), secrets: planned.secrets.clone() }).error();
    assert!(error.contains("docs is not the folder it was"), "{error}");
    fs::remove_dir(docs).unwrap();
    fs::rename(&away, docs).unwrap();
    fs::rename(&side, &away).unwrap();
    fs::create_dir(&side).unwrap();
    let error = desk.execute(planned).error();
    assert!(error.contains("is not the folder it was"), "{error}");
    let plan = desk.plan(&Work::CutOver { of: restored.id.clone() }).plan;
    assert_eq!(check(&plan, "side folder").0, Checked::Failed);
    let copy_changed = desk.plan(&restore_of(&copy));
    fs::write(desk.copy_path(&copy), "no tar any more").unwrap();
    let ended = desk.execute(copy_changed);
    assert!(ended.result.is_err(), "{:?}", ended.result);
}
