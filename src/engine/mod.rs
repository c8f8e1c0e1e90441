//! The engine: it watches, decides, records and has things done. One per state directory; viewers come and go.
//!
//! | file | is |
//! | --- | --- |
//! | [`start`] | lock, journal, fold, socket |
//! | `setup`, `reload` | taking a configuration in, at the start and later |
//! | [`core`] | the one owner of the state: a turn is take, decide, sync, answer, effects, picture |
//! | `ask`, `observe` | what people ask and what is seen, as entries |
//! | `approve` | what waits for a second person |
//! | `drafts` | messages as they are offered to be sent |
//! | `find` | rows of the record that fit, and how they read by now |
//! | `evidence` | what is kept in an incident's folder, with its digest |
//! | `lead` | levels that are called, drafts of what is due, the onset by the probes |
//! | `reconcile`, `follow`, `deliver`, `seal` | effects, derived from the state |
//! | `recover`, `playbook` | what is due for a recovery and for a playbook, and what is shown of them |
//! | `shell` | commands that people run in shells of their own |
//! | `redact` | destroying a text that must not be on record |
//! | `recorder` | the journal's writer, and what happens when nothing can be written |
//! | [`picture`], `views` | what viewers follow |
//! | [`server`], [`session`] | the socket |
//! | [`schedule`], [`samples`] | probing in time, and what it saw |

mod answered;
mod approve;
mod ask;
mod broken;
pub mod core;
mod deliver;
mod drafts;
mod evidence;
mod find;
mod follow;
mod headstart;
pub mod instance;
mod lead;
pub mod log;
mod maintenance;
mod observe;
pub mod picture;
mod playbook;
mod reconcile;
mod recorder;
mod records;
mod recover;
mod redact;
mod reload;
pub mod samples;
pub mod schedule;
mod seal;
pub mod server;
pub mod session;
mod setup;
mod shell;
pub mod signals;
pub mod start;
mod timekeeper;
mod views;

pub use core::Ended;
pub use instance::InstanceError;
pub use start::{Options, Running, StartError, start};
