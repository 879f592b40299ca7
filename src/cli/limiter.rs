//! A limit on the lines of one kind of event, so that no peer fills the disk.
//!
//! Most lines of a log are some peer's doing: what it sends is refused, what it
//! says is given up. So each kind (the word behind `event=`) has a limit of its
//! own, and a peer that brings about one kind hides no other. What is left out
//! is counted, and told with the next line of that kind. Errors always pass,
//! and so does everything when someone looks for a fault (`debug`, `trace`).
//! This is the only limiter: who logs calls the macros of `log` and asks nobody.
//! It does not write. Called by `logging`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// A place in the source: file and line. There are only so many of them.
type Place = (&'static str, u32);

/// A logger before which each kind of event waits its turn.
pub struct Limiter<L> {
    inner: L,
    lines_per_second_max: u64,
    begun: Instant,
    kinds: Mutex<Kinds>,
}

/// The kinds that were logged so far.
#[derive(Default)]
struct Kinds {
    /// The kind of each place, so that a line that is left out is never put together.
    places: HashMap<Place, usize>,
    tallies: Vec<Tally>,
}

impl Kinds {
    /// The tally of the kind that `record`, written at `place`, is of.
    fn tally(&mut self, place: Place, record: &Record<'_>) -> &mut Tally {
        let tallies = &mut self.tallies;
        let number = *self.places.entry(place).or_insert_with(|| {
            let kind = kind_of(record);
            let known = tallies.iter().position(|tally| tally.kind == kind);
            known.unwrap_or_else(|| {
                tallies.push(Tally::new(kind));
                tallies.len() - 1
            })
        });
        &mut tallies[number]
    }
}

/// The word behind `event=`; for a line of a library, which has none, its target.
fn kind_of(record: &Record<'_>) -> String {
    let mut line = String::new();
    // Fails only where a value that is logged cannot be shown.
    let _ = line.write_fmt(*record.args());
    let event = line
        .strip_prefix("event=")
        .and_then(|rest| rest.split(' ').next());
    event.unwrap_or(record.target()).to_owned()
}

/// What was written of one kind in the second that it was logged in last.
#[derive(Debug)]
struct Tally {
    kind: String,
    second: u64,
    /// How many more lines this second may have.
    left: u64,
    /// A line of this second was left out.
    flooded: bool,
    left_out: u64,
}

impl Tally {
    fn new(kind: String) -> Tally {
        Tally {
            kind,
            second: u64::MAX,
            left: 0,
            flooded: false,
            left_out: 0,
        }
    }

    /// Whether a line may be written in `second`; then how many were not since
    /// the last one that was. A second has `most` lines; behind one in which
    /// lines were left out, it has a single one: a flood may last for days.
    fn admit(&mut self, second: u64, most: u64) -> Option<u64> {
        if second != self.second {
            let goes_on = self.flooded && second == self.second.wrapping_add(1);
            self.left = if goes_on { 1 } else { most };
            self.second = second;
            self.flooded = false;
        }
        if self.left == 0 {
            self.flooded = true;
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl<L: Log> Limiter<L> {
    /// `inner` writes at most `lines_per_second_max` lines of one kind in a
    /// second; of every kind, if that is 0.
    pub fn new(inner: L, lines_per_second_max: u64) -> Limiter<L> {
        Limiter {
            inner,
            lines_per_second_max,
            begun: Instant::now(),
            kinds: Mutex::default(),
        }
    }

    fn is_limited(&self, record: &Record<'_>) -> bool {
        let looks_for_faults = log::max_level() > LevelFilter::Info;
        self.lines_per_second_max > 0 && record.level() != Level::Error && !looks_for_faults
    }

    fn log_at(&self, second: u64, record: &Record<'_>) {
        let place = record.file_static().zip(record.line());
        let Some(place) = place.filter(|_| self.is_limited(record)) else {
            return self.inner.log(record);
        };
        // The lock ends here: who waits for it never waits for a writing.
        let admitted = self
            .kinds()
            .tally(place, record)
            .admit(second, self.lines_per_second_max);
        match admitted {
            None => {}
            Some(0) => self.inner.log(record),
            Some(left_out) => self.inner.log(
                &Record::builder()
                    .level(record.level())
                    .target(record.target())
                    .args(format_args!("{} left_out={left_out}", record.args()))
                    .build(),
            ),
        }
    }

    fn kinds(&self) -> MutexGuard<'_, Kinds> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Log> Log for Limiter<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.inner.enabled(record.metadata()) {
            self.log_at(self.begun.elapsed().as_secs(), record);
        }
    }

    /// Tells what was left out and had no next line. At the end.
    fn flush(&self) {
        let mut untold = Vec::new();
        for tally in &mut self.kinds().tallies {
            match std::mem::take(&mut tally.left_out) {
                0 => {}
                count => untold.push((tally.kind.clone(), count)),
            }
        }
        for (kind, count) in untold {
            self.inner.log(
                &Record::builder()
                    .level(Level::Warn)
                    .target(module_path!())
                    .args(format_args!(
                        "event=lines_left_out kind={kind} count={count}"
                    ))
                    .build(),
            );
        }
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

    fn limiter(lines_per_second_max: u64) -> Limiter<Kept> {
        Limiter::new(Kept::default(), lines_per_second_max)
    }

    /// Logs a line from the place `line` of a file.
    fn write(limiter: &Limiter<Kept>, second: u64, level: Level, line: u32, text: &str) {
        let mut record = Record::builder();
        record.file_static(Some("a.rs")).line(Some(line));
        limiter.log_at(
            second,
            &record.level(level).args(format_args!("{text}")).build(),
        );
    }

    /// What was written since this was asked last.
    fn written(limiter: &Limiter<Kept>) -> Vec<String> {
        std::mem::take(&mut limiter.inner.0.lock().unwrap())
    }

    #[test]
    fn what_one_kind_has_too_often_is_counted_and_told_with_its_next_line() {
        let limiter = limiter(2);
        for number in 0..5 {
            write(&limiter, 7, Level::Warn, 1, &format!("event=a n={number}"));
        }
        write(&limiter, 9, Level::Warn, 1, "event=a n=5");
        write(&limiter, 9, Level::Warn, 1, "event=a n=6");
        let lines = [
            "event=a n=0",
            "event=a n=1",
            "event=a n=5 left_out=3",
            "event=a n=6",
        ];
        assert_eq!(written(&limiter), lines);
    }

    #[test]
    fn a_flood_of_one_kind_hides_no_other() {
        let limiter = limiter(20);
        for _ in 0..10_000 {
            write(&limiter, 7, Level::Info, 1, "event=origin_refused");
        }
        assert_eq!(written(&limiter).len(), 20);
        write(&limiter, 7, Level::Info, 2, "event=slow_peer");
        write(&limiter, 7, Level::Warn, 3, "event=outbox_full");
        assert_eq!(written(&limiter), ["event=slow_peer", "event=outbox_full"]);
    }

    #[test]
    fn a_kind_that_two_places_log_has_one_limit() {
        let limiter = limiter(1);
        write(&limiter, 7, Level::Info, 1, "event=origin_refused by=a");
        write(&limiter, 7, Level::Info, 2, "event=origin_refused by=b");
        assert_eq!(written(&limiter), ["event=origin_refused by=a"]);
        write(&limiter, 9, Level::Info, 2, "event=origin_refused by=b");
        let next = ["event=origin_refused by=b left_out=1"];
        assert_eq!(written(&limiter), next);
    }

    #[test]
    fn a_flood_that_lasts_has_one_line_a_second() {
        let limiter = limiter(20);
        let mut lines = Vec::new();
        for second in 0..60 {
            for _ in 0..100 {
                write(&limiter, second, Level::Info, 1, "event=a");
            }
            lines.push(written(&limiter));
        }
        assert_eq!(lines[0].len(), 20);
        assert_eq!(lines[1], ["event=a left_out=80"]);
        assert!(
            lines[2..]
                .iter()
                .all(|line| *line == ["event=a left_out=99"])
        );
        // When it is over, all is as before.
        for _ in 0..20 {
            write(&limiter, 61, Level::Info, 1, "event=a");
        }
        assert_eq!(written(&limiter).len(), 20);
    }

    #[test]
    fn what_had_no_next_line_is_told_in_the_end() {
        let limiter = limiter(1);
        for _ in 0..4 {
            write(&limiter, 7, Level::Info, 1, "event=a");
            write(&limiter, 7, Level::Info, 2, "from a library");
        }
        write(&limiter, 7, Level::Info, 3, "event=b");
        written(&limiter);
        limiter.flush();
        let told = [
            "event=lines_left_out kind=a count=3",
            "event=lines_left_out kind= count=3",
        ];
        assert_eq!(written(&limiter), told);
        limiter.flush();
        assert!(written(&limiter).is_empty(), "it was told");
    }

    #[test]
    fn errors_always_pass_and_so_does_everything_without_a_limit() {
        let strict = limiter(1);
        for _ in 0..3 {
            write(&strict, 7, Level::Error, 1, "event=grave");
        }
        assert_eq!(written(&strict), ["event=grave"; 3]);
        let unlimited = limiter(0);
        for _ in 0..3 {
            write(&unlimited, 7, Level::Info, 1, "event=light");
        }
        assert_eq!(written(&unlimited), ["event=light"; 3]);
    }
}
