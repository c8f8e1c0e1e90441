//! A check that could not be prepared: it says so with every probe, and the service is unknown, never up.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::health::{Outcome, ProbeResult};
use crate::probe::Probe;
use crate::text;

/// Stands in for a check whose certificate file or secret cannot be had.
#[derive(Debug)]
pub struct Broken {
    why: String,
}

impl Broken {
    pub fn new(why: String) -> Self {
        Broken { why: text::clean(&why).into_owned() }
    }
}

impl Probe for Broken {
    fn probe(&self, _timeout: Duration) -> BoxFuture<'_, ProbeResult> {
        Box::pin(async { ProbeResult::new(Outcome::Error, None, self.why.clone(), 0) })
    }
}
