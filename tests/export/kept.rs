//! What people write into a review outlives the next export, and an edited one is held against the record.

use mayday::report::check::{Checked, check};
use mayday::report::places::{self, Document, Refreshed};
use mayday::report::{Extra, Review, markdown};
use proptest::prelude::*;

use super::incidents::{self, ID, Told};
use super::more;

fn render(told: &Told, up_to: usize) -> String {
    let entries = &told.entries[..up_to.min(told.entries.len())];
    markdown::render(&Review::new(entries, ID, Extra::default()).unwrap())
}

fn whole(told: &Told) -> String {
    render(told, usize::MAX)
}

/// As `mayday export -o` does it.
fn refresh(told: &Told, old: &str) -> Result<Refreshed, String> {
    places::refresh(&whole(told), old, &|seq| Some(render(told, seq as usize)))
}

/// With `text` written into a place, in place of what stood there.
fn write(document: &str, place: &str, text: &str) -> String {
    let (begin, end) = (format!("{}\n", places::begin(place)), places::end(place));
    let from = document.find(&begin).unwrap() + begin.len();
    let to = from + document[from..].find(&end).unwrap();
    format!("{}{text}\n{}", &document[..from], &document[to..])
}

fn hold(told: &Told, text: &str) -> Checked {
    let review = Review::new(&told.entries, ID, Extra::default()).unwrap();
    let document = Document::read(text).unwrap();
    let then = document.up_to().map(|seq| render(told, seq as usize));
    check(&review, text, &markdown::render(&review), then.as_deref()).unwrap()
}

#[test]
fn what_was_written_stays_while_the_numbers_are_refreshed() {
    let told = more::whole();
    let resolved = told.seq("resolved") as usize;
    let old = render(&told, resolved);
    assert_eq!(places::refresh(&old, &old, &|_| None).unwrap().text, old, "untouched it is what it was");
    let words = "The shop was down for half an hour.\n\n- a list\n  \n> with [61] | and pipes\n";
    let mut edited = write(&old, "summary", words);
    edited = write(&edited, "lucky", "Ann was awake.");
    // Between a table and a heading, in the head, and into a measured row.
    edited = edited
        .replace("## 3. Timing\n", "## 3. Timing\n\nWe all know how long this felt.\n\n```\nkubectl get pods\n```\n");
    edited =
        edited.replace("| System | crazy-gary (production) |", "| System | crazy-gary (production), the old one |");
    // Saved by an editor with its own idea of tables and line ends.
    edited = edited.replace("| --- | --- |", "|:-----|-----:|").replace('\n', "\r\n");
    let done = refresh(&told, &edited).unwrap();
    assert_eq!(done.kept, ["summary", "lucky"]);
    let read = Document::read(&done.text).unwrap();
    assert_eq!(read.place("summary").unwrap().trim_end(), words.trim_end());
    assert_eq!(read.place("lucky"), Some("Ann was awake.\n"));
    let kept = read.place(places::KEPT).unwrap();
    for line in ["We all know how long this felt.", "```\nkubectl get pods\n```", "the old one |", "From \"3. Timing\""]
    {
        assert!(kept.contains(line), "{line:?} is not in {kept}");
    }
    assert_eq!(done.moved.len(), 5, "{:?}", done.moved);
    // The numbers are those of the whole record, the prompts too.
    let fresh = whole(&told);
    let measured = |text: &str| -> Vec<String> {
        Document::read(text).unwrap().measured().map(|(_, l)| l.to_owned()).filter(|l| !l.is_empty()).collect()
    };
    assert_eq!(measured(&done.text), measured(&fresh));
    assert_eq!(read.place("went-badly"), Document::read(&fresh).unwrap().place("went-badly"));
    // And again: the same bytes, nothing moved.
    let again = refresh(&told, &done.text).unwrap();
    assert_eq!((again.text == done.text, again.moved), (true, Vec::new()));
}

#[test]
fn what_cannot_be_told_apart_is_refused_with_what_to_do() {
    let told = more::whole();
    let text = whole(&told);
    let mut other = incidents::missing_ack();
    other.entries.iter_mut().for_each(|e| {
        if e.incident.is_some() {
            e.incident = Some("INC-2026-005".into());
        }
    });
    let other = markdown::render(&Review::new(&other.entries, "INC-2026-005", Extra::default()).unwrap());
    let end = places::end("summary");
    for (old, said) in [
        ("# My shopping list\n".to_owned(), "it is no review that mayday wrote"),
        (other, "it is the review of INC-2026-005"),
        (
            text.replacen(&format!("{end}\n"), "", 1),
            "put the line <!-- mayday:end summary --> where the text of summary ends",
        ),
        (text.replacen(&places::begin("summary"), "", 1), "put the line <!-- mayday:write summary --> before its text"),
        (format!("{text}\n{}\nmore\n", places::begin("last")), "is not closed: put the line <!-- mayday:end last -->"),
        (format!("{text}\n{}\nmore\n{end}\n", places::begin("summary")), "is there twice"),
    ] {
        let error = refresh(&told, &old).unwrap_err();
        assert!(error.contains(said), "{said:?}: {error}");
    }
}

#[test]
fn a_place_that_is_gone_gives_up_its_text_and_nothing_else() {
    let told = more::whole();
    let text = whole(&told).replace(
        "## 19. Appendix",
        "<!-- mayday:write lessons -->\nNever on a Friday.\n<!-- mayday:end lessons -->\n\n## 19. Appendix",
    );
    let done = refresh(&told, &text).unwrap();
    let read = Document::read(&done.text).unwrap();
    assert!(read.place(places::KEPT).unwrap().contains("From the place lessons:\n\nNever on a Friday."));
    // Deleted there, it does not come back.
    let deleted = write(&done.text, places::KEPT, "");
    assert_eq!(refresh(&told, &deleted).unwrap().text, whole(&told));
}

#[test]
fn an_unedited_review_is_the_same_and_written_parts_change_nothing() {
    let told = more::whole();
    let text = whole(&told);
    let same = hold(&told, &text);
    assert_eq!((same.differences.len(), same.behind), (0, None), "{:#?}", same.differences);
    assert!(same.lines > 150);
    let written = write(
        &text,
        "summary",
        "It was down for 31m49s [1, 3, 50], found at 02:03:11 [3].\nNothing of this is a number.",
    );
    let held = hold(&told, &written);
    assert_eq!((held.differences.len(), held.citations), (0, 2), "{:#?}", held.differences);
}

#[test]
fn every_changed_number_is_listed_with_what_the_record_says() {
    let told = more::whole();
    let text = whole(&told);
    let change = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        hold(&told, &text.replacen(from, to, 1)).differences
    };
    let found = change("| Time to resolve | 46m40s |", "| Time to resolve | 41m40s |");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].what, "Time to resolve, Duration");
    assert_eq!((found[0].says.as_deref(), found[0].record.as_deref()), (Some("41m40s"), Some("46m40s")));
    assert_eq!(found[0].entries, [3, told.seq("resolved")]);
    assert_eq!(text.lines().nth(found[0].line.unwrap() - 1).unwrap(), "| Time to resolve | 46m40s |  | [3, 58] |");
    // A sentence, a verdict, a citation, a row of the timeline, the head.
    for (from, to) in [
        ("- Time to mitigate: 33m40s [3, 52]", "- Time to mitigate: 13m40s [3, 52]"),
        ("RTO 10m00s **missed** by 21m49s", "RTO 10m00s met"),
        (
            "| Mitigated | 2026-11-20 02:37:00Z | T+00:32:00 | [52] |",
            "| Mitigated | 2026-11-20 02:37:00Z | T+00:32:00 | [51] |",
        ),
        ("| ann | commander is ann | [8] |", "| otto | commander is ann | [8] |"),
        ("| System | crazy-gary", "| System | crazy-harry"),
        ("| Journal | up to entry 73 |", "| Journal | up to entry 73, head 00000000 |"),
    ] {
        let found = change(from, to);
        assert_eq!(found.len(), 1, "{from}: {found:#?}");
        assert!(found[0].line.is_some() && found[0].record.is_some(), "{found:#?}");
    }
    // A row that is gone, one that was never there, and words without a number.
    let gone = change("| Acknowledged | 2026-11-20 02:06:30Z | T+00:01:30 | [7, 64] |\n", "");
    assert_eq!((gone.len(), gone[0].says.is_none()), (1, true), "{gone:#?}");
    let more = change("## 3. Timing\n", "## 3. Timing\n\nIt felt like 3 hours.\n");
    assert_eq!((more.len(), more[0].record.is_none()), (1, true), "{more:#?}");
    assert!(change("## 3. Timing\n", "## 3. Timing\n\nIt felt long.\n").is_empty());
    // Padding is none.
    assert!(change("| Mitigated | 2026-11-20 02:37:00Z |", "|  Mitigated  |2026-11-20 02:37:00Z|").is_empty());
}

#[test]
fn citations_in_written_parts_are_followed() {
    let told = more::whole();
    let (asked, approved) = (told.seq("asked"), told.seq("approved"));
    for (text, wanted) in [
        ("approval waited 4m10s [36, 37]", None),
        ("approval waited 4 m [36, 37]", None),
        ("approval waited 5m10s [36, 37]", Some("4m10s")),
        ("at 02:06 [7] somebody was on it", None),
        ("at 02:08:00 [7] that was recorded", None),
        ("at 02:16 [7]", Some("02:06:30Z or 02:08:00Z")),
        ("see [999]", Some("no such entry")),
        ("see [0]", Some("no such entry")),
        ("exit 22 [48], twenty [47], 15m ago", None),
        ("a [link](https://example.org) and [x]", None),
    ] {
        let text = text.replace("36, 37", &format!("{asked}, {approved}"));
        let held = hold(&told, &write(&whole(&told), "summary", &text));
        match wanted {
            None => assert!(held.differences.is_empty(), "{text}: {:#?}", held.differences),
            Some(record) => {
                assert_eq!(held.differences.len(), 1, "{text}: {:#?}", held.differences);
                assert!(
                    held.differences[0].record.as_ref().unwrap().contains(record),
                    "{text}: {:#?}",
                    held.differences
                );
            }
        }
    }
}

#[test]
fn a_review_of_a_shorter_record_says_that_it_was_right_then() {
    let told = more::whole();
    let old = render(&told, told.seq("resolved") as usize);
    let held = hold(&told, &old);
    assert_eq!(held.behind, Some((told.seq("resolved"), told.entries.len() as u64)));
    let acknowledged = held.differences.iter().find(|d| d.what.starts_with("Acknowledged, Time")).unwrap();
    assert!(acknowledged.was_so, "{acknowledged:#?}");
    let forged = old.replace("| Resolved | 2026-11-20 02:50:00Z", "| Resolved | 2026-11-20 02:30:00Z");
    let held = hold(&told, &forged);
    let resolved = held.differences.iter().find(|d| d.what.starts_with("Resolved, Time")).unwrap();
    assert!(!resolved.was_so, "{resolved:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_word_is_ever_lost(
        inserts in prop::collection::vec((0_usize..400, "[a-z|`#>*\\[\\]()<>!~ -]{0,20}", any::<bool>()), 1..8),
        up_to in 40_usize..80,
    ) {
        let told = more::whole();
        let mut lines: Vec<String> = render(&told, up_to).lines().map(str::to_owned).collect();
        let mut words = Vec::new();
        for (n, (at, noise, replace)) in inserts.into_iter().enumerate() {
            // Never into a mark, which would be refused.
            let at = 1 + at % (lines.len() - 1);
            let word = format!("word{n}q {noise}");
            if replace && !lines[at].contains("<!--") && !lines[at].contains("up to entry") {
                lines[at] = word.clone();
            } else {
                lines.insert(at, word.clone());
            }
            words.push(word.trim().to_owned());
        }
        let edited = lines.join("\n");
        let survivors: Vec<&String> = words.iter().filter(|w| edited.contains(w.as_str())).collect();
        let done = refresh(&told, &edited).unwrap();
        for word in survivors {
            prop_assert!(done.text.contains(word.as_str()), "{} is lost", word);
        }
        let again = refresh(&told, &done.text).unwrap();
        prop_assert_eq!(again.text, done.text);
    }
}
