//! The live database is gone: what it was like comes from the copy, or from what was seen of it, or is said to be missing.

use mayday::domain::run::{Checked, Work};

use crate::kit::{Desk, Ended, check, restore_of};
use crate::pg_restore::{comment, content, dump, make_app, properties};
use crate::support::Postgres;

fn cut_over(desk: &mut Desk, restored: &Ended) -> Ended {
    desk.run(&Work::CutOver { of: restored.id.clone() })
}

/// Another role than the superuser, who would get in anywhere.
fn enters(server: &Postgres, role: &str, database: &str) -> Result<String, String> {
    server.try_psql(&format!("user={role} dbname={database}"), "select current_user")
}

#[test]
fn a_lost_database_gets_back_what_the_copy_says_of_it() {
    let server = Postgres::start();
    make_app(&server, "app");
    server.psql("postgres", "alter role app_rw login");
    let (before, like) = (content(&server, "app"), properties(&server, "app"));
    for form in ["custom", "custom.gz", "directory", "tar", "create.sql"] {
        let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
        let copy = if form == "create.sql" {
            let path = desk.copy_path(form);
            assert!(server.tool("pg_dump").args(["-C", "-d", "app", "-f"]).arg(path).status().unwrap().success());
            desk.list(form);
            form.to_owned()
        } else {
            dump(&server, &mut desk, "app", form)
        };
        server.psql("postgres", "drop database app");
        let planned = desk.plan(&restore_of(&copy));
        let (result, detail) = check(&planned.plan, "live database");
        assert!(result == Checked::Warned && detail.contains("owner app_owner"), "{form}: {detail}");
        assert!(detail.contains("connection limit 50") && !detail.contains("does not say"), "{form}: {detail}");
        let shown: Vec<String> = planned.plan.phases.iter().flat_map(|p| p.step.shown()).collect();
        assert!(shown.iter().any(|s| s.contains("CONNECTION LIMIT 50")), "{form}: {shown:#?}");
        let restored = desk.execute(planned);
        restored.verified();
        assert!(comment(&server, &restored.side().name).ends_with(": ready"), "{form}");
        let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
        assert_eq!(check(&planned.plan, "properties").0, Checked::Passed, "{form}");
        let said = desk.execute(planned).verified();
        assert!(!said.contains("NOT as it was"), "{form}: {said}");
        assert_eq!((content(&server, "app"), properties(&server, "app")), (before.clone(), like.clone()), "{form}");
        assert_eq!(comment(&server, "app"), "it's prod", "{form}");
        assert_eq!(enters(&server, "app_rw", "app").as_deref(), Ok("app_rw"), "{form}");
    }
}

#[test]
fn what_a_plain_dump_does_not_say_is_named_before_and_after_and_others_get_in() {
    let server = Postgres::start();
    make_app(&server, "app");
    server.psql("postgres", "create role guest login");
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(&server, &mut desk, "app", "sql");
    server.psql("postgres", "drop database app");
    let planned = desk.plan(&restore_of(&copy));
    let (result, detail) = check(&planned.plan, "live database");
    assert!(result == Checked::Warned, "{detail}");
    for what in ["owner", "privileges", "connection limit", "settings", "comment"] {
        assert!(detail.contains(what), "{what}: {detail}");
    }
    let restored = desk.execute(planned);
    assert!(restored.verified().contains("the copy does not say its owner"), "{}", restored.verified());
    let side = restored.side().name;
    assert!(enters(&server, "guest", &side).is_err(), "nobody is let in before the cut-over");
    let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
    let (result, detail) = check(&planned.plan, "properties");
    assert!(result == Checked::Warned && detail.contains("nothing says its owner"), "{detail}");
    assert!(planned.plan.effects.iter().any(|e| e.contains("will lack")), "{:?}", planned.plan.effects);
    let shown: Vec<String> = planned.plan.phases.iter().flat_map(|p| p.step.shown()).collect();
    assert!(shown.iter().any(|s| s.ends_with("TO \"postgres\"")) && !shown.join(";").contains("\"\""), "{shown:#?}");
    let said = desk.execute(planned).verified();
    assert!(said.starts_with("app is NOT as it was: nothing says its owner"), "{said}");
    assert_eq!(enters(&server, "guest", "app").as_deref(), Ok("guest"), "as PostgreSQL's default");
    assert_eq!(comment(&server, "app"), "", "mayday's own words are off it");
}

#[test]
fn lost_between_the_restore_and_the_cut_over_it_gets_what_it_had_when_it_was_restored() {
    let server = Postgres::start();
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(&server, &mut desk, "app", "sql.gz");
    server.psql("postgres", "alter database app set work_mem to '33MB'; comment on database app is 'new words'");
    let like = properties(&server, "app");
    let restored = desk.run(&restore_of(&copy));
    server.psql("postgres", "alter database app rename to app_lost");
    let said = cut_over(&mut desk, &restored).verified();
    assert!(!said.contains("NOT as it was"), "{said}");
    assert_eq!(properties(&server, "app"), like);
    assert_eq!(comment(&server, "app"), "new words");
}

#[test]
fn what_the_server_refuses_is_named_and_the_rest_is_given() {
    let server = Postgres::start();
    make_app(&server, "app");
    server.psql("postgres", "create role leaver; grant connect on database app to leaver");
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(&server, &mut desk, "app", "custom");
    server.psql("postgres", "drop database app");
    server.psql("postgres", "drop role leaver");
    let restored = desk.run(&restore_of(&copy));
    let said = cut_over(&mut desk, &restored).verified();
    assert!(said.contains("NOT as it was") && said.contains("role \"leaver\" does not exist"), "{said}");
    let limit = "select datconnlimit, pg_get_userbyid(datdba) from pg_database where datname = 'app'";
    assert_eq!(server.psql("postgres", limit), "50|app_owner");
    assert_eq!(comment(&server, "app"), "it's prod");

    // Whose it was is needed before anything is made.
    server.psql("postgres", "drop database app");
    server.psql("postgres", "reassign owned by app_owner to postgres; alter role app_owner rename to gone_owner");
    let plan = desk.plan(&restore_of(&copy)).plan;
    let (result, detail) = check(&plan, "roles and extensions");
    assert!(result == Checked::Failed && detail.contains("CREATE ROLE \"app_owner\""), "{detail}");
}

/// Who provides the locale of a database, and which one it is.
fn locale(server: &Postgres, name: &str) -> String {
    let major: u32 =
        server.psql("postgres", "select current_setting('server_version_num')::int / 10000").parse().unwrap();
    let column = if major > 16 { "datlocale" } else { "daticulocale" };
    let sql =
        "select datlocprovider, pg_encoding_to_char(encoding), datcollate, datctype, coalesce($, '') from pg_database";
    server.psql("postgres", &format!("{} where datname = '{name}'", sql.replace('$', column)))
}

#[test]
fn a_side_copy_sorts_as_the_live_one_did_also_when_that_is_gone() {
    let server = Postgres::start();
    for (name, with) in [
        ("sorted", "locale_provider icu icu_locale 'de-AT'"),
        ("plain", "locale_provider libc lc_collate 'C' lc_ctype 'C' encoding 'LATIN1'"),
    ] {
        server.psql("postgres", &format!("create database {name} template template0 {with}"));
        server.psql(name, "create table users as select g as id, 'n' || g as name from generate_series(1, 500) g");
        let was = locale(&server, name);
        let mut desk = Desk::postgres(&server, name, &["select count(*) = 500 from users"]);
        let copy = dump(&server, &mut desk, name, "custom");
        for lost in [false, true] {
            if lost {
                server.psql("postgres", &format!("drop database {name}"));
            }
            let planned = desk.plan(&restore_of(&copy));
            let shown: Vec<String> = planned.plan.phases.iter().flat_map(|p| p.step.shown()).collect();
            assert!(shown.iter().any(|s| s.to_lowercase().contains(&with[..19])), "{shown:#?}");
            let restored = desk.execute(planned);
            restored.verified();
            assert_eq!(locale(&server, &restored.side().name), was, "{name}, lost: {lost}");
            cut_over(&mut desk, &restored).verified();
            assert_eq!(locale(&server, name), was, "{name}, lost: {lost}");
        }
    }
}
