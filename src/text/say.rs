//! Saying durations, sizes, counts and money shortly and exactly enough.

use std::time::Duration;

/// `850ms`, `12s`, `2m17s`, `1h04m`, `3d2h`: two units at the most.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0 if d.as_millis() > 0 => format!("{}ms", d.as_millis()),
        0..=59 => format!("{s}s"),
        60..=3599 if s.is_multiple_of(60) => format!("{}m", s / 60),
        60..=3599 => format!("{}m{:02}s", s / 60, s % 60),
        3600..=86_399 if s % 3600 < 60 => format!("{}h", s / 3600),
        3600..=86_399 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ if s % 86_400 < 3600 => format!("{}d", s / 86_400),
        _ => format!("{}d{}h", s / 86_400, s % 86_400 / 3600),
    }
}

/// Every unit down to the second: `1h04m09s`. For records, where nothing may be rounded away.
pub fn duration_long(d: Duration) -> String {
    let s = d.as_secs();
    let (h, m, s) = (s / 3600, s % 3600 / 60, s % 60);
    match (h, m) {
        (0, 0) => format!("{s}s"),
        (0, _) => format!("{m}m{s:02}s"),
        _ => format!("{h}h{m:02}m{s:02}s"),
    }
}

/// An age in one coarse step, so that a screen at rest stays at rest: `4s` only below a minute, then `3m`, `2h`, `5d`.
pub fn ago(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..=59 => format!("{s}s"),
        60..=3599 => format!("{}m", s / 60),
        3600..=172_799 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

/// `00:12:43`, for clocks; days in front when there are any: `2d 03:00:00`.
pub fn clock(d: Duration) -> String {
    let s = d.as_secs();
    let hms = format!("{:02}:{:02}:{:02}", s % 86_400 / 3600, s % 3600 / 60, s % 60);
    if s >= 86_400 { format!("{}d {hms}", s / 86_400) } else { hms }
}

/// `412 MB`, decimal units, three digits at the most before the unit.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("B");
    if unit > 0 && value < 9.95 { format!("{value:.1} {name}") } else { format!("{value:.0} {name}") }
}

/// `45,000 EUR`.
pub fn money(amount: f64, currency: &str) -> String {
    let whole = format!("{:.0}", amount.max(0.0));
    let mut out = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    format!("{out} {currency}")
}

/// `1 service`, `2 services`.
pub fn plural(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// Reads `500ms`, `10s`, `5m`, `1h30m`, `2d`, `1w`, `0s`. Errors say what is accepted.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("\"{text}\" is not a duration: write 500ms, 10s, 5m, 1h30m, 2d or 1w");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(fault());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
        let n: u64 = rest[..digits].parse().map_err(|_| fault())?;
        rest = rest[digits..].trim_start();
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == ' ').unwrap_or(rest.len());
        let ms: u64 = match &rest[..unit_end] {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(fault()),
        };
        total = n.checked_mul(ms).and_then(|v| total.checked_add(v)).ok_or_else(fault)?;
        rest = rest[unit_end..].trim_start();
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_said() {
        for (text, ms, said) in [
            ("500ms", 500, "500ms"),
            ("10s", 10_000, "10s"),
            ("2m17s", 137_000, "2m17s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("26h", 93_600_000, "1d2h"),
            ("0s", 0, "0s"),
            ("1w", 604_800_000, "7d"),
        ] {
            let d = parse_duration(text).unwrap();
            assert_eq!(d.as_millis(), ms);
            assert_eq!(duration(d), said);
        }
        for bad in ["", "10", "s", "5 parsecs", "-1s", "99999999999999999999s", "1h30"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_money_clock() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1500), "1.5 kB");
        assert_eq!(size(412_000_000), "412 MB");
        assert_eq!(money(1_234_567.4, "EUR"), "1,234,567 EUR");
        assert_eq!(clock(Duration::from_secs(763)), "00:12:43");
        assert_eq!(clock(Duration::from_secs(90_000)), "1d 01:00:00");
        assert_eq!(duration_long(Duration::from_secs(3849)), "1h04m09s");
        assert_eq!(ago(Duration::from_secs(100)), "1m");
    }
}
