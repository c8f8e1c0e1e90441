//! Keys of recoveries.

use super::super::shape::{Choice, Key, Table, Ty};
use super::super::value as v;
use super::many;

/// Kinds of incident that a recovery can be for.
const KINDS: &[&str] = &["service-hang", "memory-leak", "database-corruption", "data-loss", "deployment-failure"];
const PHASES: &[&str] = &["assess", "restart", "database", "redeploy", "validate"];

pub static RECOVERY: Table = Table::new(
    "[[recovery]]",
    "Steps that bring a whole system back, one after another; each only when the one before is really good.",
    &[&[
        Key::new("name", Ty::Text(&v::NAME), "Unique among the recoveries; started by `mayday recover NAME`.")
            .required(),
        Key::new("title", Ty::Text(&v::TEXT), "What it is for, shown beside the name."),
        Key::new("kind", Ty::Word(KINDS), "Kind of incident that it is for."),
        Key::new(
            "services",
            Ty::List(&Ty::Text(&v::NAME)),
            "Derives the order of the steps: a service's restore, then restart and actions, then `healthy`, before those \
             of what depends on it. Without: the order of the file.",
        ),
        Key::new("step", many(&STEP), "What is done, in order.").required(),
    ]],
);

static STEP: Table = Table::new(
    "[[recovery.step]]",
    "One step: a run of its own, a wait, or something that a person does.",
    &[&[
        Key::new("phase", Ty::Word(PHASES), "Part of the recovery that it belongs to.").required(),
        Key::new(
            "within",
            Ty::Text(&v::DURATION),
            "Its time box. When it runs out nothing is ended: the recovery says so, and asks.",
        )
        .required(),
        Key::new(
            "restore",
            Ty::Text(&v::NAME),
            "Backup set: its newest good copy is restored beside the live data, verified, and put in its place.",
        ),
        Key::new("restart", Ty::Text(&v::NAME), "Service that is restarted by its control."),
        Key::new("action", Ty::Text(&v::NAME), "Action that is run."),
        Key::new("healthy", Ty::List(&Ty::Text(&v::NAME)), "Services that are waited for until they are up."),
        Key::new("look", Ty::Text(&v::PLAIN), "Something that a person does, and answers with done or failed."),
    ]],
)
.choosing(&[
    Choice { by: &["restore"], with: &[] },
    Choice { by: &["restart"], with: &[] },
    Choice { by: &["action"], with: &[] },
    Choice { by: &["healthy"], with: &[] },
    Choice { by: &["look"], with: &[] },
]);
