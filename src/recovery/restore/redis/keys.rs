//! Bringing back single keys: `DUMP` from the scratch server, `RESTORE` into the live one, with the time to live that they
//! had left.
//!
//! Before a key is touched, what it was stands on disk (`keys.jsonl`), and afterwards what it became (`after.jsonl`): undo
//! puts back exactly those that nobody has changed since.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::client::{Conn, Fault, Reply};
use super::scratch::{self, Note, Stage};
use super::{Hand, KEYS_BACK, compensation, connect, hand, live, load, recorded, side};
use crate::domain::run::SideRole;
use crate::recovery::op::{Done, OpContext, OpError};
use crate::recovery::restore::job;
use crate::sys::clock;
use crate::text;

const BEFORE: &str = "keys.jsonl";
const AFTER: &str = "after.jsonl";
/// Keys handled at once.
const BATCH: usize = 100;
/// For one batch.
const LIMIT: Duration = Duration::from_secs(120);

/// What becomes of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not in the live data.
    pub added: u64,
    pub same: u64,
    /// In both, and different.
    pub differing: u64,
    /// There are more that were not counted.
    pub more: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Was {
    db: u32,
    key: String,
    /// What it becomes, as [`sum`] has it.
    new: String,
    /// `None`: there was none.
    old: Option<String>,
    /// Milliseconds since 1970 at which it was to expire.
    until: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Became {
    db: u32,
    key: String,
    sum: String,
}

/// A value and its time to live in milliseconds, of which 0 is for ever.
type Value = Option<(Vec<u8>, i64)>;

async fn values(conn: &mut Conn, keys: &[Vec<u8>]) -> Result<Vec<Value>, Fault> {
    let mut orders: Vec<Vec<&[u8]>> = Vec::with_capacity(keys.len() * 2);
    for key in keys {
        orders.push(vec![b"DUMP", key]);
        orders.push(vec![b"PTTL", key]);
    }
    let mut answers = conn.ask_all(&orders, LIMIT).await?.into_iter();
    let mut values = Vec::with_capacity(keys.len());
    while let (Some(dump), Some(ttl)) = (answers.next(), answers.next()) {
        values.push(match (dump?, ttl?.int()) {
            (Reply::Bytes(bytes), ttl) if ttl != -2 => Some((bytes, ttl.max(0))),
            _ => None,
        });
    }
    Ok(values)
}

/// A dump without its last ten bytes, which are the version of the format and a sum over it.
fn body(dump: &[u8]) -> &[u8] {
    dump.get(..dump.len().saturating_sub(10)).unwrap_or_default()
}

fn sum(dump: &[u8]) -> String {
    hex::encode(Sha256::digest(body(dump)))
}

/// What would become of the keys of these patterns, up to `most` of them.
pub async fn count(beside: &mut Conn, conn: &mut Conn, patterns: &[String], most: u64) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    let databases = beside.info().await?.keys();
    for db in databases.keys().map(u32::to_string) {
        beside.say(&["SELECT", &db]).await?;
        conn.say(&["SELECT", &db]).await?;
        for pattern in patterns {
            let mut cursor = "0".to_owned();
            loop {
                let (next, keys) = load::scan(beside, &cursor, pattern).await?;
                for batch in keys.chunks(BATCH) {
                    if counts.added + counts.same + counts.differing > most {
                        counts.more = true;
                        return Ok(counts);
                    }
                    let ours = values(beside, batch).await?;
                    let theirs = values(conn, batch).await?;
                    for pair in ours.into_iter().zip(theirs) {
                        match pair {
                            (None, _) => {}
                            (Some(_), None) => counts.added += 1,
                            (Some(a), Some(b)) if body(&a.0) == body(&b.0) => counts.same += 1,
                            _ => counts.differing += 1,
                        }
                    }
                }
                cursor = next;
                if cursor == "0" {
                    break;
                }
            }
        }
    }
    Ok(counts)
}

pub async fn run(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("bring keys back into {}", job.live);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    hand::pinned(job, &what)?;
    let gone = || failed("the scratch server does not run: plan anew".into());
    let scratch = scratch::running(&job.enter.path).await.ok_or_else(gone)?;
    let mut beside = Conn::open(&scratch).await.map_err(|e| failed(e.to_string()))?;
    let (_, mut conn) = connect(&job.reach, &what, ctx).await?;
    let facts = live::look(&mut conn).await.map_err(|e| failed(e.to_string()))?;
    if let Some(why) = facts.obstacle(&job.live) {
        return Err(failed(why));
    }
    let mut note = Note::read(&job.enter.path).ok_or_else(gone)?;
    note.run.clone_from(&job.run);
    note.stage = Stage::Incomplete;
    let shown = format!("put the keys of {} back as they were", job.live);
    ctx.sink.compensation(Some(&compensation(KEYS_BACK, job::write(job), shown))).map_err(recorded(&what))?;
    let counts = match bring(job, &note, &mut beside, &mut conn, ctx).await {
        Ok(counts) => counts,
        Err(error) => {
            let back = put_back(&job.kept_as, &mut conn).await;
            let said = match back {
                Ok(_) => {
                    let _ = scratch::remove(&job.kept_as).await;
                    ctx.sink.compensation(None).map_err(recorded(&what))?;
                    format!("{} has the keys it had", job.live)
                }
                Err(why) => format!("{why}: this stays open and is tried again"),
            };
            return Err(match error {
                OpError::Failed(why) => OpError::Failed(format!("{what}: {why}; {said}")),
                other => {
                    ctx.sink.line(&said);
                    other
                }
            });
        }
    };
    note.stage = Stage::Keys;
    note.write(&job.kept_as).map_err(failed)?;
    let size = job.kept_as.join(BEFORE).metadata().map_or(0, |m| m.len());
    let kept = side(&job.kept_as, &job.live, SideRole::Before, size, &job.backup, &job.copy);
    ctx.sink.side(&kept).map_err(recorded(&what))?;
    ctx.sink.compensation(None).map_err(recorded(&what))?;
    let differing = match (counts.differing, job.replace) {
        (n, true) => format!("{n} replaced"),
        (n, false) => format!("{n} differing ones left as they are"),
    };
    let kept = job.kept_as.display();
    let said = format!("{} keys added, {differing}, {} were the same; undo is in {kept}", counts.added, counts.same);
    match load::wanted(&mut conn, &job.wanted, &facts.info.keys(), ctx).await {
        Err(OpError::Failed(why)) => Err(OpError::Contradicted(format!("{what}: {said}; yet {why}"))),
        _ => Ok(Done { verified: Some(format!("{}: {said}", job.live)) }),
    }
}

async fn bring(
    job: &Hand,
    note: &Note,
    beside: &mut Conn,
    conn: &mut Conn,
    ctx: &OpContext,
) -> Result<Counts, OpError> {
    let said = |e: Fault| OpError::Failed(e.to_string());
    let disk = |e: std::io::Error| OpError::Failed(format!("{}: {e}", job.kept_as.display()));
    scratch::create(&job.kept_as, note).map_err(OpError::Failed)?;
    let mut before = scratch::file(&job.kept_as, BEFORE, None).map_err(OpError::Failed)?;
    let mut after = scratch::file(&job.kept_as, AFTER, None).map_err(OpError::Failed)?;
    let mut counts = Counts::default();
    for db in beside.info().await.map_err(said)?.keys().into_keys() {
        for conn in [&mut *beside, &mut *conn] {
            conn.say(&["SELECT", &db.to_string()]).await.map_err(said)?;
        }
        for pattern in &job.keys {
            let mut cursor = "0".to_owned();
            loop {
                let (next, keys) = load::scan(beside, &cursor, pattern).await.map_err(said)?;
                for batch in keys.chunks(BATCH) {
                    if ctx.cancel.is_cancelled() {
                        return Err(OpError::Cancelled);
                    }
                    let ours = values(beside, batch).await.map_err(said)?;
                    let theirs = values(conn, batch).await.map_err(said)?;
                    let mut apply = Vec::new();
                    for ((key, new), old) in batch.iter().zip(ours).zip(theirs) {
                        let Some(new) = new else { continue };
                        match &old {
                            None => {}
                            Some(old) if body(&old.0) == body(&new.0) => {
                                counts.same += 1;
                                continue;
                            }
                            Some(_) => {
                                counts.differing += 1;
                                if !job.replace {
                                    continue;
                                }
                            }
                        }
                        let until = old.as_ref().filter(|o| o.1 > 0).map(|o| clock::now_ms() + o.1);
                        let was = Was {
                            db,
                            key: hex::encode(key),
                            new: sum(&new.0),
                            old: old.as_ref().map(|o| hex::encode(&o.0)),
                            until,
                        };
                        line(&mut before, &was).map_err(disk)?;
                        apply.push((key, new, old.is_some()));
                    }
                    before.sync_data().map_err(disk)?;
                    counts.added += restore(conn, db, &apply, &mut after).await?;
                }
                ctx.sink.progress(counts.added + counts.same + counts.differing, 0, "bringing keys back");
                cursor = next;
                if cursor == "0" {
                    break;
                }
            }
        }
    }
    after.sync_data().map_err(disk)?;
    Ok(counts)
}

fn line(to: &mut File, what: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(what).unwrap_or_default();
    text.push(b'\n');
    to.write_all(&text)
}

type Apply<'a> = (&'a Vec<u8>, (Vec<u8>, i64), bool);

/// Puts values into the live server. How many are new there.
async fn restore(conn: &mut Conn, db: u32, apply: &[Apply<'_>], after: &mut File) -> Result<u64, OpError> {
    let said = |e: Fault| OpError::Failed(e.to_string());
    let times: Vec<String> = apply.iter().map(|(_, (_, ttl), _)| ttl.to_string()).collect();
    let mut orders: Vec<Vec<&[u8]>> = Vec::new();
    for ((key, (dump, _), replace), ttl) in apply.iter().zip(&times) {
        let mut order: Vec<&[u8]> = vec![b"RESTORE", key, ttl.as_bytes(), dump];
        if *replace {
            order.push(b"REPLACE");
        }
        orders.push(order);
    }
    let answers = conn.ask_all(&orders, LIMIT).await.map_err(said)?;
    let mut added = 0;
    let mut done = Vec::new();
    for ((key, _, replace), answer) in apply.iter().zip(answers) {
        match answer {
            Ok(_) => {
                added += u64::from(!replace);
                done.push((*key).clone());
            }
            // A client made it meanwhile: it is theirs.
            Err(e) if e.code == "BUSYKEY" => {}
            Err(e) => return Err(OpError::Failed(format!("key {}: {e}", text::clean_bytes(key)))),
        }
    }
    for (key, value) in done.iter().zip(values(conn, &done).await.map_err(said)?) {
        let Some((dump, _)) = value else { continue };
        let became = Became { db, key: hex::encode(key), sum: sum(&dump) };
        line(after, &became).map_err(|e| OpError::Failed(format!("{AFTER}: {e}")))?;
    }
    Ok(added)
}

/// What undoing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Back {
    put: u64,
    removed: u64,
    /// Changed by somebody since: left as they are.
    left: u64,
}

/// Puts keys back as they were, those that are as the run left them. Safe to do again.
async fn put_back(folder: &Path, conn: &mut Conn) -> Result<Back, String> {
    let open = |name: &str| -> Result<Option<BufReader<File>>, String> {
        match File::open(folder.join(name)) {
            Ok(file) => Ok(Some(BufReader::new(file))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{}: {e}", folder.join(name).display())),
        }
    };
    let mut back = Back::default();
    let mut sums = HashMap::new();
    for text in open(AFTER)?.into_iter().flat_map(BufRead::lines) {
        // The last line may be torn.
        if let Ok(b) = serde_json::from_str::<Became>(&text.map_err(|e| e.to_string())?) {
            sums.insert((b.db, b.key), b.sum);
        }
    }
    let said = |e: Fault| e.to_string();
    for text in open(BEFORE)?.into_iter().flat_map(BufRead::lines) {
        let Ok(was) = serde_json::from_str::<Was>(&text.map_err(|e| e.to_string())?) else { continue };
        let key = hex::decode(&was.key).map_err(|e| e.to_string())?;
        conn.say(&["SELECT", &was.db.to_string()]).await.map_err(said)?;
        let now = values(conn, std::slice::from_ref(&key)).await.map_err(said)?.pop().flatten();
        let after = sums.get(&(was.db, was.key.clone()));
        let as_left = now.as_ref().map(|(dump, _)| sum(dump)).is_some_and(|s| s == was.new || Some(&s) == after);
        if !as_left {
            // What it was all the time, because it had not come to it, is nobody's change.
            let untouched = now.as_ref().map(|(dump, _)| hex::encode(dump)) == was.old;
            back.left += u64::from(!untouched);
            continue;
        }
        let ttl = was.until.map_or(0, |until| until - clock::now_ms());
        match was.old.filter(|_| was.until.is_none() || ttl > 0) {
            None => {
                conn.ask(&[b"DEL", &key]).await.map_err(said)?;
                back.removed += 1;
            }
            Some(old) => {
                let old = hex::decode(old).map_err(|e| e.to_string())?;
                let ttl = ttl.to_string();
                conn.ask(&[b"RESTORE", &key, ttl.as_bytes(), &old, b"REPLACE"]).await.map_err(said)?;
                back.put += 1;
            }
        }
    }
    Ok(back)
}

pub async fn undo(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("undo what was brought back into {}", job.live);
    hand::pinned(job, &what)?;
    let (_, mut conn) = connect(&job.reach, &what, ctx).await?;
    let back = put_back(&job.enter.path, &mut conn).await;
    let back = back.map_err(|why| OpError::Failed(format!("{what}: {why}: undo again, it goes on where it was")))?;
    scratch::remove(&job.enter.path).await.map_err(OpError::Failed)?;
    ctx.sink.gone(&job.enter.path.display().to_string()).map_err(recorded(&what))?;
    Ok(Done {
        verified: Some(format!(
            "{}: {} keys removed again, {} have what they had, {} were changed since and are left",
            job.live, back.removed, back.put, back.left
        )),
    })
}

/// The compensation of a run that died.
pub async fn compensate(job: &Hand, ctx: &OpContext) -> Result<Done, OpError> {
    let what = format!("put the keys of {} back", job.live);
    let failed = |why: String| OpError::Failed(format!("{what}: {why}"));
    if Note::read(&job.kept_as).is_some_and(|n| n.stage == Stage::Keys) {
        let size = job.kept_as.join(BEFORE).metadata().map_or(0, |m| m.len());
        let kept = side(&job.kept_as, &job.live, SideRole::Before, size, &job.backup, &job.copy);
        ctx.sink.side(&kept).map_err(recorded(&what))?;
        ctx.sink.compensation(None).map_err(recorded(&what))?;
        return Ok(Done { verified: Some("the keys had been brought back".into()) });
    }
    let (_, mut conn) = connect(&job.reach, &what, ctx).await?;
    let back = put_back(&job.kept_as, &mut conn).await.map_err(failed)?;
    scratch::remove(&job.kept_as).await.map_err(failed)?;
    ctx.sink.compensation(None).map_err(recorded(&what))?;
    Ok(Done { verified: Some(format!("{}: {} keys removed, {} put back", job.live, back.removed, back.put)) })
}
