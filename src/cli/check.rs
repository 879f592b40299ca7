//! `chloe check`: whether a configuration is right, its files can be used, and what
//! it leaves open.

use std::path::Path;

use super::arguments::Arguments;
use super::failure::{Failure, say};
use super::settings;
use super::trial;
use crate::config::{Config, Warning};

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
            report(&config, &format!("{file} is good.\n"))
        }
        None => {
            let gathered = settings::of_process(arguments)?;
            trial::of_settings(&gathered.config)?;
            let of = gathered.file.map_or(String::new(), |file| {
                format!(", with those of {}", file.display())
            });
            report(&gathered.config, &format!("The settings are good{of}.\n"))
        }
    }
}

/// What is right and yet worth a warning is said with the verdict.
fn report(config: &Config, verdict: &str) -> Result<(), Failure> {
    let mut lines = verdict.to_owned();
    for Warning { setting, text } in config.warnings() {
        lines += &format!("warning: {setting}: {text}\n");
    }
    say(&(lines + &open_door(config)))
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
