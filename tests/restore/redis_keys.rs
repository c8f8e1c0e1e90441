//! Redis: single keys come back into the live data, and go again.

use mayday::domain::run::{Checked, SideRole, Work};

use crate::kit::{Desk, check, restore_of};
use crate::redis::{beside, configure, desk, fill, save, sweep};
use crate::support::Redis;

/// Twenty keys of which in the live data five are gone and five differ.
fn start(replace: bool) -> (Redis, Desk, String) {
    let server = Redis::start(&[]);
    let mut desk = desk(&server);
    fill(&server, 20);
    server.cli(&["expire", "key:1", "5000"]);
    server.cli(&["-n", "3", "set", "key:other", "db3"]);
    let copy = save(&server, &mut desk, "good.rdb");
    server.cli(&["del", "key:1", "key:2", "key:3", "key:4", "key:5"]);
    for n in 6..=10 {
        server.cli(&["set", &format!("key:{n}"), "changed", "ex", "900"]);
    }
    server.cli(&["set", "mine", "1"]);
    configure(&mut desk, |r| {
        r.keys = vec!["key:*".into()];
        r.replace = replace;
    });
    (server, desk, copy)
}

fn keys(server: &Redis) -> Vec<String> {
    (1..=10).map(|n| server.cli(&["get", &format!("key:{n}")])).collect()
}

#[test]
fn conflicts_are_counted_and_skipped() {
    let (server, mut desk, copy) = start(false);
    let _sweep = sweep(&desk);
    let before = keys(&server);
    let restored = desk.run(&restore_of(&copy));
    let side = desk.plan(&restore_of(&copy)).plan;
    assert!(side.data_lost_ms.is_none() && side.effects.iter().any(|e| e.contains("only keys like")), "{side:#?}");
    let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
    assert_eq!(planned.plan.data_lost_ms, None, "what was written beside these keys stays");
    let (result, said) = check(&planned.plan, "keys");
    assert_eq!(result, Checked::Warned);
    assert_eq!(said, "5 are added, 11 are the same, 5 differ in the live data and are left as they are");
    let over = desk.execute(planned);
    let said = over.verified();
    assert!(said.contains("5 keys added, 5 differing ones left as they are, 11 were the same"), "{said}");
    assert_eq!(keys(&server), ["1", "2", "3", "4", "5", "changed", "changed", "changed", "changed", "changed"]);
    assert_eq!(server.cli(&["get", "mine"]), "1");
    let ttl: i64 = server.cli(&["ttl", "key:1"]).parse().unwrap();
    assert!((4900..=5000).contains(&ttl) && server.cli(&["ttl", "key:2"]) == "-1", "{ttl}");
    assert_eq!(over.side().role, SideRole::Before);

    // What somebody changed since is theirs.
    server.cli(&["set", "key:2", "theirs"]);
    let undone = desk.run(&Work::Undo { of: over.id });
    assert!(
        undone.verified().contains("4 keys removed again, 0 have what they had, 1 were changed"),
        "{}",
        undone.verified()
    );
    let mut expected = before;
    expected[1] = "theirs".into();
    assert_eq!(keys(&server), expected);
    desk.run(&Work::Drop { of: restored.id }).verified();
    assert_eq!(beside(&desk), Vec::<String>::new());
}

#[test]
fn conflicts_are_replaced_and_put_back() {
    let (server, mut desk, copy) = start(true);
    let _sweep = sweep(&desk);
    let before = keys(&server);
    let restored = desk.run(&restore_of(&copy));
    let over = desk.run(&Work::CutOver { of: restored.id });
    assert!(over.verified().contains("5 keys added, 5 replaced, 11 were the same"), "{}", over.verified());
    assert_eq!(keys(&server), ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    let undone = desk.run(&Work::Undo { of: over.id });
    assert!(undone.verified().contains("5 keys removed again, 5 have what they had, 0 were"), "{}", undone.verified());
    assert_eq!(keys(&server), before);
    let ttl: i64 = server.cli(&["ttl", "key:6"]).parse().unwrap();
    assert!((800..=900).contains(&ttl), "{ttl}");
}

#[test]
fn a_broken_run_leaves_the_keys_as_they_were() {
    let (server, mut desk, copy) = start(true);
    let _sweep = sweep(&desk);
    let before = keys(&server);
    let restored = desk.run(&restore_of(&copy));
    for at in ["compensation opened", "bringing keys back"] {
        let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
        let open = crate::kit::killed_at(&desk, &planned, at).expect("something to take back");
        let (ctx, _) = desk.op_context(&planned);
        desk.op(&open.op, &open.args, &ctx).unwrap();
        desk.op(&open.op, &open.args, &ctx).unwrap();
        assert_eq!(keys(&server), before, "{at}");
        assert_eq!(beside(&desk).len(), 1, "{at}: {:?}", beside(&desk));
    }
    desk.run(&Work::CutOver { of: restored.id }).verified();
}
