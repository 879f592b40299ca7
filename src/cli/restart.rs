//! `chloe restart`: stops the server if it runs, then starts it.
//!
//! The settings were read before: a mistake in them stops nothing. Called by
//! `cli::main`.

use super::arguments::Arguments;
use super::failure::Failure;
use super::{start, stop};
use crate::config::Config;

/// Stops and starts.
///
/// # Errors
/// As [`stop::run`], but for a server that does not run, and [`start::run`].
pub fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    match stop::run(config) {
        Ok(()) | Err(Failure::NotRunning(_)) => start::run(arguments, config),
        Err(failure) => Err(failure),
    }
}
