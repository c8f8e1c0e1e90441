//! Secrets: where they come from, and where they never go.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use mayday::config::{self, CheckKind, MaybeSecret, SecretRef, resolve};
use mayday::text::Mask;
use secrecy::ExposeSecret;

use crate::good;

const SOON: Duration = Duration::from_secs(5);

fn command(script: &str) -> SecretRef {
    SecretRef::Command(vec!["sh".into(), "-c".into(), script.into()])
}

#[tokio::test]
async fn values_come_from_where_the_reference_says() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "from-file\r\nsecond line\n").unwrap();
    let binary = dir.path().join("binary");
    std::fs::write(&binary, b"first\n\xff\xfe").unwrap();
    for (from, wanted) in [
        (SecretRef::File(file), "from-file"),
        (SecretRef::File(binary), "first"),
        (command("echo from-command; echo more"), "from-command"),
        (command("printf no-newline"), "no-newline"),
        // A variable that is always there; setting one would race with other tests.
        (SecretRef::Env("CARGO_MANIFEST_DIR".into()), env!("CARGO_MANIFEST_DIR")),
        (SecretRef::Literal("literal".into()), "literal"),
    ] {
        assert_eq!(resolve(&from, SOON).await.unwrap().expose_secret(), wanted, "{}", from.describe());
    }
    assert_eq!(MaybeSecret::Plain("text".into()).resolve(SOON).await.unwrap().expose_secret(), "text");
    assert_eq!(MaybeSecret::Secret(command("echo x")).resolve(SOON).await.unwrap().expose_secret(), "x");
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_says_why_and_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "\nlater").unwrap();
    let binary = dir.path().join("binary");
    std::fs::write(&binary, b"\xff\xfe").unwrap();
    for (from, wanted) in [
        (SecretRef::Env("MAYDAY_TEST_NOT_SET".into()), "environment variable MAYDAY_TEST_NOT_SET is not set"),
        (SecretRef::File(dir.path().join("nope")), "cannot be read: No such file"),
        (SecretRef::File(empty), "empty is empty"),
        (SecretRef::File(binary), "does not begin with a line of UTF-8"),
        (SecretRef::Command(vec!["/nope/tool".into()]), "secret command /nope/tool: no such program"),
        (command("echo hunter22; echo 'token=abcdefgh rejected' >&2; exit 3"), "exit 3: token=*** rejected"),
        (command("true"), "command sh is empty"),
        (SecretRef::Pipe("x".into()), "handed to the runner"),
    ] {
        let error = resolve(&from, SOON).await.unwrap_err();
        assert!(error.contains(wanted), "{error}");
        assert!(!error.contains("hunter22") && !error.contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn a_hanging_source_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    // Opening a FIFO that nobody writes waits for ever, as a dead network folder does.
    let fifo = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let short = Duration::from_millis(200);
    let error = resolve(&SecretRef::File(fifo.clone()), short).await.unwrap_err();
    assert!(error.contains("did not answer within 200ms"), "{error}");
    // Let the blocked thread go.
    drop(std::fs::OpenOptions::new().write(true).open(&fifo));
    let error = resolve(&command("sleep 60"), short).await.unwrap_err();
    assert!(error.contains("timed out"), "{error}");
}

/// A file in which every place that can hold a secret holds one of its own.
fn planted() -> (String, Vec<String>) {
    let values: Vec<String> = (0..14).map(|i| format!("planted{i:02}x")).collect();
    let v = |i: usize| values[i].as_str();
    let text = format!(
        "[system]\nname = \"s\"\n\
         [[service]]\nname = \"a\"\n\
         control = {{ restart = [\"/bin/true\"], env = {{ DEPLOY_TOKEN = \"{}\" }} }}\n\
         [[service.http]]\nurl = \"https://u:{}@h/\"\nheaders = {{ Authorization = \"Bearer {}\" }}\n\
         [[service.postgres]]\ndsn = \"postgres://u@h/d\"\npassword = \"{}\"\n\
         [[service.postgres]]\ndsn = \"host=h user=u password={}\"\n\
         [[service.redis]]\nurl = \"redis://:{}@h\"\n\
         [[service.redis]]\nurl = \"redis://h\"\npassword = \"{}\"\n\
         [[service.exec]]\nrun = [\"/bin/true\"]\nenv = {{ API_KEY = \"{}\" }}\n\
         [[backup]]\nname = \"b\"\nrpo = \"1h\"\nfiles = {{ path = \"/b\", pattern = \"*\" }}\n\
         restore = {{ postgres_dump = {{ database = \"d\", dsn = \"postgres://u@h/d\", password = \"{}\" }} }}\n\
         [[action]]\nname = \"x\"\nrun = [\"/bin/true\"]\nenv = {{ SECRET = \"{}\" }}\n\
         [[channel]]\nname = \"c1\"\nslack = {{ webhook = \"https://hooks.example.org/{}\" }}\n\
         [[channel]]\nname = \"c2\"\nwebhook = {{ url = \"https://h/?sig={}\", secret = \"{}\" }}\n\
         [[channel]]\nname = \"c3\"\nemail = {{ host = \"h\", user = \"u\", password = \"{}\", from = \"a@b\", to = [\"c@d\"] }}\n",
        v(0),
        v(1),
        v(2),
        v(3),
        v(4),
        v(5),
        v(6),
        v(7),
        v(8),
        v(9),
        v(10),
        v(11),
        v(12),
        v(13)
    );
    (text, values)
}

#[test]
fn planted_secrets_are_listed_and_shown_nowhere() {
    let (text, values) = planted();
    let config = good(&text);
    let literal = |s: &SecretRef| match s {
        SecretRef::Literal(v) => v.expose_secret().to_owned(),
        other => panic!("{other:?}"),
    };
    let listed: Vec<String> = config.secret_refs().iter().map(|(_, s)| literal(s)).collect();
    let places: Vec<String> = config.secret_refs().into_iter().map(|(place, _)| place).collect();
    assert_eq!(listed.len(), values.len(), "{places:#?}");
    for value in &values {
        assert!(listed.iter().any(|l| l.contains(value)), "{value} is not listed");
    }
    for place in
        ["service a check http headers.Authorization", "service a control env.DEPLOY_TOKEN", "channel c2 secret"]
    {
        assert!(places.iter().any(|p| p == place), "{place} in {places:#?}");
    }
    let mut shown = format!("{config:?}{config:#?}{}{:?}", config::effective(&config), config.catalog());
    // A mistake in every line shows every line.
    let broken: String = text.lines().map(|l| format!("{l} ~\n")).collect();
    let faults = config::parse(&broken, crate::nowhere()).unwrap_err();
    shown += &config::render(&faults, &broken, false);
    shown += &faults.iter().map(ToString::to_string).collect::<String>();
    let wrong = text.replace("name = ", "nam = ").replace("https://", "ftp://").replace("redis://", "rdis://");
    let faults = config::parse(&wrong, crate::nowhere()).unwrap_err();
    shown += &config::render(&faults, &wrong, false);
    shown += &faults.iter().map(ToString::to_string).collect::<String>();
    for value in &values {
        assert!(!shown.contains(value.as_str()), "{value} shows");
    }
}

#[test]
fn checks_travel_in_plans_without_their_secrets() {
    let (text, values) = planted();
    let config = good(&text);
    let mut found = BTreeMap::new();
    for (i, check) in config.services[0].checks.iter().enumerate() {
        if check.kind.secret_refs().is_empty() {
            continue;
        }
        assert!(serde_json::to_string(&check.kind).is_err(), "a literal secret refuses to be written");
        let prefix = format!("after{i}");
        let (piped, secrets) = config::pipe_secrets(&check.kind, &prefix);
        let json = serde_json::to_string(&piped).unwrap();
        assert!(values.iter().all(|v| !json.contains(v.as_str())), "{json}");
        assert_eq!(serde_json::from_str::<CheckKind>(&json).unwrap(), piped);
        assert_eq!(piped.secret_refs().len(), secrets.len());
        for ((place, at), (name, _)) in piped.secret_refs().iter().zip(&secrets) {
            assert_eq!(at, &SecretRef::Pipe(name.clone()));
            assert_eq!(name, &format!("{prefix}.{place}"));
        }
        // Again changes nothing: they are pipes already.
        assert_eq!(config::pipe_secrets(&piped, "other"), (piped.clone(), vec![]));
        found.extend(secrets);
    }
    assert_eq!(found.len(), 7, "{:?}", found.keys());
    // References are taken out too: the runner has neither the engine's environment nor its files.
    let config = good(
        "[system]\nname = \"s\"\n[[service]]\nname = \"a\"\n[service.postgres]\ndsn = { env = \"DSN\" }\npassword = { file = \"p\" }\n",
    );
    let (_, secrets) = config::pipe_secrets(&config.services[0].checks[0].kind, "after");
    let wanted = [
        ("after.dsn".to_owned(), SecretRef::Env("DSN".into())),
        ("after.password".to_owned(), SecretRef::File(PathBuf::from("/etc/mayday/p"))),
    ];
    assert_eq!(secrets, wanted);
}

#[tokio::test]
async fn what_is_kept_for_a_restart_holds_no_secret_and_reads_back() {
    let (text, values) = planted();
    let config = good(&text);
    let kept = config::keepable(&config);
    assert!(values.iter().all(|v| !kept.contains(v.as_str())), "{kept}");
    let again = good(&kept);
    assert_eq!(again.secret_refs().len(), config.secret_refs().len());
    for (place, secret) in again.secret_refs() {
        let error = resolve(&secret, SOON).await.unwrap_err();
        assert!(error.contains("is not kept"), "{place}: {error}");
    }
    // Without secrets in the file nothing is lost.
    let (_, text) = crate::shipped().swap_remove(0);
    let config = good(&text);
    assert_eq!(crate::meaning(good(&config::keepable(&config))), crate::meaning(config));
}

/// What is resolved from a file with open permissions is masked like any other.
#[tokio::test]
async fn listed_secrets_make_a_mask() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pw");
    std::fs::write(&file, "correct horse\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = config::parse(
        "[system]\nname = \"s\"\n[[service]]\nname = \"a\"\n[service.redis]\nurl = \"redis://h\"\npassword = { file = \"pw\" }\n",
        &dir.path().join("a.toml"),
    )
    .unwrap();
    let mut values = Vec::new();
    for (_, secret) in config.secret_refs() {
        values.push(resolve(&secret, SOON).await.unwrap().expose_secret().to_owned());
    }
    assert_eq!(Mask::new(values).apply("it was correct horse"), "it was ***");
}

#[test]
fn what_is_shown_gives_away_no_hook_and_what_is_kept_still_works() {
    let token = "9f8e7d6c5b4a39281706";
    let url = format!("https://ops.example.org/hooks/{token}?room=1");
    let text = format!(
        "[system]\nname = \"x\"\n[[channel]]\nname = \"b\"\nwebhook = {{ url = \"{url}\", headers = {{ X-Token = \"hunter2hunter2\" }} }}\n\
         [[channel]]\nname = \"c\"\nwebhook = {{ url = \"https://u:hunter2hunter2@ops.example.org/hooks/{token}\" }}\n"
    );
    let config = good(&text);
    let shown = config::effective(&config);
    for secret in [token, "hunter2hunter2"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("https://ops.example.org/hooks/***?room=1"), "which hook it is still shows: {shown}");
    assert!(shown.contains("literal, hidden"), "{shown}");
    // For a start with a broken file: the address is none of the configuration's secrets, and whole.
    let kept = config::keepable(&config);
    assert!(kept.contains(&url) && !kept.contains("hunter2hunter2"), "{kept}");
}
