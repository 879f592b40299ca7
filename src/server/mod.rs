//! Being built.

pub mod callback;
pub mod files;
