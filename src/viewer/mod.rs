//! The cockpit's screens.
//!
//! A viewer shows what the engine says and asks for what a person wants; it can do nothing by itself. It imports neither
//! the engine nor anything that acts. From the bottom: [`terminal`] is the only door to the terminal ([`encode`] turns
//! differences into bytes, [`input`] bytes into keys), [`link`] talks to the engine, [`screen`] runs a [`screen::Face`].
//! [`app`] is the cockpit's face, [`wall`] the wall's; [`plain`] needs no face, only lines. [`watched`] is what both know
//! and how fresh it is, [`look`] how they look.
//!
//! Draw functions take `&App` and an area and change nothing.

pub mod acts;
pub mod allowed;
mod answers;
pub mod app;
pub mod bigtext;
pub mod canvas;
mod clipboard;
pub mod commands;
pub mod detail;
pub mod draw;
pub mod encode;
pub mod footer;
pub mod glyphs;
pub mod header;
pub mod input;
pub mod keymap;
mod keys;
pub mod layout;
pub mod link;
pub mod lists;
pub mod look;
pub mod overlays;
pub mod panes;
pub mod past;
pub mod plain;
pub mod records;
pub mod rows;
pub mod screen;
pub mod steps;
pub mod terminal;
pub mod theme;
mod update;
pub mod wall;
pub mod watched;
pub mod why;

use crate::cli::args::{Global, Screen};
use crate::cli::replay::Moment;
use crate::cli::{Failure, connect};
use crate::domain::Access;
use crate::wire::past::Opener;

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn is_plain(screen: &Screen) -> bool {
    screen.plain || env("TERM").is_some_and(|t| t == "dumb") || env("TERM").is_none()
}

fn setup(global: &Global, screen: &Screen, client: &'static str) -> Result<screen::Setup, Failure> {
    let access = if screen.read_only || client == "wall" { Access::ReadOnly } else { Access::Responder };
    Ok(screen::Setup { place: connect::place(global)?, client, access })
}

fn needs_terminal() -> Result<(), Failure> {
    if terminal::is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(
        "the cockpit needs a terminal; for scripts there is mayday status, or --plain for a line per change",
    ))
}

/// Opens the cockpit. `opener` reads the record for a replay.
pub fn open(global: &Global, screen: &Screen, opener: Opener) -> Result<u8, Failure> {
    let setup = setup(global, screen, "viewer")?;
    if is_plain(screen) {
        return plain::run(&setup, screen);
    }
    needs_terminal()?;
    let mut app = cockpit(screen);
    app.opener = Some((opener, setup.place.state_dir.clone()));
    screen::run(&mut app, &setup)
}

/// Opens the cockpit at a past moment of an incident. Without a screen the moment is printed.
pub fn replay(
    global: &Global,
    screen: &Screen,
    opener: Opener,
    incident: Option<&str>,
    moment: &Moment,
) -> Result<u8, Failure> {
    let setup = screen::Setup { place: connect::place(global)?, client: "viewer", access: Access::ReadOnly };
    let mut tape = opener(&setup.place.state_dir, incident);
    if global.json || is_plain(screen) {
        return crate::cli::replay::show(tape.as_mut(), moment, global.json);
    }
    if !terminal::is_terminal() {
        return Err(Failure::usage("a replay needs a terminal; for scripts there is --json, and --plain for people"));
    }
    let goal = moment.goal(&crate::cli::replay::opened(tape.as_ref())?)?;
    let mut app = cockpit(screen);
    app.only_past = true;
    app.replay = Some(Box::new(past::Replay::new(&app, tape, goal)));
    screen::run_alone(&mut app, &setup)
}

/// An empty cockpit with the looks and keys that were asked for.
fn cockpit(screen: &Screen) -> app::App {
    let (look, mut faults) = look::Look::of(screen, env);
    let mut keymap = keymap::Keymap::default();
    let own = screen.keymap.clone().or_else(|| look::user_dir().map(|d| d.join("keymap.toml")).filter(|p| p.exists()));
    if let Some(path) = own {
        let shown = crate::text::clean(&path.display().to_string()).into_owned();
        match std::fs::read_to_string(&path) {
            Ok(text) => faults.extend(keymap.merge(&shown, &text).iter().map(ToString::to_string)),
            Err(e) => faults.push(format!("keymap {shown}: {e}")),
        }
    }
    app::App::new(look, keymap, faults)
}

/// Opens the wall display. `rotate`: seconds a page stays.
pub fn wall(global: &Global, screen: &Screen, rotate: u64) -> Result<u8, Failure> {
    let setup = setup(global, screen, "wall")?;
    if is_plain(screen) {
        return plain::run(&setup, screen);
    }
    needs_terminal()?;
    wall::run(&setup, screen, rotate)
}
