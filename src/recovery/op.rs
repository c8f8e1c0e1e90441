//! The face between the runner and the operations that a plan's phases name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::domain::run::Side;

/// What an operation is given.
#[derive(Clone)]
pub struct OpContext {
    /// Id of the run it belongs to.
    pub run: String,
    /// The run's own folder.
    pub dir: PathBuf,
    /// Secrets handed to the runner by pipe, by name.
    pub secrets: BTreeMap<String, SecretString>,
    /// Where output, progress and facts go.
    pub sink: Arc<dyn Sink>,
    /// Asked to stop: the operation leaves the live side untouched and returns [`OpError::Cancelled`].
    pub cancel: CancellationToken,
}

/// Receives what an operation has to say. Implementations mask secrets and clean text before anything is written.
pub trait Sink: Send + Sync {
    /// A line of output.
    fn line(&self, text: &str);
    /// `done` of `total` units (bytes where possible); `total` 0 when unknown.
    fn progress(&self, done: u64, total: u64, what: &str);
    /// All of the source is read and given on, and it goes on: how long that takes cannot be told from bytes.
    fn working(&self, done: u64, total: u64, what: &str) {
        self.progress(done, total, what);
    }
    /// Something now lies beside the live data, or was kept. On disk before this returns.
    fn side(&self, side: &Side) -> std::io::Result<()>;
    /// Something listed before no longer exists.
    fn gone(&self, name: &str) -> std::io::Result<()>;
    /// What has to be done if this process dies right now; `None` when nothing has to. On disk before this returns.
    fn compensation(&self, what: Option<&Compensation>) -> std::io::Result<()>;
}

/// A step that must be taken back by whoever finds it open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compensation {
    /// Operation to execute, as in a plan's native step.
    pub op: String,
    pub args: serde_json::Value,
    /// For people: `allow connections to app again`.
    pub shown: String,
}

/// How an operation ended well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// The effect was seen: what was verified, in words.
    pub verified: Option<String>,
}

/// How an operation ended badly.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OpError {
    /// What was attempted, why it failed, and what to do.
    #[error("{0}")]
    Failed(String),
    /// It did what it should, yet the check of the effect says otherwise.
    #[error("{0}")]
    Contradicted(String),
    #[error("cancelled")]
    Cancelled,
}
