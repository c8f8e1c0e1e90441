use std::time::Duration;

use mayday::config::secret::MaybeSecret;
use mayday::config::{CheckKind, RedisCheck, SecretRef};
use mayday::domain::health::{Outcome, ProbeResult, Reason};

use crate::support::{Answer, HttpScript, PATIENCE, Redis, free_port, wait_until};
use crate::{Swallower, check, env, env_with, fact, fails, is, look, look_for, look_in};

const PASSWORD: &str = "redis-s3cret-planted";

fn at(url: impl Into<String>) -> RedisCheck {
    RedisCheck {
        url: MaybeSecret::Plain(url.into()),
        password: None,
        role: None,
        memory_below: None,
        lag_below: None,
        persistence: false,
        latency_below: None,
    }
}

fn kind(check: RedisCheck) -> CheckKind {
    CheckKind::Redis(Box::new(check))
}

async fn ask(check: RedisCheck) -> ProbeResult {
    let result = look(kind(check)).await;
    assert!(!format!("{result:?}").contains(PASSWORD), "{result:?}");
    result
}

#[tokio::test]
async fn a_server_that_is_well_tells_of_itself() {
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("redis.sock");
    let server = Redis::start(&["--unixsocket", path.to_str().unwrap(), "--maxmemory", "100mb"]);
    server.cli(&["mset", "a", "1", "b", "2"]);
    server.cli(&["-n", "3", "set", "c", "3"]);
    let result = ask(RedisCheck { role: Some("master".into()), ..at(server.url()) }).await;
    is(&result, Outcome::Ok, None, &["Redis ", " master, PONG"]);
    assert_eq!((fact(&result, "keys"), fact(&result, "role")), ("3", "master"));
    assert!(fact(&result, "memory").ends_with(" of 105 MB"), "{}", fact(&result, "memory"));
    assert_eq!(fact(&result, "append-only file"), "off");
    for url in [format!("unix:{}", path.display()), format!("redis://127.0.0.1:{}/5", server.port())] {
        is(&ask(at(url)).await, Outcome::Ok, None, &["PONG"]);
    }
    let result = ask(RedisCheck { role: Some("replica".into()), ..at(server.url()) }).await;
    fails(&result, Reason::Role, &["it is a master, expected a replica"]);
}

#[tokio::test]
async fn a_password_is_wanted_wrong_or_not_wanted() {
    let server = Redis::start(&["--requirepass", PASSWORD]);
    fails(&ask(at(server.url())).await, Reason::Auth, &["wants a password", "NOAUTH"]);
    let port = server.port();
    let wrong = ask(at(format!("redis://:hunter22-wrong@127.0.0.1:{port}/"))).await;
    fails(&wrong, Reason::Auth, &["refused the user or password", "WRONGPASS"]);
    assert!(!format!("{wrong:?}").contains("hunter22"));
    is(&ask(at(format!("redis://:{PASSWORD}@127.0.0.1:{port}/"))).await, Outcome::Ok, None, &[]);
    let env = env_with(&[("REDIS", PASSWORD)]);
    let given = RedisCheck { password: Some(SecretRef::Env("REDIS".into())), ..at(server.url()) };
    is(&look_in(check(kind(given)), &env).await, Outcome::Ok, None, &[]);
    // A user who may do nothing but be pinged.
    server.cli(&["acl", "setuser", "watcher", "on", ">w4tch-hunter22", "+ping"]);
    let result = ask(at(format!("redis://watcher:w4tch-hunter22@127.0.0.1:{port}/"))).await;
    is(&result, Outcome::Ok, None, &["PONG"]);
    assert_eq!(fact(&result, "info"), "not permitted to this user");

    let open = Redis::start(&[]);
    let result = ask(at(format!("redis://:{PASSWORD}@127.0.0.1:{}/", open.port()))).await;
    fails(&result, Reason::Auth, &["has no password and one is configured"]);
}

#[tokio::test]
async fn loading_is_neither_up_nor_refused() {
    let server = Redis::start(&[]);
    // Enough keys that loading, delayed for each, outlasts the test.
    server.cli(&["eval", "for i = 1, 50000 do redis.call('set', 'k' .. i, 'v') end", "0"]);
    server.cli(&["save"]);
    server.kill();
    let rdb = server.dir().join("dump.rdb");
    assert!(rdb.is_file());
    let dir = server.dir().to_str().unwrap().to_owned();
    let slow = Redis::start(&[
        "--dir",
        &dir,
        "--dbfilename",
        "dump.rdb",
        "--key-load-delay",
        "2000",
        "--loading-process-events-interval-bytes",
        "1024",
    ]);
    let result = ask(at(slow.url())).await;
    fails(&result, Reason::Loading, &["loading its data into memory"]);
}

#[tokio::test]
async fn a_replica_and_its_link() {
    let master = Redis::start(&[]);
    let replicaof = format!("127.0.0.1 {}", master.port());
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &master.port().to_string(), "--repl-timeout", "2"]);
    wait_until("the link", PATIENCE, || replica.cli(&["info", "replication"]).contains("master_link_status:up"));
    let asked = || RedisCheck { role: Some("replica".into()), ..at(replica.url()) };
    let result = ask(asked()).await;
    is(&result, Outcome::Ok, None, &["replica, PONG"]);
    assert_eq!(fact(&result, "master").replace(':', " "), replicaof);
    let result = ask(RedisCheck { role: Some("master".into()), ..at(replica.url()) }).await;
    fails(&result, Reason::Role, &["it is a replica, expected a master"]);

    // The master hangs: nothing is heard of it.
    master.signal(libc::SIGSTOP);
    wait_until("silence", PATIENCE, || !replica.cli(&["info", "replication"]).contains("master_last_io_seconds_ago:0"));
    let strict = || RedisCheck { lag_below: Some(Duration::from_millis(500)), ..asked() };
    is(&ask(strict()).await, Outcome::Warn, Some(Reason::Limit), &["its master 127.0.0.1"]);
    master.signal(libc::SIGCONT);
    master.kill();
    wait_until("the link to be down", PATIENCE, || {
        replica.cli(&["info", "replication"]).contains("master_link_status:down")
    });
    is(&ask(asked()).await, Outcome::Warn, Some(Reason::Limit), &["the link to its master", "is down"]);
    // One that serves no old data.
    replica.cli(&["config", "set", "replica-serve-stale-data", "no"]);
    fails(&ask(asked()).await, Reason::Role, &["lost its master 127.0.0.1", "serves no old data"]);
}

#[tokio::test]
async fn memory_and_saves_that_fail_are_warnings() {
    let gone = tempfile::tempdir().unwrap();
    let server = Redis::start(&["--maxmemory", "3mb", "--dir", gone.path().to_str().unwrap()]);
    server.cli(&["eval", "for i = 1, 5000 do redis.call('set', 'k' .. i, string.rep('v', 100)) end", "0"]);
    let result = ask(RedisCheck { memory_below: Some(50), ..at(server.url()) }).await;
    is(&result, Outcome::Warn, Some(Reason::Limit), &["memory used, over 50 %"]);
    // A save that cannot be written: its folder is gone.
    drop(gone);
    server.cli(&["bgsave"]);
    wait_until("the save to fail", PATIENCE, || {
        server.cli(&["info", "persistence"]).contains("rdb_last_bgsave_status:err")
    });
    let result = ask(RedisCheck { persistence: true, ..at(server.url()) }).await;
    is(&result, Outcome::Warn, Some(Reason::Limit), &["the last RDB save failed"]);
    is(&ask(at(server.url())).await, Outcome::Ok, None, &[]);
}

#[tokio::test]
async fn stopped_hung_and_something_else_are_told_apart() {
    let server = Redis::start(&[]);
    server.signal(libc::SIGSTOP);
    let result = look_for(kind(at(server.url())), Duration::from_millis(400)).await;
    fails(&result, Reason::TimeoutHeaders, &["connected to 127.0.0.1", "then no answer"]);
    server.kill();
    fails(&ask(at(server.url())).await, Reason::Refused, &["connection refused by 127.0.0.1"]);
    fails(&ask(at("unix:/no/such/redis.sock")).await, Reason::Refused, &["/no/such/redis.sock does not exist"]);
    let full = Swallower::new();
    let result = look_for(kind(at(format!("redis://127.0.0.1:{}/", full.port()))), Duration::from_millis(400)).await;
    fails(&result, Reason::TimeoutConnect, &["timed out connecting"]);
    fails(
        &look_for(kind(at("redis://redis.invalid/")), Duration::from_secs(30)).await,
        Reason::Dns,
        &["redis.invalid"],
    );
    let web = HttpScript::start(vec![Answer::status(400)]);
    let result = look_for(kind(at(format!("redis://127.0.0.1:{}/", web.port()))), Duration::from_secs(2)).await;
    assert_eq!(result.outcome, Outcome::Fail, "{result:?}");
    let result = look_for(kind(at(format!("rediss://127.0.0.1:{}/", free_port()))), Duration::from_secs(2)).await;
    fails(&result, Reason::Refused, &[]);
    let clients = Redis::start(&["--maxclients", "1"]);
    let _held = std::net::TcpStream::connect(("127.0.0.1", clients.port())).unwrap();
    wait_until("the only place to be taken", PATIENCE, || {
        clients.raw("PING\r\n").is_some_and(|a| a.starts_with("-ERR max"))
    });
    // Redis closes right after its answer: the answer may be lost with the connection, and then that is what is told.
    let told = ask(at(clients.url())).await;
    if told.reason != Some(Reason::Protocol) {
        fails(&told, Reason::Limit, &["no connection left"]);
    }
}

#[test]
fn bad_addresses_are_refused_without_repeating_them() {
    for (bad, word) in [
        (at("http://:hunter22@h/"), "redis://"),
        (at("redis://:hunter22@h:port/"), "redis://"),
        (at("rediss://h/#insecure"), "not supported"),
        (RedisCheck { role: Some("leader".into()), ..at("redis://h/") }, "master or replica"),
    ] {
        let Err(why) = mayday::probe::prepare(&check(kind(bad)), &env()) else { panic!("{word}") };
        assert!(why.contains(word) && !why.contains("hunter22"), "{why}");
    }
}
