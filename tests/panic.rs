//! A panic within a screen: the terminal is as it was before, the report can be read, and the process ends.
//!
//! The real binary has nothing that makes it panic, and is not to have it. So this test binary runs a screen itself: it
//! starts its own test `the_screen` on a terminal of its own, which runs the cockpit's face with one that panics on a key
//! around it, with the same error reports as the real binary.

mod support;

use std::time::{Duration, Instant};

use crossterm::event::KeyCode;
use mayday::cli::args::{Global, Screen};
use mayday::cli::connect;
use mayday::domain::Access;
use mayday::viewer::app::App;
use mayday::viewer::keymap::Keymap;
use mayday::viewer::look::Look;
use mayday::viewer::screen::{self, Effect, Face, Input, Now, Setup};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use support::{Cockpit, PATIENCE, Pty};

const WHERE: &str = "MAYDAY_TEST_PANIC";
const CONFIG: &str = "[system]\nname = \"shop\"\n[[service]]\nname = \"api\"\n[[service.exec]]\nrun = [\"true\"]\n";

/// The cockpit, until X is pressed.
struct Fragile {
    app: App,
    place: String,
    pressed: bool,
}

impl Face for Fragile {
    fn update(&mut self, input: Input, now: Now) -> Vec<Effect> {
        if matches!(&input, Input::Key(key, _) if key.code == KeyCode::Char('X')) {
            self.pressed = true;
            match self.place.as_str() {
                "update" => panic!("broke in update"),
                "thread" => drop(std::thread::spawn(|| panic!("broke in thread"))),
                _ => {}
            }
        }
        self.app.update(input, now)
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
        let cursor = self.app.draw(area, buffer);
        assert!(!(self.pressed && self.place == "draw"), "broke in draw");
        cursor
    }

    fn next_tick(&self) -> u64 {
        self.app.next_tick()
    }
}

/// Nothing by itself; the screen of the other tests, where they say so.
#[test]
fn the_screen() {
    let Ok(place) = std::env::var(WHERE) else { return };
    let _ = color_eyre::config::HookBuilder::default().display_env_section(false).install();
    let app = App::new(Look::of(&Screen::default(), |_| None).0, Keymap::default(), Vec::new());
    let global = Global::default();
    let setup = Setup { place: connect::place(&global).unwrap(), client: "viewer", access: Access::Responder };
    screen::run(&mut Fragile { app, place, pressed: false }, &setup).unwrap();
}

fn breaks_in(place: &str) {
    let shop = Cockpit::new(CONFIG);
    shop.start();
    let exe = std::env::current_exe().unwrap().display().to_string();
    let argv = [exe, "--exact".into(), "the_screen".into(), "--nocapture".into(), "--test-threads=1".into()];
    let mut env = shop.home.env();
    env.push((WHERE.to_owned(), place.to_owned()));
    let mut pty = Pty::spawn(&argv, &env, &shop.home.work(), 100, 30);
    pty.wait_for("* live");
    assert!(pty.with_screen(vt100::Screen::alternate_screen));
    let begun = Instant::now();
    pty.send("X");
    assert_eq!(pty.wait_exit(PATIENCE).code, 101, "{}", pty.screen());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    pty.assert_given_back();
    // Where the report stands is the main screen, and nothing was drawn over it.
    assert!(!pty.with_screen(vt100::Screen::alternate_screen));
    let left = pty.screen();
    assert!(left.contains(&format!("broke in {place}")), "{left}");
    assert!(!left.contains("* live"), "{left}");
    assert!(shop.run(&["engine", "status"]).code == 0, "the engine goes on");
}

#[test]
fn in_update() {
    breaks_in("update");
}

#[test]
fn in_draw() {
    breaks_in("draw");
}

#[test]
fn in_a_thread_of_its_own() {
    breaks_in("thread");
}
