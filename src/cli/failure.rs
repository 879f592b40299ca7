//! How a command fails: its exit code and its one line on standard error.
//!
//! Called by every command. Nothing is printed here but by [`Failure::report`].

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Why a command ends without success.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was tried and did not work. Exit code 1.
    Failed(String),
    /// The command line or the configuration is wrong. Exit code 2.
    Usage(String),
    /// What was asked about does not run. Exit code 3, as init scripts have it.
    NotRunning(String),
    /// The reason was told already; this is the exit code.
    Told(u8),
}

impl Failure {
    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::NotRunning(_) => 3,
            Failure::Told(code) => *code,
        }
    }

    /// Writes the one line and returns the exit code.
    pub fn report(&self) -> ExitCode {
        if !matches!(self, Failure::Told(_)) {
            // A closed standard error is no reason to panic: the code still tells.
            let _ = writeln!(io::stderr(), "chloe: {self}");
        }
        ExitCode::from(self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(line) | Failure::Usage(line) | Failure::NotRunning(line) => {
                f.write_str(line)
            }
            Failure::Told(code) => write!(f, "failed with exit code {code}"),
        }
    }
}

/// The failure for a path that could not be used: what was wanted of it, why not, and what to do.
pub fn path_failure(wanted: &str, path: &Path, error: &io::Error, advice: &str) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not".to_owned(),
        _ => error.to_string(),
    };
    Failure::Failed(format!(
        "cannot {wanted} {}: {reason}; {advice}",
        path.display()
    ))
}

/// Writes `text` to standard output as it is.
///
/// # Errors
/// Standard output cannot be written to. A pipe whose reader has left ends the
/// command as a success: it has all it wanted.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Told(0)),
        Err(error) => Err(Failure::Failed(format!(
            "cannot write to standard output: {error}"
        ))),
    }
}
