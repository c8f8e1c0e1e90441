//! The after-check: was the effect seen?
//!
//! Exit 0 is not up again. The checks of the plan are asked until all of them hold as often in a row as the plan says,
//! or its time is over. A check wrapped as `{"not": …}` holds when the service fails it: that is how a stop is seen. A
//! result that says nothing about the service (our own fault, not tried) neither holds nor contradicts.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};

use super::sink::RunSink;
use super::stop::Stop;
use crate::domain::health::{Outcome, ProbeResult};
use crate::domain::run::{After, Verdict};
use crate::text;

mod checks;

/// Longest time for one look at one check.
const LOOK: Duration = Duration::from_secs(5);
/// Longest and shortest pause between two rounds.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    pub(super) detail: String,
}

/// One check, ready to be asked.
pub(super) struct Check {
    /// For people.
    name: String,
    /// It has to fail.
    inverted: bool,
    probe: Box<dyn Ask>,
}

/// Something that can be asked for a result.
trait Ask: Send + Sync {
    fn ask(&self, within: Duration) -> BoxFuture<'_, ProbeResult>;
}

/// What one result means for one check.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Holds,
    Fails,
    Nothing,
}

fn says(outcome: Outcome, inverted: bool) -> Says {
    match (outcome, inverted) {
        (Outcome::Ok | Outcome::Warn, false) | (Outcome::Fail, true) => Says::Holds,
        (Outcome::Fail, false) | (Outcome::Ok | Outcome::Warn, true) => Says::Fails,
        (Outcome::Error | Outcome::Skipped, _) => Says::Nothing,
    }
}

/// Asks until the verdict is clear. Ends early when the run is to stop.
pub(super) async fn look(
    after: &After,
    secrets: &BTreeMap<String, SecretString>,
    sink: &RunSink,
    stop: &Stop,
    deadline: Instant,
) -> Seen {
    let unverified = |detail: String| Seen { verdict: Verdict::Unverified, detail };
    let checks = match checks::prepare(&after.checks, secrets) {
        Ok(checks) if checks.is_empty() => {
            return unverified("done; there was no check to see the effect by".to_owned());
        }
        Ok(checks) => checks,
        Err(why) => return unverified(format!("done; the effect could not be looked at: {why}")),
    };
    tokio::select! {
        biased;
        seen = ask(&checks, after, sink, deadline) => seen,
        () = stop.token.cancelled() => unverified("everything was done; stopped while looking for the effect".to_owned()),
    }
}

async fn ask(checks: &[Check], after: &After, sink: &RunSink, deadline: Instant) -> Seen {
    let times = after.times.max(1);
    let within = Duration::from_millis(after.within_ms);
    let began = Instant::now();
    let until = (began + within).min(deadline);
    let pause = (within / (times * 4)).clamp(PAUSES.0, PAUSES.1);
    let mut streak = 0;
    let mut last = Round::default();
    loop {
        let round = Round::ask(checks, until).await;
        if round.text != last.text {
            sink.own(&round.text);
        }
        streak = if round.says == Says::Holds { streak + 1 } else { 0 };
        last = round;
        let took = text::duration(began.elapsed());
        if streak >= times {
            return Seen { verdict: Verdict::Verified, detail: format!("{} ({took} after it was done)", last.text) };
        }
        // A row that has begun may be finished, as long as the whole run has time.
        let over = Instant::now() >= if streak > 0 { deadline } else { until };
        if over {
            return match last.says {
                Says::Nothing => Seen {
                    verdict: Verdict::Unverified,
                    detail: format!("done, but the effect could not be looked at: {}", last.text),
                },
                _ => Seen {
                    verdict: Verdict::Contradicted,
                    detail: format!("the commands succeeded, yet after {took}: {}", last.text),
                },
            };
        }
        sleep(pause).await;
    }
}

/// One look at every check.
struct Round {
    says: Says,
    text: String,
}

impl Default for Round {
    fn default() -> Self {
        Round { says: Says::Nothing, text: String::new() }
    }
}

impl Round {
    async fn ask(checks: &[Check], until: Instant) -> Round {
        let left = until.saturating_duration_since(Instant::now());
        let within = left.clamp(Duration::from_millis(500), LOOK);
        let results = futures_util::future::join_all(checks.iter().map(|c| c.probe.ask(within))).await;
        let mut round = Round { says: Says::Holds, text: String::new() };
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for (check, result) in checks.iter().zip(results) {
            let says = says(result.outcome, check.inverted);
            let text = say(check, &result);
            match says {
                Says::Holds => good.push(text),
                Says::Fails => bad.push(text),
                Says::Nothing => bad.push(format!("{text} (this says nothing about the service)")),
            }
            round.says = match (round.says, says) {
                (Says::Fails, _) | (_, Says::Fails) => Says::Fails,
                (Says::Nothing, _) | (_, Says::Nothing) => Says::Nothing,
                _ => Says::Holds,
            };
        }
        round.text = if bad.is_empty() { good.join("; ") } else { bad.join("; ") };
        round
    }
}

fn say(check: &Check, result: &ProbeResult) -> String {
    let mut text = check.name.clone();
    let word = match result.outcome {
        Outcome::Ok => "ok",
        Outcome::Warn => "warns",
        Outcome::Fail => "fails",
        Outcome::Error => "cannot be asked",
        Outcome::Skipped => "was not asked",
    };
    text.push(' ');
    text.push_str(word);
    match (&result.detail, result.reason) {
        (detail, _) if !detail.is_empty() => text.push_str(&format!(": {detail}")),
        (_, Some(reason)) => text.push_str(&format!(": {}", reason.word())),
        _ => {}
    }
    text
}
