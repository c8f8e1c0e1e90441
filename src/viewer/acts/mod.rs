//! What the commands of the table do.

pub mod curate;
pub mod guard;
pub mod incident;
pub mod leading;
pub mod messages;
pub mod past;
pub mod playbook;
pub mod recovery;
pub mod runs;
pub mod view;
