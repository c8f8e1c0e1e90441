//! One set of signs everywhere, and its plain twin for terminals without UTF-8.

/// Signs of states, lines and bars. Each is one column wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    pub up: &'static str,
    pub degraded: &'static str,
    pub down: &'static str,
    pub unknown: &'static str,
    pub paused: &'static str,
    pub live: &'static str,
    pub lost: &'static str,
    pub running: &'static str,
    pub waiting: &'static str,
    pub dot: &'static str,
    pub ellipsis: &'static str,
    pub arrow: &'static str,
    pub mark: &'static str,
    pub checked: &'static str,
    pub unchecked: &'static str,
    /// It stands out, because a person said so; and it is left out.
    pub pin: &'static str,
    pub hidden: &'static str,
    /// `┌ ─ ┐ │ └ ┘ ├ ┤`
    pub corners: [&'static str; 8],
    pub bar: [&'static str; 2],
    /// From low to high.
    pub spark: [&'static str; 8],
    /// A failure within a sparkline.
    pub spark_fail: &'static str,
    pub scroll: &'static str,
    pub ascii: bool,
}

/// With UTF-8.
pub const UNICODE: Glyphs = Glyphs {
    up: "✓",
    degraded: "▲",
    down: "▼",
    unknown: "?",
    paused: "‖",
    live: "●",
    lost: "✖",
    running: "▶",
    waiting: "◌",
    dot: "·",
    ellipsis: "…",
    arrow: "→",
    mark: "▌",
    checked: "■",
    unchecked: "□",
    pin: "◆",
    hidden: "∅",
    corners: ["┌", "─", "┐", "│", "└", "┘", "├", "┤"],
    bar: ["━", "─"],
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    spark_fail: "×",
    scroll: "┃",
    ascii: false,
};

/// Plain ASCII.
pub const ASCII: Glyphs = Glyphs {
    up: "+",
    degraded: "!",
    down: "X",
    unknown: "?",
    paused: "=",
    live: "*",
    lost: "X",
    running: ">",
    waiting: "o",
    dot: "-",
    ellipsis: "~",
    arrow: ">",
    mark: ">",
    checked: "#",
    unchecked: "_",
    pin: "@",
    hidden: "/",
    corners: ["+", "-", "+", "|", "+", "+", "+", "+"],
    bar: ["#", "."],
    spark: ["_", "_", ".", ".", "-", "-", "=", "="],
    spark_fail: "x",
    scroll: "#",
    ascii: true,
};

/// What the locale in the environment (`LC_ALL`, `LC_CTYPE`, `LANG`: the first that is set counts) can show.
pub fn locale_is_utf8(get: impl Fn(&str) -> Option<String>) -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| get(name).filter(|v| !v.is_empty()));
    said.is_some_and(|v| {
        let v = v.to_ascii_lowercase();
        v.contains("utf-8") || v.contains("utf8")
    })
}

/// `text` with every character that ASCII lacks replaced; the same number of columns.
pub fn to_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => out.push(c),
            '…' => out.push('~'),
            '→' => out.push('>'),
            '·' | '–' | '—' | '─' => out.push('-'),
            '×' => out.push('x'),
            _ => {
                let mut buffer = [0; 4];
                let columns = crate::text::width(c.encode_utf8(&mut buffer));
                out.extend(std::iter::repeat_n('?', columns));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_is_one_column_wide() {
        for g in [UNICODE, ASCII] {
            let signs = [
                g.up,
                g.degraded,
                g.down,
                g.unknown,
                g.paused,
                g.live,
                g.lost,
                g.running,
                g.waiting,
                g.dot,
                g.ellipsis,
                g.arrow,
                g.mark,
                g.checked,
                g.unchecked,
                g.pin,
                g.hidden,
                g.spark_fail,
                g.scroll,
            ];
            for sign in signs.iter().chain(&g.corners).chain(&g.bar).chain(&g.spark) {
                assert_eq!(crate::text::width(sign), 1, "{sign}");
                assert!(!g.ascii || sign.is_ascii());
            }
        }
    }

    #[test]
    fn the_first_locale_variable_counts() {
        for (vars, wanted) in [
            (&[("LANG", "de_DE.UTF-8")][..], true),
            (&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LC_ALL", ""), ("LANG", "C.utf8")], true),
            (&[], false),
        ] {
            let get = |n: &str| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned());
            assert_eq!(locale_is_utf8(get), wanted, "{vars:?}");
        }
    }

    #[test]
    fn ascii_keeps_the_columns() {
        assert_eq!(to_ascii("a → b…  日本"), "a > b~  ????");
    }
}
