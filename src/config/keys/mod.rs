//! The one table of keys. Reader, suggestions, JSON Schema and the annotated example are all held to it.
//!
//! A key stands here when something in mayday acts on it, and not before.

mod authority;
mod checks;
mod lead;
pub mod playbook;
mod recovery;
mod stores;
mod whole;

pub use checks::{CHECKS, VERIFY};
pub use recovery::{ACTION, BACKUP, CHANNEL};
pub use whole::RECOVERY;

use lead::{CONTACT, SEVERITY};

use super::shape::{Choice, Exposed, Key, Table, Ty};
use super::value as v;

/// The whole file.
pub static ROOT: Table = Table::new(
    "the file",
    "A system that mayday watches and helps to repair.",
    &[&[
        Key::new("system", Ty::Table(&SYSTEM), "What is watched, and where.").required(),
        Key::new("defaults", Ty::Table(&DEFAULTS), "Values for checks that do not set their own."),
        Key::new("engine", Ty::Table(&ENGINE), "The process that watches and records."),
        Key::new("journal", Ty::Table(&JOURNAL), "The record."),
        Key::new("severity", Ty::Map(&v::SEVERITY, &Ty::Table(&SEVERITY)), "What is promised for each severity."),
        Key::new(
            "authority",
            Ty::Table(&authority::AUTHORITY),
            "Who may do what, and what one person is not enough for.",
        ),
        Key::new("service", many(&SERVICE), "Something that can be up or down."),
        Key::new("backup", many(&BACKUP), "A set of copies, and how to restore one."),
        Key::new("action", many(&ACTION), "A command that can be started from the cockpit."),
        Key::new("recovery", many(&RECOVERY), "Steps that bring a whole system back, one after another."),
        Key::new("playbooks", Ty::Table(&playbook::PLAYBOOKS), "Playbooks in files of their own."),
        Key::new("playbook", many(&playbook::PLAYBOOK), "Steps of an incident for the person who carries them out."),
        Key::new("checklist", many(&playbook::CHECKLIST), "Things that are easily forgotten."),
        Key::new("channel", many(&CHANNEL), "Where messages are sent."),
        Key::new(
            "maintenance",
            many(&MAINTENANCE),
            "Announced maintenance: what happens in it counts against nothing.",
        ),
        Key::new("contact", many(&CONTACT), "Somebody to call."),
    ]],
);

const fn many(table: &'static Table) -> Ty {
    Ty::Tables { table, single: false }
}

static SYSTEM: Table = Table::new(
    "[system]",
    "What is watched, and where.",
    &[&[
        Key::new(
            "name",
            Ty::Text(&v::SYSTEM_NAME),
            "Shown in the header and in every message; names the state folder.",
        )
        .required(),
        Key::new("environment", Ty::Text(&v::NAME), "Shown beside the name; `production` is marked in dialogs.")
            .default("\"production\""),
        Key::new(
            "availability_target",
            Ty::Number(0.0, 100.0),
            "Per cent of a month. `config check` warns when a single outage as long as a tier-1 RTO would miss it.",
        ),
        Key::new("downtime_cost", Ty::Table(&COST), "What an hour of downtime costs; runs along during an incident."),
        Key::new(
            "extra_ca",
            Ty::List(&Ty::Path),
            "Files (PEM) with certificate authorities that are trusted beside those of the host.",
        ),
    ]],
);

static MAINTENANCE: Table = Table::new(
    "[[maintenance]]",
    "Announced maintenance: its time is in no availability, and what is down in it suggests no P0.",
    &[&[
        Key::new("name", Ty::Text(&v::NAME), "Unique among the windows.").required(),
        Key::new("services", Ty::List(&Ty::Text(&v::NAME)), "What is maintained. Default: every service."),
        Key::new("starts", Ty::Text(&v::MOMENT), "When it begins, for a window that takes place once."),
        Key::new("every", Ty::Text(&v::CRON), "When it begins, again and again: minute, hour, day, month, weekday."),
        Key::new("zone", Ty::Text(&v::ZONE), "Time zone of `every`, daylight saving included. Default: UTC."),
        Key::new("lasts", Ty::Text(&v::DURATION), "How long it takes.").required(),
        Key::new("announce", Ty::Text(&v::DURATION_OR_ZERO), "How long before it stands in the status.")
            .default("\"48h\""),
    ]],
)
.choosing(&[Choice { by: &["starts"], with: &[] }, Choice { by: &["every"], with: &["zone"] }]);

static COST: Table = Table::new(
    "downtime_cost",
    "What downtime costs.",
    &[&[
        Key::new("per_hour", Ty::Number(0.0, 1e12), "Money lost in an hour.").required(),
        Key::new("currency", Ty::Text(&v::CURRENCY), "Three letters (ISO 4217).").required(),
    ]],
);

static DEFAULTS: Table = Table::new(
    "[defaults]",
    "Values for checks that do not set their own.",
    &[checks::TIMING, checks::HTTP_DEFAULTS, checks::FAMILY],
);

static ENGINE: Table = Table::new(
    "[engine]",
    "The process that watches and records.",
    &[&[
        Key::new(
            "state_dir",
            Ty::Path,
            "Folder of the record, the runs and the incidents. Default: the XDG state folder + `mayday/` + the name.",
        ),
        Key::new(
            "group",
            Ty::Text(&v::GROUP),
            "Members of this group share one engine, which then runs as a service account. Default: nobody else.",
        ),
        Key::new("output_limit", Ty::Size(64 << 10), "Bytes kept of the output of a run; the rest is counted.")
            .default("\"16MiB\""),
    ]],
);

static JOURNAL: Table = Table::new(
    "[journal]",
    "The record.",
    &[&[
        Key::new(
            "mirror",
            Ty::PathOr(&MIRROR),
            "A second place for every entry: a file, best on another disk, or a command.",
        ),
        Key::new("rotate", Ty::Size(1 << 20), "Size after which a new part of the journal begins.")
            .default("\"64MiB\""),
    ]],
);

/// Stands once in a file, so that only one of its ways can be shown there.
pub static MIRROR: Table = Table::new(
    "mirror",
    "A second place for every entry, so that the record outlives its disk.",
    &[&[
        Key::new("path", Ty::Path, "A file, best on another disk."),
        Key::new(
            "run",
            Ty::Argv,
            "Program and arguments that are given every entry, one line of JSON each, on standard input. It runs as long \
             as the engine, is started again when it ends, and then gets what it had not read.",
        ),
    ]],
)
.choosing(&[Choice { by: &["path"], with: &[] }, Choice { by: &["run"], with: &[] }]);

static SERVICE: Table = Table::new(
    "[[service]]",
    "Something that can be up or down.",
    &[
        &[
            Key::new("name", Ty::Text(&v::NAME), "Unique among the services.").required(),
            Key::new("tier", Ty::Int(1, 4), "How much depends on it: 1 the most, 4 the least.").default("3"),
            Key::new("rto", Ty::Text(&v::DURATION), "Recovery time objective: how long it may be down."),
            Key::new("impact", Ty::Text(&v::TEXT), "What people cannot do while it is down."),
            Key::new("depends_on", Ty::List(&Ty::Text(&v::NAME)), "Services without which it cannot work."),
            Key::new(
                "labels",
                Ty::List(&Ty::Text(&v::NAME)),
                "Words of your own, by which playbooks suggest themselves.",
            ),
            Key::new("control", Ty::Table(&CONTROL), "How it is restarted, stopped and started."),
        ],
        CHECKS,
    ],
);

static CONTROL: Table = Table::new(
    "control",
    "How a service is restarted, stopped and started: one platform, or commands.",
    &[&[
        Key::new("systemd", Ty::Text(&v::UNIT), "Unit, by systemctl."),
        Key::new("user", Ty::Bool, "The unit belongs to the user's own manager (`systemctl --user`).").default("false"),
        Key::new("docker", Ty::Text(&v::CONTAINER), "Container, by docker."),
        Key::new("compose", Ty::Table(&COMPOSE), "Service of a Compose project, by docker compose."),
        Key::new("kubernetes", Ty::Table(&KUBERNETES), "Workload, by kubectl."),
        Key::new("railway", Ty::Table(&RAILWAY), "Service, by the Railway command line."),
        Key::new("restart", Ty::Argv, "Program and arguments that restart it. Without: `stop`, then `start`."),
        Key::new("stop", Ty::Argv, "Program and arguments that stop it."),
        Key::new("start", Ty::Argv, "Program and arguments that start it."),
        Key::new("redeploy", Ty::Argv, "Program and arguments that deploy it again."),
        Key::new("scale", Ty::Argv, "Program and arguments that change its number of instances to `{replicas}`."),
        Key::new("promote", Ty::Argv, "Program and arguments that make this standby the primary."),
        Key::new("logs", Ty::Argv, "Program and arguments that print the last `{lines}` lines of its log and end."),
        Key::new("cwd", Ty::Path, "Folder in which the commands run."),
        Key::new("env", ENV, "Environment of the commands."),
        Key::new("timeout", Ty::Text(&v::DURATION), "Time for each command; then it is ended."),
    ]],
)
.choosing(&[
    Choice { by: &["systemd"], with: &["user"] },
    Choice { by: &["docker"], with: &[] },
    Choice { by: &["compose"], with: &[] },
    Choice { by: &["kubernetes"], with: &[] },
    Choice { by: &["railway"], with: &[] },
    Choice {
        by: &["restart", "stop", "start", "redeploy", "scale", "promote", "logs"],
        with: &["cwd", "env", "timeout"],
    },
]);

static COMPOSE: Table = Table::new(
    "compose",
    "A service of a Compose project.",
    &[&[
        Key::new("service", Ty::Text(&v::CONTAINER), "Name of the service in the Compose file.").required(),
        Key::new("project_dir", Ty::Path, "Folder of the project."),
        Key::new("file", Ty::Path, "Compose file, where it is not the usual one."),
    ]],
);

static KUBERNETES: Table = Table::new(
    "kubernetes",
    "A workload of a cluster.",
    &[&[
        Key::new("workload", Ty::Text(&v::WORKLOAD), "Kind and name: `deployment/api`.").required(),
        Key::new("namespace", Ty::Text(&v::CONTAINER), "Namespace; else that of the context."),
        Key::new("context", Ty::Text(&v::PLAIN), "Context of the kubeconfig; else the current one."),
    ]],
);

static RAILWAY: Table = Table::new(
    "railway",
    "A service of a Railway project.",
    &[&[
        Key::new("service", Ty::Text(&v::NAME), "Name of the service.").required(),
        Key::new("environment", Ty::Text(&v::NAME), "Environment; else the linked one."),
        Key::new("project_dir", Ty::Path, "Folder that is linked to the project."),
    ]],
);

/// Where a secret comes from.
pub static SECRET: Table = Table::new(
    "a secret",
    "Where a secret comes from; the value itself stays out of the file.",
    &[&[
        Key::new("env", Ty::Text(&v::ENV_NAME), "Environment variable of the engine."),
        Key::new("file", Ty::Path, "File whose first line it is."),
        Key::new("command", Ty::Argv, "Program and arguments; the first line it prints is taken."),
    ]],
)
.choosing(&[
    Choice { by: &["env"], with: &[] },
    Choice { by: &["file"], with: &[] },
    Choice { by: &["command"], with: &[] },
]);

/// Environment of a command.
const ENV: Ty = Ty::Map(&v::ENV_NAME, &Ty::MaybeSecret(&v::LINES, Exposed::ByName));
/// Headers of a request.
const HEADERS: Ty = Ty::Map(&v::HEADER, &Ty::MaybeSecret(&v::HEADER_VALUE, Exposed::ByName));

/// Every table, each once, outer ones first.
pub fn tables() -> Vec<&'static Table> {
    fn tables_of(ty: &'static Ty, out: &mut Vec<&'static Table>) {
        match ty {
            Ty::Table(t) | Ty::PathOr(t) | Ty::Tables { table: t, .. }
                if !out.iter().any(|known| std::ptr::eq(*known, *t)) =>
            {
                out.push(t)
            }
            Ty::List(inner) | Ty::OneOrMore(inner) | Ty::Map(_, inner) => tables_of(inner, out),
            _ => {}
        }
    }
    let mut out: Vec<&'static Table> = vec![&ROOT, &SECRET];
    let mut next = 0;
    while let Some(table) = out.get(next).copied() {
        for key in table.keys() {
            tables_of(&key.ty, &mut out);
        }
        next += 1;
    }
    out
}
