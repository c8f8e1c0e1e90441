//! Looking at services: one file per protocol behind one trait.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::health::ProbeResult;

/// A prepared check. Holds what it needs (addresses, secrets, shared clients) and no state of its own.
pub trait Probe: Send + Sync {
    /// Looks once. Ends within `timeout` and a moment, whatever the other side does; never fails, but says so.
    fn probe(&self, timeout: Duration) -> BoxFuture<'_, ProbeResult>;
}
