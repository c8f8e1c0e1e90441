//! `pg_amcheck` on the side copy: what it finds ends the restore, and it changes nothing.

use mayday::domain::run::Checked;

use crate::kit::{Desk, check, restore_of, test_of};
use crate::pg_restore::{databases, dump, make_app};
use crate::support::Postgres;
use crate::support::postgres::bin;

/// An order that is one while pg_restore builds the index and the other when anyone looks: what a faulty collation of a
/// new C library does to an index, at hand.
const TWO_FACED: &str = r#"
create function public.two_faced(int, int) returns int language sql immutable as
  $f$ select case when current_setting('check_function_bodies') = 'off' then btint4cmp($1, $2) else btint4cmp($2, $1) end $f$;
create operator class public.two_faced_ops for type int using btree as
  operator 1 < (int, int), operator 2 <= (int, int), operator 3 = (int, int), operator 4 >= (int, int), operator 5 > (int, int),
  function 1 public.two_faced(int, int);
create table public.ledger (id int); insert into public.ledger select generate_series(1, 300);
create index ledger_faced on public.ledger using btree (id public.two_faced_ops);
"#;

#[test]
fn a_sound_copy_is_proven_and_not_changed_by_it() {
    let server = Postgres::start();
    make_app(&server, "app");
    // It would tell of every extension that is made in the copy.
    server.psql(
        "app",
        "create function tell() returns event_trigger language plpgsql as $f$ begin raise exception 'an extension is made'; end $f$;
         create event trigger told on ddl_command_start when tag in ('CREATE EXTENSION', 'DROP EXTENSION') execute function tell()",
    );
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let planned = desk.plan(&restore_of(&copy));
    assert_eq!(check(&planned.plan, "tool pg_amcheck").0, Checked::Passed);
    let ended = desk.execute(planned);
    let said = ended.verified();
    assert!(said.contains("pg_amcheck: 4 tables and 2 B-tree indexes sound; not proven:"), "{said}");
    let extensions = "select string_agg(extname, ',' order by extname) from pg_extension";
    assert_eq!(server.psql(&ended.side().name, extensions), server.psql("app", extensions));
    // A copy that brings the extension along keeps it.
    server.psql("app", "drop event trigger told; create extension amcheck");
    let copy = dump(&server, &mut desk, "app", "sql");
    let ended = desk.run(&restore_of(&copy));
    assert!(ended.verified().contains("pg_amcheck: 4 tables"), "{}", ended.verified());
    assert!(server.psql(&ended.side().name, extensions).contains("amcheck"));
}

#[test]
fn damage_ends_the_restore_and_names_the_relation() {
    let server = Postgres::start();
    make_app(&server, "app");
    server.psql("app", TWO_FACED);
    let mut desk = Desk::postgres(&server, "app", &["select count(*) = 500 from users"]);
    let copy = dump(&server, &mut desk, "app", "custom");
    for work in [restore_of(&copy), test_of(&copy)] {
        let ended = desk.run(&work);
        let error = ended.error();
        assert!(error.contains("damage in btree index public.ledger_faced (ERROR:"), "{error}");
        assert!(error.contains("app is untouched and the side copy was removed"), "{error}");
        assert_eq!(databases(&server, "app"), ["app"]);
    }
    // Whoever does not want it is not held up by it, and is told.
    desk.configure_pg(|r| r.amcheck = Some(false));
    let said = desk.run(&restore_of(&copy)).verified();
    assert!(said.contains("pages and indexes were not checked: `amcheck = false`"), "{said}");
}

#[test]
fn without_the_program_it_is_said_and_where_it_was_asked_for_it_blocks() {
    let server = Postgres::start();
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let tools = desk.dir.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink(bin("pg_restore"), tools.join("pg_restore")).unwrap();
    desk.ctx.tool_path = Some(tools.into());
    let planned = desk.plan(&restore_of(&copy));
    let (result, detail) = check(&planned.plan, "tool pg_amcheck");
    assert!(result == Checked::Warned && detail.contains("there is no pg_amcheck"), "{detail}");
    let said = desk.execute(planned).verified();
    assert!(said.contains("pages and indexes were not checked: there is no pg_amcheck"), "{said}");
    desk.configure_pg(|r| r.amcheck = Some(true));
    let plan = desk.plan(&restore_of(&copy)).plan;
    let (result, detail) = check(&plan, "tool pg_amcheck");
    assert!(result == Checked::Failed && detail.contains("`amcheck = true` asks for it"), "{detail}");
}
