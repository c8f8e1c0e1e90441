//! The low floor against real servers, and the test ground itself.

#[path = "sys/ground.rs"]
mod ground;
mod support;

use std::time::{Duration, Instant};

use mayday::sys::pg::{self, PgError, PgTarget, RecoveryPhase, Stage};
use mayday::sys::tls::ChainVerdict;
use secrecy::SecretString;
use support::*;

const SOON: Duration = Duration::from_secs(10);

fn target(dsn: &str) -> PgTarget {
    PgTarget::parse(dsn).unwrap()
}

async fn refused(target: &PgTarget) -> PgError {
    let error = pg::connect(target, SOON).await.expect_err("this login must not work");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(postgres::PASSWORD), "the password is in the error: {shown}");
    assert!(!shown.contains('\n'), "one sentence: {shown}");
    error
}

async fn one(connection: &pg::PgConn, sql: &str) -> String {
    let row = connection.client.query_one(sql, &[]).await.unwrap();
    row.get::<_, String>(0)
}

#[tokio::test]
async fn postgres_answers_over_tcp_and_socket() {
    let server = Postgres::shared();
    let db = server.fresh_db();
    for dsn in [server.dsn(&db), server.socket_dsn(&db)] {
        let connection = pg::connect(&target(&dsn), SOON).await.unwrap();
        assert_eq!(one(&connection, "select current_database()::text").await, db);
        assert_eq!(one(&connection, "select current_setting('application_name')").await, "mayday");
        assert!(!connection.tls && connection.verdict.is_none());
    }
    assert_eq!(server.psql(&db, "select 1 + 1"), "2");
    // Over the socket without a password, and with one set apart.
    let t = target(&format!("host=127.0.0.1 port={} user=postgres dbname={db}", server.port()));
    assert!(matches!(refused(&t).await, PgError::Auth(_)));
    pg::connect(&t.with_password(SecretString::from(postgres::PASSWORD)), SOON).await.unwrap();
}

#[tokio::test]
async fn refusals_of_a_login_are_told_apart() {
    let server = Postgres::shared();
    let port = server.port();
    let wrong = refused(&target(&format!("postgres://postgres:nope@127.0.0.1:{port}/postgres"))).await;
    assert!(matches!(&wrong, PgError::Auth(why) if why.contains("password authentication failed")), "{wrong:?}");
    let nobody = refused(&target(&format!("postgres://nobody-here:x@127.0.0.1:{port}/postgres"))).await;
    assert!(matches!(nobody, PgError::Auth(_)), "{nobody:?}");
    let missing = refused(&target(&server.dsn("no_such_database"))).await;
    assert!(matches!(&missing, PgError::NoDatabase(why) if why.contains("no_such_database")), "{missing:?}");
    let encrypted = refused(&target(&format!("{}?sslmode=require", server.dsn("postgres")))).await;
    assert!(matches!(encrypted, PgError::Tls(_)), "{encrypted:?}");
}

#[tokio::test]
async fn a_stopped_a_full_and_a_frozen_server_are_told_apart() {
    let options = PgOptions::default().set("max_connections", "5").set("superuser_reserved_connections", "0");
    let server = Postgres::start_with(options);
    let t = target(&server.dsn("postgres"));
    let mut open = Vec::new();
    let full = loop {
        match pg::connect(&t, SOON).await {
            Ok(connection) => open.push(connection),
            Err(e) => break e,
        }
        assert!(open.len() < 20, "the server takes any number of connections");
    };
    assert!(matches!(full, PgError::TooManyConnections(_)), "{full:?}");
    drop(open);

    server.freeze(true);
    let began = Instant::now();
    let silent = pg::connect(&t, Duration::from_millis(400)).await.unwrap_err();
    assert_eq!(silent, PgError::TimedOut(Stage::Login));
    assert!(began.elapsed() < Duration::from_secs(5));
    server.freeze(false);

    server.kill();
    assert!(matches!(refused(&t).await, PgError::Refused { .. }));
    assert!(matches!(refused(&target(&server.socket_dsn("postgres"))).await, PgError::Refused { .. }));
    server.start_again();
    pg::connect(&t, SOON).await.unwrap();
    server.stop();
    assert!(matches!(refused(&t).await, PgError::Refused { .. }));
}

#[tokio::test]
async fn a_server_that_takes_no_connections_says_why() {
    // A standby whose restore command waits: it is starting up for as long as we like.
    let starting = PgOptions::default().standby().set("restore_command", "sleep 1000").accepts_nobody();
    let server = Postgres::start_with(starting);
    let error = refused(&target(&server.dsn("postgres"))).await;
    assert!(matches!(error, PgError::Recovering(RecoveryPhase::StartingUp, _)), "{error:?}");
    drop(server);

    // A standby that is consistent and lets nobody read.
    let closed = PgOptions::default().standby().set("hot_standby", "off").accepts_nobody();
    let server = Postgres::start_with(closed);
    let t = target(&server.dsn("postgres"));
    let until = Instant::now() + PATIENCE;
    loop {
        let error = refused(&t).await;
        if matches!(error, PgError::Recovering(RecoveryPhase::InRecovery, _)) {
            break;
        }
        assert!(matches!(error, PgError::Recovering(RecoveryPhase::StartingUp, _)), "{error:?}");
        assert!(Instant::now() < until, "it never got past {error:?}\n{}", server.log());
    }
    drop(server);

    // A server that waits for its last session to end.
    let server = Postgres::start();
    let t = target(&server.dsn("postgres"));
    let last = pg::connect(&t, SOON).await.unwrap();
    server.signal(libc::SIGTERM);
    let until = Instant::now() + PATIENCE;
    loop {
        match pg::connect(&t, SOON).await {
            Ok(_) => assert!(Instant::now() < until, "it still takes connections"),
            Err(e) => {
                assert!(matches!(e, PgError::Recovering(RecoveryPhase::ShuttingDown, _)), "{e:?}");
                break;
            }
        }
    }
    drop(last);
}

#[tokio::test]
async fn a_read_only_standby_answers_unless_writing_is_asked_for() {
    let server = Postgres::start_with(PgOptions::default().standby());
    pg::connect(&target(&server.dsn("postgres")), SOON).await.unwrap();
    let writing = target(&format!("{}?target_session_attrs=read-write", server.dsn("postgres")));
    assert_eq!(refused(&writing).await, PgError::ReadOnly);
    // With a second server that does write, the connection goes there.
    let other = Postgres::shared();
    let both = format!(
        "host=127.0.0.1,127.0.0.1 port={},{} user=postgres password={} target_session_attrs=read-write",
        server.port(),
        other.port(),
        postgres::PASSWORD
    );
    let connection = pg::connect(&target(&both), SOON).await.unwrap();
    assert_eq!(one(&connection, "select current_setting('port')").await, other.port().to_string());
}

#[tokio::test]
async fn encryption_means_what_libpq_means() {
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let server = Postgres::start_with(PgOptions::default().tls(ca.server(&["localhost"], (2020, 1, 1), (2090, 1, 1))));
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let (ours, theirs) = (file("ours.pem", ca.pem()), file("theirs.pem", stranger.pem()));
    let at = |host: &str, tls: &str| {
        target(&format!("postgres://postgres:{}@{host}:{}/postgres?{tls}", postgres::PASSWORD, server.port()))
    };
    let wrong_name = ChainVerdict::WrongName { presented: vec!["localhost".into()] };
    for (host, tls, verdict) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), None),
        ("127.0.0.1", "sslmode=prefer".to_owned(), Some(ChainVerdict::UntrustedIssuer)),
        ("127.0.0.1", "sslmode=require".to_owned(), Some(ChainVerdict::UntrustedIssuer)),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={ours}"), Some(wrong_name.clone())),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ours}"), Some(wrong_name)),
        ("localhost", format!("sslmode=verify-full&sslrootcert={ours}"), Some(ChainVerdict::Trusted)),
    ] {
        let connection = pg::connect(&at(host, &tls), SOON).await.unwrap_or_else(|e| panic!("{host} {tls}: {e}"));
        assert_eq!(connection.verdict, verdict, "{host} {tls}");
        assert_eq!(connection.tls, verdict.is_some(), "{host} {tls}");
        let encrypted = one(&connection, "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()").await;
        assert_eq!(encrypted, connection.tls.to_string(), "{host} {tls}: what the server says");
    }
    for (host, tls) in [
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ours}")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={theirs}")),
        ("localhost", format!("sslmode=require&sslrootcert={theirs}")),
        ("localhost", "sslmode=verify-full".to_owned()),
        ("localhost", "sslmode=verify-full&sslrootcert=/no/such/file".to_owned()),
    ] {
        let error = refused(&at(host, &tls)).await;
        assert!(matches!(error, PgError::Tls(_)), "{host} {tls}: {error:?}");
    }
    // psql with the environment made for tools gets the same.
    let t = at("localhost", &format!("sslmode=verify-full&sslrootcert={ours}"));
    let mut psql = std::process::Command::new(postgres::bin("psql"));
    psql.env_clear().env("PATH", "/usr/bin:/bin").envs(pg::env_for_tools(&t)).env("PGPASSWORD", postgres::PASSWORD);
    psql.args(["-XAtc", "select ssl from pg_stat_ssl where pid = pg_backend_pid()"]);
    let output = psql.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "t\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_query_is_cancelled_and_a_dropped_connection_ends() {
    let server = Postgres::shared();
    let db = server.fresh_db();
    let connection = pg::connect(&target(&server.dsn(&db)), SOON).await.unwrap();
    let running =
        format!("select count(*) from pg_stat_activity where datname = '{db}' and query like '%pg_sleep(1000)%'");
    let query = connection.client.simple_query("select pg_sleep(1000)");
    let cancelled = async {
        wait_async("the query runs", || server.psql("postgres", &running) == "1").await;
        connection.cancel(SOON).await.unwrap();
    };
    let (result, ()) = tokio::join!(query, cancelled);
    let error = PgError::from(result.unwrap_err());
    assert!(matches!(&error, PgError::Other { sqlstate: Some(code), .. } if code == "57014"), "{error:?}");
    drop(connection);
    let sessions = format!("select count(*) from pg_stat_activity where datname = '{db}'");
    wait_async("the session is gone", || server.psql("postgres", &sessions) == "0").await;
}

#[tokio::test]
async fn a_lost_connection_is_called_closed() {
    let server = Postgres::start();
    let connection = pg::connect(&target(&server.dsn("postgres")), SOON).await.unwrap();
    server.kill();
    let error = PgError::from(connection.client.simple_query("select 1").await.unwrap_err());
    assert_eq!(error, PgError::Closed);
}

#[tokio::test]
async fn quoting_survives_a_real_server() {
    let server = Postgres::shared();
    let db = server.fresh_db();
    let connection = pg::connect(&target(&server.dsn(&db)), SOON).await.unwrap();
    for text in ["plain", "it's", "two \"quotes\"", r"back\slash", r"\'; drop table x; --", "ä€\u{1F600}", "", "\n\t"]
    {
        for strings in ["on", "off"] {
            connection.client.batch_execute(&format!("set standard_conforming_strings = {strings}")).await.unwrap();
            assert_eq!(one(&connection, &format!("select {}::text", pg::quote_literal(text))).await, text);
        }
        if !text.is_empty() {
            let sql = format!("select 'x'::text as {}", pg::quote_ident(text));
            let row = connection.client.query_one(&sql, &[]).await.unwrap();
            assert_eq!(row.columns()[0].name(), text);
        }
    }
}

async fn wait_async(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn prefer_goes_on_in_plain_text_where_encryption_fails() {
    let ca = TestCa::new();
    let options = PgOptions::default().tls(ca.localhost());
    // Older than anything that is still safe to speak.
    let server = Postgres::start_with(
        options.set("ssl_min_protocol_version", "TLSv1").set("ssl_max_protocol_version", "TLSv1.1"),
    );
    let with = |mode: &str| target(&format!("{}?sslmode={mode}", server.dsn("postgres")));
    let connection = pg::connect(&with("prefer"), SOON).await.unwrap();
    assert!(!connection.tls && connection.verdict.is_none());
    assert!(matches!(refused(&with("require")).await, PgError::Tls(_)));
}

#[tokio::test]
async fn a_host_that_hangs_leaves_time_for_the_next() {
    let server = Postgres::shared();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hosts = format!(
        "host=127.0.0.1,127.0.0.1 port={},{} user=postgres password={}",
        silent.local_addr().unwrap().port(),
        server.port(),
        postgres::PASSWORD
    );
    let connection = pg::connect(&target(&hosts), Duration::from_secs(4)).await.unwrap();
    assert_eq!(connection.endpoint.to_string(), format!("127.0.0.1:{}", server.port()));
}
