//! What a starter is made of.

use super::*;
use mayday::config::starter::starter;
use mayday::survey::ports::{self, Listening, parse_cgroup, parse_table};
use mayday::survey::servers;
use mayday::survey::units::{self, parse_containers, parse_fragments, parse_units};
use mayday::survey::{Survey, survey};
use std::io::Write;
use std::time::Instant;

const DAY: Duration = Duration::from_secs(86_400);

/// proc_pid_net(5), Linux 6.1, little-endian: two that listen, one connection.
const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   112        0 21487 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20011 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1538 0100007F:A1B2 01 00000000:00000000 02:0000A5C0 00000000   112        0 30001 2 0000000000000000 20 4 30 10 -1
   garbage
";

const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41000 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   112        0 21486 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41002 1 0000000000000000 100 0 0 10 0
";

#[test]
#[cfg(target_endian = "little")]
fn tables_of_listening_sockets() {
    let brief = |table: &str| -> Vec<String> {
        parse_table(table).iter().map(|s| format!("{} {} {}", s.address, s.port, s.inode)).collect()
    };
    assert_eq!(brief(TCP), ["127.0.0.1 5432 21487", "0.0.0.0 22 20011"]);
    assert_eq!(brief(TCP6), [":: 8080 41000", "::1 5432 21486", "127.0.0.1 3000 41002"]);
    assert_eq!(brief(""), Vec::<String>::new());
}

#[test]
fn whose_a_process_is() {
    let id = "3f4e1c9a".repeat(8);
    for (text, unit, container) in [
        ("0::/system.slice/nginx.service\n".to_owned(), Some("nginx.service"), None),
        (
            "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n".to_owned(),
            Some("postgresql@15-main.service"),
            None,
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/api.service\n".to_owned(),
            Some("api.service"),
            None,
        ),
        ("0::/user.slice/user-1000.slice/session-3.scope\n".to_owned(), None, None),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n".to_owned(), None, None),
        (format!("0::/system.slice/docker-{id}.scope\n"), None, Some(id.as_str())),
        (format!("12:memory:/docker/{id}\n1:name=systemd:/docker/{id}\n"), None, Some(id.as_str())),
        (format!("0::/system.slice/containerd.service/{id}\n"), None, Some(id.as_str())),
        ("0::/\n".to_owned(), None, None),
        ("nonsense".to_owned(), None, None),
    ] {
        let (u, c) = parse_cgroup(&text);
        assert_eq!((u.as_deref(), c.as_deref()), (unit, container), "{text}");
    }
}

#[test]
fn ports_with_their_owners() {
    let pretend = Pretend::new();
    let any = hex(Ipv4Addr::UNSPECIFIED);
    let loopback = hex(Ipv4Addr::LOCALHOST);
    pretend.listener(70, "nginx", &any, 80, "0::/system.slice/nginx.service\n");
    pretend.listener(71, "nginx", &any, 80, "0::/system.slice/nginx.service\n");
    pretend.listener(80, "node\u{1b}[2J", &loopback, 3000, "0::/\n");
    pretend.listener(0, "", &hex(Ipv4Addr::new(10, 0, 0, 5)), 9000, "");
    let found = ports::listening(&pretend.host());
    let brief: Vec<_> =
        found.iter().map(|p| (p.port, p.loopback, p.local, p.process.as_deref(), p.unit.as_deref())).collect();
    assert_eq!(
        brief,
        [
            (80, false, true, Some("nginx"), Some("nginx.service")),
            (3000, true, true, Some("node·[2J"), None),
            (9000, false, false, None, None),
        ]
    );
    assert!(ports::listening(&Pretend::new().host()).is_empty(), "no /proc at all");
}

/// systemd 252, `systemctl list-units --type=service --state=running --output=json`.
const UNITS: &str = r#"[{"unit":"api.service","load":"loaded","active":"active","sub":"running","description":"The API"},
{"unit":"cron.service","load":"loaded","active":"active","sub":"running","description":"Regular background program processing daemon"},
{"unit":"nginx.service","load":"loaded","active":"active","sub":"running","description":"A high performance web server"},
{"unit":"odd.service","load":"loaded","active":"active","sub":"running","description":"\u001b[31mred"},
{"unit":"x.mount","load":"loaded","active":"active","sub":"mounted","description":"no service"}]"#;

const FRAGMENTS: &str = "Id=api.service\nFragmentPath=/etc/systemd/system/api.service\n\n\
Id=cron.service\nFragmentPath=/lib/systemd/system/cron.service\n\n\
Id=nginx.service\nFragmentPath=/lib/systemd/system/nginx.service\n";

#[test]
fn answers_of_systemctl() {
    let units = parse_units(UNITS);
    let names: Vec<_> = units.iter().map(|u| (u.name.as_str(), u.description.as_str())).collect();
    assert_eq!(names[0], ("api.service", "The API"));
    assert_eq!(names[3], ("odd.service", "·[31mred"));
    assert_eq!(names.len(), 4);
    assert!(parse_units("Failed to connect to bus").is_empty());
    assert_eq!(
        parse_fragments(FRAGMENTS)[1],
        ("cron.service".to_owned(), "/lib/systemd/system/cron.service".to_owned())
    );
    assert!(units::is_of_the_system("systemd-journald.service") && !units::is_of_the_system("api.service"));
}

/// Docker 24, `docker ps --no-trunc --format '{{json .}}'`.
const CONTAINERS: &str = r#"{"Command":"\"docker-entrypoint.s…\"","CreatedAt":"2026-11-01 10:00:00 +0000 UTC","ID":"3f4e1c9a3f4e1c9a3f4e1c9a3f4e1c9a3f4e1c9a3f4e1c9a3f4e1c9a3f4e1c9a","Image":"redis:7","Labels":"com.docker.compose.project=shop,com.docker.compose.project.working_dir=/srv/shop,com.docker.compose.service=cache","LocalVolumes":"1","Mounts":"shop_data","Names":"shop-cache-1","Networks":"shop","Ports":"0.0.0.0:6379->6379/tcp, :::6379->6379/tcp","RunningFor":"2 weeks ago","Size":"0B","State":"running","Status":"Up 2 weeks"}
{"ID":"aaaa","Image":"app","Names":"web,old/alias","Ports":"127.0.0.1:9000-9002->9000-9002/tcp, 53/udp, 0.0.0.0:53->53/udp","Labels":""}
not json"#;

#[test]
fn answers_of_docker() {
    let found = parse_containers(CONTAINERS);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].name.as_str(), found[0].image.as_str()), ("shop-cache-1", "redis:7"));
    assert_eq!(found[0].compose, Some((PathBuf::from("/srv/shop"), "cache".to_owned())));
    assert_eq!(found[0].ports, [6379]);
    assert_eq!((found[1].name.as_str(), found[1].compose.clone()), ("web", None));
    assert_eq!(found[1].ports, [9000, 9001, 9002]);
}

#[tokio::test]
async fn tools_are_asked_in_their_own_words() {
    let pretend = Pretend::new();
    pretend.file("units.json", UNITS);
    pretend.file("fragments", FRAGMENTS);
    pretend.file("containers", CONTAINERS);
    let at = |f: &str| pretend.dir.path().join(f).display().to_string();
    pretend.tool(
        "systemctl",
        &format!(
            "case \"$1 $2\" in --user*) exit 1;; list-units*) cat {};; show*) cat {};; esac",
            at("units.json"),
            at("fragments")
        ),
    );
    pretend.tool("docker", &format!("cat {}", at("containers")));
    let host = pretend.host();
    let (units, containers) = tokio::join!(units::running(&host), units::containers(&host));
    assert_eq!(containers.len(), 2);
    let api = units.iter().find(|u| u.name == "api.service").unwrap();
    assert!(api.of_administrator && !api.user);
    assert!(!units.iter().any(|u| u.name == "nginx.service" && u.of_administrator));
    let asked = pretend.asked("systemctl");
    assert!(
        asked.contains(&"list-units --type=service --state=running --output=json --no-pager".to_owned()),
        "{asked:?}"
    );
    let show = "show --property=Id,FragmentPath --no-pager -- api.service cron.service nginx.service odd.service";
    assert!(asked.contains(&show.to_owned()), "{asked:?}");
    assert_eq!(pretend.asked("docker"), ["ps --no-trunc --format {{json .}}"]);
}

#[tokio::test]
async fn a_host_without_anything_and_tools_that_hang() {
    let pretend = Pretend::new();
    let mut host = pretend.bare();
    let found = survey(&host).await;
    let nothing = Survey { host: found.host.clone(), ..Survey::default() };
    assert_eq!(found, nothing);
    read(&pretend, &starter(&found));

    pretend.tool("systemctl", "/bin/sleep 1000");
    pretend.tool("docker", "trap '' TERM; while :; do /bin/sleep 1; done");
    host.limit = Duration::from_millis(300);
    let began = Instant::now();
    assert_eq!(survey(&host).await, nothing);
    assert!(began.elapsed() < support::PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn ports_are_asked_what_they_speak() {
    let pretend = Pretend::new();
    let health = support::HttpScript::start(vec![support::Answer::status(404)]);
    health.route("/health", vec![support::Answer::ok("fine")]);
    let page = support::HttpScript::start(vec![support::Answer::status(404)]);
    page.route("/", vec![support::Answer::status(401)]);
    let failing = support::HttpScript::start(vec![support::Answer::status(503)]);
    let ca = support::TestCa::new();
    let tls = support::HttpScript::start_tls(vec![support::Answer::ok("x")], &ca.localhost());
    // One that greets first, as SSH and SMTP do, and one that says nothing at all.
    let greets = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let greeting = greets.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in greets.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    let silence = silent.local_addr().unwrap().port();
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let ports: Vec<Listening> = [health.port(), page.port(), failing.port(), tls.port(), greeting, silence, gone]
        .iter()
        .map(|p| Listening { port: *p, local: true, ..Listening::default() })
        .chain([Listening { port: health.port(), local: false, ..Listening::default() }])
        .collect();
    let mut host = pretend.host();
    host.limit = Duration::from_millis(800);
    let found = servers::ask(&host, &ports).await;
    let brief: Vec<_> = found.iter().map(|p| (p.port, p.http.clone(), p.tls)).collect();
    let http = |path: &str, status| Some((path.to_owned(), status));
    assert_eq!(
        brief,
        [
            (health.port(), http("/health", 200), false),
            (page.port(), http("/", 401), false),
            (failing.port(), None, false),
            (tls.port(), None, true),
            (greeting, None, false),
            (silence, None, false),
        ]
    );
}

#[tokio::test]
async fn databases_are_greeted_and_never_guessed_at() {
    let pretend = Pretend::new();
    let pg = support::Postgres::start();
    pg.create_db("shop");
    let (open, locked) = (support::Redis::start(&[]), support::Redis::start(&["--requirepass", "s3cr3t"]));
    std::fs::create_dir_all(pretend.dir.path().join("run")).unwrap();
    symlink(pg.socket_dir(), pretend.dir.path().join("run/postgresql")).unwrap();
    let port = |port: u16, process: &str, unit: &str| Listening {
        port,
        local: true,
        process: Some(process.to_owned()),
        unit: Some(unit.to_owned()),
        ..Listening::default()
    };
    let listening = [
        port(pg.port(), "postgres", "postgresql@15-main.service"),
        port(open.port(), "redis-server", "redis-server.service"),
        port(locked.port(), "redis-server", "other.service"),
        // Named like one and nothing behind it.
        port(1, "postgres", "none.service"),
        port(2, "redis-server", "none.service"),
    ];
    let found = servers::databases(&pretend.host(), &listening).await;
    assert_eq!(found.postgres.len(), 1, "by its socket and by its port it is one: {found:?}");
    let one = &found.postgres[0];
    assert_eq!(
        (one.port, one.databases.clone(), one.needs_password, one.standby),
        (pg.port(), vec!["shop".to_owned()], false, false)
    );
    assert_eq!(one.unit.as_deref(), Some("postgresql@15-main.service"));
    let redis: Vec<_> = found.redis.iter().map(|r| (r.port, r.needs_password, r.unit.as_deref())).collect();
    assert_eq!(
        redis,
        [(open.port(), false, Some("redis-server.service")), (locked.port(), true, Some("other.service"))]
    );

    // Without the socket only the port is left, and that wants a password.
    let found = servers::databases(&Pretend::new().host(), &listening[..1]).await;
    assert!(found.postgres[0].needs_password, "{found:?}");
    assert!(found.postgres[0].databases.is_empty());
}

const SQL: &[u8] = b"--\n-- PostgreSQL database dump\n--\nselect 1;\n--\n-- PostgreSQL database dump complete\n--\n";

#[tokio::test]
async fn folders_of_backups() {
    let pretend = Pretend::new();
    let at = |path: &str| pretend.dir.path().join(path);
    for day in 0..5u32 {
        write(&at(&format!("backups/pg/app-{day}.dump")), b"PGDMP\x01\x0e\x00xx", DAY * day);
        write(&at(&format!("srv/backup/www-{day}.tar.gz")), &gz(b"x"), DAY / 4 * day);
        write(&at(&format!("srv/backup/etc-{day}.tar.gz")), &gz(b"x"), DAY * 7 * day);
    }
    write(&at("home/me/backups/db.sql.gz"), &gz(SQL), DAY);
    write(&at("var/backups/dpkg.status.1.gz"), b"x", DAY);
    write(&at("var/backups/alternatives.tar.1.gz"), b"x", DAY);
    write(&at("var/backups/passwd.bak"), b"x", DAY);
    write(&at("opt/other/x.dump"), b"PGDMP", DAY);
    for label in ["20261118-020000F", "20261118-020000F_20261119-020000I", "20261118-020000F_20261120-020000I"] {
        let age = DAY * (label.len() as u32 % 3 + 1);
        write(&at(&format!("var/lib/pgbackrest/backup/main/{label}/backup.manifest")), b"[backup]", age);
    }
    let mut found = mayday::survey::folders::backups(&pretend.host()).await;
    found.sort_by(|a, b| (&a.path, &a.pattern).cmp(&(&b.path, &b.pattern)));
    let brief: Vec<_> = found
        .iter()
        .map(|f| {
            let path = f.path.strip_prefix(pretend.dir.path()).unwrap().display().to_string();
            (path, f.pattern.as_str(), f.count, f.every.map(|e| e.as_secs() / 3600), f.postgres)
        })
        .collect();
    let own = |s: &str| s.to_owned();
    assert_eq!(
        brief,
        [
            (own("backups/pg"), "*.dump", 5, Some(24), true),
            (own("home/me/backups"), "*.sql.gz", 1, None, true),
            (own("srv/backup"), "etc-*.tar.gz", 5, Some(168), false),
            (own("srv/backup"), "www-*.tar.gz", 5, Some(6), false),
            (own("var/lib/pgbackrest"), "backup/*/*/backup.manifest", 3, brief[4].3, false),
        ]
    );
    assert!(found[0].newest_age.unwrap() < DAY);
}

fn read(pretend: &Pretend, text: &str) -> mayday::config::Config {
    let path = pretend.file("mayday.toml", text);
    mayday::config::load(&path).unwrap_or_else(|f| panic!("{f:?}\n{text}"))
}

fn gz(data: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(data).unwrap();
    e.finish().unwrap()
}

/// Everything at once, and the starter made of it is one that mayday reads.
#[tokio::test]
async fn a_whole_host_becomes_a_starter() {
    let pretend = Pretend::new();
    let api = support::HttpScript::start(vec![support::Answer::ok("fine")]);
    let redis = support::Redis::start(&[]);
    let loopback = hex(Ipv4Addr::LOCALHOST);
    pretend.listener(70, "node", &loopback, api.port(), "0::/system.slice/api.service\n");
    pretend.listener(71, "redis-server", &loopback, redis.port(), "0::/system.slice/redis-server.service\n");
    pretend.listener(72, "sshd", &hex(Ipv4Addr::UNSPECIFIED), 22, "0::/system.slice/ssh.service\n");
    pretend.file("units.json", UNITS);
    pretend.file("fragments", FRAGMENTS);
    let at = |f: &str| pretend.dir.path().join(f);
    let script = format!(
        "case \"$1\" in --user) exit 1;; list-units) cat {};; show) cat {};; esac",
        at("units.json").display(),
        at("fragments").display()
    );
    pretend.tool("systemctl", &script);
    pretend.tool("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1");
    write(&at("var/backups/db.sql.gz"), &gz(SQL), DAY);
    let found = survey(&pretend.host()).await;
    assert_eq!(found.ports.len(), 1, "{:?}", found.ports);
    assert_eq!((found.ports[0].port, found.ports[0].unit.as_deref()), (api.port(), Some("api.service")));
    assert_eq!(found.redis.len(), 1);
    assert_eq!(found.units.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["api.service"]);
    assert_eq!(found.backups.len(), 1);
    let text = starter(&found);
    let config = read(&pretend, &text);
    assert!(config.services.iter().any(|s| s.name == "api"), "{text}");
    assert_eq!(config.backups.len(), 1, "{text}");
}
