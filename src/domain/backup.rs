//! Backup sets as the fold sees them: the state of the newest copy against its objective.

use serde::{Deserialize, Serialize};

use super::time::Time;

pub mod judge;
pub mod manifest;
pub mod place;
pub mod proof;

pub use manifest::Manifest;

pub use judge::{Found, Judged, Listing, LogFound, Reading, Rules, judge};

/// State of a backup set. Worst first: missing, stale, suspect, unknown, fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupState {
    /// No good copy at all.
    Missing,
    /// The newest good copy is older than the objective allows.
    Stale,
    /// A good copy is within the objective, but the newest one is not to be trusted.
    Suspect,
    /// Not looked at yet, or the place cannot be read.
    #[default]
    Unknown,
    /// The newest copy is good and within the objective.
    Fresh,
}

impl BackupState {
    /// The one word shown everywhere.
    pub const fn word(self) -> &'static str {
        match self {
            BackupState::Missing => "missing",
            BackupState::Stale => "stale",
            BackupState::Suspect => "suspect",
            BackupState::Unknown => "unknown",
            BackupState::Fresh => "fresh",
        }
    }
}

/// One copy in a backup set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Copy {
    /// Stable within its set: the file name or the tool's own id.
    pub id: String,
    /// Where it lies: a path, or the tool's own address.
    pub place: String,
    /// When the copy was made (newest modification time for files).
    pub taken_at: Time,
    /// Bytes.
    pub size: u64,
    /// Why it is not to be trusted; `None` for a good copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<String>,
    /// What kind it looks like: `pg custom`, `sql gzip`, `tar zstd`, `directory`, `file`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// How far its content was looked at, in words: `read to the end`, `not yet read to the end`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Of a base backup: when the last segment of log that continues it without a gap was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaches: Option<Time>,
}

impl Copy {
    /// The moment that it can bring back: of a base backup the end of the log that continues it.
    pub fn as_of(&self) -> Time {
        self.reaches.map_or(self.taken_at, |at| at.max(self.taken_at))
    }

    /// Its size in words. A sound copy of no bytes is one whose source does not say how many there are.
    pub fn size_said(&self) -> String {
        if self.size == 0 && self.suspect.is_none() {
            "size not known".to_owned()
        } else {
            crate::text::size(self.size)
        }
    }

    /// The path that [`Copy::place`] means, byte by byte: names that are not UTF-8 or hold control characters are
    /// written escaped there, so that they can be shown and journaled as they are (see [`place`]).
    pub fn path_bytes(&self) -> Vec<u8> {
        place::bytes_of(&self.place)
    }
}

/// What the journal knows of a backup set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackupRecord {
    pub state: BackupState,
    pub since: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Copy>,
    pub detail: String,
}
