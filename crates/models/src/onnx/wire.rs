//! Lengths in a file are claims; every one is checked against the bytes that are there before anything is
//! allocated. The protocol-buffer wire format, as much as ONNX needs.

use voxplain_tensor::{Error, Result};

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64([u8; 8]),
    /// Wire type 2: text, bytes, messages, packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32([u8; 4]),
}

/// Reads the fields of a message.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

fn truncated() -> Error {
    Error::invalid("the ONNX file is truncated or not ONNX at all; export or copy it again")
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next field's number and value, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<(u64, Field<'a>)>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.array()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| truncated())?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(self.array()?),
            _ => return Err(truncated()),
        };
        Ok(Some((key >> 3, field)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(length).ok_or_else(truncated)?;
        self.bytes = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| truncated())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(truncated())
    }
}

impl<'a> Field<'a> {
    /// The bytes of a length-delimited field.
    pub fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(truncated()),
        }
    }

    /// Text.
    pub fn text(self) -> Result<String> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(String::from).map_err(|_| Error::invalid("a name in the ONNX file is not UTF-8"))
    }

    /// A signed whole number.
    pub fn int(self) -> Result<i64> {
        match self {
            Self::Varint(v) => Ok(v as i64),
            _ => Err(truncated()),
        }
    }

    /// A single-precision number.
    pub fn float(self) -> Result<f32> {
        match self {
            Self::Fixed32(b) => Ok(f32::from_le_bytes(b)),
            _ => Err(truncated()),
        }
    }

    /// Adds one or, packed, many whole numbers to a list.
    pub fn ints_into(self, list: &mut Vec<i64>) -> Result<()> {
        match self {
            Self::Varint(v) => list.push(v as i64),
            Self::Bytes(bytes) => {
                let mut reader = Reader::new(bytes);
                while !reader.bytes.is_empty() {
                    list.push(reader.varint()? as i64);
                }
            }
            _ => return Err(truncated()),
        }
        Ok(())
    }

    /// Adds one or, packed, many double-precision numbers to a list.
    pub fn doubles_into(self, list: &mut Vec<f64>) -> Result<()> {
        match self {
            Self::Fixed64(b) => list.push(f64::from_le_bytes(b)),
            Self::Bytes(bytes) if bytes.len() % 8 == 0 => {
                list.extend(bytes.chunks_exact(8).filter_map(|c| c.try_into().ok()).map(f64::from_le_bytes));
            }
            _ => return Err(truncated()),
        }
        Ok(())
    }

    /// Adds one or, packed, many single-precision numbers to a list.
    pub fn floats_into(self, list: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::Fixed32(b) => list.push(f32::from_le_bytes(b)),
            Self::Bytes(bytes) if bytes.len() % 4 == 0 => {
                list.extend(bytes.chunks_exact(4).filter_map(|c| c.try_into().ok()).map(f32::from_le_bytes));
            }
            _ => return Err(truncated()),
        }
        Ok(())
    }
}
