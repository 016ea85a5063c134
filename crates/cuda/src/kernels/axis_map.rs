//! A sparse matrix along one axis; the matrix is uploaded once, when the plan is prepared.

use super::{Spans, elements};
use crate::backend::{Backend, Geometry, bytes_of_slice};
use crate::operands::{Operands, int};
use std::sync::Arc;
use voxplain_autodiff::{Span, SparseMatrix};
use voxplain_tensor::{Error, Result};

#[derive(Clone, Copy)]
#[repr(C)]
struct AxisMap {
    s: Spans,
    rows: i64,
}
// SAFETY: four numbers of eight bytes.
unsafe impl Geometry for AxisMap {}

/// A sparse matrix on the device: row starts, columns, weights.
pub(crate) struct Table<Buffer> {
    starts: Buffer,
    columns: Buffer,
    weights: Buffer,
}

impl<Buffer> Table<Buffer> {
    /// Uploads a matrix, after checking that its rows and columns are where they say.
    pub fn new<B: Backend<Buffer = Buffer>>(backend: &B, m: &SparseMatrix) -> Result<Self> {
        let entries = m.column.len();
        let ordered = m.starts.windows(2).all(|w| w[0] <= w[1]) && m.starts.last() == Some(&entries);
        if !ordered || m.weight.len() != entries || m.column.iter().any(|&c| c >= m.columns) {
            return Err(Error::internal("a sparse matrix whose entries lie outside it"));
        }
        let starts = m.starts.iter().map(|&s| int(s)).collect::<Result<Vec<i32>>>()?;
        let columns = m.column.iter().map(|&c| int(c)).collect::<Result<Vec<i32>>>()?;
        let weights: Vec<f32> = m.weight.iter().map(|&w| w as f32).collect();
        let stored = |bytes: &[u8]| -> Result<Buffer> {
            let mut buffer = backend.allocate(bytes.len().max(1))?;
            backend.upload(&mut buffer, 0, bytes)?;
            Ok(buffer)
        };
        Ok(Self {
            starts: stored(bytes_of_slice(&starts))?,
            columns: stored(bytes_of_slice(&columns))?,
            weights: stored(bytes_of_slice(&weights))?,
        })
    }
}

pub(super) fn run<B: Backend>(o: &Operands<B>, s: Span, m: &Arc<SparseMatrix>) -> Result<()> {
    let table = o.memory().tables.get(&(Arc::as_ptr(m) as usize));
    let table = table.ok_or_else(|| Error::internal("a sparse matrix that the plan does not have"))?;
    if m.columns != s.n {
        return Err(Error::internal("a sparse matrix of another width than its axis"));
    }
    let n = s.outer * m.rows() * s.inner;
    let address = |buffer| o.backend().address(buffer);
    let (starts, columns, weights) =
        (address(&table.starts), address(&table.columns), address(&table.weights));
    let pointers = [o.real(0, elements(s))?, starts, columns, weights, o.out(n)?];
    o.each(("axis_map", "axis_map"), n, &pointers, &AxisMap { s: s.into(), rows: m.rows() as i64 })
}
