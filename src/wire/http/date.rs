//! The time of day as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
//!
//! Only written here, and cheaply, since each response bears one; reading is
//! left to `httpdate`. Called by the response encoder.

const DAYS: [&[u8; 5]; 7] = [
    b"Thu, ", b"Fri, ", b"Sat, ", b"Sun, ", b"Mon, ", b"Tue, ", b"Wed, ",
];
const MONTHS: [&[u8; 5]; 12] = [
    b" Mar ", b" Apr ", b" May ", b" Jun ", b" Jul ", b" Aug ", b" Sep ", b" Oct ", b" Nov ",
    b" Dec ", b" Jan ", b" Feb ",
];

/// Seconds from 1970 to the end of 9999, after which a year has five digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// Writes `unix_ms`, milliseconds since 1970-01-01 UTC, as an `IMF-fixdate`
/// (RFC 9110, 5.6.7). Times after the year 9999 are written as its end.
pub fn encode_date(out: &mut Vec<u8>, unix_ms: u64) {
    let seconds = (unix_ms / 1000).min(LAST_SECOND);
    let days = (seconds / 86_400) as u32;
    let second = (seconds % 86_400) as u32;
    let (year, month, day) = civil(days);
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    date[..5].copy_from_slice(DAYS[(days % 7) as usize]);
    date[5..7].copy_from_slice(&two_digits(day));
    date[7..12].copy_from_slice(MONTHS[month as usize]);
    date[12..14].copy_from_slice(&two_digits(year / 100));
    date[14..16].copy_from_slice(&two_digits(year % 100));
    date[17..19].copy_from_slice(&two_digits(second / 3600));
    date[20..22].copy_from_slice(&two_digits(second / 60 % 60));
    date[23..25].copy_from_slice(&two_digits(second % 60));
    out.extend_from_slice(&date);
}

/// Year, month (0 is March) and day of the month, `days` after 1970-01-01.
///
/// Counted in years that begin on the first of March: the leap day is then the
/// last of a year, and the months before it have a regular rhythm of 153 days in five.
fn civil(days: u32) -> (u32, u32, u32) {
    const DAYS_TO_1970: u32 = 719_468; // from 0000-03-01
    const DAYS_IN_400_YEARS: u32 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    // A leap day each 4 years (1,460 days), none each 100 (36,524), one each 400.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = u32::from(month >= 10);
    (era * 400 + year + is_next_year, month, day)
}

fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn date(unix_ms: u64) -> String {
        let mut out = Vec::new();
        encode_date(&mut out, unix_ms);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        // Each day from 1970 to 2500, at a time that moves on, against another implementation.
        for day in 0..193_600u64 {
            let seconds = day * 86_400 + day * 7_919 % 86_400;
            let expected = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(date(seconds * 1000), expected);
        }
    }
}
