//! A repository of WAL-G. The program itself cannot be had here: it is stood in for by a script that writes down how it
//! was called and does, over a repository in WAL-G's own layout, what the real one does (its documentation and sources).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mayday::config::PitrLog;
use mayday::domain::run::{Checked, Work};

use crate::kit::check;
use crate::pitr::{Scene, ran, refused, work};
use crate::support::guard;

/// `{record}` is where calls are written down. Answers as of WAL-G 3: `backup-list` prints what it knows, `st ls` a table,
/// `wal-fetch` ends with 74 when there is no such file.
const STAND_IN: &str = r#"#!/bin/sh
printf '%s\n' "$*" >> '{record}'
[ "$1" = --config ] || { echo "ERROR: 2026/11/20 no --config" >&2; exit 1; }
repo=$(sed -n 's/.*"WALG_FILE_PREFIX": *"\([^"]*\)".*/\1/p' "$2") || exit 1
shift 2
[ ! -e "$repo/denied" ] || { echo "ERROR: 2026/11/20 02:14:07.1 AccessDenied: Access Denied" >&2; exit 1; }
case $1 in
backup-list)
    [ "$2 $3" = "--detail --json" ] || exit 1
    [ -e "$repo/list.json" ] && cat "$repo/list.json" || echo "INFO: 2026/11/20 02:14:07.1 No backups found" >&2 ;;
st)
    if [ "$2" = cat ]; then cat "$repo/$3"; exit; fi
    echo "type size last modified                 name"
    for file in "$repo/$3"*; do
        [ -f "$file" ] && echo "obj  $(stat -c '%s %y' "$file") UTC ${file##*/}"
    done ;;
wal-fetch)
    file=$repo/wal_005/$2.lz4
    if [ ! -f "$file" ]; then echo "ERROR: 2026/11/20 Archive '$2' does not exist." >&2; exit 74; fi
    lz4 -dqc "$file" > "$3" ;;
backup-fetch)
    data=$2; parts=$repo/basebackups_005/$3/tar_partitions
    [ -z "$(ls -A "$data")" ] || { echo "ERROR: 2026/11/20 directory must be empty" >&2; exit 1; }
    if [ "${4-}" = --restore-spec ]; then
        for to in $(grep -o '"loc":"[^"]*"' "$5" | cut -d'"' -f4); do
            mkdir -p "$to" "$data/pg_tblspc" && ln -s "$to" "$data/pg_tblspc/${to##*/}"
        done
    fi
    for part in "$parts"/part_*.tar.lz4 "$parts/pg_control.tar.lz4"; do
        lz4 -dqc "$part" | tar -xf - --keep-directory-symlink -C "$data" || { echo "ERROR: 2026/11/20 $part" >&2; exit 1; }
    done ;;
*) exit 1 ;;
esac
"#;

/// A server that archives into a repository as WAL-G lays it out, and the stand-in.
struct Walg {
    scene: Scene,
    repo: PathBuf,
    config: PathBuf,
    tool: PathBuf,
    record: PathBuf,
}

fn made(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
    guard::give_away(path);
}

impl Walg {
    fn start() -> Walg {
        let mut scene = Scene::start_with("lz4 -q -c %p > ARCHIVE/wal_005/%f.lz4");
        let dir = scene.dir.path().to_path_buf();
        let (repo, record, config) = (scene.wal(), dir.join("calls"), dir.join("walg.json"));
        for path in [repo.join("wal_005"), repo.join("basebackups_005")] {
            made(&path);
        }
        std::fs::write(&record, "").unwrap();
        guard::give_away(&record);
        std::fs::write(&config, format!("{{ \"WALG_FILE_PREFIX\": \"{}\" }}\n", repo.display())).unwrap();
        let bin = dir.join("bin");
        made(&bin);
        let tool = bin.join("wal-g");
        std::fs::write(&tool, STAND_IN.replace("{record}", &record.display().to_string())).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = bin.into_os_string();
        for folder in
            [crate::support::postgres::bin("postgres").parent().unwrap(), "/usr/bin".as_ref(), "/bin".as_ref()]
        {
            path.push(":");
            path.push(folder);
        }
        scene.desk.ctx.tool_path = Some(path);
        let own = config.clone();
        scene.configure(|how| how.log = PitrLog::WalG { config: own });
        Walg { scene, repo, config, tool, record }
    }

    /// Takes a base backup and lays it down as WAL-G does. `links`: the server's folders of tablespaces.
    fn push(&mut self, links: &[(u32, &Path)]) -> String {
        let dir = self.scene.dir.path().join("taken");
        let mut tool = self.scene.server.tool("pg_basebackup");
        tool.arg("-D").arg(&dir).args(["--checkpoint=fast", "--no-sync", "-X", "none", "--no-slot"]);
        for (n, (_, live)) in links.iter().enumerate() {
            tool.arg(format!(
                "--tablespace-mapping={}={}",
                live.display(),
                self.scene.dir.path().join(format!("space{n}")).display()
            ));
        }
        ran(&mut tool);
        self.scene.archived();
        let label = std::fs::read_to_string(dir.join("backup_label")).unwrap();
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("backup_manifest")).unwrap()).unwrap();
        let range = &manifest["WAL-Ranges"][0];
        let number = |lsn: &str| {
            let (high, low) = lsn.split_once('/').unwrap();
            u64::from_str_radix(high, 16).unwrap() << 32 | u64::from_str_radix(low, 16).unwrap()
        };
        let first = label.split("(file ").nth(1).unwrap()[..24].to_owned();
        let name = format!("base_{first}");
        let base = self.repo.join("basebackups_005");
        let parts = base.join(&name).join("tar_partitions");
        std::fs::create_dir_all(&parts).unwrap();
        let tar = |to: &str, args: &[&str]| {
            let line = format!("tar -chf - -C '{}' \"$@\" | lz4 -q > '{}'", dir.display(), parts.join(to).display());
            ran(Command::new("sh").args(["-c", &line, "sh"]).args(args));
        };
        tar("part_001.tar.lz4", &["--exclude=./backup_manifest", "--exclude=./global/pg_control", "."]);
        tar("pg_control.tar.lz4", &["global/pg_control"]);
        let names: Vec<String> = links.iter().map(|(oid, _)| oid.to_string()).collect();
        let mut spec = serde_json::json!({ "base_prefix": self.scene.server.data_dir(), "tablespaces": names });
        for (oid, live) in links {
            spec[oid.to_string()] = serde_json::json!({ "loc": live, "link": format!("pg_tblspc/{oid}") });
        }
        let spec = if links.is_empty() { serde_json::Value::Null } else { spec };
        let system: u64 =
            self.scene.server.psql("app", "select system_identifier from pg_control_system()").parse().unwrap();
        let (start, end) = (number(range["Start-LSN"].as_str().unwrap()), number(range["End-LSN"].as_str().unwrap()));
        let sentinel = serde_json::json!({
            "LSN": start, "FinishLSN": end, "PgVersion": 150000, "SystemIdentifier": system, "Spec": spec, "Version": 2,
        });
        std::fs::write(base.join(format!("{name}_backup_stop_sentinel.json")), sentinel.to_string()).unwrap();
        let major: u32 = self.scene.server.psql("app", "show server_version_num").parse().unwrap();
        let now = self.scene.now();
        let list = serde_json::json!([{
            "backup_name": name, "time": now, "wal_file_name": first, "storage_name": "default", "start_time": now,
            "finish_time": now, "date_fmt": "%Y-%m-%dT%H:%M:%S.%fZ", "hostname": "db1", "data_dir": "/live",
            "pg_version": major, "start_lsn": start, "finish_lsn": end, "is_permanent": false,
            "system_identifier": system, "uncompressed_size": 40 << 20, "compressed_size": 4 << 20,
        }]);
        std::fs::write(self.repo.join("list.json"), list.to_string()).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let path = base.join(&name);
        self.scene.listed(&name, &path);
        name
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.record).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn base_backup_and_log_out_of_a_repository() {
    let mut walg = Walg::start();
    walg.scene.note(1);
    let name = walg.push(&[]);
    let second = walg.scene.note(2);
    walg.scene.note(3);
    walg.scene.archived();
    let plan = walg.scene.desk.plan(&work(Some(&second))).plan;
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.preconditions);
    assert!(check(&plan, "base backup").1.contains("a backup of WAL-G"));
    let tool = walg.tool.display();
    let config = walg.config.display();
    let ended = walg.scene.restore(Some(&second));
    ended.verified();
    let side = ended.side().name;
    assert_eq!(walg.scene.notes(&side), "1,2");
    let shown: Vec<String> = ended.plan.phases.iter().flat_map(|p| p.step.shown()).collect();
    let fetch = format!("backup-fetch {side}/data {name}");
    assert!(shown.contains(&format!("{tool} --config {config} {fetch}")), "{shown:?}");
    // Exactly these, each with the configuration file named.
    let calls = walg.calls();
    let with = |words: &str| format!("--config {config} {words}");
    for wanted in [
        with("backup-list --detail --json"),
        with("st ls wal_005/"),
        with(&format!("st cat basebackups_005/{name}_backup_stop_sentinel.json")),
        with(&fetch),
    ] {
        assert!(calls.contains(&wanted), "{wanted}: {calls:#?}");
    }
    let first = name.trim_start_matches("base_");
    assert!(calls.iter().any(|c| *c == with(&format!("wal-fetch {first} pg_wal/RECOVERYXLOG"))), "{calls:#?}");
    let known = ["backup-list ", "st ls ", "st cat ", "wal-fetch ", "backup-fetch "];
    for call in &calls {
        let rest = call.strip_prefix(&with("")).unwrap_or_else(|| panic!("{call}"));
        assert!(known.iter().any(|k| rest.starts_with(k)), "{call}");
    }
    // Replayed further in the same cluster, and to the newest.
    let further = walg.scene.restore(Some("newest"));
    assert_eq!((further.side().name.as_str(), walg.scene.notes(&side).as_str()), (side.as_str(), "1,2,3"));
    walg.scene.desk.run(&Work::Drop { of: further.id }).verified();
    assert_eq!(walg.scene.server.psql("app", "select count(*) from notes"), "3");
}

#[test]
fn tablespaces_never_go_where_the_live_ones_are() {
    let mut walg = Walg::start();
    let live = walg.scene.dir.path().join("fast");
    made(&live);
    walg.scene.server.psql("app", &format!("create tablespace fast location '{}'", live.display()));
    walg.scene
        .server
        .psql("app", "create table big (n int) tablespace fast; insert into big select generate_series(1, 100)");
    walg.scene.note(1);
    let oid = walg.scene.server.psql("app", "select oid from pg_tablespace where spcname = 'fast'").parse().unwrap();
    walg.push(&[(oid, &live)]);
    let ended = walg.scene.restore(None);
    ended.verified();
    let side = ended.side().name;
    assert_eq!(walg.scene.ask(&side, "select count(*) from big"), "100");
    let place = walg.scene.ask(&side, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'fast'");
    assert!(place.starts_with(&side), "{place}");
    let spec = format!("--restore-spec {side}/restore-spec.json");
    assert!(walg.calls().iter().any(|c| c.contains("backup-fetch") && c.ends_with(&spec)), "{:#?}", walg.calls());
    walg.scene.server.psql("app", "insert into big values (101)");
    assert_eq!(walg.scene.ask(&side, "select count(*) from big"), "100");

    // Without the sentinel nobody knows where it would write.
    let sentinel = walg.repo.join("basebackups_005").read_dir().unwrap().flatten();
    let sentinel = sentinel.map(|e| e.path()).find(|p| p.is_file()).unwrap();
    std::fs::remove_file(sentinel).unwrap();
    walg.scene.desk.run(&Work::Drop { of: ended.id }).verified();
    refused(&walg.scene.desk.plan(&work(None)).plan, "base backup", &["wal-g st cat", "_backup_stop_sentinel.json"]);
}

#[test]
fn what_goes_wrong_with_a_repository_of_walg() {
    let mut walg = Walg::start();
    walg.scene.note(1);
    let name = walg.push(&[]);
    walg.scene.note(2);
    let hole = walg.scene.archived();
    walg.scene.note(3);
    let newest = walg.scene.archived();
    std::fs::remove_file(walg.repo.join(format!("wal_005/{hole}.lz4"))).unwrap();
    let plan = walg.scene.desk.plan(&work(None)).plan;
    let (result, said) = check(&plan, "wal archive");
    assert!(result == Checked::Warned && said.contains(&hole) && said.contains(&newest), "{said}");
    assert_eq!(plan.blockers().count(), 0, "{:?}", plan.preconditions);

    // A part of the base backup is cut off: it is noticed, and nothing is left.
    let part = walg.repo.join(format!("basebackups_005/{name}/tar_partitions/part_001.tar.lz4"));
    let whole = std::fs::read(&part).unwrap();
    std::fs::write(&part, &whole[..whole.len() / 2]).unwrap();
    let planned = walg.scene.desk.plan(&work(None));
    let why = walg.scene.desk.execute(planned).error();
    assert!(why.contains("wal-g") && why.contains("part_001.tar.lz4"), "{why}");
    assert!(walg.scene.side_folders().is_empty());
    std::fs::write(&part, &whole).unwrap();

    // The repository is out of reach while the log is replayed: the server ends and says why.
    let planned = walg.scene.desk.plan(&work(None));
    let denied = walg.repo.join("denied");
    let at = denied.clone();
    let cancel = tokio_util::sync::CancellationToken::new();
    let ended = walg.scene.desk.execute_with(planned, cancel, move |said, _| {
        if said.starts_with("unpacked ") {
            std::fs::write(&at, "").unwrap();
        }
    });
    let why = ended.error();
    assert!(why.contains("the server ended") && why.contains("the live cluster is untouched"), "{why}");
    assert!(why.contains("AccessDenied") && why.contains(name.trim_start_matches("base_")), "{why}");
    assert!(walg.scene.side_folders().is_empty());
    refused(&walg.scene.desk.plan(&work(None)).plan, "base backup", &["wal-g backup-list", "AccessDenied"]);
    std::fs::remove_file(&denied).unwrap();

    // The log of the base backup itself.
    std::fs::remove_file(walg.repo.join(format!("wal_005/{}.lz4", name.trim_start_matches("base_")))).unwrap();
    refused(&walg.scene.desk.plan(&work(None)).plan, "wal archive", &["is missing in the repository of WAL-G"]);
    std::fs::remove_file(walg.repo.join("list.json")).unwrap();
    refused(&walg.scene.desk.plan(&work(None)).plan, "base backup", &["has no backup", "wal-g backup-push"]);
    walg.scene.configure(|how| how.log = PitrLog::WalG { config: "/nowhere/walg.json".into() });
    refused(&walg.scene.desk.plan(&work(None)).plan, "base backup", &["/nowhere/walg.json", "configuration file"]);
    let path = walg.scene.desk.ctx.tool_path.take().unwrap().into_string().unwrap();
    walg.scene.desk.ctx.tool_path = path.split_once(':').map(|(_, rest)| rest.into());
    refused(&walg.scene.desk.plan(&work(None)).plan, "base backup", &["no wal-g on this host"]);
    assert_eq!(walg.scene.server.psql("app", "select string_agg(id::text, ',' order by id) from notes"), "1,2,3");
}

#[test]
fn the_whole_program_lists_and_restores_out_of_it() {
    let mut walg = Walg::start();
    walg.scene.note(1);
    let name = walg.push(&[]);
    walg.scene.note(2);
    let last = walg.scene.archived();
    let dir = walg.scene.dir.path().display();
    let config = walg.config.display();
    let home = crate::support::Home::new();
    let shop = crate::support::Cockpit::in_home(
        home,
        &format!(
            "[system]\nname = \"shop\"\n[[backup]]\nname = \"moments\"\nrpo = \"10m\"\nevery = \"24h\"\n\
             walg = {{ config = \"{config}\", rescan = \"1s\" }}\n[backup.restore.postgres_pitr]\ndatabase = \"app\"\n\
             directory = \"{dir}/side\"\nwalg = {{ config = \"{config}\" }}\n"
        ),
    );
    // The engine finds programs by its own PATH.
    let linked = shop.path("bin");
    std::fs::create_dir_all(&linked).unwrap();
    let path = format!("{}:{}", walg.tool.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let run = |args: &[&str]| {
        let mut command = shop.command(args);
        command.env("PATH", &path);
        crate::support::cockpit::run(command)
    };
    run(&["engine", "start"]).ok();
    let set = || run(&["backups", "--json"]).ok().json()[0].clone();
    crate::support::wait_until("it is listed", crate::support::PATIENCE, || set()["newest"]["id"] == name.as_str());
    let listed = set();
    assert_eq!(listed["state"], "fresh", "{listed:#}");
    assert!(listed["detail"].as_str().unwrap().contains(&last), "{listed:#}");
    assert!(listed["newest"]["reaches"].is_string(), "{listed:#}");
    let proven = run(&["restore", "moments", "--test", "--yes", "--wait", "--json"]).ok().json();
    assert!(proven["detail"].as_str().unwrap().contains("proven"), "{proven:#}");
    assert!(walg.scene.side_folders().is_empty());
    // A gap: told soon, by name, though newer log is there.
    walg.scene.note(3);
    let hole = walg.scene.archived();
    walg.scene.note(4);
    walg.scene.archived();
    std::fs::remove_file(walg.repo.join(format!("wal_005/{hole}.lz4"))).unwrap();
    crate::support::wait_until("the gap is told", crate::support::PATIENCE, || set()["state"] == "suspect");
    assert!(set()["detail"].as_str().unwrap().contains(&format!("missing: {hole}")), "{:#}", set());
}
