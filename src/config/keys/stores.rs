//! Keys of restores into servers that are no relational databases.

use super::super::shape::{Exposed, Key, Table, Ty};
use super::super::value as v;

pub(super) static REDIS: Table = Table::new(
    "redis",
    "Restores RDB files (also .gz, .zst) and append-only files or folders into a scratch server beside the live one, which \
     then hands them over.",
    &[&[
        Key::new(
            "url",
            Ty::MaybeSecret(&v::REDIS_URL, Exposed::When(v::address_has_secret)),
            "The live server, with a user that may replicate and configure. Default: that of the service's redis check.",
        ),
        Key::new("password", Ty::Secret, "Password, where the address does not carry it."),
        Key::new(
            "directory",
            Ty::Path,
            "Folder for scratch servers and what is kept. Default: `redis` in the state folder; set it when mayday is root.",
        ),
        Key::new(
            "user",
            Ty::Text(&v::PLAIN),
            "User that scratch servers run as, when mayday is root. Default: `redis`, else `nobody`.",
        ),
        Key::new(
            "must_exist",
            Ty::List(&Ty::Text(&v::PLAIN)),
            "Keys that must be in the copy, in the database of the address.",
        ),
        Key::new(
            "at_least",
            Ty::Map(&v::PLAIN, &Ty::Int(1, i64::MAX)),
            "Pattern of keys → how many the copy must have over all databases; `\"*\"` counts every key.",
        ),
        Key::new(
            "by",
            Ty::Word(&["replication", "file"]),
            "How it is cut over: the live server replicates the scratch one, without a restart; or it is stopped and its \
             file exchanged, which takes the `control` of the service.",
        )
        .default("\"replication\""),
        Key::new(
            "reachable_as",
            Ty::Text(&v::IP),
            "Address of this host as the live server reaches it, where it is not on this host (or in a container).",
        ),
        Key::new(
            "keys",
            Ty::List(&Ty::Text(&v::PLAIN)),
            "Instead of everything: keys of these patterns are brought back into the live data.",
        ),
        Key::new("conflicts", Ty::Word(&["skip", "replace"]), "What happens to keys of `keys` that differ in the live data.")
            .default("\"skip\""),
        Key::new(
            "cut_torn",
            Ty::Bool,
            "Load an append-only file whose end is torn up to its last whole command; on a copy of it.",
        )
        .default("false"),
        Key::new("extra_ca", Ty::List(&Ty::Path), "Files (PEM) with certificate authorities trusted for the server."),
        Key::new("timeout", Ty::Text(&v::DURATION), "Time for the whole restore; then it is ended."),
    ]],
);

pub(super) static RABBITMQ: Table = Table::new(
    "rabbitmq_definitions",
    "Imports exported definitions of RabbitMQ (JSON): vhosts, users, permissions, policies, parameters, exchanges, queues, \
     bindings. Messages are no part of them.",
    &[&[
        Key::new(
            "url",
            Ty::MaybeSecret(&v::HTTP_URL, Exposed::When(v::address_has_secret)),
            "The management API: `http://127.0.0.1:15672`.",
        )
        .required(),
        Key::new("user", Ty::Text(&v::PLAIN), "A user with the tag administrator.").required(),
        Key::new("password", Ty::Secret, "Its password.").required(),
        Key::new("vhost", Ty::Text(&v::PLAIN), "Only what belongs to this vhost."),
        Key::new("extra_ca", Ty::List(&Ty::Path), "Files (PEM) with certificate authorities trusted for the server."),
        Key::new("timeout", Ty::Text(&v::DURATION), "Time for the whole restore; then it is ended."),
    ]],
);
