//! Playbooks in the configuration: every fault with its place, parameters filled in, the shipped ones, a folder of files.

use mayday::config::{self, Config, playbooks};
use mayday::domain::playbook::{Does, END, Playbook};
use mayday::domain::run::Work;

use crate::{nowhere, repo, shipped};

const SYSTEM: &str = r#"[system]
name = "shop"
[[service]]
name = "api"
tier = 1
labels = ["front"]
control = { restart = ["true"], stop = ["true"], start = ["true"] }
[[service.exec]]
run = ["true"]
[[service]]
name = "db"
tier = 1
depends_on = []
control = { restart = ["true"] }
[[service.exec]]
run = ["true"]
[[service]]
name = "blind"
[[backup]]
name = "full"
service = "db"
rpo = "1d"
files = { path = "/b", pattern = "*.dump" }
restore = { folder = { path = "/srv/x" } }
[[backup]]
name = "stuck"
rpo = "1d"
files = { path = "/b", pattern = "*.wal" }
[[action]]
name = "look"
risk = "observe"
run = ["true"]
[[action]]
name = "act"
run = ["true"]
[[recovery]]
name = "all"
[[recovery.step]]
phase = "restart"
within = "1m"
restart = "api"
[[channel]]
name = "chat"
slack = { webhook = { env = "X" } }
"#;

/// The faults of these lines behind the system, each with its line counted from the first of them.
fn faults(lines: &str) -> Vec<(usize, String)> {
    let before = SYSTEM.lines().count();
    match config::parse(&format!("{SYSTEM}{lines}\n"), nowhere()) {
        Ok(_) => Vec::new(),
        Err(faults) => {
            faults.iter().map(|f| (f.line.saturating_sub(before), format!("{}: {}", f.message, f.hint))).collect()
        }
    }
}

fn good(lines: &str) -> Config {
    let text = format!("{SYSTEM}{lines}\n");
    config::parse(&text, nowhere()).unwrap_or_else(|f| panic!("{}", config::render(&f, &text, false)))
}

fn step(lines: &str) -> String {
    format!("[[playbook]]\nname = \"p\"\n[[playbook.step]]\nname = \"a\"\n{lines}")
}

#[test]
fn every_fault_has_its_place_and_a_hint() {
    for (lines, at, said) in [
        ("[[playbook]]\nname = \"p\"".to_owned(), 1, "needs one of: `use`, `step`"),
        ("[[playbook]]\nuse = \"database-corupt\"".into(), 2, "there is no playbook \"database-corupt\" to use"),
        ("[[playbook]]\nuse = \"cache-failure\"".into(), 2, "`with` needs `application`, a service"),
        ("[[playbook]]\nuse = \"cache-failure\"\nwith = { cahce = \"db\" }".into(), 3, "did you mean cache?"),
        ("[[playbook]]\nuse = \"cache-failure\"\nwith = { cache = \"dbb\", behind = \"db\", application = \"api\" }".into(), 3, "there is no service \"dbb\": did you mean \"db\"?"),
        ("[[playbook]]\nuse = \"cache-failure\"\nwith = { cache = [\"db\", \"api\"], behind = \"db\", application = \"api\" }".into(), 3, "is one service, not several"),
        (step("manual = \"x\"\nrestart = \"api\""), 6, "takes one of"),
        (step(""), 3, "needs one of"),
        (step("manual = \"x\"\nchannels = [\"chat\"]"), 6, "`channels` does nothing beside `manual`"),
        (step("manual = \"x\"\ngo = \"b\""), 6, "there is no step \"b\""),
        (step("manual = \"x\"\ntext = \"y\""), 6, "does nothing beside `manual`"),
        (step("manual = \"x\"\nphase = \"respons\""), 6, "did you mean \"response\"?"),
        (step("manual = \"x\"\nowner = \"boss\""), 6, "`owner` must be one of"),
        (step("manual = \"x\"\notherwise = \"y\""), 6, "unknown key `otherwise`"),
        (step("restart = \"apo\""), 5, "there is no service \"apo\": did you mean \"api\"?"),
        (step("stop = \"db\""), 5, "no control that can stop it"),
        (step("restore = \"stuck\""), 5, "no way to be restored"),
        (step("restore = \"none\""), 5, "there is no backup \"none\""),
        (step("action = \"atc\""), 5, "did you mean \"act\"?"),
        (step("command = \"act\""), 5, "a command only looks"),
        (step("recovery = \"al\""), 5, "there is no recovery \"al\""),
        (step("checklist = \"communicatoin\""), 5, "did you mean \"communication\"?"),
        (step("check = [\"api/htp\"]"), 5, "\"api\" has no check \"htp\": it has exec"),
        (step("check = []"), 5, "`check` names no service"),
        (step("wait = [\"blind\"]"), 5, "has no check: it would never be seen up"),
        (step("message = \"update\"\nchannels = [\"chta\"]"), 6, "did you mean \"chat\"?"),
        (step("message = \"test\""), 5, "`message` must be one of"),
        (step("hold = [\"api\"]"), 3, "`hold` needs `reason`"),
        (step("decide = \"x\""), 3, "`decide` has no option"),
        (step("decide = \"x\"\ngo = \"end\"\n[[playbook.step.option]]\nname = \"y\"\ngo = \"end\""), 6, "`go` does nothing beside `decide`"),
        (step("decide = \"x\"\n[[playbook.step.option]]\nname = \"y\"\ngo = \"nowhere\""), 8, "there is no step \"nowhere\": there are a, and end"),
        (step("manual = \"x\"\n[[playbook.step]]\nname = \"a\"\nmanual = \"y\""), 7, "a second step of this name"),
        (step("manual = \"x\"\ngo = \"a\""), 4, "no way leads to the end"),
        ("[[playbook]]\nname = \"p\"\n[[playbook.step]]\nname = \"end\"\nmanual = \"x\"".into(), 4, "is the word for the end"),
        (format!("{}\n{}", step("manual = \"x\""), step("manual = \"x\"")), 7, "a second playbook \"p\""),
        (format!("{}\n[[playbook.suggest]]\nwhen = \"all\"", step("manual = \"x\"")), 6, "this condition names nothing"),
        (format!("{}\n[[playbook.suggest]]\nservices = [\"x\"]", step("manual = \"x\"")), 7, "there is no service \"x\""),
        ("[[checklist]]\nname = \"c\"\nitems = []".into(), 3, "this checklist has no item"),
        ("[[checklist]]\nname = \"c\"\nitems = [\"a\", \"a\"]".into(), 3, "this item stands there twice"),
    ] {
        let found = faults(&lines);
        let hit = found.iter().any(|(line, text)| *line == at && text.contains(said));
        assert!(hit, "{lines}\nwants {at}: {said}\nfound {found:#?}");
    }
    // All at once.
    let many = step("restart = \"apo\"\ngo = \"b\"\n[[playbook.step]]\nname = \"c\"\nwait = [\"blind\", \"x\"]");
    assert_eq!(faults(&many).len(), 4, "{:#?}", faults(&many));
}

#[test]
fn what_nobody_comes_to_is_warned_of() {
    let config = good(&step("manual = \"x\"\ngo = \"end\"\n[[playbook.step]]\nname = \"b\"\nmanual = \"y\""));
    let found = config.warnings.iter().any(|w| w.ends_with("no way leads to step \"b\""));
    assert!(found, "{:#?}", config.warnings);
}

#[test]
fn conditions_become_names() {
    let config = good(&format!(
        "{}\n[[playbook.suggest]]\ntier = 1\nwhen = \"all\"\n[[playbook.suggest]]\nlabels = [\"front\"]\n[[playbook.suggest]]\nkind = \"exec\"",
        step("manual = \"x\"")
    ));
    let rules = &config.playbooks[0].suggest;
    let names: Vec<(Vec<&str>, bool)> =
        rules.iter().map(|r| (r.services.iter().map(String::as_str).collect(), r.all)).collect();
    assert_eq!(names, [(vec!["api", "db"], true), (vec!["api"], false), (vec!["api", "db"], false)]);
}

/// Values for every parameter of a shipped playbook, by their kinds. `all`: optional ones too.
fn values(text: &str, all: bool) -> String {
    let file: toml::Table = toml::from_str(text).unwrap();
    let mut out = Vec::new();
    for (name, facts) in file.get("parameters").and_then(|p| p.as_table()).into_iter().flatten() {
        if facts.get("optional").is_some() && !all {
            continue;
        }
        let value = match facts["kind"].as_str().unwrap() {
            "service" => "\"api\"",
            "services" => "[\"api\", \"db\"]",
            "backup" => "\"full\"",
            "action" if name == "look" => "\"look\"",
            "action" => "\"act\"",
            "recovery" => "\"all\"",
            "channels" => "[\"chat\"]",
            "checklist" => "\"communication\"",
            _ => "\"text\"",
        };
        out.push(format!("{name} = {value}"));
    }
    format!("{{ {} }}", out.join(", "))
}

/// Every step can be come to, from every step an end can be reached, and every decision's ways are walked.
fn walks(p: &Playbook) {
    let mut open = vec![vec![p.steps[0].name.clone()]];
    let mut reached = std::collections::BTreeSet::new();
    let mut ended = 0;
    while let Some(path) = open.pop() {
        let here = path.last().unwrap();
        reached.insert(here.clone());
        for way in p.ways(p.step(here).unwrap()) {
            if way == END {
                ended += 1;
            } else if path.iter().filter(|s| **s == way).count() < 2 {
                let mut longer = path.clone();
                longer.push(way);
                open.push(longer);
            }
        }
    }
    assert!(ended > 0, "{}: no way ends", p.name);
    let all: Vec<&str> = p.steps.iter().map(|s| s.name.as_str()).filter(|s| !reached.contains(*s)).collect();
    assert!(all.is_empty(), "{}: nobody comes to {all:?}", p.name);
}

#[test]
fn every_shipped_playbook_loads_and_every_way_ends() {
    let left_over = regex::Regex::new(r"\{[a-z_]+\}").unwrap();
    assert_eq!(playbooks::SHIPPED.len(), 9);
    for (name, text) in playbooks::SHIPPED {
        for all in [true, false] {
            let config = good(&format!("[[playbook]]\nuse = \"{name}\"\nwith = {}", values(text, all)));
            let p = &config.playbooks[0];
            assert_eq!(p.name, *name);
            walks(p);
            assert!(config.warnings.iter().all(|w| !w.contains("no way leads")), "{:#?}", config.warnings);
            let json = serde_json::to_string(p).unwrap();
            assert!(!json.contains('{') || !left_over.is_match(&json), "{name}: {json}");
            // A tired person is told what to do, how long it may take, and who does it.
            for step in &p.steps {
                assert!(
                    !step.owner.is_empty() && !step.phase.is_empty() && step.within_ms.is_some(),
                    "{name} {}",
                    step.name
                );
                let told = !step.text.is_empty() || !matches!(step.does, Does::Manual { .. } | Does::Decide { .. });
                assert!(told, "{name} {}", step.name);
            }
        }
    }
    assert_eq!(playbooks::shipped_checklists().len(), 5);
    assert!(playbooks::shipped_checklists().iter().all(|c| c.items.len() > 4 && c.title != c.name));
}

#[test]
fn a_breach_ends_in_a_hold() {
    let (_, text) = playbooks::SHIPPED.iter().find(|(n, _)| *n == "security-breach").unwrap();
    let config = good(&format!("[[playbook]]\nuse = \"security-breach\"\nwith = {}", values(text, true)));
    let p = &config.playbooks[0];
    let place = |does: fn(&Does) -> bool| p.steps.iter().position(|s| does(&s.does)).unwrap();
    let hold = place(|d| matches!(d, Does::Hold { .. }));
    let message = place(|d| matches!(d, Does::Message { .. }));
    assert!(message < hold);
    // Nothing in it restarts or restores.
    let acts =
        |d: &Does| matches!(d, Does::Act { work: Work::Restart { .. } | Work::Start { .. } | Work::Restore { .. } });
    assert!(!p.steps.iter().any(|s| acts(&s.does)));
}

#[test]
fn what_was_not_given_or_cannot_be_done_becomes_something_done_by_hand() {
    let config = good(
        "[[playbook]]\nuse = \"database-corruption\"\nwith = { database = \"db\", backup = \"full\", application = \"db\" }",
    );
    let p = &config.playbooks[0];
    let text = |name: &str| match p.step(name).unwrap() {
        s if matches!(s.does, Does::Manual { .. }) => s.text.clone(),
        s => panic!("{name}: {:?}", s.does),
    };
    assert!(text("stop-writers").starts_with("Stop db by hand: it cannot be done from here."));
    assert!(text("keep").starts_with("Keep a copy of the damaged state"));
    assert!(
        matches!(&p.step("restore").unwrap().does, Does::Act { work: Work::Restore { backup, .. } } if backup == "full")
    );
    // Of one's own: title, and when it suggests itself.
    let own = good(
        "[[playbook]]\nname = \"mine\"\ntitle = \"Mine\"\nuse = \"database-corruption\"\nwith = { database = \"db\", backup = \"full\", application = \"api\" }\n[[playbook.suggest]]\nservices = [\"api\"]",
    );
    let p = &own.playbooks[0];
    assert_eq!(
        (p.name.as_str(), p.title.as_str(), p.suggest[0].services.as_slice()),
        ("mine", "Mine", ["api".to_owned()].as_slice())
    );
    assert_ne!(p.digest, config.playbooks[0].digest);
}

#[test]
fn what_is_in_force_reads_back_to_the_same() {
    for (name, text) in shipped() {
        let config = config::parse(&text, nowhere()).unwrap();
        assert!(!config.playbooks.is_empty(), "{name}");
        let again = config::parse(&config::effective(&config), nowhere()).unwrap();
        assert_eq!(again.playbooks, config.playbooks, "{name}");
        assert_eq!(again.checklists, config.checklists, "{name}");
    }
    // The copies that are shipped as files are those that are built in.
    for (name, text) in playbooks::SHIPPED {
        assert_eq!(std::fs::read_to_string(repo(&format!("config/playbooks/{name}.toml"))).unwrap(), *text);
    }
}

#[test]
fn a_folder_of_files() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("mayday.toml");
    let folder = dir.path().join("books");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let load = |lines: &str| {
        std::fs::write(&main, format!("{SYSTEM}[playbooks]\nfolder = \"books\"\n{lines}\n")).unwrap();
        config::load(&main)
    };
    write("plain.toml", "name = \"plain\"\n[[step]]\nname = \"a\"\nrestart = \"api\"\n");
    let bound =
        "name = \"bound\"\n[parameters.what]\nkind = \"service\"\n[[step]]\nname = \"a\"\nrestart = \"{what}\"\n";
    write("bound.toml", bound);
    let one = load("[[playbook]]\nuse = \"bound\"\nwith = { what = \"db\" }").unwrap();
    let names: Vec<&str> = one.playbooks.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["bound", "plain"]);
    // A file that changes is a change of the whole.
    write("plain.toml", "name = \"plain\"\n[[step]]\nname = \"a\"\nrestart = \"db\"\n");
    let two = load("[[playbook]]\nuse = \"bound\"\nwith = { what = \"db\" }").unwrap();
    assert_ne!(one.digest, two.digest);
    // Faults stand at their own file and line, of all files at once.
    write("plain.toml", "name = \"plain\"\n[[step]]\nname = \"a\"\nrestart = \"dbb\"\n");
    write("other.toml", "name = \"else\"\n[[step]]\nname = \"a\"\nmanul = \"x\"\n");
    write("bound.toml", &bound.replace("{what}", "{waht}"));
    let faults = load("").unwrap_err();
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for part in [
        "books/plain.toml:4: there is no service \"dbb\": did you mean \"db\"?",
        "books/other.toml:4: unknown key `manul`",
        "books/other.toml:1: the file of playbook \"else\" has another name",
        "{waht} is no parameter",
    ] {
        assert!(said.iter().any(|s| s.contains(part)), "{part:?} is not in {said:#?}");
    }
    let picture = config::render(&faults, &std::fs::read_to_string(&main).unwrap(), false);
    assert!(picture.contains("plain.toml:4"), "{picture}");
    // No such folder is a warning, not the end.
    std::fs::remove_dir_all(&folder).unwrap();
    let warned = load("").unwrap().warnings;
    assert!(
        warned.iter().any(|w| w.contains("the folder of playbooks") && w.contains("cannot be read")),
        "{warned:#?}"
    );
}

/// The picture of a fault is never that of a line in another file.
#[test]
fn a_fault_in_the_folder_shows_no_line_of_the_configuration() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mayday.toml");
    let text =
        format!("[system]\nname = \"shop\"\n[playbooks]\nfolder = \"{}\"\n", home.path().join("books").display());
    std::fs::create_dir(home.path().join("books")).unwrap();
    std::fs::write(&file, &text).unwrap();
    std::fs::write(home.path().join("books/mine.toml"), "title = \"One\"\n[[step]]\nname = \"a\"\nmanual = \"b\"\n")
        .unwrap();
    let faults = config::load(&file).unwrap_err();
    let shown = config::render(&faults, &text, false);
    assert!(shown.contains("a playbook file needs `name`") && shown.contains("books/mine.toml"), "{shown}");
    assert!(!shown.contains("[system]"), "{shown}");
}
