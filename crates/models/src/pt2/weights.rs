//! Weights lie raw in the archive, one entry per storage; a table says which view of it each tensor is. Nothing here
//! unpickles.

use super::program::{Meta, list, object, read_meta};
use super::zip::Archive;
use crate::container::convert;
use crate::raw::Constant;
use safetensors::tensor::Dtype;
use serde_json::Value;
use std::collections::HashMap;
use voxplain_tensor::{Error, Result, Shape};

/// Tables of more bytes than this are not about weights.
const MOST_TABLE: usize = 1 << 24;

/// Where the tensors of an archive are.
#[derive(Default)]
pub(super) struct Weights {
    tensors: HashMap<String, Place>,
}

struct Place {
    entry: String,
    pickled: bool,
    meta: Meta,
    strides: Vec<i64>,
    offset: i64,
}

impl Weights {
    /// Adds the tensors of a table, `FOLDER/model_weights_config.json`.
    pub fn read(&mut self, archive: &Archive<'_>, folder: &str, table: &str) -> Result<()> {
        let text = archive.text(&format!("{folder}/{table}"), MOST_TABLE)?;
        crate::duplicates::refuse(text, "the table of weights")?;
        let value: Value = serde_json::from_str(text).map_err(|e| {
            Error::invalid(format!("the table of weights {table} is not JSON ({e}); export again"))
        })?;
        for (name, row) in object(&value, "config")? {
            let place = read_place(row, folder).map_err(|e| e.within(format!("weight {name:?}")))?;
            self.tensors.insert(name.clone(), place);
        }
        Ok(())
    }

    /// How many bytes the values of a tensor take.
    pub fn bytes(&self, name: &str) -> usize {
        let place = self.tensors.get(name);
        let sizes = place.map_or(&[][..], |p| &p.meta.sizes);
        let count = sizes.iter().fold(1i64, |n, &s| n.saturating_mul(s));
        let width = place.and_then(|p| element(p.meta.dtype).ok()).map_or(0, |e| e.1);
        usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(width)
    }

    /// The values of a tensor. `left` is what may still be read: many tensors that claim the same bytes must not fill the
    /// memory.
    pub fn load(&self, archive: &Archive<'_>, name: &str, left: &mut usize) -> Result<Constant> {
        let missing = || Error::invalid("it is not among the weights; the file is incomplete, export again");
        let place = self.tensors.get(name).ok_or_else(missing)?;
        if place.pickled {
            return Err(Error::unsupported(format!(
                "it is pickled, and pickles are never read: {}",
                super::SAVE_AGAIN
            )));
        }
        let (dtype, width) = element(place.meta.dtype)?;
        let sizes = place.meta.sizes.iter().map(|&s| usize::try_from(s).unwrap_or(usize::MAX));
        let shape = Shape::new(&sizes.collect::<Vec<_>>())?;
        let data = archive.get(&place.entry)?;
        let positions = place.positions(shape, data.len() / width)?;
        *left = left.checked_sub(shape.elements().saturating_mul(width)).ok_or_else(|| {
            Error::limit(
                "the weights claim more bytes than the file has; the file is made to mislead, export again",
            )
        })?;
        match positions {
            Positions::Run(start) => {
                let part = data.get(start * width..(start + shape.elements()) * width).unwrap_or(&[]);
                convert(dtype, &shape, part)
            }
            Positions::Each(at) => {
                let mut part = Vec::with_capacity(at.len() * width);
                at.iter().for_each(|&i| {
                    part.extend_from_slice(data.get(i * width..(i + 1) * width).unwrap_or(&[]))
                });
                convert(dtype, &shape, &part)
            }
        }
    }
}

fn read_place(row: &Value, folder: &str) -> Result<Place> {
    let pickled = row.get("use_pickle").and_then(Value::as_bool).unwrap_or(false);
    let entry = row.get("path_name").and_then(Value::as_str).unwrap_or("");
    let meta = row.get("tensor_meta").ok_or_else(|| Error::invalid("its sizes are missing; export again"))?;
    let whole = |v: &Value| v.get("as_int").and_then(Value::as_i64).filter(|&v| v >= 0);
    let bad =
        || Error::invalid("strides or offset are not whole numbers that are not negative; export again");
    let strides = list(meta, "strides")?.iter().map(|v| whole(v).ok_or_else(bad)).collect::<Result<_>>()?;
    let offset = meta.get("storage_offset").and_then(whole).ok_or_else(bad)?;
    Ok(Place { entry: format!("{folder}/{entry}"), pickled, meta: read_meta(meta)?, strides, offset })
}

/// Where the elements of a tensor lie in its storage.
enum Positions {
    /// One after the other from here.
    Run(usize),
    /// Here, in row-major order.
    Each(Vec<usize>),
}

impl Place {
    fn positions(&self, shape: Shape, stored: usize) -> Result<Positions> {
        let outside = || {
            Error::invalid(format!(
                "its {} values do not lie in the {stored} that are stored; export again",
                shape.elements()
            ))
        };
        if self.strides.len() != shape.rank() || shape.elements() > stored {
            return Err(outside());
        }
        let offset = usize::try_from(self.offset).ok().filter(|&o| o <= stored).ok_or_else(outside)?;
        let dense = shape.strides();
        let row_major = (0..shape.rank()).all(|i| shape[i] == 1 || self.strides[i] == dense[i] as i64);
        if row_major {
            return if offset + shape.elements() <= stored {
                Ok(Positions::Run(offset))
            } else {
                Err(outside())
            };
        }
        let mut at = vec![offset];
        for (&size, &stride) in shape.iter().zip(&self.strides) {
            let reach = (size as i64 - 1).checked_mul(stride).and_then(|r| usize::try_from(r).ok());
            let stride = usize::try_from(stride).unwrap_or(usize::MAX);
            let last = at.last().copied().unwrap_or(0).checked_add(reach.ok_or_else(outside)?);
            last.filter(|&last| last < stored).ok_or_else(outside)?;
            at = at.iter().flat_map(|&base| (0..size).map(move |i| base + i * stride)).collect();
        }
        Ok(Positions::Each(at))
    }
}

/// The element type of PyTorch's number, and its bytes.
fn element(dtype: i64) -> Result<(Dtype, usize)> {
    Ok(match dtype {
        1 => (Dtype::U8, 1),
        4 => (Dtype::I32, 4),
        5 => (Dtype::I64, 8),
        6 => (Dtype::F16, 2),
        7 => (Dtype::F32, 4),
        8 => (Dtype::F64, 8),
        12 => (Dtype::BOOL, 1),
        13 => (Dtype::BF16, 2),
        other => {
            return Err(Error::unsupported(format!(
                "PyTorch's element type {other}; floating-point numbers and whole numbers are supported, convert the \
                 network with model.float()"
            )));
        }
    })
}
