//! Writes the lines of a log to what may fail: a full disk, a pipe without a reader.
//!
//! What cannot be written is lost, and counted for when it can be again. It
//! waits for nothing but the file. Called by the thread of `logging` that writes.

use std::io::{self, Write};

use super::log_queue::{Batch, Lost};

/// The state from one writing to the next.
#[derive(Default)]
pub struct LogWriter {
    /// Not told yet.
    lost: Lost,
    /// The last line was written without its end.
    torn: bool,
}

impl LogWriter {
    /// Writes the lines of `batch` to `out`, behind a line about those that were
    /// lost before them.
    pub fn write(&mut self, out: &mut impl Write, batch: Batch) {
        self.lost.append(batch.lost);
        let mut bytes = Vec::with_capacity(batch.lines.len() + 128);
        if self.torn {
            bytes.push(b'\n');
        }
        bytes.extend(self.lost.line().unwrap_or_default());
        let lines_at = bytes.len();
        bytes.extend_from_slice(&batch.lines);
        let written = write_some(out, &bytes);
        if written >= lines_at {
            self.lost = Lost::default();
        }
        match written {
            0 => {}
            written => self.torn = bytes[written - 1] != b'\n',
        }
        let unwritten = &bytes[written.max(lines_at)..];
        for line in unwritten.split_inclusive(|byte| *byte == b'\n') {
            self.lost.count(line);
        }
    }
}

/// Writes as much of `bytes` as can be written; returns how much that was.
fn write_some(out: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so much room.
    #[derive(Default)]
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(lines: &str) -> Batch {
        let lines = lines.as_bytes().to_vec();
        let lost = Lost::default();
        Batch { lost, lines }
    }

    fn count(text: &str) -> u64 {
        let (_, count) = text.split_once("event=lines_lost count=").unwrap();
        count.lines().next().unwrap().parse().unwrap()
    }

    #[test]
    fn what_the_disk_does_not_take_is_counted_and_told_when_it_does_again() {
        let (mut disk, mut writer) = (Disk::default(), LogWriter::default());
        disk.room = 8;
        writer.write(&mut disk, lines("one\ntwo\nthree\nfour\n"));
        writer.write(&mut disk, lines("five\n"));
        assert_eq!(disk.bytes, b"one\ntwo\n");
        disk.room = usize::MAX;
        writer.write(&mut disk, lines("six\n"));
        writer.write(&mut disk, lines("seven\n"));
        let text = String::from_utf8(disk.bytes).unwrap();
        assert!(text.ends_with("\nsix\nseven\n"), "{text}");
        assert_eq!((count(&text), text.lines().count()), (3, 5));
    }

    #[test]
    fn a_line_that_was_cut_is_lost_and_the_next_one_begins_anew() {
        let (mut disk, mut writer) = (Disk::default(), LogWriter::default());
        disk.room = 6;
        writer.write(&mut disk, lines("one\ntwo\nthree\n"));
        // So little that even the line about it is cut.
        disk.room = 10;
        writer.write(&mut disk, lines("four\n"));
        disk.room = usize::MAX;
        let told = Batch {
            lost: Lost {
                lines: 5,
                ..Lost::default()
            },
            ..lines("five\n")
        };
        writer.write(&mut disk, told);
        let text = String::from_utf8(disk.bytes).unwrap();
        assert!(text.starts_with("one\ntw\nWARN"), "{text}");
        assert!(text.ends_with("\nfive\n"), "{text}");
        assert_eq!(count(&text), 8, "two, three, four, and five of the queue");
    }
}
