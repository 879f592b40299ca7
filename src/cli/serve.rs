//! `chloe`: a server, from its settings to its end.
//!
//! Puts the parts together: pid file, log, sockets, server, signals. What runs
//! in the background or beside a demo app runs through here too. Called by
//! `cli::main`, `start` and `demo`.

use std::path::Path;
use std::sync::Arc;

use super::failure::Failure;
use super::handover::{Handover, Predecessor};
use super::inherited;
use super::logging::Log;
use super::pid_file::{PidFile, failure_file};
use super::places::{Places, is_set};
use super::program;
use super::service_links;
use super::signals::{self, Hangup};
use super::state_file;
use super::trial;
use crate::base::time::Time;
use crate::config::{Config, Warning};
use crate::net::{EventLoop, Given, quarter_of_memory, random_seed};
use crate::server::Server;

/// Runs in the foreground until it is told to end.
///
/// # Errors
/// It cannot start, or the event loop fails.
pub fn foreground(config: Config) -> Result<(), Failure> {
    let log_file = is_set(&config.log_dir).then(|| Places::of_process().log_file(&config));
    run(config, log_file.as_deref(), |_| Ok(()))
}

/// Runs until it is told to end. Its log goes to `log_file`, else to standard
/// error. `listening` is called once, when the sockets are open, and may still
/// refuse.
///
/// # Errors
/// It cannot start, or the event loop fails.
pub fn run(
    config: Config,
    log_file: Option<&Path>,
    listening: impl FnOnce(&EventLoop) -> Result<(), Failure>,
) -> Result<(), Failure> {
    run_server(config, log_file, Server::new, listening)
}

/// As [`run`], with the server that `make` makes.
///
/// # Errors
/// As [`run`].
pub fn run_server(
    mut config: Config,
    log_file: Option<&Path>,
    make: impl FnOnce(Config, [u8; 32], Time) -> Server,
    listening: impl FnOnce(&EventLoop) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // Before another version may stand there.
    let program = program::as_called();
    let (predecessor, given) = Predecessor::of_process()?.unzip();
    let ended = (|| {
        let hangup = Hangup::of(log_file.is_some());
        let log = Log::begin(&config.log_level, config.log_lines_per_second_max, log_file)?;
        // Also what is used only at the end: by then nobody could be told.
        trial::of_server(&config)?;
        let mut pid_file = match predecessor {
            None => create_pid_file(&config.pid_file)?,
            Some(_) => None,
        };
        let given = given.map_or_else(given_by_systemd, Ok)?;
        let all = given.all;
        let event_loop =
            EventLoop::bind_with(&config, given).map_err(|e| Failure::Failed(e.to_string()))?;
        let seed = random_seed()
            .map_err(|e| Failure::Failed(format!("the system gives no random numbers: {e}")))?;
        // Who is one too many is turned away at once, and does not wait for a file.
        config.connections_max = event_loop.capacity();
        find_out_memory(&mut config);
        if let Some(address) = event_loop.addresses().first() {
            // The system may have chosen it, or a supervisor.
            config.port = address.port();
        }
        let warnings = config.warnings();
        let (pid_path, state_path) = (config.pid_file.clone(), config.state_file.clone());
        let mut server = make(config, seed, event_loop.now());
        if let Some(predecessor) = &predecessor {
            predecessor.take_turn()?;
            pid_file = create_pid_file(&pid_path)?;
        }
        let failed = is_set(&pid_path).then(|| failure_file(&pid_path));
        let handle = event_loop.handle();
        let handover = event_loop
            .listening()
            .and_then(|sockets| {
                let stderr = log.before()?;
                Ok(Handover::new(
                    program?, handle, sockets, all, stderr, failed,
                ))
            })
            .map_err(|e| Failure::Failed(format!("a restart cannot be prepared: {e}")))?;
        signals::watch(
            event_loop.handle(),
            Arc::clone(&handover),
            hangup,
            log.target(),
        )
        .map_err(|e| Failure::Failed(format!("the system lets no signals be watched: {e}")))?;
        listening(&event_loop)?;
        serve(event_loop, &mut server, &state_path, &warnings, || {
            let next = handover.end();
            match (pid_file, &next) {
                (Some(pid_file), Some(_)) => pid_file.leave(),
                // Before it is told that it ended: whoever starts the next finds no file.
                (pid_file, _) => drop(pid_file),
            }
            next
        })
    })();
    if let (Err(failure), Some(predecessor)) = (&ended, &predecessor) {
        predecessor.refuse(failure);
    }
    ended
}

/// Gives the limits of memory that are left open by what there is, and says so.
fn find_out_memory(config: &mut Config) {
    let quarter = quarter_of_memory();
    for total in [
        &mut config.input_total_bytes,
        &mut config.output_total_bytes,
    ] {
        if *total == 0 {
            *total = quarter;
        }
    }
    let (input, output) = (config.input_total_bytes, config.output_total_bytes);
    log::info!("event=memory input_total_bytes={input} output_total_bytes={output}");
}

/// From the restored state to the written one, and, where another process goes on
/// with that, to the last of the connections that are here.
fn serve<Next>(
    event_loop: EventLoop,
    server: &mut Server,
    state_path: &Path,
    warnings: &[Warning],
    end: impl FnOnce() -> Next,
) -> Result<(), Failure> {
    let clock = event_loop.clock();
    if is_set(state_path) {
        state_file::read(server, clock.now(), state_path);
    }
    let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
    service_links::log_links();
    for Warning { setting, text } in warnings {
        log::warn!("event=warning setting={setting} hint=\"{text}\"");
    }
    log::info!("event=started version={version} pid={pid}");
    let mut end = Some(|server: &mut Server| {
        if is_set(state_path) {
            state_file::write(server, clock.now(), state_path);
        }
        // The next process begins when what `end` returns is dropped.
        drop(end());
    });
    let result = event_loop.run_and_hand_over(server, |server| {
        if let Some(end) = end.take() {
            end(server);
            log::info!("event=handed_over pid={pid}");
        }
    });
    if let Some(end) = end {
        end(server);
    }
    match &result {
        Ok(()) => log::info!("event=stopped pid={pid}"),
        Err(error) => log::error!("event=failed pid={pid} reason=\"{error}\""),
    }
    result.map_err(|e| Failure::Failed(format!("the event loop failed: {e}; start Chloe anew")))
}

fn create_pid_file(path: &Path) -> Result<Option<PidFile>, Failure> {
    is_set(path).then(|| PidFile::create(path)).transpose()
}

fn given_by_systemd() -> Result<Given, Failure> {
    let sockets = inherited::of_process()?;
    let all = !sockets.is_empty();
    Ok(Given { sockets, all })
}
