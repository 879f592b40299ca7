//! The configuration of one run: defaults, file, environment, flags.
//!
//! What a setting means and whether it is right is `config`'s to say; here the
//! three places are read, in the order in which a later one wins. Called by
//! every command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::arguments::Arguments;
use super::failure::{Failure, path_failure};
use super::files;
use super::places::is_set;
use super::service_links::is_link;
use crate::config::{Config, ConfigError, ENVIRONMENT_PREFIX};

/// Names the configuration file, where `--config` does not.
pub const FILE_VARIABLE: &str = "CHLOE_CONFIG";

/// The most bytes of a configuration file; the one with every setting has 20,000.
const FILE_BYTES_MAX: usize = 1 << 20;
/// The most bytes of a file with a secret.
const SECRET_BYTES_MAX: usize = 4_096;

/// The file that is read where no one names one and none is beside the program.
const SYSTEM_FILE: &str = "/etc/chloe/chloe.toml";

/// Where settings were read from.
pub struct Gathered {
    pub config: Config,
    /// The file among the places; `None` if there is none.
    pub file: Option<PathBuf>,
}

/// The settings of this process: those of `arguments`, of its environment, and
/// of the file that either names; the secret from its file, if it has one. Where
/// neither names a file, of the first that is there: `etc/chloe.toml` beside the
/// folder of the program, or `/etc/chloe/chloe.toml`.
///
/// # Errors
/// A file cannot be read, or something in one of the three is wrong.
pub fn of_process(arguments: &Arguments) -> Result<Gathered, Failure> {
    let Gathered { config, file } = without_secret(arguments)?;
    let config = with_secret(config)?;
    Ok(Gathered { config, file })
}

/// As [`of_process`], for a command that signs nothing: `secret_file`, which its
/// user may not be able to read, is left alone.
///
/// # Errors
/// As [`of_process`].
pub fn without_secret(arguments: &Arguments) -> Result<Gathered, Failure> {
    let variables = env::vars_os().filter(|(name, _)| is_ours(name));
    // The program itself, and not a link to it, which may be anywhere.
    let program = env::current_exe().and_then(fs::canonicalize).ok();
    let beside = program.as_deref().and_then(beside);
    let files: Vec<PathBuf> = beside.into_iter().chain([SYSTEM_FILE.into()]).collect();
    gather(
        arguments,
        variables.filter(|(name, value)| !is_link(name, value)),
        &files,
    )
}

/// The configuration of an unpacked release, whose program is `bin/chloe`.
fn beside(program: &Path) -> Option<PathBuf> {
    let root = program.parent()?.parent()?;
    Some(root.join("etc/chloe.toml"))
}

/// The defaults, changed by the file at `path` alone.
///
/// # Errors
/// The file cannot be read, or is wrong.
pub fn of_file(path: &Path) -> Result<Config, Failure> {
    let config = Config::from_toml(&read(path)?, path).map_err(wrong)?;
    config.validate().map_err(|error| {
        // The file is the only place where it can stand.
        Failure::Usage(format!("{}: {error}", path.display()))
    })?;
    with_secret(config)
}

/// The settings with the secret that `secret_file` holds, if it is set.
fn with_secret(mut config: Config) -> Result<Config, Failure> {
    let path = &config.secret_file;
    if !is_set(path) {
        return Ok(config);
    }
    let failed = |error: io::Error| {
        let advice = "see that this user may read the file, or set secret_file to another path";
        path_failure("read the secret in", path, &error, advice)
    };
    let bytes = files::read_given(path, SECRET_BYTES_MAX).map_err(failed)?;
    config.secret = secret_of(&bytes)
        .map_err(|problem| Failure::Usage(format!("secret_file: {} {problem}", path.display())))?;
    Ok(config)
}

/// The one line of a file with a secret. What is wrong is told without showing it.
fn secret_of(bytes: &[u8]) -> Result<String, &'static str> {
    let text = str::from_utf8(bytes).map_err(
        |_| "is not UTF-8: write the secret as text, such as openssl rand -hex 32 prints",
    )?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line {
        // Without a secret, /send would be open to all of this host.
        "" => Err("is empty: write the secret into it, or set secret_file to \"\""),
        line if line.contains(char::is_control) => Err("must hold the secret alone, in one line"),
        line => Ok(line.to_owned()),
    }
}

fn gather(
    arguments: &Arguments,
    environment: impl Iterator<Item = (OsString, OsString)>,
    files: &[PathBuf],
) -> Result<Gathered, Failure> {
    let mut file = arguments.config_file.clone();
    let mut variables = Vec::new();
    for (name, value) in environment {
        if name == FILE_VARIABLE {
            if file.is_none() && !value.is_empty() {
                file = Some(PathBuf::from(value));
            }
        } else {
            variables.push((text(&name, &name)?, text(&name, &value)?));
        }
    }
    // So that of several mistakes the same one is told each time.
    variables.sort();
    let file = file.or_else(|| files.iter().find(|path| is_there(path)).cloned());
    let mut config = Config::default();
    if let Some(path) = &file {
        config.apply_toml(&read(path)?, path).map_err(wrong)?;
    }
    for (name, value) in &variables {
        config.set_environment(name, value).map_err(wrong)?;
    }
    for (key, value) in &arguments.settings {
        config.set(key, value).map_err(wrong)?;
    }
    config.validate().map_err(wrong)?;
    Ok(Gathered { config, file })
}

/// Also of one that this user may not read: to go on without it would be to
/// start with other settings than the machine's owner wrote down.
fn is_there(path: &Path) -> bool {
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    fs::metadata(path).map_or_else(|error| !absent.contains(&error.kind()), |_| true)
}

fn is_ours(name: &OsStr) -> bool {
    let prefix = ENVIRONMENT_PREFIX.as_bytes();
    name.as_encoded_bytes().starts_with(prefix)
}

fn text(name: &OsStr, value: &OsStr) -> Result<String, Failure> {
    let text = value.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        let name = name.to_string_lossy();
        Failure::Usage(format!(
            "environment variable {name}: it is not UTF-8; write it anew or unset it"
        ))
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    let advice = "check the path and its rights, or name another file with --config";
    let bytes = files::read_given(path, FILE_BYTES_MAX)
        .map_err(|e| path_failure("read", path, &e, advice))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        Failure::Usage(format!(
            "{}:{line}: is not UTF-8: save the file in that encoding",
            path.display()
        ))
    })
}

fn wrong(error: ConfigError) -> Failure {
    Failure::Usage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(flags: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Config, Failure> {
        gathered_of(flags, variables, &[]).map(|gathered| gathered.config)
    }

    fn gathered_of(
        flags: &[(&str, &str)],
        variables: &[(&str, &str)],
        files: &[PathBuf],
    ) -> Result<Gathered, Failure> {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
            owned.collect()
        };
        let arguments = Arguments {
            settings: owned(flags),
            ..Arguments::default()
        };
        let variables = owned(variables).into_iter();
        let variables = variables.map(|(k, v)| (k.into(), v.into()));
        gather(&arguments, variables, files)
    }

    #[test]
    fn a_file_that_nobody_names_is_the_first_that_is_there() {
        let example = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/etc/chloe.toml"));
        let nowhere = [PathBuf::from("/nowhere/chloe.toml"), "/dev/null/a".into()];
        let gathered = gathered_of(&[], &[], &nowhere).unwrap();
        assert_eq!((gathered.config, gathered.file), (Config::default(), None));
        let [first, second] = nowhere;
        let files = [first, second, example.into(), "/dev/null".into()];
        let file = |variables: &[_]| gathered_of(&[], variables, &files).unwrap().file;
        assert_eq!(file(&[]), Some(example.into()));
        assert_eq!(file(&[("CHLOE_CONFIG", "")]), Some(example.into()));
        let named = ("CHLOE_CONFIG", "/dev/null");
        assert_eq!(file(&[named]), Some("/dev/null".into()));
    }

    #[test]
    fn a_file_that_is_there_and_cannot_be_read_is_no_reason_to_go_on_without() {
        let failure = gathered_of(&[], &[], &["/".into()]).err().unwrap();
        assert!(
            failure.to_string().starts_with("cannot read /: "),
            "{failure}"
        );
    }

    #[test]
    fn the_file_of_an_unpacked_release_is_beside_its_folder_of_programs() {
        let of = |program| beside(Path::new(program));
        assert_eq!(of("/opt/c/bin/chloe"), Some("/opt/c/etc/chloe.toml".into()));
        assert_eq!(of("/bin/chloe"), Some("/etc/chloe.toml".into()));
        assert_eq!(of("/chloe"), None);
    }

    #[test]
    fn flags_win_over_the_environment_and_it_over_the_file() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/chloe.toml");
        let file = ("CHLOE_CONFIG", example);
        let config = gathered(&[], &[file]).unwrap();
        assert_eq!(config, Config::default());
        let config = gathered(
            &[("port", "2")],
            &[("CHLOE_POLL_HOLD_MS", "99"), file, ("CHLOE_PORT", "1")],
        );
        let config = config.unwrap();
        assert_eq!((config.port, config.poll_hold_ms), (2, 99));
    }

    #[test]
    fn a_secret_is_the_one_line_of_its_file() {
        for (bytes, expected) in [
            (&b"Trotter"[..], Ok("Trotter")),
            (b"Trotter\n", Ok("Trotter")),
            (b"Trotter\r\n", Ok("Trotter")),
            (b" a b ", Ok(" a b ")),
            (b"", Err("is empty")),
            (b"\n", Err("is empty")),
            (b"Trotter\n\n", Err("in one line")),
            (b"CHLOE_SECRET=a\nb", Err("in one line")),
            (b"\0", Err("in one line")),
            (b"\xff", Err("UTF-8")),
        ] {
            match (secret_of(bytes), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(said), Err(expected)) => assert!(said.contains(expected), "{said}"),
                (found, _) => panic!("{bytes:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let said = |flags: &[_], variables: &[_]| {
            let failure = gathered(flags, variables).unwrap_err();
            (failure.code(), failure.to_string())
        };
        let (code, line) = said(&[], &[("CHLOE_PROT", "1")]);
        assert_eq!(code, 2);
        assert!(line.ends_with("did you mean CHLOE_PORT?"), "{line}");
        let (code, line) = said(&[("port", "x")], &[]);
        assert_eq!(code, 2);
        assert!(line.starts_with("--port: "), "{line}");
        let (code, line) = said(&[], &[("CHLOE_CONFIG", "/nowhere/chloe.toml")]);
        assert_eq!(code, 1);
        assert!(line.starts_with("cannot read /nowhere/chloe.toml: there is no such file"));
    }
}
