//! Planning the import of definitions of RabbitMQ: the difference first, then the import, its undo, and dropping.

use std::path::PathBuf;
use std::time::Duration;

use super::super::folder;
use super::super::format;
use super::super::job::{self, PinnedFolder};
use super::super::names::{self, Beside};
use super::super::rabbit::api::{Api, Reach, reach};
use super::super::rabbit::definitions::{Definitions, difference};
use super::super::rabbit::{self, Import, Job};
use super::super::secrets;
use super::folder::blocking;
use super::redis_look::typed;
use super::{Draft, Found, STEP_TIMEOUT_MS, Say, begin, copy, expect, timeout_ms};
use crate::config::{Backup, RabbitRestore};
use crate::domain::command::Refusal;
use crate::domain::run::{Risk, SideRole, Work};
use crate::recovery::plan::expect::expect as expect_runs;
use crate::recovery::plan::{PlanContext, Planned};
use crate::text;

/// For looking at a server.
const LIMIT: Duration = Duration::from_secs(20);
const MESSAGES: &str = "definitions hold no messages: none comes back with them, and those that are in queues now stay; \
                        messages of the copy's time exist only in the data folder of their node";

/// What is known of the live server.
struct Live {
    reach: Reach,
    label: String,
    definitions: Option<Definitions>,
}

async fn live(draft: &mut Draft<'_>, ctx: &PlanContext, set: &Backup, how: &RabbitRestore) -> Live {
    let (reach, from) = reach(&ctx.config, &set.name, how);
    draft.hand_over(from.clone());
    let api = match secrets::resolve(&from).await.and_then(|values| Api::new(&reach, &values)) {
        Ok(api) => api,
        Err(why) => {
            draft.fail("live server", why);
            return Live { reach, label: "rabbitmq".into(), definitions: None };
        }
    };
    let label = api.label();
    let look = async {
        let version = api.version().await.map_err(|e| e.to_string())?;
        let bytes = api.export().await.map_err(|e| e.to_string())?;
        let found = Definitions::read(&bytes, None)?;
        Ok::<_, String>((version, found, api.messages().await.ok()))
    };
    match tokio::time::timeout(LIMIT, look).await.unwrap_or_else(|_| Err(format!("{label} did not answer in time"))) {
        Ok((version, found, messages)) => {
            let messages = messages.map(|n| format!(", {n} messages in queues")).unwrap_or_default();
            draft.pass("live server", format!("RabbitMQ {version} answers at {label}: {}{messages}", found.word()));
            Live { reach, label, definitions: Some(found) }
        }
        Err(why) => {
            draft.fail("live server", why);
            Live { reach, label, definitions: None }
        }
    }
}

/// The difference, a line for each kind.
fn differences(draft: &mut Draft<'_>, wanted: &Definitions, live: &Definitions) {
    for (section, delta) in difference(wanted, live) {
        if delta.is_empty() {
            continue;
        }
        let name = section.name.replace('_', " ");
        if section.fixed && !delta.differing.is_empty() {
            let said = format!(
                "{}; an import leaves differing ones as they are: delete them by hand first, or it ends contradicted",
                delta.word()
            );
            draft.warn(&name, said);
        } else if !delta.differing.is_empty() {
            draft.warn(&name, format!("{}; differing ones are overwritten", delta.word()));
        } else {
            draft.pass(&name, delta.word());
        }
    }
}

fn beside(ctx: &PlanContext, label: &str, what: Beside) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' };
    let name: String = label.chars().map(plain).collect();
    ctx.state_dir.join("rabbitmq").join(names::folder(&format!("rabbitmq-{name}"), what, &ctx.run_id))
}

pub async fn plan(
    ctx: &PlanContext,
    work: &Work,
    set: &Backup,
    how: &RabbitRestore,
    asked: Option<&str>,
    test: bool,
) -> Result<Planned, Refusal> {
    let chosen = copy::choose(ctx, set, asked)?;
    let mut draft = begin(ctx, work, set, Risk::Disruptive);
    copy::judge(&mut draft, ctx, set, chosen, asked.is_some());
    let live = live(&mut draft, ctx, set, how).await;
    let job = Job {
        reach: live.reach.clone(),
        backup: set.name.clone(),
        run: ctx.run_id.clone(),
        side: beside(ctx, &live.label, Beside::Restore),
        live: live.label.clone(),
        copy: chosen.clone(),
        vhost: how.vhost.clone(),
        test,
    };
    let (path, vhost) = (format::path_of(chosen), how.vhost.clone());
    match blocking("read the copy", move || rabbit::read(&path, vhost.as_deref())).await.and_then(|r| r) {
        Err(why) => draft.fail("copy readable", why),
        Ok(found) => {
            draft.pass("copy readable", format!("{}, read to its end", found.word()));
            if let Some(now) = &live.definitions {
                let (found, strangers) = found.without_strangers(now);
                if !strangers.is_empty() {
                    let names = strangers.join(", ");
                    draft.warn("unknown users", format!("their permissions are left out: {names}"));
                }
                differences(&mut draft, &found, &now.only(how.vhost.as_deref()));
            }
        }
    }
    let at = &job.live;
    draft.plan.title = format!("{} {} for {at}", if test { "test" } else { "restore" }, set.name);
    draft.plan.target = typed(set);
    draft.plan.holds.push(format!("rabbitmq {at}"));
    draft.effects("compares the copy with what is defined now and prepares the import");
    draft.effect(format!("{at} is not touched"));
    draft.effect(MESSAGES);
    draft.price(set, &job.copy.clone());
    draft.plan.undo = match test {
        true => "nothing is left to undo".into(),
        false => format!("dropping {} undoes it", job.side.display()),
    };
    let (ms, from) = expect_runs(&ctx.runs, work, Some(job.copy.size));
    (draft.plan.expected_ms, draft.plan.expected_from) = (ms, from);
    let args = job::write(&job);
    let copy = text::shell_word(&job.copy.place);
    draft.native("read the copy to its end", 1, rabbit::CHECK, &args, vec![format!("read {copy} as JSON")]);
    let shown = vec!["GET /api/definitions, and compare".to_owned()];
    draft.native("compare", 1, rabbit::PREPARE, &args, shown);
    if test {
        let side = text::shell_word(&job.side.display().to_string());
        draft.native("remove it again", 1, rabbit::PROOF, &args, vec![format!("rm -r {side}")]);
    }
    Ok(draft.done(timeout_ms(how.timeout)))
}

/// Import, undo, drop.
pub async fn step(ctx: &PlanContext, work: &Work, found: &Found<'_>, how: &RabbitRestore) -> Result<Planned, Refusal> {
    let side = found.side;
    let drop = matches!(work, Work::Drop { .. });
    let undo = matches!(work, Work::Undo { .. });
    let risk = if drop && side.role == SideRole::Ready { Risk::Disruptive } else { Risk::Destructive };
    let mut draft = begin(ctx, work, found.set, risk);
    draft.plan.target = typed(found.set);
    draft.plan.holds.push(format!("rabbitmq {}", side.live));
    let path = PathBuf::from(&side.name);
    let enter = match (folder::pin(&path), &found.args.folder) {
        (Err(e), _) => {
            draft.fail("side folder", format!("{} cannot be found: {e}: restore again", side.name));
            PinnedFolder { path, inode: 0 }
        }
        (Ok(there), Some(was)) if was.inode != there.inode => {
            draft.fail("side folder", format!("{} is another folder than was left: look at it", side.name));
            PinnedFolder { path, inode: 0 }
        }
        (Ok(there), _) => {
            draft.pass("side folder", format!("{} is there", side.name));
            there
        }
    };
    let age = text::duration(ctx.now.since(side.created_at));
    if drop {
        draft.plan.title = format!("drop {}", side.name);
        let what = match side.role {
            SideRole::Ready => "the prepared import",
            SideRole::Before => "what was defined before the import: it can no longer be undone",
            _ => "what was defined between import and undo",
        };
        draft.effects(&format!("removes {}, {what}, {age} old", side.name));
        let shown = vec![format!("rm -r {}", text::shell_word(&side.name))];
        draft.native("drop", 1, rabbit::DROP, &job::write(&rabbit::Drop { gone: enter }), shown);
        return Ok(draft.done(STEP_TIMEOUT_MS));
    }
    let live = live(&mut draft, ctx, found.set, how).await;
    if live.label != side.live {
        return Err(Refusal::new(
            format!(
                "{} was prepared for {}, and backup {} is of {} now",
                side.name, side.live, found.set.name, live.label
            ),
            format!("put that address back into the configuration, or deal with {} by hand", side.name),
        ));
    }
    let job = Import {
        reach: live.reach.clone(),
        backup: found.set.name.clone(),
        run: ctx.run_id.clone(),
        live: side.live.clone(),
        enter,
        kept_as: beside(ctx, &live.label, if undo { Beside::Abandoned } else { Beside::Before }),
        copy: found.args.copy.clone(),
        undo,
        vhost: how.vhost.clone(),
    };
    let file = job.enter.path.join(rabbit::FILE);
    match (
        blocking("read what is imported", move || rabbit::read(&file, None)).await.and_then(|r| r),
        &live.definitions,
    ) {
        (Err(why), _) => draft.fail("definitions", why),
        (Ok(wanted), Some(now)) => differences(&mut draft, &wanted, &now.only(how.vhost.as_deref())),
        _ => {}
    }
    if job.kept_as.symlink_metadata().is_ok() {
        draft.fail("name free", format!("there is already a {}: remove it", job.kept_as.display()));
    }
    let (at, kept) = (&job.live, job.kept_as.display());
    if undo {
        draft.plan.title = format!("undo the import into {at}");
        draft.plan.data_lost_ms = Some(ctx.now.ms_since(side.created_at).max(0));
        draft.effects(&format!("imports into {at} what was defined {age} ago"));
        draft.effect("what the import added stays: an import removes nothing");
        draft.plan.undo = super::undo_again(ctx, found.set, &kept);
    } else {
        draft.plan.title = format!("import definitions into {at}");
        draft.price(found.set, &found.args.copy.clone());
        draft.effects(&format!("imports definitions into {at}: adds what is missing, overwrites users, permissions, policies and parameters that differ"));
        draft.effect(format!("what is defined now is kept as {kept}; nothing that is only live is deleted"));
        draft.effect(MESSAGES);
        draft.plan.undo = format!("undo imports {kept} again; what was added stays, because an import removes nothing");
        draft.after_checks(found.set);
    }
    let target = draft.plan.target.clone();
    draft.expect(expect::of_steps(&ctx.runs, work, &target));
    let shown = vec![
        format!("GET /api/definitions > {}", text::shell_word(&job.kept_as.join(rabbit::FILE).display().to_string())),
        format!(
            "POST /api/definitions < {}",
            text::shell_word(&job.enter.path.join(rabbit::FILE).display().to_string())
        ),
        "GET /api/definitions, and compare".into(),
    ];
    draft.native("import", 1, rabbit::IMPORT, &job::write(&job), shown);
    Ok(draft.done(timeout_ms(how.timeout).min(STEP_TIMEOUT_MS * 3)))
}
