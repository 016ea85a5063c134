//! A `.pt2` file is a zip without compression, so reading it needs no library: names, places and checksums. The archive
//! comes from anywhere; nothing in it is believed before the bytes agree.

use crate::container::PICKLE;
use std::cell::Cell;
use std::collections::BTreeMap;
use voxplain_tensor::{Error, Result};

/// A stored zip in memory: names and the bytes behind them.
pub(super) struct Archive<'a> {
    entries: BTreeMap<&'a str, Entry<'a>>,
}

struct Entry<'a> {
    data: &'a [u8],
    checksum: u32,
    /// Whether the checksum was found right, so that a thousand views of one entry cost one look at it.
    checked: Cell<bool>,
}

/// What the end of the archive says about its directory.
struct Directory {
    offset: u64,
    size: u64,
    count: u64,
}

/// One row of the directory.
struct Row<'a> {
    name: &'a str,
    size: u64,
    offset: u64,
    checksum: u32,
}

impl<'a> Archive<'a> {
    /// Reads the directory and finds every entry.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let directory = directory(bytes)?;
        let end = directory.offset.checked_add(directory.size).filter(|&end| end <= bytes.len() as u64);
        let (start, end) =
            (directory.offset as usize, end.ok_or_else(|| damaged("its directory lies outside"))?);
        let mut rows = Rows { bytes: bytes.get(start..end as usize).unwrap_or(&[]), at: 0 };
        let (mut entries, mut spans) = (BTreeMap::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let span = span(bytes, &row, directory.offset)?;
            let data = bytes.get(span.1..span.2).unwrap_or(&[]);
            // A writer may leave checksums out.
            let checked = Cell::new(row.checksum == 0);
            if entries.insert(row.name, Entry { data, checksum: row.checksum, checked }).is_some() {
                return Err(Error::invalid(format!(
                    "the archive has two entries {:?}; names must be unique, export again",
                    row.name
                )));
            }
            spans.push((span.0, span.2, row.name));
        }
        if entries.len() as u64 != directory.count {
            return Err(damaged("its directory has another number of entries than it says"));
        }
        spans.sort_unstable();
        match spans.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            Some(pair) => Err(Error::invalid(format!(
                "entries {:?} and {:?} of the archive overlap; the file is damaged or made to mislead, export again",
                pair[0].2, pair[1].2
            ))),
            None => Ok(Self { entries }),
        }
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.entries.keys().copied()
    }

    /// How many bytes an entry has.
    pub fn size(&self, name: &str) -> Option<usize> {
        self.entries.get(name).map(|e| e.data.len())
    }

    /// The bytes of an entry, which agree with their checksum.
    pub fn get(&self, name: &str) -> Result<&'a [u8]> {
        let entry = self.entries.get(name).ok_or_else(|| {
            Error::invalid(format!("the archive has no entry {name:?}; the file is incomplete, export again"))
        })?;
        if !entry.checked.get() && checksum(entry.data) != entry.checksum {
            return Err(Error::invalid(format!(
                "entry {name:?} does not agree with its checksum; the file is damaged, copy or export it again"
            )));
        }
        entry.checked.set(true);
        Ok(entry.data)
    }

    /// The text of an entry of at most `most` bytes.
    pub fn text(&self, name: &str, most: usize) -> Result<&'a str> {
        if self.size(name).is_some_and(|size| size > most) {
            return Err(Error::limit(format!("entry {name:?} is too large; at most {most} bytes are read")));
        }
        std::str::from_utf8(self.get(name)?)
            .map_err(|_| Error::invalid(format!("entry {name:?} is not text; export again")))
    }
}

fn damaged(what: &str) -> Error {
    Error::invalid(format!("not a complete zip archive ({what}); export or copy the file again"))
}

/// `N` bytes at a position as a number.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let part: &[u8; N] = bytes.get(at..)?.first_chunk()?;
    Some(part.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

/// The end record is the last thing in the file but for a comment; where its fields are too small, a larger record
/// before it counts.
fn directory(bytes: &[u8]) -> Result<Directory> {
    let missing = || damaged("its end is missing");
    let last = bytes.len().checked_sub(22).ok_or_else(missing)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let is_end = |&at: &usize| {
        bytes[at..].starts_with(b"PK\x05\x06")
            && number::<2>(bytes, at + 20) == Some((bytes.len() - at - 22) as u64)
    };
    let at = (first..=last).rev().find(is_end).ok_or_else(missing)?;
    let field = |offset: usize| number::<4>(bytes, at + offset).unwrap_or(0);
    let plain =
        Directory { offset: field(16), size: field(12), count: number::<2>(bytes, at + 10).unwrap_or(0) };
    let locator = at.checked_sub(20).filter(|&l| bytes[l..].starts_with(b"PK\x06\x07"));
    let Some(locator) = locator else { return Ok(plain) };
    let large =
        number::<8>(bytes, locator + 8).and_then(|at| usize::try_from(at).ok()).ok_or_else(missing)?;
    if !bytes.get(large..).is_some_and(|b| b.starts_with(b"PK\x06\x06")) {
        return Err(missing());
    }
    let field =
        |offset: usize| large.checked_add(offset).and_then(|at| number::<8>(bytes, at)).ok_or_else(missing);
    Ok(Directory { offset: field(48)?, size: field(40)?, count: field(32)? })
}

/// The rows of the directory, one after the other.
struct Rows<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rows<'a> {
    fn next(&mut self) -> Result<Option<Row<'a>>> {
        let row = self.bytes.get(self.at..).unwrap_or(&[]);
        if row.is_empty() {
            return Ok(None);
        }
        let cut = || damaged("its directory is cut");
        if !row.starts_with(b"PK\x01\x02") {
            return Err(cut());
        }
        let short = |at: usize| number::<2>(row, at).ok_or_else(cut);
        let long = |at: usize| number::<4>(row, at).ok_or_else(cut);
        let (name, extra, comment) = (short(28)? as usize, short(30)? as usize, short(32)? as usize);
        let text = row.get(46..46 + name).ok_or_else(cut)?;
        let text = std::str::from_utf8(text).map_err(|_| damaged("a name is not text"))?;
        let fields = row.get(46 + name..46 + name + extra).ok_or_else(cut)?;
        self.at += 46 + name + extra + comment;
        let (flags, method) = (short(8)?, short(10)?);
        if method != 0 && text.contains("/code/__torch__") {
            return Err(Error::unsupported(PICKLE));
        }
        if method != 0 || flags & 1 != 0 {
            return Err(Error::unsupported(format!(
                "entry {text:?} is compressed or encrypted; torch.export.save writes plain entries, so give the file \
                 as it wrote it, not packed again"
            )));
        }
        let mut wide = Wide { fields: wide_fields(fields), at: 0 };
        let (size, packed) = (wide.or(long(24)?)?, wide.or(long(20)?)?);
        let offset = wide.or(long(42)?)?;
        if packed != size {
            return Err(damaged("an entry without compression has two sizes"));
        }
        Ok(Some(Row { name: text, size, offset, checksum: long(16)? as u32 }))
    }
}

/// The numbers that did not fit into 32 bits, in the order of the row.
struct Wide<'a> {
    fields: &'a [u8],
    at: usize,
}

impl Wide<'_> {
    fn or(&mut self, short: u64) -> Result<u64> {
        if short != u64::from(u32::MAX) {
            return Ok(short);
        }
        self.at += 8;
        number::<8>(self.fields, self.at - 8).ok_or_else(|| damaged("a large size is missing"))
    }
}

/// The extra field of kind 1.
fn wide_fields(extra: &[u8]) -> &[u8] {
    let mut rest = extra;
    while let (Some(kind), Some(length)) = (number::<2>(rest, 0), number::<2>(rest, 2)) {
        let end = 4 + length as usize;
        if kind == 1 {
            return rest.get(4..end).unwrap_or(&[]);
        }
        rest = rest.get(end..).unwrap_or(&[]);
    }
    &[]
}

/// Where an entry begins, where its data begins, and where it ends; its own header must tell the same as the directory.
fn span(bytes: &[u8], row: &Row<'_>, directory: u64) -> Result<(usize, usize, usize)> {
    let outside = || {
        Error::invalid(format!(
            "entry {:?} lies outside the archive; the file is cut or damaged, copy it again",
            row.name
        ))
    };
    let start = usize::try_from(row.offset).map_err(|_| outside())?;
    let header = bytes.get(start..).filter(|h| h.starts_with(b"PK\x03\x04")).ok_or_else(outside)?;
    let name = number::<2>(header, 26).ok_or_else(outside)? as usize;
    let extra = number::<2>(header, 28).ok_or_else(outside)? as usize;
    if header.get(30..30 + name) != Some(row.name.as_bytes()) || number::<2>(header, 8) != Some(0) {
        return Err(Error::invalid(format!(
            "entry {:?} has another name or method in its own header; the file is damaged or made to mislead, export \
             again",
            row.name
        )));
    }
    let data = start + 30 + name + extra;
    let end = (data as u64).checked_add(row.size).filter(|&end| end <= directory).ok_or_else(outside)?;
    Ok((start, data, end as usize))
}

/// CRC-32 as zip has it.
fn checksum(data: &[u8]) -> u32 {
    const TABLE: [[u32; 256]; 8] = tables();
    let (mut crc, mut chunks) = (!0u32, data.chunks_exact(8));
    for chunk in &mut chunks {
        let low = crc ^ u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        let part = |table: usize, byte: u32| TABLE[table][(byte & 0xff) as usize];
        crc = part(7, low) ^ part(6, low >> 8) ^ part(5, low >> 16) ^ part(4, low >> 24);
        for (i, &byte) in chunk[4..].iter().enumerate() {
            crc ^= part(3 - i, u32::from(byte));
        }
    }
    let step = |crc: u32, &byte: &u8| TABLE[0][((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8);
    !chunks.remainder().iter().fold(crc, step)
}

/// Eight bytes at a time, because weights are hundreds of megabytes.
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut i = 0;
    while i < 2048 {
        let (table, byte) = (i / 256, i % 256);
        tables[table][byte] = if table == 0 {
            let (mut value, mut bit) = (byte as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            value
        } else {
            let before = tables[table - 1][byte];
            tables[0][(before & 0xff) as usize] ^ (before >> 8)
        };
        i += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zip() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum(b""), 0);
        let long: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        let plain = long.iter().fold(!0u32, |crc, &b| {
            (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
        });
        assert_eq!(checksum(&long), !plain);
    }
}
