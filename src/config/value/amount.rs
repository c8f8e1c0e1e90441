//! Amounts: durations, sizes, shares, comparisons, status codes. Each is read from text and printed so that it reads back.

use std::time::Duration;

use super::quoted;
use crate::config::types::{Compare, Op};
use crate::text;

pub(super) fn any_duration(t: &str) -> Result<(), String> {
    match text::parse_duration(t) {
        Ok(d) if d > Duration::from_secs(100 * 366 * 86_400) => Err(format!("{} is beyond a hundred years", quoted(t))),
        Ok(_) => Ok(()),
        Err(_) => Err(format!("must be a duration, found {}", quoted(t))),
    }
}

pub(super) fn positive_duration(t: &str) -> Result<(), String> {
    any_duration(t)?;
    match text::parse_duration(t) {
        Ok(d) if d.is_zero() => Err("must be longer than zero".into()),
        _ => Ok(()),
    }
}

pub(super) fn or_word(t: &str, word: &str) -> Result<(), String> {
    if t == word { Ok(()) } else { positive_duration(t) }
}

/// `7/10` → 7.
pub fn ratio(t: &str) -> Result<u32, String> {
    t.strip_suffix("/10")
        .and_then(|n| n.parse::<u32>().ok())
        .filter(|n| (1..=10).contains(n))
        .ok_or_else(|| format!("must be a share of the last ten results, found {}", quoted(t)))
}

/// `> 2`.
pub fn compare(t: &str) -> Result<Compare, String> {
    let fault = || format!("must compare with a number, found {}", quoted(t));
    let t = t.trim();
    let signs = [("<=", Op::Le), (">=", Op::Ge), ("==", Op::Eq), ("!=", Op::Ne), ("<", Op::Lt), (">", Op::Gt)];
    let (sign, op) = signs.into_iter().find(|(sign, _)| t.starts_with(sign)).ok_or_else(fault)?;
    let value: f64 = t.strip_prefix(sign).unwrap_or_default().trim().parse().map_err(|_| fault())?;
    if !value.is_finite() {
        return Err(fault());
    }
    Ok(Compare { op, value })
}

/// As [`compare`] reads it.
pub fn compare_text(c: &Compare) -> String {
    let sign = match c.op {
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Ge => ">=",
        Op::Gt => ">",
    };
    format!("{sign} {}", c.value)
}

/// `256KiB`, `16 MiB`, `64MB`, `1024` → bytes.
pub fn size(t: &str) -> Result<u64, String> {
    let fault = || format!("must be a size, found {}", quoted(t));
    let t = t.trim();
    let digits = t.find(|c: char| !c.is_ascii_digit()).unwrap_or(t.len());
    let (number, unit) = t.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(fault()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(fault)
}

/// As [`size`] reads it, exact.
pub fn size_text(bytes: u64) -> String {
    for (name, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{name}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// As `text::parse_duration` reads it, exact to the millisecond.
pub fn duration_text(d: Duration) -> String {
    let mut ms = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".into();
    }
    let mut out = String::new();
    // `26h` is how people say it, and not `1d2h`.
    let day = if ms >= 2 * 86_400_000 { 86_400_000 } else { u64::MAX };
    for (unit, size) in [("d", day), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if ms >= size {
            out.push_str(&format!("{}{unit}", ms / size));
            ms %= size;
        }
    }
    out
}

/// One code or an inclusive range: `204`, `200-299`.
pub fn status_range(t: &str) -> Result<(u16, u16), String> {
    let fault = || format!("must be status codes from 100 to 599, found {}", quoted(t));
    let code = |t: &str| t.trim().parse::<u16>().ok().filter(|c| (100..=599).contains(c)).ok_or_else(fault);
    let (low, high) = match t.split_once('-') {
        Some((low, high)) => (code(low)?, code(high)?),
        None => (code(t)?, code(t)?),
    };
    if low > high {
        return Err(format!("is a range that ends before it begins: {}", quoted(t)));
    }
    Ok((low, high))
}
