//! Restores of every kind of dump, from the plan to ready, and what they leave.

use std::process::Command;

use mayday::domain::run::{Checked, Risk, SideRole};

use crate::kit::{Desk, check, restore_of, test_of};
use crate::support::postgres::{PASSWORD, bin};
use crate::support::{PgOptions, Postgres, TestCa};

/// Tables with text, numbers, an index, a sequence, a view, a function, a large object and an owner of its own.
pub const SCHEMA: &str = r#"
create extension citext;
create table users (id serial primary key, name citext not null, note text, at timestamptz default now());
create table "Odd;Table" ("a\b" text, b bytea);
create index on users (note);
create view v as select id from users;
create function f(int) returns int language sql as $f$ select $1 + 1; -- DROP DATABASE app;
$f$;
create table parts (id int, v text) partition by range (id);
create table parts_1 partition of parts for values from (0) to (1000);
create table parts_2 partition of parts for values from (1000) to (2000);
comment on table users is 'it''s \ the ; users';
insert into users (name, note) select 'User' || n, repeat('x', n % 50) || E'\t\\connect app\n' || n from generate_series(1, 500) n;
insert into "Odd;Table" values (E'\\.', '\x00ff'), (null, null), ('', '');
insert into parts select n, 'p' || n from generate_series(0, 1999) n;
select lo_from_bytea(4711, 'large');
analyze;
"#;

/// A database with data and with everything that a dump of it leaves out.
pub fn make_app(server: &Postgres, name: &str) {
    let quoted = quote(name);
    // The role is of the whole server, and tests run side by side.
    let _ = server.try_psql("postgres", "create role app_rw");
    let _ = server.try_psql("postgres", "create role app_owner");
    server.create_db(name);
    psql(server, name, SCHEMA);
    psql(server, name, "alter table users owner to app_owner; grant select on users to app_rw");
    server.psql(
        "postgres",
        &format!(
            "alter database {quoted} owner to app_owner;
             alter database {quoted} connection limit 50;
             alter database {quoted} set statement_timeout to '7s';
             alter database {quoted} set search_path to \"$user\", public, 'odd, name';
             alter role app_rw in database {quoted} set work_mem to '64MB';
             revoke connect on database {quoted} from public;
             grant connect on database {quoted} to app_rw with grant option;
             comment on database {quoted} is 'it''s prod';"
        ),
    );
}

/// SQL in a database of any name: a bare one with `=` in it would be read as a connection string.
#[track_caller]
pub fn psql(server: &Postgres, name: &str, sql: &str) -> String {
    server.psql(&format!("dbname='{}'", name.replace('\\', "\\\\").replace('\'', "\\'")), sql)
}

pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Everything in a database that a person would miss.
pub fn content(server: &Postgres, name: &str) -> String {
    psql(
        server,
        name,
        r#"select md5(string_agg(t::text, '|' order by id)) from users t;
           select count(*), md5(string_agg(t::text, '|' order by t::text)) from "Odd;Table" t;
           select count(*), sum(id) from parts; select count(*) from v; select f(1); select last_value from users_id_seq;
           select lo_get(4711); select obj_description('users'::regclass);
           select tableowner from pg_tables where tablename = 'users'; select relacl from pg_class where relname = 'users'"#,
    )
}

/// Owner, privileges, limit, comment and settings of a database.
pub fn properties(server: &Postgres, name: &str) -> String {
    let name = name.replace('\'', "''");
    server.psql(
        "postgres",
        &format!(
            "select pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, datallowconn
               from pg_database where datname = '{name}';
             select g.rolname, a.privilege_type, a.is_grantable from pg_database d,
                    lateral aclexplode(coalesce(datacl, acldefault('d', datdba))) a left join pg_roles g on g.oid = a.grantee
              where datname = '{name}' order by 1, 2, 3;
             select r.rolname, s.setconfig from pg_database d join pg_db_role_setting s on s.setdatabase = d.oid
               left join pg_roles r on r.oid = s.setrole where datname = '{name}' order by 1, 2"
        ),
    )
}

pub fn comment(server: &Postgres, name: &str) -> String {
    let name = name.replace('\'', "''");
    server.psql(
        "postgres",
        &format!("select shobj_description(oid, 'pg_database') from pg_database where datname = '{name}'"),
    )
}

/// Databases whose name begins like this.
pub fn databases(server: &Postgres, begin: &str) -> Vec<String> {
    let begin = begin.replace('\'', "''");
    let sql = format!("select datname from pg_database where starts_with(datname, '{begin}') order by 1");
    server.psql("postgres", &sql).lines().map(str::to_owned).collect()
}

/// Dumps a database in one of the forms into a copy of the desk. Names end as they would.
pub fn dump(server: &Postgres, desk: &mut Desk, database: &str, form: &str) -> String {
    let name = match form {
        "custom" => "app.dump".to_owned(),
        "custom.gz" => "app.dump.gz".into(),
        "directory" => "app.dir".into(),
        "tar" => "app.tar".into(),
        plain => format!("app.{plain}"),
    };
    let path = desk.copy_path(&name);
    let (flag, packer) = match form {
        "custom" => ("-Fc", None),
        "custom.gz" => ("-Fc", Some("gzip -c")),
        "directory" => ("-Fd", None),
        "tar" => ("-Ft", None),
        "sql" => ("-Fp", None),
        "sql.gz" => ("-Fp", Some("gzip -c")),
        "sql.zst" => ("-Fp", Some("zstd -qc")),
        other => panic!("{other}"),
    };
    let mut command = server.tool("pg_dump");
    command.args([flag, "-d", &format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))]);
    if form == "directory" {
        command.args(["-j", "2"]);
    }
    match packer {
        None => {
            command.arg("-f").arg(&path);
        }
        Some(packer) => {
            let raw = desk.dir.path().join("raw");
            command.arg("-f").arg(&raw);
            let done = command.output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let packed =
                Command::new("sh").arg("-c").arg(format!("{packer} {} > {}", raw.display(), path.display())).status();
            assert!(packed.unwrap().success());
            std::fs::remove_file(raw).unwrap();
            desk.list(&name);
            return name;
        }
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    desk.list(&name);
    name
}

#[test]
fn every_kind_of_dump_becomes_a_ready_side_copy_with_the_same_content() {
    let server = Postgres::start();
    make_app(&server, "app");
    let (before, like) = (content(&server, "app"), properties(&server, "app"));
    for form in ["custom", "custom.gz", "directory", "tar", "sql", "sql.gz", "sql.zst"] {
        let verify = ["select count(*) = 500 from users", "select true"];
        let mut desk = Desk::postgres(&server, "app", &verify);
        let copy = dump(&server, &mut desk, "app", form);
        let planned = desk.plan(&restore_of(&copy));
        let plan = &planned.plan;
        assert_eq!(plan.blockers().count(), 0, "{form}: {:?}", plan.preconditions);
        assert_eq!((plan.risk, plan.target.as_str()), (Risk::Disruptive, "app"));
        let text = serde_json::to_string(plan).unwrap();
        assert!(!text.contains(PASSWORD), "no secret in a plan");
        let ended = desk.execute(planned);
        let said = ended.verified();
        assert!(said.contains("2 queries true") && said.contains("ready to cut over"), "{form}: {said}");
        assert!(said.contains("2503 rows"), "{form}: {said}");
        let side = ended.side();
        assert_eq!((side.role, side.live.as_str()), (SideRole::Ready, "app"), "{form}");
        assert!(side.size > 1_000_000, "{form}: {}", side.size);
        assert_eq!(content(&server, &side.name), before, "{form}");
        assert_eq!(properties(&server, &side.name), like, "{form}");
        let statistics = "select count(*) > 0 from pg_stats where tablename = 'users'";
        assert_eq!(server.psql(&side.name, statistics), "t", "{form} was analyzed");
        assert!(comment(&server, &side.name).ends_with(": ready"), "{form}");
        assert_eq!((content(&server, "app"), properties(&server, "app")), (before.clone(), like.clone()), "{form}");
        assert!(ended.open().is_none() && !ended.output().contains(PASSWORD), "{form}");
        let told = ended.sink.told.lock().unwrap();
        assert!(told.progress.iter().all(|(done, total, _)| *total == 0 || done <= total), "{form}");
    }
}

#[test]
fn test_mode_proves_and_leaves_nothing() {
    let server = Postgres::start();
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let ended = desk.run(&test_of(&copy));
    assert!(ended.verified().contains("proven"), "{}", ended.verified());
    assert_eq!(databases(&server, "app"), ["app"]);
    assert!(ended.sink.told.lock().unwrap().sides.is_empty() && ended.open().is_none());
}

#[test]
fn odd_names_are_names() {
    let server = Postgres::start();
    let long = "d".repeat(63);
    for name in ["Upper Case", "qu\"ote", "it's", "dbname=x", "postgres://x", "back\\slash", long.as_str(), "ä€"] {
        make_app(&server, name);
        let before = content(&server, name);
        let mut desk = Desk::postgres(&server, name, &["select count(*) = 500 from users"]);
        let form = if name.len() % 2 == 0 { "custom" } else { "sql" };
        let copy = dump(&server, &mut desk, name, form);
        let restored = desk.run(&restore_of(&copy));
        restored.verified();
        let side = restored.side();
        assert!(side.name.len() <= 63, "{}", side.name);
        let cut = desk.run(&mayday::domain::run::Work::CutOver { of: restored.id.clone() });
        cut.verified();
        assert_eq!(cut.plan.target, name);
        assert_eq!(content(&server, name), before, "{name}");
        assert_eq!(comment(&server, name), "it's prod");
        let undone = desk.run(&mayday::domain::run::Work::Undo { of: cut.id.clone() });
        undone.verified();
        assert_eq!(content(&server, name), before, "{name}");
        let gone = desk.run(&mayday::domain::run::Work::Drop { of: undone.id.clone() });
        gone.verified();
        let sql = format!("select count(*) from pg_database where datname like '%{}%'", restored.id);
        assert_eq!(server.psql("postgres", &sql), "0", "{name}");
        server.psql("postgres", &format!("drop database {}", quote(name)));
    }
}

#[test]
fn a_lost_database_is_made_again_from_what_the_archive_says() {
    let server = Postgres::start();
    make_app(&server, "app");
    let before = content(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(&server, &mut desk, "app", "custom");
    server.psql("postgres", "drop database app");
    let planned = desk.plan(&restore_of(&copy));
    let (result, detail) = check(&planned.plan, "live database");
    assert!(result == Checked::Warned && detail.contains("does not exist"), "{detail}");
    let restored = desk.execute(planned);
    restored.verified();
    let cut = desk.run(&mayday::domain::run::Work::CutOver { of: restored.id.clone() });
    cut.verified();
    assert_eq!(content(&server, "app"), before);
    assert_eq!(
        server.psql("postgres", "select pg_get_userbyid(datdba) from pg_database where datname = 'app'"),
        "app_owner"
    );
    assert_eq!(databases(&server, "app"), ["app"]);
}

#[test]
fn a_plain_dump_of_create_and_connect_goes_beside_and_not_into_the_live_database() {
    let server = Postgres::start();
    make_app(&server, "app");
    let (before, like) = (content(&server, "app"), properties(&server, "app"));
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let path = desk.copy_path("app.sql");
    let done = server.tool("pg_dump").args(["-C", "-d", "app", "-f"]).arg(&path).output().unwrap();
    assert!(done.status.success());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\\connect") && text.contains("CREATE DATABASE app"), "this is the dangerous kind");
    // What it does to the live one would show.
    server.psql("app", "delete from users where id > 400");
    server.psql("postgres", "alter database app set work_mem to '33MB'");
    let (changed, unlike) = (content(&server, "app"), properties(&server, "app"));
    desk.list("app.sql");
    let ended = desk.run(&restore_of("app.sql"));
    ended.verified();
    assert_eq!(content(&server, &ended.side().name), before);
    assert_eq!((content(&server, "app"), properties(&server, "app")), (changed, unlike.clone()));
    assert_ne!(like, unlike);
    assert_eq!(properties(&server, &ended.side().name), unlike, "the live one's present properties are carried over");

    let all = desk.copy_path("all.sql");
    let done = server.tool("pg_dumpall").arg("-f").arg(&all).output().unwrap();
    assert!(done.status.success());
    desk.list("all.sql");
    let plan = desk.plan(&restore_of("all.sql")).plan;
    let (result, detail) = check(&plan, "copy readable");
    assert!(result == Checked::Failed && detail.contains("pg_dumpall"), "{detail}");
}

#[test]
fn the_plan_says_what_it_costs_and_shows_the_commands() {
    let server = Postgres::start();
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(&server, &mut desk, "app", "custom");
    desk.list("app.dump");
    let plan = desk.plan(&restore_of(&copy)).plan;
    assert!((7_200_000..7_300_000).contains(&plan.data_lost_ms.unwrap()), "{:?}", plan.data_lost_ms);
    assert_eq!((plan.rpo_ms, plan.expected_ms), (Some(3_600_000), None));
    let effects = plan.effects.join("\n");
    assert!(effects.contains("over by 1h") && effects.contains("creates database app__restore_"), "{effects}");
    assert!(plan.holds.contains(&format!("database 127.0.0.1:{}/app", server.port())), "{:?}", plan.holds);
    let shown: Vec<String> = plan.phases.iter().flat_map(|p| p.step.shown()).collect();
    let load = shown.iter().find(|l| l.contains("--jobs=2")).unwrap_or_else(|| panic!("{shown:?}"));
    assert!(load.contains("PGPASSWORD=***") && load.contains(&bin("pg_restore").display().to_string()), "{load}");
    assert!(shown.iter().any(|l| l.contains("CREATE DATABASE \"app__restore_")), "{shown:?}");
    for name in
        ["server", "role", "tool pg_restore", "copy readable", "disk", "name free", "versions", "roles and extensions"]
    {
        assert_eq!(check(&plan, name).0, Checked::Passed, "{name}: {}", check(&plan, name).1);
    }
    desk.run(&restore_of(&copy)).verified();
    let again = desk.plan(&restore_of(&copy)).plan;
    assert!(again.expected_ms.is_some_and(|ms| ms > 0) && again.expected_from == 1, "{:?}", again.expected_ms);
}

#[test]
fn a_server_behind_a_certificate_of_ones_own_authority_is_reached_by_mayday_and_the_tools_alike() {
    let ca = TestCa::new();
    let server = Postgres::start_with(PgOptions::default().tls(ca.localhost()));
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &["select ssl from pg_stat_ssl where pid = pg_backend_pid()"]);
    let file = desk.dir.path().join("ca.pem");
    std::fs::write(&file, ca.pem()).unwrap();
    let port = server.port();
    desk.configure_pg(|r| {
        let dsn = format!("postgres://postgres@localhost:{port}/postgres?sslmode=verify-full");
        r.dsn = mayday::config::MaybeSecret::Plain(dsn);
        r.extra_ca = vec![file.clone()];
    });
    for form in ["custom", "sql"] {
        let copy = dump(&server, &mut desk, "app", form);
        desk.run(&restore_of(&copy)).verified();
    }
    // An authority that nobody knows: said while planning, and by nobody let through.
    let other = desk.dir.path().join("other.pem");
    std::fs::write(&other, TestCa::new().pem()).unwrap();
    desk.configure_pg(|r| r.extra_ca = vec![other]);
    let plan = desk.plan(&restore_of("app.dump")).plan;
    let (result, detail) = check(&plan, "server");
    assert!(result == Checked::Failed && detail.contains("certificate"), "{detail}");
}

#[test]
fn a_database_in_a_tablespace_and_locale_of_its_own_gets_a_side_copy_like_itself() {
    let server = Postgres::start();
    let space = server.data_dir().parent().unwrap().join("space");
    std::fs::create_dir(&space).unwrap();
    let own = std::os::unix::fs::MetadataExt::uid(&server.data_dir().metadata().unwrap());
    std::os::unix::fs::chown(&space, Some(own), None).unwrap();
    server.psql("postgres", &format!("create tablespace fast location '{}'", space.display()));
    server.psql("postgres", "create database app template template0 encoding 'LATIN1' locale 'C' tablespace fast");
    server.psql("app", "create table users (id int, name text); insert into users values (1, 'gr' || chr(252) || 'n')");
    let mut desk = Desk::postgres(&server, "app", &["select name = 'grün' from users"]);
    let copy = dump(&server, &mut desk, "app", "sql.gz");
    let restored = desk.run(&restore_of(&copy));
    restored.verified();
    let like = "select pg_encoding_to_char(encoding), datcollate, (select spcname from pg_tablespace t where t.oid = dattablespace)
                  from pg_database where datname = ";
    let of = |name: &str| server.psql("postgres", &format!("{like}'{name}'"));
    assert_eq!(of(&restored.side().name), "LATIN1|C|fast");
    assert_eq!(of("app"), "LATIN1|C|fast");
}
