//! NumPy arrays: a short header with a dictionary, then the numbers.

use crate::atomic::atomic_write;
use std::path::Path;
use voxplain_tensor::{Error, Result, Scalar, Shape, Tensor};

/// Reads an array of real numbers (floats, whole numbers, booleans; either endianness and order) from the bytes of a
/// `.npy` file.
///
/// # Errors
/// Not a `.npy` file, cut off, or of another element type.
pub fn read_npy(bytes: &[u8]) -> Result<Tensor<f32>> {
    let bad = |what: &str| Error::invalid(format!("not a usable .npy file: {what}"));
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(|| bad("its magic word is missing"))?;
    let version = *rest.first().ok_or_else(|| bad("cut off"))?;
    let (length, start) = match version {
        1 => (rest.get(2..4).map(|b| usize::from(b[0]) | usize::from(b[1]) << 8), 4),
        2 | 3 => (rest.get(2..6).and_then(|b| b.try_into().ok()).map(|b| u32::from_le_bytes(b) as usize), 6),
        _ => return Err(bad("an unknown version")),
    };
    let length = length.ok_or_else(|| bad("cut off"))?;
    let header =
        rest.get(start..).and_then(|r| r.get(..length)).ok_or_else(|| bad("the header is cut off"))?;
    let header = std::str::from_utf8(header).map_err(|_| bad("the header is not text"))?;
    let descr = quoted_after(header, "descr").ok_or_else(|| bad("no descr"))?;
    let fortran =
        value_after(header, "fortran_order").ok_or_else(|| bad("no fortran_order"))?.starts_with("True");
    let sizes = sizes_after(header).ok_or_else(|| bad("no shape"))?;
    let shape = Shape::new(&sizes)?;
    let values = decode(descr, &rest[start + length..], shape.elements())?;
    let values = if fortran { from_fortran(&values, shape) } else { values };
    Tensor::new(&sizes, values)
}

fn value_after<'h>(header: &'h str, key: &str) -> Option<&'h str> {
    let at = header.find(&format!("'{key}'"))? + key.len() + 2;
    header[at..].trim_start().strip_prefix(':').map(str::trim_start)
}

fn quoted_after<'h>(header: &'h str, key: &str) -> Option<&'h str> {
    value_after(header, key)?.strip_prefix('\'')?.split('\'').next()
}

fn sizes_after(header: &str) -> Option<Vec<usize>> {
    let inside = value_after(header, "shape")?.strip_prefix('(')?.split(')').next()?;
    inside.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| s.parse().ok()).collect()
}

fn decode(descr: &str, data: &[u8], count: usize) -> Result<Vec<f32>> {
    let (order, kind) = descr.split_at_checked(1).unwrap_or(("", descr));
    let big = order == ">";
    let width: usize = kind.get(1..).and_then(|w| w.parse().ok()).unwrap_or(0);
    let unsupported = || Error::unsupported(format!("elements of type {descr:?}; real numbers are expected"));
    if !["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"].contains(&kind) {
        return Err(unsupported());
    }
    let end = count.checked_mul(width).ok_or_else(unsupported)?;
    let data = data
        .get(..end)
        .ok_or_else(|| Error::invalid(format!("the .npy file is cut off: {} bytes of {end}", data.len())))?;
    let number = |c: &[u8]| {
        let mut w = [0u8; 8];
        w[..width].copy_from_slice(c);
        if big {
            w[..width].reverse();
        }
        let unsigned = u64::from_le_bytes(w);
        let shift = 64 - 8 * width as u32;
        match kind.as_bytes()[0] {
            b'f' if width == 4 => f32::from_bits(unsigned as u32),
            b'f' => f64::from_bits(unsigned) as f32,
            b'i' => (((unsigned << shift) as i64) >> shift) as f32,
            _ => unsigned as f32,
        }
    };
    Ok(data.chunks_exact(width).map(number).collect())
}

fn from_fortran(values: &[f32], shape: Shape) -> Vec<f32> {
    let mut step = 1;
    let strides: Vec<usize> = shape
        .iter()
        .map(|&s| {
            let own = step;
            step *= s;
            own
        })
        .collect();
    let element = |mut i: usize| {
        let mut at = 0;
        for axis in (0..shape.rank()).rev() {
            at += i % shape[axis] * strides[axis];
            i /= shape[axis];
        }
        values[at]
    };
    (0..shape.elements()).map(element).collect()
}

/// Writes an array as `.npy`, in the precision of its scalar.
///
/// # Errors
/// The file cannot be written.
pub fn write_npy<S: Scalar>(path: &Path, tensor: &Tensor<S>) -> Result<()> {
    let double = size_of::<S>() == 8;
    let sizes: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    let comma = if sizes.len() == 1 { "," } else { "" };
    let descr = if double { "<f8" } else { "<f4" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", sizes.join(", "));
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    atomic_write(path, |out| {
        out.write_all(b"\x93NUMPY\x01\x00")?;
        out.write_all(&(header.len() as u16).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for value in tensor.data() {
            if double {
                out.write_all(&value.to_f64().to_le_bytes())?;
            } else {
                out.write_all(&(value.to_f64() as f32).to_le_bytes())?;
            }
        }
        Ok(())
    })
}
