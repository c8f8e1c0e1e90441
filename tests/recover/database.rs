//! A real database within a recovery: what was confirmed is what is done, without being asked again.

use super::*;
use support::Postgres;

#[test]
fn a_database_is_restored_and_cut_over_by_one_confirmation() {
    let server = Postgres::start();
    server.create_db("live");
    server.psql("live", "create table t as select g as id, 'copy' as source from generate_series(1, 500) g");
    let shop = Cockpit::new(&format!(
        "[system]\nname = \"shop\"\n[[service]]\nname = \"db\"\ntier = 1\n[[service.postgres]]\ndsn = \"{dsn}\"\nevery = \"1s\"\ntimeout = \"900ms\"\n\
         [[backup]]\nname = \"full\"\nservice = \"db\"\nrpo = \"26h\"\nevery = \"24h\"\nfiles = {{ path = \"HOME/backups\", pattern = \"*.dump\", settle = \"10ms\" }}\n\
         [backup.restore.postgres_dump]\ndatabase = \"live\"\ndsn = \"{dsn}\"\nverify = [\"select count(*) = 500 from t\"]\ngrace = \"200ms\"\n\
         [[recovery]]\nname = \"corrupt\"\nkind = \"database-corruption\"\n\
         [[recovery.step]]\nphase = \"database\"\nwithin = \"5m\"\nrestore = \"full\"\n\
         [[recovery.step]]\nphase = \"validate\"\nwithin = \"1m\"\nhealthy = [\"db\"]\n",
        dsn = server.dsn("live"),
    ));
    std::fs::create_dir(shop.path("backups")).unwrap();
    let mut dump = server.tool("pg_dump");
    dump.args(["-Fc", "-d", "live", "-f"]).arg(shop.path("backups/live.dump"));
    assert!(dump.status().unwrap().success());
    server.psql("live", "update t set source = 'corrupt'");
    shop.start();
    shop.until_code(&["restore", "full", "--plan"], 0);
    let plan = shop.run(&["recover", "corrupt", "--plan"]).ok().out;
    assert!(plan.contains("pg_restore") && plan.contains("live.dump"), "{plan}");
    let done = shop.run(&["recover", "corrupt", "--confirm", "live", "--wait", "--json"]).ok().json();
    assert_eq!(states(&done), ["good", "good"], "{done:#}");
    assert_eq!(server.psql("live", "select source from t where id = 1"), "copy");
    assert_eq!(kinds(&shop).iter().filter(|k| *k == "recovery.stopped").count(), 0);
    // And once more, with what the first one kept still there: it is a plan of its own, and goes through as well.
    server.psql("live", "update t set source = 'corrupt again'");
    let again = shop.run(&["recover", "corrupt", "--confirm", "live", "--wait", "--json"]).ok().json();
    assert_eq!(states(&again), ["good", "good"], "{again:#}");
    assert_eq!(server.psql("live", "select source from t where id = 1"), "copy");
    shop.verify();
}
