//! Every step from the keyboard is on record, further on: playbooks, recoveries, merging, putting off, calling, dropping.

use super::steps::{back, expect, palette};
use super::support::{PATIENCE, wait_until};
use super::{open, press_until_gone, shop};

const LED: &str = r#"
[[action]]
name = "look"
risk = "observe"
run = ["true"]
[[recovery]]
name = "short"
[[recovery.step]]
phase = "assess"
within = "1m"
action = "look"
[[playbook]]
name = "one"
title = "Slow"
[[playbook.step]]
name = "read"
manual = "the newest lines"
[[playbook.step]]
name = "restart"
restart = "api"
[[playbook.step]]
name = "home"
manual = "by bus"
"#;

#[test]
fn a_playbook_and_a_recovery_by_keys() {
    let shop = shop(LED);
    shop.run(&["incident", "declare", "slow", "--service", "api"]).ok();
    let mut pty = open(&shop, "DOWN     api");
    pty.send("p");
    pty.wait_for("starting one does nothing by itself");
    back(&pty);
    pty.send("p");
    pty.wait_for("starting one does nothing by itself");
    pty.send("\r");
    pty.wait_for("step 1 of 3");
    pty.send("\r");
    pty.wait_for("it may stay empty");
    back(&pty);
    pty.send("\r");
    pty.wait_for("it may stay empty");
    pty.send("an error line\r");
    pty.wait_for("step 2 of 3");
    pty.send("\r");
    pty.wait_for("Do it?");
    back(&pty);
    pty.send("\r");
    pty.wait_for("Do it?");
    press_until_gone(&pty, "y", "Do it?");
    pty.wait_for("step 3 of 3");
    pty.send("S");
    pty.wait_for("why is it passed over?");
    back(&pty);
    pty.send("S");
    pty.wait_for("why is it passed over?");
    pty.send("on foot\r");
    pty.wait_for("complete");
    pty.send("q");
    pty.wait_gone("complete");
    palette(&pty, "recover a whole", "short");
    back(&pty);
    palette(&pty, "recover a whole", "short");
    pty.send("\r");
    pty.wait_for("Do it?");
    press_until_gone(&pty, "y", "Do it?");
    wait_until("it is over", PATIENCE, || shop.entries().iter().any(|e| e["kind"] == "recovery.finished"));
    // The first may only close the recovery, which is shown whole as soon as its picture is there.
    pty.send("q");
    pty.send("q");
    pty.wait_exit(PATIENCE);
    expect(
        &shop,
        &[
            "= incident.declared",
            "opened the cockpit",
            "opened playbooks",
            "left playbooks without choosing",
            "opened playbooks",
            "chose one for playbooks",
            "= playbook.started",
            "opened done: step 1 of 3 (read)",
            "left done: step 1 of 3 (read) without an answer",
            "opened done: step 1 of 3 (read)",
            "= playbook.step",
            "opened the plan: restart api",
            "left without starting: restart api",
            "opened the plan: restart api",
            "confirmed with y: restart api",
            "= playbook.began",
            "= run.requested",
            "opened skip step 3 of 3 (home)",
            "left skip step 3 of 3 (home) without an answer",
            "opened skip step 3 of 3 (home)",
            "= playbook.step",
            "= playbook.finished",
            "opened the plan of recovery short",
            "left without starting: recover short: short",
            "opened the plan of recovery short",
            "confirmed with y: recover short: short",
            "= recovery.started",
            "left the cockpit",
        ],
    );
}

#[test]
fn merging_putting_off_and_calling_by_keys() {
    let shop = shop(
        "[severity.P1]\nescalate = [\"on-call\"]\n[[contact]]\nname = \"Ann\"\nphone = \"+49 151 1234567\"\nlevels = [\"on-call\"]\n",
    );
    shop.run(&["incident", "declare", "slow", "--service", "api", "--severity", "P1"]).ok();
    shop.run(&["incident", "declare", "other", "--service", "web-1", "--severity", "P1"]).ok();
    let pty = open(&shop, "DOWN     api");
    pty.send("@");
    pty.wait_for("+49 151 1234567");
    pty.send("n");
    wait_until("the call is on record", PATIENCE, || shop.entries().iter().any(|e| e["kind"] == "contact.called"));
    back(&pty);
    palette(&pty, "snooze the next", "for how long from now");
    back(&pty);
    palette(&pty, "snooze the next", "for how long from now");
    pty.send("\x1510m it ends soon\r");
    pty.wait_for("it ends soon");
    palette(&pty, "merge", "INC-2026-002");
    back(&pty);
    palette(&pty, "merge", "INC-2026-002");
    pty.send("\r");
    pty.wait_for("why are they one?");
    pty.send("one cause\r");
    pty.wait_for("merged");
    super::leave(pty);
    expect(
        &shop,
        &[
            "= incident.declared",
            "= incident.declared",
            "opened the cockpit",
            "opened the contacts",
            "= contact.called",
            "opened snooze the next update of INC",
            "left snooze the next update of INC without an answer",
            "opened snooze the next update of INC",
            "= update.snoozed",
            "opened merge of INC",
            "left merge of INC without choosing",
            "opened merge of INC",
            "chose INC-2026-002 for merge of INC",
            "opened merge INC into INC-2026-002",
            "= incident.absorbed",
            "= incident.services",
            "= incident.onset",
            "= incident.merged",
            "= incident.status",
            "left the cockpit",
        ],
    );
}
