//! Planning a restore to a moment: the window, the base backup that reaches it, and everything that the side cluster
//! needs on this host.

use std::path::{Path, PathBuf};

use super::super::job;
use super::super::pitr::base::Layout;
use super::super::pitr::damage::{self, Damage};
use super::super::pitr::state::{self, Cluster, Stage};
use super::super::pitr::target::{self, Target};
use super::super::pitr::user::User;
use super::super::pitr::window::Latest;
use super::super::pitr::{self, Job, conf};
use super::pitr_host::{leftovers, live_ports, of_magic, place, programs, readable, room};
use super::pitr_look::{self, Found, Wanted};
use super::{Draft, Say, begin, copy, timeout_ms};
use crate::config::{Backup, PitrRestore};
use crate::domain::Time;
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, RunState, SideRole, Work};
use crate::recovery::plan::expect::expect as expect_runs;
use crate::recovery::plan::look::Tools;
use crate::recovery::plan::{PlanContext, Planned};
use crate::text;

/// Failed runs looked at for what they found damaged.
const FAILED: usize = 50;
/// Side clusters looked at for one that can go on.
const PAUSED: usize = 3;

pub async fn plan(
    ctx: &PlanContext,
    set: &Backup,
    how: &PitrRestore,
    asked_copy: Option<&str>,
    test: bool,
    to: Option<&str>,
) -> Result<Planned, Refusal> {
    let asked = target::parse(to.unwrap_or("newest")).map_err(|why| Refusal::usage(why, ""))?;
    let named = to.is_some();
    let (backup, to) = (set.name.clone(), to.map(str::to_owned));
    let work = Work::Restore { backup, copy: asked_copy.map(str::to_owned), test, to, only: Vec::new() };
    let first = copy::choose(ctx, set, asked_copy)?.clone();
    let mut draft = begin(ctx, &work, set, Risk::Disruptive);
    let user = match User::choose(how.user.as_deref()) {
        Ok(user) => user,
        Err(why) => return Err(Refusal::new(format!("no server can be started: {why}"), "")),
    };
    draft.pass("user", format!("the side server runs as {}", user.name));

    let going_on = if test || asked_copy.is_some() { Vec::new() } else { paused(ctx, set) };
    let mut copies = vec![first.clone()];
    if asked_copy.is_none() {
        let all = ctx.copies.get(&set.name).map(Vec::as_slice).unwrap_or_default();
        copies = all.iter().filter(|c| c.suspect.is_none()).cloned().collect();
    }
    let now = ctx.now.ms().saturating_mul(1000);
    let wanted = Wanted { copies, asked: asked.clone(), now, damaged: damaged(ctx, set) };
    let tools = Tools::of(ctx);
    let found = look(how, &user, &tools, wanted.clone()).await;
    let mut found = match found {
        Ok(found) => found,
        Err(why) => {
            draft.fail("base backup", why);
            describe(&mut draft, set, how, None, None);
            return Ok(draft.done(timeout_ms(how.timeout)));
        }
    };
    // A cluster that is paused already goes on from where it is, when a moment was named: what is ready is not used up by
    // somebody who did not say so.
    let mut further = None;
    let mut standing = Vec::new();
    for (path, cluster) in going_on {
        let own: Vec<_> = wanted.copies.iter().filter(|c| c.id == cluster.copy).cloned().collect();
        let said = format!("{} is paused at {}", path.display(), at(&cluster));
        if own.is_empty() || !named {
            standing.push(said);
            continue;
        }
        match look(how, &user, &tools, Wanted { copies: own, ..wanted.clone() }).await {
            // That it is ready is said for itself.
            Ok(same) if stands_there(&same, &cluster) => {}
            Ok(same) if is_later(&same, &cluster) => {
                found = same;
                further = Some((path, cluster));
                break;
            }
            _ => standing.push(said),
        }
    }
    if further.is_none() && !standing.is_empty() {
        let standing = standing.join("; ");
        let said = match &asked.target {
            _ if !named => format!(
                "{standing} and stays as it is: this starts over, beside it; --to newest replays what is paused further \
                 instead, where there is log for that"
            ),
            Target::Xid(_) | Target::Name(_) => format!(
                "{standing}; whether {} lies behind that is known only by replaying: this starts over, beside it",
                text::clean(&asked.target.to_string())
            ),
            _ => format!("{standing} and cannot be replayed to this target: this starts over, beside it"),
        };
        draft.warn("side cluster", said);
    }
    copy::judge(&mut draft, ctx, set, &found.copy, asked_copy.is_some() || found.copy.id != first.id);
    for (id, why) in &found.passed {
        draft.warn("copies passed over", format!("{id}: {why}"));
    }
    window(&mut draft, &found);
    let major = found.base.as_ref().ok().and_then(|b| b.major);
    let magic = found.window.as_ref().ok().and_then(|w| of_magic(w.head.magic));
    let major = major.or(magic).unwrap_or(0);
    let programs = programs(&mut draft, ctx, major).await;
    let side = match &further {
        Some((path, _)) => path.clone(),
        None => {
            let directory = how.directory.canonicalize().unwrap_or_else(|_| how.directory.clone());
            directory.join(format!("{}{}", state::prefix(&how.database), ctx.run_id))
        }
    };
    place(&mut draft, ctx, &side, &user, further.is_some());
    readable(&mut draft, &found, &user, &tools);
    room(&mut draft, &found, &side, further.is_some()).await;
    let not_ports = live_ports(ctx, set, how);
    match how.port.map(|p| conf::free_port(Some(p), &not_ports)) {
        Some(Err(why)) if further.is_none() => draft.fail("port", why),
        Some(_) => draft.pass("port", format!("{} on 127.0.0.1", how.port.unwrap_or(0))),
        None => draft.pass("port", "a free one on 127.0.0.1, never the live one"),
    }
    let leftovers = leftovers(&mut draft, ctx, &side, how);

    let job = match (&found.base, &found.window, &found.chosen) {
        (Ok(base), Ok(window), Ok(chosen)) => {
            let mut copy = found.copy.clone();
            // What this copy is worth is decided by how far it is replayed.
            if let Some(moment) = chosen.moment {
                copy.taken_at = Time::from_ms(moment / 1000);
            }
            copy.reaches = None;
            copy.size = base.size.max(copy.size);
            Some(Job {
                backup: set.name.clone(),
                run: ctx.run_id.clone(),
                database: how.database.clone(),
                role: how.role.clone(),
                side,
                copy,
                base: base.clone(),
                source: found.source.clone(),
                user,
                programs,
                major,
                segment_size: window.segment_size,
                target: chosen.target.clone(),
                moment: chosen.moment,
                timeline: window.way.timeline(),
                log_end: window.log_end,
                port: how.port,
                not_ports,
                settings: how.settings.clone(),
                verify: how.verify.clone(),
                test,
                further: further.is_some(),
                leftovers,
            })
        }
        _ => None,
    };
    describe(&mut draft, set, how, job.as_ref(), further.as_ref().map(|(_, c)| c));
    if let Some(job) = &job {
        let (ms, from) = expect_runs(&ctx.runs, &work, Some(job.copy.size));
        (draft.plan.expected_ms, draft.plan.expected_from) = (ms, from);
        phases(&mut draft, job, further.is_some());
    }
    Ok(draft.done(timeout_ms(how.timeout)))
}

async fn look(how: &PitrRestore, user: &User, tools: &Tools, wanted: Wanted) -> Result<Found, String> {
    let source = pitr_look::source(how, user, tools)?;
    let exploring = tokio::task::spawn_blocking(move || pitr_look::explore(&source, &wanted));
    match tokio::time::timeout(std::time::Duration::from_secs(50), exploring).await {
        Ok(Ok(found)) => found,
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("the copies or the archive do not answer: look at their file system".into()),
    }
}

/// What replays of this set found of its log that cannot be read on, newest first.
fn damaged(ctx: &PlanContext, set: &Backup) -> Vec<Damage> {
    let failed = ctx.runs.iter().rev().filter(|r| {
        r.state == RunState::Failed && matches!(&r.plan.work, Work::Restore { backup, .. } if *backup == set.name)
    });
    let folders = failed.take(FAILED).map(|r| ctx.state_dir.join("runs").join(r.id()));
    folders.filter_map(|folder| damage::found_by(&folder)).collect()
}

/// The side clusters of this backup that are paused, verified or not, newest first.
fn paused(ctx: &PlanContext, set: &Backup) -> Vec<(PathBuf, Cluster)> {
    let sides = ctx.runs.iter().rev().flat_map(|r| r.sides.iter());
    let mine = sides.filter(|s| s.kind == "cluster" && (s.role == SideRole::Ready || s.is_unverified()));
    let ready = mine.map(|s| PathBuf::from(&s.name)).filter_map(|path| {
        let cluster = Cluster::read(&path)?;
        let is_paused = matches!(cluster.stage, Stage::Ready | Stage::Unverified);
        (is_paused && cluster.backup == set.name).then_some((path, cluster))
    });
    ready.take(PAUSED).collect()
}

/// The moment, or the position, that a cluster is paused at.
pub fn at(cluster: &Cluster) -> String {
    let position = cluster.replayed.map(|l| l.to_string()).unwrap_or_default();
    cluster.moment.map_or(position, target::shown)
}

/// Whether the target lies behind where a cluster stands, on the same timeline.
fn is_later(found: &Found, cluster: &Cluster) -> bool {
    let (Ok(window), Ok(chosen)) = (&found.window, &found.chosen) else { return false };
    let later = match &chosen.target {
        Target::Time(t) => cluster.moment.is_some_and(|m| *t > m),
        // It stands behind the last record replayed, and the next one may begin right there.
        Target::Lsn(lsn) => cluster.replayed.is_some_and(|r| *lsn >= r),
        _ => false,
    };
    later && window.way.timeline() == cluster.timeline
}

/// Whether a ready cluster is at this very target: there is nothing to replay, only to cut over.
fn stands_there(found: &Found, cluster: &Cluster) -> bool {
    let same = found.chosen.as_ref().is_ok_and(|chosen| chosen.target.to_string() == cluster.target);
    same && cluster.stage == Stage::Ready
}

/// The base backup, the archive, the window and the target.
fn window(draft: &mut Draft<'_>, found: &Found) {
    match &found.base {
        Err(why) => return draft.fail("base backup", why.clone()),
        Ok(base) => {
            let kind = match &base.layout {
                Layout::Plain { .. } => "a data folder",
                Layout::Tars { .. } => "tar archives",
                Layout::Repo { .. } => "a backup of pgBackRest",
                Layout::WalG { .. } => "a backup of WAL-G",
            };
            let checked = match (&base.layout, base.manifest) {
                (Layout::Repo { .. }, _) => "; checked file by file while it is restored",
                (Layout::WalG { .. }, _) => {
                    "; WAL-G keeps no checksums of files: whether it is whole shows in the replay"
                }
                (Layout::Plain { .. }, true) => {
                    "; every file of its manifest is there, and is compared after unpacking"
                }
                (_, true) => "; its files are compared with its manifest after unpacking",
                (_, false) => "; it has no manifest to compare with",
            };
            let about = if base.compressed { " compressed" } else { "" };
            draft.pass(
                "base backup",
                format!(
                    "{kind}, {}{about}, begins at {} on timeline {}{checked}",
                    text::size(base.size),
                    base.start,
                    base.timeline
                ),
            );
        }
    }
    let archive =
        format!("{}: {}, {}", found.source.shown(), text::plural(found.segments, "segment"), text::size(found.bytes));
    let window = match &found.window {
        Err(why) => return draft.fail("wal archive", format!("{archive}; {why}")),
        Ok(window) => window,
    };
    match window.damaged.clone().or_else(|| window.gap()) {
        Some(gap) => draft.warn("wal archive", format!("{archive}; {gap}")),
        None => draft.pass("wal archive", archive),
    }
    for remark in &window.remarks {
        draft.warn("timelines", remark.clone());
    }
    let estimated = matches!(window.latest, Latest::Estimated(_));
    let note = if estimated { "; its end is only estimated by the date of the last file" } else { "" };
    draft.pass("window", format!("{}{note}", window.shown()));
    match &found.chosen {
        Ok(chosen) if chosen.unsure => draft.warn("target", chosen.said.clone()),
        Ok(chosen) => draft.pass("target", chosen.said.clone()),
        Err(why) => draft.fail("target", why.clone()),
    }
}

fn describe(draft: &mut Draft<'_>, set: &Backup, how: &PitrRestore, job: Option<&Job>, further: Option<&Cluster>) {
    let test = matches!(draft.plan.work, Work::Restore { test: true, .. });
    let verb = if test { "test" } else { "restore" };
    draft.plan.target.clone_from(&how.database);
    draft.plan.holds.push(format!("side clusters of {}", set.name));
    let Some(job) = job else {
        draft.plan.title = format!("{verb} {} to a moment", set.name);
        return;
    };
    let when = job.moment.map_or_else(|| job.target.to_string(), target::shown);
    draft.plan.title = format!("{verb} {} as of {when}", set.name);
    match further {
        None => draft.effects(&format!("makes a cluster in {}", job.side.display())),
        Some(cluster) => {
            draft.effects(&format!("replays the side cluster {} further, from {}", job.side.display(), at(cluster)));
            draft.effect(
                "what it is now is gone then; when the replay fails it is removed, and when only the verification does it \
                 stays paused and is not ready",
            );
        }
    }
    draft.effect("the live cluster is not touched or connected to; the side cluster archives nothing and listens on this host only");
    if let Some(moment) = job.moment {
        let moment = Time::from_ms(moment / 1000);
        let lost = draft.ctx.now.since(moment);
        draft.plan.data_lost_ms = Some(draft.ctx.now.ms_since(moment).max(0));
        let rpo = match set.rpo {
            Some(rpo) if lost > rpo => format!("; RPO {}, over by {}", text::duration(rpo), text::duration(lost - rpo)),
            Some(rpo) => format!("; RPO {}", text::duration(rpo)),
            None => String::new(),
        };
        draft.effect(format!("{} of changes after {when} are not in it{rpo}", text::duration(lost)));
    }
    draft.plan.copy = Some(job.copy.clone());
    if test {
        draft.effect(format!("a test: {} is removed after the proof", job.side.display()));
        draft.plan.undo = "nothing is left to undo".into();
    } else {
        let next = match (how.tables.is_empty(), how.switch.is_empty()) {
            (false, _) => "takes chosen tables back beside the live database",
            (true, false) => "promotes it and runs the switch command",
            (true, true) => "promotes it and tells its address",
        };
        draft.effect(format!("stops paused at the target; the cut-over, a step of its own, {next}"));
        draft.plan.undo = format!("dropping {} undoes it", job.side.display());
    }
}

fn phases(draft: &mut Draft<'_>, job: &Job, further: bool) {
    let args = job::write(job);
    let word = |p: &Path| text::shell_word(&p.display().to_string());
    if !job.leftovers.is_empty() {
        let shown = job.leftovers.iter().map(|p| format!("end its server; rm -r {}", word(p))).collect();
        draft.native("remove what earlier runs left", 1, pitr::CLEAN, &args, shown);
    }
    let data = pitr::data(&job.side);
    if !further {
        let unpack = match &job.base.layout {
            Layout::Plain { root } => vec![format!("cp -r {}/. {}", word(root), word(&data))],
            Layout::Tars { base, log, spaces, .. } => {
                let mut shown = vec![format!("tar -xf {} -C {}", word(base), word(&data))];
                shown.extend(log.iter().map(|l| format!("tar -xf {} -C {}", word(l), word(&data.join("pg_wal")))));
                shown.extend(spaces.iter().map(|(oid, p)| {
                    format!("tar -xf {} -C {}", word(p), word(&job.side.join("tablespaces").join(oid.to_string())))
                }));
                shown
            }
            Layout::Repo { .. } | Layout::WalG { .. } => pitr::restore_command(job)
                .map(|(tool, args)| {
                    let args: Vec<_> = args.iter().map(|a| text::shell_word(a)).collect();
                    format!("{} {}", word(&tool), args.join(" "))
                })
                .into_iter()
                .collect(),
        };
        draft.native("unpack the base backup", 40, pitr::UNPACK, &args, unpack);
        if job.base.manifest {
            let shown = format!(
                "{} -n -m {} {}",
                word(&job.programs.join("pg_verifybackup")),
                word(&job.side.join("backup_manifest")),
                word(&data)
            );
            draft.native("check the base backup", 10, pitr::CHECK, &args, vec![shown]);
        }
    }
    let mut shown: Vec<String> =
        conf::recovery(job).iter().map(|(n, v)| format!("{n} = {}", conf::quoted(v))).collect();
    let off = ["archive_mode", "archive_command", "listen_addresses"];
    let off = conf::confined(job, 0).into_iter().filter(|(n, _)| off.contains(&n.as_str()));
    shown.extend(off.map(|(n, v)| format!("{n} = {}", conf::quoted(&v))));
    shown.push(format!("{} -D {}", word(&job.programs.join("postgres")), word(&data)));
    draft.native("replay the log", 45, if further { pitr::FURTHER } else { pitr::REPLAY }, &args, shown);
    let verify = job.verify.iter().map(|q| text::clean(q).into_owned()).collect();
    draft.native("verify", 5, pitr::VERIFY, &args, verify);
    if job.test {
        draft.native(
            "remove the proof",
            2,
            pitr::PROOF,
            &args,
            vec![format!("end its server; rm -r {}", word(&job.side))],
        );
    }
}
