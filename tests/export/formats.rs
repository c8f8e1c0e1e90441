//! The review as a page, a table and a recording: complete, harmless, and read by other programs than mayday.

use std::io::Write as _;
use std::process::{Command, Stdio};

use mayday::report::{Extra, Review, cast, csv, html, json, markdown};
use serde_json::Value as Json;

use super::incidents::{self, ID, Told};
use super::more;

/// All incidents that there are, by name.
pub fn every() -> Vec<(&'static str, Told)> {
    vec![
        ("missing_ack", incidents::missing_ack()),
        ("overlapping", incidents::overlapping()),
        ("reopened", incidents::reopened()),
        ("still_open", incidents::still_open()),
        ("restored", incidents::restored()),
        ("severity_twice", incidents::severity_twice()),
        ("led", incidents::led()),
        ("declared_first", incidents::declared_first()),
        ("hostile", incidents::hostile()),
        ("led_by_two", incidents::led_by_two()),
        ("whole", more::whole()),
        ("clocks_back", more::clocks_back()),
        ("stepped_back", more::stepped_back()),
        ("older_copy", more::older_copy()),
        ("retold", more::retold()),
    ]
}

pub fn page(told: &Told, extra: Extra<'_>) -> String {
    let review = Review::new(&told.entries, ID, extra).unwrap();
    html::render(&review, &markdown::render(&review)).unwrap()
}

/// Runs Python with `input`, and gives what it printed. It is there: `.ci/run` installs it.
#[track_caller]
fn python(script: &str, input: &str) -> String {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is needed: .ci/run servers installs it");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Reads a page as a browser would: tags that fit, anchors, links, whether anything could be loaded or run.
const READ_PAGE: &str = r#"
import sys, html.parser, json
VOID = {"meta","br","hr","link","img","input"}
class P(html.parser.HTMLParser):
    def __init__(s):
        super().__init__(); s.stack=[]; s.ids=[]; s.links=[]; s.tags=set(); s.attrs=set(); s.svg=0; s.headers=True; s.bad=[]; s.text=[]
    def handle_starttag(s, tag, attrs):
        s.tags.add(tag)
        for k, v in attrs:
            s.attrs.add(k)
            if k == "id": s.ids.append(v)
            if k == "href": s.links.append(v)
            if k in ("src","srcset","style","background") or k.startswith("on"): s.bad.append((tag,k,v))
        if tag == "th" and not any(k == "scope" for k, _ in attrs): s.bad.append((tag,"scope",None))
        if tag == "svg":
            s.svg += 1
            if dict(attrs).get("role") != "img" or not dict(attrs).get("aria-labelledby"): s.bad.append((tag,"role",None))
        if tag not in VOID: s.stack.append(tag)
    def handle_startendtag(s, tag, attrs):
        s.tags.add(tag)
    def handle_endtag(s, tag):
        if not s.stack or s.stack.pop() != tag: s.bad.append((tag,"end",None))
    def handle_data(s, d):
        if "style" not in s.stack: s.text.append(d)
p = P(); p.feed(sys.stdin.read()); p.close()
if p.stack: p.bad.append(("open", p.stack, None))
print(json.dumps({"ids":p.ids,"links":p.links,"tags":sorted(p.tags),"svg":p.svg,"bad":p.bad,"text":"".join(p.text)}))
"#;

fn read_page(page: &str) -> Json {
    serde_json::from_str(&python(READ_PAGE, page)).unwrap()
}

#[test]
fn a_page_loads_nothing_runs_nothing_and_every_citation_leads_to_its_row() {
    let samples = more::samples();
    for (name, told) in every() {
        let extra = Extra { samples: (name == "whole").then_some(samples.as_bytes()), ..Extra::default() };
        let page = page(&told, extra);
        let read = read_page(&page);
        assert_eq!(read["bad"], Json::Array(Vec::new()), "{name}");
        let tags: Vec<&str> = read["tags"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
        for forbidden in ["script", "img", "link", "iframe", "object", "embed", "form", "base"] {
            assert!(!tags.contains(&forbidden), "{name}: {forbidden}");
        }
        let ids: Vec<&str> = read["ids"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{name}: an id is there twice");
        for link in read["links"].as_array().unwrap().iter().filter_map(Json::as_str) {
            let target = link.strip_prefix('#').unwrap_or_else(|| panic!("{name}: {link}"));
            assert!(ids.contains(&target), "{name}: {link} leads nowhere");
        }
        assert!(read["svg"].as_u64().unwrap() >= 1, "{name}");
        assert!(page.contains("default-src 'none'"), "{name}");
    }
}

#[test]
fn the_policy_of_the_page_names_its_own_style() {
    let page = page(&incidents::missing_ack(), Extra::default());
    let said = python(
        "import sys,re,hashlib,base64\n\
         t=sys.stdin.read(); s=re.search('<style>(.*?)</style>',t,re.S).group(1)\n\
         print(base64.b64encode(hashlib.sha256(s.encode()).digest()).decode())",
        &page,
    );
    assert!(page.contains(&format!("style-src 'sha256-{}'", said.trim())), "{said}");
}

#[test]
fn text_from_outside_stays_text_in_every_format() {
    let told = incidents::hostile();
    let mask = mayday::text::Mask::new(["planted-secret-0815".to_owned()]);
    let extra = Extra { mask, ..Extra::default() };
    let review = Review::new(&told.entries, ID, extra.clone()).unwrap();
    let page = page(&told, extra);
    let (table, recording) = (csv::render(&review), cast::render(&review));
    for document in [&page, &table, &recording] {
        for bad in ["planted-secret-0815", "hunter22", "\u{202e}", "\u{9b}"] {
            assert!(!document.contains(bad), "{bad:?}");
        }
    }
    for bad in ["<script", "<img", "href=\"http", "href=\"javascript"] {
        assert!(!page.contains(bad), "{bad:?}");
    }
    assert!(!page.contains('\u{1b}') && !table.contains('\u{1b}'));
    assert!(
        read_page(&page)["text"].as_str().unwrap().contains("<script>alert(1)</script>"),
        "it shows as it was written"
    );
}

#[test]
fn what_people_write_is_shown_and_nothing_of_it_is_active() {
    let told = incidents::missing_ack();
    let review = Review::new(&told.entries, ID, Extra::default()).unwrap();
    let fresh = markdown::render(&review);
    let begin = "<!-- mayday:write summary -->\n";
    let at = fresh.find(begin).unwrap() + begin.len();
    let text = "# Our words\n\n**bold** and [61] and [4] and `code`\n\n- a list\n\n1. one\n2. two\n\n4. four\n\n```\nopen fence <b>\n\
                [x](javascript:alert(1)) ![p](https://evil.example/p.png) <script>alert(2)</script>\n";
    let edited = format!("{}{text}{}", &fresh[..at], &fresh[at..]);
    let page = html::render(&review, &edited).unwrap();
    let read = read_page(&page);
    assert_eq!(read["bad"], Json::Array(Vec::new()));
    assert!(page.contains("<strong>bold</strong>") && page.contains("Our words</h3>"));
    assert!(!page.contains("<script") && !page.contains("javascript:alert(1)\"") && !page.contains("<img"));
    // The fence that they left open ends with their place.
    assert!(page.contains("id=\"s-impact\""));
    let mut outside = edited.clone();
    outside.insert_str(at, "[x](javascript:alert(1)) ![p](https://evil.example/p.png) <b onclick=x>\n\n");
    let page = html::render(&review, &outside).unwrap();
    assert_eq!(read_page(&page)["bad"], Json::Array(Vec::new()));
    assert!(!page.contains("javascript:") || !page.contains("href=\"javascript"));
    assert!(page.contains("<a href=\"https://evil.example/p.png\" rel=\"noopener noreferrer\">p</a>"));
}

#[test]
fn a_spreadsheet_reads_the_timeline_and_runs_no_formula() {
    for (name, mut told) in every() {
        if name == "whole" {
            for text in ["=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "  =1", "a,b \"c\"\nsecond line"] {
                told.note("12:00:00", text);
            }
        }
        let review = Review::new(&told.entries, ID, Extra::default()).unwrap();
        let text = csv::render(&review);
        let read: Vec<Vec<String>> = serde_json::from_str(&python(
            "import sys,csv,json,io\n\
             d=sys.stdin.buffer.read().decode(); assert d.endswith('\\r\\n')\n\
             print(json.dumps(list(csv.reader(io.StringIO(d,newline=''),strict=True))))",
            &text,
        ))
        .unwrap();
        assert_eq!(read[0], csv::COLUMNS, "{name}");
        let document: Json = serde_json::from_str(&json::render(&review)).unwrap();
        let rows = document["timeline"].as_array().unwrap();
        assert_eq!(read.len(), rows.len() + 1, "{name}");
        for (cells, row) in read[1..].iter().zip(rows) {
            assert_eq!(cells.len(), csv::COLUMNS.len());
            assert_eq!(
                (cells[0].as_str(), cells[1].as_str()),
                (row["seq"].to_string().as_str(), row["at"].as_str().unwrap())
            );
            for (column, cell) in csv::COLUMNS.iter().zip(cells).filter(|(c, _)| **c != "t_ms") {
                assert!(!cell.trim_start().starts_with(['=', '+', '-', '@']), "{name}: {column} {cell:?}");
            }
            let plain = cells[15].trim_start_matches('\'');
            assert_eq!(plain.trim(), row["text"].as_str().unwrap().trim(), "{name}");
        }
    }
}

/// The schema with nothing allowed that it does not name, so that no field goes without a description.
fn strict(node: &mut Json) {
    match node {
        Json::Object(fields) => {
            if fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".into(), false.into());
            }
            fields.values_mut().for_each(strict);
        }
        Json::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

#[test]
fn the_published_schema_describes_every_field_of_every_review() {
    let mut schema: Json = serde_json::from_str(mayday::cli::export::SCHEMA).unwrap();
    let shipped = std::fs::read_to_string(format!("{}/config/review.schema.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert_eq!(shipped, mayday::cli::export::SCHEMA, "what is printed is what is shipped");
    strict(&mut schema);
    let documents: Vec<Json> = every()
        .into_iter()
        .map(|(_, told)| {
            let review = Review::new(&told.entries, ID, Extra::default()).unwrap();
            serde_json::from_str(&json::render(&review)).unwrap()
        })
        .collect();
    let mut broken = documents[0].clone();
    broken["measures"][0]["entries"] = "none".into();
    let input = serde_json::json!({ "schema": schema, "documents": documents, "broken": broken });
    let said = python(
        "import sys,json\n\
         from jsonschema import Draft202012Validator as V\n\
         d=json.load(sys.stdin); V.check_schema(d['schema']); v=V(d['schema'])\n\
         for n,doc in enumerate(d['documents']):\n\
         \x20 for e in list(v.iter_errors(doc))[:3]: print(n, list(e.absolute_path), e.message[:300])\n\
         if not list(v.iter_errors(d['broken'])): print('a broken document passes')",
        &input.to_string(),
    );
    assert_eq!(said, "", "{said}");
}

/// By the format's own page (<https://docs.asciinema.org/manual/asciicast/v3/>); the player itself is not part of the tests.
#[test]
fn the_recording_is_an_asciicast_whose_times_add_up() {
    for (name, told) in every() {
        let review = Review::new(&told.entries, ID, Extra::default()).unwrap();
        let text = cast::render(&review);
        let mut lines = text.lines();
        let head: Json = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!((&head["version"], &head["idle_time_limit"]), (&Json::from(3), &Json::from(2.0)));
        assert!(head["term"]["cols"].as_u64().unwrap() > 0 && head["term"]["rows"].as_u64().unwrap() > 0);
        assert!(head["timestamp"].is_i64() && head.get("env").is_none() && head.get("command").is_none());
        let (cols, rows) =
            (head["term"]["cols"].as_u64().unwrap() as u16, head["term"]["rows"].as_u64().unwrap() as u16);
        let mut screen = vt100::Parser::new(rows, cols, 0);
        let (mut total, mut marks, mut last) = (0.0, 0, String::new());
        for line in lines {
            let event: (f64, String, String) = serde_json::from_str(line).unwrap();
            assert!(event.0 >= 0.0, "{line}");
            total += event.0;
            match event.1.as_str() {
                "o" => screen.process(event.2.as_bytes()),
                "m" => {
                    assert!(event.2.starts_with('#'), "{line}");
                    marks += 1;
                }
                other => last = format!("{other} {}", event.2),
            }
        }
        assert_eq!(last, "x 0", "{name}");
        let lines = review.lines();
        let told: Vec<_> = lines.iter().filter(|l| l.is_told()).collect();
        assert_eq!(marks, told.len(), "{name}");
        // No drift: all intervals together are the time from the first to the last entry, and two seconds.
        let whole = told.last().unwrap().level.ms_since(told[0].level) as f64 / 1000.0 + 2.0;
        assert!((total - whole).abs() < 0.000_5, "{name}: {total} {whole}");
        let shown = screen.screen().contents();
        assert!(shown.contains(ID) && shown.contains(&told.last().unwrap().at.hms()), "{name}:\n{shown}");
    }
}

#[test]
fn the_drawings_say_what_the_tables_say() {
    let samples = more::samples();
    let told = more::whole();
    let page = page(&told, Extra { samples: Some(samples.as_bytes()), ..Extra::default() });
    for said in [
        "api down: 2026-11-20 02:03:11Z to 02:35:00Z, 31m49s",
        "Latency of api",
        "Updates due against updates sent",
        "acknowledged 02:06",
        "nobody measured",
    ] {
        assert!(page.contains(said), "{said}");
    }
    // A line ends where nobody measured: the api's is drawn in three parts at least, before, after and behind the gap.
    let path = page.split("class=\"median\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(path.matches('M').count() >= 3, "{path}");
    if let Ok(folder) = std::env::var("MAYDAY_PAGES") {
        std::fs::write(format!("{folder}/whole.html"), &page).unwrap();
        let review =
            Review::new(&told.entries, ID, Extra { samples: Some(samples.as_bytes()), ..Extra::default() }).unwrap();
        std::fs::write(format!("{folder}/whole.md"), markdown::render(&review)).unwrap();
        std::fs::write(format!("{folder}/whole.cast"), cast::render(&review)).unwrap();
    }
}
