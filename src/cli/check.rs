//! `chloe check`: whether a configuration is right. Opens nothing but the file.

use std::path::Path;

use super::arguments::Arguments;
use super::failure::{Failure, say};
use super::settings;

/// Checks the file that is named behind the command; without one, what `chloe`
/// would start with.
///
/// # Errors
/// What is wrong, and where.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.words.first() {
        Some(file) => {
            settings::of_file(Path::new(file))?;
            say(&format!("{file} is good.\n"))
        }
        None => {
            settings::of_process(arguments)?;
            say("The settings are good.\n")
        }
    }
}
