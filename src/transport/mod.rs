//! FLOOR 3: one file for each way to reach a browser.
//!
//! [`TABLE`] lists them. A new transport is one file and one row. Called by
//! the server's router and its connections.

pub mod contract;
pub mod websocket;
pub mod xhr;
pub mod jsonp;

use contract::Polling;

/// How a transport is spoken.
pub enum Way {
    /// The connection is upgraded and becomes a stream of frames.
    Stream,
    /// Each call is a request of its own; deliveries answer a held one.
    Polling(&'static Polling),
}

/// A row of the table.
pub struct Row {
    /// The path, by whole segments.
    pub path: &'static str,
    /// Whether any path below it is the same.
    pub below: bool,
    pub way: Way,
}

/// Every transport.
pub static TABLE: [Row; 3] = [
    Row {
        path: websocket::PATH,
        below: false,
        way: Way::Stream,
    },
    Row {
        path: xhr::PATH,
        below: true,
        way: Way::Polling(&xhr::XHR),
    },
    Row {
        path: jsonp::PATH,
        below: false,
        way: Way::Polling(&jsonp::JSONP),
    },
];

/// The transport at `path`. Paths match by whole segments: `/chloe/xhrx` is none.
pub fn at(path: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| match path.strip_prefix(row.path) {
        Some("") => true,
        Some(rest) => row.below && rest.starts_with('/'),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_by_whole_segments() {
        let name = |path| at(path).map(|row| row.path);
        assert_eq!(name("/chloe/websocket"), Some("/chloe/websocket"));
        assert_eq!(name("/chloe/xhr"), Some("/chloe/xhr"));
        assert_eq!(name("/chloe/xhr/1322489"), Some("/chloe/xhr"));
        assert_eq!(name("/chloe/jsonp.js"), Some("/chloe/jsonp.js"));
        for other in [
            "/chloe/xhrx",
            "/chloe/jsonp.js/1",
            "/chloe/websocket/",
            "/chloe",
            "/",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
