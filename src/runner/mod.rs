//! The detached process that executes one plan, and how the engine starts, follows, stops and finishes it off.
//!
//! A run is a folder ([`folder`](self::place) says which file is what). The engine writes the plan and starts a runner;
//! the runner claims the plan (exclusively, on disk before the first command), executes its phases, looks whether the
//! effect is there, and leaves a status. Everything in between is appended to files, so neither side needs the other to
//! be alive: the engine may be killed and come back, and finds each run by looking at its folder.
//!
//! It must never execute a plan twice, never write a secret (values come by pipe and are masked at the moment of
//! capture), never write an escape sequence into a file meant for reading, and never let a process outlive a timeout or
//! a cancellation.

mod after;
mod claim;
mod folder;
mod hand;
mod look;
mod output;
mod process;
mod progress;
mod reap;
mod sink;
mod spawn;
mod status;
mod stop;
mod work;

pub use claim::{Claim, ClaimError, expire};
pub use folder::{find, place, read_plan, write_plan};
pub use look::{Seen, look, look_on, share, sides};
pub use output::{OutputChunk, output};
pub use process::main;
pub use progress::{Progress, ProgressLine, progress_since, time_left};
pub use reap::{Reaped, reap};
pub use spawn::{Limits, OUTPUT_LIMIT, cancel, compensate, spawn, spawn_with};
pub use status::{OutputMap, Part, PhaseTime, Status};

/// The environment variable that marks what a runner starts; its value is the run's folder.
pub(crate) const MARK: &str = "MAYDAY_RUNNER";
