//! Data and log on a disk that is too small for the copy.

use mayday::domain::run::{Checked, Work};

use crate::kit::{Desk, check, restore_of};
use crate::pg_restore::{databases, dump};
use crate::support::{PgOptions, Postgres, in_small_disk_as_self};

/// 80 MB of text that repeats itself make a copy of half a MB, and the live table is empty: there is nothing to compare
/// with. Loading stops while the server still has room for its log.
#[test]
fn loading_stops_before_the_disk_is_full() {
    in_small_disk_as_self(192 << 20, |disk| {
        let source = Postgres::start();
        source.create_db("app");
        source.psql(
            "app",
            "create table users (id int, t text); \
             insert into users select n, repeat('the same again ', 60) from generate_series(1, 90000) n",
        );
        for (form, jobs) in [("custom", 2), ("sql.gz", 1)] {
            let server = Postgres::start_with(PgOptions::default().in_folder(disk));
            server.create_db("app");
            server.psql("app", "create table users (id int, t text)");
            let mut desk = Desk::postgres(&server, "app", &[]);
            desk.configure_pg(|r| r.jobs = Some(jobs));
            let copy = dump(&source, &mut desk, "app", form);
            assert!(desk.copy_path(&copy).metadata().unwrap().len() < 2 << 20, "{form}: it is not the case meant");
            let planned = desk.plan(&restore_of(&copy));
            let (result, detail) = check(&planned.plan, "disk");
            assert!(result == Checked::Warned && detail.contains("data and log"), "{form}: {detail}");
            let ended = desk.execute(planned);
            let error = ended.error();
            assert!(error.contains("stopped before the disk is full"), "{form}: {error}\n{}", server.log());
            assert!(error.contains("the side copy was removed"), "{form}: {error}");
            assert!(!server.log().contains("No space left"), "{form}: {}", server.log());
            assert_eq!(databases(&server, "app"), ["app"], "{form}");
            assert_eq!(
                server.psql("app", "insert into users values (1, 'on it goes'); select count(*) from users"),
                "1"
            );
        }
    });
}

/// What fits is not stopped.
#[test]
fn a_copy_that_fits_is_loaded_to_its_end() {
    in_small_disk_as_self(192 << 20, |disk| {
        let server = Postgres::start_with(PgOptions::default().in_folder(disk));
        server.create_db("app");
        server.psql("app", "create table users as select n, repeat('text ', 100) t from generate_series(1, 10000) n");
        let mut desk = Desk::postgres(&server, "app", &["select count(*) = 10000 from users"]);
        let copy = dump(&server, &mut desk, "app", "custom");
        let restored = desk.run(&restore_of(&copy));
        assert!(restored.verified().contains("1 query true"), "{}", restored.verified());
        desk.run(&Work::Drop { of: restored.id.clone() }).verified();
    });
}
