//! written later
