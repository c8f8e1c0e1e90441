//! `mayday export`: formats, what is kept, what is refused, the check of an edited review.

use super::support::Cockpit;

const CONFIG: &str = "[system]\nname = \"shop\"\n[[service]]\nname = \"api\"\ntier = 1\nrto = \"10m\"\n";

/// An incident with a few notes, and no engine any more.
fn told() -> (Cockpit, String) {
    let shop = Cockpit::new(CONFIG);
    let id = shop.run(&["incident", "declare", "orders fail", "--service", "api"]).ok().line();
    shop.run(&["incident", "ack"]).ok();
    shop.run(&["note", "TODO: find out why"]).ok();
    shop.run(&["engine", "stop"]).ok();
    (shop, id)
}

fn read(shop: &Cockpit, name: &str) -> String {
    std::fs::read_to_string(shop.path(name)).unwrap()
}

#[test]
fn each_format_is_written_the_same_twice_and_known_by_the_name_of_its_file() {
    let (shop, id) = told();
    for (name, begins) in [
        ("r.md", "<!-- mayday:review "),
        ("r.html", "<!doctype html>"),
        ("r.json", "{\n  \"schema\": 1"),
        ("r.csv", "entry,at,recorded_at,"),
        ("r.cast", "{\"version\":3,"),
    ] {
        let path = shop.path(name);
        let path = path.to_str().unwrap();
        shop.run(&["export", &id, "-o", path]).ok();
        let first = read(&shop, name);
        assert!(first.starts_with(begins), "{name}: {}", &first[..80]);
        shop.run(&["export", "-o", path]).ok();
        assert_eq!(first, read(&shop, name), "{name}");
        assert!(!shop.path(&format!("{name}.bak")).exists(), "nothing changed, nothing is kept beside");
        let format = name.split('.').next_back().unwrap();
        assert!(shop.run(&["export", "--format", format]).ok().out == first, "{name}: as on standard output");
    }
    shop.run(&["export", "-o", "/dev/null"]).ok();
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file(), "a device stays a device");
    let schema: serde_json::Value = shop.run(&["export", "--schema"]).ok().json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn what_people_wrote_is_kept_and_other_files_are_left_alone() {
    let (shop, id) = told();
    let file = shop.path("review.md");
    let path = file.to_str().unwrap();
    shop.run(&["export", "-o", path]).ok();
    let fresh = read(&shop, "review.md");
    let begin = "<!-- mayday:write summary -->\n";
    let mut edited = fresh.replace(begin, &format!("{begin}Nobody could order for an hour.\n"));
    edited = edited.replace("## 2. Impact\n", "## 2. Impact\n\nAsk sales for the sum.\n");
    std::fs::write(&file, &edited).unwrap();
    shop.run(&["note", "and more", "--incident", &id]).ok();
    shop.run(&["engine", "stop"]).ok();
    let ran = shop.run(&["export", "-o", path]).ok();
    assert!(ran.err.contains("kept what was written") && ran.err.contains("1 line stood outside"), "{}", ran.err);
    let now = read(&shop, "review.md");
    assert!(now.contains("Nobody could order for an hour.") && now.contains("Ask sales for the sum."), "{now}");
    assert!(now.contains("and more") && !fresh.contains("and more"), "the timeline is refreshed");
    assert_eq!(read(&shop, "review.md.bak"), edited, "the one before stands beside it");
    // The page takes the parts from the Markdown beside it, and says so; elsewhere it is told where from.
    let page = shop.path("review.html");
    let ran = shop.run(&["export", "-o", page.to_str().unwrap()]).ok();
    assert!(ran.err.contains("review.md, which stands beside it"), "{}", ran.err);
    assert!(read(&shop, "review.html").contains("Nobody could order for an hour."));
    let out = shop.run(&["export", "--format", "html", "--from", path]).ok().out;
    assert!(out.contains("Ask sales for the sum."), "{out}");
    // Files of others, and reviews of other incidents.
    for (name, text, format) in [
        ("list.md", "# shopping\n- milk\n", "md"),
        ("list.html", "<p>mine</p>", "html"),
        ("list.json", "{\"mine\": 1}", "json"),
        ("list.csv", "a,b\r\n", "csv"),
        ("list.cast", "{\"version\": 2}", "cast"),
    ] {
        let path = shop.path(name);
        std::fs::write(&path, text).unwrap();
        let ran = shop.run(&["export", "--format", format, "-o", path.to_str().unwrap()]).expect(3);
        assert!(ran.err.contains("nothing was written") && ran.err.contains("choose another name"), "{}", ran.err);
        assert_eq!(read(&shop, name), text);
    }
    let other = shop.run(&["incident", "declare", "another"]).ok().line();
    shop.run(&["engine", "stop"]).ok();
    let ran = shop.run(&["export", &other, "-o", path]).expect(3);
    assert!(ran.err.contains(&format!("it is the review of {id}")), "{}", ran.err);
    shop.run(&["export", &other, "--format", "html", "--from", path]).expect(3);
    shop.run(&["export", &other, "--from", path, "--format", "csv"]).expect(2);
    assert_eq!(read(&shop, "review.md"), now);
}

#[test]
fn an_edited_review_is_checked_against_the_record() {
    let (shop, id) = told();
    let file = shop.path("review.md");
    let path = file.to_str().unwrap();
    shop.run(&["export", &id, "-o", path]).ok();
    assert!(shop.run(&["export", "--check", path]).ok().out.contains("SAME: "));
    let text = read(&shop, "review.md");
    let row = text.lines().find(|l| l.starts_with("| Declared to acknowledged |")).unwrap();
    let forged = text.replace(row, "| Declared to acknowledged | 99h00m00s |  | [1] |");
    let begin = "<!-- mayday:write summary -->\n";
    std::fs::write(&file, forged.replace(begin, &format!("{begin}As in [98765].\n"))).unwrap();
    let ran = shop.run(&["export", "--check", path]).expect(1);
    for said in ["Declared to acknowledged, Duration", "the document says  99h00m00s", "the record says", "entry 98765"]
    {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
    let json = shop.run(&["--json", "export", "--check", path]).expect(1).json();
    assert!(json["differences"].as_array().unwrap().len() >= 2, "{json:#}");
    std::fs::write(&file, "no review").unwrap();
    shop.run(&["export", "--check", path]).expect(2);
    shop.run(&["export", "--check", "/nowhere.md"]).expect(2);
}
