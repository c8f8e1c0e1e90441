//! The timeline in its two layers, corrections of it, and evidence: through the real engine and the command line.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::support::{Cockpit, Home, PATIENCE, in_small_disk, wait_until};

const CONFIG: &str = r#"
[system]
name = "shop"
[[service]]
name = "api"
[[service.exec]]
run = ["true"]
every = "1s"
timeout = "900ms"
env = { TOKEN = { env = "API_TOKEN" } }
[[channel]]
name = "hook"
webhook = { url = "http://127.0.0.1:9/hook" }
[[action]]
name = "says"
risk = "observe"
run = ["sh", "-c", "seq 1 200"]
verify = { exec = { run = ["true"] } }
"#;
const TOKEN: &str = "pl4nt-token-Z9";

fn shop() -> (Cockpit, String) {
    let shop = Cockpit::in_home(Home::new().env_var("API_TOKEN", TOKEN), CONFIG);
    let id = shop.run(&["incident", "declare", "orders fail"]).ok().line();
    (shop, id)
}

fn note(shop: &Cockpit, text: &str) -> String {
    shop.run(&["note", text]).ok().line()
}

/// The lines of `mayday timeline` with these arguments.
fn timeline(shop: &Cockpit, args: &[&str]) -> String {
    shop.run(&[&["timeline"], args].concat()).ok().out
}

/// The row of an entry, by what is printed for scripts.
fn row(shop: &Cockpit, seq: &str, args: &[&str]) -> Value {
    let all = shop.run(&[&["timeline", "--json", "-n", "0"], args].concat()).ok().json();
    let all = all.as_array().unwrap();
    all.iter()
        .find(|r| r["seq"].as_u64() == seq.parse().ok())
        .unwrap_or_else(|| panic!("no row {seq}: {all:#?}"))
        .clone()
}

#[test]
fn every_correction_is_an_entry_and_the_first_wording_stays() {
    let (shop, id) = shop();
    let seq = note(&shop, "the cashe is cold");
    let other = note(&shop, "somebody else's words");
    let raw_before = timeline(&shop, &["--raw", "--text", "somebody"]);

    let by: u64 = shop.run(&["amend", "correct", &seq, "the", "cache", "is", "cold"]).ok().line().parse().unwrap();
    assert!(by > other.parse().unwrap());
    let told = timeline(&shop, &[]);
    assert!(told.contains("the cache is cold") && !told.contains("cashe") && told.contains("corrected by"), "{told}");
    let raw = timeline(&shop, &["--raw"]);
    for words in
        ["the cashe is cold", &format!("corrected entry {seq}; it reads: the cache is cold"), &format!("({by})")]
    {
        assert!(raw.contains(words), "{words}: {raw}");
    }
    let now = row(&shop, &seq, &[]);
    assert_eq!(now["text"], "the cache is cold");
    assert_eq!(now["original"]["text"], "the cashe is cold");
    assert_eq!(now["amended"][0]["what"], "corrected");
    let raw = row(&shop, &seq, &["--raw"]);
    assert_eq!((raw["text"].as_str(), raw["amended"][0]["seq"].as_u64()), (Some("the cashe is cold"), Some(by)));

    // Another time: both are told.
    shop.run(&["amend", "retime", &seq, "2026-01-02T03:04:05Z", "--reason", "by the phone's log"]).ok();
    let now = row(&shop, &seq, &[]);
    assert_eq!(now["happened_at"], "2026-01-02T03:04:05.000Z");
    assert_ne!(now["at"], now["happened_at"]);
    let told = timeline(&shop, &[]);
    let first = told.lines().next().unwrap();
    assert!(
        first.contains("2026-01-02 03:04:05Z") && first.contains("recorded"),
        "first in the order of events: {told}"
    );

    // Standing out, left out, under a title.
    shop.run(&["amend", "pin", &seq]).ok();
    let pinned = timeline(&shop, &["--pinned"]);
    assert!(pinned.starts_with('*') && pinned.lines().count() == 1, "{pinned}");
    shop.run(&["amend", "unpin", &seq]).ok();
    assert!(timeline(&shop, &["--pinned"]).is_empty());
    shop.run(&["amend", "hide", &other, "--reason", "of another outage"]).ok();
    let ran = shop.run(&["timeline"]).ok().says(&["1 entry left out as hidden", "--raw"]);
    assert!(!ran.out.contains("somebody"), "{}", ran.out);
    assert!(timeline(&shop, &["--raw"]).contains("somebody else's words"));
    shop.run(&["amend", "show", &other]).ok();
    assert!(timeline(&shop, &[]).contains("somebody"));
    shop.run(&["amend", "join", &seq, &other, "--title", "the cache"]).ok();
    let told = timeline(&shop, &[]);
    assert!(told.starts_with("## the cache (2)\n"), "{told}");
    assert!(told.lines().nth(2).unwrap().contains("somebody"), "joined rows stand together: {told}");
    shop.run(&["amend", "apart", &seq, &other]).ok();
    assert!(!timeline(&shop, &[]).contains("##"));

    // What was said of one changed nothing of the other's line in the record.
    let line =
        |text: &str| text.lines().find(|l| l.contains("somebody")).unwrap().split("  (").next().unwrap().to_owned();
    assert_eq!(line(&raw_before), line(&timeline(&shop, &["--raw", "--text", "somebody"])));

    // The next engine knows the same by the record, as does whoever reads it without one; also of a closed incident.
    shop.run(&["incident", "resolve", "--force", "--reason", "over"]).ok();
    shop.run(&["incident", "close"]).ok();
    shop.run(&["amend", "correct", &seq, "the cache was cold", "--reason", "past"]).ok();
    let with = shop.run(&["timeline", "--incident", &id, "--json"]).ok().json();
    let killed = shop.engine_pid();
    shop.kill_engine();
    let without = shop.run(&["timeline", "--incident", &id, "--json"]).ok().json();
    assert_eq!(with, without);
    assert_eq!(shop.engine_pid(), killed, "none was started");
    shop.start();
    assert_eq!(row(&shop, &seq, &[])["text"], "the cache was cold");
    let file = std::fs::read_to_string(shop.state().join("incidents").join(&id).join("timeline.md")).unwrap();
    for words in ["the cashe is cold", "it reads: the cache was cold", "hid entry", "pinned entry"] {
        assert!(file.contains(words), "{words}: {file}");
    }
    shop.verify();
}

/// A message tells neither what was hidden nor a time that was corrected.
#[test]
fn drafts_of_messages_tell_the_corrected_timeline() {
    let (shop, _) = shop();
    let draft = || shop.run(&["notify", "update", "--preview"]).ok().out;
    wait_until("the service was seen", PATIENCE, || draft().contains("api unknown"));
    shop.run(&["incident", "ack"]).ok();
    shop.run(&["incident", "status", "identified"]).ok();
    let seq = |kind: &str| {
        let entries = shop.entries();
        entries.iter().rfind(|e| e["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))["seq"].to_string()
    };
    shop.run(&["amend", "hide", &seq("health.changed"), "--reason", "wrong window"]).ok();
    shop.run(&["amend", "retime", &seq("incident.status"), "2026-01-02T03:04:05Z", "--reason", "by phone"]).ok();
    let after = draft();
    let told: Vec<&str> = after.lines().filter(|l| l.starts_with("- ")).collect();
    assert!(told[0].contains("03:04:05") && told[0].contains("identified"), "in the order of events: {after}");
    for gone in ["api unknown", "wrong window", "hid entry", "by phone"] {
        assert!(!after.contains(gone), "{gone}: {after}");
    }
}

#[test]
fn what_stands_against_a_correction_is_said_and_nothing_is_recorded() {
    let (shop, _) = shop();
    let seq = note(&shop, "seen");
    let by = shop.run(&["amend", "correct", &seq, "seen by two"]).ok().line();
    let count = || shop.entries().len();
    let before = count();
    for (args, said) in [
        (&["amend", "correct", "1", "x"][..], "no note"),
        (&["amend", "correct", "999999", "x"], "there is no entry 999999"),
        (&["amend", "correct", &by, "x"], "a correction itself"),
        (&["amend", "correct", &seq, "seen by two"], "already"),
        (&["amend", "retime", &seq, "2100-01-01T00:00:00Z", "--reason", "x"], "future"),
        (&["amend", "retime", &seq, "2026-01-01T00:00:00Z"], "needs a reason"),
        (&["amend", "retime", &seq, "soon", "--reason", "x"], "not a time"),
        (&["amend", "unpin", &seq], "not pinned already"),
        (&["amend", "hide", &seq], "needs a reason"),
        (&["amend", "join", &seq, "--title", " "], "title is needed"),
    ] {
        shop.run(args).expect(2).says(&[said]);
    }
    shop.run(&["--read-only", "amend", "pin", &seq]).expect(3).says(&["read-only"]);
    shop.run(&["--read-only", "evidence", "add", "/etc/hostname"]).expect(3).says(&["read-only"]);
    assert_eq!(count(), before);
}

#[test]
fn rows_are_found_in_the_whole_record() {
    let (shop, id) = shop();
    let seq = note(&shop, "Disk of api-db is full");
    for n in 0..40 {
        note(&shop, &format!("filler {n}"));
    }
    shop.run(&["act", "says", "--yes", "--wait"]).ok();
    let count = |args: &[&str]| timeline(&shop, args).lines().count();
    assert_eq!(count(&["--text", "disk FULL"]), 1);
    assert_eq!(count(&["--kind", "note", "-n", "7"]), 7);
    assert_eq!(count(&["--kind", "note", "-n", "0"]), 41);
    assert!(timeline(&shop, &["--kind", "note", "-n", "1"]).contains("filler 39"), "the newest");
    assert_eq!(count(&["--service", "api-db"]), 1);
    assert_eq!(count(&["--actor", "nobody-such"]), 0);
    assert!(count(&["--kind", "run"]) >= 2 && count(&["--incident", &id]) >= 42);
    assert!(count(&["--raw"]) > count(&[]), "details are only in the raw layer");
    // A value that was corrected is found by both wordings.
    shop.run(&["amend", "correct", &seq, "Volume of api-db is full"]).ok();
    assert_eq!((count(&["--text", "volume"]), count(&["--text", "disk full"])), (1, 1));
}

#[test]
fn a_note_from_a_pipe_keeps_what_fits_and_says_what_was_cut() {
    let (shop, _) = shop();
    let long: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let ran = shop.run_with(&["note", "-"], long.as_bytes()).ok().says(&["were cut", "mayday evidence add -"]);
    let entry = shop.entries().into_iter().find(|e| e["seq"].as_u64() == ran.line().parse().ok()).unwrap();
    let text = entry["payload"]["text"].as_str().unwrap().to_owned();
    assert!(text.len() > 65_000 && text.len() <= 65_536, "{}", text.len());
    let (kept, said) = text.rsplit_once('\n').unwrap();
    assert!(long.starts_with(kept) && said.contains("more bytes of standard input were cut"), "{said}");
    // One that just fits is whole.
    let fits = "y".repeat(65_536);
    let seq = shop.run_with(&["note", "-"], fits.as_bytes()).ok().line();
    let entry = shop.entries().into_iter().find(|e| e["seq"].as_u64() == seq.parse().ok()).unwrap();
    assert_eq!(entry["payload"]["text"].as_str().unwrap().len(), 65_536);
}

fn kept(shop: &Cockpit, id: &str, seq: &str) -> (Value, Vec<u8>) {
    let entry = shop.entries().into_iter().find(|e| e["seq"].as_u64() == seq.parse().ok()).unwrap();
    let payload = entry["payload"].clone();
    let file = shop.state().join("incidents").join(id).join(payload["file"].as_str().unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    (payload, std::fs::read(file).unwrap())
}

#[test]
fn evidence_is_kept_byte_for_byte_with_its_digest() {
    let (shop, id) = shop();
    let about = note(&shop, "the disk is broken");
    // Larger than a line of the socket may be, of all bytes, with a name that a shell would trip over.
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = shop.path("-core dump;$(x).bin");
    std::fs::write(&file, &bytes).unwrap();
    let file = file.display().to_string();
    let seq = shop.run(&["evidence", "add", &file, "--about", &about, "--title", "the core"]).ok().line();
    let (payload, on_disk) = kept(&shop, &id, &seq);
    assert!(on_disk == bytes, "{} bytes of {}", on_disk.len(), bytes.len());
    let digest = hex::encode(Sha256::digest(&bytes));
    assert_eq!(payload["digest"], digest.as_str());
    assert_eq!((payload["size"].as_u64(), payload["about"].to_string()), (Some(3_000_000), about.clone()));
    assert_eq!(payload["file"], format!("evidence/{}-core_dump___x_.bin", &digest[..12]));
    assert_eq!(row(&shop, &about, &[])["evidence"].to_string(), format!("[{seq}]"));

    // From a pipe; the same again is the same file.
    let text = "ata1: error\nEMASK 0x10\n";
    let first = shop.run_with(&["evidence", "add", "-", "--incident", &id], text.as_bytes()).ok().line();
    let again = shop.run_with(&["evidence", "add", "-"], text.as_bytes()).ok().line();
    let (payload, on_disk) = kept(&shop, &id, &first);
    assert_eq!((payload["excerpt"].as_str().unwrap(), on_disk), (text.trim_end(), text.as_bytes().to_vec()));
    assert_eq!(kept(&shop, &id, &again).0["file"], payload["file"]);
    let empty = shop.run_with(&["evidence", "add", "-"], b"").ok().line();
    assert_eq!(kept(&shop, &id, &empty).1, b"");

    // Of the output of a run, all of it or lines.
    let run = shop.run(&["act", "says", "--yes", "--wait", "--json"]).ok().json();
    let run = run["run"].as_str().or_else(|| run["id"].as_str()).unwrap_or_else(|| panic!("{run:#}")).to_owned();
    let whole = shop.run(&["evidence", "output", &run]).ok().line();
    let all = String::from_utf8(kept(&shop, &id, &whole).1).unwrap();
    assert!(all.contains("\n199\n200\n"), "{all}");
    let lines = shop.run(&["evidence", "output", &run, "--lines", "120-122"]).ok().line();
    let (payload, on_disk) = kept(&shop, &id, &lines);
    let wanted: String = all.split_inclusive('\n').skip(119).take(3).collect();
    assert_eq!((on_disk.as_slice(), payload["what"].as_str()), (wanted.as_bytes(), Some("output")));
    let has = format!("has {} lines", all.lines().count());
    shop.run(&["evidence", "output", &run, "--lines", "500-600"]).expect(2).says(&[&has]);
    shop.run(&["evidence", "output", &run, "--lines", "x"]).expect(2).says(&["no lines"]);
    shop.run(&["evidence", "output", "nosuchrun"]).expect(2).says(&["no output of run"]);

    let listed = shop.run(&["evidence", "list"]).ok().out;
    assert!(listed.contains("the core") && listed.contains(&format!("for entry {about}")), "{listed}");
    assert_eq!(shop.run(&["evidence", "list", "--json"]).ok().json().as_array().unwrap().len(), 6);
    assert!(shop.run(&["evidence", "show", &seq]).ok().out.contains("is what was recorded"));
    // Somebody changes the file: that is seen.
    let (payload, _) = kept(&shop, &id, &first);
    std::fs::write(shop.state().join("incidents").join(&id).join(payload["file"].as_str().unwrap()), "ata1: fine\n")
        .unwrap();
    let shown = shop.run(&["evidence", "show", &first, "--json"]).expect(1);
    assert_eq!(shown.json()["standing"], "changed");
    shop.run(&["evidence", "show", &about]).expect(2).says(&["is no evidence"]);
    shop.verify();
}

#[test]
fn a_known_secret_is_masked_before_it_is_kept_and_that_is_told() {
    let (shop, id) = shop();
    let text = format!("connecting with {TOKEN} to db\n");
    let seq =
        shop.run_with(&["evidence", "add", "-", "--title", &format!("log of {TOKEN}")], text.as_bytes()).ok().line();
    let (payload, on_disk) = kept(&shop, &id, &seq);
    assert_eq!(on_disk, b"connecting with *** to db\n");
    assert_eq!(payload["digest"], hex::encode(Sha256::digest(&on_disk)).as_str());
    assert_eq!((payload["masked"].as_bool(), payload["title"].as_str()), (Some(true), Some("log of ***")));
    assert!(shop.run(&["evidence", "show", &seq]).ok().out.contains("secrets were masked"));
    // What is no text cannot be masked without breaking it: it is not kept at all.
    let binary = [b"\x7fELF\xff\x00".as_slice(), TOKEN.as_bytes(), b"\xfe"].concat();
    shop.run_with(&["evidence", "add", "-"], &binary).expect(2).says(&["a known secret stands in it"]);
    let corrected = note(&shop, "x");
    shop.run(&["amend", "correct", &corrected, &format!("it is {TOKEN}")]).ok();
    assert_eq!(super::support::files_containing(&shop.state(), TOKEN), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_cannot_be_evidence_is_refused_with_the_reason() {
    let (shop, id) = shop();
    let large = shop.path("large");
    std::fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    let large = large.display().to_string();
    let home = shop.home.path().display().to_string();
    for (args, code, said) in [
        (&["evidence", "add", &large][..], 2, "64 MiB are the most"),
        (&["evidence", "add", &home], 2, "is a folder"),
        (&["evidence", "add", "/no/such/file"], 1, "read /no/such/file"),
        (&["evidence", "add", "/etc/hostname", "--about", "99999"], 2, "there is no entry 99999"),
        (&["evidence", "add", "/etc/hostname", "--incident", "INC-1999-001"], 2, "there is no incident"),
    ] {
        shop.run(args).expect(code).says(&[said]);
    }
    shop.run(&["incident", "resolve", "--force", "--reason", "over"]).ok();
    shop.run_with(&["evidence", "add", "-"], b"x").expect(2).says(&["no incident is open"]);
    shop.run_with(&["evidence", "add", "-", "--incident", &id], b"x").ok();
    let kinds = shop.entries().iter().filter(|e| e["kind"] == "evidence.added").count();
    assert_eq!(kinds, 1);
}

/// Evidence does not take the room that the record needs.
#[test]
fn a_full_disk_is_told_and_the_record_goes_on() {
    in_small_disk(120 << 20, |disk, kind| {
        if kind != super::support::DiskLimit::Tmpfs {
            return;
        }
        let state = disk.join("state");
        let home = Home::new().env_var("MAYDAY_STATE_DIR", &state.display().to_string());
        let shop = Cockpit::in_home(home.env_var("API_TOKEN", TOKEN), CONFIG);
        shop.run(&["incident", "declare", "the disk fills up"]).ok();
        let free = mayday::sys::disk::free_bytes(disk).unwrap();
        let file = shop.path("some");
        std::fs::File::create(&file).unwrap().set_len(free.saturating_sub(16 << 20).min(64 << 20)).unwrap();
        std::fs::File::create(disk.join("filler")).unwrap().set_len(0).unwrap();
        let filler = vec![b'x'; usize::try_from(free.saturating_sub(40 << 20)).unwrap()];
        std::fs::write(disk.join("filler"), filler).unwrap();
        let file = file.display().to_string();
        shop.run(&["evidence", "add", &file]).expect(1).says(&["left", "make room first"]);
        shop.run(&["note", "still recorded"]).ok();
        std::fs::remove_file(disk.join("filler")).unwrap();
        shop.run_with(&["evidence", "add", "-"], b"small").ok();
    });
}
