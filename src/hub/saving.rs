//! From one process to the next.
//!
//! Called by the server's state.

use crate::base::record::{Damaged, Record, Writer};
use crate::base::time::Time;

use super::restore::Restored;
use super::state::Hub;

impl Hub {
    /// Writes logs, epochs and sessions with their cursors to `out`. What was
    /// written to a stream that may yet have failed counts as not delivered.
    pub fn save(&self, now: Time, out: &mut Writer<'_>) {
        self.archive.save(&self.tables, now, out);
    }

    /// Restores what [`Hub::save`] wrote, which is all that `record` has left, into
    /// an empty hub. The sessions are asleep, and live as long as any that has just
    /// fallen asleep. Lower limits cut off sessions and old publications.
    ///
    /// # Errors
    /// No hub can have written the bytes. [`Hub::clear`] is to follow.
    pub fn restore(&mut self, now: Time, record: &mut Record<'_>) -> Result<Restored, Damaged> {
        let (tables, ends) = (&mut self.tables, &mut self.ends);
        self.archive
            .restore(tables, ends, &self.limits, now, record)
    }

    /// Lets go of what nobody who is awake has yet to read: another hub goes on.
    pub fn forget_read(&mut self) {
        self.tables.forget_read();
    }
}
