//! Reading theme files.
//!
//! A fault (unknown role, unknown colour, unused palette entry, wrong type) is told with its file and line; everything
//! else in the file applies all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ratatui::style::{Color, Style};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{MODIFIERS, Role, Theme};

/// The themes that are built in: name and text.
const BUILT_IN: [(&str, &str); 6] = [
    ("default", include_str!("../../../themes/default.toml")),
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
    ("high-contrast", include_str!("../../../themes/high-contrast.toml")),
    ("okabe-ito", include_str!("../../../themes/okabe-ito.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
];

/// Names of the built-in themes.
pub const NAMES: [&str; 6] = ["default", "dark", "light", "high-contrast", "okabe-ito", "mono"];

/// Something in a file that cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    pub line: usize,
    pub text: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// A theme, and what of its file could not be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub theme: Theme,
    pub faults: Vec<Fault>,
}

/// A built-in theme.
pub fn named(name: &str) -> Option<Loaded> {
    let (name, text) = BUILT_IN.iter().find(|(n, _)| *n == name)?;
    Some(parse(name, &format!("themes/{name}.toml"), text))
}

/// A theme by its name or file: built-in names first, then `NAME.toml` in `user_dir`, then a path. Errors: what was looked
/// for, in words.
pub fn resolve(name: &str, user_dir: Option<&Path>) -> Result<Loaded, String> {
    if let Some(found) = named(name) {
        return Ok(found);
    }
    let own = user_dir.map(|d| d.join(format!("{name}.toml"))).filter(|p| !name.contains('/') && p.exists());
    let path = own.unwrap_or_else(|| Path::new(name).to_owned());
    let shown = crate::text::clean(&path.display().to_string()).into_owned();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(parse(path.file_stem().and_then(|s| s.to_str()).unwrap_or(name), &shown, &text)),
        Err(e) => Err(format!("theme {}: {e}; there are {}", crate::text::clean(name), NAMES.join(", "))),
    }
}

/// Where a byte of `text` stands, counted from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().get(..at.min(text.len())).unwrap_or_default().iter().filter(|b| **b == b'\n').count() + 1
}

/// Reads a theme. Never fails: what cannot be read is left to the theme it inherits.
pub fn parse(name: &str, file: &str, text: &str) -> Loaded {
    let mut styles: BTreeMap<String, Style> = BTreeMap::new();
    let mut faults = Vec::new();
    read(file, text, &mut styles, &mut faults, 0);
    let theme = Theme::of(name, |role| {
        let mut key = role.name();
        loop {
            if let Some(style) = styles.get(key) {
                return *style;
            }
            match key.rsplit_once('.') {
                Some((shorter, _)) => key = shorter,
                None => return Style::new(),
            }
        }
    });
    Loaded { theme, faults }
}

fn read(file: &str, text: &str, styles: &mut BTreeMap<String, Style>, faults: &mut Vec<Fault>, depth: usize) {
    let fault = |at: usize, said: String| Fault { file: file.to_owned(), line: line_of(text, at), text: said };
    let (table, errors) = DeTable::parse_recoverable(text);
    for e in errors {
        faults.push(fault(e.span().map_or(0, |s| s.start), e.message().to_owned()));
    }
    let table = table.into_inner();
    let get = |name: &str| table.iter().find(|(k, _)| k.get_ref().as_ref() == name).map(|(_, v)| v);
    if let Some(value) = get("inherits") {
        let base = value.get_ref().as_str().unwrap_or_default();
        match BUILT_IN.iter().find(|(n, _)| *n == base) {
            Some((n, text)) if depth < 4 => read(&format!("themes/{n}.toml"), text, styles, faults, depth + 1),
            Some(_) => faults.push(fault(value.span().start, "themes inherit one another in a circle".into())),
            None => faults.push(fault(
                value.span().start,
                format!("there is no theme \"{base}\" to inherit: {}", super::NAMES.join(", ")),
            )),
        }
    }
    let mut palette: BTreeMap<String, Color> = BTreeMap::new();
    let mut unused: BTreeMap<String, usize> = BTreeMap::new();
    if let Some(DeValue::Table(entries)) = get("palette").map(Spanned::get_ref) {
        for (key, value) in entries {
            let name = key.get_ref().to_string();
            match value.get_ref().as_str().and_then(|v| colour(v, &BTreeMap::new())) {
                Some(c) => {
                    unused.insert(name.clone(), key.span().start);
                    palette.insert(name, c);
                }
                None => faults.push(fault(value.span().start, format!("{name} is no colour"))),
            }
        }
    }
    let mut own: BTreeSet<String> = BTreeSet::new();
    for (key, value) in &table {
        let name = key.get_ref().as_ref();
        match (name, value.get_ref()) {
            ("inherits" | "palette", _) => {}
            ("roles", DeValue::Table(entries)) => {
                for (key, value) in entries {
                    role_entry(key, value, &palette, &mut unused, &mut own, styles, faults, &fault);
                }
            }
            _ => {
                faults.push(fault(key.span().start, format!("\"{name}\" means nothing here: inherits, palette, roles")))
            }
        }
    }
    for (name, at) in unused {
        faults.push(fault(at, format!("the palette's \"{name}\" is not used")));
    }
}

#[allow(clippy::too_many_arguments)]
fn role_entry(
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    palette: &BTreeMap<String, Color>,
    unused: &mut BTreeMap<String, usize>,
    own: &mut BTreeSet<String>,
    styles: &mut BTreeMap<String, Style>,
    faults: &mut Vec<Fault>,
    fault: &impl Fn(usize, String) -> Fault,
) {
    let name = key.get_ref().as_ref();
    let known = |r: &&Role| r.name() == name || r.name().strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    if !Role::ALL.iter().any(|r| known(&r)) {
        faults.push(fault(key.span().start, format!("there is no role \"{name}\"")));
        return;
    }
    let DeValue::Table(parts) = value.get_ref() else {
        faults.push(fault(value.span().start, format!("{name} takes a table: {{ fg = \"red\", bold = true }}")));
        return;
    };
    let mut style = Style::new();
    for (part, value) in parts {
        let part_name = part.get_ref().as_ref();
        match (part_name, value.get_ref()) {
            ("fg" | "bg", v) => {
                let text = v.as_str().unwrap_or_default();
                unused.remove(text);
                match colour(text, palette) {
                    Some(c) if part_name == "fg" => style = style.fg(c),
                    Some(c) => style = style.bg(c),
                    None => faults.push(fault(value.span().start, format!("\"{text}\" is no colour"))),
                }
            }
            (m, DeValue::Boolean(on)) if MODIFIERS.iter().any(|(n, _)| *n == m) => {
                if let (true, Some((_, modifier))) = (*on, MODIFIERS.iter().find(|(n, _)| *n == m)) {
                    style = style.add_modifier(*modifier);
                }
            }
            _ => faults.push(fault(part.span().start, format!("\"{part_name}\" is no part of a style"))),
        }
    }
    // A shorter name replaces what a base theme said for the longer ones, unless this file says those as well.
    let below = format!("{name}.");
    styles.retain(|k, _| !k.starts_with(&below) || own.contains(k));
    own.insert(name.to_owned());
    styles.insert(name.to_owned(), style);
}

fn colour(text: &str, palette: &BTreeMap<String, Color>) -> Option<Color> {
    if let Some(c) = palette.get(text) {
        return Some(*c);
    }
    if let Some(hex) = text.strip_prefix('#') {
        let n = (hex.len() == 6).then(|| u32::from_str_radix(hex, 16).ok()).flatten()?;
        return Some(Color::Rgb((n >> 16) as u8, (n >> 8) as u8, n as u8));
    }
    Some(match text {
        "terminal" => Color::Reset,
        "black" => Color::Black,
        "red" => Color::Red,
        "green" => Color::Green,
        "yellow" => Color::Yellow,
        "blue" => Color::Blue,
        "magenta" => Color::Magenta,
        "cyan" => Color::Cyan,
        "white" => Color::Gray,
        "bright-black" => Color::DarkGray,
        "bright-red" => Color::LightRed,
        "bright-green" => Color::LightGreen,
        "bright-yellow" => Color::LightYellow,
        "bright-blue" => Color::LightBlue,
        "bright-magenta" => Color::LightMagenta,
        "bright-cyan" => Color::LightCyan,
        "bright-white" => Color::White,
        number => Color::Indexed(number.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_themes_have_no_fault() {
        for (name, _) in BUILT_IN {
            let loaded = named(name).unwrap();
            assert_eq!(loaded.faults, vec![], "{name}");
            assert!(NAMES.contains(&name));
        }
    }

    #[test]
    fn a_faulty_theme_is_told_by_line_and_the_rest_applies() {
        let text = "inherits = \"mono\"\nwrong = 1\n[palette]\nalarm = \"#ff0000\"\nidle = \"blue\"\n[roles]\n\
                    \"state.down\" = { fg = \"alarm\", bold = true }\n\"nonsense\" = { fg = \"red\" }\n\
                    \"clock\" = { fg = \"no-such\", blink = true }\n";
        let loaded = parse("mine", "mine.toml", text);
        let told: Vec<String> = loaded.faults.iter().map(ToString::to_string).collect();
        for wanted in [
            "mine.toml:2: \"wrong\" means nothing here",
            "mine.toml:5: the palette's \"idle\" is not used",
            "mine.toml:8: there is no role \"nonsense\"",
            "mine.toml:9: \"no-such\" is no colour",
            "mine.toml:9: \"blink\" is no part of a style",
        ] {
            assert!(told.iter().any(|t| t.starts_with(wanted)), "{wanted} in {told:#?}");
        }
        assert_eq!(told.len(), 5, "{told:#?}");
        assert_eq!(loaded.theme.style(Role::Down).fg, Some(Color::Rgb(255, 0, 0)));
        // The longer name falls back on the shorter one.
        assert_eq!(loaded.theme.style(Role::DownLoud).fg, Some(Color::Rgb(255, 0, 0)));
    }
}
