//! What a publication bears: who sent it, which of the sender's it is, and when.
//!
//! Digits behind a mark, so that a reader finds them in whatever a server puts
//! around the data, without understanding that. Used by publishers, which
//! write it, and by readers.

use std::io::Write;

use memchr::memmem::Finder;

const MARK: &[u8] = b"~bench~";
const PUBLISHER_DIGITS: usize = 3;
const SEQUENCE_DIGITS: usize = 10;
const SENT_DIGITS: usize = 15;

/// Bytes of a stamp, and so the fewest of a publication.
pub const STAMP_BYTES: usize = MARK.len() + PUBLISHER_DIGITS + SEQUENCE_DIGITS + SENT_DIGITS;
/// Publishers that can be told apart.
pub const PUBLISHERS_MAX: usize = 1_000;

/// The part that is read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub publisher: usize,
    /// Counts from 0 for each publisher.
    pub sequence: u32,
    /// By `clock::now_us`.
    pub sent_us: u64,
}

impl Stamp {
    /// Makes `data` the data of a publication: the stamp, filled up to `bytes`.
    pub fn write(&self, data: &mut Vec<u8>, bytes: usize) {
        data.clear();
        data.extend_from_slice(MARK);
        write!(
            data,
            "{:0PUBLISHER_DIGITS$}{:0SEQUENCE_DIGITS$}{:0SENT_DIGITS$}",
            self.publisher, self.sequence, self.sent_us
        )
        .expect("a vector takes what is written to it");
        data.resize(bytes.max(STAMP_BYTES), b'x');
    }

    fn read(digits: &[u8]) -> Option<Stamp> {
        let (publisher, digits) = number(digits, PUBLISHER_DIGITS)?;
        let (sequence, digits) = number(digits, SEQUENCE_DIGITS)?;
        let (sent_us, _) = number(digits, SENT_DIGITS)?;
        Some(Stamp {
            publisher: publisher as usize,
            sequence: u32::try_from(sequence).ok()?,
            sent_us,
        })
    }
}

/// Finds stamps.
#[derive(Debug)]
pub struct Scanner(Finder<'static>);

impl Default for Scanner {
    fn default() -> Self {
        Scanner(Finder::new(MARK))
    }
}

impl Scanner {
    /// Hands each stamp in `bytes` to `take`; where the last one ends, 0 without one.
    pub fn scan(&self, bytes: &[u8], mut take: impl FnMut(Stamp)) -> usize {
        let (mut from, mut end) = (0, 0);
        while let Some(found) = self.0.find(&bytes[from..]) {
            from += found + MARK.len();
            if let Some(stamp) = Stamp::read(&bytes[from..]) {
                take(stamp);
                from += STAMP_BYTES - MARK.len();
                end = from;
            }
        }
        end
    }
}

fn number(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let mut value = 0;
    for digit in number {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sequence: u32) -> Stamp {
        Stamp {
            publisher: 7,
            sequence,
            sent_us: 123_456_789,
        }
    }

    fn found(bytes: &[u8]) -> (Vec<u32>, usize) {
        let mut sequences = Vec::new();
        let end = Scanner::default().scan(bytes, |found| {
            assert_eq!(found, stamp(found.sequence));
            sequences.push(found.sequence);
        });
        (sequences, end)
    }

    #[test]
    fn stamps_are_found_wherever_they_stand() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        stamp(4_000_000_000).write(&mut one, 128);
        stamp(2).write(&mut two, 0);
        assert_eq!((one.len(), two.len()), (128, STAMP_BYTES));
        assert_eq!(found(&one), (vec![4_000_000_000], STAMP_BYTES));
        let both = [
            b"{\"data\":\"",
            one.as_slice(),
            b"\"}~bench~x",
            &two,
            b"\r\n",
        ]
        .concat();
        assert_eq!(found(&both), (vec![4_000_000_000, 2], both.len() - 2));
        for cut in 0..STAMP_BYTES {
            assert_eq!(found(&one[..cut]), (vec![], 0), "{cut}");
        }
    }
}
