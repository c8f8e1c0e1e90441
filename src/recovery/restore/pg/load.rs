//! Loading the copy into the side database.
//!
//! Archives of `pg_dump` go through `pg_restore` with as many jobs as it can use, plain dumps through the scanner into
//! `psql`, which stops at the first error. The sessions do not wait for their commits to reach the disk: the database is
//! worth nothing before it is complete, and marking it as ready is a commit that waits. The cluster's own settings are left
//! as they are.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::super::child::{self, Feed, Tool};
use super::super::format::{self, Kind, Wrap};
use super::super::job::PgRestore;
use super::super::only;
use super::super::sql::{Rules, Scanner};
use super::check::{self, Position};
use super::{Facts, explain, room, server};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::disk;
use crate::sys::pg::{PgError, PgTarget, SslMode, env_for_tools};
use crate::text;

pub async fn run(job: &PgRestore, ctx: &OpContext) -> Result<Done, OpError> {
    let began = Instant::now();
    // Of some copies it is known only since they were read to their end.
    let no_tablespaces = job.no_tablespaces || !Facts::read(ctx).no_spaces.is_empty();
    let job = &PgRestore { no_tablespaces, ..job.clone() };
    let what = format!("load {} into {}", text::clean(&job.copy.id), job.side);
    let target = job.reach.target_for(ctx)?.with_database(&job.side);
    let stop = ctx.cancel.child_token();
    let tool = match settings(job, &target).await {
        Ok((major, settings)) if job.kind == Kind::Sql => plain(job, ctx, stop.clone(), &target, major, &settings),
        Ok((_, settings)) => match list(job, &ctx.dir).await {
            Ok(list) => archive(job, &target, &ctx.dir, &settings, list.as_deref()),
            Err(why) => Err(why),
        },
        Err(why) => Err(why),
    };
    let (tool, position) = tool.map_err(|why| OpError::Failed(format!("{what}: {why}")))?;
    let name = if job.kind == Kind::Sql { "psql" } else { "pg_restore" };
    let heard = Heard::new(ctx, job);
    let line: Arc<dyn Fn(&str) + Send + Sync> = {
        let heard = heard.clone();
        Arc::new(move |l: &str| heard.line(l))
    };
    let mut watch = |pid| {
        let read = position.as_ref().map_or_else(|| child::bytes_read(pid), Position::done);
        heard.progress(read);
        Ok(())
    };
    // A full file system under the write-ahead log is a crash for everyone on the server.
    let room = room::Watch::begin(&job.watch, stop.clone());
    let ended = child::run(tool, &OpContext { cancel: stop, ..ctx.clone() }, line, &mut watch).await;
    let short = tokio::task::spawn_blocking(move || room.end()).await.ok().flatten();
    if let Some(why) = short.filter(|_| !ctx.cancel.is_cancelled()) {
        return Err(OpError::Failed(format!("{what}: {why}")));
    }
    let ended = ended.map_err(|e| check::stopped(&what, e))?;
    if let Some(why) = ended.feed_error {
        return Err(OpError::Failed(format!("{what}: {why}")));
    }
    if !ended.status.success() {
        return Err(OpError::Failed(format!("{what}: {}", explain::tool(name, &ended.word(), &ended.said))));
    }
    ctx.sink.progress(job.copy.size, job.copy.size, "loaded");
    ctx.sink.line(&format!("loaded in {}", text::duration(began.elapsed())));
    Ok(Done::default())
}

/// `dbname='…'`: a bare name with `=` in it would be read as a connection string.
pub fn conninfo(database: &str) -> String {
    if database.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return database.to_owned();
    }
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The environment of a tool that is to reach the side database.
pub fn environment(target: &PgTarget, dir: &Path, extra_ca: &[PathBuf], settings: &str) -> Vec<(String, String)> {
    let mut env = env_for_tools(target);
    match env.iter_mut().find(|(name, _)| name == "PGOPTIONS") {
        Some((_, value)) => value.push_str(&format!(" {settings}")),
        None => env.push(("PGOPTIONS".into(), settings.into())),
    }
    // Without verification the roots are not looked at, and `require` would begin to verify where there are any.
    let verifies = matches!(target.ssl_mode(), SslMode::VerifyCa | SslMode::VerifyFull);
    if verifies
        && !extra_ca.is_empty()
        && target.ssl_root_cert().is_none()
        && let Some(file) = roots_file(dir, extra_ca)
    {
        env.retain(|(name, _)| name != "PGSSLROOTCERT");
        env.push(("PGSSLROOTCERT".into(), file));
    }
    env
}

/// libpq takes one file of roots: the host's and the configured ones together, in the run's folder.
fn roots_file(dir: &Path, extra_ca: &[PathBuf]) -> Option<String> {
    let mut bytes = std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    for file in extra_ca {
        bytes.push(b'\n');
        bytes.extend(std::fs::read(file).ok()?);
    }
    let path = dir.join("roots.pem");
    disk::write_atomic(&path, &bytes, 0o600).ok()?;
    Some(path.display().to_string())
}

/// The server's major version, and the settings of the sessions that load.
async fn settings(job: &PgRestore, target: &PgTarget) -> Result<(u32, String), String> {
    let said = |e: PgError| format!("{e}: {}", server::advice(&e));
    let session = server::within(target, &job.side, "mayday restore").await.map_err(said)?;
    // A server's or role's own settings must not end the load half way; pg_restore and the scripts of pg_dump see to the
    // time limits themselves.
    let mut settings = "-c synchronous_commit=off -c default_transaction_read_only=off".to_owned();
    let sql = "select setting from pg_settings where name = 'maintenance_work_mem'";
    let now_kib = session.text(sql).await.map_err(said)?.and_then(|kib| kib.parse::<u64>().ok());
    if let (Some(now_kib), Some(may_kib)) = (now_kib, memory_per_job(job, target))
        && may_kib > now_kib
    {
        settings.push_str(&format!(" -c maintenance_work_mem={may_kib}kB"));
    }
    // A client that was killed must not leave its statement at work for hours. PostgreSQL 14, where the system can tell.
    let sql = "select set_config('client_connection_check_interval', '2s', false)";
    if session.major >= 14 && session.rows(sql, &[]).await.is_ok() {
        settings.push_str(" -c client_connection_check_interval=2s");
    }
    Ok((session.major, settings))
}

/// KiB that each session may take for building indexes, where the server's memory can be seen from here: an eighth of
/// what is free for all of them, and no more than 256 MiB each.
fn memory_per_job(job: &PgRestore, target: &PgTarget) -> Option<u64> {
    if !server::is_here(target) {
        return None;
    }
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let free_kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((free_kib / 8 / u64::from(job.jobs.max(1))).min(256 << 10))
}

type Ready = (Tool, Option<Position>);

/// Name of the list of the entries that are loaded, in the run's folder.
pub const USE_LIST: &str = "restore.list";

/// Writes the list of entries for `pg_restore`, where not all of them are loaded.
async fn list(job: &PgRestore, dir: &Path) -> Result<Option<PathBuf>, String> {
    if job.only.is_empty() {
        return Ok(None);
    }
    let (path, kind, only) = (format::path_of(&job.copy), job.kind, job.only.clone());
    let work = tokio::task::spawn_blocking(move || only::choose(&format::entries(&path, kind)?, &only));
    let chosen = work.await.map_err(|e| e.to_string())??;
    let lines: String = chosen.ids.iter().map(|id| format!("{id};\n")).collect();
    let file = dir.join(USE_LIST);
    disk::write_atomic(&file, lines.as_bytes(), 0o600)
        .map_err(|e| format!("write {USE_LIST} into the run's folder: {e}: make room there"))?;
    Ok(Some(file))
}

/// What `pg_restore` or `psql` is called with to load the copy; of an archive only what stands in `list`.
pub fn args(job: &PgRestore, list: Option<&Path>) -> Vec<OsString> {
    let database = format!("--dbname={}", conninfo(&job.side));
    let own = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    if job.kind == Kind::Sql {
        let mut args = own(&["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]);
        args.extend([database.into(), "--file=-".into()]);
        return args;
    }
    let mut args = own(&["--no-password", "--exit-on-error", "--verbose"]);
    args.push(database.into());
    if job.no_tablespaces {
        args.push("--no-tablespaces".into());
    }
    // Only an archive that can be read from several places at once takes several jobs.
    let several = job.wrap == Wrap::Plain && matches!(job.kind, Kind::PgCustom | Kind::PgDirectory);
    if several && job.jobs > 1 {
        args.push(format!("--jobs={}", job.jobs).into());
    }
    if let Some(list) = list {
        let mut option = OsString::from("--use-list=");
        option.push(list);
        args.push(option);
    }
    args.extend(check::source_args(job));
    args
}

fn archive(
    job: &PgRestore,
    target: &PgTarget,
    dir: &Path,
    settings: &str,
    list: Option<&Path>,
) -> Result<Ready, String> {
    let (feed, position) = check::source(job, false)?;
    let env = environment(target, dir, &job.reach.extra_ca, settings);
    let password = target.password().cloned();
    Ok((Tool { program: job.tool.clone(), args: args(job, list), env, password, feed, user: None }, position))
}

fn plain(
    job: &PgRestore,
    ctx: &OpContext,
    cancel: CancellationToken,
    target: &PgTarget,
    major: u32,
    settings: &str,
) -> Result<Ready, String> {
    let rules = Rules { no_transaction_timeout: major < 17, no_tablespaces: job.no_tablespaces };
    let (mut from, position) = check::open(&format::path_of(&job.copy)).map_err(|e| check::decode_error(&e))?;
    let feed: Feed = Box::new(move |to| {
        let mut scanner = Scanner::new(rules);
        let mut piece = vec![0; 1 << 18];
        let mut out = Vec::with_capacity(1 << 18);
        loop {
            let n = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(check::decode_error(&e)),
            };
            out.clear();
            scanner.feed(piece.get(..n).unwrap_or_default(), &mut out);
            // The file may be another one by now than the one that was checked.
            if let Some(why) = scanner.found().objection() {
                return Err(why);
            }
            // psql is gone: it has said why.
            if cancel.is_cancelled() || to.write_all(&out).is_err() {
                return Ok(());
            }
        }
        out.clear();
        let found = scanner.finish(&mut out);
        let _ = to.write_all(&out);
        match found.objection().or_else(|| found.incomplete()) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    });
    let env = environment(target, &ctx.dir, &job.reach.extra_ca, settings);
    Ok((
        Tool {
            program: job.tool.clone(),
            args: args(job, None),
            env,
            password: target.password().cloned(),
            feed: Some(feed),
            user: None,
        },
        Some(position),
    ))
}

/// What the tool says, made into progress.
#[derive(Clone)]
struct Heard {
    sink: Arc<dyn crate::recovery::op::Sink>,
    items: Arc<AtomicU64>,
    parallel: Arc<AtomicBool>,
    what: Arc<std::sync::Mutex<String>>,
    total: u64,
    /// Entries of the archive; 0 when not known.
    expected: u64,
    /// One process reads the archive from front to back, and what comes after the rows is at work.
    after_rows: Arc<AtomicBool>,
}

impl Heard {
    fn new(ctx: &OpContext, job: &PgRestore) -> Self {
        Heard {
            sink: ctx.sink.clone(),
            items: Arc::default(),
            parallel: Arc::default(),
            what: Arc::new(std::sync::Mutex::new("loading".into())),
            total: job.copy.size,
            expected: job.entries.unwrap_or(0),
            after_rows: Arc::default(),
        }
    }

    /// pg_backup_archiver.c: `creating INDEX "public.i"`, `processing data for table "public.t"`, `launching item 12 …`,
    /// `finished item 12 …`.
    fn line(&self, line: &str) {
        let said = line.strip_prefix("pg_restore: ").unwrap_or(line);
        let done = ["creating ", "processing data ", "executing "].iter().any(|w| said.starts_with(w));
        if said.starts_with("entering main parallel loop") {
            self.parallel.store(true, Ordering::Relaxed);
        }
        // In parallel the words for what is being done come when it begins, and each item's end is told.
        if if self.parallel.load(Ordering::Relaxed) { said.starts_with("finished item ") } else { done } {
            self.items.fetch_add(1, Ordering::Relaxed);
        }
        if done {
            let after =
                AFTER_ROWS.iter().any(|w| said.strip_prefix("creating ").is_some_and(|what| what.starts_with(w)));
            if after && !self.parallel.load(Ordering::Relaxed) {
                self.after_rows.store(true, Ordering::Relaxed);
            }
            let now = text::clean(said).into_owned();
            *self.what.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
        }
        let noise = ["launching item ", "finished item ", "processing item ", "skipping item "];
        if !noise.iter().any(|n| said.starts_with(n)) {
            self.sink.line(line);
        }
    }

    /// Most of the time goes by bytes read; the rest is indexes and constraints, of which only the number is known.
    fn progress(&self, read: u64) {
        let what = self.what.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let read = read.min(self.total);
        let all_read = self.total > 0 && (read == self.total || self.after_rows.load(Ordering::Relaxed));
        let tell = |done| match all_read {
            true => self.sink.working(done, self.total, &what),
            false => self.sink.progress(done, self.total, &what),
        };
        if self.expected == 0 {
            return tell(read);
        }
        let items = self.items.load(Ordering::Relaxed).min(self.expected);
        let by_items = u128::from(self.total) * u128::from(items) / u128::from(self.expected);
        let by_items = u64::try_from(by_items).unwrap_or(self.total);
        tell(read / 10 * 7 + by_items / 10 * 3);
    }
}

/// What `pg_dump` puts behind the rows: takes as long as the server needs, and no byte tells how long.
const AFTER_ROWS: [&str; 5] = ["INDEX ", "CONSTRAINT ", "FK CONSTRAINT ", "TRIGGER ", "MATERIALIZED VIEW DATA "];

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::run::Side;
    use crate::recovery::op::{Compensation, Sink};

    #[derive(Default)]
    struct Told(Mutex<Vec<(u64, bool)>>);

    impl Sink for Told {
        fn line(&self, _: &str) {}

        fn progress(&self, done: u64, _: u64, _: &str) {
            self.0.lock().unwrap().push((done, false));
        }

        fn working(&self, done: u64, _: u64, _: &str) {
            self.0.lock().unwrap().push((done, true));
        }

        fn side(&self, _: &Side) -> io::Result<()> {
            Ok(())
        }

        fn gone(&self, _: &str) -> io::Result<()> {
            Ok(())
        }

        fn compensation(&self, _: Option<&Compensation>) -> io::Result<()> {
            Ok(())
        }
    }

    fn heard(expected: u64) -> (Heard, Arc<Told>) {
        let told = Arc::new(Told::default());
        let what = Arc::new(Mutex::new("loading".into()));
        let (items, parallel, after_rows) = Default::default();
        (Heard { sink: told.clone(), items, parallel, what, total: 1000, expected, after_rows }, told)
    }

    #[test]
    fn statements_behind_the_last_byte_have_no_share_of_their_own() {
        let (heard, told) = heard(0);
        heard.progress(400);
        heard.progress(1000);
        heard.progress(1000);
        assert_eq!(*told.0.lock().unwrap(), [(400, false), (1000, true), (1000, true)]);
    }

    #[test]
    fn indexes_take_as_long_as_they_take() {
        let (heard, told) = heard(4);
        heard.line("pg_restore: creating TABLE \"public.a\"");
        heard.line("pg_restore: processing data for table \"public.a\"");
        heard.progress(500);
        heard.line("pg_restore: creating INDEX \"public.i\"");
        heard.progress(990);
        assert_eq!(*told.0.lock().unwrap(), [(500, false), (918, true)]);
    }

    #[test]
    fn with_several_jobs_rows_of_others_may_be_under_way() {
        let (heard, told) = heard(4);
        heard.line("pg_restore: entering main parallel loop");
        heard.line("pg_restore: creating INDEX \"public.i\"");
        heard.progress(500);
        heard.progress(1200);
        assert_eq!(told.0.lock().unwrap().iter().map(|(_, all)| *all).collect::<Vec<_>>(), [false, true]);
    }
}
