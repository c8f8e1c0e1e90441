//! Restores against real servers and real folders: what is planned, what is done, and what is left when it goes wrong.

mod support;

#[path = "restore/folders.rs"]
mod folders;
#[path = "restore/insert.rs"]
mod insert;
#[path = "restore/kit.rs"]
mod kit;
#[path = "restore/manifest.rs"]
mod manifest;
#[path = "restore/meanwhile.rs"]
mod meanwhile;
#[path = "restore/pg_amcheck.rs"]
mod pg_amcheck;
#[path = "restore/pg_cutover.rs"]
mod pg_cutover;
#[path = "restore/pg_disk.rs"]
mod pg_disk;
#[path = "restore/pg_faults.rs"]
mod pg_faults;
#[path = "restore/pg_lost.rs"]
mod pg_lost;
#[path = "restore/pg_odd.rs"]
mod pg_odd;
#[path = "restore/pg_plan.rs"]
mod pg_plan;
#[path = "restore/pg_restore.rs"]
mod pg_restore;
#[path = "restore/pg_tables.rs"]
mod pg_tables;
#[path = "restore/pg_whole.rs"]
mod pg_whole;
#[path = "restore/pitr.rs"]
mod pitr;
#[path = "restore/pitr_faults.rs"]
mod pitr_faults;
#[path = "restore/pitr_forms.rs"]
mod pitr_forms;
#[path = "restore/pitr_hand.rs"]
mod pitr_hand;
#[path = "restore/pitr_tools.rs"]
mod pitr_tools;
#[path = "restore/pitr_walg.rs"]
mod pitr_walg;
#[path = "restore/pitr_whole.rs"]
mod pitr_whole;
#[path = "restore/rabbitmq.rs"]
mod rabbitmq;
#[path = "restore/redis.rs"]
mod redis;
#[path = "restore/redis_faults.rs"]
mod redis_faults;
#[path = "restore/redis_file.rs"]
mod redis_file;
#[path = "restore/redis_keys.rs"]
mod redis_keys;
#[path = "restore/vaults.rs"]
mod vaults;
#[path = "restore/workers.rs"]
mod workers;
