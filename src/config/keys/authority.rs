//! Keys of authority and second persons.

use super::super::shape::{Key, Table, Ty};
use super::super::value as v;
use crate::domain::authority::Level;

pub const LEVEL: Ty = Ty::Word(Level::WORDS);

pub static AUTHORITY: Table = Table::new(
    "[authority]",
    "Who may do what. What somebody may is the most that any of these, or the severity of an open incident, gives.",
    &[&[
        Key::new(
            "everybody",
            LEVEL,
            "What everybody may, also without an incident. Default: the least that a severity gives; everything where none \
             gives anything.",
        ),
        Key::new("roles", Ty::Map(&v::NAME, &LEVEL), "What a role in an open incident gives to who has it."),
        Key::new("users", Ty::Map(&v::NAME, &LEVEL), "What a user of the engine's host may, always."),
        Key::new("groups", Ty::Map(&v::GROUP, &LEVEL), "The same for the members of a group of `/etc/group`."),
        Key::new("needs", Ty::Map(&v::DEED, &LEVEL), "What something needs instead of the usual level."),
        Key::new(
            "second_person",
            Ty::Bool,
            "Everything destructive waits until another user approves it, or the glass is broken with a reason.",
        )
        .default("false"),
    ]],
);
