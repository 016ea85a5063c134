//! Matrix products. Examples of a batch are rows of one product where the second operand is a weight, and separate
//! products otherwise.

use super::{Context, Run, reduce};
use crate::emitter::Emitter;
use crate::kernel::{BinaryFn, BroadcastGeometry, Kernel, MatMulGeometry, MatrixStrides};
use crate::plan::Slot;
use alloc::vec::Vec;
use voxplain_graph::Op;
use voxplain_tensor::{Error, Result, Shape};

/// A stack of stored matrices, used as they are or transposed.
#[derive(Clone, Copy, Debug)]
struct Operand {
    slot: Slot,
    count: usize,
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl Operand {
    fn flipped(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Rows and columns as used.
    fn size(&self) -> (usize, usize) {
        if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }

    fn strides(&self) -> MatrixStrides {
        let batch = if self.count == 1 { 0 } else { self.rows * self.columns };
        let (row, column) = if self.transposed { (1, self.columns) } else { (self.columns, 1) };
        MatrixStrides { batch, row, column }
    }
}

fn product(e: &mut Emitter, a: Operand, b: Operand, alpha: f64) -> Result<Slot> {
    let ((m, k), (_, n)) = (a.size(), b.size());
    let batch = a.count.max(b.count);
    let geometry = MatMulGeometry { batch, m, k, n, a: a.strides(), b: b.strides(), alpha };
    Ok(e.emit(Kernel::MatMul(geometry), &[a.slot, b.slot], Shape::new(&[batch, m, n])?))
}

/// A product as it stands in the graph.
struct Setting {
    a: Operand,
    b: Operand,
    alpha: f64,
    /// Matrices in the result.
    count: usize,
}

/// Both operands as stacks of `count` matrices each, or 1 where one matrix serves all.
fn setting(c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Setting> {
    let (transpose_a, transpose_b, alpha) = match &c.node.op {
        Op::Gemm(g) => (g.transpose_a, g.transpose_b, g.alpha),
        _ => (false, false, 1.0),
    };
    let outer = |i: usize| c.shape(i)[..c.shape(i).rank() - 2].iter().product::<usize>();
    let matrix = |i: usize, slot: Slot, count: usize, transposed: bool| {
        let s = c.shape(i);
        Operand { slot, count, rows: s[s.rank() - 2], columns: s[s.rank() - 1], transposed }
    };
    let (oa, ob) = (outer(0), outer(1));
    if !c.varies(1) && ob == 1 && !transpose_a {
        let mut a = matrix(0, x[0], 1, false);
        a.rows *= oa * c.operand_examples(0);
        return Ok(Setting { a, b: matrix(1, x[1], 1, transpose_b), alpha, count: 1 });
    }
    let per_example = oa.max(ob);
    let count = per_example * c.examples();
    let mut stack = |i: usize, own: usize, transposed: bool| -> Result<Operand> {
        if own != 1 && own != per_example {
            return Err(Error::unsupported(
                "matrix stacks that broadcast along only some axes are not supported",
            ));
        }
        let stored = own * c.operand_examples(i);
        let mut operand = matrix(i, x[i], stored, transposed);
        if stored != 1 && stored != count {
            operand.slot = spread(c, e, i, x[i], own, per_example)?;
            operand.count = count;
        }
        Ok(operand)
    };
    Ok(Setting { a: stack(0, oa, transpose_a)?, b: stack(1, ob, transpose_b)?, alpha, count })
}

/// The stored stack `[examples or 1, own or 1, matrix]` and the full one.
fn stack_shapes(c: &Context<'_>, i: usize, own: usize, per_example: usize) -> Result<(Shape, Shape)> {
    let s = c.shape(i);
    let matrix = s[s.rank() - 2] * s[s.rank() - 1];
    Ok((
        Shape::new(&[c.operand_examples(i), own, matrix])?,
        Shape::new(&[c.examples(), per_example, matrix])?,
    ))
}

fn spread(
    c: &Context<'_>,
    e: &mut Emitter,
    i: usize,
    slot: Slot,
    own: usize,
    per_example: usize,
) -> Result<Slot> {
    let (small, large) = stack_shapes(c, i, own, per_example)?;
    Ok(reduce::expand(e, slot, small, large, large))
}

pub(super) fn forward(c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Slot> {
    let s = setting(c, e, x)?;
    let value = product(e, s.a, s.b, s.alpha)?;
    let value = e.reshape(value, c.output()?);
    let (Op::Gemm(g), Some(&bias)) = (&c.node.op, x.get(2)) else { return Ok(value) };
    let bias = e.scale(bias, g.beta);
    let (large, small) = (c.extended_output()?, c.extended(2, 2)?);
    let mut strides = small.strides();
    (0..large.rank()).filter(|&i| small[i] == 1).for_each(|i| strides[i] = 0);
    let geometry = BroadcastGeometry { shape: large, a: large.strides(), b: strides };
    let shape = c.output()?;
    Ok(e.emit(Kernel::Binary(BinaryFn::Add, geometry), &[value, bias], shape))
}

pub(super) fn vjp(
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let s = setting(c, e, &run.inputs)?;
    let (rows, columns) = (s.a.size().0, s.b.size().1);
    let upper = Operand { slot: g, count: s.count, rows, columns, transposed: false };
    let mut out = alloc::vec![None; run.inputs.len()];
    if wanted[0] {
        let pair = if s.a.transposed { (s.b, upper.flipped()) } else { (upper, s.b.flipped()) };
        let full = product(e, pair.0, pair.1, s.alpha)?;
        out[0] = Some(gathered(c, e, 0, full)?);
    }
    if wanted[1] {
        let pair = if s.b.transposed { (upper.flipped(), s.a) } else { (s.a.flipped(), upper) };
        let full = product(e, pair.0, pair.1, s.alpha)?;
        out[1] = Some(gathered(c, e, 1, full)?);
    }
    if wanted.get(2) == Some(&true) {
        let beta = if let Op::Gemm(gemm) = &c.node.op { gemm.beta } else { 1.0 };
        let scaled = e.scale(g, beta);
        out[2] = Some(reduce::collapse(e, scaled, c.extended_output()?, c.extended(2, 2)?, c.operand(2)?));
    }
    Ok(out)
}

/// Adds up the matrices of a full stack that stand for one stored matrix of operand `i`.
fn gathered(c: &Context<'_>, e: &mut Emitter, i: usize, full: Slot) -> Result<Slot> {
    let shape = c.operand(i)?;
    let have = e.shape(full).elements();
    if have == shape.elements() {
        return Ok(e.reshape(full, shape));
    }
    let s = c.shape(i);
    let own = s[..s.rank() - 2].iter().product::<usize>();
    let matrix = s[s.rank() - 2] * s[s.rank() - 1];
    let (small, large) = stack_shapes(c, i, own, have / matrix / c.examples())?;
    Ok(reduce::collapse(e, full, large, small, shape))
}
