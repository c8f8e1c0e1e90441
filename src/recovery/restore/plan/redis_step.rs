//! Planning what follows a restore of Redis: the cut-over in its three ways, its undo, and dropping what was left.

use std::path::PathBuf;
use std::time::Duration;

use super::super::folder;
use super::super::job::{self, PinnedFolder};
use super::super::names::Beside;
use super::super::redis::client::Conn;
use super::super::redis::file::Files;
use super::super::redis::live::Facts;
use super::super::redis::scratch::{self, Note, Stage};
use super::super::redis::{self, Hand, Wanted, keys, keys_word};
use super::folder::blocking;
use super::redis::unreachable;
use super::redis_look::{self as look, Live, rdb_of, version_word};
use super::{Draft, Found, STEP_TIMEOUT_MS, Say, begin, disk, expect, service_of, timeout_ms};
use crate::config::{RedisBy, RedisRestore};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, SideRole, Step, Work};
use crate::recovery::control;
use crate::recovery::plan::{PlanContext, Planned};
use crate::text;

/// Keys looked at for counting conflicts.
const COUNTED: u64 = 20_000;
const COUNT_LIMIT: Duration = Duration::from_secs(20);

pub async fn plan(ctx: &PlanContext, work: &Work, found: &Found<'_>, how: &RedisRestore) -> Result<Planned, Refusal> {
    let side = found.side;
    let drop = matches!(work, Work::Drop { .. });
    let risk = if drop && side.role == SideRole::Ready { Risk::Disruptive } else { Risk::Destructive };
    let mut draft = begin(ctx, work, found.set, risk);
    let live = look::live(&mut draft, ctx, found.set, how).await;
    draft.plan.holds.push(format!("redis {}", side.live));
    draft.plan.target = look::typed(found.set);
    let enter = pinned(&mut draft, found).await;
    let note = Note::read(&enter.path);
    if drop {
        describe_drop(&mut draft, ctx, found, note.as_ref());
        let job = redis::Drop { live: side.live.clone(), run: ctx.run_id.clone(), gone: enter };
        let shown = format!("end its server; rm -r {}", text::shell_word(&side.name));
        draft.native("drop", 1, redis::DROP, &job::write(&job), vec![shown]);
        return Ok(draft.done(STEP_TIMEOUT_MS));
    }
    if live.label != side.live {
        return Err(Refusal::new(
            format!(
                "{} was restored for {}, and backup {} is of {} now",
                side.name, side.live, found.set.name, live.label
            ),
            format!("put that address back into the configuration, or deal with {} by hand", side.name),
        ));
    }
    let undo = matches!(work, Work::Undo { .. });
    let stage = note.as_ref().map(|n| n.stage);
    let fits = if undo { matches!(stage, Some(Stage::Kept | Stage::Keys)) } else { stage == Some(Stage::Ready) };
    if !fits {
        draft.fail("side folder", format!("{} is not complete: restore again", side.name));
    }
    let mut job = Hand {
        reach: live.reach.clone(),
        backup: found.set.name.clone(),
        run: ctx.run_id.clone(),
        live: side.live.clone(),
        live_run: live.facts.as_ref().map(|f| f.info.get("run_id").to_owned()).unwrap_or_default(),
        enter,
        kept_as: look::beside(ctx, how, &live.label, if undo { Beside::Abandoned } else { Beside::Before }),
        copy: found.args.copy.clone(),
        undo,
        host: how.reachable_as.clone().unwrap_or_else(|| "127.0.0.1".into()),
        wanted: if undo {
            Wanted::default()
        } else {
            let db = live.target.as_ref().map_or(0, |t| t.db);
            Wanted { must_exist: how.must_exist.clone(), db, at_least: how.at_least.clone() }
        },
        replid: None,
        files: None,
        keys: if undo { Vec::new() } else { how.keys.clone() },
        replace: how.replace,
    };
    let facts = server(&mut draft, &live);
    if job.kept_as.symlink_metadata().is_ok() {
        draft.fail("name free", format!("there is already a {}: remove it", job.kept_as.display()));
    }
    describe(&mut draft, ctx, found, &job, note.as_ref());
    let single = stage == Some(Stage::Keys) || !job.keys.is_empty();
    if let (Some(facts), Some(note), false) = (&facts, &note, single) {
        whole(&mut draft, &live, facts, &job, note).await;
    }
    let target = draft.plan.target.clone();
    draft.expect(expect::of_steps(&ctx.runs, work, &target));
    if stage == Some(Stage::Keys) {
        let args = job::write(&job);
        draft.native(
            "put the keys back",
            1,
            redis::KEYS_UNDO,
            &args,
            vec!["RESTORE key ttl value REPLACE, DEL key".into()],
        );
    } else if !job.keys.is_empty() {
        bring_keys(&mut draft, &live, &job).await;
    } else if how.by == RedisBy::File {
        by_file(&mut draft, ctx, found, &live, facts.as_ref(), &mut job, note.as_ref()).await?;
    } else {
        by_replication(&mut draft, how, &live, facts.as_ref(), &job, note.as_ref()).await;
    }
    if !undo {
        draft.after_checks(found.set);
    }
    Ok(draft.done(timeout_ms(how.timeout).max(STEP_TIMEOUT_MS)))
}

/// The side folder is the one that the run left.
async fn pinned(draft: &mut Draft<'_>, found: &Found<'_>) -> PinnedFolder {
    let path = PathBuf::from(&found.side.name);
    let look = path.clone();
    let name = "side folder";
    match blocking("look at the side folder", move || folder::pin(&look)).await {
        Err(why) => draft.fail(name, why),
        Ok(Err(e)) => draft.fail(name, format!("{} cannot be found: {e}: restore again", path.display())),
        Ok(Ok(there)) => match &found.args.folder {
            Some(was) if was.inode != there.inode => {
                let run = found.run.id();
                draft.fail(name, format!("{} is another folder than run {run} left: look at it", path.display()));
            }
            _ => {
                draft.pass(name, format!("{} is there", path.display()));
                return there;
            }
        },
    }
    PinnedFolder { path, inode: 0 }
}

fn server(draft: &mut Draft<'_>, live: &Live) -> Option<Facts> {
    match &live.facts {
        Err(why) => {
            draft.fail("live server", format!("{why}: start it first, it may be empty"));
            None
        }
        Ok(facts) => {
            match facts.obstacle(&live.label) {
                Some(why) => draft.fail("live server", why),
                None => draft.pass(
                    "live server",
                    format!(
                        "Redis {} answers at {}, {}, {} connected",
                        facts.info.get("redis_version"),
                        live.label,
                        keys_word(&facts.info.keys()),
                        text::plural(usize::try_from(facts.info.number("connected_clients")).unwrap_or(0), "client")
                    ),
                ),
            }
            Some(facts.clone())
        }
    }
}

/// What holds for every way of taking over a whole data set.
async fn whole(draft: &mut Draft<'_>, live: &Live, facts: &Facts, job: &Hand, note: &Note) {
    let mut need = job.enter.path.join(scratch::DUMP).metadata().map_or(0, |m| m.len());
    if let Some(target) = scratch::running(&job.enter.path).await
        && let Ok(mut conn) = Conn::open(&target).await
        && let Ok(info) = conn.info().await
    {
        need = info.number("used_memory");
        draft.pass("scratch server", format!("it runs and has {}", keys_word(&info.keys())));
    } else {
        draft.warn("scratch server", format!("it does not run and is started again with {}", keys_word(&note.counts)));
    }
    look::maxmemory(draft, facts, need, true);
    if let Some(last) = note.counts.keys().next_back().filter(|db| **db >= facts.databases) {
        draft.fail(
            "databases",
            format!("the copy has keys in database {last} and {} has {}", live.label, facts.databases),
        );
    }
    let replicas = facts.info.number("connected_slaves");
    if replicas > 0 {
        let replicas = text::plural(usize::try_from(replicas).unwrap_or(0), "replica");
        draft.warn("replicas", format!("{replicas} of {} copy everything anew afterwards", live.label));
    }
    let dir = job.kept_as.ancestors().find(|d| d.is_dir()).map(PathBuf::from).unwrap_or_default();
    // An RDB file is smaller than what it takes in memory.
    let keep = facts.info.number("used_memory_dataset").max(1);
    match disk::space(&dir).await {
        Err(e) => draft.fail("disk", format!("{}: {e}", dir.display())),
        Ok(space) => {
            let said = format!("at most {} to keep what is live, {} free", text::size(keep), text::size(space.free));
            if space.free >= keep {
                draft.pass("disk", said);
            } else {
                draft.warn("disk", format!("{said}: nothing is handed over unless it could be kept"));
            }
        }
    }
}

fn describe(draft: &mut Draft<'_>, ctx: &PlanContext, found: &Found<'_>, job: &Hand, note: Option<&Note>) {
    let (live, side) = (&job.live, found.side);
    let kept = job.kept_as.display();
    let keys = note.map(|n| keys_word(&n.counts)).unwrap_or_default();
    if job.undo {
        draft.plan.title = format!("undo the cut-over of {live}");
        let lost = text::duration(ctx.now.since(side.created_at));
        if note.is_some_and(|n| n.stage == Stage::Keys) {
            draft.effects(&format!("puts the keys of {live} back that were brought back {lost} ago"));
            draft.effect("keys that somebody has changed since are left as they are");
            return;
        }
        draft.plan.data_lost_ms = Some(ctx.now.ms_since(side.created_at).max(0));
        draft.effects(&format!("{live} gets back what it had before, {keys}"));
        draft.effect(format!("writes since {} ({lost}) are no longer live; they are kept in {kept}", side.created_at));
        draft.plan.undo = super::undo_again(ctx, found.set, &kept);
        return;
    }
    if !job.keys.is_empty() {
        draft.copy_of(found.set, &found.args.copy.clone());
        draft.plan.title = format!("bring keys back into {live}");
        let patterns: Vec<String> = job.keys.iter().map(|k| text::clean(k).into_owned()).collect();
        draft.effects(&format!("brings the keys like {} back into {live}", patterns.join(", ")));
        draft.plan.undo = format!("undo removes or puts back those that nobody changed since, from {kept}");
        return;
    }
    draft.price(found.set, &found.args.copy.clone());
    draft.plan.title = format!("cut {live} over to {}", side.name);
    draft.effects(&format!("{live} gets the data of {}, {keys}", side.name));
    draft.effect(format!("what it has now is fetched first, while writes are held, and kept as {kept}"));
    draft.plan.undo = format!("undo puts {kept} back until it is dropped; writes made in between are lost with it");
}

fn describe_drop(draft: &mut Draft<'_>, ctx: &PlanContext, found: &Found<'_>, note: Option<&Note>) {
    let side = found.side;
    let age = text::duration(ctx.now.since(side.created_at));
    draft.plan.title = format!("drop {}", side.name);
    let what = match side.role {
        SideRole::Ready => "the scratch server and its copy",
        SideRole::Before if note.is_some_and(|n| n.stage == Stage::Keys) => {
            "what single keys were before: bringing them back can no longer be undone"
        }
        SideRole::Before => "what was live before the cut-over: it can no longer be undone",
        _ => "what was live between cut-over and undo, with the writes of that time",
    };
    draft.effects(&format!("removes {}, {what}, {age} old, and frees {}", side.name, text::size(side.size)));
}

async fn by_replication(
    draft: &mut Draft<'_>,
    how: &RedisRestore,
    live: &Live,
    facts: Option<&Facts>,
    job: &Hand,
    note: Option<&Note>,
) {
    if let Some(facts) = facts {
        if let Some(why) = facts.no_follower(&live.label) {
            draft.fail("hand-over", why);
        }
        older(draft, facts, note).await;
    }
    if !live.target.as_ref().is_some_and(|t| t.is_here()) && how.reachable_as.is_none() {
        draft.fail("hand-over", unreachable(&live.label));
    }
    draft.effect(
        "writes are held, then refused with READONLY, until it is done; reads are answered with LOADING for a moment",
    );
    let args = job::write(job);
    let folder = text::shell_word(&job.enter.path.display().to_string());
    draft.native(
        "see that the scratch server runs",
        20,
        redis::WAKE,
        &args,
        vec![format!("redis-server {folder}/redis.conf")],
    );
    let shown = vec![
        "CONFIG SET masterauth ***".into(),
        "CLIENT PAUSE 8000 WRITE, renewed".into(),
        format!("SYNC > {}", text::shell_word(&job.kept_as.join(scratch::DUMP).display().to_string())),
        format!("REPLICAOF {} PORT_OF_THE_SCRATCH_SERVER", job.host),
        "wait until link and offset say that it has everything".into(),
        "REPLICAOF NO ONE".into(),
    ];
    draft.native(if job.undo { "put back" } else { "hand over" }, 80, redis::HAND, &args, shown);
}

/// The live server reads what the scratch server of this host sends.
async fn older(draft: &mut Draft<'_>, facts: &Facts, note: Option<&Note>) {
    let Some(note) = note else { return };
    let ours = look::version_of(&note.program).await;
    let theirs = facts.info.version();
    let (Some(sent), Some(read)) = (rdb_of(ours), rdb_of(theirs)) else {
        return draft
            .pass("versions", format!("Redis {} takes over from {}", version_word(theirs), version_word(ours)));
    };
    if ours > 0 && sent > read {
        draft.fail(
            "versions",
            format!(
                "the live server is Redis {} and cannot read what redis-server {} sends: use by = \"file\", or install redis-server {} here",
                version_word(theirs),
                version_word(ours),
                version_word(theirs)
            ),
        );
    } else {
        draft.pass("versions", format!("Redis {} takes over from {}", version_word(theirs), version_word(ours)));
    }
}

async fn bring_keys(draft: &mut Draft<'_>, live: &Live, job: &Hand) {
    let work = async {
        let scratch = scratch::running(&job.enter.path).await.ok_or("the scratch server does not run yet")?;
        let mut beside = Conn::open(&scratch).await.map_err(|e| e.text)?;
        let target = live.target.as_ref().ok_or("the live server does not answer")?;
        let mut conn = Conn::open(target).await.map_err(|e| e.text)?;
        keys::count(&mut beside, &mut conn, &job.keys, COUNTED).await.map_err(|e| e.text)
    };
    let counted: Result<keys::Counts, String> =
        tokio::time::timeout(COUNT_LIMIT, work).await.unwrap_or_else(|_| Err("counting takes long".into()));
    match counted {
        Err(why) => draft.warn("keys", format!("not counted: {why}")),
        Ok(counts) => {
            let first = if counts.more { "of the first ones " } else { "" };
            let fate = if job.replace { "replaced" } else { "left as they are" };
            let said = format!(
                "{first}{} are added, {} are the same, {} differ in the live data and are {fate}",
                counts.added, counts.same, counts.differing
            );
            if counts.differing > 0 { draft.warn("keys", said) } else { draft.pass("keys", said) }
        }
    }
    let args = job::write(job);
    let folder = text::shell_word(&job.enter.path.display().to_string());
    draft.native(
        "see that the scratch server runs",
        20,
        redis::WAKE,
        &args,
        vec![format!("redis-server {folder}/redis.conf")],
    );
    let replace = if job.replace { " REPLACE" } else { "" };
    let shown = job.keys.iter().map(|k| format!("SCAN MATCH {}: DUMP there, RESTORE{replace} here", text::clean(k)));
    draft.native("bring keys back", 80, redis::KEYS, &args, shown.collect());
}

async fn by_file(
    draft: &mut Draft<'_>,
    ctx: &PlanContext,
    found: &Found<'_>,
    live: &Live,
    facts: Option<&Facts>,
    job: &mut Hand,
    note: Option<&Note>,
) -> Result<(), Refusal> {
    let Some(service) = service_of(ctx, found.set) else {
        return Err(Refusal::usage("by = \"file\" stops the server, and the backup names no service", "set `service`"));
    };
    let mut steps = Vec::new();
    for work in [Work::Stop { service: service.name.clone() }, Work::Start { service: service.name.clone() }] {
        let stop = matches!(work, Work::Stop { .. });
        let planned = control::plan(ctx, &work).await?;
        // That it runs now is no fault: it is stopped before it is started.
        let said =
            planned.plan.preconditions.into_iter().filter(|p| stop || p.result == crate::domain::run::Checked::Failed);
        draft.plan.preconditions.extend(said);
        draft.hand_over(planned.secrets);
        steps.push(planned.plan.phases.into_iter().map(|p| p.step).collect::<Vec<Step>>());
    }
    let (start, stop) = (steps.pop().unwrap_or_default(), steps.pop().unwrap_or_default());
    if let (Some(facts), Some(target)) = (facts, &live.target) {
        let version = facts.info.version();
        let asked = match Conn::open(target).await {
            Ok(mut conn) => Files::of(&mut conn, version).await,
            Err(e) => Err(e.text),
        };
        match asked {
            Ok(files) => {
                files_checks(draft, &files, facts, note, &job.enter.path);
                job.files = Some(Files { stop: stop.clone(), start: start.clone(), ..files });
            }
            Err(why) => draft.fail("files", why),
        }
    }
    let mut shown =
        vec![format!("SYNC > {}", text::shell_word(&job.kept_as.join(scratch::DUMP).display().to_string()))];
    shown.extend(stop.iter().flat_map(Step::shown));
    if let Some(files) = &job.files {
        let live = |name: &str| text::shell_word(&files.dir.join(name).display().to_string());
        let name = files.append_dir.as_deref().unwrap_or(&files.append_name);
        shown.push(format!("mv {0} {0}.before-{1}; put the new one in its place", live(&files.dbfilename), job.run));
        shown.push(match files.append {
            true => {
                format!("mv {0} {0}.before-{1}; put one made of the new RDB file in its place", live(name), job.run)
            }
            false => format!("mv {0} {0}.before-{1}, if there is one", live(name), job.run),
        });
    }
    shown.extend(start.iter().flat_map(Step::shown));
    draft.effect(format!(
        "{} is stopped and started again: connections end, nobody is answered meanwhile",
        service.name
    ));
    draft.native(if job.undo { "put back" } else { "exchange the files" }, 1, redis::FILE, &job::write(job), shown);
    Ok(())
}

fn files_checks(draft: &mut Draft<'_>, files: &Files, facts: &Facts, note: Option<&Note>, enter: &std::path::Path) {
    let dir = files.dir.display();
    let writable = rustix::fs::access(&files.dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    if !files.dir.is_dir() {
        draft.fail(
            "files",
            format!("the server keeps its data in {dir}, which is not on this host: use by = \"replication\""),
        );
    } else if !writable {
        draft.fail("files", format!("this user may not write in {dir}: run mayday as one who may"));
    } else {
        let from = if files.append { "its append-only file, which is made anew" } else { "its RDB file" };
        draft.pass("files", format!("the server starts from {from}, in {dir}"));
    }
    let head = std::fs::File::open(enter.join(scratch::DUMP)).ok().and_then(|mut f| {
        use std::io::Read;
        let mut front = vec![0; 9];
        f.read_exact(&mut front).ok()?;
        crate::sys::rdb::head(&front)
    });
    let theirs = facts.info.version();
    if let (Some(head), Some(read), Some(_)) = (head, rdb_of(theirs), note) {
        if head.version > read {
            draft.fail(
                "versions",
                format!(
                    "the file is of RDB version {}, Redis {} reads them up to {read}",
                    head.version,
                    version_word(theirs)
                ),
            );
        } else {
            draft.pass("versions", format!("Redis {} reads RDB version {}", version_word(theirs), head.version));
        }
    }
}
