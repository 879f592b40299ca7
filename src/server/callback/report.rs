//! What the log has been told of the app's being up or down.
//!
//! An app that answers and fails by turns would write two lines a turn, and the
//! log would hold nothing else. So it is reported down once in a while at most,
//! and up only if it was reported down. Writes nothing itself. Called by `Callbacks`.

/// An app that is down is reported again after this time at the soonest.
const QUIET_MS: u64 = 10_000;

/// The last report.
#[derive(Debug, Default)]
pub struct Report {
    /// It said that the app is down.
    down: bool,
    quiet_until_ms: u64,
    /// How often the app went down since, unreported.
    unreported: u64,
}

impl Report {
    /// The app failed; `was_well` says whether it had answered before. If that is
    /// to be reported, how often it went down before without a report.
    pub fn failed(&mut self, now_ms: u64, was_well: bool) -> Option<u64> {
        if self.down {
            return None;
        }
        if now_ms < self.quiet_until_ms {
            self.unreported += u64::from(was_well);
            return None;
        }
        self.down = true;
        self.quiet_until_ms = now_ms.saturating_add(QUIET_MS);
        // Of one that is down since it was last counted this is the report.
        let unreported = std::mem::take(&mut self.unreported);
        Some(unreported.saturating_sub(u64::from(!was_well)))
    }

    /// The app answered: whether that is to be reported.
    pub fn answered(&mut self) -> bool {
        std::mem::take(&mut self.down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_comes_and_goes_is_reported_now_and_then() {
        let mut report = Report::default();
        assert!(!report.answered(), "it was never down");
        assert_eq!(report.failed(1_000, true), Some(0));
        assert!(report.answered());
        for turn in 0..99 {
            assert_eq!(report.failed(1_050 + turn * 100, true), None);
            assert!(!report.answered());
        }
        assert_eq!(report.failed(11_000, true), Some(99));
        assert_eq!(report.failed(11_200, false), None, "it is known to be down");
        assert!(report.answered());
    }

    #[test]
    fn one_that_stays_down_is_reported_when_it_may_be() {
        let mut report = Report::default();
        assert_eq!(report.failed(0, true), Some(0));
        assert!(report.answered());
        assert_eq!(report.failed(500, true), None);
        assert_eq!(report.failed(9_999, false), None);
        assert_eq!(report.failed(12_000, false), Some(0));
        assert!(report.answered());
    }
}
