//! FLOOR 4: every setting, its default and its limits.
//!
//! A [`Config`] is made of defaults, then the file, then the environment, then
//! the flags; a later one wins. What is unknown or wrong stops the start with
//! one sentence that says where it stands and what was meant. Nothing is
//! opened or bound here: `cli` reads the file, `net` and `server` use the
//! values. Called by `cli`, `net` and `server`.

mod value;

mod check;
mod suggest;

mod history;
mod keys;

mod warnings;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

pub use history::HistoryRule;
pub use keys::{Config, KEYS, Key};
pub use suggest::nearest;
use toml::de::DeTable;
pub use warnings::Warning;

/// Why a configuration is refused. Its Display is one line that says where the
/// mistake stands and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where the mistake stands.
    pub place: Place,
    /// What is wrong, as a sentence.
    pub problem: String,
}

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of the file; lines count from 1.
    File { path: PathBuf, line: usize },
    /// `--poll-hold-ms`, as a flag.
    Flag(String),
    /// `CHLOE_POLL_HOLD_MS`, from the environment.
    Environment(String),
    /// Two settings that are well each, and not together.
    Together,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { path, line } => write!(f, "{}:{line}: ", path.display())?,
            Place::Flag(flag) => write!(f, "{flag}: ")?,
            Place::Environment(name) => write!(f, "environment variable {name}: ")?,
            Place::Together => {}
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// The beginning of the environment's names.
pub const ENVIRONMENT_PREFIX: &str = "CHLOE_";

impl Key {
    /// The flag of the key: `--poll-hold-ms`.
    pub fn flag(&self) -> String {
        flag_name(self.name)
    }

    /// The environment variable of the key: `CHLOE_POLL_HOLD_MS`.
    pub fn environment(&self) -> String {
        environment_name(self.name)
    }
}

/// What a setting is called now. Those of the webhook were called `relay_*`; files that say
/// so are still taken.
fn current_name(key: &str) -> Cow<'_, str> {
    match key.strip_prefix("relay_") {
        Some("lanes") => "webhook_connections".into(),
        Some(rest) => format!("webhook_{rest}").into(),
        None => key.into(),
    }
}

fn flag_name(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

fn environment_name(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.to_ascii_uppercase())
}

impl Config {
    /// The defaults, changed by the text of a file. `path` is only for the errors.
    ///
    /// # Errors
    /// The text is no TOML, or a key is unknown or has a wrong value.
    pub fn from_toml(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        config.apply_toml(text, path)?;
        Ok(config)
    }

    /// Changes what the text of a file sets. The first mistake, by line, ends it.
    ///
    /// # Errors
    /// As [`Config::from_toml`].
    pub fn apply_toml(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let at = |offset: usize, problem: String| ConfigError {
            place: Place::File {
                path: path.to_owned(),
                line: line_of(text, offset),
            },
            problem,
        };
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let reason = error.message().replace('\n', ", ");
            at(offset, format!("is not TOML: {reason}"))
        })?;
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            match self.set_toml(&current_name(name), value.get_ref()) {
                Some(Ok(())) => {}
                Some(Err(problem)) => {
                    return Err(at(value.span().start, format!("{name} {problem}")));
                }
                None => return Err(at(key.span().start, unknown(name, name, str::to_owned))),
            }
        }
        Ok(())
    }

    /// Changes one key, as the flag `--poll-hold-ms` or `poll_hold_ms` gives it.
    ///
    /// # Errors
    /// The key is unknown or the value is wrong.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let name = key.trim_start_matches('-').replace('-', "_");
        let problem = match self.set_text(&current_name(&name), value) {
            Some(Ok(())) => return Ok(()),
            Some(Err(problem)) => problem,
            None => unknown(&flag_name(&name), &name, flag_name),
        };
        Err(ConfigError {
            place: Place::Flag(flag_name(&name)),
            problem,
        })
    }

    /// Changes one key from an environment variable. A name without the
    /// prefix `CHLOE_` is not Chloe's and changes nothing.
    ///
    /// # Errors
    /// The name begins with `CHLOE_` and is unknown, or the value is wrong.
    pub fn set_environment(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
            return Ok(());
        };
        // Only the one spelling: two spellings of one key would leave open which wins.
        let lower = key.to_ascii_lowercase();
        let upper_case = key.bytes().all(|byte| !byte.is_ascii_lowercase());
        let set = upper_case
            .then(|| self.set_text(&current_name(&lower), value))
            .flatten();
        let problem = match set {
            Some(Ok(())) => return Ok(()),
            Some(Err(problem)) => problem,
            None => unknown(name, &lower, environment_name),
        };
        Err(ConfigError {
            place: Place::Environment(name.to_owned()),
            problem,
        })
    }

    /// Checks each key again, for a `Config` that was filled by hand, and
    /// which of them do not go together; as they were given, so before the
    /// secret is read from `secret_file`.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let together = |problem: String| {
            Err(ConfigError {
                place: Place::Together,
                problem,
            })
        };
        if let Some((key, problem)) = self.out_of_bounds() {
            return together(format!("{key} {problem}"));
        }
        if !self.secret.is_empty() && !self.secret_file.as_os_str().is_empty() {
            return together(
                "secret and secret_file are both set: leave one of them out".to_owned(),
            );
        }
        if self.listen_addresses.is_empty() && self.unix_socket.as_os_str().is_empty() {
            return together(
                "listen_addresses and unix_socket are both empty: set one, so that browsers can come"
                    .to_owned(),
            );
        }
        let no_more_than: [(&str, u64, &str, u64); 4] = [
            (
                "webhook_retry_min_ms",
                self.webhook_retry_min_ms,
                "webhook_retry_max_ms",
                self.webhook_retry_max_ms,
            ),
            (
                "history_bytes",
                self.history_bytes as u64,
                "history_total_bytes",
                self.history_total_bytes as u64,
            ),
            // What arrives by POST is a body, and a message that /send or a
            // browser brings must fit into one.
            (
                "message_bytes_max",
                self.message_bytes_max as u64,
                "body_bytes_max",
                self.body_bytes_max as u64,
            ),
            // A held poll is a sign of life only when it ends within the session's time.
            (
                "poll_hold_ms",
                self.poll_hold_ms,
                "session_ttl_ms",
                self.session_ttl_ms,
            ),
        ];
        for rule in &self.history {
            let (bytes, total) = (rule.bytes.unwrap_or(0), self.history_total_bytes);
            if bytes > total {
                return together(format!(
                    "history for \"{}\" has bytes = {bytes} and history_total_bytes is {total}: \
                     bytes must not be more than history_total_bytes",
                    rule.prefix
                ));
            }
        }
        for (small, small_value, large, large_value) in no_more_than {
            if small_value > large_value {
                return together(format!(
                    "{small} is {small_value} and {large} is {large_value}: \
                     {small} must not be more than {large}"
                ));
            }
        }
        Ok(())
    }
}

/// The sentence for `name`, which is no key, read as `key`; `spell` writes a
/// key as it is written where this one stood.
fn unknown(name: &str, key: &str, spell: impl Fn(&str) -> String) -> String {
    match nearest(key, KEYS.iter().map(|key| key.name)) {
        Some(meant) => format!("there is no {name}: did you mean {}?", spell(meant)),
        None => format!("there is no {name}: etc/chloe.toml and chloe --help list all settings"),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests;
