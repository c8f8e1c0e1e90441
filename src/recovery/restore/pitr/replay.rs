//! Starting the side cluster and waiting for what was asked: that it is paused at its target.
//!
//! That a server was started says nothing. Watched is whether it lives, how far it has replayed, and whether it is paused;
//! and when it is, whether the last transaction in it fits the target.

use std::time::{Duration, Instant};

use super::super::pg::server::{self as sql, Session};
use super::conf;
use super::server::{self, Stop};
use super::state::{Cluster, Server, Stage};
use super::target::{self, Target};
use super::wal::{self, Lsn};
use super::{Job, blocking, damage, data, recorded, removal, unpack};
use crate::recovery::op::{Done, OpContext, OpError};
use crate::sys::pg::{PgError, PgTarget};
use crate::text;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Ports tried, one after the other.
const PORTS: usize = 5;
/// A server that answers nothing for this long although it lives.
const SILENCE: Duration = Duration::from_secs(1800);

pub async fn run(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("start the side cluster {}", job.side.display());
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    let own = job.clone();
    let again = what.clone();
    let server = blocking(&what, ctx, move |_| {
        let failed = |why: String| OpError::Failed(format!("{again}: {why}"));
        // Asked while the control file is still aside.
        let held = own.side.join(unpack::CONTROL);
        let limits = limits(&own, &held).map_err(failed)?;
        let port = conf::free_port(own.port, &own.not_ports).map_err(failed)?;
        conf::write(&own, port, &limits).map_err(|e| failed(super::super::folder::write_error(&own.side, &e)))?;
        unpack::release(&own).map_err(failed)?;
        let mut cluster = Cluster::read(&own.side).ok_or_else(|| failed("its cluster.json is gone".into()))?;
        cluster.port = port;
        begin(&own, cluster).map_err(failed)
    })
    .await?;
    ctx.sink.line(&format!("started server {} on {}", server.pid, job.side.display()));
    settle(job, ctx, server).await
}

/// Waits; a port that somebody else took between looking and starting is no reason to give up.
async fn settle(job: &Job, ctx: &OpContext, mut server: Server) -> Result<Done, OpError> {
    for _ in 0..PORTS {
        match wait(job, ctx, &server).await {
            Err(OpError::Failed(_))
                if !server.is_alive() && job.port.is_none() && server::port_was_taken(&job.side) => {}
            other => return other,
        }
        let what = format!("start the side cluster {} on another port", job.side.display());
        let own = job.clone();
        let again = what.clone();
        server = blocking(&what, ctx, move |ctx| {
            let failed = |why: String| OpError::Failed(format!("{again}: {why}"));
            let mut cluster = Cluster::read(&own.side).ok_or_else(|| failed("its cluster.json is gone".into()))?;
            let not: Vec<u16> = own.not_ports.iter().copied().chain([cluster.port]).collect();
            let port = conf::free_port(None, &not).map_err(failed)?;
            ctx.sink.line(&format!("somebody took port {}: trying {port}", cluster.port));
            let limits = limits(&own, &data(&own.side).join("global/pg_control")).map_err(failed)?;
            conf::write(&own, port, &limits).map_err(|e| failed(super::super::folder::write_error(&own.side, &e)))?;
            cluster.port = port;
            begin(&own, cluster).map_err(failed)
        })
        .await?;
    }
    wait(job, ctx, &server).await
}

/// Replays a cluster that is ready on to a later target.
pub async fn further(job: &Job, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("replay the side cluster {} further", job.side.display());
    if ctx.cancel.is_cancelled() {
        return Err(OpError::Cancelled);
    }
    ctx.sink.compensation(Some(&removal(job))).map_err(recorded(&what))?;
    let own = job.clone();
    let again = what.clone();
    let server = blocking(&what, ctx, move |ctx| {
        let failed = |why: String| OpError::Failed(format!("{again}: {why}"));
        let mut cluster =
            Cluster::read(&own.side).ok_or_else(|| failed("its cluster.json is gone: restore anew".into()))?;
        if !matches!(cluster.stage, Stage::Ready | Stage::Unverified) {
            return Err(failed("it is no longer paused: plan anew".into()));
        }
        (cluster.stage, cluster.run, cluster.target) = (Stage::Incomplete, own.run.clone(), own.target.to_string());
        cluster.write(&own.side).map_err(|e| failed(e.to_string()))?;
        ctx.sink.line("ending the server, to start it with the new target");
        server::stop(&own.side, Stop::Fast).map_err(failed)?;
        let limits = limits(&own, &data(&own.side).join("global/pg_control")).map_err(failed)?;
        let port = match conf::free_port(Some(cluster.port), &own.not_ports) {
            Ok(port) => port,
            Err(_) => conf::free_port(own.port, &own.not_ports).map_err(failed)?,
        };
        cluster.port = port;
        conf::write(&own, port, &limits).map_err(|e| failed(super::super::folder::write_error(&own.side, &e)))?;
        begin(&own, cluster).map_err(failed)
    })
    .await?;
    settle(job, ctx, server).await
}

/// `pg_controldata` wants a data folder around the control file.
fn limits(job: &Job, control: &std::path::Path) -> Result<std::collections::BTreeMap<String, String>, String> {
    let dir = tempfile::Builder::new().prefix(".control-").tempdir_in(&job.side).map_err(|e| e.to_string())?;
    let global = dir.path().join("global");
    let failed = |e: std::io::Error| super::super::folder::write_error(&global, &e);
    std::fs::create_dir(&global).map_err(failed)?;
    std::fs::copy(control, global.join("pg_control")).map_err(failed)?;
    for path in [dir.path(), &global, &global.join("pg_control")] {
        super::state::own(path, &job.user).map_err(failed)?;
    }
    let said = server::ask(&job.user, &job.programs.join("pg_controldata"), &["-D".as_ref(), dir.path().as_os_str()])?;
    Ok(conf::limits(&said))
}

/// Starts the server and notes which one it is.
fn begin(job: &Job, mut cluster: Cluster) -> Result<Server, String> {
    cluster.timeline = job.timeline;
    cluster.server = None;
    cluster.write(&job.side).map_err(|e| e.to_string())?;
    let server = server::start(&job.side, &cluster)?;
    cluster.server = Some(server.clone());
    cluster.write(&job.side).map_err(|e| e.to_string())?;
    Ok(server)
}

/// What the server says of its recovery.
#[derive(Clone, Copy, Debug)]
struct Standing {
    in_recovery: bool,
    paused: bool,
    replayed: Lsn,
    /// Microseconds since 1970.
    last: Option<i64>,
}

async fn look(session: &Session) -> Result<Standing, PgError> {
    let paused =
        if session.major >= 14 { "pg_get_wal_replay_pause_state() = 'paused'" } else { "pg_is_wal_replay_paused()" };
    let sql = format!(
        "select pg_is_in_recovery(), case when pg_is_in_recovery() then {paused} else false end,
                (coalesce(pg_last_wal_replay_lsn(), '0/0') - '0/0'::pg_lsn)::bigint,
                (extract(epoch from pg_last_xact_replay_timestamp()) * 1000000)::bigint"
    );
    let row = session.row(&sql, &[]).await?;
    let position: i64 = row.try_get(2)?;
    Ok(Standing {
        in_recovery: row.try_get(0)?,
        paused: row.try_get(1)?,
        replayed: Lsn(u64::try_from(position).unwrap_or(0)),
        last: row.try_get(3)?,
    })
}

async fn wait(job: &Job, ctx: &OpContext, server: &Server) -> Result<Done, OpError> {
    let what = format!("replay the log to {}", job.target);
    let cluster =
        Cluster::read(&job.side).ok_or_else(|| OpError::Failed(format!("{what}: its cluster.json is gone")))?;
    let address = PgTarget::parse(&cluster.dsn(&job.side)).map_err(|e| OpError::Failed(format!("{what}: {e}")))?;
    let mut session: Option<Session> = None;
    let mut pace = Pace::new(job);
    let mut heard = Instant::now();
    let standing = loop {
        if ctx.cancel.is_cancelled() {
            return Err(OpError::Cancelled);
        }
        if !server.is_alive() {
            let (own, context) = (job.clone(), ctx.clone());
            let why = blocking(&what, ctx, move |_| {
                let why = server::explain(&own.side);
                // A port that was taken, a setting that is wrong: the log has nothing to do with that.
                let short = why.contains("before configured recovery target").then(|| damage::explain(&own, &context));
                Ok(match short {
                    Some(Some(nearest)) => format!("{why}: {nearest}"),
                    Some(None) => format!("{why}: plan anew to see what can be reached now"),
                    None => why,
                })
            })
            .await?;
            return Err(OpError::Failed(format!("{what}: the server ended: {why}")));
        }
        if session.is_none() {
            let tried = sql::beside(&address, &[], "mayday point in time");
            session = tokio::time::timeout(Duration::from_secs(3), tried).await.ok().and_then(Result::ok);
        }
        let mut at = None;
        if let Some(open) = &session {
            match tokio::time::timeout(Duration::from_secs(5), look(open)).await {
                Ok(Ok(standing)) => {
                    heard = Instant::now();
                    if !standing.in_recovery {
                        return Err(OpError::Failed(format!(
                            "{what}: the server ended recovery by itself at {}: the log has a gap, or ends there",
                            standing.replayed
                        )));
                    }
                    if standing.paused {
                        break standing;
                    }
                    at = Some(standing.replayed);
                }
                _ => session = None,
            }
        }
        if at.is_none() {
            let name = server::last_restored(&job.side);
            let segment = name.and_then(|n| wal::parse_segment(&n, job.segment_size));
            at = segment.map(|(_, n)| Lsn(n * job.segment_size));
        }
        if pace.tell(ctx, at.unwrap_or(job.base.start)) {
            heard = Instant::now();
        }
        if heard.elapsed() > SILENCE {
            return Err(OpError::Failed(format!(
                "{what}: nothing was replayed for {}: look whether the archive answers",
                text::duration(SILENCE)
            )));
        }
        tokio::time::sleep(LOOK).await;
    };
    // A server that stops at a position does not count the time of the very record that it stops at.
    let standing = match &job.target {
        Target::Lsn(lsn) if standing.replayed > *lsn => Standing { last: standing.last.max(job.moment), ..standing },
        _ => standing,
    };
    let said = judge(job, standing).map_err(|why| OpError::Failed(format!("{what}: {why}")))?;
    let mut cluster = cluster;
    (cluster.replayed, cluster.moment) = (Some(standing.replayed), standing.last);
    cluster.write(&job.side).map_err(|e| OpError::Failed(format!("{what}: {e}")))?;
    ctx.sink.line(&said);
    Ok(Done { verified: Some(said) })
}

/// Does what was reached fit what was asked for?
fn judge(job: &Job, at: Standing) -> Result<String, String> {
    let last = at.last.map_or_else(
        || "no transaction since the base backup".into(),
        |t| format!("last transaction {}", target::shown(t)),
    );
    match &job.target {
        Target::Time(t) if at.last.is_some_and(|last| last > *t) => {
            return Err(format!("it went on beyond the target: {last}"));
        }
        Target::Lsn(lsn) if at.replayed < *lsn => {
            return Err(format!("it stopped at {}, before the target", at.replayed));
        }
        _ => {}
    }
    let short = match (job.moment, at.last) {
        (Some(t), Some(last)) if t > last => {
            let by = Duration::from_micros(u64::try_from(t - last).unwrap_or(0));
            format!(", {} before the target", text::duration(by))
        }
        _ => String::new(),
    };
    Ok(format!("paused at {} on timeline {}: {last}{short}", at.replayed, job.timeline))
}

/// How far it is, and how long it will take.
struct Pace {
    from: u64,
    to: u64,
    segment: u64,
    began: Instant,
    /// Position when it was first seen to move.
    first: Option<(u64, Instant)>,
    last: u64,
}

impl Pace {
    fn new(job: &Job) -> Pace {
        let to = match &job.target {
            Target::Lsn(lsn) => lsn.0,
            _ => job.log_end.0,
        };
        let from = job.base.start.0;
        Pace {
            from,
            to: to.max(from + 1),
            segment: job.segment_size.max(1),
            began: Instant::now(),
            first: None,
            last: 0,
        }
    }

    /// True when it moved since the last time.
    fn tell(&mut self, ctx: &OpContext, at: Lsn) -> bool {
        let moved = at.0 > self.last;
        self.last = self.last.max(at.0);
        let (first, since) = *self.first.get_or_insert((self.last, Instant::now()));
        let (done, total) = (self.last.saturating_sub(self.from).min(self.to - self.from), self.to - self.from);
        let segments = |bytes: u64| bytes.div_ceil(self.segment);
        let mut said =
            format!("replaying {}, segment {} of {}", Lsn(self.last), segments(done).max(1), segments(total));
        let (went, took) = (self.last - first, since.elapsed());
        if went > 0 && took > Duration::from_secs(2) && self.to > self.last {
            let left = took.as_secs_f64() * (self.to - self.last) as f64 / went as f64;
            said.push_str(&format!(", at most {} more", text::duration(Duration::from_secs_f64(left.clamp(0.0, 1e7)))));
        }
        if self.began.elapsed() > Duration::from_millis(50) {
            ctx.sink.progress(done, total, &said);
        }
        moved
    }
}
