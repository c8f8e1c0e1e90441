//! A playbook by keys alone, on a real terminal of 80 by 24, and the golden path of an incident.

use super::*;
use support::Pty;

#[test]
fn led_through_by_keys() {
    let decide =
        "decide = \"which?\"\n[[playbook.step.option]]\nname = \"out\"\ntitle = \"nothing left\"\ngo = \"list\"";
    let text = format!(
        "{}[[checklist]]\nname = \"mine\"\nitems = [\"tell Ann\", \"tell Bob\"]\n",
        steps(&[
            (
                "look",
                "title = \"Look into the log\"\nmanual = \"the newest lines\"\nwithin = \"5m\"\nowner = \"operations\"\nevidence = true"
            ),
            ("restart", "title = \"Restart the api\"\nrestart = \"api\""),
            ("which", decide),
            ("list", "checklist = \"mine\""),
            ("last", "title = \"Go home\"\nmanual = \"by bus\""),
        ])
    );
    let shop = open(&text);
    shop.run(&["incident", "declare", "slow", "--service", "api"]).ok();
    let mut pty = Pty::mayday(&shop.home, &[], 80, 24);
    pty.wait_for("● live");
    pty.send("p");
    pty.wait_for("starting one does nothing by itself");
    pty.send("\r");
    pty.wait_for("step 1 of 5");
    // The step, what it says, its clock, who does it, what comes next, and which keys do what.
    for said in ["Look into the log", "the newest lines", "left of 5m", "operations", "Restart the api", "enter done"] {
        pty.wait_for(said);
    }
    pty.send("\r");
    pty.wait_for("(needed; paste it)");
    pty.send("an error line\r");
    pty.wait_for("step 2 of 5");
    assert!(did(&shop).is_empty());
    pty.send("\r");
    pty.wait_for("Do it?");
    // A key on the heels of a dialog's first frame does not count.
    let begun = std::time::Instant::now();
    while !pty.screen().contains("step 3 of 5") {
        assert!(begun.elapsed() < PATIENCE, "{}", pty.screen());
        if pty.screen().contains("Do it?") {
            pty.send("y");
        }
        std::thread::yield_now();
    }
    assert_eq!(did(&shop), ["restart"]);
    pty.send("\r");
    pty.wait_for("nothing left");
    pty.send("\r");
    pty.wait_for("step 4 of 5");
    pty.send(" ");
    pty.wait_for("1 of 2 ticked");
    pty.send(" ");
    pty.wait_for("2 of 2 ticked");
    pty.send("\r");
    pty.wait_for("step 5 of 5");
    pty.send("S");
    pty.wait_for("why is it passed over?");
    pty.send("on foot\r");
    pty.wait_for("complete");
    let over = status(&shop);
    assert_eq!((state(&over, "look"), state(&over, "last")), ("done", "skipped"));
    assert_eq!(find(&over, "look")["detail"], "an error line");
    pty.send("q");
    pty.send("q");
    pty.wait_exit(PATIENCE);
    pty.assert_given_back();
}

#[test]
fn left_by_one_viewer_and_resumed_by_another() {
    let shop = open(&steps(&[("a", "manual = \"first\""), ("b", "manual = \"second\"")]));
    let mut pty = Pty::mayday(&shop.home, &[], 120, 36);
    pty.wait_for("● live");
    pty.send("p");
    pty.wait_for("starting one does nothing");
    pty.send("\r");
    pty.wait_for("step 1 of 2");
    pty.send("L");
    pty.wait_for("whoever comes next resumes it");
    pty.send("shift ends\r");
    pty.wait_for("resume it");
    pty.send("qq");
    pty.wait_exit(PATIENCE);
    // Its text changes meanwhile: asked before anything goes on.
    shop.configure(&format!(
        "{CONFIG}{}",
        steps(&[("a", "manual = \"first, but other\""), ("b", "manual = \"second\"")])
    ));
    shop.run(&["engine", "reload"]).ok();
    until(&shop, "the change is seen", |s| s["changed"].is_object());
    let mut pty = Pty::mayday(&shop.home, &[], 120, 36);
    pty.wait_for("● live");
    pty.send("p");
    pty.wait_for("was left at step 1 of 2");
    pty.send("\r");
    pty.wait_for("keep the old text");
    assert!(pty.screen().contains("first, but other"), "{}", pty.screen());
    pty.send("\r");
    until(&shop, "the old one goes on", |s| s["state"] == "under-way" && s["changed"].is_null());
    pty.wait_for("enter done");
    assert_eq!(status(&shop)["steps"][0]["text"], "first");
    pty.send("qq");
    pty.wait_exit(PATIENCE);
}

/// Keys that were pressed, counted one by one.
struct Counted {
    pty: Pty,
    pressed: usize,
}

impl Counted {
    /// Presses `keys` and waits until the screen shows what follows.
    #[track_caller]
    fn press(&mut self, keys: &str, shows: &str) {
        self.pressed += keys.len();
        self.pty.send(keys);
        self.pty.wait_for(shows);
    }

    /// The same for a dialog: a key on the heels of its first frame does not count for it, but does here.
    #[track_caller]
    fn press_until(&mut self, key: &str, shows: &str) {
        wait_until(&format!("{key:?} leads to {shows:?}"), PATIENCE, || {
            if self.pty.screen().contains(shows) {
                return true;
            }
            self.pressed += key.len();
            self.pty.send(key);
            let sent = std::time::Instant::now();
            while sent.elapsed() < std::time::Duration::from_secs(2) && !self.pty.screen().contains(shows) {
                std::thread::yield_now();
            }
            self.pty.screen().contains(shows)
        });
    }
}

/// Declare, acknowledge, start the playbook, run its restart, tick, send the update, resolve.
#[test]
fn the_golden_path_takes_fewer_than_25_keys() {
    let hook = support::HttpScript::start(vec![support::Answer::ok("ok")]);
    let text = format!(
        "{}[[checklist]]\nname = \"mine\"\nitems = [\"tell Ann\", \"tell Bob\"]\n\
         [[channel]]\nname = \"chat\"\nwebhook = {{ url = \"{}\" }}\n",
        steps(&[
            ("restart", "title = \"Restart the api\"\nrestart = \"api\""),
            ("list", "checklist = \"mine\""),
            ("word", "title = \"Say so\"\nmessage = \"update\"\nchannels = [\"chat\"]"),
        ]),
        hook.url("/chat")
    );
    let shop = open(&text);
    std::fs::remove_file(shop.path("api-up")).unwrap();
    shop.until_code(&["status"], 2);
    let pty = Pty::mayday(&shop.home, &[], 100, 30);
    pty.wait_for("● live");
    pty.wait_for("DOWN");
    let mut path = Counted { pty, pressed: 0 };
    path.press("d", "P0");
    path.press("\r", "INC-");
    path.press("a", "led by");
    path.press("p", "starting one does nothing by itself");
    path.press("\r", "step 1 of 3");
    path.press("\r", "Do it?");
    path.press_until("y", "step 2 of 3");
    path.press(" ", "1 of 2 ticked");
    path.press(" ", "2 of 2 ticked");
    path.press("\r", "step 3 of 3");
    path.press("\r", "update message");
    path.press_until("\t", "Send it?");
    path.press("y", "playbook one is through");
    // The cache has no check.
    shop.until_code(&["status"], 3);
    path.press("s", "status of INC-");
    path.press("res", "resolved");
    path.press("\r", "status resolved");
    assert!(path.pressed < 25, "{} keys", path.pressed);
    assert!(hook.requests().iter().any(|r| r.text().contains("INC-")), "the update arrived");
    let shown = shop.run(&["incident", "list", "--json"]).ok().json();
    assert_eq!(shown[0]["status"], "resolved", "{shown:#}");
    path.pty.send("q");
    path.pty.wait_exit(PATIENCE);
}
