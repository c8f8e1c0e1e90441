//! By keys.
