//! Opening files so that no other user of the host can misuse them.
//!
//! Chloe's own files (pid file, log, state) have names that others can guess,
//! and may stand in a folder that others can write to. So no link is followed,
//! no pipe is waited for, only regular files of this user or of root are used,
//! and each file has its mode from its creation, whatever the umask is. What
//! the operator names himself, and others provide (configuration, secret), may
//! be a link or a pipe: that is how containers and shells hand files over.
//! What is in a file is not judged here. Every file of Chloe is opened here, but
//! `/dev/null`, what is below `/proc`, and the static files of `doc_root`. Called by the
//! files of `cli` that have a file of their own.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// The mode of a file that others may read: the log, the pid file.
pub const READABLE: u32 = 0o644;
/// The mode of a file for its owner alone.
pub const PRIVATE: u32 = 0o600;

/// Whoever may write besides the owner.
const OTHERS_WRITE: u32 = 0o022;

/// Whose Chloe a file is tried for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// This process, which is about to use it.
    Me,
    /// One that may run as another user: root, who only looks, minds no owner.
    Anyone,
}

/// Opens the file at `path` to append to it; makes it if it is not there.
///
/// # Errors
/// It cannot be opened, or is not a regular file of this user or root alone.
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    written(options.append(true).create(true).mode(READABLE), path)
}

/// Opens the file at `path` to write to it, as it is; makes it with `mode` if it
/// is not there.
///
/// # Errors
/// As [`append`].
pub fn overwrite(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Not truncated: whose it is is known only when it is open.
    options.write(true).create(true).truncate(false).mode(mode);
    written(&mut options, path)
}

/// Makes a file at `path`, where nothing may stand, for this user alone.
///
/// # Errors
/// Something stands there, a link that leads nowhere included; it cannot be made.
pub fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(PRIVATE);
    guarded(&mut options).open(path)
}

/// Opens the file at `path` to read it. `also` is one more user whose file it may be.
///
/// # Errors
/// It cannot be opened, is not a regular file of this user, root or `also`, or
/// another user may write to it.
pub fn read(path: &Path, also: Option<u32>) -> io::Result<(File, Metadata)> {
    let opened = guarded(OpenOptions::new().read(true)).open(path);
    let file = opened.map_err(plainly)?;
    let metadata = file.metadata()?;
    if also != Some(metadata.uid()) {
        judge_owner(&metadata, me())?;
    }
    judge_kind(&metadata)?;
    match metadata.mode() & OTHERS_WRITE {
        0 => Ok((file, metadata)),
        _ => Err(io::Error::other(format!(
            "others than its owner may write to it (mode {:03o})",
            metadata.mode() & 0o777
        ))),
    }
}

/// All of a file that the operator named, at most `most_bytes` of it. It may be
/// a link, or a pipe that somebody writes to.
///
/// # Errors
/// It cannot be read, is longer, or is a pipe without anything in it.
pub fn read_given(path: &Path, most_bytes: usize) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    // To open a pipe that nobody writes to would wait for ever.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = options.read(true).custom_flags(flags).open(path)?;
    let is_pipe = file.metadata()?.file_type().is_fifo();
    rustix::io::ioctl_fionbio(&file, false)?;
    let mut bytes = Vec::new();
    file.take(most_bytes as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() {
        0 if is_pipe => Err(io::Error::other("it is a pipe that nobody writes to")),
        count if count > most_bytes => Err(io::Error::other(format!(
            "it has more than {most_bytes} bytes"
        ))),
        _ => Ok(bytes),
    }
}

/// Whether a file could be made at `path`, found by making one beside it.
///
/// # Errors
/// It cannot be made there.
pub fn try_beside(path: &Path) -> io::Result<()> {
    let trial = beside(path, &format!("trial-{}", std::process::id()));
    // One of a process that died in this very moment, long ago.
    let _ = fs::remove_file(&trial);
    drop(create_new(&trial)?);
    fs::remove_file(&trial)
}

/// Whether [`append`] or [`overwrite`] would take what stands at `path`, or make
/// it. Nothing is left behind.
///
/// # Errors
/// As those.
pub fn try_written(path: &Path, tried: For) -> io::Result<()> {
    let owner = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return try_beside(path),
        Err(error) => return Err(error),
        Ok(metadata) => metadata.uid(),
    };
    let opened = guarded(OpenOptions::new().append(true)).open(path);
    let metadata = opened.map_err(plainly)?.metadata()?;
    match tried {
        For::Anyone if me() == 0 => judge_written(&metadata, owner),
        _ => judge_written(&metadata, me()),
    }
}

/// The path with a dot and a word behind it.
pub fn beside(path: &Path, word: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(word);
    name.into()
}

/// The user that this process acts as.
pub fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn guarded(options: &mut OpenOptions) -> &mut OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits() as i32)
}

fn written(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = guarded(options).open(path).map_err(plainly)?;
    let metadata = file.metadata()?;
    judge_written(&metadata, me())?;
    // As a Chloe of before, or another program, made it under an open umask.
    if metadata.mode() & 0o002 != 0 && metadata.uid() == me() {
        let mode = metadata.mode() & 0o777 & !OTHERS_WRITE;
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

fn judge_written(metadata: &Metadata, me: u32) -> io::Result<()> {
    judge_kind(metadata)?;
    judge_owner(metadata, me)?;
    match metadata.nlink() {
        // None: it was removed after it was opened.
        0 | 1 => Ok(()),
        _ => Err(io::Error::other(
            "it is another file's second name (a hard link)",
        )),
    }
}

fn judge_kind(metadata: &Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false if metadata.is_dir() => Err(io::Error::other("it is a folder")),
        false => Err(io::Error::other(NO_FILE)),
    }
}

const NO_FILE: &str = "it is a pipe, a socket or a device, and must be a file";

fn judge_owner(metadata: &Metadata, me: u32) -> io::Result<()> {
    match metadata.uid() {
        0 => Ok(()),
        owner if owner == me => Ok(()),
        owner => Err(io::Error::other(format!(
            "it belongs to another user (uid {owner})"
        ))),
    }
}

/// What the system says to these flags, in plain words.
fn plainly(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => {
            io::Error::other("it is a symbolic link, and Chloe follows none there")
        }
        Some(Errno::NXIO | Errno::NODEV) => io::Error::other(NO_FILE),
        Some(Errno::ISDIR) => io::Error::other("it is a folder"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("chloe-files-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }
        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn pipe(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn only_regular_files_with_one_name_are_written_to() {
        let folder = Folder::new("written");
        let victim = folder.path("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, folder.path("link")).unwrap();
        symlink(folder.path("none"), folder.path("dangling")).unwrap();
        fs::hard_link(&victim, folder.path("hard")).unwrap();
        pipe(&folder.path("pipe"));
        let _socket = UnixListener::bind(folder.path("socket")).unwrap();
        fs::create_dir(folder.path("folder")).unwrap();
        for (name, said) in [
            ("link", "symbolic link"),
            ("dangling", "symbolic link"),
            ("hard", "second name"),
            ("pipe", "a pipe"),
            ("socket", "a socket"),
            ("folder", "a folder"),
            ("nowhere/x", "No such file"),
        ] {
            let path = folder.path(name);
            let outcomes = [
                append(&path).map(drop),
                overwrite(&path, PRIVATE).map(drop),
                try_written(&path, For::Me),
            ];
            for outcome in outcomes {
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains(said), "{name}: {error}");
            }
            create_new(&path).unwrap_err();
        }
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(!fs::exists(folder.path("none")).unwrap());
        // A pipe with a reader can be opened, and is still no file.
        let pipe = folder.path("pipe");
        let mut reader = OpenOptions::new();
        let flags = OFlags::NONBLOCK.bits() as i32;
        let _reader = reader.read(true).custom_flags(flags).open(&pipe).unwrap();
        let error = append(&pipe).unwrap_err().to_string();
        assert!(error.contains("a pipe"), "{error}");
    }

    #[test]
    fn a_file_has_its_mode_from_its_creation_and_none_is_left_open_to_all() {
        let folder = Folder::new("modes");
        for (name, wanted) in [("a", READABLE), ("b", PRIVATE), ("c", PRIVATE)] {
            let path = folder.path(name);
            match name {
                "a" => drop(append(&path).unwrap()),
                "b" => drop(overwrite(&path, PRIVATE).unwrap()),
                _ => drop(create_new(&path).unwrap()),
            }
            assert_eq!(mode(&path), wanted, "{name}");
        }
        let path = folder.path("a");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        drop(append(&path).unwrap());
        assert_eq!(mode(&path), READABLE);
        try_written(&path, For::Me).unwrap();
        try_written(&folder.path("d"), For::Me).unwrap();
        assert_eq!(
            fs::read_dir(&folder.0).unwrap().count(),
            3,
            "no trial stays"
        );
    }

    #[test]
    fn what_others_may_have_written_is_not_read() {
        let folder = Folder::new("read");
        let path = folder.path("file");
        fs::write(&path, "text").unwrap();
        symlink(&path, folder.path("link")).unwrap();
        pipe(&folder.path("pipe"));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        read(&path, None).unwrap();
        for (name, wanted) in [
            ("link", "symbolic link"),
            ("pipe", "a pipe"),
            (".", "folder"),
        ] {
            let error = read(&folder.path(name), None).unwrap_err().to_string();
            assert!(error.contains(wanted), "{name}: {error}");
        }
        for open in [0o646, 0o664] {
            fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
            let error = read(&path, None).unwrap_err().to_string();
            assert!(error.contains(&format!("{open:o}")), "{error}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_neither_written_to_nor_read() {
        let folder = Folder::new("owner");
        let path = folder.path("file");
        fs::write(&path, "text").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let owner = metadata.uid();
        judge_written(&metadata, owner).unwrap();
        if owner != 0 {
            // Only root can give a file away: here another one judges it.
            let error = judge_written(&metadata, owner + 1).unwrap_err();
            assert!(error.to_string().contains("another user"), "{error}");
            return;
        }
        judge_written(&metadata, 4_321).unwrap();
        std::os::unix::fs::chown(&path, Some(4_321), None).unwrap();
        for error in [
            append(&path).unwrap_err(),
            read(&path, None).unwrap_err(),
            read(&path, Some(1_234)).unwrap_err(),
        ] {
            assert!(error.to_string().contains("uid 4321"), "{error}");
        }
        read(&path, Some(4_321)).unwrap();
    }

    #[test]
    fn what_the_operator_names_may_be_a_link_and_hangs_on_no_pipe() {
        let folder = Folder::new("given");
        let (path, link) = (folder.path("file"), folder.path("link"));
        fs::write(&path, "12345").unwrap();
        symlink("file", &link).unwrap();
        assert_eq!(read_given(&link, 5).unwrap(), b"12345");
        let long = read_given(&link, 4).unwrap_err().to_string();
        assert!(long.contains("more than 4 bytes"), "{long}");
        let endless = read_given(Path::new("/dev/zero"), 4).unwrap_err();
        assert!(endless.to_string().contains("more than"), "{endless}");
        assert_eq!(read_given(Path::new("/dev/null"), 4).unwrap(), b"");
        pipe(&folder.path("pipe"));
        let lonely = read_given(&folder.path("pipe"), 4).unwrap_err();
        assert!(lonely.to_string().contains("nobody writes"), "{lonely}");
        // As the shell's `<(command)`, whose writer may come to it late.
        let (ours, mut theirs) = io::pipe().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&ours);
        let given = std::thread::spawn(move || {
            read_given(Path::new(&format!("/dev/fd/{number}")), 5).unwrap()
        });
        io::Write::write_all(&mut theirs, b"abc").unwrap();
        drop(theirs);
        assert_eq!(given.join().unwrap(), b"abc");
    }
}
