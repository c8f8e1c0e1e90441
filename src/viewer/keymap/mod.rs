//! Which key starts which command.
//!
//! The built-in bindings come from the command table; a user's file is merged over them. `"none"` unbinds. A line that
//! cannot be used is told with its file and line, and everything else applies: an incident is never lost to a typo. A
//! chord counts only when it is complete.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use toml::de::{DeTable, DeValue};

use super::commands::{self, Context};
use super::theme::Fault;

/// One key press, as bindings name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Press {
    code: KeyCode,
    ctrl: bool,
}

impl Press {
    /// The press of an event. Shift is part of the character; Alt is never bound, because over a slow link it looks like
    /// Esc and a letter.
    pub fn of(event: &KeyEvent) -> Option<Press> {
        if event.modifiers.contains(KeyModifiers::ALT) {
            return None;
        }
        Some(Press { code: event.code, ctrl: event.modifiers.contains(KeyModifiers::CONTROL) })
    }

    /// Reads `r`, `ctrl-d`, `enter`, `f1`, `space` … Errors: what was meant to stand there.
    pub fn parse(text: &str) -> Result<Press, String> {
        let fault = || format!("\"{text}\" is no key: a character, ctrl-x, enter, esc, tab, space, up, pgdn, f1 …");
        let (ctrl, name) = match text.strip_prefix("ctrl-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut chars = name.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) => KeyCode::Char(c),
            (Some('f'), Some('0'..='9')) => {
                KeyCode::F(name.get(1..).and_then(|n| n.parse().ok()).filter(|n| *n <= 12).ok_or_else(fault)?)
            }
            _ => NAMED.iter().find(|(n, _)| *n == name).map(|(_, c)| *c).ok_or_else(fault)?,
        };
        Ok(Press { code, ctrl })
    }
}

const NAMED: [(&str, KeyCode); 15] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
];

impl std::fmt::Display for Press {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.ctrl {
            f.write_str("ctrl-")?;
        }
        if let Some((name, _)) = NAMED.iter().find(|(_, c)| *c == self.code) {
            return f.write_str(name);
        }
        match self.code {
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "f{n}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Keys one after another, separated by spaces: `g g`.
pub fn parse_chord(text: &str) -> Result<Vec<Press>, String> {
    let chord: Result<Vec<Press>, String> = text.split_whitespace().map(Press::parse).collect();
    match chord {
        Ok(chord) if chord.is_empty() => Err("no key is named".into()),
        other => other,
    }
}

/// A chord as text.
pub fn say_chord(chord: &[Press]) -> String {
    chord.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[derive(Clone, Debug, Default)]
struct Node {
    command: Option<&'static str>,
    /// In the order in which they were bound.
    next: Vec<(Press, Node)>,
}

impl Node {
    fn find(&self, chord: &[Press]) -> Option<&Node> {
        chord.iter().try_fold(self, |node, press| node.next.iter().find(|(p, _)| p == press).map(|(_, n)| n))
    }

    fn each(&self, chord: &mut Vec<Press>, see: &mut impl FnMut(&[Press], &'static str)) {
        if let Some(command) = self.command {
            see(chord, command);
        }
        for (press, node) in &self.next {
            chord.push(*press);
            node.each(chord, see);
            chord.pop();
        }
    }
}

/// What a sequence of presses comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This command.
    Command(&'static str),
    /// The beginning of a chord.
    Begun,
    Nothing,
}

/// All bindings, by context.
#[derive(Clone, Debug)]
pub struct Keymap {
    roots: BTreeMap<Context, Node>,
}

impl Default for Keymap {
    fn default() -> Self {
        let mut map = Keymap { roots: BTreeMap::new() };
        for command in commands::ALL {
            for keys in command.keys {
                if let Ok(chord) = parse_chord(keys) {
                    map.bind(command.context, &chord, Some(command.id));
                }
            }
        }
        map
    }
}

impl Keymap {
    fn bind(&mut self, context: Context, chord: &[Press], command: Option<&'static str>) {
        let mut node = self.roots.entry(context).or_default();
        for press in chord {
            let at = node.next.iter().position(|(p, _)| p == press).unwrap_or_else(|| {
                node.next.push((*press, Node::default()));
                node.next.len() - 1
            });
            let Some((_, next)) = node.next.get_mut(at) else { return };
            node = next;
        }
        node.command = command;
    }

    /// Looks a sequence up in `contexts`, the nearest first.
    pub fn find(&self, contexts: &[Context], chord: &[Press]) -> Found {
        for context in contexts {
            let Some(node) = self.roots.get(context).and_then(|root| root.find(chord)) else { continue };
            if let Some(command) = node.command {
                return Found::Command(command);
            }
            let mut any = false;
            node.each(&mut Vec::new(), &mut |_, _| any = true);
            if any {
                return Found::Begun;
            }
        }
        Found::Nothing
    }

    /// What may follow a begun chord: the rest of the keys and the command.
    pub fn following(&self, contexts: &[Context], chord: &[Press]) -> Vec<(String, &'static str)> {
        let mut out = Vec::new();
        for context in contexts {
            if let Some(node) = self.roots.get(context).and_then(|root| root.find(chord)) {
                node.each(&mut Vec::new(), &mut |rest, command| out.push((say_chord(rest), command)));
            }
        }
        out
    }

    /// The keys that start `command` now, as text.
    pub fn keys_of(&self, command: &str) -> Vec<String> {
        let mut out = Vec::new();
        for root in self.roots.values() {
            root.each(&mut Vec::new(), &mut |chord, id| {
                if id == command {
                    out.push(say_chord(chord));
                }
            });
        }
        // As the table lists them: what is shown first is what people learn.
        if let Some(c) = commands::find(command) {
            out.sort_by_key(|k| c.keys.iter().position(|d| d == k).unwrap_or(usize::MAX));
        }
        out
    }

    /// Merges a user's file over the bindings. What cannot be used is told, the rest applies.
    pub fn merge(&mut self, file: &str, text: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let fault = |at: usize, said: String| Fault {
            file: file.to_owned(),
            line: super::theme::line_of(text, at),
            text: said,
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for e in errors {
            faults.push(fault(e.span().map_or(0, |s| s.start), e.message().to_owned()));
        }
        for (key, value) in table.get_ref() {
            let name = key.get_ref().as_ref();
            let Some(context) = Context::ALL.iter().copied().find(|c| c.name() == name) else {
                let known: Vec<_> = Context::ALL.iter().map(|c| c.name()).collect();
                faults.push(fault(key.span().start, format!("there is no [{name}]: {}", known.join(", "))));
                continue;
            };
            let DeValue::Table(lines) = value.get_ref() else {
                faults
                    .push(fault(value.span().start, format!("[{name}] takes lines like \"r\" = \"service.restart\"")));
                continue;
            };
            for (keys, value) in lines {
                if let Err(why) = self.line(context, keys.get_ref(), value.get_ref()) {
                    faults.push(fault(keys.span().start, why));
                }
            }
        }
        faults.sort_by_key(|f| f.line);
        faults
    }

    fn line(&mut self, context: Context, keys: &str, value: &DeValue<'_>) -> Result<(), String> {
        let chord = parse_chord(keys)?;
        let Some(id) = value.as_str() else { return Err(format!("\"{keys}\" takes a command's id, or \"none\"")) };
        if id == "none" {
            self.bind(context, &chord, None);
            return Ok(());
        }
        let Some(command) = commands::find(id) else {
            let near = commands::nearest(id).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
            return Err(format!("there is no command \"{id}\"{near}"));
        };
        let root = self.roots.entry(context).or_default();
        for shorter in 1..chord.len() {
            if let Some(other) = root.find(chord.get(..shorter).unwrap_or_default()).and_then(|n| n.command) {
                return Err(format!("\"{keys}\" can never be typed: its beginning already starts {other}"));
            }
        }
        if let Some(node) = root.find(&chord) {
            let mut longer = Vec::new();
            node.each(&mut Vec::new(), &mut |rest, id| {
                if !rest.is_empty() {
                    longer.push(format!("{keys} {} ({id})", say_chord(rest)));
                }
            });
            if let Some(one) = longer.first() {
                return Err(format!("\"{keys}\" would hide {one}; unbind that first"));
            }
        }
        self.bind(context, &chord, Some(command.id));
        Ok(())
    }
}

/// The built-in bindings as a keymap file, with what each does: `config/keymap.toml`.
pub fn default_file() -> String {
    let mut out = String::from(
        "# The keys of mayday, as they are built in. A file like this, given by --keymap or standing at\n\
         # $XDG_CONFIG_HOME/mayday/keymap.toml, is merged over them: name only what you want different, and bind a key to\n\
         # \"none\" to take it away. Keys of the pane or view that is shown come before those of [global].\n",
    );
    for context in Context::ALL {
        let mut lines = Vec::new();
        for command in commands::ALL.iter().filter(|c| c.context == *context) {
            for keys in command.keys {
                let quoted = toml::Value::String((*keys).to_owned()).to_string();
                lines.push(format!("{:<12} = {:<24} # {}", quoted, format!("\"{}\"", command.id), command.title));
            }
        }
        if !lines.is_empty() {
            out.push_str(&format!("\n[{}]\n{}\n", context.name(), lines.join("\n")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_said_alike() {
        for text in ["r", "ctrl-d", "enter", "f1", "g g", "space", "?", "shift-tab"] {
            assert_eq!(say_chord(&parse_chord(text).unwrap()), text);
        }
        for bad in ["", "ctrl-", "hyper-x", "f99", "enterr"] {
            assert!(parse_chord(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_default_binding_is_found() {
        let map = Keymap::default();
        for command in commands::ALL {
            for keys in command.keys {
                let chord = parse_chord(keys).unwrap_or_else(|e| panic!("{}: {e}", command.id));
                assert_eq!(map.find(&[command.context], &chord), Found::Command(command.id), "{keys}");
            }
        }
    }

    #[test]
    fn a_faulty_file_is_told_by_line_and_the_rest_applies() {
        let mut map = Keymap::default();
        let text = "[global]\n\"X\" = \"help.open\"\n\"q\" = \"none\"\n\"g\" = \"help.open\"\n\"Y\" = \"help.opne\"\n\
                    \"j x\" = \"help.open\"\n\"hyper-z\" = \"help.open\"\n[nowhere]\n\"a\" = \"help.open\"\n";
        let told: Vec<String> = map.merge("k.toml", text).iter().map(ToString::to_string).collect();
        for wanted in [
            "k.toml:4: \"g\" would hide g g",
            "k.toml:5: there is no command \"help.opne\"; did you mean help.open?",
            "k.toml:6: \"j x\" can never be typed",
            "k.toml:7: \"hyper-z\" is no key",
            "k.toml:8: there is no [nowhere]",
        ] {
            assert!(told.iter().any(|t| t.starts_with(wanted)), "{wanted} in {told:#?}");
        }
        assert_eq!(told.len(), 5);
        let press = |t: &str| parse_chord(t).unwrap();
        assert_eq!(map.find(&[Context::Global], &press("X")), Found::Command("help.open"));
        assert_eq!(map.find(&[Context::Global], &press("q")), Found::Nothing);
        assert_eq!(map.find(&[Context::Global], &press("g")), Found::Begun);
    }

    #[test]
    fn the_shipped_keymap_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/keymap.toml");
        if std::env::var_os("MAYDAY_WRITE_KEYMAP").is_some() {
            std::fs::write(path, default_file()).unwrap();
        }
        let shipped = std::fs::read_to_string(path).unwrap();
        assert_eq!(shipped, default_file(), "config/keymap.toml must be what default_file() gives");
        assert_eq!(Keymap::default().merge("config/keymap.toml", &shipped), vec![]);
    }
}
