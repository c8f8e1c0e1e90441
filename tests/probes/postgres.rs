use std::time::Duration;

use mayday::config::secret::MaybeSecret;
use mayday::config::{CheckKind, Compare, Op, PostgresCheck, SecretRef};
use mayday::domain::health::{Outcome, ProbeResult, Reason};

use crate::support::postgres::PASSWORD;
use crate::support::{PATIENCE, PgOptions, Postgres, TestCa, free_port, scratch, wait_until};
use crate::{Swallower, check, env, env_with, fact, fails, file, is, look, look_for, look_in};

fn pg(dsn: impl Into<String>) -> PostgresCheck {
    PostgresCheck {
        dsn: MaybeSecret::Plain(dsn.into()),
        password: None,
        role: None,
        query_below: Duration::from_secs(5),
        lag_below: None,
        connections_below: None,
        archiving: false,
        query: None,
        compare: None,
        extra_ca: Vec::new(),
    }
}

fn kind(check: PostgresCheck) -> CheckKind {
    CheckKind::Postgres(Box::new(check))
}

async fn ask(check: PostgresCheck) -> ProbeResult {
    let result = look(kind(check)).await;
    assert!(!format!("{result:?}").contains(PASSWORD), "{result:?}");
    result
}

#[tokio::test]
async fn a_server_that_is_well_tells_of_itself() {
    let server = Postgres::shared();
    let db = server.fresh_db();
    server.psql(&db, "create table orders (id int); insert into orders select generate_series(1, 500); analyze");
    let result = ask(PostgresCheck { role: Some("primary".into()), ..pg(server.dsn(&db)) }).await;
    is(&result, Outcome::Ok, None, &["PostgreSQL ", " primary, answers in "]);
    assert_eq!(fact(&result, "role"), "primary");
    assert_eq!((fact(&result, "tables"), fact(&result, "rows, estimated")), ("1", "500"));
    assert!(fact(&result, "version").parse::<f64>().unwrap() >= 12.0);
    assert!(fact(&result, "connections").ends_with("/100"), "{}", fact(&result, "connections"));
    assert_eq!(fact(&result, "standbys"), "0");
    assert_eq!(fact(&result, "tls"), "not encrypted");
    // Over its socket, as key=value.
    is(&ask(pg(server.socket_dsn(&db))).await, Outcome::Ok, None, &[]);
    let result = ask(PostgresCheck { role: Some("standby".into()), ..pg(server.dsn(&db)) }).await;
    fails(&result, Reason::Role, &["it is a primary, expected a standby"]);
}

#[tokio::test]
async fn a_configured_statement_decides() {
    let server = Postgres::shared();
    let db = server.fresh_db();
    server.psql(&db, "create table jobs (failed int); insert into jobs values (7)");
    let with = |query: &str, compare: Option<Compare>| PostgresCheck {
        query: Some(query.into()),
        compare,
        ..pg(server.dsn(&db))
    };
    let below = |value| Some(Compare { op: Op::Lt, value });
    for (query, compare) in [
        ("select count(*) = 1 from jobs", None),
        ("select failed from jobs; -- a comment at the end", below(10.0)),
        ("select failed from jobs", below(8.0)),
    ] {
        let result = ask(with(query, compare)).await;
        is(&result, Outcome::Ok, None, &["PostgreSQL"]);
        assert!(["t", "7"].contains(&fact(&result, "query result")));
    }
    for (query, compare, reason, words) in [
        ("select false", None, Reason::Assertion, "gave f, expected true"),
        ("select null", None, Reason::Assertion, "gave null, expected true"),
        ("select 1 where false", None, Reason::Assertion, "gave no row"),
        ("select failed from jobs", below(5.0), Reason::Assertion, "gave 7, expected < 5"),
        ("select 'x'", below(5.0), Reason::Assertion, "gave \"x\", expected a number"),
        ("select x from nowhere", None, Reason::Protocol, "relation \"nowhere\" does not exist"),
        ("insert into jobs values (1) returning true", None, Reason::Protocol, "read-only transaction"),
    ] {
        fails(&ask(with(query, compare)).await, reason, &["the configured query", words]);
    }
    assert_eq!(server.psql(&db, "select count(*) from jobs"), "1", "nothing was written");
    // One that takes too long is ended on the server too.
    let result = look_for(kind(with("select pg_sleep(60)", None)), Duration::from_millis(1500)).await;
    fails(&result, Reason::TimeoutQuery, &["the configured query"]);
    wait_until("the query to be gone", PATIENCE, || {
        server.psql(&db, "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()") == "0"
    });
}

#[tokio::test]
async fn logins_that_are_refused_are_not_outages_of_the_network() {
    let server = Postgres::shared();
    let port = server.port();
    let result = ask(pg(format!("postgres://postgres:wrong-hunter22@127.0.0.1:{port}/postgres"))).await;
    fails(&result, Reason::Auth, &["login refused", "password authentication failed"]);
    assert!(!format!("{result:?}").contains("hunter22"), "{result:?}");
    fails(&ask(pg(format!("postgres://postgres@127.0.0.1:{port}/postgres"))).await, Reason::Auth, &["login refused"]);
    fails(&ask(pg(server.dsn("no_such_db"))).await, Reason::Missing, &["no such database", "no_such_db"]);
    // The password from elsewhere wins.
    let env = env_with(&[("PGPW", PASSWORD)]);
    let check_ = PostgresCheck {
        password: Some(SecretRef::Env("PGPW".into())),
        ..pg(format!("host=127.0.0.1 port={port} user=postgres dbname=postgres"))
    };
    is(&look_in(check(kind(check_)), &env).await, Outcome::Ok, None, &[]);
}

#[tokio::test]
async fn stopped_hung_silent_and_unknown_are_told_apart() {
    let server = Postgres::start();
    let dsn = server.dsn("postgres");
    is(&ask(pg(&dsn)).await, Outcome::Ok, None, &[]);
    server.freeze(true);
    let result = look_for(kind(pg(&dsn)), Duration::from_millis(700)).await;
    fails(&result, Reason::TimeoutHeaders, &["connected to postgres@127.0.0.1", "then no answer to the login"]);
    server.freeze(false);
    server.stop();
    fails(&ask(pg(&dsn)).await, Reason::Refused, &[&format!("connection refused by 127.0.0.1:{}", server.port())]);
    let socket = server.socket_dsn("postgres");
    fails(&ask(pg(socket)).await, Reason::Refused, &["connection refused by", ".s.PGSQL."]);

    let full = Swallower::new();
    let result =
        look_for(kind(pg(format!("postgres://u@127.0.0.1:{}/d", full.port()))), Duration::from_millis(600)).await;
    fails(&result, Reason::TimeoutConnect, &["timed out connecting to u@127.0.0.1", "no answer at all"]);
    let result = look_for(kind(pg("postgres://u@db.invalid/d")), Duration::from_secs(30)).await;
    fails(&result, Reason::Dns, &["name db.invalid not found"]);
}

#[tokio::test]
async fn a_server_in_recovery_is_told_in_words() {
    let server = Postgres::start_with(PgOptions::default().standby().accepts_nobody().set("hot_standby", "off"));
    let began = std::time::Instant::now();
    let result = loop {
        let result = ask(pg(server.dsn("postgres"))).await;
        fails(&result, Reason::Recovering, &[]);
        assert!(!result.detail.contains("the database system"), "{}", result.detail);
        // At first it is "starting up".
        if result.detail != "starting up" || began.elapsed() > PATIENCE {
            break result;
        }
    };
    fails(&result, Reason::Recovering, &["recovering ("]);
}

#[tokio::test]
async fn a_server_that_shuts_down_says_so() {
    let server = Postgres::start();
    // A smart shutdown waits for this session.
    let mut held = server.tool("psql");
    held.args(["-X", "-c", "select pg_sleep(60)", "postgres"]).stdout(std::process::Stdio::null());
    let mut held = held.spawn().unwrap();
    wait_until("the session", PATIENCE, || {
        server.psql("postgres", "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%'") == "2"
    });
    server.signal(libc::SIGTERM);
    wait_until("the shutdown to be under way", PATIENCE, || server.try_psql("postgres", "select 1").is_err());
    let result = ask(pg(server.dsn("postgres"))).await;
    fails(&result, Reason::NotRunning, &["shutting down"]);
    let _ = held.kill();
    let _ = held.wait();
}

#[tokio::test]
async fn a_standby_and_its_lag() {
    let server = Postgres::start_with(PgOptions::default().standby());
    let result = ask(PostgresCheck { role: Some("standby".into()), ..pg(server.dsn("postgres")) }).await;
    is(&result, Outcome::Ok, None, &["standby"]);
    assert_eq!((fact(&result, "role"), fact(&result, "receiving")), ("standby", "no"));
    let result = ask(PostgresCheck { role: Some("primary".into()), ..pg(server.dsn("postgres")) }).await;
    fails(&result, Reason::Role, &["it is a standby, expected a primary"]);
}

#[tokio::test]
async fn a_primary_with_a_standby_that_stops_replaying() {
    let primary = Postgres::start_with(PgOptions::default().set("max_wal_senders", "5").set("wal_level", "replica"));
    let receiver =
        format!("host={} port={} user=postgres application_name=east", primary.socket_dir().display(), primary.port());
    let standby = Postgres::start_with(PgOptions::default().standby().set("primary_conninfo", &receiver));
    wait_until("streaming", PATIENCE, || {
        primary.psql("postgres", "select state from pg_stat_replication") == "streaming"
    });
    let limited = |dsn| PostgresCheck { lag_below: Some(Duration::from_millis(700)), ..pg(dsn) };
    let result = ask(limited(primary.dsn("postgres"))).await;
    is(&result, Outcome::Ok, None, &[]);
    assert_eq!(fact(&result, "standbys"), "1");
    assert!(fact(&result, "standby east").starts_with("streaming, async, "), "{}", fact(&result, "standby east"));
    is(&ask(limited(standby.dsn("postgres"))).await, Outcome::Ok, None, &[]);

    // The age of what was replayed is known once something was.
    primary.psql("postgres", "create table t (i int)");
    wait_until("a transaction to be replayed", PATIENCE, || {
        standby.psql("postgres", "select pg_last_xact_replay_timestamp() is not null") == "t"
    });
    standby.psql("postgres", "select pg_wal_replay_pause()");
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        primary.psql("postgres", "insert into t values (1)");
    }
    let behind = ask(limited(standby.dsn("postgres"))).await;
    is(&behind, Outcome::Warn, Some(Reason::Limit), &["this standby is ", " behind, over 700ms"]);
    assert_eq!(fact(&behind, "replay"), "paused");
    // The primary learns of it when the standby replays again.
    standby.psql("postgres", "select pg_wal_replay_resume()");
    wait_until("the standby to catch up", PATIENCE, || {
        standby.psql("postgres", "select pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()") == "t"
    });
    is(&ask(limited(standby.dsn("postgres"))).await, Outcome::Ok, None, &[]);
    primary.stop();
    wait_until("the receiver to end", PATIENCE, || {
        standby.psql("postgres", "select count(*) from pg_stat_wal_receiver") == "0"
    });
    let alone = ask(PostgresCheck { lag_below: Some(Duration::from_millis(1)), ..pg(standby.dsn("postgres")) }).await;
    is(&alone, Outcome::Warn, Some(Reason::Limit), &["this standby, which receives nothing, is"]);
}

/// Opens `n` sessions. One that just ended may hold its place for a moment.
async fn hold(server: &Postgres, n: usize) -> Vec<tokio_postgres::Client> {
    let mut held = Vec::new();
    let began = std::time::Instant::now();
    while held.len() < n {
        match tokio_postgres::connect(&server.socket_dsn("postgres"), tokio_postgres::NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                held.push(client);
            }
            Err(e) => assert!(began.elapsed() < PATIENCE, "{e}"),
        }
    }
    held
}

#[tokio::test]
async fn no_connection_left_and_nearly_none() {
    let server = Postgres::start_with(
        PgOptions::default()
            .set("max_connections", "6")
            .set("superuser_reserved_connections", "0")
            .set("max_wal_senders", "0"),
    );
    let limited = || PostgresCheck { connections_below: Some(50), ..pg(server.dsn("postgres")) };
    let mut held = hold(&server, 1).await;
    is(&ask(limited()).await, Outcome::Ok, None, &[]);
    held.extend(hold(&server, 4).await);
    // Counters of sessions come a moment later.
    let began = std::time::Instant::now();
    let result = loop {
        let result = ask(limited()).await;
        if result.outcome != Outcome::Ok || began.elapsed() > PATIENCE {
            break result;
        }
    };
    is(&result, Outcome::Warn, Some(Reason::Limit), &["of 6 connections used, over 50 %"]);
    held.extend(hold(&server, 1).await);
    fails(&ask(limited()).await, Reason::Limit, &["no connection left", "too many clients"]);
}

#[tokio::test]
async fn a_failing_archive_is_a_warning() {
    let server =
        Postgres::start_with(PgOptions::default().set("archive_mode", "on").set("archive_command", "test -e fine"));
    let asked = || PostgresCheck { archiving: true, ..pg(server.dsn("postgres")) };
    is(&ask(asked()).await, Outcome::Ok, None, &[]);
    server.psql("postgres", "create table t (i int); select pg_switch_wal()");
    wait_until("a failure", PATIENCE, || {
        server.psql("postgres", "select failed_count > 0 from pg_stat_archiver") == "t"
    });
    is(&ask(asked()).await, Outcome::Warn, Some(Reason::Limit), &["WAL archiving is failing: 0000", "failures"]);
    std::fs::write(server.data_dir().join("fine"), "").unwrap();
    server.psql("postgres", "insert into t values (1); select pg_switch_wal()");
    wait_until("a success", PATIENCE, || {
        server.psql("postgres", "select archived_count > 0 from pg_stat_archiver") == "t"
    });
    let result = ask(asked()).await;
    is(&result, Outcome::Ok, None, &[]);
    assert!(fact(&result, "last WAL archived").ends_with(" ago"));
    let off = Postgres::shared();
    let result = ask(PostgresCheck { archiving: true, ..pg(off.dsn("postgres")) }).await;
    is(&result, Outcome::Warn, Some(Reason::Limit), &["switched off"]);
}

#[tokio::test]
async fn slow_and_little_permitted() {
    let server = Postgres::shared();
    let result = ask(PostgresCheck { query_below: Duration::ZERO, ..pg(server.dsn("postgres")) }).await;
    is(&result, Outcome::Warn, Some(Reason::Slow), &["select 1 took", "over 0s"]);
    let role = format!("watcher_{}", std::process::id());
    server.psql("postgres", &format!("create role {role} login password 'w4tch-hunter22'"));
    let dsn = format!("postgres://{role}:w4tch-hunter22@127.0.0.1:{}/postgres", server.port());
    let result = ask(PostgresCheck { role: Some("primary".into()), ..pg(dsn) }).await;
    is(&result, Outcome::Ok, None, &[]);
    assert!(!format!("{result:?}").contains("hunter22"));
    server.psql("postgres", &format!("drop role {role}"));
}

#[tokio::test]
async fn certificates_are_verified_where_asked_for() {
    let ca = TestCa::new();
    let dir = scratch();
    let extra_ca = vec![file(&dir, "ca.pem", &ca.pem())];
    let server = Postgres::start_with(PgOptions::default().tls(ca.localhost()));
    let full = format!("{}?sslmode=verify-full", server.dsn("postgres"));
    let result = ask(PostgresCheck { extra_ca, ..pg(&full) }).await;
    is(&result, Outcome::Ok, None, &[]);
    assert_eq!(fact(&result, "tls"), "encrypted; the certificate is trusted");
    fails(&ask(pg(&full)).await, Reason::TlsUntrusted, &["nobody this host trusts"]);
    let result = ask(pg(server.dsn("postgres"))).await;
    is(&result, Outcome::Ok, None, &[]);
    assert!(fact(&result, "tls").contains("nobody this host trusts"), "{}", fact(&result, "tls"));
}

#[test]
fn bad_connection_strings_are_refused_without_repeating_them() {
    for (check_, word) in [
        (pg("postgres://app:hunter22@h:port/d"), "port"),
        (PostgresCheck { role: Some("leader".into()), ..pg("host=h user=u") }, "primary or standby"),
        (PostgresCheck { extra_ca: vec!["/no/such".into()], ..pg("host=h user=u") }, "/no/such"),
        (PostgresCheck { dsn: MaybeSecret::Secret(SecretRef::Env("DSN".into())), ..pg("") }, "hunter33"),
    ] {
        let env = match word {
            "hunter33" => env_with(&[("DSN", "postgres://app:hunter33@h:port/d")]),
            _ => env(),
        };
        let Err(why) = mayday::probe::prepare(&check(kind(check_)), &env) else { panic!("{word}") };
        assert!(!why.contains("hunter"), "{why}");
        assert!(word == "hunter33" || why.contains(word), "{why}");
    }
    let _ = free_port();
}
