//! A recovery by keys alone, on a real terminal.

use super::*;
use support::Pty;

#[test]
fn started_answered_and_seen_through_by_keys() {
    let shop = shop(&one(&[
        ("look = \"call Ann\"", "1m"),
        ("restore = \"docs\"", "1m"),
        ("action = \"warm\"", "1m"),
        ("healthy = [\"db\"]", "1m"),
    ]));
    shop.run(&["incident", "declare", "data lost", "--service", "db"]).ok();
    std::fs::write(shop.path("warm-broken"), "").unwrap();
    std::fs::write(shop.path("api-up"), "").unwrap();
    let mut pty = Pty::mayday(&shop.home, &[], 100, 30);
    pty.wait_for("● live");
    pty.send("5");
    pty.wait_for("data lost");
    pty.send("W");
    // Every step stands there before anything happens; the typed name starts it, and nothing less.
    pty.wait_for("Type docs to go on");
    assert!(pty.screen().contains("call Ann") && pty.screen().contains("DESTRUCTIVE"), "{}", pty.screen());
    assert!(kinds(&shop).is_empty());
    // A key on the heels of a dialog's first frame does not count: typed until it is there.
    let begun = std::time::Instant::now();
    while !pty.screen().contains("waits for a person") {
        assert!(begun.elapsed() < PATIENCE, "{}", pty.screen());
        pty.send("\x15docs\r");
        let sent = std::time::Instant::now();
        while sent.elapsed() < std::time::Duration::from_millis(500) && !pty.screen().contains("waits for a person") {
            std::thread::yield_now();
        }
    }
    // A person does the first step and says so.
    pty.send("W");
    pty.wait_for("The step that a person does is done");
    pty.send("\r");
    pty.wait_for("RECOVERY STOPPED, 5 W answers it: one step 3 of 4");
    assert_eq!(std::fs::read_to_string(shop.path("srv/docs/state")).unwrap(), "good");
    std::fs::remove_file(shop.path("warm-broken")).unwrap();
    pty.send("W");
    pty.wait_for("recovery: resume");
    pty.send("\r");
    pty.wait_for("complete");
    assert_eq!(did(&shop), ["warm", "warm"]);
    assert_eq!(states(&status(&shop)), ["good"; 4]);
    pty.send("q");
    pty.wait_exit(PATIENCE);
    pty.assert_given_back();
}
