//! The engine is killed at every point of a recovery: it goes on, and nothing is done twice.

use super::*;

fn kill_and_start(shop: &Cockpit) {
    shop.kill_engine();
    shop.start();
}

#[test]
fn killed_while_a_run_is_under_way() {
    let shop = shop(&one(&[("action = \"slow\"", "1m"), ("action = \"look-around\"", "1m")]));
    shop.run(&["recover", "one", "--yes"]).ok();
    wait_until("the step is under way", PATIENCE, || did(&shop) == ["slow"]);
    kill_and_start(&shop);
    let now = status(&shop);
    assert_eq!((&now["state"], states(&now)[0]), (&"under-way".into(), "under-way"), "{now:#}");
    // And once more, with the run ended while nobody watched.
    shop.kill_engine();
    std::fs::write(shop.path("go"), "").unwrap();
    shop.start();
    let done = until(&shop, "it is complete", |s| s["state"] == "complete");
    assert_eq!(done["steps"][0]["runs"].as_array().unwrap().len(), 1, "{done:#}");
    assert_eq!(did(&shop), ["slow", "look"]);
    shop.verify();
}

#[test]
fn killed_while_a_person_is_waited_for_and_while_it_asks() {
    let shop =
        shop(&one(&[("look = \"call Ann\"", "1m"), ("action = \"warm\"", "1m"), ("action = \"look-around\"", "1m")]));
    std::fs::write(shop.path("warm-broken"), "").unwrap();
    std::fs::write(shop.path("api-up"), "").unwrap();
    shop.run(&["recover", "one", "--yes"]).ok();
    until(&shop, "a person is wanted", |s| s["wants_person"] == true);
    kill_and_start(&shop);
    assert_eq!(status(&shop)["wants_person"], true);
    shop.run(&["recover", "done"]).ok();
    let asks = until(&shop, "it stopped", |s| s["state"] == "asks");
    kill_and_start(&shop);
    let after = status(&shop);
    assert_eq!((&after["halt"], &after["steps"][1]["runs"]), (&asks["halt"], &asks["steps"][1]["runs"]));
    assert_eq!(did(&shop), ["warm"]);
    std::fs::remove_file(shop.path("warm-broken")).unwrap();
    shop.run(&["recover", "resume", "--wait"]).ok();
    assert_eq!(did(&shop), ["warm", "warm", "look"]);
}

/// Killed again and again at any moment, between steps too, no command of a step is executed twice.
#[test]
fn killed_again_and_again() {
    let shop = shop(FULL);
    shop.run(&["recover", "full", "--confirm", "docs"]).ok();
    let mut kills = 0;
    let begun = std::time::Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE * 4, "{:#}", status(&shop));
        // Somewhere else in its way each time: by how far the record has come.
        let entries = shop.entries().len();
        let more = kills % 4;
        let waited = std::time::Instant::now();
        while shop.entries().len() < entries + more && waited.elapsed() < std::time::Duration::from_secs(2) {}
        let now = status(&shop);
        match now["state"].as_str().unwrap() {
            "complete" => break,
            // Requested and never started, because the engine died before it handed it on: asked for again.
            "asks" => {
                let detail = now["halt"]["detail"].as_str().unwrap();
                assert!(detail.contains("expired") && detail.contains("not started"), "{now:#}");
                shop.run(&["recover", "resume"]).ok();
            }
            _ => {}
        }
        if kills < 12 {
            kills += 1;
            kill_and_start(&shop);
        }
    }
    assert!(kills > 3, "it was through after {kills} kills");
    assert_eq!(did(&shop), ["look", "restart", "warm"], "{:#}", status(&shop));
    assert_eq!(std::fs::read_to_string(shop.path("srv/docs/state")).unwrap(), "good");
    shop.verify();
}
