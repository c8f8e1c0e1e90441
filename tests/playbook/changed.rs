//! The file of a playbook changes while it is under way, or while nobody is there.

use super::support::{PATIENCE, wait_until};
use super::{open, shop, state, status, steps, until};

#[test]
fn a_changed_file_is_shown_and_asked_about() {
    let before = steps(&[("a", "manual = \"first\""), ("b", "manual = \"second\"")]);
    let after =
        steps(&[("a", "manual = \"first, but other\""), ("c", "manual = \"new\""), ("b", "manual = \"second\"")]);
    let shop = open(&before);
    shop.run(&["playbook", "start", "one"]).ok();
    shop.run(&["playbook", "leave"]).ok();
    shop.configure(&format!("{}{after}", super::CONFIG));
    shop.run(&["engine", "reload"]).ok();
    until(&shop, "the change is seen", |s| s["changed"].is_object());
    shop.run(&["playbook", "resume"]).expect(3).says(&[
        "has changed since it was started",
        "step a: its text was \"first\", now \"first, but other\"",
        "step c (c) is new",
        "--keep",
    ]);
    assert_eq!(status(&shop)["state"], "left");
    shop.run(&["playbook", "resume", "--take-new", "--from", "x"]).expect(2).says(&["no step \"x\"", "a, c, b"]);
    shop.run(&["playbook", "resume", "--take-new", "--from", "c"]).ok();
    let now = status(&shop);
    assert_eq!((&now["at"], state(&now, "c")), (&"c".into(), "under-way"));
    shop.verify();
}

#[test]
fn the_old_text_can_be_kept_and_holds_as_it_was() {
    let before = steps(&[("a", "manual = \"first\""), ("b", "manual = \"second\"")]);
    let shop = open(&before);
    shop.run(&["playbook", "start", "one"]).ok();
    // Changed while no engine runs, and found out by the next one.
    shop.kill_engine();
    shop.configure(&format!("{}{}", super::CONFIG, steps(&[("a", "manual = \"other\"")])));
    shop.start();
    until(&shop, "the change is seen", |s| s["changed"].is_object());
    shop.run(&["playbook", "next"]).expect(3).says(&["has changed since it was started"]);
    shop.run(&["playbook", "resume", "--keep"]).ok();
    shop.run(&["playbook", "next"]).ok();
    let now = status(&shop);
    assert_eq!((&now["at"], &now["steps"][0]["text"]), (&"b".into(), &"first".into()));
    // Not asked again, not even by another engine.
    super::again::kill_and_start(&shop);
    shop.run(&["playbook", "next"]).ok();
    assert_eq!(status(&shop)["state"], "complete");
}

#[test]
fn a_file_that_is_put_back_is_no_change_and_one_that_is_gone_is_kept() {
    let before = steps(&[("a", "manual = \"first\"")]);
    let shop = open(&before);
    shop.run(&["playbook", "start", "one"]).ok();
    shop.configure(super::CONFIG);
    shop.run(&["engine", "reload"]).ok();
    until(&shop, "it is gone", |s| s["changed"]["digest"] == "gone");
    shop.run(&["playbook", "resume", "--take-new", "--from", "a"]).expect(3).says(&["not configured any more"]);
    shop.configure(&format!("{}{before}", super::CONFIG));
    shop.run(&["engine", "reload"]).ok();
    until(&shop, "it is back", |s| s["changed"].is_null());
    shop.run(&["playbook", "next"]).ok();
    assert_eq!(status(&shop)["state"], "complete");
}

/// A file of the folder is saved, and nothing else: it is seen by itself.
#[test]
fn a_file_of_the_folder_is_seen_when_it_is_saved() {
    let shop = shop("[playbooks]\nfolder = \"HOME/books\"\n");
    let text = |name: &str, words: &str| {
        format!("name = \"{name}\"\ntitle = \"One\"\n[[step]]\nname = \"a\"\nmanual = \"{words}\"\n")
    };
    std::fs::create_dir(shop.path("books")).unwrap();
    std::fs::write(shop.path("books/mine.toml"), text("mine", "first")).unwrap();
    shop.start();
    shop.run(&["playbook", "start", "mine"]).ok();
    std::fs::write(shop.path("books/mine.toml"), text("mine", "other")).unwrap();
    until(&shop, "the change is seen", |s| s["changed"].is_object());
    std::fs::write(shop.path("books/second.toml"), text("second", "another")).unwrap();
    wait_until("the second is there", PATIENCE, || shop.run(&["playbook", "list"]).out.contains("second"));
    // A broken one keeps what was in force, and says so.
    std::fs::write(shop.path("books/second.toml"), "[[step]\n").unwrap();
    wait_until("it is told", PATIENCE, || shop.run(&["status"]).out.contains("second.toml"));
    assert!(shop.run(&["playbook", "list"]).out.contains("second"));
}
