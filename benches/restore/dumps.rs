//! A server with a database of some size, copies of it in every form, and a cockpit that can restore them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::kit::{scale, sh, time};
use crate::support::{Cockpit, Home, PgOptions, Postgres, wait_until};

pub const COUNTS: &str = "select count(*) from pgbench_accounts; select count(*) from pgbench_branches; \
    select count(*) from pgbench_tellers; select count(*) from pgbench_history; select count(*) from notes";

/// Backups of the cockpit: name, pattern, whether it is a folder.
pub const FORMS: [(&str, &str); 6] = [
    ("custom", "app.dump"),
    ("directory", "app.dir"),
    ("sql", "app.sql"),
    ("sql-gz", "app.sql.gz"),
    ("sql-zst", "app.sql.zst"),
    ("tar", "app.tar"),
];

pub struct Scene {
    pub server: Postgres,
    pub shop: Cockpit,
}

/// Settings of a server with some memory, as one in use has.
pub fn options() -> PgOptions {
    PgOptions::default()
        .durable()
        .set("shared_buffers", "256MB")
        .set("max_wal_size", "4GB")
        .set("max_connections", "120")
        .set("checkpoint_timeout", "15min")
}

/// pgbench's tables, a table of text, and indexes.
pub fn fill(server: &Postgres, database: &str) {
    server.create_db(database);
    let mut pgbench = server.tool("pgbench");
    time(pgbench.args(["-i", "-q", "-s", &scale().to_string(), database]));
    let notes = scale() * 25_000;
    server.psql(
        database,
        &format!(
            "create table notes (id bigserial primary key, account int not null, at timestamptz not null,
                                 title text not null, body text not null);
             insert into notes (account, at, title, body)
             select n % 100000, timestamptz '2026-01-01' + n * interval '13 s', 'note ' || md5(n::text),
                    repeat(md5((n * 7)::text) || ' ' || md5((n * 11)::text) || E'\\t' || n || E'\\n', 1 + n % 4)
               from generate_series(1, {notes}) n;
             create index on notes (account);
             create index on notes (at);
             create index on notes (title);
             create index on notes (left(body, 40), at);
             create index on pgbench_accounts (bid);
             create index on pgbench_accounts (abalance, aid)"
        ),
    );
    server.psql(database, "vacuum analyze");
    server.psql(database, "checkpoint");
}

impl Scene {
    pub fn new() -> Scene {
        let server = Postgres::start_with(options());
        fill(&server, "app");
        let home = Home::new();
        let copies = home.path().join("copies");
        std::fs::create_dir(&copies).expect("a folder for copies");
        let mut config = "[system]\nname = \"shop\"\n".to_owned();
        for (name, file) in FORMS {
            let folders = if name == "directory" { "folders = true, " } else { "" };
            config.push_str(&format!(
                "[[backup]]\nname = \"{name}\"\nrpo = \"26h\"\n\
                 files = {{ path = \"HOME/copies\", pattern = \"{file}\", {folders}settle = \"10ms\" }}\n\
                 [backup.restore.postgres_dump]\ndatabase = \"app\"\namcheck = false\n\
                 dsn = \"{}\"\nverify = [\"select count(*) = {} from notes\"]\n",
                server.socket_dsn("postgres"),
                scale() * 25_000,
            ));
        }
        for (name, file) in [("files-gz", "documents.tar.gz"), ("files-zst", "documents.tar.zst")] {
            config.push_str(&format!(
                "[[backup]]\nname = \"{name}\"\nrpo = \"26h\"\n\
                 files = {{ path = \"HOME/copies\", pattern = \"{file}\", settle = \"10ms\" }}\n\
                 [backup.restore.folder]\npath = \"HOME/documents\"\nstrip = 1\n"
            ));
        }
        let scene = Scene { server, shop: Cockpit::in_home(home, &config) };
        scene.dump();
        scene.documents();
        scene.shop.start();
        for name in FORMS.iter().map(|f| f.0).chain(["files-gz", "files-zst"]) {
            let mut last = String::new();
            let planned = || {
                let ran = scene.shop.run(&["restore", name, "--plan"]);
                last = format!("{ran:?}");
                ran.code == 0
            };
            wait_until(&format!("{name} can be restored"), Duration::from_secs(120), planned);
        }
        let size = scene.server.psql("app", "select pg_size_pretty(pg_database_size('app'))");
        println!(
            "a database of {size}; its dumps: custom {} MB, text {} MB",
            scene.copy("app.dump").metadata().map_or(0, |m| m.len() >> 20),
            scene.copy("app.sql").metadata().map_or(0, |m| m.len() >> 20),
        );
        scene
    }

    pub fn copy(&self, name: &str) -> PathBuf {
        self.shop.path("copies").join(name)
    }

    fn dump(&self) {
        let tool = |args: &[&str], to: &str| {
            let mut dump: Command = self.server.tool("pg_dump");
            time(dump.args(args).args(["-d", "app", "-f"]).arg(self.copy(to)));
        };
        tool(&["-Fc"], "app.dump");
        tool(&["-Fd", "-j2"], "app.dir");
        tool(&["-Ft"], "app.tar");
        tool(&["-Fp"], "app.sql");
        let sql = self.copy("app.sql");
        time(&mut sh(&format!("gzip -c {0} > {0}.gz; zstd -qf {0} -o {0}.zst", sql.display())));
    }

    /// A folder of many files, live and in archives.
    fn documents(&self) {
        let at = self.shop.home.path().display().to_string();
        let files = scale() * 100;
        time(&mut sh(&format!(
            "cd {at}; mkdir documents; for n in $(seq 1 20); do mkdir documents/$n; done; \
             head -c {size} copies/app.sql > all; cd documents; split -n {files} -a 6 -d ../all 1/; rm ../all; \
             cd ..; tar -czf copies/documents.tar.gz documents; tar -c documents | zstd -q > copies/documents.tar.zst",
            size = u64::from(scale()) << 23,
        )));
    }

    /// Takes a side copy away again.
    pub fn drop_side(&self, backup: &str, run: &str) {
        self.shop.run(&["restore", backup, "--drop", "--run", run, "--yes", "--wait"]).ok();
    }
}
