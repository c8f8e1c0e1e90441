//! Names of all kinds, and other text with a form.

use super::quoted;
use crate::domain::catalog::Severity;
use crate::text;

/// Longest name of anything.
const NAME_MAX: usize = 64;

pub(super) fn any_text(t: &str) -> Result<(), String> {
    if t.contains('\0') { Err("must not hold a zero byte".into()) } else { Ok(()) }
}

pub(super) fn one_line(t: &str) -> Result<(), String> {
    match t.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("must be one line without control characters, found U+{:04X}", u32::from(c))),
        None => Ok(()),
    }
}

pub(super) fn filled_line(t: &str) -> Result<(), String> {
    if t.trim().is_empty() {
        return Err("must not be empty".into());
    }
    one_line(t)
}

pub(super) fn name(t: &str) -> Result<(), String> {
    if t.is_empty() {
        return Err("must not be empty".into());
    }
    if t.trim() != t {
        return Err(format!("must not begin or end with a space: {}", quoted(t)));
    }
    if t.starts_with('-') {
        return Err(format!("must not begin with a hyphen, commands would take it for an option: {}", quoted(t)));
    }
    if t.chars().count() > NAME_MAX {
        return Err(format!("must have at most {NAME_MAX} characters"));
    }
    if text::clean(t) != t {
        return Err(format!("must not hold control, invisible or direction-changing characters: {}", quoted(t)));
    }
    Ok(())
}

pub(super) fn system_name(t: &str) -> Result<(), String> {
    name(t)?;
    if t.contains('/') || t.starts_with('.') {
        return Err(format!("names a folder, so no slash and no dot in front: {}", quoted(t)));
    }
    Ok(())
}

pub(super) fn severity(t: &str) -> Result<(), String> {
    if Severity::ALL.iter().any(|s| s.name() == t) {
        return Ok(());
    }
    Err(format!("{} is not a severity", quoted(t)))
}

pub(super) fn deed(t: &str) -> Result<(), String> {
    use crate::domain::authority::Deed;
    if Deed::parse(t).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = Deed::ALL.iter().map(|d| d.word()).collect();
    Err(format!("is none of {}: {}", known.join(", "), quoted(t)))
}

pub(super) fn regex(t: &str) -> Result<(), String> {
    if t.is_empty() {
        return Err("must not be empty: it would match everything".into());
    }
    regex::Regex::new(t).map(drop).map_err(|e| {
        let why = e.to_string();
        // The crate draws a picture over several lines; its last line says what is wrong.
        let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("is not a regular expression: {}", text::clean(last))
    })
}

pub(super) fn glob(t: &str) -> Result<(), String> {
    filled_line(t)?;
    // As the catalogue of copies reads it: a star does not cross a slash.
    let built = globset::GlobBuilder::new(t).literal_separator(true).build();
    built.map(drop).map_err(|e| format!("is not a pattern: {}", text::clean(&e.kind().to_string())))
}

pub(super) fn only(t: &str) -> Result<(), String> {
    glob(t)?;
    if t.starts_with('/') {
        return Err("begins with a slash, and is compared with the path below the folder".into());
    }
    if t.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("has a part that is empty, a dot or two".into());
    }
    Ok(())
}

pub(super) fn setting_name(text: &str) -> Result<(), String> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    match text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(word) {
        true => Ok(()),
        false => Err(format!("is {}, which is no name of a setting", super::quoted(text))),
    }
}

pub(super) fn env_name(t: &str) -> Result<(), String> {
    let mut chars = t.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(format!("{} is not the name of an environment variable", quoted(t)))
}

pub(super) fn absolute(t: &str) -> Result<(), String> {
    one_line(t)?;
    if t.starts_with('/') { Ok(()) } else { Err(format!("{} is not an absolute path", quoted(t))) }
}

pub(super) fn unit(t: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
    if t.is_empty() || t.starts_with('-') || !t.chars().all(fine) || t.len() > 255 {
        return Err(format!("must be the name of a unit, found {}", quoted(t)));
    }
    Ok(())
}

pub(super) fn container(t: &str) -> Result<(), String> {
    let first = t.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && t.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Ok(());
    }
    Err(format!("must be the name of a container, found {}", quoted(t)))
}

pub(super) fn workload(t: &str) -> Result<(), String> {
    let fine = |p: &str| {
        p.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && p.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
    };
    match t.split_once('/') {
        Some((kind, name)) if fine(kind) && fine(name) => Ok(()),
        _ => Err(format!("must be a kind and a name, found {}", quoted(t))),
    }
}

pub(super) fn database(t: &str) -> Result<(), String> {
    filled_line(t)?;
    if t.len() > 63 {
        return Err("must have at most 63 bytes, longer names are cut by PostgreSQL".into());
    }
    if matches!(t, "template0" | "template1") {
        return Err(format!("must not be {}: new databases are made from it", quoted(t)));
    }
    Ok(())
}

pub(super) fn currency(t: &str) -> Result<(), String> {
    if t.len() == 3 && t.chars().all(|c| c.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(format!("must be a currency of three letters, found {}", quoted(t)))
}

pub(super) fn json_path(t: &str) -> Result<(), String> {
    filled_line(t)?;
    if t.split('.').any(str::is_empty) {
        return Err(format!("must be keys and indexes separated by single dots, found {}", quoted(t)));
    }
    Ok(())
}

pub(super) fn sql(t: &str) -> Result<(), String> {
    if t.trim().is_empty() {
        return Err("must not be empty".into());
    }
    if t.contains('\0') {
        return Err("must not hold a zero byte".into());
    }
    Ok(())
}

pub(super) fn group(t: &str) -> Result<(), String> {
    let first = t.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-$".contains(c);
    if first && t.len() <= 32 && t.chars().all(rest) {
        return Ok(());
    }
    Err(format!("must be the name of a group, found {}", quoted(t)))
}
