//! Follow-ups and reviews by the command line: proposed by notes, taken in from a document, late, closed.

use mayday::domain::Time;
use serde_json::Value;

use super::support::{Cockpit, Ran};

const CONFIG: &str = "[system]\nname = \"shop\"\n[[service]]\nname = \"api\"\ntier = 1\n[[service.exec]]\nrun = [\"true\"]\n\
                      every = \"1s\"\ntimeout = \"900ms\"\n[severity.P1]\nreview_within = \"2d\"\n";

fn list(shop: &Cockpit, args: &[&str]) -> Vec<Value> {
    let args = [&["followups", "--json"], args].concat();
    shop.run(&args).ok().json()["followups"].as_array().unwrap().clone()
}

fn said(of: &[Value]) -> Vec<String> {
    let word = |f: &Value, name: &str| f[name].as_str().unwrap_or("-").to_owned();
    of.iter()
        .map(|f| {
            let due = f["due"].as_str().map_or("-", |d| &d[..10]).to_owned();
            format!("{} {} {} {due} {}", word(f, "id"), word(f, "standing"), word(f, "owner"), word(f, "text"))
        })
        .collect()
}

#[test]
fn notes_propose_people_decide_and_what_is_late_is_told() {
    let shop = Cockpit::new(CONFIG);
    shop.start();
    shop.run(&["followups", "add", "too early"]).expect(3).says(&["no incident was ever declared"]);
    let inc = shop.run(&["incident", "declare", "api down", "--severity", "P1"]).ok().line();
    let note = shop.run(&["note", "TODO @bob 2026-01-15: rotate the key"]).ok().line();
    shop.run(&["note", "TODO look at the pool"]).ok();
    shop.run(&["note", "nothing TODO here"]).ok();
    let first =
        shop.run(&["followups", "add", "alert on the pool", "--owner", "ann", "--due", "14d", "--class", "detect"]);
    assert_eq!(first.ok().line(), format!("{inc}.1"));
    shop.run(&["followups", "add", "Alert on the Pool"]).expect(3).says(&[&format!("{inc}.1 says that already")]);
    shop.run(&["followups", "add", "x", "--class", "dance"]).expect(2);
    // From the note, with its words; then it is no proposal any more.
    shop.run(&["followups", "add", "--from", &note]).ok();
    shop.run(&["followups", "add", "--from", &note]).expect(3).says(&["was made into"]);
    let day = Time::from_ms(mayday::sys::clock::now_ms()).plus(std::time::Duration::from_secs(14 * 86_400)).date();
    let open = said(&list(&shop, &[]));
    assert_eq!(open[0], format!("{inc}.2 open bob 2026-01-15 rotate the key"));
    assert_eq!(open[1], format!("{inc}.1 open ann {day} alert on the pool"));
    assert!(open[2].ends_with("proposed - - look at the pool"), "{open:?}");
    assert_eq!(open.len(), 3);
    // Late, by whom, of which.
    assert_eq!(said(&list(&shop, &["--overdue"])), [open[0].clone()]);
    assert_eq!(said(&list(&shop, &["--owner", "ann"])), [open[1].clone()]);
    shop.run(&["followups", "--check"]).expect(1);
    shop.run(&["followups", "--owner", "ann", "--check"]).ok();
    let line = |ran: Ran| ran.ok().out;
    assert!(line(shop.run(&["followups", "--overdue"])).contains("OVERDUE"));
    shop.run(&["followups", "change", &format!("{inc}.2"), "--due", "2099-01-01", "--owner", "@carl"]).ok();
    shop.run(&["followups", "change", &format!("{inc}.2"), "--owner", "carl"]).expect(3);
    shop.run(&["followups", "--check"]).ok();
    // A proposal is dismissed by dropping it, with a reason.
    let proposal =
        list(&shop, &[]).iter().find(|f| f["standing"] == "proposed").unwrap()["id"].as_str().unwrap().to_owned();
    shop.run(&["followups", "drop", &proposal, "--reason", "we looked"]).ok();
    shop.run(&["followups", "done", &format!("{inc}.1")]).ok();
    shop.run(&["followups", "done", &format!("{inc}.1")]).expect(3).says(&["is done already"]);
    shop.run(&["followups", "reopen", &format!("{inc}.1"), "--reason", "it came back"]).ok();
    assert_eq!(list(&shop, &[]).len(), 2);
    let all = said(&list(&shop, &["--all"]));
    assert!(all.iter().any(|f| f.contains("dropped") && f.ends_with("look at the pool")), "{all:?}");
    // Closing warns and does not block.
    shop.run(&["incident", "resolve"]).ok();
    let status = shop.run(&["status"]);
    assert!(status.out.contains("2 follow-ups: mayday followups"), "{status:?}");
    let listed = line(shop.run(&["incident", "list"]));
    assert!(listed.contains("review due") && listed.contains("2 follow-ups"), "{listed}");
    let closed = shop.run(&["incident", "close"]).ok();
    closed.says(&["2 follow-ups not done", "the review is not reviewed yet: nobody has begun it"]);
    shop.verify();
}

#[test]
fn a_review_is_tracked_until_it_is_reviewed() {
    let shop = Cockpit::new(CONFIG);
    shop.start();
    let inc = shop.run(&["incident", "declare", "api down", "--severity", "P1"]).ok().line();
    shop.run(&["incident", "resolve"]).ok();
    shop.run(&["review", &inc, "--status", "finished"]).expect(2).says(&["draft, in-review, reviewed"]);
    shop.run(&["review", &inc, "--owner", "ann", "--status", "in-review", "--meeting", "2099-01-01T10:00:00Z"]).ok();
    shop.run(&["review", &inc, "--status", "in-review"]).expect(3);
    let is = shop.run(&["review", "--json"]).ok().json();
    assert_eq!((&is["status"], &is["owner"]), (&Value::from("in-review"), &Value::from("ann")));
    assert_eq!(is["meeting"], "2099-01-01T10:00:00.000Z");
    assert!(is["due"].is_string(), "{is}");
    shop.run(&["review", &inc, "--status", "reviewed"]).ok();
    // What is reviewed is not due any more, and closing has nothing to say of it.
    assert!(shop.run(&["review", "--json"]).ok().json()["due"].is_null());
    let closed = shop.run(&["incident", "close"]).ok();
    assert!(!closed.err.contains("review"), "{closed:?}");
}

#[test]
fn action_items_of_a_document_are_taken_in_once() {
    let shop = Cockpit::new(CONFIG);
    shop.start();
    let inc = shop.run(&["incident", "declare", "api down", "--severity", "P1"]).ok().line();
    let note = shop.run(&["note", "TODO rotate the key"]).ok().line();
    shop.run(&["incident", "resolve"]).ok();
    let review = shop.path("REVIEW.md");
    let path = review.display().to_string();
    // The document that mayday writes itself, and what people write into it.
    shop.run(&["export", &inc, "-o", &path]).ok();
    let document = std::fs::read_to_string(&review).unwrap();
    let (_, items) = document.split_once("Action items").expect("a section for them");
    let row = items.lines().find(|l| l.contains("rotate the key")).expect("the TODO is a row");
    assert!(row.contains(&note), "{row}");
    let mine = format!(
        "# {inc}: api down\n\n## Action items\n\n| What | Type | Owner | Due | From |\n| --- | --- | --- | --- | --- |\n\
         | TODO rotate the key | prevent | @bob | 2099-12-01 | e{note} |\n| train everybody | process | ann | soon | |\n\
         | | | | within 2 weeks | |\n\n- [ ] a probe of the pool (owner carl, detect)\n\n## Next\n\n- no item\n"
    );
    std::fs::write(&review, mine).unwrap();
    let preview = shop.run(&["followups", "import", &path, "--preview"]).ok();
    assert!(preview.out.contains("would be opened: train everybody"), "{preview:?}");
    assert_eq!(list(&shop, &[]).len(), 1, "a preview changes nothing");
    let taken = shop.run(&["followups", "import", &path]).ok().says(&["\"soon\" is no day"]);
    assert!(taken.out.contains(&format!("{inc}: 3 taken in, 0 on record already")), "{taken:?}");
    let once = said(&list(&shop, &[]));
    assert!(once.iter().any(|f| f.ends_with("open bob 2099-12-01 rotate the key")), "{once:?}");
    assert!(once.iter().any(|f| f.ends_with("open ann - train everybody")), "{once:?}");
    assert!(once.iter().any(|f| f.ends_with("open carl - a probe of the pool")), "{once:?}");
    let entries = shop.entries().len();
    let again = shop.run(&["followups", "import", &path]).ok();
    assert!(again.out.contains("0 taken in, 3 on record already"), "{again:?}");
    assert_eq!((shop.entries().len(), said(&list(&shop, &[]))), (entries, once));
    std::fs::write(&review, "# nothing\n").unwrap();
    shop.run(&["followups", "import", &path]).expect(2).says(&["Action items"]);
}
