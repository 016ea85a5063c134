//! Reading. What a header says is believed only as far as there are bytes.

use super::header::{DataType, Header, LONGEST, parse};
use crate::volume::Volume;
use flate2::read::MultiGzDecoder;
use std::io::{Cursor, Read};
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
        return inflate(bytes, volume).map_err(|e| match e {
            Failure::Stream(e) => Error::invalid(format!("the gzip data is broken or cut off: {e}")),
            Failure::Content(e) => e,
        });
    }
    let header = parse(bytes)?;
    let (start, end) = wanted(&header, volume)?;
    let data = bytes.get(start..end).ok_or_else(|| cut_off(end, bytes.len()))?;
    voxels(data, &header)
}

/// What can go wrong with a gzipped file: the stream, or what it holds.
enum Failure {
    Stream(std::io::Error),
    Content(Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Stream(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Content(error)
    }
}

/// Bytes that one byte of a deflate stream can become at most (zlib's technical notes).
const MOST_PER_BYTE: usize = 1032;

/// Bytes that may follow the voxels.
const PADDING: usize = 1 << 20;

/// Reads a gzipped file. Only the wanted volume is kept in memory, a header that promises more than the file can hold is
/// refused before anything is inflated, and the stream is followed to its end, because only there does its checksum say
/// that the voxels are right.
fn inflate(bytes: &[u8], volume: Option<usize>) -> std::result::Result<Volume, Failure> {
    let mut stream = MultiGzDecoder::new(bytes);
    let mut head = Vec::new();
    stream.by_ref().take(LONGEST as u64).read_to_end(&mut head)?;
    let header = parse(&head)?;
    let (start, end) = wanted(&header, volume)?;
    let most = bytes.len().saturating_mul(MOST_PER_BYTE);
    if end > most {
        return Err(cut_off(end, most).into());
    }
    let mut plain = Cursor::new(head).chain(stream);
    std::io::copy(&mut plain.by_ref().take(start as u64), &mut std::io::sink())?;
    let mut data = Vec::new();
    plain.by_ref().take((end - start) as u64).read_to_end(&mut data)?;
    if data.len() < end - start {
        return Err(cut_off(end, start + data.len()).into());
    }
    let rest = header.end().saturating_sub(end).saturating_add(PADDING) as u64;
    if std::io::copy(&mut plain.take(rest), &mut std::io::sink())? == rest {
        return Err(Error::invalid(format!(
            "more than {PADDING} bytes follow the voxels that the header names, so the file is damaged or its header is \
             wrong; get the file again"
        ))
        .into());
    }
    Ok(voxels(&data, &header)?)
}

fn cut_off(end: usize, there: usize) -> Error {
    Error::invalid(format!(
        "the file is cut off: by its header voxels end at byte {end}, and there are at most {there}; get the file again"
    ))
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
    let start = header.offset + index * header.length();
    Ok((start, start + header.length()))
}

fn voxels(data: &[u8], header: &Header) -> Result<Volume> {
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
