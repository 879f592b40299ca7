//! `chloe start`: a server in the background.
//!
//! It runs this program again, as `chloe daemon`, which leaves the terminal and
//! says over its standard output when it listens, or why it does not. Standard
//! error of the daemon is the log from its first moment. Called by `cli::main`.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::stdio::dup2_stdout;

use super::arguments::Arguments;
use super::failure::{Failure, path_failure, say};
use super::logging;
use super::places::{Places, is_set};
use super::program;
use super::running::{self, Running};
use super::serve;
use crate::config::Config;
use crate::net::EventLoop;

/// What the daemon says when it listens. Anything else is why it does not.
const LISTENING: &str = "listening";

/// Starts the daemon with the settings of this process, and waits until it listens.
///
/// # Errors
/// It cannot be started, or it could not start; the failure is its own.
pub fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    let places = Places::of_process();
    // Asked first: what runs already has that log, and its lines alone are in it.
    match running::look(config)? {
        Running::Started(pid) => {
            return Err(running::runs_already(pid, &places.pid_file(config)));
        }
        Running::Elsewhere(place) => return Err(running::not_started(&place)),
        Running::Nowhere => {}
    }
    let log_file = places.log_file(config);
    if !is_set(&config.log_dir) {
        make_folder(&log_file)?;
    }
    let log = logging::open(&log_file)?;
    let program = program::as_called()
        .map_err(|error| Failure::Failed(format!("cannot find the program chloe: {error}")))?;
    let mut child = Command::new(program)
        .arg("daemon")
        .args(arguments.settings_again())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| Failure::Failed(format!("cannot start a process: {error}")))?;
    let pid = child.id();
    match hear(&mut child) {
        Some(line) if line == LISTENING => say(&format!(
            "Chloe runs in the background: process {pid}, log {}\n",
            log_file.display()
        )),
        Some(line) => Err(Failure::Failed(line)),
        None => Err(Failure::Failed(format!(
            "Chloe ended before it listened; {} may tell why",
            log_file.display()
        ))),
    }
}

/// The one line that the daemon says; `None` if it ends without a word.
fn hear(child: &mut Child) -> Option<String> {
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take()?);
    let width = said.read_line(&mut line).ok()?;
    (width > 0).then(|| line.trim_end().to_owned())
}

fn make_folder(log_file: &Path) -> Result<(), Failure> {
    let Some(folder) = log_file.parent() else {
        return Ok(());
    };
    let mut builder = DirBuilder::new();
    // Also where the umask would let all users write there.
    builder.recursive(true).mode(0o755);
    builder.create(folder).map_err(|error| {
        let advice = "set log_dir to a folder that this user may write to";
        path_failure("make the folder", folder, &error, advice)
    })
}

/// `chloe daemon`: what `run` has started.
///
/// # Errors
/// As [`serve::run`]; the failure was told to the one who waits, too.
pub fn daemon(mut config: Config) -> Result<(), Failure> {
    // Fails only for the leader of a group of processes, which a child of `run` is not.
    let _ = rustix::process::setsid();
    let places = Places::of_process();
    config.state_file = places.state_file(&config);
    config.pid_file = places.pid_file(&config);
    let log_file = places.log_file(&config);
    let result = serve::run(config, Some(&log_file), |_: &EventLoop| {
        tell(LISTENING);
        Ok(())
    });
    result.map_err(|failure| {
        tell(&failure.to_string());
        log::error!("event=failed reason=\"{failure}\"");
        Failure::Told(failure.code())
    })
}

/// Tells the one who waits, who then leaves: standard output is let go.
fn tell(line: &str) {
    // Who has left needs to be told nothing.
    let _ = writeln!(io::stdout(), "{line}");
    if let Ok(null) = fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = dup2_stdout(null);
    }
}
