//! Plans, confirmations, verdicts and their exit codes.

use std::time::Duration;

use super::shop;
use super::status::rfc3339_ms;
use super::support::{PATIENCE, Pty, wait_until};

#[test]
fn a_plan_is_only_a_plan() {
    let shop = shop();
    let plan = shop.run(&["act", "works", "--plan"]).ok();
    assert!(plan.out.contains("disruptive") && plan.out.contains("$ sh -c"), "{}", plan.out);
    let plan = shop.run(&["restart", "api", "--plan", "--json"]).ok().json();
    assert_eq!(plan["plan"]["risk"], "disruptive");
    assert!(plan["digest"].is_string());
    let restore = shop.until_code(&["restore", "documents", "--plan"], 0);
    for word in ["data lost", "copy", "one.tar", "RPO"] {
        assert!(restore.out.contains(word), "{word}: {}", restore.out);
    }
    // What cannot work says so in the plan, and is refused when started.
    let missing = shop.run(&["act", "missing", "--plan"]).expect(3);
    assert!(missing.out.contains("FAIL") && missing.out.contains("/no/such/program"), "{}", missing.out);
    shop.run(&["act", "missing", "--yes"]).expect(3).says(&["/no/such/program"]);
    assert!(!shop.path("works").exists());
    assert_eq!(shop.run(&["runs", "--json"]).ok().json().as_array().unwrap().len(), 0);
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let shop = shop();
    shop.run(&["act", "works"]).expect(3).says(&["--yes"]);
    // A pipe with "y" in it is no confirmation either.
    shop.run_with(&["act", "works"], b"y\ny\n").expect(3);
    shop.run(&["restart", "api"]).expect(3).says(&["--yes"]);
    shop.run(&["act", "wipes"]).expect(3).says(&["--confirm"]);
    shop.run(&["act", "wipes", "--yes"]).expect(3).says(&["--confirm"]);
    shop.run(&["act", "wipes", "--confirm", "something else"]).expect(3);
    shop.run_with(&["act", "wipes"], b"web\n").expect(3);
    assert!(!shop.path("works").exists() && !shop.path("wiped").exists());
    let plan = shop.run(&["act", "wipes", "--plan", "--json"]).ok().json();
    let target = plan["plan"]["target"].as_str().unwrap().to_owned();
    shop.run(&["act", "wipes", "--confirm", &target, "--wait"]).expect(5);
    assert_eq!(std::fs::read_to_string(shop.path("wiped")).unwrap(), "wiped\n");
    shop.run(&["act", "works", "--yes", "--wait"]).ok();
    // Looking needs no confirmation.
    shop.run(&["act", "looks", "--wait"]).expect(5);
}

#[test]
fn at_a_terminal_it_asks() {
    let shop = shop();
    shop.start();
    let mut no = Pty::mayday(&shop.home, &["act", "works", "--wait"], 120, 40);
    no.wait_for("y/N");
    no.send("n\r");
    assert_eq!(no.wait_exit(PATIENCE).code, 3);
    let mut enter = Pty::mayday(&shop.home, &["act", "works", "--wait"], 120, 40);
    enter.wait_for("y/N");
    enter.send("\r");
    assert_eq!(enter.wait_exit(PATIENCE).code, 3);
    assert!(!shop.path("works").exists());
    let mut yes = Pty::mayday(&shop.home, &["act", "works", "--wait"], 120, 40);
    yes.wait_for("y/N");
    yes.send("y\r");
    assert_eq!(yes.wait_exit(PATIENCE).code, 0);
    let mut wrong = Pty::mayday(&shop.home, &["act", "wipes", "--wait"], 120, 40);
    wrong.wait_for("Type");
    wrong.send("y\r");
    assert_eq!(wrong.wait_exit(PATIENCE).code, 3);
    assert!(!shop.path("wiped").exists());
}

#[test]
fn every_ending_has_its_code() {
    let shop = shop();
    for (action, code, verdict, state) in [
        ("works", 0, "verified", "succeeded"),
        ("unchecked", 5, "unverified", "succeeded"),
        ("contradicted", 4, "contradicted", "succeeded"),
        ("fails", 1, "unverified", "failed"),
        ("late", 6, "unverified", "timed-out"),
    ] {
        let ran = shop.run(&["act", action, "--yes", "--wait", "--json"]).expect(code);
        let run = ran.json();
        assert_eq!((&run["verdict"], &run["state"]), (&verdict.into(), &state.into()), "{action}: {run:#}");
        // Asking afterwards says the same.
        shop.run(&["runs", "show", run["id"].as_str().unwrap()]).expect(code);
    }
    let id = shop.run(&["act", "slow", "--yes"]).ok().line();
    assert!(id.len() <= 10 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{id}");
    wait_until("it has begun", PATIENCE, || shop.run(&["runs", "show", &id]).out.contains("begun"));
    shop.run(&["runs", "cancel", &id, "--reason", "enough"]).ok();
    shop.finished(&id, PATIENCE);
    shop.run(&["runs", "show", &id, "--follow"]).expect(6);
    shop.run(&["runs", "cancel", &id]).expect(3).says(&["over"]);
}

#[test]
fn what_is_not_there_is_wrong_usage() {
    let shop = shop();
    shop.start();
    for args in [
        &["act", "nothing", "--yes"][..],
        &["restart", "nobody", "--yes"],
        &["restore", "nothing", "--yes"],
        &["runs", "show", "nothing"],
        &["runs", "cancel", "nothing"],
        &["incident", "declare", "x", "--service", "nobody"],
        &["incident", "declare", "x", "--severity", "P9"],
        &["incident", "declare", " "],
        &["incident", "declare", "x", "--onset", "soon"],
        &["incident", "show", "INC-1999-001"],
        &["note", "x", "--incident", "INC-1999-001"],
        &["note", "x", "--at", "tomorrow"],
        &["note", " "],
        &["note", "x", "--at", "2999-01-01T00:00:00Z"],
        &["notify", "poem"],
        &["export", "INC-1999-001"],
        &["backups", "copies", "nothing"],
        &["journal", "verify", "--anchor", "xyz"],
        &["act", "works", "--yes", "--unlogged", "yes"],
        &["dance"],
        &["status", "--no-such-flag"],
        &["restore", "documents", "--test", "--cut-over"],
    ] {
        let ran = shop.run(args);
        // Two of `status` means down.
        assert_eq!(ran.code, if args[0] == "status" { 64 } else { 2 }, "{args:?}: {ran:#?}");
        assert!(!ran.err.trim().is_empty() && ran.out.is_empty(), "{args:?}: {ran:#?}");
    }
}

#[test]
fn the_shape_of_a_run_for_scripts() {
    let shop = shop();
    std::fs::remove_file(shop.path("api-up")).unwrap();
    shop.until_code(&["status"], 2);
    shop.run(&["restart", "api", "--yes", "--wait", "--reason", "it is down"]).ok();
    let id = shop.run(&["runs", "--json"]).ok().json()[0]["id"].as_str().unwrap().to_owned();
    let run = shop.run(&["runs", "show", &id, "--json"]).ok().json();
    assert_eq!(run["id"], id.as_str());
    assert!(run["what"].as_str().unwrap().contains("restart api"), "{run:#}");
    assert_eq!(run["target"], "api");
    assert_eq!(run["state"], "succeeded");
    assert_eq!(run["exit"], 0);
    assert_eq!(run["verdict"], "verified");
    rfc3339_ms(&run["started_at"]);
    rfc3339_ms(&run["finished_at"]);
    assert!(run["output"].as_str().unwrap().contains("restarted"), "{run:#}");
}

#[test]
fn a_held_service_refuses_others_naming_the_holder() {
    let shop = shop();
    shop.configure(&super::CONFIG.replace(
        r#"run = ["sh", "-c", "echo begun; exec sleep 120"]"#,
        r#"run = ["sh", "-c", "echo begun; exec sleep 120"]
service = "api""#,
    ));
    let id = shop.run(&["act", "slow", "--yes"]).ok().line();
    shop.run(&["restart", "api", "--yes"]).expect(3).says(&[&id, "held"]);
    shop.run(&["runs", "cancel", &id]).ok();
    shop.finished(&id, PATIENCE);
    shop.run(&["restart", "api", "--yes", "--wait"]).ok();
}

#[test]
fn a_folder_restored_beside_swapped_undone_and_dropped() {
    let shop = shop();
    std::fs::write(shop.path("documents/a.txt"), "spoilt").unwrap();
    shop.until_code(&["restore", "documents", "--plan"], 0);
    shop.run(&["restore", "documents", "--cut-over", "--confirm", "x"]).expect(3);
    let restored = shop.run(&["restore", "documents", "--yes", "--wait", "--json"]);
    let run = restored.json();
    assert_eq!(run["state"], "succeeded", "{run:#}");
    assert_eq!(std::fs::read_to_string(shop.path("documents/a.txt")).unwrap(), "spoilt", "the live data is untouched");
    // The cut-over is destructive: nothing but the typed name starts it.
    shop.run(&["restore", "documents", "--cut-over", "--yes"]).expect(3);
    let plan = shop.run(&["restore", "documents", "--cut-over", "--plan", "--json"]).ok().json();
    assert_eq!(plan["plan"]["risk"], "destructive", "{plan:#}");
    let target = plan["plan"]["target"].as_str().unwrap().to_owned();
    let swapped = shop.run(&["restore", "documents", "--cut-over", "--confirm", &target, "--wait"]);
    assert!(matches!(swapped.code, 0 | 5), "{swapped:#?}");
    assert_eq!(std::fs::read_to_string(shop.path("documents/a.txt")).unwrap(), "as it was");
    let undone = shop.run(&["restore", "documents", "--undo", "--confirm", &target, "--wait", "--json"]);
    assert!(matches!(undone.code, 0 | 5), "{undone:#?}");
    let id = undone.json()["id"].clone();
    let plans = shop.entries().into_iter().map(|e| e["payload"]["plan"].clone());
    let offered = plans.filter(|p| p["id"] == id).map(|p| p["undo"].to_string()).collect::<String>();
    assert_eq!(std::fs::read_to_string(shop.path("documents/a.txt")).unwrap(), "spoilt");
    // An undo is of the last change, and does not go on to the one before it. The command that its plan gave takes it back.
    let again = shop.run(&["restore", "documents", "--undo", "--confirm", &target, "--wait"]);
    let again = again.expect(3).says(&["the last change of documents is run", "which undid one already"]);
    assert_eq!(std::fs::read_to_string(shop.path("documents/a.txt")).unwrap(), "spoilt");
    let run = again.err.split("--run ").nth(1).expect(&again.err).split(' ').next().unwrap();
    let command = format!("mayday restore documents --undo --run {run} puts it back");
    assert!(offered.contains(&command), "{offered} of {}", again.err);
    shop.run(&["restore", "documents", "--undo", "--run", run, "--plan"]).ok();
    let left = shop.run(&["runs"]).ok().out;
    assert!(left.contains("kept, undone"), "what is left beside is listed: {left}");
    let tested = shop.run(&["restore", "documents", "--test", "--yes", "--wait", "--json"]);
    assert!(matches!(tested.code, 0 | 5), "{tested:#?}");
    wait_until("the test left nothing", Duration::from_secs(5), || {
        std::fs::read_dir(shop.home.path())
            .unwrap()
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().contains("documents"))
            .count()
            <= 3
    });
}

#[test]
fn chosen_names_of_a_folder_come_back_one_by_one() {
    let shop = shop();
    let text = |name: &str| std::fs::read_to_string(shop.path("documents").join(name)).unwrap();
    std::fs::write(shop.path("documents/a.txt"), "spoilt").unwrap();
    std::fs::write(shop.path("documents/mine.txt"), "mine").unwrap();
    shop.until_code(&["restore", "documents", "--plan"], 0);
    shop.run(&["restore", "documents", "--only", "../a.txt", "--plan"]).expect(2).says(&["no path below"]);
    let done = |ran: super::support::Ran| assert!(matches!(ran.code, 0 | 5), "{ran:#?}");
    done(shop.run(&["restore", "documents", "--only", "a.*", "--yes", "--wait"]));
    assert_eq!(text("a.txt"), "spoilt", "the live data is untouched");
    // What was restored by patterns is not a whole folder: its cut-over copies in.
    let plan = shop.run(&["restore", "documents", "--cut-over", "--plan", "--json"]).ok().json();
    assert_eq!(plan["plan"]["risk"], "destructive", "{plan:#}");
    let target = plan["plan"]["target"].as_str().unwrap().to_owned();
    shop.run(&["restore", "documents", "--cut-over", "--yes"]).expect(3);
    done(shop.run(&["restore", "documents", "--cut-over", "--confirm", &target, "--wait"]));
    assert_eq!((text("a.txt").as_str(), text("mine.txt").as_str()), ("as it was", "mine"));
    done(shop.run(&["restore", "documents", "--undo", "--confirm", &target, "--wait"]));
    assert_eq!((text("a.txt").as_str(), text("mine.txt").as_str()), ("spoilt", "mine"));
    // Two copies that are ready: which one goes live is not guessed.
    let whole = shop.run(&["restore", "documents", "--yes", "--wait", "--json"]).json();
    let part = shop.run(&["restore", "documents", "--only", "a.*", "--yes", "--wait", "--json"]).json();
    let which = shop.run(&["restore", "documents", "--cut-over", "--confirm", &target, "--wait"]);
    which.expect(3).says(&["more than one copy of documents is ready", "--run"]);
    assert_eq!(text("a.txt"), "spoilt");
    done(shop.run(&["restore", "documents", "--drop", "--run", part["id"].as_str().unwrap(), "--yes", "--wait"]));
    // Of a whole side folder, too.
    let whole = whole["id"].as_str().unwrap();
    done(shop.run(&[
        "restore",
        "documents",
        "--cut-over",
        "--run",
        whole,
        "--only",
        "a.txt",
        "--confirm",
        &target,
        "--wait",
    ]));
    assert_eq!((text("a.txt").as_str(), text("mine.txt").as_str()), ("as it was", "mine"));
}

#[test]
fn the_output_kept_of_a_run_is_as_configured() {
    let config = "[system]\nname = \"shop\"\n[engine]\noutput_limit = \"64KiB\"\n\
                  [[action]]\nname = \"floods\"\nrisk = \"observe\"\n\
                  run = [\"sh\", \"-c\", \"yes 0123456789 | head -c 3000000; echo the end\"]\n";
    let shop = super::support::Cockpit::new(config);
    let ran = shop.run(&["act", "floods", "--wait", "--json"]).expect(5).json();
    let shown = shop.run(&["runs", "show", ran["id"].as_str().unwrap()]).out;
    assert!(shown.contains("the end"), "{}", shown.chars().take(300).collect::<String>());
    assert!(shown.len() < 100_000, "{} bytes were kept", shown.len());
    let folder = shop.state().join("runs").join(ran["id"].as_str().unwrap());
    let kept: u64 = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("output"))
        .map(|e| e.metadata().unwrap().len())
        .sum();
    assert!(kept > 30_000 && kept <= 70_000, "{kept}");
}

#[test]
fn a_service_is_scaled_and_its_log_read_by_its_own_commands() {
    let shop = super::support::Cockpit::new(
        r#"
[system]
name = "shop"
environment = "staging"
[[service]]
name = "api"
control = { scale = ["sh", "-c", "echo {replicas} > HOME/n"], logs = ["sh", "-c", "echo the last {lines} lines"] }
[[service.exec]]
run = ["true"]
every = "2s"
timeout = "1s"
"#,
    );
    shop.start();
    shop.run(&["scale", "api", "3"]).expect(3).says(&["--yes"]);
    shop.run(&["scale", "api", "3", "--yes", "--wait"]).ok();
    assert_eq!(std::fs::read_to_string(shop.path("n")).unwrap(), "3\n");
    shop.run(&["scale", "api", "0", "--yes"]).expect(2).says(&["mayday stop api"]);
    shop.run(&["redeploy", "api", "--yes"]).expect(3).says(&["add `redeploy"]);
    let log = shop.run(&["logs", "api", "-n", "7"]).ok().out;
    assert!(log.contains("the last 7 lines"), "{log}");
    shop.verify();
}
