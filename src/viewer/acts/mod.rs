//! What the commands of the table do.

pub mod incident;
pub mod messages;
pub mod runs;
pub mod view;
