//! Checking a configuration, and what happens with a broken one; printing what is derived from the program itself.

use super::shop;
use super::support::{Cockpit, PATIENCE, wait_until};

#[test]
fn all_faults_at_once_with_their_lines() {
    let cockpit = Cockpit::new(
        "[system]\nname = \"shop\"\n[[service]]\nname = \"api\"\nteir = 1\nrto = \"ten minutes\"\ndepends_on = [\"ghost\"]\n\
         [[service]]\nname = \"api\"\n[[service]]\nname = \"a\"\ndepends_on = [\"b\"]\n[[service]]\nname = \"b\"\ndepends_on = [\"a\"]\n\
         [[service.http]]\nurl = \"http://127.0.0.1/\"\nevery = \"1s\"\ntimeout = \"2s\"\nstatus = \"yes\"\n",
    );
    let file = cockpit.home.path().join("config/mayday/mayday.toml");
    let checked = cockpit.run(&["config", "check"]).expect(1);
    for word in ["teir", "tier", "ten minutes", "ghost", "mayday.toml"] {
        assert!(checked.err.contains(word), "{word}: {}", checked.err);
    }
    let json = cockpit.run(&["config", "check", "--json"]).expect(1).json();
    let faults: Vec<&str> = json["faults"].as_array().unwrap().iter().filter_map(|f| f.as_str()).collect();
    assert!(faults.len() >= 6, "{faults:#?}");
    for line in [5, 6, 7, 9] {
        let at = format!("{}:{line}:", file.display());
        assert!(faults.iter().any(|f| f.starts_with(&at)), "nothing about line {line}: {faults:#?}");
    }
    assert_eq!(cockpit.run(&["config", "path"]).ok().line(), file.display().to_string());
    let schema = cockpit.run(&["config", "schema"]).ok().json();
    assert!(schema["properties"]["service"].is_object(), "{schema:#}");
}

/// Each file is told with its own faults.
#[test]
fn faults_are_counted_where_they_lie() {
    let cockpit = Cockpit::new(
        "[system]\nname = \"shop\"\n[playbooks]\nfolder = \"play\"\n[[service]]\nname = \"api\"\nteir = 1\n",
    );
    let folder = cockpit.home.path().join("config/mayday/play");
    std::fs::create_dir(&folder).unwrap();
    for (name, steps) in [("a", 1), ("b", 2)] {
        let step = "[[step]]\nname = \"s\"\nmanaul = \"x\"\n".replace("\"s\"", &format!("\"{name}\""));
        let text = format!(
            "name = \"{name}\"\n{}",
            (0..steps).map(|i| step.replace("name = \"", &format!("name = \"s{i}"))).collect::<String>()
        );
        std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    }
    let checked = cockpit.run(&["config", "check"]).expect(1);
    let counts: Vec<&str> = checked.err.lines().filter(|l| l.contains(" in ") && l.contains("fault")).collect();
    for file in ["a.toml", "b.toml", "mayday.toml"] {
        assert_eq!(counts.iter().filter(|l| l.ends_with(file)).count(), 1, "{file}: {counts:#?}\n{}", checked.err);
    }
    let total: usize = counts.iter().map(|l| l.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    let json = cockpit.run(&["config", "check", "--json"]).expect(1).json();
    assert_eq!(total, json["faults"].as_array().unwrap().len(), "{counts:#?}");
}

#[test]
fn a_broken_save_keeps_what_was_in_force() {
    let shop = shop();
    shop.until_code(&["status"], 0);
    shop.configure("[system]\nname = \"shop\"\n[[service]]\nname = \"api\"\nrto = \"never\"\n");
    wait_until("the refusal is told", PATIENCE, || shop.run(&["status"]).out.contains("NOT in force"));
    let status = shop.run(&["status", "--json"]).ok().json();
    assert_eq!(status["services"].as_array().unwrap().len(), 2, "the old one is in force");
    assert!(status["config_faults"][0].as_str().unwrap().contains("never"), "{status:#}");
    // Also after a restart of the engine.
    shop.kill_engine();
    let status = shop.until_code(&["status", "--json"], 0).json();
    assert_eq!(status["services"].as_array().unwrap().len(), 2, "{status:#}");
    assert!(!status["config_faults"].as_array().unwrap().is_empty());
    shop.run(&["note", "still noting"]).ok();
    shop.configure(super::CONFIG);
    wait_until("the good one is taken", PATIENCE, || !shop.run(&["status"]).out.contains("NOT in force"));
}

#[test]
fn without_any_configuration_declaring_and_noting_work() {
    let home = super::support::Home::new();
    let dir = home.path().join("bare");
    let dir = dir.to_str().unwrap();
    let run = |args: &[&str]| {
        let mut command = home.mayday(args);
        command.args(["--state-dir", dir]);
        super::support::cockpit::run(command)
    };
    let id = run(&["incident", "declare", "all of it"]).ok().line();
    assert!(id.starts_with("INC-"));
    run(&["note", "who knows"]).ok();
    let status = run(&["status"]).expect(3);
    assert!(status.out.contains("no services are configured") && status.out.contains(&id), "{}", status.out);
    assert!(run(&["export"]).ok().out.contains("who knows"));
}

#[test]
fn nothing_found_offers_what_helps() {
    let home = super::support::Home::new();
    for args in [&["incident", "list"][..], &["config", "check"], &["engine", "start"], &["note", "x"]] {
        let ran = super::support::cockpit::run(home.mayday(args));
        assert!(matches!(ran.code, 1 | 2), "{ran:#?}");
        ran.says(&["no configuration", "mayday init", "mayday demo"]);
    }
}

#[test]
fn several_systems_are_a_choice() {
    let cockpit = Cockpit::new("[system]\nname = \"shop\"\n");
    let folder = cockpit.home.path().join("config/mayday");
    std::fs::write(folder.join("bank.toml"), "[system]\nname = \"bank\"\n").unwrap();
    std::fs::write(folder.join("keymap.toml"), "[keys]\nquit = \"q\"\n").unwrap();
    let ran = cockpit.run(&["note", "x"]).expect(2).says(&["several", "shop", "bank", "bank.toml", "--config"]);
    assert!(!ran.err.contains("keymap"), "{}", ran.err);
    let bank = folder.join("bank.toml");
    cockpit.run(&["note", "x", "--config", bank.to_str().unwrap()]).ok();
    let mut by_variable = cockpit.command(&["note", "y"]);
    by_variable.env("MAYDAY_CONFIG", &bank);
    super::support::cockpit::run(by_variable).ok();
    assert!(cockpit.home.state().join("bank/journal.jsonl").is_file());
    assert!(!cockpit.home.state().join("shop").exists());
    // A file in the working folder decides before both.
    std::fs::write(cockpit.home.work().join("mayday.toml"), "[system]\nname = \"here\"\n").unwrap();
    cockpit.run(&["note", "z"]).ok();
    assert!(cockpit.home.state().join("here/journal.jsonl").is_file());
}

#[test]
fn what_is_printed_of_the_program_itself() {
    let home = super::support::Home::new();
    let run = |args: &[&str]| super::support::cockpit::run(home.mayday(args)).ok().out;
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).contains("mayday"), "{shell}");
    }
    let man = run(&["man"]);
    assert!(man.contains(".TH") && man.contains("mayday"), "{man}");
    for word in ["incident", "restore", "--state-dir", "runs"] {
        assert!(run(&["--help"]).contains(word), "{word}");
    }
    assert!(run(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
    for topic in ["keys", "config", "journal", "restore", "trouble"] {
        assert!(run(&["help", topic]).len() > 200, "{topic}");
    }
    // Bash reads its own.
    let file = home.path().join("completions.bash");
    std::fs::write(&file, run(&["completions", "bash"])).unwrap();
    assert!(std::process::Command::new("bash").arg("-n").arg(&file).status().unwrap().success());
}
