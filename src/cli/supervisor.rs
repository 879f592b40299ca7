//! Who watches this process, and what follows from it.
//!
//! The first process of a container (PID 1) and the main process of a systemd
//! service are what their supervisor waits for: when they end, everything else
//! there is ended with them, the next process too. So they must not hand over.
//! PID 1 also inherits every process whose parent has ended, and has to take
//! its exit status. Called by `handover` and `signals`.

use std::env;

use rustix::process::{WaitOptions, wait};

/// The number of the first process.
const FIRST: u32 = 1;

/// Why this process must not hand over to another, and what to do in place of
/// it, as a sentence; `None` if it may.
pub fn objection() -> Option<&'static str> {
    // Set by systemd from version 248 on, for the one process that it starts.
    let systemd = env::var("SYSTEMD_EXEC_PID").ok();
    object(std::process::id(), systemd.as_deref())
}

fn object(pid: u32, main_of_systemd: Option<&str>) -> Option<&'static str> {
    if pid == FIRST {
        return Some(
            "it is process 1, and its container ends with it; stop the container and start it \
             anew, with state_file on a volume",
        );
    }
    if main_of_systemd.is_some_and(|main| main.parse() == Ok(pid)) {
        return Some(
            "it is the main process of a systemd service, which ends with it; use systemctl \
             restart, with state_file, and with a socket unit nobody is refused meanwhile",
        );
    }
    None
}

/// Whether processes without a parent become children of this one.
pub fn inherits_orphans() -> bool {
    std::process::id() == FIRST
}

/// Takes the exit status of every child that has ended, so that none stays
/// behind as a zombie. Only for a process with no children of its own.
pub fn reap() {
    // ECHILD: there are none.
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_waits_for_must_not_hand_over() {
        for (pid, systemd, said) in [
            (1, None, "process 1"),
            (1, Some("1"), "process 1"),
            (7, Some("7"), "systemctl restart"),
            // A shell below a service, and what it starts.
            (8, Some("7"), ""),
            (8, Some("x"), ""),
            (8, None, ""),
        ] {
            let objection = object(pid, systemd);
            match said {
                "" => assert_eq!(objection, None, "{pid} {systemd:?}"),
                said => assert!(objection.unwrap().contains(said), "{pid} {systemd:?}"),
            }
        }
    }
}
