//! The past as it was: any moment of a record equals the fold up to it, of a real engine what was shown then, and nothing
//! can be started from it.

mod support;

#[path = "replay/engine.rs"]
mod engine;
#[path = "replay/moments.rs"]
mod moments;
#[path = "replay/record.rs"]
mod record;
