//! `backups list` and `copies`: what is known of copies, for people and scripts.

use super::shop;

#[test]
fn a_test_restore_stands_beside_its_set_and_its_copy() {
    let shop = shop();
    shop.until_code(&["restore", "documents", "--plan"], 0);
    let list = shop.run(&["backups", "list"]).ok();
    assert!(list.out.contains("never proven"), "{}", list.out);
    let run = shop.run(&["restore", "documents", "--test", "--yes", "--wait", "--json"]).ok().json();
    assert_eq!(run["verdict"], "verified", "{run:#}");
    let id = run["id"].as_str().unwrap();
    let by = format!("ago by run {id}");
    let list = shop.run(&["backups", "list"]).ok();
    assert!(list.out.contains("proven") && list.out.contains(&by), "{}", list.out);
    assert!(!list.out.contains("never"), "{}", list.out);
    let set = shop.run(&["backups", "list", "--json"]).ok().json()[0].clone();
    assert_eq!((set["proven"]["run"].as_str(), set["proven"]["copy"].as_str()), (Some(id), Some("one.tar")), "{set:#}");
    super::status::rfc3339_ms(&set["proven"]["at"]);
    let copies = shop.run(&["backups", "copies", "documents"]).ok();
    assert!(copies.out.contains("  proven ") && copies.out.contains(&by), "{}", copies.out);
    let copy = shop.run(&["backups", "copies", "documents", "--json"]).ok().json()[0].clone();
    assert_eq!((copy["id"].as_str(), copy["proven"]["run"].as_str()), (Some("one.tar"), Some(id)), "{copy:#}");
    assert!(copy.get("test_failed").is_none(), "{copy:#}");
}

#[test]
fn a_copy_that_lies_ready_is_pointed_to_only_when_it_holds_the_same_and_is_there() {
    let shop = shop();
    shop.until_code(&["restore", "documents", "--plan"], 0);
    let restore = |more: &[&str]| {
        let args = [&["restore", "documents"], more, &["--yes", "--wait", "--json"]].concat();
        let run = shop.run(&args).json();
        assert_eq!(run["state"], "succeeded", "{run:#}");
        (run["id"].as_str().unwrap().to_owned(), run["sides"][0]["name"].as_str().unwrap().to_owned())
    };
    let planned = |more: &[&str]| shop.run(&[&["restore", "documents"], more, &["--plan"]].concat()).ok().out;
    let (parts, _) = restore(&["--only", "a.*"]);
    let plan = planned(&[]);
    assert!(!plan.contains("restored already"), "the whole is not among parts: {plan}");
    let plan = planned(&["--only", "a.*"]);
    assert!(plan.contains("(only a.*)") && plan.contains(&format!("--cut-over --run {parts}")), "{plan}");
    let list = shop.run(&["runs"]).ok().out;
    assert!(list.contains("only a.*: ready to be copied in") && !list.contains("ready to cut over"), "{list}");
    let (whole, folder) = restore(&[]);
    let plan = planned(&[]);
    assert!(plan.contains("restored already") && plan.contains(&format!("--cut-over --run {whole}")), "{plan}");
    let plan = planned(&["--only", "*.txt"]);
    assert!(!plan.contains("restored already"), "{plan}");
    let plan = planned(&["--only", "a.*"]);
    assert!(plan.contains(&format!("--run {parts}")), "the older one holds the same: {plan}");
    std::fs::remove_dir_all(folder).unwrap();
    let plan = planned(&[]);
    assert!(!plan.contains("restored already"), "it was dropped by hand: {plan}");
}
