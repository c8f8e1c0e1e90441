use std::collections::BTreeMap;
use std::path::PathBuf;

use mayday::config::{CheckKind, HostCheck};
use mayday::domain::health::{Outcome, Reason};

use crate::{check, env, fact, fails, is, look};

#[tokio::test]
async fn this_host_is_described() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let result = look(CheckKind::Host(HostCheck {
        memory_below: Some(100),
        swap_below: Some(100),
        cpu_below: Some(100),
        load_below: Some(100_000.0),
        disk_below: BTreeMap::from([(path.clone(), 100)]),
        inodes_below: BTreeMap::from([(path.clone(), 100)]),
        writable: vec![dir.path().to_owned()],
        exists: vec![dir.path().to_owned()],
        fail: false,
    }))
    .await;
    is(&result, Outcome::Ok, None, &["memory ", "load ", "cpu "]);
    assert!(fact(&result, "memory").contains(" % of "), "{}", fact(&result, "memory"));
    assert!(fact(&result, &format!("disk {path}")).contains(" free"));
    assert!(fact(&result, "cpu").ends_with(" %"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn thresholds_warn_or_fail_as_asked() {
    let over = |fail| HostCheck { memory_below: Some(0), load_below: Some(-1.0), fail, ..HostCheck::default() };
    let result = look(CheckKind::Host(over(false))).await;
    is(&result, Outcome::Warn, Some(Reason::Limit), &["memory ", "used, over 0 %", "; load "]);
    fails(&look(CheckKind::Host(over(true))).await, Reason::Limit, &["over 0 %"]);
    let disk = HostCheck { disk_below: BTreeMap::from([("/".into(), 0)]), ..HostCheck::default() };
    is(&look(CheckKind::Host(disk)).await, Outcome::Warn, Some(Reason::Limit), &["disk / "]);
}

#[tokio::test]
async fn folders_that_are_missing_or_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let check = |writable: Vec<PathBuf>, exists: Vec<PathBuf>| {
        CheckKind::Host(HostCheck { writable, exists, ..HostCheck::default() })
    };
    fails(&look(check(vec![], vec![missing.clone()])).await, Reason::Missing, &["missing does not exist"]);
    fails(&look(check(vec![missing.clone()], vec![])).await, Reason::Assertion, &["missing is not writable"]);
    fails(&look(check(vec!["/proc".into()], vec![])).await, Reason::Assertion, &["/proc is not writable"]);
    let disk = HostCheck { disk_below: BTreeMap::from([(missing.display().to_string(), 90)]), ..HostCheck::default() };
    fails(&look(CheckKind::Host(disk)).await, Reason::Missing, &["asking for the space of"]);
}

#[test]
fn a_check_of_nothing_is_refused() {
    let Err(why) = mayday::probe::prepare(&check(CheckKind::Host(HostCheck::default())), &env()) else { panic!() };
    assert!(why.contains("no threshold"), "{why}");
}
