//! `chloe check`: whether a configuration is right, and its files can be used.

use std::path::Path;

use super::arguments::Arguments;
use super::failure::{Failure, say};
use super::settings;
use super::trial;

/// Checks the file that is named behind the command; without one, what `chloe`
/// would start with. Its files are tried and left as they were.
///
/// # Errors
/// What is wrong, and where.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (config, what) = match arguments.words.first() {
        Some(file) => (
            settings::of_file(Path::new(file))?,
            format!("{file} is good."),
        ),
        None => (
            settings::of_process(arguments)?,
            "The settings are good.".to_owned(),
        ),
    };
    trial::of_settings(&config)?;
    say(&format!("{what}\n"))
}
