//! The configuration: one TOML file, read into checked types, every fault told at once with file, line and a hint.
//!
//! A key that does nothing is never accepted, and a duration, a name or a dependency that makes no sense is a fault here
//! and not a surprise during an incident. Secrets are references (`{ env = … }`, `{ file = … }`, `{ command = […] }`);
//! their values are resolved late and never serialised.

pub mod secret;
pub mod types;

pub use secret::SecretRef;
pub use types::*;
