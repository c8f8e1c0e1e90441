//! Comparing with the live folder, copying chosen names into it, and exchanging it under somebody's eyes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mayday::config::FolderCompare;
use mayday::domain::run::{Checked, Risk, SideRole, Step, Work};
use mayday::recovery::op::OpError;
use tokio_util::sync::CancellationToken;

use crate::folders::{back_up, beside, picture, place};
use crate::kit::{Desk, Ended, check, killed_at, restore_of};
use crate::support::in_small_disk;

fn only_of(copy: &str, only: &[&str]) -> Work {
    let only = only.iter().map(|p| (*p).to_owned()).collect();
    Work::Restore { backup: "full".into(), copy: Some(copy.to_owned()), test: false, to: None, only }
}

fn copy_in(restored: &Ended, only: &[&str]) -> Work {
    Work::CopyIn { of: restored.id.clone(), only: only.iter().map(|p| (*p).to_owned()).collect() }
}

#[test]
fn the_comparison_names_every_difference_and_the_cut_over_repeats_it() {
    let place = place();
    let docs = &place.docs;
    for i in 0..30 {
        fs::write(docs.join(format!("sub/n{i:02}")), "n").unwrap();
    }
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "folder");
    for i in 0..30 {
        fs::remove_file(docs.join(format!("sub/n{i:02}"))).unwrap();
    }
    fs::create_dir_all(docs.join("later/deep")).unwrap();
    fs::write(docs.join("later/deep/x"), "x").unwrap();
    fs::set_permissions(docs.join("run.sh"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(docs.join("dangling")).unwrap();
    symlink("elsewhere", docs.join("dangling")).unwrap();
    let restored = desk.run(&restore_of(&copy));
    let said = restored.verified();
    assert!(said.contains("(by content)") && said.contains("30 added, 2 changed, 3 gone"), "{said}");
    let named = restored.output().lines().filter(|l| l.starts_with("added: ") || l.starts_with("gone: ")).count();
    assert!(named < 30, "the output names the first ones only: {named}");
    let list = desk.ctx.state_dir.join("runs").join(&restored.id).join("differences.txt");
    assert!(said.contains(&list.display().to_string()), "{said}");
    let text = fs::read_to_string(&list).unwrap();
    assert_eq!(text.lines().count(), 35, "{text}");
    for line in ["added\tsub/n29", "changed\tdangling\twhere it links to", "gone\tlater/deep/x"] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    assert!(text.contains("changed\trun.sh\tmode 4750 instead of 644"), "{text}");
    assert_eq!(list.metadata().unwrap().mode() & 0o777, 0o600);

    // As it is now, not as it was then.
    fs::remove_dir_all(docs.join("later")).unwrap();
    let plan = desk.plan(&Work::CutOver { of: restored.id.clone() }).plan;
    let effects = plan.effects.join("\n");
    assert!(effects.contains("30 added, 2 changed, 0 gone"), "{effects}");
    assert!(effects.contains("changed: dangling") && effects.contains(" more"), "{effects}");
    assert!(effects.contains(&list.display().to_string()), "{effects}");
}

#[test]
fn corruption_of_the_same_size_and_time_is_found_by_content() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar.zst");
    let hurt = docs.join("sub/two.bin");
    let time = hurt.metadata().unwrap().modified().unwrap();
    let mut bytes = fs::read(&hurt).unwrap();
    bytes[123_456] ^= 1;
    fs::write(&hurt, bytes).unwrap();
    fs::File::open(&hurt).unwrap().set_modified(time).unwrap();
    desk.configure_folder(|f| f.compare = FolderCompare::Quick);
    let restored = desk.run(&restore_of(&copy));
    let said = restored.verified();
    assert!(said.contains("(by size, time and mode; contents not read)"), "what was not looked at is said: {said}");
    assert!(said.contains("0 added, 0 changed, 0 gone"), "{said}");
    // Unless it is told not to, it reads them.
    desk.configure_folder(|f| f.compare = FolderCompare::default());
    let restored = desk.run(&restore_of(&copy));
    assert!(
        restored.verified().contains("(by content)") && restored.verified().contains("1 changed"),
        "{}",
        restored.verified()
    );
    assert!(
        restored.output().contains("changed: sub/two.bin (content, with size and time the same)"),
        "{}",
        restored.output()
    );
}

#[test]
fn chosen_names_come_back_and_nothing_else_is_touched() {
    for form in ["tar.gz", "folder"] {
        let place = place();
        let docs = &place.docs;
        let good = picture(docs);
        let mut desk = Desk::folder(docs, 0, &[&["test", "-f", "{side}/one.txt"]]);
        let copy = back_up(&mut desk, docs, form);
        fs::write(docs.join("one.txt"), "damaged").unwrap();
        fs::write(docs.join("sub/two.bin"), "damaged").unwrap();
        fs::remove_dir_all(docs.join("sub/deep")).unwrap();
        fs::write(docs.join("new"), "new").unwrap();
        let broken = picture(docs);

        let planned = desk.plan(&only_of(&copy, &["sub/**"]));
        assert!(planned.plan.effects.iter().any(|e| e.contains("\"sub/**\"")), "{:?}", planned.plan.effects);
        let restored = desk.execute(planned);
        assert!(restored.verified().contains("2 added, 2 changed, 0 gone"), "{form}: {}", restored.verified());
        let side = PathBuf::from(restored.side().name);
        assert!(!side.join("secret").exists() && side.join("sub/deep/ü –.txt").exists());

        let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
        let plan = &planned.plan;
        assert_eq!((plan.risk, plan.target.as_str()), (Risk::Destructive, "docs"));
        assert!(plan.effects.iter().any(|e| e.contains("nothing else there is touched")), "{:?}", plan.effects);
        let done = desk.execute(planned);
        assert!(done.verified().contains("replaced"), "{}", done.verified());
        let now = picture(docs);
        for (path, what) in &good {
            // The further name of the file outside of what was chosen is another file now.
            if path.starts_with("sub") && path.is_file() && path != Path::new("sub/again.txt") {
                assert_eq!(now.get(path), Some(what), "{form}: {}", path.display());
            }
        }
        assert_eq!(fs::read_to_string(docs.join("sub/again.txt")).unwrap(), "one", "{form}");
        assert_eq!(fs::read(docs.join("sub/two.bin")).unwrap().len(), 300_000);
        assert_eq!(now[Path::new("sub/deep")].split(' ').nth(1), good[Path::new("sub/deep")].split(' ').nth(1));
        assert_eq!(
            (fs::read_to_string(docs.join("one.txt")).unwrap().as_str(), docs.join("new").exists()),
            ("damaged", true)
        );
        let kept = done.side();
        assert_eq!(kept.role, SideRole::Before);
        assert_eq!(fs::read_to_string(Path::new(&kept.name).join("replaced/sub/two.bin")).unwrap(), "damaged");

        // The other way round, with what was changed since kept.
        fs::write(docs.join("sub/two.bin"), "since").unwrap();
        let undone = desk.run(&Work::Undo { of: done.id.clone() });
        undone.verified();
        let same = |a: &std::collections::BTreeMap<PathBuf, String>| {
            a.iter().filter(|(_, w)| !w.starts_with("folder")).map(|(p, w)| (p.clone(), w.clone())).collect::<Vec<_>>()
        };
        let (after, before) = (picture(docs), broken);
        let names = |p: &std::collections::BTreeMap<PathBuf, String>| p.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before), "{form}");
        let but_shared = |p| {
            same(p)
                .into_iter()
                .filter(|(p, _)| !matches!(p.to_str(), Some("one.txt" | "sub/again.txt")))
                .collect::<Vec<_>>()
        };
        assert_eq!(but_shared(&after), but_shared(&before), "{form}");
        assert_eq!(fs::read_to_string(docs.join("sub/again.txt")).unwrap(), "damaged", "{form}");
        let abandoned = undone.side();
        assert_eq!(abandoned.role, SideRole::Abandoned);
        assert_eq!(fs::read_to_string(Path::new(&abandoned.name).join("replaced/sub/two.bin")).unwrap(), "since");
        // And once more.
        let again = desk.run(&Work::Undo { of: undone.id.clone() });
        again.verified();
        assert_eq!(fs::read_to_string(docs.join("sub/two.bin")).unwrap(), "since");
        assert!(docs.join("sub/deep/ü –.txt").exists());
        desk.run(&Work::Drop { of: again.id.clone() }).verified();
        desk.run(&Work::Drop { of: restored.id.clone() }).verified();
        assert_eq!(beside(docs), ["docs"], "{form}");
    }
}

#[test]
fn names_are_chosen_of_a_whole_side_folder_too_and_by_the_configuration() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    for name in ["one.txt", "secret", "run.sh"] {
        fs::write(docs.join(name), "damaged").unwrap();
    }
    let restored = desk.run(&restore_of(&copy));
    let done = desk.run(&copy_in(&restored, &["sec*"]));
    assert!(done.verified().contains("1 replaced, 0 added"), "{}", done.verified());
    let text = |name: &str| fs::read_to_string(docs.join(name)).unwrap();
    assert_eq!((text("secret").as_str(), text("one.txt").as_str()), ("hidden", "damaged"));
    assert_eq!(docs.join("secret").metadata().unwrap().mode() & 0o7777, 0o600);
    // The side folder is as good as before.
    desk.run(&Work::CutOver { of: restored.id.clone() }).verified();
    assert_eq!(text("one.txt"), "one");

    fs::write(docs.join("one.txt"), "damaged").unwrap();
    fs::write(docs.join("run.sh"), "damaged").unwrap();
    desk.configure_folder(|f| f.only = vec!["run.*".into()]);
    let restored = desk.run(&restore_of(&copy));
    desk.run(&Work::CutOver { of: restored.id.clone() }).verified();
    assert_eq!((text("one.txt").as_str(), text("run.sh").as_str()), ("damaged", "#!/bin/sh\n"));
    assert_eq!(docs.join("run.sh").metadata().unwrap().mode() & 0o7777, 0o4750);

    for (bad, wanted) in [("../x", "no path below"), ("/etc", "no path below"), ("[", "cannot be used")] {
        let refused = desk.try_plan(&only_of(&copy, &[bad])).unwrap_err();
        assert!(refused.to_string().contains(wanted), "{refused}");
    }
    let plan = desk.plan(&only_of(&copy, &["nowhere/**"])).plan;
    let (result, detail) = check(&plan, "copy readable");
    assert!(result == Checked::Failed && detail.contains("nothing in it matches \"nowhere/**\""), "{detail}");
    // One that has nothing is said also where another one has.
    let plan = desk.plan(&only_of(&copy, &["run.*", "*.bin"])).plan;
    let (result, detail) = check(&plan, "copy readable");
    assert!(result == Checked::Failed && detail.contains("nothing in it matches \"*.bin\""), "{detail}");
    assert!(detail.contains("'**/*.bin' looks in every folder"), "{detail}");
    let plan = desk.plan(&only_of(&copy, &["run.*", "**/*.bin"])).plan;
    assert_eq!(check(&plan, "copy readable").0, Checked::Passed);
    assert_eq!(plan.data_lost_ms, None, "what else was written stays");
}

#[test]
fn nothing_is_written_through_a_link_or_over_a_folder() {
    let place = place();
    let docs = &place.docs;
    let outside = docs.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("two.bin"), "safe").unwrap();
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    let restored = desk.run(&restore_of(&copy));
    type Break = fn(&Path);
    let cases: [(&str, &[&str], Break, &str); 4] = [
        (
            "a link out of the folder",
            &["one.txt", "sub/two.bin"],
            |docs| {
                fs::rename(docs.join("sub"), docs.join("was")).unwrap();
                symlink("../outside", docs.join("sub")).unwrap();
            },
            "nothing is written through it",
        ),
        (
            "a folder where a file is to come",
            &["secret", "one.txt"],
            |docs| {
                fs::remove_file(docs.join("secret")).unwrap();
                fs::create_dir(docs.join("secret")).unwrap();
            },
            "of another kind",
        ),
        (
            "a file where a folder is to come",
            &["one.txt", "empty"],
            |docs| {
                fs::remove_dir(docs.join("empty")).unwrap();
                fs::write(docs.join("empty"), "file").unwrap();
            },
            "of another kind",
        ),
        (
            "a file on the way",
            &["one.txt", "sub/deep/**"],
            |docs| {
                fs::remove_dir_all(docs.join("sub")).unwrap();
                fs::write(docs.join("sub"), "file").unwrap();
            },
            "nothing is written through it",
        ),
    ];
    for (name, only, breaks, wanted) in cases {
        let kept = docs.with_file_name("good");
        assert!(std::process::Command::new("cp").arg("-a").arg(docs).arg(&kept).status().unwrap().success());
        breaks(docs);
        let before = picture(docs);
        let planned = desk.plan(&copy_in(&restored, only));
        let ended = desk.execute(planned);
        assert!(ended.error().contains(wanted) && ended.error().contains("untouched"), "{name}: {}", ended.error());
        assert_eq!(picture(docs), before, "{name}");
        assert!(ended.open().is_none() && ended.sink.told.lock().unwrap().sides.is_empty());
        assert_eq!(fs::read_to_string(outside.join("two.bin")).unwrap(), "safe", "{name}");
        assert_eq!(beside(docs), ["docs", &format!("docs.restore-{}", restored.id)], "{name}");
        fs::remove_dir_all(docs).unwrap();
        fs::rename(&kept, docs).unwrap();
    }
    // A link at the very end is replaced, and what it leads to is not written.
    fs::remove_file(docs.join("secret")).unwrap();
    symlink("../outside/two.bin", docs.join("secret")).unwrap();
    let done = desk.run(&copy_in(&restored, &["secret"]));
    assert!(docs.join("secret").symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_to_string(outside.join("two.bin")).unwrap(), "safe");
    assert!(Path::new(&done.side().name).join("replaced/secret").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn killed_or_cancelled_while_copying_in_the_live_folder_is_as_it_was() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    fs::write(docs.join("one.txt"), "damaged").unwrap();
    fs::write(docs.join("run.sh"), "damaged").unwrap();
    fs::remove_dir_all(docs.join("sub/deep")).unwrap();
    let content = |docs: &Path| picture(docs).into_iter().filter(|(_, w)| !w.starts_with("folder")).collect::<Vec<_>>();
    let before = content(docs);
    let restored = desk.run(&restore_of(&copy));
    let side = format!("docs.restore-{}", restored.id);
    let all = &["*.txt", "run.sh", "sub/**"];
    let swapping = Arc::new(AtomicBool::new(false));
    for at in ["sub/two.bin", "all of it lies beside"] {
        let planned = desk.plan(&copy_in(&restored, all));
        let ended = desk.execute_with(planned, CancellationToken::new(), move |said, cancel| {
            if said.contains(at) {
                cancel.cancel();
            }
        });
        // Once the names change places it goes through.
        match at {
            "sub/two.bin" => {
                assert_eq!(ended.result, Err(OpError::Cancelled), "{at}");
                assert_eq!((content(docs), beside(docs)), (before.clone(), vec!["docs".to_owned(), side.clone()]));
            }
            _ => {
                assert!(ended.result.is_ok(), "{:?}", ended.result);
                desk.run(&Work::Undo { of: ended.id.clone() }).verified();
                let abandoned =
                    docs.with_file_name(beside(docs).into_iter().find(|n| n.contains("abandoned")).unwrap());
                fs::remove_dir_all(abandoned).unwrap();
            }
        }
        swapping.store(true, Ordering::Relaxed);
    }
    let before = content(docs);
    for at in ["sub/two.bin", "all of it lies beside", "sub/deep/ü –.txt", "run.sh"] {
        let planned = desk.plan(&copy_in(&restored, all));
        let open = killed_at(&desk, &planned, at).expect("what is to be taken back is on disk");
        assert_eq!(open.op, "folder.take-back");
        let (ctx, sink) = desk.op_context(&planned);
        desk.op(&open.op, &open.args, &ctx).unwrap();
        desk.op(&open.op, &open.args, &ctx).unwrap();
        assert!(sink.told.lock().unwrap().open.is_none());
        assert_eq!(content(docs), before, "{at}");
        assert_eq!(beside(docs), ["docs".to_owned(), side.clone()], "{at}");
    }
    // Half of the names changed places: by the list and the inodes that is told, too.
    let planned = desk.plan(&copy_in(&restored, all));
    let Step::Native { args, .. } = planned.plan.phases[0].step.clone() else { panic!() };
    killed_at(&desk, &planned, "all of it lies beside").unwrap();
    let new = docs.with_file_name(format!("docs.before-{}.partial/new", planned.plan.id));
    mayday::sys::disk::rename_exchange(&new.join("one.txt"), &docs.join("one.txt")).unwrap();
    fs::create_dir(docs.join("sub/deep")).unwrap();
    fs::rename(new.join("sub/deep/ü –.txt"), docs.join("sub/deep/ü –.txt")).unwrap();
    let (ctx, _) = desk.op_context(&planned);
    let said = desk.op("folder.take-back", &args, &ctx).unwrap().unwrap();
    assert!(said.contains("2 names put back"), "{said}");
    assert_eq!((content(docs), beside(docs)), (before, vec!["docs".to_owned(), side]));
}

#[test]
fn killed_among_the_names_each_is_the_old_or_the_new_one() {
    let place = place();
    let docs = &place.docs;
    fs::create_dir(docs.join("many")).unwrap();
    let names: Vec<String> = (0..300).map(|n| format!("f{n:03}")).collect();
    let write = |text: &str| names.iter().for_each(|n| fs::write(docs.join("many").join(n), text).unwrap());
    write("new");
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    write("old");
    let restored = desk.run(&restore_of(&copy));
    let now = || {
        let text = |n: &String| fs::read_to_string(docs.join("many").join(n)).unwrap_or_else(|e| panic!("{n}: {e}"));
        let texts: Vec<String> = names.iter().map(text).collect();
        assert!(texts.iter().all(|t| t == "old" || t == "new"), "{texts:?}");
        texts.iter().filter(|t| *t == "new").count()
    };
    for at in ["f007", "f150", "f299"] {
        let planned = desk.plan(&copy_in(&restored, &["many"]));
        let open = killed_at(&desk, &planned, &format!("{at} is in place")).expect("what is to be taken back");
        assert!(now() > 0);
        let (ctx, _) = desk.op_context(&planned);
        desk.op(&open.op, &open.args, &ctx).unwrap();
        assert_eq!(now(), 0);
    }
    desk.run(&copy_in(&restored, &["many"])).verified();
    assert_eq!(now(), names.len());
}

/// Nobody took back what a killed run left, and somebody wrote meanwhile: the next run of any kind does it first, and says
/// so.
#[test]
fn the_next_run_takes_back_what_a_killed_one_left() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    let restored = desk.run(&restore_of(&copy));
    let half_done = |desk: &mut Desk| {
        for name in ["one.txt", "run.sh", "secret"] {
            fs::write(docs.join(name), "damaged").unwrap();
        }
        let planned = desk.plan(&copy_in(&restored, &["*.txt", "run.sh", "secret"]));
        killed_at(desk, &planned, "all of it lies beside").unwrap();
        let left = docs.with_file_name(format!("docs.before-{}.partial", planned.plan.id));
        for name in ["one.txt", "run.sh"] {
            mayday::sys::disk::rename_exchange(&left.join("new").join(name), &docs.join(name)).unwrap();
        }
        assert_eq!(fs::read_to_string(docs.join("one.txt")).unwrap(), "one");
        left
    };
    let said = |plan: &mayday::domain::run::Plan| {
        let (result, detail) = check(plan, "leftovers");
        assert!(result == Checked::Warned && detail.contains("was cut short"), "{detail}");
    };

    let left = half_done(&mut desk);
    let again = desk.plan(&copy_in(&restored, &["*.txt"]));
    said(&again.plan);
    let done = desk.execute(again);
    done.verified();
    let text = |name: &str| fs::read_to_string(docs.join(name)).unwrap();
    assert_eq!(
        (text("one.txt").as_str(), text("run.sh").as_str(), text("secret").as_str()),
        ("one", "damaged", "damaged")
    );
    assert!(!left.exists());
    // What was live, and not what the killed run had put there, is kept.
    assert_eq!(fs::read_to_string(Path::new(&done.side().name).join("replaced/one.txt")).unwrap(), "damaged");
    desk.run(&Work::Undo { of: done.id.clone() }).verified();
    assert_eq!(text("one.txt"), "damaged");

    // Before a cut-over of the whole folder, too; and what somebody changed meanwhile is theirs.
    let left = half_done(&mut desk);
    fs::write(docs.with_file_name("mine"), "mine").unwrap();
    fs::rename(docs.with_file_name("mine"), docs.join("run.sh")).unwrap();
    let cut_over = desk.plan(&Work::CutOver { of: restored.id.clone() });
    said(&cut_over.plan);
    let done = desk.execute(cut_over);
    assert!(done.result.is_ok(), "{:?}", done.result);
    let kept = docs.with_file_name(format!("docs.before-{}", done.id));
    assert_eq!(fs::read_to_string(kept.join("one.txt")).unwrap(), "damaged");
    assert_eq!(fs::read_to_string(kept.join("run.sh")).unwrap(), "mine");
    let rest = left.with_file_name(left.file_name().unwrap().to_string_lossy().replace(".partial", ".rest"));
    assert_eq!(fs::read_to_string(rest.join("new/run.sh")).unwrap(), "damaged");
    assert!(!left.exists());
}

#[test]
fn a_full_disk_while_copying_in_leaves_the_live_folder_alone() {
    in_small_disk(4 << 20, |dir, _| {
        let docs = dir.canonicalize().unwrap().join("docs");
        fs::create_dir(&docs).unwrap();
        let big = vec![3u8; 1_400_000];
        fs::write(docs.join("big"), &big).unwrap();
        let mut desk = Desk::folder(&docs, 0, &[]);
        let copy = back_up(&mut desk, &docs, "tar");
        fs::write(docs.join("big"), "live").unwrap();
        let restored = desk.run(&restore_of(&copy));
        fs::write(dir.join("filler"), &big).unwrap();
        let before = picture(&docs);
        let planned = desk.plan(&copy_in(&restored, &["big"]));
        let (result, detail) = check(&planned.plan, "disk");
        assert!(result == Checked::Failed && detail.contains("make room"), "{detail}");
        let ended = desk.execute(planned);
        assert!(ended.error().contains("make room"), "{}", ended.error());
        assert_eq!(picture(&docs), before);
        assert_eq!(beside(&docs), ["docs", &format!("docs.restore-{}", restored.id)]);
        assert!(ended.open().is_none());
    });
}

#[test]
fn nobody_ever_sees_the_folder_missing_while_it_is_exchanged() {
    let place = place();
    let docs = &place.docs;
    let mut desk = Desk::folder(docs, 0, &[]);
    let copy = back_up(&mut desk, docs, "tar");
    let (stop, looks, missing) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let watchers: Vec<_> = ["one.txt", "sub/two.bin"]
        .into_iter()
        .map(|name| {
            let (path, stop, looks, missing) = (docs.join(name), stop.clone(), looks.clone(), missing.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if fs::File::open(&path).is_err() {
                        missing.fetch_add(1, Ordering::Relaxed);
                    }
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..5 {
        let restored = desk.run(&restore_of(&copy));
        let cut = desk.run(&Work::CutOver { of: restored.id.clone() });
        assert!(cut.verified().contains("exchanged in one step"), "{}", cut.verified());
        let undone = desk.run(&Work::Undo { of: cut.id.clone() });
        desk.run(&Work::Drop { of: undone.id.clone() }).verified();
        let restored = desk.run(&restore_of(&copy));
        let done = desk.run(&copy_in(&restored, &["one.txt", "sub/**"]));
        desk.run(&Work::Undo { of: done.id.clone() }).verified();
        desk.run(&Work::Drop { of: restored.id.clone() }).verified();
    }
    stop.store(true, Ordering::Relaxed);
    watchers.into_iter().for_each(|w| w.join().unwrap());
    assert_eq!(missing.load(Ordering::Relaxed), 0, "of {} looks", looks.load(Ordering::Relaxed));
    assert!(looks.load(Ordering::Relaxed) > 1000);
}
