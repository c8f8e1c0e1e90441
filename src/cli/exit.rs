//! How a command ends: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 contradicted, 5 unverified, 6 cancelled, lost,
//! timed out or expired.

use crate::domain::command::Refusal;
use crate::domain::run::{RunState, Verdict};
use crate::wire::client::ConnectError;

pub const DONE: u8 = 0;
pub const FAILED: u8 = 1;
pub const USAGE: u8 = 2;
pub const REFUSED: u8 = 3;
pub const CONTRADICTED: u8 = 4;
pub const UNVERIFIED: u8 = 5;
pub const CUT_SHORT: u8 = 6;
/// `mayday status` failed itself (its 0 to 3 are states).
pub const STATUS_FAILED: u8 = 64;

/// A command that did not do what it should: the code, and what is told on stderr.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub text: String,
}

impl Failure {
    pub fn failed(text: impl Into<String>) -> Self {
        Failure { code: FAILED, text: text.into() }
    }

    pub fn usage(text: impl Into<String>) -> Self {
        Failure { code: USAGE, text: text.into() }
    }

    pub fn refused(text: impl Into<String>) -> Self {
        Failure { code: REFUSED, text: text.into() }
    }
}

impl From<ConnectError> for Failure {
    fn from(e: ConnectError) -> Self {
        let code = if matches!(e, ConnectError::Refused { .. }) { REFUSED } else { FAILED };
        Failure { code, text: e.to_string() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Failure::failed(e.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(r: Refusal) -> Self {
        Failure { code: if r.usage { USAGE } else { REFUSED }, text: r.to_string() }
    }
}

/// The code for a run that is over.
pub fn of_run(state: RunState, verdict: Option<Verdict>) -> u8 {
    match (state, verdict) {
        (RunState::Cancelled | RunState::Lost | RunState::Expired | RunState::TimedOut, _) => CUT_SHORT,
        (_, Some(Verdict::Contradicted)) => CONTRADICTED,
        (RunState::Succeeded, Some(Verdict::Verified)) => DONE,
        (RunState::Succeeded, _) => UNVERIFIED,
        _ => FAILED,
    }
}
