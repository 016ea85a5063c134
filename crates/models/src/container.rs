//! Weights must come in without running anybody's code, so there is no pickle. The safetensors container: tensors
//! converted on the way in, every hostile file refused with one sentence.

use crate::raw::Constant;
use safetensors::tensor::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use voxplain_tensor::{Error, Result};

/// The tensors and the text metadata of a safetensors file.
///
/// # Errors
/// The bytes are not a safetensors file (truncated, overlapping, oversized), or a tensor has an element type that
/// weights cannot have.
pub fn read_tensors(bytes: &[u8]) -> Result<(BTreeMap<String, Constant>, HashMap<String, String>)> {
    if bytes.starts_with(b"PK\x03\x04") || looks_pickled(bytes) {
        return Err(Error::unsupported(PICKLE));
    }
    let broken = |e: safetensors::SafeTensorError| {
        Error::invalid(format!(
            "not a usable safetensors file ({e}); expected a complete file as safetensors 0.3 or newer writes it"
        ))
    };
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let text = bytes.get(8..).and_then(|b| b.get(..length)).unwrap_or(&[]);
    crate::duplicates::refuse(&String::from_utf8_lossy(text), "the safetensors header")?;
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let constant = convert(view.dtype(), view.shape(), view.data())
            .map_err(|e| e.within(format!("tensor {name:?}")))?;
        tensors.insert(name, constant);
    }
    Ok((tensors, metadata))
}

/// What to do with the files that `torch.save` writes.
pub(crate) const PICKLE: &str = "this is a pickle (torch.save or TorchScript), and pickles are never read, because they \
     can run any code; save the weights with `safetensors.torch.save_file(model.state_dict(), \"state.safetensors\")` and \
     name the architecture with --arch, or the network with `torch.export.save(torch.export.export(model.eval(), \
     (example,)), \"model.pt2\")`, torch 2.9 or newer";

/// Whether a file begins as a pickle of protocol 2 to 5 does. A safetensors file begins with the length of its header,
/// then the brace of the header.
pub(crate) fn looks_pickled(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..]) && bytes.get(8) != Some(&b'{')
}

fn words<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    data.chunks_exact(N).filter_map(|c| c.try_into().ok())
}

pub(crate) fn convert(dtype: Dtype, shape: &[usize], data: &[u8]) -> Result<Constant> {
    let shape = shape.to_vec();
    let float = |data: Vec<f32>, shape: Vec<usize>| Ok(Constant::Float { shape, data });
    match dtype {
        Dtype::F32 => float(words(data).map(f32::from_le_bytes).collect(), shape),
        Dtype::F64 => float(words(data).map(|b| f64::from_le_bytes(b) as f32).collect(), shape),
        Dtype::F16 => float(words(data).map(|b| half::f16::from_le_bytes(b).to_f32()).collect(), shape),
        Dtype::BF16 => float(words(data).map(|b| half::bf16::from_le_bytes(b).to_f32()).collect(), shape),
        Dtype::I64 => Ok(Constant::Int { shape, data: words(data).map(i64::from_le_bytes).collect() }),
        Dtype::I32 => {
            Ok(Constant::Int { shape, data: words(data).map(|b| i64::from(i32::from_le_bytes(b))).collect() })
        }
        Dtype::BOOL | Dtype::U8 => {
            Ok(Constant::Int { shape, data: data.iter().map(|&b| i64::from(b)).collect() })
        }
        other => Err(Error::unsupported(format!(
            "element type {other:?}; F32, F16, BF16, F64, I64 or I32 expected"
        ))),
    }
}

struct Bytes<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    data: Vec<u8>,
}

impl View for Bytes<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// A safetensors file with these tensors and this text metadata; the same input gives the same bytes.
///
/// # Errors
/// The container library refuses the tensors.
pub fn write_tensors(tensors: &BTreeMap<String, Constant>, metadata: &[(&str, String)]) -> Result<Vec<u8>> {
    let view = |constant: &'_ Constant| match constant {
        Constant::Float { data, .. } => {
            (Dtype::F32, data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
        }
        Constant::Int { data, .. } => (Dtype::I64, data.iter().flat_map(|v| v.to_le_bytes()).collect()),
    };
    let views: Vec<(&String, Bytes<'_>)> = tensors
        .iter()
        .map(|(name, constant)| {
            let (dtype, data) = view(constant);
            (name, Bytes { dtype, shape: constant.shape(), data })
        })
        .collect();
    // A map of one entry has one order; more keys are joined into one JSON header by the library in arbitrary order,
    // so the metadata is written by us into a copy of the header.
    let plain = safetensors::serialize(views, None)
        .map_err(|e| Error::internal(format!("the safetensors library refused the tensors: {e}")))?;
    with_metadata(&plain, metadata)
}

/// Puts sorted metadata in front of the tensors of a header.
fn with_metadata(file: &[u8], metadata: &[(&str, String)]) -> Result<Vec<u8>> {
    let bad = || Error::internal("the safetensors library wrote a header that cannot be read back");
    let length = file.first_chunk::<8>().map(|b| u64::from_le_bytes(*b) as usize).ok_or_else(bad)?;
    let header = file.get(8..8 + length).and_then(|h| std::str::from_utf8(h).ok()).ok_or_else(bad)?;
    let tensors = header.trim().strip_prefix('{').ok_or_else(bad)?;
    let pairs: Vec<String> = metadata.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(v))).collect();
    let separator = if tensors.trim() == "}" { "" } else { "," };
    let mut joined = format!("{{\"__metadata__\":{{{}}}{separator}{tensors}", pairs.join(","));
    while joined.len() % 8 != 0 {
        joined.push(' ');
    }
    let mut out = (joined.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(joined.as_bytes());
    out.extend_from_slice(&file[8 + length..]);
    Ok(out)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bit_weights_are_read_exactly() {
        let numbers = [0.0f32, 1.0, -2.5, 0.125, 1024.0];
        let half = numbers.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect::<Vec<u8>>();
        let brain = numbers.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect::<Vec<u8>>();
        for (dtype, data) in [(Dtype::F16, half), (Dtype::BF16, brain)] {
            let view = Bytes { dtype, shape: &[5], data };
            let file = safetensors::serialize([("w", view)], None).unwrap();
            let (tensors, _) = read_tensors(&file).unwrap();
            assert_eq!(tensors["w"], Constant::Float { shape: vec![5], data: numbers.to_vec() }, "{dtype:?}");
        }
    }
}
