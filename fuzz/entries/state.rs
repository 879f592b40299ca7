//! The state file: what was changed is refused or taken, and what was taken is
//! written and taken again.

use chloe::base::time::Time;
use chloe::server::{STATE_CHECKSUM_BYTES, STATE_HEAD_BYTES};
use sha2::{Digest, Sha256};

use super::server::fresh;

const NOW: Time = Time {
    ms: 1_000,
    unix_ms: 1_700_000_000_000,
};

/// The bytes are a file, read as they are, and then once more as if they had
/// been written so.
pub fn state(data: &[u8]) {
    read(data);
    let mut file = data.to_vec();
    if file.len() >= STATE_HEAD_BYTES + STATE_CHECKSUM_BYTES {
        vouch(&mut file);
        read(&file);
    }
}

/// Sets the checksum: else no change would get past it.
fn vouch(file: &mut [u8]) {
    let (body, checksum) = file.split_at_mut(file.len() - STATE_CHECKSUM_BYTES);
    checksum.copy_from_slice(&Sha256::digest(body));
}

fn read(file: &[u8]) {
    let mut server = fresh(NOW, 1);
    if let Err(error) = server.restore(NOW, &mut &file[..], file.len() as u64) {
        assert!(!error.to_string().is_empty());
        return;
    }
    let mut now = NOW;
    for _ in 0..20 {
        while server.poll_action().is_some() {}
        while server.poll_transmit(now).is_some() {}
        let Some(due_ms) = server.poll_timeout() else {
            break;
        };
        now = now.plus(due_ms.saturating_sub(now.ms));
        server.handle_timeout(now);
        assert!(server.poll_timeout() > Some(now.ms) || server.poll_timeout().is_none());
    }
    let mut again = Vec::new();
    server.save(now, &mut again).expect("memory takes all");
    let length = again.len() as u64;
    let restored = fresh(now, 2).restore(now, &mut &again[..], length);
    assert!(restored.is_ok(), "{restored:?}");
}
