//! What engine and clients say to each other over the Unix socket: JSON lines, both ways.
//!
//! A client says [`Hello`] first and is told [`Welcome`] or why not. Then it sends [`Request`]s, each with an id, and is
//! given one [`Reply`] for each. A client that follows is also sent [`Change`]s: the parts of the picture that differ
//! from what it has, never a queue. Within a protocol's major number fields and requests are only added, and both sides
//! pass over what they do not know.

mod capsule;
pub mod client;
pub mod contacts;
pub mod folded;
pub mod frame;
pub mod guard;
pub mod mirror;
pub mod past;
pub mod request;
pub mod upload;
pub mod view;

pub use client::{Client, ConnectError};
pub use contacts::{ToCall, whom_to_call};
pub use guard::GuardView;
pub use mirror::Mirror;
pub use past::Past;
pub use request::*;
pub use view::*;

/// The protocol this version speaks. Majors below [`PROTOCOL_MIN`] are refused with the side to upgrade.
pub const PROTOCOL: u32 = 1;
/// The oldest protocol this version still understands.
pub const PROTOCOL_MIN: u32 = 1;
/// Longest line in bytes from a client, and from the engine.
pub const MAX_REQUEST: usize = 1 << 20;
pub const MAX_REPLY: usize = 64 << 20;
