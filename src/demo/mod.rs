//! The sandbox.

use crate::cli::Failure;
use crate::cli::args::Screen;

/// Runs the sandbox.
pub fn run(_screen: &Screen, _no_servers: bool) -> Result<u8, Failure> {
    Err(Failure::failed("the sandbox is being built"))
}
