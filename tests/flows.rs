//! Long ways through the cockpit by keys alone, on a real terminal, against real servers: what a person does at night.

mod support;

#[path = "flows/again.rs"]
mod again;
#[path = "flows/led.rs"]
mod led;
#[path = "flows/steps.rs"]
mod steps;

use std::time::{Duration, Instant};

use support::{Answer, Cockpit, HttpScript, PATIENCE, Postgres, Pty, wait_for_some, wait_until};

const LIVE: &str = "● live";

const CONFIG: &str = r#"
[system]
name = "shop"
environment = "production"
[defaults]
every = "1s"
timeout = "900ms"
retry_interval = "100ms"
[[service]]
name = "api"
tier = 1
rto = "10m"
control = { restart = ["sh", "-c", "for i in $(seq 1 60); do echo line $i of the restart; done; touch HOME/api-up"] }
[[service.exec]]
run = ["sh", "-c", "test -e HOME/api-up || exit 2"]
[[service]]
name = "web-1"
tier = 2
[[service.exec]]
run = ["true"]
[[service]]
name = "web-2"
tier = 2
[[service.exec]]
run = ["true"]
"#;

fn shop(more: &str) -> Cockpit {
    let shop = Cockpit::new(&format!("{CONFIG}{more}"));
    shop.start();
    shop.until_code(&["status"], 2);
    shop
}

/// On a terminal of 100 × 30, once the picture is there.
fn open(shop: &Cockpit, shows: &str) -> Pty {
    let pty = Pty::mayday(&shop.home, &[], 100, 30);
    pty.wait_for(LIVE);
    pty.wait_for(shows);
    pty
}

/// An escape that stands for itself: what follows it too closely would be taken for one key with it.
fn escape(pty: &Pty) {
    pty.send("\x1b");
    let sent = Instant::now();
    wait_until("an escape stands for itself", PATIENCE, || sent.elapsed() > Duration::from_millis(600));
}

/// Types a key until the screen shows what it is to show: a key on the heels of a dialog's first frame does not count.
#[track_caller]
fn press_until(pty: &Pty, key: &str, shows: &str) {
    wait_until(&format!("{key:?} leads to {shows:?}"), PATIENCE, || {
        if pty.screen().contains(shows) {
            return true;
        }
        pty.send(key);
        let sent = Instant::now();
        while sent.elapsed() < Duration::from_millis(400) && !pty.screen().contains(shows) {
            std::thread::yield_now();
        }
        pty.screen().contains(shows)
    });
}

/// The same until the screen no longer shows `shows`.
#[track_caller]
fn press_until_gone(pty: &Pty, key: &str, shows: &str) {
    wait_until(&format!("{key:?} ends {shows:?}"), PATIENCE, || {
        pty.send(key);
        let sent = Instant::now();
        while sent.elapsed() < Duration::from_millis(400) && pty.screen().contains(shows) {
            std::thread::yield_now();
        }
        !pty.screen().contains(shows)
    });
}

fn leave(mut pty: Pty) {
    pty.send("q");
    pty.wait_exit(PATIENCE);
    pty.assert_given_back();
}

fn payloads(shop: &Cockpit, kind: &str) -> Vec<serde_json::Value> {
    shop.entries()
        .iter()
        .filter(|e| e["header"]["kind"] == kind || e["kind"] == kind)
        .map(|e| e["payload"].clone())
        .collect()
}

#[test]
fn a_database_is_restored_cut_over_undone_and_dropped() {
    let server = Postgres::start();
    server.create_db("live");
    server.psql("live", "create table t as select g as id, 'copy' as source from generate_series(1, 500) g");
    let shop = Cockpit::new(&format!(
        "[system]\nname = \"shop\"\n[[service]]\nname = \"db\"\ntier = 1\n[[service.postgres]]\ndsn = \"{dsn}\"\nevery = \"1s\"\ntimeout = \"900ms\"\n\
         [[backup]]\nname = \"full\"\nservice = \"db\"\nrpo = \"26h\"\nevery = \"24h\"\nfiles = {{ path = \"HOME/backups\", pattern = \"*.dump\", settle = \"10ms\" }}\n\
         [backup.restore.postgres_dump]\ndatabase = \"live\"\ndsn = \"{dsn}\"\nverify = [\"select count(*) = 500 from t\"]\ngrace = \"200ms\"\n",
        dsn = server.dsn("live"),
    ));
    std::fs::create_dir(shop.path("backups")).unwrap();
    let mut dump = server.tool("pg_dump");
    dump.args(["-Fc", "-d", "live", "-f"]).arg(shop.path("backups/live.dump"));
    assert!(dump.status().unwrap().success());
    server.psql("live", "update t set source = 'live'");
    shop.until_code(&["restore", "full", "--plan"], 0);
    let source = || server.psql("live", "select source from t where id = 1");
    let pty = open(&shop, "up       db");

    // The side restore: copy, plan, y.
    pty.send("2");
    pty.wait_for("fresh   full");
    pty.send("R");
    pty.wait_for("which copy?");
    assert!(pty.screen().contains("DATA LOST"), "{}", pty.screen());
    pty.send("\r");
    pty.wait_for("Do it?");
    for said in ["DISRUPTIVE", "DATA LOST"] {
        assert!(pty.screen().contains(said), "{said:?} is not in the plan: {}", pty.screen());
    }
    // The rest of a long plan is a page further down.
    pty.send("\x1b[6~");
    pty.wait_for("exact commands");
    pty.send("\x1b[6~");
    pty.wait_for("live.dump");
    press_until_gone(&pty, "y", "Do it?");
    pty.wait_for("READY C cuts over");
    assert_eq!(source(), "live", "the side restore leaves the live data alone");

    // The cut-over: the name is typed; another one does nothing, nor does Enter alone.
    press_until(&pty, "C", "to go on:");
    assert!(pty.screen().contains("DESTRUCTIVE"), "{}", pty.screen());
    pty.wait_calm(Duration::from_millis(200));
    pty.send("\r");
    pty.wait_for("that is not live");
    pty.send("liv\r");
    pty.wait_calm(Duration::from_millis(200));
    assert!(pty.screen().contains("to go on:"), "{}", pty.screen());
    assert_eq!(source(), "live");
    pty.send("e\r");
    pty.wait_gone("to go on:");
    pty.wait_for("live; U undoes");
    assert_eq!(source(), "copy");

    // Undone, by the typed name again.
    press_until(&pty, "U", "to go on:");
    assert!(pty.screen().contains("DESTRUCTIVE"), "{}", pty.screen());
    pty.wait_calm(Duration::from_millis(200));
    pty.send("live\r");
    pty.wait_gone("to go on:");
    // While they are exchanged nobody is let in.
    let again = || server.try_psql("live", "select source from t where id = 1").is_ok_and(|s| s == "live");
    wait_until("the old data are live again", PATIENCE, again);

    // What is left beside is dropped: its run is found by its mark.
    let databases = || server.psql("postgres", "select string_agg(datname, ' ' order by datname) from pg_database");
    let left = databases();
    assert!(left.split(' ').any(|d| d.starts_with("live_")), "nothing is left beside: {left}");
    pty.wait_for("undo");
    let mut keys = ["gg", "j", "j"].iter().cycle();
    wait_until("the run with what is left is selected", PATIENCE, || {
        pty.send(keys.next().unwrap());
        let sent = Instant::now();
        while sent.elapsed() < Duration::from_millis(400) && !pty.screen().contains("D drop") {
            std::thread::yield_now();
        }
        pty.screen().contains("D drop")
    });
    press_until(&pty, "D", "to go on:");
    let asked = pty.screen();
    let name = asked.lines().find_map(|l| l.split("Type ").nth(1)?.split(" to go on").next().map(str::to_owned));
    let name = name.unwrap_or_else(|| panic!("no name is asked for: {asked}"));
    pty.wait_calm(Duration::from_millis(200));
    pty.send(format!("{name}\r"));
    pty.wait_gone("to go on:");
    wait_until("nothing is left beside", PATIENCE, || !databases().split(' ').any(|d| d.starts_with("live_")));
    assert_eq!(source(), "live");
    leave(pty);
    shop.verify();
}

#[test]
fn a_message_is_edited_and_sent_to_a_channel() {
    let hook = HttpScript::start(vec![Answer::ok("ok")]);
    let shop = shop(&format!("[[channel]]\nname = \"incidents\"\nwebhook = {{ url = \"{}\" }}\n", hook.url("/hook")));
    shop.run(&["incident", "declare", "Nothing works"]).ok();
    let pty = open(&shop, "Nothing works");
    pty.send("n");
    pty.wait_for("which message?");
    pty.send("\r");
    pty.wait_for("initial message");
    pty.wait_for("INCIDENT");
    // The cursor stands at the beginning of the text: what is typed is put before the rest.
    pty.send("All hands: \x1b[200~the fix is *under way*\x1b[201~ ");
    pty.wait_for("All hands: the fix is *under way* INCIDENT");
    // The subject is above it.
    pty.send("\x1b[Z");
    pty.send(" (edited)");
    pty.wait_for("(edited)");
    assert!(hook.requests().is_empty());
    pty.send("\t\t\t");
    pty.wait_for("Send it?");
    assert!(pty.screen().contains("All hands"), "{}", pty.screen());
    pty.send("\r");
    pty.wait_calm(Duration::from_millis(200));
    assert!(hook.requests().is_empty(), "Enter alone sends nothing");
    press_until(&pty, "y", "queued");
    let request = hook.wait_for_requests(1, PATIENCE).remove(0);
    let body = request.text();
    assert!(body.contains("All hands: the fix is *under way* INCIDENT") && body.contains("(edited)"), "{body}");
    // What the channel said stands in the incident's view.
    pty.send("5\r");
    pty.wait_for("phases");
    press_until(&pty, "\x1b[6~", "incidents: accepted");
    leave_view(pty);
    assert_eq!(hook.requests().len(), 1);
}

fn leave_view(pty: Pty) {
    pty.send("q");
    pty.wait_calm(Duration::from_millis(150));
    leave(pty);
}

#[test]
fn a_typed_title_survives_the_link() {
    let shop = shop("");
    let pty = open(&shop, "DOWN     api");
    pty.send("d");
    pty.wait_for("declare an incident");
    pty.send("\x15The shop is closed");
    pty.wait_for("The shop is closed");
    shop.kill_engine();
    pty.wait_for("LINK LOST");
    pty.send("\r");
    // Neither lost nor declared: the dialog is still there, with the title and what to do.
    pty.wait_for("the title is kept");
    assert!(pty.screen().contains("The shop is closed"), "{}", pty.screen());
    shop.start();
    pty.wait_for("the link is back: enter declares");
    assert!(pty.screen().contains("The shop is closed"), "{}", pty.screen());
    pty.send("\r");
    pty.wait_for("declared INC-");
    pty.wait_gone("declare an incident");
    let incidents = shop.run(&["incident", "list", "--json"]).ok().json();
    let titles: Vec<&str> = incidents.as_array().unwrap().iter().filter_map(|i| i["title"].as_str()).collect();
    assert_eq!(titles, ["The shop is closed"]);
    leave(pty);
}

#[test]
fn a_declaration_that_was_left_keeps_its_title() {
    let shop = shop("");
    let pty = open(&shop, "DOWN     api");
    pty.send("d");
    pty.wait_for("declare an incident");
    pty.send("\x15half a tit");
    pty.wait_for("half a tit");
    escape(&pty);
    pty.wait_for("the title is kept");
    pty.send("d");
    pty.wait_for("half a tit");
    pty.send("le\r");
    pty.wait_for("declared INC-");
    let incidents = shop.run(&["incident", "list", "--json"]).ok().json();
    assert_eq!(incidents[0]["title"], "half a title");
    leave(pty);
}

#[test]
fn resolving_is_refused_with_its_reason_and_forced_with_one() {
    let shop = shop("");
    shop.run(&["incident", "declare", "Nothing works"]).ok();
    let pty = open(&shop, "Nothing works");
    pty.send("s");
    pty.wait_for("status of INC-");
    pty.wait_for("against resolving: api (tier 1) is down");
    pty.send("resolved\r");
    pty.wait_for("FORCE");
    pty.send("\r");
    pty.wait_for("nothing is written");
    pty.send("api is switched off for good\r");
    pty.wait_for("resolved, forced");
    let forced = wait_for_some("it is on record", PATIENCE, || {
        shop.entries().into_iter().find(|e| e["payload"]["reason"] == "api is switched off for good")
    });
    assert_eq!(
        forced["payload"]["forced"].as_bool().or(forced["payload"]["force"].as_bool()),
        Some(true),
        "{forced:#}"
    );
    leave(pty);
}

#[test]
fn reasons_can_be_given_on_the_way() {
    let shop = shop("");
    shop.run(&["incident", "declare", "Nothing works", "--severity", "P2"]).ok();
    let pty = open(&shop, "Nothing works");
    // A severity with its reason.
    pty.send("v");
    pty.wait_for("severity of INC-");
    pty.send("P1\t");
    pty.wait_for("why?");
    pty.send("half of the customers\r");
    pty.wait_for("severity P1");
    // A start with its reason: y within the reason is a letter.
    pty.send("1r");
    pty.wait_for("Do it?");
    pty.wait_calm(Duration::from_millis(200));
    pty.send("\t");
    pty.wait_for("The reason");
    pty.send("try y first");
    pty.wait_for("try y first");
    assert!(payloads(&shop, "run.requested").is_empty());
    pty.send("\r");
    pty.wait_for("Do it?");
    pty.send("y");
    pty.wait_gone("Do it?");
    for reason in ["half of the customers", "try y first"] {
        wait_until(&format!("{reason:?} is on record"), PATIENCE, || {
            shop.entries().iter().any(|e| e["payload"]["reason"] == reason)
        });
    }
    leave(pty);
}

#[test]
fn palette_filter_output_theme_and_time_zone() {
    let shop = shop("");
    let home_zone = |shop: &Cockpit| {
        let mut argv = vec![support::home::mayday_binary().display().to_string()];
        argv.extend(["--theme", "default"].map(str::to_owned));
        let mut env = shop.home.env();
        env.retain(|(name, _)| name != "TZ");
        env.push(("TZ".into(), "Asia/Kathmandu".into()));
        env.push(("COLORTERM".into(), "truecolor".into()));
        Pty::spawn(&argv, &env, &shop.home.work(), 100, 30)
    };
    let pty = home_zone(&shop);
    pty.wait_for("DOWN     api");
    // The palette finds a command by its words and does it.
    pty.send(":");
    pty.wait_for("┌─ commands ");
    pty.send("restart");
    pty.wait_for("Plan a restart");
    pty.send("\r");
    pty.wait_for("Do it?");
    pty.wait_calm(Duration::from_millis(200));
    press_until_gone(&pty, "y", "Do it?");
    pty.wait_for("VERIFIED");
    // Its output: followed to the end, searched from there.
    pty.send("o");
    pty.wait_for("output of");
    pty.wait_for("line 60 of the restart");
    assert!(!pty.screen().contains("line 1 of the restart"), "{}", pty.screen());
    pty.send("/line 2");
    pty.wait_for("/line 2");
    pty.send("\r");
    pty.wait_for("line 2 of the restart");
    pty.send("n");
    pty.wait_gone("line 2 of the restart");
    pty.wait_for("line 20 of the restart");
    pty.send("N");
    pty.wait_for("line 2 of the restart");
    pty.send("q");
    pty.wait_gone("output of");
    // A filter: n and N go round what matches, and compose nothing.
    pty.send("1/web");
    pty.wait_for("2 of 3");
    pty.send("\r");
    let selected = |pty: &Pty, name: &str| {
        pty.with_screen(|screen| {
            let (rows, columns) = screen.size();
            (0..rows).any(|y| {
                screen.contents_between(y, 0, y, columns).contains(&format!("up       {name}"))
                    && screen.cell(y, 20).is_some_and(vt100::Cell::inverse)
            })
        })
    };
    wait_until("web-1 is selected", PATIENCE, || selected(&pty, "web-1"));
    pty.send("n");
    wait_until("web-2 is selected", PATIENCE, || selected(&pty, "web-2"));
    pty.send("n");
    wait_until("round to web-1", PATIENCE, || selected(&pty, "web-1"));
    pty.send("N");
    wait_until("back to web-2", PATIENCE, || selected(&pty, "web-2"));
    assert!(!pty.screen().contains("which message?"), "{}", pty.screen());
    escape(&pty);
    pty.wait_for("up       api");
    // Another theme, at once: the dark one has a background of its own.
    let background = |pty: &Pty| pty.with_screen(|s| s.cell(5, 60).map(vt100::Cell::bgcolor));
    assert_eq!(background(&pty), Some(vt100::Color::Default));
    pty.send(":choose a theme\r");
    pty.wait_for(" theme ");
    pty.send("dark");
    wait_until("it is shown while it is chosen", PATIENCE, || background(&pty) != Some(vt100::Color::Default));
    pty.send("\r");
    pty.wait_gone(" theme ");
    assert_ne!(background(&pty), Some(vt100::Color::Default));
    // Local time, and back.
    assert!(pty.screen().contains("Timeline ─ UTC"), "{}", pty.screen());
    pty.send("z");
    pty.wait_for("UTC+05:45");
    pty.send("z");
    pty.wait_gone("UTC+05:45");
    leave(pty);
}
