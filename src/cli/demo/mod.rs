//! `chloe demo`: Chloe, and an app to try it with, in one process.
//!
//! The two are as separate as two programs: they talk over HTTP and share
//! nothing but the settings. Called by `cli::main`.

mod app;

use std::io;
use std::net::TcpListener;

use super::failure::{Failure, say};
use super::serve;
use crate::config::Config;
use crate::net::EventLoop;
use app::App;

/// Where the app listens if nobody says otherwise.
const APP_PORT: u16 = 4567;
/// Plenty to try it with; more would need a higher limit of open files than many hosts have.
const CONNECTIONS_MAX: usize = 1_000;

/// Runs both until it is told to end.
///
/// # Errors
/// A port is in use, or anything else that hinders [`serve::run`].
pub fn run(config: Config, app_port: Option<u16>) -> Result<(), Failure> {
    let app_port = app_port.unwrap_or(APP_PORT);
    let app = App::bind(app_port).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => in_use(app_port, "the demo app", "--app-port"),
        _ => Failure::Failed(format!(
            "the demo app cannot listen on port {app_port}: {error}; choose another with --app-port"
        )),
    })?;
    let config = adapt(config, app.port());
    check_port(&config)?;
    let mut shared = config.clone();
    serve::run(config, None, move |event_loop: &EventLoop| {
        let first = event_loop.addresses().first().copied();
        shared.port = first.map_or(shared.port, |address| address.port());
        let said = greeting(shared.port, app.port());
        app.start(shared)
            .map_err(|error| Failure::Failed(format!("the demo app cannot start: {error}")))?;
        say(&said)
    })
}

/// The settings of a Chloe for the demo: this host's own unless an address was
/// given, and the app on `app_port` for its app.
fn adapt(mut config: Config, app_port: u16) -> Config {
    let default = Config::default();
    if config.listen_addresses == default.listen_addresses {
        config.listen_addresses = vec!["127.0.0.1".to_owned(), "::1".to_owned()];
    }
    if config.log_level == default.log_level {
        // What is fine need not be told between the lines of the greeting.
        config.log_level = "warn".to_owned();
    }
    config.connections_max = config.connections_max.min(CONNECTIONS_MAX);
    config.application_server = format!("http://localhost:{app_port}");
    config.application_server_url = format!("http://localhost:{app_port}{}", app::UPDATES);
    config
}

/// Says which port is in use and how to choose another, before the event loop
/// says the first half of it.
fn check_port(config: &Config) -> Result<(), Failure> {
    let mut addresses = config.listen_addresses.iter();
    let taken = addresses.any(|address| {
        let tried = TcpListener::bind((address.as_str(), config.port));
        tried.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    });
    match taken {
        true => Err(in_use(config.port, "Chloe", "--port")),
        false => Ok(()),
    }
}

fn in_use(port: u16, what: &str, flag: &str) -> Failure {
    let other = port.checked_add(1).unwrap_or(8902);
    Failure::Failed(format!(
        "port {port} is in use by another program (another demo?); stop that one, or choose \
         another port for {what}: chloe demo {flag} {other}"
    ))
}

fn greeting(chloe: u16, app: u16) -> String {
    format!(
        "Chloe listens at http://localhost:{chloe}, the demo app at http://localhost:{app}\n\
         \n\
         1. Open in two windows:\n\
         \n\
         \x20      http://localhost:{app}\n\
         \n\
         2. Type in another terminal, and look at the windows:\n\
         \n\
         \x20      curl -d \"data=This is the message data\" http://localhost:{chloe}/send\n\
         \x20      curl -d \"channel=pumpkin&data=Trotter\" http://localhost:{chloe}/send\n\
         \n\
         Ctrl-C ends both.\n"
    )
}
