//! Matrix products. Linear layers with few examples are bound by reading the weights once, so they have ways of their own:
//! where the inner index is contiguous in both operands, rows are multiplied (forward), and where the columns of the second
//! are contiguous its rows are added up (the adjoint); everything else goes to `matrixmultiply`. The choice
//! depends on the layouts alone, never on the number of rows, so that an example's result does not depend on its batch.

use crate::isa::{Isa, madd, vectorized};
use crate::parallel::{Pool, Shared};
use core::ops::Range;
use voxplain_autodiff::{MatMulGeometry, MatrixStrides};

vectorized! {
    /// The product of two contiguous rows in 32 fixed lanes.
    fn product(a: &[f32], b: &[f32], sum: &mut f32) {
        const LANES: usize = 32;
        let mut lanes = [0.0f32; LANES];
        let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let (rest_a, rest_b) = (left.remainder(), right.remainder());
        for (p, q) in left.zip(right) {
            for i in 0..LANES {
                lanes[i] = madd::<FMA>(p[i], q[i], lanes[i]);
            }
        }
        for (i, (&p, &q)) in rest_a.iter().zip(rest_b).enumerate() {
            lanes[i] = madd::<FMA>(p, q, lanes[i]);
        }
        *sum = lanes.iter().map(|&v| f64::from(v)).sum::<f64>() as f32;
    }
}

/// Rows that are added up together.
const TOGETHER: usize = 8;

vectorized! {
    /// Adds rows, each times its factor, to `sums`, one after the other.
    fn add_rows(factors: &[f32; TOGETHER], rows: &[&[f32]; TOGETHER], sums: &mut [f32]) {
        let n = sums.len();
        let rows: [&[f32]; TOGETHER] = core::array::from_fn(|k| &rows[k][..n]);
        for i in 0..n {
            let mut sum = sums[i];
            for k in 0..TOGETHER {
                sum = madd::<FMA>(factors[k], rows[k][i], sum);
            }
            sums[i] = sum;
        }
    }
}

/// `c = alpha a b`.
pub fn run(pool: &Pool, isa: Isa, g: &MatMulGeometry, a: &[f32], b: &[f32], c: &mut [f32]) {
    if g.a.column == 1 && g.b.row == 1 {
        row_products(pool, isa, g, a, b, c);
    } else if g.b.column == 1 {
        row_sums(pool, isa, g, (a, b), c);
    } else {
        blocks(pool, g, a, b, c);
    }
}

/// Results of a row, or rows, that one thread takes at a time.
const BLOCK: usize = 64;
/// Rows that share what is read of the second operand while it is in cache.
const ROWS: usize = 32;

/// Pieces of results of up to [`ROWS`] rows and `width` columns.
fn pieces(g: &MatMulGeometry, width: usize) -> usize {
    g.batch * g.m.div_ceil(ROWS) * g.n.div_ceil(width)
}

/// The matrix, the rows and the first column of piece `i`.
fn piece(g: &MatMulGeometry, width: usize, i: usize) -> (usize, Range<usize>, usize) {
    let (rows, columns) = (g.m.div_ceil(ROWS), g.n.div_ceil(width));
    let row = i / columns % rows * ROWS;
    (i / columns / rows, row..(row + ROWS).min(g.m), i % columns * width)
}

fn row_products(pool: &Pool, isa: Isa, g: &MatMulGeometry, a: &[f32], b: &[f32], c: &mut [f32]) {
    let alpha = g.alpha as f32;
    let cost = c.len().saturating_mul(g.k);
    let shared = Shared::new(c);
    pool.each(pieces(g, BLOCK), cost, |i| {
        let (batch, rows, column) = piece(g, BLOCK, i);
        for m in rows {
            let left = &a[batch * g.a.batch + m * g.a.row..][..g.k];
            // SAFETY: pieces of rows do not overlap and each is visited once.
            let out = unsafe { shared.slice((batch * g.m + m) * g.n + column, BLOCK.min(g.n - column)) };
            for (n, out) in (column..).zip(out) {
                product(isa, left, &b[batch * g.b.batch + n * g.b.column..][..g.k], out);
                *out *= alpha;
            }
        }
    });
}

/// Columns of the second operand that one thread takes at a time: with [`TOGETHER`] rows they stay in the first cache.
const COLUMNS: usize = 512;

fn row_sums(pool: &Pool, isa: Isa, g: &MatMulGeometry, (a, b): (&[f32], &[f32]), c: &mut [f32]) {
    let alpha = g.alpha as f32;
    let cost = c.len().saturating_mul(g.k);
    let shared = Shared::new(c);
    pool.each(pieces(g, COLUMNS), cost, |i| {
        let (batch, those, column) = piece(g, COLUMNS, i);
        let width = COLUMNS.min(g.n - column);
        // SAFETY: pieces of rows do not overlap and each is visited once.
        let out = |m: usize| unsafe { shared.slice((batch * g.m + m) * g.n + column, width) };
        those.clone().for_each(|m| out(m).fill(0.0));
        for first in (0..g.k).step_by(TOGETHER) {
            // Behind the last row its factor is 0.
            let at = |k: usize| &b[batch * g.b.batch + (first + k).min(g.k - 1) * g.b.row + column..];
            let part: [&[f32]; TOGETHER] = core::array::from_fn(at);
            for m in those.clone() {
                let factor = |k: usize| a[batch * g.a.batch + m * g.a.row + k * g.a.column];
                let factors = core::array::from_fn(|k| if first + k < g.k { factor(first + k) } else { 0.0 });
                add_rows(isa, &factors, &part, out(m));
            }
        }
        if alpha != 1.0 {
            those.for_each(|m| out(m).iter_mut().for_each(|v| *v *= alpha));
        }
    });
}

/// Blocks of [`BLOCK`] rows through `matrixmultiply`, which adds along k in fixed blocks whatever the rows are. The
/// factor is applied afterwards: inside, whole tiles fuse it with the sum of the blocks and border tiles do not.
fn blocks(pool: &Pool, g: &MatMulGeometry, a: &[f32], b: &[f32], c: &mut [f32]) {
    let alpha = g.alpha as f32;
    let per_matrix = g.m.div_ceil(BLOCK);
    let cost = c.len().saturating_mul(g.k);
    let shared = Shared::new(c);
    pool.each(g.batch * per_matrix, cost, |i| {
        let (batch, first) = (i / per_matrix, i % per_matrix * BLOCK);
        let rows = BLOCK.min(g.m - first);
        // SAFETY: blocks of rows do not overlap and each is visited once.
        let out = unsafe { shared.slice((batch * g.m + first) * g.n, rows * g.n) };
        let start = (batch * g.a.batch + first * g.a.row, batch * g.b.batch);
        multiply((rows, g.k, g.n), (&a[start.0..], g.a), (&b[start.1..], g.b), out);
        if alpha != 1.0 {
            out.iter_mut().for_each(|v| *v *= alpha);
        }
    });
}

/// The border to `matrixmultiply`: contiguous `c[m, n] = a[m, k] b[k, n]`.
fn multiply(
    (m, k, n): (usize, usize, usize),
    a: (&[f32], MatrixStrides),
    b: (&[f32], MatrixStrides),
    c: &mut [f32],
) {
    let last = |s: MatrixStrides, rows: usize, columns: usize| {
        (rows.max(1) - 1) * s.row + (columns.max(1) - 1) * s.column
    };
    assert!(last(a.1, m, k) < a.0.len().max(1) && last(b.1, k, n) < b.0.len().max(1) && c.len() >= m * n);
    // SAFETY: the assertion above checked that every element that the strides reach lies in its slice, and `c` is
    // borrowed exclusively, so it overlaps neither operand.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.0.as_ptr(),
            a.1.row as isize,
            a.1.column as isize,
            b.0.as_ptr(),
            b.1.row as isize,
            b.1.column as isize,
            0.0,
            c.as_mut_ptr(),
            n as isize,
            1,
        );
    }
}
