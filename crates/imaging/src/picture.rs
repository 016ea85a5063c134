//! PNG: photographs in, figures out.

use crate::atomic::atomic_write;
use std::path::Path;
use voxplain_tensor::{Error, Result, Tensor};

/// Writes 8-bit RGB pixels, row by row from the top left.
///
/// # Errors
/// The number of bytes is not three per pixel, or the file cannot be written.
pub fn write_png(path: &Path, width: usize, height: usize, rgb: &[u8]) -> Result<()> {
    if rgb.len() != width * height * 3 || width == 0 || height == 0 {
        return Err(Error::internal(format!(
            "{} bytes for a picture of {width} x {height} pixels",
            rgb.len()
        )));
    }
    atomic_write(path, |out| {
        let mut encoder = png::Encoder::new(out, width as u32, height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let failed = |e: png::EncodingError| Error::io(e.to_string());
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(rgb).map_err(failed)?;
        writer.finish().map_err(failed)
    })
}

/// The longest side of a PNG that is read.
const LONGEST: u32 = 1 << 15;

/// Reads a greyscale or colour PNG of 8 or 16 bits as `[C, height, width]`, values as stored (0 to 255 or 65535);
/// transparency is dropped.
///
/// # Errors
/// Not a PNG, cut off, or larger than 32768 pixels a side.
pub fn read_png(bytes: &[u8]) -> Result<Tensor<f32>> {
    let failed = |e: png::DecodingError| Error::invalid(format!("not a usable PNG: {e}"));
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(failed)?;
    let (width, height) = (reader.info().width, reader.info().height);
    if width > LONGEST || height > LONGEST {
        return Err(Error::unsupported(format!("a PNG of {width} x {height} pixels")));
    }
    let size = reader.output_buffer_size().ok_or_else(|| Error::unsupported("a PNG too large to read"))?;
    let mut buffer = vec![0; size];
    let info = reader.next_frame(&mut buffer).map_err(failed)?;
    let stored = info.color_type.samples();
    let channels = if stored >= 3 { 3 } else { 1 };
    let wide = info.bit_depth == png::BitDepth::Sixteen;
    let (w, h) = (width as usize, height as usize);
    let sample = |y: usize, x: usize, c: usize| {
        let at = (y * w + x) * stored + c;
        if wide {
            f32::from(u16::from_be_bytes([buffer[2 * at], buffer[2 * at + 1]]))
        } else {
            f32::from(buffer[at])
        }
    };
    let mut data = Vec::with_capacity(channels * w * h);
    for c in 0..channels {
        (0..h).for_each(|y| data.extend((0..w).map(|x| sample(y, x, c))));
    }
    Tensor::new(&[channels, h, w], data)
}
