//! A line of the log that comes once a second at most.
//!
//! What a crowd of peers can cause must not fill the log. Called by the rest of
//! the server.

use crate::base::time::Time;

/// When the line may come again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seldom {
    next_ms: u64,
    kept_back: u64,
}

impl Seldom {
    /// Whether the line may be written now: how many were kept back since the last.
    pub fn may(&mut self, now: Time) -> Option<u64> {
        if now.ms < self.next_ms {
            self.kept_back += 1;
            return None;
        }
        self.next_ms = now.after(1_000);
        Some(std::mem::take(&mut self.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_second_with_the_count_of_the_others() {
        let mut line = Seldom::default();
        let at = |ms| Time::default().plus(ms);
        assert_eq!(line.may(at(5)), Some(0));
        assert_eq!((line.may(at(6)), line.may(at(1_004))), (None, None));
        assert_eq!(line.may(at(1_005)), Some(2));
    }
}
