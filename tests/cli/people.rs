//! Who acts: the real user at the other end of the socket. These tests need root, to be somebody else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::support::{Cockpit, can_be_others, cockpit, program, scratch};

const NOBODY: u32 = 65534;

/// mayday as `nobody`, in group `gid`, with nothing of root's left.
fn as_nobody(gid: u32, home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program("setpriv", "util-linux"));
    command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={gid}")).arg("--clear-groups").arg("--");
    command.arg(super::support::home::mayday_binary()).args(args);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home).env("USER", "root").current_dir("/");
    command.stdin(std::process::Stdio::null());
    command
}

fn group() -> (String, u32) {
    let file = std::fs::read_to_string("/etc/group").unwrap();
    let line = file.lines().find(|l| l.starts_with("games:") || l.starts_with("users:")).expect("a usual group");
    let mut parts = line.split(':');
    (parts.next().unwrap().to_owned(), parts.nth(1).unwrap().parse().unwrap())
}

#[test]
fn another_user_is_refused_by_a_private_engine() {
    can_be_others();
    let shop = Cockpit::new("[system]\nname = \"shop\"\n");
    shop.start();
    let state = shop.state();
    let dir = state.to_str().unwrap();
    let theirs = scratch();
    std::fs::set_permissions(theirs.path(), PermissionsExt::from_mode(0o777)).unwrap();
    // Everything on the way is closed.
    let ran = cockpit::run(as_nobody(NOBODY, theirs.path(), &["note", "x", "--state-dir", dir]));
    assert!(ran.code == 1 || ran.code == 3, "{ran:#?}");
    assert!(ran.err.to_lowercase().contains("permission denied") && ran.err.contains(dir), "{ran:#?}");
    // Even where somebody opened the folders, the engine itself refuses.
    let socket = mayday::wire::client::EngineFile::read(&state).unwrap().unwrap().socket;
    let mut folder = Some(socket.parent().unwrap());
    while let Some(at) = folder.filter(|f| f.starts_with(shop.home.path())) {
        std::fs::set_permissions(at, PermissionsExt::from_mode(0o755)).unwrap();
        folder = at.parent();
    }
    for at in [shop.home.path().join("state"), shop.home.state(), state.clone()] {
        std::fs::set_permissions(at, PermissionsExt::from_mode(0o755)).unwrap();
    }
    std::fs::set_permissions(state.join("engine.json"), PermissionsExt::from_mode(0o644)).unwrap();
    let ran = cockpit::run(as_nobody(NOBODY, theirs.path(), &["note", "x", "--state-dir", dir])).expect(1);
    assert!(ran.err.contains("may not be used by you"), "{ran:#?}");
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
    let ran = cockpit::run(as_nobody(NOBODY, theirs.path(), &["note", "x", "--state-dir", dir])).expect(3);
    assert!(ran.err.contains("belongs to another user") && ran.err.contains("[engine] group"), "{ran:#?}");
    assert!(!shop.entries().iter().any(|e| e["kind"] == "note.added"));
}

#[test]
fn through_a_shared_engine_everybody_is_who_they_are() {
    can_be_others();
    let (group, gid) = group();
    // Not below a private home: members of the group must get there.
    let open = scratch();
    std::fs::set_permissions(open.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let config = open.path().join("mayday.toml");
    let state = open.path().join("state");
    let text = format!(
        "[system]\nname = \"shop\"\n[engine]\ngroup = \"{group}\"\nstate_dir = \"{}\"\n\
         [[action]]\nname = \"who\"\nrisk = \"observe\"\nrun = [\"id\", \"-un\"]\n",
        state.display()
    );
    std::fs::write(&config, text).unwrap();
    let shop = Cockpit::new("[system]\nname = \"shop\"\n");
    let config = config.to_str().unwrap();
    let mut service = shop.home.mayday(&["engine", "start", "--config", config]);
    service.stdin(std::process::Stdio::null());
    cockpit::run(service).ok();
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&state), 0o2750);
    assert_eq!(mode(&state.join("journal.jsonl")), 0o640);
    let theirs = scratch();
    std::fs::set_permissions(theirs.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let member = |args: &[&str]| {
        let mut args = args.to_vec();
        args.extend(["--config", config]);
        cockpit::run(as_nobody(gid, theirs.path(), &args))
    };
    let seq = member(&["note", "by a member"]).ok().line();
    let entry = member(&["journal", "tail", "--json"]).ok();
    let entry: serde_json::Value = entry
        .out
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap())
        .find(|e| e["seq"].as_u64() == seq.parse().ok())
        .expect("the note");
    assert_eq!(entry["actor"]["user"], "nobody", "not what USER claims: {entry:#}");
    assert_eq!(entry["actor"]["uid"], NOBODY);
    // What it runs, runs as the service account.
    member(&["act", "who", "--wait"]).expect(5);
    let runs = member(&["runs", "--json"]).ok().json();
    assert_eq!(runs[0]["requested_by"], "nobody", "{runs:#}");
    let id = runs[0]["id"].as_str().unwrap().to_owned();
    assert!(member(&["runs", "show", &id]).out.contains("root"));
    assert!(std::fs::File::options().append(true).open(state.join("journal.jsonl")).is_ok(), "root may");
    let write = as_nobody(gid, theirs.path(), &[]).get_program().to_owned();
    let mut touch = Command::new(write);
    touch.args([&format!("--reuid={NOBODY}"), &format!("--regid={gid}"), "--clear-groups", "--", "touch"]);
    assert!(!touch.arg(state.join("theirs")).status().unwrap().success(), "nobody but the engine writes the folder");
    // Somebody outside of the group stays out.
    let mut args = vec!["note", "not mine"];
    args.extend(["--config", config]);
    let out = cockpit::run(as_nobody(NOBODY, theirs.path(), &args));
    assert!(out.code == 1 || out.code == 3, "{out:#?}");
    assert!(!out.err.contains("panicked"), "{out:#?}");
}
