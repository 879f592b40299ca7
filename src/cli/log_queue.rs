//! Lines that wait to be written: so many bytes of them, and no more.
//!
//! Who logs must not wait for a disk that is full or a pipe that nobody reads.
//! So its lines wait here for the thread that writes. When there is no room a
//! line is lost, and counted; the count stands before the next line that found
//! room. It neither reads nor writes. Called by `logging`.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a line takes beside its bytes.
const LINE_OVERHEAD: usize = 64;
/// The most bytes that are taken out at once, but for one long line.
const BATCH_BYTES: usize = 32 * 1024;

/// Lines that were lost in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub lines: u64,
    /// The time of the last of them, as it stood in it; empty if it had none.
    pub time: Vec<u8>,
}

impl Lost {
    /// Counts one more.
    pub fn count(&mut self, line: &[u8]) {
        self.lines += 1;
        if let Some(time) = time_of(line) {
            time.clone_into(&mut self.time);
        }
    }

    /// Counts what was lost later.
    pub fn append(&mut self, later: Lost) {
        self.lines += later.lines;
        if !later.time.is_empty() {
            self.time = later.time;
        }
    }

    /// The line that tells of them; `None` if there are none.
    pub fn line(&self) -> Option<Vec<u8>> {
        if self.lines == 0 {
            return None;
        }
        let mut line = self.time.clone();
        if !line.is_empty() {
            line.push(b' ');
        }
        let told = format!(
            "WARN  [{}] event=lines_lost count={}\n",
            module_path!(),
            self.lines
        );
        line.extend_from_slice(told.as_bytes());
        Some(line)
    }
}

/// The time in UTC that a line of the logger begins with.
fn time_of(line: &[u8]) -> Option<&[u8]> {
    let word = line.split(|byte| *byte == b' ').next()?;
    let is_time = word.len() < 40 && word.first()?.is_ascii_digit() && word.last() == Some(&b'Z');
    is_time.then_some(word)
}

/// What is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// What was lost before the lines.
    pub lost: Lost,
    /// Whole lines, each with its end.
    pub lines: Vec<u8>,
}

/// The queue. Any thread may put lines in; one takes them out.
pub struct LogQueue {
    bytes_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<(Lost, Vec<u8>)>,
    bytes: usize,
    /// Since the last line that found room.
    lost: Lost,
    /// No more lines come.
    closed: bool,
    /// All lines are written.
    finished: bool,
}

impl LogQueue {
    /// An empty one for `bytes_max` bytes, among them 64 for each line.
    pub fn new(bytes_max: usize) -> LogQueue {
        LogQueue {
            bytes_max,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Puts a line in, or counts it as lost. Never waits for the writer.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.state();
        let cost = line.len() + LINE_OVERHEAD;
        if state.bytes + cost > self.bytes_max {
            return state.lost.count(line);
        }
        state.bytes += cost;
        let lost = std::mem::take(&mut state.lost);
        state.lines.push_back((lost, line.to_vec()));
        self.changed.notify_all();
    }

    /// No more lines come.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits for lines and takes out the first ones. `None` when all were taken
    /// out and no more come.
    pub fn take(&self) -> Option<Batch> {
        let waits = |state: &mut State| state.lines.is_empty() && !state.closed;
        let state = self.changed.wait_while(self.state(), waits);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let Some((lost, mut lines)) = state.pop() else {
            let lost = std::mem::take(&mut state.lost);
            let lines = Vec::new();
            return (lost.lines > 0).then_some(Batch { lost, lines });
        };
        while let Some((lost, next)) = state.lines.front() {
            if lost.lines > 0 || lines.len() + next.len() > BATCH_BYTES {
                break;
            }
            lines.extend_from_slice(next);
            state.pop();
        }
        Some(Batch { lost, lines })
    }

    /// All that was taken out is written, and there is no more.
    pub fn finish(&self) {
        self.state().finished = true;
        self.changed.notify_all();
    }

    /// Waits until [`LogQueue::finish`], so long at most; whether it came.
    pub fn is_finished_within(&self, patience: Duration) -> bool {
        let waits = |state: &mut State| !state.finished;
        let state = self
            .changed
            .wait_timeout_while(self.state(), patience, waits);
        state.unwrap_or_else(PoisonError::into_inner).0.finished
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop(&mut self) -> Option<(Lost, Vec<u8>)> {
        let (lost, line) = self.lines.pop_front()?;
        self.bytes -= line.len() + LINE_OVERHEAD;
        Some((lost, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(lines: u64, time: &str) -> Lost {
        let time = time.as_bytes().to_vec();
        Lost { lines, time }
    }

    fn batch(lost: Lost, lines: &str) -> Option<Batch> {
        let lines = lines.as_bytes().to_vec();
        Some(Batch { lost, lines })
    }

    #[test]
    fn lines_come_out_as_they_went_in() {
        let queue = LogQueue::new(1_000);
        queue.push(b"one\n");
        queue.push(b"two\n");
        assert_eq!(queue.take(), batch(Lost::default(), "one\ntwo\n"));
        queue.push(b"three\n");
        queue.close();
        assert_eq!(queue.take(), batch(Lost::default(), "three\n"));
        assert_eq!(queue.take(), None);
        assert!(!queue.is_finished_within(Duration::ZERO));
        queue.finish();
        assert!(queue.is_finished_within(Duration::ZERO));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_stands_before_the_next_line() {
        let queue = LogQueue::new(2 * (LINE_OVERHEAD + 10));
        queue.push(b"one\n");
        queue.push(b"two\n");
        for second in 0..7 {
            queue.push(format!("2026-01-01T00:00:0{second}.000Z three\n").as_bytes());
        }
        assert_eq!(queue.take(), batch(Lost::default(), "one\ntwo\n"));
        queue.push(b"four\n");
        queue.push(b"five\n");
        queue.push(b"six\n");
        queue.close();
        let told = lost(7, "2026-01-01T00:00:06.000Z");
        assert_eq!(queue.take(), batch(told, "four\nfive\n"));
        assert_eq!(queue.take(), batch(lost(1, ""), ""), "told in the end");
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn however_many_lines_come_the_queue_keeps_within_its_limit() {
        let queue = LogQueue::new(10_000);
        let pushed = 100_000;
        for number in 0..pushed {
            // The shortest lines weigh the most beside their bytes.
            queue.push(&b"0123456789\n"[10 - number % 11..]);
        }
        let state = queue.state();
        assert!(state.bytes <= 10_000, "{} bytes", state.bytes);
        let kept = state.lines.len() as u64;
        let lost: u64 = state.lines.iter().map(|(lost, _)| lost.lines).sum();
        assert_eq!(kept + lost + state.lost.lines, pushed as u64);
    }

    #[test]
    fn the_line_about_lost_ones_has_their_time() {
        assert_eq!(Lost::default().line(), None);
        let mut all = lost(2, "2026-01-01T00:00:00.000Z");
        all.append(lost(3, "2026-01-01T00:00:01.000Z"));
        all.append(lost(1, ""));
        let told =
            "2026-01-01T00:00:01.000Z WARN  [chloe::cli::log_queue] event=lines_lost count=6\n";
        assert_eq!(all.line(), Some(told.as_bytes().to_vec()));
        assert_eq!(time_of(b"thread 'main' panicked"), None);
        assert_eq!(time_of(b""), None);
    }
}
