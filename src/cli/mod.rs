//! FLOOR 7: the command line.
//!
//! One file for each command; what several of them need stands above them. A
//! command returns a [`Failure`] or nothing, and prints only what it is asked
//! for. Called by `main`.

pub mod failure;

mod files;
mod program;
mod supervisor;

pub mod arguments;
pub mod help;

mod limiter;
mod log_queue;
mod log_writer;
mod private_flags;
mod logging;
mod places;
mod service_links;
mod settings;

mod pid_file;
mod inherited;
mod handover;
mod signals;
mod state_file;

mod reach;

mod client;
mod running;
mod trial;

mod check;
mod listen;
mod ping;
mod send;
mod serve;
mod status;
mod stop;

mod demo;
mod echo;
mod start;

mod restart;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use failure::{Failure, say};

/// Does what the process's arguments ask for; returns its exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse(std::env::args_os().skip(1));
    let done = arguments.and_then(|arguments| {
        private_flags::hide(&arguments)?;
        run(&arguments)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            handover::refuse(&failure);
            failure.report()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.help {
        return say(&arguments.command.map_or_else(help::overview, help::of));
    }
    if arguments.version {
        return say(&help::version());
    }
    let config = || settings::of_process(arguments).map(|gathered| gathered.config);
    // What need not be signed can be asked by a user who may not read the secret.
    let unsigned = || settings::without_secret(arguments).map(|gathered| gathered.config);
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::foreground(config()?),
        Command::Start => start::run(arguments, &config()?),
        Command::Daemon => start::daemon(config()?),
        Command::Stop => stop::run(&unsigned()?),
        Command::Restart => restart::run(arguments, &config()?),
        Command::Ping => ping::run(&unsigned()?),
        Command::Status => status::run(&config()?, arguments.json),
        Command::Demo => demo::run(config()?, arguments.app_port),
        Command::Echo => echo::run(config()?),
        Command::Send => send::run(&config()?, &arguments.words),
        Command::Listen => listen::run(&unsigned()?, &arguments.words),
        Command::Check => check::run(arguments),
    }
}
