//! Keys of playbooks and checklists.

use super::super::shape::{Choice, Key, Table, Ty};
use super::super::value as v;
use super::many;

pub const PHASES: &[&str] = &["response", "mitigation", "recovery", "validation", "review"];
const OWNERS: &[&str] = &["commander", "operations", "communications", "scribe"];
const TEMPLATES: &[&str] = &["initial", "update", "resolution"];
pub const CHECK_KINDS: &[&str] =
    &["http", "tcp", "tls", "dns", "postgres", "redis", "host", "systemd", "docker", "exec"];
pub const PARAMETERS: &[&str] =
    &["service", "services", "backup", "action", "recovery", "channels", "checklist", "text"];

pub static PLAYBOOKS: Table = Table::new(
    "[playbooks]",
    "Playbooks in files of their own.",
    &[&[Key::new("folder", Ty::Path, "Folder whose `*.toml` files are a playbook each.").required()]],
);

/// What an inline playbook and one in a file have in common.
const ABOUT: &[Key] = &[
    Key::new("title", Ty::Text(&v::PLAIN), "What it is for, shown beside the name."),
    Key::new("doc", Ty::Text(&v::LINES), "When to use it, and when not."),
    Key::new("suggest", many(&SUGGEST), "When it suggests itself; it never begins by itself."),
];

pub static PLAYBOOK: Table = Table::new(
    "[[playbook]]",
    "Steps of an incident for the person who carries them out.",
    &[
        &[
            Key::new("name", Ty::Text(&v::NAME), "Unique among the playbooks. Default with `use`: the name used."),
            Key::new(
                "use",
                Ty::Text(&v::NAME),
                "A playbook that is shipped, or stands in the folder, bound to this system.",
            ),
            Key::new(
                "with",
                Ty::Map(&v::NAME, &Ty::OneOrMore(&Ty::Text(&v::PLAIN))),
                "Its parameters: `mayday playbook shipped NAME` shows them.",
            ),
        ],
        ABOUT,
        &[Key::new("step", many(&STEP), "What is done, in order.")],
    ],
)
.choosing(&[Choice { by: &["use"], with: &["with"] }, Choice { by: &["step"], with: &[] }]);

/// A playbook in a file of its own.
pub static FILE: Table = Table::new(
    "a playbook file",
    "A playbook; with parameters it is bound by `use` and `with`, without it stands for itself.",
    &[
        &[Key::new("name", Ty::Text(&v::NAME), "Unique among the playbooks.").required()],
        ABOUT,
        &[
            Key::new("parameters", Ty::Map(&v::NAME, &Ty::Table(&PARAMETER)), "What `with` fills in for `{name}`."),
            Key::new("step", many(&FILE_STEP), "What is done, in order.").required(),
        ],
    ],
);

static PARAMETER: Table = Table::new(
    "a parameter",
    "A name that the system gives.",
    &[&[
        Key::new("kind", Ty::Word(PARAMETERS), "What its value names.").required(),
        Key::new("doc", Ty::Text(&v::TEXT), "What it is for."),
        Key::new("optional", Ty::Bool, "It may be left out; steps that need it say what is done `otherwise`.")
            .default("false"),
    ]],
);

static SUGGEST: Table = Table::new(
    "[[playbook.suggest]]",
    "A condition under which it suggests itself. Services are those named and those that fit the other keys.",
    &[&[
        Key::new("services", Ty::List(&Ty::Text(&v::NAME)), "These."),
        Key::new("tier", Ty::Int(1, 4), "All of this tier."),
        Key::new("kind", Ty::Word(CHECK_KINDS), "All with a check of this kind."),
        Key::new("labels", Ty::List(&Ty::Text(&v::NAME)), "All with one of these labels."),
        Key::new("when", Ty::Word(&["any", "all"]), "Any of them is down (and not because of another), or all are.")
            .default("\"any\""),
    ]],
);

/// Names, and lines, in a list.
const NAMES: Ty = Ty::List(&Ty::Text(&v::NAME));
const LINES: Ty = Ty::List(&Ty::Text(&v::PLAIN));

const STEP_KEYS: &[Key] = &[
    Key::new("name", Ty::Text(&v::NAME), "Unique within the playbook; the word that `go` takes.").required(),
    Key::new("title", Ty::Text(&v::PLAIN), "One line. Default: what it does."),
    Key::new("phase", Ty::Word(PHASES), "Phase of the incident that it belongs to."),
    Key::new("within", Ty::Text(&v::DURATION), "Its time box. For `wait` the limit after which it has failed."),
    Key::new("owner", Ty::Word(OWNERS), "The role that does it."),
    Key::new("text", Ty::Text(&v::LINES), "What the person is told, with any kind of step."),
    Key::new("go", Ty::Text(&v::NAME), "The step after it; `end` ends. Default: the next one."),
    Key::new("manual", Ty::Text(&v::LINES), "A person does this, and says done or failed."),
    Key::new("evidence", Ty::Bool, "It is not done without something that shows it.").default("false"),
    Key::new("restart", Ty::Text(&v::NAME), "Service that is restarted; its plan is confirmed as always."),
    Key::new("stop", Ty::Text(&v::NAME), "Service that is stopped."),
    Key::new("start", Ty::Text(&v::NAME), "Service that is started."),
    Key::new("action", Ty::Text(&v::NAME), "Action that is run."),
    Key::new("restore", Ty::Text(&v::NAME), "Backup set that is restored beside the live data, then put in its place."),
    Key::new("recovery", Ty::Text(&v::NAME), "A whole [[recovery]]."),
    Key::new("command", Ty::Text(&v::NAME), "Action with risk observe whose exit code must be 0."),
    Key::new("check", LINES, "Services (`api`) or single checks (`api/http`) that must hold now."),
    Key::new("wait", NAMES, "Services that are waited for until they are up."),
    Key::new("decide", Ty::Text(&v::LINES), "A question; the person chooses one of its options."),
    Key::new("option", many(&OPTION), "The ways on."),
    Key::new("message", Ty::Word(TEMPLATES), "Message that is sent after its preview."),
    Key::new("channels", NAMES, "Where it is sent. Default: all channels."),
    Key::new("checklist", Ty::Text(&v::NAME), "Checklist that is ticked."),
    Key::new("hold", NAMES, "Services that nobody restarts or restores until released; `[]` for everything."),
    Key::new("reason", Ty::Text(&v::PLAIN), "Why they are held."),
];

const CHOICES: &[Choice] = &[
    Choice { by: &["manual"], with: &["evidence"] },
    Choice { by: &["restart"], with: &[] },
    Choice { by: &["stop"], with: &[] },
    Choice { by: &["start"], with: &[] },
    Choice { by: &["action"], with: &[] },
    Choice { by: &["restore"], with: &[] },
    Choice { by: &["recovery"], with: &[] },
    Choice { by: &["command"], with: &[] },
    Choice { by: &["check"], with: &[] },
    Choice { by: &["wait"], with: &[] },
    Choice { by: &["decide"], with: &["option"] },
    Choice { by: &["message"], with: &["channels"] },
    Choice { by: &["checklist"], with: &[] },
    Choice { by: &["hold"], with: &["reason"] },
];

static STEP: Table = Table::new("[[playbook.step]]", "One step: of exactly one kind.", &[STEP_KEYS]).choosing(CHOICES);

static FILE_STEP: Table = Table::new(
    "[[step]]",
    "One step: of exactly one kind.",
    &[
        STEP_KEYS,
        &[Key::new(
            "otherwise",
            Ty::Text(&v::LINES),
            "What a person does instead, where an optional parameter was not given, or a control cannot do it.",
        )],
    ],
)
.choosing(CHOICES);

static OPTION: Table = Table::new(
    "[[playbook.step.option]]",
    "One way on.",
    &[&[
        Key::new("name", Ty::Text(&v::NAME), "The word that chooses it.").required(),
        Key::new("title", Ty::Text(&v::PLAIN), "When it is the one."),
        Key::new("go", Ty::Text(&v::NAME), "The step it leads to; `end` ends.").required(),
    ]],
);

pub static CHECKLIST: Table = Table::new(
    "[[checklist]]",
    "Things that are easily forgotten. One of the same name takes the place of a shipped one.",
    &[&[
        Key::new("name", Ty::Text(&v::NAME), "Unique among the checklists.").required(),
        Key::new("title", Ty::Text(&v::PLAIN), "What it is for."),
        Key::new("items", Ty::List(&Ty::Text(&v::PLAIN)), "Each a line that is ticked.").required(),
    ]],
);

/// The file of the shipped checklists.
pub static CHECKLISTS: Table = Table::new(
    "the shipped checklists",
    "Checklists that are there without being configured.",
    &[&[Key::new("checklist", many(&CHECKLIST), "Checklists.")]],
);
