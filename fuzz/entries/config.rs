//! A configuration: a file, and a flag for each of its lines. What is taken is
//! written out and taken again; what is refused is refused in one line.

use std::path::Path;

use chloe::config::{Config, ConfigError, KEYS};

pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Config::from_toml(&text, Path::new("chloe.toml")) {
        Ok(config) => taken(&config),
        Err(error) => refused(&error),
    }
    let mut config = Config::default();
    let mut changed = false;
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        for set in [
            config.set(key.trim(), value.trim()),
            config.set_environment(key.trim(), value.trim()),
        ] {
            match set {
                Ok(()) => changed = true,
                Err(error) => refused(&error),
            }
        }
    }
    if changed {
        taken(&config);
    }
}

fn taken(config: &Config) {
    if let Err(error) = config.validate() {
        refused(&error);
    }
    let line = |key: &chloe::config::Key| {
        let value = config.value_of(key.name).expect("it is a key");
        format!("{} = {value}\n", key.name)
    };
    let text: String = KEYS.iter().map(line).collect();
    let again = Config::from_toml(&text, Path::new("chloe.toml"));
    let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(again == *config, "{text}");
}

fn refused(error: &ConfigError) {
    let said = error.to_string();
    assert!(!said.is_empty() && !said.contains('\n'), "{said}");
}
