//! The configuration: one TOML file, read into checked types, every fault told at once with file, line and a hint.
//!
//! A key that does nothing is never accepted, and a duration, a name or a dependency that makes no sense is a fault here
//! and not a surprise during an incident. Secrets are references (`{ env = … }`, `{ file = … }`, `{ command = […] }`);
//! their values are resolved late and never serialised.
//!
//! | file | is |
//! | --- | --- |
//! | [`types`] | what the rest of mayday gets |
//! | `keys` | the one table of keys, in the language of `shape`, with the forms of `value` |
//! | `read` | from text to checked values, with their places in the file |
//! | `build`, `check` | from checked values to the types; what must fit together |
//! | `load` | the file as a whole, from bytes to types |
//! | `catalog` | what history needs of it |
//! | [`playbooks`] | playbooks and checklists that are shipped, and those in files of their own |
//! | `lint` | what is allowed and yet hardly meant |
//! | `effective`, `schema` | what is in force, as TOML; what may be written, as JSON Schema |
//! | [`secret`], `secrets` | where values come from; every place that holds one |
//! | [`fault`] | what is wrong, and its picture |
//! | [`starter`] | what `mayday init` writes from what it found |
//! | [`locate`] | which file, which state folder |

mod build;
mod catalog;
mod check;
mod effective;
pub mod fault;
mod keys;
mod lint;
mod load;
pub mod locate;
pub mod maintenance;
pub mod playbooks;
mod read;
mod schema;
pub mod secret;
mod secrets;
mod shape;
pub mod starter;
pub mod types;
mod value;

pub use effective::effective;
pub use fault::{Fault, render};
pub use load::{digest, load, load_with_source, parse};
pub use locate::{Candidate, Env, Located, NotFound, find, find_in, state_dir, state_dir_of, state_dir_of_broken};
pub use schema::schema;
pub use secret::{MaybeSecret, SecretRef, resolve};
pub use secrets::{NOT_KEPT, keepable, pipe_secrets};
pub use starter::{Survey, starter};
pub use types::*;

#[cfg(test)]
mod tests;
