//! Matrix products. Linear layers with few examples are bound by reading the weights once, so they have ways of their own:
//! where the inner index is contiguous in both operands, rows are multiplied (forward), and where the columns of the second
//! are contiguous its rows are added up (the adjoint); everything else goes to `matrixmultiply`. The choice
//! depends on the layouts alone, never on the number of rows, so that an example's result does not depend on its batch.

use crate::isa::{Isa, madd, vectorized};
use crate::parallel::{Pool, Shared};
use crate::simd::{Simd, per_isa};
use core::ops::Range;
use voxplain_autodiff::{MatMulGeometry, MatrixStrides};

/// Vectors that a product of two rows is added up in.
const VECTORS: usize = 2;
/// Room for the numbers of these.
const LANES: usize = 32;

per_isa! {
    /// The products of one or two rows with one or two others, row by row. A product has the same bits beside others as alone.
    fn products(a: &[&[f32]], b: &[&[f32]], sums: &mut [[f32; 2]; 2]) = some_products
}

/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
unsafe fn some_products<S: Simd>(a: &[&[f32]], b: &[&[f32]], sums: &mut [[f32; 2]; 2]) {
    // SAFETY: as the caller says.
    unsafe {
        match (a, b) {
            (&[a], &[b]) => add_up::<S, 1, 1>([a], [b], sums),
            (&[a], &[b, c]) => add_up::<S, 1, 2>([a], [b, c], sums),
            (&[a, b], &[c]) => add_up::<S, 2, 1>([a, b], [c], sums),
            (&[a, b], &[c, d]) => add_up::<S, 2, 2>([a, b], [c, d], sums),
            _ => {}
        }
    }
}

/// # Safety
/// The instruction set of `S` is there.
#[inline(always)]
unsafe fn add_up<S: Simd, const M: usize, const N: usize>(
    a: [&[f32]; M],
    b: [&[f32]; N],
    sums: &mut [[f32; 2]; 2],
) {
    let k = a[0].len();
    assert!(a.iter().chain(&b).all(|row| row.len() == k), "rows of a product differ in length");
    let step = VECTORS * S::LANES;
    let mut lanes = [[0.0f32; LANES]; 4];
    // SAFETY: as the caller says; rows were just found to be as long as is read of them.
    unsafe {
        let mut total = [[[S::splat(0.0); VECTORS]; N]; M];
        for at in (0..k).step_by(step) {
            for v in 0..VECTORS {
                let at = at + v * S::LANES;
                let left = k.saturating_sub(at);
                let mut rows = [S::splat(0.0); M];
                for m in 0..M {
                    rows[m] = read::<S>(a[m].as_ptr().wrapping_add(at), left);
                }
                for n in 0..N {
                    let row = read::<S>(b[n].as_ptr().wrapping_add(at), left);
                    for m in 0..M {
                        total[m][n][v] = S::mul_add(rows[m], row, total[m][n][v]);
                    }
                }
            }
        }
        for m in 0..M {
            for n in 0..N {
                for v in 0..VECTORS {
                    S::store(lanes[2 * m + n][v * S::LANES..].as_mut_ptr(), total[m][n][v]);
                }
            }
        }
    }
    for m in 0..M {
        for n in 0..N {
            sums[m][n] = lanes[2 * m + n][..step].iter().map(|&v| f64::from(v)).sum::<f64>() as f32;
        }
    }
}

/// The next vector of a row of which `left` numbers are left, zeros behind its end.
///
/// # Safety
/// The instruction set of `S` is there, and so many numbers.
#[inline(always)]
unsafe fn read<S: Simd>(row: *const f32, left: usize) -> S::V {
    // SAFETY: as the caller says.
    unsafe { if left >= S::LANES { S::load(row) } else { S::load_first(row, left) } }
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
        let left = |m: usize| &a[batch * g.a.batch + m * g.a.row..][..g.k];
        let right = |n: usize| &b[batch * g.b.batch + n * g.b.column..][..g.k];
        let columns = column..(column + BLOCK).min(g.n);
        // SAFETY: pieces of rows do not overlap and each is visited once.
        let out = |m: usize| unsafe { shared.slice((batch * g.m + m) * g.n + column, columns.len()) };
        for m in rows.clone().step_by(2) {
            let below = [left(m), left((m + 1).min(rows.end - 1))];
            let count = (rows.end - m).min(2);
            for n in columns.clone().step_by(2) {
                let beside = [right(n), right((n + 1).min(columns.end - 1))];
                let width = (columns.end - n).min(2);
                let mut sums = [[0.0; 2]; 2];
                products(isa, &below[..count], &beside[..width], &mut sums);
                for (m, sums) in (m..).zip(&sums[..count]) {
                    out(m)[n - column..][..width].copy_from_slice(&sums[..width]);
                }
            }
        }
        if alpha != 1.0 {
            rows.for_each(|m| out(m).iter_mut().for_each(|v| *v *= alpha));
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
