//! One peer's hunger does not keep the others waiting: what a single call
//! writes to one connection is bounded, however fast its peer reads.

use std::fs::File;
use std::io::{self, Write};

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{Peer, Server, Transmit};

/// A socket that takes everything.
#[derive(Default)]
struct Bottomless(usize);

impl Write for Bottomless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_large_file_to_a_fast_reader_is_written_over_many_turns() {
    const FILE_BYTES: usize = 32 << 20;
    let root = std::env::temp_dir().join(format!("chloe-fairness-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let file = File::create(root.join("large.bin")).unwrap();
    file.set_len(FILE_BYTES as u64).unwrap();
    let config = Config {
        doc_root: root.clone(),
        ..Config::default()
    };
    let now = Time::default().plus(1_000);
    let mut server = Server::new(config, [1; 32], now);
    let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
    let key = server.handle_accept(now, peer).unwrap();
    let mut request = *b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n";
    server.handle_received(now, key, &mut request);

    let (mut all_bytes, mut turns) = (0, 0);
    loop {
        assert_eq!(server.poll_transmit(now), Some(key));
        let mut socket = Bottomless::default();
        let done = server.transmit(now, key, &mut socket);
        assert!(socket.0 <= 2 << 20, "{} bytes in one turn", socket.0);
        all_bytes += socket.0;
        turns += 1;
        if done == Transmit::Idle {
            break;
        }
        assert_eq!(done, Transmit::More);
        assert_eq!(server.poll_transmit(now), None, "not again in this turn");
        server.handle_writable(key);
    }
    assert!(
        all_bytes > FILE_BYTES && turns > 8,
        "{all_bytes} in {turns}"
    );
    std::fs::remove_dir_all(root).unwrap();
}
