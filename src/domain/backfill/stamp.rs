//! Times as people and programs write them. What may mean two things says both.

use std::sync::OnceLock;

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime};
use regex::Regex;

use super::super::time::Time;

/// A time as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stamp {
    pub day: Day,
    pub clock: Clock,
    /// Minutes east of UTC; a name that is none of ours is kept as a doubt.
    pub zone: Option<i32>,
    pub doubt: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Day {
    #[default]
    Unsaid,
    On(NaiveDate),
    /// `11/12/2026` is either.
    Either(NaiveDate, NaiveDate),
    /// Without a year.
    InYear {
        month: u32,
        day: u32,
    },
    Today,
    Yesterday,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clock {
    pub time: NaiveTime,
    /// `3:38` without am or pm, written as on a 12-hour clock: may be twelve hours later.
    pub either: bool,
}

const DATE: &str = r"(?P<date>\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2})|\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})|\d{1,2}(?:st|nd|rd|th)?\.? (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?(?:,? \d{4})?|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.? {1,2}\d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?|today|yesterday)";
const CLOCK: &str = r"(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?P<half>[ \u{a0}\u{202f}]?[aApP]\.?[mM]\.?)?";
const ZONE: &str = r"(?P<zone> ?(?:Z|UTC|GMT)\b| ?(?:UTC|GMT)?[+-]\d{2}:?\d{2}\b| (?:CET|CEST|EST|EDT|CST|CDT|MST|MDT|PST|PDT|BST|IST|JST|AEST|AEDT|MEZ|MESZ|WET|WEST|EET|EEST|MSK)\b)?";

fn regex(cell: &'static OnceLock<Option<Regex>>, make: impl FnOnce() -> String) -> Option<&'static Regex> {
    cell.get_or_init(|| Regex::new(&make()).ok()).as_ref()
}

/// A stamp at the beginning of `line`, and what follows it.
pub fn leading(line: &str) -> Option<(Stamp, &str)> {
    static FORM: OnceLock<Option<Regex>> = OnceLock::new();
    let form = regex(&FORM, || {
        format!(
            r"^(?i:(?P<open>[\[(])?(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?(?:{DATE}(?:[T ]|, ?| at | \u{{b7}} )?)?(?:at )?{CLOCK}{ZONE}(?P<close>[\])])?)(?P<end>[ \t]*[-–—|>:]?[ \t]+|:?$)"
        )
    })?;
    let found = form.captures(line)?;
    if found.name("open").is_some() != found.name("close").is_some() {
        return None;
    }
    let stamp = stamp_of(&found)?;
    Some((stamp, line.get(found.get(0)?.end()..).unwrap_or_default()))
}

/// A stamp and nothing else.
pub fn whole(text: &str) -> Option<Stamp> {
    leading(text.trim()).filter(|(_, rest)| rest.trim().is_empty()).map(|(stamp, _)| stamp)
}

/// A line that says only which day follows: `## 20 November 2026`, `--- Friday, November 20th ---`, `Today`.
pub fn heading(line: &str) -> Option<Day> {
    static FORM: OnceLock<Option<Regex>> = OnceLock::new();
    let form = regex(&FORM, || {
        format!(
            r"^(?i:(?:[#=*_-]{{1,6}} ?)?(?:date:? )?(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?{DATE}:?(?: ?[#=*_-]{{1,6}})?)$"
        )
    })?;
    let found = form.captures(line.trim())?;
    day(found.name("date")?.as_str())
}

fn stamp_of(found: &regex::Captures<'_>) -> Option<Stamp> {
    let number = |name: &str| found.name(name).and_then(|m| m.as_str().parse::<u32>().ok());
    let (hour, minute, second) = (number("h")?, number("m")?, number("s").unwrap_or(0));
    let milli = found.name("f").map_or(0, |f| {
        let digits: String = f.as_str().chars().chain("000".chars()).take(3).collect();
        digits.parse::<u32>().unwrap_or(0)
    });
    let half = found.name("half").map(|h| h.as_str().trim().to_ascii_lowercase());
    let hour = match half.as_deref().and_then(|h| h.chars().next()) {
        Some(_) if hour == 0 || hour > 12 => return None,
        Some('p') => hour % 12 + 12,
        Some(_) => hour % 12,
        None => hour,
    };
    let time = NaiveTime::from_hms_milli_opt(hour, minute, second.min(59), milli)?;
    let bare = found.name("h").is_some_and(|h| h.as_str().len() == 1);
    let either = half.is_none() && bare && (1..=11).contains(&hour);
    let day = match found.name("date") {
        Some(date) => day(date.as_str())?,
        None => Day::Unsaid,
    };
    let (mut zone, mut doubt) = (None, None);
    if let Some(text) = found.name("zone").map(|z| z.as_str().trim()).filter(|z| !z.is_empty()) {
        match parse_zone(text) {
            Some(minutes) => zone = Some(minutes),
            None => doubt = Some(format!("which offset {text} means is not known here: give --zone +02:00")),
        }
    }
    Some(Stamp { day, clock: Clock { time, either }, zone, doubt })
}

/// `Z`, `UTC`, `+02:00`, `UTC+2`, `-0530`: minutes east of UTC.
pub fn parse_zone(text: &str) -> Option<i32> {
    let text = text.trim();
    let rest = ["UTC", "GMT", "utc", "gmt"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text).trim();
    if rest.is_empty() || matches!(rest, "Z" | "z") {
        return Some(0);
    }
    let sign = match rest.chars().next()? {
        '+' => 1,
        '-' | '−' => -1,
        _ => return None,
    };
    let digits: String = rest.chars().skip(1).filter(|c| *c != ':').collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse::<i32>().ok()?, 0),
        4 => (digits.get(..2)?.parse::<i32>().ok()?, digits.get(2..)?.parse::<i32>().ok()?),
        _ => return None,
    };
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// A date as `--date` takes it.
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok()
}

fn day(text: &str) -> Option<Day> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "today" => return Some(Day::Today),
        "yesterday" => return Some(Day::Yesterday),
        _ => {}
    }
    let numbers: Vec<u32> = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let named = MONTHS.iter().position(|m| lower.split(|c: char| !c.is_ascii_alphabetic()).any(|w| w.starts_with(m)));
    if let Some(month) = named.and_then(|m| u32::try_from(m + 1).ok()) {
        let day = *numbers.first()?;
        return match numbers.get(1) {
            Some(year) => date(*year, month, day).map(Day::On),
            None => (1..=31).contains(&day).then_some(Day::InYear { month, day }),
        };
    }
    let [a, b, c] = *numbers.as_slice() else { return None };
    if text.contains('.') {
        return date(c, b, a).map(Day::On);
    }
    if a > 31 {
        return date(a, b, c).map(Day::On);
    }
    match (date(c, b, a), date(c, a, b)) {
        (Some(one), Some(other)) if one != other => Some(Day::Either(one, other)),
        (one, other) => one.or(other).map(Day::On),
    }
}

fn date(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    let year = if year < 100 { year + 2000 } else { year };
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
}

/// The day of a moment in a zone.
pub fn day_of(at: Time, zone: i32) -> NaiveDate {
    at.stepped(i64::from(zone) * 60_000).to_chrono().date_naive()
}

/// The moment of a day and time in a zone.
pub fn moment(date: NaiveDate, time: NaiveTime, zone: i32) -> Time {
    Time::from_ms(NaiveDateTime::new(date, time).and_utc().timestamp_millis()).stepped(-i64::from(zone) * 60_000)
}

/// The year of `start` in which a month and day lie nearest to it.
pub fn in_year(month: u32, day: u32, start: NaiveDate) -> Option<NaiveDate> {
    (-1..=1)
        .filter_map(|step| NaiveDate::from_ymd_opt(start.year() + step, month, day))
        .min_by_key(|d| d.signed_duration_since(start).num_days().abs())
}

pub fn next_day(day: NaiveDate) -> NaiveDate {
    day.checked_add_days(Days::new(1)).unwrap_or(day)
}

pub fn day_before(day: NaiveDate) -> NaiveDate {
    day.checked_sub_days(Days::new(1)).unwrap_or(day)
}
