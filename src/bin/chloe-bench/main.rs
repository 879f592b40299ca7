//! `chloe-bench`: how much Chloe and its peers do, and what that costs.
//!
//! A load generator, the bare servers that are the limit of the machine, and
//! the reading of what the kernel counts. No part of Chloe: of its library it
//! uses the codecs. Run by people and by `benches/report`.

mod clock;
mod interrupt;
mod stamp;
mod tally;
mod latency;
mod kernel;
mod template;
mod peer;
mod section;
mod peer_file;
mod socket;
mod http;
mod frame;
mod stream;
mod polling;
mod reader;
#[cfg(test)]
mod reader_tests;
mod publisher;
mod lines;
mod worker;
mod fleet;
mod conductor;
mod limit;
mod options;
mod server;
mod report;
mod runs;

use std::io::{Error, Result, Write};
use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chloe-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut options = Options::parse(std::env::args_os().skip(1)).map_err(Error::other)?;
    if options.help || options.command.is_empty() {
        print!("{}", options::help());
        return Ok(());
    }
    let is_measured = !matches!(
        options.command.as_str(),
        "worker" | "limit-server" | "check"
    );
    if is_measured {
        interrupt::watch()?;
    }
    match options.command.clone().as_str() {
        "worker" => worker::run(),
        "fanout" => runs::fanout(&options),
        "limit" => {
            "limit".clone_into(&mut options.peer);
            runs::fanout(&options)
        }
        "latency" => runs::latency(&options),
        "idle" => runs::idle(&options),
        "publish" => runs::publish(&options),
        "limit-server" => serve_limit(&options),
        "check" => {
            let (peer, _) = peer_file::load(options.file.as_deref().unwrap_or(&options.peer))
                .map_err(Error::other)?;
            println!("{peer:#?}");
            Ok(())
        }
        other => Err(Error::other(format!(
            "there is no command '{other}'; --help names all"
        ))),
    }
}

/// Prints the lines of a peer's script, and serves.
fn serve_limit(options: &Options) -> Result<()> {
    kernel::raise_open_files()?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let mut server = limit::LimitServer::bind(options.port, options.mode, options.overhead)?;
    let address = server.address()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "pid {}", std::process::id())?;
    writeln!(out, "url ws ws://{address}/")?;
    writeln!(out, "url publish http://{address}/publish")?;
    writeln!(out, "version {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "ready")?;
    out.flush()?;
    drop(out);
    server.run()
}
