//! Numbers and texts in a row of bytes, for what is written to be read again.
//!
//! Numbers are little-endian and of fixed width; bytes have their length in
//! front. No field has a name: who reads has to know what was written. Both
//! sides go piece by piece through what the caller gives, so that nothing has
//! to be in memory as a whole. Called by the parts of the server that outlive
//! a restart.

use std::io;

/// Where a record is written to. Behind an error nothing more is written, and
/// [`Writer::finish`] tells it: what is written in between need not be checked.
pub struct Writer<'a> {
    out: &'a mut dyn io::Write,
    result: io::Result<()>,
}

impl<'a> Writer<'a> {
    /// Writes to `out`, in pieces as small as a number.
    pub fn new(out: &'a mut dyn io::Write) -> Writer<'a> {
        Writer {
            out,
            result: Ok(()),
        }
    }

    /// Flushes what was written.
    ///
    /// # Errors
    /// The first error of the writer beneath.
    pub fn finish(self) -> io::Result<()> {
        self.result.and_then(|()| self.out.flush())
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.result.is_ok() {
            self.result = self.out.write_all(bytes);
        }
    }
}

/// Writes a number of 8 bits.
pub fn put_u8(out: &mut Writer<'_>, number: u8) {
    out.put(&[number]);
}

/// Writes a number of 64 bits.
pub fn put_u64(out: &mut Writer<'_>, number: u64) {
    out.put(&number.to_le_bytes());
}

/// Writes a number of 128 bits.
pub fn put_u128(out: &mut Writer<'_>, number: u128) {
    out.put(&number.to_le_bytes());
}

/// Writes bytes with their length in front.
pub fn put_bytes(out: &mut Writer<'_>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.put(bytes);
}

/// What was read cannot have been written as it is, or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// Reads what the functions above wrote, in the same order.
pub struct Record<'a> {
    input: &'a mut dyn io::Read,
    left: u64,
}

impl<'a> Record<'a> {
    /// Reads the next `length` bytes of `input`.
    pub fn new(input: &'a mut dyn io::Read, length: u64) -> Record<'a> {
        Record {
            input,
            left: length,
        }
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// # Errors
    /// The bytes end before it.
    pub fn u8(&mut self) -> Result<u8, Damaged> {
        let [number] = self.array()?;
        Ok(number)
    }

    /// # Errors
    /// The bytes end before it.
    pub fn u64(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_le_bytes)
    }

    /// # Errors
    /// The bytes end before it.
    pub fn u128(&mut self) -> Result<u128, Damaged> {
        self.array().map(u128::from_le_bytes)
    }

    /// The bytes that [`put_bytes`] put there, in a vector of just their length.
    ///
    /// # Errors
    /// There are fewer than their length says: no memory is taken for them.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Damaged> {
        let length = self.count(1)?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Text that [`put_bytes`] put there.
    ///
    /// # Errors
    /// It is cut, or no UTF-8.
    pub fn text(&mut self) -> Result<String, Damaged> {
        String::from_utf8(self.bytes()?).map_err(|_| Damaged)
    }

    /// How many things of at least `least_bytes` each follow.
    ///
    /// # Errors
    /// So many do not fit into the rest: no memory is to be reserved for them.
    pub fn count(&mut self, least_bytes: usize) -> Result<usize, Damaged> {
        let count = self.u64()?;
        let fits = count <= self.left / (least_bytes as u64).max(1);
        let count = usize::try_from(count).map_err(|_| Damaged)?;
        if fits { Ok(count) } else { Err(Damaged) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Damaged> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(Damaged)?;
        self.input.read_exact(bytes).map_err(|_| Damaged)
    }
}

/// What `write` writes, for tests.
#[cfg(test)]
pub fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Writer::new(&mut bytes);
    write(&mut out);
    out.finish().expect("memory takes all");
    bytes
}

/// What `read` reads of `bytes`, all of them, for tests.
#[cfg(test)]
pub fn read<T>(
    mut bytes: &[u8],
    read: impl FnOnce(&mut Record<'_>) -> Result<T, Damaged>,
) -> Result<T, Damaged> {
    let length = bytes.len() as u64;
    let mut record = Record::new(&mut bytes, length);
    let value = read(&mut record)?;
    record.is_empty().then_some(value).ok_or(Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_cut_is_noticed() {
        let out = written(|out| {
            put_u8(out, 7);
            put_u64(out, 1 << 40);
            put_u128(out, u128::MAX - 1);
            put_bytes(out, "pumpkin".as_bytes());
            put_u64(out, 3);
        });
        let read = |mut bytes: &[u8]| {
            let length = bytes.len() as u64;
            let mut record = Record::new(&mut bytes, length);
            let numbers = (record.u8()?, record.u64()?, record.u128()?);
            let text = record.text()?;
            // Three of one byte each do not fit into nothing.
            record.count(1).unwrap_err();
            Ok::<_, Damaged>((numbers, text, record.is_empty()))
        };
        let expected = ((7, 1 << 40, u128::MAX - 1), "pumpkin".to_owned(), true);
        assert_eq!(read(&out), Ok(expected));
        for cut in 0..out.len() - 8 {
            assert_eq!(read(&out[..cut]), Err(Damaged), "cut at {cut}");
        }
    }

    #[test]
    fn behind_an_error_nothing_is_written() {
        let mut room = [0; 12];
        let mut full = &mut room[..];
        let mut out = Writer::new(&mut full);
        put_u64(&mut out, 1);
        put_u64(&mut out, 2);
        put_u8(&mut out, 3);
        let error = out.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        assert!(!room.contains(&3));
    }

    #[test]
    fn a_length_that_is_a_lie_takes_no_memory() {
        let lie = written(|out| put_u64(out, u64::MAX >> 1));
        assert_eq!(read(&lie, |record| record.bytes()), Err(Damaged));
    }
}
