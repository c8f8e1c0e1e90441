//! Real repositories of restic and borg, and archives that age encrypted: listed, restored, and refused.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mayday::config::{BackupSource, MaybeSecret, SecretRef, VaultSource, VaultTool};
use mayday::domain::run::{Checked, Work};
use mayday::recovery::op::OpError;
use tokio_util::sync::CancellationToken;

use crate::folders::{beside, picture, place, refused, untouched};
use crate::kit::{Desk, check, killed_at, restore_of, test_of};
use crate::support::{in_small_disk, program, scratch};

const PASSWORD: &str = "pl4nt-vault";

/// A repository of one's own, with its program's caches in the same place.
struct Vault {
    dir: tempfile::TempDir,
    tool: VaultTool,
}

impl Vault {
    fn new(tool: VaultTool) -> Vault {
        let vault = Vault { dir: scratch(), tool };
        match tool {
            VaultTool::Restic => vault.run(&["init", "-q"], None),
            VaultTool::Borg => vault.run(&["init", "-e", "repokey"], None),
        }
        vault
    }

    fn repository(&self) -> String {
        self.dir.path().join("repository").display().to_string()
    }

    fn command(&self, args: &[&str]) -> Command {
        let package = self.tool.package();
        let mut command = Command::new(program(self.tool.word(), package));
        command.args(args).env("RESTIC_REPOSITORY", self.repository()).env("RESTIC_PASSWORD", PASSWORD);
        command.env("BORG_REPO", self.repository()).env("BORG_PASSPHRASE", PASSWORD);
        command.envs(self.env().into_iter().map(|(k, v)| (k, v.describe())));
        command
    }

    #[track_caller]
    fn run(&self, args: &[&str], at: Option<&Path>) {
        let mut command = self.command(args);
        if let Some(at) = at {
            command.current_dir(at);
        }
        let out = command.output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn env(&self) -> std::collections::BTreeMap<String, MaybeSecret> {
        let place = |sub: &str| MaybeSecret::Plain(self.dir.path().join(sub).display().to_string());
        [("RESTIC_CACHE_DIR".to_owned(), place("cache")), ("BORG_BASE_DIR".to_owned(), place("base"))].into()
    }

    /// Backs a folder up, by its absolute path.
    fn back_up(&self, docs: &Path, name: &str) {
        let path = docs.display().to_string();
        match self.tool {
            VaultTool::Restic => self.run(&["backup", "-q", "--host", "web1", "--tag", name, &path], None),
            VaultTool::Borg => self.run(&["create", &format!("::{name}"), &path], None),
        }
    }

    fn source(&self) -> VaultSource {
        VaultSource {
            tool: self.tool,
            repository: MaybeSecret::Plain(self.repository()),
            password: Some(SecretRef::Literal(PASSWORD.into())),
            env: self.env(),
            host: None,
            path: None,
            tags: Vec::new(),
            archives: None,
            rescan: None,
            timeout: Some(Duration::from_secs(60)),
        }
    }

    fn desk(&self, docs: &Path) -> (Desk, String) {
        let mut desk = Desk::folder(docs, 0, &[&["test", "-f", "{side}/one.txt"]]);
        desk.source(BackupSource::Vault(Box::new(self.source())));
        let newest = desk.ctx.copies["full"][0].id.clone();
        (desk, newest)
    }
}

const BOTH: [VaultTool; 2] = [VaultTool::Restic, VaultTool::Borg];

#[test]
fn a_folder_comes_back_out_of_a_repository() {
    for tool in BOTH {
        let place = place();
        let docs = &place.docs;
        let good = picture(docs);
        let vault = Vault::new(tool);
        vault.back_up(docs, "first");
        fs::remove_file(docs.join("sub/two.bin")).unwrap();
        fs::write(docs.join("one.txt"), "eno").unwrap();
        fs::write(docs.join("new"), "new").unwrap();
        let (mut desk, copy) = vault.desk(docs);
        let planned = desk.plan(&restore_of(&copy));
        let against: Vec<_> = planned.plan.blockers().collect();
        assert!(against.is_empty(), "{against:?}");
        let shown = serde_json::to_string(&planned.plan).unwrap();
        assert!(!shown.contains(PASSWORD), "{shown}");
        let restored = desk.execute(planned);
        let said = restored.verified();
        let proof = match tool {
            VaultTool::Restic => "read every restored file back",
            VaultTool::Borg => "compared the checksum of every piece",
        };
        assert!(said.contains(proof) && said.contains("1 added") && said.contains("1 gone"), "{said}");
        assert!(!restored.output().contains(PASSWORD));
        assert_eq!(picture(Path::new(&restored.side().name)), good, "{tool:?}");
        let cut = desk.run(&Work::CutOver { of: restored.id.clone() });
        cut.verified();
        assert_eq!(picture(docs), good, "{tool:?}");
        desk.run(&Work::Drop { of: cut.id.clone() }).verified();

        let proven = desk.run(&test_of(&copy));
        assert!(proven.verified().contains("proven"), "{}", proven.verified());
        assert_eq!(beside(docs), ["docs"], "{tool:?}");

        // A part of it, without fetching the rest.
        fs::write(docs.join("sub/two.bin"), "damaged").unwrap();
        fs::write(docs.join("secret"), "damaged").unwrap();
        let only = Work::Restore {
            backup: "full".into(),
            copy: Some(copy),
            test: false,
            to: None,
            only: vec!["sub/*.bin".into()],
        };
        let restored = desk.run(&only);
        restored.verified();
        assert!(!Path::new(&restored.side().name).join("secret").exists());
        desk.run(&Work::CutOver { of: restored.id.clone() }).verified();
        assert_eq!(fs::read(docs.join("sub/two.bin")).unwrap().len(), 300_000);
        assert_eq!(fs::read_to_string(docs.join("secret")).unwrap(), "damaged");
    }
}

#[test]
fn the_folder_in_a_copy_is_found_or_named() {
    for tool in BOTH {
        let place = place();
        let docs = &place.docs;
        let good = picture(docs);
        let vault = Vault::new(tool);
        // By a relative path, and from within.
        match tool {
            VaultTool::Restic => vault.run(&["backup", "-q", "docs"], docs.parent()),
            VaultTool::Borg => vault.run(&["create", "::dot", "."], Some(docs)),
        }
        let (mut desk, copy) = vault.desk(docs);
        let restored = desk.run(&restore_of(&copy));
        let (mut got, mut wanted) = (picture(Path::new(&restored.side().name)), good.clone());
        if tool == VaultTool::Borg {
            // Of the folder that it extracts into borg does not keep the time.
            got.remove(Path::new(""));
            wanted.remove(Path::new(""));
        }
        assert_eq!(got, wanted, "{tool:?}");
        desk.run(&Work::Drop { of: restored.id.clone() }).verified();
        // A folder below what was backed up.
        let inside = match tool {
            VaultTool::Restic => "/docs/sub/deep",
            VaultTool::Borg => "sub/deep",
        };
        desk.configure_folder(|f| {
            f.inside = Some(PathBuf::from(inside));
            f.verify = Vec::new();
        });
        let restored = desk.run(&restore_of(&copy));
        restored.verified();
        assert!(Path::new(&restored.side().name).join("ü –.txt").exists());
        desk.configure_folder(|f| f.inside = Some("/no/such".into()));
        let plan = desk.plan(&restore_of(&copy)).plan;
        let (result, detail) = check(&plan, "copy readable");
        assert!(result == Checked::Failed && detail.contains("set `inside`"), "{detail}");
        // Exit 0 is no proof: what does not come is missed all the same.
        let before = picture(docs);
        let planned = desk.plan(&restore_of(&copy));
        let mut unchecked = mayday::recovery::plan::Planned { plan: planned.plan, secrets: planned.secrets };
        for keep_check in [true, false] {
            if !keep_check {
                unchecked.plan.phases.remove(0);
            }
            let again =
                mayday::recovery::plan::Planned { plan: unchecked.plan.clone(), secrets: unchecked.secrets.clone() };
            let ended = desk.execute(again);
            assert!(!ended.error().is_empty());
            assert_eq!(picture(docs), before);
            assert!(ended.open().is_none());
            assert_eq!(beside(docs), ["docs".to_owned(), format!("docs.restore-{}", restored.id)]);
        }
    }
}

#[test]
fn what_is_wrong_with_a_repository_is_told_apart() {
    for tool in BOTH {
        let place = place();
        let docs = &place.docs;
        let vault = Vault::new(tool);
        vault.back_up(docs, "first");
        let (mut desk, copy) = vault.desk(docs);
        let before = picture(docs);
        type Break = fn(&mut VaultSource);
        let cases: [(Break, &str); 4] = [
            (
                |v| v.password = Some(SecretRef::Literal("wrong".into())),
                "password of the repository is missing or wrong",
            ),
            (|v| v.password = None, "password of the repository is missing or wrong"),
            (|v| v.repository = MaybeSecret::Plain("/no/such/repository".into()), "there is no "),
            (|v| v.password = Some(SecretRef::Env("MAYDAY_TEST_NOT_SET".into())), "MAYDAY_TEST_NOT_SET is not set"),
        ];
        for (breaks, wanted) in cases {
            let mut source = vault.source();
            breaks(&mut source);
            let mut config = (*desk.ctx.config).clone();
            config.backups[0].source = BackupSource::Vault(Box::new(source));
            let listed = mayday::backup::source_of(&config.backups[0]).list(10, &Default::default());
            let why = listed.expect_err(wanted);
            assert!(why.contains(wanted) && !why.contains("wrong\""), "{tool:?}: {why}");
            desk.ctx.config = config.into();
            refused(&mut desk, &copy, "repository", wanted);
        }
        desk.source(BackupSource::Vault(Box::new(vault.source())));
        // Without the program.
        let path = desk.ctx.tool_path.replace("/nowhere".into());
        refused(&mut desk, &copy, &format!("tool {}", tool.word()), "install");
        desk.ctx.tool_path = path;
        // A password that was right while planning, and is not any more.
        let mut planned = desk.plan(&restore_of(&copy));
        planned.secrets.insert("full.password".into(), SecretRef::Literal("wrong".into()));
        let ended = desk.execute(planned);
        assert!(ended.error().contains("missing or wrong"), "{}", ended.error());
        untouched(&ended, docs, &before);
        // The copy was pruned since.
        let planned = desk.plan(&restore_of(&copy));
        match tool {
            VaultTool::Restic => vault.run(&["forget", "-q", "--prune", &copy], None),
            VaultTool::Borg => vault.run(&["delete", &format!("::{copy}")], None),
        }
        let ended = desk.execute(planned);
        assert!(ended.result.is_err(), "{tool:?}");
        untouched(&ended, docs, &before);
    }
}

/// The largest file below a folder: where the data is.
fn largest(dir: &Path) -> PathBuf {
    let mut open = vec![dir.to_path_buf()];
    let mut best = (0, PathBuf::new());
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                open.push(entry.path());
            } else if meta.len() > best.0 {
                best = (meta.len(), entry.path());
            }
        }
    }
    best.1
}

#[test]
fn a_repository_that_rots_is_noticed_and_a_lock_is_named() {
    for tool in BOTH {
        let place = place();
        let docs = &place.docs;
        let mut noise = Vec::new();
        let mut x = 1u64;
        while noise.len() < 400_000 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            noise.extend(x.to_be_bytes());
        }
        fs::write(docs.join("noise"), &noise).unwrap();
        let vault = Vault::new(tool);
        vault.back_up(docs, "first");
        let (mut desk, copy) = vault.desk(docs);
        let before = picture(docs);
        if tool == VaultTool::Borg {
            // Somebody works on it. A look takes no lock, a restore waits for one.
            let mut holder = vault.command(&["with-lock", &vault.repository(), "cat"]);
            let mut holder =
                holder.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
            crate::support::wait_until("the lock", crate::support::PATIENCE, || {
                vault.dir.path().join("repository/lock.exclusive").exists()
            });
            desk.source(BackupSource::Vault(Box::new(vault.source())));
            let planned = desk.plan(&restore_of(&copy));
            assert_eq!(planned.plan.blockers().count(), 0, "{:?}", planned.plan.preconditions);
            let ended = desk.execute(planned);
            drop(holder.stdin.take());
            holder.wait().unwrap();
            assert!(ended.error().contains("locked by somebody"), "{}", ended.error());
            untouched(&ended, docs, &before);
        }
        let data = largest(&vault.dir.path().join("repository/data"));
        let mut permissions = data.metadata().unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
        fs::set_permissions(&data, permissions).unwrap();
        let mut bytes = fs::read(&data).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&data, bytes).unwrap();
        // It is still listed: that shows nothing.
        desk.source(BackupSource::Vault(Box::new(vault.source())));
        let planned = desk.plan(&restore_of(&copy));
        let ended = desk.execute(planned);
        assert!(!ended.error().is_empty());
        untouched(&ended, docs, &before);
    }
}

#[test]
fn cancelled_killed_and_without_room_nothing_is_left() {
    for tool in BOTH {
        let place = place();
        let docs = &place.docs;
        let vault = Vault::new(tool);
        vault.back_up(docs, "first");
        let (mut desk, copy) = vault.desk(docs);
        let before = picture(docs);
        for at in ["fetching", "looking at what was fetched", "comparing"] {
            let planned = desk.plan(&restore_of(&copy));
            let ended = desk.execute_with(planned, CancellationToken::new(), move |said, cancel| {
                if said.contains(at) {
                    cancel.cancel();
                }
            });
            assert_eq!(ended.result, Err(OpError::Cancelled), "{tool:?} at {at}");
            untouched(&ended, docs, &before);
        }
        let planned = desk.plan(&restore_of(&copy));
        let open = killed_at(&desk, &planned, "fetching").expect("what is to be removed is on disk");
        let (ctx, _) = desk.op_context(&planned);
        desk.op(&open.op, &open.args, &ctx).unwrap();
        assert_eq!((beside(docs), picture(docs)), (vec!["docs".to_owned()], before));
    }
}

#[test]
fn a_disk_that_fills_up_while_fetching_leaves_the_live_folder_alone() {
    in_small_disk(6 << 20, |dir, _| {
        let docs = dir.canonicalize().unwrap().join("docs");
        for tool in BOTH {
            fs::create_dir(&docs).unwrap();
            fs::write(docs.join("zeros"), vec![0u8; 3 << 20]).unwrap();
            fs::write(docs.join("one.txt"), "one").unwrap();
            let vault = Vault::new(tool);
            vault.back_up(&docs, "first");
            let (mut desk, copy) = vault.desk(&docs);
            fs::write(docs.join("more"), vec![1u8; 1 << 20]).unwrap();
            let before = picture(&docs);
            let mut planned = desk.plan(&restore_of(&copy));
            let ended = desk.execute(mayday::recovery::plan::Planned {
                plan: planned.plan.clone(),
                secrets: planned.secrets.clone(),
            });
            assert!(ended.error().contains("make room"), "{tool:?}: {}", ended.error());
            untouched(&ended, &docs, &before);
            planned.plan.phases.remove(0);
            let ended = desk.execute(planned);
            assert!(ended.error().contains("make room"), "{tool:?}: {}", ended.error());
            untouched(&ended, &docs, &before);
            fs::remove_dir_all(&docs).unwrap();
        }
    });
}

/// A program in the place of restic or borg: it notes its arguments, does what it should, and then `afterwards` in the
/// folder it wrote into; and says that all is well.
fn liar(vault: &Vault, afterwards: &str) -> PathBuf {
    let dir = vault.dir.path().join("liar");
    let word = vault.tool.word();
    let real = program(word, vault.tool.package());
    let _ = fs::create_dir(&dir);
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >>{args}\n{real} \"$@\" || exit $?\n\
         case \" $* \" in *\" restore \"*|*\" extract \"*) ;; *) exit 0 ;; esac\n\
         for word; do [ \"$last\" = --target ] && cd \"$word\"; last=$word; done\n{afterwards}\nexit 0\n",
        args = dir.join("args").display(),
        real = real.display(),
    );
    let at = dir.join(word);
    fs::write(&at, script).unwrap();
    fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn exit_0_is_no_evidence_that_anything_came() {
    for tool in BOTH {
        let place = place();
        let docs = &place.docs;
        let vault = Vault::new(tool);
        vault.back_up(docs, "first");
        let (mut desk, copy) = vault.desk(docs);
        let before = picture(docs);
        for (afterwards, wanted) in [
            ("find . -name two.bin -delete", "not all of it came"),
            ("for f in $(find . -name two.bin); do : >$f; done", "not all of it came"),
            ("rm -rf ./*", "nothing came"),
            ("ln -s /etc/passwd $(dirname $(find . -name one.txt))/more", "which is absolute"),
        ] {
            let dir = liar(&vault, afterwards);
            let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
            desk.ctx.tool_path = Some(path.into());
            let planned = desk.plan(&restore_of(&copy));
            let ended = desk.execute(planned);
            assert!(ended.error().contains(wanted), "{tool:?} {afterwards}: {}", ended.error());
            untouched(&ended, docs, &before);
            // The phase that looks first is not needed for that.
            let mut planned = desk.plan(&restore_of(&copy));
            planned.plan.phases.remove(0);
            let ended = desk.execute(planned);
            assert!(ended.error().contains(wanted), "{tool:?} {afterwards}: {}", ended.error());
            untouched(&ended, docs, &before);
        }
        liar(&vault, "true");
        let planned = desk.plan(&restore_of(&copy));
        assert!(!serde_json::to_string(&planned.plan).unwrap().contains(PASSWORD));
        desk.execute(planned).verified();
        let told = fs::read_to_string(vault.dir.path().join("liar/args")).unwrap();
        assert!(told.contains("first") || told.contains("snapshots") || told.contains("restore"), "{told}");
        assert!(!told.contains(PASSWORD), "a password among the arguments:\n{told}");
    }
}

#[test]
fn a_link_out_of_the_folder_in_a_repository_is_refused() {
    for tool in BOTH {
        let place = place();
        let docs = &place.docs;
        symlink("../../../etc", docs.join("out")).unwrap();
        let vault = Vault::new(tool);
        vault.back_up(docs, "first");
        fs::remove_file(docs.join("out")).unwrap();
        let (mut desk, copy) = vault.desk(docs);
        let before = picture(docs);
        let planned = desk.plan(&restore_of(&copy));
        let ended = desk.execute(planned);
        assert!(ended.error().contains("leads out of the folder"), "{}", ended.error());
        untouched(&ended, docs, &before);
    }
}

/// A key of age; returns its file and its public half.
fn key(dir: &Path, name: &str) -> (PathBuf, String) {
    let path = dir.join(name);
    let made = Command::new(program("age-keygen", "age")).arg("-o").arg(&path).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = fs::read_to_string(&path).unwrap();
    let public = text.lines().find_map(|l| l.strip_prefix("# public key: ")).unwrap().to_owned();
    (path, public)
}

#[test]
fn an_encrypted_archive_needs_its_key_and_its_end() {
    let place = place();
    let docs = &place.docs;
    let good = picture(docs);
    let mut desk = Desk::folder(docs, 0, &[]);
    let keys = scratch();
    let ((right, public), (wrong, _)) = (key(keys.path(), "right"), key(keys.path(), "wrong"));
    let archive = keys.path().join("docs.tar.zst");
    let tar = Command::new("tar").args(["--zstd", "-cf"]).arg(&archive).arg("-C").arg(docs).arg(".").status();
    assert!(tar.unwrap().success());
    for armor in [false, true] {
        let path = desk.copy_path("docs.tar.zst.age");
        let mut age = Command::new(program("age", "age"));
        if armor {
            age.arg("-a");
        }
        assert!(age.args(["-r", &public, "-o"]).arg(&path).arg(&archive).status().unwrap().success());
        desk.list("docs.tar.zst.age");
        let copy = "docs.tar.zst.age";
        desk.configure_folder(|f| f.identity = None);
        refused(&mut desk, copy, "copy readable", "set `identity`");
        desk.configure_folder(|f| f.identity = Some("/no/such/key".into()));
        refused(&mut desk, copy, "copy readable", "/no/such/key cannot be read");
        desk.configure_folder(|f| f.identity = Some(wrong.clone()));
        refused(&mut desk, copy, "copy readable", "was not encrypted for the key in");
        crate::folders::fails(&mut desk, docs, copy, "was not encrypted for the key in");
        desk.configure_folder(|f| f.identity = Some(right.clone()));
        let restored = desk.run(&restore_of(copy));
        assert_eq!(picture(Path::new(&restored.side().name)), good);
        desk.run(&Work::Drop { of: restored.id.clone() }).verified();
        let whole = fs::read(&path).unwrap();
        for end in [whole.len() / 2, whole.len() - 5] {
            fs::write(&path, &whole[..end]).unwrap();
            desk.list(copy);
            refused(&mut desk, copy, "copy readable", "");
            let before = picture(docs);
            let planned = desk.plan(&restore_of(copy));
            for skip_check in [false, true] {
                let mut planned =
                    mayday::recovery::plan::Planned { plan: planned.plan.clone(), secrets: planned.secrets.clone() };
                if skip_check {
                    planned.plan.phases.remove(0);
                }
                let ended = desk.execute(planned);
                assert!(!ended.error().is_empty());
                untouched(&ended, docs, &before);
            }
        }
    }
}

#[test]
fn the_catalogue_knows_when_each_copy_was_made_of_what_and_how_large_it_is() {
    for tool in BOTH {
        let place = place();
        let docs = &place.docs;
        let vault = Vault::new(tool);
        vault.back_up(docs, "a-1");
        vault.back_up(docs, "b-1");
        let mut config = vault.source();
        let backup = |source: &VaultSource| mayday::config::Backup {
            name: "full".into(),
            service: None,
            rpo: Some(Duration::from_secs(3600)),
            every: None,
            grace: None,
            head_start: None,
            warm_up: Vec::new(),
            smoke: Vec::new(),
            source: BackupSource::Vault(Box::new(source.clone())),
            restore: None,
        };
        let list =
            |source: &VaultSource| mayday::backup::source_of(&backup(source)).list(10, &Default::default()).unwrap();
        let all = list(&config);
        assert_eq!((all.count, all.copies.len()), (2, 2));
        let newest = &all.copies[0].found;
        let age = mayday::sys::clock::now_ms() - newest.copy.taken_at.ms();
        assert!((0..120_000).contains(&age), "{tool:?}: {age}");
        match tool {
            VaultTool::Restic => {
                assert!(newest.copy.size >= 300_000, "{:?}", newest.copy);
                assert!(newest.copy.format.contains("web1"), "{:?}", newest.copy);
                config.tags = vec!["a-1".into()];
            }
            VaultTool::Borg => {
                assert!(newest.unsized_ && newest.copy.size == 0);
                assert_eq!(newest.copy.id, "b-1");
                config.archives = Some("a-*".into());
            }
        }
        // Known size or not, it is judged as any other copy.
        let listing = mayday::domain::backup::Listing {
            scanned_at: Some(mayday::domain::Time::from_ms(mayday::sys::clock::now_ms())),
            copies: all.copies.iter().map(|s| s.found.clone()).collect(),
            count: 2,
            ..Default::default()
        };
        let now = mayday::domain::Time::from_ms(mayday::sys::clock::now_ms());
        let judged = mayday::domain::backup::judge(&listing, &mayday::backup::rules_of(&backup(&config)), now);
        assert_eq!(judged.state, mayday::domain::backup::BackupState::Fresh, "{}", judged.detail);
        assert_eq!(list(&config).count, 1, "{tool:?}: the filter");
    }
}
