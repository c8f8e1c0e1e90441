//! The cockpit's screens.

use crate::cli::Failure;
use crate::cli::args::{Global, Screen};

/// Opens the cockpit.
pub fn open(_global: &Global, _screen: &Screen) -> Result<u8, Failure> {
    Err(Failure::failed("the cockpit's screen is being built"))
}

/// Opens the wall display.
pub fn wall(_global: &Global, _screen: &Screen, _rotate: u64) -> Result<u8, Failure> {
    Err(Failure::failed("the wall is being built"))
}
