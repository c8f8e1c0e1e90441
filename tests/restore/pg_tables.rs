//! Restoring single tables and schemas: what comes along, what is left out and said, and putting them beside the live ones.

use mayday::domain::run::{Checked, Risk, SideRole, Work};
use tokio_util::sync::CancellationToken;

use crate::kit::{Desk, check, killed_at, restore_of};
use crate::pg_restore::{databases, dump};
use crate::support::Postgres;

const SHOP: &str = r#"
create schema shop; create schema "odd.one";
create type shop.mood as enum ('good', 'bad');
create function shop.touch() returns trigger language plpgsql as $f$ begin return new; end $f$;
create table shop.users (id serial primary key, name text collate "C" not null, mood shop.mood default 'good', price money, unique (name));
create table shop.orders (id bigint generated always as identity primary key, user_id int references shop.users (id),
  total numeric(10, 2) check (total >= 0), twice numeric generated always as (total * 2) stored, at timestamptz default now());
create index orders_at on shop.orders (at desc, lower(user_id::text)) where total > 1;
create unique index users_lower on shop.users (lower(name));
create trigger touched before update on shop.users for each row execute function shop.touch();
create table shop.parts (id int, v text) partition by range (id);
create table shop.parts_1 partition of shop.parts for values from (0) to (10);
create table shop.parts_2 partition of shop.parts for values from (10) to (20);
create table "odd.one"."My ""Table" (a interval, b bytea, "C d" float8[]);
alter table shop.orders enable row level security;
create view shop.v as select id from shop.users;
insert into shop.users (name, mood, price) select 'u' || n, 'bad', n from generate_series(1, 200) n;
insert into shop.orders (user_id, total) select 1 + n % 200, n from generate_series(1, 1000) n;
insert into shop.parts select n, 'p' from generate_series(0, 19) n;
insert into "odd.one"."My ""Table" values ('1 day 02:03', '\x00ff', '{0.1,null,1e300}'), (null, null, null);
analyze;
"#;

fn shop(server: &Postgres) -> String {
    server.create_db("app");
    let _ = server.try_psql("postgres", "create role shop_owner");
    server.psql("app", SHOP);
    server.psql(
        "app",
        "alter table shop.users owner to shop_owner; alter default privileges grant select on tables to public",
    );
    content(server, "shop.users", "shop.orders")
}

/// Every row of both tables in the live database.
fn content(server: &Postgres, users: &str, orders: &str) -> String {
    server.psql(
        "app",
        &format!(
            "select count(*), md5(string_agg(t::text, '|' order by id)) from {users} t;
             select count(*), md5(string_agg(t::text, '|' order by id)) from {orders} t"
        ),
    )
}

fn only(copy: &str, tables: &[&str]) -> Work {
    let only = tables.iter().map(|t| (*t).to_owned()).collect();
    Work::Restore { backup: "full".into(), copy: Some(copy.to_owned()), test: false, to: None, only }
}

fn relations(server: &Postgres, database: &str) -> Vec<String> {
    let sql =
        "select format('%s.%s', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname !~ '^pg_|^information' and c.relkind in ('r', 'p', 'S', 'i', 'v', 'I') order by 1";
    server.psql(database, sql).lines().map(str::to_owned).collect()
}

#[test]
fn a_table_of_every_kind_of_archive_comes_with_what_belongs_to_it() {
    let server = Postgres::start();
    shop(&server);
    for form in ["custom", "custom.gz", "directory", "tar"] {
        let mut desk = Desk::postgres(
            &server,
            "app",
            &["select count(*) = 200 from shop.users", "select count(*) > 0 from shop.orders"],
        );
        let copy = dump(&server, &mut desk, "app", form);
        let planned = desk.plan(&only(&copy, &["shop.users"]));
        assert_eq!(check(&planned.plan, "only").0, Checked::Passed, "{form}: {}", check(&planned.plan, "only").1);
        let ended = desk.execute(planned);
        let said = ended.verified();
        assert!(said.contains("1 table, 200 rows, 1 query true, 1 query not asked"), "{form}: {said}");
        let side = ended.side().name;
        let there = relations(&server, &side);
        let wanted = ["shop.users", "shop.users_id_seq", "shop.users_lower", "shop.users_name_key", "shop.users_pkey"];
        assert_eq!(there, wanted, "{form}");
        assert_eq!(server.psql(&side, "select last_value from shop.users_id_seq"), "200");
        assert_eq!(server.psql(&side, "select tgname from pg_trigger where not tgisinternal"), "touched");
        let parts = desk.run(&only(&copy, &["shop.parts"]));
        assert_eq!(server.psql(&parts.side().name, "select count(*) from shop.parts"), "20", "{form}");
        let one = desk.run(&only(&copy, &["shop.parts_2"]));
        assert_eq!(relations(&server, &one.side().name), ["shop.parts_2"], "{form}");
        for of in [ended.id, parts.id, one.id] {
            desk.run(&Work::Drop { of }).verified();
        }
    }
}

#[test]
fn a_key_to_a_table_outside_is_left_out_and_said() {
    let server = Postgres::start();
    shop(&server);
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let planned = desk.plan(&only(&copy, &["shop.orders"]));
    let (result, detail) = check(&planned.plan, "only");
    let wanted = "foreign key orders_user_id_fkey of shop.orders points to shop.users, which is not chosen: left out";
    assert!(result == Checked::Warned && detail.contains(wanted), "{detail}");
    assert!(planned.plan.phases.iter().flat_map(|p| p.step.shown()).any(|l| l.contains("--use-list=restore.list")));
    let orders = desk.execute(planned);
    orders.verified();
    let keys = "select count(*) from pg_constraint where contype = 'f'";
    assert_eq!(server.psql(&orders.side().name, keys), "0");
    let both = desk.run(&only(&copy, &["shop.orders", "shop.users"]));
    assert_eq!(server.psql(&both.side().name, keys), "1");
    let all = desk.run(&only(&copy, &["shop.*"]));
    assert!(all.verified().contains("5 tables, 1220 rows"), "{}", all.verified());
    assert_eq!(server.psql(&all.side().name, "select count(*) from shop.v"), "200");
    assert_eq!(server.psql(&all.side().name, "select count(*) from pg_namespace where nspname = 'odd.one'"), "0");
}

#[test]
fn tables_are_put_beside_the_live_ones_and_dropped_again() {
    let server = Postgres::start();
    let was = shop(&server);
    let mut desk = Desk::postgres(&server, "app", &[]);
    // By the configuration alone.
    let names = ["shop.users", "shop.orders", "shop.parts", "\"odd.one\".\"My \"\"Table\""];
    desk.configure_pg(|r| r.only = names.map(str::to_owned).to_vec());
    let copy = dump(&server, &mut desk, "app", "custom");
    server.psql("app", "delete from shop.orders where id > 10; update shop.users set name = 'gone ' || id");
    let (now, before) = (content(&server, "shop.users", "shop.orders"), relations(&server, "app"));
    let restored = desk.run(&only(&copy, &[]));
    restored.verified();
    let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
    assert_eq!(
        (planned.plan.risk, planned.plan.blockers().count()),
        (Risk::Disruptive, 0),
        "{:?}",
        planned.plan.preconditions
    );
    assert!(planned.plan.effects.iter().any(|e| e.contains("only adds")), "{:?}", planned.plan.effects);
    let put = desk.execute(planned);
    let said = put.verified();
    assert!(said.contains("1222 rows, as many as in app__restore_"), "{said}");
    let side = put.side();
    assert_eq!((side.role, side.kind.as_str()), (SideRole::Beside, "tables"));
    let (users, orders) = (format!("shop.users__restored_{}", put.id), format!("shop.orders__restored_{}", put.id));
    assert_eq!(content(&server, &users, &orders), was, "what was lost is there");
    assert_eq!(content(&server, "shop.users", "shop.orders"), now, "and the live tables are as they were");
    let odd = format!(
        "select count(*), max(a::text), max(\"C d\"::text) from \"odd.one\".\"My \"\"Table__restored_{}\"",
        put.id
    );
    assert_eq!(server.psql("app", &odd), "2|1 day 02:03:00|{0.1,NULL,1e+300}");
    let of = |what: &str| server.psql("app", &format!("select {what} from pg_class where oid = '{users}'::regclass"));
    assert_eq!(of("pg_get_userbyid(relowner)"), "shop_owner");
    assert!(
        !of("coalesce(relacl::text, '')").contains("{=") && !of("coalesce(relacl::text, '')").contains(",="),
        "{}",
        of("relacl")
    );
    let indexes =
        format!("select count(*) from pg_index where indrelid in ('{users}'::regclass, '{orders}'::regclass)");
    assert_eq!(server.psql("app", &indexes), "5");
    assert!(
        server
            .try_psql("app", &format!("insert into {users} (id, name) select id, 'new' from {users} limit 1"))
            .is_err()
    );
    assert_eq!(
        server.psql("app", &format!("select relrowsecurity from pg_class where oid = '{orders}'::regclass")),
        "t"
    );
    assert!(put.open().is_none());

    let planned = desk.plan(&Work::Drop { of: put.id.clone() });
    assert_eq!((planned.plan.risk, planned.plan.blockers().count()), (Risk::Disruptive, 0));
    desk.execute(planned).verified();
    assert_eq!(relations(&server, "app"), before);
    assert_eq!(content(&server, "shop.users", "shop.orders"), now);
    // The side database is still there, can be put again, and goes last.
    let again = desk.run(&Work::CutOver { of: restored.id.clone() });
    again.verified();
    desk.run(&Work::Drop { of: again.id.clone() }).verified();
    desk.run(&Work::Drop { of: restored.id.clone() }).verified();
    assert_eq!(databases(&server, "app"), ["app"]);
    assert_eq!(relations(&server, "app"), before);
}

#[test]
fn whatever_goes_wrong_nothing_unnamed_is_left_in_the_live_database() {
    let server = Postgres::start();
    shop(&server);
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let restored = desk.run(&only(&copy, &["shop.users", "shop.orders"]));
    let before = relations(&server, "app");
    let work = Work::CutOver { of: restored.id.clone() };

    let planned = desk.plan(&work);
    let ended = desk.execute_with(planned, CancellationToken::new(), |text, cancel| {
        if text.contains("copying shop.orders") {
            cancel.cancel();
        }
    });
    assert_eq!(ended.error(), "cancelled");
    assert_eq!(relations(&server, "app"), before);

    // Killed half way: the server takes it back by itself.
    let planned = desk.plan(&work);
    assert!(killed_at(&desk, &planned, "copying shop.users").is_none());
    assert_eq!(relations(&server, "app"), before);
    // Killed when they are there and nobody knows yet: taken back by whoever comes next.
    let planned = desk.plan(&work);
    let open = killed_at(&desk, &planned, ": there, in app").unwrap();
    assert_ne!(relations(&server, "app"), before);
    let (ctx, _) = desk.op_context(&planned);
    desk.op(&open.op, &open.args, &ctx).unwrap();
    assert_eq!(relations(&server, "app"), before);

    // The type is gone from the live database: nothing is made of it, and the error names it.
    server.psql("app", "alter type shop.mood rename to temper");
    let ended = desk.run(&work);
    assert!(ended.error().contains("copy shop.users") && ended.error().contains("shop.mood"), "{}", ended.error());
    assert_eq!(relations(&server, "app"), before);

    // A schema that is gone is said while planning.
    server.psql("app", "alter schema shop rename to store");
    let plan = desk.plan(&work).plan;
    let (result, detail) = check(&plan, "names free");
    assert!(result == Checked::Failed && detail.contains("app has no schema shop"), "{detail}");
}

#[test]
fn what_cannot_be_chosen_is_refused_with_what_to_do() {
    let server = Postgres::start();
    shop(&server);
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "sql.gz");
    let refused = desk.try_plan(&only(&copy, &["shop.users"])).unwrap_err();
    let said = format!("{refused:?}");
    assert!(said.contains("single tables cannot be taken out of it") && said.contains("pg_dump --table"), "{said}");
    let copy = dump(&server, &mut desk, "app", "custom");
    for (asked, wanted) in [
        ("shop.nope", "the copy has no table shop.nope; there are"),
        ("shop.v", "shop.v is a view"),
        ("users", "is not schema.table"),
    ] {
        let plan = desk.plan(&only(&copy, &[asked])).plan;
        let (result, detail) = check(&plan, "only");
        assert!(result == Checked::Failed && detail.contains(wanted), "{detail}");
    }
}

#[test]
fn tables_are_never_taken_for_the_whole_nor_for_what_was_dropped_by_hand() {
    let server = Postgres::start();
    shop(&server);
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let users = only(&copy, &["shop.users"]);
    let already = |plan: &mayday::domain::run::Plan| {
        plan.preconditions.iter().find(|p| p.name == "restored already").map(|p| p.detail.clone())
    };
    let planned = desk.plan(&users);
    assert_eq!(planned.plan.title, "restore only shop.users of full beside app");
    assert_eq!(planned.plan.data_lost_ms, None, "tables that come beside the live ones lose nothing");
    let parts = desk.execute(planned);
    assert_eq!(parts.side().only().as_deref(), Some("only shop.users"));
    assert!(
        parts.verified().ends_with("only shop.users: ready to be put beside the live tables"),
        "{}",
        parts.verified()
    );
    assert_eq!(already(&desk.plan(&restore_of(&copy)).plan), None, "the whole is not among them");
    let said = already(&desk.plan(&users).plan).unwrap();
    assert!(said.contains("(only shop.users), ") && said.contains("put that in with C"), "{said}");

    let whole = desk.run(&restore_of(&copy));
    let said = already(&desk.plan(&restore_of(&copy)).plan).unwrap();
    assert!(said.ends_with(&format!("mayday restore full --cut-over --run {}", whole.id)), "{said}");
    server.psql("postgres", &format!("drop database {}", whole.side().name));
    assert_eq!(already(&desk.plan(&restore_of(&copy)).plan), None, "it was dropped by hand");
    assert!(already(&desk.plan(&users).plan).is_some());
}
