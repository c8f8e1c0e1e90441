//! Restores against real servers and real folders: what is planned, what is done, and what is left when it goes wrong.

mod support;

#[path = "restore/folders.rs"]
mod folders;
#[path = "restore/insert.rs"]
mod insert;
#[path = "restore/kit.rs"]
mod kit;
#[path = "restore/pg_cutover.rs"]
mod pg_cutover;
#[path = "restore/pg_faults.rs"]
mod pg_faults;
#[path = "restore/pg_restore.rs"]
mod pg_restore;
#[path = "restore/vaults.rs"]
mod vaults;
