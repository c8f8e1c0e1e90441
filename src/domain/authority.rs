//! Who may do what: by the severity of what is open, by the role in it, by name. And for what one person is not enough.
//!
//! Four levels, each with all that is below it. What somebody may is the most that any of these gives: everybody's level,
//! the worst open incident's severity, a role in an open incident, their own name, a group. Nothing takes away, so that
//! declaring an incident never leaves anybody with less. Without a configuration everybody may everything, as on any host
//! of one's own. Declaring, noting, acknowledging, naming roles, changing the severity, tagging and holding need no level
//! ever: they are how one gets help, and how one gets the level.
//!
//! This is no fence against a person with a shell on the host. It is a fence against the wrong step at three in the morning.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::catalog::{Catalog, Severity};
use super::command::{Command, Refusal};
use super::incident::Incident;
use super::recovery::{Does, RecoveryPlan};
use super::run::{Plan, Risk, Work};
use super::state::State;

#[cfg(test)]
mod tests;

/// Roles that are always known.
pub const ROLES: [&str; 4] = ["commander", "operations", "communications", "scribe"];

/// How much somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    Monitoring,
    Configuration,
    Services,
    Full,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::Monitoring, Level::Configuration, Level::Services, Level::Full];
    /// The words of a configuration, in the order of `ALL`.
    pub const WORDS: &'static [&'static str] = &["monitoring", "configuration", "services", "full"];

    pub const fn word(self) -> &'static str {
        match self {
            Level::Monitoring => "monitoring",
            Level::Configuration => "configuration",
            Level::Services => "services",
            Level::Full => "full",
        }
    }

    /// What it is called.
    pub const fn said(self) -> &'static str {
        match self {
            Level::Monitoring => "monitoring",
            Level::Configuration => "configuration changes",
            Level::Services => "service modifications",
            Level::Full => "full production control",
        }
    }

    pub fn parse(word: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|l| l.word() == word)
    }
}

/// A kind of thing that needs a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    Restart,
    Stop,
    Start,
    Redeploy,
    Scale,
    Promote,
    Logs,
    Act,
    TestRestore,
    Restore,
    CutOver,
    CopyIn,
    Undo,
    Drop,
    Cancel,
    Pause,
    Engine,
    /// Destroying what is on record.
    Redact,
    Message,
    Status,
    /// Starting a playbook, leading it on, leaving it, ticking a checklist; what its steps run has a level of its own.
    Playbook,
}

impl Deed {
    pub const ALL: [Deed; 21] = [
        Deed::Restart,
        Deed::Stop,
        Deed::Start,
        Deed::Redeploy,
        Deed::Scale,
        Deed::Promote,
        Deed::Logs,
        Deed::Act,
        Deed::TestRestore,
        Deed::Restore,
        Deed::CutOver,
        Deed::CopyIn,
        Deed::Undo,
        Deed::Drop,
        Deed::Cancel,
        Deed::Pause,
        Deed::Engine,
        Deed::Redact,
        Deed::Message,
        Deed::Status,
        Deed::Playbook,
    ];

    /// The word of a configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Deed::Restart => "restart",
            Deed::Stop => "stop",
            Deed::Start => "start",
            Deed::Redeploy => "redeploy",
            Deed::Scale => "scale",
            Deed::Promote => "promote",
            Deed::Logs => "logs",
            Deed::Act => "act",
            Deed::TestRestore => "test-restore",
            Deed::Restore => "restore",
            Deed::CutOver => "cut-over",
            Deed::CopyIn => "copy-in",
            Deed::Undo => "undo",
            Deed::Drop => "drop",
            Deed::Cancel => "cancel",
            Deed::Pause => "pause",
            Deed::Engine => "engine",
            Deed::Redact => "redact",
            Deed::Message => "message",
            Deed::Status => "status",
            Deed::Playbook => "playbook",
        }
    }

    pub fn parse(word: &str) -> Option<Deed> {
        Deed::ALL.into_iter().find(|d| d.word() == word)
    }

    /// What it needs where the configuration says nothing else.
    pub const fn usual(self) -> Level {
        match self {
            Deed::Promote | Deed::Restore | Deed::CutOver | Deed::CopyIn | Deed::Undo | Deed::Drop | Deed::Redact => {
                Level::Full
            }
            Deed::Restart
            | Deed::Stop
            | Deed::Start
            | Deed::Redeploy
            | Deed::Scale
            | Deed::Act
            | Deed::TestRestore
            | Deed::Cancel => Level::Services,
            Deed::Pause | Deed::Engine => Level::Configuration,
            Deed::Logs | Deed::Message | Deed::Status | Deed::Playbook => Level::Monitoring,
        }
    }

    pub const fn of_work(work: &Work) -> Deed {
        match work {
            Work::Restart { .. } => Deed::Restart,
            Work::Stop { .. } => Deed::Stop,
            Work::Start { .. } => Deed::Start,
            Work::Redeploy { .. } => Deed::Redeploy,
            Work::Scale { .. } => Deed::Scale,
            Work::Promote { .. } => Deed::Promote,
            Work::Logs { .. } => Deed::Logs,
            Work::Act { .. } => Deed::Act,
            Work::Restore { test: true, .. } => Deed::TestRestore,
            Work::Restore { .. } => Deed::Restore,
            Work::CutOver { .. } => Deed::CutOver,
            Work::CopyIn { .. } => Deed::CopyIn,
            Work::Undo { .. } => Deed::Undo,
            Work::Drop { .. } => Deed::Drop,
        }
    }
}

/// What a configuration says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Authority {
    /// What everybody may. Without: the least that a severity gives, and everything where none gives anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub everybody: Option<Level>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub severities: BTreeMap<Severity, Level>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, Level>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, Level>,
    /// Groups of `/etc/group` on the engine's host.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Level>,
    /// By the word of a [`Deed`]: what it needs instead of the usual.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<String, Level>,
    /// Everything destructive needs a second person: always, and while an incident of these severities is the worst.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub second_person: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub second_person_severities: BTreeSet<Severity>,
    /// Actions that need one, and backups whose data only two people put into the live place.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub second_person_actions: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub second_person_backups: BTreeSet<String>,
}

/// What somebody may, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub level: Level,
    /// `P1`, `as commander`, `everybody`.
    pub by: String,
}

impl Authority {
    /// Nothing is said of it.
    pub fn is_empty(&self) -> bool {
        *self == Authority::default()
    }

    /// What everybody may, with and without an incident.
    pub fn base(&self) -> Level {
        self.everybody.or_else(|| self.severities.values().min().copied()).unwrap_or(Level::Full)
    }

    pub fn needs(&self, deed: Deed) -> Level {
        self.needs.get(deed.word()).copied().unwrap_or_else(|| deed.usual())
    }

    /// What `work` of this risk needs.
    pub fn needs_of(&self, work: &Work, risk: Risk) -> Level {
        let deed = Deed::of_work(work);
        match (deed, risk) {
            (Deed::Act, Risk::Observe) => Level::Monitoring,
            (Deed::Act, Risk::Destructive) if !self.needs.contains_key("act") => Level::Full,
            _ => self.needs(deed),
        }
    }

    /// What `who`, in these groups, may now.
    pub fn grant<'a>(&self, who: &str, groups: &[String], open: impl IntoIterator<Item = &'a Incident>) -> Grant {
        let mut best = Grant { level: self.base(), by: "everybody".into() };
        let mut take = |level: Option<&Level>, by: &dyn Fn() -> String| {
            if let Some(level) = level.filter(|l| **l > best.level) {
                best = Grant { level: *level, by: by() };
            }
        };
        let mut worst: Option<Severity> = None;
        for incident in open {
            worst = Some(worst.map_or(incident.severity, |w| w.min(incident.severity)));
            for (role, _) in incident.roles.iter().filter(|(_, user)| *user == who) {
                take(self.roles.get(role), &|| format!("as {role}"));
            }
        }
        if let Some(worst) = worst {
            // What a lesser one gives, a worse one of which nothing is said gives too.
            let said = Severity::ALL.into_iter().filter(|s| *s >= worst).find(|s| self.severities.contains_key(s));
            if let Some(severity) = said {
                take(self.severities.get(&severity), &|| severity.to_string());
            }
        }
        take(self.users.get(who), &|| who.to_owned());
        for group in groups {
            take(self.groups.get(group), &|| format!("group {group}"));
        }
        best
    }

    /// Why `who` may not do `what`, which needs a level; and what would allow it.
    pub fn refusal(
        &self,
        what: &str,
        need: Level,
        who: &str,
        groups: &[String],
        open: &[&Incident],
    ) -> Option<Refusal> {
        let has = self.grant(who, groups, open.iter().copied());
        let short = self.brief(what, need, who, groups, open)?;
        let reason = format!("{} ({}); {who} has {} ({})", short.reason, need.said(), has.level.said(), has.by);
        let mut ways = Vec::new();
        if let Some(severity) = self.enough(need).0.filter(|_| !open.is_empty()) {
            ways.push(format!("mayday incident severity {severity}"));
        }
        if let Some(role) = self.enough(need).1.first().filter(|_| !open.is_empty()) {
            let said = if *role == "commander" { String::new() } else { format!(" --role {role}") };
            ways.push(format!("mayday incident assign {who}{said}"));
        }
        let ways = if ways.is_empty() { String::new() } else { format!(" ({})", ways.join(", ")) };
        Some(Refusal::new(reason, format!("{}{ways}", short.instead)))
    }

    /// The mildest severity that gives `need`, and the roles that do.
    fn enough(&self, need: Level) -> (Option<Severity>, Vec<&str>) {
        let severity = self.severities.iter().filter(|(_, l)| **l >= need).map(|(s, _)| *s).max();
        (severity, self.roles.iter().filter(|(_, l)| **l >= need).map(|(r, _)| r.as_str()).collect())
    }

    /// The same in a line of a screen: `restore needs P0 or the commander: raise the severity with v`.
    pub fn brief(&self, what: &str, need: Level, who: &str, groups: &[String], open: &[&Incident]) -> Option<Refusal> {
        if self.grant(who, groups, open.iter().copied()).level >= need {
            return None;
        }
        let (severity, roles) = self.enough(need);
        let mut enough: Vec<String> = severity.iter().map(ToString::to_string).collect();
        enough.extend(roles.iter().map(|r| format!("the {r}")));
        enough.extend(self.groups.iter().filter(|(_, l)| **l >= need).map(|(g, _)| format!("group {g}")));
        enough.extend(self.users.iter().filter(|(_, l)| **l >= need).map(|(u, _)| u.clone()));
        let enough = match enough.split_last() {
            None => "more than anybody is given".to_owned(),
            Some((only, [])) => only.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
        };
        let mut ways = Vec::new();
        match (severity, open.is_empty()) {
            (Some(s), true) => ways.push(format!("declare an incident of {s} with d")),
            (Some(_), false) => ways.push("raise the severity with v".to_owned()),
            (None, _) => {}
        }
        match (roles.is_empty(), open.is_empty()) {
            (false, false) => ways.push("take the role with w".to_owned()),
            (false, true) if severity.is_none() => ways.push("declare an incident with d, and take the role".into()),
            _ => {}
        }
        if ways.is_empty() {
            ways.push("ask somebody who has it, or change [authority] in mayday.toml".into());
        }
        Some(Refusal::new(format!("{what} needs {enough}"), ways.join(", or ")))
    }

    /// Why destructive work needs a second person now.
    fn second_for_destructive(&self, worst: Option<Severity>) -> Option<String> {
        if self.second_person {
            return Some("destructive steps need a second person".into());
        }
        let worst = worst.filter(|s| self.second_person_severities.contains(s))?;
        Some(format!("during {worst} destructive steps need a second person"))
    }

    /// Why `work` of this risk needs a second person; `backup` is the set that it is about.
    pub fn second(&self, work: &Work, risk: Risk, backup: Option<&str>, worst: Option<Severity>) -> Option<String> {
        if let Work::Act { action } = work
            && self.second_person_actions.contains(action)
        {
            return Some(format!("{action} needs a second person"));
        }
        if risk != Risk::Destructive {
            return None;
        }
        if let Some(backup) = backup.filter(|b| self.second_person_backups.contains(*b)) {
            return Some(format!("{backup} is put into the live place by two people only"));
        }
        self.second_for_destructive(worst)
    }
}

/// What `command` needs. `None`: nothing, ever.
pub fn deed_of(command: &Command) -> Option<Deed> {
    match command {
        Command::SetStatus { .. }
        | Command::SetServices { .. }
        | Command::Retitle { .. }
        | Command::Reopen { .. }
        | Command::FalseAlarm { .. }
        | Command::Merge { .. }
        | Command::SetOnset { .. } => Some(Deed::Status),
        Command::Send { .. } | Command::Snooze { .. } => Some(Deed::Message),
        Command::PlaybookStart { .. } | Command::Playbook { .. } | Command::Tick { .. } => Some(Deed::Playbook),
        Command::Pause { .. } | Command::Resume { .. } => Some(Deed::Pause),
        _ => None,
    }
}

/// Refuses what the level of `actor` does not allow.
pub fn allowed(state: &State, actor: &Actor, what: &str, need: Level) -> Result<(), Refusal> {
    // What the engine does by itself was allowed to whoever asked for it.
    if actor.is_engine() {
        return Ok(());
    }
    let open = state.open_incidents();
    match state.catalog.authority.refusal(what, need, &actor.user, &actor.groups, &open) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// Refuses a command whose deed is not allowed; runs and recoveries are looked at where their plans are.
pub fn allowed_command(state: &State, actor: &Actor, command: &Command) -> Result<(), Refusal> {
    if let Some(deed) = deed_of(command) {
        return allowed(state, actor, &command.title(), state.catalog.authority.needs(deed));
    }
    if let Command::Cancel { run, .. } = command
        // What one has begun oneself one may end.
        && state.runs.get(run).is_some_and(|r| r.requested_by != actor.user)
    {
        return allowed(state, actor, &command.title(), state.catalog.authority.needs(Deed::Cancel));
    }
    Ok(())
}

/// Worst severity that is open.
pub fn worst(state: &State) -> Option<Severity> {
    state.open_incidents().iter().map(|i| i.severity).min()
}

/// The backup set that work is about, through the runs that it refers to.
pub fn backup_of<'a>(state: &'a State, work: &'a Work) -> Option<&'a str> {
    let mut work = work;
    // An undo is of a cut-over, and that of a restore.
    for _ in 0..8 {
        match work {
            Work::Restore { backup, .. } => return Some(backup),
            Work::CutOver { of } | Work::CopyIn { of, .. } | Work::Undo { of } | Work::Drop { of } => {
                work = &state.runs.get(of)?.plan.work;
            }
            _ => return None,
        }
    }
    None
}

/// Why `plan` needs a second person now.
pub fn second_person(state: &State, plan: &Plan) -> Option<String> {
    state.catalog.authority.second(&plan.work, plan.risk, backup_of(state, &plan.work), worst(state))
}

/// Work of a recovery's step, with its risk; a restore is put into the live place too.
fn works_of(catalog: &Catalog, does: &Does) -> Vec<(Work, Risk)> {
    let Some(work) = does.work() else { return Vec::new() };
    match does {
        Does::Restore { .. } => {
            vec![(work, Risk::Disruptive), (Work::CutOver { of: String::new() }, Risk::Destructive)]
        }
        Does::Act { action } => {
            let risk = catalog.actions.get(action).map_or(Risk::Disruptive, |a| a.risk);
            vec![(work, risk)]
        }
        _ => vec![(work, Risk::Disruptive)],
    }
}

fn backup_of_step(does: &Does) -> Option<&str> {
    match does {
        Does::Restore { backup } => Some(backup),
        _ => None,
    }
}

/// What a recovery needs: the most of its steps.
pub fn needs_of_recovery(catalog: &Catalog, plan: &RecoveryPlan) -> Level {
    let works = plan.steps.iter().flat_map(|s| works_of(catalog, &s.spec.does));
    works.map(|(work, risk)| catalog.authority.needs_of(&work, risk)).max().unwrap_or(Level::Monitoring)
}

/// Why a step of a recovery needs a second person.
pub fn second_person_of_step(catalog: &Catalog, does: &Does, worst: Option<Severity>) -> Option<String> {
    let backup = backup_of_step(does);
    works_of(catalog, does).iter().find_map(|(work, risk)| catalog.authority.second(work, *risk, backup, worst))
}

/// Why a recovery needs a second person: the first of its steps that does.
pub fn second_person_of_recovery(catalog: &Catalog, plan: &RecoveryPlan, worst: Option<Severity>) -> Option<String> {
    plan.steps.iter().find_map(|s| second_person_of_step(catalog, &s.spec.does, worst))
}

/// A role that this configuration knows. Errors: the known ones.
pub fn known_role(catalog: &Catalog, role: &str) -> Result<(), Refusal> {
    if ROLES.contains(&role) || catalog.authority.roles.contains_key(role) {
        return Ok(());
    }
    let mut known: Vec<&str> = ROLES.to_vec();
    known.extend(catalog.authority.roles.keys().map(String::as_str).filter(|r| !ROLES.contains(r)));
    Err(Refusal::usage(
        format!("there is no role \"{}\"", crate::text::clean(role)),
        format!("known are {}; more are named in roles of [authority] in mayday.toml", known.join(", ")),
    ))
}
