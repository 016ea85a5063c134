//! Reading. What a header says is believed only as far as there are bytes.

use super::header::{DataType, Header, LONGEST, parse};
use crate::volume::Volume;
use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::Path;
use voxplain_tensor::{Error, Result};

/// Reads a NIfTI file. `volume` picks one volume of a 4D file; without it more than one volume is an error.
///
/// # Errors
/// The file cannot be read, is not NIfTI, is cut off, holds complex or colour voxels, or several volumes; the message
/// names the file.
pub fn read_nifti(path: &Path, volume: Option<usize>) -> Result<Volume> {
    let bytes = std::fs::read(path).map_err(|e| {
        let kind = if e.kind() == std::io::ErrorKind::NotFound { Error::invalid } else { Error::io };
        kind(format!("{}: {e}", path.display()))
    })?;
    read_nifti_bytes(&bytes, volume).map_err(|e| e.within(path.display()))
}

/// Reads NIfTI from bytes, gzipped or not.
///
/// # Errors
/// As [`read_nifti`].
pub fn read_nifti_bytes(bytes: &[u8], volume: Option<usize>) -> Result<Volume> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let head = inflate(bytes, LONGEST)?;
        let header = parse(&head)?;
        let end = wanted(&header, volume)?.1;
        let plain = inflate(bytes, end)?;
        return voxels(&plain, &header, volume);
    }
    let header = parse(bytes)?;
    voxels(bytes, &header, volume)
}

/// At most `most` bytes of a gzipped file, so that a small file cannot become a large one beyond what its header says.
fn inflate(bytes: &[u8], most: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let limited = MultiGzDecoder::new(bytes).take(most as u64).read_to_end(&mut out);
    limited.map_err(|e| Error::invalid(format!("the gzip data is broken: {e}")))?;
    Ok(out)
}

/// The byte range of the wanted volume.
fn wanted(header: &Header, volume: Option<usize>) -> Result<(usize, usize)> {
    let index = match volume {
        None if header.volumes > 1 => {
            return Err(Error::invalid(format!(
                "the image has {} volumes behind its three axes; name one of them (0 to {}) or split the file",
                header.volumes,
                header.volumes - 1
            )));
        }
        None => 0,
        Some(i) if i >= header.volumes => {
            return Err(Error::invalid(format!("no volume {i}: the image has {}", header.volumes)));
        }
        Some(i) => i,
    };
    let length = header.dims.iter().product::<usize>() * header.dtype.width();
    let start = header.offset + index * length;
    Ok((start, start + length))
}

fn voxels(bytes: &[u8], header: &Header, volume: Option<usize>) -> Result<Volume> {
    let (start, end) = wanted(header, volume)?;
    let data = bytes.get(start..end).ok_or_else(|| {
        Error::invalid(format!("the file is cut off: voxels end at byte {end} and there are {}", bytes.len()))
    })?;
    let scale = |v: f64| (v * header.slope + header.intercept) as f32;
    let big = header.big_endian;
    let values: Vec<f32> = match header.dtype {
        DataType::U8 => data.iter().map(|&b| scale(f64::from(b))).collect(),
        DataType::I8 => data.iter().map(|&b| scale(f64::from(b as i8))).collect(),
        DataType::U16 => words(data, big).map(|b| scale(f64::from(u16::from_le_bytes(b)))).collect(),
        DataType::I16 => words(data, big).map(|b| scale(f64::from(i16::from_le_bytes(b)))).collect(),
        DataType::U32 => words(data, big).map(|b| scale(f64::from(u32::from_le_bytes(b)))).collect(),
        DataType::I32 => words(data, big).map(|b| scale(f64::from(i32::from_le_bytes(b)))).collect(),
        DataType::U64 => words(data, big).map(|b| scale(u64::from_le_bytes(b) as f64)).collect(),
        DataType::I64 => words(data, big).map(|b| scale(i64::from_le_bytes(b) as f64)).collect(),
        DataType::F32 => words(data, big).map(|b| scale(f64::from(f32::from_le_bytes(b)))).collect(),
        DataType::F64 => words(data, big).map(|b| scale(f64::from_le_bytes(b))).collect(),
    };
    Volume::new(header.dims, values, header.geometry)
}

/// Little-endian words of either endianness.
fn words<const N: usize>(data: &[u8], big: bool) -> impl Iterator<Item = [u8; N]> + '_ {
    data.chunks_exact(N).filter_map(move |c| {
        let mut word: [u8; N] = c.try_into().ok()?;
        if big {
            word.reverse();
        }
        Some(word)
    })
}
