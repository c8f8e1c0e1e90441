//! What test restores showed: that a copy can be read says less than that it was restored and its data looked at.

use serde::{Deserialize, Serialize};

use crate::domain::run::{Run, RunState, Verdict, Work};
use crate::domain::time::Time;

/// Tests kept of each backup set.
const KEEP: usize = 32;

/// A test restore that came to an end which says something about its copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    pub run: String,
    /// The copy's id; empty where the run did not tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub copy: String,
    pub at: Time,
    /// It was restored, and what was looked at in it was as it should be.
    pub proven: bool,
    /// What was verified, or why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The test that a finished run was, with the backup set that it is of. A test of single parts proves nothing of the
/// whole; one that was cancelled, lost or ended unverified says nothing.
pub fn of_run(run: &Run) -> Option<(&str, Test)> {
    let Work::Restore { backup, test: true, only, .. } = &run.plan.work else { return None };
    let proven = match (run.state, run.verdict) {
        (_, Some(Verdict::Contradicted)) | (RunState::Failed | RunState::TimedOut, _) => false,
        (RunState::Succeeded, Some(Verdict::Verified)) => true,
        _ => return None,
    };
    let test = Test {
        run: run.id().to_owned(),
        copy: run.plan.copy.as_ref().map(|c| c.id.clone()).unwrap_or_default(),
        at: run.finished_at?,
        proven,
        detail: run.detail.clone(),
    };
    only.is_empty().then_some((backup, test))
}

/// Keeps a test among those of its set, oldest first: of each copy the newest that went well and the newest that failed.
pub fn keep(tests: &mut Vec<Test>, test: Test) {
    tests.retain(|t| t.run != test.run && (t.copy != test.copy || t.proven != test.proven));
    tests.push(test);
    tests.sort_by_key(|t| t.at);
    while tests.len() > KEEP {
        // When the set was last proven is never forgotten for failures.
        let last = tests.iter().rposition(|t| t.proven);
        let oldest = usize::from(last == Some(0));
        tests.remove(oldest);
    }
}

/// How a set, or one copy of it, stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Proof<'a> {
    /// The newest test that went well.
    pub proven: Option<&'a Test>,
    /// One that failed since.
    pub failed: Option<&'a Test>,
}

impl<'a> Proof<'a> {
    pub fn of_set(tests: &'a [Test]) -> Proof<'a> {
        Proof::of(tests.iter())
    }

    pub fn of_copy(tests: &'a [Test], copy: &str) -> Proof<'a> {
        Proof::of(tests.iter().filter(|t| t.copy == copy))
    }

    fn of(tests: impl DoubleEndedIterator<Item = &'a Test>) -> Proof<'a> {
        let mut proof = Proof::default();
        for test in tests {
            if test.proven {
                proof = Proof { proven: Some(test), failed: None };
            } else {
                proof.failed = Some(test);
            }
        }
        proof
    }

    /// `test of crazy_gary-0300.dump 5m ago FAILED (run r7); proven 2h ago by run r5`; empty when there was no test.
    /// `ago` says `5m ago` of a moment.
    pub fn said(&self, ago: impl Fn(Time) -> String) -> String {
        let failed = self.failed.map(|t| failed(t, &ago));
        let proven = self.proven.map(|t| proven(t, &ago));
        failed.into_iter().chain(proven).collect::<Vec<_>>().join("; ")
    }
}

/// `proven 2h ago by run r5`.
pub fn proven(test: &Test, ago: impl Fn(Time) -> String) -> String {
    format!("proven {} by run {}", ago(test.at), test.run)
}

/// `test of crazy_gary-0300.dump 5m ago FAILED (run r7)`.
pub fn failed(test: &Test, ago: impl Fn(Time) -> String) -> String {
    let of = if test.copy.is_empty() { String::new() } else { format!(" of {}", crate::text::clean(&test.copy)) };
    format!("test{of} {} FAILED (run {})", ago(test.at), test.run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backup::Copy;
    use crate::domain::command::Command;
    use crate::domain::event::RunFinished;
    use crate::domain::run::Risk;
    use crate::domain::tests::{World, plan};

    fn test(run: &str, copy: &str, at: i64, proven: bool) -> Test {
        Test { run: run.into(), copy: copy.into(), at: Time::from_ms(at), proven, detail: String::new() }
    }

    fn said(proof: Proof<'_>) -> String {
        proof.said(|at| format!("{}ms ago", 100 - at.ms()))
    }

    #[test]
    fn the_newest_that_went_well_is_told_and_a_failure_since() {
        let mut tests = Vec::new();
        for (run, copy, at, proven) in [("a", "1", 10, true), ("b", "1", 20, true), ("c", "2", 30, false)] {
            keep(&mut tests, test(run, copy, at, proven));
        }
        assert_eq!(said(Proof::of_set(&tests)), "test of 2 70ms ago FAILED (run c); proven 80ms ago by run b");
        assert_eq!(said(Proof::of_copy(&tests, "1")), "proven 80ms ago by run b");
        assert_eq!(said(Proof::of_copy(&tests, "2")), "test of 2 70ms ago FAILED (run c)");
        assert_eq!(said(Proof::of_copy(&tests, "3")), "");
        keep(&mut tests, test("d", "2", 40, true));
        assert_eq!(said(Proof::of_set(&tests)), "proven 60ms ago by run d");
    }

    #[test]
    fn a_run_counts_when_it_says_something_of_the_whole_copy() {
        let mut w = World::new();
        let mut restore = |id: &str, test: bool, only: &[&str], state: RunState, verdict: Verdict| {
            let mut plan = plan(id, "api", Risk::Disruptive);
            plan.holds = vec![format!("database {id}")];
            plan.copy = Some(Copy { id: format!("{id}.dump"), ..Copy::default() });
            let only = only.iter().map(|s| (*s).to_owned()).collect();
            plan.work = Work::Restore { backup: "orders".into(), copy: None, test, only, to: None };
            let plan = Box::new(plan);
            w.ask(Command::Run { plan, confirm: "y".into(), reason: String::new(), unlogged: false }).unwrap();
            let event = RunFinished {
                run: id.into(),
                state,
                exit: None,
                verdict,
                detail: "seen".into(),
                finished_at: None,
                output_digest: String::new(),
                excerpt: String::new(),
            };
            w.happened(None, event);
            let tests = w.state.tests.get("orders").map(Vec::as_slice).unwrap_or_default();
            let proof = Proof::of_set(tests);
            let id = |t: Option<&Test>| t.map_or("-", |t| t.run.as_str()).to_owned();
            (id(proof.proven), id(proof.failed))
        };
        let mut is = |id, test, only: &[&str], state, verdict, proven: &str, failed: &str| {
            assert_eq!(restore(id, test, only, state, verdict), (proven.to_owned(), failed.to_owned()), "{id}");
        };
        use RunState::{Cancelled, Failed, Succeeded};
        use Verdict::{Contradicted, Unverified, Verified};
        is("a", false, &[], Succeeded, Verified, "-", "-");
        is("b", true, &["public.b"], Succeeded, Verified, "-", "-");
        is("c", true, &[], Succeeded, Unverified, "-", "-");
        is("d", true, &[], Succeeded, Verified, "d", "-");
        is("e", true, &[], Failed, Unverified, "d", "e");
        is("f", true, &[], Cancelled, Unverified, "d", "e");
        is("g", true, &[], Succeeded, Contradicted, "d", "g");
        is("h", true, &[], Succeeded, Verified, "h", "-");
    }

    #[test]
    fn failures_without_end_do_not_make_the_last_proof_forgotten() {
        let mut tests = Vec::new();
        keep(&mut tests, test("good", "0", 1, true));
        for n in 0..100 {
            keep(&mut tests, test(&format!("r{n}"), &format!("c{n}"), 2 + n, false));
        }
        assert_eq!(tests.len(), KEEP);
        let proof = Proof::of_set(&tests);
        assert_eq!((proof.proven.unwrap().run.as_str(), proof.failed.unwrap().run.as_str()), ("good", "r99"));
    }
}
