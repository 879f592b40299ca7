//! The path by which this program was called.
//!
//! The system's own answer, `current_exe`, has all links resolved: a Chloe that
//! was started through `/opt/chloe/current` would start its own version again
//! after the link was moved to the next. So the path is put together as the
//! caller did it, and taken if it leads to the file that runs. Called by `start`
//! and by `serve`, which starts the next process by it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};

/// The path of this program as it was called, absolute, its links not resolved.
/// To be asked at the start, before another file may stand there.
///
/// # Errors
/// The system does not say which program runs.
pub fn as_called() -> io::Result<PathBuf> {
    let resolved = env::current_exe()?;
    let called = env::args_os().next().unwrap_or_default();
    let folder = working_folder();
    let search = env::var_os("PATH");
    let candidates = candidates(&called, search.as_deref(), folder.as_deref());
    let running = identity(&resolved);
    let found = candidates.into_iter().find(|path| {
        let there = identity(path);
        there.is_some() && there == running
    });
    // A caller may name the program as it likes: then only the system knows.
    Ok(found.unwrap_or(resolved))
}

/// Where `called` may stand: a path below the working folder, or a name in a
/// folder of the search path.
fn candidates(called: &OsStr, search: Option<&OsStr>, folder: Option<&Path>) -> Vec<PathBuf> {
    if called.is_empty() {
        return Vec::new();
    }
    let from_here = |path: PathBuf| match (path.is_absolute(), folder) {
        (true, _) => absolute(path).ok(),
        (false, Some(folder)) => absolute(folder.join(path)).ok(),
        (false, None) => None,
    };
    if called.as_bytes().contains(&b'/') {
        return from_here(PathBuf::from(called)).into_iter().collect();
    }
    let folders = search.map(env::split_paths).into_iter().flatten();
    let paths = folders.map(|folder| folder.join(called));
    paths.filter_map(from_here).collect()
}

/// The working folder by the way that the shell went, if it tells so (`pwd -L`).
fn working_folder() -> Option<PathBuf> {
    let resolved = env::current_dir().ok()?;
    let told = env::var_os("PWD").map(|told: OsString| PathBuf::from(told));
    let told = told.filter(|told| told.is_absolute() && identity(told) == identity(&resolved));
    Some(told.unwrap_or(resolved))
}

/// Device and inode: which file it is, whatever its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_program_follows_from_how_it_was_called() {
        let here = Some("/home/ann");
        for (called, search, folder, expected) in [
            ("/opt/now/chloe", None, None, &["/opt/now/chloe"][..]),
            ("./bin/chloe", Some("/bin"), here, &["/home/ann/bin/chloe"]),
            ("bin/../chloe", None, here, &["/home/ann/bin/../chloe"]),
            (
                "chloe",
                Some("/usr/bin::own:/bin"),
                here,
                &[
                    "/usr/bin/chloe",
                    "/home/ann/chloe",
                    "/home/ann/own/chloe",
                    "/bin/chloe",
                ],
            ),
            ("chloe", None, here, &[]),
            ("./chloe", None, None, &[]),
            ("", Some("/bin"), here, &[]),
        ] {
            let found = candidates(
                called.as_ref(),
                search.map(str::as_ref),
                folder.map(str::as_ref),
            );
            let expected: Vec<&Path> = expected.iter().map(Path::new).collect();
            assert_eq!(found, expected, "{called}");
        }
    }

    #[test]
    fn the_running_program_is_found() {
        assert_eq!(
            identity(&as_called().unwrap()),
            identity(&env::current_exe().unwrap())
        );
    }
}
