//! Recovery: what runs do. Plans are made of phases here, and the operations that phases name are executed here.
//!
//! Planning looks (tools, disk, copies) and changes nothing. Executing happens in the runner's process only. Neither
//! knows the engine, the probes or the notifications.

pub mod act;
pub mod control;
pub mod exec;
pub mod op;
pub mod plan;
pub mod restore;
