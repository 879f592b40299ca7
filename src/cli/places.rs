//! Where a Chloe in the background keeps its files, when no setting says so.
//!
//! Names only: nothing is made or opened. Called by `start`, `stop` and `serve`.

use std::env;
use std::path::{Path, PathBuf};

use super::logging;
use crate::config::Config;

/// The folders that the user's environment names.
#[derive(Clone, Debug, Default)]
pub struct Places {
    is_root: bool,
    home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    state: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    runtime: Option<PathBuf>,
}

impl Places {
    /// Those of this process.
    pub fn of_process() -> Places {
        // The XDG specification: a path that is not absolute is as if not set.
        let folder = |name| {
            let path = env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        Places {
            is_root: rustix::process::geteuid().is_root(),
            home: folder("HOME"),
            state: folder("XDG_STATE_HOME"),
            runtime: folder("XDG_RUNTIME_DIR"),
        }
    }

    /// The log of a Chloe in the background.
    pub fn log_file(&self, config: &Config) -> PathBuf {
        self.log_dir(config).join(logging::FILE_NAME)
    }

    /// The file with its process id. Several on one host differ in their port.
    pub fn pid_file(&self, config: &Config) -> PathBuf {
        if is_set(&config.pid_file) {
            return config.pid_file.clone();
        }
        let folder = match &self.runtime {
            _ if is_set(&config.log_dir) => config.log_dir.clone(),
            _ if self.is_root => PathBuf::from("/run"),
            Some(runtime) => runtime.clone(),
            None => self.log_dir(config),
        };
        folder.join(format!("chloe-{}.pid", config.port))
    }

    /// What outlives the process: beside the pid file, whose folder is there in any case.
    pub fn state_file(&self, config: &Config) -> PathBuf {
        if is_set(&config.state_file) {
            return config.state_file.clone();
        }
        self.pid_file(config).with_extension("state")
    }

    fn log_dir(&self, config: &Config) -> PathBuf {
        if is_set(&config.log_dir) {
            return config.log_dir.clone();
        }
        let state = match (&self.state, &self.home) {
            (Some(state), _) => state.clone(),
            (None, Some(home)) if !self.is_root => home.join(".local/state"),
            // Without a home it may not be written to, which is told: a folder
            // of all users is no place for it.
            (None, _) => PathBuf::from("/var/log"),
        };
        state.join("chloe")
    }
}

/// Whether a setting that is a path has a value.
pub fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_come_first_then_the_habits_of_the_system() {
        let root = Places {
            is_root: true,
            home: Some("/root".into()),
            ..Places::default()
        };
        let user = Places {
            home: Some("/home/ann".into()),
            ..Places::default()
        };
        let desktop = Places {
            state: Some("/home/ann/state".into()),
            runtime: Some("/run/user/7".into()),
            ..user.clone()
        };
        let plain = Config::default();
        let log_dir = Config {
            log_dir: "/l".into(),
            ..Config::default()
        };
        let both = Config {
            pid_file: "/p".into(),
            ..log_dir.clone()
        };
        for (places, config, log, pid) in [
            (
                &root,
                &plain,
                "/var/log/chloe/chloe.log",
                "/run/chloe-8901.pid",
            ),
            (
                &user,
                &plain,
                "/home/ann/.local/state/chloe/chloe.log",
                "/home/ann/.local/state/chloe/chloe-8901.pid",
            ),
            (
                &desktop,
                &plain,
                "/home/ann/state/chloe/chloe.log",
                "/run/user/7/chloe-8901.pid",
            ),
            (&desktop, &log_dir, "/l/chloe.log", "/l/chloe-8901.pid"),
            (&root, &log_dir, "/l/chloe.log", "/l/chloe-8901.pid"),
            (&root, &both, "/l/chloe.log", "/p"),
        ] {
            assert_eq!(places.log_file(config), Path::new(log));
            assert_eq!(places.pid_file(config), Path::new(pid));
            let state = Path::new(pid).with_extension("state");
            assert_eq!(places.state_file(config), state);
        }
    }
}
