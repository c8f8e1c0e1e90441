//! Reading: from the text to tables whose keys and values are known to be right, every fault collected on the way.
//!
//! The file is parsed with its spans and walked along the declarations of `keys`. A faulty value is left out of the
//! result and remembered as present, so that one mistake gives one fault. What has meaning beyond a single value (names
//! that must exist, times that must fit together) is left to `build` and `check`.

mod near;
mod sink;
mod tab;
mod walk;

pub use near::nearest;
pub use sink::Sink;
pub use tab::{Item, Tab, Val};
pub use walk::{read, read_as};

/// Bytes of the file.
pub type Span = std::ops::Range<usize>;
