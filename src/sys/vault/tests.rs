use super::fault::{Fault, FaultKind};
use super::*;
use crate::sys::proc::End;

/// What restic 0.14.0, 0.16 and 0.17 and borg 1.2.4 and 1.4 say.
#[test]
fn faults_are_told_apart_whatever_the_exit_code() {
    use FaultKind::{Copy, Locked, Missing, Other, Password, Repository, Unreachable};
    use VaultTool::{Borg, Restic};
    let borg = |id: &str, message: &str| {
        format!(
            r#"{{"type": "log_message", "time": 1.0, "message": "{message}", "levelname": "ERROR", "name": "borg.archiver", "msgid": "{id}"}}"#
        )
    };
    for (tool, code, said, wanted) in [
        (Restic, 1, "Fatal: wrong password or no key found\n".to_owned(), Password),
        (Restic, 12, "Fatal: something of a later version\n".into(), Password),
        (Restic, 1, "Fatal: unable to open config file: stat /r/config: no such file or directory\nIs there a repository at the following location?\n/r\n".into(), Repository),
        (Restic, 10, "Fatal: repository does not exist: unable to open config file\n".into(), Repository),
        (Restic, 1, "unable to create lock in backend: repository is already locked exclusively by PID 9 on web1 by root\n".into(), Locked),
        (Restic, 11, "Fatal: whatever\n".into(), Locked),
        (Restic, 1, "subprocess ssh: ssh: Could not resolve hostname x: Name or service not known\nFatal: unable to open repository at sftp:x:/r: unable to start the sftp session, error: EOF\n".into(), Unreachable),
        (Restic, 1, "{\"message_type\":\"exit_error\",\"code\":1,\"message\":\"Fatal: no matching ID found for prefix \\\"ab\\\"\"}\n".into(), Copy),
        (Restic, 1, "panic: oh\n".into(), Other),
        (Borg, 2, borg("PassphraseWrong", "passphrase supplied is incorrect."), Password),
        (Borg, 52, borg("PassphraseWrong", "passphrase supplied is incorrect."), Password),
        (Borg, 2, borg("Repository.DoesNotExist", "Repository /r does not exist."), Repository),
        (Borg, 2, borg("Repository.InvalidRepository", "/r is not a valid repository."), Repository),
        (Borg, 2, borg("LockTimeout", "Failed to create/acquire the lock /r/lock.exclusive (timeout)."), Locked),
        (Borg, 2, borg("Archive.DoesNotExist", "Archive nope does not exist"), Copy),
        (Borg, 2, borg("ConnectionClosedWithHint", "Connection closed by remote host."), Unreachable),
        (Borg, 2, "Traceback\nValueError: x\n".into(), Other),
    ] {
        let fault = Fault::of(tool, &End::Exited(code), &said);
        assert_eq!(fault.kind, wanted, "{fault}");
        assert!(fault.to_string().contains("says: "), "{fault}");
    }
    assert_eq!(Fault::of(Borg, &End::NotFound, "").kind, Missing);
    assert!(Fault::of(Restic, &End::NotFound, "").to_string().contains("install restic"));
}

#[test]
fn listings_of_several_versions_are_read() {
    let found = restic::snapshots(include_str!("samples/restic-snapshots.json")).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!((found[0].short.as_str(), found[0].host.as_str(), found[0].size), ("085577b9", "vm", None));
    assert_eq!(found[0].at_ms, 1_795_177_422_915);
    assert_eq!(found[2].paths, ["/srv/demo/files/src/conf"]);
    assert_eq!(restic::snapshots("[]").unwrap(), []);
    assert_eq!(restic::snapshots("null\n").unwrap(), []);
    let later =
        r#"[{"time":"2026-11-20T13:00:00+01:00","id":"ab","summary":{"total_bytes_processed":7,"x":1},"new":[]}]"#;
    let found = restic::snapshots(later).unwrap();
    assert_eq!((found[0].size, found[0].at_ms), (Some(7), 1_795_176_000_000));
    for bad in ["", "{}", r#"[{"id":"ab"}]"#, r#"[{"id":"ab","time":"yesterday"}]"#] {
        assert!(restic::snapshots(bad).is_err(), "{bad}");
    }
    let found = borg::archives(include_str!("samples/borg-list.json")).unwrap();
    assert_eq!((found.len(), found[0].id.as_str()), (3, "app-2026-11-20T01:00:00"));
    assert_eq!(found[0].at_ms, 1_795_177_477_000, "times without a zone are UTC");
    let later = r#"{"archives":[{"id":"1","name":"a","time":"2026-11-20T13:00:00.000000+01:00"}],"x":1}"#;
    assert_eq!(borg::archives(later).unwrap()[0].at_ms, 1_795_176_000_000);
    assert!(borg::archives(r#"{"archives":[{"id":"1","name":"a"}]}"#).is_err());
}

#[test]
fn names_in_copies_are_read_one_by_one() {
    assert!(restic::node(r#"{"time":"x","struct_type":"snapshot"}"#).is_none());
    let n = restic::node(r#"{"name":"f","type":"file","path":"/a/f","uid":0,"gid":0,"size":3,"struct_type":"node"}"#);
    let n = n.unwrap().unwrap();
    assert_eq!((n.path.as_str(), n.kind.as_str(), n.size), ("/a/f", "file", 3));
    let line = r#"{"type": "-", "mode": "hrw-r--r--", "path": "a/f", "healthy": true, "source": "a/b", "linktarget": "a/b", "flags": 0, "size": 0}"#;
    let i = borg::item(line).unwrap().unwrap();
    assert_eq!((i.kind, i.target.as_str()), ('h', "a/b"));
    let odd = r#"{"type": "-", "mode": "-rw", "path": "a/\udce4\\udc", "linktarget": "", "size": 1}"#;
    assert_eq!(borg::item(odd).unwrap().unwrap().path, "a/\u{fffd}\\udc");
    assert!(borg::item(r#"{"type": "log_message", "levelname": "INFO", "path": "x"}"#).is_none());
    assert_eq!(
        borg::progress(
            r#"{"message": " 0%", "current": 3, "total": 7, "type": "progress_percent", "finished": false}"#
        ),
        Some(Progress::Bytes(3, 7))
    );
    assert_eq!(restic::progress(r#"{"message_type":"status","total_bytes":9,"bytes_restored":4}"#), Some((4, 9)));
}

#[test]
fn secrets_are_in_the_environment_and_nowhere_else() {
    let access = Access {
        tool: VaultTool::Restic,
        program: "restic".into(),
        repository: "rest:https://u:pl4nt@h/".to_owned().into(),
        password: Some("pl4nt".to_owned().into()),
        env: vec![("AWS_SECRET_ACCESS_KEY".into(), "pl4nt".to_owned().into())],
    };
    for tool in [VaultTool::Restic, VaultTool::Borg] {
        let access = Access { tool, ..access.clone() };
        assert!(!format!("{access:?} {:?}", access.ask(&[], Duration::ZERO)).contains("pl4nt"));
        let all = [access.list_args("id", "/a"), access.restore_args("id", "/a", &["/a/x[1]*".into()], "/t")].concat();
        assert!(!all.join(" ").contains("pl4nt"));
        assert_eq!(access.environment().iter().filter(|(_, v)| v.contains("pl4nt")).count(), 3);
    }
    assert!(access.restore_args("id", "/a", &["/a/x[1]*".into()], "/t").contains(&"--include=/a/x\\[1]\\*".to_owned()));
    let borg = Access { tool: VaultTool::Borg, ..access };
    assert_eq!(
        borg.restore_args("n", "srv/docs", &["srv/docs/a".into()], "/t").iter().rev().take(3).collect::<Vec<_>>(),
        ["pp:srv/docs/a", "::n", "--strip-components=1"]
    );
}
