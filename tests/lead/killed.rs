//! The real binary, killed between levels and between a level and its message: each level is called exactly once.

use std::collections::BTreeMap;

use crate::support::{Answer, Cockpit, HttpScript, PATIENCE, wait_for_some};

const LEVELS: [&str; 4] = ["one", "two", "three", "four"];

fn config(hook: &str) -> String {
    let mut out = format!(
        "[system]\nname = \"shop\"\n[severity.P0]\nescalate = [\"one\", \"two\", \"three\", \"four\"]\n\
         escalate_after = \"1500ms\"\n[[channel]]\nname = \"hook\"\nwebhook = {{ url = \"{hook}\" }}\n"
    );
    for level in LEVELS {
        out.push_str(&format!("[[contact]]\nname = \"c-{level}\"\nlevels = [\"{level}\"]\nchannels = [\"hook\"]\n"));
    }
    out
}

fn entries(c: &Cockpit) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(c.state().join("journal.jsonl")).unwrap_or_default();
    text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// The payload of an entry, wherever this version of the format keeps it.
fn counted(c: &Cockpit, kind: &str) -> usize {
    entries(c).iter().filter(|e| e["kind"] == kind).count()
}

#[test]
fn each_level_is_called_once_however_often_the_engine_is_killed() {
    let server = HttpScript::start(vec![Answer::ok("fine")]);
    let c = Cockpit::new(&config(&server.url("/hook")));
    c.run(&["incident", "declare", "down", "--severity", "P0"]).ok();
    for n in 1..=4 {
        wait_for_some(&format!("level {n}"), PATIENCE, || (counted(&c, "incident.escalated") >= n).then_some(()));
        c.kill_engine();
        c.start();
    }
    wait_for_some("the end of the ladder", PATIENCE, || (counted(&c, "incident.unanswered") >= 1).then_some(()));
    wait_for_some("every message taken", PATIENCE, || {
        let accepted = entries(&c).iter().filter(|e| e["kind"] == "message.attempted").count();
        (accepted >= 4).then_some(())
    });
    c.kill_engine();
    c.start();
    c.run(&["note", "one more turn"]).ok();
    assert_eq!(counted(&c, "incident.escalated"), 4);
    assert_eq!(counted(&c, "incident.unanswered"), 1);
    assert_eq!(counted(&c, "message.queued"), 4);
    // A delivery that was cut short may be repeated: by its key the far end knows that it is the same.
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    for request in server.requests() {
        *keys.entry(request.header("idempotency-key").unwrap_or_default().to_owned()).or_default() += 1;
    }
    assert_eq!(keys.len(), 4, "{keys:?}");
    c.verify();
}

#[test]
fn a_level_whose_message_was_not_queued_yet_is_told_by_the_next_engine() {
    let server = HttpScript::start(vec![Answer::ok("fine")]);
    // Long enough that no second level is called meanwhile.
    let c = Cockpit::new(&config(&server.url("/hook")).replace("1500ms", "1h"));
    c.run(&["incident", "declare", "down", "--severity", "P0"]).ok();
    wait_for_some("told", PATIENCE, || (counted(&c, "message.attempted") >= 1).then_some(()));
    c.kill_engine();
    // As if the kill had come between the two entries.
    let path = c.state().join("journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut kept = 0;
    for line in text.split_inclusive('\n') {
        kept += line.len();
        if line.contains("\"incident.escalated\"") {
            break;
        }
    }
    assert!(kept < text.trim_end_matches('\0').len());
    std::fs::File::options().write(true).open(&path).unwrap().set_len(kept as u64).unwrap();
    c.start();
    wait_for_some("told again", PATIENCE, || (counted(&c, "message.attempted") >= 1).then_some(()));
    assert_eq!(counted(&c, "incident.escalated"), 1);
    assert_eq!(counted(&c, "message.queued"), 1);
}
