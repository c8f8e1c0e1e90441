//! How long it will take, from earlier runs of the same thing.

use crate::domain::run::{Run, RunState, Verdict, Work};

/// How many earlier runs count.
const RUNS: usize = 5;

/// Milliseconds that `work` is expected to take, and how many earlier runs that rests on: the median of the last five
/// that succeeded and were not contradicted, with the same verb and object. With `size` (bytes of the copy to be used),
/// the time of a run that used a copy of known size is scaled to it. Head starts, which are slow on purpose, count only
/// where there is nothing else.
pub fn expect(runs: &[Run], work: &Work, size: Option<u64>) -> (Option<u64>, u32) {
    match expect_from(runs.iter().filter(|run| !run.plan.gentle), work, size) {
        (None, _) => expect_from(runs.iter(), work, size),
        known => known,
    }
}

fn expect_from<'a>(
    runs: impl DoubleEndedIterator<Item = &'a Run>,
    work: &Work,
    size: Option<u64>,
) -> (Option<u64>, u32) {
    let same = |run: &&Run| run.plan.work.verb() == work.verb() && run.plan.work.object() == work.object();
    let mut times: Vec<u64> = runs
        .rev()
        .filter(same)
        .filter(|run| run.state == RunState::Succeeded && run.verdict != Some(Verdict::Contradicted))
        .filter_map(|run| took(run, size))
        .take(RUNS)
        .collect();
    times.sort_unstable();
    let n = times.len();
    let middle = match (times.get(n.wrapping_sub(1) / 2), times.get(n / 2)) {
        (Some(low), Some(high)) => Some(u64::midpoint(*low, *high)),
        _ => None,
    };
    (middle, u32::try_from(n).unwrap_or(0))
}

fn took(run: &Run, size: Option<u64>) -> Option<u64> {
    let ms = u64::try_from(run.finished_at?.ms_since(run.started_at?)).ok()?;
    let then = run.plan.copy.as_ref().map_or(0, |c| c.size);
    match size {
        Some(now) if then > 0 => u64::try_from(u128::from(ms) * u128::from(now) / u128::from(then)).ok(),
        _ => Some(ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Time;
    use crate::domain::backup::Copy;
    use crate::recovery::plan::draft::tests::bare_plan;

    fn run(work: Work, ms: i64, size: u64, state: RunState, verdict: Verdict) -> Run {
        let mut plan = bare_plan(work);
        plan.copy = (size > 0).then(|| Copy { size, ..Copy::default() });
        Run {
            plan,
            incident: None,
            requested_at: Time::from_ms(0),
            requested_by: String::new(),
            requested_seq: 0,
            requested_boot: String::new(),
            state,
            started_at: Some(Time::from_ms(1000)),
            finished_at: Some(Time::from_ms(1000 + ms)),
            phase: 0,
            exit: Some(0),
            verdict: Some(verdict),
            detail: String::new(),
            cancel_requested: false,
            superseded: false,
            sides: Vec::new(),
            largest: 0,
            unlogged: false,
            of_step: None,
            head_start: false,
        }
    }

    #[test]
    fn the_median_of_the_last_five_that_worked() {
        let api = || Work::Restart { service: "api".into() };
        let ok = |ms| run(api(), ms, 0, RunState::Succeeded, Verdict::Verified);
        assert_eq!(expect(&[], &api(), None), (None, 0));
        assert_eq!(expect(&[ok(300)], &api(), None), (Some(300), 1));
        assert_eq!(expect(&[ok(100), ok(301)], &api(), None), (Some(200), 2));
        // The oldest (9000) is the sixth; failures, contradictions and other services do not count.
        let runs = [
            ok(9000),
            ok(10),
            ok(50),
            run(api(), 7000, 0, RunState::Failed, Verdict::Unverified),
            run(api(), 7000, 0, RunState::Succeeded, Verdict::Contradicted),
            run(Work::Restart { service: "web".into() }, 7000, 0, RunState::Succeeded, Verdict::Verified),
            run(Work::Stop { service: "api".into() }, 7000, 0, RunState::Succeeded, Verdict::Verified),
            ok(40),
            ok(20),
            ok(30),
        ];
        assert_eq!(expect(&runs, &api(), None), (Some(30), 5));
    }

    #[test]
    fn a_larger_copy_takes_longer() {
        let work = || Work::Restore { backup: "full".into(), copy: None, test: false, to: None, only: Vec::new() };
        let runs = [run(work(), 1000, 100, RunState::Succeeded, Verdict::Verified)];
        assert_eq!(expect(&runs, &work(), Some(250)), (Some(2500), 1));
        assert_eq!(expect(&runs, &work(), None), (Some(1000), 1));
        let test = Work::Restore { backup: "full".into(), copy: None, test: true, to: None, only: Vec::new() };
        assert_eq!(expect(&runs, &test, Some(250)), (None, 0), "a test restore is another thing");
    }

    #[test]
    fn a_head_start_is_no_measure_of_haste() {
        let work = || Work::Restore { backup: "full".into(), copy: None, test: false, to: None, only: Vec::new() };
        let mut slow = run(work(), 9000, 100, RunState::Succeeded, Verdict::Verified);
        slow.plan.gentle = true;
        let fast = run(work(), 1000, 100, RunState::Succeeded, Verdict::Verified);
        assert_eq!(expect(&[fast, slow.clone()], &work(), None), (Some(1000), 1));
        assert_eq!(expect(&[slow], &work(), None), (Some(9000), 1), "better than nothing");
    }
}
