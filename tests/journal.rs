//! The record, through its public face: on a real disk, on a full one, and on one that forgets what was not synced.

#[path = "journal/crash.rs"]
mod crash;
#[path = "journal/damage.rs"]
mod damage;
#[path = "journal/full.rs"]
mod full;
#[path = "journal/golden.rs"]
mod golden;
#[path = "journal/memory.rs"]
mod memory;
#[path = "journal/mirror.rs"]
mod mirror;
#[path = "journal/redact.rs"]
mod redact;
#[path = "journal/support.rs"]
mod support;
#[path = "journal/write.rs"]
mod write;
