//! Writing maps so that they overlay: NIfTI-1, single precision, both forms and codes of the image kept.

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

/// Writes a NIfTI-1 file, gzipped if the name ends in `.gz`. The same volume gives the same bytes.
///
/// # Errors
/// A size is too large for NIfTI-1, or the file cannot be written.
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

/// Text cut at a character boundary to fit `room` bytes with a zero behind.
fn put_text(header: &mut [u8], at: usize, room: usize, text: &str) {
    let mut end = text.len().min(room - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    header[at..at + end].copy_from_slice(&text.as_bytes()[..end]);
}

fn header(volume: &Volume, options: &WriteOptions) -> Result<Vec<u8>> {
    let mut h = vec![0u8; 352];
    let i16_at = |h: &mut [u8], at: usize, v: i16| h[at..at + 2].copy_from_slice(&v.to_le_bytes());
    let f32_at = |h: &mut [u8], at: usize, v: f64| h[at..at + 4].copy_from_slice(&(v as f32).to_le_bytes());
    h[..4].copy_from_slice(&348i32.to_le_bytes());
    i16_at(&mut h, 40, 3);
    for i in 0..3 {
        let size = i16::try_from(volume.dims[i]).map_err(|_| {
            Error::unsupported(format!("{} voxels along an axis are too many for NIfTI-1", volume.dims[i]))
        })?;
        i16_at(&mut h, 42 + 2 * i, size);
    }
    (3..7).for_each(|i| i16_at(&mut h, 42 + 2 * i, 1));
    if let Some(name) = &options.estimate_of {
        i16_at(&mut h, 68, 1001);
        put_text(&mut h, 328, 16, name);
    }
    i16_at(&mut h, 70, 16);
    i16_at(&mut h, 72, 32);
    let g = &volume.geometry;
    let (bcd, offset, spacing, qfac) = quaternion::from_affine(&g.qform.affine);
    f32_at(&mut h, 76, qfac);
    (0..3).for_each(|i| f32_at(&mut h, 80 + 4 * i, spacing[i]));
    f32_at(&mut h, 108, 352.0);
    f32_at(&mut h, 112, 1.0);
    h[123] = g.units;
    f32_at(&mut h, 124, f64::from(options.display.1));
    f32_at(&mut h, 128, f64::from(options.display.0));
    put_text(&mut h, 148, 80, &options.description);
    i16_at(&mut h, 252, g.qform.code);
    i16_at(&mut h, 254, g.sform.code);
    (0..3).for_each(|i| f32_at(&mut h, 256 + 4 * i, bcd[i]));
    (0..3).for_each(|i| f32_at(&mut h, 268 + 4 * i, offset[i]));
    for r in 0..3 {
        (0..4).for_each(|c| f32_at(&mut h, 280 + 4 * (r * 4 + c), g.sform.affine[r][c]));
    }
    h[344..348].copy_from_slice(b"n+1\0");
    Ok(h)
}
