//! The command line, read: which command, with which flags and words.
//!
//! Reads text only: no file is opened and no setting is judged here. Called by
//! `cli::main` with the process's arguments, and by tests with their own.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::failure::Failure;
use crate::config::{KEYS, nearest};

/// What can be asked of Chloe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Runs in the foreground. What `chloe` without a command does.
    Serve,
    /// Starts in the background.
    Start,
    /// Stops what `Start` started.
    Stop,
    /// Lets a new process go on for the one that runs.
    Restart,
    /// Asks whether a server answers.
    Ping,
    /// Shows a server's counters.
    Status,
    /// Runs Chloe and a small app to try it with.
    Demo,
    /// Publishes.
    Send,
    /// Prints what is published.
    Listen,
    /// Checks a configuration.
    Check,
    /// Sends WebSocket messages back, for conformance tests.
    Echo,
    /// What `Start` starts: not for people, so it is in no help.
    Daemon,
}

/// How a command is called.
pub struct Usage {
    pub command: Command,
    pub name: &'static str,
    /// The words after its name, as its help shows them.
    pub words: &'static str,
    /// How many words it takes at most.
    pub words_max: usize,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Flags of its own, beside the settings.
    pub flags: &'static [&'static str],
}

/// All commands that people call, in the order of the help.
#[rustfmt::skip]
pub const COMMANDS: &[Usage] = &[
    Usage { command: Command::Demo, name: "demo", words: "", words_max: 0, flags: &["app-port"],
        doc: "run Chloe and a small app, to try it in a browser" },
    Usage { command: Command::Serve, name: "serve", words: "", words_max: 0, flags: &[],
        doc: "run in the foreground, as chloe without a command" },
    Usage { command: Command::Start, name: "start", words: "", words_max: 0, flags: &[],
        doc: "start in the background" },
    Usage { command: Command::Stop, name: "stop", words: "", words_max: 0, flags: &[],
        doc: "stop what start has started" },
    Usage { command: Command::Restart, name: "restart", words: "", words_max: 0, flags: &[],
        doc: "go on in a new process, and refuse nobody meanwhile" },
    Usage { command: Command::Ping, name: "ping", words: "", words_max: 0, flags: &[],
        doc: "ask whether Chloe answers" },
    Usage { command: Command::Status, name: "status", words: "", words_max: 0, flags: &["json"],
        doc: "show the counters of a running Chloe" },
    Usage { command: Command::Send, name: "send", words: "[CHANNEL] DATA", words_max: 2, flags: &[],
        doc: "publish DATA, to all or to CHANNEL; - reads lines" },
    Usage { command: Command::Listen, name: "listen", words: "CHANNEL", words_max: 1, flags: &[],
        doc: "print what is published to CHANNEL, until interrupted" },
    Usage { command: Command::Check, name: "check", words: "[FILE]", words_max: 1, flags: &[],
        doc: "check a configuration, and whether its files can be used" },
    Usage { command: Command::Echo, name: "echo", words: "", words_max: 0, flags: &[],
        doc: "a bare WebSocket echo, for conformance tests only" },
];

const DAEMON: Usage = Usage {
    command: Command::Daemon,
    name: "daemon",
    words: "",
    words_max: 0,
    doc: "",
    flags: &[],
};

/// The command line of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `None`: no command was named, so `Serve`.
    pub command: Option<Command>,
    /// `-h`, `--help`.
    pub help: bool,
    /// `-V`, `--version`.
    pub version: bool,
    /// `-c`, `--config`.
    pub config_file: Option<PathBuf>,
    /// Keys of the configuration in the order given, as `poll_hold_ms`.
    pub settings: Vec<(String, String)>,
    /// What stands behind the command.
    pub words: Vec<String>,
    /// `--json` of `status`.
    pub json: bool,
    /// `--app-port` of `demo`.
    pub app_port: Option<u16>,
}

impl Arguments {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what is unknown, too much or not UTF-8.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, Failure> {
        let mut parser = Parser::from_args(arguments);
        let mut parsed = Arguments::default();
        let mut usage: Option<&Usage> = None;
        // Flags that belong to one command: judged when the command is known.
        let mut own_flags: Vec<String> = Vec::new();
        while let Some(argument) = parser.next().map_err(usage_error)? {
            match argument {
                Arg::Short('h') | Arg::Long("help") => parsed.help = true,
                Arg::Short('V') | Arg::Long("version") => parsed.version = true,
                Arg::Short('c') | Arg::Long("config") => {
                    parsed.config_file = Some(parser.value().map_err(usage_error)?.into());
                }
                Arg::Long("json") => {
                    parsed.json = true;
                    own_flags.push("json".to_owned());
                }
                Arg::Long("app-port") => {
                    let value = parser
                        .value()
                        .and_then(|v| v.parse())
                        .map_err(usage_error)?;
                    parsed.app_port = Some(value);
                    own_flags.push("app-port".to_owned());
                }
                Arg::Long(flag) => {
                    let key = flag.replace('-', "_");
                    if !KEYS.iter().any(|known| known.name == key) {
                        return Err(unknown_flag(flag));
                    }
                    let flag = flag.to_owned();
                    let value = parser.value().map_err(usage_error)?;
                    // The value is not shown: it may be a secret.
                    let value = value.into_string().map_err(|_| not_utf8(&flag))?;
                    parsed.settings.push((key, value));
                }
                Arg::Value(word) if usage.is_none() && word == "help" => parsed.help = true,
                Arg::Value(word) if usage.is_none() => {
                    usage = Some(command(&word.string().map_err(usage_error)?)?);
                }
                Arg::Value(word) => parsed.words.push(word.string().map_err(usage_error)?),
                Arg::Short(_) => return Err(usage_error(argument.unexpected())),
            }
        }
        parsed.command = usage.map(|usage| usage.command);
        parsed.judge(usage, &own_flags)?;
        Ok(parsed)
    }

    /// The flags that give another process of this program the same settings.
    pub fn settings_again(&self) -> impl Iterator<Item = OsString> {
        let file = self.config_file.iter();
        let file = file.flat_map(|path| [OsString::from("--config"), path.into()]);
        let settings = self.settings.iter().map(|(key, value)| {
            // In one word, so that a value may begin with a dash.
            OsString::from(format!("--{}={value}", key.replace('_', "-")))
        });
        file.chain(settings)
    }

    /// The arguments that say the same to another run of this program.
    pub fn again(&self) -> impl Iterator<Item = OsString> {
        let mut flags = Vec::new();
        flags.extend(self.command.map(|command| usage_of(command).name.into()));
        flags.extend(self.help.then(|| "--help".into()));
        flags.extend(self.version.then(|| "--version".into()));
        flags.extend(self.json.then(|| "--json".into()));
        flags.extend(
            self.app_port
                .map(|port| format!("--app-port={port}").into()),
        );
        // Behind the dashes nothing is a flag.
        let dashes = (!self.words.is_empty()).then(|| "--".into());
        let words = dashes
            .into_iter()
            .chain(self.words.iter().map(OsString::from));
        flags.into_iter().chain(self.settings_again()).chain(words)
    }

    /// Whether the command takes the flags and as many words as were given.
    fn judge(&self, usage: Option<&Usage>, own_flags: &[String]) -> Result<(), Failure> {
        let (name, taken, words_max) =
            usage.map_or(("", &[][..], 0), |u| (u.name, u.flags, u.words_max));
        if let Some(flag) = own_flags
            .iter()
            .find(|flag| !taken.contains(&flag.as_str()))
        {
            let owner = COMMANDS.iter().find(|u| u.flags.contains(&flag.as_str()));
            let owner = owner.map_or("", |usage| usage.name);
            return Err(Failure::Usage(format!(
                "--{flag} is a flag of chloe {owner}"
            )));
        }
        if let Some(word) = self.words.get(words_max).filter(|_| !self.help) {
            let hint = match name {
                "send" => "put data with blanks in quotes",
                _ => "leave it out",
            };
            return Err(Failure::Usage(format!(
                "chloe {name} has no use for \"{word}\": {hint}"
            )));
        }
        Ok(())
    }
}

/// The usage of a command, hidden ones too.
pub fn usage_of(command: Command) -> &'static Usage {
    let found = COMMANDS.iter().find(|usage| usage.command == command);
    found.unwrap_or(&DAEMON)
}

fn command(name: &str) -> Result<&'static Usage, Failure> {
    if name == DAEMON.name {
        return Ok(&DAEMON);
    }
    if let Some(usage) = COMMANDS.iter().find(|usage| usage.name == name) {
        return Ok(usage);
    }
    let hint = match nearest(name, COMMANDS.iter().map(|usage| usage.name)) {
        Some(meant) => format!("did you mean chloe {meant}?"),
        None => "chloe --help lists all".to_owned(),
    };
    Err(Failure::Usage(format!(
        "there is no command {name}: {hint}"
    )))
}

fn not_utf8(flag: &str) -> Failure {
    Failure::Usage(format!("--{flag}: its value is not UTF-8; write it anew"))
}

fn unknown_flag(flag: &str) -> Failure {
    let others = ["help", "version", "config", "json", "app-port"];
    let known = KEYS.iter().map(|key| key.name).chain(others);
    let hint = match nearest(flag, known) {
        Some(meant) => format!("did you mean --{}?", meant.replace('_', "-")),
        None => "chloe --help lists all".to_owned(),
    };
    Failure::Usage(format!("there is no flag --{flag}: {hint}"))
}

fn usage_error(error: lexopt::Error) -> Failure {
    Failure::Usage(format!("{error}; chloe --help tells how"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        Arguments::parse(words.map(OsString::from)).map_err(|failure| {
            assert_eq!(failure.code(), 2);
            failure.to_string()
        })
    }

    #[test]
    fn flags_and_words_are_told_apart() {
        let parsed = parse("--port=1 send -c a.toml pumpkin --poll-hold-ms 7 -- --data").unwrap();
        assert_eq!(parsed.command, Some(Command::Send));
        assert_eq!(parsed.config_file, Some("a.toml".into()));
        assert_eq!(parsed.words, ["pumpkin", "--data"]);
        let settings = [("port", "1"), ("poll_hold_ms", "7")];
        assert_eq!(
            parsed.settings,
            settings.map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        let again = Arguments::parse(parsed.settings_again()).unwrap();
        assert_eq!(
            (again.config_file, again.settings),
            (parsed.config_file, parsed.settings)
        );
        for line in [
            "",
            "-V",
            "status --json --port 7",
            "demo --help --app-port 7 -c a",
            "send --secret=x --port=8 -- --data -",
            "--secret x listen a",
        ] {
            let parsed = parse(line).unwrap();
            let again = Arguments::parse(parsed.again()).unwrap();
            assert_eq!(again, parsed, "{line}");
        }
        assert_eq!(parse("").unwrap(), Arguments::default());
        assert_eq!(parse("send -").unwrap().words, ["-"]);
        assert_eq!(parse("demo --app-port 0").unwrap().app_port, Some(0));
        assert!(parse("status --json").unwrap().json);
        assert!(parse("listen a b c --help").unwrap().help);
        let parsed = parse("help listen").unwrap();
        assert_eq!((parsed.help, parsed.command), (true, Some(Command::Listen)));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (line, said) in [
            (
                "strat",
                "there is no command strat: did you mean chloe start?",
            ),
            (
                "elephant",
                "there is no command elephant: chloe --help lists all",
            ),
            ("--prot 1", "there is no flag --prot: did you mean --port?"),
            (
                "--poll-hold 1",
                "there is no flag --poll-hold: did you mean --poll-hold-ms?",
            ),
            (
                "--elephant",
                "there is no flag --elephant: chloe --help lists all",
            ),
            (
                "send a b c",
                "chloe send has no use for \"c\": put data with blanks in quotes",
            ),
            (
                "stop now",
                "chloe stop has no use for \"now\": leave it out",
            ),
            ("--json", "--json is a flag of chloe status"),
            ("start --app-port 1", "--app-port is a flag of chloe demo"),
            (
                "--port",
                "missing argument for option '--port'; chloe --help tells how",
            ),
            ("-x", "invalid option '-x'; chloe --help tells how"),
        ] {
            assert_eq!(parse(line).unwrap_err(), said, "{line}");
        }
        let secret = OsString::from_vec(b"--secret=hunter\xff".to_vec());
        let said = Arguments::parse([secret]).unwrap_err().to_string();
        assert_eq!(said, "--secret: its value is not UTF-8; write it anew");
        assert!(parse("demo --app-port x").unwrap_err().contains("\"x\""));
    }
}
