//! `chloe check`: whether a configuration is right, its files can be used, and what
//! it leaves open.

use std::path::Path;

use super::arguments::Arguments;
use super::failure::{Failure, say};
use super::settings;
use super::trial;
use crate::config::Config;

/// Checks the file that is named behind the command; without one, what `chloe`
/// would start with. Its files are tried and left as they were.
///
/// # Errors
/// What is wrong, and where.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.words.first() {
        Some(file) => {
            let config = settings::of_file(Path::new(file))?;
            trial::of_settings(&config)?;
            say(&format!("{file} is good.\n{}", open_door(&config)))
        }
        None => {
            let gathered = settings::of_process(arguments)?;
            trial::of_settings(&gathered.config)?;
            let of = gathered.file.map_or(String::new(), |file| {
                format!(", with those of {}", file.display())
            });
            let open = open_door(&gathered.config);
            say(&format!("The settings are good{of}.\n{open}"))
        }
    }
}

/// Without a secret the app cannot tell a message of Chloe from anybody's POST.
fn open_door(config: &Config) -> String {
    if !config.secret.is_empty() {
        return String::new();
    }
    format!(
        "There is no secret: whoever reaches {} can tell the app anything, as any browser.\n\
         Have the proxy deny that path (docs/deploying.md), or set a secret, and have the app\n\
         check the signature of each message.\n",
        config.application_server_url
    )
}
