//! Opening a file below a folder, and nothing else: no symbolic link leads
//! out, no pipe or device is opened for reading.
//!
//! The path is clean before it comes here (`wire::url::decode_path`); this
//! file holds the second wall, which the kernel builds. Called by `files` alone.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::path::Path;

/// What stands at a path.
#[derive(Debug)]
pub enum Found {
    File(File, Metadata),
    Folder,
}

/// Why there is nothing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing there, or nothing that may be seen from outside.
    Absent,
    /// It is there, and the system does not let Chloe read it.
    Denied,
    /// The system has no room for it now: too many open files, for instance.
    Busy,
}

impl From<Errno> for Missing {
    fn from(error: Errno) -> Missing {
        match error {
            Errno::ACCESS | Errno::PERM => Missing::Denied,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::INTR => {
                Missing::Busy
            }
            // NOENT, NOTDIR, LOOP, XDEV (out of the root), NAMETOOLONG, NXIO (a socket), ...
            _ => Missing::Absent,
        }
    }
}

/// NONBLOCK: opening a pipe without a writer does not wait for one.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Opens `relative` (no slash in front, no `..`) below `root`. The root is
/// looked up anew each time, so that it can be swapped for a new one.
///
/// # Errors
/// [`Missing`], also for anything but a file or a folder.
pub fn open(root: &Path, relative: &str) -> Result<Found, Missing> {
    debug_assert!(!relative.starts_with('/'), "a path below the root");
    let relative = if relative.is_empty() { "." } else { relative };
    #[cfg(target_os = "linux")]
    match open_beneath(root, relative) {
        // An old kernel, or a container that hides the call.
        Err(Errno::NOSYS | Errno::PERM) => {}
        opened => return look(opened?),
    }
    open_checked(root, relative)
}

/// The kernel itself refuses each step that leaves the root. It takes a link
/// that stays inside, if the link is relative.
#[cfg(target_os = "linux")]
fn open_beneath(root: &Path, relative: &str) -> Result<File, Errno> {
    use rustix::fs::ResolveFlags;
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, folder, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(&root, relative, READ, Mode::empty(), resolve).map(File::from)
}

/// For systems without such a kernel: resolve all links first, then look where
/// that has led. Between the two steps someone who may write in the root could
/// put a link in; it is for those who trust their own files.
fn open_checked(root: &Path, relative: &str) -> Result<Found, Missing> {
    let missing =
        |error: std::io::Error| Errno::from_io_error(&error).map_or(Missing::Absent, Missing::from);
    let root = root.canonicalize().map_err(missing)?;
    let path = root.join(relative).canonicalize().map_err(missing)?;
    if !path.starts_with(&root) {
        return Err(Missing::Absent);
    }
    let flags = READ | OFlags::NOFOLLOW;
    look(rustix::fs::open(&path, flags, Mode::empty())?.into())
}

/// Asks the opened thing itself what it is: its name may stand for another by now.
fn look(file: File) -> Result<Found, Missing> {
    let metadata = file.metadata().map_err(|_| Missing::Absent)?;
    if metadata.is_file() {
        Ok(Found::File(file, metadata))
    } else if metadata.is_dir() {
        Ok(Found::Folder)
    } else {
        Err(Missing::Absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::files::trial::Folder;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    type Open = fn(&Path, &str) -> Result<Found, Missing>;

    /// Both ways to open must keep the same walls.
    const WAYS: [(&str, Open); 2] = [("open", open), ("open_checked", open_checked)];

    fn content(found: Result<Found, Missing>) -> Result<String, Missing> {
        match found? {
            Found::File(mut file, _) => {
                let mut text = String::new();
                file.read_to_string(&mut text).expect("a readable file");
                Ok(text)
            }
            Found::Folder => Ok("folder".to_string()),
        }
    }

    #[test]
    fn links_lead_around_inside_and_never_out() {
        let folder = Folder::create();
        folder.write("secret", "secret");
        folder.write("root/a", "a");
        folder.write("root/below/b", "b");
        folder.write("root-too/c", "c");
        let root = folder.path("root");
        symlink("a", root.join("near")).unwrap();
        symlink("../a", root.join("below/up")).unwrap();
        symlink("below", root.join("across")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(folder.path("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("parent")).unwrap();
        symlink("../root-too/c", root.join("sibling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        symlink("/proc/self/root/etc/hostname", root.join("magic")).unwrap();
        for (way, open) in WAYS {
            for (path, expected) in [
                ("a", Ok("a")),
                ("below/b", Ok("b")),
                ("below", Ok("folder")),
                ("", Ok("folder")),
                ("near", Ok("a")),
                ("below/up", Ok("a")),
                ("across/b", Ok("b")),
                ("out", Err(Missing::Absent)),
                ("absolute", Err(Missing::Absent)),
                ("parent", Err(Missing::Absent)),
                ("parent/secret", Err(Missing::Absent)),
                ("parent/root/a", Err(Missing::Absent)),
                ("sibling", Err(Missing::Absent)),
                ("loop", Err(Missing::Absent)),
                ("dangling", Err(Missing::Absent)),
                ("magic", Err(Missing::Absent)),
                ("a/", Err(Missing::Absent)),
                ("a/b", Err(Missing::Absent)),
                ("none", Err(Missing::Absent)),
                // These do not come here, and would not come through either.
                ("../secret", Err(Missing::Absent)),
                ("below/../../secret", Err(Missing::Absent)),
            ] {
                // Only the way without the kernel's help finds its way back in.
                if way == "open_checked" && path == "parent/root/a" {
                    continue;
                }
                assert_eq!(
                    content(open(&root, path)).as_deref(),
                    expected.as_deref(),
                    "{way} {path}"
                );
            }
            let long = "x".repeat(5000);
            assert_eq!(content(open(&root, &long)), Err(Missing::Absent), "{way}");
            let none = folder.path("none");
            assert_eq!(content(open(&none, "a")), Err(Missing::Absent), "{way}");
        }
    }

    #[test]
    fn a_root_that_is_a_link_can_be_swapped() {
        let folder = Folder::create();
        folder.write("one/a", "1");
        folder.write("two/a", "2");
        let root = folder.path("root");
        symlink("one", &root).unwrap();
        assert_eq!(content(open(&root, "a")).as_deref(), Ok("1"));
        std::fs::remove_file(&root).unwrap();
        symlink("two", &root).unwrap();
        assert_eq!(content(open(&root, "a")).as_deref(), Ok("2"));
    }

    #[cfg(target_os = "linux")] // Elsewhere rustix cannot make a pipe.
    #[test]
    fn pipes_sockets_and_closed_files_are_refused_at_once() {
        let folder = Folder::create();
        let mode = Mode::RUSR | Mode::WUSR;
        let pipe = folder.path("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let socket = folder.path("socket");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &socket,
            rustix::fs::FileType::Socket,
            mode,
            0,
        )
        .unwrap();
        folder.write("closed", "x");
        let closed = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(folder.path("closed"), closed).unwrap();
        for (way, open) in WAYS {
            assert_eq!(
                content(open(&folder.path(""), "pipe")),
                Err(Missing::Absent),
                "{way}"
            );
            assert_eq!(
                content(open(&folder.path(""), "socket")),
                Err(Missing::Absent),
                "{way}"
            );
            let may_read_all = rustix::process::geteuid().is_root();
            let expected = if may_read_all {
                Ok("x".to_string())
            } else {
                Err(Missing::Denied)
            };
            assert_eq!(content(open(&folder.path(""), "closed")), expected, "{way}");
        }
    }
}
