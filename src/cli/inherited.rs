//! Listening sockets that systemd opened for this process (sd_listen_fds(3)).
//!
//! The variables are left in place: they name this process, so that no other
//! takes them for its own. Called by `serve`.

use std::env;
use std::os::fd::{FromRawFd, OwnedFd};

use super::failure::Failure;

/// The number of the first descriptor that systemd passes.
const FIRST: i32 = 3;
/// More than any unit has.
const SOCKETS_MAX: i32 = 1_000;

/// The sockets that this process was started with; none without systemd's word.
///
/// # Errors
/// systemd names a descriptor that is not open.
pub fn of_process() -> Result<Vec<OwnedFd>, Failure> {
    let number = |name| env::var(name).ok()?.parse::<i32>().ok();
    let ours = number("LISTEN_PID") == i32::try_from(std::process::id()).ok();
    let count = number("LISTEN_FDS").filter(|count| ours && (1..=SOCKETS_MAX).contains(count));
    let numbers = FIRST..FIRST + count.unwrap_or(0);
    if let Some(missing) = numbers.clone().find(|&number| !is_open(number)) {
        return Err(Failure::Failed(format!(
            "LISTEN_FDS names the descriptor {missing}, which is not open; unset LISTEN_FDS, or \
             start Chloe by its systemd socket unit"
        )));
    }
    Ok(numbers.map(own).collect())
}

fn is_open(number: i32) -> bool {
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()
}

fn own(number: i32) -> OwnedFd {
    // SAFETY: the descriptor is open, and systemd passed it to this process,
    // and to no other, to be its own: LISTEN_PID is our id. Nothing in this
    // process has opened it or uses it, since this is called once, before
    // anything else takes descriptors of that range, and each number once.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    // A process that this one starts gets it by other ways, or not at all.
    let _ = rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC);
    socket
}
