//! Every step from the keyboard is on record: what was meant, beside what was executed; moving about is not.

use std::time::Duration;

use super::support::{Answer, Cockpit, HttpScript, PATIENCE, Pty, wait_until};
use super::{escape, open, press_until, press_until_gone, shop};

/// What people meant and did, in order: the words of their steps without how long they read, the kinds of the rest.
fn told(shop: &Cockpit) -> Vec<String> {
    let mut out = Vec::new();
    for entry in shop.entries() {
        let kind = entry["kind"].as_str().unwrap().to_owned();
        if entry["actor"]["user"] == "engine" || kind.starts_with("message.attempted") {
            continue;
        }
        out.push(match entry["payload"]["what"].as_str().filter(|_| kind == "step.taken") {
            Some(what) => what.split(" (read for ").next().unwrap().replace("INC-2026-001", "INC"),
            None => format!("= {kind}"),
        });
    }
    out
}

#[track_caller]
pub fn expect(shop: &Cockpit, wanted: &[&str]) {
    let mut last = Vec::new();
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        last = told(shop);
        if last == wanted {
            return;
        }
        std::thread::yield_now();
    }
    panic!("on record is\n  {}\nand not\n  {}", last.join("\n  "), wanted.join("\n  "));
}

/// Runs a command of the palette by its name.
pub fn palette(pty: &Pty, name: &str, shows: &str) {
    pty.send(":");
    pty.wait_for("commands");
    pty.send(format!("{name}\r"));
    pty.wait_for(shows);
}

/// Leaves what is open. Its own words may stand in the timeline below it, so that its keys have to be gone.
pub fn back(pty: &Pty) {
    pty.wait_for("esc back");
    escape(pty);
    pty.wait_gone("esc back");
}

#[test]
fn a_restart_that_was_left_and_one_that_was_done() {
    let shop = shop("");
    let pty = open(&shop, "DOWN     api");
    // Moving about leaves nothing.
    pty.send("2341jkG?");
    pty.wait_for("help");
    back(&pty);
    pty.send("1gg");
    pty.send("r");
    pty.wait_for("Do it?");
    back(&pty);
    pty.send("r");
    pty.wait_for("Do it?");
    press_until_gone(&pty, "y", "Do it?");
    wait_until("it ran", PATIENCE, || shop.path("api-up").exists());
    expect(
        &shop,
        &[
            "opened the plan: restart api",
            "left without starting: restart api",
            "opened the plan: restart api",
            "confirmed with y: restart api",
            "= run.requested",
        ],
    );
    super::leave(pty);
    // How long it was read stands behind it.
    let steps = super::payloads(&shop, "step.taken");
    assert!(steps[3]["what"].as_str().unwrap().contains("(read for "), "{steps:#?}");
}

#[test]
fn leading_an_incident_by_keys() {
    let hook = HttpScript::start(vec![Answer::ok("ok")]);
    let shop = shop(&format!("[[channel]]\nname = \"incidents\"\nwebhook = {{ url = \"{}\" }}\n", hook.url("/hook")));
    let mut pty = open(&shop, "DOWN     api");
    let mut wanted: Vec<&str> = Vec::new();
    let mut add = |more: &[&'static str]| wanted.extend(more);

    pty.send("d");
    pty.wait_for("declare an incident");
    back(&pty);
    pty.send("d");
    pty.wait_for("declare an incident");
    pty.send("\x15Shop closed\r");
    pty.wait_for("declared INC-");
    add(&[
        "opened a declaration",
        "left a declaration without declaring",
        "opened a declaration",
        "= incident.declared",
    ]);
    // Somebody who comes later, or back.
    pty.send("q");
    pty.wait_exit(PATIENCE);
    pty = open(&shop, "Shop closed");
    add(&["left the cockpit", "opened the cockpit"]);

    pty.send("a");
    pty.wait_for("acknowledged");
    add(&["= incident.acknowledged", "= incident.assigned"]);

    pty.send(".");
    pty.wait_for("note on INC");
    pty.send("seen\r");
    pty.wait_for("noted");
    add(&["opened a note", "= note.added"]);

    pty.send("v");
    pty.wait_for("severity of INC");
    back(&pty);
    pty.send("v");
    pty.wait_for("severity of INC");
    pty.send("P3\r");
    pty.wait_for("becomes P3");
    pty.send("\r");
    pty.wait_for("why it is less");
    pty.send("a corner of it\r");
    pty.wait_for("severity P3");
    add(&[
        "opened severity of INC",
        "left severity of INC without choosing",
        "opened severity of INC",
        "chose P3 for severity of INC",
        "opened INC becomes P3",
        "was told that the answer does not do: INC becomes P3",
        "= incident.severity",
    ]);

    pty.send("s");
    pty.wait_for("status of INC");
    pty.send("identified\r");
    pty.wait_for("status identified");
    add(&["opened status of INC", "chose identified for status of INC", "= incident.status"]);

    pty.send("w");
    pty.wait_for("assign a role");
    back(&pty);
    add(&["opened assign a role", "left assign a role without an answer"]);

    pty.send("x");
    pty.wait_for("services that INC");
    pty.send("\x1b[F \r");
    pty.wait_for("affected services changed");
    add(&["opened affected services of INC", "chose api, web-2 for affected services of INC", "= incident.services"]);

    pty.send("h");
    pty.wait_for("hypotheses");
    pty.send("the pool is exhausted\r");
    pty.wait_for("H1");
    add(&["opened hypotheses of INC", "chose a new one for hypotheses of INC"]);
    wait_until("it is on record", PATIENCE, || shop.entries().iter().any(|e| e["kind"] == "hypothesis.opened"));
    add(&["= hypothesis.opened"]);

    pty.send("H");
    pty.wait_for("how it stands");
    back(&pty);
    add(&["opened the handoff of INC", "left the handoff of INC without a word"]);

    pty.send("n");
    pty.wait_for("which message?");
    pty.send("\r");
    pty.wait_for("initial message");
    pty.send("\t\t");
    pty.wait_for("Send it?");
    press_until(&pty, "y", "queued");
    add(&[
        "opened notify",
        "chose initial for notify",
        "opened the initial message",
        "opened the preview of the initial message",
        "confirmed with y: send the initial message",
        "= message.queued",
    ]);

    palette(&pty, "set the onset", "onset of INC");
    pty.send("00:00:01 seen in a log\r");
    pty.wait_for("onset 20");
    add(&["opened onset of INC", "= incident.onset"]);

    // Tags, holds and pauses of the selected service.
    pty.send("1gg");
    pty.send("#");
    pty.wait_for("tag api");
    pty.send("mine\r");
    pty.wait_for("tagged api");
    add(&["opened tag api", "= service.tagged"]);
    // What is tagged is not restarted: the screen says so.
    pty.send("#");
    pty.wait_for("took the tag off");
    add(&["= service.untagged"]);
    pty.send("K");
    pty.wait_for("hold api");
    pty.send("wait for ann\r");
    pty.wait_for("HELD");
    add(&["opened hold api", "= service.held"]);
    palette(&pty, "release all holds", "release all that is held");
    pty.send("go on\r");
    pty.wait_for("released everything");
    add(&["opened release all that is held", "= service.released"]);
    pty.send("P");
    pty.wait_for("pause api");
    back(&pty);
    add(&["opened pause api", "left pause api without an answer"]);

    palette(&pty, "false alarm", "as a false alarm");
    back(&pty);
    add(&["opened FORCE: close INC as a false alarm", "left FORCE: close INC as a false alarm without an answer"]);
    super::leave(pty);
    add(&["left the cockpit"]);
    expect(&shop, &wanted);
    // Words of prompts are in what was done, not in the steps.
    let steps = super::payloads(&shop, "step.taken");
    assert!(!steps.iter().any(|s| s["what"].as_str().unwrap().contains("pool")), "{steps:#?}");
}

#[test]
fn a_restore_from_the_copy_to_the_undo() {
    let shop = Cockpit::new(
        "[system]\nname = \"shop\"\n[[service]]\nname = \"files\"\ntier = 1\n[[service.exec]]\nrun = [\"true\"]\nevery = \"1s\"\ntimeout = \"900ms\"\n\
         [[backup]]\nname = \"documents\"\nservice = \"files\"\nrpo = \"26h\"\nevery = \"24h\"\n\
         files = { path = \"HOME/backups\", pattern = \"*.tar\", settle = \"10ms\" }\n\
         restore = { folder = { path = \"HOME/documents\", strip = 1 } }\n",
    );
    for folder in ["backups", "documents"] {
        std::fs::create_dir(shop.path(folder)).unwrap();
    }
    std::fs::write(shop.path("documents/a.txt"), "copy").unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.arg("-cf").arg(shop.path("backups/one.tar")).arg("-C").arg(shop.home.path()).arg("documents");
    assert!(tar.status().unwrap().success());
    std::fs::write(shop.path("documents/a.txt"), "live").unwrap();
    shop.start();
    shop.until_code(&["restore", "documents", "--plan"], 0);
    let before = told(&shop).len();
    let pty = open(&shop, "up       files");
    pty.send("2");
    pty.wait_for("documents");
    pty.send("R");
    pty.wait_for("which copy?");
    back(&pty);
    pty.send("R");
    pty.wait_for("which copy?");
    pty.send("\r");
    pty.wait_for("Do it?");
    press_until_gone(&pty, "y", "Do it?");
    pty.wait_for("READY C cuts over");
    press_until(&pty, "C", "to go on:");
    let asked = pty.screen();
    let name = asked.lines().find_map(|l| l.split("Type ").nth(1)?.split(" to go on").next().map(str::to_owned));
    let name = name.unwrap_or_else(|| panic!("no name is asked for: {asked}"));
    pty.wait_calm(Duration::from_millis(200));
    press_until(&pty, "x\r", "that is not");
    pty.send("\x15");
    pty.send(format!("{name}\r"));
    pty.wait_gone("to go on:");
    pty.wait_for("live; U undoes");
    assert_eq!(std::fs::read_to_string(shop.path("documents/a.txt")).unwrap(), "copy");
    press_until(&pty, "U", "to go on:");
    back(&pty);
    // And now in earnest.
    press_until(&pty, "U", "to go on:");
    pty.wait_calm(Duration::from_millis(200));
    pty.send(format!("{name}\r"));
    pty.wait_gone("to go on:");
    wait_until("undone", PATIENCE, || {
        std::fs::read_to_string(shop.path("documents/a.txt")).is_ok_and(|text| text == "live")
    });
    let cut = format!("typed something else than {name}: nothing was started");
    let done = told(&shop).split_off(before);
    let titles: Vec<&str> = done.iter().filter_map(|d| d.strip_prefix("opened the plan: ")).collect();
    let [restore, over, undo, again] = titles.as_slice() else { panic!("{done:#?}") };
    let wanted = [
        "opened restore of documents".to_owned(),
        "left restore of documents without choosing a copy".to_owned(),
        "opened restore of documents".to_owned(),
        "chose copy one.tar of documents".to_owned(),
        format!("opened the plan: {restore}"),
        format!("confirmed with y: {restore}"),
        "= run.requested".to_owned(),
        format!("opened the plan: {over}"),
        cut,
        format!("confirmed with {name}: {over}"),
        "= run.requested".to_owned(),
        format!("opened the plan: {undo}"),
        format!("left without starting: {undo}"),
        format!("opened the plan: {again}"),
        format!("confirmed with {name}: {again}"),
        "= run.requested".to_owned(),
    ];
    assert_eq!(done, wanted);
    assert_eq!(undo, again);
    super::leave(pty);
}

#[test]
fn an_action_that_is_left_come_back_to_and_cancelled() {
    let shop = shop(
        "[[action]]\nname = \"long\"\nservice = \"web-1\"\nrisk = \"disruptive\"\nrun = [\"sleep\", \"600\"]\ntimeout = \"20m\"\n",
    );
    let mut pty = open(&shop, "DOWN     api");
    pty.send("e");
    pty.wait_for("actions ·");
    back(&pty);
    pty.send("e");
    pty.wait_for("actions ·");
    pty.send("long\r");
    pty.wait_for("Do it?");
    press_until_gone(&pty, "y", "Do it?");
    wait_until("it runs", PATIENCE, || shop.entries().iter().any(|e| e["kind"] == "run.started"));
    pty.send("q");
    pty.wait_exit(PATIENCE);
    pty = open(&shop, "DOWN     api");
    pty.send("4");
    press_until(&pty, "c", "Ask run");
    back(&pty);
    press_until(&pty, "c", "Ask run");
    press_until_gone(&pty, "y", "Ask run");
    wait_until("it is cancelled", PATIENCE, || {
        shop.entries().iter().any(|e| e["kind"] == "run.finished" && e["payload"]["state"] == "cancelled")
    });
    let run = super::payloads(&shop, "run.requested")[0]["plan"]["id"].as_str().unwrap().to_owned();
    let asked = format!("opened the question whether to cancel run {run}");
    expect(
        &shop,
        &[
            "opened actions",
            "left actions without choosing",
            "opened actions",
            "chose long for actions",
            "opened the plan: long",
            "confirmed with y: long",
            "= run.requested",
            "left the cockpit",
            "opened the cockpit",
            &asked,
            "left without cancelling: cancel: long",
            &asked,
            "confirmed with y: cancel: long",
            "= run.cancel-requested",
        ],
    );
    super::leave(pty);
}
