use super::back::{Back, take_back_with};
use super::*;
use crate::recovery::op::{Compensation, Sink};
use crate::recovery::restore::folder::pin;

struct Quiet;

impl Sink for Quiet {
    fn line(&self, _: &str) {}
    fn progress(&self, _: u64, _: u64, _: &str) {}
    fn side(&self, _: &crate::domain::run::Side) -> std::io::Result<()> {
        Ok(())
    }
    fn gone(&self, _: &str) -> std::io::Result<()> {
        Ok(())
    }
    fn compensation(&self, _: Option<&Compensation>) -> std::io::Result<()> {
        Ok(())
    }
}

fn ctx(dir: &Path) -> OpContext {
    OpContext {
        run: "r1".into(),
        dir: dir.to_path_buf(),
        secrets: Default::default(),
        sink: std::sync::Arc::new(Quiet),
        cancel: Default::default(),
    }
}

fn job(dir: &Path) -> FolderCopyIn {
    for (folder, names) in [("docs", &["a", "d/b", "kept"][..]), ("side", &["a", "d/b", "d/new", "e/deep/new"])] {
        for name in names {
            let at = dir.join(folder).join(name);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, folder).unwrap();
        }
    }
    FolderCopyIn {
        backup: "full".into(),
        run: "r1".into(),
        live: dir.join("docs"),
        enter: pin(&dir.join("side")).unwrap(),
        leave: pin(&dir.join("docs")).unwrap(),
        kept_as: dir.join("docs.before-r1"),
        only: Vec::new(),
        undo: false,
        verify: Vec::new(),
        copy: Default::default(),
    }
}

fn texts(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in std::fs::read_dir(dir.join(&below)).unwrap().flatten() {
            let at = below.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(at);
            } else {
                found.push((at, std::fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// With and without an exchange by the file system: stopped after any name it is taken back, and whole it can be undone.
#[test]
fn stopped_after_any_name_all_is_as_it_was() {
    for linked in [false, true] {
        for stop in 1..=5 {
            let dir = tempfile::tempdir().unwrap();
            let (job, ctx) = (job(dir.path()), ctx(dir.path()));
            let before = texts(&job.live);
            let Ok(prepared) = prepare(&job, &Only::all(), &ctx) else { panic!("it was not prepared") };
            assert_eq!(texts(&job.live), before);
            let mut names = 0;
            let mut each = |_: &Line, _| {
                names += 1;
                if names == stop { Err("stopped".to_owned()) } else { Ok(()) }
            };
            let ended = exchange_with(&job, prepared, linked, &mut each);
            assert_eq!(ended.is_err(), stop <= names, "{linked} {stop}");
            if ended.is_err() {
                assert_eq!(take_back_with(&job, linked).unwrap().stays, 0);
                assert_eq!(take_back_with(&job, linked), Ok(Back::default()), "again: nothing is left to do");
                assert_eq!(texts(&job.live), before, "{linked} {stop}");
                assert!(!job.live.join("e").exists());
                // All that comes in is still there for another try, and nothing that was live.
                assert!(texts(&partial(&job.kept_as)).iter().all(|(_, text)| text != "docs"));
            }
        }
    }
}

#[test]
fn without_an_exchange_it_is_done_and_undone_all_the_same() {
    for linked in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (job, ctx) = (job(dir.path()), ctx(dir.path()));
        let before = texts(&job.live);
        let Ok(prepared) = prepare(&job, &Only::all(), &ctx) else { panic!("it was not prepared") };
        let moved = exchange_with(&job, prepared, linked, &mut |_, _| Ok(())).unwrap();
        assert_eq!((moved.replaced, moved.added), (2, 2), "{linked}");
        let mut wanted = texts(&dir.path().join("side"));
        wanted.push(("kept".into(), "docs".into()));
        wanted.sort();
        assert_eq!(texts(&job.live), wanted, "{linked}");
        let undo = FolderCopyIn {
            enter: pin(&job.kept_as).unwrap(),
            kept_as: dir.path().join("docs.abandoned-r2"),
            undo: true,
            ..job.clone()
        };
        let Ok(prepared) = prepare(&undo, &Only::all(), &ctx) else { panic!("it was not prepared") };
        let moved = exchange_with(&undo, prepared, linked, &mut |_, _| Ok(())).unwrap();
        assert_eq!((moved.replaced, moved.taken), (2, 2), "{linked}");
        tidy(&undo).unwrap();
        assert_eq!(texts(&undo.live), before, "{linked}");
        assert!(!undo.live.join("e").exists());
    }
}

/// All names have changed places, and of the last renames of folders none or one was done.
#[test]
fn stopped_between_the_last_names_all_is_as_it_was() {
    for (linked, renamed) in [(false, false), (false, true), (true, false), (true, true)] {
        let dir = tempfile::tempdir().unwrap();
        let (job, ctx) = (job(dir.path()), ctx(dir.path()));
        let before = texts(&job.live);
        let Ok(prepared) = prepare(&job, &Only::all(), &ctx) else { panic!("it was not prepared") };
        exchange_with(&job, prepared, linked, &mut |_, _| Ok(())).unwrap();
        let beside = partial(&job.kept_as);
        std::fs::rename(&job.kept_as, &beside).unwrap();
        if !renamed {
            std::fs::rename(beside.join(REPLACED), beside.join(if linked { OLD } else { NEW })).unwrap();
        }
        assert_eq!(take_back_with(&job, linked), Ok(Back { put: 4, stays: 0 }), "{linked} {renamed}");
        assert_eq!(take_back_with(&job, linked), Ok(Back::default()));
        assert_eq!(texts(&job.live), before, "{linked} {renamed}");
        assert!(texts(&beside).iter().all(|(_, text)| text != "docs"));
    }
}

/// Whoever changes a name between the end of a run and its taking back keeps the change, and what was there before is not
/// thrown away. A name that is gone meanwhile comes back.
#[test]
fn what_somebody_else_changed_meanwhile_is_left_alone() {
    for linked in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (job, ctx) = (job(dir.path()), ctx(dir.path()));
        let Ok(prepared) = prepare(&job, &Only::all(), &ctx) else { panic!("it was not prepared") };
        let ended =
            exchange_with(&job, prepared, linked, &mut |_, moved| if moved == 4 { Err("x".into()) } else { Ok(()) });
        assert!(ended.is_err());
        std::fs::write(dir.path().join("mine"), "mine").unwrap();
        std::fs::rename(dir.path().join("mine"), job.live.join("a")).unwrap();
        std::fs::remove_file(job.live.join("d/b")).unwrap();
        assert_eq!(take_back_with(&job, linked).unwrap(), Back { put: 3, stays: 1 });
        let now = texts(&job.live);
        let wanted = [("a", "mine"), ("d/b", "docs"), ("kept", "docs")];
        assert_eq!(now, wanted.map(|(at, text)| (PathBuf::from(at), text.to_owned())), "{linked}");
        let left = texts(&partial(&job.kept_as));
        assert!(left.iter().any(|(at, text)| at.ends_with("a") && text == "docs"), "{linked}: {left:?}");
    }
}
