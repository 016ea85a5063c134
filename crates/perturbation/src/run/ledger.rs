//! What has been evaluated, so that nothing is evaluated twice, in this run or in one that goes on from it.
//!
//! Draws are functions of a seed, so the values alone are a complete state: an estimator that starts anew with a full
//! ledger asks for the same inputs and evaluates none.

use std::collections::HashMap;
use voxplain_tensor::{Error, Result};

/// What names an evaluated input: the words of a coalition, the number of a window or of a draw.
pub(crate) type Key = Box<[u64]>;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    value: f64,
    /// Whether this run asked for it.
    used: bool,
}

/// The known values of one example.
#[derive(Clone, Debug, Default, PartialEq)]
struct Table {
    entries: HashMap<Key, Entry>,
    used: u64,
}

/// Known values per example, and the seconds that they took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    tables: Vec<Table>,
    pub(super) seconds: f64,
}

const HEAD: &[u8] = b"voxplain evaluations 1\n";

/// Fowler, Noll & Vo's hash (FNV-1a): enough to notice a damaged file.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// Reads from the front of bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(part)
    }

    fn word(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn table(&mut self) -> Option<Table> {
        let mut table = Table::default();
        for _ in 0..self.word()? {
            let words = self.word()?;
            if words > self.0.len() as u64 {
                return None;
            }
            let key: Key = (0..words).map(|_| self.word()).collect::<Option<_>>()?;
            let value = f64::from_bits(self.word()?);
            table.entries.insert(key, Entry { value, used: false });
        }
        Some(table)
    }

    fn ledger(&mut self) -> Option<Ledger> {
        let seconds = f64::from_bits(self.word()?);
        let count = self.word()?;
        let tables = (0..count).map(|_| self.table()).collect::<Option<_>>()?;
        (self.0.is_empty() && seconds >= 0.0).then_some(Ledger { tables, seconds })
    }
}

impl Ledger {
    /// The bytes of a file under `name`, which says what the values depend on.
    pub fn to_bytes(&self, name: &str) -> Vec<u8> {
        let mut out = HEAD.to_vec();
        let mut word = |w: u64| out.extend(w.to_le_bytes());
        word(checksum(name.as_bytes()));
        word(self.seconds.to_bits());
        word(self.tables.len() as u64);
        for table in &self.tables {
            let mut sorted: Vec<(&Key, &Entry)> = table.entries.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            word(sorted.len() as u64);
            for (key, entry) in sorted {
                word(key.len() as u64);
                key.iter().for_each(|&w| word(w));
                word(entry.value.to_bits());
            }
        }
        let sum = checksum(&out);
        out.extend(sum.to_le_bytes());
        out
    }

    /// The ledger in the bytes of a file that was made under the same name.
    ///
    /// # Errors
    /// The file is damaged, or was made under another name.
    ///
    /// ```
    /// use voxplain_perturbation::Ledger;
    /// let bytes = Ledger::default().to_bytes("model, input and target");
    /// assert_eq!(Ledger::from_bytes(&bytes, "model, input and target")?, Ledger::default());
    /// assert!(Ledger::from_bytes(&bytes, "another model").is_err());
    /// # Ok::<(), voxplain_tensor::Error>(())
    /// ```
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        let damaged = || Error::invalid("the saved evaluations are damaged; remove them and start anew");
        let (body, sum) = bytes.split_last_chunk::<8>().ok_or_else(damaged)?;
        let rest = body.strip_prefix(HEAD).filter(|_| checksum(body) == u64::from_le_bytes(*sum));
        let mut reader = Reader(rest.ok_or_else(damaged)?);
        if reader.word() != Some(checksum(name.as_bytes())) {
            return Err(Error::invalid(
                "the saved evaluations belong to another network, input, target or parameters",
            ));
        }
        reader.ledger().ok_or_else(damaged)
    }

    /// How many values are known.
    pub fn known(&self) -> u64 {
        self.tables.iter().map(|t| t.entries.len() as u64).sum()
    }

    /// How many values this run has asked for, all examples together.
    pub fn used(&self) -> u64 {
        self.tables.iter().map(|t| t.used).sum()
    }

    /// The same values, none of which this run has asked for yet.
    pub(super) fn unused(mut self) -> Self {
        for table in &mut self.tables {
            table.used = 0;
            table.entries.values_mut().for_each(|entry| entry.used = false);
        }
        self
    }

    /// Makes room for `examples`; values of another number of examples are forgotten.
    pub(super) fn open(&mut self, examples: usize) {
        if self.tables.len() != examples {
            self.tables = vec![Table::default(); examples];
        }
    }

    pub(super) fn examples(&self) -> usize {
        self.tables.len()
    }

    pub(super) fn get(&self, example: usize, key: &Key) -> Option<f64> {
        self.tables[example].entries.get(key).map(|e| e.value)
    }

    pub(super) fn insert(&mut self, example: usize, key: Key, value: f64) {
        self.tables[example].entries.insert(key, Entry { value, used: false });
    }

    /// The value of a key that counts as used from now on.
    pub(super) fn spend(&mut self, example: usize, key: &Key) -> Option<f64> {
        let table = &mut self.tables[example];
        let entry = table.entries.get_mut(key)?;
        table.used += u64::from(!std::mem::replace(&mut entry.used, true));
        Some(entry.value)
    }

    pub(super) fn is_used(&self, example: usize, key: &Key) -> bool {
        self.tables[example].entries.get(key).is_some_and(|e| e.used)
    }

    pub(super) fn used_by(&self, example: usize) -> u64 {
        self.tables[example].used
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ledger(rows: &[(usize, Vec<u64>, f64)]) -> Ledger {
        let mut ledger = Ledger { seconds: 1.5, ..Ledger::default() };
        ledger.open(3);
        rows.iter().for_each(|(n, key, v)| ledger.insert(n % 3, key.clone().into(), *v));
        ledger
    }

    proptest! {
        #[test]
        fn files_are_read_back_and_damage_is_noticed(
            rows in prop::collection::vec((0usize..3, prop::collection::vec(any::<u64>(), 0..3), -1e9f64..1e9), 0..20),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let ledger = ledger(&rows);
            let mut bytes = ledger.to_bytes("name");
            prop_assert_eq!(&Ledger::from_bytes(&bytes, "name").unwrap(), &ledger);
            prop_assert!(Ledger::from_bytes(&bytes, "other").is_err());
            let at = at.index(bytes.len());
            prop_assert!(Ledger::from_bytes(&bytes[..at], "name").is_err());
            bytes[at] ^= flip;
            prop_assert!(Ledger::from_bytes(&bytes, "name").is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            // With a right head and checksum, so that the inside is read.
            let mut bytes = HEAD.to_vec();
            bytes.extend(checksum(b"name").to_le_bytes());
            bytes.extend(body);
            bytes.extend(checksum(&bytes).to_le_bytes());
            let _ = Ledger::from_bytes(&bytes, "name");
        }
    }
}
