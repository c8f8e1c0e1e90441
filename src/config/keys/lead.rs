//! Keys of leading an incident: what is promised for each severity, and whom to call.

use super::super::shape::{Key, Table, Ty};
use super::super::value as v;

pub static SEVERITY: Table = Table::new(
    "[severity.P0]",
    "What is promised for a severity, P0 the worst.",
    &[&[
        Key::new(
            "respond_within",
            Ty::Text(&v::DURATION),
            "Time from declaring to acknowledging. Default: 5m for P0, 15m for P1, 1h for P2, 4h for P3.",
        ),
        Key::new(
            "update_every",
            Ty::Text(&v::DURATION_OR_NONE),
            "Time between two updates to those who wait. Default: 15m for P0, 30m for P1, none for P2 and P3.",
        ),
        Key::new(
            "authority",
            super::authority::LEVEL,
            "What everybody may while an open incident has this severity; of several the worst counts.",
        ),
        Key::new(
            "second_person",
            Ty::Bool,
            "What is destructive waits meanwhile until another user approves it, or the glass is broken with a reason.",
        )
        .default("false"),
        Key::new(
            "first_word_within",
            Ty::Text(&v::DURATION_OR_NONE),
            "Time from declaring to the first message that a channel accepted. Default: 5m for P0 and P1, else none.",
        ),
        Key::new(
            "resolution_within",
            Ty::Text(&v::DURATION_OR_NONE),
            "Time from resolving to the message that says so. Default: 5m for P0 and P1, else none.",
        ),
        Key::new(
            "review_within",
            Ty::Text(&v::DURATION_OR_NONE),
            "Time from resolving to closing, with the review. Default: 24h for P0 and P1, 3d for P2, 7d for P3.",
        ),
        Key::new("phases", Ty::Table(&PHASES), "Time since the declaration at which each phase should be over."),
        Key::new(
            "escalate",
            Ty::List(&Ty::Text(&v::NAME)),
            "Levels of contacts: the first is told at the declaration, each further one while nobody acknowledges.",
        ),
        Key::new(
            "escalate_after",
            Ty::Text(&v::DURATION),
            "Time that each level has to acknowledge. Default: `respond_within`.",
        ),
    ]],
);

/// Their names are those of [`IncidentPhase`](crate::domain::phases::IncidentPhase).
static PHASES: Table = Table::new(
    "phases",
    "Time since the declaration (T+) at which each phase should be over; each at least as late as the one before.",
    &[&[
        Key::new("detection", Ty::Text(&v::DURATION), "Until it is acknowledged. Default: `respond_within`."),
        Key::new("response", Ty::Text(&v::DURATION), "Until the cause is identified. Default: 15m, 30m, 2h, 8h."),
        Key::new("mitigation", Ty::Text(&v::DURATION), "Until it is set to monitoring. Default: 30m, 1h, 4h, 24h."),
        Key::new(
            "recovery",
            Ty::Text(&v::DURATION),
            "Until, mitigated, every affected service is seen up. Default: 1h, 2h, 8h, 2d.",
        ),
        Key::new("validation", Ty::Text(&v::DURATION), "Until it is resolved. Default: 4h, 8h, 24h, 3d."),
        Key::new("review", Ty::Text(&v::DURATION), "Until it is closed. Default: 24h, 2d, 4d, 10d."),
    ]],
);

pub static CONTACT: Table = Table::new(
    "[[contact]]",
    "Somebody to call.",
    &[&[
        Key::new("name", Ty::Text(&v::NAME), "Unique among the contacts.").required(),
        Key::new(
            "levels",
            Ty::List(&Ty::Text(&v::NAME)),
            "Levels that it stands for: the words in `escalate` of the severities.",
        ),
        Key::new("roles", Ty::List(&Ty::Text(&v::NAME)), "What it can do, shown beside the name."),
        Key::new("phone", Ty::Text(&v::PLAIN), "Number, shown large."),
        Key::new("address", Ty::Text(&v::PLAIN), "Mail address or handle, shown beside the number."),
        Key::new("channels", Ty::List(&Ty::Text(&v::NAME)), "Channels that reach it when its level is called."),
        Key::new("vendor", Ty::Bool, "Belongs to somebody else: a supplier's support.").default("false"),
        Key::new("hours", Ty::Text(&v::PLAIN), "When it can be reached, shown as written."),
        Key::new("notes", Ty::Text(&v::PLAIN), "What to know before calling: contract number, language."),
    ]],
);
