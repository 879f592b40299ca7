//! The state file: written at the end of a server, read and removed at the next start.
//!
//! It is written to another name in the same folder, synced and renamed, so
//! what stands under its name is whole. It is taken away before it is restored:
//! restored twice, it would give out offsets twice. What cannot be used is set
//! aside and told in the log, and hinders no start. What it holds is the
//! server's. Called by `serve`.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::files::{self, beside};
use crate::base::time::Time;
use crate::server::Server;

/// Writes the state of `server` to the file at `path`. Where that fails, the
/// log says what is lost by it; the end goes on.
pub fn write(server: &mut Server, now: Time, path: &Path) {
    let beside = beside(path, "new");
    match write_file(server, now, &beside, path) {
        Ok(bytes) => log::info!("event=state_written path={} bytes={bytes}", path.display()),
        Err(error) => {
            let _ = fs::remove_file(&beside);
            log::error!(
                "event=state_lost path={} reason=\"{error}\" hint=\"history, sessions and messages for the app end with this process; make room, or set state_file to a place with room\"",
                path.display()
            );
        }
    }
}

/// Writes the file piece by piece; returns its length.
fn write_file(server: &mut Server, now: Time, beside: &Path, path: &Path) -> io::Result<u64> {
    // A file left by one that died while it wrote.
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // It holds messages and session ids: for its owner alone.
    let mut file = files::create_new(beside)?;
    let bytes = server.save(now, &mut file)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    sync_folder(path)?;
    Ok(bytes)
}

/// Restores `server` from the file at `path`, if there is one, and removes it. A
/// file that cannot be taken away is not restored: it may be that of a process
/// long before, and would be restored at every start.
pub fn read(server: &mut Server, now: Time, path: &Path) {
    let shown = path.display();
    let (mut file, length) = match open_file(path) {
        Ok(opened) => opened,
        Err(Unread::Nothing) => return,
        Err(Unread::Useless(reason)) => return set_aside(path, path, now, &reason),
    };
    let taken = beside(path, "taken");
    if let Err(error) = fs::rename(path, &taken).and_then(|()| sync_folder(path)) {
        log::error!(
            "event=state_file_stays path={shown} reason=\"{error}\" hint=\"Chloe starts without history and sessions; let its user write to the folder of the state file\""
        );
        return;
    }
    match server.restore(now, &mut file, length) {
        Ok(restored) => {
            log::info!(
                "event=state_restored path={shown} sessions={} publications={} messages={}",
                restored.sessions,
                restored.publications,
                restored.messages
            );
            // Nobody reads it under that name; if it stays, the next one takes its place.
            let _ = fs::remove_file(&taken);
        }
        Err(reason) => set_aside(&taken, path, now, &reason.to_string()),
    }
}

/// Why there is nothing to read.
enum Unread {
    /// There is no file.
    Nothing,
    Useless(String),
}

/// The file and its length.
fn open_file(path: &Path) -> Result<(File, u64), Unread> {
    let useless = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unread::Nothing,
        _ => Unread::Useless(format!("cannot be read: {error}")),
    };
    // What another user can put there would be served and signed as ours.
    let (file, metadata) = files::read(path, None).map_err(useless)?;
    Ok((file, metadata.len()))
}

/// Puts a file that cannot be used, now at `from`, out of the way of `path`, for
/// someone to look at.
fn set_aside(from: &Path, path: &Path, now: Time, reason: &str) {
    let aside = beside(path, &format!("damaged-{}", now.unix_ms / 1_000));
    let done = match fs::rename(from, &aside) {
        Ok(()) => format!("kept as {}", aside.display()),
        Err(error) => format!("it stays: {error}"),
    };
    log::error!(
        "event=state_unusable path={} reason=\"the state file {reason}\" hint=\"Chloe starts without history and sessions; {done}\"",
        path.display()
    );
}

/// A new name is on the disk only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
