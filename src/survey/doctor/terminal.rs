//! What the environment says about the terminal. Nothing is asked of the terminal itself.

use super::{Finding, Place};

const AREA: &str = "terminal";

/// TERM, locale, colours, multiplexer.
pub fn terminal(place: &Place<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    if !place.terminal {
        out.push(Finding::note(AREA, "the output is no terminal", "mayday status is for scripts"));
    }
    match place.var("TERM") {
        None => out.push(Finding::bad(
            AREA,
            "TERM is not set: the cockpit cannot be drawn",
            "use ssh -t, or mayday --plain for a line per change",
        )),
        Some("dumb") => out.push(Finding::warning(
            AREA,
            "TERM is dumb: the cockpit cannot be drawn",
            "mayday --plain writes a line per change",
        )),
        Some(term) => {
            let depth = match place.var("COLORTERM") {
                Some("truecolor" | "24bit") => "24-bit colours",
                _ if term.contains("256color") => "256 colours",
                _ if term == "linux" || term == "vt100" || term == "vt220" => "16 colours or fewer",
                _ => "16 colours are assumed",
            };
            let within = match (place.var("TMUX"), term.starts_with("screen")) {
                (Some(_), _) => ", inside tmux",
                (None, true) => ", inside screen",
                (None, false) => "",
            };
            out.push(Finding::good(AREA, format!("TERM={term}, {depth}{within}")));
        }
    }
    if place.var("NO_COLOR").is_some() {
        out.push(Finding::note(AREA, "NO_COLOR is set: states are told by glyph and word alone", ""));
    }
    // The first that is set decides (locale(7)).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| Some((name, place.var(name)?)));
    let utf8 = |value: &str| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    };
    match locale {
        Some((name, value)) if utf8(value) => out.push(Finding::good(AREA, format!("{name}={value}"))),
        Some((name, value)) => out.push(Finding::warning(
            AREA,
            format!("{name}={value} is not UTF-8: frames and glyphs are drawn in ASCII"),
            "export LC_ALL=C.UTF-8, if the terminal shows UTF-8",
        )),
        None => out.push(Finding::warning(
            AREA,
            "no locale is set: frames and glyphs are drawn in ASCII",
            "export LC_ALL=C.UTF-8, if the terminal shows UTF-8",
        )),
    }
    out
}
