//! Several people on one engine: what they may, second persons, tags and holds. With real uids, which needs root.

mod support;

#[path = "authority/clock.rs"]
mod clock;
#[path = "authority/guards.rs"]
mod guards;
#[path = "authority/levels.rs"]
mod levels;
#[path = "authority/passing.rs"]
mod passing;
#[path = "authority/second.rs"]
mod second;
#[path = "authority/team.rs"]
mod team;
