//! `status` and its exit codes; the shape that scripts rely on.

use super::shop;
use super::support::{Cockpit, PATIENCE, Pty, wait_until};

#[test]
fn the_exit_code_is_the_worst_state() {
    let shop = shop();
    let up = shop.until_code(&["status"], 0);
    assert!(up.out.starts_with("shop production: UP at "), "{}", up.out);
    std::fs::write(shop.path("api-warns"), "").unwrap();
    let degraded = shop.until_code(&["status"], 1);
    assert!(degraded.out.contains("DEGRADED"), "{}", degraded.out);
    std::fs::remove_file(shop.path("api-warns")).unwrap();
    std::fs::remove_file(shop.path("api-up")).unwrap();
    shop.until_code(&["status"], 2);
    wait_until("web is down because of api", PATIENCE, || {
        let status = shop.run(&["status", "--json"]).json();
        status["services"].as_array().unwrap().iter().any(|s| s["name"] == "web" && s["because"] == "api")
    });
    // A paused service counts as up.
    shop.run(&["pause", "api", "--for", "10m", "--reason", "moving it"]).ok();
    shop.run(&["pause", "web", "--for", "10m", "--reason", "moving it"]).ok();
    shop.until_code(&["status"], 0);
    shop.run(&["resume", "api"]).ok();
    shop.until_code(&["status"], 2);
    shop.run(&["pause", "api", "--reason", " "]).expect(2);
    shop.run(&["pause", "nobody", "--reason", "x"]).expect(2);
}

#[test]
fn a_service_that_cannot_be_judged_is_unknown() {
    let cockpit = Cockpit::new(
        "[system]\nname = \"shop\"\n[defaults]\nevery = \"1s\"\ntimeout = \"900ms\"\nretry_interval = \"50ms\"\n\
         [[service]]\nname = \"api\"\n[[service.exec]]\nrun = [\"sh\", \"-c\", \"exit 3\"]\n",
    );
    cockpit.until_code(&["status"], 3);
}

#[test]
fn its_own_failures_have_codes_of_their_own() {
    let shop = shop();
    let home = shop.home.path().display().to_string();
    let nothing = format!("{home}/nothing.toml");
    let file = format!("{home}/config/mayday/mayday.toml");
    for args in [
        &["status", "--config", &nothing][..],
        &["status", "--state-dir", &file],
        &["status", "--state-dir", "/proc/1/nowhere"],
    ] {
        let ran = shop.run(args);
        assert!(ran.code >= 64, "{ran:#?}");
        assert!(!ran.err.is_empty() && ran.out.is_empty(), "{ran:#?}");
    }
}

#[test]
fn the_shape_of_status_for_scripts() {
    let shop = shop();
    shop.until_code(&["status"], 0);
    let id = shop.run(&["incident", "declare", "orders fail", "--severity", "P1", "--service", "web"]).ok().line();
    wait_until("the backup was looked at", PATIENCE, || {
        shop.run(&["status", "--json"]).json()["backups"][0]["state"] == "fresh"
    });
    let status = shop.run(&["status", "--json"]).ok().json();
    assert_eq!(status["system"], "shop");
    assert_eq!(status["state"], "up");
    let services = status["services"].as_array().unwrap();
    assert_eq!(services.len(), 2);
    for service in services {
        for key in ["name", "state", "since", "because", "detail"] {
            assert!(service.get(key).is_some(), "{key} of {service:#}");
        }
        rfc3339_ms(&service["since"]);
    }
    let backup = &status["backups"][0];
    assert_eq!(backup["name"], "documents");
    assert!(backup["age_s"].is_u64() && backup["size"].as_u64().unwrap() > 1000, "{backup:#}");
    assert!(backup["newest"].as_str().unwrap().contains("one.tar"), "{backup:#}");
    let incident = &status["incidents"][0];
    assert_eq!(incident["id"].as_str().unwrap(), id);
    assert_eq!(incident["severity"], "P1");
    assert_eq!(incident["status"], "investigating");
    assert_eq!(incident["title"], "orders fail");
    rfc3339_ms(&incident["started_at"]);
    let engine = &status["engine"];
    assert_eq!(engine["pid"].as_i64().unwrap(), i64::from(shop.engine_pid().unwrap()));
    assert!(engine["version"].is_string() && engine.get("recording").is_some(), "{engine:#}");
    let text = shop.run(&["status"]).ok().out;
    assert!(text.contains(&id) && text.contains("orders fail") && text.contains("NOT ACKNOWLEDGED"), "{text}");
}

/// RFC 3339, UTC, with milliseconds.
#[track_caller]
pub fn rfc3339_ms(value: &serde_json::Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("not a time: {value}"));
    assert!(text.ends_with('Z') && text.len() == "2026-11-20T02:14:07.318Z".len(), "{text}");
    chrono::DateTime::parse_from_rfc3339(text).unwrap();
}

/// Names of a family differ at their ends: none of them is cut where there is room, and where there is not they still differ.
#[test]
fn long_names_can_be_told_apart() {
    let name = |end: &str| format!("checkout-payments-reconciliation-worker-of-the-region-{end}");
    let (one, two) = (name("west-1"), name("east-2"));
    assert_eq!(one.len(), 60);
    let shop = Cockpit::new(&format!(
        "[system]\nname = \"shop\"\n[[service]]\nname = \"{one}\"\n[[service]]\nname = \"{two}\"\n\
         [[backup]]\nname = \"{one}\"\nservice = \"{one}\"\nfiles = {{ path = \"HOME\", pattern = \"*.dump\" }}\n"
    ));
    for args in [&["status"][..], &["objectives"]] {
        let out = shop.run(args).out;
        assert!(out.contains(&one) && out.contains(&two) && !out.contains('…'), "no terminal, no cut: {out}");
    }
    assert!(shop.run(&["backups"]).ok().out.contains(&one));
    let on_a_terminal = |columns| {
        let pty = Pty::mayday(&shop.home, &["status"], columns, 24);
        pty.wait_for("region-west-1 T");
        pty.wait_for("region-east-2 T");
        pty.screen()
    };
    let wide = on_a_terminal(140);
    assert!(wide.contains(&one) && wide.contains(&two), "{wide}");
    let narrow = on_a_terminal(80);
    assert!(narrow.contains("region-west-1 T") && narrow.contains("region-east-2 T"), "{narrow}");
    assert!(narrow.contains('…') && narrow.contains("checkout-payments"), "{narrow}");
}
