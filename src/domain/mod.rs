//! What an incident is: pure data and pure rules.
//!
//! Nothing in here reads a clock, a file, the environment or the network; time always comes in as a value. Two functions
//! carry the house: [`decide::decide`] turns a [`command::Command`] into events or a refusal a person can act on, and
//! [`state::State::apply`] folds one journal entry into the state. The engine, the review and a replay of the past use
//! the same fold, so they cannot disagree.

pub mod actor;
pub mod approval;
pub mod authority;
pub mod availability;
pub mod backfill;
pub mod backup;
pub mod cadence;
pub mod catalog;
pub mod checklist;
pub mod clock;
pub mod command;
pub mod curation;
pub mod decide;
pub mod escalation;
pub mod event;
pub mod followup;
pub mod guard;
pub mod handoff;
pub mod headstart;
pub mod health;
pub mod hypothesis;
pub mod incident;
mod lead;
pub mod measure;
mod merge;
pub mod message;
pub mod outage;
pub mod phases;
pub mod playbook;
pub mod recovery;
pub mod redaction;
pub mod response;
pub mod review;
pub mod run;
pub mod shell;
pub mod sift;
pub mod state;
pub mod time;
pub mod timeline;

#[cfg(test)]
mod tests;

pub use actor::{Access, Actor};
pub use time::Time;
