//! What a cut-over has cost, measured when it is done: data against the RPO, downtime against the RTO.

use std::time::Duration;

use super::run::Run;
use super::state::State;
use super::time::Time;
use crate::text;

/// `; RPO: data of 02:14:07Z, 26m before the onset, of 1h: kept; RTO: db down 12m of 15m: kept`. What is not known is left
/// out: a copy without a moment, a service that was not down.
pub fn of_cut_over(state: &State, run: &Run, done: Time) -> String {
    let mut out = String::new();
    if let Some(data) = run.plan.data_as_of() {
        let onset = run.incident.as_ref().and_then(|id| state.incidents.get(id)).and_then(|i| i.onset);
        // What was written after the onset may be lost too; the objective is about what was good until then.
        let (until, what) = match onset.filter(|at| *at > data) {
            Some(onset) => (onset, "before the onset"),
            None => (run.requested_at, "before the cut-over"),
        };
        let lost = until.since(data);
        out.push_str(&format!("; RPO: data of {}, {} {what}", data, text::duration(lost)));
        out.push_str(&against(lost, run.plan.rpo_ms));
    }
    let Some(service) = &run.plan.service else { return out };
    if let Some(since) = state.services.get(service).and_then(|s| s.down_since) {
        let down = done.since(since);
        out.push_str(&format!("; RTO: {service} down {}", text::duration(down)));
        out.push_str(&against(down, state.catalog.services.get(service).and_then(|f| f.rto_ms)));
    }
    out
}

fn against(measured: Duration, objective_ms: Option<u64>) -> String {
    let Some(objective) = objective_ms.map(Duration::from_millis) else { return String::new() };
    let word = if measured > objective { "EXCEEDED" } else { "kept" };
    format!(" of {}: {word}", text::duration(objective))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::actor::Actor;
    use crate::domain::catalog::Severity;
    use crate::domain::event::*;
    use crate::domain::guard::tests::{Play, T0, catalog, plan_of};
    use crate::domain::health::Health;
    use crate::domain::run::Work;

    #[test]
    fn against_the_onset_and_the_downtime() {
        let mut catalog = catalog();
        catalog.services.get_mut("db").unwrap().rto_ms = Some(900_000);
        let mut play = Play::new(catalog);
        let engine = Actor::engine();
        let at = |minutes: i64| Time::from_ms(T0 + minutes * 60_000);
        let down = HealthChanged {
            service: "db".into(),
            from: Health::Up,
            to: Health::Down,
            check: "tcp".into(),
            detail: "refused".into(),
            because: None,
            happened_at: Some(at(-10)),
        };
        play.happened(&engine, None, down);
        let services = BTreeSet::from(["db".to_owned()]);
        let (title, source) = ("down".into(), "human".into());
        let declared = IncidentDeclared { title, severity: Severity::P0, services, onset: Some(at(-10)), source };
        play.happened(&engine, Some("INC-2027-001".into()), declared);
        let mut plan = plan_of("c1", Work::CutOver { of: "r1".into() });
        plan.data_lost_ms = Some(40 * 60_000);
        plan.rpo_ms = Some(1_200_000);
        let request = RunRequested { plan, reason: String::new(), unlogged: false, recovery: None, head_start: false };
        play.happened(&engine, Some("INC-2027-001".into()), request);
        let run = play.state.runs["c1"].clone();
        let said = of_cut_over(&play.state, &run, at(2));
        let data = run.plan.data_as_of().unwrap();
        assert_eq!(
            said,
            format!("; RPO: data of {data}, 30m before the onset of 20m: EXCEEDED; RTO: db down 12m of 15m: kept")
        );
        // Nothing is claimed of what is not known.
        let mut bare = run.clone();
        (bare.plan.data_lost_ms, bare.plan.service) = (None, None);
        assert_eq!(of_cut_over(&play.state, &bare, at(2)), "");
    }
}
