//! Writing maps so that they overlay: single precision, both forms and codes of the image kept. NIfTI-1, which every
//! viewer reads; NIfTI-2 only where an axis has more voxels than NIfTI-1 can count.

use crate::atomic::atomic_write;
use crate::quaternion;
use crate::volume::Volume;
use flate2::{Compression, GzBuilder};
use std::io::Write;
use std::path::Path;
use voxplain_tensor::{Error, Result};

/// What a written file says beside voxels and geometry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteOptions {
    /// The display range for viewers.
    pub display: (f32, f32),
    /// At most 79 bytes of description; longer text is cut.
    pub description: String,
    /// Whether the voxels are estimates (intent code 1001), and of what (at most 15 bytes).
    pub estimate_of: Option<String>,
}

/// Writes a NIfTI file, gzipped if the name ends in `.gz`: NIfTI-1, or NIfTI-2 if an axis has more than 32767 voxels.
/// The same volume gives the same bytes.
///
/// # Errors
/// The affine is not finite, or the file cannot be written.
pub fn write_nifti(path: &Path, volume: &Volume, options: &WriteOptions) -> Result<()> {
    let header = header(volume, options).map_err(|e| e.within(path.display()))?;
    let gzip = path.extension().is_some_and(|e| e == "gz");
    atomic_write(path, |out| {
        if gzip {
            let mut encoder = GzBuilder::new().mtime(0).write(out, Compression::new(4));
            body(&mut encoder, &header, volume)?;
            encoder.finish()?;
            return Ok(());
        }
        body(out, &header, volume)
    })
}

fn body(out: &mut dyn Write, header: &[u8], volume: &Volume) -> Result<()> {
    out.write_all(header)?;
    let mut buffer = Vec::with_capacity(1 << 16);
    for chunk in volume.data.chunks(1 << 14) {
        buffer.clear();
        chunk.iter().for_each(|v| buffer.extend_from_slice(&v.to_le_bytes()));
        out.write_all(&buffer)?;
    }
    Ok(())
}

/// A header being filled: fields at their places, little-endian.
struct Fields {
    bytes: Vec<u8>,
    /// Whether it is NIfTI-2, where numbers are wider.
    second: bool,
}

impl Fields {
    fn put(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }
    fn i16(&mut self, at: usize, value: i16) {
        self.put(at, &value.to_le_bytes());
    }
    /// A code: two bytes at `first` in NIfTI-1, four at `second` in NIfTI-2.
    fn code(&mut self, first: usize, second: usize, value: i16) {
        if self.second { self.put(second, &i32::from(value).to_le_bytes()) } else { self.i16(first, value) }
    }
    /// Real numbers from `first` in NIfTI-1 (single precision) or `second` in NIfTI-2 (double).
    fn reals(&mut self, first: usize, second: usize, values: &[f64]) {
        for (i, value) in values.iter().enumerate() {
            if self.second {
                self.put(second + 8 * i, &value.to_le_bytes());
            } else {
                self.put(first + 4 * i, &(*value as f32).to_le_bytes());
            }
        }
    }
    /// Text cut at a character boundary to fit `room` bytes with a zero behind.
    fn text(&mut self, first: usize, second: usize, room: usize, text: &str) {
        let mut end = text.len().min(room - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.put(if self.second { second } else { first }, text.get(..end).unwrap_or("").as_bytes());
    }
    fn dimensions(&mut self, dims: [usize; 3]) {
        let sizes = [3, dims[0], dims[1], dims[2], 1, 1, 1, 1];
        for (i, size) in sizes.into_iter().enumerate() {
            if self.second {
                self.put(16 + 8 * i, &(size as i64).to_le_bytes());
            } else {
                self.i16(40 + 2 * i, size as i16);
            }
        }
    }
}

/// NIfTI-1 where the sizes fit its 16 bits, else NIfTI-2.
fn start(dims: [usize; 3]) -> Fields {
    let second = dims.iter().any(|&d| i16::try_from(d).is_err());
    let length: usize = if second { 540 } else { 348 };
    // Four zero bytes behind the header say that there are no extensions.
    let mut h = Fields { bytes: vec![0; length + 4], second };
    h.put(0, &(length as i32).to_le_bytes());
    h.dimensions(dims);
    if second {
        h.put(4, b"n+2\0\r\n\x1a\n");
        h.i16(12, 16);
        h.i16(14, 32);
        h.put(168, &(length as i64 + 4).to_le_bytes());
    } else {
        h.put(38, b"r");
        h.put(344, b"n+1\0");
        h.i16(70, 16);
        h.i16(72, 32);
        h.put(108, &(length as f32 + 4.0).to_le_bytes());
    }
    h
}

fn header(volume: &Volume, options: &WriteOptions) -> Result<Vec<u8>> {
    let g = &volume.geometry;
    let numbers = || g.qform.affine.iter().chain(&g.sform.affine).flatten();
    if numbers().any(|v| !(*v as f32).is_finite()) {
        return Err(Error::invalid(
            "the image's affine holds numbers that are not finite in single precision; repair the image's header first",
        ));
    }
    let mut h = start(volume.dims);
    if let Some(name) = &options.estimate_of {
        h.code(68, 504, 1001);
        h.text(328, 508, 16, name);
    }
    let (bcd, offset, spacing, qfac) = quaternion::from_affine(&g.qform.affine);
    h.reals(76, 104, &[qfac, spacing[0], spacing[1], spacing[2]]);
    h.reals(112, 176, &[1.0, 0.0]);
    if h.second {
        h.put(500, &i32::from(g.units).to_le_bytes());
    } else {
        h.put(123, &[g.units]);
    }
    h.reals(124, 192, &[f64::from(options.display.1), f64::from(options.display.0)]);
    h.text(148, 240, 80, &options.description);
    h.code(252, 344, g.qform.code);
    h.code(254, 348, g.sform.code);
    h.reals(256, 352, &bcd);
    h.reals(268, 376, &offset);
    let rows: Vec<f64> = g.sform.affine.iter().flatten().copied().collect();
    h.reals(280, 400, &rows);
    Ok(h.bytes)
}
