//! (to be written)

pub mod samples;
pub mod schedule;
