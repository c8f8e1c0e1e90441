use super::*;

fn at(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn about() -> About {
    About {
        now: at("2026-11-21T09:00:00Z"),
        start: at("2026-11-20T15:37:30Z"),
        zone: 0,
        date: None,
        begun: None,
        author: String::new(),
    }
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)).unwrap()
}

/// Time of day, author and text of each line; `?` in front where it is doubtful.
fn told(reading: &Reading) -> Vec<String> {
    let mark = |l: &Line| if l.doubts.is_empty() { "" } else { "?" };
    let when = |l: &Line| l.at.map_or("-".into(), |t| t.to_string()[..19].replace('T', " "));
    reading
        .lines
        .iter()
        .map(|l| format!("{}{} {}: {}", mark(l), when(l), l.author, l.text.replace('\n', "/")))
        .collect()
}

fn read_auto(name: &str, timing: Option<&str>) -> (Format, Reading) {
    let bytes = fixture(name);
    let timing = timing.map(fixture);
    let format = guess(&bytes, timing.is_some());
    (format, read(format, &bytes, timing.as_deref(), &about()).unwrap())
}

#[test]
fn free_lines() {
    let (format, reading) = read_auto("lines.md", None);
    assert_eq!(format, Format::Lines);
    assert_eq!(
        told(&reading),
        [
            "?- : Notes of the outage, typed down by Mia",
            "2026-11-20 15:38:12 : first alarm on the phone",
            "2026-11-20 15:40:00 : **looked** at the dashboard: all red",
            "2026-11-20 15:41:00 : asked Jonas to restart the api/  he says it is running already",
            "?2026-11-20 14:44:09 : log of the proxy: upstream timed out",
            "2026-11-20 15:47:00 jonas: restart done, no change",
            "2026-11-20 15:52:00 : found it: certificate of the database had expired",
        ]
    );
    assert!(reading.lines[4].doubts[0].contains("earlier than the line before"), "{:?}", reading.lines[4]);
}

#[test]
fn slack_teams_and_whatsapp() {
    let (format, reading) = read_auto("slack.json", None);
    assert_eq!(format, Format::Slack);
    assert_eq!(
        told(&reading),
        [
            "2026-11-20 15:38:12 anna: api is down & alarms are ringing, see dashboard (https://grafana.example.org/d/1)",
            "2026-11-20 15:39:12 U03: a reply that came first",
            "2026-11-20 15:39:12 Jonas Holm: on it/(file trace.png)",
            "2026-11-20 15:40:12 deploybot: deploy 4711 of api by jonas",
        ]
    );
    assert_eq!(reading.left_out, ["1 of joining, leaving and topics"]);
    let (format, reading) = read_auto("slack-copied.txt", None);
    assert_eq!(format, Format::Chat);
    assert_eq!(
        told(&reading),
        [
            "2026-11-20 15:38:00 Anna Berg: api is down/alarms are ringing",
            "2026-11-20 15:39:00 Anna Berg: who is on call?",
            "2026-11-20 15:41:00 Jonas Holm: on it",
        ]
    );
    for name in ["teams.txt", "whatsapp.txt"] {
        let (format, reading) = read_auto(name, None);
        assert_eq!(format, Format::Chat, "{name}");
        let told = told(&reading);
        assert!(told[0].starts_with("2026-11-20 15:38:00 Anna") && told[0].ends_with(": api is down"), "{told:?}");
        assert!(told[1].starts_with("2026-11-20 15:41:00 Jonas") && told.len() == 2, "{told:?}");
    }
}

#[test]
fn alerts_and_journald() {
    let (format, reading) = read_auto("alertmanager.json", None);
    assert_eq!(format, Format::Alertmanager);
    assert_eq!(
        told(&reading),
        [
            "2026-11-20 15:30:00 alertmanager: alert QueueLong firing: queue over 1000 (severity=warning)",
            "2026-11-20 15:36:00 alertmanager: alert QueueLong resolved: queue over 1000 (severity=warning)",
            "2026-11-20 15:37:30 alertmanager: alert ApiDown firing: api does not answer (instance=api-1:3000, severity=critical)",
            "2026-11-20 15:58:00 alertmanager: alert ApiDown resolved: api does not answer (instance=api-1:3000, severity=critical)",
        ]
    );
    assert!(reading.left_out[0].contains("2 alerts") && reading.left_out[1].contains("1 that say the same"));
    let (format, reading) = read_auto("journald.json", None);
    assert_eq!(format, Format::Journald);
    assert_eq!(
        told(&reading),
        [
            "2026-11-20 15:38:00 postgres@db1: error: could not accept SSL connection: certificate has expired",
            "2026-11-20 15:38:01 app@db1: höhe",
        ]
    );
    assert_eq!(reading.left_out, ["1 without a message"]);
}

#[test]
fn recordings_tell_what_was_typed_and_leave_out_what_was_not_shown() {
    let (format, reading) = read_auto("v2.cast", None);
    assert_eq!(format, Format::Asciicast);
    assert_eq!(
        told(&reading),
        [
            "2026-11-20 15:40:00 : terminal recording \"repair\" begins (9s, 78 B of output)",
            "2026-11-20 15:40:01 : typed: ls",
            "2026-11-20 15:40:03 : typed: sudo -i",
            "2026-11-20 15:40:05 : typed something that was not shown (left out)",
            "2026-11-20 15:40:07 : marker: here it broke",
            "2026-11-20 15:40:09 : terminal recording \"repair\" ends",
        ]
    );
    assert!(!format!("{reading:?}").contains("s3cretpw"));
    let (_, reading) = read_auto("v3.cast", None);
    let told3 = told(&reading);
    assert!(told3.contains(&"2026-11-20 15:40:01 : typed: uptime".to_owned()), "{told3:?}");
    assert!(told3.last().unwrap().ends_with("ends, exit 0"), "{told3:?}");
    let (format, reading) = read_auto("io.script", Some("io.timing"));
    assert_eq!(format, Format::Script);
    let told_io = told(&reading);
    assert!(told_io[1] == "2026-11-20 15:40:01 : typed: ls" && told_io[2].ends_with("ends, exit 0"), "{told_io:?}");
    let (_, reading) = read_auto("classic.script", Some("classic.timing"));
    let classic = told(&reading);
    assert!(classic[0].contains("what was typed is not in it"), "{classic:?}");
    assert!(classic[1].starts_with("2026-11-20 15:41:01") && classic[1].ends_with("exit 3"), "{classic:?}");
}

#[test]
fn what_may_mean_two_things_is_doubtful() {
    let lines = |text: &str, about: &About| read(Format::Lines, text.as_bytes(), None, about).unwrap();
    for (text, why, or) in [
        ("3:38 the twelve hour clock", "morning or afternoon", Some("2026-11-20T15:38:00.000Z")),
        ("11/12/2026 15:38 which month", "day or month", None),
        ("15:38 CET a zone by name", "CET", None),
        ("2026-11-22 10:00 tomorrow", "future", None),
        ("2026-11-18 10:00 long before", "more than a day before", None),
        ("03:00 twelve hours away", "which day", Some("2026-11-20T03:00:00.000Z")),
    ] {
        let reading = lines(text, &about());
        let line = &reading.lines[0];
        assert!(line.doubts.iter().any(|d| d.contains(why)), "{text}: {line:?}");
        if let Some(or) = or {
            let all: Vec<String> = line.at.iter().chain(&line.or).map(ToString::to_string).collect();
            assert!(all.contains(&or.to_owned()), "{text}: {all:?}");
        }
    }
    for (text, wanted) in [
        ("3:38 pm the half is said", "2026-11-20T15:38:00.000Z"),
        ("13:00 a\n13:05 b\n3:38 clearly of 24 hours", "2026-11-20T13:00:00.000Z"),
        ("yesterday 15:38 said so", "2026-11-20T15:38:00.000Z"),
        ("today 03:10 said so", "2026-11-21T03:10:00.000Z"),
        ("Nov 20 15:38:12 host app: a line of syslog", "2026-11-20T15:38:12.000Z"),
        ("2026-11-20 15:38:12,250 as Java logs", "2026-11-20T15:38:12.250Z"),
        ("2026-11-20T17:38:12+02:00 with an offset", "2026-11-20T15:38:12.000Z"),
    ] {
        let reading = lines(text, &about());
        assert_eq!(reading.lines[0].at.unwrap().to_string(), wanted, "{text}");
        assert_eq!(reading.lines[0].doubts, [] as [String; 0], "{text}");
    }
    // Over midnight, and with an offset of one's own.
    let night = About { start: at("2026-11-20T23:50:00Z"), ..about() };
    let reading = lines("23:55 a\n00:05 b\n00:10 c", &night);
    assert_eq!(told(&reading), ["2026-11-20 23:55:00 : a", "?2026-11-21 00:05:00 : b", "2026-11-21 00:10:00 : c"]);
    let reading = lines("00:05 alone, a quarter of an hour after the begin", &night);
    assert_eq!(told(&reading)[0].get(..19), Some("2026-11-21 00:05:00"));
    let berlin = About { zone: 60, ..about() };
    assert_eq!(told(&lines("16:38 here", &berlin)), ["2026-11-20 15:38:00 : here"]);
}

#[test]
fn logs_and_mail_are_no_chats() {
    for text in [
        "2026-11-20 15:38:12 ERROR: the pool is exhausted\n2026-11-20 15:38:13 INFO Pool: tries again\n",
        "Nov 20 15:38:12 db1 postgres[41]: could not accept SSL connection: expired\n",
        "15:38 asked: who did it?\n15:40 answer: nobody\n",
    ] {
        assert_eq!(guess(text.as_bytes(), false), Format::Lines, "{text}");
    }
}

#[test]
fn a_key_tells_moment_author_and_text_apart() {
    let one = key(at("2026-11-20T15:38:00Z"), "a", "bc");
    assert_eq!(one, key(at("2026-11-20T15:38:00Z"), "a", "bc"));
    assert_ne!(one, key(at("2026-11-20T15:38:00Z"), "ab", "c"));
    assert_ne!(one, key(at("2026-11-20T15:38:01Z"), "a", "bc"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600), timing in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        for format in Format::ALL {
            let _ = read(format, &bytes, Some(&timing), &about());
        }
        let _ = guess(&bytes, false);
    }

    #[test]
    fn pieces_of_the_formats_in_any_order_are_read_or_refused(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "15:38:12 text\n", "[3:38 PM] ", "Anna Berg\n", "  3:38 PM\n", "20.11.26, 15:38 - A: b\n", "## 20 November 2026\n", "yesterday 9:01 ",
        "{\"version\":3,\"term\":{}}\n", "[1e308,\"i\",\"x\\r\"]\n", "[-5,\"o\",\"\\n\"]\n", "\u{1b}[A", "I 0.1 5\n", "O 1e400 99999999999\n",
        "\"ts\":\"1\"", "[", "]", "{", "}", ",", "\"alerts\":[", "99:99 ", "31/02/2026 10:00 x\n", "00:00 ", "\u{202e}", "é"]), 0..40)) {
        let text: String = pieces.concat();
        for format in Format::ALL {
            if let Ok(reading) = read(format, text.as_bytes(), Some(text.as_bytes()), &about()) {
                for line in &reading.lines {
                    proptest::prop_assert!(line.at.is_some() || !line.doubts.is_empty());
                    proptest::prop_assert!(!line.text.is_empty() && line.text.len() <= TEXT_LIMIT + 4);
                }
            }
        }
    }

    /// What is written down with a whole stamp is read as it was, whatever the text is.
    #[test]
    fn lines_come_back_as_they_were(lines in proptest::collection::vec((0i64..86_400, "[a-z][a-zA-Z0-9 ,.!?]{0,40}[a-z]"), 1..20)) {
        let mut lines: Vec<(Time, String)> = lines
            .into_iter()
            .map(|(s, text)| (Time::from_ms(at("2026-11-20T00:00:00Z").ms() + s * 1000), text))
            .collect();
        lines.sort();
        let text: String = lines.iter().map(|(t, text)| format!("{t} {text}\n")).collect();
        let reading = read(Format::Lines, text.as_bytes(), None, &about()).unwrap();
        let got: Vec<(Time, String)> = reading.lines.iter().map(|l| (l.at.unwrap(), l.text.clone())).collect();
        proptest::prop_assert_eq!(got, lines);
        proptest::prop_assert!(reading.lines.iter().all(|l| l.doubts.is_empty()));
    }
}
