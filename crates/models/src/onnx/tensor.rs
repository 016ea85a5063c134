//! Weights come in five encodings and two places, and all must give the same network: TensorProto, inside the file,
//! or in a file of their own beside it.

use super::wire::Reader;
use crate::raw::Constant;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};
use voxplain_tensor::{Error, Result, Shape};

#[derive(Default)]
struct Fields {
    sizes: Vec<i64>,
    dtype: i64,
    floats: Vec<f32>,
    doubles: Vec<f64>,
    whole: Vec<i64>,
    raw: Option<Vec<u8>>,
    external: Vec<(String, String)>,
}

/// Name and value.
pub(super) fn read(bytes: &[u8], folder: Option<&Path>) -> Result<(String, Constant)> {
    let (mut name, mut f) = (String::new(), Fields::default());
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => field.ints_into(&mut f.sizes)?,
            2 => f.dtype = field.int()?,
            4 => field.floats_into(&mut f.floats)?,
            5 | 7 => field.ints_into(&mut f.whole)?,
            8 => name = field.text()?,
            10 => field.doubles_into(&mut f.doubles)?,
            9 => f.raw = Some(field.bytes()?.to_vec()),
            13 => f.external.push(entry(field.bytes()?)?),
            _ => {}
        }
    }
    let place = |e: Error| e.within(format!("tensor {name:?}"));
    let constant = f.finish(folder).map_err(place)?;
    Ok((name, constant))
}

pub(super) fn entry(bytes: &[u8]) -> Result<(String, String)> {
    let (mut key, mut value) = (String::new(), String::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Bytes of an element of a data type by ONNX's numbers.
fn width(dtype: i64) -> Option<usize> {
    match dtype {
        2 | 3 | 9 => Some(1),
        10 | 16 => Some(2),
        1 | 6 => Some(4),
        7 | 11 => Some(8),
        _ => None,
    }
}

impl Fields {
    fn finish(mut self, folder: Option<&Path>) -> Result<Constant> {
        let bad = |s: &i64| usize::try_from(*s).map_err(|_| Error::invalid(format!("a size of {s}")));
        let shape = self.sizes.iter().map(bad).collect::<Result<Vec<usize>>>()?;
        let count = Shape::new(&shape)?.elements();
        let width = width(self.dtype).ok_or_else(|| {
            Error::unsupported(format!(
                "ONNX element type {}; floating-point numbers and whole numbers are supported",
                self.dtype
            ))
        })?;
        if !self.external.is_empty() {
            self.raw = Some(external(&self.external, folder, count.saturating_mul(width))?);
        }
        if let Some(raw) = self.raw.as_ref().filter(|raw| Some(raw.len()) != count.checked_mul(width)) {
            return Err(Error::invalid(format!("{} bytes for {count} values of {width} bytes", raw.len())));
        }
        let constant = match &self.raw {
            Some(raw) => self.raw_values(raw, shape),
            None => self.field_values(shape),
        };
        if constant.len() != count {
            return Err(Error::invalid(format!("{} values where the sizes say {count}", constant.len())));
        }
        Ok(constant)
    }

    fn raw_values(&self, raw: &[u8], shape: Vec<usize>) -> Constant {
        fn each<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
            raw.chunks_exact(N).filter_map(|c| c.try_into().ok())
        }
        let float = |data: Vec<f32>, shape| Constant::Float { shape, data };
        match self.dtype {
            1 => float(each(raw).map(f32::from_le_bytes).collect(), shape),
            11 => float(each(raw).map(|b| f64::from_le_bytes(b) as f32).collect(), shape),
            10 => float(each(raw).map(|b| half::f16::from_le_bytes(b).to_f32()).collect(), shape),
            16 => float(each(raw).map(|b| half::bf16::from_le_bytes(b).to_f32()).collect(), shape),
            7 => Constant::Int { shape, data: each(raw).map(i64::from_le_bytes).collect() },
            6 => Constant::Int { shape, data: each(raw).map(|b| i64::from(i32::from_le_bytes(b))).collect() },
            3 => Constant::Int { shape, data: raw.iter().map(|&b| i64::from(b as i8)).collect() },
            _ => Constant::Int { shape, data: raw.iter().map(|&b| i64::from(b)).collect() },
        }
    }

    fn field_values(&self, shape: Vec<usize>) -> Constant {
        match self.dtype {
            1 => Constant::Float { shape, data: self.floats.clone() },
            10 => {
                let data = self.whole.iter().map(|&w| half::f16::from_bits(w as u16).to_f32()).collect();
                Constant::Float { shape, data }
            }
            16 => {
                let data = self.whole.iter().map(|&w| half::bf16::from_bits(w as u16).to_f32()).collect();
                Constant::Float { shape, data }
            }
            11 => Constant::Float { shape, data: self.doubles.iter().map(|&v| v as f32).collect() },
            _ => Constant::Int { shape, data: self.whole.clone() },
        }
    }
}

/// Reads a part of a file beside the model; names that lead out of its folder are refused.
fn external(entries: &[(String, String)], folder: Option<&Path>, expected: usize) -> Result<Vec<u8>> {
    let get = |key: &str| entries.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    let number = |key: &str, default: usize| {
        let bad = |_| Error::invalid(format!("external data: {key} is not a number"));
        get(key).map_or(Ok(default), |v| v.parse::<usize>().map_err(bad))
    };
    let location = get("location").ok_or_else(|| Error::invalid("external data without a location"))?;
    let folder = folder
        .ok_or_else(|| Error::invalid(format!("the weights are in {location:?}, which was not given")))?;
    if location.is_empty() || Path::new(location).components().any(|c| !matches!(c, Component::Normal(_))) {
        return Err(Error::invalid(format!("external data in {location:?} lies outside the model's folder")));
    }
    let (offset, length) = (number("offset", 0)?, number("length", expected)?);
    if length != expected {
        return Err(Error::invalid(format!(
            "external data of {length} bytes where the sizes say {expected}"
        )));
    }
    let path = folder.join(location);
    let failed = |e: std::io::Error| Error::invalid(format!("{}: {e}", path.display()));
    if !path.exists() {
        return Err(Error::invalid(format!(
            "the weights lie in a file of their own, {}, which is not there; keep it beside the model under this name",
            path.display()
        )));
    }
    // A link inside the folder may still lead out of it.
    let real = std::fs::canonicalize(&path).map_err(failed)?;
    let home = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !real.starts_with(std::fs::canonicalize(home).map_err(failed)?) {
        return Err(Error::invalid(format!("external data in {location:?} lies outside the model's folder")));
    }
    let mut file = std::fs::File::open(&real).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if (offset as u64).saturating_add(length as u64) > size {
        return Err(Error::invalid(format!("{} is shorter than the model says", path.display())));
    }
    file.seek(SeekFrom::Start(offset as u64)).map_err(failed)?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
