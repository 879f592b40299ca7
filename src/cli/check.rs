//! `chloe check`: whether a configuration is right. Opens nothing but the file.

use std::path::Path;

use super::arguments::Arguments;
use super::failure::{Failure, say};
use super::settings;
use crate::config::{Config, Warning};

/// Checks the file that is named behind the command; without one, what `chloe`
/// would start with.
///
/// # Errors
/// What is wrong, and where.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.words.first() {
        Some(file) => {
            let config = settings::of_file(Path::new(file))?;
            report(&config, &format!("{file} is good.\n"))
        }
        None => {
            let config = settings::of_process(arguments)?;
            report(&config, "The settings are good.\n")
        }
    }
}

/// What is right and yet worth a warning is said with the verdict.
fn report(config: &Config, verdict: &str) -> Result<(), Failure> {
    let mut lines = verdict.to_owned();
    for Warning { setting, text } in config.warnings() {
        lines += &format!("warning: {setting}: {text}\n");
    }
    say(&lines)
}
