//! Tables for the reading of settings: what is right, what is wrong, and what is said then.

use super::*;

const EXAMPLE: &str = include_str!("../../etc/chloe.toml");

fn path() -> &'static Path {
    Path::new("a.toml")
}

fn complaint(text: &str) -> String {
    match Config::from_toml(text, path()) {
        Ok(_) => panic!("taken: {text}"),
        Err(error) => error.to_string(),
    }
}

/// The example file names every key, with a comment, in the table's order, and changes nothing.
#[test]
fn the_example_file_is_the_defaults() {
    let config = Config::from_toml(EXAMPLE, path()).unwrap();
    assert_eq!(config, Config::default());
    let mut named = Vec::new();
    let mut line_before = "";
    for line in EXAMPLE.lines() {
        if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            assert!(line_before.starts_with('#'), "{key} has a comment above");
            assert_eq!(
                Some(value.to_owned()),
                config.value_of(key),
                "{key} is written as it is"
            );
            named.push(key);
        }
        line_before = line;
    }
    let all: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(named, all);
}

#[test]
fn defaults_are_valid_and_every_key_can_be_set_in_each_way() {
    assert_eq!(Config::default().validate(), Ok(()));
    for key in KEYS {
        let written = Config::default().value_of(key.name).unwrap();
        let changed = match written.as_str() {
            _ if key.name == "history" => r#"[{ prefix = "a", size = 1 }]"#.to_owned(),
            "\"info\"" => "debug".to_owned(),
            "true" => "false".to_owned(),
            "false" => "true".to_owned(),
            text if text.starts_with("\"http") => "http://other:1".to_owned(),
            r#"["0.0.0.0", "::"]"# => "127.0.0.1".to_owned(),
            r#"["127.0.0.1", "::1"]"# => "10.0.0.0/8".to_owned(),
            _ if key.name == "server_names" => "chloe.lan,*.a.example".to_owned(),
            "[]" => "https://a.example,*".to_owned(),
            text if text.starts_with('"') => "/some/where".to_owned(),
            // A total is a MiB at least, or left open.
            _ if key.name.ends_with("put_total_bytes") => (1 << 20).to_string(),
            number => (number.parse::<u64>().unwrap() + 1).to_string(),
        };
        let mut by_flag = Config::default();
        by_flag.set(&key.flag(), &changed).unwrap();
        assert_ne!(by_flag, Config::default(), "{}", key.name);

        let mut by_environment = Config::default();
        by_environment
            .set_environment(&key.environment(), &changed)
            .unwrap();
        assert_eq!(by_environment, by_flag);

        let line = format!("{} = {}", key.name, by_flag.value_of(key.name).unwrap());
        assert_eq!(Config::from_toml(&line, path()), Ok(by_flag), "{line}");
        assert!(
            !key.doc.is_empty() && key.doc.ends_with('.'),
            "{}",
            key.name
        );
    }
}

#[test]
fn a_wrong_file_says_where_and_what_was_meant() {
    for (text, said) in [
        ("prot = 1", "a.toml:1: there is no prot: did you mean port?"),
        (
            "\n\npoll_hold = 1",
            "a.toml:3: there is no poll_hold: did you mean poll_hold_ms?",
        ),
        (
            "elephant = 1",
            "a.toml:1: there is no elephant: etc/chloe.toml and chloe --help list all settings",
        ),
        (
            "[webhook]\nlanes = 2",
            "a.toml:1: there is no webhook: did you mean webhook_give_up_ms?",
        ),
        ("port = 1\nport = 2", "a.toml:2: is not TOML: duplicate key"),
        ("# fine\nport =", "a.toml:2: is not TOML: "),
        (
            "port = \"8901\"",
            "a.toml:1: port must be a whole number, without quotes; it is a text",
        ),
        (
            "port = 89.01",
            "a.toml:1: port must be a whole number, without quotes; it is a number with a point",
        ),
        (
            "port = -1",
            "a.toml:1: port must not be negative, and -1 is",
        ),
        (
            "port = 65536",
            "a.toml:1: port is 65536, and the most is 65535",
        ),
        (
            "history_size = 99999999999999999999999",
            "a.toml:1: history_size is 99999999999999999999999, and the most is 18446744073709551615",
        ),
        (
            "poll_hold_ms = 0",
            "a.toml:1: poll_hold_ms is 0, and the least is 10",
        ),
        (
            "poll_hold_ms = 3600001",
            "a.toml:1: poll_hold_ms is 3600001, and the most is 3600000",
        ),
        (
            "secret = 5",
            "a.toml:1: secret must be a text in double quotes; it is a whole number",
        ),
        (
            "doc_root = true",
            "a.toml:1: doc_root must be a text in double quotes; it is true or false",
        ),
        (
            "doc_root = \"\\u0000\"",
            "a.toml:1: doc_root must be a path, and no path has a NUL in it",
        ),
        (
            "listen_addresses = \"::\"",
            "a.toml:1: listen_addresses must be a list of texts, such as [\"one\", \"two\"]; it is a text",
        ),
        (
            "listen_addresses = [\n\"::\",\n1]",
            "a.toml:1: listen_addresses must be a list of texts, such as [\"one\", \"two\"]; it is a whole number, among its items",
        ),
        (
            "listen_addresses = [\"localhost\"]",
            "a.toml:1: listen_addresses must hold IP addresses without a port, such as \"127.0.0.1\" or \"::1\", and \"localhost\" is none",
        ),
        (
            "trusted_proxies = [\"10.0.0.0/33\"]",
            "a.toml:1: trusted_proxies must hold IP addresses or networks, such as \"127.0.0.1\" or \"10.0.0.0/8\", and \"10.0.0.0/33\" is none",
        ),
        (
            "log_level = \"loud\"",
            "a.toml:1: log_level must be one of off, error, warn, info, debug, trace, and \"loud\" is none of them",
        ),
        (
            "application_server = \"localhost:4567\"",
            "a.toml:1: application_server is \"localhost:4567\". The address must begin with http://",
        ),
        (
            "application_server = \"http://a/b\"",
            "a.toml:1: application_server is \"http://a/b\". An origin is scheme, host and port only",
        ),
        (
            "application_server_url = \"https://a/\"",
            "a.toml:1: application_server_url is \"https://a/\". Chloe does not call https addresses yet",
        ),
        (
            "application_server_url = \"\"",
            "a.toml:1: application_server_url is \"\". The address must begin with http://",
        ),
        (
            "application_server_url = \"http:///x\"",
            "a.toml:1: application_server_url is \"http:///x\". The address needs a host",
        ),
        (
            "application_server_url = \"http://bad!host/\"",
            "a.toml:1: application_server_url is \"http://bad!host/\". The address needs a host",
        ),
        (
            "application_server_url = \"http://a:0/x\"",
            "a.toml:1: application_server_url is \"http://a:0/x\". The port must be",
        ),
        (
            "application_server_url = \"http://[a]/x\"",
            "a.toml:1: application_server_url is \"http://[a]/x\". The address needs a host",
        ),
        (
            "server_names = [\"https://chloe.lan\"]",
            "a.toml:1: server_names must hold host names without scheme and port, such as \"chloe.lan\" or \"*.example.com\", and \"https://chloe.lan\" is none",
        ),
        (
            "server_names = [\"chloe.lan:8901\"]",
            "a.toml:1: server_names must hold host names without scheme and port, such as \"chloe.lan\" or \"*.example.com\", and \"chloe.lan:8901\" is none",
        ),
        (
            "server_names = [\"a.lan\", \"*\"]",
            "a.toml:1: server_names must hold host names without scheme and port, such as \"chloe.lan\" or \"*.example.com\", and \"*\" is none",
        ),
        (
            "allowed_origins = [\"*\", \"x\"]",
            "a.toml:1: allowed_origins has an item that is \"x\". The address must begin with",
        ),
        (
            "allowed_origins = [\"https://*.Example.com:443/\"]",
            "a.toml:1: allowed_origins has an item that is \"https://*.Example.com:443/\": write \"https://*.example.com\"",
        ),
        (
            "allowed_origins = [\"https://*.*.example.com\"]",
            "a.toml:1: allowed_origins has an item that is \"https://*.*.example.com\". The address needs a host",
        ),
    ] {
        let complaint = complaint(text);
        assert!(complaint.starts_with(said), "{text:?} says: {complaint}");
        assert!(!complaint.contains('\n'), "one line: {complaint}");
    }
}

#[test]
fn right_values_in_their_other_spellings_are_taken() {
    for (text, key, value) in [
        ("port = 0", "port", "0"),
        ("port = 0x22c5", "port", "8901"),
        ("history_size = 1_000", "history_size", "1000"),
        ("allowed_origins = []", "allowed_origins", "[]"),
        (
            "allowed_origins = ['https://*.example.com:8443']",
            "allowed_origins",
            "[\"https://*.example.com:8443\"]",
        ),
        (
            "application_server = 'https://example.com'",
            "application_server",
            "\"https://example.com\"",
        ),
        (
            "application_server_url = \"http://[::1]:80/a?b\"",
            "application_server_url",
            "\"http://[::1]:80/a?b\"",
        ),
        (
            "application_server_url = \"http://app\"",
            "application_server_url",
            "\"http://app\"",
        ),
        ("secret = \"a\\\"b\"", "secret", "\"a\\\"b\""),
        ("# nothing", "port", "8901"),
        ("", "port", "8901"),
    ] {
        let config = Config::from_toml(text, path()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.value_of(key).as_deref(), Some(value), "{text}");
    }
}

#[test]
fn flags_and_environment_name_themselves_in_errors() {
    let mut config = Config::default();
    for (error, said) in [
        (
            config.set("--port", "eighty"),
            "--port: must be a whole number, and \"eighty\" is none",
        ),
        (
            config.set("port", ""),
            "--port: must be a whole number, and \"\" is none",
        ),
        (
            config.set("--prot", "1"),
            "--prot: there is no --prot: did you mean --port?",
        ),
        (
            config.set_environment("CHLOE_PORT", "99999"),
            "environment variable CHLOE_PORT: is 99999, and the most is 65535",
        ),
        (
            config.set_environment("CHLOE_PROT", "1"),
            "environment variable CHLOE_PROT: there is no CHLOE_PROT: did you mean CHLOE_PORT?",
        ),
        (
            config.set_environment("CHLOE_port", "1"),
            "environment variable CHLOE_port: there is no CHLOE_port: did you mean CHLOE_PORT?",
        ),
    ] {
        assert_eq!(error.unwrap_err().to_string(), said);
    }
    assert_eq!(config.set_environment("PATH", "/bin"), Ok(()));
    assert_eq!(config, Config::default());
}

#[test]
fn settings_that_do_not_go_together_are_told_by_both_names() {
    for (lines, said) in [
        (
            "webhook_retry_min_ms = 20000",
            "webhook_retry_min_ms is 20000 and webhook_retry_max_ms is 10000: webhook_retry_min_ms must not be more than webhook_retry_max_ms",
        ),
        (
            "history_bytes = 100000000",
            "history_bytes is 100000000 and history_total_bytes",
        ),
        (
            "[[history]]\nprefix = \"chat:\"\nbytes = 100000000",
            "history for \"chat:\" has bytes = 100000000 and history_total_bytes is 67108864",
        ),
        (
            "message_bytes_max = 2000000",
            "message_bytes_max is 2000000 and body_bytes_max",
        ),
        (
            "session_ttl_ms = 1000",
            "poll_hold_ms is 25000 and session_ttl_ms is 1000",
        ),
        (
            "listen_addresses = []",
            "listen_addresses and unix_socket are both empty",
        ),
    ] {
        let config = Config::from_toml(lines, path()).unwrap();
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
    let by_hand = Config {
        turn_writes: 0,
        ..Config::default()
    };
    assert_eq!(
        by_hand.validate().unwrap_err().to_string(),
        "turn_writes is 0, and the least is 1"
    );
    let socket_only = Config::from_toml("listen_addresses = []\nunix_socket = \"/run/c\"", path());
    assert_eq!(socket_only.unwrap().validate(), Ok(()));
}

#[test]
fn the_secret_is_not_shown() {
    let mut config = Config::default();
    config.set("secret", "pumpkin").unwrap();
    config.set("port", "1").unwrap();
    let shown = format!("{config:?}");
    assert!(
        shown.contains("port: 1") && !shown.contains("pumpkin"),
        "{shown}"
    );
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    for (key, value, shown) in [
        (
            "application_server_url",
            "http://ann:hunter2@app/x",
            "\"http://(hidden)@app/x\"",
        ),
        (
            "application_server_url",
            "https://ann:hunter2@app/x",
            "\"https://(hidden)@app/x\"",
        ),
        (
            "application_server_url",
            "ann:hunter2@app",
            "\"(hidden)@app\"",
        ),
        (
            "application_server_url",
            "http://ann:hunter2 @app",
            "(hidden)@app",
        ),
        (
            "application_server_url",
            "http://ann:hunter2/@hunter2@app:x",
            "(hidden)@app:x",
        ),
        ("application_server", "http://hunter2@app", "(hidden)@app"),
        (
            "allowed_origins",
            "https://*.ann:hunter2@app",
            "(hidden)@app",
        ),
    ] {
        let by_flag = Config::default().set(key, value).unwrap_err().to_string();
        assert!(by_flag.contains(shown), "{by_flag}");
        let quoted = super::value::quote(value);
        let line = match key {
            "allowed_origins" => format!("{key} = [{quoted}]"),
            _ => format!("{key} = {quoted}"),
        };
        let by_file = Config::from_toml(&line, path()).unwrap_err().to_string();
        for said in [by_flag, by_file] {
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn no_mistake_shows_a_secret() {
    for text in [
        "secret = hunter2",
        "secret = \"hunter2",
        "secret = 'hunter2",
        "secret = \"hunter2\\q\"",
        "secret = [\"hunter2\"]",
        "secret = {a = \"hunter2\"}",
        "sercet = \"hunter2\"",
        "secret = \"hunter2\" x",
        "secret = \"hunter2\"\nsecret = \"hunter2\"",
    ] {
        let said = Config::from_toml(text, path()).unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn md5_is_off_and_warned_of_where_it_is_on() {
    let mut config = Config::default();
    assert!(!config.allow_md5);
    config.set("allow_md5", "true").unwrap();
    assert_eq!(config.warnings(), [], "without a secret it signs nothing");
    config.set("secret", "s").unwrap();
    let settings: Vec<_> = config.warnings().iter().map(|w| w.setting).collect();
    assert_eq!(settings, ["allow_md5"]);
}

#[test]
fn the_former_names_of_the_webhooks_settings_are_taken() {
    let mut config = Config::from_toml("relay_timeout_ms = 5000\nrelay_lanes = 3", Path::new("f"));
    let config = config.as_mut().unwrap();
    assert_eq!(
        (config.webhook_timeout_ms, config.webhook_connections),
        (5_000, 3)
    );
    config.set("--relay-give-up-ms", "60000").unwrap();
    config
        .set_environment("CHLOE_RELAY_RETRY_MAX_MS", "7000")
        .unwrap();
    assert_eq!(
        (config.webhook_give_up_ms, config.webhook_retry_max_ms),
        (60_000, 7_000)
    );
    assert!(config.set("relay_nothing", "1").is_err());
}
