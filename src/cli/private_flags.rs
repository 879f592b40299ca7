//! `--secret`, kept out of the list of processes.
//!
//! Any user of a machine can read the arguments of every process, but the
//! environment only of their own. So a program that is given a secret as a flag
//! runs itself anew, in the same process, with the secret as a variable. Called
//! by `cli::main`, before anything else is done.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::arguments::Arguments;
use super::failure::Failure;
use crate::config::KEYS;

/// The settings that nobody else may see.
const PRIVATE: [&str; 1] = ["secret"];

/// Returns if there is nothing to hide. Otherwise the process goes on from its
/// beginning, and this does not return.
///
/// # Errors
/// The program cannot be run anew.
pub fn hide(arguments: &Arguments) -> Result<(), Failure> {
    let (private, public): (Vec<_>, Vec<_>) = arguments
        .settings
        .iter()
        .cloned()
        .partition(|(key, _)| PRIVATE.contains(&key.as_str()));
    if private.is_empty() {
        return Ok(());
    }
    let rest = Arguments {
        settings: public,
        ..arguments.clone()
    };
    let variables = private.iter().filter_map(|(setting, value)| {
        let key = KEYS.iter().find(|key| key.name == setting)?;
        Some((key.environment(), value))
    });
    let error = env::current_exe().map(|program| {
        let mut command = Command::new(program);
        // As it was called: that is how it finds itself when it restarts.
        if let Some(name) = env::args_os().next() {
            command.arg0(name);
        }
        // Of a flag that was given twice the last one counts, here as there.
        command.args(rest.again()).envs(variables).exec()
    });
    let error = error.unwrap_or_else(|error| error);
    Err(Failure::Failed(format!(
        "--secret would be seen in the list of processes, and cannot be hidden ({error}): set it in the configuration file or as CHLOE_SECRET"
    )))
}
