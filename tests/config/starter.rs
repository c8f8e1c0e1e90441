//! What `mayday init` writes passes, whatever was seen.

use std::path::PathBuf;
use std::time::Duration;

use mayday::config::starter::*;
use mayday::config::{self, CheckKind, Control, Restore};
use proptest::prelude::*;

use crate::{good, nowhere};

#[test]
fn a_host_becomes_a_configuration_that_watches_it() {
    let survey = Survey {
        host: "db1".into(),
        postgres: vec![FoundPostgres {
            host: "127.0.0.1".into(),
            port: 5432,
            user: "o'brien".into(),
            databases: vec!["shop".into(), "other".into()],
            needs_password: true,
            standby: false,
            unit: Some("postgresql.service".into()),
            container: None,
        }],
        redis: vec![FoundRedis {
            host: "::1".into(),
            port: 6379,
            container: Some("cache-1".into()),
            ..Default::default()
        }],
        ports: vec![
            FoundPort {
                port: 3000,
                process: Some("node".into()),
                http: Some(("/health".into(), 200)),
                ..Default::default()
            },
            FoundPort {
                port: 3001,
                process: Some("node".into()),
                http: Some(("/".into(), 401)),
                tls: true,
                ..Default::default()
            },
            FoundPort { port: 25, loopback: true, unit: Some("postfix.service".into()), ..Default::default() },
        ],
        units: vec![
            FoundUnit { name: "postgresql.service".into(), description: "seen already".into(), user: false },
            FoundUnit { name: "cron.service".into(), description: "Jobs\nevil = true".into(), user: true },
        ],
        containers: vec![
            FoundContainer { name: "cache-1".into(), image: "redis:8".into(), compose: None },
            FoundContainer {
                name: "shop-web-1".into(),
                image: "shop/web\u{1b}[2J".into(),
                compose: Some((PathBuf::from("/srv/shop"), "web".into())),
            },
        ],
        backups: vec![
            FoundBackup {
                path: "/var/backups/pg".into(),
                pattern: "shop-*.dump".into(),
                count: 7,
                newest_age: Some(Duration::from_secs(7200)),
                every: Some(Duration::from_secs(86_391)),
                postgres: true,
            },
            FoundBackup {
                path: "/var/backups/docs".into(),
                pattern: "*/docs.tar.zst".into(),
                count: 1,
                ..Default::default()
            },
        ],
    };
    let text = starter(&survey);
    let config = good(&text);
    assert_eq!(config.system.name, "db1");
    let names: Vec<&str> = config.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["postgres", "redis", "node", "node-2", "postfix", "shop-web-1", "cron"], "{text}");
    assert!(config.services.iter().all(|s| !s.checks.is_empty()));
    let CheckKind::Postgres(pg) = &config.services[0].checks[0].kind else { panic!("{text}") };
    assert_eq!(pg.dsn.describe(), r"host='127.0.0.1' port=5432 user='o\'brien' dbname='shop'");
    assert!(matches!(&config.services[0].control, Some(Control::Systemd { unit, .. }) if unit == "postgresql.service"));
    assert!(matches!(&config.services[1].control, Some(Control::Docker { container }) if container == "cache-1"));
    let CheckKind::Http(http) = &config.services[3].checks[0].kind else { panic!("{text}") };
    assert_eq!((http.url.describe().as_str(), &http.status[..]), ("https://127.0.0.1:3001/", &[(401, 401)][..]));
    let Some(Restore::PostgresDump(restore)) = &config.backups[0].restore else { panic!("{text}") };
    assert_eq!(restore.database, "shop");
    assert_eq!(config.backups[0].every, Some(Duration::from_secs(1439 * 60)));
    assert!(config.backups[0].rpo > config.backups[0].every);
    assert!(!config.warnings.iter().any(|w| w.contains("cannot keep")), "{:?}", config.warnings);
    assert!(!text.contains('\u{1b}') && !text.lines().any(|l| l.starts_with("evil")), "{text}");
}

#[test]
fn nothing_found_still_gives_a_file_to_begin_with() {
    let text = starter(&Survey::default());
    let config = good(&text);
    assert!(config.services.is_empty());
    // What stands in comments is right too: without the marks it is a service.
    let uncommented: String = text
        .lines()
        .skip_while(|l| !l.contains("A service looks like this"))
        .skip(1)
        .take_while(|l| l.starts_with("# "))
        .map(|l| format!("{}\n", &l[2..]))
        .collect();
    let config = good(&format!("[system]\nname = \"x\"\n{uncommented}"));
    assert_eq!(config.services.len(), 1);
}

/// Text as a host may give it: mostly ordinary, sometimes hostile.
fn seen() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z][a-z0-9_.@-]{0,20}",
        1 => "\\PC{0,30}",
        1 => "[\\x00-\\x7f]{0,30}",
        1 => Just("\"\"\"\n[system]\nname = 'x'".to_owned()),
        1 => Just("token=abcdefgh12".to_owned()),
        1 => Just("\u{202e}x\u{1b}]0;t\u{7}".to_owned()),
        1 => Just("~/x".to_owned()),
        1 => Just(String::new()),
    ]
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    prop::option::of(seen())
}

prop_compose! {
    fn postgres()(host in seen(), port in any::<u16>(), user in seen(), databases in prop::collection::vec(seen(), 0..3),
        needs_password in any::<bool>(), standby in any::<bool>(), unit in maybe(), container in maybe()) -> FoundPostgres {
        FoundPostgres { host, port, user, databases, needs_password, standby, unit, container }
    }
}

prop_compose! {
    fn port()(port in any::<u16>(), loopback in any::<bool>(), process in maybe(), unit in maybe(), container in maybe(),
        http in prop::option::of((prop_oneof![seen(), Just("/health".to_owned()), Just("/?token=x".to_owned())], any::<u16>())),
        tls in any::<bool>()) -> FoundPort {
        FoundPort { port, loopback, process, unit, container, http, tls }
    }
}

prop_compose! {
    fn backup()(path in prop_oneof![seen(), seen().prop_map(|s| format!("/b/{s}"))], pattern in seen(), count in any::<usize>(),
        newest in prop::option::of(any::<u64>()), every in prop::option::of(any::<u64>()), postgres in any::<bool>()) -> FoundBackup {
        FoundBackup {
            path: path.into(), pattern, count, newest_age: newest.map(Duration::from_secs),
            every: every.map(Duration::from_secs), postgres,
        }
    }
}

prop_compose! {
    fn survey()(host in seen(), postgres in prop::collection::vec(postgres(), 0..3),
        redis in prop::collection::vec((seen(), any::<u16>(), any::<bool>(), maybe(), maybe()), 0..3),
        ports in prop::collection::vec(port(), 0..4),
        units in prop::collection::vec((seen(), seen(), any::<bool>()), 0..3),
        containers in prop::collection::vec((seen(), seen(), prop::option::of((seen(), seen()))), 0..3),
        backups in prop::collection::vec(backup(), 0..3)) -> Survey {
        Survey {
            host, postgres, ports, backups,
            redis: redis.into_iter()
                .map(|(host, port, needs_password, unit, container)| FoundRedis { host, port, needs_password, unit, container })
                .collect(),
            units: units.into_iter().map(|(name, description, user)| FoundUnit { name, description, user }).collect(),
            containers: containers.into_iter()
                .map(|(name, image, compose)| FoundContainer { name, image, compose: compose.map(|(d, s)| (d.into(), s)) })
                .collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_seen_the_starter_passes(survey in survey()) {
        let text = starter(&survey);
        if let Err(faults) = config::parse(&text, nowhere()) {
            return Err(TestCaseError::fail(config::render(&faults, &text, false)));
        }
        let hostile = text.chars().find(|c| (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}'));
        prop_assert_eq!(hostile, None);
    }
}
