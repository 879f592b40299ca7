//! What `--help` and `--version` print. Called by `cli::main`.

use std::fmt::Write;

use super::arguments::{COMMANDS, Command, usage_of};
use crate::config::{Config, KEYS};

/// `chloe --version`.
pub fn version() -> String {
    format!("chloe {}\n", env!("CARGO_PKG_VERSION"))
}

/// `chloe --help`: commands, flags, every setting.
pub fn overview() -> String {
    let mut text = String::from(
        "Chloe, a realtime web server.\n\
         \n\
         Usage: chloe [COMMAND] [FLAGS]\n\
         \n\
         Commands:\n",
    );
    for usage in COMMANDS {
        let call = format!("{} {}", usage.name, usage.words);
        let _ = writeln!(text, "  {call:<20}  {}", usage.doc);
    }
    text.push_str(
        "\n\
         chloe COMMAND --help tells more about one.\n\
         \n\
         Flags:\n\
         \x20 -c, --config FILE     the configuration; without it the file that CHLOE_CONFIG\n\
         \x20                       names; without either etc/chloe.toml beside the\n\
         \x20                       folder of this program, or /etc/chloe/chloe.toml\n\
         \x20 -h, --help            this text\n\
         \x20 -V, --version         the version\n\
         \n\
         Settings, with their defaults. Each is a flag (--port 8901), an environment\n\
         variable (CHLOE_PORT=8901) and a line of the file (port = 8901); the first of\n\
         these three wins. etc/chloe.toml tells more about each. A list is written with\n\
         commas: --listen-addresses 127.0.0.1,::1\n",
    );
    settings(&mut text);
    text.push_str(
        "\n\
         Exit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong,\n\
         3 not running.\n",
    );
    text
}

fn settings(text: &mut String) {
    let default = Config::default();
    let mut group = "";
    for key in KEYS {
        if key.group != group {
            group = key.group;
            let _ = write!(text, "\n{group}:\n");
        }
        let value = default.value_of(key.name).unwrap_or_default();
        let _ = writeln!(text, "  {} {value}\n      {}", key.flag(), key.doc);
    }
}

/// `chloe COMMAND --help`.
pub fn of(command: Command) -> String {
    let usage = usage_of(command);
    let mut call = format!("chloe {} {}", usage.name, usage.words)
        .trim_end()
        .to_owned();
    for flag in usage.flags {
        let _ = match *flag {
            "app-port" => write!(call, " [--app-port PORT]"),
            flag => write!(call, " [--{flag}]"),
        };
    }
    format!(
        "Usage: {call}\n\n{}\nThe settings of the server (chloe --help) are flags here too.\n",
        details(command)
    )
}

fn details(command: Command) -> &'static str {
    match command {
        Command::Serve | Command::Daemon => {
            "Runs in the foreground until SIGTERM or SIGINT (Ctrl-C). Then it takes nothing\n\
             new, delivers what it has accepted and ends, within shutdown_timeout_ms; a\n\
             second signal ends it at once. SIGHUP opens the log anew. The log goes to\n\
             standard error, or to chloe.log in log_dir if that is set.\n"
        }
        Command::Start => {
            "Starts Chloe in the background and returns when it listens, or with its reason\n\
             when it cannot. The log is chloe.log in log_dir (if that is empty, in\n\
             /var/log/chloe for root and in ~/.local/state/chloe for others).\n"
        }
        Command::Stop => {
            "Asks the Chloe that chloe start has started to end, and waits until it has.\n\
             Give the flags that start was given: the pid file is found by the port or by\n\
             --pid-file. Exit code 3: none runs.\n"
        }
        Command::Restart => {
            "Stops Chloe if it runs, then starts it. A mistake in the configuration is told\n\
             before anything is stopped.\n"
        }
        Command::Ping => {
            "Asks whether a Chloe answers at the port and addresses of the configuration.\n\
             Exit code 3: none does.\n"
        }
        Command::Status => {
            "Shows the counters of a running Chloe, one a line; with --json as they came.\n\
             Exit code 3: none runs.\n"
        }
        Command::Demo => {
            "Runs Chloe and, in the same process, a small app with a page to try it: two\n\
             windows side by side show what one sends to the other. --port moves Chloe,\n\
             --app-port (4567) the app. Only this host is listened on, unless\n\
             --listen-addresses says otherwise.\n"
        }
        Command::Echo => {
            "For conformance tests only, such as Autobahn's: not Chloe, only its WebSocket.\n\
             Every path takes a WebSocket, of any origin, and sends each text and binary\n\
             message back as it came: up to 32 MiB, in up to a million frames. Only this\n\
             host is listened on, unless --listen-addresses says otherwise.\n"
        }
        Command::Send => {
            "Publishes DATA to every browser, or to those that have subscribed to CHANNEL.\n\
             With - for DATA, or without any word, each line of standard input is a message.\n\
             Put -- before DATA that begins with a dash.\n\
             \n\
             \x20 chloe send \"Dinner is ready\"\n\
             \x20 chloe send kitchen \"Dinner is ready\"\n\
             \x20 tail -f app.log | chloe send log -\n"
        }
        Command::Listen => {
            "Subscribes to CHANNEL and prints the data of each message as a line, until\n\
             interrupted. /all is the channel of what is sent to everyone.\n"
        }
        Command::Check => {
            "Checks FILE and says what is wrong and where. Without FILE it checks what chloe\n\
             would start with: the file, the environment and the flags. Without a secret\n\
             it says what must be closed to the world.\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_everything_and_fits_a_terminal() {
        let text = overview();
        for key in KEYS {
            assert!(text.contains(&format!("  {} ", key.flag())), "{}", key.name);
        }
        let each = COMMANDS.iter().map(|usage| {
            assert!(
                text.contains(&format!("\n  {} ", usage.name)),
                "{}",
                usage.name
            );
            of(usage.command)
        });
        for page in each.chain([text.clone()]) {
            let longest = page.lines().map(str::len).max();
            assert!(longest <= Some(80), "{longest:?}: {page}");
            assert!(page.ends_with('\n'));
        }
    }
}
