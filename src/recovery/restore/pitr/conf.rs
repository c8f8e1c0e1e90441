//! How a side cluster is set. Nothing of the live server's configuration is used: it names the live port, the live
//! folders, and a command that would archive into the live repository. What the log itself demands (limits that must not
//! be lower than where it was written) is taken from the control file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::archive::Source;
use super::state::own;
use super::target::{Target, for_server};
use super::user::User;
use super::wal::walg::{self, WalG};
use super::{Job, data};
use crate::sys::disk;
use crate::text;

/// Settings of `pg_controldata` that a standby must not go below.
const LIMITS: [(&str, &str); 5] = [
    ("max_connections setting", "max_connections"),
    ("max_worker_processes setting", "max_worker_processes"),
    ("max_wal_senders setting", "max_wal_senders"),
    ("max_prepared_xacts setting", "max_prepared_transactions"),
    ("max_locks_per_xact setting", "max_locks_per_transaction"),
];

/// The settings in the output of `pg_controldata`.
pub fn limits(said: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in said.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        if let Some((_, name)) = LIMITS.iter().find(|(k, _)| *k == key.trim())
            && let Ok(number) = value.trim().parse::<u32>()
        {
            found.insert((*name).to_owned(), number.to_string());
        }
    }
    found
}

/// A value as it stands in a configuration file (guc-file.l).
pub fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// What is always so, whoever starts this folder and how.
pub fn confined(job: &Job, port: u16) -> Vec<(String, String)> {
    let side = job.side.display().to_string();
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        own("listen_addresses", "127.0.0.1"),
        own("port", &port.to_string()),
        own("unix_socket_directories", &side),
        own("unix_socket_permissions", "0700"),
        own("hba_file", &format!("{side}/pg_hba.conf")),
        own("ident_file", &format!("{side}/pg_ident.conf")),
        own("ssl", "off"),
        own("archive_mode", "off"),
        own("archive_command", ""),
        own("primary_conninfo", ""),
        own("primary_slot_name", ""),
        own("shared_preload_libraries", ""),
        own("session_preload_libraries", ""),
        own("local_preload_libraries", ""),
        own("synchronous_standby_names", ""),
        own("logging_collector", "off"),
        own("log_destination", "stderr"),
        own("log_timezone", "UTC"),
        own("cluster_name", &format!("mayday {}", job.run)),
        own("hot_standby", "on"),
    ]
}

/// Where recovery stops.
pub fn recovery(job: &Job) -> Vec<(String, String)> {
    let own = |name: &str, value: String| (name.to_owned(), value);
    let mut set = vec![
        own("restore_command", fetch_command(job)),
        own("recovery_target_timeline", job.timeline.to_string()),
        own("recovery_target_action", "pause".into()),
        own("recovery_target_inclusive", "on".into()),
    ];
    set.push(match &job.target {
        Target::Time(t) => own("recovery_target_time", for_server(*t)),
        Target::Lsn(lsn) => own("recovery_target_lsn", lsn.to_string()),
        Target::Xid(xid) => own("recovery_target_xid", xid.to_string()),
        Target::Name(name) => own("recovery_target_name", name.clone()),
        // Plans name the record; this is only for a plan that somebody wrote by hand.
        Target::Newest => own("recovery_target_lsn", job.log_end.to_string()),
    });
    set
}

/// `%` means something to the server, and quotes to the shell that it asks.
fn fetch_command(job: &Job) -> String {
    let word = |text: &str| text::shell_word(text).replace('%', "%%");
    match &job.source {
        Source::Folder(_) | Source::WalG(_) => {
            format!("/bin/sh {} %f %p", word(&job.side.join(FETCH).display().to_string()))
        }
        Source::PgBackRest(repo) => {
            let mut words = vec![word(&repo.tool.display().to_string())];
            words.extend(repo.fetch_args(&data(&job.side)).iter().map(|a| word(a)));
            format!("{} %f %p", words.join(" "))
        }
    }
}

pub const FETCH: &str = "fetch-wal";

/// The script that fetches one file of the log from a folder. Exit 1 says that there is none, 127 that there is one which
/// cannot be read: the server goes on looking after the first and stops with its name after the second.
pub fn fetch_script(archive: &Path) -> String {
    let archive = text::shell_word(&archive.display().to_string());
    format!(
        r#"# Gives the side cluster one file of the archived log: fetch-wal NAME TARGET. Reads the archive, never writes there.
set -u
umask 077
archive={archive}
name=$1
to=$2
found=
for file in "$archive/$name" "$archive/${{name%????????}}/$name"; do
    for ending in '' .gz .zst .lz4 .bz2 .xz; do
        if [ -f "$file$ending" ]; then found=$file$ending; break 2; fi
    done
done
[ -n "$found" ] || exit 1
case $(od -An -tx1 -N4 "$found" | tr -d ' \n') in
    1f8b*) gzip -dc <"$found" >"$to.part" ;;
    28b52ffd) zstd -dqc <"$found" >"$to.part" ;;
    04224d18) lz4 -dqc <"$found" >"$to.part" ;;
    425a68*) bzip2 -dc <"$found" >"$to.part" ;;
    fd377a58) xz -dc <"$found" >"$to.part" ;;
    *) cp "$found" "$to.part" ;;
esac || {{ rm -f "$to.part"; echo "fetch-wal: $found cannot be read to its end" >&2; exit 127; }}
mv "$to.part" "$to"
"#
    )
}

/// The script that fetches one file of the log through WAL-G, with the same exits.
pub fn walg_script(walg: &WalG) -> String {
    let mut words = vec![text::shell_word(&walg.tool.display().to_string())];
    words.extend(walg.fetch_args().iter().map(|a| text::shell_word(a)));
    let (command, absent) = (words.join(" "), walg::ABSENT);
    format!(
        r#"# Gives the side cluster one file of the archived log: fetch-wal NAME TARGET. WAL-G only reads its repository for it.
set -u
umask 077
name=$1
to=$2
said=$({command} "$name" "$to" 2>&1)
code=$?
[ $code -ne 0 ] || exit 0
rm -f "$to"
[ $code -ne {absent} ] || exit 1
# Versions before 2.0 have one exit for everything.
case $said in *"does not exist"*) exit 1 ;; esac
echo "fetch-wal: $name: wal-g: $(printf '%s' "$said" | tail -n 1)" >&2
exit 127
"#
    )
}

const HBA: &str = "# Its socket is in a folder that only the user of the server can enter.\n\
                   local all all trust\n\
                   host all all 127.0.0.1/32 scram-sha-256\n";

/// Writes all of it. What was in `postgresql.auto.conf` is kept beside.
pub fn write(job: &Job, port: u16, limits: &BTreeMap<String, String>) -> io::Result<()> {
    let data = data(&job.side);
    let put = |path: &Path, content: &str| {
        disk::write_atomic(path, content.as_bytes(), 0o600).and_then(|()| own(path, &job.user))
    };
    put(&job.side.join("pg_hba.conf"), HBA)?;
    put(&job.side.join("pg_ident.conf"), "")?;
    put(&job.side.join("postgresql.conf"), "# What this cluster is set to stands in data/postgresql.auto.conf.\n")?;
    match &job.source {
        Source::Folder(archive) => put(&job.side.join(FETCH), &fetch_script(archive))?,
        Source::WalG(walg) => put(&job.side.join(FETCH), &walg_script(walg))?,
        Source::PgBackRest(_) => {}
    }
    let mut text =
        String::from("# Written by mayday for a side cluster, which must not be mistaken for the live one.\n");
    // Everything was brought to the disk when it was unpacked: one call looks after the rest.
    let quick = (job.major >= 14).then(|| ("recovery_init_sync_method".to_owned(), "syncfs".to_owned()));
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name} = {}\n", quoted(value)));
    for (name, value) in quick.iter().map(|(n, v)| (n, v)).chain(limits).chain(&job.settings) {
        line(name, value);
    }
    // The last one counts: nothing before may loosen these.
    let preload = |name: &str| name.ends_with("preload_libraries") && job.settings.contains_key(name);
    for (name, value) in confined(job, port).into_iter().filter(|(name, _)| !preload(name)).chain(recovery(job)) {
        line(&name, &value);
    }
    put(&data.join("postgresql.auto.conf"), &text)?;
    put(&data.join("recovery.signal"), "")?;
    match std::fs::remove_file(data.join("standby.signal")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => disk::fsync_dir(&data),
    }
}

/// A port of loopback that nobody has, and none of `not`.
pub fn free_port(wanted: Option<u16>, not: &[u16]) -> Result<u16, String> {
    let free = |port: u16| !not.contains(&port) && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    if let Some(port) = wanted {
        return match free(port) {
            true => Ok(port),
            false => Err(format!("port {port} is in use, or that of the live server: choose another `port`")),
        };
    }
    // Beside PostgreSQL's own; where it begins differs, so that two restores do not go for the same one.
    let seed = u64::from(std::process::id()) ^ crate::sys::clock::monotonic_ms();
    let from = 54_330 + u16::try_from(seed % 2000).unwrap_or(0);
    (from..from + 1000)
        .find(|port| free(*port))
        .ok_or_else(|| format!("no port from {from} on is free on 127.0.0.1: set `port` of the restore"))
}

/// The user may read the archive, which the server does by itself while it replays.
pub fn unreadable(user: &User, archive: &Path, sample: Option<&Path>) -> Option<String> {
    if let Some(dir) = user.stopped_at(archive) {
        return Some(format!("{} may not enter {}", user.name, dir.display()));
    }
    let denied = |path: &Path, bits: u32| std::fs::metadata(path).is_ok_and(|m| !user.may(&m, bits));
    if denied(archive, 5) {
        return Some(format!("{} may not read {}", user.name, archive.display()));
    }
    let sample = sample.filter(|path| denied(path, 4) || user.stopped_at(path).is_some())?;
    Some(format!("{} may not read {}", user.name, sample.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_limits() {
        assert_eq!(quoted(r"it's \a"), r"'it''s \\a'");
        let said = "max_connections setting:              100\nmax_prepared_xacts setting:           3\nother: 1\n";
        let limits = limits(said);
        assert_eq!(limits.get("max_connections").map(String::as_str), Some("100"));
        assert_eq!(limits.get("max_prepared_transactions").map(String::as_str), Some("3"));
        assert_eq!(limits.len(), 2);
    }

    #[test]
    fn the_script_fetches_plain_and_compressed_and_tells_damage_from_absence() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("the archive's");
        std::fs::create_dir_all(archive.join("0000000100000000")).unwrap();
        let name = |n: u32| format!("00000001000000000000000{n}");
        std::fs::write(archive.join(name(1)), "one").unwrap();
        std::fs::write(archive.join("0000000100000000").join(name(2)), "two").unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gz, b"three").unwrap();
        let gz = gz.finish().unwrap();
        std::fs::write(archive.join(format!("{}.gz", name(3))), &gz).unwrap();
        // Barman compresses without saying so in the name.
        std::fs::write(archive.join(name(4)), &gz).unwrap();
        std::fs::write(archive.join(format!("{}.gz", name(5))), &gz[..gz.len() - 4]).unwrap();
        let script = dir.path().join("fetch");
        std::fs::write(&script, fetch_script(&archive)).unwrap();
        for (n, wanted, code) in
            [(1, "one", 0), (2, "two", 0), (3, "three", 0), (4, "three", 0), (5, "", 127), (6, "", 1)]
        {
            let to = dir.path().join("to");
            let _ = std::fs::remove_file(&to);
            let ran = std::process::Command::new("/bin/sh").arg(&script).args([&name(n)]).arg(&to).output().unwrap();
            assert_eq!(ran.status.code(), Some(code), "{n}: {}", String::from_utf8_lossy(&ran.stderr));
            assert_eq!(std::fs::read_to_string(&to).unwrap_or_default(), wanted);
            assert!(!dir.path().join("to.part").exists());
        }
    }
}
