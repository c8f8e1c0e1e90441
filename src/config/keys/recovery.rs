//! Keys of backups, restores, actions and channels.

use super::super::shape::{Choice, Exposed, Key, Table, Ty};
use super::super::value as v;
use super::{ENV, HEADERS, VERIFY, stores};

pub static BACKUP: Table = Table::new(
    "[[backup]]",
    "A set of copies of the same data.",
    &[&[
        Key::new("name", Ty::Text(&v::NAME), "Unique among the backups.").required(),
        Key::new("service", Ty::Text(&v::NAME), "The service whose data it holds."),
        Key::new(
            "rpo",
            Ty::Text(&v::DURATION_OR_ZERO),
            "Recovery point objective: how old the newest good copy may be.",
        ),
        Key::new("every", Ty::Text(&v::DURATION), "How often a copy is made; the next one due counts down."),
        Key::new(
            "grace",
            Ty::Text(&v::DURATION_OR_ZERO),
            "How much later than `every` a copy may come. Default: a tenth of `every`, at least one minute.",
        ),
        Key::new(
            "second_person",
            Ty::Bool,
            "What is restored goes into the live place, and out of it, only when another user has approved it.",
        )
        .default("false"),
        Key::new(
            "head_start",
            Ty::Table(&HEAD_START),
            "As soon as an incident names `service`, the newest good copy is restored beside the live data, at low \
             priority. `{}` takes the defaults.",
        ),
        Key::new("files", Ty::Table(&FILES), "The copies are files, or folders, in a folder."),
        Key::new("restic", Ty::Table(&RESTIC), "The copies are the snapshots of a restic repository."),
        Key::new("borg", Ty::Table(&BORG), "The copies are the archives of a borg repository."),
        Key::new("pgbackrest", Ty::Table(&PGBACKREST_SET), "The copies are the backups of a stanza of pgBackRest."),
        Key::new("walg", Ty::Table(&WALG_SET), "The copies are the backups of a repository of WAL-G."),
        Key::new("restore", Ty::Table(&RESTORE), "How a copy is restored."),
        Key::new(
            "warm_up",
            Ty::List(&Ty::Argv),
            "Programs that are run once when a copy was put in the live place: what fills caches.",
        ),
        Key::new(
            "smoke",
            Ty::List(&Ty::Argv),
            "Programs that must exit with 0 then, each tried for a minute; one that does not contradicts the cut-over.",
        ),
    ]],
)
.choosing(&[
    Choice { by: &["files"], with: &[] },
    Choice { by: &["restic"], with: &[] },
    Choice { by: &["borg"], with: &[] },
    Choice { by: &["pgbackrest"], with: &[] },
    Choice { by: &["walg"], with: &[] },
]);

static HEAD_START: Table = Table::new(
    "head_start",
    "A restore beside the live data that begins by itself; cutting over to it stays a person's decision.",
    &[&[
        Key::new(
            "severities",
            Ty::OneOrMore(&Ty::Text(&v::SEVERITY)),
            "Only for incidents of these. Default: `[\"P0\", \"P1\"]`.",
        ),
        Key::new(
            "drop",
            Ty::Bool,
            "What was restored and not used is dropped when the incident is closed; else it waits for a person.",
        )
        .default("false"),
    ]],
);

static FILES: Table = Table::new(
    "files",
    "Copies in a folder.",
    &[&[
        Key::new("path", Ty::Path, "The folder.").required(),
        Key::new(
            "pattern",
            Ty::Text(&v::GLOB),
            "Which names are copies: `*.dump`. With `recursive` it is compared with the path below the folder.",
        )
        .required(),
        Key::new("recursive", Ty::Bool, "Look into folders below.").default("false"),
        Key::new("folders", Ty::Bool, "Each copy is a folder (a dump in directory format) instead of a file.")
            .default("false"),
        Key::new("rescan", Ty::Text(&v::DURATION), "Look again at least this often; network folders send no events.")
            .default("\"60s\""),
        Key::new("settle", Ty::Text(&v::DURATION_OR_ZERO), "A copy changed within this time is still being written.")
            .default("\"10s\""),
    ]],
);

/// Keys that restic and borg share.
const VAULT: &[Key] = &[
    Key::new(
        "repository",
        Ty::MaybeSecret(&v::PLAIN, Exposed::When(v::address_has_secret)),
        "Where it is, as the program takes it: an absolute path, `sftp:…`, `ssh://…`, `s3:…`, `rest:…`.",
    )
    .required(),
    Key::new(
        "password",
        Ty::Secret,
        "Password of the repository; handed over in the environment, never as an argument.",
    ),
    Key::new("env", ENV, "Environment of the program: keys of object stores, `BORG_RSH`, `SSH_AUTH_SOCK`."),
    Key::new("rescan", Ty::Text(&v::DURATION), "Look again at least this often.").default("\"5m\""),
    Key::new("timeout", Ty::Text(&v::DURATION), "Time for one question to the repository.").default("\"2m\""),
];

static RESTIC: Table = Table::new(
    "restic",
    "Snapshots of a restic repository, asked through `restic`, without taking a lock.",
    &[
        VAULT,
        &[
            Key::new("host", Ty::Text(&v::PLAIN), "Only snapshots of this host."),
            Key::new("path", Ty::Path, "Only snapshots of this path."),
            Key::new("tags", Ty::List(&Ty::Text(&v::PLAIN)), "Only snapshots with all of these tags."),
        ],
    ],
);

static BORG: Table = Table::new(
    "borg",
    "Archives of a borg repository, asked through `borg`, without taking a lock.",
    &[VAULT, &[Key::new("archives", Ty::Text(&v::GLOB), "Only archives whose names match: `docs-*`.")]],
);

static RESTORE: Table = Table::new(
    "restore",
    "How a copy is restored: always beside the live data, put in its place only by a second step.",
    &[&[
        Key::new("postgres_dump", Ty::Table(&POSTGRES_DUMP), "A dump of PostgreSQL, into a new database."),
        Key::new(
            "postgres_pitr",
            Ty::Table(&POSTGRES_PITR),
            "A base backup and the archived log of PostgreSQL, into a new cluster, as of any moment.",
        ),
        Key::new(
            "folder",
            Ty::Table(&FOLDER),
            "Files (a tar archive, also .gz, .zst and .age, a folder, restic, borg), into a new folder.",
        ),
        Key::new("redis", Ty::Table(&stores::REDIS), "An RDB or append-only file of Redis, into a scratch server."),
        Key::new(
            "rabbitmq_definitions",
            Ty::Table(&stores::RABBITMQ),
            "Definitions of RabbitMQ, compared with the live ones and imported.",
        ),
    ]],
)
.choosing(&[
    Choice { by: &["postgres_dump"], with: &[] },
    Choice { by: &["postgres_pitr"], with: &[] },
    Choice { by: &["folder"], with: &[] },
    Choice { by: &["redis"], with: &[] },
    Choice { by: &["rabbitmq_definitions"], with: &[] },
]);

static POSTGRES_DUMP: Table = Table::new(
    "postgres_dump",
    "Restores custom, directory and plain dumps.",
    &[&[
        Key::new("database", Ty::Text(&v::DATABASE), "The live database; typed to confirm the cut-over.").required(),
        Key::new(
            "dsn",
            Ty::MaybeSecret(&v::DSN, Exposed::When(v::address_has_secret)),
            "Server, with a role that may create and rename databases. Default: that of the service's postgres check.",
        ),
        Key::new("password", Ty::Secret, "Password, where the address does not carry it."),
        Key::new(
            "verify",
            Ty::List(&Ty::Text(&v::SQL)),
            "Statements whose first value must be true in the restored copy.",
        ),
        Key::new(
            "only",
            Ty::List(&Ty::Text(&v::TEXT)),
            "Tables (`schema.table`) or schemas (`schema.*`) taken out of the copy instead of all of it; not of a plain dump.",
        ),
        Key::new(
            "amcheck",
            Ty::Bool,
            "Check every page and B-tree index of the restored copy with pg_amcheck. Default: where program and extension are there.",
        ),
        Key::new("jobs", Ty::Int(1, 256), "Parallel jobs. Default: the number of cores."),
        Key::new(
            "grace",
            Ty::Text(&v::DURATION_OR_ZERO),
            "Time for connections to finish at the cut-over before they are ended.",
        )
        .default("\"5s\""),
        Key::new("timeout", Ty::Text(&v::DURATION), "Time for the whole restore; then it is ended."),
        Key::new("extra_ca", Ty::List(&Ty::Path), "Files (PEM) with certificate authorities trusted for the server."),
    ]],
);

static POSTGRES_PITR: Table = Table::new(
    "postgres_pitr",
    "Restores a cluster to a moment. The copies are base backups: folders or tar archives of pg_basebackup, backups of \
     Barman, or those of a repository of pgBackRest or WAL-G.",
    &[&[
        Key::new("database", Ty::Text(&v::DATABASE), "The database that is verified; typed to confirm the hand-over.")
            .required(),
        Key::new(
            "directory",
            Ty::Path,
            "Folder in which side clusters are made: on a disk with room for one, and not below a live data folder.",
        )
        .required(),
        Key::new(
            "wal_archive",
            Ty::Path,
            "Folder with the archived log: segments, also .gz, .zst, .lz4, flat or as Barman lays them out.",
        ),
        Key::new("pgbackrest", Ty::Table(&PGBACKREST), "The repository of pgBackRest that holds base backups and log."),
        Key::new("walg", Ty::Table(&WALG), "The repository of WAL-G that holds base backups and log."),
        Key::new(
            "user",
            Ty::Text(&v::PLAIN),
            "User of this host that the side server runs as, when mayday itself is root. Default: `postgres`.",
        ),
        Key::new("role", Ty::Text(&v::DATABASE), "Superuser of the cluster, for the verification.")
            .default("\"postgres\""),
        Key::new("port", Ty::Int(1024, 65535), "Port of the side server on loopback. Default: a free one."),
        Key::new(
            "settings",
            Ty::Map(&v::SETTING, &Ty::Text(&v::TEXT)),
            "Settings of the side server; nothing else of the live one's configuration is used.",
        ),
        Key::new(
            "verify",
            Ty::List(&Ty::Text(&v::SQL)),
            "Statements whose first value must be true in the restored cluster.",
        ),
        Key::new(
            "switch",
            Ty::Argv,
            "Command that points the clients to the promoted cluster; `{host}`, `{port}`, `{database}` and `{side}` are \
             filled in.",
        ),
        Key::new(
            "tables",
            Ty::List(&Ty::Text(&v::PLAIN)),
            "Instead of a promotion: these tables (patterns of pg_dump) go into a new database beside the live one.",
        ),
        Key::new(
            "dsn",
            Ty::MaybeSecret(&v::DSN, Exposed::When(v::address_has_secret)),
            "Live server for `tables`, with a role that may create databases. Default: that of the service's check.",
        ),
        Key::new("password", Ty::Secret, "Password, where the address does not carry it."),
        Key::new("extra_ca", Ty::List(&Ty::Path), "Files (PEM) with certificate authorities trusted for the server."),
        Key::new("timeout", Ty::Text(&v::DURATION), "Time for the whole restore; then it is ended."),
    ]],
)
.choosing(&[
    Choice { by: &["wal_archive"], with: &[] },
    Choice { by: &["pgbackrest"], with: &[] },
    Choice { by: &["walg"], with: &[] },
]);

static PGBACKREST: Table =
    Table::new("pgbackrest", "A repository of pgBackRest, asked through its own program.", &[OF_PGBACKREST]);

static WALG: Table = Table::new("walg", "A repository of WAL-G, asked through its own program.", &[OF_WALG]);

static PGBACKREST_SET: Table =
    Table::new("pgbackrest_backups", "Backups of a stanza of pgBackRest, and its log.", &[OF_PGBACKREST, OF_REPO]);

static WALG_SET: Table =
    Table::new("walg_backups", "Backups of a repository of WAL-G, and its log.", &[OF_WALG, OF_REPO]);

const OF_PGBACKREST: &[Key] = &[
    Key::new("stanza", Ty::Text(&v::NAME), "The stanza of the cluster.").required(),
    Key::new("config", Ty::Path, "Its configuration file. Default: where pgbackrest looks itself."),
    Key::new("repo", Ty::Int(1, 256), "Number of the repository, where there are several."),
];

const OF_WALG: &[Key] = &[Key::new(
    "config",
    Ty::Path,
    "Its configuration file (`--config`), which says where the repository is and holds its keys.",
)
.required()];

/// Of a repository whose backups are the copies.
const OF_REPO: &[Key] = &[
    Key::new(
        "user",
        Ty::Text(&v::PLAIN),
        "User of this host that asks it, when mayday itself is root. Default: `postgres`.",
    ),
    Key::new(
        "rescan",
        Ty::Text(&v::DURATION),
        "Look again at least this often. Default: 5 min, or a quarter of `rpo`.",
    ),
];

static FOLDER: Table = Table::new(
    "folder",
    "Restores a folder.",
    &[&[
        Key::new("path", Ty::Path, "The live folder.").required(),
        Key::new("strip", Ty::Int(0, 64), "Leading parts dropped from the names in the archive.").default("0"),
        Key::new(
            "inside",
            Ty::Text(&v::PLAIN),
            "Folder within the snapshot (restic, borg) that the live one comes from; `.` for all of it. Default: the \
             live folder's own path where the snapshot has it, else the only folder that was backed up.",
        ),
        Key::new(
            "only",
            Ty::List(&Ty::Text(&v::ONLY)),
            "Only names below the folder that match one of these come back: `nginx/**`, `*.pem`; a folder that matches \
             brings all in it. They are copied into the live folder one by one, and nothing else there is touched.",
        ),
        Key::new(
            "links",
            Ty::List(&Ty::Text(&v::ONLY)),
            "Links of it that may lead out of the folder (absolute ones, or with `..`), by their names below it. Others \
             come back only while the live folder has the same.",
        ),
        Key::new(
            "compare",
            Ty::Word(&["content", "quick"]),
            "What the restored folder is compared with the live one by: size, time, mode and content, or without reading \
             contents, which misses a file that was damaged on its disk.",
        )
        .default("\"content\""),
        Key::new("identity", Ty::Path, "File with the identity (secret key) for copies that `age` encrypted."),
        Key::new("verify", Ty::List(&Ty::Argv), "Commands that must exit 0; `{side}` stands for the restored folder."),
        Key::new("timeout", Ty::Text(&v::DURATION), "Time for the whole restore; then it is ended."),
    ]],
);

pub static ACTION: Table = Table::new(
    "[[action]]",
    "A command that can be started from the cockpit.",
    &[&[
        Key::new("name", Ty::Text(&v::NAME), "Unique among the actions.").required(),
        Key::new("doc", Ty::Text(&v::TEXT), "What it is for, shown beside the name."),
        Key::new("service", Ty::Text(&v::NAME), "The service it acts on; no conflicting run may hold that meanwhile."),
        Key::new(
            "risk",
            Ty::Word(&["observe", "disruptive", "destructive"]),
            "How it is confirmed: not, `y`, or typed.",
        )
        .default("\"disruptive\""),
        Key::new("second_person", Ty::Bool, "It waits until another user has approved it.").default("false"),
        Key::new("run", Ty::Argv, "Program and arguments, without a shell.").required(),
        Key::new("env", ENV, "Environment beside the engine's own."),
        Key::new("cwd", Ty::Path, "Folder in which it runs."),
        Key::new("timeout", Ty::Text(&v::DURATION), "Time for the command; then it is ended."),
        Key::new("verify", Ty::Table(&VERIFY), "A check that must hold afterwards; without one it ends unverified."),
        Key::new("verify_within", Ty::Text(&v::DURATION), "Time until that check must hold.").default("\"60s\""),
    ]],
);

pub static CHANNEL: Table = Table::new(
    "[[channel]]",
    "Where messages are sent.",
    &[&[
        Key::new("name", Ty::Text(&v::NAME), "Unique among the channels.").required(),
        Key::new("slack", Ty::Table(&SLACK), "An incoming webhook of Slack."),
        Key::new("webhook", Ty::Table(&WEBHOOK), "A POST of JSON to an address of your own."),
        Key::new("email", Ty::Table(&EMAIL), "Mail by SMTP."),
        Key::new("auto", Ty::List(&Ty::Word(&["declared", "escalated", "glass-broken"])), "Alerts that are sent by themselves, without a preview: that an incident is declared, that a level is called, that the glass was broken."),
        Key::new("timeout", Ty::Text(&v::DURATION), "Time for one attempt.").default("\"10s\""),
    ]],
)
.choosing(&[
    Choice { by: &["slack"], with: &[] },
    Choice { by: &["webhook"], with: &[] },
    Choice { by: &["email"], with: &[] },
]);

static SLACK: Table = Table::new(
    "slack",
    "An incoming webhook of Slack.",
    &[&[Key::new("webhook", Ty::MaybeSecret(&v::HTTP_URL, Exposed::Always), "Its address, which is a secret.")
        .required()]],
);

static WEBHOOK: Table = Table::new(
    "webhook",
    "A POST of JSON.",
    &[&[
        Key::new("url", Ty::MaybeSecret(&v::HTTP_URL, Exposed::When(v::address_has_secret)), "Address.").required(),
        Key::new("secret", Ty::Secret, "Key with which the body is signed (HMAC-SHA256)."),
        Key::new("headers", HEADERS, "Request headers."),
    ]],
);

static EMAIL: Table = Table::new(
    "email",
    "Mail by SMTP.",
    &[&[
        Key::new("host", Ty::Text(&v::HOST), "Mail server.").required(),
        Key::new("port", Ty::Int(1, 65535), "Port. Default: 587 with starttls, 465 with implicit, 25 with none."),
        Key::new("tls", Ty::Word(&["starttls", "implicit", "none"]), "How the connection is protected.")
            .default("\"starttls\""),
        Key::new("user", Ty::Text(&v::PLAIN), "User name for the server."),
        Key::new("password", Ty::Secret, "Password for the server."),
        Key::new("from", Ty::Text(&v::MAILBOX), "Sender.").required(),
        Key::new("to", Ty::List(&Ty::Text(&v::MAILBOX)), "Recipients, at least one.").required(),
        Key::new("extra_ca", Ty::List(&Ty::Path), "Files (PEM) with certificate authorities trusted for the server."),
    ]],
);
