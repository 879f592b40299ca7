//! The command line of `chloe-bench`, read.
//!
//! One table of flags, which the help shows as well. Called by `main`.

use std::ffi::OsString;

use lexopt::{Arg, Parser, ValueExt};

use crate::limit::Mode;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub command: String,
    /// The word behind `check`.
    pub file: Option<String>,
    pub help: bool,
    pub peer: String,
    pub start: Option<String>,
    pub url: Option<String>,
    pub publish_url: Option<String>,
    pub server_pids: Vec<u32>,
    pub transport: Option<String>,
    pub clients: Option<usize>,
    pub stalled: usize,
    pub sleeping: usize,
    pub processes: usize,
    pub in_flight: usize,
    pub publishers: Option<usize>,
    pub finished: Finished,
    pub rate: Option<f64>,
    pub bytes: usize,
    pub seconds: Option<f64>,
    pub warm_up: f64,
    pub mode: Mode,
    pub overhead: usize,
    pub port: u16,
}

/// When the next publication may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The server has answered the publisher.
    Answered,
    /// The server has answered, and every reader that reads has it.
    Delivered,
}

impl Finished {
    pub fn name(self) -> &'static str {
        match self {
            Finished::Answered => "answered",
            Finished::Delivered => "delivered",
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            command: String::new(),
            file: None,
            help: false,
            peer: "chloe".to_owned(),
            start: None,
            url: None,
            publish_url: None,
            server_pids: Vec::new(),
            transport: None,
            clients: None,
            stalled: 0,
            sleeping: 0,
            processes: 1,
            in_flight: 4,
            publishers: None,
            finished: Finished::Answered,
            rate: None,
            bytes: 128,
            seconds: None,
            warm_up: 0.5,
            mode: Mode::OneWrite,
            overhead: 0,
            port: 0,
        }
    }
}

/// What can be asked for, and the lines of the help.
pub const COMMANDS: [(&str, &str); 7] = [
    (
        "fanout",
        "publish as fast as it goes, in a closed loop, to many readers",
    ),
    (
        "limit",
        "the same against a bare loop of writes: what the machine allows",
    ),
    ("latency", "publish so many times a second to many readers"),
    (
        "idle",
        "open many readers and look on: memory, connect CPU, wake-ups",
    ),
    ("publish", "publish as fast as it goes, to few or none"),
    ("limit-server", "the server of limit, to be driven by hand"),
    (
        "check",
        "say what a peer's file means, or what is wrong with it",
    ),
];

/// Flags: name, what stands behind it, what it means.
#[rustfmt::skip]
pub const FLAGS: [(&str, &str, &str); 21] = [
    ("peer", "NAME|FILE", "how to speak to the server: chloe, chloe-upgrade (no channel), limit, or a file as in benches/peers [chloe]"),
    ("start", "SCRIPT", "start the server by a script as in benches/peers, and end it"),
    ("url", "URL", "where readers connect; without --url and --start, a Chloe is started"),
    ("publish-url", "URL", "where publishers connect, if elsewhere"),
    ("server-pid", "PID", "a process of the server; may be repeated. Those that descend from it count as well"),
    ("transport", "NAME", "ws, sse, poll or tcp [the first one that the peer has]"),
    ("clients", "N", "readers [1000; idle 10000; publish 0]"),
    ("stalled", "N", "so many of them read nothing once they are subscribed [0]"),
    ("sleeping", "N", "sessions that were opened and left, beside the readers; by the peer's [poll] [0]"),
    ("processes", "N", "processes of readers at the least; more if one may not open so many files [1]"),
    ("in-flight", "N", "publications that are sent and not finished, in all [4; publish 1]"),
    ("publishers", "N", "connections that publish [one for each in flight; latency 1]"),
    ("pipeline", "N", "the same as --publishers 1 --in-flight N"),
    ("finished", "WHEN", "a publication is finished when it is 'answered', or when it is 'delivered' to all as well [answered]"),
    ("rate", "N", "publications a second, of latency [20]"),
    ("bytes", "N", "data of a publication, at least 35 [128]"),
    ("seconds", "S", "how long is measured [5; latency 10; idle 30]"),
    ("warm-up", "S", "how long it goes on before [0.5]"),
    ("mode", "MODE", "of limit: 'one-write' for each publication and reader, 'coalesced': one for all that is pending, or 'rolling': that, and publications are looked for after every 64 [one-write]"),
    ("overhead", "N", "of limit: bytes that each delivery has beside the data, for the same bytes on the wire [0]"),
    ("port", "N", "of limit-server; 0 lets the system choose [0]"),
];

/// The most publications in flight: the readers' window.
const IN_FLIGHT_MAX: usize = 2_048;

impl Options {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, String> {
        let mut options = Options::default();
        let mut parser = Parser::from_args(arguments);
        let mut in_flight = None;
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            match argument {
                Arg::Short('h') | Arg::Long("help") => options.help = true,
                Arg::Long(name) => {
                    let name = name.to_owned();
                    if !FLAGS.iter().any(|(flag, ..)| *flag == name) {
                        return Err(format!("there is no flag --{name}; --help names all"));
                    }
                    let value = parser.value().map_err(|error| error.to_string())?;
                    let value = value.string().map_err(|error| error.to_string())?;
                    options.set(&name, &value, &mut in_flight)?;
                }
                Arg::Value(word) => options.word(word.string().map_err(|e| e.to_string())?)?,
                Arg::Short(letter) => return Err(format!("there is no flag -{letter}")),
            }
        }
        let usual = if options.command == "publish" { 1 } else { 4 };
        options.in_flight = in_flight.unwrap_or(usual);
        options.judge()?;
        Ok(options)
    }

    fn word(&mut self, word: String) -> Result<(), String> {
        if self.command.is_empty() {
            self.command = word;
        } else if self.command == "check" && self.file.is_none() {
            self.file = Some(word);
        } else {
            return Err(format!("'{word}' is one word too many"));
        }
        Ok(())
    }

    fn set(
        &mut self,
        name: &str,
        value: &str,
        in_flight: &mut Option<usize>,
    ) -> Result<(), String> {
        let text = || Some(value.to_owned());
        match name {
            "peer" => value.clone_into(&mut self.peer),
            "start" => self.start = text(),
            "url" => self.url = text(),
            "publish-url" => self.publish_url = text(),
            "server-pid" => self.server_pids.push(number(name, value)?),
            "transport" => self.transport = text(),
            "clients" => self.clients = Some(number(name, value)?),
            "stalled" => self.stalled = number(name, value)?,
            "sleeping" => self.sleeping = number(name, value)?,
            "processes" => self.processes = number(name, value)?,
            "in-flight" => *in_flight = Some(number(name, value)?),
            "publishers" => self.publishers = Some(number(name, value)?),
            "pipeline" => {
                *in_flight = Some(number(name, value)?);
                self.publishers = Some(1);
            }
            "finished" => {
                self.finished = match value {
                    "answered" => Finished::Answered,
                    "delivered" => Finished::Delivered,
                    _ => return Err("--finished is 'answered' or 'delivered'".to_owned()),
                };
            }
            "rate" => self.rate = Some(number(name, value)?),
            "bytes" => self.bytes = number(name, value)?,
            "seconds" => self.seconds = Some(number(name, value)?),
            "warm-up" => self.warm_up = number(name, value)?,
            "mode" => {
                self.mode =
                    Mode::named(value).ok_or("--mode is 'one-write', 'coalesced' or 'rolling'")?;
            }
            "overhead" => self.overhead = number(name, value)?,
            "port" => self.port = number(name, value)?,
            _ => unreachable!("the table of flags is this match"),
        }
        Ok(())
    }

    /// What cannot be is told before anything is started.
    fn judge(&self) -> Result<(), String> {
        let publishers = self.publishers.unwrap_or(1);
        if !(1..=IN_FLIGHT_MAX).contains(&self.in_flight) {
            return Err(format!("--in-flight is 1 to {IN_FLIGHT_MAX}"));
        }
        if publishers == 0 || publishers > crate::stamp::PUBLISHERS_MAX {
            return Err("--publishers is 1 to 1000".to_owned());
        }
        let times = [self.seconds.unwrap_or(1.0), self.rate.unwrap_or(1.0)];
        if times.iter().any(|time| *time <= 0.0 || *time > 86_400.0) || self.warm_up < 0.0 {
            return Err("--seconds, --rate and --warm-up are above 0".to_owned());
        }
        if self.bytes < crate::stamp::STAMP_BYTES {
            return Err(format!("--bytes is {} at least", crate::stamp::STAMP_BYTES));
        }
        if self.clients.is_some_and(|clients| clients < self.stalled) {
            return Err("--stalled is not above --clients".to_owned());
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    let number = value.replace([',', '_'], "").parse();
    number.map_err(|_| format!("--{name} is a number, not '{value}'"))
}

/// What `--help` prints.
pub fn help() -> String {
    let mut text = "chloe-bench measures Chloe and other servers alike.\n\n\
         usage: chloe-bench COMMAND [FLAGS]\n\n"
        .to_owned();
    for (name, doc) in COMMANDS {
        text.push_str(&format!("  {name:<13} {doc}\n"));
    }
    text.push('\n');
    for (name, value, doc) in FLAGS {
        let flag = format!("--{name} {value}");
        text.push_str(&format!("  {flag:<20} {doc}\n"));
    }
    text.push_str(
        "\nIt shows a bar on a terminal, and prints one line of JSON.\n\
         docs/benchmarks.md explains the figures.\n\n\
         \x20 chloe-bench fanout --clients 1000 --in-flight 4\n\
         \x20 chloe-bench limit --clients 1000 --in-flight 4 --mode coalesced\n\
         \x20 chloe-bench fanout --peer benches/peers/nchan.toml --start benches/peers/nchan\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_flag_is_taken() {
        for (name, value, _) in FLAGS {
            let value = match (name, value) {
                ("finished", _) => "answered",
                ("mode", _) => "coalesced",
                ("bytes", _) => "64",
                (_, "N" | "S" | "PID") => "1",
                _ => "text",
            };
            let options = parse(&format!("fanout --{name} {value}")).unwrap();
            assert_eq!(options.command, "fanout", "{name}");
            assert!(help().contains(&format!("--{name} ")));
        }
    }

    #[test]
    fn numbers_are_read() {
        let options = parse("publish --clients 10,000 --pipeline 32 --server-pid 7 --server-pid 8");
        let options = options.unwrap();
        assert_eq!(options.clients, Some(10_000));
        assert_eq!((options.in_flight, options.publishers), (32, Some(1)));
        assert_eq!(options.server_pids, [7, 8]);
        assert_eq!(parse("publish").unwrap().in_flight, 1);
        assert_eq!(parse("fanout").unwrap().in_flight, 4);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for line in [
            "fanout fanout",
            "fanout --what 1",
            "fanout --clients",
            "fanout --clients many",
            "fanout --in-flight 0",
            "fanout --publishers 1001",
            "fanout --finished never",
            "limit --mode none",
            "latency --rate 0",
            "fanout --bytes 34",
            "fanout --clients 1 --stalled 2",
            "fanout -x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
