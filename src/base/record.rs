//! Numbers and texts in a row of bytes, for what is written to be read again.
//!
//! Numbers are little-endian and of fixed width; bytes bear their length in
//! front. No field has a name: who reads has to know what was written. Called
//! by the parts of the server that outlive a restart.

/// Appends a number of 8 bits.
pub fn put_u8(out: &mut Vec<u8>, number: u8) {
    out.push(number);
}

/// Appends a number of 64 bits.
pub fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Appends a number of 128 bits.
pub fn put_u128(out: &mut Vec<u8>, number: u128) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Appends bytes with their length in front.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What was read cannot have been written as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// Reads what the functions above wrote, in the same order.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    rest: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads from the first of `bytes` on.
    pub fn new(bytes: &'a [u8]) -> Record<'a> {
        Record { rest: bytes }
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
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

    /// The bytes that [`put_bytes`] put there.
    ///
    /// # Errors
    /// There are fewer than their length says.
    pub fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(self.u64()?).map_err(|_| Damaged)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Damaged)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Text that [`put_bytes`] put there.
    ///
    /// # Errors
    /// It is cut, or no UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged)
    }

    /// How many things of at least `least_bytes` each follow.
    ///
    /// # Errors
    /// So many do not fit into the rest: no memory is to be reserved for them.
    pub fn count(&mut self, least_bytes: usize) -> Result<usize, Damaged> {
        let count = usize::try_from(self.u64()?).map_err(|_| Damaged)?;
        let fits = count <= self.rest.len() / least_bytes.max(1);
        if fits { Ok(count) } else { Err(Damaged) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Damaged)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_cut_is_noticed() {
        let mut out = Vec::new();
        put_u8(&mut out, 7);
        put_u64(&mut out, 1 << 40);
        put_u128(&mut out, u128::MAX - 1);
        put_bytes(&mut out, "pumpkin".as_bytes());
        put_u64(&mut out, 3);
        let read = |bytes| {
            let mut record = Record::new(bytes);
            let numbers = (record.u8()?, record.u64()?, record.u128()?);
            let text = record.text()?;
            // Three of one byte each do not fit into nothing.
            record.count(1).unwrap_err();
            Ok::<_, Damaged>((numbers, text, record.is_empty()))
        };
        let expected = ((7, 1 << 40, u128::MAX - 1), "pumpkin", true);
        assert_eq!(read(&out), Ok(expected));
        for cut in 0..out.len() - 8 {
            assert_eq!(read(&out[..cut]), Err(Damaged), "cut at {cut}");
        }
    }
}
