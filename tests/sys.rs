//! The low floor against real servers, and the test ground itself: each server starts, answers, and is gone after.

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

// ---------------------------------------------------------------- PostgreSQL

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

// ------------------------------------------------------- the test ground itself

#[test]
fn postgres_starts_fast_and_leaves_nothing() {
    drop(Postgres::start());
    let began = Instant::now();
    let server = Postgres::start();
    let took = began.elapsed();
    let (pid, dir, port) = (server.pid(), server.socket_dir().to_path_buf(), server.port());
    let mut all = support::guard::descendants(pid);
    assert!(!all.is_empty() && port_open(port));
    all.push(pid);
    let named: Vec<_> = all.iter().map(|p| (*p, mayday::sys::proc::pid_start_time(*p).unwrap())).collect();
    drop(server);
    assert!(!named.iter().any(|(pid, start)| mayday::sys::proc::is_alive(*pid, *start)));
    assert!(!dir.exists() && !port_open(port));
    assert!(took < Duration::from_secs(5), "a start took {took:?}");
}

#[test]
fn servers_of_a_panicking_test_end_too() {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let test = std::thread::spawn(move || {
        let redis = Redis::start(&[]);
        tell.send((redis.pid(), redis.dir().to_path_buf())).unwrap();
        panic!("on purpose: this thread plays a failing test");
    });
    let (pid, dir) = told.recv().unwrap();
    assert!(test.join().is_err());
    assert!(mayday::sys::proc::pid_start_time(pid).is_none() && !dir.exists());
}

#[test]
fn redis_answers_and_refuses() {
    let redis = Redis::start(&["--requirepass", "red1s-s3cret"]);
    assert!(redis.raw("PING\r\n").unwrap().starts_with("-NOAUTH"));
    assert_eq!(redis.cli(&["SET", "a", "1"]), "OK");
    assert_eq!(redis.cli(&["GET", "a"]), "1");
    redis.kill();
    assert!(!port_open(redis.port()));
    redis.start_again();
    assert_eq!(redis.cli(&["PING"]), "PONG");
    redis.stop();
    assert!(!port_open(redis.port()));
}

#[test]
fn sshd_lets_this_user_in_and_connections_can_be_cut() {
    let sshd = Sshd::start();
    let output = sshd.ssh_command(&["echo", "hello", "$MAYDAY_MARK"]).env("MAYDAY_MARK", "there").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello there\n", "{error}\n{}", sshd.log());

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("'echo $$ > {} && exec sleep 1000'", file.display());
    let mut client = sshd.ssh_command(&["sh", "-c", &script]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let pid: i32 =
        wait_for_some("the remote command runs", PATIENCE, || std::fs::read_to_string(&file).ok()?.trim().parse().ok());
    sshd.cut_connections();
    let mut end = None;
    wait_until("the client notices", PATIENCE, || {
        end = client.try_wait().unwrap();
        end.is_some()
    });
    assert!(!end.unwrap().success());
    let (port, log) = (sshd.port(), sshd.log());
    drop(sshd);
    assert!(!port_open(port), "{log}");
    // A command without a terminal is not told of a cut connection; it is ours to end.
    if let Some(start) = mayday::sys::proc::pid_start_time(pid) {
        let _ = std::process::Command::new("kill").arg("-9").arg(pid.to_string()).status();
        wait_until("the remote command is gone", PATIENCE, || !mayday::sys::proc::is_alive(pid, start));
    }
}

#[tokio::test]
async fn the_mail_server_takes_refuses_and_encrypts() {
    use lettre::transport::smtp::authentication::Credentials;
    use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
    use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
    mayday::sys::tls::install_provider();
    let message = |to: &str| {
        let mail = Message::builder().from("mayday@host.test".parse().unwrap()).to(to.parse().unwrap());
        mail.subject("API is down").body("first line\r\n.leading dot\r\nümlaut".to_owned()).unwrap()
    };
    let plain = Smtp::start();
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(plain.port()).build();
    transport.send(message("oncall@host.test")).await.unwrap();
    let mails = plain.wait_for_mails(1, PATIENCE);
    assert_eq!(
        (mails[0].from.as_str(), mails[0].to.as_slice()),
        ("mayday@host.test", &["oncall@host.test".into()][..])
    );
    assert!(mails[0].data.contains("Subject: API is down") && !mails[0].tls && mails[0].user.is_none());
    assert!(transport.send(message("refused@host.test")).await.unwrap_err().is_permanent());
    assert!(transport.send(message("later@host.test")).await.unwrap_err().is_transient());
    assert!(transport.send(message("greylisted@host.test")).await.unwrap_err().is_transient());
    transport.send(message("greylisted@host.test")).await.unwrap();
    assert_eq!(plain.mails().len(), 2);
    let (pid, port) = (plain.pid(), plain.port());
    drop(plain);
    assert!(!port_open(port) && mayday::sys::proc::pid_start_time(pid).is_none());

    let ca = TestCa::new();
    let login = Some(("mayday".to_owned(), "sm7p-s3cret".to_owned()));
    let secure = Smtp::start_with(SmtpOptions { tls: Some(ca.localhost()), require_tls: true, login });
    let to = |trusted: bool, password: &str| {
        let mut tls = TlsParameters::builder("localhost".to_owned());
        if trusted {
            tls = tls.add_root_certificate(Certificate::from_pem(ca.pem().as_bytes()).unwrap());
        }
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("localhost")
            .port(secure.port())
            .tls(Tls::Required(tls.build().unwrap()))
            .credentials(Credentials::new("mayday".into(), password.into()))
            .build()
    };
    to(true, "sm7p-s3cret").send(message("oncall@host.test")).await.unwrap();
    let mail = &secure.wait_for_mails(1, PATIENCE)[0];
    assert_eq!((mail.tls, mail.user.as_deref()), (true, Some("mayday")), "{}", secure.log());
    assert!(to(true, "wrong").send(message("oncall@host.test")).await.is_err());
    assert!(to(false, "sm7p-s3cret").send(message("oncall@host.test")).await.is_err());
    assert_eq!(secure.mails().len(), 1);
}

#[tokio::test]
async fn the_scripted_web_server_answers_by_its_list() {
    mayday::sys::tls::install_provider();
    let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
    let hook = HttpScript::start(vec![
        Answer::status(503).header("Retry-After", "7"),
        Answer::redirect("/other"),
        Answer::ok("half of this").cut_after(50),
        Answer::cut(),
        Answer::hang(),
        Answer::ok("slow").after(Duration::from_millis(50)),
        Answer::raw("no http at all"),
        Answer::ok("last"),
    ]);
    hook.route("/other", vec![Answer::ok("redirected")]);
    let get = || client.get(hook.url("/x?y=1")).send();
    let first = client.post(hook.url("/hook")).json(&serde_json::json!({"text": "down"})).send().await.unwrap();
    assert_eq!((first.status().as_u16(), first.headers()["retry-after"].to_str().unwrap()), (503, "7"));
    assert_eq!(get().await.unwrap().text().await.unwrap(), "redirected");
    assert!(get().await.unwrap().text().await.is_err(), "cut half-way");
    assert!(get().await.is_err(), "cut at once");
    let hung = client.get(hook.url("/")).timeout(Duration::from_millis(200)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    assert_eq!(get().await.unwrap().text().await.unwrap(), "slow");
    assert!(get().await.is_err(), "no http");
    for _ in 0..2 {
        assert_eq!(get().await.unwrap().text().await.unwrap(), "last");
    }
    let requests = hook.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/hook"));
    assert_eq!(requests[0].json()["text"], "down");
    assert_eq!(requests[1].path, "/x?y=1");
    assert_eq!(requests[2].path, "/other");
    assert!(hook.connections() < requests.len(), "connections are kept open");
    let port = hook.port();
    drop(hook);
    assert!(!port_open(port));

    let ca = TestCa::new();
    let secure = HttpScript::start_tls(vec![Answer::ok("over tls")], &ca.localhost());
    let root = reqwest::Certificate::from_pem(ca.pem().as_bytes()).unwrap();
    let trusting = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    assert_eq!(trusting.get(secure.url("/")).send().await.unwrap().text().await.unwrap(), "over tls");
    assert!(client.get(secure.url("/")).send().await.is_err());
}

#[test]
fn a_small_disk_is_full_soon() {
    in_small_disk(64 * 1024, |dir, kind| {
        std::fs::write(dir.join("fits"), vec![0; 32 * 1024]).unwrap();
        let full = std::fs::write(dir.join("too much"), vec![0; 100 * 1024]).unwrap_err();
        let expected = match kind {
            DiskLimit::Tmpfs => libc::ENOSPC,
            DiskLimit::FileSize => libc::EFBIG,
        };
        assert_eq!(full.raw_os_error(), Some(expected), "{full}");
        if kind == DiskLimit::Tmpfs {
            assert_eq!(mayday::sys::disk::free_bytes(dir).unwrap(), 0);
            let state = dir.join("state.json");
            let refused = mayday::sys::disk::write_atomic(&state, &[0; 8192], 0o600).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::ENOSPC));
            let left: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(left.len(), 2, "a half-written file was left: {left:?}");
        }
    });
}

#[test]
fn a_program_on_a_terminal() {
    let home = Home::new().env_var("MARK", "a mark");
    let mut pty = Pty::program(&home, &["sh"], 60, 10);
    pty.send("stty size; echo \"$MARK\" \"$HOME\"; pwd\n");
    pty.wait_for("10 60");
    pty.wait_for(&format!("a mark {}", home.path().display()));
    pty.resize(40, 5);
    pty.send("stty size\n");
    pty.wait_for("5 40");
    for (columns, rows) in [(0, 0), (1, 1), (0, 7), (200, 60)] {
        pty.resize(columns, rows);
    }
    pty.send("clear; stty raw -echo; printf 'now %s\\n' quiet\n");
    pty.wait_for("now quiet");
    assert_ne!(pty.stty(), pty.stty_before());
    pty.send("stty sane; exit 7\r\n");
    assert_eq!(pty.wait_exit(PATIENCE), Exit { code: 7, signal: None });
    assert!(pty.bytes_written() > 0 && pty.raw().len() == pty.bytes_written());
}

#[test]
fn settings_of_the_terminal_are_compared_and_hangup_reaches_the_program() {
    let home = Home::new();
    let mut pty = Pty::program(&home, &["sh", "-c", "echo ready; cat"], 80, 24);
    pty.wait_for("ready");
    assert_eq!(pty.stty(), pty.stty_before());
    pty.hangup();
    let exit = pty.wait_exit(PATIENCE);
    assert!(exit.signal.is_some(), "ended by SIGHUP: {exit:?}");
}

#[test]
fn what_was_started_in_a_home_ends_with_it() {
    let home = Home::new();
    let dir = home.path().to_path_buf();
    let pty = Pty::program(
        &home,
        &["sh", "-c", "setsid sleep 1000 & setsid sh -c 'sleep 1000' & echo started; wait"],
        80,
        24,
    );
    pty.wait_for("started");
    wait_until("both have left the session", PATIENCE, || {
        let names =
            home.processes().into_iter().filter_map(|p| std::fs::read_to_string(format!("/proc/{p}/comm")).ok());
        names.filter(|n| n.trim() == "sleep").count() == 2
    });
    drop(pty);
    assert!(!home.processes().is_empty(), "those in sessions of their own survive the terminal");
    drop(home);
    assert!(support::guard::processes_of(&dir).is_empty() && !dir.exists());
}

#[test]
fn ports_are_given_once() {
    let mut ports: Vec<_> = (0..20).map(|_| free_port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 20);
}
