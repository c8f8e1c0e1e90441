//! Which file, which state folder, and files that cannot be loaded.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mayday::config::{self, Candidate, Env, Located};

fn write(path: &Path, text: &str) -> PathBuf {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    path.to_owned()
}

fn named(system: &str) -> String {
    format!("[system]\nname = \"{system}\"\n")
}

/// Surroundings below a temporary folder.
fn env(root: &Path) -> Env {
    for folder in ["cwd", "home", "etc"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    Env { home: Some(root.join("home")), cwd: root.join("cwd"), etc: root.join("etc"), ..Env::default() }
}

#[test]
fn the_first_place_that_has_one_decides() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut env = env(root);
    let missing = config::find_in(None, &env).unwrap_err();
    assert_eq!(
        missing.searched,
        [root.join("cwd/mayday.toml"), root.join("home/.config/mayday/*.toml"), root.join("etc/mayday/*.toml")]
    );
    assert!(missing.to_string().contains("mayday init"));
    assert!(missing.unreadable.is_empty());
    // A folder that is there and cannot be looked into is not passed over in silence.
    std::os::unix::fs::symlink("mayday", root.join("etc/mayday")).unwrap();
    let missing = config::find_in(None, &env).unwrap_err();
    assert_eq!(missing.unreadable.len(), 1);
    assert!(missing.to_string().contains("etc/mayday cannot be looked into: "), "{missing}");
    std::fs::remove_file(root.join("etc/mayday")).unwrap();

    let one = |path: &Path| Ok(Located::One(path.to_owned()));
    let in_etc = write(&root.join("etc/mayday/a.toml"), &named("a"));
    assert_eq!(config::find_in(None, &env), one(&in_etc));
    let in_home = write(&root.join("home/.config/mayday/b.toml"), &named("b"));
    assert_eq!(config::find_in(None, &env), one(&in_home));
    env.xdg_config_home = Some(root.join("xdg").into());
    assert_eq!(config::find_in(None, &env), one(&in_etc), "the variable moves the folder");
    let in_xdg = write(&root.join("xdg/mayday/c.toml"), &named("c"));
    assert_eq!(config::find_in(None, &env), one(&in_xdg));
    env.xdg_config_home = Some("relative".into());
    assert_eq!(config::find_in(None, &env), one(&in_home), "a relative XDG variable does not count");
    let here = write(&root.join("cwd/mayday.toml"), &named("d"));
    assert_eq!(config::find_in(None, &env), one(&here));
    let by_variable = write(&root.join("e.toml"), &named("e"));
    env.mayday_config = Some("../e.toml".into());
    assert_eq!(config::find_in(None, &env), one(&root.join("cwd/../e.toml")));
    assert_eq!(config::find_in(Some(&here), &env), one(&here), "--config wins over the variable");
    assert_eq!(config::find_in(Some(&root.join("etc/mayday")), &env), one(&in_etc), "a folder may be named");
    drop(by_variable);

    // What is named and not there is not replaced by something else.
    let gone = config::find_in(Some(Path::new("nope.toml")), &env).unwrap_err();
    assert_eq!(gone.searched, [root.join("cwd/nope.toml")]);
    env.mayday_config = Some("/nope/either.toml".into());
    assert_eq!(config::find_in(None, &env).unwrap_err().searched, [PathBuf::from("/nope/either.toml")]);
}

#[test]
fn several_systems_are_listed_and_other_files_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let env = env(root);
    let folder = root.join("home/.config/mayday");
    write(&folder.join("keymap.toml"), "[global]\n\"?\" = \"help.open\"\n");
    write(&folder.join("notes.txt"), "not me");
    std::fs::create_dir_all(folder.join("themes.toml")).unwrap();
    assert!(config::find_in(None, &env).is_err(), "a keymap alone is no configuration");
    let b = write(&folder.join("b.toml"), &named("shop\\u0007"));
    assert_eq!(config::find_in(None, &env), Ok(Located::One(b.clone())));
    let a = write(&folder.join("a.toml"), "[system]\nname = oops");
    let c = write(&folder.join("c.toml"), "\u{0}");
    let found = config::find_in(None, &env).unwrap();
    let candidate =
        |path: &Path, system: Option<&str>| Candidate { path: path.into(), system: system.map(str::to_owned) };
    // A broken one is listed, so that its faults are told and not its absence.
    let wanted = vec![candidate(&a, Some("oops")), candidate(&b, Some("shop·")), candidate(&c, None)];
    assert_eq!(found, Located::Several(wanted));
}

#[test]
fn the_state_folder_is_where_the_documentation_says() {
    let mut config = config::parse(&named("shop"), Path::new("/etc/mayday/shop.toml")).unwrap();
    let mut env = Env { home: Some("/home/ann".into()), cwd: "/home/ann/shop".into(), ..Env::default() };
    assert_eq!(config::state_dir(&config, &env), Path::new("/home/ann/.local/state/mayday/shop"));
    env.xdg_state_home = Some("/state".into());
    assert_eq!(config::state_dir(&config, &env), Path::new("/state/mayday/shop"));
    config.engine.state_dir = Some("/var/lib/mayday".into());
    assert_eq!(config::state_dir(&config, &env), Path::new("/var/lib/mayday"));
    env.mayday_state_dir = Some("here".into());
    assert_eq!(config::state_dir(&config, &env), Path::new("/home/ann/shop/here"));
    // A broken file still says where its record is.
    let dir = tempfile::tempdir().unwrap();
    let env = Env { home: Some("/home/ann".into()), ..Env::default() };
    for (text, wanted) in [
        ("[system]\nname = \"shop\"\nevery = 10s\n", Some(PathBuf::from("/home/ann/.local/state/mayday/shop"))),
        ("[system]\nname = shop\n[engine]\nstate_dir = \"/srv/x\"\n", Some(PathBuf::from("/srv/x"))),
        ("[engine]\nstate_dir = \"state\"\n", Some(dir.path().join("state"))),
        ("[[service]]\n", None),
    ] {
        let path = write(&dir.path().join("broken.toml"), text);
        assert!(config::load(&path).is_err());
        assert_eq!(config::state_dir_of_broken(&path, &env), wanted, "{text}");
    }
    // A name that was never checked leads nowhere else.
    let env = Env { home: Some("/home/ann".into()), ..Env::default() };
    for name in ["..", ".", "", "../../etc"] {
        let dir = config::state_dir_of(name, None, &env);
        assert_eq!(dir.parent(), Some(Path::new("/home/ann/.local/state/mayday")), "{name}: {}", dir.display());
    }
}

#[test]
fn what_cannot_be_loaded_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let told = |path: &Path| {
        let faults = config::load(path).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        let fault = faults.into_iter().next().unwrap();
        (fault.line, fault.to_string())
    };
    let (line, text) = told(&dir.path().join("nope.toml"));
    assert_eq!(line, 0);
    assert!(text.contains("nope.toml: cannot be opened: No such file") && text.contains("mayday init"), "{text}");
    let (_, text) = told(dir.path());
    assert!(text.contains("is not a file"), "{text}");
    let latin = dir.path().join("latin.toml");
    std::fs::write(&latin, b"[system]\nname = \"caf\xe9\"\n").unwrap();
    let (line, text) = told(&latin);
    assert_eq!(line, 2);
    assert!(text.contains("not UTF-8"), "{text}");
    let (faults, source) = config::load_with_source(&latin).unwrap_err();
    assert!(config::render(&faults, &source, false).contains("latin.toml:2:12"));
}

#[test]
fn the_digest_says_whether_a_save_changed_anything() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&dir.path().join("a.toml"), &named("shop"));
    let first = config::load(&path).unwrap().digest;
    assert_eq!(first, config::digest(named("shop").as_bytes()));
    assert_eq!(first, config::load(&path).unwrap().digest);
    write(&path, &format!("{}# a word\n", named("shop")));
    assert_ne!(first, config::load(&path).unwrap().digest);
}

#[test]
fn a_secret_in_the_open_needs_a_file_that_others_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.toml");
    let text = named("shop")
        + "[[service]]\nname = \"db\"\n[[service.postgres]]\ndsn = \"postgres://u:sekrit1@h/db\"\n\
           [[service.redis]]\nurl = \"redis://h\"\npassword = \"sekrit2\"\n\
           [[service.http]]\nurl = \"https://h/?token=sekrit3\"\nheaders = { Authorization = \"Bearer sekrit4\", Accept = \"text/plain\" }\n\
           [[service.exec]]\nrun = [\"/bin/true\"]\nenv = { API_TOKEN = \"sekrit5\", LANG = \"C\" }\n\
           [[channel]]\nname = \"c\"\nslack = { webhook = \"https://hooks.slack.com/services/sekrit6\" }\n\
           [[backup]]\nname = \"v\"\nrpo = \"1h\"\n[backup.restic]\nrepository = \"rest:https://u:sekrit7@h/v\"\n\
           password = \"sekrit8\"\nenv = { AWS_SECRET_ACCESS_KEY = \"sekrit9\" }\n";
    std::fs::write(&path, &text).unwrap();
    for (mode, fine) in [(0o600, true), (0o640, true), (0o644, false), (0o604, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        match config::load(&path) {
            Ok(config) => {
                assert!(fine, "{mode:o}");
                let shown = format!("{config:?}{}", config::effective(&config));
                assert!(!shown.contains("sekrit"), "{shown}");
                assert!(shown.contains("postgres://u:***@h/db"));
            }
            Err(faults) => {
                assert!(!fine, "{mode:o} {faults:?}");
                assert_eq!(faults.iter().map(|f| f.line).collect::<Vec<_>>(), [6, 9, 11, 12, 15, 18, 23, 24, 25]);
                assert!(faults.iter().all(|f| f.message.contains("everybody on this host can read")));
                let shown =
                    faults.iter().map(ToString::to_string).collect::<String>() + &config::render(&faults, &text, false);
                assert!(!shown.contains("sekrit"), "{shown}");
            }
        }
    }
    // References and plain addresses are no secrets.
    let open = write(&dir.path().join("b.toml"), &std::fs::read_to_string(crate::repo("config/mayday.toml")).unwrap());
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    config::load(&open).unwrap();
}
