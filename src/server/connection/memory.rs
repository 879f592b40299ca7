//! What all connections keep in memory: bytes of their peers that are not finished, and
//! bytes for them that are not read.
//!
//! One place keeps the count: each time a connection's buffers have changed, what it
//! holds now is compared with what was counted for it. Who has to go when there is too
//! much is decided by `Holdings`; `shed` does it. Called by `core`, `router`, `stream`
//! and `delivery`.

use crate::base::holdings::Holdings;
use crate::config::Config;
use crate::wire::http::HttpLimits;

use super::conn::{Conn, ConnKey, Role};

/// What is no more than this is not counted: it is of the size of what a connection
/// costs anyway, and most never hold more.
const SMALL_BYTES: usize = 1024;

/// The limit where no setting gives one and nobody has looked how much memory there is.
const DEFAULT_BYTES: usize = 1 << 30;

/// Room for the fields around an answer.
const FIELDS_BYTES: usize = 64 * 1024;

/// The two counts.
pub struct Memory {
    /// Requests, frames and messages that are not whole.
    pub input: Holdings,
    /// Answers and rests of frames.
    pub output: Holdings,
}

impl Memory {
    /// Nobody holds anything.
    pub fn new(config: &Config, limits: &HttpLimits) -> Memory {
        let chosen = |bytes| if bytes == 0 { DEFAULT_BYTES } else { bytes };
        // The largest request, and the fullest outbox with the longest message behind it,
        // must fit, in vectors that grow by doubling.
        let longest = config.body_bytes_max.saturating_add(FIELDS_BYTES);
        let answer_bytes = config.outbox_bytes_max.saturating_add(longest);
        Memory {
            input: Holdings::new(chosen(config.input_total_bytes), limits.message_bytes()),
            output: Holdings::new(
                chosen(config.output_total_bytes),
                answer_bytes.saturating_mul(2),
            ),
        }
    }

    /// Counts what `conn` holds now, and what of it waits for the webhook.
    pub fn settle(&mut self, key: ConnKey, conn: &mut Conn, waiting_bytes: usize) {
        let bytes = match &conn.role {
            Role::Http(http) => http.input.capacity(),
            Role::WebSocket(stream) => stream.input.capacity() + stream.decoder.held_bytes(),
            Role::Upstream(_) => 0,
        };
        let bytes = bytes + waiting_bytes;
        let counts = bytes > SMALL_BYTES;
        if counts || conn.input_counted {
            conn.input_counted = counts;
            let bytes = if counts { bytes } else { 0 };
            self.input.set(key.to_u64(), conn.address, bytes);
        }
        self.settle_output(key, conn);
    }

    /// Counts what waits to be written to `conn` now.
    pub fn settle_output(&mut self, key: ConnKey, conn: &mut Conn) {
        let bytes = conn.outbox.capacity();
        let counts = bytes > SMALL_BYTES;
        if counts || conn.output_counted {
            conn.output_counted = counts;
            let bytes = if counts { bytes } else { 0 };
            self.output.set(key.to_u64(), conn.address, bytes);
        }
    }

    /// How many entries there are of input and output.
    pub fn entries(&self) -> [usize; 2] {
        [self.input.entries(), self.output.entries()]
    }

    /// `conn` is gone.
    pub fn forget(&mut self, key: ConnKey, conn: &Conn) {
        if conn.input_counted {
            self.input.set(key.to_u64(), None, 0);
        }
        if conn.output_counted {
            self.output.set(key.to_u64(), None, 0);
        }
    }
}
