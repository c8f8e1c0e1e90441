//! Plans for restores, cut-overs, undos and drops: everything that can be known before is looked at before, each thing
//! within a time limit, and nothing is changed.
//!
//! What stands against a plan becomes a failed precondition with what to do, so that a person sees all of it at once; a
//! refusal is left for requests of which no plan can be made at all.

mod already;
mod copy;
mod database;
mod disk;
mod expect;
mod facts;
mod folder;
mod folder_insert;
mod folder_step;
mod needs;
mod pitr;
mod pitr_host;
mod pitr_look;
mod pitr_step;
mod rabbit;
mod redis;
mod redis_look;
mod redis_step;
mod source;
mod step;
mod tables_step;
mod vault;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::config::{Backup, Restore, Service};
use crate::domain::backup::Copy;
use crate::domain::command::Refusal;
use crate::domain::run::{Phase, Plan, Risk, Run, Side, SideRole, Step, Work};
use crate::recovery::plan::draft::Draft;
use crate::recovery::plan::{PlanContext, Planned, after, look};
use crate::text;

use super::job::SideArgs;

/// A restore may take this long unless the configuration says otherwise.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(12 * 3600);
/// For one program that fills caches.
const WARM_UP: Duration = Duration::from_secs(600);
/// For one smoke test, and for how long one that fails is tried again.
const SMOKE: Duration = Duration::from_secs(60);

pub async fn plan(ctx: &PlanContext, work: &Work) -> Result<Planned, Refusal> {
    let mut planned = plan_of(ctx, work).await?;
    match work {
        Work::Restore { backup, test: false, only, .. } => {
            let known = already::restored(ctx, backup_of(ctx, backup)?, only, &planned.plan).await;
            planned.plan.preconditions.extend(known);
        }
        Work::CutOver { of } | Work::CopyIn { of, .. } => afterwards(ctx, of, &mut planned.plan),
        _ => {}
    }
    Ok(planned)
}

/// What is configured to be run once the copy is in the live place. It takes nothing back: a failure contradicts.
fn afterwards(ctx: &PlanContext, of: &str, plan: &mut Plan) {
    let restored = ctx.runs.iter().find(|r| r.id() == of).map(|r| &r.plan.work);
    let Some(Work::Restore { backup, .. }) = restored else { return };
    let Some(set) = ctx.config.backups.iter().find(|b| b.name == *backup) else { return };
    if plan.undo.starts_with("undo ") {
        plan.undo.push_str(&format!(" (mayday restore {} --undo)", text::shell_word(backup)));
    }
    let mut add = |what: &str, commands: &[Vec<String>], limit: Duration, retry: Duration| {
        for (n, argv) in commands.iter().enumerate() {
            let name = if commands.len() > 1 { format!("{what} {}", n + 1) } else { what.to_owned() };
            plan.timeout_ms = plan.timeout_ms.saturating_add(ms(limit + retry));
            let step = Step::Command {
                argv: argv.clone(),
                env: BTreeMap::new(),
                secret_env: BTreeMap::new(),
                cwd: None,
                timeout_ms: Some(ms(limit)),
                refused_if: Vec::new(),
            };
            plan.phases.push(Phase { name, weight: 1, step, proof: true, retry_ms: ms(retry) });
        }
    };
    add("warm up", &set.warm_up, WARM_UP, Duration::ZERO);
    add("smoke test", &set.smoke, SMOKE, SMOKE);
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

async fn plan_of(ctx: &PlanContext, work: &Work) -> Result<Planned, Refusal> {
    match work {
        Work::Restore { backup, copy, test, to, only } => {
            let set = backup_of(ctx, backup)?;
            if let (Some(to), Some(of)) = (to, &set.restore)
                && !matches!(of, Restore::PostgresPitr(_))
            {
                return Err(Refusal::usage(
                    format!(
                        "backup {backup} cannot be restored to {}: its copies are of one moment each",
                        text::clean(to)
                    ),
                    "choose a copy with --copy, or configure `restore = { postgres_pitr = { … } }` for base backups",
                ));
            }
            match &set.restore {
                Some(of) if !only.is_empty() && !matches!(of, Restore::PostgresDump(_) | Restore::Folder(_)) => {
                    Err(as_a_whole(set))
                }
                Some(Restore::PostgresPitr(how)) => {
                    pitr::plan(ctx, set, how, copy.as_deref(), *test, to.as_deref()).await
                }
                Some(Restore::PostgresDump(how)) => database::plan(ctx, set, how, copy.as_deref(), *test, only).await,
                Some(Restore::Folder(how)) => folder::plan(ctx, set, how, copy.as_deref(), *test, only).await,
                Some(Restore::Redis(how)) => redis::plan(ctx, work, set, how, copy.as_deref(), *test).await,
                Some(Restore::RabbitMq(how)) => rabbit::plan(ctx, work, set, how, copy.as_deref(), *test).await,
                None => Err(Refusal::usage(
                    format!("backup {backup} has no way to be restored"),
                    "add `restore = { … = { … } }` to it in the configuration: postgres_dump, postgres_pitr, folder, redis or rabbitmq_definitions",
                )),
            }
        }
        Work::CutOver { of } | Work::CopyIn { of, .. } | Work::Undo { of } | Work::Drop { of } => {
            let left = left_by(ctx, work, of)?;
            let args: SideArgs = serde_json::from_value(left.side.args.clone())
                .map_err(|e| Refusal::new(format!("what run {of} left cannot be read: {e}"), "drop it by hand"))?;
            let set = backup_of(ctx, &args.backup)?;
            let found = Found { run: left.run, side: left.side, args, set };
            match &set.restore {
                Some(of) if matches!(work, Work::CopyIn { .. }) && !matches!(of, Restore::Folder(_)) => {
                    Err(as_a_whole(set))
                }
                Some(Restore::PostgresDump(how)) if tables_step::is_about(work, left.side) => {
                    tables_step::plan(ctx, work, &found, how).await
                }
                Some(Restore::PostgresDump(how)) if left.side.kind == "database" => {
                    step::plan(ctx, work, &found, how).await
                }
                Some(Restore::PostgresPitr(how)) if matches!(left.side.kind.as_str(), "cluster" | "database") => {
                    pitr_step::plan(ctx, work, &found, how).await
                }
                Some(Restore::Folder(how)) if left.side.kind == "folder" => match folder_insert::of(work, &found) {
                    Some(insert) => folder_insert::plan(ctx, work, &found, how, insert).await,
                    None => folder_step::plan(ctx, work, &found, how).await,
                },
                Some(Restore::Redis(how)) if left.side.kind == super::redis::SIDE_KIND => {
                    redis_step::plan(ctx, work, &found, how).await
                }
                Some(Restore::RabbitMq(how)) if left.side.kind == super::rabbit::SIDE_KIND => {
                    rabbit::step(ctx, work, &found, how).await
                }
                _ => Err(Refusal::new(
                    format!(
                        "backup {} is no longer configured as it was when run {} restored it",
                        set.name,
                        left.run.id()
                    ),
                    format!("put its `restore` back into the configuration, or deal with {} by hand", left.side.name),
                )),
            }
        }
        other => Err(Refusal::usage(format!("{} is not a restore", other.verb()), "")),
    }
}

/// Names were asked for where only everything comes back.
fn as_a_whole(set: &Backup) -> Refusal {
    let (what, instead) = match &set.restore {
        Some(Restore::PostgresDump(_)) => {
            ("what is ready of it is put in place as it was restored", "give --only when restoring it")
        }
        Some(Restore::PostgresPitr(_)) => (
            "--only takes tables out of a dump, and its copies are base backups",
            "`tables` says what comes back of them",
        ),
        Some(Restore::Redis(_)) => ("its copies are of Redis", "leave --only away; `keys` says what comes back"),
        _ => ("it is restored as a whole", "leave --only away"),
    };
    Refusal::usage(format!("single names cannot be chosen of backup {}: {what}", set.name), instead)
}

fn backup_of<'a>(ctx: &'a PlanContext, name: &str) -> Result<&'a Backup, Refusal> {
    ctx.config.backups.iter().find(|b| b.name == name).ok_or_else(|| {
        let names: Vec<&str> = ctx.config.backups.iter().map(|b| b.name.as_str()).collect();
        let there =
            if names.is_empty() { "none is configured".into() } else { format!("there are {}", names.join(", ")) };
        Refusal::usage(format!("there is no backup {}", text::clean(name)), there)
    })
}

/// What a run left beside the live data, and what is known of it.
struct Found<'a> {
    run: &'a Run,
    side: &'a Side,
    args: SideArgs,
    set: &'a Backup,
}

struct Left<'a> {
    run: &'a Run,
    side: &'a Side,
}

/// The side that a step is about. The run named may also be the restore whose cut-over left it.
fn left_by<'a>(ctx: &'a PlanContext, work: &Work, of: &str) -> Result<Left<'a>, Refusal> {
    let wanted = |side: &Side| match work {
        Work::CutOver { .. } | Work::CopyIn { .. } => side.role == SideRole::Ready,
        Work::Undo { .. } => side.role != SideRole::Ready && !side.is_incomplete() && !side.is_unverified(),
        _ => true,
    };
    let run = ctx.runs.iter().find(|r| r.id() == of);
    let run = run.ok_or_else(|| {
        Refusal::usage(format!("there is no run {}", text::clean(of)), "take an id from `mayday runs`")
    })?;
    let followed = ctx.runs.iter().rev().filter(|r| follows(ctx, r, of)).chain([run]);
    for candidate in followed {
        if let Some(side) = candidate.sides.iter().find(|s| wanted(s)) {
            return Ok(Left { run: candidate, side });
        }
    }
    let what = match work {
        Work::CutOver { .. } | Work::CopyIn { .. } => "left nothing that is ready to cut over",
        Work::Undo { .. } => "kept nothing that could be put back",
        _ => "left nothing beside the live data",
    };
    let instead = match (work, run.sides.is_empty()) {
        (Work::CutOver { .. } | Work::CopyIn { .. }, _) => "restore first",
        (_, true) => "there is nothing to do",
        (Work::Undo { .. }, false) => "undo needs the run that cut over",
        _ => "",
    };
    Err(Refusal::new(format!("run {of} ({}, {}) {what}", run.plan.title, run.state.word()), instead))
}

/// Whether a run is a step made of what run `of` left, or of what such a step left.
fn follows(ctx: &PlanContext, run: &Run, of: &str) -> bool {
    let mut at = run;
    // Runs are few and each step names an earlier one; the bound is against records that name each other.
    for _ in 0..ctx.runs.len() {
        let (Work::CutOver { of: from } | Work::CopyIn { of: from, .. } | Work::Undo { of: from }) = &at.plan.work
        else {
            return false;
        };
        if from == of {
            return true;
        }
        match ctx.runs.iter().find(|r| r.id() == from) {
            Some(earlier) => at = earlier,
            None => return false,
        }
    }
    false
}

/// The service that a backup is of, while it is configured.
fn service_of<'a>(ctx: &'a PlanContext, set: &Backup) -> Option<&'a Service> {
    let name = set.service.as_deref()?;
    ctx.config.services.iter().find(|s| s.name == name)
}

/// How what an undo puts aside comes back. Without its run, `--undo` means what a cut-over has kept.
fn undo_again(ctx: &PlanContext, set: &Backup, kept: &dyn std::fmt::Display) -> String {
    let (set, run) = (text::shell_word(&set.name), &ctx.run_id);
    format!("while {kept} is kept, mayday restore {set} --undo --run {run} puts it back")
}

/// A draft that knows the objective of the backup.
fn begin<'a>(ctx: &'a PlanContext, work: &Work, set: &Backup, risk: Risk) -> Draft<'a> {
    let mut draft = Draft::new(ctx, work, service_of(ctx, set), risk);
    draft.plan.rpo_ms = set.rpo.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    draft
}

/// What restores say of their plans, each in the same way.
trait Say {
    fn pass(&mut self, name: &str, detail: impl Into<String>);
    fn warn(&mut self, name: &str, detail: impl Into<String>);
    fn fail(&mut self, name: &str, detail: impl Into<String>);
    /// One more sentence about what it does.
    fn effect(&mut self, sentence: impl Into<String>);
    /// What the copy costs: data lost against the RPO, said in one sentence.
    fn price(&mut self, set: &Backup, copy: &Copy);
    fn copy_of(&mut self, set: &Backup, copy: &Copy);
    /// How long earlier runs took, where the shared rule does not find them.
    fn expect(&mut self, expected: Option<expect::Expected>);
    /// A step of this folder.
    fn native(&mut self, name: &str, weight: u32, op: &str, args: &Value, shown: Vec<String>);
    /// The checks of the service say at the end whether it took effect.
    fn after_checks(&mut self, set: &Backup);
    fn done(self, timeout_ms: u64) -> Planned;
}

impl Say for Draft<'_> {
    fn pass(&mut self, name: &str, detail: impl Into<String>) {
        self.look(look::passed(name, detail));
    }

    fn warn(&mut self, name: &str, detail: impl Into<String>) {
        self.look(look::warned(name, detail));
    }

    fn fail(&mut self, name: &str, detail: impl Into<String>) {
        self.look(look::failed(name, detail));
    }

    fn effect(&mut self, sentence: impl Into<String>) {
        self.plan.effects.push(text::clean(&sentence.into()).into_owned());
    }

    /// What is lost by using this copy instead of all that is live.
    fn price(&mut self, set: &Backup, copy: &Copy) {
        self.plan.data_lost_ms = Some(self.ctx.now.ms_since(copy.taken_at).max(0));
        self.copy_of(set, copy);
    }

    /// Which copy it is, where what was written since stays live for the most part.
    fn copy_of(&mut self, set: &Backup, copy: &Copy) {
        let lost = self.ctx.now.since(copy.taken_at);
        let rpo = match set.rpo {
            Some(rpo) if lost > rpo => format!("; RPO {}, over by {}", text::duration(rpo), text::duration(lost - rpo)),
            Some(rpo) => format!("; RPO {}", text::duration(rpo)),
            None => String::new(),
        };
        self.effect(format!(
            "copy {} of {} ({}): {} of later changes are not in it{rpo}",
            copy.id,
            copy.taken_at,
            copy.size_said(),
            text::duration(lost)
        ));
        self.plan.copy = Some(copy.clone());
    }

    fn expect(&mut self, expected: Option<expect::Expected>) {
        if let Some(expected) = expected {
            self.plan.expected_ms = Some(expected.ms);
            self.plan.expected_from = expected.from;
        }
    }

    fn native(&mut self, name: &str, weight: u32, op: &str, args: &Value, shown: Vec<String>) {
        let step = Step::Native { op: op.to_owned(), args: args.clone(), shown };
        self.plan.phases.push(Phase { name: name.to_owned(), weight, step, proof: false, retry_ms: 0 });
    }

    fn after_checks(&mut self, set: &Backup) {
        if let Some(service) = service_of(self.ctx, set) {
            self.after(after::of_service(&service.checks), false, AFTER_WITHIN, AFTER_TIMES);
        }
    }

    fn done(self, timeout_ms: u64) -> Planned {
        let mut planned = self.finish();
        let after = planned.plan.after.as_ref().map_or(0, |a| a.within_ms);
        planned.plan.timeout_ms = timeout_ms.saturating_add(after);
        planned
    }
}

/// How long the service's checks may take to hold after a cut-over, and how often in a row.
const AFTER_WITHIN: Duration = Duration::from_secs(60);
const AFTER_TIMES: u32 = 2;

/// How long a run of a restore may take.
fn timeout_ms(configured: Option<Duration>) -> u64 {
    u64::try_from(configured.unwrap_or(RESTORE_TIMEOUT).as_millis()).unwrap_or(u64::MAX)
}

/// Seconds that renaming, or dropping, may take in all.
const STEP_TIMEOUT_MS: u64 = 300_000;
