//! Who may do what, what stands in the way, and what waits for a second person: as sent to viewers.

use serde::{Deserialize, Serialize};

use crate::domain::approval::Approval;
use crate::domain::authority::Authority;
use crate::domain::guard::Guards;

/// Part of the head: it changes rarely, and every screen decides by it what it offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardView {
    #[serde(skip_serializing_if = "Authority::is_empty")]
    pub authority: Authority,
    #[serde(skip_serializing_if = "Guards::is_empty")]
    pub guards: Guards,
    /// Those that wait, then the newest of those that are over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
}

impl GuardView {
    /// Nothing is said of it.
    pub fn is_empty(&self) -> bool {
        *self == GuardView::default()
    }

    /// Requests that wait for a second person, newest first.
    pub fn waiting(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.iter().filter(|a| a.state.is_open())
    }

    pub fn approval(&self, id: &str) -> Option<&Approval> {
        self.approvals.iter().find(|a| a.id == id)
    }
}
