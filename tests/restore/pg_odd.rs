//! What is in some dumps and not in others: views that hold data, names that need quoting, tablespaces.

use mayday::domain::run::{Checked, Work};

use crate::kit::{Desk, check, restore_of};
use crate::pg_restore::{dump, psql};
use crate::support::Postgres;

#[test]
fn materialized_views_are_read_where_they_can_be_and_never_counted_among_the_rows() {
    let server = Postgres::start();
    server.create_db("app");
    server.psql(
        "app",
        "create table t as select n as id from generate_series(1, 300) n; analyze t;
         create materialized view filled as select id from t where id <= 200;
         create materialized view empty as select id from t with no data;
         create materialized view behind as select id from empty with no data",
    );
    for form in ["custom", "sql"] {
        let mut desk = Desk::postgres(&server, "app", &["select count(*) = 200 from filled"]);
        let copy = dump(&server, &mut desk, "app", form);
        let restored = desk.run(&restore_of(&copy));
        let said = restored.verified();
        assert!(said.contains("1 table, 300 rows, 1 materialized view read"), "{form}: {said}");
        assert!(said.contains("app has 1 table, about 300 rows"), "{form}: the same is compared: {said}");
        assert!(said.contains("2 materialized views without data, as in the copy: public."), "{form}: {said}");
        assert!(said.contains("public.empty") && said.contains("public.behind"), "{form}: {said}");
    }
}

#[test]
fn rows_of_a_materialized_view_do_not_stand_in_for_lost_rows_of_a_table() {
    let server = Postgres::start();
    server.create_db("app");
    server.psql("app", "create table t as select n as id from generate_series(1, 300) n");
    server.psql("app", "create materialized view m as select id from t");
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "sql");
    // Rows go missing on the way in, as by a trigger or a rule of the dump itself: the view has as many as are left.
    let path = desk.copy_path(&copy);
    let text = std::fs::read_to_string(&path).unwrap();
    let trap = "REFRESH MATERIALIZED VIEW public.m;\nDELETE FROM public.t WHERE id > 200;\n";
    std::fs::write(&path, text.replace("REFRESH MATERIALIZED VIEW public.m;\n", trap)).unwrap();
    let planned = desk.plan(&restore_of(&copy));
    let why = desk.execute(planned).error();
    assert!(why.contains("it has 200 rows and the copy has 300"), "{why}");
}

#[test]
fn a_dump_that_makes_its_database_restores_whatever_that_is_called() {
    let server = Postgres::start();
    for name in ["my-shop", "Icu Shop", "it's \"so\""] {
        server.create_db(name);
        psql(
            &server,
            name,
            "create table users as select n as id, 'gr' || chr(252) || 'n' as name from generate_series(1, 9) n",
        );
        for options in [["--create", "--no-comments"].as_slice(), &["--create", "--clean", "--if-exists"]] {
            let mut desk = Desk::postgres(&server, name, &["select count(*) = 9 from users where name = 'grün'"]);
            let path = desk.copy_path("app.sql");
            let mut command = server.tool("pg_dump");
            let dbname = format!("dbname='{}'", name.replace('\\', "\\\\").replace('\'', "\\'"));
            command.args(options).args(["-Fp", "--encoding=LATIN1", "-d", &dbname, "-f"]).arg(&path);
            let done = command.output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert!(text.contains("\\encoding SQL_ASCII") && text.contains("-reuse-previous=on"), "{text}");
            desk.list("app.sql");
            let restored = desk.run(&restore_of("app.sql"));
            assert!(restored.verified().contains("1 table, 9 rows, 1 query true"), "{}", restored.verified());
            assert_eq!(psql(&server, name, "select count(*) from users"), "9", "the live one is as it was");
            desk.run(&Work::CutOver { of: restored.id.clone() }).verified();
        }
    }
}

#[test]
fn a_tablespace_that_the_server_lacks_is_no_reason_not_to_restore() {
    let server = Postgres::start();
    let space = server.data_dir().parent().unwrap().join("space");
    std::fs::create_dir(&space).unwrap();
    let own = std::os::unix::fs::MetadataExt::uid(&server.data_dir().metadata().unwrap());
    std::os::unix::fs::chown(&space, Some(own), None).unwrap();
    server.psql("postgres", &format!("create tablespace \"Fast disk\" location '{}'", space.display()));
    server.create_db("app");
    server.psql(
        "app",
        "create table users (id int primary key) tablespace \"Fast disk\"; insert into users values (1), (2)",
    );
    server.psql("app", "create index on users (id) tablespace \"Fast disk\"");
    let apart =
        "select count(*) from pg_class c join pg_tablespace s on s.oid = c.reltablespace where spcname = 'Fast disk'";
    for form in ["custom", "directory", "sql", "sql.gz"] {
        let mut desk = Desk::postgres(&server, "app", &["select count(*) = 2 from users"]);
        let copy = dump(&server, &mut desk, "app", form);
        // Where it is there, it is used.
        let plan = desk.plan(&restore_of(&copy)).plan;
        assert!(plan.preconditions.iter().all(|p| p.name != "tablespaces"), "{form}: {:?}", plan.preconditions);
        let restored = desk.run(&restore_of(&copy));
        assert_eq!(server.psql(&restored.side().name, apart), "2", "{form}");
        desk.run(&Work::Drop { of: restored.id.clone() }).verified();

        server.psql("postgres", "alter tablespace \"Fast disk\" rename to elsewhere");
        let planned = desk.plan(&restore_of(&copy));
        let (result, detail) = check(&planned.plan, "tablespaces");
        assert!(result == Checked::Warned && detail.contains("does not have Fast disk"), "{form}: {detail}");
        let said = desk.execute(planned).verified();
        assert!(said.contains("2 rows") && said.contains("because the server lacks Fast disk"), "{form}: {said}");
        server.psql("postgres", "alter tablespace elsewhere rename to \"Fast disk\"");
    }
}
