//! A plan while it is made: what every kind of plan says in the same way.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::look::Tools;
use super::{PlanContext, Planned};
use crate::config::{CheckKind, MaybeSecret, SecretRef, Service, pipe_secrets};
use crate::domain::command::Refusal;
use crate::domain::run::{After, Checked, Phase, Plan, Precondition, Risk, Step, Work};
use crate::text;

/// Room beside the steps and the check in the time of a whole run.
const SLACK: Duration = Duration::from_secs(30);

/// A plan that is being made.
#[derive(Debug)]
pub struct Draft<'a> {
    pub ctx: &'a PlanContext,
    pub plan: Plan,
    secrets: BTreeMap<String, SecretRef>,
    steps: Duration,
}

/// A command to become a step.
#[derive(Clone, Debug, Default)]
pub struct Command {
    pub argv: Vec<String>,
    pub env: BTreeMap<String, MaybeSecret>,
    pub cwd: Option<std::path::PathBuf>,
    pub timeout: Duration,
    pub refused_if: Vec<String>,
}

/// The service of that name. Errors: the ones there are.
pub fn service<'c>(ctx: &'c PlanContext, name: &str) -> Result<&'c Service, Refusal> {
    ctx.config.services.iter().find(|s| s.name == name).ok_or_else(|| {
        let known: Vec<&str> = ctx.config.services.iter().map(|s| s.name.as_str()).collect();
        let instead = match known.is_empty() {
            true => "no service is configured".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        Refusal::usage(format!("there is no service \"{}\"", text::clean(name)), instead)
    })
}

impl<'a> Draft<'a> {
    /// Nothing but the work's name, its expected duration, and, with a service, what depends on it and its objective.
    pub fn new(ctx: &'a PlanContext, work: &Work, service: Option<&Service>, risk: Risk) -> Draft<'a> {
        let object = work.object();
        let (expected_ms, expected_from) = super::expect::expect(&ctx.runs, work, None);
        let plan = Plan {
            id: ctx.run_id.clone(),
            made_at: ctx.now,
            work: work.clone(),
            title: format!("{} {object}", work.verb()),
            target: service.map_or(object, |s| s.name.as_str()).to_owned(),
            service: service.map(|s| s.name.clone()),
            holds: service.map(|s| format!("service {}", s.name)).into_iter().collect(),
            risk,
            effects: Vec::new(),
            copy: None,
            data_lost_ms: None,
            rpo_ms: None,
            expected_ms,
            expected_from,
            preconditions: Vec::new(),
            phases: Vec::new(),
            timeout_ms: 0,
            after: None,
            secrets: Vec::new(),
            undo: String::new(),
            gentle: false,
        };
        Draft { ctx, plan, secrets: BTreeMap::new(), steps: Duration::ZERO }
    }

    /// `what` it does, and in which environment; then who else is affected, and how much of the objective is left.
    pub fn effects(&mut self, what: &str) {
        let system = &self.ctx.config.system;
        let place = match (system.environment.is_empty(), system.name.is_empty()) {
            (false, false) => format!(" in {} of {}", system.environment, system.name),
            (false, true) => format!(" in {}", system.environment),
            (true, false) => format!(" of {}", system.name),
            (true, true) => String::new(),
        };
        self.plan.effects.push(format!("{what}{place}"));
        let Some(name) = self.plan.service.clone() else { return };
        let mut others = self.ctx.config.catalog().affected_by(&name);
        others.remove(&name);
        self.plan.effects.push(match others.len() {
            0 => "no other service depends on it".to_owned(),
            1 => format!("1 service depends on it: {}", others.into_iter().collect::<String>()),
            n => format!("{n} services depend on it: {}", others.into_iter().collect::<Vec<_>>().join(", ")),
        });
        if let Some(left) = rto_left(self.ctx, &name) {
            self.plan.effects.push(left);
        }
    }

    pub fn look(&mut self, precondition: Precondition) {
        self.plan.preconditions.push(precondition);
    }

    pub fn tools(&self) -> Tools {
        Tools::of(self.ctx)
    }

    /// Looks for a tool; false when it is not there.
    pub fn tool(&mut self, name: &str, package: &str) -> bool {
        let found = self.tools().tool(name, package);
        let there = found.result == Checked::Passed;
        self.look(found);
        there
    }

    /// Something that was looked at stands in the way.
    pub fn is_blocked(&self) -> bool {
        self.plan.blockers().next().is_some()
    }

    /// A command as the next phase.
    pub fn phase(&mut self, name: &str, command: Command) {
        let mut env = BTreeMap::new();
        let mut secret_env = BTreeMap::new();
        for (variable, value) in command.env {
            match value {
                MaybeSecret::Plain(value) => {
                    env.insert(variable, value);
                }
                MaybeSecret::Secret(secret) => {
                    let name = format!("env.{variable}");
                    secret_env.insert(variable, self.secret(&name, secret));
                }
            }
        }
        self.steps += command.timeout;
        self.plan.phases.push(Phase {
            name: name.to_owned(),
            weight: 1,
            step: Step::Command {
                argv: command.argv,
                env,
                secret_env,
                cwd: command.cwd.map(|dir| dir.to_string_lossy().into_owned()),
                timeout_ms: Some(ms(command.timeout)),
                refused_if: command.refused_if,
            },
            proof: false,
            retry_ms: 0,
        });
    }

    /// Takes a secret into the plan by name. Two secrets of one name and different origin get different names.
    fn secret(&mut self, name: &str, secret: SecretRef) -> String {
        let mut free = name.to_owned();
        let mut n = 1;
        while self.secrets.get(&free).is_some_and(|known| *known != secret) {
            n += 1;
            free = format!("{name} {n}");
        }
        self.secrets.insert(free.clone(), secret);
        free
    }

    /// Takes secrets into the plan under the names they have.
    pub fn hand_over(&mut self, secrets: BTreeMap<String, SecretRef>) {
        self.secrets.extend(secrets);
    }

    /// The effect is seen by `checks`, each to hold, or with `inverted` to fail.
    pub fn after<'c>(
        &mut self,
        checks: impl IntoIterator<Item = (String, &'c CheckKind)>,
        inverted: bool,
        within: Duration,
        times: u32,
    ) {
        let mut after = After { checks: Vec::new(), within_ms: ms(within), times, shown: Vec::new() };
        for (name, kind) in checks {
            let (kind, taken) = pipe_secrets(kind, &format!("check.{name}"));
            let Ok(mut value) = serde_json::to_value(&kind) else { continue };
            if inverted {
                value = serde_json::json!({ "not": value });
            }
            for (name, secret) in taken {
                self.secrets.insert(name, secret);
            }
            let shown = super::after::shown(&kind);
            after.shown.push(if inverted { format!("no longer: {shown}") } else { shown });
            after.checks.push(value);
        }
        if !after.checks.is_empty() {
            self.plan.after = Some(after);
        }
    }

    pub fn finish(mut self) -> Planned {
        let within = self.plan.after.as_ref().map_or(0, |a| a.within_ms);
        // TERM and its grace period come on top of each step.
        let grace = super::super::exec::GRACE * u32::try_from(self.plan.phases.len()).unwrap_or(1);
        self.plan.timeout_ms = ms(self.steps + grace + SLACK).saturating_add(within);
        self.plan.secrets = self.secrets.keys().cloned().collect();
        Planned { plan: self.plan, secrets: self.secrets }
    }
}

impl Command {
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>, timeout: Duration) -> Command {
        Command { argv: argv.into_iter().map(Into::into).collect(), timeout, ..Command::default() }
    }

    pub fn in_folder(mut self, dir: Option<&Path>) -> Command {
        self.cwd = dir.map(Path::to_path_buf);
        self
    }

    /// The variables that are no secrets.
    pub fn plain_env(&self) -> BTreeMap<String, String> {
        let plain = |(name, value): (&String, &MaybeSecret)| match value {
            MaybeSecret::Plain(value) => Some((name.clone(), value.clone())),
            MaybeSecret::Secret(_) => None,
        };
        self.env.iter().filter_map(plain).collect()
    }
}

/// `4m10s of its RTO of 10m are left`; `None` when it is not down or has no objective.
pub fn rto_left(ctx: &PlanContext, service: &str) -> Option<String> {
    let rto = ctx.config.services.iter().find(|s| s.name == service)?.rto?;
    let down = Duration::from_millis(*ctx.down_ms.get(service)?);
    let said = text::duration(rto);
    Some(match rto.checked_sub(down) {
        Some(left) if !left.is_zero() => {
            format!("down for {}: {} of its RTO of {said} are left", text::duration(down), text::duration(left))
        }
        _ => {
            let over = text::duration(down.saturating_sub(rto));
            format!("down for {}: its RTO of {said} is over by {over}", text::duration(down))
        }
    })
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plan that says nothing.
    pub(crate) fn bare_plan(work: Work) -> Plan {
        let ctx = PlanContext::default();
        Draft::new(&ctx, &work, None, Risk::Observe).finish().plan
    }

    #[test]
    fn the_objective_left_is_said_in_words() {
        let mut config = crate::config::Config::default();
        config.services.push(Service { name: "api".into(), rto: Some(Duration::from_secs(600)), ..Service::default() });
        let mut ctx = PlanContext { config: config.into(), ..PlanContext::default() };
        assert_eq!(rto_left(&ctx, "api"), None, "it is not down");
        for (down, said) in [
            (350_000, "down for 5m50s: 4m10s of its RTO of 10m are left"),
            (763_000, "down for 12m43s: its RTO of 10m is over by 2m43s"),
            (600_000, "down for 10m: its RTO of 10m is over by 0s"),
        ] {
            ctx.down_ms.insert("api".into(), down);
            assert_eq!(rto_left(&ctx, "api").as_deref(), Some(said));
        }
    }
}
