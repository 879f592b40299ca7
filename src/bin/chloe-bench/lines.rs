//! Lines that come over a socket which does not wait: between a fleet and its workers.
//!
//! Knows nothing of what they say. Used by `worker` and `fleet`.

use std::io::{ErrorKind, Read, Result};

/// What has come and is no whole line yet.
#[derive(Default)]
pub struct Lines {
    input: Vec<u8>,
}

impl Lines {
    /// Reads all that is there from `source`: the whole lines, without their ends, and
    /// whether there will be no more.
    ///
    /// # Errors
    /// Those of the socket, but that there is nothing to be read now.
    pub fn read(&mut self, source: &mut impl Read) -> Result<(Vec<String>, bool)> {
        let mut bytes = [0; 16 * 1024];
        let is_over = loop {
            match source.read(&mut bytes) {
                Ok(0) => break true,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        let mut lines = Vec::new();
        while let Some(end) = memchr::memchr(b'\n', &self.input) {
            lines.push(String::from_utf8_lossy(&self.input[..end]).into_owned());
            self.input.drain(..=end);
        }
        Ok((lines, is_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let text = b"begin\nreport\nforg";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let (first, is_over) = lines.read(&mut &text[..cut]).unwrap();
            assert!(is_over, "a slice has an end");
            let (second, _) = lines.read(&mut &text[cut..]).unwrap();
            let all: Vec<String> = first.into_iter().chain(second).collect();
            assert_eq!(all, ["begin", "report"], "cut at {cut}");
            let (rest, _) = lines.read(&mut &b"et\n"[..]).unwrap();
            assert_eq!(rest, ["forget"], "cut at {cut}");
        }
    }
}
