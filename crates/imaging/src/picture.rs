//! PNG: photographs in, figures out.

use crate::atomic::atomic_write;
use std::path::Path;
use voxplain_tensor::{Error, Result, Tensor};

/// Writes 8-bit RGB pixels, row by row from the top left.
///
/// # Errors
/// The number of bytes is not three per pixel, or the file cannot be written.
pub fn write_png(path: &Path, width: usize, height: usize, rgb: &[u8]) -> Result<()> {
    let wanted = width.checked_mul(height).and_then(|n| n.checked_mul(3));
    let (Ok(w), Ok(h), true) =
        (u32::try_from(width), u32::try_from(height), wanted == Some(rgb.len()) && !rgb.is_empty())
    else {
        return Err(Error::internal(format!(
            "{} bytes for a picture of {width} x {height} pixels; three per pixel expected",
            rgb.len()
        )));
    };
    atomic_write(path, |out| {
        let mut encoder = png::Encoder::new(out, w, h);
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

/// Bytes that one byte of a deflate stream can become at most (zlib's technical notes).
const MOST_PER_BYTE: usize = 1032;

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
    let (w, h) = (width as usize, height as usize);
    if width > LONGEST || height > LONGEST {
        return Err(Error::unsupported(format!(
            "a PNG of {width} x {height} pixels; at most {LONGEST} a side are read, make it smaller"
        )));
    }
    check_palette(reader.info())?;
    // Bits as stored, before anything is expanded: more pixels than the file can hold are a lie.
    let stored = reader.info().raw_bytes().saturating_sub(h);
    if stored > bytes.len().saturating_mul(MOST_PER_BYTE) {
        return Err(Error::invalid(format!(
            "not a usable PNG: {} bytes cannot hold {width} x {height} pixels",
            bytes.len()
        )));
    }
    let size = reader.output_buffer_size().ok_or_else(|| Error::unsupported("a PNG too large to read"))?;
    let mut buffer = vec![0; size];
    let info = reader.next_frame(&mut buffer).map_err(failed)?;
    if (info.width, info.height) != (width, height) {
        return Err(Error::unsupported(
            "an animated PNG whose first picture does not fill it; give a still one",
        ));
    }
    planes(&buffer, [h, w], info.color_type.samples(), info.bit_depth == png::BitDepth::Sixteen)
}

/// The library reads palettes three bytes at a time and trusts that there are one to 256 whole colours.
fn check_palette(info: &png::Info<'_>) -> Result<()> {
    let fits = |bytes: usize| bytes % 3 == 0 && (3..=3 * 256).contains(&bytes);
    let wrong = match &info.palette {
        Some(palette) => !fits(palette.len()),
        None => info.color_type == png::ColorType::Indexed,
    };
    if wrong {
        return Err(Error::invalid("not a usable PNG: its palette does not hold 1 to 256 whole colours"));
    }
    Ok(())
}

/// Pixels of `stored` samples as one plane per colour.
fn planes(buffer: &[u8], [h, w]: [usize; 2], stored: usize, wide: bool) -> Result<Tensor<f32>> {
    let channels = if stored >= 3 { 3 } else { 1 };
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A PNG of these samples.
    fn encoded(color: png::ColorType, depth: png::BitDepth, [w, h]: [u32; 2], samples: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, w, h);
        encoder.set_color(color);
        encoder.set_depth(depth);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(samples).unwrap();
        writer.finish().unwrap();
        out
    }

    #[test]
    fn colours_depths_and_transparency() {
        use png::{BitDepth, ColorType};
        let grey = encoded(ColorType::Grayscale, BitDepth::Eight, [2, 1], &[7, 200]);
        assert_eq!(read_png(&grey).unwrap(), Tensor::new(&[1, 1, 2], vec![7.0, 200.0]).unwrap());
        let wide = encoded(ColorType::Grayscale, BitDepth::Sixteen, [1, 2], &[1, 0, 0, 9]);
        assert_eq!(read_png(&wide).unwrap(), Tensor::new(&[1, 2, 1], vec![256.0, 9.0]).unwrap());
        let clear = encoded(ColorType::Rgba, BitDepth::Eight, [2, 1], &[1, 2, 3, 0, 4, 5, 6, 0]);
        let want = Tensor::new(&[3, 1, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]).unwrap();
        assert_eq!(read_png(&clear).unwrap(), want);
    }

    #[test]
    fn a_written_picture_reads_back_and_wrong_sizes_are_refused() {
        let path = std::env::temp_dir().join(format!("voxplain-picture-{}.png", std::process::id()));
        write_png(&path, 2, 1, &[1, 2, 3, 4, 5, 6]).unwrap();
        let want = Tensor::new(&[3, 1, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]).unwrap();
        assert_eq!(read_png(&std::fs::read(&path).unwrap()).unwrap(), want);
        assert!(write_png(&path, 2, 2, &[0; 6]).is_err());
        assert!(write_png(&path, usize::MAX, 2, &[0; 6]).is_err());
        assert!(write_png(&path, 0, 2, &[]).is_err());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_small_file_cannot_claim_a_large_picture() {
        let mut bytes = encoded(png::ColorType::Rgba, png::BitDepth::Sixteen, [1, 1], &[0; 8]);
        bytes[16..24].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 0x80, 0]);
        // The header's checksum, so that its sizes are believed.
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let message = read_png(&bytes).unwrap_err().message().to_string();
        assert!(message.contains("cannot hold 32768 x 32768"), "{message}");
    }

    proptest! {
        #[test]
        fn broken_pictures_never_panic(at in 0usize..90, byte: u8, cut in 0usize..120) {
            let mut bytes = encoded(png::ColorType::Rgb, png::BitDepth::Eight, [3, 2], &[9; 18]);
            if let Some(b) = bytes.get_mut(at) { *b = byte; }
            bytes.truncate(cut);
            let _ = read_png(&bytes);
        }
    }
}
