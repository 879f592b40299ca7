//! Being built.

pub mod callback;
