//! A limit on the lines of one event, so that no peer fills the disk.
//!
//! Most lines of a log are some peer's doing: what it sends is refused, what it
//! says is given up. So each place in the source may write only so many lines a
//! second; what is left out is counted, and told with that place's next line.
//! Errors always pass, and so does everything when someone looks for a fault
//! (`debug`, `trace`). Called by `logging`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// A place in the source: file and line. There are only so many of them.
type Place = (&'static str, u32);

/// A logger before which each place waits its turn.
pub struct Quiet<L> {
    inner: L,
    lines_per_second_max: u64,
    begun: Instant,
    places: Mutex<HashMap<Place, Tally>>,
}

/// What a place wrote in the second that it wrote in last.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    second: u64,
    written: u64,
    left_out: u64,
}

impl Tally {
    /// Whether a line may be written in `second`; then how many were not since
    /// the last one that was.
    fn admit(&mut self, second: u64, most: u64) -> Option<u64> {
        if second != self.second {
            self.second = second;
            self.written = 0;
        }
        if self.written >= most {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl<L: Log> Quiet<L> {
    /// `inner` writes at most `lines_per_second_max` lines of one place in a
    /// second; of every place, if that is 0.
    pub fn new(inner: L, lines_per_second_max: u64) -> Quiet<L> {
        Quiet {
            inner,
            lines_per_second_max,
            begun: Instant::now(),
            places: Mutex::default(),
        }
    }

    fn is_limited(&self, record: &Record<'_>) -> bool {
        let looks_for_faults = log::max_level() > LevelFilter::Info;
        self.lines_per_second_max > 0 && record.level() != Level::Error && !looks_for_faults
    }

    fn log_at(&self, second: u64, record: &Record<'_>) {
        let place = record.file_static().zip(record.line());
        if let Some(place) = place.filter(|_| self.is_limited(record)) {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            let tally = places.entry(place).or_default();
            let admitted = tally.admit(second, self.lines_per_second_max);
            drop(places);
            match admitted {
                None => return,
                Some(0) => {}
                Some(left_out) => self.inner.log(
                    &Record::builder()
                        .level(record.level())
                        .target(record.target())
                        .args(format_args!("event=lines_left_out count={left_out}"))
                        .build(),
                ),
            }
        }
        self.inner.log(record);
    }
}

impl<L: Log> Log for Quiet<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.inner.enabled(record.metadata()) {
            self.log_at(self.begun.elapsed().as_secs(), record);
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what is logged.
    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Log for Kept {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            self.0.lock().unwrap().push(record.args().to_string());
        }

        fn flush(&self) {}
    }

    fn write(quiet: &Quiet<Kept>, second: u64, level: Level, line: u32, text: &str) {
        let mut record = Record::builder();
        record.file_static(Some("a.rs")).line(Some(line));
        quiet.log_at(
            second,
            &record.level(level).args(format_args!("{text}")).build(),
        );
    }

    fn kept(quiet: Quiet<Kept>) -> Vec<String> {
        quiet.inner.0.into_inner().unwrap()
    }

    #[test]
    fn what_one_place_writes_too_often_is_counted_and_told_with_its_next_line() {
        let quiet = Quiet::new(Kept::default(), 2);
        for number in 0..5 {
            write(&quiet, 7, Level::Warn, 1, &format!("flood {number}"));
        }
        write(&quiet, 7, Level::Warn, 2, "another");
        write(&quiet, 9, Level::Warn, 1, "flood again");
        write(&quiet, 9, Level::Warn, 1, "and again");
        let lines = [
            "flood 0",
            "flood 1",
            "another",
            "event=lines_left_out count=3",
            "flood again",
            "and again",
        ];
        assert_eq!(kept(quiet), lines);
    }

    #[test]
    fn errors_always_pass_and_so_does_everything_without_a_limit() {
        let quiet = Quiet::new(Kept::default(), 1);
        for _ in 0..3 {
            write(&quiet, 7, Level::Error, 1, "grave");
        }
        assert_eq!(kept(quiet), ["grave"; 3]);
        let quiet = Quiet::new(Kept::default(), 0);
        for _ in 0..3 {
            write(&quiet, 7, Level::Info, 1, "light");
        }
        assert_eq!(kept(quiet), ["light"; 3]);
    }
}
