//! The records of two hosts for one incident in one review.

use super::support::Cockpit;

const CONFIG: &str = "[system]\nname = \"shop\"\n";

#[test]
fn two_records_make_one_story_and_each_chain_is_verified_for_itself() {
    let (a, b) = (Cockpit::new(CONFIG), Cockpit::new(CONFIG));
    let inc = a.run(&["incident", "declare", "outage"]).ok().line();
    b.run(&["incident", "declare", "something before"]).ok();
    b.run(&["incident", "resolve", "--force", "--reason", "r"]).ok();
    let there = b.run(&["incident", "declare", "the same outage"]).ok().line();
    assert_ne!(inc, there);
    a.run(&["note", "seen from alpha"]).ok();
    let seq = b.run(&["note", "seen from beta"]).ok().line();
    let journal = b.state().join("journal.jsonl");
    let with = format!("{}={there}", journal.display());
    let md = a.run(&["export", &inc, "--with", &with, "--skew", "2.5s"]).ok().out;
    for wanted in [
        "## Timeline of all hosts",
        "seen from alpha",
        "seen from beta",
        &format!("[b:{seq}]"),
        "ahead by 2.500 s",
        "whole",
    ] {
        assert!(md.contains(wanted), "{wanted} is not in {md}");
    }
    let again = a.run(&["export", &inc, "--with", &with, "--skew", "2.5s"]).ok().out;
    assert_eq!(md, again, "the same records give the same bytes");
    let json = a.run(&["export", &inc, "--format", "json", "--with", &with]).ok().json();
    let heads: Vec<&str> =
        json["merged"]["records"].as_array().unwrap().iter().map(|r| r["head"].as_str().unwrap()).collect();
    assert!(heads.len() == 2 && heads[0] != heads[1] && heads.iter().all(|h| h.len() == 64), "{heads:?}");
    // By its own name it is another incident there.
    let plain = journal.display().to_string();
    let told = a.run(&["export", &inc, "--with", &plain]).ok().out;
    assert!(told.contains("something before") && !told.contains("seen from beta"), "{told}");
    a.run(&["export", &inc, "--with", &format!("{plain}=INC-1999-001")])
        .expect(2)
        .says(&["has no incident INC-1999-001"]);
    a.run(&["export", &inc, "--with", "/no/such/file"]).expect(1);
    a.run(&["export", &inc, "--skew", "2.5s"]).expect(2).says(&["--with"]);
    // A record that was changed is told as such, and the own one stays whole.
    b.run(&["engine", "stop"]).ok();
    let text = std::fs::read_to_string(&journal).unwrap().replace("seen from beta", "seen from Beta");
    std::fs::write(&journal, text).unwrap();
    let told = a.run(&["export", &inc, "--with", &with]).ok().out;
    assert!(told.contains("NOT WHOLE") && told.contains("| whole |"), "{told}");
}
