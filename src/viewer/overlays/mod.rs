//! What opens above the panes: choosing, writing, confirming, being told.
//!
//! The top one takes every key and drops what it does not know. Text fields take plain letters; nothing else does while
//! one is open. A confirmation is pinned to the plan it was opened with.

use crossterm::event::KeyEvent;
use ratatui::layout::Rect;

use super::app::App;
use super::canvas::Canvas;

mod cancel;
mod capsule;
mod choices;
mod compose;
mod confirm;
mod contacts;
mod curate;
mod declare;
pub mod followups;
mod info;
mod leading;
mod line;
mod list;
mod note;
mod picked;
mod picker;
mod plan;
mod prompt;
mod restoring;
pub mod thinking;

pub use capsule::Capsule;
pub use compose::Compose;
pub use confirm::Confirm;
pub use contacts::Contacts;
pub use curate::Curate;
pub use declare::Declare;
pub use info::Info;
pub use leading::Leading;
pub use line::Line;
pub use note::Note;
pub use picker::{Item, Pick, Picker, Verb};
pub use prompt::{Asked, Prompt};

/// Whether an overlay is still there after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    Open,
    Close,
}

/// Something above the panes.
#[derive(Debug)]
pub enum Overlay {
    Picker(Picker),
    Prompt(Prompt),
    Note(Box<Note>),
    Declare(Box<Declare>),
    Confirm(Box<Confirm>),
    Compose(Box<Compose>),
    Contacts(Contacts),
    Info(Info),
    Capsule(Capsule),
}

impl Overlay {
    /// Takes a key that was read at `at` (microseconds).
    pub fn key(&mut self, app: &mut App, key: &KeyEvent, at: u64) -> Stay {
        match self {
            Overlay::Picker(o) => o.key(app, key),
            Overlay::Prompt(o) => o.key(app, key),
            Overlay::Note(o) => o.key(app, key),
            Overlay::Declare(o) => o.key(app, key),
            Overlay::Confirm(o) => o.key(app, key, at),
            Overlay::Compose(o) => o.key(app, key, at),
            Overlay::Contacts(o) => o.key(app, key),
            Overlay::Info(o) => o.key(key),
            Overlay::Capsule(o) => o.key(app, key, at),
        }
    }

    /// Takes pasted text. False when nothing here takes text.
    pub fn paste(&mut self, text: &str) -> bool {
        match self {
            Overlay::Picker(o) => o.paste(text),
            Overlay::Prompt(o) => o.line.insert(text),
            Overlay::Note(o) => o.paste(text),
            Overlay::Declare(o) => return o.paste(text),
            Overlay::Compose(o) => return o.paste(text),
            Overlay::Confirm(o) => return o.paste(text),
            Overlay::Contacts(_) | Overlay::Info(_) | Overlay::Capsule(_) => return false,
        }
        true
    }

    /// It goes away without having been answered.
    pub fn left(&mut self, app: &mut App) {
        match self {
            Overlay::Note(o) => o.left(app),
            Overlay::Declare(o) => o.left(app),
            Overlay::Confirm(o) => o.left(app),
            Overlay::Compose(o) => o.left(app),
            Overlay::Picker(o) => o.left(app),
            _ => {}
        }
    }

    /// The frame with this mark is on the terminal since `at`.
    pub fn drawn(&mut self, mark: u64, at: u64) {
        match self {
            Overlay::Confirm(o) => o.drawn(mark, at),
            Overlay::Compose(o) => o.drawn(mark, at),
            Overlay::Capsule(o) => o.drawn(mark, at),
            _ => {}
        }
    }

    /// The mark whose frame it waits for before keys count.
    pub fn waits_for(&self) -> Option<u64> {
        match self {
            Overlay::Confirm(o) => o.waits_for(),
            Overlay::Compose(o) => o.waits_for(),
            Overlay::Capsule(o) => o.waits_for(),
            _ => None,
        }
    }

    /// Draws it; gives the cursor's place when a text is being edited.
    pub fn draw(&self, app: &App, area: Rect, c: &mut Canvas<'_>) -> Option<(u16, u16)> {
        match self {
            Overlay::Picker(o) => o.draw(app, area, c),
            Overlay::Prompt(o) => o.draw(area, c),
            Overlay::Note(o) => o.draw(app, area, c),
            Overlay::Declare(o) => o.draw(app, area, c),
            Overlay::Confirm(o) => o.draw(app, area, c),
            Overlay::Compose(o) => o.draw(app, area, c),
            Overlay::Contacts(o) => {
                o.draw(app, area, c);
                None
            }
            Overlay::Info(o) => {
                o.draw(area, c);
                None
            }
            Overlay::Capsule(o) => {
                o.draw(area, c);
                None
            }
        }
    }

    /// What its keys do, for the footer.
    pub fn keys(&self) -> Vec<(&'static str, &'static str)> {
        match self {
            Overlay::Picker(o) => o.keys(),
            Overlay::Prompt(o) => vec![("enter", o.verb()), ("esc", "back")],
            Overlay::Note(o) => vec![("enter", o.verb()), ("ctrl-j", "new line"), ("esc", "keep and close")],
            Overlay::Declare(_) => {
                vec![
                    ("enter", "declare"),
                    ("tab", "next field"),
                    ("←→", "severity"),
                    ("space", "service"),
                    ("esc", "back"),
                ]
            }
            Overlay::Confirm(o) => o.keys(),
            Overlay::Compose(o) => o.keys(),
            Overlay::Contacts(_) => vec![("y", "answered"), ("n", "no answer"), ("j k", "others"), ("esc", "back")],
            Overlay::Info(_) => vec![("esc", "back")],
            Overlay::Capsule(o) => o.keys(),
        }
    }
}

/// What is said while an answer is awaited.
fn waiting(app: &App) -> &'static str {
    if app.watched.is_stale() {
        "asked for; waiting for the engine"
    } else {
        "asked for; waiting for it to be on record"
    }
}

/// The width that a window of `wanted` columns gets: all of it where only slivers would be left beside it.
pub fn width_in(area: Rect, wanted: u16) -> u16 {
    if area.width.saturating_sub(wanted) <= 8 { area.width } else { wanted }
}

/// A window in the middle, cleared and framed, with its title. Gives what is inside.
pub fn window(area: Rect, (width, height): (u16, u16), title: &str, danger: bool, c: &mut Canvas<'_>) -> Rect {
    use super::theme::Role;
    let width = width_in(area, width);
    // A window that nearly fills the room takes all of it: slivers of what lies below would only distract.
    let height = if area.height.saturating_sub(height) <= 3 { area.height } else { height };
    let outer = super::canvas::middle(area, width, height);
    c.clear(outer, Role::Overlay);
    let role = if danger { Role::OverlayDanger } else { Role::OverlayFrame };
    let inside = c.frame(outer, role);
    if inside.width > 4 {
        let title = format!(" {} ", crate::text::clean(title));
        c.cut(
            outer.x + 2,
            outer.y,
            outer.width - 4,
            &title,
            if danger { Role::OverlayDanger } else { Role::OverlayTitle },
        );
    }
    super::canvas::inset(inside, u16::from(inside.width > 20))
}
