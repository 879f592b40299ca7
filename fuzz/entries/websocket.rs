//! WebSocket frames, as the server reads them and as its client does: how the
//! bytes are cut must not matter, and what was understood is written and read again.

use chloe::wire::websocket::{
    Event, MessageDecoder, Opcode, Role, WebSocketError, WebSocketLimits, close, encode_frame,
    encode_masked_frame,
};

use super::{cut, pieces};

/// Small, so that they are reached.
const LIMITS: WebSocketLimits = WebSocketLimits {
    message_bytes: 300,
    fragments: 4,
};

pub fn server(data: &[u8]) {
    both(data, Role::Server);
}

pub fn client(data: &[u8]) {
    both(data, Role::Client);
}

fn both(data: &[u8], role: Role) {
    let (size, input) = pieces(data);
    let whole = events(input, 0, role);
    assert_eq!(whole, events(input, size, role), "in pieces of {size}");
    if let Some(error) = whole.1 {
        assert!(close::may_be_sent(error.close_code()));
        assert!(error.to_string().len() <= close::CONTROL_BYTES_MAX - 2);
    }
    let mut again = Vec::new();
    for (opcode, payload) in &whole.0 {
        match role {
            Role::Server => encode_masked_frame(&mut again, *opcode, payload, [9, 0, 200, 7]),
            Role::Client => encode_frame(&mut again, *opcode, true, payload),
        }
    }
    assert_eq!(events(&again, size, role), (whole.0, None), "read back");
}

/// What was read, and what ended it.
type Seen = (Vec<(Opcode, Vec<u8>)>, Option<WebSocketError>);

fn events(input: &[u8], size: usize, role: Role) -> Seen {
    let mut decoder = MessageDecoder::new(role);
    let (mut kept, mut seen) = (Vec::new(), Vec::new());
    for piece in cut(input, size) {
        kept.extend_from_slice(piece);
        let mut at = 0;
        while at < kept.len() {
            let rest = kept.len() - at;
            match decoder.decode(&mut kept[at..], &LIMITS) {
                Ok((0, None)) => break,
                Ok((used, event)) => {
                    assert!(used > 0 && used <= rest);
                    seen.extend(event.map(owned));
                    at += used;
                }
                Err(error) => return (seen, Some(error)),
            }
        }
        kept.drain(..at);
        assert!(kept.len() <= 130, "{} bytes are kept", kept.len());
    }
    (seen, None)
}

/// An event as the opcode and the payload of the frame that says it.
fn owned(event: Event<'_>) -> (Opcode, Vec<u8>) {
    let (opcode, payload) = match event {
        Event::Text(text) => (Opcode::Text, text.into_owned().into_bytes()),
        Event::Binary(bytes) => (Opcode::Binary, bytes.into_owned()),
        Event::Ping(payload) => (Opcode::Ping, payload.to_vec()),
        Event::Pong(payload) => (Opcode::Pong, payload.to_vec()),
        Event::Close { code: None, reason } => {
            assert_eq!(reason, "");
            (Opcode::Close, Vec::new())
        }
        Event::Close {
            code: Some(code),
            reason,
        } => (Opcode::Close, close::encode_close(code, reason)),
    };
    assert!(payload.len() <= LIMITS.message_bytes);
    (opcode, payload)
}
