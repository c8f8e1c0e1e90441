//! Handing a side cluster over: it is promoted and its address told, or a command points the clients to it; or chosen
//! tables are taken out of it while it stays paused.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::child::{self, Stopped, Tool};
use super::super::folder;
use super::super::job::{self, SideArgs};
use super::super::pg::server::{self as sql, failed};
use super::state::{Cluster, Server, Stage};
use super::{Hand, recorded, server};
use crate::domain::Time;
use crate::domain::run::{Side, SideRole};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::clock;
use crate::sys::pg::PgTarget;
use crate::text;

/// For the server to become one that is written to: a checkpoint may be slow.
const PROMOTION: Duration = Duration::from_secs(300);

/// The side cluster, if it is the one that was planned for.
fn cluster(job: &Hand, what: &str, stages: &[Stage]) -> Result<Cluster, OpError> {
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    let side = &job.side.path;
    let now = folder::pin(side).map_err(|e| failed(format!("{}: {e}: restore again", side.display())))?;
    if now != job.side {
        return Err(failed(format!("{} is not the folder it was when this was planned: plan anew", side.display())));
    }
    let cluster = Cluster::read(side).ok_or_else(|| failed("its cluster.json is gone: restore again".into()))?;
    if !stages.contains(&cluster.stage) {
        return Err(failed(format!("{} is {} by now: plan anew", side.display(), word(cluster.stage))));
    }
    Ok(cluster)
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Incomplete => "incomplete",
        Stage::Ready => "paused",
        Stage::Unverified => "not verified",
        Stage::HandedOver => "promoted",
    }
}

/// Starts the server of a ready cluster that does not run any more: the host was started again.
fn running(side: &Path, cluster: &mut Cluster, ctx: &OpContext) -> Result<Server, String> {
    if let Some(server) = server::find(side) {
        return Ok(server);
    }
    let server = server::start(side, cluster)?;
    cluster.server = Some(server.clone());
    ctx.sink.line("its server had ended and was started again");
    cluster.write(side).map_err(|e| e.to_string())?;
    Ok(server)
}

async fn session(side: &Path, cluster: &Cluster, server: &Server, what: &str) -> Result<sql::Session, OpError> {
    let target = PgTarget::parse(&cluster.dsn(side)).map_err(|e| OpError::Failed(format!("{what}: {e}")))?;
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match sql::beside(&target, &[], "mayday hand over").await {
            Ok(session) => return Ok(session),
            Err(e) if Instant::now() > until || !server.is_alive() => {
                let said = if server.is_alive() { e.to_string() } else { server::explain(side) };
                return Err(OpError::Failed(format!("{what}: {said}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

pub async fn promote(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let side = &job.side.path;
    let what = format!("promote {}", side.display());
    let mut cluster = cluster(job, &what, &[Stage::Ready, Stage::HandedOver])?;
    let server = running(side, &mut cluster, ctx).map_err(|why| OpError::Failed(format!("{what}: {why}")))?;
    let session = session(side, &cluster, &server, &what).await?;
    let recovering = |text: Option<String>| text.as_deref() == Some("t");
    let ask = "select pg_is_in_recovery()";
    if recovering(session.text(ask).await.map_err(failed(&what))?) {
        if ctx.cancel.is_cancelled() {
            return Err(OpError::Cancelled);
        }
        // From here on it cannot be replayed any further, whatever follows.
        cluster.stage = Stage::HandedOver;
        cluster.run.clone_from(&job.run);
        cluster.write(side).map_err(|e| OpError::Failed(format!("{what}: {e}")))?;
        session.text_in(PROMOTION, "select pg_promote(true, 240)").await.map_err(failed(&what))?;
        let until = Instant::now() + PROMOTION;
        while recovering(session.text(ask).await.map_err(failed(&what))?) {
            if Instant::now() > until {
                return Err(OpError::Failed(format!(
                    "{what}: it is still in recovery: look into {}/server.log",
                    side.display()
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let size = super::super::format::folder_size(side).unwrap_or(0);
    let args = SideArgs {
        backup: job.backup.clone(),
        copy: job.copy.clone(),
        folder: Some(job.side.clone()),
        ..SideArgs::default()
    };
    let listed = Side {
        kind: "cluster".into(),
        name: side.display().to_string(),
        live: job.database.clone(),
        created_at: Time::from_ms(clock::now_ms()),
        size,
        role: SideRole::Serving,
        args: job::write(&args),
    };
    ctx.sink.side(&listed).map_err(recorded(&what))?;
    let said = format!("promoted: it takes writes at {}", addresses(side, &cluster));
    ctx.sink.line(&said);
    ctx.sink
        .line("it listens on this host only and archives nothing: set listen_addresses and archiving before it stays");
    Ok(Done { verified: Some(said) })
}

/// By socket, and by the port with the passwords of its roles.
fn addresses(side: &Path, cluster: &Cluster) -> String {
    format!("{}, or host=127.0.0.1 port={} dbname={}", cluster.dsn(side), cluster.port, text::clean(&cluster.database))
}

/// An argument of the switch command with what it stands for.
fn filled(argument: &str, side: &Path, cluster: &Cluster) -> String {
    argument
        .replace("{host}", "127.0.0.1")
        .replace("{port}", &cluster.port.to_string())
        .replace("{database}", &cluster.database)
        .replace("{side}", &side.display().to_string())
}

/// Runs the configured command that points the clients to the promoted cluster.
pub async fn switch(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let side = &job.side.path;
    let what = "run the switch command";
    let cluster = cluster(job, what, &[Stage::HandedOver])?;
    let argv: Vec<String> = job.switch.iter().map(|a| filled(a, side, &cluster)).collect();
    let Some((program, args)) = argv.split_first() else { return Ok(Done::default()) };
    let tool = Tool {
        program: PathBuf::from(program),
        args: args.iter().map(OsString::from).collect(),
        env: Vec::new(),
        password: None,
        feed: None,
        user: None,
    };
    let shown = argv.iter().map(|a| text::shell_word(a)).collect::<Vec<_>>().join(" ");
    let ended = run(tool, ctx, what).await?;
    if !ended.status.success() {
        let said = ended.said.last().map(|l| format!(" ({})", text::clean(l))).unwrap_or_default();
        return Err(OpError::Failed(format!(
            "{what}: {shown}: {}{said}: the side cluster is promoted and serves at port {}; point the clients there by hand, \
             or run the command again",
            ended.word(),
            cluster.port
        )));
    }
    Ok(Done { verified: Some(format!("exit 0: {shown}")) })
}

async fn run(tool: Tool, ctx: &OpContext, what: &str) -> Result<child::Ended, OpError> {
    let sink = ctx.sink.clone();
    let line = Arc::new(move |text: &str| sink.line(text));
    match child::run(tool, ctx, line, &mut |_| Ok(())).await {
        Ok(ended) => Ok(ended),
        Err(Stopped::Cancelled) => Err(OpError::Cancelled),
        Err(Stopped::Halted(why) | Stopped::NotStarted(why)) => Err(OpError::Failed(format!("{what}: {why}"))),
    }
}

/// The file that chosen tables are dumped into.
pub fn dump_file(side: &Path, run: &str) -> PathBuf {
    side.join(format!("tables-{run}.dump"))
}

/// Arguments of `pg_dump` for chosen tables, without the address.
pub fn dump_args(side: &Path, run: &str, database: &str, tables: &[String]) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["--format=custom", "--compress=1", "--strict-names"].map(Into::into).into();
    args.extend(tables.iter().map(|t| OsString::from(format!("--table={t}"))));
    let mut file = OsString::from("--file=");
    file.push(dump_file(side, run));
    args.push(file);
    args.push(format!("--dbname={database}").into());
    args
}

/// Dumps the chosen tables out of the paused cluster, for the phases that load them beside the live database.
pub async fn tables(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let side = &job.side.path;
    let what = format!("dump {} of {}", text::plural(job.tables.len(), "table"), side.display());
    let mut cluster = cluster(job, &what, &[Stage::Ready, Stage::HandedOver])?;
    let server = running(side, &mut cluster, ctx).map_err(|why| OpError::Failed(format!("{what}: {why}")))?;
    session(side, &cluster, &server, &what).await?;
    let tool = Tool {
        program: job.dump.clone().unwrap_or_else(|| cluster.programs.join("pg_dump")),
        args: dump_args(side, &job.run, &job.database, &job.tables),
        env: vec![
            ("PGHOST".into(), side.display().to_string()),
            ("PGPORT".into(), cluster.port.to_string()),
            ("PGUSER".into(), cluster.role.clone()),
        ],
        password: None,
        feed: None,
        user: Some(cluster.user.clone()),
    };
    let ended = run(tool, ctx, &what).await?;
    if !ended.status.success() {
        let said = ended.said.iter().find(|l| l.contains("error:")).or(ended.said.last()).cloned().unwrap_or_default();
        return Err(OpError::Failed(format!("{what}: {}: {}", ended.word(), text::clean(&said))));
    }
    Ok(Done::default())
}
