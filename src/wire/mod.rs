//! FLOOR 2: codecs. Bytes in, values out; no sockets, no clocks, no policy.

pub mod envelope;
pub mod http;
pub mod forwarded;
pub mod jsonp;
pub mod signature;
pub mod url;
pub mod urlencoded;
pub mod websocket;
