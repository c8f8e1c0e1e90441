use super::*;
use secrecy::{ExposeSecret, SecretString};

fn target(dsn: &str) -> PgTarget {
    PgTarget::parse(dsn).unwrap_or_else(|e| panic!("{dsn}: {e}"))
}

fn tcp(host: &str, port: u16) -> Endpoint {
    Endpoint::Tcp { host: host.into(), port, address: None }
}

#[test]
fn both_forms_of_connection_strings() {
    let sock = Endpoint::Unix { dir: "/tmp/pg sock".into(), port: 5433 };
    for (dsn, user, database, endpoint, mode) in [
        ("postgres://app@db.test/shop", "app", "shop", tcp("db.test", 5432), SslMode::Prefer),
        (
            "postgresql://app:p%40ss@[::1]:6432/shop?sslmode=verify-full",
            "app",
            "shop",
            tcp("::1", 6432),
            SslMode::VerifyFull,
        ),
        ("postgres://a%20b@h/d?connect_timeout=3&sslmode=require", "a b", "d", tcp("h", 5432), SslMode::Require),
        ("host=db.test user=app dbname=shop sslmode=verify-ca", "app", "shop", tcp("db.test", 5432), SslMode::VerifyCa),
        ("host = '/tmp/pg sock' port=5433 user='it'", "it", "it", sock.clone(), SslMode::Prefer),
        ("postgres://app@%2Ftmp%2Fpg%20sock:5433/shop?sslmode=disable", "app", "shop", sock, SslMode::Disable),
        ("host=db.test user=app sslmode=allow gssencmode=prefer", "app", "app", tcp("db.test", 5432), SslMode::Prefer),
    ] {
        let t = target(dsn);
        assert_eq!((t.user(), t.database(), t.ssl_mode()), (user, database, mode), "{dsn}");
        assert_eq!(t.endpoints(), [endpoint], "{dsn}");
    }
    let several = target("postgres://app@a:1,b:2/shop?target_session_attrs=read-write");
    assert_eq!(several.endpoints(), [tcp("a", 1), tcp("b", 2)]);
    assert!(several.wants_writable());
    assert_eq!(several.label(), "app@a:1,b:2/shop");
    let addressed = target("host=db.test hostaddr=10.0.0.9 user=u");
    assert_eq!(
        addressed.endpoints(),
        [Endpoint::Tcp { host: "db.test".into(), port: 5432, address: Some([10, 0, 0, 9].into()) }]
    );
    let nothing = target("");
    assert_eq!(nothing.user(), crate::sys::peer::user_name(crate::sys::peer::current_uid()));
    assert_eq!(nothing.endpoints().len(), 1);
    let quoted = target(r"host=h user=u password='a\'b\\c d' sslrootcert='/etc/my ca.pem'");
    assert_eq!(quoted.password().unwrap().expose_secret(), r"a'b\c d");
    assert_eq!(quoted.ssl_root_cert(), Some(std::path::Path::new("/etc/my ca.pem")));
    assert_eq!(target("host=h user=u sslrootcert=system").ssl_root_cert(), None);
}

#[test]
fn passwords_come_from_either_place_and_show_nowhere() {
    for dsn in [
        "postgres://app:hunter%322@h/d",
        "postgres://app@h/d?password=hunter22",
        "host=h user=app dbname=d password=hunter22",
    ] {
        let t = target(dsn);
        assert_eq!(t.password().unwrap().expose_secret(), "hunter22", "{dsn}");
        assert_eq!(t.driver_config().get_password(), Some(&b"hunter22"[..]));
        let shown = format!("{t:?} {} {:?}", t.label(), env_for_tools(&t));
        assert!(!shown.contains("hunter22") && !shown.contains("PGPASSWORD"), "{shown}");
        let other = t.with_password(SecretString::from("other"));
        assert_eq!(other.driver_config().get_password(), Some(&b"other"[..]));
    }
    assert!(target("postgres://app@h/d").password().is_none());
    assert_eq!(target("postgres://app@h/d").driver_config().get_password(), None);
}

#[test]
fn bad_connection_strings_are_refused_without_repeating_them() {
    for (dsn, word) in [
        ("postgres://app:hunter22@h:port/d", "port"),
        ("host=h password=hunter22 port=many", "port"),
        ("host=h password=hunter22 sslmode=hunter22", "sslmode"),
        ("host=h password='hunter22", "quoted"),
        ("hunter22", "="),
        ("host=h hunter22=1", "unknown"),
        ("mysql://app:hunter22@h/d", "postgres://"),
        ("host=a,b,c port=1,2 password=hunter22", "number"),
        ("host=h sslcert=/x password=hunter22", "sslkey"),
        ("postgres://app:hunter22%zz@h/d", "%"),
        ("postgres://app:x@hunter22@h/d", "%40"),
    ] {
        let error = PgTarget::parse(dsn).expect_err(dsn).to_string();
        assert!(error.contains(word) && !error.contains("hunter22"), "{dsn}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn any_password_is_read_back_from_both_forms(password in "[^\0]{1,20}") {
        let quoted = password.replace('\\', "\\\\").replace('\'', "\\'");
        let encoded: String = password.bytes().map(|b| format!("%{b:02x}")).collect();
        for dsn in [
            format!("host=h user=u password='{quoted}' sslmode = require dbname=d"),
            format!("postgres://u:{encoded}@h/d?sslmode=require"),
            format!("postgres://u@h/d?password={encoded}&sslmode=require"),
        ] {
            let t = target(&dsn);
            proptest::prop_assert_eq!(t.password().unwrap().expose_secret(), password.as_str());
            proptest::prop_assert_eq!((t.label(), t.ssl_mode()), ("u@h:5432/d".to_owned(), SslMode::Require));
        }
    }

    #[test]
    fn no_text_makes_reading_panic_or_an_error_repeat_it(dsn in "(postgres://)?[a-z:@/?&=%'\\\\ 0-9,\\[\\]]{0,40}SECRET[ -~]{0,20}") {
        if let Err(e) = PgTarget::parse(&dsn) {
            proptest::prop_assert!(!e.to_string().contains("SECRET"), "{} from {}", e, dsn);
        }
    }
}

#[test]
fn tools_reach_the_same_server() {
    let get = |env: &[(String, String)], key: &str| env.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let env = env_for_tools(&target("postgres://app:x@db.test:6432/shop?sslmode=verify-full&sslrootcert=/ca.pem"));
    for (key, value) in [
        ("PGHOST", "db.test"),
        ("PGPORT", "6432"),
        ("PGUSER", "app"),
        ("PGDATABASE", "shop"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "/ca.pem"),
    ] {
        assert_eq!(get(&env, key).as_deref(), Some(value), "{key}");
    }
    let env = env_for_tools(&target("host=/tmp,b port=1,2 user=u").with_database("other"));
    assert_eq!(get(&env, "PGHOST").as_deref(), Some("/tmp,b"));
    assert_eq!(get(&env, "PGPORT").as_deref(), Some("1,2"));
    assert_eq!(get(&env, "PGDATABASE").as_deref(), Some("other"));
}

#[test]
fn quoting() {
    assert_eq!(quote_ident("plain"), "\"plain\"");
    assert_eq!(quote_ident("we\"ird; drop"), "\"we\"\"ird; drop\"");
    assert_eq!(quote_ident("a\0b"), "\"a\"");
    assert_eq!(quote_literal("it's"), "'it''s'");
    assert_eq!(quote_literal(r"a\'b"), r" E'a\\''b'");
}

#[test]
fn words_of_a_server_that_takes_no_connections() {
    for (message, phase) in [
        ("the database system is starting up", RecoveryPhase::StartingUp),
        ("the database system is in recovery mode", RecoveryPhase::InRecovery),
        ("the database system is not yet accepting connections", RecoveryPhase::InRecovery),
        ("the database system is not accepting connections", RecoveryPhase::InRecovery),
        ("the database system is shutting down", RecoveryPhase::ShuttingDown),
        ("das Datenbanksystem startet", RecoveryPhase::Unknown),
    ] {
        assert_eq!(error::phase_of(message), phase, "{message}");
    }
}

#[tokio::test]
async fn refusal_silence_and_a_bad_name_are_told_apart() {
    let limit = Duration::from_millis(500);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = connect(&target(&format!("postgres://u:hunter22@127.0.0.1:{port}/d")), limit).await;
    assert_eq!(silent.unwrap_err(), PgError::TimedOut(Stage::Login));
    drop(listener);
    let refused = connect(&target(&format!("postgres://u@127.0.0.1:{port}/d")), limit).await.unwrap_err();
    assert_eq!(refused, PgError::Refused { at: format!("127.0.0.1:{port}") });
    let no_socket = connect(&target("host=/no/such/folder user=u"), limit).await.unwrap_err();
    assert_eq!(no_socket, PgError::Refused { at: "/no/such/folder/.s.PGSQL.5432".into() });
    // RFC 6761: names under .invalid never resolve.
    let unknown = connect(&target("postgres://u@db.invalid/d"), Duration::from_secs(20)).await.unwrap_err();
    assert!(matches!(&unknown, PgError::Dns { host, .. } if host == "db.invalid"), "{unknown:?}");
    // Several hosts: the second answers nothing either, and its error is the one told.
    let both = connect(&target(&format!("host=/no/such/folder,127.0.0.1 port=1,{port} user=u")), limit).await;
    assert_eq!(both.unwrap_err(), PgError::Refused { at: format!("127.0.0.1:{port}") });
}

#[tokio::test]
async fn a_server_that_is_no_postgresql_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for mode in ["disable", "prefer", "require", "verify-full"] {
        let t = target(&format!("postgres://u@127.0.0.1:{port}/d?sslmode={mode}"));
        let error = connect(&t, Duration::from_secs(5)).await.unwrap_err();
        assert!(!matches!(error, PgError::TimedOut(_) | PgError::Auth(_)), "{mode}: {error:?}");
    }
}
