//! The four reference systems: their own playbooks, taken from their example configurations as they stand, over services of
//! the same names that are real processes' work in a sandbox. Walked to their end, step by step.

use std::collections::BTreeMap;

use super::*;
use support::HttpScript;

/// The example with its services, backups, actions and recoveries by name, made so that they can run here.
fn sandbox(name: &str, hook: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/examples/{name}.toml"));
    let text = std::fs::read_to_string(path).unwrap();
    let example: toml::Table = toml::from_str(&text).unwrap();
    let list = |key: &str| example.get(key).and_then(|v| v.as_array()).cloned().unwrap_or_default();
    let mut out = String::from(
        "[system]\nname = \"shop\"\nenvironment = \"staging\"\n[defaults]\nevery = \"1s\"\ntimeout = \"900ms\"\nretry_interval = \"100ms\"\nincident_interval = \"200ms\"\n",
    );
    for service in list("service") {
        let name = service["name"].as_str().unwrap();
        let tier = service.get("tier").and_then(|t| t.as_integer()).unwrap_or(3);
        let depends = service.get("depends_on").map(|d| format!("depends_on = {d}\n")).unwrap_or_default();
        let up = format!("HOME/up-{name}");
        let all = format!("restart = [\"sh\", \"-c\", \"echo restart {name} >> HOME/did; touch {up}\"]");
        let both = format!(
            "stop = [\"sh\", \"-c\", \"echo stop {name} >> HOME/did; rm -f {up}\"], start = [\"sh\", \"-c\", \"echo start {name} >> HOME/did; touch {up}\"]"
        );
        let control = match service.get("control").and_then(|c| c.as_table()) {
            // What cannot be stopped there cannot be stopped here.
            Some(c) if c.contains_key("railway") => format!("control = {{ {all} }}\n"),
            Some(_) => format!("control = {{ {all}, {both} }}\n"),
            None => String::new(),
        };
        out.push_str(&format!(
            "[[service]]\nname = \"{name}\"\ntier = {tier}\n{depends}{control}[[service.exec]]\nrun = [\"sh\", \"-c\", \"test -e {up} || exit 2\"]\n"
        ));
    }
    for backup in list("backup") {
        let name = backup["name"].as_str().unwrap();
        let service = backup.get("service").map(|s| format!("service = {s}\n")).unwrap_or_default();
        let restore = backup.get("restore").map(|_| {
            format!("restore = {{ folder = {{ path = \"HOME/srv/{name}\", verify = [[\"grep\", \"-q\", \"good\", \"{{side}}/state\"]] }} }}\n")
        });
        out.push_str(&format!(
            "[[backup]]\nname = \"{name}\"\n{service}rpo = \"26h\"\nfiles = {{ path = \"HOME/backups\", pattern = \"*.tar\", settle = \"10ms\" }}\n{}",
            restore.unwrap_or_default()
        ));
    }
    for action in list("action") {
        let name = action["name"].as_str().unwrap();
        let service = action.get("service").map(|s| format!("service = {s}\n")).unwrap_or_default();
        let risk = action.get("risk").map(|r| format!("risk = {r}\n")).unwrap_or_default();
        out.push_str(&format!(
            "[[action]]\nname = \"{name}\"\n{service}{risk}run = [\"sh\", \"-c\", \"echo act {name} >> HOME/did\"]\nverify = {{ exec = {{ run = [\"grep\", \"-q\", \"act {name}\", \"HOME/did\"] }} }}\n"
        ));
    }
    for channel in list("channel") {
        out.push_str(&format!("[[channel]]\nname = {}\nwebhook = {{ url = \"{hook}\" }}\n", channel["name"]));
    }
    if let Some(recoveries) = example.get("recovery") {
        let table = toml::Table::from_iter([("recovery".to_owned(), recoveries.clone())]);
        out.push_str(&toml::to_string(&table).unwrap());
    }
    // Its playbooks as they stand.
    let from = text.find("# ─── Playbooks").expect("it has playbooks");
    let to = text.find("# ─── Channels").expect("channels come last");
    out.push_str(&text[from..to]);
    out
}

struct Walk {
    shop: Cockpit,
    _hook: HttpScript,
    /// How often each option was chosen.
    chosen: BTreeMap<String, usize>,
    /// Options that are taken first.
    first: Vec<&'static str>,
}

fn system(name: &str, first: &[&'static str]) -> Walk {
    let hook = HttpScript::start(vec![support::Answer::ok("ok")]);
    let shop = Cockpit::new(&sandbox(name, &hook.url("/")));
    std::fs::create_dir_all(shop.path("backups")).unwrap();
    std::fs::create_dir_all(shop.path("made")).unwrap();
    std::fs::write(shop.path("made/state"), "good").unwrap();
    let tar = std::process::Command::new("tar")
        .arg("-C")
        .arg(shop.path("made"))
        .arg("-cf")
        .arg(shop.path("backups/all.tar"))
        .arg(".")
        .status();
    assert!(tar.unwrap().success());
    let config = shop.run(&["config", "check", "--effective"]).ok().out;
    let config: toml::Table = toml::from_str(&config).unwrap();
    for service in config["service"].as_array().unwrap() {
        std::fs::write(shop.path(&format!("up-{}", service["name"].as_str().unwrap())), "").unwrap();
    }
    for backup in config["backup"].as_array().unwrap() {
        let live = shop.path(&format!("srv/{}", backup["name"].as_str().unwrap()));
        std::fs::create_dir_all(&live).unwrap();
        std::fs::write(live.join("state"), "lost").unwrap();
    }
    shop.start();
    shop.until_code(&["status"], 0);
    wait_until("the copy is listed", PATIENCE, || shop.run(&["backups", "list"]).out.contains("fresh"));
    shop.run(&["incident", "declare", "a drill"]).ok();
    Walk { shop, _hook: hook, chosen: BTreeMap::new(), first: first.to_vec() }
}

impl Walk {
    /// The services go down; the engine sees it, and which playbook is for that.
    fn outage(&self, services: &[&str], playbook: &str) {
        for service in services {
            std::fs::remove_file(self.shop.path(&format!("up-{service}"))).unwrap();
        }
        self.shop.until_code(&["status"], 2);
        wait_until(&format!("{playbook} suggests itself"), PATIENCE, || {
            let list = self.shop.run(&["playbook", "list", "--json"]).ok().json();
            list["suggested"].as_array().unwrap().iter().any(|p| p["name"] == playbook)
        });
    }

    /// From the first step to the end; what was done of each.
    fn through(&mut self, playbook: &str) -> Value {
        self.shop.run(&["playbook", "start", playbook]).ok();
        for _ in 0..600 {
            let now = status(&self.shop);
            if now["state"] != "under-way" {
                assert_eq!(now["state"], "complete", "{now:#}");
                for step in now["steps"].as_array().unwrap() {
                    let state = step["state"].as_str().unwrap();
                    assert!(matches!(state, "done" | "waiting"), "{playbook}: {step:#}");
                }
                return now;
            }
            let at = now["at"].as_str().unwrap().to_owned();
            let step = find(&now, &at).clone();
            assert_ne!(step["state"], "failed", "{playbook}: {step:#}");
            self.one(&now, &step);
        }
        panic!("{playbook} does not come to its end: {:#}", status(&self.shop));
    }

    fn one(&mut self, now: &Value, step: &Value) {
        if now["busy"] == true {
            let recovery = self.shop.run(&["recover", "status", "--json"]);
            if recovery.code == 0 && recovery.json()["wants_person"] == true {
                self.shop.run(&["recover", "done", "--reason", "looked"]).ok();
            }
            return;
        }
        match (now["offer"]["offer"].as_str(), step["kind"].as_str().unwrap()) {
            (Some("run"), _) => self.confirmed(&["plan"]),
            (Some("recovery"), _) => self.confirmed(&["plan"]),
            (Some("message" | "hold"), _) => drop(self.shop.run(&["playbook", "do", "--yes"]).ok()),
            (_, "manual") => {
                // What the step of this name tells people to do.
                if step["name"] == "others" {
                    self.restart_what_is_down();
                }
                self.shop.run(&["playbook", "evidence", "seen in the drill"]).ok();
                self.shop.run(&["playbook", "next"]).ok();
            }
            (_, "decide") => {
                // The way that was taken least so far, the wanted one first.
                let key = |o: &Value| format!("{} {} {}", now["name"], step["name"], o["name"]);
                let options = step["options"].as_array().unwrap();
                let least = options
                    .iter()
                    .min_by_key(|o| {
                        let wanted = self.first.contains(&o["name"].as_str().unwrap());
                        (self.chosen.get(&key(o)).copied().unwrap_or(0), !wanted)
                    })
                    .unwrap();
                *self.chosen.entry(key(least)).or_default() += 1;
                self.shop.run(&["playbook", "choose", least["name"].as_str().unwrap()]).ok();
            }
            (_, "checklist") => {
                let name = step["what"].as_str().unwrap().strip_prefix("checklist ").unwrap().to_owned();
                let list = self.shop.run(&["checklist", "show", &name, "--json"]).ok().json();
                for item in list["items"].as_array().unwrap().iter().filter(|i| i["ticked"] == false) {
                    self.shop.run(&["checklist", "tick", &name, &item["number"].to_string()]).ok();
                }
                self.shop.run(&["playbook", "next"]).ok();
            }
            _ if step["state"] == "unproven" => drop(self.shop.run(&["playbook", "next", "--reason", "seen"]).ok()),
            // What mayday sees by itself.
            _ => {}
        }
    }

    fn restart_what_is_down(&self) {
        let status = self.shop.run(&["status", "--json"]).json();
        for service in status["services"].as_array().unwrap().iter().filter(|s| s["state"] == "down") {
            let name = service["name"].as_str().unwrap();
            self.shop.run(&["restart", name, "--yes", "--wait"]).ok();
        }
    }

    fn confirmed(&self, under: &[&str]) {
        let plan = self.shop.run(&["playbook", "do", "--plan", "--json"]).ok().json();
        let plan = under.iter().fold(&plan, |v, k| &v[*k]);
        match plan["risk"].as_str().unwrap() {
            "destructive" => self.shop.run(&["playbook", "do", "--confirm", plan["target"].as_str().unwrap()]).ok(),
            "disruptive" => self.shop.run(&["playbook", "do", "--yes"]).ok(),
            _ => self.shop.run(&["playbook", "do"]).ok(),
        };
    }

    fn done(&self, wanted: &[&str]) {
        let did = did(&self.shop);
        for one in wanted {
            assert!(did.iter().any(|d| d == one), "{one:?} is not in {did:?}");
        }
        self.shop.verify();
    }
}

#[test]
fn crazy_gary() {
    let mut walk = system("crazy-gary", &["restart", "no"]);
    walk.outage(&["api"], "application-failure");
    walk.through("application-failure");
    walk.shop.until_code(&["status"], 0);
    walk.through("complete-outage");
    let breach = walk.through("security-breach");
    assert_eq!(find(&breach, "hold")["state"], "done");
    // Held for everybody until the commander releases it with a reason.
    walk.shop.run(&["restart", "api", "--yes"]).expect(3).says(&["held by"]);
    walk.done(&["act variables", "restart api"]);
}

#[test]
fn agent_orchestrator() {
    let mut walk = system("agent-orchestrator", &["gone", "move", "copy", "whole", "restart"]);
    walk.outage(&["postgres", "redis", "rabbitmq", "platform"], "complete-outage");
    walk.through("complete-outage");
    walk.shop.until_code(&["status"], 0);
    walk.through("database-loss");
    walk.through("region-failover");
    walk.through("infrastructure-rebuild");
    assert_eq!(std::fs::read_to_string(walk.shop.path("srv/agent-state/state")).unwrap(), "good");
    walk.done(&["act fetch-from-s3", "stop platform", "start platform", "act failover-dns"]);
}

#[test]
fn aigentable() {
    let mut walk = system("aigentable", &["whole", "hangs", "empty", "gone", "no"]);
    walk.outage(&["backend"], "application-failure");
    walk.through("application-failure");
    walk.shop.until_code(&["status"], 0);
    walk.through("database-corruption");
    walk.through("cache-failure");
    walk.through("file-storage-loss");
    assert_eq!(std::fs::read_to_string(walk.shop.path("srv/files/state")).unwrap(), "good");
    walk.done(&["act backup-now", "stop backend", "start backend", "act warm-cache"]);
}

#[test]
fn sutazai() {
    let mut walk = system("sutazai", &["gone", "no"]);
    walk.outage(&["authentication"], "authentication-failure");
    walk.through("authentication-failure");
    walk.shop.until_code(&["status"], 0);
    walk.through("database-loss");
    walk.done(&["act containers", "restart authentication"]);
}
